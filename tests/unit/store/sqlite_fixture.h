/* What the tests of the SQLite store share: a directory, a store with a
 * journal, records. */
#ifndef TP_TEST_SQLITE_FIXTURE_H
#define TP_TEST_SQLITE_FIXTURE_H
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <fcntl.h>
#include <pthread.h>
#include <sqlite3.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/str.h"
#include "profile/profile.h"
#include "store/store.h"

#define DAY_MS INT64_C(86400000)
#define LANE_BYTES (1 << 20)

typedef struct fx {
    char dir[64], path[160], journal[160];
    FILE *say;
    logger log;
    store_port port;
    tp_error err;
    int open;
    uint32_t lanes;
    int64_t flush_ms, retention_days;
    atomic_int reopened;
    uint64_t serial; /* of the next record */
} fx;

static void fx_reopened(void *arg)
{
    atomic_fetch_add(&((fx *)arg)->reopened, 1);
}

static int fx_setup(void **state)
{
    fx *f = calloc(1, sizeof(*f));
    snprintf(f->dir, sizeof(f->dir), "%s", "/tmp/turnpike-store-XXXXXX");
    if (!mkdtemp(f->dir))
        return -1;
    snprintf(f->path, sizeof(f->path), "%s/turnpike.db", f->dir);
    snprintf(f->journal, sizeof(f->journal), "%s/journal", f->dir);
    f->say = tmpfile();
    f->log = (logger){.fd = fileno(f->say), .level = LOG_DEBUG};
    f->lanes = 2;
    f->flush_ms = 1;
    *state = f;
    return 0;
}

static int fx_try(fx *f, int flags, store_port *port)
{
    store_options o = {.path = f->path,
                       .journal_dir = f->journal,
                       .lanes = f->lanes,
                       .lane_bytes = LANE_BYTES,
                       .sync_ms = 1000,
                       .flush_ms = f->flush_ms,
                       .retention_days = f->retention_days,
                       .reopened = fx_reopened,
                       .arg = f};
    f->err = (tp_error){0};
    return store_sqlite_open(&o, flags, &f->log, port, &f->err);
}

static __attribute__((unused)) void fx_open(fx *f)
{
    if (fx_try(f, 0, &f->port) < 0)
        fail_msg("%s", f->err.text);
    f->open = 1;
}

/* As a command opens it when no gateway runs. */
static __attribute__((unused)) void fx_open_offline(fx *f)
{
    store_options o = {.path = f->path, .drain_dir = f->journal, .flush_ms = f->flush_ms};
    if (store_sqlite_open(&o, 0, &f->log, &f->port, &f->err) < 0)
        fail_msg("%s", f->err.text);
    f->open = 1;
}

static void fx_close(fx *f)
{
    if (f->open)
        f->port.close(f->port.self);
    f->open = 0;
}

static int fx_teardown(void **state)
{
    fx *f = *state;
    char command[128];
    fx_close(f);
    fclose(f->say);
    snprintf(command, sizeof(command), "rm -rf '%s'", f->dir);
    int rc = system(command);
    free(f);
    return rc;
}

static __attribute__((unused)) int fx_says(fx *f, const char *part)
{
    static char text[1 << 16];
    int n = 0;
    ssize_t len = pread(f->log.fd, text, sizeof(text) - 1, 0);
    text[TP_MAX(len, 0)] = 0;
    for (const char *at = text; (at = strstr(at, part)); at++)
        n++;
    return n;
}

static __attribute__((unused)) void fx_sql(fx *f, const char *text)
{
    sqlite3 *db;
    char *why = NULL;
    assert_int_equal(sqlite3_open(f->path, &db), SQLITE_OK);
    sqlite3_busy_timeout(db, 5000);
    if (sqlite3_exec(db, text, NULL, NULL, &why) != SQLITE_OK)
        fail_msg("%s", why);
    sqlite3_close(db);
}

static __attribute__((unused)) int64_t fx_number(fx *f, const char *text)
{
    sqlite3 *db;
    sqlite3_stmt *s;
    assert_int_equal(sqlite3_open(f->path, &db), SQLITE_OK);
    sqlite3_busy_timeout(db, 5000);
    assert_int_equal(sqlite3_prepare_v2(db, text, -1, &s, NULL), SQLITE_OK);
    assert_int_equal(sqlite3_step(s), SQLITE_ROW);
    int64_t n = sqlite3_column_int64(s, 0);
    sqlite3_finalize(s);
    sqlite3_close(db);
    return n;
}

static __attribute__((unused)) int64_t fx_now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_REALTIME, &t);
    return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

typedef struct fx_record {
    settle_record r;
    char id[64];
} fx_record;

/* The n-th record of a store: team acme, key key_1, model m, 1,000 held and 10
 * charged. */
