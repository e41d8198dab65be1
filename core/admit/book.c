#include "admit/book_int.h"

#include <stdlib.h>

#include "admit/secret_int.h"

static tp_str id_of(const void *item)
{
    return ((const key_int *)item)->key.id;
}
static tp_str lookup_of(const void *item)
{
    return ((const key_int *)item)->lookup;
}
static tp_str team_of(const void *item)
{
    return ((const team_int *)item)->team.id;
}

book *book_new(const secret_pepper *pepper, window_file *windows_take, uint32_t workers)
{
    book *b = tp_xcalloc(1, sizeof(*b));
    TP_MUST(pthread_mutex_init(&b->lock, NULL) == 0);
    b->pepper = *pepper;
    secret_random(&b->hash, sizeof(b->hash)); /* look-ups are what clients choose */
    b->windows = windows_take;
    b->workers = workers;
    b->retired_end = &b->retired;
    b->last_team = &b->first_team;
    atomic_init(&b->epoch, 1);
    table_init(&b->by_id, id_of);
    table_init(&b->by_lookup, lookup_of);
    table_init(&b->by_name, lookup_of);
    table_init(&b->teams, team_of);
    b->seen = aligned_alloc(64, (workers + 1) * sizeof(*b->seen));
    TP_MUST(b->seen);
    for (uint32_t i = 0; i <= workers; i++)
        atomic_init(&b->seen[i].epoch, 0);
    return b;
}

static void free_key(book *b, key_int *k)
{
    if (k->own_windows)
        free(k->key.windows);
    else if (b->windows)
        window_file_release(b->windows, k->key.windows);
    free((void *)(uintptr_t)atomic_load(&k->key.terms));
    free(atomic_load(&k->key.spend));
    free(k);
}

static void free_retired(book *b, book_retired *r)
{
    if (r->kind == RETIRED_KEY)
        free_key(b, r->what);
    else if (r->kind == RETIRED_TEAM_TERMS)
        team_terms_free(r->what);
    else
        free(r->what);
    free(r);
    atomic_fetch_sub_explicit(&b->retired_count, 1, memory_order_relaxed);
}

void book_free(book *b)
{
    if (!b)
        return;
    for (book_spend *s = atomic_load(&b->spends), *next; s; s = next) {
        next = s->next;
        free(s);
    }
    for (book_retired *r = b->retired, *next; r; r = next) {
        next = r->next;
        free_retired(b, r);
    }
    window_file_close(b->windows); /* first: what the keys that are there took stays taken */
    b->windows = NULL;
    for (key_int *k = b->first, *next; k; k = next) {
        next = k->next;
        free_key(b, k);
    }
    for (team_int *t = b->first_team, *next; t; t = next) {
        next = t->next;
        team_terms_free((team_terms *)(uintptr_t)atomic_load(&t->team.terms));
        team_terms_free(t->row);
        free(t);
    }
    table_free(&b->by_id);
    table_free(&b->by_lookup);
    table_free(&b->by_name);
    table_free(&b->teams);
    free(b->tiers);
    free(b->seen);
    pthread_mutex_destroy(&b->lock);
    secret_wipe(b, sizeof(*b));
    free(b);
}

const secret_pepper *book_pepper(const book *b)
{
    return &b->pepper;
}

/* ---- Who may still hold what was replaced. Each retired thing has the epoch that began when it
 * had been replaced; a worker that has seen that epoch took its pointers later. */
static void retire_stamped(book *b, void *what, int32_t kind)
{
    book_retired *r = tp_xcalloc(1, sizeof(*r));
    r->what = what;
    r->kind = kind;
    r->stamp = atomic_fetch_add_explicit(&b->epoch, 1, memory_order_acq_rel) + 1;
    *b->retired_end = r;
    b->retired_end = &r->next;
}

void book_retire(book *b, void *what, int32_t kind)
{
    atomic_fetch_add_explicit(&b->retired_count, 1, memory_order_relaxed);
    retire_stamped(b, what, kind);
}

static uint64_t seen_by_all(const book *b)
{
    uint64_t least = UINT64_MAX;
    for (uint32_t i = 0; i < b->workers; i++) {
        uint64_t e = atomic_load_explicit(&b->seen[i].epoch, memory_order_acquire);
        least = TP_MIN(least, e);
    }
    return least;
}

static int is_pinned(const book_retired *r)
{
    return r->kind == RETIRED_KEY &&
           atomic_load_explicit(&((key_int *)r->what)->key.pins, memory_order_acquire) != 0;
}

