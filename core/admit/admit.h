/* Who are you, may you, can you pay: before 100-continue and the body, then before the upstream is
 * asked. Memory only, no I/O, no lock. [loop] */
#ifndef TP_ADMIT_ADMIT_H
#define TP_ADMIT_ADMIT_H
#include "admit/book.h"
#include "parse/http.h"
#include "profile/profile.h"
#include "world/world.h"

typedef struct address_table address_table; /* windows of client addresses, a bounded table */
address_table *address_table_new(uint32_t slots); /* [load] a power of two; 32 bytes each */
void address_table_free(address_table *t);

/* What a worker admits with. book NULL (tests): static keys only, no limits. */
typedef struct admit_env {
    book *book;
    secret_mac *mac;          /* the worker's own */
    address_table *addresses; /* shared; NULL: none is limited */
} admit_env;

#define ADMIT_SAID 128u
typedef struct admit_principal { /* by value in the exchange; zeroed: nobody */
    const conf_key *fixed;    /* a static key; lives with the world */
    book_key *key;            /* pinned by admit_check; also of a static key that has limits, role
                                 or team */
    book_team *team;          /* NULL: nobody pays */
    const conf_surface *surface; /* of the route: whose words an error has */
    int32_t role;             /* CONF_ROLE_; 0: nobody */
    int32_t counted;          /* 1: counts in key->in_flight */
    window_view window;       /* for the X-RateLimit headers */
    /* What admit_hold put aside. */
    int64_t held_nano, held_tokens, spend_held, spend_began;
    uint64_t token_window;    /* after ADMIT_SLOW: what was taken of the address's window */
    int32_t holding;          /* 1: until admit_settle */
    int32_t byok_any;         /* 1: the team has provider keys of its own */
    char said[ADMIT_SAID];    /* where a profile_error's message may lie: it lives as long as this,
                                 until the next call */
} admit_principal;

enum { ADMIT_OK = 0, ADMIT_REFUSED = -1,
       ADMIT_SLOW = 1 /* the key can only be checked with Argon2id: admit_verify on another thread,
                         then admit_verified. who->key is pinned */ };
/* ADMIT_OK and *who; ADMIT_REFUSED and *e (401; 403 inactive team; 429 with retry_after_s: key's or
 * address's window, concurrency; WWW-Authenticate of a 401 is the caller's); or ADMIT_SLOW. On a
 * public route a missing or wrong key is nobody, and the address counts. who->window is set in any
 * case where a limit is in force. env NULL: static keys only. Reads "Authorization: Bearer KEY" in
 * time that does not depend on how much of a secret was right; a session's cookie is the management
 * endpoints' affair. address: the client's, as text; empty: not known. */
int admit_check(const admit_env *env, const world *w, const world_route *r, const http_head *h,
                tp_str address, tp_now now, admit_principal *who, profile_error *e);
/* The slow way, on a thread of its own: 1 right, 0 wrong. key stays pinned until this answers;
 * presented: the whole key as the client sent it (admit_presented). [any] */
int admit_verify(const book_key *key, tp_str presented);
/* The key of "Authorization: Bearer KEY", or ptr NULL. */
tp_str admit_presented(const http_head *h);
/* Goes on where ADMIT_SLOW left off: as admit_check would have answered with a quick one. A right
 * key is remembered under the pepper of this process. */
int admit_verified(const admit_env *env, const world *w, const world_route *r, int right,
                   tp_str presented, tp_str address, tp_now now, admit_principal *who,
                   profile_error *e);
/* admit_check let a session's cookie pass as nobody, and the management endpoints do not know it: it
 * counts for the address like any attempt without a valid key. ADMIT_OK and who->window; or
 * ADMIT_REFUSED and *e (429). */
int admit_no_session(const admit_env *env, const world *w, const world_route *r, tp_str address,
                     tp_now now, admit_principal *who, profile_error *e);
/* After ADMIT_SLOW: nobody had time to look into the key. It was no attempt, so the address gets
 * back what it gave for one. */
void admit_unverified(const admit_env *env, const world *w, tp_str address, tp_now now,
                      admit_principal *who);
/* A request whose head could not be read counts for the address, as far as that has room, and is
 * told so: who->window. */
void admit_unread(const admit_env *env, const world *w, const world_route *r, tp_str address,
                  tp_now now, admit_principal *who);
/* The exchange is over: unpins, counts down. What is still held is given back (cost 0). */
void admit_release(const admit_env *env, admit_principal *who, tp_now now);

tp_str admit_name(const admit_principal *who); /* of the key, for logs; empty: nobody */
/* Does this key's allow-list hold this very name (patterns as conf_pattern_in)? No key or no list:
 * 1. An alias is a name of its own: ask with the codename of the model found as well. */
int admit_may_use(const admit_principal *who, tp_str model);
/* May this key use this model (allow-list)? 0, or -1 and *e (403). */
int admit_model(const admit_principal *who, tp_str model, arena *a, profile_error *e);
/* The team's policy, or NULL: everything. Until the callback ends. */
const conf_policy *admit_policy(const admit_principal *who);
/* The team's own key for this provider and operation format ("chat/openai", "fim/mistral"), or
 * NULL. Until the callback ends. */
const book_byok *admit_byok(const admit_principal *who, tp_str provider, tp_str format);

/* Tokens of a minute to put aside: `most`, or what is left of the limit where that is less, but
 * `least` at least. 0 <= least <= most. */
typedef struct admit_tokens {
    int64_t least, most;
} admit_tokens;
/* Puts aside the most that the exchange may cost, and tokens: of the team's credits, of the key's
 * spending limit, of its tokens a minute. All or nothing: 0; or -1 and *e: 402 (credits, spending
 * limit), 429 (tokens a minute, with Retry-After). nano >= 0. */
int admit_hold(admit_principal *who, int64_t nano, admit_tokens tokens, tp_now now,
               profile_error *e);
/* The exchange came to cost_nano and used_tokens; what was held is released. Answers what the team
 * is charged: cost_nano; less when it lies beyond the hold and the credits left do not cover the
 * difference (never below zero); postpaid teams pay all. Once a hold. */
int64_t admit_settle(admit_principal *who, int64_t cost_nano, int64_t used_tokens, tp_now now);
#endif
