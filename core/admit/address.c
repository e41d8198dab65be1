/* Windows of client addresses: a table that never grows. An address looks at four neighbouring
 * slots; where all four count for others at this moment it takes over the one with the fewest
 * requests, with its count: a flood from many addresses wins nobody a second allowance, and costs
 * only clients without a valid key their own. */
#include <arpa/inet.h>
#include <stdlib.h>

#include "admit/admit_int.h"

enum { WAYS = 4 };
typedef struct slot {
    _Atomic uint64_t tag;  /* hash of the address; 0: free */
    _Atomic uint64_t word; /* its window, as of tokens: what is taken can be given back */
    uint64_t reserved[2];
} slot;
_Static_assert(sizeof(slot) == 32, "as the header says");

struct address_table {
    hash_key key; /* random: nobody can aim at another's slot */
    uint32_t mask, reserved;
    slot slots[];
};

address_table *address_table_new(uint32_t slots)
{
    uint32_t n = WAYS;
    while (n < slots && n < 1u << 24)
        n *= 2;
    address_table *t = tp_xpages(sizeof(*t) + n * sizeof(slot));
    secret_random(&t->key, sizeof(t->key));
    t->mask = n - 1;
    return t;
}

void address_table_free(address_table *t)
{
    if (t)
        tp_pages_free(t, sizeof(*t) + ((size_t)t->mask + 1) * sizeof(slot));
}

/* An IPv4 address, also as it looks on an IPv6 socket, or the /64 of an IPv6 address, which is what
 * one client is given; anything else as it is written. */
static uint64_t tag_of(const address_table *t, tp_str text)
{
    char z[INET6_ADDRSTRLEN];
    unsigned char six[16], four[4];
    uint64_t tag;
    tp_str a = text;
    if (a.len && a.ptr[0] == '[') /* as in a URL */
        a = str_make(a.ptr + 1, str_find(str_skip(a, 1), ']'));
    a.len = str_find(a, '%'); /* the zone of a link-local one */
    z[0] = 0;
    if (a.len < sizeof(z)) {
        str_copy(z, a.ptr, a.len);
        z[a.len] = 0;
    }
    if (inet_pton(AF_INET, z, four) == 1)
        tag = hash_sip(t->key, four, 4);
    else if (inet_pton(AF_INET6, z, six) != 1)
        tag = hash_sip(t->key, text.ptr, text.len);
    else if (memcmp(six, "\0\0\0\0\0\0\0\0\0\0\xff\xff", 12) == 0)
        tag = hash_sip(t->key, six + 12, 4);
    else
        tag = hash_sip(t->key, six, 8);
    return tag + (tag == 0);
}

/* The slot that counts for the tag; make: takes one when there is none. NULL: there is none. */
static slot *find(address_table *t, uint64_t tag, int64_t now_ms, int make)
{
    slot *set = &t->slots[tag & t->mask & ~(uint64_t)(WAYS - 1)];
    for (;;) {
        slot *best = NULL;
        int64_t least = INT64_MAX;
        uint64_t seen = 0;
        for (int i = 0; i < WAYS; i++) {
            uint64_t there = atomic_load_explicit(&set[i].tag, memory_order_relaxed);
            window_view v;
            if (there == tag)
                return &set[i];
            window_peek(&set[i].word, INT64_MAX, now_ms, &v);
            int64_t taken = INT64_MAX - v.remaining;
            if (taken < least) { /* a window that is over counts none */
                best = &set[i];
                least = taken;
                seen = there;
            }
        }
        if (!make)
            return NULL;
        if (atomic_compare_exchange_strong_explicit(&best->tag, &seen, tag, memory_order_relaxed,
                                                    memory_order_relaxed))
            return best;
    }
}

int address_take(address_table *t, tp_str address, int64_t limit, int64_t now_ms, uint64_t *token,
                 window_view *view)
{
    if (!t || limit <= 0 || !address.len)
        return 1;
    slot *s = find(t, tag_of(t, address), now_ms, 1);
    return window_reserve(&s->word, limit, 1, now_ms, token, view);
}

void address_give_back(address_table *t, tp_str address, uint64_t token, int64_t now_ms)
{
    slot *s = t && address.len ? find(t, tag_of(t, address), now_ms, 0) : NULL;
    if (s)
        window_return(&s->word, token, 1, 0, now_ms);
}
