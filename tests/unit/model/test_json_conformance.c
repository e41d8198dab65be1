/* What is JSON and what is not, by every kernel: alone, in a buffer of exactly its length, and deep
 * in a text that is long enough to be read in place. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/str.h"
#include "model/json_int.h"

typedef struct sample {
    tp_str text;
    int code;
} sample;
#define YES(lit) {{"" lit, sizeof(lit) - 1}, 0}
#define NO(lit) {{"" lit, sizeof(lit) - 1}, JSON_E_SYNTAX}
#define BAD(lit, e) {{"" lit, sizeof(lit) - 1}, JSON_E_##e}

static const sample samples[] = {
    /* Structure */
    YES("[]"), YES("{}"), YES("[[]]"), YES("[{}]"), YES("{\"a\":{}}"), YES("[[],[],{}]"),
    YES("{\"a\":[1,{\"b\":[]}]}"), YES("[1,2]"), YES("[null, 1, \"1\", {}]"), YES("[[[[[[]]]]]]"),
    YES("{\"\":0}"), YES("{\"a\":1,\"A\":2}"), YES("{\"a\":{\"a\":{\"a\":1}}}"),
    YES("[{\"a\":1},{\"a\":1}]"), YES("{\"a b\":1}"), YES("{\"a\":1,\"ab\":2,\"b\":3}"),
    NO("["), NO("]"), NO("{"), NO("}"), NO("[}"), NO("{]"), NO("[1"), NO("[1,"), NO("[,1]"),
    NO("[1,]"), NO("[1,,2]"), NO("[,]"), NO("[1 2]"), NO("[1:2]"), NO("[[]"), NO("[\"a\""),
    NO("[\"a\",]"), NO("{\"a\"}"), NO("{\"a\":}"), NO("{\"a\":1,}"), NO("{\"a\" 1}"),
    NO("{\"a\",1}"), NO("{\"a\"::1}"), NO("{:1}"), NO("{1:1}"), NO("{a:1}"), NO("{'a':1}"),
    NO("{null:1}"), NO("{\"a\":1 \"b\":2}"), NO("{\"a\":1,,\"b\":2}"), NO("{,\"a\":1}"),
    NO("{\"a\":1"), NO("{\"a\":"), NO("{\"a\""), NO("{\"a"), NO("{\"a\":1]"), NO("[1}"),
    NO("{[]:1}"), NO("{\"a\":1:2}"), NO(","), NO(":"), NO("[\"\\\"]"), NO("[1,\n2\n,3"),
    BAD("[]]", TRAILING), BAD("{}}", TRAILING), BAD("[] []", TRAILING), BAD("1 2", TRAILING),
    BAD("{}#", TRAILING), BAD("[1],", TRAILING), BAD("\"a\"\"b\"", TRAILING),
    BAD("nullnull", TRAILING), BAD("[]\0", TRAILING), BAD("{} // note", TRAILING),
    /* White space */
    YES(" []"), YES("[] "), YES("\t\r\n [ \t\r\n] \t\r\n"), YES("{ \"a\" : 1 , \"b\" : 2 }"),
    YES("[1\n,\n2]"), YES("          1          "), BAD("", EMPTY), BAD(" ", EMPTY),
    BAD(" \t\r\n", EMPTY), NO("[\f]"), NO("[\v]"), NO("\xc2\xa0[]"), NO("[\xe2\x80\xa8]"),
    NO("\xef\xbb\xbf{}"), NO("\xef\xbb\xbf"), NO("[\0]"), NO("\0"), NO("/**/1"), NO("//a\n1"),
    NO("[1/**/]"), NO("# a"), NO("\x1e[]"), NO("\xfe\xff"), NO("\x7f"),
    /* Literals */
    YES("true"), YES("false"), YES("null"), YES("[true,false,null]"), NO("True"), NO("TRUE"),
    NO("nul"), NO("tru"), NO("fals"), NO("t"), NO("n"), NO("[nul]"), NO("[truth]"), NO("undefined"),
    NO("None"), BAD("truee", TRAILING), BAD("nulll", TRAILING), NO("[truefalse]"), NO("*"),
    NO("[n\0ll]"), NO("a\xc3\xa5"),
    /* Numbers */
    YES("0"), YES("-0"), YES("1"), YES("-1"), YES("10"), YES("123456789012345678901234567890"),
    YES("0.5"), YES("-0.5"), YES("1.0"), YES("1e5"), YES("1E5"), YES("1e+5"), YES("1e-5"),
    YES("1.25e-7"), YES("0e0"), YES("0E+1"), YES("1e0007"), YES("1e400"), YES("-1e-400"),
    YES("[0,-0,0.0,1]"), YES("9223372036854775808"), YES("100000000000000000000000000000.5e10"),
    YES("-9223372036854775808"), YES("9007199254740993"), YES("[1,2.5,-3e2 ]"),
    NO("-"), NO("+1"), NO("--1"), NO("-a"), NO("01"), NO("-01"), NO("00"), NO("1."), NO("1.e1"),
    NO(".5"), NO("-.5"), NO("1e"), NO("1e+"), NO("1E-"), NO("1ee1"), NO("0e"), NO("1.a"),
    NO("[1.]"), NO("[-]"), NO("[012]"), NO("[1e]"), NO("NaN"), NO("-NaN"), NO("Infinity"),
    NO("-Infinity"), NO("Inf"), NO("[- 1]"), NO("[1+2]"), NO("[0x1]"), NO("[1_000]"), NO("[1a]"),
    NO("[1e5.5]"), NO("[\xef\xbc\x91]"), BAD("0x1", TRAILING), BAD("1.5.5", TRAILING),
    BAD("1e1e1", TRAILING), BAD("1-1", TRAILING), BAD("1a", TRAILING), BAD("12\0", TRAILING),
    NO("00000000000000000000000000000000000000000000000000000000000000000000000000000000000001"),
    YES("11111111111111111111111111111111111111111111111111111111111111111111111111111111111111"),
    NO("-00.0"), NO("[0.]"), NO("[0.e1]"), NO("[2.e3]"), NO("[1.2.3]"), NO("[1 000]"),
    /* Strings */
    YES("\"\""), YES("\"a\""), YES("\" \""), YES("\"\x7f\""), YES("\"/\""), YES("\"{[,:]}\""),
    YES("\"\\\"\\\\\\/\\b\\f\\n\\r\\t\""), YES("\"\\\\\""), YES("\"\\\\\\\\\""),
    YES("\"a\\\\\\\"b\""), YES("\"\\u0041\""), YES("\"\\u00e9\\u00E9\""), YES("\"\\uabCD\""),
    YES("\"\\\\u0000\""), YES("\"\\u0001\""), YES("\"\\uFFFF\""), YES("\"\\ufdd0\""),
    YES("\"\\uD83D\\uDE00\""), YES("\"\\ud83d\\ude00\\ud83d\\ude00\""), YES("\"\\udbff\\udfff\""),
    YES("\"\\\\ud83d\""), YES("[\"\\\"\",\"\\\\\",\"\\\\\\\"\"]"), YES("\"'\""),
    NO("\""), NO("\"a"), NO("\"\\\""), NO("\"\\"), NO("\"\\\\\\\""), NO("'a'"), NO("a"), NO("\\n"),
    NO("\"\n\""), NO("\"\t\""), NO("\"\0\""), NO("\"a\x1f\""), NO("\"\x01\""), NO("\"\\a\""),
    NO("\"\\x41\""), NO("\"\\0\""), NO("\"\\'\""), NO("\"\\ \""), NO("\"\\\n\""), NO("\"\\U0041\""),
    NO("\"\\u\""), NO("\"\\u1\""), NO("\"\\u12\""), NO("\"\\u123\""), NO("\"\\u123g\""),
    NO("\"\\u 123\""), NO("\"\\u+123\""), NO("\"\\u{41}\""), NO("\"\\u12"), NO("\"\\u1234"),
    NO("\"\\N\""), NO("\"\\\xc3\xa9\""), NO("\"\\B\""), NO("\"\\R\""), NO("\"\\2\""), NO("\"\\d\""),
    NO("\"\\\x7f\""), NO("\"\\,\""), NO("\"\\o\""), NO("\"\\_\""), NO("\"\\v\""),
    NO("{\"\\q\":1}"), NO("{\"a\n\":1}"), BAD("\"\\u0000\"", NUL), BAD("{\"\\u0000\":1}", NUL),
    BAD("\"\\\\\\u0000\"", NUL), BAD("\"\\uD83D\"", SURROGATE), BAD("\"\\uDE00\"", SURROGATE),
    BAD("\"\\uD83Dx\"", SURROGATE), BAD("\"\\uD83D\\n\"", SURROGATE),
    BAD("\"\\uD83D\\uD83D\"", SURROGATE), BAD("\"\\uDE00\\uD83D\"", SURROGATE),
    BAD("\"\\uD83D\\u0041\"", SURROGATE), BAD("\"\\uD83D\\\\uDE00\"", SURROGATE),
    BAD("\"\\uD83D\\uDE00\\uDE00\"", SURROGATE), BAD("\"\\ud800\\uDBFF\"", SURROGATE),
    BAD("\"\\uD83D\\u12\"", SURROGATE), BAD("\"\\uD83D", SURROGATE), BAD("\"\\uD83D\\", SURROGATE),
    BAD("{\"\\uD83D\":1}", SURROGATE),
    /* UTF-8 */
    YES("\"\xc2\x80\""), YES("\"\xdf\xbf\""), YES("\"\xe0\xa0\x80\""), YES("\"\xed\x9f\xbf\""),
    YES("\"\xee\x80\x80\""), YES("\"\xef\xbf\xbf\""), YES("\"\xf0\x90\x80\x80\""),
    YES("\"\xf4\x8f\xbf\xbf\""), YES("\"\xf0\x9f\x98\x80\""), YES("{\"\xc3\xa9\":\"\xe4\xb8\xad\"}"),
    YES("\"\xe2\x80\xa8\""), YES("\"\xef\xbb\xbf\""), YES("\"a\xc3\xa9" "b\xe4\xb8\xad" "c\""),
    BAD("\"\x80\"", UTF8), BAD("\"\xbf\"", UTF8), BAD("\"\xc0\x80\"", UTF8),
    BAD("\"\xc1\xbf\"", UTF8), BAD("\"\xc2\"", UTF8), BAD("\"\xc2" "a\"", UTF8),
    BAD("\"\xc2\xc2\"", UTF8), BAD("\"\xe0\x80\x80\"", UTF8), BAD("\"\xe0\x9f\xbf\"", UTF8),
    BAD("\"\xe4\xb8\"", UTF8), BAD("\"\xe4\"", UTF8), BAD("\"\xe4\xb8" "a\"", UTF8),
    BAD("\"\xed\xa0\x80\"", UTF8), BAD("\"\xed\xbf\xbf\"", UTF8), BAD("\"\xf0\x80\x80\x80\"", UTF8),
    BAD("\"\xf0\x8f\xbf\xbf\"", UTF8), BAD("\"\xf4\x90\x80\x80\"", UTF8),
    BAD("\"\xf5\x80\x80\x80\"", UTF8), BAD("\"\xf7\xbf\xbf\xbf\"", UTF8),
    BAD("\"\xf8\x88\x80\x80\x80\"", UTF8),
    BAD("\"\xfe\"", UTF8), BAD("\"\xff\"", UTF8), BAD("\"\xf0\x9f\x98\"", UTF8),
    BAD("\"\xf0\x9f\"", UTF8), BAD("\"\xf0\"", UTF8), BAD("\"\xc3\xa9\xa9\"", UTF8),
    BAD("\"\xe4\xb8\xad\xad\"", UTF8), BAD("\"\xf0\x9f\x98\x80\x80\"", UTF8), BAD("\"\xe9\"", UTF8),
    BAD("{\"\xe9\":1}", UTF8), BAD("\"\xc3", UTF8), BAD("\"\xe4\xb8", UTF8),
    BAD("\"\xf0\x9f\x98", UTF8), NO("\xc3\xa9"), NO("[\xff]"), NO("\"\xc3\xa9"),
    /* Duplicate keys, compared as they decode */
    BAD("{\"a\":1,\"a\":2}", DUPLICATE), BAD("{\"\":1,\"\":2}", DUPLICATE),
    BAD("{\"a\":1,\"b\":2,\"a\":1}", DUPLICATE), BAD("{\"a\":1,\"\\u0061\":2}", DUPLICATE),
    BAD("{\"\\u0061\":1,\"a\":2}", DUPLICATE), BAD("{\"\\u0061\":1,\"\\u0061\":2}", DUPLICATE),
    BAD("{\"\xc3\xa9\":1,\"\\u00e9\":2}", DUPLICATE), BAD("{\"/\":1,\"\\/\":2}", DUPLICATE),
    BAD("{\"x\":{\"a\":1,\"a\":2}}", DUPLICATE), BAD("[{\"a\":1,\"a\":1}]", DUPLICATE),
    BAD("{\"\xf0\x9f\x98\x80\":1,\"\\ud83d\\ude00\":2}", DUPLICATE),
    BAD("{\"a\":{\"b\":1},\"c\":[1,2],\"a\":0}", DUPLICATE),
    BAD("{\"max_tokens_and_more\":1,\"max_tokens_and_more\":2}", DUPLICATE),
    YES("{\"\\u0061\":1,\"\\\\u0061\":2}"), YES("{\"\\n\":1,\"n\":2,\"\\\\n\":3}"),
    YES("{\"max_tokens_and_more\":1,\"max_tokens_xnd_more\":2}"),
    YES("{\"a-key-of-more-than-fifty-six-bytes-which-is-quite-a-long-one\":1,"
        "\"a-key-of-more-than-fifty-six-bytes-which-is-quite-a-long-two\":2}"),
    BAD("{\"a-key-of-more-than-fifty-six-bytes-which-is-quite-a-long-one\":1,\"b\":0,"
        "\"a-key-of-more-than-fifty-six-bytes-which-is-quite-a-long-one\":2}", DUPLICATE),
};

