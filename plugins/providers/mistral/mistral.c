/* Provider mistral: Mistral's chat, which is nearly OpenAI's, and its fill-in-the-middle. The
 * request is the client's own bytes with edits, the reply is relayed where it is of OpenAI's form.
 */
#include "mistral_int.h"
#include "../../common/provider.h"

TP_MANIFEST({
    "id": "org.turnpike.mistral",
    "name": "Mistral",
    "version": "1.0.0",
    "license": "Apache-2.0",
    "sdk": "1.0",
    "kinds": ["provider"],
    "description": "Mistral's chat completions and fill-in-the-middle. A deployment's own options are parameters of Mistral's (safe_prompt, guardrails, reasoning_effort...), used where a request does not say them; beside them, reasoning_efforts as below, and drop: parameters that its model refuses.",
    "options": {
        "type": "object",
        "additionalProperties": false,
        "properties": {
            "base_url": {"type": "string", "description": "Scheme, host and path prefix of the upstream, for example https://api.mistral.ai/v1."},
            "paths": {
                "type": "object",
                "additionalProperties": false,
                "properties": {
                    "chat": {"type": "string", "default": "/chat/completions", "description": "Path of chat completions below base_url."},
                    "fim": {"type": "string", "default": "/fim/completions", "description": "Path of fill-in-the-middle below base_url."}
                }
            },
            "reasoning_efforts": {"type": "array", "items": {"type": "string"}, "description": "The words that reasoning_effort may be; of others the nearest is taken, and none at all where the list is empty. Without it, it goes by the model's name: for most none and high."},
            "pass": {"type": "array", "items": {"type": "string"}, "description": "Parameters that the upstream takes beyond those known here; any other is left out and reported."},
            "repair": {"type": "boolean", "default": true, "description": "Whether an order of messages that Mistral refuses is mended (and reported): a user's message after a tool's result, a system message after an answer, an assistant's message at the end."}
        }
    }
});

static const tp_str formats[FORMATS] = {SPAN_INIT("chat/openai"), SPAN_INIT("fim/openai")};

static tp_status build(const tp_instance *in, tp_call *c, const tp_operation *op,
                       const tp_target *target)
{
    const tp_host *h = in->host;
    uint32_t format = 0;
    while (format < FORMATS && !span_eq(formats[format], op->format))
        format++;
    if (format == FORMATS)
        return h->fail(
            c, TP_E_UNSUPPORTED, SPAN_NONE,
            SPAN("provider mistral takes requests in the formats chat/openai and fim/openai"));
    tp_status st = h->request(c, SPAN("POST"), in->paths[format]);
    if (st == TP_OK)
        st = h->secret_header(c, SPAN("authorization"), SPAN("Bearer "));
    if (st == TP_OK)
        st = provider_json_headers(h, c, op);
    if (st == TP_OK)
        st = format == FORMAT_FIM ? mistral_write_fim(in, c, op, target)
                                  : mistral_write_chat(in, c, op, target);
    openai_reply *r = c->state;
    openai_begin(r, op);
    r->strict = 1;
    if (format == FORMAT_FIM) /* its replies are chat's, and no client's of completions */
        r->may_relay = 0;
    return st;
}

PROVIDER_REPLY(openai, mistral_failed)

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

PLUGIN_ENTRY("org.turnpike.mistral", "1.0.0", TP_PROVIDER, provider, mistral_create, mistral_destroy)
