/* Replies and refusals, over both transports: what the loop expects of the upstream port. */
#include "upstream_suite.h"

static void bodies(void **state)
{
    fix *f = *state;
    static const struct {
        const char *path, *body, *type;
    } cases[] = {{"/whole", "{\"ok\":true}", "application/json"},
                 {"/chunked", "hello world!", "text/event-stream"},
                 {"/close", "until the end", "text/plain"},
                 {"/dribble-whole", "{\"ok\":true}", "application/json"},
                 {"/dribble-chunked", "hello world!", "text/event-stream"},
                 {"/dribble-close", "until the end", "text/plain"},
                 {"/interim", "{\"ok\":true}", "application/json"}};
    for (size_t i = 0; i < TP_COUNT(cases); i++) {
        call c = {0};
        fetch(f, cases[i].path, &c);
        is_body(&c, cases[i].body);
        assert_string_equal(c.type, cases[i].type);
        call_free(&c);
    }
}

static void one_call_for_one_read(void **state)
{
    fix *f = *state;
    call c = {0};
    fetch(f, "/whole", &c);
    assert_int_equal(c.calls, 1);
    call_free(&c);
    fetch(f, "/chunked", &c); /* three chunks, one call */
    assert_int_equal(c.calls, 1);
    call_free(&c);
}

static void without_body(void **state)
{
    fix *f = *state;
    call c = {0};
    up_request r = get(f->o, "/head");
    r.method = STR("HEAD");
    call_one(&c, f->e, &r);
    assert_int_equal(c.status, 200);
    assert_int_equal(c.bytes, 0);
    call_free(&c);
    fetch(f, "/empty", &c);
    assert_int_equal(c.status, 204);
    call_free(&c);
    fetch(f, "/whole", &c);
    is_body(&c, "{\"ok\":true}");
    call_free(&c);
    assert_int_equal(f->s->accepted, 1);
}

static void fails_with(fix *f, const char *path, int reason)
{
    call c = {0};
    fetch(f, path, &c);
    assert_int_equal(c.fails, 1);
    assert_int_equal(c.reason, reason);
    assert_true(strlen(c.what) > 8);
    call_free(&c);
}

static void broken_replies(void **state)
{
    fix *f = *state;
    fails_with(f, "/reset0", UP_E_RESET);
    fails_with(f, "/fin0", UP_E_RESET);
    fails_with(f, "/cut", UP_E_RESET);
    fails_with(f, "/cut-chunked", UP_E_RESET);
    int before = f->s->requests;
    fails_with(f, "/garbage", UP_E_PROTOCOL);
    assert_int_equal(f->s->requests, before + 1); /* answered with something: no second try */
    call c = {0};
    fetch(f, "/cut", &c);
    assert_int_equal(c.bytes, 4); /* what came before the cut was given */
    assert_int_equal(c.fins, 0);
    call_free(&c);
}

static void refused(void **state)
{
    fix *f = *state;
    int port;
    target t;
    close(listen_on("127.0.0.1", &port));
    up_request r = get(target_set(&t, f->w, "127.0.0.1", port), "/");
    call c = {0};
    call_one(&c, f->e, &r);
    assert_int_equal(c.reason, UP_E_CONNECT);
    assert_non_null(strstr(c.what, "127.0.0.1"));
    call_free(&c);
    r = get(target_set(&t, f->w, "no-such-host.invalid", 80), "/");
    for (int i = 0; i < 2; i++) { /* the second time from the cache */
        call_one(&c, f->e, &r);
        assert_int_equal(c.reason, UP_E_RESOLVE);
        assert_non_null(strstr(c.what, "no-such-host.invalid"));
        call_free(&c);
    }
    assert_int_equal(stats_of(f->e).failures, 3);
}

static void names(void **state)
{
    fix *f = *state;
    target t;
    /* localhost may be ::1 first, where nobody listens. */
    up_request r = get(target_set(&t, f->w, "localhost", f->s->port), "/whole");
    call c = {0};
    call_one(&c, f->e, &r);
    is_body(&c, "{\"ok\":true}");
    call_free(&c);
}

