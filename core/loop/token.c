#include "loop/token.h"

#include <openssl/crypto.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/hash.h"
#include "base/str.h"
#include "sign/sign.h"
#include "world/world.h" /* world_origin */

#define SECOND INT64_C(1000000)
#define FETCH_US (10 * SECOND)   /* from the start to the last byte */
#define RENEW_US (300 * SECOND)  /* before the end of a token */
#define SPARE_US (10 * SECOND)   /* a token is not used in its last moments: it has a way to go */
#define BACKOFF_US (60 * SECOND) /* the longest */
#define REFUSED_US (60 * SECOND)
#define UNUSED_US (120 * SECOND)
#define REPLY_MOST 65536u
#define BODY_MOST 131072u

typedef struct entry entry;
typedef struct fetch { /* one token request */
    token_store *t;
    entry *e;
    arena mem; /* the origin's strings, the reply's head */
    up_origin to;
    up_stream *up;
    buf body, reply;
    tp_str body_seg;
    tp_header headers[3];
    wheel_timer deadline;
    int32_t status, reserved;
} fetch;

struct entry {
    entry *next;
    uint64_t hash, via;
    char *document, *scope, *token; /* malloced; overwritten before they are freed */
    size_t document_len, scope_len, token_len;
    uint64_t serial; /* of the token */
    int64_t until_us, renew_us; /* the token may be used until then; is to be renewed from then on */
    int64_t used_us, refused_us, retry_us;
    uint32_t failures, busy; /* busy: its waiters are being called */
    int32_t own, reserved;
    fetch *f;
    token_waiter *waiting;
    char why[700]; /* of the last failure */
};

struct token_store {
    net_loop *loop;
    up_client *up;
    arena_pool *pool;
    const char *user_agent;
    const logger *log;
    entry *entries;
    uint32_t count, reserved;
    uint64_t serial;
    hash_key hash;
};

/* ---- Entries. */

static void wipe_free(char *p, size_t n)
{
    if (p)
        OPENSSL_cleanse(p, n);
    free(p);
}

static void drop_token(entry *e)
{
    wipe_free(e->token, e->token_len);
    e->token = NULL;
    e->token_len = 0;
    e->serial = 0;
}

static int idle(const entry *e)
{
    return !e->f && !e->waiting && !e->busy;
}

static void entry_free(token_store *t, entry *e)
{
    entry **link = &t->entries;
    while (*link != e)
        link = &(*link)->next;
    *link = e->next;
    t->count--;
    drop_token(e);
    wipe_free(e->document, e->document_len);
    free(e->scope);
    free(e);
}

/* What its document was longest unused for goes, if nobody waits for it. */
static int make_room(token_store *t)
{
    entry *oldest = NULL;
    if (t->count < TOKENS_MOST)
        return 1;
    for (entry *e = t->entries; e; e = e->next)
        if (idle(e) && (!oldest || e->used_us < oldest->used_us))
            oldest = e;
    if (oldest)
        entry_free(t, oldest);
    return oldest != NULL;
}

static uint64_t via_of(const conf_provider *p)
{
    return hash_mix(hash_name(p->proxy)) ^ hash_name(p->ca_file);
}

static char *copy(tp_str s)
{
    char *p = malloc(s.len + 1);
    if (p && s.len)
        memcpy(p, s.ptr, s.len);
    return p;
}

static entry *entry_new(token_store *t, const token_ask *ask, uint64_t hash)
{
    if (!make_room(t))
        return NULL;
    entry *e = calloc(1, sizeof(*e));
    if (!e)
        return NULL;
    *e = (entry){.hash = hash,
                 .via = via_of(ask->provider),
                 .document = copy(ask->document),
                 .document_len = ask->document.len,
                 .scope = copy(ask->scope),
                 .scope_len = ask->scope.len,
                 .own = ask->own,
                 .refused_us = INT64_MIN / 2,
                 .next = t->entries};
    t->entries = e;
    t->count++;
    if (!e->document || !e->scope) {
        entry_free(t, e);
        return NULL;
    }
    return e;
}

