/* Sections: merged by name over the snippets, then resolved. */
#include <stdlib.h>

#include "conf/conf_int.h"

static void *item_at(const conf_loader *l, int section, uint32_t i)
{
    const conf_section *s = &conf_sections[section];
    return *(char **)(void *)((char *)l->c + s->at) + i * s->table->size;
}

static uint32_t *count_of(const conf_loader *l, int section)
{
    return (uint32_t *)(void *)((char *)l->c + conf_sections[section].count_at);
}

static int check_top(conf_loader *l, const conf_snippet *s)
{
    const tp_doc *d = &s->doc;
    for (uint32_t k = 1; k < d->tokens[0].next; k = d->tokens[k + 1].next) {
        conf_node key = {s, k};
        int i = 0;
        while (i < CONF_S_COUNT && !json_string_is(d, k, str_of(conf_sections[i].name)))
            i++;
        if (i < CONF_S_COUNT || json_string_is(d, k, STR("$schema"))) /* for editors */
            continue;
        conf_guess g = conf_guess_begin(json_string(d, k, &l->scratch));
        for (i = 0; i < CONF_S_COUNT; i++)
            conf_guess_offer(&g, str_of(conf_sections[i].name));
        tp_str raw = json_raw(d, k);
        return conf_fail(l, key, "unknown section %.*s%s", (int)TP_MIN(raw.len, (size_t)80),
                         raw.ptr, conf_guess_text(&g, "sections").s);
    }
    return 0;
}

/* ---- Single sections. */
static int load_single(conf_loader *l, int section)
{
    const conf_section *sec = &conf_sections[section];
    void *item = (char *)l->c + sec->at;
    TP_MUST(sec->table->count <= CONF_MAX_FIELDS);
    conf_defaults(sec->table, item);
    for (uint32_t i = 0; i < l->snippet_count; i++) {
        const conf_snippet *s = &l->snippets[i];
        uint32_t t = json_find(&s->doc, 0, str_of(sec->name));
        conf_path path = {.name = str_of(sec->name)};
        if (!t)
            continue;
        int rc = conf_object(l, (conf_node){s, t}, &path, sec->table, item, l->seen[section]);
        if (rc)
            return rc;
    }
    return 0;
}

/* The lists of static keys of several files are joined, so each file's is read by itself. */
static int load_admission(conf_loader *l)
{
    const conf_section *sec = &conf_sections[CONF_S_ADMISSION];
    conf_node *seen = l->seen[CONF_S_ADMISSION];
    const conf_field *f = &sec->table->fields[0];
    uint32_t total = 0, used = 0;
    for (uint32_t i = 0; i < l->snippet_count; i++) {
        const tp_doc *d = &l->snippets[i].doc;
        uint32_t list = json_get(d, 0, sec->name, f->name, NULL);
        for (uint32_t t = list + 1; list && t < d->tokens[list].next; t = d->tokens[t].next)
            total++;
    }
    TP_MUST(sec->table->count <= CONF_MAX_FIELDS);
    conf_defaults(sec->table, l->c);
    conf_key *all = conf_mem(l, total * sizeof(*all));
    l->key_nodes = arena_zalloc(&l->scratch, total * sizeof(*l->key_nodes));
    TP_MUST(l->key_nodes);
    for (uint32_t i = 0; i < l->snippet_count; i++) {
        const conf_snippet *s = &l->snippets[i];
        uint32_t t = json_find(&s->doc, 0, str_of(sec->name));
        conf_path path = {.name = str_of(sec->name)};
        if (!t)
            continue;
        l->c->keys = NULL;
        l->c->key_count = 0;
        seen[0] = (conf_node){NULL, 0};
        int rc = conf_object(l, (conf_node){s, t}, &path, sec->table, l->c, seen);
        if (rc)
            return rc;
        uint32_t list = json_find(&s->doc, t, str_of(f->name)), k = list + 1;
        for (uint32_t j = 0; j < l->c->key_count; j++, k = s->doc.tokens[k].next) {
            l->key_nodes[used] = (conf_node){s, k};
            all[used++] = l->c->keys[j];
        }
    }
    l->c->keys = all;
    l->c->key_count = used;
    return 0;
}

/* ---- Named sections. */
static int load_item(conf_loader *l, int section, const conf_snippet *s, uint32_t key)
{
    const conf_section *sec = &conf_sections[section];
    conf_node name_node = {s, key}, value = {s, key + 1};
    conf_path up = {.name = str_of(sec->name)};
    uint32_t *count = count_of(l, section);
    void *item = item_at(l, section, *count);
    tp_str name;
    int rc = conf_string(l, name_node, &up, sec->expect, &name);
    if (rc)
        return rc;
    if (!name.len || name.len > sec->max || !conf_match(l, sec->pattern, name))
        return conf_fail(l, name_node, "%s: expected %s, found %s", sec->name, sec->expect,
                         conf_found(name_node).s);
    conf_path path = {.up = &up, .name = name};
    *(tp_str *)item = name;
    void *other = map_put(&l->names[section], name, item);
    if (other) {
        size_t i = (size_t)((char *)other - (char *)item_at(l, section, 0)) / sec->table->size;
        conf_node first = l->nodes[section][i];
        return conf_fail(l, name_node, "%s '%.*s' is defined twice: it is defined at %s already",
                         sec->item, STR_ARG(name),
                         conf_where(conf_place_of(conf_child(first, first.t - 1))).s);
    }
    l->nodes[section][*count] = value;
    ++*count;
    rc = conf_object(l, value, &path, sec->table, item, NULL);
    return rc;
}

