/* AWS event stream: binary messages one after another, each with two checksums.
 *
 *     total length u32 | headers length u32 | CRC-32 of these eight bytes
 *     headers | payload | CRC-32 of all that stands before it
 *
 * Numbers are big-endian. A header is a name (length u8), a type u8 and a value. Nothing is copied
 * or allocated: spans lie in the input. [any] thread. */
#ifndef TURNPIKE_PLUGINS_EVENTSTREAM_H
#define TURNPIKE_PLUGINS_EVENTSTREAM_H
#include <turnpike/plugin.h>

typedef struct eventstream_crc { /* CRC-32 of zlib, eight bytes a step */
    uint32_t table[8][256];
} eventstream_crc;
void eventstream_crc_init(eventstream_crc *t); /* once, in create; only read afterwards */
/* The CRC of bytes that follow bytes whose CRC is `before` (0: none). */
uint32_t eventstream_crc_of(const eventstream_crc *t, uint32_t before, tp_str bytes);

enum {
    EVENTSTREAM_OVERHEAD = 16, /* bytes of a message beside headers and payload */
    EVENTSTREAM_MOST_HEADERS = 128 * 1024,
    EVENTSTREAM_MOST = 16 * 1024 * 1024
}; /* bytes of a message, all told */

typedef struct eventstream_message { /* headers that are not there are empty */
    tp_str message_type;             /* "event", "exception", "error" */
    tp_str event_type, exception_type, content_type;
    tp_str error_code, error_message; /* of an error */
    tp_str payload;
} eventstream_message;

enum {
    EVENTSTREAM_MORE = 0, /* the message is not complete yet */
    EVENTSTREAM_BAD = -1
}; /* a length or checksum is wrong: nothing after it can be trusted */
/* Reads the message at the beginning of `in`. Answers its length in bytes, or one of the above. */
int64_t eventstream_read(const eventstream_crc *t, tp_str in, eventstream_message *out);
#endif
