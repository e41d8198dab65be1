/* Golden invoices: what an exchange holds, comes to and puts into the ledger, each amount worked
 * out by hand beside it in nano-dollars (1 dollar = 1,000,000,000). Prices are written as
 * nano-dollars a million units; N(x) is x nano-dollars a unit. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/str.h"
#include "catalog/catalog.h"
#include "settle/ledger.h"

#define S(lit) {lit, sizeof(lit) - 1}
#define N(x) ((int64_t)(x)*1000000)

/* Dollars a token: 0.00000059 in, 0.00000079 out. */
static const conf_price plain[] = {{S("prompt"), N(590)}, {S("completion"), N(790)}};
/* 0.000003 in, cached 0.0000003, to cache 0.00000375, 0.000015 out; thoughts as output. */
static const conf_price cached[] = {{S("prompt"), N(3000)},
                                    {S("cache_read"), N(300)},
                                    {S("cache_write"), N(3750)},
                                    {S("completion"), N(15000)}};
/* 0.0000011 in, 0.0000044 out, thoughts 0.000006. */
static const conf_price thinks[] = {
    {S("prompt"), N(1100)}, {S("completion"), N(4400)}, {S("reasoning"), N(6000)}};
/* 0.000005 in, 0.04 an image. */
static const conf_price draws[] = {{S("prompt"), N(5000)}, {S("images:1024x1024"), N(40000000)}};
/* 0.0000025 in, 0.00001 out; sound 0.00004 in, 0.00008 out. */
static const conf_price speaks[] = {{S("prompt"), N(2500)},
                                    {S("audio_prompt"), N(40000)},
                                    {S("completion"), N(10000)},
                                    {S("audio_completion"), N(80000)}};
/* 0.000001 in and out, 0.005 a request. */
static const conf_price each[] = {
    {S("prompt"), N(1000)}, {S("completion"), N(1000)}, {S("request"), N(5000000)}};
/* Above 200,000 tokens of prompt: twice the input, half as much again for the output. What is cached
 * for an hour costs twice the prompt. */
static const conf_price lengths[] = {
    {S("prompt"), N(3000)},         {S("prompt@200000"), N(6000)},
    {S("cache_read"), N(300)},      {S("cache_read@200000"), N(600)},
    {S("cache_write"), N(3750)},    {S("cache_write@200000"), N(7500)},
    {S("cache_write:1h"), N(6000)}, {S("cache_write:1h@200000"), N(12000)},
    {S("completion"), N(15000)},    {S("completion@200000"), N(22500)}};
/* Two thresholds, of which the output knows the second only and the cache the first; not in order. */
static const conf_price steps[] = {{S("prompt@256000"), N(4000)},    {S("prompt"), N(1000)},
                                   {S("completion"), N(5000)},       {S("prompt@128000"), N(2000)},
                                   {S("cache_read"), N(100)},        {S("cache_read@128000"), N(200)},
                                   {S("completion@256000"), N(10000)}};
/* Sound has no threshold of its own, but it is part of the prompt. */
static const conf_price hears[] = {{S("prompt"), N(1000)},
                                   {S("prompt@100"), N(2000)},
                                   {S("audio_prompt"), N(5000)},
                                   {S("completion"), N(1000)}};
#define AT(p) p, TP_COUNT(p)
#define HOUR STR("{\"cache_control\":{\"type\":\"ephemeral\",\"ttl\":\"1h\"}}")

typedef struct invoice {
    const char *name;
    const conf_price *prices;
    size_t price_count;
    /* Asked for. */
    int64_t prompt, most;         /* tokens: as estimated before; the output's cap */
    uint32_t choices;
    uint64_t needs;
    int64_t images;               /* announced */
    /* What came of it. */
    struct {
        tp_str unit;
        int64_t count;
    } said[5];                    /* by the upstream */
    int64_t relayed;              /* >= 0: broken off after so many bytes; -1: complete */
    /* In nano-dollars. */
    int64_t hold, cost;
} invoice;

