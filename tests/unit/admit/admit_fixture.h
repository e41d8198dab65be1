/* A world made by hand, with a book: no plugin and no file is needed for who may pass. */
#ifndef ADMIT_FIXTURE_H
#define ADMIT_FIXTURE_H
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "admit/admit.h"
#include "base/hash.h"
#include "base/str.h"

#define assert_str(got, want)                                                                      \
    do {                                                                                           \
        tp_str got_ = (got);                                                                       \
        if (!str_eq(got_, str_of(want)))                                                           \
            fail_msg("got \"%.*s\", expected \"%s\"", STR_ARG(got_), (want));                      \
    } while (0)
#define T0 INT64_C(1760000000000) /* some moment: 2025-10-09 08:53:20 UTC */
#define NANO INT64_C(1000000000)
enum { AF_STATICS = 4 };

typedef struct af {
    secret_pepper pepper;
    book *b;
    secret_mac *mac;
    address_table *addresses;
    admit_env env;
    conf c;
    world w;
    conf_key statics[AF_STATICS];
    world_key slots[AF_STATICS * 2];
    conf_surface surface;
    world_route r, open;
    admit_principal who;
    profile_error e;
    tp_now now;
    const char *address;
} af;

static inline void af_pepper(secret_pepper *p, unsigned char fill)
{
    memset(p, 0, sizeof(*p));
    memset(p->key, fill, sizeof(p->key));
    memset(p->id, fill ^ 0x5a, sizeof(p->id));
    p->known = 1;
}

static inline void af_open(af *f, uint32_t workers)
{
    memset(f, 0, sizeof(*f));
    af_pepper(&f->pepper, 7);
    f->b = book_new(&f->pepper, NULL, workers);
    f->mac = secret_mac_new(&f->pepper);
    f->addresses = address_table_new(64);
    f->env = (admit_env){f->b, f->mac, f->addresses};
    f->c.admission.address_requests_per_minute = 5;
    f->c.keys = f->statics;
    f->w = (world){.conf = &f->c, .keys = f->slots, .key_count = AF_STATICS * 2};
    f->r = (world_route){.kind = WORLD_MODELS, .surface = &f->surface};
    f->open = f->r;
    f->open.is_public = 1;
    f->now = (tp_now){.unix_ms = T0};
    f->address = "192.0.2.1";
}

static inline void af_close(af *f)
{
    admit_release(&f->env, &f->who, f->now);
    book_free(f->b);
    secret_mac_free(f->mac);
    address_table_free(f->addresses);
}

/* A static key, in the world's table as well. book_configure is the caller's. */
static inline conf_key *af_static(af *f, const char *name, const char *secret)
{
    conf_key *k = &f->statics[f->c.key_count++];
    *k = (conf_key){.name = str_of(name),
                    .secret = {.value = str_of(secret)},
                    .enabled = 1,
                    .role = CONF_ROLE_INFERENCE,
                    .limits = {-1, -1, -1}};
    hash_key hk = {f->w.key_hash[0], f->w.key_hash[1]};
    uint64_t digest = hash_sip(hk, secret, strlen(secret));
    uint32_t i = (uint32_t)digest & (f->w.key_count - 1);
    while (f->slots[i].conf)
        i = (i + 1) & (f->w.key_count - 1);
    f->slots[i] = (world_key){k, digest};
    return k;
}

static inline void af_team(af *f, const char *id, int32_t billing, const char *tier)
{
    registry_team t = {.id = str_of(id),
                       .name = str_of(id),
                       .active = 1,
                       .billing = billing,
                       .tier = str_of(tier)};
    assert_int_equal(book_put_team(f->b, &t), 0);
}

typedef struct af_key {
    char id[SECRET_ID], secret[SECRET_MAX], argon2[SECRET_ARGON2];
    char last; /* of the right secret, once a test has spoilt it */
    size_t len;
    registry_key row;
} af_key;

/* A fresh key's row, of team "acme", recognised by its HMAC; not in the book yet. */
static inline void af_make(af *f, af_key *k)
{
    memset(k, 0, sizeof(*k));
    secret_make_id(k->id);
    k->len = secret_make(STR("tp_live_"), k->secret);
    k->row = (registry_key){.id = str_make(k->id, SECRET_ID),
                            .name = STR("one"),
                            .team = STR("acme"),
                            .role = CONF_ROLE_INFERENCE,
                            .spend_limit_nano = -1,
                            .limits = {-1, -1, -1},
                            .created_ms = T0};
    assert_int_equal(secret_parse(str_make(k->secret, k->len), &k->row.lookup), 1);
    secret_mac_of(f->mac, str_make(k->secret, k->len), k->row.hmac);
    memcpy(k->row.pepper_id, f->pepper.id, sizeof(k->row.pepper_id));
}

static inline void af_put(af *f, af_key *k)
{
    assert_int_equal(book_put_key(f->b, &k->row, 0, f->now.unix_ms), 0);
}

static inline tp_str af_secret(const af_key *k)
{
    return str_make(k->secret, k->len);
}

/* key: what stands after "Bearer "; ptr NULL: no header. */
static inline int af_ask(af *f, const world_route *r, tp_str key, admit_principal *who)
{
    char value[300];
    tp_header headers[1];
    http_head h = {.headers = headers};
    if (key.ptr) {
        int n = snprintf(value, sizeof(value), "Bearer %.*s", STR_ARG(key));
        headers[0] = (tp_header){STR("authorization"), str_make(value, (size_t)n)};
        h.header_count = 1;
        h.known[HTTP_H_AUTHORIZATION] = headers[0].value;
    }
    f->e = (profile_error){0};
    return admit_check(&f->env, &f->w, r, &h, str_of(f->address), f->now, who, &f->e);
}

/* Tokens of a request that says how many it may take. */
static inline admit_tokens all(int64_t n)
{
    return (admit_tokens){n, n};
}

/* One request that is over at once. */
static inline int af_pass(af *f, tp_str key)
{
    int rc = af_ask(f, &f->r, key, &f->who);
    window_view v = f->who.window;
    admit_release(&f->env, &f->who, f->now);
    f->who.window = v;
    return rc;
}
#endif
