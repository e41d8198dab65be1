#include "base/str.h"
#include "world/world_int.h"

static tp_str route_owner(const world_route *r)
{
    return r->surface ? r->surface->name : STR("(built in)");
}

static int is_guest(const conf_surface *g, const conf_surface *host)
{
    return g->enabled && g->guest_of.len && str_eq(g->guest_of, host->name);
}

static void add_guests(world *w, world_route *r)
{
    const conf *c = w->conf;
    uint32_t n = 0;
    for (uint32_t i = 0; r->surface && i < c->surface_count; i++)
        n += (uint32_t)is_guest(&c->surfaces[i], r->surface);
    if (!n)
        return;
    world_route *all = arena_alloc(&w->mem, n * sizeof(*all));
    TP_MUST(all);
    for (uint32_t i = 0; i < c->surface_count; i++)
        if (is_guest(&c->surfaces[i], r->surface)) {
            all[r->guest_count] = *r;
            all[r->guest_count].guest_count = 0;
            all[r->guest_count++].surface = &c->surfaces[i];
        }
    r->guests = all;
}

static int add(world_build *b, tp_str path, const world_route *route)
{
    world *w = b->w;
    world_route *r = arena_dup(&w->mem, route, sizeof(*route));
    TP_MUST(r && path.ptr);
    add_guests(w, r);
    const world_route *there = map_put(&w->routes, path, r);
    if (!there) {
        if (str_ends(path, STR("/")))
            w->prefix_max = TP_MAX(w->prefix_max, (uint32_t)path.len);
        return 0;
    }
    const conf_place *at = r->endpoint ? &r->endpoint->place : &r->surface->place;
    const conf_place *other = there->endpoint  ? &there->endpoint->place
                              : there->surface ? &there->surface->place
                                               : NULL;
    tp_str where = other ? world_place(&w->mem, other) : STR("the gateway itself");
    tp_str mine = route_owner(r), theirs = route_owner(there);
    return world_fail(
        b->err, at,
        "the path '%.*s' of surface '%.*s' is already served by surface '%.*s' (%.*s); "
        "give one of them another path",
        STR_ARG(path), STR_ARG(mine), STR_ARG(theirs), STR_ARG(where));
}

static int add_endpoint(world_build *b, const conf_surface *s, tp_str name)
{
    const conf *c = b->w->conf;
    for (uint32_t i = 0; i < c->endpoint_count; i++) {
        const conf_endpoint *e = &c->endpoints[i];
        if (!str_eq(e->name, name))
            continue;
        if (!b->endpoints[i]) /* disabled, or its plugin is */
            return 0;
        world_route r = {.kind = WORLD_ENDPOINT,
                         .method = HTTP_POST,
                         .surface = s,
                         .endpoint = e,
                         .plugin = b->endpoints[i]};
        return add(b, arena_printf(&b->w->mem, "%.*s%.*s", STR_ARG(s->base_path), STR_ARG(e->path)),
                   &r);
    }
    return world_fail(b->err, &s->place, "surface '%.*s': there is no endpoint '%.*s'",
                      STR_ARG(s->name), STR_ARG(name));
}

/* What the manage room answers: a path, and all below it where there is more than one thing. */
static int add_managed(world_build *b, const conf_surface *s)
{
    enum { BELOW = 1 };
    static const struct {
        int32_t bit, kind, method, below;
        const char *path;
    } paths[] = {
        {CONF_MANAGE_KEYS, WORLD_KEYS, 0, BELOW, "/keys"},
        {CONF_MANAGE_KEYS, WORLD_KEY_SELF, HTTP_GET, 0, "/key"},
        {CONF_MANAGE_AUTH, WORLD_AUTH, 0, BELOW, "/auth"},
        {CONF_MANAGE_CREDITS, WORLD_CREDITS, HTTP_GET, 0, "/credits"},
        {CONF_MANAGE_GENERATION, WORLD_GENERATION, HTTP_GET, 0, "/generation"},
    };
    arena *a = &b->w->mem;
    for (size_t i = 0; i < TP_COUNT(paths); i++) {
        world_route r = {
            .kind = paths[i].kind, .method = paths[i].method, .session = 1, .surface = s};
        if (!(s->manage & paths[i].bit))
            continue;
        for (int32_t below = 0; below <= paths[i].below; below++)
            if (add(b,
                    arena_printf(a, "%.*s%s%s", STR_ARG(s->base_path), paths[i].path,
                                 below ? "/" : ""),
                    &r) < 0)
                return TP_ERROR_CONFIG;
    }
    return 0;
}

