/* sse-load: one stream's life as bytes, without I/O. */
#ifndef SSE_LOAD_H
#define SSE_LOAD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum sse_result {
    SSE_OK,
    SSE_CONNECT,     /* no connection, or it was lost before a status */
    SSE_STATUS,      /* another status than 200 */
    SSE_CUT,         /* the connection ended before the reply did */
    SSE_NO_DONE,     /* ended well as HTTP, but without data: [DONE] as its last event */
    SSE_ERROR_EVENT, /* an error event came */
    SSE_BAD_HTTP,
    SSE_TIMEOUT,
    SSE_RESULTS
};

struct sse_stream {
    int fd;
    void *tls; /* of the caller; NULL: plain */
    int status; /* 0 until the head is complete */
    size_t sent;
    uint64_t began, first_event, last_event, max_gap; /* ns */
    uint64_t events;
    enum sse_result result;
    /* private */
    char *head;
    size_t head_len;
    uint64_t left; /* of the HTTP chunk, or of the body by its length */
    uint64_t line_len;
    char line[16];
    uint8_t framing, chunk_state;
    bool has_data, is_done, done, after_done, error;
};

void sse_stream_init(struct sse_stream *s, uint64_t now);
void sse_stream_free(struct sse_stream *s);

/* Takes received bytes. Returns -1 for "goes on", or the enum sse_result that it ended with. */
int sse_stream_feed(struct sse_stream *s, const char *p, size_t n, uint64_t now);

/* What the end of the connection means now. */
enum sse_result sse_stream_eof(const struct sse_stream *s);

const char *sse_result_name(enum sse_result r);

#endif
