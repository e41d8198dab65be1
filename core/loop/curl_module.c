/* The curl transport, a module of its own: libcurl's multi interface on the worker's loop, for
 * HTTP/2 and forward proxies. libcurl walks all connections of a multi for each new transfer, so
 * transfers are spread over shards of at most 64. Nothing of a stream's owner is called from within
 * libcurl: callbacks note what happened, and drain() tells it when libcurl has returned. */
#include <curl/curl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/ssl.h>
#include <unistd.h>
#include <uv.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/str.h"
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
    cstream *ready_next, **ready_link; /* among those that drain() has to look at */
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

TP_EXPORT const up_transport *tp_curl_transport_v1(void); /* UP_CURL_SYMBOL */
static void drain(curl_up *t);
static void start_next(curl_up *t, queue *q);

/* ---- what is ready */
static void on_kick(uv_timer_t *h)
{
    drain(h->data);
}

static void mark(cstream *s)
{
    if (s->ready_link)
        return;
    s->ready_next = NULL;
    s->ready_link = s->t->ready_end;
    *s->t->ready_end = s;
    s->t->ready_end = &s->ready_next;
}

static void unmark(cstream *s)
{
    if (!s->ready_link)
        return;
    if (s->t->ready_end == &s->ready_next)
        s->t->ready_end = s->ready_link;
    *s->ready_link = s->ready_next;
    if (s->ready_next)
        s->ready_next->ready_link = s->ready_link;
    s->ready_next = NULL;
    s->ready_link = NULL;
}

static void mark_and_kick(cstream *s)
{
    mark(s);
    if (!s->t->draining)
        uv_timer_start(s->t->kick, on_kick, 0, 0);
}

/* ---- sockets and time */
static void settle(curl_up *t)
{
    if (!t->done || t->handles)
        return;
    void (*done)(void *) = t->done;
    void *arg = t->done_arg;
    free(t);
    curl_global_cleanup();
    done(arg);
}

static void watch_closed(uv_handle_t *h)
{
    watch *w = h->data;
    curl_up *t = w->sh->t;
    shard *sh = w->sh;
    free(w);
    t->loop->open--;
    t->handles--;
    if (--sh->closing == 0)
        free(sh);
    settle(t);
}

static void watch_drop(watch *w)
{
    watch **at = &w->sh->watches;
    while (*at != w)
        at = &(*at)->next;
    *at = w->next;
    uv_poll_stop(&w->poll);
    uv_close((uv_handle_t *)&w->poll, watch_closed);
}

static void on_poll(uv_poll_t *h, int status, int events)
{
    watch *w = h->data;
    curl_up *t = w->sh->t;
    int running, bits = 0;
    if (status < 0)
        bits = CURL_CSELECT_ERR;
    if (events & UV_READABLE)
        bits |= CURL_CSELECT_IN;
    if (events & UV_WRITABLE)
        bits |= CURL_CSELECT_OUT;
    curl_multi_socket_action(w->sh->multi, w->fd, bits, &running);
    drain(t);
}

static int on_socket(CURL *easy, curl_socket_t fd, int what, void *arg, void *known)
{
    shard *sh = arg;
    watch *w = known;
    (void)easy;
    if (what == CURL_POLL_REMOVE) {
        if (w) {
            watch_drop(w);
            curl_multi_assign(sh->multi, fd, NULL);
        }
        return 0;
    }
    if (!w) {
        w = calloc(1, sizeof(*w));
        if (!w || uv_poll_init_socket(sh->t->loop->uv, &w->poll, fd) != 0) {
            free(w);
            return -1;
        }
        w->poll.data = w;
        w->sh = sh;
        w->fd = fd;
        w->next = sh->watches;
        sh->watches = w;
        sh->closing++;
        sh->t->handles++;
        sh->t->loop->open++;
        curl_multi_assign(sh->multi, fd, w);
    }
    int events = (what & CURL_POLL_IN ? UV_READABLE : 0) | (what & CURL_POLL_OUT ? UV_WRITABLE : 0);
    uv_poll_start(&w->poll, events, on_poll);
    return 0;
}

