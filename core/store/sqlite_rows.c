/* Rows in and out. */
#include <stdio.h>

#include "base/str.h"
#include "store/sqlite_int.h"

static void bind_name(sqlite3_stmt *s, const store_total *t)
{
    sql_bind(s, "tttt", t->day, t->key, t->model, t->provider);
}

typedef struct adding {
    sql_db *d;
    tp_str day;   /* whose rows were counted last */
    int64_t rows; /* of that day, when it was counted */
} adding;

/* Is this day full, and the row a new one? 1, 0, -1. */
static int beyond(adding *a, const store_total *t)
{
    sqlite3_stmt *s;
    int rc;
    if (!str_eq(a->day, t->day)) {
        s = sql_prepared(a->d, SQL_DAY_COUNT, "SELECT count(*) FROM usage_total WHERE day = ?");
        if ((rc = sql_row(s, "t", t->day)) < 0)
            return -1;
        a->rows = rc ? sqlite3_column_int64(s, 0) : 0;
        sqlite3_reset(s);
        a->day = t->day;
    }
    if (a->rows < SQL_DAY_ROWS)
        return 0;
    s = sql_prepared(a->d, SQL_KNOWN,
                     "SELECT 1 FROM usage_total"
                     " WHERE day = ? AND key = ? AND model = ? AND provider = ?");
    if ((rc = sql_row(s, "tttt", t->day, t->key, t->model, t->provider)) < 0)
        return -1;
    sqlite3_reset(s);
    return !rc;
}

static int add_row(void *arg, const store_total *row)
{
    adding *a = arg;
    store_total t = *row;
    int rest = beyond(a, &t);
    if (rest < 0)
        return -1;
    if (rest)
        t.model = t.provider = STR("(other)");
    sqlite3_stmt *s = sql_prepared(a->d, SQL_TOTAL,
                                   "INSERT INTO usage_total VALUES(?,?,?,?,?,?,?,?)"
                                   " ON CONFLICT DO UPDATE SET requests = requests +"
                                   " excluded.requests, failures = failures + excluded.failures,"
                                   " cancelled = cancelled + excluded.cancelled,"
                                   " cost_nano = min(cost_nano, 9223372036854775807 -"
                                   " excluded.cost_nano) + excluded.cost_nano");
    if (sql_run(s, "ttttiiii", t.day, t.key, t.model, t.provider, t.requests, t.failures,
                t.cancelled, t.cost_nano) < 0)
        return -1;
    s = sql_prepared(a->d, SQL_UNIT,
                     "INSERT INTO usage_unit VALUES(?,?,?,?,?,?)"
                     " ON CONFLICT DO UPDATE SET count = min(count, 9223372036854775807 -"
                     " excluded.count) + excluded.count");
    for (uint32_t i = 0; i < t.used.count; i++)
        if (sql_run(s, "ttttti", t.day, t.key, t.model, t.provider, str_of(t.used.classes[i].unit),
                    t.used.classes[i].count) < 0)
            return -1;
    return 0;
}

int sql_add(sql_db *d, const store_tally *t)
{
    adding a = {.d = d};
    return store_tally_each(t, add_row, &a);
}

/* ---- Reading. */
/* Units of one row, by name. */
static int read_units(sqlite3_stmt *s, store_total *t)
{
    int rc;
    bind_name(s, t);
    t->used.count = 0;
    while ((rc = sqlite3_step(s)) == SQLITE_ROW)
        usage_set(&t->used, sql_text(s, 0), sqlite3_column_int64(s, 1));
    sqlite3_reset(s);
    return rc == SQLITE_DONE ? 0 : -1;
}

int sql_usage(sql_db *d, const char *from, const char *to,
              int (*row)(void *arg, const store_total *), void *arg, tp_error *err)
{
    sqlite3_stmt *s = NULL, *units = NULL;
    int rc = SQLITE_OK, answer = 0;
    /* One transaction, so that totals and units are of the same moment. */
    if (sqlite3_exec(d->db, "BEGIN", NULL, NULL, NULL) != SQLITE_OK ||
        sqlite3_prepare_v2(d->db,
                           "SELECT day, key, model, provider, requests, failures, cancelled,"
                           " cost_nano FROM usage_total WHERE (?1 = '' OR day >= ?1)"
                           " AND (?2 = '' OR day <= ?2) ORDER BY day, key, model, provider",
                           -1, &s, NULL) != SQLITE_OK ||
        sqlite3_prepare_v2(d->db,
                           "SELECT unit, count FROM usage_unit WHERE day = ? AND key = ?"
                           " AND model = ? AND provider = ? ORDER BY unit",
                           -1, &units, NULL) != SQLITE_OK)
        rc = SQLITE_ERROR;
    if (rc == SQLITE_OK) {
        sql_bind(s, "tt", str_of(from), str_of(to));
        while (answer == 0 && (rc = sqlite3_step(s)) == SQLITE_ROW) {
            store_total t = {.day = sql_text(s, 0),
                             .key = sql_text(s, 1),
                             .model = sql_text(s, 2),
                             .provider = sql_text(s, 3),
                             .requests = sqlite3_column_int64(s, 4),
                             .failures = sqlite3_column_int64(s, 5),
                             .cancelled = sqlite3_column_int64(s, 6),
                             .cost_nano = sqlite3_column_int64(s, 7)};
            if (read_units(units, &t) < 0) {
                rc = SQLITE_ERROR;
                break;
            }
            answer = row(arg, &t);
        }
    }
    if (answer == 0 && rc != SQLITE_DONE)
        answer = sql_cannot(d, "usage cannot be read", err);
    sqlite3_finalize(s);
    sqlite3_finalize(units);
    sqlite3_exec(d->db, "ROLLBACK", NULL, NULL, NULL);
    return answer;
}
