/* Rows in and out. */
#include <stdio.h>

#include "base/str.h"
#include "store/sqlite_int.h"

static int prepare(sql_db *d, sqlite3_stmt **s, const char *sql)
{
    if (*s)
        return 0;
    return sqlite3_prepare_v3(d->db, sql, -1, SQLITE_PREPARE_PERSISTENT, s, NULL) == SQLITE_OK ? 0
                                                                                               : -1;
}

static int prepare_all(sql_db *d)
{
    if (prepare(d, &d->total,
                "INSERT INTO usage_total VALUES(?,?,?,?,?,?,?,?)"
                " ON CONFLICT DO UPDATE SET requests = requests + excluded.requests,"
                " failures = failures + excluded.failures,"
                " cancelled = cancelled + excluded.cancelled,"
                " cost_nano = cost_nano + excluded.cost_nano") < 0 ||
        prepare(d, &d->unit,
                "INSERT INTO usage_unit VALUES(?,?,?,?,?,?)"
                " ON CONFLICT DO UPDATE SET count = count + excluded.count") < 0 ||
        prepare(d, &d->day_rows, "SELECT count(*) FROM usage_total WHERE day = ?") < 0)
        return -1;
    return prepare(d, &d->known,
                   "SELECT 1 FROM usage_total"
                   " WHERE day = ? AND key = ? AND model = ? AND provider = ?");
}

static void bind_text(sqlite3_stmt *s, int at, tp_str t)
{
    sqlite3_bind_text(s, at, t.len ? t.ptr : "", (int)t.len, SQLITE_STATIC);
}

static void bind_name(sqlite3_stmt *s, const store_total *t)
{
    bind_text(s, 1, t->day);
    bind_text(s, 2, t->key);
    bind_text(s, 3, t->model);
    bind_text(s, 4, t->provider);
}

static int run(sqlite3_stmt *s)
{
    int rc = sqlite3_step(s);
    sqlite3_reset(s);
    return rc == SQLITE_DONE ? 0 : -1;
}

typedef struct adding {
    sql_db *d;
    tp_str day;   /* whose rows were counted last */
    int64_t rows; /* of that day, when it was counted */
} adding;

/* Is this day full, and the row a new one? */
static int beyond(adding *a, const store_total *t)
{
    if (!str_eq(a->day, t->day)) {
        bind_text(a->d->day_rows, 1, t->day);
        a->rows = sqlite3_step(a->d->day_rows) == SQLITE_ROW
                      ? sqlite3_column_int64(a->d->day_rows, 0)
                      : 0;
        sqlite3_reset(a->d->day_rows);
        a->day = t->day;
    }
    if (a->rows < SQL_DAY_ROWS)
        return 0;
    bind_name(a->d->known, t);
    int found = sqlite3_step(a->d->known) == SQLITE_ROW;
    sqlite3_reset(a->d->known);
    return !found;
}

static int add_row(void *arg, const store_total *row)
{
    adding *a = arg;
    sql_db *d = a->d;
    store_total t = *row;
    if (beyond(a, &t))
        t.model = t.provider = STR("(other)");
    bind_name(d->total, &t);
    sqlite3_bind_int64(d->total, 5, t.requests);
    sqlite3_bind_int64(d->total, 6, t.failures);
    sqlite3_bind_int64(d->total, 7, t.cancelled);
    sqlite3_bind_int64(d->total, 8, t.cost_nano);
    if (run(d->total) < 0)
        return -1;
    for (uint32_t i = 0; i < t.used.count; i++) {
        bind_name(d->unit, &t);
        bind_text(d->unit, 5, str_of(t.used.classes[i].unit));
        sqlite3_bind_int64(d->unit, 6, t.used.classes[i].count);
        if (run(d->unit) < 0)
            return -1;
    }
    return 0;
}

int sql_add(sql_db *d, const store_tally *t, char *why, size_t room)
{
    adding a = {.d = d};
    int open = 0, rc = prepare_all(d);
    if (rc == 0)
        rc = sqlite3_exec(d->db, "BEGIN IMMEDIATE", NULL, NULL, NULL) == SQLITE_OK ? 0 : -1;
    open = rc == 0;
    if (rc == 0)
        rc = store_tally_each(t, add_row, &a);
    if (rc == 0)
        rc = sqlite3_exec(d->db, "COMMIT", NULL, NULL, NULL) == SQLITE_OK ? 0 : -1;
    if (rc < 0) {
        snprintf(why, room, "%s", sqlite3_errmsg(d->db));
        if (open)
            sqlite3_exec(d->db, "ROLLBACK", NULL, NULL, NULL);
    }
    sqlite3_db_release_memory(d->db);
    return rc;
}

/* ---- Reading. */
static tp_str text_of(sqlite3_stmt *s, int column)
{
    const char *p = (const char *)sqlite3_column_text(s, column);
    return str_make(p ? p : "", (size_t)sqlite3_column_bytes(s, column));
}

/* Units of one row, by name. */
static int read_units(sqlite3_stmt *s, store_total *t)
{
    int rc;
    bind_name(s, t);
    t->used.count = 0;
    while ((rc = sqlite3_step(s)) == SQLITE_ROW)
        usage_set(&t->used, text_of(s, 0), sqlite3_column_int64(s, 1));
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
        bind_text(s, 1, str_of(from));
        bind_text(s, 2, str_of(to));
        while (answer == 0 && (rc = sqlite3_step(s)) == SQLITE_ROW) {
            store_total t = {.day = text_of(s, 0),
                             .key = text_of(s, 1),
                             .model = text_of(s, 2),
                             .provider = text_of(s, 3),
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
        answer = tp_error_set(err, TP_ERROR_IO, "store %s: usage cannot be read: %s",
                              sqlite3_db_filename(d->db, "main"), sqlite3_errmsg(d->db));
    sqlite3_finalize(s);
    sqlite3_finalize(units);
    sqlite3_exec(d->db, "ROLLBACK", NULL, NULL, NULL);
    return answer;
}
