/* Teams, their credits and ledger, and their own provider keys. */
#include "api_fixture.h"

static void a_team_is_made_and_changed(void **state)
{
    af *f = af_new(*state);
    ASK(a, f, af_socket(), "POST", "/admin/teams",
        "{\"id\":\"acme\",\"name\":\"Acme\",\"billing\":\"postpaid\",\"tier\":\"pro\",\"policy\":{"
        "\"allow_models\":[\"gpt-*\"],\"deny_providers\":[\"groq\"],\"min_trust\":2,"
        "\"data_local\":true}}",
        201);
    assert_has(a.headers, "location: /admin/teams/acme\n");
    assert_string_equal(
        a.body,
        "{\"id\":\"acme\",\"name\":\"Acme\",\"active\":true,\"billing\":\"postpaid\",\"tier\":"
        "\"pro\",\"policy\":{\"allow_models\":[\"gpt-*\"],\"deny_models\":[],\"allow_providers\":null"
        ",\"deny_providers\":[\"groq\"],\"min_trust\":2,\"data_local\":true},\"configured\":false,"
        "\"credits\":{\"balance\":\"0\",\"held\":\"0\",\"credited\":\"0\",\"used\":\"0\"},"
        "\"keys\":0,\"byok\":[],\"created_at\":\"2026-04-15T10:30:00Z\"}");
    answer_free(&a);
    assert_int_equal(f->store->team_count, 1);
    assert_int_equal(f->store->teams[0].policy.min_trust, 2);
    af_make_key(f, "acme", "inference");
    ASK(b, f, af_socket(), "PATCH", "/admin/teams/acme",
        "{\"active\":false,\"tier\":null,\"policy\":{\"allow_models\":null,\"min_trust\":null,"
        "\"deny_models\":[\"o1\"]}}",
        200);
    assert_at(&b, "active", "false");
    assert_at(&b, "name", "Acme");
    assert_at(&b, "billing", "postpaid");
    assert_at(&b, "tier", "null");
    assert_at(&b, "policy.allow_models", "null");
    assert_at(&b, "policy.deny_models.0", "o1");
    assert_at(&b, "policy.deny_providers.0", "groq"); /* what is not given stays */
    assert_at(&b, "policy.min_trust", "0");
    assert_at(&b, "policy.data_local", "true");
    assert_at(&b, "keys", "1");
    answer_free(&b);
    const team_terms *t = atomic_load(&book_team_of(f->book, STR("acme"))->terms);
    assert_int_equal(t->active, 0);
    assert_int_equal(f->store->teams[0].active, 0);
    ASK(c, f, af_socket(), "PATCH", "/admin/teams/acme", "{\"policy\":null,\"active\":true}", 200);
    assert_at(&c, "policy.deny_models", "[]");
    assert_at(&c, "policy.data_local", "false");
    answer_free(&c);
    char *log = af_log(f);
    assert_has(log, "socket made team acme");
    assert_has(log, "socket changed team acme");
    free(log);
    af_free(f);
}

