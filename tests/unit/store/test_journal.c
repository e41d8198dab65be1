/* The journal's lanes: what goes in comes out once and in order, through full rings, crashes,
 * damage and other configurations. */
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

static int jf_open(void **state)
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

static int jf_close(void **state)
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

static int says(jf *f, const char *part)
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

static int take(void *arg, uint64_t seq, const unsigned char *p, size_t n)
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

static int never(void *arg, uint64_t seq, const unsigned char *p, size_t n)
{
    (void)arg, (void)seq, (void)p, (void)n;
    fail_msg("record %llu was not expected", (unsigned long long)seq);
    return -1;
}

static got *got_new(void)
{
    return calloc(1, sizeof(got));
}

static settle_record record_of(char name[32], uint32_t id)
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

static int append(jf *f, uint32_t lane, uint32_t id, size_t reserved)
{
    char name[32];
    settle_record r = record_of(name, id);
    return journal_append(f->j, lane, &r, reserved);
}

static void open_raw(jf *f, uint32_t lanes, size_t bytes, int read_only)
{
    if (journal_open(f->dir, lanes, bytes, read_only, &f->log, &f->j, &f->err) < 0)
        fail_msg("%s", f->err.text);
}

static void open_empty(jf *f, uint32_t lanes, size_t bytes)
{
    open_raw(f, lanes, bytes, 0);
    for (uint32_t i = 0; i < lanes; i++) {
        uint64_t last = 99;
        assert_int_equal(journal_recover(f->j, i, 0, never, NULL, &last), 0);
        assert_int_equal(last, 0);
        assert_int_equal(journal_start(f->j, i, last, &f->err), 0);
    }
}

static void close_again(jf *f)
{
    journal_close(f->j);
    f->j = NULL;
}

static uint64_t drain(jf *f, uint32_t lane, got *g)
{
    uint64_t last = 0;
    assert_int_equal(journal_read(f->j, lane, SIZE_MAX, take, g, &last), 0);
    journal_release(f->j, lane, last);
    return last;
}

static size_t pending(jf *f)
{
    size_t capacity;
    return journal_pending(f->j, &capacity);
}

static void in_order(const got *g, uint64_t first, uint32_t first_id, size_t count)
{
    assert_int_equal(g->count, count);
    for (size_t i = 0; i < count; i++) {
        assert_int_equal(g->seqs[i], first + i);
        assert_int_equal(g->ids[i], first_id + i);
    }
}

/* Bytes of lane's file at `at` (from the file's beginning) become p. */
static void scribble(jf *f, uint32_t lane, const void *p, size_t n, size_t at)
{
    char path[96];
    snprintf(path, sizeof(path), "%s/lane-%02u.tpj", f->dir, lane);
    int fd = open(path, O_RDWR);
    assert_true(fd >= 0);
    assert_int_equal(pwrite(fd, p, n, (off_t)at), n);
    close(fd);
}

static void cut_file(jf *f, uint32_t lane, size_t n)
{
    char path[96];
    snprintf(path, sizeof(path), "%s/lane-%02u.tpj", f->dir, lane);
    assert_int_equal(truncate(path, (off_t)n), 0);
}

static int there(jf *f, const char *name)
{
    char path[128];
    snprintf(path, sizeof(path), "%s/%s", f->dir, name);
    return access(path, F_OK) == 0;
}

/* ---- In one life. */
static void read_again_until_released(void **state)
{
    jf *f = *state;
    got *g = got_new();
    uint64_t last = 77;
    size_t capacity = 0;
    open_empty(f, 2, 64 * KIB);
    assert_int_equal(journal_lanes(f->j), 2);
    assert_int_equal(journal_pending(f->j, &capacity), 0);
    assert_int_equal(capacity, 2 * 64 * KIB);
    assert_int_equal(journal_read(f->j, 0, SIZE_MAX, never, NULL, &last), 0);
    assert_int_equal(last, 0);
    for (uint32_t i = 1; i <= 10; i++)
        assert_int_equal(append(f, 0, i, 0), 0);
    assert_true(pending(f) > 10 * 138);
    assert_int_equal(journal_read(f->j, 1, SIZE_MAX, never, NULL, &last), 0);
    for (int i = 0; i < 2; i++) { /* it did not get stored the first time */
        g->count = 0;
        assert_int_equal(journal_read(f->j, 0, SIZE_MAX, take, g, &last), 0);
        in_order(g, 1, 1, 10);
        assert_int_equal(last, 10);
    }
    journal_release(f->j, 0, 4); /* a part of it was */
    g->count = 0;
    assert_int_equal(journal_read(f->j, 0, SIZE_MAX, take, g, &last), 0);
    in_order(g, 5, 5, 6);
    g->count = 0;
    g->stop_after = 2; /* the taker's own answer */
    assert_int_equal(journal_read(f->j, 0, SIZE_MAX, take, g, &last), 7);
    in_order(g, 5, 5, 2);
    assert_int_equal(last, 6);
    journal_release(f->j, 0, last);
    g->count = g->stop_after = 0;
    assert_int_equal(journal_read(f->j, 0, 1, take, g, &last), 0); /* one at least */
    in_order(g, 7, 7, 1);
    journal_release(f->j, 0, last);
    assert_int_equal(append(f, 0, 11, 0), 0);
    g->count = 0;
    assert_int_equal(drain(f, 0, g), 11);
    in_order(g, 8, 8, 4);
    assert_int_equal(pending(f), 0);
    journal_release(f->j, 0, 11); /* once more is nothing */
    assert_int_equal(pending(f), 0);
    free(g);
}

