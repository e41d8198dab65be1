#include "parse/frame.h"

#include <string.h>

#include "base/str.h"

enum {
    OUT = 1,       /* the last frame lies in the buffers: empty them on the next call */
    SKIP_LF = 2,   /* SSE: the last line ended with CR; a LF that comes next belongs to it */
    BEGUN = 4,     /* SSE: the place of a BOM is behind us */
    HAS_DATA = 8,  /* SSE: part holds data of this event (perhaps of no length) */
    HAS_NAME = 16, /* SSE: name holds this event's */
    COMMENT = 32,  /* SSE: within a comment line whose begin is gone */
    TOO_LONG = 64,
    BOM_SHIFT = 8 /* SSE: bytes of a BOM seen so far, two bits */
};
static const char bom[3] = "\xEF\xBB\xBF";

void framer_init(framer *f, int32_t framing, size_t max)
{
    *f = (framer){.framing = framing, .max = max};
    /* Data, a LF and a line that is going to be joined to it. */
    buf_init(&f->part, max > SIZE_MAX / 4 ? SIZE_MAX / 2 : 2 * max + 8);
    buf_init(&f->name, f->part.max);
}

void framer_free(framer *f)
{
    buf_free(&f->part);
    buf_free(&f->name);
    f->flags = 0;
    f->data = 0;
}

static int failed(framer *f, int rc)
{
    if (rc == TP_ERROR_LIMIT || rc == FRAME_TOO_LONG) {
        f->flags |= TOO_LONG;
        return FRAME_TOO_LONG;
    }
    return FRAME_NOMEM;
}

static int got(tp_frame *out, tp_str name, tp_str data)
{
    out->name = name;
    out->data = data;
    out->used = data.len;
    return FRAME_GOT;
}

static void event_clear(framer *f)
{
    buf_free(&f->part);
    buf_free(&f->name);
    f->data = 0;
    f->flags &= ~(uint32_t)(OUT | HAS_DATA | HAS_NAME);
}

/* ---- Server-sent events. */

/* An event as far as it lies in the input: handed out in place when it is whole. */
typedef struct event {
    tp_str data, name; /* ptr NULL: none (or in the framer's buffers) */
} event;

static tp_str between(const char *p, const char *end)
{
    return str_make(p, (size_t)(end - p));
}

/* The first CR or LF, or NULL. By windows: a stream with CR alone as line end is searched for LF
 * once, not once a line. */
static const char *line_end(const char *p, const char *end)
{
    while (p < end) {
        size_t n = TP_MIN((size_t)(end - p), (size_t)512);
        const char *lf = memchr(p, '\n', n);
        const char *cr = memchr(p, '\r', lf ? (size_t)(lf - p) : n);
        if (cr || lf)
            return cr ? cr : lf;
        p += n;
    }
    return NULL;
}

/* A data line's value goes behind the data that part holds; what lies in the input joins it. */
static int data_join(framer *f, event *e, tp_str value)
{
    size_t before = (f->flags & HAS_DATA) ? f->data : e->data.len;
    size_t need = before + 1 + value.len; /* neither is near SIZE_MAX: both lie in memory */
    if (need > f->max)
        return FRAME_TOO_LONG;
    int rc = buf_reserve(&f->part, need - f->part.len);
    if (rc != 0)
        return rc;
    if (!(f->flags & HAS_DATA)) {
        memcpy(f->part.ptr, e->data.ptr, before);
        f->flags |= HAS_DATA;
        e->data = STR_NONE;
    }
    f->part.ptr[before] = '\n';
    if (value.len)
        memcpy(f->part.ptr + before + 1, value.ptr, value.len);
    f->data = f->part.len = need;
    return 0;
}

/* The value when the line is of this field, else ptr NULL. */
static tp_str field(tp_str line, tp_str name)
{
    if (!str_starts(line, name))
        return STR_NONE;
    tp_str v = str_skip(line, name.len);
    if (v.len == 0)
        return v;
    if (v.ptr[0] != ':')
        return STR_NONE;
    return str_skip(v, v.len > 1 && v.ptr[1] == ' ' ? 2 : 1);
}

/* A line that lies whole in the input and is not empty. */
static int line_in_place(framer *f, event *e, tp_str line)
{
    if (line.ptr[0] == ':')
        return 0;
    if (line.len > f->max)
        return FRAME_TOO_LONG;
    if (line.ptr[0] == 'd') {
        tp_str v = field(line, STR("data"));
        if (!v.ptr)
            return 0;
        if (e->data.ptr || (f->flags & HAS_DATA))
            return data_join(f, e, v);
        e->data = v;
    } else if (line.ptr[0] == 'e') {
        tp_str v = field(line, STR("event"));
        if (v.ptr) {
            e->name = v;
            f->flags &= ~(uint32_t)HAS_NAME;
        }
    }
    return 0;
}