static int run_as(json_scan_fn scan, tp_str text, uint32_t lone_surrogates, json_error *err)
{
    json_tape tape = {.lone_surrogates = lone_surrogates};
    char *exact = malloc(text.len ? text.len : 1);
    assert_non_null(exact);
    if (text.len)
        memcpy(exact, text.ptr, text.len);
    int rc = json_scan_by(scan, (tp_str){exact, text.len}, &tape, err);
    free(exact);
    json_tape_free(&tape);
    return rc;
}

static int run(json_scan_fn scan, tp_str text, json_error *err)
{
    return run_as(scan, text, 0, err);
}

static void fail_sample(const json_kernel *k, const sample *s, int rc)
{
    fail_msg("%s: %d, expected %d, for: %.*s", k->name, rc, s->code, STR_ARG(s->text));
}

static void alone(void **state)
{
    (void)state;
    size_t count;
    const json_kernel *k = json_kernels(&count);
    for (const json_kernel *end = k + count; k < end; k++) {
        for (size_t i = 0; k->usable() && i < TP_COUNT(samples); i++) {
            json_error err = {0};
            int rc = run(k->scan, samples[i].text, &err);
            if (rc != samples[i].code)
                fail_sample(k, &samples[i], rc);
            assert_int_equal(err.code, samples[i].code);
            assert_true(err.at <= samples[i].text.len);
            assert_true(rc == 0 || (err.what && err.line >= 1 && err.column >= 1));
        }
    }
}