/* libcurl has closed sockets that it had not let go of: ours is the last word. */
static int on_close_socket(void *arg, curl_socket_t fd)
{
    shard *sh = arg;
    for (watch *w = sh->watches; w; w = w->next) {
        if (w->fd == fd) {
            watch_drop(w);
            break;
        }
    }
    return close(fd);
}

static void on_time(uv_timer_t *h)
{
    shard *sh = h->data;
    int running;
    curl_multi_socket_action(sh->multi, CURL_SOCKET_TIMEOUT, 0, &running);
    drain(sh->t);
}

static int on_timer(CURLM *multi, long ms, void *arg)
{
    shard *sh = arg;
    (void)multi;
    if (ms < 0)
        uv_timer_stop(&sh->timer);
    else /* 0 too: never from within libcurl's own call */
        uv_timer_start(&sh->timer, on_time, (uint64_t)ms, 0);
    return 0;
}

static void timer_closed(uv_handle_t *h)
{
    shard *sh = h->data;
    curl_up *t = sh->t;
    t->handles--;
    if (--sh->closing == 0)
        free(sh);
    settle(t);
}

static shard *shard_with_room(curl_up *t)
{
    shard **at = &t->shards;
    for (; *at; at = &(*at)->next)
        if ((*at)->transfers < SHARD_MAX)
            return *at;
    shard *sh = calloc(1, sizeof(*sh));
    if (!sh || !(sh->multi = curl_multi_init())) {
        free(sh);
        return NULL;
    }
    sh->t = t;
    uv_timer_init(t->loop->uv, &sh->timer);
    sh->timer.data = sh;
    sh->closing = 1;
    t->handles++;
    curl_multi_setopt(sh->multi, CURLMOPT_SOCKETFUNCTION, on_socket);
    curl_multi_setopt(sh->multi, CURLMOPT_SOCKETDATA, sh);
    curl_multi_setopt(sh->multi, CURLMOPT_TIMERFUNCTION, on_timer);
    curl_multi_setopt(sh->multi, CURLMOPT_TIMERDATA, sh);
    curl_multi_setopt(sh->multi, CURLMOPT_MAXCONNECTS, (long)SHARD_MAX);
    *at = sh;
    return sh;
}

/* ---- the reply, as libcurl tells it */
static void wrong(cstream *s, int reason, const char *why)
{
    if (!s->reason) {
        s->reason = reason;
        s->why = why;
    }
}

static tp_str next_line(tp_str *rest)
{
    size_t n = str_find(*rest, '\n');
    tp_str line = {rest->ptr, n};
    *rest = str_skip(*rest, n + 1);
    if (line.len && line.ptr[line.len - 1] == '\r')
        line.len--;
    return line;
}

static int known_kind(tp_str name)
{
    static const struct {
        const char *name;
        int kind;
    } kinds[] = {{"content-type", HTTP_H_CONTENT_TYPE},
                 {"content-length", HTTP_H_CONTENT_LENGTH},
                 {"transfer-encoding", HTTP_H_TRANSFER_ENCODING},
                 {"connection", HTTP_H_CONNECTION},
                 {"keep-alive", HTTP_H_KEEP_ALIVE},
                 {"retry-after", HTTP_H_RETRY_AFTER},
                 {"content-encoding", HTTP_H_CONTENT_ENCODING},
                 {"x-request-id", HTTP_H_REQUEST_ID}};
    for (size_t i = 0; i < TP_COUNT(kinds); i++)
        if (str_eq(name, str_of(kinds[i].name)))
            return kinds[i].kind;
    return HTTP_H_OTHER;
}

static int take_header(http_head *h, char *p, size_t len)
{
    size_t colon = str_find(str_make(p, len), ':');
    if (colon == 0 || colon == len)
        return -1;
    for (size_t i = 0; i < colon; i++)
        if (p[i] >= 'A' && p[i] <= 'Z')
            p[i] = (char)(p[i] | 0x20);
    tp_header *x = &h->headers[h->header_count++];
    x->name = str_make(p, colon);
    x->value = str_trim(str_make(p + colon + 1, len - colon - 1));
    int kind = known_kind(x->name);
    if (kind && !h->known[kind].ptr)
        h->known[kind] = x->value;
    if (kind == HTTP_H_CONTENT_LENGTH && str_to_i64(x->value, &h->content_length) < 0)
        return -1;
    if (kind == HTTP_H_TRANSFER_ENCODING)
        h->chunked = 1;
    return 0;
}

