/* Connections by where they lead to. The last used one is taken first, so that those not needed
 * grow old and are closed. */
#include <stdlib.h>
#include <unistd.h>

#include "base/str.h"
#include "loop/direct_int.h"

/* ---- pools */
pool *pool_of(direct *d, const up_origin *to)
{
    pool **b = &d->buckets[to->pool % DIRECT_BUCKETS];
    for (pool *p = *b; p; p = p->next)
        if (p->key == to->pool)
            return p;
    pool *p = tp_xcalloc(1, sizeof(*p));
    p->d = d;
    p->key = to->pool;
    p->host = tp_xstrndup(to->host.ptr, to->host.len);
    p->ca_file = tp_xstrndup(to->ca_file.len ? to->ca_file.ptr : "", to->ca_file.len);
    p->port = to->port;
    p->secure = to->tls;
    p->next = *b;
    *b = p;
    d->pools++;
    if (!d->sweep.link)
        wheel_arm(d->loop->timers, &d->sweep, net_now_us(d->loop) + DIRECT_SWEEP_US);
    return p;
}

static void pool_free(pool *p)
{
    direct *d = p->d;
    pool **at = &d->buckets[p->key % DIRECT_BUCKETS];
    while (*at != p)
        at = &(*at)->next;
    *at = p->next;
    d->pools--;
    tls_resume_clear(&p->resume);
    free(p->host);
    free(p->ca_file);
    free(p);
}

void pool_queue(pool *p, stream *s, int front)
{
    s->next = front ? p->first : NULL;
    s->prev = front ? NULL : p->last;
    *(s->prev ? &s->prev->next : &p->first) = s;
    *(s->next ? &s->next->prev : &p->last) = s;
    p->waiting++;
}

void pool_unqueue(pool *p, stream *s)
{
    *(s->prev ? &s->prev->next : &p->first) = s->next;
    *(s->next ? &s->next->prev : &p->last) = s->prev;
    s->next = s->prev = NULL;
    p->waiting--;
}

void pool_pump(pool *p, int32_t max)
{
    while (p->waiting > p->dialing && (max <= 0 || p->conns + p->dialing < (uint32_t)max))
        dial_start(p);
}

/* ---- idle connections */
static void unlink_idle(conn *c)
{
    pool *p = c->p;
    *(c->prev ? &c->prev->next : &p->idle) = c->next;
    *(c->next ? &c->next->prev : &p->oldest) = c->prev;
    c->next = c->prev = NULL;
    c->idle = 0;
    p->idling--;
    p->d->st.idle--;
}

static int too_old(const conn *c, uint64_t now)
{
    return now - c->idle_since >= c->idle_ms;
}

conn *pool_take(pool *p)
{
    conn *c;
    p->used = uv_now(p->d->loop->uv);
    while ((c = p->idle)) {
        unlink_idle(c);
        if (!c->net.failed && !too_old(c, p->used))
            return c;
        conn_close(c);
    }
    return NULL;
}

void pool_idle(pool *p, conn *c)
{
    c->idle_since = p->used = uv_now(p->d->loop->uv);
    c->next = p->idle;
    c->prev = NULL;
    *(c->next ? &c->next->prev : &p->oldest) = c;
    p->idle = c;
    c->idle = 1;
    p->idling++;
    p->d->st.idle++;
    net_read_start(&c->net);
}

void pool_ready(pool *p, conn *c)
{
    stream *s = p->first;
    while (s && s->retried && c->served) /* it was burnt by a used connection once */
        s = s->next;
    if (!s) {
        pool_idle(p, c);
        return;
    }
    pool_unqueue(p, s);
    net_read_start(&c->net);
    stream_give(s, c);
}

static void sweep_pool(pool *p, uint64_t now)
{
    for (conn *c = p->oldest, *prev; c; c = prev) { /* limits differ by what the server said */
        prev = c->prev;
        if (too_old(c, now))
            conn_close(c);
    }
    for (dial *d = p->dials, *next; d; d = next) {
        next = d->next;
        if (now - d->since >= DIRECT_DIAL_MS)
            dial_abort(d);
    }
    if (p->conns == 0 && p->dialing == 0 && p->waiting == 0 && now - p->used >= DIRECT_POOL_MS)
        pool_free(p);
}

void pool_sweep(wheel_timer *t)
{
    direct *d = TP_CONTAINER(t, direct, sweep);
    uint64_t now = uv_now(d->loop->uv);
    for (uint32_t i = 0; i < DIRECT_BUCKETS; i++) {
        for (pool *p = d->buckets[i], *next; p; p = next) {
            next = p->next;
            sweep_pool(p, now);
        }
    }
    if (d->pools)
        wheel_arm(d->loop->timers, t, net_now_us(d->loop) + DIRECT_SWEEP_US);
}

void pools_close(direct *d)
{
    wheel_disarm(d->loop->timers, &d->sweep);
    for (uint32_t i = 0; i < DIRECT_BUCKETS; i++) {
        for (pool *p = d->buckets[i]; p; p = p->next) {
            TP_MUST(p->waiting == 0);
            while (p->dials)
                dial_abort(p->dials);
            while (p->idle)
                conn_close(p->idle);
            TP_MUST(p->conns == 0);
        }
    }
}

void pools_free(direct *d)
{
    for (uint32_t i = 0; i < DIRECT_BUCKETS; i++)
        while (d->buckets[i])
            pool_free(d->buckets[i]);
}

/* ---- connections */
conn *conn_open(pool *p, int fd, dial *dl)
{
    direct *d = p->d;
    conn *c = calloc(1, sizeof(*c) + http_parser_size());
    if (!c) {
        close(fd);
        return NULL;
    }
    static const http_limits limits = {.head_bytes = 65536, .target_bytes = 0,
                                       .header_count = 256, .body_bytes = 0};
    c->p = p;
    c->dial = dl;
    c->task.run = conn_resume;
    c->parser = http_parser_init(c + 1, HTTP_RESPONSE, &limits);
    c->idle_ms = DIRECT_IDLE_MS;
    if (net_open_client(&c->net, d->loop, &direct_net_events, c, fd, p->tls, p->host,
                        &p->resume) < 0) {
        free(c);
        return NULL;
    }
    d->handles++;
    return c;
}

void conn_close(conn *c)
{
    pool *p = c->p;
    if (c->gone)
        return;
    c->gone = 1;
    if (c->idle)
        unlink_idle(c);
    if (!c->dial)
        p->conns--;
    c->s = NULL;
    net_undefer(p->d->loop, &c->task);
    net_close(&c->net);
}
