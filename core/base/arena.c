#include "base/arena.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct arena_chunk {
    arena_chunk *next;
    uint64_t pooled; /* 1: ARENA_CHUNK bytes, goes back to the pool */
};
_Static_assert(sizeof(arena_chunk) % 16 == 0, "pieces stay aligned");

void arena_pool_init(arena_pool *p, uint32_t max_kept)
{
    *p = (arena_pool){.max_kept = max_kept};
}

void arena_pool_free(arena_pool *p)
{
    TP_MUST(p->out == 0);
    while (p->free) {
        arena_chunk *c = p->free;
        p->free = c->next;
        free(c);
    }
    p->kept = 0;
}

void arena_init(arena *a, arena_pool *pool, size_t max)
{
    *a = (arena){.pool = pool, .max = max};
}

void arena_reset(arena *a)
{
    arena_chunk *c = a->chunks;
    while (c) {
        arena_chunk *next = c->next;
        if (c->pooled && a->pool) {
            a->pool->out--;
            if (a->pool->kept < a->pool->max_kept) {
                c->next = a->pool->free;
                a->pool->free = c;
                a->pool->kept++;
            } else {
                free(c);
            }
        } else {
            free(c);
        }
        c = next;
    }
    a->chunks = NULL;
    a->at = a->base;
    a->end = a->base ? a->base + a->base_size : NULL;
    a->used = 0;
}

void arena_base(arena *a, void *base, size_t n)
{
    TP_MUST(!a->used && !a->chunks);
#ifdef TURNPIKE_ARENA_MALLOC
    (void)base;
    (void)n;
#else
    a->base = a->at = base;
    a->base_size = n;
    a->end = a->base + n;
#endif
}

static arena_chunk *chunk_take(arena *a, size_t size, int pooled)
{
    arena_chunk *c = NULL;
    if (pooled && a->pool && a->pool->free) {
        c = a->pool->free;
        a->pool->free = c->next;
        a->pool->kept--;
    } else {
        c = malloc(size);
    }
    if (!c)
        return NULL;
    if (pooled && a->pool)
        a->pool->out++;
    c->pooled = (uint64_t)pooled;
    c->next = a->chunks;
    a->chunks = c;
    return c;
}

void *arena_alloc_slow(arena *a, size_t n)
{
    size_t need =
        (n + 15 + !n) & ~(size_t)15; /* as arena_alloc, or the two would ask each other for ever */
    if (need < n || need > a->max || a->used > a->max - need)
        return NULL;
#ifdef TURNPIKE_ARENA_MALLOC
    /* The exact size, so that one byte too far is seen. */
    arena_chunk *c = chunk_take(a, sizeof(arena_chunk) + n, 0);
    if (!c)
        return NULL;
    a->used += need;
    return c + 1;
#else
    if (need > ARENA_CHUNK - sizeof(arena_chunk)) { /* a chunk of its own; the current one stays */
        arena_chunk *c = chunk_take(a, sizeof(arena_chunk) + need, 0);
        if (!c)
            return NULL;
        a->used += need;
        return c + 1;
    }
    arena_chunk *c = chunk_take(a, ARENA_CHUNK, 1);
    if (!c)
        return NULL;
    a->at = (char *)(c + 1);
    a->end = (char *)c + ARENA_CHUNK;
    return arena_alloc(a, n);
#endif
}

void *arena_zalloc(arena *a, size_t n)
{
    void *p = arena_alloc(a, n);
    return p ? memset(p, 0, n) : NULL;
}

void *arena_dup(arena *a, const void *src, size_t n)
{
    void *p = arena_alloc(a, n);
    if (p && n)
        memcpy(p, src, n);
    return p;
}

tp_str arena_str(arena *a, tp_str s)
{
    char *p = arena_dup(a, s.ptr, s.len);
    return p ? (tp_str){p, s.len} : (tp_str){NULL, 0};
}

tp_str arena_cat(arena *a, tp_str first, tp_str second)
{
    char *p = arena_alloc(a, first.len + second.len);
    if (!p)
        return (tp_str){NULL, 0};
    if (first.len)
        memcpy(p, first.ptr, first.len);
    if (second.len)
        memcpy(p + first.len, second.ptr, second.len);
    return (tp_str){p, first.len + second.len};
}

tp_str arena_printf(arena *a, const char *fmt, ...)
{
    char small[512];
    va_list ap, again;
    va_start(ap, fmt);
    va_copy(again, ap);
    int n = vsnprintf(small, sizeof(small), fmt, ap);
    va_end(ap);
    tp_str out = {NULL, 0};
    if (n >= 0 && (size_t)n < sizeof(small)) {
        out = arena_str(a, (tp_str){small, (size_t)n});
    } else if (n >= 0) {
        char *p = arena_alloc(a, (size_t)n + 1);
        if (p) {
            vsnprintf(p, (size_t)n + 1, fmt, again);
            out = (tp_str){p, (size_t)n};
        }
    }
    va_end(again);
    return out;
}
