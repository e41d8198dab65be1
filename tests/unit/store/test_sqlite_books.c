/* The books on SQLite: generations and their pages, retention, the ledger, verification. Rows of the
 * registry are in test_sqlite_registry.c. */
#include "sqlite_fixture.h"

/* ---- Generations. */

typedef struct found {
    uint32_t count;
    int64_t latencies[2000];
    char last[64];
    settle_record r;
    int stop_at;
} found;

static int find(void *arg, const settle_record *r)
{
    found *x = arg;
    assert_true(x->count < 2000);
    x->latencies[x->count++] = r->latency_us - 1000;
    snprintf(x->last, sizeof(x->last), "%.*s", STR_ARG(r->generation));
    x->r = *r;
    return x->stop_at && (int)x->count == x->stop_at ? 88 : 0;
}

static int look_up(fx *f, const char *id, found *x)
{
    *x = (found){0};
    return f->port.registry.generation(f->port.registry.self, str_of(id), find, x, &f->err);
}

static void a_generation_is_found_by_its_id(void **state)
{
    fx *f = *state;
    static char ids[60][64];
    int64_t now = fx_now();
    found x;
    fx_open(f);
    for (uint64_t i = 0; i < 60; i++) {
        /* young ones, a stream of half an hour, and what a gateway that was down
         * left */
        int64_t at = now - (i % 3 == 0 ? 0 : i % 3 == 1 ? 1800000 : 3 * DAY_MS);
        fx_record r = fx_make(i, at);
        memcpy(ids[i], r.id, sizeof(ids[i]));
        r.r.unix_ms = now;
        fx_append(f, 0, &r);
        if (i % 7 == 0)
            fx_flush(f);
    }
    for (uint64_t i = 0; i < 60; i++) {
        assert_int_equal(look_up(f, ids[i], &x), 0);
        assert_int_equal(x.count, 1);
        assert_int_equal(x.latencies[0], i);
        assert_string_equal(x.last, ids[i]);
        assert_int_equal(usage_get(&x.r.used, STR("completion")), i);
    }
    fx_record none = fx_make(1000, now);
    assert_int_equal(look_up(f, none.id, &x), TP_ERROR_NOT_FOUND);
    assert_int_equal(look_up(f, "gen-1", &x), TP_ERROR_NOT_FOUND);
    assert_int_equal(look_up(f, "", &x), TP_ERROR_NOT_FOUND);
    assert_int_equal(x.count, 0);
}

static int list(fx *f, registry_query *q, char next[64], found *x)
{
    *x = (found){.stop_at = x->stop_at};
    return f->port.registry.generations(f->port.registry.self, q, find, x, next, &f->err);
}

static void pages_are_newest_first_and_lack_nothing(void **state)
{
    fx *f = *state;
    char next[64], cursor[64] = "";
    found x = {0};
    fx_open(f);
    f->lanes = 1;
    for (int i = 0; i < 11; i++) { /* segments of 1 to 11 records */
        fx_add(f, (uint32_t)i + 1);
        fx_flush(f);
    }
    int64_t expected = 65;
    registry_query q = {.limit = 7};
    for (int pages = 1;; pages++) {
        q.cursor = str_of(cursor);
        assert_int_equal(list(f, &q, next, &x), 0);
        assert_true(x.count == 7 || !next[0]);
        for (uint32_t i = 0; i < x.count; i++)
            assert_int_equal(x.latencies[i], expected--);
        if (!next[0]) {
            assert_int_equal(pages, 10);
            break;
        }
        memcpy(cursor, next, sizeof(cursor));
    }
    assert_int_equal(expected, -1);
    q = (registry_query){.limit = 66};
    assert_int_equal(list(f, &q, next, &x), 0);
    assert_int_equal(x.count, 66);
    assert_int_equal(next[0], 0); /* there is no next page, and it says so */
    q.cursor = STR("nonsense");
    assert_int_equal(list(f, &q, next, &x), TP_ERROR_NOT_FOUND);
    q = (registry_query){.limit = 66};
    x.stop_at = 3;
    assert_int_equal(list(f, &q, next, &x), 88);
}

