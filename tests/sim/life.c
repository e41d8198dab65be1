/* One life: the driver that takes loop/'s place, and what must hold after each of its steps. */
#include "sim.h"

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MS 1000
#define RUNS_MAX 200000u

static void actor_run(actor *a, dispatch_input in);

static int64_t soon(actor *a, uint64_t max_us)
{
    return a->s->now.mono_us + (int64_t)rng_below(&a->random, max_us + 1);
}

/* ---- Ports: answered at once, or later with a copy of all that the answer holds. */

static int is_late(actor *a, int kind)
{
    if (!chance(&a->random, kind == ASK_CALL ? 3 : 15))
        return 0;
    CHECK(a, !a->asked, "asked while another answer is awaited");
    a->asked = kind;
    a->answer_due = soon(a, 80 * MS);
    a->paused = chance(&a->random, 70);
    return 1;
}

static tp_str copy(arena *m, tp_str s)
{
    return s.ptr ? arena_str(m, s) : s;
}

static void copy_out(arena *m, plug_out *o)
{
    o->segs = arena_dup(m, o->segs, o->seg_count * sizeof(*o->segs));
    for (uint32_t i = 0; i < o->seg_count; i++)
        o->segs[i] = copy(m, o->segs[i]);
    o->headers = arena_dup(m, o->headers, o->header_count * sizeof(*o->headers));
    for (uint32_t i = 0; i < o->header_count; i++)
        o->headers[i] = (tp_header){copy(m, o->headers[i].name), copy(m, o->headers[i].value)};
    o->events = arena_dup(m, o->events, o->event_count * sizeof(*o->events));
    for (uint32_t i = 0; i < o->event_count; i++) {
        tp_event *e = &o->events[i];
        tp_str *all[] = {&e->id, &e->name, &e->text, &e->raw, &e->param};
        for (size_t k = 0; k < TP_COUNT(all); k++)
            *all[k] = copy(m, *all[k]);
    }
    o->reports = arena_dup(m, o->reports, o->report_count * sizeof(*o->reports));
    for (uint32_t i = 0; i < o->report_count; i++) {
        o->reports[i].field = copy(m, o->reports[i].field);
        o->reports[i].why = copy(m, o->reports[i].why);
    }
    tp_str *all[] = {&o->method, &o->path, &o->local_type, &o->secret_name, &o->secret_prefix,
                     &o->sign_scheme, &o->sign_params, &o->fail_param, &o->fail_why};
    for (size_t k = 0; k < TP_COUNT(all); k++)
        *all[k] = copy(m, *all[k]);
}

static int port_call(void *arg, exchange *x, plug_invocation *iv)
{
    actor *a = x->user;
    (void)arg;
    if (!is_late(a, ASK_CALL)) {
        plug_invoke(iv);
        return 1;
    }
    arena *m = &a->late[a->late_at];
    plug_out *was = iv->call->out;
    a->call_out = (plug_out){0};
    iv->call->out = &a->call_out;
    if (iv->what == PLUG_PARSE) {
        a->operation = *iv->operation;
        iv->operation = &a->operation;
    }
    plug_invoke(iv);
    a->iv = *iv;
    a->call = *iv->call;
    a->iv.call = &a->call;
    iv->call->out = was;
    copy_out(m, &a->call_out);
    if (iv->what == PLUG_PARSE) {
        a->operation.format = copy(m, a->operation.format);
        a->operation.model = copy(m, a->operation.model);
        a->operation.user = copy(m, a->operation.user);
    }
    if (iv->what == PLUG_RANK)
        a->iv.order = arena_dup(m, iv->order, iv->order_count * sizeof(*iv->order));
    if (iv->what == PLUG_DATA) {
        a->frame = *iv->frame;
        a->frame.data = copy(m, a->frame.data);
        a->iv.frame = &a->frame;
    }
    a->answer = (dispatch_input){.kind = IN_CALLED};
    return 0;
}

