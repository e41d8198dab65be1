/* Generations, the OpenAPI description, the socket's own calls, and the book filled from the store.
 */
#include "api_fixture.h"

static settle_record record(const char *id, const char *team, int outcome)
{
    settle_record r = {.generation = str_of(id),
                       .upstream_id = STR("up-1"),
                       .request_id = STR("req-1"),
                       .key = STR("backend"),
                       .key_id = STR("key_p"),
                       .team = str_of(team),
                       .surface = STR("airouter"),
                       .endpoint = STR("chat"),
                       .model_asked = STR("openai/gpt-5.4"),
                       .model_served = STR("gpt-5.4-2026"),
                       .provider = STR("openai"),
                       .client = STR("203.0.113.9"),
                       .method = STR("POST"),
                       .path = STR("/api/v1/chat/completions"),
                       .unix_ms = NOW_MS,
                       .latency_us = 1250999,
                       .first_token_us = 80500,
                       .bytes_in = 300,
                       .bytes_out = 900,
                       .cost_nano = 3062500,
                       .status = 200,
                       .outcome = outcome,
                       .attempts = 2,
                       .streamed = 1,
                       .finish = TP_FINISH_TOOLS,
                       .flags = SETTLE_ESTIMATED,
                       .price_version = STR("p-0123456789abcdef"),
                       .hold_nano = 9000000,
                       .charged_nano = 3062500,
                       .baseline_nano = 4000000};
    usage_set(&r.used, STR("prompt"), 20);
    usage_set(&r.used, STR("cache_read"), 4);
    usage_set(&r.used, STR("cache_write"), 1);
    usage_set(&r.used, STR("completion"), 140);
    usage_set(&r.used, STR("reasoning"), 10);
    return r;
}

static void add(af *f, settle_record r)
{
    f->store->records[f->store->record_count++] = r;
}

static void sound_counts_as_tokens(void **state)
{
    af *f = af_new(*state);
    settle_record r = record("gen-sound", "acme", SETTLE_COMPLETED);
    usage_set(&r.used, STR("audio_prompt"), 375);
    usage_set(&r.used, STR("audio_completion"), 1000);
    usage_set(&r.used, STR("images"), 7);
    add(f, r);
    api_actor who = af_key(CONF_ROLE_INFERENCE, "key_q", "acme");
    ASK(a, f, who, "GET", "/api/v1/generation?id=gen-sound", NULL, 200);
    assert_at(&a, "tokens_prompt", "400");
    assert_at(&a, "tokens_completion", "1150");
    answer_free(&a);
    af_free(f);
}

