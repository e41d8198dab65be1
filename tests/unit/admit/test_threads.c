/* Workers, jobs and reloads at the same time. Run under ThreadSanitizer as well. */
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <unistd.h>

#include "admit_fixture.h"

#include "admit/book_int.h"

static void run(int n, void *(*body)(void *), void *args, size_t size)
{
    pthread_t t[64];
    for (int i = 0; i < n; i++)
        assert_int_equal(pthread_create(&t[i], NULL, body, (char *)args + (size_t)i * size), 0);
    for (int i = 0; i < n; i++)
        assert_int_equal(pthread_join(t[i], NULL), 0);
}

/* ---- Credits: 64 clients, each a thread with a principal of its own. */
enum { CLIENTS = 64, PAID = 50021 };
typedef struct client {
    af *f;
    const af_key *k;
    int64_t hold, cost;       /* cost -1: chosen by the thread, up to the hold */
    pthread_barrier_t *start; /* all at once: a thread alone would be done before the next begins */
    int64_t served, refused, charged, below_zero;
} client;

static void *spend(void *arg)
{
    client *c = arg;
    admit_principal who = {.key = book_key_by_lookup(c->f->b, c->k->row.lookup)};
    profile_error e;
    rng r = {(uint64_t)(uintptr_t)c};
    book_pin(who.key);
    who.team = who.key->terms->team;
    pthread_barrier_wait(c->start);
    while (admit_hold(&who, c->hold, all(0), c->f->now, &e) == 0) {
        int64_t cost = c->cost >= 0 ? c->cost : (int64_t)rng_below(&r, (uint64_t)c->hold + 1);
        c->below_zero += who.team->available < 0;
        if (c->served % 64 == 63)
            sched_yield(); /* with its hold */
        c->charged += admit_settle(&who, cost, 0, c->f->now);
        c->served++;
    }
    c->refused += e.status == 402;
    admit_release(&c->f->env, &who, c->f->now);
    return NULL;
}

static client race_for_credits(int64_t credits, int64_t hold, int64_t cost, int64_t spend_limit)
{
    af f;
    af_key k;
    client clients[CLIENTS], all = {0};
    af_open(&f, 0);
    af_team(&f, "acme", CONF_PREPAID, "");
    book_team *t = book_team_of(f.b, STR("acme"));
    book_set_credits(t, credits, 0);
    af_make(&f, &k);
    k.row.spend_limit_nano = spend_limit;
    af_put(&f, &k);
    pthread_barrier_t start;
    pthread_barrier_init(&start, NULL, CLIENTS);
    for (int i = 0; i < CLIENTS; i++)
        clients[i] = (client){.f = &f, .k = &k, .hold = hold, .cost = cost, .start = &start};
    run(CLIENTS, spend, clients, sizeof(clients[0]));
    pthread_barrier_destroy(&start);
    for (int i = 0; i < CLIENTS; i++) {
        all.served += clients[i].served;
        all.refused += clients[i].refused;
        all.charged += clients[i].charged;
        all.below_zero += clients[i].below_zero;
    }
    assert_int_equal(all.refused, CLIENTS);
    assert_int_equal(all.below_zero, 0);
    assert_int_equal(t->held, 0);
    assert_int_equal(t->used, all.charged);
    assert_int_equal(t->available, credits - all.charged);
    int64_t held;
    assert_int_equal(book_spent(book_key_by_id(f.b, k.row.id), T0, &held), all.charged);
    assert_int_equal(held, 0);
    assert_int_equal(book_key_by_id(f.b, k.row.id)->pins, 0);
    af_close(&f);
    return all;
}

static void exactly_as_many_are_served_as_are_paid_for(void **state)
{
    (void)state;
    for (int round = 0; round < 20; round++) {
        client all = race_for_credits(PAID * 13, 13, 13, -1);
        assert_int_equal(all.served, PAID);
        assert_int_equal(all.charged, PAID * 13);
    }
}

static void holds_above_the_cost_never_overdraw(void **state)
{
    (void)state;
    for (int round = 0; round < 10; round++) {
        client all = race_for_credits(1000000, 100, -1, -1);
        /* Each refusal was right: less than a hold was left at its moment, so what is left after
         * all holds were given back is less than all of them together. */
        assert_true(all.charged <= 1000000 && all.charged > 1000000 - CLIENTS * 100);
        race_for_credits(1000000, 100, 120, -1); /* dearer than was held */
    }
}

