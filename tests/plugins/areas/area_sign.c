/* sign: a request whose credential is a signature or a token. What to ask for stands in the
 * deployment's options: {"path", "scheme", "params", "secret_header", "header"}. The reply's body is
 * the answer. */
#include "../common.h"

TP_MANIFEST({
    "id": "org.turnpike.tests.sign",
    "version": "1.0.0",
    "license": "Apache-2.0",
    "sdk": "1.0",
    "kinds": ["provider"],
    "options": {"type": "object", "properties": {"base_url": {"type": "string"}}}
});

static tp_str option(const tp_host *h, tp_call *c, const tp_doc *d, tp_str name)
{
    uint32_t t = d->count ? h->find(d, 0, name) : 0;
    return t ? h->text(c, d, t) : S("");
}

static tp_status build(const tp_instance *i, tp_call *c, const tp_operation *op, const tp_target *t)
{
    const tp_host *h = i->host;
    const tp_doc *d = &t->options;
    tp_str body = op->body.text, path = option(h, c, d, S("path"));
    tp_str scheme = option(h, c, d, S("scheme")), header = option(h, c, d, S("header"));
    uint32_t params = d->count ? h->find(d, 0, S("params")) : 0;
    size_t half = body.len / 2;
    tp_status st = h->request(c, S("POST"), path.len ? path : S("/say"));
    if (st == TP_OK)
        st = h->header(c, S("Content-Type"), S("application/json"));
    if (st == TP_OK && header.len)
        st = h->header(c, header, S("  two   words "));
    if (st == TP_OK && option(h, c, d, S("secret_header")).len)
        st = h->secret_header(c, option(h, c, d, S("secret_header")), S(""));
    if (st == TP_OK && scheme.len)
        st = h->sign(c, scheme,
                     params ? (tp_str){d->text.ptr + d->tokens[params].at, d->tokens[params].len}
                            : S("{}"));
    /* In pieces: a signature covers all of them. */
    if (st == TP_OK)
        st = h->write(c, (tp_str){body.ptr, half});
    if (st == TP_OK)
        st = h->write(c, (tp_str){body.ptr + half, body.len - half});
    return st == TP_OK ? h->write(c, S("\n")) : st;
}

static tp_status head(const tp_instance *i, tp_call *c, const tp_reply *r, int32_t *framing)
{
    (void)i;
    (void)c;
    (void)r;
    *framing = TP_WHOLE;
    return TP_OK;
}

static tp_status end(const tp_instance *i, tp_call *c, int32_t broken)
{
    tp_event done = {.size = sizeof(done), .kind = TP_EV_FINISH, .code = TP_FINISH_STOP};
    if (broken)
        return TP_OK;
    i->host->emit(c, &done);
    done.kind = TP_EV_END;
    return i->host->emit(c, &done);
}

static const tp_provider table = {sizeof(tp_provider), 0,    ANY_FORMATS, build,
                                  head,                any_data, end,     any_failed};
PLUGIN("org.turnpike.tests.sign", TP_PROVIDER, table)