/* The gathered lines as an http_head in the stream's arena. */
static void build_head(cstream *s, long status)
{
    tp_str rest = arena_str(s->a, buf_str(&s->raw));
    uint32_t lines = 0;
    for (size_t i = 0; i < rest.len; i++)
        lines += rest.ptr[i] == '\n';
    http_head *h = rest.ptr ? arena_zalloc(s->a, sizeof(*h)) : NULL;
    if (h)
        h->headers = arena_zalloc(s->a, (lines + 1) * sizeof(*h->headers));
    if (!h || !h->headers) {
        wrong(s, UP_E_NOMEM, "the head of the reply does not fit into the memory of one request");
        return;
    }
    h->status = (int32_t)status;
    h->content_length = -1;
    h->minor = 1;
    h->keep_alive = 1;
    (void)next_line(&rest); /* the status line */
    while (rest.len) {
        tp_str line = next_line(&rest);
        if (line.len && take_header(h, (char *)(uintptr_t)line.ptr, line.len) < 0) {
            wrong(s, UP_E_PROTOCOL, "the head of the reply is malformed");
            return;
        }
    }
    s->head = h;
}

static void on_tls_message(int sent, int version, int type, const void *p, size_t len, SSL *ssl,
                           void *arg)
{
    cstream *s = arg;
    (void)version;
    (void)ssl;
    if (!sent && type == SSL3_RT_ALERT && len == 2 &&
        ((const unsigned char *)p)[1] == SSL_AD_CLOSE_NOTIFY)
        s->notified = 1;
}

/* libcurl takes a reply that lasts until the connection ends for whole, also when TLS did not say
 * that it ends. So we look for the alert ourselves. */
static void watch_end(cstream *s, long status)
{
    struct curl_tlssessioninfo *tls = NULL;
    long version = 0;
    curl_easy_getinfo(s->easy, CURLINFO_HTTP_VERSION, &version);
    if (!s->head || !s->r.to->tls || s->head->content_length >= 0 || s->head->chunked ||
        status == 204 || status == 304 || version >= CURL_HTTP_VERSION_2_0 ||
        str_eq(s->r.method, STR("HEAD")))
        return;
    if (curl_easy_getinfo(s->easy, CURLINFO_TLS_SSL_PTR, &tls) == CURLE_OK && tls &&
        tls->backend == CURLSSLBACKEND_OPENSSL && tls->internals) {
        s->ssl = tls->internals;
        SSL_up_ref(s->ssl);
        SSL_set_msg_callback(s->ssl, on_tls_message);
        SSL_set_msg_callback_arg(s->ssl, s);
    }
}

static size_t on_header(char *p, size_t size, size_t count, void *arg)
{
    cstream *s = arg;
    size_t n = size * count;
    long status = 0;
    if (s->head) /* trailers */
        return n;
    if (n > 5 && memcmp(p, "HTTP/", 5) == 0)
        s->raw.len = 0;
    if (buf_add(&s->raw, p, n) < 0) {
        wrong(s, UP_E_PROTOCOL, "the head of the reply is longer than 64 KiB");
        return 0;
    }
    if (n > 2 || (n && p[0] != '\r' && p[0] != '\n'))
        return n;
    curl_easy_getinfo(s->easy, CURLINFO_RESPONSE_CODE, &status);
    if (status >= 200) {
        build_head(s, status);
        watch_end(s, status);
        mark(s);
    }
    return s->reason ? 0 : n;
}

