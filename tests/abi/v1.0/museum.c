/* A plugin as it was built against SDK 1.0: it uses the copy of that header beside it, for ever. It
 * offers all three kinds, and its answers say what it saw of the host. */
#include <stdlib.h>
#include <string.h>
#include "plugin.h"

TP_MANIFEST({"id": "test.museum-1.0", "version": "1.0.0", "license": "Apache-2.0", "sdk": "1.0",
             "kinds": ["provider", "endpoint", "strategy"],
             "options": {"type": "object", "properties": {"path": {"type": "string"}}}});

struct tp_instance {
    const tp_host *host;
    size_t path_len;
    char path[64];
};

static tp_status create(const tp_host *host, tp_call *c, tp_doc options, tp_instance **out)
{
    uint32_t t = host->find(&options, 0, TP_STR("path"));
    tp_str path = t ? host->text(c, &options, t) : TP_STR("/default");
    if (!path.ptr || path.len > sizeof((*out)->path))
        return host->fail(c, TP_E_INPUT, TP_STR("path"), TP_STR("a short string was expected"));
    tp_instance *i = calloc(1, sizeof(*i));
    if (!i)
        return host->fail(c, TP_E_NOMEM, TP_STR(""), TP_STR("no memory"));
    i->host = host;
    i->path_len = path.len;
    memcpy(i->path, path.ptr, path.len);
    *out = i;
    return TP_OK;
}

static void destroy(tp_instance *i)
{
    free(i);
}

static tp_status build(const tp_instance *i, tp_call *c, const tp_operation *op,
                       const tp_target *t)
{
    const tp_host *h = i->host;
    tp_status st = h->request(c, TP_STR("POST"), (tp_str){i->path, i->path_len});
    if (!st)
        st = h->header(c, TP_STR("content-type"), TP_STR("application/json"));
    if (!st)
        st = h->secret_header(c, TP_STR("authorization"), TP_STR("Bearer "));
    if (!st)
        st = h->quote(c, t->model);
    if (!st && op->max_output_tokens > 0 && TP_HAS(tp_operation, op, prompt))
        st = h->write(c, op->body.text);
    return st ? st : h->report(c, TP_DROPPED, TP_STR("seed"), TP_STR("not known then"));
}

static tp_status head(const tp_instance *i, tp_call *c, const tp_reply *r, int32_t *framing)
{
    (void)i;
    (void)c;
    *framing = r->status == 200 ? TP_SSE : TP_WHOLE;
    return TP_OK;
}

static tp_status data(const tp_instance *i, tp_call *c, tp_frame *f)
{
    tp_doc d;
    tp_status st = i->host->scan(c, f->data, &d);
    if (st)
        return st;
    tp_event e = {.size = sizeof(e), .kind = TP_EV_TEXT, .choice = 1, .item = 2,
                  .text = i->host->text(c, &d, i->host->find(&d, 0, TP_STR("t"))), .raw = f->data};
    return i->host->emit(c, &e);
}

static tp_status end(const tp_instance *i, tp_call *c, int32_t broken)
{
    tp_event e = {.size = sizeof(e), .kind = TP_EV_USAGE, .number = 7, .name = {"completion", 10}};
    tp_status st = i->host->emit(c, &e);
    if (st || broken)
        return st;
    e = (tp_event){.size = sizeof(e), .kind = TP_EV_END};
    return i->host->emit(c, &e);
}

static tp_status failed(const tp_instance *i, tp_call *c, const tp_reply *r)
{
    tp_event e = {.size = sizeof(e), .kind = TP_EV_ERROR, .code = TP_ERR_RATE, .number = 1500,
                  .text = r->body, .param = {"model", 5}};
    return i->host->emit(c, &e);
}

static tp_status parse(const tp_instance *i, tp_call *c, const tp_request *r, tp_operation *op)
{
    uint32_t model = i->host->find(&r->body, 0, TP_STR("model"));
    op->model = i->host->text(c, &r->body, model);
    op->needs = TP_NEED_TOOLS | TP_NEED_VISION;
    op->max_output_tokens = 100;
    return i->host->header(c, TP_AT(tp_header, r->headers, 1)->name,
                           TP_AT(tp_header, r->headers, 1)->value);
}

static tp_status render(const tp_instance *i, tp_call *c, tp_list events)
{
    tp_status st = i->host->status(c, 202);
    for (uint32_t k = 0; !st && k < events.count; k++)
        st = i->host->write(c, TP_AT(tp_event, events, k)->text);
    return st;
}

static tp_status rank(const tp_instance *i, tp_call *c, const tp_operation *op,
                      tp_list candidates, tp_rank *order, uint32_t *n)
{
    (void)i;
    (void)c;
    (void)op;
    uint32_t best = 0;
    for (uint32_t k = 1; k < candidates.count; k++)
        if (TP_AT(tp_candidate, candidates, k)->in_flight <
            TP_AT(tp_candidate, candidates, best)->in_flight)
            best = k;
    order[0] = (tp_rank){.candidate = best,
                         .score = TP_AT(tp_candidate, candidates, best)->in_flight};
    *n = 1;
    return TP_OK;
}

static const tp_str formats[] = {{"chat/openai", 11}, {"chat/museum", 11}};
static const tp_provider provider = {sizeof(tp_provider), 64, {formats, 2, sizeof(tp_str)}, build,
                                     head, data, end, failed};
static const tp_endpoint endpoint = {sizeof(tp_endpoint), 32, {"chat/museum", 11}, {NULL, 0},
                                     parse, NULL, render};
static const tp_strategy strategy = {sizeof(tp_strategy), 0, rank};

static const void *get_extension(const char *id)
{
    if (strcmp(id, TP_PROVIDER) == 0)
        return &provider;
    if (strcmp(id, TP_ENDPOINT) == 0)
        return &endpoint;
    return strcmp(id, TP_STRATEGY) == 0 ? &strategy : NULL;
}

static const tp_plugin plugin = {sizeof(tp_plugin), TP_SDK_MINOR, {"test.museum-1.0", 15},
                                 {"1.0.0", 5}, create, destroy, get_extension};

const tp_plugin *tp_plugin_entry_v1(const tp_host *host)
{
    if (host->get_extension(host, "tp.not-invented/1"))
        return NULL;
    return &plugin;
}
