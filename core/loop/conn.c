/* A client's connection: its life, its deadlines, and what answers do to it. */
#include "loop/server_int.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define SILENCE_MS 2000     /* closing: how long the peer may be silent */
#define CLOSING_MS 30000    /* closing: how long it may take altogether */
#define DRAIN_GRACE_MS 100  /* stopping: requests that are on their way still come in */
#define REFUSED_MS 2000     /* one connection too many: how long it may take to ask */

static int64_t server_ms(const conn *c, size_t offset)
{
    const conf_server *s = &c->w->use->w->conf->server;
    return *(const int64_t *)(const void *)((const char *)s + offset);
}
#define TIMEOUT(c, field) server_ms(c, offsetof(conf_server, field))

/* ---- Deadlines. The timer is armed anew only when it would come too late: a deadline that moves
 * away costs nothing. */

static void due_in(conn *c, int64_t ms)
{
    c->due_us = net_now_us(&c->w->net) + ms * 1000;
    if (!c->timer.link || c->timer.due_us > c->due_us)
        wheel_arm(&c->w->timers, &c->timer, c->due_us);
}

static int64_t idle_ms(const conn *c)
{
    return c->w->stopping ? DRAIN_GRACE_MS : TIMEOUT(c, idle_timeout_ms);
}

void conn_set_deadline(conn *c)
{
    if (c->n.closing)
        return;
    if (c->n.queued) {
        if (c->writing)
            return;
        c->writing = 1;
        c->progress = net_progress(&c->n);
        due_in(c, TIMEOUT(c, write_timeout_ms));
        return;
    }
    if (c->writing)
        c->head_timed = 0; /* its deadline was overwritten */
    c->writing = 0;
    if (c->state == CONN_BUSY) {
        c->due_us = INT64_MAX; /* its exchange has deadlines of its own */
    } else if (c->state == CONN_CLOSING) {
        due_in(c, SILENCE_MS);
        c->due_us = TP_MIN(c->due_us, c->close_by_us);
    } else if (c->state == CONN_DISCARD || (c->f && c->body_wanted)) {
        due_in(c, TIMEOUT(c, body_timeout_ms));
    } else if (!c->f || !http_parser_started(conn_parser(c))) {
        due_in(c, idle_ms(c));
    } else if (!c->head_timed) { /* from the first byte on, whatever comes later */
        c->head_timed = 1;
        due_in(c, c->refused ? REFUSED_MS : TIMEOUT(c, head_timeout_ms));
    }
}

static void body_late(conn *c)
{
    c->close_after = 1;
    flight_run(c->f, &(dispatch_input){.kind = IN_BODY_FAILED,
                                       .code = 408,
                                       .what = "The request's body did not arrive in time."});
}

static void expired(conn *c)
{
    if (c->writing) {
        if (c->n.queued && net_progress(&c->n) == c->progress) {
            conn_end(c); /* it takes no bytes */
            return;
        }
        c->writing = 0;
        c->head_timed = 0;
        conn_set_deadline(c);
    } else if (c->state == CONN_READING && c->f && c->body_wanted) {
        body_late(c);
    } else if (c->state == CONN_READING && c->f && http_parser_started(conn_parser(c))) {
        conn_fault(c, 408, "The request's head did not arrive in time.");
    } else {
        conn_end(c);
    }
}

static void on_timer(wheel_timer *t)
{
    conn *c = TP_CONTAINER(t, conn, timer);
    worker_clock(c->w);
    if (c->n.closing || c->due_us == INT64_MAX)
        return;
    if (c->due_us > net_now_us(&c->w->net))
        wheel_arm(&c->w->timers, t, c->due_us);
    else
        expired(c);
}

/* ---- The end. */

static void drop_unbegun(conn *c)
{
    if (c->f && !c->head_seen) {
        flight *f = c->f;
        c->f = NULL;
        flight_drop(f);
    }
}

void conn_end(conn *c)
{
    drop_unbegun(c);
    if (!c->f && !c->n.queued) {
        net_close(&c->n);
        return;
    }
    if (c->f) /* with the connection, for the record's sake */
        flight_run(c->f, &(dispatch_input){.kind = IN_CLIENT_GONE});
    if (c->f) {
        c->f->c = NULL;
        c->f = NULL;
    }
    net_abort(&c->n); /* what was cut off must not look complete */
}

static void close_softly(conn *c)
{
    /* Our end first, then the peer's, so that the answer is not lost to a reset. */
    c->state = CONN_CLOSING;
    c->close_by_us = net_now_us(&c->w->net) + CLOSING_MS * 1000;
    net_shutdown(&c->n);
    if (c->stopped) {
        c->stopped = 0;
        net_read_start(&c->n);
    }
    conn_set_deadline(c);
}

/* A client that ends its side is taken to be gone, as a closed connection looks the same: what is
 * being made for it is cancelled. Answers that are complete still reach it. */
static void on_eof(net *n)
{
    conn *c = n->owner;
    worker_clock(c->w);
    drop_unbegun(c);
    if (c->f || !c->n.queued)
        conn_end(c);
    else if (c->state != CONN_CLOSING)
        close_softly(c);
}

static void on_error(net *n, int uv_error, const char *what)
{
    conn *c = n->owner;
    (void)uv_error;
    (void)what; /* a client's broken connection is no event for the log */
    worker_clock(c->w);
    conn_end(c);
}