static int load_named(conf_loader *l, int section)
{
    const conf_section *sec = &conf_sections[section];
    uint32_t total = 0;
    for (uint32_t i = 0; i < l->snippet_count; i++) {
        const tp_doc *d = &l->snippets[i].doc;
        uint32_t t = json_find(d, 0, str_of(sec->name));
        if (t && json_kind(d, t) != TP_OBJECT)
            return conf_fail(l, (conf_node){&l->snippets[i], t},
                             "%s: expected an object of %s objects by name, found %s", sec->name,
                             sec->item, conf_doc_found(d, t).s);
        for (uint32_t k = t + 1; t && k < d->tokens[t].next; k = d->tokens[k + 1].next)
            total++;
    }
    *(void **)(void *)((char *)l->c + sec->at) = conf_mem(l, total * sec->table->size);
    l->nodes[section] = arena_zalloc(&l->scratch, total * sizeof(conf_node));
    TP_MUST(l->nodes[section]);
    for (uint32_t i = 0; i < l->snippet_count; i++) {
        const conf_snippet *s = &l->snippets[i];
        uint32_t t = json_find(&s->doc, 0, str_of(sec->name));
        for (uint32_t k = t + 1; t && k < s->doc.tokens[t].next; k = s->doc.tokens[k + 1].next) {
            int rc = load_item(l, section, s, k);
            if (rc)
                return rc;
        }
    }
    return 0;
}

static int load_sections(conf_loader *l)
{
    int rc = 0;
    for (uint32_t i = 0; rc == 0 && i < l->snippet_count; i++)
        rc = check_top(l, &l->snippets[i]);
    for (int i = 0; rc == 0 && i < CONF_S_COUNT; i++) {
        if (i == CONF_S_ADMISSION)
            rc = load_admission(l);
        else if (conf_sections[i].kind == CONF_SINGLE)
            rc = load_single(l, i);
        else if (conf_sections[i].kind == CONF_NAMED)
            rc = load_named(l, i);
    }
    return rc ? rc : conf_resolve(l);
}

static conf_loader *begin(const conf_env *env, tp_error *err)
{
    conf_loader *l = tp_xcalloc(1, sizeof(*l));
    l->c = tp_xcalloc(1, sizeof(*l->c));
    arena_init(&l->c->mem, NULL, SIZE_MAX);
    arena_init(&l->scratch, NULL, SIZE_MAX);
    l->env = env ? *env : (conf_env){.arg = NULL};
    l->err = err;
    return l;
}

static conf *finish(conf_loader *l, int rc)
{
    conf *c = l->c;
    if (rc == 0) {
        c->notice_count = l->notice_count;
        c->notices = conf_mem(l, l->notice_count * sizeof(*c->notices));
        if (l->notice_count)
            memcpy(c->notices, l->notices, l->notice_count * sizeof(*c->notices));
    }
    for (uint32_t i = 0; i < l->pattern_count; i++)
        regfree(&l->patterns[i].compiled);
    for (size_t i = 0; i < TP_COUNT(l->names); i++)
        map_free(&l->names[i]);
    free(l->notices);
    free(l->snippets);
    json_tape_free(&l->tape);
    arena_reset(&l->scratch);
    free(l);
    if (rc) {
        conf_free(c);
        return NULL;
    }
    return c;
}

conf *conf_load(const char *dir, const conf_env *env, tp_error *err)
{
    conf_loader *l = begin(env, err);
    int rc = conf_read_dir(l, dir);
    return finish(l, rc ? rc : load_sections(l));
}

conf *conf_load_texts(const char *const *names, const tp_str *texts, uint32_t count,
                      const conf_env *env, tp_error *err)
{
    conf_loader *l = begin(env, err);
    int rc = 0;
    l->snippets = tp_xcalloc(count ? count : 1, sizeof(*l->snippets));
    if (count > CONF_MAX_FILES)
        rc = tp_error_set(err, TP_ERROR_CONFIG, "more than %u snippets; join some", CONF_MAX_FILES);
    for (uint32_t i = 0; rc == 0 && i < count; i++)
        rc = conf_read_text(l, names[i], texts[i], 0);
    char *here = realpath(".", NULL);
    l->c->dir = l->snippet_count ? conf_str(l, str_of(l->snippets[0].dir))
                                 : conf_str(l, str_of(here ? here : "."));
    free(here);
    return finish(l, rc ? rc : load_sections(l));
}

void conf_free(conf *c)
{
    if (!c)
        return;
    arena_reset(&c->mem);
    free(c);
}
