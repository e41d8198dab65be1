/* Models and deployments of a world, and finding them by the names that clients write. */
#include "base/hash.h"
#include "base/str.h"
#include "catalog/catalog.h"
#include "world/world_int.h"

static uint64_t live_key(const conf_provider *p, tp_str model)
{
    uint64_t h = hash_name(p->name);
    h = hash_mix(h ^ hash_name(p->base_url)) + 1;
    return hash_mix(h ^ hash_name(model));
}

static world_deployment deployment(const world_provider *p, const conf_model *m,
                                   const conf_deployment *d)
{
    catalog_terms t = catalog_terms_of(m, d);
    world_deployment made = {
        .conf = d,
        .model = m,
        .provider = p,
        .live_key = live_key(p->conf, d->model),
        .context_length = t.context_length,
        .max_output_tokens = t.max_output_tokens,
        .capabilities = t.capabilities,
        .quality = t.quality,
        .prices = t.prices,
        .price_count = t.price_count,
        .price_tiers = catalog_price_tiers(t.prices, t.price_count),
    };
    catalog_price_version(made.price_version, t.prices, t.price_count);
    return made;
}

static void add_deployment(world *w, const conf_model *m, const conf_deployment *d,
                           world_deployment *at)
{
    const world_provider *p = &w->providers[d->provider_index];
    *at = deployment(p, m, d);
    tp_str path = arena_printf(&w->mem, "%.*s/%.*s", STR_ARG(d->provider), STR_ARG(d->model));
    TP_MUST(path.ptr);
    map_put(&w->deployments, path, at); /* the first one stays */
}

static const plug_instance *strategy_of(const world_build *b, const conf_model *m)
{
    const conf *c = b->w->conf;
    for (uint32_t i = 0; m->strategy.len && i < c->strategy_count; i++)
        if (str_eq(c->strategies[i].name, m->strategy))
            return b->strategies[i] ? b->strategies[i] : b->w->strategy;
    return b->w->strategy;
}

/* The enabled ones first, for they are what the model counts; the others are only to be found as
 * provider/model, with their limits and prices. */
static void add_deployments(world_build *b, world_model *wm)
{
    world *w = b->w;
    const conf_model *m = wm->conf;
    wm->deployments = arena_alloc(&w->mem, m->deployment_count * sizeof(*wm->deployments));
    TP_MUST(wm->deployments);
    uint32_t at = 0;
    for (int enabled = 1; enabled >= 0; enabled--)
        for (uint32_t i = 0; i < m->deployment_count; i++) {
            const conf_deployment *d = &m->deployments[i];
            if ((d->enabled != 0) != enabled)
                continue;
            add_deployment(w, m, d, &wm->deployments[at++]);
            if (enabled && m->enabled) {
                wm->count++;
                wm->usable += (uint32_t)(wm->deployments[at - 1].provider->usable != 0);
            }
        }
}

static int add_name(world_build *b, tp_str name, world_model *wm)
{
    world *w = b->w;
    const world_model *there = map_put(&w->model_by_name, name, wm);
    if (!there || !wm->conf->enabled) /* a disabled model claims no name */
        return 0;
    tp_str other = world_place(&w->mem, &there->conf->place);
    return world_fail(b->err, &wm->conf->place,
                      "model '%.*s': the name '%.*s' is taken by model '%.*s' (%.*s); a name or "
                      "alias may stand for one enabled model only",
                      STR_ARG(wm->conf->id), STR_ARG(name), STR_ARG(there->conf->id),
                      STR_ARG(other));
}

/* What savings are told against. It need not be served: its prices are enough. */
static void find_baseline(world *w)
{
    const world_model *m = map_get(&w->model_by_name, w->conf->billing.baseline_model);
    for (uint32_t i = 0; m && i < m->conf->deployment_count && !w->baseline; i++)
        if (m->deployments[i].price_version[0])
            w->baseline = &m->deployments[i];
}

int world_build_models(world_build *b)
{
    world *w = b->w;
    const conf *c = w->conf;
    w->models = arena_zalloc(&w->mem, c->model_count * sizeof(*w->models));
    TP_MUST(w->models);
    w->model_count = c->model_count;
    for (int enabled = 1; enabled >= 0; enabled--)
        for (uint32_t i = 0; i < c->model_count; i++) {
            const conf_model *m = &c->models[i];
            if ((m->enabled != 0) != enabled)
                continue;
            world_model *wm = &w->models[i];
            wm->conf = m;
            wm->strategy = strategy_of(b, m);
            add_deployments(b, wm);
            if (add_name(b, m->id, wm) < 0)
                return TP_ERROR_CONFIG;
            for (uint32_t k = 0; k < m->alias_count; k++)
                if (add_name(b, m->aliases[k], wm) < 0)
                    return TP_ERROR_CONFIG;
        }
    find_baseline(w);
    return 0;
}

static world_deployment *make_direct(const world_provider *p, tp_str name, tp_str model, arena *a)
{
    static const tp_token root = {TP_OBJECT, 0, 2, 1};
    conf_deployment *c = arena_zalloc(a, sizeof(*c));
    world_deployment *d = arena_zalloc(a, sizeof(*d));
    if (!c || !d)
        return NULL;
    *c = (conf_deployment){
        .provider = p->conf->name,
        .model = arena_str(a, model),
        .id = arena_str(a, name),
        .options = {.text = STR("{}"), .tokens = &root, .count = 1},
        .enabled = 1,
        .weight = 1,
        .quality = -1,
        .tokens_per_second = -1,
        .context_length = -1,
        .max_output_tokens = -1,
        .capabilities = CONF_CAP_STREAMING,
    };
    *d = (world_deployment){
        .conf = c,
        .provider = p,
        .live_key = live_key(p->conf, model),
        .context_length = -1,
        .max_output_tokens = -1,
        .capabilities = CONF_CAP_STREAMING,
        .quality = 50,
    };
    return c->model.ptr && c->id.ptr ? d : NULL;
}

int world_model_find(const world *w, tp_str name, arena *a, const world_model **model,
                     world_deployment **direct)
{
    *direct = NULL;
    *model = map_get(&w->model_by_name, name);
    if (*model) {
        if ((*model)->conf->enabled)
            return 0;
        *model = NULL;
        return -1;
    }
    size_t slash = str_find(name, '/');
    tp_str rest = str_skip(name, slash + 1);
    if (slash >= name.len || !rest.len)
        return -1;
    const world_provider *p = map_get(&w->provider_by_name, str_make(name.ptr, slash));
    if (!p)
        return -1;
    *direct = map_get(&w->deployments, name);
    if (!*direct)
        *direct = make_direct(p, name, rest, a);
    return *direct ? 0 : -1;
}
