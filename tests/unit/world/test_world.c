#include "world_fixture.h"

#define CHAT "\"endpoints\":{\"chat\":{\"path\":\"/chat/completions\"}}"
#define ECHO "\"providers\":{\"echo\":{}}"

static void routes_of_a_surface(void **state)
{
    world *w = wf_world(*state, "{" CHAT "," ECHO "}");
    tp_str rest;
    const world_route *r = world_route_find(w, STR("/v1/chat/completions"), &rest);
    assert_non_null(r);
    assert_int_equal(r->kind, WORLD_ENDPOINT);
    assert_int_equal(r->method, HTTP_POST);
    assert_false(r->is_public);
    assert_non_null(r->plugin->endpoint);
    assert_str(r->surface->base_path, "/v1");
    assert_int_equal(rest.len, 0);
    r = world_route_find(w, STR("/v1/models"), &rest);
    assert_int_equal(r->kind, WORLD_MODELS);
    assert_int_equal(r->method, HTTP_GET);
    assert_false(r->is_public);
    assert_int_equal(rest.len, 0);
    r = world_route_find(w, STR("/v1/models/meta/llama/models/x"), &rest);
    assert_int_equal(r->kind, WORLD_MODEL);
    assert_str(rest, "meta/llama/models/x");
    r = world_route_find(w, STR("/healthz"), &rest);
    assert_int_equal(r->kind, WORLD_HEALTH);
    assert_true(r->is_public);
    assert_null(r->surface);
    assert_null(world_route_find(w, STR("/v1/models/"), &rest));
    assert_null(world_route_find(w, STR("/v2/models/x"), &rest));
    assert_null(world_route_find(w, STR("/v1/chat/completions/"), &rest));
    assert_null(world_route_find(w, STR("/v1"), &rest));
    assert_null(world_route_find(w, STR(""), &rest));
    world_unref(w);
}

static void found(const world *w, const char *path, int kind, int method, const char *rest_want)
{
    tp_str rest = STR("untouched");
    const world_route *r = world_route_find(w, str_of(path), &rest);
    if (!r || r->kind != kind)
        fail_msg("%s: expected a route of kind %d, got %d", path, kind, r ? r->kind : 0);
    assert_int_equal(r->method, method);
    assert_int_equal(r->session, 1);
    assert_int_equal(r->is_public, 0);
    assert_str(rest, rest_want);
}

static void lost(const world *w, const char *path)
{
    tp_str rest = STR("untouched");
    if (world_route_find(w, str_of(path), &rest))
        fail_msg("%s has a route", path);
    assert_int_equal(rest.len, 0);
}

static void management_is_mounted_by_surface(void **state)
{
    world *w = wf_world(*state,
                        "{" CHAT "," ECHO ",\"surfaces\":{\"full\":{\"base_path\":\"/v1\"},"
                        "\"sign\":{\"base_path\":\"/api\",\"endpoints\":[],\"models\":false,"
                        "\"manage\":[\"auth\"]},\"bare\":{\"base_path\":\"/api/v1\",\"manage\":[]},"
                        "\"off\":{\"base_path\":\"/off\",\"enabled\":false}}}");
    found(w, "/v1/keys", WORLD_KEYS, 0, "");
    found(w, "/v1/keys/key_1", WORLD_KEYS, 0, "key_1");
    found(w, "/v1/keys/a/b", WORLD_KEYS, 0, "a/b");
    found(w, "/v1/key", WORLD_KEY_SELF, HTTP_GET, "");
    found(w, "/v1/credits", WORLD_CREDITS, HTTP_GET, "");
    found(w, "/v1/generation", WORLD_GENERATION, HTTP_GET, "");
    found(w, "/api/auth", WORLD_AUTH, 0, "");
    found(w, "/api/auth/key_1", WORLD_AUTH, 0, "key_1");
    tp_str rest;
    assert_str(world_route_find(w, STR("/v1/keys/x"), &rest)->surface->name, "full");
    assert_str(world_route_find(w, STR("/api/auth/x"), &rest)->surface->name, "sign");
    /* A surface inside of another one's path: the longer prefix is its own. */
    assert_str(world_route_find(w, STR("/api/v1/models/x"), &rest)->surface->name, "bare");
    lost(w, "/v1/keys/");
    lost(w, "/v1/key/x");
    lost(w, "/v1/credits/x");
    lost(w, "/v1/generation/");
    lost(w, "/v1/auth");
    lost(w, "/api/auth/");
    lost(w, "/api/keys");
    lost(w, "/api/models");
    lost(w, "/api/models/x");
    lost(w, "/api/chat/completions");
    lost(w, "/api/v1/keys");
    lost(w, "/api/v1/keys/x");
    lost(w, "/api/v1/credits");
    lost(w, "/off/keys");
    lost(w, "/off/models");
    world_unref(w);
}