/* As the last member of an object behind `before` bytes of string. */
static void within(void **state)
{
    (void)state;
    size_t count;
    const json_kernel *kernels = json_kernels(&count);
    for (size_t before = 440; before < 640; before += 7) {
        for (size_t i = 0; i < TP_COUNT(samples); i++) {
            buf b;
            buf_init(&b, 4096);
            assert_int_equal(buf_adds(&b, STR("{\"x\":\"")), 0);
            for (size_t n = 0; n < before; n++)
                assert_int_equal(buf_add(&b, "x", 1), 0);
            assert_int_equal(buf_adds(&b, STR("\",\"value\":")), 0);
            assert_int_equal(buf_adds(&b, samples[i].text), 0);
            assert_int_equal(buf_adds(&b, STR("}")), 0);
            for (size_t k = 0; k < count; k++) {
                if (!kernels[k].usable())
                    continue;
                int rc = run(kernels[k].scan, buf_str(&b), NULL);
                if ((rc == 0) != (samples[i].code == 0))
                    fail_sample(&kernels[k], &samples[i], rc);
            }
            buf_free(&b);
        }
    }
}

/* An upstream's text: halves of surrogate pairs are taken, wherever they stand, and nothing else that
 * is refused without. */
static const sample of_upstream[] = {
    YES("\"\\uD83D\""), YES("\"\\uDE00\""), YES("\"\\ud83d\\ude00\""), YES("\"\\uD83Dx\""),
    YES("\"\\uD83D\\n\""), YES("\"\\uD83D\\uD83D\""), YES("\"\\uD83D\\uD83D\\uDE00\""),
    YES("\"\\uDE00\\uD83D\""), YES("\"\\uD83D\\u0041\""), YES("\"\\uD83D\\\\uDE00\""),
    YES("\"\\uD83D\\uDE00\\uDE00\""), YES("\"\\ud800\\uDBFF\""), YES("{\"\\uD83D\":1}"),
    YES("\"\\uD83D\\\"\""), YES("[\"\\uD83D\",\"\\uDE00\"]"), YES("\"\\uD83D\xf0\x9f\x98\x80\""),
    YES("{\"\\uD83D\":1,\"\\uD83D\\uDE00\":2,\"x\\uD83D\":3}"),
    BAD("{\"\\uD83D\":1,\"\\uDE00\":2}", DUPLICATE), /* both are read as U+FFFD */
    BAD("{\"\\uD83D\":1,\"\xef\xbf\xbd\":2}", DUPLICATE),
    BAD("\"\\uD83D\\u0000\"", NUL), BAD("\"\xed\xa0\xbd\"", UTF8),
    NO("\"\\uD83D\\u12\""), NO("\"\\uD83D"), NO("\"\\uD83D\\"), NO("\"\\uD83\""), NO("\"\\uD83D\n\""),
    NO("\"\\uD83D\\x\""), NO("\"\\uDE0G\""), NO("\"\\uD83D\\uDE0\""),
};

