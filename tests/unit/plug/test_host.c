/* The host's function table, called as a plugin calls it. */
#include "plug_fixture.h"

#define H plug_host()
#define C (&f->call.pub)
static const tp_str none = {NULL, 0};

static void write_references_merges_and_copies(void **state)
{
    (void)state;
    fixture *f = fixture_new();
    static const char body[] = "{\"model\":\"a\",\"seed\":18446744073709551615}";
    fixture_step(f, PLUG_MAY_REQUEST);
    fixture_borrow(f, str_make(body, 30));
    /* within the borrowed range: the very bytes */
    assert_int_equal(H->write(C, str_make(body, 9)), TP_OK);
    assert_ptr_equal(f->out.segs[0].ptr, body);
    /* the neighbour in memory joins it */
    assert_int_equal(H->write(C, str_make(body + 9, 3)), TP_OK);
    assert_int_equal(f->out.seg_count, 1);
    assert_int_equal(f->out.segs[0].len, 12);
    /* bytes of the plugin's own are copied, and neighbouring copies join too */
    char mine[4] = "xyz";
    assert_int_equal(H->write(C, str_make(mine, 3)), TP_OK);
    mine[0] = '!';
    assert_int_equal(H->write(C, str_make(mine, 3)), TP_OK);
    memset(mine, '?', sizeof(mine));
    assert_int_equal(f->out.seg_count, 2);
    assert_int_equal(f->out.segs[1].len, 6);
    /* one byte beyond the range: copied */
    assert_int_equal(H->write(C, str_make(body + 29, 2)), TP_OK);
    assert_true(f->out.segs[f->out.seg_count - 1].ptr < body ||
                f->out.segs[f->out.seg_count - 1].ptr > body + sizeof(body));
    assert_int_equal(H->write(C, none), TP_OK);
    assert_int_equal(f->out.bytes, 20);
    char *text = written(&f->out);
    assert_memory_equal(text, "{\"model\":\"a\"xyz!yz", 18);
    assert_memory_equal(text + 18, body + 29, 2);
    free(text);
    fixture_free(f);
}

static void write_many_grows(void **state)
{
    (void)state;
    fixture *f = fixture_new();
    static const char body[2000] = "b";
    fixture_step(f, PLUG_MAY_WRITE);
    fixture_borrow(f, str_make(body, sizeof(body)));
    char big[3000];
    memset(big, 'B', sizeof(big));
    size_t total = 0;
    for (int i = 0; i < 300; i++) { /* alternating, so that nothing joins */
        assert_int_equal(H->write(C, str_make(body + 2 * i, 1)), TP_OK);
        tp_str own = i % 10 == 0 ? str_make(big, sizeof(big)) : str_make("own", 3);
        assert_int_equal(H->write(C, own), TP_OK);
        total += 1 + own.len;
    }
    assert_int_equal(f->out.seg_count, 600);
    assert_int_equal(f->out.bytes, total);
    free(written(&f->out));
    fixture_free(f);
}

static void output_can_be_taken_back(void **state)
{
    (void)state;
    fixture *f = fixture_new();
    fixture_step(f, PLUG_MAY_WRITE | PLUG_MAY_STATUS);
    plug_out empty = f->out;
    for (int i = 0; i < 8; i++) { /* the next piece of its own makes the arrays grow */
        char big[600];
        memset(big, 'a' + i, sizeof(big));
        assert_int_equal(H->write(C, str_make(big, sizeof(big))), TP_OK);
    }
    assert_int_equal(H->write(C, STR("end")), TP_OK);
    char *want = written(&f->out);
    plug_out before = f->out;
    assert_int_equal(H->write(C, STR("joins the last")), TP_OK);
    assert_int_equal(H->header(C, STR("a"), STR("b")), TP_OK);
    assert_int_equal(H->status(C, 404), TP_OK);
    for (int i = 0; i < 20; i++) {
        char big[600] = "";
        assert_int_equal(H->write(C, str_make(big, sizeof(big))), TP_OK);
    }
    plug_out_rewind(&f->out, &before);
    assert_written(&f->out, want);
    assert_int_equal(f->out.header_count, 0);
    assert_int_equal(f->out.http_status, 0);
    assert_int_equal(H->write(C, STR("!")), TP_OK); /* and it goes on from there */
    assert_int_equal(f->out.bytes, before.bytes + 1);
    free(written(&f->out));
    plug_out_rewind(&f->out, &empty);
    assert_written(&f->out, "");
    free(want);
    fixture_free(f);
}

