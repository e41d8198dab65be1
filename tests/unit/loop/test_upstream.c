/* One suite over both transports: what the loop expects of the upstream port. */
#include "harness.h"

#include "loop/direct_int.h"

#define WHOLE "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 11\r\n\r\n{\"ok\":true}"
#define CHUNKED \
    "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n" \
    "6\r\nhello \r\n5;ext=1\r\nworld\r\n1\r\n!\r\n0\r\n\r\n"
#define UNTIL_CLOSE "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n\r\nuntil the end"

static void answer(peer *p)
{
    if (peer_asks(p, " /whole ") || peer_asks(p, " /whole?"))
        peer_say(p, WHOLE);
    else if (peer_asks(p, " /chunked "))
        peer_say(p, CHUNKED);
    else if (peer_asks(p, " /close ")) {
        peer_say(p, UNTIL_CLOSE);
        net_shutdown(&p->n);
    } else if (peer_asks(p, " /dribble-whole "))
        peer_dribble(p, WHOLE, 1);
    else if (peer_asks(p, " /dribble-chunked "))
        peer_dribble(p, CHUNKED, 1);
    else if (peer_asks(p, " /dribble-close ")) {
        p->shut_after = 1;
        peer_dribble(p, UNTIL_CLOSE, 1);
    } else if (peer_asks(p, " /interim "))
        peer_say(p, "HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n" WHOLE);
    else if (peer_asks(p, " /empty "))
        peer_say(p, "HTTP/1.1 204 No Content\r\n\r\n");
    else if (peer_asks(p, " /head "))
        peer_say(p, "HTTP/1.1 200 OK\r\nContent-Length: 4711\r\n\r\n");
    else if (peer_asks(p, " /said-closed "))
        peer_say(p, "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok");
    else if (peer_asks(p, " /reset0 "))
        net_abort(&p->n);
    else if (peer_asks(p, " /fin0 "))
        net_shutdown(&p->n);
    else if (peer_asks(p, " /cut ")) {
        peer_say(p, "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf");
        net_shutdown(&p->n);
    } else if (peer_asks(p, " /cut-chunked ")) {
        peer_say(p, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n");
        net_shutdown(&p->n);
    } else if (peer_asks(p, " /garbage "))
        peer_say(p, "SMTP ready\r\n\r\n");
    else if (peer_asks(p, " /more "))
        peer_say(p, WHOLE "extra");
    else if (peer_asks(p, " /then-close ")) { /* keeps alive, it says; and closes */
        peer_say(p, WHOLE);
        net_shutdown(&p->n);
    } else if (peer_asks(p, " /once ") && p->requests > 1)
        net_close(&p->n); /* a used connection that turns out dead */
    else if (peer_asks(p, " /once "))
        peer_say(p, WHOLE);
    else if (peer_asks(p, " /big ")) {
        peer_say(p, "HTTP/1.1 200 OK\r\nContent-Length: 10485760\r\n\r\n");
        p->flood = 10485760;
        peer_flood(p);
    } else if (peer_asks(p, " /half ")) {
        peer_say(p, "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nContent-Length: 100\r\n"
                    "\r\ndata: 1\n\n");
    } /* " /hang ": nothing */
}

typedef struct fix {
    env *e;
    server *s;
    target t;
    const up_origin *o;
    const way *w;
} fix;

static const way direct_way = {"direct", 0, 0}, curl_way = {"curl", 1, 0};

static int open_fix(void **state, const way *w)
{
    fix *f = tp_xcalloc(1, sizeof(*f));
    f->e = env_new();
    f->w = w;
    f->s = server_new(f->e, answer, NULL);
    f->o = target_set(&f->t, w, "127.0.0.1", f->s->port);
    *state = f;
    return 0;
}

static int open_direct(void **state)
{
    return open_fix(state, &direct_way);
}

static int open_curl(void **state)
{
    return open_fix(state, &curl_way);
}

static int close_fix(void **state)
{
    fix *f = *state;
    server_free(f->s);
    env_free(f->e);
    free(f);
    return 0;
}

static void fetch(fix *f, const char *path, call *c)
{
    up_request r = get(f->o, path);
    call_one(c, f->e, &r);
}

static void is_body(const call *c, const char *text)
{
    if (c->fails)
        fail_msg("failed: %s", c->what);
    assert_int_equal(c->fins, 1);
    assert_int_equal(c->status, 200);
    assert_int_equal(c->body.len, strlen(text));
    assert_memory_equal(c->body.ptr, text, c->body.len);
}

/* ---- replies */
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

static int peers_none(void *arg)
{
    return ((server *)arg)->live == 0;
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

/* ---- failures */
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

/* ---- requests */
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

static void early(peer *p)
{
    if (peer_asks(p, " /early ")) { /* says no, and takes no more of the body */
        peer_say(p, "HTTP/1.1 413 Content Too Large\r\nConnection: close\r\nContent-Length: 3\r\n\r\nno!");
        net_read_stop(&p->n);
        p->stalled = 1;
    } else if (peer_asks(p, " /early-close ")) {
        peer_say(p, "HTTP/1.1 413 Content Too Large\r\nConnection: close\r\nContent-Length: 3\r\n\r\nno!");
        net_shutdown(&p->n);
    }
}

static void early_reply(void **state)
{
    fix *f = *state;
    size_t size = 16u << 20;
    tp_str big = {tp_xcalloc(1, size), size};
    f->s->on_head = early;
    static const char *const paths[] = {"/early", "/early-close"};
    for (int i = 0; i < 2; i++) {
        up_request r = post(f->o, paths[i], &big, 1);
        call c = {0};
        call_one(&c, f->e, &r);
        if (c.fails)
            fail_msg("%s failed: %s", paths[i], c.what);
        assert_int_equal(c.status, 413);
        assert_int_equal(c.bytes, 3);
        call_free(&c);
    }
    call c = {0};
    fetch(f, "/whole", &c); /* on a connection of its own */
    is_body(&c, "{\"ok\":true}");
    call_free(&c);
    assert_int_equal(f->s->accepted, 3);
    free((void *)(uintptr_t)big.ptr);
}

static void stall(peer *p)
{
    if (p->in_body && p->body_left > 1 << 20) {
        net_read_stop(&p->n);
        p->stalled = 1;
    }
}

static void a_huge_body_and_a_slow_reader(void **state)
{
    fix *f = *state;
    size_t size = 24u << 20;
    tp_str big[2] = {{tp_xcalloc(1, size / 2), size / 2}, {tp_xcalloc(1, size / 2), size / 2}};
    up_request r = post(f->o, "/whole", big, 2);
    call c = {0};
    f->s->on_head = stall;
    call_go(&c, f->e, &r);
    env_for(f->e, 300);
    assert_int_equal(c.calls, 0);
    assert_int_equal(f->s->requests, 0);
    assert_true(up_sending(c.s)); /* the kernel has not taken it all */
    assert_int_equal(c.state, UP_SENDING);
    peer *p = f->s->peers;
    f->s->on_head = NULL;
    p->stalled = 0;
    net_read_start(&p->n);
    call_wait(&c);
    is_body(&c, "{\"ok\":true}");
    assert_int_equal(c.state, UP_SENT);
    assert_int_equal(f->s->body_bytes, size);
    call_free(&c);
    free((void *)(uintptr_t)big[0].ptr);
    free((void *)(uintptr_t)big[1].ptr);
}

/* ---- pause and cancel */
static long rss_kb(void)
{
    long total = 0, pages = 0;
    FILE *m = fopen("/proc/self/statm", "r");
    assert_non_null(m);
    assert_int_equal(fscanf(m, "%ld %ld", &total, &pages), 2);
    fclose(m);
    return pages * (sysconf(_SC_PAGESIZE) / 1024);
}

static void pause_and_resume(void **state)
{
    fix *f = *state;
    call c = {0};
    up_request r = get(f->o, "/big");
    call_go(&c, f->e, &r);
    c.keep_body = 0;
    c.pause_each = 1;
    assert_true(env_until(f->e, call_begun, &c, 5000));
    env_for(f->e, 50);
    long before = rss_kb();
    env_for(f->e, 300);
    assert_int_equal(c.calls, 1); /* nothing comes while it is paused */
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
    assert_true(rss_kb() - before < 1024);
#else
    (void)before;
#endif
    assert_true(f->s->peers->flood > 1 << 20); /* the server is held back by the kernel */
    while (!c.over) {
        int calls = c.calls;
        up_resume(c.s);
        assert_int_equal(c.calls, calls); /* not from within */
        for (int i = 0; i < 1000 && c.calls == calls && !c.over; i++)
            uv_run(&f->e->uv, UV_RUN_ONCE);
    }
    assert_int_equal(c.fins, 1);
    assert_int_equal(c.bytes, 10485760);
    call_free(&c);
    fetch(f, "/whole", &c); /* the connection reads again */
    is_body(&c, "{\"ok\":true}");
    call_free(&c);
    assert_int_equal(f->s->accepted, 1);
}

static void paused_from_the_start(void **state)
{
    fix *f = *state;
    for (int i = 0; i < 2; i++) { /* a fresh connection, a warm one */
        call c = {0};
        up_request r = get(f->o, "/whole");
        call_go(&c, f->e, &r);
        up_pause(c.s);
        env_for(f->e, 60);
        assert_int_equal(f->s->requests, i + 1);
        assert_int_equal(c.calls, 0);
        up_resume(c.s);
        call_wait(&c);
        is_body(&c, "{\"ok\":true}");
        call_free(&c);
    }
}

static void cancel_in_each_phase(void **state)
{
    fix *f = *state;
    call c = {0};
    up_request r = get(f->o, "/half");
    for (int turns = 0; turns < 12; turns++) { /* connecting, sending, waiting, receiving */
        call_go(&c, f->e, &r);
        for (int i = 0; i < turns; i++)
            uv_run(&f->e->uv, UV_RUN_NOWAIT);
        up_cancel(c.s);
        c.over = 1;
        call_free(&c);
    }
    env_for(f->e, 20);
    call_go(&c, f->e, &r);
    c.cancel_at = 1; /* from within reply() */
    assert_true(env_until(f->e, call_over, &c, 5000));
    call_free(&c);
    assert_true(env_until(f->e, peers_none, f->s, 5000)); /* the server sees it each time */
    fetch(f, "/whole", &c);
    is_body(&c, "{\"ok\":true}");
    call_free(&c);
    assert_int_equal(stats_of(f->e).active, 0);
}

/* ---- many */
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

/* ---- of the direct transport only */
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

#define BOTH(name) \
    {"direct: " #name, name, open_direct, close_fix, NULL}, \
    {"curl: " #name, name, open_curl, close_fix, NULL}
#define DIRECT(name) {"direct: " #name, name, open_direct, close_fix, NULL}

int main(void)
{
    unsetenv("http_proxy");
    unsetenv("https_proxy");
    unsetenv("HTTPS_PROXY");
    unsetenv("all_proxy");
    unsetenv("ALL_PROXY");
    const struct CMUnitTest tests[] = {
        BOTH(bodies),
        DIRECT(one_call_for_one_read),
        BOTH(without_body),
        BOTH(keep_alive),
        BOTH(the_next_request_from_within_the_end),
        BOTH(not_reused),
        BOTH(closed_while_idle),
        BOTH(stale_connection_is_replaced_once),
        BOTH(broken_replies),
        BOTH(refused),
        BOTH(names),
        BOTH(unfit_requests),
        BOTH(the_head_is_ours),
        BOTH(early_reply),
        BOTH(a_huge_body_and_a_slow_reader),
        BOTH(pause_and_resume),
        BOTH(paused_from_the_start),
        BOTH(cancel_in_each_phase),
        BOTH(connections_are_limited),
        BOTH(two_hundred_at_once),
        DIRECT(the_next_address),
        DIRECT(a_freed_connection_serves_who_waits),
        DIRECT(what_the_server_says_of_keep_alive),
        DIRECT(last_in_first_out),
        DIRECT(bytes_on_an_idle_connection_close_it),
        cmocka_unit_test(without_the_module),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
