/* Prices and limits: what a deployment takes from itself and what from its model. Pure look-ups
 * over configured values. [any] */
#ifndef TP_CATALOG_CATALOG_H
#define TP_CATALOG_CATALOG_H
#include "conf/conf.h"

/* Nano-dollars a million units, or -1: no price for this unit. */
int64_t catalog_price(const conf_price *prices, uint32_t count, tp_str unit);
/* The same, but a class without a price of its own takes: cache_read, cache_write and
 * billed_prompt -> prompt; reasoning and billed_completion -> completion. */
int64_t catalog_price_or(const conf_price *prices, uint32_t count, tp_str unit);
/* A price as API lists print it: dollars a unit, plain decimal without exponent, "0.00000059";
 * terminated. nano_per_million >= 0. Returns the length. */
size_t catalog_price_print(char out[40], int64_t nano_per_million);

/* The version of a list of prices: "p-" and 16 hex digits of a hash over units and figures, whatever
 * their order; terminated; empty for none. */
void catalog_price_version(char out[20], const conf_price *prices, uint32_t count);

typedef struct catalog_terms { /* what is in force for one deployment */
    int64_t context_length, max_output_tokens; /* -1: not known */
    uint64_t capabilities;
    int32_t quality;                           /* 0 .. 100 */
    uint32_t price_count;
    const conf_price *prices;                  /* borrowed from the configuration */
} catalog_terms;
/* d's own figures, and m's where d says none. Prices are not mixed: a deployment that has any uses
 * its own alone. */
catalog_terms catalog_terms_of(const conf_model *m, const conf_deployment *d);

/* Snippet names of the capability bits: catalog_capability(0) is {CONF_CAP_TOOLS, "tools"}; the one
 * after the last has bit 0. */
typedef struct catalog_cap {
    uint64_t bit;
    tp_str name;
} catalog_cap;
catalog_cap catalog_capability(uint32_t i);
#endif
