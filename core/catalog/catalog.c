#include "catalog/catalog.h"

#include <stdio.h>

#include "base/hash.h"
#include "base/str.h"

int64_t catalog_price(const conf_price *prices, uint32_t count, tp_str unit)
{
    for (uint32_t i = 0; i < count; i++)
        if (str_eq(prices[i].unit, unit))
            return prices[i].nano_per_million;
    return -1;
}

int64_t catalog_price_or(const conf_price *prices, uint32_t count, tp_str unit)
{
    int64_t price = -1;
    for (; price < 0 && unit.len; unit = conf_unit_kind(unit))
        price = catalog_price(prices, count, unit);
    return price;
}

/* The entry with the largest threshold that is exceeded; a plain one exceeds 0. */
static int64_t highest(const conf_price *prices, uint32_t count, tp_str unit, int64_t tokens)
{
    int64_t price = -1, most = -1;
    for (uint32_t i = 0; i < count; i++) {
        int64_t above;
        tp_str plain = conf_unit_plain(prices[i].unit, &above);
        if (prices[i].nano_per_million < 0 || above <= most || (above && tokens <= above) ||
            !str_eq(plain, unit))
            continue;
        most = above;
        price = prices[i].nano_per_million;
    }
    return price;
}

int64_t catalog_price_at(const conf_price *prices, uint32_t count, tp_str unit,
                         int64_t prompt_tokens)
{
    int64_t price = -1;
    for (; price < 0 && unit.len; unit = conf_unit_kind(unit))
        price = highest(prices, count, unit, prompt_tokens);
    return price;
}

uint32_t catalog_price_tiers(const conf_price *prices, uint32_t count)
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < count; i++) {
        int64_t above;
        (void)conf_unit_plain(prices[i].unit, &above);
        n += above != 0;
    }
    return n;
}

size_t catalog_price_print(char out[40], int64_t nano_per_million)
{
    /* One nano-dollar a million units is 1e-15 dollars a unit: fifteen decimals are exact. */
    const uint64_t one = 1000000000000000u;
    uint64_t whole = (uint64_t)nano_per_million / one, part = (uint64_t)nano_per_million % one;
    char digits[24];
    size_t n = 0, at = 0;
    do {
        digits[n++] = (char)('0' + whole % 10);
        whole /= 10;
    } while (whole);
    while (n)
        out[at++] = digits[--n];
    if (part)
        out[at++] = '.';
    for (uint64_t place = one / 10; part; place /= 10) {
        out[at++] = (char)('0' + part / place);
        part %= place;
    }
    out[at] = 0;
    return at;
}

void catalog_price_version(char out[20], const conf_price *prices, uint32_t count)
{
    uint64_t sum = 0;
    uint32_t said = 0;
    for (uint32_t i = 0; i < count; i++) {
        if (prices[i].nano_per_million < 0)
            continue; /* no price */
        /* A sum has no order, and each term is mixed, so that none undoes another. */
        sum += hash_mix(hash_name(prices[i].unit) ^ hash_mix((uint64_t)prices[i].nano_per_million));
        said++;
    }
    out[0] = 0;
    if (said)
        snprintf(out, 20, "p-%016llx", (unsigned long long)hash_mix(sum + said));
}

catalog_terms catalog_terms_of(const conf_model *m, const conf_deployment *d)
{
    catalog_terms t = {
        .context_length = d->context_length,
        .max_output_tokens = d->max_output_tokens,
        .capabilities = d->capabilities,
        .quality = d->quality,
        .prices = d->prices,
        .price_count = d->price_count,
    };
    if (t.context_length < 0)
        t.context_length = m->context_length;
    if (t.max_output_tokens < 0)
        t.max_output_tokens = m->max_output_tokens;
    if (t.quality < 0)
        t.quality = m->quality;
    if (t.price_count == 0) {
        t.prices = m->prices;
        t.price_count = m->price_count;
    }
    return t;
}

catalog_cap catalog_capability(uint32_t i)
{
    static const catalog_cap caps[] = {
        {CONF_CAP_TOOLS, {"tools", 5}},         {CONF_CAP_VISION, {"vision", 6}},
        {CONF_CAP_AUDIO, {"audio", 5}},         {CONF_CAP_DOCUMENTS, {"documents", 9}},
        {CONF_CAP_SCHEMA, {"json_schema", 11}}, {CONF_CAP_REASONING, {"reasoning", 9}},
        {CONF_CAP_STREAMING, {"streaming", 9}},
    };
    return i < TP_COUNT(caps) ? caps[i] : (catalog_cap){0, {NULL, 0}};
}
