/* The reply: head, frames, events. Before the first answer everything is held back, so that a
 * failure can still go to the next candidate; after it, a failure ends the client's stream. */
#include "dispatch/dispatch_int.h"

#include <stdio.h>
#include <string.h>

#define ERROR_BODY_MAX (64u << 10)
#define MAX_STEPS 16u

/* x->used: how far the provider's plugin has got with the reply's bytes. */
enum { ALL_GIVEN = 1, /* it had the last frame */ ALL_ENDED = 2 /* CALL end was asked */ };

static const conf_timeouts *timeouts(const exchange *x)
{
    return &x->on->provider->conf->timeouts;
}

/* ---- Inputs that any of the reply's states may get. */

static int timed_out(exchange *x)
{
    int64_t now = x->env->now.mono_us;
    const char *what;
    if (now < x->phase_due && now < x->total_due)
        return STAY;
    if (now >= x->total_due)
        what = "the reply took longer than timeouts.total_ms";
    else if (x->first_us >= 0)
        what = "no byte came for timeouts.idle_ms";
    else
        what = "no answer within timeouts.connect_ms or timeouts.first_byte_ms";
    dispatch_fault_of(x, TP_ERR_TIMEOUT, what);
    return dispatch_attempt_failed(x, TP_ERR_TIMEOUT);
}

static int upstream_failed(exchange *x, const dispatch_input *in)
{
    x->up_active = 0;
    if (in->code == DISPATCH_UP_UNREACHABLE) {
        dispatch_fault_of(x, FAULT_UNREACHABLE, in->what ? in->what : "no connection");
        return dispatch_attempt_failed(x, FAULT_UNREACHABLE);
    }
    dispatch_fault_of(x, TP_ERR_UPSTREAM, in->what ? in->what : "the connection broke");
    return dispatch_attempt_failed(x, TP_ERR_UPSTREAM);
}

/* The next piece of a local reply: all of it, or one SSE event each gap. */
static tp_str local_piece(exchange *x)
{
    tp_str rest = str_skip(x->local_body, x->local_at);
    size_t n = rest.len;
    if (x->local_gap_us) {
        const char *p = rest.len ? memmem(rest.ptr, rest.len, "\n\n", 2) : NULL;
        if (p)
            n = (size_t)(p - rest.ptr) + 2;
    }
    x->local_at += n;
    return str_make(rest.ptr, n);
}

/* Turns the clock into the next bytes of a local reply; 0: not yet due. */
static int local_input(exchange *x, dispatch_input *in)
{
    if (!x->local || x->env->now.mono_us < x->local_due)
        return 0;
    *in = (dispatch_input){.kind = IN_UP_REPLY, .bytes = local_piece(x)};
    int last = x->local_at >= x->local_body.len;
    if (x->first_us < 0)
        in->head = x->up_head;
    if (last && x->local_cut && x->up_head->status < 400) {
        x->local_due = INT64_MAX;
        in->fin = 2;
    } else if (last) {
        x->local_due = INT64_MAX;
        in->fin = 1;
    } else {
        x->local_due = x->env->now.mono_us + x->local_gap_us;
    }
    return 1;
}

static void took_bytes(exchange *x, const dispatch_input *in)
{
    x->pending = in->bytes;
    x->phase_due = x->env->now.mono_us + timeouts(x)->idle_ms * 1000;
    if (in->fin) {
        x->up_fin = (uint8_t)in->fin;
        x->up_active = 0;
        x->phase_due = INT64_MAX;
    }
}

/* ---- Head. */

static tp_reply *make_reply(exchange *x, tp_str body)
{
    const http_head *h = x->up_head;
    tp_reply *r = arena_zalloc(&x->env->scratch->mem, sizeof(*r));
    if (!r)
        return NULL;
    *r = (tp_reply){.size = sizeof(*r),
                    .status = h->status,
                    .headers = {h->headers, h->header_count, sizeof(tp_header)},
                    .type = h->known[HTTP_H_CONTENT_TYPE],
                    .body = body};
    r->type = str_trim(str_make(r->type.ptr, str_find(r->type, ';')));
    return r;
}

