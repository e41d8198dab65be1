/* One exchange: the life of a request, as a state machine that does no I/O. The driver feeds inputs
 * and carries out actions; everything outside is an action that an input answers, also what is
 * answered at once today. So a whole life, with its retries, cut streams, time-outs and refunds,
 * runs in a test in virtual time.
 *
 *   HEAD_FAILED -> [400 408 414 431 501 503 505]
 *   HEAD -> [401 403 404 405 411 415 429] -> read_body -> BODY -> CALL parse -> candidates -> CALL rank
 *     -> HOLD -> per candidate: CALL convert, CALL build, AWAIT credential, start upstream
 *     -> UP_REPLY... : CALL head, then a frame at a time CALL data, CALL render -> write
 *     -> CALL end -> SETTLE -> last bytes -> record -> done
 *
 * All [loop]: an exchange belongs to one worker. */
#ifndef TP_DISPATCH_EXCHANGE_H
#define TP_DISPATCH_EXCHANGE_H
#include "admit/admit.h"
#include "base/hash.h"
#include "parse/frame.h"
#include "plug/call.h"
#include "route/route.h"
#include "settle/settle.h"
#include "stream/stream.h"

typedef struct exchange exchange;

/* ---- Inputs. */
enum {
    IN_HEAD = 1,    /* head: the request's, living in x->req. code: 0; or 413, 417, 503: the driver
                       must refuse it, what: why */
    IN_HEAD_FAILED, /* the head cannot be had or read; code: 400 ... 505; what: why; head: method_text
                       and path as far as they are known, nothing else; for this run */
    IN_BODY,        /* bytes: the whole body, valid until dispatch_release_request; routing hints
                       are cut out of it where it lies */
    IN_BODY_FAILED, /* the body cannot be had; code: 400, 408 or 413; what: why */
    IN_CALLED,      /* answers ASK_CALL: env->iv is filled: what, status, what the kind of call
                       answers, and in iv.call->out what the plugin put out. All of it is the
                       driver's and lasts for this run; keep_max is what is left of it */
    IN_VERIFIED,    /* answers ASK_VERIFY; code: 1 the key is right, 0 it is not, < 0 it could not
                       be looked into now */
    IN_HELD,        /* answers ASK_HOLD */
    IN_REFUSED,     /* answers ASK_HOLD: x->refusal says why (402, 429, 503) */
    IN_CREDENTIAL,  /* answers ASK_AWAIT; bytes: the secret. code < 0: none to be had, what: why */
    IN_SETTLED,     /* answers ASK_SETTLE */
    IN_MANAGED,     /* answers ASK_MANAGE: code: status; bytes: body (empty: there was no room for
                       it, which is told as 503); type in `what`; headers */
    IN_UP_PROGRESS, /* code: UP_SENDING or UP_SENT as below */
    IN_UP_REPLY,    /* head (first only), bytes, fin */
    IN_UP_FAILED,   /* code: DISPATCH_UP_*; what: a sentence */
    IN_TIMER,       /* the deadline may have come */
    IN_CLIENT_GONE, /* the client closed, or stopped reading for too long */
    IN_STOP         /* the gateway must end now: like CLIENT_GONE */
};
enum { DISPATCH_UP_SENDING = 2, DISPATCH_UP_SENT = 3 };
enum { DISPATCH_UP_UNREACHABLE = -1, /* name, connection or TLS: nothing was sent */
       DISPATCH_UP_BROKEN = -2,      /* reset or ended in the middle */
       DISPATCH_UP_PROTOCOL = -3,    /* not HTTP */
       DISPATCH_UP_NOMEM = -4 };
typedef struct dispatch_input {
    int32_t kind, code, fin, reserved;
    const http_head *head;
    tp_str bytes;
    const char *what;
    const tp_header *headers; /* IN_MANAGED: more of them */
    uint32_t header_count, reserved2;
} dispatch_input;

/* ---- Actions: what a run of steps asks of the driver, to be done in the order of the members. */
enum { ASK_CALL = 1, ASK_HOLD, ASK_AWAIT, ASK_SETTLE, ASK_MANAGE, ASK_VERIFY };
typedef struct dispatch_actions {
    int32_t cancel_upstream; /* the running upstream stream is over */
    int32_t read_body;       /* the request is wanted: send 100 Continue if asked, read the body */
    /* The client's response. */
    int32_t respond;         /* the head: status and headers (a worker's scratch memory) */
    int32_t status;
    const tp_header *headers;
    uint32_t header_count;
    int32_t close;           /* the connection may not be used again */
    const tp_str *segs;      /* body bytes: scratch memory or the input's; gone after the run */
    uint32_t seg_count;
    int32_t finish;          /* these were the last bytes */
    size_t bytes;
    int32_t broken;          /* the response cannot be completed: close so that it shows */
    int32_t start_upstream;  /* x->up is to be started; an input answers */
    int32_t ask;             /* ASK_: a question that was not answered inline */
    int32_t release_request; /* the request's memory is no longer needed by dispatch */
    int32_t done;            /* the exchange is over; dispatch_free */
    int64_t deadline_us;     /* monotonic: when IN_TIMER is due; INT64_MAX: none */
} dispatch_actions;

