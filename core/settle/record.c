/* A settle record as bytes. Numbers are little-endian, two's complement.
 *
 *      0  u8   version: 1
 *      1  u8   usage classes, 0 .. 12
 *      2  u16  0
 *      4  u32  bytes of the whole record, this header included
 *      8  i64  unix_ms, latency_us, first_token_us, bytes_in, bytes_out, cost_nano, hold_nano,
 *              charged_nano, baseline_nano
 *     80  i32  status, outcome, attempts, streamed, finish
 *    100  u32  flags
 *    104  u32  bytes of the prompt
 *    108  u16  bytes of each string, in the order of string_at below: 15 of them
 *    138       the strings
 *              for each usage class: u8 bytes of the unit's name (0 .. 23), i64 count, the name
 *              the prompt
 *              whatever a newer version has put behind it
 *
 * Fields are only ever added at the end: a reader passes over bytes that it does not know within
 * the record's length, and takes what an older writer did not write for 0 or empty. The version
 * changes only when that cannot be kept up. */
#include <string.h>

#include "base/le.h"
#include "base/str.h"
#include "settle/ledger.h"

enum {
    VERSION = 1,
    LENS_AT = 108,
    FIXED = LENS_AT + 2 * LEDGER_STRINGS,
    IDS = 4,
    UNIT_MAX = 23,
    UNIT_HEAD = 9
};
_Static_assert(UNIT_MAX == sizeof(((usage_class *)0)->unit) - 1, "names of units fit");
_Static_assert(FIXED + USAGE_CLASSES * (UNIT_HEAD + UNIT_MAX) + 480 <= LEDGER_RECORD_LEAST,
               "the least record has room for strings");

/* What identifies comes first: see cut_strings. The order is the format's: append only. */
static const size_t string_at[LEDGER_STRINGS] = {
    offsetof(settle_record, generation),   offsetof(settle_record, team),
    offsetof(settle_record, key_id),       offsetof(settle_record, price_version),
    offsetof(settle_record, key),          offsetof(settle_record, upstream_id),
    offsetof(settle_record, request_id),   offsetof(settle_record, surface),
    offsetof(settle_record, endpoint),     offsetof(settle_record, model_asked),
    offsetof(settle_record, model_served), offsetof(settle_record, provider),
    offsetof(settle_record, client),       offsetof(settle_record, method),
    offsetof(settle_record, path),
};

static tp_str string_of(const settle_record *r, uint32_t i)
{
    return *(const tp_str *)(const void *)((const char *)r + string_at[i]);
}

/* ---- Writing. */
static size_t utf8_cut(tp_str s, size_t n) /* n < s.len */
{
    size_t at = n;
    while (at > 0 && n - at < 3 && ((unsigned char)s.ptr[at] & 0xc0) == 0x80)
        at--;
    return ((unsigned char)s.ptr[at] & 0xc0) == 0x80 ? n : at; /* not UTF-8: anywhere */
}

/* The longest of strings from .. to-1 are cut to one length, so that together they take `room` at
 * most and short ones stay whole. What they take. */
static size_t cut_longest(const settle_record *r, ledger_shape *s, uint32_t from, uint32_t to,
                          size_t room)
{
    size_t level = 0, rest = room, used = 0;
    for (uint32_t longer = to - from, before = 0; longer && longer != before;) {
        level = rest / longer;
        before = longer;
        longer = 0;
        rest = room;
        for (uint32_t i = from; i < to; i++) {
            if (string_of(r, i).len > level)
                longer++;
            else
                rest -= string_of(r, i).len;
        }
    }
    for (uint32_t i = from; i < to; i++) {
        tp_str text = string_of(r, i);
        s->strings[i] = (uint16_t)(text.len > level ? utf8_cut(text, level) : text.len);
        used += s->strings[i];
    }
    return used;
}

/* Ids have half of the room to themselves: a client that sends endless names must not cost a
 * record its generation or its team. */
