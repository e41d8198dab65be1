/* Which model is it? Providers spell one name in many ways; what is only spelling falls away here.
 * What may be another model (another size, date or tuning) stays. */
#include "catalog/import_int.h"

tp_str catalog_vendor(arena *a, tp_str vendor)
{
    static const struct {
        const char *other, *name;
    } same[] = {{"alibaba", "qwen"},
                {"deepseek-ai", "deepseek"},
                {"meta", "meta-llama"},
                {"minimaxai", "minimax"},
                {"mistral", "mistralai"},
                {"moonshot", "moonshotai"},
                {"x-ai", "xai"},
                {"xiaomimimo", "xiaomi"},
                {"zai", "z-ai"},
                {"zai-org", "z-ai"},
                {"zhipuai", "z-ai"},
                {"liquidai", "liquid"},
                {"google-vertex", "google"},
                {"xiaomi-mimo", "xiaomi"}};
    tp_str low = catalog_lower(a, vendor);
    for (size_t i = 0; i < TP_COUNT(same); i++)
        if (str_eq(low, str_of(same[i].other)))
            return str_of(same[i].name);
    return low;
}

/* Whose family a bare name is of. */
static tp_str family(tp_str local)
{
    static const struct {
        const char *begins, *vendor;
    } families[] = {{"claude", "anthropic"},
                    {"gemini", "google"},
                    {"gemma", "google"},
                    {"gpt-", "openai"},
                    {"llama", "meta-llama"},
                    {"meta-llama", "meta-llama"},
                    {"qwen", "qwen"},
                    {"qwq", "qwen"},
                    {"deepseek", "deepseek"},
                    {"glm", "z-ai"},
                    {"zai-glm", "z-ai"},
                    {"kimi", "moonshotai"},
                    {"minimax", "minimax"},
                    {"mistral", "mistralai"},
                    {"mixtral", "mistralai"},
                    {"ministral", "mistralai"},
                    {"magistral", "mistralai"},
                    {"devstral", "mistralai"},
                    {"codestral", "mistralai"},
                    {"voxtral", "mistralai"},
                    {"pixtral", "mistralai"},
                    {"nemotron", "nvidia"},
                    {"grok", "xai"},
                    {"command", "cohere"}};
    for (size_t i = 0; i < TP_COUNT(families); i++)
        if (str_starts(local, str_of(families[i].begins)))
            return str_of(families[i].vendor);
    return STR_NONE;
}

static int is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static tp_str cut_end(tp_str s, const char *end)
{
    if (s.len > strlen(end) && str_ends(s, str_of(end)))
        s.len -= strlen(end);
    return s;
}

/* "-v1:0", "-1:0", "-v1": revisions of the service, not of the model. */
static tp_str cut_revision(tp_str s)
{
    size_t n = s.len;
    while (n && is_digit(s.ptr[n - 1]))
        n--;
    int colon = n > 1 && n < s.len && s.ptr[n - 1] == ':';
    if (colon)
        s.len = n - 1;
    n = s.len;
    while (n && is_digit(s.ptr[n - 1]))
        n--;
    if (n < s.len && n > 2 && s.ptr[n - 1] == 'v' && s.ptr[n - 2] == '-')
        s.len = n - 2;
    else if (n < s.len && n > 1 && s.ptr[n - 1] == '-' && colon && s.len - n == 1)
        s.len = n - 1;
    return s;
}

/* A region's inference profile: "us.anthropic.claude-..." */
static tp_str cut_region(tp_str s)
{
    static const char *const regions[] = {"us.", "eu.",     "apac.", "au.",
                                          "jp.", "global.", "ca.",   "us-gov."};
    for (size_t i = 0; i < TP_COUNT(regions); i++)
        if (str_starts(s, str_of(regions[i])))
            return str_skip(s, strlen(regions[i]));
    return s;
}

/* "glm-5p1" -> "glm-5.1" */
static void points(char *p, size_t n)
{
    for (size_t i = 1; i + 1 < n; i++)
        if (p[i] == 'p' && is_digit(p[i - 1]) && is_digit(p[i + 1]))
            p[i] = '.';
}

/* "claude-opus-4-5@20251101" -> "claude-opus-4-5-20251101" */
static tp_str cut_vertex(tp_str s)
{
    s = cut_end(cut_end(s, "@default"), "-maas");
    for (size_t i = 0; i < s.len; i++)
        if (s.ptr[i] == '@')
            ((char *)(uintptr_t)s.ptr)[i] = '-'; /* a copy of our own */
    return s;
}

