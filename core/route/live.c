#include <stdatomic.h>
#include <stdlib.h>

#include "base/hash.h"
#include "route/route.h"

/* How far a key may lie from its place. At half load runs are far shorter; in a full table this
 * keeps a look-up from walking all of it. */
#define MAX_PROBES 64u

struct route_table {
    uint32_t mask;
    uint32_t probes;
    route_live *slots; /* mask + 1, and the shared last one */
};

static void slot_init(route_live *l)
{
    atomic_init(&l->key, 0);
    atomic_init(&l->in_flight, 0);
    atomic_init(&l->first_token_us, -1);
    atomic_init(&l->error_permille, 0);
    atomic_init(&l->attempts, 0);
    atomic_init(&l->failures, 0);
}

route_table *route_table_new(uint32_t capacity)
{
    uint32_t cap = 2;
    while (cap < (1u << 24) && cap / 2 < capacity)
        cap *= 2;
    route_table *t = tp_xmalloc(sizeof(*t));
    t->mask = cap - 1;
    t->probes = TP_MIN(cap, MAX_PROBES);
    t->slots = aligned_alloc(64, (size_t)(cap + 1) * sizeof(route_live));
    TP_MUST(t->slots);
    for (uint32_t i = 0; i <= cap; i++)
        slot_init(&t->slots[i]);
    return t;
}

void route_table_free(route_table *t)
{
    if (!t)
        return;
    free(t->slots);
    free(t);
}

route_live *route_live_of(route_table *t, uint64_t live_key)
{
    uint64_t key = live_key ? live_key : 1; /* 0 marks an empty slot */
    uint32_t at = (uint32_t)hash_mix(key);
    for (uint32_t i = 0; i < t->probes; i++) {
        route_live *l = &t->slots[(at + i) & t->mask];
        uint64_t there = atomic_load_explicit(&l->key, memory_order_relaxed);
        /* On a lost race `there` holds the winner's key, which may be ours. Slots begin with all
         * figures set, so nothing needs to be published with the key. */
        if (there == 0 && atomic_compare_exchange_strong_explicit(
                              &l->key, &there, key, memory_order_relaxed, memory_order_relaxed))
            return l;
        if (there == key)
            return l;
    }
    return &t->slots[t->mask + 1];
}

/* avg += (x - avg) / weight, rounded away from zero so that a constant x is reached. */
static void average(_Atomic int64_t *avg, int64_t x, int64_t weight)
{
    int64_t was = atomic_load_explicit(avg, memory_order_relaxed), next;
    do {
        int64_t off = x - was, step = off / weight;
        if (step == 0)
            step = (off > 0) - (off < 0);
        next = was < 0 ? x : was + step;
    } while (!atomic_compare_exchange_weak_explicit(avg, &was, next, memory_order_relaxed,
                                                    memory_order_relaxed));
}

void route_live_started(route_live *l)
{
    atomic_fetch_add_explicit(&l->in_flight, 1, memory_order_relaxed);
    atomic_fetch_add_explicit(&l->attempts, 1, memory_order_relaxed);
}

void route_live_ended(route_live *l, int failed, int64_t first_token_us)
{
    atomic_fetch_sub_explicit(&l->in_flight, 1, memory_order_relaxed);
    if (failed)
        atomic_fetch_add_explicit(&l->failures, 1, memory_order_relaxed);
    average(&l->error_permille, failed ? 1000 : 0, 16);
    if (first_token_us >= 0)
        average(&l->first_token_us, first_token_us, 8);
}
