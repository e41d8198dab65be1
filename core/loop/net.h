/* One TCP connection on a worker's loop, plain or TLS: what listeners and the direct transport
 * share. All functions and callbacks: the thread of its loop. uv.h and openssl/ssl.h are included
 * by loop/ only.
 * Reading goes into the loop's one shared buffer (net_loop.buffer), so an idle connection costs no
 * buffer; the bytes are valid until the callback returns. Small writes are gathered and made at the
 * end of the loop's turn, large ones at once (one writev); what the kernel does not take is copied
 * and queued. */
#ifndef TP_LOOP_NET_H
#define TP_LOOP_NET_H
#include <uv.h>
#include "base/base.h"
#include "loop/wheel.h"

#define NET_READ_BUFFER 65536u
#define NET_HIGH_WATER 65536u /* queued bytes at which a writer should stop */
#define NET_LOW_WATER 16384u  /* drained() is called when the queue falls to it */

typedef struct tls_context tls_context; /* a listener's or an upstream's; tls.h */
typedef struct tls_session tls_session; /* one connection's state; NULL when plain */
typedef struct tls_resume tls_resume;   /* tls.h */

/* Something to be done soon, from the loop and not from within the caller; embedded in its user,
 * zeroed: not waiting. Runs once each time it is deferred. */
typedef struct net_task {
    struct net_task *next, **link;
    void (*run)(struct net_task *);
} net_task;

typedef struct net_batch net_batch; /* net_batch.c's own */

typedef struct net_loop { /* one a worker */
    uv_loop_t *uv;
    wheel *timers;        /* run by its owner with microseconds of uv_now()'s clock (monotonic) */
    char *buffer;         /* NET_READ_BUFFER bytes, reading */
    void *tls_scratch;    /* tls_bio.c's own */
    uint32_t open;        /* connections not yet closed: zero at exit */
    uint32_t reserved;
    net_batch *batch;     /* writes of this turn; there while connections are open */
    net_task *tasks, **tasks_end;
    uv_idle_t *idle;      /* there while tasks wait */
} net_loop;
int net_loop_init(net_loop *l, uv_loop_t *uv, wheel *timers); /* 0 or UV_ENOMEM */
void net_loop_free(net_loop *l); /* nothing may be open; the wheel and uv are the caller's */
void net_defer(net_loop *l, net_task *t);   /* no effect when it waits already */
void net_undefer(net_loop *l, net_task *t); /* no effect when it does not wait */
static inline int64_t net_now_us(const net_loop *l) /* the loop's cached monotonic clock */
{
    return (int64_t)uv_now(l->uv) * 1000;
}

typedef struct net net;
typedef struct net_events {
    /* Decrypted bytes; n > 0. May close, write, stop reading. */
    void (*data)(net *n, char *p, size_t len);
    /* Where the next bytes are to go instead of the shared buffer, e.g. a body's own memory; may be
     * NULL, or leave *p NULL for the shared buffer. */
    void (*room)(net *n, char **p, size_t *cap);
    void (*eof)(net *n);                  /* the peer ended its side cleanly (TLS: close_notify) */
    /* Broken; only net_close is left to do. TLS: a peer that ends without close_notify is one, too
     * (UV_ECONNRESET), and a failed handshake (UV_EPROTO; what: a whole sentence). */
    void (*error)(net *n, int uv_error, const char *what);
    void (*drained)(net *n);              /* the queue fell to NET_LOW_WATER after it was above */
    void (*ready)(net *n);                /* TLS: the handshake is done; may be NULL */
    void (*closed)(net *n);               /* last callback: the memory around net may be freed */
} net_events;

struct net {
    uv_poll_t poll;        /* recv and send are ours: a system call each, and less of it */
    net_loop *loop;
    const net_events *on;
    void *owner;           /* the user's */
    tls_session *tls;
    struct net_out *out;   /* what waits for the kernel; NULL when nothing does */
    net_task task;         /* goes on with what was read before a stop; late errors */
    size_t queued;         /* bytes accepted and not yet taken by the kernel */
    uint64_t taken;        /* of bytes that were queued: by the kernel, see net_progress */
    uint8_t reading, closing, above_high, failed; /* reading: the user's wish */
    uint8_t handshaking, shut, events, batched; /* batched: has writes in loop->batch */
    int32_t late_error, fd;
};

/* Takes over an accepted descriptor. tls: NULL for plain. 0, or UV_ENOMEM (fd is then closed, and
 * nothing is left behind). TCP_NODELAY is set. */
int net_open(net *n, net_loop *l, const net_events *on, void *owner, int fd, tls_context *tls);
/* The same for a descriptor that we connected. name: for TLS, the name or address that the
 * certificate must show, also sent as SNI; resume: where the TLS session is kept for the next
 * connection, or NULL; both outlive the connection. ready() follows with TLS only. */
int net_open_client(net *n, net_loop *l, const net_events *on, void *owner, int fd,
                    tls_context *tls, const char *name, tls_resume *resume);
void net_read_start(net *n);
void net_read_stop(net *n); /* no data() from now on, until started again */
/* Writes the segments in order; 0, or a uv error when the connection is broken (error() is not
 * called for it, but reading goes on, and error() or eof() follows what the peer had sent before).
 * Afterwards n->queued says how much waits; above NET_HIGH_WATER the writer should stop until
 * drained(). The segments are free when it returns. TLS: not before ready(). */
int net_write(net *n, const tp_str *segs, uint32_t count);
/* Changes while the peer takes bytes, also within one large write, and also those that the kernel
 * holds for it: a writer whose queue is not empty and whose progress stands still has a peer that
 * does not read. One system call. */
uint64_t net_progress(const net *n);
/* Sends what is queued, then the end of our side (TLS close_notify, FIN). */
void net_shutdown(net *n);
/* Closes at once; queued bytes are dropped. closed() follows from the loop. Idempotent. */
void net_close(net *n);
/* Closes with RST, for a reply that must not look complete. */
void net_abort(net *n);
/* "127.0.0.1:4711" or "[::1]:4711"; its length, or 0 (and "") when it cannot be told. */
int net_peer(const net *n, char out[64]);
#endif
