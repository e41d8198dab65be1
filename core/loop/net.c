#include "loop/net.h"

#include <fcntl.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/buf.h"
#include "loop/net_int.h"

/* What the kernel did not take at once: one write is with libuv, further bytes gather behind it. */
struct net_out {
    uv_write_t req;
    net *n;
    char *flying;
    size_t flying_len;
    buf wait;
};

/* ---- tasks */
static void idle_closed(uv_handle_t *h)
{
    free(h);
}

static void unlink_task(net_loop *l, net_task *t)
{
    if (l->tasks_end == &t->next)
        l->tasks_end = t->link;
    *t->link = t->next;
    if (t->next)
        t->next->link = t->link;
    t->next = NULL;
    t->link = NULL;
}

static void run_tasks(uv_idle_t *h)
{
    net_loop *l = h->data;
    net_task *list = l->tasks, *t;
    l->tasks = NULL;
    l->tasks_end = &l->tasks;
    if (list)
        list->link = &list;
    while ((t = list)) {
        unlink_task(l, t);
        t->run(t);
    }
    if (!l->tasks) {
        l->idle = NULL;
        uv_close((uv_handle_t *)h, idle_closed);
    }
}

void net_defer(net_loop *l, net_task *t)
{
    if (t->link)
        return;
    t->next = NULL;
    t->link = l->tasks_end;
    *l->tasks_end = t;
    l->tasks_end = &t->next;
    if (!l->idle) {
        l->idle = tp_xmalloc(sizeof(*l->idle));
        uv_idle_init(l->uv, l->idle);
        l->idle->data = l;
        uv_idle_start(l->idle, run_tasks);
    }
}

void net_undefer(net_loop *l, net_task *t)
{
    if (t->link)
        unlink_task(l, t);
}

int net_loop_init(net_loop *l, uv_loop_t *uv, wheel *timers)
{
    *l = (net_loop){.uv = uv, .timers = timers};
    l->tasks_end = &l->tasks;
    l->buffer = malloc(NET_READ_BUFFER);
    return l->buffer ? 0 : UV_ENOMEM;
}

void net_loop_free(net_loop *l)
{
    TP_MUST(l->open == 0 && !l->tasks);
    tls_scratch_free(l);
    free(l->buffer);
    l->buffer = NULL;
}

/* ---- reading */
void net_fail(net *n, int uv_error, const char *what)
{
    if (n->closing || n->failed == 2)
        return;
    n->failed = 2; /* 1: broken, and error() not yet called */
    net_poll(n);
    n->on->error(n, uv_error, what);
}

static void on_alloc(uv_handle_t *h, size_t suggested, uv_buf_t *b)
{
    net *n = h->data;
    char *p = NULL;
    size_t cap = 0;
    (void)suggested;
    if (!n->tls && n->on->room)
        n->on->room(n, &p, &cap);
    if (!p || cap == 0) {
        p = n->loop->buffer;
        cap = NET_READ_BUFFER;
    }
    *b = uv_buf_init(p, (unsigned)TP_MIN(cap, (size_t)1 << 30));
}

static void on_read(uv_stream_t *st, ssize_t got, const uv_buf_t *b)
{
    net *n = st->data;
    if (n->closing || got == 0)
        return;
    if (got > 0) {
        if (n->tls)
            tls_feed(n, b->base, (size_t)got);
        else
            n->on->data(n, b->base, (size_t)got);
        return;
    }
    n->polling = 0;
    uv_read_stop(st);
    if (got != UV_EOF)
        net_fail(n, (int)got, uv_strerror((int)got));
    else if (n->tls)
        tls_ended(n);
    else
        n->on->eof(n);
}

void net_poll(net *n)
{
    int want = !n->closing && n->failed != 2 && (n->reading || n->handshaking) &&
               !(n->tls && tls_left(n));
    if (want == n->polling)
        return;
    if (want) {
        int rc = uv_read_start((uv_stream_t *)&n->tcp, on_alloc, on_read);
        if (rc < 0) { /* e.g. not connected any more */
            n->late_error = rc;
            net_defer(n->loop, &n->task);
            return;
        }
    } else if (!n->closing) {
        uv_read_stop((uv_stream_t *)&n->tcp);
    }
    n->polling = (uint8_t)want;
}

void net_read_start(net *n)
{
    if (n->reading)
        return;
    n->reading = 1;
    if (n->tls && !n->closing && !n->handshaking && tls_left(n))
        net_defer(n->loop, &n->task);
    else
        net_poll(n);
}

void net_read_stop(net *n)
{
    n->reading = 0;
    net_poll(n);
}

