/* CRC-32C against the published vectors (RFC 3720 B.4), by both ways. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <string.h>

#include <cmocka.h>

#include "base/hash.h"
#include "store/crc32c.h"

static void both(const void *p, size_t n, uint32_t want)
{
    assert_int_equal(crc32c_portable(0, p, n), want);
    assert_int_equal(crc32c(0, p, n), want);
}

static void published_vectors(void **state)
{
    static const unsigned char read_pdu[48] = {
        0x01, 0xc0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x14, 0, 0, 0, 0, 0, 0x04, 0,
        0, 0, 0, 0x14, 0, 0, 0, 0x18, 0x28, 0, 0, 0, 0, 0, 0, 0, 0x02, 0, 0, 0, 0, 0, 0, 0};
    unsigned char bytes[32];
    (void)state;
    memset(bytes, 0, sizeof(bytes));
    both(bytes, sizeof(bytes), 0x8a9136aa);
    memset(bytes, 0xff, sizeof(bytes));
    both(bytes, sizeof(bytes), 0x62a8ab43);
    for (unsigned i = 0; i < 32; i++)
        bytes[i] = (unsigned char)i;
    both(bytes, sizeof(bytes), 0x46dd794e);
    for (unsigned i = 0; i < 32; i++)
        bytes[i] = (unsigned char)(31 - i);
    both(bytes, sizeof(bytes), 0x113fdb5c);
    both(read_pdu, sizeof(read_pdu), 0xd9963a56);
    both("123456789", 9, 0xe3069283);
    both("", 0, 0);
}

static void pieces_lengths_and_places(void **state)
{
    unsigned char bytes[300];
    rng r = {1};
    (void)state;
    for (size_t i = 0; i < sizeof(bytes); i++)
        bytes[i] = (unsigned char)rng_next(&r);
    for (size_t from = 0; from < 9; from++) {
        for (size_t n = 0; n + from <= sizeof(bytes); n++) {
            uint32_t want = crc32c_portable(77, bytes + from, n);
            size_t cut = n / 3;
            assert_int_equal(crc32c(77, bytes + from, n), want);
            uint32_t first = crc32c(77, bytes + from, cut);
            assert_int_equal(crc32c(first, bytes + from + cut, n - cut), want);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(published_vectors),
        cmocka_unit_test(pieces_lengths_and_places),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
