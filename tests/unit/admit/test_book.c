/* The book's rows, tables and what is freed when. */
#include "admit_fixture.h"

#include "admit/book_int.h"

static void rows_are_copied(void **state)
{
    (void)state;
    af f;
    af_key k;
    char name[] = "a name", tier[] = "", by[] = "key_of_somebody";
    af_open(&f, 0);
    af_team(&f, "acme", CONF_PREPAID, "");
    af_make(&f, &k);
    k.row.name = str_of(name);
    k.row.tier = str_of(tier);
    k.row.created_by = str_of(by);
    k.row.argon2 = STR("$argon2id$");
    k.row.last_used_ms = 77;
    assert_int_equal(book_put_key(f.b, &k.row, 55, T0), 0);
    memset(name, '#', 6);
    memset(by, '#', 6);
    book_key *key = book_key_by_id(f.b, k.row.id);
    assert_ptr_equal(book_key_by_lookup(f.b, k.row.lookup), key);
    const key_terms *t = key->terms;
    assert_str(t->name, "a name");
    assert_str(t->created_by, "key_of_somebody");
    assert_str(t->argon2, "$argon2id$");
    assert_true(str_eq(t->lookup, k.row.lookup) && t->lookup.ptr != k.row.lookup.ptr);
    assert_int_equal(t->created_ms, T0);
    assert_int_equal(key->last_used_ms, 77);
    assert_int_equal(book_spent(key, T0, NULL), 55);
    assert_str(t->team->id, "acme");
    /* A change keeps the figures. */
    k.row.name = STR("other");
    assert_int_equal(book_put_key(f.b, &k.row, 9999, T0), 0);
    assert_ptr_equal(book_key_by_id(f.b, k.row.id), key);
    t = key->terms;
    assert_str(t->name, "other");
    assert_int_equal(book_spent(key, T0, NULL), 55);
    assert_int_equal(book_key_count(f.b), 1);
    af_close(&f);
}

static void rows_that_do_not_fit(void **state)
{
    (void)state;
    af f;
    af_key k, other;
    af_open(&f, 0);
    af_make(&f, &k);
    assert_int_equal(book_put_key(f.b, &k.row, 0, T0), -1); /* no such team */
    af_team(&f, "acme", CONF_PREPAID, "");
    af_put(&f, &k);
    af_make(&f, &other);
    other.row.lookup = k.row.lookup;
    assert_int_equal(book_put_key(f.b, &other.row, 0, T0), -1);
    assert_int_equal(book_key_count(f.b), 1);
    assert_null(book_key_by_id(f.b, other.row.id));
    assert_int_equal(book_remove_key(f.b, STR("key_nobody")), -1);
    assert_null(book_key_by_lookup(f.b, STR("")));
    assert_null(book_team_of(f.b, STR("nobody")));
    af_static(&f, "s", "sk-static-0123456789abcdef")->team = STR("named");
    assert_int_equal(book_configure(f.b, &f.c, T0), 0);
    other.row.lookup = STR("tp_live_000000000000");
    other.row.team = STR("named"); /* by a static key, and by nobody else */
    assert_int_equal(book_put_key(f.b, &other.row, 0, T0), -1);
    af_close(&f);
}

/* The same id with another secret: the old secret ends, the figures go on. */
static void another_secret(void **state)
{
    (void)state;
    af f;
    af_key k, next;
    af_open(&f, 1);
    af_team(&f, "acme", CONF_PREPAID, "");
    af_make(&f, &k);
    k.row.limits.requests_per_minute = 5;
    assert_int_equal(book_put_key(f.b, &k.row, 42, T0), 0);
    assert_int_equal(af_pass(&f, af_secret(&k)), ADMIT_OK);
    af_make(&f, &next);
    next.row.id = k.row.id;
    next.row.limits.requests_per_minute = 5;
    assert_int_equal(book_put_key(f.b, &next.row, 0, T0), 0);
    assert_int_equal(af_pass(&f, af_secret(&k)), ADMIT_REFUSED);
    assert_int_equal(af_pass(&f, af_secret(&next)), ADMIT_OK);
    assert_int_equal(book_spent(book_key_by_id(f.b, k.row.id), T0, NULL), 42);
    assert_int_equal(book_key_count(f.b), 1);
    af_close(&f);
}

static int count_key(void *arg, book_key *k)
{
    uint32_t *n = arg;
    char id[16];
    snprintf(id, sizeof(id), "k%u", (*n)++ * 2 + 1);
    assert_str(k->id, id); /* in the order of their making */
    return 0;
}

static int stop(void *arg, book_key *k)
{
    (void)arg;
    (void)k;
    return 17;
}

