/* The serving thread: listeners, signals, the admin socket, reloads, draining. */
#include "loop/server.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>
#include "loop/accept.h"
#include "loop/admin.h"
#include "loop/server_int.h"

#define DESCRIPTORS_RESERVED 400 /* store, logs, admin socket, loops, names, idle upstreams, and: */
#define BEAT_MS 5000
#define DESCRIPTORS_MIN 64       /* below it there is no room for a single client */
#define REFUSED_MAX 100 /* connections beyond the limit that are heard and told so */

typedef struct release { /* a world that a worker has let go of */
    struct release *next;
    world *w;
} release;

struct server {
    const server_ports *ports;
    const logger *log;
    uv_loop_t loop;
    uv_signal_t sigterm, sigint, sighup;
    uv_async_t wake;
    uv_timer_t drain, beat;
    admin *admin;
    listener **listeners;
    uint32_t listener_count, worker_count;
    worker *workers;
    route_table *live;
    world *current; /* referenced */
    uint32_t draining, max_connections, max_refused, reserved;
    uint64_t refused;
    uv_mutex_t lock;
    release *releases; /* under lock */
};

const server_ports *server_ports_of(const server *s)
{
    return s->ports;
}

const logger *server_log(const server *s)
{
    return s->log;
}

route_table *server_live(server *s)
{
    return s->live;
}

const world *server_world(const server *s)
{
    return s->current;
}

uint32_t server_worker_count(const server *s)
{
    return s->worker_count;
}

uint64_t server_refused(const server *s)
{
    return s->refused;
}

const worker_figures *server_figures(const server *s, uint32_t i)
{
    return &s->workers[i].figures;
}

uint32_t server_workers(const conf_server *c)
{
    if (c->workers > 0)
        return (uint32_t)c->workers;
    long n = sysconf(_SC_NPROCESSORS_ONLN);
    return n < 1 ? 1 : (uint32_t)TP_MIN(n, 64L);
}

/* ---- From the workers. */

void server_release_world(server *s, world *w)
{
    release *r = tp_xcalloc(1, sizeof(*r));
    r->w = w;
    uv_mutex_lock(&s->lock);
    r->next = s->releases;
    s->releases = r;
    uv_mutex_unlock(&s->lock);
    uv_async_send(&s->wake);
}

void server_worker_empty(server *s)
{
    uv_async_send(&s->wake);
}

static void free_released(server *s)
{
    uv_mutex_lock(&s->lock);
    release *r = s->releases;
    s->releases = NULL;
    uv_mutex_unlock(&s->lock);
    while (r) {
        release *next = r->next;
        world_unref(r->w);
        free(r);
        r = next;
    }
}

/* ---- Accepting. */

/* Beyond even those that are told in due form: said blindly, as the socket's buffer takes it. */
static void turn_away(int fd, tls_context *tls)
{
    static const char body[] =
        "{\"error\":{\"message\":\"The gateway has as many connections as it may have. Try again "
        "in "
        "a moment.\",\"type\":\"service_unavailable_error\",\"param\":null,\"code\":null}}";
    char text[512], in[4096];
    if (!tls) {
        int len = snprintf(text, sizeof(text),
                           "HTTP/1.1 503 Service Unavailable\r\nContent-Type: application/json\r\n"
                           "Content-Length: %zu\r\nRetry-After: 1\r\nConnection: close\r\n\r\n%s",
                           sizeof(body) - 1, body);
        ssize_t n = send(fd, text, (size_t)len, MSG_NOSIGNAL);
        shutdown(fd, SHUT_WR);
        for (int i = 0; i < 16 && n > 0; i++) /* what is read is no cause for a reset */
            n = recv(fd, in, sizeof(in), 0);
    }
    close(fd);
}

static uint64_t open_at(const worker *w)
{
    return w->given - atomic_load_explicit(&w->figures.closed, memory_order_relaxed);
}

static void on_accepted(void *arg, int fd, tls_context *tls)
{
    server *s = arg;
    worker *best = &s->workers[0];
    uint64_t least = UINT64_MAX, all = 0;
    for (uint32_t i = 0; i < s->worker_count; i++) {
        uint64_t n = open_at(&s->workers[i]);
        all += n;
        if (n < least) {
            least = n;
            best = &s->workers[i];
        }
    }
    int refused = all >= s->max_connections;
    if (refused && s->refused++ == 0)
        log_line(s->log, LOG_WARN,
                 "connections are turned away: %llu are open, which is the limit (raise the "
                 "descriptor limit or server.max_connections)",
                 (unsigned long long)all);
    if (refused && all - s->max_connections >= s->max_refused) {
        turn_away(fd, tls);
        return;
    }
    best->given++;
    worker_give(best, fd, tls, refused);
}