static void exactly_a_spending_limit(void **state)
{
    (void)state;
    for (int round = 0; round < 10; round++) {
        client all = race_for_credits(INT64_C(1) << 50, 7, 7, 7 * PAID + 6);
        assert_int_equal(all.served, PAID);
    }
}

/* A period that ends while everybody holds: neither period's limit is passed. */
typedef struct roller {
    af *f;
    const af_key *k;
    _Atomic int64_t *clock;
    int64_t by_day[2];
} roller;

static void *roll(void *arg)
{
    roller *r = arg;
    admit_principal who = {.key = book_key_by_lookup(r->f->b, r->k->row.lookup)};
    profile_error e;
    book_pin(who.key);
    who.team = who.key->terms->team;
    for (int i = 0; i < 3000; i++) {
        tp_now now = {.unix_ms = atomic_fetch_add(r->clock, 1)};
        if (admit_hold(&who, 10, all(0), now, &e) != 0)
            continue;
        int64_t day = who.spend_began - 20370;
        now.unix_ms = *r->clock;
        r->by_day[day] += admit_settle(&who, 1 + i % 10, 0, now);
    }
    book_unpin(r->f->b, who.key);
    return NULL;
}

static void no_period_is_overspent(void **state)
{
    (void)state;
    for (int round = 0; round < 10; round++) {
        af f;
        af_key k;
        roller rollers[8];
        int64_t sums[2] = {0, 0};
        _Atomic int64_t clock = INT64_C(1760054400000) - 12000; /* to midnight */
        af_open(&f, 0);
        af_team(&f, "acme", CONF_POSTPAID, "");
        af_make(&f, &k);
        k.row.spend_limit_nano = 20000;
        k.row.spend_period = REGISTRY_DAILY;
        af_put(&f, &k);
        for (int i = 0; i < 8; i++)
            rollers[i] = (roller){.f = &f, .k = &k, .clock = &clock};
        run(8, roll, rollers, sizeof(rollers[0]));
        for (int i = 0; i < 8; i++) {
            sums[0] += rollers[i].by_day[0];
            sums[1] += rollers[i].by_day[1];
        }
        for (int day = 0; day < 2; day++)
            assert_true(sums[day] <= 20000 && sums[day] > 20000 - 90);
        assert_true(book_spent(book_key_by_id(f.b, k.row.id), clock, NULL) <= sums[1]);
        af_close(&f);
    }
}

/* ---- Workers admit while everything changes under them. */
enum { WORKERS = 4, KEYS = 8, CHANGES = 400 };
typedef struct churn {
    af *f;
    af_key *keys;
    _Atomic int *done;
    _Atomic int64_t *step; /* of each key, modulo 4: in the book, going, revoked, coming */
    uint32_t worker;
    int64_t passed, refused, wrong, late;
} churn;

static void *work(void *arg)
{
    churn *c = arg;
    secret_mac *mac = secret_mac_new(&c->f->pepper);
    admit_env env = {c->f->b, mac, c->f->addresses};
    rng r = {c->worker};
    profile_error e;
    while (!*c->done) {
        const uint64_t which = rng_below(&r, KEYS);
        const af_key *k = &c->keys[which];
        admit_principal who;
        char value[128];
        int n = snprintf(value, sizeof(value), "Bearer %.*s", (int)k->len, k->secret);
        tp_header h1 = {STR("authorization"), str_make(value, (size_t)n)};
        http_head h = {.headers = &h1, .header_count = 1};
        h.known[HTTP_H_AUTHORIZATION] = h1.value;
        int64_t before = c->step[which];
        int rc = admit_check(&env, &c->f->w, &c->f->r, &h, STR("192.0.2.1"), c->f->now, &who, &e);
        int64_t after = c->step[which];
        if (rc == ADMIT_OK) {
            c->passed++;
            c->late += before == after && before % 4 == 2; /* its removal had been answered */
            c->wrong += !str_eq(who.key->id, k->row.id) || who.team != who.key->terms->team;
            tp_str name = admit_name(&who);
            c->wrong += name.len != 3 || memcmp(name.ptr, "one", 3) != 0;
            const conf_policy *p = admit_policy(&who);
            c->wrong += p && !str_eq(p->deny_models[0], STR("secret-model"));
            const book_byok *own = admit_byok(&who, STR("groq"), STR("chat/openai"));
            c->wrong += own && !str_eq(own->secret, STR("gsk-0123456789"));
            if (admit_hold(&who, 5, all(3), c->f->now, &e) == 0)
                c->wrong += admit_settle(&who, 5, 3, c->f->now) != 5;
        } else {
            c->refused++;
            c->late += before == after && before % 4 == 0 && e.status == 401;
        }
        admit_release(&env, &who, c->f->now);
        book_quiet(c->f->b, c->worker);
    }
    secret_mac_free(mac);
    return NULL;
}