static void many_come_and_go(void **state)
{
    (void)state;
    enum { N = 2000 };
    static char ids[N][16], lookups[N][32];
    af f;
    uint32_t n = 0;
    af_open(&f, 1);
    af_team(&f, "acme", CONF_PREPAID, "");
    registry_key row = {.team = STR("acme"), .spend_limit_nano = -1, .limits = {-1, -1, -1}};
    for (int round = 0; round < 3; round++) {
        for (int i = 0; i < N; i++) {
            snprintf(ids[i], sizeof(ids[i]), "k%d", i);
            snprintf(lookups[i], sizeof(lookups[i]), "tp_live_%012d", i);
            row.id = str_of(ids[i]);
            row.lookup = str_of(lookups[i]);
            assert_int_equal(book_put_key(f.b, &row, 0, T0), 0);
        }
        assert_int_equal(book_key_count(f.b), N);
        for (int i = 0; i < N; i += 2)
            assert_int_equal(book_remove_key(f.b, str_of(ids[i])), 0);
        for (int i = 0; i < N; i++) {
            book_key *k = book_key_by_id(f.b, str_of(ids[i]));
            assert_ptr_equal(book_key_by_lookup(f.b, str_of(lookups[i])), k);
            assert_int_equal(k != NULL, i % 2);
        }
    }
    assert_int_equal(book_key_count(f.b), N / 2);
    book_enter(f.b);
    assert_int_equal(book_each_key(f.b, stop, NULL), 17);
    book_leave(f.b);
    for (int i = 0; i < N; i += 2) /* the order of the odd ones was that of the first round */
        assert_null(book_key_by_id(f.b, str_of(ids[i])));
    book_enter(f.b);
    assert_int_equal(book_each_key(f.b, count_key, &n), 0);
    book_leave(f.b);
    assert_int_equal(n, N / 2);
    af_close(&f);
}

static int count_team(void *arg, book_team *t)
{
    (void)t;
    ++*(int *)arg;
    return 0;
}

static void tiers_say_what_nobody_else_says(void **state)
{
    (void)state;
    conf_tier tiers[] = {{.name = STR("free"), .limits = {100, 0, 0}},
                         {.name = STR("pro"), .limits = {1000, 50000, 7}}};
    static const struct {
        const char *own, *team; /* tiers */
        conf_limits said, force;
    } cases[] = {{"", "", {-1, -1, -1}, {0, 0, 0}},
                 {"", "free", {-1, -1, -1}, {100, 0, 0}},
                 {"pro", "free", {-1, -1, -1}, {1000, 50000, 7}},
                 {"pro", "free", {5, -1, 0}, {5, 50000, 0}},
                 {"", "pro", {-1, 0, 1}, {1000, 0, 1}},
                 {"gone", "pro", {-1, -1, -1}, {BOOK_LOST_TIER, 0, 0}},
                 {"", "", {INT64_MAX, INT64_MAX, INT64_MAX}, {16000000, 16000000000, 1000000}}};
    af f;
    af_key k;
    af_open(&f, 0);
    f.c.tiers = tiers;
    f.c.tier_count = 2;
    assert_int_equal(book_configure(f.b, &f.c, T0), 0);
    af_team(&f, "acme", CONF_PREPAID, "");
    af_make(&f, &k);
    for (size_t i = 0; i < TP_COUNT(cases); i++) {
        k.row.tier = str_of(cases[i].own);
        k.row.limits = cases[i].said;
        af_put(&f, &k);
        af_team(&f, "acme", CONF_PREPAID, cases[i].team);
        const key_terms *t = book_key_by_id(f.b, k.row.id)->terms;
        assert_memory_equal(&t->in_force, &cases[i].force, sizeof(t->in_force));
        assert_memory_equal(&t->limits, &cases[i].said, sizeof(t->limits));
    }
    /* A reload that changes a tier. */
    k.row.tier = STR("pro");
    k.row.limits = (conf_limits){-1, -1, -1};
    af_put(&f, &k);
    tiers[1].limits.requests_per_minute = 2000;
    assert_int_equal(book_configure(f.b, &f.c, T0), 0);
    assert_int_equal(book_key_by_id(f.b, k.row.id)->terms->in_force.requests_per_minute, 2000);
    f.c.tier_count = 1;
    assert_int_equal(book_configure(f.b, &f.c, T0), 0);
    assert_int_equal(book_key_by_id(f.b, k.row.id)->terms->in_force.requests_per_minute,
                     BOOK_LOST_TIER);
    af_close(&f);
}