static void on_task(net_task *t)
{
    net *n = TP_CONTAINER(t, net, task);
    if (n->closing)
        return;
    if (n->late_error) {
        int rc = n->late_error;
        n->late_error = 0;
        net_fail(n, rc, uv_strerror(rc));
    } else if (n->tls) {
        tls_again(n);
    }
}

/* ---- writing */
static int out_fly(net *n);

static void out_free(net *n)
{
    free(n->out->flying);
    buf_free(&n->out->wait);
    free(n->out);
    n->out = NULL;
}

static void on_shutdown(uv_shutdown_t *req, int status)
{
    (void)status; /* a peer that is gone shows itself on reading */
    free(req);
}

static void shutdown_now(net *n)
{
    uv_shutdown_t *req = tp_xmalloc(sizeof(*req));
    if (uv_shutdown(req, (uv_stream_t *)&n->tcp, on_shutdown) < 0)
        free(req);
}

static void on_written(uv_write_t *req, int status)
{
    struct net_out *o = TP_CONTAINER(req, struct net_out, req);
    net *n = o->n;
    n->queued -= o->flying_len;
    free(o->flying);
    o->flying = NULL;
    if (status == 0 && o->wait.len && !n->closing)
        status = out_fly(n);
    if (status < 0 || n->closing) {
        n->queued = 0;
        out_free(n);
        /* What the peer sent before it went is still read; the end of that tells the rest. */
        if (status < 0 && !n->closing) {
            n->failed = n->failed ? n->failed : 1;
            if (!n->polling && n->failed == 1)
                net_fail(n, status, uv_strerror(status));
        }
        return;
    }
    if (!o->flying) {
        out_free(n);
        if (n->shut)
            shutdown_now(n);
    }
    if (n->above_high && n->queued <= NET_LOW_WATER) {
        n->above_high = 0;
        if (n->on->drained && !n->failed)
            n->on->drained(n);
    }
}

/* Hands what waits to libuv. */
static int out_fly(net *n)
{
    struct net_out *o = n->out;
    o->flying = o->wait.ptr;
    o->flying_len = o->wait.len;
    o->wait = (buf){.max = o->wait.max};
    uv_buf_t b = uv_buf_init(o->flying, (unsigned)o->flying_len);
    return uv_write(&o->req, (uv_stream_t *)&n->tcp, &b, 1, on_written);
}

static int out_add(net *n, const uv_buf_t *bufs, unsigned count, size_t skip)
{
    if (!n->out) {
        n->out = calloc(1, sizeof(*n->out));
        if (!n->out)
            return UV_ENOMEM;
        n->out->n = n;
        buf_init(&n->out->wait, (size_t)1 << 31);
    }
    buf *w = &n->out->wait;
    size_t before = w->len;
    for (unsigned i = 0; i < count; i++) {
        size_t cut = TP_MIN(skip, bufs[i].len);
        skip -= cut;
        if (buf_add(w, bufs[i].base + cut, bufs[i].len - cut) != 0)
            return UV_ENOMEM;
    }
    n->queued += w->len - before;
    return n->out->flying ? 0 : out_fly(n);
}

static int write_now(net *n, const uv_buf_t *bufs, unsigned count, size_t total)
{
    size_t done = 0;
    int rc;
    if (n->queued == 0) {

        rc = uv_try_write((uv_stream_t *)&n->tcp, bufs, count);
        if (TP_LIKELY(rc >= 0 && (size_t)rc == total))
            return 0;
        if (rc < 0 && rc != UV_EAGAIN) {
            n->failed = 1;
            return rc;
        }
        done = rc > 0 ? (size_t)rc : 0;
    }
    rc = out_add(n, bufs, count, done);
    if (rc < 0)
        n->failed = 1;
    return rc;
}

void net_write_late(net *n, const uv_buf_t *b)
{
    if (n->failed || n->closing)
        return;
    int rc = write_now(n, b, 1, b->len);
    if (n->queued >= NET_HIGH_WATER)
        n->above_high = 1;
    if (rc < 0 && !n->polling) { /* else the end that is read tells it */
        n->late_error = rc;
        net_defer(n->loop, &n->task);
    }
}

int net_raw_write(net *n, const uv_buf_t *bufs, unsigned count, size_t total)
{
    if (n->failed || n->closing)
        return UV_EPIPE;
    if (n->queued == 0 && net_batch_add(n, bufs, count, total))
        return 0;
    if (n->batched) {
        net_batch_flush(n->loop);
        if (n->failed)
            return UV_EPIPE;
    }
    return write_now(n, bufs, count, total);
}

