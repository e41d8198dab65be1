/* The journal's lanes in one life: what goes in comes out once and in order, through full rings and
 * with both ends at work. */
#include "journal_fixture.h"

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
    open_empty(f, 1, MIB);
    for (uint32_t id = 1; id <= 12000; id++) {
        assert_int_equal(append(f, 0, id, 0), 0);
        assert_true(f->j->lanes[0].at <= JOURNAL_WARM + 1000);
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
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
