#include <stdio.h>
#include "parse_int.h"

typedef struct text { /* a sentence under way, cut where it gets too long */
    char bytes[512];
    size_t len;
} text;

static void add(text *x, tp_str s)
{
    size_t room = sizeof(x->bytes) - x->len, n = s.len < room ? s.len : room;
    if (n)
        memcpy(x->bytes + x->len, s.ptr, n);
    x->len += n;
}

static void add_int(text *x, int64_t v)
{
    char digits[24];
    add(x, span_of_int(v, digits));
}

static void add_place(text *x, const place *at)
{
    if (!at)
        return;
    add_place(x, at->up);
    if (at->name.len) {
        if (at->up)
            add(x, SPAN("."));
        add(x, at->name);
    } else {
        add(x, SPAN("["));
        add_int(x, at->index);
        add(x, SPAN("]"));
    }
}

/* What was found: short values as they stand, others by their kind. */
static void add_found(text *x, const tp_doc *d, uint32_t t)
{
    static const tp_str kinds[] = {SPAN_INIT("missing"),  SPAN_INIT("null"),     SPAN_INIT("a boolean"),
                                   SPAN_INIT("a number"), SPAN_INIT("a string"), SPAN_INIT("an array"),
                                   SPAN_INIT("an object")};
    uint32_t kind = span_kind(d, t);
    if (kind >= TP_BOOL && kind <= TP_STRING && d->tokens[t].len <= 40)
        add(x, span_raw(d, t));
    else if ((kind == TP_ARRAY || kind == TP_OBJECT) && !span_filled(d, t))
        add(x, kind == TP_ARRAY ? SPAN("an empty array") : SPAN("an empty object"));
    else
        add(x, kinds[kind <= TP_OBJECT ? kind : 0]);
}

int chat_refuse(check *k, const place *at, uint32_t t, const char *expected)
{
    text param = {.len = 0}, why = {.len = 0};
    if (k->st != TP_OK)
        return 0;
    add_place(&param, at);
    add(&why, SPAN("'"));
    add(&why, (tp_str){param.bytes, param.len});
    add(&why, SPAN("' is "));
    add_found(&why, k->d, t);
    add(&why, SPAN("; expected "));
    add(&why, (tp_str){expected, strlen(expected)});
    add(&why, SPAN("."));
    k->st = k->h->fail(k->c, TP_E_INPUT, (tp_str){param.bytes, param.len},
                       (tp_str){why.bytes, why.len});
    return 0;
}

int chat_want(check *k, const place *at, uint32_t t, uint32_t kind, const char *expected)
{
    return span_kind(k->d, t) == kind ? 1 : chat_refuse(k, at, t, expected);
}

int chat_want_filled(check *k, const place *at, uint32_t t)
{
    if (span_kind(k->d, t) != TP_STRING || k->d->tokens[t].len <= 2)
        return chat_refuse(k, at, t, "a string that is not empty");
    return 1;
}

int chat_want_number(check *k, const place *at, uint32_t t, int32_t from, int32_t to)
{
    if (span_kind(k->d, t) == TP_NUMBER) {
        double v = span_number(span_raw(k->d, t));
        if (v >= from && v <= to)
            return 1;
    }
    char expected[64];
    snprintf(expected, sizeof(expected), "a number from %d to %d", from, to);
    return chat_refuse(k, at, t, expected);
}

/* 1 and 1.0 are integers; 1e0 and 1.5 are not. */
static int integer(tp_str s, int64_t *out)
{
    const char *dot = memchr(s.ptr, '.', s.len);
    if (dot) {
        for (const char *p = dot + 1; p < s.ptr + s.len; p++)
            if (*p != '0')
                return 0;
        s.len = (size_t)(dot - s.ptr);
    }
    return span_to_int(s, out);
}

int chat_want_int(check *k, const place *at, uint32_t t, int64_t from, int64_t to, int64_t *out)
{
    int64_t v;
    if (span_kind(k->d, t) == TP_NUMBER && integer(span_raw(k->d, t), &v) && v >= from && v <= to) {
        *out = v;
        return 1;
    }
    char expected[96];
    if (to == INT64_MAX)
        snprintf(expected, sizeof(expected), "an integer of at least %lld", (long long)from);
    else
        snprintf(expected, sizeof(expected), "an integer from %lld to %lld", (long long)from,
                 (long long)to);
    return chat_refuse(k, at, t, expected);
}

int chat_want_name(check *k, const place *at, uint32_t t)
{
    int good = span_kind(k->d, t) == TP_STRING;
    if (good) {
        tp_str s = span_text(k->h, k->c, k->d, t);
        good = s.len >= 1 && s.len <= 64;
        for (size_t i = 0; good && i < s.len; i++) {
            unsigned char ch = (unsigned char)s.ptr[i];
            good = (ch >= '0' && ch <= '9') || ((ch | 32) >= 'a' && (ch | 32) <= 'z') ||
                   ch == '_' || ch == '-';
        }
    }
    return good ? 1 : chat_refuse(k, at, t, "1 to 64 letters, digits, underscores and hyphens");
}

int chat_emit_text(check *k, tp_str role, uint32_t t)
{
    tp_event e = {.size = sizeof(e), .kind = TP_EV_TEXT};
    e.name = role;
    e.raw = span_raw(k->d, t);
    k->st = k->h->emit(k->c, &e);
    return k->st == TP_OK;
}

int chat_emit_raw(check *k, tp_str name, uint32_t t)
{
    tp_event e = {.size = sizeof(e), .kind = TP_EV_ITEM};
    e.name = name;
    e.raw = span_raw(k->d, t);
    k->st = k->h->emit(k->c, &e);
    return k->st == TP_OK;
}
