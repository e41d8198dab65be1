/* Short strings eight bytes at a time, against the same said byte by byte. */
/* clang-format off */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <cmocka.h>
/* clang-format on */
#include <stdlib.h>

#include "base/hash.h"
#include "base/str.h"

enum { MOST = 40, ROUNDS = 400000 };

/* A string in memory of exactly its size, so that AddressSanitizer sees a byte too far. */
static tp_str exact(const char *bytes, size_t n)
{
    char *p = malloc(n ? n : 1);
    assert_non_null(p);
    memcpy(p, bytes, n);
    return str_make(p, n);
}

/* Plain letters mostly, now and then a byte that matters. */
static size_t random_bytes(rng *r, char *out)
{
    static const char odd[] = "\0\t\x1f !\"\\\x7f\x7e\x80\xff@[`{-/09:AZaz^_|";
    size_t n = (size_t)rng_below(r, MOST);
    uint64_t often = rng_below(r, 3) ? 40 : 3;
    for (size_t i = 0; i < n; i++)
        out[i] = rng_below(r, often) ? (char)('a' + rng_below(r, 26))
                                     : odd[rng_below(r, sizeof(odd) - 1)];
    return n;
}

static int lower(int c)
{
    return c >= 'A' && c <= 'Z' ? c + 32 : c;
}

static int slow_ieq(tp_str a, tp_str b)
{
    for (size_t i = 0; i < a.len && a.len == b.len; i++)
        if (lower((unsigned char)a.ptr[i]) != lower((unsigned char)b.ptr[i]))
            return 0;
    return a.len == b.len;
}

static void one(tp_str s)
{
    int has = 0, control = 0, token = s.len != 0;
    for (size_t i = 0; i < s.len; i++) {
        unsigned char c = (unsigned char)s.ptr[i];
        has |= c == '\\';
        control |= c < 0x20 || c == 0x7f;
        token &= c && strchr("!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyz"
                             "ABCDEFGHIJKLMNOPQRSTUVWXYZ", c) != NULL;
    }
    assert_int_equal(str_has(s, '\\'), has);
    assert_int_equal(str_has_control(s), control);
    assert_int_equal(str_is_token(s), token);
    for (size_t i = 0; i + 8 <= s.len; i++) {
        uint64_t v;
        int plain = 1;
        memcpy(&v, s.ptr + i, sizeof(v));
        for (size_t k = i; k < i + 8; k++)
            plain &= (unsigned char)s.ptr[k] >= 0x20 && (unsigned char)s.ptr[k] < 0x80 &&
                     s.ptr[k] != '"' && s.ptr[k] != '\\';
        assert_int_equal(str_json_plain(v), plain);
    }
    char copy[MOST + 2];
    memset(copy, '#', sizeof(copy));
    str_copy(copy + 1, s.ptr, s.len);
    assert_true(s.len == 0 || memcmp(copy + 1, s.ptr, s.len) == 0);
    assert_true(copy[0] == '#' && copy[s.len + 1] == '#');
}

static void same_as_byte_by_byte(void **state)
{
    (void)state;
    rng r = {7};
    char bytes[MOST], other[MOST];
    for (int round = 0; round < ROUNDS; round++) {
        size_t n = random_bytes(&r, bytes);
        memcpy(other, bytes, n);
        for (uint64_t k = rng_below(&r, 3); k > 0 && n; k--)
            other[rng_below(&r, n)] ^= (char)(rng_below(&r, 4) ? 0x20 : 1 << rng_below(&r, 8));
        tp_str a = exact(bytes, n), b = exact(other, n - (n && !rng_below(&r, 8)));
        one(a);
        assert_int_equal(str_ieq(a, b), slow_ieq(a, b));
        free((char *)(uintptr_t)a.ptr);
        free((char *)(uintptr_t)b.ptr);
    }
}

/* Every byte in every place of strings of every short length. */
static void every_byte_in_every_place(void **state)
{
    (void)state;
    char bytes[20];
    for (size_t n = 1; n <= sizeof(bytes); n++) {
        for (size_t at = 0; at < n; at++) {
            for (int c = 0; c < 256; c++) {
                memset(bytes, 'x', n);
                bytes[at] = (char)c;
                tp_str s = exact(bytes, n);
                one(s);
                free((char *)(uintptr_t)s.ptr);
            }
        }
    }
}

static void trimming(void **state)
{
    (void)state;
    assert_true(str_eq(str_trim(STR(" \t a b\t ")), STR("a b")));
    assert_true(str_eq(str_trim(STR("a")), STR("a")));
    assert_int_equal(str_trim(STR(" \t ")).len, 0);
    assert_int_equal(str_trim(STR_NONE).len, 0);
    assert_true(str_eq(str_trim(STR("\r\na ")), STR("\r\na")));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(same_as_byte_by_byte),
        cmocka_unit_test(every_byte_in_every_place),
        cmocka_unit_test(trimming),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