static void change(churn *c, int i)
{
    af *f = c->f;
    uint32_t which = (uint32_t)i % KEYS;
    af_key *k = &c->keys[which];
    tp_str deny[] = {STR("secret-model")};
    registry_team t = {.id = STR("acme"),
                       .name = STR("acme"),
                       .active = 1,
                       .billing = CONF_POSTPAID,
                       .tier = i % 2 ? STR("free") : STR("pro"),
                       .policy = {.deny_models = deny, .deny_model_count = (uint32_t)i % 2}};
    book_byok own = {STR("groq"), STR("api_key"), STR("gsk-0123456789"), STR_NONE, T0};
    switch (i % 5) {
    case 0:
        assert_int_equal(book_put_team(f->b, &t), 0);
        break;
    case 1:
        assert_int_equal(book_put_byok(f->b, STR("acme"), &own, (uint32_t)i / 5 % 2), 0);
        break;
    case 2:
        k->row.spend_period = i % 3;
        assert_int_equal(book_put_key(f->b, &k->row, 0, T0), 0);
        break;
    case 3:
        atomic_fetch_add(&c->step[which], 1);
        assert_int_equal(book_remove_key(f->b, k->row.id), 0);
        atomic_fetch_add(&c->step[which], 1);
        usleep(200); /* the workers ask for it */
        atomic_fetch_add(&c->step[which], 1);
        assert_int_equal(book_put_key(f->b, &k->row, 0, T0), 0);
        atomic_fetch_add(&c->step[which], 1);
        break;
    default:
        assert_int_equal(book_configure(f->b, &f->c, T0), 0);
    }
}

static void everything_changes_under_load(void **state)
{
    (void)state;
    af f;
    af_key keys[KEYS];
    churn workers[WORKERS];
    pthread_t threads[WORKERS];
    _Atomic int done = 0;
    _Atomic int64_t steps[KEYS] = {0};
    conf_tier tiers[] = {{.name = STR("free"), .limits = {0, 0, 1000}},
                         {.name = STR("pro"), .limits = {0, 1000000, 0}}};
    af_open(&f, WORKERS);
    f.c.admission.address_requests_per_minute = 0;
    f.c.tiers = tiers;
    f.c.tier_count = 2;
    af_team(&f, "acme", CONF_POSTPAID, "");
    for (int i = 0; i < KEYS; i++) {
        af_make(&f, &keys[i]);
        af_put(&f, &keys[i]);
    }
    for (uint32_t i = 0; i < WORKERS; i++) {
        workers[i] = (churn){.f = &f, .keys = keys, .done = &done, .step = steps, .worker = i};
        assert_int_equal(pthread_create(&threads[i], NULL, work, &workers[i]), 0);
    }
    for (int i = 0; i < CHANGES; i++)
        change(&workers[0], i);
    done = 1;
    int64_t passed = 0, refused = 0;
    for (int i = 0; i < WORKERS; i++) {
        pthread_join(threads[i], NULL);
        assert_int_equal(workers[i].wrong, 0);
        assert_int_equal(workers[i].late, 0);
        refused += workers[i].refused;
        passed += workers[i].passed;
    }
    assert_true(passed > 0 && refused > 0);
    book_team *t = book_team_of(f.b, STR("acme"));
    assert_int_equal(t->held, 0);
    assert_int_equal(t->used % 5, 0);
    for (int i = 0; i < KEYS; i++) {
        assert_int_equal(book_key_by_id(f.b, keys[i].row.id)->pins, 0);
        assert_int_equal(book_key_by_id(f.b, keys[i].row.id)->in_flight, 0);
    }
    for (uint32_t i = 0; i < 10000 && f.b->retired_count; i++)
        book_quiet(f.b, i % WORKERS);
    assert_int_equal(f.b->retired_count, 0);
    af_close(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(exactly_as_many_are_served_as_are_paid_for),
        cmocka_unit_test(holds_above_the_cost_never_overdraw),
        cmocka_unit_test(exactly_a_spending_limit),
        cmocka_unit_test(no_period_is_overspent),
        cmocka_unit_test(everything_changes_under_load),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
