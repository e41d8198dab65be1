/* The direct transport: HTTP/1.1 requests on kept connections. A request on a warm connection costs
 * one writev, one read and no memory: its stream comes from a list, its head is written in the
 * client's scratch buffer, its reply is handed on where it was read. */
#include <stdlib.h>

#include "base/str.h"
#include "loop/direct_int.h"

#define WINDOW 131072u  /* body bytes given to the kernel at a time; what it leaves is copied */
#define SPANS 32u
#define COMPACT 16384u  /* chunks up to this are moved together, so that they go on in one call */
#define HEAD_MAX 262144u

/* ---- streams */
static stream *stream_new(direct *d)
{
    stream *s = d->spare;
    if (s)
        d->spare = s->next;
    else
        s = malloc(sizeof(*s));
    if (!s)
        return NULL;
    *s = (stream){.base.via = &direct_transport, .d = d, .state = UP_CONNECTING};
    d->st.active++;
    return s;
}

static void stream_free(stream *s)
{
    direct *d = s->d;
    d->st.active--;
    s->base.via = NULL;
    s->next = d->spare;
    d->spare = s;
}

void stream_fail(stream *s, int reason, const char *what)
{
    const up_events *on = s->on;
    void *arg = s->arg;
    s->d->st.failures++;
    stream_free(s);
    on->failed(arg, reason, what);
}

/* The stream's connection is broken. A used one may have been closed by the server before our
 * request came: then nothing has been answered, and a fresh one is tried, once. */
static void stream_broken(stream *s, int reason, const char *what)
{
    conn *c = s->c;
    pool *p = s->p;
    int stale = c->served && !s->answered && !s->retried;
    s->c = NULL;
    conn_close(c);
    if (stale) {
        s->retried = 1;
        s->state = UP_CONNECTING;
        s->seg = 0;
        s->seg_at = 0;
        p->d->st.retries++;
        pool_queue(p, s, 1);
    }
    if (p->first)
        pool_pump(p, p->first->r.to->max_connections);
    if (!stale)
        stream_fail(s, reason, what);
}

/* ---- requests */
static int visible(tp_str s) /* may it stand in a request line? */
{
    for (size_t i = 0; i < s.len; i++)
        if ((unsigned char)s.ptr[i] <= ' ' || s.ptr[i] == 127)
            return 0;
    return s.len > 0;
}

static int has_body(const up_request *r)
{
    return r->body_bytes || str_eq(r->method, STR("POST")) || str_eq(r->method, STR("PUT")) ||
           str_eq(r->method, STR("PATCH"));
}

/* NULL, or why it cannot be sent. */
static const char *head_write(buf *b, const up_request *r)
{
    static const char too_long[] = "the request's head is longer than 256 KiB";
    char digits[24];
    int rc = 0;
    uint64_t sum = 0;
    for (uint32_t i = 0; i < r->seg_count; i++)
        sum += r->segs[i].len;
    if (sum != r->body_bytes)
        return "the request's body is not as long as was said";
    if (!visible(r->method) || !visible(r->target))
        return "the request's method or target holds a space or a control character";
    b->len = 0;
    rc |= buf_adds(b, r->method);
    rc |= buf_add(b, " ", 1);
    rc |= buf_adds(b, r->target);
    rc |= buf_add(b, " HTTP/1.1\r\n", 11);
    if (rc)
        return too_long;
    if (http_write_header(b, STR("Host"), r->to->authority) < 0)
        return "the upstream's host name is not one";
    for (uint32_t i = 0; i < r->header_count; i++)
        if (http_write_header(b, r->headers[i].name, r->headers[i].value) < 0)
            return "a header of the request has a name that is no token, a value with a line break "
                   "or a NUL, or is too long";
    if (has_body(r)) {
        char *at = digits + sizeof(digits);
        uint64_t n = r->body_bytes;
        do
            *--at = (char)('0' + n % 10);
        while (n /= 10);
        rc |= buf_add(b, "Content-Length: ", 16);
        rc |= buf_add(b, at, (size_t)(digits + sizeof(digits) - at));
        rc |= buf_add(b, "\r\n", 2);
    }
    rc |= buf_add(b, "\r\n", 2);
    return rc ? too_long : NULL;
}

static int all_given(const stream *s)
{
    return s->seg == s->r.seg_count;
}

/* Hands the kernel as much as it takes; what it does not is copied, at most WINDOW and the high
 * water mark. head empty: the rest. 0, or a uv error. */