static TP_COLD size_t cut_strings(const settle_record *r, ledger_shape *s, size_t room)
{
    size_t ids = cut_longest(r, s, 0, IDS, room / 2);
    return ids + cut_longest(r, s, IDS, LEDGER_STRINGS, room - ids);
}

size_t ledger_shape_of(const settle_record *r, size_t cap, ledger_shape *s)
{
    size_t strings = 0, other = FIXED;
    uint32_t classes = TP_MIN(r->used.count, USAGE_CLASSES);
    for (uint32_t i = 0; i < classes; i++) {
        s->units[i] = (uint8_t)strnlen(r->used.classes[i].unit, UNIT_MAX);
        other += UNIT_HEAD + (size_t)s->units[i];
    }
    for (uint32_t i = 0; i < LEDGER_STRINGS; i++) {
        size_t n = string_of(r, i).len;
        s->strings[i] = (uint16_t)n;
        strings = TP_LIKELY(n <= LEDGER_RECORD_STRINGS) ? strings + n : SIZE_MAX / 2;
        if (TP_UNLIKELY(strings > LEDGER_RECORD_STRINGS)) {
            strings = cut_strings(r, s, LEDGER_RECORD_STRINGS);
            break;
        }
    }
    s->prompt = r->prompt.len <= LEDGER_PROMPT_MAX ? (uint32_t)r->prompt.len : 0;
    if (other + strings + s->prompt > cap)
        s->prompt = 0;
    if (other + strings > cap) {
        if (cap < LEDGER_RECORD_LEAST)
            return 0;
        strings = cut_strings(r, s, cap - other);
    }
    s->bytes = (uint32_t)(other + strings) + s->prompt;
    return s->bytes;
}

static unsigned char *put64(unsigned char *p, int64_t v)
{
    le_put64(p, (uint64_t)v);
    return p + 8;
}

static unsigned char *put32(unsigned char *p, int32_t v)
{
    le_put32(p, (uint32_t)v);
    return p + 4;
}

void ledger_write(const settle_record *r, const ledger_shape *s, unsigned char *out)
{
    uint32_t classes = TP_MIN(r->used.count, USAGE_CLASSES);
    unsigned char *p = out;
    le_put32(p, VERSION | classes << 8);
    le_put32(p + 4, s->bytes);
    p = put64(p + 8, r->unix_ms);
    p = put64(p, r->latency_us);
    p = put64(p, r->first_token_us);
    p = put64(p, r->bytes_in);
    p = put64(p, r->bytes_out);
    p = put64(p, r->cost_nano);
    p = put64(p, r->hold_nano);
    p = put64(p, r->charged_nano);
    p = put64(p, r->baseline_nano);
    p = put32(p, r->status);
    p = put32(p, r->outcome);
    p = put32(p, r->attempts);
    p = put32(p, r->streamed);
    p = put32(p, r->finish);
    p = put32(p, (int32_t)r->flags);
    p = put32(p, (int32_t)s->prompt);
    unsigned char *lens = p;
    p += 2 * LEDGER_STRINGS;
    for (uint32_t i = 0; i < LEDGER_STRINGS; i++) {
        le_put16(lens + 2 * (size_t)i, s->strings[i]);
        str_copy((char *)p, string_of(r, i).ptr, s->strings[i]);
        p += s->strings[i];
    }
    for (uint32_t i = 0; i < classes; i++) {
        const usage_class *c = &r->used.classes[i];
        *p = s->units[i];
        p = put64(p + 1, c->count);
        str_copy((char *)p, c->unit, s->units[i]);
        p += s->units[i];
    }
    if (s->prompt)
        memcpy(p, r->prompt.ptr, s->prompt);
}

size_t ledger_record_max(size_t prompt_bytes)
{
    size_t most = FIXED + LEDGER_RECORD_STRINGS + USAGE_CLASSES * (UNIT_HEAD + UNIT_MAX);
    return prompt_bytes <= LEDGER_PROMPT_MAX ? most + prompt_bytes : most;
}

