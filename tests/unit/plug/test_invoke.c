/* Calls of loaded plugins: one an API area, and hostile ones whose answers must stay harmless. */
#include "plug_fixture.h"

typedef struct given { /* the arguments of one call */
    tp_operation op;
    tp_target target;
    tp_reply reply;
    tp_frame frame;
    tp_request request;
    json_tape tape;
} given;

static given *given_new(const char *body)
{
    given *g = calloc(1, sizeof(*g));
    assert_non_null(g);
    assert_int_equal(json_scan(str_of(body), &g->tape, NULL), 0);
    g->op = (tp_operation){.size = sizeof(g->op), .format = {"chat/openai", 11},
                           .model = {"m1", 2}, .max_output_tokens = -1,
                           .body = json_doc(str_of(body), &g->tape)};
    g->target = (tp_target){.size = sizeof(g->target), .model = {"up \"q\"", 6}};
    g->reply = (tp_reply){.size = sizeof(g->reply), .status = 200, .body = {"oh", 2}};
    g->frame = (tp_frame){.size = sizeof(g->frame), .data = {"frame", 5}};
    g->request = (tp_request){.size = sizeof(g->request), .body = g->op.body};
    return g;
}

static void given_free(given *g)
{
    json_tape_free(&g->tape);
    free(g);
}

static tp_status invoke(fixture *f, const plug_instance *on, given *g, int32_t what,
                        plug_invocation *iv)
{
    uint32_t may = what == PLUG_BUILD ? PLUG_MAY_REQUEST
                 : what == PLUG_PARSE ? PLUG_MAY_EMIT | PLUG_MAY_WRITE
                 : what == PLUG_CONVERT ? PLUG_MAY_WRITE
                 : what == PLUG_RENDER ? PLUG_MAY_WRITE | PLUG_MAY_STATUS
                 : what == PLUG_RANK ? 0 : PLUG_MAY_EMIT;
    plug_invocation local;
    iv = iv ? iv : &local;
    fixture_step(f, may);
    fixture_borrow(f, g->op.body.text);
    fixture_borrow(f, g->frame.data);
    tp_list list = iv == &local ? (tp_list){0} : iv->list;
    tp_rank *order = iv == &local ? NULL : iv->order;
    uint32_t room = iv == &local ? 0 : iv->order_count;
    *iv = (plug_invocation){.what = what, .on = on, .call = &f->call, .request = &g->request,
                            .operation = &g->op, .target = &g->target, .reply = &g->reply,
                            .frame = &g->frame, .list = list, .order = order,
                            .order_count = room};
    plug_invoke(iv);
    assert_true((iv->status < 0) == (f->out.failed != 0));
    return iv->status;
}

static void memory_lasts_as_said(void **state)
{
    (void)state;
    fixture *f = fixture_new();
    given *g = given_new("{}");
    plug_instance *on = fixture_create(f, "area_memory", "{}");
    assert_int_equal(on->provider->state_size, 16);
    assert_int_equal(invoke(f, on, g, PLUG_BUILD, NULL), TP_OK);
    assert_str(f->out.path, "/model/m1"); /* although the plugin wrote over its buffer */
    for (int i = 1; i <= 3; i++) {
        assert_int_equal(invoke(f, on, g, PLUG_DATA, NULL), TP_OK);
        assert_str(f->out.events[0].text, "kept");
        assert_int_equal(f->out.events[0].number, i);
    }
    plug_destroy(on);
    given_free(g);
    fixture_free(f);
}

