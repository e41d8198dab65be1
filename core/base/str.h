/* Byte strings: pointer and length, no terminator, borrowed unless a function says otherwise. */
#ifndef TP_BASE_STR_H
#define TP_BASE_STR_H
#include <string.h>
#include "base/base.h"

#define STR(lit) ((tp_str){"" lit, sizeof(lit) - 1})
#define STR_NONE ((tp_str){NULL, 0})
/* For printf: "%.*s", STR_ARG(s) */
#define STR_ARG(s) (int)(s).len, (s).ptr ? (s).ptr : ""

static inline tp_str str_of(const char *z) /* z: NUL-terminated or NULL */
{
    return (tp_str){z, z ? strlen(z) : 0};
}
static inline tp_str str_make(const char *p, size_t n)
{
    return (tp_str){p, n};
}
static inline int str_eq(tp_str a, tp_str b)
{
    return a.len == b.len && (a.len == 0 || memcmp(a.ptr, b.ptr, a.len) == 0);
}
static inline int str_starts(tp_str s, tp_str prefix)
{
    return s.len >= prefix.len && (prefix.len == 0 || memcmp(s.ptr, prefix.ptr, prefix.len) == 0);
}
static inline int str_ends(tp_str s, tp_str suffix)
{
    return s.len >= suffix.len &&
           (suffix.len == 0 || memcmp(s.ptr + s.len - suffix.len, suffix.ptr, suffix.len) == 0);
}
static inline tp_str str_skip(tp_str s, size_t n)
{
    size_t k = TP_MIN(n, s.len);
    return (tp_str){k ? s.ptr + k : s.ptr, s.len - k}; /* NULL + 0 is undefined in C */
}
static inline tp_str str_trim(tp_str s) /* spaces and tabs at both ends */
{
    while (s.len && (s.ptr[0] == ' ' || s.ptr[0] == '\t')) {
        s.ptr++;
        s.len--;
    }
    while (s.len && (s.ptr[s.len - 1] == ' ' || s.ptr[s.len - 1] == '\t'))
        s.len--;
    return s;
}
/* ---- Eight bytes at a time: for the short strings of heads and keys, where a call costs more. */
#define STR_ONES UINT64_C(0x0101010101010101)
#define STR_HIGHS UINT64_C(0x8080808080808080)
/* The n bytes at p, 1 to 7, some of them twice and in no order. */
static inline uint64_t str_few(const char *p, size_t n)
{
    if (n >= 4) {
        uint32_t a, b;
        memcpy(&a, p, sizeof(a));
        memcpy(&b, p + n - sizeof(b), sizeof(b));
        return a | (uint64_t)b << 32;
    }
    unsigned a = (unsigned char)p[0], b = (unsigned char)p[n / 2], c = (unsigned char)p[n - 1];
    return (STR_ONES * a & ~UINT64_C(0xffff)) | b << 8 | c;
}
/* Eight bytes of s from i (< s.len) on; where fewer are left, those that are, and some of s twice.
 * For questions about any byte: for (size_t i = 0; i < s.len; i += 8) ... str_part(s, i) */
static inline uint64_t str_part(tp_str s, size_t i)
{
    uint64_t v;
    if (TP_UNLIKELY(s.len < sizeof(v)))
        return str_few(s.ptr, s.len);
    memcpy(&v, s.ptr + TP_MIN(i, s.len - sizeof(v)), sizeof(v));
    return v;
}
static inline uint64_t str_zero_bytes(uint64_t v) /* high bit of (at least) the lowest zero byte */
{
    return (v - STR_ONES) & ~v & STR_HIGHS;
}
/* Is the byte c in s? */
static inline int str_has(tp_str s, char c)
{
    const uint64_t same = STR_ONES * (unsigned char)c;
    uint64_t hit = 0;
    for (size_t i = 0; i < s.len && !hit; i += 8)
        hit = str_zero_bytes(str_part(s, i) ^ same);
    return hit != 0;
}
/* Is there a control character (below 0x20, or 0x7f) in s? */
static inline int str_has_control(tp_str s)
{
    uint64_t bad = 0;
    for (size_t i = 0; i < s.len; i += 8) {
        uint64_t v = str_part(s, i);
        bad |= ((v - STR_ONES * 0x20) & ~v & STR_HIGHS) | str_zero_bytes(v ^ STR_ONES * 0x7f);
    }
    return bad != 0;
}
/* Are all eight bytes such as stand in a JSON string as they are, and ASCII? */
static inline int str_json_plain(uint64_t v)
{
    uint64_t quote = v ^ STR_ONES * '"', slash = v ^ STR_ONES * '\\';
    return (((v - STR_ONES * 0x20) | (quote - STR_ONES) | (slash - STR_ONES) | v) & STR_HIGHS) == 0;
}
/* memcpy for short strings: no call. to: n bytes, not overlapping. */
static inline void str_copy(char *to, const char *from, size_t n)
{
    if (n >= 8) {
        for (size_t i = 0; i < n - 8; i += 8)
            memcpy(to + i, from + i, 8);
        memcpy(to + n - 8, from + n - 8, 8);
    } else if (n >= 4) {
        uint32_t a, b; /* not memmove: both are read first, so that the compiler sees no order */
        memcpy(&a, from, 4);
        memcpy(&b, from + n - 4, 4);
        memcpy(to, &a, 4);
        memcpy(to + n - 4, &b, 4);
    } else if (n) {
        char a = from[0], b = from[n / 2], c = from[n - 1];
        to[0] = a;
        to[n / 2] = b;
        to[n - 1] = c;
    }
}
/* Is s a token (RFC 9110 5.6.2): a method, the name of a header? */
int str_is_token(tp_str s);

int str_ieq(tp_str a, tp_str b);          /* ASCII case ignored */
/* Decimal digits only, no sign, no overflow: 0, or -1. */
int str_to_i64(tp_str s, int64_t *out);
/* Position of c, or s.len. */
size_t str_find(tp_str s, char c);
/* Edit distance (Levenshtein with transpositions), capped at 8; for "did you mean". */
unsigned str_distance(tp_str a, tp_str b);
/* Compares n bytes in time that depends on n only. 1 when equal. */
int str_eq_secret(tp_str a, tp_str b);

#endif
