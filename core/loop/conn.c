/* A client's connection: requests in, one at a time, in order. */
#include "loop/server_int.h"

#include <stdlib.h>
#include <string.h>

static int64_t server_ms(const conn *c, size_t offset)
{
    const conf_server *s = &c->w->use->w->conf->server;
    return *(const int64_t *)(const void *)((const char *)s + offset);
}
#define TIMEOUT(c, field) server_ms(c, offsetof(conf_server, field))

void conn_arm(conn *c, int64_t ms)
{
    wheel_arm(&c->w->timers, &c->timer, net_now_us(&c->w->net) + ms * 1000);
}

static http_parser *parser_of(conn *c)
{
    return (http_parser *)(void *)c->parser;
}

/* ---- The client is gone, or must go. */

static void leave_flight(conn *c)
{
    flight *f = c->f;
    if (!f)
        return;
    c->f = NULL;
    f->c = NULL;
    if (!f->x.head && !c->request_done && !c->body_wanted)
        flight_drop(f);
    else
        flight_run(f, &(dispatch_input){.kind = IN_CLIENT_GONE});
}

static void end(conn *c)
{
    leave_flight(c);
    net_close(&c->n);
}

static void on_eof(net *n)
{
    end(n->owner);
}

static void on_error(net *n, int uv_error, const char *what)
{
    (void)uv_error;
    (void)what; /* a client's broken connection is no event for the log */
    end(n->owner);
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

static void close_softly(conn *c)
{
    /* Our end first, then the peer's, so that the answer is not lost to a reset. */
    c->state = CONN_CLOSING;
    net_shutdown(&c->n);
    if (c->stopped) {
        c->stopped = 0;
        net_read_start(&c->n);
    }
    conn_arm(c, 2000);
}

static void on_timer(wheel_timer *t)
{
    conn *c = TP_CONTAINER(t, conn, timer);
    if (c->n.queued) { /* the client takes no bytes: is it still alive? */
        if (c->n.queued < c->write_mark) {
            c->write_mark = c->n.queued;
            conn_arm(c, TIMEOUT(c, write_timeout_ms));
            return;
        }
        leave_flight(c);
        net_abort(&c->n);
        return;
    }
    if (c->state == CONN_BUSY)
        return;
    if (c->state == CONN_READING && c->f && !c->body_wanted) {
        conn_fault(c, 408, "The request's head did not arrive in time.");
    } else if (c->state == CONN_READING && c->f) {
        c->close_after = 1;
        flight_run(c->f, &(dispatch_input){.kind = IN_BODY_FAILED,
                                           .code = 408,
                                           .what = "The request's body did not arrive in time."});
    } else {
        end(c);
    }
}

/* ---- Requests. */

static void begin_message(conn *c)
{
    c->request_done = c->body_wanted = c->head_sent = c->chunked_out = c->expect = 0;
    c->body_left = 0;
    c->f = flight_new(c->w, c);
    if (!c->f)
        return;
    c->head_timed = 0;
    http_parser_next(parser_of(c), &c->f->x.req);
}

static void take_head(conn *c, const http_head *h)
{
    c->minor = h->minor;
    c->keep_alive = h->keep_alive && !c->w->stopping;
    c->is_head = h->method == HTTP_HEAD;
    c->expect = h->expect_continue;
    c->body_left = h->chunked ? -1 : TP_MAX(h->content_length, (int64_t)0);
    flight_run(c->f, &(dispatch_input){.kind = IN_HEAD, .head = h});
}

static void take_body(conn *c, tp_str bytes)
{
    int64_t declared = c->body_left >= 0 ? c->body_left + (int64_t)c->f->body_len : -1;
    if (c->body_left >= 0)
        c->body_left -= (int64_t)bytes.len;
    int status = flight_body(c->f, bytes, declared);
    if (status) {
        c->close_after = 1;
        flight_run(c->f, &(dispatch_input){
                             .kind = IN_BODY_FAILED,
                             .code = status,
                             .what = status == 413
                                         ? "The request's body is larger than server.max_body_bytes."
                                         : "The gateway is out of memory."});
    }
}

static void take_end(conn *c)
{
    flight *f = c->f;
    c->request_done = 1;
    c->state = CONN_BUSY;
    flight_run(f, &(dispatch_input){.kind = IN_BODY, .bytes = {f->body, f->body_len}});
}

static void keep_ahead(conn *c, tp_str in)
{
    if (!in.len)
        return;
    char *p = realloc(c->ahead, c->ahead_len + in.len);
    if (!p) {
        end(c);
        return;
    }
    memcpy(p + c->ahead_len, in.ptr, in.len);
    c->ahead = p;
    c->ahead_len += in.len;
    if (c->ahead_len >= CONN_AHEAD_MAX && !c->stopped) {
        c->stopped = 1;
        net_read_stop(&c->n);
    }
}

/* The answer went out before its request had come whole. */
static void discard(conn *c, tp_str *in)
{
    size_t n = TP_MIN(in->len, (size_t)c->body_left);
    c->body_left -= (int64_t)n;
    *in = str_skip(*in, n);
    if (!c->body_left) {
        http_parser_init(c->parser, HTTP_REQUEST, &c->w->limits);
        c->state = CONN_READING;
    }
}

/* One event of the parser; 0: no more to be had of these bytes. */
static int parse_some(conn *c, tp_str *in)
{
    http_event ev = {0};
    if (!c->f) {
        if (!in->len)
            return 0;
        begin_message(c);
        if (!c->f) {
            end(c);
            return 0;
        }
    }
    int rc = http_parse(parser_of(c), *in, &ev);
    *in = str_skip(*in, ev.used);
    switch (rc) {
    case HTTP_HEAD_DONE:
        take_head(c, ev.head);
        return 1;
    case HTTP_BODY:
        take_body(c, ev.span);
        return 1;
    case HTTP_DONE:
        take_end(c);
        return 1;
    case HTTP_FAULT:
        conn_fault(c, ev.fault.status, ev.fault.why);
        return 0;
    default:
        return 0;
    }
}

/* The deadline that the connection's state has. A busy one's is its exchange's; a timer left over is
 * harmless then. */
static void set_timer(conn *c)
{
    if (c->n.closing || c->state == CONN_BUSY || c->state == CONN_CLOSING || c->n.queued)
        return;
    if (c->state == CONN_DISCARD || (c->f && c->body_wanted)) {
        conn_arm(c, TIMEOUT(c, body_timeout_ms));
    } else if (!c->f) {
        conn_arm(c, TIMEOUT(c, idle_timeout_ms));
    } else if (!c->head_timed) { /* from the first byte on, whatever comes later */
        c->head_timed = 1;
        conn_arm(c, TIMEOUT(c, head_timeout_ms));
    }
}

static void feed(conn *c, tp_str in)
{
    c->in_data = 1;
    for (int more = 1; more && !c->n.closing;) {
        switch (c->state) {
        case CONN_READING:
            more = parse_some(c, &in);
            break;
        case CONN_DISCARD:
            discard(c, &in);
            more = c->state == CONN_READING;
            break;
        case CONN_BUSY:
            keep_ahead(c, in);
            more = 0;
            break;
        default:
            more = 0;
            break;
        }
    }
    c->in_data = 0;
    set_timer(c);
}

static void on_data(net *n, char *p, size_t len)
{
    feed(n->owner, str_make(p, len));
}

/* A large body of known length is read straight into its place. */
static void on_room(net *n, char **p, size_t *cap)
{
    conn *c = n->owner;
    flight *f = c->f;
    if (c->state != CONN_READING || !f || !c->body_wanted || c->body_left < 4096 ||
        f->body_cap <= f->body_len)
        return;
    *p = f->body + f->body_len;
    *cap = TP_MIN(f->body_cap - f->body_len, (size_t)c->body_left);
}

static void on_drained(net *n)
{
    conn *c = n->owner;
    if (c->f)
        flight_drained(c->f);
}

static const net_events events = {on_data, on_room, on_eof, on_error, on_drained, NULL, on_closed};

void conn_take(worker *w, int fd, tls_context *tls)
{
    char peer_text[64];
    conn *c = calloc(1, sizeof(*c) + http_parser_size());
    if (!c || net_open(&c->n, &w->net, &events, c, fd, tls) != 0) {
        free(c);
        figure_up(&w->figures.closed);
        return;
    }
    c->w = w;
    c->timer.fire = on_timer;
    int peer = net_peer(&c->n, peer_text);
    c->peer_len = (uint8_t)TP_MIN((size_t)(peer > 0 ? peer : 0), sizeof(c->peer));
    memcpy(c->peer, peer_text, c->peer_len);
    http_parser_init(c->parser, HTTP_REQUEST, &w->limits);
    c->next = w->conns;
    c->link = &w->conns;
    if (c->next)
        c->next->link = &c->next;
    w->conns = c;
    w->conn_count++;
    figure_set(&w->figures.connections, w->conn_count);
    figure_up(&w->figures.accepted);
    conn_arm(c, TIMEOUT(c, head_timeout_ms));
    net_read_start(&c->n);
}

/* ---- Answers. */

void conn_next(conn *c)
{
    if (c->in_data || c->n.closing)
        return; /* the loop that feeds it goes on by itself */
    if (c->ahead_len) {
        char *p = c->ahead;
        size_t n = c->ahead_len;
        c->ahead = NULL;
        c->ahead_len = 0;
        feed(c, str_make(p, n));
        free(p);
    } else {
        set_timer(c);
    }
    if (c->stopped && c->ahead_len < CONN_AHEAD_MAX && !c->n.closing) {
        c->stopped = 0;
        net_read_start(&c->n);
    }
}

static void answered(conn *c)
{
    if (c->close_after) {
        close_softly(c);
        return;
    }
    c->state = c->request_done ? CONN_READING : CONN_DISCARD;
    if (c->state == CONN_DISCARD && !c->body_left) {
        http_parser_init(c->parser, HTTP_REQUEST, &c->w->limits);
        c->state = CONN_READING;
    }
    conn_next(c);
}

/* An answer before the whole request: can the rest be read away, or must the connection go? */
static void decide_close(conn *c)
{
    if (!c->keep_alive || c->w->stopping)
        c->close_after = 1;
    if (!c->request_done &&
        (c->body_left < 0 || c->body_left > (int64_t)CONN_DISCARD_MAX || (c->expect && !c->body_wanted)))
        c->close_after = 1;
}

static void watch_queue(conn *c)
{
    if (!c->n.queued || c->state == CONN_CLOSING)
        return;
    c->write_mark = c->n.queued;
    if (!c->timer.link)
        conn_arm(c, TIMEOUT(c, write_timeout_ms));
}

int conn_apply(conn *c, flight *f, const dispatch_actions *a)
{
    static const tp_str go_on = {"HTTP/1.1 100 Continue\r\n\r\n", 25};
    int rc = 0;
    if (a->read_body) {
        c->body_wanted = 1;
        if (c->expect && c->body_left)
            rc = net_write(&c->n, &go_on, 1);
    }
    if (a->respond)
        decide_close(c);
    if (rc == 0 && (a->respond || a->seg_count || a->finish))
        rc = conn_write_response(c, a);
    if (rc != 0 || a->broken) {
        f->c = NULL;
        c->f = NULL;
        net_abort(&c->n);
        return a->broken ? 0 : -1;
    }
    watch_queue(c);
    if (a->finish) {
        f->c = NULL;
        c->f = NULL;
        answered(c);
    }
    return 0;
}

void conn_fault(conn *c, int32_t status, const char *why)
{
    flight *f = c->f;
    c->f = NULL;
    if (f)
        flight_drop(f);
    c->close_after = 1;
    figure_up(&c->w->figures.faults);
    if (conn_write_error(c, status, why) != 0)
        net_abort(&c->n);
    else
        close_softly(c);
}

/* ---- Draining. */

void conn_drain_idle(worker *w)
{
    for (conn *c = w->conns, *next; c; c = next) {
        next = c->next;
        c->close_after = 1;
        if (!c->f && c->state == CONN_READING)
            net_close(&c->n);
    }
}

void conn_close_all(worker *w)
{
    for (conn *c = w->conns, *next; c; c = next) {
        next = c->next;
        end(c);
    }
}
