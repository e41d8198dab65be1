/* Plugins in other languages load, and answer a whole exchange as a C plugin does. */
#include "plug_fixture.h"

static void answers(const char *plugin, const char *id, const char *path)
{
    fixture *f = fixture_new();
    plug_instance *on = fixture_create(f, plugin, "{}");
    assert_str(on->image ? plug_image_manifest(on->image)->id : STR_NONE, id);
    tp_operation op = {.size = sizeof(op), .model = {"m\"1", 3}};
    tp_target t = {.size = sizeof(t)};
    tp_reply r = {.size = sizeof(r), .status = 500, .body = {"broken", 6}};
    tp_frame frame = {.size = sizeof(frame), .data = {"a line", 6}};
    plug_invocation iv = {.on = on, .call = &f->call, .operation = &op, .target = &t, .reply = &r,
                          .frame = &frame};

    fixture_step(f, PLUG_MAY_REQUEST);
    iv.what = PLUG_BUILD;
    plug_invoke(&iv);
    assert_int_equal(iv.status, TP_OK);
    assert_str(f->out.path, path);
    assert_written(&f->out, "{\"model\":\"m\\\"1\"}");

    fixture_step(f, PLUG_MAY_EMIT);
    iv.what = PLUG_HEAD;
    plug_invoke(&iv);
    assert_int_equal(iv.status, TP_OK);
    assert_int_equal(iv.framing, TP_LINES);
    iv.what = PLUG_DATA;
    plug_invoke(&iv);
    iv.what = PLUG_END;
    plug_invoke(&iv);
    assert_int_equal(iv.status, TP_OK);
    assert_int_equal(f->out.event_count, 2);
    assert_int_equal(f->out.events[0].kind, TP_EV_TEXT);
    assert_str(f->out.events[0].text, "a line");
    assert_int_equal(f->out.events[1].kind, TP_EV_END);

    fixture_step(f, PLUG_MAY_EMIT);
    iv.what = PLUG_FAILED;
    plug_invoke(&iv);
    assert_int_equal(iv.status, TP_OK);
    assert_int_equal(f->out.events[0].kind, TP_EV_ERROR);
    assert_int_equal(f->out.events[0].code, TP_ERR_UPSTREAM);
    assert_str(f->out.events[0].text, "broken");

    fixture_step(f, PLUG_MAY_REQUEST);
    op.model = STR_NONE;
    iv.what = PLUG_BUILD;
    plug_invoke(&iv);
    assert_int_equal(iv.status, TP_E_INPUT);
    assert_str(f->out.fail_param, "model");
    assert_str(f->out.fail_why, "model is missing; name one");
    plug_destroy(on);
    fixture_free(f);
}

static void cpp(void **state)
{
    (void)state;
    if (!HAVE_CPP)
        skip();
    answers("lang_cpp", "test.lang-cpp", "/cpp");
}

static void rust(void **state)
{
    (void)state;
    if (!HAVE_RUST)
        skip();
    answers("lang_rust", "test.lang-rust", "/rust");
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(cpp), cmocka_unit_test(rust)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
