#include "../world/world_fixture.h"

#include "manage/manage.h"

static const char *const snippet =
    "{\"providers\":{\"echo\":{},\"groq\":{\"plugin\":\"openai\",\"options\":{\"base_url\":"
    "\"https://groq.example/v1\"},\"api_key\":{\"env\":\"GROQ_API_KEY\"}}},"
    "\"models\":{"
    "\"meta/llama\":{\"name\":\"Llama\",\"created\":1733443200,\"context_length\":131072,"
    "\"max_output_tokens\":32768,\"capabilities\":[\"tools\",\"streaming\"],\"aliases\":[\"l3\"],"
    "\"price\":{\"prompt\":\"0.00000059\",\"completion\":\"0.00000079\"},"
    "\"deployments\":[{\"provider\":\"groq\",\"model\":\"g\"},{\"provider\":\"echo\",\"model\":"
    "\"e\"}]},"
    "\"asleep\":{\"deployments\":[{\"provider\":\"groq\",\"model\":\"x\"}]},"
    "\"bare\":{\"deployments\":[{\"provider\":\"echo\",\"model\":\"b\"}]}},"
    "\"admission\":{\"static_keys\":[{\"name\":\"narrow\",\"key\":\"sk-second-0123456789abcde\","
    "\"models\":[\"bare\"]}]}}";

#define LLAMA                                                                                      \
    "{\"id\":\"meta/llama\",\"object\":\"model\",\"created\":1733443200,\"owned_by\":\"meta\","    \
    "\"permission\":[],\"root\":\"meta/llama\",\"parent\":null,\"name\":\"Llama\","                \
    "\"context_length\":131072,\"pricing\":{\"prompt\":\"0.00000059\",\"completion\":"             \
    "\"0.00000079\"},\"top_provider\":{\"max_completion_tokens\":32768},"                          \
    "\"capabilities\":[\"tools\",\"streaming\"]}"
#define BARE                                                                                       \
    "{\"id\":\"bare\",\"object\":\"model\",\"created\":0,\"owned_by\":\"echo\",\"permission\":[]," \
    "\"root\":\"bare\",\"parent\":null,\"name\":\"bare\",\"capabilities\":[\"streaming\"]}"

static manage_reply ask(const manage_ports *ports, const world *w, const char *path,
                        const admit_principal *who, int64_t unix_ms)
{
    tp_str rest;
    manage_reply out;
    admit_principal nobody = {0};
    const world_route *r = world_route_find(w, str_of(path), &rest);
    assert_non_null(r);
    tp_now now = {.unix_ms = unix_ms};
    assert_int_equal(manage_handle(ports, w, r, rest, who ? who : &nobody, now, &out), 0);
    assert_str(out.type, "application/json");
    json_tape tape = {0};
    json_error err;
    if (json_scan(buf_str(&out.body), &tape, &err) < 0)
        fail_msg("no JSON at %u: %.*s", err.at, STR_ARG(buf_str(&out.body)));
    json_tape_free(&tape);
    return out;
}

static void answers(const world *w, const char *path, const admit_principal *who, int status,
                    const char *body)
{
    manage_reply out = ask(NULL, w, path, who, 0);
    assert_int_equal(out.status, status);
    assert_str(buf_str(&out.body), body);
    buf_free(&out.body);
}

/* What counts for long prompts stands beside the plain prices, which stay what they are. */
static void thresholds_stand_beside_the_prices(void **state)
{
    world *w = wf_world(
        *state, "{\"providers\":{\"echo\":{}},\"models\":{\"long\":{\"price\":{"
                "\"prompt@256000\":\"0.000004\",\"prompt\":\"0.000001\",\"completion\":\"0.000005\","
                "\"prompt@128000\":\"0.000002\",\"cache_write:1h\":\"0.000003\","
                "\"completion@256000\":\"0.00001\"},\"deployments\":[{\"provider\":\"echo\"}]}}}");
    manage_reply out = ask(NULL, w, "/v1/models/long", NULL, 0);
    static const char want[] =
        "\"pricing\":{\"prompt\":\"0.000001\",\"completion\":\"0.000005\",\"cache_write:1h\":"
        "\"0.000003\"},\"pricing_above\":{\"128000\":{\"prompt\":\"0.000002\"},\"256000\":{"
        "\"prompt\":\"0.000004\",\"completion\":\"0.00001\"}},";
    assert_int_equal(out.status, 200);
    assert_non_null(memmem(buf_str(&out.body).ptr, buf_str(&out.body).len, want, sizeof(want) - 1));
    buf_free(&out.body);
    world_unref(w);
}

