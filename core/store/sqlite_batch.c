/* A batch: records of the journal gathered for one transaction, and what
 * follows from them. */
#include <stdlib.h>
#include <time.h>

#include "base/le.h"
#include "base/str.h"
#include "profile/profile.h"
#include "store/sqlite_int.h"

void sql_batch_clear(sql_batch *b)
{
    b->records.len = b->last.len = b->items.len = b->rejects.len = 0;
    b->count = b->item_count = b->reject_count = b->unkept = 0;
    b->entries = 0;
    sql_names_clear(&b->teams);
    sql_names_clear(&b->keys);
    sql_names_clear(&b->prices);
    sql_names_clear(&b->spend);
}

void sql_batch_free(sql_batch *b)
{
    free(b->records.ptr);
    free(b->last.ptr);
    free(b->items.ptr);
    free(b->rejects.ptr);
    sql_names_free(&b->teams);
    sql_names_free(&b->keys);
    sql_names_free(&b->prices);
    sql_names_free(&b->spend);
    *b = (sql_batch){0};
}

static void reject(sql_batch *b, uint32_t lane, uint64_t seq, const unsigned char *p, size_t n)
{
    sql_add_number(&b->rejects, lane);
    sql_add_number(&b->rejects, seq);
    sql_add_str(&b->rejects, str_make((const char *)p, n));
    b->reject_count++;
}

static void span(sql_batch *b, int64_t ms)
{
    b->first_ms = TP_MIN(b->first_ms, ms);
    b->last_ms = TP_MAX(b->last_ms, ms);
}

/* Spending is summed by key and UTC day: a name here is the key's id and 8
 * bytes of the day. */
static void add_spent(sql_batch *b, const settle_record *r)
{
    unsigned char name[REGISTRY_ID + 8];
    size_t n = r->key_id.len;
    if (n == 0 || n > REGISTRY_ID || !r->charged_nano)
        return;
    memcpy(name, r->key_id.ptr, n);
    le_put64(name + n, (uint64_t)(r->unix_ms / 86400000));
    uint32_t i = sql_name_of(&b->spend, str_make((const char *)name, n + 8));
    sql_sum(&b->spend.list[i].sum, r->charged_nano);
}

/* A generation's record, for its segment. */
static void keep(sql_batch *b, const settle_record *r, const unsigned char *p, size_t n)
{
    int64_t id_ms = profile_reply_id_ms(r->generation);
    if (b->count == 0)
        b->first_ms = b->last_ms = r->unix_ms;
    span(b, r->unix_ms);
    if (id_ms >= 0)
        span(b, id_ms);
    sql_pack(&b->records, &b->last, p, n);
    b->count++;
}

void sql_seen_clear(sql_seen *s)
{
    sql_ids_free(&s->young);
    sql_ids_free(&s->old);
}

/* 1: for the first time. */
static int first_time(sql_seen *s, tp_str id)
{
    uint64_t value = 0;
    if (!s->all && s->young.count == SQL_SEEN) {
        sql_ids_free(&s->old);
        s->old = s->young;
        s->young = (sql_ids){0};
    }
    return !sql_ids_get(&s->old, id, &value) && sql_ids_put(&s->young, id, &value);
}

int sql_batch_add(sql_batch *b, uint32_t lane, uint64_t seq, const unsigned char *p, size_t n,
                  sql_seen *seen)
{
    settle_record r;
    if (n > UINT32_MAX || !ledger_decode(p, n, &r) || !sql_is_amount(r.hold_nano) ||
        !sql_is_amount(r.charged_nano)) {
        reject(b, lane, seq, p, n);
        return 1;
    }
    if (r.generation.len && !first_time(seen, r.generation))
        return 0;
    if (r.flags & SETTLE_UNKEPT)
        b->unkept++;
    else
        keep(b, &r, p, n);
    sql_item_add(b, &r);
    add_spent(b, &r);
    return 1;
}

int64_t sql_month_of(int64_t day)
{
    time_t t = (time_t)(day * 86400);
    struct tm tm;
    gmtime_r(&t, &tm);
    return day - (tm.tm_mday - 1);
}

static int store_spent(sql_db *d, const sql_batch *b, int64_t now_ms)
{
    for (uint32_t i = 0; i < b->spend.count; i++) {
        tp_str name = sql_name_text(&b->spend, i);
        name.len -= 8;
        int64_t day = (int64_t)le_get64((const unsigned char *)name.ptr + name.len);
        /* Of a day or month that is over by what is stored already, only the total
         * is told. Those of the future are what a clock that was ahead left. */
        sqlite3_stmt *s = sql_prepared(d, SQL_SPEND,
                                       "INSERT INTO key_spend VALUES(?1, ?2, ?3, ?2, ?4, ?2) ON "
                                       "CONFLICT DO UPDATE SET"
                                       " total = total + ?2,"
                                       " day_nano = CASE WHEN ?3 > day OR day > ?5 THEN ?2 WHEN "
                                       "?3 = day THEN day_nano + ?2"
                                       " ELSE day_nano END,"
                                       " month_nano = CASE WHEN ?4 > month OR month > ?5 THEN ?2 "
                                       "WHEN ?4 = month THEN month_nano + ?2"
                                       " ELSE month_nano END,"
                                       " day = CASE WHEN day > ?5 THEN ?3 ELSE max(day, ?3) END,"
                                       " month = CASE WHEN month > ?5 THEN ?4 ELSE max(month, ?4) "
                                       "END");
        if (sql_run(s, "tiiii", name, b->spend.list[i].sum, day, sql_month_of(day),
                    now_ms / 86400000 + 1) < 0)
            return -1;
    }
    return 0;
}

int sql_batch_store(sql_db *d, const sql_batch *b, int64_t now_ms)
{
    if (b->count && sql_segment_store(d, b, now_ms) < 0)
        return -1;
    if (b->item_count && sql_ledger_store(d, b, now_ms) < 0)
        return -1;
    return store_spent(d, b, now_ms);
}
