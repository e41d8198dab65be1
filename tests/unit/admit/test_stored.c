/* Stored keys through admit_check: who passes, who does not, and what it says. */
#include "admit_fixture.h"

#include "admit/book_int.h"

/* Another key of the same shape; called again, the right one. */
static void spoil(af_key *k)
{
    k->last = k->last ? k->last : k->secret[k->len - 1];
    char other = k->last == 'a' ? 'b' : 'a';
    k->secret[k->len - 1] = k->secret[k->len - 1] == k->last ? other : k->last;
}

static void a_stored_key_passes(void **state)
{
    (void)state;
    af f;
    af_key k;
    af_open(&f, 1);
    af_team(&f, "acme", CONF_PREPAID, "");
    af_make(&f, &k);
    k.row.role = CONF_ROLE_MANAGEMENT;
    af_put(&f, &k);
    assert_int_equal(af_ask(&f, &f.r, af_secret(&k), &f.who), ADMIT_OK);
    assert_str(admit_name(&f.who), "one");
    assert_true(str_eq(f.who.key->id, k.row.id));
    assert_str(f.who.team->id, "acme");
    assert_int_equal(f.who.role, CONF_ROLE_MANAGEMENT);
    assert_int_equal(f.who.window.limit, 0); /* no limit is in force */
    assert_int_equal(f.who.key->pins, 1);
    assert_int_equal(f.who.key->last_used_ms, T0);
    book_key *key = f.who.key;
    admit_release(&f.env, &f.who, f.now);
    assert_int_equal(key->pins, 0);
    af_close(&f);
}

static void every_byte_of_a_secret_counts(void **state)
{
    (void)state;
    af f;
    af_key k;
    af_open(&f, 1);
    f.c.admission.address_requests_per_minute = 0;
    af_team(&f, "acme", CONF_PREPAID, "");
    af_make(&f, &k);
    af_put(&f, &k);
    for (size_t i = 0; i < k.len; i++) {
        char was = k.secret[i];
        k.secret[i] = was == 'a' ? 'b' : 'a';
        assert_int_equal(af_pass(&f, af_secret(&k)), ADMIT_REFUSED);
        assert_int_equal(f.e.status, 401);
        assert_str(f.e.message, "Invalid API key.");
        k.secret[i] = was;
    }
    assert_int_equal(af_pass(&f, str_make(k.secret, k.len - 1)), ADMIT_REFUSED);
    assert_int_equal(af_pass(&f, af_secret(&k)), ADMIT_OK);
    /* And every byte of the hash that is kept: the comparison ends at none of them. */
    for (size_t i = 0; i < sizeof(k.row.hmac); i++) {
        k.row.hmac[i] ^= 1;
        k.row.pepper_id[0] = f.pepper.id[0];
        assert_int_equal(book_remove_key(f.b, k.row.id), 0);
        af_put(&f, &k);
        assert_int_equal(af_pass(&f, af_secret(&k)), ADMIT_REFUSED);
        k.row.hmac[i] ^= 1;
    }
    af_close(&f);
}

/* What compares secrets takes the same time for each: nothing in these files may compare a hash
 * with memcmp or str_eq. */
static void comparison_is_constant_time(void **state)
{
    (void)state;
    static char text[65536];
    FILE *file = fopen(TEST_SOURCE_DIR "/core/admit/admit.c", "r");
    assert_non_null(file);
    size_t n = fread(text, 1, sizeof(text) - 1, file);
    fclose(file);
    text[n] = 0;
    const char *hmac = strstr(text, "secret_mac_of(env->mac, secret, hmac)");
    assert_non_null(hmac);
    const char *compare = strstr(hmac, "str_eq_secret(");
    assert_non_null(compare);
    assert_true(compare - hmac < 120);
    for (const char *p = text; (p = strstr(p, "memcmp(")); p++)
        assert_memory_equal(p, "memcmp(t->pepper_id", 19); /* a public name */
}

