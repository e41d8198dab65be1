/* Reading documents: look-up, strings, numbers, places of faults, limits, quoting. */
#include <errno.h>
#include <locale.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include <cmocka.h>

#include "base/str.h"
#include "model/json.h"

typedef struct world {
    json_tape tape;
    arena a;
} world;

static int setup(void **state)
{
    world *w = calloc(1, sizeof(*w));
    arena_init(&w->a, NULL, 1 << 20);
    *state = w;
    return w ? 0 : -1;
}

static int teardown(void **state)
{
    world *w = *state;
    arena_reset(&w->a);
    json_tape_free(&w->tape);
    free(w);
    return 0;
}

static tp_doc scan(world *w, tp_str text)
{
    json_error err;
    if (json_scan(text, &w->tape, &err))
        fail_msg("%s at %u in %.*s", err.what, err.at, STR_ARG(text));
    return json_doc(text, &w->tape);
}

static void assert_str(tp_str got, const char *want, size_t n)
{
    assert_non_null(got.ptr);
    assert_int_equal(got.len, n);
    if (n)
        assert_memory_equal(got.ptr, want, n);
}
#define ASSERT_STR(got, want) assert_str(got, want, sizeof(want) - 1)

static void tape(void **state)
{
    tp_str text = STR(" {\"a\": [1, {\"b\": null}], \"c\": true} ");
    tp_doc d = scan(*state, text);
    static const struct {
        uint32_t kind, next;
        const char *raw;
    } want[] = {
        {TP_OBJECT, 9, "{\"a\": [1, {\"b\": null}], \"c\": true}"},
        {TP_STRING, 2, "\"a\""},
        {TP_ARRAY, 7, "[1, {\"b\": null}]"},
        {TP_NUMBER, 4, "1"},
        {TP_OBJECT, 7, "{\"b\": null}"},
        {TP_STRING, 6, "\"b\""},
        {TP_NULL, 7, "null"},
        {TP_STRING, 8, "\"c\""},
        {TP_BOOL, 9, "true"},
    };
    assert_int_equal(d.count, TP_COUNT(want));
    for (uint32_t t = 0; t < d.count; t++) {
        assert_int_equal(json_kind(&d, t), want[t].kind);
        assert_int_equal(d.tokens[t].next, want[t].next);
        assert_true(str_eq(json_raw(&d, t), str_of(want[t].raw)));
    }
    assert_int_equal(json_kind(&d, d.count), 0);
}

static void look_up(void **state)
{
    tp_doc d = scan(*state, STR("{\"a\":{\"b\":[7],\"B\":8},\"\\u0063\\n\":3,\"d\\\\e\":4,\"\":5,"
                                "\"abc\":6,\"\\ud83d\\ude00x\":7,\"list\":[{\"a\":1}]}"));
    int64_t n;
    uint32_t t = json_find(&d, 0, STR("a"));
    assert_int_equal(json_kind(&d, t), TP_OBJECT);
    assert_int_equal(json_kind(&d, json_find(&d, t, STR("b"))), TP_ARRAY);
    assert_int_equal(json_int(&d, json_find(&d, t, STR("B")), &n), 0);
    assert_int_equal(n, 8);
    assert_int_equal(json_int(&d, json_find(&d, 0, STR("c\n")), &n), 0);
    assert_int_equal(n, 3);
    assert_int_equal(json_int(&d, json_find(&d, 0, STR("d\\e")), &n), 0);
    assert_int_equal(n, 4);
    assert_int_equal(json_int(&d, json_find(&d, 0, STR("")), &n), 0);
    assert_int_equal(n, 5);
    assert_int_equal(json_int(&d, json_find(&d, 0, STR("\xf0\x9f\x98\x80x")), &n), 0);
    assert_int_equal(n, 7);
    static const char *const absent[] = {"A",
                                         "ab",
                                         "abcd",
                                         "c",
                                         "cn",
                                         "c\\n",
                                         "d\\\\e",
                                         "\\u0063\\n",
                                         "b",
                                         "\xf0\x9f\x98\x80",
                                         "\xf0\x9f\x98\x80xy"};
    for (size_t i = 0; i < TP_COUNT(absent); i++)
        assert_int_equal(json_find(&d, 0, str_of(absent[i])), 0);
    assert_int_equal(json_find(&d, json_find(&d, 0, STR("list")), STR("a")), 0); /* no object */
    assert_int_equal(json_find(&d, 0xffffffff, STR("a")), 0);
    assert_int_equal(json_int(&d, json_get(&d, 0, "a", "B", NULL), &n), 0);
    assert_int_equal(n, 8);
    assert_int_equal(json_get(&d, 0, "a", "b", "x", NULL), 0);
    assert_int_equal(json_get(&d, 0, "x", "b", NULL), 0);
}

