/* What is sent. Numbers and texts are put together by hand: a reply must cost next to nothing. */
#include "mock.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LIT(s) s, sizeof(s) - 1

static const char filler[] =
    "The gateway stands between many clients and many models, and each word that passes through "
    "it is counted, priced and handed on as it came. ";

char *mock_buf_room(struct mock_buf *b, size_t n)
{
    if (b->cap - b->len < n) {
        size_t cap = b->cap ? b->cap : 4096;
        while (cap - b->len < n)
            cap *= 2;
        char *p = realloc(b->p, cap);
        if (!p)
            abort();
        b->p = p;
        b->cap = cap;
    }
    return b->p + b->len;
}

void mock_buf_add(struct mock_buf *b, const char *p, size_t n)
{
    if (n == 0)
        return;
    memcpy(mock_buf_room(b, n), p, n);
    b->len += n;
}

static void add_str(struct mock_buf *b, const char *s)
{
    mock_buf_add(b, s, strlen(s));
}

static void add_num(struct mock_buf *b, uint64_t v)
{
    char t[20];
    size_t i = sizeof t;
    do {
        t[--i] = (char)('0' + v % 10);
        v /= 10;
    } while (v);
    mock_buf_add(b, t + i, sizeof t - i);
}

static void put_hex(char *at, uint64_t v, size_t digits)
{
    for (size_t i = 0; i < digits; i++)
        at[digits - 1 - i] = "0123456789abcdef"[v >> (4 * i) & 15];
}

static void add_filler(struct mock_buf *b, uint64_t n)
{
    while (n) {
        size_t step = n < sizeof filler - 1 ? (size_t)n : sizeof filler - 1;
        mock_buf_add(b, filler, step);
        n -= step;
    }
}

static const char *reason(unsigned status)
{
    switch (status) {
    case 200: return "OK";
    case 400: return "Bad Request";
    case 401: return "Unauthorized";
    case 402: return "Payment Required";
    case 403: return "Forbidden";
    case 404: return "Not Found";
    case 413: return "Content Too Large";
    case 429: return "Too Many Requests";
    case 431: return "Request Header Fields Too Large";
    case 500: return "Internal Server Error";
    case 502: return "Bad Gateway";
    case 503: return "Service Unavailable";
    case 504: return "Gateway Timeout";
    default: return status < 300 ? "OK" : status < 400 ? "Redirect" : "Mock";
    }
}

static void add_status(struct mock_buf *out, unsigned status)
{
    add_str(out, "HTTP/1.1 ");
    add_num(out, status);
    add_str(out, " ");
    add_str(out, reason(status));
    add_str(out, "\r\n");
}

static void add_connection(struct mock_buf *out, const struct mock_parse *p)
{
    if (!p->keep_alive)
        add_str(out, "Connection: close\r\n");
    else if (p->http10)
        add_str(out, "Connection: keep-alive\r\n");
}

void mock_reply_json(struct mock_buf *out, const struct mock_parse *p, const char *type,
                     const char *body, size_t len)
{
    add_str(out, "HTTP/1.1 200 OK\r\nContent-Type: ");
    add_str(out, type);
    add_str(out, "\r\n");
    add_connection(out, p);
    add_str(out, "Content-Length: ");
    add_num(out, len);
    add_str(out, "\r\n\r\n");
    if (!p->is_head)
        mock_buf_add(out, body, len);
}

static const char *error_type(unsigned status)
{
    switch (status) {
    case 401: return "authentication_error";
    case 402: return "insufficient_quota";
    case 403: return "permission_error";
    case 404: return "not_found_error";
    case 429: return "rate_limit_error";
    default: return status >= 500 ? "server_error" : "invalid_request_error";
    }
}

void mock_reply_error(struct mock_buf *out, const struct mock_parse *p, unsigned status,
                      const struct mock_behave *b)
{
    char body[256];
    int n = snprintf(body, sizeof body,
                     "{\"error\":{\"message\":\"mock-upstream answers %u as it was told\","
                     "\"type\":\"%s\",\"param\":null,\"code\":\"mock_%u\"}}",
                     status, error_type(status), status);
    add_status(out, status);
    add_str(out, "Content-Type: application/json\r\nx-request-id: req_mock\r\n");
    add_connection(out, p);
    if (b && b->retry_after != UINT64_MAX) {
        add_str(out, "Retry-After: ");
        add_num(out, b->retry_after);
        add_str(out, "\r\n");
    }
    if (status >= 300 && status < 400)
        add_str(out, "Location: /v1/models\r\n");
    bool bodiless = status == 204 || status == 304;
    if (!bodiless) {
        add_str(out, "Content-Length: ");
        add_num(out, (uint64_t)n);
        add_str(out, "\r\n");
    }
    add_str(out, "\r\n");
    if (!bodiless && !p->is_head)
        mock_buf_add(out, body, (size_t)n);
}

