/* The journal's lanes from one life to the next: crashes, damage and other configurations. */
#include "journal_fixture.h"

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

/* Copied by a tool that leaves out what is zero: writing into a hole of a mapped file ends the process
 * when the disk is full. */
static void a_lane_has_all_of_its_room(void **state)
{
    jf *f = *state;
    char path[96];
    struct stat st;
    snprintf(path, sizeof(path), "%s/lane-00.tpj", f->dir);
    open_empty(f, 1, MIB);
    assert_int_equal(append(f, 0, 1, 0), 0);
    close_again(f);
    int fd = open(path, O_RDWR);
    assert_true(fd >= 0);
    if (fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 64 * KIB, 512 * KIB) < 0) {
        close(fd);
        skip(); /* this file system knows no holes */
    }
    assert_int_equal(fstat(fd, &st), 0);
    assert_true(st.st_blocks * 512 < st.st_size);
    open_raw(f, 1, MIB, 0);
    uint64_t last = 0;
    got *g = got_new();
    assert_int_equal(journal_recover(f->j, 0, 0, take, g, &last), 0);
    in_order(g, 1, 1, 1);
    assert_int_equal(journal_start(f->j, 0, last, &f->err), 0);
    assert_int_equal(fstat(fd, &st), 0);
    assert_true(st.st_blocks * 512 >= st.st_size);
    assert_int_equal(append(f, 0, 2, 0), 0);
    close(fd);
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

int main(void)
{
    const struct CMUnitTest tests[] = {
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
        T(a_lane_has_all_of_its_room),
        T(one_gateway_a_directory),
        T(what_cannot_be_opened_says_why),
        T(a_full_disk_shows_at_the_start),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
