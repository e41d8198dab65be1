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

static void cailos_has_no_code_for_an_unknown_model(void **state)
{
    conf_surface cailos = {.words = CONF_WORDS_CAILOS};
    profile_error e = {.status = 404,
                       .message = STR("Model 'x' not found or not active."),
                       .code = STR("model_not_found")};
    (void)state;
    writes(&cailos, e,
           "{\"error\":{\"message\":\"Model 'x' not found or not active.\",\"type\":"
           "\"not_found_error\",\"param\":null,\"code\":null}}");
    writes(NULL, e,
           "{\"error\":{\"message\":\"Model 'x' not found or not active.\",\"type\":"
           "\"not_found_error\",\"param\":null,\"code\":\"model_not_found\"}}");
    e.code = STR("invalid_api_key"); /* the others stay */
    writes(&cailos, e,
           "{\"error\":{\"message\":\"Model 'x' not found or not active.\",\"type\":"
           "\"not_found_error\",\"param\":null,\"code\":\"invalid_api_key\"}}");
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

#define NOW INT64_C(1795362533123)

static void ids_have_prefix_and_24_characters(void **state)
{
    conf_surface s = {.reply_id = STR("gen-")};
    char out[64], other[64];
    (void)state;
    size_t n = profile_reply_id(&s, NOW, 1, 2, out);
    assert_int_equal(n, 28);
    assert_int_equal(strlen(out), n);
    assert_memory_equal(out, "gen-", 4);
    for (size_t i = 4; i < n; i++)
        assert_true(base62(out[i]));
    profile_reply_id(&s, NOW, 1, 3, other);
    assert_string_not_equal(out, other);
    profile_reply_id(&s, NOW, 2, 2, other);
    assert_string_not_equal(out, other);
    profile_reply_id(&s, NOW + 1, 1, 2, other);
    assert_string_not_equal(out, other);
    profile_reply_id(&s, NOW, 1, 2, other);
    assert_string_equal(out, other);
    assert_int_equal(profile_reply_id(NULL, 0, 0, 0, out), 33);
    assert_string_equal(out, "chatcmpl-000000000000000000000000");
}

static void ids_sort_by_time_and_tell_it(void **state)
{
    static const int64_t times[] = {
        0, 1, 61, 62, 1000, INT64_C(56800235583), NOW, NOW + 1, NOW + 62, INT64_C(3521614606207)};
    conf_surface s = {.reply_id = STR("gen-")};
    char out[64], before[64] = "";
    (void)state;
    for (size_t i = 0; i < TP_COUNT(times); i++) {
        profile_reply_id(&s, times[i], UINT64_MAX - i, i * 7, out);
        assert_true(strcmp(before, out) < 0);
        assert_true(profile_reply_id_ms(str_of(out)) == times[i]);
        memcpy(before, out, sizeof(out));
    }
    /* Beyond what seven characters hold, and before 1970: the nearest that they do. */
    profile_reply_id(&s, INT64_MAX, 1, 2, out);
    assert_true(profile_reply_id_ms(str_of(out)) == INT64_C(3521614606207));
    profile_reply_id(&s, INT64_MIN, 1, 2, out);
    assert_true(profile_reply_id_ms(str_of(out)) == 0);
}

static void every_random_character_of_an_id_varies(void **state)
{
    conf_surface s = {.reply_id = STR("")};
    char first[64], out[64];
    uint32_t seen = 0;
    (void)state;
    uint64_t x = 88172645463325252u;
    profile_reply_id(&s, NOW, x, ~x, first);
    for (int k = 0; k < 200; k++) {
        x ^= x << 13, x ^= x >> 7, x ^= x << 17;
        profile_reply_id(&s, NOW, x, x * 3, out);
        for (int i = 0; i < 24; i++)
            if (out[i] != first[i])
                seen |= 1u << i;
    }
    assert_int_equal(seen, 0xffff80);                     /* all but the seven of the time */
    assert_true(profile_reply_id_ms(str_of(out)) == NOW); /* without a prefix too */
}

static void long_prefixes_are_cut(void **state)
{
    conf_surface s = {.reply_id =
                          STR("a-prefix-that-is-longer-than-any-id-should-ever-be-in-earnest")};
    char out[64];
    (void)state;
    assert_int_equal(profile_reply_id(&s, NOW, 5, 6, out), 63);
    assert_int_equal(strlen(out), 63);
    assert_true(profile_reply_id_ms(str_of(out)) == NOW);
}

static void what_is_no_id_has_no_time(void **state)
{
    char bytes[256], long_one[65];
    (void)state;
    assert_true(profile_reply_id_ms(STR("")) == -1);
    assert_true(profile_reply_id_ms(STR_NONE) == -1);
    assert_true(profile_reply_id_ms(STR("gen-")) == -1);
    assert_true(profile_reply_id_ms(STR("gen-0123456789012345678")) == -1);
    assert_true(profile_reply_id_ms(STR("gen-0000001xxxxxxxxxxxxxxxxx")) == 1);
    assert_true(profile_reply_id_ms(STR("gen-0000001xxxxxxxx-xxxxxxxx")) == -1);
    assert_true(profile_reply_id_ms(STR("gen-000000_xxxxxxxxxxxxxxxxx")) == -1);
    assert_true(profile_reply_id_ms(STR("gen-0000001xxxxxxxxxxxxxxxx\0")) == -1);
    memset(long_one, '1', sizeof(long_one));
    assert_true(profile_reply_id_ms(str_make(long_one, 63)) > 0);
    assert_true(profile_reply_id_ms(str_make(long_one, 64)) == -1);
    for (size_t i = 0; i < sizeof(bytes); i++)
        bytes[i] = (char)i;
    for (size_t i = 0; i < sizeof(bytes); i++)
        for (size_t n = 0; n + i <= sizeof(bytes) && n < 70; n++) {
            int64_t ms = profile_reply_id_ms(str_make(bytes + i, n));
            assert_true(ms >= -1 && ms < INT64_C(3521614606208));
        }
}

static void says(int32_t words, int which, const char *want)
{
    conf_surface s = {.words = words};
    tp_str got = profile_words(&s, which);
    if (!got.ptr || !str_eq(got, str_of(want)))
        fail_msg("words %d, case %d: got \"%.*s\", expected \"%s\"", words, which, STR_ARG(got),
                 want);
}

static void surfaces_speak_as_their_documents_do(void **state)
{
    (void)state;
    says(CONF_WORDS_AIROUTER, PROFILE_NO_KEY, "Invalid or missing API key");
    says(CONF_WORDS_AIROUTER, PROFILE_NO_CREDIT,
         "Insufficient credits. Please add funds to your account.");
    says(CONF_WORDS_AIROUTER, PROFILE_POLICY, "");
    says(CONF_WORDS_AIROUTER, PROFILE_TEAM_INACTIVE, "");
    says(CONF_WORDS_AIROUTER, PROFILE_RATE, "");
    says(CONF_WORDS_KILO, PROFILE_NO_KEY, "Invalid or missing API key");
    says(CONF_WORDS_KILO, PROFILE_NO_CREDIT, "Insufficient balance -- add credits to continue");
    says(CONF_WORDS_KILO, PROFILE_POLICY, "Forbidden -- model not allowed by organization policy");
    says(CONF_WORDS_KILO, PROFILE_TEAM_INACTIVE, "");
    says(CONF_WORDS_KILO, PROFILE_RATE, "Rate limited -- too many requests");
    says(CONF_WORDS_CAILOS, PROFILE_NO_KEY, "Missing or invalid API key.");
    says(CONF_WORDS_CAILOS, PROFILE_NO_CREDIT, "");
    says(CONF_WORDS_CAILOS, PROFILE_POLICY, "");
    says(CONF_WORDS_CAILOS, PROFILE_TEAM_INACTIVE, "Key valid but team is inactive.");
    says(CONF_WORDS_CAILOS, PROFILE_RATE, "Rate limit exceeded.");
    says(CONF_WORDS_KAIROSROUTE, PROFILE_NO_KEY, "Unauthorized - Invalid or missing API key");
    says(CONF_WORDS_KAIROSROUTE, PROFILE_NO_CREDIT, "");
    says(CONF_WORDS_KAIROSROUTE, PROFILE_POLICY, "");
    says(CONF_WORDS_KAIROSROUTE, PROFILE_TEAM_INACTIVE, "");
    says(CONF_WORDS_KAIROSROUTE, PROFILE_RATE, "Too Many Requests - Rate limit exceeded");
    for (int which = 0; which <= PROFILE_RATE + 1; which++) {
        says(CONF_WORDS_TURNPIKE, which, ""); /* its own sentences are the callers' */
        says(CONF_WORDS_KAIROSROUTE + 1, which, "");
        says(-1, which, "");
        assert_int_equal(profile_words(NULL, which).len, 0);
    }
    says(CONF_WORDS_KILO, 0, "");
    says(CONF_WORDS_KILO, PROFILE_RATE + 1, "");
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
        cmocka_unit_test(cailos_has_no_code_for_an_unknown_model),
        cmocka_unit_test(a_full_buffer_is_an_error),
        cmocka_unit_test(statuses_have_types),
        cmocka_unit_test(ids_have_prefix_and_24_characters),
        cmocka_unit_test(ids_sort_by_time_and_tell_it),
        cmocka_unit_test(every_random_character_of_an_id_varies),
        cmocka_unit_test(long_prefixes_are_cut),
        cmocka_unit_test(what_is_no_id_has_no_time),
        cmocka_unit_test(surfaces_speak_as_their_documents_do),
        cmocka_unit_test(shown_names_end_between_characters),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
