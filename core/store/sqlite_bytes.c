/* Bytes of the formats that lie in columns; names to numbers; sets of ids. */
#include <stdlib.h>

#include "base/hash.h"
#include "base/str.h"
#include "store/crc32c.h"
#include "store/sqlite_int.h"

unsigned char *sql_more(sql_bytes *b, size_t n)
{
    if (b->cap - b->len < n) {
        b->cap = TP_MAX(b->cap * 2, b->len + n + 256);
        b->ptr = tp_xrealloc(b->ptr, b->cap);
    }
    return b->ptr + b->len;
}

void sql_add_bytes(sql_bytes *b, const void *p, size_t n)
{
    if (n)
        memcpy(sql_more(b, n), p, n);
    b->len += n;
}

void sql_add_number(sql_bytes *b, uint64_t v)
{
    unsigned char *p = sql_more(b, 10);
    for (; v >= 0x80; v >>= 7)
        *p++ = (unsigned char)(v | 0x80);
    *p++ = (unsigned char)v;
    b->len = (size_t)(p - b->ptr);
}

void sql_add_signed(sql_bytes *b, int64_t v)
{
    sql_add_number(b, (uint64_t)v << 1 ^ (v < 0 ? UINT64_MAX : 0));
}

void sql_add_str(sql_bytes *b, tp_str s)
{
    sql_add_number(b, s.len);
    sql_add_bytes(b, s.ptr, s.len);
}

uint64_t sql_get_number(sql_reader *r)
{
    uint64_t v = 0;
    for (unsigned shift = 0; r->at < r->end && shift < 64; shift += 7) {
        unsigned char c = *r->at++;
        if (shift == 63 && c > 1)
            break;
        v |= (uint64_t)(c & 0x7f) << shift;
        if (c < 0x80)
            return v;
    }
    r->bad = 1;
    return 0;
}

int64_t sql_get_signed(sql_reader *r)
{
    uint64_t v = sql_get_number(r);
    return (int64_t)(v >> 1 ^ (v & 1 ? UINT64_MAX : 0));
}

tp_str sql_get_str(sql_reader *r)
{
    uint64_t n = sql_get_number(r);
    if (r->bad || n > (uint64_t)(r->end - r->at)) {
        r->bad = 1;
        return STR("");
    }
    tp_str s = {(const char *)r->at, (size_t)n};
    r->at += n;
    return s;
}

uint32_t sql_crc(const void *p, size_t n)
{
    return crc32c(0, p, n);
}

void sql_pack_list(sql_bytes *b, const tp_str *list, uint32_t count)
{
    sql_add_number(b, count);
    for (uint32_t i = 0; i < count; i++)
        sql_add_str(b, list[i]);
}

int sql_unpack_list(tp_str p, tp_str **list, uint32_t *count)
{
    sql_reader r = {(const unsigned char *)p.ptr, (const unsigned char *)p.ptr + p.len, 0};
    uint64_t n = p.len ? sql_get_number(&r) : 0;
    *list = NULL;
    *count = 0;
    if (r.bad || n > p.len)
        return -1;
    if (n == 0)
        return 0;
    tp_str *out = tp_xcalloc((size_t)n, sizeof(*out));
    for (uint64_t i = 0; i < n; i++)
        out[i] = sql_get_str(&r);
    if (r.bad) {
        free(out);
        return -1;
    }
    *list = out;
    *count = (uint32_t)n;
    return 0;
}

/* ---- Names. */

tp_str sql_name_text(const sql_names *n, uint32_t i)
{
    return str_make((const char *)n->text.ptr + n->list[i].at, n->list[i].len);
}

static void name_slot(sql_names *n, uint32_t i)
{
    uint32_t at = (uint32_t)n->list[i].hash;
    while (n->slots[at & (n->slot_cap - 1)])
        at++;
    n->slots[at & (n->slot_cap - 1)] = i + 1;
}

static void names_grow(sql_names *n)
{
    n->cap = n->cap ? n->cap * 2 : 16;
    n->list = tp_xrealloc(n->list, n->cap * sizeof(*n->list));
    free(n->slots);
    n->slot_cap = n->cap * 2;
    n->slots = tp_xcalloc(n->slot_cap, sizeof(*n->slots));
    for (uint32_t i = 0; i < n->count; i++)
        name_slot(n, i);
}

uint32_t sql_name_of(sql_names *n, tp_str name)
{
    if (n->last < n->count && str_eq(sql_name_text(n, n->last), name))
        return n->last; /* most often */
    uint64_t hash = hash_name(name);
    for (uint32_t at = (uint32_t)hash; n->slot_cap; at++) {
        uint32_t i = n->slots[at & (n->slot_cap - 1)];
        if (!i)
            break;
        if (n->list[i - 1].hash == hash && str_eq(sql_name_text(n, i - 1), name))
            return n->last = i - 1;
    }
    if (n->count == n->cap)
        names_grow(n);
    n->list[n->count] = (sql_name){.at = n->text.len, .len = name.len, .hash = hash};
    sql_add_bytes(&n->text, name.ptr, name.len);
    name_slot(n, n->count);
    return n->last = n->count++;
}

void sql_names_clear(sql_names *n)
{
    if (n->count)
        memset(n->slots, 0, n->slot_cap * sizeof(*n->slots));
    n->count = n->last = 0;
    n->text.len = 0;
}

void sql_names_free(sql_names *n)
{
    free(n->list);
    free(n->slots);
    free(n->text.ptr);
    *n = (sql_names){0};
}

void sql_sum(int64_t *sum, int64_t n)
{
    if (__builtin_add_overflow(*sum, n, sum))
        *sum = INT64_MAX;
}

/* ---- Ids. */

static uint64_t id_hash(tp_str id)
{
    uint64_t h = hash_name(id);
    return h ? h : 1;
}

static size_t id_slot(const sql_ids *s, uint64_t hash)
{
    size_t at = (size_t)hash & (s->cap - 1);
    while (s->slots[2 * at] && s->slots[2 * at] != hash)
        at = (at + 1) & (s->cap - 1);
    return 2 * at;
}

static void ids_grow(sql_ids *s)
{
    sql_ids next = {.cap = s->cap ? s->cap * 2 : 1024, .count = s->count};
    next.slots = tp_xcalloc(next.cap, 2 * sizeof(*next.slots));
    for (size_t i = 0; i < s->cap; i++) {
        uint64_t hash = s->slots[2 * i];
        if (!hash)
            continue;
        size_t at = id_slot(&next, hash);
        next.slots[at] = hash;
        next.slots[at + 1] = s->slots[2 * i + 1];
    }
    free(s->slots);
    *s = next;
}

int sql_ids_put(sql_ids *s, tp_str id, uint64_t *value)
{
    if (s->count * 2 >= s->cap)
        ids_grow(s);
    uint64_t hash = id_hash(id);
    size_t at = id_slot(s, hash);
    if (s->slots[at]) {
        *value = s->slots[at + 1];
        return 0;
    }
    s->slots[at] = hash;
    s->slots[at + 1] = *value;
    s->count++;
    return 1;
}

int sql_ids_get(const sql_ids *s, tp_str id, uint64_t *value)
{
    if (!s->cap)
        return 0;
    size_t at = id_slot(s, id_hash(id));
    if (!s->slots[at])
        return 0;
    *value = s->slots[at + 1];
    return 1;
}

void sql_ids_free(sql_ids *s)
{
    free(s->slots);
    *s = (sql_ids){0};
}
