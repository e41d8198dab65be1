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
/* ---- Eight bytes at a time: for the short strings of heads and keys, where a call costs more. */
static inline uint64_t str_word(const char *p, size_t n) /* up to 8 bytes, the rest spaces */
{
    uint64_t v = 0x2020202020202020u;
    memcpy(&v, p, n);
    return v;
}
static inline uint64_t str_zero_bytes(uint64_t v) /* high bit of (at least) the lowest zero byte */
{
    return (v - 0x0101010101010101u) & ~v & 0x8080808080808080u;
}
/* Is the byte c (no space) in s? */
static inline int str_has(tp_str s, char c)
{
    const uint64_t same = 0x0101010101010101u * (unsigned char)c;
    uint64_t hit = 0;
    size_t i = 0;
    for (; i + 8 <= s.len && !hit; i += 8)
        hit = str_zero_bytes(str_word(s.ptr + i, 8) ^ same);
    return hit || (i < s.len && str_zero_bytes(str_word(s.ptr + i, s.len - i) ^ same));
}
/* Is there a control character (below 0x20, or 0x7f) in s? */
static inline int str_has_control(tp_str s)
{
    const uint64_t ones = 0x0101010101010101u, highs = 0x8080808080808080u;
    uint64_t bad = 0;
    for (size_t i = 0; i < s.len; i += 8) {
        size_t n = s.len - i;
        uint64_t v = n >= 8 ? str_word(s.ptr + i, 8) : str_word(s.ptr + i, n);
        bad |= ((v - ones * 0x20) & ~v & highs) | str_zero_bytes(v ^ ones * 0x7f);
    }
    return bad != 0;
}

int str_ieq(tp_str a, tp_str b);          /* ASCII case ignored */
tp_str str_trim(tp_str s);                /* spaces and tabs at both ends */
/* Decimal digits only, no sign, no overflow: 0, or -1. */
int str_to_i64(tp_str s, int64_t *out);
/* Position of c, or s.len. */
size_t str_find(tp_str s, char c);
/* Edit distance (Levenshtein with transpositions), capped at 8; for "did you mean". */
unsigned str_distance(tp_str a, tp_str b);
/* Compares n bytes in time that depends on n only. 1 when equal. */
int str_eq_secret(tp_str a, tp_str b);

#endif
