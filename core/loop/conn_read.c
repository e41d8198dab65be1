/* Requests in: one at a time, in order, whatever the client sends ahead. */
#include "loop/server_int.h"

#include <stdlib.h>
#include <string.h>

#define FIRST_READ 8192 /* a head and a usual body */

/* ---- Bytes of later requests. */

static int lies_ahead(const conn *c, const char *p)
{
    return c->ahead && p >= c->ahead && p <= c->ahead + c->ahead_len;
}

static void keep_ahead(conn *c, tp_str in)
{
    if (lies_ahead(c, in.ptr)) { /* it is what is left of them */
        c->ahead_at = (size_t)(in.ptr - c->ahead);
        return;
    }
    if (!in.len)
        return;
    size_t have = c->ahead_len - c->ahead_at;
    if (c->ahead_at && have)
        memmove(c->ahead, c->ahead + c->ahead_at, have);
    char *p = realloc(c->ahead, have + in.len);
    if (!p) {
        conn_end(c);
        return;
    }
    memcpy(p + have, in.ptr, in.len);
    c->ahead = p;
    c->ahead_at = 0;
    c->ahead_len = have + in.len;
    if (c->ahead_len >= CONN_AHEAD_MAX && !c->stopped) {
        c->stopped = 1;
        net_read_stop(&c->n);
    }
}

static void drop_ahead(conn *c)
{
    free(c->ahead);
    c->ahead = NULL;
    c->ahead_at = c->ahead_len = 0;
}

/* ---- One request. */

static int begin_message(conn *c)
{
    c->request_done = c->body_wanted = c->chunked_out = c->expect = c->head_timed = 0;
    c->head_seen = 0;
    c->body_left = 0;
    c->f = flight_new(c->w, c);
    if (!c->f)
        return -1;
    http_parser_init(c->parser, HTTP_REQUEST, &c->f->use->limits);
    http_parser_next(conn_parser(c), &c->f->x.req);
    return 0;
}

static void take_head(conn *c, const http_head *h)
{
    if (c->refused) {
        conn_refuse(c, h, 503, "The gateway has as many connections as it may have. Try again in a "
                               "moment.");
        return;
    }
    c->head_seen = 1;
    c->minor = h->minor;
    c->keep_alive = h->keep_alive;
    c->is_head = h->method == HTTP_HEAD;
    c->expect = h->expect_continue;
    c->body_left = h->chunked ? -1 : TP_MAX(h->content_length, (int64_t)0);
    flight_run(c->f, &(dispatch_input){.kind = IN_HEAD, .head = h});
    if (c->f && c->f->x.asking == ASK_VERIFY)
        c->state = CONN_BUSY; /* until that is known: what follows is not wanted yet */
}

static void take_body(conn *c, tp_str bytes)
{
    int64_t declared = c->body_left >= 0 ? c->body_left + (int64_t)c->f->body_len : -1;
    if (c->body_left >= 0)
        c->body_left -= (int64_t)bytes.len;
    int status = flight_body(c->f, bytes, declared);
    if (status)
        conn_fault(c, status, status == 413
                                  ? "The request's body is larger than server.max_body_bytes."
                                  : "The gateway is out of memory.");
}

static void take_end(conn *c)
{
    flight *f = c->f;
    c->request_done = 1;
    c->state = CONN_BUSY;
    flight_run(f, &(dispatch_input){.kind = IN_BODY, .bytes = {f->body, f->body_len}});
}

/* The answer went out before its request had come whole. */
static void discard(conn *c, tp_str *in)
{
    size_t n = TP_MIN(in->len, (size_t)c->body_left);
    c->body_left -= (int64_t)n;
    *in = str_skip(*in, n);
    if (!c->body_left)
        c->state = CONN_READING;
}

/* One event of the parser; 0: no more to be had of these bytes. */
static int parse_some(conn *c, tp_str *in)
{
    http_event ev = {0};
    if (!c->f) {
        if (!in->len)
            return 0;
        if (c->n.queued >= NET_HIGH_WATER) { /* the client is to take its answers first */
            keep_ahead(c, *in);
            return 0;
        }
        if (begin_message(c) != 0) {
            conn_end(c);
            return 0;
        }
    }
    int rc = http_parse(conn_parser(c), *in, &ev);
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
        conn_refuse(c, ev.head, ev.fault.status, ev.fault.why);
        return 0;
    default:
        return 0;
    }
}

/* All that can be done with these bytes. Answers that are given at once come back here by a flag
 * (in_data), not by a call: a thousand requests in one read are a loop, not a recursion. */
void conn_feed(conn *c, tp_str in)
{
    if (c->ahead_at <
        c->ahead_len) { /* others come first: an answer or an empty queue fetches them */
        keep_ahead(c, in);
        return;
    }
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
    conn_set_deadline(c);
}

void conn_next(conn *c)
{
    if (c->in_data || c->n.closing || c->state == CONN_CLOSING)
        return; /* the loop that feeds it goes on by itself */
    if (c->ahead) {
        /* What is not used now is put back by keep_ahead, which looks where it lies. */
        size_t at = c->ahead_at;
        c->ahead_at = c->ahead_len;
        conn_feed(c, str_make(c->ahead + at, c->ahead_len - at));
        if (c->ahead_at == c->ahead_len)
            drop_ahead(c);
    } else { /* nothing more may be needed for a request's end: its body may be empty */
        conn_feed(c, STR_NONE);
    }
    if (c->stopped && !c->n.closing && c->ahead_len - c->ahead_at < CONN_AHEAD_MAX) {
        c->stopped = 0;
        net_read_start(&c->n);
    }
}

/* A large body of known length is read straight into its place. So the first read of a request is a
 * short one: what it takes of the body must be copied. */
void conn_room(conn *c, char **p, size_t *cap)
{
    flight *f = c->f;
    if (c->state == CONN_READING && !f) {
        *p = c->w->net.buffer;
        *cap = FIRST_READ;
        return;
    }
    if (c->state != CONN_READING || !f || !c->body_wanted || c->body_left < 4096 ||
        f->body_cap <= f->body_len)
        return;
    *p = f->body + f->body_len;
    *cap = TP_MIN(f->body_cap - f->body_len, (size_t)c->body_left);
}