int dispatch_on_upstream(exchange *x, const dispatch_input *in)
{
    dispatch_input local;
    if (in->kind == IN_TIMER || in->kind == 0) {
        if (!local_input(x, &local))
            return timed_out(x);
        in = &local;
    }
    if (in->kind == IN_UP_FAILED)
        return upstream_failed(x, in);
    if (in->kind != IN_UP_REPLY || !in->head)
        return STAY;
    x->up_head = in->head;
    x->up_status = in->head->status;
    x->first_us = x->env->now.mono_us;
    took_bytes(x, in);
    if (x->up_status == 401)
        dispatch_credential_refused(x);
    if (x->up_status >= 400)
        return ST_ERRBODY;
    tp_reply *r = make_reply(x, STR_NONE);
    if (!r)
        return dispatch_attempt_failed(x, FAULT_INTERNAL);
    x->env->iv.reply = r;
    x->env->iv.framing = TP_WHOLE;
    return dispatch_ask_call(x, PLUG_HEAD, x->on->provider->plugin, x->provider_state,
                             PLUG_MAY_EMIT, ST_HEADED);
}

/* ---- Events. */

static int on_error_event(exchange *x, const tp_event *e)
{
    int cls = dispatch_fault_from(x, e);
    return dispatch_attempt_failed(x, cls);
}

static int note_start(exchange *x, const tp_event *e)
{
    if (e->id.len && !x->upstream_id.len)
        x->upstream_id = arena_str(&x->mem, e->id);
    if (e->name.len && !x->served.len)
        x->served = arena_str(&x->mem, e->name);
    return 0;
}

static int is_output_count(const tp_event *e)
{
    return e->kind == TP_EV_USAGE && e->number > 0 &&
           (str_eq(e->name, STR("completion")) || str_eq(e->name, STR("reasoning")));
}

/* Counts the events and takes out START (the gateway writes its own). Answers how many are left for
 * the client; *terminal: the index of END or ERROR in events, or -1. */
static uint32_t sort_events(exchange *x, tp_event *events, uint32_t n, const tp_event **terminal)
{
    uint32_t kept = 0;
    *terminal = NULL;
    for (uint32_t i = 0; i < n; i++) {
        if (stream_count(&x->tally, &events[i]) != 0)
            break;
        if (x->tally.terminal != STREAM_OPEN) {
            *terminal = &events[i];
            break;
        }
        if (events[i].kind == TP_EV_START)
            note_start(x, &events[i]);
        else
            events[kept++] = events[i];
        if (events[i].kind != TP_EV_USAGE)
            x->relayed += stream_weight(&events[i]);
        else if (is_output_count(&events[i]))
            x->relayed_said = x->relayed;
    }
    return kept;
}

static int too_large(exchange *x)
{
    dispatch_fault_of(x, TP_ERR_UPSTREAM, "its reply is larger than the gateway may hold");
    return dispatch_attempt_failed(x, TP_ERR_UPSTREAM);
}

static int hold_events(exchange *x, const tp_event *e, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++)
        if (stream_add(&x->events, &x->mem, &e[i]) != 0)
            return TP_E_NOMEM;
    return 0;
}

/* The first answer: from here on there is no way back to another candidate. */
static int commit(exchange *x)
{
    x->committed = 1;
    x->token_us = x->env->now.mono_us;
    x->env->act->release_request = 1;
    return dispatch_render_all(x, NULL, ST_RENDERED);
}

/* Takes what the provider emitted. Next state. */
static int take_events(exchange *x)
{
    plug_out *o = &x->env->out;
    const tp_event *terminal;
    int answer = 0;
    if (x->tally.terminal != STREAM_OPEN) /* what came before could not be held */
        return dispatch_attempt_failed(x, TP_ERR_UPSTREAM);
    uint32_t n = sort_events(x, o->events, o->event_count, &terminal);
    if (terminal && terminal->kind == TP_EV_ERROR && !x->committed)
        return on_error_event(x, terminal);
    if (!x->streaming) {
        if (hold_events(x, o->events, n) != 0)
            return too_large(x);
        if (terminal && stream_join(&x->events, &x->mem) != 0)
            return too_large(x);
        return terminal ? dispatch_complete(x) : ST_FLOW;
    }
    if (x->committed) {
        if (terminal && terminal->kind == TP_EV_ERROR)
            dispatch_upstream_over(x, !dispatch_is_final(dispatch_fault_from(x, terminal)));
        if (n)
            return dispatch_render(x, o->events, n, ST_RENDERED);
        if (x->tally.terminal != STREAM_OPEN)
            return dispatch_settle(x);
        return ST_FLOW;
    }
    for (uint32_t i = 0; i < n; i++)
        answer |= stream_is_answer(&o->events[i]);
    if (hold_events(x, o->events, n) != 0)
        return too_large(x);
    if (answer)
        return commit(x);
    return terminal ? dispatch_complete(x) : ST_FLOW;
}

