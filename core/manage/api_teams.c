/* Teams: who pays, under which policy. A team of conf.d is shown and not changed. */
#include <stdlib.h>

#include "manage/manage_int.h"

/* As it is set: an empty list would read as if nothing were allowed. */
static void write_allowed(api_out *o, const char *name, const tp_str *list, uint32_t count)
{
    if (count)
        api_list(o, name, list, count);
    else
        api_null(o, name);
}

static void write_policy(api_out *o, const conf_policy *p)
{
    api_open(o, "policy", '{');
    write_allowed(o, "allow_models", p->allow_models, p->allow_model_count);
    api_list(o, "deny_models", p->deny_models, p->deny_model_count);
    write_allowed(o, "allow_providers", p->allow_providers, p->allow_provider_count);
    api_list(o, "deny_providers", p->deny_providers, p->deny_provider_count);
    api_int(o, "min_trust", p->min_trust);
    api_bool(o, "data_local", p->data_local);
    api_close(o, '}');
}

/* Between book_enter and book_leave. */
static void write_team(api_out *o, book_team *team, int64_t keys)
{
    const team_terms *t = atomic_load_explicit(&team->terms, memory_order_acquire);
    int64_t credited = atomic_load_explicit(&team->credited, memory_order_relaxed);
    int64_t used = atomic_load_explicit(&team->used, memory_order_relaxed);
    api_open(o, NULL, '{');
    api_text(o, "id", team->id);
    api_text(o, "name", t->name.len ? t->name : team->id);
    api_bool(o, "active", t->active);
    api_text(o, "billing", t->billing == CONF_POSTPAID ? STR("postpaid") : STR("prepaid"));
    api_text_or_null(o, "tier", t->tier);
    write_policy(o, &t->policy);
    api_bool(o, "configured", t->configured);
    api_open(o, "credits", '{');
    api_money(o, "balance", credited - used);
    api_money(o, "held", atomic_load_explicit(&team->held, memory_order_relaxed));
    api_money(o, "credited", credited);
    api_money(o, "used", used);
    api_close(o, '}');
    api_int(o, "keys", keys);
    api_open(o, "byok", '[');
    for (uint32_t i = 0; i < t->byok_count; i++) {
        api_open(o, NULL, '{');
        api_text(o, "provider", t->byok[i].provider);
        api_text(o, "type", t->byok[i].type);
        api_text_or_null(o, "hint", t->byok[i].hint);
        api_time(o, "created_at", t->byok[i].created_ms);
        api_close(o, '}');
    }
    api_close(o, ']');
    api_time(o, "created_at", t->created_ms);
    api_close(o, '}');
}

/* ---- Lists, in the order of the ids. */
typedef struct team_page {
    tp_str after;
    struct listed_team {
        book_team *team;
        int64_t keys;
    } * teams;
    uint32_t count, room;
} team_page;

static int str_order(tp_str a, tp_str b)
{
    int d = memcmp(a.ptr, b.ptr, TP_MIN(a.len, b.len));
    return d ? d : (a.len > b.len) - (a.len < b.len);
}

static int by_id(const void *a, const void *b)
{
    return str_order(((const struct listed_team *)a)->team->id,
                     ((const struct listed_team *)b)->team->id);
}

static int take_team(void *arg, book_team *t)
{
    team_page *p = arg;
    if (p->after.len && str_order(t->id, p->after) <= 0)
        return 0;
    if (p->count == p->room) {
        uint32_t room = p->room ? p->room * 2 : 64;
        struct listed_team *more = realloc(p->teams, room * sizeof(*more));
        if (!more)
            return -1;
        p->teams = more;
        p->room = room;
    }
    p->teams[p->count++] = (struct listed_team){.team = t};
    return 0;
}

static int count_key(void *arg, book_key *k)
{
    team_page *p = arg;
    const key_terms *t = atomic_load_explicit(&k->terms, memory_order_acquire);
    struct listed_team wanted = {.team = t->team};
    struct listed_team *found =
        t->team && p->count ? bsearch(&wanted, p->teams, p->count, sizeof(wanted), by_id) : NULL;
    if (found)
        found->keys++;
    return 0;
}