static void what_a_team_must_be(void **state)
{
    static const struct {
        const char *body, *param, *words;
    } wrong[] = {
        {"{}", "id", "'id' is missing"},
        {"{\"id\":\"\"}", "id", "1 to 64"},
        {"{\"id\":\"-a\"}", "id", "begin with a letter or digit"},
        {"{\"id\":\"a b\"}", "id", "letters, digits"},
        {"{\"id\":\"a/b\"}", "id", "letters, digits"},
        {"{\"id\":\"a\",\"billing\":\"free\"}", "billing", "\"prepaid\", \"postpaid\""},
        {"{\"id\":\"a\",\"active\":1}", "active", "true or false"},
        {"{\"id\":\"a\",\"tier\":\"fre\"}", "tier", "did you mean 'free'?"},
        {"{\"id\":\"a\",\"policy\":5}", "policy", "an object"},
        {"{\"id\":\"a\",\"policy\":{\"allow_model\":[\"x\"]}}", "allow_model",
         "did you mean 'allow_models'?"},
        {"{\"id\":\"a\",\"policy\":{\"allow_models\":[]}}", "allow_models", "a list of 1 to 256"},
        {"{\"id\":\"a\",\"policy\":{\"min_trust\":4}}", "min_trust", "from 0 to 3"},
        {"{\"id\":\"a\",\"policy\":{\"data_local\":\"yes\"}}", "data_local", "true or false"},
        {"{\"id\":\"a\",\"bill\":1}", "bill", "There is no member 'bill'"},
    };
    af *f = af_new(*state);
    for (size_t i = 0; i < TP_COUNT(wrong); i++)
        af_refuses(f, af_socket(), "POST", "/admin/teams", wrong[i].body, 400, wrong[i].param,
                   wrong[i].words);
    assert_int_equal(f->store->writes, 0);
    af_make_team(f, "acme");
    af_refuses(f, af_socket(), "POST", "/admin/teams", "{\"id\":\"acme\"}", 409, "id", "already");
    af_refuses(f, af_socket(), "POST", "/admin/teams", "{\"id\":\"default\"}", 409, "id",
               "already");
    af_refuses(f, af_socket(), "POST", "/admin/teams", "{\"id\":\"fixed-team\"}", 409, "id",
               "already");
    af_refuses(f, af_socket(), "PATCH", "/admin/teams/nope", "{}", 404, "", "There is no team");
    af_refuses(f, af_socket(), "PATCH", "/admin/teams/acme", "{\"id\":\"b\"}", 400, "id",
               "no member");
    /* A team of conf.d: where it is written. */
    af_refuses(f, af_socket(), "PATCH", "/admin/teams/fixed-team", "{\"active\":false}", 409, "",
               "/c/test.json:1");
    ASK(a, f, af_socket(), "GET", "/admin/teams/fixed-team", NULL, 200);
    assert_at(&a, "configured", "true");
    assert_at(&a, "name", "Of the file");
    answer_free(&a);
    f->store->down = 1;
    af_refuses(f, af_socket(), "POST", "/admin/teams", "{\"id\":\"b\"}", 503, "", "disk is full");
    af_refuses(f, af_socket(), "PATCH", "/admin/teams/acme", "{\"active\":false}", 503, "", "disk");
    ASK(b, f, af_socket(), "GET", "/admin/teams/acme", NULL, 200);
    assert_at(&b, "active", "true");
    answer_free(&b);
    af_refuses(f, af_socket(), "GET", "/admin/teams/b", NULL, 404, "", "There is no team 'b'");
    af_free(f);
}

static void teams_in_pages(void **state)
{
    af *f = af_new(*state);
    static const char *const ids[] = {"zoo", "acme", "beta"};
    for (size_t i = 0; i < TP_COUNT(ids); i++)
        af_make_team(f, ids[i]);
    af_make_key(f, "zoo", "inference");
    af_make_key(f, "zoo", "inference");
    ASK(a, f, af_socket(), "GET", "/admin/teams?limit=3", NULL, 200);
    assert_at(&a, "data.0.id", "acme");
    assert_at(&a, "data.1.id", "beta");
    assert_at(&a, "data.2.id", "default");
    assert_at(&a, "data.2.billing", "postpaid");
    assert_null(at(&a, "data.3"));
    assert_at(&a, "next", "default");
    answer_free(&a);
    ASK(b, f, af_socket(), "GET", "/admin/teams?limit=3&cursor=default", NULL, 200);
    assert_at(&b, "data.0.id", "fixed-team");
    assert_at(&b, "data.1.id", "zoo");
    assert_at(&b, "data.1.keys", "2");
    assert_at(&b, "next", "null");
    answer_free(&b);
    af_free(f);
}

