/* The end of a life: errors, settling, the last bytes, the record. */
#include "dispatch/dispatch_int.h"

#include <string.h>

#define RESERVE (32u << 10)
#define LINGER_US 1000000 /* how long a finished stream may take to end its HTTP message */

/* ---- Errors. */

int dispatch_fail(exchange *x, int32_t status, tp_str type, tp_str param, tp_str message,
                  tp_str code)
{
    x->fault = (profile_error){.status = status,
                               .type = arena_str(&x->mem, type),
                               .param = arena_str(&x->mem, param),
                               .message = arena_str(&x->mem, message),
                               .code = arena_str(&x->mem, code)};
    return dispatch_answer_fault(x);
}

int dispatch_fail_with(exchange *x, const profile_error *e)
{
    int32_t retry = e->retry_after_s;
    x->fault = (profile_error){.status = e->status,
                               .retry_after_s = retry,
                               .type = arena_str(&x->mem, e->type),
                               .param = arena_str(&x->mem, e->param),
                               .message = arena_str(&x->mem, e->message),
                               .code = arena_str(&x->mem, e->code)};
    return dispatch_answer_fault(x);
}

int dispatch_answer_fault(exchange *x)
{
    dispatch_upstream_over(x, 0);
    x->outcome = SETTLE_FAILED;
    x->tally.terminal = STREAM_ERROR;
    x->pending = STR_NONE;
    stream_clear(&x->events);
    return dispatch_settle(x);
}

static int32_t code_of_status(int32_t status)
{
    switch (status) {
    case 400:
        return TP_ERR_INVALID;
    case 401:
        return TP_ERR_AUTH;
    case 403:
        return TP_ERR_FORBIDDEN;
    case 404:
        return TP_ERR_NOT_FOUND;
    case 429:
        return TP_ERR_RATE;
    case 503:
        return TP_ERR_OVERLOADED;
    case 504:
        return TP_ERR_TIMEOUT;
    default:
        return TP_ERR_UPSTREAM;
    }
}

static tp_event error_event(const exchange *x)
{
    const profile_error *f = &x->fault;
    return (tp_event){.size = sizeof(tp_event),
                      .kind = TP_EV_ERROR,
                      .code = code_of_status(f->status),
                      .number = f->retry_after_s > 0 ? (int64_t)f->retry_after_s * 1000 : -1,
                      .id = f->code,
                      .name = f->type.len ? f->type : profile_error_type(f->status),
                      .text = f->message,
                      .param = f->param};
}

/* A plugin may have used up all the memory of a run: the host's own few words still fit. The limit
 * that was, for the caller to put back. */
static size_t open_reserve(exchange *x)
{
    arena *a = &x->env->scratch->mem;
    size_t was = a->max;
    a->max = TP_MAX(was, a->used + RESERVE);
    return was;
}

/* The error in the surface's envelope: nothing was sent before it. */
static int write_envelope(exchange *x)
{
    dispatch_env *env = x->env;
    size_t max = open_reserve(x);
    buf b;
    buf_init(&b, 1u << 20);
    if (profile_write_error(x->route ? x->route->surface : NULL, &x->fault, &b) == 0)
        plug_out_write(env->scratch, &env->client, buf_str(&b), 1);
    buf_free(&b);
    plug_out_header(env->scratch, &env->client, STR("Content-Type"), STR("application/json"));
    if (x->fault.retry_after_s > 0) { /* headers are borrowed until the step's actions are done */
        char *digits = arena_alloc(&env->scratch->mem, 12), *p = digits ? digits + 12 : NULL;
        for (int32_t s = x->fault.retry_after_s; p && s; s /= 10)
            *--p = (char)('0' + s % 10);
        if (p)
            plug_out_header(env->scratch, &env->client, STR("Retry-After"),
                            str_make(p, (size_t)(digits + 12 - p)));
    }
    env->client.http_status = x->fault.status;
    env->scratch->mem.max = max;
    dispatch_take_render(x);
    return dispatch_finish(x);
}

/* ---- Settling comes before the last bytes, and after all that can still go wrong with them: what
 * could not be written is not charged. */

int dispatch_complete(exchange *x)
{
    tp_event end = {.size = sizeof(end), .kind = TP_EV_END};
    return dispatch_render_all(x, &end, ST_WRITTEN);
}

int dispatch_on_written(exchange *x, const dispatch_input *in)
{
    (void)in;
    if (dispatch_call_failed(x)) {
        dispatch_drop_render(x);
        return dispatch_unrendered(x);
    }
    x->written = 1;
    return dispatch_settle(x);
}