static void a_body_is_spliced(void **state)
{
    (void)state;
    fixture *f = fixture_new();
    given *g = given_new("{\"seed\":9007199254740993, \"model\" : \"m1\",\"x\":[1.50]}");
    plug_instance *on = fixture_create(f, "area_request", "{\"base_url\":\"http://x/\"}");
    assert_int_equal(invoke(f, on, g, PLUG_BUILD, NULL), TP_OK);
    assert_written(&f->out,
                   "{\"seed\":9007199254740993, \"model\" : \"up \\\"q\\\"\",\"x\":[1.50]}");
    assert_int_equal(f->out.seg_count, 3);
    assert_ptr_equal(f->out.segs[0].ptr, g->op.body.text.ptr); /* not a byte of it was copied */
    assert_str(f->out.method, "POST");
    assert_str(f->out.path, "/chat/completions?v=1");
    assert_int_equal(f->out.header_count, 1);
    assert_str(f->out.secret_name, "x-api-key");
    assert_str(f->out.secret_prefix, "Key ");
    assert_str(f->out.sign_scheme, "aws4");
    assert_str(f->out.sign_params, "{\"service\": \"bedrock\"}");
    given *bad = given_new("{\"seed\":1}");
    assert_int_equal(invoke(f, on, bad, PLUG_BUILD, NULL), TP_E_INPUT);
    assert_str(f->out.fail_param, "model");
    assert_str(f->out.fail_why, "model is missing");
    given_free(bad);
    given_free(g);
    plug_destroy(on);
    fixture_free(f);
}

static void local_replies_and_steps(void **state)
{
    (void)state;
    fixture *f = fixture_new();
    given *g = given_new("{}");
    plug_instance *on = fixture_create(f, "area_local", "{}");
    for (uint32_t step = 0; step < 3; step++) {
        plug_invocation iv = {0};
        g->target.step = step;
        assert_int_equal(invoke(f, on, g, PLUG_BUILD, NULL), TP_OK);
        assert_int_equal(f->out.has_local, 1);
        assert_int_equal(f->out.local_status, 200);
        assert_int_equal(f->out.local.delay_ms, 20);
        assert_written(&f->out, "data: hello\n\n");
        assert_int_equal(invoke(f, on, g, PLUG_HEAD, &iv), TP_OK);
        assert_int_equal(iv.framing, TP_SSE);
        assert_int_equal(invoke(f, on, g, PLUG_END, NULL), step < 2 ? TP_AGAIN : TP_OK);
    }
    assert_int_equal(f->out.events[0].kind, TP_EV_END);
    plug_destroy(on);
    given_free(g);
    fixture_free(f);
}

static void chunks_come_again(void **state)
{
    (void)state;
    fixture *f = fixture_new();
    given *g = given_new("{}");
    plug_instance *on = fixture_create(f, "area_json", "{}");
    g->frame.data = STR("{\"text\":\"one\"}\n{\"text\":\"t\\u0077o\"}\n{\"te");
    assert_int_equal(invoke(f, on, g, PLUG_DATA, NULL), TP_OK);
    assert_int_equal(g->frame.used, 35);
    assert_int_equal(f->out.event_count, 2);
    assert_str(f->out.events[0].text, "one");
    assert_ptr_equal(f->out.events[0].text.ptr, g->frame.data.ptr + 9); /* in place */
    assert_str(f->out.events[1].text, "two");
    g->frame.data = STR("{\"text\":\n");
    assert_int_equal(invoke(f, on, g, PLUG_DATA, NULL), TP_E_UPSTREAM);
    assert_has(f->out.fail_why.ptr, "what the upstream sent is no valid JSON at byte ");
    plug_destroy(on);
    given_free(g);
    fixture_free(f);
}

static void words_reach_people(void **state)
{
    (void)state;
    fixture *f = fixture_new();
    given *g = given_new("{\"logit_bias\":{}}");
    plug_instance *on = fixture_create(f, "area_words", "{}");
    char text[256] = "";
    rewind(f->log_file);
    assert_true(fread(text, 1, sizeof(text) - 1, f->log_file) > 0);
    assert_has(text, "info plugin tester: created");
    assert_int_equal(invoke(f, on, g, PLUG_BUILD, NULL), TP_OK);
    assert_int_equal(f->out.report_count, 1);
    assert_int_equal(f->out.reports[0].what, TP_DROPPED);
    assert_str(f->out.reports[0].field, "logit_bias");
    assert_int_equal(invoke(f, on, g, PLUG_DATA, NULL), TP_E_UPSTREAM);
    assert_str(f->out.fail_why, "the upstream speaks in riddles");
    plug_destroy(on);

    plug_image *i;
    tp_error err = {0};
    given *bad = given_new("{\"bad\":1}");
    assert_int_equal(plug_load(f->loader, PLUGINS "area_words.so", &i, &err), 0);
    assert_int_equal(plug_create(i, STR("w"), &bad->op.body, &on, &err), TP_ERROR_CONFIG);
    assert_string_equal(err.text, "w: options.bad: \"bad\" is not supported; take it out");
    given_free(bad);
    given_free(g);
    fixture_free(f);
}

