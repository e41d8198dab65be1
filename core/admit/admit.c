#include "admit/admit.h"

#include "base/hash.h"
#include "base/str.h"

#define MAX_PRESENTED 512u /* no key is longer: do not hash what cannot match */

static int refuse(const world_route *r, tp_str message, profile_error *e)
{
    /* Surfaces of other services' documents have that document's sentence. */
    int own = !r->surface || r->surface->envelope == CONF_ENVELOPE_OPENAI;
    *e = (profile_error){.status = 401,
                         .type = STR("authentication_error"),
                         .code = STR("invalid_api_key"),
                         .message = own ? message : STR("Invalid or missing API key")};
    return -1;
}

/* "Bearer KEY": the key, or ptr NULL. */
static tp_str bearer(tp_str value)
{
    const tp_str scheme = STR("Bearer");
    value = str_trim(value);
    if (value.len <= scheme.len || !str_ieq(str_make(value.ptr, scheme.len), scheme))
        return STR_NONE;
    tp_str key = str_skip(value, scheme.len);
    if (key.ptr[0] != ' ')
        return STR_NONE;
    key = str_trim(key);
    return key.len && str_find(key, ' ') == key.len ? key : STR_NONE;
}

static const conf_key *key_find(const world *w, tp_str secret)
{
    if (!w->key_count || secret.len > MAX_PRESENTED)
        return NULL;
    hash_key hk = {w->key_hash[0], w->key_hash[1]};
    uint64_t digest = hash_sip(hk, secret.ptr, secret.len);
    uint32_t mask = w->key_count - 1;
    /* The digest is keyed with what only this process knows, so where a look-up ends says nothing
     * about any secret. */
    for (uint32_t i = (uint32_t)digest & mask; w->keys[i].conf; i = (i + 1) & mask)
        if (w->keys[i].digest == digest && str_eq_secret(w->keys[i].conf->secret.value, secret))
            return w->keys[i].conf;
    return NULL;
}

static uint32_t authorizations(const http_head *h)
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < h->header_count; i++)
        n += str_eq(h->headers[i].name, STR("authorization"));
    return n;
}

int admit_check(const world *w, const world_route *r, const http_head *h, admit_principal *who,
                profile_error *e)
{
    tp_str value = h->known[HTTP_H_AUTHORIZATION];
    who->key = NULL;
    if (value.ptr) {
        tp_str secret = authorizations(h) == 1 ? bearer(value) : STR_NONE;
        if (secret.ptr)
            who->key = key_find(w, secret);
        if (who->key || r->is_public) /* a wrong key on a public path is as none */
            return 0;
        if (!secret.ptr)
            return refuse(r,
                          STR("Malformed Authorization header. Send it once, as "
                              "'Authorization: Bearer <key>'."),
                          e);
        return refuse(r, STR("Invalid API key."), e);
    }
    if (r->is_public)
        return 0;
    return refuse(r, STR("Missing API key. Send it as 'Authorization: Bearer <key>'."), e);
}

int admit_may_use(const conf_key *key, tp_str model)
{
    if (!key || key->model_count == 0)
        return 1;
    for (uint32_t i = 0; i < key->model_count; i++)
        if (str_eq(key->models[i], model))
            return 1;
    return 0;
}

int admit_model(const admit_principal *who, tp_str model, arena *a, profile_error *e)
{
    if (admit_may_use(who->key, model))
        return 0;
    tp_str message = arena_printf(a, "Key '%.*s' may not use model '%.*s'.",
                                  STR_ARG(who->key->name), STR_ARG(profile_shown(model)));
    if (!message.ptr)
        message = STR("This key may not use this model.");
    *e = (profile_error){.status = 403,
                         .type = STR("permission_error"),
                         .param = STR("model"),
                         .code = STR("model_not_allowed"),
                         .message = message};
    return -1;
}
