/* HTTP/1.1 on both sides, over llhttp (whose header only parse/ includes): bytes in, heads and body
 * spans out, and heads back to bytes. No I/O, no sockets. One parser a connection, reused for each
 * message. What llhttp lets pass and RFC 9112 does not, this room refuses. */
#ifndef TP_PARSE_HTTP_H
#define TP_PARSE_HTTP_H
#include "base/arena.h"
#include "base/base.h"
#include "base/buf.h"

typedef struct http_limits {
    uint32_t head_bytes;   /* request line and headers together; over: 431 (target alone: 414) */
    uint32_t target_bytes; /* over: 414 */
    uint32_t header_count; /* over: 431 */
    uint64_t body_bytes;   /* over: 413. 0: no limit */
} http_limits;

enum { HTTP_GET = 1, HTTP_HEAD, HTTP_POST, HTTP_PUT, HTTP_PATCH, HTTP_DELETE, HTTP_OPTIONS,
       HTTP_OTHER };
/* Headers that the gateway itself looks at; found while parsing, so nobody searches. */
enum { HTTP_H_OTHER = 0, HTTP_H_HOST, HTTP_H_AUTHORIZATION, HTTP_H_CONTENT_TYPE,
       HTTP_H_CONTENT_LENGTH, HTTP_H_TRANSFER_ENCODING, HTTP_H_CONNECTION, HTTP_H_EXPECT,
       HTTP_H_REQUEST_ID, HTTP_H_TE, HTTP_H_UPGRADE, HTTP_H_RETRY_AFTER, HTTP_H_CONTENT_ENCODING,
       HTTP_H_KEEP_ALIVE, HTTP_H_COUNT };

/* A parsed head. Strings lie in the arena given to the parser and live as long as it does. */
typedef struct http_head {
    int32_t method;      /* HTTP_*; requests */
    int32_t status;      /* responses */
    tp_str method_text;  /* requests */
    tp_str target;       /* as sent */
    tp_str path, query;  /* split at '?'; path is not percent-decoded; never empty */
    tp_header *headers;  /* names in lower case, values trimmed; in order of coming */
    uint32_t header_count;
    uint8_t minor;       /* HTTP/1.x */
    uint8_t keep_alive;  /* connection may be used again after this message */
    uint8_t chunked;     /* body is chunked */
    uint8_t expect_continue;
    int64_t content_length; /* -1: none said */
    tp_str known[HTTP_H_COUNT]; /* value of the first of each kind; ptr NULL: absent */
} http_head;
tp_str http_header(const http_head *h, tp_str lower_name); /* first value, or STR_NONE */

/* A message that must be refused: status (requests: 400, 405, 413, 414, 417, 431, 501, 503, 505;
 * responses: always 502) and why, a static sentence. The connection is closed after the answer,
 * always. A POST, PUT or PATCH that says no length is not refused here: its body is empty, and the
 * caller who wants a 411 sees content_length == -1 && !chunked. */
typedef struct http_fault {
    int32_t status;
    const char *why;
} http_fault;

enum { HTTP_NEED_MORE = 0, /* all bytes taken; no event */
       HTTP_HEAD_DONE,     /* *head is complete; call again with the rest */
       HTTP_BODY,          /* span holds body bytes (they lie in the caller's input) */
       HTTP_DONE,          /* the message is complete; the rest belongs to the next one */
       HTTP_FAULT };       /* fault says why; the parser must be reset or freed */

typedef struct http_parser http_parser; /* opaque; http_parser_size() bytes */
enum { HTTP_REQUEST = 1, HTTP_RESPONSE = 2 };
size_t http_parser_size(void);
/* mem: http_parser_size() bytes that the caller owns. limits: borrowed, outlives the parser. */
http_parser *http_parser_init(void *mem, int side, const http_limits *limits);
/* Begins the next message. Head strings go to `a`; when a head arrives over several reads its
 * parts are gathered there too. a->max bounds it. Nothing is allocated before the first byte, so an
 * idle connection costs the parser alone. `a` is not reset before the message is done. */
void http_parser_next(http_parser *p, arena *a);
/* For responses: the request was HEAD, so no body follows whatever the head says. */
void http_parser_no_body(http_parser *p);
/* Feeds bytes; consumes some (ev->used) and returns one event. Call again with what is left, also
 * when nothing is left, until NEED_MORE, DONE or FAULT; the last two come again until
 * http_parser_next or http_parser_init. However a message is cut over calls, the events are the
 * same (spans of a body joined). Interim (1xx) responses are passed over without an event. */
typedef struct http_event {
    size_t used;
    http_head *head; /* from HEAD_DONE on; with a FAULT of 413 or 417 too, so that the caller can
                        answer in the manner of that path. Else NULL */
    tp_str span;
    http_fault fault;
} http_event;
int http_parse(http_parser *p, tp_str in, http_event *ev);
/* The peer closed its side: 0 = between messages, or a response whose body ends with the
 * connection (HTTP_DONE is then due and *done = 1); -1 = in the middle of a message. */
int http_parse_eof(http_parser *p, int *done);
/* Has any byte of the current message been seen? (idle connection vs. slow head; the empty lines
 * that may stand before a request do not count) */
int http_parser_started(const http_parser *p);
/* Of a request whose head was refused, or has not come whole: its method (capital letters) and path
 * (begins with /, without query), each cut where reading or a line of 1 KiB ended. Both are empty
 * when what came does not look like a request line. They lie in the parser's arena. */
void http_parser_glimpse(const http_parser *p, tp_str *method, tp_str *path);

/* ---- Heads back to bytes. */
const char *http_reason(int status); /* "OK", "Not Found"; "Unknown" where the registry has none */
/* Appends "HTTP/1.1 200 OK\r\n": 0, or what buf_add returns. */
int http_write_status(buf *b, int status);
/* Appends "Name: value\r\n"; refuses (-1, nothing written) a name that is no token or a value with
 * CR, LF or NUL: header injection ends here. Also what buf_reserve returns. */
int http_write_header(buf *b, tp_str name, tp_str value);
/* Is this header connection-level (RFC 9110 7.6.1: connection, te, transfer-encoding...)? */
int http_is_hop_by_hop(tp_str lower_name);
/* The size line of a chunk, "1a4\r\n", into out[20]; returns its length. */
size_t http_chunk_head(char out[20], size_t n); /* n = 0: "0\r\n", and the caller adds CRLF */
/* The date header's value, RFC 9110 IMF-fixdate, 29 bytes and a NUL; years 1970 to 9999. */
void http_date(char out[30], int64_t unix_ms);
#endif
