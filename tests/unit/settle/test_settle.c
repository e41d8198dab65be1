/* Golden amounts: each is worked out by hand in the comment beside it. Prices are dollars a token
 * in the comments; in the tables nano-dollars a million tokens (0.00000059 -> 590,000,000). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/str.h"
#include "catalog/catalog.h"
#include "settle/settle.h"

#define P(unit, price)                                                                             \
    {                                                                                              \
        {unit, sizeof(unit) - 1}, price                                                            \
    }

static world_deployment at(const conf_price *p, uint32_t n)
{
    return (world_deployment){
        .prices = p, .price_count = n, .price_tiers = catalog_price_tiers(p, n), .context_length = -1, .max_output_tokens = -1};
}

static usage used(int64_t prompt, int64_t read, int64_t write, int64_t completion,
                  int64_t reasoning)
{
    usage u = {0};
    usage_set(&u, STR("prompt"), prompt);
    usage_set(&u, STR("cache_read"), read);
    usage_set(&u, STR("cache_write"), write);
    usage_set(&u, STR("completion"), completion);
    usage_set(&u, STR("reasoning"), reasoning);
    return u;
}

static void a_plain_chat(void **state)
{
    /* 1,000 x 0.00000059 = 0.00059; 500 x 0.00000079 = 0.000395; together 0.000985 dollars
     * = 985,000 nano-dollars. */
    const conf_price p[] = {P("prompt", 590000000), P("completion", 790000000)};
    world_deployment d = at(p, 2);
    usage u = used(1000, 0, 0, 500, 0);
    (void)state;
    assert_int_equal(settle_cost(&d, &u), 985000);
}

static void cache_and_reasoning_at_their_own_prices(void **state)
{
    /* 100 x 0.000003 = 0.0003; read 1,000 x 0.0000003 = 0.0003; write 200 x 0.00000375 = 0.00075;
     * completion 50 x 0.000015 = 0.00075; reasoning 10 x 0.00002 = 0.0002; sum 0.0023. */
    const conf_price p[] = {P("prompt", 3000000000), P("cache_read", 300000000),
                            P("cache_write", 3750000000), P("completion", 15000000000),
                            P("reasoning", 20000000000)};
    world_deployment d = at(p, 5);
    usage u = used(100, 1000, 200, 50, 10);
    (void)state;
    assert_int_equal(settle_cost(&d, &u), 2300000);
}

static void classes_without_a_price_take_their_base(void **state)
{
    /* Input 100 + 1,000 + 200 = 1,300 x 0.000003 = 0.0039; output 50 + 10 = 60 x 0.000015 = 0.0009;
     * sum 0.0048. Each token is counted once: classes are disjoint. */
    const conf_price p[] = {P("prompt", 3000000000), P("completion", 15000000000)};
    world_deployment d = at(p, 2);
    usage u = used(100, 1000, 200, 50, 10);
    (void)state;
    assert_int_equal(settle_cost(&d, &u), 4800000);
}

static void what_is_billed_apart_is_what_is_charged(void **state)
{
    /* Counted are 506 + 5, billed 11 x 0.0000025 = 0.0000275 and 4 x 0.00001 = 0.00004: together
     * 0.0000675. With one side billed apart only, the other is charged as it is counted: 11 billed,
     * and 4 + 1 counted x 0.00001 = 0.00005. */
    const conf_price p[] = {P("prompt", 2500000000), P("cache_read", 250000000),
                            P("completion", 10000000000)};
    world_deployment d = at(p, 3);
    usage both = used(58, 448, 0, 4, 1), half = both;
    (void)state;
    usage_set(&half, STR("billed_prompt"), 11);
    both = half;
    usage_set(&both, STR("billed_completion"), 4);
    assert_int_equal(settle_cost(&d, &both), 67500);
    assert_int_equal(settle_cost(&d, &half), 77500);
    usage_set(&both, STR("billed_prompt"), 0); /* 0 is a figure too */
    assert_int_equal(settle_cost(&d, &both), 40000);
}