static void chat_body(struct mock_buf *out, const struct mock_behave *b, const char *model,
                      size_t *id_at)
{
    size_t start = out->len;
    mock_buf_add(out, LIT("{\"id\":\"chatcmpl-mock"));
    *id_at = out->len;
    mock_buf_add(out, LIT("0000000000000000\",\"object\":\"chat.completion\","
                          "\"created\":1700000000,\"model\":\""));
    add_str(out, model);
    mock_buf_add(out, LIT("\",\"choices\":[{\"index\":0,\"message\":{\"role\":\"assistant\","
                          "\"content\":\""));
    struct mock_buf tail = { 0 };
    mock_buf_add(&tail, LIT("\",\"refusal\":null},\"logprobs\":null,\"finish_reason\":\"stop\"}]"));
    if (b->usage) {
        mock_buf_add(&tail, LIT(",\"usage\":{\"prompt_tokens\":"));
        add_num(&tail, b->prompt_tokens);
        mock_buf_add(&tail, LIT(",\"completion_tokens\":"));
        add_num(&tail, b->completion_tokens);
        mock_buf_add(&tail, LIT(",\"total_tokens\":"));
        add_num(&tail, b->prompt_tokens + b->completion_tokens);
        mock_buf_add(&tail, LIT("}"));
    }
    mock_buf_add(&tail, LIT(",\"system_fingerprint\":\"fp_mock\"}"));
    size_t fixed = out->len - start + tail.len;
    if (b->size > fixed)
        add_filler(out, b->size - fixed);
    mock_buf_add(out, tail.p, tail.len);
    free(tail.p);
}

static void chat_head(struct mock_buf *out, const struct mock_parse *p, const struct mock_behave *b,
                      size_t len)
{
    add_status(out, (unsigned)b->status);
    add_str(out, "Content-Type: application/json\r\nx-request-id: req_mock\r\n");
    add_connection(out, p);
    if (b->chunked && !p->http10) {
        add_str(out, "Transfer-Encoding: chunked\r\n\r\n");
        return;
    }
    add_str(out, "Content-Length: ");
    add_num(out, len);
    add_str(out, "\r\n\r\n");
}

static void add_chunk(struct mock_buf *out, const char *p, size_t n)
{
    char hex[16];
    size_t digits = 1;
    while (digits < sizeof hex && n >> (4 * digits))
        digits++;
    put_hex(hex, n, digits);
    mock_buf_add(out, hex, digits);
    mock_buf_add(out, "\r\n", 2);
    mock_buf_add(out, p, n);
    mock_buf_add(out, "\r\n", 2);
}

static void chat_special(struct mock_buf *out, const struct mock_parse *p,
                         const struct mock_behave *b, struct mock_buf *body)
{
    bool half = b->fail == MOCK_FAIL_CUT || b->fail == MOCK_FAIL_CUTRST ||
                b->fail == MOCK_FAIL_FREEZE || b->fail == MOCK_FAIL_DROP;
    chat_head(out, p, b, body->len);
    if (b->fail == MOCK_FAIL_STALL)
        return;
    size_t n = half ? body->len / 2 : body->len;
    if (b->chunked && !p->http10) {
        size_t step = b->split ? (size_t)b->split : 16384;
        for (size_t at = 0; at < n; at += step)
            add_chunk(out, body->p + at, n - at < step ? n - at : step);
        if (!half)
            add_str(out, "0\r\n\r\n");
    } else {
        mock_buf_add(out, body->p, n);
    }
}

