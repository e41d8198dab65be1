/* Holds and settles: tokens, spending limits, credits. */
#include "admit_fixture.h"

#include "admit/book_int.h"

static void begin(af *f, af_key *k, int32_t billing, int64_t credits)
{
    af_open(f, 1);
    af_team(f, "acme", billing, "");
    book_set_credits(book_team_of(f->b, STR("acme")), credits, 0);
    af_make(f, k);
}

static void enter(af *f, af_key *k)
{
    af_put(f, k);
    assert_int_equal(af_ask(f, &f->r, af_secret(k), &f->who), ADMIT_OK);
}

static void assert_credits(const book_team *t, int64_t available, int64_t used, int64_t held)
{
    assert_int_equal(t->available, available);
    assert_int_equal(t->used, used);
    assert_int_equal(t->held, held);
    assert_int_equal(t->available, t->credited - t->used - t->held);
}

static void prepaid(void **state)
{
    (void)state;
    af f;
    af_key k;
    begin(&f, &k, CONF_PREPAID, 1000);
    enter(&f, &k);
    book_team *t = f.who.team;
    assert_int_equal(admit_hold(&f.who, 700, all(0), f.now, &f.e), 0);
    assert_credits(t, 300, 0, 700);
    assert_int_equal(admit_settle(&f.who, 250, 0, f.now), 250); /* the rest comes back */
    assert_credits(t, 750, 250, 0);
    assert_int_equal(admit_settle(&f.who, 250, 0, f.now), 0); /* once a hold */
    assert_credits(t, 750, 250, 0);
    assert_int_equal(admit_hold(&f.who, 751, all(0), f.now, &f.e), -1);
    assert_int_equal(f.e.status, 402);
    assert_str(f.e.type, "insufficient_credits");
    assert_str(f.e.code, "insufficient_credits");
    assert_str(f.e.message, "Insufficient credits. Please add funds to your account.");
    assert_credits(t, 750, 250, 0);
    f.who.surface = &(conf_surface){.words = CONF_WORDS_KILO};
    assert_int_equal(admit_hold(&f.who, 751, all(0), f.now, &f.e), -1);
    assert_true(str_eq(f.e.message, profile_words(f.who.surface, PROFILE_NO_CREDIT)));
    f.who.surface = &f.surface;
    assert_int_equal(admit_hold(&f.who, 750, all(0), f.now, &f.e), 0); /* to the last nano-dollar */
    assert_credits(t, 0, 250, 750);
    /* It cost more than was held and there is nothing left: never below zero. */
    assert_int_equal(admit_settle(&f.who, 800, 0, f.now), 750);
    assert_credits(t, 0, 1000, 0);
    assert_int_equal(admit_hold(&f.who, 0, all(0), f.now, &f.e), 0); /* what costs nothing passes */
    assert_int_equal(admit_settle(&f.who, 5, 0, f.now), 0);
    book_credit(t, 100);
    assert_int_equal(admit_hold(&f.who, 60, all(0), f.now, &f.e), 0);
    assert_int_equal(admit_settle(&f.who, 90, 0, f.now), 90); /* the credits left cover it */
    assert_credits(t, 10, 1090, 0);
    assert_int_equal(book_balance(t), 10);
    book_credit(t, -50); /* an adjustment may go below zero; a free request still passes */
    assert_credits(t, -40, 1090, 0);
    assert_int_equal(admit_hold(&f.who, 1, all(0), f.now, &f.e), -1);
    assert_int_equal(admit_hold(&f.who, 0, all(0), f.now, &f.e), 0);
    assert_int_equal(admit_settle(&f.who, 7, 0, f.now), 0);
    assert_credits(t, -40, 1090, 0);
    af_close(&f);
}

static void postpaid(void **state)
{
    (void)state;
    af f;
    af_key k;
    begin(&f, &k, CONF_POSTPAID, 0);
    enter(&f, &k);
    book_team *t = f.who.team;
    assert_int_equal(admit_hold(&f.who, 700, all(0), f.now, &f.e), 0);
    assert_credits(t, -700, 0, 700);
    assert_int_equal(admit_settle(&f.who, 900, 0, f.now), 900); /* pays all */
    assert_credits(t, -900, 900, 0);
    /* Prepaid from now on; what is under way settles by what is held. */
    assert_int_equal(admit_hold(&f.who, 100, all(0), f.now, &f.e), 0);
    af_team(&f, "acme", CONF_PREPAID, "");
    assert_int_equal(admit_settle(&f.who, 150, 0, f.now), 100);
    assert_credits(t, -1000, 1000, 0);
    assert_int_equal(admit_hold(&f.who, 1, all(0), f.now, &f.e), -1);
    af_close(&f);
}