static void round_and_round(void **state)
{
    jf *f = *state;
    got *g = got_new();
    rng r = {5};
    uint32_t id = 1;
    size_t furthest = 0;
    open_empty(f, 1, 64 * KIB);
    while (id <= 20000) {
        for (uint64_t n = rng_below(&r, 60); n; n--)
            if (append(f, 0, id, 0) == 0)
                id++;
        furthest = TP_MAX(furthest, pending(f));
        if (rng_below(&r, 3) == 0)
            continue;
        uint64_t last;
        assert_int_equal(journal_read(f->j, 0, rng_below(&r, 40000), take, g, &last), 0);
        journal_release(f->j, 0, rng_below(&r, 2) ? last : last - TP_MIN(last, 3));
        while (g->count && g->seqs[g->count - 1] > f->j->lanes[0].tail_seq)
            g->count--; /* comes again */
    }
    drain(f, 0, g);
    in_order(g, 1, 1, id - 1);
    assert_true(furthest > 60 * KIB && f->j->lanes[0].head > 50 * 64 * KIB);
    free(g);
}

static void an_empty_lane_goes_on_where_it_is_warm(void **state)
{
    jf *f = *state;
    got *g = got_new();
    uint64_t before = 0;
    open_empty(f, 1, MIB);
    for (uint32_t id = 1; id <= 12000; id++) {
        assert_int_equal(append(f, 0, id, 0), 0);
        assert_true(f->j->lanes[0].at <= JOURNAL_WARM + 1000);
        before += f->j->lanes[0].jumped != f->j->lanes[0].head;
        assert_true(pending(f) > 0 && pending(f) < 1000);
        drain(f, 0, g);
        assert_int_equal(pending(f), 0);
    }
    in_order(g, 1, 1, 12000);
    assert_true(f->j->lanes[0].head > 10 * (uint64_t)MIB); /* it came round by jumps */
    /* A ring that was left by a jump has its whole room. */
    while (f->j->lanes[0].at < JOURNAL_WARM)
        assert_int_equal(append(f, 0, 1, 0), 0);
    drain(f, 0, g);
    size_t room = 0, one = 4096;
    while (journal_reserve(f->j, 0, one))
        room += one;
    assert_true(room > MIB - 10 * KIB - room / 50);
    for (; room; room -= one)
        assert_int_equal(append(f, 0, 2, one), 0);
    free(g);
}

static void a_full_lane_refuses_and_keeps_its_word(void **state)
{
    jf *f = *state;
    got *g = got_new();
    size_t most = ledger_record_max(0), given = 0;
    open_empty(f, 1, 64 * KIB);
    while (journal_reserve(f->j, 0, most))
        given++;
    assert_true(given >= 12 && given * most < 64 * KIB);
    journal_unreserve(f->j, 0, most);
    assert_int_equal(journal_reserve(f->j, 0, most), 1);
    assert_int_equal(journal_reserve(f->j, 0, most), 0);
    uint32_t others = 0; /* what is put aside is not for others */
    while (append(f, 0, others, 0) == 0)
        others++;
    assert_true(pending(f) + given * most <= 64 * KIB && pending(f) < 10000);
    for (uint32_t i = 0; i < given; i++)
        assert_int_equal(append(f, 0, others + i, most), 0);
    drain(f, 0, g);
    in_order(g, 1, 0, others + given);
    size_t again = 0;
    while (journal_reserve(f->j, 0, most))
        again++;
    assert_int_equal(again, given);
    while (again--)
        journal_unreserve(f->j, 0, most);
    assert_int_equal(f->j->lanes[0].reserved, 0);
    for (given = 0; append(f, 0, 1, 0) == 0; given++)
        ; /* up to the last byte without reservations */
    assert_true(pending(f) > 63 * KIB);
    assert_int_equal(journal_reserve(f->j, 0, 1), 0);
    g->count = 0;
    drain(f, 0, g);
    assert_int_equal(g->count, given);
    free(g);
}