/* The line that came in pieces: part from f->data on. Its value stays, the rest goes. */
static int line_gathered(framer *f)
{
    tp_str line = str_skip(buf_str(&f->part), f->data);
    int rc = 0;
    if (line.len > f->max)
        return FRAME_TOO_LONG;
    tp_str v = field(line, STR("data"));
    if (v.ptr) {
        size_t at = f->data + ((f->flags & HAS_DATA) ? 1 : 0);
        if (at + v.len > f->max)
            return FRAME_TOO_LONG;
        memmove(f->part.ptr + at, v.ptr, v.len); /* "data" made room for the LF */
        if (f->flags & HAS_DATA)
            f->part.ptr[f->data] = '\n';
        f->data = at + v.len;
        f->flags |= HAS_DATA;
    } else {
        v = field(line, STR("event"));
        if (v.ptr) {
            f->name.len = 0;
            rc = buf_adds(&f->name, v);
            f->flags |= HAS_NAME;
        }
    }
    f->part.len = f->data;
    if (!(f->flags & HAS_DATA))
        buf_free(&f->part);
    return rc;
}

/* Input ends within the event: what it holds of it moves into the buffers, and so does the begin of
 * a line. */
static int event_keep(framer *f, event *e, tp_str line)
{
    int rc = 0;
    if (line.len && line.ptr[0] == ':') { /* a comment is not kept, however long it is */
        f->flags |= COMMENT;
        line.len = 0;
    }
    if (line.len > f->max)
        return failed(f, FRAME_TOO_LONG);
    if (e->name.ptr) {
        f->name.len = 0;
        rc = buf_adds(&f->name, e->name);
        f->flags |= HAS_NAME;
    }
    if (rc == 0 && e->data.ptr) {
        rc = buf_reserve(&f->part, e->data.len + line.len);
        if (rc == 0)
            rc = buf_adds(&f->part, e->data);
        f->data = e->data.len;
        f->flags |= HAS_DATA;
    }
    if (rc == 0)
        rc = buf_adds(&f->part, line);
    return rc == 0 ? FRAME_NONE : failed(f, rc);
}

/* The blank line. 1: *out is the event; 0: it had no data. */
static int event_end(framer *f, event *e, tp_frame *out)
{
    tp_str name = (f->flags & HAS_NAME) ? buf_str(&f->name) : e->name;
    if (f->flags & HAS_DATA) {
        f->flags |= OUT;
        return got(out, name, buf_str(&f->part));
    }
    if (e->data.ptr) {
        if (f->flags & HAS_NAME)
            f->flags |= OUT;
        return got(out, name, e->data);
    }
    if (f->flags & HAS_NAME)
        event_clear(f);
    *e = (event){0};
    return FRAME_NONE;
}

/* 0: go on; FRAME_NONE is 0 as well, so *wait says that the BOM is cut. */
static int skip_bom(framer *f, tp_str *in, int *wait)
{
    uint32_t seen = f->flags >> BOM_SHIFT;
    while (seen < 3 && in->len && in->ptr[0] == bom[seen]) {
        seen++;
        *in = str_skip(*in, 1);
    }
    f->flags = (f->flags & ((1u << BOM_SHIFT) - 1)) | seen << BOM_SHIFT;
    *wait = seen < 3 && in->len == 0;
    if (*wait)
        return 0;
    f->flags = (f->flags & ((1u << BOM_SHIFT) - 1)) | BEGUN;
    return seen < 3 ? buf_add(&f->part, bom, seen) : 0; /* no BOM: it was the begin of a line */
}

static const char *after_end(framer *f, const char *eol, const char *end)
{
    const char *next = eol + 1;
    if (*eol == '\r') {
        if (next == end)
            f->flags |= SKIP_LF;
        else if (*next == '\n')
            next++;
    }
    return next;
}

/* Finishes what an earlier input began: a CR LF pair, a BOM, a comment, a line. 1: the input ended
 * before it did. */
static int resume(framer *f, tp_str *in)
{
    int rc = 0, wait = 0;
    if ((f->flags & SKIP_LF) && in->len) {
        f->flags &= ~(uint32_t)SKIP_LF;
        if (in->ptr[0] == '\n')
            *in = str_skip(*in, 1);
    }
    if (!(f->flags & BEGUN)) {
        rc = skip_bom(f, in, &wait);
        if (rc != 0 || wait)
            return rc != 0 ? failed(f, rc) : 1;
    }
    if (!(f->flags & COMMENT) && f->part.len == f->data)
        return 0;
    const char *end = in->ptr + in->len, *eol = line_end(in->ptr, end);
    if (!(f->flags & COMMENT)) {
        tp_str piece = between(in->ptr, eol ? eol : end);
        if (piece.len > f->max || f->part.len - f->data + piece.len > f->max)
            rc = FRAME_TOO_LONG;
        else
            rc = buf_adds(&f->part, piece);
        if (rc == 0 && eol)
            rc = line_gathered(f);
        if (rc != 0)
            return failed(f, rc);
    }
    if (!eol) {
        *in = str_make(end, 0);
        return 1;
    }
    f->flags &= ~(uint32_t)COMMENT;
    *in = between(after_end(f, eol, end), end);
    return 0;
}