static void it_is_rounded_once_half_up(void **state)
{
    /* A price of 0.0000021875: 1 token = 2,187.5 nano-dollars -> 2,188; with 1 completion token at
     * the same price 4,375 exactly, not 2 x 2,188 = 4,376. */
    const conf_price p[] = {P("prompt", 2187500000), P("completion", 2187500000)};
    world_deployment d = at(p, 2);
    usage one = {0}, two = {0};
    (void)state;
    usage_set(&one, STR("prompt"), 1);
    assert_int_equal(settle_cost(&d, &one), 2188);
    usage_set(&two, STR("prompt"), 1);
    usage_set(&two, STR("completion"), 1);
    assert_int_equal(settle_cost(&d, &two), 4375);
    /* 0.4 and 0.5 nano-dollars: 0 and 1. */
    const conf_price tiny[] = {P("prompt", 100000)}; /* 0.1 nano-dollars a token */
    d = at(tiny, 1);
    usage_set(&one, STR("prompt"), 4);
    assert_int_equal(settle_cost(&d, &one), 0);
    usage_set(&one, STR("prompt"), 5);
    assert_int_equal(settle_cost(&d, &one), 1);
}

static void units_that_are_no_tokens(void **state)
{
    /* 3 images at 0.04 dollars = 0.12, and 0.005 for the request: 0.125. Seconds have no price. */
    const conf_price p[] = {P("images:1024x1024", 40000000000000), P("request", 5000000000000),
                            P("audio", -1)};
    world_deployment d = at(p, 3);
    usage u = {0};
    (void)state;
    usage_set(&u, STR("images:1024x1024"), 3);
    usage_set(&u, STR("seconds"), 100);
    usage_set(&u, STR("audio"), 100);
    assert_int_equal(settle_cost(&d, &u), 125000000);
    usage_set(&u, STR("request"), 2); /* counted by the provider itself: 0.12 + 2 x 0.005 */
    assert_int_equal(settle_cost(&d, &u), 130000000);
}

static void nothing_known_costs_nothing(void **state)
{
    const conf_price p[] = {P("prompt", 3000000000), P("request", 5000000000000)};
    world_deployment d = at(p, 2), free_of_charge = at(NULL, 0);
    usage none = {0}, u = used(100, 0, 0, 0, 0), minus = {0};
    (void)state;
    assert_int_equal(settle_cost(&d, &none), 0);
    assert_int_equal(settle_cost(NULL, &u), 0);
    assert_int_equal(settle_cost(&free_of_charge, &u), 0);
    usage_set(&minus, STR("prompt"), -1000); /* a provider's mistake earns nobody money */
    assert_int_equal(settle_cost(&d, &minus), 5000000);
}

static void what_does_not_fit_saturates(void **state)
{
    const conf_price p[] = {P("prompt", INT64_MAX), P("completion", INT64_MAX)};
    world_deployment d = at(p, 2);
    usage u = used(INT64_MAX, INT64_MAX, 0, INT64_MAX, 0);
    tp_operation op = {
        .prompt_tokens = INT64_MAX, .max_output_tokens = INT64_MAX, .choices = UINT32_MAX};
    (void)state;
    assert_int_equal(settle_cost(&d, &u), INT64_MAX);
    assert_int_equal(settle_hold(&d, &op), INT64_MAX);
}

