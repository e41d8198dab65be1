/* The two data sets, each in its own format. Members that are not used may be anything; those that
 * are must be what they should, or the whole import stops at their place: a figure that was
 * misread would be charged. null is as good as nothing. */
#include "catalog/import_int.h"
#include "model/json.h"

typedef struct reading {
    catalog_work *w;
    const catalog_text *t;
    tp_doc d;
} reading;

static uint32_t member(const reading *r, uint32_t object, const char *name)
{
    uint32_t t = json_find(&r->d, object, str_of(name));
    return t && json_kind(&r->d, t) != TP_NULL ? t : 0;
}

static int wrong(const reading *r, uint32_t t, const char *name, const char *expected)
{
    tp_str raw = json_raw(&r->d, t);
    return catalog_fault(r->w->err, r->t, r->d.tokens[t].at, "%s: expected %s, found %.*s%s", name,
                         expected, (int)TP_MIN(raw.len, (size_t)40), raw.ptr,
                         raw.len > 40 ? "..." : "");
}

static int read_text(const reading *r, uint32_t object, const char *name, tp_str *out)
{
    uint32_t t = member(r, object, name);
    if (!t)
        return 0;
    *out = json_string(&r->d, t, r->w->mem);
    return out->ptr ? 0 : wrong(r, t, name, "a string");
}

/* A limit: 0 and less are as good as not said. */
static int read_limit(const reading *r, uint32_t object, const char *name, int64_t *out)
{
    uint32_t t = member(r, object, name);
    int64_t v = 0;
    if (!t)
        return 0;
    if (json_kind(&r->d, t) != TP_NUMBER)
        return wrong(r, t, name, "a number of tokens");
    if (catalog_number_whole(json_raw(&r->d, t), &v) == 0 && v > 0 && v <= 1000000000)
        *out = v;
    return 0;
}

static int price_at(const reading *r, uint32_t t, const char *name, int shift, catalog_facts *f,
                    int64_t *out)
{
    if (json_kind(&r->d, t) != TP_NUMBER)
        return wrong(r, t, name, "a price as a number of US dollars");
    int64_t v = -1;
    int rc = catalog_number_price(json_raw(&r->d, t), shift, &v);
    if (rc == -1)
        return wrong(r, t, name, "a price of 0 or more");
    if (rc == -2)
        return wrong(r, t, name, "a price of at most 9223 dollars a unit");
    f->rounded |= rc;
    *out = v;
    return 0;
}

static int read_price(const reading *r, uint32_t object, const char *name, int shift,
                      catalog_facts *f, int64_t *out)
{
    uint32_t t = member(r, object, name);
    return t ? price_at(r, t, name, shift, f, out) : 0;
}

static int too_many_tiers(const reading *r, uint32_t t, const char *name)
{
    return wrong(r, t, name, "no more thresholds than four");
}

static int read_flag(const reading *r, uint32_t object, const char *name, uint64_t bit,
                     catalog_facts *f)
{
    uint32_t t = member(r, object, name);
    int v = 0;
    if (!t)
        return 0;
    if (json_bool(&r->d, t, &v))
        return wrong(r, t, name, "true or false");
    *(v ? &f->yes : &f->no) |= bit;
    return 0;
}

static void begin(catalog_facts *f)
{
    *f = (catalog_facts){.there = 1, .chat = -1, .context = -1, .output = -1};
    for (int i = 0; i < CATALOG_UNITS; i++)
        f->price[i] = -1;
}

static int wanted(const catalog_work *w, const catalog_source *s)
{
    const catalog_request *r = w->request;
    for (uint32_t i = 0; i < r->provider_count; i++)
        if (str_eq(r->providers[i], str_of(s->provider)))
            return 1;
    return r->provider_count == 0;
}

static int too_many(const reading *r, uint32_t t)
{
    return catalog_fault(r->w->err, r->t, r->d.tokens[t].at, "more models than anybody offers");
}

/* ---- models.dev: providers by name, each with models by id; prices in dollars a million tokens.
 */

static int has_word(const reading *r, uint32_t list, const char *word)
{
    for (uint32_t t = list + 1; list && t < r->d.tokens[list].next; t = r->d.tokens[t].next)
        if (json_string_is(&r->d, t, str_of(word)))
            return 1;
    return 0;
}