static void rights_over_teams(void **state)
{
    static const struct {
        const char *method, *path, *body;
        int own, foreign; /* statuses for a management key of acme: about acme, about beta */
    } rows[] = {
        {"GET", "/admin/teams/%s", NULL, 200, 404},
        {"PATCH", "/admin/teams/%s", "{}", 403, 403},
        {"GET", "/admin/teams/%s/credits", NULL, 200, 404},
        {"POST", "/admin/teams/%s/credits", "{\"amount\":1}", 403, 403},
        {"GET", "/admin/teams/%s/ledger", NULL, 200, 404},
        {"GET", "/admin/teams/%s/byok", NULL, 200, 404},
        {"PUT", "/admin/teams/%s/byok/echo", "{\"key\":\"sk-1\"}", 200, 404},
        {"DELETE", "/admin/teams/%s/byok/echo", NULL, 200, 404},
    };
    af *f = af_new(*state);
    af_make_team(f, "acme");
    af_make_team(f, "beta");
    api_actor boss = af_key(CONF_ROLE_MANAGEMENT, "key_b", "acme");
    api_actor plain = af_key(CONF_ROLE_INFERENCE, "key_p", "acme");
    api_actor admin = af_key(CONF_ROLE_ADMIN, "key_a", "beta");
    for (size_t i = 0; i < TP_COUNT(rows); i++) {
        char path[128];
        snprintf(path, sizeof(path), rows[i].path, "acme");
        af_refuses(f, plain, rows[i].method, path, rows[i].body, 403, NULL, "'inference'");
        af_refuses(f, af_nobody(), rows[i].method, path, rows[i].body, 401, NULL, "API key");
        answer a = af_ask(f, boss, rows[i].method, path, rows[i].body);
        assert_status(&a, rows[i].own);
        answer_free(&a);
        snprintf(path, sizeof(path), rows[i].path, "beta");
        a = af_ask(f, boss, rows[i].method, path, rows[i].body);
        assert_status(&a, rows[i].foreign);
        answer_free(&a);
        snprintf(path, sizeof(path), rows[i].path, "acme"); /* an admin key reaches all teams */
        a = af_ask(f, admin, rows[i].method, path, rows[i].body);
        assert_true(a.status == 200 || a.status == 201 || strcmp(rows[i].method, "DELETE") == 0);
        answer_free(&a);
    }
    af_refuses(f, boss, "GET", "/admin/teams", NULL, 403, NULL, "'admin'");
    af_refuses(f, boss, "POST", "/admin/teams", "{\"id\":\"c\"}", 403, NULL, "'admin'");
    af_refuses(f, boss, "GET", "/admin/ledger/verify", NULL, 403, NULL, "'admin'");
    af_refuses(f, admin, "POST", "/admin/backup", "{\"path\":\"/x\"}", 403, NULL, "admin socket");
    af_refuses(f, admin, "POST", "/admin/flush", NULL, 403, NULL, "admin socket");
    af_refuses(f, admin, "GET", "/admin/nothing", NULL, 404, NULL, "There is nothing at");
    af_refuses(f, admin, "GET", "/admin", NULL, 404, NULL, "There is nothing at");
    /* A manager without a team manages the one that is always there. */
    ASK(a, f, af_key(CONF_ROLE_MANAGEMENT, "static:m", NULL), "GET", "/admin/teams/default", NULL,
        200);
    answer_free(&a);
    af_free(f);
}

static void credits_are_exact(void **state)
{
    af *f = af_new(*state);
    af_make_team(f, "acme");
    ASK(a, f, af_socket(), "POST", "/admin/teams/acme/credits",
        "{\"amount\":\"100\",\"note\":\"invoice 7\",\"reference\":\"inv-7\"}", 201);
    assert_string_equal(a.body,
                        "{\"seq\":1,\"team\":\"acme\",\"kind\":\"grant\",\"amount\":\"100\","
                        "\"balance\":\"100\",\"duplicate\":false}");
    answer_free(&a);
    ASK(b, f, af_socket(), "POST", "/admin/teams/acme/credits",
        "{\"amount\":\"100\",\"reference\":\"inv-7\"}", 200);
    assert_at(&b, "duplicate", "true");
    assert_at(&b, "seq", "1");
    assert_at(&b, "balance", "100");
    answer_free(&b);
    ASK(c, f, af_socket(), "POST", "/admin/teams/acme/credits",
        "{\"amount\":-0.000000001,\"kind\":\"adjustment\"}", 201);
    assert_at(&c, "amount", "-0.000000001");
    assert_at(&c, "balance", "99.999999999");
    answer_free(&c);
    ASK(d, f, af_socket(), "POST", "/admin/teams/acme/credits",
        "{\"amount\":1e-9,\"kind\":\"refund\",\"generation\":\"gen-1\"}", 201);
    assert_at(&d, "balance", "100");
    answer_free(&d);
    assert_int_equal(f->store->entry_count, 3);
    assert_str(f->store->entries[0].actor, "socket");
    assert_str(f->store->entries[0].note, "invoice 7");
    assert_str(f->store->entries[2].generation, "gen-1");

    /* numbers, of the key's team; remaining = credits - usage. */
    book_team *t = book_team_of(f->book, STR("acme"));
    book_set_credits(t, INT64_C(100000000000), INT64_C(23450000000));
    api_actor who = af_key(CONF_ROLE_INFERENCE, "key_p", "acme");
    ASK(e, f, who, "GET", "/api/v1/credits", NULL, 200);
    assert_string_equal(e.body, "{\"data\":{\"total_credits\":100.00,\"total_usage\":23.45,"
                                "\"remaining\":76.55}}");
    answer_free(&e);
    book_set_credits(t, INT64_C(100000000000), INT64_C(3062500));
    ASK(g, f, who, "HEAD", "/api/v1/credits", NULL, 200);
    assert_at(&g, "data.total_usage", "0.0030625");
    assert_at(&g, "data.remaining", "99.9969375");
    answer_free(&g);
    ASK(h, f, af_key(CONF_ROLE_INFERENCE, NULL, NULL), "GET", "/api/v1/credits", NULL, 200);
    assert_string_equal(h.body, "{\"data\":{\"total_credits\":0.00,\"total_usage\":0.00,"
                                "\"remaining\":0.00}}");
    answer_free(&h);
    ASK(i, f, af_socket(), "GET", "/admin/teams/acme/credits", NULL, 200);
    assert_string_equal(
        i.body, "{\"team\":\"acme\",\"balance\":\"99.9969375\",\"available\":"
                "\"99.9969375\",\"held\":\"0\",\"credited\":\"100\",\"used\":\"0.0030625\"}");
    answer_free(&i);
    af_free(f);
}

