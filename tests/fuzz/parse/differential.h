/* What the fuzz targets of parse/ share: one input is fed whole and cut at random places, and what
 * comes out must be the same. Byte 0 of an input chooses options, byte 1 the cuts. */
#ifndef TP_FUZZ_PARSE_DIFFERENTIAL_H
#define TP_FUZZ_PARSE_DIFFERENTIAL_H
#include <stdio.h>

#include "../../unit/parse/transcript.h"
#include "base/hash.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Short pieces mostly, now and then a long one. */
static inline size_t cut_random(void *state, size_t n)
{
    rng *r = state;
    uint64_t most = rng_below(r, 4) == 0 ? n : TP_MIN(n, (size_t)8);
    return (size_t)rng_below(r, most) + 1;
}

static inline void must_be_same(const transcript *a, const transcript *b)
{
    if (str_eq(buf_str(&a->text), buf_str(&b->text)))
        return;
    fprintf(stderr, "--- whole (%s):\n%.*s\n--- cut (%s):\n%.*s\n", a->why ? a->why : "",
            STR_ARG(buf_str(&a->text)), b->why ? b->why : "", STR_ARG(buf_str(&b->text)));
    abort();
}

static inline void http_differential(int side, int no_body, const http_limits *limits, uint8_t seed,
                                     tp_str raw)
{
    rng r = {seed};
    transcript whole, cut, bytes;
    transcript_init(&whole);
    transcript_init(&cut);
    transcript_init(&bytes);
    run_http(&whole, side, no_body, limits, raw, cut_never, NULL);
    run_http(&cut, side, no_body, limits, raw, cut_random, &r);
    must_be_same(&whole, &cut);
    run_http(&bytes, side, no_body, limits, raw, cut_always, NULL);
    must_be_same(&whole, &bytes);
    transcript_free(&whole);
    transcript_free(&cut);
    transcript_free(&bytes);
}
#endif
