/* The reader of plain heads against llhttp: what it takes, llhttp takes too, with the same result. */
/* clang-format off */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <cmocka.h>
/* clang-format on */

#include "base/hash.h"
#include "parse/http_int.h"
#include "transcript.h"

enum { MOST = 2048, LINES = 20 };
static const http_limits limits = {
    .head_bytes = MOST, .target_bytes = 256, .header_count = LINES, .body_bytes = 100000};

typedef struct outcome {
    int read, judged; /* what the reader and the judge answered */
    http_head head;
    tp_header headers[LINES];
    int32_t status;
    uint8_t at;
    uint64_t left;
    char raw[MOST];
} outcome;

static void take(int side, tp_str text, int plain, outcome *o)
{
    static http_parser p;
    arena a;
    arena_init(&a, NULL, 1 << 16);
    http_parser_init(&p, side, &limits);
    http_parser_next(&p, &a);
    memset(o, 0, sizeof(*o));
    memcpy(o->raw, text.ptr, text.len);
    o->head.headers = o->headers;
    o->head.content_length = -1;
    if (http_scan(&p, text.ptr, (uint32_t)text.len) != 1 || p.seen != text.len) {
        o->read = -2; /* no whole head: nobody reads it */
        return;
    }
    o->read = plain ? (http_head_plain(&p, &o->head, o->raw, text.len) ? 0 : -1)
                    : http_head_llhttp(&p, &o->head, o->raw, text.len);
    if (o->read == 0)
        o->judged = http_head_judge(&p, &o->head, o->raw);
    o->status = p.fault.status;
    o->at = p.at;
    o->left = p.left;
    arena_reset(&a);
}

/* Text of what was understood; strings as they are, so that nothing depends on where they lie. */
static void write_down(const outcome *o, transcript *t)
{
    say_head(t, &o->head);
    TP_MUST(buf_printf(&t->text, "judged=%d status=%d at=%d left=%llu\n", o->judged, (int)o->status,
                       (int)o->at, (unsigned long long)o->left) == 0);
}

/* 1: the plain reader took it. */
static int compare(int side, tp_str text)
{
    static outcome plain, whole;
    take(side, text, 1, &plain);
    if (plain.read != 0)
        return 0;
    take(side, text, 0, &whole);
    transcript a, b;
    transcript_init(&a);
    transcript_init(&b);
    write_down(&plain, &a);
    write_down(&whole, &b);
    if (whole.read != 0 || !str_eq(buf_str(&a.text), buf_str(&b.text)))
        fail_msg("the head\n%.*s\nis plain:\n%.*s\nbut to llhttp (%d):\n%.*s", STR_ARG(text),
                 STR_ARG(buf_str(&a.text)), whole.read, STR_ARG(buf_str(&b.text)));
    transcript_free(&a);
    transcript_free(&b);
    return 1;
}

static const char *const requests[] = {
    "GET / HTTP/1.1\r\nHost: a\r\n\r\n",
    "POST /v1/chat/completions HTTP/1.1\r\nHost: 127.0.0.1:18090\r\nContent-Length: 1432\r\n"
    "Content-Type: application/json\r\nAuthorization: Bearer tp_live_0000\r\n\r\n",
    "GET /v1/models?limit=20&after=x%20y HTTP/1.0\r\nhost: api.example.com\r\nACCEPT: */*\r\n"
    "Connection: keep-alive, Upgrade\r\nUpgrade: h2c\r\nX-Empty:\r\nX-Blank: \r\n\r\n",
    "DELETE /v1/keys/1 HTTP/1.1\r\nHost: [::1]:80\r\nExpect: 100-continue\r\nProxy-Connection: x\r\n"
    "Content-Length: 0\r\nx!#$%&'*+-.^_`|~9: \xc3\xa4 b\r\n\r\n",
    "PATCH /%2e/;a=b HTTP/1.1\r\nHost: a\r\nConnection: close\r\nCookie: a=b; c=\"d\"\r\n\r\n",
    "HEAD /x HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
    "PUT /x HTTP/1.1\r\nHost: a b\r\nContent-Length: 999999999999999999\r\n\r\n",
};
static const char *const responses[] = {
    ("HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nx-request-id: req_1\r\n"
     "Content-Length: 600\r\n\r\n"),
    "HTTP/1.1 204 No Content\r\nConnection: close\r\nKeep-Alive: timeout=5\r\n\r\n",
    "HTTP/1.0 429 Too Many Requests\r\nRetry-After: 1\r\nSet-Cookie: a=b\r\nSet-Cookie: c=d\r\n\r\n",
    "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n",
    "HTTP/1.1 100 Continue\r\n\r\n",
    "HTTP/1.1 304 \r\nETag: \"x\"\r\nContent-Length: 5\r\n\r\n",
};

