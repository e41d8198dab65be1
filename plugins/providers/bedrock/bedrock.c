/* Provider bedrock: models on Amazon Bedrock, by its Converse and ConverseStream operations. */
#include "bedrock_int.h"
#include "../../common/plugin_entry.h"
#include <stdlib.h>

TP_MANIFEST({
    "id": "org.turnpike.bedrock",
    "name": "Amazon Bedrock",
    "version": "1.0.0",
    "license": "Apache-2.0",
    "sdk": "1.0",
    "kinds": ["provider"],
    "description": "Translates to the Converse API of Amazon Bedrock and back, signed with AWS Signature Version 4 or with a Bedrock API key.",
    "options": {
        "type": "object",
        "additionalProperties": false,
        "properties": {
            "base_url": {"type": "string", "description": "Scheme and host of the upstream, for example https://bedrock-runtime.us-east-1.amazonaws.com."},
            "region": {"type": "string", "description": "AWS region that requests are signed for; by default the one that base_url names, else us-east-1."},
            "auth": {"type": "string", "enum": ["aws4", "bearer"], "default": "aws4", "description": "aws4: the credential is an access key, and requests are signed; bearer: it is a Bedrock API key."},
            "family": {"type": "string", "enum": ["auto", "claude", "nova", "openai", "qwen", "mistral", "llama", "cohere", "other"], "default": "auto", "description": "Whose rules the model follows; auto reads it off the model's id. A deployment whose model is an opaque ARN says it in its own options."},
            "reasoning": {"type": "string", "enum": ["auto", "none", "budget", "adaptive", "nova", "effort", "config"], "default": "auto", "description": "How a model is asked to think: budget and adaptive are Claude's thinking, nova is reasoningConfig, effort is reasoning_effort, config is reasoning_config. A deployment may say otherwise."},
            "structured_output": {"type": "string", "enum": ["auto", "native", "tool"], "default": "auto", "description": "How a JSON schema for the answer is sent: native is outputConfig, tool makes the model call a tool with that schema. A deployment may say otherwise."},
            "prompt_caching": {"type": "boolean", "description": "Whether cache_control becomes a cache point; by default for Claude and Nova. A deployment may say otherwise."},
            "unsigned_thoughts": {"type": "boolean", "default": false, "description": "Whether thoughts of earlier turns that have no signature are sent back; never to Claude, which refuses them. A deployment may say otherwise."}
        }
    }
});

/* ---- Options. */
static int is_region(tp_str s)
{
    for (size_t i = 0; i < s.len; i++)
        if (!((s.ptr[i] >= 'a' && s.ptr[i] <= 'z') || (s.ptr[i] >= '0' && s.ptr[i] <= '9') ||
              s.ptr[i] == '-'))
            return 0;
    return s.len >= 1 && s.len <= 32;
}

/* https://bedrock-runtime.us-east-1.amazonaws.com, bedrock-runtime-fips.<region>, and the endpoint
 * of a private link: what stands after the first label that begins so. */
static tp_str region_in(tp_str url)
{
    for (; url.len; url.ptr++, url.len--) {
        const char *dot;
        if (!span_istarts(url, SPAN("bedrock-runtime")))
            continue;
        dot = memchr(url.ptr, '.', url.len);
        if (!dot)
            break;
        tp_str rest = {dot + 1, (size_t)(url.ptr + url.len - dot) - 1};
        dot = rest.len ? memchr(rest.ptr, '.', rest.len) : NULL;
        if (dot)
            return (tp_str){rest.ptr, (size_t)(dot - rest.ptr)};
        break;
    }
    return SPAN_NONE;
}

static tp_str pooled(char **to, tp_str s)
{
    tp_str out = {*to, s.len};
    if (s.len)
        memcpy(*to, s.ptr, s.len);
    *to += s.len;
    return out;
}

static tp_str pooled_option(const tp_host *h, tp_call *c, const tp_doc *d, tp_str name, char **to)
{
    tp_str s = span_member(h, c, d, 0, name);
    return span_is(s, "auto") ? SPAN_NONE : pooled(to, s);
}

static int option_flag(const tp_host *h, const tp_doc *d, tp_str name, int other)
{
    uint32_t t = h->find(d, 0, name);
    return span_kind(d, t) == TP_BOOL ? span_true(d, t) : other;
}

