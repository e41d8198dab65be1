/* Provider google: the Gemini API of Google AI. */
#include <stdlib.h>
#include "../../common/google_format.h"
#include "../../common/provider.h"

TP_MANIFEST({
    "id": "org.turnpike.google",
    "name": "Gemini API",
    "version": "1.0.0",
    "license": "Apache-2.0",
    "sdk": "1.0",
    "kinds": ["provider"],
    "description": "Translates chat requests into generateContent of Google's Gemini API, and its replies back.",
    "options": {
        "type": "object",
        "additionalProperties": false,
        "properties": {
            "base_url": {"type": "string", "description": "Scheme, host and version of the API, for example https://generativelanguage.googleapis.com/v1beta."},
            "schema": {"type": "string", "enum": ["auto", "json", "openapi"], "default": "auto", "description": "How schemas of tools and replies are sent: json as they stand (parametersJsonSchema, responseJsonSchema), openapi as the older subset of OpenAPI 3.0; auto is json, but for models before Gemini 2. A deployment may say so in its own options."},
            "thinking": {"type": "string", "enum": ["auto", "level", "budget", "none"], "default": "auto", "description": "How reasoning is asked for: level (thinkingLevel of Gemini 3), budget (thinkingBudget of Gemini 2.5), none; auto goes by the model's name. A deployment may say so in its own options."},
            "remote_files": {"type": "string", "enum": ["pass", "refuse"], "default": "pass", "description": "Whether http and https addresses of images and documents are passed on for Google to fetch; where they are refused, another candidate is tried."},
            "call_ids": {"type": "boolean", "default": true, "description": "Whether ids of tool calls are sent along."}
        }
    }
});

struct tp_instance {
    const tp_host *host;
    google_flavor flavor;
};

static tp_status create(const tp_host *h, tp_call *c, tp_doc options, tp_instance **out)
{
    tp_instance *in = calloc(1, sizeof(*in));
    if (!in)
        return h->fail(c, TP_E_NOMEM, SPAN_NONE, SPAN("out of memory while reading the options"));
    in->host = h;
    google_read_options(h, c, &options, &in->flavor);
    *out = in;
    return TP_OK;
}

static void destroy(tp_instance *in)
{
    free(in);
}

static tp_status build(const tp_instance *in, tp_call *c, const tp_operation *op,
                       const tp_target *target)
{
    const tp_host *h = in->host;
    int stream = (op->flags & TP_STREAM) != 0;
    tp_str path = google_path(h, c, SPAN("/models/"), target->model, stream);
    if (!path.len)
        return h->fail(c, TP_E_NOMEM, SPAN_NONE, SPAN("out of memory for the path"));
    tp_status st = h->request(c, SPAN("POST"), path);
    if (st == TP_OK)
        st = h->secret_header(c, SPAN("x-goog-api-key"), SPAN_NONE);
    if (st == TP_OK)
        st = provider_json_headers(h, c, op);
    if (st == TP_OK)
        st = google_write_body(h, c, &in->flavor, op, target);
    google_begin(c->state, h, c, op);
    return st;
}

PROVIDER_REPLY(google, google_failed)

static const tp_str formats[] = {SPAN_INIT("chat/openai")};

static const tp_provider provider = {
    .size = sizeof(tp_provider),
    .state_size = sizeof(google_reply),
    .formats = {formats, 1, sizeof(tp_str)},
    .build = build,
    .head = head,
    .data = data,
    .end = end,
    .failed = failed,
};

PLUGIN_ENTRY("org.turnpike.google", "1.0.0", TP_PROVIDER, provider, create, destroy)
