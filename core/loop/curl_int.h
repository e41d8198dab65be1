/* Inside the curl transport: streams and their ends (curl_module.c), libcurl's sockets and timers
 * on the loop (curl_socket_module.c), requests and replies (curl_http_module.c). */
#ifndef TP_LOOP_CURL_INT_H
#define TP_LOOP_CURL_INT_H
#include <curl/curl.h>
#include <openssl/ssl.h>
#include <uv.h>

#include "base/arena.h"
#include "base/buf.h"
#include "loop/upstream.h"

#define SHARD_MAX 64u
#define HOLD_MAX 65536u  /* body bytes kept for an owner that paused; then libcurl is paused */
#define HEAD_MAX 65536u
#define SPARE_MAX 64u

typedef struct curl_up curl_up;
typedef struct shard shard;
typedef struct cstream cstream;

typedef struct watch { /* one socket of libcurl's */
    uv_poll_t poll;
    shard *sh;
    struct watch *next;
    curl_socket_t fd;
} watch;

struct shard {
    shard *next;
    curl_up *t;
    CURLM *multi;
    uv_timer_t timer;
    watch *watches;
    uint32_t transfers, closing;
};

typedef struct queue { /* streams of one pool that wait for a free place */
    struct queue *next;
    uint64_t key;
    uint32_t active, reserved;
    cstream *first, *last;
} queue;

struct cstream {
    up_stream base;
    curl_up *t;
    shard *sh;               /* NULL: waits, or failed to start */
    queue *q;                /* NULL: without limit */
    cstream *next, *prev;    /* the queue */
    cstream *ready_next, **ready_link; /* among those that upc_drain() has to look at */
    CURL *easy;
    struct curl_slist *headers;
    up_request r;
    uint32_t seg;
    uint8_t state, told;     /* told: the state that the owner knows */
    uint8_t paused, curl_paused, over, head_told;
    uint8_t notified;        /* TLS close_notify has come */
    uint64_t seg_at;
    arena *a;
    const up_events *on;
    void *arg;
    http_head *head;         /* complete */
    buf raw;                 /* head lines so far */
    buf body;
    SSL *ssl;                /* whose close_notify makes the reply whole; mostly NULL */
    CURLcode result;
    int32_t reason;          /* UP_E_ found by ourselves, or 0 */
    const char *why;
    char error[CURL_ERROR_SIZE];
};

struct curl_up {
    net_loop *loop;
    shard *shards;
    queue *queues;
    cstream *ready, **ready_end;
    CURL *spare[SPARE_MAX];
    uint32_t spares, handles;
    uv_timer_t *kick;        /* drains, when something is ready outside of libcurl's turns */
    uint32_t draining;
    uint32_t h2c_once; /* libcurl 7.88 breaks HTTP/2 without TLS on a connection used before */
    up_stats st;
    void (*done)(void *);
    void *done_arg;
};

/* curl_module.c */
void upc_mark(cstream *s);                 /* upc_drain() is to look at it */
void upc_drain(curl_up *t);                /* tells the owners what happened; not within libcurl */
void upc_settle(curl_up *t);               /* closing: is everything gone? */

/* curl_socket_module.c */
shard *upc_shard(curl_up *t);    /* one with a free place; NULL: out of memory */
void upc_shard_close(shard *sh);           /* without transfers; frees it later */
int upc_close_socket(void *arg, curl_socket_t fd); /* CURLOPT_CLOSESOCKETFUNCTION; arg: the shard */

/* curl_http_module.c */
void upc_wrong(cstream *s, int reason, const char *why); /* the first reason wins */
int upc_prepare(cstream *s, shard *sh); /* -1: cannot be sent, upc_wrong() was called */
#endif
