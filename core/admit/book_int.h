/* The book's inside; nobody else's. */
#ifndef TP_ADMIT_BOOK_INT_H
#define TP_ADMIT_BOOK_INT_H
#include <pthread.h>

#include "admit/book.h"
#include "base/hash.h"
#include "base/str.h"

#define BOOK_STATIC STR("static:") /* ids of static keys begin so */
/* Of a key whose tier the configuration no longer has: a limit must not vanish with a line that
 * somebody deleted. */
#define BOOK_LOST_TIER 60

/* ---- Tables of atomic pointers: readers need no lock, writers hold the book's. */
typedef struct table_slots {
    uint32_t mask, reserved;
    _Atomic(void *) at[]; /* NULL: free; TABLE_GONE: was taken once */
} table_slots;
typedef struct book_table {
    _Atomic(table_slots *) slots;
    uint32_t used, live; /* used: with those that are gone */
    tp_str (*name_of)(const void *item);
} book_table;
void table_init(book_table *t, tp_str (*name_of)(const void *item));
void table_free(book_table *t);
void *table_find(const book *b, const book_table *t, tp_str name);
void table_add(book *b, book_table *t, void *item); /* its name is not there yet */
void table_remove(book *b, book_table *t, void *item);

/* ---- What a key has spent in one period. taken: settled or held, what is checked against the
 * limit; spent: settled. A new period has a new one, so that exactly the requests that began in it
 * count in it. */
struct book_spend {
    int64_t began; /* UTC day number, of a month that of its first day; in total: 0 */
    int32_t kind, reserved; /* REGISTRY_TOTAL... */
    _Atomic int64_t taken, spent;
    book_spend *next; /* of retired ones */
};
int64_t spend_period(int32_t kind, int64_t now_ms);
book_spend *spend_new(int32_t kind, int64_t now_ms, int64_t spent);
/* The one of this moment, which may be new. [any], no lock */
book_spend *spend_now(book_key *k, int64_t now_ms);
/* Puts another in its place and retires the old one. */
void spend_replace(book_key *k, book_spend *next);

typedef struct key_int {
    book_key key;   /* first */
    book *owner;
    tp_str lookup;  /* of static keys: the name */
    const char *argon2; /* lives as long as the key, so that a thread that verifies needs no more
                           than a pin; empty: none */
    struct key_int *prev, *next; /* all keys, as they were made */
    int32_t own_windows;  /* 1: key.windows was allocated, for the file has no room */
    int32_t fixed;
    uint32_t mark, reserved;
    char text[];
} key_int;
typedef struct team_int {
    book_team team; /* first */
    struct team_int *next;
    team_terms *row;        /* as the registry says, without provider keys; NULL: it has none */
    _Atomic int32_t listed; /* 0: only named by a static key so far, inactive */
    uint32_t mark;
    char text[];
} team_int;

enum { RETIRED_PLAIN, RETIRED_TEAM_TERMS, RETIRED_KEY };
typedef struct book_retired {
    struct book_retired *next;
    void *what;
    uint64_t stamp; /* freed when every worker has seen this epoch */
    int32_t kind, reserved;
} book_retired;

typedef struct book_seen {
    _Alignas(64) _Atomic uint64_t epoch;
} book_seen;

struct book {
    pthread_mutex_t lock; /* of all changes; never waited for by a worker */
    secret_pepper pepper;
    hash_key hash;
    window_file *windows; /* owned; NULL: in memory, a key each */
    book_seen *seen;
    uint32_t workers;
    _Atomic uint32_t key_count;
    _Atomic uint64_t epoch;
    _Atomic(book_spend *) spends; /* retired ones, not stamped yet */
    _Atomic uint32_t retired_count;
    book_retired *retired, **retired_end;
    book_table by_id, by_lookup, by_name, teams;
    key_int *first, *last;
    team_int *first_team, **last_team;
    conf_tier *tiers; /* name and limits only; owned */
    uint32_t tier_count, mark;
};

void book_retire(book *b, void *what, int32_t kind);
/* Frees what no worker can hold any more, at most so many pieces. */
void book_reclaim(book *b, uint32_t most);

/* ---- Terms: one block each, strings and lists copied. NULL: out of memory. */
/* lookup and argon2 are not copied: they are the key's. */
key_terms *key_terms_new(const key_terms *from);
team_terms *team_terms_new(const team_terms *from);
void team_terms_free(team_terms *t); /* wipes provider keys */
/* What is in force of a key with these terms. */
conf_limits book_in_force(const book *b, const key_terms *t);

/* ---- Under the lock. */
/* The one of this id, or a new one that is not listed. NULL: out of memory. */
team_int *book_team_make(book *b, tp_str id);
int book_team_apply(book *b, team_int *t, const team_terms *from); /* 0, or -1: out of memory */
int book_key_apply(book *b, key_int *k, const key_terms *from);
/* A key of this id, its terms and figures set; in no table by look-up yet. lookup: of static keys
 * the name. NULL: out of memory. */
key_int *book_key_make(book *b, tp_str id, tp_str lookup, tp_str argon2, const key_terms *from,
                       int64_t spent, int64_t now_ms);
void book_key_unlink(book *b, key_int *k);
/* In force anew for each key, or those of one team. */
int book_refresh(book *b, const book_team *team);

/* ---- For admit.c. */
/* Does a static key have anything that the book must know of? */
static inline int book_static_needs(const conf_key *k)
{
    return k->role > CONF_ROLE_INFERENCE || k->team.len || k->tier.len ||
           k->limits.requests_per_minute > 0 || k->limits.tokens_per_minute > 0 ||
           k->limits.concurrency > 0;
}
/* The encoded hash; holds as long as the key is pinned. */
const char *book_argon2(const book_key *k);
/* The key proved itself another way: its HMAC under this process's pepper. Does nothing when the
 * lock is taken. [loop] */
void book_remember(book *b, book_key *k, const unsigned char hmac[32]);
#endif