static void pages_are_filtered(void **state)
{
    fx *f = *state;
    char next[64];
    found x = {0};
    int64_t now = fx_now();
    fx_open(f);
    for (uint64_t i = 0; i < 300; i++) {
        fx_record r = fx_make(i, now - DAY_MS + (int64_t)i * 1000);
        if (i % 2)
            r.r.team = STR("odd");
        if (i % 3 == 0)
            r.r.model_served = STR("three");
        if (i % 5 == 0)
            r.r.key_id = STR("key_5");
        if (i % 7 == 0)
            r.r.provider = STR("seven");
        if (i == 77)
            r.r.outcome = SETTLE_CANCELLED;
        fx_append(f, 0, &r);
        if (i % 50 == 49)
            fx_flush(f);
    }
    static const struct {
        registry_query q;
        uint32_t count;
    } cases[] = {{{.limit = 1000}, 300},
                 {{.limit = 1000, .team = {"odd", 3}}, 150},
                 {{.limit = 1000, .model = {"three", 5}}, 100},
                 {{.limit = 1000, .model = {"m", 1}}, 300},
                 {{.limit = 1000, .key = {"key_5", 5}}, 60},
                 {{.limit = 1000, .provider = {"seven", 5}, .team = {"odd", 3}}, 21},
                 {{.limit = 1000, .status = SETTLE_CANCELLED}, 1},
                 {{.limit = 1000, .team = {"none", 4}}, 0}};
    for (size_t i = 0; i < TP_COUNT(cases); i++) {
        registry_query q = cases[i].q;
        assert_int_equal(list(f, &q, next, &x), 0);
        assert_int_equal(x.count, cases[i].count);
        assert_int_equal(next[0], 0);
    }
    registry_query q = {
        .limit = 1000, .from_ms = now - DAY_MS + 100000, .to_ms = now - DAY_MS + 200000};
    assert_int_equal(list(f, &q, next, &x), 0);
    assert_int_equal(x.count, 100);
    assert_int_equal(x.latencies[0], 199);
    assert_int_equal(x.latencies[99], 100);
    fx_record young = fx_make(500, now); /* one of now, not late at all */
    fx_append(f, 0, &young);
    q = (registry_query){.limit = 1000, .from_ms = now - 1000};
    assert_int_equal(list(f, &q, next, &x), 0);
    assert_int_equal(x.count, 1);
    q = (registry_query){.limit = 1000, .to_ms = now - 1000};
    assert_int_equal(list(f, &q, next, &x), 0);
    assert_int_equal(x.count, 300);
}

static void old_segments_go(void **state)
{
    fx *f = *state;
    store_figures n;
    found x = {0};
    char next[64];
    fx_open(f);
    for (int i = 0; i < 30; i++) {
        fx_add(f, 1);
        fx_flush(f);
    }
    fx_close(f);
    fx_sql(f, "UPDATE segment SET id = id - 100 * 86400000000 WHERE id IN"
              " (SELECT id FROM segment ORDER BY id LIMIT 20)");
    f->retention_days = 90;
    fx_open(f);
    for (int i = 0; i < 5000; i++) {
        f->port.figures(f->port.self, &n);
        if (n.segments_dropped == 20)
            break;
        usleep(1000);
    }
    assert_int_equal(n.segments_dropped, 20);
    registry_query q = {.limit = 1000};
    assert_int_equal(list(f, &q, next, &x), 0);
    assert_int_equal(x.count, 10);
    assert_int_equal(x.latencies[9], 20);
    fx_sums sums = fx_load(f, 0);
    assert_int_equal(sums.used, 300); /* the ledger keeps them all */
    fx_right(f);
}

