#include "settle/settle.h"

#include "base/str.h"
#include "catalog/catalog.h"

/* More than an amount can be is as good as any more: capped here, sums of some dozen amounts stay
 * far from the end of 128 bits. */
static money_exact amount(int64_t count, int64_t price)
{
    const money_exact cap = (money_exact)INT64_MAX * 1000000;
    money_exact product = count > 0 && price > 0 ? (money_exact)count * price : 0;
    return TP_MIN(product, cap);
}

static int says(const usage *u, tp_str unit)
{
    for (uint32_t i = 0; i < u->count; i++)
        if (str_eq(str_of(u->classes[i].unit), unit))
            return 1;
    return 0;
}

/* Is this class only counted? An upstream that bills other figures than it counts says both. */
static int is_unbilled(tp_str plain, int prompt_billed, int completion_billed)
{
    if (str_eq(plain, STR("prompt")) || str_eq(plain, STR("cache_read")) ||
        str_eq(plain, STR("cache_write")))
        return prompt_billed;
    return completion_billed &&
           (str_eq(plain, STR("completion")) || str_eq(plain, STR("reasoning")));
}

/* How long the prompt was: what providers measure their thresholds by. Cached tokens belong to it
 * as much as others. Where the upstream tells what it bills and nothing else, that. */
static int64_t prompt_length(const usage *u)
{
    static const tp_str parts[] = {
        {"prompt", 6}, {"cache_read", 10}, {"cache_write", 11}, {"audio_prompt", 12}};
    int64_t sum = 0;
    for (uint32_t i = 0; i < TP_COUNT(parts); i++)
        if (__builtin_add_overflow(sum, usage_all(u, parts[i]), &sum))
            return INT64_MAX;
    return sum ? sum : usage_all(u, STR("billed_prompt"));
}

static int64_t price_of(const world_deployment *d, tp_str unit, int64_t prompt_tokens)
{
    return d->price_tiers ? catalog_price_at(d->prices, d->price_count, unit, prompt_tokens)
                          : catalog_price_or(d->prices, d->price_count, unit);
}

int64_t settle_cost(const world_deployment *d, const usage *u)
{
    if (!d || u->count == 0)
        return 0;
    money_exact sum = 0;
    int counted_request = 0;
    int prompt_billed = says(u, STR("billed_prompt"));
    int completion_billed = says(u, STR("billed_completion"));
    int64_t length = d->price_tiers ? prompt_length(u) : 0;
    for (uint32_t i = 0; i < u->count; i++) {
        const usage_class *c = &u->classes[i];
        tp_str unit = str_of(c->unit);
        counted_request |= str_eq(unit, STR("request"));
        if ((prompt_billed || completion_billed) &&
            is_unbilled(usage_plain(c), prompt_billed, completion_billed))
            continue;
        sum += amount(c->count, price_of(d, unit, length));
    }
    if (!counted_request) /* a unit of no other kind: without thresholds one look is enough */
        sum += amount(1, d->price_tiers
                             ? price_of(d, STR("request"), length)
                             : catalog_price(d->prices, d->price_count, STR("request")));
    return money_round(sum);
}

/* Input is what the prompt came to; all other units but the request itself are output. */
static int is_input(tp_str plain)
{
    static const tp_str input[] = {{"prompt", 6},
                                   {"cache_read", 10},
                                   {"cache_write", 11},
                                   {"audio_prompt", 12},
                                   {"billed_prompt", 13}};
    for (uint32_t i = 0; i < TP_COUNT(input); i++)
        if (str_eq(plain, input[i]))
            return 1;
    return 0;
}

static int counted(const usage *u, int input)
{
    for (uint32_t i = 0; i < u->count; i++) {
        const usage_class *c = &u->classes[i];
        if (c->count > 0 && !str_eq(str_of(c->unit), STR("request")) && is_input(usage_plain(c)) == input)
            return 1;
    }
    return 0;
}

int settle_known(const usage *u)
{
    return counted(u, 0);
}

void settle_estimate(usage *u, int64_t prompt_tokens, int64_t relayed_bytes)
{
    int input = counted(u, 1), output = counted(u, 0);
    /* Nothing came of it and the upstream says nothing: nobody pays for that. */
    if (!input && !output && relayed_bytes <= 0)
        return;
    if (!input && prompt_tokens > 0)
        (void)usage_set(u, STR("prompt"), prompt_tokens); /* a full table: what it says counts */
    if (!output && relayed_bytes > 0)
        (void)usage_set(u, STR("completion"), relayed_bytes / 4 + (relayed_bytes % 4 != 0));
}

/* Can an entry of the list come to be charged where the prompt has at most so many tokens? The unit
 * without threshold goes to *unit. */
static int is_reached(const conf_price *p, int64_t prompt_tokens, tp_str *unit)
{
    int64_t above;
    *unit = conf_unit_plain(p->unit, &above);
    return above == 0 || prompt_tokens > above;
}

