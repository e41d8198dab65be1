/* What the two data sets say of one offer becomes one: prices from the one that is trusted for this
 * provider, never mixed; limits and modalities from models.dev; tools and vision from LiteLLM. */
#include "catalog/import_int.h"

static int is_priced(const catalog_facts *f)
{
    return f->there && f->price[CATALOG_PROMPT] >= 0 && f->price[CATALOG_COMPLETION] >= 0;
}

static tp_str dollars(catalog_work *w, int64_t price)
{
    static const int64_t one = 1000000000000000;
    tp_str s =
        catalog_print(w->mem, "%lld.%015lld", (long long)(price / one), (long long)(price % one));
    while (str_ends(s, STR("0")))
        s.len--;
    if (str_ends(s, STR(".")))
        s.len--;
    return s;
}

static void say_difference(catalog_work *w, const catalog_offer *o, int litellm)
{
    for (int i = CATALOG_PROMPT; i <= CATALOG_COMPLETION; i++) {
        int64_t a = o->litellm.price[i], b = o->models_dev.price[i];
        if (a != b)
            catalog_remark_add(w, CATALOG_DIFFERS,
                               "%.*s: %s is %.*s to litellm, %.*s to models.dev; "
                               "%s is trusted here",
                               STR_ARG(o->path), catalog_units[i], STR_ARG(dollars(w, a)),
                               STR_ARG(dollars(w, b)), litellm ? "litellm" : "models.dev");
    }
}

static tp_str thresholds(catalog_work *w, const catalog_facts *f)
{
    tp_str s = f->tier_count ? STR_NONE : STR("none");
    for (uint32_t i = 0; i < f->tier_count; i++)
        s = catalog_print(w->mem, "%.*s%s%lld", STR_ARG(s), i ? " and " : "",
                          (long long)f->tiers[i].above);
    return s;
}

static void say_thresholds(catalog_work *w, const catalog_offer *o, int litellm)
{
    const catalog_facts *l = &o->litellm, *d = &o->models_dev;
    int differ = l->tier_count != d->tier_count;
    for (uint32_t i = 0; !differ && i < l->tier_count; i++)
        differ = l->tiers[i].above != d->tiers[i].above;
    if (differ)
        catalog_remark_add(w, CATALOG_DIFFERS,
                           "%.*s: thresholds of long prompts are %.*s to litellm, %.*s to models.dev; "
                           "%s is trusted here",
                           STR_ARG(o->path), STR_ARG(thresholds(w, l)), STR_ARG(thresholds(w, d)),
                           litellm ? "litellm" : "models.dev");
}

/* 0, or -1: it has none that anybody could be charged by. */
static int merge_prices(catalog_work *w, catalog_offer *o)
{
    const catalog_facts *l = &o->litellm, *d = &o->models_dev;
    int litellm = o->source->prices == CATALOG_LITELLM, same = 0;
    if (is_priced(l) && is_priced(d)) {
        same = l->price[CATALOG_PROMPT] == d->price[CATALOG_PROMPT] &&
               l->price[CATALOG_COMPLETION] == d->price[CATALOG_COMPLETION];
        if (!same)
            say_difference(w, o, litellm);
        say_thresholds(w, o, litellm);
        memcpy(o->price, litellm ? l->price : d->price, sizeof(o->price));
        /* Where they agree on what both say, what only one says is of the same list. */
        for (int i = 0; same && i < CATALOG_UNITS; i++)
            if (o->price[i] < 0)
                o->price[i] = litellm ? d->price[i] : l->price[i];
    } else if (is_priced(l)) {
        memcpy(o->price, l->price, sizeof(o->price));
        litellm = 1;
    } else if (is_priced(d)) {
        memcpy(o->price, d->price, sizeof(o->price));
        litellm = 0;
    } else {
        return -1;
    }
    if ((litellm ? l : d)->rounded)
        catalog_remark_add(w, CATALOG_ROUNDED,
                           "%.*s: a price with more than 15 decimals a unit is rounded half up",
                           STR_ARG(o->path));
    /* What falls back to the same figure anyway need not be said. */
    if (o->price[CATALOG_REASONING] == o->price[CATALOG_COMPLETION])
        o->price[CATALOG_REASONING] = -1;
    /* Nothing is cached where nothing is charged for it: an unsaid price, not a gift. */
    for (int i = CATALOG_CACHE_READ; i < CATALOG_UNITS; i++)
        if (o->price[i] == 0 && o->price[CATALOG_PROMPT] > 0)
            o->price[i] = -1;
    /* Nobody keeps for an hour at less than for five minutes: such a figure is a slip. */
    if (o->price[CATALOG_CACHE_HOUR] <= o->price[CATALOG_CACHE_WRITE])
        o->price[CATALOG_CACHE_HOUR] = -1;
    catalog_tier_merge(o, litellm ? l : d, !same ? NULL : litellm ? d : l);
    return 0;
}

