/* One connection: its input, its replies, its output and its end. Edge-triggered, so everything that
 * can be done is done when an event comes. */
#include "mock_tls.h"
#include "mock_worker.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#define SLOW_MS 10u

/* ---- connection: end ---- */

static void stream_closed(struct conn *c)
{
    if (c->streaming) {
        c->streaming = false;
        mock_count(&c->w->count.streams, (uint64_t)-1);
    }
}

void mock_conn_free(struct conn *c, bool aborted)
{
    struct mock_worker *w = c->w;
    stream_closed(c);
    mock_timer_stop(c);
    link_del(&c->all);
    if (aborted)
        mock_count(&w->count.aborted, 1);
    mock_count(&w->count.open, (uint64_t)-1);
    if (c->resetting) {
        struct linger l = { 1, 0 };
        (void)setsockopt(c->fd, SOL_SOCKET, SO_LINGER, &l, sizeof l);
    }
    mock_tls_free(c->tls, c->resetting);
    close(c->fd);
    free(c->in.p);
    free(c->out.p);
    free(c);
}

/* ---- output ---- */

static int64_t conn_write(struct conn *c, const char *p, size_t n)
{
    int64_t rc = c->tls ? mock_tls_write(c->tls, p, n) : send(c->fd, p, n, MSG_NOSIGNAL);
    if (rc > 0)
        mock_count(&c->w->count.bytes_out, (uint64_t)rc);
    return rc;
}

/* Sends what is pending; what the socket does not take moves to c->out. Returns 1 when everything
 * is out, 0 when it waits, -1 when the peer is gone. */
static int conn_flush(struct conn *c)
{
    struct mock_buf *ob = &c->w->ob;
    if (c->out.len > c->out_off || c->slow) {
        mock_buf_add(&c->out, ob->p, ob->len);
        ob->len = 0;
    }
    bool own = c->out.len > c->out_off;
    const char *p = own ? c->out.p + c->out_off : ob->p;
    size_t n = own ? c->out.len - c->out_off : ob->len;
    while (n && !c->blocked) {
        if (c->slow && !c->due)
            break;
        int64_t rc = conn_write(c, p, c->slow ? 1 : n);
        if (rc < 0 && errno != EAGAIN) {
            ob->len = 0;
            return -1;
        }
        if (rc < 0) {
            c->blocked = true;
            break;
        }
        p += rc;
        n -= (size_t)rc;
        if (c->slow) {
            c->due = false;
            mock_timer_at(c, c->w->now + SLOW_MS);
        }
    }
    if (own) {
        c->out_off = c->out.len - n;
        if (n == 0)
            c->out.len = c->out_off = 0;
    } else if (n) {
        mock_buf_add(&c->out, p, n);
    }
    ob->len = 0;
    if (ob->cap > 4 * MOCK_BATCH) {
        free(ob->p);
        *ob = (struct mock_buf){ 0 };
    }
    return n == 0;
}

/* ---- requests ---- */

static void keep_last(struct conn *c, const char *head, const char *body)
{
    struct mock_last *l = &c->w->last;
    uint64_t seq = atomic_fetch_add(&c->w->sh->seq, 1) + 1;
    pthread_mutex_lock(&l->lock);
    l->seq = seq;
    l->head.len = l->body.len = 0;
    mock_buf_add(&l->head, head, c->parse.head_len);
    mock_buf_add(&l->body, body, c->parse.body_len);
    pthread_mutex_unlock(&l->lock);
}

static void copy_model(struct conn *c, const struct mock_peek *peek)
{
    size_t n = 0;
    for (; n < peek->model_len && n + 1 < sizeof c->model && peek->model[n] != '?'; n++) {
        char ch = peek->model[n];
        c->model[n] = ch == '"' || ch == '\\' || (unsigned char)ch < 0x20 ? '_' : ch;
    }
    c->model[n] = '\0';
}

