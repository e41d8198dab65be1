#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/str.h"
#include "profile/profile.h"

static void writes(const conf_surface *s, profile_error e, const char *want)
{
    buf b;
    buf_init(&b, 4096);
    assert_int_equal(profile_write_error(s, &e, &b), 0);
    if (!str_eq(buf_str(&b), str_of(want)))
        fail_msg("got %.*s, expected %s", STR_ARG(buf_str(&b)), want);
    buf_free(&b);
}

static void each_envelope_has_its_members(void **state)
{
    conf_surface typed = {.envelope = CONF_ENVELOPE_TYPED}, bare = {.envelope = CONF_ENVELOPE_BARE};
    profile_error e = {.status = 404, .message = STR("Model 'x' not found or not active.")};
    (void)state;
    writes(NULL, e,
           "{\"error\":{\"message\":\"Model 'x' not found or not active.\",\"type\":"
           "\"not_found_error\",\"param\":null,\"code\":null}}");
    writes(&typed, e,
           "{\"error\":{\"message\":\"Model 'x' not found or not active.\",\"type\":"
           "\"not_found_error\",\"code\":404}}");
    writes(&bare, e,
           "{\"error\":{\"message\":\"Model 'x' not found or not active.\",\"code\":404}}");
    e.type = STR("custom");
    e.param = STR("messages[2].content");
    e.code = STR("bad");
    e.message = STR("quote \" slash \\ line\n");
    writes(NULL, e,
           "{\"error\":{\"message\":\"quote \\\" slash \\\\ line\\n\",\"type\":\"custom\","
           "\"param\":\"messages[2].content\",\"code\":\"bad\"}}");
}

static void a_full_buffer_is_an_error(void **state)
{
    profile_error e = {.status = 400, .message = STR("a message that does not fit")};
    (void)state;
    for (size_t max = 0; max < 100; max += 7) {
        buf b;
        buf_init(&b, max);
        assert_int_not_equal(profile_write_error(NULL, &e, &b), 0);
        buf_free(&b);
    }
}

static void statuses_have_types(void **state)
{
    static const struct {
        int status;
        const char *type;
    } cases[] = {{400, "invalid_request_error"}, {401, "authentication_error"},
                 {402, "insufficient_credits"},  {403, "permission_error"},
                 {404, "not_found_error"},       {405, "invalid_request_error"},
                 {413, "invalid_request_error"}, {429, "rate_limit_error"},
                 {431, "invalid_request_error"}, {500, "api_error"},
                 {502, "upstream_error"},        {503, "service_unavailable_error"},
                 {504, "timeout_error"}};
    (void)state;
    for (size_t i = 0; i < TP_COUNT(cases); i++)
        assert_true(str_eq(profile_error_type(cases[i].status), str_of(cases[i].type)));
}

static int base62(char c)
{
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

static void ids_have_prefix_and_24_characters(void **state)
{
    conf_surface s = {.reply_id = STR("gen-")};
    char out[64], other[64];
    (void)state;
    size_t n = profile_reply_id(&s, 1, 2, out);
    assert_int_equal(n, 28);
    assert_int_equal(strlen(out), n);
    assert_memory_equal(out, "gen-", 4);
    for (size_t i = 4; i < n; i++)
        assert_true(base62(out[i]));
    profile_reply_id(&s, 1, 3, other);
    assert_string_not_equal(out, other);
    profile_reply_id(&s, 2, 2, other);
    assert_string_not_equal(out, other);
    profile_reply_id(&s, 1, 2, other);
    assert_string_equal(out, other);
    assert_int_equal(profile_reply_id(NULL, 0, 0, out), 33);
    assert_memory_equal(out, "chatcmpl-", 9);
}

static void every_character_of_an_id_varies(void **state)
{
    conf_surface s = {.reply_id = STR("")};
    char first[64], out[64];
    uint32_t seen = 0;
    (void)state;
    uint64_t x = 88172645463325252u;
    profile_reply_id(&s, x, ~x, first);
    for (int k = 0; k < 200; k++) {
        x ^= x << 13, x ^= x >> 7, x ^= x << 17;
        profile_reply_id(&s, x, x * 3, out);
        for (int i = 0; i < 24; i++)
            if (out[i] != first[i])
                seen |= 1u << i;
    }
    assert_int_equal(seen, (1u << 24) - 1);
}

static void long_prefixes_are_cut(void **state)
{
    conf_surface s = {.reply_id =
                          STR("a-prefix-that-is-longer-than-any-id-should-ever-be-in-earnest")};
    char out[64];
    (void)state;
    assert_int_equal(profile_reply_id(&s, 5, 6, out), 63);
    assert_int_equal(strlen(out), 63);
}

static void shown_names_end_between_characters(void **state)
{
    char name[300];
    (void)state;
    memset(name, 'a', sizeof(name));
    memcpy(name + 254, "\xe2\x82\xac", 3); /* bytes 254 to 256 */
    assert_int_equal(profile_shown(str_make(name, 300)).len, 254);
    assert_int_equal(profile_shown(str_make(name, 200)).len, 200);
    assert_int_equal(profile_shown(STR("")).len, 0);
    assert_int_equal(profile_shown(str_make(name, 257)).len, 254);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_envelope_has_its_members),
        cmocka_unit_test(a_full_buffer_is_an_error),
        cmocka_unit_test(statuses_have_types),
        cmocka_unit_test(ids_have_prefix_and_24_characters),
        cmocka_unit_test(every_character_of_an_id_varies),
        cmocka_unit_test(long_prefixes_are_cut),
        cmocka_unit_test(shown_names_end_between_characters),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
