/* An endpoint: {"say": ..., "model": ...} in, canonical chat out, events back as plain text. */
#include "../common.h"
TP_MANIFEST({"id": "test.area-endpoint", "version": "1.0.0", "license": "Apache-2.0",
             "sdk": "1.0", "kinds": ["endpoint"]});

static tp_status parse(const tp_instance *i, tp_call *c, const tp_request *r, tp_operation *op)
{
    const tp_host *h = i->host;
    uint32_t say = h->find(&r->body, 0, S("say"));
    if (!say || r->body.tokens[say].kind != TP_STRING)
        return h->fail(c, TP_E_INPUT, S("say"), S("say must be a string; give the text to send"));
    op->model = h->text(c, &r->body, h->find(&r->body, 0, S("model")));
    op->user = S("somebody"); /* the plugin's own bytes: the host makes them its own */
    tp_event e = {.size = sizeof(e), .kind = TP_EV_TEXT, .name = {"user", 4},
                  .text = h->text(c, &r->body, say)};
    return h->emit(c, &e);
}

static tp_status convert(const tp_instance *i, tp_call *c, const tp_operation *op)
{
    const tp_host *h = i->host;
    tp_str say = h->text(c, &op->body, h->find(&op->body, 0, S("say")));
    tp_status st = h->write(c, S("{\"messages\":[{\"role\":\"user\",\"content\":"));
    if (!st)
        st = h->quote(c, say);
    return st ? st : h->write(c, S("}]}"));
}

static tp_status render(const tp_instance *i, tp_call *c, tp_list events)
{
    const tp_host *h = i->host;
    tp_status st = TP_OK;
    for (uint32_t k = 0; !st && k < events.count; k++) {
        const tp_event *e = (const void *)((const char *)events.ptr + (size_t)k * events.stride);
        if (e->kind == TP_EV_ERROR)
            return TP_E_UNSUPPORTED;
        if (e->kind == TP_EV_START) {
            st = h->status(c, 201);
            if (!st)
                st = h->header(c, S("content-type"), S("text/plain"));
        } else if (e->kind == TP_EV_TEXT) {
            st = h->write(c, e->text);
        }
    }
    return st;
}

static const tp_endpoint table = {sizeof(table), 0, {"say/test", 8}, {"chat/openai", 11}, parse,
                                  convert, render};
PLUGIN("test.area-endpoint", TP_ENDPOINT, table)
