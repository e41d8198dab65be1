/* The rules: what an operator knows better than the data. */
#include "catalog/import_int.h"
#include "model/json.h"

enum { SAME, CODENAMES, CREATED, MAPS };
static const char *const lists[] = {"exclude", "include"};
static const char *const maps[MAPS] = {"same", "codenames", "created"};

static int check_list(catalog_work *w, const tp_doc *d, uint32_t t)
{
    const catalog_text *text = &w->request->rules;
    if (json_kind(d, t) != TP_ARRAY)
        return catalog_fault(w->err, text, d->tokens[t].at,
                             "expected a list of \"provider/model\", as the provider calls it");
    for (uint32_t i = t + 1; i < d->tokens[t].next; i = d->tokens[i].next) {
        tp_str s = json_string(d, i, w->mem);
        size_t star = str_find(s, '*');
        if (!s.ptr || str_find(s, '/') == s.len || (star < s.len && star + 1 < s.len))
            return catalog_fault(w->err, text, d->tokens[i].at,
                                 "expected \"provider/model\", or the beginning of one and '*'");
    }
    return 0;
}

static int check_map(catalog_work *w, const tp_doc *d, uint32_t t, int which)
{
    const catalog_text *text = &w->request->rules;
    if (json_kind(d, t) != TP_OBJECT)
        return catalog_fault(w->err, text, d->tokens[t].at, "expected an object of names");
    for (uint32_t k = t + 1; k < d->tokens[t].next; k = d->tokens[k + 1].next) {
        tp_str s = json_string(d, k + 1, w->mem);
        if (which == CODENAMES && !catalog_is_name(json_string(d, k, w->mem)))
            return catalog_fault(w->err, text, d->tokens[k].at,
                                 "expected a name for a model: letters, digits and ._:/@+-");
        if (which == CREATED) {
            if (!s.ptr || catalog_date(s) < 0)
                return catalog_fault(w->err, text, d->tokens[k + 1].at,
                                     "expected a day such as \"2025-07-09\"");
            continue;
        }
        if (!s.ptr || !catalog_is_name(s) || str_find(s, '/') == s.len)
            return catalog_fault(w->err, text, d->tokens[k + 1].at,
                                 "expected the id of a model, such as \"openai/gpt-4o\"");
    }
    return 0;
}

int catalog_read_rules(catalog_work *w)
{
    const catalog_text *text = &w->request->rules;
    tp_doc *d = &w->rules.doc;
    if (!text->text.ptr)
        return 0;
    int rc = catalog_scan(w->mem, text, 1, d, w->err);
    for (uint32_t k = 1; rc == 0 && k < d->tokens[0].next; k = d->tokens[k + 1].next) {
        int known = 0;
        for (size_t i = 0; i < TP_COUNT(lists) && !known; i++)
            if ((known = json_string_is(d, k, str_of(lists[i]))))
                rc = check_list(w, d, k + 1);
        for (int i = 0; i < MAPS && !known; i++)
            if ((known = json_string_is(d, k, str_of(maps[i]))))
                rc = check_map(w, d, k + 1, i);
        if (!known && rc == 0)
            rc = catalog_fault(w->err, text, d->tokens[k].at,
                               "expected one of exclude, include, same, codenames, created");
    }
    if (rc == 0) {
        w->rules.used = arena_zalloc(w->mem, d->count);
        TP_MUST(w->rules.used);
    } else {
        *d = (tp_doc){.count = 0};
    }
    return rc;
}

int catalog_rule_listed(catalog_work *w, const char *list, tp_str path)
{
    const tp_doc *d = &w->rules.doc;
    uint32_t t = d->count ? json_find(d, 0, str_of(list)) : 0;
    int found = 0;
    for (uint32_t i = t + 1; t && i < d->tokens[t].next; i = d->tokens[i].next) {
        tp_str s = json_string(d, i, w->mem);
        int open = s.len && s.ptr[s.len - 1] == '*';
        if (open ? str_starts(path, str_make(s.ptr, s.len - 1)) : str_eq(s, path))
            found = w->rules.used[i] = 1;
    }
    return found;
}

tp_str catalog_rule_value(catalog_work *w, const char *name, tp_str path)
{
    const tp_doc *d = &w->rules.doc;
    uint32_t t = d->count ? json_find(d, 0, str_of(name)) : 0, v = t ? json_find(d, t, path) : 0;
    if (!v)
        return STR_NONE;
    w->rules.used[v - 1] = 1;
    return json_string(d, v, w->mem);
}

/* A rule for a provider that was not asked for has no say this time. */
static int is_asked(const catalog_work *w, tp_str path)
{
    const catalog_request *r = w->request;
    tp_str provider = str_make(path.ptr, str_find(path, '/'));
    for (uint32_t i = 0; i < r->provider_count; i++)
        if (str_eq(r->providers[i], provider))
            return 1;
    return r->provider_count == 0;
}

void catalog_rules_unused(catalog_work *w)
{
    const tp_doc *d = &w->rules.doc;
    for (uint32_t k = 1; d->count && k < d->tokens[0].next; k = d->tokens[k + 1].next) {
        int is_map = json_kind(d, k + 1) == TP_OBJECT;
        int of_models = json_string_is(d, k, str_of(maps[CODENAMES]));
        for (uint32_t i = k + 2; i < d->tokens[k + 1].next;
             i = is_map ? d->tokens[i + 1].next : d->tokens[i].next) {
            tp_str rule = json_string(d, i, w->mem);
            if (!w->rules.used[i] && (of_models || is_asked(w, rule)))
                catalog_remark_add(w, CATALOG_RULE, "%.*s: %.*s applies to nothing",
                                   STR_ARG(json_string(d, k, w->mem)), STR_ARG(rule));
        }
    }
}