static const invoice invoices[] = {
    /* Held 1,000 x 590 + 600 x 790 = 590,000 + 474,000; used 590,000 + 500 x 790 = 395,000. */
    {"plain", AT(plain), 1000, 600, 1, 0, 0,
     {{S("prompt"), 1000}, {S("completion"), 500}}, -1, 1064000, 985000},

    /* Held: all of the prompt might be written to the cache: 1,200 x 3,750 + 100 x 15,000
     * = 4,500,000 + 1,500,000. Used 200 x 3,000 = 600,000; 1,000 x 300 = 300,000;
     * 50 x 15,000 = 750,000. The cached tokens are not in `prompt` too. */
    {"read from the cache", AT(cached), 1200, 100, 1, 0, 0,
     {{S("prompt"), 200}, {S("cache_read"), 1000}, {S("completion"), 50}}, -1, 6000000, 1650000},

    /* 100 x 3,000 = 300,000; 1,100 x 3,750 = 4,125,000; 100 x 15,000 = 1,500,000. */
    {"written to the cache", AT(cached), 1200, 100, 1, 0, 0,
     {{S("prompt"), 100}, {S("cache_write"), 1100}, {S("completion"), 100}}, -1, 6000000, 5925000},

    /* Read, written and neither: 10 x 3,000 = 30,000; 590 x 300 = 177,000; 600 x 3,750 = 2,250,000;
     * 7 x 15,000 = 105,000. */
    {"read and written", AT(cached), 1200, 100, 1, 0, 0,
     {{S("prompt"), 10}, {S("cache_read"), 590}, {S("cache_write"), 600}, {S("completion"), 7}},
     -1, 6000000, 2562000},

    /* Held 500 x 1,100 + 1,000 x 6,000 (it might think all the way) = 550,000 + 6,000,000. Used
     * 550,000 + 200 x 4,400 = 880,000 + 800 x 6,000 = 4,800,000. */
    {"thoughts at a price of their own", AT(thinks), 500, 1000, 1, 0, 0,
     {{S("prompt"), 500}, {S("completion"), 200}, {S("reasoning"), 800}}, -1, 6550000, 6230000},

    /* Held 100 x 3,750 + 100 x 15,000 = 375,000 + 1,500,000. Used 100 x 3,000 = 300,000;
     * 40 x 15,000 = 600,000; 60 x 15,000 = 900,000. */
    {"thoughts as output", AT(cached), 100, 100, 1, 0, 0,
     {{S("prompt"), 100}, {S("completion"), 40}, {S("reasoning"), 60}}, -1, 1875000, 1800000},

    /* Held 20 x 5,000 + 3 x 40,000,000; used 100,000 + 2 x 40,000,000: one was refused. */
    {"images", AT(draws), 20, 0, 1, 0, 3,
     {{S("prompt"), 20}, {S("images:1024x1024"), 2}}, -1, 120100000, 80100000},

    /* Held: all might be sound: 300 x 40,000 + 500 x 80,000 = 12,000,000 + 40,000,000. Used
     * 100 x 2,500 = 250,000; 200 x 40,000 = 8,000,000; 50 x 10,000 = 500,000;
     * 400 x 80,000 = 32,000,000. */
    {"sound", AT(speaks), 300, 500, 1, TP_NEED_AUDIO, 0,
     {{S("prompt"), 100}, {S("audio_prompt"), 200}, {S("completion"), 50},
      {S("audio_completion"), 400}}, -1, 52000000, 40750000},

    /* The same model without any: 100 x 2,500 + 50 x 10,000, held and used. */
    {"no sound", AT(speaks), 100, 50, 1, 0, 0,
     {{S("prompt"), 100}, {S("completion"), 50}}, -1, 750000, 750000},

    /* Held 1,000 x 1,000 twice and 5,000,000; used 1,000,000 + 200,000 + 5,000,000. */
    {"a price a request", AT(each), 1000, 1000, 1, 0, 0,
     {{S("prompt"), 1000}, {S("completion"), 200}}, -1, 7000000, 6200000},

    /* Held 590,000 + 3 x 200 x 790 = 474,000; used 590,000 (the prompt is read once)
     * + 540 x 790 = 426,600 over the three choices. */
    {"three choices", AT(plain), 1000, 200, 3, 0, 0,
     {{S("prompt"), 1000}, {S("completion"), 540}}, -1, 1064000, 1016600},

    /* Broken off, and the upstream had said nothing: the prompt's estimate 1,000 x 590 = 590,000,
     * and 1,001 bytes are 250.25, so 251 tokens: 251 x 790 = 198,290. */
    {"aborted, estimated", AT(plain), 1000, 600, 1, 0, 0, {{{0}, 0}}, 1001, 1064000, 788290},

    /* Broken off, and the upstream counts as it goes: 990 x 590 = 584,100; 120 x 790 = 94,800; the
     * 5,000 bytes do not matter. */
    {"aborted, counted", AT(plain), 1000, 600, 1, 0, 0,
     {{S("prompt"), 990}, {S("completion"), 120}}, 5000, 1064000, 678900},

    /* Broken off when only the input had been counted: 200 x 3,000 = 600,000;
     * 1,000 x 300 = 300,000; 400 bytes are 100 tokens: 100 x 15,000 = 1,500,000. */
    {"aborted, half counted", AT(cached), 1200, 100, 1, 0, 0,
     {{S("prompt"), 200}, {S("cache_read"), 1000}}, 400, 6000000, 2400000},

    /* Counted input alone, and nothing relayed: 1,000 x 1,000, and the request, which the upstream
     * has taken on: 5,000,000. */
    {"aborted before the first word", AT(each), 1000, 1000, 1, 0, 0,
     {{S("prompt"), 1000}}, 0, 7000000, 6000000},

    /* Nothing relayed, nothing said: nothing, the price a request included. */
    {"aborted with nothing done", AT(each), 1000, 1000, 1, 0, 0, {{{0}, 0}}, 0, 7000000, 0},

    /* Held 150,000 x 3,750 = 562,500,000 + 1,000 x 15,000 = 15,000,000: nobody asked for an hour.
     * Used 100,000 x 3,000 = 300,000,000 + 500 x 15,000 = 7,500,000. */
    {"below the threshold", AT(lengths), 150000, 1000, 1, 0, 0,
     {{S("prompt"), 100000}, {S("completion"), 500}}, -1, 577500000, 307500000},

    /* 200,000 is not longer than 200,000. Held 200,000 x 3,750 = 750,000,000 + 15,000,000. Used
     * 120,000 x 3,000 = 360,000,000; 80,000 x 300 = 24,000,000; 10 x 15,000 = 150,000. */
    {"at the threshold", AT(lengths), 200000, 1000, 1, 0, 0,
     {{S("prompt"), 120000}, {S("cache_read"), 80000}, {S("completion"), 10}}, -1, 765000000,
     384150000},

    /* A token more, and all of them cost more. Held 200,001 x 7,500 = 1,500,007,500
     * + 1,000 x 22,500 = 22,500,000. Used 200,001 x 6,000 = 1,200,006,000 + 22,500,000. */
    {"above the threshold", AT(lengths), 200001, 1000, 1, 0, 0,
     {{S("prompt"), 200001}, {S("completion"), 1000}}, -1, 1522507500, 1222506000},

    /* 250,000 together, none of the classes alone is above. Held 250,000 x 7,500 = 1,875,000,000
     * + 22,500,000. Used 50,000 x 6,000 = 300,000,000; 190,000 x 600 = 114,000,000;
     * 10,000 x 7,500 = 75,000,000; 400 x 22,500 = 9,000,000. */
    {"long for what was cached", AT(lengths), 250000, 1000, 1, 0, 0,
     {{S("prompt"), 50000}, {S("cache_read"), 190000}, {S("cache_write"), 10000},
      {S("completion"), 400}}, -1, 1897500000, 498000000},

    /* Held as before; but it was short after all: 180,000 x 3,000 = 540,000,000
     * + 100 x 15,000 = 1,500,000. */
    {"shorter than was feared", AT(lengths), 250000, 1000, 1, 0, 0,
     {{S("prompt"), 180000}, {S("completion"), 100}}, -1, 1897500000, 541500000},

    /* Broken off with nothing said: 250,000 x 6,000 = 1,500,000,000; 4,000 bytes are 1,000 tokens:
     * 1,000 x 22,500 = 22,500,000. */
    {"aborted, estimated, long", AT(lengths), 250000, 1000, 1, 0, 0, {{{0}, 0}}, 4000, 1897500000,
     1522500000},

    /* Held 1,200 x 6,000 = 7,200,000 (asked to be kept for an hour) + 100 x 15,000 = 1,500,000.
     * Used 100 x 3,000 = 300,000; 500 x 3,750 = 1,875,000; 600 x 6,000 = 3,600,000;
     * 100 x 15,000 = 1,500,000. */
    {"written for an hour, and for five minutes", AT(lengths), 1200, 100, 1, 0, 0,
     {{S("prompt"), 100}, {S("cache_write"), 500}, {S("cache_write:1h"), 600},
      {S("completion"), 100}}, -1, 8700000, 7275000},

    /* Held 250,000 x 12,000 = 3,000,000,000 + 1,000 x 22,500 = 22,500,000. Used
     * 10,000 x 6,000 = 60,000,000; 40,000 x 7,500 = 300,000,000; 200,000 x 12,000 = 2,400,000,000;
     * 100 x 22,500 = 2,250,000. */
    {"written for an hour, long", AT(lengths), 250000, 1000, 1, 0, 0,
     {{S("prompt"), 10000}, {S("cache_write"), 40000}, {S("cache_write:1h"), 200000},
      {S("completion"), 100}}, -1, 3022500000, 2762250000},

    /* No price for an hour: as what is written. 100 x 3,000 = 300,000; 1,000 x 3,750 = 3,750,000;
     * 10 x 15,000 = 150,000. */
    {"an hour without a price of its own", AT(cached), 1200, 100, 1, 0, 0,
     {{S("prompt"), 100}, {S("cache_write:1h"), 1000}, {S("completion"), 10}}, -1, 6000000, 4200000},

    /* 128,001 together. Held 200,000 x 2,000 = 400,000,000 + 1,000 x 5,000 = 5,000,000. Used
     * 128,000 x 2,000 = 256,000,000; 1 x 200; (300 + 200) x 5,000 = 2,500,000. */
    {"between two thresholds", AT(steps), 200000, 1000, 1, 0, 0,
     {{S("prompt"), 128000}, {S("cache_read"), 1}, {S("completion"), 300}, {S("reasoning"), 200}},
     -1, 405000000, 258500200},

    /* 300,000 together. Held 300,000 x 4,000 = 1,200,000,000 + 1,000 x 10,000 = 10,000,000. Used
     * 200,000 x 4,000 = 800,000,000; 100,000 x 200 = 20,000,000 (the cache has no second price);
     * (100 + 900) x 10,000 = 10,000,000. */
    {"above two thresholds", AT(steps), 300000, 1000, 1, 0, 0,
     {{S("prompt"), 200000}, {S("cache_read"), 100000}, {S("completion"), 100},
      {S("reasoning"), 900}}, -1, 1210000000, 830000000},

    /* What is counted is how long it was (130,000), what is billed is charged. Held
     * 130,000 x 2,000 = 260,000,000 + 100 x 5,000 = 500,000. Used 127,000 x 2,000 = 254,000,000
     * + 90 x 5,000 = 450,000. */
    {"billed apart, long by its count", AT(steps), 130000, 100, 1, 0, 0,
     {{S("prompt"), 130000}, {S("billed_prompt"), 127000}, {S("completion"), 100},
      {S("billed_completion"), 90}}, -1, 260500000, 254450000},

    /* Nothing is said but what is billed: 129,000 x 2,000 = 258,000,000 + 100 x 5,000 = 500,000. */
    {"billed apart, and nothing else said", AT(steps), 130000, 100, 1, 0, 0,
     {{S("billed_prompt"), 129000}, {S("completion"), 100}}, -1, 260500000, 258500000},

    /* 101 together. Held 101 x 5,000 = 505,000 + 10 x 1,000. Used 60 x 2,000 = 120,000;
     * 41 x 5,000 = 205,000; 4 x 1,000 = 4,000. */
    {"long for its sound", AT(hears), 101, 10, 1, TP_NEED_AUDIO, 0,
     {{S("prompt"), 60}, {S("audio_prompt"), 41}, {S("completion"), 4}}, -1, 515000, 329000},
};

