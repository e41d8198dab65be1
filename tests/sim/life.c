/* One life: the driver that takes loop/'s place, and what must hold after each of its steps. */
#include "sim.h"

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define RUNS_MAX 200000u

void actor_release(actor *a)
{
    a->release_wanted = 0;
    a->released = 1;
    dispatch_release_request(&a->x);
    free(a->body);
    a->body = NULL;
}

/* ---- The client. */

static void add_header(actor *a, http_head *h, int known, const char *name, const char *value)
{
    tp_str v = arena_str(&a->x.req, str_of(value));
    h->headers[h->header_count++] = (tp_header){str_of(name), v};
    if (known)
        h->known[known] = v;
}

static http_head *request_head(actor *a)
{
    static const char *const methods[] = {"?", "GET", "HEAD", "POST"};
    arena *m = &a->x.req;
    request *q = &a->q;
    http_head *h = arena_zalloc(m, sizeof(*h));
    h->headers = arena_zalloc(m, 8 * sizeof(*h->headers));
    h->method = q->method;
    h->method_text = arena_str(m, str_of(methods[q->method]));
    h->path = h->target = arena_str(m, str_of(q->path));
    h->query = STR("");
    h->keep_alive = 1;
    h->content_length = q->kind == ASK_NO_LENGTH ? -1 : (int64_t)q->body.len;
    if (q->kind != ASK_NO_KEY)
        add_header(a, h, HTTP_H_AUTHORIZATION, "authorization",
                   q->kind == ASK_BAD_KEY      ? "Bearer sk-sim-of-somebody-else"
                   : q->kind == ASK_NARROW_KEY ? "Bearer sk-sim-narrow-0123456789"
                                               : "Bearer sk-sim-0123456789abcdef");
    add_header(a, h, HTTP_H_CONTENT_TYPE, "content-type",
               q->kind == ASK_BAD_TYPE ? "text/plain" : "application/json; charset=utf-8");
    if (q->kind == ASK_BAD_CODING)
        add_header(a, h, HTTP_H_CONTENT_ENCODING, "content-encoding", "gzip");
    if (q->strict)
        add_header(a, h, 0, "x-turnpike-strict", "true");
    return h;
}

/* Memory that is short from here on, in one place or another. */
static void squeeze(actor *a)
{
    rng *r = &a->random;
    if (chance(r, 60))
        a->x.mem.max = a->x.mem.used + rng_below(r, 6000);
    if (chance(r, 50))
        a->x.req.max = a->x.req.used + rng_below(r, 6000);
    if (chance(r, 30))
        a->x.whole.max = rng_below(r, 500);
    if (chance(r, 50))
        a->x.keep_left = rng_below(r, 200);
}

static void client_tick(actor *a)
{
    a->client_due = INT64_MAX;
    if (a->stage == 0) {
        a->stage = 1;
        const http_head *h = request_head(a);
        if (a->squeezed)
            squeeze(a);
        actor_run(a, (dispatch_input){.kind = IN_HEAD, .head = h});
        return;
    }
    a->stage = 3;
    if (a->q.kind == ASK_BODY_FAILED) {
        actor_run(
            a, (dispatch_input){.kind = IN_BODY_FAILED, .code = a->q.status, .what = "No body."});
        return;
    }
    a->body = malloc(a->q.body.len);
    TP_MUST(a->body);
    memcpy(a->body, a->q.body.ptr, a->q.body.len);
    actor_run(a, (dispatch_input){.kind = IN_BODY, .bytes = {a->body, a->q.body.len}});
}

static void take_response(actor *a, const dispatch_actions *act)
{
    size_t bytes = 0;
    if (act->respond) {
        a->heads++;
        a->status = act->status;
        CHECK(a, a->heads == 1, "a second response head");
        CHECK(a, act->status >= 200 && act->status < 600, "status %d", act->status);
        a->type[0] = 0;
        int id = 0;
        for (uint32_t i = 0; i < act->header_count; i++) {
            const tp_header *h = &act->headers[i];
            for (size_t k = 0; k < h->value.len; k++) /* reads it, too */
                CHECK(a, (unsigned char)h->value.ptr[k] >= ' ', "a header with control characters");
            if (str_ieq(h->name, STR("retry-after")))
                CHECK(a, str_eq(h->value, STR("2")), "Retry-After %.*s", STR_ARG(h->value));
            if (str_ieq(h->name, STR("content-type")))
                snprintf(a->type, sizeof(a->type), "%.*s", STR_ARG(h->value));
            id += str_ieq(h->name, STR("x-request-id"));
        }
        CHECK(a, id == 1, "%d request ids", id);
    }
    for (uint32_t i = 0; i < act->seg_count; i++) {
        bytes += act->segs[i].len;
        buf_adds(&a->out, act->segs[i]);
    }
    CHECK(a, bytes == act->bytes, "bytes %zu of %zu", act->bytes, bytes);
    CHECK(a, !bytes || a->heads, "bytes before the head");
    CHECK(a, !act->finish || a->heads, "an end without a head");
    a->finished += act->finish != 0;
    a->broken += act->broken != 0;
}

