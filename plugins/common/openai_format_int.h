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
    uint32_t object, message, detail; /* by which an error shows itself */
    uint32_t citations, results;      /* Perplexity's */
    int64_t bytes; /* of answer, when relayed */
} frame;

typedef struct openai_called { /* a tool call of a choice */
    struct openai_called *next;
    uint64_t id_hash; /* 0: came without an id */
    int64_t index;    /* the upstream's, or -1 */
    uint32_t item;
    uint32_t said;    /* arguments came */
} openai_called;

struct openai_choice { /* of a relayed reply: the calls alone, counted by items */
    openai_choice *next;
    openai_called *calls; /* newest first */
    uint32_t index, items;
    uint32_t text, reasoning, refusal; /* item + 1; 0: not begun */
    uint32_t reserved;
};
openai_choice *openai_choice_of(frame *f, uint32_t index); /* NULL: no memory */
/* The call that this element of tool_calls belongs to, by index or id; *fresh: it is a new one.
 * NULL: no memory. */
openai_called *openai_call_of(frame *f, openai_choice *k, uint32_t t, int *fresh);

typedef struct choice { /* one element of "choices" */
    uint32_t index, body, finish, logprobs;
    uint32_t several; /* "messages", where there is no body */
} choice;

tp_status openai_emit_start(frame *f); /* once, from the first frame that has an id */
choice openai_read_choice(frame *f, uint32_t t);
void openai_note_seen(openai_reply *r, const choice *ch);
tp_status openai_emit_finish(frame *f, const choice *ch);
tp_str openai_finish_word(tp_str word); /* OpenAI's for an upstream's; empty: an error */
/* Everything that a document holds, as canonical events. */
tp_status openai_decode(frame *f);
/* Calls of all choices that have no arguments by the end of the reply have {}. */
tp_status openai_close_calls(const tp_host *h, tp_call *c, openai_choice *all);
/* openai_mend.c: what a client of OpenAI's can read as it is. */
int openai_is_true_whole(const frame *f);
/* The frame of a stream in OpenAI's form, in place if it has it already; *usage: the frame that
 * shows the usage, if that was in it beside choices. ptr NULL: no memory. */
tp_str openai_mended(frame *f, tp_str raw, tp_str *usage);
/* A part of content that names a source, as a canonical annotation; ptr NULL: it is none. */
tp_str openai_reference(const frame *f, uint32_t part);
#endif
