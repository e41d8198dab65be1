#include <string.h>

#include "parse/http_int.h"

enum {
    MAX_BLANK = 4,         /* bytes: two empty lines before a request (RFC 9112 2.2) */
    MAX_INTERIM = 8,       /* 1xx responses before the final one */
    MAX_CHUNK_LINE = 1024, /* bytes of a chunk's size line, extensions and zeros too */
    MAX_GLIMPSE = 1024,    /* bytes of a refused head that are kept */
    MAX_METHOD = 20,
    FIRST_PART = 1024
};

size_t http_parser_size(void)
{
    return sizeof(http_parser);
}

http_parser *http_parser_init(void *mem, int side, const http_limits *limits)
{
    http_parser *p = mem;
    memset(p, 0, sizeof(*p));
    p->side = (uint8_t)side;
    p->limits = limits;
    p->at = AT_DONE;
    return p;
}

static void head_restart(http_parser *p)
{
    p->part_len = p->line = p->seen = p->lines = p->method_len = p->target_len = 0;
}

void http_parser_next(http_parser *p, arena *a)
{
    head_restart(p);
    p->arena = a;
    p->head = NULL;
    p->part = NULL;
    p->part_cap = 0;
    p->framing = 0;
    p->left = p->taken = 0;
    p->at = AT_HEAD;
    p->no_body = p->blank = p->interim = p->last_chunk = p->trailer = 0;
}

void http_parser_no_body(http_parser *p)
{
    p->no_body = 1;
}

int http_parser_started(const http_parser *p)
{
    return p->at == AT_DONE ? 0 : p->at != AT_HEAD || p->part_len != 0 || p->interim != 0;
}

static int no_memory(http_parser *p, size_t want)
{
    if (want > p->arena->max || p->arena->used > p->arena->max - want)
        return http_refuse(p, 431, "the head does not fit into the memory of one request");
    return http_refuse(p, 503, "out of memory");
}

/* ---- The head. */

/* The head is refused, and its bytes are the caller's: what they began with is kept. */
static void keep_glimpse(http_parser *p, tp_str in)
{
    if (p->part_len || p->side != HTTP_REQUEST)
        return;
    size_t n = TP_MIN(in.len, (size_t)TP_MIN(p->limits->head_bytes, (uint32_t)MAX_GLIMPSE));
    char *copy = arena_dup(p->arena, in.ptr, n);
    if (!copy)
        return; /* then nothing is known of it */
    p->part = copy;
    p->part_len = p->part_cap = (uint32_t)n;
}

static size_t until_any(tp_str s, const char *stops)
{
    size_t n = 0;
    while (n < s.len && !strchr(stops, s.ptr[n])) /* NUL is one of them */
        n++;
    return n;
}

void http_parser_glimpse(const http_parser *p, tp_str *method, tp_str *path)
{
    tp_str line = str_make(p->part, TP_MIN(p->part_len, (uint32_t)MAX_GLIMPSE));
    size_t n = 0;
    *method = *path = STR_NONE;
    while (n < line.len && line.ptr[n] >= 'A' && line.ptr[n] <= 'Z')
        n++;
    if (n == 0 || n > MAX_METHOD || n == line.len || line.ptr[n] != ' ')
        return;
    tp_str target = str_skip(line, n + 1);
    target.len = until_any(target, " \t\r\n");
    if (str_starts(target, STR("http://")) || str_starts(target, STR("https://"))) {
        target = str_skip(target, str_find(target, ':') + 3);
        target = str_skip(target, str_find(target, '/'));
    }
    if (!target.len || target.ptr[0] != '/')
        return;
    *method = str_make(line.ptr, n);
    *path = str_make(target.ptr, until_any(target, "?#"));
}

static int part_add(http_parser *p, const char *s, uint32_t n)
{
    if (p->part_cap - p->part_len < n) {
        uint32_t cap = TP_MAX(p->part_cap, (uint32_t)FIRST_PART / 2);
        do
            cap = cap > UINT32_MAX / 2 ? UINT32_MAX : cap * 2;
        while (cap - p->part_len < n);
        cap = TP_MIN(cap, p->limits->head_bytes); /* the caller never adds more than that */
        char *bigger = arena_alloc(p->arena, cap);
        if (!bigger)
            return no_memory(p, cap);
        if (p->part_len)
            memcpy(bigger, p->part, p->part_len);
        p->part = bigger;
        p->part_cap = cap;
    }
    memcpy(p->part + p->part_len, s, n);
    p->part_len += n;
    return 0;
}

static int too_long(http_parser *p)
{
    if (p->method_len == 0)
        return http_refuse(p, 414, "the request line is longer than this server allows");
    return http_refuse(p, 431, "the head is longer than this server allows");
}

