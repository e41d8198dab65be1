/* Sessions: a management key once, then a cookie and a CSRF token. */
#include "api_fixture.h"

static char cookie_text[256], csrf_text[64];

/* Begins a session with a key and puts its cookie and token into the fixture. */
static void begin(af *f, int32_t role, const char *key, const char *team)
{
    f->cookie = f->csrf = NULL;
    ASK(a, f, af_key(role, key, team), "POST", "/admin/session", NULL, 201);
    const char *at_cookie = strstr(a.headers, "turnpike_session=");
    assert_non_null(at_cookie);
    snprintf(cookie_text, sizeof(cookie_text), "theme=dark; %.*s", (int)strcspn(at_cookie, ";"),
             at_cookie);
    snprintf(csrf_text, sizeof(csrf_text), "%s", at(&a, "csrf_token"));
    f->cookie = cookie_text;
    f->csrf = csrf_text;
    answer_free(&a);
}

static void a_session_stands_in_for_its_key(void **state)
{
    af *f = af_new(*state);
    af_make_team(f, "acme");
    const char *key = af_make_key(f, "acme", "management");
    ASK(a, f, af_key(CONF_ROLE_MANAGEMENT, key, "acme"), "POST", "/admin/session", NULL, 201);
    assert_at(&a, "role", "management");
    assert_at(&a, "team", "acme");
    assert_at(&a, "expires_at", "2026-04-15T11:00:00Z"); /* session_minutes 30 */
    assert_int_equal(strlen(at(&a, "csrf_token")), 43);
    assert_has(a.headers, "set-cookie: turnpike_session=tps_");
    assert_has(a.headers, "; HttpOnly; SameSite=Strict; Path=/; Max-Age=1800\n");
    answer_free(&a);
    f->secure = 1;
    ASK(b, f, af_key(CONF_ROLE_MANAGEMENT, key, "acme"), "POST", "/admin/session", NULL, 201);
    assert_has(b.headers, "Max-Age=1800; Secure\n");
    answer_free(&b);
    f->secure = 0;

    begin(f, CONF_ROLE_MANAGEMENT, key, "acme");
    ASK(c, f, af_nobody(), "POST", "/api/v1/keys", "{\"name\":\"by session\"}", 201); /* */
    assert_at(&c, "team", "acme");
    char path[96], actor[64];
    snprintf(path, sizeof(path), "/admin/keys/%s", at(&c, "id"));
    answer_free(&c);
    ASK(d, f, af_nobody(), "GET", path, NULL, 200);
    snprintf(actor, sizeof(actor), "session:%s", key);
    assert_at(&d, "created_by", actor);
    answer_free(&d);
    f->csrf = NULL; /* reading needs none */
    ASK(e, f, af_nobody(), "GET", "/admin/session", NULL, 200);
    assert_at(&e, "csrf_token", csrf_text);
    assert_has(e.headers, "Max-Age=1800");
    answer_free(&e);
    char *log = af_log(f);
    assert_has(log, actor);
    assert_null(strstr(log, "tps_"));
    assert_null(strstr(log, csrf_text));
    free(log);
    af_free(f);
}

static void changes_need_the_token(void **state)
{
    af *f = af_new(*state);
    af_make_team(f, "acme");
    begin(f, CONF_ROLE_MANAGEMENT, af_make_key(f, "acme", "management"), "acme");
    char wrong[64];
    uint32_t writes = f->store->writes;
    snprintf(wrong, sizeof(wrong), "%s", csrf_text);
    wrong[42] = wrong[42] == 'A' ? 'B' : 'A';
    static const struct {
        const char *method, *path, *body;
    } rows[] = {{"POST", "/api/v1/keys", "{\"name\":\"k\"}"},
                {"PATCH", "/api/v1/keys/x", "{}"},
                {"DELETE", "/api/v1/keys/x", NULL},
                {"POST", "/api/auth", "{\"name\":\"k\"}"},
                {"PUT", "/admin/teams/acme/byok/echo", "{\"key\":\"k\"}"},
                {"DELETE", "/admin/session", NULL}};
    for (size_t i = 0; i < TP_COUNT(rows); i++) {
        f->csrf = NULL;
        af_refuses(f, af_nobody(), rows[i].method, rows[i].path, rows[i].body, 403, NULL,
                   "X-CSRF-Token");
        f->csrf = wrong;
        af_refuses(f, af_nobody(), rows[i].method, rows[i].path, rows[i].body, 403, NULL,
                   "X-CSRF-Token");
    }
    assert_int_equal(f->store->writes, writes);
    /* The token of another session is not this one's. */
    char other[64], first_cookie[256];
    snprintf(other, sizeof(other), "%s", csrf_text);
    snprintf(first_cookie, sizeof(first_cookie), "%s", cookie_text);
    begin(f, CONF_ROLE_MANAGEMENT, af_make_key(f, "acme", "management"), "acme");
    assert_string_not_equal(other, csrf_text);
    assert_string_not_equal(first_cookie, cookie_text);
    f->csrf = other;
    af_refuses(f, af_nobody(), "POST", "/api/v1/keys", "{\"name\":\"k\"}", 403, NULL, "CSRF");
    f->csrf = csrf_text;
    ASK(a, f, af_nobody(), "POST", "/api/v1/keys", "{\"name\":\"k\"}", 201);
    answer_free(&a);
    /* A key in the header needs no token, whatever cookies come along. */
    f->csrf = NULL;
    ASK(b, f, af_key(CONF_ROLE_MANAGEMENT, "key_x", "acme"), "POST", "/api/v1/keys",
        "{\"name\":\"k\"}", 201);
    answer_free(&b);
    af_free(f);
}

