/* Which file it is: one process writes it, and while it runs somebody may take
 * it away, spoil it or put another one there.
 *
 * The log of SQLite (path-wal) is found by its name, so one that belonged to
 * another file must not be there when a file is opened: it would be applied to
 * it. Hence:
 * - the file was moved away or another one was put in its place: what the log
 * holds is brought into the old one, which is thereby whole wherever it lies,
 * and the log is removed;
 * - the file was overwritten in place: nothing is brought into it, for it may
 * be a backup by now, and the log is removed before it is opened again. A log
 * that is not the one this process wrote is left alone.
 * The log itself, its index (path-shm) and the lock may be taken away, too: then the log that is still
 * open is brought into the file, and both are made anew. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <time.h>
#include <unistd.h>

#include "base/str.h"
#include "store/sqlite_int.h"

#define LOCK_WAIT_MS 5000

static void beside(const sql_store *s, const char *suffix, char out[4200])
{
    snprintf(out, 4200, "%s%s", s->path, suffix);
}

/* A command holds the store for a moment only: a gateway that starts just then, or another command,
 * waits for it. */
static int lock_patiently(int fd)
{
    const struct timespec pause = {.tv_nsec = 20 * 1000000};
    for (int waited = 0; waited < LOCK_WAIT_MS; waited += 20) {
        if (flock(fd, LOCK_EX | LOCK_NB) == 0)
            return 0;
        nanosleep(&pause, NULL);
    }
    return -1;
}

static void say_who(const sql_store *s, int fd)
{
    char pid[32];
    int n = snprintf(pid, sizeof(pid), "%ld\n", (long)getpid());
    if (ftruncate(fd, 0) < 0 || pwrite(fd, pid, (size_t)n, 0) < 0)
        log_line(s->log, LOG_DEBUG, "store %s: the lock's file cannot be written", s->path);
}

/* Of whom the lock says that it is his. */
static void read_who(int fd, char out[32])
{
    ssize_t n = pread(fd, out, 31, 0);
    out[TP_MAX(n, 0)] = 0;
    out[strcspn(out, "\n")] = 0;
    if (!out[0])
        snprintf(out, 32, "unknown");
}

int sql_lock(sql_store *s, tp_error *err)
{
    char path[4200], who[32];
    beside(s, "-lock", path);
    s->lock_fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (s->lock_fd < 0)
        return tp_error_set(err, TP_ERROR_IO,
                            "store %s cannot be opened: %s: %s; its directory must exist and be "
                            "writable for the gateway's user (store.path)",
                            s->path, path, strerror(errno));
    if (lock_patiently(s->lock_fd) < 0) {
        read_who(s->lock_fd, who);
        close(s->lock_fd);
        s->lock_fd = -1;
        return tp_error_set(err, TP_ERROR_IO,
                            "store %s: another process writes it (process %s); while a gateway "
                            "runs, changes go through it: its admin socket, or stop it first",
                            s->path, who);
    }
    say_who(s, s->lock_fd);
    return 0;
}

int sql_lock_look(sql_store *s, char *why, size_t room)
{
    char path[4200], who[32];
    struct stat is, was;
    beside(s, "-lock", path);
    if (stat(path, &is) == 0 && fstat(s->lock_fd, &was) == 0 && is.st_ino == was.st_ino &&
        is.st_dev == was.st_dev)
        return 0;
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (fd < 0) {
        snprintf(why, room, "%s was taken away, and cannot be made anew: %s", path,
                 strerror(errno));
        return -1;
    }
    if (flock(fd, LOCK_EX | LOCK_NB) < 0) {
        read_who(fd, who);
        snprintf(why, room,
                 "%s was taken away, and another process writes it now (process %s): stop that one",
                 path, who);
        close(fd);
        s->replaced = 1; /* what that one did memory must ask for */
        return -1;
    }
    close(s->lock_fd);
    s->lock_fd = fd;
    say_who(s, fd);
    log_line(s->log, LOG_WARN, "store %s: %s was taken away; it was made anew", s->path, path);
    return 0;
}

