/* The book: teams, keys, limits and credits in memory, one a process, shared by all workers. What
 * requests need of it takes no lock: tables and terms are read through atomic pointers, figures are
 * single words changed by one atomic operation. What is replaced is freed when every worker has
 * said since then that it holds no pointer of it (book_quiet).
 *
 * Durability is not the book's: whoever changes it has made the row durable first. */
#ifndef TP_ADMIT_BOOK_H
#define TP_ADMIT_BOOK_H
#include <stdatomic.h>

#include "admit/registry.h"
#include "admit/secret.h"

typedef struct book book;

/* ---- Windows: fixed, of 60 s, beginning with the first request; one word each, so that exactly as
 * many pass as may, over all workers. The words may lie in a mapped file, which lets them survive a
 * restart. Times are Unix milliseconds; a clock set back by more than a window begins a new one,
 * one set back by less lets the window begin anew with what was taken of it. */
typedef struct window_words { /* 24 bytes in the file; id: hash of the key's id, 0: free */
    _Atomic uint64_t id, requests, tokens;
} window_words;
typedef struct window_view { /* what the X-RateLimit headers say */
    int64_t limit;           /* 0: none, no headers */
    int64_t remaining;
    int64_t reset_s;         /* Unix seconds of the window's end, rounded up */
    int32_t retry_after_s;   /* 1 .. 60 */
    int32_t reserved;
} window_view;
#define WINDOW_MS 60000
/* One request more: 1 when it passes; 0: the limit is reached (it is not counted). limit > 0, up to
 * 16,000,000. view may be NULL. [any] */
int window_take(_Atomic uint64_t *word, int64_t limit, int64_t now_ms, window_view *view);
void window_look(_Atomic uint64_t *word, int64_t limit, int64_t now_ms, window_view *view);
/* n tokens put aside of limit: 1 and *token (for window_return), or 0. A single request of more
 * than the limit passes when nothing else is in the window. */
int window_reserve(_Atomic uint64_t *word, int64_t limit, int64_t n, int64_t now_ms,
                   uint64_t *token, window_view *view);
/* The same of n tokens, or of what is left of the limit where that is less, but `least` at least
 * (1 to n): how many were put aside, 0: it does not pass. A `least` of more than the limit passes,
 * and is what is put aside, when nothing else is in the window. */
int64_t window_reserve_some(_Atomic uint64_t *word, int64_t limit, int64_t least, int64_t n,
                            int64_t now_ms, uint64_t *token, window_view *view);
/* The request took `used` of the n: the difference is given back (or taken, up to the word's end)
 * if the window is still the same. */
void window_return(_Atomic uint64_t *word, uint64_t token, int64_t n, int64_t used,
                   int64_t now_ms);
/* Where the words of keys lie: a mapped file of `slots` words (sparse; made when not there; one
 * whose header is not right is made anew), or memory when path is NULL. 0, or TP_ERROR_IO. Slots of
 * removed keys are used again. */
#define WINDOW_SLOTS 262144u
typedef struct window_file window_file;
int window_file_open(const char *path, uint32_t slots, window_file **out, tp_error *err);
void window_file_close(window_file *f);
/* The words of a key, the same ones over restarts. NULL when all slots are taken, or the file
 * system has no room for more. One thread at a time: the book calls it under its lock. */
window_words *window_file_slot(window_file *f, tp_str key_id);
void window_file_release(window_file *f, window_words *w);

/* ---- Teams and keys. */
typedef struct book_byok {
    tp_str provider, type, secret, hint;
    int64_t created_ms;
} book_byok;
typedef struct team_terms { /* immutable; see book_quiet */
    tp_str name, tier;
    int32_t active, billing;
    int32_t configured;       /* 1: conf.d says so; the admin API cannot change it */
    uint32_t byok_count;
    conf_policy policy;
    const book_byok *byok;
    int64_t created_ms;
} team_terms;
typedef struct book_team { /* lives as long as the book */
    tp_str id;
    _Atomic(const team_terms *) terms;
    /* Nano-dollars. balance = credited - used; what may still be held = available. */
    _Alignas(64) _Atomic int64_t available; /* credited - used - held */
    _Atomic int64_t credited, used, held;
} book_team;

