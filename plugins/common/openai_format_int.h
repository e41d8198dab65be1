/* What openai_format.c (framing, relaying) and openai_decode.c (canonical events) share. */
#ifndef TURNPIKE_PLUGINS_OPENAI_FORMAT_INT_H
#define TURNPIKE_PLUGINS_OPENAI_FORMAT_INT_H
#include "openai_format.h"
#include "span.h"

typedef struct frame { /* one document under way */
    const tp_host *h;
    tp_call *c;
    openai_reply *r;
    tp_doc doc;
    uint32_t id, model, created, choices, usage, error, fingerprint, tier, groq;
    int64_t bytes; /* of answer, when relayed */
} frame;

typedef struct choice { /* one element of "choices" */
    uint32_t index, body, finish, logprobs;
} choice;

tp_status openai_emit_start(frame *f); /* once, from the first frame that has an id */
choice openai_read_choice(frame *f, uint32_t t);
void openai_note_seen(openai_reply *r, const choice *ch);
tp_status openai_emit_finish(frame *f, const choice *ch);
/* Everything that a document holds, as canonical events. */
tp_status openai_decode(frame *f);
#endif
