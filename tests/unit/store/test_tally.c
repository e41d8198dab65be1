#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include "base/str.h"
#include "store/store.h"
#include <stdio.h>

#include <cmocka.h>

static settle_record record(const char *key, const char *model, const char *provider,
                            int64_t unix_ms)
{
    settle_record r = {.key = str_of(key),
                       .model_asked = str_of(model),
                       .provider = str_of(provider),
                       .unix_ms = unix_ms,
                       .outcome = SETTLE_COMPLETED,
                       .cost_nano = 10};
    usage_set(&r.used, STR("prompt"), 3);
    return r;
}

typedef struct sum {
    uint32_t rows;
    int64_t requests, failures, cancelled, cost, prompt;
    char last[200];
} sum;

static int gather(void *arg, const store_total *t)
{
    sum *s = arg;
    s->rows++;
    s->requests += t->requests;
    s->failures += t->failures;
    s->cancelled += t->cancelled;
    s->cost += t->cost_nano;
    s->prompt += usage_get(&t->used, STR("prompt"));
    snprintf(s->last, sizeof(s->last), "%.*s %.*s %.*s %.*s", STR_ARG(t->day), STR_ARG(t->key),
             STR_ARG(t->model), STR_ARG(t->provider));
    return 0;
}

static sum sum_of(const store_tally *t)
{
    sum s = {0};
    assert_int_equal(store_tally_each(t, gather, &s), 0);
    return s;
}

static void records_add_up_by_name_and_day(void **state)
{
    store_tally *t = store_tally_new();
    settle_record r = record("k", "m", "p", 1772368496789);
    (void)state;
    store_tally_add(t, &r);
    r.outcome = SETTLE_FAILED;
    store_tally_add(t, &r);
    r.outcome = SETTLE_CANCELLED;
    store_tally_add(t, &r);
    assert_int_equal(store_tally_count(t), 1);
    sum s = sum_of(t);
    assert_int_equal(s.requests, 3);
    assert_int_equal(s.failures, 1);
    assert_int_equal(s.cancelled, 1);
    assert_int_equal(s.cost, 30);
    assert_int_equal(s.prompt, 9);
    assert_string_equal(s.last, "2026-03-01 k m p");
    r.unix_ms = 1772409599999; /* the day's last millisecond */
    store_tally_add(t, &r);
    assert_int_equal(store_tally_count(t), 1);
    r.unix_ms++;
    store_tally_add(t, &r);
    assert_int_equal(store_tally_count(t), 2);
    s = sum_of(t);
    assert_string_equal(s.last, "2026-03-02 k m p");
    store_tally_free(t);
}

static void days_are_printed_right(void **state)
{
    static const struct {
        int64_t day;
        const char *text;
    } cases[] = {{0, "1970-01-01"},     {58, "1970-02-28"},    {59, "1970-03-01"},
                 {789, "1972-02-29"},   {11016, "2000-02-29"}, {11017, "2000-03-01"},
                 {20454, "2026-01-01"}, {47540, "2100-02-28"}, {47541, "2100-03-01"}};
    (void)state;
    for (size_t i = 0; i < TP_COUNT(cases); i++) {
        store_tally *t = store_tally_new();
        settle_record r = record("", "", "", cases[i].day * 86400000 + 1);
        store_tally_add(t, &r);
        assert_memory_equal(sum_of(t).last, cases[i].text, 10);
        store_tally_free(t);
    }
}

static void what_nobody_was_asked_for_is_no_row(void **state)
{
    store_tally *t = store_tally_new();
    (void)state;
    for (int i = 0; i < 100; i++) {
        char model[48];
        snprintf(model, sizeof(model), "typo-%d", i);
        settle_record r = record("k", model, "", 0);
        store_tally_add(t, &r);
    }
    assert_int_equal(store_tally_count(t), 1);
    assert_string_equal(sum_of(t).last, "1970-01-01 k  ");
    store_tally_free(t);
}

