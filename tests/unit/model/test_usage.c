#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/str.h"
#include "model/usage.h"

static void classes_are_disjoint_and_bounded(void **state)
{
    usage u = {0};
    (void)state;
    assert_int_equal(usage_get(&u, STR("prompt")), 0);
    assert_int_equal(usage_set(&u, STR("prompt"), 12), 0);
    assert_int_equal(usage_set(&u, STR("completion"), 5), 0);
    assert_int_equal(usage_set(&u, STR("prompt"), 13), 0); /* a total, not a difference */
    assert_int_equal(u.count, 2);
    assert_int_equal(usage_get(&u, STR("prompt")), 13);
    assert_int_equal(usage_get(&u, STR("prompt_")), 0);
    for (int i = 0; i < USAGE_CLASSES - 2; i++) {
        char name[8] = "u_";
        name[1] = (char)('a' + i);
        assert_int_equal(usage_set(&u, str_of(name), i), 0);
    }
    assert_int_equal(usage_set(&u, STR("one too many"), 1), -1);
    assert_int_equal(usage_set(&u, STR("completion"), 6), 0); /* a known one still goes */
    assert_int_equal(u.count, USAGE_CLASSES);
}

static void long_names_are_cut_and_found(void **state)
{
    usage u = {0};
    tp_str name = STR("images:1024x1024:high-quality");
    (void)state;
    assert_int_equal(usage_set(&u, name, 3), 0);
    assert_int_equal(usage_set(&u, name, 4), 0);
    assert_int_equal(u.count, 1);
    assert_int_equal(usage_get(&u, name), 4);
    assert_string_equal(u.classes[0].unit, "images:1024x1024:high-q");
}

static void variants_are_one_with_their_unit(void **state)
{
    usage u = {0};
    (void)state;
    usage_set(&u, STR("cache_write"), 3);
    usage_set(&u, STR("cache_write:1h"), 4);
    usage_set(&u, STR("cache_write_"), 100);
    usage_set(&u, STR("cache_write:bad"), -100);
    assert_int_equal(usage_all(&u, STR("cache_write")), 7);
    assert_int_equal(usage_get(&u, STR("cache_write")), 3);
    assert_int_equal(usage_all(&u, STR("prompt")), 0);
    assert_true(str_eq(usage_plain(&u.classes[1]), STR("cache_write")));
    usage_set(&u, STR("cache_write:1h"), INT64_MAX);
    assert_int_equal(usage_all(&u, STR("cache_write")), INT64_MAX);
}

static void tokens_go_in_and_out(void **state)
{
    static const char *const units[] = {"prompt",         "cache_read", "cache_write",
                                        "cache_write:1h", "completion", "reasoning",
                                        "audio_prompt",   "images",     "audio_completion"};
    usage u = {0};
    (void)state;
    assert_int_equal(usage_tokens_in(&u), 0);
    for (uint32_t i = 0; i < TP_COUNT(units); i++)
        usage_set(&u, str_of(units[i]), 1 << i);
    assert_int_equal(usage_tokens_in(&u), 1 + 2 + 4 + 8 + 64);
    assert_int_equal(usage_tokens_out(&u), 16 + 32 + 256);
    usage_set(&u, STR("cache_read"), INT64_MAX);
    usage_set(&u, STR("reasoning"), INT64_MAX);
    assert_int_equal(usage_tokens_in(&u), INT64_MAX);
    assert_int_equal(usage_tokens_out(&u), INT64_MAX);
}

static void usages_add_up(void **state)
{
    usage a = {0}, b = {0};
    (void)state;
    usage_set(&a, STR("prompt"), INT64_MAX - 1);
    usage_set(&b, STR("prompt"), 2);
    usage_set(&b, STR("reasoning"), 7);
    usage_add(&a, &b);
    assert_int_equal(usage_get(&a, STR("prompt")), INT64_MAX);
    assert_int_equal(usage_get(&a, STR("reasoning")), 7);
}

static void money_rounds_half_up_once(void **state)
{
    const money_exact million = 1000000;
    (void)state;
    assert_int_equal(money_round(0), 0);
    assert_int_equal(money_round(499999), 0);
    assert_int_equal(money_round(500000), 1);
    assert_int_equal(money_round(1499999), 1);
    assert_int_equal(money_round(1500000), 2);
    assert_int_equal(money_round(-500000), 0);
    assert_int_equal(money_round(-500001), -1);
    assert_int_equal(money_round(-1500000), -1);
    assert_int_equal(money_round((money_exact)INT64_MAX * million), INT64_MAX);
    assert_int_equal(money_round((money_exact)INT64_MAX * million + 500000), INT64_MAX);
    assert_int_equal(money_round((money_exact)INT64_MAX * million * 5), INT64_MAX);
    assert_int_equal(money_round((money_exact)INT64_MIN * million * 5), INT64_MIN);
}

static void money_prints_as_plain_decimal(void **state)
{
    static const struct {
        int64_t nano;
        const char *text;
    } cases[] = {{0, "0"},
                 {1, "0.000000001"},
                 {1230000, "0.00123"},
                 {12000000000, "12"},
                 {12500000000, "12.5"},
                 {100000000, "0.1"},
                 {-500000000, "-0.5"},
                 {INT64_MAX, "9223372036.854775807"},
                 {INT64_MIN, "-9223372036.854775808"}};
    (void)state;
    for (size_t i = 0; i < TP_COUNT(cases); i++) {
        char out[40];
        assert_int_equal(money_print(out, cases[i].nano), strlen(cases[i].text));
        assert_string_equal(out, cases[i].text);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(classes_are_disjoint_and_bounded),
        cmocka_unit_test(long_names_are_cut_and_found),
        cmocka_unit_test(variants_are_one_with_their_unit),
        cmocka_unit_test(tokens_go_in_and_out),
        cmocka_unit_test(usages_add_up),
        cmocka_unit_test(money_rounds_half_up_once),
        cmocka_unit_test(money_prints_as_plain_decimal),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
