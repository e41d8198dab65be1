/* Offers of one model come together; models get their names. */
#include <stdlib.h>

#include "catalog/import_int.h"
#include "model/json.h"

static catalog_group *group_of(catalog_work *w, tp_str key, tp_str vendor)
{
    catalog_group *g = map_get(&w->by_key, key);
    if (g)
        return g;
    g = arena_zalloc(w->mem, sizeof(*g));
    TP_MUST(g);
    g->key = key;
    g->vendor = vendor;
    map_put(&w->by_key, key, g);
    if (w->group_count == w->group_room) {
        w->group_room = w->group_room ? w->group_room * 2 : 1024;
        w->groups = tp_xrealloc(w->groups, w->group_room * sizeof(*w->groups));
    }
    w->groups[w->group_count++] = g;
    return g;
}

/* Which of a provider's offers of one model is routed to: the lowest. */
static int rank(const catalog_offer *o)
{
    static const char *const regions[] = {"eu.", "apac.", "au.", "jp.", "ca.", "us-gov."};
    if (!(o->source->flags & CATALOG_BEDROCK))
        return o->dated;
    /* What is served from everywhere, then from most places. */
    if (str_starts(o->id, STR("global.")))
        return 0;
    if (str_starts(o->id, STR("us.")))
        return 1;
    for (size_t i = 0; i < TP_COUNT(regions); i++)
        if (str_starts(o->id, str_of(regions[i])))
            return 3;
    return 2;
}

/* The vendor of a bare name that no family tells: the one whose model has that name, if one only.
 */
static void find_vendor(const catalog_work *w, catalog_offer *o)
{
    const catalog_group *found = NULL;
    tp_str own = str_skip(o->key, o->vendor.len + 1);
    for (uint32_t i = 0; i < w->group_count; i++) {
        const catalog_group *g = w->groups[i];
        if (!str_eq(str_skip(g->key, g->vendor.len + 1), own))
            continue;
        if (found)
            return;
        found = g;
    }
    if (found) {
        o->key = found->key;
        o->vendor = found->vendor;
    }
}

/* Who is tried first: the vendor itself; then whoever asks for least; then who passes it on. */
static int before(const catalog_offer *a, const catalog_offer *b)
{
    const catalog_source *last = &catalog_sources[catalog_source_count - 1];
    int x = a->source->flags & CATALOG_FIRST_PARTY ? 0 : a->source == last ? 2 : 1;
    int y = b->source->flags & CATALOG_FIRST_PARTY ? 0 : b->source == last ? 2 : 1;
    int64_t p = a->price[CATALOG_PROMPT] / 2 + a->price[CATALOG_COMPLETION] / 2;
    int64_t q = b->price[CATALOG_PROMPT] / 2 + b->price[CATALOG_COMPLETION] / 2;
    if (x != y)
        return x < y;
    if (p != q)
        return p < q;
    return a->source != b->source ? a->source < b->source : catalog_order(a->id, b->id) < 0;
}

static void append(catalog_group *g, catalog_offer *o)
{
    catalog_offer **at = &g->first;
    while (*at && before(*at, o))
        at = &(*at)->next;
    o->next = *at;
    *at = o;
    o->group = g;
    g->count++;
}

/* One of a provider's offers of a model is routed to; the others keep their prices for who asks for
 * them by path. */
static void choose(catalog_group *g)
{
    for (catalog_offer *o = g->first; o; o = o->next)
        for (const catalog_offer *x = g->first; x; x = x->next)
            if (x != o && x->source == o->source &&
                (rank(x) < rank(o) || (rank(x) == rank(o) && catalog_order(x->id, o->id) < 0)))
                o->spare = 1;
    /* The one that speaks for the model stands first. */
    catalog_offer **at = &g->first;
    while ((*at)->spare)
        at = &(*at)->next;
    catalog_offer *lead = *at;
    *at = lead->next;
    lead->next = g->first;
    g->first = lead;
}

int catalog_group_offers(catalog_work *w)
{
    for (uint32_t i = 0; i < w->offer_count; i++)
        catalog_name(w, w->offers[i]);
    for (int sure = 1; sure >= 0; sure--)
        for (uint32_t i = 0; i < w->offer_count; i++) {
            catalog_offer *o = w->offers[i];
            if (o->sure != sure)
                continue;
            if (!sure)
                find_vendor(w, o);
            append(group_of(w, o->key, o->vendor), o);
        }
    for (uint32_t i = 0; i < w->group_count; i++)
        choose(w->groups[i]);
    return 0;
}

