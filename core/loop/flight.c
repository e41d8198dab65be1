/* One exchange on a worker: carries out what the machine asks for and feeds it what happens. */
#include "loop/server_int.h"

#include <stdlib.h>
#include <string.h>

#define FLIGHT_SPARE_MAX 256

static void on_timer(wheel_timer *t)
{
    flight *f = TP_CONTAINER(t, flight, timer);
    worker_clock(f->w);
    flight_run(f, &(dispatch_input){.kind = IN_TIMER});
}

/* "192.0.2.7:5123" or "[2001:db8::7]:5123", without the port. */
static tp_str copy_host(char *to, size_t room, tp_str peer)
{
    size_t n = peer.len;
    while (n > 0 && peer.ptr[n - 1] != ':')
        n--;
    tp_str host = str_make(peer.ptr, n ? n - 1 : 0);
    if (host.len > 1 && host.ptr[0] == '[')
        host = str_make(host.ptr + 1, host.len - 2);
    host.len = TP_MIN(host.len, room);
    str_copy(to, host.ptr, host.len);
    return str_make(to, host.len);
}

flight *flight_new(worker *w, conn *c)
{
    flight *f = w->spare;
    if (f) {
        w->spare = f->next;
        w->spare_count--;
    } else if (!(f = malloc(sizeof(*f)))) {
        return NULL;
    }
    dispatch_init(&f->x, &w->env, w->use->w, w->now);
    f->x.user = f;
    f->w = w;
    f->c = c;
    f->use = w->use;
    f->use->users++;
    f->up = NULL;
    f->timer = (wheel_timer){.fire = on_timer};
    f->body = NULL;
    f->body_len = f->body_cap = 0;
    f->paused = f->release_wanted = 0;
    f->job = NULL;
    f->token = (token_waiter){.link = NULL};
    f->x.peer = copy_host(f->peer, sizeof(f->peer), str_make(c->peer, c->peer_len));
    f->next = w->flights;
    f->link = &w->flights;
    if (f->next)
        f->next->link = &f->next;
    w->flights = f;
    w->flight_count++;
    w->flights_made++;
    return f;
}

static void release_request(flight *f)
{
    f->release_wanted = 0;
    dispatch_release_request(&f->x);
    free(f->body);
    f->body = NULL;
    f->body_len = f->body_cap = 0;
}

static void flight_free(flight *f)
{
    worker *w = f->w;
    TP_MUST(!f->up && !f->c);
    jobs_free(f);
    tokens_leave(&f->token);
    wheel_disarm(&w->timers, &f->timer);
    *f->link = f->next;
    if (f->next)
        f->next->link = f->link;
    w->flight_count--;
    dispatch_free(&f->x);
    free(f->body);
    worker_use_drop(w, f->use);
    if (w->spare_count < FLIGHT_SPARE_MAX) {
        f->next = w->spare;
        w->spare = f;
        w->spare_count++;
    } else {
        free(f);
    }
}

void flight_drop(flight *f)
{
    f->c = NULL;
    flight_free(f);
}

int flight_body(flight *f, tp_str bytes, int64_t declared)
{
    uint64_t max = f->use->limits.body_bytes;
    size_t need = f->body_len + bytes.len;
    if (max && need > max)
        return 413;
    if (need > f->body_cap) {
        size_t cap = declared >= 0 && (uint64_t)declared >= need ? (size_t)declared : need * 2;
        if (max)
            cap = TP_MIN(cap, (size_t)max);
        char *p = realloc(f->body, cap ? cap : 1);
        if (!p)
            return 503;
        f->body = p;
        f->body_cap = cap;
    }
    if (bytes.ptr != f->body + f->body_len && bytes.len) /* else it was read into its place */
        memcpy(f->body + f->body_len, bytes.ptr, bytes.len);
    f->body_len = need;
    return 0;
}

/* ---- Credentials. */

static void on_token(token_waiter *t, tp_str token, const char *why)
{
    flight *f = TP_CONTAINER(t, flight, token);
    worker_clock(f->w);
    flight_run(f, &(dispatch_input){.kind = IN_CREDENTIAL,
                                    .code = token.ptr ? 0 : -1,
                                    .bytes = token,
                                    .what = why});
}

int flight_credential(flight *f, const world_provider *p, const dispatch_need *need, tp_str *secret,
                      const char **why)
{
    token_ask ask = {.provider = p->conf,
                     .document = need->secret,
                     .scope = need->scope,
                     .own = need->own,
                     .unix_s = f->w->now.unix_ms / 1000};
    *secret = need->secret;
    if (!need->scope.ptr || !need->secret.ptr)
        return need->secret.ptr ? 1 : -1;
    *why = "the gateway is about to end";
    f->token.done = on_token;
    return f->w->tokens ? tokens_get(f->w->tokens, &ask, &f->token, secret, why) : -1;
}

/* ---- The upstream's side. */

