/* A growing byte buffer with a maximum, so that nothing a peer sends can grow without bound. */
#ifndef TP_BASE_BUF_H
#define TP_BASE_BUF_H
#include "base/base.h"

typedef struct buf {
    char *ptr;
    size_t len, cap, max;
} buf;
void buf_init(buf *b, size_t max);
void buf_free(buf *b);
/* Room for n more bytes after len: 0, TP_ERROR_LIMIT past max, TP_E_NOMEM. */
int buf_reserve(buf *b, size_t n);
int buf_add(buf *b, const void *p, size_t n);
int buf_adds(buf *b, tp_str s);
int buf_printf(buf *b, const char *fmt, ...) TP_PRINTF(2, 3);
/* s quoted and escaped as JSON; s is UTF-8. On an error b is as it was. */
int buf_json_string(buf *b, tp_str s);
void buf_shift(buf *b, size_t n);      /* drops the first n bytes */
static inline tp_str buf_str(const buf *b)
{
    return (tp_str){b->ptr, b->len};
}
#endif
