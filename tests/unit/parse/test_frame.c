/* clang-format off */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <cmocka.h>
/* clang-format on */

#include "transcript.h"

/* What came out, one "(name|data)" a frame, then "cut", "long" or nothing. */
typedef struct row {
    const char *raw, *want;
} row;

/* Every row is run with LF, CR LF and CR in place of each LF. */
static const row sse[] = {
    {"data: a\n\n", "(|a)"},
    {"data:a\n\n", "(|a)"},
    {"data:  a \n\n", "(| a )"},
    {"data: a\n\ndata: b\n\n", "(|a)(|b)"},
    {"data: a\n\n\n\n\ndata: b\n\n", "(|a)(|b)"},
    {"\n\ndata: a\n\n", "(|a)"},
    {"data: a\ndata: b\n\n", "(|a~b)"}, /* ~: a LF within data, whatever ended the lines */
    {"data: a\ndata: b\ndata:\ndata: c\n\n", "(|a~b~~c)"},
    {"data:\n\n", "(|)"},
    {"data\n\n", "(|)"},
    {"data\ndata\n\n", "(|~)"},
    {"data:\ndata: x\n\n", "(|~x)"},
    {"data: a:b\n\n", "(|a:b)"},
    {"event: x\ndata: a\n\n", "(x|a)"},
    {"data: a\nevent: x\n\n", "(x|a)"},
    {"data: a\nevent: x\ndata: b\n\n", "(x|a~b)"},
    {"event: x\nevent: yy\ndata: a\n\n", "(yy|a)"},
    {"event: x\ndata: a\nevent\n\n", "(|a)"},
    {"event: x\ndata: a\n\ndata: b\n\n", "(x|a)(|b)"}, /* the name does not outlive its event */
    {"event: x\n\ndata: b\n\n", "(|b)"},
    {"event: x\nid: 3\n\n\ndata: b\n\n", "(|b)"},
    {": comment\n\ndata: a\n\n", "(|a)"},
    {":\n:\ndata: a\n: data: b\n\n", "(|a)"},
    {"data: a\n: between\ndata: b\n\n", "(|a~b)"},
    {"id: 7\nretry: 100\ndata: a\nfoo: bar\nfoo\n\n", "(|a)"},
    {"datum: a\n\n", ""},
    {"data : a\n\n", ""},
    {" data: a\n\n", ""},
    {"DATA: a\n\n", ""},
    {"dat\n\n", ""},
    {"events: x\ndata: a\n\n", "(|a)"},
    {"\xEF\xBB\xBF"
     "data: a\n\n",
     "(|a)"},
    {"\xEF\xBB\xBF\n"
     "data: a\n\n",
     "(|a)"},
    {"\xEF\xBB\xBF\xEF\xBB\xBF"
     "data: a\n\ndata: b\n\n",
     "(|b)"}, /* one BOM, no more */
    {"\xEF\xBB"
     "data: a\n\ndata: b\n\n",
     "(|b)"},
    {"\xEF"
     "data: a\n\n",
     ""},
    {"\xEF\n\ndata: b\n\n", "(|b)"},
    {"data: a\n\n\xEF\xBB\xBF"
     "data: b\n\ndata: c\n\n",
     "(|a)(|c)"},
    {"data: \xEF\xBB\xBF\n\n", "(|\xEF\xBB\xBF)"},
    /* what ends within an event */
    {"", ""},
    {"data: a", "(|a)"},
    {"data: a\n", "(|a)"},
    {"data: a\ndata: b\n", "(|a~b)"},
    {"data: a\ndata: b", "(|a~b)"},
    {"data: a\r", "(|a)"},
    {"event: x\ndata: a", "(x|a)"},
    {"data: a\ndat", "(|a)"},
    {"data: a\n\ndata: b", "(|a)(|b)"},
    {"event: x\n", ""},
    {"event: x", ""},
    {"event:\n", ""},
    {": ping", ""},
    {": ping\n", ""},
    {"data: a\n\n: ping\n", "(|a)"},
    {"\n", ""},
    {"\xEF\xBB\xBF", ""},
    {"\xEF\xBB", ""},
    {"data: {\"choices\":[{\"delta\":{\"content\":\"Hi\"}}]}\n\ndata: [DONE]\n\n",
     "(|{\"choices\":[{\"delta\":{\"content\":\"Hi\"}}]})(|[DONE])"},
};