static void the_list_shows_what_can_be_used(void **state)
{
    world *w = wf_world(*state, snippet);
    admit_principal narrow = {.fixed = &w->conf->keys[0]};
    answers(w, "/v1/models", NULL, 200, "{\"object\":\"list\",\"data\":[" LLAMA "," BARE "]}");
    answers(w, "/v1/models", &narrow, 200, "{\"object\":\"list\",\"data\":[" BARE "]}");
    world_unref(w);
    w = wf_world(*state, "{\"providers\":{\"echo\":{}}}");
    answers(w, "/v1/models", NULL, 200, "{\"object\":\"list\",\"data\":[]}");
    world_unref(w);
}

#define NOT_FOUND(name)                                                                            \
    "{\"error\":{\"message\":\"Model '" name "' not found or not active.\",\"type\":"              \
    "\"not_found_error\",\"param\":null,\"code\":\"model_not_found\"}}"

static void one_model(void **state)
{
    world *w = wf_world(*state, snippet);
    admit_principal narrow = {.fixed = &w->conf->keys[0]};
    answers(w, "/v1/models/meta/llama", NULL, 200, LLAMA);
    answers(w, "/v1/models/meta%2Fllama", NULL, 200, LLAMA);
    answers(w, "/v1/models/meta%2fll%61ma", NULL, 200, LLAMA);
    answers(w, "/v1/models/l3", NULL, 200, LLAMA);
    answers(w, "/v1/models/bare", &narrow, 200, BARE);
    answers(w, "/v1/models/l3", &narrow, 404, NOT_FOUND("l3"));
    answers(w, "/v1/models/asleep", NULL, 404, NOT_FOUND("asleep"));
    answers(w, "/v1/models/no%22pe", NULL, 404, NOT_FOUND("no\\\"pe"));
    static const char *const unreadable[] = {"/v1/models/%", "/v1/models/a%4", "/v1/models/%zz",
                                             "/v1/models/%00", "/v1/models/%ff"};
    for (size_t i = 0; i < TP_COUNT(unreadable); i++)
        answers(w, unreadable[i], NULL, 404, NOT_FOUND("(the name in the path is not readable)"));
    char longer[1000] = "/v1/models/";
    memset(longer + 11, 'x', sizeof(longer) - 12);
    answers(w, longer, NULL, 404, NOT_FOUND("(the name in the path is not readable)"));
    world_unref(w);
}

static int sick(void *arg, char *why, size_t room)
{
    snprintf(why, room, "%s", "the disk is \"full\"");
    return *(int *)arg;
}

static void health_says_how_it_is(void **state)
{
    world *w = wf_world(*state, "{\"providers\":{\"echo\":{}}}");
    int answer = 0;
    manage_ports ports = {.arg = &answer, .started_unix_ms = 1000, .store_health = sick};
    manage_reply out = ask(&ports, w, "/healthz", NULL, 61999);
    assert_int_equal(out.status, 200);
    assert_str(buf_str(&out.body),
               "{\"status\":\"ok\",\"version\":\"" TURNPIKE_VERSION "\",\"world\":1,"
               "\"uptime_s\":60}");
    buf_free(&out.body);
    answer = -1;
    out = ask(&ports, w, "/healthz", NULL, 0); /* a clock set back is no negative uptime */
    assert_int_equal(out.status, 200);
    assert_str(buf_str(&out.body),
               "{\"status\":\"degraded\",\"version\":\"" TURNPIKE_VERSION "\",\"world\":1,"
               "\"uptime_s\":0,\"store\":\"the disk is \\\"full\\\"\"}");
    buf_free(&out.body);
    out = ask(NULL, w, "/healthz", NULL, w->created_unix_s * 1000 + 5000);
    assert_str(buf_str(&out.body),
               "{\"status\":\"ok\",\"version\":\"" TURNPIKE_VERSION "\",\"world\":1,"
               "\"uptime_s\":5}");
    buf_free(&out.body);
    world_unref(w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(thresholds_stand_beside_the_prices),
        cmocka_unit_test(the_list_shows_what_can_be_used),
        cmocka_unit_test(one_model),
        cmocka_unit_test(health_says_how_it_is),
    };
    return cmocka_run_group_tests(tests, wf_open, wf_close);
}
