/* Google's credential documents, the requests made of them, and what token endpoints answer. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include <openssl/bio.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/str.h"
#include "model/json.h"
#include "sign/sign.h"

#define NOW_S INT64_C(1700000000)
#define SCOPE "https://www.googleapis.com/auth/cloud-platform"

static EVP_PKEY *key; /* of this run */

static int make_key(void **state)
{
    (void)state;
    key = EVP_RSA_gen(2048);
    return key ? 0 : -1;
}

static int free_key(void **state)
{
    (void)state;
    EVP_PKEY_free(key);
    return 0;
}

static void add_pem(buf *out, EVP_PKEY *k)
{
    char *text;
    BIO *bio = BIO_new(BIO_s_mem());
    assert_int_equal(PEM_write_bio_PrivateKey(bio, k, NULL, NULL, 0, NULL, NULL), 1);
    long n = BIO_get_mem_data(bio, &text);
    assert_int_equal(buf_json_string(out, str_make(text, (size_t)n)), 0);
    BIO_free(bio);
}

/* A document with that key; more: further members, beginning with a comma. */
static void document(buf *out, EVP_PKEY *k, const char *more)
{
    buf_init(out, 1 << 20);
    buf_printf(out, "{\"type\": \"service_account\", \"private_key_id\": \"id\\u00221\",\n"
                    " \"client_email\": \"robot@example\", \"private_key\": ");
    add_pem(out, k);
    buf_printf(out, "%s}", more);
}

static tp_str from_base64url(arena *a, tp_str s)
{
    char *copy = arena_alloc(a, s.len + 4);
    unsigned char *out = arena_alloc(a, s.len + 4);
    size_t n = s.len;
    for (size_t i = 0; i < n; i++)
        copy[i] = (char)(s.ptr[i] == '-' ? '+' : s.ptr[i] == '_' ? '/' : s.ptr[i]);
    size_t pad = (4 - n % 4) % 4;
    memset(copy + n, '=', pad);
    int got = EVP_DecodeBlock(out, (unsigned char *)copy, (int)(n + pad));
    assert_true(got >= 0);
    return str_make((char *)out, (size_t)got - pad);
}

static void an_assertion_that_the_public_key_proves(void **state)
{
    (void)state;
    buf text, body;
    arena a;
    sign_google g;
    tp_error err = {0};
    document(&text, key, "");
    arena_init(&a, NULL, 1 << 20);
    assert_int_equal(sign_google_parse(buf_str(&text), &a, &g, &err), 0);
    assert_int_equal(g.kind, SIGN_GOOGLE_SERVICE_ACCOUNT);
    assert_true(str_eq(g.token_uri, STR(SIGN_GOOGLE_TOKEN_URI)));
    assert_int_equal(sign_google_check(&g, &err), 0);
    buf_init(&body, 1 << 17);
    assert_int_equal(sign_google_body(&g, STR(SCOPE), NOW_S, &body, &err), 0);

    tp_str s = buf_str(&body), start = STR("grant_type=urn%3Aietf%3Aparams%3Aoauth%3Agrant-type%3Ajwt-"
                                           "bearer&assertion=");
    assert_true(str_starts(s, start));
    s = str_skip(s, start.len);
    assert_int_equal(str_find(s, '&'), s.len);
    size_t one = str_find(s, '.'), two = one + 1 + str_find(str_skip(s, one + 1), '.');
    tp_str head = from_base64url(&a, str_make(s.ptr, one));
    tp_str claims = from_base64url(&a, str_make(s.ptr + one + 1, two - one - 1));
    tp_str proof = from_base64url(&a, str_skip(s, two + 1));
    assert_true(str_eq(head, STR("{\"alg\":\"RS256\",\"typ\":\"JWT\",\"kid\":\"id\\\"1\"}")));
    assert_true(str_eq(claims, STR("{\"iss\":\"robot@example\",\"scope\":\"" SCOPE
                                   "\",\"aud\":\"" SIGN_GOOGLE_TOKEN_URI
                                   "\",\"iat\":1700000000,\"exp\":1700003600}")));
    EVP_MD_CTX *c = EVP_MD_CTX_new();
    assert_int_equal(EVP_DigestVerifyInit(c, NULL, EVP_sha256(), NULL, key), 1);
    assert_int_equal(EVP_DigestVerify(c, (const unsigned char *)proof.ptr, proof.len,
                                      (const unsigned char *)s.ptr, two),
                     1);
    EVP_MD_CTX_free(c);
    /* What is wiped is overwritten. */
    char *secret = (char *)(uintptr_t)g.private_key.ptr;
    assert_memory_equal(secret, "-----BEGIN", 10);
    sign_google_wipe(&g);
    assert_int_equal(secret[0] | secret[5], 0);
    buf_free(&body);
    buf_free(&text);
    arena_reset(&a);
}

