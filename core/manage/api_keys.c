/* Keys: listed, shown, made, changed, revoked; under <base>/keys, <base>/auth and /admin/keys. The
 * secret is in the answer to its making and nowhere else. */
#include <stdlib.h>

#include "manage/manage_int.h"

#define KEYS_A_TEAM 50000u /* most keys of one team */
#define DEFAULT_PREFIX STR("tp_live_")
#define DEFAULT_RATE 60 /* requests a minute, where no surface says another figure */

static int is_admin_mount(const api_call *c)
{
    return c->row->mount == WORLD_ADMIN;
}

/* ---- What a key looks like. */
static void write_limits(api_out *o, const conf_limits *l)
{
    api_int_or_null(o, "rate_limit", l->requests_per_minute > 0 ? l->requests_per_minute : -1);
    api_int_or_null(o, "tokens_per_minute", l->tokens_per_minute > 0 ? l->tokens_per_minute : -1);
    api_int_or_null(o, "concurrency", l->concurrency > 0 ? l->concurrency : -1);
}

static tp_str role_name(int32_t role)
{
    return role == CONF_ROLE_ADMIN        ? STR("admin")
           : role == CONF_ROLE_MANAGEMENT ? STR("management")
                                          : STR("inference");
}

static void write_hint(api_out *o, api_call *c, const char *name, const key_terms *t)
{
    tp_str hint = t->lookup.len ? arena_cat(c->mem, t->lookup, STR("...")) : STR_NONE;
    api_text_or_null(o, name, hint);
}

/* The members of a key; the braces are the caller's. Between book_enter and book_leave. */
static void write_key(api_out *o, api_call *c, const book_key *k)
{
    const key_terms *t = atomic_load_explicit(&k->terms, memory_order_acquire);
    int admin = is_admin_mount(c), period = t->spend_period;
    api_text(o, "id", k->id);
    api_text(o, "name", t->name);
    write_hint(o, c, "hint", t);
    api_text_or_null(o, "team", t->team ? t->team->id : STR_NONE);
    api_text(o, "role", role_name(t->role));
    write_limits(o, &t->in_force);
    api_text_or_null(o, "tier", t->tier);
    if (t->model_count)
        api_list(o, "models", t->models, t->model_count);
    else
        api_null(o, "models");
    api_money_as(o, admin, "limit", t->spend_limit_nano, t->spend_limit_nano >= 0);
    api_text_or_null(o, "limit_reset",
                     period == REGISTRY_DAILY     ? STR("daily")
                     : period == REGISTRY_MONTHLY ? STR("monthly")
                                                  : STR_NONE);
    api_money_as(o, admin, "usage", book_spent(k, c->r->now.unix_ms, NULL), 1);
    api_bool(o, "disabled", t->disabled);
    api_time(o, "created_at", t->created_ms);
    api_time(o, "expires_at", t->expires_ms);
    api_time(o, "last_used_at", atomic_load_explicit(&k->last_used_ms, memory_order_relaxed));
    if (admin) {
        api_text_or_null(o, "created_by", t->created_by);
        api_bool(o, "configured", t->fixed);
    }
}

/* Answers with the key as it is now; secret (may be empty): of one just made. */
static int answer_key(api_call *c, tp_str id, tp_str secret)
{
    api_out o = api_out_of(c);
    book_enter(c->p->book);
    const book_key *k = book_key_by_id(c->p->book, id);
    api_open(&o, NULL, '{');
    if (k)
        write_key(&o, c, k);
    if (secret.len)
        api_text(&o, "key", secret);
    api_close(&o, '}');
    book_leave(c->p->book);
    return o.rc;
}

/* ---- Lists. */
typedef struct listing {
    api_call *c;
    tp_str team; /* empty: all */
    struct listed {
        const book_key *key;
        int64_t created_ms;
    } * keys;
    uint32_t count, room;
} listing;

