/* Connections, over both transports: kept, shared, limited, replaced and given up. */
#include "upstream_suite.h"

#include "loop/direct_int.h"

static void keep_alive(void **state)
{
    fix *f = *state;
    for (int i = 0; i < 50; i++) {
        call c = {0};
        fetch(f, i % 2 ? "/chunked" : "/whole", &c);
        assert_int_equal(c.fins, 1);
        call_free(&c);
    }
    assert_int_equal(f->s->accepted, 1);
    assert_int_equal(f->s->requests, 50);
    assert_int_equal(stats_of(f->e).connects, 1);
    assert_int_equal(stats_of(f->e).reuses, 49);
}

static void the_next_request_from_within_the_end(void **state)
{
    fix *f = *state;
    up_request r = get(f->o, "/whole");
    call a = {0}, b = {0};
    a.then = &b;
    a.then_r = &r;
    call_go(&a, f->e, &r);
    call_wait(&a);
    call_wait(&b);
    is_body(&a, "{\"ok\":true}");
    is_body(&b, "{\"ok\":true}");
    if (!f->w->curl)
        assert_int_equal(f->s->accepted, 1);
    call_free(&a);
    call_free(&b);
}

static void not_reused(void **state)
{
    fix *f = *state;
    static const char *const paths[] = {"/said-closed", "/more", "/close"};
    for (size_t i = 0; i < TP_COUNT(paths); i++) {
        call c = {0};
        fetch(f, paths[i], &c);
        assert_int_equal(c.fins, 1);
        call_free(&c);
        fetch(f, "/whole", &c);
        is_body(&c, "{\"ok\":true}");
        call_free(&c);
    }
    assert_true(f->s->accepted >= 4); /* the first one, and one after each of these */
}

static void closed_while_idle(void **state)
{
    fix *f = *state;
    call c = {0};
    fetch(f, "/then-close", &c);
    is_body(&c, "{\"ok\":true}");
    call_free(&c);
    if (!f->w->curl) { /* noticed at once, not with the next request */
        assert_true(env_until(f->e, peers_none, f->s, 2000));
        assert_int_equal(stats_of(f->e).idle, 0);
    }
    fetch(f, "/whole", &c);
    is_body(&c, "{\"ok\":true}");
    call_free(&c);
    assert_int_equal(f->s->accepted, 2);
}

static void stale_connection_is_replaced_once(void **state)
{
    fix *f = *state;
    for (int i = 0; i < 3; i++) {
        call c = {0};
        tp_str body = STR("{\"n\":1}");
        up_request r = post(f->o, "/once", &body, 1);
        call_one(&c, f->e, &r);
        is_body(&c, "{\"ok\":true}");
        call_free(&c);
    }
    assert_int_equal(f->s->accepted, 3);
    assert_int_equal(f->s->requests, 5);
    if (!f->w->curl)
        assert_int_equal(stats_of(f->e).retries, 2);
}

static void connections_are_limited(void **state)
{
    fix *f = *state;
    call cs[9] = {{0}};
    f->t.o.max_connections = 2;
    up_request r = get(f->o, "/whole");
    for (int i = 0; i < 9; i++)
        call_go(&cs[i], f->e, &r);
    up_cancel(cs[5].s); /* one that waits */
    cs[5].over = 1;
    for (int i = 0; i < 9; i++) {
        if (i == 5)
            continue;
        call_wait(&cs[i]);
        is_body(&cs[i], "{\"ok\":true}");
    }
    assert_int_equal(f->s->accepted, 2);
    assert_int_equal(f->s->requests, 8);
    for (int i = 0; i < 9; i++)
        call_free(&cs[i]);
    /* A cancelled one makes room, and a failed one too. */
    up_request hang = get(f->o, "/hang"), reset = get(f->o, "/reset0");
    call_go(&cs[0], f->e, &hang);
    call_go(&cs[1], f->e, &reset);
    call_go(&cs[2], f->e, &r);
    call_go(&cs[3], f->e, &r);
    call_wait(&cs[3]);
    is_body(&cs[2], "{\"ok\":true}");
    is_body(&cs[3], "{\"ok\":true}");
    assert_int_equal(cs[0].calls, 0);
    up_cancel(cs[0].s);
    for (int i = 0; i < 4; i++)
        call_free(&cs[i]);
}

static void two_hundred_at_once(void **state)
{
    fix *f = *state;
    static call cs[200];
    up_request r = get(f->o, "/dribble-chunked");
    memset(cs, 0, sizeof(cs));
    for (int i = 0; i < 200; i++)
        call_go(&cs[i], f->e, &r);
    for (int i = 0; i < 200; i++) {
        call_wait(&cs[i]);
        is_body(&cs[i], "hello world!");
        call_free(&cs[i]);
    }
    assert_int_equal(f->s->requests, 200);
    assert_true(f->s->accepted <= 200);
    assert_int_equal(stats_of(f->e).active, 0);
}

