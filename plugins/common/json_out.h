/* Writing JSON through the host, with commas put where they belong. Depth is at most 63 (the host's
 * scan allows no more than that of what is carried over). [loop] */
#ifndef TURNPIKE_PLUGINS_JSON_OUT_H
#define TURNPIKE_PLUGINS_JSON_OUT_H
#include "span.h"

typedef struct json_out {
    const tp_host *h;
    tp_call *c;
    tp_status st;    /* of the first write that failed; nothing is written after it */
    uint32_t depth;
    uint64_t filled; /* by depth: something stands here already */
} json_out;
static inline void jo_put(json_out *o, tp_str bytes) /* as it stands */
{
    if (o->st == TP_OK && bytes.len)
        o->st = o->h->write(o->c, bytes);
}
static inline void jo_comma(json_out *o) /* before a value in an array, or before a key */
{
    uint64_t bit = UINT64_C(1) << (o->depth & 63);
    if (o->filled & bit)
        jo_put(o, SPAN(","));
    o->filled |= bit;
}
static inline void jo_open(json_out *o, tp_str bracket) /* "{" or "[": a value was announced */
{
    jo_put(o, bracket);
    o->depth++;
    o->filled &= ~(UINT64_C(1) << (o->depth & 63));
}
static inline void jo_close(json_out *o, tp_str bracket)
{
    o->depth--;
    jo_put(o, bracket);
}
/* key: without characters that JSON escapes. */
static inline void jo_key(json_out *o, tp_str key)
{
    jo_comma(o);
    jo_put(o, SPAN("\""));
    jo_put(o, key);
    jo_put(o, SPAN("\":"));
}
static inline void jo_string(json_out *o, tp_str text) /* UTF-8, is escaped */
{
    if (o->st == TP_OK)
        o->st = o->h->quote(o->c, text);
}
static inline void jo_int(json_out *o, int64_t v)
{
    char digits[24];
    jo_put(o, span_of_int(v, digits));
}
/* A token's bytes as they stand. */
static inline void jo_token(json_out *o, const tp_doc *d, uint32_t t)
{
    jo_put(o, span_raw(d, t));
}
/* Members in one go. */
static inline void jo_key_string(json_out *o, tp_str key, tp_str text)
{
    jo_key(o, key);
    jo_string(o, text);
}
static inline void jo_key_int(json_out *o, tp_str key, int64_t v)
{
    jo_key(o, key);
    jo_int(o, v);
}
static inline void jo_key_bool(json_out *o, tp_str key, int v)
{
    jo_key(o, key);
    jo_put(o, v ? SPAN("true") : SPAN("false"));
}
static inline void jo_key_raw(json_out *o, tp_str key, tp_str json)
{
    jo_key(o, key);
    jo_put(o, json);
}
static inline void jo_key_token(json_out *o, tp_str key, const tp_doc *d, uint32_t t)
{
    jo_key(o, key);
    jo_token(o, d, t);
}
/* The same, when there is one. */
static inline void jo_maybe(json_out *o, tp_str key, const tp_doc *d, uint32_t t)
{
    if (t)
        jo_key_token(o, key, d, t);
}
#endif
