/* Inside the direct transport: streams (direct.c), connections and pools (direct_pool.c), and how a
 * connection comes about (direct_dial.c). */
#ifndef TP_LOOP_DIRECT_INT_H
#define TP_LOOP_DIRECT_INT_H
#include "base/buf.h"
#include "loop/net.h"
#include "loop/resolve.h"
#include "loop/tls.h"
#include "loop/upstream.h"
#include "parse/http.h"

#define DIRECT_IDLE_MS 60000u
#define DIRECT_SWEEP_US 5000000
#define DIRECT_DIAL_MS 60000u    /* a dial that nobody waits for any more ends then */
#define DIRECT_POOL_MS 600000u   /* a pool that nobody used for so long is forgotten */
#define DIRECT_BUCKETS 256u

typedef struct direct direct;
typedef struct pool pool;
typedef struct conn conn;
typedef struct stream stream;
typedef struct dial dial;

struct stream {
    up_stream base;
    direct *d;
    conn *c;               /* NULL: waits in its pool's queue */
    pool *p;
    stream *next, *prev;   /* the queue; or the free list */
    up_request r;
    uint64_t seg_at;       /* next byte to send: offset in ... */
    uint32_t seg;          /* ... this segment */
    uint8_t state, paused;
    uint8_t retried;       /* a reused connection was dead: takes a fresh one only */
    uint8_t answered;      /* a byte of the reply has come */
    arena *a;
    const up_events *on;
    void *arg;
    const char *bad;       /* why it cannot be sent; told by: */
    net_task late;
};

struct conn {
    net net;
    pool *p;
    stream *s;             /* NULL: idle, or closing */
    dial *dial;            /* while TLS shakes hands */
    conn *next, *prev;     /* the pool's idle list, the last used first */
    char *held;            /* read, but the stream is paused */
    uint32_t held_len, held_ready; /* the first held_ready bytes are parsed */
    uint32_t idle_ms;      /* how long it may idle */
    uint64_t idle_since;   /* uv_now() */
    net_task task;         /* goes on with what is held */
    uint8_t keep;          /* the reply being read lets the connection stay */
    uint8_t served;        /* has answered a request before */
    uint8_t idle, gone;    /* in the idle list; net_close was called */
    uint8_t dead;          /* cannot write; task tells */
    http_parser *parser;   /* behind this struct */
};

typedef struct attempt { /* one connect() */
    uv_poll_t poll;
    dial *d;
    direct *owner;
    struct attempt *next;
    int fd;
} attempt;

struct dial {
    pool *p;
    dial *next, *prev;     /* the pool's, the latest first */
    resolve_query q;
    uint32_t at;           /* next address */
    int32_t error;         /* uv error of the last attempt */
    attempt *tries;
    conn *c;               /* shaking hands */
    wheel_timer later;     /* the next address, while others are still tried */
    net_task fail;         /* failure found at once is told later */
    uint64_t since;
    int32_t reason;        /* UP_E_ */
    char why[256];
};

struct pool {
    pool *next;            /* hash chain */
    direct *d;
    uint64_t key;
    char *host, *ca_file;
    tls_context *tls;      /* borrowed of direct.trust; NULL: not made yet, or plain */
    tls_resume resume;
    int32_t port, secure;
    conn *idle, *oldest;
    dial *dials;
    stream *first, *last;  /* who waits, in order */
    uint32_t conns, dialing, waiting, idling;
    uint64_t used;         /* uv_now() */
};

typedef struct trust { /* TLS settings by CA file */
    struct trust *next;
    char *ca_file;
    tls_context *context;
} trust;

struct direct {
    net_loop *loop;
    const logger *log;
    resolver *names;
    pool *buckets[DIRECT_BUCKETS];
    uint32_t pools, handles;   /* handles: connections and attempts that the loop still knows */
    stream *spare;             /* free list */
    trust *trusts;
    buf head;                  /* scratch: the request's head while it is written */
    wheel_timer sweep;
    up_stats st;
    void (*done)(void *);      /* set: closing */
    void *done_arg;
    net_task finish;
};

extern const net_events direct_net_events;
extern const up_transport direct_transport;
resolver *direct_names(void *transport); /* of what direct_transport.open gave; for tests */
void *up_client_direct(up_client *c);    /* its direct transport; for tests */

/* direct.c */
void stream_fail(stream *s, int reason, const char *what); /* s is in no list and has no conn */
void stream_give(stream *s, conn *c);    /* s is in no list; sends; may end both */
void conn_resume(net_task *t);           /* goes on with what was held while paused */
void direct_settle(direct *d);           /* closing: is everything gone? */

/* direct_pool.c */
pool *pool_of(direct *d, const up_origin *to);
void pool_queue(pool *p, stream *s, int front);
void pool_unqueue(pool *p, stream *s);
void pool_pump(pool *p, int32_t max);    /* dials for those who wait, within the limit */
conn *pool_take(pool *p);                /* an idle connection, or NULL */
void pool_ready(pool *p, conn *c);       /* c is free: to who waits first, or to the idle ones */
void pool_idle(pool *p, conn *c);
void pool_sweep(wheel_timer *t);
void pools_close(direct *d);
void pools_free(direct *d);
conn *conn_open(pool *p, int fd, dial *d); /* NULL: out of memory; fd is closed */
void conn_close(conn *c);                /* leaves all lists; its stream is the caller's matter */

/* direct_dial.c */
void dial_start(pool *p);
void dial_abort(dial *d);
void dial_shaken(dial *d);               /* d->c is ready */
void dial_broken(dial *d, int reason, const char *what); /* d->c broke while shaking hands */
#endif