static void note_plan(actor *a, const exchange *x)
{
    const tp_str client = a->shipped ? STR("chat/openai") : STR("sim/client");
    const tp_str canon = a->shipped ? STR("chat/openai") : STR("sim/canon");
    a->planned = 1;
    a->max_attempts = (uint32_t)a->w->conf->routing.max_attempts;
    a->plan_count = x->plan.order_count;
    CHECK(a, a->plan_count && a->plan_count <= a->max_attempts, "a plan of %u", a->plan_count);
    for (uint32_t i = 0; i < a->plan_count; i++) {
        const world_deployment *d = x->plan.order[i];
        const tp_list *f = &d->provider->plugin->provider->formats;
        plan_entry *p = &a->plan[i];
        *p = (plan_entry){.live_key = d->live_key, .priced = d->price_count != 0};
        for (uint32_t k = 0; k < f->count; k++) {
            p->relay |= str_eq(*TP_AT(tp_str, *f, k), client);
            p->convert |= str_eq(*TP_AT(tp_str, *f, k), canon);
        }
    }
}

static int port_hold(void *arg, exchange *x, int64_t nano, int32_t *status)
{
    actor *a = x->user;
    (void)arg;
    a->holds++;
    note_plan(a, x);
    CHECK(a, nano >= 0, "a hold of %lld", (long long)nano);
    CHECK(a, x->plan.model == NULL || a->shipped || nano >= 100 + 3,
          "a hold of %lld is less than the request may cost", (long long)nano);
    CHECK(a, x->reply_id_len, "a hold without a name");
    a->answer = (dispatch_input){.kind = IN_HELD};
    if (a->q.kind == ASK_HELD_BACK || a->q.kind == ASK_NO_LEDGER)
        a->answer = (dispatch_input){.kind = IN_REFUSED, .code = a->q.status};
    if (is_late(a, ASK_HOLD))
        return 0;
    *status = a->answer.code;
    a->granted += a->answer.kind == IN_HELD;
    return a->answer.kind == IN_HELD ? 1 : -1;
}

static int port_credential(void *arg, exchange *x, const world_provider *p, const plug_out *ask,
                           tp_str *secret, const char **why)
{
    actor *a = x->user;
    (void)arg;
    CHECK(a, ask->has_secret && !ask->has_sign, "a credential that was not asked for");
    int has = p->conf->api_key.value.ptr != NULL && !chance(&a->random, 4);
    attempt *at = a->shipped ? actor_attempt(a, x->step) : &a->attempts[a->attempt_count - 1];
    at->no_credential = !has;
    a->answer = (dispatch_input){.kind = IN_CREDENTIAL, .code = has ? 0 : -1,
                                 .bytes = p->conf->api_key.value, .what = "there is none"};
    if (is_late(a, ASK_AWAIT))
        return 0;
    *secret = p->conf->api_key.value;
    *why = "there is none";
    return has ? 1 : -1;
}

static int port_settle(void *arg, exchange *x, const settle_record *r)
{
    actor *a = x->user;
    (void)arg;
    a->settles++;
    CHECK(a, a->granted == 1 && a->settles == 1, "settled %d times for %d holds", a->settles, a->granted);
    CHECK(a, !a->finished && !a->broken, "settled after the last bytes");
    CHECK(a, r->generation.len && r->cost_nano == 0, "a settle record without a name, or settled");
    a->settled_nano = x->cost_nano;
    a->settled_outcome = r->outcome;
    a->answer = (dispatch_input){.kind = IN_SETTLED};
    return !is_late(a, ASK_SETTLE);
}

static int port_manage(void *arg, exchange *x, dispatch_input *reply)
{
    actor *a = x->user;
    (void)arg;
    a->answer = (dispatch_input){.kind = IN_MANAGED, .code = 200, .bytes = STR("{\"well\":true}"),
                                 .what = "application/json"};
    if (is_late(a, ASK_MANAGE))
        return 0;
    *reply = a->answer;
    return 1;
}

static void port_record(void *arg, exchange *x, const settle_record *r)
{
    actor *a = x->user;
    (void)arg;
    a->records++;
    a->recorded_outcome = r->outcome;
    CHECK(a, a->records == 1, "recorded %d times", a->records);
    CHECK(a, (r->method.len && r->path.len) || a->squeezed, "a record without a request");
    CHECK(a, !a->settles || r->outcome == a->settled_outcome || r->outcome == SETTLE_FAILED,
          "recorded as %d, settled as %d", r->outcome, a->settled_outcome);
    CHECK(a, !a->holds || a->settles == a->granted, "recorded before it was settled");
    CHECK(a, r->cost_nano == (a->settles ? a->settled_nano : 0), "recorded at %lld, settled at %lld",
          (long long)r->cost_nano, (long long)a->settled_nano);
    int tries = 0;
    for (int i = 0; i < a->attempt_count; i++)
        tries += a->attempts[i].steps && !(a->attempts[i].build == BUILD_DROPS && a->q.strict);
    CHECK(a, a->shipped || r->attempts == tries || ((a->disturbed || a->squeezed) && r->attempts < tries), "%d attempts recorded of %d", r->attempts, tries);
}

