/* Sessions: a management key, presented once, gives a cookie that stands in for it. Of the 256
 * random bits in the cookie only a keyed hash is kept, and the CSRF token follows from the same
 * bits, so that neither lies in memory. A session acts with the key's role and team as they are at
 * each call. */
#include <stdlib.h>
#include <sys/random.h>

#include "manage/manage_int.h"

#define COOKIE STR("turnpike_session")
#define PREFIX STR("tps_")
#define SESSION_MINUTES 720
#define KEY_ID_MOST (REGISTRY_ID + 192u) /* "static:" and a name of the configuration, too */
#define CSRF_CHARS 43u

typedef struct session {
    unsigned char hash[32];
    int64_t used_us; /* monotonic */
    uint32_t key_len, there;
    char key_id[KEY_ID_MOST];
} session;

struct session_table {
    pthread_mutex_t lock;
    secret_mac *mac; /* under a key of this process, made with the table */
    uint32_t most;
    session *sessions;
};

session_table *session_table_new(uint32_t most)
{
    secret_pepper own = {.known = 1};
    session_table *t = tp_xcalloc(1, sizeof(*t));
    t->most = TP_MAX(most, 1u);
    t->sessions = tp_xpages(t->most * sizeof(*t->sessions));
    pthread_mutex_init(&t->lock, NULL);
    TP_MUST(getrandom(own.key, sizeof(own.key), 0) == (ssize_t)sizeof(own.key));
    t->mac = secret_mac_new(&own);
    TP_MUST(t->mac);
    secret_wipe(&own, sizeof(own));
    return t;
}

void session_table_free(session_table *t)
{
    if (!t)
        return;
    secret_mac_free(t->mac);
    pthread_mutex_destroy(&t->lock);
    tp_pages_free(t->sessions, t->most * sizeof(*t->sessions));
    free(t);
}

static int64_t minutes(const api_call *c)
{
    return c->conf->admission.session_minutes > 0 ? c->conf->admission.session_minutes
                                                  : SESSION_MINUTES;
}

static int is_over(const api_call *c, const session *s)
{
    return c->r->now.mono_us - s->used_us > minutes(c) * 60 * 1000000;
}

/* The CSRF token of a session: base64url of a keyed hash of its id with a word of its own. */
static void csrf_of(session_table *t, tp_str id, char out[CSRF_CHARS])
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    char text[8 + SECRET_MAX];
    unsigned char hash[33] = {0};
    size_t n = TP_MIN(id.len, (size_t)SECRET_MAX);
    memcpy(text, "csrf of ", 8);
    memcpy(text + 8, id.ptr, n);
    secret_mac_of(t->mac, str_make(text, n + 8), hash);
    for (uint32_t i = 0; i < CSRF_CHARS; i++) {
        uint32_t bit = i * 6, byte = bit / 8;
        uint32_t two = (uint32_t)hash[byte] << 8 | hash[byte + 1];
        out[i] = digits[two >> (10 - bit % 8) & 63];
    }
    secret_wipe(text, sizeof(text));
}

static tp_str cookie_of(const api_call *c)
{
    tp_str rest = c->r->cookie;
    while (rest.len) {
        size_t end = str_find(rest, ';');
        tp_str pair = str_trim(str_make(rest.ptr, end));
        size_t eq = str_find(pair, '=');
        if (str_eq(str_make(pair.ptr, eq), COOKIE))
            return str_skip(pair, eq + 1);
        rest = str_skip(rest, end + 1);
    }
    return STR_NONE;
}

/* Under the lock: the session of this id, or NULL. */
static session *find(session_table *t, const api_call *c, tp_str id)
{
    unsigned char hash[32];
    if (id.len == 0 || id.len > SECRET_MAX)
        return NULL;
    secret_mac_of(t->mac, id, hash);
    for (uint32_t i = 0; i < t->most; i++) {
        session *s = &t->sessions[i];
        if (!s->there || !str_eq_secret(str_make((char *)s->hash, 32), str_make((char *)hash, 32)))
            continue;
        if (!is_over(c, s))
            return s;
        s->there = 0;
    }
    return NULL;
}

/* Where the next one goes: a free place, else that of the one unused for longest. */
static session *place(session_table *t, const api_call *c)
{
    session *best = NULL;
    for (uint32_t i = 0; i < t->most; i++) {
        session *s = &t->sessions[i];
        if (!s->there || is_over(c, s))
            return s;
        if (!best || s->used_us < best->used_us)
            best = s;
    }
    return best;
}

static void end_session(session_table *t, const api_call *c, tp_str id)
{
    pthread_mutex_lock(&t->lock);
    session *s = find(t, c, id);
    if (s)
        s->there = 0;
    pthread_mutex_unlock(&t->lock);
}

