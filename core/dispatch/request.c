/* From the head to the plan: route, admission, body, operation, candidates, hold. */
#include "dispatch/dispatch_int.h"

#include <string.h>

static int valid_request_id(tp_str s)
{
    if (s.len == 0 || s.len > 128)
        return 0;
    for (size_t i = 0; i < s.len; i++)
        if (s.ptr[i] <= ' ' || s.ptr[i] > '~' || s.ptr[i] == '"' || s.ptr[i] == '\\')
            return 0;
    return 1;
}

/* "req-" and 80 random bits. */
static tp_str new_request_id(exchange *x)
{
    static const char hex[] = "0123456789abcdef";
    char *p = arena_alloc(&x->mem, 24);
    uint64_t a = rng_next(&x->env->random), b = hash_mix(a ^ ++x->env->serial);
    if (!p)
        return STR_NONE;
    memcpy(p, "req-", 4);
    for (int i = 0; i < 16; i++, a >>= 4)
        p[4 + i] = hex[a & 15];
    for (int i = 0; i < 4; i++, b >>= 4)
        p[20 + i] = hex[b & 15];
    return str_make(p, 24);
}

static void name_request(exchange *x)
{
    tp_str given = x->head->known[HTTP_H_REQUEST_ID];
    x->request_id = valid_request_id(given) ? arena_str(&x->mem, given) : new_request_id(x);
}

/* The surface whose base path holds this path: its envelope serves an unknown path too. */
static const conf_surface *surface_of(const world *w, tp_str path)
{
    const conf_surface *best = NULL;
    for (uint32_t i = 0; i < w->conf->surface_count; i++) {
        const conf_surface *s = &w->conf->surfaces[i];
        if (s->enabled && str_starts(path, s->base_path) &&
            (path.len == s->base_path.len || path.ptr[s->base_path.len] == '/') &&
            (!best || s->base_path.len > best->base_path.len))
            best = s;
    }
    return best;
}

static int out_of_memory(exchange *x)
{
    return dispatch_fail(x, 503, STR_NONE, STR_NONE, STR("The gateway is out of memory."),
                         STR_NONE);
}

static int is_json_type(tp_str type)
{
    if (str_eq(type, STR("application/json")))
        return 1;
    tp_str t = str_trim(str_make(type.ptr, str_find(type, ';')));
    return str_ieq(t, STR("application/json")) ||
           (t.len > 5 && str_ieq(str_skip(t, t.len - 5), STR("+json")));
}

/* Checks answer 0, or 1 and the state that the refusal leads to. */
static int check_method(exchange *x, int *next)
{
    const http_head *h = x->head;
    if (!x->route->method) /* several: whoever answers it knows which */
        return 0;
    int ok = x->route->method == HTTP_GET ? h->method == HTTP_GET || h->method == HTTP_HEAD
                                          : h->method == x->route->method;
    if (ok)
        return 0;
    plug_out_header(x->env->scratch, &x->env->client, STR("Allow"),
                    x->route->method == HTTP_GET ? STR("GET, HEAD") : STR("POST"));
    tp_str why = arena_printf(&x->mem, "Method %.*s is not allowed for %.*s.",
                              STR_ARG(h->method_text), STR_ARG(h->path));
    *next = dispatch_fail(x, 405, STR_NONE, STR_NONE, why, STR("method_not_allowed"));
    return 1;
}

static int check_coding(exchange *x, int *next)
{
    tp_str coding = x->head->known[HTTP_H_CONTENT_ENCODING];
    if (!coding.len || str_ieq(coding, STR("identity")))
        return 0;
    *next = dispatch_fail(x, 415, STR_NONE, STR_NONE,
                          arena_printf(&x->mem,
                                       "Content-Encoding '%.*s' is not supported; send the body as "
                                       "it is.",
                                       STR_ARG(coding)),
                          STR("unsupported_content_encoding"));
    return 1;
}

