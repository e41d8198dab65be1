/* Endpoint chat: what its files share. */
#ifndef TURNPIKE_PLUGINS_CHAT_INT_H
#define TURNPIKE_PLUGINS_CHAT_INT_H
#include "../../common/span.h"

struct tp_instance { /* const after create */
    const tp_host *host;
    int64_t max_stop; /* most stop sequences; 0: any number */
};

enum { UNIT_PROMPT, UNIT_CACHE_READ, UNIT_CACHE_WRITE, UNIT_CACHE_HOUR, UNIT_AUDIO_PROMPT,
       UNIT_COMPLETION, UNIT_REASONING, UNIT_AUDIO_COMPLETION, UNIT_BILLED_PROMPT,
       UNIT_BILLED_COMPLETION, UNITS };

typedef struct chat_call { /* kept: a tool call of a stream that is rendered */
    struct chat_call *below[2];
    uint32_t item, index; /* index: among the calls of its choice */
} chat_call;

typedef struct chat_choice { /* kept: a choice of a stream that is rendered */
    struct chat_choice *next;
    chat_call *calls, *last; /* a tree; the call that was used last */
    uint32_t index, call_count;
    uint32_t thinks;         /* thoughts came: */
    uint32_t first, item;    /* items: of the first one, of the one under way */
    uint32_t reserved;
} chat_choice;

typedef struct chat_state { /* zeroed by the host at the start of an exchange */
    uint8_t stream, show_usage; /* what the client asked for */
    uint8_t started;            /* START was seen */
    uint8_t head_sent;
    uint8_t relay;              /* frames are passed on; decoded events are for the records */
    uint8_t done;
    uint8_t has_usage, has_bill;
    uint8_t keep_model;         /* frames keep theirs; model is for what is rendered */
    tp_str id, model;           /* kept */
    tp_str fields;              /* kept: ',"system_fingerprint":"..."' of a stream */
    int64_t created;
    int64_t units[UNITS];
    uint64_t spoke[2];          /* choices whose role was sent, by bit */
    chat_choice *choices;       /* those with thoughts or calls; the last used first */
} chat_state;

typedef struct render_call { /* one call of render */
    const tp_host *h;
    tp_call *c;
    chat_state *s;
    tp_list events;
    tp_status st;
} render_call;

static inline const tp_event *event_at(const tp_list *l, uint32_t i)
{
    return (const void *)((const char *)l->ptr + (size_t)i * l->stride);
}
static inline void put(render_call *r, tp_str bytes)
{
    if (r->st == TP_OK && bytes.len)
        r->st = r->h->write(r->c, bytes);
}
static inline void put_quoted(render_call *r, tp_str text)
{
    if (r->st == TP_OK)
        r->st = r->h->quote(r->c, text);
}
static inline void put_int(render_call *r, int64_t v)
{
    char digits[24];
    put(r, span_of_int(v, digits));
}

/* parse.c */
tp_status chat_parse(const tp_instance *in, tp_call *c, const tp_request *q, tp_operation *op);
/* render.c: what whole and streamed replies have in common */
tp_status chat_render(const tp_instance *in, tp_call *c, tp_list events);
void chat_note_start(render_call *r, const tp_event *e);
void chat_note_usage(render_call *r, const tp_event *e);
void chat_put_usage(render_call *r); /* "usage":{...} */
tp_str chat_finish_word(const tp_event *e);
void chat_put_signature(render_call *r, const tp_event *e, int of_text, tp_str call_id);
void chat_put_signature_end(render_call *r, const tp_event *e, tp_str call_id);
void chat_put_image(render_call *r, const tp_event *e);
/* sound.c */
int chat_is_sound(const tp_event *e);
void chat_put_sound(render_call *r, tp_str data); /* "audio":{... without its closing brace */
void chat_put_sounds(render_call *r, uint32_t choice); /* all of a choice, as one whole member */
/* relay.c */
void chat_relay_frame(render_call *r, tp_str raw);
/* calls.c: the choices of a stream and their calls */
chat_choice *chat_choice_at(const render_call *r, uint32_t index);           /* NULL: none so far */
chat_choice *chat_choice_made(render_call *r, uint32_t index);               /* NULL: failed */
const chat_call *chat_call_at(const render_call *r, const tp_event *e); /* by item; NULL: none */
const chat_call *chat_call_made(render_call *r, const tp_event *e);          /* NULL: failed */
/* chunks.c: events to chunks of a stream */
void chat_stream_head(render_call *r);
void chat_chunk(render_call *r, const tp_event *e);
void chat_stream_end(render_call *r);
void chat_stream_error(render_call *r, const tp_event *e);
/* whole.c */
void chat_whole(render_call *r);
#endif
