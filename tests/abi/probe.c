/* probe KIND PLUGIN.so [OPTIONS]: loads a plugin as the gateway does and runs the exchange of the
 * plugin guide's example of that kind; exits 1 with a sentence where it answers otherwise. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "base/str.h"
#include "plug/call.h"

static plug_scratch scratch;
static plug_out out;
static arena keep;
static char state[4096] __attribute__((aligned(16)));
static plug_call call;
static const char *step = "load";

static void fault(const char *what, tp_str got)
{
    fprintf(stderr, "FAIL: %s: %s: \"%.*s\"\n", step, what, STR_ARG(got));
    exit(1);
}

static void expect(const char *what, tp_str got, const char *want)
{
    if (!str_eq(got, str_of(want))) {
        fprintf(stderr, "expected: \"%s\"\n", want);
        fault(what, got);
    }
}

static void run(plug_invocation *iv, int32_t what, uint32_t may, const char *name)
{
    step = name;
    plug_scratch_reset(&scratch);
    plug_out_reset(&out);
    call.may = may;
    iv->what = what;
    plug_invoke(iv);
}

static void run_ok(plug_invocation *iv, int32_t what, uint32_t may, const char *name)
{
    run(iv, what, may, name);
    if (iv->status != TP_OK)
        fault("failed", out.fail_why);
}

static tp_str body(void)
{
    char *p = arena_alloc(&scratch.mem, out.bytes + 1);
    tp_str s = {p, 0};
    for (uint32_t i = 0; i < out.seg_count; i++) {
        memcpy(p + s.len, out.segs[i].ptr, out.segs[i].len);
        s.len += out.segs[i].len;
    }
    return s;
}

static tp_doc scanned(const char *text)
{
    static json_tape tapes[4];
    static uint32_t n;
    json_tape *t = &tapes[n++];
    if (json_scan(str_of(text), t, NULL))
        fault("the probe's own JSON", str_of(text));
    return json_doc(str_of(text), t);
}

static void probe_provider(const plug_instance *on)
{
    tp_operation op = {.size = sizeof(op), .format = {"chat/openai", 11}, .max_output_tokens = 9,
                       .body = scanned("{\"model\":\"acme-large\",\"messages\":[{\"role\":\"user\","
                                       "\"content\":\"say \\\"hi\\\"\"}],\"max_tokens\":9,"
                                       "\"top_p\":0.5,\"stream\":true}")};
    tp_target t = {.size = sizeof(t), .model = {"large-2", 7}};
    tp_reply r = {.size = sizeof(r), .status = 200};
    tp_frame f = {.size = sizeof(f)};
    plug_invocation iv = {.on = on, .call = &call, .operation = &op, .target = &t, .reply = &r,
                          .frame = &f};
    run_ok(&iv, PLUG_BUILD, PLUG_MAY_REQUEST, "build");
    expect("path", out.path, "/generate");
    expect("secret", out.secret_name, "authorization");
    expect("body", body(), "{\"model\":\"large-2\",\"turns\":[{\"who\":\"user\",\"says\":"
                           "\"say \\\"hi\\\"\"}],\"limit\":9,\"tone\":\"polite\"}");
    if (out.report_count != 1)
        fault("not one report", STR_NONE);
    expect("report", out.reports[0].field, "top_p");
    run_ok(&iv, PLUG_HEAD, PLUG_MAY_EMIT, "head");
    if (iv.framing != TP_SSE)
        fault("framing", STR_NONE);
    f.data = STR("{\"text\":\"h\\u0069\"}");
    run_ok(&iv, PLUG_DATA, PLUG_MAY_EMIT, "data");
    expect("text", out.events[0].text, "hi");
    run_ok(&iv, PLUG_END, PLUG_MAY_EMIT, "end too early");
    if (out.event_count)
        fault("a cut reply looks complete", STR_NONE);
    f.data = STR("{\"done\":true,\"in\":3,\"out\":5}");
    run_ok(&iv, PLUG_DATA, PLUG_MAY_EMIT, "last data");
    if (out.event_count != 3 || out.events[0].number != 3 || out.events[1].number != 5 ||
        out.events[2].code != TP_FINISH_STOP)
        fault("usage and finish", STR_NONE);
    run_ok(&iv, PLUG_END, PLUG_MAY_EMIT, "end");
    if (out.event_count != 1 || out.events[0].kind != TP_EV_END)
        fault("no END", STR_NONE);
    f.data = STR("oops");
    run(&iv, PLUG_DATA, PLUG_MAY_EMIT, "bad data");
    if (iv.status != TP_E_UPSTREAM)
        fault("status", STR_NONE);
    r = (tp_reply){.size = sizeof(r), .status = 429, .body = STR("{\"error\":\"slower\"}")};
    run_ok(&iv, PLUG_FAILED, PLUG_MAY_EMIT, "failed");
    expect("error", out.events[0].text, "slower");
    if (out.events[0].code != TP_ERR_RATE)
        fault("code", STR_NONE);
    op.body = scanned("{\"messages\":[{\"role\":\"user\",\"content\":[]}]}");
    run(&iv, PLUG_BUILD, PLUG_MAY_REQUEST, "parts");
    if (iv.status != TP_E_UNSUPPORTED)
        fault("status", STR_NONE);
}

static void probe_endpoint(const plug_instance *on)
{
    tp_operation op = {.size = sizeof(op), .format = on->endpoint->format};
    tp_request r = {.size = sizeof(r), .body = scanned("{\"model\":\"m\",\"say\":\"a\\nb\"}")};
    tp_event e[] = {{.size = sizeof(*e), .kind = TP_EV_START},
                    {.size = sizeof(*e), .kind = TP_EV_TEXT, .text = {"yes", 3}},
                    {.size = sizeof(*e), .kind = 4711},
                    {.size = sizeof(*e), .kind = TP_EV_END}};
    plug_invocation iv = {.on = on, .call = &call, .request = &r, .operation = &op,
                          .list = {e, 4, sizeof(*e)}};
    run_ok(&iv, PLUG_PARSE, PLUG_MAY_EMIT | PLUG_MAY_WRITE, "parse");
    expect("model", op.model, "m");
    expect("prompt", out.events[0].text, "a\nb");
    op.model = STR("m");
    op.body = r.body;
    run_ok(&iv, PLUG_CONVERT, PLUG_MAY_WRITE, "convert");
    expect("canonical", body(), "{\"model\":\"m\",\"stream\":true,\"messages\":[{\"role\":\"user\","
                                "\"content\":\"a\\nb\"}]}");
    run_ok(&iv, PLUG_RENDER, PLUG_MAY_WRITE | PLUG_MAY_STATUS, "render");
    expect("response", body(), "yes");
    r.body = scanned("{\"model\":\"m\"}");
    run(&iv, PLUG_PARSE, PLUG_MAY_EMIT | PLUG_MAY_WRITE, "parse without say");
    if (iv.status != TP_E_INPUT)
        fault("status", STR_NONE);
    expect("param", out.fail_param, "say");
}

static void probe_strategy(const plug_instance *on)
{
    static const int64_t costs[] = {30, 10, 40, 10, 20};
    static const uint32_t want[] = {1, 3, 4, 0, 2};
    tp_candidate c[5];
    tp_rank order[5];
    for (int i = 0; i < 5; i++)
        c[i] = (tp_candidate){.size = sizeof(c[i]), .cost = costs[i]};
    for (uint32_t room = 1; room <= 5; room++) {
        plug_invocation iv = {.on = on, .call = &call, .order = order, .order_count = room,
                              .list = {c, 5, sizeof(*c)}};
        run_ok(&iv, PLUG_RANK, 0, "rank");
        if (iv.order_count != room)
            fault("count", STR_NONE);
        for (uint32_t k = 0; k < room; k++)
            if (order[k].candidate != want[k])
                fault("order", STR_NONE);
    }
}

int main(int argc, char **argv)
{
    char run_dir[] = "/tmp/turnpike-probe-XXXXXX", command[64];
    tp_error err = {0};
    plug_image *image;
    plug_instance *on;
    if (argc < 3 || !mkdtemp(run_dir))
        return 2;
    logger log = {.fd = 2, .level = LOG_WARN};
    plug_loader *l = plug_loader_new(run_dir, &log, &err);
    tp_doc options = scanned(argc > 3 ? argv[3] : "{}");
    if (!l || plug_load(l, argv[2], &image, &err) ||
        plug_create(image, STR("probe"), &options, &on, &err)) {
        fprintf(stderr, "FAIL: %s\n", err.text);
        return 1;
    }
    plug_scratch_init(&scratch, NULL, 1 << 20, &log);
    arena_init(&keep, NULL, 1 << 16);
    call = (plug_call){.pub = {.size = sizeof(tp_call), .state = state}, .scratch = &scratch,
                       .out = &out, .keep = &keep, .keep_max = 4096};
    if (strcmp(argv[1], "provider") == 0)
        probe_provider(on);
    else if (strcmp(argv[1], "endpoint") == 0)
        probe_endpoint(on);
    else
        probe_strategy(on);
    printf("ok: %s %.*s %s\n", argv[1], STR_ARG(plug_image_manifest(image)->id), argv[2]);
    plug_destroy(on);
    plug_scratch_free(&scratch);
    plug_loader_free(l);
    snprintf(command, sizeof(command), "rm -rf '%s'", run_dir);
    return system(command) == 0 ? 0 : 1;
}