static int check_body_kind(exchange *x, int *next)
{
    const http_head *h = x->head;
    tp_str type = h->known[HTTP_H_CONTENT_TYPE];
    if (h->content_length < 0 && !h->chunked) {
        *next = dispatch_fail(x, 411, STR_NONE, STR_NONE,
                      STR("A body is needed: send Content-Length or Transfer-Encoding: chunked."),
                      STR("length_required"));
        return 1;
    }
    if (type.ptr && !is_json_type(type)) {
        *next = dispatch_fail(x, 415, STR_NONE, STR_NONE,
                      arena_printf(&x->mem, "Content-Type '%.*s' is not supported here; send "
                                            "application/json.", STR_ARG(type)),
                      STR("unsupported_media_type"));
        return 1;
    }
    return check_coding(x, next);
}

static int refused(exchange *x, const profile_error *e)
{
    if (e->status == 401)
        plug_out_header(x->env->scratch, &x->env->client, STR("WWW-Authenticate"), STR("Bearer"));
    return dispatch_fail_with(x, e);
}

static int ask_manage(exchange *x)
{
    x->asking = ASK_MANAGE;
    x->after_ask = ST_MANAGED;
    return STAY;
}

static int unknown_path(exchange *x)
{
    tp_str why = arena_printf(&x->mem, "Unknown path %.*s; see the API reference for what is "
                                       "served.", STR_ARG(x->head->path));
    return dispatch_fail(x, 404, STR_NONE, STR_NONE, why, STR("unknown_path"));
}

/* Who it is is known: now what is asked for. */
static int admitted(exchange *x)
{
    int next = ST_DONE;
    const http_head *h = x->head;
    if (!x->route->kind)
        return unknown_path(x);
    if (check_method(x, &next))
        return next;
    if (x->route->kind != WORLD_ENDPOINT) {
        if (x->route->method || (h->content_length <= 0 && !h->chunked))
            return ask_manage(x);
        if (check_coding(x, &next))
            return next;
        x->env->act->read_body = 1;
        return ST_MANAGE;
    }
    if (check_body_kind(x, &next))
        return next;
    tp_str strict = http_header(h, STR("x-turnpike-strict"));
    x->strict = str_ieq(strict, STR("true")) || str_eq(strict, STR("1"));
    x->env->act->read_body = 1;
    return ST_BODY;
}

int dispatch_on_verified(exchange *x, const dispatch_input *in)
{
    profile_error e;
    if (in->code < 0) {
        admit_unverified(x->env->admit, x->world, x->peer, x->env->now, &x->who);
        return dispatch_fail_with(
            x, &(profile_error){.status = 503,
                                .retry_after_s = 1,
                                .message = STR("Too many keys are being verified; try again.")});
    }
    if (admit_verified(x->env->admit, x->world, x->route, in->code, admit_presented(x->head),
                       x->peer, x->env->now, &x->who, &e) != ADMIT_OK)
        return refused(x, &e);
    return admitted(x);
}

/* Where nothing is: it counts like any request, and is told the same, its limits. */
static void go_nowhere(exchange *x)
{
    static const world_route nowhere = {.is_public = 1};
    world_route *r = arena_dup(&x->mem, &nowhere, sizeof(nowhere));
    if (r)
        r->surface = world_surface_for(x->world, surface_of(x->world, x->head->path),
                                       admit_presented(x->head));
    x->route = r ? r : &nowhere;
}

/* For its own sake, whatever it asks for and whoever asks. */
static int head_refused(exchange *x, const dispatch_input *in)
{
    dispatch_note(x, str_of(in->what));
    return dispatch_fail_with(x, &(profile_error){.status = in->code,
                                                  .retry_after_s = in->code == 503,
                                                  .message = str_of(in->what)});
}

static int head_failed(exchange *x, const dispatch_input *in)
{
    go_nowhere(x);
    if (x->env->admit)
        admit_unread(x->env->admit, x->world, x->route, x->peer, x->env->now, &x->who);
    return head_refused(x, in);
}

