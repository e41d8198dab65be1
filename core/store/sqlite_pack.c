/* Records of a segment, packed: neighbours differ in little but ids, times and counts, and their
 * strings mostly lie at the same places, so a record is told by where it differs from the one before
 * it. A third of the bytes has to be written to the log, and from there to the file.
 *
 *   version (1 byte, 1), then for each record
 *   length (varint), then until that many bytes are told:
 *     same (varint): so many bytes as they stand at this place in the record before;
 *     other (varint), and so many bytes that are not.
 *
 * The first record has an empty one before it. */
#include <stdlib.h>

#include "base/le.h"
#include "base/str.h"
#include "store/sqlite_int.h"

#define VERSION 1
#define WORTH 4u /* equal bytes that end a run of others: fewer are not worth telling */
#define RAW_MAX ((size_t)256 << 20)

static size_t same_bytes(const unsigned char *a, const unsigned char *b, size_t n)
{
    size_t i = 0;
    for (; i + 8 <= n; i += 8) {
        uint64_t differ = le_get64(a + i) ^ le_get64(b + i);
        if (differ)
            return i + (size_t)__builtin_ctzll(differ) / 8;
    }
    while (i < n && a[i] == b[i])
        i++;
    return i;
}

static size_t other_bytes(const unsigned char *a, const unsigned char *b, size_t common, size_t n)
{
    for (size_t i = 1; i + WORTH <= common; i++)
        if (le_get32(a + i) == le_get32(b + i))
            return i;
    return n;
}

static unsigned char *put_number(unsigned char *p, size_t v)
{
    for (; v >= 0x80; v >>= 7)
        *p++ = (unsigned char)(v | 0x80);
    *p++ = (unsigned char)v;
    return p;
}

void sql_pack(sql_bytes *to, sql_bytes *last, const unsigned char *p, size_t n)
{
    size_t common = TP_MIN(n, last->len), at = 0;
    /* Each pair of runs takes at most 20 bytes more than it tells, and tells at least WORTH. */
    unsigned char *out = sql_more(to, 1 + 10 + n + (n / WORTH + 2) * 20);
    if (to->len == 0)
        *out++ = VERSION;
    out = put_number(out, n);
    while (at < n) {
        size_t rest = common > at ? common - at : 0;
        size_t same = same_bytes(p + at, last->ptr + at, rest);
        at += same;
        rest -= same;
        size_t other = at < n ? other_bytes(p + at, last->ptr + at, rest, n - at) : 0;
        out = put_number(put_number(out, same), other);
        memcpy(out, p + at, other);
        out += other;
        at += other;
    }
    to->len = (size_t)(out - to->ptr);
    last->len = 0;
    sql_add_bytes(last, p, n);
}

/* One record, behind the one that lies at `before` in out. 0, or -1. */
static int unpack_one(sql_reader *r, sql_bytes *out, size_t before, size_t before_len)
{
    size_t n = (size_t)sql_get_number(r), at = 0;
    if (r->bad || n == 0 || n > RAW_MAX - TP_MIN(out->len, RAW_MAX))
        return -1;
    unsigned char *to = sql_more(out, n + 4);
    const unsigned char *last = out->ptr + before; /* after sql_more, which may move it */
    le_put32(to, (uint32_t)n);
    to += 4;
    while (at < n) {
        uint64_t same = sql_get_number(r), other = sql_get_number(r);
        if (r->bad || same > n - at || (same && (at > before_len || same > before_len - at)) ||
            other > n - at - same || other > (uint64_t)(r->end - r->at) || same + other == 0)
            return -1;
        memcpy(to + at, last + at, same);
        memcpy(to + at + same, r->at, other);
        r->at += other;
        at += same + other;
    }
    out->len += n + 4;
    return 0;
}

int sql_unpack(tp_str data, sql_bytes *out)
{
    sql_reader r = {(const unsigned char *)data.ptr, (const unsigned char *)data.ptr + data.len, 0};
    size_t before = 0, before_len = 0;
    out->len = 0;
    if (data.len == 0 || *r.at++ != VERSION)
        return -1;
    while (r.at < r.end) {
        size_t at = out->len;
        if (unpack_one(&r, out, before, before_len) < 0)
            return -1;
        before = at + 4;
        before_len = out->len - before;
    }
    return 0;
}