/* The clock was years ahead for a while: ids of segments, which only go up, stay there. */
static void segments_go_by_age_after_a_wrong_clock(void **state)
{
    fx *f = *state;
    store_figures n;
    found x = {0};
    char next[64];
    fx_open(f);
    fx_record ahead = fx_make(1000, fx_now() + 3000 * DAY_MS);
    fx_append(f, 0, &ahead);
    fx_flush(f);
    for (uint64_t i = 0; i < 30; i++) {
        fx_record r = fx_make(i, fx_now() - (i < 20 ? 100 * DAY_MS : 0));
        fx_append(f, 0, &r);
        fx_flush(f);
    }
    fx_close(f);
    assert_int_equal(fx_number(f, "SELECT count(*) FROM segment_late"), 30);
    f->retention_days = 90;
    fx_open(f);
    for (int i = 0; i < 5000; i++) {
        f->port.figures(f->port.self, &n);
        if (n.segments_dropped == 20)
            break;
        usleep(1000);
    }
    assert_int_equal(n.segments_dropped, 20);
    registry_query q = {.limit = 1000};
    assert_int_equal(list(f, &q, next, &x), 0);
    assert_int_equal(x.count, 11);
    char id[64];
    memcpy(id, x.last, sizeof(id));
    assert_int_equal(look_up(f, id, &x), 0); /* the others are still found */
    fx_right(f);
    fx_close(f);
    assert_int_equal(fx_number(f, "SELECT count(*) FROM segment_late"), 10);
}

static void pages_go_on_while_segments_go(void **state)
{
    fx *f = *state;
    char next[64], cursor[64];
    found x = {0};
    int64_t expected = 29;
    fx_open(f);
    for (int i = 0; i < 30; i++) {
        fx_add(f, 1);
        fx_flush(f);
    }
    registry_query q = {.limit = 4};
    for (int page = 0; expected >= 0; page++) {
        assert_int_equal(list(f, &q, next, &x), 0);
        for (uint32_t i = 0; i < x.count; i++)
            assert_int_equal(x.latencies[i], expected--);
        if (page == 2) { /* 12 were told; of the rest the oldest 10, and the one told last, go */
            fx_sql(f, "DELETE FROM segment WHERE id IN (SELECT id FROM segment ORDER BY id LIMIT 10)"
                      " OR id = (SELECT id FROM segment ORDER BY id DESC LIMIT 1 OFFSET 11)");
            fx_sql(f, "DELETE FROM segment WHERE id = (SELECT id FROM segment ORDER BY id DESC"
                      " LIMIT 1 OFFSET 11)"); /* where the next page was to begin */
            expected--;
        }
        if (!next[0])
            break;
        memcpy(cursor, next, sizeof(cursor));
        q.cursor = str_of(cursor);
    }
    assert_int_equal(expected, 9);
}

static void append_again(fx *f, uint32_t lane, uint64_t n, int64_t at)
{
    fx_record x = fx_make(n, at);
    fx_append(f, lane, &x);
}

/* Whatever brings a generation into the journal again, it is charged once. */
static void a_generation_is_stored_once(void **state)
{
    fx *f = *state;
    found x = {0};
    char next[64];
    int64_t at = fx_now();
    f->flush_ms = 3600000; /* only when asked, so that each flush is one transaction */
    fx_open(f);
    usleep(20000);
    for (int i = 0; i < 3; i++) /* in one batch, of one lane and of two */
        append_again(f, i == 2, 1, at);
    fx_flush(f);
    append_again(f, 0, 1, at); /* in another */
    append_again(f, 1, 2, at);
    fx_flush(f);
    assert_int_equal(fx_load(f, 0).used, 20);
    assert_int_equal(fx_says(f, "is stored already"), 3);
    fx_right(f);
    /* One that could not be stored comes again, and that is no repetition. */
    fx_sql(f, "CREATE TRIGGER full BEFORE INSERT ON segment BEGIN SELECT RAISE(ABORT, 'no'); END");
    append_again(f, 0, 3, at);
    assert_int_equal(f->port.registry.flush(f->port.registry.self, &f->err), TP_ERROR_IO);
    fx_sql(f, "DROP TRIGGER full");
    fx_until_healthy(f, 1);
    fx_flush(f);
    assert_int_equal(fx_load(f, 0).used, 30);
    for (uint64_t n = 10; n < 10 + 10000; n++) { /* more than are remembered */
        if (n % 1000 == 0)
            fx_flush(f);
        append_again(f, 0, n, at);
    }
    fx_flush(f);
    assert_int_equal(fx_load(f, 0).used, 100030);
    registry_query q = {.limit = 3};
    assert_int_equal(list(f, &q, next, &x), 0);
    fx_right(f);
}