static void strings(void **state)
{
    world *w = *state;
    tp_doc d =
        scan(w, STR("[\"plain \xc3\xa9\",\"\",\"\\\"\\\\\\/\\b\\f\\n\\r\\t\","
                    "\"\\u0041\\u007f\\u0080\\u07ff\\u0800\\uFFFF\\ud800\\udc00\\uDBFF\\uDFFF\","
                    "\"a\\nb and a long run behind it, and then\\tanother\",1]"));
    tp_str s = json_string(&d, 1, &w->a);
    ASSERT_STR(s, "plain \xc3\xa9");
    assert_ptr_equal(s.ptr, d.text.ptr + 2); /* in place */
    ASSERT_STR(json_string(&d, 2, &w->a), "");
    ASSERT_STR(json_string(&d, 3, &w->a), "\"\\/\b\f\n\r\t");
    ASSERT_STR(json_string(&d, 4, &w->a), "A\x7f\xc2\x80\xdf\xbf\xe0\xa0\x80\xef\xbf\xbf"
                                          "\xf0\x90\x80\x80\xf4\x8f\xbf\xbf");
    ASSERT_STR(json_string(&d, 5, &w->a), "a\nb and a long run behind it, and then\tanother");
    assert_null(json_string(&d, 6, &w->a).ptr);
    assert_null(json_string(&d, 99, &w->a).ptr);
    arena none;
    arena_init(&none, NULL, 0);
    assert_null(json_string(&d, 3, &none).ptr); /* needs memory, and there is none */
    ASSERT_STR(json_string(&d, 1, &none), "plain \xc3\xa9");

    assert_true(json_plain(&d, 1, &s));
    ASSERT_STR(s, "plain \xc3\xa9");
    assert_true(json_plain(&d, 2, &s));
    assert_false(json_plain(&d, 3, &s));
    assert_false(json_plain(&d, 6, &s));
    assert_false(json_plain(&d, 0, &s));

    assert_true(json_string_is(&d, 2, STR("")));
    assert_false(json_string_is(&d, 1, STR("")));
    assert_false(json_string_is(&d, 2, STR("x")));
    assert_true(json_string_is(&d, 3, STR("\"\\/\b\f\n\r\t")));
    assert_false(json_string_is(&d, 3, STR("\"\\/\b\f\n\r")));
    assert_false(json_string_is(&d, 3, STR("\"\\/\b\f\n\r\t ")));
    assert_false(json_string_is(&d, 3, STR("\\\"\\\\\\/\\b\\f\\n\\r\\t")));
    assert_false(json_string_is(&d, 6, STR("1")));
}

