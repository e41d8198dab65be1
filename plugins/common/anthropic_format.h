/* Anthropic's Messages format: a canonical chat request out as a Messages body, a Messages reply in
 * as canonical events. Compiled into every provider whose upstream speaks it; what differs from one
 * to the next is a variant. Formats: "chat/openai" is translated, "chat/anthropic" passes as it
 * stands. All functions: [loop], one exchange at a time. */
#ifndef TURNPIKE_PLUGINS_ANTHROPIC_FORMAT_H
#define TURNPIKE_PLUGINS_ANTHROPIC_FORMAT_H
#include "fault.h"

#define ANTHROPIC_FORMAT "chat/anthropic"
#define ANTHROPIC_PROOF "anthropic-claude-v1" /* format of signatures and sealed thoughts */

enum { ANTHROPIC_AUTO = 0, /* by the model's name */
       ANTHROPIC_THINK_BUDGET, ANTHROPIC_THINK_ADAPTIVE, ANTHROPIC_THINK_NONE };
enum { ANTHROPIC_OUTPUT_NATIVE = 1, ANTHROPIC_OUTPUT_TOOL };
enum { ANTHROPIC_SAMPLE_FULL = 1, ANTHROPIC_SAMPLE_ONE, ANTHROPIC_SAMPLE_NONE };

/* How an upstream differs from Anthropic's own API. All zero: Anthropic's own. */
typedef struct anthropic_variant {
    tp_str version;        /* "anthropic_version" in the body; empty: it stands in a header */
    uint8_t no_model;      /* the path names the model: no "model" in the body */
    uint8_t no_stream;     /* the path says how: no "stream" in the body */
    uint8_t betas_in_body; /* "anthropic_beta": [...] in the body in place of the header */
    uint8_t no_betas;      /* betas that this format would ask for by itself are left out */
    uint8_t no_urls;       /* content at an address is refused by the upstream */
    uint8_t thinking, structured, sampling; /* ANTHROPIC_...; a deployment may say otherwise */
    int64_t default_max_tokens;             /* 0: 4,096 */
    tp_str betas;                           /* asked for always, joined by commas; or empty */
} anthropic_variant;

enum { ANTHROPIC_OPEN = 16 }; /* most content blocks of a stream that are open at once */
typedef struct anthropic_block {
    int32_t index; /* the upstream's */
    uint8_t kind, spoke; /* spoke: text of a thought, or arguments of a call, have come */
    uint8_t reserved[2];
    uint32_t item;
    int64_t from; /* characters of answer before it */
} anthropic_block;

/* Part of a provider's state; zeroed by the host at the start of an attempt. */
typedef struct anthropic_reply {
    uint8_t may_relay; /* the client's format is ours */
    uint8_t stream;    /* asked for as a stream */
    uint8_t relay, sse;
    uint8_t started, answered, finished, done;
    uint8_t json_tool; /* the answer comes as the arguments of a tool of ours */
    uint8_t hidden;    /* thoughts are not to be shown */
    uint8_t open_count;
    uint8_t fields;    /* top-level fields that were passed on, by bit */
    uint8_t reported;  /* units that were emitted, by bit */
    uint8_t reserved[3];
    uint32_t items, calls;
    int64_t chars;     /* of answer so far */
    int64_t count[6];  /* of usage, as the upstream counts: see anthropic_decode.c */
    anthropic_block open[ANTHROPIC_OPEN];
} anthropic_reply;

/* Reads what options of an instance or a deployment have to say of a variant: thinking,
 * structured_output, sampling, default_max_tokens. options: JSON, or without tokens. */
void anthropic_read_options(const tp_host *h, const tp_doc *options, anthropic_variant *v);
/* Writes the body (and the header anthropic-beta, where one is needed) once request() was called,
 * and begins the reply's state. */
tp_status anthropic_write(const tp_host *h, tp_call *c, const anthropic_variant *v,
                          const tp_operation *op, const tp_target *target, anthropic_reply *reply);
tp_status anthropic_head(anthropic_reply *r, const tp_reply *reply, int32_t *framing);
tp_status anthropic_data(const tp_host *h, tp_call *c, anthropic_reply *r, tp_frame *frame);
tp_status anthropic_end(const tp_host *h, tp_call *c, anthropic_reply *r, int32_t broken);
tp_status anthropic_failed(const tp_host *h, tp_call *c, const tp_reply *reply);
#endif
