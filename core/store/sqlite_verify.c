/* Verification: everything that is stored is read, and every sum is made again.
 */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/str.h"
#include "store/sqlite_int.h"

#define TEXT_MAX (1u << 20)

typedef struct verifying {
    sql_db *d;
    registry_verdict *out;
    sql_ids settled; /* generation ids in the ledger: what was charged */
    sql_ids stored;  /* in segments */
    sql_names days;  /* sums by day and team: "DAY TEAM" */
    sql_names keys;  /* charged by key */
    int64_t next_seq;
    int64_t segment; /* that is being read */
    int64_t first_ms, last_ms, count;
} verifying;

static void fault(verifying *v, const char *fmt, ...) TP_PRINTF(2, 3);
static void fault(verifying *v, const char *fmt, ...)
{
    char line[400];
    va_list args;
    va_start(args, fmt);
    vsnprintf(line, sizeof(line), fmt, args);
    va_end(args);
    v->out->faults++;
    buf_printf(&v->out->text, "%s\n", line); /* beyond the limit only the number counts */
}

/* Rows of a query: 0, or -1. What cannot be read is a fault like others. */
static int rows(verifying *v, const char *text, void (*row)(verifying *v, sqlite3_stmt *s))
{
    sqlite3_stmt *s = NULL;
    int rc = sqlite3_prepare_v2(v->d->db, text, -1, &s, NULL);
    if (rc == SQLITE_OK)
        while ((rc = sqlite3_step(s)) == SQLITE_ROW)
            row(v, s);
    sqlite3_finalize(s);
    if ((rc & 0xff) == SQLITE_CORRUPT)
        fault(v, "the file is damaged: %s", sqlite3_errmsg(v->d->db));
    return rc == SQLITE_DONE || (rc & 0xff) == SQLITE_CORRUPT ? 0 : -1;
}

static int file_fault(void *arg, tp_str text)
{
    fault(arg, "the file is damaged: %.*s", STR_ARG(text));
    return 0;
}

/* ---- The ledger. */

/* Whatever lies in a damaged file: nothing overflows, and a wrong sum stays wrong. */
static int64_t clamp(int64_t n)
{
    return n == INT64_MIN ? INT64_MAX : n;
}

static sql_name *sum_of(sql_names *n, tp_str name) /* until the next one */
{
    uint32_t i = sql_name_of(n, name);
    return &n->list[i];
}

static void check_item(verifying *v, int64_t seq, int64_t day, const sql_item *item)
{
    char name[128];
    ledger_entry e[3];
    uint64_t charged = (uint64_t)item->charged;
    if (sql_item_entries(item, e) == 0)
        fault(v, "ledger entry %lld: stands for %u entries, which its amounts do not",
              (long long)seq, item->entries);
    if (item->generation.len && !sql_ids_put(&v->settled, item->generation, &charged))
        fault(v, "ledger entry %lld: generation %.*s is settled a second time", (long long)seq,
              STR_ARG(item->generation));
    int n = snprintf(name, sizeof(name), "%lld %.*s", (long long)day, STR_ARG(item->team));
    sql_name *sum = sum_of(&v->days, str_make(name, TP_MIN((size_t)n, sizeof(name) - 1)));
    sql_sum(&sum->sum, item->charged);
    sum->entries += item->entries;
    if (item->key.len && item->key.len <= REGISTRY_ID)
        sql_sum(&sum_of(&v->keys, item->key)->sum, item->charged);
}

static void ledger_row(verifying *v, sqlite3_stmt *s)
{
    int64_t first = sqlite3_column_int64(s, 0), entries = sqlite3_column_int64(s, 1);
    tp_str data = sql_blob(s, 4);
    sql_ledger_reader r;
    sql_item item;
    int64_t seq = first;
    int rc = -1;
    v->out->segments++;
    if (sqlite3_column_int64(s, 3) != sql_crc(data.ptr, data.len))
        fault(v, "ledger from entry %lld on: the check sum is wrong: bytes were changed",
              (long long)first);
    if (sql_ledger_open(&r, data) == 0) {
        while ((rc = sql_ledger_next(&r, &item)) > 0) {
            check_item(v, seq, sqlite3_column_int64(s, 2), &item);
            seq += item.entries;
        }
        sql_ledger_close(&r);
    }
    if (rc < 0)
        fault(v, "ledger from entry %lld on: cannot be read beyond entry %lld", (long long)first,
              (long long)seq);
    else if (seq - first != entries)
        fault(v, "ledger from entry %lld on: %lld entries where %lld were stored", (long long)first,
              (long long)(seq - first), (long long)entries);
    v->out->entries += seq - first;
}

