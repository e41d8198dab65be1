/* A record as bytes: what goes in comes out, what is too long is cut where it may be, and bytes of
 * another version or with a fault are none. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/str.h"
#include "settle/ledger.h"

static settle_record typical(void)
{
    settle_record r = {.generation = STR("gen-0123456789abcdef01234567"),
                       .upstream_id = STR("chatcmpl-9sYJq0mY3Zk"),
                       .request_id = STR("6f1c7f2e-8f0b-4a53-9a55-0f6a1d3a7c11"),
                       .key = STR("ci"),
                       .surface = STR("airouter"),
                       .endpoint = STR("chat"),
                       .model_asked = STR("auto"),
                       .model_served = STR("llama-3.3-70b-versatile"),
                       .provider = STR("groq"),
                       .client = STR("192.0.2.7"),
                       .method = STR("POST"),
                       .path = STR("/api/v1/chat/completions"),
                       .unix_ms = 1767225600123,
                       .latency_us = 1234567,
                       .first_token_us = -1,
                       .bytes_in = 1500,
                       .bytes_out = 5000000000,
                       .cost_nano = 985000,
                       .status = 200,
                       .outcome = SETTLE_COMPLETED,
                       .attempts = 2,
                       .streamed = 1,
                       .finish = TP_FINISH_LENGTH,
                       .flags = SETTLE_BYOK | SETTLE_ESTIMATED,
                       .key_id = STR("key_8Hk2"),
                       .team = STR("acme"),
                       .price_version = STR("p-0123456789abcdef"),
                       .prompt = STR("{\"messages\":[]}"),
                       .hold_nano = 6000000,
                       .charged_nano = 49250,
                       .baseline_nano = -1};
    usage_set(&r.used, STR("prompt"), 1000);
    usage_set(&r.used, STR("completion"), 500);
    usage_set(&r.used, STR("images:1024x1024-unusual-long"), INT64_MAX);
    return r;
}

#define SAME(f) assert_true(str_eq(a->f, b->f))
#define EQUAL(f) assert_true(a->f == b->f)
static void same(const settle_record *a, const settle_record *b)
{
    SAME(generation); SAME(upstream_id); SAME(request_id); SAME(key); SAME(surface);
    SAME(endpoint); SAME(model_asked); SAME(model_served); SAME(provider); SAME(client);
    SAME(method); SAME(path); SAME(key_id); SAME(team); SAME(price_version); SAME(prompt);
    EQUAL(unix_ms); EQUAL(latency_us); EQUAL(first_token_us); EQUAL(bytes_in); EQUAL(bytes_out);
    EQUAL(cost_nano); EQUAL(status); EQUAL(outcome); EQUAL(attempts); EQUAL(streamed);
    EQUAL(finish); EQUAL(flags); EQUAL(hold_nano); EQUAL(charged_nano); EQUAL(baseline_nano);
    EQUAL(used.count);
    for (uint32_t i = 0; i < a->used.count; i++) {
        assert_string_equal(a->used.classes[i].unit, b->used.classes[i].unit);
        EQUAL(used.classes[i].count);
    }
}

static void what_goes_in_comes_out(void **state)
{
    unsigned char bytes[2048];
    settle_record r = typical(), back, none = {0};
    (void)state;
    size_t n = ledger_encode(&r, bytes, sizeof(bytes));
    assert_true(n > 300 && n <= ledger_record_max(r.prompt.len));
    assert_int_equal(ledger_decode(bytes, n, &back), n);
    same(&r, &back);
    assert_ptr_equal(back.prompt.ptr + back.prompt.len, bytes + n); /* borrowed, not copied */
    n = ledger_encode(&none, bytes, sizeof(bytes));
    assert_int_equal(n, 138);
    assert_int_equal(ledger_decode(bytes, n, &back), n);
    same(&none, &back);
}