/* Takes bytes until the head ends: 1 with *raw (NULL: the head is in[0..p->seen)), 0, or -1. */
static int head_gather(http_parser *p, tp_str in, size_t *used)
{
    uint32_t max = p->limits->head_bytes;
    if (p->part_len == 0) {
        uint32_t n = (uint32_t)TP_MIN(in.len, (size_t)max);
        int rc = http_scan(p, in.ptr, n);
        if (rc != 0) {
            *used = p->seen;
            return rc;
        }
        *used = n;
        return n == max ? too_long(p) : part_add(p, in.ptr, n);
    }
    /* Line by line, so that nothing behind the head is copied. */
    while (*used < in.len) {
        const char *at = in.ptr + *used;
        size_t n = TP_MIN(in.len - *used, (size_t)(max - p->part_len));
        const char *lf = memchr(at, '\n', n);
        if (lf)
            n = (size_t)(lf - at) + 1;
        if (part_add(p, at, (uint32_t)n) != 0)
            return -1;
        *used += n;
        int rc = http_scan(p, p->part, p->part_len);
        if (rc != 0)
            return rc;
        if (p->part_len == max)
            return too_long(p);
    }
    return 0;
}

/* Room for the head, its headers and, unless it was gathered there already, its bytes: one piece.
 */
static int head_build(http_parser *p, const char *raw)
{
    size_t fixed = sizeof(http_head) + p->lines * sizeof(tp_header), len = p->seen;
    int gathered = p->part_len != 0;
    size_t want = fixed + (gathered ? 0 : len);
    char *mem = arena_alloc(p->arena, want);
    if (!mem)
        return no_memory(p, want);
    char *bytes = p->part;
    if (!gathered) {
        bytes = mem + fixed;
        memcpy(bytes, raw, len);
    }
    http_head *h = (http_head *)(void *)mem;
    memset(h, 0, sizeof(*h));
    return http_head_take(p, h, (tp_header *)(void *)(mem + sizeof(http_head)), bytes, len);
}

/* Empty lines before a request are passed over; robots and old clients send one after a body. */
static int skip_blank(http_parser *p, tp_str in, size_t *used)
{
    while (*used < in.len) {
        char c = in.ptr[*used];
        if (p->blank & 1) {
            if (c != '\n')
                return http_refuse(p, 400, "a CR must be followed by a LF");
        } else if (c != '\r' || p->blank == MAX_BLANK) {
            return 0;
        }
        p->blank++;
        ++*used;
    }
    return 0;
}

static int head_parse(http_parser *p, tp_str in, http_event *ev)
{
    for (;;) {
        tp_str rest = str_skip(in, ev->used);
        if (p->part_len == 0 && p->side == HTTP_REQUEST) {
            size_t blank = 0;
            if (skip_blank(p, rest, &blank) != 0)
                return HTTP_FAULT;
            ev->used += blank;
            rest = str_skip(rest, blank);
        }
        if (rest.len == 0)
            return HTTP_NEED_MORE;
        size_t used = 0;
        int rc = head_gather(p, rest, &used);
        ev->used += used;
        if (rc == 0)
            return HTTP_NEED_MORE;
        if (rc < 0 || head_build(p, rest.ptr) != 0) {
            keep_glimpse(p, rest);
            return HTTP_FAULT;
        }
        if (p->at != AT_HEAD)
            return HTTP_HEAD_DONE;
        if (++p->interim > MAX_INTERIM) {
            http_refuse(p, 502, "the upstream sent interim responses without end");
            return HTTP_FAULT;
        }
        head_restart(p);
    }
}

/* ---- The body. */

static int body_length(http_parser *p, tp_str in, http_event *ev)
{
    if (in.len == 0)
        return HTTP_NEED_MORE;
    size_t n = (uint64_t)in.len < p->left ? in.len : (size_t)p->left;
    p->left -= n;
    if (p->left == 0)
        p->at = AT_END;
    ev->used = n;
    ev->span = str_make(in.ptr, n);
    return HTTP_BODY;
}

/* Hands out a span, as far as the content stays within its limit; what follows is refused. */
static int body_span(http_parser *p, tp_str span, http_event *ev)
{
    uint64_t room = p->limits->body_bytes ? p->limits->body_bytes - p->taken : UINT64_MAX;
    if (span.len > room) {
        http_refuse(p, 413, "the body is larger than this server allows");
        span.len = (size_t)room;
        if (room == 0)
            return HTTP_FAULT;
    }
    p->taken += span.len;
    ev->span = span;
    return HTTP_BODY;
}