static void begin_stream(struct conn *c, uint8_t phase)
{
    c->phase = phase;
    c->due = true;
    c->streaming = true;
    struct mock_counters *n = &c->w->count;
    uint64_t open = mock_count(&n->streams, 1);
    if (open > atomic_load_explicit(&n->max_streams, memory_order_relaxed))
        atomic_store_explicit(&n->max_streams, open, memory_order_relaxed);
}

/* The reply to a chat request, or its beginning, once its delay is over. */
static void begin_reply(struct conn *c)
{
    struct mock_buf *ob = &c->w->ob;
    const struct mock_behave *b = &c->b;
    static const char garbage[] = "\x16\x03\x01 this is not HTTP \x00\xff\r\n\r\nnor is this\r\n";
    c->phase = PH_IDLE;
    c->slow = b->fail == MOCK_FAIL_SLOW;
    c->due = c->slow;
    if (b->close)
        c->parse.keep_alive = false;
    c->closing = !c->parse.keep_alive;
    if (b->fail == MOCK_FAIL_CLOSE || b->fail == MOCK_FAIL_RESET) {
        c->resetting = b->fail == MOCK_FAIL_RESET;
        c->closing = true;
    } else if (b->fail == MOCK_FAIL_GARBAGE) {
        mock_buf_add(ob, garbage, sizeof garbage - 1);
        c->closing = true;
    } else if (b->status != 200) {
        mock_reply_error(ob, &c->parse, (unsigned)b->status, b);
    } else if (c->want_sse) {
        mock_stream_head(ob, &c->parse, true);
        begin_stream(c, b->fail == MOCK_FAIL_STALL ? PH_STALL : PH_STREAM);
    } else if (b->fail == MOCK_FAIL_HUGE) {
        mock_stream_head(ob, &c->parse, false);
        begin_stream(c, PH_HUGE);
    } else {
        mock_reply_chat(ob, &c->parse, b, c->model, ++c->w->ids, &c->w->cached);
        if (b->fail == MOCK_FAIL_STALL || b->fail == MOCK_FAIL_FREEZE)
            c->phase = PH_STALL;
        if (b->fail == MOCK_FAIL_CUT || b->fail == MOCK_FAIL_CUTRST || b->fail == MOCK_FAIL_DROP) {
            c->closing = true;
            c->resetting = b->fail == MOCK_FAIL_CUTRST;
        }
    }
}

static void answer_chat(struct conn *c, const char *body, size_t len)
{
    struct mock_peek peek;
    mock_peek_body(body, len, &peek);
    if (!peek.is_object) {
        mock_count(&c->w->count.bad, 1);
        mock_reply_error(&c->w->ob, &c->parse, 400, NULL);
        c->closing = !c->parse.keep_alive;
        return;
    }
    copy_model(c, &peek);
    c->b = c->parse.behave;
    mock_behave_model(&c->b, peek.model, peek.model_len);
    c->want_sse = peek.stream;
    c->stream = (struct mock_stream){ .usage = c->b.usage == 2 ||
                                               (c->b.usage == 1 && peek.include_usage) };
    if (peek.stream)
        c->stream.id = ++c->w->ids;
    if (c->b.delay_ms) {
        c->phase = PH_DELAY;
        mock_timer_at(c, c->w->now + c->b.delay_ms);
        return;
    }
    begin_reply(c);
}

static const char models_body[] =
    "{\"object\":\"list\",\"data\":["
    "{\"id\":\"mock-model\",\"object\":\"model\",\"created\":1700000000,\"owned_by\":\"mock\"},"
    "{\"id\":\"mock-small\",\"object\":\"model\",\"created\":1700000000,\"owned_by\":\"mock\"}]}";

static void answer(struct conn *c, const char *buf)
{
    struct mock_buf *ob = &c->w->ob;
    const char *body = buf + c->parse.head_len;
    uint8_t target = c->parse.target;
    if (target < MOCK_T_STATS || target == MOCK_T_UNKNOWN) {
        mock_count(&c->w->count.requests, 1);
        if (c->w->sh->keep_last)
            keep_last(c, buf, body);
    }
    c->closing = !c->parse.keep_alive;
    if (target == MOCK_T_CHAT)
        answer_chat(c, body, c->parse.body_len);
    else if (target == MOCK_T_MODELS)
        mock_reply_json(ob, &c->parse, "application/json", models_body, sizeof models_body - 1);
    else if (target == MOCK_T_ROOT)
        mock_reply_json(ob, &c->parse, "text/plain", "mock-upstream\n", 14);
    else if (target == MOCK_T_UNKNOWN)
        mock_reply_error(ob, &c->parse, 404, NULL);
    else
        mock_control(c->w->sh, ob, &c->parse);
}

