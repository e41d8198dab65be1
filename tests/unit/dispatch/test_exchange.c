/* Single exchanges with the shipped plugins, step by step: what reaches the upstream, and the
 * corners that the simulation's oracle does not look into. */
#include "../world/world_fixture.h"

#include "dispatch/exchange.h"

#define KEY                                                                                        \
    "\"admission\":{\"static_keys\":[{\"name\":\"k\",\"key\":\"sk-test-0123456789abcdef\"}]},"
#define WORLD                                                                                      \
    "{" KEY "\"endpoints\":{\"chat\":{\"path\":\"/chat/completions\"}},"                           \
    "\"providers\":{\"one\":{\"plugin\":\"openai\",\"options\":{\"base_url\":\"http://one.test/"   \
    "v1\"},"                                                                                       \
    "\"api_key\":\"sk-up\"},\"two\":{\"plugin\":\"openai\",\"options\":{\"base_url\":"             \
    "\"http://two.test/v1\"},\"api_key\":\"sk-up\"}},"                                             \
    "\"models\":{\"m\":{\"deployments\":[{\"provider\":\"one\",\"model\":\"up\",\"price\":{"       \
    "\"completion\":\"0.000001\"}},{\"provider\":\"two\",\"model\":\"up2\"}]}}%s}"

typedef struct bench { /* a worker with one exchange */
    world *w;
    arena_pool pool;
    plug_scratch scratch;
    dispatch_env env;
    exchange x;
    http_head head;
    tp_header authorization;
    dispatch_actions act;
    tp_now now;
    char *body;
    buf out;
    int32_t status, refuse;
    int settles, records;
    settle_record settled, recorded;
} bench;

static int hold(void *arg, exchange *x, int64_t nano, admit_tokens tokens, profile_error *why)
{
    bench *b = arg;
    assert_true(nano > 0 && nano == x->hold_nano);
    assert_true(tokens.least >= 0 && tokens.most >= tokens.least);
    why->status = b->refuse;
    return b->refuse ? -1 : 1;
}

static int settle(void *arg, exchange *x, settle_record *r)
{
    bench *b = arg;
    b->settles++;
    b->settled = *r;
    assert_int_equal(r->cost_nano, x->cost_nano);
    assert_int_equal(r->charged_nano, r->cost_nano);
    return 1;
}

static void record(void *arg, exchange *x, const settle_record *r)
{
    bench *b = arg;
    (void)x;
    b->records++;
    b->recorded = *r;
}

static bench *bench_new(wf *f, const char *more)
{
    static char text[4096];
    bench *b = calloc(1, sizeof(*b));
    snprintf(text, sizeof(text), WORLD, more);
    b->w = wf_world(f, text);
    arena_pool_init(&b->pool, 16);
    plug_scratch_init(&b->scratch, &b->pool, 1 << 20, &f->log);
    buf_init(&b->out, 1 << 20);
    b->now = (tp_now){.mono_us = 1000000, .unix_ms = 1700000000000};
    b->env = (dispatch_env){.ports = {.arg = b, .hold = hold, .settle = settle, .record = record},
                            .scratch = &b->scratch,
                            .live = route_table_new(8),
                            .pool = &b->pool,
                            .random = {7},
                            .user_agent = "turnpike/test",
                            .max_reply_bytes = 1 << 20};
    dispatch_init(&b->x, &b->env, b->w, b->now);
    b->authorization = (tp_header){STR("authorization"), STR("Bearer sk-test-0123456789abcdef")};
    b->head = (http_head){.method = HTTP_POST,
                          .method_text = STR("POST"),
                          .path = STR("/v1/chat/completions"),
                          .headers = &b->authorization,
                          .header_count = 1,
                          .content_length = 1};
    b->head.known[HTTP_H_AUTHORIZATION] = b->authorization.value;
    return b;
}

static void bench_free(bench *b)
{
    dispatch_free(&b->x);
    plug_scratch_free(&b->scratch);
    assert_int_equal(b->env.active, 0);
    assert_int_equal(b->pool.out, 0);
    arena_pool_free(&b->pool);
    route_table_free(b->env.live);
    world_unref(b->w);
    buf_free(&b->out);
    free(b->body);
    free(b);
}

