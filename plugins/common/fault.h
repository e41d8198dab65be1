/* What an upstream says when it refuses or fails, whatever the shape: OpenAI's {"error": {...}},
 * Anthropic's {"type": "error", "error": {...}}, Google's {"error": {"code", "message", "status"}},
 * Cohere's {"id", "message"}, Mistral's {"detail": ...}, AWS's {"__type", "message"}, lists of
 * these, plain text. A provider that knows more of its API fills a fault in, betters it, and emits
 * it. All functions: [loop]. Strings are the call's. */
#ifndef TURNPIKE_PLUGINS_FAULT_H
#define TURNPIKE_PLUGINS_FAULT_H
#include <turnpike/plugin.h>

typedef struct fault {
    tp_str message, type, code, param;
    int64_t status;   /* as its document says, 400 .. 599; 0: not said */
    int64_t retry_ms; /* -1: not said */
} fault;

/* Reads an error document. at: the value of "error", or 0 for the document itself. retry_ms stays.
 */
void fault_read(const tp_host *h, tp_call *c, const tp_doc *d, uint32_t at, fault *e);
/* Reads a refusal: its body, and Retry-After. The message is never empty. text: room for a sentence
 * of ours; keep it until the fault is emitted. */
void fault_of_reply(const tp_host *h, tp_call *c, const tp_reply *reply, fault *f, char text[64]);
/* TP_ERR_: by its words, then by the status (0: the document's own), then by its type. */
int32_t fault_code(const fault *f, int64_t status);
/* Emits ERROR. */
tp_status fault_emit(const tp_host *h, tp_call *c, const fault *f, int32_t code);
/* The three together: a refusal; an error document within a reply; a sentence of ours (the upstream
 * did what it should not). */
tp_status fault_failed(const tp_host *h, tp_call *c, const tp_reply *reply);
tp_status fault_in(const tp_host *h, tp_call *c, const tp_doc *d, uint32_t at);
tp_status fault_say(const tp_host *h, tp_call *c, tp_str text);

/* The first header of that name (ASCII case ignored), trimmed, or an empty span. */
tp_str fault_header(const tp_list *headers, tp_str name);
/* retry-after-ms, else Retry-After as seconds or as a date: ms from now, a day at most; -1: none.
 */
int64_t fault_retry_after(const tp_call *c, const tp_list *headers);
int fault_contains(tp_str s, tp_str word); /* ASCII case ignored */
tp_str fault_status_sentence(int32_t status, char text[64]);
#endif
