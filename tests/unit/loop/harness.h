/* What the tests of the transports share: a loop with its wheel, a scripted server on it, and a
 * client that writes down what it is told. Everything runs on one thread; times are limits only. */
#ifndef TP_TEST_LOOP_HARNESS_H
#define TP_TEST_LOOP_HARNESS_H
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <arpa/inet.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>
#include <uv.h>

#include "base/buf.h"
#include "base/str.h"
#include "loop/net.h"
#include "loop/tls.h"
#include "loop/upstream.h"

#define UNUSED __attribute__((unused))
#define MODULE TEST_BINARY_DIR "/core/turnpike-curl.so"

/* ---- the loop */
typedef struct env {
    uv_loop_t uv;
    uv_timer_t tick;
    wheel w;
    net_loop l;
    arena_pool pool;
    up_client *up;
    int closed;
} env;

static void env_tick(uv_timer_t *t)
{
    env *e = t->data;
    wheel_run(&e->w, net_now_us(&e->l));
}

UNUSED static env *env_new(void)
{
    env *e = tp_xcalloc(1, sizeof(*e));
    signal(SIGPIPE, SIG_IGN);
    assert_int_equal(uv_loop_init(&e->uv), 0);
    wheel_init(&e->w, (int64_t)uv_now(&e->uv) * 1000);
    assert_int_equal(net_loop_init(&e->l, &e->uv, &e->w), 0);
    uv_timer_init(&e->uv, &e->tick);
    e->tick.data = e;
    uv_timer_start(&e->tick, env_tick, 4, 4);
    arena_pool_init(&e->pool, 64);
    e->up = up_client_new(&e->l, MODULE, NULL);
    return e;
}

static int env_true(void *arg)
{
    return *(int *)arg;
}

/* Runs the loop until cond(arg); 0 when it took longer than ms. */
UNUSED static int env_until(env *e, int (*cond)(void *), void *arg, uint64_t ms)
{
    uint64_t end = uv_hrtime() + ms * 1000000;
    while (!cond(arg)) {
        if (uv_hrtime() > end)
            return 0;
        uv_run(&e->uv, UV_RUN_ONCE);
    }
    return 1;
}

UNUSED static void env_for(env *e, uint64_t ms)
{
    int never = 0;
    env_until(e, env_true, &never, ms);
}

static void env_done(void *arg)
{
    ((env *)arg)->closed = 1;
}

/* Nothing may be left: no stream, connection, handle, arena chunk. */
UNUSED static void env_free(env *e)
{
    up_stats st;
    up_client_stats(e->up, &st);
    assert_int_equal(st.active, 0);
    up_client_close(e->up, env_done, e);
    assert_true(env_until(e, env_true, &e->closed, 5000));
    uv_close((uv_handle_t *)&e->tick, NULL);
    uv_run(&e->uv, UV_RUN_DEFAULT);
    assert_int_equal(e->l.open, 0);
    net_loop_free(&e->l);
    assert_int_equal(uv_loop_close(&e->uv), 0);
    assert_int_equal(e->w.armed, 0);
    assert_int_equal(e->pool.out, 0);
    arena_pool_free(&e->pool);
    free(e);
}

/* ---- the server */
typedef struct server server;
typedef struct peer { /* one accepted connection */
    net n;
    server *s;
    struct peer *next, *prev;
    buf in;
    uint64_t body_left, body_got;
    int in_body, requests;
    char head[8192]; /* of the request at hand */
    tp_str script;   /* still to be sent, `step` bytes a turn */
    size_t step;
    uint64_t flood;  /* bytes of body still to be sent */
    net_task task;
    int shut_after, stalled;
} peer;

struct server {
    env *e;
    int fd, port;
    uv_poll_t poll;
    tls_context *tls;
    peer *peers;
    int accepted, requests, live, gone, resumed;
    uint64_t body_bytes;
    void (*on_head)(peer *);    /* the head is complete; may be NULL */
    void (*on_request)(peer *); /* head and body are complete */
    int on_connect_close;       /* closes each connection at once */
};

static void peer_say(peer *p, const char *text)
{
    tp_str s = str_of(text);
    net_write(&p->n, &s, 1);
}

UNUSED static int peer_asks(const peer *p, const char *target)
{
    return strstr(p->head, target) != NULL;
}

static void peer_flood(peer *p)
{
    static char block[65536];
    while (p->flood && !p->n.above_high && !p->n.closing) {
        tp_str s = {block, TP_MIN(p->flood, sizeof(block))};
        if (net_write(&p->n, &s, 1) < 0)
            return;
        p->flood -= s.len;
    }
}

static void peer_step(net_task *t)
{
    peer *p = TP_CONTAINER(t, peer, task);
    if (p->n.closing)
        return;
    tp_str s = {p->script.ptr, TP_MIN(p->step, p->script.len)};
    net_write(&p->n, &s, 1);
    p->script = str_skip(p->script, s.len);
    if (p->script.len)
        net_defer(&p->s->e->l, &p->task);
    else if (p->shut_after)
        net_shutdown(&p->n);
}

