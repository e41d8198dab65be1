/* One upstream try: form of the body, build, credential, start. */
#include "dispatch/dispatch_int.h"

#include <string.h>

#include "sign/sign.h"

static int takes(const tp_provider *p, tp_str format)
{
    const char *at = p->formats.ptr;
    for (uint32_t i = 0; i < p->formats.count; i++, at += p->formats.stride)
        if (str_eq(*(const tp_str *)(const void *)at, format))
            return 1;
    return 0;
}

static void forget_last_attempt(exchange *x)
{
    framer_free(&x->frames);
    buf_free(&x->whole);
    stream_clear(&x->events);
    x->tally = (stream_tally){0};
    x->pending = STR_NONE;
    x->up_fin = x->local = x->used = x->byok = x->credential_way = 0;
    x->relayed = x->relayed_said = 0;
    x->chunk_used = 0;
    x->up_status = 0;
    x->up_head = NULL;
    x->framing = 0;
    x->step = 0;
    x->first_us = x->sent_us = x->token_us = -1;
    x->local_due = x->phase_due = x->total_due = INT64_MAX;
    x->fault = (profile_error){0};
    x->upstream_id = x->served = x->dropped = STR_NONE;
}

/* Zeroed state for the provider; memory of an earlier attempt serves again when it is enough. */
static int provider_state(exchange *x, uint32_t size)
{
    if (size > x->provider_state_cap) {
        x->provider_state = arena_alloc(&x->mem, size);
        x->provider_state_cap = x->provider_state ? size : 0;
    }
    if (size && !x->provider_state)
        return TP_E_NOMEM;
    if (size)
        memset(x->provider_state, 0, size);
    return 0;
}

static int ask_build(exchange *x)
{
    dispatch_env *env = x->env;
    const world_deployment *d = x->on;
    tp_target *t = arena_zalloc(&env->scratch->mem, sizeof(*t));
    tp_operation *op = arena_dup(&env->scratch->mem, &x->op, sizeof(x->op));
    if (!t || !op)
        return dispatch_attempt_failed(x, FAULT_INTERNAL);
    *t = (tp_target){.size = sizeof(*t),
                     .step = x->step,
                     .provider = d->provider->conf->name,
                     .model = d->conf->model,
                     .context_length = d->context_length,
                     .max_output_tokens = d->max_output_tokens,
                     .options = d->conf->options};
    if (!x->relay && x->canonical.count) {
        op->body = x->canonical;
        op->format = x->route->plugin->endpoint->canonical;
    }
    op->flags = (x->op.flags & ~(uint32_t)TP_RELAY) | (x->relay ? TP_RELAY : 0);
    env->iv.operation = op;
    env->iv.target = t;
    int rc = dispatch_ask_call(x, PLUG_BUILD, d->provider->plugin, x->provider_state,
                               PLUG_MAY_REQUEST | PLUG_MAY_WRITE, ST_BUILT);
    if (op->body.text.ptr != x->op.body.text.ptr)
        env->call.borrowed[env->call.borrowed_count++] = op->body.text;
    return rc;
}

/* A deployment that is not in the catalog was made in the request's memory, which is given back at
 * the first answer: it is needed until the last byte. */
static const world_deployment *keep_deployment(exchange *x, const world_deployment *d)
{
    if (d->model)
        return d;
    world_deployment *own = arena_dup(&x->mem, d, sizeof(*d));
    conf_deployment *c = arena_dup(&x->mem, d->conf, sizeof(*c));
    if (!own || !c)
        return NULL;
    c->model = arena_str(&x->mem, c->model);
    c->id = arena_str(&x->mem, c->id);
    own->conf = c;
    return c->model.ptr && c->id.ptr ? own : NULL;
}

int dispatch_attempt(exchange *x, const dispatch_input *in)
{
    (void)in;
    if (x->attempt >= x->plan.order_count) {
        if (!x->fault.status)
            dispatch_fault_of(x, FAULT_UNREACHABLE, "no candidate could take it");
        return dispatch_answer_fault(x);
    }
    const world_deployment *on = keep_deployment(x, x->plan.order[x->attempt]);
    if (!on)
        return dispatch_fail(x, 503, STR_NONE, STR_NONE, STR("The gateway is out of memory."),
                             STR_NONE);
    x->on = on;
    const plug_instance *plugin = x->on->provider->plugin;
    const tp_endpoint *ep = x->route->plugin->endpoint;
    tp_str canonical = ep->canonical.len ? ep->canonical : ep->format;
    forget_last_attempt(x);
    if (provider_state(x, plugin->provider->state_size) != 0)
        return dispatch_attempt_failed(x, FAULT_INTERNAL);
    x->relay = (uint8_t)takes(plugin->provider, ep->format);
    if (!x->relay && !takes(plugin->provider, canonical)) {
        dispatch_fault_of(x, FAULT_INTERNAL,
                          "the provider's plugin does not take this endpoint's format");
        return dispatch_attempt_failed(x, FAULT_INTERNAL);
    }
    if (!x->relay && !str_eq(canonical, ep->format) && !x->canonical.count) {
        x->env->iv.operation = &x->op;
        return dispatch_ask_call(x, PLUG_CONVERT, x->route->plugin, x->endpoint_state,
                                 PLUG_MAY_WRITE, ST_CONVERTED);
    }
    return ask_build(x);
}