static int is_pair(const char *p, char first, char second)
{
    return ((p[0] == first) & (p[1] == second)) | ((p[0] == '\\') & (p[1] == 'u'));
}

/* Does the text name a variant, or may an escape hide the name? Two letters of it are enough: to hold
 * too much is no harm. Long prompts come by here for each candidate: blocks of a fixed length are
 * what compilers make wide comparisons of. */
static int may_name(tp_str text, tp_str variant)
{
    enum { BLOCK = 64 };
    const char *p = text.ptr;
    size_t left = text.len;
    if (variant.len < 2)
        return 1;
    for (; left > BLOCK; p += BLOCK, left -= BLOCK) {
        unsigned char found = 0;
        for (int i = 0; i < BLOCK; i++)
            found |= (unsigned char)is_pair(p + i, variant.ptr[0], variant.ptr[1]);
        if (found)
            return 1;
    }
    for (; left > 1; p++, left--)
        if (is_pair(p, variant.ptr[0], variant.ptr[1]))
            return 1;
    return 0;
}

/* A variant of what is written to a cache is asked for by its name ("1h"), in the request or in what
 * the deployment adds to each: where nobody asks it need not be held. */
static int may_ask(const world_deployment *d, const tp_operation *op, tp_str variant)
{
    return (d->conf && may_name(d->conf->options.text, variant)) ||
           may_name(op->body.text, variant);
}

/* The dearest way in which a prompt (or a completion) token may be counted, at any threshold that
 * may be exceeded: what a unit falls back to is in the list as well. */
static int64_t dearest(const world_deployment *d, const tp_operation *op, int64_t prompt_tokens,
                       const tp_str *units, uint32_t count)
{
    int64_t most = 0;
    for (uint32_t i = 0; i < d->price_count; i++) {
        const conf_price *p = &d->prices[i];
        tp_str unit;
        if (p->nano_per_million <= most || !is_reached(p, prompt_tokens, &unit))
            continue;
        size_t colon = str_find(unit, ':');
        tp_str plain = str_make(unit.ptr, colon);
        for (uint32_t k = 0; k < count; k++)
            if (str_eq(plain, units[k]) &&
                (colon == unit.len || may_ask(d, op, str_skip(unit, colon + 1))))
                most = p->nano_per_million;
    }
    return most;
}

/* The dearest price of one unit alone. */
static int64_t dearest_of(const world_deployment *d, tp_str unit, int64_t prompt_tokens)
{
    int64_t most = price_of(d, unit, 0);
    for (uint32_t i = 0; d->price_tiers && i < d->price_count; i++) {
        int64_t above, price = -1;
        (void)conf_unit_plain(d->prices[i].unit, &above);
        if (above && prompt_tokens > above)
            price = price_of(d, unit, above + 1);
        most = TP_MAX(most, price);
    }
    return most;
}

/* What parse said that other units (images, seconds) may come to. */
static money_exact announced(const world_deployment *d, const tp_list *events,
                             int64_t prompt_tokens)
{
    static const tp_str by_tokens[] = {{"prompt", 6},      {"cache_read", 10}, {"cache_write", 11},
                                       {"completion", 10}, {"reasoning", 9},   {"request", 7}};
    money_exact sum = 0;
    for (uint32_t i = 0; i < events->count; i++) {
        const tp_event *e = (const tp_event *)(const void *)((const char *)events->ptr +
                                                             (size_t)i * events->stride);
        if (e->kind != TP_EV_USAGE)
            continue;
        int known = 0;
        tp_str plain = str_make(e->name.ptr, str_find(e->name, ':'));
        for (uint32_t k = 0; k < TP_COUNT(by_tokens); k++)
            known |= str_eq(plain, by_tokens[k]);
        if (!known)
            sum += amount(e->number, dearest_of(d, e->name, prompt_tokens));
    }
    return sum;
}

int64_t settle_hold(const world_deployment *d, const tp_operation *op)
{
    static const tp_str in[] = {
        {"prompt", 6}, {"cache_read", 10}, {"cache_write", 11}, {"audio_prompt", 12}};
    static const tp_str out[] = {{"completion", 10}, {"reasoning", 9}, {"audio_completion", 16}};
    if (!d || d->price_count == 0)
        return 0;
    int64_t choices = op->choices ? (int64_t)op->choices : 1, prompt = settle_prompt_most(d, op);
    /* Sound costs many times what text does: only who asks for it holds that much. */
    uint32_t silent = op->needs & TP_NEED_AUDIO ? 0 : 1;
    money_exact sum = amount(prompt, dearest(d, op, prompt, in, TP_COUNT(in) - silent));
    int64_t dearest_out = dearest(d, op, prompt, out, TP_COUNT(out) - silent);
    sum += amount(settle_output_most(d, op), dearest_out) * choices;
    sum += amount(1, dearest_of(d, STR("request"), prompt));
    sum += announced(d, &op->prompt, prompt);
    return money_round(sum);
}
