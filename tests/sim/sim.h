/* The simulation of the exchange: lives of requests in virtual time, from a seed. A driver takes
 * the place of loop/: it feeds inputs, carries out actions against a simulated client, simulated
 * upstreams and a clock that only moves from event to event. Nothing is random but what the seed
 * says, so a life that fails can be lived again. */
#ifndef TP_SIM_H
#define TP_SIM_H
#include "base/buf.h"
#include "base/str.h"
#include "dispatch/exchange.h"

#define SIM_ACTORS 3
#define SIM_ATTEMPTS 12
#define SIM_STEPS 3
#define SIM_TOKENS 24

typedef struct sim sim;
typedef struct actor actor;

/* ---- A reply, as small words: what an upstream says, before it is written in some form.
 *   P preamble   T text   U usage   F finish   D end   E error   X nonsense   B what cannot be
 * rendered A the provider wants another step   G its end is a text, and no END */
typedef struct script_word {
    char what;
    int32_t number;    /* U: units; E: TP_ERR_ */
    uint32_t end;      /* its last byte's place in the body */
    uint32_t text_end; /* how long the texts are with it */
} script_word;
enum {
    WAY_REPLIES,
    WAY_REFUSES,
    WAY_DIES,
    WAY_PROTOCOL,
    WAY_NO_CONNECTION,
    WAY_NO_ANSWER,
    WAY_NOMEM
};
enum { FORM_WHOLE, FORM_SSE, FORM_LINES, FORM_CHUNKS, FORM_UNKNOWN };
enum { STOP_WELL, STOP_BROKEN, STOP_STALL, STOP_NEVER };
typedef struct script {
    int way, status, form, stop;
    int shipped; /* OpenAI's words, not the simulation's own */
    script_word words[SIM_TOKENS];
    uint32_t count;
    buf body, texts;
    size_t cut; /* so many bytes of the body come */
} script;
enum {
    BUILD_WELL,
    BUILD_INPUT,
    BUILD_UNSUPPORTED,
    BUILD_INTERNAL,
    BUILD_NOMEM,
    BUILD_NOTHING,
    BUILD_DROPS
};
typedef struct attempt {
    uint64_t live_key;
    int build, no_credential, steps; /* no_credential: 1 there is none, 2 it never comes */
    int sign;                        /* 0 a secret in a header, 1 a token, 2 aws4 */
    script step[SIM_STEPS];
} attempt;

/* What a reply comes to, for a reader who knows only the words. */
typedef struct outcome {
    int complete, answered, final, again;
    int status;    /* what the client gets if nobody else answers */
    int open;      /* texts may go on beyond text (an endless stream) */
    uint32_t text; /* bytes of texts that the client has got */
    int64_t units;
} outcome;
outcome script_outcome(const script *s, int stream);
void script_make(script *s, rng *r, int shipped, int stream, int local, int may_again);
const char *script_type(const script *s);
int script_client_status(const script *s, int *final); /* of a status of 400 and above */
void script_print(const script *s);

/* ---- The client. */
enum {
    ASK_WELL,
    ASK_NO_KEY,
    ASK_BAD_KEY,
    ASK_BAD_PATH,
    ASK_BAD_METHOD,
    ASK_NO_LENGTH,
    ASK_BAD_TYPE,
    ASK_BAD_CODING,
    ASK_BODY_FAILED,
    ASK_BAD_JSON,
    ASK_TOO_DEEP,
    ASK_PARSE_INPUT,
    ASK_PARSE_INTERNAL,
    ASK_BAD_MODEL,
    ASK_NARROW_KEY,
    ASK_BUILT_IN,
    ASK_HELD_BACK,
    ASK_NO_LEDGER,
    ASK_NO_RANK
};
typedef struct request {
    int kind, stream, strict, convert; /* convert: 0 well, 1 fails, 2 the client's fault */
    int own_errors, rewritten, hints;
    int status; /* expected; 0: the attempts decide */
    int method;
    char path[64], model[32];
    buf body, wanted; /* wanted: what an upstream that is relayed to must get */
} request;
void request_make(request *q, rng *r, int shipped);