static int sse_next(framer *f, tp_str *in, tp_frame *out)
{
    event e = {0};
    if (TP_UNLIKELY((f->flags & ~(uint32_t)(HAS_DATA | HAS_NAME)) != BEGUN ||
                    f->part.len != f->data)) {
        int rc = resume(f, in);
        if (rc != 0)
            return rc < 0 ? rc : FRAME_NONE;
    }
    const char *p = in->ptr, *end = p + in->len;
    while (p < end) {
        const char *eol = *p == '\n' || *p == '\r' ? p : line_end(p, end);
        if (!eol)
            break;
        const char *next = after_end(f, eol, end);
        if (eol == p) {
            if (event_end(f, &e, out) == FRAME_GOT) {
                *in = between(next, end);
                return FRAME_GOT;
            }
        } else {
            int rc = line_in_place(f, &e, between(p, eol));
            if (rc != 0) {
                *in = between(next, end);
                return failed(f, rc);
            }
        }
        p = next;
    }
    *in = str_make(end, 0);
    return event_keep(f, &e, between(p, end));
}

/* ---- Lines and chunks. */

static tp_str chomp(tp_str line)
{
    if (line.len && line.ptr[line.len - 1] == '\r')
        line.len--;
    return line;
}

static int line_next(framer *f, tp_str *in, tp_frame *out)
{
    while (in->len) {
        const char *lf = memchr(in->ptr, '\n', in->len);
        tp_str line = str_make(in->ptr, lf ? (size_t)(lf - in->ptr) : in->len);
        *in = str_skip(*in, line.len + (lf != NULL));
        if (line.len > f->max || f->part.len + line.len > f->max)
            return failed(f, FRAME_TOO_LONG);
        if (f->part.len || !lf) {
            int rc = buf_adds(&f->part, line);
            if (rc != 0)
                return failed(f, rc);
            if (!lf)
                return FRAME_NONE;
            f->flags |= OUT;
            line = buf_str(&f->part);
        }
        line = chomp(line);
        if (line.len)
            return got(out, STR_NONE, line);
        if (f->flags & OUT)
            event_clear(f);
    }
    return FRAME_NONE;
}

static int chunk_next(framer *f, tp_str *in, tp_frame *out)
{
    tp_str all = *in;
    if (all.len == 0)
        return FRAME_NONE;
    if (f->part.len) {
        int rc = all.len > f->max - f->part.len ? FRAME_TOO_LONG : buf_adds(&f->part, all);
        if (rc != 0)
            return failed(f, rc);
        f->flags |= OUT;
        all = buf_str(&f->part);
    }
    *in = str_skip(*in, in->len);
    return got(out, STR_NONE, all);
}

int framer_unused(framer *f, const tp_frame *last, size_t n)
{
    TP_MUST(f->framing == TP_CHUNKS && n <= last->data.len);
    if (n > f->max)
        return failed(f, FRAME_TOO_LONG);
    if (n == 0)
        return 0;
    if (f->flags & OUT) { /* it lies in part */
        f->flags &= ~(uint32_t)OUT;
        buf_shift(&f->part, f->part.len - n);
        return 0;
    }
    int rc = buf_add(&f->part, last->data.ptr + last->data.len - n, n);
    return rc == 0 ? 0 : failed(f, rc);
}

int framer_next(framer *f, tp_str *in, tp_frame *out)
{
    if (f->flags & TOO_LONG)
        return FRAME_TOO_LONG;
    if (f->flags & OUT)
        event_clear(f);
    switch (f->framing) {
    case TP_SSE:
        return sse_next(f, in, out);
    case TP_LINES:
        return line_next(f, in, out);
    default:
        return chunk_next(f, in, out);
    }
}

int framer_end(framer *f, tp_frame *out, int *cut)
{
    *cut = 0;
    if (f->flags & TOO_LONG)
        return FRAME_TOO_LONG;
    if (f->flags & OUT)
        event_clear(f);
    if (f->framing == TP_LINES && f->part.len) {
        tp_str line = chomp(buf_str(&f->part));
        f->flags |= OUT;
        if (line.len)
            return got(out, STR_NONE, line);
        event_clear(f);
        return FRAME_NONE;
    }
    if (f->framing == TP_SSE) {
        tp_str rest = STR("\n\n");
        return framer_next(f, &rest, out);
    }
    *cut = f->part.len != 0;
    return FRAME_NONE;
}