/* ---- Carrying out what a run asks for. */

static void check_run(actor *a, const dispatch_input *in, const dispatch_actions *act, int over)
{
    exchange *x = &a->x;
    CHECK(a, ++a->runs < RUNS_MAX, "it does not end");
    if (over)
        CHECK(a, !act->respond && !act->seg_count && !act->finish && !act->broken,
              "something is written after the end");
    CHECK(a, !(act->finish && act->broken), "finished and broken");
    CHECK(a, act->ask == x->asking && (act->ask != 0) == (a->asked != 0), "asks %d, waits for %d",
          act->ask, a->asked);
    CHECK(a, !act->done || !act->start_upstream, "done with an upstream");
    if (in->kind == IN_TIMER && !act->done)
        CHECK(a, act->deadline_us > a->s->now.mono_us, "the timer would fire for ever");
    if (!act->done && !act->ask && !a->up_active && !act->start_upstream &&
        a->client_due == INT64_MAX && !act->read_body)
        CHECK(a, act->deadline_us != INT64_MAX, "nothing would ever wake it (state %d)", x->state);
}

static void check_over(actor *a)
{
    CHECK(a, a->finished + a->broken == 1 || (a->disturbed && a->finished + a->broken == 0),
          "finished %d times, broken %d times", a->finished, a->broken);
    CHECK(a, a->settles == a->granted, "settled %d times for %d holds", a->settles, a->granted);
    CHECK(a, a->records == (a->stage > 0), "recorded %d times", a->records);
    CHECK(a, !a->up_active, "an upstream is left behind");
    for (int i = 0; i < a->attempt_count; i++) {
        route_live *l = route_live_of(a->s->live, a->attempts[i].live_key);
        if (a->s->crowd == 1)
            CHECK(a, atomic_load(&l->in_flight) == 0, "in_flight is not back at 0");
    }
}

static void actor_end(actor *a)
{
    check_over(a);
    dispatch_free(&a->x);
    free(a->body);
    a->body = NULL;
    arena_reset(&a->late[0]);
    arena_reset(&a->late[1]);
    a->alive = 0;
    a->s->runs += a->runs;
    oracle_check(a);
    world_unref(a->w);
}

static void trace_run(const actor *a, const dispatch_input *in, const dispatch_actions *act)
{
    static const char *const inputs[] = {"?",         "HEAD",    "BODY",        "BODY_FAILED",
                                         "CALLED",    "HELD",    "REFUSED",     "CREDENTIAL",
                                         "SETTLED",   "MANAGED", "UP_PROGRESS", "UP_REPLY",
                                         "UP_FAILED", "TIMER",   "CLIENT_GONE", "STOP"};
    static const char *const asks[] = {"",           " ask CALL",   " ask HOLD",
                                       " ask AWAIT", " ask SETTLE", " ask MANAGE"};
    fprintf(stderr, "%12lld #%d %s code %d, %zu bytes, fin %d ->%s%s%s%s%s%s%s%s%s state %d\n",
            (long long)a->s->now.mono_us, a->id, inputs[in->kind], in->code, in->bytes.len, in->fin,
            act->cancel_upstream ? " cancel" : "", act->read_body ? " read_body" : "",
            act->respond ? " respond" : "", act->finish ? " finish" : "",
            act->broken ? " broken" : "", act->start_upstream ? " start" : "", asks[act->ask],
            act->release_request ? " release" : "", act->done ? " done" : "", a->x.state);
    for (uint32_t i = 0; i < act->seg_count; i++)
        fprintf(stderr, "    | %.*s\n", (int)TP_MIN(act->segs[i].len, (size_t)300),
                act->segs[i].ptr);
}