static int plain_write(net *n, const tp_str *segs, uint32_t count)
{
    uv_buf_t bufs[64];
    while (count) {
        unsigned some = 0;
        size_t total = 0;
        for (; count && some < TP_COUNT(bufs); count--, segs++) {
            if (segs->len == 0)
                continue;
            bufs[some++] = uv_buf_init((char *)(uintptr_t)segs->ptr, (unsigned)segs->len);
            total += segs->len;
        }
        int rc = some ? net_raw_write(n, bufs, some, total) : 0;
        if (rc < 0)
            return rc;
    }
    return 0;
}

int net_write(net *n, const tp_str *segs, uint32_t count)
{
    if (n->shut || n->handshaking)
        return UV_ENOTCONN;
    int rc = n->tls ? tls_write(n, segs, count) : plain_write(n, segs, count);
    if (n->queued >= NET_HIGH_WATER)
        n->above_high = 1;
    return rc;
}

void net_shutdown(net *n)
{
    if (n->shut || n->closing || n->failed)
        return;
    if (n->tls)
        tls_shutdown(n);
    if (n->batched)
        net_batch_flush(n->loop);
    n->shut = 1;
    if (!n->out && !n->failed)
        shutdown_now(n);
}

/* ---- opening and closing */
static void on_closed(uv_handle_t *h)
{
    net *n = h->data;
    if (n->out) /* never handed to libuv: a write that failed at once */
        out_free(n);
    tls_session_free(n->tls);
    n->tls = NULL;
    if (--n->loop->open == 0)
        net_batch_close(n->loop);
    n->on->closed(n);
}

void net_close(net *n)
{
    if (n->closing)
        return;
    if (n->batched)
        net_batch_flush(n->loop);
    n->closing = 1;
    n->polling = n->reading = 0;
    net_undefer(n->loop, &n->task);
    uv_close((uv_handle_t *)&n->tcp, on_closed);
}

void net_abort(net *n)
{
    if (n->closing)
        return;
    if (n->batched)
        net_batch_flush(n->loop);
    if (uv_tcp_close_reset(&n->tcp, on_closed) != 0) { /* our side has ended already */
        net_close(n);
        return;
    }
    n->closing = 1;
    n->polling = n->reading = 0;
    net_undefer(n->loop, &n->task);
}

static int open_fd(net *n, net_loop *l, const net_events *on, void *owner, int fd,
                   tls_context *tls, const char *name, tls_resume *resume)
{
    int one = 1;
    *n = (net){.loop = l, .on = on, .owner = owner};
    n->task.run = on_task;
    if (tls && !(n->tls = tls_session_new(tls, n, name, resume))) {
        close(fd);
        return UV_ENOMEM;
    }
    uv_tcp_init(l->uv, &n->tcp);
    n->tcp.data = n;
    if (l->open++ == 0)
        net_batch_open(l);
    int rc = uv_tcp_open(&n->tcp, fd);
    if (rc < 0) {
        close(fd);
        n->failed = 1;
        n->late_error = rc;
        net_defer(l, &n->task);
        return 0;
    }
    (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
    n->handshaking = n->tls != NULL;
    net_poll(n);
    return 0;
}

int net_open(net *n, net_loop *l, const net_events *on, void *owner, int fd, tls_context *tls)
{
    return open_fd(n, l, on, owner, fd, tls, NULL, NULL);
}

int net_open_client(net *n, net_loop *l, const net_events *on, void *owner, int fd,
                    tls_context *tls, const char *name, tls_resume *resume)
{
    int rc = open_fd(n, l, on, owner, fd, tls, name, resume);
    if (rc == 0 && n->tls && !n->failed)
        tls_begin(n);
    return rc;
}

int net_peer(const net *n, char out[64])
{
    struct sockaddr_storage ss;
    char ip[48];
    int len = sizeof(ss), port;
    out[0] = 0;
    if (n->closing || uv_tcp_getpeername(&n->tcp, (struct sockaddr *)&ss, &len) < 0)
        return 0;
    if (ss.ss_family == AF_INET6) {
        const struct sockaddr_in6 *a = (const void *)&ss;
        uv_ip6_name(a, ip, sizeof(ip));
        port = ntohs(a->sin6_port);
        return snprintf(out, 64, "[%s]:%d", ip, port);
    }
    if (ss.ss_family != AF_INET)
        return 0;
    const struct sockaddr_in *a = (const void *)&ss;
    uv_ip4_name(a, ip, sizeof(ip));
    port = ntohs(a->sin_port);
    return snprintf(out, 64, "%s:%d", ip, port);
}