/* Whatever was put aside can be written, wherever the ring's end lies then. */
static void every_reservation_can_be_used(void **state)
{
    jf *f = *state;
    static char prompt[20000];
    uint64_t appended = 0, last = 0;
    rng r = {11};
    size_t held[1000], count = 0, refused = 0;
    got *g = got_new();
    open_empty(f, 1, 128 * KIB);
    memset(prompt, 'q', sizeof(prompt));
    for (int step = 0; step < 60000; step++) {
        uint64_t what = rng_below(&r, 10);
        size_t bytes = rng_below(&r, 4) ? 1 + rng_below(&r, 3000) : 1 + rng_below(&r, 40000);
        if (what < 5 && count < TP_COUNT(held)) {
            if (journal_reserve(f->j, 0, bytes))
                held[count++] = bytes;
            else
                refused++;
        } else if (what < 6 && count) {
            size_t i = rng_below(&r, count);
            journal_unreserve(f->j, 0, held[i]);
            held[i] = held[--count];
        } else if (what < 9 && count) { /* in any order, larger or smaller than was put aside */
            char name[32];
            size_t i = rng_below(&r, count);
            settle_record rec = record_of(name, (uint32_t)++appended);
            rec.prompt = str_make(prompt, rng_below(&r, sizeof(prompt)));
            assert_int_equal(journal_append(f->j, 0, &rec, held[i]), 0);
            held[i] = held[--count];
        } else if (what == 9 && rng_below(&r, 12) == 0) {
            last = drain(f, 0, g);
        } else if (what == 9 && append(f, 0, (uint32_t)appended + 1, 0) == 0) {
            appended++;
        }
    }
    while (count)
        journal_unreserve(f->j, 0, held[--count]);
    last = drain(f, 0, g);
    assert_true(refused > 1000 && appended > 5000 && g->prompts > 1000000);
    assert_int_equal(last, appended);
    in_order(g, 1, 1, appended);
    free(g);
}

static void a_huge_prompt_is_not_kept(void **state)
{
    jf *f = *state;
    char name[32], *text = malloc(2 * MIB);
    got *g = got_new();
    settle_record r = record_of(name, 1);
    open_empty(f, 1, MIB);
    memset(text, 'x', 2 * MIB);
    r.prompt = str_make(text, 100000);
    size_t bytes = ledger_record_max(r.prompt.len);
    assert_int_equal(journal_reserve(f->j, 0, bytes), 1);
    assert_int_equal(journal_append(f->j, 0, &r, bytes), 0);
    drain(f, 0, g);
    assert_int_equal(g->prompts, 100000);
    size_t sizes[] = {300000, 2 * MIB};
    for (size_t i = 0; i < 2; i++) {
        r.prompt = str_make(text, sizes[i]);
        bytes = ledger_record_max(r.prompt.len);
        assert_int_equal(journal_reserve(f->j, 0, bytes), 1);
        assert_true(f->j->lanes[0].reserved < 5000);
        assert_int_equal(journal_append(f->j, 0, &r, bytes), 0);
        assert_int_equal(f->j->lanes[0].reserved, 0);
        assert_int_equal(journal_append(f->j, 0, &r, 0), 0);
    }
    drain(f, 0, g);
    assert_int_equal(g->prompts, 100000);
    assert_int_equal(g->count, 5);
    r.prompt = str_make(text, 50000); /* more than was put aside: the settle is owed, not it */
    assert_int_equal(journal_reserve(f->j, 0, 1024), 1);
    assert_int_equal(journal_append(f->j, 0, &r, 1024), 0);
    drain(f, 0, g);
    assert_int_equal(g->count, 6);
    assert_int_equal(g->prompts, 100000);
    free(text);
    free(g);
}

static size_t resident_file_pages(void)
{
    unsigned long size, resident, shared = 0;
    FILE *m = fopen("/proc/self/statm", "r");
    assert_int_equal(fscanf(m, "%lu %lu %lu", &size, &resident, &shared), 3);
    fclose(m);
    return shared;
}

static void pages_that_were_read_are_let_go(void **state)
{
    jf *f = *state;
    got *g = got_new();
    open_empty(f, 1, 8 * MIB);
    size_t before = resident_file_pages();
    uint32_t id = 0;
    while (f->j->lanes[0].at < 7 * MIB)
        assert_int_equal(append(f, 0, ++id, 0), 0);
    assert_true(resident_file_pages() > before + 6 * MIB / 4096);
    drain(f, 0, g);
    in_order(g, 1, 1, id);
    assert_true(resident_file_pages() < before + (JOURNAL_WARM + 2 * JOURNAL_PIECE) / 4096);
    free(g);
}

static void syncing_says_what_failed(void **state)
{
    jf *f = *state;
    open_empty(f, 1, 64 * KIB);
    assert_int_equal(journal_sync(f->j), 0);
    assert_int_equal(append(f, 0, 1, 0), 0);
    assert_int_equal(journal_sync(f->j), 0);
    int null = open("/dev/null", O_RDWR); /* cannot be synced */
    assert_int_equal(dup2(null, f->j->lanes[0].fd), f->j->lanes[0].fd);
    close(null);
    assert_int_equal(journal_sync(f->j), 0); /* nothing was written since */
    assert_int_equal(append(f, 0, 2, 0), 0);
    for (int i = 0; i < 2; i++) { /* it stays unsynced */
        errno = 0;
        assert_int_equal(journal_sync(f->j), -1);
        assert_int_equal(errno, EINVAL);
    }
}

