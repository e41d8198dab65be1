/* The file: opening, checking, bringing its schema up to date. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include "base/str.h"
#include "store/sqlite_int.h"
#include "store/sqlite_schema.h"

/* "Turn" */
#define APPLICATION_ID 0x5475726e
/* A log of another file is applied to the one that it lies beside, which damages that one. */
#define RESTORE                                                                                    \
    "restore it from a backup (remove the old file's -wal and -shm first), or move it away and a " \
    "new one is made"
#define SHORTEST 512 /* bytes of a database */
#define NEWEST ((int64_t)TP_COUNT(migrations))

static int is_damage(int code)
{
    return code == SQLITE_NOTADB || code == SQLITE_CORRUPT;
}

static int fail(sql_db *d, const char *path, const char *what, tp_error *err)
{
    int code = d->db ? sqlite3_errcode(d->db) & 0xff : SQLITE_ERROR;
    const char *why = d->db ? sqlite3_errmsg(d->db) : "out of memory";
    if (is_damage(code))
        return tp_error_set(err, TP_ERROR_IO,
                            "store %s: the file is damaged or no database of this gateway (%s); "
                            RESTORE, path, why);
    return tp_error_set(err, TP_ERROR_IO,
                        "store %s: %s: %s; the file and its directory must be writable for the "
                        "gateway's user (store.path)",
                        path, what, why);
}

int sql_damage(sql_db *d, const char *pragma, int (*fault)(void *arg, tp_str text), void *arg)
{
    sqlite3_stmt *s = NULL;
    int rc = sqlite3_prepare_v2(d->db, pragma, -1, &s, NULL);
    while (rc == SQLITE_OK || rc == SQLITE_ROW) {
        rc = sqlite3_step(s);
        tp_str text = rc == SQLITE_ROW ? sql_text(s, 0) : STR("ok");
        if (rc == SQLITE_ROW && !str_eq(text, STR("ok")) && fault(arg, text) != 0)
            break;
    }
    sqlite3_finalize(s);
    return rc == SQLITE_DONE || rc == SQLITE_ROW ? 0 : -1;
}

typedef struct checking {
    const char *path;
    tp_error *err;
    int rc;
} checking;

static int found_damage(void *arg, tp_str text)
{
    checking *c = arg;
    c->rc = tp_error_set(c->err, TP_ERROR_IO, "store %s: the file is damaged (%.*s); " RESTORE,
                         c->path, STR_ARG(text));
    return 1;
}

/* Any damage that can be found by reading the file once. */
static int check(sql_db *d, const char *path, sql_found *found, tp_error *err)
{
    checking c = {.path = path, .err = err};
    struct stat st;
    if (stat(path, &st) == 0 && st.st_size > SQL_CHECK_BYTES) {
        found->unchecked = 1;
        return 0;
    }
    if (sql_damage(d, "PRAGMA quick_check(1)", found_damage, &c) < 0) {
        found->damaged = is_damage(sqlite3_errcode(d->db) & 0xff);
        return fail(d, path, "cannot be checked", err);
    }
    found->damaged = c.rc != 0;
    return c.rc;
}

/* *version: -1 for an empty file. *foreign: it is another program's. */
static int version_of(sql_db *d, const char *path, int64_t *version, int *foreign, tp_error *err)
{
    int64_t tables = 0, ours = 0;
    *version = -1;
    if (sql_number(d, "SELECT count(*) FROM sqlite_master", &tables) < 0)
        return fail(d, path, "cannot be read", err);
    if (tables == 0)
        return 0;
    if (sql_number(d, "PRAGMA application_id", &ours) < 0)
        return fail(d, path, "cannot be read", err);
    *foreign = ours != APPLICATION_ID;
    if (*foreign)
        return tp_error_set(err, TP_ERROR_IO,
                            "store %s: this is a database of some other program; give store.path "
                            "a file of the gateway's own",
                            path);
    *version = 0;
    if (sql_number(d, "SELECT version FROM schema_version", version) < 0)
        return fail(d, path, "has no readable schema version", err);
    if (*version > NEWEST)
        return tp_error_set(err, TP_ERROR_IO,
                            "store %s: written by a newer version of the gateway (schema %lld, "
                            "this "
                            "one knows up to %lld); start that version, or give store.path another "
                            "file",
                            path, (long long)*version, (long long)NEWEST);
    return 0;
}