static void what_an_entry_must_be(void **state)
{
    static const struct {
        const char *body, *param, *words;
    } wrong[] = {
        {"{}", "amount", "'amount' is missing"},
        {"{\"amount\":0}", "amount", "above 0"},
        {"{\"amount\":-1}", "amount", "above 0"},
        {"{\"amount\":-1,\"kind\":\"refund\"}", "amount", "refund must be above 0"},
        {"{\"amount\":0,\"kind\":\"adjustment\"}", "amount", "must not be 0"},
        {"{\"amount\":\"0.0000000001\"}", "amount", "finer than a nano-dollar"},
        {"{\"amount\":\"1e\"}", "amount", "US dollars"},
        {"{\"amount\":\" 1\"}", "amount", "US dollars"},
        {"{\"amount\":\"\"}", "amount", "US dollars"},
        {"{\"amount\":\".5\"}", "amount", "US dollars"},
        {"{\"amount\":1000000001}", "amount", "to 1000000000"},
        {"{\"amount\":1e30}", "amount", "US dollars"},
        {"{\"amount\":1,\"kind\":\"hold\"}", "kind", "\"grant\", \"refund\", \"adjustment\""},
        {"{\"amount\":1,\"generation\":\"g\"}", "generation", "belongs to a refund"},
        {"{\"amount\":1,\"refrence\":\"g\"}", "refrence", "did you mean 'reference'?"},
    };
    af *f = af_new(*state);
    af_make_team(f, "acme");
    for (size_t i = 0; i < TP_COUNT(wrong); i++)
        af_refuses(f, af_socket(), "POST", "/admin/teams/acme/credits", wrong[i].body, 400,
                   wrong[i].param, wrong[i].words);
    af_refuses(f, af_socket(), "POST", "/admin/teams/nope/credits", "{\"amount\":1}", 404, "",
               "There is no team");
    assert_int_equal(f->store->entry_count, 0);
    book_set_credits(book_team_of(f->book, STR("acme")), INT64_C(4000000000000000000), 0);
    af_refuses(f, af_socket(), "POST", "/admin/teams/acme/credits", "{\"amount\":1}", 400, "amount",
               "beyond what can be counted");
    book_set_credits(book_team_of(f->book, STR("acme")), 0, 0);
    f->store->down = 1;
    af_refuses(f, af_socket(), "POST", "/admin/teams/acme/credits", "{\"amount\":1}", 503, "",
               "try again later");
    assert_int_equal(book_balance(book_team_of(f->book, STR("acme"))), 0);
    af_refuses(f, af_socket(), "GET", "/admin/teams/acme/ledger", NULL, 503, "", "disk is full");
    af_refuses(f, af_socket(), "GET", "/admin/ledger/verify", NULL, 503, "", "disk is full");
    af_free(f);
}

