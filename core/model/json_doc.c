/* Reading a scanned document. */
#include <errno.h>
#include <locale.h>
#include <stdarg.h>
#include <stdlib.h>

#include "base/str.h"
#include "model/json_int.h"

/* The string's bytes between its quotes; ptr NULL: no string. */
static tp_str inside(const tp_doc *d, uint32_t t)
{
    if (json_kind(d, t) != TP_STRING)
        return STR_NONE;
    return (tp_str){d->text.ptr + d->tokens[t].at + 1, d->tokens[t].len - 2};
}

/* Is what stands raw in a text the string s? s has no escapes. */
static int raw_is(tp_str raw, tp_str s)
{
    if (raw.len < s.len)
        return 0;
    if (raw.len > s.len && !str_has(raw, '\\'))
        return 0;
    if (raw.len == s.len) /* an escape would make the decoded form shorter */
        return raw.len == 0 || (memcmp(raw.ptr, s.ptr, s.len) == 0 && !str_has(raw, '\\'));
    char one[4];
    for (size_t from = 0;;) {
        const char *slash = raw.len ? memchr(raw.ptr, '\\', raw.len) : NULL;
        size_t run = slash ? (size_t)(slash - raw.ptr) : raw.len;
        if (s.len - from < run || (run && memcmp(raw.ptr, s.ptr + from, run) != 0))
            return 0;
        from += run;
        if (!slash)
            return from == s.len;
        size_t used, got = json_unescape_one(slash + 1, raw.ptr + raw.len, one, &used);
        if (s.len - from < got || memcmp(one, s.ptr + from, got) != 0)
            return 0;
        from += got;
        raw = str_skip(raw, run + 1 + used);
    }
}

uint32_t json_find(const tp_doc *d, uint32_t object, tp_str key)
{
    if (json_kind(d, object) != TP_OBJECT)
        return 0;
    const tp_token *tok = d->tokens;
    for (uint32_t k = object + 1, end = tok[object].next; k < end; k = tok[k + 1].next) {
        if (tok[k].len - 2 >= key.len &&
            raw_is((tp_str){d->text.ptr + tok[k].at + 1, tok[k].len - 2}, key))
            return k + 1;
    }
    return 0;
}

uint32_t json_get(const tp_doc *d, uint32_t object, ...)
{
    va_list ap;
    va_start(ap, object);
    uint32_t t = object;
    for (const char *key; (key = va_arg(ap, const char *));) {
        t = json_find(d, t, str_of(key));
        if (t == 0)
            break;
    }
    va_end(ap);
    return t;
}

int json_plain(const tp_doc *d, uint32_t t, tp_str *out)
{
    tp_str raw = inside(d, t);
    if (!raw.ptr || (raw.len && memchr(raw.ptr, '\\', raw.len)))
        return 0;
    *out = raw;
    return 1;
}

tp_str json_string(const tp_doc *d, uint32_t t, arena *a)
{
    tp_str raw = inside(d, t);
    if (!raw.ptr || !raw.len || !memchr(raw.ptr, '\\', raw.len))
        return raw;
    char *out = arena_alloc(a, raw.len);
    return out ? (tp_str){out, json_unescape(raw.ptr, raw.len, out)} : STR_NONE;
}

int json_string_is(const tp_doc *d, uint32_t t, tp_str s)
{
    tp_str raw = inside(d, t);
    return raw.ptr && raw_is(raw, s);
}

/* ---- Numbers. */
static tp_str number(const tp_doc *d, uint32_t t)
{
    return json_kind(d, t) == TP_NUMBER ? json_raw(d, t) : STR_NONE;
}

