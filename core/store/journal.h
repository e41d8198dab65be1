/* The journal: what exchanges came to, on its way to the database. One lane a worker: a file of
 * fixed size, mapped shared, a ring of records that one worker appends to and the writer reads,
 * with no lock between them. What was appended survives the end of the process (kill -9 included);
 * a power cut costs at most what journal_sync has not brought to the disk.
 *
 * A record: magic, length, CRC-32C, sequence number (counts up by one in a lane, for ever), then
 * the encoded record; 8-byte aligned (journal_int.h). The database stores, in the transaction that
 * stores the records, the sequence number up to which a lane has been drained: so each is drained
 * exactly once. After a crash the whole lane is scanned for valid records beyond that number. */
#ifndef TP_STORE_JOURNAL_H
#define TP_STORE_JOURNAL_H
#include "base/log.h"
#include "settle/ledger.h"

typedef struct journal journal;
typedef struct journal_lane_state { /* what the database knows of a lane */
    unsigned char uuid[16];         /* of the lane's file, made with it */
    uint64_t drained;               /* sequence number of the last record that is stored; 0: none */
} journal_lane_state;

/* Opens dir (made 0700) with `lanes` lanes of `bytes` each, preallocated; lanes that a former run
 * left are opened too. With read_only no lane is made. 0, or TP_ERROR_IO with what to do (no space,
 * no right). [load] */
int journal_open(const char *dir, uint32_t lanes, size_t bytes, int read_only, const logger *log,
                 journal **out, tp_error *err);
void journal_close(journal *j);
/* A journal is one store's, whose id lies beside the lanes: what a store has drained another does not
 * know. 0: of this one, or it does not say (a new one, or of an older version); or TP_ERROR_IO. */
int journal_is_of(const journal *j, const unsigned char store[16], tp_error *err);
int journal_claim(const journal *j, const unsigned char store[16], tp_error *err); /* it says so */
uint32_t journal_lanes(const journal *j); /* all, those left over included */
const unsigned char *journal_uuid(const journal *j, uint32_t lane); /* 16 bytes */
/* At start, before any worker appends: each undrained record of a lane in order of its number,
 * after `drained`. Stops at the first non-zero answer. *last: the highest number seen (drained when
 * none). */
int journal_recover(journal *j, uint32_t lane, uint64_t drained,
                    int (*record)(void *arg, uint64_t seq, const unsigned char *p, size_t n),
                    void *arg, uint64_t *last);
/* After recovery, when all it gave is stored: the lane is empty and goes on with last + 1, at the
 * size that journal_open was told. Lanes beyond the workers' are deleted; read_only ones stay. */
int journal_start(journal *j, uint32_t lane, uint64_t last, tp_error *err);

/* ---- [loop], by the lane's worker only. A reservation is good for a record with a prompt of the
 * size that ledger_record_max was asked for; a smaller one (LEDGER_RECORD_LEAST at the least, which
 * is also what less than it counts as) holds any record too, but its prompt is left out and long
 * strings are cut. A prompt that would take more than a quarter of the lane is never kept. */
int journal_reserve(journal *j, uint32_t lane, size_t bytes);   /* as journal_port */
void journal_unreserve(journal *j, uint32_t lane, size_t bytes);
int journal_append(journal *j, uint32_t lane, const settle_record *r, size_t reserved);

/* ---- The writer. */
/* The records appended since the last journal_release, in order, up to max_bytes (one at least); 0
 * or what record answered, which then has not taken that one. *last: number of the last one given
 * (of the last one released when none). What p points to holds until the release. */
int journal_read(journal *j, uint32_t lane, size_t max_bytes,
                 int (*record)(void *arg, uint64_t seq, const unsigned char *p, size_t n),
                 void *arg, uint64_t *last);
/* Those up to this number are stored: their room is free again. Of the last journal_read's at
 * most. */
void journal_release(journal *j, uint32_t lane, uint64_t upto);
/* Waits until something was appended that journal_read has not come to (1), journal_wake was called
 * (2), or timeout_ms passed (0). What was read but not released wakes nobody: a writer in trouble
 * can sleep. */
int journal_wait(journal *j, int64_t timeout_ms);
void journal_wake(journal *j); /* [any] */
int journal_sync(journal *j);  /* to the disk: 0, or -1 with errno; by the writer's thread */
/* 1: files of lanes were removed or cut off, why says it: what is in them would not be found after a
 * crash; or 0. By the writer's thread. */
int journal_gone(const journal *j, char *why, size_t room);
size_t journal_pending(const journal *j, size_t *capacity); /* bytes undrained; [any] */
#endif
