/* The file, the writer thread, and the workers' buffers.
 *
 * A worker fills one buffer while the writer has the other. All hand-overs go through the log's
 * mutex, twice a buffer; a worker that finds the other buffer still away goes on filling its own,
 * and drops lines when that is full. */
#include "observe/access.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/str.h"
#include "observe/access_int.h"

typedef struct page {
    char *bytes; /* ACCESS_BUFFER */
    size_t len;
    uint64_t lines;
} page;

struct access_writer { /* everything but busy and next: the worker's alone */
    access_log *log;
    access_writer *next; /* under the mutex */
    page pages[2];
    uint32_t filling; /* index of the worker's page; the other one is the writer's while busy */
    uint32_t busy;    /* under the mutex: the other page waits to be written or is being written */
    uint64_t dropped; /* since the last line that said so */
    int64_t last_ms;
};

struct access_log {
    const logger *log;
    char *path; /* NULL: stdout */
    int fd;
    int broken; /* the writer's: the last write failed; 1 after it was said */
    int torn;   /* the writer's: the file ends within a line */
    pthread_t thread;
    pthread_mutex_t mutex;
    pthread_cond_t work, done;
    access_writer *writers; /* under the mutex */
    int stop, reopen;       /* under the mutex */
    _Atomic uint64_t written, dropped;
};

static int open_file(const char *path)
{
    return open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0640);
}

static void open_again(access_log *l)
{
    if (!l->path)
        return;
    int fd = open_file(l->path);
    if (fd < 0) {
        log_line(l->log, LOG_ERROR,
                 "access log: cannot open %s again: %s; the old file is written on", l->path,
                 strerror(errno));
        return;
    }
    close(l->fd);
    l->fd = fd;
    l->torn = 0;
}

static int write_all(int fd, const char *p, size_t n, int *torn)
{
    while (n) {
        ssize_t done = write(fd, p, n);
        if (done < 0 && errno == EINTR)
            continue;
        if (done < 0)
            return -1;
        p += done;
        n -= (size_t)done;
        *torn = n > 0;
    }
    return 0;
}

/* Without the mutex. */
static void write_page(access_log *l, const page *p)
{
    int rc = 0;
    if (l->torn) /* ends the line that a full disk cut */
        rc = write_all(l->fd, "\n", 1, &l->torn);
    if (rc == 0)
        rc = write_all(l->fd, p->bytes, p->len, &l->torn);
    if (rc == 0) {
        atomic_fetch_add_explicit(&l->written, p->lines, memory_order_relaxed);
        if (l->broken)
            log_line(l->log, LOG_INFO, "access log: writing again");
        l->broken = 0;
        return;
    }
    atomic_fetch_add_explicit(&l->dropped, p->lines, memory_order_relaxed);
    if (!l->broken)
        log_line(l->log, LOG_ERROR,
                 "access log: cannot write to %s: %s; lines are lost until it can be written",
                 l->path ? l->path : "stdout", strerror(errno));
    l->broken = 1;
}

static access_writer *next_busy(access_log *l)
{
    for (access_writer *w = l->writers; w; w = w->next)
        if (w->busy)
            return w;
    return NULL;
}

static void *run(void *arg)
{
    access_log *l = arg;
    pthread_mutex_lock(&l->mutex);
    for (;;) {
        if (l->reopen) {
            l->reopen = 0;
            pthread_mutex_unlock(&l->mutex);
            open_again(l);
            pthread_mutex_lock(&l->mutex);
            continue;
        }
        access_writer *w = next_busy(l);
        if (w) {
            page *p = &w->pages[w->filling ^ 1];
            pthread_mutex_unlock(&l->mutex);
            write_page(l, p);
            p->len = 0;
            p->lines = 0;
            pthread_mutex_lock(&l->mutex);
            w->busy = 0;
            pthread_cond_broadcast(&l->done);
            continue;
        }
        if (l->stop)
            break;
        pthread_cond_wait(&l->work, &l->mutex);
    }
    pthread_mutex_unlock(&l->mutex);
    return NULL;
}

access_log *access_log_open(const char *path, const logger *log, tp_error *err)
{
    int to_stdout = strcmp(path, "-") == 0;
    int fd = to_stdout ? STDOUT_FILENO : open_file(path);
    if (fd < 0) {
        tp_error_set(err, TP_ERROR_IO,
                     "access log %s cannot be opened: %s; its directory must exist and be writable "
                     "for the gateway's user (server.access_log)",
                     path, strerror(errno));
        return NULL;
    }
    access_log *l = tp_xcalloc(1, sizeof(*l));
    l->log = log;
    l->fd = fd;
    l->path = to_stdout ? NULL : tp_xstrndup(path, strlen(path));
    pthread_mutex_init(&l->mutex, NULL);
    pthread_cond_init(&l->work, NULL);
    pthread_cond_init(&l->done, NULL);
    atomic_init(&l->written, 0);
    atomic_init(&l->dropped, 0);
    TP_MUST(pthread_create(&l->thread, NULL, run, l) == 0);
    return l;
}

