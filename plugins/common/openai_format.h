/* The reply side of the OpenAI chat format: upstream bytes in, canonical events out. Compiled into
 * every provider whose upstream answers in that format. A reply is relayed (FRAME) when the client
 * speaks the same format and the framing is the one that was asked for; otherwise it is decoded.
 * All functions: [loop], one exchange at a time. */
#ifndef TURNPIKE_PLUGINS_OPENAI_FORMAT_H
#define TURNPIKE_PLUGINS_OPENAI_FORMAT_H
#include "fault.h"

typedef struct openai_choice openai_choice; /* kept: what the decoder knows of one choice */

/* Part of a provider's state; zeroed by the host at the start of an attempt. */
typedef struct openai_reply {
    uint8_t may_relay; /* the client's format is ours */
    uint8_t stream;    /* asked for as a stream */
    uint8_t relay;     /* the reply that came is passed on as it stands */
    uint8_t sse;
    uint8_t started, answered, done;
    uint8_t reported;  /* units that were above 0 once, by bit: must be corrected if they fall */
    uint8_t fields;    /* top-level fields that were passed on, by bit */
    uint8_t strict;    /* set by build: the upstream is not quite of this format, so what is not is
                          put right before it is relayed (openai_mend.c) */
    uint8_t reserved[2];
    uint32_t asked, seen, finished; /* choices */
    uint64_t seen_bits[2], finished_bits[2];
    openai_choice *choices;
} openai_reply;

/* Called by build, once the request is written. */
void openai_begin(openai_reply *r, const tp_operation *op);
tp_status openai_head(openai_reply *r, const tp_reply *reply, int32_t *framing);
tp_status openai_data(const tp_host *h, tp_call *c, openai_reply *r, tp_frame *frame);
tp_status openai_end(const tp_host *h, tp_call *c, openai_reply *r, int32_t broken);

/* ---- Usage (openai_usage.c) */
/* Emits USAGE events, disjoint units, from an OpenAI usage object. frame: raw of the last of them,
 * or empty. */
tp_status openai_usage(const tp_host *h, tp_call *c, openai_reply *r, const tp_doc *d,
                       uint32_t usage, tp_str frame);
enum { OPENAI_PROMPT, OPENAI_CACHE_READ, OPENAI_CACHE_WRITE, OPENAI_AUDIO_PROMPT, OPENAI_COMPLETION,
       OPENAI_REASONING, OPENAI_AUDIO_COMPLETION, OPENAI_UNITS };
/* The same units, disjoint. 0: the object counts as OpenAI's does, so that it may be shown as it
 * is. */
int openai_units(const tp_host *h, tp_call *c, const tp_doc *d, uint32_t usage,
                 int64_t unit[OPENAI_UNITS]);

static inline tp_event openai_event(int32_t kind)
{
    return (tp_event){.size = sizeof(tp_event), .kind = kind};
}
#endif
