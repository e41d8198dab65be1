/* What every request pays in admit/: a static key, a stored key among 10,000 (look-up, HMAC,
 * limits), a window, a hold and its settling; and what a key costs to put into the book, in time
 * and memory. The best of several rounds is printed, since the machine may be busy with other
 * things. */
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "admit/admit.h"
#include "base/hash.h"
#include "base/str.h"

enum { ROUNDS = 15, KEYS = 10000, ASKED = 20000 };
#define NOW_MS INT64_C(1760000000000)

typedef struct stored {
    char id[SECRET_ID], secret[SECRET_MAX], header[SECRET_MAX + 8];
    registry_key row;
} stored;

typedef struct bench {
    secret_pepper pepper;
    book *b;
    secret_mac *mac;
    admit_env env;
    conf c;
    conf_key fixed;
    world_key slots[2];
    world w;
    world_route route;
    stored *keys;
} bench;

static double now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

static size_t allocated(void)
{
    struct mallinfo2 m = mallinfo2();
    return m.uordblks + m.hblkhd;
}

/* Rows as a store gives them: a name, an Argon2id hash, a list of two models. */
static void make_rows(bench *n)
{
    static const char hash[] = "$argon2id$v=19$m=19456,t=2,p=1$AAAAAAAAAAAAAAAAAAAAAA$"
                               "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";
    static tp_str models[] = {{"llama-3.3-70b", 13}, {"openai/*", 8}};
    n->keys = calloc(KEYS, sizeof(*n->keys));
    for (int i = 0; i < KEYS; i++) {
        stored *k = &n->keys[i];
        size_t len = secret_make(STR("tp_live_"), k->secret);
        tp_str secret = str_make(k->secret, len);
        secret_make_id(k->id);
        snprintf(k->header, sizeof(k->header), "Bearer %.*s", STR_ARG(secret));
        k->row = (registry_key){.id = str_make(k->id, SECRET_ID),
                                .name = STR("a customer's production key"),
                                .team = STR("acme"),
                                .created_by = str_make(k->id, SECRET_ID),
                                .models = models,
                                .model_count = 2,
                                .role = CONF_ROLE_INFERENCE,
                                .spend_limit_nano = INT64_C(1) << 60,
                                .limits = {16000000, INT64_C(16000000000), 1000},
                                .created_ms = NOW_MS,
                                .argon2 = str_of(hash)};
        TP_MUST(secret_parse(secret, &k->row.lookup));
        secret_mac_of(n->mac, secret, k->row.hmac);
        memcpy(k->row.pepper_id, n->pepper.id, sizeof(k->row.pepper_id));
    }
}

static book *filled(const bench *n)
{
    registry_team t = {
        .id = STR("acme"), .name = STR("Acme"), .active = 1, .billing = CONF_PREPAID};
    window_file *words;
    TP_MUST(window_file_open(NULL, WINDOW_SLOTS, &words, NULL) == 0);
    book *b = book_new(&n->pepper, words, 1);
    TP_MUST(book_put_team(b, &t) == 0);
    book_set_credits(book_team_of(b, STR("acme")), INT64_C(1) << 60, 0);
    for (int i = 0; i < KEYS; i++)
        TP_MUST(book_put_key(b, &n->keys[i].row, 0, NOW_MS) == 0);
    book_quiet(b, 0);
    return b;
}

static void fill(bench *n)
{
    double best = 1e18;
    for (int r = 0; r < 5; r++) {
        double t = now_ns();
        book *b = filled(n);
        best = TP_MIN(best, now_ns() - t);
        book_free(b);
    }
    /* What is allocated for the windows as a whole does not count for a key: it does not grow. */
    window_file *empty;
    size_t before = allocated();
    TP_MUST(window_file_open(NULL, WINDOW_SLOTS, &empty, NULL) == 0);
    size_t fixed = allocated() - before;
    window_file_close(empty);
    before = allocated();
    n->b = filled(n);
    for (int i = 0; i < 1000; i++)
        book_quiet(n->b, 0);
    size_t bytes = allocated() - before - fixed;
    printf("book of %d keys: filled in %.1f ms, %.0f ns a key; %zu bytes a key and %zu of its "
           "window\n",
           KEYS, best / 1e6, best / KEYS, bytes / KEYS, sizeof(window_words));
}