void mock_reply_chat(struct mock_buf *out, const struct mock_parse *p, const struct mock_behave *b,
                     const char *model, uint64_t id, struct mock_cached *cache)
{
    size_t id_at;
    bool plain = b->fail == MOCK_FAIL_NONE && !b->chunked && b->status == 200 && b->usage == 1 &&
                 p->keep_alive && !p->http10 && b->prompt_tokens == 100 &&
                 b->completion_tokens == 50 && b->size <= 65536;
    if (plain) {
        struct mock_buf *cb = &cache->bytes;
        if (cache->size != b->size + 1 || strcmp(cache->model, model) != 0) {
            struct mock_buf body = { 0 };
            chat_body(&body, b, model, &id_at);
            cb->len = 0;
            chat_head(cb, p, b, body.len);
            cache->id_at = cb->len + id_at;
            mock_buf_add(cb, body.p, body.len);
            free(body.p);
            cache->size = b->size + 1; /* 0 means empty */
            snprintf(cache->model, sizeof cache->model, "%s", model);
        }
        put_hex(cb->p + cache->id_at, id, 16);
        mock_buf_add(out, cb->p, cb->len);
        return;
    }
    struct mock_buf body = { 0 };
    chat_body(&body, b, model, &id_at);
    put_hex(body.p + id_at, id, 16);
    chat_special(out, p, b, &body);
    free(body.p);
}

/* ---- streams ---- */

void mock_stream_head(struct mock_buf *out, const struct mock_parse *p, bool sse)
{
    mock_buf_add(out, LIT("HTTP/1.1 200 OK\r\n"));
    if (sse)
        mock_buf_add(out, LIT("Content-Type: text/event-stream; charset=utf-8\r\n"
                              "Cache-Control: no-cache\r\nx-request-id: req_mock\r\n"));
    else
        mock_buf_add(out, LIT("Content-Type: application/json\r\nx-request-id: req_mock\r\n"));
    if (p->http10 || !p->keep_alive)
        mock_buf_add(out, LIT("Connection: close\r\n"));
    if (!p->http10)
        mock_buf_add(out, LIT("Transfer-Encoding: chunked\r\n"));
    mock_buf_add(out, LIT("\r\n"));
}

/* One event is assembled behind space for its chunk head, which is written last. */
struct event {
    struct mock_buf *out;
    size_t start;
};

#define CHUNK_HEAD 6u /* four hex digits and CRLF; an event is shorter than 65536 + some bytes */

static struct event event_begin(struct mock_buf *out, bool chunked)
{
    struct event e = { out, out->len };
    if (chunked) {
        (void)mock_buf_room(out, CHUNK_HEAD);
        out->len += CHUNK_HEAD;
    }
    return e;
}

static void event_end(struct event e, const struct mock_behave *b, bool chunked)
{
    if (!chunked)
        return;
    size_t text = e.start + CHUNK_HEAD;
    size_t n = e.out->len - text;
    if (n <= 0xffff && (!b->split || n <= b->split)) {
        put_hex(e.out->p + e.start, n, 4);
        memcpy(e.out->p + e.start + 4, "\r\n", 2);
        mock_buf_add(e.out, "\r\n", 2);
        return;
    }
    char *copy = malloc(n);
    if (!copy)
        abort();
    memcpy(copy, e.out->p + text, n);
    e.out->len = e.start;
    size_t step = b->split ? (size_t)b->split : n;
    for (size_t at = 0; at < n; at += step)
        add_chunk(e.out, copy + at, n - at < step ? n - at : step);
    free(copy);
}

static void event_open(struct mock_buf *out, const struct mock_stream *s, const char *model)
{
    mock_buf_add(out, LIT("data: {\"id\":\"chatcmpl-mock"));
    put_hex(mock_buf_room(out, 16), s->id, 16);
    out->len += 16;
    mock_buf_add(out, LIT("\",\"object\":\"chat.completion.chunk\",\"created\":1700000000,"
                          "\"model\":\""));
    add_str(out, model);
    mock_buf_add(out, LIT("\",\"choices\":["));
}

static void event_close(struct mock_buf *out, const struct mock_stream *s)
{
    if (s->usage)
        mock_buf_add(out, LIT("],\"usage\":null}\n\n"));
    else
        mock_buf_add(out, LIT("]}\n\n"));
}

static void role_event(struct mock_buf *out, const struct mock_stream *s,
                       const struct mock_behave *b, const char *model, bool chunked)
{
    struct event e = event_begin(out, chunked);
    event_open(out, s, model);
    mock_buf_add(out, LIT("{\"index\":0,\"delta\":{\"role\":\"assistant\",\"content\":\"\"},"
                          "\"finish_reason\":null}"));
    event_close(out, s);
    event_end(e, b, chunked);
}

