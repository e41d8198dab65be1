/* What is known of a request whose head is refused or has not come whole. */
/* clang-format off */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
/* clang-format on */

#include "base/str.h"
#include "parse/http.h"

static const http_limits LIMITS = {
    .head_bytes = 4096, .target_bytes = 100, .header_count = 8, .body_bytes = 10};

typedef struct seen {
    int got, status;
    tp_str method, path;
    char text[256];
} seen;

/* Feeds n bytes at a time from memory of its own, as a loop's buffer is another's soon after. */
static seen feed_within(const http_limits *limits, const char *bytes, size_t len, size_t n)
{
    seen s = {0};
    arena a;
    arena_init(&a, NULL, 1 << 20);
    http_parser *p = http_parser_init(malloc(http_parser_size()), HTTP_REQUEST, limits);
    http_parser_next(p, &a);
    for (size_t at = 0; at < len && s.got != HTTP_FAULT;) {
        size_t part = TP_MIN(n, len - at);
        char *own = malloc(part);
        http_event ev;
        memcpy(own, bytes + at, part);
        s.got = http_parse(p, str_make(own, part), &ev);
        s.status = s.got == HTTP_FAULT ? ev.fault.status : 0;
        at += ev.used;
        free(own);
    }
    http_parser_glimpse(p, &s.method, &s.path);
    assert_true(s.method.len + s.path.len < sizeof(s.text) || s.path.len > 900);
    size_t room = TP_MIN(s.path.len, sizeof(s.text) - s.method.len - 1);
    if (s.method.len)
        memcpy(s.text, s.method.ptr, s.method.len);
    s.text[s.method.len] = ' ';
    if (room)
        memcpy(s.text + s.method.len + 1, s.path.ptr, room);
    free(p);
    arena_reset(&a);
    return s;
}

static seen feed(const char *bytes, size_t len, size_t n)
{
    return feed_within(&LIMITS, bytes, len, n);
}

static void test_request_lines(void **state)
{
    static const struct {
        const char *bytes, *known; /* "METHOD /path" */
        int status;                /* 0: it has not come whole */
    } cases[] = {
        {"GET /a/b?c=d HTTP/1.1\r\n: x\r\n\r\n", "GET /a/b", 400},
        {"\r\nPOST /a#b HTTP/1.1\r\nX y\r\n\r\n", "POST /a", 400},
        {"GET /a HTTP/1.1\n", "GET /a", 400},
        {"GET /a HTTP/3.0\r\n", "GET /a", 505},
        {"BREW /a HTTP/1.1\r\nHost: t\r\n\r\n", "BREW /a", 501},
        {"GET http://h:1/a?b HTTP/1.1\r\n\r\n", "GET /a", 400},
        {"GET https://u@h/a HTTP/1.1\r\nHost: h\r\n\r\n", "GET /a", 400},
        {"GET http://h HTTP/1.1\r\n\r\n", " ", 400},
        {"GET /a", "GET /a", 0},
        {"GET /a HTTP/1.1\r\nHost: t\r\nX: y", "GET /a", 0},
        {"GET /\x80\x01 HTTP/1.1\r\nHost: t\r\n\r\n", "GET /\x80\x01", 400},
        {"GET", " ", 0},
        {"GET ", " ", 0},
        {"get /a HTTP/1.1\r\n: x\r\n", " ", 400},
        {"OPTIONS * HTTP/1.1\r\n: x\r\n", " ", 400},
        {"A secret prompt\r\n", " ", 400},
        {"ABCDEFGHIJKLMNOPQRSTU /a HTTP/1.1\r\n: x\r\n", " ", 400},
        {"\x16\x03\x01", " ", 400},
        {"\r\r", " ", 400},
        {"", " ", 0},
    };
    (void)state;
    for (size_t i = 0; i < TP_COUNT(cases); i++)
        for (size_t n = 1; n < 40; n += 19) {
            seen s = feed(cases[i].bytes, strlen(cases[i].bytes), n);
            if (s.status != cases[i].status || strcmp(s.text, cases[i].known) != 0)
                fail_msg("case %zu by %zu: %d \"%s\"", i, n, s.status, s.text);
        }
}

static void test_it_is_cut(void **state)
{
    char bytes[8192] = "GET /";
    (void)state;
    memset(bytes + 5, 'x', sizeof(bytes) - 5);
    for (size_t n = 1; n < sizeof(bytes) * 2; n = n * 3 + 1) {
        seen s = feed(bytes, sizeof(bytes), n);
        assert_int_equal(s.status, 414);
        assert_int_equal(s.method.len, 3);
        assert_int_equal(s.path.len, 1024 - 4);
    }
}

/* Nothing beyond the longest head is looked at, however much of it came at once. */
static void test_it_ends_with_the_head(void **state)
{
    static const http_limits narrow = {.head_bytes = 24, .target_bytes = 16, .header_count = 3};
    const tp_str bytes = STR("POST /abcdefghijklmnopqrstuvwxyz HTTP/1.1\r\n\r\n");
    (void)state;
    for (size_t n = 1; n <= bytes.len; n++)
        assert_string_equal(feed_within(&narrow, bytes.ptr, bytes.len, n).text,
                            "POST /abcdefghijklmnopqr");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_request_lines),
        cmocka_unit_test(test_it_is_cut),
        cmocka_unit_test(test_it_ends_with_the_head),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
