/* A strategy: the last candidate first, with a score to explain. */
#include "../common.h"
TP_MANIFEST({"id": "test.area-strategy", "version": "1.0.0", "license": "Apache-2.0",
             "sdk": "1.0", "kinds": ["strategy", "not-yet-invented"]});

static tp_status rank(const tp_instance *i, tp_call *c, const tp_operation *op,
                      tp_list candidates, tp_rank *order, uint32_t *n)
{
    (void)i;
    (void)c;
    (void)op;
    if (*n > candidates.count)
        *n = candidates.count;
    for (uint32_t k = 0; k < *n; k++) {
        uint32_t which = candidates.count - 1 - k;
        const tp_candidate *a =
            (const void *)((const char *)candidates.ptr + (size_t)which * candidates.stride);
        order[k] = (tp_rank){.candidate = which, .score = TP_HAS(tp_candidate, a, weight)
                                                              ? a->weight : 0};
    }
    return TP_OK;
}

static const tp_strategy table = {sizeof(table), 0, rank};
PLUGIN("test.area-strategy", TP_STRATEGY, table)