/* An upstream that reports the largest number there is, again and again: what a postpaid team owes
 * ends somewhere, and all figures stay what they are the sum of. */
static void no_team_owes_without_end(void **state)
{
    const int64_t most = INT64_C(4000000000000000000);
    (void)state;
    af f;
    af_key k;
    begin(&f, &k, CONF_POSTPAID, 100);
    enter(&f, &k);
    book_team *t = f.who.team;
    assert_int_equal(admit_hold(&f.who, 10, all(0), f.now, &f.e), 0);
    assert_int_equal(admit_settle(&f.who, INT64_MAX, 0, f.now), most + 100);
    assert_credits(t, -most, most + 100, 0);
    assert_int_equal(admit_hold(&f.who, 1, all(0), f.now, &f.e), -1); /* nor is more held */
    assert_int_equal(f.e.status, 402);
    assert_int_equal(admit_hold(&f.who, 0, all(0), f.now, &f.e), 0);
    assert_int_equal(admit_settle(&f.who, INT64_MAX, 0, f.now), 0);
    assert_credits(t, -most, most + 100, 0);
    book_credit(t, 30);
    assert_int_equal(admit_hold(&f.who, INT64_MAX, all(0), f.now, &f.e), -1);
    assert_int_equal(admit_hold(&f.who, 20, all(0), f.now, &f.e), 0);
    assert_int_equal(admit_settle(&f.who, 25, 0, f.now), 25);
    assert_credits(t, 5 - most, most + 125, 0);
    af_close(&f);
}

static void who_goes_gets_the_hold_back(void **state)
{
    (void)state;
    af f;
    af_key k;
    begin(&f, &k, CONF_PREPAID, 1000);
    k.row.spend_limit_nano = 1000;
    k.row.limits.tokens_per_minute = 100;
    enter(&f, &k);
    book_team *t = f.who.team;
    book_key *key = f.who.key;
    int64_t held;
    assert_int_equal(admit_hold(&f.who, 1000, all(100), f.now, &f.e), 0);
    assert_int_equal(book_spent(key, T0, &held), 0);
    assert_int_equal(held, 1000);
    admit_release(&f.env, &f.who, f.now);
    assert_credits(t, 1000, 0, 0);
    assert_int_equal(book_spent(key, T0, &held), 0);
    assert_int_equal(held, 0);
    assert_int_equal(af_ask(&f, &f.r, af_secret(&k), &f.who), ADMIT_OK);
    assert_int_equal(admit_hold(&f.who, 1000, all(100), f.now, &f.e), 0);
    af_close(&f);
}

static void tokens_a_minute(void **state)
{
    (void)state;
    af f;
    af_key k;
    begin(&f, &k, CONF_PREPAID, 1000);
    k.row.limits.tokens_per_minute = 100;
    enter(&f, &k);
    admit_principal two = {0};
    assert_int_equal(af_ask(&f, &f.r, af_secret(&k), &two), ADMIT_OK);
    assert_int_equal(admit_hold(&f.who, 10, all(80), f.now, &f.e), 0);
    f.now.unix_ms += 30000;
    assert_int_equal(admit_hold(&two, 10, all(21), f.now, &f.e), -1);
    assert_int_equal(f.e.status, 429);
    assert_int_equal(f.e.retry_after_s, 30);
    assert_str(f.e.code, "rate_limit_exceeded");
    assert_str(f.e.message, "Rate limit exceeded: 100 tokens a minute for this key. Retry after 30 "
                            "seconds.");
    assert_int_equal(f.who.team->available, 990); /* nothing of the refused one stays */
    assert_int_equal(admit_settle(&f.who, 10, 30, f.now), 10);
    assert_int_equal(admit_hold(&two, 10, all(70), f.now, &f.e), 0);
    assert_int_equal(admit_settle(&two, 0, 70, f.now), 0);
    assert_int_equal(admit_hold(&two, 10, all(1), f.now, &f.e), -1);
    f.now.unix_ms += 30000;
    assert_int_equal(admit_hold(&two, 10, all(100), f.now, &f.e), 0);
    admit_release(&f.env, &two, f.now);
    af_close(&f);
}

