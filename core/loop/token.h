/* The token service of a worker: exchanges Google's credential documents for tokens over the upstream
 * port, keeps them, and fetches each once however many exchanges wait for it. Tokens belong to the
 * document and the scope, not to a world: a reload loses none. Renewed on use from five minutes before
 * their end, while the old one goes on serving; a gateway that nobody uses fetches nothing. What fails
 * is told to all who wait, and not tried again for a second, twice that, up to a minute. All on the
 * worker's thread. */
#ifndef TP_LOOP_TOKEN_H
#define TP_LOOP_TOKEN_H
#include "base/log.h"
#include "conf/conf.h"
#include "loop/upstream.h"

typedef struct token_store token_store;
#define TOKENS_MOST 256u /* documents and scopes at a time */

/* Embedded in who waits; zeroed: does not wait, and was given none. */
typedef struct token_waiter {
    struct token_waiter *next, **link;
    /* The token, for the time of the call, or ptr NULL and why there is none. Not from within
     * tokens_get. May call anything of the service but tokens_free. */
    void (*done)(struct token_waiter *w, tp_str token, const char *why);
    uint64_t serial; /* of the token that it was given last; 0: none */
} token_waiter;

typedef struct token_ask { /* borrowed for the call */
    const conf_provider *provider; /* its proxy and CA file are those on the way to the token */
    tp_str document, scope;
    int32_t own; /* the document is a customer's own: only Google's token endpoint, or that of the
                    provider's own document, is called for it */
    int32_t reserved;
    int64_t unix_s;
} token_ask;

token_store *tokens_new(net_loop *l, up_client *up, arena_pool *pool, const char *user_agent,
                   const logger *log);
/* Nobody may wait. Cancels what is under way; before the upstream client is closed. NULL allowed. */
void tokens_free(token_store *t);
/* 1: *token, until the next call of the service; 0: w->done will be called; -1: *why, likewise. */
int tokens_get(token_store *t, const token_ask *ask, token_waiter *w, tp_str *token, const char **why);
void tokens_leave(token_waiter *w); /* no longer waits, if it did */
/* The token that w was given last was refused: the next request fetches another one. At most once a
 * minute, since it may not be the token's fault. */
void tokens_refused(token_store *t, token_waiter *w);
void tokens_sweep(token_store *t); /* once a second: forgets what has run out */
#endif
