/* What lies beside the store's file: its log, its lock, the journal, links, backups. Somebody takes it
 * away, copies it or mixes it up. */
#include <signal.h>
#include <sys/file.h>
#include <sys/wait.h>

#include "sqlite_fixture.h"
#include "store/sqlite_int.h"

static void run(const char *fmt, ...) TP_PRINTF(1, 2);
static void run(const char *fmt, ...)
{
    char command[600];
    va_list args;
    va_start(args, fmt);
    vsnprintf(command, sizeof(command), fmt, args);
    va_end(args);
    if (system(command) != 0)
        fail_msg("%s", command);
}

/* In a process of its own, which is killed when it has done its part. */
static void in_a_process_that_is_killed(fx *f, void (*part)(fx *f))
{
    int status;
    fflush(NULL);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        part(f);
        kill(getpid(), SIGKILL);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    if (!WIFSIGNALED(status) || WTERMSIG(status) != SIGKILL)
        fail_msg("the other process failed: %x", (unsigned)status);
}

static void grant(fx *f, int64_t nano, const char *reference)
{
    int64_t balance, seq;
    if (fx_grant(f, "acme", nano, reference, &balance, &seq) != 0)
        fail_msg("%s", f->err.text);
}

/* ---- The log. */

static void is_noticed(fx *f, const char *what)
{
    for (int i = 0; i < 5000 && !fx_says(f, what); i++)
        usleep(1000);
    assert_int_equal(fx_says(f, what), 1);
}

static void loses_its_log(fx *f)
{
    fx_open(f);
    grant(f, 1000, "before");
    run("rm '%s-wal'", f->path);
    is_noticed(f, "was taken away");
    if (fx_load(f, 0).credited != 1000) /* and it can be read at once */
        _exit(5);
    grant(f, 500, "after");
}

static void a_log_that_is_removed_costs_nothing(void **state)
{
    fx *f = *state;
    in_a_process_that_is_killed(f, loses_its_log);
    fx_open(f);
    assert_int_equal(fx_load(f, 0).credited, 1500);
    fx_right(f);
}

static void an_index_that_is_removed_is_made_anew(void **state)
{
    fx *f = *state;
    store_port beside;
    fx_open(f);
    grant(f, 1000, "before");
    run("rm '%s-shm'", f->path);
    is_noticed(f, "was taken away");
    grant(f, 500, "after");
    assert_true(fx_healthy(f));
    assert_int_equal(atomic_load(&f->reopened), 0); /* it is the same file */
    assert_int_equal(fx_try(f, STORE_READ_ONLY, &beside), 0);
    fx b = *f;
    b.port = beside;
    assert_int_equal(fx_load(&b, 0).credited, 1500);
    beside.close(beside.self);
    fx_right(f);
}

/* ---- The lock. */

static void a_lock_that_is_removed_is_taken_again(void **state)
{
    fx *f = *state;
    fx second = *f;
    fx_open(f);
    grant(f, 1000, "one");
    run("rm '%s-lock'", f->path);
    is_noticed(f, "-lock was taken away");
    snprintf(second.journal, sizeof(second.journal), "%s/second", f->dir);
    assert_int_equal(fx_try(&second, 0, &second.port), TP_ERROR_IO);
    assert_non_null(strstr(second.err.text, "another process writes it"));
    grant(f, 1, "two");
    fx_right(f);
}

