/* Terms are one block: the struct, its lists, then the characters. */
#include <stdlib.h>

#include "admit/book_int.h"

static size_t list_size(const tp_str *list, uint32_t n)
{
    size_t size = n * sizeof(*list);
    for (uint32_t i = 0; i < n; i++)
        size += list[i].len;
    return size;
}

/* Where the next list and the next characters go. */
typedef struct pack {
    tp_str *lists;
    char *chars;
} pack;

static tp_str pack_str(pack *p, tp_str s)
{
    char *at = p->chars;
    if (s.len)
        memcpy(at, s.ptr, s.len);
    p->chars += s.len;
    return str_make(at, s.len);
}

static tp_str *pack_list(pack *p, const tp_str *list, uint32_t n)
{
    tp_str *out = p->lists;
    p->lists += n;
    for (uint32_t i = 0; i < n; i++)
        out[i] = pack_str(p, list[i]);
    return n ? out : NULL;
}

key_terms *key_terms_new(const key_terms *from)
{
    size_t size = sizeof(*from) + list_size(from->models, from->model_count) + from->name.len +
                  from->tier.len + from->created_by.len;
    key_terms *t = malloc(size);
    if (!t)
        return NULL;
    *t = *from;
    pack p = {(tp_str *)(void *)(t + 1), NULL};
    p.chars = (char *)(p.lists + from->model_count);
    t->models = pack_list(&p, from->models, from->model_count);
    t->name = pack_str(&p, from->name);
    t->tier = pack_str(&p, from->tier);
    t->created_by = pack_str(&p, from->created_by);
    return t;
}

team_terms *team_terms_new(const team_terms *from)
{
    const conf_policy *c = &from->policy;
    uint32_t lists = c->allow_model_count + c->deny_model_count + c->allow_provider_count +
                     c->deny_provider_count;
    size_t size = sizeof(*from) + from->byok_count * sizeof(*from->byok) + from->name.len +
                  from->tier.len + list_size(c->allow_models, c->allow_model_count) +
                  list_size(c->deny_models, c->deny_model_count) +
                  list_size(c->allow_providers, c->allow_provider_count) +
                  list_size(c->deny_providers, c->deny_provider_count);
    for (uint32_t i = 0; i < from->byok_count; i++) {
        const book_byok *k = &from->byok[i];
        size += k->provider.len + k->type.len + k->secret.len + k->hint.len;
    }
    team_terms *t = malloc(size);
    if (!t)
        return NULL;
    *t = *from;
    book_byok *byok = (book_byok *)(void *)(t + 1);
    pack p = {(tp_str *)(void *)(byok + from->byok_count), NULL};
    p.chars = (char *)(p.lists + lists);
    t->policy.allow_models = pack_list(&p, c->allow_models, c->allow_model_count);
    t->policy.deny_models = pack_list(&p, c->deny_models, c->deny_model_count);
    t->policy.allow_providers = pack_list(&p, c->allow_providers, c->allow_provider_count);
    t->policy.deny_providers = pack_list(&p, c->deny_providers, c->deny_provider_count);
    t->name = pack_str(&p, from->name);
    t->tier = pack_str(&p, from->tier);
    t->byok = from->byok_count ? byok : NULL;
    for (uint32_t i = 0; i < from->byok_count; i++) {
        const book_byok *k = &from->byok[i];
        byok[i] = (book_byok){.provider = pack_str(&p, k->provider),
                              .type = pack_str(&p, k->type),
                              .secret = pack_str(&p, k->secret),
                              .hint = pack_str(&p, k->hint),
                              .created_ms = k->created_ms};
    }
    return t;
}

void team_terms_free(team_terms *t)
{
    if (!t)
        return;
    for (uint32_t i = 0; i < t->byok_count; i++)
        secret_wipe((char *)(uintptr_t)t->byok[i].secret.ptr, t->byok[i].secret.len);
    free(t);
}

static const conf_limits *tier_limits(const book *b, tp_str name)
{
    static const conf_limits lost = {.requests_per_minute = BOOK_LOST_TIER};
    if (!name.len)
        return NULL;
    for (uint32_t i = 0; i < b->tier_count; i++)
        if (str_eq(b->tiers[i].name, name))
            return &b->tiers[i].limits;
    return &lost;
}

static int64_t first_said(int64_t own, const conf_limits *tier, int64_t of_tier, int64_t most)
{
    int64_t v = own >= 0 ? own : tier ? of_tier : 0;
    return TP_MIN(TP_MAX(v, 0), most);
}

conf_limits book_in_force(const book *b, const key_terms *t)
{
    static const conf_limits none = {0};
    const team_terms *team =
        t->team ? atomic_load_explicit(&t->team->terms, memory_order_acquire) : NULL;
    const conf_limits *tier = tier_limits(b, t->tier);
    if (!tier && team)
        tier = tier_limits(b, team->tier);
    const conf_limits *l = tier ? tier : &none;
    return (conf_limits){
        .requests_per_minute =
            first_said(t->limits.requests_per_minute, tier, l->requests_per_minute, 16000000),
        .tokens_per_minute = first_said(t->limits.tokens_per_minute, tier, l->tokens_per_minute,
                                        INT64_C(16000000000)),
        .concurrency = first_said(t->limits.concurrency, tier, l->concurrency, 1000000)};
}