static void run(bench *b, dispatch_input in)
{
    dispatch_run(&b->x, &in, b->now, &b->act);
    if (b->act.respond)
        b->status = b->act.status;
    for (uint32_t i = 0; i < b->act.seg_count; i++)
        buf_adds(&b->out, b->act.segs[i]);
    if (b->act.release_request)
        dispatch_release_request(&b->x);
}

static void ask(bench *b, const char *body)
{
    run(b, (dispatch_input){.kind = IN_HEAD, .head = &b->head});
    assert_true(b->act.read_body);
    b->body = strdup(body);
    run(b, (dispatch_input){.kind = IN_BODY, .bytes = str_of(b->body)});
}

static void reply(bench *b, int status, const char *type, const char *bytes, int fin)
{
    http_head h = {.status = status, .content_length = -1};
    h.known[HTTP_H_CONTENT_TYPE] = str_of(type);
    run(b, (dispatch_input){
               .kind = IN_UP_REPLY, .head = type ? &h : NULL, .bytes = str_of(bytes), .fin = fin});
}

#define MESSAGES "\"messages\":[{\"role\":\"user\",\"content\":\"turnpike, cailos\"}]"

/* Hints are cut out of the body wherever they stand; every other byte reaches the upstream as it
 * was (but for the model's name, which is the deployment's). */
static void test_hints_are_cut(void **state)
{
    static const struct {
        const char *sent, *wanted;
    } cases[] = {
        {"{\"model\":\"m\"," MESSAGES "}", "{\"model\":\"up\"," MESSAGES "}"},
        {"{\"turnpike\":{\"x\":[1,{\"y\":\"}\"}]},\"model\":\"m\"," MESSAGES "}",
         "{\"model\":\"up\"," MESSAGES "}"},
        {"{\"model\":\"m\",\"turnpike\":{\"a,b\":null}," MESSAGES "}",
         "{\"model\":\"up\"," MESSAGES "}"},
        {"{\"model\":\"m\"," MESSAGES ",\"turnpike\":{}}", "{\"model\":\"up\"," MESSAGES "}"},
        {"{\"turnpike\":1,\"cailos\":2,\"model\":\"m\"," MESSAGES "}",
         "{\"model\":\"up\"," MESSAGES "}"},
        {"{\"model\":\"m\",\"cailos\":{},\"turnpike\":{}," MESSAGES "}",
         "{\"model\":\"up\"," MESSAGES "}"},
        {"{\"model\":\"m\"," MESSAGES ",\"cailos\":[],\"turnpike\":\"\"}",
         "{\"model\":\"up\"," MESSAGES "}"},
        {"{\"turnpike\":{},\"model\":\"m\"," MESSAGES ",\"cailos\":{}}",
         "{\"model\":\"up\"," MESSAGES "}"},
        {" { \"model\" : \"m\" , \"turnpike\" : { } ,\n " MESSAGES " }\n",
         " { \"model\" : \"up\" , \n " MESSAGES " }\n"},
        {"{\"model\":\"m\",\n" MESSAGES "\t,\r\n \"cailos\":{} }",
         "{\"model\":\"up\",\n" MESSAGES "\t }"},
        {"{\"\\u0074urnpike\":{},\"model\":\"m\"," MESSAGES "}", "{\"model\":\"up\"," MESSAGES "}"},
        {"{\"model\":\"m\",\"Turnpike\":1,\"metadata\":{\"turnpike\":\"2\"},\"seed\":"
         "18446744073709551615,"
         "\"top_p\":1.0e-0," MESSAGES ",\"cailos\":0}",
         "{\"model\":\"up\",\"Turnpike\":1,\"metadata\":{\"turnpike\":\"2\"},\"seed\":"
         "18446744073709551615,"
         "\"top_p\":1.0e-0," MESSAGES "}"},
    };
    for (size_t i = 0; i < TP_COUNT(cases); i++) {
        bench *b = bench_new(*state, "");
        buf got;
        ask(b, cases[i].sent);
        if (!b->act.start_upstream)
            fail_msg("case %zu: %.*s", i, STR_ARG(buf_str(&b->out)));
        buf_init(&got, 1 << 20);
        for (uint32_t k = 0; k < b->x.up.seg_count; k++)
            buf_adds(&got, b->x.up.segs[k]);
        assert_str(buf_str(&got), cases[i].wanted);
        assert_int_equal(b->x.up.body_bytes, strlen(cases[i].wanted));
        buf_free(&got);
        run(b, (dispatch_input){.kind = IN_CLIENT_GONE});
        assert_true(b->act.cancel_upstream && b->act.done);
        bench_free(b);
    }
}