static void seq_row(verifying *v, sqlite3_stmt *s)
{
    int64_t seq = sqlite3_column_int64(s, 0);
    if (seq > v->next_seq)
        fault(v, "ledger entries %lld to %lld are missing", (long long)v->next_seq,
              (long long)seq - 1);
    else if (seq < v->next_seq)
        fault(v, "ledger entry %lld is there twice", (long long)seq);
    int64_t end = seq;
    sql_sum(&end, sqlite3_column_int64(s, 1));
    v->next_seq = TP_MAX(v->next_seq, end);
    if (sqlite3_column_int(s, 2))
        v->out->entries++;
}

static void day_row(verifying *v, sqlite3_stmt *s)
{
    char name[128];
    tp_str team = sql_text(s, 1);
    int n = snprintf(name, sizeof(name), "%lld %.*s", (long long)sqlite3_column_int64(s, 0),
                     STR_ARG(team));
    sql_name *sum = sum_of(&v->days, str_make(name, TP_MIN((size_t)n, sizeof(name) - 1)));
    sql_sum(&sum->sum, -clamp(sqlite3_column_int64(s, 2)));
    sql_sum(&sum->entries, -clamp(sqlite3_column_int64(s, 3)));
}

static void spend_row(verifying *v, sqlite3_stmt *s)
{
    sql_sum(&sum_of(&v->keys, sql_text(s, 0))->sum, -clamp(sqlite3_column_int64(s, 1)));
}

static void account_row(verifying *v, sqlite3_stmt *s)
{
    tp_str team = sql_text(s, 0);
    fault(v,
          "account of team %.*s: the ledger's entries come to %lld credited, "
          "%lld used, %lld "
          "entries; the account says %lld, %lld, %lld",
          STR_ARG(team), (long long)sqlite3_column_int64(s, 1),
          (long long)sqlite3_column_int64(s, 2), (long long)sqlite3_column_int64(s, 3),
          (long long)sqlite3_column_int64(s, 4), (long long)sqlite3_column_int64(s, 5),
          (long long)sqlite3_column_int64(s, 6));
}

static void overdrawn_row(verifying *v, sqlite3_stmt *s)
{
    tp_str team = sql_text(s, 0);
    fault(v,
          "team %.*s has always been prepaid, and its balance is %lld nano-dollars "
          "without any adjustment",
          STR_ARG(team), (long long)sqlite3_column_int64(s, 1));
}

static void team_row(verifying *v, sqlite3_stmt *s)
{
    v->out->teams = sqlite3_column_int64(s, 0);
}

static void rejected_row(verifying *v, sqlite3_stmt *s)
{
    fault(v,
          "a record of the journal (number %lld, %lld bytes) could not be read "
          "and lies aside",
          (long long)sqlite3_column_int64(s, 0), (long long)sqlite3_column_int64(s, 1));
}

#define SUMS                                                                                       \
    "WITH e(team, credited, used, entries) AS ("                                                   \
    " SELECT team, 0, charged, entries FROM ledger_day UNION ALL"                                  \
    " SELECT team, nano, 0, 1 FROM ledger_entry UNION ALL SELECT team, 0, 0, 0 "                   \
    "FROM account),"                                                                               \
    " s(team, credited, used, entries) AS (SELECT team, sum(credited), "                           \
    "sum(used), sum(entries)"                                                                      \
    " FROM e GROUP BY team) "

static int verify_ledger(verifying *v)
{
    v->next_seq = 1;
    if (rows(v,
             "SELECT first_seq, entries, day, crc, data FROM ledger_segment "
             "ORDER BY first_seq",
             ledger_row) < 0 ||
        rows(v,
             "SELECT first_seq AS seq, entries, 0 FROM ledger_segment UNION ALL"
             " SELECT seq, 1, 1 FROM ledger_entry ORDER BY seq",
             seq_row) < 0 ||
        rows(v, "SELECT day, team, charged, entries FROM ledger_day", day_row) < 0)
        return -1;
    for (uint32_t i = 0; i < v->days.count; i++) {
        const sql_name *n = &v->days.list[i];
        if (n->sum || n->entries)
            fault(v,
                  "sums of day and team %.*s: the entries come to %lld nano-dollars "
                  "more and %lld "
                  "entries more than is written there",
                  STR_ARG(sql_name_text(&v->days, i)), (long long)n->sum, (long long)n->entries);
    }
    if (rows(v,
             SUMS "SELECT s.team, s.credited, s.used, s.entries, "
                  "coalesce(a.credited, 0),"
                  " coalesce(a.used, 0), coalesce(a.entries, 0)"
                  " FROM s LEFT JOIN account a ON a.team = s.team"
                  " WHERE (s.credited, s.used, s.entries) IS NOT (a.credited, "
                  "a.used, a.entries)",
             account_row) < 0 ||
        rows(v,
             SUMS "SELECT s.team, s.credited - s.used FROM s JOIN team t ON t.id "
                  "= s.team"
                  " WHERE t.billing = 1 AND NOT EXISTS (SELECT 1 FROM meta WHERE name = "
                  "'postpaid ' || t.id)"
                  " AND s.credited - s.used - (SELECT "
                  "coalesce(sum(nano), 0)"
                  " FROM ledger_entry WHERE team = s.team AND kind = 6 AND nano "
                  "< 0) < 0",
             overdrawn_row) < 0 ||
        rows(v, "SELECT key, total FROM key_spend", spend_row) < 0 ||
        rows(v,
             "SELECT count(*) FROM (SELECT team FROM account UNION SELECT id "
             "FROM team)",
             team_row) < 0 ||
        rows(v, "SELECT seq, length(data) FROM rejected", rejected_row) < 0)
        return -1;
    for (uint32_t i = 0; i < v->keys.count; i++)
        if (v->keys.list[i].sum)
            fault(v,
                  "key %.*s: the ledger comes to %lld nano-dollars more than was "
                  "added up",
                  STR_ARG(sql_name_text(&v->keys, i)), (long long)v->keys.list[i].sum);
    return 0;
}