static void who_lost_the_lock_writes_no_more(void **state)
{
    fx *f = *state;
    char lock[200], others[120], why[256];
    int64_t balance, seq;
    fx_open(f);
    grant(f, 1000, "one");
    fx_flush(f);
    snprintf(lock, sizeof(lock), "%s-lock", f->path);
    snprintf(others, sizeof(others), "%s/others", f->dir);
    int fd = open(others, O_RDWR | O_CREAT, 0600); /* another one was quicker */
    assert_int_equal(flock(fd, LOCK_EX | LOCK_NB), 0);
    assert_int_equal(rename(others, lock), 0);
    fx_until_healthy(f, 0);
    f->port.health(f->port.self, why, sizeof(why));
    assert_non_null(strstr(why, "another process writes it"));
    assert_int_equal(fx_grant(f, "acme", 5, "two", &balance, &seq), TP_ERROR_IO);
    fx_add(f, 3);
    close(fd); /* it is gone, and may have written */
    fx_until_healthy(f, 1);
    for (int i = 0; i < 5000 && !atomic_load(&f->reopened); i++)
        usleep(1000);
    assert_int_equal(atomic_load(&f->reopened), 1);
    fx_flush(f);
    assert_int_equal(fx_load(f, 0).used, 30);
    assert_int_equal(fx_load(f, 0).credited, 1000);
    fx_right(f);
}

/* ---- Links. */

static void killed_after_a_grant(fx *f)
{
    fx_open(f);
    grant(f, 1000, "through the link");
}

static void a_link_is_the_file_that_it_names(void **state)
{
    fx *f = *state;
    fx link = *f, other = *f;
    snprintf(link.path, sizeof(link.path), "%s/link.db", f->dir);
    snprintf(other.journal, sizeof(other.journal), "%s/other", f->dir);
    fx_open(f);
    fx_close(f);
    run("ln -s turnpike.db '%s'", link.path);
    in_a_process_that_is_killed(&link, killed_after_a_grant);
    fx_open(f);
    assert_int_equal(fx_load(f, 0).credited, 1000);
    snprintf(other.path, sizeof(other.path), "%s", link.path);
    assert_int_equal(fx_try(&other, 0, &other.port), TP_ERROR_IO); /* one file, one writer */
    assert_non_null(strstr(other.err.text, "another process writes it"));
    fx_close(f);

    run("ln -sf nowhere.db '%s'", link.path);
    assert_int_equal(fx_try(&link, 0, &link.port), TP_ERROR_IO);
    assert_non_null(strstr(link.err.text, "symbolic link"));
}

/* Also with the command that puts a backup in the place of a file. */
static void a_link_that_is_replaced_shows(void **state)
{
    fx *f = *state;
    fx real = *f;
    char why[256], backup[120];
    fx_open(&real);
    grant(&real, 1000, "one");
    snprintf(backup, sizeof(backup), "%s/backup", f->dir);
    assert_int_equal(real.port.registry.backup(real.port.registry.self, backup, &real.err), 0);
    fx_close(&real);
    snprintf(f->path, sizeof(f->path), "%s/link.db", f->dir);
    run("ln -s turnpike.db '%s'", f->path);
    fx_open(f);
    grant(f, 500, "two");
    run("mv '%s' '%s'", backup, f->path);
    fx_until_healthy(f, 0);
    f->port.health(f->port.self, why, sizeof(why));
    assert_non_null(strstr(why, "is not any more"));
    run("mv '%s' '%s' && ln -s turnpike.db '%s'", f->path, backup, f->path);
    fx_until_healthy(f, 1);
    assert_int_equal(fx_load(f, 0).credited, 1500);
    run("mv '%s' '%s'", backup, f->path);
    fx_until_healthy(f, 0);
    fx_add(f, 3); /* goes to the file that is there at the next start */
    fx_close(f);
    fx_open(f);
    assert_int_equal(fx_load(f, 0).credited, 1000);
    assert_int_equal(fx_load(f, 0).used, 30);
    fx_right(f);
}

/* ---- The journal. */

