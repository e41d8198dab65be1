/* The table of steps and the loop that drives it. */
#include "dispatch/dispatch_int.h"

#include <stdlib.h>
#include <string.h>

typedef int (*step_fn)(exchange *x, const dispatch_input *in);

static int on_done(exchange *x, const dispatch_input *in)
{
    (void)x;
    (void)in;
    return STAY;
}

static const struct {
    const char *name;
    step_fn step;
    int wants; /* the input it waits for; 0: several, it looks itself; -1: none, runs at once */
} steps[ST_COUNT] = {
    [ST_HEAD] = {"head", dispatch_on_head, 0},
    [ST_VERIFIED] = {"verified", dispatch_on_verified, IN_VERIFIED},
    [ST_MANAGE] = {"manage", dispatch_on_manage, 0},
    [ST_MANAGED] = {"managed", dispatch_on_managed, IN_MANAGED},
    [ST_BODY] = {"body", dispatch_on_body, 0},
    [ST_PARSED] = {"parsed", dispatch_on_parsed, IN_CALLED},
    [ST_RANKED] = {"ranked", dispatch_on_ranked, IN_CALLED},
    [ST_HELD] = {"held", dispatch_on_held, 0},
    [ST_ATTEMPT] = {"attempt", dispatch_attempt, -1},
    [ST_CONVERTED] = {"converted", dispatch_on_converted, IN_CALLED},
    [ST_BUILT] = {"built", dispatch_on_built, IN_CALLED},
    [ST_CREDENTIAL] = {"credential", dispatch_on_credential, IN_CREDENTIAL},
    [ST_UPSTREAM] = {"upstream", dispatch_on_upstream, 0},
    [ST_HEADED] = {"headed", dispatch_on_headed, IN_CALLED},
    [ST_FLOW] = {"flow", dispatch_on_flow, 0},
    [ST_DATA] = {"data", dispatch_on_data, IN_CALLED},
    [ST_RENDERED] = {"rendered", dispatch_on_rendered, IN_CALLED},
    [ST_ENDED] = {"ended", dispatch_on_ended, IN_CALLED},
    [ST_ERRBODY] = {"errbody", dispatch_on_errbody, 0},
    [ST_FAILED] = {"failed", dispatch_on_failed, IN_CALLED},
    [ST_WRITTEN] = {"written", dispatch_on_written, IN_CALLED},
    [ST_SETTLED] = {"settled", dispatch_on_settled, IN_SETTLED},
    [ST_LAST] = {"last", dispatch_on_last, IN_CALLED},
    [ST_LINGER] = {"linger", dispatch_on_linger, 0},
    [ST_DONE] = {"done", on_done, 0},
};

void dispatch_init(exchange *x, dispatch_env *env, const world *w, tp_now now)
{
    memset(x, 0, sizeof(*x));
    x->env = env;
    x->world = w;
    arena_init(&x->req, env->pool, 64u << 20);
    arena_init(&x->mem, env->pool, env->max_reply_bytes + (1u << 20));
    buf_init(&x->whole, env->max_reply_bytes);
    x->keep_left = 64u << 10;
    x->start_us = now.mono_us;
    x->start_unix_ms = now.unix_ms;
    x->first_us = x->sent_us = x->token_us = x->baseline_nano = -1;
    x->phase_due = x->total_due = x->local_due = INT64_MAX;
    env->active++;
}

void dispatch_release_request(exchange *x)
{
    arena_reset(&x->req);
    x->head = NULL;
    x->op.body = (tp_doc){0};
    x->canonical = (tp_doc){0};
    x->manage_body = STR_NONE;
    x->plan = (route_plan){0};
    x->up = (dispatch_upstream){.to = x->up.to};
    x->released = 1;
}

void dispatch_free(exchange *x)
{
    TP_MUST(x->state == ST_DONE || x->state == ST_HEAD);
    TP_MUST(!x->up_active && !x->held);
    dispatch_leave(x);
    x->env->active--;
    framer_free(&x->frames);
    buf_free(&x->whole);
    free((void *)(uintptr_t)x->stash.ptr);
    arena_reset(&x->req);
    arena_reset(&x->mem);
}

int dispatch_want_upstream(const exchange *x)
{
    return !x->asking;
}

static void on_progress(exchange *x)
{
    if (x->up_active && x->on && x->first_us < 0 && x->state == ST_UPSTREAM)
        x->phase_due = x->env->now.mono_us + x->on->provider->conf->timeouts.first_byte_ms * 1000;
}