static void names_and_rows_are_bounded(void **state)
{
    store_tally *t = store_tally_new();
    char longer[400], name[STORE_NAME + 1];
    (void)state;
    memset(longer, 'x', sizeof(longer) - 1);
    longer[sizeof(longer) - 1] = 0;
    memset(name, 'x', STORE_NAME);
    name[STORE_NAME] = 0;
    settle_record r = record("k", longer, "p", 0);
    store_tally_add(t, &r);
    r = record("k", name, "p", 0);
    store_tally_add(t, &r); /* the same, cut */
    assert_int_equal(store_tally_count(t), 1);
    for (int i = 0; i < 5000; i++) {
        char model[48];
        snprintf(model, sizeof(model), "m%d", i);
        r = record(i % 2 ? "odd" : "even", model, "p", 0);
        store_tally_add(t, &r);
    }
    assert_int_equal(store_tally_count(t), STORE_TALLY_MAX + 2); /* one (other) for each key */
    sum s = sum_of(t);
    assert_int_equal(s.requests, 5002); /* and nothing is lost */
    assert_int_equal(s.prompt, 3 * 5002);
    assert_non_null(strstr(s.last, "(other) (other)"));
    store_tally_free(t);
    store_tally_free(NULL);
}

static void rows_merge(void **state)
{
    store_tally *t = store_tally_new();
    store_total a = {.day = STR("2026-01-01"),
                     .key = STR("k"),
                     .model = STR("m"),
                     .provider = STR("p"),
                     .requests = INT64_MAX,
                     .failures = 1};
    (void)state;
    store_tally_add_total(t, &a);
    store_tally_add_total(t, &a); /* stops at the end instead of turning over */
    sum s = sum_of(t);
    assert_int_equal(s.requests, INT64_MAX);
    assert_int_equal(s.failures, 2);
    store_tally_free(t);
}

/* ---- The meter, over a port that takes or refuses. */
typedef struct fake {
    int full, puts;
    int64_t requests;
} fake;

static int fake_put(void *self, store_tally **t)
{
    fake *f = self;
    if (f->full)
        return -1;
    f->puts++;
    f->requests += sum_of(*t).requests;
    store_tally_free(*t);
    *t = NULL;
    return 0;
}

static void meters_hand_over_in_time(void **state)
{
    fake f = {0};
    store_port port = {.self = &f, .put = fake_put};
    store_meter m;
    settle_record r = record("k", "m", "p", 0);
    (void)state;
    store_meter_init(&m, &port);
    store_meter_tick(&m, (tp_now){.unix_ms = 100000});
    assert_int_equal(f.puts, 0); /* nothing to say */
    store_meter_add(&m, &r);
    store_meter_tick(&m, (tp_now){.unix_ms = 100000 + STORE_EVERY_MS - 1});
    assert_int_equal(f.puts, 0);
    store_meter_tick(&m, (tp_now){.unix_ms = 100000 + STORE_EVERY_MS});
    assert_int_equal(f.puts, 1);
    f.full = 1;
    for (int i = 0; i < 10; i++) {
        store_meter_add(&m, &r);
        assert_int_equal(store_meter_flush(&m), -1);
    }
    assert_int_equal(m.deferred, 10);
    f.full = 0;
    store_meter_tick(&m, (tp_now){.unix_ms = 5000}); /* the clock was set back */
    assert_int_equal(f.puts, 2);
    assert_int_equal(f.requests, 11);
    assert_int_equal(store_meter_flush(&m), 0);
    assert_int_equal(f.puts, 2);
    store_meter_free(&m);
    store_meter_init(&m, NULL); /* without a store */
    store_meter_add(&m, &r);
    store_meter_tick(&m, (tp_now){.unix_ms = 1});
    store_meter_free(&m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(records_add_up_by_name_and_day),
        cmocka_unit_test(days_are_printed_right),
        cmocka_unit_test(what_nobody_was_asked_for_is_no_row),
        cmocka_unit_test(names_and_rows_are_bounded),
        cmocka_unit_test(rows_merge),
        cmocka_unit_test(meters_hand_over_in_time),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
