/* Small things that plugins share for work on spans of a scanned document: no allocation, no
 * decoding unless a string has escapes. Token 0 stands for "absent", as in tp_host.find; a caller
 * that means the root looks at tokens[0] itself. [any] thread. */
#ifndef TURNPIKE_PLUGINS_SPAN_H
#define TURNPIKE_PLUGINS_SPAN_H
#include <string.h>
#include <turnpike/plugin.h>

#define SPAN(lit) ((tp_str){"" lit, sizeof(lit) - 1})
#define SPAN_INIT(lit) {"" lit, sizeof(lit) - 1} /* for static data */
#define SPAN_NONE ((tp_str){NULL, 0})
#define span_is(s, lit) span_eq((s), SPAN(lit))

static inline int span_eq(tp_str a, tp_str b)
{
    return a.len == b.len && (a.len == 0 || memcmp(a.ptr, b.ptr, a.len) == 0);
}
static inline char span_lower(char c)
{
    return c >= 'A' && c <= 'Z' ? (char)(c + ('a' - 'A')) : c;
}
static inline int span_istarts(tp_str s, tp_str prefix) /* ASCII case ignored */
{
    if (s.len < prefix.len)
        return 0;
    for (size_t i = 0; i < prefix.len; i++)
        if (span_lower(s.ptr[i]) != span_lower(prefix.ptr[i]))
            return 0;
    return 1;
}
static inline int span_ieq(tp_str a, tp_str b)
{
    return a.len == b.len && span_istarts(a, b);
}
static inline tp_str span_trim(tp_str s)
{
    while (s.len && (unsigned char)s.ptr[0] <= ' ')
        s.ptr++, s.len--;
    while (s.len && (unsigned char)s.ptr[s.len - 1] <= ' ')
        s.len--;
    return s;
}
/* Decimal digits with an optional minus, within int64: 1, or 0. */
static inline int span_to_int(tp_str s, int64_t *out)
{
    uint64_t v = 0;
    size_t i = s.len && s.ptr[0] == '-';
    uint64_t most = (uint64_t)INT64_MAX + i;
    if (i == s.len || s.len > 20)
        return 0;
    for (size_t k = i; k < s.len; k++) {
        unsigned digit = (unsigned)(unsigned char)s.ptr[k] - '0';
        if (digit > 9 || (k >= 18 && v > (most - digit) / 10)) /* 18 bytes are always within */
            return 0;
        v = v * 10 + digit;
    }
    *out = i ? (int64_t)(0 - v) : (int64_t)v;
    return 1;
}
/* A JSON number's value, good for comparing with small bounds: the first 18 digits count exactly,
 * what follows them only as "more than nothing". */
static inline double span_number(tp_str s)
{
    size_t i = s.len && s.ptr[0] == '-';
    int negative = i == 1, dot = 0, scale = 0, digits = 0, exponent = 0, negative_e = 0;
    double v = 0;
    for (; i < s.len && s.ptr[i] != 'e' && s.ptr[i] != 'E'; i++) {
        if (s.ptr[i] == '.') {
            dot = 1;
            continue;
        }
        if (digits < 18) {
            v = v * 10 + (s.ptr[i] - '0');
            digits += v > 0;
            scale -= dot;
        } else if (!dot) {
            scale++;
        }
    }
    if (i < s.len) {
        i++;
        negative_e = i < s.len && s.ptr[i] == '-';
        i += i < s.len && (s.ptr[i] == '-' || s.ptr[i] == '+');
        for (; i < s.len && exponent < 10000; i++)
            exponent = exponent * 10 + (s.ptr[i] - '0');
    }
    scale += negative_e ? -exponent : exponent;
    for (; scale > 0 && v > 0 && v < 1e300; scale--)
        v *= 10;
    double divisor = 1;
    for (; scale < 0 && divisor < 1e300; scale++)
        divisor *= 10;
    v /= divisor;
    return negative ? -v : v;
}
/* Writes v in decimal into buf (room for 20 and a sign); returns the span. */
static inline tp_str span_of_int(int64_t v, char buf[24])
{
    char *end = buf + 24, *p = end;
    uint64_t u = v < 0 ? 0 - (uint64_t)v : (uint64_t)v;
    do
        *--p = (char)('0' + u % 10);
    while ((u /= 10) != 0);
    if (v < 0)
        *--p = '-';
    return (tp_str){p, (size_t)(end - p)};
}

