/* One stream's life as bytes: the reply's head, HTTP chunks, events. */
#include "sse_load.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define HEAD_MAX 16384u

enum { FRAME_EOF, FRAME_LENGTH, FRAME_CHUNKED };
enum { CH_SIZE, CH_EXT, CH_DATA, CH_DATA_CR, CH_DATA_LF, CH_TRAILER, CH_END };

const char *sse_result_name(enum sse_result r)
{
    static const char *const names[] = { "ok",          "connect",  "status", "cut", "no_done",
                                         "error_event", "bad_http", "timeout" };
    return r < SSE_RESULTS ? names[r] : "?";
}

void sse_stream_init(struct sse_stream *s, uint64_t now)
{
    memset(s, 0, sizeof *s);
    s->fd = -1;
    s->began = now;
}

void sse_stream_free(struct sse_stream *s)
{
    free(s->head);
    s->head = NULL;
}

static void on_line(struct sse_stream *s, uint64_t now)
{
    size_t n = s->line_len < sizeof s->line ? (size_t)s->line_len : sizeof s->line;
    if (n && n == s->line_len && s->line[n - 1] == '\r')
        n--;
    if (n == 0) {
        if (!s->has_data)
            return; /* a comment, or nothing */
        s->events++;
        if (!s->first_event)
            s->first_event = now;
        else if (now - s->last_event > s->max_gap)
            s->max_gap = now - s->last_event;
        s->last_event = now;
        s->after_done = s->after_done || s->done;
        s->done = s->done || s->is_done;
        s->has_data = s->is_done = false;
        return;
    }
    if (n >= 5 && memcmp(s->line, "data:", 5) == 0) {
        s->has_data = true;
        if (n == 12 && memcmp(s->line, "data: [DONE]", 12) == 0)
            s->is_done = true;
        if (n >= 15 && memcmp(s->line, "data: {\"error\":", 15) == 0)
            s->error = true;
    }
}

static void feed_text(struct sse_stream *s, const char *p, size_t n, uint64_t now)
{
    while (n) {
        const char *nl = memchr(p, '\n', n);
        size_t step = nl ? (size_t)(nl - p) : n;
        if (s->line_len < sizeof s->line) {
            size_t room = sizeof s->line - (size_t)s->line_len;
            memcpy(s->line + s->line_len, p, step < room ? step : room);
        }
        s->line_len += step;
        if (!nl)
            return;
        on_line(s, now);
        s->line_len = 0;
        p += step + 1;
        n -= step + 1;
    }
}

static int hex(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c |= 32;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* -1 for malformed chunks. */
static int feed_chunks(struct sse_stream *s, const char *p, size_t n, uint64_t now)
{
    const char *end = p + n;
    while (p < end && s->chunk_state != CH_END) {
        char c = *p;
        size_t step = 1;
        switch (s->chunk_state) {
        case CH_SIZE:
            if (hex(c) >= 0 && s->left < (1ull << 40))
                s->left = s->left * 16 + (uint64_t)hex(c);
            else if (c == '\r' || c == ';')
                s->chunk_state = CH_EXT;
            else
                return -1;
            break;
        case CH_EXT:
            if (c == '\n') {
                s->chunk_state = s->left ? CH_DATA : CH_TRAILER;
                s->line_len = s->left ? s->line_len : 0;
            }
            break;
        case CH_DATA:
            step = (size_t)(end - p);
            if (step > s->left)
                step = (size_t)s->left;
            feed_text(s, p, step, now);
            s->left -= step;
            if (!s->left)
                s->chunk_state = CH_DATA_CR;
            break;
        case CH_DATA_CR:
            if (c != '\r')
                return -1;
            s->chunk_state = CH_DATA_LF;
            break;
        case CH_DATA_LF:
            if (c != '\n')
                return -1;
            s->chunk_state = CH_SIZE;
            break;
        default: /* trailer: ends at an empty line */
            if (c == '\n' && s->line_len == 0)
                s->chunk_state = CH_END;
            else if (c == '\n')
                s->line_len = 0;
            else if (c != '\r')
                s->line_len++;
            break;
        }
        p += step;
    }
    return p < end ? -1 : 0; /* nothing may follow the end */
}

static int parse_head(struct sse_stream *s, const char *p, size_t len)
{
    if (len < 13 || memcmp(p, "HTTP/1.", 7) != 0)
        return -1;
    s->status = atoi(p + 9);
    s->framing = FRAME_EOF;
    const char *end = p + len;
    for (const char *line = p; line < end;) {
        const char *nl = memchr(line, '\n', (size_t)(end - line));
        if (!nl)
            break;
        size_t n = (size_t)(nl - line);
        if (n > 18 && strncasecmp(line, "transfer-encoding:", 18) == 0)
            s->framing = FRAME_CHUNKED;
        if (n > 15 && strncasecmp(line, "content-length:", 15) == 0) {
            s->framing = FRAME_LENGTH;
            s->left = strtoull(line + 15, NULL, 10);
        }
        line = nl + 1;
    }
    return s->status >= 100 && s->status < 600 ? 0 : -1;
}

static enum sse_result verdict(const struct sse_stream *s)
{
    if (s->error)
        return SSE_ERROR_EVENT;
    return s->done && !s->after_done && !s->has_data ? SSE_OK : SSE_NO_DONE;
}

static int feed_body(struct sse_stream *s, const char *p, size_t n, uint64_t now)
{
    if (s->framing == FRAME_CHUNKED) {
        if (feed_chunks(s, p, n, now) < 0)
            return SSE_BAD_HTTP;
        return s->chunk_state == CH_END ? (int)verdict(s) : -1;
    }
    if (s->framing == FRAME_LENGTH) {
        if (n > s->left)
            return SSE_BAD_HTTP;
        s->left -= n;
    }
    feed_text(s, p, n, now);
    return s->framing == FRAME_LENGTH && !s->left ? (int)verdict(s) : -1;
}

int sse_stream_feed(struct sse_stream *s, const char *p, size_t n, uint64_t now)
{
    if (s->status)
        return feed_body(s, p, n, now);
    char *head = realloc(s->head, s->head_len + n);
    if (!head)
        abort();
    memcpy(head + s->head_len, p, n);
    s->head = head;
    s->head_len += n;
    const char *end = memmem(head, s->head_len, "\r\n\r\n", 4);
    if (!end)
        return s->head_len > HEAD_MAX ? (int)SSE_BAD_HTTP : -1;
    size_t len = (size_t)(end - head) + 4;
    if (parse_head(s, head, len) < 0)
        return SSE_BAD_HTTP;
    if (s->status < 200) { /* 100 Continue: the real head follows */
        s->status = 0;
        size_t rest = s->head_len - len;
        char *copy = malloc(rest + 1);
        if (!copy)
            abort();
        memcpy(copy, head + len, rest);
        s->head_len = 0;
        int rc = rest ? sse_stream_feed(s, copy, rest, now) : -1;
        free(copy);
        return rc;
    }
    if (s->status != 200)
        return SSE_STATUS;
    int rc = len < s->head_len ? feed_body(s, head + len, s->head_len - len, now) : -1;
    free(s->head);
    s->head = NULL;
    return rc;
}

enum sse_result sse_stream_eof(const struct sse_stream *s)
{
    if (!s->status)
        return SSE_CONNECT;
    return s->framing == FRAME_EOF ? verdict(s) : SSE_CUT;
}