/* Files outlive the code: the layout of version 1 is these bytes. */
static void the_layout_is_what_it_is(void **state)
{
    static const unsigned char want[] = {
        1, 1, 0, 0, 157, 0, 0, 0,                       /* version, classes, 0, bytes */
        0x01, 0x02, 0, 0, 0, 0, 0, 0,                   /* unix_ms 0x0201 */
        2, 0, 0, 0, 0, 0, 0, 0,                         /* latency_us */
        255, 255, 255, 255, 255, 255, 255, 255,         /* first_token_us -1 */
        4, 0, 0, 0, 0, 0, 0, 0, 5, 0, 0, 0, 0, 0, 0, 0, /* bytes in, out */
        6, 0, 0, 0, 0, 0, 0, 0, 7, 0, 0, 0, 0, 0, 0, 0, /* cost, hold */
        8, 0, 0, 0, 0, 0, 0, 0, 9, 0, 0, 0, 0, 0, 0, 0, /* charged, baseline */
        200, 0, 0, 0, 1, 0, 0, 0, 2, 0, 0, 0, 1, 0, 0, 0, 3, 0, 0, 0, 2, 0, 0, 0, 1, 0, 0, 0,
        1, 0, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, /* lengths of the strings */
        0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0,
        'g', 't', 'm', '/',                             /* generation, team, path */
        5, 16, 0, 0, 0, 0, 0, 0, 0, 't', 'o', 'k', 'e', 'n', '!'};
    unsigned char bytes[256];
    settle_record r = {.generation = STR("g"), .team = STR("tm"), .path = STR("/"),
                       .unix_ms = 0x201,
                       .latency_us = 2, .first_token_us = -1, .bytes_in = 4, .bytes_out = 5,
                       .cost_nano = 6, .hold_nano = 7, .charged_nano = 8, .baseline_nano = 9,
                       .status = 200, .outcome = 1, .attempts = 2, .streamed = 1, .finish = 3,
                       .flags = 2, .prompt = STR("!")};
    (void)state;
    usage_set(&r.used, STR("token"), 16);
    assert_int_equal(ledger_encode(&r, bytes, sizeof(bytes)), sizeof(want));
    assert_memory_equal(bytes, want, sizeof(want));
}

static void fields_of_a_newer_version_are_passed_over(void **state)
{
    unsigned char bytes[2048];
    settle_record r = typical(), back;
    (void)state;
    size_t n = ledger_encode(&r, bytes, sizeof(bytes)), longer = n + 40;
    memset(bytes + n, 0xa5, 100);
    bytes[4] = (unsigned char)longer;
    bytes[5] = (unsigned char)(longer >> 8);
    assert_int_equal(ledger_decode(bytes, n + 100, &back), longer);
    same(&r, &back);
    assert_int_equal(ledger_decode(bytes, longer - 1, &back), 0);
}

static void what_is_no_record_is_refused(void **state)
{
    unsigned char bytes[2048];
    settle_record r = typical(), back;
    (void)state;
    size_t n = ledger_encode(&r, bytes, sizeof(bytes));
    for (size_t cut = 0; cut < n; cut++) {
        unsigned char *exact = malloc(cut + 1); /* a byte read beyond is a sanitizer's */
        memcpy(exact, bytes, cut);
        exact = realloc(exact, cut ? cut : 1);
        assert_int_equal(ledger_decode(exact, cut, &back), 0);
        if (cut >= 8) { /* also when the record says that it is that short */
            exact[4] = (unsigned char)cut;
            exact[5] = (unsigned char)(cut >> 8);
            assert_int_equal(ledger_decode(exact, cut, &back), 0);
        }
        free(exact);
    }
    bytes[0] = 2;
    assert_int_equal(ledger_decode(bytes, n, &back), 0);
    bytes[0] = 1;
    bytes[1] = USAGE_CLASSES + 1;
    assert_int_equal(ledger_decode(bytes, n, &back), 0);
    bytes[1] = 3;
    bytes[109] = 0xff; /* length of the generation */
    assert_int_equal(ledger_decode(bytes, n, &back), 0);
    bytes[109] = 0;
    assert_int_equal(ledger_decode(bytes, n, &back), n);
}