static int body_close(http_parser *p, tp_str in, http_event *ev)
{
    if (in.len == 0)
        return HTTP_NEED_MORE;
    ev->used = in.len;
    return body_span(p, in, ev);
}

/* Trailers, byte by byte, for there are hardly ever any. They are dropped, so that only their form
 * matters, and where they end: there llhttp takes a LF without CR, and we do not. */
enum { LINE, NAME, VALUE, LINE_CR, LAST_CR };

static int trailer_byte(http_parser *p, unsigned char c)
{
    switch (p->trailer) {
    case LINE:
        p->trailer = c == '\r' ? LAST_CR : NAME;
        return c == '\r' || http_token_lower[c] ? 0 : -1;
    case NAME:
        if (c == ':')
            p->trailer = VALUE;
        return c == ':' || http_token_lower[c] ? 0 : -1;
    case VALUE:
        if (c == '\r')
            p->trailer = LINE_CR;
        return c == '\r' || c == '\t' || (c >= 0x20 && c != 0x7f) ? 0 : -1;
    case LINE_CR:
        p->trailer = LINE;
        return c == '\n' ? 0 : -1;
    default:
        if (c == '\n')
            p->at = AT_DONE;
        return c == '\n' ? 0 : -1;
    }
}

static int body_trailers(http_parser *p, tp_str in, http_event *ev)
{
    while (ev->used < in.len && p->at == AT_TRAILERS) {
        if (p->framing++ == p->limits->head_bytes) {
            http_refuse(p, 431, "the trailers are longer than this server allows");
            return HTTP_FAULT;
        }
        if (trailer_byte(p, (unsigned char)in.ptr[ev->used]) != 0) {
            http_refuse(p, 400, "the trailers are malformed");
            return HTTP_FAULT;
        }
        ev->used++;
    }
    return p->at == AT_DONE ? HTTP_DONE : HTTP_NEED_MORE;
}

/* What frames the content is bounded as well: the size line of a chunk, with its extensions. */
static int framing_check(http_parser *p, size_t bytes)
{
    if (bytes > MAX_CHUNK_LINE || p->framing + bytes > MAX_CHUNK_LINE)
        return http_refuse(p, 400, "the size line of a chunk is too long");
    p->framing += (uint32_t)bytes;
    return 0;
}

/* llhttp takes bytes up to the next thing worth knowing: content, or the last chunk's size line.
 * Returns how many it took, or 0: refused. */
static size_t chunked_step(http_parser *p, tp_str in)
{
    size_t n = in.len;
    p->span = STR_NONE;
    llhttp_errno_t err = llhttp_execute(&p->ll, in.ptr, n);
    if (err == HPE_PAUSED) {
        n = (size_t)(llhttp_get_error_pos(&p->ll) - in.ptr);
        llhttp_resume(&p->ll);
    } else if (err != HPE_OK) {
        http_refuse(p, 400, "the chunked body is malformed");
        return 0;
    }
    return framing_check(p, n - p->span.len) == 0 ? n : 0;
}

static int body_chunked(http_parser *p, tp_str in, http_event *ev)
{
    while (ev->used < in.len) {
        size_t n = chunked_step(p, str_skip(in, ev->used));
        if (n == 0)
            return HTTP_FAULT;
        ev->used += n;
        if (p->span.len) {
            p->framing = 0;
            return body_span(p, p->span, ev);
        }
        if (p->last_chunk) {
            p->at = AT_TRAILERS;
            p->framing = 0;
            return body_trailers(p, in, ev);
        }
    }
    return HTTP_NEED_MORE;
}

int http_parse(http_parser *p, tp_str in, http_event *ev)
{
    int got;
    *ev = (http_event){0};
    switch (p->at) {
    case AT_HEAD:
        got = head_parse(p, in, ev);
        break;
    case AT_LENGTH:
        got = body_length(p, in, ev);
        break;
    case AT_CHUNKED:
        got = body_chunked(p, in, ev);
        break;
    case AT_TRAILERS:
        got = body_trailers(p, in, ev);
        break;
    case AT_CLOSE:
        got = body_close(p, in, ev);
        break;
    case AT_FAULT:
        got = HTTP_FAULT;
        break;
    default:
        p->at = AT_DONE;
        got = HTTP_DONE;
    }
    ev->head = p->head;
    if (got == HTTP_FAULT)
        ev->fault = p->fault;
    return got;
}

int http_parse_eof(http_parser *p, int *done)
{
    *done = 0;
    if (p->at == AT_CLOSE || p->at == AT_END) {
        p->at = AT_DONE;
        *done = 1;
        return 0;
    }
    return p->at == AT_DONE || (p->at == AT_HEAD && !http_parser_started(p)) ? 0 : -1;
}
