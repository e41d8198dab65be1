#include <sys/random.h>

#include "base/hash.h"
#include "base/str.h"
#include "world/world_int.h"

static int add(world_build *b, const conf_key *k)
{
    world *w = b->w;
    hash_key hk = {w->key_hash[0], w->key_hash[1]};
    uint64_t digest = hash_sip(hk, k->secret.value.ptr, k->secret.value.len);
    uint32_t mask = w->key_count - 1, i = (uint32_t)digest & mask;
    for (; w->keys[i].conf; i = (i + 1) & mask) {
        const conf_key *there = w->keys[i].conf;
        if (w->keys[i].digest != digest || !str_eq_secret(there->secret.value, k->secret.value))
            continue;
        tp_str where = world_place(&w->mem, &there->place);
        return world_fail(b->err, &k->place,
                          "key '%.*s' has the same secret as key '%.*s' (%.*s); give each key a "
                          "secret of its own",
                          STR_ARG(k->name), STR_ARG(there->name), STR_ARG(where));
    }
    w->keys[i] = (world_key){k, digest};
    return 0;
}

int world_build_keys(world_build *b)
{
    world *w = b->w;
    const conf *c = w->conf;
    /* A fresh random key each time: who can learn where digests land in one world learns nothing
     * for the next. */
    TP_MUST(getrandom(w->key_hash, sizeof(w->key_hash), 0) == (ssize_t)sizeof(w->key_hash));
    w->key_count = 2;
    while (w->key_count / 2 < c->key_count + 1)
        w->key_count *= 2;
    w->keys = arena_zalloc(&w->mem, w->key_count * sizeof(*w->keys));
    TP_MUST(w->keys);
    for (uint32_t i = 0; i < c->key_count; i++) {
        const conf_key *k = &c->keys[i];
        if (k->enabled && k->secret.value.ptr && k->secret.value.len && add(b, k) < 0)
            return TP_ERROR_CONFIG;
    }
    return 0;
}
