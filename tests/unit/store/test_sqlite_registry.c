/* The registry on SQLite: from schema to schema, rows in and out, credits. What lies packed is in
 * test_sqlite_books.c. */
#include <signal.h>
#include <sys/wait.h>

#include "sqlite_fixture.h"

/* ---- From schema 1. */

/* As the version that had usage totals only made it. */
static void old_file(fx *f)
{
    fx_sql(f, "PRAGMA application_id = 1416983150; PRAGMA journal_mode = WAL;"
              "CREATE TABLE schema_version(version INTEGER NOT NULL);"
              "INSERT INTO schema_version VALUES(1);"
              "CREATE TABLE usage_total(day TEXT NOT NULL, key TEXT NOT NULL, model TEXT NOT NULL,"
              " provider TEXT NOT NULL, requests INTEGER NOT NULL, failures INTEGER NOT NULL,"
              " cancelled INTEGER NOT NULL, cost_nano INTEGER NOT NULL,"
              " PRIMARY KEY(day, key, model, provider)) WITHOUT ROWID;"
              "CREATE TABLE usage_unit(day TEXT NOT NULL, key TEXT NOT NULL, model TEXT NOT NULL,"
              " provider TEXT NOT NULL, unit TEXT NOT NULL, count INTEGER NOT NULL,"
              " PRIMARY KEY(day, key, model, provider, unit)) WITHOUT ROWID;"
              "INSERT INTO usage_total VALUES('2026-03-01','k','m','p',3,1,0,99);"
              "INSERT INTO usage_unit VALUES('2026-03-01','k','m','p','prompt',12);");
}

static void a_file_of_version_1_is_brought_up_to_date(void **state)
{
    fx *f = *state;
    old_file(f);
    store_port beside;
    assert_int_equal(fx_try(f, STORE_READ_ONLY, &beside), TP_ERROR_IO);
    assert_non_null(strstr(f->err.text, "older version"));
    fx_open(f);
    fx_add(f, 3);
    fx_flush(f);
    fx_right(f);
    fx_close(f);
    assert_int_equal(fx_number(f, "SELECT version FROM schema_version"), 2);
    assert_int_equal(fx_number(f, "SELECT requests FROM usage_total"), 3);
    assert_int_equal(fx_number(f, "SELECT count FROM usage_unit"), 12);
    assert_int_equal(fx_number(f, "SELECT billing FROM team WHERE id = 'default'"), CONF_POSTPAID);
    assert_int_equal(fx_number(f, "SELECT length(value) FROM meta WHERE name = 'store'"), 16);
    assert_int_equal(fx_number(f, "SELECT sum(count) FROM segment"), 3);
    fx_open(f); /* once is enough */
    assert_int_equal(fx_load(f, fx_now()).teams, 1);
}

/* ---- Rows. */

typedef struct seen {
    char text[4096];
    size_t len;
} seen;

static void see(seen *s, const char *fmt, ...) TP_PRINTF(2, 3);
static void see(seen *s, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    s->len += (size_t)vsnprintf(s->text + s->len, sizeof(s->text) - s->len, fmt, args);
    va_end(args);
    assert_true(s->len < sizeof(s->text));
}

static void see_list(seen *s, const char *name, const tp_str *list, uint32_t count)
{
    see(s, " %s=", name);
    for (uint32_t i = 0; i < count; i++)
        see(s, "[%.*s]", STR_ARG(list[i]));
}

static int see_team(void *arg, const registry_team *t)
{
    seen *s = arg;
    const conf_policy *p = &t->policy;
    if (str_eq(t->id, STR("default")))
        return 0;
    see(s, "team %.*s '%.*s' %d %d '%.*s' %lld %d %d", STR_ARG(t->id), STR_ARG(t->name), t->active,
        t->billing, STR_ARG(t->tier), (long long)t->created_ms, p->min_trust, p->data_local);
    see_list(s, "am", p->allow_models, p->allow_model_count);
    see_list(s, "dm", p->deny_models, p->deny_model_count);
    see_list(s, "ap", p->allow_providers, p->allow_provider_count);
    see_list(s, "dp", p->deny_providers, p->deny_provider_count);
    see(s, "\n");
    return 0;
}

static int see_sums(void *arg, const registry_sums *t)
{
    see(arg, "sums %.*s %lld %lld %lld\n", STR_ARG(t->team), (long long)t->credited,
        (long long)t->used, (long long)t->entries);
    return 0;
}