static const char *answers(const world *w, const char *path, const char *key)
{
    tp_str rest;
    const world_route *r = world_route_find(w, str_of(path), &rest);
    const conf_surface *s = world_route_for(r, key ? str_of(key) : STR_NONE)->surface;
    assert_ptr_equal(world_surface_for(w, r->surface, key ? str_of(key) : STR_NONE), s);
    return s ? s->name.ptr : "";
}

static void guests_answer_their_own_keys(void **state)
{
    world *w = wf_world(
        *state, "{" CHAT "," ECHO ",\"surfaces\":{"
                "\"host\":{\"base_path\":\"/v1\",\"key_prefix\":\"h_\"},"
                "\"g\":{\"base_path\":\"/g\",\"guest_of\":\"host\",\"key_prefix\":\"g_\"},"
                "\"gl\":{\"base_path\":\"/gl\",\"guest_of\":\"host\",\"key_prefix\":\"g_live_\"},"
                "\"hl\":{\"base_path\":\"/hl\",\"guest_of\":\"host\",\"key_prefix\":\"h_\"},"
                "\"off\":{\"base_path\":\"/o\",\"guest_of\":\"host\",\"key_prefix\":\"o_\","
                "\"enabled\":false}}}");
    const char *const paths[] = {"/v1/chat/completions", "/v1/models", "/v1/models/a/b",
                                 "/v1/keys"};
    for (size_t i = 0; i < TP_COUNT(paths); i++) {
        const char *p = paths[i];
        assert_string_equal(answers(w, p, NULL), "host");
        assert_string_equal(answers(w, p, ""), "host");
        assert_string_equal(answers(w, p, "g"), "host");
        assert_string_equal(answers(w, p, "g_"), "g");
        assert_string_equal(answers(w, p, "g_x"), "g");
        assert_string_equal(answers(w, p, "g_live_x"), "gl"); /* the longer one */
        assert_string_equal(answers(w, p, "h_x"), "host");    /* whose own prefix it is, too */
        assert_string_equal(answers(w, p, "o_x"), "host");
    }
    assert_string_equal(answers(w, "/g/models", "g_live_x"), "g"); /* a guest is no host */
    assert_string_equal(answers(w, "/healthz", "g_x"), "");
    tp_str rest;
    const world_route *r = world_route_find(w, STR("/v1/chat/completions"), &rest);
    const world_route *guest = world_route_for(r, STR("g_x"));
    assert_ptr_equal(guest->plugin, r->plugin);
    assert_ptr_equal(guest->endpoint, r->endpoint);
    assert_int_equal(guest->method, r->method);
    world_unref(w);
}

static void admin_is_always_there(void **state)
{
    world *w = wf_world(*state, "{" ECHO ",\"surfaces\":{\"s\":{\"base_path\":\"/v1\"}}}");
    found(w, "/admin", WORLD_ADMIN, 0, "");
    found(w, "/admin/teams", WORLD_ADMIN, 0, "teams");
    found(w, "/admin/teams/acme/byok/", WORLD_ADMIN, 0, "teams/acme/byok/");
    found(w, "/admin//x", WORLD_ADMIN, 0, "/x");
    lost(w, "/admin/");
    lost(w, "/administrator");
    lost(w, "/v1/admin/x");
    tp_str rest;
    assert_null(world_route_find(w, STR("/admin/x"), &rest)->surface);
    world_unref(w);
}

/* A path of the longest length that a head may have, all slashes: looked for no further than a
 * prefix reaches. */
static void long_paths_are_no_work(void **state)
{
    static char path[65536];
    world *w = wf_world(*state, "{" ECHO "}");
    tp_str rest;
    memset(path, '/', sizeof(path));
    assert_int_equal(w->prefix_max, strlen("/v1/models/"));
    for (int i = 0; i < 20000; i++)
        assert_null(world_route_find(w, str_make(path, sizeof(path)), &rest));
    memcpy(path, "/v1/models/", 11);
    assert_int_equal(world_route_find(w, str_make(path, sizeof(path)), &rest)->kind, WORLD_MODEL);
    assert_int_equal(rest.len, sizeof(path) - 11);
    world_unref(w);
}