static void a_hold_covers_prompt_and_output(void **state)
{
    const conf_price p[] = {P("prompt", 3000000000), P("completion", 15000000000)};
    world_deployment d = at(p, 2);
    tp_operation op = {.prompt_tokens = 1000, .max_output_tokens = 200, .choices = 1};
    (void)state;
    /* 1,000 x 0.000003 + 200 x 0.000015 = 0.003 + 0.003. */
    assert_int_equal(settle_hold(&d, &op), 6000000);
    op.choices = 3; /* 0.003 + 3 x 0.003 */
    assert_int_equal(settle_hold(&d, &op), 12000000);
    op.choices = 0; /* as one */
    assert_int_equal(settle_hold(&d, &op), 6000000);
    d.max_output_tokens = 100; /* the deployment's limit caps what was asked: 0.003 + 0.0015 */
    assert_int_equal(settle_hold(&d, &op), 4500000);
    op.max_output_tokens = -1; /* not said: the limit */
    assert_int_equal(settle_hold(&d, &op), 4500000);
    d.max_output_tokens = -1;
    d.context_length = 50; /* only the context is known: 0.003 + 50 x 0.000015 */
    assert_int_equal(settle_hold(&d, &op), 3750000);
    d.context_length = -1; /* nothing: 0.003 + 16,384 x 0.000015 = 0.24876 */
    assert_int_equal(settle_hold(&d, &op), 248760000);
}

static void a_hold_takes_the_dearest_way(void **state)
{
    const conf_price p[] = {P("prompt", 3000000000),      P("cache_read", 300000000),
                            P("cache_write", 3750000000), P("completion", 15000000000),
                            P("reasoning", 20000000000),  P("request", 1000000000000)};
    world_deployment d = at(p, 6);
    tp_operation op = {.prompt_tokens = 1000, .max_output_tokens = 100, .choices = 1};
    (void)state;
    /* 1,000 x 0.00000375 + 100 x 0.00002 + 0.001 = 0.00375 + 0.002 + 0.001. */
    assert_int_equal(settle_hold(&d, &op), 6750000);
    usage worst = used(0, 0, 1000, 0, 100);
    assert_int_equal(settle_cost(&d, &worst), settle_hold(&d, &op));
}

static void a_hold_takes_every_threshold_in_reach(void **state)
{
    /* The lower threshold is the dearer one for the output, the higher one for the request. */
    const conf_price p[] = {P("prompt", 1000000000),        P("completion", 1000000000),
                            P("completion@100", 9000000000), P("completion@1000", 2000000000),
                            P("request", 1000000000),        P("request@1000", 5000000000),
                            P("seconds", 1000000000),        P("seconds@1000", 3000000000)};
    tp_event event = {.size = sizeof(tp_event), .kind = TP_EV_USAGE, .name = STR("seconds:hd"),
                      .number = 2};
    world_deployment d = at(p, 8);
    tp_operation op = {.prompt_tokens = 100, .max_output_tokens = 10, .choices = 1,
                       .prompt = {&event, 1, sizeof(tp_event)}};
    (void)state;
    /* 100 x 1,000 + 10 x 1,000 + 1,000 + 2 x 1,000. */
    assert_int_equal(settle_hold(&d, &op), 113000);
    op.prompt_tokens = 1000; /* 1,000 x 1,000 + 10 x 9,000 + 1,000 + 2 x 1,000 */
    assert_int_equal(settle_hold(&d, &op), 1093000);
    op.prompt_tokens = 1001; /* 1,001 x 1,000 + 10 x 9,000 + 5,000 + 2 x 3,000 */
    assert_int_equal(settle_hold(&d, &op), 1102000);
    usage u = used(1001, 0, 0, 10, 0); /* 1,001 x 1,000 + 10 x 2,000 + 5,000 + 2 x 3,000 */
    usage_set(&u, STR("seconds:hd"), 2);
    assert_int_equal(settle_cost(&d, &u), 1032000);
}