static int read_modalities(const reading *r, uint32_t model, catalog_facts *f)
{
    static const struct {
        const char *word;
        uint64_t bit;
    } inputs[] = {
        {"image", CONF_CAP_VISION}, {"audio", CONF_CAP_AUDIO}, {"pdf", CONF_CAP_DOCUMENTS}};
    uint32_t t = member(r, model, "modalities");
    if (!t)
        return 0;
    if (json_kind(&r->d, t) != TP_OBJECT)
        return wrong(r, t, "modalities", "an object");
    uint32_t in = member(r, t, "input"), out = member(r, t, "output");
    if (in && json_kind(&r->d, in) != TP_ARRAY)
        return wrong(r, in, "input", "a list of words");
    if (out && json_kind(&r->d, out) != TP_ARRAY)
        return wrong(r, out, "output", "a list of words");
    for (size_t i = 0; in && i < TP_COUNT(inputs); i++)
        *(has_word(r, in, inputs[i].word) ? &f->yes : &f->no) |= inputs[i].bit;
    if (out) /* what draws or films is called by other paths, and charged by other units */
        f->chat =
            has_word(r, out, "text") && !has_word(r, out, "image") && !has_word(r, out, "video");
    return 0;
}

static int read_costs(const reading *r, uint32_t t, catalog_facts *f, int64_t price[CATALOG_UNITS])
{
    static const struct {
        const char *name;
        int unit;
    } costs[] = {{"input", CATALOG_PROMPT},
                 {"output", CATALOG_COMPLETION},
                 {"cache_read", CATALOG_CACHE_READ},
                 {"cache_write", CATALOG_CACHE_WRITE},
                 {"reasoning", CATALOG_REASONING},
                 {"input_audio", CATALOG_AUDIO_PROMPT},
                 {"output_audio", CATALOG_AUDIO_COMPLETION}};
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < TP_COUNT(costs); i++)
        rc = read_price(r, t, costs[i].name, -6, f, &price[costs[i].unit]);
    return rc;
}

/* One of "tiers": costs as those of the model, and {"tier": {"size": 200000}}: above so many tokens
 * of context. Tiers of another type are of no use here. */
static int dev_tier(const reading *r, uint32_t t, catalog_facts *f)
{
    if (json_kind(&r->d, t) != TP_OBJECT)
        return wrong(r, t, "tiers", "objects");
    uint32_t tier = member(r, t, "tier");
    int64_t size = -1;
    tp_str type = STR_NONE;
    if (!tier || json_kind(&r->d, tier) != TP_OBJECT)
        return wrong(r, tier ? tier : t, "tier", "an object with a size");
    int rc = read_text(r, tier, "type", &type);
    if (rc || (type.len && !str_eq(type, STR("context"))))
        return rc;
    rc = read_limit(r, tier, "size", &size);
    if (rc == 0 && (size < 1 || size > CONF_PRICE_ABOVE_MAX))
        return wrong(r, tier, "size", "a number of tokens");
    catalog_tier *found = rc ? NULL : catalog_tier_of(f, size);
    if (rc == 0 && !found)
        return too_many_tiers(r, t, "tiers");
    return rc ? rc : read_costs(r, t, f, found->price);
}

static int read_cost(const reading *r, uint32_t model, catalog_facts *f)
{
    uint32_t t = member(r, model, "cost");
    if (!t)
        return 0;
    if (json_kind(&r->d, t) != TP_OBJECT)
        return wrong(r, t, "cost", "an object");
    int rc = read_costs(r, t, f, f->price);
    /* The older way to say it, which may stand beside the newer one: that one counts. */
    uint32_t over = member(r, t, "context_over_200k"), tiers = member(r, t, "tiers");
    if (rc == 0 && over && json_kind(&r->d, over) != TP_OBJECT)
        return wrong(r, over, "context_over_200k", "an object");
    if (rc == 0 && over)
        rc = read_costs(r, over, f, catalog_tier_of(f, 200000)->price);
    if (rc == 0 && tiers && json_kind(&r->d, tiers) != TP_ARRAY)
        return wrong(r, tiers, "tiers", "a list");
    for (uint32_t k = tiers + 1; rc == 0 && tiers && k < r->d.tokens[tiers].next;
         k = r->d.tokens[k].next)
        rc = dev_tier(r, k, f);
    return rc;
}