static void teams_of_the_configuration(void **state)
{
    (void)state;
    conf_team teams[] = {
        {.id = STR("acme"), .name = STR("Acme Inc"), .active = 1, .billing = CONF_POSTPAID}};
    book_byok own[] = {{STR("groq"), STR("api_key"), STR("gsk-1"), STR_NONE, T0}};
    af f;
    int n = 0;
    af_open(&f, 0);
    f.c.teams = teams;
    f.c.team_count = 1;
    assert_int_equal(book_configure(f.b, &f.c, T0), 0);
    book_team *t = book_team_of(f.b, STR("acme"));
    assert_int_equal(t->terms->configured, 1);
    assert_int_equal(t->terms->billing, CONF_POSTPAID);
    assert_int_equal(book_put_byok(f.b, STR("acme"), own, 1), 0);
    book_credit(t, 500);
    af_team(&f, "acme", CONF_PREPAID, ""); /* the store has one of this name: conf.d's counts */
    assert_str(t->terms->name, "Acme Inc");
    assert_int_equal(t->terms->billing, CONF_POSTPAID);
    /* Without the line in conf.d the store's counts. */
    f.c.team_count = 0;
    assert_int_equal(book_configure(f.b, &f.c, T0), 0);
    assert_ptr_equal(book_team_of(f.b, STR("acme")), t);
    assert_str(t->terms->name, "acme");
    assert_int_equal(t->terms->billing, CONF_PREPAID);
    assert_int_equal(t->terms->active, 1);
    assert_int_equal(t->terms->configured, 0);
    assert_str(t->terms->byok[0].secret, "gsk-1");
    assert_int_equal(book_balance(t), 500);
    /* One that nobody else knows becomes inactive, and is there again with its line. */
    teams[0].id = STR("other");
    f.c.team_count = 1;
    assert_int_equal(book_configure(f.b, &f.c, T0), 0);
    book_team *other = book_team_of(f.b, STR("other"));
    assert_int_equal(other->terms->active, 1);
    f.c.team_count = 0;
    assert_int_equal(book_configure(f.b, &f.c, T0), 0);
    assert_int_equal(other->terms->active, 0);
    f.c.team_count = 1;
    assert_int_equal(book_configure(f.b, &f.c, T0), 0);
    assert_int_equal(other->terms->active, 1);
    book_enter(f.b);
    book_each_team(f.b, count_team, &n);
    book_leave(f.b);
    assert_int_equal(n, 2);
    af_close(&f);
}

/* What a worker may still hold stays until it says that it does not. */
static void nothing_is_freed_too_early(void **state)
{
    (void)state;
    af f;
    af_key k;
    af_open(&f, 2);
    af_team(&f, "acme", CONF_PREPAID, "");
    af_make(&f, &k);
    af_put(&f, &k);
    book_quiet(f.b, 0);
    book_quiet(f.b, 1);
    book_quiet(f.b, 0);
    assert_int_equal(f.b->retired_count, 0);
    book_key *key = book_key_by_lookup(f.b, k.row.lookup);
    const key_terms *old = key->terms;
    k.row.name = STR("two");
    af_put(&f, &k);
    assert_int_equal(f.b->retired_count, 1);
    book_quiet(f.b, 0);
    book_quiet(f.b, 0); /* the other worker has not spoken */
    assert_int_equal(f.b->retired_count, 1);
    assert_str(old->name, "one"); /* AddressSanitizer would see it */
    book_quiet(f.b, 1);
    assert_int_equal(f.b->retired_count, 0);
    /* A pinned key outlives its removal. */
    book_pin(key);
    assert_int_equal(book_remove_key(f.b, k.row.id), 0);
    for (uint32_t i = 0; i < 6; i++)
        book_quiet(f.b, i % 2);
    assert_int_equal(f.b->retired_count, 1);
    assert_int_equal(key->revoked, 1);
    assert_str(key->terms->name, "two");
    book_unpin(f.b, key);
    book_quiet(f.b, 0);
    assert_int_equal(f.b->retired_count, 0);
    af_close(&f);
}

/* A worker that is busy does not stop others from changing, and nothing piles up once it spoke. */
static void all_is_reclaimed(void **state)
{
    (void)state;
    af f;
    af_key k;
    af_open(&f, 1);
    af_team(&f, "acme", CONF_PREPAID, "");
    af_make(&f, &k);
    for (int i = 0; i < 3000; i++) {
        af_put(&f, &k);
        if (i % 3 == 0)
            af_team(&f, "acme", CONF_PREPAID, i % 2 ? "a" : "b");
        if (i % 5 == 0)
            assert_int_equal(book_remove_key(f.b, k.row.id), 0);
    }
    assert_true(f.b->retired_count > 3000);
    uint32_t left = f.b->retired_count;
    book_quiet(f.b, 0);
    assert_true(f.b->retired_count < left &&
                f.b->retired_count > 0); /* a bounded piece at a time */
    for (int i = 0; f.b->retired_count && i < 1000; i++)
        book_quiet(f.b, 0);
    assert_int_equal(f.b->retired_count, 0);
    af_close(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rows_are_copied),
        cmocka_unit_test(rows_that_do_not_fit),
        cmocka_unit_test(another_secret),
        cmocka_unit_test(many_come_and_go),
        cmocka_unit_test(tiers_say_what_nobody_else_says),
        cmocka_unit_test(teams_of_the_configuration),
        cmocka_unit_test(nothing_is_freed_too_early),
        cmocka_unit_test(all_is_reclaimed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