static void keys_that_are_no_longer_good(void **state)
{
    (void)state;
    af f;
    af_key k;
    af_open(&f, 1);
    f.c.admission.address_requests_per_minute = 0;
    af_team(&f, "acme", CONF_PREPAID, "");
    af_make(&f, &k);
    k.row.expires_ms = T0 + 1000;
    af_put(&f, &k);
    f.now.unix_ms = T0 + 999;
    assert_int_equal(af_pass(&f, af_secret(&k)), ADMIT_OK);
    f.now.unix_ms = T0 + 1000;
    assert_int_equal(af_pass(&f, af_secret(&k)), ADMIT_REFUSED);
    assert_int_equal(f.e.status, 401);
    assert_str(f.e.message, "This API key has expired. Create a new one.");
    assert_str(f.e.code, "expired_api_key");
    /* Somebody without the secret does not learn that. */
    spoil(&k);
    assert_int_equal(af_pass(&f, af_secret(&k)), ADMIT_REFUSED);
    assert_str(f.e.message, "Invalid API key.");
    spoil(&k);
    k.row.expires_ms = 0;
    k.row.disabled = 1;
    af_put(&f, &k);
    assert_int_equal(af_pass(&f, af_secret(&k)), ADMIT_REFUSED);
    assert_str(f.e.message, "Invalid API key.");
    assert_int_equal(af_ask(&f, &f.open, af_secret(&k), &f.who), ADMIT_OK); /* nobody */
    assert_null(f.who.key);
    assert_int_equal(f.who.role, 0);
    k.row.disabled = 0;
    af_put(&f, &k);
    assert_int_equal(af_pass(&f, af_secret(&k)), ADMIT_OK);
    assert_int_equal(book_remove_key(f.b, k.row.id), 0);
    assert_int_equal(af_pass(&f, af_secret(&k)), ADMIT_REFUSED); /* on the very next request */
    assert_int_equal(f.e.status, 401);
    assert_int_equal(book_remove_key(f.b, k.row.id), -1);
    af_close(&f);
}

static void inactive_teams(void **state)
{
    (void)state;
    af f;
    af_key k;
    af_open(&f, 1);
    af_team(&f, "acme", CONF_PREPAID, "");
    registry_team t = {.id = STR("acme"), .name = STR("acme"), .billing = CONF_PREPAID};
    assert_int_equal(book_put_team(f.b, &t), 0);
    af_make(&f, &k);
    k.row.limits.requests_per_minute = 9;
    af_put(&f, &k);
    assert_int_equal(af_pass(&f, af_secret(&k)), ADMIT_REFUSED);
    assert_int_equal(f.e.status, 403);
    assert_str(f.e.type, "permission_error");
    assert_str(f.e.code, "team_inactive");
    assert_int_equal(f.who.window.limit, 9);
    assert_int_equal(f.who.window.remaining, 9);
    f.surface.words = CONF_WORDS_CAILOS;
    assert_int_equal(af_pass(&f, af_secret(&k)), ADMIT_REFUSED);
    assert_true(profile_words(&f.surface, PROFILE_TEAM_INACTIVE).len > 0);
    assert_true(str_eq(f.e.message, profile_words(&f.surface, PROFILE_TEAM_INACTIVE)));
    assert_int_equal(af_ask(&f, &f.open, af_secret(&k), &f.who), ADMIT_OK); /* needs no key */
    assert_null(f.who.team);
    af_team(&f, "acme", CONF_PREPAID, "");
    assert_int_equal(af_pass(&f, af_secret(&k)), ADMIT_OK);
    af_close(&f);
}