/* Kept for an hour costs more, but only who may ask for it holds that. */
static void an_hour_is_held_where_it_may_be_asked_for(void **state)
{
    const conf_price p[] = {P("prompt", 3000000000), P("cache_write:1h", 6000000000)};
    world_deployment d = at(p, 2);
    tp_operation op = {.prompt_tokens = 10, .choices = 1, .body = {.text = STR("{\"a\":1}")}};
    (void)state;
    assert_int_equal(settle_hold(&d, &op), 30000);
    const conf_deployment adds = {.options = {.text = STR("{\"cache_control\":{\"ttl\":\"1h\"}}")}};
    d.conf = &adds; /* to every request */
    assert_int_equal(settle_hold(&d, &op), 60000);
    d.conf = NULL;
    op.body.text = STR("{\"ttl\":\"1h\"}");
    assert_int_equal(settle_hold(&d, &op), 60000);
    op.body.text = STR("{\"ttl\":\"\\u0031h\"}");
    assert_int_equal(settle_hold(&d, &op), 60000);
    /* Wherever it stands. */
    char text[200];
    for (size_t n = 0; n <= sizeof(text); n++)
        for (size_t at = 0; at <= n; at++) {
            memset(text, '1', sizeof(text));
            memset(text + at, 'h', sizeof(text) - at);
            op.body.text = str_make(text, n);
            assert_int_equal(settle_hold(&d, &op), at && at < n ? 60000 : 30000);
        }
}

/* A hostile count cannot make a sum of thresholds wrap. */
static void counts_without_measure_exceed_every_threshold(void **state)
{
    const conf_price p[] = {P("prompt", 0), P("prompt@200000", 1000000)};
    world_deployment d = at(p, 2);
    usage u = used(0, INT64_MAX, INT64_MAX, 0, 0);
    (void)state;
    assert_true(settle_cost(&d, &u) > 0);
    u = used(200001, -1, -5, 0, 0); /* below 0 is nothing, not a discount */
    assert_int_equal(settle_cost(&d, &u), 200001);
}

static void a_prompt_that_nobody_counted_is_its_bytes(void **state)
{
    const conf_price p[] = {P("prompt", 1000000000)}; /* 1,000 nano-dollars a token */
    world_deployment d = at(p, 1);
    tp_operation op = {.prompt_tokens = -1,
                       .max_output_tokens = 0,
                       .choices = 1,
                       .body = {.text = STR("0123456789")}};
    (void)state;
    assert_int_equal(settle_hold(&d, &op), 10000);
    d.context_length = 4; /* more cannot be taken */
    assert_int_equal(settle_hold(&d, &op), 4000);
}

static void what_parse_announced_is_held(void **state)
{
    /* 2 images at 0.04 = 0.08. Token units of the list are not counted again. */
    const conf_price p[] = {P("images:1024x1024", 40000000000000), P("prompt", 1000000000)};
    world_deployment d = at(p, 2);
    tp_event events[] = {
        {.size = sizeof(tp_event), .kind = TP_EV_TEXT, .text = STR("a cat")},
        {.size = sizeof(tp_event),
         .kind = TP_EV_USAGE,
         .name = STR("images:1024x1024"),
         .number = 2},
        {.size = sizeof(tp_event), .kind = TP_EV_USAGE, .name = STR("prompt"), .number = 7}};
    tp_operation op = {.prompt_tokens = 0,
                       .max_output_tokens = 0,
                       .choices = 1,
                       .prompt = {events, 3, sizeof(tp_event)}};
    (void)state;
    assert_int_equal(settle_hold(&d, &op), 80000000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_plain_chat),
        cmocka_unit_test(cache_and_reasoning_at_their_own_prices),
        cmocka_unit_test(classes_without_a_price_take_their_base),
        cmocka_unit_test(what_is_billed_apart_is_what_is_charged),
        cmocka_unit_test(it_is_rounded_once_half_up),
        cmocka_unit_test(units_that_are_no_tokens),
        cmocka_unit_test(nothing_known_costs_nothing),
        cmocka_unit_test(what_does_not_fit_saturates),
        cmocka_unit_test(a_hold_covers_prompt_and_output),
        cmocka_unit_test(a_hold_takes_the_dearest_way),
        cmocka_unit_test(a_hold_takes_every_threshold_in_reach),
        cmocka_unit_test(an_hour_is_held_where_it_may_be_asked_for),
        cmocka_unit_test(counts_without_measure_exceed_every_threshold),
        cmocka_unit_test(a_prompt_that_nobody_counted_is_its_bytes),
        cmocka_unit_test(what_parse_announced_is_held),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
