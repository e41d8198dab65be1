/* The file: opening, checking, schema and its migrations. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/str.h"
#include "store/sqlite_int.h"

/* "Turn" */
#define APPLICATION_ID 0x5475726e
/* migrations[i] brings version i to i + 1. Never edited once released; only added to. */
static const char *const migrations[] = {
    "CREATE TABLE usage_total("
    " day TEXT NOT NULL, key TEXT NOT NULL, model TEXT NOT NULL, provider TEXT NOT NULL,"
    " requests INTEGER NOT NULL, failures INTEGER NOT NULL, cancelled INTEGER NOT NULL,"
    " cost_nano INTEGER NOT NULL,"
    " PRIMARY KEY(day, key, model, provider)) WITHOUT ROWID;"
    "CREATE TABLE usage_unit("
    " day TEXT NOT NULL, key TEXT NOT NULL, model TEXT NOT NULL, provider TEXT NOT NULL,"
    " unit TEXT NOT NULL, count INTEGER NOT NULL,"
    " PRIMARY KEY(day, key, model, provider, unit)) WITHOUT ROWID;",
};
#define NEWEST ((int64_t)TP_COUNT(migrations))

static int fail(sql_db *d, const char *path, const char *what, tp_error *err)
{
    int code = d->db ? sqlite3_errcode(d->db) : SQLITE_ERROR;
    const char *why = d->db ? sqlite3_errmsg(d->db) : "out of memory";
    if (code == SQLITE_NOTADB || code == SQLITE_CORRUPT)
        return tp_error_set(err, TP_ERROR_IO,
                            "store %s: the file is damaged or no database of this gateway (%s); "
                            "restore it from a backup, or move it away and a new one is made",
                            path, why);
    return tp_error_set(err, TP_ERROR_IO,
                        "store %s: %s: %s; the file and its directory must be writable for the "
                        "gateway's user (store.path)",
                        path, what, why);
}

static int exec(sql_db *d, const char *sql)
{
    return sqlite3_exec(d->db, sql, NULL, NULL, NULL) == SQLITE_OK ? 0 : -1;
}

/* First column of the first row: 0, or -1. No row: *out is unchanged. */
static int number(sql_db *d, const char *sql, int64_t *out)
{
    sqlite3_stmt *s = NULL;
    int rc = sqlite3_prepare_v2(d->db, sql, -1, &s, NULL);
    if (rc == SQLITE_OK) {
        rc = sqlite3_step(s);
        if (rc == SQLITE_ROW)
            *out = sqlite3_column_int64(s, 0);
    }
    int failed = rc != SQLITE_ROW && rc != SQLITE_DONE;
    sqlite3_finalize(s);
    return failed ? -1 : 0;
}

/* Any damage that can be found by reading the file once. */
static int check(sql_db *d, const char *path, tp_error *err)
{
    sqlite3_stmt *s = NULL;
    int rc = sqlite3_prepare_v2(d->db, "PRAGMA quick_check(1)", -1, &s, NULL);
    if (rc == SQLITE_OK)
        rc = sqlite3_step(s);
    if (rc != SQLITE_ROW) {
        rc = fail(d, path, "cannot be checked", err);
    } else {
        const char *text = (const char *)sqlite3_column_text(s, 0);
        rc = 0;
        if (!text || strcmp(text, "ok") != 0)
            rc = tp_error_set(err, TP_ERROR_IO,
                              "store %s: the file is damaged (%s); restore it from a backup, or "
                              "move it away and a new one is made",
                              path, text ? text : "unreadable");
    }
    sqlite3_finalize(s);
    return rc;
}

/* *version: -1 for an empty file. */
static int version_of(sql_db *d, const char *path, int64_t *version, tp_error *err)
{
    int64_t tables = 0, ours = 0;
    *version = -1;
    if (number(d, "SELECT count(*) FROM sqlite_master", &tables) < 0)
        return fail(d, path, "cannot be read", err);
    if (tables == 0)
        return 0;
    if (number(d, "PRAGMA application_id", &ours) < 0)
        return fail(d, path, "cannot be read", err);
    if (ours != APPLICATION_ID)
        return tp_error_set(err, TP_ERROR_IO,
                            "store %s: this is a database of some other program; give store.path "
                            "a file of the gateway's own",
                            path);
    *version = 0;
    if (number(d, "SELECT version FROM schema_version", version) < 0)
        return fail(d, path, "has no readable schema version", err);
    if (*version > NEWEST)
        return tp_error_set(
            err, TP_ERROR_IO,
            "store %s: written by a newer version of the gateway (schema %lld, this "
            "one knows up to %lld); start that version, or give store.path another "
            "file",
            path, (long long)*version, (long long)NEWEST);
    return 0;
}