int dispatch_on_head(exchange *x, const dispatch_input *in)
{
    profile_error e;
    if (in->kind != IN_HEAD && in->kind != IN_HEAD_FAILED)
        return STAY;
    x->head = in->head;
    x->is_head = x->head->method == HTTP_HEAD;
    name_request(x);
    x->method = arena_str(&x->mem, x->head->method_text);
    x->path = arena_str(&x->mem, x->head->path);
    if (in->kind == IN_HEAD_FAILED)
        return head_failed(x, in);
    x->route = world_route_find(x->world, x->head->path, &x->rest);
    if (!x->route)
        go_nowhere(x);
    else if (x->route->guest_count)
        x->route = world_route_for(x->route, admit_presented(x->head));
    int rc = admit_check(x->env->admit, x->world, x->route, x->head, x->peer, x->env->now, &x->who,
                         &e);
    if (in->code && (rc != ADMIT_REFUSED || in->code == 503))
        return head_refused(x, in);
    if (rc == ADMIT_SLOW) {
        x->asking = ASK_VERIFY;
        x->after_ask = ST_VERIFIED;
        return STAY;
    }
    return rc == ADMIT_OK ? admitted(x) : refused(x, &e);
}

int dispatch_on_manage(exchange *x, const dispatch_input *in)
{
    if (in->kind == IN_BODY_FAILED)
        return dispatch_fail(x, in->code, STR_NONE, STR_NONE, str_of(in->what), STR_NONE);
    if (in->kind != IN_BODY)
        return STAY;
    x->bytes_in = (int64_t)in->bytes.len;
    x->manage_body = in->bytes;
    return ask_manage(x);
}

int dispatch_on_managed(exchange *x, const dispatch_input *in)
{
    dispatch_env *env = x->env;
    profile_error e;
    /* A cookie of no session: only the management endpoints could tell. */
    if (in->code == 401 && !x->who.role &&
        admit_no_session(env->admit, x->world, x->route, x->peer, env->now, &x->who, &e) !=
            ADMIT_OK)
        return refused(x, &e);
    if (!in->bytes.len) /* it could not even be begun, or be put into words */
        return dispatch_fail_with(
            x, &(profile_error){
                   .status = 503,
                   .retry_after_s = 1,
                   .code = STR("busy"),
                   .message = STR("Too many management requests at once, or too large ones for the "
                                  "memory that is left; try again in a second.")});
    int rc = plug_out_header(env->scratch, &env->client, STR("Content-Type"), str_of(in->what));
    for (uint32_t i = 0; i < in->header_count; i++)
        rc |= plug_out_header(env->scratch, &env->client, in->headers[i].name,
                              in->headers[i].value);
    if (rc != 0 || plug_out_write(env->scratch, &env->client, in->bytes, 1) != 0) {
        plug_out_reset(&env->client);
        return out_of_memory(x);
    }
    env->client.http_status = in->code;
    x->outcome = in->code >= 400 ? SETTLE_FAILED : SETTLE_COMPLETED;
    dispatch_take_render(x);
    return dispatch_finish(x);
}

/* ---- Body. */

static int is_hint(const conf_surface *s, const tp_doc *d, uint32_t key)
{
    for (uint32_t i = 0; i < s->hints_count; i++)
        if (json_string_is(d, key, s->hints_keys[i]))
            return 1;
    return 0;
}

static size_t skip_space(const char *p, size_t at, size_t end)
{
    while (at < end && memchr(" \t\r\n", p[at], 4))
        at++;
    return at;
}

/* Removes the hints members from the text, with the comma that belonged to them; the text is the
 * exchange's own copy. The number that were cut. */
