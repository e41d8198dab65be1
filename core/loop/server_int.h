/* Private to the serving side of loop/. */
#ifndef TP_LOOP_SERVER_INT_H
#define TP_LOOP_SERVER_INT_H
#include <stdatomic.h>
#include "base/str.h"
#include "loop/net.h"
#include "loop/server.h"
#include "loop/tls.h"
#include "loop/token.h"
#include "loop/upstream.h"

typedef struct worker worker;
typedef struct conn conn;
typedef struct flight flight;
typedef struct job job;

/* A worker's share of a world: its exchanges count here, without atomics; the last one gives the
 * worker's reference back (to the serving thread, where plugins are destroyed). */
typedef struct world_use {
    world *w;
    http_limits limits; /* a parser borrows those of the world that its request began with */
    uint32_t users;     /* exchanges; the worker itself counts one while it is the current one */
    uint32_t reserved;
} world_use;

typedef struct handed { /* an accepted descriptor on its way to a worker */
    struct handed *next;
    tls_context *tls; /* referenced */
    int fd, refused;  /* refused: one too many; its first request is answered 503 */
} handed;

struct worker {
    server *owner;
    uint32_t index, stopping; /* stopping: 1 draining, 2 stop now */
    uv_thread_t thread;
    uv_loop_t loop;
    uv_async_t wake;
    uv_timer_t tick, second; /* tick runs the wheel; second once a second */
    uv_prepare_t after;      /* starts the tick when the wheel has become busy */
    uint64_t tick_ms;        /* its current period; 0: not running */
    /* Under lock: what the serving thread hands over. */
    uv_mutex_t lock;
    handed *inbox;
    uint64_t given;          /* serving thread: descriptors handed over so far */
    world *next_world;       /* referenced */
    uint32_t next_stop, quit;
    /* The worker's own. */
    world_use *use;
    net_loop net;
    wheel timers;
    arena_pool pool;
    plug_scratch scratch;
    dispatch_env env;
    up_client *upstreams;
    token_store *tokens;          /* NULL: the worker is ending */
    conn *conns;             /* all open ones */
    flight *flights;         /* all alive */
    flight *spare;           /* for reuse */
    uint32_t flight_count, spare_count, conn_count, reserved;
    buf head;                /* a response's head, while it is written */
    buf managed;             /* a built-in route's body, until it is written */
    tp_str *segs;            /* a response's segments, while they are written */
    uint32_t seg_cap, closing;
    uint64_t flights_made, rested_at; /* exchanges begun; as it was when memory was given back */
    uint32_t idle_s, jobs; /* jobs: running or waiting */
    tp_now now;              /* of the current callback */
    int64_t date_s;
    char date[30];
    worker_figures figures;
};

struct flight { /* one exchange, its upstream stream and its timer */
    exchange x;
    worker *w;
    conn *c;            /* NULL: the client is gone, or has its answer */
    world_use *use;
    up_stream *up;
    wheel_timer timer;
    flight *next, **link;
    char *body;         /* malloced request body */
    size_t body_len, body_cap;
    int32_t paused, release_wanted;
    job *job;           /* what runs for it on another thread, and its answer */
    token_waiter token; /* what it waits for, or was given, of the token service */
    char peer[48];      /* the client's address, without the port */
};

enum { CONN_READING = 0, /* between requests, or a head or body is on its way */
       CONN_BUSY,        /* a whole request is being answered */
       CONN_DISCARD,     /* the answer is out, the rest of its request is read away */
       CONN_CLOSING };   /* our side is shut; waits for the peer's end */
