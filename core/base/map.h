/* A table from names to pointers, built at load time and then only read (any thread). Names are
 * borrowed and must outlive the map. Open addressing, at most half full. */
#ifndef TP_BASE_MAP_H
#define TP_BASE_MAP_H
#include "base/base.h"

typedef struct map_slot {
    tp_str name;
    void *value;
} map_slot;
typedef struct map {
    map_slot *slots;
    uint32_t count, cap; /* cap: a power of two, or 0 */
} map;
void map_free(map *m);
/* NULL: added; else the value that is there already, unchanged. value is not NULL. */
void *map_put(map *m, tp_str name, void *value);
void *map_get(const map *m, tp_str name); /* or NULL */
/* In no order: for (uint32_t i = 0; i < m.cap; i++) if (m.slots[i].value) ... */
#endif