static void write_past_the_memory_fails_the_call(void **state)
{
    (void)state;
    fixture *f = fixture_new();
    char *big = calloc(1, 8 << 20);
    fixture_step(f, PLUG_MAY_WRITE);
    assert_int_equal(H->write(C, str_make(big, 8 << 20)), TP_E_NOMEM);
    assert_int_equal(f->out.failed, 1);
    assert_int_equal(f->out.fail_status, TP_E_NOMEM);
    assert_has(f->out.fail_why.ptr, "memory that one call may use");
    assert_null(H->alloc(C, 8 << 20));
    assert_null(H->alloc(C, SIZE_MAX));
    free(big);
    fixture_free(f);
}

static void quote_escapes(void **state)
{
    (void)state;
    fixture *f = fixture_new();
    fixture_step(f, PLUG_MAY_WRITE);
    assert_int_equal(H->quote(C, STR("a\"b\\c/\n\r\t\b\f\x01\x1f\x7f\xc3\xa9")), TP_OK);
    assert_int_equal(H->quote(C, none), TP_OK);
    assert_written(&f->out, "\"a\\\"b\\\\c/\\n\\r\\t\\b\\f\\u0001\\u001f\x7f\xc3\xa9\"\"\"");
    /* long ones, with and without escapes, borrowed and not: all the ways to write them */
    char plain[600], lines[600], want[3000];
    memset(plain, 'p', sizeof(plain));
    memset(lines, '\n', sizeof(lines));
    for (int borrowed = 0; borrowed < 2; borrowed++) {
        fixture_step(f, PLUG_MAY_WRITE);
        if (borrowed) {
            fixture_borrow(f, str_make(plain, sizeof(plain)));
            fixture_borrow(f, str_make(lines, sizeof(lines)));
        }
        assert_int_equal(H->quote(C, str_make(plain, 600)), TP_OK);
        assert_int_equal(H->quote(C, str_make(lines, 300)), TP_OK);
        char *p = want;
        *p++ = '"';
        memset(p, 'p', 600);
        p += 600;
        p += sprintf(p, "\"\"");
        for (int i = 0; i < 300; i++)
            p += sprintf(p, "\\n");
        sprintf(p, "\"");
        assert_written(&f->out, want);
    }
    assert_int_equal(H->quote(C, STR("\xff")), TP_E_INTERNAL);
    assert_str(f->out.fail_why,
               "plugin error: quote: the text is not valid UTF-8, so it cannot be a JSON string");
    fixture_free(f);
}

