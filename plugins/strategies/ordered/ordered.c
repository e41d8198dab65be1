/* Strategy ordered: weights, then the order of the configuration. In mode "order" (the default) the
 * highest weight comes first, equal weights in configured order: the same order every time. In mode
 * "weighted" the first is drawn at random, each with a chance in proportion to its weight; the rest
 * follow as in mode "order". */
#include <stdlib.h>
#include "../../common/plugin_entry.h"

TP_MANIFEST({
    "id": "org.turnpike.ordered",
    "name": "Ordered",
    "version": "1.0.0",
    "license": "Apache-2.0",
    "sdk": "1.0",
    "kinds": ["strategy"],
    "description": "Weights, then the configured order.",
    "options": {
        "type": "object",
        "additionalProperties": false,
        "properties": {
            "mode": {"type": "string", "enum": ["order", "weighted"], "default": "order", "description": "order: highest weight first, always; weighted: the first one is drawn at random by weight."}
        }
    }
});

struct tp_instance {
    const tp_host *host;
    int weighted;
};

static tp_status create(const tp_host *h, tp_call *c, tp_doc options, tp_instance **out)
{
    int weighted = 0;
    if (options.count && options.tokens[0].kind == TP_OBJECT) {
        uint32_t t = h->find(&options, 0, SPAN("mode"));
        tp_str word = span_kind(&options, t) == TP_STRING ? span_text(h, c, &options, t)
                                                         : SPAN_NONE;
        weighted = span_is(word, "weighted");
        if (t && !weighted && !span_is(word, "order"))
            return h->fail(c, TP_E_INPUT, SPAN("mode"), SPAN("expected \"order\" or \"weighted\""));
    }
    tp_instance *in = calloc(1, sizeof(*in));
    if (!in)
        return h->fail(c, TP_E_NOMEM, SPAN_NONE, SPAN("out of memory"));
    in->host = h;
    in->weighted = weighted;
    *out = in;
    return TP_OK;
}

static void destroy(tp_instance *in)
{
    free(in);
}

static int64_t weight_of(const tp_list *candidates, uint32_t i)
{
    const tp_candidate *k =
        (const void *)((const char *)candidates->ptr + (size_t)i * candidates->stride);
    return k->weight > 0 ? k->weight : 0;
}

/* splitmix64's finalizer: the host's seed may be a counter. */
static uint64_t mixed(uint64_t x)
{
    x += UINT64_C(0x9e3779b97f4a7c15);
    x = (x ^ x >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    x = (x ^ x >> 27) * UINT64_C(0x94d049bb133111eb);
    return x ^ x >> 31;
}

/* The candidate that the seed falls on; 0 where no weight is above 0. */
static uint32_t drawn(const tp_list *candidates, uint64_t seed)
{
    uint64_t sum = 0;
    for (uint32_t i = 0; i < candidates->count; i++)
        sum += (uint64_t)weight_of(candidates, i);
    if (!sum)
        return 0;
    uint64_t at = mixed(seed) % sum; /* sums are small beside 2^64: no bias worth a loop */
    for (uint32_t i = 0; i < candidates->count; i++) {
        uint64_t w = (uint64_t)weight_of(candidates, i);
        if (at < w)
            return i;
        at -= w;
    }
    return 0;
}

/* Puts candidate i among the `used` first of order, which fall by score; equal ones stay in order.
 * The last one falls off when there is no room. */
static uint32_t insert(tp_rank *order, uint32_t used, uint32_t room, uint32_t i, int64_t score)
{
    uint32_t at = used;
    while (at > 0 && order[at - 1].score < score)
        at--;
    if (at >= room)
        return used;
    uint32_t last = used < room ? used : room - 1;
    memmove(order + at + 1, order + at, (last - at) * sizeof(*order));
    order[at] = (tp_rank){.candidate = i, .score = score};
    return last + 1;
}

/* The score that explains a place is the weight; the one that was drawn has the sum of all weights
 * on top of it. */
static tp_status rank(const tp_instance *in, tp_call *c, const tp_operation *op,
                      tp_list candidates, tp_rank *order, uint32_t *n)
{
    uint32_t used = 0, first = UINT32_MAX;
    int64_t bonus = 0;
    (void)op;
    if (in->weighted && candidates.count) {
        first = drawn(&candidates, c->seed);
        for (uint32_t i = 0; i < candidates.count; i++)
            bonus += weight_of(&candidates, i);
    }
    for (uint32_t i = 0; i < candidates.count && *n; i++)
        used = insert(order, used, *n, i, weight_of(&candidates, i) + (i == first ? bonus : 0));
    *n = used;
    return TP_OK;
}

static const tp_strategy strategy = {
    .size = sizeof(tp_strategy),
    .rank = rank,
};

PLUGIN_ENTRY("org.turnpike.ordered", "1.0.0", TP_STRATEGY, strategy, create, destroy)