static int see_byok(void *arg, const registry_byok *b)
{
    see(arg, "byok %.*s %.*s %.*s %.*s %zu %02x %lld\n", STR_ARG(b->team), STR_ARG(b->provider),
        STR_ARG(b->type), STR_ARG(b->hint), b->sealed.len, (unsigned char)b->sealed.ptr[1],
        (long long)b->created_ms);
    return 0;
}

static int see_key(void *arg, const registry_key *k, int64_t day, int64_t month, int64_t total)
{
    seen *s = arg;
    see(s, "key %.*s '%.*s' %.*s %.*s '%.*s' '%.*s' %d %d %d %lld", STR_ARG(k->id),
        STR_ARG(k->name), STR_ARG(k->team), STR_ARG(k->lookup), STR_ARG(k->tier),
        STR_ARG(k->created_by), k->role, k->disabled, k->spend_period,
        (long long)k->spend_limit_nano);
    see(s, " %lld/%lld/%lld %lld %lld %lld %.*s %02x%02x %02x %lld,%lld,%lld",
        (long long)k->limits.requests_per_minute, (long long)k->limits.tokens_per_minute,
        (long long)k->limits.concurrency, (long long)k->created_ms, (long long)k->expires_ms,
        (long long)k->last_used_ms, STR_ARG(k->argon2), k->hmac[0], k->hmac[31], k->pepper_id[7],
        (long long)day, (long long)month, (long long)total);
    see_list(s, "m", k->models, k->model_count);
    see(s, "\n");
    return 0;
}

static seen see_all(fx *f, int64_t now_ms)
{
    seen s = {0};
    registry_sink sink = {&s, see_team, see_sums, see_byok, see_key};
    assert_int_equal(f->port.registry.load(f->port.registry.self, now_ms, &sink, &f->err), 0);
    return s;
}

static registry_key a_key(const char *id, const char *lookup)
{
    static tp_str models[] = {{"gpt-*", 5}, {"a\nb\"c", 5}};
    registry_key k = {.id = str_of(id),
                      .name = STR("n'ame"),
                      .team = STR("acme"),
                      .lookup = str_of(lookup),
                      .created_by = STR("socket"),
                      .models = models,
                      .model_count = 2,
                      .role = CONF_ROLE_MANAGEMENT,
                      .spend_period = REGISTRY_DAILY,
                      .spend_limit_nano = -1,
                      .limits = {-1, 0, 7},
                      .created_ms = 111,
                      .expires_ms = 222,
                      .argon2 = STR("$argon2id$x")};
    memset(k.hmac, 0xab, sizeof(k.hmac));
    k.hmac[31] = 0;
    memset(k.pepper_id, 0xcd, sizeof(k.pepper_id));
    return k;
}

