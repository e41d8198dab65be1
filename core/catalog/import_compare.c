/* What an import would change, in words. */
#include "catalog/import_int.h"
#include "model/json.h"

typedef struct known_model {
    const tp_doc *doc;
    uint32_t key;
} known_model;

typedef struct known {
    map by_id;
    tp_doc *docs;
} known;

static int learn(arena *a, const catalog_text *texts, uint32_t count, known *k, tp_error *err)
{
    k->docs = arena_zalloc(a, (count + 1) * sizeof(*k->docs));
    TP_MUST(k->docs);
    for (uint32_t i = 0; i < count; i++) {
        tp_doc *d = &k->docs[i];
        int rc = catalog_scan(a, &texts[i], 1, d, err);
        if (rc)
            return rc;
        uint32_t t = json_find(d, 0, STR("models"));
        if (!t || json_kind(d, t) != TP_OBJECT)
            continue;
        for (uint32_t key = t + 1; key < d->tokens[t].next; key = d->tokens[key + 1].next) {
            known_model *m = arena_alloc(a, sizeof(*m));
            TP_MUST(m);
            *m = (known_model){d, key};
            map_put(&k->by_id, json_string(d, key, a), m);
        }
    }
    return 0;
}

static tp_str text_of(arena *a, const tp_doc *d, uint32_t object, const char *name)
{
    uint32_t t = object ? json_find(d, object, str_of(name)) : 0;
    tp_str s = t ? json_string(d, t, a) : STR_NONE;
    return s.ptr ? s : STR("");
}

static uint32_t deployment(arena *a, const known_model *m, tp_str provider, tp_str model)
{
    const tp_doc *d = m->doc;
    uint32_t list = json_find(d, m->key + 1, STR("deployments"));
    if (!list || json_kind(d, list) != TP_ARRAY)
        return 0;
    for (uint32_t t = list + 1; t < d->tokens[list].next; t = d->tokens[t].next)
        if (json_kind(d, t) == TP_OBJECT && str_eq(text_of(a, d, t, "provider"), provider) &&
            str_eq(text_of(a, d, t, "model"), model))
            return t;
    return 0;
}

typedef struct change {
    buf *out;
    tp_str id;
    uint32_t count;
} change;

static void begin(change *c)
{
    buf_printf(c->out, c->count++ ? ", " : "changed %.*s: ", STR_ARG(c->id));
}

/* All members of one object that the other has otherwise, and, with `both`, those it lacks. */
static void compare_prices(arena *a, change *c, tp_str path, const tp_doc *d, uint32_t t,
                           const tp_doc *old, uint32_t was)
{
    for (uint32_t k = t + 1; t && k < d->tokens[t].next; k = d->tokens[k + 1].next) {
        tp_str unit = json_string(d, k, a), now = json_string(d, k + 1, a);
        uint32_t o = was ? json_find(old, was, unit) : 0;
        tp_str before = o ? json_string(old, o, a) : STR("none");
        if (str_eq(before, now))
            continue;
        begin(c);
        buf_printf(c->out, "%.*s %.*s %.*s -> %.*s", STR_ARG(path), STR_ARG(unit), STR_ARG(before),
                   STR_ARG(now));
    }
    for (uint32_t k = was + 1; was && k < old->tokens[was].next; k = old->tokens[k + 1].next) {
        tp_str unit = json_string(old, k, a);
        if (t && json_find(d, t, unit))
            continue;
        begin(c);
        buf_printf(c->out, "%.*s %.*s %.*s -> none", STR_ARG(path), STR_ARG(unit),
                   STR_ARG(json_string(old, k + 1, a)));
    }
}