static int answers(int asking, int kind)
{
    switch (asking) {
    case ASK_CALL:
        return kind == IN_CALLED;
    case ASK_HOLD:
        return kind == IN_HELD || kind == IN_REFUSED;
    case ASK_AWAIT:
        return kind == IN_CREDENTIAL;
    case ASK_SETTLE:
        return kind == IN_SETTLED;
    case ASK_MANAGE:
        return kind == IN_MANAGED;
    case ASK_VERIFY:
        return kind == IN_VERIFIED;
    default:
        return 0;
    }
}

/* While an answer is awaited, what the upstream says is put by. */
static void put_by(exchange *x, const dispatch_input *in)
{
    if (in->kind == IN_UP_REPLY) {
        char *p = malloc(x->pending.len + in->bytes.len + 1);
        TP_MUST(p); /* bounded: one read, because want_upstream is 0 */
        if (x->pending.len)
            memcpy(p, x->pending.ptr, x->pending.len);
        if (in->bytes.len)
            memcpy(p + x->pending.len, in->bytes.ptr, in->bytes.len);
        free((void *)(uintptr_t)x->stash.ptr);
        x->stash = (tp_str){p, x->pending.len + in->bytes.len};
        x->pending = x->stash;
        x->phase_due = x->env->now.mono_us + x->on->provider->conf->timeouts.idle_ms * 1000;
        if (in->fin) {
            x->up_fin = (uint8_t)in->fin;
            x->up_active = 0;
            x->phase_due = INT64_MAX;
        }
    } else if (in->kind == IN_UP_FAILED) {
        x->up_active = 0;
        x->up_fin = 2;
        x->phase_due = INT64_MAX;
    }
}

/* While an answer is awaited nothing is read from the upstream: its silence begins anew. */
static void resume_idle(exchange *x)
{
    if (x->up_active && x->first_us >= 0 && x->phase_due != INT64_MAX)
        x->phase_due = x->env->now.mono_us + x->on->provider->conf->timeouts.idle_ms * 1000;
}

static int answered(exchange *x, const dispatch_input *in)
{
    int late = x->ask_later;
    x->asking = x->ask_later = 0;
    x->state = (uint8_t)x->after_ask;
    if (late)
        resume_idle(x);
    if (in->kind == IN_HELD)
        x->held = 1;
    if (x->gone && in->kind != IN_SETTLED)
        return dispatch_gone(x);
    if (in->kind == IN_CALLED) {
        if (late)
            dispatch_take_late_answer(x);
        x->keep_left = x->env->call.keep_max;
    }
    return steps[x->state].step(x, in);
}

static int enter(exchange *x, const dispatch_input *in)
{
    int kind = in->kind;
    if (kind == IN_CLIENT_GONE || kind == IN_STOP) {
        if (x->state == ST_DONE || x->gone)
            return STAY;
        return dispatch_gone(x);
    }
    if (kind == IN_UP_PROGRESS) {
        on_progress(x);
        return STAY;
    }
    if (kind == IN_TIMER && x->asking == ASK_AWAIT)
        return dispatch_credential_late(x);
    if (x->asking) {
        if (!answers(x->asking, kind)) {
            put_by(x, in);
            return STAY;
        }
        return answered(x, in);
    }
    if (steps[x->state].wants > 0 && steps[x->state].wants != kind)
        return STAY; /* late or foreign: the state does not wait for it */
    return steps[x->state].step(x, in);
}

/* May the state go on by itself, with what has come already? */
static int runs_at_once(const exchange *x, int state)
{
    if (state == ST_FLOW || state == ST_ERRBODY)
        return x->pending.len || x->up_fin;
    if (state == ST_UPSTREAM) /* a local reply without delay */
        return x->local && x->env->now.mono_us >= x->local_due;
    return steps[state].wants == -1;
}

void dispatch_step(exchange *x, const dispatch_input *in, dispatch_actions *out)
{
    static const dispatch_input nothing = {0};
    x->env->act = out;
    int next = enter(x, in);
    while (next != STAY) {
        x->state = (uint8_t)next;
        next = !x->asking && runs_at_once(x, next) ? steps[next].step(x, &nothing) : STAY;
    }
    out->ask = x->asking;
}

static int answer_call(exchange *x, dispatch_input *in)
{
    dispatch_env *env = x->env;
    if (!env->ports.call)
        plug_invoke(&env->iv);
    else if (!env->ports.call(env->ports.arg, x, &env->iv))
        return 0;
    *in = (dispatch_input){.kind = IN_CALLED};
    return 1;
}

static int answer_hold(exchange *x, dispatch_input *in)
{
    dispatch_env *env = x->env;
    x->refusal = (profile_error){.status = 503};
    int rc = env->ports.hold ? env->ports.hold(env->ports.arg, x, x->hold_nano, x->hold_tokens,
                                               &x->refusal)
                             : 1;
    if (rc == 0)
        return 0;
    *in = (dispatch_input){.kind = rc > 0 ? IN_HELD : IN_REFUSED};
    return 1;
}

