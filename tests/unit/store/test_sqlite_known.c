/* What is news in the sums of a load: memory adds it to what it has, so it must be neither told
 * twice nor left out. */
#include "sqlite_fixture.h"

typedef struct told {
    int64_t credited, used;           /* as the file has them */
    int64_t credited_news, used_news; /* of all teams */
    int rows;
} told;

static int take_sums(void *arg, const registry_sums *s)
{
    told *t = arg;
    t->credited += s->credited;
    t->used += s->used;
    t->credited_news += s->credited_news;
    t->used_news += s->used_news;
    t->rows++;
    return 0;
}

static told load(fx *f)
{
    told t = {0};
    registry_sink sink = {.arg = &t, .sums = take_sums};
    f->err = (tp_error){0};
    if (f->port.registry.load(f->port.registry.self, fx_now(), &sink, &f->err) != 0)
        fail_msg("%s", f->err.text);
    return t;
}

static void grant(fx *f, const char *team, int64_t nano)
{
    int64_t balance, seq;
    if (fx_grant(f, team, nano, "", &balance, &seq) != 0)
        fail_msg("%s", f->err.text);
}

static void copy(const char *from, const char *to)
{
    char command[1000];
    snprintf(command, sizeof(command), "cp '%s' '%s.new' && mv '%s.new' '%s'", from, to, to, to);
    assert_int_equal(system(command), 0);
}

static void until_reopened(fx *f, int times)
{
    for (int i = 0; i < 10000 && atomic_load(&f->reopened) < times; i++)
        usleep(1000);
    assert_int_equal(atomic_load(&f->reopened), times);
    fx_until_healthy(f, 1);
}

static void all_at_first_and_then_nothing(void **state)
{
    fx *f = *state;
    fx_open(f);
    grant(f, "acme", 5000);
    fx_add(f, 3);
    fx_close(f);
    fx_open(f);
    fx_add(f, 2); /* some of this process may be among what is told first */
    fx_flush(f);
    told t = load(f);
    assert_int_equal(t.credited_news, 5000);
    assert_int_equal(t.used, 50);
    /* Two records were stored by this process before it was told anything. */
    assert_int_equal(t.used_news, 30);
    t = load(f);
    assert_int_equal(t.credited_news, 0);
    assert_int_equal(t.used_news, 0);
    assert_int_equal(t.rows, 1);
}

static void own_doings_are_no_news(void **state)
{
    fx *f = *state;
    fx_open(f);
    load(f);
    grant(f, "acme", 700);
    grant(f, "other", 30);
    grant(f, "acme", -100);
    fx_add(f, 4);
    fx_flush(f);
    told t = load(f);
    assert_int_equal(t.credited, 630);
    assert_int_equal(t.used, 40);
    assert_int_equal(t.credited_news, 0);
    assert_int_equal(t.used_news, 0);
}

/* The same reference again grants nothing. */
static void a_duplicate_is_no_news(void **state)
{
    fx *f = *state;
    int64_t balance, seq;
    fx_open(f);
    load(f);
    assert_int_equal(fx_grant(f, "acme", 10, "r", &balance, &seq), 0);
    assert_int_equal(fx_grant(f, "acme", 10, "r", &balance, &seq), TP_ERROR_EXISTS);
    told t = load(f);
    assert_int_equal(t.credited, 10);
    assert_int_equal(t.credited_news, 0);
}

static void an_older_file_takes_back(void **state)
{
    fx *f = *state;
    char backup[200];
    snprintf(backup, sizeof(backup), "%s/backup.db", f->dir);
    fx_open(f);
    load(f);
    grant(f, "acme", 1000);
    fx_add(f, 5);
    fx_flush(f);
    assert_int_equal(f->port.registry.backup(f->port.registry.self, backup, &f->err), 0);
    grant(f, "acme", 200);
    grant(f, "late", 77); /* of whom the backup knows nothing */
    fx_add(f, 3);
    fx_flush(f);
    copy(backup, f->path);
    until_reopened(f, 1);
    told t = load(f);
    assert_int_equal(t.credited, 1000);
    assert_int_equal(t.used, 50);
    assert_int_equal(t.credited_news, -200 - 77);
    assert_int_equal(t.used_news, -30);
    t = load(f);
    assert_int_equal(t.credited_news, 0);
    assert_int_equal(t.used_news, 0);
}

/* The point of it: records that are still in the journal are in memory's figures already, and will
 * be stored later. Memory, kept by news alone, comes to what the file has in the end. */
static void what_lies_in_the_journal_is_counted_once(void **state)
{
    fx *f = *state;
    char aside[200];
    int64_t used = 0;
    snprintf(aside, sizeof(aside), "%s/aside.db", f->dir);
    fx_open(f);
    used += load(f).used_news;
    fx_add(f, 10);
    used += 100;
    fx_flush(f);
    assert_int_equal(rename(f->path, aside), 0);
    fx_add(f, 10);
    used += 100;
    fx_until_healthy(f, 0);
    assert_int_equal(rename(aside, f->path), 0);
    for (int i = 0; i < 10000 && !atomic_load(&f->reopened); i++) {
        fx_add(f, 1);
        used += 10;
        usleep(1000);
    }
    fx_flush(f);
    until_reopened(f, 1);
    told t = load(f);
    assert_int_equal(t.used_news, 0);
    assert_int_equal(t.used, used);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, fx_setup, fx_teardown)
    const struct CMUnitTest tests[] = {
        TEST(all_at_first_and_then_nothing), TEST(own_doings_are_no_news),
        TEST(a_duplicate_is_no_news), TEST(an_older_file_takes_back),
        TEST(what_lies_in_the_journal_is_counted_once)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