int api_teams_list(api_call *c)
{
    book *b = c->p->book;
    team_page p = {.after = c->v[FIELD_CURSOR].text};
    uint32_t limit = c->v[FIELD_PAGE].given ? (uint32_t)c->v[FIELD_PAGE].number : 100;
    tp_str next = STR_NONE;
    api_out o = api_out_of(c);
    book_enter(b);
    o.rc = book_each_team(b, take_team, &p);
    if (p.count)
        qsort(p.teams, p.count, sizeof(*p.teams), by_id);
    if (p.count > limit) {
        p.count = limit;
        next = p.teams[limit - 1].team->id;
    }
    book_each_key(b, count_key, &p);
    api_open(&o, NULL, '{');
    api_open(&o, "data", '[');
    for (uint32_t i = 0; i < p.count; i++)
        write_team(&o, p.teams[i].team, p.teams[i].keys);
    api_close(&o, ']');
    api_text_or_null(&o, "next", next);
    api_close(&o, '}');
    book_leave(b);
    free(p.teams);
    return o.rc;
}

/* ---- One team. */
static int answer_team(api_call *c, tp_str id)
{
    api_out o = api_out_of(c);
    book_enter(c->p->book);
    book_team *team = book_team_of(c->p->book, id);
    if (team) {
        struct listed_team one = {.team = team};
        team_page p = {.teams = &one, .count = 1};
        book_each_key(c->p->book, count_key, &p);
        write_team(&o, team, one.keys);
    }
    book_leave(c->p->book);
    return team ? o.rc : api_not_found(c, "team", id);
}

int api_teams_show(api_call *c)
{
    return answer_team(c, c->parameters[0]);
}

/* A copy of the team as it is now: 1; 0: there is none; -1: out of memory. */
static int copy_team(api_call *c, tp_str id, registry_team *out, int *configured)
{
    int rc = 0;
    book_enter(c->p->book);
    const book_team *team = book_team_of(c->p->book, id);
    const team_terms *t = team ? atomic_load_explicit(&team->terms, memory_order_acquire) : NULL;
    if (t) {
        *out = (registry_team){.active = t->active,
                               .billing = t->billing,
                               .policy = t->policy,
                               .created_ms = t->created_ms};
        *configured = t->configured;
        conf_policy *p = &out->policy;
        rc = api_copy(c, team->id, &out->id) < 0 || api_copy(c, t->name, &out->name) < 0 ||
                     api_copy(c, t->tier, &out->tier) < 0 ||
                     api_copy_list(c, p->allow_models, p->allow_model_count, &p->allow_models) ||
                     api_copy_list(c, p->deny_models, p->deny_model_count, &p->deny_models) ||
                     api_copy_list(c, p->allow_providers, p->allow_provider_count,
                                   &p->allow_providers) ||
                     api_copy_list(c, p->deny_providers, p->deny_provider_count, &p->deny_providers)
                 ? -1
                 : 1;
    }
    book_leave(c->p->book);
    return rc;
}

static void read_list(const api_value *v, tp_str **list, uint32_t *count)
{
    if (!v->given)
        return;
    *list = v->given == 1 ? v->list : NULL;
    *count = v->given == 1 ? v->count : 0;
}

