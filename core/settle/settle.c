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
static int is_unbilled(tp_str unit, int prompt_billed, int completion_billed)
{
    if (str_eq(unit, STR("prompt")) || str_eq(unit, STR("cache_read")) ||
        str_eq(unit, STR("cache_write")))
        return prompt_billed;
    return completion_billed && (str_eq(unit, STR("completion")) || str_eq(unit, STR("reasoning")));
}

int64_t settle_cost(const world_deployment *d, const usage *u)
{
    if (!d || u->count == 0)
        return 0;
    money_exact sum = 0;
    int counted_request = 0;
    int prompt_billed = says(u, STR("billed_prompt"));
    int completion_billed = says(u, STR("billed_completion"));
    for (uint32_t i = 0; i < u->count; i++) {
        tp_str unit = str_of(u->classes[i].unit);
        counted_request |= str_eq(unit, STR("request"));
        if (is_unbilled(unit, prompt_billed, completion_billed))
            continue;
        sum += amount(u->classes[i].count, catalog_price_or(d->prices, d->price_count, unit));
    }
    if (!counted_request)
        sum += amount(1, catalog_price(d->prices, d->price_count, STR("request")));
    return money_round(sum);
}

/* Input is what the prompt came to; all other units but the request itself are output. */
static int is_input(const char *unit)
{
    static const tp_str input[] = {{"prompt", 6},
                                   {"cache_read", 10},
                                   {"cache_write", 11},
                                   {"audio_prompt", 12},
                                   {"billed_prompt", 13}};
    for (uint32_t i = 0; i < TP_COUNT(input); i++)
        if (str_eq(str_of(unit), input[i]))
            return 1;
    return 0;
}

static int counted(const usage *u, int input)
{
    for (uint32_t i = 0; i < u->count; i++) {
        const usage_class *c = &u->classes[i];
        if (c->count > 0 && !str_eq(str_of(c->unit), STR("request")) && is_input(c->unit) == input)
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

/* The dearest way in which a prompt (or a completion) token may be counted. */
static int64_t dearest(const world_deployment *d, const tp_str *units, uint32_t count)
{
    int64_t most = 0;
    for (uint32_t i = 0; i < count; i++) {
        int64_t price = catalog_price_or(d->prices, d->price_count, units[i]);
        most = TP_MAX(most, price);
    }
    return most;
}

static int64_t prompt_most(const world_deployment *d, const tp_operation *op)
{
    if (op->prompt_tokens >= 0)
        return op->prompt_tokens;
    /* No tokenizer makes more tokens than bytes. */
    int64_t bytes = op->body.text.len > INT64_MAX ? INT64_MAX : (int64_t)op->body.text.len;
    return d->context_length >= 0 ? TP_MIN(bytes, d->context_length) : bytes;
}

static int64_t output_most(const world_deployment *d, const tp_operation *op)
{
    int64_t most = op->max_output_tokens;
    int64_t limit = d->max_output_tokens >= 0 ? d->max_output_tokens : d->context_length;
    if (most < 0)
        most = limit >= 0 ? limit : SETTLE_OUTPUT_UNKNOWN;
    else if (limit >= 0)
        most = TP_MIN(most, limit);
    return most;
}

/* What parse said that other units (images, seconds) may come to. */
static money_exact announced(const world_deployment *d, const tp_list *events)
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
        for (uint32_t k = 0; k < TP_COUNT(by_tokens); k++)
            known |= str_eq(e->name, by_tokens[k]);
        if (!known)
            sum += amount(e->number, catalog_price(d->prices, d->price_count, e->name));
    }
    return sum;
}

int64_t settle_hold_tokens(const world_deployment *d, const tp_operation *op)
{
    int64_t choices = op->choices ? (int64_t)op->choices : 1, output = output_most(d, op), sum;
    if (__builtin_mul_overflow(output, choices, &sum) ||
        __builtin_add_overflow(sum, prompt_most(d, op), &sum))
        return INT64_MAX;
    return sum;
}

int64_t settle_hold(const world_deployment *d, const tp_operation *op)
{
    static const tp_str in[] = {
        {"prompt", 6}, {"cache_read", 10}, {"cache_write", 11}, {"audio_prompt", 12}};
    static const tp_str out[] = {{"completion", 10}, {"reasoning", 9}, {"audio_completion", 16}};
    if (!d || d->price_count == 0)
        return 0;
    int64_t choices = op->choices ? (int64_t)op->choices : 1;
    /* Sound costs many times what text does: only who asks for it holds that much. */
    uint32_t silent = op->needs & TP_NEED_AUDIO ? 0 : 1;
    money_exact sum = amount(prompt_most(d, op), dearest(d, in, TP_COUNT(in) - silent));
    sum += amount(output_most(d, op), dearest(d, out, TP_COUNT(out) - silent)) * choices;
    sum += amount(1, catalog_price(d->prices, d->price_count, STR("request")));
    sum += announced(d, &op->prompt);
    return money_round(sum);
}
