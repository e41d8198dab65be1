/* Provider keys of a team's own: sealed in the store, in the clear in memory only, shown to nobody.
 */
#include "manage/manage_int.h"

#define HINT 4u
#define HINT_FROM 16u /* shorter secrets show nothing of themselves */

tp_str api_byok_bound(arena *a, tp_str team, tp_str provider, tp_str type)
{
    size_t n = team.len + provider.len + type.len + 2;
    char *p = arena_alloc(a, n);
    if (!p)
        return STR_NONE;
    memcpy(p, team.ptr, team.len);
    p[team.len] = 0;
    memcpy(p + team.len + 1, provider.ptr, provider.len);
    p[team.len + 1 + provider.len] = 0;
    memcpy(p + team.len + provider.len + 2, type.ptr, type.len);
    return str_make(p, n);
}

static tp_str type_of(const api_call *c)
{
    return c->v[FIELD_TYPE].given && c->v[FIELD_TYPE].number == 1 ? STR("codestral")
                                                                  : STR("api_key");
}

static void write_byok(api_out *o, tp_str provider, tp_str type, tp_str hint, int64_t created_ms)
{
    api_open(o, NULL, '{');
    api_text(o, "provider", provider);
    api_text(o, "type", type);
    api_text_or_null(o, "hint", hint);
    api_time(o, "created_at", created_ms);
    api_close(o, '}');
}

int api_byok_list(api_call *c)
{
    api_out o = api_out_of(c);
    book_enter(c->p->book);
    const book_team *team = book_team_of(c->p->book, c->parameters[0]);
    const team_terms *t = team ? atomic_load_explicit(&team->terms, memory_order_acquire) : NULL;
    api_open(&o, NULL, '{');
    api_open(&o, "data", '[');
    for (uint32_t i = 0; t && i < t->byok_count; i++)
        write_byok(&o, t->byok[i].provider, t->byok[i].type, t->byok[i].hint,
                   t->byok[i].created_ms);
    api_close(&o, ']');
    api_null(&o, "next");
    api_close(&o, '}');
    book_leave(c->p->book);
    return t ? o.rc : api_not_found(c, "team", c->parameters[0]);
}

/* The team's provider keys without the one of that provider and type, and room for one more: 1 and
 * the list; 0: no such team; -1: out of memory. *found: the one was there. */
static int others(api_call *c, tp_str team_id, tp_str provider, tp_str type, book_byok **list,
                  uint32_t *count, int *found)
{
    int rc = 0;
    *count = 0;
    *found = 0;
    book_enter(c->p->book);
    const book_team *team = book_team_of(c->p->book, team_id);
    const team_terms *t = team ? atomic_load_explicit(&team->terms, memory_order_acquire) : NULL;
    if (t) {
        *list = arena_alloc(c->mem, (t->byok_count + 1) * sizeof(**list));
        rc = *list ? 1 : -1;
    }
    for (uint32_t i = 0; rc > 0 && i < t->byok_count; i++) {
        const book_byok *have = &t->byok[i];
        if (str_eq(have->provider, provider) && str_eq(have->type, type)) {
            *found = 1;
            continue;
        }
        book_byok *b = &(*list)[(*count)++];
        b->created_ms = have->created_ms;
        if (api_copy(c, have->provider, &b->provider) < 0 ||
            api_copy(c, have->type, &b->type) < 0 || api_copy(c, have->secret, &b->secret) < 0 ||
            api_copy(c, have->hint, &b->hint) < 0)
            rc = -1;
    }
    book_leave(c->p->book);
    return rc;
}

static void wipe(book_byok *list, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++)
        if (list[i].secret.len)
            secret_wipe((char *)list[i].secret.ptr, list[i].secret.len);
}

static int provider_known(api_call *c, tp_str name)
{
    api_guess g = {.wanted = name};
    for (uint32_t i = 0; i < c->conf->provider_count; i++) {
        if (str_eq(c->conf->providers[i].name, name))
            return 0;
        api_guess_offer(&g, c->conf->providers[i].name);
    }
    tp_str shown = profile_shown(name);
    return api_fail(c, 400, "unknown_provider", "provider",
                    "There is no provider '%.*s' in the configuration%s", STR_ARG(shown),
                    api_guess_say(c, &g));
}

