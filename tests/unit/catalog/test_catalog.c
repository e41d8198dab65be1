#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/str.h"
#include "catalog/catalog.h"

static conf_price prices[] = {{{"prompt", 6}, 590000000},
                              {{"completion", 10}, 790000000},
                              {{"cache_read", 10}, 59000000},
                              {{"image", 5}, -1}};
#define COUNT TP_COUNT(prices)

static void prices_are_found_or_stood_in_for(void **state)
{
    (void)state;
    assert_int_equal(catalog_price(prices, COUNT, STR("prompt")), 590000000);
    assert_int_equal(catalog_price(prices, COUNT, STR("cache_write")), -1);
    assert_int_equal(catalog_price(prices, COUNT, STR("image")), -1);
    assert_int_equal(catalog_price_or(prices, COUNT, STR("cache_read")), 59000000);
    assert_int_equal(catalog_price_or(prices, COUNT, STR("cache_write")), 590000000);
    assert_int_equal(catalog_price_or(prices, COUNT, STR("reasoning")), 790000000);
    assert_int_equal(catalog_price_or(prices, COUNT, STR("seconds")), -1);
    assert_int_equal(catalog_price_or(NULL, 0, STR("reasoning")), -1);
}

static void units_have_variants_and_thresholds(void **state)
{
    static const struct {
        const char *unit, *plain;
        int64_t above;
    } names[] = {{"prompt", "prompt", 0},
                 {"prompt@200000", "prompt", 200000},
                 {"cache_write:1h@1", "cache_write:1h", 1},
                 {"images:1024x1024@999999999", "images:1024x1024", 999999999},
                 {"prompt@", "prompt@", 0},
                 {"prompt@0", "prompt@0", 0},
                 {"prompt@0200", "prompt@0200", 0},
                 {"prompt@1000000000", "prompt@1000000000", 0},
                 {"prompt@200k", "prompt@200k", 0},
                 {"prompt200", "prompt200", 0},
                 {"@5", "@5", 0},
                 {"", "", 0}};
    (void)state;
    for (size_t i = 0; i < TP_COUNT(names); i++) {
        int64_t above = -1;
        assert_true(str_eq(conf_unit_plain(str_of(names[i].unit), &above), str_of(names[i].plain)));
        assert_int_equal(above, names[i].above);
    }
    assert_true(str_eq(conf_unit_kind(STR("cache_write:1h")), STR("cache_write")));
    assert_true(str_eq(conf_unit_kind(STR("cache_write")), STR("prompt")));
    assert_true(str_eq(conf_unit_kind(STR("billed_completion")), STR("completion")));
    assert_int_equal(conf_unit_kind(STR("prompt")).len, 0);
}

static void long_prompts_have_prices_of_their_own(void **state)
{
    static const conf_price list[] = {
        {{"prompt@256000", 13}, 40}, {{"prompt", 6}, 10},      {{"completion", 10}, 50},
        {{"prompt@128000", 13}, 20}, {{"cache_write", 11}, 12}, {{"cache_write@128000", 18}, 24},
        {{"completion@256000", 17}, -1}};
    const uint32_t n = TP_COUNT(list);
    (void)state;
    assert_int_equal(catalog_price_tiers(prices, COUNT), 0);
    assert_int_equal(catalog_price_tiers(list, n), 4);
    assert_int_equal(catalog_price_at(list, n, STR("prompt"), 128000), 10);
    assert_int_equal(catalog_price_at(list, n, STR("prompt"), 128001), 20);
    assert_int_equal(catalog_price_at(list, n, STR("prompt"), 256000), 20);
    assert_int_equal(catalog_price_at(list, n, STR("prompt"), 256001), 40);
    assert_int_equal(catalog_price_at(list, n, STR("prompt"), INT64_MAX), 40);
    /* Its own lower threshold, its plain price, its kind's: in this order. */
    assert_int_equal(catalog_price_at(list, n, STR("cache_write"), 256001), 24);
    assert_int_equal(catalog_price_at(list, n, STR("cache_write:1h"), 256001), 24);
    assert_int_equal(catalog_price_at(list, n, STR("cache_write:1h"), 5), 12);
    assert_int_equal(catalog_price_at(list, n, STR("cache_read"), 256001), 40);
    assert_int_equal(catalog_price_at(list, n, STR("reasoning"), 256001), 50);
    assert_int_equal(catalog_price_at(list, n, STR("seconds"), 256001), -1);
    assert_int_equal(catalog_price_at(NULL, 0, STR("prompt"), 5), -1);
    /* Without a threshold it is the same as the plain look-up. */
    static const char *const units[] = {"prompt", "cache_read", "cache_write:1h", "reasoning",
                                        "images:x"};
    for (size_t i = 0; i < TP_COUNT(units); i++)
        assert_int_equal(catalog_price_at(prices, COUNT, str_of(units[i]), 1000000),
                         catalog_price_or(prices, COUNT, str_of(units[i])));
}