/* A head that cannot be had, or must be refused: one run, an answer and a record. */
static void refuse_head(void **state, int kind, int code, const char *path, const char *part)
{
    bench *b = bench_new(*state, "");
    b->head.path = str_of(path);
    run(b, (dispatch_input){
               .kind = kind, .head = &b->head, .code = code, .what = "the head is what it is"});
    assert_true(b->act.respond && b->act.finish && b->act.done && !b->act.read_body);
    buf_add(&b->out, "", 1);
    assert_has(b->out.ptr, part);
    assert_int_equal(b->records, 1);
    assert_int_equal(b->recorded.status, b->status);
    assert_int_equal(b->recorded.outcome, SETTLE_FAILED);
    assert_str(b->recorded.method, "POST");
    assert_str(b->recorded.path, path);
    assert_str(b->recorded.error, "the head is what it is");
    assert_int_equal(b->settles, 0);
    bench_free(b);
}

static void test_heads_are_refused(void **state)
{
    refuse_head(state, IN_HEAD_FAILED, 431, "/v1/chat/completions", "the head is what it is");
    refuse_head(state, IN_HEAD_FAILED, 408, "", "the head is what it is");
    refuse_head(state, IN_HEAD, 413, "/v1/chat/completions", "invalid_request_error");
    refuse_head(state, IN_HEAD, 503, "/nothing", "service_unavailable_error");
}

static void refuse(void **state, const char *body, int status, const char *part)
{
    bench *b = bench_new(*state, "");
    ask(b, body);
    assert_true(b->act.finish && b->act.done && !b->act.start_upstream);
    assert_int_equal(b->status, status);
    buf_add(&b->out, "", 1);
    assert_has(b->out.ptr, part);
    assert_int_equal(b->records, 1);
    assert_int_equal(b->recorded.status, status);
    assert_int_equal(b->recorded.cost_nano, 0);
    bench_free(b);
}

/* A scanner's code and an out-of-memory code have the same number: a deep body is the client's
 * fault. */
static void test_deep_body(void **state)
{
    char body[400];
    memset(body, '[', sizeof(body) - 1);
    body[sizeof(body) - 1] = 0;
    refuse(state, body, 400, "not valid JSON");
}

static void test_refused_bodies(void **state)
{
    refuse(state, "", 400, "invalid_json");
    refuse(state, "{\"model\":\"m\"", 400, "column");
    refuse(state, "{\"model\":\"nobody\"," MESSAGES "}", 404, "model_not_found");
    refuse(state, "{\"model\":\"m\",\"messages\":17}", 400, "messages");
}

/* A hold that is refused costs nothing, whatever would have been held. */
static void test_no_credit(void **state)
{
    bench *b = bench_new(*state, "");
    b->refuse = 402;
    ask(b, "{\"model\":\"m\"," MESSAGES "}");
    buf_add(&b->out, "", 1);
    assert_has(b->out.ptr, "Insufficient credits. Please add funds to your account.");
    assert_has(b->out.ptr, "\"insufficient_credits\"");
    assert_true(b->act.done);
    assert_int_equal(b->status, 402);
    assert_int_equal(b->settles, 0);
    assert_int_equal(b->recorded.cost_nano, 0);
    assert_int_equal(b->recorded.outcome, SETTLE_FAILED);
    bench_free(b);
}

/* Without any strategy candidates are tried as configured. */
static void test_without_strategy(void **state)
{
    bench *b = bench_new(*state, ",\"strategies\":{\"ordered\":{\"enabled\":false}}");
    assert_null(b->w->strategy);
    ask(b, "{\"model\":\"m\"," MESSAGES "}");
    assert_true(b->act.start_upstream);
    assert_str(b->x.up.to->host, "one.test");
    run(b, (dispatch_input){.kind = IN_UP_FAILED, .code = DISPATCH_UP_UNREACHABLE, .what = "no"});
    assert_true(b->act.start_upstream);
    assert_str(b->x.up.to->host, "two.test");
    run(b, (dispatch_input){.kind = IN_UP_FAILED, .code = DISPATCH_UP_UNREACHABLE, .what = "no"});
    assert_true(b->act.done);
    assert_int_equal(b->status, 503);
    assert_int_equal(b->recorded.attempts, 2);
    bench_free(b);
}