static int cut_hints(exchange *x, tp_str *text, const tp_doc *d)
{
    const conf_surface *s = x->route->surface;
    char *base = (char *)(uintptr_t)text->ptr;
    size_t out = 0, in = 0; /* what was kept of base[0, in) lies in base[0, out) */
    int cuts = 0;
    if (!s || !s->hints_count || json_kind(d, 0) != TP_OBJECT)
        return 0;
    for (uint32_t key = 1; key < d->count; key = d->tokens[key + 1].next) {
        const tp_token *k = &d->tokens[key], *v = &d->tokens[key + 1];
        if (!is_hint(s, d, key)) /* what is yet to be compared has not been moved */
            continue;
        memmove(base + out, base + in, k->at - in);
        out += k->at - in;
        in = (size_t)v->at + v->len;
        size_t after = skip_space(base, in, text->len);
        if (after < text->len && base[after] == ',') { /* its own comma goes */
            in = after + 1;
        } else { /* the last member: the comma before it goes */
            size_t before = out;
            while (before > 0 && memchr(" \t\r\n", base[before - 1], 4))
                before--;
            if (before > 0 && base[before - 1] == ',')
                out = before - 1;
        }
        cuts++;
    }
    if (cuts) {
        memmove(base + out, base + in, text->len - in);
        text->len -= in - out;
    }
    return cuts;
}

static int scan_body(exchange *x, tp_str body, tp_doc *d, int *next)
{
    json_error je = {0};
    tp_str text = body;
    int rc = json_scan_doc(text, &x->env->scratch->tape, &x->req, d, &je);
    if (rc == 0 && cut_hints(x, &text, d))
        rc = json_scan_doc(text, &x->env->scratch->tape, &x->req, d, &je);
    if (rc == 0)
        return 0;
    int nomem = json_no_memory(&je);
    tp_str why = nomem
                     ? STR("The request is too large to be held in memory now; try again later.")
                     : arena_printf(&x->mem, "The request body is not valid JSON: %s (line %u, "
                                             "column %u).", je.what ? je.what : "", je.line,
                                    je.column);
    if (nomem)
        *next = dispatch_fail(x, 503, STR_NONE, STR_NONE, why, STR_NONE);
    else
        *next = dispatch_fail(x, 400, STR_NONE, STR_NONE, why, STR("invalid_json"));
    return 1;
}

static int body_failed(exchange *x, const dispatch_input *in)
{
    return dispatch_fail(x, in->code, STR_NONE, STR_NONE, str_of(in->what), STR_NONE);
}

int dispatch_on_body(exchange *x, const dispatch_input *in)
{
    if (in->kind == IN_BODY_FAILED)
        return body_failed(x, in);
    if (in->kind != IN_BODY)
        return STAY;
    tp_doc d;
    int next = ST_DONE;
    x->bytes_in = (int64_t)in->bytes.len;
    if (scan_body(x, in->bytes, &d, &next))
        return next;
    x->op = (tp_operation){.size = sizeof(tp_operation),
                           .flags = x->strict ? TP_STRICT : 0,
                           .format = x->route->plugin->endpoint->format,
                           .max_output_tokens = -1,
                           .prompt_tokens = -1,
                           .choices = 1,
                           .body = d};
    plug_scratch_know(x->env->scratch, &d);
    tp_request *r = arena_zalloc(&x->req, sizeof(*r));
    uint32_t size = x->route->plugin->endpoint->state_size;
    x->endpoint_state = size ? arena_zalloc(&x->mem, size) : NULL;
    if (!r || (size && !x->endpoint_state)) {
        x->unrendered = 1; /* without its state the endpoint cannot be asked to say so */
        return out_of_memory(x);
    }
    *r = (tp_request){.size = sizeof(*r),
                      .method = x->head->method_text,
                      .path = x->head->path,
                      .query = x->head->query,
                      .type = STR("application/json"),
                      .body = d};
    x->env->iv.request = r;
    x->env->iv.operation = &x->op;
    return dispatch_ask_call(x, PLUG_PARSE, x->route->plugin, x->endpoint_state,
                             PLUG_MAY_WRITE | PLUG_MAY_EMIT, ST_PARSED);
}