/* Nothing is kept for an hour unless the request says so. */
static int asked_for_an_hour(const invoice *v)
{
    int asked = 0;
    for (size_t i = 0; i < TP_COUNT(v->said); i++)
        asked |= str_eq(v->said[i].unit, STR("cache_write:1h"));
    return asked;
}

static int64_t held(const invoice *v)
{
    tp_event event = {.size = sizeof(event),
                      .kind = TP_EV_USAGE,
                      .name = STR("images:1024x1024"),
                      .number = v->images};
    world_deployment d = {.prices = v->prices,
                          .price_count = (uint32_t)v->price_count,
                          .price_tiers = catalog_price_tiers(v->prices, (uint32_t)v->price_count),
                          .context_length = -1,
                          .max_output_tokens = -1};
    tp_operation op = {.prompt_tokens = v->prompt,
                       .max_output_tokens = v->most,
                       .choices = v->choices,
                       .needs = v->needs,
                       .body = {.text = asked_for_an_hour(v) ? HOUR : STR_NONE},
                       .prompt = {&event, v->images ? 1 : 0, sizeof(event)}};
    return settle_hold(&d, &op);
}

static int64_t cost(const invoice *v)
{
    world_deployment d = {
        .prices = v->prices,
        .price_count = (uint32_t)v->price_count,
        .price_tiers = catalog_price_tiers(v->prices, (uint32_t)v->price_count)};
    usage u = {0};
    for (size_t i = 0; i < TP_COUNT(v->said) && v->said[i].unit.len; i++)
        assert_int_equal(usage_set(&u, v->said[i].unit, v->said[i].count), 0);
    if (v->relayed >= 0)
        settle_estimate(&u, v->prompt, v->relayed);
    return settle_cost(&d, &u);
}

