/* What the tests of the upstream port share: one suite over both transports, a server that answers by
 * path, and the tables of tests. */
#ifndef TP_TEST_LOOP_UPSTREAM_SUITE_H
#define TP_TEST_LOOP_UPSTREAM_SUITE_H
#include "harness.h"

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

static UNUSED int peers_none(void *arg)
{
    return ((server *)arg)->live == 0;
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

#define BOTH(name) \
    {"direct: " #name, name, open_direct, close_fix, NULL}, \
    {"curl: " #name, name, open_curl, close_fix, NULL}
#define DIRECT(name) {"direct: " #name, name, open_direct, close_fix, NULL}

/* The curl transport heeds the environment, and the servers here are no proxies. */
static void upstream_no_proxies(void)
{
    unsetenv("http_proxy");
    unsetenv("https_proxy");
    unsetenv("HTTPS_PROXY");
    unsetenv("all_proxy");
    unsetenv("ALL_PROXY");
}
#endif