static int migrate(sql_db *d, const char *path, sql_found *found, tp_error *err)
{
    int64_t version;
    char set[96];
    if (version_of(d, path, &version, &found->damaged, err) < 0)
        return TP_ERROR_IO;
    if (version == NEWEST)
        return 0;
    int rc = sql_exec(d, "BEGIN IMMEDIATE");
    /* Another process may have been quicker. */
    if (rc == 0 && version_of(d, path, &version, &found->damaged, err) < 0) {
        sql_exec(d, "ROLLBACK");
        return TP_ERROR_IO;
    }
    if (rc == 0 && version < 0) {
        snprintf(set, sizeof(set), "PRAGMA application_id = %d", APPLICATION_ID);
        rc = sql_exec(d, set);
        if (rc == 0)
            rc = sql_exec(d, "CREATE TABLE schema_version(version INTEGER NOT NULL);"
                             "INSERT INTO schema_version VALUES(0)");
        version = 0;
    }
    for (; rc == 0 && version < NEWEST; version++)
        rc = sql_exec(d, migrations[version]);
    snprintf(set, sizeof(set), "UPDATE schema_version SET version = %lld", (long long)NEWEST);
    if (rc == 0)
        rc = sql_exec(d, set);
    if (rc == 0)
        rc = sql_exec(d, "COMMIT");
    if (rc == 0) /* so that the main file is a database of ours, whatever becomes
                    of the log */
        rc = sql_exec(d, "PRAGMA wal_checkpoint(TRUNCATE)");
    if (rc == 0)
        return 0;
    rc = fail(d, path, "cannot be brought up to date", err);
    sql_exec(d, "ROLLBACK");
    return rc;
}

static int uuid_of(sql_db *d, const char *path, sql_found *found, tp_error *err)
{
    sqlite3_stmt *s = NULL;
    int rc = -1;
    if (sqlite3_prepare_v2(d->db, "SELECT value FROM meta WHERE name = 'store'", -1, &s, NULL) ==
        SQLITE_OK)
        rc = sqlite3_step(s) == SQLITE_ROW && sqlite3_column_bytes(s, 0) == SQL_UUID ? 0 : -1;
    if (rc == 0)
        memcpy(found->uuid, sqlite3_column_blob(s, 0), SQL_UUID);
    else
        rc = fail(d, path, "does not say which store it is", err);
    sqlite3_finalize(s);
    return rc;
}

static int connect(sql_db *d, const char *path, int flags, tp_error *err)
{
    int rc =
        sqlite3_open_v2(path, &d->db, flags | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_PRIVATECACHE, NULL);
    if (rc != SQLITE_OK) {
        rc = fail(d, path, "cannot be opened", err);
        sql_close(d);
        return rc;
    }
    /* A small footprint matters more than speed here. */
    sqlite3_db_config(d->db, SQLITE_DBCONFIG_LOOKASIDE, NULL, 0, 0);
    sqlite3_busy_timeout(d->db, SQL_BUSY_MS);
    return 0;
}

/* SQLite would make it 0644. Never opened here when it is there: closing any
 * descriptor of a file gives up the locks that this process has on it. */
