/* scan, find, text and chunked frames: reads {"text": ...} lines out of a byte stream. */
#include "../common.h"
TP_MANIFEST({"id": "test.area-json", "version": "1.0.0", "license": "Apache-2.0", "sdk": "1.0",
             "kinds": ["provider"]});

static tp_status head(const tp_instance *i, tp_call *c, const tp_reply *r, int32_t *framing)
{
    (void)i;
    (void)c;
    (void)r;
    *framing = TP_CHUNKS;
    return TP_OK;
}

static tp_status data(const tp_instance *i, tp_call *c, tp_frame *f)
{
    const tp_host *h = i->host;
    f->used = 0;
    for (;;) {
        const char *from = f->data.ptr + f->used;
        const char *line_end = memchr(from, '\n', f->data.len - f->used);
        if (!line_end)
            return TP_OK; /* the rest comes again, with more */
        tp_doc d;
        tp_status st = h->scan(c, (tp_str){from, (size_t)(line_end - from)}, &d);
        if (st)
            return st;
        tp_event e = {.size = sizeof(e), .kind = TP_EV_TEXT,
                      .text = h->text(c, &d, h->find(&d, 0, S("text")))};
        st = h->emit(c, &e);
        if (st)
            return st;
        f->used = (size_t)(line_end + 1 - f->data.ptr);
    }
}

static const tp_provider table = {sizeof(table), 0, ANY_FORMATS, any_build, head, data, any_end,
                                  any_failed};
PLUGIN("test.area-json", TP_PROVIDER, table)