static void headers_are_checked(void **state)
{
    (void)state;
    static const struct {
        const char *name, *value, *why; /* why NULL: allowed */
    } cases[] = {
        {"content-type", "application/json", NULL},
        {"X-Custom_1", "  spaced\t ", NULL},
        {"x-empty", "", NULL},
        {"x-obs", "caf\xe9", NULL},
        {"", "v", "1 to 256 bytes"},
        {"bad name", "v", "letters, digits"},
        {"bad:", "v", "letters, digits"},
        {"x-inject", "a\r\nhost: evil", "control characters"},
        {"x-nul", "a\001b", "control characters"},
        {"Host", "evil", "host's own"},
        {"content-LENGTH", "5", "host's own"},
        {"Transfer-Encoding", "chunked", "host's own"},
        {"connection", "close", "host's own"},
        {"Keep-Alive", "1", "host's own"},
        {"TE", "trailers", "host's own"},
        {"trailer", "x", "host's own"},
        {"Upgrade", "h2c", "host's own"},
        {"HTTP2-Settings", "x", "host's own"},
        {"proxy-authorization", "x", "host's own"},
        {"Proxy-Connection", "x", "host's own"},
        {"expect", "100-continue", "host's own"},
        {"accept-encoding", "gzip", "host's own"},
    };
    fixture *f = fixture_new();
    for (size_t i = 0; i < TP_COUNT(cases); i++) {
        fixture_step(f, PLUG_MAY_REQUEST);
        tp_status st = H->header(C, str_of(cases[i].name), str_of(cases[i].value));
        if (!cases[i].why) {
            assert_int_equal(st, TP_OK);
            assert_int_equal(f->out.header_count, 1);
            assert_str(f->out.headers[0].name, cases[i].name);
            assert_true(str_eq(f->out.headers[0].value, str_trim(str_of(cases[i].value))));
            assert_int_equal(f->out.failed, 0);
        } else {
            assert_int_equal(st, TP_E_INTERNAL);
            assert_int_equal(f->out.header_count, 0);
            assert_has(f->out.fail_why.ptr, "plugin error: header: ");
            assert_has(f->out.fail_why.ptr, cases[i].why);
        }
    }
    fixture_free(f);
}

static void a_secret_has_its_header_alone(void **state)
{
    (void)state;
    fixture *f = fixture_new();
    fixture_step(f, PLUG_MAY_REQUEST);
    assert_int_equal(H->secret_header(C, STR("Authorization"), STR("Bearer ")), TP_OK);
    assert_str(f->out.secret_name, "Authorization");
    assert_str(f->out.secret_prefix, "Bearer "); /* the space belongs to it */
    assert_int_equal(H->header(C, STR("authorization"), STR("Basic x")), TP_E_INTERNAL);
    assert_has(f->out.fail_why.ptr, "the host puts the secret into this header");

    fixture_step(f, PLUG_MAY_REQUEST);
    assert_int_equal(H->header(C, STR("x-api-key"), STR("k")), TP_OK);
    assert_int_equal(H->secret_header(C, STR("X-Api-Key"), none), TP_E_INTERNAL);
    assert_int_equal(f->out.has_secret, 0);

    fixture_step(f, PLUG_MAY_REQUEST);
    assert_int_equal(H->secret_header(C, STR("a"), none), TP_OK);
    assert_int_equal(H->secret_header(C, STR("b"), none), TP_E_INTERNAL);
    assert_str(f->out.secret_name, "a");

    fixture_step(f, PLUG_MAY_REQUEST);
    assert_int_equal(H->sign(C, STR("aws4"), STR("{}")), TP_OK);
    assert_str(f->out.sign_scheme, "aws4");
    assert_str(f->out.sign_params, "{}");
    assert_int_equal(H->sign(C, STR("aws4"), STR("{}")), TP_E_INTERNAL);
    assert_int_equal(H->header(C, STR("Authorization"), STR("x")), TP_E_INTERNAL);
    fixture_free(f);
}