static void a_generation_as_documented(void **state)
{
    af *f = af_new(*state);
    add(f, record("gen-abc123", "acme", SETTLE_COMPLETED));
    add(f, record("gen-def", "acme", SETTLE_CANCELLED));
    add(f, record("gen-ghi", "acme", SETTLE_FAILED));
    add(f, record("gen-foreign", "beta", SETTLE_COMPLETED));
    add(f, record("gen-nobody", "", SETTLE_COMPLETED));
    f->store->records[2].baseline_nano = -1;
    f->store->records[2].finish = 0;
    f->store->records[2].first_token_us = -1;
    api_actor who = af_key(CONF_ROLE_INFERENCE, "key_q", "acme");
    ASK(a, f, who, "GET", "/api/v1/generation?id=gen-abc123", NULL, 200);
    assert_string_equal(
        a.body,
        "{\"id\":\"gen-abc123\",\"model\":\"openai/gpt-5.4\",\"created_at\":"
        "\"2026-04-15T10:30:00Z\",\"tokens_prompt\":25,\"tokens_completion\":150,\"total_cost\":"
        "0.0030625,\"latency_ms\":1250,\"provider\":\"openai\",\"status\":\"completed\","
        "\"model_served\":\"gpt-5.4-2026\",\"streamed\":true,\"finish_reason\":\"tool_calls\","
        "\"time_to_first_token_ms\":80,\"attempts\":2,\"tokens_reasoning\":10,\"tokens_cached\":4,"
        "\"usage\":{\"prompt\":20,\"cache_read\":4,\"cache_write\":1,\"completion\":140,"
        "\"reasoning\":10},\"charged\":0.0030625,\"savings\":0.0009375,\"upstream_id\":\"up-1\","
        "\"byok\":false,\"estimated\":true}");
    answer_free(&a);
    ASK(b, f, who, "GET", "/api/v1/generation?id=gen-def", NULL, 200);
    assert_at(&b, "status", "cancelled");
    answer_free(&b);
    ASK(c, f, who, "GET", "/api/v1/generation?id=gen%2Dghi", NULL, 200);
    assert_at(&c, "status", "failed");
    assert_at(&c, "savings", "null");
    assert_at(&c, "finish_reason", "null");
    assert_at(&c, "time_to_first_token_ms", "null");
    answer_free(&c);
    af_refuses(f, who, "GET", "/api/v1/generation", NULL, 400, NULL, "'id' is missing");
    af_refuses(f, who, "GET", "/api/v1/generation?id=", NULL, 400, NULL, "'id' is missing");
    af_refuses(f, who, "GET", "/api/v1/generation?id=gen-none", NULL, 404, NULL,
               "There is no generation 'gen-none'");
    af_refuses(f, who, "GET", "/api/v1/generation?id=gen-foreign", NULL, 404, NULL,
               "There is no generation");
    af_refuses(f, who, "GET", "/api/v1/generation?id=gen-nobody", NULL, 404, NULL,
               "There is no generation");
    /* One without a team belongs to the key that it came with. */
    ASK(d, f, af_key(CONF_ROLE_INFERENCE, "key_p", NULL), "GET", "/api/v1/generation?id=gen-nobody",
        NULL, 200);
    answer_free(&d);
    af_refuses(f, af_key(CONF_ROLE_INFERENCE, "key_other", NULL), "GET",
               "/api/v1/generation?id=gen-nobody", NULL, 404, NULL, "There is no generation");
    af_refuses(f, af_nobody(), "GET", "/api/v1/generation?id=gen-def", NULL, 401, NULL, "API key");
    f->store->down = 1;
    af_refuses(f, who, "GET", "/api/v1/generation?id=gen-def", NULL, 503, NULL, "disk is full");
    af_free(f);
}

static void generations_with_filters(void **state)
{
    af *f = af_new(*state);
    add(f, record("gen-1", "acme", SETTLE_COMPLETED));
    add(f, record("gen-2", "beta", SETTLE_FAILED));
    add(f, record("gen-3", "acme", SETTLE_FAILED));
    f->store->records[2].prompt = STR("{\"a\":\"\xc3\xa9\xc3"); /* cut within a character */
    af_make_team(f, "acme");
    ASK(a, f, af_socket(), "GET",
        "/admin/generations?limit=2&cursor=c1&key=key_p&model=m%2Fx&provider=groq&status=failed"
        "&from=2026-04-15T10:30:00Z&to=1776249060000",
        NULL, 200);
    assert_at(&a, "data.0.id", "gen-3");
    assert_at(&a, "data.1.id", "gen-2");
    assert_at(&a, "data.1.team", "beta");
    assert_at(&a, "data.0.key", "key_p");
    assert_at(&a, "data.0.key_name", "backend");
    assert_at(&a, "data.0.hold", "0.009");
    assert_at(&a, "data.0.cost", "0.0030625");
    assert_at(&a, "data.0.baseline", "0.004");
    assert_at(&a, "data.0.savings", "0.0009375");
    assert_at(&a, "data.0.price_version", "p-0123456789abcdef");
    assert_at(&a, "data.0.http_status", "200");
    assert_at(&a, "data.0.prompt", "{\"a\":\"\xc3\xa9");
    assert_at(&a, "data.1.prompt", "null");
    assert_at(&a, "next", "null");
    answer_free(&a);
    const registry_query *q = &f->store->asked;
    assert_int_equal(q->limit, 2);
    assert_int_equal(q->status, SETTLE_FAILED);
    assert_int_equal(q->from_ms, NOW_MS);
    assert_int_equal(q->to_ms, NOW_MS + 60000);
    assert_str(q->cursor, "c1");
    assert_str(q->key, "key_p");
    assert_str(q->model, "m/x");
    assert_str(q->provider, "groq");
    assert_int_equal(q->team.len, 0);
    /* A manager sees its own team, whatever it asks. */
    api_actor boss = af_key(CONF_ROLE_MANAGEMENT, "key_b", "acme");
    ASK(b, f, boss, "GET", "/admin/generations", NULL, 200);
    assert_str(f->store->asked.team, "acme");
    assert_null(strstr(b.body, "gen-2"));
    assert_non_null(strstr(b.body, "gen-3"));
    answer_free(&b);
    af_refuses(f, boss, "GET", "/admin/generations?team=beta", NULL, 404, "", "There is no team");
    af_refuses(f, boss, "GET", "/admin/generations/gen-2", NULL, 404, "", "no generation 'gen-2'");
    ASK(c, f, boss, "GET", "/admin/generations/gen-3", NULL, 200);
    assert_at(&c, "path", "/api/v1/chat/completions");
    answer_free(&c);
    af_refuses(f, af_key(CONF_ROLE_INFERENCE, "key_p", "acme"), "GET", "/admin/generations", NULL,
               403, "", "'inference'");
    static const char *const times[] = {
        "x", "2026-04-15T10:30:00", "2026-02-30", "2026-13-01", "0", "-5", "2026-04-15T25:00:00Z"};
    for (size_t i = 0; i < TP_COUNT(times); i++) {
        char target[96];
        snprintf(target, sizeof(target), "/admin/generations?from=%s", times[i]);
        af_refuses(f, af_socket(), "GET", target, NULL, 400, "from", "a time in UTC");
    }
    af_refuses(f, af_socket(), "GET", "/admin/generations?status=ok", NULL, 400, "status",
               "\"completed\"");
    af_free(f);
}