void dispatch_keep_written(exchange *x)
{
    plug_out *c = &x->env->client;
    tp_header *h = arena_dup(&x->mem, c->headers, c->header_count * sizeof(*h));
    int ok = h != NULL;
    for (uint32_t i = 0; ok && i < c->header_count; i++) {
        h[i] = (tp_header){arena_str(&x->mem, h[i].name), arena_str(&x->mem, h[i].value)};
        ok = h[i].name.ptr && h[i].value.ptr;
    }
    /* The upstream's bytes have been used, but what is rendered may be spans of them. */
    buf kept;
    buf_init(&kept, TP_MAX(x->whole.max, c->bytes));
    for (uint32_t i = 0; ok && i < c->seg_count; i++)
        ok = buf_adds(&kept, c->segs[i]) == 0;
    buf_free(&x->whole);
    x->whole = kept;
    x->chunk_used = 0;
    x->kept_headers = h;
    x->kept_header_count = c->header_count;
    x->kept_status = c->http_status;
    x->unrendered = !ok;
    plug_out_reset(c);
}

/* The rendered reply goes out; it lies in the run's memory, or was kept for longer. */
static int send_written(exchange *x)
{
    dispatch_env *env = x->env;
    plug_out *c = &env->client;
    int rc = 0;
    if (x->kept_headers) {
        c->http_status = x->kept_status;
        for (uint32_t i = 0; i < x->kept_header_count; i++)
            rc |= plug_out_header(env->scratch, c, x->kept_headers[i].name,
                                  x->kept_headers[i].value);
        rc |= plug_out_write(env->scratch, c, buf_str(&x->whole), 0);
    }
    if (rc != 0 || x->unrendered) {
        x->fault = (profile_error){.status = 503, .message = STR("The gateway is out of memory.")};
        plug_out_reset(c);
        return write_envelope(x);
    }
    dispatch_take_render(x);
    return dispatch_finish(x);
}

/* What the usage comes to. An answer that failed costs nothing, whatever of it was delivered. */
static void price(exchange *x, int delivered)
{
    const world_deployment *base = x->world->baseline;
    x->cost_nano = x->on && delivered ? settle_cost(x->on, &x->tally.used) : 0;
    x->baseline_nano = base && x->on && delivered ? settle_cost(base, &x->tally.used) : -1;
}

/* What the upstream did not come to count: the prompt's estimate, and four bytes of answer a token,
 * never more than was asked for. What it did say stays. */
static void estimate(exchange *x)
{
    usage *u = &x->tally.used, said = *u;
    int64_t since = x->relayed - x->relayed_said, room = x->on->context_length;
    settle_estimate(u, room >= 0 ? TP_MIN(x->prompt_estimate, room) : x->prompt_estimate,
                    x->relayed);
    if (settle_known(&said) && since > 0) /* some tell a count before they begin */
        usage_set(u, STR("completion"), usage_get(u, STR("completion")) + (since + 3) / 4);
    int64_t most = settle_output_most(x->on, &x->op), made = usage_get(u, STR("completion"));
    if (!__builtin_mul_overflow(most, TP_MAX((int64_t)x->op.choices, 1), &most) && made > most &&
        made > usage_get(&said, STR("completion"))) /* more was not asked for */
        usage_set(u, STR("completion"), TP_MAX(most, usage_get(&said, STR("completion"))));
    x->estimated = memcmp(&said, u, sizeof(said)) != 0;
}

/* A stream that its client broke off: what was relayed before is paid for, as the upstream counted
 * it, or else estimated; before the first answer nothing is. */
static void price_aborted(exchange *x)
{
    /* The upstream did not come to say its last count, which may follow the end of the answer. */
    if (x->committed && (!x->tally.finish || !settle_known(&x->tally.used)))
        estimate(x);
    price(x, x->committed);
    if (!x->committed)
        x->tally.used = (usage){0};
}

int dispatch_settle(exchange *x)
{
    static const dispatch_input none = {.kind = IN_SETTLED};
    x->outcome = x->tally.terminal == STREAM_ENDED ? SETTLE_COMPLETED : SETTLE_FAILED;
    stream_step(&x->tally);
    if (!x->held || x->settled) {
        return dispatch_on_settled(x, &none);
    }
    if (x->outcome == SETTLE_COMPLETED && x->on && !x->tally.used.count)
        estimate(x); /* it was answered, and not a word said of what that took */
    price(x, x->outcome != SETTLE_FAILED);
    x->asking = ASK_SETTLE;
    x->after_ask = ST_SETTLED;
    return STAY;
}

