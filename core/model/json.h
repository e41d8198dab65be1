/* The JSON scanner: one pass validates a text (RFC 8259, UTF-8, no NUL escape, no duplicate key,
 * bounded depth and count) and writes a tape of tp_token, in text order (see plugin.h). Nothing is
 * decoded and nothing is copied: tokens are offsets into the text. Numbers keep their spelling.
 * All functions: [any] thread, no I/O, no allocation but what is said. (The scan allocates the
 * tape, and for an object of many keys, or with keys that have escapes or are long, a table
 * that it frees again.) Nothing is read beyond text.len. */
#ifndef TP_MODEL_JSON_H
#define TP_MODEL_JSON_H
#include "base/arena.h"
#include "base/base.h"
#include "base/buf.h"

/* Grows as needed and is reused from scan to scan: one a worker. */
typedef struct json_tape {
    tp_token *tokens;
    uint32_t count, cap;
    uint32_t max;      /* most tokens of one text; 0: JSON_MAX_TOKENS */
    uint32_t max_depth; /* 0: JSON_MAX_DEPTH; 512 at most */
    uint32_t lone_surrogates; /* 1: a \u escape of half a surrogate pair is taken (what an upstream
                                 cut in two must not cost the reply) and decodes to U+FFFD, so that
                                 keys that differ in nothing else are the same key; 0: a fault */
} json_tape;
#define JSON_MAX_TOKENS (4u << 20)
#define JSON_MAX_DEPTH 128u

enum { JSON_E_SYNTAX = -1, JSON_E_UTF8 = -2, JSON_E_DUPLICATE = -3, JSON_E_DEPTH = -4,
       JSON_E_COUNT = -5, JSON_E_NUL = -6, JSON_E_EMPTY = -7, JSON_E_TRAILING = -8,
       JSON_E_NOMEM = -9, JSON_E_SURROGATE = -10, JSON_E_SIZE = -11 /* 4 GiB and over */ };
typedef struct json_error {
    int32_t code;
    uint32_t at;       /* byte offset of the fault */
    uint32_t line, column; /* both from 1; column in bytes */
    const char *what;  /* static sentence: what is wrong and what was expected */
} json_error;

/* 0, or JSON_E_*: then *err says where (err may be NULL) and the tape is not to be used. White
 * space around the value is allowed. tape->tokens is overwritten. */
int json_scan(tp_str text, json_tape *tape, json_error *err);
void json_tape_free(json_tape *tape);
/* Gives the tape's memory back if it has room for more than `keep` tokens (16 bytes each), so that
 * one large text does not stay for ever. The tape stays usable; its tokens are gone. */
void json_tape_trim(json_tape *tape, uint32_t keep);
/* The tape as a document that borrows the text and the tape's tokens. */
static inline tp_doc json_doc(tp_str text, const json_tape *tape)
{
    return (tp_doc){.text = text, .tokens = tape->tokens, .count = tape->count};
}
/* Scans and copies the tokens into the arena, so that the document lives as long as it does (the
 * text is still borrowed). TP_E_NOMEM or JSON_E_*, which share numbers: ask json_no_memory. err: zeroed
 * by the caller. */
int json_scan_doc(tp_str text, json_tape *scratch, arena *a, tp_doc *out, json_error *err);
/* It failed: for want of memory (1), or is the text at fault (0)? */
static inline int json_no_memory(const json_error *err)
{
    return err->code == 0 || err->code == JSON_E_NOMEM;
}

/* ---- Reading a document. Token 0 is the root. */
/* The value's token of this key in the object at token `object`, or 0. Keys with escapes match by
 * their decoded form; case matters. */
uint32_t json_find(const tp_doc *d, uint32_t object, tp_str key);
/* json_find along a path of plain keys: json_get(d, 0, "a", "b", NULL). 0 when any is missing. */
uint32_t json_get(const tp_doc *d, uint32_t object, ...) __attribute__((sentinel));
static inline uint32_t json_kind(const tp_doc *d, uint32_t t)
{
    return t < d->count ? d->tokens[t].kind : 0;
}
/* The value's own bytes, quotes included. */
static inline tp_str json_raw(const tp_doc *d, uint32_t t)
{
    return (tp_str){d->text.ptr + d->tokens[t].at, d->tokens[t].len};
}
/* String token without escapes: its bytes between the quotes, 1; with escapes or no string: 0. */
int json_plain(const tp_doc *d, uint32_t t, tp_str *out);
/* Decoded string (arena memory if it has escapes, else in place). ptr NULL: no string, or out. */
tp_str json_string(const tp_doc *d, uint32_t t, arena *a);
/* Does this string token, decoded, equal s? */
int json_string_is(const tp_doc *d, uint32_t t, tp_str s);
/* Exact integer (digits, optional minus; 1.0 and 1e3 are not): 0, or -1 (no integer, or beyond). */
int json_int(const tp_doc *d, uint32_t t, int64_t *out);
/* The nearest double, whatever the locale; beyond its range an infinity. For range checks: 0, or
 * -1 (no number, or out of memory for one of over 127 characters). */
int json_double(const tp_doc *d, uint32_t t, double *out);
int json_bool(const tp_doc *d, uint32_t t, int *out);
/* Does this number token hold an integer value that OpenAI's API would take for one (1, 1.0 or
 * 10e-1)? Of any size: whether it fits is for json_int or json_double to say. */
int json_is_integer(const tp_doc *d, uint32_t t);
/* Writes s (UTF-8) with JSON escapes and quotes. */
int json_quote(buf *b, tp_str s);
/* Every byte valid UTF-8 (RFC 3629: no surrogates, no overlong form, up to U+10FFFF)? */
int json_utf8_valid(tp_str s);

/* Line and column (both from 1) of a byte offset. */
void json_place(tp_str text, uint32_t at, uint32_t *line, uint32_t *column);
#endif