static entry *entry_of(token_store *t, const token_ask *ask)
{
    uint64_t hash = hash_sip(t->hash, ask->document.ptr, ask->document.len) ^
                    hash_sip(t->hash, ask->scope.ptr, ask->scope.len);
    uint64_t via = via_of(ask->provider);
    for (entry *e = t->entries; e; e = e->next)
        if (e->hash == hash && e->via == via && e->own == ask->own &&
            str_eq(str_make(e->document, e->document_len), ask->document) &&
            str_eq(str_make(e->scope, e->scope_len), ask->scope))
            return e;
    return entry_new(t, ask, hash);
}

/* ---- How a fetch ends. */

static void note_failure(token_store *t, entry *e, int64_t now_us, const char *why)
{
    uint32_t doubled = TP_MIN(e->failures, 6u);
    e->failures++;
    e->retry_us = now_us + TP_MIN(SECOND << doubled, BACKOFF_US);
    snprintf(e->why, sizeof(e->why), "no token for its credential: %s", why);
    if (t->log)
        log_line(t->log, LOG_WARN, "token service: %s", why);
}

static int take_token(token_store *t, entry *e, const sign_token *token, int64_t now_us)
{
    int64_t life = token->lifetime_s * SECOND;
    char *p = copy(token->token);
    if (!p)
        return -1;
    drop_token(e);
    e->token = p;
    e->token_len = token->token.len;
    e->serial = ++t->serial;
    e->until_us = now_us + life - TP_MIN(SPARE_US, life / 8);
    e->renew_us = now_us + life - TP_MIN(RENEW_US, life / 4);
    e->failures = 0;
    e->retry_us = 0;
    return 0;
}

/* Calls all who wait. They may ask again, leave, and make others leave. */
static void answer(entry *e)
{
    token_waiter *list = e->waiting;
    e->waiting = NULL;
    if (list)
        list->link = &list;
    e->busy++;
    while (list) {
        token_waiter *w = list;
        tokens_leave(w);
        w->serial = e->serial;
        if (e->token)
            w->done(w, str_make(e->token, e->token_len), NULL);
        else
            w->done(w, STR_NONE, e->why);
    }
    e->busy--;
}

static void fetch_free(fetch *f)
{
    token_store *t = f->t;
    if (f->up)
        up_cancel(f->up);
    wheel_disarm(t->loop->timers, &f->deadline);
    f->e->f = NULL;
    if (f->body.ptr)
        OPENSSL_cleanse(f->body.ptr, f->body.cap);
    if (f->reply.ptr)
        OPENSSL_cleanse(f->reply.ptr, f->reply.cap);
    buf_free(&f->body);
    buf_free(&f->reply);
    arena_reset(&f->mem);
    free(f);
}

static void fetch_failed(fetch *f, const char *why)
{
    token_store *t = f->t;
    entry *e = f->e;
    fetch_free(f);
    note_failure(t, e, net_now_us(t->loop), why);
    answer(e);
}

static void fetch_done(fetch *f)
{
    token_store *t = f->t;
    entry *e = f->e;
    sign_token token;
    tp_error err = {0};
    arena a;
    int64_t now = net_now_us(t->loop);
    arena_init(&a, NULL, 4 * REPLY_MOST);
    int rc = sign_token_parse(f->status, buf_str(&f->reply), &a, &token, &err);
    if (rc == 0 && take_token(t, e, &token, now) != 0)
        rc = tp_error_set(&err, TP_ERROR_LIMIT, "the gateway is out of memory");
    if (token.token.len) /* the arena's copy */
        OPENSSL_cleanse((char *)(uintptr_t)token.token.ptr, token.token.len);
    arena_reset(&a);
    fetch_free(f);
    if (rc != 0)
        note_failure(t, e, now, err.text);
    answer(e);
}

/* ---- The token request. */

static void on_progress(void *arg, int state)
{
    (void)arg;
    (void)state;
}

static void on_reply(void *arg, const http_head *head, tp_str data, int fin)
{
    fetch *f = arg;
    if (head)
        f->status = head->status;
    if (fin)
        f->up = NULL;
    if (data.len && buf_add(&f->reply, data.ptr, data.len) != 0)
        fetch_failed(f, "the token endpoint's reply is over 64 KiB");
    else if (fin)
        fetch_done(f);
}

