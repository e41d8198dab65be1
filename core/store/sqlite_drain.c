/* From the lanes of the journal into the file, each record once: the number up
 * to which a lane has been drained is stored in the transaction that stores the
 * records. */
#include <stdlib.h>
#include <time.h>

#include "base/str.h"
#include "store/sqlite_int.h"

#define BATCH_BYTES ((size_t)4 << 20) /* of a transaction */

typedef struct taking {
    sql_batch *b;
    uint32_t lane;
    uint64_t after; /* stored already */
    sql_seen *seen;
    const sql_store *warn; /* NULL: that a generation comes twice is nothing to speak of */
    size_t bytes, most;
    uint64_t last;
    int full;
} taking;

static int take(void *arg, uint64_t seq, const unsigned char *p, size_t n)
{
    taking *t = arg;
    if (seq <= t->after)
        return 0;
    if (t->bytes && t->bytes + n > t->most) {
        t->full = 1;
        return 1;
    }
    if (!sql_batch_add(t->b, t->lane, seq, p, n, t->seen) && t->warn)
        log_line(t->warn->log, LOG_ERROR,
                 "store %s: record %llu of lane %u is of a generation that is stored already; it is "
                 "left out",
                 t->warn->path, (unsigned long long)seq, (unsigned)t->lane);
    t->bytes += n;
    t->last = seq;
    return 0;
}

static int load_lanes(sql_store *s, journal *j)
{
    sqlite3_stmt *q = NULL;
    int rc = 0;
    s->lane_count = journal_lanes(j);
    s->lanes = tp_xrealloc(s->lanes, (s->lane_count + 1) * sizeof(*s->lanes));
    if (sqlite3_prepare_v2(s->db.db, "SELECT drained FROM journal_state WHERE lane = ?", -1, &q,
                           NULL) != SQLITE_OK)
        return -1;
    for (uint32_t i = 0; i < s->lane_count && rc >= 0; i++) {
        rc = sql_row(q, "b", (const void *)journal_uuid(j, i), (size_t)SQL_UUID);
        s->lanes[i] = (sql_lane){0};
        if (rc > 0)
            s->lanes[i].drained = (uint64_t)sqlite3_column_int64(q, 0);
        s->lanes[i].given = s->lanes[i].drained;
        sqlite3_reset(q);
    }
    sqlite3_finalize(q);
    return rc < 0 ? -1 : 0;
}

int sql_lanes_load(sql_store *s)
{
    return s->journal ? load_lanes(s, s->journal) : 0;
}

int sql_gather(sql_store *s)
{
    int more = 0;
    sql_batch_clear(&s->batch);
    if (!s->journal)
        return 0;
    size_t most = BATCH_BYTES / TP_MAX(s->o.lanes, 1u);
    for (uint32_t i = 0; i < TP_MIN(s->o.lanes, s->lane_count); i++) {
        uint64_t last = 0;
        taking t = {.b = &s->batch,
                    .lane = i,
                    .after = s->lanes[i].drained,
                    .seen = &s->seen,
                    .warn = s,
                    .most = most,
                    .last = s->lanes[i].drained};
        journal_read(s->journal, i, most, take, &t, &last);
        s->lanes[i].given = TP_MAX(t.last, last);
        more |= t.full || t.bytes + t.bytes / 4 > most; /* it may have ended for want of room */
    }
    return more;
}

static int put_lanes(sql_store *s, journal *j)
{
    for (uint32_t i = 0; i < s->lane_count; i++) {
        if (s->lanes[i].given <= s->lanes[i].drained)
            continue;
        sqlite3_stmt *q =
            sql_prepared(&s->db, SQL_LANE, "INSERT OR REPLACE INTO journal_state VALUES(?, ?)");
        if (sql_run(q, "bi", (const void *)journal_uuid(j, i), (size_t)SQL_UUID,
                    (int64_t)s->lanes[i].given) < 0)
            return -1;
    }
    return 0;
}

