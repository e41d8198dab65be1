/* What people see: tables, facts, and text that would command their terminal. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "base/str.h"
#include "cli/answer.h"
#include "cli/table.h"

static void is(buf *b, const char *expected)
{
    if (!str_eq(buf_str(b), str_of(expected)))
        fail_msg("got:\n%.*s\nexpected:\n%s", (int)b->len, b->ptr, expected);
    b->len = 0;
}

static void test_columns(void **state)
{
    (void)state;
    static const cli_column columns[] = {
        {.head = "ID"}, {.head = "USD", .right = 1}, {.head = "NAME", .widest = 6}};
    cli_table t;
    buf b;
    buf_init(&b, 65536);
    cli_table_init(&t, columns, 3);
    assert_int_equal(cli_table_print(&t, &b), 0);
    is(&b, "ID  USD  NAME\n");
    cli_table_cell(&t, STR("key_1"));
    cli_table_cellf(&t, "%d.5", 10);
    cli_table_cell(&t, STR("sixsix"));
    cli_table_cell(&t, STR("k"));
    cli_table_cell(&t, STR("1"));
    cli_table_cell(&t, STR("sevens!"));
    cli_table_cell(&t, STR_NONE);
    cli_table_cell(&t, STR_NONE);
    cli_table_cell(&t, STR_NONE);
    cli_table_cell(&t, STR("half a row is not shown"));
    assert_int_equal(cli_table_print(&t, &b), 0);
    is(&b, "ID      USD  NAME\n"
           "key_1  10.5  sixsix\n"
           "k         1  seven…\n"
           "-         -  -\n");
    buf_free(&b);
    buf_init(&b, 20); /* no room is an error */
    assert_true(cli_table_print(&t, &b) < 0);
    buf_free(&b);
    cli_table_free(&t);
}

static void test_many_rows(void **state)
{
    (void)state;
    static const cli_column columns[] = {{.head = "N", .right = 1}};
    cli_table t;
    buf b;
    buf_init(&b, 1u << 20);
    cli_table_init(&t, columns, 1);
    for (int i = 0; i < 20000; i++)
        cli_table_cellf(&t, "%d", i);
    assert_int_equal(cli_table_print(&t, &b), 0);
    assert_int_equal(b.len, 20001 * 6);
    assert_memory_equal(b.ptr + b.len - 12, "19998\n19999\n", 12);
    cli_table_free(&t);
    buf_free(&b);
}

static void test_width_of_characters(void **state)
{
    (void)state;
    static const cli_column columns[] = {{.head = "NAME", .widest = 5}, {.head = "X"}};
    cli_table t;
    buf b;
    assert_int_equal(cli_width(STR("abc")), 3);
    assert_int_equal(cli_width(STR("äöü")), 3);
    assert_int_equal(cli_width(STR("日本")), 4);
    assert_int_equal(cli_width(STR("e\xcc\x81")), 1); /* combining accent */
    assert_int_equal(cli_width(STR("🙂")), 2);
    buf_init(&b, 65536);
    cli_table_init(&t, columns, 2);
    cli_table_cell(&t, STR("日本語"));
    cli_table_cell(&t, STR("1"));
    cli_table_cell(&t, STR("äöüßé"));
    cli_table_cell(&t, STR("2"));
    assert_int_equal(cli_table_print(&t, &b), 0);
    is(&b, "NAME   X\n日本…  1\näöüßé  2\n");
    cli_table_free(&t);
    buf_free(&b);
}

static void test_text_is_made_safe(void **state)
{
    (void)state;
    buf b;
    buf_init(&b, 65536);
    assert_int_equal(cli_clean(&b, STR("\x1b[2Ja\nb\tc\x7f")), 0);
    is(&b, "?[2Ja?b?c?");
    cli_clean(&b, STR("\xc2\x9b"
                      "1m\xe2\x80\xae"
                      "x\xe2\x81\xa6")); /* C1, right-to-left marks */
    is(&b, "?1m?x?");
    cli_clean(&b, STR("a\xff\xc3 ok")); /* not UTF-8 */
    is(&b, "a?? ok");
    cli_clean(&b, STR("größe 日本"));
    is(&b, "größe 日本");
    buf_free(&b);
}