static int list_one(void *arg, book_key *k)
{
    listing *l = arg;
    const key_terms *t = atomic_load_explicit(&k->terms, memory_order_acquire);
    if (t->fixed && !is_admin_mount(l->c))
        return 0; /* the configuration's: nothing that these endpoints could change */
    if (l->team.len && !(t->team && str_eq(t->team->id, l->team)))
        return 0;
    if (l->count == l->room)
        return -1;
    l->keys[l->count].key = k;
    l->keys[l->count++].created_ms = t->created_ms;
    return 0;
}

static int str_order(tp_str a, tp_str b)
{
    int d = memcmp(a.ptr, b.ptr, TP_MIN(a.len, b.len));
    return d ? d : (a.len > b.len) - (a.len < b.len);
}

static int by_age(const void *a, const void *b)
{
    const struct listed *x = a, *y = b;
    if (x->created_ms != y->created_ms)
        return x->created_ms < y->created_ms ? -1 : 1;
    return str_order(x->key->id, y->key->id);
}

/* A cursor is "<created>.<id>": it holds also when that key has gone meanwhile. */
static int cursor_of(api_call *c, int64_t *created, tp_str *id)
{
    tp_str s = c->v[FIELD_CURSOR].text;
    size_t dot = str_find(s, '.');
    *created = -1;
    *id = STR_NONE;
    if (!c->v[FIELD_CURSOR].given)
        return 0;
    if (dot >= s.len || str_to_i64(str_make(s.ptr, dot), created) < 0)
        return api_bad_cursor(c);
    *id = str_skip(s, dot + 1);
    return 0;
}

static void write_list(api_out *o, listing *l, int64_t after, tp_str after_id, uint32_t limit)
{
    uint32_t shown = 0, i = 0;
    for (; i < l->count; i++) {
        const struct listed *k = &l->keys[i];
        if (k->created_ms < after ||
            (k->created_ms == after && str_order(k->key->id, after_id) <= 0))
            continue;
        if (shown++ == limit)
            break;
        api_open(o, NULL, '{');
        write_key(o, l->c, k->key);
        api_close(o, '}');
    }
    api_close(o, ']');
    if (!is_admin_mount(l->c))
        return;
    tp_str next = STR_NONE;
    if (i < l->count && i > 0)
        next = arena_printf(l->c->mem, "%lld.%.*s", (long long)l->keys[i - 1].created_ms,
                            STR_ARG(l->keys[i - 1].key->id));
    api_text_or_null(o, "next", next);
}

int api_keys_list(api_call *c)
{
    book *b = c->p->book;
    listing l = {.c = c, .team = c->own};
    int64_t after;
    tp_str after_id;
    int rc = cursor_of(c, &after, &after_id);
    if (rc)
        return rc;
    if (is_admin_mount(c)) {
        tp_str wanted = c->v[FIELD_TEAM].text;
        if (c->role == CONF_ROLE_ADMIN)
            l.team = wanted;
        else if (wanted.len && !str_eq(wanted, c->own))
            return api_not_found(c, "team", wanted);
    }
    uint32_t limit = is_admin_mount(c) ? 100 : UINT32_MAX - 1;
    if (c->v[FIELD_PAGE].given)
        limit = (uint32_t)c->v[FIELD_PAGE].number;
    api_out o = api_out_of(c);
    book_enter(b);
    l.room = book_key_count(b);
    l.keys = malloc((l.room ? l.room : 1) * sizeof(*l.keys));
    if (l.keys && (l.team.len || is_admin_mount(c))) /* nobody's team has no keys */
        book_each_key(b, list_one, &l);
    /* A team that a snippet took away is not there, but its keys are. */
    int nobody = is_admin_mount(c) && c->role == CONF_ROLE_ADMIN && l.team.len && !l.count &&
                 !book_team_of(b, l.team);
    if (l.keys && !nobody) {
        qsort(l.keys, l.count, sizeof(*l.keys), by_age);
        api_open(&o, NULL, '{');
        api_open(&o, "data", '[');
        write_list(&o, &l, after, after_id, limit);
        api_close(&o, '}');
    }
    book_leave(b);
    rc = l.keys ? o.rc : -1;
    free(l.keys);
    return rc == 0 && nobody ? api_not_found(c, "team", l.team) : rc;
}

