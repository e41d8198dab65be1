/* The ports: answered at once, or later with a copy of all that the answer holds. */
#include "sim.h"

#include <stdlib.h>
#include <string.h>

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
    tp_str *all[] = {&o->method,      &o->path,          &o->local_type,
                     &o->secret_name, &o->secret_prefix, &o->sign_scheme,
                     &o->sign_params, &o->fail_param,    &o->fail_why};
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

static int port_hold(void *arg, exchange *x, int64_t nano, admit_tokens tokens, profile_error *why)
{
    actor *a = x->user;
    (void)arg;
    a->holds++;
    note_plan(a, x);
    CHECK(a, nano >= 0 && tokens.least >= 0 && tokens.most >= tokens.least, "a hold of %lld",
          (long long)nano);
    CHECK(a, x->plan.model == NULL || a->shipped || nano >= 100 + 3,
          "a hold of %lld is less than the request may cost", (long long)nano);
    CHECK(a, x->reply_id_len, "a hold without a name");
    a->answer = (dispatch_input){.kind = IN_HELD};
    if (a->q.kind == ASK_HELD_BACK || a->q.kind == ASK_NO_LEDGER)
        a->answer = (dispatch_input){.kind = IN_REFUSED};
    if (a->answer.kind == IN_REFUSED)
        *why = (profile_error){.status = a->q.status};
    if (is_late(a, ASK_HOLD))
        return 0;
    a->granted += a->answer.kind == IN_HELD;
    return a->answer.kind == IN_HELD ? 1 : -1;
}

static int port_credential(void *arg, exchange *x, const world_provider *p,
                           const dispatch_need *need, tp_str *secret, const char **why)
{
    actor *a = x->user;
    (void)arg;
    int has = p->conf->api_key.value.ptr != NULL && !chance(&a->random, 4);
    attempt *at = a->shipped ? actor_attempt(a, x->step) : &a->attempts[a->attempt_count - 1];
    CHECK(a, a->shipped || (need->scope.ptr != NULL) == (at->sign == 1), "a need of another kind");
    CHECK(a, !need->scope.ptr || str_eq(need->scope, STR("cloud")), "a scope of %.*s",
          STR_ARG(need->scope));
    CHECK(a, !need->own && str_eq(need->secret, p->conf->api_key.value), "another secret");
    tp_str given = !a->shipped && at->sign == 2 ? STR("AKIDSIM:sim-secret") : need->secret;
    at->no_credential = !has;
    a->answer = (dispatch_input){.kind = IN_CREDENTIAL,
                                 .code = has ? 0 : -1,
                                 .bytes = given,
                                 .what = "there is none"};
    if (is_late(a, ASK_AWAIT)) {
        if (chance(&a->random, 15)) /* it never comes */
            a->answer_due = INT64_MAX;
        return 0;
    }
    *secret = given;
    *why = "there is none";
    return has ? 1 : -1;
}

static void port_credential_leave(void *arg, exchange *x)
{
    actor *a = x->user;
    (void)arg;
    CHECK(a, a->asked == ASK_AWAIT, "left while %d is awaited", a->asked);
    a->asked = 0;
    a->answer_due = INT64_MAX;
    if (!x->gone)
        a->attempts[a->attempt_count - 1].no_credential = 2;
}

static void port_credential_refused(void *arg, exchange *x)
{
    actor *a = x->user;
    (void)arg;
    CHECK(a, !a->shipped && a->attempts[a->attempt_count - 1].sign == 1 && x->up_status == 401,
          "a token was refused that nobody had");
}

static int port_settle(void *arg, exchange *x, settle_record *r)
{
    actor *a = x->user;
    (void)arg;
    a->settles++;
    CHECK(a, a->granted == 1 && a->settles == 1, "settled %d times for %d holds", a->settles,
          a->granted);
    CHECK(a, !a->finished && !a->broken, "settled after the last bytes");
    CHECK(a, r->generation.len && r->cost_nano == x->cost_nano,
          "a settle record without a name, or of another cost");
    a->settled_nano = x->cost_nano;
    a->settled_outcome = r->outcome;
    a->answer = (dispatch_input){.kind = IN_SETTLED};
    return !is_late(a, ASK_SETTLE);
}

static int port_manage(void *arg, exchange *x, dispatch_input *reply)
{
    actor *a = x->user;
    (void)arg;
    a->answer = (dispatch_input){.kind = IN_MANAGED,
                                 .code = 200,
                                 .bytes = STR("{\"well\":true}"),
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
    CHECK(a, r->cost_nano == (a->settles ? a->settled_nano : 0),
          "recorded at %lld, settled at %lld", (long long)r->cost_nano, (long long)a->settled_nano);
    int tries = 0;
    for (int i = 0; i < a->attempt_count; i++)
        tries += a->attempts[i].steps && !(a->attempts[i].build == BUILD_DROPS && a->q.strict);
    CHECK(a,
          a->shipped || r->attempts == tries ||
              ((a->disturbed || a->squeezed) && r->attempts < tries),
          "%d attempts recorded of %d", r->attempts, tries);
}

attempt *actor_attempt(actor *a, uint32_t step)
{
    if (step == 0) {
        CHECK(a, a->attempt_count < SIM_ATTEMPTS, "too many attempts");
        attempt *at = &a->attempts[a->attempt_count++];
        at->live_key = a->x.on->live_key;
        at->build = at->no_credential = at->steps = at->sign = 0;
    }
    return &a->attempts[a->attempt_count - 1];
}

dispatch_ports sim_ports(void)
{
    return (dispatch_ports){.call = port_call,
                            .hold = port_hold,
                            .credential = port_credential,
                            .credential_leave = port_credential_leave,
                            .credential_refused = port_credential_refused,
                            .settle = port_settle,
                            .manage = port_manage,
                            .record = port_record};
}
