/* A team's policy: what it leaves, under whatever name a model is asked for, and what it says. */
#include "../world/world_fixture.h"

#include "route/route.h"

static const char *const snippet =
    "{\"providers\":{\"far\":{\"plugin\":\"echo\",\"trust_level\":1},"
    "\"near\":{\"plugin\":\"echo\",\"trust_level\":3,\"local\":true},"
    "\"gone\":{\"plugin\":\"echo\",\"enabled\":false}},\"models\":{"
    "\"llama\":{\"aliases\":[\"big\"],\"capabilities\":[\"tools\",\"streaming\"],\"deployments\":["
    "{\"provider\":\"far\",\"model\":\"l/1\"},{\"provider\":\"near\",\"model\":\"l2\","
    "\"capabilities\":[\"streaming\",\"vision\"]}]},"
    "\"gpt\":{\"deployments\":[{\"provider\":\"far\",\"model\":\"g\"}]},"
    "\"asleep\":{\"deployments\":[{\"provider\":\"gone\",\"model\":\"a\"}]}}}";

typedef struct pf {
    world *w;
    arena mem;
    route_plan plan;
    profile_error e;
} pf;

static void pf_begin(pf *p, void **state)
{
    *p = (pf){.w = wf_world(*state, snippet)};
    arena_init(&p->mem, NULL, 1 << 20);
}

static void pf_end(pf *p)
{
    arena_reset(&p->mem);
    world_unref(p->w);
}

static int plan(pf *p, const char *model, uint64_t needs, const conf_surface *s,
                const conf_policy *policy)
{
    tp_operation op = {.model = str_of(model), .needs = needs};
    p->e = (profile_error){0};
    const route_customer by = {policy, NULL, NULL};
    return route_candidates(p->w, s, &by, &op, NULL, &p->mem, &p->plan, &p->e);
}

/* The deployments that are left, in order: "far/l/1 near/l2"; "-" and the error's code for none. */
static void leaves(pf *p, const char *model, const conf_policy *policy, const char *want)
{
    char got[256] = "";
    size_t n = 0;
    if (plan(p, model, 0, NULL, policy) < 0)
        n += (size_t)snprintf(got, sizeof(got), "-%.*s", STR_ARG(p->e.code));
    else
        for (uint32_t i = 0; i < p->plan.candidate_count; i++)
            n += (size_t)snprintf(got + n, sizeof(got) - n, "%s%.*s", n ? " " : "",
                                  STR_ARG(p->plan.candidates[i].deployment));
    if (strcmp(got, want) != 0)
        fail_msg("%s: got \"%s\", expected \"%s\"", model, got, want);
}

#define LIST(field, counter, ...)                                                                  \
    .field = (tp_str[]){__VA_ARGS__}, .counter = sizeof((tp_str[]){__VA_ARGS__}) / sizeof(tp_str)
#define ALLOW(...) LIST(allow_models, allow_model_count, __VA_ARGS__)
#define DENY(...) LIST(deny_models, deny_model_count, __VA_ARGS__)
#define ALLOW_AT(...) LIST(allow_providers, allow_provider_count, __VA_ARGS__)
#define DENY_AT(...) LIST(deny_providers, deny_provider_count, __VA_ARGS__)

static void nothing_written_allows_everything(void **state)
{
    pf p;
    conf_policy empty = {0};
    pf_begin(&p, state);
    leaves(&p, "llama", NULL, "far/l/1 near/l2");
    leaves(&p, "llama", &empty, "far/l/1 near/l2");
    leaves(&p, "far/anything", &empty, "far/anything");
    pf_end(&p);
}

static void models_are_denied_under_each_of_their_names(void **state)
{
    static const char *const names[] = {"llama", "big", "l*", "bi*", "*"};
    pf p;
    pf_begin(&p, state);
    for (size_t i = 0; i < TP_COUNT(names); i++) {
        conf_policy deny = {DENY(STR("nothing"), str_of(names[i]))};
        leaves(&p, "llama", &deny, "-policy_denied");
        leaves(&p, "big", &deny, "-policy_denied");
        leaves(&p, "far/l/1", &deny, "-policy_denied"); /* the same deployment by its path */
        leaves(&p, "near/l2", &deny, "-policy_denied");
        if (strcmp(names[i], "*") != 0)
            leaves(&p, "gpt", &deny, "far/g");
    }
    conf_policy path = {DENY(STR("far/l/1"))}, below = {DENY(STR("far/l*"))},
                provider = {DENY(STR("far/*"))}, part = {DENY(STR("fa*"))},
                other = {DENY(STR("far/l"), STR("far"), STR("far/l/11"), STR("r/l/1"), STR(""))};
    leaves(&p, "llama", &path, "near/l2");
    leaves(&p, "llama", &below, "near/l2");
    leaves(&p, "llama", &provider, "near/l2");
    leaves(&p, "llama", &part, "near/l2");
    leaves(&p, "far/l/1", &path, "-policy_denied");
    leaves(&p, "far/l/2", &path, "far/l/2");
    leaves(&p, "far/l/2", &below, "-policy_denied");
    leaves(&p, "llama", &other, "far/l/1 near/l2");
    pf_end(&p);
}

