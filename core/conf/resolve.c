/* What only shows when all snippets are read: references, dormant providers, defaults that come
 * from elsewhere. */
#include <stdio.h>

#include "conf/conf_int.h"

static uint32_t index_of(const void *list, const void *item, size_t size)
{
    return (uint32_t)((size_t)((const char *)item - (const char *)list) / size);
}

int conf_unknown(conf_loader *l, conf_node n, const conf_path *path, int section, tp_str name)
{
    const conf_section *s = &conf_sections[section];
    const char *items = *(char **)(void *)((char *)l->c + s->at);
    uint32_t count = *(uint32_t *)(void *)((char *)l->c + s->count_at);
    conf_guess g = conf_guess_begin(name);
    for (uint32_t i = 0; i < count; i++)
        conf_guess_offer(&g, *(const tp_str *)(const void *)(items + i * s->table->size));
    conf_text hint = conf_guess_text(&g, s->name);
    if (!count)
        snprintf(hint.s, sizeof(hint.s), "; there are no %s", s->name);
    return conf_fail(l, n, "%s: no %s is named '%.*s'%s", conf_path_text(path).s, s->item,
                     (int)TP_MIN(name.len, (size_t)80), name.ptr, hint.s);
}

conf_node conf_seen(const conf_loader *l, int section, const char *key)
{
    const conf_table *t = conf_sections[section].table;
    for (uint32_t i = 0; i < t->count; i++)
        if (strcmp(t->fields[i].name, key) == 0)
            return l->seen[section][i];
    return (conf_node){NULL, 0};
}

/* ---- server, store */
static int resolve_server(conf_loader *l)
{
    conf *c = l->c;
    conf_server *s = &c->server;
    if (!s->listen_count) {
        s->listen = conf_mem(l, sizeof(*s->listen));
        s->listen_count = 1;
        *s->listen = (conf_listen){.host = STR("127.0.0.1"), .port = 8080};
    }
    if (!s->run_dir.len) {
        size_t n = c->dir.len;
        while (n > 1 && c->dir.ptr[n - 1] != '/')
            n--;
        s->run_dir = conf_fmt(l, "%.*srun", (int)n, c->dir.ptr);
    }
    if (s->admin_socket.len > 107) /* what fits a sockaddr_un */
        return conf_fail(l, conf_seen(l, CONF_S_SERVER, "admin_socket"),
                         "server.admin_socket: the path of a "
                         "socket has at most 107 bytes, and this one has %zu: %s",
                         s->admin_socket.len, s->admin_socket.ptr);
    if (!s->admin_socket.len)
        s->admin_socket = conf_fmt(l, "%.*s/admin.sock", STR_ARG(s->run_dir));
    if (!c->store.path.len)
        c->store.path = conf_fmt(l, "%.*s/turnpike.db", STR_ARG(s->run_dir));
    if (!c->store.journal_dir.len)
        c->store.journal_dir = conf_fmt(l, "%.*s/journal", STR_ARG(s->run_dir));
    return 0;
}

/* ---- providers, strategies, endpoints */
static int resolve_providers(conf_loader *l)
{
    conf_path up = {.name = STR("providers")};
    for (uint32_t i = 0; i < l->c->provider_count; i++) {
        conf_provider *p = &l->c->providers[i];
        conf_node n = l->nodes[CONF_S_PROVIDERS][i];
        conf_path path = {.up = &up, .name = p->name};
        int rc = conf_join_credential(l, p, n, &path);
        if (rc)
            return rc;
        p->key_needed = p->api_key.source.len > 0;
        if (p->local && !p->api_key.value.ptr)
            p->key_needed = 0; /* what runs on one's own premises may want none */
        tp_str unset = conf_base_url_unset(l, n);
        if (p->key_needed && !p->api_key.value.ptr)
            p->dormant_why = p->api_key.missing;
        else if (unset.len)
            p->dormant_why = conf_fmt(l, "environment variable %s is not set", unset.ptr);
        p->dormant = p->dormant_why.len > 0;
        if (p->dormant && p->enabled)
            conf_notice(l, "provider %.*s is dormant: %.*s", STR_ARG(p->name),
                        STR_ARG(p->dormant_why));
        rc = conf_options(l, n, &path, p->dormant || !p->enabled, &p->options, &p->options_place);
        if (rc == 0)
            rc = conf_base_url(l, p, &path);
        if (rc)
            return rc;
    }
    return 0;
}

