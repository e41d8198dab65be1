/* Responses: head, framing, one writev. */
#include "loop/server_int.h"

#include <string.h>

static const char *date_of(worker *w)
{
    int64_t ms = w->now.unix_ms;
    if (ms / 1000 != w->date_s) {
        w->date_s = ms / 1000;
        http_date(w->date, ms);
    }
    return w->date;
}

static int decimal(buf *b, size_t n)
{
    char text[24], *p = text + sizeof(text);
    do
        *--p = (char)('0' + n % 10);
    while ((n /= 10) != 0);
    return buf_add(b, p, (size_t)(text + sizeof(text) - p));
}

static int write_head(conn *c, const dispatch_actions *a)
{
    buf *b = &c->w->head;
    int rc = http_write_status(b, a->status);
    rc |= buf_adds(b, STR("Server: turnpike\r\nDate: "));
    rc |= buf_add(b, date_of(c->w), 29);
    rc |= buf_adds(b, STR("\r\n"));
    for (uint32_t i = 0; i < a->header_count; i++)
        http_write_header(b, a->headers[i].name, a->headers[i].value);
    c->chunked_out = 0;
    if (a->finish) {
        rc |= buf_adds(b, STR("Content-Length: "));
        rc |= decimal(b, a->bytes);
        rc |= buf_adds(b, STR("\r\n"));
    } else if (c->minor >= 1) {
        c->chunked_out = 1;
        rc |= buf_adds(b, STR("Transfer-Encoding: chunked\r\n"));
    } else {
        c->close_after = 1; /* HTTP/1.0: the end of the connection is the end of the body */
    }
    if (c->close_after)
        rc |= buf_adds(b, STR("Connection: close\r\n"));
    else if (c->minor == 0)
        rc |= buf_adds(b, STR("Connection: keep-alive\r\n"));
    rc |= buf_adds(b, STR("\r\n"));
    return rc ? UV_ENOMEM : 0;
}

int conn_write_response(conn *c, const dispatch_actions *a)
{
    worker *w = c->w;
    char size[20];
    uint32_t n = 0;
    if (w->seg_cap < a->seg_count + 4) {
        w->seg_cap = a->seg_count + 64;
        w->segs = tp_xrealloc(w->segs, w->seg_cap * sizeof(*w->segs));
    }
    w->head.len = 0;
    if (a->respond) {
        int rc = write_head(c, a);
        if (rc)
            return rc;
        w->segs[n++] = buf_str(&w->head);
    }
    int body = a->bytes > 0 && !c->is_head;
    if (body && c->chunked_out)
        w->segs[n++] = str_make(size, http_chunk_head(size, a->bytes));
    if (body) {
        memcpy(&w->segs[n], a->segs, a->seg_count * sizeof(*a->segs));
        n += a->seg_count;
    }
    if (c->chunked_out && !c->is_head) {
        if (body && a->finish)
            w->segs[n++] = STR("\r\n0\r\n\r\n");
        else if (body)
            w->segs[n++] = STR("\r\n");
        else if (a->finish)
            w->segs[n++] = STR("0\r\n\r\n");
    }
    return n ? net_write(&c->n, w->segs, n) : 0;
}
