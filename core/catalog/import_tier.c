/* Prices for long prompts: what both data sets say of them, and which of it needs to be said. */
#include "catalog/import_int.h"

catalog_tier *catalog_tier_of(catalog_facts *f, int64_t above)
{
    uint32_t at = 0;
    while (at < f->tier_count && f->tiers[at].above < above)
        at++;
    if (at < f->tier_count && f->tiers[at].above == above)
        return &f->tiers[at];
    if (f->tier_count == CATALOG_TIERS)
        return NULL;
    memmove(&f->tiers[at + 1], &f->tiers[at], (f->tier_count - at) * sizeof(f->tiers[0]));
    f->tier_count++;
    f->tiers[at].above = above;
    for (int i = 0; i < CATALOG_UNITS; i++)
        f->tiers[at].price[i] = -1;
    return &f->tiers[at];
}

int64_t catalog_tier_name(tp_str name, tp_str *cost)
{
    static const char above[] = "_above_", tokens[] = "k_tokens";
    const size_t before = sizeof(above) - 1, after = sizeof(tokens) - 1;
    int64_t thousands;
    if (!str_ends(name, STR("k_tokens")))
        return 0;
    size_t end = name.len - after, at = end;
    while (at && name.ptr[at - 1] >= '0' && name.ptr[at - 1] <= '9')
        at--;
    if (at < before || memcmp(name.ptr + at - before, above, before) != 0 ||
        str_to_i64(str_make(name.ptr + at, end - at), &thousands) || thousands < 1 ||
        thousands > CONF_PRICE_ABOVE_MAX / 1000)
        return 0;
    *cost = str_make(name.ptr, at - before);
    return thousands * 1000;
}

/* The price that counts up to a tier: of a lower one, else the plain one; -1: the unit has none. */
static int64_t price_below(const catalog_offer *o, uint32_t tier, int unit)
{
    for (uint32_t i = tier; i > 0; i--)
        if (o->tiers[i - 1].price[unit] >= 0)
            return o->tiers[i - 1].price[unit];
    return o->price[unit];
}

/* What is charged anyway, or cannot be meant, is not said: a price of 0 where others are none, and
 * one of a unit that has none for short prompts (it is charged as its kind, here too). */
static void clean(catalog_offer *o, uint32_t tier)
{
    int64_t *price = o->tiers[tier].price;
    for (int i = 0; i < CATALOG_UNITS; i++) {
        int64_t below = price_below(o, tier, i);
        if (below < 0 || price[i] == below || (price[i] == 0 && o->price[CATALOG_PROMPT] > 0))
            price[i] = -1;
    }
}

static int is_empty(const catalog_tier *t)
{
    for (int i = 0; i < CATALOG_UNITS; i++)
        if (t->price[i] >= 0)
            return 0;
    return 1;
}

void catalog_tier_merge(catalog_offer *o, const catalog_facts *trusted, const catalog_facts *also)
{
    uint32_t n = 0;
    memcpy(o->tiers, trusted->tiers, sizeof(o->tiers));
    for (uint32_t i = 0; i < trusted->tier_count; i++) {
        for (uint32_t k = 0; also && k < also->tier_count; k++)
            for (int u = 0; also->tiers[k].above == o->tiers[i].above && u < CATALOG_UNITS; u++)
                if (o->tiers[i].price[u] < 0)
                    o->tiers[i].price[u] = also->tiers[k].price[u];
        o->tiers[n] = o->tiers[i];
        clean(o, n);
        n += !is_empty(&o->tiers[n]);
    }
    o->tier_count = n;
}
