/* Command lines: what is understood, what is refused and how it is said, what is asked of the API.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/str.h"
#include "cli/options.h"
#include "model/json.h"

static int nothing(const cli_call *c)
{
    (void)c;
    return 0;
}

enum { MAKE = 1, LIST = 2, UPDATE = 4 };
static const cli_verb verbs[] = {
    {"make", "ID", nothing, "makes"},
    {"list", "", nothing, "lists"},
    {"update", "ID [AMOUNT]", nothing, "changes"},
};
static const cli_field fields[] = {
    {.name = "name",
     .value = "NAME",
     .kind = CLI_TEXT,
     .where = CLI_BODY,
     .member = "name",
     .verbs = MAKE | UPDATE,
     .needed = MAKE,
     .help = "what it is called"},
    {.name = "team",
     .value = "TEAM",
     .kind = CLI_TEXT,
     .where = CLI_QUERY,
     .member = "team",
     .verbs = LIST,
     .help = "whose"},
    {.name = "team",
     .value = "TEAM",
     .kind = CLI_TEXT,
     .where = CLI_BODY,
     .member = "team",
     .verbs = MAKE,
     .help = "whose"},
    {.name = "rate-limit",
     .value = "N",
     .kind = CLI_WHOLE,
     .where = CLI_BODY,
     .member = "rate_limit",
     .verbs = MAKE | UPDATE,
     .none = "none",
     .help = "a minute"},
    {.name = "expires-in",
     .value = "SPAN",
     .kind = CLI_SPAN,
     .where = CLI_BODY,
     .member = "expires_in",
     .verbs = MAKE | UPDATE,
     .none = "never",
     .help = "from now"},
    {.name = "allow",
     .value = "A,B",
     .kind = CLI_LIST,
     .where = CLI_BODY,
     .member = "policy.allow",
     .verbs = MAKE | UPDATE,
     .none = "all",
     .help = "these"},
    {.name = "trust",
     .value = "N",
     .kind = CLI_WHOLE,
     .where = CLI_BODY,
     .member = "policy.trust",
     .verbs = MAKE | UPDATE,
     .help = "at least"},
    {.name = "active",
     .value = "true|false",
     .kind = CLI_YES_NO,
     .where = CLI_BODY,
     .member = "active",
     .verbs = MAKE | UPDATE,
     .help = "or not"},
    {.name = "reset",
     .value = "PERIOD",
     .kind = CLI_WORD,
     .where = CLI_BODY,
     .member = "reset",
     .verbs = MAKE,
     .words = "daily|monthly",
     .help = "when"},
    {.name = "limit",
     .value = "USD",
     .kind = CLI_MONEY,
     .where = CLI_BODY,
     .member = "limit",
     .verbs = MAKE,
     .help = "how much"},
    {.name = "from",
     .value = "WHEN",
     .kind = CLI_SINCE,
     .where = CLI_QUERY,
     .member = "from",
     .verbs = LIST,
     .help = "from"},
    {.name = "to",
     .value = "WHEN",
     .kind = CLI_UNTIL,
     .where = CLI_QUERY,
     .member = "to",
     .verbs = LIST,
     .help = "to"},
};
static const cli_group group = {.name = "things",
                                .help = "some things",
                                .verbs = verbs,
                                .verb_count = 3,
                                .fields = fields,
                                .field_count = TP_COUNT(fields)};
static const cli_verb alone[] = {{"", "FILE", nothing, "does it"}};
static const cli_group single = {
    .name = "single", .help = "one thing", .verbs = alone, .verb_count = 1};

/* Words with spaces between them; '_' within a word stands for a space. */
static int parse_of(const cli_group *g, const char *line, cli_call *c, tp_error *err)
{
    static char text[1024]; /* what the call borrows */
    static char *argv[32];
    int argc = 0;
    snprintf(text, sizeof(text), "%s", line);
    for (char *p = text; *p;) {
        argv[argc++] = p;
        while (*p && *p != ' ') {
            if (*p == '_')
                *p = ' ';
            p++;
        }
        if (*p)
            *p++ = '\0';
    }
    argv[argc] = NULL;
    *err = (tp_error){0};
    return cli_call_parse(g, argc, argv, c, err);
}

static int parse(const char *line, cli_call *c, tp_error *err)
{
    return parse_of(&group, line, c, err);
}

static void refused(const char *line, const char *say)
{
    cli_call c;
    tp_error err;
    assert_int_equal(parse(line, &c, &err), TP_ERROR_CONFIG);
    if (!strstr(err.text, say))
        fail_msg("'%s' was refused with '%s', expected '%s'", line, err.text, say);
}

