#include "route/route.h"

#include <stdatomic.h>

#include "base/str.h"
#include "catalog/catalog.h"
#include "route/route_int.h"

#define MAX_REASONS 8u /* providers named in a message */

static int out_of_memory(profile_error *e)
{
    *e = (profile_error){.status = 503,
                         .message = STR("The gateway is out of memory; try again later.")};
    return -1;
}

/* message: arena memory; ptr NULL when that was out. */
static int refuse(profile_error *e, int32_t status, tp_str code, tp_str message)
{
    if (!message.ptr)
        return out_of_memory(e);
    *e = (profile_error){.status = status, .code = code, .message = message};
    return -1;
}

static int refuse_unknown(const conf_surface *s, tp_str model, arena *a, profile_error *e)
{
    int32_t status = s && s->unknown_model_status ? s->unknown_model_status : 404;
    return refuse(
        e, status, STR("model_not_found"),
        arena_printf(a, "Model '%.*s' not found or not active.", STR_ARG(profile_shown(model))));
}

static tp_str why_not(const world_provider *p, arena *a)
{
    tp_str name = p->conf->name;
    if (!p->conf->enabled)
        return arena_printf(a, "%.*s is disabled", STR_ARG(name));
    if (p->conf->dormant)
        return arena_printf(a, "%.*s is dormant (%.*s)", STR_ARG(name),
                            STR_ARG(p->conf->dormant_why));
    return arena_printf(a, "the plugin of %.*s is disabled", STR_ARG(name));
}

/* Known, but nobody can serve it: says why, a provider at a time. */
static int refuse_inactive(tp_str model, const world_deployment *d, uint32_t count, arena *a,
                           profile_error *e)
{
    const world_provider *said[MAX_REASONS];
    uint32_t n = 0;
    tp_str text =
        arena_printf(a, "Model '%.*s' has no active providers", STR_ARG(profile_shown(model)));
    for (uint32_t i = 0; i < count && text.ptr; i++) {
        uint32_t k = 0;
        while (k < n && said[k] != d[i].provider)
            k++;
        if (k < n)
            continue;
        if (n == MAX_REASONS) {
            text = arena_printf(a, "%.*s; and others", STR_ARG(text));
            break;
        }
        said[n] = d[i].provider;
        tp_str why = why_not(d[i].provider, a);
        if (!why.ptr)
            return out_of_memory(e);
        text = arena_printf(a, "%.*s%s%.*s", STR_ARG(text), n ? ", " : ": ", STR_ARG(why));
        n++;
    }
    if (text.ptr && n == 0)
        text = arena_printf(a, "%.*s: no deployment of it is enabled", STR_ARG(text));
    if (text.ptr)
        text = arena_printf(a, "%.*s.", STR_ARG(text));
    return refuse(e, 404, STR("model_not_found"), text);
}

/* A model that says nothing has streaming alone; then nothing is known and nothing is refused. */
static uint64_t missing(const world_deployment *d, uint64_t needs)
{
    return d->capabilities == CONF_CAP_STREAMING ? 0 : needs & ~d->capabilities;
}

static int refuse_needs(tp_str model, uint64_t lacking, arena *a, profile_error *e)
{
    tp_str list = STR("");
    for (uint32_t i = 0; catalog_capability(i).bit && list.ptr; i++) {
        catalog_cap c = catalog_capability(i);
        if (lacking & c.bit)
            list =
                arena_printf(a, "%.*s%s%.*s", STR_ARG(list), list.len ? ", " : "", STR_ARG(c.name));
    }
    if (!list.ptr)
        return out_of_memory(e);
    if (!list.len)
        list = STR("a capability unknown to this gateway");
    refuse(e, 400, STR("capability_not_supported"),
           arena_printf(a,
                        "Model '%.*s' has no active provider that offers what this request "
                        "needs: %.*s. Choose another model or leave that out.",
                        STR_ARG(profile_shown(model)), STR_ARG(list)));
    if (e->status == 400)
        e->param = STR("model");
    return -1;
}

