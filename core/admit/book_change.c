/* Changes of the book. Each replaces a pointer when everything behind it is ready; what was there
 * is retired. */
#include <stdlib.h>

#include "admit/book_int.h"

static const key_terms *terms_of(const key_int *k)
{
    return atomic_load_explicit(&k->key.terms, memory_order_acquire);
}

static const team_terms *team_terms_of(const team_int *t)
{
    return atomic_load_explicit(&t->team.terms, memory_order_acquire);
}

static tp_str copy(char **at, tp_str s)
{
    char *to = *at;
    if (s.len)
        memcpy(to, s.ptr, s.len);
    to[s.len] = 0;
    *at += s.len + 1;
    return str_make(to, s.len);
}

/* ---- Teams. */
team_int *book_team_make(book *b, tp_str id)
{
    team_int *t = table_find(b, &b->teams, id);
    if (t)
        return t;
    size_t size = (sizeof(*t) + id.len + 1 + 63) & ~(size_t)63;
    team_terms from = {.name = id, .billing = CONF_PREPAID};
    team_terms *terms = team_terms_new(&from);
    t = terms ? aligned_alloc(64, size) : NULL;
    if (!t) {
        team_terms_free(terms);
        return NULL;
    }
    memset(t, 0, size);
    char *at = t->text;
    t->team.id = copy(&at, id);
    atomic_init(&t->team.terms, terms);
    *b->last_team = t;
    b->last_team = &t->next;
    table_add(b, &b->teams, t);
    return t;
}

int book_team_apply(book *b, team_int *t, const team_terms *from)
{
    const team_terms *old = team_terms_of(t);
    int tier = !str_eq(old->tier, from->tier);
    team_terms *terms = team_terms_new(from);
    if (!terms)
        return -1;
    atomic_store_explicit(&t->team.terms, terms, memory_order_release);
    atomic_store_explicit(&t->listed, 1, memory_order_release);
    book_retire(b, (void *)(uintptr_t)old, RETIRED_TEAM_TERMS);
    return tier ? book_refresh(b, &t->team) : 0;
}

int book_put_team(book *b, const registry_team *r)
{
    team_terms from = {.name = r->name,
                       .tier = r->tier,
                       .active = r->active,
                       .billing = r->billing,
                       .policy = r->policy,
                       .created_ms = r->created_ms};
    int rc = -1;
    pthread_mutex_lock(&b->lock);
    team_int *t = book_team_make(b, r->id);
    team_terms *row = t ? team_terms_new(&from) : NULL;
    if (row) {
        const team_terms *now = team_terms_of(t);
        team_terms_free(t->row);
        t->row = row;
        from.byok = now->byok;
        from.byok_count = now->byok_count;
        rc = now->configured ? 0 : book_team_apply(b, t, &from);
    }
    book_reclaim(b, UINT32_MAX);
    pthread_mutex_unlock(&b->lock);
    return rc;
}

int book_put_byok(book *b, tp_str team, const book_byok *list, uint32_t count)
{
    int rc = -1;
    pthread_mutex_lock(&b->lock);
    team_int *t = table_find(b, &b->teams, team);
    if (t && atomic_load_explicit(&t->listed, memory_order_relaxed)) {
        team_terms from = *team_terms_of(t);
        from.byok = list;
        from.byok_count = count;
        rc = book_team_apply(b, t, &from);
    }
    book_reclaim(b, UINT32_MAX);
    pthread_mutex_unlock(&b->lock);
    return rc;
}

/* ---- Keys. */
int book_key_apply(book *b, key_int *k, const key_terms *from)
{
    key_terms *terms = key_terms_new(from);
    if (!terms)
        return -1;
    terms->in_force = book_in_force(b, terms);
    const key_terms *old = atomic_exchange_explicit(&k->key.terms, terms, memory_order_acq_rel);
    book_retire(b, (void *)(uintptr_t)old, RETIRED_PLAIN);
    return 0;
}

key_int *book_key_make(book *b, tp_str id, tp_str lookup, tp_str argon2, const key_terms *from,
                       int64_t spent, int64_t now_ms)
{
    key_int *k = calloc(1, sizeof(*k) + id.len + lookup.len + argon2.len + 3);
    key_terms *terms = k ? key_terms_new(from) : NULL;
    window_words *words = terms && b->windows ? window_file_slot(b->windows, id) : NULL;
    int own = terms && !words; /* its limits hold all the same, but for a restart */
    if (own)
        words = calloc(1, sizeof(*words));
    if (!words) {
        free(terms);
        free(k);
        return NULL;
    }
    char *at = k->text;
    k->owner = b;
    k->key.id = copy(&at, id);
    k->lookup = copy(&at, lookup);
    tp_str hash = copy(&at, argon2);
    k->argon2 = hash.ptr;
    k->fixed = from->fixed;
    k->own_windows = own;
    k->key.windows = words;
    terms->lookup = from->fixed ? STR_NONE : k->lookup;
    terms->argon2 = hash;
    terms->in_force = book_in_force(b, terms);
    atomic_init(&k->key.terms, terms);
    atomic_init(&k->key.spend, spend_new(from->spend_period, now_ms, spent));
    k->prev = b->last;
    *(b->last ? &b->last->next : &b->first) = k;
    b->last = k;
    table_add(b, &b->by_id, k);
    table_add(b, from->fixed ? &b->by_name : &b->by_lookup, k);
    atomic_fetch_add_explicit(&b->key_count, 1, memory_order_relaxed);
    return k;
}