/* ---- Waiting, and both ends at once. */
static void waiting_ends_for_a_reason(void **state)
{
    jf *f = *state;
    got *g = got_new();
    uint64_t last;
    open_empty(f, 2, 64 * KIB);
    assert_int_equal(journal_wait(f->j, 0), 0);
    assert_int_equal(journal_wait(f->j, 20), 0);
    assert_int_equal(append(f, 1, 1, 0), 0);
    assert_int_equal(journal_wait(f->j, 10000), 1);
    assert_int_equal(journal_wait(f->j, 10000), 1); /* until it was read */
    journal_wake(f->j);
    assert_int_equal(journal_wait(f->j, 10000), 2);
    assert_int_equal(journal_wait(f->j, 10000), 1);
    assert_int_equal(journal_read(f->j, 1, SIZE_MAX, take, g, &last), 0);
    /* Read and not stored: the writer is in trouble, and is not to spin. */
    assert_int_equal(journal_wait(f->j, 20), 0);
    assert_int_equal(append(f, 1, 2, 0), 0);
    assert_int_equal(journal_wait(f->j, 10000), 1);
    assert_int_equal(journal_read(f->j, 1, 1, take, g, &last), 0);
    assert_int_equal(journal_wait(f->j, 10000), 1); /* there is more */
    free(g);
}

typedef struct ends {
    jf *f;
    uint32_t lane, count;
} ends;

static void *produce(void *arg)
{
    ends *e = arg;
    size_t bytes = 2000;
    for (uint32_t id = 1; id <= e->count; id++) {
        char name[32];
        snprintf(name, sizeof(name), "gen-%u", id);
        settle_record r = {.generation = str_of(name), .first_token_us = -1};
        while (!journal_reserve(e->f->j, e->lane, bytes))
            usleep(50);
        if (journal_append(e->f->j, e->lane, &r, bytes) != 0)
            abort();
        if (id % 1024 == 0)
            usleep(300); /* so that the writer sleeps now and then, and lanes run empty */
    }
    return NULL;
}

static void two_workers_and_a_writer(void **state)
{
    jf *f = *state;
    got *g[2] = {got_new(), got_new()};
    ends e[2] = {{f, 0, 40000}, {f, 1, 30000}};
    pthread_t t[2];
    int slept = 0;
    open_empty(f, 2, 512 * KIB);
    for (int i = 0; i < 2; i++)
        assert_int_equal(pthread_create(&t[i], NULL, produce, &e[i]), 0);
    while (g[0]->count < e[0].count || g[1]->count < e[1].count) {
        int why = journal_wait(f->j, 20000);
        assert_int_equal(why, 1); /* 0: a wake-up was lost */
        slept++;
        for (uint32_t i = 0; i < 2; i++)
            drain(f, i, g[i]);
    }
    for (int i = 0; i < 2; i++)
        pthread_join(t[i], NULL);
    in_order(g[0], 1, 1, e[0].count);
    in_order(g[1], 1, 1, e[1].count);
    assert_int_equal(pending(f), 0);
    assert_true(slept > 1);
    free(g[0]);
    free(g[1]);
}

static void *wake_later(void *arg)
{
    usleep(20000);
    journal_wake(arg);
    return NULL;
}

static void a_wake_ends_a_sleep(void **state)
{
    jf *f = *state;
    pthread_t t;
    open_empty(f, 1, 64 * KIB);
    assert_int_equal(pthread_create(&t, NULL, wake_later, f->j), 0);
    assert_int_equal(journal_wait(f->j, 20000), 2);
    pthread_join(t, NULL);
}

/* ---- From one life to the next. */
static void what_was_not_drained_comes_back(void **state)
{
    jf *f = *state;
    got *g = got_new();
    uint64_t last = 0;
    unsigned char uuid[16];
    open_empty(f, 1, 64 * KIB);
    memcpy(uuid, journal_uuid(f->j, 0), 16);
    for (uint32_t i = 1; i <= 50; i++)
        assert_int_equal(append(f, 0, i, 0), 0);
    close_again(f);
    open_raw(f, 1, 64 * KIB, 0);
    assert_memory_equal(journal_uuid(f->j, 0), uuid, 16);
    assert_int_equal(journal_recover(f->j, 0, 20, take, g, &last), 0);
    assert_int_equal(last, 50);
    in_order(g, 21, 21, 30);
    g->count = 0;
    g->stop_after = 3;
    assert_int_equal(journal_recover(f->j, 0, 20, take, g, &last), 7);
    in_order(g, 21, 21, 3);
    assert_int_equal(journal_start(f->j, 0, 50, &f->err), 0);
    assert_int_equal(pending(f), 0);
    for (uint32_t i = 51; i <= 60; i++)
        assert_int_equal(append(f, 0, i, 0), 0);
    close_again(f);
    open_raw(f, 1, 64 * KIB, 0);
    g->count = g->stop_after = 0;
    assert_int_equal(journal_recover(f->j, 0, 50, take, g, &last), 0);
    assert_int_equal(last, 60);
    in_order(g, 51, 51, 10);
    /* All of it stored: nothing comes, and the numbers do not begin again. */
    assert_int_equal(journal_recover(f->j, 0, 60, never, NULL, &last), 0);
    assert_int_equal(last, 60);
    assert_int_equal(journal_recover(f->j, 0, 75, never, NULL, &last), 0);
    assert_int_equal(last, 75);
    free(g);
}