static void money_and_times_are_exact(void **state)
{
    static const struct {
        const char *text;
        int rc;
        int64_t nano;
    } money[] = {
        {"12.5", 0, 12500000000},
        {"0.000000001", 0, 1},
        {"-3", 0, -3000000000},
        {"1e2", 0, 100000000000},
        {"1E-9", 0, 1},
        {"1.50000000000000", 0, 1500000000}, /* zeros are nothing */
        {"0.1e1", 0, 1000000000},
        {"9223372036.854775807", 0, INT64_MAX},
        {"9223372036.854775808", -3, 0},
        {"0e99", 0, 0},
        {"1e-10", -2, 0},
        {"0.0000000001", -2, 0},
        {"1e101", -1, 0},
        {"1e99", -3, 0},
        {"", -1, 0},
        {"-", -1, 0},
        {"1.", -1, 0},
        {".1", -1, 0},
        {"+1", -1, 0},
        {"1e", -1, 0},
        {"0x10", -1, 0},
        {"1,5", -1, 0},
        {"NaN", -1, 0},
    };
    (void)state;
    for (size_t i = 0; i < TP_COUNT(money); i++) {
        int64_t nano = 77;
        int rc = api_money_parse(str_of(money[i].text), &nano);
        if (rc != money[i].rc || (rc == 0 && nano != money[i].nano))
            fail_msg("'%s': %d, %lld", money[i].text, rc, (long long)nano);
    }
    int64_t ms = 0;
    assert_int_equal(api_time_parse(STR("2026-04-15T10:30:00Z"), &ms), 0);
    assert_int_equal(ms, NOW_MS);
    assert_int_equal(api_time_parse(STR("2026-04-15T10:30:00.125Z"), &ms), 0);
    assert_int_equal(ms, NOW_MS + 125);
    assert_int_equal(api_time_parse(STR("2026-04-15"), &ms), 0);
    assert_int_equal(ms, INT64_C(1776211200000));
    assert_int_equal(api_time_parse(STR("2024-02-29"), &ms), 0);
    assert_int_equal(api_time_parse(STR("2026-02-29"), &ms), -1);
    assert_int_equal(api_time_parse(STR("1776249000000"), &ms), 0);
    assert_int_equal(ms, NOW_MS);
}

/* The members of an object of the answer are those of the shape. */
static void has_shape(answer *a, uint32_t object, const api_shape *s)
{
    uint32_t members = 0, named = 0;
    assert_int_equal(json_kind(&a->d, object), TP_OBJECT);
    for (uint32_t t = object + 1; t < a->d.tokens[object].next; t = a->d.tokens[t + 1].next)
        members++;
    for (const api_shape_member *m = s->members; m->name; m++, named++)
        if (!json_find(&a->d, object, str_of(m->name)))
            fail_msg("%s of %s is missing from %s", m->name, s->name, a->body);
    if (members != named)
        fail_msg("%u members, %u in %s: %s", members, named, s->name, a->body);
}

