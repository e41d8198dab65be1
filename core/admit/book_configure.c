/* What a configuration says of tiers, teams and static keys. */
#include <stdlib.h>

#include "admit/book_int.h"

static int put_tiers(book *b, const conf *c)
{
    size_t size = c->tier_count * sizeof(conf_tier);
    for (uint32_t i = 0; i < c->tier_count; i++)
        size += c->tiers[i].name.len;
    conf_tier *tiers = calloc(1, size + 1);
    if (!tiers)
        return -1;
    char *at = (char *)(tiers + c->tier_count);
    for (uint32_t i = 0; i < c->tier_count; i++) {
        tp_str name = c->tiers[i].name;
        str_copy(at, name.ptr, name.len);
        tiers[i].name = str_make(at, name.len);
        tiers[i].limits = c->tiers[i].limits;
        at += name.len;
    }
    free(b->tiers);
    b->tiers = tiers;
    b->tier_count = c->tier_count;
    return 0;
}

static int put_team(book *b, const conf_team *c)
{
    team_int *t = book_team_make(b, c->id);
    if (!t)
        return -1;
    const team_terms *now = atomic_load_explicit(&t->team.terms, memory_order_relaxed);
    team_terms from = {.name = c->name.len ? c->name : c->id,
                       .tier = c->tier,
                       .active = c->active,
                       .billing = c->billing,
                       .configured = 1,
                       .policy = c->policy,
                       .byok = now->byok,
                       .byok_count = now->byok_count,
                       .created_ms = t->row ? t->row->created_ms : 0};
    t->mark = b->mark;
    return book_team_apply(b, t, &from);
}

/* A team that the configuration had and has no longer: as the registry says, else inactive. */
static int drop_team(book *b, team_int *t)
{
    const team_terms *now = atomic_load_explicit(&t->team.terms, memory_order_relaxed);
    if (!now->configured || t->mark == b->mark)
        return 0;
    team_terms from = t->row ? *t->row : *now;
    from.byok = now->byok;
    from.byok_count = now->byok_count;
    from.configured = 0;
    if (!t->row)
        from.active = 0;
    return book_team_apply(b, t, &from);
}

static int put_static(book *b, const conf_key *c, int64_t now_ms)
{
    book_team *team = NULL;
    if (c->team.len) { /* perhaps the registry will bring it: inactive until then */
        team_int *t = book_team_make(b, c->team);
        if (!t)
            return -1;
        team = &t->team;
    }
    key_terms from = {.name = c->name,
                      .tier = c->tier,
                      .created_by = STR("configuration"),
                      .team = team,
                      .models = c->models,
                      .model_count = c->model_count,
                      .role = c->role,
                      .fixed = 1,
                      .spend_period = REGISTRY_TOTAL,
                      .spend_limit_nano = -1,
                      .limits = c->limits};
    key_int *k = table_find(b, &b->by_name, c->name);
    if (!k) {
        tp_str head = BOOK_STATIC;
        size_t n = head.len + c->name.len;
        char *id = malloc(n);
        if (!id)
            return -1;
        memcpy(id, head.ptr, head.len);
        memcpy(id + head.len, c->name.ptr, c->name.len);
        k = book_key_make(b, str_make(id, n), c->name, STR_NONE, &from, 0, now_ms);
        free(id);
        if (!k)
            return -1;
    } else if (book_key_apply(b, k, &from) < 0) {
        return -1;
    }
    k->mark = b->mark;
    return 0;
}

static int configure(book *b, const conf *c, int64_t now_ms)
{
    b->mark++;
    if (put_tiers(b, c) < 0)
        return -1;
    for (uint32_t i = 0; i < c->team_count; i++)
        if (put_team(b, &c->teams[i]) < 0)
            return -1;
    for (team_int *t = b->first_team; t; t = t->next)
        if (drop_team(b, t) < 0)
            return -1;
    for (uint32_t i = 0; i < c->key_count; i++) {
        const conf_key *k = &c->keys[i];
        if (k->enabled && k->secret.value.len && book_static_needs(k) &&
            put_static(b, k, now_ms) < 0)
            return -1;
    }
    for (key_int *k = b->first, *next; k; k = next) {
        next = k->next;
        if (k->fixed && k->mark != b->mark)
            book_key_unlink(b, k);
    }
    return book_refresh(b, NULL);
}

int book_configure(book *b, const conf *c, int64_t now_ms)
{
    pthread_mutex_lock(&b->lock);
    int rc = configure(b, c, now_ms);
    book_reclaim(b, UINT32_MAX);
    pthread_mutex_unlock(&b->lock);
    return rc;
}