static void paths_stay_below_the_base(void **state)
{
    (void)state;
    static const struct {
        const char *method, *path, *why;
    } cases[] = {
        {"POST", "/v1/chat/completions", NULL},
        {"GET", "/", NULL},
        {"POST", "/m/a.b:c@d?x=..&y=//z", NULL},
        {"POST", "/models/%C3%A9", NULL},
        {"POST", "", "begins with '/'"},
        {"POST", "v1", "begins with '/'"},
        {"POST", "https://evil/", "begins with '/'"},
        {"POST", "//evil/x", "\"//\""},
        {"POST", "/a//b", "\"//\""},
        {"POST", "/../admin", "\"..\""},
        {"POST", "/a/..", "\"..\""},
        {"POST", "/a/%2e%2E/b", "\"..\""},
        {"POST", "/a/.%2e/b", "\"..\""},
        {"POST", "/a b", "percent-encode"},
        {"POST", "/a\r\nHost: x", "percent-encode"},
        {"POST", "/caf\xc3\xa9", "percent-encode"},
        {"POST", "/a#b", "'#'"},
        {"POST", "/a\\b", "'#'"},
        {"post", "/", "capital letters"},
        {"", "/", "1 to 16"},
        {"CONNECT", "/", "not for plugins"},
    };
    fixture *f = fixture_new();
    for (size_t i = 0; i < TP_COUNT(cases); i++) {
        fixture_step(f, PLUG_MAY_REQUEST);
        tp_status st = H->request(C, str_of(cases[i].method), str_of(cases[i].path));
        assert_int_equal(st, cases[i].why ? TP_E_INTERNAL : TP_OK);
        assert_int_equal(f->out.has_request, !cases[i].why);
        if (cases[i].why) {
            assert_has(f->out.fail_why.ptr, cases[i].why);
        } else {
            assert_str(f->out.method, cases[i].method);
            assert_str(f->out.path, cases[i].path);
        }
    }
    fixture_step(f, PLUG_MAY_REQUEST);
    assert_int_equal(H->request(C, STR("POST"), STR("/a")), TP_OK);
    assert_int_equal(H->request(C, STR("POST"), STR("/b")), TP_E_INTERNAL);
    assert_int_equal(H->local(C, 200, STR("a/b"), NULL), TP_E_INTERNAL);
    assert_str(f->out.path, "/a");
    fixture_free(f);
}

static void local_is_recorded(void **state)
{
    (void)state;
    fixture *f = fixture_new();
    fixture_step(f, PLUG_MAY_REQUEST);
    tp_local how = {.size = sizeof(how), .flags = TP_LOCAL_CUT, .delay_ms = 7, .gap_ms = 9};
    assert_int_equal(H->local(C, 429, STR("application/json"), &how), TP_OK);
    assert_int_equal(f->out.local_status, 429);
    assert_int_equal(f->out.local.delay_ms, 7);
    assert_int_equal(f->out.local.gap_ms, 9);
    assert_int_equal(f->out.local.flags, TP_LOCAL_CUT);
    assert_str(f->out.local_type, "application/json");

    fixture_step(f, PLUG_MAY_REQUEST); /* an older SDK's shorter struct: the rest is 0 */
    how.size = offsetof(tp_local, gap_ms);
    assert_int_equal(H->local(C, 200, STR("a/b"), &how), TP_OK);
    assert_int_equal(f->out.local.delay_ms, 7);
    assert_int_equal(f->out.local.gap_ms, 0);
    assert_int_equal(f->out.local.size, sizeof(tp_local));

    fixture_step(f, PLUG_MAY_REQUEST);
    how = (tp_local){.size = sizeof(how), .delay_ms = -1};
    assert_int_equal(H->local(C, 200, STR("a/b"), &how), TP_E_INTERNAL);
    assert_int_equal(H->local(C, 100, STR("a/b"), NULL), TP_E_INTERNAL);
    assert_int_equal(f->out.has_local, 0);
    fixture_free(f);
}

