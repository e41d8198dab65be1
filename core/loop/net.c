#include "loop/net.h"

#include <errno.h>
#include <linux/sockios.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/buf.h"
#include "loop/net_int.h"

/* What the kernel did not take at once. */
struct net_out {
    buf wait;
    size_t at; /* of wait: already sent */
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
#define READS_AT_ONCE 8 /* then other connections have their turn */

static int wants_read(const net *n);
static void out_send(net *n);

void net_fail(net *n, int uv_error, const char *what)
{
    if (n->closing || n->failed == 2)
        return;
    n->failed = 2; /* 1: broken, and error() not yet called */
    net_poll(n);
    n->on->error(n, uv_error, what);
}

static void ended(net *n)
{
    n->reading = 0;
    net_poll(n);
    if (n->tls)
        tls_ended(n);
    else
        n->on->eof(n);
}

/* One read; 1: the buffer came back full, so there may be more. */
static int read_some(net *n)
{
    char *p = NULL;
    size_t cap = 0;
    if (!n->tls && n->on->room)
        n->on->room(n, &p, &cap);
    if (!p || cap == 0) {
        p = n->loop->buffer;
        cap = NET_READ_BUFFER;
    }
    ssize_t got;
    do
        got = recv(n->fd, p, cap, MSG_DONTWAIT);
    while (got < 0 && errno == EINTR);
    if (got > 0) {
        if (n->tls)
            tls_feed(n, p, (size_t)got);
        else
            n->on->data(n, p, (size_t)got);
        return (size_t)got == cap;
    }
    if (got == 0)
        ended(n);
    else if (errno != EAGAIN)
        net_fail(n, -errno, strerror(errno));
    return 0;
}

static void on_event(uv_poll_t *h, int status, int events)
{
    net *n = h->data;
    if (status < 0) { /* the socket has an error, and libuv stopped; reading says which */
        n->events = 0;
        events = UV_READABLE | (n->out ? UV_WRITABLE : 0);
    }
    if ((events & UV_WRITABLE) && n->out)
        out_send(n);
    if (status < 0 && !wants_read(n)) {
        net_fail(n, UV_ECONNRESET, "connection reset by peer");
        return;
    }
    /* libuv would tell again, but each telling is a system call. */
    for (int i = 0; (events & UV_READABLE) && i < READS_AT_ONCE && wants_read(n); i++)
        if (!read_some(n))
            break;
    if (status < 0 && !n->closing && n->failed != 2)
        net_poll(n);
}

static int wants_read(const net *n)
{
    return !n->closing && n->failed != 2 && (n->reading || n->handshaking) &&
           !(n->tls && tls_left(n));
}

void net_poll(net *n)
{
    if (n->closing)
        return;
    int want = (wants_read(n) ? UV_READABLE : 0) | (n->out && !n->failed ? UV_WRITABLE : 0);
    if (want == n->events)
        return;
    n->events = (uint8_t)want;
    int rc = want ? uv_poll_start(&n->poll, want, on_event) : uv_poll_stop(&n->poll);
    if (rc < 0) {
        n->late_error = rc;
        net_defer(n->loop, &n->task);
    }
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
static void out_free(net *n)
{
    if (!n->out)
        return;
    buf_free(&n->out->wait);
    free(n->out);
    n->out = NULL;
    n->queued = 0;
}

/* Broken while writing. What the peer sent before it went is still read; the end of that tells the
 * rest. */
static void write_failed(net *n, int rc)
{
    n->failed = n->failed ? n->failed : 1;
    out_free(n);
    net_poll(n);
    if (!wants_read(n) && n->failed == 1) {
        n->late_error = rc;
        net_defer(n->loop, &n->task);
    }
}

/* Bytes that the kernel took; 0 when it takes none now; or a uv error. */
static ssize_t send_some(net *n, const uv_buf_t *bufs, unsigned count)
{
    ssize_t rc;
    struct msghdr m = {.msg_iov = (struct iovec *)(uintptr_t)bufs, .msg_iovlen = count};
    do
        rc = count == 1 ? send(n->fd, bufs->base, bufs->len, MSG_NOSIGNAL | MSG_DONTWAIT)
                        : sendmsg(n->fd, &m, MSG_NOSIGNAL | MSG_DONTWAIT);
    while (rc < 0 && errno == EINTR);
    if (rc >= 0)
        return rc;
    return errno == EAGAIN ? 0 : -errno;
}

static void out_send(net *n)
{
    struct net_out *o = n->out;
    uv_buf_t b = uv_buf_init(o->wait.ptr + o->at, (unsigned)TP_MIN(o->wait.len - o->at,
                                                                   (size_t)1 << 30));
    ssize_t rc = send_some(n, &b, 1);
    if (rc < 0) {
        write_failed(n, (int)rc);
        return;
    }
    o->at += (size_t)rc;
    n->queued -= (size_t)rc;
    n->taken += (uint64_t)rc;
    if (n->queued == 0) {
        out_free(n);
        net_poll(n);
        if (n->shut)
            shutdown(n->fd, SHUT_WR);
    }
    if (n->above_high && n->queued <= NET_LOW_WATER) {
        n->above_high = 0;
        if (n->on->drained && !n->failed)
            n->on->drained(n);
    }
}

static int out_add(net *n, const uv_buf_t *bufs, unsigned count, size_t skip)
{
    if (!n->out) {
        n->out = calloc(1, sizeof(*n->out));
        if (!n->out)
            return UV_ENOMEM;
        buf_init(&n->out->wait, (size_t)1 << 31);
    }
    struct net_out *o = n->out;
    if (o->at > o->wait.len / 2) { /* what is sent makes room */
        buf_shift(&o->wait, o->at);
        o->at = 0;
    }
    for (unsigned i = 0; i < count; i++) {
        size_t cut = TP_MIN(skip, bufs[i].len);
        skip -= cut;
        if (buf_add(&o->wait, bufs[i].base + cut, bufs[i].len - cut) != 0)
            return UV_ENOMEM;
    }
    n->queued = o->wait.len - o->at;
    net_poll(n);
    return 0;
}

static int write_now(net *n, const uv_buf_t *bufs, unsigned count, size_t total)
{
    size_t done = 0;
    if (n->queued == 0) {
        ssize_t took = send_some(n, bufs, count);
        if (TP_LIKELY(took >= 0 && (size_t)took == total))
            return 0;
        if (took < 0) {
            n->failed = 1;
            return (int)took;
        }
        done = (size_t)took;
    }
    int rc = out_add(n, bufs, count, done);
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
    if (rc < 0)
        write_failed(n, rc);
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

uint64_t net_progress(const net *n)
{
    int waiting =
        0; /* not yet acknowledged: the kernel's own buffer may hide a reader for minutes */
    if (n->closing || ioctl(n->fd, SIOCOUTQ, &waiting) != 0)
        waiting = 0;
    return n->taken - (uint64_t)waiting;
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
        shutdown(n->fd, SHUT_WR);
}

/* ---- opening and closing */
static void on_closed(uv_handle_t *h)
{
    net *n = h->data;
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
    n->events = n->reading = 0;
    net_undefer(n->loop, &n->task);
    uv_close((uv_handle_t *)&n->poll, on_closed);
    close(n->fd); /* libuv has let go of it */
    n->fd = -1;
}

void net_abort(net *n)
{
    struct linger reset = {.l_onoff = 1, .l_linger = 0};
    if (n->closing)
        return;
    if (n->batched)
        net_batch_flush(n->loop);
    (void)setsockopt(n->fd, SOL_SOCKET, SO_LINGER, &reset, sizeof(reset));
    net_close(n);
}

static int open_fd(net *n, net_loop *l, const net_events *on, void *owner, int fd,
                   tls_context *tls, const char *name, tls_resume *resume)
{
    int one = 1;
    *n = (net){.loop = l, .on = on, .owner = owner, .fd = fd};
    n->task.run = on_task;
    if ((tls && !(n->tls = tls_session_new(tls, n, name, resume))) ||
        uv_poll_init(l->uv, &n->poll, fd) != 0) {
        tls_session_free(n->tls);
        close(fd);
        return UV_ENOMEM;
    }
    n->poll.data = n;
    if (l->open++ == 0)
        net_batch_open(l);
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
    socklen_t len = sizeof(ss);
    int port;
    out[0] = 0;
    if (n->closing || getpeername(n->fd, (struct sockaddr *)&ss, &len) < 0)
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
