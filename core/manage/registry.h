/* The port through which teams, keys, money and generations are made durable and read again. store/
 * implements it (SQLite); a database server can stand behind it as well: calls block, and are made
 * from jobs and commands, never from a worker. [any] but [loop]. Every call answers 0, or
 *   TP_ERROR_IO        the store is in trouble (503): err says what and what to do
 *   TP_ERROR_NOT_FOUND, TP_ERROR_EXISTS   as the call says
 * and is durable when it has answered 0. */
#ifndef TP_MANAGE_REGISTRY_H
#define TP_MANAGE_REGISTRY_H
#include "admit/registry.h"
#include "settle/ledger.h"

enum { TP_ERROR_NOT_FOUND = -20, TP_ERROR_EXISTS = -21 };

typedef struct registry_sums { /* of one team's ledger, nano-dollars */
    tp_str team;
    int64_t credited;          /* grants, refunds, adjustments */
    int64_t used;              /* settled, positive */
    int64_t entries;
    /* What of these sums is news: neither told by a load before nor stored by this process since.
     * The first time: all of it; after another file was put in the store's place it may be negative.
     * Memory is ahead of the file by what still lies in the journal, so a later load is added to it
     * as news, and never put in its place. */
    int64_t credited_news, used_news;
} registry_sums;

typedef struct registry_sink { /* takes rows; any answer but 0 ends the reading and is returned */
    void *arg;
    int (*team)(void *arg, const registry_team *t);
    int (*sums)(void *arg, const registry_sums *s);
    int (*byok)(void *arg, const registry_byok *b);
    /* spent_day, spent_month, spent_total: settled with this key, nano-dollars, of the UTC day and
     * month of now_ms and in all */
    int (*key)(void *arg, const registry_key *k, int64_t spent_day, int64_t spent_month,
               int64_t spent_total);
} registry_sink;

typedef struct registry_query { /* of generations and ledger entries; empty or 0: any */
    tp_str team, key, model, provider; /* model: asked or served */
    int32_t status;            /* SETTLE_COMPLETED...; ledger: LEDGER_ kind; 0: any */
    uint32_t limit;            /* 1 .. 1,000 */
    int64_t from_ms, to_ms;    /* Unix milliseconds, from inclusive, to exclusive; 0: no bound */
    tp_str cursor;             /* where the last page ended; empty: at the newest */
} registry_query;

typedef struct registry_verdict { /* of a verification */
    int64_t entries, generations, segments; /* read */
    int64_t teams;
    int64_t faults;            /* 0: all is right */
    buf text;                  /* a line for each fault; malloced, the caller frees */
} registry_verdict;

typedef struct registry_price {
    tp_str version, deployment;
    tp_str json;               /* the price object */
} registry_price;

typedef struct registry_touch { /* a use of a key, and what it is recognised by since */
    tp_str id;
    int64_t used_ms;
    unsigned char hmac[32], pepper_id[8]; /* kept where they are of another pepper than before */
} registry_touch;

typedef struct registry_port {
    void *self;
    /* All teams, then their sums, then provider keys, then keys. The journal of a run before this
     * one has been drained when the store was opened. */
    int (*load)(void *self, int64_t now_ms, const registry_sink *sink, tp_error *err);
    int (*put_team)(void *self, const registry_team *t, tp_error *err); /* new or changed */
    int (*put_key)(void *self, const registry_key *k, tp_error *err);   /* new or changed; EXISTS:
                                                              another key has the same look-up */
    int (*remove_key)(void *self, tp_str id, tp_error *err);            /* NOT_FOUND */
    int (*put_byok)(void *self, const registry_byok *b, tp_error *err); /* new or replaced */
    int (*remove_byok)(void *self, tp_str team, tp_str provider, tp_str type, tp_error *err);
    /* Grant, refund or adjustment; *balance and *seq after it. EXISTS: the reference has been used
     * for this team before: *balance is as it is, *seq the first one's, nothing was added.
     * TP_ERROR_LIMIT: the balance would be more than 64 bits hold. */
    int (*add_entry)(void *self, const ledger_entry *e, int64_t *balance, int64_t *seq,
                     tp_error *err);
    /* Keys that were used: written behind, in the order given. Not durable at once. */
    int (*touch_keys)(void *self, const registry_touch *list, uint32_t count, tp_error *err);
    /* Price versions, so that a settle that names one can be worked out again; all or nothing. Known
     * ones are left as they are. */
    int (*put_prices)(void *self, const registry_price *list, uint32_t count, int64_t now_ms,
                      tp_error *err);
    /* What is in the journal at this moment is stored when this answers. */
    int (*flush)(void *self, tp_error *err);
    /* One record by its reply id: NOT_FOUND. Flushes first. */
    int (*generation)(void *self, tp_str id, int (*row)(void *arg, const settle_record *r),
                      void *arg, tp_error *err);
    /* Newest first, at most limit; *next: the cursor of the next page (empty: there is none). A
     * page may be short, even empty, and have a next one: what it may read is bounded. NOT_FOUND:
     * the cursor is none. Flushes first. */
    int (*generations)(void *self, const registry_query *q,
                       int (*row)(void *arg, const settle_record *r), void *arg, char next[64],
                       tp_error *err);
    /* Ledger entries: newest first with a limit; oldest first and all with q->limit 0 (export). */
    int (*ledger)(void *self, const registry_query *q,
                  int (*row)(void *arg, const ledger_entry *e), void *arg, char next[64],
                  tp_error *err);
    /* Reads everything: are sums, balances and check sums right, is each generation settled once,
     * is no balance of a prepaid team negative but by an adjustment. Of verifications and backups
     * only a few run at a time: LIMIT, nothing was done. */
    int (*verify)(void *self, registry_verdict *out, tp_error *err);
    /* A consistent copy of the store while it runs, to a file that is not there yet (0600). EXISTS:
     * it is; NOT_FOUND: none can be made there; LIMIT: as above. */
    int (*backup)(void *self, const char *path, tp_error *err);
} registry_port;
#endif
