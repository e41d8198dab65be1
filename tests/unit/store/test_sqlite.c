#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <fcntl.h>
#include <pthread.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/str.h"
#include "store/store.h"

typedef struct sf {
    char dir[64], path[96];
    FILE *say;
    logger log;
    store_port port;
    tp_error err;
} sf;

static int sf_open(void **state)
{
    sf *f = calloc(1, sizeof(*f));
    snprintf(f->dir, sizeof(f->dir), "%s", "/tmp/turnpike-store-XXXXXX");
    if (!mkdtemp(f->dir))
        return -1;
    snprintf(f->path, sizeof(f->path), "%s/turnpike.db", f->dir);
    f->say = tmpfile();
    f->log = (logger){.fd = fileno(f->say), .level = LOG_DEBUG};
    *state = f;
    return 0;
}

static int sf_close(void **state)
{
    sf *f = *state;
    char command[128];
    fclose(f->say);
    snprintf(command, sizeof(command), "rm -rf '%s'", f->dir);
    int rc = system(command);
    free(f);
    return rc;
}

static int open_at(sf *f, const char *path, int flags, store_port *port)
{
    store_options o = {.path = path, .flush_ms = 5};
    return store_sqlite_open(&o, flags, &f->log, port, &f->err);
}

static void open_store(sf *f, int flags)
{
    if (open_at(f, f->path, flags, &f->port) < 0)
        fail_msg("%s", f->err.text);
}

static int says(sf *f, const char *part)
{
    char text[8192];
    int n = 0;
    ssize_t len = pread(f->log.fd, text, sizeof(text) - 1, 0);
    text[TP_MAX(len, 0)] = 0;
    for (const char *at = text; (at = strstr(at, part)); at++)
        n++;
    return n;
}

static store_tally *tally_of(const char *day, const char *model, int64_t requests)
{
    store_tally *t = store_tally_new();
    store_total row = {.day = str_of(day),
                       .key = STR("k'); DROP TABLE usage_total;--"),
                       .model = str_of(model),
                       .provider = STR("p"),
                       .requests = requests,
                       .failures = 1,
                       .cancelled = 2,
                       .cost_nano = 985000};
    usage_set(&row.used, STR("prompt"), 1000);
    usage_set(&row.used, STR("cache_read"), 5);
    store_tally_add_total(t, &row);
    return t;
}

static int put(sf *f, const char *day, const char *model, int64_t requests)
{
    store_tally *t = tally_of(day, model, requests);
    int rc = f->port.put(f->port.self, &t);
    assert_true((rc == 0) == (t == NULL));
    store_tally_free(t);
    return rc;
}

typedef struct listing {
    char text[4096];
    size_t len;
    uint32_t rows;
    int64_t requests;
} listing;

static int list_row(void *arg, const store_total *t)
{
    listing *l = arg;
    l->rows++;
    l->requests += t->requests;
    if (l->len < sizeof(l->text) - 400)
        l->len +=
            (size_t)snprintf(l->text + l->len, sizeof(l->text) - l->len,
                             "%.*s|%.*s|%.*s|%lld/%lld/%lld|%lld|%lld,%lld\n", STR_ARG(t->day),
                             STR_ARG(t->model), STR_ARG(t->provider), (long long)t->requests,
                             (long long)t->failures, (long long)t->cancelled,
                             (long long)t->cost_nano, (long long)usage_get(&t->used, STR("prompt")),
                             (long long)usage_get(&t->used, STR("cache_read")));
    return 0;
}

static listing list(sf *f, const char *from, const char *to)
{
    listing l = {0};
    if (f->port.usage(f->port.self, from, to, list_row, &l, &f->err) != 0)
        fail_msg("%s", f->err.text);
    return l;
}