int json_int(const tp_doc *d, uint32_t t, int64_t *out)
{
    tp_str s = number(d, t);
    if (!s.ptr)
        return -1;
    int negative = s.ptr[0] == '-';
    int64_t v = 0;
    for (size_t i = (size_t)negative; i < s.len; i++) {
        int c = s.ptr[i] - '0';
        if (c < 0 || c > 9 || __builtin_mul_overflow(v, 10, &v) ||
            __builtin_sub_overflow(v, c, &v)) /* downwards, so that INT64_MIN fits */
            return -1;
    }
    if (!negative && v == INT64_MIN)
        return -1;
    *out = negative ? v : -v;
    return 0;
}

/* A number of few digits and small exponent is a quotient or product of two exact doubles, and so
 * is rounded once: Clinger, "How to Read Floating Point Numbers Accurately" (1990). 1: done. */
static int double_fast(tp_str s, double *out)
{
    static const double power[] = {1e0,  1e1,  1e2,  1e3,  1e4,  1e5,  1e6,  1e7,
                                   1e8,  1e9,  1e10, 1e11, 1e12, 1e13, 1e14, 1e15,
                                   1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22};
    int negative = s.ptr[0] == '-', point = 0;
    uint64_t digits = 0;
    size_t scale = 0;
    if (s.len > 17)
        return 0;
    for (size_t i = (size_t)negative; i < s.len; i++) {
        if (s.ptr[i] == '.') {
            point = 1;
            continue;
        }
        unsigned c = (unsigned)(s.ptr[i] - '0');
        if (c > 9)
            return 0; /* an exponent */
        digits = digits * 10 + c;
        scale += (size_t)point;
    }
    if (digits > (uint64_t)1 << 53)
        return 0;
    double v = (double)digits / power[scale];
    *out = negative ? -v : v;
    return 1;
}

int json_double(const tp_doc *d, uint32_t t, double *out)
{
    tp_str s = number(d, t);
    if (!s.ptr)
        return -1;
    if (double_fast(s, out))
        return 0;
    char small[128], *z = small;
    if (s.len >= sizeof(small) && !(z = malloc(s.len + 1)))
        return -1;
    memcpy(z, s.ptr, s.len);
    z[s.len] = '\0';
    int saved = errno;
    /* Names the C library's own constant locale; nothing is allocated. */
    locale_t c = newlocale(LC_ALL_MASK, "C", (locale_t)0);
    int rc = -1;
    if (c) {
        *out = strtod_l(z, NULL, c);
        freelocale(c);
        rc = 0;
    }
    errno = saved;
    if (z != small)
        free(z);
    return rc;
}

int json_bool(const tp_doc *d, uint32_t t, int *out)
{
    if (json_kind(d, t) != TP_BOOL)
        return -1;
    *out = d->text.ptr[d->tokens[t].at] == 't';
    return 0;
}

int json_is_integer(const tp_doc *d, uint32_t t)
{
    tp_str s = number(d, t);
    if (!s.ptr)
        return 0;
    /* The last digit that is not zero stands at 10^place; with the exponent that must not be
     * below one. */
    int64_t place = 0, exponent = 0, lowest = INT64_MAX;
    size_t i = s.ptr[0] == '-';
    int point = 0;
    size_t whole_zeros = 0;
    for (; i < s.len && (s.ptr[i] | 0x20) != 'e'; i++) {
        if (s.ptr[i] == '.') {
            point = 1;
            continue;
        }
        if (point)
            place--;
        if (s.ptr[i] != '0') {
            whole_zeros = 0;
            lowest = place;
        } else if (!point) {
            whole_zeros++;
        }
    }
    if (lowest == INT64_MAX)
        return 1; /* zero, whatever its exponent */
    if (lowest == 0)
        lowest = (int64_t)whole_zeros;
    if (i < s.len) {
        int negative = s.ptr[++i] == '-';
        if (negative || s.ptr[i] == '+')
            i++;
        for (; i < s.len && exponent < (int64_t)1 << 40; i++)
            exponent = exponent * 10 + (s.ptr[i] - '0');
        if (negative)
            exponent = -exponent;
    }
    return lowest + exponent >= 0;
}

int json_quote(buf *b, tp_str s)
{
    return buf_json_string(b, s);
}
