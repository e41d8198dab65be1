#include "base/str.h"

/* Eight bytes in lower case, were they all ASCII. */
static uint64_t lower8(uint64_t v)
{
    uint64_t low = v & ~STR_HIGHS;
    uint64_t upper = (low + STR_ONES * (0x80 - 'A')) & ~(low + STR_ONES * (0x7f - 'Z')) & ~v;
    return v | (upper & STR_HIGHS) >> 2;
}

int str_ieq(tp_str a, tp_str b)
{
    if (a.len != b.len)
        return 0;
    for (size_t i = 0; i < a.len; i += 8)
        if (lower8(str_part(a, i)) != lower8(str_part(b, i)))
            return 0;
    return 1;
}

#define T10(c) [c] = 1, [c + 1] = 1, [c + 2] = 1, [c + 3] = 1, [c + 4] = 1, \
               [c + 5] = 1, [c + 6] = 1, [c + 7] = 1, [c + 8] = 1, [c + 9] = 1
#define T26(c) T10(c), T10(c + 10), [c + 20] = 1, [c + 21] = 1, [c + 22] = 1, \
               [c + 23] = 1, [c + 24] = 1, [c + 25] = 1
static const unsigned char token[256] = {
    T10('0'), T26('A'), T26('a'), ['!'] = 1, ['#'] = 1, ['$'] = 1, ['%'] = 1, ['&'] = 1,
    ['\''] = 1, ['*'] = 1, ['+'] = 1, ['-'] = 1, ['.'] = 1, ['^'] = 1, ['_'] = 1, ['`'] = 1,
    ['|'] = 1, ['~'] = 1};
#undef T10
#undef T26

int str_is_token(tp_str s)
{
    const unsigned char *p = (const unsigned char *)s.ptr;
    unsigned good = s.len != 0;
    size_t i = 0;
    for (; i + 4 <= s.len; i += 4)
        good &= token[p[i]] & token[p[i + 1]] & token[p[i + 2]] & token[p[i + 3]];
    for (; i < s.len; i++)
        good &= token[p[i]];
    return (int)good;
}

int str_to_i64(tp_str s, int64_t *out)
{
    int64_t v = 0;
    if (s.len == 0)
        return -1;
    for (size_t i = 0; i < s.len; i++) {
        if (s.ptr[i] < '0' || s.ptr[i] > '9')
            return -1;
        if (__builtin_mul_overflow(v, 10, &v) || __builtin_add_overflow(v, s.ptr[i] - '0', &v))
            return -1;
    }
    *out = v;
    return 0;
}

size_t str_find(tp_str s, char c)
{
    const char *p = s.len ? memchr(s.ptr, c, s.len) : NULL;
    return p ? (size_t)(p - s.ptr) : s.len;
}

unsigned str_distance(tp_str a, tp_str b)
{
    enum { MAX = 64 };
    unsigned row[3][MAX + 1];
    if (a.len > MAX || b.len > MAX)
        return 8;
    for (size_t j = 0; j <= b.len; j++)
        row[0][j] = (unsigned)j;
    for (size_t i = 1; i <= a.len; i++) {
        unsigned *cur = row[i % 3], *prev = row[(i + 2) % 3], *prev2 = row[(i + 1) % 3];
        cur[0] = (unsigned)i;
        for (size_t j = 1; j <= b.len; j++) {
            unsigned cost = a.ptr[i - 1] != b.ptr[j - 1];
            unsigned d = prev[j - 1] + cost;
            d = TP_MIN(d, prev[j] + 1);
            d = TP_MIN(d, cur[j - 1] + 1);
            if (i > 1 && j > 1 && a.ptr[i - 1] == b.ptr[j - 2] && a.ptr[i - 2] == b.ptr[j - 1])
                d = TP_MIN(d, prev2[j - 2] + 1);
            cur[j] = d;
        }
    }
    return TP_MIN(row[a.len % 3][b.len], 8u);
}

int str_eq_secret(tp_str a, tp_str b)
{
    unsigned char diff = 0;
    if (a.len != b.len)
        return 0;
    for (size_t i = 0; i < a.len; i++)
        diff = (unsigned char)(diff | (unsigned char)(a.ptr[i] ^ b.ptr[i]));
    return diff == 0;
}