tp_status bedrock_create(const tp_host *h, tp_call *c, tp_doc options, tp_instance **out)
{
    const tp_doc *d = &options;
    tp_instance *in = calloc(1, sizeof(*in));
    char *to = in ? in->pool = malloc(d->text.len * 2 + 96) : NULL;
    if (!to) {
        free(in);
        return h->fail(c, TP_E_NOMEM, SPAN_NONE, SPAN("out of memory for the options"));
    }
    tp_str region = span_member(h, c, d, 0, SPAN("region"));
    in->host = h;
    in->bearer = span_is(span_member(h, c, d, 0, SPAN("auth")), "bearer");
    in->cache = option_flag(h, d, SPAN("prompt_caching"), -1);
    in->unsigned_thoughts = option_flag(h, d, SPAN("unsigned_thoughts"), 0);
    in->family = pooled_option(h, c, d, SPAN("family"), &to);
    in->reasoning = pooled_option(h, c, d, SPAN("reasoning"), &to);
    in->structured_output = pooled_option(h, c, d, SPAN("structured_output"), &to);
    if (!region.len)
        region = region_in(span_member(h, c, d, 0, SPAN("base_url")));
    if (!region.len)
        region = SPAN("us-east-1");
    if (!is_region(region)) {
        tp_status st = h->fail(c, TP_E_INPUT, SPAN("region"),
                               SPAN("region must be the name of an AWS region, such as us-east-1"));
        bedrock_destroy(in);
        return st;
    }
    in->region = pooled(&to, region);
    in->sign_params.ptr = to;
    pooled(&to, SPAN("{\"service\":\"bedrock\",\"region\":\""));
    pooled(&to, region);
    pooled(&to, SPAN("\"}"));
    in->sign_params.len = (size_t)(to - in->sign_params.ptr);
    eventstream_crc_init(&in->crc);
    *out = in;
    return TP_OK;
}

void bedrock_destroy(tp_instance *in)
{
    free(in->pool);
    free(in);
}

/* ---- The request. */
/* /model/{id}/converse: an id has ':', an ARN '/' too. */
static tp_str path_of(const tp_host *h, tp_call *c, tp_str model, int stream)
{
    static const tp_str head = SPAN_INIT("/model/");
    tp_str tail = stream ? SPAN("/converse-stream") : SPAN("/converse");
    char *buf = h->alloc(c, head.len + 3 * model.len + tail.len), *to = buf;
    if (!buf)
        return SPAN_NONE;
    pooled(&to, head);
    to = span_percent(to, model, 0);
    pooled(&to, tail);
    return (tp_str){buf, (size_t)(to - buf)};
}

static tp_status head_of_request(const tp_instance *in, tp_call *c, const tp_operation *op,
                                 const tp_target *target)
{
    const tp_host *h = in->host;
    int stream = (op->flags & TP_STREAM) != 0;
    tp_str path = path_of(h, c, target->model, stream);
    if (!path.len)
        return h->fail(c, TP_E_NOMEM, SPAN_NONE, SPAN("out of memory for the path"));
    tp_status st = h->request(c, SPAN("POST"), path);
    if (st == TP_OK)
        st = in->bearer ? h->secret_header(c, SPAN("authorization"), SPAN("Bearer "))
                        : h->sign(c, SPAN("aws4"), in->sign_params);
    if (st == TP_OK)
        st = h->header(c, SPAN("content-type"), SPAN("application/json"));
    if (st == TP_OK)
        st = h->header(c, SPAN("accept"), stream ? SPAN("application/vnd.amazon.eventstream")
                                                 : SPAN("application/json"));
    return st;
}

static tp_status build(const tp_instance *in, tp_call *c, const tp_operation *op,
                       const tp_target *target)
{
    const tp_host *h = in->host;
    plan *p = h->alloc(c, sizeof(*p));
    if (!p)
        return h->fail(c, TP_E_NOMEM, SPAN_NONE, SPAN("out of memory for the request"));
    *p = (plan){.in = in, .reply = c->state, .o = {.h = h, .c = c}};
    tp_status st = chat_begin(&p->r, h, c, op, target);
    if (st != TP_OK)
        return st;
    p->t = bedrock_traits(in, h, c, target);
    p->reply->streaming = (op->flags & TP_STREAM) != 0;
    p->reply->claude = p->t.family == FAMILY_CLAUDE;
    st = head_of_request(in, c, op, target);
    return st == TP_OK ? bedrock_write_body(p) : st;
}

static const tp_str formats[] = {SPAN_INIT("chat/openai")};
static const tp_provider provider = {
    .size = sizeof(tp_provider),
    .state_size = sizeof(bedrock_reply),
    .formats = {formats, 1, sizeof(tp_str)},
    .build = build,
    .head = bedrock_head,
    .data = bedrock_data,
    .end = bedrock_end,
    .failed = bedrock_failed,
};

PLUGIN_ENTRY("org.turnpike.bedrock", "1.0.0", TP_PROVIDER, provider, bedrock_create, bedrock_destroy)
