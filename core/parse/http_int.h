/* Private to parse/: the parser's state, and what its four files say to each other.
 *   http_parse.c  bytes over calls: gathering a head, spans of a body
 *   http_scan.c   where a head ends; what can be judged line by line
 *   http_plain.c  a whole head of the usual form, in one pass
 *   http_head.c   any other whole head, through llhttp; what RFC 9112 refuses
 * llhttp sees a head only when it is whole and lies in the arena. That a head arrived in pieces can
 * therefore not change what is made of it, and its strings need no copy of their own. */
#ifndef TP_PARSE_HTTP_INT_H
#define TP_PARSE_HTTP_INT_H
#include "base/str.h"
#include "parse/http.h"
#include "parse/http_llhttp.h"

enum { AT_HEAD, AT_LENGTH, AT_CHUNKED, AT_TRAILERS, AT_CLOSE, AT_END, AT_DONE, AT_FAULT };

struct http_parser {
    llhttp_t ll;               /* of this head, and of a chunked body */
    const http_limits *limits; /* borrowed */
    arena *arena;              /* borrowed */
    http_head *head;           /* in the arena; NULL until the head is whole */
    char *part;                /* in the arena: bytes of a head that came in pieces */
    uint32_t part_len, part_cap;
    uint32_t line, seen;       /* offsets into the head: the line at hand; searched so far */
    uint32_t lines;            /* header lines seen */
    uint32_t method_len, target_len; /* of the first line; 0: not yet seen */
    uint32_t framing;          /* chunked: bytes since the last one of content */
    tp_str span;               /* chunked: what llhttp gave */
    uint64_t left;             /* AT_LENGTH: bytes to come */
    uint64_t taken;            /* AT_CHUNKED, AT_TRAILERS, AT_CLOSE: bytes of content so far */
    http_fault fault;
    uint8_t side, at, no_body;
    uint8_t blank;             /* bytes of empty lines before the request */
    uint8_t interim;           /* 1xx responses passed over */
    uint8_t last_chunk;        /* its size line has been read */
    uint8_t trailer;           /* where in a trailer line */
};

/* Records why the message is refused; -1. Of a response the status is always 502. */
int http_refuse(http_parser *p, int status, const char *why);

/* Looks at base[p->seen..len), base being the begin of the head: 1: it ends at p->seen; 0: more is
 * needed; -1: refused. Faults depend on the position of bytes alone, not on where reads were cut.
 */
int http_scan(http_parser *p, const char *base, uint32_t len);
/* Takes apart the whole head raw[0..len), which lies in the arena and is changed in place (names to
 * lower case). h and headers have room: p->lines of headers. 0, or -1: refused. */
int http_head_take(http_parser *p, http_head *h, tp_header *headers, char *raw, size_t len);
/* Its steps: headers and first line by one of two readers, then what they mean. A reader fills
 * h->headers and p->ll's method or status_code and its http_minor. */
/* 1; or 0: not of the usual form, ask llhttp. Nothing is refused. raw may have changed its case. */
int http_head_plain(http_parser *p, http_head *h, char *raw, size_t len);
/* 0; or -1: refused. Needed before a chunked body, which llhttp goes on with. */
int http_head_llhttp(http_parser *p, http_head *h, char *raw, size_t len);
int http_head_judge(http_parser *p, http_head *h, const char *raw); /* 0; or -1: refused */

/* The byte in lower case if it may stand in a token (RFC 9110 5.6.2), else 0. */
extern const unsigned char http_token_lower[256];
/* Printable ASCII without '#' and spaces? */
int http_target_clean(tp_str s);
/* Are there control characters other than TAB? */
int http_has_control(tp_str s);
#endif