static void prices_have_versions(void **state)
{
    const char *text = "{" ECHO ",\"models\":{\"m\":{\"price\":{\"prompt\":\"1\",\"completion\":"
                       "\"2\"},\"deployments\":[{\"provider\":\"echo\",\"model\":\"a\"},"
                       "{\"provider\":\"echo\",\"model\":\"b\",\"price\":{\"completion\":\"2.0\","
                       "\"prompt\":\"1.0\"}},{\"provider\":\"echo\",\"model\":\"c\",\"price\":{"
                       "\"prompt\":\"1\"}}]},\"free\":{\"deployments\":[{\"provider\":\"echo\"}]}},"
                       "\"billing\":{\"baseline_model\":\"m\"}}";
    world *w = wf_world(*state, text), *again = wf_world(*state, text);
    const world_deployment *d = w->models[0].deployments;
    assert_int_equal(strlen(d[0].price_version), 18);
    assert_string_equal(d[0].price_version, d[1].price_version); /* the same figures */
    assert_string_not_equal(d[0].price_version, d[2].price_version);
    assert_string_equal(d[2].price_version, again->models[0].deployments[2].price_version);
    assert_string_equal(w->models[1].deployments[0].price_version, "");
    assert_ptr_equal(w->baseline, &d[0]);
    arena a;
    arena_init(&a, NULL, 1 << 16);
    const world_model *m;
    world_deployment *direct;
    assert_int_equal(world_model_find(w, STR("echo/unheard-of"), &a, &m, &direct), 0);
    assert_string_equal(direct->price_version, "");
    arena_reset(&a);
    world_unref(again);
    world_unref(w);
}

static void the_baseline_is_the_first_with_prices(void **state)
{
    static const char models[] =
        "{" ECHO ",\"models\":{\"m\":{\"aliases\":[\"n\"],\"enabled\":false,\"deployments\":["
        "{\"provider\":\"echo\",\"model\":\"a\"},{\"provider\":\"echo\",\"model\":\"b\","
        "\"price\":{\"prompt\":\"1\"}},{\"provider\":\"echo\",\"model\":\"c\",\"price\":{"
        "\"prompt\":\"2\"}}]},\"free\":{\"deployments\":[{\"provider\":\"echo\"}]}}%s}";
    char text[1024];
    snprintf(text, sizeof(text), models, ",\"billing\":{\"baseline_model\":\"n\"}");
    world *w = wf_world(*state, text);
    assert_non_null(w->baseline); /* a model that is not served will do */
    assert_str(w->baseline->conf->model, "b");
    world_unref(w);
    snprintf(text, sizeof(text), models, ",\"billing\":{\"baseline_model\":\"free\"}");
    w = wf_world(*state, text);
    assert_null(w->baseline);
    world_unref(w);
    snprintf(text, sizeof(text), models, "");
    w = wf_world(*state, text);
    assert_null(w->baseline);
    world_unref(w);
}

static void surfaces_mount_what_they_name(void **state)
{
    world *w =
        wf_world(*state, "{" ECHO ",\"endpoints\":{\"chat\":{\"path\":\"/chat/completions\"}},"
                         "\"surfaces\":{\"open\":{\"base_path\":\"/api/v1\","
                         "\"models_public\":true}}}");
    tp_str rest;
    const world_route *r = world_route_find(w, STR("/api/v1/models"), &rest);
    assert_non_null(r);
    assert_true(r->is_public);
    r = world_route_find(w, STR("/api/v1/models/a"), &rest);
    assert_true(r->is_public);
    r = world_route_find(w, STR("/api/v1/chat/completions"), &rest);
    assert_non_null(r);
    assert_false(r->is_public);
    world_unref(w);
}