static void unfit_requests(void **state)
{
    fix *f = *state;
    tp_header bad = {STR("X-A"), STR("1\r\nX-B: 2")};
    up_request r = get(f->o, "/whole");
    r.headers = &bad;
    r.header_count = 1;
    for (int warm = 0; warm < 2; warm++) {
        call c = {0};
        call_one(&c, f->e, &r);
        assert_int_equal(c.reason, UP_E_PROTOCOL);
        call_free(&c);
        up_request t = get(f->o, "/a b");
        call_one(&c, f->e, &t);
        assert_int_equal(c.reason, UP_E_PROTOCOL);
        call_free(&c);
        call_go(&c, f->e, &r); /* and cancelled before it is told */
        up_cancel(c.s);
        call_free(&c);
        fetch(f, "/whole", &c);
        call_free(&c);
    }
    assert_int_equal(f->s->requests, 2);
    assert_int_equal(f->s->accepted, 1);
}

static char seen[8192];

static void note_head(peer *p)
{
    memcpy(seen, p->head, sizeof(seen));
}

static void the_head_is_ours(void **state)
{
    fix *f = *state;
    tp_header h[] = {{STR("Authorization"), STR("Bearer k")},
                     {STR("X-Empty"), STR("")},
                     {STR("content-type"), STR("application/json")}};
    tp_str segs[] = {STR("{\"a\":"), STR(""), STR("1}")};
    up_request r = post(f->o, "/whole?x=%20/../y", segs, 3);
    call c = {0};
    f->s->on_head = note_head;
    r.headers = h;
    r.header_count = 3;
    call_one(&c, f->e, &r);
    call_free(&c);
    assert_int_equal(f->s->body_bytes, 7);
    assert_ptr_equal(strstr(seen, "POST /whole?x=%20/../y HTTP/1.1\r\n"), seen);
    char host[96];
    snprintf(host, sizeof(host), "\r\nHost: %s\r\n", f->t.authority);
    assert_non_null(strstr(seen, host));
    assert_non_null(strstr(seen, "\r\nAuthorization: Bearer k\r\n"));
    assert_non_null(strstr(seen, "\r\nX-Empty:"));
    assert_non_null(strstr(seen, "\r\ncontent-type: application/json\r\n"));
    assert_non_null(strstr(seen, "\r\nContent-Length: 7\r\n"));
    assert_null(strcasestr(seen, "expect:"));
    assert_null(strcasestr(seen, "\r\naccept:"));
    assert_null(strcasestr(seen, "user-agent"));
    assert_null(strcasestr(seen, "transfer-encoding"));
    int lines = 0;
    for (const char *at = seen; (at = strstr(at, "\r\n")); at += 2)
        lines++;
    assert_int_equal(lines, 1 + 5 + 1); /* nothing else */
    r = post(f->o, "/whole", NULL, 0); /* a POST says that there is no body */
    call_one(&c, f->e, &r);
    call_free(&c);
    assert_non_null(strstr(seen, "\r\nContent-Length: 0\r\n"));
    r = get(f->o, "/whole");
    call_one(&c, f->e, &r);
    call_free(&c);
    assert_null(strcasestr(seen, "content-length"));
}

static void without_the_module(void **state)
{
    env *e = env_new();
    up_client_close(e->up, env_done, e);
    assert_true(env_until(e, env_true, &e->closed, 5000));
    e->closed = 0;
    e->up = up_client_new(&e->l, "/nonexistent/turnpike-curl.so", NULL);
    target t;
    (void)state;
    up_request r = get(target_set(&t, &curl_way, "127.0.0.1", 1), "/");
    call c = {0};
    call_one(&c, e, &r);
    assert_int_equal(c.reason, UP_E_TRANSPORT);
    assert_non_null(strstr(c.what, "/nonexistent/turnpike-curl.so"));
    call_free(&c);
    call_go(&c, e, &r);
    up_cancel(c.s);
    call_free(&c);
    env_free(e);
}

int main(void)
{
    upstream_no_proxies();
    const struct CMUnitTest tests[] = {
        BOTH(bodies),
        DIRECT(one_call_for_one_read),
        BOTH(without_body),
        BOTH(broken_replies),
        BOTH(refused),
        BOTH(names),
        BOTH(unfit_requests),
        BOTH(the_head_is_ours),
        cmocka_unit_test(without_the_module),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
