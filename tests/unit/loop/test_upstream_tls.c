/* TLS on both sides: the direct transport and libcurl against our own listener's TLS, with
 * certificates that are made here. And what only libcurl does: HTTP/2 and proxies. */
#include <fcntl.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <sys/prctl.h>
#include <sys/wait.h>

#include "harness.h"
#include "loop/direct_int.h"
#include "loop/tls_int.h"

/* ---- certificates */
typedef struct cert {
    X509 *x;
    EVP_PKEY *key;
    char cert_file[128], key_file[128];
} cert;

static char dir[64];
static cert ca, other_ca, good, second, expired, stranger;

static void extend(X509 *x, X509 *issuer, int nid, const char *value)
{
    X509V3_CTX c;
    X509V3_set_ctx(&c, issuer, x, NULL, NULL, 0);
    X509_EXTENSION *e = X509V3_EXT_conf_nid(NULL, &c, nid, (char *)(uintptr_t)value);
    assert_non_null(e);
    X509_add_ext(x, e, -1);
    X509_EXTENSION_free(e);
}

static void make(cert *c, const char *name, const char *alt, const cert *by, int days)
{
    static long serial = 1;
    c->key = EVP_EC_gen("P-256");
    c->x = X509_new();
    X509_set_version(c->x, 2);
    ASN1_INTEGER_set(X509_get_serialNumber(c->x), serial++);
    X509_gmtime_adj(X509_getm_notBefore(c->x), -86400 * 10);
    X509_gmtime_adj(X509_getm_notAfter(c->x), 86400L * days);
    X509_NAME *n = X509_get_subject_name(c->x);
    X509_NAME_add_entry_by_txt(n, "CN", MBSTRING_ASC, (const unsigned char *)name, -1, -1, 0);
    X509_set_issuer_name(c->x, X509_get_subject_name(by ? by->x : c->x));
    X509_set_pubkey(c->x, c->key);
    X509 *issuer = by ? by->x : c->x;
    extend(c->x, issuer, NID_basic_constraints, by ? "CA:FALSE" : "critical,CA:TRUE");
    extend(c->x, issuer, NID_subject_key_identifier, "hash");
    extend(c->x, issuer, NID_authority_key_identifier, "keyid:always");
    if (alt)
        extend(c->x, issuer, NID_subject_alt_name, alt);
    assert_true(X509_sign(c->x, by ? by->key : c->key, EVP_sha256()) > 0);
    snprintf(c->cert_file, sizeof(c->cert_file), "%s/%s.pem", dir, name);
    snprintf(c->key_file, sizeof(c->key_file), "%s/%s.key", dir, name);
    FILE *f = fopen(c->cert_file, "w");
    PEM_write_X509(f, c->x);
    fclose(f);
    f = fopen(c->key_file, "w");
    PEM_write_PrivateKey(f, c->key, NULL, NULL, 0, NULL, NULL);
    fclose(f);
}

static int make_all(void **state)
{
    (void)state;
    snprintf(dir, sizeof(dir), "/tmp/turnpike-tls-XXXXXX");
    assert_non_null(mkdtemp(dir));
    make(&ca, "test-ca", NULL, NULL, 30);
    make(&other_ca, "other-ca", NULL, NULL, 30);
    make(&good, "good", "DNS:localhost,IP:127.0.0.1", &ca, 30);
    make(&second, "second", "DNS:second.test", &ca, 30);
    make(&expired, "expired", "DNS:localhost,IP:127.0.0.1", &ca, -2);
    make(&stranger, "stranger", "DNS:elsewhere.test", &ca, 30);
    return 0;
}

static int drop_all(void **state)
{
    cert *all[] = {&ca, &other_ca, &good, &second, &expired, &stranger};
    (void)state;
    for (size_t i = 0; i < TP_COUNT(all); i++) {
        unlink(all[i]->cert_file);
        unlink(all[i]->key_file);
        X509_free(all[i]->x);
        EVP_PKEY_free(all[i]->key);
    }
    rmdir(dir);
    return 0;
}

