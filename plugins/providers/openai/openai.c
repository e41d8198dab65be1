/* Provider openai: every upstream that speaks the OpenAI chat format. The request is the client's
 * own bytes with a few edits; the reply is relayed as it comes. */
#include "openai_int.h"
#include "../../common/provider.h"

TP_MANIFEST({
    "id": "org.turnpike.openai",
    "name": "OpenAI-compatible provider",
    "version": "1.0.0",
    "license": "Apache-2.0",
    "sdk": "1.0",
    "kinds": ["provider"],
    "description": "Sends requests to an upstream that speaks the OpenAI API and relays its replies as they are. A deployment's own options are parameters of the request, used where a request does not say them; and drop: parameters that its model refuses.",
    "options": {
        "type": "object",
        "additionalProperties": false,
        "properties": {
            "base_url": {"type": "string", "description": "Scheme, host and path prefix of the upstream, for example https://api.openai.com/v1."},
            "paths": {
                "type": "object",
                "additionalProperties": false,
                "properties": {
                    "chat": {"type": "string", "default": "/chat/completions", "description": "Path of chat completions below base_url; {model} stands for the deployment's model."}
                }
            },
            "query": {"type": "string", "description": "Query string of every request, for example api-version=2024-10-21."},
            "auth_header": {"type": "string", "default": "authorization", "description": "Header that carries the key, for example api-key."},
            "auth_prefix": {"type": "string", "description": "What stands before the key; by default Bearer and a space in authorization, nothing in another header."},
            "drop": {"type": "array", "items": {"type": "string"}, "description": "Parameters that this upstream refuses; each one left out is reported to the client. A deployment may name more in its own options."},
            "rename": {"type": "object", "additionalProperties": {"type": "string"}, "description": "Parameters that this upstream knows by another name, for example {\"max_completion_tokens\": \"max_tokens\"}."},
            "max_tokens_field": {"type": "string", "enum": ["auto", "max_tokens", "max_completion_tokens"], "default": "auto", "description": "The one name that this upstream takes for the token limit; auto leaves the client's."},
            "stream_usage": {"type": "boolean", "default": true, "description": "Whether the upstream takes stream_options.include_usage."},
            "drop_in_messages": {"type": "array", "items": {"type": "string"}, "description": "Members of messages that this upstream refuses, for example name; each one left out is reported to the client."},
            "developer_role": {"type": "string", "enum": ["developer", "system"], "default": "developer", "description": "What the role developer is called there."},
            "tool_choice_required": {"type": "string", "enum": ["required", "any", "auto"], "default": "required", "description": "The upstream's word for a tool choice of required; auto, which is reported, where there is none."},
            "one_choice": {"type": "boolean", "default": false, "description": "Whether the upstream answers with one choice only: n is left out, and reported where it is more than 1."},
            "model_prefix": {"type": "string", "description": "What stands before every model's name upstream."},
            "thinking": {"type": "string", "enum": ["as_it_is", "reasoning_effort", "reasoning", "thinking", "enable_thinking", "chat_template_kwargs", "none"], "default": "as_it_is", "description": "The member by which this upstream is told to think: what a client says in another form is translated to it, and reasoning_effort stays beside it. as_it_is translates nothing, none leaves it out and reports it."},
            "efforts": {"type": "array", "items": {"type": "string"}, "description": "The words of reasoning_effort that the upstream takes, where thinking says that it takes it at all; of others the nearest is taken and reported."}
        }
    }
});

static const tp_str formats[FORMATS] = {SPAN_INIT("chat/openai")};

/* "{model}" in a path becomes the deployment's model, percent-encoded (Azure's form). */
static tp_str path_of(const tp_instance *in, tp_call *c, tp_str path, tp_str model)
{
    static const tp_str mark = SPAN_INIT("{model}");
    const char *at = memmem(path.ptr, path.len, mark.ptr, mark.len);
    if (!at && !in->query.len)
        return path;
    char *buf = in->host->alloc(c, path.len + 3 * model.len + in->query.len + 1), *p = buf;
    if (!buf)
        return SPAN_NONE;
    size_t head = at ? (size_t)(at - path.ptr) : path.len;
    memcpy(p, path.ptr, head);
    p += head;
    if (at) {
        p = span_percent(p, model, 0);
        size_t tail = path.len - head - mark.len;
        memcpy(p, at + mark.len, tail);
        p += tail;
    }
    if (in->query.len) {
        *p++ = '?';
        memcpy(p, in->query.ptr, in->query.len);
        p += in->query.len;
    }
    return (tp_str){buf, (size_t)(p - buf)};
}

static tp_status build(const tp_instance *in, tp_call *c, const tp_operation *op,
                       const tp_target *target)
{
    const tp_host *h = in->host;
    uint32_t format = 0;
    while (format < FORMATS && !span_eq(formats[format], op->format))
        format++;
    if (format == FORMATS || !op->body.count || op->body.tokens[0].kind != TP_OBJECT)
        return h->fail(c, TP_E_UNSUPPORTED, SPAN_NONE,
                       SPAN("provider openai takes a JSON object in the format chat/openai"));
    tp_str path = path_of(in, c, in->paths[format], target->model);
    if (!path.len)
        return h->fail(c, TP_E_NOMEM, SPAN_NONE, SPAN("out of memory for the path"));
    tp_status st = h->request(c, SPAN("POST"), path);
    if (st == TP_OK)
        st = h->secret_header(c, in->auth_header, in->auth_prefix);
    if (st == TP_OK)
        st = provider_json_headers(h, c, op);
    if (st == TP_OK)
        st = openai_write_body(in, c, op, target);
    openai_begin(c->state, op);
    if (in->one_choice)
        ((openai_reply *)c->state)->asked = 1;
    return st;
}

PROVIDER_REPLY(openai, fault_failed)

static const tp_provider provider = {
    .size = sizeof(tp_provider),
    .state_size = sizeof(openai_reply),
    .formats = {formats, FORMATS, sizeof(tp_str)},
    .build = build,
    .head = head,
    .data = data,
    .end = end,
    .failed = failed,
};

PLUGIN_ENTRY("org.turnpike.openai", "1.0.0", TP_PROVIDER, provider, openai_create, openai_destroy)