static void spending_limits(void **state)
{
    (void)state;
    af f;
    af_key k;
    begin(&f, &k, CONF_PREPAID, 100 * NANO);
    k.row.spend_limit_nano = 5 * NANO / 2;
    k.row.limits.tokens_per_minute = 100;
    enter(&f, &k);
    assert_int_equal(admit_hold(&f.who, 2 * NANO, all(50), f.now, &f.e), 0);
    assert_int_equal(admit_settle(&f.who, NANO, 0, f.now), NANO);
    assert_int_equal(book_spent(f.who.key, T0, NULL), NANO);
    assert_int_equal(admit_hold(&f.who, 3 * NANO / 2 + 1, all(100), f.now, &f.e), -1);
    assert_int_equal(f.e.status, 402);
    assert_str(f.e.code, "spending_limit_reached");
    assert_str(f.e.message, "This key's spending limit of $2.50 is reached.");
    /* All or nothing: the tokens were given back, and the credits not touched. */
    assert_int_equal(f.who.team->available, 99 * NANO);
    assert_int_equal(admit_hold(&f.who, 3 * NANO / 2, all(100), f.now, &f.e), 0);
    assert_int_equal(admit_settle(&f.who, 3 * NANO / 2, 0, f.now), 3 * NANO / 2);
    assert_int_equal(admit_hold(&f.who, 1, all(0), f.now, &f.e), -1);
    assert_int_equal(admit_hold(&f.who, 0, all(0), f.now, &f.e), 0);
    assert_int_equal(admit_settle(&f.who, 0, 0, f.now), 0);
    /* Refused for want of credits, nothing of the limit stays held. */
    k.row.spend_limit_nano = 1000 * NANO;
    af_put(&f, &k);
    assert_int_equal(admit_hold(&f.who, 500 * NANO, all(100), f.now, &f.e), -1);
    assert_str(f.e.code, "insufficient_credits");
    int64_t held;
    assert_int_equal(book_spent(f.who.key, T0, &held), 5 * NANO / 2);
    assert_int_equal(held, 0);
    assert_int_equal(admit_hold(&f.who, NANO, all(100), f.now, &f.e), 0);
    k.row.spend_limit_nano = 1234500000;
    af_put(&f, &k);
    admit_release(&f.env, &f.who, f.now);
    assert_int_equal(af_ask(&f, &f.r, af_secret(&k), &f.who), ADMIT_OK);
    assert_int_equal(admit_hold(&f.who, 1, all(0), f.now, &f.e), -1);
    assert_str(f.e.message, "This key's spending limit of $1.2345 is reached.");
    k.row.spend_limit_nano = 0;
    af_put(&f, &k);
    assert_int_equal(admit_hold(&f.who, 1, all(0), f.now, &f.e), -1);
    assert_str(f.e.message, "This key's spending limit of $0.00 is reached.");
    af_close(&f);
}

/* T0 is 2025-10-09. */
static void periods(void **state)
{
    (void)state;
    static const struct {
        int32_t kind;
        int64_t last_ms, next_ms; /* the period's last moment, and the next one's first */
    } cases[] = {{REGISTRY_DAILY, INT64_C(1760054399999), INT64_C(1760054400000)},
                 {REGISTRY_MONTHLY, INT64_C(1761955199999), INT64_C(1761955200000)}};
    for (size_t i = 0; i < TP_COUNT(cases); i++) {
        af f;
        af_key k;
        admit_principal two = {0}, three = {0};
        begin(&f, &k, CONF_PREPAID, 100 * NANO);
        k.row.spend_limit_nano = NANO;
        k.row.spend_period = cases[i].kind;
        assert_int_equal(book_put_key(f.b, &k.row, NANO / 2, T0), 0);
        assert_int_equal(af_ask(&f, &f.r, af_secret(&k), &f.who), ADMIT_OK);
        assert_int_equal(af_ask(&f, &f.r, af_secret(&k), &two), ADMIT_OK);
        assert_int_equal(af_ask(&f, &f.r, af_secret(&k), &three), ADMIT_OK);
        f.now.unix_ms = cases[i].last_ms;
        assert_int_equal(admit_hold(&f.who, NANO, all(0), f.now, &f.e), -1);
        assert_int_equal(admit_hold(&two, NANO / 2, all(0), f.now, &f.e), 0);
        f.now.unix_ms = cases[i].next_ms;
        assert_int_equal(book_spent(two.key, f.now.unix_ms, NULL), 0);
        assert_int_equal(admit_hold(&f.who, NANO, all(0), f.now, &f.e),
                         0); /* a new one, the whole of it */
        assert_int_equal(admit_hold(&three, 1, all(0), f.now, &f.e), -1);
        /* What began in the last period counts there: it neither takes of this one nor gives. */
        assert_int_equal(admit_settle(&two, NANO / 4, 0, f.now), NANO / 4);
        assert_int_equal(admit_hold(&three, 1, all(0), f.now, &f.e), -1);
        assert_int_equal(admit_settle(&f.who, NANO / 4, 0, f.now), NANO / 4);
        assert_int_equal(book_spent(two.key, f.now.unix_ms, NULL), NANO / 4);
        /* A clock that is set back begins nothing anew. */
        f.now.unix_ms = cases[i].last_ms;
        assert_int_equal(admit_hold(&three, NANO * 3 / 4 + 1, all(0), f.now, &f.e), -1);
        assert_int_equal(admit_hold(&three, NANO * 3 / 4, all(0), f.now, &f.e), 0);
        admit_release(&f.env, &two, f.now);
        admit_release(&f.env, &three, f.now);
        af_close(&f);
    }
}