static int dev_model(const reading *r, const catalog_source *s, uint32_t key)
{
    uint32_t m = key + 1;
    tp_str id = json_string(&r->d, key, r->w->mem), status = STR_NONE;
    if (json_kind(&r->d, m) != TP_OBJECT)
        return wrong(r, m, "model", "an object");
    if (!id.len)
        return wrong(r, key, "model", "an id");
    catalog_offer *o = catalog_offer_of(r->w, s, id);
    if (!o)
        return too_many(r, key);
    catalog_facts *f = &o->models_dev;
    begin(f);
    int rc = read_text(r, m, "name", &f->name);
    rc = rc ? rc : read_text(r, m, "base_model", &f->base);
    rc = rc ? rc : read_text(r, m, "release_date", &f->created);
    rc = rc ? rc : read_text(r, m, "status", &status);
    rc = rc ? rc : read_flag(r, m, "tool_call", CONF_CAP_TOOLS, f);
    rc = rc ? rc : read_flag(r, m, "reasoning", CONF_CAP_REASONING, f);
    rc = rc ? rc : read_flag(r, m, "structured_output", CONF_CAP_SCHEMA, f);
    rc = rc ? rc : read_modalities(r, m, f);
    uint32_t limit = member(r, m, "limit");
    if (rc == 0 && limit && json_kind(&r->d, limit) != TP_OBJECT)
        return wrong(r, limit, "limit", "an object");
    rc = rc || !limit ? rc : read_limit(r, limit, "context", &f->context);
    rc = rc || !limit ? rc : read_limit(r, limit, "output", &f->output);
    f->ended = str_eq(status, STR("deprecated"));
    return rc ? rc : read_cost(r, m, f);
}

int catalog_read_models_dev(catalog_work *w)
{
    reading r = {.w = w, .t = &w->request->models_dev};
    int rc = catalog_scan(w->mem, r.t, 0, &r.d, w->err);
    for (uint32_t i = 0; rc == 0 && i < catalog_source_count; i++) {
        const catalog_source *s = &catalog_sources[i];
        uint32_t p = s->models_dev && wanted(w, s) ? member(&r, 0, s->models_dev) : 0;
        if (!p)
            continue;
        if (json_kind(&r.d, p) != TP_OBJECT)
            return wrong(&r, p, s->models_dev, "an object");
        uint32_t models = member(&r, p, "models");
        if (models && json_kind(&r.d, models) != TP_OBJECT)
            return wrong(&r, models, "models", "an object");
        for (uint32_t k = models + 1; models && rc == 0 && k < r.d.tokens[models].next;
             k = r.d.tokens[k + 1].next)
            rc = dev_model(&r, s, k);
    }
    return rc;
}

/* ---- LiteLLM: models by id, the provider within; prices in dollars a token. */

static const catalog_source *source_of(const catalog_work *w, tp_str provider, tp_str *id)
{
    for (uint32_t i = 0; i < catalog_source_count; i++) {
        const catalog_source *s = &catalog_sources[i];
        if (!s->litellm || !str_starts(provider, str_of(s->litellm)) || !wanted(w, s))
            continue;
        /* What follows is a kind of the same provider's: "bedrock_converse", "vertex_ai-...". */
        char after = provider.len > strlen(s->litellm) ? provider.ptr[strlen(s->litellm)] : 0;
        if (after && after != '_' && after != '-')
            continue;
        if (str_starts(*id, str_of(s->litellm_prefix)))
            *id = str_skip(*id, strlen(s->litellm_prefix));
        else if (!(s->flags & CATALOG_VERTEX)) /* Gemini's ids have no prefix there */
            continue;
        return s;
    }
    return NULL;
}

