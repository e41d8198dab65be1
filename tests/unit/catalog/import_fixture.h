/* What the importer's tests share: the snippets as the configuration reads them. */
#ifndef TP_TEST_CATALOG_IMPORT_FIXTURE_H
#define TP_TEST_CATALOG_IMPORT_FIXTURE_H
#include <stdio.h>

#include "base/str.h"
#include "catalog/catalog.h"
#include "catalog/import.h"
#include "conf/conf.h"

static inline int said(const catalog_import *c, int kind, const char *begins)
{
    for (uint32_t i = 0; i < c->remark_count; i++)
        if (c->remarks[i].kind == kind && str_starts(c->remarks[i].text, str_of(begins)))
            return 1;
    return 0;
}

/* The model as the configuration reads the snippets: what counts in the end. */
static inline const conf_model *model(const conf *c, const char *id)
{
    for (uint32_t i = 0; i < c->model_count; i++)
        if (str_eq(c->models[i].id, str_of(id)))
            return &c->models[i];
    return NULL;
}

static inline const conf_deployment *deployment(const conf_model *m, const char *provider)
{
    for (uint32_t i = 0; m && i < m->deployment_count; i++)
        if (m->deployments[i].enabled && str_eq(m->deployments[i].provider, str_of(provider)))
            return &m->deployments[i];
    return NULL;
}

static inline int64_t price(const conf_deployment *d, const char *unit)
{
    assert_non_null(d);
    return catalog_price(d->prices, d->price_count, str_of(unit));
}

static inline int has_alias(const conf_model *m, const char *name)
{
    for (uint32_t i = 0; i < m->alias_count; i++)
        if (str_eq(m->aliases[i], str_of(name)))
            return 1;
    return 0;
}

static inline int any_file(void *arg, const char *path)
{
    (void)arg;
    (void)path;
    return 1;
}

static inline conf *load(const catalog_import *c)
{
    const char *names[64];
    tp_str texts[64];
    char providers[4096] = "{\"providers\":{";
    tp_error err = {0};
    conf_env env = {.plugin_dir = "/p", .exists = any_file};
    uint32_t n = 0;
    for (const char *const *p = catalog_import_providers(); *p; p++)
        snprintf(providers + strlen(providers), sizeof(providers) - strlen(providers),
                 "%s\"%s\":{\"plugin\":\"x\"}", n++ ? "," : "", *p);
    strcat(providers, "}}");
    names[0] = "providers.json";
    texts[0] = str_of(providers);
    assert_true(c->snippet_count < 63);
    for (uint32_t i = 0; i < c->snippet_count; i++) {
        names[i + 1] = c->snippets[i].name.ptr;
        texts[i + 1] = c->snippets[i].text;
    }
    conf *loaded = conf_load_texts(names, texts, c->snippet_count + 1, &env, &err);
    if (!loaded)
        fail_msg("%s", err.text);
    return loaded;
}
#endif