static void rows_come_back_as_they_went(void **state)
{
    fx *f = *state;
    static tp_str some[] = {{"x", 1}, {"", 0}, {"provider/model", 14}};
    fx_open(f);
    const registry_port *r = &f->port.registry;
    registry_team t = {.id = STR("acme"),
                       .name = STR("Acme \xc3\xa9"),
                       .active = 1,
                       .billing = CONF_PREPAID,
                       .created_ms = 5,
                       .policy = {.deny_models = some,
                                  .deny_model_count = 3,
                                  .allow_providers = some,
                                  .allow_provider_count = 1,
                                  .min_trust = 2,
                                  .data_local = 1}};
    assert_int_equal(r->put_team(r->self, &t, &f->err), 0);
    registry_key k = a_key("key_1", "tp_live_aaaaaaaaaaaa");
    assert_int_equal(r->put_key(r->self, &k, &f->err), 0);
    k = a_key("key_2", "tp_live_bbbbbbbbbbbb");
    k.model_count = 0;
    assert_int_equal(r->put_key(r->self, &k, &f->err), 0);
    registry_byok b = {.team = STR("acme"),
                       .provider = STR("openai"),
                       .type = STR("api_key"),
                       .hint = STR("wxyz"),
                       .sealed = {"\1\0\xff", 3},
                       .created_ms = 9};
    assert_int_equal(r->put_byok(r->self, &b, &f->err), 0);
    fx_close(f);
    fx_open(f); /* durable */
    assert_string_equal(see_all(f, 1000).text,
                        "team acme 'Acme \xc3\xa9' 1 1 '' 5 2 1 am= "
                        "dm=[x][][provider/model] ap=[x] dp=\n"
                        "byok acme openai api_key wxyz 3 00 9\n"
                        "key key_1 'n'ame' acme tp_live_aaaaaaaaaaaa '' 'socket' "
                        "2 0 1 -1 -1/0/7 111 222 0"
                        " $argon2id$x ab00 cd 0,0,0 m=[gpt-*][a\nb\"c]\n"
                        "key key_2 'n'ame' acme tp_live_bbbbbbbbbbbb '' 'socket' "
                        "2 0 1 -1 -1/0/7 111 222 0"
                        " $argon2id$x ab00 cd 0,0,0 m=\n");

    /* Changed. */
    t.active = 0;
    t.tier = STR("pro");
    t.policy = (conf_policy){0};
    assert_int_equal(r->put_team(r->self, &t, &f->err), 0);
    k.disabled = 1;
    k.name = STR("new");
    assert_int_equal(r->put_key(r->self, &k, &f->err), 0);
    b.sealed = (tp_str){"\2\7", 2};
    assert_int_equal(r->put_byok(r->self, &b, &f->err), 0);
    assert_int_equal(r->remove_key(r->self, STR("key_1"), &f->err), 0);
    assert_string_equal(see_all(f, 1000).text,
                        "team acme 'Acme \xc3\xa9' 0 1 'pro' 5 0 0 am= dm= ap= dp=\n"
                        "byok acme openai api_key wxyz 2 07 9\n"
                        "key key_2 'new' acme tp_live_bbbbbbbbbbbb '' 'socket' 2 1 1 -1 -1/0/7 "
                        "111 "
                        "222 0 $argon2id$x ab00 cd 0,0,0 m=\n");
    assert_int_equal(r->remove_byok(r->self, STR("acme"), STR("openai"), STR("codestral"), &f->err),
                     TP_ERROR_NOT_FOUND);
    assert_int_equal(r->remove_byok(r->self, STR("acme"), STR("openai"), STR("api_key"), &f->err),
                     0);
    assert_int_equal(r->remove_byok(r->self, STR("acme"), STR("openai"), STR("api_key"), &f->err),
                     TP_ERROR_NOT_FOUND);
    assert_int_equal(fx_load(f, 0).byoks, 0);
}

static void what_is_there_and_what_is_not(void **state)
{
    fx *f = *state;
    fx_open(f);
    const registry_port *r = &f->port.registry;
    registry_key k = a_key("key_1", "tp_live_aaaaaaaaaaaa");
    assert_int_equal(r->put_key(r->self, &k, &f->err), 0);
    k = a_key("key_2", "tp_live_aaaaaaaaaaaa");
    assert_int_equal(r->put_key(r->self, &k, &f->err), TP_ERROR_EXISTS);
    assert_int_equal(fx_load(f, 0).keys, 1);
    assert_int_equal(r->remove_key(r->self, STR("key_2"), &f->err), TP_ERROR_NOT_FOUND);
    assert_true(fx_healthy(f)); /* none of these is the store's trouble */
    assert_int_equal(fx_says(f, "cannot be written"), 0);
    const registry_price prices[] = {{STR("p-1"), STR("d"), STR("{\"a\":1}")},
                                     {STR("p-2"), STR("d"), STR("{\"a\":2}")}};
    const registry_price again = {STR("p-1"), STR("d"), STR("other")};
    assert_int_equal(r->put_prices(r->self, prices, 2, 5, &f->err), 0);
    assert_int_equal(r->put_prices(r->self, &again, 1, 6, &f->err), 0);
    fx_close(f);
    assert_int_equal(fx_number(f, "SELECT first_ms FROM price WHERE json = '{\"a\":1}'"), 5);
}

static void last_use_is_written_behind(void **state)
{
    fx *f = *state;
    fx_open(f);
    const registry_port *r = &f->port.registry;
    registry_key k = a_key("key_1", "tp_live_aaaaaaaaaaaa");
    registry_touch uses[] = {{.id = STR("key_1"), .used_ms = 5000},
                             {.id = STR("gone"), .used_ms = 1},
                             {.id = STR("key_1"), .used_ms = 4000}};
    for (size_t i = 0; i < TP_COUNT(uses); i++) {
        memcpy(uses[i].hmac, k.hmac, sizeof(k.hmac));
        memcpy(uses[i].pepper_id, k.pepper_id, sizeof(k.pepper_id));
    }
    assert_int_equal(r->put_key(r->self, &k, &f->err), 0);
    assert_int_equal(r->touch_keys(r->self, uses, TP_COUNT(uses), &f->err), 0);
    k.last_used_ms = 70; /* an older value does not come back with a change */
    k.name = STR("changed");
    assert_int_equal(r->put_key(r->self, &k, &f->err), 0);
    fx_close(f);
    assert_int_equal(fx_number(f, "SELECT last_used_ms FROM key WHERE name = 'changed'"), 5000);
}

