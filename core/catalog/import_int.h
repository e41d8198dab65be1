/* What the importer's files share. An offer is what one provider offers under one id; a group is a
 * model: the offers of it that several providers make. */
#ifndef TP_CATALOG_IMPORT_INT_H
#define TP_CATALOG_IMPORT_INT_H
#include "base/map.h"
#include "base/str.h"
#include "catalog/import.h"
#include "conf/conf.h"

enum { CATALOG_LITELLM = 1, CATALOG_MODELS_DEV = 2 };
enum {
    CATALOG_FIRST_PARTY = 1, /* the vendor itself: it names the model and comes first */
    CATALOG_BARE = 2,        /* ids are bare names: the vendor is to be found out */
    CATALOG_BEDROCK = 4,     /* REGION.VENDOR.NAME-vN:N */
    CATALOG_VERTEX = 8,      /* NAME@DATE, NAME-maas */
    CATALOG_FIREWORKS = 16,  /* accounts/fireworks/models/NAME, 5p1 for 5.1 */
    CATALOG_TURBO = 32       /* -Turbo is how it is served, not another model */
};
typedef struct catalog_source { /* the last one passes requests on to others */
    const char *provider;        /* as conf.d names it */
    const char *models_dev;      /* its key there; NULL: absent */
    const char *litellm;         /* how its litellm_provider begins; NULL: absent */
    const char *litellm_prefix;  /* what its ids begin with there */
    int32_t prices;              /* whose prices are trusted */
    int32_t lists;               /* who says which models there are: one of them, or both */
    uint32_t flags;
    const char *vendor; /* CATALOG_FIRST_PARTY: whose models these are */
} catalog_source;
extern const catalog_source catalog_sources[];
extern const uint32_t catalog_source_count;

/* Units, in the order in which they are written. */
enum { CATALOG_PROMPT, CATALOG_COMPLETION, CATALOG_CACHE_READ, CATALOG_CACHE_WRITE,
       CATALOG_CACHE_HOUR, CATALOG_REASONING, CATALOG_AUDIO_PROMPT, CATALOG_AUDIO_COMPLETION, CATALOG_REQUEST,
       CATALOG_UNITS };
extern const char *const catalog_units[CATALOG_UNITS];

enum { CATALOG_TIERS = 4 }; /* thresholds that a model may have: nobody has more than two */
typedef struct catalog_tier { /* what counts where the prompt is longer than so many tokens */
    int64_t above;
    int64_t price[CATALOG_UNITS]; /* as below */
} catalog_tier;

typedef struct catalog_facts { /* what one data set says */
    int32_t there;
    int32_t chat;       /* 1 yes, 0 no, -1 not said */
    int32_t ended;      /* deprecated, or its end is before today */
    int32_t rounded;    /* a price had more decimals than conf takes */
    int64_t price[CATALOG_UNITS]; /* nano-dollars a million units; -1 */
    catalog_tier tiers[CATALOG_TIERS]; /* the lowest first */
    uint32_t tier_count;
    int64_t context, output;      /* -1 */
    uint64_t yes, no;             /* capabilities that are said to be there, or not */
    tp_str name, base, created;   /* base: "vendor/model" that it is a copy of */
} catalog_facts;

typedef struct catalog_offer {
    const catalog_source *source;
    tp_str id; /* the provider's own */
    tp_str path; /* "provider/id" */
    catalog_facts litellm, models_dev;
    /* Merged: */
    tp_str name, vendor, local, key; /* key: "vendor/local", such that spellings fall together */
    int64_t price[CATALOG_UNITS], context, output, created;
    catalog_tier tiers[CATALOG_TIERS];
    uint32_t tier_count;
    uint64_t capabilities;
    int32_t included, dated, sure, spare; /* spare: not to be routed to, only called by its path */
    struct catalog_group *group;
    struct catalog_offer *next; /* of the same group */
} catalog_offer;

typedef struct catalog_group {
    tp_str key, id, vendor;
    catalog_offer *first; /* in the order in which they are tried */
    uint32_t count;
    tp_str *aliases;
    uint32_t alias_count;
} catalog_group;

typedef struct catalog_rules {
    tp_doc doc; /* count 0: none */
    const char *file;
    uint8_t *used; /* by token: a rule that applied */
} catalog_rules;

