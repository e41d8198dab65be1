#include "base/buf.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#ifdef __SSE2__
#include <emmintrin.h>
#endif

void buf_init(buf *b, size_t max)
{
    *b = (buf){.max = max};
}

void buf_free(buf *b)
{
    free(b->ptr);
    *b = (buf){.max = b->max};
}

int buf_reserve(buf *b, size_t n)
{
    if (b->cap - b->len >= n)
        return 0;
    if (n > b->max || b->len > b->max - n)
        return TP_ERROR_LIMIT;
    size_t cap = b->cap ? b->cap : 256;
    while (cap < b->len + n)
        cap *= 2;
    cap = TP_MIN(cap, b->max);
    char *p = realloc(b->ptr, cap);
    if (!p)
        return TP_E_NOMEM;
    b->ptr = p;
    b->cap = cap;
    return 0;
}

int buf_add(buf *b, const void *p, size_t n)
{
    int rc = buf_reserve(b, n);
    if (rc == 0 && n) {
        memcpy(b->ptr + b->len, p, n);
        b->len += n;
    }
    return rc;
}

int buf_adds(buf *b, tp_str s)
{
    return buf_add(b, s.ptr, s.len);
}

int buf_printf(buf *b, const char *fmt, ...)
{
    va_list ap, again;
    va_start(ap, fmt);
    va_copy(again, ap);
    int n = vsnprintf(NULL, 0, fmt, ap);
    va_end(ap);
    int rc = n < 0 ? TP_E_INTERNAL : buf_reserve(b, (size_t)n + 1);
    if (rc == 0) {
        vsnprintf(b->ptr + b->len, (size_t)n + 1, fmt, again);
        b->len += (size_t)n;
    }
    va_end(again);
    return rc;
}

/* Writes the escape of c, which has one, at o; returns its length: 2 or 6. */
static size_t json_escape(char *o, unsigned char c)
{
    static const char letter[32] = {['\b'] = 'b', ['\f'] = 'f', ['\n'] = 'n',
                                    ['\r'] = 'r', ['\t'] = 't'};
    static const char digit[] = "0123456789abcdef";
    o[0] = '\\';
    o[1] = (char)(c >= 0x20 ? c : letter[c]);
    if (o[1])
        return 2;
    memcpy(o + 1, "u00", 3);
    o[4] = digit[c >> 4];
    o[5] = digit[c & 15];
    return 6;
}

int buf_json_string(buf *b, tp_str s)
{
    const size_t before = b->len, n = s.len;
    int rc = n > SIZE_MAX - 2 ? TP_ERROR_LIMIT : buf_reserve(b, n + 2);
    if (rc)
        return rc;
    b->ptr[b->len++] = '"';
    /* Always: room for the rest as it is and the closing quote. So bytes are copied a block at a
     * time before anyone has looked at them, and only an escape asks for more. */
    for (size_t i = 0; i < n;) {
        char *o = b->ptr + b->len;
#ifdef __SSE2__
        if (n - i >= 16) {
            __m128i v = _mm_loadu_si128((const __m128i *)(const void *)(s.ptr + i));
            __m128i low = _mm_cmpeq_epi8(_mm_min_epu8(v, _mm_set1_epi8(0x1f)), v);
            __m128i odd = _mm_or_si128(low, _mm_or_si128(_mm_cmpeq_epi8(v, _mm_set1_epi8('"')),
                                                         _mm_cmpeq_epi8(v, _mm_set1_epi8('\\'))));
            unsigned mask = (unsigned)_mm_movemask_epi8(odd);
            unsigned run = mask ? (unsigned)__builtin_ctz(mask) : 16;
            _mm_storeu_si128((__m128i *)(void *)o, v);
            b->len += run;
            i += run;
            if (!mask)
                continue;
            o += run;
        }
#endif
        unsigned char c = (unsigned char)s.ptr[i++];
        if (c >= 0x20 && c != '"' && c != '\\') {
            *o = (char)c;
            b->len++;
            continue;
        }
        char escape[6];
        size_t len = json_escape(escape, c);
        rc = buf_reserve(b, len + (n - i) + 1);
        if (rc) {
            b->len = before;
            return rc;
        }
        memcpy(b->ptr + b->len, escape, sizeof(escape) <= b->cap - b->len ? sizeof(escape) : len);
        b->len += len;
    }
    b->ptr[b->len++] = '"';
    return 0;
}

void buf_shift(buf *b, size_t n)
{
    TP_MUST(n <= b->len);
    memmove(b->ptr, b->ptr + n, b->len - n);
    b->len -= n;
}