/* Lone and mixed line ends, as they stand. */
static const row mixed[] = {
    {"data: a\r\n\ndata: b\n\r\n", "(|a)(|b)"},
    {"data: a\r\rdata: b\n\r", "(|a)(|b)"},
    {"data: a\n\r\ndata: b\r\n\r", "(|a)(|b)"},
    {"data: a\rdata: b\ndata: c\r\n\r\n", "(|a~b~c)"},
    {"data: a\r\n\r\n\r\n\r\ndata: b\r\n\r\n", "(|a)(|b)"},
    {": c\r\n\rdata: b\r\r\n", "(|b)"},
    {"\r\ndata: b\r\r", "(|b)"},
};

static const row lines[] = {
    {"a\nb\n", "(|a)(|b)"},
    {"a\r\nb\r\n", "(|a)(|b)"},
    {"a\n\n\r\n\nb\n", "(|a)(|b)"},
    {"a\nb", "(|a)(|b)"},
    {"a\nb\r", "(|a)(|b)"},
    {"a\n\r", "(|a)"},
    {"a\rb\n", "(|a\rb)"},
    {" a \n", "(| a )"},
    {"a\r\r\n", "(|a\r)"},
    {"", ""},
    {"{\"a\":1}\n{\"b\":[1,2]}\n{\"c\":\"x", "(|{\"a\":1})(|{\"b\":[1,2]})(|{\"c\":\"x)"},
};

typedef struct result {
    buf text;
} result;

static void add_frame(result *r, const tp_frame *frame)
{
    assert_int_equal(frame->used, frame->data.len);
    assert_int_equal(buf_printf(&r->text, "(%.*s|", STR_ARG(frame->name)), 0);
    for (size_t i = 0; i < frame->data.len; i++) {
        char c = frame->data.ptr[i] == '\n' ? '~' : frame->data.ptr[i];
        assert_int_equal(buf_add(&r->text, &c, 1), 0);
    }
    assert_int_equal(buf_adds(&r->text, STR(")")), 0);
}

static void collect(result *r, int32_t framing, size_t max, tp_str all, cutter cut, void *state)
{
    framer f;
    tp_frame frame = {.size = sizeof(frame)};
    int got = FRAME_NONE, ended = 0;
    buf_init(&r->text, 1 << 20);
    framer_init(&f, framing, max);
    while (got >= 0 && all.len) {
        size_t n = cut(state, all.len);
        char *piece = malloc(n);
        memcpy(piece, all.ptr, n);
        tp_str in = str_make(piece, n);
        while ((got = framer_next(&f, &in, &frame)) == FRAME_GOT)
            add_frame(r, &frame);
        assert_true(got < 0 || in.len == 0);
        free(piece);
        all = str_skip(all, n);
    }
    if (got >= 0)
        got = framer_end(&f, &frame, &ended);
    if (got == FRAME_GOT) {
        add_frame(r, &frame);
        assert_int_equal(framer_end(&f, &frame, &ended), FRAME_NONE);
    }
    if (got < 0)
        assert_int_equal(buf_adds(&r->text, STR("long")), 0);
    if (ended)
        assert_int_equal(buf_adds(&r->text, STR("cut")), 0);
    framer_free(&f);
}