static void answers_have_their_shapes(void **state)
{
    af *f = af_new(*state);
    af_make_team(f, "acme");
    const char *boss = af_make_key(f, "acme", "management");
    add(f, record("gen-1", "acme", SETTLE_COMPLETED));
    ASK(set, f, af_socket(), "PUT", "/admin/teams/acme/byok/echo", "{\"key\":\"k\"}", 200);
    has_shape(&set, 0, &api_shape_byok);
    answer_free(&set);
    ASK(credit, f, af_socket(), "POST", "/admin/teams/acme/credits", "{\"amount\":1}", 201);
    has_shape(&credit, 0, &api_shape_entry_made);
    answer_free(&credit);
    static const struct {
        const char *path;
        const api_shape *shape;
        int wrap;
    } rows[] = {
        {"/api/v1/keys", &api_shape_key, REPLY_LIST},
        {"/api/v1/key", &api_shape_self, REPLY_DATA},
        {"/api/auth", &api_shape_key, REPLY_LIST},
        {"/api/v1/credits", &api_shape_credits, REPLY_DATA},
        {"/api/v1/generation?id=gen-1", &api_shape_generation, REPLY_PLAIN},
        {"/admin/teams/acme", &api_shape_team, REPLY_PLAIN},
        {"/admin/teams/acme/credits", &api_shape_team_credits, REPLY_PLAIN},
        {"/admin/teams/acme/ledger", &api_shape_entry, REPLY_PAGE},
        {"/admin/teams/acme/byok", &api_shape_byok, REPLY_PAGE},
        {"/admin/keys", &api_shape_admin_key, REPLY_PAGE},
        {"/admin/generations", &api_shape_admin_generation, REPLY_PAGE},
        {"/admin/generations/gen-1", &api_shape_admin_generation, REPLY_PLAIN},
        {"/admin/openapi.json", NULL, REPLY_PLAIN},
    };
    api_actor who = af_key(CONF_ROLE_MANAGEMENT, boss, "acme");
    for (size_t i = 0; i < TP_COUNT(rows); i++) {
        answer a = af_ask(f, who, "GET", rows[i].path, NULL);
        assert_status(&a, 200);
        uint32_t t = rows[i].wrap == REPLY_PLAIN ? 0 : json_find(&a.d, 0, STR("data"));
        if (rows[i].wrap == REPLY_LIST || rows[i].wrap == REPLY_PAGE) {
            assert_int_equal(json_kind(&a.d, t), TP_ARRAY);
            t++;
        }
        assert_int_equal(json_find(&a.d, 0, STR("next")) != 0, rows[i].wrap == REPLY_PAGE);
        if (rows[i].shape)
            has_shape(&a, t, rows[i].shape);
        answer_free(&a);
    }
    ASK(team, f, af_socket(), "GET", "/admin/teams/acme", NULL, 200);
    has_shape(&team, json_find(&team.d, 0, STR("policy")), &api_shape_policy);
    answer_free(&team);
    ASK(verify, f, af_socket(), "GET", "/admin/ledger/verify", NULL, 200);
    has_shape(&verify, 0, &api_shape_verdict);
    answer_free(&verify);
    af_free(f);
}

/* Every reference of the document leads somewhere. */
static void references_hold(answer *a)
{
    uint32_t schemas = json_get(&a->d, 0, "components", "schemas", NULL);
    uint32_t seen = 0;
    assert_int_not_equal(schemas, 0);
    for (uint32_t t = 0; t + 1 < a->d.count; t++) {
        if (!json_string_is(&a->d, t, STR("$ref")))
            continue;
        tp_str to = json_string(&a->d, t + 1, &a->mem);
        assert_true(str_starts(to, STR("#/components/schemas/")));
        if (!json_find(&a->d, schemas, str_skip(to, 21)))
            fail_msg("there is no schema for %.*s", STR_ARG(to));
        seen++;
    }
    assert_true(seen > 40);
}

