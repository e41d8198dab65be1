/* The commands that run beside a gateway, or without one. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "base/str.h"
#include "cli/answer.h"
#include "cli/cli.h"
#include "loop/server.h"
#include "model/json.h"
#include "plug/plug.h"
#include "store/store.h"

static int print(const char *command, buf *b)
{
    int rc = cli_put(command, buf_str(b));
    buf_free(b);
    return rc;
}

/* ---- check: everything that a start would look at, but for running plugin code. */

static int check_plugin(const conf *c, const conf_plugin *p, arena *a)
{
    tp_error err = {0};
    plug_manifest m;
    char path[4096];
    (void)c;
    if (!p->enabled)
        return 0;
    snprintf(path, sizeof(path), "%.*s", STR_ARG(p->path));
    if (plug_manifest_read(path, a, &m, &err) == 0)
        return 0;
    fprintf(stderr, "plugin %.*s: %s\n", STR_ARG(p->name), err.text);
    return 1;
}

static int check_use(const conf *c, tp_str plugin, const tp_doc *options, conf_place place,
                     arena *a)
{
    tp_error err = {0};
    plug_manifest m;
    char path[4096];
    for (uint32_t i = 0; i < c->plugin_count; i++) {
        const conf_plugin *p = &c->plugins[i];
        if (!str_eq(p->name, plugin) || !p->enabled)
            continue;
        snprintf(path, sizeof(path), "%.*s", STR_ARG(p->path));
        if (plug_manifest_read(path, a, &m, NULL) != 0)
            return 0; /* said already */
        if (conf_check_options(&m.options_schema, options, place, &err) == 0)
            return 0;
        fprintf(stderr, "%s\n", err.text);
        return 1;
    }
    return 0;
}

int cli_check(int argc, char **argv)
{
    const char *dir = NULL, *v;
    cli_place place;
    arena a;
    for (int i = 1; i < argc; i++) {
        if ((v = cli_option(argc, argv, &i, "config")))
            dir = v;
        else if (argv[i][0] != '-' && !dir)
            dir = argv[i];
        else
            return cli_wrong("check", argv[i]);
    }
    if (!dir)
        dir = cli_default_config();
    cli_find_parts(&place);
    conf *c = cli_load(dir, &place);
    if (!c)
        return 1;
    int bad = 0;
    arena_init(&a, NULL, 256u << 20);
    for (uint32_t i = 0; i < c->plugin_count; i++)
        bad += check_plugin(c, &c->plugins[i], &a);
    for (uint32_t i = 0; i < c->provider_count; i++)
        bad += check_use(c, c->providers[i].plugin, &c->providers[i].options,
                         c->providers[i].options_place, &a);
    for (uint32_t i = 0; i < c->endpoint_count; i++)
        bad += check_use(c, c->endpoints[i].plugin, &c->endpoints[i].options,
                         c->endpoints[i].options_place, &a);
    for (uint32_t i = 0; i < c->strategy_count; i++)
        bad += check_use(c, c->strategies[i].plugin, &c->strategies[i].options,
                         c->strategies[i].options_place, &a);
    tp_error err = {0};
    if (world_check_credentials(c, &err) != 0) {
        fprintf(stderr, "%s\n", err.text);
        bad++;
    }
    buf b;
    buf_init(&b, SIZE_MAX);
    for (uint32_t i = 0; i < c->notice_count; i++)
        buf_printf(&b, "notice: %.*s\n", STR_ARG(c->notices[i]));
    if (!bad)
        buf_printf(&b, "%s is right: %u providers, %u models, %u plugins, %u keys\n", dir,
                   c->provider_count, c->model_count, c->plugin_count, c->key_count);
    arena_reset(&a);
    conf_free(c);
    return print("check", &b) || bad;
}

int cli_schema(int argc, char **argv)
{
    buf b;
    if (argc > 1)
        return cli_wrong("schema", argv[1]);
    buf_init(&b, 16u << 20);
    return conf_schema(&b) == 0 ? print("schema", &b) : 1;
}

/* ---- plugins */

static const char *kinds_of(uint32_t kinds, char out[64])
{
    snprintf(out, 64, "%s%s%s%s%s", kinds & PLUG_KIND_PROVIDER ? "provider" : "",
             (kinds & PLUG_KIND_PROVIDER) && (kinds & ~PLUG_KIND_PROVIDER) ? "," : "",
             kinds & PLUG_KIND_ENDPOINT ? "endpoint" : "",
             (kinds & PLUG_KIND_ENDPOINT) && (kinds & PLUG_KIND_STRATEGY) ? "," : "",
             kinds & PLUG_KIND_STRATEGY ? "strategy" : "");
    return out;
}