static uint64_t descriptors_allowed(void)
{
    struct rlimit r;
    if (getrlimit(RLIMIT_NOFILE, &r) != 0)
        r.rlim_cur = 1024;
    if (r.rlim_cur < r.rlim_max) {
        r.rlim_cur = r.rlim_max;
        setrlimit(RLIMIT_NOFILE, &r);
        getrlimit(RLIMIT_NOFILE, &r);
    }
    return TP_MIN((uint64_t)r.rlim_cur, (uint64_t)1 << 21);
}

int server_check_descriptors(tp_error *err)
{
    uint64_t descriptors = descriptors_allowed();
    if (descriptors >= DESCRIPTORS_MIN)
        return 0;
    return tp_error_set(err, TP_ERROR_IO,
                        "only %u descriptors are allowed, and at least %u are needed: raise the "
                        "limit (ulimit -n)",
                        (unsigned)descriptors, DESCRIPTORS_MIN);
}

/* Each client connection may need an upstream one. */
static void set_limits(server *s, const conf_server *c)
{
    uint64_t descriptors = descriptors_allowed();
    uint64_t reserve = TP_MIN((uint64_t)DESCRIPTORS_RESERVED, descriptors / 2);
    uint64_t most = (descriptors - reserve) / 2;
    if (c->max_connections > 0)
        most = TP_MIN(most, (uint64_t)c->max_connections);
    s->max_connections = (uint32_t)most;
    s->max_refused = (uint32_t)TP_MIN(reserve / 4, (uint64_t)REFUSED_MAX);
}

/* ---- Reload. */

static int same_listeners(const conf_server *a, const conf_server *b)
{
    if (a->listen_count != b->listen_count)
        return 0;
    for (uint32_t i = 0; i < a->listen_count; i++)
        if (!str_eq(a->listen[i].host, b->listen[i].host) ||
            a->listen[i].port != b->listen[i].port || a->listen[i].tls != b->listen[i].tls)
            return 0;
    return 1;
}

/* Certificates are read anew, so that a renewed one comes into force. All of them, or none. */
static int certificates(server *s, const conf_server *is, tls_context **out, tp_error *err)
{
    for (uint32_t i = 0; i < s->listener_count; i++) {
        if (listener_certificate(&is->listen[i], &out[i], err) == 0)
            continue;
        while (i-- > 0)
            if (out[i])
                tls_context_unref(out[i]);
        return -1;
    }
    return 0;
}

static int reload(server *s, tp_error *err)
{
    world *next = s->ports->load(s->ports->arg, err);
    if (!next)
        return -1;
    const conf_server *was = &s->current->conf->server, *is = &next->conf->server;
    int same = same_listeners(was, is);
    tls_context **tls = tp_xcalloc(s->listener_count + 1, sizeof(*tls));
    if (same && certificates(s, is, tls, err) != 0) {
        free(tls);
        world_unref(next);
        return -1;
    }
    for (uint32_t i = 0; same && i < s->listener_count; i++)
        listener_swap(s->listeners[i], tls[i]);
    free(tls);
    if (!same || server_workers(was) != server_workers(is) ||
        !str_eq(was->admin_socket, is->admin_socket) || !str_eq(was->access_log, is->access_log))
        log_line(
            s->log, LOG_WARN,
            "server.listen, workers, admin_socket and access_log take effect at the next start");
    if (s->ports->loaded)
        s->ports->loaded(s->ports->arg, next);
    for (uint32_t i = 0; i < s->worker_count; i++)
        worker_world(&s->workers[i], next);
    world *old = s->current;
    s->current = next;
    world_unref(old);
    set_limits(s, is);
    log_line(s->log, LOG_INFO, "configuration %u is in force", next->serial);
    return 0;
}

static void on_sighup(uv_signal_t *h, int signum)
{
    server *s = h->data;
    tp_error err = {0};
    (void)signum;
    if (s->ports->reopen)
        s->ports->reopen(s->ports->arg);
    if (reload(s, &err) != 0)
        log_line(s->log, LOG_ERROR, "reload refused, the old configuration stays: %s", err.text);
}

/* ---- Draining. */

static void all_quit(server *s)
{
    s->draining = 3;
    uv_stop(&s->loop);
}

static void check_empty(server *s)
{
    if (!s->draining || s->draining > 2)
        return;
    for (uint32_t i = 0; i < s->worker_count; i++) {
        const worker_figures *f = &s->workers[i].figures;
        if (s->workers[i].given != atomic_load_explicit(&f->closed, memory_order_acquire))
            return;
    }
    all_quit(s);
}

static void on_wake(uv_async_t *a)
{
    server *s = a->data;
    free_released(s);
    check_empty(s);
}