/* ---- One key. */
/* 0 and *k: a key that the caller may see. */
static int find_key(api_call *c, api_key_row *k)
{
    int rc = api_key_get(c, c->parameters[0], k);
    if (rc < 0)
        return -1;
    /* As the list has it: the configuration's keys stand in the admin API only. */
    int own = c->own.len && rc && str_eq(k->k.team, c->own) && (is_admin_mount(c) || !k->fixed);
    int anyone = is_admin_mount(c) && c->role == CONF_ROLE_ADMIN;
    if (rc == 0 || !(anyone || own))
        return api_not_found(c, "key", c->parameters[0]);
    return 0;
}

/* The same, for a change. */
static int find_changeable(api_call *c, api_key_row *k)
{
    int rc = find_key(c, k);
    if (rc)
        return rc;
    if (k->fixed)
        return api_fail(c, 409, "configured", NULL,
                        "'%.*s' is a static key of conf.d (admission.static_keys): change it there "
                        "and reload.",
                        STR_ARG(k->k.id));
    if (k->k.role > c->role)
        return api_fail(c, 403, "insufficient_role", NULL,
                        "'%.*s' has the role '%.*s', which is above the one that was presented.",
                        STR_ARG(k->k.id), STR_ARG(role_name(k->k.role)));
    return 0;
}

int api_keys_show(api_call *c)
{
    api_key_row k;
    int rc = find_key(c, &k);
    return rc ? rc : answer_key(c, k.k.id, STR_NONE);
}

int api_keys_remove(api_call *c)
{
    api_key_row k;
    tp_error err = {0};
    int rc = find_changeable(c, &k);
    if (rc)
        return rc;
    rc = c->p->registry->remove_key(c->p->registry->self, k.k.id, &err);
    if (rc != 0 && rc != TP_ERROR_NOT_FOUND)
        return api_store_down(c, &err);
    book_remove_key(c->p->book, k.k.id);
    api_log(c, "revoked key %.*s of team %.*s", STR_ARG(k.k.id), STR_ARG(k.k.team));
    api_out o = api_out_of(c);
    api_open(&o, NULL, '{');
    api_text(&o, "id", k.k.id);
    api_bool(&o, "deleted", 1);
    api_close(&o, '}');
    return o.rc;
}

/* ---- Terms, from what was given. A null is the default, as on creation. */
typedef struct key_defaults {
    tp_str prefix, tier;
    int64_t rate; /* requests a minute of a key that no tier says anything of */
} key_defaults;

static int has_team_tier(api_call *c, tp_str id)
{
    book_enter(c->p->book);
    const book_team *t = book_team_of(c->p->book, id);
    int has = t && atomic_load_explicit(&t->terms, memory_order_acquire)->tier.len > 0;
    book_leave(c->p->book);
    return has;
}

static int64_t number_or(const api_value *v, int64_t none)
{
    return v->given == 1 ? v->number : none;
}