int dispatch_on_headed(exchange *x, const dispatch_input *in)
{
    (void)in;
    if (dispatch_call_failed(x)) {
        char why[256]; /* as much of the plugin's sentence as a message needs */
        snprintf(why, sizeof(why), "%.*s", STR_ARG(x->env->out.fail_why));
        dispatch_fault_of(x, TP_ERR_UPSTREAM, why[0] ? why : "its reply has an unknown form");
        return dispatch_attempt_failed(x, TP_ERR_UPSTREAM);
    }
    x->framing = x->env->iv.framing;
    if (x->framing != TP_WHOLE)
        framer_init(&x->frames, x->framing, x->env->max_reply_bytes);
    if (x->env->out.event_count)
        return take_events(x);
    return ST_FLOW;
}

/* ---- Frames. */

static int ask_data(exchange *x, tp_frame f)
{
    x->env->frame = f;
    x->env->frame.size = sizeof(tp_frame);
    x->env->frame.used = f.data.len;
    x->env->iv.frame = &x->env->frame;
    return dispatch_ask_call(x, PLUG_DATA, x->on->provider->plugin, x->provider_state,
                             PLUG_MAY_EMIT, ST_DATA);
}

/* The reply's bytes are at their end: broken off, or as they should. */
static int at_end(exchange *x)
{
    x->env->iv.broken = x->up_fin == 2;
    x->used = ALL_ENDED;
    return dispatch_ask_call(x, PLUG_END, x->on->provider->plugin, x->provider_state,
                             PLUG_MAY_EMIT, ST_ENDED);
}

static int flow_whole(exchange *x)
{
    tp_str all = x->pending;
    if (x->whole.len || x->up_fin != 1) {
        if (x->pending.len && buf_adds(&x->whole, x->pending) != 0)
            return too_large(x);
        all = buf_str(&x->whole);
    }
    x->pending = STR_NONE;
    if (!x->up_fin)
        return STAY;
    if (x->up_fin == 2 || x->used)
        return at_end(x);
    x->used = ALL_GIVEN;
    return ask_data(x, (tp_frame){.data = all});
}

static int inside(tp_str outer, tp_str s)
{
    return outer.len && s.ptr >= outer.ptr && s.ptr + s.len <= outer.ptr + outer.len;
}

static int flow_frames(exchange *x)
{
    tp_frame f = {0};
    tp_str in = x->pending;
    int cut = 0;
    int rc = framer_next(&x->frames, &x->pending, &f);
    if (rc == FRAME_NONE && x->up_fin) {
        if (x->used)
            return at_end(x);
        x->used = ALL_GIVEN;
        rc = x->up_fin == 1 ? framer_end(&x->frames, &f, &cut) : FRAME_NONE;
        if (cut)
            x->up_fin = 2;
        if (rc == FRAME_NONE)
            return at_end(x);
    }
    if (rc < 0)
        return too_large(x);
    if (rc != FRAME_GOT)
        return STAY;
    if (!inside(in, f.data)) { /* the framer's own: gone, or others, when it is asked again */
        f.data = arena_str(&x->env->scratch->mem, f.data);
        if (!f.data.ptr)
            return too_large(x);
    }
    return ask_data(x, f);
}

/* Raw bytes as they come, from x->whole: what the plugin did not use stays there and comes again.
 * What it used is dropped only when more has come, for held events may lie in it. */
static int flow_chunks(exchange *x)
{
    if (!x->pending.len)
        return x->up_fin ? at_end(x) : STAY;
    if (stream_keep(&x->events, &x->mem) != 0)
        return too_large(x);
    if (x->chunk_used)
        buf_shift(&x->whole, x->chunk_used);
    x->chunk_used = 0;
    if (buf_adds(&x->whole, x->pending) != 0)
        return too_large(x);
    x->pending = STR_NONE;
    return ask_data(x, (tp_frame){.data = buf_str(&x->whole)});
}

int dispatch_on_flow(exchange *x, const dispatch_input *in)
{
    dispatch_input local;
    if (in->kind == IN_TIMER) {
        if (!local_input(x, &local))
            return timed_out(x);
        in = &local;
    }
    if (in->kind == IN_UP_REPLY) {
        took_bytes(x, in);
    } else if (in->kind == IN_UP_FAILED) {
        x->up_active = 0;
        x->up_fin = 2;
        x->phase_due = INT64_MAX;
    } else if (in->kind != 0) {
        return STAY;
    }
    if (x->framing == TP_CHUNKS)
        return flow_chunks(x);
    return x->framing == TP_WHOLE ? flow_whole(x) : flow_frames(x);
}