static void test_answers_are_read(void **state)
{
    (void)state;
    cli_answer a;
    tp_str text =
        STR("{\"s\":\"a\\u00e4\\n\",\"n\":12.50,\"b\":true,\"z\":null,\"l\":[\"x\",2,null],"
            "\"e\":[],\"o\":{\"in\":\"y\"}}");
    assert_int_equal(cli_answer_read(&a, text), 0);
    assert_true(str_eq(cli_answer_text(&a, 0, "s"), STR("aä\n")));
    assert_true(str_eq(cli_answer_text(&a, 0, "n"), STR("12.50")));
    assert_true(str_eq(cli_answer_text(&a, 0, "b"), STR("true")));
    assert_int_equal(cli_answer_text(&a, 0, "z").len, 0);
    assert_int_equal(cli_answer_text(&a, 0, "absent").len, 0);
    assert_true(str_eq(cli_answer_text(&a, 0, "l"), STR("x, 2, ")));
    assert_int_equal(cli_answer_first(&a, json_find(&a.doc, 0, STR("e"))), 0);
    assert_int_equal(cli_answer_first(&a, json_find(&a.doc, 0, STR("s"))), 0);
    uint32_t list = json_find(&a.doc, 0, STR("l")), n = 0;
    for (uint32_t i = cli_answer_first(&a, list); i; i = cli_answer_next(&a, list, i))
        n++;
    assert_int_equal(n, 3);
    cli_answer_free(&a);
    assert_int_equal(cli_answer_read(&a, STR("no JSON")), -1);
    assert_int_equal(cli_answer_text(&a, 0, "s").len, 0);
    cli_answer_free(&a);
}

static void test_messages(void **state)
{
    (void)state;
    static const struct {
        const char *text, *message;
    } cases[] = {{"{\"error\":{\"message\":\"No team.\",\"code\":\"x\"}}", "No team."},
                 {"{\"message\":\"No.\"}", "No."},
                 {"{\"error\":\"plain\"}", "plain"},
                 {"[1]", "[1]"}};
    cli_answer a;
    for (size_t i = 0; i < TP_COUNT(cases); i++) {
        assert_int_equal(cli_answer_read(&a, str_of(cases[i].text)), 0);
        assert_true(str_eq(cli_answer_message(&a), str_of(cases[i].message)));
        cli_answer_free(&a);
    }
}

static void test_facts(void **state)
{
    (void)state;
    cli_answer a;
    buf b;
    buf_init(&b, 65536);
    tp_str text = STR("{\"id\":\"acme\",\"policy\":{\"min_trust\":2,\"models\":[\"a\",\"b*\"]},"
                      "\"none\":null,\"list\":[],\"byok\":[{\"provider\":\"p\",\"hint\":null},"
                      "{\"provider\":\"q\\u001b\",\"hint\":\"abcd\"}],\"empty\":{}}");
    assert_int_equal(cli_answer_read(&a, text), 0);
    assert_int_equal(cli_answer_facts(&a, 0, &b), 0);
    is(&b, "id                acme\n"
           "policy.min_trust  2\n"
           "policy.models     a, b*\n"
           "none              -\n"
           "list              -\n"
           "byok\n"
           "    provider p, hint -\n"
           "    provider q?, hint abcd\n"
           "empty             -\n");
    cli_answer_free(&a);
    buf_free(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_columns),
        cmocka_unit_test(test_many_rows),
        cmocka_unit_test(test_width_of_characters),
        cmocka_unit_test(test_text_is_made_safe),
        cmocka_unit_test(test_answers_are_read),
        cmocka_unit_test(test_messages),
        cmocka_unit_test(test_facts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