static void parts_are_passed_on(void **state)
{
    (void)state;
    fixture *f = fixture_new();
    given *g = given_new("{}");
    plug_instance *on = fixture_create(f, "area_parts", "{}");
    tp_part parts[] = {{.size = sizeof(tp_part), .head = {"raw", 3}, .length = 3},
                       {.size = sizeof(tp_part), .head = {"raw", 3}, .length = 3}};
    g->op.parts = f->call.parts = (tp_list){parts, 2, sizeof(tp_part)};
    assert_int_equal(invoke(f, on, g, PLUG_BUILD, NULL), TP_OK);
    assert_written(&f->out, "<raw><cmF3>");
    parts[1].length = 4;
    assert_int_equal(invoke(f, on, g, PLUG_BUILD, NULL), TP_E_UNSUPPORTED);
    plug_destroy(on);
    given_free(g);
    fixture_free(f);
}

static void an_endpoint_both_ways(void **state)
{
    (void)state;
    fixture *f = fixture_new();
    given *g = given_new("{\"say\":\"h\\\"i\",\"model\":\"m\"}");
    plug_instance *on = fixture_create(f, "area_endpoint", "{}");
    assert_str(on->endpoint->format, "say/test");
    assert_str(on->endpoint->canonical, "chat/openai");
    assert_int_equal(invoke(f, on, g, PLUG_PARSE, NULL), TP_OK);
    assert_str(g->op.model, "m");
    assert_ptr_equal(g->op.model.ptr, g->op.body.text.ptr + 23); /* in the body */
    assert_str(g->op.user, "somebody");
    assert_str(f->out.events[0].text, "h\"i");
    assert_int_equal(invoke(f, on, g, PLUG_CONVERT, NULL), TP_OK);
    assert_written(&f->out, "{\"messages\":[{\"role\":\"user\",\"content\":\"h\\\"i\"}]}");
    struct wide { /* a later host's events: longer than the plugin knows */
        tp_event e;
        uint64_t more;
    } events[] = {{.e = {.size = sizeof(struct wide), .kind = TP_EV_START}},
                  {.e = {.size = sizeof(struct wide), .kind = TP_EV_TEXT, .text = {"a", 1}}},
                  {.e = {.size = sizeof(struct wide), .kind = 999}},
                  {.e = {.size = sizeof(struct wide), .kind = TP_EV_TEXT, .text = {"b", 1}}}};
    plug_invocation iv = {.list = {events, 4, sizeof(struct wide)}};
    assert_int_equal(invoke(f, on, g, PLUG_RENDER, &iv), TP_OK);
    assert_written(&f->out, "ab");
    assert_int_equal(f->out.http_status, 201);
    events[0].e.kind = TP_EV_ERROR;
    assert_int_equal(invoke(f, on, g, PLUG_RENDER, &iv), TP_E_UNSUPPORTED);
    given *bad = given_new("{\"say\":1}");
    assert_int_equal(invoke(f, on, bad, PLUG_PARSE, NULL), TP_E_INPUT);
    assert_str(f->out.fail_param, "say");
    given_free(bad);
    bad = given_new("{\"say\":\"\"}");
    bad->op.format = STR_NONE;
    assert_int_equal(invoke(f, on, bad, PLUG_PARSE, NULL), TP_E_INTERNAL);
    assert_has(f->out.fail_why.ptr, "without a format");
    given_free(bad);
    plug_destroy(on);
    given_free(g);
    fixture_free(f);
}

