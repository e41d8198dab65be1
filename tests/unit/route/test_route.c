#include "../world/world_fixture.h"

#include "route/route.h"

#define PROVIDERS                                                                                  \
    "\"providers\":{\"echo\":{\"trust_level\":2},\"groq\":{\"plugin\":\"openai\",\"options\":{"    \
    "\"base_url\":\"https://groq.example/v1\"},\"api_key\":{\"env\":\"GROQ_API_KEY\"}},"           \
    "\"off\":{\"plugin\":\"echo\",\"enabled\":false}}"

static const char *const snippet =
    "{" PROVIDERS ",\"models\":{"
    "\"two\":{\"context_length\":8000,\"quality\":70,\"capabilities\":[\"tools\",\"streaming\"],"
    "\"deployments\":[{\"provider\":\"groq\",\"model\":\"g\"},"
    "{\"provider\":\"echo\",\"model\":\"e1\",\"speed\":\"fast\",\"tokens_per_second\":90,"
    "\"weight\":5,\"price\":{\"prompt\":\"0.000001\",\"completion\":\"0.000002\"}},"
    "{\"provider\":\"echo\",\"model\":\"e2\",\"quality\":10,\"capabilities\":[\"tools\",\"vision\"]"
    "}]},"
    "\"plain\":{\"deployments\":[{\"provider\":\"echo\",\"model\":\"p\"}]},"
    "\"asleep\":{\"deployments\":[{\"provider\":\"groq\",\"model\":\"a\"},{\"provider\":\"groq\","
    "\"model\":\"b\"},{\"provider\":\"off\",\"model\":\"c\"}]},"
    "\"none\":{\"deployments\":[{\"provider\":\"echo\",\"model\":\"n\",\"enabled\":false}]}}}";

typedef struct rf {
    world *w;
    route_table *live;
    arena mem;
    route_plan plan;
    profile_error e;
} rf;

static void rf_begin(rf *r, void **state)
{
    *r = (rf){.w = wf_world(*state, snippet), .live = route_table_new(16)};
    arena_init(&r->mem, NULL, 1 << 20);
}

static void rf_end(rf *r)
{
    arena_reset(&r->mem);
    route_table_free(r->live);
    world_unref(r->w);
}

static int plan(rf *r, const char *model, uint64_t needs, uint32_t flags, const conf_surface *s)
{
    tp_operation op = {.model = str_of(model), .needs = needs, .flags = flags};
    return route_candidates(r->w, s, NULL, &op, r->live, &r->mem, &r->plan, &r->e);
}

static void candidates_are_filled(void **state)
{
    rf r;
    rf_begin(&r, state);
    assert_int_equal(plan(&r, "two", 0, 0, NULL), 0);
    assert_int_equal(r.plan.candidate_count, 2); /* groq is dormant */
    assert_str(r.plan.model->conf->id, "two");
    assert_ptr_equal(r.plan.strategy, r.w->strategy);
    const tp_candidate *c = &r.plan.candidates[0];
    assert_int_equal(c->size, sizeof(*c));
    assert_str(c->provider, "echo");
    assert_str(c->model, "two");
    assert_str(c->deployment, "echo/e1");
    assert_int_equal(c->context_length, 8000);
    assert_int_equal(c->capabilities, TP_NEED_TOOLS);
    assert_int_equal(c->price_prompt, 1000000000);
    assert_int_equal(c->price_completion, 2000000000);
    assert_int_equal(c->cost, -1);
    assert_int_equal(c->quality, 70);
    assert_int_equal(c->speed, 3);
    assert_int_equal(c->trust_level, 2);
    assert_int_equal(c->weight, 5);
    assert_int_equal(c->tokens_per_second, 90);
    assert_int_equal(c->first_token_ms, -1);
    assert_int_equal(c->error_permille, -1);
    assert_int_equal(c->in_flight, 0);
    assert_int_equal(r.plan.candidates[1].quality, 10);
    assert_int_equal(r.plan.candidates[1].price_prompt, -1);
    assert_str(r.plan.of[1]->conf->model, "e2");

    route_live *l = route_live_of(r.live, r.plan.of[0]->live_key);
    route_live_started(l);
    route_live_started(l);
    route_live_ended(l, 1, 1499);
    assert_int_equal(plan(&r, "two", 0, 0, NULL), 0);
    c = &r.plan.candidates[0];
    assert_int_equal(c->in_flight, 1);
    assert_int_equal(c->first_token_ms, 1);
    assert_int_equal(c->error_permille, 62);
    rf_end(&r);
}

static void direct_names_have_one_candidate(void **state)
{
    rf r;
    rf_begin(&r, state);
    assert_int_equal(plan(&r, "echo/whatever/x", TP_NEED_VISION, TP_STREAM, NULL), 0);
    assert_int_equal(r.plan.candidate_count, 1);
    assert_null(r.plan.model);
    assert_null(r.plan.strategy);
    assert_str(r.plan.candidates[0].model, "whatever/x");
    assert_str(r.plan.candidates[0].deployment, "echo/whatever/x");
    assert_int_equal(plan(&r, "echo/e1", 0, 0, NULL), 0);
    assert_int_equal(r.plan.candidates[0].price_prompt, 1000000000);
    assert_int_equal(plan(&r, "groq/x", 0, 0, NULL), -1);
    assert_int_equal(r.e.status, 404);
    assert_str(r.e.message, "Model 'groq/x' has no active providers: groq is dormant (environment "
                            "variable GROQ_API_KEY is not set).");
    rf_end(&r);
}

