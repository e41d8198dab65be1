/* Frames: server-sent events, or with option 1 lines. Options 2: a narrow limit. Beside the cuts,
 * events are held against a second reading of the specification, byte by byte and without care
 * for speed. */
#include "differential.h"

typedef struct reader {
    buf line, data, name;
} reader;

static void reader_line(reader *r, transcript *t)
{
    tp_str line = buf_str(&r->line);
    size_t colon = str_find(line, ':');
    tp_str name = str_make(line.ptr, colon), value = str_skip(line, colon + 1);
    if (value.len && value.ptr[0] == ' ')
        value = str_skip(value, 1);
    if (line.len == 0) {
        if (r->data.len) {
            r->data.len--; /* the last LF */
            say(t, "event", buf_str(&r->name));
            say(t, "data", buf_str(&r->data));
        }
        r->data.len = r->name.len = 0;
    } else if (colon == 0) {
        /* a comment */
    } else if (str_eq(name, STR("data"))) {
        TP_MUST(buf_adds(&r->data, value) == 0 && buf_adds(&r->data, STR("\n")) == 0);
    } else if (str_eq(name, STR("event"))) {
        r->name.len = 0;
        TP_MUST(buf_adds(&r->name, value) == 0);
    }
    r->line.len = 0;
}

static void reader_run(transcript *t, tp_str all)
{
    reader r = {0};
    buf_init(&r.line, 1 << 24);
    buf_init(&r.data, 1 << 24);
    buf_init(&r.name, 1 << 24);
    if (str_starts(all, STR("\xEF\xBB\xBF")))
        all = str_skip(all, 3);
    for (size_t i = 0; i < all.len; i++) {
        char c = all.ptr[i];
        if (c == '\r' || c == '\n')
            reader_line(&r, t);
        else
            TP_MUST(buf_add(&r.line, &c, 1) == 0);
        if (c == '\r' && i + 1 < all.len && all.ptr[i + 1] == '\n')
            i++;
    }
    if (r.line.len)
        reader_line(&r, t);
    reader_line(&r, t); /* the end ends the last event too */
    TP_MUST(buf_adds(&t->text, STR("END 0 cut=0\n")) == 0);
    buf_free(&r.line);
    buf_free(&r.data);
    buf_free(&r.name);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 2)
        return 0;
    int32_t framing = data[0] & 1 ? TP_LINES : TP_SSE;
    size_t max = data[0] & 2 ? 9 : 1 << 20;
    tp_str raw = str_make((const char *)data + 2, size - 2);
    rng r = {data[1]};
    transcript whole, cut, bytes, read;
    transcript_init(&whole);
    transcript_init(&cut);
    transcript_init(&bytes);
    transcript_init(&read);
    run_frames(&whole, framing, max, raw, cut_never, NULL);
    run_frames(&cut, framing, max, raw, cut_random, &r);
    must_be_same(&whole, &cut);
    run_frames(&bytes, framing, max, raw, cut_always, NULL);
    must_be_same(&whole, &bytes);
    if (framing == TP_SSE && max > 9) {
        reader_run(&read, raw);
        must_be_same(&whole, &read);
    }
    transcript_free(&whole);
    transcript_free(&cut);
    transcript_free(&bytes);
    transcript_free(&read);
    return 0;
}
