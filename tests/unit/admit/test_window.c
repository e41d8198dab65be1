#include <fcntl.h>
#include <pthread.h>
#include <sys/stat.h>
#include <unistd.h>

#include "admit_fixture.h"

static void a_window_begins_with_its_first_request(void **state)
{
    (void)state;
    _Atomic uint64_t word = 0;
    window_view v;
    for (int i = 0; i < 3; i++) {
        assert_int_equal(window_take(&word, 3, T0 + 123 + i * 10, &v), 1);
        assert_int_equal(v.limit, 3);
        assert_int_equal(v.remaining, 2 - i);
        assert_int_equal(v.reset_s, (T0 + 60123 + 999) / 1000);
    }
    assert_int_equal(window_take(&word, 3, T0 + 30123, &v), 0);
    assert_int_equal(v.remaining, 0);
    assert_int_equal(v.retry_after_s, 30);
    assert_int_equal(window_take(&word, 3, T0 + 60122, &v), 0); /* its last millisecond */
    assert_int_equal(v.retry_after_s, 1);
    assert_int_equal(window_take(&word, 3, T0 + 60123, &v), 1);
    assert_int_equal(v.remaining, 2);
    assert_int_equal(v.reset_s, (T0 + 120123 + 999) / 1000);
    /* After exactly the seconds that a refusal named, the request passes. */
    word = 0;
    assert_int_equal(window_take(&word, 1, T0 + 999, NULL), 1);
    assert_int_equal(window_take(&word, 1, T0 + 17777, &v), 0);
    assert_int_equal(window_take(&word, 1, T0 + 17777 + v.retry_after_s * 1000, NULL), 1);
}

static void a_look_takes_nothing(void **state)
{
    (void)state;
    _Atomic uint64_t word = 0;
    window_view v;
    window_look(&word, 10, T0, &v);
    assert_int_equal(v.remaining, 10);
    assert_int_equal(v.reset_s, T0 / 1000 + 60);
    assert_int_equal(word, 0);
    window_take(&word, 10, T0, NULL);
    uint64_t before = word;
    window_look(&word, 10, T0 + 59999, &v);
    assert_int_equal(v.remaining, 9);
    window_look(&word, 10, T0 + 60000, &v);
    assert_int_equal(v.remaining, 10);
    assert_int_equal(word, before);
    window_look(&word, 0, T0, &v); /* a limit that was lowered below what is taken */
    assert_int_equal(v.remaining, 0);
}

static void clocks_may_be_set(void **state)
{
    (void)state;
    _Atomic uint64_t word = 0;
    window_view v;
    assert_int_equal(window_take(&word, 1, T0, NULL), 1);
    assert_int_equal(window_take(&word, 1, T0 - 5, &v), 0); /* another thread's clock */
    assert_int_equal(v.retry_after_s, 60);
    assert_int_equal(window_take(&word, 1, T0 - 40000, &v), 0); /* set back: it begins anew, full */
    assert_int_equal(v.retry_after_s, 60);
    assert_int_equal(v.reset_s, (T0 + 20000 + 999) / 1000);
    window_look(&word, 1, T0 + 19999, &v);
    assert_int_equal(v.remaining, 0);
    assert_int_equal(window_take(&word, 1, T0 + 19999, NULL), 0);
    assert_int_equal(window_take(&word, 2, T0 - 60001, &v), 1); /* once more, and there is room */
    assert_int_equal(v.remaining, 0);
    assert_int_equal(window_take(&word, 2, T0 - 60001, &v), 0);
    assert_int_equal(window_take(&word, 2, T0 - 120001, &v), 1);
    assert_int_equal(window_take(&word, 1, T0 + INT64_C(86400000) * 4000, NULL), 1);
}

static void the_most_that_a_window_holds(void **state)
{
    (void)state;
    _Atomic uint64_t word = 0;
    window_view v;
    int64_t passed = 0;
    while (window_take(&word, 16000000, T0, &v))
        passed++;
    assert_int_equal(passed, 16000000);
    assert_int_equal(v.remaining, 0);
}