int dispatch_on_data(exchange *x, const dispatch_input *in)
{
    (void)in;
    if (dispatch_call_failed(x)) {
        dispatch_fault_of(x, TP_ERR_UPSTREAM, "its reply is not in the form of its API");
        return dispatch_attempt_failed(x, TP_ERR_UPSTREAM);
    }
    if (x->framing == TP_CHUNKS)
        x->chunk_used = TP_MIN(x->env->frame.used, x->whole.len);
    return take_events(x);
}

static int was_cut(exchange *x)
{
    dispatch_fault_of(x, TP_ERR_UPSTREAM, "its reply was cut off before its end");
    return dispatch_attempt_failed(x, FAULT_CUT);
}

int dispatch_on_rendered(exchange *x, const dispatch_input *in)
{
    (void)in;
    if (dispatch_call_failed(x)) {
        dispatch_drop_render(x);
        return dispatch_unrendered(x);
    }
    const plug_out *c = &x->env->client;
    if (c->bytes || c->http_status || c->header_count) /* an endpoint may have nothing to say yet */
        dispatch_take_render(x);
    if (x->tally.terminal != STREAM_OPEN)
        return dispatch_settle(x);
    return x->used == ALL_ENDED ? was_cut(x) : ST_FLOW;
}

/* CALL end wants another step: what it emitted stays, and build is asked again. */
static int next_step(exchange *x)
{
    plug_out *o = &x->env->out;
    const tp_event *terminal;
    uint32_t n = sort_events(x, o->events, o->event_count, &terminal);
    if (hold_events(x, o->events, n) != 0)
        return too_large(x);
    stream_step(&x->tally);
    x->step++;
    x->up_fin = x->used = 0;
    return dispatch_next_step(x);
}

int dispatch_on_ended(exchange *x, const dispatch_input *in)
{
    (void)in;
    if (x->env->iv.status == TP_AGAIN && !x->committed && x->up_fin == 1 && x->step < MAX_STEPS)
        return next_step(x);
    if (!dispatch_call_failed(x) && x->env->out.event_count) {
        int next = take_events(x);
        if (x->tally.terminal != STREAM_OPEN || next != ST_FLOW)
            return next;
    }
    return was_cut(x);
}

/* ---- An upstream's error reply. */

int dispatch_on_errbody(exchange *x, const dispatch_input *in)
{
    dispatch_input local;
    if (in->kind == IN_TIMER) {
        if (!local_input(x, &local))
            return timed_out(x);
        in = &local;
    }
    if (in->kind == IN_UP_REPLY)
        took_bytes(x, in);
    else if (in->kind == IN_UP_FAILED)
        x->up_active = 0, x->up_fin = 1; /* the status says enough */
    else if (in->kind != 0)
        return STAY;
    size_t room = ERROR_BODY_MAX - TP_MIN(x->whole.len, (size_t)ERROR_BODY_MAX);
    int full = x->pending.len >= room;
    if (buf_add(&x->whole, x->pending.ptr, TP_MIN(room, x->pending.len)) != 0)
        full = 1;
    x->pending = STR_NONE;
    if (!x->up_fin && !full)
        return STAY;
    tp_reply *r = make_reply(x, buf_str(&x->whole));
    if (!r)
        return dispatch_attempt_failed(x, FAULT_INTERNAL);
    x->env->iv.reply = r;
    return dispatch_ask_call(x, PLUG_FAILED, x->on->provider->plugin, x->provider_state,
                             PLUG_MAY_EMIT, ST_FAILED);
}

int dispatch_on_failed(exchange *x, const dispatch_input *in)
{
    const plug_out *o = &x->env->out;
    (void)in;
    for (uint32_t i = 0; i < o->event_count; i++)
        if (o->events[i].kind == TP_EV_ERROR)
            return on_error_event(x, &o->events[i]);
    tp_event e = {.size = sizeof(e), .kind = TP_EV_ERROR, .code = TP_ERR_UPSTREAM, .number = -1};
    e.text = arena_printf(&x->mem, "HTTP status %d", x->up_status);
    return on_error_event(x, &e);
}