static void totals_add_up_across_a_reopen(void **state)
{
    sf *f = *state;
    struct stat st;
    open_store(f, 0);
    assert_int_equal(stat(f->path, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
    assert_int_equal(put(f, "2026-03-01", "m", 3), 0);
    assert_int_equal(put(f, "2026-03-02", "m", 1), 0);
    assert_int_equal(f->port.drain(f->port.self, 5000), 0);
    assert_string_equal(list(f, "", "").text,
                        "2026-03-01|m|p|3/1/2|985000|1000,5\n2026-03-02|m|p|1/1/"
                        "2|985000|1000,5\n");
    assert_int_equal(put(f, "2026-03-01", "m", 4), 0);
    f->port.close(f->port.self); /* without draining: closing writes all */

    open_store(f, 0);
    assert_int_equal(put(f, "2026-03-01", "a", 1), 0);
    assert_int_equal(f->port.drain(f->port.self, 5000), 0);
    assert_string_equal(list(f, "", "").text, "2026-03-01|a|p|1/1/2|985000|1000,5\n"
                                              "2026-03-01|m|p|7/2/4|1970000|2000,10\n"
                                              "2026-03-02|m|p|1/1/2|985000|1000,5\n");
    assert_string_equal(list(f, "2026-03-02", "").text, "2026-03-02|m|p|1/1/2|985000|1000,5\n");
    assert_int_equal(list(f, "", "2026-03-01").rows, 2);
    assert_int_equal(list(f, "2027-01-01", "").rows, 0);
    char wal[128];
    snprintf(wal, sizeof(wal), "%s-wal", f->path);
    assert_int_equal(stat(wal, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
    f->port.close(f->port.self);
    assert_int_equal(says(f, " warn ") + says(f, " error "), 0);
    assert_true(says(f, "read whole and found undamaged")); /* each start checks, and says so */
}

static int stop_at_once(void *arg, const store_total *t)
{
    (void)arg;
    (void)t;
    return 77;
}

static void a_command_reads_beside_the_gateway(void **state)
{
    sf *f = *state;
    store_port beside;
    assert_int_equal(open_at(f, f->path, STORE_READ_ONLY, &beside), TP_ERROR_IO);
    assert_non_null(strstr(f->err.text, "the gateway makes it"));
    assert_int_equal(access(f->path, F_OK), -1); /* and did not make it */
    open_store(f, 0);
    assert_int_equal(put(f, "2026-03-01", "m", 3), 0);
    assert_int_equal(f->port.drain(f->port.self, 5000), 0);
    assert_int_equal(open_at(f, f->path, STORE_READ_ONLY, &beside), 0);
    listing l = {0};
    assert_int_equal(beside.usage(beside.self, "", "", list_row, &l, &f->err), 0);
    assert_int_equal(l.requests, 3);
    assert_int_equal(beside.usage(beside.self, "", "", stop_at_once, NULL, &f->err), 77);
    store_tally *t = store_tally_new();
    assert_int_equal(beside.put(beside.self, &t), -1);
    store_tally_free(t);
    beside.close(beside.self);
    f->port.close(f->port.self);
}

static void damaged_files_are_refused(void **state)
{
    sf *f = *state;
    FILE *out = fopen(f->path, "w");
    fputs("this is a text file of a hundred bytes and more, and no database at "
          "all, whoever looks at "
          "it, and however often",
          out);
    fclose(out);
    assert_int_equal(open_at(f, f->path, 0, &f->port), TP_ERROR_IO);
    assert_non_null(strstr(f->err.text, f->path));
    assert_non_null(strstr(f->err.text, "damaged or no database"));
    assert_non_null(strstr(f->err.text, "restore it from a backup"));

    out = fopen(f->path, "w"); /* too short to be any database: SQLite would begin one in it */
    fputs("x", out);
    fclose(out);
    f->err = (tp_error){0};
    assert_int_equal(open_at(f, f->path, 0, &f->port), TP_ERROR_IO);
    assert_non_null(strstr(f->err.text, "damaged or no database"));
    struct stat one;
    assert_int_equal(stat(f->path, &one), 0);
    assert_int_equal(one.st_size, 1);
    unlink(f->path);

    open_store(f, 0); /* a good one, with a page overwritten */
    for (int i = 0; i < 200; i++) {
        char model[48];
        snprintf(model, sizeof(model), "model-%d", i);
        while (put(f, "2026-03-01", model, 1) < 0)
            usleep(1000);
    }
    f->port.close(f->port.self);
    int fd = open(f->path, O_RDWR);
    char junk[4096];
    memset(junk, 0xa5, sizeof(junk));
    struct stat st;
    assert_int_equal(fstat(fd, &st), 0);
    assert_true(st.st_size > 5 * 4096);
    assert_int_equal(pwrite(fd, junk, sizeof(junk), st.st_size - 4096), 4096);
    close(fd);
    f->err = (tp_error){0};
    assert_int_equal(open_at(f, f->path, 0, &f->port), TP_ERROR_IO);
    assert_non_null(strstr(f->err.text, "damaged"));
}

static void sql(sf *f, const char *text)
{
    sqlite3 *db;
    char *why = NULL;
    assert_int_equal(sqlite3_open(f->path, &db), SQLITE_OK);
    sqlite3_busy_timeout(db, 5000);
    if (sqlite3_exec(db, text, NULL, NULL, &why) != SQLITE_OK)
        fail_msg("%s", why);
    sqlite3_close(db);
}

static void files_of_others_are_left_alone(void **state)
{
    sf *f = *state;
    sql(f, "CREATE TABLE mine(x)");
    assert_int_equal(open_at(f, f->path, 0, &f->port), TP_ERROR_IO);
    assert_non_null(strstr(f->err.text, "some other program"));
    unlink(f->path);
    open_store(f, 0);
    f->port.close(f->port.self);
    sql(f, "UPDATE schema_version SET version = 99");
    f->err = (tp_error){0};
    assert_int_equal(open_at(f, f->path, 0, &f->port), TP_ERROR_IO);
    assert_non_null(strstr(f->err.text, "newer version"));
    assert_non_null(strstr(f->err.text, "99"));
    assert_int_equal(open_at(f, f->path, STORE_READ_ONLY, &f->port), TP_ERROR_IO);
}

static void places_that_cannot_be_written(void **state)
{
    sf *f = *state;
    char path[128];
    snprintf(path, sizeof(path), "%s/no/such/dir.db", f->dir);
    assert_int_equal(open_at(f, path, 0, &f->port), TP_ERROR_IO);
    assert_non_null(strstr(f->err.text, "No such file"));
    assert_non_null(strstr(f->err.text, "store.path"));
    /* A directory that its own user may not write; root may, so root becomes
     * somebody else. */
    int root = geteuid() == 0;
    if (root)
        assert_int_equal(chown(f->dir, 65534, (gid_t)-1), 0);
    assert_int_equal(chmod(f->dir, 0500), 0);
    if (root)
        assert_int_equal(seteuid(65534), 0);
    f->err = (tp_error){0};
    int rc = open_at(f, f->path, 0, &f->port);
    if (root)
        assert_int_equal(seteuid(0), 0);
    assert_int_equal(rc, TP_ERROR_IO);
    assert_non_null(strstr(f->err.text, "Permission denied"));
    assert_int_equal(chmod(f->dir, 0700), 0);
}

static void a_full_queue_refuses_and_loses_nothing(void **state)
{
    sf *f = *state;
    sqlite3 *db;
    int64_t taken = 0;
    open_store(f, 0);
    assert_int_equal(sqlite3_open(f->path, &db), SQLITE_OK);
    assert_int_equal(sqlite3_exec(db, "BEGIN IMMEDIATE", NULL, NULL, NULL), SQLITE_OK);
    while (taken < 100 && put(f, "2026-03-01", "m", 1) == 0)
        taken++;
    assert_true(taken >= 8 && taken <= 16);
    assert_int_equal(f->port.drain(f->port.self, 50), -1); /* nothing gets through */
    assert_int_equal(sqlite3_exec(db, "ROLLBACK", NULL, NULL, NULL), SQLITE_OK);
    sqlite3_close(db);
    assert_int_equal(f->port.drain(f->port.self, 10000), 0);
    assert_int_equal(put(f, "2026-03-01", "m", 1), 0);
    assert_int_equal(f->port.drain(f->port.self, 5000), 0);
    assert_int_equal(list(f, "", "").requests, taken + 1);
    f->port.close(f->port.self);
}

static void a_failing_store_keeps_what_it_has(void **state)
{
    sf *f = *state;
    char why[200] = "";
    open_store(f, 0);
    assert_int_equal(put(f, "2026-03-01", "m", 1), 0);
    assert_int_equal(f->port.drain(f->port.self, 5000), 0);
    assert_int_equal(f->port.health(f->port.self, why, sizeof(why)), 0);
    sql(f, "ALTER TABLE usage_unit RENAME TO away");
    assert_int_equal(put(f, "2026-03-01", "m", 2), 0);
    for (int i = 0; i < 3000 && f->port.health(f->port.self, why, sizeof(why)) == 0; i++)
        usleep(1000);
    assert_int_equal(f->port.health(f->port.self, why, sizeof(why)), -1);
    assert_non_null(strstr(why, "usage_unit"));
    usleep(600000); /* two more tries */
    assert_int_equal(says(f, "cannot be written"), 1);
    f->port.close(f->port.self); /* the end: what cannot be stored is said */
    assert_int_equal(says(f, "are lost"), 1);
}

static void and_writes_it_when_it_can(void **state)
{
    sf *f = *state;
    char why[200] = "";
    open_store(f, 0);
    assert_int_equal(put(f, "2026-03-01", "m", 1), 0);
    assert_int_equal(f->port.drain(f->port.self, 5000), 0);
    sql(f, "ALTER TABLE usage_unit RENAME TO away");
    assert_int_equal(put(f, "2026-03-01", "m", 2), 0);
    for (int i = 0; i < 3000 && f->port.health(f->port.self, why, sizeof(why)) == 0; i++)
        usleep(1000);
    assert_int_equal(put(f, "2026-03-01", "m", 4), 0);
    sql(f, "ALTER TABLE away RENAME TO usage_unit");
    assert_int_equal(f->port.drain(f->port.self, 10000), 0);
    assert_int_equal(f->port.health(f->port.self, why, sizeof(why)), 0);
    assert_string_equal(list(f, "", "").text, "2026-03-01|m|p|7/3/6|2955000|3000,15\n");
    assert_int_equal(says(f, "written again"), 1);
    f->port.close(f->port.self);
    assert_int_equal(says(f, "are lost"), 0);
}

static void a_day_has_so_many_rows(void **state)
{
    sf *f = *state;
    enum { BATCHES = 21, ROWS = 1000, MOST = 20000 };
    open_store(f, 0);
    for (int b = 0; b < BATCHES; b++) {
        store_tally *t = store_tally_new();
        for (int i = 0; i < ROWS; i++) {
            char model[48];
            snprintf(model, sizeof(model), "m-%d-%d", b, i);
            store_total row = {.day = STR("2026-03-01"),
                               .key = STR("k"),
                               .model = str_of(model),
                               .provider = STR("p"),
                               .requests = 1};
            store_tally_add_total(t, &row);
        }
        assert_int_equal(f->port.put(f->port.self, &t), 0);
        assert_int_equal(f->port.drain(f->port.self, 20000), 0);
    }
    listing l = list(f, "", "");
    assert_int_equal(l.rows, MOST + 1);
    assert_int_equal(l.requests, BATCHES * ROWS);
    store_tally *t = store_tally_new(); /* rows that are there go on */
    store_total row = {.day = STR("2026-03-01"),
                       .key = STR("k"),
                       .model = STR("m-0-0"),
                       .provider = STR("p"),
                       .requests = 5};
    store_tally_add_total(t, &row);
    assert_int_equal(f->port.put(f->port.self, &t), 0);
    assert_int_equal(f->port.drain(f->port.self, 20000), 0);
    l = list(f, "", "");
    assert_int_equal(l.rows, MOST + 1);
    f->port.close(f->port.self);
}

static void *worker(void *arg)
{
    sf *f = arg;
    store_meter m;
    settle_record r = {.key = STR("k"),
                       .model_asked = STR("m"),
                       .provider = STR("p"),
                       .unix_ms = 1772368496789,
                       .outcome = SETTLE_COMPLETED,
                       .cost_nano = 2};
    store_meter_init(&m, &f->port);
    for (int i = 0; i < 2000; i++) {
        store_meter_add(&m, &r);
        if (i % 50 == 0)
            store_meter_flush(&m);
    }
    assert_int_equal(store_meter_finish(&m, 10000), 0);
    store_meter_free(&m);
    return NULL;
}

static void more_workers_than_places(void **state)
{
    sf *f = *state;
    settle_record r = {.key = STR("k"), .provider = STR("p"), .unix_ms = 1772368496789};
    open_store(f, 0);
    for (int i = 0; i < 100; i++) {
        store_meter m;
        store_meter_init(&m, &f->port);
        store_meter_add(&m, &r);
        assert_int_equal(store_meter_finish(&m, 10000), 0);
        store_meter_free(&m);
    }
    f->port.close(f->port.self);
    open_store(f, 0);
    assert_int_equal(list(f, "", "").requests, 100);
    f->port.close(f->port.self);
}

static void workers_count_together(void **state)
{
    sf *f = *state;
    pthread_t t[3];
    char why[64];
    open_store(f, 0);
    for (int i = 0; i < 3; i++)
        assert_int_equal(pthread_create(&t[i], NULL, worker, f), 0);
    for (int i = 0; i < 20; i++) {
        list(f, "", "");
        f->port.health(f->port.self, why, sizeof(why));
    }
    for (int i = 0; i < 3; i++)
        pthread_join(t[i], NULL);
    assert_int_equal(f->port.drain(f->port.self, 10000), 0);
    assert_string_equal(list(f, "", "").text, "2026-03-01|m|p|6000/0/0|12000|0,0\n");
    f->port.close(f->port.self);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, sf_open, sf_close)
    const struct CMUnitTest tests[] = {
        T(totals_add_up_across_a_reopen),
        T(a_command_reads_beside_the_gateway),
        T(damaged_files_are_refused),
        T(files_of_others_are_left_alone),
        T(places_that_cannot_be_written),
        T(a_full_queue_refuses_and_loses_nothing),
        T(a_failing_store_keeps_what_it_has),
        T(and_writes_it_when_it_can),
        T(a_day_has_so_many_rows),
        T(workers_count_together),
        T(more_workers_than_places),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
