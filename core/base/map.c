#include "base/map.h"

#include <stdlib.h>
#include "base/hash.h"
#include "base/str.h"

void map_free(map *m)
{
    free(m->slots);
    *m = (map){0};
}

static map_slot *slot_of(const map *m, tp_str name)
{
    uint64_t i = hash_name(name);
    for (;; i++) {
        map_slot *s = &m->slots[i & (m->cap - 1)];
        if (!s->value || str_eq(s->name, name))
            return s;
    }
}

void *map_put(map *m, tp_str name, void *value)
{
    TP_MUST(value);
    if ((m->count + 1) * 2 > m->cap) {
        map bigger = {.cap = m->cap ? m->cap * 2 : 16, .count = m->count};
        bigger.slots = tp_xcalloc(bigger.cap, sizeof(map_slot));
        for (uint32_t i = 0; i < m->cap; i++)
            if (m->slots[i].value)
                *slot_of(&bigger, m->slots[i].name) = m->slots[i];
        free(m->slots);
        *m = bigger;
    }
    map_slot *s = slot_of(m, name);
    if (s->value)
        return s->value;
    *s = (map_slot){name, value};
    m->count++;
    return NULL;
}

void *map_get(const map *m, tp_str name)
{
    return m->cap ? slot_of(m, name)->value : NULL;
}