static int send_some(stream *s, tp_str head)
{
    net *n = &s->c->net;
    do {
        tp_str v[SPANS];
        uint32_t count = 0;
        size_t bytes = 0;
        if (head.len)
            v[count++] = head;
        head.len = 0;
        while (!all_given(s) && count < SPANS && bytes < WINDOW) {
            tp_str seg = str_skip(s->r.segs[s->seg], s->seg_at);
            tp_str part = {seg.ptr, TP_MIN(seg.len, WINDOW - bytes)};
            if (part.len)
                v[count++] = part;
            bytes += part.len;
            s->seg_at += part.len;
            if (part.len == seg.len) {
                s->seg++;
                s->seg_at = 0;
            }
        }
        int rc = count ? net_write(n, v, count) : 0;
        if (rc < 0)
            return rc;
    } while (!all_given(s) && !n->above_high);
    s->state = all_given(s) && !n->above_high ? UP_SENT : UP_SENDING;
    return 0;
}

/* A connection that takes no more bytes may still hold a reply, such as a 413: reading goes on and
 * tells how it ends. What is not the peer's doing is told from the loop. */
static void sent(conn *c, int rc)
{
    if (rc == 0 || rc == UV_EPIPE || rc == UV_ECONNRESET)
        return;
    c->dead = 1;
    net_defer(c->p->d->loop, &c->task);
}

/* Puts the stream onto the connection and sends. NULL: done; else why it cannot be sent at all. */
static const char *stream_send(stream *s, conn *c)
{
    direct *d = s->d;
    const char *bad = head_write(&d->head, &s->r);
    if (bad) {
        pool_idle(c->p, c);
        return bad;
    }
    c->s = s;
    s->c = c;
    if (c->served)
        d->st.reuses++;
    http_parser_next(c->parser, s->a);
    if (str_eq(s->r.method, STR("HEAD")))
        http_parser_no_body(c->parser);
    if (s->paused)
        net_read_stop(&c->net);
    sent(c, send_some(s, buf_str(&d->head)));
    return NULL;
}

void stream_give(stream *s, conn *c)
{
    const char *bad = stream_send(s, c);
    if (bad)
        stream_fail(s, UP_E_PROTOCOL, bad);
    else if (s->on->progress)
        s->on->progress(s->arg, s->state);
}

/* ---- replies */
static uint32_t idle_limit(const http_head *h)
{
    tp_str v = h->known[HTTP_H_KEEP_ALIVE];
    for (size_t i = 0; i + 8 < v.len; i++) {
        if (!str_ieq(str_make(v.ptr + i, 8), STR("timeout=")))
            continue;
        uint32_t n = 0;
        for (i += 8; i < v.len && v.ptr[i] >= '0' && v.ptr[i] <= '9' && n < 3600; i++)
            n = n * 10 + (uint32_t)(v.ptr[i] - '0');
        /* A second less than the server's: it must not close while our request is on its way. */
        return TP_MIN(DIRECT_IDLE_MS, n > 1 ? (n - 1) * 1000 : 0);
    }
    return DIRECT_IDLE_MS;
}

/* The stream was paused in the middle of a read: `ready` bytes of body that are parsed, and what is
 * not parsed yet, at most a read's worth. */
static void hold(conn *c, tp_str ready, tp_str raw)
{
    c->held = malloc(ready.len + raw.len);
    if (!c->held) {
        stream_broken(c->s, UP_E_NOMEM, "out of memory");
        return;
    }
    memcpy(c->held, ready.ptr, ready.len);
    if (raw.len)
        memcpy(c->held + ready.len, raw.ptr, raw.len);
    c->held_ready = (uint32_t)ready.len;
    c->held_len = (uint32_t)(ready.len + raw.len);
}

/* The reply is complete. The connection is back in its pool before the stream's owner hears of it,
 * who may want it for the next request. */
static void finish(conn *c, const http_head *head, tp_str data, int clean)
{
    stream *s = c->s;
    pool *p = c->p;
    const up_events *on = s->on;
    void *arg = s->arg;
    int keep = clean && c->keep && c->idle_ms && s->state == UP_SENT && c->net.queued == 0 &&
               !c->net.failed;
    int wanted = p->first != NULL;
    c->s = NULL;
    s->c = NULL;
    c->served = 1;
    if (!keep)
        conn_close(c);
    else if (!wanted)
        pool_idle(p, c);
    stream_free(s);
    on->reply(arg, head, data, 1);
    if (keep && wanted && !c->gone)
        pool_ready(p, c);
    else if (p->first)
        pool_pump(p, p->first->r.to->max_connections);
}

