/* Nanoseconds for what every request pays in parse/: the head of a request as OpenAI's SDK sends
 * it, and the framing of a stream of server-sent events of 220 bytes. The best of several rounds is
 * printed, since the machine may be busy with other things. */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "base/str.h"
#include "parse/frame.h"
#include "parse/http.h"

enum { ROUNDS = 15, HEADS = 20000, EVENTS = 64, STREAMS = 400 };

static const char head_text[] =
    "POST /v1/chat/completions HTTP/1.1\r\n"
    "Host: gateway.example.internal:8080\r\n"
    "Accept-Encoding: gzip, deflate\r\n"
    "Connection: keep-alive\r\n"
    "Accept: application/json\r\n"
    "Content-Type: application/json\r\n"
    "User-Agent: AsyncOpenAI/Python 1.54.3 (Linux 6.1.0-18-amd64; x86_64; glibc 2.36; CPython "
    "3.11.2; httpx 0.27.2; h11)\r\n"
    "X-Stainless-Lang: python\r\n"
    "X-Stainless-Package-Version: 1.54.3\r\n"
    "X-Stainless-Runtime: CPython 3.11.2 (main, Linux x86_64)\r\n"
    "Authorization: Bearer air_live_0123456789abcdefghijklmnopqrstuvwxyzABCDEFG\r\n"
    "X-Request-Id: 6f1c7f2e-8f0b-4a53-9a55-0f6a1d3a7c11-0f6a1d3a7c11-9a55-8f0b\r\n"
    "Content-Length: 1532\r\n\r\n";

static double now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

static void heads(void)
{
    http_limits limits = {.head_bytes = 65536, .target_bytes = 8192, .header_count = 100};
    arena_pool pool;
    arena a;
    double best = 1e18;
    arena_pool_init(&pool, 8);
    arena_init(&a, &pool, 1 << 20);
    http_parser *p = http_parser_init(malloc(http_parser_size()), HTTP_REQUEST, &limits);
    for (int r = 0; r < ROUNDS; r++) {
        double t = now_ns();
        for (int i = 0; i < HEADS; i++) {
            http_event ev;
            http_parser_next(p, &a);
            TP_MUST(http_parse(p, str_make(head_text, sizeof(head_text) - 1), &ev) ==
                    HTTP_HEAD_DONE);
            TP_MUST(ev.head->header_count == 12 && ev.head->content_length == 1532);
            arena_reset(&a);
        }
        best = TP_MIN(best, (now_ns() - t) / HEADS);
    }
    printf("request head, %zu bytes, 12 headers: %.0f ns\n", sizeof(head_text) - 1, best);
    free(p);
    arena_pool_free(&pool);
}

/* A response's body in chunks of one event each, as providers send it. */
static void chunks(const char *event, size_t len)
{
    http_limits limits = {.head_bytes = 65536, .target_bytes = 8192, .header_count = 100};
    arena a;
    double best = 1e18;
    char size[20], *text = malloc(EVENTS * (len + 24) + 200);
    size_t n = (size_t)sprintf(text, "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n");
    for (int i = 0; i < EVENTS; i++) {
        size_t k = http_chunk_head(size, len);
        memcpy(text + n, size, k);
        memcpy(text + n + k, event, len);
        memcpy(text + n + k + len, "\r\n", 2);
        n += k + len + 2;
    }
    memcpy(text + n, "0\r\n\r\n", 5);
    n += 5;
    arena_init(&a, NULL, 1 << 20);
    http_parser *p = http_parser_init(malloc(http_parser_size()), HTTP_RESPONSE, &limits);
    for (int r = 0; r < ROUNDS; r++) {
        double t = now_ns();
        for (int s = 0; s < STREAMS; s++) {
            http_event ev;
            tp_str in = str_make(text, n);
            int got, spans = 0;
            http_parser_next(p, &a);
            while ((got = http_parse(p, in, &ev)) != HTTP_DONE) {
                TP_MUST(got == HTTP_BODY || got == HTTP_HEAD_DONE);
                spans += got == HTTP_BODY;
                in = str_skip(in, ev.used);
            }
            TP_MUST(spans == EVENTS);
            arena_reset(&a);
        }
        best = TP_MIN(best, (now_ns() - t) / STREAMS / EVENTS);
    }
    printf("chunk of %zu bytes: %.0f ns\n", len, best);
    free(p);
    free(text);
}

static void events(const char *event, size_t len)
{
    double best = 1e18;
    char *text = malloc(EVENTS * len);
    for (size_t i = 0; i < EVENTS; i++)
        memcpy(text + i * len, event, len);
    for (int r = 0; r < ROUNDS; r++) {
        double t = now_ns();
        for (int s = 0; s < STREAMS; s++) {
            framer f;
            tp_frame frame = {.size = sizeof(frame)};
            tp_str in = str_make(text, EVENTS * len);
            int n = 0;
            framer_init(&f, TP_SSE, 1 << 20);
            while (framer_next(&f, &in, &frame) == FRAME_GOT)
                n++;
            TP_MUST(n == EVENTS && in.len == 0);
            framer_free(&f);
        }
        best = TP_MIN(best, (now_ns() - t) / STREAMS / EVENTS);
    }
    printf("server-sent event of %zu bytes: %.0f ns\n", len, best);
    free(text);
}

int main(void)
{
    char event[221];
    memset(event, 'x', sizeof(event));
    memcpy(event, "data: {\"id\":\"", 13);
    memcpy(event + 217, "}\n\n", 4);
    heads();
    events(event, 220);
    chunks(event, 220);
    return 0;
}