static void of_upstreams(void **state)
{
    (void)state;
    size_t count;
    const json_kernel *k = json_kernels(&count);
    for (const json_kernel *end = k + count; k < end; k++) {
        for (size_t i = 0; k->usable() && i < TP_COUNT(of_upstream); i++) {
            int rc = run_as(k->scan, of_upstream[i].text, 1, NULL);
            if (rc != of_upstream[i].code)
                fail_sample(k, &of_upstream[i], rc);
        }
        for (size_t i = 0; k->usable() && i < TP_COUNT(samples); i++) {
            int rc = run_as(k->scan, samples[i].text, 1, NULL);
            if (rc != samples[i].code && samples[i].code != JSON_E_SURROGATE)
                fail_sample(k, &samples[i], rc);
        }
    }
}

/* A half at every place of a block and of the next: behind its first byte, before its quote. */
static void halves_anywhere(void **state)
{
    (void)state;
    size_t count;
    const json_kernel *kernels = json_kernels(&count);
    static const char *const halves[] = {"\\ud83d", "\\ude00", "\\ud83d\\ud83d\\ude00",
                                         "\\\\\\ude00\\ud83d\\\\"};
    for (size_t before = 500; before < 660; before++) {
        for (size_t i = 0; i < TP_COUNT(halves); i++) {
            char text[1024] = "[\"";
            memset(text + 2, 'x', before);
            int n = snprintf(text + 2 + before, sizeof(text) - 2 - before, "%s\",\"%s and more\"]",
                             halves[i], halves[i]);
            tp_str s = {text, before + 2 + (size_t)n};
            for (size_t k = 0; k < count; k++) {
                if (!kernels[k].usable())
                    continue;
                assert_int_equal(run_as(kernels[k].scan, s, 1, NULL), 0);
                assert_int_equal(run_as(kernels[k].scan, s, 0, NULL), JSON_E_SURROGATE);
            }
        }
    }
}

static void utf8_alone(void **state)
{
    (void)state;
    size_t count;
    const json_kernel *k = json_kernels(&count);
    for (const json_kernel *end = k + count; k < end; k++) {
        for (size_t i = 0; k->usable() && i < TP_COUNT(samples); i++) {
            /* All samples but those about UTF-8 and the byte order mark of UTF-16 are UTF-8. */
            int valid = samples[i].code != JSON_E_UTF8 && !memchr(samples[i].text.ptr, '\xff',
                                                                  samples[i].text.len);
            if (k->utf8((const uint8_t *)samples[i].text.ptr, samples[i].text.len) != valid)
                fail_sample(k, &samples[i], valid);
        }
    }
    assert_true(json_utf8_valid(STR_NONE));
    assert_false(json_utf8_valid(STR("\xed\xa0\x80")));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(alone),
        cmocka_unit_test(within),
        cmocka_unit_test(of_upstreams),
        cmocka_unit_test(halves_anywhere),
        cmocka_unit_test(utf8_alone),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