static void requests_a_minute(void **state)
{
    (void)state;
    af f;
    af_key k, other;
    af_open(&f, 1);
    af_team(&f, "acme", CONF_PREPAID, "");
    af_make(&f, &k);
    k.row.limits.requests_per_minute = 3;
    af_put(&f, &k);
    af_make(&f, &other);
    other.row.limits.requests_per_minute = 3;
    af_put(&f, &other);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(af_pass(&f, af_secret(&k)), ADMIT_OK);
        assert_int_equal(f.who.window.limit, 3);
        assert_int_equal(f.who.window.remaining, 2 - i);
        assert_int_equal(f.who.window.reset_s, T0 / 1000 + 60);
    }
    f.now.unix_ms = T0 + 20000;
    assert_int_equal(af_ask(&f, &f.r, af_secret(&k), &f.who), ADMIT_REFUSED);
    assert_int_equal(f.e.status, 429);
    assert_int_equal(f.e.retry_after_s, 40);
    assert_str(f.e.code, "rate_limit_exceeded");
    assert_str(f.e.type, "rate_limit_error");
    assert_str(f.e.message, "Rate limit exceeded: 3 requests a minute for this key. Retry after 40 "
                            "seconds.");
    assert_int_equal(f.who.window.limit, 3);
    assert_int_equal(f.who.window.remaining, 0);
    assert_str(admit_name(&f.who), "one"); /* the log says whose it was */
    admit_release(&f.env, &f.who, f.now);
    f.surface.words = CONF_WORDS_KAIROSROUTE;
    assert_int_equal(af_pass(&f, af_secret(&k)), ADMIT_REFUSED);
    assert_true(profile_words(&f.surface, PROFILE_RATE).len > 0);
    assert_true(str_eq(f.e.message, profile_words(&f.surface, PROFILE_RATE)));
    assert_int_equal(af_pass(&f, af_secret(&other)), ADMIT_OK); /* of one team, by themselves */
    assert_int_equal(f.who.window.remaining, 2);
    /* A changed limit counts what is counted already. */
    k.row.limits.requests_per_minute = 5;
    af_put(&f, &k);
    assert_int_equal(af_pass(&f, af_secret(&k)), ADMIT_OK);
    assert_int_equal(f.who.window.remaining, 1);
    f.now.unix_ms = T0 + 60000;
    assert_int_equal(af_pass(&f, af_secret(&k)), ADMIT_OK);
    assert_int_equal(f.who.window.remaining, 4);
    af_close(&f);
}

static void requests_at_the_same_time(void **state)
{
    (void)state;
    af f;
    af_key k;
    admit_principal two = {0};
    af_open(&f, 1);
    af_team(&f, "acme", CONF_PREPAID, "");
    af_make(&f, &k);
    k.row.limits = (conf_limits){4, -1, 2};
    af_put(&f, &k);
    book_key *key = book_key_by_lookup(f.b, k.row.lookup);
    assert_int_equal(af_ask(&f, &f.r, af_secret(&k), &f.who), ADMIT_OK);
    assert_int_equal(af_ask(&f, &f.r, af_secret(&k), &two), ADMIT_OK);
    assert_int_equal(key->in_flight, 2);
    admit_principal three = {0};
    assert_int_equal(af_ask(&f, &f.r, af_secret(&k), &three), ADMIT_REFUSED);
    assert_int_equal(f.e.status, 429);
    assert_int_equal(f.e.retry_after_s, 1);
    assert_str(f.e.message, "Rate limit exceeded: 2 requests at the same time for this key. Retry "
                            "when one of them has ended.");
    assert_int_equal(three.window.remaining, 2); /* shown, not counted */
    assert_int_equal(key->in_flight, 2);
    admit_release(&f.env, &three, f.now);
    assert_int_equal(key->in_flight, 2);
    admit_release(&f.env, &two, f.now);
    assert_int_equal(key->in_flight, 1);
    admit_release(&f.env, &two, f.now); /* once is enough */
    assert_int_equal(key->in_flight, 1);
    /* Refused by the minute's limit, it is not in flight either. */
    for (int i = 0; i < 2; i++) {
        assert_int_equal(af_ask(&f, &f.r, af_secret(&k), &two), ADMIT_OK);
        admit_release(&f.env, &two, f.now);
    }
    assert_int_equal(af_ask(&f, &f.r, af_secret(&k), &two), ADMIT_REFUSED);
    assert_int_equal(key->in_flight, 1);
    admit_release(&f.env, &two, f.now);
    admit_release(&f.env, &f.who, f.now);
    assert_int_equal(key->in_flight, 0);
    assert_int_equal(key->pins, 0);
    af_close(&f);
}