/* ---- Names. */

/* As OpenRouter writes it, where it has the model: the spelling that most clients know. Else as the
 * first of its providers does. */
static tp_str model_id(catalog_work *w, const catalog_group *g)
{
    tp_str local = g->first->local;
    for (const catalog_offer *o = g->first; o; o = o->next)
        if (str_eq(str_of(o->source->provider), STR("openrouter")) && !o->spare) {
            tp_str low = catalog_lower(w->mem, o->id);
            size_t slash = str_find(low, '/');
            if (slash < low.len)
                local = str_skip(low, slash + 1);
        }
    return catalog_print(w->mem, "%.*s/%.*s", STR_ARG(g->vendor), STR_ARG(local));
}

static void alias(catalog_work *w, catalog_group *g, tp_str name)
{
    if (!catalog_is_name(name) || map_put(&w->names, name, g)) /* its own, or another's */
        return;
    TP_MUST(g->alias_count < 64);
    g->aliases[g->alias_count++] = name;
}

static void add_aliases(catalog_work *w, catalog_group *g)
{
    g->aliases = arena_alloc(w->mem, 64 * sizeof(*g->aliases));
    TP_MUST(g->aliases);
    for (const catalog_offer *o = g->first; o && g->alias_count < 60; o = o->next) {
        if (o->source->flags & CATALOG_FIRST_PARTY) {
            alias(w, g, o->id);
            if (!o->spare)
                alias(w, g, catalog_print(w->mem, "%.*s/%.*s", STR_ARG(g->vendor), STR_ARG(o->id)));
        } else if (str_eq(str_of(o->source->provider), STR("openrouter")) && !o->spare) {
            alias(w, g, o->id);
        }
    }
}

static int group_order(const void *a, const void *b)
{
    const catalog_group *x = *(catalog_group *const *)a, *y = *(catalog_group *const *)b;
    return catalog_order(x->id, y->id);
}

/* Names of its own for models that have one already: {"gpt-4o": "openai/gpt-4o"}. */
static void add_codenames(catalog_work *w)
{
    const tp_doc *d = &w->rules.doc;
    uint32_t t = d->count ? json_find(d, 0, STR("codenames")) : 0;
    for (uint32_t k = t + 1; t && k < d->tokens[t].next; k = d->tokens[k + 1].next) {
        tp_str name = json_string(d, k, w->mem), of = json_string(d, k + 1, w->mem);
        size_t slash = str_find(of, '/');
        tp_str vendor = catalog_vendor(w->mem, str_make(of.ptr, slash));
        const catalog_group *g =
            map_get(&w->by_key, catalog_key(w->mem, vendor, str_skip(of, slash + 1)));
        if (!g || !g->id.len)
            continue; /* said as a rule that applies to nothing */
        w->rules.used[k] = 1;
        catalog_group *own = arena_dup(w->mem, g, sizeof(*g));
        TP_MUST(own);
        own->id = name;
        own->vendor = STR_NONE; /* a file of their own */
        own->aliases = NULL;
        own->alias_count = 0;
        if (map_put(&w->names, name, own)) {
            catalog_remark_add(w, CATALOG_LEFT_OUT, "%.*s: the name is taken", STR_ARG(name));
            continue;
        }
        if (w->group_count == w->group_room) {
            w->group_room *= 2;
            w->groups = tp_xrealloc(w->groups, w->group_room * sizeof(*w->groups));
        }
        w->groups[w->group_count++] = own;
    }
}

void catalog_name_groups(catalog_work *w)
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < w->request->taken_count; i++)
        map_put(&w->names, w->request->taken[i], w);
    for (uint32_t i = 0; i < w->group_count; i++) {
        catalog_group *g = w->groups[i];
        g->id = model_id(w, g);
        if (!catalog_is_name(g->id)) {
            catalog_remark_add(w, CATALOG_LEFT_OUT, "%.*s: no name that clients could be given",
                               STR_ARG(g->id));
            g->id = STR_NONE;
        } else if (map_put(&w->names, g->id, g)) {
            catalog_remark_add(w, CATALOG_LEFT_OUT, "%.*s: the name is taken", STR_ARG(g->id));
            g->id = STR_NONE;
        } else {
            w->groups[n++] = g;
        }
    }
    w->group_count = n;
    add_codenames(w);
    if (w->group_count)
        qsort(w->groups, w->group_count, sizeof(*w->groups), group_order);
    for (uint32_t i = 0; i < w->group_count; i++)
        if (w->groups[i]->vendor.len)
            add_aliases(w, w->groups[i]);
}
