/* What an upstream says of an error, in whatever bytes, is text when the host has it. */
#include "plug_fixture.h"

#define H plug_host()
#define C (&f->call.pub)

static const tp_event *emitted(fixture *f, tp_event e)
{
    e.size = sizeof(e);
    assert_int_equal(H->emit(C, &e), TP_OK);
    return &f->out.events[f->out.event_count - 1];
}

static void words_of_an_error_are_text(void **state)
{
    (void)state;
    fixture *f = fixture_new();
    static const char sent[] = "refus\xe9: \xff\xfe\n";
    fixture_step(f, PLUG_MAY_EMIT);
    fixture_borrow(f, str_make(sent, sizeof(sent) - 1));
    const tp_event *got = emitted(f, (tp_event){.kind = TP_EV_ERROR, .number = -1,
                                                .id = STR("\xc3"), .name = STR("Valid\xffName"),
                                                .text = str_make(sent, sizeof(sent) - 1),
                                                .param = STR("a\xed\xa0\xbd")});
    assert_str(got->id, "?");
    assert_str(got->name, "Valid?Name");
    assert_str(got->text, "refus?: ?? ");
    assert_str(got->param, "a???");
    assert_int_equal((unsigned char)sent[5], 0xe9); /* what was lent stays as it is */
    fixture_free(f);
}

static void text_stays_as_it_is(void **state)
{
    (void)state;
    fixture *f = fixture_new();
    static const char sent[] = "refusé:\n\xf0\x9f\x98\x80";
    fixture_step(f, PLUG_MAY_EMIT);
    fixture_borrow(f, str_make(sent, sizeof(sent) - 1));
    const tp_event *got = emitted(
        f, (tp_event){.kind = TP_EV_ERROR, .number = -1, .text = str_make(sent, sizeof(sent) - 1)});
    assert_ptr_equal(got->text.ptr, sent); /* referenced */
    assert_int_equal(got->text.len, sizeof(sent) - 1);
    assert_null(got->id.ptr);
    fixture_free(f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(words_of_an_error_are_text),
        cmocka_unit_test(text_stays_as_it_is),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