static void needs_are_asked_of_those_who_say(void **state)
{
    rf r;
    rf_begin(&r, state);
    assert_int_equal(plan(&r, "two", TP_NEED_VISION, 0, NULL), 0);
    assert_int_equal(r.plan.candidate_count, 1);
    assert_str(r.plan.candidates[0].deployment, "echo/e2");
    assert_int_equal(plan(&r, "two", TP_NEED_TOOLS, TP_STREAM, NULL), 0); /* e2 does not stream */
    assert_int_equal(r.plan.candidate_count, 1);
    assert_str(r.plan.candidates[0].deployment, "echo/e1");
    assert_int_equal(plan(&r, "two", TP_NEED_VISION | TP_NEED_AUDIO, 0, NULL), -1);
    assert_int_equal(r.e.status, 400);
    assert_str(r.e.code, "capability_not_supported");
    assert_str(r.e.message,
               "Model 'two' has no active provider that offers what this request needs: "
               "audio. Choose another model or leave that out.");
    assert_int_equal(plan(&r, "plain", TP_NEED_VISION | TP_NEED_AUDIO, TP_STREAM, NULL), 0);
    rf_end(&r);
}

static void errors_say_why(void **state)
{
    rf r;
    conf_surface kilo = {.unknown_model_status = 400};
    rf_begin(&r, state);
    assert_int_equal(plan(&r, "nonexistent", 0, 0, NULL), -1);
    assert_int_equal(r.e.status, 404);
    assert_str(r.e.message, "Model 'nonexistent' not found or not active.");
    assert_str(r.e.code, "model_not_found");
    assert_int_equal(plan(&r, "nonexistent", 0, 0, &kilo), -1);
    assert_int_equal(r.e.status, 400);
    assert_int_equal(plan(&r, "asleep", 0, 0, NULL), -1);
    assert_int_equal(r.e.status, 404);
    assert_str(r.e.message, "Model 'asleep' has no active providers: groq is dormant (environment "
                            "variable GROQ_API_KEY is not set), off is disabled.");
    assert_int_equal(plan(&r, "none", 0, 0, NULL), -1);
    assert_str(r.e.message,
               "Model 'none' has no active providers: no deployment of it is enabled.");
    char name[2000];
    memset(name, 'x', sizeof(name) - 1);
    name[sizeof(name) - 1] = 0;
    assert_int_equal(plan(&r, name, 0, 0, NULL), -1);
    assert_int_equal(r.e.message.len, 256 + strlen("Model '' not found or not active."));
    arena_reset(&r.mem);
    r.mem.max = 0;
    assert_int_equal(plan(&r, "nonexistent", 0, 0, NULL), -1);
    assert_int_equal(r.e.status, 503);
    assert_int_equal(plan(&r, "two", 0, 0, NULL), -1);
    assert_int_equal(r.e.status, 503);
    rf_end(&r);
}

static void many_deployments_are_bounded(void **state)
{
    char text[16384];
    size_t n = (size_t)snprintf(text, sizeof(text),
                                "{\"providers\":{\"echo\":{}},\"models\":{\"m\":{"
                                "\"deployments\":[");
    for (int i = 0; i < ROUTE_MAX_CANDIDATES + 10; i++)
        n += (size_t)snprintf(text + n, sizeof(text) - n,
                              "%s{\"provider\":\"echo\",\"model\":\"x%d\"}", i ? "," : "", i);
    snprintf(text + n, sizeof(text) - n, "]}}}");
    rf r = {.w = wf_world(*state, text), .live = route_table_new(16)};
    arena_init(&r.mem, NULL, 1 << 20);
    assert_int_equal(plan(&r, "m", 0, 0, NULL), 0);
    assert_int_equal(r.plan.candidate_count, ROUTE_MAX_CANDIDATES);
    assert_str(r.plan.candidates[ROUTE_MAX_CANDIDATES - 1].deployment, "echo/x63");
    rf_end(&r);
}

static void the_answer_becomes_the_order(void **state)
{
    rf r;
    tp_rank order[] = {{.candidate = 1}, {.candidate = 0}};
    plug_invocation iv = {.order = order, .order_count = 2};
    rf_begin(&r, state);
    assert_int_equal(plan(&r, "two", 0, 0, NULL), 0);
    assert_int_equal(route_ranked(&r.plan, &iv, 3, &r.mem, &r.e), 0);
    assert_int_equal(r.plan.order_count, 2);
    assert_ptr_equal(r.plan.order[0], r.plan.of[1]);
    assert_ptr_equal(r.plan.order[1], r.plan.of[0]);
    assert_int_equal(route_ranked(&r.plan, &iv, 1, &r.mem, &r.e), 0);
    assert_int_equal(r.plan.order_count, 1);
    assert_int_equal(route_ranked(&r.plan, NULL, 3, &r.mem, &r.e), 0);
    assert_ptr_equal(r.plan.order[0], r.plan.of[0]);
    iv.order_count = 0;
    assert_int_equal(route_ranked(&r.plan, &iv, 3, &r.mem, &r.e), -1);
    assert_int_equal(r.e.status, 500);
    assert_str(r.e.message, "Routing service unavailable");
    assert_int_equal(r.plan.order_count, 0);
    iv.order_count = 2;
    iv.status = TP_E_INTERNAL;
    assert_int_equal(route_ranked(&r.plan, &iv, 3, &r.mem, &r.e), -1);
    assert_int_equal(r.e.status, 500);
    rf_end(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(candidates_are_filled),
        cmocka_unit_test(direct_names_have_one_candidate),
        cmocka_unit_test(needs_are_asked_of_those_who_say),
        cmocka_unit_test(errors_say_why),
        cmocka_unit_test(many_deployments_are_bounded),
        cmocka_unit_test(the_answer_becomes_the_order),
    };
    return cmocka_run_group_tests(tests, wf_open, wf_close);
}