static int answer_verify(exchange *x, dispatch_input *in)
{
    dispatch_env *env = x->env;
    int32_t right = -1;
    if (env->ports.verify && !env->ports.verify(env->ports.arg, x, &right))
        return 0;
    *in = (dispatch_input){.kind = IN_VERIFIED, .code = right};
    return 1;
}

static int answer_manage(exchange *x, dispatch_input *in)
{
    dispatch_env *env = x->env;
    TP_MUST(env->ports.manage);
    return env->ports.manage(env->ports.arg, x, in);
}

static int answer_settle(exchange *x, dispatch_input *in)
{
    dispatch_env *env = x->env;
    settle_record r;
    if (env->ports.settle && !x->unowed) {
        dispatch_record_of(x, &r);
        dispatch_owe(x, &r);
        int rc = env->ports.settle(env->ports.arg, x, &r);
        x->charged_nano = r.charged_nano;
        if (!rc)
            return 0;
    }
    *in = (dispatch_input){.kind = IN_SETTLED};
    return 1;
}

static int64_t deadline_of(const exchange *x)
{
    int64_t due = TP_MIN(x->phase_due, x->total_due);
    if (x->state == ST_DONE || (x->asking && x->asking != ASK_AWAIT))
        return INT64_MAX;
    return TP_MIN(due, x->local_due);
}

int64_t dispatch_progress(exchange *x)
{
    on_progress(x);
    return deadline_of(x);
}

int64_t dispatch_paused(exchange *x, int paused, tp_now now)
{
    if (x->up_active && x->first_us >= 0 && x->state != ST_LINGER)
        x->phase_due = paused ? INT64_MAX
                              : now.mono_us + x->on->provider->conf->timeouts.idle_ms * 1000;
    return deadline_of(x);
}

/* The run is over while bytes are still needed: what lies in the caller's memory is copied. Events
 * first, for they may lie in the stash. */
static void park(exchange *x)
{
    if (x->events.kept < x->events.count && stream_keep(&x->events, &x->mem) != 0) {
        stream_clear(&x->events);
        x->tally.terminal = STREAM_ERROR; /* the next events end the attempt */
        dispatch_fault_of(x, FAULT_INTERNAL, "the reply is larger than the gateway may hold");
    }
    if (x->chunk_used && x->chunk_used == x->whole.len && !x->asking) {
        buf_free(&x->whole);
        x->chunk_used = 0;
    }
    if (x->pending.len && x->pending.ptr != x->stash.ptr &&
        !(x->stash.ptr && x->pending.ptr > x->stash.ptr &&
          x->pending.ptr < x->stash.ptr + x->stash.len)) {
        char *p = malloc(x->pending.len);
        TP_MUST(p);
        memcpy(p, x->pending.ptr, x->pending.len);
        free((void *)(uintptr_t)x->stash.ptr);
        x->stash = x->pending = (tp_str){p, x->pending.len};
    } else if (!x->pending.len && x->stash.ptr) {
        free((void *)(uintptr_t)x->stash.ptr);
        x->stash = (tp_str){0};
    }
}

void dispatch_run(exchange *x, const dispatch_input *first, tp_now now, dispatch_actions *out)
{
    static int (*const port[])(exchange *, dispatch_input *) = {
        [ASK_CALL] = answer_call,     [ASK_HOLD] = answer_hold,     [ASK_AWAIT] = dispatch_answer_credential,
        [ASK_SETTLE] = answer_settle, [ASK_MANAGE] = answer_manage,
        [ASK_VERIFY] = answer_verify,
    };
    dispatch_env *env = x->env;
    dispatch_input in = *first;
    *out = (dispatch_actions){.deadline_us = INT64_MAX};
    env->now = now;
    env->input = first->kind == IN_UP_REPLY ? first->bytes : STR_NONE;
    plug_scratch_reset(env->scratch);
    plug_out_reset(&env->client);
    if (x->op.body.count)
        plug_scratch_know(env->scratch, &x->op.body);
    dispatch_step(x, &in, out);
    while (x->asking && !x->ask_later) {
        if (!port[x->asking](x, &in)) {
            x->ask_later = 1;
            break;
        }
        dispatch_step(x, &in, out);
    }
    park(x);
    if (x->asking == ASK_SETTLE && x->written && !x->kept_headers && !x->unrendered)
        dispatch_keep_written(x);
    out->headers = env->client.headers;
    out->header_count = env->client.header_count;
    out->segs = env->client.segs;
    out->seg_count = env->client.seg_count;
    out->bytes = env->client.bytes;
    x->bytes_out += (int64_t)out->bytes;
    out->ask = x->asking;
    out->done = x->state == ST_DONE;
    out->deadline_us = deadline_of(x);
}
