/* Heads of the usual form, taken apart in one pass: nearly all heads are. This file may be narrower
 * than llhttp, never wider: whatever is not plainly right goes to llhttp, which also finds the
 * words for what is wrong. The tests compare the two. */
#include <string.h>

#include "parse/http_int.h"

/* Eight bytes from s on, of which n may be read; zeros behind them. n > 0, and if n < 8 the seven
 * bytes before s may be read, too. */
static inline uint64_t word_at(const char *s, size_t n)
{
    uint64_t v;
    if (TP_LIKELY(n >= 8)) {
        memcpy(&v, s, 8);
        return v;
    }
    memcpy(&v, s + n - 8, 8);
#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
    return v << (64 - 8 * n);
#else
    return v >> (64 - 8 * n);
#endif
}

/* The index of the first byte whose high bit is set. */
static inline size_t first_of(uint64_t highs)
{
#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
    return (size_t)__builtin_clzll(highs) / 8;
#else
    return (size_t)__builtin_ctzll(highs) / 8;
#endif
}

/* High bits of the bytes below 0x20 and of 0x7f; exact, no byte disturbs its neighbour. */
static inline uint64_t controls(uint64_t v)
{
    const uint64_t ones = 0x0101010101010101u, low = v & ones * 0x7f;
    return ((low + ones) | ~(low + ones * 0x60)) & ~v & ones * 0x80;
}

/* The first control character in s..end, which there must be: a head ends in CR LF. */
static inline const char *control_at(const char *s, const char *end)
{
    for (;; s += 8) {
        uint64_t hit = controls(word_at(s, (size_t)(end - s)));
        if (hit)
            return s + first_of(hit);
    }
}

/* s points at the name: makes it lower case. Returns its end, the colon, or NULL. */
static inline char *name_take(char *s)
{
    unsigned char *p = (unsigned char *)s, c;
    while ((c = http_token_lower[*p]) != 0) /* CR is no token character */
        *p++ = c;
    return *p == ':' && p != (unsigned char *)s ? (char *)p : NULL;
}

/* Header lines that also say where a body ends have one simple form. */
static int framing_plain(tp_str name, tp_str value, int *length_seen)
{
    if (name.len == 14 && memcmp(name.ptr, "content-length", 14) == 0) {
        if (*length_seen || value.len == 0 || value.len > 18)
            return 0;
        *length_seen = 1;
        for (size_t i = 0; i < value.len; i++)
            if (value.ptr[i] < '0' || value.ptr[i] > '9')
                return 0;
        return 1;
    }
    return name.len != 17 || memcmp(name.ptr, "transfer-encoding", 17) != 0;
}

/* The lines behind the first one: 1, or 0. */
static int headers_plain(const http_parser *p, http_head *h, char *s, const char *end)
{
    int length_seen = 0;
    uint32_t n = 0;
    while (*s != '\r') {
        char *colon = name_take(s);
        if (!colon || n == p->lines)
            return 0;
        const char *from = colon + 1;
        from += *from == ' ';
        const char *to = control_at(from, end);
        tp_str name = {s, (size_t)(colon - s)}, value = {from, (size_t)(to - from)};
        if (to[0] != '\r' || to[1] != '\n' ||
            (value.len && (value.ptr[0] == ' ' || value.ptr[value.len - 1] == ' ')) ||
            !framing_plain(name, value, &length_seen))
            return 0;
        h->headers[n++] = (tp_header){name, value};
        s = (char *)(uintptr_t)to + 2;
    }
    h->header_count = n;
    return n == p->lines && s + 2 == end;
}

/* llhttp's number of the method, or -1. */
static int method_plain(const char *s, size_t n)
{
    switch (n) {
    case 3:
        return memcmp(s, "GET", 3) == 0 ? LLHTTP_GET : memcmp(s, "PUT", 3) == 0 ? LLHTTP_PUT : -1;
    case 4:
        return memcmp(s, "POST", 4) == 0 ? LLHTTP_POST
                                         : memcmp(s, "HEAD", 4) == 0 ? LLHTTP_HEAD : -1;
    case 5:
        return memcmp(s, "PATCH", 5) == 0 ? LLHTTP_PATCH : -1;
    case 6:
        return memcmp(s, "DELETE", 6) == 0 ? LLHTTP_DELETE : -1;
    default:
        return -1;
    }
}

/* http_scan has seen a method, a target of target_len bytes and a version it knows. */
static char *request_line(http_parser *p, char *raw)
{
    int method = method_plain(raw, p->method_len);
    char *target = raw + p->method_len + 1, *version = target + p->target_len + 1;
    if (method < 0 || *target != '/' || !http_target_clean(str_make(target, p->target_len)))
        return NULL;
    p->ll.method = (uint8_t)method;
    p->ll.http_minor = (uint8_t)(version[7] - '0');
    return version + 10; /* HTTP/1.1 CR LF */
}

/* http_scan has seen a version it knows and three digits. */
static char *status_line(http_parser *p, char *raw, const char *end)
{
    if (raw[12] != ' ')
        return NULL;
    const char *to = control_at(raw + 12, end);
    for (const char *s = raw + 12; s < to; s++)
        if ((unsigned char)*s >= 0x80)
            return NULL;
    p->ll.status_code = (uint16_t)((raw[9] - '0') * 100 + (raw[10] - '0') * 10 + (raw[11] - '0'));
    p->ll.http_minor = (uint8_t)(raw[7] - '0');
    return to[0] == '\r' && to[1] == '\n' ? (char *)(uintptr_t)to + 2 : NULL;
}

int http_head_plain(http_parser *p, http_head *h, char *raw, size_t len)
{
    const char *end = raw + len;
    char *s = p->side == HTTP_REQUEST ? request_line(p, raw) : status_line(p, raw, end);
    return s && headers_plain(p, h, s, end);
}