/* An error that a plugin put into words with fail(). */
static int plugin_refused(exchange *x, const char *fallback)
{
    const plug_out *o = x->env->iv.call->out;
    tp_status st = o->failed ? o->fail_status : x->env->iv.status;
    tp_str why = o->failed && o->fail_why.len ? o->fail_why : str_of(fallback);
    if (st == TP_E_INPUT || st == TP_E_UNSUPPORTED)
        return dispatch_fail(x, 400, STR_NONE, o->fail_param, why, STR_NONE);
    if (st == TP_E_NOMEM)
        return out_of_memory(x);
    return dispatch_fail(x, 500, STR_NONE, STR_NONE, why, STR_NONE);
}

/* The endpoint wrote a body of its own (a repair): it takes the client's place. */
static int take_new_body(exchange *x, tp_doc *into)
{
    const plug_out *o = &x->env->out;
    char *p = arena_alloc(&x->req, o->bytes ? o->bytes : 1);
    tp_str text = {p, 0};
    if (!p)
        return TP_E_NOMEM;
    for (uint32_t i = 0; i < o->seg_count; i++) {
        memcpy(p + text.len, o->segs[i].ptr, o->segs[i].len);
        text.len += o->segs[i].len;
    }
    json_error je = {0};
    if (json_scan_doc(text, &x->env->scratch->tape, &x->req, into, &je) == 0)
        return 0;
    return json_no_memory(&je) ? TP_E_NOMEM : TP_E_INTERNAL;
}

/* The operation outlives this run; strings that parse made do not. */
static int own_operation(exchange *x)
{
    const plug_out *o = &x->env->out;
    tp_str *strings[] = {&x->op.format, &x->op.model, &x->op.user};
    for (size_t i = 0; i < TP_COUNT(strings); i++) {
        if (!strings[i]->len)
            continue;
        *strings[i] = arena_str(&x->req, *strings[i]);
        if (!strings[i]->ptr)
            return TP_E_NOMEM;
    }
    tp_header *h = arena_dup(&x->req, o->headers, o->header_count * sizeof(*h));
    for (uint32_t i = 0; h && i < o->header_count; i++) {
        h[i].name = arena_str(&x->req, h[i].name);
        h[i].value = arena_str(&x->req, h[i].value);
        if (!h[i].name.ptr || !h[i].value.ptr)
            return TP_E_NOMEM;
    }
    x->op.headers = (tp_list){h, o->header_count, sizeof(*h)};
    return h ? 0 : TP_E_NOMEM;
}

static int64_t permille(int64_t nano, int32_t part)
{
    money_exact sum = (money_exact)nano * part * 1000;
    return part == 1000 ? nano : money_round(sum);
}

/* What each candidate may cost the customer at most, and the most tokens that any may take. */
static void estimate(exchange *x)
{
    for (uint32_t i = 0; i < x->plan.candidate_count; i++) {
        const world_deployment *d = x->plan.of[i];
        int64_t most = settle_hold(d, &x->op);
        if (x->who.byok_any && admit_byok(&x->who, d->provider->conf->name, x->op.format))
            most = permille(most, x->world->conf->billing.byok_fee_permille);
        x->plan.candidates[i].cost = most;
        if (x->who.key) {
            admit_tokens *t = &x->hold_tokens;
            t->most = TP_MAX(t->most, settle_hold_tokens(d, &x->op));
            t->least = TP_MAX(t->least, settle_least_tokens(d, &x->op));
        }
    }
    x->prompt_estimate = settle_prompt_likely(&x->op);
}

void dispatch_owe(const exchange *x, settle_record *r)
{
    const conf_billing *b = &x->world->conf->billing;
    r->cost_nano = x->cost_nano;
    r->charged_nano = TP_MIN(
        x->byok ? permille(x->cost_nano, b->byok_fee_permille) : x->cost_nano, SETTLE_MOST);
}

/* Generations that are kept with their prompts take the body as it came, cut to what is kept. */
static void keep_prompt(exchange *x)
{
    const conf_store *s = &x->world->conf->store;
    tp_str body = x->op.body.text;
    size_t n = TP_MIN(body.len, (size_t)s->prompt_bytes);
    if (!s->generations || !s->prompts)
        return;
    while (n > 0 && n < body.len && ((unsigned char)body.ptr[n] & 0xc0) == 0x80)
        n--;
    x->prompt = arena_str(&x->mem, str_make(body.ptr, n));
}

