/* clang-format off */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <cmocka.h>
/* clang-format on */

#include "transcript.h"

static const http_limits limits = {.head_bytes = 1024, .target_bytes = 256, .header_count = 20};
static const http_limits tight = {
    .head_bytes = 1024, .target_bytes = 256, .header_count = 20, .body_bytes = 4};

enum { NO_BODY = 1, TIGHT = 2 };
/* end: what http_parse_eof says: 'D' message ends with the connection, '0' between messages,
 * 'C' cut in the middle, 'F' refused. */
typedef struct row {
    const char *raw;
    int flags;
    int messages;
    char end;
    const char *holds; /* what the transcript must hold */
} row;

static const row rows[] = {
    /* plain ones */
    {"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc", 0, 1, '0',
     "keep=1 chunked=0 expect=0 length=3"},
    {"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc", 0, 1, '0', "DONE body[3]=abc"},
    {"HTTP/1.1 200\r\nContent-Length: 0\r\n\r\n", 0, 1, '0', "status=200"},
    {"HTTP/1.1 200 \r\nContent-Length: 0\r\n\r\n", 0, 1, '0', "status=200"},
    {"HTTP/1.1 404 Not \xc3\xa4 Found\r\nContent-Length: 0\r\n\r\n", 0, 1, '0', "status=404"},
    {"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nab", 0, 0, 'C', "at end, body[2]=ab"},
    {"HTTP/1.1 200 OK\r\nContent-Le", 0, 0, 'C', ""},
    {"", 0, 0, '0', ""},
    {"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\naHTTP/1.1 201 OK\r\nContent-Length: 0\r\n\r\n", 0,
     2, '0', "status=201"},
    /* chunked */
    {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nabcd\r\n1\r\ne\r\n0\r\n\r\n", 0, 1,
     '0', "DONE body[5]=abcde"},
    {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nabcd\r\n", 0, 0, 'C',
     "body[4]=abcd"},
    {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nabcd\r\n0\r\n", 0, 0, 'C', ""},
    {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nX: y\r\n\r\n", 0, 1, '0',
     "body[0]="},
    /* until close */
    {"HTTP/1.1 200 OK\r\n\r\nabc", 0, 0, 'D', "keep=0 chunked=0 expect=0 length=-1"},
    {"HTTP/1.1 200 OK\r\n\r\nabc", 0, 0, 'D', "at end, body[3]=abc"},
    {"HTTP/1.0 200 OK\r\nConnection: keep-alive\r\n\r\n", 0, 0, 'D', "keep=0"},
    {"HTTP/1.1 500 No\r\n\r\n", 0, 0, 'D', "status=500"},
    /* keep-alive */
    {"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n", 0, 1, '0', "keep=0"},
    {"HTTP/1.0 200 OK\r\nContent-Length: 0\r\n\r\n", 0, 1, '0', "keep=0"},
    {"HTTP/1.0 200 OK\r\nContent-Length: 0\r\nConnection: Keep-Alive\r\n\r\n", 0, 1, '0', "keep=1"},
    /* no body */
    {"HTTP/1.1 200 OK\r\nContent-Length: 30\r\n\r\n", NO_BODY, 1, '0', "keep=1"},
    {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", NO_BODY, 1, '0', "keep=1"},
    {"HTTP/1.1 200 OK\r\n\r\n", NO_BODY, 1, '0', "keep=1"},
    {"HTTP/1.1 204 No Content\r\n\r\n", 0, 1, '0', "keep=1"},
    {"HTTP/1.1 204 No Content\r\nContent-Length: 3\r\n\r\n", 0, 1, '0', "keep=0"},
    {"HTTP/1.1 304 Not Modified\r\nContent-Length: 30\r\n\r\n", 0, 1, '0', "keep=1"},
    /* interim responses */
    {"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\na", 0, 1, '0',
     "status=200"},
    {"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\nHTTP/1.1 100 Continue\r\n\r\n"
     "HTTP/1.1 201 Created\r\nContent-Length: 0\r\n\r\n",
     0, 1, '0', "status=201"},
    {"HTTP/1.1 100 Continue\r\n\r\n", 0, 0, 'C', ""},
    {"HTTP/1.1 101 Switching Protocols\r\nUpgrade: h2c\r\n\r\n", 0, 0, 'F', ""},
    /* faults */
    {"HTTP/1.1 200 OK\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n", 0, 0, 'F', ""},
    {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n", 0, 0, 'F', ""},
    {"HTTP/1.1 200 OK\r\nContent-Length: 3\r\nContent-Length: 3\r\n\r\nabc", 0, 0, 'F', ""},
    {"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n", 0, 0, 'F', ""},
    {"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n", 0, 0, 'F', ""},
    {"HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", 0, 0, 'F', ""},
    {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", 0, 0, 'F', ""},
    {"HTTP/1.1 200 OK\r\nX: a\r\n b\r\nContent-Length: 0\r\n\r\n", 0, 0, 'F', ""},
    {"HTTP/1.1 200 OK\nContent-Length: 0\r\n\r\n", 0, 0, 'F', ""},
    {"HTTP/1.1 200 O\x01K\r\nContent-Length: 0\r\n\r\n", 0, 0, 'F', ""},
    {"HTTP/1.1 200OK\r\nContent-Length: 0\r\n\r\n", 0, 0, 'F', ""},
    {"HTTP/1.1 20 OK\r\nContent-Length: 0\r\n\r\n", 0, 0, 'F', ""},
    {"HTTP/1.1 2000 OK\r\nContent-Length: 0\r\n\r\n", 0, 0, 'F', ""},
    {"HTTP/1.1 099 OK\r\nContent-Length: 0\r\n\r\n", 0, 0, 'F', ""},
    {"HTTP/1.1  200 OK\r\nContent-Length: 0\r\n\r\n", 0, 0, 'F', ""},
    {"HTTP/2.0 200 OK\r\nContent-Length: 0\r\n\r\n", 0, 0, 'F', ""},
    {"HTTP/1.2 200 OK\r\nContent-Length: 0\r\n\r\n", 0, 0, 'F', ""},
    {"ICY 200 OK\r\nContent-Length: 0\r\n\r\n", 0, 0, 'F', ""},
    {"\r\nHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", 0, 0, 'F', ""},
    {"x", 0, 0, 'F', ""},
    /* the limit on content */
    {"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nabcd", TIGHT, 1, '0', "body[4]=abcd"},
    {"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nabcde", TIGHT, 0, 'F', ""},
    {"HTTP/1.1 200 OK\r\n\r\nabcd", TIGHT, 0, 'D', "body[4]=abcd"},
    {"HTTP/1.1 200 OK\r\n\r\nabcde", TIGHT, 0, 'F', "body[4]=abcd"},
    {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n1\r\nd\r\n0\r\n\r\n", TIGHT,
     1, '0', "body[4]=abcd"},
    {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n", TIGHT,
     0, 'F', "body[4]=abcd"},
};

static void run_row(transcript *t, const row *r, tp_str raw, cutter cut, void *state)
{
    transcript_init(t);
    run_http(t, HTTP_RESPONSE, r->flags & NO_BODY, r->flags & TIGHT ? &tight : &limits, raw, cut,
             state);
}

static void check_row(const row *r, const transcript *t)
{
    char end = t->status ? 'F' : t->eof != 0 ? 'C' : t->done ? 'D' : '0';
    if (t->messages == r->messages && end == r->end && (!t->status || t->status == 502) &&
        memmem(t->text.ptr, t->text.len, r->holds, strlen(r->holds)))
        return;
    fail_msg("%d messages, end %c, %s; expected %d, %c, \"%s\" for:\n%s\n%.*s", t->messages, end,
             t->why ? t->why : "", r->messages, r->end, r->holds, r->raw,
             STR_ARG(buf_str(&t->text)));
}

static void same(const transcript *want, const transcript *is, const char *raw, size_t cut)
{
    if (!str_eq(buf_str(&want->text), buf_str(&is->text)))
        fail_msg("cut at %zu gives another result for:\n%s\n--- whole:\n%.*s--- cut:\n%.*s", cut,
                 raw, STR_ARG(buf_str(&want->text)), STR_ARG(buf_str(&is->text)));
}

static void test_table(void **state)
{
    (void)state;
    for (size_t i = 0; i < TP_COUNT(rows); i++) {
        const row *r = &rows[i];
        tp_str raw = str_of(r->raw);
        transcript whole, other;
        run_row(&whole, r, raw, cut_never, NULL);
        check_row(r, &whole);
        run_row(&other, r, raw, cut_always, NULL);
        same(&whole, &other, r->raw, 0);
        transcript_free(&other);
        for (size_t k = 1; k < raw.len; k++) {
            size_t at = k;
            run_row(&other, r, raw, cut_once, &at);
            same(&whole, &other, r->raw, k);
            transcript_free(&other);
        }
        transcript_free(&whole);
    }
}

static void test_interim_is_bounded(void **state)
{
    (void)state;
    for (int n = 8; n <= 9; n++) {
        buf b;
        transcript t;
        row r = {.messages = n == 8, .end = n == 8 ? '0' : 'F', .raw = "interim", .holds = ""};
        buf_init(&b, 1 << 16);
        for (int i = 0; i < n; i++)
            assert_int_equal(buf_adds(&b, STR("HTTP/1.1 102 Processing\r\n\r\n")), 0);
        assert_int_equal(buf_adds(&b, STR("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")), 0);
        run_row(&t, &r, buf_str(&b), cut_never, NULL);
        check_row(&r, &t);
        transcript_free(&t);
        run_row(&t, &r, buf_str(&b), cut_always, NULL);
        check_row(&r, &t);
        transcript_free(&t);
        buf_free(&b);
    }
}

static void test_head_is_bounded(void **state)
{
    (void)state;
    for (size_t extra = 0; extra <= 1; extra++) {
        char raw[2048];
        transcript t;
        /* the lines around the value are 43 bytes */
        int n =
            snprintf(raw, sizeof(raw), "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nX: %0*d\r\n\r\n",
                     (int)(1024 - 43 + extra), 1);
        assert_int_equal((size_t)n, 1024 + extra);
        row r = {.messages = extra == 0, .end = extra ? 'F' : '0', .raw = "long", .holds = ""};
        run_row(&t, &r, str_of(raw), cut_never, NULL);
        check_row(&r, &t);
        transcript_free(&t);
    }
}

/* The bound on framing is one on each chunk: a stream may have as many as it likes. */
static void test_many_chunks(void **state)
{
    (void)state;
    buf b;
    transcript t;
    row r = {.messages = 1, .end = '0', .raw = "chunks", .holds = "body[2000]="};
    buf_init(&b, 1 << 20);
    assert_int_equal(buf_adds(&b, STR("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")), 0);
    for (int i = 0; i < 1000; i++)
        assert_int_equal(buf_adds(&b, STR("0002;x=y\r\nab\r\n")), 0);
    assert_int_equal(buf_adds(&b, STR("0\r\n\r\n")), 0);
    run_row(&t, &r, buf_str(&b), cut_never, NULL);
    check_row(&r, &t);
    transcript_free(&t);
    run_row(&t, &r, buf_str(&b), cut_always, NULL);
    check_row(&r, &t);
    transcript_free(&t);
    buf_free(&b);
}

/* Bodies are handed out where they lie, however many bytes they have. */
static void test_no_copy(void **state)
{
    (void)state;
    static char raw[70000];
    arena a;
    http_event ev;
    size_t head = (size_t)snprintf(
        raw, sizeof(raw), "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n10000\r\n");
    memset(raw + head, 'x', 65536);
    memcpy(raw + head + 65536, "\r\n0\r\n\r\n", 8);
    arena_init(&a, NULL, 4096);
    http_parser *p = http_parser_init(malloc(http_parser_size()), HTTP_RESPONSE, &limits);
    http_parser_next(p, &a);
    tp_str in = str_make(raw, head + 65536 + 7);
    assert_int_equal(http_parse(p, in, &ev), HTTP_HEAD_DONE);
    in = str_skip(in, ev.used);
    assert_int_equal(http_parse(p, in, &ev), HTTP_BODY);
    assert_ptr_equal(ev.span.ptr, raw + head);
    assert_int_equal(ev.span.len, 65536);
    in = str_skip(in, ev.used);
    assert_int_equal(http_parse(p, in, &ev), HTTP_DONE);
    assert_int_equal(ev.used, in.len);
    arena_reset(&a);
    free(p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_table),           cmocka_unit_test(test_interim_is_bounded),
        cmocka_unit_test(test_head_is_bounded), cmocka_unit_test(test_many_chunks),
        cmocka_unit_test(test_no_copy),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
