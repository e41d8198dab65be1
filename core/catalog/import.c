/* The importer from one end to the other, and what its files share. */
#include "catalog/import.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "catalog/import_int.h"
#include "model/json.h"

/* ---- Memory. What the arena holds is bounded by the texts, which their reader bounds. */

tp_str catalog_copy(arena *a, tp_str s)
{
    char *p = arena_alloc(a, s.len + 1);
    TP_MUST(p);
    if (s.len)
        memcpy(p, s.ptr, s.len);
    p[s.len] = 0;
    return str_make(p, s.len);
}

tp_str catalog_lower(arena *a, tp_str s)
{
    char *p = arena_alloc(a, s.len + 1);
    TP_MUST(p);
    for (size_t i = 0; i < s.len; i++)
        p[i] = (char)(s.ptr[i] >= 'A' && s.ptr[i] <= 'Z' ? s.ptr[i] + 32 : s.ptr[i]);
    p[s.len] = 0;
    return str_make(p, s.len);
}

tp_str catalog_print(arena *a, const char *fmt, ...)
{
    char text[2048];
    va_list ap;
    va_start(ap, fmt);
    int n = vsnprintf(text, sizeof(text), fmt, ap);
    va_end(ap);
    TP_MUST(n >= 0);
    return catalog_copy(a, str_make(text, TP_MIN((size_t)n, sizeof(text) - 1)));
}

int catalog_order(tp_str a, tp_str b)
{
    size_t n = TP_MIN(a.len, b.len);
    int c = n ? memcmp(a.ptr, b.ptr, n) : 0;
    return c ? c : (a.len > b.len) - (a.len < b.len);
}

/* ---- What is said. */

int catalog_fault(tp_error *err, const catalog_text *t, uint32_t at, const char *fmt, ...)
{
    char text[700];
    uint32_t line, column;
    va_list ap;
    json_place(t->text, at, &line, &column);
    va_start(ap, fmt);
    vsnprintf(text, sizeof(text), fmt, ap);
    va_end(ap);
    return tp_error_set(err, TP_ERROR_PARSE, "%s:%u:%u: %s", t->file, line, column, text);
}

void catalog_remark_add(catalog_work *w, int kind, const char *fmt, ...)
{
    char text[1024];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(text, sizeof(text), fmt, ap);
    va_end(ap);
    if (w->out->remark_count == w->remark_room) {
        uint32_t room = w->remark_room ? w->remark_room * 2 : 256;
        catalog_remark *more = arena_alloc(w->mem, room * sizeof(*more));
        TP_MUST(more);
        if (w->out->remark_count)
            memcpy(more, w->out->remarks, w->out->remark_count * sizeof(*more));
        w->out->remarks = more;
        w->remark_room = room;
    }
    w->out->remarks[w->out->remark_count++] =
        (catalog_remark){kind, catalog_copy(w->mem, str_of(text))};
}

int catalog_scan(arena *a, const catalog_text *t, int comments, tp_doc *out, tp_error *err)
{
    json_tape tape = {.max_depth = 64};
    json_error e = {0};
    tp_str text = t->text;
    if (comments) {
        size_t at = 0;
        const char *what = NULL;
        char *plain = arena_dup(a, text.ptr, text.len);
        TP_MUST(plain);
        text = str_make(plain, text.len);
        if (conf_jsonc_blank(plain, text.len, &at, &what))
            return catalog_fault(err, t, (uint32_t)at, "%s", what);
    }
    int rc = json_scan_doc(text, &tape, a, out, &e);
    json_tape_free(&tape);
    if (rc)
        return catalog_fault(err, t, e.at, "%s", e.what ? e.what : "out of memory");
    if (json_kind(out, 0) != TP_OBJECT)
        return catalog_fault(err, t, 0, "expected an object");
    return 0;
}

/* ---- Offers. */

enum { MOST_OFFERS = 100000 };

catalog_offer *catalog_offer_of(catalog_work *w, const catalog_source *s, tp_str id)
{
    tp_str path = arena_cat(w->mem, catalog_print(w->mem, "%s/", s->provider), id);
    TP_MUST(path.ptr);
    catalog_offer *o = map_get(&w->by_path, path);
    if (o || w->offer_count == MOST_OFFERS)
        return o;
    o = arena_zalloc(w->mem, sizeof(*o));
    TP_MUST(o);
    o->source = s;
    o->path = path;
    o->id = str_skip(path, path.len - id.len);
    map_put(&w->by_path, path, o);
    if (w->offer_count == w->offer_room) {
        w->offer_room = w->offer_room ? w->offer_room * 2 : 1024;
        w->offers = tp_xrealloc(w->offers, w->offer_room * sizeof(*w->offers));
    }
    w->offers[w->offer_count++] = o;
    return o;
}

static int offer_order(const void *a, const void *b)
{
    const catalog_offer *x = *(catalog_offer *const *)a, *y = *(catalog_offer *const *)b;
    if (x->source != y->source)
        return x->source < y->source ? -1 : 1;
    return catalog_order(x->id, y->id);
}

static int check_request(const catalog_request *r, tp_error *err)
{
    for (uint32_t i = 0; i < r->provider_count; i++) {
        const char *const *known = catalog_import_providers();
        while (*known && !str_eq(str_of(*known), r->providers[i]))
            known++;
        if (!*known)
            return tp_error_set(err, TP_ERROR_CONFIG,
                                "'%.*s' is no provider that the data sets are read for; known are "
                                "openai, anthropic, google, mistral, groq, bedrock and so on: see "
                                "turnpike catalog help",
                                STR_ARG(r->providers[i]));
    }
    if (r->today.len != 10 || catalog_date(r->today) < 0)
        return tp_error_set(err, TP_ERROR_CONFIG,
                            "'%.*s' is no day; expected one such as 2026-08-01", STR_ARG(r->today));
    if (!r->litellm.text.ptr && !r->models_dev.text.ptr)
        return tp_error_set(err, TP_ERROR_CONFIG, "there is no data set to read");
    return 0;
}

static int make(catalog_work *w)
{
    int rc = catalog_read_rules(w);
    if (rc == 0 && w->request->models_dev.text.ptr)
        rc = catalog_read_models_dev(w);
    if (rc == 0 && w->request->litellm.text.ptr)
        rc = catalog_read_litellm(w);
    if (rc)
        return rc;
    if (w->offer_count)
        qsort(w->offers, w->offer_count, sizeof(*w->offers), offer_order);
    catalog_merge(w);
    rc = catalog_group_offers(w);
    if (rc == 0)
        catalog_name_groups(w);
    if (rc == 0)
        rc = catalog_write(w);
    if (rc == 0)
        catalog_rules_unused(w);
    return rc;
}

int catalog_import_make(const catalog_request *r, catalog_import *out, tp_error *err)
{
    *out = (catalog_import){.snippets = NULL};
    arena_init(&out->mem, NULL, SIZE_MAX);
    catalog_work w = {.request = r, .out = out, .err = err, .mem = &out->mem};
    int rc = check_request(r, err);
    if (rc == 0)
        rc = make(&w);
    map_free(&w.by_path);
    map_free(&w.by_key);
    map_free(&w.names);
    free(w.offers);
    free(w.groups);
    return rc;
}

void catalog_import_free(catalog_import *c)
{
    arena_reset(&c->mem);
    *c = (catalog_import){.snippets = NULL};
}