static void the_ledger_is_shown_and_verified(void **state)
{
    af *f = af_new(*state);
    af_make_team(f, "acme");
    for (int i = 0; i < 3; i++) {
        ASK(a, f, af_socket(), "POST", "/admin/teams/acme/credits", "{\"amount\":1,\"note\":\"n\"}",
            201);
        answer_free(&a);
    }
    ASK(b, f, af_socket(), "GET", "/admin/teams/acme/ledger?limit=2&kind=grant&cursor=abc", NULL,
        200);
    assert_at(&b, "data.0.seq", "3");
    assert_at(&b, "data.0.kind", "grant");
    assert_at(&b, "data.0.amount", "1");
    assert_at(&b, "data.0.at", "2026-04-15T10:30:00Z");
    assert_at(&b, "data.0.note", "n");
    assert_at(&b, "data.0.actor", "socket");
    assert_at(&b, "data.0.generation", "null");
    assert_at(&b, "next", "page-2");
    answer_free(&b);
    assert_str(f->store->asked.team, "acme");
    assert_str(f->store->asked.cursor, "abc");
    assert_int_equal(f->store->asked.limit, 2);
    assert_int_equal(f->store->asked.status, LEDGER_GRANT);
    ASK(c, f, af_socket(), "GET", "/admin/teams/acme/ledger?kind=adjustment", NULL, 200);
    assert_string_equal(c.body, "{\"data\":[],\"next\":null}");
    assert_int_equal(f->store->asked.status, LEDGER_ADJUSTMENT);
    assert_int_equal(f->store->asked.limit, 100);
    answer_free(&c);
    af_refuses(f, af_socket(), "GET", "/admin/teams/acme/ledger?kind=gift", NULL, 400, "kind",
               "\"hold\"");
    ASK(d, f, af_socket(), "GET", "/admin/ledger/verify", NULL, 200);
    assert_string_equal(d.body, "{\"ok\":true,\"entries\":3,\"generations\":0,\"segments\":1,"
                                "\"teams\":1,\"faults\":0,\"text\":\"\"}");
    answer_free(&d);
    f->store->faults = 1;
    ASK(e, f, af_socket(), "GET", "/admin/ledger/verify", NULL, 200);
    assert_at(&e, "ok", "false");
    assert_at(&e, "text", "entry 7: the check sum is wrong\n");
    answer_free(&e);
    af_free(f);
}

#define PROVIDER_KEY "sk-customers-own-0123456789-wxyz"

static void provider_keys_are_sealed(void **state)
{
    af *f = af_new(*state);
    af_make_team(f, "acme");
    api_actor boss = af_key(CONF_ROLE_MANAGEMENT, "key_b", "acme");
    ASK(a, f, boss, "PUT", "/admin/teams/acme/byok/groq", "{\"key\":\"" PROVIDER_KEY "\"}", 200);
    assert_string_equal(a.body, "{\"provider\":\"groq\",\"type\":\"api_key\",\"hint\":\"wxyz\","
                                "\"created_at\":\"2026-04-15T10:30:00Z\"}");
    answer_free(&a);
    ASK(b, f, boss, "PUT", "/admin/teams/acme/byok/groq",
        "{\"key\":\"short\",\"type\":\"codestral\"}", 200);
    assert_at(&b, "hint", "null"); /* so little of it would be most of it */
    answer_free(&b);
    /* In force, in the clear in memory only; sealed where it is kept. */
    const team_terms *t = atomic_load(&book_team_of(f->book, STR("acme"))->terms);
    assert_int_equal(t->byok_count, 2);
    assert_str(t->byok[0].secret, PROVIDER_KEY);
    const registry_byok *row = fake_byok(f->store, STR("acme"), STR("groq"), STR("api_key"));
    assert_non_null(row);
    assert_null(memmem(row->sealed.ptr, row->sealed.len, PROVIDER_KEY, 8));
    char plain[128];
    tp_str bound = api_byok_bound(&f->store->mem, STR("acme"), STR("groq"), STR("api_key"));
    int64_t n = secret_open(&f->master, bound, row->sealed, plain);
    assert_int_equal(n, (int64_t)strlen(PROVIDER_KEY));
    assert_memory_equal(plain, PROVIDER_KEY, (size_t)n);
    bound = api_byok_bound(&f->store->mem, STR("beta"), STR("groq"), STR("api_key"));
    assert_int_equal(secret_open(&f->master, bound, row->sealed, plain), -1);
    /* Replaced by the same provider and type. */
    ASK(c, f, boss, "PUT", "/admin/teams/acme/byok/groq", "{\"key\":\"sk-second-0123456789\"}",
        200);
    assert_at(&c, "hint", "6789");
    answer_free(&c);
    ASK(d, f, boss, "GET", "/admin/teams/acme/byok", NULL, 200);
    assert_non_null(at(&d, "data.1.provider"));
    assert_null(at(&d, "data.2"));
    assert_null(strstr(d.body, "sk-second"));
    answer_free(&d);
    ASK(e, f, boss, "GET", "/admin/teams/acme", NULL, 200);
    assert_at(&e, "byok.0.provider", "groq");
    assert_null(strstr(e.body, "sk-second"));
    answer_free(&e);
    /* A change of the team leaves them. */
    ASK(g, f, af_socket(), "PATCH", "/admin/teams/acme", "{\"name\":\"x\"}", 200);
    assert_non_null(at(&g, "byok.1.provider"));
    answer_free(&g);
    ASK(h, f, boss, "DELETE", "/admin/teams/acme/byok/groq?type=codestral", NULL, 200);
    assert_string_equal(h.body, "{\"provider\":\"groq\",\"type\":\"codestral\",\"deleted\":true}");
    answer_free(&h);
    af_refuses(f, boss, "DELETE", "/admin/teams/acme/byok/groq?type=codestral", NULL, 404, "",
               "no provider key 'groq'");
    t = atomic_load(&book_team_of(f->book, STR("acme"))->terms);
    assert_int_equal(t->byok_count, 1);
    assert_str(t->byok[0].secret, "sk-second-0123456789");
    char *log = af_log(f);
    assert_has(log, "set the provider key groq");
    assert_has(log, "removed the provider key groq");
    assert_null(strstr(log, "sk-"));
    free(log);
    af_free(f);
}

