/* The scanner for x86-64 CPUs with AVX2. */
#include "model/json_int.h"
#ifdef __x86_64__
#include <immintrin.h>

#ifdef __clang__
#pragma clang attribute push(__attribute__((target("avx2,bmi,bmi2,lzcnt,popcnt"))),                \
                             apply_to = function)
#else
#pragma GCC push_options
#pragma GCC target("avx2,bmi,bmi2,lzcnt,popcnt")
#endif

#define K(name) json_##name##_avx2

typedef struct k_block {
    __m256i a, b;
} k_block;

static inline uint64_t k_mask(__m256i a, __m256i b)
{
    return (uint32_t)_mm256_movemask_epi8(a) | (uint64_t)(uint32_t)_mm256_movemask_epi8(b) << 32;
}

static inline k_block k_load(const uint8_t *p)
{
    return (k_block){_mm256_loadu_si256((const __m256i *)(const void *)p),
                     _mm256_loadu_si256((const __m256i *)(const void *)(p + 32))};
}

/* Bytes above 0x7f are negative, so that one comparison finds them and the control characters. */
static inline __m256i k_odd(__m256i v)
{
    return _mm256_or_si256(_mm256_cmpeq_epi8(v, _mm256_set1_epi8('\\')),
                           _mm256_cmpgt_epi8(_mm256_set1_epi8(0x20), v));
}

static inline __m256i k_eq(__m256i v, char c)
{
    return _mm256_cmpeq_epi8(v, _mm256_set1_epi8(c));
}

static inline int k_clean(k_block b)
{
    __m256i x = _mm256_or_si256(_mm256_or_si256(k_odd(b.a), k_eq(b.a, '"')),
                                _mm256_or_si256(k_odd(b.b), k_eq(b.b, '"')));
    return _mm256_testz_si256(x, x);
}

static inline uint64_t k_quote(k_block b)
{
    return k_mask(k_eq(b.a, '"'), k_eq(b.b, '"'));
}

static inline uint64_t k_slash(k_block b)
{
    return k_mask(k_eq(b.a, '\\'), k_eq(b.b, '\\'));
}

static inline uint64_t k_eq_u(k_block b)
{
    return k_mask(k_eq(b.a, 'u'), k_eq(b.b, 'u'));
}

static inline uint64_t k_ctrl(k_block b)
{
    const __m256i top = _mm256_set1_epi8(0x1f);
    return k_mask(_mm256_cmpeq_epi8(_mm256_min_epu8(b.a, top), b.a),
                  _mm256_cmpeq_epi8(_mm256_min_epu8(b.b, top), b.b));
}

static inline uint64_t k_high(k_block b)
{
    return k_mask(b.a, b.b);
}

static inline __m256i k_table(const uint8_t t[16])
{
    return _mm256_broadcastsi128_si256(_mm_loadu_si128((const __m128i *)(const void *)t));
}

static inline __m256i k_upper(__m256i v)
{
    return _mm256_and_si256(_mm256_srli_epi16(v, 4), _mm256_set1_epi8(0x0f));
}

static inline __m256i k_escape_class(__m256i v)
{
    __m256i lower = _mm256_and_si256(v, _mm256_set1_epi8(0x0f));
    __m256i x = _mm256_and_si256(_mm256_shuffle_epi8(k_table(json_escape_lower), lower),
                                 _mm256_shuffle_epi8(k_table(json_escape_upper), k_upper(v)));
    return _mm256_cmpeq_epi8(x, _mm256_setzero_si256());
}

static inline uint64_t k_escape_ok(k_block b, uint64_t which)
{
    (void)which;
    return ~k_mask(k_escape_class(b.a), k_escape_class(b.b));
}

typedef __m256i k_utf8_state; /* the 32 bytes before the block, or zero if they are plain ASCII */

static inline k_utf8_state k_utf8_begin(void)
{
    return _mm256_setzero_si256();
}

/* Zero where there is no fault. See json_utf8_tables. */
static inline __m256i k_utf8_half(__m256i v, __m256i before)
{
    __m256i joint = _mm256_permute2x128_si256(before, v, 0x21);
    __m256i prev1 = _mm256_alignr_epi8(v, joint, 15), prev2 = _mm256_alignr_epi8(v, joint, 14);
    __m256i prev3 = _mm256_alignr_epi8(v, joint, 13);
    __m256i lower = _mm256_and_si256(prev1, _mm256_set1_epi8(0x0f));
    __m256i faults = _mm256_and_si256(
        _mm256_and_si256(_mm256_shuffle_epi8(k_table(json_utf8_first_upper), k_upper(prev1)),
                         _mm256_shuffle_epi8(k_table(json_utf8_first_lower), lower)),
        _mm256_shuffle_epi8(k_table(json_utf8_second_upper), k_upper(v)));
    __m256i third = _mm256_subs_epu8(prev2, _mm256_set1_epi8(0xe0 - 0x80));
    __m256i fourth = _mm256_subs_epu8(prev3, _mm256_set1_epi8(0xf0 - 0x80));
    __m256i must = _mm256_and_si256(_mm256_or_si256(third, fourth), _mm256_set1_epi8((char)0x80));
    return _mm256_xor_si256(must, faults);
}

static inline uint64_t k_utf8(const json_scanner *s, size_t i, k_block b, uint64_t high,
                              k_utf8_state *state)
{
    (void)s;
    (void)i;
    const __m256i zero = _mm256_setzero_si256();
    __m256i x = k_utf8_half(b.a, *state), y = k_utf8_half(b.b, b.a);
    *state = high ? b.b : zero;
    return ~k_mask(_mm256_cmpeq_epi8(x, zero), _mm256_cmpeq_epi8(y, zero));
}

#define K_SHORT(src, q, x)                                                                         \
    do {                                                                                           \
        __m256i v_ = _mm256_loadu_si256((const __m256i *)(const void *)(src));                     \
        q = (uint32_t)_mm256_movemask_epi8(k_eq(v_, '"'));                                         \
        x = (uint32_t)_mm256_movemask_epi8(k_odd(v_));                                             \
    } while (0)

#include "model/json_string_body.h"

/* The scan stands on strings. */
#include "model/json_scan_body.h"
#include "model/json_utf8_body.h"

#ifdef __clang__
#pragma clang attribute pop
#else
#pragma GCC pop_options
#endif
#endif
