/* Today's host loads a plugin that was built against the released header, and calls all of it. */
#include "../unit/plug/plug_fixture.h"

static plug_instance *museum(fixture *f)
{
    plug_image *i;
    plug_instance *on;
    tp_error err = {0};
    static const char options[] = "{\"path\":\"/old\"}";
    json_tape tape = {0};
    if (plug_load(f->loader, MUSEUM, &i, &err))
        fail_msg("%s", err.text);
    assert_int_equal(plug_image_manifest(i)->kinds,
                     PLUG_KIND_PROVIDER | PLUG_KIND_ENDPOINT | PLUG_KIND_STRATEGY);
    assert_int_equal(json_scan(str_of(options), &tape, NULL), 0);
    tp_doc d = json_doc(str_of(options), &tape);
    if (plug_create(i, STR("museum"), &d, &on, &err))
        fail_msg("%s", err.text);
    json_tape_free(&tape);
    return on;
}

static void a_provider_of_1_0(void **state)
{
    (void)state;
    fixture *f = fixture_new();
    plug_instance *on = museum(f);
    assert_int_equal(on->provider->state_size, 64);
    assert_int_equal(on->provider->formats.count, 2);
    tp_operation op = {.size = sizeof(op), .max_output_tokens = 5, .body = {.text = {"{}", 2}}};
    tp_target t = {.size = sizeof(t), .model = {"up", 2}};
    tp_reply r = {.size = sizeof(r), .status = 200, .body = {"slow down", 9}};
    tp_frame frame = {.size = sizeof(frame), .data = {"{\"t\":\"old\"}", 11}};
    plug_invocation iv = {.what = PLUG_BUILD, .on = on, .call = &f->call, .operation = &op,
                          .target = &t, .reply = &r, .frame = &frame};
    fixture_step(f, PLUG_MAY_REQUEST);
    plug_invoke(&iv);
    assert_int_equal(iv.status, TP_OK);
    assert_str(f->out.path, "/old");
    assert_written(&f->out, "\"up\"{}");
    assert_str(f->out.headers[0].value, "application/json");
    assert_str(f->out.secret_prefix, "Bearer ");
    assert_str(f->out.reports[0].field, "seed");
    fixture_step(f, PLUG_MAY_EMIT);
    iv.what = PLUG_HEAD;
    plug_invoke(&iv);
    assert_int_equal(iv.framing, TP_SSE);
    iv.what = PLUG_DATA;
    plug_invoke(&iv);
    iv.what = PLUG_END;
    plug_invoke(&iv);
    assert_int_equal(f->out.event_count, 3);
    assert_str(f->out.events[0].text, "old");
    assert_str(f->out.events[0].raw, "{\"t\":\"old\"}");
    assert_int_equal(f->out.events[0].choice, 1);
    assert_int_equal(f->out.events[0].item, 2);
    assert_int_equal(f->out.events[1].number, 7);
    assert_int_equal(f->out.events[2].kind, TP_EV_END);
    fixture_step(f, PLUG_MAY_EMIT);
    iv.what = PLUG_FAILED;
    plug_invoke(&iv);
    assert_int_equal(f->out.events[0].code, TP_ERR_RATE);
    assert_int_equal(f->out.events[0].number, 1500);
    assert_str(f->out.events[0].text, "slow down");
    assert_str(f->out.events[0].param, "model");
    plug_destroy(on);
    fixture_free(f);
}

static void an_endpoint_of_1_0(void **state)
{
    (void)state;
    fixture *f = fixture_new();
    plug_instance *on = museum(f);
    static const char body[] = "{\"model\":\"m\"}";
    json_tape tape = {0};
    assert_int_equal(json_scan(str_of(body), &tape, NULL), 0);
    struct wide { /* headers of a host that has grown step by its stride */
        tp_header h;
        uint64_t more;
    } headers[] = {{.h = {{"a", 1}, {"1", 1}}}, {.h = {{"b", 1}, {"2", 1}}}};
    tp_request r = {.size = sizeof(r), .headers = {headers, 2, sizeof(struct wide)},
                    .body = json_doc(str_of(body), &tape)};
    tp_operation op = {.size = sizeof(op), .format = on->endpoint->format};
    fixture_step(f, PLUG_MAY_EMIT | PLUG_MAY_WRITE);
    plug_invocation iv = {.what = PLUG_PARSE, .on = on, .call = &f->call, .request = &r,
                          .operation = &op};
    plug_invoke(&iv);
    assert_int_equal(iv.status, TP_OK);
    assert_str(op.model, "m");
    assert_int_equal(op.needs, TP_NEED_TOOLS | TP_NEED_VISION);
    assert_int_equal(op.max_output_tokens, 100);
    assert_str(f->out.headers[0].name, "b");
    struct wide_event {
        tp_event e;
        uint64_t more[3];
    } events[] = {{.e = {.size = sizeof(events[0]), .kind = TP_EV_TEXT, .text = {"x", 1}}},
                  {.e = {.size = sizeof(events[0]), .kind = TP_EV_TEXT, .text = {"y", 1}}}};
    fixture_step(f, PLUG_MAY_WRITE | PLUG_MAY_STATUS);
    iv = (plug_invocation){.what = PLUG_RENDER, .on = on, .call = &f->call,
                           .list = {events, 2, sizeof(events[0])}};
    plug_invoke(&iv);
    assert_int_equal(iv.status, TP_OK);
    assert_int_equal(f->out.http_status, 202);
    assert_written(&f->out, "xy");
    json_tape_free(&tape);
    plug_destroy(on);
    fixture_free(f);
}

static void a_strategy_of_1_0(void **state)
{
    (void)state;
    fixture *f = fixture_new();
    plug_instance *on = museum(f);
    tp_candidate c[] = {{.size = sizeof(*c), .in_flight = 3}, {.size = sizeof(*c), .in_flight = 1}};
    tp_rank order[2];
    fixture_step(f, 0);
    plug_invocation iv = {.what = PLUG_RANK, .on = on, .call = &f->call, .order = order,
                          .list = {c, 2, sizeof(*c)}, .order_count = 2};
    plug_invoke(&iv);
    assert_int_equal(iv.status, TP_OK);
    assert_int_equal(iv.order_count, 1);
    assert_int_equal(order[0].candidate, 1);
    assert_int_equal(order[0].score, 1);
    plug_destroy(on);
    fixture_free(f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(a_provider_of_1_0),
                                       cmocka_unit_test(an_endpoint_of_1_0),
                                       cmocka_unit_test(a_strategy_of_1_0)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
