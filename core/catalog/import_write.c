/* Models as snippets: one for each vendor that has some, one for all others, one for codenames. */
#include <stdio.h>

#include "base/hash.h"
#include "catalog/catalog.h"
#include "catalog/import_int.h"

#define MARK "// turnpike catalog 1 "
enum { MARK_DIGITS = 16, FEW = 4 };

static uint64_t body_hash(tp_str body)
{
    return hash_name(body);
}

int catalog_import_origin(tp_str text)
{
    tp_str mark = STR(MARK);
    char digits[MARK_DIGITS + 1];
    size_t line = str_find(text, '\n');
    if (!str_starts(text, mark))
        return 0;
    if (line < mark.len + MARK_DIGITS || line == text.len)
        return 2;
    snprintf(digits, sizeof(digits), "%016llx",
             (unsigned long long)body_hash(str_skip(text, line + 1)));
    return memcmp(digits, text.ptr + mark.len, MARK_DIGITS) == 0 ? 1 : 2;
}

static void write_price(buf *b, const catalog_offer *o)
{
    const char *comma = "";
    char text[40];
    buf_adds(b, STR("\"price\": { "));
    for (int i = 0; i < CATALOG_UNITS; i++) {
        if (o->price[i] < 0)
            continue;
        catalog_price_print(text, o->price[i]);
        buf_printf(b, "%s\"%s\": \"%s\"", comma, catalog_units[i], text);
        comma = ", ";
    }
    for (uint32_t k = 0; k < o->tier_count; k++) {
        comma = ",\n            ";
        for (int i = 0; i < CATALOG_UNITS; i++) {
            if (o->tiers[k].price[i] < 0)
                continue;
            catalog_price_print(text, o->tiers[k].price[i]);
            buf_printf(b, "%s\"%s@%lld\": \"%s\"", comma, catalog_units[i],
                       (long long)o->tiers[k].above, text);
            comma = ", ";
        }
    }
    buf_adds(b, STR(" }"));
}

static void write_capabilities(buf *b, uint64_t bits)
{
    const char *comma = "";
    buf_adds(b, STR("\"capabilities\": ["));
    for (uint32_t i = 0; catalog_capability(i).bit; i++) {
        catalog_cap c = catalog_capability(i);
        if (!(bits & c.bit))
            continue;
        buf_printf(b, "%s\"%.*s\"", comma, STR_ARG(c.name));
        comma = ", ";
    }
    buf_adds(b, STR("]"));
}

static void write_deployment(buf *b, const catalog_offer *model, const catalog_offer *o)
{
    buf_printf(b, "        { \"provider\": \"%s\", \"model\": ", o->source->provider);
    buf_json_string(b, o->id);
    if (o->spare) /* not routed to: there for its price, when it is asked for as provider/model */
        buf_adds(b, STR(", \"enabled\": false"));
    if (o->context > 0 && o->context != model->context)
        buf_printf(b, ", \"context_length\": %lld", (long long)o->context);
    if (o->output > 0 && o->output != model->output)
        buf_printf(b, ", \"max_output_tokens\": %lld", (long long)o->output);
    if (o->capabilities != model->capabilities) {
        buf_adds(b, STR(",\n          "));
        write_capabilities(b, o->capabilities);
    }
    buf_adds(b, STR(",\n          "));
    write_price(b, o);
    buf_adds(b, STR(" }"));
}

/* Whose limits stand for the model: the first that knows its own. */
static const catalog_offer *speaker(const catalog_group *g)
{
    for (const catalog_offer *o = g->first; o; o = o->next)
        if (!o->spare && o->context > 0 && o->output > 0)
            return o;
    return g->first;
}

/* As its vendor calls it, else as OpenRouter does (the last), else as the first that has a name. */
static tp_str name_of(const catalog_group *g)
{
    tp_str name = STR_NONE;
    if (g->first->source->flags & CATALOG_FIRST_PARTY)
        name = g->first->name;
    for (const catalog_offer *o = g->first; o && !name.len; o = o->next)
        if (o->source == &catalog_sources[catalog_source_count - 1])
            name = o->name;
    for (const catalog_offer *o = g->first; o && !name.len; o = o->next)
        name = o->name;
    return name;
}

static tp_str owner(const catalog_group *g)
{
    tp_str vendor = str_make(g->key.ptr, str_find(g->key, '/'));
    return str_eq(vendor, STR("meta-llama")) ? STR("meta") : vendor;
}

