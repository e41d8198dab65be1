/* The scanner for x86-64 CPUs with AVX-512BW. It is chosen where VBMI is there too, that is from
 * Ice Lake and Zen 4 on: older ones lower their clock for 512-bit instructions. */
#include "model/json_int.h"
#ifdef __x86_64__
#include <immintrin.h>

#ifdef __clang__
#pragma clang attribute push(                                                                      \
    __attribute__((target("avx2,bmi,bmi2,lzcnt,popcnt,avx512f,avx512bw,avx512vl"))),               \
    apply_to = function)
#else
#pragma GCC push_options
#pragma GCC target("avx2,bmi,bmi2,lzcnt,popcnt,avx512f,avx512bw,avx512vl")
#endif

#define K(name) json_##name##_avx512

typedef __m512i k_block;

static inline k_block k_load(const uint8_t *p)
{
    return _mm512_loadu_si512((const void *)p);
}

static inline uint64_t k_eq(k_block b, char c)
{
    return _mm512_cmpeq_epi8_mask(b, _mm512_set1_epi8(c));
}

static inline int k_clean(k_block b)
{
    /* Bytes above 0x7f are negative, and so below 0x20 like the control characters. */
    return !(_mm512_cmplt_epi8_mask(b, _mm512_set1_epi8(0x20)) | k_eq(b, '"') | k_eq(b, '\\'));
}

static inline uint64_t k_quote(k_block b)
{
    return k_eq(b, '"');
}

static inline uint64_t k_slash(k_block b)
{
    return k_eq(b, '\\');
}

static inline uint64_t k_eq_u(k_block b)
{
    return k_eq(b, 'u');
}

static inline uint64_t k_ctrl(k_block b)
{
    return _mm512_cmplt_epu8_mask(b, _mm512_set1_epi8(0x20));
}

static inline uint64_t k_high(k_block b)
{
    return _mm512_movepi8_mask(b);
}

static inline __m512i k_table(const uint8_t t[16])
{
    return _mm512_broadcast_i32x4(_mm_loadu_si128((const __m128i *)(const void *)t));
}

static inline __m512i k_upper(__m512i v)
{
    return _mm512_and_si512(_mm512_srli_epi16(v, 4), _mm512_set1_epi8(0x0f));
}

static inline uint64_t k_escape_ok(k_block b, uint64_t which)
{
    (void)which;
    __m512i lower = _mm512_and_si512(b, _mm512_set1_epi8(0x0f));
    return _mm512_test_epi8_mask(_mm512_shuffle_epi8(k_table(json_escape_lower), lower),
                                 _mm512_shuffle_epi8(k_table(json_escape_upper), k_upper(b)));
}

typedef __m512i k_utf8_state; /* the block before, or zero if it is plain ASCII */

static inline k_utf8_state k_utf8_begin(void)
{
    return _mm512_setzero_si512();
}

/* See json_utf8_tables. */
static inline uint64_t k_utf8(const json_scanner *s, size_t i, k_block b, uint64_t high,
                              k_utf8_state *state)
{
    (void)s;
    (void)i;
    __m512i joint = _mm512_alignr_epi32(b, *state, 12); /* each 16 bytes' forerunner */
    __m512i prev1 = _mm512_alignr_epi8(b, joint, 15), prev2 = _mm512_alignr_epi8(b, joint, 14);
    __m512i prev3 = _mm512_alignr_epi8(b, joint, 13);
    __m512i lower = _mm512_and_si512(prev1, _mm512_set1_epi8(0x0f));
    __m512i faults = _mm512_and_si512(
        _mm512_and_si512(_mm512_shuffle_epi8(k_table(json_utf8_first_upper), k_upper(prev1)),
                         _mm512_shuffle_epi8(k_table(json_utf8_first_lower), lower)),
        _mm512_shuffle_epi8(k_table(json_utf8_second_upper), k_upper(b)));
    __m512i third = _mm512_subs_epu8(prev2, _mm512_set1_epi8(0xe0 - 0x80));
    __m512i fourth = _mm512_subs_epu8(prev3, _mm512_set1_epi8(0xf0 - 0x80));
    __m512i must = _mm512_and_si512(_mm512_or_si512(third, fourth), _mm512_set1_epi8((char)0x80));
    *state = high ? b : _mm512_setzero_si512();
    return _mm512_cmpneq_epi8_mask(must, faults);
}

#define K_SHORT(src, q, x)                                                                         \
    do {                                                                                           \
        __m256i v_ = _mm256_loadu_si256((const __m256i *)(const void *)(src));                     \
        q = _mm256_cmpeq_epi8_mask(v_, _mm256_set1_epi8('"'));                                     \
        x = _mm256_cmpeq_epi8_mask(v_, _mm256_set1_epi8('\\')) |                                   \
            _mm256_cmplt_epi8_mask(v_, _mm256_set1_epi8(0x20));                                    \
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