#define FOUR(s) s s s s
/* A key that Argon2id had to know is kept under the pepper of today, whenever it was last used. */
static void a_new_pepper_is_written_behind(void **state)
{
    fx *f = *state;
    fx_open(f);
    const registry_port *r = &f->port.registry;
    registry_key k = a_key("key_1", "tp_live_aaaaaaaaaaaa");
    k.last_used_ms = 9000;
    registry_touch use = {.id = STR("key_1"), .used_ms = 5000};
    memset(use.hmac, 0x5a, sizeof(use.hmac));
    memset(use.pepper_id, 0xa5, sizeof(use.pepper_id));
    assert_int_equal(r->put_key(r->self, &k, &f->err), 0);
    assert_int_equal(r->touch_keys(r->self, &use, 1, &f->err), 0);
    fx_close(f);
    assert_int_equal(fx_number(f, "SELECT last_used_ms FROM key"), 9000);
    assert_int_equal(
        fx_number(f, "SELECT hmac = x'" FOUR(
                         "5a5a5a5a5a5a5a5a") "' AND pepper_id = x'a5a5a5a5a5a5a5a5' FROM key"),
        1);
}

/* ---- Credits. */

static void a_reference_counts_once(void **state)
{
    fx *f = *state;
    int64_t balance, seq, again;
    fx_open(f);
    assert_int_equal(fx_grant(f, "acme", 1000, "invoice-1", &balance, &seq), 0);
    assert_int_equal(balance, 1000);
    assert_int_equal(seq, 1);
    assert_int_equal(fx_grant(f, "acme", 500, "", &balance, &seq), 0);
    assert_int_equal(fx_grant(f, "acme", 500, "", &balance, &seq), 0);
    assert_int_equal(balance, 2000);
    assert_int_equal(fx_grant(f, "acme", 7, "invoice-1", &balance, &again), TP_ERROR_EXISTS);
    assert_int_equal(balance, 2000);
    assert_int_equal(again, 1);
    assert_int_equal(fx_grant(f, "other", 7, "invoice-1", &balance, &seq), 0);
    assert_int_equal(balance, 7);
    assert_int_equal(seq, 4);
    assert_int_equal(fx_grant(f, "acme", INT64_MAX, "", &balance, &seq), TP_ERROR_LIMIT);
    assert_int_equal(fx_grant(f, "acme", -2500, "", &balance, &seq), 0);
    assert_int_equal(balance, -500); /* by hand, it may */
    assert_int_equal(seq, 5);
    fx_close(f);
    fx_open(f);
    fx_sums x = fx_load(f, 0);
    assert_int_equal(x.credited, -493);
    assert_int_equal(x.entries, 5);
    fx_right(f);
}

static void exchanges_are_charged(void **state)
{
    fx *f = *state;
    int64_t balance, seq, noon = fx_now() / DAY_MS * DAY_MS + DAY_MS / 2;
    fx_open(f);
    registry_key k = a_key("key_1", "tp_live_aaaaaaaaaaaa");
    assert_int_equal(f->port.registry.put_key(f->port.registry.self, &k, &f->err), 0);
    assert_int_equal(fx_grant(f, "acme", 100000, "", &balance, &seq), 0);
    for (uint64_t i = 0; i < 100; i++) {
        /* a day ago, 40 days ago, today */
        int64_t at = noon - (i % 3 == 0 ? DAY_MS : i % 3 == 1 ? 40 * DAY_MS : 0);
        fx_record x = fx_make(i, at);
        if (i == 99) { /* nobody pays: a static key without a team */
            x.r.team = STR("");
            x.r.key_id = STR("");
            x.r.hold_nano = x.r.charged_nano = 0;
        }
        fx_append(f, (uint32_t)(i % 2), &x);
        if (i % 10 == 0)
            fx_flush(f);
    }
    fx_flush(f);
    fx_sums x = fx_load(f, noon);
    assert_int_equal(x.credited, 100000);
    assert_int_equal(x.used, 990);
    assert_int_equal(x.entries, 1 + 3 * 99);
    assert_int_equal(x.total, 990);
    assert_int_equal(x.day, 330);
    int64_t first_of_month = fx_number(f, "SELECT month FROM key_spend") * DAY_MS;
    assert_int_equal(x.month, noon - DAY_MS >= first_of_month ? 660 : 330);
    x = fx_load(f, noon + DAY_MS); /* tomorrow nothing has been spent yet */
    assert_int_equal(x.day, 0);
    assert_int_equal(x.total, 990);
    assert_int_equal(fx_grant(f, "acme", 1, "", &balance, &seq), 0);
    assert_int_equal(balance, 100000 - 990 + 1);
    assert_int_equal(seq, 1 + 3 * 99 + 1);
    fx_right(f);
}