static void outputs_need_permission(void **state)
{
    (void)state;
    fixture *f = fixture_new();
    tp_event e = {.size = sizeof(e), .kind = TP_EV_END};
    static const struct {
        const char *name;
        uint32_t may; /* the others are tried */
    } cases[] = {{"request", PLUG_MAY_REQUEST}, {"local", PLUG_MAY_REQUEST},
                 {"secret_header", PLUG_MAY_REQUEST}, {"sign", PLUG_MAY_REQUEST},
                 {"attach", PLUG_MAY_REQUEST}, {"write", PLUG_MAY_REQUEST | PLUG_MAY_WRITE},
                 {"quote", PLUG_MAY_REQUEST | PLUG_MAY_WRITE},
                 {"header", PLUG_MAY_REQUEST | PLUG_MAY_WRITE}, {"status", PLUG_MAY_STATUS},
                 {"emit", PLUG_MAY_EMIT}};
    for (size_t i = 0; i < TP_COUNT(cases); i++) {
        fixture_step(f, 15 & ~cases[i].may);
        f->call.what = PLUG_RANK;
        tp_status st = i == 0 ? H->request(C, STR("GET"), STR("/"))
                     : i == 1 ? H->local(C, 200, STR("a/b"), NULL)
                     : i == 2 ? H->secret_header(C, STR("a"), none)
                     : i == 3 ? H->sign(C, STR("aws4"), none)
                     : i == 4 ? H->attach(C, 0, 0)
                     : i == 5 ? H->write(C, STR("x"))
                     : i == 6 ? H->quote(C, STR("x"))
                     : i == 7 ? H->header(C, STR("a"), STR("b"))
                     : i == 8 ? H->status(C, 200) : H->emit(C, &e);
        char want[128];
        assert_int_equal(st, TP_E_INTERNAL);
        assert_int_equal(f->out.fail_status, TP_E_INTERNAL);
        snprintf(want, sizeof(want), "plugin error: %s: it may not be called from rank",
                 cases[i].name);
        assert_str(f->out.fail_why, want);
    }
    fixture_free(f);
}

static void events_become_the_hosts_size(void **state)
{
    (void)state;
    fixture *f = fixture_new();
    static const char frame[] = "data: {\"x\":\"text\"}";
    fixture_step(f, PLUG_MAY_EMIT);
    fixture_borrow(f, str_make(frame, sizeof(frame) - 1));
    struct later { /* of an SDK that has grown */
        tp_event e;
        uint64_t more;
    } later = {.e = {.size = sizeof(later), .kind = TP_EV_TEXT, .choice = 2,
                     .text = {frame + 12, 4}, .id = {"own", 3}, .name = {"name", 0}}, .more = 7};
    assert_int_equal(H->emit(C, &later.e), TP_OK);
    tp_event *got = &f->out.events[0];
    assert_int_equal(got->size, sizeof(tp_event));
    assert_int_equal(got->choice, 2);
    assert_ptr_equal(got->text.ptr, frame + 12); /* referenced */
    assert_ptr_not_equal(got->id.ptr, later.e.id.ptr);
    assert_str(got->id, "own");
    assert_null(got->name.ptr);
    /* an older one, that ends before param: what lies behind it is not read */
    tp_event *old = malloc(offsetof(tp_event, param));
    memset(old, 0, offsetof(tp_event, param));
    old->size = offsetof(tp_event, param);
    old->kind = 4711; /* unknown: passed on, never an error */
    old->raw = STR("r");
    assert_int_equal(H->emit(C, old), TP_OK);
    free(old);
    assert_int_equal(f->out.events[1].kind, 4711);
    assert_str(f->out.events[1].raw, "r");
    assert_int_equal(f->out.events[1].param.len, 0);
    for (int i = 0; i < 100; i++) {
        char digit = (char)('0' + i % 10);
        tp_event e = {.size = sizeof(e), .kind = TP_EV_TEXT, .text = {&digit, 1}};
        assert_int_equal(H->emit(C, &e), TP_OK);
    }
    assert_int_equal(f->out.event_count, 102);
    for (uint32_t i = 0; i < 100; i++)
        assert_int_equal(f->out.events[2 + i].text.ptr[0], '0' + i % 10);
    tp_event bad = {.kind = TP_EV_TEXT};
    assert_int_equal(H->emit(C, &bad), TP_E_INTERNAL);
    assert_has(f->out.fail_why.ptr, "size is not set");
    tp_event null = {.size = sizeof(null), .text = {NULL, 3}};
    assert_int_equal(H->emit(C, &null), TP_E_INTERNAL);
    assert_int_equal(f->out.event_count, 102);
    fixture_free(f);
}

