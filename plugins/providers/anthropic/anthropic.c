/* Provider anthropic: Anthropic's Messages API, and upstreams that speak it. What a Messages body
 * and reply are is in plugins/common/anthropic_*; here is where the request goes, and as whom. */
#include <stdlib.h>
#include "../../common/anthropic_format.h"
#include "../../common/provider.h"

TP_MANIFEST({
    "id": "org.turnpike.anthropic",
    "name": "Anthropic",
    "version": "1.0.0",
    "license": "Apache-2.0",
    "sdk": "1.0",
    "kinds": ["provider"],
    "description": "Claude by Anthropic's Messages API, and other upstreams that speak it. Translates chat requests; relays those in Anthropic's own format.",
    "options": {
        "type": "object",
        "additionalProperties": false,
        "properties": {
            "base_url": {"type": "string", "description": "Scheme, host and path prefix of the upstream, for example https://api.anthropic.com/v1."},
            "path": {"type": "string", "default": "/messages", "description": "Path of messages below base_url."},
            "auth_header": {"type": "string", "default": "x-api-key", "description": "Header that carries the key; with authorization, the prefix is Bearer and a space unless auth_prefix says otherwise."},
            "auth_prefix": {"type": "string", "description": "What stands before the key."},
            "version": {"type": "string", "default": "2023-06-01", "description": "Value of the header anthropic-version."},
            "beta": {"type": "string", "description": "Betas to be asked for in every request, joined by commas; those that a request needs (server tools, files, MCP) are added by themselves."},
            "default_max_tokens": {"type": "integer", "minimum": 1, "default": 4096, "description": "max_tokens of a request that does not say it, for a model without max_output_tokens."},
            "thinking": {"type": "string", "enum": ["auto", "budget", "adaptive", "none"], "default": "auto", "description": "How models think: with a budget of tokens, or adaptively with an effort. auto: by the model's name. A deployment may say otherwise in its own options, as for the two that follow."},
            "structured_output": {"type": "string", "enum": ["auto", "native", "tool"], "default": "auto", "description": "How a JSON schema is asked for: by output_config.format, or by a tool that must be called. auto: native where model and schema allow it."},
            "sampling": {"type": "string", "enum": ["auto", "full", "one", "none"], "default": "auto", "description": "Which of temperature, top_p and top_k models take: all, one of the first two, or none. auto: by the model's name."}
        }
    }
});

static const tp_str formats[] = {SPAN_INIT("chat/openai"), SPAN_INIT(ANTHROPIC_FORMAT)};

struct tp_instance { /* const after create */
    const tp_host *host;
    tp_str path, auth_header, auth_prefix, version;
    anthropic_variant variant;
    char *pool; /* the strings above */
    size_t used;
};

static void string_option(tp_instance *in, tp_call *c, const tp_doc *d, tp_str name, tp_str *out)
{
    uint32_t t = in->host->find(d, 0, name);
    if (span_kind(d, t) != TP_STRING)
        return;
    tp_str s = span_text(in->host, c, d, t);
    char *to = in->pool + in->used;
    if (s.len)
        memcpy(to, s.ptr, s.len);
    in->used += s.len;
    *out = (tp_str){to, s.len};
}

static int is_token(tp_str s, const char *more)
{
    for (size_t i = 0; i < s.len; i++) {
        unsigned char ch = (unsigned char)s.ptr[i];
        if (ch <= ' ' || ch > '~' || strchr(more, ch))
            return 0;
    }
    return s.len > 0;
}

static tp_status check(const tp_instance *in, tp_call *c)
{
    if (!is_token(in->path, "?#") || in->path.ptr[0] != '/')
        return in->host->fail(c, TP_E_INPUT, SPAN("path"),
                              SPAN("expected a path of printable ASCII characters that begins with "
                                   "'/', without '?' and '#', for example \"/messages\""));
    if (!is_token(in->version, "") || !is_token(in->auth_header, ":"))
        return in->host->fail(c, TP_E_INPUT,
                              is_token(in->version, "") ? SPAN("auth_header") : SPAN("version"),
                              SPAN("expected printable ASCII characters without spaces"));
    tp_str betas = in->variant.betas;
    for (size_t i = 0; i < betas.len; i++)
        if ((unsigned char)betas.ptr[i] < ' ' || (unsigned char)betas.ptr[i] > '~')
            return in->host->fail(c, TP_E_INPUT, SPAN("beta"),
                                  SPAN("expected names joined by commas, for example "
                                       "\"context-1m-2025-08-07\""));
    return TP_OK;
}

static void destroy(tp_instance *in)
{
    if (!in)
        return;
    free(in->pool);
    free(in);
}

static tp_status create(const tp_host *h, tp_call *c, tp_doc options, tp_instance **out)
{
    tp_instance *in = calloc(1, sizeof(*in));
    if (in)
        in->pool = malloc(options.text.len + 1);
    if (!in || !in->pool) {
        free(in);
        return h->fail(c, TP_E_NOMEM, SPAN_NONE, SPAN("out of memory while reading the options"));
    }
    in->host = h;
    in->path = SPAN("/messages");
    in->auth_header = SPAN("x-api-key");
    in->version = SPAN("2023-06-01");
    if (options.count && options.tokens[0].kind == TP_OBJECT) {
        string_option(in, c, &options, SPAN("path"), &in->path);
        string_option(in, c, &options, SPAN("auth_header"), &in->auth_header);
        if (span_ieq(in->auth_header, SPAN("authorization")))
            in->auth_prefix = SPAN("Bearer ");
        string_option(in, c, &options, SPAN("auth_prefix"), &in->auth_prefix);
        string_option(in, c, &options, SPAN("version"), &in->version);
        string_option(in, c, &options, SPAN("beta"), &in->variant.betas);
        anthropic_read_options(h, &options, &in->variant);
    }
    tp_status st = check(in, c);
    if (st != TP_OK) {
        destroy(in);
        return st;
    }
    *out = in;
    return TP_OK;
}

static tp_status build(const tp_instance *in, tp_call *c, const tp_operation *op,
                       const tp_target *target)
{
    const tp_host *h = in->host;
    if (!span_eq(op->format, formats[0]) && !span_eq(op->format, formats[1]))
        return h->fail(c, TP_E_UNSUPPORTED, SPAN_NONE,
                       SPAN("provider anthropic takes the formats chat/openai and " ANTHROPIC_FORMAT));
    tp_status st = h->request(c, SPAN("POST"), in->path);
    if (st == TP_OK)
        st = h->secret_header(c, in->auth_header, in->auth_prefix);
    if (st == TP_OK)
        st = h->header(c, SPAN("anthropic-version"), in->version);
    if (st == TP_OK)
        st = provider_json_headers(h, c, op);
    return st == TP_OK ? anthropic_write(h, c, &in->variant, op, target, c->state) : st;
}

PROVIDER_REPLY(anthropic, anthropic_failed)

static const tp_provider provider = {
    .size = sizeof(tp_provider),
    .state_size = sizeof(anthropic_reply),
    .formats = {formats, 2, sizeof(tp_str)},
    .build = build,
    .head = head,
    .data = data,
    .end = end,
    .failed = failed,
};

PLUGIN_ENTRY("org.turnpike.anthropic", "1.0.0", TP_PROVIDER, provider, create, destroy)
