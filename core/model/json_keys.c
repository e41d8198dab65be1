/* Duplicate keys. Small objects are compared pairwise, and only where a filter of one bit a key
 * says that it could be; those of large ones with a hash table when they close, so that no text
 * costs quadratic time. Its hash is keyed with bytes that the kernel made for this process. */
#include <stdlib.h>
#include <sys/auxv.h>

#include "base/hash.h"
#include "model/json_int.h"

static tp_str inside(const json_scanner *s, const tp_token *t)
{
    return (tp_str){(const char *)s->text + t->at + 1, t->len - 2};
}

int json_key_walk(const json_scanner *s, json_level *lv, uint32_t key)
{
    const tp_token *tok = s->tape->tokens;
    const uint32_t len = tok[key].len;
    uint32_t few = JSON_FEW_KEYS;
    for (uint32_t k = lv->open + 1; k < key; k = tok[k + 1].next) {
        if (few-- == 0) {
            lv->table = 1;
            return 0;
        }
        if (tok[k].len == len && memcmp(s->text + tok[k].at, s->text + tok[key].at, len) == 0)
            return 1;
    }
    return 0;
}

static hash_key process_key(void)
{
    hash_key key = {0x243f6a8885a308d3ull, 0x13198a2e03707344ull};
    const void *bytes = (const void *)(uintptr_t)getauxval(AT_RANDOM);
    if (bytes)
        memcpy(&key, bytes, sizeof(key));
    return key;
}

/* Hash of the decoded key; 0 when memory is out (a real 0 is made 1). */
static uint32_t key_hash(hash_key seed, tp_str raw)
{
    char small[256], *decoded = small;
    tp_str s = raw;
    if (raw.len && memchr(raw.ptr, '\\', raw.len)) {
        if (raw.len > sizeof(small) && !(decoded = malloc(raw.len)))
            return 0;
        s = (tp_str){decoded, json_unescape(raw.ptr, raw.len, decoded)};
    }
    uint32_t h = (uint32_t)(hash_sip(seed, s.ptr, s.len) >> 32);
    if (decoded != small)
        free(decoded);
    return h ? h : 1;
}

typedef struct slot {
    uint32_t key, hash; /* hash 0: free */
} slot;

int json_key_table(json_scanner *s, uint32_t open)
{
    const tp_token *tok = s->tape->tokens;
    const uint32_t end = tok[open].next;
    const hash_key seed = process_key();
    slot few[4 * JSON_FEW_KEYS] = {{0}}, *slots = few;
    uint32_t keys = 0, size = TP_COUNT(few);
    for (uint32_t k = open + 1; k < end; k = tok[k + 1].next)
        keys++;
    if (keys > size / 2) {
        while (size / 2 < keys)
            size *= 2;
        slots = calloc(size, sizeof(*slots));
        if (!slots)
            return json_fault(s, JSON_E_NOMEM, tok[open].at, "out of memory for an object's keys");
    }
    int rc = 0;
    for (uint32_t k = open + 1; rc == 0 && k < end; k = tok[k + 1].next) {
        tp_str raw = inside(s, &tok[k]);
        uint32_t h = key_hash(seed, raw), i = h & (size - 1);
        if (h == 0) {
            rc = json_fault(s, JSON_E_NOMEM, tok[k].at, "out of memory for an object's keys");
            break;
        }
        for (; slots[i].hash; i = (i + 1) & (size - 1)) {
            if (slots[i].hash == h && json_same(raw, inside(s, &tok[slots[i].key]))) {
                rc = json_fault(s, JSON_E_DUPLICATE, tok[k].at, "this key is in the object twice");
                break;
            }
        }
        slots[i] = (slot){k, h};
    }
    if (slots != few)
        free(slots);
    return rc;
}