static void the_first_sentence_is_kept_and_cleaned(void **state)
{
    (void)state;
    fixture *f = fixture_new();
    fixture_step(f, 0);
    char mine[] = "line\r\nbreak\x1b[31m";
    assert_int_equal((H->fail)(C, TP_E_INPUT, STR("messages[2].content"), str_of(mine)), TP_E_INPUT);
    memset(mine, 'X', sizeof(mine) - 1);
    assert_int_equal((H->fail)(C, TP_E_NOMEM, STR("other"), STR("second")), TP_E_NOMEM);
    assert_int_equal(f->out.fail_status, TP_E_INPUT);
    assert_str(f->out.fail_param, "messages[2].content");
    assert_str(f->out.fail_why, "line  break [31m");

    fixture_step(f, 0); /* no error status, no sentence */
    assert_int_equal((H->fail)(C, TP_OK, none, none), TP_E_INTERNAL);
    assert_str(f->out.fail_why, "the plugin failed without saying why");
    fixture_step(f, 0);
    assert_int_equal((H->fail)(C, -99, none, STR("bytes \xff\xfe")), TP_E_INTERNAL);
    assert_str(f->out.fail_why, "bytes ??");

    char big[3000]; /* cut at a whole character */
    memset(big, 'a', 999);
    for (int i = 999; i + 1 < 3000; i += 2)
        memcpy(big + i, "\xc3\xa9", 2);
    fixture_step(f, 0);
    (H->fail)(C, TP_E_INPUT, none, str_make(big, 2999));
    assert_int_equal(f->out.fail_why.len, 999);
    fixture_free(f);
}

static void reports_are_collected(void **state)
{
    (void)state;
    fixture *f = fixture_new();
    fixture_step(f, 0);
    assert_int_equal(H->report(C, TP_DROPPED, STR("seed"), STR("not\noffered")), TP_OK);
    assert_int_equal(H->report(C, TP_DROPPED, STR("seed"), STR("again")), TP_OK);
    assert_int_equal(H->report(C, TP_CHANGED, STR("seed"), STR("rounded")), TP_OK);
    assert_int_equal(f->out.report_count, 2);
    assert_str(f->out.reports[0].field, "seed");
    assert_str(f->out.reports[0].why, "not offered");
    assert_int_equal(f->out.reports[1].what, TP_CHANGED);
    for (int i = 0; i < 1000; i++) {
        char name[32];
        snprintf(name, sizeof(name), "field%d", i);
        assert_int_equal(H->report(C, TP_DROPPED, str_of(name), none), TP_OK);
    }
    assert_int_equal(f->out.report_count, 64); /* bounded, and says that it was cut */
    assert_str(f->out.reports[63].why, "and further ones");
    fixture_free(f);
}

static void keep_is_zeroed_and_bounded(void **state)
{
    (void)state;
    fixture *f = fixture_new();
    fixture_step(f, 0);
    f->call.keep_max = 100;
    unsigned char *p = H->keep(C, 60);
    assert_non_null(p);
    for (int i = 0; i < 60; i++)
        assert_int_equal(p[i], 0);
    assert_null(H->keep(C, 41));
    assert_null(H->keep(C, SIZE_MAX));
    assert_int_equal(f->call.keep_max, 40);
    assert_non_null(H->keep(C, 40));
    assert_null(H->keep(C, 1));
    f->call.keep = NULL;
    f->call.keep_max = 100;
    assert_null(H->keep(C, 1));
    fixture_free(f);
}