static void tokens_are_put_aside_and_given_back(void **state)
{
    (void)state;
    const int64_t limit = INT64_C(16000000000);
    _Atomic uint64_t word = 0;
    uint64_t a, b, c;
    window_view v;
    assert_int_equal(window_reserve(&word, 1000, 600, T0, &a, &v), 1);
    assert_int_equal(v.remaining, 400);
    assert_int_equal(window_reserve(&word, 1000, 401, T0 + 1, &b, &v), 0);
    assert_true(v.retry_after_s >= 59 && v.retry_after_s <= 60);
    assert_int_equal(window_reserve(&word, 1000, 400, T0 + 1, &b, &v), 1);
    window_return(&word, a, 600, 100, T0 + 2); /* 500 back */
    assert_int_equal(window_reserve(&word, 1000, 501, T0 + 3, &c, NULL), 0);
    assert_int_equal(window_reserve(&word, 1000, 500, T0 + 3, &c, NULL), 1);
    window_return(&word, b, 400, 650, T0 + 4); /* it took more than was put aside */
    assert_int_equal(window_reserve(&word, 2000, 751, T0 + 5, &c, NULL), 0);
    assert_int_equal(window_reserve(&word, 2000, 750, T0 + 5, &c, NULL), 1);
    /* The next window does not get back what was taken of the last. */
    assert_int_equal(window_reserve(&word, 1000, 900, T0 + 60000, &c, NULL), 1);
    window_return(&word, a, 600, 0, T0 + 60001);
    assert_int_equal(window_reserve(&word, 1000, 101, T0 + 60001, &c, NULL), 0);
    /* Alone, a request may be larger than the limit. */
    word = 0;
    assert_int_equal(window_reserve(&word, 1000, 5000, T0, &a, &v), 1);
    assert_int_equal(v.remaining, 0);
    assert_int_equal(window_reserve(&word, 1000, 1, T0, &b, NULL), 0);
    window_return(&word, a, 5000, 999, T0);
    assert_int_equal(window_reserve(&word, 1000, 1, T0, &b, NULL), 1);
    /* Exact also where 32 bits end. */
    word = 0;
    assert_int_equal(window_reserve(&word, limit, limit - 1, T0, &a, NULL), 1);
    assert_int_equal(window_reserve(&word, limit, 2, T0, &b, NULL), 0);
    assert_int_equal(window_reserve(&word, limit, 1, T0, &b, &v), 1);
    assert_int_equal(v.remaining, 0);
    window_return(&word, a, limit - 1, INT64_MAX, T0); /* ends at the word's end, not beyond it */
    assert_int_equal(window_reserve(&word, limit, 1, T0, &b, NULL), 0);
    assert_int_equal(window_reserve(&word, limit, 1, T0 + 60000, &b, NULL), 1);
}

static void what_is_left_is_put_aside(void **state)
{
    (void)state;
    _Atomic uint64_t word = 0;
    uint64_t a, b;
    window_view v;
    assert_int_equal(window_reserve_some(&word, 1000, 10, 300, T0, &a, &v), 300);
    assert_int_equal(window_reserve_some(&word, 1000, 10, 16384, T0, &b, &v), 700);
    assert_int_equal(v.remaining, 0);
    assert_int_equal(window_reserve_some(&word, 1000, 1, 16384, T0, &b, &v), 0);
    window_return(&word, b, 700, 5, T0); /* given back: the 700, not what was wished for */
    assert_int_equal(window_reserve_some(&word, 1000, 696, 16384, T0, &b, NULL), 0);
    assert_int_equal(window_reserve_some(&word, 1000, 695, 16384, T0, &b, NULL), 695);
    /* Alone: up to the limit; beyond it only what it cannot do without. */
    word = 0;
    assert_int_equal(window_reserve_some(&word, 1000, 10, 16384, T0, &a, NULL), 1000);
    word = 0;
    assert_int_equal(window_reserve_some(&word, 1000, 1001, 16384, T0, &a, &v), 1001);
    assert_int_equal(v.remaining, 0);
    assert_int_equal(window_reserve_some(&word, 1000, 1, 2, T0, &b, NULL), 0);
}

