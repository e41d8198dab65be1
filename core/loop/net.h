/* One TCP connection on a worker's loop, plain or TLS: what listeners and the direct transport
 * share. All functions and callbacks: the thread of its loop. uv.h and openssl/ssl.h are included
 * by loop/ only.
 * Reading goes into the loop's one shared buffer (net_loop.buffer), so an idle connection costs no
 * buffer; the bytes are valid until the callback returns. Writing is tried at once (one writev); what
 * the kernel does not take is copied and queued. */
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

typedef struct net_loop { /* one a worker */
    uv_loop_t *uv;
    wheel *timers;
    char *buffer;         /* NET_READ_BUFFER bytes, reading */
    void *tls_scratch;    /* tls.c's own */
    uint32_t open;        /* connections not yet closed: zero at exit */
    uint32_t reserved;
} net_loop;
int net_loop_init(net_loop *l, uv_loop_t *uv, wheel *timers);
void net_loop_free(net_loop *l);

typedef struct net net;
typedef struct net_events {
    /* Decrypted bytes; n > 0. May close, write, stop reading. */
    void (*data)(net *n, char *p, size_t len);
    /* Where the next bytes are to go instead of the shared buffer, e.g. a body's own memory; may be
     * NULL, or leave *p NULL for the shared buffer. */
    void (*room)(net *n, char **p, size_t *cap);
    void (*eof)(net *n);                  /* the peer ended its side cleanly (TLS: close_notify) */
    void (*error)(net *n, int uv_error, const char *what); /* broken; only net_close is left to do */
    void (*drained)(net *n);              /* the queue fell to NET_LOW_WATER after it was above */
    void (*ready)(net *n);                /* TLS handshake (or connect) is done; may be NULL */
    void (*closed)(net *n);               /* last callback: the memory around net may be freed */
} net_events;

struct net {
    uv_tcp_t tcp;
    net_loop *loop;
    const net_events *on;
    void *owner;           /* the user's */
    tls_session *tls;
    size_t queued;         /* bytes accepted and not yet taken by the kernel */
    uint8_t reading, closing, above_high, failed;
    uint8_t handshaking, shut, reserved[2];
};

/* Takes over an accepted descriptor. tls: NULL for plain. 0 or a uv error (fd is then closed). */
int net_open(net *n, net_loop *l, const net_events *on, void *owner, int fd, tls_context *tls);
/* Begins to connect; ready() or error() follows, never from within. sni: for TLS, the name that the
 * certificate must show. */
int net_connect(net *n, net_loop *l, const net_events *on, void *owner, const struct sockaddr *to,
                tls_context *tls, const char *sni);
void net_read_start(net *n);
void net_read_stop(net *n);
/* Writes the segments in order; 0, or a uv error when the connection is broken (error() is not
 * called for it). Afterwards n->queued says how much waits; above NET_HIGH_WATER the writer should
 * stop until drained(). The segments are free when it returns. */
int net_write(net *n, const tp_str *segs, uint32_t count);
/* Sends what is queued, then the end of our side (TLS close_notify, FIN). */
void net_shutdown(net *n);
/* Closes at once; queued bytes are dropped. closed() follows from the loop. Idempotent. */
void net_close(net *n);
/* Closes with RST, for a reply that must not look complete. */
void net_abort(net *n);
int net_peer(const net *n, char out[64]); /* "127.0.0.1:4711" or "[::1]:4711" */
#endif