int dispatch_next_step(exchange *x)
{
    dispatch_upstream_over(x, 0);
    if (stream_keep(&x->events, &x->mem) != 0) /* their bytes may lie in what is freed now */
        return dispatch_attempt_failed(x, FAULT_INTERNAL);
    framer_free(&x->frames);
    buf_free(&x->whole);
    x->chunk_used = 0;
    x->up_head = NULL;
    x->first_us = -1;
    return ask_build(x);
}

int dispatch_on_converted(exchange *x, const dispatch_input *in)
{
    const plug_out *o = &x->env->out;
    (void)in;
    if (dispatch_call_failed(x)) {
        if (o->failed && o->fail_status == TP_E_INPUT)
            return dispatch_fail(x, 400, STR_NONE, o->fail_param, o->fail_why, STR_NONE);
        dispatch_fault_of(x, FAULT_INTERNAL, "the request could not be put into canonical form");
        return dispatch_attempt_failed(x, FAULT_INTERNAL);
    }
    char *p = arena_alloc(&x->req, o->bytes ? o->bytes : 1);
    tp_str text = {p, 0};
    if (!p)
        return dispatch_attempt_failed(x, FAULT_INTERNAL);
    for (uint32_t i = 0; i < o->seg_count; i++) {
        memcpy(p + text.len, o->segs[i].ptr, o->segs[i].len);
        text.len += o->segs[i].len;
    }
    if (json_scan_doc(text, &x->env->scratch->tape, &x->req, &x->canonical, NULL) != 0) {
        dispatch_fault_of(x, FAULT_INTERNAL, "the endpoint plugin wrote a body that is no JSON");
        return dispatch_attempt_failed(x, FAULT_INTERNAL);
    }
    return ask_build(x);
}

/* The names of the fields that were dropped, for the response header. Answers how many. */
static uint32_t note_dropped(exchange *x)
{
    const plug_out *o = &x->env->out;
    uint32_t n = 0;
    for (uint32_t i = 0; i < o->report_count; i++) {
        if (o->reports[i].what != TP_DROPPED)
            continue;
        x->dropped = arena_printf(&x->mem, "%.*s%s%.*s", STR_ARG(x->dropped),
                                  x->dropped.len ? ", " : "", STR_ARG(o->reports[i].field));
        n++;
    }
    return n;
}

static int inside(tp_str outer, tp_str s)
{
    return outer.len && s.ptr >= outer.ptr && s.ptr + s.len <= outer.ptr + outer.len;
}

/* What build wrote, kept until the request's memory is released: spans of the body stay spans. */
static int keep_segments(exchange *x, const plug_out *o)
{
    tp_str *segs = arena_dup(&x->req, o->segs, o->seg_count * sizeof(tp_str));
    if (!segs)
        return TP_E_NOMEM;
    for (uint32_t i = 0; i < o->seg_count; i++) {
        if (inside(x->op.body.text, segs[i]) || inside(x->canonical.text, segs[i]))
            continue;
        segs[i] = arena_str(&x->req, segs[i]);
        if (!segs[i].ptr)
            return TP_E_NOMEM;
    }
    x->up.segs = segs;
    x->up.seg_count = o->seg_count;
    x->up.body_bytes = o->bytes;
    return 0;
}

static int has_header(const plug_out *o, tp_str name)
{
    for (uint32_t i = 0; i < o->header_count; i++)
        if (str_ieq(o->headers[i].name, name))
            return 1;
    return 0;
}

/* A copy in memory that was allocated for it; *at moves on. */
static tp_str put(char **at, tp_str s)
{
    tp_str copy = {*at, s.len};
    if (s.len)
        memcpy(*at, s.ptr, s.len);
    *at += s.len;
    return copy;
}