attempt *actor_attempt(actor *a, uint32_t step)
{
    if (step == 0) {
        CHECK(a, a->attempt_count < SIM_ATTEMPTS, "too many attempts");
        attempt *at = &a->attempts[a->attempt_count++];
        at->live_key = a->x.on->live_key;
        at->build = at->no_credential = at->steps = 0;
    }
    return &a->attempts[a->attempt_count - 1];
}

/* ---- The upstream. */

static uint64_t sum(uint64_t h, tp_str s)
{
    static const hash_key key = {1, 2};
    return hash_mix(h) ^ hash_sip(key, s.ptr, s.len);
}

static uint64_t sum_of_request(const dispatch_upstream *u)
{
    uint64_t h = sum(u->header_count, u->target);
    for (uint32_t i = 0; i < u->header_count; i++)
        h = sum(sum(h, u->headers[i].name), u->headers[i].value);
    for (uint32_t i = 0; i < u->seg_count; i++)
        h = sum(h, u->segs[i]);
    return h;
}

/* What an upstream gets: the client's bytes without the hints, as they were or in canonical form. */
static void check_request(actor *a)
{
    const dispatch_upstream *u = &a->x.up;
    buf got = {.max = 1u << 20};
    uint64_t bytes = 0;
    for (uint32_t i = 0; i < u->seg_count; i++) {
        buf_adds(&got, u->segs[i]);
        bytes += u->segs[i].len;
    }
    CHECK(a, bytes == u->body_bytes, "body_bytes %llu of %llu", (unsigned long long)u->body_bytes,
          (unsigned long long)bytes);
    CHECK(a, str_starts(u->target, a->shipped ? STR("/v1/") : STR("/base/")), "target %.*s",
          STR_ARG(u->target));
    if (!a->shipped) {
        tp_str body = buf_str(&got), wanted = buf_str(&a->q.wanted);
        int canon = str_starts(body, STR("{\"canon\":"));
        CHECK(a, canon == !a->x.relay, "canonical %d", canon);
        if (canon)
            body = str_make(body.ptr + 9, body.len - 10);
        if (a->q.rewritten) {
            CHECK(a, str_starts(body, STR("{\"rewritten\":")), "the new body is not used");
            body = str_make(body.ptr + 13, body.len - 14);
        }
        CHECK(a, str_eq(body, wanted), "the upstream gets\n%.*s\ninstead of\n%.*s", STR_ARG(body),
              STR_ARG(wanted));
        CHECK(a, u->header_count >= 2 && str_eq(u->headers[u->header_count - 1].name, STR("authorization")),
              "no credential");
        CHECK(a, str_eq(u->headers[u->header_count - 1].value, STR("Bearer sk-upstream-0123456789")),
              "a wrong credential");
    }
    buf_free(&got);
}

static void choose_pieces(actor *a)
{
    rng *r = &a->random;
    uint64_t kind = rng_below(r, 100);
    size_t n = a->up->cut + 1;
    a->piece = kind < 50 ? (uint32_t)n : kind < 95 ? 1 + (uint32_t)rng_below(r, n) : 1;
    if (a->s->o.one_byte)
        a->piece = 1;
    if (a->up->body.len > 20000)
        a->piece = TP_MAX(a->piece, 3000u);
    size_t pieces = n / a->piece + 1;
    a->gap_us = (int64_t)rng_below(r, 1500 * MS / pieces + 1);
    a->up_fin_alone = chance(r, 50);
}

