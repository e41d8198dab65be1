/* Ids to strings within one request, for lookups that a long conversation makes many of. Memory is the
 * call's. [loop] */
#ifndef TURNPIKE_PLUGINS_GOOGLE_IDMAP_H
#define TURNPIKE_PLUGINS_GOOGLE_IDMAP_H
#include "span.h"

typedef struct id_slot {
    tp_str key, value; /* key.len 0: free */
    uint64_t hash;
    uint32_t used, reserved;
} id_slot;
typedef struct id_map {
    id_slot *slots;
    uint64_t seed;
    uint32_t mask, left; /* left: how many more may come */
} id_map;

/* Room for so many ids. 0: no memory. */
static inline int id_map_init(const tp_host *h, tp_call *c, id_map *m, uint32_t room)
{
    uint32_t size = 8;
    while (size < UINT32_C(0x20000000) && size / 2 < room)
        size *= 2;
    *m = (id_map){.slots = h->alloc(c, size * sizeof(id_slot)), .seed = c->seed, .mask = size - 1,
                  .left = size / 2};
    if (!m->slots)
        return 0;
    memset(m->slots, 0, size * sizeof(id_slot));
    return 1;
}

static inline id_slot *id_map_at(const id_map *m, tp_str key)
{
    uint64_t x = UINT64_C(0xcbf29ce484222325) ^ m->seed;
    for (size_t i = 0; i < key.len; i++)
        x = (x ^ (unsigned char)key.ptr[i]) * UINT64_C(0x100000001b3);
    x ^= x >> 29;
    for (uint32_t i = (uint32_t)x;; i++) {
        id_slot *s = &m->slots[i & m->mask];
        if (!s->key.len || (s->hash == x && span_eq(s->key, key))) {
            s->hash = x;
            return s;
        }
    }
}

/* The last one of a key stays. */
static inline void id_map_put(id_map *m, tp_str key, tp_str value)
{
    if (!m->slots || !key.len || !m->left)
        return;
    id_slot *s = id_map_at(m, key);
    if (!s->key.len)
        m->left--;
    s->key = key;
    s->value = value;
    s->used = 0;
}

/* NULL: not there. */
static inline id_slot *id_map_get(const id_map *m, tp_str key)
{
    if (!m->slots || !key.len)
        return NULL;
    id_slot *s = id_map_at(m, key);
    return s->key.len ? s : NULL;
}
#endif
