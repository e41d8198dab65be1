/* The scanner for any x86-64 CPU. SSE2 has no table look-up, so that escapes and characters beyond
 * ASCII are checked one by one, at the places that the masks name. */
#include "model/json_int.h"
#ifdef __SSE2__
#include <emmintrin.h>

#define K(name) json_##name##_sse2

typedef struct k_block {
    __m128i v[4];
} k_block;

static inline k_block k_load(const uint8_t *p)
{
    k_block b;
    for (int i = 0; i < 4; i++)
        b.v[i] = _mm_loadu_si128((const __m128i *)(const void *)(p + 16 * i));
    return b;
}

static inline __m128i k_eq(__m128i v, char c)
{
    return _mm_cmpeq_epi8(v, _mm_set1_epi8(c));
}

/* Bytes above 0x7f are negative, so that one comparison finds them and the control characters. */
static inline __m128i k_odd(__m128i v)
{
    return _mm_or_si128(k_eq(v, '\\'), _mm_cmplt_epi8(v, _mm_set1_epi8(0x20)));
}

static inline int k_clean(k_block b)
{
    __m128i x = _mm_setzero_si128();
    for (int i = 0; i < 4; i++)
        x = _mm_or_si128(x, _mm_or_si128(k_odd(b.v[i]), k_eq(b.v[i], '"')));
    return _mm_movemask_epi8(x) == 0;
}

static inline uint64_t k_mask(__m128i a, __m128i b, __m128i c, __m128i d)
{
    uint64_t lo = (uint32_t)_mm_movemask_epi8(a) | (uint32_t)_mm_movemask_epi8(b) << 16;
    uint64_t hi = (uint32_t)_mm_movemask_epi8(c) | (uint32_t)_mm_movemask_epi8(d) << 16;
    return lo | hi << 32;
}

static inline uint64_t k_eq_mask(k_block b, char c)
{
    return k_mask(k_eq(b.v[0], c), k_eq(b.v[1], c), k_eq(b.v[2], c), k_eq(b.v[3], c));
}

static inline uint64_t k_quote(k_block b)
{
    return k_eq_mask(b, '"');
}

static inline uint64_t k_slash(k_block b)
{
    return k_eq_mask(b, '\\');
}

static inline uint64_t k_eq_u(k_block b)
{
    return k_eq_mask(b, 'u');
}

static inline __m128i k_low(__m128i v)
{
    return _mm_cmpeq_epi8(_mm_min_epu8(v, _mm_set1_epi8(0x1f)), v);
}

static inline uint64_t k_ctrl(k_block b)
{
    return k_mask(k_low(b.v[0]), k_low(b.v[1]), k_low(b.v[2]), k_low(b.v[3]));
}

static inline uint64_t k_high(k_block b)
{
    return k_mask(b.v[0], b.v[1], b.v[2], b.v[3]);
}

static inline uint64_t k_escape_ok(k_block b, uint64_t which)
{
    uint64_t ok = 0;
    uint8_t byte[JSON_BLOCK];
    memcpy(byte, &b, sizeof(byte));
    for (; which; which &= which - 1) {
        uint8_t c = byte[__builtin_ctzll(which)];
        if (json_escape_lower[c & 15] & json_escape_upper[c >> 4])
            ok |= which & -which;
    }
    return ok;
}

typedef size_t k_utf8_state; /* the text is checked up to here */

static inline k_utf8_state k_utf8_begin(void)
{
    return 0;
}

static inline uint64_t k_from(size_t place)
{
    return place < JSON_BLOCK ? ~(uint64_t)0 << place : 0;
}

static uint64_t k_utf8(const json_scanner *s, size_t i, k_block b, uint64_t high,
                       k_utf8_state *state)
{
    (void)b;
    if (*state > i) /* the last character of the block before reaches into this one */
        high &= k_from(*state - i);
    while (high) {
        size_t at = i + (size_t)__builtin_ctzll(high);
        do {
            size_t n = json_utf8_step(s->text + at, s->len - at);
            if (n == 0)
                return (uint64_t)1 << (at - i);
            at += n;
        } while (at < i + JSON_BLOCK && at < s->len && s->text[at] >= 0x80);
        *state = at;
        high &= k_from(at - i);
    }
    return 0;
}

#define K_SHORT(src, q, x)                                                                         \
    do {                                                                                           \
        __m128i v_ = _mm_loadu_si128((const __m128i *)(const void *)(src));                        \
        __m128i w_ = _mm_loadu_si128((const __m128i *)(const void *)((src) + 16));                 \
        q = (uint32_t)_mm_movemask_epi8(k_eq(v_, '"')) |                                           \
            (uint32_t)_mm_movemask_epi8(k_eq(w_, '"')) << 16;                                      \
        x = (uint32_t)_mm_movemask_epi8(k_odd(v_)) | (uint32_t)_mm_movemask_epi8(k_odd(w_)) << 16; \
    } while (0)

#include "model/json_string_body.h"

/* The scan stands on strings. */
#include "model/json_scan_body.h"
#endif
