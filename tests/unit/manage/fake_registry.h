/* A registry in memory, for tests of the management API: keeps copies of the rows, can be put into
 * trouble, and counts what it was asked. */
#ifndef FAKE_REGISTRY_H
#define FAKE_REGISTRY_H
#include <stdlib.h>
#include <string.h>

#include "base/str.h"
#include "manage/registry.h"

#define FAKE_ROWS 64

typedef struct fake_registry {
    arena mem; /* owns all strings; rows that are replaced stay in it */
    registry_team teams[FAKE_ROWS];
    registry_key keys[FAKE_ROWS];
    registry_byok byok[FAKE_ROWS];
    ledger_entry entries[FAKE_ROWS];
    settle_record records[FAKE_ROWS];
    uint32_t team_count, key_count, byok_count, entry_count, record_count;
    int64_t spent_day, spent_month, spent_total; /* what load says of each key */
    int down;                                    /* 1: every call answers TP_ERROR_IO */
    int collide;                                 /* so many put_key answer EXISTS first */
    int busy;                                    /* 1: verify and backup answer LIMIT */
    int faults;                                  /* what verify finds */
    uint32_t writes, flushes;
    registry_query asked; /* the last query; strings in mem */
    char backup[256];
    registry_port port;
} fake_registry;

static inline tp_str fake_str(fake_registry *f, tp_str s)
{
    return arena_str(&f->mem, s);
}

static inline int fake_down(const fake_registry *f, tp_error *err)
{
    return f->down ? tp_error_set(err, TP_ERROR_IO, "the disk is full: make room") : 0;
}

static inline tp_str *fake_list(fake_registry *f, tp_str *const in, uint32_t n)
{
    tp_str *list = arena_alloc(&f->mem, n * sizeof(*list));
    for (uint32_t i = 0; i < n; i++)
        list[i] = fake_str(f, in[i]);
    return list;
}

static inline int fake_put_team(void *self, const registry_team *t, tp_error *err)
{
    fake_registry *f = self;
    uint32_t i = 0;
    if (fake_down(f, err))
        return TP_ERROR_IO;
    while (i < f->team_count && !str_eq(f->teams[i].id, t->id))
        i++;
    f->team_count += i == f->team_count;
    registry_team *r = &f->teams[i];
    *r = *t;
    r->id = fake_str(f, t->id);
    r->name = fake_str(f, t->name);
    r->tier = fake_str(f, t->tier);
    conf_policy *p = &r->policy;
    p->allow_models = fake_list(f, p->allow_models, p->allow_model_count);
    p->deny_models = fake_list(f, p->deny_models, p->deny_model_count);
    p->allow_providers = fake_list(f, p->allow_providers, p->allow_provider_count);
    p->deny_providers = fake_list(f, p->deny_providers, p->deny_provider_count);
    f->writes++;
    return 0;
}

static inline registry_key *fake_key(fake_registry *f, tp_str id)
{
    for (uint32_t i = 0; i < f->key_count; i++)
        if (str_eq(f->keys[i].id, id))
            return &f->keys[i];
    return NULL;
}

static inline int fake_put_key(void *self, const registry_key *k, tp_error *err)
{
    fake_registry *f = self;
    if (fake_down(f, err))
        return TP_ERROR_IO;
    if (f->collide > 0) {
        f->collide--;
        return TP_ERROR_EXISTS;
    }
    for (uint32_t i = 0; i < f->key_count; i++)
        if (str_eq(f->keys[i].lookup, k->lookup) && !str_eq(f->keys[i].id, k->id))
            return TP_ERROR_EXISTS;
    registry_key *r = fake_key(f, k->id);
    if (!r)
        r = &f->keys[f->key_count++];
    *r = *k;
    r->id = fake_str(f, k->id);
    r->name = fake_str(f, k->name);
    r->team = fake_str(f, k->team);
    r->lookup = fake_str(f, k->lookup);
    r->tier = fake_str(f, k->tier);
    r->created_by = fake_str(f, k->created_by);
    r->argon2 = fake_str(f, k->argon2);
    r->models = fake_list(f, k->models, k->model_count);
    f->writes++;
    return 0;
}