static void on_progress(void *arg, int state)
{
    flight *f = arg;
    worker_clock(f->w);
    if (state == UP_SENT && f->release_wanted)
        release_request(f);
    flight_run(f, &(dispatch_input){.kind = IN_UP_PROGRESS, .code = state});
}

static void on_reply(void *arg, const http_head *head, tp_str data, int fin)
{
    flight *f = arg;
    worker_clock(f->w);
    if (fin)
        f->up = NULL;
    flight_run(f, &(dispatch_input){.kind = IN_UP_REPLY, .head = head, .bytes = data, .fin = fin});
}

static void on_failed(void *arg, int reason, const char *what)
{
    flight *f = arg;
    worker_clock(f->w);
    int code = DISPATCH_UP_BROKEN;
    f->up = NULL;
    if (reason == UP_E_RESOLVE || reason == UP_E_CONNECT || reason == UP_E_TLS ||
        reason == UP_E_TRANSPORT)
        code = DISPATCH_UP_UNREACHABLE;
    else if (reason == UP_E_PROTOCOL)
        code = DISPATCH_UP_PROTOCOL;
    else if (reason == UP_E_NOMEM)
        code = DISPATCH_UP_NOMEM;
    flight_run(f, &(dispatch_input){.kind = IN_UP_FAILED, .code = code, .what = what});
}

static const up_events upstream_events = {on_progress, on_reply, on_failed};

/* Starts x->up. Answers 0, or -1: out of memory, the machine must hear of it. */
static int start_upstream(flight *f)
{
    const dispatch_upstream *u = &f->x.up;
    up_request r = {.to = u->to,
                    .method = u->method,
                    .target = u->target,
                    .headers = u->headers,
                    .header_count = u->header_count,
                    .segs = u->segs,
                    .seg_count = u->seg_count,
                    .body_bytes = u->body_bytes};
    int state = UP_CONNECTING;
    f->paused = 0;
    f->up = up_start(f->w->upstreams, &r, &f->x.req, &upstream_events, f, &state);
    if (!f->up)
        return -1;
    return state;
}

/* ---- Running. */

static void arm(flight *f, int64_t due_us)
{
    if (due_us == INT64_MAX) {
        wheel_disarm(&f->w->timers, &f->timer);
        return;
    }
    /* A deadline that only moves away is looked at again when the old one fires. */
    if (f->timer.link && f->timer.due_us <= due_us)
        return;
    wheel_arm(&f->w->timers, &f->timer, due_us);
}

static void back_pressure(flight *f)
{
    if (!f->up)
        return;
    int stop = (f->c && f->c->n.queued > NET_HIGH_WATER) || !dispatch_want_upstream(&f->x);
    if (stop && !f->paused) {
        f->paused = 1;
        up_pause(f->up);
        arm(f, dispatch_paused(&f->x, 1, f->w->now)); /* its silence is ours */
    } else if (!stop && f->paused && (!f->c || f->c->n.queued <= NET_LOW_WATER)) {
        f->paused = 0;
        up_resume(f->up);
        arm(f, dispatch_paused(&f->x, 0, f->w->now));
    }
}

void flight_drained(flight *f)
{
    back_pressure(f);
}

void flight_run(flight *f, const dispatch_input *in)
{
    dispatch_actions a;
    dispatch_input again;
    for (;;) {
        int state = 0;
        dispatch_run(&f->x, in, f->w->now, &a);
        if (a.cancel_upstream && f->up) {
            up_cancel(f->up);
            f->up = NULL;
        }
        if (f->c && conn_apply(f->c, f, &a) != 0) {
            again = (dispatch_input){.kind = IN_CLIENT_GONE};
            in = &again;
            if (!a.done)
                continue;
        }
        if (a.start_upstream)
            state = start_upstream(f);
        if (state < 0) {
            again = (dispatch_input){.kind = IN_UP_FAILED, .code = DISPATCH_UP_NOMEM,
                                     .what = "the gateway is out of memory"};
        } else {
            if (state == UP_SENDING || state == UP_SENT)
                a.deadline_us = dispatch_progress(&f->x);
            break;
        }
        in = &again;
    }
    if (a.done || (f->c && f->c->n.closing)) {
        conn *c = f->c;
        if (c) {
            f->c = NULL;
            c->f = NULL;
        }
        if (a.done) {
            flight_free(f);
            if (c) /* over without an answer: it must not look complete */
                net_abort(&c->n);
            return;
        }
    }
    if (a.release_request || f->release_wanted) {
        if (f->up && up_sending(f->up))
            f->release_wanted = 1;
        else
            release_request(f);
    }
    arm(f, a.deadline_us);
    back_pressure(f);
}

void flight_stop_all(worker *w)
{
    for (flight *f = w->flights, *next; f; f = next) {
        next = f->next; /* a run ends no other exchange than its own */
        flight_run(f, &(dispatch_input){.kind = IN_STOP});
    }
}