/* Parses and answers the requests in buf until one keeps the connection busy; returns what is used
 * up. What is left is the beginning of the next request. */
static size_t consume(struct conn *c, char *buf, size_t *len)
{
    size_t done = 0;
    c->in_want = 0;
    while (done < *len && c->phase == PH_IDLE && !c->closing && c->w->ob.len < MOCK_BATCH) {
        size_t rest = *len - done;
        size_t used = 0;
        int rc = mock_parse_feed(&c->parse, buf + done, &rest, &used);
        *len = done + rest;
        if (rc < 0) {
            mock_count(&c->w->count.bad, 1);
            c->parse.keep_alive = false;
            mock_reply_error(&c->w->ob, &c->parse, (unsigned)-rc, NULL);
            c->closing = true;
            return *len;
        }
        if (rc == 0) {
            if (c->parse.expect && c->parse.head_len && !c->parse.sent_continue) {
                c->parse.sent_continue = true;
                mock_buf_add(&c->w->ob, "HTTP/1.1 100 Continue\r\n\r\n", 25);
            }
            size_t need = mock_parse_need(&c->parse);
            c->in_want = need > rest + 1 ? need : rest + 1;
            return done;
        }
        answer(c, buf + done);
        done += used;
        if (c->phase != PH_DELAY && c->phase != PH_STREAM && c->phase != PH_HUGE && !c->closing)
            mock_parse_reset(&c->parse, &c->w->sh->defaults);
    }
    return done;
}

static int64_t conn_recv(struct conn *c, char *p, size_t n)
{
    int64_t rc = c->tls ? mock_tls_read(c->tls, p, n) : recv(c->fd, p, n, 0);
    if (rc > 0)
        mock_count(&c->w->count.bytes_in, (uint64_t)rc);
    if ((rc < 0 && errno == EAGAIN) || (rc > 0 && (size_t)rc < n && !c->tls && !c->hup))
        c->readable = false;
    return rc;
}

/* Takes what is there: parsed from the shared buffer, unless a request began in an earlier read.
 * Returns -1 at the end of the connection. */
static int conn_input(struct conn *c)
{
    struct mock_buf *in = &c->in;
    if (in->len && in->len >= c->in_want) { /* pipelined behind what has just been answered */
        size_t used = consume(c, in->p, &in->len);
        memmove(in->p, in->p + used, in->len - used);
        in->len -= used;
        return 0;
    }
    bool fresh = in->len == 0;
    size_t room = MOCK_READ_SIZE;
    if (!fresh && c->in_want > in->len + 1)
        room = c->in_want - in->len + 1024; /* a short read then says that it is all */
    char *at = fresh ? c->w->rbuf : mock_buf_room(in, room);
    int64_t n = conn_recv(c, at, room);
    if (n <= 0)
        return n < 0 && errno == EAGAIN ? 0 : -1;
    if (fresh) {
        size_t len = (size_t)n;
        size_t used = consume(c, at, &len);
        if (len > used) {
            (void)mock_buf_room(in, c->in_want > len - used ? c->in_want : len - used);
            mock_buf_add(in, at + used, len - used);
        }
        return 0;
    }
    in->len += (size_t)n;
    return 0;
}

