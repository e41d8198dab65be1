/* turnpike serve: puts the rooms together and runs them. */
#include <errno.h>
#include <fcntl.h>
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/str.h"
#include "cli/cli.h"
#include "cli/governance.h"
#include "loop/server.h"
#include "observe/access.h"
#include "observe/counters.h"
#include "store/store.h"

typedef struct worker_sinks { /* what one worker writes to; only its thread uses it */
    _Alignas(64) access_writer *access;
    counters *count;
    store_meter meter;
    admit_env admit;
} worker_sinks;

typedef struct app {
    const char *dir, *listen;
    cli_place place;
    logger log;
    plug_loader *loader;
    uint32_t serial, workers;
    access_log *access;
    observe *counts;
    governance gov;
    int log_owned;
    worker_sinks *sinks;
    manage_ports manage;
} app;

static int64_t unix_ms(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_REALTIME, &ts);
    return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

/* "127.0.0.1:8080", "[::1]:8080", ":8080" in the place of server.listen. */
static int override_listen(conf *c, const char *text, tp_error *err)
{
    tp_str s = str_of(text), host;
    int64_t port;
    size_t at = s.len;
    while (at > 0 && s.ptr[at - 1] != ':')
        at--;
    if (at == 0 || str_to_i64(str_skip(s, at), &port) != 0 || port > 65535)
        return tp_error_set(err, TP_ERROR_CONFIG,
                            "--listen %s: expected HOST:PORT, e.g. 127.0.0.1:8080 or [::1]:8080",
                            text);
    host = str_make(s.ptr, at - 1);
    if (host.len > 1 && host.ptr[0] == '[' && host.ptr[host.len - 1] == ']')
        host = str_make(host.ptr + 1, host.len - 2);
    if (!host.len)
        host = STR("0.0.0.0");
    conf_listen *l = arena_zalloc(&c->mem, sizeof(*l));
    TP_MUST(l);
    if (c->server.listen_count == 1) /* its certificate serves here too */
        *l = c->server.listen[0];
    l->host = host;
    l->port = (int32_t)port;
    c->server.listen = l;
    c->server.listen_count = 1;
    return 0;
}

static world *load(void *arg, tp_error *err)
{
    app *a = arg;
    conf_env env = {.plugin_dir = a->place.plugin_dir};
    conf *c = conf_load(a->dir, &env, err);
    if (!c)
        return NULL;
    if (a->listen && override_listen(c, a->listen, err) != 0) {
        conf_free(c);
        return NULL;
    }
    for (uint32_t i = 0; i < c->notice_count; i++)
        log_line(&a->log, LOG_INFO, "%.*s", STR_ARG(c->notices[i]));
    if (!a->loader) {
        char *dir = tp_xstrndup(c->server.run_dir.ptr, c->server.run_dir.len);
        a->loader = plug_loader_new(dir, &a->log, err);
        free(dir);
        if (!a->loader) {
            conf_free(c);
            return NULL;
        }
    }
    return world_new_take(c, a->loader, ++a->serial, &a->log, err);
}

/* ---- On a worker's thread. */

static void record(void *arg, uint32_t worker, const settle_record *r)
{
    worker_sinks *s = &((app *)arg)->sinks[worker];
    counters_finished(s->count, r);
    store_meter_add(&s->meter, r);
    access_write(s->access, r);
}

static const admit_env *admit(void *arg, uint32_t worker)
{
    return &((app *)arg)->sinks[worker].admit;
}

static int owes(const exchange *x)
{
    return x->who.team != NULL;
}

/* Room in the journal first: what cannot be made durable is not begun. An exchange that nobody pays
 * for goes on without a record. */
static int hold(void *arg, uint32_t worker, exchange *x, int64_t nano, admit_tokens tokens,
                profile_error *why)
{
    app *a = arg;
    worker_sinks *s = &a->sinks[worker];
    const journal_port *j = &a->gov.store.journal;
    const conf_store *c = &x->world->conf->store;
    size_t room = c->generations || owes(x) ? LEDGER_RECORD_LEAST + x->prompt.len : 0;
    if (room && !j->reserve(j->self, worker, room)) {
        if (owes(x)) {
            counters_add(&s->count->denied[COUNTERS_NO_STORE], 1);
            *why = (profile_error){.status = 503,
                                   .retry_after_s = 5,
                                   .code = STR("store_unavailable"),
                                   .message = STR("The ledger is not available now; try again "
                                                  "later.")};
            return -1;
        }
        counters_add(&s->count->records_lost, 1);
        room = 0;
    }
    if (admit_hold(&x->who, nano, tokens, x->env->now, why) != 0) {
        if (room)
            j->unreserve(j->self, worker, room);
        return -1;
    }
    x->journal_bytes = room;
    x->unowed = !room && !x->who.key; /* nothing was put aside anywhere */
    return 1;
}

