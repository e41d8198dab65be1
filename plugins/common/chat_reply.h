/* Canonical events of a chat reply (docs/canonical.md), for providers that translate. Items count the
 * parts of a choice in the order in which they come. [loop] */
#ifndef TURNPIKE_PLUGINS_CHAT_REPLY_H
#define TURNPIKE_PLUGINS_CHAT_REPLY_H
#include "span.h"

typedef struct chat_out {
    const tp_host *h;
    tp_call *c;
    tp_status st; /* of the first emit that failed; nothing is emitted after it */
} chat_out;
static inline void chat_emit(chat_out *o, const tp_event *e)
{
    if (o->st == TP_OK)
        o->st = o->h->emit(o->c, e);
}
static inline tp_event chat_event(int32_t kind, uint32_t choice, uint32_t item)
{
    return (tp_event){.size = sizeof(tp_event), .kind = kind, .choice = choice, .item = item};
}
/* created: Unix seconds, or 0: not told. A preamble: fallback stays open. */
static inline void chat_emit_start(chat_out *o, tp_str id, tp_str model, int64_t created)
{
    tp_event e = chat_event(TP_EV_START, 0, 0);
    e.flags = TP_EV_PREAMBLE;
    e.id = id;
    e.name = model;
    e.number = created;
    chat_emit(o, &e);
}
/* TEXT, REASONING, REFUSAL, ARGUMENTS: nothing for an empty text. */
static inline void chat_emit_text(chat_out *o, int32_t kind, uint32_t choice, uint32_t item,
                                  tp_str text)
{
    tp_event e = chat_event(kind, choice, item);
    e.text = text;
    if (text.len)
        chat_emit(o, &e);
}
static inline void chat_emit_call(chat_out *o, uint32_t choice, uint32_t item, tp_str id, tp_str name)
{
    tp_event e = chat_event(TP_EV_CALL, choice, item);
    e.id = id;
    e.name = name;
    chat_emit(o, &e);
}
static inline void chat_emit_signature(chat_out *o, uint32_t choice, uint32_t item, tp_str format,
                                       tp_str proof)
{
    tp_event e = chat_event(TP_EV_SIGNATURE, choice, item);
    e.name = format;
    e.text = proof;
    if (proof.len)
        chat_emit(o, &e);
}
static inline void chat_emit_usage(chat_out *o, tp_str unit, int64_t total)
{
    tp_event e = chat_event(TP_EV_USAGE, 0, 0);
    e.name = unit;
    e.number = total > 0 ? total : 0;
    chat_emit(o, &e);
}
static inline void chat_emit_finish(chat_out *o, uint32_t choice, int32_t code, tp_str word,
                                    tp_str stop_sequence)
{
    tp_event e = chat_event(TP_EV_FINISH, choice, 0);
    e.code = code;
    e.name = word;
    e.text = stop_sequence;
    chat_emit(o, &e);
}
static inline void chat_emit_end(chat_out *o)
{
    tp_event e = chat_event(TP_EV_END, 0, 0);
    chat_emit(o, &e);
}
#endif
