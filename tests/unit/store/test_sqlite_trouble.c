/* What the store gets over: kill -9, a full disk, a file that is spoilt, gone or another's; and who
 * else may open it meanwhile. */
#include <errno.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>

#include "base/hash.h"
#include "sqlite_fixture.h"

/* ---- kill -9. */

typedef struct told {
    uint64_t from, to; /* numbers of records that were appended, [from, to) */
} told;

/* A gateway that appends until it is killed, and tells after each record. */
static void appends_for_ever(fx *f, uint64_t from, int fd)
{
    if (fx_try(f, 0, &f->port) < 0)
        _exit(3);
    for (uint64_t n = from;; n++) {
        fx_record x = fx_make(n, fx_now());
        x.r.generation.ptr = x.id;
        while (f->port.journal.append(f->port.journal.self, (uint32_t)(n % f->lanes), &x.r, 0) < 0)
            usleep(100);
        if (write(fd, &n, sizeof(n)) != sizeof(n))
            _exit(4);
        if (n % 64 == 0)
            usleep(200);
    }
}

static told run_and_kill(fx *f, uint64_t from, unsigned after_us)
{
    int fds[2], status;
    uint64_t n;
    told t = {from, from};
    assert_int_equal(pipe(fds), 0);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        close(fds[0]);
        appends_for_ever(f, from, fds[1]);
    }
    close(fds[1]);
    if (read(fds[0], &n, sizeof(n)) == sizeof(n)) /* it is open */
        t.to = n + 1;
    usleep(after_us);
    kill(child, SIGKILL);
    while (read(fds[0], &n, sizeof(n)) == sizeof(n))
        t.to = n + 1;
    close(fds[0]);
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFSIGNALED(status));
    return t;
}

typedef struct census {
    unsigned char *seen;
    uint64_t most;
} census;

static int count(void *arg, const settle_record *r)
{
    census *c = arg;
    uint64_t n = (uint64_t)(r->latency_us - 1000);
    assert_true(n < c->most);
    assert_int_equal(c->seen[n], 0);
    c->seen[n] = 1;
    return 0;
}

static void each_record_is_stored_once_after_kill_9(void **state)
{
    fx *f = *state;
    rng r = {fx_now() > 0 ? (uint64_t)fx_now() : 1};
    uint64_t seed = r.s;
    told all[12];
    uint64_t next = 0;
    for (size_t i = 0; i < TP_COUNT(all); i++) {
        f->flush_ms = (int64_t)rng_below(&r, 20);
        all[i] = run_and_kill(f, next, (unsigned)rng_below(&r, 60000));
        next = all[i].to + 100; /* one may have been appended and not told any more */
        if (i % 4 == 1) {       /* a command comes in between */
            fx_open_offline(f);
            fx_right(f);
            fx_close(f);
        }
        if (i % 4 == 2) { /* and what lies in the journal is forgotten to be drained: ids say so */
            fx_open(f);
            fx_close(f);
            fx_sql(f, "UPDATE journal_state SET drained = drained - min(drained, 50)");
        }
    }
    fx_open(f);
    census c = {calloc(1, next), next};
    char cursor[64] = "", after[64];
    do {
        registry_query q = {.limit = 1000, .cursor = str_of(cursor)};
        assert_int_equal(
            f->port.registry.generations(f->port.registry.self, &q, count, &c, after, &f->err), 0);
        memcpy(cursor, after, sizeof(cursor));
    } while (cursor[0]);
    uint64_t stored = 0;
    for (size_t i = 0; i < TP_COUNT(all); i++)
        for (uint64_t n = all[i].from; n < all[i].to; n++)
            if (!c.seen[n])
                fail_msg("record %llu of run %zu is lost (seed %llu)", (unsigned long long)n, i,
                         (unsigned long long)seed);
    for (uint64_t n = 0; n < next; n++)
        stored += c.seen[n];
    free(c.seen);
    fx_sums sums = fx_load(f, 0);
    assert_int_equal(sums.used, stored * 10);
    assert_int_equal(sums.entries, stored * 3);
    assert_true(stored > 100);
    fx_right(f);
}

/* ---- Trouble while it runs. */

static void one_record(fx *f, int64_t charged)
{
    fx_record x = fx_make(f->serial, fx_now());
    x.r.charged_nano = charged;
    fx_append(f, (uint32_t)(f->serial++ % f->lanes), &x);
}

static int put_team(fx *f, const char *id)
{
    registry_team t = {.id = str_of(id), .active = 1, .billing = CONF_PREPAID};
    f->err = (tp_error){0};
    return f->port.registry.put_team(f->port.registry.self, &t, &f->err);
}