#define CHUNK(delta, rest)                                                                         \
    "data: {\"id\":\"u\",\"model\":\"real\",\"choices\":[{\"index\":0,\"delta\":" delta rest       \
    "}]}\n\n"
#define STREAM "{\"model\":\"m\",\"stream\":true," MESSAGES "}"

/* An error event within a stream ends it as failed: no [DONE], nothing charged, the upstream let
 * go. */
static void test_error_within_stream(void **state)
{
    bench *b = bench_new(*state, "");
    ask(b, STREAM);
    reply(b, 200, "text/event-stream", CHUNK("{\"content\":\"a\"}", ""), 0);
    assert_true(b->act.respond && !b->act.finish);
    reply(b, 0, NULL,
          "data: {\"choices\":[],\"usage\":{\"prompt_tokens\":1,\"completion_tokens\":9}}\n\n"
          "data: {\"error\":{\"message\":\"it hurts\"}}\n\n",
          0);
    assert_true(b->act.cancel_upstream && b->act.finish && b->act.done);
    buf_add(&b->out, "", 1);
    assert_has(b->out.ptr, "\"error\"");
    assert_null(strstr(b->out.ptr, "[DONE]"));
    assert_int_equal(b->settles, 1);
    assert_int_equal(b->settled.outcome, SETTLE_FAILED);
    assert_int_equal(b->settled.cost_nano, 0);
    assert_int_equal(b->recorded.outcome, SETTLE_FAILED);
    bench_free(b);
}

/* A stream that is complete is settled at what it took, under the name that the client has seen. */
static void test_complete_stream(void **state)
{
    bench *b = bench_new(*state, "");
    ask(b, STREAM);
    reply(b, 200, "text/event-stream", CHUNK("{\"role\":\"assistant\"}", ""), 0);
    assert_false(b->act.respond); /* not yet an answer */
    reply(b, 0, NULL,
          CHUNK("{\"content\":\"a\"}", "")
              CHUNK("{}", ",\"finish_reason\":\"stop\"") "data: "
                                                         "{\"choices\":[],\"usage\":{\"prompt_"
                                                         "tokens\":1,\"completion_tokens\":9}}\n\n"
                                                         "data: [DONE]\n\n",
          0);
    assert_true(b->act.finish && !b->act.done); /* the upstream's own end is still to come */
    assert_int_equal(b->settles, 1);
    assert_int_equal(b->settled.cost_nano, 9 * 1000);
    assert_int_equal(b->settled.outcome, SETTLE_COMPLETED);
    buf_add(&b->out, "", 1);
    char name[80];
    snprintf(name, sizeof(name), "\"id\":\"%.*s\"", (int)b->x.reply_id_len, b->x.reply_id);
    assert_has(b->out.ptr, name);
    assert_has(b->out.ptr, "data: [DONE]\n\n");
    reply(b, 0, NULL, "data: more\n\n", 0);
    assert_int_equal(b->act.seg_count, 0);
    reply(b, 0, NULL, "", 1);
    assert_true(b->act.done && !b->act.cancel_upstream);
    bench_free(b);
}

/* An upstream that does not end its message is not waited for long. */
static void test_linger_is_bounded(void **state)
{
    bench *b = bench_new(*state, "");
    ask(b, STREAM);
    reply(b, 200, "text/event-stream",
          CHUNK("{\"content\":\"a\"}", ",\"finish_reason\":\"stop\"") "data: [DONE]\n\n", 0);
    assert_true(b->act.finish && !b->act.done);
    assert_true(b->act.deadline_us > b->now.mono_us &&
                b->act.deadline_us <= b->now.mono_us + 5000000);
    b->now.mono_us = b->act.deadline_us;
    run(b, (dispatch_input){.kind = IN_TIMER});
    assert_true(b->act.cancel_upstream && b->act.done);
    bench_free(b);
}

/* ---- A client that goes away pays for what was relayed to it, and for nothing before that. A
 * completion token costs 1,000 nano-dollars here, a prompt token nothing. */
