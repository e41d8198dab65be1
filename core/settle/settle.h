/* Usage -> price -> record. What one exchange came to, for the ledger, counters and logs. Memory
 * only; store/ and observe/ implement the sinks. [loop] */
#ifndef TP_SETTLE_SETTLE_H
#define TP_SETTLE_SETTLE_H
#include "model/usage.h"
#include "world/world.h"

enum { SETTLE_COMPLETED = 1, SETTLE_FAILED = 2, SETTLE_CANCELLED = 3 };
typedef struct settle_record { /* strings are borrowed for the call that takes it */
    tp_str generation;      /* the reply's id */
    tp_str upstream_id;     /* the upstream's own */
    tp_str request_id, key, surface, endpoint, model_asked, model_served, provider, client;
    tp_str method, path;
    int64_t unix_ms, latency_us, first_token_us; /* first_token_us: -1 none */
    int64_t bytes_in, bytes_out;
    usage used;
    int64_t cost_nano;
    int32_t status;         /* HTTP status sent */
    int32_t outcome;        /* SETTLE_ */
    int32_t attempts, streamed;
    int32_t finish, reserved; /* TP_FINISH_ of choice 0; 0: none */
} settle_record;
/* Cost of a usage at a deployment's prices, in nano-dollars, rounded once; a class without a price
 * of its own takes: cache_read, cache_write -> prompt; reasoning -> completion; others -> 0. A
 * price a "request" is charged once where any usage is known, unless the usage counts requests
 * itself. d NULL, or nothing known: 0. */
int64_t settle_cost(const world_deployment *d, const usage *u);
/* The most this operation may cost there (hold), nano-dollars: the prompt at the dearest input
 * price (cached writes may cost more), the output cap at the dearest output price for each choice,
 * one request, and what parse announced of other units. A prompt that nobody estimated counts a
 * token a byte of the body, up to the context length; an output without any cap
 * SETTLE_OUTPUT_UNKNOWN. */
#define SETTLE_OUTPUT_UNKNOWN 16384
int64_t settle_hold(const world_deployment *d, const tp_operation *op);
#endif