static void the_description_names_every_row(void **state)
{
    static const char *const verbs[] = {[HTTP_GET] = "get",
                                        [HTTP_POST] = "post",
                                        [HTTP_PUT] = "put",
                                        [HTTP_PATCH] = "patch",
                                        [HTTP_DELETE] = "delete"};
    static const char *const bases[] = {[WORLD_KEYS] = "/api/v1/keys",
                                        [WORLD_KEY_SELF] = "/api/v1/key",
                                        [WORLD_AUTH] = "/api/auth",
                                        [WORLD_CREDITS] = "/api/v1/credits",
                                        [WORLD_GENERATION] = "/api/v1/generation",
                                        [WORLD_ADMIN] = "/admin"};
    af *f = af_new(*state);
    ASK(a, f, af_key(CONF_ROLE_INFERENCE, NULL, NULL), "GET", "/admin/openapi.json", NULL, 200);
    uint32_t count, named = 0;
    const api_row *rows = api_rows(&count);
    uint32_t paths = json_find(&a.d, 0, STR("paths"));
    assert_at(&a, "openapi", "3.1.0");
    for (uint32_t i = 0; i < count; i++) {
        char path[128], status[8];
        snprintf(path, sizeof(path), "%s%s%s", bases[rows[i].mount], rows[i].pattern[0] ? "/" : "",
                 rows[i].pattern);
        uint32_t p = json_find(&a.d, paths, str_of(path));
        uint32_t op = p ? json_find(&a.d, p, str_of(verbs[rows[i].method])) : 0;
        if (!op)
            fail_msg("%s %s is not described", verbs[rows[i].method], path);
        snprintf(status, sizeof(status), "%d", rows[i].status);
        assert_int_not_equal(json_get(&a.d, op, "responses", status, NULL), 0);
        assert_int_equal(json_find(&a.d, op, STR("requestBody")) != 0, rows[i].body != NULL);
        named++;
    }
    assert_int_equal(named, count);
    /* Each operation's id is its own. */
    uint32_t ids = 0;
    for (uint32_t t = 0; t + 1 < a.d.count; t++) {
        if (!json_string_is(&a.d, t, STR("operationId")))
            continue;
        ids++;
        for (uint32_t k = t + 2; k + 1 < a.d.count; k++)
            if (json_string_is(&a.d, k, STR("operationId")))
                assert_false(str_eq(json_raw(&a.d, k + 1), json_raw(&a.d, t + 1)));
    }
    assert_true(ids >= count);
    /* The fields' bounds are those that are checked. */
    uint32_t rate = json_get(&a.d, 0, "components", "schemas", "KeyNew", "properties", "rate_limit",
                             "maximum", NULL);
    assert_str(json_raw(&a.d, rate), "16000000");
    references_hold(&a);
    answer_free(&a);
    af_refuses(f, af_nobody(), "GET", "/admin/openapi.json", NULL, 401, "", "API key");
    af_free(f);
}

static void what_the_socket_alone_may(void **state)
{
    af *f = af_new(*state);
    ASK(a, f, af_socket(), "POST", "/admin/backup", "{\"path\":\"/nowhere/at/all.db\"}", 200);
    assert_at(&a, "path", "/nowhere/at/all.db");
    assert_string_equal(f->store->backup, "/nowhere/at/all.db");
    answer_free(&a);
    af_refuses(f, af_socket(), "POST", "/admin/backup", "{\"path\":\"x.db\"}", 400, "path",
               "must be absolute");
    af_refuses(f, af_socket(), "POST", "/admin/backup", "{\"path\":\"/dev/null\"}", 409, "path",
               "is there already");
    f->store->busy = 1;
    af_refuses(f, af_socket(), "POST", "/admin/backup", "{\"path\":\"/nowhere/b.db\"}", 503, "",
               "under way");
    af_refuses(f, af_socket(), "GET", "/admin/ledger/verify", NULL, 503, "", "under way");
    f->store->busy = 0;
    ASK(b, f, af_socket(), "POST", "/admin/flush", NULL, 200);
    assert_string_equal(b.body, "{\"flushed\":true}");
    assert_int_equal(f->store->flushes, 1);
    answer_free(&b);
    f->store->down = 1;
    af_refuses(f, af_socket(), "POST", "/admin/flush", NULL, 503, "", "disk is full");
    af_free(f);
}