/* ---- Client addresses. */
static void failures_count_against_the_address(void **state)
{
    (void)state;
    af f;
    af_key k;
    af_open(&f, 1);
    af_team(&f, "acme", CONF_PREPAID, "");
    af_make(&f, &k);
    af_put(&f, &k);
    af_static(&f, "fixed", "sk-fixed-0123456789abcdef");
    for (int i = 0; i < 5; i++) {
        assert_int_equal(af_pass(&f, STR("wrong-0123456789abcdef")), ADMIT_REFUSED);
        assert_int_equal(f.e.status, 401);
        assert_int_equal(f.who.window.limit, 5);
        assert_int_equal(f.who.window.remaining, 4 - i);
    }
    assert_int_equal(af_pass(&f, STR("wrong-0123456789abcdef")), ADMIT_REFUSED);
    assert_int_equal(f.e.status, 429);
    assert_true(f.e.retry_after_s >= 59);
    assert_true(str_starts(f.e.message, STR("Rate limit exceeded: 5 requests a minute for this "
                                            "address without a valid key. Retry after ")));
    assert_int_equal(af_pass(&f, STR_NONE), ADMIT_REFUSED);
    assert_int_equal(f.e.status, 429);
    assert_int_equal(af_ask(&f, &f.open, STR_NONE, &f.who), ADMIT_REFUSED); /* public, too */
    /* Whoever has a key there is not locked out, */
    assert_int_equal(af_pass(&f, af_secret(&k)), ADMIT_OK);
    assert_int_equal(af_pass(&f, STR("sk-fixed-0123456789abcdef")), ADMIT_OK);
    /* nor another address; */
    f.address = "192.0.2.2";
    assert_int_equal(af_pass(&f, STR_NONE), ADMIT_REFUSED);
    assert_int_equal(f.e.status, 401);
    f.address = ""; /* not known: not limited */
    for (int i = 0; i < 9; i++)
        assert_int_equal(af_ask(&f, &f.open, STR_NONE, &f.who), ADMIT_OK);
    /* and the next minute is another one. */
    f.address = "192.0.2.1";
    f.now.unix_ms += 60000;
    assert_int_equal(af_pass(&f, STR_NONE), ADMIT_REFUSED);
    assert_int_equal(f.e.status, 401);
    f.c.admission.address_requests_per_minute = 0;
    for (int i = 0; i < 9; i++)
        assert_int_equal(af_ask(&f, &f.open, STR_NONE, &f.who), ADMIT_OK);
    assert_int_equal(f.who.window.limit, 0);
    af_close(&f);
}

static void health_is_never_limited(void **state)
{
    (void)state;
    af f;
    af_open(&f, 1);
    world_route health = {.kind = WORLD_HEALTH, .is_public = 1, .method = HTTP_GET};
    for (int i = 0; i < 20; i++) {
        assert_int_equal(af_ask(&f, &health, STR_NONE, &f.who), ADMIT_OK);
        assert_int_equal(f.who.window.limit, 0);
    }
    af_close(&f);
}

static void addresses_of_one_client(void **state)
{
    (void)state;
    static const char *const same[][2] = {{"192.0.2.1", "::ffff:192.0.2.1"},
                                          {"2001:db8:1:2::1", "2001:db8:1:2:ffff::9"},
                                          {"fe80::1%eth0", "fe80::2%eth1"},
                                          {"[2001:db8::1]", "2001:db8::2"}};
    static const char *const apart[][2] = {{"192.0.2.1", "192.0.2.2"},
                                           {"2001:db8:1:2::1", "2001:db8:1:3::1"},
                                           {"::1", "192.0.2.1"},
                                           {"garbage", "garbage2"}};
    af f;
    af_open(&f, 1);
    f.c.admission.address_requests_per_minute = 1;
    for (size_t i = 0; i < TP_COUNT(same) + TP_COUNT(apart); i++) {
        int is_same = i < TP_COUNT(same);
        const char *const *pair = is_same ? same[i] : apart[i - TP_COUNT(same)];
        address_table_free(f.addresses);
        f.env.addresses = f.addresses = address_table_new(1024);
        f.address = pair[0];
        assert_int_equal(af_ask(&f, &f.open, STR_NONE, &f.who), ADMIT_OK);
        f.address = pair[1];
        assert_int_equal(af_ask(&f, &f.open, STR_NONE, &f.who), is_same ? ADMIT_REFUSED : ADMIT_OK);
    }
    af_close(&f);
}

/* A table of 4 slots, and many more clients: what was counted is never forgotten within its minute,
 * so that a flood from everywhere does not win anybody a new allowance. */
