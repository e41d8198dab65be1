/* The upstream port: requests out, replies in, over two transports: direct (llhttp keep-alive
 * client with our TLS filter, the default) and curl (libcurl multi, HTTP/2 and forward proxies; a
 * module opened when first needed). One up_client a worker; all on its loop's thread. */
#ifndef TP_LOOP_UPSTREAM_H
#define TP_LOOP_UPSTREAM_H
#include "base/arena.h"
#include "base/base.h"
#include "base/log.h"
#include "loop/net.h"
#include "model/origin.h" /* up_origin */
#include "parse/http.h"

typedef struct up_request { /* the bytes that it names stay valid until the reply's first byte or
                               the end, and while up_sending() says so */
    const up_origin *to;
    tp_str method, target;  /* target: path and query as sent on the wire, "/openai/v1/chat/..." */
    const tp_header *headers; /* without Host, Content-Length, Connection */
    uint32_t header_count, seg_count;
    const tp_str *segs;     /* body */
    uint64_t body_bytes;
} up_request;

enum { UP_CONNECTING = 1, /* waits for name, connection or a free slot */
       UP_SENDING = 2,    /* connected, the request is not yet all in the kernel's hands */
       UP_SENT = 3 };
enum { UP_E_RESOLVE = -1, UP_E_CONNECT = -2, UP_E_TLS = -3, UP_E_RESET = -4, /* broken before the
       end */ UP_E_PROTOCOL = -5, /* not HTTP, or beyond the limits */ UP_E_NOMEM = -6,
       UP_E_TRANSPORT = -7 /* the curl module is not there, or cannot do it */ };

typedef struct up_events { /* never from within up_start or up_cancel */
    void (*progress)(void *arg, int state);  /* UP_SENDING, UP_SENT */
    /* head: with the first call, else NULL; lives in the arena given to up_start. data may be
     * empty. fin 1: the reply is complete with these bytes; the stream is over, no further call. */
    void (*reply)(void *arg, const http_head *head, tp_str data, int fin);
    void (*failed)(void *arg, int reason, const char *what); /* UP_E_; over, no further call */
} up_events;

typedef struct up_client up_client;
typedef struct up_stream up_stream;

/* curl_module: path of turnpike-curl.so, opened when first needed; NULL: not available. */
up_client *up_client_new(net_loop *l, const char *curl_module, const logger *log);
/* All streams must be over. Closes idle connections; done() when the loop has let go of the last.
 */
void up_client_close(up_client *c, void (*done)(void *), void *arg);

/* Starts a request. a: the exchange's arena, for the reply's head. Returns the stream and its state
 * in *state, or NULL (out of memory). A pooled connection that turns out dead before the first byte
 * of the answer is replaced by a fresh one, once, without a word. */
up_stream *up_start(up_client *c, const up_request *r, arena *a, const up_events *on, void *arg,
                    int *state);
int up_sending(const up_stream *s);  /* 1: still reads the request's bytes */
void up_pause(up_stream *s);         /* no reply() until resumed; bounded buffering below */
void up_resume(up_stream *s);
void up_cancel(up_stream *s);        /* over, no further call; s is gone */

typedef struct up_stats { /* of this worker */
    uint64_t connects, reuses, retries, failures;
    uint32_t active, idle;
} up_stats;
void up_client_stats(const up_client *c, up_stats *out);

/* The transport interface that both implement (direct.c, curl_module.c). */
typedef struct up_transport {
    uint32_t size, reserved;
    void *(*open)(net_loop *l, const logger *log);
    void (*close)(void *t, void (*done)(void *), void *arg);
    up_stream *(*start)(void *t, const up_request *r, arena *a, const up_events *on, void *arg,
                        int *state);
    int (*sending)(const up_stream *s);
    void (*pause)(up_stream *s);
    void (*resume)(up_stream *s);
    void (*cancel)(up_stream *s);
    void (*stats)(const void *t, up_stats *out);
} up_transport;
struct up_stream {           /* first member of each transport's own */
    const up_transport *via;
};
#define UP_CURL_SYMBOL "tp_curl_transport_v1" /* const up_transport *(void) */
#endif