/* ---- Generations. */

static int check_record(void *arg, uint32_t at, const settle_record *r)
{
    verifying *v = arg;
    ledger_entry e[3];
    uint64_t value = 0, charged;
    (void)at;
    v->count++;
    if (r->unix_ms < v->first_ms || r->unix_ms > v->last_ms)
        fault(v, "generation %.*s: lies in segment %lld, which is of another time",
              STR_ARG(r->generation), (long long)v->segment);
    if (!r->generation.len)
        return 0;
    if (!sql_ids_put(&v->stored, r->generation, &value))
        fault(v, "generation %.*s is stored twice", STR_ARG(r->generation));
    if (!sql_is_amount(r->hold_nano) || !sql_is_amount(r->charged_nano))
        fault(v, "generation %.*s: held %lld and charged %lld, which are no amounts",
              STR_ARG(r->generation), (long long)r->hold_nano, (long long)r->charged_nano);
    else if (!r->team.len || ledger_entries_of(r, e) == 0)
        return 0;
    else if (!sql_ids_get(&v->settled, r->generation, &charged))
        fault(v, "generation %.*s has no entry in the ledger", STR_ARG(r->generation));
    else if ((int64_t)charged != r->charged_nano)
        fault(v, "generation %.*s: charged %lld nano-dollars, and settled with %lld",
              STR_ARG(r->generation), (long long)r->charged_nano, (long long)charged);
    return 0;
}

static void segment_row(verifying *v, sqlite3_stmt *s)
{
    tp_str data = sql_blob(s, 5);
    v->segment = sqlite3_column_int64(s, 0);
    v->first_ms = sqlite3_column_int64(s, 1);
    v->last_ms = sqlite3_column_int64(s, 2);
    v->count = 0;
    v->out->segments++;
    if (sqlite3_column_int64(s, 4) != sql_crc(data.ptr, data.len))
        fault(v, "generations, segment %lld: the check sum is wrong: bytes were changed",
              (long long)v->segment);
    if (sql_segment_each(data, check_record, v) < 0)
        fault(v, "generations, segment %lld: cannot be read beyond record %lld",
              (long long)v->segment, (long long)v->count);
    else if (v->count != sqlite3_column_int64(s, 3))
        fault(v, "generations, segment %lld: %lld records where %lld were stored",
              (long long)v->segment, (long long)v->count, (long long)sqlite3_column_int64(s, 3));
    v->out->generations += v->count;
}

int sql_verify(sql_db *d, registry_verdict *out, tp_error *err)
{
    verifying v = {.d = d, .out = out};
    *out = (registry_verdict){0};
    buf_init(&out->text, TEXT_MAX);
    int rc = sql_exec(d, "BEGIN"); /* all of one moment */
    if (rc == 0)
        rc = sql_damage(d, "PRAGMA integrity_check(20)", file_fault, &v);
    if (rc == 0)
        rc = verify_ledger(&v);
    if (rc == 0)
        rc = rows(&v,
                  "SELECT id, first_ms, last_ms, count, crc, data FROM segment "
                  "ORDER BY id",
                  segment_row);
    if (rc < 0) {
        sql_cannot(d, "cannot be verified", err);
        buf_free(&out->text);
    }
    sql_exec(d, "ROLLBACK");
    sql_ids_free(&v.settled);
    sql_ids_free(&v.stored);
    sql_names_free(&v.days);
    sql_names_free(&v.keys);
    return rc < 0 ? TP_ERROR_IO : 0;
}
