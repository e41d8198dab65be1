/* AWS Signature Version 4 against the published vectors, and what they do not cover. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include <stdio.h>

#include "base/str.h"
#include "sign/sign.h"
#include "aws4_suite.h"

#define MOMENT_MS INT64_C(1440938160000) /* 2015-08-30T12:36:00Z */

static const sign_aws4_request plain = {.method = {"GET", 3},
                                        .target = {"/", 1},
                                        .host = {"example.amazonaws.com", 21},
                                        .service = {"service", 7},
                                        .region = {"us-east-1", 9},
                                        .key = {{"AKIDEXAMPLE", 11},
                                                {"wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY", 40},
                                                {"", 0}},
                                        .unix_ms = MOMENT_MS};

static tp_str header_of(const sign_aws4_result *r, const char *name)
{
    for (uint32_t i = 0; i < r->header_count; i++)
        if (str_eq(r->headers[i].name, str_of(name)))
            return r->headers[i].value;
    return STR_NONE;
}

static void assert_str(tp_str got, const char *wanted)
{
    if (!str_eq(got, str_of(wanted)))
        fail_msg("got\n%.*s\nwanted\n%s", STR_ARG(got), wanted);
}

static void published_vectors(void **state)
{
    (void)state;
    assert_true(TP_COUNT(suite) >= 30);
    for (size_t i = 0; i < TP_COUNT(suite); i++) {
        const vector *v = &suite[i];
        tp_header headers[8];
        uint32_t n = 0;
        arena a;
        char wanted[512];
        const char *why = NULL;
        tp_str rest = str_of(v->headers);
        for (; rest.len; rest = str_skip(rest, str_find(rest, '\n') + 1)) {
            tp_str line = str_make(rest.ptr, str_find(rest, '\n'));
            size_t colon = str_find(line, ':');
            assert_true(n < TP_COUNT(headers));
            headers[n++] = (tp_header){str_make(line.ptr, colon), str_skip(line, colon + 1)};
        }
        /* The body in three pieces. */
        tp_str body = str_of(v->body);
        tp_str segs[] = {str_make(body.ptr, body.len / 3), STR(""), str_skip(body, body.len / 3)};
        sign_aws4_request r = plain;
        r.method = str_of(v->method);
        r.target = str_of(v->target);
        r.headers = headers;
        r.header_count = n;
        r.segs = segs;
        r.seg_count = 3;
        r.key.token = str_of(v->token);
        r.flags = SIGN_AWS4_ALL_HEADERS;
        sign_aws4_result out;
        arena_init(&a, NULL, 1 << 20);
        assert_int_equal(sign_aws4(&r, &a, &out, &why), 0);
        snprintf(wanted, sizeof(wanted),
                 "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/us-east-1/service/aws4_request, "
                 "SignedHeaders=%s, Signature=%s",
                 v->names, v->signature);
        tp_str got = header_of(&out, "Authorization");
        if (!str_eq(got, str_of(wanted)))
            fail_msg("%s: got\n%.*s\nwanted\n%s\ncanonical request:\n%.*s", v->name, STR_ARG(got),
                     wanted, STR_ARG(out.canonical));
        assert_str(header_of(&out, "X-Amz-Date"), "20150830T123600Z");
        assert_str(header_of(&out, "X-Amz-Security-Token"), v->token);
        assert_null(header_of(&out, "X-Amz-Content-Sha256").ptr);
        arena_reset(&a);
    }
}