static int migrate(sql_db *d, const char *path, tp_error *err)
{
    int64_t version;
    char set[96];
    if (version_of(d, path, &version, err) < 0)
        return TP_ERROR_IO;
    if (version == NEWEST)
        return 0;
    int rc = exec(d, "BEGIN IMMEDIATE");
    /* Another process may have been quicker. */
    if (rc == 0 && version_of(d, path, &version, err) < 0) {
        exec(d, "ROLLBACK");
        return TP_ERROR_IO;
    }
    if (rc == 0 && version < 0) {
        snprintf(set, sizeof(set), "PRAGMA application_id = %d", APPLICATION_ID);
        rc = exec(d, set);
        if (rc == 0)
            rc = exec(d, "CREATE TABLE schema_version(version INTEGER NOT NULL);"
                         "INSERT INTO schema_version VALUES(0)");
        version = 0;
    }
    for (; rc == 0 && version < NEWEST; version++)
        rc = exec(d, migrations[version]);
    snprintf(set, sizeof(set), "UPDATE schema_version SET version = %lld", (long long)NEWEST);
    if (rc == 0)
        rc = exec(d, set);
    if (rc == 0)
        rc = exec(d, "COMMIT");
    if (rc == 0)
        return 0;
    rc = fail(d, path, "cannot be brought up to date", err);
    exec(d, "ROLLBACK");
    return rc;
}

static int connect(sql_db *d, const char *path, int flags, tp_error *err)
{
    /* A small footprint matters more than speed here: a few rows every few seconds. */
    int rc =
        sqlite3_open_v2(path, &d->db, flags | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_PRIVATECACHE, NULL);
    if (rc != SQLITE_OK) {
        rc = fail(d, path, "cannot be opened", err);
        sql_close(d);
        return rc;
    }
    sqlite3_db_config(d->db, SQLITE_DBCONFIG_LOOKASIDE, NULL, 0, 0);
    sqlite3_busy_timeout(d->db, 5000);
    return 0;
}

int sql_open(sql_db *d, const char *path, tp_error *err)
{
    *d = (sql_db){0};
    /* Only the process's first connection can set this; for later ones it stays as it is. */
    sqlite3_config(SQLITE_CONFIG_MEMSTATUS, 0);
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600); /* SQLite would make it 0644 */
    if (fd < 0)
        return tp_error_set(err, TP_ERROR_IO,
                            "store %s cannot be opened: %s; its directory must exist and be "
                            "writable for the gateway's user (store.path)",
                            path, strerror(errno));
    close(fd);
    if (connect(d, path, SQLITE_OPEN_READWRITE, err) < 0)
        return TP_ERROR_IO;
    int rc = 0;
    if (exec(d, "PRAGMA cache_size = -512; PRAGMA mmap_size = 0; PRAGMA temp_store = MEMORY;"
                "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;"
                "PRAGMA wal_autocheckpoint = 200; PRAGMA journal_size_limit = 4194304") < 0)
        rc = fail(d, path, "cannot be set up", err);
    if (rc == 0)
        rc = check(d, path, err);
    if (rc == 0)
        rc = migrate(d, path, err);
    if (rc < 0)
        sql_close(d);
    else
        sqlite3_db_release_memory(d->db);
    return rc;
}

int sql_open_read(sql_db *d, const char *path, tp_error *err)
{
    int64_t version;
    *d = (sql_db){0};
    if (access(path, F_OK) < 0)
        return tp_error_set(err, TP_ERROR_IO,
                            "store %s: %s; the gateway makes it when it is started (store.path)",
                            path, strerror(errno));
    if (connect(d, path, SQLITE_OPEN_READONLY, err) < 0)
        return TP_ERROR_IO;
    exec(d, "PRAGMA cache_size = -512; PRAGMA mmap_size = 0");
    int rc = version_of(d, path, &version, err);
    if (rc == 0 && version < NEWEST)
        rc = tp_error_set(err, TP_ERROR_IO,
                          "store %s: written by an older version of the gateway; start this one "
                          "once, it brings the file up to date",
                          path);
    if (rc < 0)
        sql_close(d);
    return rc;
}

void sql_close(sql_db *d)
{
    sqlite3_finalize(d->total);
    sqlite3_finalize(d->unit);
    sqlite3_finalize(d->day_rows);
    sqlite3_finalize(d->known);
    sqlite3_close(d->db);
    *d = (sql_db){0};
}
