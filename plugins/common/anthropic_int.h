/* What the files of the Messages format share. */
#ifndef TURNPIKE_PLUGINS_ANTHROPIC_INT_H
#define TURNPIKE_PLUGINS_ANTHROPIC_INT_H
#include "anthropic_format.h"
#include "chat_request.h"
#include "json_out.h"

#define ANTHROPIC_JSON_TOOL "json_answer"

/* ---- What a model takes (anthropic_model.c). */
typedef struct anthropic_model {
    int32_t version;       /* major * 100 + minor of a Claude; 0: not a Claude */
    uint8_t budget;        /* thinking by a number of tokens */
    uint8_t adaptive;      /* thinking by effort */
    uint8_t on_by_default; /* thinks although nobody asked; can be switched off */
    uint8_t always_on;     /* and cannot be switched off */
    uint8_t omits;         /* leaves the thought's text out unless it is asked for */
    uint8_t sampling;      /* ANTHROPIC_SAMPLE_ */
    uint8_t native;        /* structured output, strict tools */
    uint8_t prefill;       /* goes on with a last message of the assistant's */
    uint8_t xhigh, max;    /* these efforts are known */
} anthropic_model;
anthropic_model anthropic_model_of(tp_str name, const anthropic_variant *v);

/* ---- One body under way. */
enum { THINK_SILENT = 0, THINK_OFF, THINK_BUDGET, THINK_ADAPTIVE };
enum { ANTHROPIC_MARKS = 4, ANTHROPIC_BETAS = 16, ANTHROPIC_KEYS = 48 };
typedef struct body {
    chat_request r;
    json_out o;
    const anthropic_variant *v;
    anthropic_variant own; /* the variant, as the deployment's options change it */
    anthropic_model model;
    anthropic_reply *reply;
    tp_str betas[ANTHROPIC_BETAS];
    tp_str keys[ANTHROPIC_KEYS]; /* members written at the top */
    uint32_t beta_count, key_count, marks;

    int64_t max_tokens;
    int32_t thinking;      /* THINK_ */
    int64_t budget;
    tp_str effort, display;
    chat_format format;
    chat_choice choice;
    int32_t native, json_tool, json_words; /* how a format is asked for */
    int32_t auto_choice;   /* a forced choice is not possible */
    int32_t any_tool;
    uint32_t thinking_at, output_config;
    chat_messages callers; /* from the last turn of the assistant's on */
    const char *think_place; /* the parameter that spoke of thinking */
} body;

void anthropic_key(body *b, tp_str key); /* of the top level: is remembered */
void anthropic_beta(body *b, tp_str name);
/* "cache_control" of a block: at most four a request. place: as printf's, of the block. */
void anthropic_mark(body *b, uint32_t mark, const char *list, uint32_t i, int64_t k);
int anthropic_blank(const tp_doc *d, uint32_t string); /* nothing but white space */

/* anthropic_think.c: decides thinking, max_tokens and forced choices; then writes them. */
void anthropic_plan(body *b);
void anthropic_put_thinking(body *b);
/* anthropic_message.c */
typedef struct anthropic_turns { /* what the messages say of themselves */
    int32_t ends_with_assistant; /* the last turn is a text of the assistant's, to be gone on with */
    int32_t unproved_calls; /* the turn whose results come last has calls, and no signed thought */
} anthropic_turns;
anthropic_turns anthropic_look(body *b);
void anthropic_put_system(body *b);
void anthropic_put_messages(body *b);
/* anthropic_part.c */
enum { IN_USER, IN_ASSISTANT, IN_RESULT };
int anthropic_writes(const body *b, const chat_part *p); /* does a part come to a block? */
void anthropic_put_part(body *b, const chat_message *m, const chat_part *p, int where,
                        uint32_t mark);
/* anthropic_tools.c */
int anthropic_any_tool(const body *b); /* is there one that this API takes? */
void anthropic_put_tools(body *b);
void anthropic_put_choice(body *b);
/* anthropic_schema.c */
int anthropic_schema_fits(const body *b, uint32_t schema);
/* Writes a schema within the subset of structured output. 1: something of it was altered. */
int anthropic_put_schema(body *b, uint32_t schema);
/* anthropic_relay.c */
tp_status anthropic_splice(const tp_host *h, tp_call *c, const anthropic_variant *v,
                           const tp_operation *op, const tp_target *target);

/* ---- A reply's document under way (anthropic_decode.c, anthropic_relay.c). */
typedef struct document {
    const tp_host *h;
    tp_call *c;
    anthropic_reply *r;
    tp_doc doc;
    uint32_t type, index, delta, block, message, usage, error;           /* of a frame */
    uint32_t id, model, content, stop, sequence, details, container, management; /* of a message */
} document;
void anthropic_read_members(document *f, uint32_t object);
tp_status anthropic_emit_start(document *f);
tp_status anthropic_emit_usage(document *f, int final);
tp_status anthropic_emit_finish(document *f);
/* Of a reply that is complete, and did not say why it ended. */
tp_status anthropic_finish_unsaid(document *f);
tp_status anthropic_decode(document *f); /* a frame or a message, as canonical events */
tp_status anthropic_stop(document *f); /* the end of a stream */
tp_status anthropic_relay(document *f, tp_str raw);
tp_status anthropic_fault_in(document *f);
#endif
