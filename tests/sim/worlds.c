/* Worlds: one with the simulation's own plugins, set into a world that was built without any; one
 * with the shipped plugins, loaded as the gateway loads them. */
#include "sim.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "plug/plug_int.h" /* an instance's image, to see it destroyed */

/* JSON in macros. */
/* clang-format off */
#define TIMEOUTS "\"timeouts\":{\"connect_ms\":1000,\"first_byte_ms\":4000,\"idle_ms\":3000,"   \
                 "\"total_ms\":20000}"
#define OWN(name, key) "\"" name "\":{\"plugin\":\"simx\",\"options\":{\"base_url\":\"http://" name \
                       ".test:81/base\"}," key TIMEOUTS "}"
#define KEY "\"api_key\":\"sk-upstream-0123456789\","
#define PRICE ",\"price\":{\"completion\":\"0.000000001\",\"images\":\"0.000000001\"}"
#define AT(p, m) "{\"provider\":\"" p "\",\"model\":\"" m "\"" PRICE "}"
#define KEYS "\"admission\":{\"static_keys\":[{\"name\":\"all\",\"key\":\"sk-sim-0123456789abcdef\"}," \
             "{\"name\":\"narrow\",\"key\":\"sk-sim-narrow-0123456789\",\"models\":[\"m1\"]}]},"

static const char own_text[] =
    "{" KEYS
    "\"plugins\":{\"simx\":{\"path\":\"simx.so\",\"enabled\":false}},"
    "\"providers\":{" OWN("relay", KEY) "," OWN("canon", KEY) "," OWN("both", KEY) ","
    OWN("other", KEY) "," OWN("local", "") "," OWN("keyless", "") "},"
    "\"models\":{"
    "\"m1\":{\"deployments\":[" AT("relay", "a") "]},"
    "\"m2\":{\"deployments\":[" AT("canon", "a") "," AT("relay", "a") "]},"
    "\"m3\":{\"deployments\":[" AT("both", "a") "," AT("canon", "b") "," AT("relay", "c") "]},"
    "\"m5\":{\"deployments\":[" AT("relay", "a") "," AT("other", "a") "," AT("keyless", "a") ","
    AT("canon", "c") "," AT("local", "a") "," AT("both", "z") "]},"
    "\"m6\":{\"deployments\":[" AT("local", "b") "," AT("canon", "c") "]},"
    "\"plain\":{\"deployments\":[" AT("canon", "p") "," AT("relay", "q") "," AT("both", "r") "]}},"
    "\"routing\":{\"max_attempts\":4}}";

#define SHIPPED(name) "\"" name "\":{\"plugin\":\"openai\",\"options\":{\"base_url\":\"http://" name \
                      ".test:81/v1\"}," KEY TIMEOUTS "}"
#define ECHO_AT(m, options) \
    "{\"provider\":\"echo\",\"model\":\"" m "\",\"options\":{" options "}" PRICE "}"

static const char shipped_text[] =
    "{" KEYS
    "\"endpoints\":{\"chat\":{\"path\":\"/chat/completions\"}},"
    "\"providers\":{" SHIPPED("one") "," SHIPPED("two") "," SHIPPED("three") ",\"echo\":{"
    TIMEOUTS "}},"
    "\"models\":{"
    "\"m1\":{\"deployments\":[" AT("one", "a") "]},"
    "\"m2\":{\"deployments\":[" AT("one", "a") "," AT("two", "a") "]},"
    "\"m3\":{\"deployments\":[" AT("one", "a") "," AT("two", "b") "," AT("three", "c") "]},"
    "\"m5\":{\"deployments\":[" AT("three", "c") "," AT("one", "z") "," AT("two", "y") ","
    AT("three", "d") "]},"
    "\"m6\":{\"deployments\":[" ECHO_AT("well", "\"text\":\"abc\",\"delay_ms\":5,\"gap_ms\":7") "]},"
    "\"plain\":{\"deployments\":[" ECHO_AT("fails", "\"fail_status\":503") ","
    ECHO_AT("breaks", "\"text\":\"one two three\",\"cut\":3,\"gap_ms\":3") "]}},"
    "\"routing\":{\"max_attempts\":3}}";