/* ---- Eight threads on one word. */
enum { THREADS = 8, LIMIT = 20000 };
typedef struct race {
    _Atomic uint64_t word;
    _Atomic int64_t clock, passed;
    _Atomic int waiting; /* threads that saw a refusal in the first window */
} race;

/* Until the window is used up; then moves the clock on with the others, and once more. */
static void *racer(void *arg)
{
    race *r = arg;
    int64_t n = 0;
    while (window_take(&r->word, LIMIT, r->clock, NULL))
        n++;
    if (atomic_fetch_add(&r->waiting, 1) == THREADS - 1)
        for (int i = 0; i < 40; i++) /* the others are in the middle of it */
            atomic_fetch_add(&r->clock, 1);
    for (;;) {
        int64_t now = r->clock;
        int passes = window_take(&r->word, LIMIT, now, NULL);
        n += passes;
        if (!passes && now >= T0 + 60000)
            break;
    }
    atomic_fetch_add(&r->passed, n);
    return NULL;
}

static void exactly_as_many_pass_as_may(void **state)
{
    (void)state;
    for (int round = 0; round < 5; round++) {
        race r = {.clock = T0};
        pthread_t t[THREADS];
        assert_int_equal(window_take(&r.word, LIMIT, T0, NULL), 1); /* it begins here */
        r.clock = T0 + 59980;
        for (int i = 0; i < THREADS; i++)
            assert_int_equal(pthread_create(&t[i], NULL, racer, &r), 0);
        for (int i = 0; i < THREADS; i++)
            pthread_join(t[i], NULL);
        assert_int_equal(r.passed, 2 * LIMIT - 1);
    }
}

/* ---- The file. */
static char path[64];

static int folder(void **state)
{
    (void)state;
    snprintf(path, sizeof(path), "%s", "/tmp/turnpike-window-XXXXXX");
    int fd = mkstemp(path);
    close(fd);
    return fd < 0 ? -1 : unlink(path);
}

static int no_folder(void **state)
{
    (void)state;
    unlink(path);
    return 0;
}

static window_file *opened(uint32_t slots)
{
    tp_error err = {0};
    window_file *f;
    if (window_file_open(path, slots, &f, &err) != 0)
        fail_msg("%s", err.text);
    return f;
}

static void counts_survive_a_restart(void **state)
{
    (void)state;
    struct stat st;
    window_file *f = opened(1024);
    window_words *a = window_file_slot(f, STR("key_a")), *b = window_file_slot(f, STR("key_b"));
    assert_true(a && b && a != b);
    assert_ptr_equal(window_file_slot(f, STR("key_a")), a);
    for (int i = 0; i < 7; i++)
        window_take(&a->requests, 10, T0, NULL);
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
    window_file_close(f);
    f = opened(1024);
    window_view v;
    b = window_file_slot(f, STR("key_b")); /* asked for in another order */
    a = window_file_slot(f, STR("key_a"));
    window_look(&a->requests, 10, T0 + 1000, &v);
    assert_int_equal(v.remaining, 3);
    window_look(&b->requests, 10, T0 + 1000, &v);
    assert_int_equal(v.remaining, 10);
    window_file_close(f);
}

static void what_is_not_ours_is_made_anew(void **state)
{
    (void)state;
    static const char *const garbage[] = {"", "x", "turnpike-win-1\n and then nothing"};
    char full[64 + 24 * 16];
    for (size_t g = 0; g <= TP_COUNT(garbage); g++) {
        int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
        memset(full, 0xff, sizeof(full)); /* of the right size, too */
        tp_str text = g < TP_COUNT(garbage) ? str_of(garbage[g]) : str_make(full, sizeof(full));
        assert_int_equal(write(fd, text.ptr, text.len), text.len);
        close(fd);
        window_file *f = opened(16);
        window_view v;
        for (int i = 0; i < 16; i++) {
            char id[16];
            snprintf(id, sizeof(id), "k%d", i);
            window_words *w = window_file_slot(f, str_of(id));
            assert_non_null(w);
            window_look(&w->requests, 10, T0, &v);
            assert_int_equal(v.remaining, 10);
        }
        window_file_close(f);
    }
    /* Another number of slots is another file. */
    window_file *f = opened(32);
    window_file_close(f);
}

