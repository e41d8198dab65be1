/* Segments of generations: the records of one transaction, packed in one row. */
#include <stdio.h>
#include <stdlib.h>

#include "base/le.h"
#include "base/str.h"
#include "profile/profile.h"
#include "store/sqlite_int.h"

/* What a page may read before it ends short, so that a filter that nothing
 * passes cannot keep a thread for minutes; the next page goes on there. */
#define PAGE_BYTES (INT64_C(64) << 20)
#define DROP_AT_ONCE 8

int sql_segment_store(sql_db *d, const sql_batch *b, int64_t now_ms)
{
    int64_t last = 0;
    sqlite3_stmt *s = sql_prepared(d, SQL_SEGMENT_LAST, "SELECT max(id) FROM segment");
    int rc = sql_row(s, "");
    if (rc < 0)
        return -1;
    if (rc) {
        last = sqlite3_column_int64(s, 0);
        sqlite3_reset(s);
    }
    /* Never before the records in it, so that a search may begin at a record's
     * own time. */
    int64_t id = TP_MAX(last + 1, TP_MAX(now_ms, b->last_ms) * 1000);
    s = sql_prepared(d, SQL_SEGMENT, "INSERT INTO segment VALUES(?, ?, ?, ?, ?, ?, ?)");
    if (sql_run(s, "iiiiiib", id, b->first_ms, b->last_ms, (int64_t)b->count,
                (int64_t)sql_crc(b->records.ptr, b->records.len), now_ms,
                (const void *)b->records.ptr, b->records.len) < 0)
        return -1;
    if (id / 1000 - b->first_ms <= SQL_LATE_MS)
        return 0;
    s = sql_prepared(d, SQL_SEGMENT_LATE, "INSERT INTO segment_late VALUES(?, ?, ?)");
    return sql_run(s, "iii", id, b->first_ms, b->last_ms);
}

int sql_segment_each(tp_str data, int (*each)(void *arg, uint32_t at, const settle_record *r),
                     void *arg)
{
    sql_bytes raw = {0};
    settle_record r;
    uint32_t place = 0;
    int damaged = sql_unpack(data, &raw), rc = 0;
    for (size_t at = 0, n; at < raw.len && rc == 0; at += n + 4) {
        n = le_get32(raw.ptr + at);
        rc = ledger_decode(raw.ptr + at + 4, n, &r) ? each(arg, place++, &r) : -1;
    }
    free(raw.ptr);
    return rc ? rc : damaged;
}

/* ---- One by its id. */

typedef struct finding {
    tp_str id;
    int (*row)(void *arg, const settle_record *r);
    void *arg;
    int found, answer;
} finding;

static int is_it(void *arg, uint32_t at, const settle_record *r)
{
    finding *f = arg;
    (void)at;
    if (!str_eq(r->generation, f->id))
        return 0;
    f->found = 1;
    f->answer = f->row(f->arg, r);
    return 1;
}

/* Segments between two ids, or the late ones, that may hold a record of this
 * time. 0, or -1. */
static int find_in(sql_db *d, const char *text, int64_t ms, finding *f)
{
    sqlite3_stmt *s = NULL;
    if (sqlite3_prepare_v2(d->db, text, -1, &s, NULL) != SQLITE_OK)
        return -1;
    int rc = SQLITE_ROW;
    sql_bind(s, "ii", ms, SQL_LATE_MS);
    while (!f->found && (rc = sqlite3_step(s)) == SQLITE_ROW)
        if (sql_segment_each(sql_blob(s, 0), is_it, f) < 0)
            rc = SQLITE_CORRUPT;
    sqlite3_finalize(s);
    return f->found || rc == SQLITE_DONE ? 0 : -1;
}

int sql_generation(sql_db *d, tp_str id, int (*row)(void *arg, const settle_record *r), void *arg,
                   tp_error *err)
{
    finding f = {.id = id, .row = row, .arg = arg};
    int64_t ms = profile_reply_id_ms(id);
    if (ms < 0 || ms > INT64_MAX / 2000)
        return TP_ERROR_NOT_FOUND;
    if (find_in(d,
                "SELECT data FROM segment WHERE id >= ?1 * 1000 AND id <= (?1 + "
                "?2 + 1) * 1000"
                " AND first_ms <= ?1 AND last_ms >= ?1 ORDER BY id",
                ms, &f) < 0 ||
        (!f.found && find_in(d,
                             "SELECT data FROM segment_late l JOIN segment s ON s.id = l.segment"
                             " WHERE l.first_ms <= ?1 AND l.last_ms >= ?1 AND ?2 > 0"
                             " ORDER BY l.segment",
                             ms, &f) < 0))
        return sql_cannot(d, "generations cannot be read (`turnpike ledger verify` says more)",
                          err);
    return f.found ? f.answer : TP_ERROR_NOT_FOUND;
}