static void body_is(const char *line, const char *first, const char *expected)
{
    cli_call c;
    tp_error err;
    buf b;
    uint32_t n;
    json_tape tape = {0};
    buf_init(&b, 65536);
    assert_int_equal(parse(line, &c, &err), 0);
    assert_int_equal(cli_call_body(&c, str_of(first), &b, &n), 0);
    if (!str_eq(buf_str(&b), str_of(expected)))
        fail_msg("'%s' gave %.*s, expected %s", line, (int)b.len, b.ptr, expected);
    assert_int_equal(json_scan(buf_str(&b), &tape, NULL), 0);
    json_tape_free(&tape);
    buf_free(&b);
}

static void test_what_is_understood(void **state)
{
    (void)state;
    cli_call c;
    tp_error err;
    assert_int_equal(parse("things make a --name=ci --rate-limit 5 --config /x --json", &c, &err),
                     0);
    assert_ptr_equal(c.verb, &verbs[0]);
    assert_string_equal(c.args[0], "a");
    assert_string_equal(cli_call_value(&c, "name"), "ci");
    assert_string_equal(cli_call_value(&c, "rate-limit"), "5");
    assert_null(cli_call_value(&c, "limit"));
    assert_string_equal(c.dir, "/x");
    assert_int_equal(c.json, 1);

    assert_int_equal(parse("things list", &c, &err), 0);
    assert_null(c.dir);
    assert_int_equal(c.json, 0);
    /* A negative amount is an argument; after "--" everything is. */
    assert_int_equal(parse("things update a -5.25", &c, &err), 0);
    assert_string_equal(c.args[1], "-5.25");
    assert_int_equal(parse("things update -- --odd", &c, &err), 0);
    assert_string_equal(c.args[0], "--odd");
    /* A value may look like an option. */
    assert_int_equal(parse("things make a --name --json", &c, &err), 0);
    assert_string_equal(cli_call_value(&c, "name"), "--json");
    assert_int_equal(parse_of(&single, "single file", &c, &err), 0);
    assert_string_equal(c.args[0], "file");
}

static void test_help_is_asked_for(void **state)
{
    (void)state;
    cli_call c;
    tp_error err;
    static const char *const lines[] = {
        "things",    "things help",        "things --help",
        "things -h", "things make --help", "things nonsense --help"};
    for (size_t i = 0; i < TP_COUNT(lines); i++)
        assert_int_equal(parse(lines[i], &c, &err), 1);
    assert_int_equal(parse_of(&single, "single --help", &c, &err), 1);
    assert_int_equal(parse("things make help --name x", &c, &err), 0); /* an id of that name */
}

static void test_what_is_refused(void **state)
{
    (void)state;
    refused("things mkae a", "did you mean 'make'");
    refused("things zzzzzz", "expected: one of make, list, update");
    refused("things make a --nmae x", "did you mean --name?");
    refused("things make a", "--name NAME is missing");
    refused("things make --name x", "ID is missing");
    refused("things make --name x", "expected: turnpike things make ID --name NAME [options]");
    refused("things make a b --name x", "'b' is not understood");
    refused("things make a -x --name x", "'-x' is not understood");
    refused("things make a --name", "--name has no value");
    refused("things make a --name x --name y", "--name is given twice");
    refused("things list --config a --config b", "--config is given twice");
    refused("things list --name x", "there is no option --name");
    refused("things list --json=1", "--json takes no value");
    refused("things list --config=", "--config '': expected a directory");
    refused("things make a --name=", "--name '': expected a value that is not empty");
    refused("things make a --name x --rate-limit ten", "expected a whole number");
    refused("things make a --name x --rate-limit -1", "expected a whole number");
    refused("things make a --name x --rate-limit 99999999999999999999", "expected a smaller number");
    refused("things update a --rate-limit ten", "0 or more, or none");
    refused("things make a --name x --rate-limit none", "or on update none");
    refused("things make a --name x --active yes", "expected true or false");
    refused("things make a --name x --reset weekly", "expected one of daily|monthly");
    refused("things make a --name x --reset daily|monthly", "expected one of");
    refused("things make a --name x --allow ,_,", "names with commas");
    refused("things make a --name x --limit 0", "above 0");
    refused("things make a --name x --expires-in 3y", "a duration");
    refused("things list --from yesterday", "2026-04-15");
    refused("things make a --name \xff", "UTF-8");
    refused("things make \xc3 --name x", "not UTF-8");
    cli_call c;
    tp_error err;
    assert_int_equal(parse_of(&single, "single", &c, &err), TP_ERROR_CONFIG);
    assert_non_null(strstr(err.text, "turnpike single FILE"));
    assert_non_null(strstr(err.text, "single: FILE is missing"));
}