static int make_file(const char *path, tp_error *err)
{
    struct stat st;
    if (stat(path, &st) == 0)
        return 0;
    if (lstat(path, &st) == 0)
        return tp_error_set(err, TP_ERROR_IO,
                            "store %s is a symbolic link to a file that is not there: make the "
                            "link right, or remove it and a new store is made",
                            path);
    int fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd < 0)
        return tp_error_set(err, TP_ERROR_IO,
                            "store %s cannot be opened: %s; its directory must exist and be "
                            "writable for the gateway's user (store.path)",
                            path, strerror(errno));
    close(fd);
    return 0;
}

/* SQLite takes a file that is shorter than any page for an empty one and makes a database of it.
 * An empty one is only right where a store is to be made: elsewhere it is what is left of one. */
static int check_size(const char *path, int may_be_empty, sql_found *found, tp_error *err)
{
    struct stat st;
    if (stat(path, &st) < 0 || st.st_size >= SHORTEST || (st.st_size == 0 && may_be_empty))
        return 0;
    found->damaged = 1;
    return tp_error_set(err, TP_ERROR_IO,
                        "store %s: the file is damaged or no database of this gateway (%lld "
                        "bytes); " RESTORE, path, (long long)st.st_size);
}

int sql_open(sql_db *d, const char *path, int flags, sql_found *found, tp_error *err)
{
    *d = (sql_db){0};
    *found = (sql_found){0};
    /* Only the process's first connection can set this; for later ones it stays
     * as it is. */
    sqlite3_config(SQLITE_CONFIG_MEMSTATUS, 0);
    if ((flags & SQL_MAKE && make_file(path, err) < 0) ||
        check_size(path, flags & SQL_MAKE, found, err) < 0)
        return TP_ERROR_IO;
    if (connect(d, path, SQLITE_OPEN_READWRITE, err) < 0)
        return TP_ERROR_IO;
    int64_t version;
    int rc = version_of(d, path, &version, &found->damaged, err); /* before anything is changed */
    int persist = 1; /* the log is removed by who knows whose it is (sqlite_file.c) */
    sqlite3_file_control(d->db, "main", SQLITE_FCNTL_PERSIST_WAL, &persist);
    /* Batches are large: the log may grow to 16 MB before it is brought into the
     * file. */
    if (rc == 0 && sql_exec(d, "PRAGMA cache_size = -512; PRAGMA mmap_size = 0; PRAGMA "
                               "temp_store = MEMORY;"
                               "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;"
                               "PRAGMA wal_autocheckpoint = 4000; PRAGMA journal_size_limit "
                               "= 16777216") < 0)
        rc = fail(d, path, "cannot be set up", err);
    if (rc == 0 && flags & SQL_CHECK)
        rc = check(d, path, found, err);
    if (rc == 0)
        rc = migrate(d, path, found, err);
    if (rc == 0)
        rc = uuid_of(d, path, found, err);
    if (rc < 0) {
        found->damaged |= is_damage(sqlite3_errcode(d->db) & 0xff);
        if (found->damaged) /* nothing is brought into a file that may be replaced
                               just now */
            sqlite3_db_config(d->db, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, NULL);
        sql_close(d);
    } else {
        sqlite3_db_release_memory(d->db);
    }
    return rc;
}

int sql_open_read(sql_db *d, const char *path, tp_error *err)
{
    int64_t version;
    int foreign;
    *d = (sql_db){0};
    if (access(path, F_OK) < 0)
        return tp_error_set(err, TP_ERROR_IO,
                            "store %s: %s; the gateway makes it when it is started (store.path)",
                            path, strerror(errno));
    if (connect(d, path, SQLITE_OPEN_READONLY, err) < 0)
        return TP_ERROR_IO;
    sql_exec(d, "PRAGMA cache_size = -512; PRAGMA mmap_size = 0");
    int rc = version_of(d, path, &version, &foreign, err);
    if (rc == 0 && version < NEWEST)
        rc = tp_error_set(err, TP_ERROR_IO,
                          "store %s: written by an older version of the gateway; start this one "
                          "once, it brings the file up to date",
                          path);
    if (rc < 0)
        sql_close(d);
    return rc;
}