/* ---- Pages, newest first: segments by their ids, the records of one by their times, for they lie in
 * it lane by lane. */

typedef struct page_place {
    int64_t ms;  /* of the record */
    uint32_t at; /* where it begins in raw */
} page_place;
typedef struct paging {
    const registry_query *q;
    int (*row)(void *arg, const settle_record *r);
    void *arg;
    uint32_t given, below; /* below: of this segment, only records before this place */
    sql_bytes raw;         /* the segment's records, unpacked */
    page_place *places;    /* in the order of their times */
    size_t count, cap;
    int64_t id;    /* of the segment last looked at */
    uint32_t rest; /* of its records, those before this place are the next page's */
    int answer;
} paging;

static int is_or_any(tp_str wanted, tp_str is)
{
    return wanted.len == 0 || str_eq(wanted, is);
}

static int wanted(const registry_query *q, const settle_record *r)
{
    if (q->status && r->outcome != q->status)
        return 0;
    if ((q->from_ms && r->unix_ms < q->from_ms) || (q->to_ms && r->unix_ms >= q->to_ms))
        return 0;
    return is_or_any(q->team, r->team) && is_or_any(q->key, r->key_id) &&
           is_or_any(q->provider, r->provider) &&
           (is_or_any(q->model, r->model_asked) || is_or_any(q->model, r->model_served));
}

static int by_time(const void *a, const void *b)
{
    const page_place *x = a, *y = b;
    if (x->ms != y->ms)
        return x->ms < y->ms ? -1 : 1;
    return x->at < y->at ? -1 : x->at > y->at;
}

static int add_place(paging *p, const unsigned char *data, size_t at, size_t n)
{
    settle_record r;
    if (!ledger_decode(data + at + 4, n, &r))
        return -1;
    if (p->count == p->cap) {
        p->cap = p->cap ? p->cap * 2 : 256;
        p->places = tp_xrealloc(p->places, p->cap * sizeof(*p->places));
    }
    p->places[p->count++] = (page_place){r.unix_ms, (uint32_t)at};
    return 0;
}

/* Where each record begins: 0, or -1: damaged. */
static int places(paging *p, tp_str data)
{
    p->count = 0;
    if (sql_unpack(data, &p->raw) < 0)
        return -1;
    for (size_t at = 0; at < p->raw.len;) {
        size_t n = le_get32(p->raw.ptr + at);
        if (add_place(p, p->raw.ptr, at, n) < 0)
            return -1;
        at += n + 4;
    }
    if (p->count > 1)
        qsort(p->places, p->count, sizeof(*p->places), by_time);
    return 0;
}

/* The records of a segment, newest first. 0: go on; 1: the page is full or row
 * answered; -1. */
static int page_segment(paging *p, tp_str data)
{
    if (places(p, data) < 0)
        return -1;
    for (size_t i = TP_MIN(p->count, (size_t)p->below); i-- > 0;) {
        const unsigned char *at = p->raw.ptr + p->places[i].at;
        settle_record r;
        if (!ledger_decode(at + 4, le_get32(at), &r))
            return -1;
        if (!wanted(p->q, &r))
            continue;
        p->rest = (uint32_t)i + 1;
        if (p->given == p->q->limit)
            return 1; /* so there is a next page */
        p->given++;
        if ((p->answer = p->row(p->arg, &r)) != 0)
            return 1;
    }
    return 0;
}

/* Segments newest first; 0 at their end, 1 stopped before it, -1. */
static int page(sql_db *d, paging *p, int64_t from_id, int64_t before_id)
{
    sqlite3_stmt *s = NULL;
    const registry_query *q = p->q;
    int64_t read = 0;
    int rc = SQLITE_OK, stop = 0;
    /* Segments whose id lies further behind the bound than records are late hold
     * nothing of before it, unless they are named in segment_late. */
    int64_t late = q->to_ms > 0 && q->to_ms < INT64_MAX / 2000 ? (q->to_ms + SQL_LATE_MS + 1) * 1000
                                                               : INT64_MAX;
    rc = sqlite3_prepare_v2(d->db,
                            "SELECT id, data FROM segment WHERE id >= ?1 AND id <= ?2"
                            " AND last_ms >= ?3 AND first_ms < ?4"
                            " AND id <= max(?5, coalesce((SELECT max(segment) FROM"
                            " segment_late), 0))"
                            " ORDER BY id DESC",
                            -1, &s, NULL);
    if (rc != SQLITE_OK)
        return -1;
    sql_bind(s, "iiiii", from_id, before_id, q->from_ms ? q->from_ms : INT64_MIN,
             q->to_ms ? q->to_ms : INT64_MAX, late);
    while (!stop && (rc = sqlite3_step(s)) == SQLITE_ROW) {
        tp_str data = sql_blob(s, 1);
        int64_t id = sqlite3_column_int64(s, 0);
        if (id != before_id)
            p->below = UINT32_MAX;
        p->id = id;
        stop = page_segment(p, data);
        read += (int64_t)p->raw.len;
        if (stop < 0)
            rc = SQLITE_CORRUPT;
        else if (!stop && read > PAGE_BYTES)
            stop = 1, p->rest = 0;
    }
    sqlite3_finalize(s);
    return stop ? stop : rc == SQLITE_DONE ? 0 : -1;
}