static void models_and_their_names(void **state)
{
    world *w = wf_world(
        *state,
        "{\"providers\":{\"echo\":{},\"far\":{\"plugin\":\"openai\",\"options\":{\"base_url\":"
        "\"https://far.example/v1\"},\"api_key\":{\"env\":\"NOT_SET\"}}},"
        "\"models\":{\"llama\":{\"aliases\":[\"l3\"],\"context_length\":1000,"
        "\"max_output_tokens\":100,\"price\":{\"prompt\":\"0.000001\"},\"deployments\":["
        "{\"provider\":\"far\",\"model\":\"meta/llama\",\"context_length\":500},"
        "{\"provider\":\"echo\",\"model\":\"e\",\"price\":{\"prompt\":\"0.000002\"}},"
        "{\"provider\":\"echo\",\"model\":\"off\",\"enabled\":false}]},"
        "\"gone\":{\"enabled\":false,\"deployments\":[{\"provider\":\"echo\",\"model\":\"g\"}]}}}");
    arena a;
    const world_model *m;
    world_deployment *d;
    arena_init(&a, NULL, 1 << 16);
    assert_int_equal(world_model_find(w, STR("llama"), &a, &m, &d), 0);
    assert_null(d);
    assert_str(m->conf->id, "llama");
    assert_int_equal(m->count, 2);
    assert_int_equal(m->usable, 1);
    assert_int_equal(m->deployments[0].context_length, 500);
    assert_int_equal(m->deployments[0].max_output_tokens, 100);
    assert_int_equal(m->deployments[0].prices[0].nano_per_million, 1000000000);
    assert_false(m->deployments[0].provider->usable);
    assert_int_equal(m->deployments[1].context_length, 1000);
    assert_int_equal(m->deployments[1].prices[0].nano_per_million, 2000000000);
    assert_true(m->deployments[1].provider->usable);
    const world_model *same = m;
    assert_int_equal(world_model_find(w, STR("l3"), &a, &m, &d), 0);
    assert_ptr_equal(m, same);
    /* Addressed at the provider: what the catalog knows of it holds, also what a model switched
     * off. */
    assert_int_equal(world_model_find(w, STR("far/meta/llama"), &a, &m, &d), 0);
    assert_null(m);
    assert_ptr_equal(d, &same->deployments[0]);
    assert_int_equal(world_model_find(w, STR("echo/off"), &a, &m, &d), 0);
    assert_str(d->conf->model, "off");
    assert_int_equal(d->context_length, 1000);
    assert_int_equal(world_model_find(w, STR("echo/un/known"), &a, &m, &d), 0);
    assert_str(d->conf->model, "un/known");
    assert_str(d->conf->provider, "echo");
    assert_str(d->conf->options.text, "{}");
    assert_null(d->model);
    assert_int_equal(d->context_length, -1);
    assert_int_equal(d->price_count, 0);
    static const char *const nobody[] = {"gone", "LLAMA", "", "/x", "echo/", "nobody/x", "echo"};
    for (size_t i = 0; i < TP_COUNT(nobody); i++) {
        assert_int_equal(world_model_find(w, str_of(nobody[i]), &a, &m, &d), -1);
        assert_null(m);
        assert_null(d);
    }
    arena full;
    arena_init(&full, NULL, 0);
    assert_int_equal(world_model_find(w, STR("echo/unknown"), &full, &m, &d), -1);
    arena_reset(&full);
    arena_reset(&a);
    world_unref(w);
}

static void live_keys_are_stable_and_differ(void **state)
{
    const char *text =
        "{\"providers\":{\"a\":{\"plugin\":\"openai\",\"options\":{\"base_url\":"
        "\"http://127.0.0.1:1/v1\"}},\"b\":{\"plugin\":\"openai\",\"options\":{"
        "\"base_url\":\"http://127.0.0.1:1/v1\"}}},\"models\":{\"m\":{\"deployments\":["
        "{\"provider\":\"a\",\"model\":\"x\"},{\"provider\":\"a\",\"model\":\"y\"},"
        "{\"provider\":\"b\",\"model\":\"x\"}]}}}";
    world *w = wf_world(*state, text), *again = wf_world(*state, text);
    const world_deployment *d = w->models[0].deployments;
    for (int i = 0; i < 3; i++)
        assert_true(d[i].live_key == again->models[0].deployments[i].live_key);
    assert_true(d[0].live_key != d[1].live_key && d[0].live_key != d[2].live_key &&
                d[1].live_key != d[2].live_key);
    /* Same host, port and TLS: connections are shared. */
    assert_true(w->providers[0].origin.pool == w->providers[1].origin.pool);
    assert_true(w->providers[0].origin.pool == again->providers[0].origin.pool);
    assert_true(w->key_hash[0] != again->key_hash[0]);
    world_unref(again);
    world_unref(w);
}

static void the_default_strategy_needs_no_snippet(void **state)
{
    world *w =
        wf_world(*state, "{" ECHO ",\"models\":{\"m\":{\"deployments\":[{\"provider\":\"echo\","
                         "\"model\":\"x\"}]}}}");
    assert_non_null(w->strategy);
    assert_non_null(w->strategy->strategy);
    assert_ptr_equal(w->models[0].strategy, w->strategy);
    world_unref(w);
    w = wf_world(*state, "{" ECHO ",\"strategies\":{\"ordered\":{\"enabled\":false}}}");
    assert_null(w->strategy);
    world_unref(w);
    w = wf_world(*state, "{" ECHO ",\"strategies\":{\"dice\":{\"plugin\":\"ordered\",\"options\":{"
                         "\"mode\":\"weighted\"}}},\"routing\":{\"strategy\":\"dice\"}}");
    assert_str(w->strategy->name, "dice");
    world_unref(w);
}