static void on_beat(uv_timer_t *t)
{
    server *s = t->data;
    if (s->ports->beat)
        s->ports->beat(s->ports->arg);
}

static void stop_workers(server *s, uint32_t how)
{
    s->draining = how;
    for (uint32_t i = 0; i < s->worker_count; i++)
        worker_stop(&s->workers[i], how);
    check_empty(s);
}

static void on_cut_over(uv_timer_t *t)
{
    all_quit(t->data);
}

static void cut_off(server *s)
{
    stop_workers(s, 2);
    uv_timer_start(&s->drain, on_cut_over, 1000, 0);
}

static void on_drain_over(uv_timer_t *t)
{
    server *s = t->data;
    log_line(s->log, LOG_WARN,
             "draining took longer than server.drain_timeout_ms: the exchanges that "
             "are left are cut off");
    cut_off(s);
}

static void begin_drain(server *s)
{
    if (s->draining)
        return;
    log_line(s->log, LOG_INFO, "stopping: no new connections, exchanges in flight are finished");
    for (uint32_t i = 0; i < s->listener_count; i++)
        listener_close(s->listeners[i]);
    s->listener_count = 0;
    uv_timer_start(&s->drain, on_drain_over,
                   (uint64_t)s->current->conf->server.drain_timeout_ms, 0);
    stop_workers(s, 1);
}

static void on_stop_signal(uv_signal_t *h, int signum)
{
    server *s = h->data;
    (void)signum;
    if (!s->draining) {
        begin_drain(s);
    } else if (s->draining == 1) {
        log_line(s->log, LOG_WARN, "asked to stop twice: the exchanges that are left are cut off");
        cut_off(s);
    }
}

/* ---- Admin commands. */

static void status_answer(server *s, buf *out)
{
    uint64_t conns = 0, exchanges = 0, accepted = 0;
    for (uint32_t i = 0; i < s->worker_count; i++) {
        const worker_figures *f = &s->workers[i].figures;
        conns += atomic_load_explicit(&f->connections, memory_order_relaxed);
        exchanges += atomic_load_explicit(&f->exchanges, memory_order_relaxed);
        accepted += atomic_load_explicit(&f->accepted, memory_order_relaxed);
    }
    buf_printf(out,
               "{\"version\":\"%s\",\"pid\":%d,\"world\":%u,\"workers\":%u,\"connections\":%llu,"
               "\"exchanges\":%llu,\"accepted\":%llu,\"refused\":%llu,\"draining\":%s}\n",
               TURNPIKE_VERSION, (int)getpid(), s->current->serial, s->worker_count,
               (unsigned long long)conns, (unsigned long long)exchanges,
               (unsigned long long)accepted, (unsigned long long)s->refused,
               s->draining ? "true" : "false");
}

static int answer(void *arg, admin_client *client, tp_str line, buf *out)
{
    server *s = arg;
    tp_error err = {0};
    if (str_starts(line, STR("api ")))
        return admin_api(s->ports->api, &s->loop, s->current, client, str_skip(line, 4), out);
    if (str_eq(line, STR("reload"))) {
        if (s->ports->reopen)
            s->ports->reopen(s->ports->arg);
        if (reload(s, &err) == 0) {
            buf_printf(out, "{\"ok\":true,\"world\":%u}\n", s->current->serial);
        } else {
            log_line(s->log, LOG_ERROR, "reload refused, the old configuration stays: %s",
                     err.text);
            buf_adds(out, STR("{\"ok\":false,\"error\":"));
            buf_json_string(out, str_of(err.text));
            buf_adds(out, STR("}\n"));
        }
    } else if (str_eq(line, STR("status"))) {
        status_answer(s, out);
    } else if (str_eq(line, STR("stop"))) {
        buf_adds(out, STR("{\"ok\":true}\n"));
        begin_drain(s);
    } else if (!s->ports->command || s->ports->command(s->ports->arg, s, line, out) != 0) {
        buf_adds(out, STR("{\"ok\":false,\"error\":\"unknown command; known are reload, status, "
                          "stop, metrics, api\"}\n"));
    }
    return 1;
}

/* ---- Life. */

static int open_listeners(server *s, const conf_server *c, tp_error *err)
{
    s->listeners = tp_xcalloc(c->listen_count, sizeof(*s->listeners));
    for (uint32_t i = 0; i < c->listen_count; i++) {
        listener *l = listener_new(&s->loop, &c->listen[i], on_accepted, s, err);
        if (!l)
            return -1;
        s->listeners[s->listener_count++] = l;
        int v6 = memchr(c->listen[i].host.ptr, ':', c->listen[i].host.len) != NULL;
        log_line(s->log, LOG_INFO, "listening on %s://%s%.*s%s:%d",
                 c->listen[i].tls ? "https" : "http", v6 ? "[" : "", STR_ARG(c->listen[i].host),
                 v6 ? "]" : "", listener_port(l));
    }
    return 0;
}