static int add_models(world_build *b, const conf_surface *s)
{
    arena *a = &b->w->mem;
    world_route list = {
        .kind = WORLD_MODELS, .method = HTTP_GET, .surface = s, .is_public = s->models_public};
    world_route one = list;
    one.kind = WORLD_MODEL;
    if (add(b, arena_printf(a, "%.*s/models", STR_ARG(s->base_path)), &list) < 0)
        return TP_ERROR_CONFIG;
    return add(b, arena_printf(a, "%.*s/models/", STR_ARG(s->base_path)), &one);
}

static int add_surface(world_build *b, const conf_surface *s)
{
    if (s->models && add_models(b, s) < 0)
        return TP_ERROR_CONFIG;
    if (add_managed(b, s) < 0)
        return TP_ERROR_CONFIG;
    for (uint32_t i = 0; i < s->endpoint_count; i++)
        if (add_endpoint(b, s, s->endpoints[i]) < 0)
            return TP_ERROR_CONFIG;
    return 0;
}

int world_build_routes(world_build *b)
{
    const conf *c = b->w->conf;
    world_route health = {.kind = WORLD_HEALTH, .method = HTTP_GET, .is_public = 1};
    world_route admin = {.kind = WORLD_ADMIN, .session = 1};
    if (add(b, STR("/healthz"), &health) < 0 || add(b, STR("/admin"), &admin) < 0 ||
        add(b, STR("/admin/"), &admin) < 0)
        return TP_ERROR_CONFIG;
    for (uint32_t i = 0; i < c->surface_count; i++)
        if (c->surfaces[i].enabled && add_surface(b, &c->surfaces[i]) < 0)
            return TP_ERROR_CONFIG;
    return 0;
}

const world_route *world_route_find(const world *w, tp_str path, tp_str *rest)
{
    *rest = STR("");
    const world_route *r = map_get(&w->routes, path);
    if (r) /* what ends in '/' is a prefix: with nothing behind it, it names nothing */
        return path.ptr[path.len - 1] == '/' ? NULL : r;
    /* Only as far as a prefix may reach: a path of slashes alone is no work. */
    for (size_t n = TP_MIN(path.len, (size_t)w->prefix_max); n > 0; n--) {
        if (path.ptr[n - 1] != '/' || n == path.len)
            continue;
        r = map_get(&w->routes, str_make(path.ptr, n));
        if (r) {
            *rest = str_skip(path, n);
            return r;
        }
    }
    return NULL;
}

/* How much of the surface's prefix the key begins with: all of it, or nothing. */
static size_t prefix_of(const conf_surface *s, tp_str key)
{
    return str_starts(key, s->key_prefix) ? s->key_prefix.len : 0;
}

const conf_surface *world_surface_for(const world *w, const conf_surface *host, tp_str key)
{
    const conf_surface *best = host;
    for (uint32_t i = 0; host && i < w->conf->surface_count; i++) {
        const conf_surface *s = &w->conf->surfaces[i];
        if (is_guest(s, host) && prefix_of(s, key) > prefix_of(best, key))
            best = s;
    }
    return best;
}

const world_route *world_route_for(const world_route *r, tp_str key)
{
    const world_route *best = r;
    for (uint32_t i = 0; i < r->guest_count; i++)
        if (prefix_of(r->guests[i].surface, key) > prefix_of(best->surface, key))
            best = &r->guests[i];
    return best;
}
