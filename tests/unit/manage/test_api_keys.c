/* Keys over /keys, /auth and /admin/keys: shapes, rights, bounds, what is kept and what is told. */
#include "api_fixture.h"

/* The members that a shape names are those of the answer, in number and name. */
static void has_shape(answer *a, uint32_t object, const api_shape *s)
{
    uint32_t members = 0, named = 0;
    for (uint32_t t = object + 1; t < a->d.tokens[object].next; t = a->d.tokens[t + 1].next)
        members++;
    for (const api_shape_member *m = s->members; m->name; m++) {
        named++;
        if (!json_find(&a->d, object, str_of(m->name)))
            fail_msg("%s of %s is missing from %s", m->name, s->name, a->body);
    }
    if (members != named)
        fail_msg("%u members, %u in %s: %s", members, named, s->name, a->body);
}

static int is_secret(const char *key, const char *prefix)
{
    size_t n = strlen(prefix);
    return strncmp(key, prefix, n) == 0 && strlen(key) == n + SECRET_CHARS &&
           strspn(key + n, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_") ==
               SECRET_CHARS;
}

static void a_key_is_shown_once(void **state)
{
    af *f = af_new(*state);
    af_make_team(f, "acme");
    const char *boss = af_make_key(f, "acme", "management");
    api_actor who = af_key(CONF_ROLE_MANAGEMENT, boss, "acme");
    ASK(made, f, who, "POST", "/api/v1/keys",
        "{\"name\":\"production-backend\",\"rate_limit\":100}", 201);
    has_shape(&made, 0, &api_shape_key_made);
    char secret[128], id[64], location[128];
    snprintf(secret, sizeof(secret), "%s", at(&made, "key"));
    snprintf(id, sizeof(id), "%s", at(&made, "id"));
    assert_true(is_secret(secret, "air_live_"));
    assert_true(strncmp(id, "key_", 4) == 0 && strlen(id) == 24);
    assert_int_equal(
        strspn(id + 4, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"), 20);
    snprintf(location, sizeof(location), "location: /api/v1/keys/%s\n", id);
    assert_has(made.headers, location);
    assert_at(&made, "name", "production-backend");
    assert_at(&made, "team", "acme");
    assert_at(&made, "role", "inference");
    assert_at(&made, "rate_limit", "100");
    assert_at(&made, "tokens_per_minute", "null");
    assert_at(&made, "concurrency", "null");
    assert_at(&made, "models", "null");
    assert_at(&made, "limit", "null");
    assert_at(&made, "limit_reset", "null");
    assert_at(&made, "usage", "0");
    assert_at(&made, "disabled", "false");
    assert_at(&made, "created_at", "2026-04-15T10:30:00Z");
    assert_at(&made, "expires_at", "null");
    assert_at(&made, "last_used_at", "null");
    char hint[64];
    snprintf(hint, sizeof(hint), "%.*s...", 9 + (int)SECRET_LOOKUP, secret);
    assert_at(&made, "hint", hint);
    answer_free(&made);

    /* At rest: Argon2id of this very key, and an HMAC under the pepper; never the key. */
    registry_key *row = fake_key(f->store, str_of(id));
    assert_non_null(row);
    assert_true(str_starts(row->argon2, STR("$argon2id$")));
    char encoded[SECRET_ARGON2];
    snprintf(encoded, sizeof(encoded), "%.*s", STR_ARG(row->argon2));
    assert_int_equal(secret_argon2_verify(str_of(secret), encoded), 1);
    unsigned char hmac[32];
    secret_mac *mac = secret_mac_new(&f->pepper);
    secret_mac_of(mac, str_of(secret), hmac);
    secret_mac_free(mac);
    assert_memory_equal(hmac, row->hmac, 32);
    assert_memory_equal(row->pepper_id, f->pepper.id, 8);
    assert_str(row->created_by, boss);
    assert_null(memmem(row->argon2.ptr, row->argon2.len, secret + 9, SECRET_CHARS));
    /* The book finds it by what the key begins with. */
    tp_str lookup;
    assert_int_equal(secret_parse(str_of(secret), &lookup), 1);
    assert_non_null(book_key_by_lookup(f->book, lookup));

    /* Nowhere again: not in the list, not alone, not in the log. */
    char one[96];
    snprintf(one, sizeof(one), "/api/v1/keys/%s", id);
    static const char *const lists[] = {"/api/v1/keys", "/api/auth", "/admin/keys", NULL};
    for (int i = 0; i < 4; i++) {
        ASK(shown, f, who, "GET", lists[i] ? lists[i] : one, NULL, 200);
        assert_has(shown.body, id);
        assert_has(shown.body, hint);
        assert_null(strstr(shown.body, secret));
        assert_null(strstr(shown.body, secret + 9 + SECRET_LOOKUP));
        assert_null(strstr(shown.body, "argon2"));
        answer_free(&shown);
    }
    char *log = af_log(f);
    assert_has(log, id);
    assert_has(log, boss);
    assert_has(log, "203.0.113.9");
    assert_null(strstr(log, secret + 9 + SECRET_LOOKUP));
    free(log);
    af_free(f);
}

static void all_terms_of_a_key(void **state)
{
    af *f = af_new(*state);
    af_make_team(f, "acme");
    api_actor who = af_key(CONF_ROLE_MANAGEMENT, af_make_key(f, "acme", "management"), "acme");
    ASK(a, f, who, "POST", "/api/v1/keys",
        "{\"name\":\"k\",\"expires_in\":7776000,\"models\":[\"openai/*\",\"x\"],\"limit\":12.5,"
        "\"limit_reset\":\"monthly\",\"tokens_per_minute\":1000,\"concurrency\":3,\"tier\":\"pro\","
        "\"role\":\"management\"}",
        201);
    assert_at(&a, "expires_at", "2026-07-14T10:30:00Z");
    assert_at(&a, "models.0", "openai/*");
    assert_at(&a, "models.1", "x");
    assert_at(&a, "limit", "12.5");
    assert_at(&a, "limit_reset", "monthly");
    assert_at(&a, "tokens_per_minute", "1000");
    assert_at(&a, "concurrency", "3");
    assert_at(&a, "tier", "pro");
    assert_at(&a, "rate_limit", "1000"); /* the tier's */
    assert_at(&a, "role", "management");
    char path[96];
    snprintf(path, sizeof(path), "/api/v1/keys/%s", at(&a, "id"));
    tp_str id = str_of(strrchr(path, '/') + 1);
    answer_free(&a);
    registry_key *row = fake_key(f->store, id);
    assert_int_equal(row->spend_limit_nano, 12500000000);
    assert_int_equal(row->limits.requests_per_minute, -1);

    /* PATCH changes what is given... */
    ASK(b, f, who, "PATCH", path, "{\"name\":\"other\",\"rate_limit\":7,\"disabled\":true}", 200);
    has_shape(&b, 0, &api_shape_key);
    assert_at(&b, "name", "other");
    assert_at(&b, "rate_limit", "7");
    assert_at(&b, "disabled", "true");
    assert_at(&b, "limit", "12.5");
    assert_at(&b, "models.0", "openai/*");
    answer_free(&b);
    const key_terms *t = atomic_load(&book_key_by_id(f->book, id)->terms);
    assert_int_equal(t->in_force.requests_per_minute, 7);
    assert_int_equal(t->disabled, 1);
    /* ...and null is the default. The secret stays what it was. */
    tp_str lookup = row->lookup, argon2 = row->argon2;
    ASK(c, f, who, "PATCH", path,
        "{\"rate_limit\":null,\"tier\":null,\"limit\":null,\"expires_in\":null,\"models\":null,"
        "\"tokens_per_minute\":null,\"concurrency\":null,\"disabled\":false}",
        200);
    static const char *const nulls[] = {"tier",   "limit",       "limit_reset",      "expires_at",
                                        "models", "concurrency", "tokens_per_minute"};
    for (size_t i = 0; i < TP_COUNT(nulls); i++)
        assert_at(&c, nulls[i], "null");
    assert_at(&c, "rate_limit", "60"); /* as keys of this surface have it */
    answer_free(&c);
    /* A tier or a rate of its own: what was set last counts. */
    ASK(d, f, who, "PATCH", path, "{\"tier\":\"pro\"}", 200);
    assert_at(&d, "rate_limit", "1000");
    answer_free(&d);
    ASK(e, f, who, "PATCH", path, "{\"tier\":null}", 200);
    assert_at(&e, "rate_limit", "60");
    answer_free(&e);
    row = fake_key(f->store, id);
    assert_true(str_eq(row->lookup, lookup) && str_eq(row->argon2, argon2));
    af_free(f);
}

static void revoking(void **state)
{
    af *f = af_new(*state);
    af_make_team(f, "acme");
    af_make_team(f, "other");
    api_actor who = af_key(CONF_ROLE_MANAGEMENT, af_make_key(f, "acme", "management"), "acme");
    const char *mine = af_make_key(f, "acme", "inference");
    const char *foreign = af_make_key(f, "other", "inference");
    const char *admin = af_make_key(f, "acme", "admin");
    char path[128];
    static const char *const bases[] = {"/api/v1/keys", "/api/auth", "/admin/keys"};
    for (size_t i = 0; i < TP_COUNT(bases); i++) {
        snprintf(path, sizeof(path), "%s/%s", bases[i], foreign);
        af_refuses(f, who, "DELETE", path, NULL, 404, "", "There is no key");
        snprintf(path, sizeof(path), "%s/key_123abc", bases[i]);
        af_refuses(f, who, "DELETE", path, NULL, 404, "", "There is no key 'key_123abc'");
        snprintf(path, sizeof(path), "%s/%s", bases[i], admin); /* above its own role */
        af_refuses(f, who, "DELETE", path, NULL, 403, "", "admin");
    }
    assert_non_null(fake_key(f->store, str_of(foreign)));
    book_key *held = book_key_by_id(f->book, str_of(mine));
    book_pin(held);
    snprintf(path, sizeof(path), "/api/v1/keys/%s", mine);
    ASK(a, f, who, "DELETE", path, NULL, 200);
    has_shape(&a, 0, &api_shape_deleted);
    assert_at(&a, "id", mine);
    assert_at(&a, "deleted", "true");
    answer_free(&a);
    assert_int_equal(atomic_load(&held->revoked), 1); /* in force before the answer */
    assert_null(book_key_by_id(f->book, str_of(mine)));
    assert_null(fake_key(f->store, str_of(mine)));
    book_unpin(f->book, held);
    af_refuses(f, who, "DELETE", path, NULL, 404, "", "There is no key");
    af_refuses(f, who, "PATCH", path, "{\"name\":\"x\"}", 404, "", "There is no key");
    af_refuses(f, who, "GET", path, NULL, 404, "", "There is no key");
    /* A socket or an admin key reaches every team over /admin/keys. */
    snprintf(path, sizeof(path), "/admin/keys/%s", foreign);
    ASK(b, f, af_key(CONF_ROLE_ADMIN, admin, "acme"), "DELETE", path, NULL, 200);
    answer_free(&b);
    af_free(f);
}

static void what_a_body_must_be(void **state)
{
    static const struct {
        const char *body, *param, *words;
    } wrong[] = {
        {"{}", "name", "'name' is missing"},
        {"{\"name\":\"\"}", "name", "1 to 128 bytes"},
        {"{\"name\":5}", "name", "a string"},
        {"{\"name\":null}", "name", "a string"},
        {"{\"name\":\"a\\nb\"}", "name", "control characters"},
        {"{\"name\":\"k\",\"rate_limit\":0}", "rate_limit", "integer from 1 to 16000000"},
        {"{\"name\":\"k\",\"rate_limit\":-1}", "rate_limit", "integer from 1"},
        {"{\"name\":\"k\",\"rate_limit\":\"x\"}", "rate_limit", "integer from 1"},
        {"{\"name\":\"k\",\"rate_limit\":1.5}", "rate_limit", "integer from 1"},
        {"{\"name\":\"k\",\"rate_limit\":16000001}", "rate_limit", "integer from 1"},
        {"{\"name\":\"k\",\"expires_in\":0}", "expires_in", "integer from 1"},
        {"{\"name\":\"k\",\"expires_in\":-1}", "expires_in", "integer from 1"},
        {"{\"name\":\"k\",\"expires_in\":\"x\"}", "expires_in", "integer from 1"},
        {"{\"name\":\"k\",\"expires_in\":3153600001}", "expires_in", "integer from 1"},
        {"{\"name\":\"k\",\"models\":[]}", "models", "a list of 1 to 256"},
        {"{\"name\":\"k\",\"models\":\"x\"}", "models", "a list"},
        {"{\"name\":\"k\",\"models\":[5]}", "models", "a list"},
        {"{\"name\":\"k\",\"models\":[\"a*b\"]}", "models", "the beginning of one and '*'"},
        {"{\"name\":\"k\",\"models\":[\"\"]}", "models", "1 to 256 bytes"},
        {"{\"name\":\"k\",\"limit\":0}", "limit", "US dollars"},
        {"{\"name\":\"k\",\"limit\":-1}", "limit", "US dollars"},
        {"{\"name\":\"k\",\"limit\":\"1.2.3\"}", "limit", "US dollars"},
        {"{\"name\":\"k\",\"limit\":0.0000000001}", "limit", "at most 9 decimals"},
        {"{\"name\":\"k\",\"limit\":true}", "limit", "US dollars"},
        {"{\"name\":\"k\",\"limit_reset\":\"daily\"}", "limit_reset", "give a 'limit' too"},
        {"{\"name\":\"k\",\"limit\":1,\"limit_reset\":\"weekly\"}", "limit_reset",
         "\"daily\", \"monthly\", or null"},
        {"{\"name\":\"k\",\"tokens_per_minute\":0}", "tokens_per_minute", "integer from 1"},
        {"{\"name\":\"k\",\"concurrency\":0}", "concurrency", "integer from 1"},
        {"{\"name\":\"k\",\"tier\":\"prp\"}", "tier", "did you mean 'pro'?"},
        {"{\"name\":\"k\",\"role\":\"admin\"}", "role", "\"inference\", \"management\""},
        {"{\"name\":\"k\",\"ratelimit\":1}", "ratelimit", "did you mean 'rate_limit'?"},
        {"{\"name\":\"k\",\"team\":\"other\"}", "team", "There is no member 'team'"},
        {"{\"name\":\"k\",\"disabled\":true}", "disabled", "There is no member"},
        {"{\"name\":\"k\",\"name\":\"l\"}", "", "not valid JSON"},
        {"{\"name\":[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[["
         "[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[", "", "not valid JSON"}, /* deeper than is read */
        {"{\"name\":\"k\"", "", "line 1, column"},
        {"[]", "", "must be a JSON object"},
        {"", "", "needs a body"},
        {"  ", "", "needs a body"},
    };
    af *f = af_new(*state);
    uint32_t before = f->store->writes;
    api_actor who = af_key(CONF_ROLE_MANAGEMENT, "key_of_test", "default");
    for (size_t i = 0; i < TP_COUNT(wrong); i++)
        af_refuses(f, who, "POST", "/api/v1/keys", wrong[i].body, 400, wrong[i].param,
                   wrong[i].words);
    /* The same over the admin API, whose envelope shows the parameter. */
    ASK(a, f, who, "POST", "/admin/keys", "{\"name\":\"k\",\"rate_limit\":0}", 400);
    assert_at(&a, "error.param", "rate_limit");
    assert_at(&a, "error.code", "invalid_value");
    assert_at(&a, "error.type", "invalid_request_error");
    answer_free(&a);
    ASK(b, f, who, "POST", "/api/v1/keys", "{\"name\":\"k\",\"rate_limit\":0}", 400);
    assert_at(&b, "error.code", "400"); /* the surface's own envelope */
    assert_null(at(&b, "error.param"));
    answer_free(&b);
    snprintf(f->type, sizeof(f->type), "text/plain");
    af_refuses(f, who, "POST", "/api/v1/keys", "{\"name\":\"k\"}", 415, "", "application/json");
    f->type[0] = 0;
    af_refuses(f, who, "POST", "/api/v1/keys", "{\"name\":\"k\"}", 415, "", "application/json");
    assert_int_equal(f->store->writes, before);
    snprintf(f->type, sizeof(f->type), "Application/JSON; charset=utf-8");
    ASK(c, f, who, "POST", "/api/v1/keys", "{\"name\":\"k\"}", 201);
    answer_free(&c);
    af_free(f);
}

static void who_may(void **state)
{
    af *f = af_new(*state);
    af_make_team(f, "acme");
    const char *plain = af_make_key(f, "acme", "inference");
    api_actor who = af_key(CONF_ROLE_INFERENCE, plain, "acme");
    char path[128];
    snprintf(path, sizeof(path), "/api/v1/keys/%s", plain);
    af_refuses(f, who, "GET", "/api/v1/keys", NULL, 403, NULL, "role 'inference'");
    af_refuses(f, who, "POST", "/api/v1/keys", "{\"name\":\"k\"}", 403, NULL, "role 'inference'");
    af_refuses(f, who, "GET", path, NULL, 403, NULL, "role 'inference'");
    af_refuses(f, who, "PATCH", path, "{}", 403, NULL, "role 'inference'");
    af_refuses(f, who, "DELETE", path, NULL, 403, NULL, "role 'inference'");
    af_refuses(f, af_nobody(), "GET", "/api/v1/keys", NULL, 401, NULL,
               "Invalid or missing API key");
    af_refuses(f, af_nobody(), "GET", "/api/auth", NULL, 401, NULL,
               "Unauthorized - Invalid or missing API key");
    ASK(a, f, af_nobody(), "GET", "/admin/keys", NULL, 401);
    assert_has(a.headers, "www-authenticate: Bearer");
    answer_free(&a);
    /* Nobody makes what is above itself. */
    api_actor boss = af_key(CONF_ROLE_MANAGEMENT, "key_of_test", "acme");
    af_refuses(f, boss, "POST", "/admin/keys", "{\"name\":\"k\",\"role\":\"admin\"}", 403, "role",
               "'admin'");
    af_refuses(f, boss, "POST", "/admin/keys", "{\"name\":\"k\",\"team\":\"default\"}", 404, "",
               "There is no team");
    af_refuses(f, boss, "GET", "/admin/keys?team=default", NULL, 404, "", "There is no team");
    ASK(b, f, boss, "POST", "/admin/keys", "{\"name\":\"k\"}", 201);
    assert_at(&b, "team", "acme");
    assert_true(is_secret(at(&b, "key"), "tp_live_"));
    answer_free(&b);
    /* Methods and paths that are not there. */
    ASK(c, f, boss, "PUT", "/api/v1/keys", "{}", 405);
    assert_has(c.headers, "allow: GET, HEAD, POST\n");
    answer_free(&c);
    ASK(d, f, boss, "POST", "/api/v1/keys/x", "{}", 405);
    assert_has(d.headers, "allow: GET, HEAD, PATCH, DELETE\n");
    answer_free(&d);
    af_refuses(f, boss, "GET", "/api/v1/keys/a/b", NULL, 404, NULL, "There is nothing at");
    af_refuses(f, boss, "PATCH", "/api/auth/x", "{}", 405, NULL, "use DELETE");
    af_refuses(f, boss, "GET", "/api/v1/keys/%zz", NULL, 404, NULL, "not readable");
    af_free(f);
}

/* K-38, R-7: any key of the team makes keys over /auth, and none that may more than it. */
static void a_key_makes_no_more_than_itself(void **state)
{
    static const struct {
        const char *body, *param;
    } beyond[] = {
        {"{\"name\":\"k\",\"role\":\"management\"}", "role"},
        {"{\"name\":\"k\",\"models\":[\"gpt-*\"]}", "models"},
        {"{\"name\":\"k\",\"models\":[\"llama-3\",\"gpt-4\"]}", "models"},
        {"{\"name\":\"k\",\"models\":[\"lla*\"]}", "models"},
        {"{\"name\":\"k\",\"expires_in\":3601}", "expires_in"},
        {"{\"name\":\"k\",\"expires_in\":null}", "expires_in"},
        {"{\"name\":\"k\",\"rate_limit\":51}", "rate_limit"},
        {"{\"name\":\"k\",\"tier\":\"pro\"}", "rate_limit"},
        {"{\"name\":\"k\",\"tokens_per_minute\":5001}", "tokens_per_minute"},
        {"{\"name\":\"k\",\"concurrency\":3}", "concurrency"},
        {"{\"name\":\"k\",\"limit\":2.01}", "limit"},
        {"{\"name\":\"k\",\"limit\":2,\"limit_reset\":\"daily\"}", "limit_reset"},
    };
    af *f = af_new(*state);
    af_make_team(f, "acme");
    ASK(a, f, af_socket(), "POST", "/admin/keys",
        "{\"name\":\"own\",\"team\":\"acme\",\"surface\":\"kairosroute\",\"models\":[\"llama-*\"],"
        "\"expires_in\":3600,\"rate_limit\":50,\"tokens_per_minute\":5000,\"concurrency\":2,"
        "\"limit\":\"2\",\"limit_reset\":\"monthly\"}",
        201);
    assert_true(is_secret(at(&a, "key"), "kr_live_"));
    api_actor who = af_key(CONF_ROLE_INFERENCE, at(&a, "id"), "acme");
    for (size_t i = 0; i < TP_COUNT(beyond); i++)
        af_refuses(f, who, "POST", "/api/auth", beyond[i].body, 403, beyond[i].param,
                   beyond[i].param);
    /* What is not said is the maker's. */
    ASK(b, f, who, "POST", "/api/auth", "{\"name\":\"Production Key\"}", 201);
    has_shape(&b, 0, &api_shape_key_made);
    assert_true(is_secret(at(&b, "key"), "kr_live_"));
    assert_at(&b, "team", "acme");
    assert_at(&b, "models.0", "llama-*");
    assert_at(&b, "expires_at", "2026-04-15T11:30:00Z");
    assert_at(&b, "rate_limit", "50"); /* less than the surface's tier allows */
    assert_at(&b, "tokens_per_minute", "5000");
    assert_at(&b, "concurrency", "2");
    assert_at(&b, "limit", "2");
    assert_at(&b, "limit_reset", "monthly");
    /* Within its bounds it may say. */
    ASK(c, f, who, "POST", "/api/auth",
        "{\"name\":\"k\",\"models\":[\"llama-3\"],\"expires_in\":60,\"rate_limit\":50,"
        "\"limit\":0.5}",
        201);
    assert_at(&c, "expires_at", "2026-04-15T10:31:00Z");
    assert_at(&c, "limit", "0.5");
    answer_free(&c);
    /* K-39, K-40: it lists and revokes the keys of the team. */
    ASK(d, f, who, "GET", "/api/auth", NULL, 200);
    assert_has(d.body, at(&b, "id"));
    assert_null(strstr(d.body, at(&b, "key")));
    answer_free(&d);
    char path[96];
    snprintf(path, sizeof(path), "/api/auth/%s", at(&b, "id"));
    ASK(e, f, who, "DELETE", path, NULL, 200);
    assert_at(&e, "deleted", "true");
    answer_free(&e);
    answer_free(&b);
    answer_free(&a);
    /* A management key makes one of the surface's tier, whatever its own limits are. */
    api_actor boss =
        af_key(CONF_ROLE_MANAGEMENT, af_make_key(f, "acme", "management"), "acme");
    ASK(m, f, boss, "POST", "/api/auth", "{\"name\":\"Production Key\"}", 201);
    assert_at(&m, "tier", "free");
    assert_at(&m, "rate_limit", "100");
    answer_free(&m);
    /* An inference key with room enough does, too. */
    const char *roomy = af_make_key(f, "acme", "inference\",\"tier\":\"pro");
    api_actor free_one = af_key(CONF_ROLE_INFERENCE, roomy, "acme");
    ASK(g, f, free_one, "POST", "/api/auth", "{\"name\":\"Production Key\",\"expires_in\":7776000}",
        201);
    assert_at(&g, "tier", "free");
    assert_at(&g, "rate_limit", "100");
    answer_free(&g);
    /* A static key of no team cannot: its keys would belong to nobody. */
    af_refuses(f, af_key(CONF_ROLE_INFERENCE, NULL, NULL), "POST", "/api/auth", "{\"name\":\"k\"}",
               403, NULL, "no team");
    ASK(h, f, af_key(CONF_ROLE_INFERENCE, NULL, NULL), "GET", "/api/auth", NULL, 200);
    assert_string_equal(h.body, "{\"data\":[]}");
    answer_free(&h);
    af_free(f);
}

static void the_admin_makes_keys_of_any_kind(void **state)
{
    af *f = af_new(*state);
    af_make_team(f, "acme");
    ASK(a, f, af_socket(), "POST", "/admin/keys",
        "{\"name\":\"k\",\"role\":\"admin\",\"prefix\":\"my_own_\",\"limit\":\"0.000000001\"}",
        201);
    has_shape(&a, 0, &api_shape_admin_key_made);
    assert_true(is_secret(at(&a, "key"), "my_own_"));
    assert_at(&a, "team", "default");
    assert_at(&a, "role", "admin");
    assert_at(&a, "limit", "0.000000001"); /* a string here */
    assert_non_null(strstr(a.body, "\"limit\":\"0.000000001\""));
    assert_at(&a, "rate_limit", "60"); /* what is usual */
    assert_at(&a, "created_by", "socket");
    assert_at(&a, "configured", "false");
    answer_free(&a);
    ASK(b, f, af_socket(), "POST", "/admin/keys",
        "{\"name\":\"k\",\"team\":\"acme\",\"surface\":\"airouter\"}", 201);
    assert_true(is_secret(at(&b, "key"), "air_live_"));
    assert_at(&b, "rate_limit", "60");
    char path[96];
    snprintf(path, sizeof(path), "/admin/keys/%s", at(&b, "id"));
    answer_free(&b);
    ASK(c, f, af_socket(), "GET", path, NULL, 200);
    has_shape(&c, 0, &api_shape_admin_key);
    answer_free(&c);
    static const char *const prefixes[] = {"\"Tp_\"", "\"tp\"", "\"t-p_\"", "\"\"",
                                           "\"aaaaaaaaaaaaaaaaaaaaaaaa_\""};
    for (size_t i = 0; i < TP_COUNT(prefixes); i++) {
        char body[96];
        snprintf(body, sizeof(body), "{\"name\":\"k\",\"prefix\":%s}", prefixes[i]);
        af_refuses(f, af_socket(), "POST", "/admin/keys", body, 400, "prefix", "'prefix' must be");
    }
    af_refuses(f, af_socket(), "POST", "/admin/keys", "{\"name\":\"k\",\"surface\":\"airoutr\"}",
               400, "surface", "did you mean 'airouter'?");
    af_refuses(f, af_socket(), "POST", "/admin/keys", "{\"name\":\"k\",\"team\":\"nope\"}", 400,
               "team", "There is no team 'nope'");
    /* The configuration's own keys are shown, and changed in the configuration. */
    ASK(d, f, af_socket(), "GET", "/admin/keys/static:root", NULL, 200);
    assert_at(&d, "configured", "true");
    assert_at(&d, "hint", "null");
    answer_free(&d);
    af_refuses(f, af_socket(), "DELETE", "/admin/keys/static:root", NULL, 409, "", "conf.d");
    af_refuses(f, af_socket(), "PATCH", "/admin/keys/static:root", "{}", 409, "", "conf.d");
    af_free(f);
}

static void lists_in_pages(void **state)
{
    af *f = af_new(*state);
    char ids[7][32], target[192] = "/admin/keys?team=default&limit=3";
    af_make_team(f, "acme");
    af_make_key(f, "acme", "inference");
    for (int i = 0; i < 7; i++) {
        f->now.unix_ms += i < 4 ? 1000 : 0; /* some are made in one moment */
        snprintf(ids[i], sizeof(ids[i]), "%s", af_make_key(f, "default", "inference"));
    }
    int seen = 0, pages = 0;
    for (;; pages++) {
        ASK(a, f, af_socket(), "GET", target, NULL, 200);
        for (int i = 0; i < 7; i++)
            seen += strstr(a.body, ids[i]) != NULL;
        char next[128];
        snprintf(next, sizeof(next), "%s", at(&a, "next"));
        answer_free(&a);
        if (strcmp(next, "null") == 0)
            break;
        snprintf(target, sizeof(target), "/admin/keys?team=default&limit=3&cursor=%s", next);
        assert_true(pages < 5);
    }
    assert_int_equal(seen, 7); /* each once */
    assert_int_equal(pages, 2);
    af_refuses(f, af_socket(), "GET", "/admin/keys?cursor=x", NULL, 400, "cursor", "'next'");
    af_refuses(f, af_socket(), "GET", "/admin/keys?limit=0", NULL, 400, "limit", "from 1 to 1000");
    af_refuses(f, af_socket(), "GET", "/admin/keys?limit=1001", NULL, 400, "limit", "from 1");
    af_refuses(f, af_socket(), "GET", "/admin/keys?limits=1", NULL, 400, "limits",
               "did you mean 'limit'?");
    af_refuses(f, af_socket(), "GET", "/admin/keys?limit=1&limit=2", NULL, 400, "limit", "twice");
    af_refuses(f, af_socket(), "GET", "/admin/keys?team=%zz", NULL, 400, "", "not readable");
    ASK(b, f, af_key(CONF_ROLE_MANAGEMENT, "key_t", "default"), "GET", "/api/v1/keys?anything=1",
        NULL, 200);
    assert_null(at(&b, "next"));
    assert_non_null(at(&b, "data.6.id"));
    assert_null(at(&b, "data.7.id"));
    answer_free(&b);
    af_free(f);
}

static void the_key_that_asks(void **state)
{
    af *f = af_new(*state);
    ASK(a, f, af_socket(), "POST", "/admin/keys",
        "{\"name\":\"mine\",\"rate_limit\":60,\"limit\":5}", 201);
    ASK(b, f, af_key(CONF_ROLE_INFERENCE, at(&a, "id"), "default"), "GET", "/api/v1/key", NULL,
        200);
    char want[512];
    snprintf(want, sizeof(want),
             "{\"data\":{\"label\":\"%s\",\"name\":\"mine\",\"usage\":0,\"limit\":5,"
             "\"limit_remaining\":5,\"is_free_tier\":false,\"rate_limit\":{\"requests\":60,"
             "\"interval\":\"60s\"}}}",
             at(&a, "hint"));
    assert_string_equal(b.body, want);
    answer_free(&b);
    answer_free(&a);
    ASK(c, f, af_key(CONF_ROLE_ADMIN, "static:root", NULL), "GET", "/api/v1/key", NULL, 200);
    assert_at(&c, "data.label", "root");
    assert_at(&c, "data.limit_remaining", "null");
    assert_at(&c, "data.rate_limit.requests", "-1");
    answer_free(&c);
    ASK(d, f, af_key(CONF_ROLE_INFERENCE, NULL, NULL), "GET", "/api/v1/key", NULL, 200);
    assert_at(&d, "data.name", "null");
    answer_free(&d);
    af_free(f);
}

static void a_store_in_trouble_changes_nothing(void **state)
{
    af *f = af_new(*state);
    af_make_team(f, "acme");
    const char *id = af_make_key(f, "acme", "inference");
    api_actor who = af_key(CONF_ROLE_MANAGEMENT, "key_t", "acme");
    uint32_t keys = book_key_count(f->book);
    char path[96];
    snprintf(path, sizeof(path), "/api/v1/keys/%s", id);
    f->store->down = 1;
    ASK(a, f, who, "POST", "/admin/keys", "{\"name\":\"k\"}", 503);
    assert_at(&a, "error.type", "service_unavailable_error");
    assert_at(&a, "error.code", "store_unavailable");
    assert_at(&a, "error.message",
              "The store is not available: the disk is full: make room; try again later.");
    assert_has(a.headers, "retry-after: 5\n");
    assert_null(strstr(a.body, "tp_live_"));
    answer_free(&a);
    af_refuses(f, who, "PATCH", path, "{\"name\":\"new\",\"disabled\":true}", 503, NULL, "store");
    af_refuses(f, who, "DELETE", path, NULL, 503, NULL, "store");
    assert_int_equal(book_key_count(f->book), keys);
    const book_key *k = book_key_by_id(f->book, str_of(id));
    assert_non_null(k);
    assert_int_equal(atomic_load(&k->revoked), 0);
    assert_str(((const key_terms *)atomic_load(&k->terms))->name, "n");
    /* What lies in memory is told all the same. */
    ASK(b, f, who, "GET", path, NULL, 200);
    assert_at(&b, "name", "n");
    answer_free(&b);
    f->store->down = 0;
    ASK(c, f, who, "PATCH", path, "{\"name\":\"new\"}", 200);
    answer_free(&c);
    /* The same beginning as another key's: another secret is made. */
    f->store->collide = 2;
    ASK(d, f, who, "POST", "/api/v1/keys", "{\"name\":\"k\"}", 201);
    answer_free(&d);
    af_free(f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_key_is_shown_once),
        cmocka_unit_test(all_terms_of_a_key),
        cmocka_unit_test(revoking),
        cmocka_unit_test(what_a_body_must_be),
        cmocka_unit_test(who_may),
        cmocka_unit_test(a_key_makes_no_more_than_itself),
        cmocka_unit_test(the_admin_makes_keys_of_any_kind),
        cmocka_unit_test(lists_in_pages),
        cmocka_unit_test(the_key_that_asks),
        cmocka_unit_test(a_store_in_trouble_changes_nothing),
    };
    return cmocka_run_group_tests(tests, wf_open, wf_close);
}