/* Halves of surrogate pairs, where the tape takes them: each is U+FFFD when it is read. */
static void halves(void **state)
{
    world *w = *state;
    w->tape.lone_surrogates = 1;
    tp_doc d = scan(w, STR("[\"\\ud83d\",\"a\\ude00b\",\"\\ud83d\\ud83d\\ude00\",\"\\ud83d\\\\ude00\","
                           "\"\\ud83d\\u0041\",{\"\\ud83d\":1,\"k\\ude00\":2}]"));
    ASSERT_STR(json_string(&d, 1, &w->a), "\xef\xbf\xbd");
    ASSERT_STR(json_string(&d, 2, &w->a), "a\xef\xbf\xbd" "b");
    ASSERT_STR(json_string(&d, 3, &w->a), "\xef\xbf\xbd\xf0\x9f\x98\x80");
    ASSERT_STR(json_string(&d, 4, &w->a), "\xef\xbf\xbd\\ude00");
    ASSERT_STR(json_string(&d, 5, &w->a), "\xef\xbf\xbd" "A");
    assert_true(json_string_is(&d, 2, STR("a\xef\xbf\xbd" "b")));
    assert_false(json_string_is(&d, 2, STR("a\xef\xbf\xbd")));
    assert_false(json_string_is(&d, 3, STR("\xef\xbf\xbd")));
    assert_int_equal(json_find(&d, 6, STR("\xef\xbf\xbd")), 8);
    assert_int_equal(json_find(&d, 6, STR("k\xef\xbf\xbd")), 10);
    w->tape.lone_surrogates = 0;
    json_error err;
    assert_int_equal(json_scan(d.text, &w->tape, &err), JSON_E_SURROGATE);
    assert_int_equal(err.at, 2);
}

static void integers(void **state)
{
    static const struct {
        const char *text;
        int rc;
        int64_t v;
    } t[] = {
        {"0", 0, 0},
        {"-0", 0, 0},
        {"42", 0, 42},
        {"-42", 0, -42},
        {"9007199254740993", 0, 9007199254740993},
        {"9223372036854775807", 0, INT64_MAX},
        {"-9223372036854775808", 0, INT64_MIN},
        {"9223372036854775808", -1, 0},
        {"-9223372036854775809", -1, 0},
        {"18446744073709551616", -1, 0},
        {"99999999999999999999999", -1, 0},
        {"1.0", -1, 0},
        {"1e3", -1, 0},
        {"1E0", -1, 0},
        {"\"1\"", -1, 0},
        {"true", -1, 0},
        {"null", -1, 0},
        {"[1]", -1, 0},
    };
    for (size_t i = 0; i < TP_COUNT(t); i++) {
        int64_t v = 77;
        tp_doc d = scan(*state, str_of(t[i].text));
        assert_int_equal(json_int(&d, 0, &v), t[i].rc);
        assert_true(v == (t[i].rc ? 77 : t[i].v));
        assert_int_equal(json_int(&d, 9, &v), -1);
    }
}

static void is_integer(void **state)
{
    static const char *const yes[] = {"0",
                                      "-0",
                                      "1",
                                      "100",
                                      "1.0",
                                      "-7.000",
                                      "10e-1",
                                      "1e3",
                                      "0e9",
                                      "0.0",
                                      "0e-9",
                                      "1.5e1",
                                      "1.25E+2",
                                      "1e400",
                                      "1200e-2",
                                      "100000000000000000000000000000000",
                                      "10.0e-1",
                                      "1e99999999999999999999",
                                      "0.00e-99999999999999999999"};
    static const char *const no[] = {"0.5",
                                     "1.5",
                                     "-0.1",
                                     "10e-2",
                                     "1e-1",
                                     "1.25e1",
                                     "1e-400",
                                     "1.0000000000000000000000000000000001",
                                     "100.001",
                                     "12e-2",
                                     "1e-99999999999999999999",
                                     "\"1\"",
                                     "true",
                                     "null",
                                     "[1]"};
    for (size_t i = 0; i < TP_COUNT(yes); i++) {
        tp_doc d = scan(*state, str_of(yes[i]));
        if (!json_is_integer(&d, 0))
            fail_msg("%s", yes[i]);
    }
    for (size_t i = 0; i < TP_COUNT(no); i++) {
        tp_doc d = scan(*state, str_of(no[i]));
        if (json_is_integer(&d, 0))
            fail_msg("%s", no[i]);
    }
}