static void static_key(bench *n)
{
    static const char secret[] = "sk-static-0123456789abcdef0123456789";
    hash_key hk = {n->w.key_hash[0], n->w.key_hash[1]};
    n->fixed = (conf_key){.name = STR("static"),
                          .secret = {.value = str_of(secret)},
                          .enabled = 1,
                          .role = CONF_ROLE_INFERENCE,
                          .limits = {-1, -1, -1}};
    uint64_t digest = hash_sip(hk, secret, sizeof(secret) - 1);
    n->slots[digest & 1] = (world_key){&n->fixed, digest};
}

/* The nanoseconds of one admit_check and its release. every: of KEYS, how many are asked for. */
static double checks(bench *n, const char *fixed, int every)
{
    double best = 1e18;
    rng r = {1};
    for (int round = 0; round < ROUNDS; round++) {
        double t = now_ns();
        for (int i = 0; i < ASKED; i++) {
            const char *text = fixed ? fixed : n->keys[rng_below(&r, (uint64_t)every)].header;
            tp_header h1 = {STR("authorization"), str_of(text)};
            http_head h = {.headers = &h1, .header_count = 1};
            admit_principal who;
            profile_error e;
            h.known[HTTP_H_AUTHORIZATION] = h1.value;
            tp_now now = {.unix_ms = NOW_MS + round * 60000};
            TP_MUST(admit_check(&n->env, &n->w, &n->route, &h, STR_NONE, now, &who, &e) ==
                    ADMIT_OK);
            admit_release(&n->env, &who, now);
        }
        best = TP_MIN(best, (now_ns() - t) / ASKED);
    }
    return best;
}

static void windows(void)
{
    _Atomic uint64_t word = 0;
    double best = 1e18;
    for (int round = 0; round < ROUNDS; round++) {
        window_view v;
        double t = now_ns();
        for (int i = 0; i < ASKED; i++)
            TP_MUST(window_take(&word, 16000000, NOW_MS + round * 60000, &v));
        best = TP_MIN(best, (now_ns() - t) / ASKED);
    }
    printf("window_take: %.1f ns\n", best);
}

static void holds(bench *n)
{
    double best = 1e18;
    admit_principal who = {.key = book_key_by_lookup(n->b, n->keys[0].row.lookup),
                           .team = book_team_of(n->b, STR("acme"))};
    for (int round = 0; round < ROUNDS; round++) {
        double t = now_ns();
        for (int i = 0; i < ASKED; i++) {
            profile_error e;
            tp_now now = {.unix_ms = NOW_MS + round * 60000};
            TP_MUST(admit_hold(&who, 1000, 100, now, &e) == 0);
            TP_MUST(admit_settle(&who, 400, 60, now) == 400);
        }
        best = TP_MIN(best, (now_ns() - t) / ASKED);
    }
    printf("hold and settle (tokens, spending limit, credits): %.0f ns\n", best);
}

int main(void)
{
    static bench n;
    n.pepper = (secret_pepper){.key = {1, 2, 3}, .id = {4, 5, 6}, .known = 1};
    n.mac = secret_mac_new(&n.pepper);
    n.w = (world){.conf = &n.c, .keys = n.slots, .key_count = 2};
    n.route = (world_route){.kind = WORLD_ENDPOINT};
    make_rows(&n);
    fill(&n);
    n.env = (admit_env){n.b, n.mac, NULL};
    static_key(&n);
    printf("admit_check, a static key: %.0f ns\n",
           checks(&n, "Bearer sk-static-0123456789abcdef0123456789", 1));
    printf("admit_check, one stored key of %d: %.0f ns\n", KEYS, checks(&n, NULL, 1));
    printf("admit_check, any stored key of %d: %.0f ns\n", KEYS, checks(&n, NULL, KEYS));
    windows();
    holds(&n);
    book_free(n.b);
    secret_mac_free(n.mac);
    free(n.keys);
    return 0;
}