/* ---- The ledger. */

typedef struct entries {
    uint32_t count;
    int64_t sum, first, last;
    int32_t kinds[1000];
    char generation[64], price[32], note[32];
} entries;

static int enter(void *arg, const ledger_entry *e)
{
    entries *x = arg;
    assert_true(x->count < 1000);
    if (x->count == 0)
        x->first = e->seq;
    x->kinds[x->count++] = e->kind;
    x->last = e->seq;
    x->sum += e->nano;
    if (e->kind == LEDGER_SETTLE) {
        snprintf(x->generation, sizeof(x->generation), "%.*s", STR_ARG(e->generation));
        snprintf(x->price, sizeof(x->price), "%.*s", STR_ARG(e->price_version));
    }
    if (e->note.len)
        snprintf(x->note, sizeof(x->note), "%.*s", STR_ARG(e->note));
    return 0;
}

static entries read_ledger(fx *f, const registry_query *q, char next[64])
{
    entries x = {0};
    if (f->port.registry.ledger(f->port.registry.self, q, enter, &x, next, &f->err) != 0)
        fail_msg("%s", f->err.text);
    return x;
}

static void the_ledger_is_read_in_order(void **state)
{
    fx *f = *state;
    int64_t balance, seq;
    char next[64], cursor[64] = "";
    fx_open(f);
    fx_grant(f, "acme", 1000, "", &balance, &seq); /* 1 */
    fx_add(f, 5);
    fx_flush(f);                                   /* 2 .. 16 */
    fx_grant(f, "acme", 2000, "", &balance, &seq); /* 17 */
    assert_int_equal(seq, 17);
    fx_grant(f, "other", 3, "", &balance, &seq); /* 18 */
    fx_add(f, 5);
    fx_flush(f); /* 19 .. 33 */
    registry_query all = {.limit = 0};
    entries x = read_ledger(f, &all, next);
    assert_int_equal(x.count, 33);
    assert_int_equal(x.first, 1);
    assert_int_equal(x.last, 33);
    assert_int_equal(x.sum, 3003 - 100);
    assert_int_equal(next[0], 0);
    static const int32_t begin[] = {LEDGER_GRANT, LEDGER_HOLD, LEDGER_SETTLE, LEDGER_RELEASE,
                                    LEDGER_HOLD};
    for (size_t i = 0; i < TP_COUNT(begin); i++)
        assert_int_equal(x.kinds[i], begin[i]);
    assert_string_equal(x.price, "p-0123456789abcdef");
    assert_string_equal(x.note, "for the test");
    assert_true(profile_reply_id_ms(str_of(x.generation)) > 0);

    int64_t expected = 33, sum = 0;
    registry_query q = {.limit = 4};
    for (int pages = 1;; pages++) {
        q.cursor = str_of(cursor);
        x = read_ledger(f, &q, next);
        assert_int_equal(x.first, expected);
        assert_int_equal(x.last, expected - (int64_t)x.count + 1);
        expected -= x.count;
        sum += x.sum;
        if (!next[0]) {
            assert_int_equal(pages, 9);
            break;
        }
        assert_int_equal(x.count, 4);
        memcpy(cursor, next, sizeof(cursor));
    }
    assert_int_equal(expected, 0);
    assert_int_equal(sum, 3003 - 100);

    q = (registry_query){.limit = 1000, .team = STR("other")};
    assert_int_equal(read_ledger(f, &q, next).count, 1);
    q = (registry_query){.limit = 1000, .team = STR("acme"), .status = LEDGER_SETTLE};
    x = read_ledger(f, &q, next);
    assert_int_equal(x.count, 10);
    assert_int_equal(x.sum, -100);
    q = (registry_query){.limit = 1000, .to_ms = fx_now() - 100000};
    assert_int_equal(read_ledger(f, &q, next).count, 0);
}