static void a_full_table_is_no_amnesty(void **state)
{
    (void)state;
    af f;
    int passed = 0;
    af_open(&f, 1);
    address_table_free(f.addresses);
    f.env.addresses = f.addresses = address_table_new(4);
    for (int i = 0; i < 500; i++) {
        char text[32];
        snprintf(text, sizeof(text), "198.51.%d.%d", i / 250, i % 250);
        f.address = text;
        passed += af_ask(&f, &f.open, STR_NONE, &f.who) == ADMIT_OK;
    }
    assert_int_equal(passed, 4 * 5);
    f.now.unix_ms += 60000;
    f.address = "192.0.2.1";
    assert_int_equal(af_ask(&f, &f.open, STR_NONE, &f.who), ADMIT_OK);
    af_close(&f);
}

/* ---- Another pepper: Argon2id decides, once. */
static void the_slow_way(void **state)
{
    (void)state;
    af f;
    af_key k;
    af_open(&f, 1);
    af_team(&f, "acme", CONF_PREPAID, "");
    af_make(&f, &k);
    assert_int_equal(secret_argon2(af_secret(&k), k.argon2), 0);
    k.row.argon2 = str_of(k.argon2);
    memset(k.row.hmac, 1, sizeof(k.row.hmac));
    memset(k.row.pepper_id, 2, sizeof(k.row.pepper_id));
    k.row.limits = (conf_limits){10, -1, 1};
    af_put(&f, &k);
    book_key *key = book_key_by_lookup(f.b, k.row.lookup);

    /* Wrong: it counts. */
    spoil(&k);
    assert_int_equal(af_ask(&f, &f.r, af_secret(&k), &f.who), ADMIT_SLOW);
    assert_ptr_equal(f.who.key, key);
    assert_int_equal(key->pins, 1);
    assert_int_equal(admit_verify(key, af_secret(&k)), 0);
    assert_int_equal(admit_verified(&f.env, &f.w, &f.r, 0, af_secret(&k), str_of(f.address), f.now,
                                    &f.who, &f.e),
                     ADMIT_REFUSED);
    assert_int_equal(f.e.status, 401);
    assert_str(f.e.message, "Invalid API key.");
    assert_int_equal(f.who.window.limit, 5);
    assert_int_equal(f.who.window.remaining, 4);
    assert_null(f.who.key);
    assert_int_equal(key->pins, 0);
    assert_int_equal(af_ask(&f, &f.open, af_secret(&k), &f.who), ADMIT_SLOW);
    assert_int_equal(admit_verified(&f.env, &f.w, &f.open, 0, af_secret(&k), str_of(f.address),
                                    f.now, &f.who, &f.e),
                     ADMIT_OK); /* nobody */
    assert_null(f.who.key);
    spoil(&k);

    /* Right: it does not, the key's own limits do, and the next time is quick. */
    assert_int_equal(af_ask(&f, &f.r, af_secret(&k), &f.who), ADMIT_SLOW);
    assert_int_equal(admit_verify(key, af_secret(&k)), 1);
    assert_int_equal(admit_verified(&f.env, &f.w, &f.r, 1, af_secret(&k), str_of(f.address), f.now,
                                    &f.who, &f.e),
                     ADMIT_OK);
    assert_ptr_equal(f.who.key, key);
    assert_int_equal(key->pins, 1);
    assert_int_equal(key->in_flight, 1);
    assert_int_equal(f.who.window.limit, 10);
    assert_int_equal(f.who.window.remaining, 9);
    admit_release(&f.env, &f.who, f.now);
    assert_int_equal(key->pins, 0);
    assert_int_equal(af_pass(&f, af_secret(&k)), ADMIT_OK);
    spoil(&k);
    assert_int_equal(af_pass(&f, af_secret(&k)), ADMIT_REFUSED); /* quick as well */
    assert_int_equal(f.who.window.remaining, 2);                 /* the third failure of five */
    spoil(&k);
    /* A change of the row, which knows only the old pepper, does not make it forget. */
    k.row.name = STR("renamed");
    af_put(&f, &k);
    assert_int_equal(af_ask(&f, &f.r, af_secret(&k), &f.who), ADMIT_OK);
    assert_str(admit_name(&f.who), "renamed");
    af_close(&f);
}

