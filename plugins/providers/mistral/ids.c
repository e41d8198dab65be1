/* Tool call ids: Mistral takes exactly nine letters and digits. One that fits stays; any other
 * becomes a hash of itself, the same in every request, so that prompts stay alike. Two ids of one
 * request never become the same. The client does not see this: ids that Mistral gives are passed on
 * as they are. */
#include <stdio.h>
#include "mistral_int.h"

struct id_entry {
    tp_str from;
    char to[10];
};

static int fits(tp_str id)
{
    if (id.len != 9)
        return 0;
    for (size_t i = 0; i < 9; i++) {
        unsigned char ch = (unsigned char)id.ptr[i];
        if (!((ch >= '0' && ch <= '9') || ((ch | 32) >= 'a' && (ch | 32) <= 'z')))
            return 0;
    }
    return 1;
}

static uint64_t mixed(uint64_t h)
{
    h ^= h >> 33;
    h *= UINT64_C(0xff51afd7ed558ccd);
    h ^= h >> 33;
    h *= UINT64_C(0xc4ceb9fe1a85ec53);
    return h ^ h >> 33;
}

static uint64_t hash_of(tp_str s, uint64_t from)
{
    uint64_t h = UINT64_C(0xcbf29ce484222325) ^ mixed(from);
    for (size_t i = 0; i < s.len; i++)
        h = (h ^ (unsigned char)s.ptr[i]) * UINT64_C(0x100000001b3);
    return mixed(h);
}

static void spell(uint64_t h, char to[10])
{
    static const char digits[] = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
    for (int i = 0; i < 9; i++, h /= 62)
        to[i] = digits[h % 62];
    to[9] = 0;
}

/* Places in the tables are chosen under the call's seed, so that nobody can fill one place. */
static id_entry *entry_of(const mistral_body *b, tp_str id)
{
    uint32_t at = (uint32_t)hash_of(id, b->r.c->seed) & b->ids.mask;
    while (b->ids.entries[at].from.ptr && !span_eq(b->ids.entries[at].from, id))
        at = (at + 1) & b->ids.mask;
    return &b->ids.entries[at];
}

/* 1: it was free, and is taken now. */
static int take(mistral_body *b, const char to[10])
{
    uint32_t at = (uint32_t)hash_of((tp_str){to, 9}, b->r.c->seed) & b->ids.mask;
    while (b->ids.taken[at][0]) {
        if (memcmp(b->ids.taken[at], to, 9) == 0)
            return 0;
        at = (at + 1) & b->ids.mask;
    }
    memcpy(b->ids.taken[at], to, 10);
    return 1;
}

static void map_one(mistral_body *b, tp_str id)
{
    id_entry *e = entry_of(b, id);
    uint64_t h = hash_of(id, 0);
    if (e->from.ptr)
        return;
    e->from = id;
    for (uint64_t salt = 0;; salt++) { /* what many ids of one hash cannot make long */
        spell(salt < 8 ? h + salt : mixed(h + salt + b->r.c->seed), e->to);
        if (take(b, e->to))
            return;
    }
}

tp_str mistral_key_of(const mistral_body *b, uint32_t message, uint32_t call)
{
    char *text = b->r.h->alloc(b->r.c, 32);
    int n = text ? snprintf(text, 32, "#%u.%u", message, call) : 0;
    return (tp_str){text, n > 0 ? (size_t)n : 0};
}

tp_str mistral_call_key(const mistral_body *b, const chat_message *m, const chat_call *call)
{
    return m->tool_calls && call->id.len ? call->id : mistral_key_of(b, m->index, call->index);
}

void mistral_pair(pairing *p, const chat_message *m)
{
    if (m->role == CHAT_ASSISTANT)
        *p = (pairing){.assistant = m->index};
}

tp_str mistral_result_key(const mistral_body *b, pairing *p, const chat_message *m)
{
    int old = span_is(m->role_name, "function"); /* names its function, which may be called again */
    uint32_t place = p->results++;
    return m->call_id.len && !old ? m->call_id : mistral_key_of(b, p->assistant, place);
}

typedef void each_fn(mistral_body *b, tp_str id, void *arg);
static void each_id(mistral_body *b, each_fn *fn, void *arg)
{
    chat_message m;
    chat_call call;
    pairing p = {0};
    for (chat_messages it = chat_messages_of(&b->r); chat_next_message(&b->r, &it, &m);) {
        mistral_pair(&p, &m);
        if (m.role == CHAT_TOOL)
            fn(b, mistral_result_key(b, &p, &m), arg);
        for (chat_calls k = chat_calls_of(&b->r, &m); chat_next_call(&b->r, &k, &call);)
            fn(b, mistral_call_key(b, &m, &call), arg);
    }
}

typedef struct counts {
    uint32_t all, odd;
} counts;
static void count_one(mistral_body *b, tp_str id, void *arg)
{
    counts *n = arg;
    (void)b;
    n->all++;
    n->odd += !fits(id);
}
static void take_fitting(mistral_body *b, tp_str id, void *arg)
{
    char to[10] = {0};
    (void)arg;
    if (!fits(id))
        return;
    memcpy(to, id.ptr, 9);
    take(b, to);
}
static void map_odd(mistral_body *b, tp_str id, void *arg)
{
    (void)arg;
    if (!fits(id))
        map_one(b, id.len ? id : SPAN("#"));
}

tp_status mistral_map_ids(mistral_body *b)
{
    counts n = {0};
    uint32_t room = 8;
    each_id(b, count_one, &n);
    if (!n.odd)
        return TP_OK;
    while (room < 2 * n.all)
        room *= 2;
    b->ids.mask = room - 1;
    id_entry *entries = b->r.h->alloc(b->r.c, room * sizeof(*entries));
    b->ids.taken = b->r.h->alloc(b->r.c, room * sizeof(*b->ids.taken));
    if (!entries || !b->ids.taken)
        return b->r.st = b->r.h->fail(b->r.c, TP_E_NOMEM, SPAN_NONE,
                                      SPAN("out of memory for the ids of tool calls"));
    memset(entries, 0, room * sizeof(*entries));
    memset(b->ids.taken, 0, room * sizeof(*b->ids.taken));
    b->ids.entries = entries;
    each_id(b, take_fitting, NULL);
    each_id(b, map_odd, NULL);
    return TP_OK;
}

tp_str mistral_id(const mistral_body *b, tp_str id)
{
    if (!b->ids.entries || fits(id))
        return id;
    const id_entry *e = entry_of(b, id.len ? id : SPAN("#"));
    return (tp_str){e->to, 9};
}
