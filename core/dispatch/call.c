/* CALLs: how the machine asks a plugin, and what the plugin may use. */
#include "dispatch/dispatch_int.h"

#include <string.h>

static void lend(dispatch_env *env, tp_str bytes)
{
    if (bytes.len)
        env->call.borrowed[env->call.borrowed_count++] = bytes;
}

int dispatch_ask_call(exchange *x, int what, const plug_instance *on, void *state, uint32_t may,
                      int then)
{
    dispatch_env *env = x->env;
    plug_out *out = what == PLUG_RENDER ? &env->client : &env->out;
    if (what == PLUG_RENDER)
        env->client.failed = 0, env->client_before = env->client;
    else
        plug_out_reset(out);
    env->call = (plug_call){
        .pub = {.size = sizeof(tp_call),
                .now_ms = env->now.unix_ms,
                .seed = rng_next(&env->random),
                .state = state},
        .scratch = env->scratch,
        .out = out,
        .keep = &x->mem,
        .keep_max = x->keep_left,
        .may = may,
    };
    /* Passing on what lies in the body or in the bytes that just came is free. */
    lend(env, x->op.body.text);
    if (what == PLUG_DATA)
        lend(env, env->iv.frame->data);
    if (what == PLUG_RENDER) { /* what stays as it is until this run's bytes are written */
        lend(env, env->input);
        lend(env, x->local_body);
        if (x->framing == TP_WHOLE)
            lend(env, buf_str(&x->whole));
    }
    env->iv.what = what;
    env->iv.on = on;
    env->iv.call = &env->call;
    env->iv.status = TP_E_INTERNAL;
    x->asking = ASK_CALL;
    x->after_ask = then;
    return STAY;
}

int dispatch_call_failed(const exchange *x)
{
    return x->env->iv.status < 0 || x->env->iv.call->out->failed;
}

int dispatch_render(exchange *x, const tp_event *e, uint32_t n, int then)
{
    x->env->iv.list = (tp_list){e, n, sizeof(tp_event)};
    return dispatch_ask_call(x, PLUG_RENDER, x->route->plugin, x->endpoint_state,
                             PLUG_MAY_WRITE | PLUG_MAY_STATUS, then);
}

void dispatch_name_reply(exchange *x)
{
    rng *r = &x->env->random;
    if (!x->reply_id_len)
        x->reply_id_len = (uint32_t)profile_reply_id(x->route->surface, x->start_unix_ms,
                                                     rng_next(r), rng_next(r), x->reply_id);
}

/* The answer of a CALL that came later than its question: what the driver filled in is put where
 * the answer would lie if it had been given at once. */
void dispatch_take_late_answer(exchange *x)
{
    dispatch_env *env = x->env;
    plug_invocation *iv = &env->iv;
    plug_out *to = iv->what == PLUG_RENDER ? &env->client : &env->out;
    if (iv->call->out != to)
        *to = *iv->call->out;
    /* Arrays and bytes are the driver's: to grow means to move to scratch memory. */
    to->seg_cap = to->seg_count;
    to->header_cap = to->header_count;
    to->event_cap = to->event_count;
    to->report_cap = to->report_count;
    to->room = to->room_end = NULL;
    env->client_before = (plug_out){0};
    if (iv->call != &env->call)
        env->call = *iv->call;
    env->call.out = to;
    iv->call = &env->call;
    if (iv->what == PLUG_PARSE && iv->operation != &x->op)
        x->op = *iv->operation;
    if (iv->what == PLUG_DATA && iv->frame != &env->frame)
        env->frame = *iv->frame;
}

/* What the client is to see of the reply as a whole: always the first event that render gets. */
static tp_event start_event(exchange *x)
{
    const conf_surface *s = x->route->surface;
    tp_event e = {.size = sizeof(e), .kind = TP_EV_START, .number = x->start_unix_ms / 1000};
    dispatch_name_reply(x);
    e.id = str_make(x->reply_id, x->reply_id_len);
    if (s && s->reply_model == CONF_MODEL_ASKED) {
        e.name = x->asked;
    } else if (x->on) { /* a provider may decode what it could have passed on */
        e.name = x->served.len ? x->served : x->on->conf->model;
        e.flags |= x->relay ? TP_EV_KEEP_MODEL : 0;
    }
    if (s && s->usage_always)
        e.flags |= TP_EV_SHOW_USAGE;
    return e;
}

int dispatch_render_all(exchange *x, const tp_event *last, int then)
{
    uint32_t n = 0;
    tp_event *list = arena_alloc(&x->env->scratch->mem, (x->events.count + 2) * sizeof(*list));
    if (!list)
        return dispatch_unrendered(x);
    list[n++] = start_event(x);
    if (x->events.count)
        memcpy(&list[n], x->events.events, x->events.count * sizeof(*list));
    n += x->events.count;
    stream_clear(&x->events); /* the list has them, for as long as the call lasts */
    if (last)
        list[n++] = *last;
    return dispatch_render(x, list, n, then);
}

void dispatch_drop_render(exchange *x)
{
    plug_out_rewind(&x->env->client, &x->env->client_before);
}
