/* The port over an SQLite file: opening, closing, usage totals, health; and the
 * way to the writer. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/str.h"
#include "store/sqlite_int.h"

void sql_wake(sql_store *s)
{
    if (s->journal)
        journal_wake(s->journal);
}

static int port_put(void *self, store_tally **t)
{
    sql_store *s = self;
    int rc = -1;
    pthread_mutex_lock(&s->mutex);
    if (!s->read_only && !s->stop && s->queued < SQL_QUEUE) {
        s->queue[s->queued++] = *t;
        *t = NULL;
        rc = 0;
        pthread_cond_signal(&s->work);
    }
    pthread_mutex_unlock(&s->mutex);
    if (rc == 0)
        sql_wake(s);
    return rc;
}

static int port_drain(void *self, int64_t timeout_ms)
{
    sql_store *s = self;
    struct timespec until;
    int rc = 0;
    sql_deadline(&until, sql_mono_ms() + timeout_ms);
    pthread_mutex_lock(&s->mutex);
    while ((s->queued || s->writing) && rc == 0)
        rc = pthread_cond_timedwait(&s->done, &s->mutex, &until);
    rc = s->queued || s->writing ? -1 : 0;
    pthread_mutex_unlock(&s->mutex);
    return rc;
}

static int port_health(void *self, char *why, size_t room)
{
    sql_store *s = self;
    pthread_mutex_lock(&s->mutex);
    int rc = s->failing || s->unsound[0] || s->adrift[0] ? -1 : 0;
    if (s->failing)
        snprintf(why, room, "cannot be written: %s", s->why);
    else if (rc < 0)
        snprintf(why, room, "%s", s->unsound[0] ? s->unsound : s->adrift);
    pthread_mutex_unlock(&s->mutex);
    return rc;
}

static void port_figures(void *self, store_figures *out)
{
    sql_store *s = self;
    char why[8];
    size_t capacity = 0;
    *out = (store_figures){.drained_records = atomic_load(&s->drained_records),
                           .failed_writes = atomic_load(&s->failed_writes),
                           .segments_dropped = atomic_load(&s->segments_dropped),
                           .last_commit_us = atomic_load(&s->last_commit_us),
                           .healthy = port_health(s, why, sizeof(why)) == 0};
    if (s->journal)
        out->journal_bytes = (int64_t)journal_pending(s->journal, &capacity);
    out->journal_capacity = (int64_t)capacity;
}

static int port_reserve(void *self, uint32_t worker, size_t bytes)
{
    sql_store *s = self;
    if (journal_reserve(s->journal, worker, bytes))
        return 1;
    /* The writer may be gathering: it must not let requests be refused for that. */
    if (pthread_mutex_trylock(&s->mutex) == 0) {
        s->hurry = 1;
        pthread_cond_signal(&s->work);
        pthread_mutex_unlock(&s->mutex);
    }
    return 0;
}

static void port_unreserve(void *self, uint32_t worker, size_t bytes)
{
    journal_unreserve(((sql_store *)self)->journal, worker, bytes);
}

static int port_append(void *self, uint32_t worker, const settle_record *r, size_t reserved)
{
    return journal_append(((sql_store *)self)->journal, worker, r, reserved);
}

/* ---- Opening and closing. */

static void monotonic_cond(pthread_cond_t *c)
{
    pthread_condattr_t a;
    pthread_condattr_init(&a);
    pthread_condattr_setclock(&a, CLOCK_MONOTONIC);
    pthread_cond_init(c, &a);
    pthread_condattr_destroy(&a);
}

/* What a link names: SQLite's log lies beside that, and so must the lock, or two links were two
 * stores. */
static char *real_path(const char *path)
{
    struct stat st;
    char *real = lstat(path, &st) == 0 && S_ISLNK(st.st_mode) ? realpath(path, NULL) : NULL;
    return real ? real : tp_xstrndup(path, strlen(path));
}

static sql_store *new_store(const store_options *o, int read_only, const logger *log)
{
    sql_store *s = tp_xcalloc(1, sizeof(*s));
    s->log = log;
    s->path = real_path(o->path);
    if (strcmp(s->path, o->path) != 0)
        s->link = tp_xstrndup(o->path, strlen(o->path));
    s->o = *o;
    s->o.path = s->o.journal_dir = s->o.drain_dir = NULL; /* the caller's */
    s->read_only = read_only;
    s->lock_fd = -1;
    pthread_mutex_init(&s->mutex, NULL);
    monotonic_cond(&s->work);
    monotonic_cond(&s->done);
    monotonic_cond(&s->quiet);
    return s;
}