/* What one process made, the next one finds. */
static void the_book_is_filled_from_the_store(void **state)
{
    af *f = af_new(*state);
    tp_error err = {0};
    window_file *windows = NULL;
    af_make_team(f, "acme");
    const char *id = af_make_key(f, "acme", "inference");
    ASK(a, f, af_socket(), "POST", "/admin/keys",
        "{\"name\":\"d\",\"team\":\"acme\",\"limit\":5,\"limit_reset\":\"daily\"}", 201);
    char daily[32], secret[128];
    snprintf(daily, sizeof(daily), "%s", at(&a, "id"));
    snprintf(secret, sizeof(secret), "%s", at(&a, "key"));
    answer_free(&a);
    ASK(b, f, af_socket(), "PUT", "/admin/teams/acme/byok/groq", "{\"key\":\"sk-own-1\"}", 200);
    answer_free(&b);
    ASK(c, f, af_socket(), "PUT", "/admin/teams/acme/byok/echo", "{\"key\":\"sk-own-2\"}", 200);
    answer_free(&c);
    ASK(d, f, af_socket(), "POST", "/admin/teams/acme/credits", "{\"amount\":\"7.25\"}", 201);
    answer_free(&d);
    f->store->spent_day = 1000000000;
    f->store->spent_month = 2000000000;
    f->store->spent_total = 3000000000;

    assert_int_equal(window_file_open(NULL, 64, &windows, &err), 0);
    book *next = book_new(&f->pepper, windows, 0);
    api_ports ports = f->ports;
    ports.book = next;
    assert_int_equal(book_configure(next, f->world->conf, NOW_MS), 0);
    assert_int_equal(api_load(&ports, NOW_MS, &err), 0);
    book_team *t = book_team_of(next, STR("acme"));
    assert_non_null(t);
    assert_int_equal(book_balance(t), 7250000000);
    const team_terms *terms = atomic_load(&t->terms);
    assert_int_equal(terms->byok_count, 2);
    for (uint32_t i = 0; i < 2; i++)
        assert_str(terms->byok[i].secret,
                   str_eq(terms->byok[i].provider, STR("groq")) ? "sk-own-1" : "sk-own-2");
    tp_str lookup;
    assert_int_equal(secret_parse(str_of(secret), &lookup), 1);
    const book_key *k = book_key_by_lookup(next, lookup);
    assert_non_null(k);
    assert_str(k->id, daily);
    assert_int_equal(book_spent(k, NOW_MS, NULL), 1000000000); /* of the day */
    assert_int_equal(book_spent(book_key_by_id(next, str_of(id)), NOW_MS, NULL), 3000000000);
    assert_non_null(book_team_of(next, STR("default")));
    book_free(next);

    /* Another master key: the provider keys are left out, and the log says so. */
    secret_master other = {{1}};
    ports.master = &other;
    assert_int_equal(window_file_open(NULL, 64, &windows, &err), 0);
    ports.book = next = book_new(&f->pepper, windows, 0);
    assert_int_equal(api_load(&ports, NOW_MS, &err), 0);
    terms = atomic_load(&book_team_of(next, STR("acme"))->terms);
    assert_int_equal(terms->byok_count, 0);
    char *log = af_log(f);
    assert_has(log, "does not open with this master key");
    assert_null(strstr(log, "sk-own"));
    free(log);
    /* A store in trouble says so. */
    f->store->down = 1;
    assert_int_equal(api_load(&ports, NOW_MS, &err), TP_ERROR_IO);
    assert_has(err.text, "the disk is full");
    book_free(next);
    af_free(f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_generation_as_documented),
        cmocka_unit_test(sound_counts_as_tokens),
        cmocka_unit_test(generations_with_filters),
        cmocka_unit_test(money_and_times_are_exact),
        cmocka_unit_test(answers_have_their_shapes),
        cmocka_unit_test(the_description_names_every_row),
        cmocka_unit_test(what_the_socket_alone_may),
        cmocka_unit_test(the_book_is_filled_from_the_store),
    };
    return cmocka_run_group_tests(tests, wf_open, wf_close);
}
