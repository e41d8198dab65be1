#include "admit/admit_int.h"
#include "admit/book_int.h"

#define MAX_PRESENTED 512u /* no key is longer: do not hash what cannot match */

/* One request's question, and where the answer goes. */
typedef struct asking {
    const admit_env *env; /* NULL: static keys only, no limits */
    const world *w;
    const world_route *r;
    tp_str address;
    tp_now now;
    admit_principal *who;
    profile_error *e;
} asking;

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

static uint32_t authorizations(const http_head *h)
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < h->header_count; i++)
        n += str_eq(h->headers[i].name, STR("authorization"));
    return n;
}

tp_str admit_presented(const http_head *h)
{
    tp_str value = h->known[HTTP_H_AUTHORIZATION];
    return value.ptr && authorizations(h) == 1 ? bearer(value) : STR_NONE;
}

/* Is a session's cookie among them? Whether it is a good one is not asked here. */
static int has_session(const http_head *h)
{
    const tp_str name = STR("turnpike_session=");
    for (uint32_t i = 0; i < h->header_count; i++) {
        if (!str_eq(h->headers[i].name, STR("cookie")))
            continue;
        tp_str rest = h->headers[i].value;
        while (rest.len) {
            size_t end = str_find(rest, ';');
            if (str_starts(str_trim(str_make(rest.ptr, end)), name))
                return 1;
            rest = str_skip(rest, end + 1);
        }
    }
    return 0;
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

static int64_t address_limit(const asking *a)
{
    return a->env ? a->w->conf->admission.address_requests_per_minute : 0;
}

/* Counts for the address; *token: to give it back. 0, or the refusal. */
static int count_address(const asking *a, uint64_t *token)
{
    window_view *v = &a->who->window;
    if (!address_limit(a) ||
        address_take(a->env->addresses, a->address, address_limit(a), a->now.unix_ms, token, v))
        return 0;
    return admit_refuse_rate(a->r->surface, a->who, v, "requests", "address without a valid key",
                             a->e);
}

static void forget(admit_principal *who)
{
    who->fixed = NULL;
    who->key = NULL;
    who->team = NULL;
    who->role = who->byok_any = 0;
}

/* No key that counts: nobody, where a route asks for none. */
static int nobody(const asking *a, tp_str message, tp_str code)
{
    forget(a->who);
    if (count_address(a, NULL) != 0)
        return ADMIT_REFUSED;
    return a->r->is_public ? ADMIT_OK : admit_refuse_key(a->r, message, code, a->e);
}

static int invalid(const asking *a)
{
    return nobody(a, STR("Invalid API key."), STR("invalid_api_key"));
}

/* ---- A key that proved itself: may it, and is there room? */

/* One of the key's requests more is under way: 1, or 0. */
static int count_in(book_key *k, int64_t limit)
{
    int32_t n = atomic_load_explicit(&k->in_flight, memory_order_relaxed);
    do {
        if (n >= limit)
            return 0;
    } while (!atomic_compare_exchange_weak_explicit(&k->in_flight, &n, n + 1, memory_order_relaxed,
                                                    memory_order_relaxed));
    return 1;
}

static void count_out(admit_principal *who)
{
    if (who->counted)
        atomic_fetch_sub_explicit(&who->key->in_flight, 1, memory_order_relaxed);
    who->counted = 0;
}

static int within_limits(const asking *a, book_key *k, const conf_limits *l)
{
    admit_principal *who = a->who;
    const conf_surface *s = a->r->surface;
    if (l->concurrency > 0) {
        who->counted = count_in(k, l->concurrency);
        if (!who->counted) {
            if (l->requests_per_minute > 0)
                window_look(&k->windows->requests, l->requests_per_minute, a->now.unix_ms,
                            &who->window);
            return admit_refuse_busy(s, who, l->concurrency, a->e);
        }
    }
    if (l->requests_per_minute > 0 &&
        !window_take(&k->windows->requests, l->requests_per_minute, a->now.unix_ms, &who->window)) {
        count_out(who);
        return admit_refuse_rate(s, who, &who->window, "requests", "key", a->e);
    }
    return ADMIT_OK;
}

/* To the second: the figure is for people, and each store would take the cache line away from the
 * other workers. */
static void touch(book_key *k, int64_t now_ms)
{
    int64_t last = atomic_load_explicit(&k->last_used_ms, memory_order_relaxed);
    if (now_ms - last >= 1000 || now_ms < last)
        atomic_store_explicit(&k->last_used_ms, now_ms, memory_order_relaxed);
}

/* who->key is pinned from here on, also when the request is refused: logs name it. */
static int admit_key(const asking *a, book_key *k)
{
    const key_terms *t = atomic_load_explicit(&k->terms, memory_order_acquire);
    const team_terms *team =
        t->team ? atomic_load_explicit(&t->team->terms, memory_order_acquire) : NULL;
    admit_principal *who = a->who;
    if (team && !team->active && a->r->is_public)
        return invalid(a);
    book_pin(k);
    who->key = k;
    who->team = t->team;
    who->role = t->role;
    who->byok_any = team && team->byok_count;
    touch(k, a->now.unix_ms);
    if (team && !team->active) {
        if (t->in_force.requests_per_minute > 0)
            window_look(&k->windows->requests, t->in_force.requests_per_minute, a->now.unix_ms,
                        &who->window);
        return admit_refuse_team(a->r, a->e);
    }
    return within_limits(a, k, &t->in_force);
}

static int admit_static(const asking *a, const conf_key *fixed)
{
    a->who->fixed = fixed;
    a->who->role = fixed->role;
    if (!a->env || !a->env->book || !book_static_needs(fixed))
        return ADMIT_OK;
    book_key *k = book_key_static(a->env->book, fixed->name);
    /* None: this key has just been taken out of the configuration, and limits with it. */
    return k ? admit_key(a, k) : invalid(a);
}

/* The secret is right; what about the key? */
static int admit_stored(const asking *a, book_key *k)
{
    const key_terms *t = atomic_load_explicit(&k->terms, memory_order_acquire);
    if (atomic_load_explicit(&k->revoked, memory_order_acquire) || t->disabled)
        return invalid(a);
    if (t->expires_ms && a->now.unix_ms >= t->expires_ms)
        return nobody(a, STR("This API key has expired. Create a new one."),
                      STR("expired_api_key"));
    return admit_key(a, k);
}

static int check_stored(const asking *a, tp_str secret)
{
    const admit_env *env = a->env;
    unsigned char hmac[32];
    tp_str lookup;
    book_key *k = secret_parse(secret, &lookup) ? book_key_by_lookup(env->book, lookup) : NULL;
    if (!k)
        return invalid(a);
    const key_terms *t = atomic_load_explicit(&k->terms, memory_order_acquire);
    const secret_pepper *pepper = book_pepper(env->book);
    if (env->mac && memcmp(t->pepper_id, pepper->id, sizeof(pepper->id)) == 0) {
        secret_mac_of(env->mac, secret, hmac);
        return str_eq_secret(str_make((const char *)hmac, sizeof(hmac)),
                             str_make((const char *)t->hmac, sizeof(t->hmac)))
                   ? admit_stored(a, k)
                   : invalid(a);
    }
    /* Counted before the work is done, so that an address cannot have more of it under way than it
     * may fail; a right key gives it back. */
    if (count_address(a, &a->who->token_window) != 0)
        return ADMIT_REFUSED;
    book_pin(k);
    a->who->key = k;
    return ADMIT_SLOW;
}

int admit_check(const admit_env *env, const world *w, const world_route *r, const http_head *h,
                tp_str address, tp_now now, admit_principal *who, profile_error *e)
{
    const asking a = {env, w, r, address, now, who, e};
    memset(who, 0, offsetof(admit_principal, said));
    who->surface = r->surface;
    if (r->kind == WORLD_HEALTH && !r->surface)
        return ADMIT_OK;
    if (!h->known[HTTP_H_AUTHORIZATION].ptr) {
        if (r->session && has_session(h))
            return ADMIT_OK; /* the management endpoints know sessions: see admit_no_session */
        return nobody(&a, STR("Missing API key. Send it as 'Authorization: Bearer <key>'."),
                      STR("invalid_api_key"));
    }
    tp_str secret = admit_presented(h);
    if (!secret.ptr)
        return nobody(&a,
                      STR("Malformed Authorization header. Send it once, as "
                          "'Authorization: Bearer <key>'."),
                      STR("invalid_api_key"));
    const conf_key *fixed = key_find(w, secret);
    if (fixed)
        return admit_static(&a, fixed);
    return env && env->book ? check_stored(&a, secret) : invalid(&a);
}

int admit_verify(const book_key *key, tp_str presented)
{
    return secret_argon2_verify(presented, book_argon2(key));
}

int admit_verified(const admit_env *env, const world *w, const world_route *r, int right,
                   tp_str presented, tp_str address, tp_now now, admit_principal *who,
                   profile_error *e)
{
    const asking a = {env, w, r, address, now, who, e};
    book_key *k = who->key;
    unsigned char hmac[32];
    int rc;
    if (!right) { /* counted already, and shown */
        book_unpin(env->book, k);
        forget(who);
        return r->is_public
                   ? ADMIT_OK
                   : admit_refuse_key(r, STR("Invalid API key."), STR("invalid_api_key"), e);
    }
    if (address_limit(&a))
        address_give_back(env->addresses, address, who->token_window, now.unix_ms);
    who->window = (window_view){0};
    if (env->mac && !atomic_load_explicit(&k->revoked, memory_order_acquire)) {
        secret_mac_of(env->mac, presented, hmac);
        book_remember(env->book, k, hmac);
    }
    who->key = NULL;
    rc = admit_stored(&a, k); /* pins for itself */
    book_unpin(env->book, k);
    return rc;
}

int admit_no_session(const admit_env *env, const world *w, const world_route *r, tp_str address,
                     tp_now now, admit_principal *who, profile_error *e)
{
    const asking a = {env, w, r, address, now, who, e};
    return count_address(&a, NULL);
}

void admit_unverified(const admit_env *env, const world *w, tp_str address, tp_now now,
                      admit_principal *who)
{
    if (w->conf->admission.address_requests_per_minute)
        address_give_back(env->addresses, address, who->token_window, now.unix_ms);
}

void admit_unread(const admit_env *env, const world *w, const world_route *r, tp_str address,
                  tp_now now, admit_principal *who)
{
    profile_error e; /* it is refused for another reason already */
    const asking a = {env, w, r, address, now, who, &e};
    memset(who, 0, offsetof(admit_principal, said));
    who->surface = r->surface;
    (void)count_address(&a, NULL);
}

void admit_release(const admit_env *env, admit_principal *who, tp_now now)
{
    if (who->holding)
        admit_settle(who, 0, 0, now);
    if (!who->key)
        return;
    count_out(who);
    book_unpin(env->book, who->key);
    who->key = NULL;
    who->team = NULL;
}

/* ---- What a principal may. */

static const key_terms *terms_of(const admit_principal *who)
{
    return atomic_load_explicit(&who->key->terms, memory_order_acquire);
}

tp_str admit_name(const admit_principal *who)
{
    return who->fixed ? who->fixed->name : who->key ? terms_of(who)->name : STR_NONE;
}

int admit_may_use(const admit_principal *who, tp_str model)
{
    if (who->fixed)
        return who->fixed->model_count == 0 ||
               conf_pattern_in(who->fixed->models, who->fixed->model_count, model);
    if (!who->key)
        return 1;
    const key_terms *t = terms_of(who);
    return t->model_count == 0 || conf_pattern_in(t->models, t->model_count, model);
}

int admit_model(const admit_principal *who, tp_str model, arena *a, profile_error *e)
{
    if (admit_may_use(who, model))
        return 0;
    tp_str message = arena_printf(a, "Key '%.*s' may not use model '%.*s'.",
                                  STR_ARG(admit_name(who)), STR_ARG(profile_shown(model)));
    if (!message.ptr)
        message = STR("This key may not use this model.");
    *e = (profile_error){.status = 403,
                         .type = STR("permission_error"),
                         .param = STR("model"),
                         .code = STR("model_not_allowed"),
                         .message = message};
    return -1;
}

const conf_policy *admit_policy(const admit_principal *who)
{
    if (!who->team)
        return NULL;
    const conf_policy *p = &atomic_load_explicit(&who->team->terms, memory_order_acquire)->policy;
    return p->allow_model_count || p->deny_model_count || p->allow_provider_count ||
                   p->deny_provider_count || p->min_trust || p->data_local
               ? p
               : NULL;
}

const book_byok *admit_byok(const admit_principal *who, tp_str provider, tp_str format)
{
    if (!who->team)
        return NULL;
    const team_terms *t = atomic_load_explicit(&who->team->terms, memory_order_acquire);
    tp_str type = str_starts(format, STR("fim/")) ? STR("codestral") : STR("api_key");
    for (uint32_t i = 0; i < t->byok_count; i++)
        if (str_eq(t->byok[i].provider, provider) && str_eq(t->byok[i].type, type))
            return &t->byok[i];
    return NULL;
}
