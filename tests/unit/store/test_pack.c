/* Packed records come back as they were, and nothing that is not packed records is taken for some. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/hash.h"
#include "base/le.h"
#include "base/str.h"
#include "store/sqlite_int.h"

/* A record somewhat like its neighbour: some bytes changed, now and then another length. */
static size_t next(rng *r, unsigned char *p, size_t n)
{
    for (uint64_t changes = rng_below(r, 12); changes-- > 0;)
        p[rng_below(r, n)] = (unsigned char)rng_next(r);
    if (rng_below(r, 8))
        return n;
    size_t longer = 1 + (size_t)rng_below(r, 900);
    for (size_t i = n; i < longer; i++)
        p[i] = (unsigned char)rng_next(r);
    return longer;
}

static void all_of_it_comes_back(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 300; seed++) {
        rng r = {seed};
        sql_bytes packed = {0}, last = {0}, raw = {0}, want = {0};
        unsigned char record[1000] = {1, 2, 3}, head[4];
        size_t n = 340;
        for (int i = 0; i < 40; i++) {
            n = next(&r, record, n);
            sql_pack(&packed, &last, record, n);
            le_put32(head, (uint32_t)n);
            sql_add_bytes(&want, head, 4);
            sql_add_bytes(&want, record, n);
        }
        assert_int_equal(sql_unpack(str_make((const char *)packed.ptr, packed.len), &raw), 0);
        assert_int_equal(raw.len, want.len);
        assert_memory_equal(raw.ptr, want.ptr, want.len);
        /* Cut off anywhere: no more than was there, and never taken for whole but between two. */
        for (size_t cut = 0; cut < packed.len; cut += 1 + cut / 7) {
            char *part = malloc(cut + 1);
            memcpy(part, packed.ptr, cut);
            (void)sql_unpack(str_make(part, cut), &raw);
            assert_true(raw.len < want.len);
            assert_true(raw.len == 0 || memcmp(raw.ptr, want.ptr, raw.len) == 0);
            free(part);
        }
        free(packed.ptr);
        free(last.ptr);
        free(raw.ptr);
        free(want.ptr);
    }
}

static void neighbours_take_little(void **state)
{
    (void)state;
    sql_bytes packed = {0}, last = {0};
    unsigned char record[340];
    memset(record, 'x', sizeof(record));
    for (int i = 0; i < 100; i++) {
        record[17] = (unsigned char)i;
        sql_pack(&packed, &last, record, sizeof(record));
    }
    assert_true(packed.len < sizeof(record) + 20 + 100 * 9);
    free(packed.ptr);
    free(last.ptr);
}

static void what_is_none_is_refused(void **state)
{
    static const struct {
        const char *bytes;
        size_t n;
    } bad[] = {
        {"", 0},                         /* not even a version */
        {"\2\1\0\1x", 5},                /* of another version */
        {"\1\1", 2},                     /* a length, and no runs */
        {"\1\0", 2},                     /* an empty record */
        {"\1\2\0\1x", 5},                /* ends early */
        {"\1\1\1\0", 4},                 /* the same as nothing */
        {"\1\1\0\1x\2\2\0", 8},          /* the same beyond the record before */
        {"\1\1\0\2xy", 6},               /* more than its length */
        {"\1\2\0\0", 4},                 /* a pair that tells nothing */
        {"\1\377\377\377\377\377\377\377\377\377\1\0\1x", 14}, /* longer than anything */
        {"\1\200\200\200\200\1\0\1x", 9}, /* 256 MiB and a byte to hold it */
    };
    sql_bytes raw = {0};
    (void)state;
    for (size_t i = 0; i < TP_COUNT(bad); i++)
        assert_int_equal(sql_unpack(str_make(bad[i].bytes, bad[i].n), &raw), -1);
    assert_int_equal(sql_unpack(STR("\1"), &raw), 0); /* none at all */
    assert_int_equal(raw.len, 0);
    free(raw.ptr);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(all_of_it_comes_back),
        cmocka_unit_test(neighbours_take_little),
        cmocka_unit_test(what_is_none_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
