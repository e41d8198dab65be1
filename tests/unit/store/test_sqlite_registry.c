/* The registry on SQLite: rows in and out, credits, generations, the ledger,
 * verification. */
#include "sqlite_fixture.h"

/* ---- From schema 1. */

static void a_file_of_version_1_is_brought_up_to_date(void **state)
{
    fx *f = *state;
    /* As the version that had usage totals only made it. */
    fx_sql(f, "PRAGMA application_id = 1416983150; PRAGMA journal_mode = WAL;"
              "CREATE TABLE schema_version(version INTEGER NOT NULL);"
              "INSERT INTO schema_version VALUES(1);"
              "CREATE TABLE usage_total(day TEXT NOT NULL, key TEXT NOT NULL, model "
              "TEXT NOT NULL,"
              " provider TEXT NOT NULL, requests INTEGER NOT NULL, failures INTEGER "
              "NOT NULL,"
              " cancelled INTEGER NOT NULL, cost_nano INTEGER NOT NULL,"
              " PRIMARY KEY(day, key, model, provider)) WITHOUT ROWID;"
              "CREATE TABLE usage_unit(day TEXT NOT NULL, key TEXT NOT NULL, model "
              "TEXT NOT NULL,"
              " provider TEXT NOT NULL, unit TEXT NOT NULL, count INTEGER NOT NULL,"
              " PRIMARY KEY(day, key, model, provider, unit)) WITHOUT ROWID;"
              "INSERT INTO usage_total VALUES('2026-03-01','k','m','p',3,1,0,99);"
              "INSERT INTO usage_unit VALUES('2026-03-01','k','m','p','prompt',12);");
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
    tp_str ids[] = {STR("key_1"), STR("gone"), STR("key_1")};
    int64_t at[] = {5000, 1, 4000};
    assert_int_equal(r->put_key(r->self, &k, &f->err), 0);
    assert_int_equal(r->touch_keys(r->self, ids, at, 3, &f->err), 0);
    k.last_used_ms = 70; /* an older value does not come back with a change */
    k.name = STR("changed");
    assert_int_equal(r->put_key(r->self, &k, &f->err), 0);
    fx_close(f);
    assert_int_equal(fx_number(f, "SELECT last_used_ms FROM key WHERE name = 'changed'"), 5000);
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

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, fx_setup, fx_teardown)
    const struct CMUnitTest tests[] = {
        T(a_file_of_version_1_is_brought_up_to_date),
        T(rows_come_back_as_they_went),
        T(what_is_there_and_what_is_not),
        T(last_use_is_written_behind),
        T(a_reference_counts_once),
        T(exchanges_are_charged),
        T(a_generation_is_found_by_its_id),
        T(pages_are_newest_first_and_lack_nothing),
        T(pages_are_filtered),
        T(old_segments_go),
        T(the_ledger_is_read_in_order),
        T(faults_are_found),
        T(an_adjustment_may_overdraw),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