static void plugin_row(const conf_plugin *p, const plug_manifest *m, const char *trouble, int json,
                       int first, buf *b)
{
    char kinds[64];
    if (!json) {
        buf_printf(b, "%-14.*s %-9s %-20s %-8.*s %-5.*s %.*s\n", STR_ARG(p->name),
                   p->enabled ? "enabled" : "disabled", trouble ? "?" : kinds_of(m->kinds, kinds),
                   STR_ARG(m->version), STR_ARG(m->sdk),
                   STR_ARG(trouble ? str_of(trouble) : m->description));
        return;
    }
    buf_printf(b, "%s{\"name\":", first ? "" : ",");
    buf_json_string(b, p->name);
    buf_printf(b, ",\"enabled\":%s,\"path\":", p->enabled ? "true" : "false");
    buf_json_string(b, p->path);
    if (trouble) {
        buf_adds(b, STR(",\"error\":"));
        buf_json_string(b, str_of(trouble));
    } else {
        buf_adds(b, STR(",\"manifest\":"));
        buf_adds(b, m->text.text);
    }
    buf_adds(b, STR("}"));
}

int cli_plugins(int argc, char **argv)
{
    const char *dir = NULL, *v;
    int json = 0;
    cli_place place;
    arena a;
    buf b;
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--json") == 0)
            json = 1;
        else if ((v = cli_option(argc, argv, &i, "config")))
            dir = v;
        else if (argv[i][0] != '-' && !dir)
            dir = argv[i];
        else
            return cli_wrong("plugins", argv[i]);
    }
    cli_find_parts(&place);
    conf *c = cli_load(dir ? dir : cli_default_config(), &place);
    if (!c)
        return 1;
    arena_init(&a, NULL, 256u << 20);
    buf_init(&b, 16u << 20);
    if (json)
        buf_adds(&b, STR("["));
    else
        buf_printf(&b, "%-14s %-9s %-20s %-8s %-5s %s\n", "NAME", "STATE", "KINDS", "VERSION",
                   "SDK", "DESCRIPTION");
    for (uint32_t i = 0; i < c->plugin_count; i++) {
        tp_error err = {0};
        plug_manifest m = {0};
        char path[4096];
        snprintf(path, sizeof(path), "%.*s", STR_ARG(c->plugins[i].path));
        int rc = path[0] ? plug_manifest_read(path, &a, &m, &err)
                         : tp_error_set(&err, TP_ERROR_CONFIG, "its file is nowhere to be found");
        plugin_row(&c->plugins[i], &m, rc ? err.text : NULL, json, i == 0, &b);
    }
    if (json)
        buf_adds(&b, STR("]\n"));
    arena_reset(&a);
    conf_free(c);
    return print("plugins", &b);
}

/* ---- Asking the running gateway. */

/* Where its socket is: as configured. A directory that has become wrong must not keep anybody from
 * asking or stopping the gateway that still runs on it: then, the default place. For reload it is
 * an error, in the words with which the gateway itself would refuse it. */
static int find_socket(const char *command, const char *dir, char path[4096])
{
    cli_place place;
    tp_error err = {0};
    cli_find_parts(&place);
    conf_env env = {.plugin_dir = place.plugin_dir};
    conf *c = conf_load(dir, &env, &err);
    if (c) {
        snprintf(path, 4096, "%.*s", STR_ARG(c->server.admin_socket));
        conf_free(c);
        return 0;
    }
    fprintf(stderr, "%s\n", err.text);
    if (strcmp(command, "reload") == 0)
        return -1;
    char conf_d[4096];
    snprintf(conf_d, sizeof(conf_d), "%s/conf.d", dir);
    snprintf(path, 4096, "%s/%s", dir,
             access(conf_d, F_OK) == 0 ? "run/admin.sock" : "../run/admin.sock");
    return 0;
}

/* What the gateway refused, in its own words: the answer's "error". */
static void say_refusal(const char *command, const buf *answer)
{
    json_tape tape = {0};
    arena a;
    tp_doc d;
    json_error e = {0};
    tp_str why = buf_str(answer);
    arena_init(&a, NULL, 1u << 20);
    if (json_scan_doc(why, &tape, &a, &d, &e) == 0) {
        uint32_t at = json_find(&d, 0, STR("error"));
        if (at)
            why = json_string(&d, at, &a);
    }
    fprintf(stderr, "turnpike %s: %.*s\n", command, STR_ARG(why));
    json_tape_free(&tape);
    arena_reset(&a);
}