static tls_context *listener(const cert *a, const cert *b)
{
    tp_error err = {0};
    tls_name names[2] = {{str_of(a->cert_file), str_of(a->key_file)}};
    if (b)
        names[1] = (tls_name){str_of(b->cert_file), str_of(b->key_file)};
    tls_context *c = tls_server_new(names, b ? 2 : 1, &err);
    if (!c)
        fail_msg("%s", err.text);
    return c;
}

/* ---- the suite */
typedef struct fix {
    env *e;
    server *s;
    target t;
    const way *w;
    tls_context *tls;
} fix;

static const way direct_way = {"direct", 0, 1}, curl_way = {"curl", 1, 1};

static void answer(peer *p)
{
    if (peer_asks(p, " /cut ")) {
        int fd = -1;
        peer_say(p, "HTTP/1.1 200 OK\r\n\r\nuntil the end");
        fd = p->n.fd;
        shutdown(fd, SHUT_WR); /* a FIN that TLS knows nothing of */
    } else if (peer_asks(p, " /close ")) {
        peer_say(p, "HTTP/1.1 200 OK\r\n\r\nuntil the end");
        net_shutdown(&p->n);
    } else if (peer_asks(p, " /dribble ")) {
        peer_dribble(p, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
                        "6\r\nhello \r\n5\r\nworld\r\n1\r\n!\r\n0\r\n\r\n", 1);
    } else if (peer_asks(p, " /big ")) {
        peer_say(p, "HTTP/1.1 200 OK\r\nContent-Length: 10485760\r\n\r\n");
        p->flood = 10485760;
        peer_flood(p);
    } else if (peer_asks(p, " /once ") && p->requests > 1) {
        net_close(&p->n);
    } else {
        peer_say(p, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
    }
}

static fix *fix_new(const way *w, tls_context *tls)
{
    fix *f = tp_xcalloc(1, sizeof(*f));
    f->e = env_new();
    f->w = w;
    f->tls = tls;
    f->s = server_new(f->e, answer, tls);
    target_set(&f->t, w, "localhost", f->s->port);
    f->t.o.ca_file = str_of(ca.cert_file);
    return f;
}

static void fix_free(fix *f)
{
    server_free(f->s);
    env_free(f->e);
    tls_context_unref(f->tls);
    free(f);
}

static int open_direct(void **state)
{
    *state = fix_new(&direct_way, listener(&good, &second));
    return 0;
}

static int open_curl(void **state)
{
    *state = fix_new(&curl_way, listener(&good, &second));
    return 0;
}

static int close_fix(void **state)
{
    fix_free(*state);
    return 0;
}

static void fetch(fix *f, const char *path, call *c)
{
    up_request r = get(&f->t.o, path);
    call_one(c, f->e, &r);
}

static void is_body(const call *c, const char *text)
{
    if (c->fails)
        fail_msg("failed: %s", c->what);
    assert_int_equal(c->fins, 1);
    assert_int_equal(c->body.len, strlen(text));
    assert_memory_equal(c->body.ptr, text, c->body.len);
}

static void bodies(void **state)
{
    fix *f = *state;
    for (int i = 0; i < 10; i++) {
        call c = {0};
        fetch(f, i % 2 ? "/dribble" : "/", &c);
        is_body(&c, i % 2 ? "hello world!" : "ok");
        call_free(&c);
    }
    assert_int_equal(f->s->accepted, 1);
    call c = {0};
    fetch(f, "/close", &c);
    is_body(&c, "until the end");
    call_free(&c);
}

static void an_end_without_close_notify_is_a_cut(void **state)
{
    fix *f = *state;
    call c = {0};
    fetch(f, "/cut", &c);
    assert_int_equal(c.fins, 0);
    assert_int_equal(c.reason, UP_E_RESET);
    call_free(&c);
}

static void stale_connection(void **state)
{
    fix *f = *state;
    for (int i = 0; i < 3; i++) {
        call c = {0};
        fetch(f, "/once", &c);
        is_body(&c, "ok");
        call_free(&c);
    }
    assert_int_equal(f->s->accepted, 3);
}

static void big_bodies_both_ways(void **state)
{
    fix *f = *state;
    size_t size = 5u << 20;
    char *p = tp_xmalloc(size);
    for (size_t i = 0; i < size; i++)
        p[i] = (char)(i * 7);
    tp_str segs[] = {{p, 100}, {p + 100, 70000}, {p + 70100, size - 70100}};
    up_request r = post(&f->t.o, "/big", segs, 3);
    call c = {0};
    call_go(&c, f->e, &r);
    c.keep_body = 0;
    c.pause_each = 1;
    while (!c.over) {
        int calls = c.calls;
        for (int i = 0; i < 2000 && c.calls == calls && !c.over; i++)
            uv_run(&f->e->uv, UV_RUN_ONCE);
        assert_true(c.calls > calls || c.over);
        for (int i = 0; i < 3 && !c.over; i++) {
            int now = c.calls;
            uv_run(&f->e->uv, UV_RUN_NOWAIT);
            assert_int_equal(c.calls, now); /* paused */
        }
        if (!c.over)
            up_resume(c.s);
    }
    if (c.fails)
        fail_msg("%s", c.what);
    assert_int_equal(c.bytes, 10485760);
    assert_int_equal(f->s->body_bytes, size);
    call_free(&c);
    free(p);
}

static void cancel_in_each_phase(void **state)
{
    fix *f = *state;
    call c = {0};
    up_request r = get(&f->t.o, "/big");
    for (int turns = 0; turns < 40; turns++) {
        call_go(&c, f->e, &r);
        for (int i = 0; i < turns && !c.over; i++)
            uv_run(&f->e->uv, UV_RUN_NOWAIT);
        assert_int_equal(c.fails, 0);
        if (!c.over)
            up_cancel(c.s);
        call_free(&c);
    }
    fetch(f, "/", &c);
    is_body(&c, "ok");
    call_free(&c);
}

static void refused_certificates(void **state)
{
    const way *w = *state;
    static const struct {
        const cert *server, *trust;
        const char *host, *says;
    } cases[] = {{&good, &other_ca, "localhost", "issuer"},
                 {&stranger, &ca, "localhost", "localhost"},
                 {&stranger, &ca, "127.0.0.1", "127.0.0.1"},
                 {&expired, &ca, "localhost", "expired"}};
    for (size_t i = 0; i < TP_COUNT(cases); i++) {
        fix *f = fix_new(w, listener(cases[i].server, NULL));
        target_set(&f->t, w, cases[i].host, f->s->port);
        f->t.o.ca_file = str_of(cases[i].trust->cert_file);
        call c = {0};
        fetch(f, "/", &c);
        assert_int_equal(c.reason, UP_E_TLS);
        if (!strstr(c.what, cases[i].says))
            fail_msg("case %zu: \"%s\" does not say \"%s\"", i, c.what, cases[i].says);
        assert_int_equal(f->s->requests, 0); /* nothing was said to the wrong one */
        call_free(&c);
        fix_free(f);
    }
    fix *f = fix_new(w, listener(&good, NULL)); /* by address */
    target_set(&f->t, w, "127.0.0.1", f->s->port);
    f->t.o.ca_file = str_of(ca.cert_file);
    call c = {0};
    fetch(f, "/", &c);
    is_body(&c, "ok");
    call_free(&c);
    f->t.o.ca_file = STR("/nonexistent/ca.pem");
    f->t.o.pool++;
    fetch(f, "/", &c);
    assert_int_equal(c.reason, UP_E_TLS);
    assert_non_null(strstr(c.what, "/nonexistent/ca.pem"));
    call_free(&c);
    f->t.o.ca_file = STR_NONE; /* the system's store does not know our CA */
    f->t.o.pool++;
    fetch(f, "/", &c);
    assert_int_equal(c.reason, UP_E_TLS);
    call_free(&c);
    fix_free(f);
}

static void a_server_that_does_not_speak_tls(void **state)
{
    fix *f = fix_new(*state, NULL);
    call c = {0};
    f->s->on_connect_close = 1;
    fetch(f, "/", &c);
    assert_int_equal(c.reason, UP_E_TLS);
    call_free(&c);
    fix_free(f);
}

/* ---- direct only */
static void by_server_name(void **state)
{
    fix *f = *state;
    resolve_addr a;
    memset(&a, 0, sizeof(a));
    uv_ip4_addr("127.0.0.1", 0, &a.in);
    resolver_prime(direct_names(up_client_direct(f->e->up)), "second.test", &a, 1);
    target_set(&f->t, f->w, "second.test", f->s->port); /* the default certificate would not do */
    f->t.o.ca_file = str_of(ca.cert_file);
    call c = {0};
    fetch(f, "/", &c);
    is_body(&c, "ok");
    call_free(&c);
}

static int resumed;

static void see_resumed(const SSL *ssl, int where, int ret)
{
    (void)ret;
    if ((where & SSL_CB_HANDSHAKE_DONE) && SSL_session_reused(ssl))
        resumed++;
}

static void sessions_are_resumed(void **state)
{
    fix *f = *state;
    SSL_CTX_set_info_callback(f->tls->ctx[0], see_resumed);
    resumed = 0;
    for (int i = 0; i < 3; i++) {
        call c = {0};
        fetch(f, "/close", &c);
        is_body(&c, "until the end");
        call_free(&c);
    }
    assert_int_equal(f->s->accepted, 3);
    assert_int_equal(resumed, 2);
}

static void bad_listener_files(void **state)
{
    tp_error err = {0};
    tls_name n = {STR("/nonexistent/c.pem"), str_of(good.key_file)};
    (void)state;
    assert_null(tls_server_new(&n, 1, &err));
    assert_non_null(strstr(err.text, "/nonexistent/c.pem"));
    assert_non_null(strstr(err.text, "No such file"));
    n = (tls_name){str_of(good.cert_file), str_of(second.key_file)};
    memset(&err, 0, sizeof(err));
    assert_null(tls_server_new(&n, 1, &err));
    assert_non_null(strstr(err.text, second.key_file));
    assert_null(tls_server_new(&n, 0, &err));
}

/* ---- a proxy that knows CONNECT */
typedef struct tunnel { /* the two ends of one */
    net a, b;
    int closed, joined;
    env *e;
    buf in;
} tunnel;

static int tunnels, tunnels_gone, connects;

static void tunnel_end(net *n)
{
    tunnel *t = n->owner;
    net_close(&t->a);
    if (t->joined)
        net_close(&t->b);
}

static void tunnel_error(net *n, int error, const char *what)
{
    (void)error;
    (void)what;
    tunnel_end(n);
}

static void tunnel_closed(net *n)
{
    tunnel *t = n->owner;
    if (++t->closed < 1 + t->joined)
        return;
    buf_free(&t->in);
    free(t);
    tunnels_gone++;
}

static void tunnel_pass(net *n, char *p, size_t len);
static const net_events tunnel_events = {.data = tunnel_pass,
                                         .eof = tunnel_end,
                                         .error = tunnel_error,
                                         .closed = tunnel_closed};

static void tunnel_pass(net *n, char *p, size_t len)
{
    tunnel *t = n->owner;
    tp_str s = {p, len};
    if (t->joined) {
        net_write(n == &t->a ? &t->b : &t->a, &s, 1);
        return;
    }
    buf_adds(&t->in, s);
    if (!memmem(t->in.ptr, t->in.len, "\r\n\r\n", 4))
        return;
    int port = 0;
    assert_int_equal(sscanf(t->in.ptr, "CONNECT localhost:%d HTTP/1.1", &port), 1);
    connects++;
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    inet_pton(AF_INET, "127.0.0.1", &to.sin_addr);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(connect(fd, (struct sockaddr *)&to, sizeof(to)), 0);
    assert_int_equal(net_open(&t->b, &t->e->l, &tunnel_events, t, fd, NULL), 0);
    t->joined = 1;
    net_read_start(&t->b);
    s = STR("HTTP/1.1 200 Connection established\r\nX-Proxy: 1\r\n\r\n");
    net_write(&t->a, &s, 1);
}

static void proxy_accept(uv_poll_t *h, int status, int events)
{
    server *s = h->data;
    int fd;
    (void)status;
    (void)events;
    while ((fd = accept4(s->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0) {
        tunnel *t = tp_xcalloc(1, sizeof(*t));
        t->e = s->e;
        buf_init(&t->in, 65536);
        tunnels++;
        assert_int_equal(net_open(&t->a, &s->e->l, &tunnel_events, t, fd, NULL), 0);
        net_read_start(&t->a);
    }
}

static int no_tunnels(void *arg)
{
    (void)arg;
    return tunnels == tunnels_gone;
}

static void through_a_proxy(void **state)
{
    fix *f = *state;
    server *proxy = server_new(f->e, answer, NULL);
    char url[64];
    tunnels = tunnels_gone = connects = 0;
    uv_poll_start(&proxy->poll, UV_READABLE, proxy_accept);
    snprintf(url, sizeof(url), "http://127.0.0.1:%d", proxy->port);
    f->t.o.proxy = str_of(url);
    setenv("no_proxy", "*", 1); /* what the configuration names comes first */
    for (int i = 0; i < 3; i++) {
        call c = {0};
        fetch(f, "/", &c);
        is_body(&c, "ok");
        call_free(&c);
    }
    unsetenv("no_proxy");
    assert_int_equal(connects, 1);
    f->t.o.proxy = STR("environment");
    f->t.o.pool++;
    setenv("https_proxy", url, 1);
    call c = {0};
    fetch(f, "/", &c);
    unsetenv("https_proxy");
    is_body(&c, "ok");
    call_free(&c);
    assert_true(connects >= 1 && tunnels >= 1);
    int before = tunnels;
    f->t.o.proxy = STR("http://127.0.0.1:1"); /* nobody there */
    f->t.o.pool++;
    fetch(f, "/", &c);
    assert_int_equal(c.reason, UP_E_CONNECT);
    call_free(&c);
    assert_int_equal(tunnels, before);
    server_free(proxy);
    up_client_close(f->e->up, env_done, f->e);
    assert_true(env_until(f->e, env_true, &f->e->closed, 5000));
    f->e->closed = 0;
    f->e->up = up_client_new(&f->e->l, NULL, NULL);
    assert_true(env_until(f->e, no_tunnels, NULL, 5000));
}

/* ---- HTTP/2: nginx as the other side, where it is installed */
static void over_http2(void **state)
{
    fix *f = *state;
    if (access("/usr/sbin/nginx", X_OK) != 0) {
        print_message("SKIPPED: no nginx, so HTTP/2 is not tested\n");
        skip();
    }
    int port, plain;
    char conf[128], cmd[256];
    server *behind = server_new(f->e, answer, NULL);
    close(listen_on("127.0.0.1", &port));
    close(listen_on("127.0.0.1", &plain));
    snprintf(conf, sizeof(conf), "%s/nginx.conf", dir);
    FILE *o = fopen(conf, "w");
    fprintf(o, "daemon off; master_process off; worker_processes 1; pid %s/pid;\n"
               "error_log %s/log;\nevents { worker_connections 512; }\n"
               "http { access_log off; client_body_temp_path %s/b; proxy_temp_path %s/p;\n"
               "fastcgi_temp_path %s/f; uwsgi_temp_path %s/u; scgi_temp_path %s/s;\n"
               "server { listen 127.0.0.1:%d ssl http2; listen 127.0.0.1:%d http2;\n"
               "ssl_certificate %s; ssl_certificate_key %s;\n"
               "location / { add_header Content-Type \"$server_protocol $connection\" always;\n"
               "proxy_pass http://127.0.0.1:%d; } } }\n",
            dir, dir, dir, dir, dir, dir, dir, port, plain, good.cert_file, good.key_file,
            behind->port);
    fclose(o);
    pid_t pid = fork();
    if (pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL); /* also when the test fails */
        int null = open("/dev/null", O_RDWR);
        dup2(null, 1);
        dup2(null, 2);
        execl("/usr/sbin/nginx", "nginx", "-c", conf, "-p", dir, (char *)NULL);
        _exit(127);
    }
    for (int i = 0, up = 0; i < 100 && !up; i++) { /* until it listens */
        struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
        int fd = socket(AF_INET, SOCK_STREAM, 0);
        inet_pton(AF_INET, "127.0.0.1", &a.sin_addr);
        up = connect(fd, (struct sockaddr *)&a, sizeof(a)) == 0;
        close(fd);
        env_for(f->e, up ? 0 : 30);
    }
    const way secure = {"h2", 1, 1}, clear = {"h2c", 1, 0};
    for (int over = 0; over < 2; over++) {
        static call cs[100];
        char first[64] = "";
        target_set(&f->t, over ? &clear : &secure, "localhost", over ? plain : port);
        f->t.o.ca_file = str_of(ca.cert_file);
        f->t.o.proxy = STR_NONE;
        f->t.o.http2 = 1;
        tp_str body = STR("{\"a\":1}");
        up_request r = post(&f->t.o, "/", &body, 1);
        memset(cs, 0, sizeof(cs));
        call_one(&cs[0], f->e, &r);
        if (cs[0].fails)
            fail_msg("%s", cs[0].what);
        assert_int_equal(cs[0].status, 200);
        is_body(&cs[0], "ok");
        snprintf(first, sizeof(first), "%s", cs[0].type);
        assert_ptr_equal(strstr(first, "HTTP/2.0 "), first);
        for (int i = 1; i < 60; i++)
            call_go(&cs[i], f->e, &r);
        for (int i = 1; i < 60; i++) {
            call_wait(&cs[i]);
            is_body(&cs[i], "ok");
            assert_ptr_equal(strstr(cs[i].type, "HTTP/2.0 "), cs[i].type);
            if (!over)
                assert_string_equal(cs[i].type, first); /* all over the one connection */
        }
        for (int i = 0; i < 60; i++)
            call_free(&cs[i]);
    }
    assert_int_equal(behind->body_bytes, 2 * 60 * 7);
    kill(pid, SIGTERM);
    waitpid(pid, NULL, 0);
    server_free(behind);
    snprintf(cmd, sizeof(cmd), "%s", conf);
    unlink(cmd);
    static const char *const left[] = {"pid", "log", "b", "p", "f", "u", "s"};
    for (size_t i = 0; i < TP_COUNT(left); i++) {
        snprintf(cmd, sizeof(cmd), "%s/%s", dir, left[i]);
        if (unlink(cmd) != 0)
            rmdir(cmd);
    }
}

static int use_direct(void **state)
{
    *state = (void *)(uintptr_t)&direct_way;
    return 0;
}

static int use_curl(void **state)
{
    *state = (void *)(uintptr_t)&curl_way;
    return 0;
}

#define DIRECT(name) {"direct: " #name, name, open_direct, close_fix, NULL}
#define CURL(name) {"curl: " #name, name, open_curl, close_fix, NULL}
#define BOTH(name) DIRECT(name), CURL(name)
#define BOTH_BARE(name) \
    {"direct: " #name, name, use_direct, NULL, NULL}, {"curl: " #name, name, use_curl, NULL, NULL}

int main(void)
{
    static const char *const vars[] = {"http_proxy", "https_proxy", "HTTPS_PROXY", "all_proxy",
                                       "ALL_PROXY", "no_proxy", "NO_PROXY"};
    for (size_t i = 0; i < TP_COUNT(vars); i++)
        unsetenv(vars[i]);
    const struct CMUnitTest tests[] = {
        BOTH(bodies),
        BOTH(an_end_without_close_notify_is_a_cut),
        BOTH(stale_connection),
        BOTH(big_bodies_both_ways),
        BOTH(cancel_in_each_phase),
        BOTH_BARE(refused_certificates),
        BOTH_BARE(a_server_that_does_not_speak_tls),
        DIRECT(by_server_name),
        DIRECT(sessions_are_resumed),
        cmocka_unit_test(bad_listener_files),
        CURL(through_a_proxy),
        CURL(over_http2),
    };
    return cmocka_run_group_tests(tests, make_all, drop_all);
}