static void what_a_provider_key_must_be(void **state)
{
    af *f = af_new(*state);
    af_make_team(f, "acme");
    static const struct {
        const char *path, *body;
        int status;
        const char *param, *words;
    } wrong[] = {
        {"/admin/teams/acme/byok/grok", "{\"key\":\"k\"}", 400, "provider", "did you mean 'groq'?"},
        {"/admin/teams/acme/byok/groq", "{}", 400, "key", "'key' is missing"},
        {"/admin/teams/acme/byok/groq", "{\"key\":\"\"}", 400, "key", "1 to 4096"},
        {"/admin/teams/acme/byok/groq", "{\"key\":\"a b\"}", 400, "key", "without spaces"},
        {"/admin/teams/acme/byok/groq", "{\"key\":\"\\u00e9\"}", 400, "key", "printable ASCII"},
        {"/admin/teams/acme/byok/groq", "{\"key\":\"k\",\"type\":\"x\"}", 400, "type",
         "\"codestral\""},
        {"/admin/teams/nope/byok/groq", "{\"key\":\"k\"}", 404, "", "There is no team"},
    };
    for (size_t i = 0; i < TP_COUNT(wrong); i++)
        af_refuses(f, af_socket(), "PUT", wrong[i].path, wrong[i].body, wrong[i].status,
                   wrong[i].param, wrong[i].words);
    af_refuses(f, af_socket(), "DELETE", "/admin/teams/acme/byok/groq?type=x", NULL, 400, "type",
               "\"codestral\"");
    f->store->down = 1;
    af_refuses(f, af_socket(), "PUT", "/admin/teams/acme/byok/groq", "{\"key\":\"k\"}", 503, "",
               "disk");
    const team_terms *t = atomic_load(&book_team_of(f->book, STR("acme"))->terms);
    assert_int_equal(t->byok_count, 0);
    f->store->down = 0;
    f->ports.master = NULL;
    af_refuses(f, af_socket(), "PUT", "/admin/teams/acme/byok/groq", "{\"key\":\"k\"}", 503, "",
               "admission.master_key");
    af_free(f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_team_is_made_and_changed),
        cmocka_unit_test(what_a_team_must_be),
        cmocka_unit_test(teams_in_pages),
        cmocka_unit_test(rights_over_teams),
        cmocka_unit_test(credits_are_exact),
        cmocka_unit_test(what_an_entry_must_be),
        cmocka_unit_test(the_ledger_is_shown_and_verified),
        cmocka_unit_test(provider_keys_are_sealed),
        cmocka_unit_test(what_a_provider_key_must_be),
    };
    return cmocka_run_group_tests(tests, wf_open, wf_close);
}
