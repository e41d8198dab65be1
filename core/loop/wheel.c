#include "loop/wheel.h"

#include "base/base.h"

static int64_t tick_up(int64_t us) /* first tick at whose start `us` has passed */
{
    return (us + WHEEL_TICK_US - 1) / WHEEL_TICK_US;
}

static void slot_push(wheel_timer **slot, wheel_timer *t)
{
    t->next = *slot;
    if (t->next)
        t->next->link = &t->next;
    t->link = slot;
    *slot = t;
}

static void unlink_timer(wheel_timer *t)
{
    *t->link = t->next;
    if (t->next)
        t->next->link = t->link;
    t->next = NULL;
    t->link = NULL;
}

void wheel_init(wheel *w, int64_t now_us)
{
    *w = (wheel){.tick = now_us / WHEEL_TICK_US};
}

void wheel_arm(wheel *w, wheel_timer *t, int64_t due_us)
{
    if (t->link)
        unlink_timer(t);
    else
        w->armed++;
    t->due_us = due_us;
    int64_t at = TP_MAX(tick_up(due_us), w->tick + 1);
    slot_push(&w->slots[(uint64_t)at % WHEEL_SLOTS], t);
}

void wheel_disarm(wheel *w, wheel_timer *t)
{
    if (!t->link)
        return;
    unlink_timer(t);
    w->armed--;
}

/* The slot's list hangs on a local head while it is gone through, so that timers that fire may
 * disarm any other one, and one that is armed anew cannot be met twice. */
static void run_tick(wheel *w, int64_t tick)
{
    wheel_timer **slot = &w->slots[(uint64_t)tick % WHEEL_SLOTS];
    wheel_timer *list = *slot, *t;
    if (!list)
        return;
    *slot = NULL;
    list->link = &list;
    while ((t = list)) {
        unlink_timer(t);
        if (tick_up(t->due_us) > tick) { /* a later turn's */
            slot_push(slot, t);
            continue;
        }
        w->armed--;
        t->fire(t);
    }
}

void wheel_run(wheel *w, int64_t now_us)
{
    int64_t now = now_us / WHEEL_TICK_US;
    if (w->armed == 0) {
        w->tick = TP_MAX(w->tick, now);
        return;
    }
    if (now - w->tick > WHEEL_SLOTS) /* after a long sleep each slot once is enough */
        w->tick = now - WHEEL_SLOTS;
    while (w->tick < now) {
        w->tick++;
        run_tick(w, w->tick);
    }
}