static void doubles_here(void **state)
{
    static const struct {
        const char *text;
        double v;
    } t[] = {
        {"0", 0.0},
        {"1", 1.0},
        {"-1.5", -1.5},
        {"0.7", 0.7},
        {"0.1", 0.1},
        {"2.675", 2.675},
        {"1e3", 1e3},
        {"1e-7", 1e-7},
        {"9007199254740993", 9007199254740992.0},
        {"9007199254740992", 9007199254740992.0},
        {"0.30000000000000004", 0.30000000000000004},
        {"5e-324", 5e-324},
        {"1.7976931348623157e308", 1.7976931348623157e308},
        {"1e400", HUGE_VAL},
        {"-1e400", -HUGE_VAL},
        {"1e-400", 0.0},
        {"123456.789", 123456.789},
        {"0.000000000000001", 1e-15},
        {"123456789012345.6", 123456789012345.6},
    };
    for (size_t i = 0; i < TP_COUNT(t); i++) {
        double v;
        tp_doc d = scan(*state, str_of(t[i].text));
        assert_int_equal(json_double(&d, 0, &v), 0);
        if (memcmp(&v, &t[i].v, sizeof(v)) != 0)
            fail_msg("%s: %.17g", t[i].text, v);
    }
    double v;
    tp_doc d = scan(*state, STR("-0"));
    assert_true(json_double(&d, 0, &v) == 0 && v == 0 && signbit(v));
    d = scan(*state, STR("\"1\""));
    assert_int_equal(json_double(&d, 0, &v), -1);
    char many[2000];
    memset(many, '3', sizeof(many));
    many[1] = '.';
    errno = EBADF;
    d = scan(*state, (tp_str){many, sizeof(many)});
    assert_int_equal(json_double(&d, 0, &v), 0);
    assert_true(v == 10.0 / 3.0);
    assert_int_equal(errno, EBADF);
}

static void doubles(void **state)
{
    doubles_here(state);
    /* A locale that writes a comma, if the machine has one, changes nothing. */
    static const char *const comma[] = {"de_DE.UTF-8", "fr_FR.UTF-8", "de_DE", "ru_RU.UTF-8"};
    for (size_t i = 0; i < TP_COUNT(comma); i++) {
        if (setlocale(LC_ALL, comma[i])) {
            doubles_here(state);
            setlocale(LC_ALL, "C");
            return;
        }
    }
    print_message("no locale with a decimal comma here\n");
}

static void booleans(void **state)
{
    int v = 7;
    tp_doc d = scan(*state, STR("[true,false,null,\"true\"]"));
    assert_true(json_bool(&d, 1, &v) == 0 && v == 1);
    assert_true(json_bool(&d, 2, &v) == 0 && v == 0);
    v = 7;
    assert_int_equal(json_bool(&d, 3, &v), -1);
    assert_int_equal(json_bool(&d, 4, &v), -1);
    assert_int_equal(v, 7);
}