static void test_bodies(void **state)
{
    (void)state;
    body_is("things make a --name ci", "", "{\"name\":\"ci\"}");
    body_is("things make a --name ci", "\"id\":\"a\"", "{\"id\":\"a\",\"name\":\"ci\"}");
    body_is("things list", "", "{}");
    body_is("things update a", "\"x\":1", "{\"x\":1}");
    /* In the order of the table, whatever that of the line. */
    body_is("things make a --limit 1.50 --rate-limit 007 --name n --team t --reset monthly "
            "--active false --expires-in 2h",
            "",
            "{\"name\":\"n\",\"team\":\"t\",\"rate_limit\":7,\"expires_in\":7200,"
            "\"active\":false,\"reset\":\"monthly\",\"limit\":\"1.50\"}");
    body_is("things update a --trust 2 --allow x,_y*_, --active true", "",
            "{\"policy\":{\"allow\":[\"x\",\"y*\"],\"trust\":2},\"active\":true}");
    body_is("things update a --trust 2", "", "{\"policy\":{\"trust\":2}}");
    body_is("things update a --rate-limit none --expires-in never --allow all", "",
            "{\"rate_limit\":null,\"expires_in\":null,\"policy\":{\"allow\":null}}");
    body_is("things make a --name \"\\\n\x01\xc3\xa4", "",
            "{\"name\":\"\\\"\\\\\\n\\u0001\xc3\xa4\"}");
    /* On update a text is text: only fields with such a word have null. */
    body_is("things update a --name none", "", "{\"name\":\"none\"}");
}

static void test_count_of_fields(void **state)
{
    (void)state;
    cli_call c;
    tp_error err;
    buf b;
    uint32_t n = 99;
    buf_init(&b, 65536);
    assert_int_equal(parse("things update a", &c, &err), 0);
    assert_int_equal(cli_call_body(&c, STR_NONE, &b, &n), 0);
    assert_int_equal(n, 0);
    assert_int_equal(parse("things update a --name x --trust 1", &c, &err), 0);
    assert_int_equal(cli_call_body(&c, STR_NONE, &b, &n), 0);
    assert_int_equal(n, 2);
    buf_free(&b);
    buf_init(&b, 8); /* no room is an error, not a cut body */
    assert_true(cli_call_body(&c, STR_NONE, &b, &n) < 0);
    buf_free(&b);
}

static void query_is(const char *line, const char *expected)
{
    cli_call c;
    tp_error err;
    buf b;
    buf_init(&b, 65536);
    assert_int_equal(parse(line, &c, &err), 0);
    assert_int_equal(cli_call_query(&c, &b), 0);
    if (!str_eq(buf_str(&b), str_of(expected)))
        fail_msg("'%s' gave '%.*s', expected '%s'", line, (int)b.len, b.ptr, expected);
    buf_free(&b);
}

static void test_queries(void **state)
{
    (void)state;
    query_is("things list", "");
    query_is("things list --team a", "?team=a");
    query_is("things list --team a_b&c=d/%?\xc3\xa4", "?team=a%20b%26c%3Dd%2F%25%3F%C3%A4");
    /* A day as an end means all of it. */
    query_is("things list --team a --from 2026-04-15 --to 2026-04-15",
             "?team=a&from=1776211200000&to=1776297600000");
    query_is("things list --from 2026-04-15T10:30:00Z --to 1776297600123",
             "?from=1776249000000&to=1776297600123");
    query_is("things make a --name x --team t", ""); /* there it belongs to the body */
}

static void test_spans(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        int64_t seconds;
    } good[] = {{"3600", 3600},
                {"45s", 45},
                {"30m", 1800},
                {"12h", 43200},
                {"90d", 7776000},
                {"2w", 1209600},
                {"3153600000", 3153600000},
                {"36500d", 3153600000}};
    static const char *const bad[] = {"",
                                      "0",
                                      "0d",
                                      "-1",
                                      "1.5h",
                                      "d",
                                      "1D",
                                      "1 d",
                                      "1dd",
                                      "1y",
                                      "3153600001",
                                      "36501d",
                                      "99999999999999999999",
                                      "9999999999999999999d"};
    int64_t s;
    for (size_t i = 0; i < TP_COUNT(good); i++) {
        assert_int_equal(cli_span_parse(str_of(good[i].text), &s), 0);
        assert_int_equal(s, good[i].seconds);
    }
    for (size_t i = 0; i < TP_COUNT(bad); i++)
        if (cli_span_parse(str_of(bad[i]), &s) == 0)
            fail_msg("'%s' was taken for a duration", bad[i]);
}