/* The parts of get-vanilla, as AWS's documents show them. */
static void the_steps_of_a_signature(void **state)
{
    (void)state;
    arena a;
    sign_aws4_result out;
    const char *why;
    arena_init(&a, NULL, 1 << 20);
    assert_int_equal(sign_aws4(&plain, &a, &out, &why), 0);
    assert_str(out.canonical,
               "GET\n/\n\nhost:example.amazonaws.com\nx-amz-date:20150830T123600Z\n\n"
               "host;x-amz-date\n"
               "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
    assert_str(out.to_sign,
               "AWS4-HMAC-SHA256\n20150830T123600Z\n20150830/us-east-1/service/aws4_request\n"
               "bb579772317eb040ac9ed261061d46c1f17a8133879d6129b6e1c25292927e63");
    arena_reset(&a);
}

/* GET of an object with a range: the example of the Amazon S3 API reference. */
static void the_example_of_s3(void **state)
{
    (void)state;
    tp_header range = {STR("Range"), STR("bytes=0-9")};
    arena a;
    sign_aws4_result out;
    const char *why;
    sign_aws4_request r = {.method = STR("GET"),
                           .target = STR("/test.txt"),
                           .host = STR("examplebucket.s3.amazonaws.com"),
                           .headers = &range,
                           .header_count = 1,
                           .service = STR("s3"),
                           .region = STR("us-east-1"),
                           .key = {STR("AKIAIOSFODNN7EXAMPLE"),
                                   STR("wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"), STR("")},
                           .unix_ms = INT64_C(1369353600000), /* 2013-05-24 */
                           .flags = SIGN_AWS4_ALL_HEADERS};
    arena_init(&a, NULL, 1 << 20);
    assert_int_equal(sign_aws4(&r, &a, &out, &why), 0);
    assert_str(header_of(&out, "Authorization"),
               "AWS4-HMAC-SHA256 Credential=AKIAIOSFODNN7EXAMPLE/20130524/us-east-1/s3/aws4_request, "
               "SignedHeaders=host;range;x-amz-content-sha256;x-amz-date, "
               "Signature=f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41");
    assert_str(header_of(&out, "X-Amz-Content-Sha256"),
               "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
    arena_reset(&a);
}

static tp_str canonical_of(arena *a, const sign_aws4_request *r)
{
    sign_aws4_result out;
    const char *why;
    assert_int_equal(sign_aws4(r, a, &out, &why), 0);
    return out.canonical;
}

/* What is encoded on the wire is encoded once more, but for s3; only some headers are signed. */
static void what_is_signed(void **state)
{
    (void)state;
    static const tp_header headers[] = {{{"User-Agent", 10}, {"turnpike/1", 10}},
                                        {{"Content-Type", 12}, {"application/json", 16}},
                                        {{"Accept", 6}, {"*/*", 3}},
                                        {{"X-Amz-Target", 12}, {" a  b ", 6}}};
    arena a;
    arena_init(&a, NULL, 1 << 20);
    sign_aws4_request r = plain;
    r.method = STR("POST");
    r.target = STR("/model/anthropic.claude-v2%3A1/converse?b=%2f%zz&a=x%20y&b&a=B");
    r.headers = headers;
    r.header_count = TP_COUNT(headers);
    assert_str(canonical_of(&a, &r),
               "POST\n/model/anthropic.claude-v2%253A1/converse\na=B&a=x%20y&b=&b=%2F%25zz\n"
               "content-type:application/json\nhost:example.amazonaws.com\n"
               "x-amz-date:20150830T123600Z\nx-amz-target:a b\n\n"
               "content-type;host;x-amz-date;x-amz-target\n"
               "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
    r.service = STR("s3");
    r.target = STR("/a//b%3Ac/../d:e");
    r.header_count = 0;
    tp_str c = canonical_of(&a, &r);
    assert_true(str_starts(c, STR("POST\n/a//b%3Ac/../d%3Ae\n\nhost:")));
    arena_reset(&a);
}

static void what_cannot_be_signed(void **state)
{
    (void)state;
    static const char *const own[] = {"Authorization", "x-amz-date", "HOST", "X-Amz-Security-Token",
                                      "x-amz-content-sha256"};
    arena a;
    sign_aws4_result out;
    const char *why;
    arena_init(&a, NULL, 1 << 20);
    for (size_t i = 0; i < TP_COUNT(own); i++) {
        tp_header h = {str_of(own[i]), STR("x")};
        sign_aws4_request r = plain;
        r.headers = &h;
        r.header_count = 1;
        why = NULL;
        assert_int_equal(sign_aws4(&r, &a, &out, &why), TP_E_INTERNAL);
        assert_non_null(strstr(why, "header already"));
    }
    static const char *const words[] = {"", "us/east", "us east", "eu\n"};
    for (size_t i = 0; i < TP_COUNT(words); i++) {
        sign_aws4_request r = plain;
        r.region = str_of(words[i]);
        assert_int_equal(sign_aws4(&r, &a, &out, &why), TP_E_INTERNAL);
        r = plain;
        r.service = str_of(words[i]);
        assert_int_equal(sign_aws4(&r, &a, &out, &why), TP_E_INTERNAL);
    }
    arena_reset(&a);
    /* Whatever piece of memory is not to be had, it says so. */
    sign_aws4_request r = plain;
    r.target = STR("/a/b?c=d&e=f");
    int rc = TP_E_NOMEM;
    for (size_t room = 0; rc != 0; room += 16) {
        assert_true(room < 1 << 16);
        arena_init(&a, NULL, room);
        why = NULL;
        rc = sign_aws4(&r, &a, &out, &why);
        assert_true(rc == 0 || (rc == TP_E_NOMEM && why));
        arena_reset(&a);
    }
}

static void forms_of_a_key(void **state)
{
    (void)state;
    sign_aws_key k;
    assert_int_equal(sign_aws_key_parse(STR("AKID:se/cr+et"), &k), 0);
    assert_str(k.id, "AKID");
    assert_str(k.secret, "se/cr+et");
    assert_int_equal(k.token.len, 0);
    assert_int_equal(sign_aws_key_parse(STR("ASIA:secret:to/ken=="), &k), 0);
    assert_str(k.secret, "secret");
    assert_str(k.token, "to/ken==");
    static const char *const bad[] = {"",      "AKID",    ":secret",    "AKID:",     "AKID::token",
                                      "a:b:",  "a:b:c:d", "a b:c",      "a:b\r\nx",  "::"};
    for (size_t i = 0; i < TP_COUNT(bad); i++)
        if (sign_aws_key_parse(str_of(bad[i]), &k) == 0)
            fail_msg("\"%s\" passed for a key", bad[i]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(published_vectors),  cmocka_unit_test(the_steps_of_a_signature),
        cmocka_unit_test(the_example_of_s3),  cmocka_unit_test(what_is_signed),
        cmocka_unit_test(what_cannot_be_signed), cmocka_unit_test(forms_of_a_key),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