static void a_journal_is_one_stores(void **state)
{
    fx *f = *state;
    fx other = *f;
    snprintf(other.path, sizeof(other.path), "%s/other.db", f->dir);
    fx_open(f);
    fx_add(f, 20);
    fx_flush(f);
    fx_close(f);
    /* store.path was changed, and the journal stayed: what lies in it is not this store's. */
    assert_int_equal(fx_try(&other, 0, &other.port), TP_ERROR_IO);
    assert_non_null(strstr(other.err.text, "of another store"));
    assert_non_null(strstr(other.err.text, "store.journal_dir"));
    store_options o = {.path = other.path, .drain_dir = f->journal, .flush_ms = 1};
    other.err = (tp_error){0};
    assert_int_equal(store_sqlite_open(&o, 0, &f->log, &other.port, &other.err), TP_ERROR_IO);
    assert_non_null(strstr(other.err.text, "of another store"));
    fx_open(f); /* nothing has become of it */
    fx_add(f, 1);
    fx_flush(f);
    assert_int_equal(fx_load(f, 0).used, 210);
    fx_right(f);
    fx_close(f);
    run("rm -r '%s'", f->journal);
    fx_open(&other);
    fx_add(&other, 1);
    fx_flush(&other);
    assert_int_equal(fx_load(&other, 0).used, 10);
    fx_close(&other);
}

static void a_journal_that_does_not_say_whose_it_is_is_taken(void **state)
{
    fx *f = *state;
    fx_open(f);
    fx_close(f);
    run("rm '%s/store'", f->journal); /* as a version before had left it */
    fx_open(f);
    fx_add(f, 1);
    fx_flush(f);
    fx_close(f);
    run("test -s '%s/store'", f->journal);
}

static void killed_with_a_full_journal(fx *f)
{
    f->flush_ms = 3600000;
    fx_open(f);
    usleep(20000); /* the writer has looked once, and sleeps */
    for (uint64_t n = 0; n < 10; n++) {
        fx_record x = fx_make(n, fx_now());
        if (n % 2)
            x.r.flags |= SETTLE_UNKEPT; /* of these only the ledger knows */
        fx_append(f, 0, &x);
        if (n == 4) /* the same generation twice, under two numbers */
            fx_append(f, 0, &x);
    }
}

static void a_generation_counts_once_wherever_it_lies(void **state)
{
    fx *f = *state;
    f->lanes = 1;
    in_a_process_that_is_killed(f, killed_with_a_full_journal);
    /* A copy of the lane, as when two directories were put together. */
    run("cp '%s/lane-00.tpj' '%s/lane-01.tpj'", f->journal, f->journal);
    run("cp '%s/lane-00.tpj' '%s/saved'", f->journal, f->dir);
    fx_open(f);
    assert_int_equal(fx_load(f, 0).used, 100);
    fx_right(f);
    fx_close(f);
    /* And again, when nobody remembers how far it was drained. */
    fx_sql(f, "DELETE FROM journal_state");
    run("cp '%s/saved' '%s/lane-00.tpj'", f->dir, f->journal);
    fx_open(f);
    assert_int_equal(fx_load(f, 0).used, 100);
    fx_right(f);
}

static void a_journal_that_is_removed_shows(void **state)
{
    fx *f = *state;
    char why[256];
    fx_open(f);
    fx_add(f, 1);
    fx_flush(f);
    run("rm -r '%s'", f->journal);
    fx_until_healthy(f, 0);
    f->port.health(f->port.self, why, sizeof(why));
    assert_non_null(strstr(why, "journal"));
    fx_add(f, 1); /* what is still there is stored as before */
    fx_flush(f);
    assert_int_equal(fx_load(f, 0).used, 20);
    fx_close(f);
    fx_open(f);
    assert_true(fx_healthy(f));
}

/* ---- Backups. */

static void backs_up_for_ever(fx *f)
{
    char path[200];
    fx_open(f);
    snprintf(path, sizeof(path), "%s/backup", f->dir);
    kill(getppid(), SIGUSR1);
    f->port.registry.backup(f->port.registry.self, path, &f->err);
}

static volatile sig_atomic_t begun;
static void on_begun(int n)
{
    (void)n;
    begun = 1;
}