/* Writes s as a segment of a path: letters, digits, "-_.~" and `also` (0: none) as they are, all else
 * percent-encoded. There is room for 3 * s.len bytes. Returns the end. */
static inline char *span_percent(char *to, tp_str s, char also)
{
    static const char hex[] = "0123456789ABCDEF";
    for (size_t i = 0; i < s.len; i++) {
        unsigned char ch = (unsigned char)s.ptr[i];
        if ((ch >= '0' && ch <= '9') || ((ch | 32) >= 'a' && (ch | 32) <= 'z') ||
            (ch && (strchr("-_.~", ch) || ch == (unsigned char)also))) {
            *to++ = (char)ch;
        } else {
            *to++ = '%';
            *to++ = hex[ch >> 4];
            *to++ = hex[ch & 15];
        }
    }
    return to;
}

/* ---- Tokens. */
static inline uint32_t span_kind(const tp_doc *d, uint32_t t)
{
    return t ? d->tokens[t].kind : 0;
}
/* Present and not null? */
static inline int span_given(const tp_doc *d, uint32_t t)
{
    return t && d->tokens[t].kind != TP_NULL;
}
static inline tp_str span_raw(const tp_doc *d, uint32_t t)
{
    return (tp_str){d->text.ptr + d->tokens[t].at, d->tokens[t].len};
}
/* A string token's bytes between the quotes, escapes as they stand. */
static inline tp_str span_inner(const tp_doc *d, uint32_t t)
{
    return (tp_str){d->text.ptr + d->tokens[t].at + 1, d->tokens[t].len - 2};
}
static inline uint32_t span_end(const tp_doc *d, uint32_t t)
{
    return d->tokens[t].at + d->tokens[t].len;
}
static inline int span_true(const tp_doc *d, uint32_t t)
{
    return span_kind(d, t) == TP_BOOL && d->text.ptr[d->tokens[t].at] == 't';
}
/* Is there a backslash? Keys are short: eight bytes at a time, without a call. */
static inline int span_has_escape(tp_str s)
{
    const uint64_t ones = UINT64_C(0x0101010101010101);
    uint64_t hit = 0, x = 0;
    if (s.len > 64)
        return memchr(s.ptr, '\\', s.len) != NULL;
    for (size_t i = 0; i + 8 <= s.len; i += 8) {
        memcpy(&x, s.ptr + i, 8);
        x ^= ones * '\\';
        hit |= (x - ones) & ~x;
    }
    if (s.len >= 8) { /* the last eight: some of them for the second time */
        memcpy(&x, s.ptr + s.len - 8, 8);
    } else if (s.len >= 4) {
        uint32_t a, b;
        memcpy(&a, s.ptr, 4);
        memcpy(&b, s.ptr + s.len - 4, 4);
        x = a | (uint64_t)b << 32;
    } else {
        x = 0;
        for (size_t i = 0; i < s.len; i++)
            x = x << 8 | (unsigned char)s.ptr[i];
    }
    x ^= ones * '\\';
    return ((hit | ((x - ones) & ~x)) & ones << 7) != 0;
}
/* The decoded bytes of a string token: in place when it has no escapes. A key spelled with escapes
 * must not slip past a check that its plain spelling would meet. */