static int read_terms(api_call *c, registry_key *k, const key_defaults *d, int is_new)
{
    const api_value *v = c->v;
    if (v[FIELD_TIER].given || is_new)
        k->tier = v[FIELD_TIER].given == 1 ? v[FIELD_TIER].text : d->tier;
    if (v[FIELD_TIER].given == 1) {
        int rc = api_tier_check(c, k->tier);
        if (rc)
            return rc;
    }
    /* A key has a tier or a rate of its own: what is set last counts. */
    int moved =
        v[FIELD_TIER].given == 1 || (v[FIELD_TIER].given && k->limits.requests_per_minute < 0);
    if (v[FIELD_RATE_LIMIT].given || is_new || moved)
        k->limits.requests_per_minute = number_or(
            &v[FIELD_RATE_LIMIT], k->tier.len || has_team_tier(c, k->team) ? -1 : d->rate);
    if (v[FIELD_TOKENS].given || is_new)
        k->limits.tokens_per_minute = number_or(&v[FIELD_TOKENS], -1);
    if (v[FIELD_CONCURRENCY].given || is_new)
        k->limits.concurrency = number_or(&v[FIELD_CONCURRENCY], -1);
    if (v[FIELD_LIMIT].given || is_new)
        k->spend_limit_nano = number_or(&v[FIELD_LIMIT], -1);
    if (v[FIELD_LIMIT_RESET].given || is_new || v[FIELD_LIMIT].given == API_IS_NULL)
        k->spend_period = v[FIELD_LIMIT_RESET].given == 1
                              ? REGISTRY_DAILY + (int32_t)v[FIELD_LIMIT_RESET].number
                              : REGISTRY_TOTAL;
    if (v[FIELD_EXPIRES_IN].given)
        k->expires_ms = v[FIELD_EXPIRES_IN].given == 1
                            ? c->r->now.unix_ms + v[FIELD_EXPIRES_IN].number * 1000
                            : 0;
    if (v[FIELD_MODELS].given) {
        k->models = v[FIELD_MODELS].list;
        k->model_count = v[FIELD_MODELS].given == 1 ? v[FIELD_MODELS].count : 0;
    }
    if (v[FIELD_NAME].given)
        k->name = v[FIELD_NAME].text;
    if (v[FIELD_DISABLED].given)
        k->disabled = (int32_t)v[FIELD_DISABLED].number;
    if (k->spend_period != REGISTRY_TOTAL && k->spend_limit_nano < 0)
        return api_fail(c, 400, "invalid_value", "limit_reset",
                        "'limit_reset' says when 'limit' begins anew: give a 'limit' too.");
    return 0;
}

static const conf_surface *surface_named(const conf *cf, tp_str name)
{
    for (uint32_t i = 0; i < cf->surface_count; i++)
        if (str_eq(cf->surfaces[i].name, name))
            return &cf->surfaces[i];
    return NULL;
}

/* Is it the shape of a prefix that secret_parse knows? */
static int prefix_fits(tp_str p)
{
    for (size_t i = 0; i < p.len; i++) {
        char ch = p.ptr[i];
        if (!((ch >= 'a' && ch <= 'z') || (ch >= '0' && ch <= '9') || ch == '_'))
            return 0;
    }
    return p.len >= 2 && p.len <= SECRET_PREFIX && p.ptr[p.len - 1] == '_';
}

/* Where no surface is named, that of the prefix tells how much is usual. */
static int64_t usual_rate(const conf *cf, tp_str prefix)
{
    for (uint32_t i = 0; i < cf->surface_count; i++)
        if (str_eq(cf->surfaces[i].key_prefix, prefix))
            return cf->surfaces[i].key_limit;
    return DEFAULT_RATE;
}

static void defaults_of(const conf *cf, const conf_surface *s, key_defaults *d)
{
    *d = (key_defaults){.prefix = DEFAULT_PREFIX};
    if (s && s->key_prefix.len)
        d->prefix = s->key_prefix;
    if (s)
        d->tier = s->key_tier;
    d->rate = s ? s->key_limit : usual_rate(cf, d->prefix);
}

static int read_defaults(api_call *c, key_defaults *d)
{
    const conf_surface *s = c->surface;
    tp_str name = c->v[FIELD_SURFACE].text, prefix = c->v[FIELD_PREFIX].text;
    if (name.len && !(s = surface_named(c->conf, name))) {
        api_guess g = {.wanted = name};
        for (uint32_t i = 0; i < c->conf->surface_count; i++)
            api_guess_offer(&g, c->conf->surfaces[i].name);
        return api_fail(c, 400, "invalid_value", "surface", "There is no surface '%.*s'%s",
                        STR_ARG(name), api_guess_say(c, &g));
    }
    defaults_of(c->conf, s, d);
    if (!prefix.len)
        return 0;
    d->prefix = prefix;
    if (!s)
        d->rate = usual_rate(c->conf, prefix);
    return prefix_fits(prefix)
               ? 0
               : api_fail(c, 400, "invalid_value", "prefix",
                          "'prefix' must be 2 to %u lower-case letters, digits and '_', and end in "
                          "'_', such as tp_live_.",
                          SECRET_PREFIX);
}