void book_reclaim(book *b, uint32_t most)
{
    book_spend *s = atomic_exchange_explicit(&b->spends, NULL, memory_order_acquire);
    while (s) {
        book_spend *next = s->next;
        retire_stamped(b, s, RETIRED_PLAIN);
        s = next;
    }
    uint64_t seen = seen_by_all(b);
    book_retired **at = &b->retired;
    while (*at && (*at)->stamp <= seen && most) {
        book_retired *r = *at;
        if (is_pinned(r)) { /* nobody can pin it anew: it is in no table */
            at = &r->next;
            continue;
        }
        *at = r->next;
        if (!*at)
            b->retired_end = at;
        free_retired(b, r);
        most--;
    }
}

void book_quiet(book *b, uint32_t worker)
{
    uint64_t now = atomic_load_explicit(&b->epoch, memory_order_acquire);
    _Atomic uint64_t *mine = &b->seen[worker].epoch;
    if (atomic_load_explicit(mine, memory_order_relaxed) != now)
        atomic_store_explicit(mine, now, memory_order_release);
    if (atomic_load_explicit(&b->retired_count, memory_order_relaxed) == 0 ||
        pthread_mutex_trylock(&b->lock) != 0)
        return;
    book_reclaim(b, 64); /* a worker has other things to do; the next moment takes the next ones */
    pthread_mutex_unlock(&b->lock);
}

/* ---- Look-ups. */
book_key *book_key_by_lookup(book *b, tp_str lookup)
{
    return table_find(b, &b->by_lookup, lookup);
}

book_key *book_key_by_id(book *b, tp_str id)
{
    return table_find(b, &b->by_id, id);
}

book_key *book_key_static(book *b, tp_str name)
{
    return table_find(b, &b->by_name, name);
}

book_team *book_team_of(book *b, tp_str id)
{
    team_int *t = table_find(b, &b->teams, id);
    return t && atomic_load_explicit(&t->listed, memory_order_acquire) ? &t->team : NULL;
}

void book_pin(book_key *k)
{
    atomic_fetch_add_explicit(&k->pins, 1, memory_order_relaxed);
}

void book_unpin(book *b, book_key *k)
{
    (void)b; /* a removed key is freed at a quiet moment, not here */
    atomic_fetch_sub_explicit(&k->pins, 1, memory_order_release);
}

void book_enter(book *b)
{
    pthread_mutex_lock(&b->lock);
}

void book_leave(book *b)
{
    book_reclaim(b, UINT32_MAX);
    pthread_mutex_unlock(&b->lock);
}

int book_each_team(book *b, int (*f)(void *arg, book_team *t), void *arg)
{
    int rc = 0;
    for (team_int *t = b->first_team; t && rc == 0; t = t->next)
        if (atomic_load_explicit(&t->listed, memory_order_relaxed))
            rc = f(arg, &t->team);
    return rc;
}

int book_each_key(book *b, int (*f)(void *arg, book_key *k), void *arg)
{
    int rc = 0;
    for (key_int *k = b->first; k && rc == 0; k = k->next)
        rc = f(arg, &k->key);
    return rc;
}

uint32_t book_key_count(const book *b)
{
    return atomic_load_explicit(&b->key_count, memory_order_relaxed);
}

const char *book_argon2(const book_key *k)
{
    return ((const key_int *)(const void *)k)->argon2;
}

/* ---- Credits. */
void book_set_credits(book_team *t, int64_t credited, int64_t used)
{
    int64_t held = atomic_load_explicit(&t->held, memory_order_relaxed);
    atomic_store_explicit(&t->credited, credited, memory_order_relaxed);
    atomic_store_explicit(&t->used, used, memory_order_relaxed);
    atomic_store_explicit(&t->available, credited - used - held, memory_order_relaxed);
}

int book_add_credits(book *b, tp_str team, int64_t credited, int64_t used)
{
    pthread_mutex_lock(&b->lock);
    team_int *made = book_team_make(b, team);
    if (made) {
        book_team *t = &made->team;
        atomic_fetch_add_explicit(&t->credited, credited, memory_order_relaxed);
        atomic_fetch_add_explicit(&t->used, used, memory_order_relaxed);
        atomic_fetch_add_explicit(&t->available, credited - used, memory_order_relaxed);
    }
    int rc = !made ? -1 : !atomic_load_explicit(&made->listed, memory_order_relaxed);
    pthread_mutex_unlock(&b->lock);
    return rc;
}

void book_credit(book_team *t, int64_t nano)
{
    atomic_fetch_add_explicit(&t->credited, nano, memory_order_relaxed);
    atomic_fetch_add_explicit(&t->available, nano, memory_order_relaxed);
}