/* A name for people, without what somebody's editor left in it. */
static tp_str clean_name(catalog_work *w, tp_str s)
{
    char *p = arena_alloc(w->mem, s.len + 1);
    size_t n = 0;
    TP_MUST(p);
    for (size_t i = 0; i < s.len; i++) {
        unsigned char c = (unsigned char)s.ptr[i];
        if (c > ' ' && c != 0x7f)
            p[n++] = (char)c;
        else if (n && p[n - 1] != ' ')
            p[n++] = ' ';
    }
    s = str_trim(str_make(p, n));
    if (str_ends(s, STR(" (latest)")))
        s.len -= strlen(" (latest)");
    return s.len <= 200 ? s : STR_NONE;
}

static void merge_limits(catalog_work *w, catalog_offer *o)
{
    const catalog_facts *l = &o->litellm, *d = &o->models_dev;
    const uint64_t said_by_litellm = CONF_CAP_TOOLS | CONF_CAP_VISION;
    uint64_t first_yes = (l->yes & said_by_litellm) | (d->yes & ~said_by_litellm);
    uint64_t first_no = (l->no & said_by_litellm) | (d->no & ~said_by_litellm);
    uint64_t then_yes = (d->yes & said_by_litellm) | (l->yes & ~said_by_litellm);
    o->capabilities = first_yes | (then_yes & ~first_no) | CONF_CAP_STREAMING;
    o->context = d->there && d->context > 0 ? d->context : l->there ? l->context : -1;
    o->output = d->there && d->output > 0 ? d->output : l->there ? l->output : -1;
    o->name = clean_name(w, d->name);
    o->created = d->created.len ? catalog_date(d->created) : -1;
    tp_str said = catalog_rule_value(w, "created", o->path);
    int64_t day;
    if (said.ptr)
        o->created = catalog_date(said);
    if (o->created < 0 && catalog_date_at_end(o->id, &day))
        o->created = day;
}

static int is_chat(const catalog_offer *o)
{
    const catalog_facts *l = &o->litellm, *d = &o->models_dev;
    if ((l->there && l->chat == 0) || (d->there && d->chat == 0))
        return 0;
    if (o->price[CATALOG_COMPLETION] == 0 && o->price[CATALOG_PROMPT] > 0)
        return 0; /* answers that cost nothing are vectors, or text that was heard */
    return 1;
}

int catalog_is_name(tp_str id)
{
    for (size_t i = 0; i < id.len; i++) {
        char c = id.ptr[i];
        int plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
        if (!plain && (i == 0 || c == 0 || !strchr("._:/@+-", c)))
            return 0;
    }
    return id.len > 0 && id.len <= 128 && id.ptr[id.len - 1] != '/';
}

/* Is it to be offered? */
static int merge_one(catalog_work *w, catalog_offer *o)
{
    const catalog_facts *l = &o->litellm, *d = &o->models_dev;
    int lists = o->source->lists;
    o->included = catalog_rule_listed(w, "include", o->path);
    int listed =
        ((lists & CATALOG_LITELLM) && l->there) || ((lists & CATALOG_MODELS_DEV) && d->there);
    if (catalog_rule_listed(w, "exclude", o->path) || (!listed && !o->included) ||
        !catalog_is_name(o->id))
        return 0;
    if ((l->there && l->chat == 0) || (d->there && d->chat == 0))
        return 0;
    if (!o->included && ((l->there && l->ended) || (d->there && d->ended))) {
        catalog_remark_add(w, CATALOG_LEFT_OUT, "%.*s: its end has come", STR_ARG(o->path));
        return 0;
    }
    if (merge_prices(w, o)) {
        catalog_remark_add(w, CATALOG_LEFT_OUT, "%.*s: no price", STR_ARG(o->path));
        return 0;
    }
    if (!is_chat(o))
        return 0;
    if (o->price[CATALOG_PROMPT] == 0 && o->price[CATALOG_COMPLETION] == 0 && !o->included &&
        !str_ends(o->id, STR(":free"))) {
        catalog_remark_add(w, CATALOG_LEFT_OUT,
                           "%.*s: a price of 0 that may be an unknown one; \"include\" takes it",
                           STR_ARG(o->path));
        return 0;
    }
    merge_limits(w, o);
    return 1;
}

void catalog_merge(catalog_work *w)
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < w->offer_count; i++)
        if (merge_one(w, w->offers[i]))
            w->offers[n++] = w->offers[i];
    w->offer_count = n;
}