int sql_generations(sql_db *d, const registry_query *q,
                    int (*row)(void *arg, const settle_record *r), void *arg, char next[64],
                    tp_error *err)
{
    paging p = {.q = q, .row = row, .arg = arg, .below = UINT32_MAX};
    int64_t before = INT64_MAX, from = TP_MIN(TP_MAX(q->from_ms, 0), INT64_MAX / 1000) * 1000;
    char cursor[64];
    unsigned place;
    long long id;
    int used = 0;
    next[0] = 0;
    if (q->cursor.len) {
        snprintf(cursor, sizeof(cursor), "%.*s", STR_ARG(q->cursor));
        if (sscanf(cursor, "%lld.%u%n", &id, &place, &used) != 2 || cursor[used] || id <= 0)
            return tp_error_set(err, TP_ERROR_NOT_FOUND,
                                "cursor \"%.*s\": expected one that a page has ended with",
                                (int)TP_MIN(q->cursor.len, (size_t)60), q->cursor.ptr);
        before = id;
        p.below = place;
    }
    int rc = page(d, &p, from, before);
    free(p.places);
    free(p.raw.ptr);
    if (rc < 0)
        return sql_cannot(d, "generations cannot be read (`turnpike ledger verify` says more)",
                          err);
    if (rc > 0 && !p.answer)
        snprintf(next, 64, "%lld.%u", (long long)p.id, p.rest);
    return p.answer;
}

/* ---- What recovery must not store twice, and retention. */

static int note_id(void *arg, uint32_t at, const settle_record *r)
{
    uint64_t value = 0;
    (void)at;
    if (r->generation.len)
        sql_ids_put(arg, r->generation, &value);
    return 0;
}

int sql_segment_ids(sql_db *d, int64_t from_ms, sql_ids *seen)
{
    sqlite3_stmt *s = NULL;
    if (sqlite3_prepare_v2(d->db, "SELECT data FROM segment WHERE id >= ? AND last_ms >= ?", -1, &s,
                           NULL) != SQLITE_OK)
        return -1;
    int rc;
    sql_bind(s, "ii", TP_MAX(from_ms, 0) * 1000, from_ms);
    while ((rc = sqlite3_step(s)) == SQLITE_ROW)
        /* What is damaged is found by who verifies; here it only cannot say what it
         * holds. */
        (void)sql_segment_each(sql_blob(s, 0), note_id, seen);
    sqlite3_finalize(s);
    return rc == SQLITE_DONE ? 0 : -1;
}

/* Deletes those that the query names: their number, or -1. */
static int drop(sql_db *d, const char *which, int64_t bound)
{
    char text[300];
    snprintf(text, sizeof(text), "DELETE FROM segment WHERE id IN (SELECT %s %lld ORDER BY 1 LIMIT %d)",
             which, (long long)bound, DROP_AT_ONCE);
    return sql_exec(d, text) < 0 ? -1 : sqlite3_changes(d->db);
}

int sql_segment_drop(sql_db *d, int64_t before_ms)
{
    if (before_ms <= 0)
        return 0;
    int old = drop(d, "id FROM segment WHERE id <", before_ms * 1000);
    if (old < 0)
        return -1;
    /* Ids only go up. So after the clock was ahead for a while they are, for ever; the records are
     * then older than their segment says, by enough for it to be one of these. */
    int late = drop(d, "segment FROM segment_late WHERE last_ms <", before_ms);
    if (late < 0)
        return -1;
    if (old + late == 0)
        return 0;
    return sql_exec(d, "DELETE FROM segment_late WHERE segment NOT IN (SELECT id FROM segment)") < 0
               ? -1
               : old + late;
}