/* A key is one word; a credential document, which begins with '{', may have spaces. */
static int printable(tp_str s)
{
    int document = s.len && s.ptr[0] == '{';
    for (size_t i = 0; i < s.len; i++)
        if ((s.ptr[i] < 0x21 || s.ptr[i] > 0x7e) && !(document && s.ptr[i] == ' '))
            return 0;
    return 1;
}

static int seal(api_call *c, registry_byok *row, tp_str secret)
{
    tp_str bound = api_byok_bound(c->mem, row->team, row->provider, row->type);
    unsigned char *sealed = arena_alloc(c->mem, secret.len + SECRET_SEAL);
    if (!bound.ptr || !sealed)
        return -1;
    size_t n = secret_seal(c->p->master, bound, secret, sealed);
    row->sealed = str_make((const char *)sealed, n);
    return n ? 0 : -1;
}

/* Durable, then in force. list: the others; the new one is added to it. */
static int set(api_call *c, const registry_byok *row, tp_str secret, book_byok *list,
               uint32_t count)
{
    tp_error err = {0};
    if (c->p->registry->put_byok(c->p->registry->self, row, &err) != 0)
        return api_store_down(c, &err);
    list[count] = (book_byok){.provider = row->provider,
                              .type = row->type,
                              .secret = secret,
                              .hint = row->hint,
                              .created_ms = row->created_ms};
    if (book_put_byok(c->p->book, row->team, list, count + 1) < 0)
        return -1;
    api_log(c, "set the provider key %.*s (%.*s) of team %.*s", STR_ARG(row->provider),
            STR_ARG(row->type), STR_ARG(row->team));
    api_out o = api_out_of(c);
    write_byok(&o, row->provider, row->type, row->hint, row->created_ms);
    return o.rc;
}

int api_byok_set(api_call *c)
{
    tp_str secret = c->v[FIELD_SECRET].text;
    registry_byok row = {.team = c->parameters[0],
                         .provider = c->parameters[1],
                         .type = type_of(c),
                         .created_ms = c->r->now.unix_ms};
    book_byok *list = NULL;
    uint32_t count = 0;
    int found;
    int rc = provider_known(c, row.provider);
    if (rc)
        return rc;
    if (!printable(secret))
        return api_fail(c, 400, "invalid_value", "key",
                        "'key' must be 1 to 4096 printable ASCII characters without spaces, or a "
                        "JSON document of that size on one line.");
    if (!c->p->master)
        return api_fail(c, 503, "no_master_key", NULL,
                        "There is no master key to encrypt provider keys with: set "
                        "admission.master_key and start the gateway again.");
    rc = others(c, row.team, row.provider, row.type, &list, &count, &found);
    if (rc < 0)
        return -1;
    if (rc == 0)
        return api_not_found(c, "team", row.team);
    row.hint = secret.len >= HINT_FROM && secret.ptr[0] != '{' ? str_skip(secret, secret.len - HINT) : STR("");
    rc = seal(c, &row, secret);
    rc = rc ? rc : set(c, &row, secret, list, count);
    wipe(list, count);
    return rc;
}

int api_byok_remove(api_call *c)
{
    tp_str team = c->parameters[0], provider = c->parameters[1], type = type_of(c);
    book_byok *list = NULL;
    uint32_t count = 0;
    int found;
    tp_error err = {0};
    int rc = others(c, team, provider, type, &list, &count, &found);
    if (rc < 0)
        return -1;
    if (rc == 0)
        return api_not_found(c, "team", team);
    rc = c->p->registry->remove_byok(c->p->registry->self, team, provider, type, &err);
    if (rc == TP_ERROR_NOT_FOUND && !found) {
        rc = api_not_found(c, "provider key", provider);
    } else if (rc != 0 && rc != TP_ERROR_NOT_FOUND) {
        rc = api_store_down(c, &err);
    } else if (book_put_byok(c->p->book, team, list, count) < 0) {
        rc = -1;
    } else {
        api_log(c, "removed the provider key %.*s (%.*s) of team %.*s", STR_ARG(provider),
                STR_ARG(type), STR_ARG(team));
        api_out o = api_out_of(c);
        api_open(&o, NULL, '{');
        api_text(&o, "provider", provider);
        api_text(&o, "type", type);
        api_bool(&o, "deleted", 1);
        api_close(&o, '}');
        rc = o.rc;
    }
    wipe(list, count);
    return rc;
}