static int64_t tokens_of(const usage *u)
{
    int64_t sum;
    return __builtin_add_overflow(usage_tokens_in(u), usage_tokens_out(u), &sum) ? INT64_MAX : sum;
}

static int settle(void *arg, uint32_t worker, exchange *x, settle_record *r)
{
    app *a = arg;
    const journal_port *j = &a->gov.store.journal;
    int64_t owed = r->charged_nano;
    r->charged_nano = admit_settle(&x->who, owed, tokens_of(&r->used), x->env->now);
    if (!owes(x))
        r->hold_nano = r->charged_nano = 0;
    if (!x->world->conf->store.generations)
        r->flags |= SETTLE_UNKEPT;
    counters_add(&a->sinks[worker].count->charged_nano, r->charged_nano);
    if (x->journal_bytes)
        TP_MUST(j->append(j->self, worker, r, x->journal_bytes) == 0);
    x->journal_bytes = 0;
    return 1;
}

static void tick(void *arg, uint32_t worker, const worker_figures *f, tp_now now)
{
    worker_sinks *s = &((app *)arg)->sinks[worker];
    counters *c = s->count;
#define COPY(to, from)                                                                             \
    atomic_store_explicit(&c->to, atomic_load_explicit(&f->from, memory_order_relaxed),            \
                          memory_order_relaxed)
    COPY(active, exchanges);
    COPY(connections, connections);
    COPY(accepted, accepted);
    COPY(upstream_connects, upstream_connects);
    COPY(upstream_reuses, upstream_reuses);
    COPY(retries, upstream_retries);
    COPY(http_faults, faults);
#undef COPY
    access_flush(s->access);
    store_meter_tick(&s->meter, now);
}

/* ---- On the serving thread. */

static int open_log(app *a, const conf *c, tp_error *err)
{
    int level = log_level_parse(c->log_level);
    a->log.level = level ? level : LOG_INFO;
    if (!c->log_file.len)
        return 0;
    char *path = tp_xstrndup(c->log_file.ptr, c->log_file.len);
    int fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0640);
    int rc = 0;
    if (fd < 0)
        rc = tp_error_set(err, TP_ERROR_IO, "log.file %s cannot be opened: %s", path,
                          strerror(errno));
    else if (a->log_owned)
        rc = dup3(fd, a->log.fd, O_CLOEXEC) < 0 ? -1 : 0, close(fd); /* others hold the number */
    else
        a->log.fd = fd, a->log_owned = 1;
    free(path);
    return rc;
}

/* A configuration comes into force: its tiers, teams and static keys are in the book before the
 * first request that carries one, and its prices can be looked up by their versions later on. */
static void loaded(void *arg, const world *w)
{
    app *a = arg;
    if (book_configure(a->gov.book, w->conf, unix_ms()) != 0)
        log_line(&a->log, LOG_ERROR, "out of memory: teams and tiers stay as they were");
    governance_prices(&a->gov, w, unix_ms());
}

static void beat(void *arg)
{
    governance_touch(&((app *)arg)->gov);
}

static void reopen(void *arg)
{
    app *a = arg;
    if (a->access)
        access_log_reopen(a->access);
}

static int command(void *arg, server *s, tp_str line, buf *out)
{
    app *a = arg;
    char why[256];
    if (!str_eq(line, STR("metrics")))
        return -1;
    store_figures f = {0};
    if (a->gov.has_store)
        a->gov.store.figures(a->gov.store.self, &f);
    observe_extra x = {
        .journal_bytes = (uint64_t)f.journal_bytes,
        .journal_capacity = (uint64_t)f.journal_capacity,
        .drained_records = (uint64_t)f.drained_records,
        .failed_writes = (uint64_t)f.failed_writes,
        .segments_dropped = (uint64_t)f.segments_dropped,
        .connections_refused = server_refused(s),
        .keys = a->gov.book ? book_key_count(a->gov.book) : 0,
        .access_dropped = a->access ? access_log_dropped(a->access) : 0,
        .store_healthy =
            a->gov.has_store && a->gov.store.health(a->gov.store.self, why, sizeof(why)) == 0,
        .world_serial = server_world(s)->serial,
        .started_unix_ms = a->manage.started_unix_ms};
    return observe_render_metrics(a->counts, &x, out) == 0 ? 0 : -1;
}

static int store_health(void *arg, char *why, size_t room)
{
    app *a = arg;
    return a->gov.store.health(a->gov.store.self, why, room);
}

static int make_run_dir(const conf *c, tp_error *err)
{
    char *dir = tp_xstrndup(c->server.run_dir.ptr, c->server.run_dir.len);
    int rc = mkdir(dir, 0700) == 0 || errno == EEXIST
                 ? 0
                 : tp_error_set(err, TP_ERROR_IO, "server.run_dir %s cannot be made: %s", dir,
                                strerror(errno));
    free(dir);
    return rc;
}