static void up_start(actor *a)
{
    exchange *x = &a->x;
    attempt *at = &a->attempts[a->attempt_count - 1];
    CHECK(a, !a->up_active, "a second upstream beside the first");
    CHECK(a, !x->committed && !a->heads, "an upstream is started after the first answer");
    CHECK(a, !x->released, "an upstream is started without a request");
    CHECK(a, at->steps < SIM_STEPS, "too many steps");
    a->starts++;
    a->up = &at->step[at->steps++];
    script_make(a->up, &a->random, a->shipped, a->q.stream, 0, at->steps < SIM_STEPS);
    if (a->traced)
        script_print(a->up);
    check_request(a);
    a->up_hash = sum_of_request(&x->up);
    a->up_active = 1;
    a->up_stage = 0;
    a->up_at = 0;
    a->up_due = soon(a, 100 * MS);
    choose_pieces(a);
}

static void up_over(actor *a)
{
    a->up_active = 0;
    a->up_due = INT64_MAX;
}

static void up_fail(actor *a, int code)
{
    up_over(a);
    actor_run(a, (dispatch_input){.kind = IN_UP_FAILED, .code = code, .what = "it was to be"});
}

/* Bytes that are gone after the run, as a reader's buffer is. */
static void up_say(actor *a, const http_head *head, const char *bytes, size_t n, int fin)
{
    char *p = malloc(n ? n : 1);
    TP_MUST(p);
    if (n)
        memcpy(p, bytes, n);
    if (fin)
        up_over(a);
    actor_run(a, (dispatch_input){.kind = IN_UP_REPLY, .head = head, .bytes = {p, n}, .fin = fin});
    memset(p, 0xa5, n);
    free(p);
}

static const http_head *reply_head(actor *a)
{
    size_t max = a->x.req.max;
    a->x.req.max = SIZE_MAX / 2; /* the transport's own memory is not what is short */
    http_head *h = arena_zalloc(&a->x.req, sizeof(*h));
    h->status = a->up->status;
    h->content_length = -1;
    h->known[HTTP_H_CONTENT_TYPE] = arena_str(&a->x.req, str_of(script_type(a->up)));
    a->x.req.max = max;
    return h;
}

static void up_bytes(actor *a, const http_head *head)
{
    static const char *const endless[] = {"z\n", "data: Tz\n\n", "Tz\n", "0002Tz", ""};
    static const char endless_shipped[] = "data: {\"id\":\"u\",\"choices\":[{\"index\":0,\"delta\":"
                                          "{\"content\":\"z\"}}]}\n\n";
    script *s = a->up;
    size_t left = s->cut - a->up_at, n = TP_MIN(left, (size_t)a->piece);
    const char *from = s->body.ptr ? s->body.ptr + a->up_at : "";
    if (left || head) {
        if (head && a->up_fin_alone)
            n = 0;
        a->up_at += n;
        a->up_due = soon(a, (uint64_t)a->gap_us);
        up_say(a, head, from, n, a->up_at == s->cut && s->stop == STOP_WELL && !a->up_fin_alone);
        return;
    }
    switch (s->stop) {
    case STOP_WELL:
        up_say(a, NULL, NULL, 0, 1);
        break;
    case STOP_BROKEN:
        up_fail(a, DISPATCH_UP_BROKEN);
        break;
    case STOP_STALL:
        a->up_due = INT64_MAX;
        break;
    default:
        from = s->shipped && s->form == FORM_SSE ? endless_shipped : endless[s->form];
        a->up_due = a->s->now.mono_us + 500 * MS;
        up_say(a, NULL, from, strlen(from), 0);
        break;
    }
}

static void release(actor *a)
{
    a->release_wanted = 0;
    a->released = 1;
    dispatch_release_request(&a->x);
    free(a->body);
    a->body = NULL;
}

/* Now and then a client reads so slowly that its upstream has to wait, longer than it may be silent. */
static int slow_client(actor *a)
{
    if (a->slow == 1) {
        a->slow = 2;
        a->due = dispatch_paused(&a->x, 0, a->s->now);
    } else if (!a->slow && chance(&a->random, 1)) {
        a->slow = 1;
        a->due = dispatch_paused(&a->x, 1, a->s->now);
        a->up_due = soon(a, 8000 * MS);
        return 1;
    }
    return 0;
}