/* Sends the text in pieces of `step` bytes, one a turn of the loop. */
UNUSED static void peer_dribble(peer *p, const char *text, size_t step)
{
    p->script = str_of(text);
    p->step = step;
    p->task.run = peer_step;
    net_defer(&p->s->e->l, &p->task);
}

static void peer_eat(peer *p)
{
    for (;;) {
        if (p->in_body) {
            uint64_t some = TP_MIN(p->body_left, (uint64_t)p->in.len);
            buf_shift(&p->in, (size_t)some);
            p->body_left -= some;
            p->body_got += some;
            p->s->body_bytes += some;
            if (p->body_left)
                return;
            p->in_body = 0;
            p->requests++;
            p->s->requests++;
            p->s->on_request(p);
            if (p->n.closing)
                return;
        }
        char *end = p->in.len ? memmem(p->in.ptr, p->in.len, "\r\n\r\n", 4) : NULL;
        if (!end)
            return;
        size_t len = (size_t)(end - p->in.ptr) + 4;
        assert_true(len < sizeof(p->head));
        memcpy(p->head, p->in.ptr, len);
        p->head[len] = 0;
        buf_shift(&p->in, len);
        const char *cl = strcasestr(p->head, "\r\ncontent-length:");
        p->body_left = cl ? strtoull(cl + 17, NULL, 10) : 0;
        p->body_got = 0;
        p->in_body = 1;
        if (p->s->on_head)
            p->s->on_head(p);
        if (p->n.closing || p->stalled)
            return;
    }
}

static void peer_data(net *n, char *b, size_t len)
{
    peer *p = n->owner;
    assert_int_equal(buf_add(&p->in, b, len), 0);
    peer_eat(p);
}

static void peer_eof(net *n)
{
    net_close(n);
}

static void peer_error(net *n, int error, const char *what)
{
    (void)error;
    (void)what;
    net_close(n);
}

static void peer_drained(net *n)
{
    peer_flood(n->owner);
}

static void peer_closed(net *n)
{
    peer *p = n->owner;
    server *s = p->s;
    net_undefer(&s->e->l, &p->task);
    if (p->prev)
        p->prev->next = p->next;
    else
        s->peers = p->next;
    if (p->next)
        p->next->prev = p->prev;
    buf_free(&p->in);
    s->live--;
    s->gone++;
    free(p);
}

static const net_events peer_events = {.data = peer_data,
                                       .eof = peer_eof,
                                       .error = peer_error,
                                       .drained = peer_drained,
                                       .closed = peer_closed};

