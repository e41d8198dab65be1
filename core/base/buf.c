#include "base/buf.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

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

int buf_json_string(buf *b, tp_str s)
{
    int rc = buf_add(b, "\"", 1);
    size_t from = 0;
    for (size_t i = 0; rc == 0 && i < s.len; i++) {
        unsigned char c = (unsigned char)s.ptr[i];
        if (c >= 0x20 && c != '"' && c != '\\')
            continue;
        rc = buf_add(b, s.ptr + from, i - from);
        from = i + 1;
        if (rc)
            break;
        const char *at = strchr("\bb\ff\nn\rr\tt\"\"\\\\", c);
        if (c && at)
            rc = buf_printf(b, "\\%c", at[1]);
        else
            rc = buf_printf(b, "\\u%04x", c);
    }
    if (rc == 0)
        rc = buf_add(b, s.ptr + from, s.len - from);
    return rc ? rc : buf_add(b, "\"", 1);
}

void buf_shift(buf *b, size_t n)
{
    TP_MUST(n <= b->len);
    memmove(b->ptr, b->ptr + n, b->len - n);
    b->len -= n;
}