static void half_a_backup_has_no_name(void **state)
{
    fx *f = *state;
    char path[120];
    int whole = 0, none = 0;
    fx_open(f);
    grant(f, 1000, "one");
    fx_close(f);
    fx_sql(f, "CREATE TABLE ballast(x);"
              "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 2000)"
              "INSERT INTO ballast SELECT randomblob(4000) FROM n");
    snprintf(path, sizeof(path), "%s/backup", f->dir);
    signal(SIGUSR1, on_begun);
    for (useconds_t after = 0; after < 3000000 && !(none && whole > 1); after += 500 + after / 4) {
        begun = 0;
        unlink(path);
        pid_t child = fork();
        assert_true(child >= 0);
        if (child == 0) {
            backs_up_for_ever(f);
            pause();
        }
        while (!begun)
            usleep(200);
        usleep(after);
        kill(child, SIGKILL);
        assert_int_equal(waitpid(child, NULL, 0), child);
        if (access(path, F_OK) != 0) {
            none++;
            continue;
        }
        fx copy = *f;
        snprintf(copy.path, sizeof(copy.path), "%s", path);
        assert_int_equal(fx_number(&copy, "SELECT count(*) FROM ballast"), 2000);
        whole++;
    }
    assert_true(none > 0 && whole > 0);
    unlink(path);
    fx_open(f); /* and what was broken off does not stand in the way of the next */
    assert_int_equal(f->port.registry.backup(f->port.registry.self, path, &f->err), 0);
    char long_name[400];
    snprintf(long_name, sizeof(long_name), "%s/%0240d", f->dir, 7);
    assert_int_equal(f->port.registry.backup(f->port.registry.self, long_name, &f->err), 0);
}

/* They take minutes of a large store, and what they run on is needed for other things too. */
static void only_a_few_read_everything_at_a_time(void **state)
{
    fx *f = *state;
    const registry_port *r = &f->port.registry;
    registry_verdict v = {0};
    char path[120], nowhere[120];
    fx_open(f);
    snprintf(path, sizeof(path), "%s/backup", f->dir);
    snprintf(nowhere, sizeof(nowhere), "%s/nowhere/backup", f->dir);
    sql_store *s = r->self;
    pthread_mutex_lock(&s->mutex);
    s->wholes = SQL_WHOLES; /* as where so many are under way */
    pthread_mutex_unlock(&s->mutex);
    assert_int_equal(r->verify(r->self, &v, &f->err), TP_ERROR_LIMIT);
    assert_non_null(strstr(f->err.text, "under way"));
    assert_null(v.text.ptr);
    assert_int_equal(r->backup(r->self, path, &f->err), TP_ERROR_LIMIT);
    assert_int_not_equal(access(path, F_OK), 0);
    assert_int_equal(r->flush(r->self, &f->err), 0); /* all else goes on */
    pthread_mutex_lock(&s->mutex);
    s->wholes = SQL_WHOLES - 1;
    pthread_mutex_unlock(&s->mutex);
    assert_int_equal(r->verify(r->self, &v, &f->err), 0);
    buf_free(&v.text);
    assert_int_equal(r->backup(r->self, nowhere, &f->err), TP_ERROR_NOT_FOUND);
    assert_int_equal(r->backup(r->self, path, &f->err), 0);
    pthread_mutex_lock(&s->mutex);
    assert_int_equal(s->wholes, SQL_WHOLES - 1); /* whoever ends makes room, also after a failure */
    s->wholes = 0;
    pthread_mutex_unlock(&s->mutex);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, fx_setup, fx_teardown)
    const struct CMUnitTest tests[] = {
        T(a_log_that_is_removed_costs_nothing),
        T(an_index_that_is_removed_is_made_anew),
        T(a_lock_that_is_removed_is_taken_again),
        T(who_lost_the_lock_writes_no_more),
        T(a_link_is_the_file_that_it_names),
        T(a_link_that_is_replaced_shows),
        T(a_journal_is_one_stores),
        T(a_journal_that_does_not_say_whose_it_is_is_taken),
        T(a_generation_counts_once_wherever_it_lies),
        T(a_journal_that_is_removed_shows),
        T(half_a_backup_has_no_name),
        T(only_a_few_read_everything_at_a_time),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