static int look(const char *path, sql_file *out)
{
    struct stat st;
    *out = (sql_file){0};
    if (stat(path, &st) < 0)
        return -1;
    *out = (sql_file){st.st_dev, st.st_ino, st.st_size, st.st_mtim};
    return 0;
}

static int same_file(const sql_file *a, const sql_file *b)
{
    return a->dev == b->dev && a->ino == b->ino;
}

static int untouched(const sql_file *a, const sql_file *b)
{
    return same_file(a, b) && a->size == b->size && a->mtime.tv_sec == b->mtime.tv_sec &&
           a->mtime.tv_nsec == b->mtime.tv_nsec;
}

int sql_link_look(const sql_store *s, char *why, size_t room)
{
    sql_file named, is;
    if (!s->link || look(s->path, &is) < 0 || (look(s->link, &named) == 0 && same_file(&named, &is)))
        return 0;
    snprintf(why, room,
             "%s was a symbolic link to the file, and is not any more: put the link back, or restart "
             "the gateway",
             s->link);
    return -1;
}

static ino_t inode_beside(const sql_store *s, const char *suffix)
{
    char path[4200];
    sql_file f;
    beside(s, suffix, path);
    return look(path, &f) == 0 ? f.ino : 0;
}

static void note_log(sql_store *s)
{
    s->wal = inode_beside(s, "-wal");
    s->shm = inode_beside(s, "-shm");
}

/* The log that this process wrote; its index is made anew by whoever opens the
 * file first. */
static void remove_wal(const sql_store *s)
{
    char path[4200];
    if (!s->wal || inode_beside(s, "-wal") != s->wal)
        return;
    beside(s, "-wal", path);
    if (unlink(path) < 0 && errno != ENOENT)
        log_line(s->log, LOG_WARN, "store %s: %s cannot be removed: %s", s->path, path,
                 strerror(errno));
}

void sql_file_close(sql_store *s, int damaged)
{
    if (!s->db.db)
        return;
    if (damaged)
        sqlite3_db_config(s->db.db, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, NULL);
    sql_close(&s->db);
    s->writes_wal = 0;
}

int sql_file_open(sql_store *s, tp_error *err)
{
    sql_found found;
    int64_t began = sql_mono_ms();
    if (sql_open(&s->db, s->path, SQL_MAKE | SQL_CHECK, &found, err) < 0)
        return TP_ERROR_IO;
    memcpy(s->uuid, found.uuid, SQL_UUID);
    look(s->path, &s->file);
    if (found.unchecked)
        log_line(s->log, LOG_INFO,
                 "store %s: too large to be read whole at start; `turnpike ledger "
                 "verify` checks it",
                 s->path);
    else
        log_line(s->log, s->o.lanes ? LOG_INFO : LOG_DEBUG,
                 "store %s: read whole and found undamaged (%lld bytes in %lld ms)", s->path,
                 (long long)s->file.size, (long long)(sql_mono_ms() - began));
    note_log(s);
    return 0;
}

/* The first bytes, by SQLite's own descriptor: closing one of ours would drop
 * its locks. */
static int is_database(sql_store *s)
{
    static const char magic[16] = "SQLite format 3";
    sqlite3_file *f = NULL;
    char head[16] = "";
    if (sqlite3_file_control(s->db.db, "main", SQLITE_FCNTL_FILE_POINTER, &f) != SQLITE_OK || !f ||
        !f->pMethods)
        return 0;
    return f->pMethods->xRead(f, head, sizeof(head), 0) == SQLITE_OK &&
           memcmp(head, magic, sizeof(magic)) == 0;
}

/* Nobody reads from now on; long readings are cut off. */
static void readers_out(sql_store *s)
{
    pthread_mutex_lock(&s->mutex);
    s->exclusive = 1;
    for (uint32_t i = 0; i < SQL_READERS; i++)
        if (s->readers[i])
            sqlite3_interrupt(s->readers[i]);
    while (s->reader_count)
        pthread_cond_wait(&s->quiet, &s->mutex);
    pthread_mutex_unlock(&s->mutex);
}

