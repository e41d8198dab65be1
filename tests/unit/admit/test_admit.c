#include "../world/world_fixture.h"

#include "admit/admit.h"

#define SECRET "sk-first-0123456789abcdef"
static const char *const snippet =
    "{\"providers\":{\"echo\":{}},\"models\":{\"a\":{\"aliases\":[\"a2\"],\"deployments\":[{"
    "\"provider\":\"echo\",\"model\":\"x\"}]},\"b\":{\"deployments\":[{\"provider\":\"echo\","
    "\"model\":\"y\"}]}},"
    "\"admission\":{\"static_keys\":[{\"name\":\"first\",\"key\":\"" SECRET "\"},"
    "{\"name\":\"narrow\",\"key\":\"sk-second-0123456789abcde\",\"models\":[\"a\"]},"
    "{\"name\":\"off\",\"key\":\"sk-third-0123456789abcdef\",\"enabled\":false}]}}";

typedef struct af {
    world *w;
    const world_route *r;
    world_route open;
    admit_principal who;
    profile_error e;
} af;

static void af_begin(af *f, void **state)
{
    tp_str rest;
    *f = (af){.w = wf_world(*state, snippet)};
    f->r = world_route_find(f->w, STR("/v1/models"), &rest);
    f->open = *f->r;
    f->open.is_public = 1;
}

/* value NULL: no header; times: how often it is sent. */
static int check(af *f, const world_route *r, const char *value, uint32_t times)
{
    tp_header headers[3];
    http_head h = {.headers = headers, .header_count = times};
    for (uint32_t i = 0; i < times; i++)
        headers[i] = (tp_header){STR("authorization"), str_of(value)};
    if (value)
        h.known[HTTP_H_AUTHORIZATION] = str_of(value);
    f->e = (profile_error){0};
    return admit_check(NULL, f->w, r, &h, STR_NONE, (tp_now){0}, &f->who, &f->e);
}

static void keys_that_pass(void **state)
{
    static const char *const ways[] = {"Bearer " SECRET, "bearer " SECRET, "BEARER   " SECRET " "};
    af f;
    af_begin(&f, state);
    for (size_t i = 0; i < TP_COUNT(ways); i++) {
        assert_int_equal(check(&f, f.r, ways[i], 1), 0);
        assert_str(admit_name(&f.who), "first");
    }
    assert_int_equal(check(&f, f.r, "Bearer sk-second-0123456789abcde", 1), 0);
    assert_str(admit_name(&f.who), "narrow");
    world_unref(f.w);
}

static void keys_that_do_not(void **state)
{
    static const char *const malformed[] = {
        "",     "Bearer",        "Bearer ",    "Basic dXNlcjpw",
        SECRET, "Bearer" SECRET, "Bearer a b", "Bearer\t" SECRET};
    static const char *const wrong[] = {
        "Bearer sk-first-0123456789abcdeF", "Bearer sk-first-0123456789abcde",
        "Bearer sk-first-0123456789abcdef0", "Bearer sk-third-0123456789abcdef", "Bearer x"};
    af f;
    af_begin(&f, state);
    assert_int_equal(check(&f, f.r, NULL, 0), -1);
    assert_int_equal(f.e.status, 401);
    assert_str(f.e.type, "authentication_error");
    assert_str(f.e.code, "invalid_api_key");
    assert_str(f.e.message, "Missing API key. Send it as 'Authorization: Bearer <key>'.");
    for (size_t i = 0; i < TP_COUNT(malformed); i++) {
        assert_int_equal(check(&f, f.r, malformed[i], 1), -1);
        assert_str(f.e.message, "Malformed Authorization header. Send it once, as 'Authorization: "
                                "Bearer <key>'.");
        assert_null(f.who.fixed);
    }
    for (size_t i = 0; i < TP_COUNT(wrong); i++) {
        assert_int_equal(check(&f, f.r, wrong[i], 1), -1);
        assert_int_equal(f.e.status, 401);
        assert_str(f.e.message, "Invalid API key.");
        assert_null(f.who.fixed);
    }
    assert_int_equal(check(&f, f.r, "Bearer " SECRET, 2), -1); /* which of the two? */
    char huge[700] = "Bearer ";
    memset(huge + 7, 'k', sizeof(huge) - 8);
    assert_int_equal(check(&f, f.r, huge, 1), -1);
    assert_str(f.e.message, "Invalid API key.");
    world_unref(f.w);
}

