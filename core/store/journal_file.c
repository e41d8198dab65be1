/* The journal's directory and files: found, made, locked, measured. */
#include "store/journal_int.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/le.h"

enum { VERSION = 1, HEADER = 44, NAME = 64 };
static const char file_magic[8] = {'t', 'p', 'j', 'r', 'n', 'l', '\n', 0};

static void name_of(char out[NAME], uint32_t number, const char *more)
{
    snprintf(out, NAME, "lane-%02" PRIu32 ".tpj%s", number, more);
}

static int lane_error(const journal *j, uint32_t number, tp_error *err, const char *what, int code)
{
    char name[NAME];
    name_of(name, number, "");
    return tp_error_set(err, TP_ERROR_IO, "journal %s/%s: %s: %s", j->dir, name, what,
                        strerror(code));
}

/* ---- A lane's header and mapping. */
static void header_write(const journal_lane *l, unsigned char out[HEADER])
{
    memset(out, 0, HEADER);
    memcpy(out, file_magic, sizeof(file_magic));
    le_put32(out + 8, VERSION);
    memcpy(out + 16, l->uuid, sizeof(l->uuid));
    le_put64(out + 32, l->size);
    le_put32(out + 40, crc32c(0, out, 40));
}

/* 1: a lane's header; 0: none; -1: of a newer version. */
static int header_read(journal_lane *l, const unsigned char in[HEADER])
{
    if (memcmp(in, file_magic, sizeof(file_magic)) != 0 || crc32c(0, in, 40) != le_get32(in + 40))
        return 0;
    if (le_get32(in + 8) != VERSION)
        return -1;
    uint64_t size = le_get64(in + 32);
    if (size < JOURNAL_LEAST || size % JOURNAL_PAGE || size > (uint64_t)1 << 40)
        return 0;
    memcpy(l->uuid, in + 16, sizeof(l->uuid));
    l->key = journal_key_of(l->uuid);
    l->size = (size_t)size;
    return 1;
}

static void lane_unmap(journal_lane *l)
{
    if (l->map)
        munmap(l->map, l->mapped);
    l->map = l->ring = NULL;
    l->mapped = l->there = 0;
}

static void lane_close(journal_lane *l)
{
    lane_unmap(l);
    if (l->fd >= 0)
        close(l->fd);
    l->fd = -1;
}

/* Maps what the file has of the ring. */
static int lane_map(const journal *j, journal_lane *l, tp_error *err)
{
    struct stat st;
    if (fstat(l->fd, &st) < 0)
        return lane_error(j, l->number, err, "cannot be read", errno);
    uint64_t ring = (uint64_t)st.st_size - JOURNAL_PAGE; /* the header was read: not below 0 */
    l->there = (size_t)TP_MIN(ring, (uint64_t)l->size) & ~(size_t)7;
    l->mapped = JOURNAL_PAGE + l->there;
    void *p = mmap(NULL, l->mapped, j->read_only ? PROT_READ : PROT_READ | PROT_WRITE, MAP_SHARED,
                   l->fd, 0);
    if (p == MAP_FAILED)
        return lane_error(j, l->number, err, "cannot be mapped", errno);
    l->map = p;
    l->ring = l->map + JOURNAL_PAGE;
    return 0;
}

/* Room on the disk, now: a mapping of a file with holes would end the process when the disk is
 * full. Then the header. */
static int lane_lay_out(const journal *j, journal_lane *l, tp_error *err)
{
    unsigned char header[HEADER];
    off_t bytes = (off_t)(JOURNAL_PAGE + l->size);
    int rc = posix_fallocate(l->fd, 0, bytes);
    if (rc == ENOSPC || rc == EFBIG || rc == EDQUOT)
        return tp_error_set(err, TP_ERROR_IO,
                            "journal %s: no room for a lane of %zu bytes (%s): free some space on "
                            "its file system, or give the store a smaller journal",
                            j->dir, l->size, strerror(rc));
    if (rc)
        return lane_error(j, l->number, err, "cannot be given its size", rc);
    header_write(l, header);
    /* Before the file is cut shorter, after it has grown: a crash between leaves a file that has at
     * least what its header says. */
    if (pwrite(l->fd, header, HEADER, 0) != HEADER || fdatasync(l->fd) < 0 ||
        ftruncate(l->fd, bytes) < 0)
        return lane_error(j, l->number, err, "cannot be written", errno);
    return 0;
}

