#include "cli/cli.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/str.h"
#include "cli/govern.h"

#ifndef TURNPIKE_LIBDIR
#define TURNPIKE_LIBDIR "/usr/local/lib/turnpike"
#endif

static int is_there(const char *path)
{
    struct stat st;
    return stat(path, &st) == 0;
}

/* Built tree: <build>/core/turnpike beside <build>/plugins. Installed: LIBDIR, else ../lib beside.
 */
void cli_find_parts(cli_place *p)
{
    static const char *const plugins[] = {"/../plugins", "/../lib/turnpike/plugins",
                                          "/plugins"};
    static const char *const curls[] = {"/turnpike-curl.so", "/../lib/turnpike/turnpike-curl.so"};
    char dir[2048];
    ssize_t n = readlink("/proc/self/exe", dir, sizeof(dir) - 1);
    snprintf(p->plugin_dir, sizeof(p->plugin_dir), "%s/plugins", TURNPIKE_LIBDIR);
    snprintf(p->curl_module, sizeof(p->curl_module), "%s/turnpike-curl.so", TURNPIKE_LIBDIR);
    if (n > 0) {
        dir[n] = '\0';
        *strrchr(dir, '/') = '\0';
        for (size_t i = TP_COUNT(plugins); i-- > 0;) {
            char path[4096];
            snprintf(path, sizeof(path), "%s%s", dir, plugins[i]);
            if (is_there(path))
                memcpy(p->plugin_dir, path, sizeof(path));
        }
        for (size_t i = TP_COUNT(curls); i-- > 0;) {
            char path[4096];
            snprintf(path, sizeof(path), "%s%s", dir, curls[i]);
            if (is_there(path))
                memcpy(p->curl_module, path, sizeof(path));
        }
    }
    if (!is_there(p->curl_module))
        p->curl_module[0] = '\0';
}

conf *cli_load(const char *dir, const cli_place *place)
{
    tp_error err = {0};
    conf_env env = {.plugin_dir = place->plugin_dir};
    conf *c = conf_load(dir, &env, &err);
    if (!c)
        fprintf(stderr, "%s\n", err.text);
    return c;
}

const char *cli_option(int argc, char **argv, int *i, const char *name)
{
    size_t n = strlen(name);
    const char *a = argv[*i];
    if (strncmp(a, "--", 2) != 0 || strncmp(a + 2, name, n) != 0)
        return NULL;
    if (a[n + 2] == '=')
        return a + n + 3;
    if (a[n + 2] == '\0' && *i + 1 < argc)
        return argv[++*i];
    return NULL;
}

int cli_wrong(const char *command, const char *argument)
{
    fprintf(stderr, "turnpike %s: '%s' is not understood; see turnpike help\n", command, argument);
    return 2;
}

const char *cli_default_config(void)
{
    const char *dir = getenv("TURNPIKE_CONFIG");
    if (dir && *dir)
        return dir;
    return is_there("conf.d") ? "." : "/etc/turnpike";
}

static int help(int argc, char **argv)
{
    if (argc > 1 && cli_govern_is(argv[1])) /* turnpike help keys */
        return cli_govern(2, (char *[]){argv[1], (char *)"help", NULL});
    buf b;
    buf_init(&b, 64u << 10);
    buf_adds(&b,
             STR("turnpike " TURNPIKE_VERSION ": an AI gateway\n"
                 "\n"
                 "  turnpike serve [--config DIR] [--listen HOST:PORT]   run the gateway\n"
                 "  turnpike check [DIR]            say whether a configuration is right; starts "
                 "nothing\n"
                 "  turnpike schema                 print the JSON Schema of a snippet, for "
                 "editors\n"
                 "  turnpike plugins [DIR] [--json] list the plugins and what they are\n"
                 "  turnpike reload [--config DIR]  have the running gateway read its "
                 "configuration anew\n"
                 "  turnpike status [--config DIR]  what the running gateway is doing, as JSON\n"
                 "  turnpike metrics [--config DIR] its counters, in Prometheus' text format\n"
                 "  turnpike stop [--config DIR]    drain and stop it\n"
                 "  turnpike usage [--config DIR] [--from DAY] [--to DAY] [--json]\n"
                 "                                  requests, tokens and cost by day, key and "
                 "model\n"));
    cli_govern_help(&b);
    buf_adds(&b, STR("                                  (turnpike keys help says more of keys, and "
                     "so on)\n"
                     "  turnpike version | help\n"
                     "\n"
                     "DIR holds conf.d/*.json; it is $TURNPIKE_CONFIG, else the current directory "
                     "when that\n"
                     "has a conf.d, else /etc/turnpike.\n"));
    int rc = cli_put("help", buf_str(&b));
    buf_free(&b);
    return rc;
}

static int version(int argc, char **argv)
{
    (void)argc;
    return cli_put(argv[0], STR("turnpike " TURNPIKE_VERSION "\n"));
}

static const struct {
    const char *name;
    int (*run)(int argc, char **argv);
} commands[] = {
    {"serve", cli_serve},   {"check", cli_check},   {"schema", cli_schema},
    {"plugins", cli_plugins}, {"reload", cli_admin}, {"status", cli_admin},
    {"stop", cli_admin},    {"metrics", cli_admin}, {"usage", cli_usage},
    {"version", version},   {"--version", version}, {"help", help},
    {"--help", help},       {"-h", help},
};

static int unknown(const char *name)
{
    unsigned least = 3;
    const char *best = cli_govern_nearest(name, &least);
    for (size_t i = 0; i < TP_COUNT(commands); i++) {
        unsigned far = str_distance(str_of(name), str_of(commands[i].name));
        if (far < least) {
            least = far;
            best = commands[i].name;
        }
    }
    fprintf(stderr, "turnpike: unknown command '%.100s'%s%s%s; see turnpike help\n", name,
            best ? ": did you mean '" : "", best ? best : "", best ? "'?" : "");
    return 2;
}

static int asks_for_help(int argc, char **argv)
{
    for (int i = 2; i < argc; i++)
        if (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0)
            return 1;
    return 0;
}

int cli_main(int argc, char **argv)
{
    /* A file that may not grow further (RLIMIT_FSIZE) is a write that fails, as on a full disk; by
     * default it would be the end of the process. */
    signal(SIGXFSZ, SIG_IGN);
    if (argc < 2) {
        help(0, NULL);
        return 2;
    }
    for (size_t i = 0; i < TP_COUNT(commands); i++)
        if (strcmp(argv[1], commands[i].name) == 0)
            return asks_for_help(argc, argv) ? help(0, NULL)
                                             : commands[i].run(argc - 1, argv + 1);
    int rc = cli_govern(argc - 1, argv + 1);
    return rc >= 0 ? rc : unknown(argv[1]);
}
