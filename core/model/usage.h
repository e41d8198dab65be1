/* Usage: what a reply took, in disjoint classes of units; and money. */
#ifndef TP_MODEL_USAGE_H
#define TP_MODEL_USAGE_H
#include "base/base.h"

#define USAGE_CLASSES 12
typedef struct usage_class {
    char unit[24];  /* "prompt", "cache_read", "completion"...; terminated, cut to fit */
    int64_t count;  /* total so far in the attempt's current step */
} usage_class;
typedef struct usage { /* 0 classes: nothing known */
    usage_class classes[USAGE_CLASSES];
    uint32_t count, reserved;
} usage;
/* Sets the total of a class; classes beyond USAGE_CLASSES are dropped (-1). A unit's name is cut to
 * 23 bytes, here and when it is looked up. All functions here: [any], no allocation. */
int usage_set(usage *u, tp_str unit, int64_t count);
int64_t usage_get(const usage *u, tp_str unit); /* 0 when absent */
/* Of a unit and all its variants ("cache_write" and "cache_write:1h") together; counts below 0 are
 * passed over, and the sum stops at INT64_MAX. */
int64_t usage_all(const usage *u, tp_str unit);
/* All tokens of the prompt (prompt, cache_read, cache_write, audio_prompt), or of the answers
 * (completion, reasoning, audio_completion), with their variants; stops at INT64_MAX likewise. */
int64_t usage_tokens_in(const usage *u);
int64_t usage_tokens_out(const usage *u);
/* The name of a class without its variant, borrowed: "images" of "images:1024x1024". */
tp_str usage_plain(const usage_class *c);
void usage_add(usage *u, const usage *more);    /* class by class; sums stop at INT64_MAX */

/* Money: nano-dollars. count units at nano_per_million, rounded half up to a nano-dollar; saturates
 * at INT64_MAX. Several classes: add count * nano_per_million first, round once. */
__extension__ typedef __int128 money_exact; /* nano-dollars times a million: exact sums */
int64_t money_round(money_exact sum); /* -> nano-dollars, half up */
/* "0.00123", "12" or "-0.5" dollars: plain decimal, no exponent, no trailing zeros, no bare point;
 * terminated. Returns the length. */
size_t money_print(char out[40], int64_t nano);
#endif
