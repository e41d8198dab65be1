/* Surfaces: what differs between the public APIs that one gateway serves: error envelope, header
 * names, id shape, hints keys, model list. A surface is configuration; nothing here does I/O. [any]
 */
#ifndef TP_PROFILE_PROFILE_H
#define TP_PROFILE_PROFILE_H
#include "base/buf.h"
#include "conf/conf.h"

typedef struct profile_error { /* an error that the gateway itself answers */
    int32_t status;        /* HTTP */
    int32_t retry_after_s; /* > 0: Retry-After */
    tp_str type;           /* "invalid_request_error"...; empty: by status (profile_error_type) */
    tp_str message, param, code; /* param, code: empty -> null */
} profile_error;
/* Canonical type of a status: 400 invalid_request_error, 401 authentication_error, 403
 * permission_error, 404 not_found_error, 402 insufficient_credits, 413/414/415/431
 * invalid_request_error, 429 rate_limit_error, 500 api_error, 502 upstream_error, 503
 * service_unavailable_error, 504 timeout_error. */
tp_str profile_error_type(int32_t status);
/* The body in the surface's envelope (s NULL: Turnpike's own), e.g.
 * {"error":{"message":"...","type":"...","param":null,"code":null}}
 * 0, or what the buffer answers when it is full. */
int profile_write_error(const conf_surface *s, const profile_error *e, buf *out);
/* The sentence that the surface's own document has for a case (conf_surface.words); empty: it has
 * none, and the caller's own sentence stands. s may be NULL. */
enum { PROFILE_NO_KEY = 1,     /* 401 */
       PROFILE_NO_CREDIT,      /* 402 */
       PROFILE_POLICY,         /* 403: the team's policy */
       PROFILE_TEAM_INACTIVE,  /* 403 */
       PROFILE_RATE            /* 429 */ };
tp_str profile_words(const conf_surface *s, int which);
/* A name that a client sent, as messages repeat it: cut to 256 bytes, not within a character. */
tp_str profile_shown(tp_str name);
/* A reply id: prefix (cut to 39 bytes), 7 base62 characters of the time (Unix milliseconds, most
 * significant first: ids of one surface sort by time, and a record is found by it) and 17 from two
 * random words; terminated. s NULL: Turnpike's own prefix. Returns the length. */
size_t profile_reply_id(const conf_surface *s, int64_t unix_ms, uint64_t r0, uint64_t r1,
                        char out[64]);
/* The time in such an id, Unix milliseconds; -1: it is none. */
int64_t profile_reply_id_ms(tp_str id);
#endif
