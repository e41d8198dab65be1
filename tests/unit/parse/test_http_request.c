/* clang-format off */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <cmocka.h>
/* clang-format on */

#include "transcript.h"

static const http_limits limits = {
    .head_bytes = 2048, .target_bytes = 256, .header_count = 20, .body_bytes = 1000};

static void same(const transcript *want, const transcript *is, tp_str raw, size_t cut)
{
    if (str_eq(buf_str(&want->text), buf_str(&is->text)))
        return;
    fail_msg("cut at %zu gives another result for:\n%.*s\n--- whole (%s):\n%.*s--- cut (%s):\n%.*s",
             cut, STR_ARG(raw), want->why ? want->why : "", STR_ARG(buf_str(&want->text)),
             is->why ? is->why : "", STR_ARG(buf_str(&is->text)));
}

/* Whole, in single bytes, and cut at every place: all the same. t is what came out. */
static void run_all_ways(transcript *t, tp_str raw)
{
    transcript other;
    transcript_init(t);
    run_http(t, HTTP_REQUEST, 0, &limits, raw, cut_never, NULL);
    transcript_init(&other);
    run_http(&other, HTTP_REQUEST, 0, &limits, raw, cut_always, NULL);
    same(t, &other, raw, 0);
    transcript_free(&other);
    for (size_t i = 1; i < raw.len; i++) {
        size_t at = i;
        transcript_init(&other);
        run_http(&other, HTTP_REQUEST, 0, &limits, raw, cut_once, &at);
        same(t, &other, raw, i);
        transcript_free(&other);
    }
}

/* status 0: accepted, and exactly `messages` requests came out with nothing left over. */
static void expect(tp_str raw, int status, int messages)
{
    transcript t;
    run_all_ways(&t, raw);
    if (t.status != status || t.messages != messages || (status == 0 && t.eof != 0))
        fail_msg("status %d (%s), %d messages, eof %d; expected %d, %d for:\n%.*s", t.status,
                 t.why ? t.why : "", t.messages, t.eof, status, messages, STR_ARG(raw));
    transcript_free(&t);
}

#define H "Host: a\r\n"
#define POST "POST / HTTP/1.1\r\n" H
#define REST "\r\n\r\n"
typedef struct row {
    const char *raw;
    size_t len;
    int status, messages;
} row;
#define ROW(status, messages, raw) {raw, sizeof(raw) - 1, status, messages}