size_t ledger_encode(const settle_record *r, unsigned char *out, size_t cap)
{
    ledger_shape s;
    if (ledger_shape_of(r, SIZE_MAX, &s) > cap)
        return 0;
    ledger_write(r, &s, out);
    return s.bytes;
}

/* ---- Reading. */
static int64_t get64(const unsigned char **p)
{
    int64_t v = (int64_t)le_get64(*p);
    *p += 8;
    return v;
}

static int32_t get32(const unsigned char **p)
{
    int32_t v = (int32_t)le_get32(*p);
    *p += 4;
    return v;
}

/* One class at *p: 0, or -1 when it is none. */
static int get_class(const unsigned char **p, const unsigned char *end, usage_class *c)
{
    size_t left = (size_t)(end - *p);
    if (left < UNIT_HEAD || **p > UNIT_MAX || left - UNIT_HEAD < **p)
        return -1;
    size_t n = **p;
    *p += 1;
    c->count = get64(p);
    if (n && memchr(*p, 0, n))
        return -1;
    memcpy(c->unit, *p, n);
    *p += n;
    return 0;
}

size_t ledger_decode(const unsigned char *p, size_t n, settle_record *r)
{
    memset(r, 0, sizeof(*r));
    if (n < FIXED || p[0] != VERSION || p[1] > USAGE_CLASSES)
        return 0;
    size_t bytes = le_get32(p + 4);
    if (bytes < FIXED || bytes > n)
        return 0;
    const unsigned char *end = p + bytes, *at = p + 8, *lens = p + LENS_AT;
    r->used.count = p[1];
    r->unix_ms = get64(&at);
    r->latency_us = get64(&at);
    r->first_token_us = get64(&at);
    r->bytes_in = get64(&at);
    r->bytes_out = get64(&at);
    r->cost_nano = get64(&at);
    r->hold_nano = get64(&at);
    r->charged_nano = get64(&at);
    r->baseline_nano = get64(&at);
    r->status = get32(&at);
    r->outcome = get32(&at);
    r->attempts = get32(&at);
    r->streamed = get32(&at);
    r->finish = get32(&at);
    r->flags = (uint32_t)get32(&at);
    size_t prompt = (uint32_t)get32(&at);
    at = p + FIXED;
    for (uint32_t i = 0; i < LEDGER_STRINGS; i++) {
        size_t len = le_get16(lens + 2 * (size_t)i);
        if (len > (size_t)(end - at))
            return 0;
        *(tp_str *)(void *)((char *)r + string_at[i]) = str_make((const char *)at, len);
        at += len;
    }
    for (uint32_t i = 0; i < r->used.count; i++)
        if (get_class(&at, end, &r->used.classes[i]) < 0)
            return 0;
    if (prompt > (size_t)(end - at))
        return 0;
    r->prompt = str_make((const char *)at, prompt);
    return bytes;
}

/* ---- What it means for the ledger. */
uint32_t ledger_entries_of(const settle_record *r, ledger_entry out[3])
{
    uint32_t n = 0;
    ledger_entry e = {
        .team = r->team, .unix_ms = r->unix_ms, .generation = r->generation, .key = r->key_id};
    if (r->hold_nano == 0 && r->charged_nano == 0 && r->team.len == 0)
        return 0;
    if (r->hold_nano) {
        out[n] = e;
        out[n].kind = LEDGER_HOLD;
        out[n++].nano = -r->hold_nano;
    }
    out[n] = e;
    out[n].kind = LEDGER_SETTLE;
    out[n].nano = -r->charged_nano;
    out[n++].price_version = r->price_version;
    if (r->hold_nano) {
        out[n] = e;
        out[n].kind = LEDGER_RELEASE;
        out[n++].nano = r->hold_nano;
    }
    return n;
}
