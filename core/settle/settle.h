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
    int64_t cost_nano;      /* what the usage comes to at the deployment's prices */
    int32_t status;         /* HTTP status sent */
    int32_t outcome;        /* SETTLE_ */
    int32_t attempts, streamed;
    int32_t finish;         /* TP_FINISH_ of choice 0; 0: none */
    uint32_t flags;         /* SETTLE_BYOK... */
    tp_str key_id, team;    /* ids; empty: none */
    tp_str price_version;   /* of the deployment that answered; empty: none */
    tp_str error;           /* what went wrong, for the access log, without words of the request; with
                               an answer too, where an earlier attempt failed. Not kept in records */
    int32_t failures;       /* of the attempts, those that failed; not kept in records */
    tp_str prompt;          /* the request's body, when it is kept; else empty */
    int64_t hold_nano;      /* what was held; 0: nothing */
    int64_t charged_nano;   /* what the team pays of the cost: 0 .. ; the fee with SETTLE_BYOK; less
                               than the cost where it went beyond hold and credits */
    int64_t baseline_nano;  /* the same usage at the baseline model's prices; -1: none configured */
} settle_record;
enum { SETTLE_BYOK = 1,      /* on the customer's own provider key */
       SETTLE_ESTIMATED = 2, /* the usage is estimated: the reply was cut off before the upstream
                                said it, or it never did */
       SETTLE_UNKEPT = 4     /* for the ledger alone: no record of the generation is kept */ };
/* The most that one exchange holds or is charged, nano-dollars; the ledger knows no larger amount. */
#define SETTLE_MOST (INT64_C(1) << 60)
/* Cost of a usage at a deployment's prices, in nano-dollars, rounded once; a class without a price
 * of its own takes: cache_write:1h -> cache_write; cache_read, cache_write -> prompt; reasoning ->
 * completion; others -> 0. Where prices have thresholds, those that the whole prompt exceeds count
 * (prompt, cache_read, cache_write, audio_prompt; billed_prompt where nothing else is said); see
 * catalog/catalog.h.
 * Where the usage says billed_prompt, that is charged at the price of prompt, and prompt, cache_read
 * and cache_write are only counted; billed_completion likewise for completion and reasoning. A
 * price a "request" is charged once where any usage is known, unless the usage counts requests
 * itself. d NULL, or nothing known: 0. */
int64_t settle_cost(const world_deployment *d, const usage *u);
/* Usage of a reply that was cut off before its upstream said any: the prompt's estimate (below 0:
 * none), and a token for each four bytes that were relayed, rounded up. What the upstream did say
 * stays: a count of input, or of output, is not estimated beside it. A reply of which nothing was
 * relayed and nothing said stays without usage: it costs nothing, a price a request included. */
void settle_estimate(usage *u, int64_t prompt_tokens, int64_t relayed_bytes);
/* Does the usage name any count of output above 0? (then no output is estimated) */
int settle_known(const usage *u);
/* The most this operation may cost there (hold), nano-dollars: the prompt at the dearest input
 * price (cached writes may cost more, and those kept for longer where the request asks for that;
 * sound, where the request has or asks for any), the output cap at the dearest output price for
 * each choice, one request, and what parse announced of other units; each at the dearest threshold
 * that such a prompt may exceed. */
int64_t settle_hold(const world_deployment *d, const tp_operation *op);
/* The most prompt tokens that this operation may come to there. Where nobody counted: a token a byte
 * of the body, for a picture (whose size tells nothing) 50,000 instead of its bytes, 1,024 more
 * where there are tools or a schema, which providers put into words of their own; up to the context
 * length. All of that length (1,000,000 tokens, where it is not known) where more is read than the
 * body holds: documents, what is only referred to, searches (parse says USAGE "prompt" of -1). */
int64_t settle_prompt_most(const world_deployment *d, const tp_operation *op);
/* The most output tokens of one choice: what is asked for, at most the deployment's limit; an output
 * without any cap SETTLE_OUTPUT_UNKNOWN. */
#define SETTLE_OUTPUT_UNKNOWN 16384
int64_t settle_output_most(const world_deployment *d, const tp_operation *op);
/* Tokens to put aside of a limit of tokens a minute: as above, but a medium counts 1,000, or one
 * picture would shut out all other requests. */
int64_t settle_hold_tokens(const world_deployment *d, const tp_operation *op);
/* How many of them have to be there for it to begin: all, where the request says how long its
 * output may become; where it leaves that to the model, whose limit is often beyond what a key may
 * use in a minute, its prompt and a token for each choice. */
int64_t settle_least_tokens(const world_deployment *d, const tp_operation *op);
/* A prompt that was read, but not counted by anybody: a token for each four bytes of the body, and
 * 1,000 for a medium instead of its bytes. */
int64_t settle_prompt_likely(const tp_operation *op);
#endif
