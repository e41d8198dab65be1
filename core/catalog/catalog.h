/* Prices and limits: what a deployment takes from itself and what from its model. Pure look-ups
 * over configured values. [any] */
#ifndef TP_CATALOG_CATALOG_H
#define TP_CATALOG_CATALOG_H
#include "conf/conf.h"

/* A list of prices is flat: each entry is a unit and its price. A unit is
 *
 *     UNIT [ ":" VARIANT ] [ "@" THRESHOLD ]
 *
 * UNIT      what is counted: prompt, completion, cache_read, cache_write, reasoning, request...
 * VARIANT   a kind of it at a price of its own: "cache_write:1h" is a prompt token that is kept in
 *           the provider's cache for an hour, "images:1024x1024" an image of that size. Without an
 *           entry a variant takes the price of its plain unit.
 * THRESHOLD whole tokens, without leading zeros: the price where the prompt of the request, all its
 *           classes together (prompt, cache_read, cache_write and its variants, audio_prompt), is
 *           LONGER than that; it then holds for all tokens of the unit, not only for those beyond.
 *
 * For a request of so many prompt tokens a unit takes its own entry with the largest threshold that
 * they exceed, else its plain one; a unit without either takes what its kind (conf_unit_kind) takes
 * by the same rule: cache_write:1h -> cache_write -> prompt; reasoning -> completion. */

/* Nano-dollars a million units of the entry of exactly this name, or -1: none. */
int64_t catalog_price(const conf_price *prices, uint32_t count, tp_str unit);
/* The same, or its kind's: what a short prompt pays. */
int64_t catalog_price_or(const conf_price *prices, uint32_t count, tp_str unit);
/* What a unit (without a threshold) costs where the prompt has so many tokens; -1: no price. */
int64_t catalog_price_at(const conf_price *prices, uint32_t count, tp_str unit,
                         int64_t prompt_tokens);
/* How many entries have a threshold; 0: catalog_price_at says what catalog_price_or says, and
 * nobody need count the prompt. */
uint32_t catalog_price_tiers(const conf_price *prices, uint32_t count);
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
