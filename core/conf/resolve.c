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

/* ---- server */
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
        for (uint32_t i = 0; i < conf_sections[CONF_S_SERVER].table->count; i++)
            if (strcmp(conf_sections[CONF_S_SERVER].table->fields[i].name, "admin_socket") == 0)
                return conf_fail(l, l->seen[CONF_S_SERVER][i],
                                 "server.admin_socket: the path of a "
                                 "socket has at most 107 bytes, and this one has %zu: %s",
                                 s->admin_socket.len, s->admin_socket.ptr);
    if (!s->admin_socket.len)
        s->admin_socket = conf_fmt(l, "%.*s/admin.sock", STR_ARG(s->run_dir));
    if (!c->store_path.len)
        c->store_path = conf_fmt(l, "%.*s/turnpike.db", STR_ARG(s->run_dir));
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
        p->key_needed = p->api_key.source.len > 0;
        if (p->key_needed && !p->api_key.value.ptr) {
            p->dormant = 1;
            p->dormant_why = p->api_key.missing;
            if (p->enabled)
                conf_notice(l, "provider %.*s is dormant: %.*s", STR_ARG(p->name),
                            STR_ARG(p->dormant_why));
        }
        int rc =
            conf_options(l, n, &path, p->dormant || !p->enabled, &p->options, &p->options_place);
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
    int rc = 0, usable = 0;
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
        const conf_provider *p = &l->c->providers[d->provider_index];
        usable += d->enabled && p->enabled && !p->dormant;
        t = n.s->doc.tokens[t].next;
    }
    map_free(&ids);
    if (rc == 0 && !usable && m->enabled)
        conf_notice(l, "model %.*s is not available: all its deployments are dormant or disabled",
                    STR_ARG(m->id));
    return rc;
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

static int resolve_surface(conf_loader *l, map *bases, conf_surface *s, conf_node n)
{
    static const tp_str hint = {"turnpike", 8};
    conf_path up = {.name = STR("surfaces")}, path = {.up = &up, .name = s->name};
    /* One that is off may stand beside the one that takes its place. */
    conf_surface *other = s->enabled ? map_put(bases, s->base_path, s) : NULL;
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

/* ---- keys */
static int check_key_models(conf_loader *l, const conf_key *k, conf_node n, const conf_path *path)
{
    uint32_t list = json_find(&n.s->doc, n.t, STR("models")), t = list + 1;
    conf_path up = {.up = path, .name = STR("models")};
    for (uint32_t i = 0; i < k->model_count; i++, t = n.s->doc.tokens[t].next) {
        conf_path below = {.up = &up, .index = i};
        tp_str provider = str_make(k->models[i].ptr, str_find(k->models[i], '/'));
        if (map_get(&l->names[CONF_S_MODELS], k->models[i]) ||
            (provider.len < k->models[i].len && map_get(&l->names[CONF_S_PROVIDERS], provider)))
            continue;
        return conf_unknown(l, conf_child(n, t), &below, CONF_S_MODELS, k->models[i]);
    }
    return list && !k->model_count ? conf_fail(l, conf_child(n, list),
                                               "%s: expected at least one model; leave 'models' "
                                               "out to allow all",
                                               conf_path_text(&up).s)
                                   : 0;
}

static int check_key(conf_loader *l, const conf_key *k, conf_node n, const conf_path *path)
{
    conf_path below = {.up = path, .name = STR("key")};
    tp_str v = k->secret.value;
    size_t i = 0;
    while (i < v.len && v.ptr[i] > ' ' && v.ptr[i] < 0x7f)
        i++;
    if (v.ptr && (i < v.len || v.len < 16 || v.len > 256)) /* never the value itself */
        return conf_fail(l, conf_member(n, "key"),
                         "%s: expected 16 to 256 printable ASCII "
                         "characters without spaces; the secret (%.*s) has %zu bytes%s",
                         conf_path_text(&below).s, STR_ARG(k->secret.source), v.len,
                         i < v.len ? " and others among them" : "");
    return check_key_models(l, k, n, path);
}

/* Names and secrets are unique; k is one of conf.keys, n its object. */
static int unique_key(conf_loader *l, conf_key *k, conf_node n, const conf_path *path, map *names,
                      map *secrets)
{
    const conf_key *other = map_put(names, k->name, k);
    if (other)
        return conf_fail(l, conf_member(n, "name"),
                         "%s: a key named '%.*s' is defined at %s "
                         "already",
                         conf_path_text(path).s, STR_ARG(k->name), conf_where(other->place).s);
    if (!k->secret.value.ptr)
        return 0;
    other = map_put(secrets, k->secret.value, k);
    if (other)
        return conf_fail(l, conf_member(n, "key"), "%s: key '%.*s' at %s has the same secret",
                         conf_path_text(path).s, STR_ARG(other->name), conf_where(other->place).s);
    return 0;
}

static int resolve_keys(conf_loader *l)
{
    conf *c = l->c;
    map names = {0}, secrets = {0};
    conf_path admission = {.name = STR("admission")};
    conf_path up = {.up = &admission, .name = STR("static_keys")};
    conf_key *kept = conf_mem(l, c->key_count * sizeof(*kept));
    uint32_t count = 0, index = 0;
    int rc = 0;
    for (uint32_t i = 0; rc == 0 && i < c->key_count; i++) {
        conf_key *k = &c->keys[i];
        conf_node n = l->key_nodes[i];
        index = i && l->key_nodes[i - 1].s == n.s ? index + 1 : 0; /* in its own file */
        conf_path path = {.up = &up, .index = index};
        rc = check_key(l, k, n, &path);
        if (rc == 0)
            rc = unique_key(l, k, n, &path, &names, &secrets);
        if (k->secret.value.ptr)
            kept[count++] = *k;
        else if (k->enabled)
            conf_notice(l, "static key %.*s is left out: %.*s", STR_ARG(k->name),
                        STR_ARG(k->secret.missing));
    }
    c->keys = kept;
    c->key_count = count;
    map_free(&names);
    map_free(&secrets);
    return rc;
}

/* ---- routing */
static int resolve_routing(conf_loader *l)
{
    conf_routing *r = &l->c->routing;
    conf_path up = {.name = STR("routing")}, path = {.up = &up, .name = STR("strategy")};
    const conf_strategy *s = map_get(&l->names[CONF_S_STRATEGIES], r->strategy);
    conf_node written = l->seen[CONF_S_ROUTING][0];
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
        resolve_server, conf_plugins,     resolve_providers, resolve_strategies, resolve_endpoints,
        resolve_models, resolve_surfaces, resolve_keys,      resolve_routing};
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < TP_COUNT(steps); i++)
        rc = steps[i](l);
    return rc;
}
