#include "cli/governance.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "base/str.h"
#include "catalog/catalog.h"

#define ADDRESSES 16384u
#define SESSIONS 1024u

/* A path of the configuration, terminated. */
static const char *path_of(tp_str s, char out[4096])
{
    snprintf(out, 4096, "%.*s", STR_ARG(s));
    return out;
}

static int open_secrets(governance *g, const conf *c, tp_error *err)
{
    char path[4096];
    const conf_admission *a = &c->admission;
    if (secret_pepper_load(path_of(a->pepper_file, path), &g->pepper, err) < 0)
        return err->code;
    if (a->master_key.value.ptr) {
        if (secret_master_parse(a->master_key.value, &g->master, err) < 0)
            return err->code;
    } else {
        snprintf(path, sizeof(path), "%.*s/master.key", STR_ARG(c->server.run_dir));
        if (secret_master_load(path, &g->master, err) < 0)
            return err->code;
    }
    g->has_master = 1;
    return 0;
}

static int64_t unix_ms(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_REALTIME, &ts);
    return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

static void reopened(void *arg)
{
    governance *g = arg;
    tp_error err = {0};
    if (api_load(&g->api, unix_ms(), &err) < 0)
        log_line(g->log, LOG_ERROR, "keys and credits could not be read anew: %s", err.text);
}

static int open_store(governance *g, const conf *c, uint32_t workers, tp_error *err)
{
    char path[4096], journal[4096];
    const conf_store *s = &c->store;
    path_of(s->journal_dir, journal);
    store_options o = {.path = path_of(s->path, path),
                       .journal_dir = workers ? journal : NULL,
                       .drain_dir = journal,
                       .lanes = workers,
                       .lane_bytes = s->journal_bytes,
                       .sync_ms = s->sync_ms,
                       .flush_ms = s->flush_ms,
                       .retention_days = s->retention_days,
                       .reopened = workers ? reopened : NULL,
                       .arg = g};
    int rc = store_sqlite_open(&o, 0, g->log, &g->store, err);
    g->has_store = rc == 0;
    return rc;
}

static int open_book(governance *g, const conf *c, uint32_t workers, tp_error *err)
{
    char path[4096];
    window_file *windows = NULL;
    snprintf(path, sizeof(path), "%.*s/windows", STR_ARG(c->server.run_dir));
    /* A command's look at the book must not disturb the windows of keys. */
    int rc = window_file_open(workers ? path : NULL, workers ? WINDOW_SLOTS : 65536, &windows, err);
    if (rc < 0)
        return rc;
    g->book = book_new(&g->pepper, windows, workers);
    return 0;
}

int governance_open(const conf *c, uint32_t workers, const logger *log, governance *out,
                    tp_error *err)
{
    *out = (governance){.log = log};
    pthread_mutex_init(&out->changes, NULL);
    int rc = open_secrets(out, c, err);
    if (rc == 0)
        rc = open_store(out, c, workers, err);
    if (rc == 0)
        rc = open_book(out, c, workers, err);
    if (rc < 0)
        return rc;
    if (workers) {
        out->addresses = address_table_new(ADDRESSES);
        out->api.sessions = session_table_new(SESSIONS);
    }
    out->api.book = out->book;
    out->api.registry = &out->store.registry;
    out->api.master = &out->master;
    out->api.log = log;
    out->api.changes = &out->changes;
    if (book_configure(out->book, c, unix_ms()) != 0)
        return tp_error_set(err, TP_ERROR_LIMIT, "out of memory: teams and keys cannot be held");
    return api_load(&out->api, unix_ms(), err);
}

/* {"prompt":"0.0000006",...}: dollars a unit, as in a snippet. */
static int price_json(const world_deployment *d, buf *b)
{
    char text[40];
    int rc = buf_adds(b, STR("{"));
    for (uint32_t i = 0; i < d->price_count && rc == 0; i++) {
        rc = buf_adds(b, i ? STR(",") : STR(""));
        rc = rc ? rc : buf_json_string(b, d->prices[i].unit);
        catalog_price_print(text, TP_MAX(d->prices[i].nano_per_million, 0));
        rc = rc ? rc : buf_printf(b, ":\"%s\"", text);
    }
    return rc ? rc : buf_adds(b, STR("}"));
}

void governance_prices(governance *g, const world *w, int64_t now_ms)
{
    const registry_port *r = &g->store.registry;
    tp_error err = {0};
    uint32_t count = 0, room = 0;
    arena mem;
    buf b;
    for (uint32_t i = 0; i < w->model_count; i++)
        room += w->models[i].count;
    registry_price *list = tp_xcalloc(room, sizeof(*list));
    arena_init(&mem, NULL, SIZE_MAX);
    buf_init(&b, 65536);
    for (uint32_t i = 0; i < w->model_count; i++)
        for (uint32_t k = 0; k < w->models[i].count; k++) {
            const world_deployment *d = &w->models[i].deployments[k];
            b.len = 0;
            if (d->price_version[0] && price_json(d, &b) == 0)
                list[count++] = (registry_price){str_of(d->price_version), d->conf->id,
                                                 arena_str(&mem, buf_str(&b))};
        }
    if (r->put_prices(r->self, list, count, now_ms, &err) < 0)
        log_line(g->log, LOG_WARN, "prices could not be stored: %s", err.text);
    buf_free(&b);
    arena_reset(&mem);
    free(list);
}

typedef struct touching {
    registry_touch *list;
    int64_t since_ms, newest_ms;
    uint32_t count, room;
} touching;

static int add_touched(void *arg, book_key *k)
{
    touching *t = arg;
    int64_t used = atomic_load_explicit(&k->last_used_ms, memory_order_relaxed);
    const key_terms *terms = atomic_load_explicit(&k->terms, memory_order_acquire);
    if (used <= t->since_ms || terms->fixed)
        return 0;
    if (t->count == t->room) {
        t->room = t->room ? t->room * 2 : 64;
        t->list = tp_xrealloc(t->list, t->room * sizeof(*t->list));
    }
    registry_touch *at = &t->list[t->count++];
    *at = (registry_touch){.id = k->id, .used_ms = used};
    memcpy(at->hmac, terms->hmac, sizeof(at->hmac));
    memcpy(at->pepper_id, terms->pepper_id, sizeof(at->pepper_id));
    t->newest_ms = TP_MAX(t->newest_ms, used);
    return 0;
}

void governance_touch(governance *g)
{
    const registry_port *r = &g->store.registry;
    tp_error err = {0};
    touching t = {.since_ms = g->touched_ms, .newest_ms = g->touched_ms};
    book_enter(g->book); /* the ids are the keys' own: they stay while no change is made */
    book_each_key(g->book, add_touched, &t);
    if (t.count == 0 || r->touch_keys(r->self, t.list, t.count, &err) == 0)
        g->touched_ms = t.newest_ms;
    book_leave(g->book);
    free(t.list);
}

void governance_close(governance *g)
{
    if (g->has_store && g->book && g->addresses)
        governance_touch(g);
    if (g->has_store) {
        g->store.drain(g->store.self, 5000);
        g->store.close(g->store.self);
    }
    if (g->book)
        book_free(g->book);
    if (g->addresses)
        address_table_free(g->addresses);
    if (g->api.sessions)
        session_table_free(g->api.sessions);
    secret_wipe(&g->master, sizeof(g->master));
    secret_wipe(&g->pepper, sizeof(g->pepper));
    pthread_mutex_destroy(&g->changes);
}
