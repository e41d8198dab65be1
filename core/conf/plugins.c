/* Which plugins are used, where their files lie, and who is off because its plugin is. */
#include <sys/stat.h>

#include "conf/conf_int.h"

typedef struct user { /* who uses a plugin: a provider, a strategy or an endpoint */
    tp_str name, plugin;
    int32_t *enabled;
    const char *kind;
    conf_node node;
} user;

static int file_exists(const conf_loader *l, const char *path)
{
    struct stat st;
    if (l->env.exists)
        return l->env.exists(l->env.arg, path);
    return stat(path, &st) == 0 && S_ISREG(st.st_mode);
}

/* Beside the snippet, then in the plugin directory. NULL: nowhere; *second is then the second place
 * that was looked at, or NULL. */
static const char *find_file(conf_loader *l, const char *dir, tp_str path, const char **first,
                             const char **second)
{
    tp_str plugin_dir = l->c->server.plugin_dir;
    *first = conf_join(l, dir, path);
    *second = NULL;
    if (file_exists(l, *first))
        return *first;
    if ((path.len && path.ptr[0] == '/') || !plugin_dir.len)
        return NULL;
    *second = conf_join(l, plugin_dir.ptr, path);
    return file_exists(l, *second) ? *second : NULL;
}

static int nowhere(conf_loader *l, conf_node n, tp_str plugin, const char *first,
                   const char *second)
{
    if (second)
        return conf_fail(l, n,
                         "plugin '%.*s' is nowhere: looked for %s and %s; put it there, or "
                         "set plugins.%.*s.path",
                         STR_ARG(plugin), first, second, STR_ARG(plugin));
    return conf_fail(l, n,
                     "plugin '%.*s' is nowhere: looked for %s; put it there, or set "
                     "server.plugin_dir or plugins.%.*s.path",
                     STR_ARG(plugin), first, STR_ARG(plugin));
}

static int declared(conf_loader *l)
{
    for (uint32_t i = 0; i < l->c->plugin_count; i++) {
        conf_plugin *p = &l->c->plugins[i];
        conf_node n = l->nodes[CONF_S_PLUGINS][i];
        const char *first, *second;
        tp_str path = p->path.len ? p->path : conf_fmt(l, "%.*s.so", STR_ARG(p->name));
        const char *file = find_file(l, n.s->dir, path, &first, &second);
        if (!file && p->enabled)
            return nowhere(l, conf_member(n, "path"), p->name, first, second);
        p->path = str_of(file ? file : "");
    }
    return 0;
}

static int use(conf_loader *l, const user *u)
{
    map *names = &l->names[CONF_S_PLUGINS];
    conf_plugin *p = map_get(names, u->plugin);
    if (!p) {
        const char *first, *second;
        conf_node n = conf_member(u->node, "plugin");
        tp_str so = conf_fmt(l, "%.*s.so", STR_ARG(u->plugin));
        const char *file = find_file(l, n.s->dir, so, &first, &second);
        if (!file && *u->enabled)
            return nowhere(l, n, u->plugin, first, second);
        if (!file)
            return 0; /* off, and so is not looked for by anybody else's snippet */
        p = &l->c->plugins[l->c->plugin_count++];
        *p = (conf_plugin){
            .name = u->plugin, .path = str_of(file), .enabled = 1, .place = conf_place_of(n)};
        map_put(names, p->name, p);
    } else if (!p->enabled && *u->enabled) {
        *u->enabled = 0;
        conf_notice(l, "%s %.*s is disabled: its plugin %.*s is disabled at %s", u->kind,
                    STR_ARG(u->name), STR_ARG(p->name), conf_where(p->place).s);
    }
    return 0;
}

int conf_plugins(conf_loader *l)
{
    conf *c = l->c;
    uint32_t room = c->plugin_count + c->provider_count + c->strategy_count + c->endpoint_count;
    conf_plugin *all = conf_mem(l, room * sizeof(*all));
    int rc = 0;
    if (!c->server.plugin_dir.len && l->env.plugin_dir)
        c->server.plugin_dir = conf_str(l, str_of(l->env.plugin_dir));
    if (c->plugin_count)
        memcpy(all, c->plugins, c->plugin_count * sizeof(*all));
    c->plugins = all;
    map_free(&l->names[CONF_S_PLUGINS]); /* it pointed into the smaller array */
    l->names[CONF_S_PLUGINS] = (map){0};
    for (uint32_t i = 0; i < c->plugin_count; i++)
        map_put(&l->names[CONF_S_PLUGINS], all[i].name, &all[i]);
    rc = declared(l);
    for (uint32_t i = 0; rc == 0 && i < c->provider_count; i++) {
        conf_provider *p = &c->providers[i];
        p->plugin = p->plugin.len ? p->plugin : p->name;
        rc = use(
            l, &(user){p->name, p->plugin, &p->enabled, "provider", l->nodes[CONF_S_PROVIDERS][i]});
    }
    for (uint32_t i = 0; rc == 0 && i < c->strategy_count; i++) {
        conf_strategy *s = &c->strategies[i];
        s->plugin = s->plugin.len ? s->plugin : s->name;
        rc = use(l, &(user){s->name, s->plugin, &s->enabled, "strategy",
                            l->nodes[CONF_S_STRATEGIES][i]});
    }
    for (uint32_t i = 0; rc == 0 && i < c->endpoint_count; i++) {
        conf_endpoint *e = &c->endpoints[i];
        e->plugin = e->plugin.len ? e->plugin : e->name;
        rc = use(
            l, &(user){e->name, e->plugin, &e->enabled, "endpoint", l->nodes[CONF_S_ENDPOINTS][i]});
    }
    return rc;
}
