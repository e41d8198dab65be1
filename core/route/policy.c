/* A team's policy: which deployments it leaves. What is denied is denied under each of its names:
 * who is kept from a codename does not get the same model by an alias, or as provider/model. */
#include "base/str.h"
#include "route/route_int.h"

enum { DENY_MODEL = 1, ALLOW_MODEL, DENY_PROVIDER, ALLOW_PROVIDER, TRUST, LOCAL };

/* Does the pattern hold "provider/model"? The string is not made, for each candidate is asked. */
static int holds_path(tp_str pattern, tp_str provider, tp_str model)
{
    int open = str_ends(pattern, STR("*"));
    tp_str p = str_make(pattern.ptr, pattern.len - (size_t)open);
    if (p.len <= provider.len)
        return open && str_starts(provider, p);
    if (!str_starts(p, provider) || p.ptr[provider.len] != '/')
        return 0;
    p = str_skip(p, provider.len + 1);
    return open ? str_starts(model, p) : str_eq(model, p);
}

static int holds_model(tp_str pattern, tp_str asked, const world_deployment *d)
{
    const conf_model *m = d->model;
    if (conf_pattern_in(&pattern, 1, asked) ||
        holds_path(pattern, d->provider->conf->name, d->conf->model))
        return 1;
    for (uint32_t i = 0; m && i < m->alias_count; i++)
        if (conf_pattern_in(&pattern, 1, m->aliases[i]))
            return 1;
    return m && conf_pattern_in(&pattern, 1, m->id);
}

/* The first pattern that holds the model, or NULL. */
static const tp_str *model_in(const tp_str *patterns, uint32_t count, tp_str asked,
                              const world_deployment *d)
{
    for (uint32_t i = 0; i < count; i++)
        if (holds_model(patterns[i], asked, d))
            return &patterns[i];
    return NULL;
}

/* 0: nothing speaks against it. */
static int why_denied(const conf_policy *p, tp_str asked, const world_deployment *d)
{
    const conf_provider *provider = d->provider->conf;
    if (model_in(p->deny_models, p->deny_model_count, asked, d))
        return DENY_MODEL;
    if (p->allow_model_count && !model_in(p->allow_models, p->allow_model_count, asked, d))
        return ALLOW_MODEL;
    if (conf_pattern_in(p->deny_providers, p->deny_provider_count, provider->name))
        return DENY_PROVIDER;
    if (p->allow_provider_count &&
        !conf_pattern_in(p->allow_providers, p->allow_provider_count, provider->name))
        return ALLOW_PROVIDER;
    if (provider->trust_level < p->min_trust)
        return TRUST;
    return p->data_local && !provider->local ? LOCAL : 0;
}

int route_allowed(const conf_policy *p, tp_str asked, const world_deployment *d)
{
    return why_denied(p, asked, d) == 0;
}

static tp_str reason(const conf_policy *p, tp_str asked, const world_deployment *d, arena *a)
{
    tp_str name = d->provider->conf->name;
    const tp_str *by;
    switch (why_denied(p, asked, d)) {
    case DENY_MODEL:
        by = model_in(p->deny_models, p->deny_model_count, asked, d);
        return arena_printf(a, "deny_models has '%.*s'", STR_ARG(*by));
    case ALLOW_MODEL:
        return STR("it is not in allow_models");
    case DENY_PROVIDER:
        return arena_printf(a, "deny_providers has its provider %.*s", STR_ARG(name));
    case ALLOW_PROVIDER:
        return arena_printf(a, "its provider %.*s is not in allow_providers", STR_ARG(name));
    case TRUST:
        return arena_printf(a, "its provider %.*s has trust level %d, and min_trust is %d",
                            STR_ARG(name), d->provider->conf->trust_level, p->min_trust);
    default:
        return arena_printf(a, "its provider %.*s is not local, and data_local asks for that",
                            STR_ARG(name));
    }
}

tp_str route_denial(const conf_policy *p, tp_str asked, const world_deployment *d, arena *a)
{
    tp_str why = reason(p, asked, d, a);
    if (!why.ptr)
        return STR_NONE;
    return arena_printf(a,
                        "Model '%.*s' is not allowed by your team's policy: %.*s. Choose another "
                        "model, or ask who manages the team.",
                        STR_ARG(profile_shown(asked)), STR_ARG(why));
}