static fx_record fx_make(uint64_t n, int64_t unix_ms)
{
    fx_record out;
    size_t len = profile_reply_id(NULL, unix_ms, n * 7919 + 1, n, out.id);
    out.r = (settle_record){.generation = {NULL, len},
                            .team = STR("acme"),
                            .key_id = STR("key_1"),
                            .key = STR("first"),
                            .model_asked = STR("m"),
                            .model_served = STR("m-2"),
                            .provider = STR("p"),
                            .price_version = STR("p-0123456789abcdef"),
                            .unix_ms = unix_ms,
                            .latency_us = 1000 + (int64_t)n,
                            .first_token_us = -1,
                            .status = 200,
                            .outcome = SETTLE_COMPLETED,
                            .cost_nano = 10,
                            .hold_nano = 1000,
                            .charged_nano = 10,
                            .baseline_nano = -1};
    usage_set(&out.r.used, STR("prompt"), 3);
    usage_set(&out.r.used, STR("completion"), (int64_t)n);
    return out;
}

static __attribute__((unused)) void fx_append(fx *f, uint32_t lane, fx_record *x)
{
    x->r.generation.ptr = x->id;
    if (f->port.journal.append(f->port.journal.self, lane, &x->r, 0) < 0)
        fail_msg("no room in the journal");
}

static __attribute__((unused)) void fx_add(fx *f, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        fx_record x = fx_make(f->serial, fx_now());
        fx_append(f, (uint32_t)(f->serial % f->lanes), &x);
        f->serial++;
    }
}

static __attribute__((unused)) void fx_flush(fx *f)
{
    f->err = (tp_error){0};
    if (f->port.registry.flush(f->port.registry.self, &f->err) != 0)
        fail_msg("%s", f->err.text);
}

static __attribute__((unused)) int fx_grant(fx *f, const char *team, int64_t nano, const char *ref,
                                            int64_t *balance, int64_t *seq)
{
    ledger_entry e = {.kind = nano < 0 ? LEDGER_ADJUSTMENT : LEDGER_GRANT,
                      .team = str_of(team),
                      .nano = nano,
                      .unix_ms = fx_now(),
                      .note = STR("for the test"),
                      .actor = STR("socket"),
                      .reference = str_of(ref)};
    f->err = (tp_error){0};
    return f->port.registry.add_entry(f->port.registry.self, &e, balance, seq, &f->err);
}

/* Verifies: the number of faults; the text's beginning in out. */
static __attribute__((unused)) int64_t fx_verify(fx *f, registry_verdict *v, char out[4000])
{
    f->err = (tp_error){0};
    if (f->port.registry.verify(f->port.registry.self, v, &f->err) != 0)
        fail_msg("%s", f->err.text);
    snprintf(out, 4000, "%.*s", (int)v->text.len, v->text.ptr ? v->text.ptr : "");
    buf_free(&v->text);
    return v->faults;
}

static __attribute__((unused)) void fx_right(fx *f)
{
    registry_verdict v;
    char text[4000];
    if (fx_verify(f, &v, text) != 0)
        fail_msg("%s", text);
}

typedef struct fx_sums {
    int64_t credited, used, entries;
    int64_t day, month, total;
    uint32_t teams, keys, byoks;
} fx_sums;

static int fx_sum_team(void *arg, const registry_team *t)
{
    (void)t;
    ((fx_sums *)arg)->teams++;
    return 0;
}

static int fx_sum_sums(void *arg, const registry_sums *s)
{
    fx_sums *x = arg;
    x->credited += s->credited;
    x->used += s->used;
    x->entries += s->entries;
    return 0;
}

static int fx_sum_byok(void *arg, const registry_byok *b)
{
    (void)b;
    ((fx_sums *)arg)->byoks++;
    return 0;
}

static int fx_sum_key(void *arg, const registry_key *k, int64_t day, int64_t month, int64_t total)
{
    fx_sums *x = arg;
    (void)k;
    x->keys++;
    x->day += day;
    x->month += month;
    x->total += total;
    return 0;
}

static __attribute__((unused)) fx_sums fx_load(fx *f, int64_t now_ms)
{
    fx_sums x = {0};
    registry_sink sink = {&x, fx_sum_team, fx_sum_sums, fx_sum_byok, fx_sum_key};
    f->err = (tp_error){0};
    if (f->port.registry.load(f->port.registry.self, now_ms, &sink, &f->err) != 0)
        fail_msg("%s", f->err.text);
    return x;
}

static __attribute__((unused)) int fx_healthy(fx *f)
{
    char why[256];
    return f->port.health(f->port.self, why, sizeof(why)) == 0;
}

/* Waits up to 10 s. */
static __attribute__((unused)) void fx_until_healthy(fx *f, int healthy)
{
    char why[256] = "";
    for (int i = 0; i < 10000; i++) {
        if ((f->port.health(f->port.self, why, sizeof(why)) == 0) == healthy)
            return;
        usleep(1000);
    }
    fail_msg("still %s: %s", healthy ? "in trouble" : "well", why);
}
#endif