static void up_tick(actor *a)
{
    exchange *x = &a->x;
    a->up_due = soon(a, 50 * MS);
    switch (a->up_stage) {
    case 0:
        if (a->up->way == WAY_REFUSES || a->up->way == WAY_NOMEM) {
            up_fail(a, a->up->way == WAY_NOMEM ? DISPATCH_UP_NOMEM : DISPATCH_UP_UNREACHABLE);
        } else if (a->up->way == WAY_NO_CONNECTION) {
            a->up_due = INT64_MAX;
        } else {
            a->up_stage = 1;
            actor_run(a, (dispatch_input){.kind = IN_UP_PROGRESS, .code = DISPATCH_UP_SENDING});
        }
        break;
    case 1:
        CHECK(a, sum_of_request(&x->up) == a->up_hash, "the request changed while it was sent");
        a->up_stage = 2;
        if (a->release_wanted)
            release(a);
        actor_run(a, (dispatch_input){.kind = IN_UP_PROGRESS, .code = DISPATCH_UP_SENT});
        break;
    case 2:
        if (a->up->way == WAY_DIES || a->up->way == WAY_PROTOCOL) {
            up_fail(a, a->up->way == WAY_DIES ? DISPATCH_UP_BROKEN : DISPATCH_UP_PROTOCOL);
        } else if (a->up->way == WAY_NO_ANSWER) {
            a->up_due = INT64_MAX;
        } else {
            a->up_stage = 3;
            up_bytes(a, reply_head(a));
        }
        break;
    default:
        if (!slow_client(a))
            up_bytes(a, NULL);
        break;
    }
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
        actor_run(a, (dispatch_input){.kind = IN_BODY_FAILED, .code = a->q.status, .what = "No body."});
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
    if (!act->done && !act->ask && !a->up_active && !act->start_upstream && a->client_due == INT64_MAX &&
        !act->read_body)
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
    static const char *const inputs[] = {"?", "HEAD", "BODY", "BODY_FAILED", "CALLED", "HELD", "REFUSED",
                                         "CREDENTIAL", "SETTLED", "MANAGED", "UP_PROGRESS", "UP_REPLY",
                                         "UP_FAILED", "TIMER", "CLIENT_GONE", "STOP"};
    static const char *const asks[] = {"", " ask CALL", " ask HOLD", " ask AWAIT", " ask SETTLE",
                                       " ask MANAGE"};
    fprintf(stderr, "%12lld #%d %s code %d, %zu bytes, fin %d ->%s%s%s%s%s%s%s%s%s state %d\n",
            (long long)a->s->now.mono_us, a->id, inputs[in->kind], in->code, in->bytes.len, in->fin,
            act->cancel_upstream ? " cancel" : "", act->read_body ? " read_body" : "",
            act->respond ? " respond" : "", act->finish ? " finish" : "", act->broken ? " broken" : "",
            act->start_upstream ? " start" : "", asks[act->ask], act->release_request ? " release" : "",
            act->done ? " done" : "", a->x.state);
    for (uint32_t i = 0; i < act->seg_count; i++)
        fprintf(stderr, "    | %.*s\n", (int)TP_MIN(act->segs[i].len, (size_t)300), act->segs[i].ptr);
}

static void actor_run(actor *a, dispatch_input in)
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
    CHECK(a, a->x.up_active == (a->up_active || act.start_upstream), "up_active %d", a->x.up_active);
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
        if (a->up->way != WAY_REFUSES && a->up->way != WAY_NOMEM && a->up->way != WAY_NO_CONNECTION &&
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
            release(a);
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
            CHECK(a, atomic_load(&route_live_of(s->live, s->actors[i].attempts[k].live_key)->in_flight) == 0,
                  "in_flight is not back at 0");
}

void sim_life(sim *s, uint64_t seed)
{
    s->seed = seed;
    s->random = (rng){hash_mix(seed + 0x9e3779b97f4a7c15u)};
    s->env.random = (rng){rng_next(&s->random)};
    s->env.serial = 0;
    s->now = (tp_now){.mono_us = 1000000, .unix_ms = 1700000000000};
    s->env.ports = (dispatch_ports){.call = port_call, .hold = port_hold, .credential = port_credential,
                                    .settle = port_settle, .manage = port_manage, .record = port_record};
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
        if (reload && left-- == 0) { /* the next world has come: this one is only kept by exchanges */
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