static void a_strategy_orders(void **state)
{
    (void)state;
    fixture *f = fixture_new();
    given *g = given_new("{}");
    plug_instance *on = fixture_create(f, "area_strategy", "{}");
    tp_candidate c[300];
    tp_rank order[300];
    for (int i = 0; i < 300; i++)
        c[i] = (tp_candidate){.size = sizeof(c[i]), .weight = i};
    plug_invocation iv = {.list = {c, 300, sizeof(*c)}, .order = order, .order_count = 300};
    assert_int_equal(invoke(f, on, g, PLUG_RANK, &iv), TP_OK);
    assert_int_equal(iv.order_count, 300);
    for (uint32_t i = 0; i < 300; i++) {
        assert_int_equal(order[i].candidate, 299 - i);
        assert_int_equal(order[i].score, 299 - i);
    }
    plug_destroy(on);
    static const struct {
        const char *plugin, *why;
    } bad[] = {{"hostile_rank_range", "ranked a candidate that does not exist"},
               {"hostile_rank_twice", "ranked a candidate twice"},
               {"hostile_rank_many", "ranked more candidates than there are"}};
    for (size_t k = 0; k < TP_COUNT(bad); k++) {
        for (uint32_t n = 3; n <= 300; n += 297) {
            on = fixture_create(f, bad[k].plugin, "{}");
            iv = (plug_invocation){.list = {c, n, sizeof(*c)}, .order = order, .order_count = n};
            assert_int_equal(invoke(f, on, g, PLUG_RANK, &iv), TP_E_INTERNAL);
            assert_has(f->out.fail_why.ptr, bad[k].why);
            assert_has(f->out.fail_why.ptr, "plugin error: rank of \"tester\"");
            plug_destroy(on);
        }
    }
    given_free(g);
    fixture_free(f);
}

static void nonsense_costs_the_request_only(void **state)
{
    (void)state;
    static const struct {
        const char *options; /* see hostile.c */
        int32_t what;
        tp_status status;
        const char *why;
    } cases[] = {
        {"{\"do\":1}", PLUG_BUILD, TP_E_INTERNAL, "plugin error: build of \"tester\" returned a "
         "status that the SDK does not have there"},
        {"{\"do\":2}", PLUG_BUILD, TP_E_INTERNAL, "returned a status that the SDK does not have"},
        {"{\"do\":3}", PLUG_BUILD, TP_E_INTERNAL, "returned a status that the SDK does not have"},
        {"{\"do\":4}", PLUG_BUILD, TP_E_INPUT, "build of \"tester\" failed with status -1 and "
         "gave no reason"},
        {"{\"do\":5}", PLUG_BUILD, TP_E_INTERNAL, "called neither request nor local"},
        {"{\"do\":6}", PLUG_HEAD, TP_E_INTERNAL, "answered an unknown framing"},
        {"{\"do\":7}", PLUG_DATA, TP_E_INTERNAL, "used more bytes than the frame has"},
        {"{\"do\":8}", PLUG_BUILD, TP_OK, NULL}, /* keep refused; the call goes on */
        {"{\"do\":9}", PLUG_DATA, TP_E_INTERNAL, "size is not set"},
        {"{\"do\":10}", PLUG_BUILD, TP_E_INTERNAL, "emit: it may not be called from build"},
        {"{\"do\":11}", PLUG_BUILD, TP_E_INPUT, "said, and then ignored"},
        {"{\"do\":12}", PLUG_BUILD, TP_E_NOMEM, "past the memory that one call may use"},
        {"{\"do\":13}", PLUG_BUILD, TP_E_INTERNAL, "write: a string has a length but no bytes"},
        {"{\"do\":14}", PLUG_BUILD, TP_E_INTERNAL, "control characters"},
        {"{\"do\":0}", PLUG_BUILD, TP_OK, NULL},
    };
    fixture *f = fixture_new();
    given *g = given_new("{}");
    for (size_t k = 0; k < TP_COUNT(cases); k++) {
        plug_instance *on = fixture_create(f, "hostile_runtime", cases[k].options);
        tp_status st = invoke(f, on, g, cases[k].what, NULL);
        if (st != cases[k].status)
            fail_msg("case %zu: status %d, expected %d", k, st, cases[k].status);
        if (cases[k].why)
            assert_has(f->out.fail_why.ptr, cases[k].why);
        plug_destroy(on);
    }
    given_free(g);
    fixture_free(f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(memory_lasts_as_said),
        cmocka_unit_test(a_body_is_spliced),
        cmocka_unit_test(local_replies_and_steps),
        cmocka_unit_test(chunks_come_again),
        cmocka_unit_test(words_reach_people),
        cmocka_unit_test(parts_are_passed_on),
        cmocka_unit_test(an_endpoint_both_ways),
        cmocka_unit_test(a_strategy_orders),
        cmocka_unit_test(nonsense_costs_the_request_only),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