static const row smuggling[] = {
    /* plain requests */
    ROW(0, 1, "GET / HTTP/1.1\r\n" H "\r\n"),
    ROW(0, 1, "GET / HTTP/1.0\r\n\r\n"),
    ROW(0, 2, "GET / HTTP/1.1\r\n" H "\r\nGET /b HTTP/1.1\r\n" H "\r\n"),
    ROW(0, 2, POST "Content-Length: 3\r\n\r\nabcGET / HTTP/1.1\r\n" H "\r\n"),
    ROW(0, 1, POST "Content-Length: 0\r\n\r\n"),
    ROW(0, 1, POST "\r\n"), /* no length: no body */
    ROW(0, 1, "GET / HTTP/1.1\r\nHost:\r\n\r\n"),
    ROW(0, 1, "GET / HTTP/1.1\r\nHost: [::1]:8080\r\n\r\n"),
    /* empty lines before the request: two, not more, and whole ones */
    ROW(0, 1, "\r\n\r\nGET / HTTP/1.1\r\n" H "\r\n"),
    ROW(0, 2, POST "Content-Length: 1\r\n\r\na\r\nGET / HTTP/1.1\r\n" H "\r\n"),
    ROW(400, 0, "\r\n\r\n\r\nGET / HTTP/1.1\r\n" H "\r\n"),
    ROW(400, 0, "\nGET / HTTP/1.1\r\n" H "\r\n"),
    ROW(400, 0, "\rGET / HTTP/1.1\r\n" H "\r\n"),
    /* line ends */
    ROW(400, 0, "GET / HTTP/1.1\n" H "\r\n"),
    ROW(400, 0, "GET / HTTP/1.1\r\nHost: a\n\r\n"),
    ROW(400, 0, "GET / HTTP/1.1\r\nHost: a\r\n\n"),
    ROW(400, 0, "GET / HTTP/1.1\r\nHost: a\rX: b\r\n\r\n"),
    ROW(400, 0, "GET / HTTP/1.1\r\nHost: a\r\r\n\r\n"),
    ROW(400, 0, "GET / HTTP/1.1\r\r\nHost: a\r\n\r\n"),
    ROW(400, 0, "GET / HTTP/1.1\r\n" H "X: a\rb\r\n\r\n"),
    ROW(400, 0, "GET / HTTP/1.1\r\n" H "\rX: a\r\n\r\n"),
    ROW(400, 0, "GET / HTTP/1.1\r\n" H "X: a\r\n\r\r\n"),
    /* folding, names, white space */
    ROW(400, 0, "GET / HTTP/1.1\r\n" H "X: a\r\n b\r\n\r\n"),
    ROW(400, 0, "GET / HTTP/1.1\r\n" H "X: a\r\n\tb\r\n\r\n"),
    ROW(400, 0, "GET / HTTP/1.1\r\n Host: a\r\n\r\n"),
    ROW(400, 0, "GET / HTTP/1.1\r\n" H ": a\r\n\r\n"),
    ROW(400, 0, "GET / HTTP/1.1\r\n" H "X : a\r\n\r\n"),
    ROW(400, 0, "GET / HTTP/1.1\r\n" H "X\t: a\r\n\r\n"),
    ROW(400, 0, "GET / HTTP/1.1\r\n" H "X Y: a\r\n\r\n"),
    ROW(400, 0, "GET / HTTP/1.1\r\n" H "X\r\n\r\n"),
    ROW(400, 0, "GET / HTTP/1.1\r\n" H "X(Y): a\r\n\r\n"),
    ROW(400, 0, "GET / HTTP/1.1\r\n" H "X\xc3\xa4: a\r\n\r\n"),
    ROW(0, 1, "GET / HTTP/1.1\r\n" H "X:a\r\n\r\n"),
    ROW(0, 1, "GET / HTTP/1.1\r\n" H "X: \t a \t\r\n\r\n"),
    ROW(0, 1, "GET / HTTP/1.1\r\n" H "X: \xc3\xa4\r\n\r\n"),
    /* host and authorization */
    ROW(400, 0, "GET / HTTP/1.1\r\n\r\n"),
    ROW(400, 0, "GET / HTTP/1.1\r\nX-Host: a\r\n\r\n"),
    ROW(400, 0, "GET / HTTP/1.1\r\n" H H "\r\n"),
    ROW(400, 0, "GET / HTTP/1.1\r\n" H "HOST: b\r\n\r\n"),
    ROW(400, 0, "GET / HTTP/1.0\r\n" H H "\r\n"),
    ROW(400, 0, "GET / HTTP/1.1\r\nHost: a, b\r\n\r\n"),
    ROW(400, 0, "GET / HTTP/1.1\r\nHost: a,b\r\n\r\n"),
    ROW(400, 0, "GET / HTTP/1.1\r\nHost: u@a\r\n\r\n"),
    ROW(400, 0, "GET / HTTP/1.1\r\nHost: a/b\r\n\r\n"),
    ROW(400, 0, "GET / HTTP/1.1\r\nHost: a b\r\n\r\n"),
    ROW(400, 0, "GET / HTTP/1.1\r\n" H "Authorization: Bearer a\r\nauthorization: Bearer b" REST),
    ROW(0, 1, "GET / HTTP/1.1\r\n" H "Authorization: Bearer a\r\nX-Api-Key: b" REST),
    /* lengths */
    ROW(400, 0, POST "Content-Length: 1\r\nContent-Length: 1\r\n\r\na"),
    ROW(400, 0, POST "Content-Length: 1\r\nContent-Length: 2\r\n\r\na"),
    ROW(400, 0, POST "Content-Length: 1, 1\r\n\r\na"),
    ROW(400, 0, POST "Content-Length: +1\r\n\r\na"),
    ROW(400, 0, POST "Content-Length: -1\r\n\r\na"),
    ROW(400, 0, POST "Content-Length: 0x1\r\n\r\na"),
    ROW(400, 0, POST "Content-Length: 1 1\r\n\r\na"),
    ROW(400, 0, POST "Content-Length: 1a\r\n\r\na"),
    ROW(400, 0, POST "Content-Length:\r\n\r\n"),
    ROW(400, 0, POST "Content-Length: \"1\"\r\n\r\na"),
    ROW(400, 0, POST "Content-Length: 9223372036854775808\r\n\r\na"),
    ROW(400, 0, POST "Content-Length: 18446744073709551617\r\n\r\na"),
    ROW(0, 1, POST "Content-Length: 0001 \r\n\r\na"),
    ROW(413, 0, POST "Content-Length: 1001\r\n\r\na"),
    /* both, in either order */
    ROW(400, 0, POST "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
    ROW(400, 0, POST "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n"),
    ROW(400, 0, POST "Transfer-Encoding: chunked\r\nContent-Length: 0\r\n\r\n0\r\n\r\n"),
    /* codings */
    ROW(0, 1, POST "Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
    ROW(0, 1, POST "Transfer-Encoding: CHUNKED \r\n\r\n0\r\n\r\n"),
    ROW(501, 0, POST "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
    ROW(501, 0, POST "Transfer-Encoding: identity\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
    ROW(501, 0, POST "Transfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n"),
    ROW(501, 0, POST "Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n"),
    ROW(501, 0, POST "Transfer-Encoding: chunked, gzip\r\n\r\n0\r\n\r\n"),
    ROW(501, 0, POST "Transfer-Encoding: gzip\r\n\r\n"),
    ROW(501, 0, POST "Transfer-Encoding: identity\r\n\r\n"),
    ROW(501, 0, POST "Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n"),
    ROW(501, 0, POST "Transfer-Encoding: chunkedx\r\n\r\n0\r\n\r\n"),
    ROW(501, 0, POST "Transfer-Encoding: chunked;q=1\r\n\r\n0\r\n\r\n"),
    ROW(501, 0, POST "Transfer-Encoding: \"chunked\"\r\n\r\n0\r\n\r\n"),
    ROW(400, 0, POST "Transfer-Encoding: \x0b" "chunked\r\n\r\n0\r\n\r\n"),
    ROW(400, 0, POST "Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n"),
    ROW(400, 0, POST "Transfer-Encoding\r\n : chunked\r\n\r\n0\r\n\r\n"),
    ROW(501, 0, POST "Transfer-Encoding:\r\n\r\n"),
    ROW(400, 0, "POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
    /* chunks */
    ROW(0, 2, POST "Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n"
        "GET / HTTP/1.1\r\n" H "\r\n"),
    ROW(0, 1, POST "Transfer-Encoding: chunked\r\n\r\n"
        "003;a;b=\"c d\"\r\nabc\r\nA\r\n0123456789\r\n0\r\n\r\n"),
    /* RFC 9112 would let these two pass, llhttp 8.1 does not; nobody sends them */
    ROW(400, 0, POST "Transfer-Encoding: chunked\r\n\r\n3;a=b;c=d\r\nabc\r\n0\r\n\r\n"),
    ROW(400, 0, POST "Transfer-Encoding: chunked\r\n\r\n3 ;a\r\nabc\r\n0\r\n\r\n"),
    ROW(0, 1, POST "Transfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\nX-Sum: 1\r\nY: 2\r\n\r\n"),
    ROW(400, 0, POST "Transfer-Encoding: chunked\r\n\r\n0x3\r\nabc\r\n0\r\n\r\n"),
    ROW(400, 0, POST "Transfer-Encoding: chunked\r\n\r\n-3\r\nabc\r\n0\r\n\r\n"),
    ROW(400, 0, POST "Transfer-Encoding: chunked\r\n\r\n+3\r\nabc\r\n0\r\n\r\n"),
    ROW(400, 0, POST "Transfer-Encoding: chunked\r\n\r\n 3\r\nabc\r\n0\r\n\r\n"),
    ROW(400, 0, POST "Transfer-Encoding: chunked\r\n\r\n\r\nabc\r\n0\r\n\r\n"),
    ROW(400, 0, POST "Transfer-Encoding: chunked\r\n\r\n3\nabc\r\n0\r\n\r\n"),
    ROW(400, 0, POST "Transfer-Encoding: chunked\r\n\r\n3\rXabc\r\n0\r\n\r\n"),
    ROW(400, 0, POST "Transfer-Encoding: chunked\r\n\r\n3;a\nabc\r\n0\r\n\r\n"),
    ROW(400, 0, POST "Transfer-Encoding: chunked\r\n\r\n3;a\rXabc\r\n0\r\n\r\n"),
    ROW(400, 0, POST "Transfer-Encoding: chunked\r\n\r\n3\r\nabcd\r\n0\r\n\r\n"),
    ROW(400, 0, POST "Transfer-Encoding: chunked\r\n\r\n3\r\nabc\n0\r\n\r\n"),
    ROW(400, 0, POST "Transfer-Encoding: chunked\r\n\r\n3\r\nabc\rX0\r\n\r\n"),
    ROW(400, 0, POST "Transfer-Encoding: chunked\r\n\r\n3\r\nabc0\r\n\r\n"),
    ROW(400, 0, POST "Transfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\n\n"),
    ROW(400, 0, POST "Transfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\n\rX"),
    ROW(400, 0, POST "Transfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\n\r\n"),
    ROW(400, 0, POST "Transfer-Encoding: chunked\r\n\r\n0\r\nX: a\nY: b\r\n\r\n"),
    ROW(400, 0, POST "Transfer-Encoding: chunked\r\n\r\n0\r\nX : a\r\n\r\n"),
    ROW(400, 0, POST "Transfer-Encoding: chunked\r\n\r\n0\r\nX: a\r\n b\r\n\r\n"),
    ROW(400, 0, POST "Transfer-Encoding: chunked\r\n\r\n0\r\n: a\r\n\r\n"),
    ROW(400, 0, POST "Transfer-Encoding: chunked\r\n\r\n0\r\nX\r\n\r\n"),
    ROW(400, 0, POST "Transfer-Encoding: chunked\r\n\r\n0\r\nX: \x01\r\n\r\n"),
    /* a length among the trailers changes nothing: it is dropped with them */
    ROW(0, 2, POST "Transfer-Encoding: chunked\r\n\r\n0\r\nContent-Length: 4\r\n\r\n"
        "GET / HTTP/1.1\r\n" H "\r\n"),
    ROW(400, 0, POST "Transfer-Encoding: chunked\r\n\r\n10000000000000003\r\nabc\r\n0\r\n\r\n"),
    ROW(413, 0, POST "Transfer-Encoding: chunked\r\n\r\n3e9\r\n"
        /* the limit is on what comes, so it is reached with the 1001st byte */
        "0123456789012345678901234567890123456789012345678901234567890123456789012345678901234567"
        "0123456789012345678901234567890123456789012345678901234567890123456789012345678901234567"
        "0123456789012345678901234567890123456789012345678901234567890123456789012345678901234567"
        "0123456789012345678901234567890123456789012345678901234567890123456789012345678901234567"
        "0123456789012345678901234567890123456789012345678901234567890123456789012345678901234567"
        "0123456789012345678901234567890123456789012345678901234567890123456789012345678901234567"
        "0123456789012345678901234567890123456789012345678901234567890123456789012345678901234567"
        "0123456789012345678901234567890123456789012345678901234567890123456789012345678901234567"
        "0123456789012345678901234567890123456789012345678901234567890123456789012345678901234567"
        "0123456789012345678901234567890123456789012345678901234567890123456789012345678901234567"
        "0123456789012345678901234567890123456789012345678901234567890123456789012345678901234567"
        "012345678901234567890123456789012"),
    /* targets */
    ROW(0, 1, "GET /a/b?c=d&e=%20 HTTP/1.1\r\n" H "\r\n"),
    ROW(0, 1, "GET //a HTTP/1.1\r\n" H "\r\n"),
    ROW(0, 1, "GET http://a/x?y HTTP/1.1\r\n" H "\r\n"),
    ROW(0, 1, "GET HTTPS://A:443/x HTTP/1.1\r\n" H "\r\n"),
    ROW(0, 1, "GET http://a HTTP/1.1\r\nHost: a:80\r\n\r\n"),
    ROW(400, 0, "GET http://b/x HTTP/1.1\r\n" H "\r\n"),
    ROW(400, 0, "GET http://a:81/x HTTP/1.1\r\n" H "\r\n"),
    ROW(400, 0, "GET http://u@a/x HTTP/1.1\r\n" H "\r\n"),
    ROW(400, 0, "GET http:///x HTTP/1.1\r\n" H "\r\n"),
    ROW(400, 0, "GET ftp://a/x HTTP/1.1\r\n" H "\r\n"),
    ROW(400, 0, "GET http://a/x HTTP/1.1\r\n\r\n"),
    ROW(400, 0, "GET a HTTP/1.1\r\n" H "\r\n"),
    ROW(400, 0, "GET ?a HTTP/1.1\r\n" H "\r\n"),
    ROW(400, 0, "GET /a#b HTTP/1.1\r\n" H "\r\n"),
    ROW(400, 0, "GET /a b HTTP/1.1\r\n" H "\r\n"),
    ROW(400, 0, "GET /a\tb HTTP/1.1\r\n" H "\r\n"),
    ROW(400, 0, "GET /\xc3\xa4 HTTP/1.1\r\n" H "\r\n"),
    ROW(400, 0, "GET  / HTTP/1.1\r\n" H "\r\n"),
    ROW(400, 0, "GET /  HTTP/1.1\r\n" H "\r\n"),
    ROW(400, 0, "GET  HTTP/1.1\r\n" H "\r\n"),
    ROW(0, 1, "OPTIONS * HTTP/1.1\r\n" H "\r\n"),
    ROW(400, 0, "OPTIONS *x HTTP/1.1\r\n" H "\r\n"),
    ROW(400, 0, "GET * HTTP/1.1\r\n" H "\r\n"),
    ROW(405, 0, "CONNECT a:443 HTTP/1.1\r\n" H "\r\n"),
    /* methods and versions */
    ROW(0, 1, "PROPFIND / HTTP/1.1\r\n" H "\r\n"),
    ROW(501, 0, "BREW / HTTP/1.1\r\n" H "\r\n"),
    ROW(501, 0, "get / HTTP/1.1\r\n" H "\r\n"),
    ROW(400, 0, " GET / HTTP/1.1\r\n" H "\r\n"),
    ROW(400, 0, "GET\t/ HTTP/1.1\r\n" H "\r\n"),
    ROW(400, 0, "GET /\r\n"),
    ROW(400, 0, "GET\r\n"),
    ROW(400, 0, "GET / http/1.1\r\n" H "\r\n"),
    ROW(400, 0, "GET / HTTP/1.1 \r\n" H "\r\n"),
    ROW(400, 0, "GET / HTTP/1.x\r\n" H "\r\n"),
    ROW(400, 0, "GET / HTTP/11\r\n" H "\r\n"),
    ROW(505, 0, "GET / HTTP/0.9\r\n" H "\r\n"),
    ROW(505, 0, "GET / HTTP/1.2\r\n" H "\r\n"),
    ROW(505, 0, "GET / HTTP/2.0\r\n" H "\r\n"),
    ROW(505, 0, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"),
    ROW(400, 0, "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"),
    /* never another protocol */
    ROW(0, 2, "GET / HTTP/1.1\r\n" H "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\n"
        "HTTP2-Settings: AAMAAABk\r\n\r\nGET / HTTP/1.1\r\n" H "\r\n"),
    ROW(0, 2, POST "Connection: Upgrade\r\nUpgrade: websocket\r\nTransfer-Encoding: chunked\r\n\r\n"
        "1\r\na\r\n0\r\n\r\nGET / HTTP/1.1\r\n" H "\r\n"),
    ROW(0, 2, POST "Connection: Upgrade\r\nUpgrade: websocket\r\nContent-Length: 1\r\n\r\n"
        "aGET / HTTP/1.1\r\n" H "\r\n"),
    /* expectations */
    ROW(0, 1, POST "Expect: 100-Continue\r\nContent-Length: 1\r\n\r\na"),
    ROW(417, 0, POST "Expect: 200-ok\r\nContent-Length: 1\r\n\r\na"),
    ROW(417, 0, POST "Expect: 100-continue\r\nExpect: x\r\nContent-Length: 1\r\n\r\na"),
    ROW(0, 1, "POST / HTTP/1.0\r\nExpect: x\r\nContent-Length: 1\r\n\r\na"),
};

static void test_smuggling_table(void **state)
{
    (void)state;
    for (size_t i = 0; i < TP_COUNT(smuggling); i++)
        expect(str_make(smuggling[i].raw, smuggling[i].len), smuggling[i].status,
               smuggling[i].messages);
}

/* Each byte value at a place of the head: is it let in? */
static void each_byte(const char *before, const char *after, int (*allowed)(int c))
{
    for (int c = 0; c < 256; c++) {
        char raw[256];
        size_t n = strlen(before), m = strlen(after);
        memcpy(raw, before, n);
        raw[n] = (char)c;
        memcpy(raw + n + 1, after, m);
        transcript t;
        run_all_ways(&t, str_make(raw, n + 1 + m));
        int in = t.status == 0 && t.messages == 1;
        if (in != allowed(c))
            fail_msg("byte 0x%02x between \"%s\" and \"%s\": status %d, %d messages", c, before,
                     after, t.status, t.messages);
        transcript_free(&t);
    }
}

static int in_name(int c)
{
    return c && (strchr("!#$%&'*+-.^_`|~", c) || (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') ||
                 (c >= 'A' && c <= 'Z') || c == ':');
}

static int in_value(int c)
{
    return c == '\t' || (c >= 0x20 && c != 0x7f);
}

static int in_target(int c)
{
    return c > 0x20 && c < 0x7f && c != '#';
}

static int in_length(int c)
{
    return c == '0' || c == '1'; /* of more than one byte the body would not be whole */
}

static void test_every_byte_value(void **state)
{
    (void)state;
    each_byte("GET / HTTP/1.1\r\n" H "X", "y: v\r\n\r\n", in_name);
    each_byte("GET / HTTP/1.1\r\n" H "X: v", "w\r\n\r\n", in_value);
    each_byte("GET /a", "b HTTP/1.1\r\n" H "\r\n", in_target);
    each_byte(POST "Content-Length: ", "\r\n\r\na", in_length);
}

static void test_head_fields(void **state)
{
    (void)state;
    http_limits none = {.head_bytes = 4096, .target_bytes = 4096, .header_count = 50};
    tp_str raw = STR("POST /v1/chat/completions?a=1?b HTTP/1.1\r\nHOST: gw.example\r\n"
                     "Authorization:  Bearer x \r\nContent-Type: application/json\r\n"
                     "CONTENT-LENGTH: 3\r\nExpect: 100-continue\r\nX-Request-ID: r1\r\n"
                     "X-Dup: 1\r\nx-dup: 2\r\nX-Empty:\r\nTE: trailers\r\nKeep-Alive: 5\r\n"
                     "Content-Encoding: br\r\nRetry-After: 9\r\nUpgrade: h2c\r\n\r\nabcGET");
    arena a;
    http_event ev;
    arena_init(&a, NULL, 1 << 16);
    http_parser *p = http_parser_init(malloc(http_parser_size()), HTTP_REQUEST, &none);
    http_parser_next(p, &a);
    assert_int_equal(http_parser_started(p), 0);
    assert_int_equal(http_parse(p, raw, &ev), HTTP_HEAD_DONE);
    assert_int_equal(http_parser_started(p), 1);
    http_head *h = ev.head;
    assert_int_equal(ev.used, raw.len - 6);
    assert_int_equal(h->method, HTTP_POST);
    assert_true(str_eq(h->method_text, STR("POST")));
    assert_true(str_eq(h->target, STR("/v1/chat/completions?a=1?b")));
    assert_true(str_eq(h->path, STR("/v1/chat/completions")));
    assert_true(str_eq(h->query, STR("a=1?b")));
    assert_int_equal(h->header_count, 14);
    assert_int_equal(h->minor, 1);
    assert_int_equal(h->keep_alive, 1);
    assert_int_equal(h->expect_continue, 1);
    assert_int_equal(h->content_length, 3);
    assert_int_equal(h->chunked, 0);
    assert_true(str_eq(h->known[HTTP_H_HOST], STR("gw.example")));
    assert_true(str_eq(h->known[HTTP_H_AUTHORIZATION], STR("Bearer x")));
    assert_true(str_eq(h->known[HTTP_H_CONTENT_TYPE], STR("application/json")));
    assert_true(str_eq(h->known[HTTP_H_REQUEST_ID], STR("r1")));
    assert_true(str_eq(h->known[HTTP_H_TE], STR("trailers")));
    assert_true(str_eq(h->known[HTTP_H_KEEP_ALIVE], STR("5")));
    assert_true(str_eq(h->known[HTTP_H_CONTENT_ENCODING], STR("br")));
    assert_true(str_eq(h->known[HTTP_H_RETRY_AFTER], STR("9")));
    assert_true(str_eq(h->known[HTTP_H_UPGRADE], STR("h2c")));
    assert_null(h->known[HTTP_H_CONNECTION].ptr);
    assert_null(h->known[HTTP_H_TRANSFER_ENCODING].ptr);
    assert_true(str_eq(http_header(h, STR("x-dup")), STR("1")));
    assert_true(str_eq(http_header(h, STR("host")), STR("gw.example")));
    assert_non_null(http_header(h, STR("x-empty")).ptr);
    assert_int_equal(http_header(h, STR("x-empty")).len, 0);
    assert_null(http_header(h, STR("x-none")).ptr);
    assert_null(http_header(h, STR("connection")).ptr);
    /* The head was copied once: all strings lie in the arena, names in lower case. */
    assert_true(str_eq(h->headers[3].name, STR("content-length")));
    assert_true(h->target.ptr < raw.ptr || h->target.ptr >= raw.ptr + raw.len);
    raw = str_skip(raw, ev.used);
    assert_int_equal(http_parse(p, raw, &ev), HTTP_BODY);
    assert_ptr_equal(ev.span.ptr, raw.ptr); /* in place */
    assert_int_equal(ev.span.len, 3);
    raw = str_skip(raw, ev.used);
    assert_int_equal(http_parse(p, raw, &ev), HTTP_DONE);
    assert_int_equal(ev.used, 0);
    assert_int_equal(http_parse(p, raw, &ev), HTTP_DONE); /* until next is called */
    arena_reset(&a);
    free(p);
}

static void keep_alive_is(const char *text, int want)
{
    transcript t;
    run_all_ways(&t, str_of(text));
    assert_int_equal(t.messages, 1);
    char expected[16];
    snprintf(expected, sizeof(expected), "keep=%d", want);
    if (!memmem(t.text.ptr, t.text.len, expected, strlen(expected)))
        fail_msg("expected %s for:\n%s", expected, text);
    transcript_free(&t);
}

static void test_keep_alive(void **state)
{
    (void)state;
    keep_alive_is("GET / HTTP/1.1\r\n" H "\r\n", 1);
    keep_alive_is("GET / HTTP/1.1\r\n" H "Connection: close\r\n\r\n", 0);
    keep_alive_is("GET / HTTP/1.1\r\n" H "Connection: x, Close\r\n\r\n", 0);
    keep_alive_is("GET / HTTP/1.1\r\n" H "Connection: keep-alive\r\nConnection: close\r\n\r\n", 0);
    keep_alive_is("GET / HTTP/1.1\r\n" H "Connection: closed\r\n\r\n", 1);
    keep_alive_is("GET / HTTP/1.0\r\n\r\n", 0);
    keep_alive_is("GET / HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n", 1);
    keep_alive_is("GET / HTTP/1.0\r\nConnection: keep-alive, close\r\n\r\n", 0);
}

/* Builds "GET /xxx HTTP/1.1" with headers of given number and size. */
static void sized(int status, size_t target, int headers, size_t value)
{
    buf b;
    buf_init(&b, 1 << 20);
    assert_int_equal(buf_adds(&b, STR("GET /")), 0);
    for (size_t i = 1; i < target; i++)
        assert_int_equal(buf_adds(&b, STR("x")), 0);
    assert_int_equal(buf_adds(&b, STR(" HTTP/1.1\r\nHost: a\r\n")), 0);
    for (int i = 1; i < headers; i++)
        assert_int_equal(buf_printf(&b, "X-%d: %0*d\r\n", i, (int)value, 1), 0);
    assert_int_equal(buf_adds(&b, STR("\r\n")), 0);
    expect(buf_str(&b), status, status == 0);
    buf_free(&b);
}

static void test_limits(void **state)
{
    (void)state;
    sized(0, 256, 1, 1);
    sized(414, 257, 1, 1);
    sized(414, 3000, 1, 1); /* the request line alone is longer than a head */
    sized(0, 1, 20, 1);
    sized(431, 1, 21, 1);
    /* "GET / HTTP/1.1", "Host: a", "X-1: " and the empty line: 34 bytes and the value */
    sized(0, 1, 2, 2048 - 34);
    sized(431, 1, 2, 2048 - 33);
    sized(431, 1, 2, 4000);
}

static void chunk_line(int status, size_t extension, size_t trailer)
{
    buf b;
    buf_init(&b, 1 << 20);
    assert_int_equal(buf_adds(&b, STR(POST "Transfer-Encoding: chunked\r\n\r\n1")), 0);
    if (extension)
        assert_int_equal(buf_printf(&b, ";%0*d", (int)extension - 1, 1), 0);
    assert_int_equal(buf_adds(&b, STR("\r\na\r\n0\r\n")), 0);
    if (trailer)
        assert_int_equal(buf_printf(&b, "X: %0*d\r\n", (int)trailer - 5, 1), 0);
    assert_int_equal(buf_adds(&b, STR("\r\n")), 0);
    expect(buf_str(&b), status, status == 0);
    buf_free(&b);
}

static void test_chunk_framing_is_bounded(void **state)
{
    (void)state;
    chunk_line(0, 1024 - 3, 0); /* with "1" and CR LF: 1024 bytes */
    chunk_line(400, 1024 - 2, 0);
    chunk_line(400, 5000, 0);
    chunk_line(0, 0, 2048 - 2);
    chunk_line(431, 0, 2048 - 1);
    chunk_line(431, 0, 5000);
}

static void test_refused_with_head(void **state)
{
    (void)state;
    const char *raws[] = {POST "Content-Length: 1001\r\n\r\n", POST "Expect: x\r\n\r\n"};
    for (size_t i = 0; i < TP_COUNT(raws); i++) {
        arena a;
        http_event ev;
        arena_init(&a, NULL, 1 << 16);
        http_parser *p = http_parser_init(malloc(http_parser_size()), HTTP_REQUEST, &limits);
        http_parser_next(p, &a);
        assert_int_equal(http_parse(p, str_of(raws[i]), &ev), HTTP_FAULT);
        assert_non_null(ev.head);
        assert_true(str_eq(ev.head->path, STR("/")));
        arena_reset(&a);
        free(p);
    }
}

static void test_arena_bound(void **state)
{
    (void)state;
    tp_str raw = STR("GET / HTTP/1.1\r\n" H "\r\n");
    arena a;
    http_event ev;
    arena_init(&a, NULL, 64);
    http_parser *p = http_parser_init(malloc(http_parser_size()), HTTP_REQUEST, &limits);
    http_parser_next(p, &a);
    assert_int_equal(http_parse(p, raw, &ev), HTTP_FAULT);
    assert_int_equal(ev.fault.status, 431);
    http_parser_next(p, &a); /* a refused parser may begin anew */
    assert_int_equal(http_parse(p, str_make(raw.ptr, 5), &ev), HTTP_FAULT);
    assert_int_equal(ev.fault.status, 431);
    arena_reset(&a);
    free(p);
}

static void test_idle_and_eof(void **state)
{
    (void)state;
    arena a;
    http_event ev;
    int done;
    arena_init(&a, NULL, 1 << 16);
    assert_true(http_parser_size() < 400);
    http_parser *p = http_parser_init(malloc(http_parser_size()), HTTP_REQUEST, &limits);
    http_parser_next(p, &a);
    assert_int_equal(http_parse_eof(p, &done), 0);
    assert_int_equal(http_parse(p, STR("\r\n"), &ev), HTTP_NEED_MORE);
    assert_int_equal(ev.used, 2);
    assert_int_equal(http_parser_started(p), 0);
    assert_int_equal(http_parse_eof(p, &done), 0);
    assert_int_equal(a.used, 0); /* idle: not one byte of the arena */
    assert_int_equal(http_parse(p, STR("P"), &ev), HTTP_NEED_MORE);
    assert_int_equal(http_parser_started(p), 1);
    assert_int_equal(http_parse_eof(p, &done), -1);
    assert_int_equal(http_parse(p, STR("OST / HTTP/1.1\r\n" H "Content-Length: 2\r\n\r\n"), &ev),
                     HTTP_HEAD_DONE);
    assert_int_equal(http_parse_eof(p, &done), -1);
    assert_int_equal(http_parse(p, STR("ab"), &ev), HTTP_BODY);
    assert_int_equal(http_parse(p, STR_NONE, &ev), HTTP_DONE);
    assert_int_equal(http_parser_started(p), 0);
    assert_int_equal(http_parse_eof(p, &done), 0);
    assert_int_equal(done, 0);
    arena_reset(&a);
    free(p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_smuggling_table),
        cmocka_unit_test(test_every_byte_value),
        cmocka_unit_test(test_head_fields),
        cmocka_unit_test(test_keep_alive),
        cmocka_unit_test(test_limits),
        cmocka_unit_test(test_chunk_framing_is_bounded),
        cmocka_unit_test(test_refused_with_head),
        cmocka_unit_test(test_arena_bound),
        cmocka_unit_test(test_idle_and_eof),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