static int end_of_life(exchange *x)
{
    settle_record r;
    if (!x->recorded && x->route && x->env->ports.record) { /* without a head, no request */
        dispatch_record_of(x, &r);
        x->env->ports.record(x->env->ports.arg, x, &r);
    }
    x->recorded = 1;
    dispatch_leave(x);
    x->env->act->release_request = 1;
    return ST_DONE;
}

void dispatch_leave(exchange *x)
{
    if (!x->left && x->env->admit)
        admit_release(x->env->admit, &x->who, x->env->now);
    x->left = 1;
}

static int render_last(exchange *x, tp_event e)
{
    x->env->last = e;
    return dispatch_render(x, &x->env->last, 1, ST_LAST);
}

int dispatch_on_settled(exchange *x, const dispatch_input *in)
{
    (void)in;
    x->settled |= x->held;
    x->held = 0;
    if (x->gone)
        return end_of_life(x);
    if (x->tally.terminal == STREAM_ENDED) {
        tp_event end = {.size = sizeof(end), .kind = TP_EV_END};
        if (x->written)
            return send_written(x);
        return render_last(x, end);
    }
    if (!x->op.size || (x->unrendered && !x->responded)) /* no endpoint has seen it, or it cannot */
        return write_envelope(x);
    return render_last(x, error_event(x));
}

int dispatch_unrendered(exchange *x)
{
    if (x->tally.terminal != STREAM_ERROR || !x->fault.status)
        x->fault = (profile_error){
            .status = 500, .message = STR("The endpoint's plugin could not write the reply.")};
    x->unrendered = 1;
    return dispatch_answer_fault(x);
}

int dispatch_on_last(exchange *x, const dispatch_input *in)
{
    (void)in;
    if (!dispatch_call_failed(x)) {
        dispatch_take_render(x);
        return dispatch_finish(x);
    }
    dispatch_drop_render(x);
    if (!x->responded)
        return dispatch_unrendered(x);
    /* It can only be broken off, so that it does not look complete. */
    x->env->act->broken = 1;
    x->outcome = SETTLE_FAILED;
    dispatch_upstream_over(x, 0);
    return end_of_life(x);
}

/* ---- Response. */

static void named_header(exchange *x, const char *suffix, tp_str value)
{
    tp_str prefix = x->route && x->route->surface ? x->route->surface->header_prefix
                                                  : STR("X-Turnpike");
    size_t n = strlen(suffix);
    char *p = arena_alloc(&x->env->scratch->mem, prefix.len + n);
    if (!p || !value.len)
        return;
    memcpy(p, prefix.ptr, prefix.len);
    memcpy(p + prefix.len, suffix, n);
    plug_out_header(x->env->scratch, &x->env->client, str_make(p, prefix.len + n), value);
}

static void number_header(exchange *x, tp_str name, int64_t v)
{
    char *end = arena_alloc(&x->env->scratch->mem, 24), *p;
    if (!end)
        return;
    p = end += 24;
    do
        *--p = (char)('0' + v % 10);
    while ((v /= 10) > 0);
    plug_out_header(x->env->scratch, &x->env->client, name, str_make(p, (size_t)(end - p)));
}

static void limit_headers(exchange *x)
{
    const window_view *v = &x->who.window;
    if (v->limit <= 0)
        return;
    number_header(x, STR("X-RateLimit-Limit"), v->limit);
    number_header(x, STR("X-RateLimit-Remaining"), TP_MAX(v->remaining, 0));
    number_header(x, STR("X-RateLimit-Reset"), TP_MAX(v->reset_s, 0));
}

static void money_header(exchange *x, const char *suffix, int64_t nano)
{
    char text[40];
    size_t n = money_print(text, nano);
    named_header(x, suffix, arena_str(&x->env->scratch->mem, str_make(text, n)));
}

/* On whole replies: what it cost, and what was saved against the baseline. */
static void cost_headers(exchange *x)
{
    if (!x->route || !x->route->surface || !x->route->surface->cost_headers || !x->settled ||
        x->outcome != SETTLE_COMPLETED)
        return;
    money_header(x, "-Cost", x->cost_nano);
    if (x->baseline_nano >= 0)
        money_header(x, "-Savings", x->baseline_nano - x->cost_nano);
}

