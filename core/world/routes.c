#include "base/str.h"
#include "world/world_int.h"

#define MODELS_PREFIX STR("/models/")

static tp_str route_owner(const world_route *r)
{
    return r->surface ? r->surface->name : STR("(built in)");
}

static int add(world_build *b, tp_str path, const world_route *route)
{
    world *w = b->w;
    world_route *r = arena_dup(&w->mem, route, sizeof(*route));
    TP_MUST(r && path.ptr);
    const world_route *there = map_put(&w->routes, path, r);
    if (!there)
        return 0;
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

static int add_surface(world_build *b, const conf_surface *s)
{
    arena *a = &b->w->mem;
    world_route list = {
        .kind = WORLD_MODELS, .method = HTTP_GET, .surface = s, .is_public = s->models_public};
    world_route one = list;
    one.kind = WORLD_MODEL;
    if (add(b, arena_printf(a, "%.*s/models", STR_ARG(s->base_path)), &list) < 0 ||
        add(b, arena_printf(a, "%.*s/models/", STR_ARG(s->base_path)), &one) < 0)
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
    if (add(b, STR("/healthz"), &health) < 0)
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
    if (r)
        return r->kind == WORLD_MODEL ? NULL : r; /* "/v1/models/" names no model */
    const tp_str prefix = MODELS_PREFIX;
    for (size_t i = 0; i + prefix.len < path.len; i++) {
        if (path.ptr[i] != '/' || !str_starts(str_skip(path, i), prefix))
            continue;
        r = map_get(&w->routes, str_make(path.ptr, i + prefix.len));
        if (r && r->kind == WORLD_MODEL) {
            *rest = str_skip(path, i + prefix.len);
            return r;
        }
    }
    return NULL;
}
