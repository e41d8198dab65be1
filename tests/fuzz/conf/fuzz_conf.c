/* Snippets from bytes: up to four of them, parted by a line "----". Nothing outside is touched: a
 * few variables are set, every file is there but empty of secrets. What loads must hold together;
 * its options are checked against a schema of its own making as well. */
#include <errno.h>
#include <stdlib.h>

#include "base/str.h"
#include "conf/conf.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char *no_getenv(void *arg, const char *name)
{
    (void)arg;
    return name[0] == 'S' ? "sk-0123456789abcdef" : name[0] == 'U' ? "http://u/" : NULL;
}

static int some_exist(void *arg, const char *path)
{
    (void)arg;
    return strstr(path, "/no") == NULL;
}

static int no_read(void *arg, const char *path, buf *out)
{
    (void)arg;
    (void)path;
    (void)out;
    return ENOENT;
}

static int tier_there(const conf *c, tp_str name)
{
    for (uint32_t i = 0; i < c->tier_count; i++)
        if (str_eq(c->tiers[i].name, name))
            return 1;
    return name.len == 0;
}

/* Who may pass: nothing dangles, and no list that allows is empty where one was written. */
static void check_governance(const conf *c)
{
    TP_MUST(c->tier_count >= 3);
    for (uint32_t i = 0; i < c->tier_count; i++)
        TP_MUST(c->tiers[i].limits.requests_per_minute >= 0 &&
                c->tiers[i].limits.tokens_per_minute >= 0 && c->tiers[i].limits.concurrency >= 0);
    for (uint32_t i = 0; i < c->team_count; i++) {
        const conf_team *t = &c->teams[i];
        TP_MUST(t->id.len > 0 && t->id.len <= 64 && t->name.len > 0 && tier_there(c, t->tier));
        TP_MUST(t->billing == CONF_PREPAID || t->billing == CONF_POSTPAID);
        TP_MUST(!t->policy.allow_models == !t->policy.allow_model_count);
        TP_MUST(!t->policy.allow_providers == !t->policy.allow_provider_count);
        for (uint32_t k = 0; k < t->policy.deny_model_count; k++)
            TP_MUST(conf_pattern_in(t->policy.deny_models, t->policy.deny_model_count,
                                    t->policy.deny_models[k]));
    }
    for (uint32_t i = 0; i < c->key_count; i++)
        TP_MUST(tier_there(c, c->keys[i].tier) && c->keys[i].role >= CONF_ROLE_INFERENCE);
    for (uint32_t i = 0; i < c->surface_count; i++)
        TP_MUST(tier_there(c, c->surfaces[i].key_tier) && c->surfaces[i].key_prefix.len >= 2);
    TP_MUST(c->store.path.len && c->store.journal_dir.len && c->admission.pepper_file.len);
}

static void check(const conf *c)
{
    check_governance(c);
    for (uint32_t i = 0; i < c->model_count; i++) {
        const conf_model *m = &c->models[i];
        TP_MUST(m->deployment_count > 0 && m->id.len > 0 && m->owned_by.len > 0);
        for (uint32_t j = 0; j < m->deployment_count; j++) {
            const conf_deployment *d = &m->deployments[j];
            TP_MUST(d->provider_index < c->provider_count);
            TP_MUST(str_eq(c->providers[d->provider_index].name, d->provider));
            TP_MUST(d->options.count >= 1);
        }
    }
    for (uint32_t i = 0; i < c->provider_count; i++) {
        const conf_provider *p = &c->providers[i];
        tp_error err = {0};
        TP_MUST(p->options.count >= 1 && p->options_place.file);
        for (uint32_t t = 0; t < p->options.count; t++)
            TP_MUST(conf_place_in(p->options_place, p->options.text, p->options.tokens[t].at).line);
        /* The options of one provider are a schema for the next: both sides are hostile. */
        conf_check_options(&p->options, &c->providers[(i + 1) % c->provider_count].options,
                           p->options_place, &err);
    }
    for (uint32_t i = 0; i < c->key_count; i++)
        TP_MUST(c->keys[i].secret.value.len >= 16);
    TP_MUST(c->surface_count > 0 && c->server.listen_count > 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char *const names[] = {"a.json", "b.json", "c.json", "d.json"};
    conf_env env = {
        .getenv = no_getenv, .plugin_dir = "/plugins", .exists = some_exist, .read = no_read};
    tp_str texts[4], rest = {(const char *)data, size};
    uint32_t count = 0;
    tp_error err = {0};
    while (count < 4) {
        const char *cut = count < 3 && rest.len ? memmem(rest.ptr, rest.len, "\n----\n", 6) : NULL;
        size_t n = cut ? (size_t)(cut - rest.ptr) : rest.len;
        texts[count++] = str_make(rest.ptr, n);
        if (!cut)
            break;
        rest = str_skip(rest, n + 6);
    }
    conf *c = conf_load_texts(names, texts, count, &env, &err);
    if (c)
        check(c);
    else
        TP_MUST(err.code < 0 && err.text[0]);
    conf_free(c);
    return 0;
}
