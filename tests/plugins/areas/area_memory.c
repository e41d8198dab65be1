/* alloc, keep and state: what a stream remembers from one frame to the next. */
#include "../common.h"
TP_MANIFEST({"id": "test.area-memory", "version": "1.0.0", "license": "Apache-2.0", "sdk": "1.0",
             "kinds": ["provider"]});

typedef struct state {
    char *kept; /* keep's memory: as long as the state */
    uint64_t frames;
} state;

static tp_status build(const tp_instance *i, tp_call *c, const tp_operation *op,
                       const tp_target *t)
{
    const tp_host *h = i->host;
    state *s = c->state;
    (void)t;
    char *path = h->alloc(c, op->model.len + 8);
    s->kept = h->keep(c, 16);
    if (!path || !s->kept)
        return h->fail(c, TP_E_NOMEM, S(""), S("out of memory"));
    memcpy(s->kept, "kept", 4);
    memcpy(path, "/model/", 7);
    memcpy(path + 7, op->model.ptr, op->model.len);
    tp_status st = h->request(c, S("POST"), (tp_str){path, op->model.len + 7});
    memset(path, 'x', op->model.len + 7); /* ours to reuse: the host has its copy */
    return st;
}

static tp_status data(const tp_instance *i, tp_call *c, tp_frame *f)
{
    state *s = c->state;
    (void)f;
    tp_event e = {.size = sizeof(e), .kind = TP_EV_TEXT, .text = {s->kept, 4},
                  .number = (int64_t)++s->frames};
    return i->host->emit(c, &e);
}

static const tp_provider table = {sizeof(table), sizeof(state), ANY_FORMATS, build, any_head,
                                  data, any_end, any_failed};
PLUGIN("test.area-memory", TP_PROVIDER, table)