static inline int fake_remove_key(void *self, tp_str id, tp_error *err)
{
    fake_registry *f = self;
    if (fake_down(f, err))
        return TP_ERROR_IO;
    registry_key *k = fake_key(f, id);
    if (!k)
        return TP_ERROR_NOT_FOUND;
    *k = f->keys[--f->key_count];
    f->writes++;
    return 0;
}

static inline registry_byok *fake_byok(fake_registry *f, tp_str team, tp_str provider, tp_str type)
{
    for (uint32_t i = 0; i < f->byok_count; i++) {
        registry_byok *b = &f->byok[i];
        if (str_eq(b->team, team) && str_eq(b->provider, provider) && str_eq(b->type, type))
            return b;
    }
    return NULL;
}

static inline int fake_put_byok(void *self, const registry_byok *b, tp_error *err)
{
    fake_registry *f = self;
    if (fake_down(f, err))
        return TP_ERROR_IO;
    registry_byok *r = fake_byok(f, b->team, b->provider, b->type);
    if (!r)
        r = &f->byok[f->byok_count++];
    *r = (registry_byok){.team = fake_str(f, b->team),
                         .provider = fake_str(f, b->provider),
                         .type = fake_str(f, b->type),
                         .hint = fake_str(f, b->hint),
                         .sealed = fake_str(f, b->sealed),
                         .created_ms = b->created_ms};
    f->writes++;
    return 0;
}

static inline int fake_remove_byok(void *self, tp_str team, tp_str provider, tp_str type,
                                   tp_error *err)
{
    fake_registry *f = self;
    if (fake_down(f, err))
        return TP_ERROR_IO;
    registry_byok *r = fake_byok(f, team, provider, type);
    if (!r)
        return TP_ERROR_NOT_FOUND;
    *r = f->byok[--f->byok_count];
    f->writes++;
    return 0;
}

static inline int fake_add_entry(void *self, const ledger_entry *e, int64_t *balance, int64_t *seq,
                                 tp_error *err)
{
    fake_registry *f = self;
    int found = 0;
    if (fake_down(f, err))
        return TP_ERROR_IO;
    *balance = 0;
    for (uint32_t i = 0; i < f->entry_count; i++) {
        const ledger_entry *have = &f->entries[i];
        if (!str_eq(have->team, e->team))
            continue;
        *balance += have->nano;
        if (e->reference.len && str_eq(have->reference, e->reference)) {
            *seq = have->seq;
            found = 1;
        }
    }
    if (found)
        return TP_ERROR_EXISTS;
    ledger_entry *r = &f->entries[f->entry_count];
    *r = *e;
    *seq = r->seq = ++f->entry_count;
    *balance += e->nano;
    r->team = fake_str(f, e->team);
    r->generation = fake_str(f, e->generation);
    r->note = fake_str(f, e->note);
    r->actor = fake_str(f, e->actor);
    r->reference = fake_str(f, e->reference);
    f->writes++;
    return 0;
}

static inline int fake_load(void *self, int64_t now_ms, const registry_sink *sink, tp_error *err)
{
    fake_registry *f = self;
    int rc = fake_down(f, err);
    (void)now_ms;
    for (uint32_t i = 0; i < f->team_count && !rc; i++)
        rc = sink->team(sink->arg, &f->teams[i]);
    for (uint32_t i = 0; i < f->entry_count && !rc; i++) {
        registry_sums s = {.team = f->entries[i].team};
        int again = 0;
        for (uint32_t k = 0; k < i; k++)
            again |= str_eq(f->entries[k].team, s.team);
        for (uint32_t k = i; k < f->entry_count && !again; k++)
            if (str_eq(f->entries[k].team, s.team)) {
                if (f->entries[k].kind == LEDGER_SETTLE)
                    s.used -= f->entries[k].nano;
                else
                    s.credited += f->entries[k].nano;
                s.entries++;
            }
        s.credited_news = s.credited;
        s.used_news = s.used;
        rc = again ? 0 : sink->sums(sink->arg, &s);
    }
    for (uint32_t i = 0; i < f->byok_count && !rc; i++)
        rc = sink->byok(sink->arg, &f->byok[i]);
    for (uint32_t i = 0; i < f->key_count && !rc; i++)
        rc = sink->key(sink->arg, &f->keys[i], f->spent_day, f->spent_month, f->spent_total);
    return rc;
}