static int read_terms(api_call *c, registry_team *t)
{
    const api_value *v = c->v;
    conf_policy *p = &t->policy;
    if (v[FIELD_NAME].given)
        t->name = v[FIELD_NAME].text;
    if (v[FIELD_ACTIVE].given)
        t->active = (int32_t)v[FIELD_ACTIVE].number;
    if (v[FIELD_BILLING].given)
        t->billing = v[FIELD_BILLING].number ? CONF_POSTPAID : CONF_PREPAID;
    if (v[FIELD_POLICY].given == API_IS_NULL)
        *p = (conf_policy){0};
    read_list(&v[FIELD_ALLOW_MODELS], &p->allow_models, &p->allow_model_count);
    read_list(&v[FIELD_DENY_MODELS], &p->deny_models, &p->deny_model_count);
    read_list(&v[FIELD_ALLOW_PROVIDERS], &p->allow_providers, &p->allow_provider_count);
    read_list(&v[FIELD_DENY_PROVIDERS], &p->deny_providers, &p->deny_provider_count);
    if (v[FIELD_MIN_TRUST].given)
        p->min_trust = v[FIELD_MIN_TRUST].given == 1 ? (int32_t)v[FIELD_MIN_TRUST].number : 0;
    if (v[FIELD_DATA_LOCAL].given)
        p->data_local = v[FIELD_DATA_LOCAL].given == 1 ? (int32_t)v[FIELD_DATA_LOCAL].number : 0;
    if (!v[FIELD_TIER].given)
        return 0;
    t->tier = v[FIELD_TIER].given == 1 ? v[FIELD_TIER].text : STR("");
    return t->tier.len ? api_tier_check(c, t->tier) : 0;
}

static int store_team(api_call *c, const registry_team *t, const char *what)
{
    tp_error err = {0};
    if (c->p->registry->put_team(c->p->registry->self, t, &err) != 0)
        return api_store_down(c, &err);
    if (book_put_team(c->p->book, t) < 0)
        return -1;
    api_log(c, "%s team %.*s", what, STR_ARG(t->id));
    return answer_team(c, t->id);
}

static int id_fits(tp_str id)
{
    for (size_t i = 0; i < id.len; i++) {
        char ch = id.ptr[i];
        int letter = (ch >= 'a' && ch <= 'z') || (ch >= 'A' && ch <= 'Z');
        int mark = ch == '.' || ch == '_' || ch == '-';
        if (!letter && !(ch >= '0' && ch <= '9') && !(mark && i > 0))
            return 0;
    }
    return id.len > 0 && id.len <= REGISTRY_ID;
}

int api_teams_create(api_call *c)
{
    registry_team t = {.active = 1, .billing = CONF_PREPAID, .created_ms = c->r->now.unix_ms};
    t.id = t.name = c->v[FIELD_ID].text;
    if (!id_fits(t.id))
        return api_fail(c, 400, "invalid_value", "id",
                        "'id' must be 1 to %u of letters, digits, '.', '_' and '-', and begin with "
                        "a letter or digit.",
                        REGISTRY_ID);
    book_enter(c->p->book);
    int there = book_team_of(c->p->book, t.id) != NULL;
    book_leave(c->p->book);
    if (there)
        return api_fail(c, 409, "exists", "id", "There is a team '%.*s' already.", STR_ARG(t.id));
    int rc = read_terms(c, &t);
    rc = rc ? rc : store_team(c, &t, "made");
    if (rc == 0)
        rc = api_header(c, "location",
                        arena_printf(c->mem, "%.*s/%.*s", STR_ARG(c->r->path), STR_ARG(t.id)));
    return rc;
}

static int is_configured(api_call *c, tp_str id)
{
    for (uint32_t i = 0; i < c->conf->team_count; i++) {
        const conf_place *at = &c->conf->teams[i].place;
        if (str_eq(c->conf->teams[i].id, id) && at->file)
            return api_fail(c, 409, "configured", NULL,
                            "The team '%.*s' is configured in %s:%u: change it there and reload.",
                            STR_ARG(id), at->file, at->line);
    }
    return api_fail(c, 409, "configured", NULL,
                    "The team '%.*s' is configured in conf.d: change it there and reload.",
                    STR_ARG(id));
}

int api_teams_change(api_call *c)
{
    registry_team t;
    int configured = 0;
    int rc = copy_team(c, c->parameters[0], &t, &configured);
    if (rc < 0)
        return -1;
    if (rc == 0)
        return api_not_found(c, "team", c->parameters[0]);
    if (configured)
        return is_configured(c, t.id);
    rc = read_terms(c, &t);
    return rc ? rc : store_team(c, &t, "changed");
}
