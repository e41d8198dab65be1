/* Events on their way to the client: held, kept, joined, counted. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/str.h"
#include "stream/stream.h"

static tp_event text_of(int32_t kind, uint32_t choice, uint32_t item, tp_str text)
{
    return (tp_event){
        .size = sizeof(tp_event), .kind = kind, .choice = choice, .item = item, .text = text};
}

static void check(const stream_held *h, uint32_t i, int32_t kind, const char *text)
{
    assert_true(i < h->count);
    assert_int_equal(h->events[i].kind, kind);
    assert_int_equal(h->events[i].text.len, strlen(text));
    assert_memory_equal(h->events[i].text.ptr ? h->events[i].text.ptr : "", text, strlen(text));
}

static void test_join_neighbours(void **state)
{
    (void)state;
    arena a;
    stream_held h = {0};
    arena_init(&a, NULL, 1 << 20);
    tp_event in[] = {
        text_of(TP_EV_TEXT, 0, 0, STR("one ")),        text_of(TP_EV_TEXT, 0, 0, STR("two")),
        text_of(TP_EV_TEXT, 0, 1, STR("item")),        text_of(TP_EV_TEXT, 1, 1, STR("choice")),
        text_of(TP_EV_REASONING, 1, 1, STR("why ")),   text_of(TP_EV_REASONING, 1, 1, STR_NONE),
        text_of(TP_EV_REASONING, 1, 1, STR("not")),    text_of(TP_EV_CALL, 0, 2, STR_NONE),
        text_of(TP_EV_ARGUMENTS, 0, 2, STR("{\"a\"")), text_of(TP_EV_ARGUMENTS, 0, 2, STR(":1}")),
        text_of(TP_EV_CALL, 0, 3, STR_NONE),           text_of(TP_EV_REFUSAL, 0, 4, STR("no")),
        text_of(TP_EV_REFUSAL, 0, 4, STR("!")),        text_of(TP_EV_TEXT, 0, 0, STR("again")),
    };
    for (size_t i = 0; i < TP_COUNT(in); i++)
        assert_int_equal(stream_add(&h, &a, &in[i]), 0);
    assert_int_equal(stream_join(&h, &a), 0);
    assert_int_equal(h.count, 9);
    check(&h, 0, TP_EV_TEXT, "one two");
    check(&h, 1, TP_EV_TEXT, "item");
    check(&h, 2, TP_EV_TEXT, "choice");
    check(&h, 3, TP_EV_REASONING, "why not");
    check(&h, 4, TP_EV_CALL, "");
    check(&h, 5, TP_EV_ARGUMENTS, "{\"a\":1}");
    check(&h, 6, TP_EV_CALL, "");
    check(&h, 7, TP_EV_REFUSAL, "no!");
    check(&h, 8, TP_EV_TEXT, "again");
    arena_reset(&a);
}

/* What is kept owns its bytes; what came later is kept when it is asked for, also after a join
 * moved it to a lower place. */
static void test_keep_after_join(void **state)
{
    (void)state;
    arena a;
    stream_held h = {0};
    char bytes[] = "abcdef";
    arena_init(&a, NULL, 1 << 20);
    tp_event e = text_of(TP_EV_TEXT, 0, 0, str_make(bytes, 1));
    stream_add(&h, &a, &e);
    e.text = str_make(bytes + 1, 1);
    stream_add(&h, &a, &e);
    assert_int_equal(stream_keep(&h, &a), 0);
    assert_int_equal(h.kept, 2);
    e = text_of(TP_EV_FIELD, 0, 0, STR_NONE);
    e.name = str_make(bytes + 2, 2);
    e.raw = str_make(bytes + 4, 2);
    stream_add(&h, &a, &e);
    assert_int_equal(stream_join(&h, &a), 0);
    assert_int_equal(h.count, 2);
    assert_int_equal(h.kept, 1);
    assert_int_equal(stream_keep(&h, &a), 0);
    assert_int_equal(h.kept, 2);
    memset(bytes, '?', sizeof(bytes));
    check(&h, 0, TP_EV_TEXT, "ab");
    assert_true(str_eq(h.events[1].name, STR("cd")));
    assert_true(str_eq(h.events[1].raw, STR("ef")));
    arena_reset(&a);
}

static void test_all_strings_are_kept(void **state)
{
    (void)state;
    arena a;
    stream_held h = {0};
    char bytes[] = "inxrp";
    arena_init(&a, NULL, 1 << 20);
    tp_event e = {.size = sizeof(e),
                  .kind = TP_EV_ERROR,
                  .id = {bytes, 1},
                  .name = {bytes + 1, 1},
                  .text = {bytes + 2, 1},
                  .raw = {bytes + 3, 1},
                  .param = {bytes + 4, 1}};
    stream_add(&h, &a, &e);
    stream_keep(&h, &a);
    memset(bytes, '?', sizeof(bytes));
    const tp_event *k = &h.events[0];
    assert_true(str_eq(k->id, STR("i")) && str_eq(k->name, STR("n")) && str_eq(k->text, STR("x")));
    assert_true(str_eq(k->raw, STR("r")) && str_eq(k->param, STR("p")));
    arena_reset(&a);
}