static int start_workers(server *s, const char *curl_module, tp_error *err)
{
    uint32_t n = server_workers(&s->current->conf->server);
    s->workers = tp_xcalloc(n, sizeof(*s->workers));
    for (uint32_t i = 0; i < n; i++) {
        if (worker_init(&s->workers[i], s, i, curl_module, err) != 0)
            return -1;
        worker_world(&s->workers[i], s->current);
        if (worker_start(&s->workers[i]) != 0)
            return tp_error_set(err, TP_ERROR_IO, "cannot start a worker thread");
        s->worker_count++;
    }
    return 0;
}

static void mask_signals(int how)
{
    sigset_t all;
    sigemptyset(&all);
    sigaddset(&all, SIGTERM);
    sigaddset(&all, SIGINT);
    sigaddset(&all, SIGHUP);
    pthread_sigmask(how, &all, NULL);
}

void server_hold_signals(void)
{
    mask_signals(SIG_BLOCK);
}

static void catch_signals(server *s)
{
    uv_signal_init(&s->loop, &s->sigterm);
    uv_signal_init(&s->loop, &s->sigint);
    uv_signal_init(&s->loop, &s->sighup);
    s->sigterm.data = s->sigint.data = s->sighup.data = s;
    uv_signal_start(&s->sigterm, on_stop_signal, SIGTERM);
    uv_signal_start(&s->sigint, on_stop_signal, SIGINT);
    uv_signal_start(&s->sighup, on_sighup, SIGHUP);
    signal(SIGPIPE, SIG_IGN);
    mask_signals(SIG_UNBLOCK); /* on this thread alone */
}

static void close_all(server *s)
{
    for (uint32_t i = 0; i < s->listener_count; i++) /* while there are workers to take the last */
        listener_close(s->listeners[i]);
    for (uint32_t i = 0; i < s->worker_count; i++)
        worker_quit(&s->workers[i]);
    for (uint32_t i = 0; i < s->worker_count; i++) {
        uv_thread_join(&s->workers[i].thread);
        worker_free(&s->workers[i]);
    }
    free_released(s);
    admin_close(s->admin);
    server_hold_signals(); /* nobody handles them any more, and the exit code is to be 0 */
    uv_close((uv_handle_t *)&s->sigterm, NULL);
    uv_close((uv_handle_t *)&s->sigint, NULL);
    uv_close((uv_handle_t *)&s->sighup, NULL);
    uv_close((uv_handle_t *)&s->wake, NULL);
    uv_close((uv_handle_t *)&s->drain, NULL);
    uv_close((uv_handle_t *)&s->beat, NULL);
    uv_run(&s->loop, UV_RUN_DEFAULT);
    TP_MUST(uv_loop_close(&s->loop) == 0);
    world_unref(s->current);
    route_table_free(s->live);
    uv_mutex_destroy(&s->lock);
    free(s->workers);
    free(s->listeners);
    free(s);
}

int server_run(world *w_take, const server_ports *ports, const char *curl_module,
               const logger *log, tp_error *err)
{
    server *s = tp_xcalloc(1, sizeof(*s));
    const conf_server *c = &w_take->conf->server;
    char path[4096];
    s->ports = ports;
    s->log = log;
    s->current = w_take;
    int rc = server_check_descriptors(err);
    set_limits(s, c);
    if (rc == 0 && uv_loop_init(&s->loop) != 0)
        rc = tp_error_set(err, TP_ERROR_IO, "cannot make an event loop: out of descriptors");
    if (rc != 0) {
        world_unref(w_take);
        free(s);
        return rc;
    }
    s->live = route_table_new(4096);
    uv_mutex_init(&s->lock);
    uv_async_init(&s->loop, &s->wake, on_wake);
    uv_timer_init(&s->loop, &s->drain);
    uv_timer_init(&s->loop, &s->beat);
    s->wake.data = s->drain.data = s->beat.data = s;
    uv_timer_start(&s->beat, on_beat, BEAT_MS, BEAT_MS);
    catch_signals(s);
    size_t n = TP_MIN(c->admin_socket.len, sizeof(path) - 1);
    memcpy(path, c->admin_socket.ptr, n);
    path[n] = '\0';
    s->admin = admin_new(&s->loop, path, answer, s, log, err);
    rc = s->admin ? start_workers(s, curl_module, err) : -1;
    if (rc == 0)
        rc = open_listeners(s, c, err);
    if (rc == 0)
        uv_run(&s->loop, UV_RUN_DEFAULT);
    close_all(s);
    if (rc == 0)
        log_line(log, LOG_INFO, "stopped");
    return rc;
}