/* ---- Making one. */
static int count_one(void *arg, book_key *k)
{
    listing *l = arg;
    const key_terms *t = atomic_load_explicit(&k->terms, memory_order_acquire);
    l->count += !t->fixed && t->team && str_eq(t->team->id, l->team);
    return 0;
}

/* 0; 1: answered: no such team, or it has too many keys. */
static int team_takes_one(api_call *c, tp_str team)
{
    listing l = {.team = team};
    book_enter(c->p->book);
    int there = book_team_of(c->p->book, team) != NULL;
    if (there)
        book_each_key(c->p->book, count_one, &l);
    book_leave(c->p->book);
    if (!there)
        return api_fail(c, 400, "unknown_team", "team", "There is no team '%.*s'.", STR_ARG(team));
    if (l.count >= KEYS_A_TEAM)
        return api_fail(c, 409, "too_many_keys", NULL,
                        "The team '%.*s' has %u keys, which is the most: revoke some first.",
                        STR_ARG(team), l.count);
    return 0;
}

static int read_team(api_call *c, registry_key *k)
{
    tp_str wanted = c->v[FIELD_TEAM].text;
    k->team = c->own;
    if (wanted.len && c->role != CONF_ROLE_ADMIN && !str_eq(wanted, c->own))
        return api_not_found(c, "team", wanted);
    if (is_admin_mount(c) && c->role == CONF_ROLE_ADMIN)
        k->team = API_DEFAULT_TEAM;
    if (wanted.len)
        k->team = wanted;
    if (!k->team.len)
        return api_fail(c, 403, "no_team", NULL,
                        "The key that was presented belongs to no team, so it cannot make keys.");
    return team_takes_one(c, k->team);
}

static int read_role(api_call *c, registry_key *k)
{
    const api_value *v = &c->v[is_admin_mount(c) ? FIELD_ANY_ROLE : FIELD_ROLE];
    k->role = CONF_ROLE_INFERENCE + (int32_t)number_or(v, 0);
    if (k->role <= c->role)
        return 0;
    return api_fail(c, 403, "insufficient_role", "role",
                    "A key with the role '%.*s' can only be made by one that has it.",
                    STR_ARG(role_name(k->role)));
}

/* A secret of that prefix, and what is kept of it. 0, or -1. */
static int make_secret(api_call *c, tp_str prefix, char secret[SECRET_MAX], size_t *len,
                       registry_key *k)
{
    char argon2[SECRET_ARGON2];
    const secret_pepper *pepper = book_pepper(c->p->book);
    *len = secret_make(prefix, secret);
    tp_str whole = str_make(secret, *len), lookup;
    if (*len == 0 || !secret_parse(whole, &lookup) || secret_argon2(whole, argon2) < 0)
        return -1;
    secret_mac *mac = secret_mac_new(pepper);
    if (!mac)
        return -1;
    secret_mac_of(mac, whole, k->hmac);
    secret_mac_free(mac);
    memcpy(k->pepper_id, pepper->id, sizeof(k->pepper_id));
    return api_copy(c, lookup, &k->lookup) < 0 || api_copy(c, str_of(argon2), &k->argon2) < 0 ? -1
                                                                                              : 0;
}