static size_t on_body(char *p, size_t size, size_t count, void *arg)
{
    cstream *s = arg;
    size_t n = size * count;
    if (s->body.len && s->body.len + n > HOLD_MAX) {
        s->curl_paused = 1;
        mark(s);
        return CURL_WRITEFUNC_PAUSE;
    }
    if (buf_add(&s->body, p, n) < 0) {
        wrong(s, UP_E_NOMEM, "out of memory");
        return 0;
    }
    mark(s);
    return n;
}

static int on_sending(void *arg, char *ip, char *local, int port, int local_port)
{
    cstream *s = arg;
    (void)ip;
    (void)local;
    (void)port;
    (void)local_port;
    s->state = s->r.body_bytes ? UP_SENDING : UP_SENT;
    mark(s);
    return CURL_PREREQFUNC_OK;
}

static size_t on_upload(char *to, size_t size, size_t count, void *arg)
{
    cstream *s = arg;
    size_t cap = size * count, got = 0;
    while (got < cap && s->seg < s->r.seg_count) {
        tp_str seg = str_skip(s->r.segs[s->seg], s->seg_at);
        size_t some = TP_MIN(cap - got, seg.len);
        if (some)
            memcpy(to + got, seg.ptr, some);
        got += some;
        s->seg_at += some;
        if (some == seg.len) {
            s->seg++;
            s->seg_at = 0;
        }
    }
    if (s->seg == s->r.seg_count && s->state == UP_SENDING) {
        s->state = UP_SENT;
        mark(s);
    }
    return got;
}

static int on_rewind(void *arg, curl_off_t at, int origin)
{
    cstream *s = arg;
    if (at != 0 || origin != SEEK_SET)
        return CURL_SEEKFUNC_CANTSEEK;
    s->seg = 0;
    s->seg_at = 0;
    s->t->st.retries++;
    return CURL_SEEKFUNC_OK;
}

/* ---- the request */
static int add_header(cstream *s, tp_str name, tp_str value, int *seen)
{
    char small[1024], *line = small;
    size_t need = name.len + value.len + 4;
    for (size_t i = 0; i < name.len; i++)
        if ((unsigned char)name.ptr[i] <= ' ' || name.ptr[i] == ':' || name.ptr[i] == 127)
            return -1;
    for (size_t i = 0; i < value.len; i++)
        if (value.ptr[i] == '\r' || value.ptr[i] == '\n' || value.ptr[i] == 0)
            return -1;
    if (name.len == 0)
        return -1;
    if (need > sizeof(small) && !(line = malloc(need)))
        return -1;
    if (value.len)
        snprintf(line, need, "%.*s: %.*s", STR_ARG(name), STR_ARG(value));
    else
        snprintf(line, need, "%.*s;", STR_ARG(name));
    struct curl_slist *l = curl_slist_append(s->headers, line);
    if (line != small)
        free(line);
    if (!l)
        return -1;
    s->headers = l;
    *seen |= str_ieq(name, STR("accept")) ? 1 : str_ieq(name, STR("content-type")) ? 2 : 0;
    return 0;
}

static int set_headers(cstream *s)
{
    int seen = 0, rc = add_header(s, STR("Host"), s->r.to->authority, &seen);
    for (uint32_t i = 0; rc == 0 && i < s->r.header_count; i++)
        rc = add_header(s, s->r.headers[i].name, s->r.headers[i].value, &seen);
    if (rc)
        return rc;
    /* What libcurl would add of its own. */
    static const char *const off[] = {"Accept:", "Content-Type:", "Expect:"};
    for (unsigned i = 0; i < TP_COUNT(off); i++) {
        if (i < 2 && (seen & (1 << i)))
            continue;
        struct curl_slist *l = curl_slist_append(s->headers, off[i]);
        if (!l)
            return -1;
        s->headers = l;
    }
    curl_easy_setopt(s->easy, CURLOPT_HTTPHEADER, s->headers);
    return 0;
}