static void public_routes_take_anybody(void **state)
{
    af f;
    af_begin(&f, state);
    assert_int_equal(check(&f, &f.open, NULL, 0), 0);
    assert_null(f.who.fixed);
    assert_int_equal(check(&f, &f.open, "Bearer garbage-0123456789", 1), 0);
    assert_null(f.who.fixed);
    assert_int_equal(check(&f, &f.open, "nonsense", 1), 0);
    assert_int_equal(check(&f, &f.open, "Bearer " SECRET, 1), 0);
    assert_str(admit_name(&f.who), "first");
    world_unref(f.w);
}

static void other_surfaces_have_their_documents_words(void **state)
{
    af f;
    conf_surface kilo = {.words = CONF_WORDS_KILO}, air = {.words = CONF_WORDS_AIROUTER};
    af_begin(&f, state);
    world_route r = *f.r;
    r.surface = &kilo;
    assert_int_equal(check(&f, &r, NULL, 0), -1);
    assert_true(profile_words(&kilo, PROFILE_NO_KEY).len > 0);
    assert_true(str_eq(f.e.message, profile_words(&kilo, PROFILE_NO_KEY)));
    r.surface = &air;
    assert_int_equal(check(&f, &r, "Bearer wrong-0123456789ab", 1), -1);
    assert_true(profile_words(&air, PROFILE_NO_KEY).len > 0);
    assert_true(str_eq(f.e.message, profile_words(&air, PROFILE_NO_KEY)));
    world_unref(f.w);
}

static void without_keys_nobody_passes(void **state)
{
    af f = {.w = wf_world(*state, "{\"providers\":{\"echo\":{}}}")};
    tp_str rest;
    f.r = world_route_find(f.w, STR("/v1/models"), &rest);
    assert_int_equal(check(&f, f.r, "Bearer " SECRET, 1), -1);
    world_unref(f.w);
}

static void allow_lists(void **state)
{
    af f;
    arena a;
    af_begin(&f, state);
    arena_init(&a, NULL, 4096);
    assert_int_equal(check(&f, f.r, "Bearer sk-second-0123456789abcde", 1), 0);
    assert_int_equal(admit_model(&f.who, STR("a"), &a, &f.e), 0);
    assert_int_equal(admit_model(&f.who, STR("b"), &a, &f.e), -1);
    assert_int_equal(f.e.status, 403);
    assert_str(f.e.type, "permission_error");
    assert_str(f.e.param, "model");
    assert_str(f.e.message, "Key 'narrow' may not use model 'b'.");
    assert_int_equal(admit_model(&f.who, STR("A"), &a, &f.e), -1);
    arena_reset(&a);
    a.max = 0;
    assert_int_equal(admit_model(&f.who, STR("b"), &a, &f.e), -1);
    assert_int_equal(f.e.status, 403); /* never let through for want of memory */
    assert_int_equal(check(&f, f.r, "Bearer " SECRET, 1), 0);
    assert_int_equal(admit_model(&f.who, STR("b"), &a, &f.e), 0);
    admit_principal nobody = {0};
    assert_int_equal(admit_model(&nobody, STR("b"), &a, &f.e), 0);
    world_unref(f.w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(keys_that_pass),
        cmocka_unit_test(keys_that_do_not),
        cmocka_unit_test(public_routes_take_anybody),
        cmocka_unit_test(other_surfaces_have_their_documents_words),
        cmocka_unit_test(without_keys_nobody_passes),
        cmocka_unit_test(allow_lists),
    };
    return cmocka_run_group_tests(tests, wf_open, wf_close);
}