struct conn {
    net n;
    worker *w;
    flight *f;
    conn *next, **link;
    wheel_timer timer;   /* fires at due_us or before; looks again then */
    int64_t due_us;      /* the end of what the current phase may take; INT64_MAX: it has none */
    int64_t close_by_us; /* CONN_CLOSING: the latest end */
    uint64_t progress;   /* writing: net_progress() when due_us was set */
    char *ahead;         /* bytes of the next requests, read while one is being answered: */
    size_t ahead_at, ahead_len; /* [at, len) of them are still to be used */
    int64_t body_left;   /* of the declared length: not yet seen; -1: chunked */
    uint8_t state, minor, keep_alive, chunked_out;
    uint8_t body_wanted, request_done, is_head, in_data;
    uint8_t close_after, expect, head_timed, refused;
    uint8_t stopped;     /* not reading */
    uint8_t writing;     /* due_us is about the client's taking bytes */
    uint8_t head_seen;   /* f has had its head: it must be told how it ends */
    uint8_t peer_len;
    char peer[60];       /* for the access log */
    _Alignas(16) unsigned char parser[]; /* http_parser_size() */
};
#define CONN_AHEAD_MAX 65536u
#define CONN_DISCARD_MAX (1u << 20)

/* ---- worker.c */
int worker_init(worker *w, server *s, uint32_t index, const char *curl_module, tp_error *err);
int worker_start(worker *w);
/* [serving] Takes the descriptor. refused: its first request is answered 503. */
void worker_give(worker *w, int fd, tls_context *tls, int refused);
void worker_world(worker *w, world *next);             /* [serving] references it */
void worker_stop(worker *w, uint32_t how);             /* [serving] 1: drain, 2: now */
void worker_quit(worker *w);                           /* [serving] ends the thread */
void worker_free(worker *w);
void worker_clock(
    worker *w); /* reads the clocks into w->now: at each callback that runs exchanges */
void worker_use_drop(worker *w, world_use *u);

/* ---- flight.c */
flight *flight_new(worker *w, conn *c);
void flight_run(flight *f, const dispatch_input *in); /* may free f and close c */
int flight_body(flight *f, tp_str bytes, int64_t declared); /* 0, or 413/503 */
void flight_drained(flight *f); /* the client has room again */
void flight_drop(flight *f); /* it never had a head */
void flight_stop_all(worker *w);

static inline void figure_set(_Atomic uint64_t *f, uint64_t v) /* by its own worker only */
{
    atomic_store_explicit(f, v, memory_order_relaxed);
}
static inline void figure_up(_Atomic uint64_t *f)
{
    figure_set(f, atomic_load_explicit(f, memory_order_relaxed) + 1);
}

/* As dispatch_ports.credential. */
int flight_credential(flight *f, const world_provider *p, const dispatch_need *need, tp_str *secret,
                      const char **why);

/* ---- jobs.c: what blocks (Argon2, the management API) runs on libuv's threads. */
int jobs_verify(flight *f, int32_t *right);          /* as dispatch_ports.verify */
int jobs_manage(flight *f, dispatch_input *reply);   /* as dispatch_ports.manage; for the API */
void jobs_free(flight *f);                           /* its answer is no longer needed */

/* ---- conn.c, conn_read.c, conn_write.c */
void conn_take(worker *w, int fd, tls_context *tls, int refused);
/* Carries out what concerns the client; may end c's use of f. 0, or -1: the client is lost. */
int conn_apply(conn *c, flight *f, const dispatch_actions *a);
void conn_drain_idle(worker *w);
void conn_close_all(worker *w);
void conn_set_deadline(conn *c); /* for what it now waits for */
void conn_end(conn *c);          /* the client is gone, or must go */
void conn_next(conn *c);         /* on to the next request, as far as there is one and room */
void conn_feed(conn *c, tp_str in);
void conn_room(conn *c, char **p, size_t *cap); /* where a body's bytes can go at once */
int conn_write_response(conn *c, const dispatch_actions *a); /* 0, or a uv error */
void conn_fault(conn *c, int32_t status, const char *why); /* answers and closes */
/* The same; h: the head, when it has come whole, or NULL. */
void conn_refuse(conn *c, const http_head *h, int32_t status, const char *why);

static inline http_parser *conn_parser(conn *c)
{
    return (http_parser *)(void *)c->parser;
}

/* ---- server.c */
const server_ports *server_ports_of(const server *s);
const logger *server_log(const server *s);
route_table *server_live(server *s);
void server_release_world(server *s, world *w); /* [any] unrefs on the serving thread */
void server_worker_empty(server *s);            /* [worker] draining is done there */
#endif