static void test_memory_is_bounded(void **state)
{
    (void)state;
    arena a;
    stream_held h = {0};
    tp_event e = text_of(TP_EV_TEXT, 0, 0, STR("0123456789012345678901234567890123456789"));
    arena_init(&a, NULL, 4 * sizeof(tp_event) + 64);
    for (int i = 0; i < 4; i++)
        assert_int_equal(stream_add(&h, &a, &e), 0);
    assert_int_equal(stream_add(&h, &a, &e), TP_E_NOMEM);
    assert_int_equal(h.count, 4);
    assert_int_equal(stream_keep(&h, &a), TP_E_NOMEM);
    assert_int_equal(h.kept, 1); /* the first one fitted */
    assert_int_equal(stream_join(&h, &a), TP_E_NOMEM);
    assert_int_equal(h.count, 4);
    arena_reset(&a);
}

static void count_usage(stream_tally *t, const char *unit, int64_t n)
{
    tp_event e = {.size = sizeof(e), .kind = TP_EV_USAGE, .name = str_of(unit), .number = n};
    assert_int_equal(stream_count(t, &e), 0);
}

/* Within a step totals replace one another, over steps they add up. */
static void test_usage_of_steps(void **state)
{
    (void)state;
    stream_tally t = {0};
    count_usage(&t, "completion", 3);
    count_usage(&t, "completion", 7);
    stream_step(&t);
    stream_step(&t); /* twice is as once */
    count_usage(&t, "completion", 5);
    count_usage(&t, "prompt", 2);
    stream_step(&t);
    assert_int_equal(usage_get(&t.used, STR("completion")), 12);
    assert_int_equal(usage_get(&t.used, STR("prompt")), 2);
}

/* Whatever a provider makes of what its upstream says: counts are not negative, and their sums over
 * steps and classes end. */
static void test_counts_of_any_size(void **state)
{
    (void)state;
    const int64_t most = INT64_C(1) << 50;
    stream_tally t = {0};
    count_usage(&t, "prompt", -5);
    count_usage(&t, "completion", INT64_MAX);
    count_usage(&t, "reasoning", INT64_MIN);
    count_usage(&t, "cache_read", most);
    for (int step = 0; step < 2; step++) {
        stream_step(&t);
        count_usage(&t, "completion", INT64_MAX);
    }
    stream_step(&t);
    assert_int_equal(usage_get(&t.used, STR("prompt")), 0);
    assert_int_equal(usage_get(&t.used, STR("reasoning")), 0);
    assert_int_equal(usage_get(&t.used, STR("cache_read")), most);
    assert_int_equal(usage_get(&t.used, STR("completion")), 3 * most);
}

static void test_terminal(void **state)
{
    (void)state;
    static const struct {
        int32_t kind, terminal;
    } ends[] = {{TP_EV_END, STREAM_ENDED}, {TP_EV_ERROR, STREAM_ERROR}};
    for (size_t i = 0; i < TP_COUNT(ends); i++) {
        stream_tally t = {0};
        tp_event e = {
            .size = sizeof(e), .kind = TP_EV_FINISH, .code = TP_FINISH_LENGTH, .choice = 1};
        assert_int_equal(stream_count(&t, &e), 0);
        assert_int_equal(t.finish, 0); /* another choice's */
        e.choice = 0;
        assert_int_equal(stream_count(&t, &e), 0);
        assert_int_equal(t.finish, TP_FINISH_LENGTH);
        e.kind = ends[i].kind;
        assert_int_equal(stream_count(&t, &e), 0);
        assert_int_equal(t.terminal, ends[i].terminal);
        e.kind = TP_EV_USAGE;
        assert_int_equal(stream_count(&t, &e), TP_E_UPSTREAM);
        assert_int_equal(t.step.count, 0);
    }
}

static void test_what_is_an_answer(void **state)
{
    (void)state;
    for (int32_t kind = TP_EV_START; kind <= TP_EV_END + 1; kind++) {
        tp_event e = {.size = sizeof(e), .kind = kind};
        int none = kind == TP_EV_START || kind == TP_EV_USAGE || kind == TP_EV_FIELD ||
                   kind == TP_EV_ERROR;
        assert_int_equal(stream_is_answer(&e), !none);
        e.flags = TP_EV_PREAMBLE;
        assert_int_equal(stream_is_answer(&e), 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_join_neighbours),      cmocka_unit_test(test_keep_after_join),
        cmocka_unit_test(test_all_strings_are_kept), cmocka_unit_test(test_memory_is_bounded),
        cmocka_unit_test(test_usage_of_steps),       cmocka_unit_test(test_counts_of_any_size),
        cmocka_unit_test(test_terminal),
        cmocka_unit_test(test_what_is_an_answer),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
