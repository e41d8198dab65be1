/* A journal in a directory of its own, and records to put into it: for the tests of its lanes. */
#ifndef TP_TEST_JOURNAL_FIXTURE_H
#define TP_TEST_JOURNAL_FIXTURE_H
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/hash.h"
#include "base/str.h"
#include "store/journal_int.h"

enum { KIB = 1024, MIB = 1024 * KIB };

typedef struct jf {
    char dir[64];
    FILE *say;
    logger log;
    journal *j;
    tp_error err;
} jf;

static inline int jf_open(void **state)
{
    jf *f = calloc(1, sizeof(*f));
    snprintf(f->dir, sizeof(f->dir), "%s", "/tmp/turnpike-journal-XXXXXX");
    if (!mkdtemp(f->dir))
        return -1;
    f->say = tmpfile();
    f->log = (logger){.fd = fileno(f->say), .level = LOG_DEBUG};
    *state = f;
    return 0;
}

static inline int jf_close(void **state)
{
    jf *f = *state;
    char command[128];
    journal_close(f->j);
    fclose(f->say);
    snprintf(command, sizeof(command), "rm -rf '%s'", f->dir);
    int rc = system(command);
    free(f);
    return rc;
}

static inline int says(jf *f, const char *part)
{
    char text[8192];
    ssize_t n = pread(fileno(f->say), text, sizeof(text) - 1, 0);
    text[n > 0 ? n : 0] = 0;
    return strstr(text, part) != NULL;
}

/* What came out. */
typedef struct got {
    uint64_t seqs[40000];
    uint32_t ids[40000];
    size_t count, prompts, stop_after; /* stop_after: 0: never */
} got;

static inline int take(void *arg, uint64_t seq, const unsigned char *p, size_t n)
{
    got *g = arg;
    settle_record r;
    assert_int_equal(ledger_decode(p, n, &r), n);
    assert_true(str_starts(r.generation, STR("gen-")) && g->count < TP_COUNT(g->ids));
    if (g->stop_after && g->count == g->stop_after)
        return 7;
    char number[32];
    snprintf(number, sizeof(number), "%.*s", STR_ARG(r.generation));
    g->ids[g->count] = (uint32_t)strtoul(number + 4, NULL, 10);
    g->seqs[g->count++] = seq;
    g->prompts += r.prompt.len;
    return 0;
}

static inline int never(void *arg, uint64_t seq, const unsigned char *p, size_t n)
{
    (void)arg, (void)seq, (void)p, (void)n;
    fail_msg("record %llu was not expected", (unsigned long long)seq);
    return -1;
}

static inline got *got_new(void)
{
    return calloc(1, sizeof(got));
}

static inline settle_record record_of(char name[32], uint32_t id)
{
    static char path[2048];
    memset(path, 'p', sizeof(path));
    snprintf(name, 32, "gen-%u", id);
    settle_record r = {.generation = str_of(name),
                       .team = STR("acme"),
                       .path = str_make(path, hash_mix(id) % 700),
                       .cost_nano = id,
                       .first_token_us = -1};
    usage_set(&r.used, STR("prompt"), id);
    return r;
}

static inline int append(jf *f, uint32_t lane, uint32_t id, size_t reserved)
{
    char name[32];
    settle_record r = record_of(name, id);
    return journal_append(f->j, lane, &r, reserved);
}

static inline void open_raw(jf *f, uint32_t lanes, size_t bytes, int read_only)
{
    if (journal_open(f->dir, lanes, bytes, read_only, &f->log, &f->j, &f->err) < 0)
        fail_msg("%s", f->err.text);
}

static inline void open_empty(jf *f, uint32_t lanes, size_t bytes)
{
    open_raw(f, lanes, bytes, 0);
    for (uint32_t i = 0; i < lanes; i++) {
        uint64_t last = 99;
        assert_int_equal(journal_recover(f->j, i, 0, never, NULL, &last), 0);
        assert_int_equal(last, 0);
        assert_int_equal(journal_start(f->j, i, last, &f->err), 0);
    }
}

static inline void close_again(jf *f)
{
    journal_close(f->j);
    f->j = NULL;
}

static inline uint64_t drain(jf *f, uint32_t lane, got *g)
{
    uint64_t last = 0;
    assert_int_equal(journal_read(f->j, lane, SIZE_MAX, take, g, &last), 0);
    journal_release(f->j, lane, last);
    return last;
}

static inline size_t pending(jf *f)
{
    size_t capacity;
    return journal_pending(f->j, &capacity);
}

static inline void in_order(const got *g, uint64_t first, uint32_t first_id, size_t count)
{
    assert_int_equal(g->count, count);
    for (size_t i = 0; i < count; i++) {
        assert_int_equal(g->seqs[i], first + i);
        assert_int_equal(g->ids[i], first_id + i);
    }
}

/* Bytes of lane's file at `at` (from the file's beginning) become p. */
static inline void scribble(jf *f, uint32_t lane, const void *p, size_t n, size_t at)
{
    char path[96];
    snprintf(path, sizeof(path), "%s/lane-%02u.tpj", f->dir, lane);
    int fd = open(path, O_RDWR);
    assert_true(fd >= 0);
    assert_int_equal(pwrite(fd, p, n, (off_t)at), n);
    close(fd);
}

static inline void cut_file(jf *f, uint32_t lane, size_t n)
{
    char path[96];
    snprintf(path, sizeof(path), "%s/lane-%02u.tpj", f->dir, lane);
    assert_int_equal(truncate(path, (off_t)n), 0);
}

static inline int there(jf *f, const char *name)
{
    char path[128];
    snprintf(path, sizeof(path), "%s/%s", f->dir, name);
    return access(path, F_OK) == 0;
}

#define T(name) cmocka_unit_test_setup_teardown(name, jf_open, jf_close)
#endif