/* A cost's name, alone or with a threshold behind it: "..._above_200k_tokens". */
static int litellm_cost(const reading *r, uint32_t key, catalog_facts *f)
{
    static const struct {
        const char *name;
        int unit;
    } costs[] = {{"input_cost_per_token", CATALOG_PROMPT},
                 {"output_cost_per_token", CATALOG_COMPLETION},
                 {"cache_read_input_token_cost", CATALOG_CACHE_READ},
                 {"cache_creation_input_token_cost", CATALOG_CACHE_WRITE},
                 {"cache_creation_input_token_cost_above_1hr", CATALOG_CACHE_HOUR},
                 {"output_cost_per_reasoning_token", CATALOG_REASONING},
                 {"input_cost_per_audio_token", CATALOG_AUDIO_PROMPT},
                 {"output_cost_per_audio_token", CATALOG_AUDIO_COMPLETION},
                 {"input_cost_per_request", CATALOG_REQUEST}};
    tp_str name = json_string(&r->d, key, r->w->mem), cost = name;
    int64_t above = catalog_tier_name(name, &cost);
    for (size_t i = 0; i < TP_COUNT(costs); i++) {
        if (!str_eq(cost, str_of(costs[i].name)) || json_kind(&r->d, key + 1) == TP_NULL)
            continue;
        catalog_tier *tier = above ? catalog_tier_of(f, above) : NULL;
        if (above && !tier)
            return too_many_tiers(r, key, costs[i].name);
        return price_at(r, key + 1, costs[i].name, 0, f,
                        above ? &tier->price[costs[i].unit] : &f->price[costs[i].unit]);
    }
    return 0;
}

static int litellm_costs(const reading *r, uint32_t m, catalog_facts *f)
{
    int rc = 0;
    for (uint32_t k = m + 1; rc == 0 && k < r->d.tokens[m].next; k = r->d.tokens[k + 1].next)
        rc = litellm_cost(r, k, f);
    return rc;
}

static int litellm_flags(const reading *r, uint32_t m, catalog_facts *f)
{
    static const struct {
        const char *name;
        uint64_t bit;
    } flags[] = {
        {"supports_function_calling", CONF_CAP_TOOLS}, {"supports_vision", CONF_CAP_VISION},
        {"supports_audio_input", CONF_CAP_AUDIO},      {"supports_pdf_input", CONF_CAP_DOCUMENTS},
        {"supports_response_schema", CONF_CAP_SCHEMA}, {"supports_reasoning", CONF_CAP_REASONING}};
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < TP_COUNT(flags); i++)
        rc = read_flag(r, m, flags[i].name, flags[i].bit, f);
    return rc;
}

static int litellm_model(const reading *r, uint32_t key)
{
    uint32_t m = key + 1;
    tp_str id = json_string(&r->d, key, r->w->mem), provider = STR_NONE, mode = STR_NONE,
           end = STR_NONE;
    if (str_eq(id, STR("sample_spec"))) /* explains the format: words where figures belong */
        return 0;
    if (json_kind(&r->d, m) != TP_OBJECT)
        return wrong(r, m, "model", "an object");
    int rc = read_text(r, m, "litellm_provider", &provider);
    const catalog_source *s = rc || !provider.len ? NULL : source_of(r->w, provider, &id);
    if (!s || !id.len)
        return rc;
    catalog_offer *o = catalog_offer_of(r->w, s, id);
    if (!o)
        return too_many(r, key);
    catalog_facts *f = &o->litellm;
    if (f->there) /* the same under two names, with a prefix and without: the first one counts */
        return 0;
    begin(f);
    rc = read_text(r, m, "mode", &mode);
    rc = rc ? rc : read_text(r, m, "deprecation_date", &end);
    rc = rc ? rc : litellm_costs(r, m, f);
    rc = rc ? rc : litellm_flags(r, m, f);
    rc = rc ? rc : read_limit(r, m, "max_input_tokens", &f->context);
    rc = rc ? rc : read_limit(r, m, "max_output_tokens", &f->output);
    if (mode.len)
        f->chat = str_eq(mode, STR("chat"));
    f->ended = end.len == 10 && catalog_date(end) >= 0 &&
               catalog_date(end) < catalog_date(r->w->request->today);
    return rc;
}

int catalog_read_litellm(catalog_work *w)
{
    reading r = {.w = w, .t = &w->request->litellm};
    int rc = catalog_scan(w->mem, r.t, 0, &r.d, w->err);
    if (rc)
        return rc;
    for (uint32_t k = 1; rc == 0 && k < r.d.tokens[0].next; k = r.d.tokens[k + 1].next)
        rc = litellm_model(&r, k);
    return rc;
}