static void beginnings_of_months(void **state)
{
    (void)state;
    /* day number of a date, and of its month's first day: leap days, ends of years and centuries */
    static const int64_t days[][2] = {
        {0, 0},         {30, 0},        {31, 31},       {58, 31},
        {59, 59},       {364, 334},     {365, 365},     {789, 761},
        {790, 790},     {11016, 10988}, {11017, 11017}, {19782, 19754},
        {19783, 19783}, {20370, 20362}, {47540, 47513}, {47541, 47541}};
    for (size_t i = 0; i < TP_COUNT(days); i++)
        assert_int_equal(spend_period(REGISTRY_MONTHLY, days[i][0] * 86400000 + 86399999),
                         days[i][1]);
    assert_int_equal(spend_period(REGISTRY_TOTAL, T0), 0);
    assert_int_equal(spend_period(REGISTRY_DAILY, T0), 20370);
}

static void a_changed_period_keeps_what_was_spent(void **state)
{
    (void)state;
    af f;
    af_key k;
    begin(&f, &k, CONF_PREPAID, 100 * NANO);
    k.row.spend_limit_nano = NANO;
    assert_int_equal(book_put_key(f.b, &k.row, NANO, T0), 0);
    assert_int_equal(af_ask(&f, &f.r, af_secret(&k), &f.who), ADMIT_OK);
    assert_int_equal(admit_hold(&f.who, 1, all(0), f.now, &f.e), -1);
    k.row.spend_period = REGISTRY_DAILY;
    af_put(&f, &k);
    assert_int_equal(admit_hold(&f.who, 1, all(0), f.now, &f.e), -1);
    f.now.unix_ms += 86400000;
    assert_int_equal(admit_hold(&f.who, NANO, all(0), f.now, &f.e), 0);
    admit_release(&f.env, &f.who, f.now);
    book_quiet(f.b, 0);
    book_quiet(f.b, 0);
    assert_int_equal(f.b->retired_count, 0);
    af_close(&f);
}

static void nobody_and_plain_keys_hold_nothing(void **state)
{
    (void)state;
    af f;
    af_open(&f, 1);
    af_static(&f, "plain", "sk-plain-0123456789abcdef");
    assert_int_equal(af_ask(&f, &f.r, STR("sk-plain-0123456789abcdef"), &f.who), ADMIT_OK);
    assert_int_equal(admit_hold(&f.who, INT64_MAX, all(INT64_MAX), f.now, &f.e), 0);
    assert_int_equal(admit_settle(&f.who, INT64_MAX, 5, f.now), 0);
    af_close(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(prepaid),
        cmocka_unit_test(postpaid),
        cmocka_unit_test(no_team_owes_without_end),
        cmocka_unit_test(who_goes_gets_the_hold_back),
        cmocka_unit_test(tokens_a_minute),
        cmocka_unit_test(spending_limits),
        cmocka_unit_test(periods),
        cmocka_unit_test(beginnings_of_months),
        cmocka_unit_test(a_changed_period_keeps_what_was_spent),
        cmocka_unit_test(nobody_and_plain_keys_hold_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