static int resolve_strategies(conf_loader *l)
{
    conf_path up = {.name = STR("strategies")};
    int rc = 0;
    for (uint32_t i = 0; rc == 0 && i < l->c->strategy_count; i++) {
        conf_strategy *s = &l->c->strategies[i];
        conf_path path = {.up = &up, .name = s->name};
        rc = conf_options(l, l->nodes[CONF_S_STRATEGIES][i], &path, !s->enabled, &s->options,
                          &s->options_place);
    }
    return rc;
}

static int resolve_endpoints(conf_loader *l)
{
    conf_path up = {.name = STR("endpoints")};
    int rc = 0;
    for (uint32_t i = 0; rc == 0 && i < l->c->endpoint_count; i++) {
        conf_endpoint *e = &l->c->endpoints[i];
        conf_path path = {.up = &up, .name = e->name};
        rc = conf_options(l, l->nodes[CONF_S_ENDPOINTS][i], &path, !e->enabled, &e->options,
                          &e->options_place);
    }
    return rc;
}

/* ---- models */
static int resolve_deployment(conf_loader *l, conf_model *m, conf_deployment *d, conf_node n,
                              const conf_path *path)
{
    conf_path below = {.up = path, .name = STR("provider")};
    conf_provider *p = map_get(&l->names[CONF_S_PROVIDERS], d->provider);
    if (!p)
        return conf_unknown(l, conf_member(n, "provider"), &below, CONF_S_PROVIDERS, d->provider);
    d->provider_index = index_of(l->c->providers, p, sizeof(*p));
    if (!d->model.len)
        d->model = m->id;
    if (!d->id.len)
        d->id = conf_fmt(l, "%.*s/%.*s", STR_ARG(d->provider), STR_ARG(d->model));
    if (!json_find(&n.s->doc, n.t, STR("capabilities")))
        d->capabilities = m->capabilities;
    return conf_options(l, n, path, p->dormant || !p->enabled || !d->enabled || !m->enabled,
                        &d->options, &d->options_place);
}

static int resolve_deployments(conf_loader *l, conf_model *m, conf_node n, const conf_path *path)
{
    conf_path up = {.up = path, .name = STR("deployments")};
    uint32_t list = json_find(&n.s->doc, n.t, STR("deployments")), t = list + 1;
    map ids = {0};
    int rc = 0;
    for (uint32_t i = 0; rc == 0 && i < m->deployment_count; i++) {
        conf_deployment *d = &m->deployments[i], *other;
        conf_path below = {.up = &up, .index = i};
        rc = resolve_deployment(l, m, d, conf_child(n, t), &below);
        if (rc)
            break;
        other = map_put(&ids, d->id, d);
        if (other)
            rc = conf_fail(l, conf_child(n, t),
                           "%s: deployment '%.*s' is listed twice: it stands "
                           "at %s already; give one of them an \"id\"",
                           conf_path_text(&below).s, STR_ARG(d->id), conf_where(other->place).s);
        t = n.s->doc.tokens[t].next;
    }
    map_free(&ids);
    return rc;
}

static int is_available(const conf_loader *l, const conf_model *m)
{
    for (uint32_t i = 0; i < m->deployment_count; i++) {
        const conf_provider *p = &l->c->providers[m->deployments[i].provider_index];
        if (m->deployments[i].enabled && p->enabled && !p->dormant)
            return 1;
    }
    return 0;
}

/* A few by name; with the shipped catalog and no keys there would be hundreds. */
static void note_unavailable(conf_loader *l)
{
    enum { BY_NAME = 8 };
    uint32_t n = 0;
    for (uint32_t i = 0; i < l->c->model_count; i++)
        n += l->c->models[i].enabled && !is_available(l, &l->c->models[i]);
    for (uint32_t i = 0; n <= BY_NAME && i < l->c->model_count; i++) {
        const conf_model *m = &l->c->models[i];
        if (m->enabled && !is_available(l, m))
            conf_notice(l, "model %.*s is not available: all its deployments are dormant or disabled",
                        STR_ARG(m->id));
    }
    if (n > BY_NAME)
        conf_notice(l, "%u of %u models are not available: all their deployments are dormant or "
                       "disabled", n, l->c->model_count);
}

static int resolve_strategy(conf_loader *l, conf_model *m, conf_node n, const conf_path *path)
{
    conf_path below = {.up = path, .name = STR("strategy")};
    if (!m->strategy.len)
        return 0;
    const conf_strategy *s = map_get(&l->names[CONF_S_STRATEGIES], m->strategy);
    if (!s)
        return conf_unknown(l, conf_member(n, "strategy"), &below, CONF_S_STRATEGIES, m->strategy);
    if (!s->enabled) {
        conf_notice(l, "model %.*s: strategy %.*s is disabled; routing.strategy is used instead",
                    STR_ARG(m->id), STR_ARG(s->name));
        m->strategy = STR("");
    }
    return 0;
}