static void a_full_disk_costs_nothing(void **state)
{
    fx *f = *state;
    struct rlimit was, less;
    struct stat st;
    char wal[180];
    store_figures n;
    int64_t balance, seq;
    fx_open(f);
    assert_int_equal(fx_grant(f, "acme", 100000, "", &balance, &seq), 0);
    fx_add(f, 10);
    fx_flush(f);
    snprintf(wal, sizeof(wal), "%s-wal", f->path);
    assert_int_equal(stat(wal, &st), 0);
    signal(SIGXFSZ, SIG_IGN);
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &was), 0);
    less = was;
    less.rlim_cur = 1; /* no file of this process grows any more, but for what is mapped */
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &less), 0);
    for (int i = 0; i < 50; i++)
        one_record(f, 10);
    fx_until_healthy(f, 0);
    assert_int_equal(put_team(f, "nobody"), TP_ERROR_IO);
    assert_non_null(strstr(f->err.text, "cannot be written"));
    assert_int_equal(f->port.registry.flush(f->port.registry.self, &f->err), TP_ERROR_IO);
    /* What needs no disk goes on. */
    assert_int_equal(f->port.journal.reserve(f->port.journal.self, 0, 1000), 1);
    f->port.journal.unreserve(f->port.journal.self, 0, 1000);
    for (int i = 0; i < 50; i++)
        one_record(f, 10);
    f->port.figures(f->port.self, &n);
    assert_int_equal(n.healthy, 0);
    assert_true(n.failed_writes > 0);
    assert_true(n.journal_bytes > 100 * 200);
    assert_int_equal(fx_load(f, 0).used, 100); /* what is stored can be read */
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &was), 0);
    fx_until_healthy(f, 1);
    fx_flush(f);
    assert_int_equal(fx_load(f, 0).used, 1100);
    assert_int_equal(fx_load(f, 0).teams, 1); /* what was refused is not there */
    assert_int_equal(put_team(f, "acme"), 0);
    fx_right(f);
    f->port.figures(f->port.self, &n);
    assert_int_equal(n.journal_bytes, 0);
    assert_int_equal(n.drained_records, 110);
    assert_int_equal(fx_says(f, "written again"), 1);
}

static void a_lane_without_room_refuses(void **state)
{
    fx *f = *state;
    struct rlimit was, less;
    store_figures n;
    fx_open(f);
    fx_add(f, 1);
    fx_flush(f);
    signal(SIGXFSZ, SIG_IGN);
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &was), 0);
    less = was;
    less.rlim_cur = 1;
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &less), 0);
    int taken = 0;
    while (taken < 10000 && f->port.journal.reserve(f->port.journal.self, 0, 1000)) {
        fx_record x = fx_make(f->serial++, fx_now());
        x.r.generation.ptr = x.id;
        assert_int_equal(f->port.journal.append(f->port.journal.self, 0, &x.r, 1000), 0);
        taken++;
    }
    assert_true(taken > 100 && taken < 10000);
    f->port.figures(f->port.self, &n);
    assert_true(n.journal_bytes > LANE_BYTES / 2);
    assert_int_equal(n.journal_capacity, 2 * LANE_BYTES);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &was), 0);
    fx_until_healthy(f, 1);
    fx_flush(f);
    assert_int_equal(f->port.journal.reserve(f->port.journal.self, 0, 1000), 1);
    assert_int_equal(fx_load(f, 0).used, 10 * (taken + 1));
    fx_right(f);
}

static void run(const char *fmt, ...) TP_PRINTF(1, 2);
static void run(const char *fmt, ...)
{
    char command[400];
    va_list args;
    va_start(args, fmt);
    vsnprintf(command, sizeof(command), fmt, args);
    va_end(args);
    if (system(command) != 0)
        fail_msg("%s", command);
}

enum { IN_PLACE, BY_RENAME, REMOVED, MOVED_AWAY, OTHER_STORE, OLDER_AT_ONCE };

static void other_store(fx *f, const char *path)
{
    fx other = *f;
    snprintf(other.path, sizeof(other.path), "%s", path);
    snprintf(other.journal, sizeof(other.journal), "%s/other", f->dir);
    fx_open(&other);
    fx_close(&other);
}

/* Spoils the file in one way, and puts it right again. What was stored before the backup and what
 * came while it was spoilt is there after it. */
