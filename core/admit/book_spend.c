#include <stdlib.h>

#include "admit/book_int.h"

#define DAY_MS INT64_C(86400000)

/* The day of the month, from 1, of a day number since 1970-01-01 (proleptic Gregorian). */
static int64_t day_of_month(int64_t day)
{
    int64_t d = day + 719468; /* since 0000-03-01: a leap day is the last of its year */
    int64_t of_era = d - (d >= 0 ? d : d - 146096) / 146097 * 146097;
    int64_t year = (of_era - of_era / 1460 + of_era / 36524 - of_era / 146096) / 365;
    int64_t of_year = of_era - (365 * year + year / 4 - year / 100);
    int64_t month = (5 * of_year + 2) / 153;
    return of_year - (153 * month + 2) / 5 + 1;
}

int64_t spend_period(int32_t kind, int64_t now_ms)
{
    int64_t day = TP_MAX(now_ms, 0) / DAY_MS;
    switch (kind) {
    case REGISTRY_DAILY:
        return day;
    case REGISTRY_MONTHLY:
        return day - day_of_month(day) + 1;
    default:
        return 0;
    }
}

book_spend *spend_new(int32_t kind, int64_t now_ms, int64_t spent)
{
    book_spend *s = tp_xcalloc(1, sizeof(*s));
    s->began = spend_period(kind, now_ms);
    s->kind = kind;
    atomic_init(&s->taken, spent);
    atomic_init(&s->spent, spent);
    return s;
}

/* A worker may retire one, and takes no lock: they lie on a stack until a change or a quiet moment
 * stamps them. */
static void push(book *b, book_spend *s)
{
    atomic_fetch_add_explicit(&b->retired_count, 1, memory_order_relaxed);
    s->next = atomic_load_explicit(&b->spends, memory_order_relaxed);
    while (!atomic_compare_exchange_weak_explicit(&b->spends, &s->next, s, memory_order_release,
                                                  memory_order_relaxed))
        ;
}

void spend_replace(book_key *k, book_spend *next)
{
    key_int *in = (key_int *)(void *)k;
    push(in->owner, atomic_exchange_explicit(&k->spend, next, memory_order_acq_rel));
}

book_spend *spend_now(book_key *k, int64_t now_ms)
{
    book_spend *s = atomic_load_explicit(&k->spend, memory_order_acquire);
    /* A clock that is set back begins nothing anew. */
    while (TP_UNLIKELY(spend_period(s->kind, now_ms) > s->began)) {
        book_spend *next = spend_new(s->kind, now_ms, 0), *old = s;
        if (atomic_compare_exchange_strong_explicit(&k->spend, &s, next, memory_order_acq_rel,
                                                    memory_order_acquire)) {
            push(((key_int *)(void *)k)->owner, old);
            return next;
        }
        free(next); /* another worker was faster, and s is its own */
    }
    return s;
}

int64_t book_spent(const book_key *k, int64_t now_ms, int64_t *held)
{
    book_spend *s = atomic_load_explicit(&k->spend, memory_order_acquire);
    int over = spend_period(s->kind, now_ms) > s->began;
    int64_t spent = over ? 0 : atomic_load_explicit(&s->spent, memory_order_relaxed);
    if (held)
        *held = over ? 0 : TP_MAX(atomic_load_explicit(&s->taken, memory_order_relaxed) - spent, 0);
    return spent;
}
