#include "base/hash.h"

#include <string.h>

static uint64_t rotl(uint64_t x, int b)
{
    return (x << b) | (x >> (64 - b));
}

#define SIP_ROUND                                                                                  \
    do {                                                                                           \
        v0 += v1, v1 = rotl(v1, 13), v1 ^= v0, v0 = rotl(v0, 32);                                  \
        v2 += v3, v3 = rotl(v3, 16), v3 ^= v2;                                                     \
        v0 += v3, v3 = rotl(v3, 21), v3 ^= v0;                                                     \
        v2 += v1, v1 = rotl(v1, 17), v1 ^= v2, v2 = rotl(v2, 32);                                  \
    } while (0)

uint64_t hash_sip(hash_key key, const void *p, size_t n)
{
    uint64_t v0 = 0x736f6d6570736575ull ^ key.k0, v1 = 0x646f72616e646f6dull ^ key.k1;
    uint64_t v2 = 0x6c7967656e657261ull ^ key.k0, v3 = 0x7465646279746573ull ^ key.k1;
    const unsigned char *in = p;
    size_t left = n;
    for (; left >= 8; in += 8, left -= 8) {
        uint64_t m;
        memcpy(&m, in, 8); /* little-endian hosts only; the value never leaves the process */
        v3 ^= m;
        SIP_ROUND;
        SIP_ROUND;
        v0 ^= m;
    }
    uint64_t b = (uint64_t)n << 56;
    for (size_t i = 0; i < left; i++)
        b |= (uint64_t)in[i] << (8 * i);
    v3 ^= b;
    SIP_ROUND;
    SIP_ROUND;
    v0 ^= b;
    v2 ^= 0xff;
    for (int i = 0; i < 4; i++)
        SIP_ROUND;
    return v0 ^ v1 ^ v2 ^ v3;
}

uint64_t hash_mix(uint64_t x)
{
    x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9ull;
    x = (x ^ (x >> 27)) * 0x94d049bb133111ebull;
    return x ^ (x >> 31);
}

/* The n bytes at p, up to 8, as a little-endian number. */
static uint64_t little(const char *p, size_t n)
{
    uint64_t v = 0;
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
    if (n == 8) {
        memcpy(&v, p, 8);
        return v;
    }
#endif
    for (size_t i = 0; i < n; i++)
        v |= (uint64_t)(unsigned char)p[i] << (8 * i);
    return v;
}

uint64_t hash_name(tp_str s)
{
    uint64_t h = 0xcbf29ce484222325ull ^ s.len;
    size_t i = 0;
    for (; s.len - i > 8; i += 8) {
        h = (h ^ little(s.ptr + i, 8)) * 0x9e3779b97f4a7c15ull;
        h ^= h >> 32;
    }
    if (s.len >= 8) /* the last eight bytes, some of them perhaps for the second time */
        return hash_mix(h ^ little(s.ptr + s.len - 8, 8));
    return hash_mix(h ^ little(s.ptr, s.len));
}

uint64_t rng_next(rng *r)
{
    return hash_mix(r->s += 0x9e3779b97f4a7c15ull);
}

__extension__ typedef unsigned __int128 tp_u128;

uint64_t rng_below(rng *r, uint64_t n)
{
    return (uint64_t)(((tp_u128)rng_next(r) * n) >> 64);
}
