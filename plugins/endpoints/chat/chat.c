/* Endpoint chat: chat completions in the OpenAI format, which is also the canonical one. */
#include <stdlib.h>
#include "chat_int.h"
#include "../../common/plugin_entry.h"

TP_MANIFEST({
    "id": "org.turnpike.chat",
    "name": "Chat completions",
    "version": "1.0.0",
    "license": "Apache-2.0",
    "sdk": "1.0",
    "kinds": ["endpoint"],
    "description": "Chat completions in the OpenAI format: checks every parameter, relays native replies and renders all others.",
    "options": {
        "type": "object",
        "additionalProperties": false,
        "properties": {
            "max_stop": {"type": "integer", "minimum": 0, "maximum": 1000000, "default": 4, "description": "Most stop sequences that a request may give; 0: any number."}
        }
    }
});

static tp_status create(const tp_host *h, tp_call *c, tp_doc options, tp_instance **out)
{
    tp_instance *in = calloc(1, sizeof(*in));
    if (!in)
        return h->fail(c, TP_E_NOMEM, SPAN_NONE, SPAN("out of memory"));
    in->host = h;
    in->max_stop = 4;
    if (options.count && options.tokens[0].kind == TP_OBJECT) {
        uint32_t t = h->find(&options, 0, SPAN("max_stop"));
        if (t && (!span_int(&options, t, &in->max_stop) || in->max_stop < 0)) {
            free(in);
            return h->fail(c, TP_E_INPUT, SPAN("max_stop"),
                           SPAN("expected an integer of at least 0; 0 allows any number"));
        }
    }
    *out = in;
    return TP_OK;
}

static void destroy(tp_instance *in)
{
    free(in);
}

static const tp_endpoint endpoint = {
    .size = sizeof(tp_endpoint),
    .state_size = sizeof(chat_state),
    .format = SPAN_INIT("chat/openai"),
    .parse = chat_parse,
    .render = chat_render,
};

PLUGIN_ENTRY("org.turnpike.chat", "1.0.0", TP_ENDPOINT, endpoint, create, destroy)
