/* Upstream bytes -> frames: server-sent events (WHATWG HTML 9.2), lines, raw chunks. No I/O. A
 * frame that lies whole in the input is handed out in place; one that is cut is gathered in the
 * framer's own buffer, which is bounded and freed as soon as it is empty (thousands of idle streams
 * must cost nothing). */
#ifndef TP_PARSE_FRAME_H
#define TP_PARSE_FRAME_H
#include "base/base.h"
#include "base/buf.h"

typedef struct framer {
    int32_t framing; /* TP_SSE, TP_LINES, TP_CHUNKS of plugin.h */
    uint32_t flags;  /* private */
    size_t scanned;  /* private: bytes of the gathered part already searched */
    buf part;        /* private */
} framer;
/* max: most bytes of one frame; a larger one is FRAME_TOO_LONG. */
void framer_init(framer *f, int32_t framing, size_t max);
void framer_free(framer *f);

enum { FRAME_NONE = 0, /* all input taken, no whole frame */
       FRAME_GOT = 1,  /* *out is filled; its bytes lie in the input or in the framer, valid until
                          the next call. Call again with what is left of the input */
       FRAME_TOO_LONG = -1, FRAME_NOMEM = -2 };
/* in: shortened by what was used. SSE: events without data and comments are passed over; several
 * data lines are joined by LF; CR, LF and CRLF end lines; a BOM at the start is skipped; name is the
 * event field or empty. LINES: without the line end, empty ones passed over. CHUNKS: all there is. */
int framer_next(framer *f, tp_str *in, tp_frame *out);
/* Input has ended: hands out a last LINES frame without line end. An SSE event without its blank
 * line is dropped, as the specification says; *cut is then 1. */
int framer_end(framer *f, tp_frame *out, int *cut);
#endif