static void usual_heads_are_plain(void **state)
{
    (void)state;
    for (size_t i = 0; i < TP_COUNT(requests); i++)
        if (!compare(HTTP_REQUEST, str_of(requests[i])))
            fail_msg("not plain: %s", requests[i]);
    for (size_t i = 0; i < TP_COUNT(responses); i++)
        if (!compare(HTTP_RESPONSE, str_of(responses[i])))
            fail_msg("not plain: %s", responses[i]);
}

/* Each byte of a usual head becomes each of the 256, one at a time. */
static void every_byte_is_tried(void **state)
{
    (void)state;
    static char text[MOST];
    uint32_t plain = 0, other = 0;
    for (int side = HTTP_REQUEST; side <= HTTP_RESPONSE; side++) {
        const char *const *list = side == HTTP_REQUEST ? requests : responses;
        size_t count = side == HTTP_REQUEST ? TP_COUNT(requests) : TP_COUNT(responses);
        for (size_t k = 0; k < count; k++) {
            tp_str s = str_of(list[k]);
            for (size_t at = 0; at < s.len; at++) {
                for (int c = 0; c < 256; c++) {
                    memcpy(text, s.ptr, s.len);
                    text[at] = (char)c;
                    if (compare(side, str_make(text, s.len)))
                        plain++;
                    else
                        other++;
                }
            }
        }
    }
    assert_true(plain > 10000);
    assert_true(other > 10000);
}

static size_t mutate(rng *r, char *text, size_t n)
{
    static const char *const pieces[] = {
        "\r\n", " ", "\t", ":", "\n", "\r", "0", "9", "Content-Length: 5\r\n", "Host: a\r\n",
        "Transfer-Encoding: chunked\r\n", "Connection: close\r\n", "\x80", "\x7f", ",", "X: y\r\n",
        "Content-Length: 5 \r\n", "content-length: +5\r\n", "Expect: 100-continue\r\n", "#", "?"};
    size_t at = (size_t)rng_below(r, n), len;
    const char *piece;
    switch (rng_below(r, 4)) {
    case 0:
        text[at] = (char)rng_below(r, 256);
        return n;
    case 1:
        len = (size_t)rng_below(r, TP_MIN(n - at, (size_t)12));
        memmove(text + at, text + at + len, n - at - len);
        return n - len;
    case 2:
        text[at] ^= 0x20;
        return n;
    default:
        piece = pieces[rng_below(r, TP_COUNT(pieces))];
        len = strlen(piece);
        if (rng_below(r, 2)) { /* behind a line, where header lines can stand */
            const char *lf = memchr(text + at, '\n', n - at);
            at = lf ? (size_t)(lf - text) + 1 : at;
        }
        memmove(text + at + len, text + at, n - at);
        memcpy(text + at, piece, len);
        return n + len;
    }
}

static void mutated_heads_agree(void **state)
{
    (void)state;
    static char text[MOST];
    rng r = {20260301};
    uint32_t plain = 0;
    for (int round = 0; round < 60000; round++) {
        int side = rng_below(&r, 2) ? HTTP_REQUEST : HTTP_RESPONSE;
        const char *from = side == HTTP_REQUEST ? requests[rng_below(&r, TP_COUNT(requests))]
                                                : responses[rng_below(&r, TP_COUNT(responses))];
        size_t n = strlen(from);
        memcpy(text, from, n);
        for (uint64_t k = rng_below(&r, 4) + 1; k > 0 && n > 0; k--)
            n = mutate(&r, text, n);
        plain += (uint32_t)compare(side, str_make(text, n));
    }
    assert_in_range(plain, 5000, 50000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(usual_heads_are_plain),
        cmocka_unit_test(every_byte_is_tried),
        cmocka_unit_test(mutated_heads_agree),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