static void split(tp_str s, char at, tp_str *vendor, tp_str *local)
{
    size_t n = str_find(s, at);
    *vendor = n < s.len ? str_make(s.ptr, n) : STR_NONE;
    *local = n < s.len ? str_skip(s, n + 1) : s;
}

tp_str catalog_key(arena *a, tp_str vendor, tp_str local)
{
    tp_str s = catalog_lower(a, catalog_print(a, "%.*s/%.*s", STR_ARG(vendor), STR_ARG(local)));
    for (size_t i = 0; i < s.len; i++)
        if (s.ptr[i] == '.' || s.ptr[i] == '_')
            ((char *)(uintptr_t)s.ptr)[i] = '-';
    return s;
}

/* "meta-llama-3.3" and "llama3-3" are "llama-3.3", "zai-glm-4.7" is "glm-4.7". */
static tp_str spelling(arena *a, tp_str s)
{
    if (str_starts(s, STR("meta-llama-")))
        return str_skip(s, strlen("meta-"));
    if (str_starts(s, STR("zai-glm-")))
        return str_skip(s, strlen("zai-"));
    if (str_starts(s, STR("llama")) && s.len > 5 && is_digit(s.ptr[5]))
        return catalog_print(a, "llama-%.*s", STR_ARG(str_skip(s, 5)));
    return s;
}

/* What the data says it is a copy of; unless its own name says more than that one's, in figures. */
static int take_base(catalog_work *w, catalog_offer *o)
{
    tp_str base = o->models_dev.base, vendor, local;
    if (!base.len || (o->source->flags & CATALOG_FIRST_PARTY) || str_find(o->id, ':') < o->id.len)
        if (!(base.len && (o->source->flags & CATALOG_BEDROCK)))
            return 0;
    split(base, '/', &vendor, &local);
    if (!vendor.len || !local.len)
        return 0;
    vendor = catalog_vendor(w->mem, vendor);
    tp_str own = catalog_key(w->mem, STR(""), o->local), its = catalog_key(w->mem, STR(""), local);
    if (str_starts(own, its))
        for (size_t i = its.len; i < own.len; i++)
            if (is_digit(own.ptr[i]))
                return 0;
    o->vendor = vendor;
    o->local = catalog_lower(w->mem, local);
    return 1;
}

void catalog_name(catalog_work *w, catalog_offer *o)
{
    uint32_t flags = o->source->flags;
    tp_str s = catalog_lower(w->mem, o->id), same = catalog_rule_value(w, "same", o->path);
    int64_t day;
    o->sure = 1;
    if (flags & CATALOG_FIREWORKS) {
        if (str_starts(s, STR("accounts/fireworks/")))
            s = str_skip(s, strlen("accounts/fireworks/"));
        if (str_find(s, '/') < s.len)
            s = str_skip(s, str_find(s, '/') + 1);
        points((char *)(uintptr_t)s.ptr, s.len);
    }
    if (flags & CATALOG_BEDROCK)
        s = cut_revision(cut_region(s));
    if (flags & CATALOG_VERTEX)
        s = cut_vertex(s);
    if ((flags & CATALOG_FIRST_PARTY) || str_find(s, flags & CATALOG_BEDROCK ? '.' : '/') == s.len)
        split(s, 0, &o->vendor, &o->local);
    else
        split(s, flags & CATALOG_BEDROCK ? '.' : '/', &o->vendor, &o->local);
    o->local = cut_end(o->local, "-fp8");
    if (flags & CATALOG_TURBO) {
        o->local = cut_end(o->local, "-tput");
        if (str_ends(o->local, STR("-instruct-turbo")))
            o->local = cut_end(o->local, "-turbo");
    }
    o->local = spelling(w->mem, o->local);
    if (str_eq(o->vendor, STR("amazon")))
        o->local = cut_end(o->local, "-v1");
    if (flags & CATALOG_FIRST_PARTY)
        o->vendor = str_of(o->source->vendor);
    else if (!o->vendor.len) {
        o->vendor = family(o->local);
        o->sure = o->vendor.len > 0;
        if (!o->sure)
            o->vendor = str_of(o->source->provider);
    }
    o->vendor = catalog_vendor(w->mem, o->vendor);
    if (same.ptr) {
        split(same, '/', &o->vendor, &o->local);
        o->vendor = catalog_vendor(w->mem, o->vendor);
    } else {
        (void)take_base(w, o);
    }
    /* Claude's date is when the one model of that name came out; others mean another model by it.
     */
    size_t date = catalog_date_at_end(o->local, &day);
    if (date == 9 && str_eq(o->vendor, STR("anthropic"))) {
        o->local.len -= date;
        o->dated = 1;
    }
    o->key = catalog_key(w->mem, o->vendor, o->local);
}