static void on_failed(void *arg, int reason, const char *what)
{
    fetch *f = arg;
    char why[512];
    f->up = NULL;
    snprintf(why, sizeof(why), "the token endpoint %.*s %s: %s",
             (int)TP_MIN(f->to.authority.len, (size_t)100), f->to.authority.ptr,
             reason == UP_E_RESET || reason == UP_E_PROTOCOL ? "broke off" : "cannot be reached",
             what ? what : "no connection");
    fetch_failed(f, why);
}

static const up_events fetch_events = {on_progress, on_reply, on_failed};

static void on_deadline(wheel_timer *w)
{
    fetch *f = TP_CONTAINER(w, fetch, deadline);
    char why[256];
    snprintf(why, sizeof(why), "the token endpoint %.*s gave no answer within 10 seconds",
             (int)TP_MIN(f->to.authority.len, (size_t)100), f->to.authority.ptr);
    fetch_failed(f, why);
}

/* May this document's token endpoint be called? A customer must not be able to make the gateway call
 * an address of his choice. */
static int check_endpoint(const token_ask *ask, const sign_google *g, tp_error *err)
{
    const conf_provider *p = ask->provider;
    if (!ask->own)
        return sign_google_check(g, err);
    if (sign_google_is_public(g->token_uri))
        return 0;
    sign_google configured;
    arena a;
    arena_init(&a, NULL, 4 * SIGN_GOOGLE_MOST);
    int same = p->api_key.value.ptr &&
               sign_google_parse(p->api_key.value, &a, &configured, NULL) == 0 &&
               str_eq(configured.token_uri, g->token_uri);
    if (p->api_key.value.ptr)
        sign_google_wipe(&configured);
    arena_reset(&a);
    return same ? 0
                : tp_error_set(err, TP_ERROR_CONFIG,
                               "its 'token_uri' is neither Google's nor the one that the provider is "
                               "configured with");
}

static int prepare(fetch *f, const token_ask *ask, const sign_google *g, tp_error *err)
{
    tp_str uri = arena_str(&f->mem, g->token_uri);
    conf_provider way = {.http2 = 0};
    way.proxy = arena_str(&f->mem, ask->provider->proxy); /* the world may go before the fetch */
    way.ca_file = ask->provider->ca_file;
    if (way.ca_file.len) { /* with a NUL behind it, as everything of conf */
        way.ca_file = arena_printf(&f->mem, "%.*s%c", STR_ARG(way.ca_file), 0);
        way.ca_file.len -= way.ca_file.ptr != NULL;
    }
    if (way.proxy.len) {
        way.proxy = arena_printf(&f->mem, "%.*s%c", STR_ARG(way.proxy), 0);
        way.proxy.len -= way.proxy.ptr != NULL;
    }
    if (!uri.ptr)
        return tp_error_set(err, TP_ERROR_LIMIT, "the gateway is out of memory");
    tp_error why = {0};
    if (world_origin(&f->to, uri, &way, &f->mem, &why) != 0)
        return tp_error_set(err, TP_ERROR_CONFIG,
                            "its 'token_uri' is no URL that can be called; expected one such as "
                            "https://oauth2.googleapis.com/token");
    return sign_google_body(g, ask->scope, ask->unix_s, &f->body, err);
}

static int start(fetch *f)
{
    int state;
    f->body_seg = buf_str(&f->body);
    f->headers[0] = (tp_header){STR("Content-Type"), STR("application/x-www-form-urlencoded")};
    f->headers[1] = (tp_header){STR("Accept"), STR("application/json")};
    f->headers[2] = (tp_header){STR("User-Agent"), str_of(f->t->user_agent)};
    up_request r = {.to = &f->to,
                    .method = STR("POST"),
                    .target = f->to.base_path.len ? f->to.base_path : STR("/"),
                    .headers = f->headers,
                    .header_count = TP_COUNT(f->headers),
                    .segs = &f->body_seg,
                    .seg_count = 1,
                    .body_bytes = f->body.len};
    f->up = up_start(f->t->up, &r, &f->mem, &fetch_events, f, &state);
    if (f->up)
        wheel_arm(f->t->loop->timers, &f->deadline, net_now_us(f->t->loop) + FETCH_US);
    return f->up ? 0 : -1;
}