static void abort_after(void **state, const char *events, int64_t cost, int64_t completion,
                        uint32_t flags)
{
    bench *b = bench_new(*state, "");
    ask(b, STREAM);
    if (events)
        reply(b, 200, "text/event-stream", events, 0);
    run(b, (dispatch_input){.kind = IN_CLIENT_GONE});
    assert_true(b->act.done);
    assert_int_equal(b->settles, 1);
    assert_int_equal(b->settled.outcome, SETTLE_CANCELLED);
    assert_int_equal(b->settled.cost_nano, cost);
    assert_int_equal(usage_get(&b->settled.used, STR("completion")), completion);
    assert_int_equal(b->settled.flags, flags);
    assert_true(b->settled.hold_nano >= cost);
    bench_free(b);
}

#define USAGE(n) "data: {\"choices\":[],\"usage\":{\"prompt_tokens\":1,\"completion_tokens\":" n "}}\n\n"

static void test_abort(void **state)
{
    /* Before the upstream said anything, and before it said anything that is an answer. */
    abort_after(state, NULL, 0, 0, 0);
    abort_after(state, CHUNK("{\"role\":\"assistant\"}", ""), 0, 0, 0);
    /* 9 bytes, four a token: 3. */
    abort_after(state, CHUNK("{\"content\":\"abcdefghi\"}", ""), 3000, 3, SETTLE_ESTIMATED);
    /* A count told beforehand is of what came before it: 1, and 8 bytes after it: 3. */
    abort_after(state, USAGE("1") CHUNK("{\"content\":\"abcdefgh\"}", ""), 3000, 3,
                SETTLE_ESTIMATED);
    /* One told after all that was relayed is exact. */
    abort_after(state, CHUNK("{\"content\":\"abcdefgh\"}", "") USAGE("7"), 7000, 7, 0);
    abort_after(state, CHUNK("{\"content\":\"abc\"}", ",\"finish_reason\":\"stop\"") USAGE("5"), 5000,
                5, 0);
}

/* A deployment that is in no catalog lives as long as its exchange, not only as its request. */
static void test_unlisted_deployment(void **state)
{
    bench *b = bench_new(*state, "");
    b->env.ports.hold = NULL; /* no price, nothing to hold */
    ask(b, "{\"model\":\"two/unlisted\",\"stream\":true," MESSAGES "}");
    assert_true(b->act.start_upstream);
    reply(b, 200, "text/event-stream", CHUNK("{\"content\":\"a\"}", ""), 0);
    assert_true(b->act.release_request);
    reply(b, 0, NULL,
          CHUNK("{\"content\":\"b\"}", ",\"finish_reason\":\"stop\"") "data: [DONE]\n\n", 1);
    assert_true(b->act.done);
    assert_str(b->recorded.model_served, "unlisted");
    bench_free(b);
}

/* Two events of several lines and the same length in one read are two events. */
static void test_gathered_events(void **state)
{
    bench *b = bench_new(*state, "");
    ask(b, STREAM);
    reply(b, 200, "text/event-stream",
          "data: {\"id\":\"u\",\"choices\":[{\"index\":0,\ndata: "
          "\"delta\":{\"content\":\"abc\"}}]}\n\n"
          "data: {\"id\":\"u\",\"choices\":[{\"index\":0,\ndata: "
          "\"delta\":{\"content\":\"xyz\"}}]}\n\n",
          0);
    buf_add(&b->out, "", 1);
    assert_has(b->out.ptr, "\"content\":\"abc\"");
    assert_has(b->out.ptr, "\"content\":\"xyz\"");
    run(b, (dispatch_input){.kind = IN_STOP});
    assert_true(b->act.done && b->act.cancel_upstream);
    assert_int_equal(b->recorded.outcome, SETTLE_CANCELLED);
    bench_free(b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_hints_are_cut),       cmocka_unit_test(test_deep_body),
        cmocka_unit_test(test_refused_bodies),      cmocka_unit_test(test_no_credit),
        cmocka_unit_test(test_abort),
        cmocka_unit_test(test_heads_are_refused),
        cmocka_unit_test(test_without_strategy),    cmocka_unit_test(test_error_within_stream),
        cmocka_unit_test(test_complete_stream),     cmocka_unit_test(test_linger_is_bounded),
        cmocka_unit_test(test_unlisted_deployment), cmocka_unit_test(test_gathered_events),
    };
    return cmocka_run_group_tests(tests, wf_open, wf_close);
}