static void spoilt_and_restored(fx *f, int how)
{
    char backup[128], aside[128], junk[128];
    int64_t balance, seq;
    snprintf(backup, sizeof(backup), "%s/backup", f->dir);
    snprintf(aside, sizeof(aside), "%s/aside", f->dir);
    snprintf(junk, sizeof(junk), "%s/junk", f->dir);
    fx_open(f);
    assert_int_equal(fx_grant(f, "acme", 5000, "one", &balance, &seq), 0);
    fx_add(f, 20);
    assert_int_equal(f->port.registry.backup(f->port.registry.self, backup, &f->err), 0);
    run("head -c 100000 /dev/urandom > '%s'", junk);
    switch (how) {
    case IN_PLACE:
        run("cat '%s' > '%s'", junk, f->path);
        break;
    case BY_RENAME:
        run("mv '%s' '%s'", junk, f->path);
        break;
    case REMOVED:
        run("rm '%s'", f->path);
        break;
    case MOVED_AWAY:
        one_record(f, 10); /* not in the backup, but in the file that comes back */
        fx_flush(f);
        run("mv '%s' '%s'", f->path, aside);
        break;
    case OTHER_STORE:
        other_store(f, aside);
        run("mv '%s' '%s'", aside, f->path);
        break;
    default:
        run("cp '%s' '%s.new' && mv '%s.new' '%s'", backup, backup, backup, f->path);
    }
    if (how != OLDER_AT_ONCE) {
        for (int i = 0; i < 20; i++)
            one_record(f, 10);
        fx_until_healthy(f, 0);
        assert_int_equal(put_team(f, "nobody"), TP_ERROR_IO);
        assert_int_equal(atomic_load(&f->reopened), 0);
        char why[256];
        f->port.health(f->port.self, why, sizeof(why));
        const char *says[] = {"is no database any more", "no database", "is gone", "is gone",
                              "of another store"};
        if (!strstr(why, says[how]))
            fail_msg("%d: %s", how, why);
        usleep(700000); /* tried again, in vain */
        assert_false(fx_healthy(f));
        if (how == REMOVED)
            assert_int_equal(access(f->path, F_OK), -1); /* not made anew */
        if (how == IN_PLACE)
            run("cat '%s' > '%s'", backup, f->path);
        else
            run("mv '%s' '%s'", how == MOVED_AWAY ? aside : backup, f->path);
    } else {
        for (int i = 0; i < 2000 && !atomic_load(&f->reopened); i++)
            usleep(1000);
        for (int i = 0; i < 20; i++)
            one_record(f, 10);
    }
    fx_until_healthy(f, 1);
    fx_flush(f);
    for (int i = 0; i < 1000 && !atomic_load(&f->reopened); i++)
        usleep(1000);
    assert_int_equal(atomic_load(&f->reopened), 1);
    fx_sums x = fx_load(f, 0);
    assert_int_equal(x.credited, 5000);
    assert_int_equal(x.used, how == MOVED_AWAY ? 410 : 400);
    assert_int_equal(x.teams, 1);
    assert_int_equal(put_team(f, "acme"), 0);
    fx_right(f);
    fx_close(f);
    fx_open(f); /* and nothing is left that a restart would trip over */
    assert_int_equal(fx_load(f, 0).used, how == MOVED_AWAY ? 410 : 400);
    fx_right(f);
}

static void overwritten_in_place(void **state)
{
    spoilt_and_restored(*state, IN_PLACE);
}

static void replaced_by_rename(void **state)
{
    spoilt_and_restored(*state, BY_RENAME);
}

static void removed(void **state)
{
    spoilt_and_restored(*state, REMOVED);
}

static void moved_away_and_back(void **state)
{
    spoilt_and_restored(*state, MOVED_AWAY);
}

static void another_stores_file(void **state)
{
    spoilt_and_restored(*state, OTHER_STORE);
}

static void an_older_backup_put_in_its_place(void **state)
{
    spoilt_and_restored(*state, OLDER_AT_ONCE);
}

static void a_locked_file_is_waited_for(void **state)
{
    fx *f = *state;
    sqlite3 *db;
    fx_open(f);
    assert_int_equal(sqlite3_open(f->path, &db), SQLITE_OK);
    assert_int_equal(sqlite3_exec(db, "BEGIN IMMEDIATE", NULL, NULL, NULL), SQLITE_OK);
    one_record(f, 10);
    fx_until_healthy(f, 0);
    one_record(f, 10);
    assert_int_equal(sqlite3_exec(db, "ROLLBACK", NULL, NULL, NULL), SQLITE_OK);
    sqlite3_close(db);
    fx_until_healthy(f, 1);
    fx_flush(f);
    assert_int_equal(fx_load(f, 0).used, 20);
    assert_int_equal(atomic_load(&f->reopened), 0); /* nothing that memory must ask again */
}

/* ---- Others beside it. */

