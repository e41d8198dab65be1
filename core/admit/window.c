/* Windows of one word: when it began and how much was taken of it, changed together by one compare
 * and exchange, so that exactly as many pass as may. Times within a word are cut to few bits and
 * compared as signed differences.
 *
 *   requests: 40 bits of milliseconds (repeats after 34 years), 24 bits of count
 *   tokens:   30 bits of 1/16 s       (repeats after 2 years),  34 bits of count
 *
 * A word of 0 is no window. */
#include "admit/admit_int.h"

typedef struct shape {
    unsigned time_bits;
    int64_t tick16; /* milliseconds of a tick, times 16 */
} shape;
#define CLOCKS_APART_MS 1000 /* two threads' clocks at the same moment */
static const shape REQUESTS = {40, 16}, TOKENS = {30, 1000};

static uint64_t most(shape s)
{
    return (UINT64_C(1) << (64 - s.time_bits)) - 1;
}

static uint64_t ticks(shape s, int64_t ms)
{
    /* Unix milliseconds are 41 bits: times 16 there is room to spare. */
    return ((uint64_t)ms * 16 / (uint64_t)s.tick16) & ((UINT64_C(1) << s.time_bits) - 1);
}

static uint64_t began(shape s, uint64_t word)
{
    return word >> (64 - s.time_bits);
}

/* Is the word's window one of this moment? *age: ticks since it began; a little below zero when
 * another thread's clock is ahead. *start: when it began; now, where the clock was set back by less
 * than a window: what was taken stays taken, and yet nobody waits for longer than a window. */
static int in_window(shape s, uint64_t word, uint64_t now, int64_t *age, uint64_t *start)
{
    unsigned rest = 64 - s.time_bits;
    int64_t length = WINDOW_MS * 16 / s.tick16, apart = CLOCKS_APART_MS * 16 / s.tick16;
    *start = began(s, word);
    *age = (int64_t)((now - *start) << rest) >> rest;
    int same = word != 0 && *age < length && *age > -length;
    if (!same || *age < -apart) {
        *start = now;
        *age = 0;
    }
    return same;
}

static void show(shape s, int64_t limit, int64_t taken, int64_t age, int64_t now_ms,
                 window_view *view)
{
    if (!view)
        return;
    int64_t left_ms = WINDOW_MS - age * s.tick16 / 16;
    *view = (window_view){.limit = limit,
                          .remaining = TP_MAX(limit - taken, 0),
                          .reset_s = (now_ms + left_ms + 999) / 1000,
                          .retry_after_s = (int32_t)((left_ms + 999) / 1000)};
    view->retry_after_s = TP_MIN(TP_MAX(view->retry_after_s, 1), WINDOW_MS / 1000);
}

/* How much of n passes where `left` of the limit is left. */
static int64_t passing(int64_t left, int64_t least, int64_t n, int alone)
{
    if (n <= left)
        return n;
    return least <= left ? left : alone ? least : 0;
}

/* n more of limit, or what is left of it if that is `least` at least; over: a `least` that is larger
 * than the limit passes when it is alone. How much was taken; 0: it does not pass. */
static int64_t take(shape s, _Atomic uint64_t *word, int64_t limit, int64_t least, int64_t n,
                    int over, int64_t now_ms, uint64_t *token, window_view *view)
{
    uint64_t now = ticks(s, now_ms), old = atomic_load_explicit(word, memory_order_relaxed), next;
    uint64_t start;
    int64_t taken, age, passes;
    n = TP_MIN(n, (int64_t)most(s));
    least = TP_MIN(least, n);
    do {
        int same = in_window(s, old, now, &age, &start);
        taken = same ? (int64_t)(old & most(s)) : 0;
        passes = passing(limit - taken, least, n, over && taken == 0);
        if (!passes && (!same || start == began(s, old)))
            break; /* nothing changes */
        taken += passes;
        next = start << (64 - s.time_bits) | (uint64_t)taken;
    } while (!atomic_compare_exchange_weak_explicit(word, &old, next, memory_order_relaxed,
                                                    memory_order_relaxed));
    if (passes && token)
        *token = start;
    show(s, limit, taken, age, now_ms, view);
    return passes;
}

int window_take(_Atomic uint64_t *word, int64_t limit, int64_t now_ms, window_view *view)
{
    limit = TP_MIN(limit, (int64_t)most(REQUESTS));
    return take(REQUESTS, word, limit, 1, 1, 0, now_ms, NULL, view) != 0;
}

static void look(shape s, _Atomic uint64_t *word, int64_t limit, int64_t now_ms, window_view *view)
{
    uint64_t now = ticks(s, now_ms), old = atomic_load_explicit(word, memory_order_relaxed);
    int64_t age;
    uint64_t start;
    int same = in_window(s, old, now, &age, &start);
    show(s, limit, same ? (int64_t)(old & most(s)) : 0, age, now_ms, view);
}

void window_look(_Atomic uint64_t *word, int64_t limit, int64_t now_ms, window_view *view)
{
    look(REQUESTS, word, TP_MIN(limit, (int64_t)most(REQUESTS)), now_ms, view);
}

void window_peek(_Atomic uint64_t *word, int64_t limit, int64_t now_ms, window_view *view)
{
    look(TOKENS, word, limit, now_ms, view);
}

int window_reserve(_Atomic uint64_t *word, int64_t limit, int64_t n, int64_t now_ms,
                   uint64_t *token, window_view *view)
{
    return take(TOKENS, word, limit, n, n, 1, now_ms, token, view) != 0;
}

int64_t window_reserve_some(_Atomic uint64_t *word, int64_t limit, int64_t least, int64_t n,
                            int64_t now_ms, uint64_t *token, window_view *view)
{
    return take(TOKENS, word, limit, least, n, 1, now_ms, token, view);
}

void window_return(_Atomic uint64_t *word, uint64_t token, int64_t n, int64_t used, int64_t now_ms)
{
    uint64_t now = ticks(TOKENS, now_ms), old = atomic_load_explicit(word, memory_order_relaxed);
    uint64_t next, start, end = most(TOKENS);
    int64_t age;
    uint64_t minus = (uint64_t)TP_MIN(n, (int64_t)end), plus = (uint64_t)TP_MIN(used, (int64_t)end);
    do {
        if (!in_window(TOKENS, old, now, &age, &start) || began(TOKENS, old) != token)
            return; /* that window is over, and with it what was taken of it */
        uint64_t count = old & end;
        count = count > minus ? count - minus : 0;
        next = (old & ~end) | TP_MIN(count + plus, end);
    } while (!atomic_compare_exchange_weak_explicit(word, &old, next, memory_order_relaxed,
                                                    memory_order_relaxed));
}