static void readers_in(sql_store *s)
{
    pthread_mutex_lock(&s->mutex);
    s->exclusive = 0;
    pthread_cond_broadcast(&s->quiet);
    pthread_mutex_unlock(&s->mutex);
}

/* The log or its index was taken away: who opens the file now would not see what this process wrote,
 * and a crash would lose it. It is brought into the file, and everybody begins with a new log. */
static int log_gone(sql_store *s, char *why, size_t room)
{
    readers_out(s);
    int rc = sql_checkpoint(&s->db);
    if (rc == 0)
        sql_file_close(s, 0);
    else
        snprintf(why, room,
                 "its log (-wal or -shm) was taken away, and what it holds cannot be brought into "
                 "the file: %s",
                 sqlite3_errmsg(s->db.db));
    readers_in(s);
    if (rc == 0)
        log_line(s->log, LOG_WARN,
                 "store %s: its log (-wal or -shm) was taken away; what it held is in the file, and "
                 "it is made anew",
                 s->path);
    return -1;
}

int sql_file_look(sql_store *s, char *why, size_t room)
{
    sql_file now;
    if (look(s->path, &now) == 0 && same_file(&now, &s->file)) {
        if (is_database(s))
            return (s->wal && inode_beside(s, "-wal") != s->wal) ||
                           (s->shm && inode_beside(s, "-shm") != s->shm)
                       ? log_gone(s, why, room)
                       : 0;
        snprintf(why, room,
                 "the file was overwritten and is no database any more; put a backup "
                 "in its place");
        s->condemned = 1;
        s->file = now;
        sql_file_close(s, 1);
        return -1;
    }
    if (now.ino)
        snprintf(why, room, "another file was put in its place");
    else
        snprintf(why, room,
                 "the file is gone; it is not made anew while the gateway runs: put it "
                 "back, or a backup of it");
    s->replaced = 1;
    sql_checkpoint(&s->db); /* into the old one, wherever it is */
    sql_file_close(s, 0);
    remove_wal(s);
    s->wal = s->shm = 0;
    return -1;
}

static int open_again(sql_store *s, const sql_file *now, int doubtful, char *why, size_t room)
{
    sql_found found;
    tp_error err = {0};
    if (sql_open(&s->db, s->path, doubtful ? SQL_CHECK : 0, &found, &err) < 0) {
        snprintf(why, room, "%s", err.text);
        s->condemned = found.damaged;
        s->file = *now;
        return -1;
    }
    if (memcmp(found.uuid, s->uuid, SQL_UUID) != 0) {
        snprintf(why, room, "the file is of another store; put this one's back, or a backup of it");
        s->condemned = 1;
        s->file = *now;
        s->wal = s->shm = 0; /* its log is its own */
        sql_file_close(s, 1);
        return -1;
    }
    if (doubtful)
        s->replaced = 1;
    s->condemned = 0;
    look(s->path, &s->file);
    note_log(s);
    return 0;
}

int sql_file_reopen(sql_store *s, char *why, size_t room)
{
    sql_file now;
    int damaged = s->spoiled;
    s->spoiled = 0;
    if (s->db.db && sql_file_look(s, why, room) == 0)
        sql_file_close(s, damaged);
    if (s->db.db)
        return -1; /* its log is nowhere else */
    if (look(s->path, &now) < 0) {
        snprintf(why, room,
                 "the file is gone (%s); it is not made anew while the gateway runs: "
                 "put it back, or a backup of it",
                 strerror(errno));
        return -1;
    }
    if (s->condemned && untouched(&now, &s->file))
        return -1; /* the same as before; why is, too */
    int another = s->condemned || !same_file(&now, &s->file);
    int doubtful = another || damaged || s->replaced;
    if (!another)
        return open_again(s, &now, doubtful, why, room);
    readers_out(s);
    remove_wal(s);
    int rc = open_again(s, &now, doubtful, why, room);
    readers_in(s);
    return rc;
}