static void what_is_disabled_is_not_there(void **state)
{
    world *w =
        wf_world(*state, "{\"providers\":{\"echo\":{\"enabled\":false}},\"endpoints\":{\"chat\":{"
                         "\"path\":\"/chat/completions\",\"enabled\":false}},\"models\":{\"m\":{"
                         "\"deployments\":[{\"provider\":\"echo\",\"model\":\"x\"}]}}}");
    tp_str rest;
    assert_int_equal(w->instance_count, 1); /* the default strategy */
    assert_null(world_route_find(w, STR("/v1/chat/completions"), &rest));
    assert_int_equal(w->models[0].count, 1);
    assert_int_equal(w->models[0].usable, 0);
    world_unref(w);
}

static void refuses(void **state, const char *text, const char *place, const char *part)
{
    tp_error err;
    world *w = wf_try(*state, text, &err);
    if (w)
        fail_msg("accepted: %s", text);
    assert_has(err.text, part);
    if (strncmp(err.text, place, strlen(place)) != 0)
        fail_msg("\"%s\" does not begin with %s", err.text, place);
}

static void errors_name_the_place(void **state)
{
    refuses(state,
            "{\"providers\":{\n \"bad\":{\"plugin\":\"openai\",\"options\":{\"base_url\":"
            "\"https://host:99999/\"}}}}",
            "/c/test.json:2:", "port");
    refuses(state, "{\"providers\":{\n \"echo\":{\"options\":{\n  \"nonsense\":1}}}}",
            "/c/test.json:3:", "nonsense");
    refuses(state, "{\"providers\":{\n \"odd\":{\"plugin\":\"chat\"}}}",
            "/c/test.json:2:", "is no provider");
    refuses(state, "{\"strategies\":{\n \"odd\":{\"plugin\":\"echo\"}}}",
            "/c/test.json:2:", "is no strategy");
    refuses(state,
            "{" ECHO ",\"admission\":{\"static_keys\":[\n{\"name\":\"one\",\"key\":"
            "\"the-same-secret-0123\"},\n{\"name\":\"two\",\"key\":\"the-same-secret-0123\"}]}}",
            "/c/test.json:3:", "'one'");
    refuses(state,
            "{" ECHO ",\"models\":{\n\"a\":{\"aliases\":[\"b\"],\"deployments\":[{\"provider\":"
            "\"echo\",\"model\":\"x\"}]},\n\"b\":{\"deployments\":[{\"provider\":\"echo\","
            "\"model\":\"y\"}]}}}",
            "/c/test.json:", "'b'");
    refuses(state,
            "{" ECHO "," CHAT ",\"surfaces\":{\"one\":{\"base_path\":\"/v1\"},\n"
            "\"twin\":{\"base_path\":\"/v1\"}}}",
            "/c/test.json:2:", "/v1");
    refuses(state,
            "{" ECHO ",\"endpoints\":{\"chat\":{\"path\":\"/chat/completions\"},\n"
            "\"again\":{\"plugin\":\"chat\",\"path\":\"/chat/completions\"}}}",
            "/c/test.json:2:", "/chat/completions");
    refuses(state, "{" ECHO ",\"endpoints\":{\n\"chat\":{\"path\":\"/credits\"}}}",
            "/c/test.json:2:", "the path '/v1/credits' of surface 'turnpike' is already served");
}

static void the_last_reference_frees(void **state)
{
    world *w = wf_world(*state, "{" ECHO "}");
    world_ref(w);
    assert_int_equal(w->refs, 2);
    world_unref(w);
    assert_int_equal(w->refs, 1);
    assert_int_equal(w->serial, 1);
    world_unref(w);
    world_unref(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(routes_of_a_surface),
        cmocka_unit_test(management_is_mounted_by_surface),
        cmocka_unit_test(guests_answer_their_own_keys),
        cmocka_unit_test(admin_is_always_there),
        cmocka_unit_test(long_paths_are_no_work),
        cmocka_unit_test(prices_have_versions),
        cmocka_unit_test(the_baseline_is_the_first_with_prices),
        cmocka_unit_test(surfaces_mount_what_they_name),
        cmocka_unit_test(models_and_their_names),
        cmocka_unit_test(live_keys_are_stable_and_differ),
        cmocka_unit_test(the_default_strategy_needs_no_snippet),
        cmocka_unit_test(what_is_disabled_is_not_there),
        cmocka_unit_test(errors_name_the_place),
        cmocka_unit_test(the_last_reference_frees),
    };
    return cmocka_run_group_tests(tests, wf_open, wf_close);
}