static void free_store(sql_store *s)
{
    int persist = 0; /* the end: the log goes into the file, and away */
    if (s->db.db && !s->condemned)
        sqlite3_file_control(s->db.db, "main", SQLITE_FCNTL_PERSIST_WAL, &persist);
    sql_file_close(s, s->condemned);
    if (s->journal)
        journal_close(s->journal);
    if (s->lock_fd >= 0)
        close(s->lock_fd);
    pthread_cond_destroy(&s->quiet);
    pthread_cond_destroy(&s->done);
    pthread_cond_destroy(&s->work);
    pthread_mutex_destroy(&s->mutex);
    sql_batch_free(&s->batch);
    sql_seen_clear(&s->seen);
    sql_known_free(s);
    free(s->lanes);
    free(s->path);
    free(s->link);
    free(s);
}

static void port_close(void *self)
{
    sql_store *s = self;
    if (!s->read_only) {
        pthread_mutex_lock(&s->mutex);
        s->stop = 1;
        pthread_cond_signal(&s->work);
        pthread_mutex_unlock(&s->mutex);
        sql_wake(s);
        pthread_join(s->thread, NULL);
    }
    free_store(s);
}

static int start_lanes(sql_store *s, tp_error *err)
{
    if (journal_claim(s->journal, s->uuid, err) < 0)
        return TP_ERROR_IO;
    for (uint32_t i = 0; i < s->lane_count; i++)
        if (journal_start(s->journal, i, s->lanes[i].drained, err) < 0)
            return TP_ERROR_IO;
    return 0;
}

/* What a former run left is stored; then the lanes are empty. */
static int open_journal(sql_store *s, const store_options *o, tp_error *err)
{
    journal *left = NULL;
    if (o->journal_dir) {
        if (journal_open(o->journal_dir, o->lanes, (size_t)o->lane_bytes, 0, s->log, &s->journal,
                         err) < 0 ||
            journal_is_of(s->journal, s->uuid, err) < 0 || sql_recover(s, s->journal, err) < 0)
            return TP_ERROR_IO;
        return start_lanes(s, err);
    }
    if (!o->drain_dir || (access(o->drain_dir, F_OK) < 0 && errno == ENOENT))
        return 0;
    if (journal_open(o->drain_dir, 0, 0, 1, s->log, &left, err) < 0)
        return TP_ERROR_IO;
    int rc = journal_is_of(left, s->uuid, err);
    if (rc == 0)
        rc = sql_recover(s, left, err);
    journal_close(left);
    s->lane_count = 0;
    return rc;
}

int sql_check_accounts(sql_store *s)
{
    char why[160] = "", text[240] = "";
    int rc = sql_accounts_right(&s->db, why, sizeof(why));
    if (rc < 0)
        return -1;
    if (rc) {
        snprintf(text, sizeof(text), "%s; see `turnpike ledger verify`", why);
        log_line(s->log, LOG_ERROR,
                 "store %s: %s; it goes on, but balances may be wrong: run `turnpike ledger "
                 "verify`, and restore a backup if it finds faults",
                 s->path, why);
    }
    pthread_mutex_lock(&s->mutex);
    snprintf(s->unsound, sizeof(s->unsound), "%s", text);
    pthread_mutex_unlock(&s->mutex);
    return 0;
}

static int open_write(sql_store *s, const store_options *o, tp_error *err)
{
    if (sql_lock(s, err) < 0 || sql_file_open(s, err) < 0 || open_journal(s, o, err) < 0)
        return TP_ERROR_IO;
    if (sql_check_accounts(s) < 0)
        return sql_cannot(&s->db, "the ledger cannot be read", err);
    sqlite3_db_release_memory(s->db.db);
    s->writes_wal = 1;
    TP_MUST(pthread_create(&s->thread, NULL, sql_writer, s) == 0);
    return 0;
}

static int open_read(sql_store *s, tp_error *err)
{
    sql_db d;
    if (sql_open_read(&d, s->path, err) < 0)
        return TP_ERROR_IO;
    sql_close(&d); /* each reading opens its own */
    return 0;
}

int store_sqlite_open(const store_options *o, int flags, const logger *log, store_port *out,
                      tp_error *err)
{
    sql_store *s = new_store(o, (flags & STORE_READ_ONLY) != 0, log);
    int rc = s->read_only ? open_read(s, err) : open_write(s, o, err);
    if (rc < 0) {
        free_store(s);
        return TP_ERROR_IO;
    }
    *out = (store_port){.self = s,
                        .put = port_put,
                        .usage = sql_port_usage,
                        .drain = port_drain,
                        .health = port_health,
                        .close = port_close,
                        .figures = port_figures};
    sql_registry_port(s, &out->registry);
    if (s->journal)
        out->journal = (journal_port){s, port_reserve, port_unreserve, port_append};
    return 0;
}