static int set_url(cstream *s)
{
    const up_origin *to = s->r.to;
    buf b;
    int six = str_find(to->host, ':') < to->host.len;
    for (size_t i = 0; i < s->r.target.len; i++)
        if ((unsigned char)s->r.target.ptr[i] <= ' ' || s->r.target.ptr[i] == 127)
            return -1;
    buf_init(&b, HEAD_MAX);
    int rc = buf_printf(&b, "%s://%s%.*s%s:%d%.*s", to->tls ? "https" : "http", six ? "[" : "",
                        STR_ARG(to->host), six ? "]" : "", to->port, STR_ARG(s->r.target));
    rc = rc ? rc : buf_add(&b, "", 1);
    if (rc == 0 && curl_easy_setopt(s->easy, CURLOPT_URL, b.ptr) != CURLE_OK)
        rc = -1;
    buf_free(&b);
    return rc;
}

static int set_text(CURL *easy, CURLoption what, tp_str value)
{
    char *z = strndup(value.ptr ? value.ptr : "", value.len);
    int rc = z && curl_easy_setopt(easy, what, z) == CURLE_OK ? 0 : -1;
    free(z);
    return rc;
}

static int set_method(cstream *s)
{
    CURL *e = s->easy;
    tp_str m = s->r.method;
    for (size_t i = 0; i < m.len; i++)
        if ((unsigned char)m.ptr[i] <= ' ' || m.ptr[i] == 127)
            return -1;
    int body = s->r.body_bytes || str_eq(m, STR("POST")) || str_eq(m, STR("PUT")) ||
               str_eq(m, STR("PATCH"));
    if (str_eq(m, STR("HEAD")) && !body) {
        curl_easy_setopt(e, CURLOPT_NOBODY, 1L);
        return 0;
    }
    if (body) {
        curl_easy_setopt(e, CURLOPT_POST, 1L);
        curl_easy_setopt(e, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)s->r.body_bytes);
        curl_easy_setopt(e, CURLOPT_READFUNCTION, on_upload);
        curl_easy_setopt(e, CURLOPT_READDATA, s);
        curl_easy_setopt(e, CURLOPT_SEEKFUNCTION, on_rewind);
        curl_easy_setopt(e, CURLOPT_SEEKDATA, s);
        if (str_eq(m, STR("POST")))
            return 0;
    } else if (str_eq(m, STR("GET"))) {
        return 0;
    }
    return set_text(e, CURLOPT_CUSTOMREQUEST, m);
}

