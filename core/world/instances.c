/* Plugins of a world: one instance for each use that is enabled. */
#include <stdlib.h>
#include <unistd.h>

#include "base/str.h"
#include "world/world_int.h"

static const conf_plugin *plugin_find(const conf *c, tp_str name)
{
    for (uint32_t i = 0; i < c->plugin_count; i++)
        if (str_eq(c->plugins[i].name, name))
            return &c->plugins[i];
    return NULL;
}

/* Where plugin `name` lies: 1 and *path; 0: switched off or nowhere. */
static int plugin_path(const conf *c, tp_str name, arena *a, tp_str *path)
{
    const conf_plugin *p = plugin_find(c, name);
    if (p) {
        *path = p->path;
        return p->enabled && p->path.len;
    }
    if (!c->server.plugin_dir.len)
        return 0;
    *path = arena_printf(a, "%.*s/%.*s.so%c", STR_ARG(c->server.plugin_dir), STR_ARG(name), 0);
    TP_MUST(path->ptr);
    path->len--; /* the NUL stays behind it */
    return access(path->ptr, R_OK) == 0;
}

typedef struct use {  /* of a plugin: what a snippet says */
    const char *what; /* "provider" */
    uint32_t kind;    /* PLUG_KIND_ */
    tp_str name, path;
    const tp_doc *options;
    const conf_place *place, *options_place;
} use;

static int create(world_build *b, const use *u, const plug_instance **out)
{
    world *w = b->w;
    tp_error why = {0};
    plug_image *image;
    plug_instance *made;
    char *path = tp_xstrndup(u->path.ptr, u->path.len);
    int rc = plug_load(b->loader, path, &image, &why);
    free(path);
    if (rc < 0)
        return world_fail(b->err, u->place, "%s '%.*s': %s", u->what, STR_ARG(u->name), why.text);
    const plug_manifest *m = plug_image_manifest(image);
    if (!(m->kinds & u->kind))
        return world_fail(
            b->err, u->place,
            "%s '%.*s': the plugin %.*s (%.*s) is no %s; name another one in \"plugin\"", u->what,
            STR_ARG(u->name), STR_ARG(m->id), STR_ARG(u->path), u->what);
    if (conf_check_options(&m->options_schema, u->options, *u->options_place, &why) < 0)
        return tp_error_set(b->err, TP_ERROR_CONFIG, "%s", why.text); /* it has the place */
    if (plug_create(image, u->name, u->options, &made, &why) < 0)
        return world_fail(b->err, u->options_place->file ? u->options_place : u->place,
                          "%s '%.*s': %s", u->what, STR_ARG(u->name), why.text);
    w->instances[w->instance_count++] = made;
    *out = made;
    return 0;
}

/* Without a key of the gateway's own, customers' keys may do. What is dormant may be half-written,
 * so that it cannot be made is no error. */
static void build_keyless(world_build *b, world_provider *wp, use *u)
{
    const conf_provider *p = wp->conf;
    tp_error ignored = {0};
    world_build quiet = *b;
    quiet.err = &ignored;
    if (!p->base_url.len || !plugin_path(b->w->conf, p->plugin, &b->w->mem, &u->path) ||
        world_origin(&wp->origin, p->base_url, p, &b->w->mem, &ignored) < 0)
        return;
    wp->keyless = create(&quiet, u, &wp->plugin) == 0;
}