static void argon2_is_never_begun_for_an_address_over_its_limit(void **state)
{
    (void)state;
    af f;
    af_key k;
    admit_principal many[6];
    af_open(&f, 1);
    af_team(&f, "acme", CONF_PREPAID, "");
    af_make(&f, &k);
    memset(k.row.pepper_id, 2, sizeof(k.row.pepper_id));
    af_put(&f, &k);
    /* Nothing has failed yet, but no more than may fail are under way. */
    for (int i = 0; i < 5; i++)
        assert_int_equal(af_ask(&f, &f.r, af_secret(&k), &many[i]), ADMIT_SLOW);
    assert_int_equal(af_ask(&f, &f.r, af_secret(&k), &many[5]), ADMIT_REFUSED);
    assert_int_equal(f.e.status, 429);
    /* One was right: there is room for one. */
    assert_int_equal(admit_verified(&f.env, &f.w, &f.r, 1, af_secret(&k), str_of(f.address), f.now,
                                    &many[0], &f.e),
                     ADMIT_OK);
    book_key *key = many[0].key;
    assert_int_equal(af_pass(&f, STR("wrong-0123456789abcdef")), ADMIT_REFUSED);
    assert_int_equal(f.e.status, 401);
    assert_int_equal(af_pass(&f, STR("wrong-0123456789abcdef")), ADMIT_REFUSED);
    assert_int_equal(f.e.status, 429);
    for (int i = 0; i < 6; i++)
        admit_release(&f.env, &many[i], f.now); /* some were given up in between */
    assert_int_equal(key->pins, 0);
    af_close(&f);
}

static void what_changed_while_argon2_worked(void **state)
{
    (void)state;
    af f;
    af_key k;
    af_open(&f, 1);
    af_team(&f, "acme", CONF_PREPAID, "");
    af_make(&f, &k);
    memset(k.row.pepper_id, 2, sizeof(k.row.pepper_id));
    af_put(&f, &k);
    assert_int_equal(af_ask(&f, &f.r, af_secret(&k), &f.who), ADMIT_SLOW);
    assert_int_equal(book_remove_key(f.b, k.row.id), 0);
    book_quiet(f.b, 0);
    assert_int_equal(f.b->retired_count, 1); /* pinned: it stays */
    assert_int_equal(admit_verify(f.who.key, af_secret(&k)), 0);
    assert_int_equal(admit_verified(&f.env, &f.w, &f.r, 1, af_secret(&k), str_of(f.address), f.now,
                                    &f.who, &f.e),
                     ADMIT_REFUSED);
    assert_int_equal(f.e.status, 401);
    book_quiet(f.b, 0);
    assert_int_equal(f.b->retired_count, 0);
    af_close(&f);
}

/* ---- Static keys that have more than a name. */
static void static_keys_in_the_book(void **state)
{
    (void)state;
    af f;
    conf_tier tiers[] = {{.name = STR("pro"), .limits = {2, 0, 0}}};
    af_open(&f, 1);
    f.c.tiers = tiers;
    f.c.tier_count = 1;
    af_static(&f, "plain", "sk-plain-0123456789abcdef");
    conf_key *rich = af_static(&f, "rich", "sk-rich-0123456789abcdef");
    conf_key *poor = af_static(&f, "poor", "sk-poor-0123456789abcdef");
    rich->team = STR("acme");
    rich->tier = STR("pro");
    rich->role = CONF_ROLE_ADMIN;
    poor->team = STR("later");
    assert_int_equal(book_configure(f.b, &f.c, T0), 0);
    assert_int_equal(book_key_count(f.b), 2);
    assert_null(book_key_static(f.b, STR("plain")));
    assert_int_equal(af_ask(&f, &f.r, STR("sk-plain-0123456789abcdef"), &f.who), ADMIT_OK);
    assert_str(f.who.fixed->name, "plain");
    assert_null(f.who.key);
    assert_int_equal(f.who.role, CONF_ROLE_INFERENCE);
    /* A team that nobody knows is no team to pay. */
    assert_int_equal(af_pass(&f, STR("sk-rich-0123456789abcdef")), ADMIT_REFUSED);
    assert_int_equal(f.e.status, 403);
    assert_null(book_team_of(f.b, STR("acme")));
    af_team(&f, "acme", CONF_POSTPAID, "");
    assert_int_equal(af_ask(&f, &f.r, STR("sk-rich-0123456789abcdef"), &f.who), ADMIT_OK);
    assert_str(f.who.team->id, "acme");
    assert_int_equal(f.who.role, CONF_ROLE_ADMIN);
    assert_str(f.who.key->id, "static:rich");
    assert_int_equal(f.who.window.limit, 2);
    book_key *key = f.who.key;
    admit_release(&f.env, &f.who, f.now);
    /* A reload is no amnesty, */
    assert_int_equal(book_configure(f.b, &f.c, T0), 0);
    assert_ptr_equal(book_key_static(f.b, STR("rich")), key);
    assert_int_equal(af_pass(&f, STR("sk-rich-0123456789abcdef")), ADMIT_OK);
    assert_int_equal(f.who.window.remaining, 0);
    assert_int_equal(af_pass(&f, STR("sk-rich-0123456789abcdef")), ADMIT_REFUSED);
    assert_int_equal(f.e.status, 429);
    /* and a key that it took away goes, also for a request that still has the old world. */
    f.c.key_count = 1;
    assert_int_equal(book_configure(f.b, &f.c, T0), 0);
    assert_null(book_key_static(f.b, STR("rich")));
    assert_int_equal(book_key_count(f.b), 0);
    assert_int_equal(af_pass(&f, STR("sk-rich-0123456789abcdef")), ADMIT_REFUSED);
    assert_int_equal(f.e.status, 401);
    af_close(&f);
}

