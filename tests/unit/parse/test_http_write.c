/* clang-format off */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <time.h>
#include <cmocka.h>
/* clang-format on */

#include "base/str.h"
#include "parse/http.h"

static void test_status(void **state)
{
    (void)state;
    buf b;
    buf_init(&b, 200);
    assert_int_equal(http_write_status(&b, 200), 0);
    assert_int_equal(http_write_status(&b, 413), 0);
    assert_int_equal(http_write_status(&b, 599), 0);
    assert_true(str_eq(buf_str(&b), STR("HTTP/1.1 200 OK\r\nHTTP/1.1 413 Content Too Large\r\n"
                                        "HTTP/1.1 599 Unknown\r\n")));
    buf_free(&b);
    buf_init(&b, 10);
    assert_int_equal(http_write_status(&b, 200), TP_ERROR_LIMIT);
    buf_free(&b);
}

static void test_header(void **state)
{
    (void)state;
    buf b;
    buf_init(&b, 200);
    assert_int_equal(http_write_header(&b, STR("Content-Type"), STR("text/plain; a=\"b\"")), 0);
    assert_int_equal(http_write_header(&b, STR("X"), STR_NONE), 0);
    const tp_str good = STR("Content-Type: text/plain; a=\"b\"\r\nX: \r\n");
    assert_true(str_eq(buf_str(&b), good));
    assert_int_equal(http_write_header(&b, STR("X"), STR("a\r\nSet-Cookie: b")), -1);
    assert_int_equal(http_write_header(&b, STR("X"), STR("a\nb")), -1);
    assert_int_equal(http_write_header(&b, STR("X"), STR("a\rb")), -1);
    assert_int_equal(http_write_header(&b, STR("X"), STR("a\0b")), -1);
    assert_int_equal(http_write_header(&b, STR("X Y"), STR("a")), -1);
    assert_int_equal(http_write_header(&b, STR("X:"), STR("a")), -1);
    assert_int_equal(http_write_header(&b, STR(""), STR("a")), -1);
    assert_int_equal(http_write_header(&b, STR("X\r\nY"), STR("a")), -1);
    assert_true(str_eq(buf_str(&b), good)); /* nothing of them was written */
    buf_free(&b);
}

static void test_hop_by_hop(void **state)
{
    (void)state;
    const char *yes[] = {"connection",
                         "keep-alive",
                         "te",
                         "transfer-encoding",
                         "upgrade",
                         "trailer",
                         "proxy-connection",
                         "proxy-authorization",
                         "proxy-authenticate"};
    const char *no[] = {"host", "content-length", "content-type", "x", "", "tf", "connectiom"};
    for (size_t i = 0; i < TP_COUNT(yes); i++)
        assert_true(http_is_hop_by_hop(str_of(yes[i])));
    for (size_t i = 0; i < TP_COUNT(no); i++)
        assert_false(http_is_hop_by_hop(str_of(no[i])));
}

static void test_chunk_head(void **state)
{
    (void)state;
    const size_t sizes[] = {0, 1, 15, 16, 255, 256, 0x1a4, 65536, SIZE_MAX};
    for (size_t i = 0; i < TP_COUNT(sizes); i++) {
        char out[20], want[24];
        int n = snprintf(want, sizeof(want), "%zx\r\n", sizes[i]);
        assert_int_equal(http_chunk_head(out, sizes[i]), n);
        assert_memory_equal(out, want, n);
    }
}

static void test_date(void **state)
{
    (void)state;
    char out[30];
    http_date(out, INT64_C(784111777) * 1000); /* the example of RFC 9110 5.6.7 */
    assert_string_equal(out, "Sun, 06 Nov 1994 08:49:37 GMT");
    http_date(out, -5);
    assert_string_equal(out, "Thu, 01 Jan 1970 00:00:00 GMT");
    http_date(out, INT64_MAX);
    assert_string_equal(out, "Fri, 31 Dec 9999 23:59:59 GMT");
    /* Against the C library, over leap years and ends of months: every 17th hour for 180 years. */
    for (int64_t s = 0; s < INT64_C(180) * 366 * 86400; s += 17 * 3600 + 1) {
        char want[40];
        time_t t = (time_t)s;
        struct tm tm;
        gmtime_r(&t, &tm);
        strftime(want, sizeof(want), "%a, %d %b %Y %H:%M:%S GMT", &tm);
        http_date(out, s * 1000 + 999);
        assert_string_equal(out, want);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_status),     cmocka_unit_test(test_header),
        cmocka_unit_test(test_hop_by_hop), cmocka_unit_test(test_chunk_head),
        cmocka_unit_test(test_date),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