/* ---- Faults that are found. */

static void good_store(fx *f)
{
    int64_t balance, seq;
    registry_team t = {.id = STR("acme"), .active = 1, .billing = CONF_PREPAID};
    f->flush_ms = 3600000; /* only when asked, so that each flush is one transaction */
    fx_open(f);
    assert_int_equal(f->port.registry.put_team(f->port.registry.self, &t, &f->err), 0);
    fx_grant(f, "acme", 1000, "a", &balance, &seq);
    fx_add(f, 10);
    fx_flush(f);
    fx_grant(f, "acme", 1000, "b", &balance, &seq);
    fx_add(f, 10);
    fx_flush(f);
    fx_right(f);
    fx_close(f);
}

static void faults_are_found(void **state)
{
    fx *f = *state;
    static const struct {
        const char *sql, *says;
        int start; /* 1: the start finds it, too */
    } cases[] = {
        {"UPDATE segment SET data = CAST(substr(data, 1, 145) || x'5a' || substr(data, 147) AS"
         " BLOB) WHERE id = (SELECT min(id) FROM segment)",
         "generations, segment", 0},
        {"UPDATE segment SET data = CAST(substr(data, 1, length(data) - 1) AS "
         "BLOB)",
         "cannot be read beyond record 9", 0},
        {"UPDATE segment SET count = 9", "10 records where 9 were stored", 0},
        {"UPDATE segment SET last_ms = first_ms - 1", "of another time", 0},
        {"INSERT INTO segment SELECT id + 1, first_ms, last_ms, count, crc, "
         "drained_ms, data FROM"
         " segment ORDER BY id DESC LIMIT 1",
         "is stored twice", 0},
        {"UPDATE ledger_segment SET data = CAST(substr(data, 1, 120) || x'5a' || "
         "substr(data, 122)"
         " AS BLOB) WHERE first_seq = 2",
         "ledger from entry 2 on: the check sum is wrong", 0},
        {"UPDATE ledger_segment SET entries = 29 WHERE first_seq = 2",
         "30 entries where 29 were stored", 0},
        {"UPDATE account SET used = used + 1", "account of team acme", 1},
        {"UPDATE account SET credited = credited + 1", "account of team acme", 1},
        {"DELETE FROM account", "account of team acme", 1},
        {"UPDATE ledger_day SET charged = charged - 10;"
         "UPDATE account SET used = used - 10",
         "sums of day and team", 0},
        {"DELETE FROM ledger_entry WHERE seq = 32", "ledger entries 32 to 32 are missing", 1},
        {"DELETE FROM ledger_entry WHERE seq = 32;"
         "UPDATE account SET credited = 1000, entries = entries - 1",
         "ledger entries 32 to 32 are missing", 0},
        {"UPDATE ledger_entry SET nano = nano + 5 WHERE seq = 1", "account of team acme", 1},
        {"DELETE FROM ledger_segment WHERE first_seq = 33", "has no entry in the ledger", 0},
        /* A settle that is there twice, with every sum made to fit. */
        {"INSERT INTO ledger_segment SELECT 63, entries, day, first_ms, last_ms, "
         "crc, data FROM"
         " ledger_segment WHERE first_seq = 33;"
         "UPDATE ledger_day SET charged = charged + 100, entries = entries + 30;"
         "UPDATE account SET used = used + 100, entries = entries + 30;"
         "UPDATE key_spend SET total = total + 100",
         "is settled a second time", 0},
        {"UPDATE key_spend SET total = 0", "key key_1", 0},
        {"UPDATE ledger_entry SET nano = 50; UPDATE account SET credited = 100",
         "prepaid, and its balance is -100", 0},
        {"INSERT INTO rejected VALUES(x'00', 9, 1, x'01')", "could not be read and lies aside", 0},
    };
    char good[180], text[4000], command[400];
    registry_verdict v;
    good_store(f);
    snprintf(good, sizeof(good), "%s.good", f->path);
    snprintf(command, sizeof(command), "cp '%s' '%s'", f->path, good);
    assert_int_equal(system(command), 0);
    for (size_t i = 0; i < TP_COUNT(cases); i++) {
        snprintf(command, sizeof(command), "cp '%s' '%s'", good, f->path);
        assert_int_equal(system(command), 0);
        fx_sql(f, cases[i].sql);
        fx_open(f);
        if (fx_healthy(f) == cases[i].start)
            fail_msg("case %zu: the start %s it", i, cases[i].start ? "does not find" : "finds");
        if (fx_verify(f, &v, text) == 0)
            fail_msg("case %zu is not found", i);
        if (!strstr(text, cases[i].says))
            fail_msg("case %zu: %s", i, text);
        assert_int_equal(fx_healthy(f), !cases[i].start);
        fx_close(f);
        assert_int_equal(fx_says(f, "run `turnpike ledger verify`") > 0 || !cases[i].start, 1);
    }
    snprintf(command, sizeof(command), "cp '%s' '%s'", good, f->path);
    assert_int_equal(system(command), 0);
    fx_open(f);
    assert_int_equal(fx_verify(f, &v, text), 0);
    assert_int_equal(v.generations, 20);
    assert_int_equal(v.entries, 62);
    assert_int_equal(v.segments, 4);
    assert_int_equal(v.teams, 2);
}