typedef struct plan_entry {
    uint64_t live_key;
    int relay, convert, priced;
} plan_entry;

struct actor {
    exchange x;
    sim *s;
    world *w;
    rng random;
    int alive, traced, id;
    int shipped;
    request q;
    int stage; /* of the client: 0 head, 1 waits, 2 body, 3 done */
    int64_t client_due, gone_due;
    int gone_kind, disturbed;
    int squeezed; /* memory is short: anything may fail, but in order */
    char *body;   /* the driver's copy, as long as the request is needed */
    int release_wanted, released;
    /* what the client has got */
    int heads, finished, broken, status;
    buf out;
    char type[64];
    /* questions that wait */
    int asked;
    int64_t answer_due;
    dispatch_input answer;
    arena late[2]; /* what an answer points into; the other one is being filled */
    int late_at;
    plug_invocation iv;
    plug_call call;
    plug_out call_out;
    tp_frame frame;
    tp_operation operation;
    /* money and records */
    int holds, granted, settles, records;
    int64_t settled_nano;
    int settled_outcome, recorded_outcome;
    plan_entry plan[SIM_ATTEMPTS];
    uint32_t plan_count, max_attempts;
    int planned;
    /* upstream */
    int up_active, up_stage, up_fin_alone, paused, slow;
    int64_t up_due;
    size_t up_at;
    uint32_t piece; /* bytes of a piece; 0: random */
    int64_t gap_us;
    script *up;
    uint64_t up_hash;
    int starts;
    attempt attempts[SIM_ATTEMPTS];
    int attempt_count;
    int64_t due; /* the machine's deadline */
    uint64_t runs;
};

typedef struct sim_options {
    uint64_t seed;
    int64_t lives;
    double seconds;
    int trace, one_byte, shipped_percent;
} sim_options;

struct sim {
    sim_options o;
    arena_pool pool;
    plug_scratch scratch;
    dispatch_env env;
    route_table *live;
    logger log;
    plug_loader *loader;
    char run_dir[64];
    world *own, *shipped; /* shipped NULL: its plugins are not built */
    int worlds;           /* alive */
    uint64_t seed;        /* of the life that is lived */
    rng random;
    tp_now now;
    actor actors[SIM_ACTORS];
    actor *running; /* whose call is carried out */
    int crowd;
    uint64_t lives, runs, outcomes[8];
};

/* Ends the life with a message that has the seed; does not return. */
void sim_fail(const actor *a, const char *fmt, ...) TP_PRINTF(2, 3) __attribute__((noreturn));
#define CHECK(a, cond, ...)                                                                        \
    do {                                                                                           \
        if (TP_UNLIKELY(!(cond)))                                                                  \
            sim_fail((a), __VA_ARGS__);                                                            \
    } while (0)
void sim_trace(const actor *a, const char *fmt, ...) TP_PRINTF(2, 3);
static inline int chance(rng *r, unsigned percent)
{
    return rng_below(r, 100) < percent;
}

/* worlds.c */
world *sim_world_own(sim *s);
world *sim_world_shipped(sim *s, tp_error *err); /* NULL: not built */
extern sim *sim_current; /* for the in-memory plugins, which have no other way to it */
/* plugins.c */
extern const tp_provider sim_provider_relay, sim_provider_canon, sim_provider_both,
    sim_provider_other, sim_provider_local;
extern const tp_endpoint sim_endpoint;
extern const tp_strategy sim_strategy;
/* life.c */
void sim_life(sim *s, uint64_t seed);
void actor_run(actor *a, dispatch_input in); /* one run, and all that it asks for */
void actor_release(actor *a);                /* the request's memory */
#define MS 1000
static inline int64_t soon(actor *a, uint64_t max_us) /* a time from now on */
{
    return a->s->now.mono_us + (int64_t)rng_below(&a->random, max_us + 1);
}
/* ports.c */
dispatch_ports sim_ports(void);
attempt *actor_attempt(actor *a, uint32_t step); /* the one that build is called for */
/* upstream.c */
void up_start(actor *a); /* carries out start_upstream */
void up_tick(actor *a);  /* its next event */
void up_over(actor *a);
/* oracle.c */
void oracle_check(actor *a);
#endif