static void places(void **state)
{
    world *w = *state;
    json_error err = {0};
    tp_str text = STR("{\n  \"a\": 1,\r\n  \"b\": tru\n}");
    assert_int_equal(json_scan(text, &w->tape, &err), JSON_E_SYNTAX);
    assert_int_equal(err.code, JSON_E_SYNTAX);
    assert_int_equal(err.at, 20);
    assert_int_equal(err.line, 3);
    assert_int_equal(err.column, 8);
    assert_non_null(strstr(err.what, "true"));
    static const struct {
        const char *text;
        int code;
        uint32_t at;
        const char *word;
    } t[] = {
        {"[1,]", JSON_E_SYNTAX, 3, "a value"},
        {"{\"a\":1,}", JSON_E_SYNTAX, 7, "a key"},
        {"{\"a\" 1}", JSON_E_SYNTAX, 5, "':'"},
        {"[1 2]", JSON_E_SYNTAX, 3, "']'"},
        {"{\"a\":1 2}", JSON_E_SYNTAX, 7, "'}'"},
        {"[1", JSON_E_SYNTAX, 2, "ends before"},
        {"\"abc", JSON_E_SYNTAX, 4, "ends within a string"},
        {"[01]", JSON_E_SYNTAX, 2, "leading zero"},
        {"[1.]", JSON_E_SYNTAX, 3, "decimal point"},
        {"[1e]", JSON_E_SYNTAX, 3, "exponent"},
        {"[\"a\tb\"]", JSON_E_SYNTAX, 3, "control character"},
        {"[\"a\\qb\"]", JSON_E_SYNTAX, 3, "unknown escape"},
        {"[\"a\\u12\"]", JSON_E_SYNTAX, 3, "hexadecimal"},
        {"[\"a\\u0000\"]", JSON_E_NUL, 3, "NUL"},
        {"[\"a\\ud800\"]", JSON_E_SURROGATE, 3, "surrogate"},
        {"[\"a\xc3\"]", JSON_E_UTF8, 3, "UTF-8"},
        {"{\"a\":1,\"b\":2,\"a\":3}", JSON_E_DUPLICATE, 13, "twice"},
        {"[] x", JSON_E_TRAILING, 3, "follows"},
        {"  ", JSON_E_EMPTY, 0, "empty"},
        {"\xef\xbb\xbf{}", JSON_E_SYNTAX, 0, "byte order mark"},
    };
    for (size_t i = 0; i < TP_COUNT(t); i++) {
        assert_int_equal(json_scan(str_of(t[i].text), &w->tape, &err), t[i].code);
        assert_int_equal(err.code, t[i].code);
        if (err.at != t[i].at || !strstr(err.what, t[i].word))
            fail_msg("%s: \"%s\" at %u", t[i].text, err.what, err.at);
        assert_int_equal(json_scan(str_of(t[i].text), &w->tape, NULL), t[i].code);
    }
    uint32_t line, column;
    json_place(STR("ab\n\ncd"), 0, &line, &column);
    assert_true(line == 1 && column == 1);
    json_place(STR("ab\n\ncd"), 2, &line, &column);
    assert_true(line == 1 && column == 3);
    json_place(STR("ab\n\ncd"), 3, &line, &column);
    assert_true(line == 2 && column == 1);
    json_place(STR("ab\n\ncd"), 5, &line, &column);
    assert_true(line == 3 && column == 2);
    json_place(STR("ab\n\ncd"), 600, &line, &column);
    assert_true(line == 3 && column == 3);
}

static char *nested(size_t depth)
{
    char *p = malloc(2 * depth);
    memset(p, '[', depth);
    memset(p + depth, ']', depth);
    return p;
}

