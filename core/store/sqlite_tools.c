/* Statements: preparing, binding, stepping. */
#include <stdarg.h>
#include <stdio.h>

#include "base/str.h"
#include "store/sqlite_int.h"

sqlite3_stmt *sql_prepared(sql_db *d, int which, const char *text)
{
    if (!d->st[which] && sqlite3_prepare_v3(d->db, text, -1, SQLITE_PREPARE_PERSISTENT,
                                            &d->st[which], NULL) != SQLITE_OK)
        d->st[which] = NULL;
    return d->st[which];
}

static void bind(sqlite3_stmt *s, const char *types, va_list args)
{
    for (int i = 1; types[i - 1]; i++) {
        if (types[i - 1] == 'i') {
            sqlite3_bind_int64(s, i, va_arg(args, int64_t));
        } else if (types[i - 1] == 't') {
            tp_str t = va_arg(args, tp_str);
            sqlite3_bind_text(s, i, t.len ? t.ptr : "", (int)t.len, SQLITE_STATIC);
        } else {
            const void *p = va_arg(args, const void *);
            size_t n = va_arg(args, size_t);
            /* NULL would be bound as NULL, and a column of bytes holds none. */
            sqlite3_bind_blob64(s, i, n ? p : "", n, SQLITE_STATIC);
        }
    }
}

void sql_bind(sqlite3_stmt *s, const char *types, ...)
{
    va_list args;
    va_start(args, types);
    bind(s, types, args);
    va_end(args);
}

int sql_run(sqlite3_stmt *s, const char *types, ...)
{
    va_list args;
    if (!s)
        return -1;
    va_start(args, types);
    bind(s, types, args);
    va_end(args);
    int rc = sqlite3_step(s);
    sqlite3_reset(s);
    return rc == SQLITE_DONE ? 0 : -1;
}

int sql_row(sqlite3_stmt *s, const char *types, ...)
{
    va_list args;
    if (!s)
        return -1;
    va_start(args, types);
    bind(s, types, args);
    va_end(args);
    int rc = sqlite3_step(s);
    if (rc == SQLITE_ROW)
        return 1;
    sqlite3_reset(s);
    return rc == SQLITE_DONE ? 0 : -1;
}

int sql_exec(sql_db *d, const char *text)
{
    return sqlite3_exec(d->db, text, NULL, NULL, NULL) == SQLITE_OK ? 0 : -1;
}

int sql_checkpoint(sql_db *d)
{
    sqlite3_busy_timeout(d->db, 0);
    int rc = sqlite3_wal_checkpoint_v2(d->db, NULL, SQLITE_CHECKPOINT_TRUNCATE, NULL, NULL);
    sqlite3_busy_timeout(d->db, SQL_BUSY_MS);
    return rc == SQLITE_OK ? 0 : -1;
}

int sql_number(sql_db *d, const char *text, int64_t *out)
{
    sqlite3_stmt *s = NULL;
    int rc = sqlite3_prepare_v2(d->db, text, -1, &s, NULL);
    if (rc == SQLITE_OK) {
        rc = sqlite3_step(s);
        if (rc == SQLITE_ROW)
            *out = sqlite3_column_int64(s, 0);
    }
    int failed = rc != SQLITE_ROW && rc != SQLITE_DONE;
    sqlite3_finalize(s);
    return failed ? -1 : 0;
}

tp_str sql_text(sqlite3_stmt *s, int column)
{
    const char *p = (const char *)sqlite3_column_text(s, column);
    return str_make(p ? p : "", (size_t)sqlite3_column_bytes(s, column));
}

tp_str sql_blob(sqlite3_stmt *s, int column)
{
    const char *p = sqlite3_column_blob(s, column);
    return str_make(p ? p : "", p ? (size_t)sqlite3_column_bytes(s, column) : 0);
}

int sql_cannot(sql_db *d, const char *what, tp_error *err)
{
    return tp_error_set(err, TP_ERROR_IO, "store %s: %s: %s", sqlite3_db_filename(d->db, "main"),
                        what, sqlite3_errmsg(d->db));
}

void sql_close(sql_db *d)
{
    for (int i = 0; i < SQL_STATEMENTS; i++)
        sqlite3_finalize(d->st[i]);
    sqlite3_close(d->db);
    *d = (sql_db){0};
}