static void sessions_stand_in_for_keys(void **state)
{
    (void)state;
    static const struct {
        const char *cookie;
        int passes;
    } cookies[] = {{"turnpike_session=abc", 1},
                   {"a=b; turnpike_session=", 1},
                   {"a=b;turnpike_session=x; c=d", 1},
                   {"xturnpike_session=abc", 0},
                   {"a=turnpike_session=", 0},
                   {"a=b; turnpike_sessio", 0},
                   {"", 0},
                   {";;;", 0}};
    af f;
    af_open(&f, 1);
    f.c.admission.address_requests_per_minute = 0;
    for (size_t i = 0; i < TP_COUNT(cookies) * 3; i++) {
        size_t c = i / 3;
        tp_header headers[2] = {{STR("cookie"), str_of(cookies[c].cookie)},
                                {STR("authorization"), STR("Bearer wrong-0123456789abcdef")}};
        http_head h = {.headers = headers, .header_count = 1};
        world_route r = f.r;
        r.session = i % 3 != 1;
        if (i % 3 == 2) {
            h.header_count = 2;
            h.known[HTTP_H_AUTHORIZATION] = headers[1].value;
        }
        int rc = admit_check(&f.env, &f.w, &r, &h, STR("192.0.2.1"), f.now, &f.who, &f.e);
        assert_int_equal(rc, i % 3 == 0 && cookies[c].passes ? ADMIT_OK : ADMIT_REFUSED);
        assert_int_equal(f.who.role, 0);
    }
    af_close(&f);
}