static void allowing_is_by_name_too_and_denying_wins(void **state)
{
    pf p;
    pf_begin(&p, state);
    conf_policy alias = {ALLOW(STR("big"))}, path = {ALLOW(STR("near/l2"))},
                at = {ALLOW(STR("near/*"))},
                both = {ALLOW(STR("llama"), STR("gpt")), DENY(STR("near/l2"), STR("g*"))};
    leaves(&p, "big", &alias, "far/l/1 near/l2");
    leaves(&p, "llama", &alias, "far/l/1 near/l2");
    leaves(&p, "gpt", &alias, "-policy_denied");
    leaves(&p, "far/l/1", &alias, "far/l/1"); /* it is that model */
    leaves(&p, "far/else", &alias, "-policy_denied");
    leaves(&p, "llama", &path, "near/l2");
    leaves(&p, "near/l3", &path, "-policy_denied");
    leaves(&p, "near/l3", &at, "near/l3");
    leaves(&p, "llama", &both, "far/l/1");
    leaves(&p, "gpt", &both, "-policy_denied");
    pf_end(&p);
}

static void providers_are_filtered(void **state)
{
    pf p;
    pf_begin(&p, state);
    conf_policy allow = {ALLOW_AT(STR("ne*"))}, deny = {DENY_AT(STR("near"))},
                both = {ALLOW_AT(STR("*")), DENY_AT(STR("f*"))}, two = {.min_trust = 2},
                one = {.min_trust = 1}, local = {.data_local = 1};
    leaves(&p, "llama", &allow, "near/l2");
    leaves(&p, "llama", &deny, "far/l/1");
    leaves(&p, "llama", &both, "near/l2");
    leaves(&p, "gpt", &allow, "-policy_denied");
    leaves(&p, "far/x", &both, "-policy_denied");
    leaves(&p, "llama", &two, "near/l2");
    leaves(&p, "llama", &one, "far/l/1 near/l2");
    leaves(&p, "gpt", &two, "-policy_denied");
    leaves(&p, "llama", &local, "near/l2");
    leaves(&p, "far/x", &local, "-policy_denied");
    pf_end(&p);
}

static void refusal(pf *p, const conf_policy *policy, const char *why)
{
    char want[400];
    assert_int_equal(plan(p, "gpt", 0, NULL, policy), -1);
    assert_int_equal(p->e.status, 403);
    assert_str(p->e.code, "policy_denied");
    assert_str(p->e.type.len ? p->e.type : profile_error_type(p->e.status), "permission_error");
    snprintf(want, sizeof(want),
             "Model 'gpt' is not allowed by your team's policy: %s. Choose another model, or ask "
             "who manages the team.",
             why);
    assert_str(p->e.message, want);
}

static void refusals_say_why(void **state)
{
    pf p;
    pf_begin(&p, state);
    refusal(&p, &(conf_policy){DENY(STR("x"), STR("far/*"))}, "deny_models has 'far/*'");
    refusal(&p, &(conf_policy){ALLOW(STR("x"))}, "it is not in allow_models");
    refusal(&p, &(conf_policy){DENY_AT(STR("far"))}, "deny_providers has its provider far");
    refusal(&p, &(conf_policy){ALLOW_AT(STR("near"))},
            "its provider far is not in allow_providers");
    refusal(&p, &(conf_policy){.min_trust = 3},
            "its provider far has trust level 1, and min_trust is 3");
    refusal(&p, &(conf_policy){.data_local = 1},
            "its provider far is not local, and data_local asks for that");
    conf_surface kilo = {.words = CONF_WORDS_KILO}, airouter = {.words = CONF_WORDS_AIROUTER};
    conf_policy none = {DENY(STR("*"))};
    assert_int_equal(plan(&p, "gpt", 0, &kilo, &none), -1);
    assert_int_equal(p.e.status, 403);
    assert_str(p.e.message, "Forbidden -- model not allowed by organization policy");
    assert_int_equal(plan(&p, "gpt", 0, &airouter, &none), -1);
    assert_has(p.e.message.ptr, "deny_models has '*'");
    arena_reset(&p.mem);
    for (size_t max = 0; max < 1024; max += 16) {
        arena_reset(&p.mem);
        p.mem.max = max;
        assert_int_equal(plan(&p, "gpt", 0, NULL, &none), -1);
        assert_true(p.e.status == 503 || p.e.status == 403);
        assert_true(p.e.message.ptr != NULL);
    }
    assert_int_equal(p.e.status, 403);
    pf_end(&p);
}

static void other_errors_come_first(void **state)
{
    pf p;
    conf_policy all = {DENY(STR("*"))}, far = {DENY_AT(STR("far"))};
    pf_begin(&p, state);
    leaves(&p, "unheard-of", &all, "-model_not_found");
    assert_int_equal(p.e.status, 404);
    leaves(&p, "asleep", &all, "-model_not_found");
    assert_int_equal(p.e.status, 404);
    assert_has(p.e.message.ptr, "gone is disabled");
    leaves(&p, "gone/x", &all, "-model_not_found");
    /* What the policy leaves lacks what is needed: that is the client's to change. */
    assert_int_equal(plan(&p, "llama", TP_NEED_TOOLS, NULL, &far), -1);
    assert_int_equal(p.e.status, 400);
    assert_str(p.e.code, "capability_not_supported");
    assert_int_equal(plan(&p, "llama", TP_NEED_VISION, NULL, &far), 0);
    pf_end(&p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing_written_allows_everything),
        cmocka_unit_test(models_are_denied_under_each_of_their_names),
        cmocka_unit_test(allowing_is_by_name_too_and_denying_wins),
        cmocka_unit_test(providers_are_filtered),
        cmocka_unit_test(refusals_say_why),
        cmocka_unit_test(other_errors_come_first),
    };
    return cmocka_run_group_tests(tests, wf_open, wf_close);
}