static inline int fake_generation(void *self, tp_str id,
                                  int (*row)(void *arg, const settle_record *r), void *arg,
                                  tp_error *err)
{
    fake_registry *f = self;
    if (fake_down(f, err))
        return TP_ERROR_IO;
    for (uint32_t i = 0; i < f->record_count; i++)
        if (str_eq(f->records[i].generation, id))
            return row(arg, &f->records[i]);
    return TP_ERROR_NOT_FOUND;
}

static inline void fake_asked(fake_registry *f, const registry_query *q)
{
    f->asked = *q;
    f->asked.team = fake_str(f, q->team);
    f->asked.key = fake_str(f, q->key);
    f->asked.model = fake_str(f, q->model);
    f->asked.provider = fake_str(f, q->provider);
    f->asked.cursor = fake_str(f, q->cursor);
}

static inline int fake_generations(void *self, const registry_query *q,
                                   int (*row)(void *arg, const settle_record *r), void *arg,
                                   char next[64], tp_error *err)
{
    fake_registry *f = self;
    int rc = fake_down(f, err);
    uint32_t given = 0;
    fake_asked(f, q);
    for (uint32_t i = f->record_count; i-- > 0 && !rc;) {
        const settle_record *r = &f->records[i];
        if ((q->team.len && !str_eq(q->team, r->team)) || (q->status && q->status != r->outcome))
            continue;
        if (given++ == q->limit) {
            memcpy(next, "page-2", 7);
            break;
        }
        rc = row(arg, r);
    }
    return rc;
}

static inline int fake_ledger(void *self, const registry_query *q,
                              int (*row)(void *arg, const ledger_entry *e), void *arg,
                              char next[64], tp_error *err)
{
    fake_registry *f = self;
    int rc = fake_down(f, err);
    uint32_t given = 0;
    fake_asked(f, q);
    for (uint32_t i = f->entry_count; i-- > 0 && !rc;) {
        const ledger_entry *e = &f->entries[i];
        if (!str_eq(q->team, e->team) || (q->status && q->status != e->kind))
            continue;
        if (given++ == q->limit) {
            memcpy(next, "page-2", 7);
            break;
        }
        rc = row(arg, e);
    }
    return rc;
}

static inline int fake_busy(const fake_registry *f, tp_error *err)
{
    return f->busy ? tp_error_set(err, TP_ERROR_LIMIT, "2 backups are under way") : 0;
}

static inline int fake_verify(void *self, registry_verdict *out, tp_error *err)
{
    fake_registry *f = self;
    *out = (registry_verdict){0};
    if (f->busy)
        return fake_busy(f, err);
    *out = (registry_verdict){.entries = f->entry_count,
                              .generations = f->record_count,
                              .segments = 1,
                              .teams = f->team_count,
                              .faults = f->faults};
    buf_init(&out->text, 4096);
    if (f->faults)
        buf_adds(&out->text, STR("entry 7: the check sum is wrong\n"));
    return fake_down(f, err);
}

static inline int fake_flush(void *self, tp_error *err)
{
    fake_registry *f = self;
    f->flushes++;
    return fake_down(f, err);
}

static inline int fake_backup(void *self, const char *path, tp_error *err)
{
    fake_registry *f = self;
    size_t n = TP_MIN(strlen(path), sizeof(f->backup) - 1);
    if (f->busy)
        return fake_busy(f, err);
    memcpy(f->backup, path, n);
    f->backup[n] = 0;
    return fake_down(f, err);
}

static inline fake_registry *fake_registry_new(void)
{
    fake_registry *f = calloc(1, sizeof(*f));
    TP_MUST(f);
    arena_init(&f->mem, NULL, 1u << 30);
    f->port = (registry_port){.self = f,
                              .load = fake_load,
                              .put_team = fake_put_team,
                              .put_key = fake_put_key,
                              .remove_key = fake_remove_key,
                              .put_byok = fake_put_byok,
                              .remove_byok = fake_remove_byok,
                              .add_entry = fake_add_entry,
                              .flush = fake_flush,
                              .generation = fake_generation,
                              .generations = fake_generations,
                              .ledger = fake_ledger,
                              .verify = fake_verify,
                              .backup = fake_backup};
    return f;
}

static inline void fake_registry_free(fake_registry *f)
{
    arena_reset(&f->mem);
    free(f);
}
#endif
