/* Credentials of several parts: what they come to, and how a slip is said. */
#include "conf_fixture.h"

#define PROVIDER(members) "{\"providers\": {\"p\": {" members "}}}"
#define AWS(members) PROVIDER("\"credential\": {" members "}")

static conf *load(const char *text)
{
    tp_error err = {0};
    conf *c = fx_try(&err, text, NULL, NULL);
    if (!c)
        fail_msg("%s", err.text);
    return c;
}

static void comes_to(const char *text, int kind, const char *value)
{
    conf *c = load(text);
    const conf_provider *p = &c->providers[0];
    assert_int_equal(p->credential_kind, kind);
    assert_int_equal(p->dormant, 0);
    assert_int_equal(p->key_needed, 1);
    if (!str_eq(p->api_key.value, str_of(value)))
        fail_msg("got %.*s, wanted %s", STR_ARG(p->api_key.value), value);
    conf_free(c);
}

static void is_dormant(const char *text, const char *why)
{
    conf *c = load(text);
    const conf_provider *p = &c->providers[0];
    assert_int_equal(p->dormant, 1);
    assert_int_equal(p->key_needed, 1);
    assert_null(p->api_key.value.ptr);
    if (!str_eq(p->dormant_why, str_of(why)))
        fail_msg("got %.*s, wanted %s", STR_ARG(p->dormant_why), why);
    assert_true(c->notice_count >= 1);
    conf_free(c);
}

static void fails(const char *text, const char *what)
{
    tp_error err = {0};
    conf *c = fx_try(&err, text, NULL, NULL);
    conf_free(c);
    if (c || !strstr(err.text, what))
        fail_msg("got \"%s\", wanted \"%s\"", c ? "no error" : err.text, what);
}

static void one_secret(void **state)
{
    (void)state;
    comes_to(PROVIDER("\"api_key\": \"sk-x\""), CONF_CREDENTIAL_KEY, "sk-x");
    comes_to(AWS("\"access_key_id\": \"AKID\", \"secret_access_key\": {\"env\": \"SET_KEY\"}"),
             CONF_CREDENTIAL_AWS, "AKID:sk-0123456789abcdef");
    comes_to(AWS("\"access_key_id\": \"AKID\", \"secret_access_key\": {\"file\": \"/keys/good\"}, "
                 "\"session_token\": \"t/+=\""),
             CONF_CREDENTIAL_AWS, "AKID:from-a-file-0123456789:t/+=");
    /* A session's token is there or not. */
    comes_to(AWS("\"access_key_id\": \"AKID\", \"secret_access_key\": \"s\", "
                 "\"session_token\": {\"env\": \"UNSET\"}"),
             CONF_CREDENTIAL_AWS, "AKID:s");
    /* Of several lines, which no other secret may be; and without the file's last line end. */
    comes_to(AWS("\"service_account\": {\"file\": \"/keys/document\"}"), CONF_CREDENTIAL_GOOGLE,
             "{\n\t\"type\": \"service_account\"\r\n}");
    /* A file that a variable names. */
    comes_to(PROVIDER("\"api_key\": {\"file\": {\"env\": \"KEY_FILE\"}}"), CONF_CREDENTIAL_KEY,
             "from-a-file-0123456789");
}

static void nowhere_to_be_found(void **state)
{
    (void)state;
    is_dormant(AWS("\"access_key_id\": {\"env\": \"UNSET\"}, \"secret_access_key\": \"s\""),
               "environment variable UNSET is not set");
    is_dormant(AWS("\"access_key_id\": \"AKID\", \"secret_access_key\": {\"file\": \"/keys/none\"}"),
               "file /keys/none does not exist");
    is_dormant(AWS("\"service_account\": {\"file\": {\"env\": \"UNSET\"}}"),
               "environment variable UNSET is not set");
    is_dormant(AWS("\"service_account\": {\"file\": {\"env\": \"NO_FILE\"}}"),
               "file /keys/nowhere does not exist");
}

static void slips(void **state)
{
    (void)state;
    fails(PROVIDER("\"api_key\": \"k\", \"credential\": {\"service_account\": \"{}\"}"),
          "/c/a.json:1:52: providers.p.credential: the provider has an api_key, too; expected one of "
          "the two");
    fails(AWS(""), "providers.p.credential: expected either access_key_id and secret_access_key "
                   "(AWS) or service_account (Google)");
    fails(AWS("\"service_account\": \"{}\", \"session_token\": \"t\""), "(Google), not both");
    fails(AWS("\"access_key_id\": \"AKID\""), "'secret_access_key' is missing");
    fails(AWS("\"secret_access_key\": \"s\", \"session_token\": \"t\""),
          "'access_key_id' is missing");
    fails(AWS("\"access_key_id\": \"AK:ID\", \"secret_access_key\": \"s\""),
          "providers.p.credential.access_key_id: the secret from literal has a ':'");
    fails(AWS("\"access_key_id\": \"AKID\", \"secret_access_key\": \"two words\""),
          "providers.p.credential.secret_access_key: the secret from literal has");
    fails(AWS("\"access_key\": \"AKID\""), "did you mean 'access_key_id'?");
    fails(PROVIDER("\"api_key\": {\"file\": {\"env\": \"no name\"}}"),
          "providers.p.api_key.file.env: expected the name of an environment variable");
    fails(PROVIDER("\"api_key\": {\"file\": {\"env\": \"A\", \"b\": 1}}"),
          "providers.p.api_key.file: expected the path of a file");
    fails(PROVIDER("\"api_key\": {\"file\": \"/keys/document\"}"), "has a control character at byte 2");
    fails(AWS("\"service_account\": \"a\\u0007\""), "has a control character at byte 2");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_secret),
        cmocka_unit_test(nowhere_to_be_found),
        cmocka_unit_test(slips),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