static int set_way(cstream *s)
{
    const up_origin *to = s->r.to;
    CURL *e = s->easy;
    int rc = 0;
    curl_easy_setopt(e, CURLOPT_HTTP_VERSION,
                     (long)(!to->http2 ? CURL_HTTP_VERSION_1_1
                            : to->tls  ? CURL_HTTP_VERSION_2TLS
                                       : CURL_HTTP_VERSION_2_PRIOR_KNOWLEDGE));
    curl_easy_setopt(e, CURLOPT_PIPEWAIT, to->http2 ? 1L : 0L);
    if (to->http2 && !to->tls && s->t->h2c_once) {
        curl_easy_setopt(e, CURLOPT_FRESH_CONNECT, 1L);
        curl_easy_setopt(e, CURLOPT_FORBID_REUSE, 1L);
        curl_easy_setopt(e, CURLOPT_PIPEWAIT, 0L);
    }
    curl_easy_setopt(e, CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
    if (to->ca_file.len) {
        rc |= set_text(e, CURLOPT_CAINFO, to->ca_file);
        curl_easy_setopt(e, CURLOPT_CAPATH, NULL);
    }
    if (!str_eq(to->proxy, STR("environment"))) {
        rc |= set_text(e, CURLOPT_PROXY, to->proxy); /* "": none, whatever the environment says */
        curl_easy_setopt(e, CURLOPT_NOPROXY, "");
    }
    return rc;
}

static int set_options(cstream *s, shard *sh)
{
    CURL *e = s->easy;
    curl_easy_setopt(e, CURLOPT_PRIVATE, s);
    curl_easy_setopt(e, CURLOPT_ERRORBUFFER, s->error);
    curl_easy_setopt(e, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(e, CURLOPT_TCP_NODELAY, 1L);
    curl_easy_setopt(e, CURLOPT_FOLLOWLOCATION, 0L);
    curl_easy_setopt(e, CURLOPT_PATH_AS_IS, 1L);
    curl_easy_setopt(e, CURLOPT_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(e, CURLOPT_SUPPRESS_CONNECT_HEADERS, 1L);
    curl_easy_setopt(e, CURLOPT_MAXAGE_CONN, 60L);
    curl_easy_setopt(e, CURLOPT_HEADERFUNCTION, on_header);
    curl_easy_setopt(e, CURLOPT_HEADERDATA, s);
    curl_easy_setopt(e, CURLOPT_WRITEFUNCTION, on_body);
    curl_easy_setopt(e, CURLOPT_WRITEDATA, s);
    curl_easy_setopt(e, CURLOPT_PREREQFUNCTION, on_sending);
    curl_easy_setopt(e, CURLOPT_PREREQDATA, s);
    curl_easy_setopt(e, CURLOPT_CLOSESOCKETFUNCTION, on_close_socket);
    curl_easy_setopt(e, CURLOPT_CLOSESOCKETDATA, sh);
    if (set_headers(s) || set_url(s) || set_method(s) || set_way(s)) {
        wrong(s, UP_E_PROTOCOL, "the request cannot be sent: its method, target or a header holds a "
                                "character that may not stand there, or memory is out");
        return -1;
    }
    return 0;
}

/* Gives the stream to libcurl, or marks it as failed. */
static void begin(cstream *s)
{
    curl_up *t = s->t;
    shard *sh = shard_with_room(t);
    s->easy = t->spares ? t->spare[--t->spares] : curl_easy_init();
    if (!sh || !s->easy) {
        wrong(s, UP_E_NOMEM, "out of memory");
    } else if (set_options(s, sh) == 0) {
        if (curl_multi_add_handle(sh->multi, s->easy) == CURLM_OK) {
            s->sh = sh;
            sh->transfers++;
            return;
        }
        wrong(s, UP_E_TRANSPORT, "libcurl does not take the request");
    }
    s->over = 1;
    mark_and_kick(s);
}

/* ---- the end of a stream */
static void release(cstream *s)
{
    curl_up *t = s->t;
    unmark(s);
    if (s->sh) {
        curl_multi_remove_handle(s->sh->multi, s->easy);
        s->sh->transfers--;
    }
    if (s->easy) {
        curl_easy_reset(s->easy);
        if (t->spares < SPARE_MAX)
            t->spare[t->spares++] = s->easy;
        else
            curl_easy_cleanup(s->easy);
    }
    if (s->ssl)
        SSL_set_msg_callback(s->ssl, NULL);
    SSL_free(s->ssl);
    curl_slist_free_all(s->headers);
    buf_free(&s->raw);
    buf_free(&s->body);
    t->st.active--;
    free(s);
}

static int reason_of(CURLcode c)
{
    switch (c) {
    case CURLE_COULDNT_RESOLVE_HOST:
    case CURLE_COULDNT_RESOLVE_PROXY:
        return UP_E_RESOLVE;
    case CURLE_COULDNT_CONNECT:
    case CURLE_OPERATION_TIMEDOUT:
    case CURLE_PROXY:
        return UP_E_CONNECT;
    case CURLE_SSL_CONNECT_ERROR:
    case CURLE_PEER_FAILED_VERIFICATION:
    case CURLE_SSL_CACERT_BADFILE:
    case CURLE_SSL_CERTPROBLEM:
    case CURLE_SSL_CIPHER:
    case CURLE_SSL_ISSUER_ERROR:
    case CURLE_SSL_INVALIDCERTSTATUS:
        return UP_E_TLS;
    case CURLE_OUT_OF_MEMORY:
        return UP_E_NOMEM;
    case CURLE_WEIRD_SERVER_REPLY:
    case CURLE_UNSUPPORTED_PROTOCOL:
    case CURLE_BAD_CONTENT_ENCODING:
        return UP_E_PROTOCOL;
    default:
        return UP_E_RESET;
    }
}

static void tell_end(cstream *s)
{
    curl_up *t = s->t;
    const up_events *on = s->on;
    void *arg = s->arg;
    queue *q = s->q;
    char why[CURL_ERROR_SIZE + 64];
    buf last = s->body;
    const http_head *head = s->head_told ? NULL : s->head;
    int ok = !s->reason && s->result == CURLE_OK && s->head;
    int reason = s->reason ? s->reason : s->result ? reason_of(s->result) : UP_E_PROTOCOL;
    if (s->easy && s->result == CURLE_OK && s->sh) {
        long connects = 0;
        curl_easy_getinfo(s->easy, CURLINFO_NUM_CONNECTS, &connects);
        t->st.connects += (uint64_t)TP_MAX(connects, 0L);
        t->st.reuses += connects == 0;
    }
    snprintf(why, sizeof(why), "%s",
             s->why ? s->why
             : s->error[0] ? s->error
             : s->result   ? curl_easy_strerror(s->result)
                           : "the upstream's reply has no head");
    s->body = (buf){.max = 0};
    if (q)
        q->active--;
    release(s);
    t->st.failures += !ok;
    if (ok)
        on->reply(arg, head, buf_str(&last), 1);
    else
        on->failed(arg, reason, why);
    buf_free(&last);
    if (q)
        start_next(t, q);
}

/* Tells the owner what has happened to one stream; it may cancel this or any other one. */
static void tell(cstream *s)
{
    int ended_well = s->over && !s->reason && s->result == CURLE_OK;
    if (s->told != s->state && !s->over && !s->head) {
        s->told = s->state;
        mark(s); /* comes again for the rest, unless the owner cancels it */
        if (s->on->progress)
            s->on->progress(s->arg, s->state);
        return;
    }
    if (s->paused)
        return; /* marked again when it goes on */
    if (s->over && (ended_well || (s->body.len == 0 && (s->head_told || !s->head)))) {
        tell_end(s);
        return;
    }
    if (s->body.len == 0 && (s->head_told || !s->head)) {
        if (s->curl_paused && s->sh) {
            s->curl_paused = 0;
            curl_easy_pause(s->easy, CURLPAUSE_CONT); /* may call on_body, which marks */
        }
        return;
    }
    const http_head *head = s->head_told ? NULL : s->head;
    buf out = s->body;
    s->body = (buf){.max = out.max};
    s->head_told = 1;
    if (s->over || s->curl_paused)
        mark(s); /* the end, or the next piece, comes in a turn of its own */
    s->on->reply(s->arg, head, buf_str(&out), 0);
    buf_free(&out);
}

static void collect(curl_up *t)
{
    for (shard *sh = t->shards; sh; sh = sh->next) {
        CURLMsg *m;
        int left;
        while ((m = curl_multi_info_read(sh->multi, &left))) {
            cstream *s = NULL;
            if (m->msg != CURLMSG_DONE)
                continue;
            curl_easy_getinfo(m->easy_handle, CURLINFO_PRIVATE, (char **)(void *)&s);
            s->result = m->data.result;
            s->over = 1;
            if (s->ssl && !s->result && !s->notified)
                wrong(s, UP_E_RESET, "the upstream ended the connection without TLS close_notify");
            mark(s);
        }
    }
}

static void drain(curl_up *t)
{
    if (t->draining)
        return;
    t->draining = 1;
    collect(t);
    while (t->ready) {
        cstream *s = t->ready;
        unmark(s);
        tell(s);
        collect(t);
    }
    t->draining = 0;
}

/* ---- limits on connections */
static queue *queue_of(curl_up *t, uint64_t key)
{
    queue *q = t->queues;
    while (q && q->key != key)
        q = q->next;
    if (!q && (q = calloc(1, sizeof(*q)))) {
        q->key = key;
        q->next = t->queues;
        t->queues = q;
    }
    return q;
}

static void unqueue(cstream *s)
{
    queue *q = s->q;
    *(s->prev ? &s->prev->next : &q->first) = s->next;
    *(s->next ? &s->next->prev : &q->last) = s->prev;
    s->next = s->prev = NULL;
}

static void start_next(curl_up *t, queue *q)
{
    (void)t;
    while (q->first && q->active < (uint32_t)q->first->r.to->max_connections) {
        cstream *s = q->first;
        unqueue(s);
        q->active++;
        begin(s);
    }
}

/* ---- the transport */
static void *curl_open(net_loop *l, const logger *log)
{
    (void)log;
    if (curl_global_init(CURL_GLOBAL_ALL) != CURLE_OK)
        return NULL;
    curl_up *t = tp_xcalloc(1, sizeof(*t));
    unsigned version = curl_version_info(CURLVERSION_NOW)->version_num;
    t->loop = l;
    t->h2c_once = version >= 0x075800 && version < 0x080000;
    t->ready_end = &t->ready;
    t->kick = tp_xcalloc(1, sizeof(*t->kick));
    uv_timer_init(l->uv, t->kick);
    t->kick->data = t;
    t->handles = 1;
    return t;
}

static void kick_closed(uv_handle_t *h)
{
    curl_up *t = h->data;
    free(h);
    t->handles--;
    settle(t);
}

static void curl_close(void *transport, void (*done)(void *), void *arg)
{
    curl_up *t = transport;
    TP_MUST(t->st.active == 0);
    t->done = done;
    t->done_arg = arg;
    while (t->spares)
        curl_easy_cleanup(t->spare[--t->spares]);
    while (t->queues) {
        queue *q = t->queues;
        t->queues = q->next;
        free(q);
    }
    while (t->shards) {
        shard *sh = t->shards;
        t->shards = sh->next;
        curl_multi_cleanup(sh->multi); /* closes sockets: on_socket and on_close_socket are called */
        while (sh->watches)
            watch_drop(sh->watches);
        uv_close((uv_handle_t *)&sh->timer, timer_closed);
    }
    uv_close((uv_handle_t *)t->kick, kick_closed);
}

static up_stream *curl_start(void *transport, const up_request *r, arena *a, const up_events *on,
                             void *arg, int *state)
{
    curl_up *t = transport;
    cstream *s = calloc(1, sizeof(*s));
    if (!s)
        return NULL;
    s->base.via = tp_curl_transport_v1();
    s->t = t;
    s->r = *r;
    s->a = a;
    s->on = on;
    s->arg = arg;
    s->state = s->told = UP_CONNECTING;
    buf_init(&s->raw, HEAD_MAX);
    buf_init(&s->body, 4 * HOLD_MAX);
    t->st.active++;
    *state = UP_CONNECTING;
    if (r->to->max_connections > 0 && !r->to->http2 && (s->q = queue_of(t, r->to->pool))) {
        if (s->q->first || s->q->active >= (uint32_t)r->to->max_connections) {
            s->prev = s->q->last;
            *(s->prev ? &s->prev->next : &s->q->first) = s;
            s->q->last = s;
            return &s->base;
        }
        s->q->active++;
    }
    begin(s);
    return &s->base;
}

static int curl_sending(const up_stream *u)
{
    const cstream *s = (const void *)u;
    return !s->over && s->state != UP_SENT;
}

static void curl_pause_stream(up_stream *u)
{
    ((cstream *)(void *)u)->paused = 1;
}

static void curl_resume_stream(up_stream *u)
{
    cstream *s = (cstream *)(void *)u;
    if (!s->paused)
        return;
    s->paused = 0;
    mark_and_kick(s);
}

static void curl_cancel(up_stream *u)
{
    cstream *s = (cstream *)(void *)u;
    curl_up *t = s->t;
    queue *q = s->q;
    if (q && !s->sh && !s->over)
        unqueue(s);
    else if (q)
        q->active--;
    release(s);
    if (q)
        start_next(t, q);
}

static void curl_stats(const void *transport, up_stats *out)
{
    *out = ((const curl_up *)transport)->st;
}

const up_transport *tp_curl_transport_v1(void)
{
    static const up_transport transport = {.size = sizeof(up_transport),
                                           .open = curl_open,
                                           .close = curl_close,
                                           .start = curl_start,
                                           .sending = curl_sending,
                                           .pause = curl_pause_stream,
                                           .resume = curl_resume_stream,
                                           .cancel = curl_cancel,
                                           .stats = curl_stats};
    return &transport;
}