static void content_event(struct mock_buf *out, const struct mock_stream *s,
                          const struct mock_behave *b, const char *model, bool chunked)
{
    struct event e = event_begin(out, chunked);
    size_t text = out->len;
    static const char tail[] = "\"},\"finish_reason\":null}";
    event_open(out, s, model);
    mock_buf_add(out, LIT("{\"index\":0,\"delta\":{\"content\":\""));
    mock_buf_add(out, LIT("w"));
    add_num(out, s->next);
    mock_buf_add(out, LIT(" "));
    size_t fixed = out->len - text + sizeof tail - 1 + (s->usage ? 17u : 4u);
    if (b->chunk_bytes > fixed)
        add_filler(out, b->chunk_bytes - fixed);
    mock_buf_add(out, LIT(tail));
    event_close(out, s);
    event_end(e, b, chunked);
}

static void last_events(struct mock_buf *out, const struct mock_stream *s,
                        const struct mock_behave *b, const char *model, bool chunked)
{
    struct event e = event_begin(out, chunked);
    event_open(out, s, model);
    mock_buf_add(out, LIT("{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}"));
    event_close(out, s);
    event_end(e, b, chunked);
    if (s->usage) {
        e = event_begin(out, chunked);
        event_open(out, s, model);
        mock_buf_add(out, LIT("],\"usage\":{\"prompt_tokens\":"));
        add_num(out, b->prompt_tokens);
        mock_buf_add(out, LIT(",\"completion_tokens\":"));
        add_num(out, b->completion_tokens);
        mock_buf_add(out, LIT(",\"total_tokens\":"));
        add_num(out, b->prompt_tokens + b->completion_tokens);
        mock_buf_add(out, LIT("}}\n\n"));
        event_end(e, b, chunked);
    }
    e = event_begin(out, chunked);
    mock_buf_add(out, LIT("data: [DONE]\n\n"));
    event_end(e, b, chunked);
    if (chunked)
        mock_buf_add(out, LIT("0\r\n\r\n"));
}

/* The failure that falls due at this event. */
static enum mock_step stream_fail(struct mock_buf *out, struct mock_stream *s,
                                  const struct mock_behave *b, const char *model, bool chunked)
{
    struct event e;
    size_t start = out->len;
    switch (b->fail) {
    case MOCK_FAIL_CUT:
    case MOCK_FAIL_CUTRST:
        content_event(out, s, b, model, chunked);
        out->len = start + (out->len - start) / 2;
        return b->fail == MOCK_FAIL_CUT ? MOCK_STEP_CLOSE : MOCK_STEP_RESET;
    case MOCK_FAIL_FREEZE:
        return MOCK_STEP_STALL;
    case MOCK_FAIL_ERROR:
        e = event_begin(out, chunked);
        mock_buf_add(out, LIT("data: {\"error\":{\"message\":\"mock-upstream broke off as it was "
                              "told\",\"type\":\"server_error\",\"param\":null,"
                              "\"code\":\"mock_error\"}}\n\n"));
        event_end(e, b, chunked);
        break;
    case MOCK_FAIL_NODONE:
        break;
    default:
        return MOCK_STEP_CLOSE;
    }
    if (chunked)
        mock_buf_add(out, LIT("0\r\n\r\n"));
    return chunked ? MOCK_STEP_END : MOCK_STEP_CLOSE;
}

enum mock_step mock_stream_step(struct mock_buf *out, struct mock_stream *s,
                                const struct mock_behave *b, const char *model, bool chunked)
{
    bool fails = b->fail == MOCK_FAIL_CUT || b->fail == MOCK_FAIL_CUTRST ||
                 b->fail == MOCK_FAIL_DROP || b->fail == MOCK_FAIL_NODONE ||
                 b->fail == MOCK_FAIL_ERROR || b->fail == MOCK_FAIL_FREEZE;
    uint64_t after = b->after == UINT64_MAX ? b->chunks / 2 : b->after;
    if (s->next == 0)
        role_event(out, s, b, model, chunked);
    if (fails && s->next >= after)
        return stream_fail(out, s, b, model, chunked);
    if (s->next < b->chunks || b->fail == MOCK_FAIL_HUGE) {
        content_event(out, s, b, model, chunked);
        s->next++;
    }
    if (b->fail == MOCK_FAIL_HUGE || s->next < b->chunks)
        return MOCK_STEP_MORE;
    if (fails)
        return stream_fail(out, s, b, model, chunked);
    last_events(out, s, b, model, chunked);
    return chunked ? MOCK_STEP_END : MOCK_STEP_CLOSE;
}

void mock_huge_step(struct mock_buf *out, bool chunked)
{
    if (chunked)
        add_chunk(out, LIT(filler));
    else
        mock_buf_add(out, LIT(filler));
}