int cli_admin(int argc, char **argv)
{
    const char *dir = cli_default_config(), *v;
    char path[4096];
    tp_error err = {0};
    buf b;
    for (int i = 1; i < argc; i++) {
        if ((v = cli_option(argc, argv, &i, "config")))
            dir = v;
        else
            return cli_wrong(argv[0], argv[i]);
    }
    if (find_socket(argv[0], dir, path) != 0)
        return 1;
    buf_init(&b, 64u << 20);
    if (admin_ask(path, str_of(argv[0]), &b, &err) != 0) {
        fprintf(stderr, "turnpike %s: %s\n", argv[0], err.text);
        buf_free(&b);
        return 1;
    }
    if (!str_starts(buf_str(&b), STR("{\"ok\":false")))
        return print(argv[0], &b);
    say_refusal(argv[0], &b);
    buf_free(&b);
    return 1;
}

/* ---- usage */

typedef struct usage_print {
    buf *b;
    int json, first;
} usage_print;

static int usage_row(void *arg, const store_total *t)
{
    usage_print *u = arg;
    char money[40];
    size_t n = money_print(money, t->cost_nano);
    if (!u->json)
        return buf_printf(u->b,
                          "%-11.*s %-16.*s %-28.*s %-12.*s %9lld %7lld %12lld %12lld %14.*s\n",
                          STR_ARG(t->day), STR_ARG(t->key), STR_ARG(t->model), STR_ARG(t->provider),
                          (long long)t->requests, (long long)t->failures,
                          (long long)usage_tokens_in(&t->used),
                          (long long)usage_tokens_out(&t->used), (int)n, money);
    buf_printf(u->b, "%s{\"day\":\"%.*s\",\"key\":", u->first ? "" : ",", STR_ARG(t->day));
    u->first = 0;
    buf_json_string(u->b, t->key);
    buf_adds(u->b, STR(",\"model\":"));
    buf_json_string(u->b, t->model);
    buf_adds(u->b, STR(",\"provider\":"));
    buf_json_string(u->b, t->provider);
    buf_printf(u->b, ",\"requests\":%lld,\"failures\":%lld,\"cancelled\":%lld,\"usage\":{",
               (long long)t->requests, (long long)t->failures, (long long)t->cancelled);
    for (uint32_t i = 0; i < t->used.count; i++)
        buf_printf(u->b, "%s\"%s\":%lld", i ? "," : "", t->used.classes[i].unit,
                   (long long)t->used.classes[i].count);
    return buf_printf(u->b, "},\"cost\":\"%.*s\"}", (int)n, money);
}

int cli_usage(int argc, char **argv)
{
    const char *dir = cli_default_config(), *from = "", *to = "", *v;
    int json = 0;
    char path[4096];
    cli_place place;
    tp_error err = {0};
    store_port store;
    logger log = {.fd = 2, .level = LOG_WARN};
    buf b;
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--json") == 0)
            json = 1;
        else if ((v = cli_option(argc, argv, &i, "config")))
            dir = v;
        else if ((v = cli_option(argc, argv, &i, "from")))
            from = v;
        else if ((v = cli_option(argc, argv, &i, "to")))
            to = v;
        else
            return cli_wrong("usage", argv[i]);
    }
    cli_find_parts(&place);
    conf *c = cli_load(dir, &place);
    if (!c)
        return 1;
    snprintf(path, sizeof(path), "%.*s", STR_ARG(c->store.path));
    conf_free(c);
    store_options where = {.path = path};
    if (store_sqlite_open(&where, STORE_READ_ONLY, &log, &store, &err) != 0) {
        fprintf(stderr, "%s\n", err.text);
        return 1;
    }
    buf_init(&b, 1u << 30);
    usage_print u = {&b, json, 1};
    if (json)
        buf_adds(&b, STR("["));
    else
        buf_printf(&b, "%-11s %-16s %-28s %-12s %9s %7s %12s %12s %14s\n", "DAY", "KEY", "MODEL",
                   "PROVIDER", "REQUESTS", "FAILED", "TOKENS IN", "TOKENS OUT", "COST (USD)");
    int rc = store.usage(store.self, from, to, usage_row, &u, &err);
    store.close(store.self);
    if (json)
        buf_adds(&b, STR("]\n"));
    if (rc != 0) {
        fprintf(stderr, "%s\n", err.text);
        buf_free(&b);
        return 1;
    }
    return print("usage", &b);
}