/* What the ledger makes of it: the balance moves by what is charged, whatever was held. */
static void entered(int64_t hold, int64_t charged)
{
    ledger_entry e[3];
    int64_t balance = hold, least = hold; /* just enough for the hold */
    settle_record r = {.team = STR("acme"), .generation = STR("gen-1"),
                       .hold_nano = hold, .charged_nano = charged};
    for (uint32_t i = 0, n = ledger_entries_of(&r, e); i < n; i++) {
        balance += e[i].nano;
        least = TP_MIN(least, i == 1 ? hold : balance); /* settle and release are one step */
    }
    assert_true(balance == hold - charged && balance >= 0 && least >= 0);
}

static void golden_invoices(void **state)
{
    (void)state;
    for (size_t i = 0; i < TP_COUNT(invoices); i++) {
        const invoice *v = &invoices[i];
        int64_t h = held(v), c = cost(v);
        if (h != v->hold || c != v->cost)
            fail_msg("%s: held %lld and cost %lld, not %lld and %lld", v->name, (long long)h,
                     (long long)c, (long long)v->hold, (long long)v->cost);
        assert_true(h >= c);
        entered(h, c);
    }
}

/* A failed attempt costs nothing, whatever its upstream had counted: only the deployment that
 * answered and its own usage are on the invoice. What is held covers either. */