static void scans_are_remembered(void **state)
{
    (void)state;
    fixture *f = fixture_new();
    tp_doc a, b, d;
    char body[] = "{\"a\":{\"b\":\"x\\ny\"},\"c\":[1,2]}";
    fixture_step(f, 0);
    fixture_borrow(f, str_of(body));
    assert_int_equal(H->scan(C, str_of(body), &a), TP_OK);
    assert_int_equal(H->scan(C, STR("[1]"), &d), TP_OK); /* the tape is used again meanwhile */
    assert_int_equal(H->scan(C, str_of(body), &b), TP_OK);
    assert_ptr_equal(a.tokens, b.tokens);
    assert_int_equal(a.count, b.count);
    uint32_t inner = H->find(&a, 0, STR("a"));
    assert_true(inner > 0);
    assert_str(H->text(C, &a, H->find(&a, inner, STR("b"))), "x\ny");
    assert_int_equal(H->find(&a, 0, STR("zz")), 0);
    assert_int_equal(H->find(&a, 9999, STR("a")), 0);
    assert_int_equal(H->find(&a, H->find(&a, 0, STR("c")), STR("a")), 0); /* not an object */
    assert_null(H->text(C, &a, inner).ptr);                               /* not a string */
    assert_null(H->text(C, &a, 9999).ptr);
    /* what the plugin can change is scanned anew */
    char mine[] = "[1]";
    assert_int_equal(H->scan(C, str_of(mine), &a), TP_OK);
    memcpy(mine, "{ }", 3);
    assert_int_equal(H->scan(C, str_of(mine), &a), TP_OK);
    assert_int_equal(a.tokens[0].kind, TP_OBJECT);
    /* a document that the host knows already */
    static const tp_token known[] = {{TP_NUMBER, 0, 1, 1}};
    fixture_step(f, 0);
    plug_scratch_know(&f->scratch, &(tp_doc){.text = {body, 1}, .tokens = known, .count = 1});
    assert_int_equal(H->scan(C, str_make(body, 1), &a), TP_OK);
    assert_ptr_equal(a.tokens, known);
    plug_scratch_reset(&f->scratch); /* forgotten: "{" is no JSON text */
    f->call.what = PLUG_PARSE;
    assert_int_equal(H->scan(C, str_make(body, 1), &a), TP_E_INPUT);
    assert_int_equal(a.count, 0);
    f->call.what = PLUG_DATA;
    assert_int_equal(H->scan(C, STR("{\"a\":1,\"a\":2}"), &a), TP_E_UPSTREAM);
    assert_int_equal(f->out.failed, 0); /* the plugin decides what that means */
    fixture_free(f);
}

/* Half a surrogate pair must not end an upstream's reply; a client's body with one is refused. */
static void half_a_pair_in_a_reply(void **state)
{
    (void)state;
    static const int32_t of_reply[] = {PLUG_RENDER, PLUG_HEAD, PLUG_DATA, PLUG_END, PLUG_FAILED};
    static const int32_t of_request[] = {0, PLUG_PARSE, PLUG_CONVERT, PLUG_RANK, PLUG_BUILD};
    fixture *f = fixture_new();
    tp_str body = STR("{\"content\":\"a\\ud83d\"}");
    tp_doc d;
    fixture_step(f, 0);
    for (size_t i = 0; i < TP_COUNT(of_reply); i++) {
        f->call.what = of_reply[i];
        assert_int_equal(H->scan(C, body, &d), TP_OK);
        assert_str(H->text(C, &d, H->find(&d, 0, STR("content"))), "a\xef\xbf\xbd");
        f->call.what = of_request[i];
        assert_int_equal(H->scan(C, body, &d), TP_E_INPUT);
        /* nor is it forgiven those who use the same tape */
        assert_int_equal(json_scan(body, &f->scratch.tape, NULL), JSON_E_SURROGATE);
    }
    fixture_free(f);
}