void access_log_reopen(access_log *l)
{
    pthread_mutex_lock(&l->mutex);
    l->reopen = 1;
    pthread_cond_signal(&l->work);
    pthread_mutex_unlock(&l->mutex);
}

void access_log_close(access_log *l)
{
    if (!l)
        return;
    pthread_mutex_lock(&l->mutex);
    TP_MUST(!l->writers);
    l->stop = 1;
    pthread_cond_signal(&l->work);
    pthread_mutex_unlock(&l->mutex);
    pthread_join(l->thread, NULL);
    if (l->path)
        close(l->fd);
    pthread_cond_destroy(&l->done);
    pthread_cond_destroy(&l->work);
    pthread_mutex_destroy(&l->mutex);
    free(l->path);
    free(l);
}

uint64_t access_log_written(const access_log *l)
{
    return atomic_load_explicit(&l->written, memory_order_relaxed);
}

uint64_t access_log_dropped(const access_log *l)
{
    return atomic_load_explicit(&l->dropped, memory_order_relaxed);
}

/* ---- A worker's side. */
access_writer *access_writer_new(access_log *l)
{
    access_writer *w = tp_xcalloc(1, sizeof(*w));
    w->log = l;
    for (int i = 0; i < 2; i++)
        w->pages[i].bytes = tp_xmalloc(ACCESS_BUFFER);
    pthread_mutex_lock(&l->mutex);
    w->next = l->writers;
    l->writers = w;
    pthread_mutex_unlock(&l->mutex);
    return w;
}

/* Gives the filled page to the writer, if that one is done with the other. */
static int hand_over(access_writer *w)
{
    access_log *l = w->log;
    int done = 0;
    pthread_mutex_lock(&l->mutex);
    if (!w->busy) {
        w->filling ^= 1;
        w->busy = 1;
        done = 1;
        pthread_cond_signal(&l->work);
    }
    pthread_mutex_unlock(&l->mutex);
    return done;
}

static int room_for(access_writer *w, size_t n)
{
    if (ACCESS_BUFFER - w->pages[w->filling].len >= n)
        return 1;
    return hand_over(w) && ACCESS_BUFFER - w->pages[w->filling].len >= n;
}

/* Before the next line, says how many are missing. */
static void say_dropped(access_writer *w)
{
    if (!w->dropped || !room_for(w, ACCESS_DROPPED_LINE))
        return;
    page *p = &w->pages[w->filling];
    p->len += access_dropped_line(p->bytes + p->len, w->last_ms, w->dropped);
    p->lines++;
    w->dropped = 0;
}

void access_write(access_writer *w, const settle_record *r)
{
    if (!w)
        return;
    size_t most = access_line_max(r);
    w->last_ms = r->unix_ms;
    if (!room_for(w, most + (w->dropped ? ACCESS_DROPPED_LINE : 0))) {
        w->dropped++;
        atomic_fetch_add_explicit(&w->log->dropped, 1, memory_order_relaxed);
        return;
    }
    say_dropped(w);
    page *p = &w->pages[w->filling];
    p->len += access_line(p->bytes + p->len, r);
    p->lines++;
    if (p->len >= ACCESS_FLUSH_AT)
        hand_over(w);
}

void access_flush(access_writer *w)
{
    if (!w)
        return;
    say_dropped(w);
    if (w->pages[w->filling].len)
        hand_over(w);
}

void access_writer_free(access_writer *w)
{
    if (!w)
        return;
    access_log *l = w->log;
    say_dropped(w);
    pthread_mutex_lock(&l->mutex);
    while (w->busy)
        pthread_cond_wait(&l->done, &l->mutex);
    if (w->pages[w->filling].len) {
        w->filling ^= 1;
        w->busy = 1;
        pthread_cond_signal(&l->work);
        while (w->busy)
            pthread_cond_wait(&l->done, &l->mutex);
    }
    access_writer **at = &l->writers;
    while (*at != w)
        at = &(*at)->next;
    *at = w->next;
    pthread_mutex_unlock(&l->mutex);
    for (int i = 0; i < 2; i++)
        free(w->pages[i].bytes);
    free(w);
}