static void a_refresh_of_a_login(void **state)
{
    (void)state;
    arena a;
    buf body;
    sign_google g;
    tp_error err = {0};
    arena_init(&a, NULL, 1 << 16);
    buf_init(&body, 1 << 16);
    tp_str text = STR("{\"type\":\"authorized_user\",\"client_id\":\"id.apps\",\"client_secret\":"
                      "\"a&b=c\",\"refresh_token\":\"1//0e \\u00e9\",\"token_uri\":null}");
    assert_int_equal(sign_google_parse(text, &a, &g, &err), 0);
    assert_int_equal(sign_google_check(&g, &err), 0);
    assert_int_equal(sign_google_body(&g, STR(SCOPE), NOW_S, &body, &err), 0);
    assert_true(str_eq(buf_str(&body),
                       STR("grant_type=refresh_token&client_id=id.apps&client_secret=a%26b%3Dc&"
                           "refresh_token=1%2F%2F0e%20%C3%A9")));
    buf_free(&body);
    arena_reset(&a);
}

static void wrong_documents(void **state)
{
    (void)state;
    static const char *const bad[][2] = {
        {"", "no JSON document"},
        {"sk-plain", "no JSON document"},
        {"[]", "not a JSON object"},
        {"{}", "it has no 'type'"},
        {"{\"type\":7}", "its 'type' is not a string"},
        {"{\"type\":\"external_account\"}", "expected \"service_account\" or \"authorized_user\""},
        {"{\"type\":\"service_account\",\"private_key\":\"x\"}", "it has no 'client_email'"},
        {"{\"type\":\"service_account\",\"client_email\":\"x\",\"private_key\":\"\"}",
         "it has no 'private_key'"},
        {"{\"type\":\"service_account\",\"client_email\":\"x\",\"private_key\":[]}",
         "its 'private_key' is not a string"},
        {"{\"type\":\"authorized_user\",\"client_id\":\"x\",\"client_secret\":\"y\"}",
         "it has no 'refresh_token'"},
    };
    for (size_t i = 0; i < TP_COUNT(bad); i++) {
        arena a;
        sign_google g;
        tp_error err = {0};
        arena_init(&a, NULL, 1 << 16);
        assert_int_equal(sign_google_parse(str_of(bad[i][0]), &a, &g, &err), TP_ERROR_PARSE);
        if (!strstr(err.text, bad[i][1]))
            fail_msg("%s: \"%s\"", bad[i][0], err.text);
        arena_reset(&a);
    }
}

static void check(const char *pem, const char *uri, const char *wanted)
{
    sign_google g = {.kind = SIGN_GOOGLE_SERVICE_ACCOUNT,
                     .token_uri = str_of(uri),
                     .private_key = str_of(pem)};
    tp_error err = {0};
    assert_int_equal(sign_google_check(&g, &err), TP_ERROR_CONFIG);
    if (!strstr(err.text, wanted))
        fail_msg("\"%s\" instead of \"%s\"", err.text, wanted);
}