static void an_adjustment_may_overdraw(void **state)
{
    fx *f = *state;
    int64_t balance, seq;
    good_store(f);
    fx_open(f);
    assert_int_equal(fx_grant(f, "acme", -5000, "", &balance, &seq), 0);
    assert_int_equal(balance, 2000 - 200 - 5000);
    fx_right(f);
}

static void bill(fx *f, const char *team, int32_t billing)
{
    registry_team t = {.id = str_of(team), .active = 1, .billing = billing};
    assert_int_equal(f->port.registry.put_team(f->port.registry.self, &t, &f->err), 0);
}

/* Also where nothing says so yet but the team's row: that of a new store, or of an older version. */
static void who_was_postpaid_may_owe(void **state)
{
    fx *f = *state;
    fx_open(f);
    bill(f, "acme", CONF_POSTPAID);
    fx_add(f, 10);
    fx_flush(f);
    bill(f, "acme", CONF_PREPAID);
    fx_right(f);
    bill(f, "acme", CONF_POSTPAID);
    fx_close(f);
    fx_sql(f, "DELETE FROM meta WHERE name LIKE 'postpaid %'");
    fx_open(f);
    bill(f, "acme", CONF_PREPAID);
    bill(f, "acme", CONF_PREPAID); /* changed in another way */
    bill(f, "default", CONF_PREPAID);
    fx_right(f);
    assert_int_equal(fx_number(f, "SELECT count(*) FROM meta WHERE name IN"
                                  " ('postpaid acme', 'postpaid default')"),
                     2);
    bill(f, "other", CONF_PREPAID);
    assert_int_equal(fx_number(f, "SELECT count(*) FROM meta WHERE name = 'postpaid other'"), 0);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, fx_setup, fx_teardown)
    const struct CMUnitTest tests[] = {
        T(a_generation_is_found_by_its_id),
        T(pages_are_newest_first_and_lack_nothing),
        T(pages_are_filtered),
        T(old_segments_go),
        T(segments_go_by_age_after_a_wrong_clock),
        T(pages_go_on_while_segments_go),
        T(a_generation_is_stored_once),
        T(the_ledger_is_read_in_order),
        T(faults_are_found),
        T(an_adjustment_may_overdraw),
        T(who_was_postpaid_may_owe),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