static void parts_are_attached(void **state)
{
    (void)state;
    static const char *const want[] = {"", "Zg==", "Zm8=", "Zm9v", "Zm9vYg==", "Zm9vYmE=",
                                       "Zm9vYmFy"}; /* RFC 4648, section 10 */
    fixture *f = fixture_new();
    tp_part parts[9];
    for (uint32_t i = 0; i < 7; i++)
        parts[i] = (tp_part){.size = sizeof(tp_part), .index = i, .head = {"foobar", i},
                             .length = i};
    parts[7] = (tp_part){.size = sizeof(tp_part), .name = {"file", 4}, .head = {"x", 1},
                         .length = 1000};
    parts[8] = (tp_part){.size = sizeof(tp_part), .head = {"\xfb\xff\xfe", 3}, .length = 3};
    f->call.parts = (tp_list){parts, 9, sizeof(tp_part)};
    for (uint32_t i = 0; i < 7; i++) {
        fixture_step(f, PLUG_MAY_REQUEST);
        assert_int_equal(H->attach(C, i, 1), TP_OK);
        assert_written(&f->out, want[i]);
    }
    fixture_step(f, PLUG_MAY_REQUEST);
    assert_int_equal(H->attach(C, 6, 0), TP_OK);
    assert_int_equal(H->attach(C, 8, 1), TP_OK);
    assert_written(&f->out, "foobar+//+");
    assert_int_equal(H->attach(C, 7, 0), TP_E_UNSUPPORTED);
    assert_str(f->out.fail_param, "file");
    assert_has(f->out.fail_why.ptr, "too large");
    fixture_step(f, PLUG_MAY_REQUEST);
    assert_int_equal(H->attach(C, 9, 0), TP_E_INTERNAL);
    fixture_free(f);
}

static void the_log_has_the_name_and_is_bounded(void **state)
{
    (void)state;
    fixture *f = fixture_new();
    char text[8192];
    fixture_step(f, 0);
    f->call.who = STR("acme");
    for (int i = 0; i < 100; i++)
        H->log(C, i == 0 ? 99 : TP_LOG_WARN, STR("forged\nline"));
    rewind(f->log_file);
    size_t n = fread(text, 1, sizeof(text) - 1, f->log_file);
    text[n] = '\0';
    assert_has(text, "debug plugin acme: forged?line");
    assert_has(text, "warn plugin acme: forged?line");
    int lines = 0;
    for (size_t i = 0; i < n; i++)
        lines += text[i] == '\n';
    assert_int_equal(lines, 16);
    fixture_free(f);
}

static void the_table_is_complete(void **state)
{
    (void)state;
    const tp_host *h = plug_host();
    void *const *functions = (void *const *)(const void *)&h->alloc;
    size_t n = (sizeof(*h) - offsetof(tp_host, alloc)) / sizeof(void *);
    for (size_t i = 0; i < n; i++)
        assert_non_null(functions[i]);
    assert_int_equal(h->size, sizeof(tp_host));
    assert_null(h->get_extension(h, "tp.host-something/1"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(write_references_merges_and_copies),
        cmocka_unit_test(write_many_grows),
        cmocka_unit_test(output_can_be_taken_back),
        cmocka_unit_test(write_past_the_memory_fails_the_call),
        cmocka_unit_test(quote_escapes),
        cmocka_unit_test(headers_are_checked),
        cmocka_unit_test(a_secret_has_its_header_alone),
        cmocka_unit_test(paths_stay_below_the_base),
        cmocka_unit_test(local_is_recorded),
        cmocka_unit_test(outputs_need_permission),
        cmocka_unit_test(events_become_the_hosts_size),
        cmocka_unit_test(the_first_sentence_is_kept_and_cleaned),
        cmocka_unit_test(reports_are_collected),
        cmocka_unit_test(keep_is_zeroed_and_bounded),
        cmocka_unit_test(scans_are_remembered),
        cmocka_unit_test(half_a_pair_in_a_reply),
        cmocka_unit_test(parts_are_attached),
        cmocka_unit_test(the_log_has_the_name_and_is_bounded),
        cmocka_unit_test(the_table_is_complete),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