static inline tp_str span_text(const tp_host *h, tp_call *c, const tp_doc *d, uint32_t t)
{
    tp_str s = span_inner(d, t);
    return span_has_escape(s) ? h->text(c, d, t) : s;
}
static inline int span_int(const tp_doc *d, uint32_t t, int64_t *out)
{
    return span_kind(d, t) == TP_NUMBER && span_to_int(span_raw(d, t), out);
}
/* A count from a peer: a whole number of at least 0, fractions cut off, or 0. */
static inline int64_t span_count(const tp_doc *d, uint32_t t)
{
    int64_t v;
    if (span_kind(d, t) != TP_NUMBER)
        return 0;
    tp_str s = span_raw(d, t);
    if (!span_to_int(s, &v)) { /* nearly always it is an integer */
        const char *dot = memchr(s.ptr, '.', s.len);
        if (!dot || memchr(s.ptr, 'e', s.len) || memchr(s.ptr, 'E', s.len))
            return 0;
        s.len = (size_t)(dot - s.ptr);
        if (!span_to_int(s, &v))
            return 0;
    }
    return v > 0 ? v : 0;
}
/* Does this object have members, this array elements? */
static inline int span_filled(const tp_doc *d, uint32_t t)
{
    return d->tokens[t].next > t + 1;
}
/* Null, "", [] or {}: nothing that could be lost. */
static inline int span_is_nothing(const tp_doc *d, uint32_t t)
{
    switch (span_kind(d, t)) {
    case TP_NULL: return 1;
    case TP_STRING: return d->tokens[t].len <= 2;
    case TP_ARRAY:
    case TP_OBJECT: return !span_filled(d, t);
    default: return 0;
    }
}
static inline uint32_t span_find(const tp_host *h, const tp_doc *d, uint32_t object, tp_str key)
{
    return d->tokens[object].kind == TP_OBJECT ? h->find(d, object, key) : 0;
}
/* String member's decoded text, or an empty span. */
static inline tp_str span_member(const tp_host *h, tp_call *c, const tp_doc *d, uint32_t object,
                                 tp_str key)
{
    uint32_t t = span_find(h, d, object, key);
    return span_kind(d, t) == TP_STRING ? span_text(h, c, d, t) : SPAN_NONE;
}

/* ---- Splicing: a text is written as it stands but for edits, which come in order of place. */
typedef struct splice {
    const tp_host *host;
    tp_call *call;
    tp_str text;
    size_t from; /* written or dropped up to here */
    tp_status status;
} splice;
static inline void splice_put(splice *s, tp_str bytes)
{
    if (s->status == TP_OK && bytes.len)
        s->status = s->host->write(s->call, bytes);
}
static inline void splice_quote(splice *s, tp_str text)
{
    if (s->status == TP_OK)
        s->status = s->host->quote(s->call, text);
}
/* Writes what stands before `at`, and passes over what stands up to `to`. */
static inline void splice_skip(splice *s, size_t at, size_t to)
{
    if (at > s->from)
        splice_put(s, (tp_str){s->text.ptr + s->from, at - s->from});
    s->from = to;
}
static inline tp_status splice_end(splice *s)
{
    splice_skip(s, s->text.len, s->text.len);
    return s->status;
}

/* Walks the members of an object: for (m = members_of(d, 0); members_next(&m);) */
typedef struct members {
    const tp_doc *doc;
    uint32_t key, value, stop, following;
    uint32_t before;  /* end of the value before this one, or of the opening brace */
    uint32_t kept;    /* members that were not cut; for splice_cut */
} members;
static inline members members_of(const tp_doc *d, uint32_t object)
{
    return (members){.doc = d, .stop = d->tokens[object].next, .following = object + 1,
                     .before = d->tokens[object].at + 1};
}
static inline int members_next(members *m)
{
    if (m->following >= m->stop)
        return 0;
    if (m->value)
        m->before = span_end(m->doc, m->value);
    m->key = m->following;
    m->value = m->key + 1;
    m->following = m->doc->tokens[m->value].next;
    m->kept++;
    return 1;
}
/* Cuts the member that m stands at, with one comma. */
static inline void splice_cut(splice *s, members *m)
{
    const tp_token *t = m->doc->tokens;
    uint32_t end = span_end(m->doc, m->value);
    m->kept--;
    if (m->kept)
        splice_skip(s, m->before, end);
    else
        splice_skip(s, t[m->key].at, m->following < m->stop ? t[m->following].at : end);
}
#endif
