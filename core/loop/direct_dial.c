/* From a name to a connection, in the manner of RFC 8305: addresses of both families take turns,
 * the next one starts when an attempt fails or after 250 ms, the first that answers wins. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/str.h"
#include "loop/direct_int.h"

#define NEXT_ADDRESS_US 250000

static void attempt_closed(uv_handle_t *h)
{
    attempt *t = (attempt *)(void *)h;
    direct *d = t->owner;
    free(t);
    d->handles--;
    direct_settle(d);
}

/* Leaves the descriptor alone. */
static void attempt_drop(attempt *t)
{
    attempt **at = &t->d->tries;
    while (*at != t)
        at = &(*at)->next;
    *at = t->next;
    uv_poll_stop(&t->poll);
    uv_close((uv_handle_t *)&t->poll, attempt_closed);
}

static void drop_attempts(dial *d)
{
    while (d->tries) {
        int fd = d->tries->fd;
        attempt_drop(d->tries);
        close(fd); /* last: libuv must not touch a number that another thread has been given since */
    }
}

static void dial_free(dial *d)
{
    pool *p = d->p;
    drop_attempts(d);
    resolve_cancel(&d->q);
    wheel_disarm(p->d->loop->timers, &d->later);
    net_undefer(p->d->loop, &d->fail);
    if (d->prev)
        d->prev->next = d->next;
    else
        p->dials = d->next;
    if (d->next)
        d->next->prev = d->prev;
    p->dialing--;
    free(d);
}

void dial_abort(dial *d)
{
    conn *c = d->c;
    if (c) {
        conn_close(c);
        c->dial = NULL;
    }
    dial_free(d);
}

/* The failure is the first waiting stream's. The others have dials of their own, or get one when
 * this one's place is free. */
static void dial_failed(dial *d)
{
    pool *p = d->p;
    stream *s = p->first;
    int reason = d->reason;
    int32_t max = s ? s->r.to->max_connections : 0;
    char why[sizeof(d->why)];
    memcpy(why, d->why, sizeof(why));
    dial_free(d);
    if (s && p->waiting > p->dialing) {
        pool_unqueue(p, s);
        pool_pump(p, max);
        stream_fail(s, reason, why);
    }
}

static void on_fail(net_task *t)
{
    dial_failed(TP_CONTAINER(t, dial, fail));
}

static void fail_later(dial *d, int reason)
{
    d->reason = reason;
    net_defer(d->p->d->loop, &d->fail);
}

static void connected(dial *d, int fd)
{
    drop_attempts(d);
    wheel_disarm(d->p->d->loop->timers, &d->later);
    d->c = conn_open(d->p, fd, d);
    if (!d->c) {
        snprintf(d->why, sizeof(d->why), "out of memory");
        fail_later(d, UP_E_NOMEM);
    } else if (!d->p->secure) {
        dial_shaken(d);
    }
}

void dial_shaken(dial *d)
{
    pool *p = d->p;
    conn *c = d->c;
    c->dial = NULL;
    d->c = NULL;
    dial_free(d);
    p->conns++;
    p->d->st.connects++;
    pool_ready(p, c);
}

void dial_broken(dial *d, int reason, const char *what)
{
    conn *c = d->c;
    d->c = NULL;
    conn_close(c); /* while it is the dial's, it does not count among the pool's */
    c->dial = NULL;
    d->reason = reason;
    snprintf(d->why, sizeof(d->why), "%s", what);
    dial_failed(d);
}

static void next_address(dial *d);

static void on_poll(uv_poll_t *h, int status, int events)
{
    attempt *t = TP_CONTAINER(h, attempt, poll);
    dial *d = t->d;
    int fd = t->fd, error = 0;
    socklen_t len = sizeof(error);
    (void)events;
    if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &len) < 0)
        error = errno;
    if (error == 0 && status < 0)
        error = -status;
    if (error == EINPROGRESS || error == EAGAIN)
        return;
    attempt_drop(t);
    if (error == 0) {
        connected(d, fd);
        return;
    }
    close(fd);
    d->error = -error;
    wheel_disarm(d->p->d->loop->timers, &d->later);
    next_address(d);
}