static int resolve_aliases(conf_loader *l, conf_model *m, conf_node n, const conf_path *path)
{
    conf_path below = {.up = path, .name = STR("aliases")};
    for (uint32_t i = 0; i < m->alias_count; i++) {
        const conf_model *other = map_put(&l->names[CONF_S_MODELS], m->aliases[i], m);
        if (other)
            return conf_fail(l, conf_member(n, "aliases"),
                             "%s: '%.*s' is a name of model '%.*s' "
                             "already, see %s",
                             conf_path_text(&below).s, STR_ARG(m->aliases[i]), STR_ARG(other->id),
                             conf_where(other->place).s);
    }
    return 0;
}

static void model_defaults(conf_model *m)
{
    size_t slash = str_find(m->id, '/');
    if (!m->name.len)
        m->name = m->id;
    if (!m->owned_by.len)
        m->owned_by = slash < m->id.len ? str_make(m->id.ptr, slash) : m->deployments[0].provider;
}

static int resolve_models(conf_loader *l)
{
    conf_path up = {.name = STR("models")};
    int rc = 0;
    for (uint32_t i = 0; rc == 0 && i < l->c->model_count; i++) {
        conf_model *m = &l->c->models[i];
        conf_node n = l->nodes[CONF_S_MODELS][i];
        conf_path path = {.up = &up, .name = m->id};
        rc = resolve_deployments(l, m, n, &path);
        if (rc == 0)
            rc = resolve_strategy(l, m, n, &path);
        if (rc == 0)
            rc = resolve_aliases(l, m, n, &path);
        model_defaults(m);
        m->owned_by = conf_str(l, m->owned_by);
    }
    if (rc == 0)
        note_unavailable(l);
    return rc;
}

/* ---- surfaces */
static void built_in_surface(conf_loader *l)
{
    static const tp_str hints[] = {{"turnpike", 8}, {"cailos", 6}};
    conf_surface *s = conf_mem(l, sizeof(*s));
    conf_defaults(conf_sections[CONF_S_SURFACES].table, s);
    s->name = STR("turnpike");
    s->base_path = STR("/v1");
    s->hints_keys = arena_dup(&l->c->mem, hints, sizeof(hints));
    TP_MUST(s->hints_keys);
    s->hints_count = TP_COUNT(hints);
    l->c->surfaces = s;
    l->c->surface_count = 1;
}

static void mount_all(conf_loader *l, conf_surface *s)
{
    s->endpoints = conf_mem(l, l->c->endpoint_count * sizeof(*s->endpoints));
    s->endpoint_count = 0;
    for (uint32_t i = 0; i < l->c->endpoint_count; i++)
        if (l->c->endpoints[i].enabled)
            s->endpoints[s->endpoint_count++] = l->c->endpoints[i].name;
}

static int mount_listed(conf_loader *l, conf_surface *s, conf_node n, const conf_path *path)
{
    uint32_t list = json_find(&n.s->doc, n.t, STR("endpoints")), t = list + 1, kept = 0;
    conf_path up = {.up = path, .name = STR("endpoints")};
    for (uint32_t i = 0; i < s->endpoint_count; i++, t = n.s->doc.tokens[t].next) {
        conf_path below = {.up = &up, .index = i};
        const conf_endpoint *e = map_get(&l->names[CONF_S_ENDPOINTS], s->endpoints[i]);
        if (!e)
            return conf_unknown(l, conf_child(n, t), &below, CONF_S_ENDPOINTS, s->endpoints[i]);
        if (e->enabled)
            s->endpoints[kept++] = e->name;
        else
            conf_notice(l, "surface %.*s: endpoint %.*s is disabled and not mounted",
                        STR_ARG(s->name), STR_ARG(e->name));
    }
    s->endpoint_count = kept;
    return 0;
}

/* Two endpoints must not answer the same path, on one surface or on two that overlap. */
static int check_paths(conf_loader *l, map *paths, const conf_surface *s)
{
    for (uint32_t i = 0; s->enabled && i < s->endpoint_count; i++) {
        conf_endpoint *e = map_get(&l->names[CONF_S_ENDPOINTS], s->endpoints[i]);
        tp_str full = conf_fmt(l, "%.*s%.*s", STR_ARG(s->base_path), STR_ARG(e->path));
        const conf_endpoint *other = map_put(paths, full, e);
        if (other) {
            uint32_t at = index_of(l->c->endpoints, e, sizeof(*e));
            return conf_fail(l, conf_member(l->nodes[CONF_S_ENDPOINTS][at], "path"),
                             "endpoints.%.*s.path: %.*s is served twice: endpoint '%.*s' at %s has "
                             "it too",
                             STR_ARG(e->name), STR_ARG(full), STR_ARG(other->name),
                             conf_where(other->place).s);
        }
    }
    return 0;
}