static void fallback_after_a_failed_attempt(void **state)
{
    /* First, on `plain`: 1,000 x 590 + 200 x 790 = 748,000 at most; failed after 20 tokens
     * (605,800). Second, on `cached`: 1,000 x 3,750 + 200 x 15,000 = 6,750,000 at most; used
     * 1,000 x 3,000 + 150 x 15,000 = 5,250,000. */
    invoice first = {.prices = plain, .price_count = 2, .prompt = 1000, .most = 200, .choices = 1,
                     .said = {{S("prompt"), 1000}, {S("completion"), 20}}, .relayed = -1};
    invoice second = {.prices = cached, .price_count = 4, .prompt = 1000, .most = 200,
                      .choices = 1, .said = {{S("prompt"), 1000}, {S("completion"), 150}},
                      .relayed = -1};
    (void)state;
    assert_int_equal(held(&first), 748000);
    assert_int_equal(cost(&first), 605800);
    assert_int_equal(held(&second), 6750000);
    assert_int_equal(cost(&second), 5250000);
    entered(TP_MAX(held(&first), held(&second)), cost(&second));
    entered(TP_MAX(held(&first), held(&second)), 0); /* both failed */
}

/* On the customer's own provider key a fee of 50 in 1,000 is charged: 985,000 x 0.05 = 49,250, of
 * which at most 1,064,000 x 0.05 = 53,200 was held. The record names the whole cost beside it. */
