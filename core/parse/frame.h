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
    uint32_t flags;  /* private, as is what follows */
    size_t max;
    size_t data; /* SSE: bytes of the event's data at the begin of part; the cut line follows */
    buf part;    /* SSE: data and cut line; LINES: the cut line; CHUNKS: what was given back */
    buf name;    /* SSE: the event field of an event that was cut after it */
} framer;
/* max: most bytes of one frame (SSE: of an event's data, and of each of its lines as it comes,
 * comments excepted, which are skipped unseen); a larger one is FRAME_TOO_LONG. */
void framer_init(framer *f, int32_t framing, size_t max);
void framer_free(framer *f); /* the framer stays usable, as after framer_init */

enum { FRAME_NONE = 0, /* all input taken, no whole frame */
       FRAME_GOT = 1,  /* *out is filled; its bytes lie in the input or in the framer, valid until
                          the next call. Call again with what is left of the input */
       FRAME_TOO_LONG = -1, FRAME_NOMEM = -2 }; /* these two stay until framer_free */
/* in: shortened by what was used. SSE: events without data and comments are passed over; several
 * data lines are joined by LF; CR, LF and CRLF end lines; a BOM at the start is skipped; name is
 * the event field or empty. LINES: without the line end (LF or CR LF), empty ones passed over.
 * CHUNKS: all there is. However the input is cut over calls, SSE and LINES give the same frames.
 * out: name, data and used (all of data) are set; its size is the caller's to set. */
int framer_next(framer *f, tp_str *in, tp_frame *out);
/* CHUNKS: the last n bytes of the frame just handed out were not used; they come again at the begin
 * of the next frame, which comes when more input does. 0, FRAME_TOO_LONG or FRAME_NOMEM. */
int framer_unused(framer *f, const tp_frame *last, size_t n);
/* Input has ended: FRAME_GOT hands out a last LINES frame without line end, and a last SSE event
 * without its blank line (the specification drops it; upstreams that leave the blank line out after
 * their last event are many, and an event that was really cut is no JSON); FRAME_TOO_LONG, FRAME_NOMEM;
 * else FRAME_NONE. *cut is 1 for CHUNKS when bytes were given back that nobody has used since. */
int framer_end(framer *f, tp_frame *out, int *cut);
#endif
