/* Counters: what the gateway says that it did. Each worker counts into a block of its own with
 * relaxed stores (one writer a block, so no locked instruction); a reader sums the blocks. */
#ifndef TP_OBSERVE_COUNTERS_H
#define TP_OBSERVE_COUNTERS_H
#include <stdatomic.h>
#include "base/buf.h"
#include "settle/settle.h"

enum { COUNTERS_UNITS = 6, COUNTERS_BUCKETS = 15 };
/* units, in this order: prompt, cache_read, cache_write, completion, reasoning, other */

typedef struct counters_histogram {
    _Atomic uint64_t bucket[COUNTERS_BUCKETS]; /* not cumulative; the last one is +Inf */
    _Atomic uint64_t sum_us;
} counters_histogram;

enum { COUNTERS_NO_CREDIT = 0, COUNTERS_NO_RATE, COUNTERS_NO_STORE, COUNTERS_NO_KEY };
typedef struct counters { /* one worker's; other threads only read */
    _Alignas(64) _Atomic uint64_t status[6]; /* finished exchanges by status class; 0: none sent */
    _Atomic uint64_t outcome[4];             /* by SETTLE_ */
    _Atomic uint64_t units[COUNTERS_UNITS];
    _Atomic uint64_t cost_nano;
    _Atomic uint64_t bytes_in, bytes_out;
    _Atomic uint64_t streams;                /* finished exchanges that were streamed */
    _Atomic uint64_t attempts;               /* upstream attempts of finished exchanges */
    _Atomic uint64_t retries;                /* sent anew: the kept connection was dead */
    _Atomic uint64_t fallbacks;              /* moves to another deployment */
    _Atomic uint64_t upstream_failures;      /* attempts that failed */
    _Atomic uint64_t active;                 /* exchanges in flight (gauge) */
    _Atomic uint64_t connections;            /* client connections open (gauge) */
    _Atomic uint64_t accepted;               /* client connections taken */
    _Atomic uint64_t upstream_connects;      /* upstream connections made */
    _Atomic uint64_t upstream_reuses;        /* requests sent on a kept one */
    _Atomic uint64_t http_faults;            /* requests refused while parsing */
    _Atomic uint64_t charged_nano;           /* what teams paid of the cost */
    _Atomic uint64_t denied[4];              /* refusals: credits, limits, the store, secrets */
    _Atomic uint64_t records_lost;           /* generations that the journal had no room for */
    counters_histogram latency;              /* whole exchange */
    counters_histogram first_token;
} counters;

/* Adds to a counter of the calling worker's own block. [loop] */
static inline void counters_add(_Atomic uint64_t *c, int64_t n)
{
    atomic_store_explicit(c, atomic_load_explicit(c, memory_order_relaxed) + (uint64_t)n,
                          memory_order_relaxed);
}
/* Everything that a finished exchange's record says. Retries, connections and gauges are the
 * caller's. c NULL: nothing happens. [loop] */
void counters_finished(counters *c, const settle_record *r);

typedef struct observe observe; /* all workers' blocks; one a process */
observe *observe_new(uint32_t workers);
void observe_free(observe *o);
counters *observe_counters(observe *o, uint32_t worker); /* that worker's block */

/* What is not counted by workers; asked for by the page. Any may be NULL. */
typedef struct observe_extra {
    uint64_t access_dropped;  /* access_log_dropped */
    uint64_t store_healthy;   /* 1 or 0 */
    uint64_t world_serial;
    int64_t started_unix_ms;
    uint64_t journal_bytes, journal_capacity, drained_records, failed_writes, segments_dropped;
    uint64_t keys;            /* in the book */
    uint64_t connections_refused; /* client connections turned away: the limit */
} observe_extra;
/* The metrics page, Prometheus text format 0.0.4. 0, or what the buffer answers. x may be NULL.
 * [any] */
int observe_render_metrics(const observe *o, const observe_extra *x, buf *out);
#endif
