/* mock-upstream: what its files share. A test tool: an upstream that speaks the OpenAI format,
 * fast enough never to be the bottleneck of a measurement, and that fails in every way on request.
 * One worker is one thread with one epoll; a connection stays with one worker for life. */
#ifndef MOCK_H
#define MOCK_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define MOCK_HEAD_MAX ((size_t)65536)
#define MOCK_BODY_MAX ((size_t)64 << 20)
#define MOCK_BATCH ((size_t)65536) /* bytes produced before a send */
#define MOCK_READ_SIZE ((size_t)262144)
#define MOCK_WHEEL 8192u /* timer slots of one millisecond each; a power of two */
#define MOCK_MODEL_MAX 128u

/* ---- behave.c: how to answer ---- */

enum mock_fail {
    MOCK_FAIL_NONE,
    MOCK_FAIL_CLOSE,   /* FIN before the head */
    MOCK_FAIL_RESET,   /* RST before the head */
    MOCK_FAIL_CUT,     /* FIN in the middle of the body, or of an event */
    MOCK_FAIL_CUTRST,  /* the same with RST */
    MOCK_FAIL_DROP,    /* FIN between two events, no last HTTP chunk */
    MOCK_FAIL_NODONE,  /* the stream ends well as HTTP, without finish_reason and [DONE] */
    MOCK_FAIL_ERROR,   /* an error event in the middle of the stream, then its end */
    MOCK_FAIL_STALL,   /* head, then silence */
    MOCK_FAIL_FREEZE,  /* half of the body or stream, then silence */
    MOCK_FAIL_GARBAGE, /* bytes that are not HTTP */
    MOCK_FAIL_SLOW,    /* one byte every 10 ms, head included */
    MOCK_FAIL_HUGE     /* a body or stream without end */
};

struct mock_behave {
    uint64_t status;
    uint64_t delay_ms;
    uint64_t chunks;
    uint64_t chunk_bytes;
    uint64_t pace_ms;
    uint64_t size;
    uint64_t after; /* events before a failure in the stream; UINT64_MAX: half of them */
    uint64_t split; /* most bytes in one HTTP chunk of a stream; 0: one event, one chunk */
    uint64_t retry_after; /* seconds; UINT64_MAX: no such header */
    uint64_t prompt_tokens;
    uint64_t completion_tokens;
    uint64_t usage; /* 0: never, 1: as the request asks, 2: always */
    uint64_t chunked; /* 1: a JSON reply goes out in HTTP chunks */
    uint64_t close;   /* 1: Connection: close after the reply */
    uint64_t fail;    /* enum mock_fail */
};

/* Fills b with the built-in defaults. */
void mock_behave_init(struct mock_behave *b);

/* Sets one parameter by name ('-' and '_' are the same). Returns 0; -1 for an unknown name; -2 for
 * a value that is not a number in range or, for `fail`, not a known word. */
int mock_behave_set(struct mock_behave *b, const char *key, size_t key_len, const char *val,
                    size_t val_len);

/* Applies "name?key=value&key=value": what stands after '?'. Unknown parameters are ignored. */
void mock_behave_model(struct mock_behave *b, const char *model, size_t len);

/* Writes the list of parameters with one line of help each to stderr. */
void mock_behave_help(void);

/* What the mock reads from a chat body: top-level keys only. */
struct mock_peek {
    char model[256]; /* escapes resolved; "" when absent or too long */
    size_t model_len;
    bool stream;
    bool include_usage;
    bool is_object;
};

/* Walks the top level of a JSON object without checking it; never reads beyond n. */
void mock_peek_body(const char *body, size_t n, struct mock_peek *out);

/* ---- http.c: bytes to requests ---- */

enum mock_target {
    MOCK_T_CHAT,
    MOCK_T_MODELS,
    MOCK_T_ROOT,
    MOCK_T_STATS,
    MOCK_T_LAST,
    MOCK_T_LAST_HEAD,
    MOCK_T_RESET,
    MOCK_T_UNKNOWN
};

struct mock_parse {
    size_t head_len; /* 0: the head is not complete yet */
    size_t scan;     /* where to go on looking for the end of the head, or raw chunk position */
    size_t body_len; /* body bytes so far, decoded, beginning at head_len */
    size_t content_length;
    size_t chunk_left;
    uint8_t chunk_state;
    uint8_t target;
    bool has_length;
    bool chunked;
    bool expect;
    bool sent_continue;
    bool keep_alive;
    bool http10;
    bool is_head;
    struct mock_behave behave; /* the defaults, overridden by x-mock-* headers */
};