static void check(int32_t framing, size_t max, tp_str raw, const char *want, cutter cut,
                  void *state, size_t at)
{
    result r;
    collect(&r, framing, max, raw, cut, state);
    if (!str_eq(buf_str(&r.text), str_of(want)))
        fail_msg("cut at %zu: %.*s instead of %s for:\n%.*s", at, STR_ARG(buf_str(&r.text)), want,
                 STR_ARG(raw));
    buf_free(&r.text);
}

static void check_all_ways(int32_t framing, size_t max, tp_str raw, const char *want)
{
    check(framing, max, raw, want, cut_never, NULL, 0);
    check(framing, max, raw, want, cut_always, NULL, 0);
    for (size_t i = 1; i < raw.len; i++) {
        size_t at = i;
        check(framing, max, raw, want, cut_once, &at, i);
    }
}

static void test_sse(void **state)
{
    (void)state;
    const char *ends[] = {"\n", "\r\n", "\r"};
    for (size_t i = 0; i < TP_COUNT(sse); i++) {
        for (size_t e = 0; e < TP_COUNT(ends); e++) {
            buf raw;
            buf_init(&raw, 1 << 16);
            for (const char *p = sse[i].raw; *p; p++)
                assert_int_equal(*p == '\n' ? buf_adds(&raw, str_of(ends[e])) : buf_add(&raw, p, 1),
                                 0);
            check_all_ways(TP_SSE, 1000, buf_str(&raw), sse[i].want);
            buf_free(&raw);
        }
    }
    for (size_t i = 0; i < TP_COUNT(mixed); i++)
        check_all_ways(TP_SSE, 1000, str_of(mixed[i].raw), mixed[i].want);
}

static void test_lines(void **state)
{
    (void)state;
    for (size_t i = 0; i < TP_COUNT(lines); i++)
        check_all_ways(TP_LINES, 1000, str_of(lines[i].raw), lines[i].want);
}

static void test_bounds(void **state)
{
    (void)state;
    check_all_ways(TP_SSE, 8, STR("data:123\n\n"), "(|123)");
    check_all_ways(TP_SSE, 8, STR("data:1234\n\n"), "long");
    check_all_ways(TP_SSE, 8, STR("data:1\n\ndata:12345"), "(|1)long");
    check_all_ways(TP_SSE, 8, STR("data:123\ndata:567\ndata\n\n"), "(|123~567~)");
    check_all_ways(TP_SSE, 8, STR("data:123\ndata:567\ndata:9\n\n"), "long");
    check_all_ways(TP_SSE, 8, STR("data:1\nevent:ab\n\n"), "(ab|1)");
    check_all_ways(TP_SSE, 8, STR("data:1\nevent:abc\n\n"), "long");
    check_all_ways(TP_SSE, 8, STR("idididididididid\n\n"), "long");
    /* comments are no frames: they may be as long as they like */
    check_all_ways(TP_SSE, 8, STR(": a very long comment\ndata:1\n: another one, still\n\n"),
                   "(|1)");
    check_all_ways(TP_SSE, 8, STR("data:1\n: a comment that ends with the stream"), "(|1)");
    check_all_ways(TP_LINES, 4, STR("abcd\nabcd"), "(|abcd)(|abcd)");
    check_all_ways(TP_LINES, 4, STR("abcd\nabcde\n"), "(|abcd)long");
    check_all_ways(TP_LINES, 4, STR("abcde"), "long");
}