static int put_rejects(sql_store *s, journal *j, int64_t now_ms)
{
    const sql_batch *b = &s->batch;
    sql_reader r = {b->rejects.ptr, b->rejects.ptr + b->rejects.len, 0};
    for (uint32_t i = 0; i < b->reject_count; i++) {
        uint32_t lane = (uint32_t)sql_get_number(&r);
        uint64_t seq = sql_get_number(&r);
        tp_str data = sql_get_str(&r);
        sqlite3_stmt *q =
            sql_prepared(&s->db, SQL_REJECT, "INSERT OR IGNORE INTO rejected VALUES(?, ?, ?, ?)");
        log_line(s->log, LOG_ERROR,
                 "store %s: record %llu of a journal's lane cannot be read; it is "
                 "kept aside",
                 s->path, (unsigned long long)seq);
        if (sql_run(q, "biib", (const void *)journal_uuid(j, lane), (size_t)SQL_UUID, (int64_t)seq,
                    now_ms, (const void *)data.ptr, data.len) < 0)
            return -1;
    }
    return 0;
}

static int batch_put(sql_store *s, journal *j, int64_t now_ms)
{
    if (sql_batch_store(&s->db, &s->batch, now_ms) < 0 || put_rejects(s, j, now_ms) < 0)
        return -1;
    return put_lanes(s, j);
}

int sql_batch_put(sql_store *s, int64_t now_ms)
{
    return s->journal ? batch_put(s, s->journal, now_ms) : 0;
}

static void drained(sql_store *s)
{
    for (uint32_t i = 0; i < s->lane_count; i++)
        s->lanes[i].drained = s->lanes[i].given;
    atomic_fetch_add(&s->drained_records, s->batch.count + s->batch.unkept);
}

void sql_batch_release(sql_store *s)
{
    if (!s->journal)
        return;
    drained(s);
    for (uint32_t i = 0; i < TP_MIN(s->o.lanes, s->lane_count); i++)
        journal_release(s->journal, i, s->lanes[i].drained);
}

/* ---- What a former run left. */

static int oldest(void *arg, uint64_t seq, const unsigned char *p, size_t n)
{
    int64_t *ms = arg;
    settle_record r;
    (void)seq;
    if (ledger_decode(p, n, &r))
        *ms = TP_MIN(*ms, r.unix_ms);
    return 0;
}

static int recover_lane(sql_store *s, journal *j, uint32_t lane, sql_seen *seen)
{
    for (;;) {
        uint64_t last = 0;
        sql_batch_clear(&s->batch);
        taking t = {.b = &s->batch,
                    .lane = lane,
                    .after = s->lanes[lane].drained,
                    .seen = seen,
                    .most = BATCH_BYTES,
                    .last = s->lanes[lane].drained};
        journal_recover(j, lane, t.after, take, &t, &last);
        if (t.last == t.after)
            return 0;
        s->lanes[lane].given = t.last;
        if (sql_exec(&s->db, "BEGIN IMMEDIATE") < 0 || batch_put(s, j, sql_unix_ms()) < 0 ||
            sql_exec(&s->db, "COMMIT") < 0)
            return -1;
        drained(s);
        if (!t.full)
            return 0;
    }
}

static int recover_lanes(sql_store *s, journal *j)
{
    int64_t from_ms = INT64_MAX;
    sql_seen seen = {.all = 1};
    int rc = load_lanes(s, j);
    uint64_t last;
    for (uint32_t i = 0; i < s->lane_count && rc == 0; i++)
        journal_recover(j, i, s->lanes[i].drained, oldest, &from_ms, &last);
    if (rc == 0 && from_ms != INT64_MAX)
        /* The numbers say what is stored. Should they be lost, or lanes be there twice, the ids do:
         * those that are stored, and of what is being stored each that was. */
        rc = sql_segment_ids(&s->db, from_ms, &seen.old) < 0
                 ? -1
                 : sql_ledger_ids(&s->db, from_ms, &seen.old);
    for (uint32_t i = 0; i < s->lane_count && rc == 0; i++)
        rc = recover_lane(s, j, i, &seen);
    sql_seen_clear(&seen);
    return rc;
}

int sql_recover(sql_store *s, journal *j, tp_error *err)
{
    if (recover_lanes(s, j) < 0) {
        sql_cannot(&s->db, "what a former run left in the journal cannot be stored", err);
        sql_exec(&s->db, "ROLLBACK");
        return TP_ERROR_IO;
    }
    int64_t n = atomic_load(&s->drained_records);
    if (n)
        log_line(s->log, LOG_INFO, "store %s: %lld records that a former run left were stored",
                 s->path, (long long)n);
    return 0;
}