/* Makes p ready for the next request. */
void mock_parse_reset(struct mock_parse *p, const struct mock_behave *defaults);

/* Goes on parsing the bytes of one request that begin at buf (chunked bodies are decoded in place,
 * *len may shrink). Returns 0 for "more is needed", 1 when the request is complete (*used is its
 * raw length in buf as it now is), or a negative HTTP status to refuse it with. */
int mock_parse_feed(struct mock_parse *p, char *buf, size_t *len, size_t *used);

/* The bytes buf should be able to hold before the next feed is worth it; 0 when not known. */
size_t mock_parse_need(const struct mock_parse *p);

/* ---- reply.c: what is sent ---- */

struct mock_buf {
    char *p;
    size_t len;
    size_t cap;
};

char *mock_buf_room(struct mock_buf *b, size_t n); /* n writable bytes at the end; aborts on OOM */
void mock_buf_add(struct mock_buf *b, const char *p, size_t n);

struct mock_stream {
    uint64_t next; /* the event to come */
    uint64_t id;
    bool usage;
};

/* A whole reply that is kept because the next one is most likely equal. */
struct mock_cached {
    struct mock_buf bytes;
    size_t id_at;
    uint64_t size;
    char model[MOCK_MODEL_MAX];
};

/* A JSON reply of any status. */
void mock_reply_json(struct mock_buf *out, const struct mock_parse *p, const char *type,
                     const char *body, size_t len);

/* The error reply of b->status in the OpenAI envelope. */
void mock_reply_error(struct mock_buf *out, const struct mock_parse *p, unsigned status,
                      const struct mock_behave *b);

/* The chat.completion; for MOCK_FAIL_CUT, CUTRST and FREEZE half of its body, for STALL its head.
 * Cached where nothing special was asked. */
void mock_reply_chat(struct mock_buf *out, const struct mock_parse *p, const struct mock_behave *b,
                     const char *model, uint64_t id, struct mock_cached *cache);

/* Head of a stream (and, with type JSON, of a body without end). */
void mock_stream_head(struct mock_buf *out, const struct mock_parse *p, bool sse);

enum mock_step {
    MOCK_STEP_MORE,  /* wait for the pace, then ask again */
    MOCK_STEP_END,   /* complete; the connection may be used again */
    MOCK_STEP_CLOSE, /* close after what was written */
    MOCK_STEP_RESET, /* the same with RST */
    MOCK_STEP_STALL  /* say nothing more */
};

/* Writes the next event (the last one with all that follows it). */
enum mock_step mock_stream_step(struct mock_buf *out, struct mock_stream *s,
                                const struct mock_behave *b, const char *model, bool chunked);

/* Filler of a body without end. */
void mock_huge_step(struct mock_buf *out, bool chunked);

/* ---- worker.c ---- */

struct mock_last {
    pthread_mutex_t lock;
    uint64_t seq; /* 0: none */
    struct mock_buf head;
    struct mock_buf body;
};

struct mock_counters {
    _Atomic uint64_t requests, accepted, open, streams, max_streams, events;
    _Atomic uint64_t bytes_in, bytes_out, aborted, bad;
};

struct mock_shared {
    struct mock_behave defaults;
    const char *host;
    uint16_t port;
    unsigned threads;
    bool keep_last;
    void *tls; /* SSL_CTX, or NULL */
    _Atomic uint64_t seq;
    struct mock_worker **workers;
};

/* Binds the worker's listener (port 0 picks one and stores it in shared->port). Returns NULL after
 * saying why on stderr. */
struct mock_worker *mock_worker_new(struct mock_shared *shared);
void mock_worker_run(struct mock_worker *w);
void mock_worker_stop(struct mock_worker *w); /* from any thread */
void mock_worker_free(struct mock_worker *w);

struct mock_counters *mock_worker_counters(struct mock_worker *w);
struct mock_last *mock_worker_last(struct mock_worker *w);

/* ---- control.c: GET /mock/... ---- */
void mock_control(struct mock_shared *sh, struct mock_buf *out, const struct mock_parse *p);

/* Adds to a counter that only its own worker writes; others may read it at any time. */
static inline uint64_t mock_count(_Atomic uint64_t *c, uint64_t n)
{
    uint64_t v = atomic_load_explicit(c, memory_order_relaxed) + n;
    atomic_store_explicit(c, v, memory_order_relaxed);
    return v;
}

#endif