static int open_sinks(app *a, const world *w, tp_error *err)
{
    const conf *c = w->conf;
    char path[4096];
    a->workers = server_workers(&c->server);
    a->counts = observe_new(a->workers);
    if (governance_open(c, a->workers, &a->log, &a->gov, err) != 0)
        return -1;
    if (c->server.access_log.len) {
        snprintf(path, sizeof(path), "%.*s", STR_ARG(c->server.access_log));
        a->access = access_log_open(path, &a->log, err);
        if (!a->access)
            return -1;
    }
    a->sinks = aligned_alloc(_Alignof(worker_sinks), a->workers * sizeof(*a->sinks));
    TP_MUST(a->sinks);
    for (uint32_t i = 0; i < a->workers; i++) {
        a->sinks[i].count = observe_counters(a->counts, i);
        a->sinks[i].access = a->access ? access_writer_new(a->access) : NULL;
        store_meter_init(&a->sinks[i].meter, &a->gov.store);
        a->sinks[i].admit = (admit_env){.book = a->gov.book,
                                        .mac = secret_mac_new(&a->gov.pepper),
                                        .addresses = a->gov.addresses};
        TP_MUST(a->sinks[i].admit.mac);
    }
    a->manage =
        (manage_ports){.arg = a, .started_unix_ms = unix_ms(), .store_health = store_health};
    return 0;
}

static void close_sinks(app *a)
{
    for (uint32_t i = 0; a->sinks && i < a->workers; i++) {
        if (a->sinks[i].access)
            access_writer_free(a->sinks[i].access);
        if (store_meter_finish(&a->sinks[i].meter, 5000) != 0)
            log_line(&a->log, LOG_ERROR, "usage totals of the last seconds could not be stored");
        store_meter_free(&a->sinks[i].meter);
        secret_mac_free(a->sinks[i].admit.mac);
    }
    free(a->sinks);
    if (a->access)
        access_log_close(a->access);
    governance_close(&a->gov);
    if (a->counts)
        observe_free(a->counts);
}

int cli_serve(int argc, char **argv)
{
    app a = {.dir = cli_default_config(), .log = {.fd = STDERR_FILENO, .level = LOG_INFO}};
    tp_error err = {0};
    for (int i = 1; i < argc; i++) {
        const char *v;
        if ((v = cli_option(argc, argv, &i, "config")))
            a.dir = v;
        else if ((v = cli_option(argc, argv, &i, "listen")))
            a.listen = v;
        else
            return cli_wrong("serve", argv[i]);
    }
    /* Few arenas: a worker has its own memory anyway, and idle RSS is a promise. Bodies of 100 KB
     * come and go: giving each back to the kernel would cost more than serving it; what is free
     * when the gateway is idle is given back then (workers do, loop/worker.c). */
    mallopt(M_ARENA_MAX, 2);
    mallopt(M_MMAP_THRESHOLD, 1 << 20);
    mallopt(M_TRIM_THRESHOLD, 16 << 20);
    mallopt(M_TOP_PAD, 128 << 10);
    /* Once here, where no other thread is: under another allocator (a sanitizer's) nothing else made
     * glibc's own arena, and two workers who trim at once would each find it half made by the other. */
    malloc_trim(0);
    server_hold_signals();
    cli_find_parts(&a.place);
    world *w = NULL;
    conf_env env = {.plugin_dir = a.place.plugin_dir};
    conf *first = conf_load(a.dir, &env, &err); /* for log and run_dir, which the rest stands on */
    int rc = first ? 0 : -1;
    if (rc == 0)
        rc = server_check_descriptors(&err);
    if (rc == 0)
        rc = make_run_dir(first, &err);
    if (rc == 0)
        rc = open_log(&a, first, &err);
    conf_free(first);
    if (rc == 0 && !(w = load(&a, &err)))
        rc = -1;
    if (rc == 0 && (rc = open_sinks(&a, w, &err)) != 0)
        world_unref(w);
    if (rc == 0) {
        plug_loader_sweep(a.loader);
        loaded(&a, w);
        server_ports ports = {.arg = &a,
                              .manage = &a.manage,
                              .api = &a.gov.api,
                              .admit = admit,
                              .hold = hold,
                              .settle = settle,
                              .record = record,
                              .loaded = loaded,
                              .beat = beat,
                              .tick = tick,
                              .load = load,
                              .reopen = reopen,
                              .command = command};
        rc = server_run(w, &ports, a.place.curl_module[0] ? a.place.curl_module : NULL, &a.log,
                        &err);
    }
    if (rc != 0)
        log_line(&a.log, LOG_ERROR, "%s", err.text);
    close_sinks(&a);
    if (a.loader)
        plug_loader_free(a.loader);
    if (a.log_owned)
        close(a.log.fd);
    return rc == 0 ? 0 : 1;
}