void actor_run(actor *a, dispatch_input in)
{
    dispatch_actions act;
    sim *s = a->s;
    int over = a->finished || a->broken;
    s->running = a;
    s->scratch.mem.max = a->squeezed == 2 ? 300 + rng_below(&a->random, 12000) : 64u << 20;
    dispatch_run(&a->x, &in, s->now, &act);
    if (a->traced)
        trace_run(a, &in, &act);
    check_run(a, &in, &act, over);
    if (act.cancel_upstream) {
        CHECK(a, a->up_active, "an upstream is cancelled that does not run");
        up_over(a);
    }
    CHECK(a, a->x.up_active == (a->up_active || act.start_upstream), "up_active %d",
          a->x.up_active);
    if (act.read_body) {
        a->stage = 2;
        a->client_due = soon(a, 50 * MS);
    }
    take_response(a, &act);
    if (act.done) {
        actor_end(a);
        return;
    }
    if (act.start_upstream) {
        if (a->shipped && a->x.up.seg_count == 0)
            sim_fail(a, "an empty request");
        up_start(a);
        if (a->up->way != WAY_REFUSES && a->up->way != WAY_NOMEM &&
            a->up->way != WAY_NO_CONNECTION &&
            chance(&a->random, 40)) { /* a connection lay ready: the request goes out at once */
            a->up_stage = 1 + (int)rng_below(&a->random, 2);
            act.deadline_us = dispatch_progress(&a->x);
            CHECK(a, act.deadline_us != INT64_MAX, "no deadline for the answer");
        }
    }
    a->due = act.deadline_us;
    if (act.release_request || a->release_wanted) {
        if (a->up_active && a->up_stage < 2)
            a->release_wanted = 1;
        else
            actor_release(a);
    }
}

static void answer_tick(actor *a)
{
    dispatch_input in = a->answer;
    int kind = a->asked;
    a->asked = 0;
    a->answer_due = INT64_MAX;
    if (a->up_due != INT64_MAX)
        a->up_due = TP_MAX(a->up_due, a->s->now.mono_us);
    a->granted += in.kind == IN_HELD;
    int at = a->late_at;
    a->late_at ^= 1;
    if (kind == ASK_CALL)
        a->s->env.iv = a->iv;
    actor_run(a, in);
    arena_reset(&a->late[at]);
}

/* ---- A life. */

static void gone_tick(actor *a)
{
    a->gone_due = INT64_MAX;
    a->disturbed |= !a->finished && !a->broken;
    if (a->stage == 0 && a->gone_kind == IN_CLIENT_GONE) { /* there was no request yet */
        actor_end(a);
        return;
    }
    a->client_due = INT64_MAX;
    actor_run(a, (dispatch_input){.kind = a->gone_kind});
}

static void actor_begin(sim *s, int i, world *w, int shipped)
{
    actor *a = &s->actors[i];
    buf out = a->out;
    size_t from = offsetof(actor, stage);
    memset(&a->alive, 0, offsetof(actor, q) - offsetof(actor, alive));
    memset((char *)a + from, 0, offsetof(actor, attempts) - from);
    a->out = out;
    a->out.len = 0;
    a->out.max = 64u << 20;
    a->attempt_count = 0;
    a->runs = 0;
    a->s = s;
    a->id = i;
    a->w = w;
    world_ref(w);
    a->random = (rng){rng_next(&s->random)};
    a->alive = 1;
    a->traced = s->o.trace;
    a->shipped = shipped;
    a->client_due = soon(a, i ? 500 * MS : 0);
    a->answer_due = a->up_due = a->gone_due = a->due = INT64_MAX;
    arena_init(&a->late[0], NULL, SIZE_MAX / 2);
    arena_init(&a->late[1], NULL, SIZE_MAX / 2);
    request_make(&a->q, &a->random, shipped);
    if (chance(&a->random, 12)) {
        a->gone_due = soon(a, (uint64_t)1 << rng_below(&a->random, 25));
        a->gone_kind = chance(&a->random, 70) ? IN_CLIENT_GONE : IN_STOP;
    }
    if (chance(&a->random, 4))
        a->squeezed = 1 + (int)rng_below(&a->random, 2);
    if (a->traced)
        fprintf(stderr, "#%d asks %s (kind %d) %s%s\n", i, a->q.path, a->q.kind, a->q.model,
                a->q.stream ? ", streamed" : "");
    dispatch_init(&a->x, &s->env, w, s->now);
    a->x.user = a;
}