static int keep_request(exchange *x, const plug_out *o)
{
    const world_provider *p = x->on->provider;
    size_t bytes = o->method.len + p->origin.base_path.len + o->path.len;
    uint32_t n = 0;
    for (uint32_t i = 0; i < o->header_count; i++)
        bytes += o->headers[i].name.len + o->headers[i].value.len;
    /* Room for the user agent, and for what the credential comes to. */
    uint32_t most = o->header_count + p->conf->header_count + 1 + SIGN_AWS4_HEADERS;
    tp_header *h = arena_alloc(&x->req, most * sizeof(*h));
    char *at = arena_alloc(&x->req, bytes);
    if (!h || !at || keep_segments(x, o) != 0)
        return TP_E_NOMEM;
    for (uint32_t i = 0; i < o->header_count; i++, n++) {
        h[n].name = put(&at, o->headers[i].name);
        h[n].value = put(&at, o->headers[i].value);
    }
    for (uint32_t i = 0; i < p->conf->header_count; i++)
        h[n++] = p->conf->headers[i]; /* the world outlives the exchange */
    if (!has_header(o, STR("user-agent")))
        h[n++] = (tp_header){STR("User-Agent"), str_of(x->env->user_agent)};
    x->up.to = &p->origin;
    x->up.method = put(&at, o->method);
    x->up.target = put(&at, p->origin.base_path); /* the path follows it */
    x->up.target.len += put(&at, o->path).len;
    x->up.headers = h;
    x->up.header_count = n;
    return 0;
}

static void attempt_began(exchange *x)
{
    const conf_timeouts *t = &x->on->provider->conf->timeouts;
    int64_t now = x->env->now.mono_us;
    x->attempts += x->step == 0; /* the steps of one attempt are one try */
    x->live = route_live_of(x->env->live, x->on->live_key);
    route_live_started(x->live);
    x->sent_us = now;
    x->phase_due = now + t->connect_ms * 1000;
    x->total_due = TP_MIN(x->total_due, now + t->total_ms * 1000); /* the credential took some */
}

int dispatch_start(exchange *x)
{
    attempt_began(x);
    x->env->act->start_upstream = 1;
    x->up_active = 1;
    return ST_UPSTREAM;
}

/* The reply that build wrote itself: delivered by the clock instead of a socket. */
static int start_local(exchange *x, const plug_out *o)
{
    http_head *h = arena_zalloc(&x->mem, sizeof(*h));
    char *p = arena_alloc(&x->mem, o->bytes ? o->bytes : 1);
    if (!h || !p)
        return dispatch_attempt_failed(x, FAULT_INTERNAL);
    x->local_body = (tp_str){p, 0};
    for (uint32_t i = 0; i < o->seg_count; i++) {
        memcpy(p + x->local_body.len, o->segs[i].ptr, o->segs[i].len);
        x->local_body.len += o->segs[i].len;
    }
    attempt_began(x);
    h->status = o->local_status;
    h->content_length = -1;
    h->known[HTTP_H_CONTENT_TYPE] = arena_str(&x->mem, o->local_type);
    x->up_head = h;
    x->local = 1;
    x->local_cut = (o->local.flags & TP_LOCAL_CUT) != 0;
    x->local_at = 0;
    x->local_gap_us = o->local.gap_ms * 1000;
    x->local_due = x->env->now.mono_us + o->local.delay_ms * 1000;
    x->phase_due = INT64_MAX;
    return ST_UPSTREAM;
}

int dispatch_on_built(exchange *x, const dispatch_input *in)
{
    const plug_out *o = &x->env->out;
    (void)in;
    if (dispatch_call_failed(x)) {
        tp_status st = o->failed ? o->fail_status : x->env->iv.status;
        x->fault = (profile_error){.status = st == TP_E_INPUT || st == TP_E_UNSUPPORTED ? 400
                                             : st == TP_E_NOMEM                         ? 503
                                                                                        : 502,
                                   .param = arena_str(&x->mem, o->fail_param),
                                   .message = arena_str(&x->mem, o->fail_why)};
        if (!x->fault.message.len)
            x->fault.message = STR("The provider's plugin could not build the request.");
        if (st == TP_E_INPUT)
            return dispatch_answer_fault(x);
        dispatch_note(x, STR("its plugin could not build the request"));
        return dispatch_attempt_failed(x, FAULT_INTERNAL);
    }
    if (note_dropped(x) && x->strict) {
        x->fault = (profile_error){
            .status = 400,
            .code = STR("unsupported_parameter"),
            .message = arena_printf(&x->mem,
                                    "Provider '%.*s' cannot carry: %.*s. Leave it out, or "
                                    "do not ask for strictness.",
                                    STR_ARG(x->on->provider->conf->name), STR_ARG(x->dropped))};
        dispatch_note(x, STR("it cannot carry what was asked for, strictly"));
        return dispatch_attempt_failed(x, FAULT_INTERNAL);
    }
    if (o->has_local)
        return start_local(x, o);
    if (!o->has_request || !x->on->provider->origin.host.len) {
        dispatch_fault_of(x, FAULT_INTERNAL,
                          o->has_request ? "the provider has no base_url to send to"
                                         : "the provider's plugin asked for no request");
        return dispatch_attempt_failed(x, FAULT_INTERNAL);
    }
    if (keep_request(x, o) != 0)
        return dispatch_attempt_failed(x, FAULT_INTERNAL);
    if (!o->has_secret && !o->has_sign)
        return dispatch_start(x);
    return dispatch_ask_credential(x, o);
}