static void a_session_ends(void **state)
{
    af *f = af_new(*state);
    af_make_team(f, "acme");
    const char *key = af_make_key(f, "acme", "management");
    /* By its own wish. */
    begin(f, CONF_ROLE_MANAGEMENT, key, "acme");
    ASK(a, f, af_nobody(), "DELETE", "/admin/session", NULL, 200);
    assert_has(a.headers, "set-cookie: turnpike_session=; HttpOnly; SameSite=Strict; Path=/; "
                          "Max-Age=0\n");
    answer_free(&a);
    af_refuses(f, af_nobody(), "GET", "/admin/session", NULL, 401, NULL, "API key");
    /* Unused for too long; use prolongs it. */
    begin(f, CONF_ROLE_MANAGEMENT, key, "acme");
    for (int i = 0; i < 3; i++) {
        f->now.mono_us += INT64_C(29) * 60 * 1000000;
        ASK(b, f, af_nobody(), "GET", "/admin/session", NULL, 200);
        answer_free(&b);
    }
    f->now.mono_us += INT64_C(31) * 60 * 1000000;
    af_refuses(f, af_nobody(), "GET", "/admin/session", NULL, 401, NULL, "API key");
    /* With its key: expired, disabled, revoked. */
    char path[96];
    snprintf(path, sizeof(path), "/admin/keys/%s", key);
    begin(f, CONF_ROLE_MANAGEMENT, key, "acme");
    ASK(c, f, af_socket(), "PATCH", path, "{\"disabled\":true}", 200);
    answer_free(&c);
    af_refuses(f, af_nobody(), "GET", "/admin/session", NULL, 401, NULL, "API key");
    ASK(d, f, af_socket(), "PATCH", path, "{\"disabled\":false,\"expires_in\":60}", 200);
    answer_free(&d);
    af_refuses(f, af_nobody(), "GET", "/admin/session", NULL, 401, NULL,
               "API key"); /* it is over */
    begin(f, CONF_ROLE_MANAGEMENT, key, "acme");
    f->now.unix_ms += 61000;
    af_refuses(f, af_nobody(), "GET", "/admin/session", NULL, 401, NULL, "API key");
    ASK(e, f, af_socket(), "PATCH", path, "{\"expires_in\":null}", 200);
    answer_free(&e);
    begin(f, CONF_ROLE_MANAGEMENT, key, "acme");
    ASK(g, f, af_socket(), "DELETE", path, NULL, 200);
    answer_free(&g);
    af_refuses(f, af_nobody(), "GET", "/admin/keys", NULL, 401, NULL, "API key");
    /* An inactive team: 403, and the session is still there when it is active again. */
    key = af_make_key(f, "acme", "management");
    begin(f, CONF_ROLE_MANAGEMENT, key, "acme");
    ASK(h, f, af_socket(), "PATCH", "/admin/teams/acme", "{\"active\":false}", 200);
    answer_free(&h);
    af_refuses(f, af_nobody(), "GET", "/admin/keys", NULL, 403, NULL, "inactive");
    ASK(i, f, af_socket(), "PATCH", "/admin/teams/acme", "{\"active\":true}", 200);
    answer_free(&i);
    ASK(j, f, af_nobody(), "GET", "/admin/keys", NULL, 200);
    answer_free(&j);
    af_free(f);
}

static void who_begins_one(void **state)
{
    af *f = af_new(*state);
    af_refuses(f, af_key(CONF_ROLE_INFERENCE, "key_p", "default"), "POST", "/admin/session", NULL,
               403, NULL, "'inference'");
    af_refuses(f, af_nobody(), "POST", "/admin/session", NULL, 401, NULL, "API key");
    af_refuses(f, af_socket(), "POST", "/admin/session", NULL, 403, NULL, "begins with a key");
    af_refuses(f, af_key(CONF_ROLE_ADMIN, "static:root", NULL), "GET", "/admin/session", NULL, 404,
               NULL, "no session");
    /* A static key of the configuration begins one too, with its role. */
    begin(f, CONF_ROLE_ADMIN, "static:root", NULL);
    ASK(a, f, af_nobody(), "GET", "/admin/teams", NULL, 200);
    answer_free(&a);
    /* Cookies that are none. */
    static const char *const none[] = {
        "turnpike_session=", "turnpike_session=tps_x", "", "xturnpike_session=1", ";;;=;",
        "turnpike_session"};
    for (size_t i = 0; i < TP_COUNT(none); i++) {
        f->cookie = none[i];
        af_refuses(f, af_nobody(), "GET", "/admin/session", NULL, 401, NULL, "API key");
    }
    af_free(f);
}

/* The table has four places here: the one unused for longest goes. */
static void the_table_is_bounded(void **state)
{
    af *f = af_new(*state);
    char cookies[5][256];
    for (int i = 0; i < 5; i++) {
        f->now.mono_us += 1000000;
        begin(f, CONF_ROLE_ADMIN, "static:root", NULL);
        snprintf(cookies[i], sizeof(cookies[i]), "%s", cookie_text);
        if (i == 3) { /* the first one is used once more */
            f->now.mono_us += 1000000;
            f->cookie = cookies[0];
            ASK(a, f, af_nobody(), "GET", "/admin/session", NULL, 200);
            answer_free(&a);
        }
    }
    for (int i = 0; i < 5; i++) {
        f->cookie = cookies[i];
        answer a = af_ask(f, af_nobody(), "GET", "/admin/session", NULL);
        assert_status(&a, i == 1 ? 401 : 200);
        answer_free(&a);
    }
    af_free(f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_session_stands_in_for_its_key),
        cmocka_unit_test(changes_need_the_token),
        cmocka_unit_test(a_session_ends),
        cmocka_unit_test(who_begins_one),
        cmocka_unit_test(the_table_is_bounded),
    };
    return cmocka_run_group_tests(tests, wf_open, wf_close);
}