static void one_writes_and_others_read(void **state)
{
    fx *f = *state;
    store_port beside;
    int64_t balance, seq;
    char text[4000];
    registry_verdict v;
    fx_open(f);
    fx_add(f, 5);
    fx_flush(f);
    assert_int_equal(fx_try(f, 0, &beside), TP_ERROR_IO);
    assert_non_null(strstr(f->err.text, "another process writes it"));
    assert_int_equal(fx_try(f, STORE_READ_ONLY, &beside), 0);
    fx b = *f;
    b.port = beside;
    assert_int_equal(fx_load(&b, 0).used, 50);
    assert_int_equal(fx_verify(&b, &v, text), 0);
    assert_int_equal(v.generations, 5);
    assert_int_equal(put_team(&b, "x"), TP_ERROR_IO);
    assert_non_null(strstr(b.err.text, "for reading only"));
    assert_int_equal(fx_grant(&b, "acme", 1, "", &balance, &seq), TP_ERROR_IO);
    beside.close(beside.self);
    fx_close(f);
    fx_open_offline(f); /* nobody runs: a command may write */
    assert_int_equal(fx_grant(f, "acme", 1, "", &balance, &seq), 0);
    assert_int_equal(balance, -49);
    assert_null(f->port.journal.append);
}

typedef struct hammer {
    fx *f;
    atomic_int stop;
    int64_t granted;
} hammer;

static void *appends(void *arg)
{
    hammer *h = arg;
    for (uint64_t n = 0; !atomic_load(&h->stop); n++) {
        fx_record x = fx_make(1000000 + n, fx_now());
        x.r.generation.ptr = x.id;
        if (h->f->port.journal.append(h->f->port.journal.self, 0, &x.r, 0) < 0)
            usleep(1000);
    }
    return NULL;
}

static void *grants(void *arg)
{
    hammer *h = arg;
    int64_t balance, seq;
    while (!atomic_load(&h->stop)) {
        ledger_entry e = {.kind = LEDGER_GRANT, .team = STR("acme"), .nano = 7, .unix_ms = 1};
        if (h->f->port.registry.add_entry(h->f->port.registry.self, &e, &balance, &seq, NULL) == 0)
            h->granted += 7;
    }
    return NULL;
}

static void a_backup_while_it_writes_is_consistent(void **state)
{
    fx *f = *state;
    hammer h = {.f = f}, g = {.f = f};
    pthread_t a, b;
    char path[128];
    struct stat st;
    fx_open(f);
    assert_int_equal(pthread_create(&a, NULL, appends, &h), 0);
    assert_int_equal(pthread_create(&b, NULL, grants, &g), 0);
    for (int i = 0; i < 3; i++) {
        usleep(50000);
        snprintf(path, sizeof(path), "%s/backup-%d", f->dir, i);
        assert_int_equal(f->port.registry.backup(f->port.registry.self, path, &f->err), 0);
        assert_int_equal(stat(path, &st), 0);
        assert_int_equal(st.st_mode & 0777, 0600);
        fx_right(f);
    }
    atomic_store(&h.stop, 1);
    atomic_store(&g.stop, 1);
    pthread_join(a, NULL);
    pthread_join(b, NULL);
    assert_int_equal(f->port.registry.backup(f->port.registry.self, path, &f->err), TP_ERROR_EXISTS);
    assert_non_null(strstr(f->err.text, "File exists"));
    fx_flush(f);
    assert_int_equal(fx_load(f, 0).credited, g.granted);
    int64_t used = fx_load(f, 0).used, before = 0;
    fx_close(f);
    for (int i = 0; i < 3; i++) {
        fx copy = *f;
        snprintf(copy.path, sizeof(copy.path), "%s/backup-%d", f->dir, i);
        snprintf(copy.journal, sizeof(copy.journal), "%s/none", f->dir);
        fx_open_offline(&copy);
        fx_right(&copy);
        fx_sums x = fx_load(&copy, 0);
        assert_true(x.used > before && x.used <= used);
        before = x.used;
        fx_close(&copy);
    }
}

static void a_start_says_what_a_damaged_file_needs(void **state)
{
    fx *f = *state;
    fx_open(f);
    fx_add(f, 5);
    fx_close(f);
    run("head -c 20000 /dev/urandom > '%s'", f->path);
    assert_int_equal(fx_try(f, 0, &f->port), TP_ERROR_IO);
    assert_non_null(strstr(f->err.text, "restore it from a backup"));
    assert_int_equal(fx_try(f, 0, &f->port), TP_ERROR_IO); /* and holds no lock after that */
    assert_null(strstr(f->err.text, "another process"));
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, fx_setup, fx_teardown)
    const struct CMUnitTest tests[] = {
        T(each_record_is_stored_once_after_kill_9),
        T(a_full_disk_costs_nothing),
        T(a_lane_without_room_refuses),
        T(overwritten_in_place),
        T(replaced_by_rename),
        T(removed),
        T(moved_away_and_back),
        T(another_stores_file),
        T(an_older_backup_put_in_its_place),
        T(a_locked_file_is_waited_for),
        T(one_writes_and_others_read),
        T(a_backup_while_it_writes_is_consistent),
        T(a_start_says_what_a_damaged_file_needs),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
