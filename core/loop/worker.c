/* One worker: a thread, a loop, and everything that its exchanges share without locks. */
#include "loop/server_int.h"

#include <malloc.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define TICK_BUSY_MS 8
#define TICK_IDLE_MS 250
#define SCRATCH_MAX (256u << 20)
#define REST_AFTER_S 5
#define REPLY_MAX (64u << 20)

void worker_clock(worker *w)
{
    struct timespec ts;
    clock_gettime(CLOCK_REALTIME_COARSE, &ts);
    w->now = (tp_now){.mono_us = (int64_t)(uv_hrtime() / 1000),
                      .unix_ms = (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000};
}

/* ---- Ports. */

static int port_verify(void *arg, exchange *x, int32_t *right)
{
    (void)arg;
    return jobs_verify(x->user, right);
}

static int port_credential(void *arg, exchange *x, const world_provider *p,
                           const dispatch_need *need, tp_str *secret, const char **why)
{
    (void)arg;
    return flight_credential(x->user, p, need, secret, why);
}

static void port_credential_leave(void *arg, exchange *x)
{
    flight *f = x->user;
    (void)arg;
    tokens_leave(&f->token);
}

static void port_credential_refused(void *arg, exchange *x)
{
    worker *w = arg;
    flight *f = x->user;
    if (w->tokens)
        tokens_refused(w->tokens, &f->token);
}

static int port_hold(void *arg, exchange *x, int64_t nano, admit_tokens tokens, profile_error *why)
{
    worker *w = arg;
    const server_ports *p = server_ports_of(w->owner);
    return p->hold(p->arg, w->index, x, nano, tokens, why);
}

static int port_settle(void *arg, exchange *x, settle_record *r)
{
    worker *w = arg;
    const server_ports *p = server_ports_of(w->owner);
    return p->settle(p->arg, w->index, x, r);
}

static void port_record(void *arg, exchange *x, const settle_record *r)
{
    worker *w = arg;
    const server_ports *p = server_ports_of(w->owner);
    flight *f = x->user;
    settle_record with = *r;
    if (f->c)
        with.client = str_make(f->c->peer, f->c->peer_len);
    if (p->record)
        p->record(p->arg, w->index, &with);
}

static int port_manage(void *arg, exchange *x, dispatch_input *reply)
{
    worker *w = arg;
    manage_reply m = {0};
    if (x->route->kind >= WORLD_KEYS)
        return jobs_manage(x->user, reply);
    buf_free(&w->managed);
    manage_handle(server_ports_of(w->owner)->manage, x->world, x->route, x->rest, &x->who,
                  w->env.now, &m);
    w->managed = m.body;
    *reply = (dispatch_input){.kind = IN_MANAGED, .code = m.status, .bytes = buf_str(&m.body),
                              .what = m.type.ptr};
    return 1;
}

/* ---- Worlds. */

static world_use *use_new(world *w_ref)
{
    const conf_server *s = &w_ref->conf->server;
    world_use *u = tp_xcalloc(1, sizeof(*u));
    u->w = w_ref;
    u->users = 1;
    u->limits = (http_limits){.head_bytes = (uint32_t)s->max_head_bytes,
                              .target_bytes = (uint32_t)s->max_target_bytes,
                              .header_count = (uint32_t)s->max_headers,
                              .body_bytes = (uint64_t)s->max_body_bytes};
    return u;
}

void worker_use_drop(worker *w, world_use *u)
{
    if (--u->users)
        return;
    server_release_world(w->owner, u->w);
    free(u);
}

static void take_world(worker *w, world *next)
{
    world_use *old = w->use;
    w->use = use_new(next);
    if (old)
        worker_use_drop(w, old);
}

/* ---- What the serving thread hands over. */

static void closed_last(uv_handle_t *h)
{
    worker *w = h->data;
    w->closing--;
}

static void close_handle(worker *w, uv_handle_t *h)
{
    h->data = w;
    w->closing++;
    uv_close(h, closed_last);
}

static void upstreams_closed(void *arg)
{
    worker *w = arg;
    w->upstreams = NULL;
    close_handle(w, (uv_handle_t *)&w->wake);
    close_handle(w, (uv_handle_t *)&w->tick);
    close_handle(w, (uv_handle_t *)&w->second);
    close_handle(w, (uv_handle_t *)&w->after);
}

static void stop_now(worker *w)
{
    flight_stop_all(w);
    conn_close_all(w);
}

static void on_wake(uv_async_t *a)
{
    worker *w = a->data;
    worker_clock(w);
    uv_mutex_lock(&w->lock);
    handed *in = w->inbox;
    world *next = w->next_world;
    uint32_t stop = w->next_stop, quit = w->quit;
    w->inbox = NULL;
    w->next_world = NULL;
    uv_mutex_unlock(&w->lock);
    if (next)
        take_world(w, next);
    while (in) {
        handed *h = in;
        in = h->next;
        conn_take(w, h->fd, h->tls, h->refused);
        if (h->tls)
            tls_context_unref(h->tls);
        free(h);
    }
    if (stop > w->stopping) {
        w->stopping = stop;
        if (stop == 1)
            conn_drain_idle(w);
        else
            stop_now(w);
        if (!w->conn_count)
            server_worker_empty(w->owner);
    }
    if (quit && w->upstreams && quit == 1) {
        w->quit = 2;
        stop_now(w);
        tokens_free(w->tokens);
        w->tokens = NULL;
        up_client_close(w->upstreams, upstreams_closed, w);
    }
}

void worker_give(worker *w, int fd, tls_context *tls, int refused)
{
    handed *h = tp_xcalloc(1, sizeof(*h));
    h->fd = fd;
    h->refused = refused;
    h->tls = tls;
    if (tls)
        tls_context_ref(tls);
    uv_mutex_lock(&w->lock);
    h->next = w->inbox;
    w->inbox = h;
    uv_mutex_unlock(&w->lock);
    uv_async_send(&w->wake);
}

void worker_world(worker *w, world *next)
{
    world_ref(next);
    uv_mutex_lock(&w->lock);
    world *skipped = w->next_world; /* never seen by the worker */
    w->next_world = next;
    uv_mutex_unlock(&w->lock);
    if (skipped)
        world_unref(skipped);
    uv_async_send(&w->wake);
}

void worker_stop(worker *w, uint32_t how)
{
    uv_mutex_lock(&w->lock);
    w->next_stop = how;
    uv_mutex_unlock(&w->lock);
    uv_async_send(&w->wake);
}

void worker_quit(worker *w)
{
    uv_mutex_lock(&w->lock);
    w->quit = 1;
    uv_mutex_unlock(&w->lock);
    uv_async_send(&w->wake);
}

/* ---- Time. */

static void on_tick(uv_timer_t *t)
{
    worker *w = t->data;
    wheel_run(&w->timers, net_now_us(&w->net));
}

/* Before the loop sleeps: deadlines of exchanges need a fine tick, idle connections a coarse one,
 * and an idle worker none. */
static void on_prepare(uv_prepare_t *p)
{
    worker *w = p->data;
    uint64_t want = w->flight_count || w->stopping ? TICK_BUSY_MS
                    : w->timers.armed              ? TICK_IDLE_MS
                                                   : 0;
    if (want == w->tick_ms)
        return;
    w->tick_ms = want;
    if (want)
        uv_timer_start(&w->tick, on_tick, want, want);
    else
        uv_timer_stop(&w->tick);
}

/* Memory that the last burst needed goes back to the kernel when the worker has rested a while. */
static void rest(worker *w)
{
    if (w->flight_count || w->flights_made == w->rested_at) {
        w->idle_s = 0;
        return;
    }
    if (++w->idle_s < REST_AFTER_S)
        return;
    w->idle_s = 0;
    w->rested_at = w->flights_made;
    malloc_trim(0);
}

static void on_second(uv_timer_t *t)
{
    worker *w = t->data;
    const server_ports *p = server_ports_of(w->owner);
    up_stats s = {0};
    worker_clock(w);
    if (w->upstreams)
        up_client_stats(w->upstreams, &s);
    worker_figures *f = &w->figures;
    figure_set(&f->upstream_connects, s.connects);
    figure_set(&f->upstream_reuses, s.reuses);
    figure_set(&f->upstream_retries, s.retries);
    figure_set(&f->upstream_failures, s.failures);
    figure_set(&f->exchanges, w->env.active);
    if (w->env.admit && w->env.admit->book)
        book_quiet(w->env.admit->book, w->index); /* between callbacks nothing of it is held */
    if (p->tick)
        p->tick(p->arg, w->index, f, w->now);
    if (w->tokens)
        tokens_sweep(w->tokens);
    rest(w);
}

/* ---- Life. */

static uint64_t random_seed(void)
{
    uint64_t seed = uv_hrtime();
    uv_random(NULL, NULL, &seed, sizeof(seed), 0, NULL);
    return seed;
}

int worker_init(worker *w, server *s, uint32_t index, const char *curl_module, tp_error *err)
{
    memset(w, 0, sizeof(*w));
    w->owner = s;
    w->index = index;
    if (uv_loop_init(&w->loop) != 0)
        return tp_error_set(err, TP_ERROR_IO, "cannot make an event loop: out of descriptors");
    uv_mutex_init(&w->lock);
    uv_async_init(&w->loop, &w->wake, on_wake);
    uv_timer_init(&w->loop, &w->tick);
    uv_timer_init(&w->loop, &w->second);
    uv_prepare_init(&w->loop, &w->after);
    w->wake.data = w->tick.data = w->second.data = w->after.data = w;
    wheel_init(&w->timers, (int64_t)uv_now(&w->loop) * 1000);
    TP_MUST(net_loop_init(&w->net, &w->loop, &w->timers) == 0);
    arena_pool_init(&w->pool, 512);
    plug_scratch_init(&w->scratch, &w->pool, SCRATCH_MAX, server_log(s));
    buf_init(&w->head, 1u << 20);
    const server_ports *p = server_ports_of(s);
    w->env = (dispatch_env){.ports = {.arg = w,
                                      .verify = port_verify,
                                      .hold = p->hold ? port_hold : NULL,
                                      .settle = p->settle ? port_settle : NULL,
                                      .credential = port_credential,
                                      .credential_leave = port_credential_leave,
                                      .credential_refused = port_credential_refused,
                                      .manage = port_manage,
                                      .record = port_record},
                            .admit = p->admit ? p->admit(p->arg, index) : NULL,
                            .scratch = &w->scratch,
                            .live = server_live(s),
                            .pool = &w->pool,
                            .random = {random_seed()},
                            .user_agent = "turnpike/" TURNPIKE_VERSION,
                            .max_reply_bytes = REPLY_MAX};
    w->upstreams = up_client_new(&w->net, curl_module, server_log(s));
    TP_MUST(w->upstreams);
    w->tokens = tokens_new(&w->net, w->upstreams, &w->pool, w->env.user_agent, server_log(s));
    return 0;
}

static void thread_main(void *arg)
{
    worker *w = arg;
    uv_prepare_start(&w->after, on_prepare);
    uv_timer_start(&w->second, on_second, 1000, 1000);
    uv_run(&w->loop, UV_RUN_DEFAULT);
}

int worker_start(worker *w)
{
    return uv_thread_create(&w->thread, thread_main, w);
}

void worker_free(worker *w)
{
    TP_MUST(!w->conns && !w->flights);
    while (w->spare) {
        flight *f = w->spare;
        w->spare = f->next;
        free(f);
    }
    if (w->use)
        worker_use_drop(w, w->use);
    if (w->next_world)
        world_unref(w->next_world);
    net_loop_free(&w->net);
    TP_MUST(uv_loop_close(&w->loop) == 0);
    plug_scratch_free(&w->scratch);
    buf_free(&w->head);
    buf_free(&w->managed);
    free(w->segs);
    arena_pool_free(&w->pool);
    uv_mutex_destroy(&w->lock);
}