static void the_next_address(void **state)
{
    fix *f = *state;
    target t;
    resolve_addr a[2];
    resolver *names_of = direct_names(up_client_direct(f->e->up));
    memset(a, 0, sizeof(a));
    uv_ip4_addr("127.0.0.2", 0, &a[0].in); /* refuses */
    uv_ip4_addr("127.0.0.1", 0, &a[1].in);
    resolver_prime(names_of, "two.test", a, 2);
    up_request r = get(target_set(&t, f->w, "two.test", f->s->port), "/whole");
    call c = {0};
    call_one(&c, f->e, &r);
    is_body(&c, "{\"ok\":true}");
    call_free(&c);
    /* One that never answers: its queue is full and Linux drops what comes further. */
    struct sockaddr_in deaf = {.sin_family = AF_INET, .sin_port = htons((uint16_t)f->s->port)};
    inet_pton(AF_INET, "127.0.0.3", &deaf.sin_addr);
    int fds[9];
    fds[0] = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    assert_int_equal(bind(fds[0], (struct sockaddr *)&deaf, sizeof(deaf)), 0);
    assert_int_equal(listen(fds[0], 0), 0);
    for (int i = 1; i < 9; i++) {
        fds[i] = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
        (void)connect(fds[i], (struct sockaddr *)&deaf, sizeof(deaf));
    }
    uv_ip4_addr("127.0.0.3", 0, &a[0].in);
    resolver_prime(names_of, "deaf.test", a, 2);
    t.o.host = STR("deaf.test");
    t.o.pool = 99;
    uint64_t begin = uv_hrtime();
    call_one(&c, f->e, &r);
    is_body(&c, "{\"ok\":true}");
    assert_true(uv_hrtime() - begin >= 200000000); /* not before its turn */
    call_free(&c);
    resolver_prime(names_of, "deaf.test", a, 1); /* alone: cancelled while it connects */
    t.o.pool = 100;
    call_go(&c, f->e, &r);
    env_for(f->e, 20);
    up_cancel(c.s);
    call_free(&c);
    for (int i = 0; i < 9; i++)
        close(fds[i]);
}

static void a_freed_connection_serves_who_waits(void **state)
{
    fix *f = *state;
    call a = {0}, b = {0};
    f->t.o.max_connections = 1;
    up_request r = get(f->o, "/whole");
    call_go(&a, f->e, &r);
    call_go(&b, f->e, &r);
    call_wait(&b);
    assert_int_equal(a.fins, 1);
    assert_int_equal(f->s->accepted, 1);
    assert_int_equal(stats_of(f->e).idle, 1);
    call_free(&a);
    call_free(&b);
}

static void timeout_answer(peer *p)
{
    if (peer_asks(p, " /none "))
        peer_say(p, "HTTP/1.1 200 OK\r\nKeep-Alive: timeout=1\r\nContent-Length: 0\r\n\r\n");
    else
        peer_say(p, "HTTP/1.1 200 OK\r\nKeep-Alive: max=5, timeout=2\r\nContent-Length: 0\r\n\r\n");
}

static int idle_none(void *arg)
{
    return stats_of(arg).idle == 0;
}

static void what_the_server_says_of_keep_alive(void **state)
{
    fix *f = *state;
    call c = {0};
    f->s->on_request = timeout_answer;
    fetch(f, "/none", &c); /* one second is no time to keep a connection for */
    call_free(&c);
    assert_int_equal(stats_of(f->e).idle, 0);
    fetch(f, "/some", &c);
    call_free(&c);
    assert_int_equal(stats_of(f->e).idle, 1);
    assert_true(env_until(f->e, idle_none, f->e, 8000)); /* the sweep takes it */
    assert_int_equal(f->s->accepted, 2);
}

/* The last used connection first: the others grow old. */
static void last_in_first_out(void **state)
{
    fix *f = *state;
    call a = {0}, b = {0};
    up_request r = get(f->o, "/whole");
    call_go(&a, f->e, &r);
    call_go(&b, f->e, &r);
    call_wait(&a);
    call_wait(&b);
    call_free(&a);
    call_free(&b);
    assert_int_equal(f->s->accepted, 2);
    int first = f->s->peers->requests + f->s->peers->next->requests;
    assert_int_equal(first, 2);
    for (int i = 0; i < 10; i++) {
        fetch(f, "/whole", &a);
        call_free(&a);
    }
    int x = f->s->peers->requests, y = f->s->peers->next->requests;
    assert_int_equal(x + y, 12);
    assert_int_equal(TP_MAX(x, y), 11);
}

static void pushy(peer *p)
{
    peer_say(p, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
    peer_dribble(p, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", 4096); /* unasked */
}

static void bytes_on_an_idle_connection_close_it(void **state)
{
    fix *f = *state;
    call c = {0};
    f->s->on_request = pushy;
    for (int i = 0; i < 3; i++) {
        fetch(f, "/", &c);
        call_free(&c);
        assert_true(env_until(f->e, peers_none, f->s, 2000));
    }
    assert_int_equal(f->s->accepted, 3);
}

int main(void)
{
    upstream_no_proxies();
    const struct CMUnitTest tests[] = {
        BOTH(keep_alive),
        BOTH(the_next_request_from_within_the_end),
        BOTH(not_reused),
        BOTH(closed_while_idle),
        BOTH(stale_connection_is_replaced_once),
        BOTH(connections_are_limited),
        BOTH(two_hundred_at_once),
        DIRECT(the_next_address),
        DIRECT(a_freed_connection_serves_who_waits),
        DIRECT(what_the_server_says_of_keep_alive),
        DIRECT(last_in_first_out),
        DIRECT(bytes_on_an_idle_connection_close_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
