/* The catalog importer: public data sets on model prices and limits -> snippets for conf.d. Texts
 * in, texts out; no files, no clock. A price is read as the decimal number that it is, never as a
 * double. The same input gives the same bytes. [any] */
#ifndef TP_CATALOG_IMPORT_H
#define TP_CATALOG_IMPORT_H
#include "base/arena.h"
#include "base/base.h"
#include "base/buf.h"

typedef struct catalog_text {
    const char *file; /* as messages name it */
    tp_str text;      /* ptr NULL: there is none */
    tp_str as_of;     /* its date or commit, for the snippets' head; empty: not known */
} catalog_text;

/* Both data sets, in their own formats; one of them may be absent. What is made of what:
 * catalog_sources (import_sources.c) says it for each provider. rules: JSON with comments,
 * {"exclude": ["provider/model*"], "include": ["provider/model"], "same": {"provider/model": "id"},
 * "codenames": {"name": "id"}, "created": {"provider/model": "2025-07-09"}}; see
 * docs/operations.md. All is borrowed, and until the catalog is freed. */
typedef struct catalog_request {
    catalog_text litellm, models_dev, rules;
    tp_str today;            /* "2026-08-01": models whose end came before it are left out */
    const tp_str *providers; /* whose deployments are wanted; count 0: all that are known */
    uint32_t provider_count;
    const tp_str *taken; /* names of models that are written by hand: never given again */
    uint32_t taken_count;
} catalog_request;

typedef struct catalog_snippet {
    tp_str name, text; /* name: "60-models-openai.json", with a NUL behind it */
    uint32_t models, deployments;
} catalog_snippet;

enum {
    CATALOG_DIFFERS = 1, /* the data sets disagree on a price */
    CATALOG_ROUNDED,     /* a price has more decimals than can be charged */
    CATALOG_LEFT_OUT,    /* no price, or free without saying so; its end has come; a name taken */
    CATALOG_RULE,        /* a rule that applies to nothing */
    CATALOG_REMARK_KINDS
};
typedef struct catalog_remark {
    int32_t kind;
    tp_str text;
} catalog_remark;

typedef struct catalog_import {
    arena mem; /* owns all below */
    catalog_snippet *snippets;
    catalog_remark *remarks;
    uint32_t snippet_count, remark_count;
} catalog_import;

/* 0; or TP_ERROR_PARSE with "FILE:LINE:COLUMN: ..." (a data set or the rules), TP_ERROR_CONFIG (an
 * unknown provider, a date that is none). out is to be freed in any case. */
int catalog_import_make(const catalog_request *r, catalog_import *out, tp_error *err);
void catalog_import_free(catalog_import *c);

/* Is this the name of a provider that the importer knows? NULL-terminated list of all of them. */
const char *const *catalog_import_providers(void);

/* A snippet's text: not written by the importer (0); as the importer wrote it (1); written by the
 * importer, then edited (2). */
int catalog_import_origin(tp_str text);

/* One line for each model that was added, is gone or has changed between two sets of generated
 * snippets: "added ID", "gone ID", "changed ID: provider/model prompt 0.0000025 -> 0.000002".
 * counts: added, gone, changed. 0, or TP_ERROR_PARSE when a text of `before` is no snippet. */
int catalog_import_compare(const catalog_text *before, uint32_t before_count,
                           const catalog_text *after, uint32_t after_count, buf *out,
                           uint32_t counts[3], tp_error *err);
#endif