/* In order of their numbers, though the ring's beginning is younger than its end. */
static void a_ring_that_went_round_comes_back_in_order(void **state)
{
    jf *f = *state;
    got *g = got_new();
    uint64_t last = 0, stored = 0;
    uint32_t id = 1;
    open_empty(f, 1, 64 * KIB);
    while (f->j->lanes[0].head < 3 * 64 * KIB + 20 * KIB) {
        if (append(f, 0, id, 0) == 0)
            id++;
        else
            stored = drain(f, 0, g);
    }
    assert_true(stored > 100 && f->j->lanes[0].at < 40 * KIB);
    close_again(f);
    open_raw(f, 1, 64 * KIB, 0);
    g->count = 0;
    assert_int_equal(journal_recover(f->j, 0, stored, take, g, &last), 0);
    in_order(g, stored + 1, (uint32_t)stored + 1, id - 1 - stored);
    assert_int_equal(last, id - 1);
    assert_true(g->count > 20);
    free(g);
}

/* What the database of the killed process would have: the number up to which it stored. */
typedef struct shared_base {
    _Atomic uint64_t drained;
} shared_base;

static int right_record(void *arg, uint64_t seq, const unsigned char *p, size_t n)
{
    uint64_t *next = arg;
    settle_record r, want;
    char name[32];
    want = record_of(name, (uint32_t)seq);
    if (ledger_decode(p, n, &r) != n || seq != *next || !str_eq(r.generation, want.generation) ||
        !str_eq(r.path, want.path) || usage_get(&r.used, STR("prompt")) != (int64_t)seq)
        return -1;
    *next = seq + 1;
    return 0;
}

static void child_appends(jf *f, shared_base *base, int report)
{
    uint64_t drained = atomic_load(&base->drained), next = drained + 1, last;
    if (journal_open(f->dir, 1, 64 * KIB, 0, &f->log, &f->j, &f->err) < 0 ||
        journal_recover(f->j, 0, drained, right_record, &next, &last) != 0 ||
        journal_start(f->j, 0, last, &f->err) < 0)
        _exit(1);
    atomic_store(&base->drained, last);
    for (uint64_t seq = last + 1;; seq++) {
        char name[32];
        settle_record r = record_of(name, (uint32_t)seq);
        while (!journal_reserve(f->j, 0, 1000)) {
            next = atomic_load(&base->drained) + 1;
            if (journal_read(f->j, 0, 20000, right_record, &next, &last) != 0)
                _exit(2);
            atomic_store(&base->drained, last); /* stored; then the room is given back */
            journal_release(f->j, 0, last);
        }
        if (journal_append(f->j, 0, &r, 1000) != 0 || write(report, &seq, 8) != 8)
            _exit(3);
    }
}

static void what_was_reported_survives_kill_9(void **state)
{
    jf *f = *state;
    rng r = {3};
    shared_base *base = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    uint64_t reported = 0, recovered = 0;
    assert_ptr_not_equal(base, MAP_FAILED);
    for (int round = 0; round < 30; round++) {
        int tube[2], status;
        uint64_t seq, next, last, begin = reported;
        assert_int_equal(pipe(tube), 0);
        pid_t child = fork();
        assert_true(child >= 0);
        if (child == 0) {
            close(tube[0]);
            child_appends(f, base, tube[1]);
        }
        close(tube[1]);
        for (uint64_t n = 1 + rng_below(&r, 1500); n && read(tube[0], &seq, 8) == 8; n--)
            reported = seq;
        assert_int_equal(kill(child, SIGKILL), 0);
        assert_int_equal(waitpid(child, &status, 0), child);
        assert_true(WIFSIGNALED(status)); /* it did not end by itself */
        while (read(tube[0], &seq, 8) == 8)
            reported = seq;
        close(tube[0]);
        assert_true(reported > begin);
        open_raw(f, 1, 64 * KIB, 0);
        next = atomic_load(&base->drained) + 1;
        recovered -= next;
        assert_int_equal(journal_recover(f->j, 0, next - 1, right_record, &next, &last), 0);
        recovered += next;
        assert_true(last == next - 1 && last >= reported && last <= reported + 1);
        close_again(f);
        reported = last;
    }
    assert_true(recovered > 1000);
    munmap(base, 4096);
}

/* ---- Damage. */
static void one_bad_record_costs_one_record(void **state)
{
    jf *f = *state;
    got *g = got_new();
    uint64_t last, at[11];
    open_empty(f, 1, 64 * KIB);
    for (uint32_t i = 1; i <= 10; i++) {
        at[i] = f->j->lanes[0].head;
        assert_int_equal(append(f, 0, i, 0), 0);
    }
    /* While it runs: the writer finds the next one. */
    f->j->lanes[0].ring[at[3] + 60] ^= 1;
    f->j->lanes[0].ring[at[5] + 17] ^= 1; /* its length */
    assert_int_equal(journal_read(f->j, 0, SIZE_MAX, take, g, &last), 0);
    assert_int_equal(g->count, 8);
    assert_int_equal(last, 10);
    f->j->lanes[0].ring[at[3] + 60] ^= 1;
    f->j->lanes[0].ring[at[5] + 17] ^= 1;
    close_again(f);
    for (size_t k = 0; k < 60; k++) { /* each byte of its head, and some of the record */
        unsigned char byte = 0, was;
        open_raw(f, 1, 64 * KIB, 0);
        was = f->j->lanes[0].ring[at[4] + k];
        byte = was ^ 0x10;
        scribble(f, 0, &byte, 1, JOURNAL_PAGE + at[4] + k);
        g->count = 0;
        assert_int_equal(journal_recover(f->j, 0, 0, take, g, &last), 0);
        assert_int_equal(g->count, 9);
        assert_true(g->ids[2] == 3 && g->ids[3] == 5 && g->ids[8] == 10);
        scribble(f, 0, &was, 1, JOURNAL_PAGE + at[4] + k);
        close_again(f);
    }
    free(g);
}