static void own_provider_key_with_a_fee(void **state)
{
    int64_t cost_nano = cost(&invoices[0]), hold_nano = held(&invoices[0]);
    int64_t fee = money_round((money_exact)cost_nano * 50 * 1000);
    int64_t most = money_round((money_exact)hold_nano * 50 * 1000);
    unsigned char bytes[1024];
    settle_record back, r = {.team = STR("acme"), .generation = STR("gen-1"), .flags = SETTLE_BYOK,
                             .cost_nano = cost_nano, .hold_nano = most, .charged_nano = fee};
    (void)state;
    assert_int_equal(fee, 49250);
    assert_int_equal(most, 53200);
    entered(most, fee);
    size_t n = ledger_encode(&r, bytes, sizeof(bytes));
    assert_int_equal(ledger_decode(bytes, n, &back), n);
    assert_true(back.cost_nano == 985000 && back.charged_nano == 49250);
    assert_int_equal(back.flags, SETTLE_BYOK);
    entered(0, 0); /* without a fee nothing is held and nothing charged */
}

/* What was saved is the same usage at the baseline's prices, its own thresholds counted: on `plain`
 * 250,000 x 590 = 147,500,000 + 1,000 x 790 = 790,000; on `lengths` 250,000 x 6,000 = 1,500,000,000
 * + 1,000 x 22,500 = 22,500,000. Saved: 1,522,500,000 - 148,290,000. */
static void savings_of_a_long_prompt(void **state)
{
    invoice own = {.prices = plain, .price_count = 2, .relayed = -1,
                   .said = {{S("prompt"), 250000}, {S("completion"), 1000}}};
    invoice baseline = own;
    (void)state;
    baseline.prices = lengths;
    baseline.price_count = TP_COUNT(lengths);
    assert_int_equal(cost(&own), 148290000);
    assert_int_equal(cost(&baseline), 1522500000);
    assert_int_equal(cost(&baseline) - cost(&own), 1374210000);
}

static void what_is_known_is_not_estimated(void **state)
{
    usage u = {0};
    (void)state;
    assert_int_equal(settle_known(&u), 0);
    settle_estimate(&u, 100, 0);
    assert_int_equal(u.count, 0);
    settle_estimate(&u, -1, 9); /* nobody counted the prompt */
    assert_true(u.count == 1 && usage_get(&u, STR("completion")) == 3);
    settle_estimate(&u, 100, 4000); /* output is known now, input is not */
    assert_int_equal(usage_get(&u, STR("completion")), 3);
    assert_int_equal(usage_get(&u, STR("prompt")), 100);
    static const tp_str output[] = {S("completion"), S("reasoning"), S("audio_completion"),
                                    S("images:1024x1024"), S("seconds")};
    static const tp_str input[] = {S("prompt"), S("cache_read"), S("cache_write"),
                                   S("cache_write:1h"), S("audio_prompt"), S("request")};
    for (size_t i = 0; i < TP_COUNT(output); i++) {
        usage out = {0}, in = {0};
        usage_set(&out, output[i], 0); /* a count of nothing, told at the beginning, is none */
        assert_int_equal(settle_known(&out), 0);
        usage_set(&out, output[i], 1);
        assert_int_equal(settle_known(&out), 1);
        usage_set(&in, input[i], 5);
        assert_int_equal(settle_known(&in), 0);
    }
    usage huge = {0};
    settle_estimate(&huge, INT64_MAX, INT64_MAX);
    assert_true(usage_get(&huge, STR("completion")) == INT64_MAX / 4 + 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(golden_invoices),
        cmocka_unit_test(fallback_after_a_failed_attempt),
        cmocka_unit_test(own_provider_key_with_a_fee),
        cmocka_unit_test(savings_of_a_long_prompt),
        cmocka_unit_test(what_is_known_is_not_estimated),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
