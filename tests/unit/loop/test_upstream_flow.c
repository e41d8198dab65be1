/* Bodies that one side takes slowly, or not at all, over both transports: back-pressure, early
 * replies, cancelling. */
#include "upstream_suite.h"

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

int main(void)
{
    upstream_no_proxies();
    const struct CMUnitTest tests[] = {
        BOTH(early_reply),
        BOTH(a_huge_body_and_a_slow_reader),
        BOTH(pause_and_resume),
        BOTH(paused_from_the_start),
        BOTH(cancel_in_each_phase),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
