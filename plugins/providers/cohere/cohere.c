/* Provider cohere: chat of Cohere's API, version 2. Requests are translated from the canonical
 * format, replies to canonical events. */
#include <stdlib.h>
#include "cohere_int.h"
#include "../../common/provider.h"

TP_MANIFEST({
    "id": "org.turnpike.cohere",
    "name": "Cohere",
    "version": "1.0.0",
    "license": "Apache-2.0",
    "sdk": "1.0",
    "kinds": ["provider"],
    "description": "Chat by Cohere's API, version 2. A deployment's own options are parameters that Cohere's chat takes (safety_mode, citation_options, thinking, priority...), used where a request does not say them.",
    "options": {
        "type": "object",
        "additionalProperties": false,
        "properties": {
            "base_url": {"type": "string", "description": "Scheme, host and path prefix of the upstream, for example https://api.cohere.com/v2."},
            "path": {"type": "string", "default": "/chat", "description": "Path of chat below base_url."},
            "client_name": {"type": "string", "description": "Value of the header X-Client-Name, by which Cohere tells projects apart; not sent when absent."}
        }
    }
});

static const tp_str formats[] = {SPAN_INIT("chat/openai")};

static tp_status write_head(const tp_instance *in, tp_call *c, const tp_operation *op)
{
    const tp_host *h = in->host;
    tp_status st = h->request(c, SPAN("POST"), in->path);
    if (st == TP_OK)
        st = h->secret_header(c, SPAN("authorization"), SPAN("Bearer "));
    if (st == TP_OK)
        st = provider_json_headers(h, c, op);
    if (st == TP_OK && in->client_name.len)
        st = h->header(c, SPAN("x-client-name"), in->client_name);
    return st;
}

static tp_status build(const tp_instance *in, tp_call *c, const tp_operation *op,
                       const tp_target *target)
{
    cohere_body b = {.o = {.h = in->host, .c = c}};
    if (!span_eq(op->format, formats[0]))
        return in->host->fail(c, TP_E_UNSUPPORTED, SPAN_NONE,
                              SPAN("provider cohere takes requests in the format chat/openai"));
    tp_status st = chat_begin(&b.r, in->host, c, op, target);
    if (st == TP_OK)
        st = write_head(in, c, op);
    if (st != TP_OK)
        return st;
    if (target->options.count && target->options.tokens[0].kind == TP_OBJECT)
        b.extra = &target->options;
    b.thinking_at = span_find(in->host, &op->body, 0, SPAN("thinking"));
    if (span_kind(&op->body, b.thinking_at) != TP_OBJECT)
        b.thinking_at = 0;
    b.thinking = chat_take_thinking(&b.r);
    b.thinks = cohere_thinks(&b);
    jo_open(&b.o, SPAN("{"));
    jo_key_string(&b.o, SPAN("model"), target->model);
    jo_key_bool(&b.o, SPAN("stream"), (op->flags & TP_STREAM) != 0);
    cohere_write_messages(&b);
    cohere_write_tools(&b);
    cohere_write_documents(&b);
    cohere_write_params(&b);
    if (b.wordless)
        chat_refuse(&b.r, TP_E_UNSUPPORTED, SPAN("Cohere wants a message with a text"), "messages");
    jo_close(&b.o, SPAN("}"));
    cohere_begin(c->state, &b);
    return b.r.st != TP_OK ? b.r.st : b.o.st;
}

PROVIDER_REPLY(cohere, cohere_failed)

static const tp_provider provider = {
    .size = sizeof(tp_provider),
    .state_size = sizeof(cohere_reply),
    .formats = {formats, 1, sizeof(tp_str)},
    .build = build,
    .head = head,
    .data = data,
    .end = end,
    .failed = failed,
};

/* ---- Options. */
static void destroy(tp_instance *in)
{
    if (in)
        free(in->pool);
    free(in);
}

static void copy_option(tp_instance *in, tp_call *c, const tp_doc *d, tp_str name, size_t *used,
                        tp_str *out)
{
    tp_str s = d->count ? span_member(in->host, c, d, 0, name) : SPAN_NONE;
    if (!s.len)
        return;
    memcpy(in->pool + *used, s.ptr, s.len); /* decoded strings are no longer than their spelling */
    *out = (tp_str){in->pool + *used, s.len};
    *used += s.len;
}

static int is_visible(tp_str s, int spaces)
{
    for (size_t i = 0; i < s.len; i++)
        if ((unsigned char)s.ptr[i] > '~' || (unsigned char)s.ptr[i] < (spaces ? ' ' : '!'))
            return 0;
    return 1;
}

static tp_status create(const tp_host *h, tp_call *c, tp_doc options, tp_instance **out)
{
    tp_instance *in = calloc(1, sizeof(*in));
    size_t used = 0;
    if (in)
        in->pool = malloc(options.text.len + 1);
    if (!in || !in->pool) {
        free(in);
        return h->fail(c, TP_E_NOMEM, SPAN_NONE, SPAN("out of memory while reading the options"));
    }
    in->host = h;
    in->path = SPAN("/chat");
    copy_option(in, c, &options, SPAN("path"), &used, &in->path);
    copy_option(in, c, &options, SPAN("client_name"), &used, &in->client_name);
    tp_str at = SPAN_NONE;
    if (in->path.ptr[0] != '/' || !is_visible(in->path, 0) ||
        memchr(in->path.ptr, '#', in->path.len))
        at = SPAN("path");
    else if (!is_visible(in->client_name, 1))
        at = SPAN("client_name");
    if (at.len) {
        destroy(in);
        return h->fail(c, TP_E_INPUT, at,
                       span_is(at, "path")
                           ? SPAN("expected a path of printable ASCII characters that begins with "
                                  "'/', for example \"/chat\"; it is put after base_url")
                           : SPAN("expected printable ASCII characters: it is a header's value"));
    }
    *out = in;
    return TP_OK;
}

PLUGIN_ENTRY("org.turnpike.cohere", "1.0.0", TP_PROVIDER, provider, create, destroy)
