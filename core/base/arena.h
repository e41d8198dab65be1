/* Arena: many small pieces, freed together. Chunks come from a pool (one a worker, not shared), so
 * that a request costs no malloc. Pieces are 16-byte aligned and not zeroed.
 * With TURNPIKE_ARENA_MALLOC each piece is a malloc of its own, so that AddressSanitizer sees it.
 */
#ifndef TP_BASE_ARENA_H
#define TP_BASE_ARENA_H
#include "base/base.h"

#define ARENA_CHUNK 2048u /* bytes of a pooled chunk, header included; larger pieces are malloced */

typedef struct arena_chunk arena_chunk;
typedef struct arena_pool {
    arena_chunk *free;
    uint32_t kept, max_kept; /* chunks on the free list; more than max_kept are freed */
    uint32_t out;            /* chunks in use: zero at exit, or something leaks */
    uint32_t reserved;
} arena_pool;
void arena_pool_init(arena_pool *p, uint32_t max_kept);
void arena_pool_free(arena_pool *p); /* all arenas must be reset */

typedef struct arena {
    arena_pool *pool; /* borrowed; NULL: plain malloc */
    arena_chunk *chunks;
    char *at, *end;
    size_t used, max; /* bytes given out; arena_alloc returns NULL beyond max */
    char *base;       /* see arena_base; NULL: none */
    size_t base_size;
} arena;
void arena_init(arena *a, arena_pool *pool, size_t max);
/* Memory of the caller's (16-byte aligned), used first, and first again after each reset: for an
 * arena that is reset all the time. The arena must be empty. */
void arena_base(arena *a, void *base, size_t n);
void arena_reset(arena *a);                /* gives all chunks back; the arena stays usable */
void *arena_alloc_slow(arena *a, size_t n);
/* NULL when max is exceeded or memory is out. n = 0 gives a valid pointer. */
static inline void *arena_alloc(arena *a, size_t n)
{
#ifndef TURNPIKE_ARENA_MALLOC
    size_t need = (n + 15 + !n) & ~(size_t)15; /* n = 0 before the first chunk: not NULL either */
    if (TP_LIKELY(need >= n && (size_t)(a->end - a->at) >= need && a->used + need <= a->max)) {
        char *p = a->at;
        a->at += need;
        a->used += need;
        return p;
    }
#endif
    return arena_alloc_slow(a, n);
}
void *arena_zalloc(arena *a, size_t n);
void *arena_dup(arena *a, const void *p, size_t n);
tp_str arena_str(arena *a, tp_str s);      /* copy; ptr NULL when out */
tp_str arena_cat(arena *a, tp_str first, tp_str second); /* both together; ptr NULL when out */
tp_str arena_printf(arena *a, const char *fmt, ...) TP_PRINTF(2, 3);

#endif