static void garbage_is_no_record(void **state)
{
    jf *f = *state;
    got *g = got_new();
    uint64_t last;
    unsigned char *junk = malloc(64 * KIB);
    rng r = {21};
    open_empty(f, 1, 64 * KIB);
    for (uint32_t i = 1; i <= 10; i++)
        assert_int_equal(append(f, 0, i, 0), 0);
    size_t used = f->j->lanes[0].at;
    close_again(f);
    for (size_t i = 0; i < 64 * KIB; i++)
        junk[i] = (unsigned char)rng_next(&r);
    for (size_t i = 0; i + 8 <= 64 * KIB; i += 64) /* with what a record begins with */
        memcpy(junk + i, (unsigned char[]){0x8f, 0x74, 0x50, 0x4a}, 4);
    scribble(f, 0, junk, 64 * KIB - used, JOURNAL_PAGE + used);
    open_raw(f, 1, 64 * KIB, 0);
    assert_int_equal(journal_recover(f->j, 0, 0, take, g, &last), 0);
    in_order(g, 1, 1, 10);
    close_again(f);
    scribble(f, 0, junk, 64 * KIB, JOURNAL_PAGE);
    open_raw(f, 1, 64 * KIB, 0);
    assert_int_equal(journal_recover(f->j, 0, 4, never, NULL, &last), 0);
    assert_int_equal(last, 4);
    assert_int_equal(journal_start(f->j, 0, last, &f->err), 0); /* and it can be used */
    assert_int_equal(append(f, 0, 5, 0), 0);
    close_again(f);
    open_raw(f, 1, 64 * KIB, 0);
    g->count = 0;
    assert_int_equal(journal_recover(f->j, 0, 4, take, g, &last), 0);
    in_order(g, 5, 5, 1);
    free(junk);
    free(g);
}

static void a_lane_without_its_header_is_set_aside(void **state)
{
    jf *f = *state;
    char command[128];
    unsigned char uuid[16];
    uint64_t last;
    open_empty(f, 1, 64 * KIB);
    memcpy(uuid, journal_uuid(f->j, 0), 16);
    assert_int_equal(append(f, 0, 1, 0), 0);
    close_again(f);
    scribble(f, 0, "x", 1, 20);
    open_raw(f, 1, 64 * KIB, 1); /* a command only looks */
    assert_int_equal(journal_lanes(f->j), 0);
    close_again(f);
    open_raw(f, 1, 64 * KIB, 0);
    assert_true(says(f, "is damaged where its header should be"));
    assert_int_equal(journal_recover(f->j, 0, 0, never, NULL, &last), 0);
    assert_true(memcmp(journal_uuid(f->j, 0), uuid, 16) != 0);
    assert_int_equal(journal_start(f->j, 0, 0, &f->err), 0);
    assert_int_equal(append(f, 0, 1, 0), 0);
    close_again(f);
    snprintf(command, sizeof(command), "ls '%s' | grep -q 'lane-00.tpj.damaged-'", f->dir);
    assert_int_equal(system(command), 0);
    size_t sizes[] = {100, 0, 4095};
    for (size_t i = 0; i < TP_COUNT(sizes); i++) {
        cut_file(f, 0, sizes[i]);
        open_raw(f, 1, 64 * KIB, 0);
        assert_int_equal(journal_recover(f->j, 0, 0, never, NULL, &last), 0);
        close_again(f);
    }
}

static void a_file_that_was_cut_off_has_what_it_has(void **state)
{
    jf *f = *state;
    got *g = got_new();
    uint64_t last;
    uint32_t id = 1, kept = 0;
    open_empty(f, 1, 64 * KIB);
    while (append(f, 0, id, 0) == 0) {
        kept += f->j->lanes[0].at <= 30000;
        id++;
    }
    close_again(f);
    cut_file(f, 0, JOURNAL_PAGE + 30000);
    open_raw(f, 1, 64 * KIB, 0);
    assert_true(says(f, "records in the rest are lost"));
    assert_int_equal(journal_recover(f->j, 0, 0, take, g, &last), 0);
    in_order(g, 1, 1, kept);
    assert_int_equal(journal_start(f->j, 0, last, &f->err), 0);
    uint32_t again = 0; /* its room is back */
    while (append(f, 0, 1000 + again, 0) == 0)
        again++;
    assert_true(pending(f) > 60 * KIB);
    g->count = 0;
    drain(f, 0, g);
    in_order(g, kept + 1, 1000, again);
    close_again(f);
    cut_file(f, 0, JOURNAL_PAGE); /* nothing but the header */
    open_raw(f, 1, 64 * KIB, 0);
    assert_int_equal(journal_recover(f->j, 0, 3, never, NULL, &last), 0);
    assert_int_equal(journal_start(f->j, 0, last, &f->err), 0);
    assert_int_equal(append(f, 0, 4, 0), 0);
    free(g);
}

