/* Live figures; run under TSan too. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include "base/hash.h"
#include "route/route.h"
#include <pthread.h>

#include <cmocka.h>

static void averages_move_and_arrive(void **state)
{
    route_table *t = route_table_new(8);
    route_live *l = route_live_of(t, 42);
    (void)state;
    assert_ptr_equal(l, route_live_of(t, 42));
    assert_ptr_not_equal(l, route_live_of(t, 43));
    assert_int_equal(l->first_token_us, -1);
    assert_int_equal(l->error_permille, 0);
    route_live_started(l);
    route_live_started(l);
    assert_int_equal(l->in_flight, 2);
    assert_int_equal(l->attempts, 2);
    route_live_ended(l, 0, 8000); /* the first sample is the average */
    assert_int_equal(l->first_token_us, 8000);
    assert_int_equal(l->error_permille, 0);
    route_live_ended(l, 1, -1); /* none came: the average stays; 0 + 1000 / 16 */
    assert_int_equal(l->first_token_us, 8000);
    assert_int_equal(l->error_permille, 62);
    assert_int_equal(l->failures, 1);
    assert_int_equal(l->in_flight, 0);
    route_live_started(l);
    route_live_ended(l, 0, 16000); /* 8000 + 8000 / 8; 62 - 62 / 16 */
    assert_int_equal(l->first_token_us, 9000);
    assert_int_equal(l->error_permille, 59);
    for (int i = 0; i < 200; i++)
        route_live_ended(l, 1, 100);
    assert_int_equal(l->error_permille, 1000);
    assert_int_equal(l->first_token_us, 100);
    for (int i = 0; i < 200; i++)
        route_live_ended(l, 0, 100);
    assert_int_equal(l->error_permille, 0);
    route_table_free(t);
}

static void key_zero_is_a_key(void **state)
{
    route_table *t = route_table_new(8);
    (void)state;
    assert_ptr_equal(route_live_of(t, 0), route_live_of(t, 0));
    assert_ptr_not_equal(route_live_of(t, 0), route_live_of(t, 2));
    route_table_free(t);
}

static void a_full_table_shares_its_last_slot(void **state)
{
    route_table *t = route_table_new(4); /* 8 slots */
    route_live *own[8];
    (void)state;
    for (uint64_t i = 0; i < 8; i++) {
        own[i] = route_live_of(t, 100 + i);
        for (uint64_t k = 0; k < i; k++)
            assert_ptr_not_equal(own[i], own[k]);
    }
    route_live *late = route_live_of(t, 200);
    assert_ptr_equal(late, route_live_of(t, 201));
    for (uint64_t i = 0; i < 8; i++) {
        assert_ptr_not_equal(late, own[i]);
        assert_ptr_equal(own[i], route_live_of(t, 100 + i));
    }
    route_live_started(late);
    assert_int_equal(route_live_of(t, 999)->in_flight, 1);
    route_table_free(t);
}

enum { THREADS = 4, ROUNDS = 20000, KEYS = 37 };

static void *worker(void *arg)
{
    route_table *t = arg;
    for (uint64_t i = 0; i < ROUNDS; i++) {
        route_live *l = route_live_of(t, hash_mix(i % KEYS));
        route_live_started(l);
        route_live_ended(l, i % 5 == 0, (int64_t)(i % 7) * 100);
    }
    return NULL;
}

static void threads_lose_no_count(void **state)
{
    route_table *t = route_table_new(KEYS);
    pthread_t threads[THREADS];
    uint64_t attempts = 0, failures = 0;
    (void)state;
    for (int i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, worker, t), 0);
    for (int i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    for (uint64_t i = 0; i < KEYS; i++) {
        route_live *l = route_live_of(t, hash_mix(i));
        attempts += l->attempts;
        failures += l->failures;
        assert_int_equal(l->in_flight, 0);
        assert_true(l->error_permille >= 0 && l->error_permille <= 1000);
        assert_true(l->first_token_us >= 0 && l->first_token_us <= 600);
    }
    assert_int_equal(attempts, THREADS * ROUNDS);
    assert_int_equal(failures, THREADS * ROUNDS / 5);
    route_table_free(t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(averages_move_and_arrive),
        cmocka_unit_test(key_zero_is_a_key),
        cmocka_unit_test(a_full_table_shares_its_last_slot),
        cmocka_unit_test(threads_lose_no_count),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