void book_key_unlink(book *b, key_int *k)
{
    atomic_store_explicit(&k->key.revoked, 1, memory_order_release);
    table_remove(b, &b->by_id, k);
    table_remove(b, k->fixed ? &b->by_name : &b->by_lookup, k);
    *(k->prev ? &k->prev->next : &b->first) = k->next;
    *(k->next ? &k->next->prev : &b->last) = k->prev;
    atomic_fetch_sub_explicit(&b->key_count, 1, memory_order_relaxed);
    book_retire(b, k, RETIRED_KEY);
}

static int is_here(const book *b, const key_terms *t)
{
    return memcmp(t->pepper_id, b->pepper.id, sizeof(t->pepper_id)) == 0;
}

static int change_key(book *b, key_int *k, key_terms *from, int64_t now_ms)
{
    const key_terms *old = terms_of(k);
    from->lookup = old->lookup;
    from->argon2 = old->argon2;
    /* Remembered under this pepper, which the row does not know. */
    if (is_here(b, old) && !is_here(b, from)) {
        memcpy(from->hmac, old->hmac, sizeof(from->hmac));
        memcpy(from->pepper_id, old->pepper_id, sizeof(from->pepper_id));
    }
    if (from->spend_period != old->spend_period)
        spend_replace(&k->key,
                      spend_new(from->spend_period, now_ms, book_spent(&k->key, now_ms, NULL)));
    return book_key_apply(b, k, from);
}

static int put_key(book *b, const registry_key *r, int64_t spent, int64_t now_ms)
{
    team_int *team = r->team.len ? table_find(b, &b->teams, r->team) : NULL;
    key_int *k = table_find(b, &b->by_id, r->id);
    key_int *other = table_find(b, &b->by_lookup, r->lookup);
    if (team && !atomic_load_explicit(&team->listed, memory_order_relaxed))
        team = NULL; /* only a static key has named it so far */
    if ((r->team.len && !team) || (other && other != k) || (k && k->fixed))
        return -1;
    key_terms from = {.name = r->name,
                      .tier = r->tier,
                      .created_by = r->created_by,
                      .team = team ? &team->team : NULL,
                      .models = r->models,
                      .model_count = r->model_count,
                      .role = r->role,
                      .disabled = r->disabled,
                      .spend_period = r->spend_period,
                      .spend_limit_nano = r->spend_limit_nano,
                      .limits = r->limits,
                      .created_ms = r->created_ms,
                      .expires_ms = r->expires_ms};
    memcpy(from.hmac, r->hmac, sizeof(from.hmac));
    memcpy(from.pepper_id, r->pepper_id, sizeof(from.pepper_id));
    if (k && str_eq(k->lookup, r->lookup) && str_eq(str_of(k->argon2), r->argon2))
        return change_key(b, k, &from, now_ms);
    if (k) { /* another secret: what is in use goes on with the old one */
        spent = book_spent(&k->key, now_ms, NULL);
        book_key_unlink(b, k);
    }
    k = book_key_make(b, r->id, r->lookup, r->argon2, &from, spent, now_ms);
    if (!k)
        return -1;
    atomic_store_explicit(&k->key.last_used_ms, r->last_used_ms, memory_order_relaxed);
    return 0;
}

int book_put_key(book *b, const registry_key *r, int64_t spent_nano, int64_t now_ms)
{
    pthread_mutex_lock(&b->lock);
    int rc = put_key(b, r, spent_nano, now_ms);
    book_reclaim(b, UINT32_MAX);
    pthread_mutex_unlock(&b->lock);
    return rc;
}

int book_remove_key(book *b, tp_str id)
{
    pthread_mutex_lock(&b->lock);
    key_int *k = table_find(b, &b->by_id, id);
    int rc = k && !k->fixed ? 0 : -1;
    if (rc == 0)
        book_key_unlink(b, k);
    book_reclaim(b, UINT32_MAX);
    pthread_mutex_unlock(&b->lock);
    return rc;
}

int book_refresh(book *b, const book_team *team)
{
    for (key_int *k = b->first; k; k = k->next) {
        const key_terms *t = terms_of(k);
        if (team && t->team != team)
            continue;
        conf_limits now = book_in_force(b, t);
        if (memcmp(&now, &t->in_force, sizeof(now)) != 0 && book_key_apply(b, k, t) < 0)
            return -1;
    }
    return 0;
}

void book_remember(book *b, book_key *k, const unsigned char hmac[32])
{
    if (pthread_mutex_trylock(&b->lock) != 0)
        return; /* next time */
    if (!atomic_load_explicit(&k->revoked, memory_order_relaxed)) {
        key_int *in = (key_int *)(void *)k;
        key_terms from = *terms_of(in);
        memcpy(from.hmac, hmac, sizeof(from.hmac));
        memcpy(from.pepper_id, b->pepper.id, sizeof(from.pepper_id));
        (void)book_key_apply(b, in, &from); /* without memory: next time */
    }
    pthread_mutex_unlock(&b->lock);
}