/* Whole frames are handed out where they lie, and nothing stays allocated between frames. */
static void test_in_place_and_memory(void **state)
{
    (void)state;
    framer f;
    tp_frame frame = {.size = sizeof(frame)};
    const char *text = "event: x\ndata: abc\n\ndata: d\n\ndata: ef";
    tp_str in = str_of(text);
    framer_init(&f, TP_SSE, 1000);
    assert_int_equal(framer_next(&f, &in, &frame), FRAME_GOT);
    assert_ptr_equal(frame.data.ptr, text + 15);
    assert_ptr_equal(frame.name.ptr, text + 7);
    assert_int_equal(framer_next(&f, &in, &frame), FRAME_GOT);
    assert_true(str_eq(frame.data, STR("d")));
    assert_null(f.part.ptr); /* two events, no allocation */
    assert_int_equal(framer_next(&f, &in, &frame), FRAME_NONE);
    assert_non_null(f.part.ptr); /* the third is cut */
    in = STR("g\n\n");
    assert_int_equal(framer_next(&f, &in, &frame), FRAME_GOT);
    assert_true(str_eq(frame.data, STR("efg")));
    in = STR(": ping\n\n: pi");
    assert_int_equal(framer_next(&f, &in, &frame), FRAME_NONE);
    assert_null(f.part.ptr); /* idle, within a comment even: nothing held */
    assert_null(f.name.ptr);
    in = STR("ng\n\ndata: h\n\n");
    assert_int_equal(framer_next(&f, &in, &frame), FRAME_GOT);
    assert_true(str_eq(frame.data, STR("h")));
    framer_free(&f);
}

static void test_error_stays(void **state)
{
    (void)state;
    framer f;
    tp_frame frame = {.size = sizeof(frame)};
    int cut;
    tp_str in = STR("abcdef\nab\n");
    framer_init(&f, TP_LINES, 4);
    assert_int_equal(framer_next(&f, &in, &frame), FRAME_TOO_LONG);
    assert_int_equal(framer_next(&f, &in, &frame), FRAME_TOO_LONG);
    assert_int_equal(framer_end(&f, &frame, &cut), FRAME_TOO_LONG);
    framer_free(&f);
    in = STR("ab\n");
    assert_int_equal(framer_next(&f, &in, &frame), FRAME_GOT); /* as after framer_init */
    framer_free(&f);
}

static void test_chunks(void **state)
{
    (void)state;
    framer f;
    tp_frame frame = {.size = sizeof(frame)};
    int cut;
    tp_str in = STR("abcdef"), first = in;
    framer_init(&f, TP_CHUNKS, 8);
    assert_int_equal(framer_next(&f, &in, &frame), FRAME_GOT);
    assert_ptr_equal(frame.data.ptr, first.ptr);
    assert_int_equal(frame.used, 6);
    assert_int_equal(in.len, 0);
    assert_int_equal(framer_next(&f, &in, &frame), FRAME_NONE);
    in = STR("abcdef");
    assert_int_equal(framer_next(&f, &in, &frame), FRAME_GOT);
    assert_int_equal(framer_unused(&f, &frame, 2), 0); /* "ef" comes again, with more */
    assert_int_equal(framer_next(&f, &in, &frame), FRAME_NONE);
    in = STR("gh");
    assert_int_equal(framer_next(&f, &in, &frame), FRAME_GOT);
    assert_true(str_eq(frame.data, STR("efgh")));
    assert_int_equal(framer_unused(&f, &frame, 1), 0);
    in = STR("ijk");
    assert_int_equal(framer_next(&f, &in, &frame), FRAME_GOT);
    assert_true(str_eq(frame.data, STR("hijk")));
    assert_int_equal(framer_unused(&f, &frame, 4), 0);
    assert_int_equal(framer_end(&f, &frame, &cut), FRAME_NONE);
    assert_int_equal(cut, 1);
    in = STR("lmnop");
    assert_int_equal(framer_next(&f, &in, &frame), FRAME_TOO_LONG);
    framer_free(&f);
    in = STR("a");
    assert_int_equal(framer_next(&f, &in, &frame), FRAME_GOT);
    assert_int_equal(framer_end(&f, &frame, &cut), FRAME_NONE);
    assert_int_equal(cut, 0);
    assert_null(f.part.ptr);
    framer_free(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_sse),         cmocka_unit_test(test_lines),
        cmocka_unit_test(test_bounds),      cmocka_unit_test(test_in_place_and_memory),
        cmocka_unit_test(test_error_stays), cmocka_unit_test(test_chunks),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