/* clang-format on */

static int always(void *arg, const char *path)
{
    (void)arg;
    (void)path;
    return 1;
}

/* A plugin whose instances count the worlds that are alive. */
static void destroyed(tp_instance *in)
{
    sim_current->worlds--;
    free(in);
}

static plug_image counted = {.plugin = {.destroy = destroyed}};

static plug_instance *instance(world *w, const tp_provider *p, const tp_endpoint *e,
                               const tp_strategy *s)
{
    plug_instance *i = tp_xcalloc(1, sizeof(*i));
    i->provider = p;
    i->endpoint = e;
    i->strategy = s;
    i->name = (tp_str){tp_xstrndup("sim", 3), 3};
    i->image = &counted;
    w->instances[w->instance_count++] = i;
    return i;
}

static const tp_provider *provider_of(tp_str name)
{
    if (str_eq(name, STR("canon")))
        return &sim_provider_canon;
    if (str_eq(name, STR("both")))
        return &sim_provider_both;
    if (str_eq(name, STR("other")))
        return &sim_provider_other;
    if (str_eq(name, STR("local")))
        return &sim_provider_local;
    return &sim_provider_relay;
}

static world *build(sim *s, const char *text, tp_error *err)
{
    static const char *const name = "/c/sim.json";
    int own =
        text == own_text; /* nothing is loaded for it: files that it names are said to exist */
    conf_env env = {.plugin_dir = own ? "/nowhere" : TEST_BINARY_DIR "/plugins",
                    .exists = own ? always : NULL};
    tp_str t = str_of(text);
    conf *c = conf_load_texts(&name, &t, 1, &env, err);
    return c ? world_new_take(c, s->loader, 1, &s->log, err) : NULL;
}

/* A world owns what it was built with; the plugins are put in before anybody else sees it. */
static void equip(sim *s, world *w)
{
    const conf_surface *surface = &w->conf->surfaces[0];
    TP_MUST(w->instance_count == 0);
    w->instances = arena_zalloc(&w->mem, 16 * sizeof(*w->instances));
    plug_instance *endpoint = instance(w, NULL, &sim_endpoint, NULL);
    plug_instance *strategy = instance(w, NULL, NULL, &sim_strategy);
    endpoint->self =
        tp_xcalloc(1, 1); /* as good as any: the last to go tells that the world went */
    s->worlds++;
    for (uint32_t i = 0; i < w->provider_count; i++) {
        world_provider *p = &w->providers[i];
        p->plugin = instance(w, provider_of(p->conf->name), NULL, NULL);
        tp_error err = {0};
        if (world_origin(&p->origin, p->conf->base_url, p->conf, &w->mem, &err) != 0)
            sim_fail(&s->actors[0], "%s", err.text);
        p->usable = 1;
    }
    for (uint32_t i = 0; i < w->model_count; i++) {
        w->models[i].usable = w->models[i].count;
        w->models[i].strategy = str_eq(w->models[i].conf->id, STR("plain")) ? NULL : strategy;
    }
    world_route r = {
        .kind = WORLD_ENDPOINT, .method = HTTP_POST, .surface = surface, .plugin = endpoint};
    map_put(&w->routes, STR("/v1/sim"), arena_dup(&w->mem, &r, sizeof(r)));
}

world *sim_world_own(sim *s)
{
    tp_error err = {0};
    world *w = build(s, own_text, &err);
    if (!w) {
        fprintf(stderr, "sim: its own world cannot be built: %s\n", err.text);
        exit(2);
    }
    equip(s, w);
    return w;
}

world *sim_world_shipped(sim *s, tp_error *err)
{
    static const char *const needed[] = {"chat", "openai", "ordered", "echo"};
    for (size_t i = 0; i < TP_COUNT(needed); i++) {
        char path[512];
        snprintf(path, sizeof(path), "%s/plugins/%s.so", TEST_BINARY_DIR, needed[i]);
        if (access(path, R_OK) != 0) {
            tp_error_set(err, TP_ERROR_IO, "%s is not built", path);
            return NULL;
        }
    }
    return build(s, shipped_text, err);
}