typedef struct dispatch_need { /* what an attempt needs of a credential; borrowed for the call */
    tp_str scope;  /* a Google token for it is wanted; ptr NULL: the secret itself */
    tp_str secret; /* what there is: the customer's own key, or the provider's; ptr NULL: none */
    int32_t own, reserved; /* own: it is the customer's */
} dispatch_need;

/* ---- Ports: the outside, one set a worker. A port that answers later returns 0, and the driver
 * feeds the input when the answer is there. */
typedef struct dispatch_ports {
    void *arg;
    int (*call)(void *arg, exchange *x, plug_invocation *iv); /* 1: done; NULL: plug_invoke */
    /* x->who's key can only be checked the slow way (admit_verify). 1: *right says (as IN_VERIFIED's
     * code). NULL: it is not looked into. */
    int (*verify)(void *arg, exchange *x, int32_t *right);
    /* The most that x may cost, and the tokens it may take. 1: held; -1: refused, *why (402,
     * 429, 503; strings static or in x->mem). NULL: always held. */
    int (*hold)(void *arg, exchange *x, int64_t nano, admit_tokens tokens, profile_error *why);
    /* The provider's secret (not asked for where the customer has a key of his own), or a token. 1,
     * or -1 and *why, both of which last for the call's run. NULL: from configuration, and no tokens.
     */
    int (*credential)(void *arg, exchange *x, const world_provider *p, const dispatch_need *need,
                      tp_str *secret, const char **why);
    /* What credential was to answer later is no longer awaited: no IN_CREDENTIAL may follow. Must be
     * there where credential may answer later. */
    void (*credential_leave)(void *arg, exchange *x);
    /* The upstream answered 401 to the token that credential gave last. NULL: nobody cares. */
    void (*credential_refused)(void *arg, exchange *x);
    /* r->charged_nano is what the customer owes; the port lowers it to what was charged.
     * 1: settled. NULL: nothing is. */
    int (*settle)(void *arg, exchange *x, settle_record *r);
    /* Answers a built-in route into *reply. 1: done. */
    int (*manage)(void *arg, exchange *x, dispatch_input *reply);
    void (*record)(void *arg, exchange *x,
                   const settle_record *r); /* the life is over; no answer */
} dispatch_ports;

typedef struct dispatch_env { /* one a worker; borrowed by its exchanges */
    dispatch_ports ports;
    const admit_env *admit;  /* NULL: static keys only, no limits */
    plug_scratch *scratch;
    route_table *live;
    arena_pool *pool;
    rng random;
    const char *user_agent;  /* to upstreams: "turnpike/0.1.0" */
    size_t max_reply_bytes;   /* a whole reply; also one SSE event, held events. 64 MiB */
    uint32_t active, serial;  /* exchanges alive; counts up for ids */
    /* One run at a time: its calls and what they put out. */
    plug_call call;
    plug_out out;             /* of the current call */
    plug_out client;          /* written for the client in this run */
    plug_out client_before;   /* as it was before the current CALL render */
    plug_invocation iv;
    tp_frame frame;
    tp_str input;             /* upstream bytes that this run began with; the driver's */
    tp_now now;
    dispatch_actions *act;    /* of the current run */
    tp_event last;            /* the one event that a CALL render of the end is about */
} dispatch_env;

typedef struct dispatch_upstream { /* the request to start; lives until release_request */
    const up_origin *to;
    tp_str method, target;
    const tp_header *headers;
    uint32_t header_count, seg_count;
    const tp_str *segs;
    uint64_t body_bytes;
} dispatch_upstream;

struct exchange { /* fields are dispatch's own but for req, up, world, request_id, user */
    dispatch_env *env;
    const world *world;      /* the driver keeps it alive for the exchange's life */
    void *user;              /* the driver's */
    arena req;               /* request memory: head, body tokens, plan, upstream request */
    arena mem;               /* lasts as long as the exchange */
    dispatch_upstream up;
    tp_str request_id;       /* in mem, as are method and path: for the record */
    tp_str method, path;

