/* The storage port, in words that no database knows, and the embedded implementation (SQLite).
 *
 * Usage totals by UTC day, key, model and provider: a worker counts into a tally of its own (memory
 * only), and every few seconds hands the whole tally over.
 * Generations and settles: a worker appends to its lane of the mapped journal (journal.h); the
 * writer drains the lanes, in one transaction with what follows from them.
 * Teams, keys, provider keys and grants: through manage/registry.h, durable when it answers.
 * One writer thread does all writing. Nothing on the way of a request waits for a disk or takes a
 * lock. */
#ifndef TP_STORE_STORE_H
#define TP_STORE_STORE_H
#include "base/log.h"
#include "manage/registry.h"
#include "settle/settle.h"

#define STORE_DAY 11u   /* "2026-03-01" and a NUL */
#define STORE_NAME 128u /* longest name that is kept; longer ones are cut */

typedef struct store_total { /* strings: borrowed */
    tp_str day, key, model, provider; /* model, provider: empty where no upstream was asked */
    int64_t requests;  /* all that finished, whatever their outcome */
    int64_t failures, cancelled;
    int64_t cost_nano;
    usage used;
} store_total;

/* ---- Tally: totals gathered in memory. One thread at a time. */
typedef struct store_tally store_tally;
#define STORE_TALLY_MAX 1024u /* rows; beyond, what is new is added to a row named "(other)" */
store_tally *store_tally_new(void);
void store_tally_free(store_tally *t); /* NULL allowed */
void store_tally_add(store_tally *t, const settle_record *r);
void store_tally_add_total(store_tally *t, const store_total *row); /* merges a row */
uint32_t store_tally_count(const store_tally *t);
/* Calls each row; stops at the first non-zero answer and returns it. */
int store_tally_each(const store_tally *t, int (*row)(void *arg, const store_total *), void *arg);

/* ---- Port. */
struct store_figures;
typedef struct store_port {
    void *self;
    /* Takes a tally to be added to what is stored: 0 and *t is NULL; or -1 (the queue is full:
     * *t is unchanged, count on and come again). Never blocks on I/O. [any] */
    int (*put)(void *self, store_tally **t);
    /* Rows from day `from` to day `to` (both inclusive, "" for no limit), by day, key, model,
     * provider. 0, what row answered, or TP_ERROR_IO. Reads what is committed. [any], blocks */
    int (*usage)(void *self, const char *from, const char *to,
                 int (*row)(void *arg, const store_total *), void *arg, tp_error *err);
    /* Waits until all that was put is stored: 0, or -1 after timeout_ms. [load] */
    int (*drain)(void *self, int64_t timeout_ms);
    /* 0: well; -1: in trouble, why says what (terminated). Does not block. [any] */
    int (*health)(void *self, char *why, size_t room);
    /* Stores what was put, or logs that it is lost; then closes. [load] */
    void (*close)(void *self);
    registry_port registry;
    journal_port journal;    /* append NULL: opened without one (commands) */
    /* For metrics: bytes that lie in the journal undrained, its capacity, failed writes so far. */
    void (*figures)(void *self, struct store_figures *out);
} store_port;
typedef struct store_figures {
    int64_t journal_bytes, journal_capacity; /* of all lanes */
    int64_t drained_records, failed_writes, segments_dropped;
    int64_t last_commit_us;                  /* how long it took */
    int32_t healthy, reserved;
} store_figures;
typedef struct store_options {
    const char *path;
    const char *journal_dir; /* NULL: no journal is kept (commands); one left behind by a gateway
                                that was killed is drained all the same when drain_dir is set */
    const char *drain_dir;
    uint32_t lanes;          /* workers */
    int64_t lane_bytes, sync_ms, flush_ms, retention_days;
    /* The file was replaced while the gateway ran, or it is not known whether a change that was
     * answered with an error is stored: what is in memory must be loaded again. The journal has
     * been drained before. On the writer's thread: of the registry only load may be called. NULL:
     * nobody. */
    void (*reopened)(void *arg);
    void *arg;
} store_options;

enum { STORE_READ_ONLY = 1 }; /* for commands beside a running gateway: reading (usage, load,
                                 generations, ledger, verify, backup); changes answer TP_ERROR_IO */
/* Opens (makes, mode 0600) the file at path, checks it, brings its schema up to date, stores what
 * a former run left in the journal, starts the writer. One process at a time may write. log:
 * borrowed. 0, or TP_ERROR_IO with a sentence: cannot be opened, is no database or damaged, was
 * written by a newer version, is written by another process. [load] */
int store_sqlite_open(const store_options *o, int flags, const logger *log, store_port *out,
                      tp_error *err);

/* ---- A worker's side: counts and hands over. */
typedef struct store_meter {
    store_port *port;    /* borrowed; NULL: no store, nothing is counted */
    store_tally *tally;
    int64_t next_ms;
    uint64_t deferred;   /* hand-overs that the store had no room for */
} store_meter;
#define STORE_EVERY_MS 2000
void store_meter_init(store_meter *m, store_port *port);
void store_meter_add(store_meter *m, const settle_record *r); /* [loop] */
/* Hands over when it is time; called by the worker about once a second. [loop] */
void store_meter_tick(store_meter *m, tp_now now);
/* Hands over now: 0, or -1 (no room; what is counted stays). [loop] */
int store_meter_flush(store_meter *m);
/* At the end, before port->close: hands over, waiting for room for timeout_ms. 0, or -1. [load] */
int store_meter_finish(store_meter *m, int64_t timeout_ms);
void store_meter_free(store_meter *m);
#endif
