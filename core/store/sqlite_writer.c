/* The one thread that writes. A transaction holds a batch of the journal, the
 * tallies that wait and the commands that wait, each command in a savepoint of
 * its own. When it fails, the batch stays in the journal, the tallies in
 * memory, commands are answered at once, and it is tried again. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "base/str.h"
#include "store/sqlite_int.h"

enum {
    RETRY_MIN_MS = 250, /* after a failure; doubled each time */
    RETRY_MAX_MS = 5000,
    LOOK_MS = 1000,      /* how often the file is looked at when there is nothing to write */
    IDLE_MS = 1000,      /* unwritten for so long, the log is brought into the file */
    DROP_MS = 60000,     /* how often old segments are looked for */
    DROP_SOON_MS = 20,   /* and when there were some */
    BATCH_KEEP = 1 << 20 /* memory that a batch keeps when there is little to do */
};

int64_t sql_mono_ms(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

int64_t sql_unix_ms(void)
{
    struct timespec t;
    clock_gettime(CLOCK_REALTIME, &t);
    return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

static int64_t mono_us(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000000 + t.tv_nsec / 1000;
}

void sql_deadline(struct timespec *t, int64_t mono_ms)
{
    t->tv_sec = (time_t)(mono_ms / 1000);
    t->tv_nsec = (long)(mono_ms % 1000) * 1000000;
}

/* What one turn has to do. */
typedef struct turn {
    sql_command *commands; /* taken, oldest first */
    int flush;             /* one of them asks for all that is in the journal */
    int stop;
    int uncertain; /* the commit of commands failed: who knows what is stored */
} turn;

/* ---- Trouble. */

static int merge_row(void *arg, const store_total *t)
{
    store_tally_add_total(arg, t);
    return 0;
}

/* Moves all that is queued into what is pending. Under the mutex. */
static void take_queued(sql_store *s)
{
    for (uint32_t i = 0; i < s->queued; i++) {
        if (!s->pending) {
            s->pending = s->queue[i];
            continue;
        }
        store_tally_each(s->queue[i], merge_row, s->pending);
        store_tally_free(s->queue[i]);
    }
    s->queued = 0;
    s->writing = s->pending != NULL;
}

/* Says once that it fails, and once that it works again. */
static void note(sql_store *s, int failed, const char *why)
{
    pthread_mutex_lock(&s->mutex);
    if (failed && (!s->failing || strcmp(s->why, why) != 0))
        log_line(s->log, LOG_ERROR,
                 "store %s: cannot be written: %s; what is to be written is kept "
                 "(journal and "
                 "memory) until it can be",
                 s->path, why);
    if (!failed && s->failing)
        log_line(s->log, LOG_INFO, "store %s: written again; nothing was lost", s->path);
    s->failing = failed;
    snprintf(s->why, sizeof(s->why), "%s", failed ? why : "");
    pthread_mutex_unlock(&s->mutex);
}

static void answer(sql_store *s, turn *t, const char *why)
{
    pthread_mutex_lock(&s->mutex);
    while (t->commands) {
        sql_command *c = t->commands;
        t->commands = c->next;
        if (why) {
            c->result = TP_ERROR_IO;
            snprintf(c->why, sizeof(c->why), "%s", why);
        }
        c->done = 1;
    }
    pthread_cond_broadcast(&s->done);
    pthread_mutex_unlock(&s->mutex);
}

static void trouble(sql_store *s, turn *t, const char *why)
{
    sql_seen_clear(&s->seen); /* what is in the batch comes again */
    if (t->uncertain)
        s->replaced = 1; /* what is answered as failed may be stored: memory asks again */
    s->retry_ms = TP_MIN(s->retry_ms ? s->retry_ms * 2 : RETRY_MIN_MS, RETRY_MAX_MS);
    s->retry_at = sql_mono_ms() + s->retry_ms;
    atomic_fetch_add(&s->failed_writes, 1);
    note(s, 1, why);
    answer(s, t, why);
}

/* ---- One transaction. */

static int put_touches(sql_store *s)
{
    for (const sql_touch *t = s->touching; t; t = t->next)
        if (sql_touch_key(&s->db, &t->is) < 0)
            return -1;
    return 0;
}

static void free_touches(sql_store *s)
{
    for (sql_touch *t = s->touching, *next; t; t = next) {
        next = t->next;
        free(t);
    }
    s->touching = NULL;
}

/* 0, or -1: the database failed. */
static int run_commands(sql_store *s, const turn *t)
{
    for (sql_command *c = t->commands; c; c = c->next) {
        if (!c->run)
            continue;
        if (sql_exec(&s->db, "SAVEPOINT item") < 0)
            return -1;
        c->result = c->run(s, c->arg);
        if (c->result == -1)
            return -1;
        if (c->result && sql_exec(&s->db, "ROLLBACK TO item") < 0)
            return -1;
        if (sql_exec(&s->db, "RELEASE item") < 0)
            return -1;
    }
    return 0;
}

static int anything_given(const sql_store *s)
{
    for (uint32_t i = 0; i < s->lane_count; i++)
        if (s->lanes[i].given > s->lanes[i].drained)
            return 1;
    return 0;
}

static int write_all(sql_store *s, turn *t, int first)
{
    sql_known_begin(s);
    if (sql_exec(&s->db, "BEGIN IMMEDIATE") < 0 || sql_batch_put(s, sql_unix_ms()) < 0)
        return -1;
    if (first && ((s->pending && sql_add(&s->db, s->pending) < 0) || put_touches(s) < 0 ||
                  run_commands(s, t) < 0))
        return -1;
    int rc = sql_exec(&s->db, "COMMIT");
    t->uncertain = rc < 0 && first && t->commands;
    if (rc < 0)
        sql_known_doubt(s);
    else
        sql_known_stored(s);
    return rc;
}

/* What the database says; remembers whether it is the content that is damaged.
 */
static void failed(sql_store *s, char *why, size_t room)
{
    int code = sqlite3_errcode(s->db.db) & 0xff;
    s->spoiled = code == SQLITE_CORRUPT || code == SQLITE_NOTADB;
    snprintf(why, room, "%s", sqlite3_errmsg(s->db.db));
}

/* 0, or -1 with why: nothing of it is stored. */
static int transaction(sql_store *s, turn *t, int first, char *why, size_t room)
{
    int64_t began = mono_us();
    if (write_all(s, t, first) < 0) {
        failed(s, why, room);
        if (!sqlite3_get_autocommit(s->db.db))
            sql_exec(&s->db, "ROLLBACK");
        return -1;
    }
    s->writes_wal = 1;
    s->wrote_at = sql_mono_ms();
    atomic_store(&s->last_commit_us, mono_us() - began);
    return 0;
}

static void stored(sql_store *s, int first)
{
    sql_batch_release(s);
    if (!first)
        return;
    free_touches(s);
    pthread_mutex_lock(&s->mutex);
    store_tally_free(s->pending);
    s->pending = NULL;
    s->writing = 0;
    pthread_cond_broadcast(&s->done);
    pthread_mutex_unlock(&s->mutex);
}

static void trim(sql_store *s)
{
    sql_batch *b = &s->batch;
    if (b->records.cap > BATCH_KEEP && b->records.len < BATCH_KEEP / 4)
        sql_batch_free(b);
    sqlite3_db_release_memory(s->db.db);
}

/* Makes the connection usable: 0, or -1 with why. */
static int ready(sql_store *s, char *why, size_t room)
{
    if (sql_link_look(s, why, room) < 0 || sql_lock_look(s, why, room) < 0)
        return -1;
    if (s->db.db && !s->failing && sql_file_look(s, why, room) == 0)
        return 0;
    if (sql_file_reopen(s, why, room) < 0)
        return -1;
    if (sql_lanes_load(s) == 0 && (!s->replaced || sql_check_accounts(s) == 0)) {
        sql_known_resolve(s);
        return 0;
    }
    failed(s, why, room);
    return -1;
}

static int others_wait(sql_store *s)
{
    pthread_mutex_lock(&s->mutex);
    int wait = s->first != NULL;
    pthread_mutex_unlock(&s->mutex);
    return wait;
}

/* After a failure, when there is nothing else to write: can anything be
 * written? */
static int try_out(sql_store *s)
{
    return sql_exec(&s->db, "INSERT OR REPLACE INTO meta VALUES('recovered',"
                            " CAST(strftime('%s', 'now') AS INTEGER))");
}

/* All that there is to write, in one transaction or, when the journal holds
 * more than a batch, in several; commands and tallies in the first one. */
static int turn_round(sql_store *s, turn *t, char *why, size_t room)
{
    size_t capacity = 0, most;
    int first = 1, more = 1;
    if (ready(s, why, room) < 0)
        return -1;
    most = s->journal ? (journal_pending(s->journal, &capacity), capacity) : 0;
    for (size_t written = 0; more; first = 0) {
        more = sql_gather(s);
        written += s->batch.records.len + s->batch.items.len;
        if ((first && (s->pending || s->touching || t->commands)) || anything_given(s)) {
            if (transaction(s, t, first, why, room) < 0)
                return -1;
        } else if (first && s->failing && try_out(s) < 0) {
            failed(s, why, room);
            return -1;
        }
        stored(s, first);
        if (first && !t->flush)
            answer(s, t, NULL);
        if (!t->flush && !t->stop && more && others_wait(s))
            break; /* the rest of the journal comes with them */
        if (written > most)
            break; /* all that was there when we began, and more is coming all the
                      time */
    }
    return 0;
}

static void drop_old(sql_store *s)
{
    if (s->o.retention_days <= 0 || sql_mono_ms() < s->drop_at)
        return;
    int n = sql_exec(&s->db, "BEGIN IMMEDIATE");
    if (n == 0)
        n = sql_segment_drop(&s->db, sql_unix_ms() - s->o.retention_days * 86400000);
    if (n < 0 || sql_exec(&s->db, "COMMIT") < 0) {
        if (!sqlite3_get_autocommit(s->db.db))
            sql_exec(&s->db, "ROLLBACK");
        n = 0; /* what is written next says what is wrong */
    }
    if (n > 0) {
        atomic_fetch_add(&s->segments_dropped, n);
        s->writes_wal = 1;
        s->wrote_at = sql_mono_ms();
    }
    /* A few at a time, with others in between, as long as there are any. */
    s->drop_at = sql_mono_ms() + (n > 0 ? DROP_SOON_MS : DROP_MS);
}

/* The main file alone is whole when nothing was written for a while. */
static void tidy(sql_store *s)
{
    if (s->writes_wal && sql_mono_ms() - s->wrote_at >= IDLE_MS && sql_checkpoint(&s->db) == 0)
        s->writes_wal = 0;
}

static void sync_journal(sql_store *s)
{
    size_t capacity;
    int64_t now = sql_mono_ms();
    if (!s->journal || s->o.sync_ms <= 0 || now < s->sync_at ||
        !journal_pending(s->journal, &capacity))
        return;
    s->sync_at = now + s->o.sync_ms;
    if (journal_sync(s->journal) < 0)
        log_line(s->log, LOG_WARN, "the journal cannot be brought to the disk: %s",
                 strerror(errno));
}

/* A journal whose files are gone goes on as memory: that must be seen before a crash shows it. */
static void look_at_journal(sql_store *s)
{
    char why[240];
    if (!s->journal || s->adrift[0] || !journal_gone(s->journal, why, sizeof(why)))
        return;
    log_line(s->log, LOG_ERROR, "store %s: %s", s->path, why);
    pthread_mutex_lock(&s->mutex);
    memcpy(s->adrift, why, sizeof(why));
    pthread_mutex_unlock(&s->mutex);
}

static void work(sql_store *s, turn *t)
{
    char why[240] = "";
    s->tried_at = sql_mono_ms();
    s->look_at = s->tried_at + LOOK_MS;
    if (s->failing)
        snprintf(why, sizeof(why), "%s", s->why);
    if (turn_round(s, t, why, sizeof(why)) < 0) {
        trouble(s, t, why);
        return;
    }
    s->retry_ms = 0;
    note(s, 0, "");
    answer(s, t, NULL);
    drop_old(s);
    look_at_journal(s);
    tidy(s);
    trim(s);
    if (s->replaced) {
        s->replaced = 0;
        log_line(s->log, LOG_WARN, "store %s: the file was opened anew", s->path);
        if (s->o.reopened)
            s->o.reopened(s->o.arg);
    }
}

/* ---- When. */

static int nothing_new(const sql_store *s)
{
    return !s->stop && !s->first && (!s->hurry || s->failing);
}

static void wait_until(sql_store *s, int64_t mono_ms)
{
    struct timespec until;
    sql_deadline(&until, mono_ms);
    while (nothing_new(s) && pthread_cond_timedwait(&s->work, &s->mutex, &until) != ETIMEDOUT)
        continue;
}

static int journal_holds(sql_store *s)
{
    size_t capacity;
    return s->journal && journal_pending(s->journal, &capacity) > 0;
}

/* Returns when there is something to do, or to look after. Under the mutex. */
static void wait_for_work(sql_store *s)
{
    int64_t now = sql_mono_ms();
    if (!nothing_new(s))
        return;
    if (s->failing) {
        int64_t at = s->retry_at;
        if (s->o.sync_ms > 0 && journal_holds(s))
            at = TP_MIN(at, TP_MAX(s->sync_at, now));
        wait_until(s, at);
        return;
    }
    /* What comes within flush_ms of the last turn goes together. */
    wait_until(s, s->tried_at + TP_MAX(s->o.flush_ms, 1));
    if (!nothing_new(s) || s->queued || s->touches || journal_holds(s))
        return;
    int64_t idle =
        s->drop_at > now && s->o.retention_days > 0 ? TP_MIN(s->drop_at - now, LOOK_MS) : LOOK_MS;
    if (!s->journal) {
        struct timespec until;
        sql_deadline(&until, now + LOOK_MS);
        while (nothing_new(s) && !s->queued && !s->touches &&
               pthread_cond_timedwait(&s->work, &s->mutex, &until) != ETIMEDOUT)
            continue;
        return;
    }
    pthread_mutex_unlock(&s->mutex);
    journal_wait(s->journal, idle);
    pthread_mutex_lock(&s->mutex);
}

static void take_touches(sql_store *s)
{
    sql_touch **end = &s->touching;
    while (*end)
        end = &(*end)->next;
    *end = s->touches;
    s->touches = s->touches_last = NULL;
    s->touch_count = 0;
}

void *sql_writer(void *store)
{
    sql_store *s = store;
    pthread_mutex_lock(&s->mutex);
    for (;;) {
        wait_for_work(s);
        s->hurry = 0;
        int64_t now = sql_mono_ms();
        turn t = {.commands = s->first, .stop = s->stop};
        s->first = s->last = NULL;
        for (sql_command *c = t.commands; c; c = c->next)
            t.flush |= !c->run;
        /* While it fails, tallies wait in the queue, so that a full queue tells the
         * workers to keep their own. */
        if (!s->pending || t.stop)
            take_queued(s);
        take_touches(s);
        int failing = s->failing;
        pthread_mutex_unlock(&s->mutex);
        sync_journal(s);
        int due = !failing || now >= s->retry_at || t.stop ||
                  (t.commands && now - s->tried_at >= RETRY_MIN_MS);
        if (due &&
            (t.commands || t.stop || s->pending || s->touching || failing || journal_holds(s) ||
             now >= s->look_at || (s->o.retention_days > 0 && now >= s->drop_at)))
            work(s, &t);
        else if (t.commands) /* tried a moment ago */
            answer(s, &t, s->why);
        pthread_mutex_lock(&s->mutex);
        if (t.stop)
            break;
    }
    if (s->pending && s->failing)
        log_line(s->log, LOG_ERROR, "store %s: %u rows of usage totals are lost: %s", s->path,
                 store_tally_count(s->pending), s->why);
    pthread_mutex_unlock(&s->mutex);
    store_tally_free(s->pending);
    free_touches(s);
    sql_batch_free(&s->batch);
    return NULL;
}