/* Parses what was read; the first `ready` bytes of it are body, parsed before. Neighbouring pieces
 * of the body go on in one call: chunks are moved over their size lines, as they are already in the
 * cache and the buffer is ours. */
static void consume(conn *c, char *p, size_t len, size_t ready)
{
    stream *s = c->s;
    const http_head *head = NULL;
    char *out = ready ? p : NULL;
    size_t out_len = ready, at = ready;
    s->answered = 1;
    for (;;) {
        http_event ev;
        int what = http_parse(c->parser, str_make(p + at, len - at), &ev);
        at += ev.used;
        if (what == HTTP_HEAD_DONE) {
            head = ev.head;
            c->keep = ev.head->keep_alive;
            c->idle_ms = idle_limit(ev.head);
        } else if (what == HTTP_BODY) {
            char *span = p + (ev.span.ptr - p);
            if (out && out + out_len != span && ev.span.len > COMPACT) {
                s->on->reply(s->arg, head, str_make(out, out_len), 0);
                if (c->s != s)
                    return;
                head = NULL;
                out = NULL;
                out_len = 0;
                if (s->paused) {
                    hold(c, ev.span, str_make(p + at, len - at));
                    return;
                }
            }
            if (!out)
                out = span;
            else if (out + out_len != span)
                memmove(out + out_len, span, ev.span.len);
            out_len += ev.span.len;
        } else if (what == HTTP_DONE) {
            finish(c, head, str_make(out, out_len), at == len);
            return;
        } else if (what == HTTP_FAULT) {
            stream_broken(s, UP_E_PROTOCOL, ev.fault.why);
            return;
        } else {
            if (head || out_len)
                s->on->reply(s->arg, head, str_make(out, out_len), 0);
            return;
        }
    }
}

void conn_resume(net_task *t)
{
    conn *c = TP_CONTAINER(t, conn, task);
    stream *s = c->s;
    if (!s)
        return;
    if (c->dead) {
        stream_broken(s, UP_E_RESET, "the connection broke while the request was sent");
        return;
    }
    if (s->paused)
        return;
    char *held = c->held;
    c->held = NULL;
    if (held)
        consume(c, held, c->held_len, c->held_ready);
    free(held);
    if (c->s == s && !s->paused)
        net_read_start(&c->net);
}

/* ---- the connection's events */
static void on_data(net *n, char *p, size_t len)
{
    conn *c = n->owner;
    if (!c->s) /* nobody asked: what comes next cannot be told from it */
        conn_close(c);
    else
        consume(c, p, len, 0);
}

static void on_eof(net *n)
{
    conn *c = n->owner;
    int done = 0;
    if (!c->s) {
        conn_close(c);
        return;
    }
    if (http_parse_eof(c->parser, &done) == 0 && done)
        finish(c, NULL, STR_NONE, 0);
    else
        stream_broken(c->s, UP_E_RESET, c->s->answered
                                            ? "the upstream closed the connection before the reply "
                                              "was complete"
                                            : "the upstream closed the connection without a reply");
}

static void on_error(net *n, int uv_error, const char *what)
{
    conn *c = n->owner;
    char why[256];
    (void)uv_error;
    if (c->dial) {
        dial_broken(c->dial, UP_E_TLS, what);
    } else if (c->s) {
        size_t len = strlen(what);
        len = TP_MIN(len, sizeof(why) - 40);
        memcpy(why, "the upstream's connection broke: ", 33);
        memcpy(why + 33, what, len);
        why[33 + len] = 0;
        stream_broken(c->s, UP_E_RESET, why);
    } else {
        conn_close(c);
    }
}

static void on_drained(net *n)
{
    conn *c = n->owner;
    stream *s = c->s;
    if (!s || s->state != UP_SENDING)
        return;
    sent(c, send_some(s, STR_NONE));
    if (s->state == UP_SENT && s->on->progress)
        s->on->progress(s->arg, UP_SENT);
}

static void on_ready(net *n)
{
    conn *c = n->owner;
    if (c->dial)
        dial_shaken(c->dial);
}

