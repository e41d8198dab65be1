/* The timer wheel in virtual time. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/hash.h"
#include "loop/wheel.h"

typedef struct probe {
    wheel_timer t;
    wheel *w;
    int64_t now; /* of the run that fired it */
    int fired;
    struct probe *kills, *arms;
    int64_t arm_at;
} probe;

static int64_t clock_us;

static void fire(wheel_timer *t)
{
    probe *p = TP_CONTAINER(t, probe, t);
    p->fired++;
    p->now = clock_us;
    if (p->kills)
        wheel_disarm(p->w, &p->kills->t);
    if (p->arms)
        wheel_arm(p->w, &p->arms->t, p->arm_at);
}

static void run_to(wheel *w, int64_t us)
{
    clock_us = us;
    wheel_run(w, us);
}

static void never_early_and_two_ticks_late_at_most(void **state)
{
    static probe ps[500];
    static wheel w;
    rng r = {42};
    (void)state;
    wheel_init(&w, 1000000);
    for (unsigned i = 0; i < TP_COUNT(ps); i++) {
        ps[i] = (probe){.t = {.fire = fire}, .w = &w};
        wheel_arm(&w, &ps[i].t, 1000000 + (int64_t)rng_below(&r, 30000000)); /* over several turns */
    }
    assert_int_equal(w.armed, TP_COUNT(ps));
    for (int64_t t = 1000000; t < 31100000; t += 1 + (int64_t)rng_below(&r, 4000))
        run_to(&w, t);
    assert_int_equal(w.armed, 0);
    for (unsigned i = 0; i < TP_COUNT(ps); i++) {
        assert_int_equal(ps[i].fired, 1);
        assert_true(ps[i].now >= ps[i].t.due_us);
        assert_true(ps[i].now <= ps[i].t.due_us + 2 * WHEEL_TICK_US);
    }
}

static void disarmed_and_armed_anew(void **state)
{
    static wheel w;
    probe a = {.t = {.fire = fire}, .w = &w}, b = a;
    (void)state;
    wheel_init(&w, 0);
    wheel_arm(&w, &a.t, 50000);
    wheel_arm(&w, &b.t, 50000);
    wheel_disarm(&w, &a.t);
    wheel_disarm(&w, &a.t);
    wheel_arm(&w, &b.t, 900000);
    assert_int_equal(w.armed, 1);
    run_to(&w, 800000);
    assert_int_equal(a.fired + b.fired, 0);
    run_to(&w, 920000);
    assert_int_equal(b.fired, 1);
    assert_int_equal(a.fired, 0);
    assert_null(b.t.link);
}

static void timers_may_disarm_others_while_firing(void **state)
{
    static wheel w;
    probe a = {.t = {.fire = fire}, .w = &w}, b = a, c = a;
    (void)state;
    wheel_init(&w, 0);
    a.kills = &b; /* the same slot, whichever comes first */
    b.kills = &a;
    wheel_arm(&w, &a.t, 20000);
    wheel_arm(&w, &b.t, 20000);
    wheel_arm(&w, &c.t, 20000);
    run_to(&w, 40000);
    assert_int_equal(a.fired + b.fired, 1);
    assert_int_equal(c.fired, 1);
    assert_int_equal(w.armed, 0);
}

static void a_timer_that_arms_itself_fires_once_a_tick(void **state)
{
    static wheel w;
    probe a = {.t = {.fire = fire}, .w = &w};
    (void)state;
    wheel_init(&w, 0);
    a.arms = &a; /* already due */
    wheel_arm(&w, &a.t, 0);
    run_to(&w, 10 * WHEEL_TICK_US);
    assert_int_equal(a.fired, 10); /* bounded: no loop for ever */
    wheel_disarm(&w, &a.t);
    assert_int_equal(w.armed, 0);
}

static void a_long_sleep_fires_what_was_due(void **state)
{
    static wheel w;
    static probe ps[64];
    (void)state;
    wheel_init(&w, 0);
    for (unsigned i = 0; i < TP_COUNT(ps); i++) {
        ps[i] = (probe){.t = {.fire = fire}, .w = &w};
        wheel_arm(&w, &ps[i].t, (int64_t)i * 1000000);
    }
    run_to(&w, 3600LL * 1000000); /* an hour at once */
    for (unsigned i = 0; i < TP_COUNT(ps); i++)
        assert_int_equal(ps[i].fired, 1);
    probe late = {.t = {.fire = fire}, .w = &w};
    wheel_arm(&w, &late.t, 3601LL * 1000000);
    run_to(&w, 3600LL * 1000000 + 500000);
    assert_int_equal(late.fired, 0);
    run_to(&w, 3601LL * 1000000 + 2 * WHEEL_TICK_US);
    assert_int_equal(late.fired, 1);
}

static void an_empty_wheel_keeps_up(void **state)
{
    static wheel w;
    probe a = {.t = {.fire = fire}, .w = &w};
    (void)state;
    wheel_init(&w, 0);
    run_to(&w, 1LL << 50); /* at once, not tick by tick */
    wheel_arm(&w, &a.t, (1LL << 50) + 100000);
    run_to(&w, (1LL << 50) + 99999);
    assert_int_equal(a.fired, 0);
    run_to(&w, (1LL << 50) + 100000 + 2 * WHEEL_TICK_US);
    assert_int_equal(a.fired, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(never_early_and_two_ticks_late_at_most),
        cmocka_unit_test(disarmed_and_armed_anew),
        cmocka_unit_test(timers_may_disarm_others_while_firing),
        cmocka_unit_test(a_timer_that_arms_itself_fires_once_a_tick),
        cmocka_unit_test(a_long_sleep_fires_what_was_due),
        cmocka_unit_test(an_empty_wheel_keeps_up),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