static void too_small_a_buffer_takes_nothing(void **state)
{
    unsigned char bytes[2048];
    settle_record r = typical();
    (void)state;
    size_t n = ledger_encode(&r, bytes, sizeof(bytes));
    memset(bytes, 0x5a, sizeof(bytes));
    assert_int_equal(ledger_encode(&r, bytes, n - 1), 0);
    assert_int_equal(bytes[0], 0x5a);
    assert_int_equal(ledger_encode(&r, bytes, n), n);
    assert_int_equal(bytes[n], 0x5a);
}

static void long_strings_are_cut_and_ids_are_not(void **state)
{
    static char model[70000], path[9000];
    unsigned char bytes[8192];
    settle_record r = typical(), back;
    (void)state;
    memset(model, 'm', sizeof(model));
    for (size_t i = 0; i < sizeof(path); i += 3)
        memcpy(path + i, "\xe2\x82\xac", 3); /* the euro sign: three bytes */
    r.model_asked = str_make(model, sizeof(model));
    r.path = str_make(path, sizeof(path));
    size_t n = ledger_encode(&r, bytes, sizeof(bytes));
    assert_true(n > 0 && n <= ledger_record_max(r.prompt.len));
    assert_int_equal(ledger_decode(bytes, n, &back), n);
    size_t all = back.model_asked.len + back.path.len;
    assert_true(back.model_asked.len > 1500 && back.path.len > 1500);
    assert_true(back.path.len % 3 == 0 && back.model_asked.len - back.path.len < 3);
    assert_memory_equal(back.model_asked.ptr, model, back.model_asked.len);
    assert_memory_equal(back.path.ptr, path, back.path.len);
    r.model_asked = back.model_asked;
    r.path = back.path;
    same(&r, &back); /* all the others are whole */
    all += r.generation.len + r.upstream_id.len + r.request_id.len + r.key.len + r.surface.len +
           r.endpoint.len + r.model_served.len + r.provider.len + r.client.len + r.method.len +
           r.key_id.len + r.team.len + r.price_version.len;
    assert_true(all <= LEDGER_RECORD_STRINGS && all > LEDGER_RECORD_STRINGS - 4);
}

static void bytes_that_are_no_utf8_are_cut_anywhere(void **state)
{
    static char path[9000];
    unsigned char bytes[8192];
    settle_record r = {.path = str_make(path, sizeof(path))}, back;
    (void)state;
    memset(path, 0x80, sizeof(path));
    size_t n = ledger_encode(&r, bytes, sizeof(bytes));
    assert_int_equal(ledger_decode(bytes, n, &back), n);
    assert_int_equal(back.path.len, LEDGER_RECORD_STRINGS);
}

static settle_record endless(void)
{
    static char text[100000];
    settle_record r = typical();
    tp_str *all[] = {&r.generation, &r.upstream_id, &r.request_id, &r.key, &r.surface,
                     &r.endpoint, &r.model_asked, &r.model_served, &r.provider, &r.client,
                     &r.method, &r.path, &r.key_id, &r.team, &r.price_version};
    memset(text, 'x', sizeof(text));
    for (size_t i = 0; i < TP_COUNT(all); i++)
        *all[i] = str_make(text, sizeof(text) - i);
    r.prompt = str_make(text, sizeof(text));
    r.used.count = 0;
    for (char c = 'a'; c < 'a' + USAGE_CLASSES; c++) {
        memset(text, c, 23);
        usage_set(&r.used, str_make(text, 23), c);
    }
    memset(text, 'x', 23);
    return r;
}

static void the_most_that_it_takes_is_enough(void **state)
{
    settle_record r = endless(), back;
    size_t most = ledger_record_max(r.prompt.len);
    unsigned char *bytes = malloc(most);
    (void)state;
    size_t n = ledger_encode(&r, bytes, most);
    assert_true(n > most - LEDGER_STRINGS && n <= most); /* each string is cut to the same */
    assert_int_equal(ledger_decode(bytes, n, &back), n);
    assert_int_equal(back.prompt.len, r.prompt.len);
    assert_int_equal(back.used.count, USAGE_CLASSES);
    free(bytes);
}