static int check_host(conf_loader *l, const conf_surface *s, conf_node n, const conf_path *path)
{
    conf_path below = {.up = path, .name = STR("guest_of")};
    const conf_surface *host = NULL;
    if (!s->guest_of.len)
        return 0;
    host = map_get(&l->names[CONF_S_SURFACES], s->guest_of);
    if (!host)
        return conf_unknown(l, conf_member(n, "guest_of"), &below, CONF_S_SURFACES, s->guest_of);
    if (host == s || host->guest_of.len)
        return conf_fail(l, conf_member(n, "guest_of"),
                         "%s: surface '%.*s' is %s; name the surface whose paths are meant",
                         conf_path_text(&below).s, STR_ARG(host->name),
                         host == s ? "this one itself" : "a guest itself");
    return 0;
}

static int resolve_surface(conf_loader *l, map *bases, conf_surface *s, conf_node n)
{
    static const tp_str hint = {"turnpike", 8};
    conf_path up = {.name = STR("surfaces")}, path = {.up = &up, .name = s->name};
    /* One that is off may stand beside the one that takes its place. */
    conf_surface *other = s->enabled ? map_put(bases, s->base_path, s) : NULL;
    int rc = conf_tier_known(l, n, &path, "key_tier", s->key_tier);
    if (rc == 0)
        rc = check_host(l, s, n, &path);
    if (rc)
        return rc;
    if (s->enabled &&
        (str_eq(s->base_path, STR("/admin")) || str_starts(s->base_path, STR("/admin/"))))
        return conf_fail(l, conf_member(n, "base_path"),
                         "surfaces.%.*s.base_path: /admin and what lies under it is the gateway's "
                         "own; choose another path",
                         STR_ARG(s->name));
    if (other)
        return conf_fail(l, conf_member(n, "base_path"),
                         "surfaces.%.*s.base_path: surface '%.*s' "
                         "at %s has the same base path %.*s",
                         STR_ARG(s->name), STR_ARG(other->name), conf_where(other->place).s,
                         STR_ARG(s->base_path));
    if (!json_find(&n.s->doc, n.t, STR("hints_keys"))) {
        s->hints_keys = arena_dup(&l->c->mem, &hint, sizeof(hint));
        TP_MUST(s->hints_keys);
        s->hints_count = 1;
    }
    if (json_find(&n.s->doc, n.t, STR("endpoints")))
        return mount_listed(l, s, n, &path);
    mount_all(l, s);
    return 0;
}

static int resolve_surfaces(conf_loader *l)
{
    map bases = {0}, paths = {0};
    int rc = 0;
    if (!l->c->surface_count) {
        built_in_surface(l);
        mount_all(l, l->c->surfaces);
    } else {
        for (uint32_t i = 0; rc == 0 && i < l->c->surface_count; i++)
            rc = resolve_surface(l, &bases, &l->c->surfaces[i], l->nodes[CONF_S_SURFACES][i]);
    }
    for (uint32_t i = 0; rc == 0 && i < l->c->surface_count; i++)
        rc = check_paths(l, &paths, &l->c->surfaces[i]);
    map_free(&bases);
    map_free(&paths);
    return rc;
}

/* ---- routing */
static int resolve_routing(conf_loader *l)
{
    conf_routing *r = &l->c->routing;
    conf_path up = {.name = STR("routing")}, path = {.up = &up, .name = STR("strategy")};
    const conf_strategy *s = map_get(&l->names[CONF_S_STRATEGIES], r->strategy);
    conf_node written = conf_seen(l, CONF_S_ROUTING, "strategy");
    if (s && s->enabled)
        return 0;
    if (!s && written.s)
        return conf_unknown(l, written, &path, CONF_S_STRATEGIES, r->strategy);
    if (l->c->model_count)
        conf_notice(l,
                    "routing: strategy %.*s is %s; deployments are tried in the order they are "
                    "written in",
                    STR_ARG(r->strategy), s ? "disabled" : "not configured");
    r->strategy = STR("");
    return 0;
}

int conf_resolve(conf_loader *l)
{
    static int (*const steps[])(conf_loader *) = {
        resolve_server, conf_plugins, resolve_providers, resolve_strategies, resolve_endpoints,
        resolve_models, conf_tiers,   conf_teams,        resolve_surfaces,   conf_keys,
        conf_admit,     conf_bill,    resolve_routing};
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < TP_COUNT(steps); i++)
        rc = steps[i](l);
    return rc;
}
