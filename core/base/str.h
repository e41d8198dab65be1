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