static void prices_print_exactly(void **state)
{
    static const struct {
        int64_t price;
        const char *text;
    } cases[] = {{0, "0"},
                 {590000000, "0.00000059"},
                 {2187500000, "0.0000021875"},
                 {1, "0.000000000000001"},
                 {1000000000000000, "1"},
                 {40000000000000, "0.04"},
                 {INT64_MAX, "9223.372036854775807"}};
    (void)state;
    for (size_t i = 0; i < TP_COUNT(cases); i++) {
        char out[40];
        assert_int_equal(catalog_price_print(out, cases[i].price), strlen(cases[i].text));
        assert_string_equal(out, cases[i].text);
    }
}

static void versions_follow_the_figures(void **state)
{
    const conf_price turned[] = {prices[3], prices[2], prices[1], prices[0]};
    conf_price other[COUNT],
        swapped[] = {{{"prompt", 6}, 790000000}, {{"completion", 10}, 590000000}};
    const conf_price two[] = {prices[0], prices[1]}, none = {{"image", 5}, -1};
    char a[20], b[20];
    (void)state;
    catalog_price_version(a, prices, COUNT);
    assert_int_equal(strlen(a), 18);
    assert_memory_equal(a, "p-", 2);
    assert_int_equal(strspn(a + 2, "0123456789abcdef"), 16);
    /* It stands in ledgers: what was once a version stays that version. */
    assert_string_equal(a, "p-2c5b7cdb035a1c97");
    catalog_price_version(b, turned, COUNT);
    assert_string_equal(a, b);
    catalog_price_version(b, prices, COUNT - 1); /* what has no price is none */
    assert_string_equal(a, b);
    for (uint32_t i = 0; i < COUNT; i++) {
        memcpy(other, prices, sizeof(prices));
        other[i].nano_per_million++;
        catalog_price_version(b, other, COUNT);
        assert_string_not_equal(a, b);
    }
    catalog_price_version(a, two, 2);
    catalog_price_version(b, swapped, 2); /* the same figures under other units */
    assert_string_not_equal(a, b);
    catalog_price_version(b, two, 1);
    assert_string_not_equal(a, b);
    const conf_price plain = {{"prompt", 6}, 5}, above = {{"prompt@200000", 13}, 5},
                     higher = {{"prompt@200001", 13}, 5}; /* a threshold is part of the price */
    catalog_price_version(a, &plain, 1);
    catalog_price_version(b, &above, 1);
    assert_string_not_equal(a, b);
    catalog_price_version(a, &higher, 1);
    assert_string_not_equal(a, b);
    catalog_price_version(a, NULL, 0);
    assert_string_equal(a, "");
    catalog_price_version(a, &none, 1);
    assert_string_equal(a, "");
}

static void a_deployment_overrides_its_model(void **state)
{
    conf_model m = {.context_length = 1000,
                    .max_output_tokens = 100,
                    .quality = 62,
                    .prices = prices,
                    .price_count = COUNT};
    conf_deployment d = {.context_length = -1,
                         .max_output_tokens = 50,
                         .quality = -1,
                         .capabilities = CONF_CAP_TOOLS};
    conf_price own = {{"prompt", 6}, 1};
    (void)state;
    catalog_terms t = catalog_terms_of(&m, &d);
    assert_int_equal(t.context_length, 1000);
    assert_int_equal(t.max_output_tokens, 50);
    assert_int_equal(t.quality, 62);
    assert_int_equal(t.capabilities, CONF_CAP_TOOLS);
    assert_ptr_equal(t.prices, prices);
    assert_int_equal(t.price_count, COUNT);
    d.prices = &own;
    d.price_count = 1;
    d.context_length = 2000;
    d.quality = 0;
    t = catalog_terms_of(&m, &d);
    assert_ptr_equal(t.prices, &own);
    assert_int_equal(t.price_count, 1);
    assert_int_equal(t.context_length, 2000);
    assert_int_equal(t.quality, 0);
}

static void capabilities_are_named_once(void **state)
{
    uint64_t all = 0;
    uint32_t i = 0;
    (void)state;
    for (; catalog_capability(i).bit; i++) {
        assert_int_equal(all & catalog_capability(i).bit, 0);
        all |= catalog_capability(i).bit;
        assert_true(catalog_capability(i).name.len > 0);
    }
    assert_int_equal(i, 7);
    assert_int_equal(all, CONF_CAP_TOOLS | CONF_CAP_VISION | CONF_CAP_AUDIO | CONF_CAP_DOCUMENTS |
                              CONF_CAP_SCHEMA | CONF_CAP_REASONING | CONF_CAP_STREAMING);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(prices_are_found_or_stood_in_for),
        cmocka_unit_test(units_have_variants_and_thresholds),
        cmocka_unit_test(long_prompts_have_prices_of_their_own),
        cmocka_unit_test(prices_print_exactly),
        cmocka_unit_test(versions_follow_the_figures),
        cmocka_unit_test(a_deployment_overrides_its_model),
        cmocka_unit_test(capabilities_are_named_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