/* 0: under way; else a uv error. */
static int try_address(dial *d, resolve_addr *a)
{
    direct *o = d->p->d;
    socklen_t len = a->sa.sa_family == AF_INET6 ? sizeof(a->in6) : sizeof(a->in);
    if (a->sa.sa_family == AF_INET6)
        a->in6.sin6_port = htons((uint16_t)d->p->port);
    else
        a->in.sin_port = htons((uint16_t)d->p->port);
    int fd = socket(a->sa.sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -errno;
    if (connect(fd, &a->sa, len) < 0 && errno != EINPROGRESS) {
        int error = errno;
        close(fd);
        return -error;
    }
    attempt *t = tp_xcalloc(1, sizeof(*t));
    int rc = uv_poll_init_socket(o->loop->uv, &t->poll, fd);
    if (rc < 0) {
        free(t);
        close(fd);
        return rc;
    }
    t->d = d;
    t->owner = o;
    t->fd = fd;
    t->next = d->tries;
    d->tries = t;
    o->handles++;
    uv_poll_start(&t->poll, UV_WRITABLE, on_poll);
    return 0;
}

static void on_later(wheel_timer *t)
{
    next_address(TP_CONTAINER(t, dial, later));
}

static void next_address(dial *d)
{
    wheel *w = d->p->d->loop->timers;
    while (d->at < d->q.count) {
        int rc = try_address(d, &d->q.addrs[d->at++]);
        if (rc == 0) {
            if (d->at < d->q.count)
                wheel_arm(w, &d->later, net_now_us(d->p->d->loop) + NEXT_ADDRESS_US);
            return;
        }
        d->error = rc;
    }
    if (d->tries)
        return;
    snprintf(d->why, sizeof(d->why), "cannot connect to %s port %d: %s", d->p->host, d->p->port,
             uv_strerror(d->error));
    fail_later(d, UP_E_CONNECT);
}

static void resolved(resolve_query *q)
{
    dial *d = TP_CONTAINER(q, dial, q);
    if (q->count) {
        next_address(d);
        return;
    }
    snprintf(d->why, sizeof(d->why), "cannot resolve the host name %s: %s", d->p->host, q->why);
    fail_later(d, UP_E_RESOLVE);
}

/* The pool's TLS settings: made with its first connection, shared by CA file. */
static int pool_trust(dial *d)
{
    pool *p = d->p;
    tp_error err = {0};
    if (!p->secure || p->tls)
        return 0;
    trust *t = p->d->trusts;
    while (t && strcmp(t->ca_file, p->ca_file) != 0)
        t = t->next;
    if (!t) {
        tls_context *c = tls_client_new(str_of(p->ca_file), &err);
        if (!c) {
            snprintf(d->why, sizeof(d->why), "%.*s", (int)sizeof(d->why) - 1, err.text);
            return -1;
        }
        t = tp_xcalloc(1, sizeof(*t));
        t->ca_file = tp_xstrndup(p->ca_file, strlen(p->ca_file));
        t->context = c;
        t->next = p->d->trusts;
        p->d->trusts = t;
    }
    p->tls = t->context;
    return 0;
}

void dial_start(pool *p)
{
    dial *d = tp_xcalloc(1, sizeof(*d));
    d->p = p;
    d->q.done = resolved;
    d->later.fire = on_later;
    d->fail.run = on_fail;
    d->since = uv_now(p->d->loop->uv);
    d->next = p->dials;
    if (d->next)
        d->next->prev = d;
    p->dials = d;
    p->dialing++;
    if (pool_trust(d) < 0)
        fail_later(d, UP_E_TLS);
    else if (resolve_start(p->d->names, p->host, &d->q))
        resolved(&d->q);
}