static int lane_make(journal *j, journal_lane *l, tp_error *err)
{
    char name[NAME], fresh[NAME];
    name_of(name, l->number, "");
    name_of(fresh, l->number, ".new");
    l->fd = openat(j->dir_fd, fresh, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (l->fd < 0)
        return lane_error(j, l->number, err, "cannot be made", errno);
    if (getrandom(l->uuid, sizeof(l->uuid), 0) != (ssize_t)sizeof(l->uuid))
        return lane_error(j, l->number, err, "no random bytes for its id", errno);
    l->key = journal_key_of(l->uuid);
    l->size = j->size;
    int rc = lane_lay_out(j, l, err);
    if (rc == 0 && renameat(j->dir_fd, fresh, j->dir_fd, name) < 0)
        rc = lane_error(j, l->number, err, "cannot be given its name", errno);
    if (rc < 0) {
        (void)unlinkat(j->dir_fd, fresh, 0);
        return rc;
    }
    return lane_map(j, l, err);
}

/* Without its header nothing in a lane can be told from anything else: it is kept for people. */
static void lane_set_aside(journal *j, journal_lane *l)
{
    char name[NAME], aside[NAME], more[24];
    struct stat st = {0};
    (void)fstat(l->fd, &st);
    snprintf(more, sizeof(more), ".damaged-%" PRIu64, (uint64_t)st.st_ino);
    name_of(name, l->number, "");
    name_of(aside, l->number, more);
    lane_close(l);
    if (j->read_only || renameat(j->dir_fd, name, j->dir_fd, aside) < 0)
        memcpy(aside, name, sizeof(aside));
    log_line(j->log, LOG_ERROR,
             "journal %s/%s: is damaged where its header should be: records in it that were not "
             "stored yet are lost; the file is kept as %s",
             j->dir, name, aside);
}

/* Opens an existing lane: 1; 0: there is none, or it was set aside. */
static int lane_open(journal *j, journal_lane *l, tp_error *err)
{
    unsigned char header[HEADER];
    char name[NAME];
    name_of(name, l->number, "");
    l->fd = openat(j->dir_fd, name, (j->read_only ? O_RDONLY : O_RDWR) | O_CLOEXEC);
    if (l->fd < 0 && errno == ENOENT)
        return 0;
    if (l->fd < 0)
        return lane_error(j, l->number, err, "cannot be opened", errno);
    struct stat st;
    ssize_t got = fstat(l->fd, &st) < 0 ? -1 : pread(l->fd, header, HEADER, 0);
    if (got < 0)
        return lane_error(j, l->number, err, "cannot be read", errno);
    int is = got == HEADER && st.st_size >= JOURNAL_PAGE ? header_read(l, header) : 0;
    if (is < 0)
        return tp_error_set(err, TP_ERROR_IO,
                            "journal %s/%s was written by a newer version: start that one once, so "
                            "that it stores what is in it, or use another journal directory",
                            j->dir, name);
    if (!is) {
        lane_set_aside(j, l);
        return 0;
    }
    if (lane_map(j, l, err) < 0)
        return TP_ERROR_IO;
    if (l->there < l->size)
        log_line(j->log, LOG_WARN,
                 "journal %s/%s: has %zu of its %zu bytes: records in the rest are lost", j->dir,
                 name, l->there, l->size);
    return 1;
}

/* ---- The directory. */
static int lock_dir(journal *j, tp_error *err)
{
    char pid[24] = "";
    j->lock_fd = openat(j->dir_fd, "lock", O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (j->lock_fd < 0)
        return tp_error_set(err, TP_ERROR_IO, "journal %s/lock: cannot be opened: %s", j->dir,
                            strerror(errno));
    if (flock(j->lock_fd, LOCK_EX | LOCK_NB) < 0) {
        int code = errno;
        if (code != EWOULDBLOCK)
            return tp_error_set(err, TP_ERROR_IO, "journal %s/lock: cannot be locked: %s", j->dir,
                                strerror(code));
        ssize_t n = pread(j->lock_fd, pid, sizeof(pid) - 1, 0);
        pid[n > 0 ? n : 0] = 0;
        return tp_error_set(err, TP_ERROR_IO,
                            "journal %s is in use by another gateway (process %.*s): stop that "
                            "one, or give this one a journal directory of its own",
                            j->dir, (int)strcspn(pid, "\n"), pid);
    }
    int n = snprintf(pid, sizeof(pid), "%ld\n", (long)getpid());
    if (ftruncate(j->lock_fd, 0) < 0 || pwrite(j->lock_fd, pid, (size_t)n, 0) != n)
        log_line(j->log, LOG_DEBUG, "journal %s/lock: cannot be written: %s", j->dir,
                 strerror(errno));
    return 0;
}

static int by_number(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return (x > y) - (x < y);
}

/* Numbers of the lanes there are, from `from` on, in order. */
static int leftovers(const journal *j, uint32_t from, uint32_t numbers[JOURNAL_LANES],
                     uint32_t *count, tp_error *err)
{
    int fd = openat(j->dir_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *d = fd < 0 ? NULL : fdopendir(fd);
    if (!d) {
        if (fd >= 0)
            close(fd);
        return tp_error_set(err, TP_ERROR_IO, "journal %s: cannot be listed: %s", j->dir,
                            strerror(errno));
    }
    for (struct dirent *e; (e = readdir(d));) {
        char name[NAME];
        unsigned number;
        if (sscanf(e->d_name, "lane-%3u.tpj", &number) != 1 || number < from ||
            number >= JOURNAL_LANES || *count == JOURNAL_LANES)
            continue;
        name_of(name, number, "");
        if (strcmp(name, e->d_name) == 0)
            numbers[(*count)++] = number;
    }
    closedir(d);
    qsort(numbers, *count, sizeof(*numbers), by_number);
    return 0;
}

static journal_lane *lane_add(journal *j, uint32_t number)
{
    journal_lane *l = &j->lanes[j->count++];
    memset(l, 0, sizeof(*l));
    l->fd = -1;
    l->number = number;
    return l;
}

static int open_lanes(journal *j, tp_error *err)
{
    uint32_t numbers[JOURNAL_LANES], left = 0;
    if (leftovers(j, j->workers, numbers, &left, err) < 0)
        return TP_ERROR_IO;
    size_t bytes = ((size_t)j->workers + left) * sizeof(journal_lane);
    j->lanes = aligned_alloc(_Alignof(journal_lane), TP_MAX(bytes, sizeof(journal_lane)));
    TP_MUST(j->lanes);
    for (uint32_t i = 0; i < j->workers; i++) {
        journal_lane *l = lane_add(j, i);
        int rc = lane_open(j, l, err);
        if (rc == 0)
            rc = lane_make(j, l, err);
        if (rc < 0)
            return rc;
    }
    for (uint32_t i = 0; i < left; i++) {
        int rc = lane_open(j, lane_add(j, numbers[i]), err);
        if (rc < 0)
            return rc;
        if (rc == 0)
            j->count--;
    }
    if (!j->read_only && fsync(j->dir_fd) < 0)
        return tp_error_set(err, TP_ERROR_IO, "journal %s: cannot be written: %s", j->dir,
                            strerror(errno));
    return 0;
}

static int open_dir(journal *j, tp_error *err)
{
    if (!j->read_only && mkdir(j->dir, 0700) < 0 && errno != EEXIST)
        return tp_error_set(err, TP_ERROR_IO,
                            "journal %s: the directory cannot be made: %s: make the one above it, "
                            "and let the gateway write there",
                            j->dir, strerror(errno));
    j->dir_fd = open(j->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (j->dir_fd < 0 && errno == ENOENT && j->read_only)
        return 0; /* there never was a journal */
    if (j->dir_fd < 0)
        return tp_error_set(err, TP_ERROR_IO, "journal %s: cannot be opened: %s", j->dir,
                            strerror(errno));
    if (lock_dir(j, err) < 0)
        return TP_ERROR_IO;
    return open_lanes(j, err);
}

int journal_open(const char *dir, uint32_t lanes, size_t bytes, int read_only, const logger *log,
                 journal **out, tp_error *err)
{
    *out = NULL;
    if (!read_only && (lanes > JOURNAL_LANES || bytes < JOURNAL_LEAST || bytes > (size_t)1 << 40))
        return tp_error_set(err, TP_ERROR_IO,
                            "journal %s: %" PRIu32 " lanes of %zu bytes: expected at most %d of "
                            "%d bytes to 1 TiB",
                            dir, lanes, bytes, JOURNAL_LANES, JOURNAL_LEAST);
    journal *j = aligned_alloc(_Alignof(journal), sizeof(*j));
    TP_MUST(j);
    memset(j, 0, sizeof(*j));
    j->dir = tp_xstrndup(dir, strlen(dir));
    j->workers = read_only ? 0 : lanes;
    j->size = (bytes + JOURNAL_PAGE - 1) & ~(size_t)(JOURNAL_PAGE - 1);
    j->dir_fd = j->lock_fd = -1;
    j->read_only = read_only;
    j->log = log;
    int rc = open_dir(j, err);
    if (rc < 0) {
        journal_close(j);
        return rc;
    }
    *out = j;
    return 0;
}

void journal_close(journal *j)
{
    if (!j)
        return;
    for (uint32_t i = 0; i < j->count; i++)
        lane_close(&j->lanes[i]);
    if (j->lock_fd >= 0)
        close(j->lock_fd);
    if (j->dir_fd >= 0)
        close(j->dir_fd);
    free(j->lanes);
    free(j->dir);
    free(j);
}

uint32_t journal_lanes(const journal *j)
{
    return j->count;
}

const unsigned char *journal_uuid(const journal *j, uint32_t lane)
{
    return j->lanes[lane].uuid;
}

/* ---- Whose it is. */
enum { STORE_TEXT = 33 };

static void store_text(const unsigned char store[16], char out[STORE_TEXT + 1])
{
    for (int i = 0; i < 16; i++)
        snprintf(out + 2 * i, 3, "%02x", store[i]);
    memcpy(out + 32, "\n", 2);
}

/* What it says: the bytes read. */
static ssize_t store_read(const journal *j, char out[STORE_TEXT + 1])
{
    int fd = j->dir_fd < 0 ? -1 : openat(j->dir_fd, "store", O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return 0;
    ssize_t n = pread(fd, out, STORE_TEXT + 1, 0);
    close(fd);
    return n;
}

int journal_is_of(const journal *j, const unsigned char store[16], tp_error *err)
{
    char text[STORE_TEXT + 1], there[STORE_TEXT + 1] = "";
    store_text(store, text);
    if (store_read(j, there) != STORE_TEXT || memcmp(there, text, STORE_TEXT) == 0)
        return 0;
    return tp_error_set(err, TP_ERROR_IO,
                        "journal %s is of another store (%.32s; this one is %.32s): its records "
                        "would be charged a second time. Give each store a directory of its own "
                        "(store.journal_dir). To use this one here, start once with its own store, "
                        "which takes in what lies in it, stop, and remove the directory (at "
                        "once where that store is lost)",
                        j->dir, there, text);
}

int journal_claim(const journal *j, const unsigned char store[16], tp_error *err)
{
    char text[STORE_TEXT + 1], there[STORE_TEXT + 1] = "";
    store_text(store, text);
    if (store_read(j, there) == STORE_TEXT && memcmp(there, text, STORE_TEXT) == 0)
        return 0; /* a start on a full disk must not fail for this */
    int fd = openat(j->dir_fd, "store.new", O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    int rc = fd < 0 || write(fd, text, STORE_TEXT) != STORE_TEXT || fdatasync(fd) < 0 ? -1 : 0;
    int code = errno;
    if (fd >= 0)
        close(fd);
    if (rc == 0 && renameat(j->dir_fd, "store.new", j->dir_fd, "store") < 0) {
        rc = -1;
        code = errno;
    }
    if (rc == 0)
        return 0;
    return tp_error_set(err, TP_ERROR_IO, "journal %s/store: cannot be written: %s", j->dir,
                        strerror(code));
}

int journal_gone(const journal *j, char *why, size_t room)
{
    for (uint32_t i = 0; i < j->workers; i++) {
        const journal_lane *l = &j->lanes[i];
        struct stat st;
        char name[NAME];
        if (fstat(l->fd, &st) == 0 && st.st_nlink > 0 && (size_t)st.st_size >= l->mapped)
            continue;
        name_of(name, l->number, "");
        snprintf(why, room,
                 "journal %s/%s was removed or cut off: what is settled from now on may be lost in "
                 "a crash; restart the gateway",
                 j->dir, name);
        return 1;
    }
    return 0;
}

/* ---- After a crash, and at every start. */
int journal_recover(journal *j, uint32_t lane, uint64_t drained,
                    int (*record)(void *arg, uint64_t seq, const unsigned char *p, size_t n),
                    void *arg, uint64_t *last)
{
    journal_lane *l = &j->lanes[lane];
    int rc = journal_scan(l->key, l->ring, l->there, drained, record, arg, last);
    if (l->map)
        (void)madvise(l->map, l->mapped, MADV_DONTNEED); /* they stay in the file */
    return rc;
}

/* Has the file less on the disk than its size says? So do copies that a tool made sparse. */
static int has_holes(const journal_lane *l)
{
    struct stat st;
    return fstat(l->fd, &st) < 0 || st.st_blocks < st.st_size / 512;
}

int journal_start(journal *j, uint32_t lane, uint64_t last, tp_error *err)
{
    journal_lane *l = &j->lanes[lane];
    char name[NAME];
    if (j->read_only)
        return 0;
    if (lane >= j->workers) {
        name_of(name, l->number, "");
        lane_close(l);
        if (unlinkat(j->dir_fd, name, 0) < 0 && errno != ENOENT)
            return lane_error(j, l->number, err, "cannot be removed", errno);
        return 0;
    }
    if (l->size != j->size || l->there != l->size || has_holes(l)) {
        /* The same lane at another size, or all of this one: its id and its numbers go on. */
        lane_unmap(l);
        l->size = j->size;
        if (lane_lay_out(j, l, err) < 0 || lane_map(j, l, err) < 0)
            return TP_ERROR_IO;
    }
    l->head = l->jumped = l->tail_seen = l->read = l->seen = l->dropped = l->synced = 0;
    l->at = l->reserved = l->largest = 0;
    l->next_seq = last + 1;
    l->tail_seq = l->read_seq = last;
    atomic_store(&l->published, 0);
    atomic_store(&l->floor, 0);
    atomic_store(&l->tail, 0);
    return 0;
}
