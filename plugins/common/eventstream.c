#include "eventstream.h"
#include "span.h"

enum { PRELUDE = 12 };
/* Types of header values. */
enum {
    IS_TRUE,
    IS_FALSE,
    IS_BYTE,
    IS_SHORT,
    IS_INTEGER,
    IS_LONG,
    IS_BYTES,
    IS_STRING,
    IS_TIMESTAMP,
    IS_UUID,
    TYPES
};

void eventstream_crc_init(eventstream_crc *t)
{
    for (uint32_t i = 0; i < 256; i++) {
        uint32_t v = i;
        for (int bit = 0; bit < 8; bit++)
            v = v & 1 ? v >> 1 ^ UINT32_C(0xEDB88320) : v >> 1;
        t->table[0][i] = v;
    }
    for (uint32_t i = 0; i < 256; i++)
        for (int k = 1; k < 8; k++)
            t->table[k][i] = t->table[k - 1][i] >> 8 ^ t->table[0][t->table[k - 1][i] & 255];
}

static uint32_t little(const unsigned char *p)
{
    return p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}

uint32_t eventstream_crc_of(const eventstream_crc *t, uint32_t before, tp_str bytes)
{
    const unsigned char *p = (const unsigned char *)bytes.ptr;
    size_t n = bytes.len;
    uint32_t v = ~before;
    for (; n >= 8; n -= 8, p += 8) {
        uint32_t a = little(p) ^ v, b = little(p + 4);
        v = t->table[7][a & 255] ^ t->table[6][a >> 8 & 255] ^ t->table[5][a >> 16 & 255] ^
            t->table[4][a >> 24] ^ t->table[3][b & 255] ^ t->table[2][b >> 8 & 255] ^
            t->table[1][b >> 16 & 255] ^ t->table[0][b >> 24];
    }
    while (n--)
        v = v >> 8 ^ t->table[0][(v ^ *p++) & 255];
    return ~v;
}

static uint32_t big(const char *at)
{
    const unsigned char *p = (const unsigned char *)at;
    return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

static uint32_t big_short(const char *at)
{
    const unsigned char *p = (const unsigned char *)at;
    return (uint32_t)p[0] << 8 | p[1];
}

static void keep(eventstream_message *m, tp_str name, tp_str value)
{
    switch (name.len) {
    case 11:
        if (span_is(name, ":event-type"))
            m->event_type = value;
        else if (span_is(name, ":error-code"))
            m->error_code = value;
        break;
    case 13:
        if (span_is(name, ":message-type"))
            m->message_type = value;
        else if (span_is(name, ":content-type"))
            m->content_type = value;
        break;
    case 14:
        if (span_is(name, ":error-message"))
            m->error_message = value;
        break;
    case 15:
        if (span_is(name, ":exception-type"))
            m->exception_type = value;
        break;
    default:
        break;
    }
}

/* Where the value at `at` ends; *value is set for strings. 0: it has no such type or no such room.
 */
static size_t value_end(tp_str in, size_t at, unsigned type, tp_str *value)
{
    static const uint8_t fixed[TYPES] = {0, 0, 1, 2, 4, 8, 0, 0, 8, 16};
    size_t n;
    if (type >= TYPES)
        return 0;
    n = fixed[type];
    if (type == IS_BYTES || type == IS_STRING) {
        if (in.len - at < 2)
            return 0;
        n = big_short(in.ptr + at);
        at += 2;
    }
    if (in.len - at < n)
        return 0;
    if (type == IS_STRING)
        *value = (tp_str){in.ptr + at, n};
    return at + n;
}

static int read_headers(tp_str in, eventstream_message *out)
{
    for (size_t at = 0; at < in.len;) {
        tp_str name = {in.ptr + at + 1, (unsigned char)in.ptr[at]}, value = SPAN_NONE;
        at += 1 + name.len;
        if (!name.len || at >= in.len)
            return 0;
        unsigned type = (unsigned char)in.ptr[at++];
        at = value_end(in, at, type, &value);
        if (!at)
            return 0;
        if (value.ptr)
            keep(out, name, value);
    }
    return 1;
}

int64_t eventstream_read(const eventstream_crc *t, tp_str in, eventstream_message *out)
{
    *out = (eventstream_message){0};
    if (in.len < PRELUDE)
        return EVENTSTREAM_MORE;
    uint32_t total = big(in.ptr), headers = big(in.ptr + 4);
    if (eventstream_crc_of(t, 0, (tp_str){in.ptr, 8}) != big(in.ptr + 8))
        return EVENTSTREAM_BAD;
    if (total < EVENTSTREAM_OVERHEAD || total > EVENTSTREAM_MOST ||
        headers > EVENTSTREAM_MOST_HEADERS || headers > total - EVENTSTREAM_OVERHEAD)
        return EVENTSTREAM_BAD;
    if (in.len < total)
        return EVENTSTREAM_MORE;
    if (eventstream_crc_of(t, 0, (tp_str){in.ptr, total - 4}) != big(in.ptr + total - 4))
        return EVENTSTREAM_BAD;
    if (!read_headers((tp_str){in.ptr + PRELUDE, headers}, out))
        return EVENTSTREAM_BAD;
    out->payload = (tp_str){in.ptr + PRELUDE + headers, total - EVENTSTREAM_OVERHEAD - headers};
    return total;
}
