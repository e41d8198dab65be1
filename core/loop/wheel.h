/* Timers of one worker: a hashed wheel with a tick of 8 ms, so that arming and disarming a deadline
 * costs a few instructions and no system call. A timer may fire up to two ticks late, never early.
 */
#ifndef TP_LOOP_WHEEL_H
#define TP_LOOP_WHEEL_H
#include "base/base.h"

#define WHEEL_TICK_US 8192
#define WHEEL_SLOTS 1024u /* 8.4 s a turn; longer ones go round */

typedef struct wheel_timer { /* embedded in its user; zeroed: disarmed */
    struct wheel_timer *next, **link; /* link NULL: disarmed */
    int64_t due_us;
    void (*fire)(struct wheel_timer *);
} wheel_timer;
typedef struct wheel {
    wheel_timer *slots[WHEEL_SLOTS];
    int64_t tick;    /* last tick that was run */
    uint32_t armed, reserved;
} wheel;
void wheel_init(wheel *w, int64_t now_us);
void wheel_arm(wheel *w, wheel_timer *t, int64_t due_us); /* re-arms when armed */
void wheel_disarm(wheel *w, wheel_timer *t);
/* Fires what is due. Timers may arm and disarm any timer while firing. */
void wheel_run(wheel *w, int64_t now_us);
#endif
