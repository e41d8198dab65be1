/* Provider bedrock: what its files share. */
#ifndef TURNPIKE_PLUGINS_BEDROCK_INT_H
#define TURNPIKE_PLUGINS_BEDROCK_INT_H
#include "../../common/chat_reply.h"
#include "../../common/chat_request.h"
#include "../../common/eventstream.h"
#include "../../common/fault.h"
#include "../../common/json_out.h"

struct tp_instance { /* const after create */
    const tp_host *host;
    tp_str region, sign_params; /* the JSON for "aws4" */
    tp_str family, reasoning, structured_output;
    int bearer, cache, unsigned_thoughts; /* cache: -1: by the model */
    eventstream_crc crc;
    char *pool; /* the strings above */
};
tp_status bedrock_create(const tp_host *h, tp_call *c, tp_doc options, tp_instance **out);
void bedrock_destroy(tp_instance *in);

/* ---- What is known of a model by its id (model.c). */
enum {
    FAMILY_OTHER,
    FAMILY_CLAUDE,
    FAMILY_NOVA,
    FAMILY_OPENAI,
    FAMILY_QWEN,
    FAMILY_MISTRAL,
    FAMILY_LLAMA,
    FAMILY_COHERE
};
/* How a model is asked to think, in additionalModelRequestFields. */
enum {
    REASONING_NONE,     /* there is no way that is known */
    REASONING_BUDGET,   /* thinking {type enabled, budget_tokens} */
    REASONING_ADAPTIVE, /* thinking {type adaptive}, output_config {effort} */
    REASONING_NOVA,     /* reasoningConfig {type enabled, maxReasoningEffort} */
    REASONING_EFFORT,   /* reasoning_effort */
    REASONING_CONFIG
}; /* reasoning_config: a word */
enum { STRUCTURED_NATIVE, STRUCTURED_TOOL };

typedef struct traits {
    int32_t family;
    int32_t version; /* Claude's and Nova's: 100 * major + minor; 0: not known */
    int32_t reasoning, structured;
    int structured_said; /* by the configuration */
    int cache, unsigned_thoughts;
} traits;
traits bedrock_traits(const tp_instance *in, const tp_host *h, tp_call *c, const tp_target *target);
/* A string of the deployment's options, or an empty span. */
tp_str bedrock_option(const tp_host *h, tp_call *c, const tp_target *target, tp_str name);

/* ---- A reply under way (decode.c). */
enum { BLOCKS = 16 }; /* most content blocks that are open at a time */
typedef struct bedrock_block {
    int64_t index;
    uint32_t item;
    uint8_t kind, open, told; /* told: arguments came */
    uint8_t reserved;
} bedrock_block;
typedef struct bedrock_reply { /* state: zeroed at the attempt's start */
    uint32_t items;
    uint32_t chars, block_from; /* characters of text so far; where the text block began */
    uint8_t streaming, chunks, answered, called, stopped, done, left_over;
    uint8_t hidden, claude, malformed;
    uint8_t json_len;
    char json_name[65]; /* of the tool whose arguments are the answer */
    char word[40];      /* why the output was malformed */
    uint32_t next_block;
    bedrock_block blocks[BLOCKS];
} bedrock_reply;
tp_status bedrock_head(const tp_instance *in, tp_call *c, const tp_reply *reply, int32_t *framing);
tp_status bedrock_data(const tp_instance *in, tp_call *c, tp_frame *frame);
tp_status bedrock_end(const tp_instance *in, tp_call *c, int32_t broken);
/* A whole reply; and what both forms share (whole.c). */
typedef struct reading { /* of one document */
    const tp_host *h;
    tp_call *c;
    bedrock_reply *r;
    tp_doc d;
    chat_out o;
} reading;
void bedrock_whole(reading *x);
void bedrock_usage(reading *x, uint32_t usage);
void bedrock_stop(reading *x, uint32_t word, uint32_t fields); /* stopReason */
void bedrock_extra(reading *x, uint32_t object);               /* trace, serviceTier */
void bedrock_complete(reading *x);                             /* END, or why there is none */
void bedrock_text(reading *x, uint32_t item, tp_str text);
void bedrock_citation(reading *x, uint32_t item, uint32_t citation);
void bedrock_sealed(reading *x, tp_str base64);
/* The printable ASCII that a blob holds, or an empty span: it holds something else. */
tp_str bedrock_text_of_blob(const tp_host *h, tp_call *c, tp_str base64);
void bedrock_media(reading *x, tp_str kind, uint32_t block, uint32_t item, tp_str format);
void bedrock_item(reading *x, uint32_t item, uint32_t t);
int bedrock_is_answer(const bedrock_reply *r, tp_str tool_name);
/* errors.c */
tp_status bedrock_failed(const tp_instance *in, tp_call *c, const tp_reply *reply);
tp_status bedrock_exception(const tp_host *h, tp_call *c, const eventstream_message *m);

