/* Keys between the book and the registry: a copy of one as it is now, and the bounds of a key that
 * another key makes. */
#include "manage/manage_int.h"

int api_copy(api_call *c, tp_str in, tp_str *out)
{
    *out = arena_str(c->mem, in);
    return out->ptr || in.len == 0 ? 0 : -1;
}

int api_copy_list(api_call *c, tp_str *const in, uint32_t count, tp_str **out)
{
    *out = NULL;
    if (count == 0)
        return 0;
    tp_str *list = arena_alloc(c->mem, count * sizeof(*list));
    if (!list)
        return -1;
    for (uint32_t i = 0; i < count; i++)
        if (api_copy(c, in[i], &list[i]) < 0)
            return -1;
    *out = list;
    return 0;
}

static int copy_key(api_call *c, const book_key *k, api_key_row *out)
{
    const key_terms *t = atomic_load_explicit(&k->terms, memory_order_acquire);
    registry_key *r = &out->k;
    *out = (api_key_row){
        .k = {.model_count = t->model_count,
              .role = t->role,
              .disabled = t->disabled,
              .spend_period = t->spend_period,
              .spend_limit_nano = t->spend_limit_nano,
              .limits = t->limits,
              .created_ms = t->created_ms,
              .expires_ms = t->expires_ms,
              .last_used_ms = atomic_load_explicit(&k->last_used_ms, memory_order_relaxed)},
        .in_force = t->in_force,
        .spent = book_spent(k, c->r->now.unix_ms, NULL),
        .fixed = t->fixed};
    memcpy(r->hmac, t->hmac, sizeof(r->hmac));
    memcpy(r->pepper_id, t->pepper_id, sizeof(r->pepper_id));
    return api_copy(c, k->id, &r->id) < 0 || api_copy(c, t->name, &r->name) < 0 ||
                   api_copy(c, t->team ? t->team->id : STR(""), &r->team) < 0 ||
                   api_copy(c, t->lookup, &r->lookup) < 0 || api_copy(c, t->tier, &r->tier) < 0 ||
                   api_copy(c, t->created_by, &r->created_by) < 0 ||
                   api_copy(c, t->argon2, &r->argon2) < 0 ||
                   api_copy_list(c, t->models, t->model_count, &r->models) < 0
               ? -1
               : 1;
}

int api_key_get(api_call *c, tp_str id, api_key_row *out)
{
    book_enter(c->p->book);
    const book_key *k = book_key_by_id(c->p->book, id);
    int rc = k ? copy_key(c, k, out) : 0;
    book_leave(c->p->book);
    return rc;
}

const conf_tier *api_tier_of(const conf *cf, tp_str name)
{
    for (uint32_t i = 0; i < cf->tier_count; i++)
        if (str_eq(cf->tiers[i].name, name))
            return &cf->tiers[i];
    return NULL;
}

int api_tier_check(api_call *c, tp_str name)
{
    if (api_tier_of(c->conf, name))
        return 0;
    api_guess g = {.wanted = name};
    for (uint32_t i = 0; i < c->conf->tier_count; i++)
        api_guess_offer(&g, c->conf->tiers[i].name);
    return api_fail(c, 400, "invalid_value", "tier", "There is no tier '%.*s'%s", STR_ARG(name),
                    api_guess_say(c, &g));
}

static int beyond(api_call *c, const char *param)
{
    return api_fail(c, 403, "beyond_own_key", param,
                    "'%s' would grant more than the key that was presented has itself.", param);
}

/* A limit in force of the new key against the maker's: 0 is none. Where nothing was asked, the
 * maker's is taken over. */
static int bound_limit(api_call *c, const char *param, int asked, int64_t own, int64_t would_be,
                       int64_t *limit)
{
    if (own <= 0 || (would_be > 0 && would_be <= own))
        return 0;
    if (asked)
        return beyond(c, param);
    *limit = own;
    return 0;
}

/* What would be in force: own limit, else the tier's (with the team's tier behind it). */
static int64_t in_force(int64_t own, const conf_tier *tier, int64_t of_tier)
{
    return own >= 0 ? own : tier ? of_tier : 0;
}

static int bound_limits(api_call *c, registry_key *k, const api_key_row *own)
{
    tp_str tier_name = k->tier;
    if (!tier_name.len) {
        book_enter(c->p->book);
        const book_team *team = book_team_of(c->p->book, k->team);
        const team_terms *t =
            team ? atomic_load_explicit(&team->terms, memory_order_acquire) : NULL;
        int rc = t ? api_copy(c, t->tier, &tier_name) : 0;
        book_leave(c->p->book);
        if (rc < 0)
            return -1;
    }
    const conf_tier *tier = api_tier_of(c->conf, tier_name);
    static const conf_limits none = {0, 0, 0};
    const conf_limits *of_tier = tier ? &tier->limits : &none, *mine = &own->in_force;
    conf_limits *l = &k->limits;
    const api_value *v = c->v;
    int tier_asked = v[FIELD_TIER].given == 1;
    int rc = bound_limit(c, "rate_limit", v[FIELD_RATE_LIMIT].given == 1 || tier_asked,
                         mine->requests_per_minute,
                         in_force(l->requests_per_minute, tier, of_tier->requests_per_minute),
                         &l->requests_per_minute);
    rc = rc ? rc
            : bound_limit(c, "tokens_per_minute", v[FIELD_TOKENS].given == 1 || tier_asked,
                          mine->tokens_per_minute,
                          in_force(l->tokens_per_minute, tier, of_tier->tokens_per_minute),
                          &l->tokens_per_minute);
    return rc ? rc
              : bound_limit(c, "concurrency", v[FIELD_CONCURRENCY].given == 1 || tier_asked,
                            mine->concurrency, in_force(l->concurrency, tier, of_tier->concurrency),
                            &l->concurrency);
}

int api_key_bound(api_call *c, registry_key *k)
{
    api_key_row own;
    int rc = c->key_id.len ? api_key_get(c, c->key_id, &own) : 0;
    if (rc < 0)
        return -1;
    if (rc == 0)
        return api_nobody(c); /* revoked since it was admitted */
    if (own.k.model_count && !k->model_count) {
        k->models = own.k.models;
        k->model_count = own.k.model_count;
    }
    for (uint32_t i = 0; own.k.model_count && i < k->model_count; i++)
        if (!conf_pattern_in(own.k.models, own.k.model_count, k->models[i]))
            return beyond(c, "models");
    if (own.k.expires_ms && !k->expires_ms && c->v[FIELD_EXPIRES_IN].given != API_IS_NULL)
        k->expires_ms = own.k.expires_ms;
    if (own.k.expires_ms && (!k->expires_ms || k->expires_ms > own.k.expires_ms))
        return beyond(c, "expires_in");
    if (own.k.spend_limit_nano >= 0) {
        if (k->spend_limit_nano < 0) {
            k->spend_limit_nano = own.k.spend_limit_nano;
            k->spend_period = own.k.spend_period;
        }
        if (k->spend_limit_nano > own.k.spend_limit_nano)
            return beyond(c, "limit");
        /* A period that begins anew grants more than one that does so seldom or never. */
        int reset = own.k.spend_period, asked = k->spend_period;
        if (asked != REGISTRY_TOTAL && asked != reset &&
            !(asked == REGISTRY_MONTHLY && reset == REGISTRY_DAILY))
            return beyond(c, "limit_reset");
    }
    return bound_limits(c, k, &own);
}