static void slots_of_removed_keys_are_used_again(void **state)
{
    (void)state;
    window_file *f = opened(3);
    window_words *w[3];
    const char *const names[] = {"a", "b", "c"};
    for (int i = 0; i < 3; i++)
        w[i] = window_file_slot(f, str_of(names[i]));
    assert_null(window_file_slot(f, STR("d")));
    window_take(&w[1]->requests, 10, T0, NULL);
    window_file_slot(f, STR("b")); /* made anew while the removed one is still in use */
    window_file_release(f, w[1]);
    assert_null(window_file_slot(f, STR("d")));
    assert_ptr_equal(window_file_slot(f, STR("b")), w[1]);
    window_file_release(f, w[1]);
    window_file_release(f, w[1]);
    assert_ptr_equal(window_file_slot(f, STR("d")), w[1]);
    assert_int_equal(w[1]->requests, 0); /* and not with another's count */
    window_file_close(f);
    /* Keys that went while nobody ran: theirs are taken when there are no others. */
    f = opened(3);
    assert_non_null(window_file_slot(f, STR("a")));
    assert_non_null(window_file_slot(f, STR("x")));
    assert_non_null(window_file_slot(f, STR("y")));
    assert_null(window_file_slot(f, STR("z")));
    window_file_close(f);
}

static void many_keys_come_and_go(void **state)
{
    (void)state;
    enum { N = 3000 };
    static window_words *at[N];
    window_file *f = opened(4096);
    for (int round = 0; round < 3; round++) {
        for (int i = 0; i < N; i++) {
            char id[16];
            snprintf(id, sizeof(id), "key_%d", i);
            window_words *w = window_file_slot(f, str_of(id));
            assert_non_null(w);
            if (round == 0)
                window_take(&w->requests, N + 1, T0, NULL), at[i] = w;
            else if (i % 3 && round == 1)
                assert_ptr_equal(w, at[i]);
            if (round || i % 3 == 0)
                window_file_release(f, w);
            if (round == 1 && i % 3)
                window_file_release(f, w); /* the one of the first round */
        }
    }
    window_file_close(f);
}

static void one_process_a_file(void **state)
{
    (void)state;
    tp_error err = {0};
    window_file *f = opened(16), *g;
    assert_int_equal(window_file_open(path, 16, &g, &err), TP_ERROR_IO);
    assert_non_null(strstr(err.text, "in use by another process"));
    assert_non_null(strstr(err.text, path));
    assert_null(g);
    window_file_close(f);
    assert_int_equal(window_file_open("/nowhere/at/all", 16, &g, &err), TP_ERROR_IO);
}

static void in_memory_where_no_file_is(void **state)
{
    (void)state;
    tp_error err = {0};
    window_file *f;
    assert_int_equal(window_file_open(NULL, WINDOW_SLOTS, &f, &err), 0);
    window_words *w = window_file_slot(f, STR("a"));
    assert_int_equal(window_take(&w->requests, 1, T0, NULL), 1);
    assert_int_equal(window_take(&w->requests, 1, T0, NULL), 0);
    window_file_close(f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_window_begins_with_its_first_request),
        cmocka_unit_test(a_look_takes_nothing),
        cmocka_unit_test(clocks_may_be_set),
        cmocka_unit_test(the_most_that_a_window_holds),
        cmocka_unit_test(tokens_are_put_aside_and_given_back),
        cmocka_unit_test(what_is_left_is_put_aside),
        cmocka_unit_test(exactly_as_many_pass_as_may),
        cmocka_unit_test_setup_teardown(counts_survive_a_restart, folder, no_folder),
        cmocka_unit_test_setup_teardown(what_is_not_ours_is_made_anew, folder, no_folder),
        cmocka_unit_test_setup_teardown(slots_of_removed_keys_are_used_again, folder, no_folder),
        cmocka_unit_test_setup_teardown(many_keys_come_and_go, folder, no_folder),
        cmocka_unit_test_setup_teardown(one_process_a_file, folder, no_folder),
        cmocka_unit_test(in_memory_where_no_file_is),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
