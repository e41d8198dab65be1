/* Provider cohere: what its files share. */
#ifndef TURNPIKE_PLUGINS_COHERE_INT_H
#define TURNPIKE_PLUGINS_COHERE_INT_H
#include "../../common/chat_reply.h"
#include "../../common/chat_request.h"
#include "../../common/fault.h"
#include "../../common/json_out.h"

struct tp_instance { /* const after create */
    const tp_host *host;
    tp_str path, client_name;
    char *pool; /* the strings above */
};

/* ---- The request. */
typedef struct cohere_body { /* one body under way */
    chat_request r;
    json_out o;
    const tp_doc *extra;  /* the deployment's own options; its root is an object, or NULL */
    chat_thinking thinking;
    uint32_t thinking_at; /* the request's own "thinking", object, or 0 */
    int thinks;           /* does the model think in this request? */
    int documents;        /* there are parts to be carried as documents */
    int wordless;         /* no message is left, or the last one was nothing but documents */
    int has_tools, has_documents; /* were written */
} cohere_body;

/* A parameter of Cohere's own: the request's, else the deployment's. */
typedef struct cohere_value {
    const tp_doc *d;
    uint32_t t; /* 0: neither says it */
} cohere_value;
cohere_value cohere_param(cohere_body *b, tp_str name);

int cohere_thinks(const cohere_body *b); /* sets nothing: for `thinks` */
int cohere_cannot_think(const cohere_body *b); /* a model that is known not to */
/* "messages": [...] */
void cohere_write_messages(cohere_body *b);
/* One document out of a part of type file, or of Cohere's type document: what stands in "documents"
 * or, with `in_message`, a part of a tool message. */
void cohere_write_document(cohere_body *b, const chat_message *m, const chat_part *p,
                           int in_message);
/* "documents": [...], the request's own and those of its messages. */
void cohere_write_documents(cohere_body *b);
/* "tools", "tool_choice", "strict_tools". */
void cohere_write_tools(cohere_body *b);
/* All the rest; then what nobody took is reported. */
void cohere_write_params(cohere_body *b);

/* ---- The reply. */
enum { COHERE_BLOCKS = 16 };
typedef struct cohere_call cohere_call; /* kept: a tool call */
typedef struct cohere_reply { /* the state of an attempt */
    uint8_t stream;           /* asked for as a stream */
    uint8_t sse;
    uint8_t hidden;           /* the client does not want to see the thought */
    uint8_t started, answered;
    uint8_t finished;         /* a finish reason was seen */
    uint8_t done;             /* END or ERROR was emitted */
    uint8_t reserved;
    uint32_t items;           /* so far */
    uint32_t text, reasoning; /* item + 1; 0: not begun */
    uint32_t block;           /* place of the text block under way */
    uint32_t chars;           /* characters of text so far */
    uint32_t base[COHERE_BLOCKS]; /* by place of a block: characters of text before it */
    cohere_call *calls;       /* newest first */
} cohere_reply;

void cohere_begin(cohere_reply *r, const cohere_body *b);
tp_status cohere_head(cohere_reply *r, const tp_reply *reply, int32_t *framing);
tp_status cohere_data(const tp_host *h, tp_call *c, cohere_reply *r, tp_frame *frame);
tp_status cohere_end(const tp_host *h, tp_call *c, cohere_reply *r, int32_t broken);
tp_status cohere_failed(const tp_host *h, tp_call *c, const tp_reply *reply);

/* details.c: usage, citations and log probabilities in canonical shape. */
void cohere_usage(chat_out *o, const tp_doc *d, uint32_t usage);
/* One citation; base: characters of text before the block that it speaks of (where it does not name
 * that block itself). */
void cohere_citation(chat_out *o, cohere_reply *r, const tp_doc *d, uint32_t citation);
/* An item of log probabilities, or a list of them. */
void cohere_logprobs(chat_out *o, cohere_reply *r, const tp_doc *d, uint32_t t);
#endif