static void records_of_another_file_are_not_taken(void **state)
{
    jf *f = *state;
    got *g = got_new();
    uint64_t last;
    open_empty(f, 2, 64 * KIB);
    for (uint32_t i = 1; i <= 10; i++)
        assert_int_equal(append(f, 0, i, 0), 0);
    unsigned char *ring = malloc(64 * KIB);
    memcpy(ring, f->j->lanes[0].ring, 64 * KIB);
    close_again(f);
    scribble(f, 1, ring, 64 * KIB, JOURNAL_PAGE);
    open_raw(f, 2, 64 * KIB, 0);
    assert_int_equal(journal_recover(f->j, 1, 0, never, NULL, &last), 0);
    assert_int_equal(journal_recover(f->j, 0, 0, take, g, &last), 0);
    in_order(g, 1, 1, 10);
    free(ring);
    free(g);
}

/* A client may have its body stored: what it writes there is not read as a record, even where the
 * record around it is damaged, for it does not know the lane's key. */
static void a_body_cannot_forge_a_record(void **state)
{
    jf *f = *state;
    got *g = got_new();
    for (int known = 0; known < 2; known++) {
        unsigned char forged[1024] = {0}, *body = NULL;
        char name[32];
        uint64_t last;
        settle_record r = record_of(name, 7), outer = record_of(name, 7);
        open_raw(f, 1, 64 * KIB, 0);
        size_t n = ledger_encode(&r, forged + JOURNAL_HEAD, sizeof(forged) - JOURNAL_HEAD);
        journal_seal(known ? f->j->lanes[0].key : 0, forged, 7, n);
        outer.path = STR("/");
        body = calloc(1, 4096);
        ledger_shape s; /* so that it begins at a multiple of eight */
        size_t pad = 0;
        do {
            outer.prompt = str_make((const char *)body, n + JOURNAL_HEAD + pad);
            ledger_shape_of(&outer, SIZE_MAX, &s);
            memset(body, 0, 4096);
            memcpy(body + pad, forged, n + JOURNAL_HEAD);
        } while ((JOURNAL_HEAD + s.bytes - s.prompt + pad) % 8 != 0 && ++pad);
        assert_int_equal(journal_start(f->j, 0, 0, &f->err), 0);
        assert_int_equal(journal_append(f->j, 0, &outer, 0), 0);
        f->j->lanes[0].ring[50] ^= 1;
        g->count = 0;
        assert_int_equal(journal_recover(f->j, 0, 0, take, g, &last), 0);
        assert_int_equal(g->count, known); /* with the key it would have been one */
        close_again(f);
        free(body);
    }
    free(g);
}

/* ---- Other configurations. */
static void lanes_of_more_workers_are_drained_and_removed(void **state)
{
    jf *f = *state;
    got *g = got_new();
    uint64_t last;
    open_empty(f, 4, 64 * KIB);
    for (uint32_t lane = 0; lane < 4; lane++)
        for (uint32_t i = 0; i <= lane; i++)
            assert_int_equal(append(f, lane, 10 * lane + i, 0), 0);
    close_again(f);
    for (int only_look = 1; only_look >= 0; only_look--) {
        open_raw(f, only_look ? 0 : 1, 64 * KIB, only_look);
        assert_int_equal(journal_lanes(f->j), 4);
        for (uint32_t lane = 0; lane < 4; lane++) {
            g->count = 0;
            assert_int_equal(journal_recover(f->j, lane, 0, take, g, &last), 0);
            in_order(g, 1, 10 * lane, lane + 1);
            assert_int_equal(journal_start(f->j, lane, last, &f->err), 0);
        }
        if (only_look) {
            assert_true(there(f, "lane-00.tpj") && there(f, "lane-03.tpj"));
            close_again(f);
        }
    }
    assert_true(there(f, "lane-00.tpj") && !there(f, "lane-01.tpj"));
    assert_true(!there(f, "lane-02.tpj") && !there(f, "lane-03.tpj"));
    assert_int_equal(append(f, 0, 1, 0), 0);
    size_t capacity;
    assert_true(journal_pending(f->j, &capacity) > 0 && capacity == 64 * KIB);
    assert_int_equal(journal_wait(f->j, 0), 1);
    free(g);
}

static void another_size_is_the_same_lane(void **state)
{
    jf *f = *state;
    got *g = got_new();
    unsigned char uuid[16];
    uint64_t last;
    size_t sizes[] = {64 * KIB, 200 * KIB + 1, 72 * KIB, MIB, 64 * KIB};
    uint32_t id = 1;
    open_empty(f, 1, sizes[0]);
    memcpy(uuid, journal_uuid(f->j, 0), 16);
    for (size_t i = 1; i < TP_COUNT(sizes); i++) {
        struct stat st;
        char path[96];
        uint32_t first = id;
        while (append(f, 0, id, 0) == 0)
            id++;
        close_again(f);
        open_raw(f, 1, sizes[i], 0);
        assert_memory_equal(journal_uuid(f->j, 0), uuid, 16);
        g->count = 0;
        assert_int_equal(journal_recover(f->j, 0, first - 1, take, g, &last), 0);
        in_order(g, first, first, id - first);
        assert_int_equal(journal_start(f->j, 0, last, &f->err), 0);
        snprintf(path, sizeof(path), "%s/lane-00.tpj", f->dir);
        assert_int_equal(stat(path, &st), 0);
        assert_int_equal(st.st_size, JOURNAL_PAGE + ((sizes[i] + 4095) & ~(size_t)4095));
        assert_true(st.st_blocks * 512 >= st.st_size); /* no holes */
        assert_int_equal(st.st_mode & 0777, 0600);
    }
    free(g);
}