static void compare_values(change *c, tp_str path, const tp_doc *d, uint32_t t, const tp_doc *old,
                           uint32_t was)
{
    static const char *const names[] = {"name",         "aliases",        "owned_by",
                                        "created",      "context_length", "max_output_tokens",
                                        "capabilities", "enabled"};
    for (size_t i = 0; i < TP_COUNT(names); i++) {
        uint32_t n = json_find(d, t, str_of(names[i])), o = json_find(old, was, str_of(names[i]));
        tp_str now = n ? json_raw(d, n) : STR("none"), before = o ? json_raw(old, o) : STR("none");
        if (str_eq(now, before))
            continue;
        begin(c);
        buf_printf(c->out, "%.*s%s%s %.*s -> %.*s", STR_ARG(path), path.len ? " " : "", names[i],
                   STR_ARG(before), STR_ARG(now));
    }
}

static void compare_deployments(arena *a, change *c, const known_model *m, const known_model *old)
{
    const tp_doc *d = m->doc;
    uint32_t list = json_find(d, m->key + 1, STR("deployments"));
    for (uint32_t t = list + 1; list && t < d->tokens[list].next; t = d->tokens[t].next) {
        tp_str provider = text_of(a, d, t, "provider"), model = text_of(a, d, t, "model");
        tp_str path = catalog_print(a, "%.*s/%.*s", STR_ARG(provider), STR_ARG(model));
        uint32_t was = deployment(a, old, provider, model);
        if (!was) {
            begin(c);
            buf_printf(c->out, "also at %.*s", STR_ARG(path));
            continue;
        }
        compare_values(c, path, d, t, old->doc, was);
        compare_prices(a, c, path, d, json_find(d, t, STR("price")), old->doc,
                       json_find(old->doc, was, STR("price")));
    }
    d = old->doc;
    list = json_find(d, old->key + 1, STR("deployments"));
    for (uint32_t t = list + 1; list && t < d->tokens[list].next; t = d->tokens[t].next) {
        tp_str provider = text_of(a, d, t, "provider"), model = text_of(a, d, t, "model");
        if (deployment(a, m, provider, model))
            continue;
        begin(c);
        buf_printf(c->out, "no more at %.*s/%.*s", STR_ARG(provider), STR_ARG(model));
    }
}

/* The models of one set, in the order in which they stand there. */
static void each(arena *a, const known *k, uint32_t count, const known *other, int gone, buf *out,
                 uint32_t counts[3])
{
    for (uint32_t i = 0; i < count; i++) {
        const tp_doc *d = &k->docs[i];
        uint32_t t = json_find(d, 0, STR("models"));
        if (!t || json_kind(d, t) != TP_OBJECT)
            continue;
        for (uint32_t key = t + 1; key < d->tokens[t].next; key = d->tokens[key + 1].next) {
            tp_str id = json_string(d, key, a);
            const known_model m = {d, key}, *old = map_get(&other->by_id, id);
            if (!old) {
                buf_printf(out, "%s %.*s\n", gone ? "gone" : "added", STR_ARG(id));
                counts[gone ? 1 : 0]++;
            } else if (!gone && json_kind(d, key + 1) == TP_OBJECT &&
                       json_kind(old->doc, old->key + 1) == TP_OBJECT) {
                change c = {.out = out, .id = id};
                compare_values(&c, STR(""), d, key + 1, old->doc, old->key + 1);
                compare_deployments(a, &c, &m, old);
                counts[2] += c.count > 0;
                if (c.count)
                    buf_adds(out, STR("\n"));
            }
        }
    }
}

int catalog_import_compare(const catalog_text *before, uint32_t before_count,
                           const catalog_text *after, uint32_t after_count, buf *out,
                           uint32_t counts[3], tp_error *err)
{
    known old = {.docs = NULL}, now = {.docs = NULL};
    arena a;
    arena_init(&a, NULL, SIZE_MAX);
    memset(counts, 0, 3 * sizeof(*counts));
    int rc = learn(&a, before, before_count, &old, err);
    rc = rc ? rc : learn(&a, after, after_count, &now, err);
    if (rc == 0) {
        each(&a, &now, after_count, &old, 0, out, counts);
        each(&a, &old, before_count, &now, 1, out, counts);
    }
    map_free(&old.by_id);
    map_free(&now.by_id);
    arena_reset(&a);
    return rc;
}
