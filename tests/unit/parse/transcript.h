/* Feeds bytes to a parser or framer in pieces and writes down what came out, so that a test can
 * say "the same, however it was cut". Each piece lies in memory of its own that is freed before
 * the next one comes: AddressSanitizer then sees strings that should have been copied. */
#ifndef TP_TEST_PARSE_TRANSCRIPT_H
#define TP_TEST_PARSE_TRANSCRIPT_H
#include <stdlib.h>

#include "base/str.h"
#include "parse/frame.h"
#include "parse/http.h"

typedef struct transcript {
    buf text;
    buf body;   /* of the message at hand */
    int status; /* of the fault, or 0 */
    const char *why;
    int messages;  /* completed ones */
    int eof, done; /* what http_parse_eof said */
} transcript;

static inline void transcript_init(transcript *t)
{
    *t = (transcript){0};
    buf_init(&t->text, 1 << 26);
    buf_init(&t->body, 1 << 26);
}

static inline void transcript_free(transcript *t)
{
    buf_free(&t->text);
    buf_free(&t->body);
}

static inline void say(transcript *t, const char *what, tp_str s)
{
    TP_MUST(buf_printf(&t->text, "%s[%zu]=", what, s.len) == 0);
    TP_MUST(buf_adds(&t->text, s) == 0);
    TP_MUST(buf_adds(&t->text, STR("\n")) == 0);
}

static inline void say_head(transcript *t, const http_head *h)
{
    TP_MUST(
        buf_printf(&t->text,
                   "HEAD method=%d status=%d minor=%d keep=%d chunked=%d expect=%d length=%lld\n",
                   h->method, h->status, h->minor, h->keep_alive, h->chunked, h->expect_continue,
                   (long long)h->content_length) == 0);
    say(t, "method", h->method_text);
    say(t, "target", h->target);
    say(t, "path", h->path);
    say(t, "query", h->query);
    for (uint32_t i = 0; i < h->header_count; i++) {
        say(t, "name", h->headers[i].name);
        say(t, "value", h->headers[i].value);
    }
    for (int i = 0; i < HTTP_H_COUNT; i++)
        if (h->known[i].ptr)
            say(t, "known", h->known[i]);
}

/* What is known of a head that was refused, however it was cut. */
static inline void say_glimpse(transcript *t, const http_parser *p)
{
    tp_str method, path;
    http_parser_glimpse(p, &method, &path);
    TP_MUST((method.len == 0) == (path.len == 0) && (!path.len || path.ptr[0] == '/'));
    say(t, "seen method", method);
    say(t, "seen path", path);
}

/* One piece. Returns 0 when the parser has refused. */
static inline int feed_http(transcript *t, http_parser *p, arena *a, tp_str in)
{
    size_t turns = 3 * in.len + 8; /* each byte may be an event, but none goes on for ever */
    for (;;) {
        http_event ev;
        int got = http_parse(p, in, &ev);
        TP_MUST(ev.used <= in.len && turns-- > 0);
        switch (got) {
        case HTTP_NEED_MORE:
            TP_MUST(ev.used == in.len);
            return 1;
        case HTTP_HEAD_DONE:
            say_head(t, ev.head);
            break;
        case HTTP_BODY:
            TP_MUST(ev.span.len > 0 && ev.span.ptr >= in.ptr &&
                    ev.span.ptr + ev.span.len <= in.ptr + ev.used);
            TP_MUST(buf_adds(&t->body, ev.span) == 0);
            break;
        case HTTP_DONE:
            say(t, "DONE body", buf_str(&t->body));
            t->body.len = 0;
            t->messages++;
            arena_reset(a);
            http_parser_next(p, a);
            if (ev.used == in.len)
                return 1;
            break;
        default:
            TP_MUST(got == HTTP_FAULT && ev.fault.status >= 400 && ev.fault.why);
            t->status = ev.fault.status;
            t->why = ev.fault.why;
            say(t, "FAULT after body", buf_str(&t->body));
            tp_str path = ev.head ? ev.head->path : STR_NONE;
            TP_MUST(buf_printf(&t->text, "status=%d path=%.*s\n", t->status, STR_ARG(path)) == 0);
            if (!ev.head)
                say_glimpse(t, p);
            TP_MUST(http_parse(p, STR("GET"), &ev) == HTTP_FAULT && ev.used == 0);
            return 0;
        }
        in = str_skip(in, ev.used);
    }
}

/* Where to cut: the length of the next piece, at least 1; n: what is left. */
typedef size_t (*cutter)(void *state, size_t n);

static inline size_t cut_never(void *state, size_t n)
{
    (void)state;
    return n;
}

static inline size_t cut_always(void *state, size_t n)
{
    (void)state;
    return n ? 1 : 0;
}

/* state: a size_t, where the one cut is. */
static inline size_t cut_once(void *state, size_t n)
{
    size_t at = *(size_t *)state;
    *(size_t *)state = 0;
    return at && at < n ? at : n;
}

static inline void run_http(transcript *t, int side, int no_body, const http_limits *limits,
                            tp_str all, cutter cut, void *state)
{
    arena a;
    arena_init(&a, NULL, 4 << 20);
    http_parser *p = http_parser_init(tp_xmalloc(http_parser_size()), side, limits);
    http_parser_next(p, &a);
    if (no_body)
        http_parser_no_body(p);
    int alive = 1;
    while (alive && all.len) {
        size_t n = cut(state, all.len);
        char *piece = malloc(n);
        TP_MUST(piece);
        memcpy(piece, all.ptr, n);
        alive = feed_http(t, p, &a, str_make(piece, n));
        free(piece);
        all = str_skip(all, n);
    }
    t->eof = http_parse_eof(p, &t->done);
    TP_MUST(buf_printf(&t->text, "EOF %d %d\n", t->eof, t->done) == 0);
    say(t, "at end, body", buf_str(&t->body));
    arena_reset(&a);
    free(p);
}

/* ---- Frames. */

static inline void say_frame(transcript *t, const tp_frame *f)
{
    say(t, "event", f->name);
    say(t, "data", f->data);
    TP_MUST(f->used == f->data.len);
    t->messages++;
}

static inline void run_frames(transcript *t, int32_t framing, size_t max, tp_str all, cutter cut,
                              void *state)
{
    framer f;
    tp_frame frame = {.size = sizeof(frame)};
    int got = FRAME_NONE;
    framer_init(&f, framing, max);
    while (got >= 0 && all.len) {
        size_t n = cut(state, all.len);
        char *piece = malloc(n);
        TP_MUST(piece);
        memcpy(piece, all.ptr, n);
        tp_str in = str_make(piece, n);
        while ((got = framer_next(&f, &in, &frame)) == FRAME_GOT)
            say_frame(t, &frame);
        TP_MUST(got < 0 || in.len == 0);
        free(piece);
        all = str_skip(all, n);
    }
    if (got >= 0)
        got = framer_end(&f, &frame, &t->done);
    if (got == FRAME_GOT)
        say_frame(t, &frame);
    TP_MUST(buf_printf(&t->text, "END %d cut=%d\n", got < 0 ? got : 0, t->done) == 0);
    t->status = got;
    framer_free(&f);
}
#endif