static void a_limit_counts_again_after_a_wrong_clock(void **state)
{
    fx *f = *state;
    int64_t noon = fx_now() / DAY_MS * DAY_MS + DAY_MS / 2;
    fx_open(f);
    registry_key k = a_key("key_1", "tp_live_aaaaaaaaaaaa");
    assert_int_equal(f->port.registry.put_key(f->port.registry.self, &k, &f->err), 0);
    fx_record x = fx_make(1, noon + 3000 * DAY_MS);
    fx_append(f, 0, &x);
    fx_flush(f);
    for (uint64_t i = 2; i < 5; i++) {
        x = fx_make(i, noon);
        fx_append(f, 0, &x);
        fx_flush(f);
    }
    fx_sums sums = fx_load(f, noon);
    assert_int_equal(sums.day, 30);
    assert_int_equal(sums.month, 30);
    assert_int_equal(sums.total, 40);
    fx_right(f);
}

/* ---- A migration that is broken off. */

static void a_migration_is_all_or_nothing(void **state)
{
    fx *f = *state;
    old_file(f);
    /* In its middle it comes upon a table that is there already. */
    fx_sql(f, "CREATE TABLE ledger_day(x)");
    assert_int_equal(fx_try(f, 0, &f->port), TP_ERROR_IO);
    assert_non_null(strstr(f->err.text, "cannot be brought up to date"));
    assert_int_equal(fx_number(f, "SELECT version FROM schema_version"), 1);
    assert_int_equal(fx_number(f, "SELECT count(*) FROM sqlite_schema WHERE name = 'team'"), 0);
    assert_int_equal(fx_number(f, "SELECT requests FROM usage_total"), 3);
    fx_sql(f, "DROP TABLE ledger_day");
    fx_open(f);
    fx_add(f, 1);
    fx_flush(f);
    fx_right(f);
    fx_close(f);
    assert_int_equal(fx_number(f, "SELECT requests FROM usage_total"), 3);
}

static void a_migration_survives_kill_9(void **state)
{
    fx *f = *state;
    char command[400];
    int versions[3] = {0};
    useconds_t after = 0;
    /* Until both were seen: on a machine that has much to do the child comes late. */
    for (int i = 0; i < 30 || (i < 70 && !(versions[1] && versions[2])); i++) {
        after += i < 30 ? 300 : after / 4;
        snprintf(command, sizeof(command), "rm -rf '%s'*  '%s'", f->path, f->journal);
        assert_int_equal(system(command), 0);
        old_file(f);
        pid_t child = fork();
        assert_true(child >= 0);
        if (child == 0) {
            if (fx_try(f, 0, &f->port) < 0)
                _exit(3);
            pause();
        }
        usleep(after);
        kill(child, SIGKILL);
        assert_int_equal(waitpid(child, NULL, 0), child);
        int64_t version = fx_number(f, "SELECT version FROM schema_version");
        assert_true(version == 1 || version == 2);
        versions[version]++;
        assert_int_equal(fx_number(f, "SELECT count(*) FROM sqlite_schema WHERE name IN"
                                      " ('team', 'rejected')"),
                         version == 2 ? 2 : 0);
        fx_open(f);
        fx_right(f);
        fx_close(f);
        assert_int_equal(fx_number(f, "SELECT requests FROM usage_total"), 3);
    }
    assert_true(versions[1] > 0 && versions[2] > 0);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, fx_setup, fx_teardown)
    const struct CMUnitTest tests[] = {
        T(a_file_of_version_1_is_brought_up_to_date),
        T(rows_come_back_as_they_went),
        T(what_is_there_and_what_is_not),
        T(last_use_is_written_behind),
        T(a_new_pepper_is_written_behind),
        T(a_reference_counts_once),
        T(exchanges_are_charged),
        T(a_limit_counts_again_after_a_wrong_clock),
        T(a_migration_is_all_or_nothing),
        T(a_migration_survives_kill_9),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
