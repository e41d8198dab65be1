/* How many tokens a request may come to: what a hold stands on where nobody has counted. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/str.h"
#include "settle/settle.h"

#define NOBODY -1
static char bytes[200000];

static tp_event medium(const char *type, size_t len)
{
    return (tp_event){.size = sizeof(tp_event), .kind = TP_EV_MEDIA, .name = str_of(type),
                      .text = {len ? bytes : NULL, len}, .number = -1};
}

/* A request of so many bytes, with those events. */
static tp_operation asked(size_t body, const tp_event *events, uint32_t count)
{
    return (tp_operation){.prompt_tokens = NOBODY, .max_output_tokens = 0, .choices = 1,
                          .body = {.text = {bytes, body}},
                          .prompt = {events, count, sizeof(tp_event)}};
}

static int64_t most(int64_t context, tp_operation op)
{
    world_deployment d = {.context_length = context, .max_output_tokens = -1};
    return settle_prompt_most(&d, &op);
}

static void text_is_a_token_a_byte(void **state)
{
    (void)state;
    assert_int_equal(most(-1, asked(300, NULL, 0)), 300);
    assert_int_equal(most(200, asked(300, NULL, 0)), 200);
    tp_operation op = asked(300, NULL, 0);
    op.prompt_tokens = 12; /* somebody has counted */
    assert_int_equal(most(-1, op), 12);
}

/* A picture by its address is a hundred bytes, and tens of thousands of tokens. */
static void pictures(void **state)
{
    (void)state;
    tp_event far[] = {medium("image/*", 0), medium("image/*", 0)};
    assert_int_equal(most(-1, asked(300, far, 1)), 300 + 50000);
    assert_int_equal(most(-1, asked(300, far, 2)), 300 + 2 * 50000);
    assert_int_equal(most(128000, asked(300, far, 2)), 100300);
    assert_int_equal(most(32768, asked(300, far, 2)), 32768);
    /* Its bytes are not read as text: of 150,300, 150,000 are the picture's. */
    tp_event here = medium("image/png", 150000);
    assert_int_equal(most(-1, asked(150300, &here, 1)), 300 + 50000);
    /* A decoded span may be longer than what stands there: never below 0. */
    assert_int_equal(most(-1, asked(100, &here, 1)), 50000);
}

static void sound(void **state)
{
    (void)state;
    tp_event here = medium("audio/*", 8000), far = medium("audio/*", 0);
    assert_int_equal(most(-1, asked(8300, &here, 1)), 8300);
    assert_int_equal(most(128000, asked(300, &far, 1)), 128000);
}

/* What is only named may be as long as the model can read. */
static void what_has_no_end(void **state)
{
    (void)state;
    tp_event file = medium("application/octet-stream", 0), pdf = medium("application/pdf", 900);
    tp_event search = {.size = sizeof(search), .kind = TP_EV_USAGE, .name = STR("prompt"),
                       .number = -1};
    const tp_event *each[] = {&file, &pdf, &search};
    for (size_t i = 0; i < TP_COUNT(each); i++) {
        assert_int_equal(most(128000, asked(300, each[i], 1)), 128000);
        assert_int_equal(most(-1, asked(300, each[i], 1)), 1000000);
    }
    tp_operation op = asked(300, NULL, 0);
    op.needs = TP_NEED_DOCUMENTS;
    assert_int_equal(most(64000, op), 64000);
    search.number = 7; /* somebody knows how much it is */
    assert_int_equal(most(-1, asked(300, &search, 1)), 300);
}

/* Providers put tools into words of their own. */
static void tools(void **state)
{
    (void)state;
    tp_operation op = asked(300, NULL, 0);
    op.needs = TP_NEED_TOOLS;
    assert_int_equal(most(-1, op), 1324);
    op.needs = TP_NEED_SCHEMA | TP_NEED_TOOLS;
    assert_int_equal(most(-1, op), 1324);
    assert_int_equal(most(1000, op), 1000);
}

static void tokens_of_a_minute(void **state)
{
    (void)state;
    world_deployment d = {.context_length = -1, .max_output_tokens = 50};
    tp_event picture = medium("image/png", 150000);
    tp_operation op = asked(150300, &picture, 1);
    op.max_output_tokens = 20;
    op.choices = 3;
    assert_int_equal(settle_hold_tokens(&d, &op), 300 + 1000 + 3 * 20);
    assert_int_equal(settle_least_tokens(&d, &op), 300 + 1000 + 3 * 20);
    op.max_output_tokens = -1;
    assert_int_equal(settle_hold_tokens(&d, &op), 300 + 1000 + 3 * 50);
    assert_int_equal(settle_least_tokens(&d, &op), 300 + 1000 + 3); /* as long as the model likes */
    op.max_output_tokens = INT64_MAX;
    d.max_output_tokens = -1;
    assert_true(settle_hold_tokens(&d, &op) == INT64_MAX);
    d.context_length = 500;
    op.max_output_tokens = 0;
    assert_int_equal(settle_hold_tokens(&d, &op), 500);
    assert_int_equal(settle_least_tokens(&d, &op), 500);
}

/* Of a reply that was broken off: (300 + 3) / 4 = 75 tokens of text, and 1,000 for each medium. */
static void what_is_likely(void **state)
{
    (void)state;
    tp_event media[] = {medium("image/png", 100000), medium("audio/*", 50000)};
    tp_operation op = asked(150299, media, 2);
    assert_int_equal(settle_prompt_likely(&op), 75 + 2000);
    op.prompt_tokens = 9;
    assert_int_equal(settle_prompt_likely(&op), 9);
    /* It is within what is held. */
    op.prompt_tokens = NOBODY;
    assert_true(settle_prompt_likely(&op) <= most(-1, op));
}

int main(void)
{
    memset(bytes, 'x', sizeof(bytes));
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(text_is_a_token_a_byte), cmocka_unit_test(pictures),
        cmocka_unit_test(sound),                  cmocka_unit_test(what_has_no_end),
        cmocka_unit_test(tools),                  cmocka_unit_test(tokens_of_a_minute),
        cmocka_unit_test(what_is_likely),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