static void write_model(buf *b, const catalog_group *g, catalog_snippet *s)
{
    const catalog_offer *m = speaker(g);
    tp_str name = name_of(g);
    int64_t created = m->created;
    for (const catalog_offer *o = g->first; o && created < 0; o = o->next)
        created = o->created;
    buf_adds(b, STR("    "));
    buf_json_string(b, g->id);
    buf_adds(b, STR(": {\n      \"name\": "));
    buf_json_string(b, name.len ? name : str_skip(g->id, str_find(g->id, '/') + 1));
    if (g->alias_count)
        buf_adds(b, STR(",\n      \"aliases\": ["));
    for (uint32_t i = 0; i < g->alias_count; i++) {
        buf_adds(b, i ? STR(", ") : STR(""));
        buf_json_string(b, g->aliases[i]);
    }
    buf_adds(b, g->alias_count ? STR("],\n      \"owned_by\": ") : STR(",\n      \"owned_by\": "));
    buf_json_string(b, owner(g));
    if (created >= 0)
        buf_printf(b, ",\n      \"created\": %lld", (long long)created);
    if (m->context > 0)
        buf_printf(b, ",\n      \"context_length\": %lld", (long long)m->context);
    if (m->output > 0)
        buf_printf(b, ",\n      \"max_output_tokens\": %lld", (long long)m->output);
    buf_adds(b, STR(",\n      "));
    write_capabilities(b, m->capabilities);
    buf_adds(b, STR(",\n      \"deployments\": [\n"));
    const char *comma = "";
    for (const catalog_offer *o = g->first; o; o = o->next) {
        if (o->spare && !g->vendor.len) /* once is enough, and it stands with the model itself */
            continue;
        buf_adds(b, str_of(comma));
        write_deployment(b, m, o);
        comma = ",\n";
        s->deployments++;
    }
    buf_adds(b, STR("\n      ]\n    }"));
    s->models++;
}

static void write_source(buf *b, const char *what, const catalog_text *t)
{
    if (!t->text.ptr)
        return;
    buf_printf(b, "// %s", what);
    if (t->as_of.len)
        buf_printf(b, ", as of %.*s", STR_ARG(t->as_of));
    buf_adds(b, STR("\n"));
}

static void write_file(catalog_work *w, catalog_snippet *s, catalog_group **groups, uint32_t count)
{
    buf b;
    buf_init(&b, SIZE_MAX);
    buf_adds(
        &b,
        STR("// Prices and limits are those of these data sets, both under the MIT licence (see "
            "NOTICE):\n"));
    write_source(&b, "LiteLLM, model_prices_and_context_window.json, Copyright (c) 2023 Berri AI",
                 &w->request->litellm);
    write_source(&b, "models.dev, Copyright (c) 2025 spin.dev", &w->request->models_dev);
    buf_adds(&b,
             STR("// They are not an offer of the providers: what a request costs is what their "
                 "price lists say.\n{\n  \"models\": {\n"));
    for (uint32_t i = 0; i < count; i++) {
        write_model(&b, groups[i], s);
        buf_printf(&b, "%s\n", i + 1 < count ? "," : "");
    }
    buf_adds(&b, STR("  }\n}\n"));
    tp_str first = catalog_print(w->mem,
                                 MARK "%016llx: made by `turnpike catalog import`, which makes it "
                                      "anew as long as nobody edits it.\n",
                                 (unsigned long long)body_hash(buf_str(&b)));
    s->text = arena_cat(w->mem, first, buf_str(&b));
    TP_MUST(s->text.ptr);
    buf_free(&b);
}

static int is_plain(tp_str vendor)
{
    for (size_t i = 0; i < vendor.len; i++) {
        char c = vendor.ptr[i];
        if (!((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || (c == '-' && i)))
            return 0;
    }
    return vendor.len > 0 && vendor.len < 64;
}

/* Which file a model stands in: that of its vendor, when it has a few models at least. */
static tp_str file_of(catalog_work *w, const catalog_group *g)
{
    uint32_t n = 0;
    if (!g->vendor.len)
        return STR("60-models-codenames.json");
    for (uint32_t i = 0; i < w->group_count; i++)
        n += (uint32_t)str_eq(w->groups[i]->vendor, g->vendor);
    if (n < FEW || !is_plain(g->vendor) || str_eq(g->vendor, STR("codenames")))
        return STR("60-models-other.json");
    return catalog_print(w->mem, "60-models-%.*s.json", STR_ARG(g->vendor));
}

int catalog_write(catalog_work *w)
{
    uint32_t n = w->group_count, files = 0;
    tp_str *names = arena_alloc(w->mem, n * sizeof(*names));
    catalog_group **some = arena_alloc(w->mem, n * sizeof(*some));
    w->out->snippets = arena_zalloc(w->mem, n * sizeof(*w->out->snippets));
    TP_MUST(names && some && w->out->snippets);
    for (uint32_t i = 0; i < n; i++)
        names[i] = file_of(w, w->groups[i]);
    for (uint32_t i = 0; i < n; i++) {
        uint32_t count = 0, before = 0;
        while (before < files && !str_eq(w->out->snippets[before].name, names[i]))
            before++;
        if (before < files)
            continue;
        for (uint32_t k = i; k < n; k++)
            if (str_eq(names[k], names[i]))
                some[count++] = w->groups[k];
        w->out->snippets[files].name = names[i];
        write_file(w, &w->out->snippets[files++], some, count);
    }
    w->out->snippet_count = files;
    return 0;
}