    uint8_t state, asking, committed, client_over;
    uint8_t up_active, up_fin, streaming, relay; /* up_fin: 1 complete, 2 broken */
    uint8_t gone, held, settled, recorded;
    uint8_t local, local_cut, released, is_head;
    uint8_t responded, finished, strict, ask_later; /* ask_later: the port answers by an input */
    uint8_t outcome, used, unrendered, written;
    uint8_t byok, estimated, left;            /* left: the admission has been told that it is over */
    uint8_t unowed;                           /* set by the hold port: there is nothing to settle */
    uint8_t credential_way;                   /* credential.c's own */
    int32_t after_ask;       /* state to enter when the answer is there */

    const world_route *route;
    tp_str rest;             /* of the path, for built-in routes */
    admit_principal who;
    profile_error refusal;   /* of a hold */
    tp_str peer;             /* the client's address; the driver's, for the exchange's life */
    tp_str manage_body;      /* of a built-in route; the request's memory */
    tp_str prompt;           /* in mem: the body, when generations are kept with it */
    const http_head *head;
    tp_operation op;
    tp_doc canonical;        /* made by convert; count 0: not yet */
    route_plan plan;
    uint32_t attempt;        /* index into plan.order of the current one */
    int32_t attempts;        /* upstream tries so far */
    const world_deployment *on; /* the current, later the winning deployment */
    route_live *live;
    void *endpoint_state, *provider_state;
    uint32_t provider_state_cap, step;
    size_t keep_left;
    size_t chunk_used;       /* TP_CHUNKS: of whole, to be dropped before the next call */
    tp_str sign_with[2];     /* in req: service and region, or scope */
    tp_str served, dropped;  /* in mem: the model that answered; fields that were not carried */

    framer frames;
    buf whole;               /* a whole reply, or an error body, that came in pieces */
    tp_str pending;          /* bytes of the current input not yet used */
    tp_str stash;            /* malloced copy of pending when a CALL is answered later */
    int32_t framing, up_status;
    const http_head *up_head;
    stream_held events;
    stream_tally tally;

    tp_str local_body;       /* a local reply's bytes; local_at: how many were delivered */
    size_t local_at;
    int64_t local_gap_us;

    tp_header *kept_headers; /* a rendered reply that waits for SETTLED; its bytes are in whole */
    uint32_t kept_header_count;
    int32_t kept_status;

    int64_t start_us, sent_us, first_us, head_us;
    int64_t token_us;        /* of a stream: when the first piece of the answer came; -1: not yet */
    int64_t phase_due, total_due, local_due;
    int64_t cost_nano, bytes_in, bytes_out;
    int64_t hold_nano, charged_nano, baseline_nano;
    admit_tokens hold_tokens;
    int64_t prompt_estimate; /* tokens, when nobody counts them */
    int64_t relayed;         /* bytes of answer that there were for the client */
    int64_t relayed_said;    /* of them, before the upstream last told a count of output */
    size_t journal_bytes;    /* the driver's: put aside for the settle record */
    int64_t start_unix_ms;

    profile_error fault;     /* the error to answer; strings in mem or static */
    int32_t fault_class;     /* how the last attempt failed */
    int32_t failures;        /* attempts that failed */
    tp_str trouble;          /* in mem: what went wrong with them, for the operator */
    int32_t status_sent;
    tp_str asked, upstream_id; /* in mem */
    char reply_id[64];
    uint32_t reply_id_len;
};

/* Zeroes and prepares *x. world and env are borrowed. */
void dispatch_init(exchange *x, dispatch_env *env, const world *w, tp_now now);
/* Frees what the exchange holds (it must be done, or never have had a head). */
void dispatch_free(exchange *x);
/* One input, and as many steps as follow from answers given inline. Resets the worker's scratch. */
void dispatch_run(exchange *x, const dispatch_input *in, tp_now now, dispatch_actions *out);
/* IN_UP_PROGRESS right after a run that started the upstream, without another run: only a deadline
 * follows from it, which is the answer (INT64_MAX: none). */
int64_t dispatch_progress(exchange *x);
/* The driver has stopped reading the running upstream, for its client is slow (paused 1), or reads
 * on (0): silence is nobody's fault then, and timeouts.idle_ms does not run. Answers the deadline.
 */
int64_t dispatch_paused(exchange *x, int paused, tp_now now);
/* One step of the machine: for tests and for dispatch_run. */
void dispatch_step(exchange *x, const dispatch_input *in, dispatch_actions *out);
/* Frees the request's memory (head, body tokens, plan); after actions.release_request, when the
 * transport no longer reads it. */
void dispatch_release_request(exchange *x);
/* Back-pressure: may more upstream bytes come? (0 while an answer is awaited) */
int dispatch_want_upstream(const exchange *x);
#endif
