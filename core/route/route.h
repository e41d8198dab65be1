/* Which upstreams in which order: resolve the model, filter candidates, let the strategy rank them
 * (a CALL of dispatch), make the plan. Memory only. [loop] */
#ifndef TP_ROUTE_ROUTE_H
#define TP_ROUTE_ROUTE_H
#include "plug/call.h"
#include "profile/profile.h"
#include "world/world.h"

#define ROUTE_MAX_CANDIDATES 64

/* Live figures of a deployment, over reloads: one table a process, slots keyed by live_key, relaxed
 * atomics, never removed (bounded by capacity; a full table gives the shared last slot). [any] */
typedef struct route_live { /* a cache line of its own */
    _Alignas(64) _Atomic uint64_t key;
    _Atomic int64_t in_flight;
    _Atomic int64_t first_token_us;  /* moving average, 1/8; -1: not known */
    _Atomic int64_t error_permille;  /* moving average, 1/16; begins at 0 */
    _Atomic uint64_t attempts, failures;
} route_live;
typedef struct route_table route_table;
route_table *
route_table_new(uint32_t capacity); /* deployments expected at most; 64 bytes each, twice */
void route_table_free(route_table *t);
/* The slot of a key, made when it is new. Never NULL; the same slot for the same key. */
route_live *route_live_of(route_table *t, uint64_t live_key);
void route_live_started(route_live *l);
/* failed: counts as an error of the upstream. first_token_us: -1 when none came. */
void route_live_ended(route_live *l, int failed, int64_t first_token_us);

typedef struct route_customer { /* who asks, as far as it decides where a request may go */
    const conf_policy *policy; /* NULL: everything */
    /* Has the customer a key of its own for this provider? Then one that has none of the gateway's
     * will do. NULL: no. */
    int (*has_key)(const void *arg, tp_str provider);
    const void *arg;
} route_customer;

typedef struct route_plan {
    const world_model *model;           /* NULL: addressed as provider/model */
    const world_deployment **order;     /* arena; best first */
    tp_candidate *candidates;           /* arena; before ranking */
    const world_deployment **of;        /* deployment of each candidate */
    uint32_t candidate_count, order_count;
    const plug_instance *strategy;      /* to CALL; NULL: as configured */
} route_plan;
/* Resolves op->model and fills plan->candidates (cost is left at -1: pricing a request is not this
 * room's), at most ROUTE_MAX_CANDIDATES, in the order of the configuration. 0, or -1 and *e:
 * unknown model (404 or the surface's status: "Model 'X' not found or not active."), none usable
 * (404, with the reasons), none that offers what the request needs (400, naming the capability),
 * out of memory (503). What a request needs is asked only of deployments that say what they offer:
 * those whose capabilities are more or less than the default, streaming alone. *plan is zeroed
 * first. The policy of by (NULL: nobody in particular) leaves out what the team may not use; when
 * that leaves nothing: 403 in the surface's words. */
int route_candidates(const world *w, const conf_surface *s, const route_customer *by,
                     const tp_operation *op, route_table *live, arena *a, route_plan *plan,
                     profile_error *e);
/* Takes the strategy's answer (count 0 or status < 0: -1, 500 in *e) into plan->order, cut to max.
 * iv NULL: no strategy, the configuration's order. */
int route_ranked(route_plan *plan, const plug_invocation *iv, uint32_t max, arena *a,
                 profile_error *e);
#endif