static void fill(tp_candidate *c, const world_deployment *d, route_table *live)
{
    const uint64_t needs = TP_NEED_TOOLS | TP_NEED_VISION | TP_NEED_AUDIO | TP_NEED_DOCUMENTS |
                           TP_NEED_SCHEMA | TP_NEED_REASONING;
    int64_t context = d->context_length < 0 ? 0 : TP_MIN(d->context_length, (int64_t)UINT32_MAX);
    *c = (tp_candidate){
        .size = sizeof(*c),
        .context_length = (uint32_t)context,
        .capabilities = d->capabilities & needs,
        .provider = d->provider->conf->name,
        .model = d->model ? d->model->id : d->conf->model,
        .deployment = d->conf->id,
        .price_prompt = catalog_price(d->prices, d->price_count, STR("prompt")),
        .price_completion = catalog_price(d->prices, d->price_count, STR("completion")),
        .cost = -1,
        .quality = d->quality,
        .speed = d->conf->speed,
        .trust_level = d->provider->conf->trust_level,
        .weight = d->conf->weight,
        .tokens_per_second = d->conf->tokens_per_second,
        .first_token_ms = -1,
        .error_permille = -1,
        .in_flight = -1,
    };
    if (!live)
        return;
    route_live *l = route_live_of(live, d->live_key);
    int64_t first = atomic_load_explicit(&l->first_token_us, memory_order_relaxed);
    c->in_flight = atomic_load_explicit(&l->in_flight, memory_order_relaxed);
    if (first >= 0)
        c->first_token_ms = (first + 500) / 1000;
    if (atomic_load_explicit(&l->attempts, memory_order_relaxed))
        c->error_permille = atomic_load_explicit(&l->error_permille, memory_order_relaxed);
}

static int can_serve(const world_provider *p, const route_customer *by)
{
    return p->usable ||
           (p->keyless && by && by->has_key && by->has_key(by->arg, p->conf->name));
}

int route_candidates(const world *w, const conf_surface *s, const route_customer *by,
                     const tp_operation *op, route_table *live, arena *a, route_plan *plan,
                     profile_error *e)
{
    const world_deployment *denied = NULL; /* the first one that the policy leaves out */
    const world_model *model = NULL;
    world_deployment *direct = NULL;
    *plan = (route_plan){0};
    if (world_model_find(w, op->model, a, &model, &direct) < 0)
        return refuse_unknown(s, op->model, a, e);
    const world_deployment *all = model ? model->deployments : direct;
    uint32_t count = model ? model->count : 1, allowed = 0, best = 65;
    uint64_t needs = op->needs | (op->flags & TP_STREAM ? (uint64_t)CONF_CAP_STREAMING : 0);
    uint64_t lacking = 0;

    const conf_policy *policy = by ? by->policy : NULL;
    uint32_t room = TP_MIN(count, ROUTE_MAX_CANDIDATES);
    plan->model = model;
    plan->strategy = model ? model->strategy : NULL;
    plan->candidates = arena_alloc(a, room * sizeof(*plan->candidates));
    plan->of = arena_alloc(a, room * sizeof(*plan->of));
    if (!plan->candidates || !plan->of)
        return out_of_memory(e);
    for (uint32_t i = 0; i < count && plan->candidate_count < room; i++) {
        const world_deployment *d = &all[i];
        if (!can_serve(d->provider, by))
            continue;
        if (policy && !route_allowed(policy, op->model, d)) {
            denied = denied ? denied : d;
            continue;
        }
        allowed++;
        uint64_t lacks = missing(d, needs);
        if (lacks) {
            uint32_t bits = (uint32_t)__builtin_popcountll(lacks);
            if (bits < best) { /* the nearest miss is the most useful one to name */
                best = bits;
                lacking = lacks;
            }
            continue;
        }
        fill(&plan->candidates[plan->candidate_count], d, live);
        plan->of[plan->candidate_count++] = d;
    }
    if (plan->candidate_count)
        return 0;
    if (allowed)
        return refuse_needs(op->model, lacking, a, e);
    if (!denied)
        return refuse_inactive(op->model, all, count, a, e);
    tp_str says = profile_words(s, PROFILE_POLICY);
    return refuse(e, 403, STR("policy_denied"),
                  says.len ? says : route_denial(policy, op->model, denied, a));
}

int route_ranked(route_plan *plan, const plug_invocation *iv, uint32_t max, arena *a,
                 profile_error *e)
{
    uint32_t count = iv ? (iv->status < 0 ? 0 : iv->order_count) : plan->candidate_count;
    count = TP_MIN(count, max);
    plan->order_count = 0;
    if (count == 0) {
        /* Which strategy and why is for the log: the client can do nothing about it. */
        *e = (profile_error){.status = 500, .message = STR("Routing service unavailable")};
        return -1;
    }
    plan->order = arena_alloc(a, count * sizeof(*plan->order));
    if (!plan->order)
        return out_of_memory(e);
    for (uint32_t i = 0; i < count; i++) {
        uint32_t c = iv ? iv->order[i].candidate : i;
        TP_MUST(c < plan->candidate_count); /* plug_invoke has checked the answer */
        plan->order[i] = plan->of[c];
    }
    plan->order_count = count;
    return 0;
}