/* ---- Teams' policies, models, provider keys. */
static void what_a_key_may_use(void **state)
{
    (void)state;
    af f;
    af_key k;
    arena a;
    tp_str models[] = {STR("llama-3.3-70b"), STR("openai/*")};
    af_open(&f, 1);
    arena_init(&a, NULL, 4096);
    af_team(&f, "acme", CONF_PREPAID, "");
    af_make(&f, &k);
    k.row.models = models;
    k.row.model_count = 2;
    af_put(&f, &k);
    memset(models, 0, sizeof(models)); /* the book has copies */
    assert_int_equal(af_ask(&f, &f.r, af_secret(&k), &f.who), ADMIT_OK);
    assert_int_equal(admit_may_use(&f.who, STR("llama-3.3-70b")), 1);
    assert_int_equal(admit_may_use(&f.who, STR("openai/gpt-4")), 1);
    assert_int_equal(admit_may_use(&f.who, STR("openai")), 0);
    assert_int_equal(admit_model(&f.who, STR("claude"), &a, &f.e), -1);
    assert_int_equal(f.e.status, 403);
    assert_str(f.e.message, "Key 'one' may not use model 'claude'.");
    assert_null(admit_policy(&f.who)); /* nothing written: everything */
    tp_str deny[] = {STR("groq")};
    registry_team t = {
        .id = STR("acme"),
        .name = STR("Acme"),
        .active = 1,
        .billing = CONF_PREPAID,
        .policy = {.deny_providers = deny, .deny_provider_count = 1, .min_trust = 2}};
    assert_int_equal(book_put_team(f.b, &t), 0);
    assert_non_null(admit_policy(&f.who)); /* at once */
    assert_str(admit_policy(&f.who)->deny_providers[0], "groq");
    assert_int_equal(admit_policy(&f.who)->min_trust, 2);
    book_byok keys[] = {{STR("mistral"), STR("api_key"), STR("sk-1"), STR("1"), T0},
                        {STR("mistral"), STR("codestral"), STR("sk-2"), STR("2"), T0}};
    assert_null(admit_byok(&f.who, STR("mistral"), STR("chat/openai")));
    assert_int_equal(book_put_byok(f.b, STR("acme"), keys, 2), 0);
    assert_int_equal(book_put_byok(f.b, STR("nobody"), keys, 2), -1);
    assert_str(admit_byok(&f.who, STR("mistral"), STR("chat/openai"))->secret, "sk-1");
    assert_str(admit_byok(&f.who, STR("mistral"), STR("fim/mistral"))->secret, "sk-2");
    assert_null(admit_byok(&f.who, STR("groq"), STR("chat/openai")));
    assert_int_equal(book_put_team(f.b, &t), 0); /* a change of the team keeps them */
    assert_str(admit_byok(&f.who, STR("mistral"), STR("chat/openai"))->hint, "1");
    admit_release(&f.env, &f.who, f.now);
    assert_int_equal(af_ask(&f, &f.r, af_secret(&k), &f.who), ADMIT_OK);
    assert_int_equal(f.who.byok_any, 1);
    assert_int_equal(book_put_byok(f.b, STR("acme"), NULL, 0), 0);
    assert_null(admit_byok(&f.who, STR("mistral"), STR("chat/openai")));
    arena_reset(&a);
    af_close(&f);
}

/* Whatever is refused, no message repeats a secret or a hash. */
static void messages_never_hold_a_secret(void **state)
{
    (void)state;
    af f;
    af_key k;
    af_open(&f, 1);
    af_team(&f, "acme", CONF_PREPAID, "");
    af_make(&f, &k);
    k.row.limits.requests_per_minute = 1;
    k.row.spend_limit_nano = 1;
    af_put(&f, &k);
    for (int i = 0; i < 12; i++) {
        tp_str part = str_make(k.secret + 8 + SECRET_LOOKUP, 8);
        if (i == 4)
            k.row.disabled = 1, af_put(&f, &k);
        if (i == 6)
            k.row.disabled = 0, k.row.expires_ms = 1, af_put(&f, &k);
        if (af_pass(&f, af_secret(&k)) != ADMIT_OK) {
            assert_true(f.e.status == 401 || f.e.status == 429);
            assert_null(memmem(f.e.message.ptr, f.e.message.len, part.ptr, part.len));
            assert_null(memmem(f.e.message.ptr, f.e.message.len, k.secret + 8, 4));
        }
    }
    af_close(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_stored_key_passes),
        cmocka_unit_test(every_byte_of_a_secret_counts),
        cmocka_unit_test(comparison_is_constant_time),
        cmocka_unit_test(keys_that_are_no_longer_good),
        cmocka_unit_test(inactive_teams),
        cmocka_unit_test(requests_a_minute),
        cmocka_unit_test(requests_at_the_same_time),
        cmocka_unit_test(failures_count_against_the_address),
        cmocka_unit_test(health_is_never_limited),
        cmocka_unit_test(addresses_of_one_client),
        cmocka_unit_test(a_full_table_is_no_amnesty),
        cmocka_unit_test(the_slow_way),
        cmocka_unit_test(argon2_is_never_begun_for_an_address_over_its_limit),
        cmocka_unit_test(what_changed_while_argon2_worked),
        cmocka_unit_test(static_keys_in_the_book),
        cmocka_unit_test(sessions_stand_in_for_keys),
        cmocka_unit_test(what_a_key_may_use),
        cmocka_unit_test(messages_never_hold_a_secret),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