static void on_closed(net *n)
{
    conn *c = n->owner;
    direct *d = c->p->d;
    free(c->held);
    free(c);
    d->handles--;
    direct_settle(d);
}

const net_events direct_net_events = {.data = on_data,
                                      .eof = on_eof,
                                      .error = on_error,
                                      .drained = on_drained,
                                      .ready = on_ready,
                                      .closed = on_closed};

/* ---- the transport */
static void settle_names(void *arg)
{
    direct_settle(arg);
}

static void *direct_open(net_loop *l, const logger *log)
{
    direct *d = tp_xcalloc(1, sizeof(*d));
    d->loop = l;
    d->log = log;
    d->names = resolver_new(l->uv, settle_names, d);
    d->sweep.fire = pool_sweep;
    buf_init(&d->head, HEAD_MAX);
    return d;
}

resolver *direct_names(void *transport)
{
    return ((direct *)transport)->names;
}

static void on_finish(net_task *t)
{
    direct *d = TP_CONTAINER(t, direct, finish);
    void (*done)(void *) = d->done;
    void *arg = d->done_arg;
    pools_free(d);
    while (d->trusts) {
        trust *x = d->trusts;
        d->trusts = x->next;
        tls_context_unref(x->context);
        free(x->ca_file);
        free(x);
    }
    while (d->spare) {
        stream *s = d->spare;
        d->spare = s->next;
        free(s);
    }
    resolver_free(d->names);
    buf_free(&d->head);
    free(d);
    done(arg);
}

void direct_settle(direct *d)
{
    if (d->done && d->handles == 0 && resolver_busy(d->names) == 0)
        net_defer(d->loop, &d->finish);
}

static void direct_close(void *transport, void (*done)(void *), void *arg)
{
    direct *d = transport;
    TP_MUST(d->st.active == 0);
    d->done = done;
    d->done_arg = arg;
    d->finish.run = on_finish;
    pools_close(d);
    direct_settle(d);
}

static void on_late(net_task *t)
{
    stream *s = TP_CONTAINER(t, stream, late);
    stream_fail(s, UP_E_PROTOCOL, s->bad);
}

static up_stream *direct_start(void *transport, const up_request *r, arena *a, const up_events *on,
                               void *arg, int *state)
{
    direct *d = transport;
    stream *s = stream_new(d);
    if (!s)
        return NULL;
    s->r = *r;
    s->a = a;
    s->on = on;
    s->arg = arg;
    s->p = pool_of(d, r->to);
    conn *c = pool_take(s->p);
    const char *bad = c ? stream_send(s, c) : head_write(&d->head, r);
    if (bad) {
        s->bad = bad;
        s->late.run = on_late;
        net_defer(d->loop, &s->late);
    } else if (!c) {
        pool_queue(s->p, s, 0);
        pool_pump(s->p, r->to->max_connections);
    }
    *state = s->state;
    return &s->base;
}

static int direct_sending(const up_stream *u)
{
    return ((const stream *)(const void *)u)->state != UP_SENT;
}

static void direct_pause(up_stream *u)
{
    stream *s = (stream *)(void *)u;
    if (s->paused)
        return;
    s->paused = 1;
    if (s->c)
        net_read_stop(&s->c->net);
}

static void direct_resume(up_stream *u)
{
    stream *s = (stream *)(void *)u;
    if (!s->paused)
        return;
    s->paused = 0;
    if (s->c && s->c->held)
        net_defer(s->d->loop, &s->c->task);
    else if (s->c)
        net_read_start(&s->c->net);
}

static void direct_cancel(up_stream *u)
{
    stream *s = (stream *)(void *)u;
    pool *p = s->p;
    if (s->c) {
        conn_close(s->c);
        if (p->first)
            pool_pump(p, p->first->r.to->max_connections);
    } else if (s->bad) {
        net_undefer(s->d->loop, &s->late);
    } else {
        pool_unqueue(p, s);
        if (p->dialing > p->waiting && p->dials)
            dial_abort(p->dials);
    }
    stream_free(s);
}

static void direct_stats(const void *transport, up_stats *out)
{
    *out = ((const direct *)transport)->st;
}

const up_transport direct_transport = {.size = sizeof(up_transport),
                                       .open = direct_open,
                                       .close = direct_close,
                                       .start = direct_start,
                                       .sending = direct_sending,
                                       .pause = direct_pause,
                                       .resume = direct_resume,
                                       .cancel = direct_cancel,
                                       .stats = direct_stats};
