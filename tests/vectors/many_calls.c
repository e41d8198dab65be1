/* A stream of many tool calls through chat's render: each call gets the next index of its choice, its
 * arguments find it in whatever order they come, and a call costs the same among 40,000 as among a
 * few: many_calls CHAT.so */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <cmocka.h>
#include "base/str.h"
#include "host.h"

#define MANY 40000u
#define BATCH 500u

static const char *chat_path;

typedef struct stream {
    vec_plugin chat;
    vec_out client;
    vec_list kept;
    void *state;
    size_t keep_left;
    tp_status status;
} stream;

static void stream_begin(stream *s, size_t keep)
{
    static const char body[] = "{\"model\":\"m\",\"stream\":true,\"messages\":[{\"role\":\"user\","
                               "\"content\":\"x\"}]}";
    *s = (stream){.keep_left = keep};
    if (vec_open(&s->chat, chat_path, "{}") != 0)
        fail_msg("%s", s->chat.why);
    s->state = calloc(1, s->chat.endpoint->state_size);
    assert_non_null(s->state);
    vec_out_free(&s->client);
    vec_call c;
    vec_call_begin(&c, &s->client, s->state, &s->kept);
    tp_request q = {.size = sizeof(q), .method = STR("POST"), .path = STR("/v1/chat/completions"),
                    .type = STR("application/json"), .headers = {NULL, 0, sizeof(tp_header)},
                    .parts = {NULL, 0, sizeof(tp_part)}};
    q.body = vec_doc(&c, str_of(body));
    tp_operation op = {.size = sizeof(op), .max_output_tokens = -1, .body = q.body};
    assert_int_equal(s->chat.endpoint->parse(s->chat.self, &c.pub, &q, &op), TP_OK);
    vec_call_end(&c);
}

static void stream_end(stream *s)
{
    vec_list_free(&s->kept);
    vec_out_free(&s->client);
    free(s->state);
    vec_close(&s->chat);
}

static void render(stream *s, const tp_event *events, uint32_t n)
{
    vec_call c;
    vec_out_free(&s->client);
    vec_call_begin(&c, &s->client, s->state, &s->kept);
    c.keep_left = s->keep_left;
    s->status = s->chat.endpoint->render(s->chat.self, &c.pub,
                                         (tp_list){events, n, sizeof(*events)});
    s->keep_left = c.keep_left;
    vec_call_end(&c);
}

static tp_event call_of(uint32_t choice, uint32_t item)
{
    return (tp_event){.size = sizeof(tp_event), .kind = TP_EV_CALL, .choice = choice, .item = item,
                      .id = STR("c"), .name = STR("f")};
}

static tp_event arguments_of(uint32_t choice, uint32_t item)
{
    return (tp_event){.size = sizeof(tp_event), .kind = TP_EV_ARGUMENTS, .choice = choice,
                      .item = item, .text = STR("{}")};
}

/* The index that one event's chunk names; -1: there is no chunk. */
static int64_t index_said(stream *s, tp_event e)
{
    static const char mark[] = "\"tool_calls\":[{\"index\":";
    render(s, &e, 1);
    assert_int_equal(s->status, TP_OK);
    if (!s->client.body.len)
        return -1;
    assert_int_equal(buf_add(&s->client.body, "", 1), 0);
    const char *at = strstr((const char *)buf_str(&s->client.body).ptr, mark);
    assert_non_null(at);
    return strtoll(at + strlen(mark), NULL, 10);
}

static uint32_t scattered(uint32_t i) /* another item for each i, in no order */
{
    return i * 2654435761u;
}

static void each_finds_its_own(void **state)
{
    (void)state;
    stream s;
    stream_begin(&s, 16u << 20);
    assert_int_equal(index_said(&s, arguments_of(0, 0)), -1);
    for (uint32_t i = 0; i < 3000; i++) {
        assert_int_equal(index_said(&s, call_of(0, i)), i);
        assert_int_equal(index_said(&s, arguments_of(0, i)), i);
        if (i % 3 == 0)
            assert_int_equal(index_said(&s, call_of(5, scattered(i))), i / 3);
    }
    for (uint32_t i = 3000; i-- > 0;) {
        assert_int_equal(index_said(&s, arguments_of(0, i)), i);
        assert_int_equal(index_said(&s, arguments_of(5, scattered(i))), i % 3 ? -1 : (int64_t)i / 3);
    }
    assert_int_equal(index_said(&s, arguments_of(0, 3000)), -1);
    assert_int_equal(index_said(&s, arguments_of(1, 0)), -1);
    for (uint32_t bit = 12; bit < 32; bit++) /* items that differ in high bits alone */
        assert_int_equal(index_said(&s, call_of(0, 1u << bit)), 3000 + bit - 12);
    for (uint32_t bit = 12; bit < 32; bit++)
        assert_int_equal(index_said(&s, arguments_of(0, 1u << bit)), 3000 + bit - 12);
    assert_int_equal(index_said(&s, call_of(0, 7)), 3020); /* the item again: another call */
    assert_int_equal(index_said(&s, arguments_of(0, 7)), 3020);
    stream_end(&s);
}

static void what_can_be_kept_is_bounded(void **state)
{
    (void)state;
    stream s;
    stream_begin(&s, 64u << 10); /* as the gateway gives it */
    uint32_t n = 0;
    for (; n < 10000; n++) {
        tp_event e = call_of(0, n);
        render(&s, &e, 1);
        if (s.status != TP_OK)
            break;
    }
    assert_int_equal(s.status, TP_E_NOMEM);
    assert_true(n >= 2700);
    stream_end(&s);
}

static double seconds(void)
{
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

/* Nanoseconds a call with its arguments, for the first and the last of `MANY`. */
static void few_cost_what_many_do(void **state)
{
    (void)state;
    stream s;
    static tp_event events[2 * BATCH];
    double first = 0, last = 0;
    stream_begin(&s, 64u << 20);
    for (uint32_t from = 0; from < MANY; from += BATCH) {
        for (uint32_t i = 0; i < BATCH; i++) {
            events[2 * i] = call_of(0, from + i);
            events[2 * i + 1] = arguments_of(0, from + i);
        }
        double start = seconds();
        render(&s, events, 2 * BATCH);
        double took = (seconds() - start) / BATCH * 1e9;
        assert_int_equal(s.status, TP_OK);
        if (from < 10 * BATCH)
            first += took / 10;
        else if (from >= MANY - 10 * BATCH)
            last += took / 10;
    }
    printf("a call with its arguments: %.0f ns among the first %u, %.0f ns among %u\n", first,
           10 * BATCH, last, MANY);
    assert_true(last < 4 * first + 2000);
    stream_end(&s);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_finds_its_own),
        cmocka_unit_test(what_can_be_kept_is_bounded),
        cmocka_unit_test(few_cost_what_many_do),
    };
    chat_path = argc > 1 ? argv[1] : "chat.so";
    return cmocka_run_group_tests(tests, NULL, NULL);
}