static void the_least_is_always_enough(void **state)
{
    unsigned char bytes[LEDGER_RECORD_LEAST];
    ledger_shape s;
    settle_record r = endless(), back, ids = typical();
    (void)state;
    assert_int_equal(ledger_shape_of(&r, LEDGER_RECORD_LEAST - 1, &s), 0);
    for (int i = 0; i < 2; i++) {
        size_t n = ledger_shape_of(&r, sizeof(bytes), &s);
        assert_true(n > 900 && n <= sizeof(bytes));
        ledger_write(&r, &s, bytes);
        assert_int_equal(ledger_decode(bytes, n, &back), n);
        assert_int_equal(back.prompt.len, 0); /* goes first */
        assert_int_equal(back.used.count, USAGE_CLASSES);
        if (i) {
            assert_true(str_eq(back.generation, ids.generation) && str_eq(back.team, ids.team));
            assert_true(str_eq(back.key_id, ids.key_id));
            assert_true(str_eq(back.price_version, ids.price_version));
        }
        r.generation = ids.generation; /* ids of the usual length are whole beside endless names */
        r.team = ids.team;
        r.key_id = ids.key_id;
        r.price_version = ids.price_version;
    }
    r = typical(); /* what fits without the prompt loses nothing else */
    size_t whole = ledger_shape_of(&r, SIZE_MAX, &s);
    assert_int_equal(ledger_shape_of(&r, whole, &s), whole);
    assert_int_equal(ledger_shape_of(&r, whole - 1, &s), whole - r.prompt.len);
}

static int64_t sum_of(const ledger_entry *e, uint32_t n, const settle_record *r)
{
    int64_t sum = 0;
    for (uint32_t i = 0; i < n; i++) {
        assert_true(str_eq(e[i].team, r->team) && str_eq(e[i].key, r->key_id));
        assert_true(str_eq(e[i].generation, r->generation));
        assert_true(e[i].unix_ms == r->unix_ms && e[i].seq == 0);
        assert_true(e[i].note.len == 0 && e[i].actor.len == 0 && e[i].reference.len == 0);
        sum += e[i].nano;
    }
    return sum;
}

static void entries_of_an_exchange(void **state)
{
    ledger_entry e[3];
    settle_record r = typical();
    (void)state;
    assert_int_equal(ledger_entries_of(&r, e), 3);
    assert_int_equal(e[0].kind, LEDGER_HOLD);
    assert_true(e[0].nano == -6000000 && e[0].price_version.len == 0);
    assert_int_equal(e[1].kind, LEDGER_SETTLE);
    assert_true(e[1].nano == -49250 && str_eq(e[1].price_version, r.price_version));
    assert_int_equal(e[2].kind, LEDGER_RELEASE);
    assert_true(e[2].nano == 6000000 && e[2].price_version.len == 0);
    assert_int_equal(sum_of(e, 3, &r), -r.charged_nano);
    r.charged_nano = 0; /* it failed: the hold comes back whole */
    assert_int_equal(ledger_entries_of(&r, e), 3);
    assert_int_equal(sum_of(e, 3, &r), 0);
    r.hold_nano = 0; /* of a team, and free of charge */
    assert_int_equal(ledger_entries_of(&r, e), 1);
    assert_int_equal(e[0].kind, LEDGER_SETTLE);
    assert_true(e[0].nano == 0);
    r.charged_nano = 7; /* nothing was held */
    assert_int_equal(ledger_entries_of(&r, e), 1);
    assert_int_equal(sum_of(e, 1, &r), -7);
    r.charged_nano = 0;
    r.team = STR_NONE;
    assert_int_equal(ledger_entries_of(&r, e), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_goes_in_comes_out),
        cmocka_unit_test(the_layout_is_what_it_is),
        cmocka_unit_test(fields_of_a_newer_version_are_passed_over),
        cmocka_unit_test(what_is_no_record_is_refused),
        cmocka_unit_test(too_small_a_buffer_takes_nothing),
        cmocka_unit_test(long_strings_are_cut_and_ids_are_not),
        cmocka_unit_test(bytes_that_are_no_utf8_are_cut_anywhere),
        cmocka_unit_test(the_most_that_it_takes_is_enough),
        cmocka_unit_test(the_least_is_always_enough),
        cmocka_unit_test(entries_of_an_exchange),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