static void on_closed(net *n)
{
    conn *c = n->owner;
    worker *w = c->w;
    wheel_disarm(&w->timers, &c->timer);
    *c->link = c->next;
    if (c->next)
        c->next->link = c->link;
    w->conn_count--;
    figure_set(&w->figures.connections, w->conn_count);
    free(c->ahead);
    free(c);
    atomic_store_explicit(&w->figures.closed, w->figures.closed + 1, memory_order_release);
    if (w->stopping && !w->conn_count)
        server_worker_empty(w->owner);
}

/* ---- The beginning. */

static void on_data(net *n, char *p, size_t len)
{
    conn *c = n->owner;
    worker_clock(c->w);
    conn_feed(c, str_make(p, len));
}

static void on_room(net *n, char **p, size_t *cap)
{
    conn_room(n->owner, p, cap);
}

static void on_drained(net *n)
{
    conn *c = n->owner;
    if (c->f)
        flight_drained(c->f);
    if (!c->f)
        conn_next(c);
}

static const net_events events = {on_data, on_room, on_eof, on_error, on_drained, NULL, on_closed};

static void lost(worker *w)
{
    figure_up(&w->figures.closed);
    if (w->stopping)
        server_worker_empty(w->owner);
}

void conn_take(worker *w, int fd, tls_context *tls, int refused)
{
    char peer_text[64];
    conn *c = calloc(1, sizeof(*c) + http_parser_size());
    if (!c)
        close(fd);
    if (!c || net_open(&c->n, &w->net, &events, c, fd, tls) != 0) { /* which has closed it */
        free(c);
        lost(w);
        return;
    }
    c->w = w;
    c->timer.fire = on_timer;
    c->refused = refused != 0;
    int peer = net_peer(&c->n, peer_text);
    c->peer_len = (uint8_t)TP_MIN((size_t)(peer > 0 ? peer : 0), sizeof(c->peer));
    memcpy(c->peer, peer_text, c->peer_len);
    c->next = w->conns;
    c->link = &w->conns;
    if (c->next)
        c->next->link = &c->next;
    w->conns = c;
    w->conn_count++;
    figure_set(&w->figures.connections, w->conn_count);
    figure_up(&w->figures.accepted);
    /* A fresh connection has asked for nothing yet: no more patience than for a head. */
    due_in(c, refused ? REFUSED_MS : TIMEOUT(c, head_timeout_ms));
    net_read_start(&c->n);
}

/* ---- Answers. */

static void answered(conn *c)
{
    if (c->close_after) {
        close_softly(c);
        return;
    }
    c->state = c->request_done || !c->body_left ? CONN_READING : CONN_DISCARD;
    conn_next(c);
}

/* An answer before the whole request: can the rest be read away, or must the connection go? */
static void decide_close(conn *c)
{
    if (!c->keep_alive || c->w->stopping)
        c->close_after = 1;
    if (!c->request_done && (c->body_left < 0 || c->body_left > (int64_t)CONN_DISCARD_MAX ||
                             (c->expect && !c->body_wanted)))
        c->close_after = 1;
}

int conn_apply(conn *c, flight *f, const dispatch_actions *a)
{
    static const tp_str go_on = {"HTTP/1.1 100 Continue\r\n\r\n", 25};
    int rc = 0;
    if (c->n.closing)
        return 0;
    if (a->read_body) {
        c->body_wanted = 1;
        if (c->expect && c->body_left)
            rc = net_write(&c->n, &go_on, 1);
    }
    if (a->respond) {
        c->close_after |= a->close != 0;
        decide_close(c);
    }
    if (rc == 0 && (a->respond || a->seg_count || a->finish))
        rc = conn_write_response(c, a);
    if (rc != 0 || a->broken) {
        net_abort(&c->n);
        return a->broken ? 0 : -1;
    }
    if (a->finish) {
        f->c = NULL;
        c->f = NULL;
        answered(c);
    } else if (c->n.queued && !c->writing) {
        conn_set_deadline(c);
    }
    return 0;
}

void conn_refuse(conn *c, const http_head *h, int32_t status, const char *why)
{
    dispatch_input in = {.kind = IN_BODY_FAILED, .code = status, .what = why};
    http_head seen = {.content_length = -1};
    c->close_after = 1;
    figure_up(&c->w->figures.faults);
    if (!c->head_seen) { /* else within the body */
        in.kind = h ? IN_HEAD : IN_HEAD_FAILED;
        in.head = h ? h : &seen;
        if (!h)
            http_parser_glimpse(conn_parser(c), &seen.method_text, &seen.path);
        c->head_seen = 1;
        c->minor = h ? h->minor : 1;
        c->is_head = str_eq(in.head->method_text, STR("HEAD")) != 0;
    }
    flight_run(c->f, &in);
}

void conn_fault(conn *c, int32_t status, const char *why)
{
    conn_refuse(c, NULL, status, why);
}

/* ---- Draining. */

void conn_drain_idle(worker *w)
{
    for (conn *c = w->conns; c; c = c->next) {
        c->close_after = 1;
        conn_set_deadline(c);
    }
}

void conn_close_all(worker *w)
{
    for (conn *c = w->conns, *next; c; c = next) {
        next = c->next;
        conn_end(c);
    }
}