/* Writes the events that are due. */
static void produce(struct conn *c)
{
    struct mock_buf *ob = &c->w->ob;
    bool chunked = !c->parse.http10;
    enum mock_step step = MOCK_STEP_MORE;
    if (c->phase == PH_HUGE) {
        while (ob->len < MOCK_BATCH)
            mock_huge_step(ob, chunked);
        return;
    }
    do {
        step = mock_stream_step(ob, &c->stream, &c->b, c->model, chunked);
        mock_count(&c->w->count.events, 1);
    } while (step == MOCK_STEP_MORE && c->b.pace_ms == 0 && ob->len < MOCK_BATCH);
    if (step == MOCK_STEP_MORE) {
        if (c->b.pace_ms && !c->slow) {
            uint64_t at = (c->stream.next > 1 ? c->deadline : c->w->now) + c->b.pace_ms;
            c->due = false;
            mock_timer_at(c, at > c->w->now ? at : c->w->now + 1);
        }
        return;
    }
    if (step == MOCK_STEP_STALL) {
        c->phase = PH_STALL;
        return;
    }
    stream_closed(c);
    c->phase = PH_IDLE;
    if (step != MOCK_STEP_END)
        c->closing = true;
    c->resetting = step == MOCK_STEP_RESET;
    if (!c->closing)
        mock_parse_reset(&c->parse, &c->w->sh->defaults);
}

/* Does everything that can be done for the connection now; may free it. */
static void conn_pump(struct conn *c)
{
    for (;;) {
        int rc = conn_flush(c);
        if (rc < 0) {
            mock_conn_free(c, true);
            return;
        }
        if (rc == 0)
            return; /* EPOLLOUT or the slow timer goes on */
        if (c->phase == PH_STREAM || c->phase == PH_HUGE) {
            if (!c->due && !c->slow)
                return;
            produce(c);
            continue;
        }
        if (c->phase != PH_IDLE)
            return;
        if (c->closing) {
            mock_conn_free(c, false);
            return;
        }
        if (c->slow) {
            c->slow = false;
            mock_timer_stop(c);
        }
        bool parse = c->in.len && c->in.len >= c->in_want;
        if (!parse && !c->readable)
            return;
        if (conn_input(c) < 0) {
            mock_conn_free(c, c->in.len > 0);
            return;
        }
        if (c->in.len == 0 && c->in.cap > 65536 && c->phase != PH_IDLE) {
            free(c->in.p);
            c->in = (struct mock_buf){ 0 };
        }
    }
}

void mock_conn_event(struct conn *c, uint32_t events)
{
    if (events & (EPOLLIN | EPOLLRDHUP | EPOLLHUP | EPOLLERR))
        c->readable = true;
    if (events & EPOLLOUT)
        c->blocked = false;
    if (events & EPOLLRDHUP)
        c->hup = true;
    bool gone = events & (EPOLLHUP | EPOLLERR);
    bool busy = c->phase != PH_IDLE || c->out.len > c->out_off;
    if (gone || ((events & EPOLLRDHUP) && busy)) {
        mock_conn_free(c, busy);
        return;
    }
    if (c->tls) {
        int rc = mock_tls_handshake(c->tls);
        if (rc <= 0) {
            if (rc < 0)
                mock_conn_free(c, true);
            return;
        }
        c->blocked = false;
    }
    conn_pump(c);
}

void mock_conn_timer(struct conn *c)
{
    c->due = true;
    if (c->phase == PH_DELAY) {
        begin_reply(c);
        if (c->phase == PH_IDLE && !c->closing)
            mock_parse_reset(&c->parse, &c->w->sh->defaults);
    }
    conn_pump(c);
}

void mock_conn_new(struct mock_worker *w, int fd)
{
    int one = 1;
    (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    struct conn *c = calloc(1, sizeof *c);
    if (!c)
        abort();
    c->w = w;
    c->fd = fd;
    mock_parse_reset(&c->parse, &w->sh->defaults);
    if (w->sh->tls)
        c->tls = mock_tls_new(w->sh->tls, fd);
    link_add(&w->conns, &c->all);
    mock_count(&w->count.accepted, 1);
    mock_count(&w->count.open, 1);
    struct epoll_event ev = { .events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET,
                              .data.ptr = c };
    if (epoll_ctl(w->epoll, EPOLL_CTL_ADD, fd, &ev) < 0)
        mock_conn_free(c, true);
}
