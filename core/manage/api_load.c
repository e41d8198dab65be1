/* Fills the book from the registry: at start, and when the store was opened anew. Not under the
 * lock of changes: the store's own thread calls this, and a change may be waiting for that thread.
 */
#include <stdlib.h>

#include "manage/manage_int.h"

typedef struct loading {
    const api_ports *p;
    int64_t now_ms;
    tp_error *err;
    arena mem; /* of provider keys, which come row by row and go in team by team */
    struct loaded_byok {
        tp_str team;
        book_byok byok;
    } * byok;
    uint32_t byok_count, byok_room;
} loading;

static int no_memory(loading *l)
{
    return tp_error_set(l->err, TP_ERROR_LIMIT, "out of memory: teams and keys cannot be held");
}

static int take_team(void *arg, const registry_team *t)
{
    loading *l = arg;
    return book_put_team(l->p->book, t) < 0 ? no_memory(l) : 0;
}

static int take_sums(void *arg, const registry_sums *s)
{
    loading *l = arg;
    int rc = book_add_credits(l->p->book, s->team, s->credited_news, s->used_news);
    if (rc > 0)
        log_line(l->p->log, LOG_WARN,
                 "the ledger has entries of the team '%.*s', which is neither in the store nor in "
                 "conf.d: they are kept",
                 STR_ARG(s->team));
    return rc < 0 ? no_memory(l) : 0;
}

static int copy(loading *l, tp_str in, tp_str *out)
{
    *out = arena_str(&l->mem, in);
    return out->ptr || in.len == 0 ? 0 : -1;
}

/* 0; -1: out of memory; 1: the master key does not open it. */
static int open_row(loading *l, const registry_byok *b, book_byok *out)
{
    tp_str bound = api_byok_bound(&l->mem, b->team, b->provider, b->type);
    char *plain = arena_alloc(&l->mem, b->sealed.len);
    if (!bound.ptr || !plain)
        return -1;
    int64_t n = l->p->master ? secret_open(l->p->master, bound, b->sealed, plain) : -1;
    if (n < 0)
        return 1;
    out->secret = str_make(plain, (size_t)n);
    return 0;
}

static int take_byok(void *arg, const registry_byok *b)
{
    loading *l = arg;
    book_byok row = {.created_ms = b->created_ms};
    int rc = open_row(l, b, &row);
    if (rc < 0)
        return no_memory(l);
    if (rc > 0) {
        log_line(l->p->log, LOG_ERROR,
                 "the provider key %.*s (%.*s) of team '%.*s' does not open with this master key "
                 "and is left out: set admission.master_key to the one that it was set with, or "
                 "set the provider key anew",
                 STR_ARG(b->provider), STR_ARG(b->type), STR_ARG(b->team));
        return 0;
    }
    if (l->byok_count == l->byok_room) {
        l->byok_room = l->byok_room ? l->byok_room * 2 : 64;
        l->byok = tp_xrealloc(l->byok, l->byok_room * sizeof(*l->byok));
    }
    struct loaded_byok *to = &l->byok[l->byok_count];
    to->byok = row;
    if (copy(l, b->team, &to->team) < 0 || copy(l, b->provider, &to->byok.provider) < 0 ||
        copy(l, b->type, &to->byok.type) < 0 || copy(l, b->hint, &to->byok.hint) < 0)
        return no_memory(l);
    l->byok_count++;
    return 0;
}

static int take_key(void *arg, const registry_key *k, int64_t day, int64_t month, int64_t total)
{
    loading *l = arg;
    int64_t spent = k->spend_period == REGISTRY_DAILY     ? day
                    : k->spend_period == REGISTRY_MONTHLY ? month
                                                          : total;
    if (book_put_key(l->p->book, k, spent, l->now_ms) == 0)
        return 0;
    /* One row that cannot be must not keep all others out. */
    log_line(l->p->log, LOG_ERROR,
             "key %.*s is left out: its team '%.*s' is not there, or another key has its beginning",
             STR_ARG(k->id), STR_ARG(k->team));
    return 0;
}

static int by_team(const void *a, const void *b)
{
    tp_str x = ((const struct loaded_byok *)a)->team, y = ((const struct loaded_byok *)b)->team;
    int d = memcmp(x.ptr, y.ptr, TP_MIN(x.len, y.len));
    return d ? d : (x.len > y.len) - (x.len < y.len);
}

static void put_byok(loading *l)
{
    book_byok *list = l->byok_count ? tp_xmalloc(l->byok_count * sizeof(*list)) : NULL;
    if (list)
        qsort(l->byok, l->byok_count, sizeof(*l->byok), by_team);
    for (uint32_t i = 0; i < l->byok_count;) {
        uint32_t n = 0, first = i;
        for (; i < l->byok_count && str_eq(l->byok[i].team, l->byok[first].team); i++)
            list[n++] = l->byok[i].byok;
        if (book_put_byok(l->p->book, l->byok[first].team, list, n) < 0)
            log_line(l->p->log, LOG_ERROR,
                     "provider keys of the team '%.*s', which is not there, are left out",
                     STR_ARG(l->byok[first].team));
    }
    free(list);
}

/* There is always a team that keys of no other belong to. In memory only until it is changed: the
 * store's own row, where there is one, comes with the load. */
static int make_default_team(const api_ports *p)
{
    const registry_team t = {
        .id = API_DEFAULT_TEAM, .name = API_DEFAULT_TEAM, .active = 1, .billing = CONF_POSTPAID};
    book_enter(p->book);
    int there = book_team_of(p->book, t.id) != NULL;
    book_leave(p->book);
    return there ? 0 : book_put_team(p->book, &t);
}

int api_load(const api_ports *p, int64_t now_ms, tp_error *err)
{
    loading l = {.p = p, .now_ms = now_ms, .err = err};
    registry_sink sink = {
        .arg = &l, .team = take_team, .sums = take_sums, .byok = take_byok, .key = take_key};
    arena_init(&l.mem, NULL, 256u << 20);
    int rc = make_default_team(p) < 0 ? no_memory(&l)
                                      : p->registry->load(p->registry->self, now_ms, &sink, err);
    if (rc == 0)
        put_byok(&l);
    for (uint32_t i = 0; i < l.byok_count; i++)
        if (l.byok[i].byok.secret.len)
            secret_wipe((char *)l.byok[i].byok.secret.ptr, l.byok[i].byok.secret.len);
    free(l.byok);
    arena_reset(&l.mem);
    return rc;
}
