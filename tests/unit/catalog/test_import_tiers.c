/* What the data sets say of long prompts and of an hour in the cache: whose word counts, what need
 * not be said, and what is refused. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "catalog/import_int.h"
#include "import_fixture.h"

static const conf_deployment *only(const conf *c, const char *id)
{
    const conf_model *m = model(c, id);
    assert_non_null(m);
    assert_int_equal(m->deployment_count, 1);
    return &m->deployments[0];
}

static void long_prompts_and_hours_have_prices(void **state)
{
    catalog_import c;
    tp_error err = {0};
    catalog_request r = {
        .litellm =
            {"l.json",
             STR("{\"gpt-7\": {\"litellm_provider\": \"openai\", \"mode\": \"chat\","
                 "\"input_cost_per_token_above_272k_tokens\": 4e-6,"
                 "\"input_cost_per_token_above_128k_tokens\": 2e-6,"
                 "\"input_cost_per_token\": 1e-6, \"output_cost_per_token\": 5e-6,"
                 "\"output_cost_per_token_above_128k_tokens\": 5e-6,"
                 "\"output_cost_per_token_above_272k_tokens\": 9e-6,"
                 "\"output_cost_per_token_above_272k_tokens_flex\": 1e-9,"
                 "\"input_cost_per_token_above_272k_tokens_priority\": 1,"
                 "\"input_cost_per_image_above_128k_tokens\": 1,"
                 "\"input_cost_per_video_per_second_above_15s_interval\": 1,"
                 "\"cache_read_input_token_cost\": 1e-7,"
                 "\"cache_read_input_token_cost_above_128k_tokens\": 0,"
                 "\"cache_read_input_token_cost_above_272k_tokens\": null,"
                 "\"input_cost_per_audio_token_above_128k_tokens\": 7e-6,"
                 "\"cache_creation_input_token_cost_above_1hr_above_272k_tokens\": 8e-6},"
                 /* models.dev knows of a threshold here that is not taken; and an hour cannot be
                    cheaper than five minutes. */
                 "\"gpt-8\": {\"litellm_provider\": \"openai\", \"mode\": \"chat\","
                 "\"input_cost_per_token\": 1e-6, \"output_cost_per_token\": 5e-6,"
                 "\"cache_creation_input_token_cost\": 2e-6,"
                 "\"cache_creation_input_token_cost_above_1hr\": 1e-6}}"),
             STR("")},
        .models_dev =
            {"d.json",
             STR("{\"openai\": {\"models\": {"
                 /* What LiteLLM does not say at the same threshold: the cache. */
                 "\"gpt-7\": {\"cost\": {\"input\": 1, \"output\": 5, \"tiers\": ["
                 "{\"input\": 99, \"cache_read\": 0.3, \"tier\": {\"size\": 272000}},"
                 "{\"input\": 99, \"tier\": {\"size\": 64000}}]}},"
                 "\"gpt-8\": {\"cost\": {\"input\": 1, \"output\": 5, \"tiers\": ["
                 "{\"input\": 2, \"tier\": {\"size\": 200000, \"type\": \"context\"}}]}}}},"
                 "\"xai\": {\"models\": {"
                 "\"grok-a\": {\"cost\": {\"input\": 1, \"output\": 2, \"reasoning\": 2, \"tiers\": ["
                 "{\"input\": 3, \"output\": 4, \"reasoning\": 4, \"tier\": {\"size\": 200000}},"
                 "{\"input\": 99, \"tier\": {\"size\": 1, \"type\": \"hour\"}}]}},"
                 "\"grok-b\": {\"cost\": {\"input\": 1, \"output\": 2,"
                 "\"context_over_200k\": {\"input\": 1.5, \"output\": 2.5}}}}}}"),
             STR("")},
        .today = STR("2026-08-01")};
    (void)state;
    if (catalog_import_make(&r, &c, &err))
        fail_msg("%s", err.text);
    conf *loaded = load(&c);
    const conf_deployment *d = only(loaded, "openai/gpt-7");
    assert_int_equal(price(d, "prompt"), 1000000000);
    assert_int_equal(price(d, "prompt@128000"), 2000000000);
    assert_int_equal(price(d, "prompt@272000"), 4000000000);
    assert_int_equal(price(d, "completion@272000"), 9000000000);
    assert_int_equal(price(d, "cache_read@272000"), 300000000);
    /* The same as below; of 0; of a unit without a price for short prompts; of another kind. */
    assert_int_equal(d->price_count, 7);
    d = only(loaded, "openai/gpt-8");
    assert_int_equal(price(d, "cache_write"), 2000000000);
    assert_int_equal(d->price_count, 3);
    assert_true(said(&c, CATALOG_DIFFERS,
                     "openai/gpt-8: thresholds of long prompts are none to litellm, 200000 to "
                     "models.dev; litellm is trusted here"));
    assert_true(said(&c, CATALOG_DIFFERS, "openai/gpt-7: thresholds of long prompts are 128000 and "
                                          "272000 to litellm, 64000 and 272000 to models.dev"));
    d = only(loaded, "xai/grok-a");
    assert_int_equal(price(d, "prompt@200000"), 3000000000);
    assert_int_equal(price(d, "completion@200000"), 4000000000);
    assert_int_equal(d->price_count, 4); /* thoughts are as dear as the rest, above as below */
    d = only(loaded, "xai/grok-b");
    assert_int_equal(price(d, "prompt@200000"), 1500000000);
    assert_int_equal(price(d, "completion@200000"), 2500000000);
    conf_free(loaded);
    catalog_import_free(&c);
}

static void names_with_thresholds(void **state)
{
    static const struct {
        const char *name, *cost;
        int64_t above;
    } cases[] = {{"input_cost_per_token_above_200k_tokens", "input_cost_per_token", 200000},
                 {"x_above_1hr_above_128k_tokens", "x_above_1hr", 128000},
                 {"x_above_999999k_tokens", "x", 999999000},
                 {"x_above_1000000k_tokens", "", 0},
                 {"x_above_0k_tokens", "", 0},
                 {"x_above_k_tokens", "", 0},
                 {"x_above_200k_tokens_priority", "", 0},
                 {"x_above_200_tokens", "", 0},
                 {"x_below_200k_tokens", "", 0},
                 {"200k_tokens", "", 0},
                 {"k_tokens", "", 0},
                 {"", "", 0}};
    (void)state;
    for (size_t i = 0; i < TP_COUNT(cases); i++) {
        tp_str cost = STR("");
        assert_int_equal(catalog_tier_name(str_of(cases[i].name), &cost), cases[i].above);
        assert_true(str_eq(cost, str_of(cases[i].cost)));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(long_prompts_and_hours_have_prices),
        cmocka_unit_test(names_with_thresholds),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
