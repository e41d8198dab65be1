/* Google's format: what the files that read a reply share. */
#ifndef TURNPIKE_PLUGINS_GOOGLE_REPLY_INT_H
#define TURNPIKE_PLUGINS_GOOGLE_REPLY_INT_H
#include "chat_reply.h"
#include "google_format.h"

enum { GOOGLE_RULER = 16384 };
typedef struct google_ruler { /* which bytes of a text do not begin a character */
    uint64_t bytes, chars;          /* of all of it */
    uint64_t known;                 /* characters within the bits below */
    uint64_t inner[GOOGLE_RULER / 64]; /* one bit a byte, of the first ones */
} google_ruler;

struct google_choice {
    google_choice *next;
    uint32_t index, items;
    uint32_t text, thought; /* item + 1 of the last; 0: none yet */
    int32_t last;           /* TP_EV_TEXT or TP_EV_REASONING: what the last part was */
    uint32_t calls, media;
    uint8_t finished, reason_len;
    char reason[46];        /* finishReason as it came last */
    google_ruler *ruler;    /* NULL: nobody may ask */
};

typedef struct google_frame { /* one call of data */
    chat_out o;
    google_reply *r;
    const tp_doc *d;
} google_frame;

/* google_annotate.c */
void google_measure(google_choice *k, tp_str text);
void google_emit_raw(google_frame *f, const google_choice *k, int32_t kind, tp_str id, tp_str raw);
/* groundingMetadata, citationMetadata, logprobsResult of a candidate. */
void google_grounding(google_frame *f, google_choice *k, uint32_t t);
void google_citations(google_frame *f, google_choice *k, uint32_t t);
void google_logprobs(google_frame *f, google_choice *k, uint32_t t);
/* google_usage.c */
void google_usage(google_frame *f, uint32_t usage);
/* google_decode.c: JSON without the whitespace between its tokens. */
tp_str google_compact(google_frame *f, tp_str json);
#endif
