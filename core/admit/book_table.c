#include <stdlib.h>

#include "admit/book_int.h"

enum { TABLE_FIRST = 16 };
/* Marks a place whose item was removed: a search goes on behind it. */
#define TABLE_GONE ((void *)(uintptr_t)1)

static table_slots *slots_new(uint32_t n)
{
    table_slots *s = tp_xcalloc(1, sizeof(*s) + n * sizeof(s->at[0]));
    s->mask = n - 1;
    return s;
}

void table_init(book_table *t, tp_str (*name_of)(const void *item))
{
    *t = (book_table){.name_of = name_of};
    atomic_init(&t->slots, slots_new(TABLE_FIRST));
}

void table_free(book_table *t)
{
    free(atomic_load(&t->slots));
}

void *table_find(const book *b, const book_table *t, tp_str name)
{
    const table_slots *s = atomic_load_explicit(&t->slots, memory_order_acquire);
    for (uint32_t i = (uint32_t)hash_sip(b->hash, name.ptr, name.len) & s->mask;;
         i = (i + 1) & s->mask) {
        void *item = atomic_load_explicit(&s->at[i], memory_order_acquire);
        if (!item)
            return NULL;
        if (item != TABLE_GONE && str_eq(t->name_of(item), name))
            return item;
    }
}

static void put(book *b, book_table *t, table_slots *s, void *item)
{
    tp_str name = t->name_of(item);
    uint32_t i = (uint32_t)hash_sip(b->hash, name.ptr, name.len) & s->mask;
    while (atomic_load_explicit(&s->at[i], memory_order_relaxed))
        i = (i + 1) & s->mask;
    atomic_store_explicit(&s->at[i], item, memory_order_release);
}

void table_add(book *b, book_table *t, void *item)
{
    table_slots *old = atomic_load_explicit(&t->slots, memory_order_relaxed);
    if ((t->used + 1) * 2 > old->mask + 1) { /* half full, or full of what is gone */
        uint32_t n = TABLE_FIRST;
        while (n < (t->live + 1) * 3)
            n *= 2;
        table_slots *s = slots_new(n);
        for (uint32_t i = 0; i <= old->mask; i++) {
            void *there = atomic_load_explicit(&old->at[i], memory_order_relaxed);
            if (there && there != TABLE_GONE)
                put(b, t, s, there);
        }
        put(b, t, s, item);
        atomic_store_explicit(&t->slots, s, memory_order_release);
        book_retire(b, old, RETIRED_PLAIN);
        t->used = ++t->live;
        return;
    }
    put(b, t, old, item);
    t->used++;
    t->live++;
}

void table_remove(book *b, book_table *t, void *item)
{
    table_slots *s = atomic_load_explicit(&t->slots, memory_order_relaxed);
    tp_str name = t->name_of(item);
    uint32_t i = (uint32_t)hash_sip(b->hash, name.ptr, name.len) & s->mask;
    for (;; i = (i + 1) & s->mask) {
        void *there = atomic_load_explicit(&s->at[i], memory_order_relaxed);
        if (!there)
            return;
        if (there == item)
            break;
    }
    atomic_store_explicit(&s->at[i], TABLE_GONE, memory_order_release);
    t->live--;
}
