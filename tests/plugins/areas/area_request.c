/* An upstream request: path, headers, secret, signature, a body spliced around the model. */
#include "../common.h"
TP_MANIFEST({"id": "test.area-request", "version": "1.0.0", "license": "Apache-2.0", "sdk": "1.0",
             "name": "Requests", "description": "spliced body", "kinds": ["provider"],
             "options": {"type": "object", "properties": {"base_url": {"type": "string"}}}});

static tp_status build(const tp_instance *i, tp_call *c, const tp_operation *op,
                       const tp_target *t)
{
    const tp_host *h = i->host;
    tp_status st = h->request(c, S("POST"), S("/chat/completions?v=1"));
    if (!st)
        st = h->header(c, S("content-type"), S("application/json"));
    if (!st)
        st = h->secret_header(c, S("x-api-key"), S("Key "));
    if (!st)
        st = h->sign(c, S("aws4"), S("{\"service\": \"bedrock\"}"));
    uint32_t at = h->find(&op->body, 0, S("model"));
    if (st || !at)
        return st ? st : h->fail(c, TP_E_INPUT, S("model"), S("model is missing"));
    const tp_token *m = &op->body.tokens[at];
    tp_str text = op->body.text;
    st = h->write(c, (tp_str){text.ptr, m->at});
    if (!st)
        st = h->quote(c, t->model);
    if (!st)
        st = h->write(c, (tp_str){text.ptr + m->at + m->len, text.len - m->at - m->len});
    return st;
}

static const tp_provider table = {sizeof(table), 0, ANY_FORMATS, build, any_head, any_data,
                                  any_end, any_failed};
PLUGIN("test.area-request", TP_PROVIDER, table)