int dispatch_take_render(exchange *x)
{
    dispatch_env *env = x->env;
    if (x->responded)
        return 0;
    size_t max = open_reserve(x);
    x->responded = 1;
    x->status_sent = env->client.http_status      ? env->client.http_status
                     : x->tally.terminal == STREAM_ERROR ? x->fault.status
                                                         : 200;
    env->act->respond = 1;
    env->act->status = x->status_sent;
    plug_out_header(env->scratch, &env->client, STR("X-Request-Id"), x->request_id);
    if (x->on && x->outcome != SETTLE_FAILED)
        named_header(x, "-Provider", x->on->provider->conf->name);
    named_header(x, "-Dropped", x->dropped);
    limit_headers(x);
    cost_headers(x);
    env->scratch->mem.max = max;
    return 0;
}

int dispatch_finish(exchange *x)
{
    x->env->act->finish = 1;
    x->finished = 1;
    x->pending = STR_NONE;
    end_of_life(x);
    if (x->up_active) {
        x->phase_due = x->env->now.mono_us + LINGER_US;
        x->total_due = x->local_due = INT64_MAX;
        return ST_LINGER;
    }
    dispatch_upstream_over(x, 0);
    return ST_DONE;
}

int dispatch_on_linger(exchange *x, const dispatch_input *in)
{
    if (in->kind == IN_UP_REPLY && in->fin)
        x->up_active = 0;
    else if (in->kind == IN_UP_FAILED)
        x->up_active = 0;
    else if (in->kind != IN_TIMER || x->env->now.mono_us < x->phase_due)
        return STAY;
    dispatch_upstream_over(x, 0);
    return ST_DONE;
}

int dispatch_gone(exchange *x)
{
    x->gone = 1;
    dispatch_upstream_over(x, 0);
    x->pending = STR_NONE;
    if (x->finished)
        return ST_DONE;
    if (x->asking != ASK_SETTLE && !x->settled) /* else the ledger has been told how it ended */
        x->outcome = SETTLE_CANCELLED;
    dispatch_leave_credential(x);
    if (x->asking) /* its answer is awaited, then this is called again */
        return STAY;
    if (!x->held || x->settled)
        return end_of_life(x);
    stream_step(&x->tally);
    price_aborted(x);
    x->asking = ASK_SETTLE;
    x->after_ask = ST_SETTLED;
    return STAY;
}

/* The status of an answer that has not gone out yet: it is settled before. */
static int32_t status_to_be(const exchange *x)
{
    if (x->gone)
        return 0;
    if (x->tally.terminal != STREAM_ENDED)
        return x->fault.status;
    int32_t rendered = x->kept_headers ? x->kept_status : x->env->client.http_status;
    return rendered ? rendered : 200;
}

void dispatch_record_of(const exchange *x, settle_record *r)
{
    const world_route *route = x->route;
    int64_t now = x->env->now.mono_us;
    int64_t first = x->streaming ? x->token_us : x->first_us;
    *r = (settle_record){
        .generation = str_make(x->reply_id, x->reply_id_len),
        .upstream_id = x->upstream_id,
        .request_id = x->request_id,
        .key = admit_name(&x->who),
        .key_id = x->who.key ? x->who.key->id : STR_NONE,
        .team = x->who.team ? x->who.team->id : STR_NONE,
        .client = x->peer,
        .price_version = x->on ? str_of(x->on->price_version) : STR_NONE,
        .prompt = x->prompt,
        .flags = (x->byok ? SETTLE_BYOK : 0u) | (x->estimated ? SETTLE_ESTIMATED : 0u),
        .hold_nano = x->hold_nano,
        .charged_nano = x->settled ? x->charged_nano : 0,
        .baseline_nano = x->baseline_nano,
        .surface = route && route->surface ? route->surface->name : STR_NONE,
        .endpoint = route && route->endpoint ? route->endpoint->name : STR_NONE,
        .model_asked = x->asked,
        .model_served = x->on ? x->on->conf->model : STR_NONE,
        .provider = x->on ? x->on->provider->conf->name : STR_NONE,
        .method = x->method,
        .path = x->path,
        .unix_ms = x->start_unix_ms,
        .latency_us = now - x->start_us,
        .first_token_us = first >= 0 ? first - x->start_us : -1,
        .bytes_in = x->bytes_in,
        .bytes_out = x->bytes_out + (int64_t)x->env->client.bytes,
        .used = x->tally.used,
        .cost_nano = x->settled ? x->cost_nano : 0,
        .status = x->status_sent ? x->status_sent : status_to_be(x),
        .outcome = x->outcome ? x->outcome : SETTLE_COMPLETED,
        .attempts = x->attempts,
        .failures = x->failures,
        .error = dispatch_trouble(x),
        .streamed = x->streaming,
        .finish = x->tally.finish};
}