static void one_gateway_a_directory(void **state)
{
    jf *f = *state;
    journal *second = NULL;
    char pid[32];
    open_empty(f, 1, 64 * KIB);
    for (int read_only = 0; read_only < 2; read_only++) {
        assert_int_equal(journal_open(f->dir, 1, 64 * KIB, read_only, &f->log, &second, &f->err),
                         TP_ERROR_IO);
        assert_null(second);
        snprintf(pid, sizeof(pid), "process %ld)", (long)getpid());
        assert_non_null(strstr(f->err.text, "is in use by another gateway"));
        assert_non_null(strstr(f->err.text, pid));
    }
    close_again(f);
    open_raw(f, 1, 64 * KIB, 0);
}

static void what_cannot_be_opened_says_why(void **state)
{
    jf *f = *state;
    journal *j = NULL;
    char path[128];
    assert_int_equal(journal_open(f->dir, 1, 1000, 0, &f->log, &j, &f->err), TP_ERROR_IO);
    assert_non_null(strstr(f->err.text, "lanes of 1000 bytes"));
    snprintf(path, sizeof(path), "%s/no/such", f->dir);
    assert_int_equal(journal_open(path, 1, 64 * KIB, 0, &f->log, &j, &f->err), TP_ERROR_IO);
    assert_non_null(strstr(f->err.text, "make the one above it"));
    /* A command where no gateway ever ran. */
    assert_int_equal(journal_open(path, 0, 0, 1, &f->log, &j, &f->err), 0);
    assert_int_equal(journal_lanes(j), 0);
    journal_close(j);
    /* Of a newer version: not touched. */
    open_empty(f, 1, 64 * KIB);
    close_again(f);
    unsigned char header[44];
    snprintf(path, sizeof(path), "%s/lane-00.tpj", f->dir);
    int fd = open(path, O_RDWR);
    assert_int_equal(pread(fd, header, 44, 0), 44);
    header[8] = 2;
    uint32_t crc = crc32c(0, header, 40);
    memcpy(header + 40, &crc, 4);
    assert_int_equal(pwrite(fd, header, 44, 0), 44);
    close(fd);
    assert_int_equal(journal_open(f->dir, 1, 64 * KIB, 0, &f->log, &j, &f->err), TP_ERROR_IO);
    assert_non_null(strstr(f->err.text, "newer version"));
}

static void a_full_disk_shows_at_the_start(void **state)
{
    jf *f = *state;
    int status;
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        struct rlimit limit = {MIB, MIB}; /* no file may be longer */
        signal(SIGXFSZ, SIG_IGN);
        setrlimit(RLIMIT_FSIZE, &limit);
        int rc = journal_open(f->dir, 1, 4 * MIB, 0, &f->log, &f->j, &f->err);
        _exit(rc == TP_ERROR_IO && strstr(f->err.text, "no room for a lane of 4194304 bytes") &&
                      strstr(f->err.text, "free some space")
                  ? 0
                  : 1);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
    assert_true(!there(f, "lane-00.tpj") && !there(f, "lane-00.tpj.new"));
    open_empty(f, 1, 4 * MIB); /* with room it goes on */
}

#define T(name) cmocka_unit_test_setup_teardown(name, jf_open, jf_close)
int main(void)
{
    const struct CMUnitTest tests[] = {
        T(read_again_until_released),
        T(round_and_round),
        T(an_empty_lane_goes_on_where_it_is_warm),
        T(a_full_lane_refuses_and_keeps_its_word),
        T(every_reservation_can_be_used),
        T(a_huge_prompt_is_not_kept),
        T(pages_that_were_read_are_let_go),
        T(syncing_says_what_failed),
        T(waiting_ends_for_a_reason),
        T(two_workers_and_a_writer),
        T(a_wake_ends_a_sleep),
        T(what_was_not_drained_comes_back),
        T(a_ring_that_went_round_comes_back_in_order),
        T(what_was_reported_survives_kill_9),
        T(one_bad_record_costs_one_record),
        T(garbage_is_no_record),
        T(a_lane_without_its_header_is_set_aside),
        T(a_file_that_was_cut_off_has_what_it_has),
        T(records_of_another_file_are_not_taken),
        T(a_body_cannot_forge_a_record),
        T(lanes_of_more_workers_are_drained_and_removed),
        T(another_size_is_the_same_lane),
        T(one_gateway_a_directory),
        T(what_cannot_be_opened_says_why),
        T(a_full_disk_shows_at_the_start),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