static int has_key(const void *arg, tp_str provider)
{
    const exchange *x = arg;
    return x->who.byok_any && admit_byok(&x->who, provider, x->op.format) != NULL;
}

int dispatch_on_parsed(exchange *x, const dispatch_input *in)
{
    profile_error e;
    const route_customer by = {admit_policy(&x->who), has_key, x};
    (void)in;
    if (dispatch_call_failed(x))
        return plugin_refused(x, "The request is not one that this endpoint takes.");
    int rc = x->env->out.seg_count ? take_new_body(x, &x->op.body) : 0;
    if (rc == TP_E_NOMEM || own_operation(x) != 0)
        return out_of_memory(x);
    if (rc != 0)
        return dispatch_fail(x, 500, STR_NONE, STR_NONE,
                             STR("The endpoint plugin wrote a body that is not valid JSON."),
                             STR_NONE);
    x->asked = arena_str(&x->mem, x->op.model);
    x->streaming = (x->op.flags & TP_STREAM) != 0;
    if (admit_model(&x->who, x->op.model, &x->mem, &e) != 0 ||
        route_candidates(x->world, x->route->surface, &by, &x->op, x->env->live, &x->req,
                         &x->plan, &e))
        return dispatch_fail_with(x, &e);
    /* What parse emitted is the prompt; its bytes last for this run, and so does the question. */
    x->op.prompt =
        (tp_list){x->env->out.events, x->env->out.event_count, sizeof(tp_event)};
    estimate(x);
    if (!x->plan.strategy) /* as configured */
        return dispatch_on_ranked(x, NULL);
    tp_rank *order = arena_zalloc(&x->env->scratch->mem,
                                  x->plan.candidate_count * sizeof(*order));
    if (!order)
        return out_of_memory(x);
    x->env->iv.operation = &x->op;
    x->env->iv.list =
        (tp_list){x->plan.candidates, x->plan.candidate_count, sizeof(tp_candidate)};
    x->env->iv.order = order;
    x->env->iv.order_count = x->plan.candidate_count;
    return dispatch_ask_call(x, PLUG_RANK, x->plan.strategy, NULL, 0, ST_RANKED);
}

/* The most that any deployment of the plan may cost: what is held. */
static int64_t most_of_plan(const route_plan *p)
{
    int64_t most = 0;
    for (uint32_t i = 0; i < p->order_count; i++)
        for (uint32_t k = 0; k < p->candidate_count; k++)
            if (p->of[k] == p->order[i])
                most = TP_MAX(most, p->candidates[k].cost);
    return most;
}

int dispatch_on_ranked(exchange *x, const dispatch_input *in)
{
    profile_error e;
    (void)in;
    x->op.prompt = (tp_list){0};
    if (route_ranked(&x->plan, x->plan.strategy ? &x->env->iv : NULL,
                     (uint32_t)x->world->conf->routing.max_attempts, &x->req, &e) != 0)
        return dispatch_fail_with(x, &e);
    x->hold_nano = TP_MIN(most_of_plan(&x->plan), SETTLE_MOST);
    keep_prompt(x);
    dispatch_name_reply(x); /* hold and ledger entry are named by it */
    x->asking = ASK_HOLD;
    x->after_ask = ST_HELD;
    return STAY;
}

int dispatch_on_held(exchange *x, const dispatch_input *in)
{
    if (in->kind == IN_REFUSED) {
        profile_error *e = &x->refusal;
        x->hold_nano = 0;
        if (!e->message.len)
            e->message = e->status == 402
                             ? STR("Insufficient credits. Please add funds to your account.")
                             : STR("The ledger is not available; try again later.");
        return dispatch_fail_with(x, e);
    }
    x->held = 1;
    return ST_ATTEMPT;
}