enum { NOTHING, CLIENT, GONE, ANSWER, UPSTREAM, TIMER, ODD_TIMER };

static int64_t next_of(const actor *a, int *what)
{
    int64_t due = a->client_due;
    *what = CLIENT;
    if (a->gone_due < due)
        due = a->gone_due, *what = GONE;
    if (a->answer_due < due)
        due = a->answer_due, *what = ANSWER;
    if (a->up_due < due && !(a->asked && a->paused))
        due = a->up_due, *what = UPSTREAM;
    if (a->due < due)
        due = a->due, *what = TIMER;
    return due;
}

static void tick(actor *a, int what)
{
    switch (what) {
    case CLIENT:
        client_tick(a);
        break;
    case GONE:
        gone_tick(a);
        break;
    case ANSWER:
        answer_tick(a);
        break;
    case UPSTREAM:
        if (a->asked) /* one read may be under way when the reading is stopped */
            a->paused = 1;
        up_tick(a);
        break;
    default:
        actor_run(a, (dispatch_input){.kind = IN_TIMER});
        break;
    }
}

/* The next event of all; 0: everybody is done. */
static int step(sim *s)
{
    actor *who = NULL;
    int64_t at = INT64_MAX;
    int what = NOTHING, w;
    for (int i = 0; i < s->crowd; i++) {
        actor *a = &s->actors[i];
        if (!a->alive)
            continue;
        int64_t due = next_of(a, &w);
        if (!who || due < at)
            at = due, who = a, what = w;
    }
    if (!who)
        return 0;
    CHECK(who, at != INT64_MAX, "nothing is left to happen");
    if (at > s->now.mono_us) {
        s->now.unix_ms += (at - s->now.mono_us) / 1000;
        s->now.mono_us = at;
    }
    if (what == UPSTREAM && chance(&who->random, 2)) /* a timer that fires too early does no harm */
        actor_run(who, (dispatch_input){.kind = IN_TIMER});
    if (who->alive)
        tick(who, what);
    return 1;
}

static void check_rest(sim *s)
{
    const actor *a = &s->actors[0];
    plug_scratch_reset(&s->scratch);
    CHECK(a, s->env.active == 0, "%u exchanges are left", s->env.active);
    CHECK(a, s->pool.out == 0, "%u chunks of memory are left", s->pool.out);
    for (int i = 0; i < s->crowd; i++)
        for (int k = 0; k < s->actors[i].attempt_count; k++)
            CHECK(a,
                  atomic_load(
                      &route_live_of(s->live, s->actors[i].attempts[k].live_key)->in_flight) == 0,
                  "in_flight is not back at 0");
}

void sim_life(sim *s, uint64_t seed)
{
    s->seed = seed;
    s->random = (rng){hash_mix(seed + 0x9e3779b97f4a7c15u)};
    s->env.random = (rng){rng_next(&s->random)};
    s->env.serial = 0;
    s->now = (tp_now){.mono_us = 1000000, .unix_ms = 1700000000000};
    s->env.ports = sim_ports();
    s->crowd = chance(&s->random, 90) ? 1 : 2 + (int)rng_below(&s->random, SIM_ACTORS - 1);
    int shipped = s->shipped && chance(&s->random, (unsigned)s->o.shipped_percent);
    int reload = !shipped && rng_below(&s->random, 500) == 0, worlds = s->worlds;
    if (shipped) { /* a strategy may look at live figures: each life has its own */
        route_table_free(s->live);
        s->live = s->env.live = route_table_new(32);
    }
    world *w = shipped ? s->shipped : reload ? sim_world_own(s) : s->own;
    for (int i = 0; i < s->crowd; i++)
        actor_begin(s, i, w, shipped);
    uint64_t left = reload ? rng_below(&s->random, 12) : 0;
    while (step(s)) {
        if (reload &&
            left-- == 0) { /* the next world has come: this one is only kept by exchanges */
            world_unref(w);
            reload = 0;
        }
    }
    if (reload)
        world_unref(w);
    CHECK(&s->actors[0], s->worlds == worlds, "a world is left behind");
    check_rest(s);
    s->lives++;
}