static void server_accept(uv_poll_t *h, int status, int events)
{
    server *s = h->data;
    (void)status;
    (void)events;
    int fd;
    while ((fd = accept4(s->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0) {
        s->accepted++;
        if (s->on_connect_close) {
            close(fd);
            continue;
        }
        peer *p = tp_xcalloc(1, sizeof(*p));
        p->s = s;
        buf_init(&p->in, (size_t)1 << 26);
        p->next = s->peers;
        if (p->next)
            p->next->prev = p;
        s->peers = p;
        s->live++;
        assert_int_equal(net_open(&p->n, &s->e->l, &peer_events, p, fd, s->tls), 0);
        net_read_start(&p->n);
    }
}

static int listen_on(const char *ip, int *port)
{
    struct sockaddr_in a = {.sin_family = AF_INET};
    socklen_t len = sizeof(a);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    inet_pton(AF_INET, ip, &a.sin_addr);
    assert_int_equal(bind(fd, (struct sockaddr *)&a, sizeof(a)), 0);
    assert_int_equal(listen(fd, 1024), 0);
    getsockname(fd, (struct sockaddr *)&a, &len);
    *port = ntohs(a.sin_port);
    return fd;
}

UNUSED static server *server_new(env *e, void (*on_request)(peer *), tls_context *tls)
{
    server *s = tp_xcalloc(1, sizeof(*s));
    s->e = e;
    s->on_request = on_request;
    s->tls = tls;
    s->fd = listen_on("127.0.0.1", &s->port);
    uv_poll_init(&e->uv, &s->poll, s->fd);
    s->poll.data = s;
    uv_poll_start(&s->poll, UV_READABLE, server_accept);
    return s;
}

static void server_poll_closed(uv_handle_t *h)
{
    server *s = h->data;
    close(s->fd);
    s->fd = -1;
}

static int server_gone(void *arg)
{
    server *s = arg;
    return s->live == 0 && s->fd == -1;
}

UNUSED static void server_free(server *s)
{
    uv_close((uv_handle_t *)&s->poll, server_poll_closed);
    for (peer *p = s->peers; p; p = p->next)
        net_close(&p->n);
    assert_true(env_until(s->e, server_gone, s, 5000));
    free(s);
}

/* ---- the client */
typedef struct call {
    env *e;
    up_stream *s;
    arena a;
    buf body;
    int status, state, fins, fails, calls, reason, heads, progress;
    int over;
    char type[64], what[512];
    uint64_t bytes;
    int keep_body;            /* collects body; else counts only */
    int pause_each;           /* pauses in each reply() */
    int cancel_at;            /* cancels in the n-th call of reply() */
    struct call *then;        /* is started when this one ends */
    struct up_request *then_r;
} call;

static void call_go(call *c, env *e, const up_request *r);

static void call_progress(void *arg, int state)
{
    call *c = arg;
    assert_false(c->over);
    c->state = state;
    c->progress++;
}

static void call_end(call *c)
{
    c->over = 1;
    c->s = NULL;
    if (c->then)
        call_go(c->then, c->e, c->then_r);
}

static void call_reply(void *arg, const http_head *head, tp_str data, int fin)
{
    call *c = arg;
    assert_false(c->over);
    c->calls++;
    if (head) {
        assert_int_equal(c->heads, 0);
        assert_int_equal(c->calls, 1);
        c->heads++;
        c->status = head->status;
        tp_str t = http_header(head, STR("content-type"));
        snprintf(c->type, sizeof(c->type), "%.*s", STR_ARG(t));
    }
    assert_int_equal(c->heads, 1);
    c->bytes += data.len;
    if (c->keep_body)
        assert_int_equal(buf_adds(&c->body, data), 0);
    if (fin) {
        c->fins++;
        call_end(c);
    } else if (c->cancel_at == c->calls) {
        up_cancel(c->s);
        c->over = 1;
        c->s = NULL;
    } else if (c->pause_each) {
        up_pause(c->s);
    }
}

static void call_failed(void *arg, int reason, const char *what)
{
    call *c = arg;
    assert_false(c->over);
    c->fails++;
    c->reason = reason;
    snprintf(c->what, sizeof(c->what), "%s", what);
    call_end(c);
}

static const up_events call_events = {call_progress, call_reply, call_failed};

static void call_go(call *c, env *e, const up_request *r)
{
    c->e = e;
    c->keep_body = 1;
    arena_init(&c->a, &e->pool, 1 << 20);
    buf_init(&c->body, 1 << 26);
    c->s = up_start(e->up, r, &c->a, &call_events, c, &c->state);
    assert_non_null(c->s);
    assert_int_equal(c->calls + c->fails + c->progress, 0); /* never from within */
}

static int call_over(void *arg)
{
    return ((call *)arg)->over;
}

UNUSED static int call_begun(void *arg)
{
    return ((call *)arg)->calls > 0 || ((call *)arg)->over;
}

UNUSED static void call_wait(call *c)
{
    if (!env_until(c->e, call_over, c, 10000))
        fail_msg("the stream did not end within 10 s: %d calls, %lu bytes", c->calls,
                 (unsigned long)c->bytes);
    assert_int_equal(c->fins + c->fails, 1);
}

static void call_free(call *c)
{
    arena_reset(&c->a);
    buf_free(&c->body);
    *c = (call){0};
}

/* ---- where to, and over what */
typedef struct way {
    const char *name;
    int curl, tls;
} way;

typedef struct target {
    up_origin o;
    char url[128], authority[64];
} target;

/* "environment" without such variables is libcurl without a proxy: the curl transport by itself. */
UNUSED static const up_origin *target_set(target *t, const way *w, const char *host, int port)
{
    snprintf(t->url, sizeof(t->url), "%s://%s:%d", w->tls ? "https" : "http", host, port);
    snprintf(t->authority, sizeof(t->authority), "%s:%d", host, port);
    t->o = (up_origin){.url = str_of(t->url),
                       .host = str_of(host),
                       .authority = str_of(t->authority),
                       .port = port,
                       .tls = w->tls,
                       .proxy = w->curl ? STR("environment") : STR_NONE,
                       .pool = (uint64_t)port * 4 + (uint64_t)w->curl * 2 + (uint64_t)w->tls};
    return &t->o;
}

UNUSED static up_request get(const up_origin *o, const char *path)
{
    return (up_request){.to = o, .method = STR("GET"), .target = str_of(path)};
}

UNUSED static up_request post(const up_origin *o, const char *path, const tp_str *segs, uint32_t n)
{
    up_request r = {.to = o, .method = STR("POST"), .target = str_of(path), .segs = segs,
                    .seg_count = n};
    for (uint32_t i = 0; i < n; i++)
        r.body_bytes += segs[i].len;
    return r;
}

UNUSED static void call_one(call *c, env *e, const up_request *r)
{
    call_go(c, e, r);
    call_wait(c);
}

UNUSED static up_stats stats_of(env *e)
{
    up_stats st;
    up_client_stats(e->up, &st);
    return st;
}
#endif