static int build_providers(world_build *b)
{
    world *w = b->w;
    const conf *c = w->conf;
    w->provider_count = c->provider_count;
    for (uint32_t i = 0; i < c->provider_count; i++) {
        const conf_provider *p = &c->providers[i];
        world_provider *wp = &w->providers[i];
        tp_error why = {0};
        wp->conf = p;
        map_put(&w->provider_by_name, p->name, wp);
        int wanted = p->enabled && !p->dormant;
        /* What is not in use may be half-written: a URL from a variable that is not set. */
        if (wanted && p->base_url.len &&
            world_origin(&wp->origin, p->base_url, p, &w->mem, &why) < 0)
            return world_fail(b->err, p->options_place.file ? &p->options_place : &p->place,
                              "provider '%.*s': %s", STR_ARG(p->name), why.text);
        use u = {"provider",  PLUG_KIND_PROVIDER, p->name,          STR_NONE,
                 &p->options, &p->place,          &p->options_place};
        if (p->enabled && p->dormant)
            build_keyless(b, wp, &u);
        if (!wanted || !plugin_path(c, p->plugin, &w->mem, &u.path))
            continue;
        if (create(b, &u, &wp->plugin) < 0)
            return TP_ERROR_CONFIG;
        wp->usable = 1;
    }
    return 0;
}

static int build_endpoints(world_build *b)
{
    const conf *c = b->w->conf;
    for (uint32_t i = 0; i < c->endpoint_count; i++) {
        const conf_endpoint *p = &c->endpoints[i];
        use u = {"endpoint",  PLUG_KIND_ENDPOINT, p->name,          STR_NONE,
                 &p->options, &p->place,          &p->options_place};
        if (p->enabled && plugin_path(c, p->plugin, &b->w->mem, &u.path) &&
            create(b, &u, &b->endpoints[i]) < 0)
            return TP_ERROR_CONFIG;
    }
    return 0;
}

/* The strategy `ordered` needs no snippet: a directory without any strategy has its plugin all the
 * same, unless a snippet says something of that name. */
static int build_default_strategy(world_build *b)
{
    static const tp_token root = {TP_OBJECT, 0, 2, 1};
    static const tp_doc none = {{"{}", 2}, &root, 1, 0};
    static const conf_place nowhere = {0};
    const conf *c = b->w->conf;
    use u = {"strategy", PLUG_KIND_STRATEGY, STR("ordered"), STR_NONE, &none, &nowhere, &nowhere};
    for (uint32_t i = 0; i < c->strategy_count; i++)
        if (str_eq(c->strategies[i].name, u.name))
            return 0;
    if (c->routing.strategy.len && !str_eq(c->routing.strategy, u.name))
        return 0;
    return plugin_path(c, u.name, &b->w->mem, &u.path) ? create(b, &u, &b->w->strategy) : 0;
}

static int build_strategies(world_build *b)
{
    const conf *c = b->w->conf;
    for (uint32_t i = 0; i < c->strategy_count; i++) {
        const conf_strategy *p = &c->strategies[i];
        use u = {"strategy",  PLUG_KIND_STRATEGY, p->name,          STR_NONE,
                 &p->options, &p->place,          &p->options_place};
        if (!p->enabled || !plugin_path(c, p->plugin, &b->w->mem, &u.path))
            continue;
        if (create(b, &u, &b->strategies[i]) < 0)
            return TP_ERROR_CONFIG;
        if (str_eq(p->name, c->routing.strategy))
            b->w->strategy = b->strategies[i];
    }
    if (!b->w->strategy && build_default_strategy(b) < 0)
        return TP_ERROR_CONFIG;
    if (!b->w->strategy)
        log_line(b->log, LOG_INFO,
                 "no routing strategy: candidates are tried in the order in which "
                 "they are configured");
    return 0;
}

int world_build_plugins(world_build *b)
{
    const conf *c = b->w->conf;
    uint32_t most = c->provider_count + c->endpoint_count + c->strategy_count + 1;
    b->w->instances = arena_zalloc(&b->w->mem, most * sizeof(*b->w->instances));
    b->w->providers = arena_zalloc(&b->w->mem, c->provider_count * sizeof(*b->w->providers));
    b->endpoints = arena_zalloc(&b->w->mem, c->endpoint_count * sizeof(*b->endpoints));
    b->strategies = arena_zalloc(&b->w->mem, c->strategy_count * sizeof(*b->strategies));
    TP_MUST(b->w->instances && b->w->providers && b->endpoints && b->strategies);
    if (build_providers(b) < 0 || build_endpoints(b) < 0)
        return TP_ERROR_CONFIG;
    return build_strategies(b);
}