static void keys_and_addresses(void **state)
{
    (void)state;
    static const char *const good[] = {"https://oauth2.googleapis.com/token",
                                       "http://127.0.0.1:8080/x", "http://localhost/t",
                                       "http://[::1]:1/t", "http://127.9.9.9"};
    static const char *const bad[] = {"http://tokens.example/", "ftp://x/", "https://", "",
                                      "http://127.0.0.1.evil.example/", "http://localhost.evil/",
                                      "http://[::1]x/", "http://127evil/", "//x"};
    for (size_t i = 0; i < TP_COUNT(good); i++) {
        sign_google g = {.kind = SIGN_GOOGLE_USER, .token_uri = str_of(good[i])};
        assert_int_equal(sign_google_check(&g, NULL), 0);
        assert_int_equal(sign_google_is_public(g.token_uri), i == 0);
    }
    for (size_t i = 0; i < TP_COUNT(bad); i++)
        check("", bad[i], "'token_uri' does not begin with https://");
    check("nothing", SIGN_GOOGLE_TOKEN_URI, "cannot be read");
    check("-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n", SIGN_GOOGLE_TOKEN_URI,
          "cannot be read");
    EVP_PKEY *wrong[] = {EVP_RSA_gen(1024), EVP_EC_gen("P-256")};
    for (size_t i = 0; i < TP_COUNT(wrong); i++) {
        buf pem, json;
        arena a;
        sign_google g;
        buf_init(&pem, 1 << 16);
        document(&json, wrong[i], "");
        arena_init(&a, NULL, 1 << 20);
        assert_int_equal(sign_google_parse(buf_str(&json), &a, &g, NULL), 0);
        tp_error err = {0};
        assert_int_equal(sign_google_check(&g, &err), TP_ERROR_CONFIG);
        assert_non_null(strstr(err.text, "not an RSA key of 2,048 bits"));
        EVP_PKEY_free(wrong[i]);
        buf_free(&pem);
        buf_free(&json);
        arena_reset(&a);
    }
    /* An encrypted one asks nobody for its password. */
    char *text;
    BIO *bio = BIO_new(BIO_s_mem());
    assert_int_equal(PEM_write_bio_PrivateKey(bio, key, EVP_aes_128_cbc(),
                                              (const unsigned char *)"word", 4, NULL, NULL),
                     1);
    assert_int_equal(BIO_write(bio, "", 1), 1);
    BIO_get_mem_data(bio, &text);
    check(text, SIGN_GOOGLE_TOKEN_URI, "cannot be read");
    BIO_free(bio);
}

static void granted(const char *body, const char *token, int64_t lifetime_s)
{
    arena a;
    sign_token t;
    tp_error err = {0};
    arena_init(&a, NULL, 1 << 20);
    if (sign_token_parse(200, str_of(body), &a, &t, &err) != 0)
        fail_msg("%s: %s", body, err.text);
    assert_true(str_eq(t.token, str_of(token)));
    assert_int_equal(t.lifetime_s, lifetime_s);
    arena_reset(&a);
}

static void denied(int status, const char *body, const char *wanted)
{
    arena a;
    sign_token t;
    tp_error err = {0};
    arena_init(&a, NULL, 1 << 20);
    assert_true(sign_token_parse(status, str_of(body), &a, &t, &err) < 0);
    if (strcmp(err.text, wanted) != 0)
        fail_msg("\"%s\" instead of \"%s\"", err.text, wanted);
    arena_reset(&a);
}

static void replies(void **state)
{
    (void)state;
    granted("{\"access_token\":\"ya29.x\",\"expires_in\":3599,\"token_type\":\"Bearer\"}", "ya29.x",
            3599);
    granted("{\"access_token\":\"a\\u0062c\",\"expires_in\":\"60\",\"token_type\":\"bearer\"}", "abc",
            60);
    granted("{\"access_token\":\"a\"}", "a", 600);
    granted("{\"access_token\":\"a\",\"expires_in\":99999999999}", "a", 86400);
#define USELESS "the token endpoint answered 200 and no usable token: "
    denied(200, "{\"access_token\":\"a b\"}",
           USELESS "access_token is missing, empty or no token");
    denied(200, "{\"access_token\":\"a\\r\\nb\"}",
           USELESS "access_token is missing, empty or no token");
    denied(200, "{\"access_token\":\"a\",\"expires_in\":0}",
           USELESS "expires_in is not a number of seconds above 0");
    denied(200, "{\"access_token\":\"a\",\"expires_in\":{}}",
           USELESS "expires_in is not a number of seconds above 0");
    denied(200, "{\"access_token\":\"a\",\"token_type\":\"mac\"}", USELESS "token_type is not Bearer");
    denied(200, "", "the token endpoint answered 200 and something that is no JSON object");
    denied(200, "[1]", "the token endpoint answered 200 and something that is no JSON object");
    denied(400, "{\"error\":\"invalid_grant\",\"error_description\":\"Bad\\nRequest\\u00e9\"}",
           "the token endpoint answered 400 invalid_grant: Bad Request  ");
    denied(403, "{\"error\":{\"status\":\"DENIED\",\"message\":\"why\"}}",
           "the token endpoint answered 403 DENIED: why");
    denied(500, "<html>", "the token endpoint answered 500");
    denied(401, "[]", "the token endpoint answered 401");
    denied(400, "{\"error\":7}", "the token endpoint answered 400");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_assertion_that_the_public_key_proves),
        cmocka_unit_test(a_refresh_of_a_login),
        cmocka_unit_test(wrong_documents),
        cmocka_unit_test(keys_and_addresses),
        cmocka_unit_test(replies),
    };
    return cmocka_run_group_tests(tests, make_key, free_key);
}