static void test_moments(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        int64_t since, until;
    } good[] = {{"1970-01-01", 0, 86400000},
                {"2026-04-15", 1776211200000, 1776297600000},
                {"2028-02-29", 1835395200000, 1835481600000},
                {"2026-04-15T10:30:00Z", 1776249000000, 1776249000000},
                {"2026-04-15 10:30:00Z", 1776249000000, 1776249000000},
                {"2026-04-15T10:30:00.125Z", 1776249000125, 1776249000125},
                {"1776249000125", 1776249000125, 1776249000125},
                {"9999-12-31T23:59:59Z", 253402300799000, 253402300799000}};
    static const char *const bad[] = {"",
                                      "2026",
                                      "2026-4-15",
                                      "2026-13-01",
                                      "2026-02-29",
                                      "2026-04-31",
                                      "2026-00-10",
                                      "2026-04-00",
                                      "2026/04/15",
                                      "2026-04-15T10:30Z",
                                      "2026-04-15T10:30:00",
                                      "2026-04-15T24:00:00Z",
                                      "2026-04-15T10:60:00Z",
                                      "2026-04-15T10:30:61Z",
                                      "2026-04-15T10:30:00+02:00",
                                      "2026-04-15T10:30:00.1Z",
                                      "2026-04-15T",
                                      "1969-12-31",
                                      "2026-04-15T10:30:00Zx",
                                      "253402300800000",
                                      "-5"};
    int64_t ms = -1;
    char text[CLI_MOMENT];
    for (size_t i = 0; i < TP_COUNT(good); i++) {
        assert_int_equal(cli_moment_parse(str_of(good[i].text), 0, &ms), 0);
        assert_int_equal(ms, good[i].since);
        assert_int_equal(cli_moment_parse(str_of(good[i].text), 1, &ms), 0);
        assert_int_equal(ms, good[i].until);
    }
    for (size_t i = 0; i < TP_COUNT(bad); i++)
        if (cli_moment_parse(str_of(bad[i]), 0, &ms) == 0)
            fail_msg("'%s' was taken for a moment", bad[i]);
    cli_moment_print(1776249000125, 1, text);
    assert_string_equal(text, "2026-04-15T10:30:00.125Z");
    cli_moment_print(1776249000125, 0, text);
    assert_string_equal(text, "2026-04-15T10:30:00Z");
    cli_moment_print(INT64_MAX, 1, text);
    assert_string_equal(text, "?");
    cli_moment_print(-1, 1, text);
    assert_string_equal(text, "?");
}

static void test_amounts(void **state)
{
    (void)state;
    static const char *const good[] = {"1", "12.50", "0.000000001", "9999999999.999999999", "007"};
    static const char *const bad[] = {"",      "0",   "0.0", ".",  "1.",           ".5",
                                      "1e3",   "1,5", "+1",  "$1", "0.0000000001", "12345678901",
                                      "1.2.3", " 1",  "1 ",  "-",  "--1",          "1-"};
    for (size_t i = 0; i < TP_COUNT(good); i++)
        assert_int_equal(cli_money_form(str_of(good[i]), 0), 0);
    for (size_t i = 0; i < TP_COUNT(bad); i++)
        for (int negative = 0; negative < 2; negative++)
            if (cli_money_form(str_of(bad[i]), negative) == 0)
                fail_msg("'%s' was taken for an amount", bad[i]);
    assert_int_equal(cli_money_form(STR("-2.5"), 1), 0);
    assert_int_equal(cli_money_form(STR("-2.5"), 0), -1);
}

static int says(const buf *b, const char *what)
{
    return memmem(b->ptr, b->len, what, strlen(what)) != NULL;
}

static void test_help_names_all(void **state)
{
    (void)state;
    buf b;
    buf_init(&b, 65536);
    cli_group_help(&group, &b);
    for (size_t i = 0; i < TP_COUNT(fields); i++) {
        char option[64];
        snprintf(option, sizeof(option), "  --%s", fields[i].name);
        assert_true(says(&b, option));
        assert_true(says(&b, fields[i].help));
    }
    assert_true(says(&b, "turnpike things make ID --name NAME [options]"));
    assert_true(says(&b, "turnpike things update ID [AMOUNT] [options]"));
    assert_true(says(&b, "(make, update)"));
    assert_true(says(&b, "On update 'none', 'never', 'all' take the value away"));
    assert_true(says(&b, "--allow A,B|all"));
    assert_true(says(&b, "--config DIR") && says(&b, "--json"));
    b.len = 0;
    cli_group_line(&group, &b);
    assert_true(says(&b, "turnpike things make|list|update"));
    b.len = 0;
    cli_group_line(&single, &b);
    assert_true(says(&b, "turnpike single FILE"));
    buf_free(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_is_understood),
        cmocka_unit_test(test_help_is_asked_for),
        cmocka_unit_test(test_what_is_refused),
        cmocka_unit_test(test_bodies),
        cmocka_unit_test(test_count_of_fields),
        cmocka_unit_test(test_queries),
        cmocka_unit_test(test_spans),
        cmocka_unit_test(test_moments),
        cmocka_unit_test(test_amounts),
        cmocka_unit_test(test_help_names_all),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