static void limits(void **state)
{
    world *w = *state;
    json_error err;
    char *deep = nested(600);
    static const struct {
        uint32_t set, allowed;
    } t[] = {{0, JSON_MAX_DEPTH}, {1, 1}, {5, 5}, {300, 300}, {512, 512}, {100000, 512}};
    for (size_t i = 0; i < TP_COUNT(t); i++) {
        uint32_t n = t[i].allowed;
        w->tape.max_depth = t[i].set;
        assert_int_equal(json_scan((tp_str){deep + 600 - n, 2 * n}, &w->tape, &err), 0);
        assert_int_equal(w->tape.count, n);
        assert_int_equal(json_scan((tp_str){deep + 599 - n, 2 * n + 2}, &w->tape, &err),
                         JSON_E_DEPTH);
        assert_int_equal(err.at, n);
    }
    free(deep);
    w->tape.max_depth = 0;
    w->tape.max = 4;
    assert_int_equal(json_scan(STR("[1,2,3]"), &w->tape, &err), 0);
    assert_int_equal(json_scan(STR("[1,2,3,4]"), &w->tape, &err), JSON_E_COUNT);
    assert_int_equal(err.at, 7);
    assert_int_equal(json_scan(STR("{\"a\":1,\"b\":2}"), &w->tape, &err), JSON_E_COUNT);
    w->tape.max = 1000;
    char list[2 * 2000 + 1];
    for (int i = 0; i < 2000; i++)
        memcpy(list + 2 * i, i ? ",1" : "[1", 2);
    list[2 * 999] = ']';
    assert_int_equal(json_scan((tp_str){list, 2 * 999 + 1}, &w->tape, &err), 0);
    assert_int_equal(w->tape.count, 1000);
    list[2 * 999] = ',';
    list[2 * 1000] = ']';
    assert_int_equal(json_scan((tp_str){list, 2 * 1000 + 1}, &w->tape, &err), JSON_E_COUNT);
    w->tape.max = 0;
    assert_int_equal(json_scan((tp_str){list, 2 * 1000 + 1}, &w->tape, &err), 0);

    /* The size is refused before a byte of the text is looked at. */
    assert_int_equal(json_scan((tp_str){list, (size_t)UINT32_MAX}, &w->tape, &err), JSON_E_SIZE);

    assert_true(w->tape.cap >= 1000);
    json_tape_trim(&w->tape, 1u << 20);
    assert_true(w->tape.cap >= 1000);
    json_tape_trim(&w->tape, 100);
    assert_int_equal(w->tape.cap, 0);
    assert_int_equal(json_scan(STR("[1]"), &w->tape, &err), 0);
}

/* Large objects, where a table takes over: still exact, and not quadratic. */
static void many_keys(void **state)
{
    world *w = *state;
    enum { KEYS = 100000 };
    json_error err;
    buf b;
    buf_init(&b, 8u << 20);
    size_t place[2] = {0};
    for (int i = 0; i < KEYS; i++) {
        if (i == KEYS / 2)
            place[0] = b.len + 1;
        if (i == KEYS - 1)
            place[1] = b.len + 1;
        assert_int_equal(buf_printf(&b, "%c\"%06d\":0", i ? ',' : '{', i), 0);
    }
    assert_int_equal(buf_add(&b, "}", 1), 0);
    clock_t start = clock();
    assert_int_equal(json_scan(buf_str(&b), &w->tape, &err), 0);
    assert_int_equal(w->tape.count, 1 + 2 * KEYS);
    /* Pairwise it would be five thousand million comparisons; this is a tenth of a second at most,
     * and the bound leaves room for sanitizers and a busy machine. */
    assert_true(clock() - start < 3 * CLOCKS_PER_SEC);
    memcpy(b.ptr + place[1], b.ptr + place[0], 8);
    assert_int_equal(json_scan(buf_str(&b), &w->tape, &err), JSON_E_DUPLICATE);
    assert_int_equal(err.at, place[1]);
    buf_free(&b);

    for (int keys = 1; keys < 80; keys++) {
        for (int twice = -1; twice < keys - 1; twice++) {
            char text[2048] = "";
            size_t n = 0;
            for (int i = 0; i < keys; i++)
                n += (size_t)snprintf(text + n, sizeof(text) - n, "%c\"key %d\":{\"key 0\":[]}",
                                      i ? ',' : '{', i == keys - 1 && twice >= 0 ? twice : i);
            text[n++] = '}';
            assert_int_equal(json_scan((tp_str){text, n}, &w->tape, &err),
                             twice < 0 ? 0 : JSON_E_DUPLICATE);
        }
    }
}

