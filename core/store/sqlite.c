/* The port over an SQLite file: a bounded queue of tallies, and the one thread that writes. */
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "base/str.h"
#include "store/sqlite_int.h"

#define QUEUE 8u         /* tallies waiting; STORE_TALLY_MAX rows each at most */
#define RETRY_MIN_MS 250 /* after a failed write; doubled each time */
#define RETRY_MAX_MS 30000

typedef struct sql_store {
    const logger *log;
    char *path;
    int read_only;
    sql_db db; /* the writer's alone once it runs */
    pthread_t thread;
    pthread_mutex_t mutex;
    pthread_cond_t work, done;
    /* Under the mutex: */
    store_tally *queue[QUEUE];
    uint32_t queued;
    int stop;
    int writing; /* the writer holds rows that are not stored yet */
    int failing;
    char why[200];
} sql_store;

static void deadline_in(struct timespec *t, int64_t ms)
{
    clock_gettime(CLOCK_MONOTONIC, t);
    t->tv_sec += (time_t)(ms / 1000);
    t->tv_nsec += (long)(ms % 1000) * 1000000;
    if (t->tv_nsec >= 1000000000) {
        t->tv_sec++;
        t->tv_nsec -= 1000000000;
    }
}

static int merge_row(void *arg, const store_total *t)
{
    store_tally_add_total(arg, t);
    return 0;
}

/* Moves all that is queued into *pending. Under the mutex. */
static void take_queued(sql_store *s, store_tally **pending)
{
    for (uint32_t i = 0; i < s->queued; i++) {
        if (!*pending) {
            *pending = s->queue[i];
            continue;
        }
        store_tally_each(s->queue[i], merge_row, *pending);
        store_tally_free(s->queue[i]);
    }
    s->queued = 0;
    s->writing = *pending != NULL;
}

/* Says once that it fails, and once that it works again. Under the mutex. */
static void note(sql_store *s, int failed, const char *why)
{
    if (failed && !s->failing)
        log_line(s->log, LOG_ERROR,
                 "store %s: cannot be written: %s; usage totals are kept in memory and written "
                 "when it can be",
                 s->path, why);
    if (!failed && s->failing)
        log_line(s->log, LOG_INFO, "store %s: written again; nothing was lost", s->path);
    s->failing = failed;
    snprintf(s->why, sizeof(s->why), "%s", failed ? why : "");
}

static void *run(void *arg)
{
    sql_store *s = arg;
    store_tally *pending = NULL;
    int64_t retry_ms = 0;
    char why[200];
    pthread_mutex_lock(&s->mutex);
    for (;;) {
        if (!pending && !s->queued) {
            if (s->stop)
                break;
            pthread_cond_wait(&s->work, &s->mutex);
            continue;
        }
        /* While the file cannot be written, what comes waits in the queue, so that a full queue
         * tells the workers to keep their own. */
        if (!pending)
            take_queued(s, &pending);
        int last = s->stop;
        if (last)
            take_queued(s, &pending);
        pthread_mutex_unlock(&s->mutex);
        int failed = sql_add(&s->db, pending, why, sizeof(why)) < 0;
        pthread_mutex_lock(&s->mutex);
        note(s, failed, why);
        if (failed && last) {
            log_line(s->log, LOG_ERROR, "store %s: %u rows of usage totals are lost: %s", s->path,
                     store_tally_count(pending), why);
            break;
        }
        if (failed) {
            struct timespec until;
            retry_ms = TP_MIN(retry_ms ? retry_ms * 2 : RETRY_MIN_MS, RETRY_MAX_MS);
            deadline_in(&until, retry_ms);
            while (!s->stop && pthread_cond_timedwait(&s->work, &s->mutex, &until) != ETIMEDOUT)
                continue;
            continue;
        }
        retry_ms = 0;
        store_tally_free(pending);
        pending = NULL;
        s->writing = 0;
        pthread_cond_broadcast(&s->done);
    }
    pthread_mutex_unlock(&s->mutex);
    store_tally_free(pending);
    return NULL;
}

static int port_put(void *self, store_tally **t)
{
    sql_store *s = self;
    int rc = -1;
    pthread_mutex_lock(&s->mutex);
    if (!s->read_only && !s->stop && s->queued < QUEUE) {
        s->queue[s->queued++] = *t;
        *t = NULL;
        rc = 0;
        pthread_cond_signal(&s->work);
    }
    pthread_mutex_unlock(&s->mutex);
    return rc;
}

static int port_usage(void *self, const char *from, const char *to,
                      int (*row)(void *arg, const store_total *), void *arg, tp_error *err)
{
    sql_store *s = self;
    sql_db d;
    if (sql_open_read(&d, s->path, err) < 0)
        return TP_ERROR_IO;
    int rc = sql_usage(&d, from, to, row, arg, err);
    sql_close(&d);
    return rc;
}

static int port_drain(void *self, int64_t timeout_ms)
{
    sql_store *s = self;
    struct timespec until;
    int rc = 0;
    deadline_in(&until, timeout_ms);
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
    int rc = s->failing ? -1 : 0;
    if (rc < 0)
        snprintf(why, room, "cannot be written: %s", s->why);
    pthread_mutex_unlock(&s->mutex);
    return rc;
}

static void port_close(void *self)
{
    sql_store *s = self;
    if (!s->read_only) {
        pthread_mutex_lock(&s->mutex);
        s->stop = 1;
        pthread_cond_signal(&s->work);
        pthread_mutex_unlock(&s->mutex);
        pthread_join(s->thread, NULL);
        sql_close(&s->db);
    }
    pthread_cond_destroy(&s->done);
    pthread_cond_destroy(&s->work);
    pthread_mutex_destroy(&s->mutex);
    free(s->path);
    free(s);
}

static void monotonic_cond(pthread_cond_t *c)
{
    pthread_condattr_t a;
    pthread_condattr_init(&a);
    pthread_condattr_setclock(&a, CLOCK_MONOTONIC);
    pthread_cond_init(c, &a);
    pthread_condattr_destroy(&a);
}

int store_sqlite_open(const char *path, int flags, const logger *log, store_port *out,
                      tp_error *err)
{
    sql_db db = {0};
    int read_only = (flags & STORE_READ_ONLY) != 0;
    int rc = read_only ? sql_open_read(&db, path, err) : sql_open(&db, path, err);
    if (rc < 0)
        return rc;
    if (read_only)
        sql_close(&db); /* usage opens its own */
    sql_store *s = tp_xcalloc(1, sizeof(*s));
    s->log = log;
    s->path = tp_xstrndup(path, strlen(path));
    s->read_only = read_only;
    s->db = db;
    pthread_mutex_init(&s->mutex, NULL);
    monotonic_cond(&s->work);
    monotonic_cond(&s->done);
    if (!read_only)
        TP_MUST(pthread_create(&s->thread, NULL, run, s) == 0);
    *out = (store_port){s, port_put, port_usage, port_drain, port_health, port_close};
    return 0;
}
