/* Hashes. SipHash-2-4 (Aumasson, Bernstein 2012) for tables whose keys a peer chooses and as the
 * keyed look-up of secrets; a mixer of eight bytes at a time for stable names. */
#ifndef TP_BASE_HASH_H
#define TP_BASE_HASH_H
#include "base/base.h"

typedef struct hash_key {
    uint64_t k0, k1;
} hash_key;
uint64_t hash_sip(hash_key key, const void *p, size_t n) TP_PURE;
uint64_t hash_name(tp_str s) TP_PURE; /* stable over runs and machines: keys of live tables */
uint64_t hash_mix(uint64_t x);        /* splitmix64 finalizer */

/* splitmix64: jitter, choices and simulation; never secrets. */
typedef struct rng {
    uint64_t s;
} rng;
uint64_t rng_next(rng *r);
uint64_t rng_below(rng *r, uint64_t n); /* 0 .. n-1; n > 0 */
#endif