typedef struct key_terms { /* immutable; see book_quiet */
    tp_str name, lookup, tier, created_by, argon2;
    book_team *team;          /* NULL: a static key without a team */
    tp_str *models;
    uint32_t model_count;
    int32_t role, disabled, spend_period;
    int32_t fixed;            /* 1: a static key of conf.d */
    int64_t spend_limit_nano; /* -1: none */
    conf_limits limits;       /* its own, as given */
    conf_limits in_force;     /* own, else the tier's, else the team's tier's; 0: no limit */
    int64_t created_ms, expires_ms;
    unsigned char hmac[32], pepper_id[8];
} key_terms;
typedef struct book_spend book_spend;
typedef struct book_key { /* pinned by who uses it beyond a callback: book_pin, book_unpin */
    tp_str id;
    _Atomic(const key_terms *) terms;
    _Atomic uint32_t pins;
    _Atomic int32_t in_flight;
    _Atomic int32_t revoked;
    window_words *windows;
    _Atomic(book_spend *) spend; /* of a period; see book_spent */
    _Atomic int64_t last_used_ms; /* to the second */
} book_key;
/* What was settled with this key in the period that now_ms lies in (in total, UTC day or month),
 * nano-dollars; held (may be NULL): what is put aside of its spending limit beside that. As
 * look-ups: a worker, or between book_enter and book_leave. */
int64_t book_spent(const book_key *k, int64_t now_ms, int64_t *held);

/* windows: taken. workers: how many call book_quiet, by index 0 .. workers-1. [load] */
book *book_new(const secret_pepper *pepper, window_file *windows_take, uint32_t workers);
void book_free(book *b); /* [load] no worker runs any more */
const secret_pepper *book_pepper(const book *b);
/* A worker holds no pointer to terms or unpinned keys at this moment: at least once a second, and
 * never in the middle of a callback that uses some. [loop] */
void book_quiet(book *b, uint32_t worker);

/* ---- Look-ups. [any], no lock. Pointers hold until the calling worker's book_quiet; others (jobs,
 * the serving thread) look up and use them between book_enter and book_leave. */
book_key *book_key_by_lookup(book *b, tp_str lookup); /* NULL: unknown */
book_key *book_key_by_id(book *b, tp_str id);
book_key *book_key_static(book *b, tp_str name);      /* a static key of conf.d: only those that
                                                         have a role, team, tier or limits */
book_team *book_team_of(book *b, tp_str id);
void book_pin(book_key *k);
void book_unpin(book *b, book_key *k);
/* Takes the book's lock: changes wait, so none may be called before book_leave. Not for workers. */
void book_enter(book *b);
void book_leave(book *b);
/* Calls each, in the order of their making (static keys, whose id is "static:" and the name, too);
 * stops at the first non-zero answer and returns it. Between enter and leave. */
int book_each_team(book *b, int (*f)(void *arg, book_team *t), void *arg);
int book_each_key(book *b, int (*f)(void *arg, book_key *k), void *arg);
uint32_t book_key_count(const book *b);

/* ---- Changes: rows that are durable. [any] but workers; they take the book's lock. In force for
 * every worker's next look when they return. */
/* New, or replaces the terms. A team that conf.d has is left as it is. 0, or -1 (no memory). */
int book_put_team(book *b, const registry_team *t);
/* Replaces all provider keys of a team; secrets are in the clear here. */
int book_put_byok(book *b, tp_str team, const book_byok *list, uint32_t count);
/* New, or replaces the terms; its team must be there. spent_nano: of the current period, for a new
 * one; one that is there keeps its figures, also into another kind of period. 0, or -1 (no memory,
 * no such team, another key has this look-up). */
int book_put_key(book *b, const registry_key *k, int64_t spent_nano, int64_t now_ms);
int book_remove_key(book *b, tp_str id); /* 0, or -1: there is none */
/* The teams, tiers and static keys of a configuration, and what follows from its tiers for all
 * keys; teams and static keys that it no longer has become inactive or go. [serving thread] */
int book_configure(book *b, const conf *c, int64_t now_ms);

/* ---- Credits. [any], no lock. */
/* For the start: what the ledger's sums say. */
void book_set_credits(book_team *t, int64_t credited, int64_t used);
/* What the ledger's sums have more than memory knew, or less; requests go on meanwhile. 0; 1: nobody
 * knows this team yet, and should it come, these are its credits; -1: out of memory. Takes the book's
 * lock. */
int book_add_credits(book *b, tp_str team, int64_t credited, int64_t used);
void book_credit(book_team *t, int64_t nano); /* a grant, refund or adjustment became durable */
static inline int64_t book_balance(const book_team *t)
{
    return atomic_load_explicit(&t->credited, memory_order_relaxed) -
           atomic_load_explicit(&t->used, memory_order_relaxed);
}
#endif
