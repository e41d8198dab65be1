/* A provider without an upstream: local, and steps that follow each other. */
#include "../common.h"
TP_MANIFEST({"id": "test.area-local", "version": "1.0.0", "license": "Apache-2.0", "sdk": "1.0",
             "kinds": ["provider"]});

typedef struct state {
    uint32_t steps;
} state;

static tp_status build(const tp_instance *i, tp_call *c, const tp_operation *op,
                       const tp_target *t)
{
    tp_local how = {.size = sizeof(how), .flags = TP_LOCAL_CUT, .delay_ms = 20, .gap_ms = 5};
    (void)op;
    ((state *)c->state)->steps = t->step + 1;
    tp_status st = i->host->local(c, 200, S("text/event-stream"), &how);
    return st ? st : i->host->write(c, S("data: hello\n\n"));
}

static tp_status end(const tp_instance *i, tp_call *c, int32_t broken)
{
    if (((state *)c->state)->steps < 3)
        return TP_AGAIN; /* three calls make one answer */
    return any_end(i, c, broken);
}

static const tp_provider table = {sizeof(table), sizeof(state), ANY_FORMATS, build, any_head,
                                  any_data, end, any_failed};
PLUGIN("test.area-local", TP_PROVIDER, table)
