#include "world_fixture.h"

static void origins(void **state)
{
    static const struct {
        const char *url, *host, *authority, *base_path;
        int port, tls;
    } cases[] = {
        {"https://api.groq.com/openai/v1", "api.groq.com", "api.groq.com", "/openai/v1", 443, 1},
        {"https://api.groq.com:443/openai/v1/", "api.groq.com", "api.groq.com", "/openai/v1", 443,
         1},
        {"http://127.0.0.1:4010", "127.0.0.1", "127.0.0.1:4010", "", 4010, 0},
        {"http://127.0.0.1", "127.0.0.1", "127.0.0.1", "", 80, 0},
        {"http://127.0.0.1:443/", "127.0.0.1", "127.0.0.1:443", "", 443, 0},
        {"https://[::1]:8443/v1", "::1", "[::1]:8443", "/v1", 8443, 1},
        {"https://[2001:db8::1]/v1", "2001:db8::1", "[2001:db8::1]", "/v1", 443, 1},
    };
    (void)state;
    for (size_t i = 0; i < TP_COUNT(cases); i++) {
        arena a;
        up_origin o;
        tp_error err = {0};
        conf_provider p = {.max_connections = 7};
        arena_init(&a, NULL, 1 << 16);
        if (world_origin(&o, str_of(cases[i].url), &p, &a, &err) < 0)
            fail_msg("%s", err.text);
        assert_str(o.url, cases[i].url);
        assert_str(o.host, cases[i].host);
        assert_int_equal(o.host.ptr[o.host.len] | o.authority.ptr[o.authority.len], 0);
        assert_str(o.authority, cases[i].authority);
        assert_str(o.base_path, cases[i].base_path);
        assert_int_equal(o.port, cases[i].port);
        assert_int_equal(o.tls, cases[i].tls);
        assert_int_equal(o.max_connections, 7);
        arena_reset(&a);
    }
}

static void refused(void **state)
{
    static const struct {
        const char *url, *why;
    } cases[] = {
        {"api.groq.com", "neither http"},
        {"ftp://x", "neither http"},
        {"https://", "no host"},
        {"https:///v1", "no host"},
        {"https://:80/", "no host"},
        {"https://u:p@x/", "user name"},
        {"https://x:0/", "port"},
        {"https://x:65536/", "port"},
        {"https://x:8o/", "port"},
        {"https://x:/", "port"},
        {"https://::1/", "more than one ':'"},
        {"https://[::1/", "without ']'"},
        {"https://[::1]x/", "after ']'"},
        {"https://a b/", "character in its host"},
        {"https://x?y=1", "character in its host"},
        {"https://x/a?b", "query"},
        {"https://x/a#b", "query"},
        {"https://x/a b", "space"},
        {"https://x/\xc3\xa9", "beyond ASCII"},
    };
    (void)state;
    for (size_t i = 0; i < TP_COUNT(cases); i++) {
        arena a;
        up_origin o;
        tp_error err = {0};
        conf_provider p = {0};
        arena_init(&a, NULL, 1 << 16);
        assert_int_equal(world_origin(&o, str_of(cases[i].url), &p, &a, &err), TP_ERROR_CONFIG);
        assert_has(err.text, cases[i].why);
        assert_has(err.text, cases[i].url);
        arena_reset(&a);
    }
}

static uint64_t pool(const char *url, const char *ca, const char *proxy, int http2)
{
    arena a;
    up_origin o;
    conf_provider p = {.ca_file = str_of(ca), .proxy = str_of(proxy), .http2 = http2};
    arena_init(&a, NULL, 1 << 16);
    assert_int_equal(world_origin(&o, str_of(url), &p, &a, NULL), 0);
    uint64_t h = o.pool;
    arena_reset(&a);
    return h;
}

static void a_pool_is_what_can_share_connections(void **state)
{
    uint64_t base = pool("https://x.example/v1", "", "", 0);
    (void)state;
    assert_true(base == pool("https://x.example:443/other", "", "", 0));
    assert_true(base != pool("http://x.example:443/v1", "", "", 0));
    assert_true(base != pool("https://x.example:444/v1", "", "", 0));
    assert_true(base != pool("https://y.example/v1", "", "", 0));
    assert_true(base != pool("https://x.example/v1", "/ca.pem", "", 0));
    assert_true(base != pool("https://x.example/v1", "", "/ca.pem", 0));
    assert_true(pool("https://x.example/v1", "/ca.pem", "", 0) !=
                pool("https://x.example/v1", "", "/ca.pem", 0));
    assert_true(base != pool("https://x.example/v1", "", "", 1));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(origins),
        cmocka_unit_test(refused),
        cmocka_unit_test(a_pool_is_what_can_share_connections),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