typedef struct catalog_work {
    const catalog_request *request;
    catalog_import *out;
    tp_error *err;
    arena *mem;
    catalog_rules rules;
    map by_path;            /* "provider/id" -> offer */
    catalog_offer **offers; /* sorted by source, then id */
    uint32_t offer_count, offer_room;
    map by_key;
    catalog_group **groups; /* sorted by id */
    uint32_t group_count, group_room;
    map names; /* ids and aliases given, and those taken: -> anything */
    uint32_t remark_room;
} catalog_work;

/* import.c */
/* "FILE:LINE:COLUMN: ..." of byte `at`. Returns TP_ERROR_PARSE. */
int catalog_fault(tp_error *err, const catalog_text *t, uint32_t at, const char *fmt, ...)
    TP_PRINTF(4, 5);
void catalog_remark_add(catalog_work *w, int kind, const char *fmt, ...) TP_PRINTF(3, 4);
tp_str catalog_copy(arena *a, tp_str s);    /* never fails; with a NUL behind it */
tp_str catalog_lower(arena *a, tp_str s);   /* ASCII */
tp_str catalog_print(arena *a, const char *fmt, ...) TP_PRINTF(2, 3);
catalog_offer *catalog_offer_of(catalog_work *w, const catalog_source *s, tp_str id);
int catalog_scan(arena *a, const catalog_text *t, int comments, tp_doc *out, tp_error *err);
int catalog_order(tp_str a, tp_str b); /* bytes */

/* import_number.c: number text times 10^shift in nano-dollars a million units. 0; 1: rounded half
 * up to what can be charged; -1: negative; -2: too large, or not of this world. */
int catalog_number_price(tp_str number, int shift, int64_t *out);
/* An integral number, also as 2e6 or 2000000.0: 0, or -1. */
int catalog_number_whole(tp_str number, int64_t *out);
/* "2025-10-15", "2025-10": Unix seconds; -1: no date. */
int64_t catalog_date(tp_str s);
/* The date at the end of an id, "-20251015" or "-2025-10-15": its length in bytes with the hyphen,
 * and the day; 0: none. */
size_t catalog_date_at_end(tp_str id, int64_t *unix_s);

int catalog_read_litellm(catalog_work *w);    /* import_read.c */
int catalog_read_models_dev(catalog_work *w); /* import_read.c */
int catalog_read_rules(catalog_work *w);      /* import_rules.c */
int catalog_rule_listed(catalog_work *w, const char *list, tp_str path);
/* What the rules' object `name` has for an offer; ptr NULL: nothing. */
tp_str catalog_rule_value(catalog_work *w, const char *name, tp_str path);
void catalog_rules_unused(catalog_work *w);
int catalog_is_name(tp_str id); /* import_merge.c: may a model have this for its id? */
/* import_tier.c: the tier of that threshold, a new one without prices where there is none; NULL: no
 * room for it. */
catalog_tier *catalog_tier_of(catalog_facts *f, int64_t above);
/* "input_cost_per_token_above_200k_tokens" is "input_cost_per_token" and 200000; 0 otherwise. */
int64_t catalog_tier_name(tp_str name, tp_str *cost);
/* o->tiers, once o->price is settled: the thresholds of the trusted facts alone, and, where both say
 * the same of short prompts (also not NULL), at these the prices that only the others say. */
void catalog_tier_merge(catalog_offer *o, const catalog_facts *trusted, const catalog_facts *also);
/* import_merge.c: two data sets -> one set of offers; what is not to be offered goes. */
void catalog_merge(catalog_work *w);
/* import_name.c: vendor, local, key of an offer; sure 0: the vendor is a guess by family. */
void catalog_name(catalog_work *w, catalog_offer *o);
tp_str catalog_key(arena *a, tp_str vendor, tp_str local);
/* A vendor's name as this catalog writes it: "mistral" -> "mistralai". */
tp_str catalog_vendor(arena *a, tp_str vendor);
int catalog_group_offers(catalog_work *w);  /* import_group.c */
void catalog_name_groups(catalog_work *w);  /* import_group.c */
int catalog_write(catalog_work *w);         /* import_write.c */
#endif