/* What the session's key is now. 1; 0: it does not pass any more; -1: out of memory. */
static int key_now(api_call *c, tp_str key_id, int *inactive)
{
    int rc = 0;
    book_enter(c->p->book);
    const book_key *k = book_key_by_id(c->p->book, key_id);
    const key_terms *t = k ? atomic_load_explicit(&k->terms, memory_order_acquire) : NULL;
    int passes = t && !t->disabled && !atomic_load(&k->revoked) &&
                 (t->expires_ms == 0 || c->r->now.unix_ms < t->expires_ms);
    if (passes) {
        const team_terms *team =
            t->team ? atomic_load_explicit(&t->team->terms, memory_order_acquire) : NULL;
        *inactive = team && !team->active;
        c->kind = API_SESSION;
        c->role = t->role;
        rc = api_copy(c, k->id, &c->key_id) < 0 ||
                     api_copy(c, t->team ? t->team->id : STR(""), &c->team) < 0
                 ? -1
                 : 1;
    }
    book_leave(c->p->book);
    return rc;
}

int api_session_find(api_call *c, int change)
{
    session_table *t = c->p->sessions;
    tp_str id = cookie_of(c);
    char key_id[KEY_ID_MOST], csrf[CSRF_CHARS];
    size_t len = 0;
    int inactive = 0;
    if (!t || !id.len)
        return SESSION_NONE;
    pthread_mutex_lock(&t->lock);
    session *s = find(t, c, id);
    if (s) {
        s->used_us = c->r->now.mono_us;
        len = s->key_len;
        memcpy(key_id, s->key_id, len);
        csrf_of(t, id, csrf);
    }
    pthread_mutex_unlock(&t->lock);
    if (!s)
        return SESSION_NONE;
    int rc = key_now(c, str_make(key_id, len), &inactive);
    if (rc < 0)
        return -1;
    if (rc == 0) {
        end_session(t, c, id);
        return SESSION_NONE;
    }
    c->actor = arena_cat(c->mem, STR("session:"), c->key_id);
    if (!c->actor.ptr)
        return -1;
    if (inactive)
        return SESSION_INACTIVE;
    if (change && !str_eq_secret(c->r->csrf, str_make(csrf, sizeof(csrf))))
        return SESSION_NO_CSRF;
    return SESSION_THERE;
}

static int set_cookie(api_call *c, tp_str id, int64_t seconds)
{
    return api_header(c, "set-cookie",
                      arena_printf(c->mem,
                                   "%.*s=%.*s; HttpOnly; SameSite=Strict; Path=/; Max-Age=%lld%s",
                                   STR_ARG(COOKIE), STR_ARG(id), (long long)seconds,
                                   c->r->secure ? "; Secure" : ""));
}

static tp_str role_name(const api_call *c)
{
    return c->role == CONF_ROLE_ADMIN ? STR("admin") : STR("management");
}

static int answer(api_call *c, tp_str id)
{
    char csrf[CSRF_CHARS];
    pthread_mutex_lock(&c->p->sessions->lock);
    csrf_of(c->p->sessions, id, csrf);
    pthread_mutex_unlock(&c->p->sessions->lock);
    api_out o = api_out_of(c);
    api_open(&o, NULL, '{');
    api_text(&o, "csrf_token", str_make(csrf, sizeof(csrf)));
    api_time(&o, "expires_at", c->r->now.unix_ms + minutes(c) * 60000);
    api_text(&o, "role", role_name(c));
    api_text_or_null(&o, "team", c->own);
    api_text(&o, "key", c->key_id);
    api_close(&o, '}');
    return o.rc ? o.rc : set_cookie(c, id, minutes(c) * 60);
}

int api_session_begin(api_call *c)
{
    session_table *t = c->p->sessions;
    char id[SECRET_MAX];
    unsigned char hash[32];
    if (c->kind != API_KEY || !t || !c->key_id.len || c->key_id.len > KEY_ID_MOST)
        return api_fail(c, 403, "key_needed", NULL,
                        "A session begins with a key: send 'Authorization: Bearer KEY' with a key "
                        "of the role 'management' or 'admin'.");
    size_t n = secret_make(PREFIX, id);
    pthread_mutex_lock(&t->lock);
    secret_mac_of(t->mac, str_make(id, n), hash);
    session *s = place(t, c);
    *s = (session){.used_us = c->r->now.mono_us, .key_len = (uint32_t)c->key_id.len, .there = 1};
    memcpy(s->hash, hash, sizeof(hash));
    memcpy(s->key_id, c->key_id.ptr, c->key_id.len);
    pthread_mutex_unlock(&t->lock);
    api_log(c, "began a session");
    int rc = answer(c, str_make(id, n));
    secret_wipe(id, sizeof(id));
    return rc;
}

static int needs_session(api_call *c)
{
    return api_fail(c, 404, "no_session", NULL,
                    "There is no session: this was asked with a key, not with a session's cookie.");
}

int api_session_show(api_call *c)
{
    return c->kind == API_SESSION ? answer(c, cookie_of(c)) : needs_session(c);
}

int api_session_end(api_call *c)
{
    if (c->kind != API_SESSION)
        return needs_session(c);
    end_session(c->p->sessions, c, cookie_of(c));
    api_log(c, "ended the session");
    api_out o = api_out_of(c);
    api_open(&o, NULL, '{');
    api_bool(&o, "deleted", 1);
    api_close(&o, '}');
    return o.rc ? o.rc : set_cookie(c, STR(""), 0);
}