/* ---- A request under way. */
enum { MOST_DOCUMENTS = 64, MOST_CACHE_POINTS = 4, MOST_STRICT_TOOLS = 20 };
typedef struct plan {
    const tp_instance *in;
    bedrock_reply *reply;
    chat_request r;
    json_out o;
    traits t;
    /* thought.c */
    chat_thinking thinking;
    tp_str thinking_word;   /* the parameter that asked for it */
    uint32_t thinking_said; /* the client's own object, where it is to go as it stands; or 0 */
    int think, adaptive;
    int64_t budget, max_tokens;
    tp_str effort; /* in the model's own words; empty: none */
    /* messages.c */
    int32_t role; /* of the message that is open, or 0 */
    int any_message, in_result, in_system, turn_has_text, turn_has_document;
    uint32_t blocks; /* written into the tool result or system */
    uint32_t waiting_cache;
    uint32_t cache_points; /* so far; four are the most */
    int after_thought;     /* the last block is one: no cache point may follow */
    uint64_t names[MOST_DOCUMENTS]; /* hashes of the documents' names */
    uint32_t name_count;
    uint32_t last_text; /* the last text of a final assistant message, to be trimmed */
    /* tools.c */
    chat_format format;
    chat_choice choice;
    int has_history;   /* calls or results among the messages */
    int native_format; /* the answer's schema goes as such, and not as a tool */
    uint32_t strict_tools;
    /* extra.c */
    int extra_open;
    uint32_t client_extra, deployment_extra;
} plan;
static inline int plan_ok(const plan *p)
{
    return p->r.st == TP_OK && p->o.st == TP_OK;
}
tp_status bedrock_write_body(plan *p);
void bedrock_messages(plan *p);
void bedrock_system(plan *p);
int bedrock_has_history(plan *p);
/* Begins a content block of that role's turn (or within a tool result, or system). */
void bedrock_block_begin(plan *p, int32_t role);
void bedrock_block_end(plan *p);
void bedrock_cache_point(plan *p, int32_t role, uint32_t cache_control);
/* One content part as a block, or a refusal. */
void bedrock_part(plan *p, const chat_message *m, const chat_part *part);
void bedrock_thoughts(plan *p, const chat_message *m);
void bedrock_thinking_part(plan *p, const chat_message *m, const chat_part *part);
int bedrock_has_proof(plan *p, const chat_message *m); /* a signed thought that this model takes */
tp_str bedrock_call_id(plan *p, tp_str id);
tp_str bedrock_tool_name(plan *p, tp_str name); /* made to fit where it is of the history */
int bedrock_name_fits(tp_str name);
void bedrock_tools(plan *p);
void bedrock_reasoning(plan *p); /* decides; before all that depends on it */
void bedrock_sampling(plan *p);  /* inferenceConfig */
void bedrock_extras(plan *p);    /* additionalModelRequestFields */
void bedrock_output(plan *p);    /* outputConfig */
/* The schema as this API takes it, as JSON text in the call's memory; what had to go is reported.
 */
tp_str bedrock_schema(plan *p, uint32_t schema, const char *place);
/* Can it be said so? Of other models than Claude nothing is known that they could not. */
int bedrock_schema_fits(const plan *p, uint32_t schema);
static inline int bedrock_blank(tp_str s) /* nothing but white space, spelled plainly or escaped */
{
    return span_trim(s).len == 0;
}
#endif