static void doc_in_arena(void **state)
{
    world *w = *state;
    tp_doc d;
    json_error err;
    tp_str text = STR("{\"a\":[1,2]}");
    assert_int_equal(json_scan_doc(text, &w->tape, &w->a, &d, &err), 0);
    (void)scan(w, STR("[0,0,0,0,0,0,0,0]")); /* the tape is used again; the document stays */
    int64_t v;
    assert_int_equal(d.count, 5);
    assert_int_equal(json_int(&d, 4, &v), 0);
    assert_int_equal(v, 2);
    assert_int_equal(json_scan_doc(STR("{"), &w->tape, &w->a, &d, &err), JSON_E_SYNTAX);
    arena none;
    arena_init(&none, NULL, 0);
    assert_int_equal(json_scan_doc(text, &w->tape, &none, &d, &err), TP_E_NOMEM);
}

static void quoting(void **state)
{
    world *w = *state;
    const struct {
        tp_str in, out;
    } t[] = {
        {{"", 0}, STR("\"\"")},
        {{"abc", 3}, STR("\"abc\"")},
        {{"\"\\/\b\f\n\r\t", 8}, STR("\"\\\"\\\\/\\b\\f\\n\\r\\t\"")},
        {{"\0\x01\x1f\x7f", 4}, STR("\"\\u0000\\u0001\\u001f\x7f\"")},
        {{"\xc3\xa9\xf0\x9f\x98\x80", 6}, STR("\"\xc3\xa9\xf0\x9f\x98\x80\"")},
    };
    buf b;
    for (size_t i = 0; i < TP_COUNT(t); i++) {
        buf_init(&b, 1000);
        assert_int_equal(buf_add(&b, "x", 1), 0);
        assert_int_equal(json_quote(&b, t[i].in), 0);
        assert_str((tp_str){b.ptr + 1, b.len - 1}, t[i].out.ptr, t[i].out.len);
        buf_free(&b);
        /* A maximum that just fits, and one that does not and leaves the buffer as it was. */
        buf_init(&b, t[i].out.len);
        assert_int_equal(json_quote(&b, t[i].in), 0);
        assert_str(buf_str(&b), t[i].out.ptr, t[i].out.len);
        buf_free(&b);
        buf_init(&b, t[i].out.len - 1);
        assert_int_equal(json_quote(&b, t[i].in), TP_ERROR_LIMIT);
        assert_int_equal(b.len, 0);
        buf_free(&b);
    }
    /* Every length, with an escape at every place, back and forth. */
    for (size_t n = 1; n < 70; n++) {
        for (size_t at = 0; at < n; at++) {
            char *in = malloc(n);
            memset(in, 'a', n);
            in[at] = at % 3 ? '\n' : '"';
            in[n / 2] = '\x02';
            buf_init(&b, 1000);
            assert_int_equal(json_quote(&b, (tp_str){in, n}), 0);
            tp_doc d = scan(w, buf_str(&b));
            assert_true(json_string_is(&d, 0, (tp_str){in, n}));
            assert_int_equal(b.len, n + 2 + 5 + (at == n / 2 ? 0 : 1));
            buf_free(&b);
            free(in);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(tape, setup, teardown),
        cmocka_unit_test_setup_teardown(look_up, setup, teardown),
        cmocka_unit_test_setup_teardown(strings, setup, teardown),
        cmocka_unit_test_setup_teardown(halves, setup, teardown),
        cmocka_unit_test_setup_teardown(integers, setup, teardown),
        cmocka_unit_test_setup_teardown(is_integer, setup, teardown),
        cmocka_unit_test_setup_teardown(doubles, setup, teardown),
        cmocka_unit_test_setup_teardown(booleans, setup, teardown),
        cmocka_unit_test_setup_teardown(places, setup, teardown),
        cmocka_unit_test_setup_teardown(limits, setup, teardown),
        cmocka_unit_test_setup_teardown(many_keys, setup, teardown),
        cmocka_unit_test_setup_teardown(doc_in_arena, setup, teardown),
        cmocka_unit_test_setup_teardown(quoting, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