/* 0, or -1: e->why says why it could not begin. */
static int begin(token_store *t, entry *e, const token_ask *ask)
{
    sign_google g = {.kind = 0};
    tp_error err = {0};
    arena a;
    fetch *f = calloc(1, sizeof(*f));
    int rc = f ? 0 : tp_error_set(&err, TP_ERROR_LIMIT, "the gateway is out of memory");
    arena_init(&a, NULL, 4 * SIGN_GOOGLE_MOST);
    if (f) {
        *f = (fetch){.t = t, .e = e, .deadline = {.fire = on_deadline}};
        arena_init(&f->mem, t->pool, 1u << 18);
        buf_init(&f->body, BODY_MOST);
        buf_init(&f->reply, REPLY_MOST);
        e->f = f;
        rc = sign_google_parse(ask->document, &a, &g, &err);
    }
    rc = rc ? rc : check_endpoint(ask, &g, &err);
    rc = rc ? rc : prepare(f, ask, &g, &err);
    if (rc == 0 && start(f) != 0)
        rc = tp_error_set(&err, TP_ERROR_LIMIT, "the gateway is out of memory");
    sign_google_wipe(&g);
    arena_reset(&a);
    if (rc == 0)
        return 0;
    if (f)
        fetch_free(f);
    note_failure(t, e, net_now_us(t->loop), err.text);
    return -1;
}

/* ---- For those who need one. */

int tokens_get(token_store *t, const token_ask *ask, token_waiter *w, tp_str *token, const char **why)
{
    int64_t now = net_now_us(t->loop);
    *why = "no token for its credential: there are too many credentials, or no memory";
    w->serial = 0;
    entry *e = entry_of(t, ask);
    if (!e)
        return -1;
    e->used_us = now;
    int there = e->token && now < e->until_us, may = !e->f && now >= e->retry_us;
    if (may && (!there || now >= e->renew_us) && begin(t, e, ask) != 0 && !there) {
        *why = e->why;
        return -1;
    }
    if (there) {
        *token = str_make(e->token, e->token_len);
        w->serial = e->serial;
        return 1;
    }
    if (!e->f) {
        *why = e->why;
        return -1;
    }
    if (!e->busy) /* else others are being given it */
        drop_token(e); /* it has run out: who waits must not get it */
    w->next = e->waiting;
    w->link = &e->waiting;
    if (w->next)
        w->next->link = &w->next;
    e->waiting = w;
    return 0;
}

void tokens_leave(token_waiter *w)
{
    if (!w->link)
        return;
    *w->link = w->next;
    if (w->next)
        w->next->link = w->link;
    w->next = NULL;
    w->link = NULL;
}

void tokens_refused(token_store *t, token_waiter *w)
{
    int64_t us = net_now_us(t->loop);
    for (entry *e = t->entries; e && w->serial; e = e->next) {
        if (e->serial != w->serial || us - e->refused_us < REFUSED_US)
            continue;
        e->refused_us = us;
        if (!e->busy)
            drop_token(e);
        else
            e->until_us = us; /* others are still being given it */
        break;
    }
    w->serial = 0;
}

void tokens_sweep(token_store *t)
{
    int64_t us = net_now_us(t->loop);
    for (entry *e = t->entries, *next; e; e = next) {
        next = e->next;
        if (!idle(e))
            continue;
        if (e->token && us >= e->until_us)
            drop_token(e);
        if (!e->token && us - e->used_us > UNUSED_US && us >= e->retry_us)
            entry_free(t, e);
    }
}

token_store *tokens_new(net_loop *l, up_client *up, arena_pool *pool, const char *user_agent,
                   const logger *log)
{
    token_store *t = tp_xcalloc(1, sizeof(*t));
    *t = (token_store){.loop = l, .up = up, .pool = pool, .user_agent = user_agent, .log = log};
    uv_random(NULL, NULL, &t->hash, sizeof(t->hash), 0, NULL);
    return t;
}

void tokens_free(token_store *t)
{
    while (t && t->entries) {
        entry *e = t->entries;
        TP_MUST(!e->waiting && !e->busy);
        if (e->f)
            fetch_free(e->f);
        entry_free(t, e);
    }
    free(t);
}