/* Durable, then in force; answers the secret. */
static int store_new(api_call *c, registry_key *k, tp_str prefix)
{
    const registry_port *store = c->p->registry;
    char secret[SECRET_MAX], id[SECRET_ID];
    size_t len = 0;
    tp_error err = {0};
    int rc = TP_ERROR_EXISTS;
    secret_make_id(id);
    k->id = str_make(id, SECRET_ID);
    for (int tries = 0; tries < 3 && rc == TP_ERROR_EXISTS; tries++) {
        if (make_secret(c, prefix, secret, &len, k) < 0)
            return -1;
        rc = store->put_key(store->self, k, &err);
    }
    if (rc != 0)
        return api_store_down(c, &err);
    if (book_put_key(c->p->book, k, 0, c->r->now.unix_ms) < 0)
        return -1;
    api_log(c, "made key %.*s (%.*s) of team %.*s", STR_ARG(k->id), STR_ARG(role_name(k->role)),
            STR_ARG(k->team));
    rc = answer_key(c, k->id, str_make(secret, len));
    secret_wipe(secret, sizeof(secret));
    if (rc == 0)
        rc = api_header(c, "location",
                        arena_printf(c->mem, "%.*s/%.*s", STR_ARG(c->r->path), STR_ARG(k->id)));
    return rc;
}

int api_keys_create(api_call *c)
{
    registry_key k = {.created_ms = c->r->now.unix_ms, .created_by = c->actor};
    key_defaults d;
    int rc = read_team(c, &k);
    rc = rc ? rc : read_role(c, &k);
    rc = rc ? rc : read_defaults(c, &d);
    rc = rc ? rc : read_terms(c, &k, &d, 1);
    /* A management key may make any under /keys, and so may a session of one. */
    if (rc == 0 && c->row->mount == WORLD_AUTH && c->role == CONF_ROLE_INFERENCE)
        rc = api_key_bound(c, &k);
    return rc ? rc : store_new(c, &k, d.prefix);
}

int api_keys_change(api_call *c)
{
    const registry_port *store = c->p->registry;
    api_key_row k;
    key_defaults d;
    tp_error err = {0};
    int rc = find_changeable(c, &k);
    defaults_of(c->conf, c->surface, &d);
    rc = rc ? rc : read_terms(c, &k.k, &d, 0);
    if (rc)
        return rc;
    if (store->put_key(store->self, &k.k, &err) != 0)
        return api_store_down(c, &err);
    if (book_put_key(c->p->book, &k.k, 0, c->r->now.unix_ms) < 0)
        return -1;
    api_log(c, "changed key %.*s of team %.*s", STR_ARG(k.k.id), STR_ARG(k.k.team));
    return answer_key(c, k.k.id, STR_NONE);
}

/* ---- Of the key that asks. */
int api_key_self(api_call *c)
{
    api_out o = api_out_of(c);
    book_enter(c->p->book);
    const book_key *k = c->key_id.len ? book_key_by_id(c->p->book, c->key_id) : NULL;
    const key_terms *t = k ? atomic_load_explicit(&k->terms, memory_order_acquire) : NULL;
    int64_t held = 0, spent = k ? book_spent(k, c->r->now.unix_ms, &held) : 0;
    int64_t limit = t ? t->spend_limit_nano : -1;
    int64_t rate = t ? t->in_force.requests_per_minute : 0;
    api_open(&o, NULL, '{');
    api_open(&o, "data", '{');
    if (t && t->lookup.len)
        write_hint(&o, c, "label", t);
    else
        api_text_or_null(&o, "label", t ? t->name : STR_NONE);
    api_text_or_null(&o, "name", t ? t->name : STR_NONE);
    api_money_number(&o, "usage", spent);
    api_money_as(&o, 0, "limit", limit, limit >= 0);
    api_money_as(&o, 0, "limit_remaining", TP_MAX(limit - spent, 0), limit >= 0);
    api_bool(&o, "is_free_tier", 0);
    api_open(&o, "rate_limit", '{');
    api_int(&o, "requests", rate > 0 ? rate : -1);
    api_text(&o, "interval", STR("60s"));
    api_close(&o, '}');
    api_close(&o, '}');
    api_close(&o, '}');
    book_leave(c->p->book);
    return o.rc;
}
