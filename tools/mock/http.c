/* Bytes to requests: just enough HTTP/1 for a test tool, and nothing that a peer can break. */
#include "mock.h"

#include <string.h>
#include <strings.h>

enum { CH_SIZE, CH_DATA, CH_DATA_END, CH_TRAILER };

void mock_parse_reset(struct mock_parse *p, const struct mock_behave *defaults)
{
    memset(p, 0, offsetof(struct mock_parse, behave));
    p->behave = *defaults;
}

static bool name_is(const char *p, size_t len, const char *want)
{
    return strlen(want) == len && strncasecmp(p, want, len) == 0;
}

static bool value_has(const char *p, size_t len, const char *word)
{
    size_t n = strlen(word);
    for (size_t i = 0; i + n <= len; i++) {
        if (strncasecmp(p + i, word, n) == 0)
            return true;
    }
    return false;
}

static bool ends_with(const char *p, size_t len, const char *tail)
{
    size_t n = strlen(tail);
    return len >= n && memcmp(p + len - n, tail, n) == 0;
}

static int parse_length(struct mock_parse *p, const char *v, size_t len)
{
    size_t n = 0;
    if (len == 0 || len > 15)
        return -400;
    for (size_t i = 0; i < len; i++) {
        if (v[i] < '0' || v[i] > '9')
            return -400;
        n = n * 10 + (size_t)(v[i] - '0');
    }
    if (p->has_length && p->content_length != n)
        return -400;
    p->has_length = true;
    p->content_length = n;
    return n > MOCK_BODY_MAX ? -413 : 0;
}

static int header(struct mock_parse *p, const char *line, size_t len)
{
    const char *colon = memchr(line, ':', len);
    if (!colon || colon == line)
        return -400;
    size_t name_len = (size_t)(colon - line);
    const char *v = colon + 1;
    size_t v_len = len - name_len - 1;
    while (v_len && (*v == ' ' || *v == '\t')) {
        v++;
        v_len--;
    }
    while (v_len && (v[v_len - 1] == ' ' || v[v_len - 1] == '\t'))
        v_len--;
    switch (line[0] | 32) {
    case 'c':
        if (name_is(line, name_len, "content-length"))
            return parse_length(p, v, v_len);
        if (name_is(line, name_len, "connection")) {
            if (value_has(v, v_len, "close"))
                p->keep_alive = false;
            else if (value_has(v, v_len, "keep-alive"))
                p->keep_alive = true;
        }
        break;
    case 't':
        if (name_is(line, name_len, "transfer-encoding")) {
            if (!name_is(v, v_len, "chunked"))
                return -501;
            p->chunked = true;
        }
        break;
    case 'e':
        if (name_is(line, name_len, "expect"))
            p->expect = value_has(v, v_len, "100-continue");
        break;
    case 'x':
        if (name_len > 7 && strncasecmp(line, "x-mock-", 7) == 0 &&
            mock_behave_set(&p->behave, line + 7, name_len - 7, v, v_len) < 0)
            return -400;
        break;
    default:
        break;
    }
    return 0;
}

static int request_line(struct mock_parse *p, const char *line, size_t len)
{
    const char *sp = memchr(line, ' ', len);
    if (!sp || sp == line)
        return -400;
    size_t method_len = (size_t)(sp - line);
    const char *path = sp + 1;
    const char *sp2 = memchr(path, ' ', len - method_len - 1);
    if (!sp2)
        return -400;
    size_t path_len = (size_t)(sp2 - path);
    const char *version = sp2 + 1;
    size_t version_len = len - method_len - path_len - 2;
    if (version_len != 8 || memcmp(version, "HTTP/1.", 7) != 0)
        return -400;
    p->http10 = version[7] == '0';
    p->keep_alive = !p->http10;
    const char *q = memchr(path, '?', path_len);
    if (q)
        path_len = (size_t)(q - path);

    bool post = method_len == 4 && memcmp(line, "POST", 4) == 0;
    bool get = method_len == 3 && memcmp(line, "GET", 3) == 0;
    p->is_head = method_len == 4 && memcmp(line, "HEAD", 4) == 0;
    get = get || p->is_head;
    p->target = MOCK_T_UNKNOWN;
    if (post && ends_with(path, path_len, "/chat/completions"))
        p->target = MOCK_T_CHAT;
    else if (get && path_len == 1)
        p->target = MOCK_T_ROOT;
    else if (get && name_is(path, path_len, "/mock/stats"))
        p->target = MOCK_T_STATS;
    else if (get && name_is(path, path_len, "/mock/last"))
        p->target = MOCK_T_LAST;
    else if (get && name_is(path, path_len, "/mock/last-head"))
        p->target = MOCK_T_LAST_HEAD;
    else if ((get || post) && name_is(path, path_len, "/mock/reset"))
        p->target = MOCK_T_RESET;
    else if (get && ends_with(path, path_len, "/models"))
        p->target = MOCK_T_MODELS;
    return 0;
}

static int parse_head(struct mock_parse *p, const char *buf, size_t head_len)
{
    const char *line = buf;
    const char *end = buf + head_len - 2; /* at the empty line */
    bool first = true;
    while (line < end) {
        const char *nl = memchr(line, '\n', (size_t)(end - line));
        if (!nl || nl == line || nl[-1] != '\r')
            return -400;
        size_t len = (size_t)(nl - line) - 1;
        int rc = first ? request_line(p, line, len) : header(p, line, len);
        if (rc < 0)
            return rc;
        first = false;
        line = nl + 1;
    }
    if (first || (p->chunked && p->has_length))
        return -400;
    return 0;
}

/* The line at pos, without its CRLF; -1 when not complete, -2 when not a line. */
static int64_t chunk_line(const char *buf, size_t len, size_t pos)
{
    const char *nl = memchr(buf + pos, '\n', len - pos);
    if (!nl)
        return len - pos > 1024 ? -2 : -1;
    if (nl == buf + pos || nl[-1] != '\r')
        return -2;
    return nl - 1 - (buf + pos);
}

static int chunk_size(const char *p, size_t len, size_t *out)
{
    size_t n = 0;
    size_t i = 0;
    for (; i < len && p[i] != ';'; i++) {
        char c = p[i];
        unsigned d;
        if (c >= '0' && c <= '9')
            d = (unsigned)(c - '0');
        else if ((c | 32) >= 'a' && (c | 32) <= 'f')
            d = (unsigned)((c | 32) - 'a' + 10);
        else
            return -1;
        n = n * 16 + d;
        if (n > MOCK_BODY_MAX)
            return -2;
    }
    *out = n;
    return i == 0 ? -1 : 0;
}

static int feed_chunked(struct mock_parse *p, char *buf, size_t *len, size_t *used)
{
    int rc = 0;
    for (;;) {
        if (p->chunk_state == CH_DATA) {
            size_t n = *len - p->scan;
            if (n > p->chunk_left)
                n = p->chunk_left;
            memmove(buf + p->head_len + p->body_len, buf + p->scan, n);
            p->body_len += n;
            p->scan += n;
            p->chunk_left -= n;
            if (p->chunk_left)
                break;
            p->chunk_state = CH_DATA_END;
        }
        int64_t line = chunk_line(buf, *len, p->scan);
        if (line == -2)
            return -400;
        if (line < 0)
            break;
        size_t text = p->scan;
        p->scan += (size_t)line + 2;
        if (p->chunk_state == CH_DATA_END) {
            if (line != 0)
                return -400;
            p->chunk_state = CH_SIZE;
        } else if (p->chunk_state == CH_TRAILER) {
            if (line == 0) {
                *used = p->scan;
                return 1;
            }
        } else {
            int bad = chunk_size(buf + text, (size_t)line, &p->chunk_left);
            if (bad)
                return bad == -2 ? -413 : -400;
            if (p->body_len + p->chunk_left > MOCK_BODY_MAX)
                return -413;
            p->chunk_state = p->chunk_left ? CH_DATA : CH_TRAILER;
        }
    }
    /* Close the gap that decoding left, so that small chunks cannot make the buffer grow. */
    size_t body_end = p->head_len + p->body_len;
    if (p->scan - body_end > 4096) {
        memmove(buf + body_end, buf + p->scan, *len - p->scan);
        *len -= p->scan - body_end;
        p->scan = body_end;
    }
    return rc;
}

int mock_parse_feed(struct mock_parse *p, char *buf, size_t *len, size_t *used)
{
    if (!p->head_len) {
        if (p->scan == 0 && *len && buf[0] < 'A')
            return -400;
        const char *end = memmem(buf + p->scan, *len - p->scan, "\r\n\r\n", 4);
        if (!end) {
            if (*len > MOCK_HEAD_MAX)
                return -431;
            p->scan = *len > 3 ? *len - 3 : 0;
            return 0;
        }
        size_t head_len = (size_t)(end - buf) + 4;
        if (head_len > MOCK_HEAD_MAX)
            return -431;
        int rc = parse_head(p, buf, head_len);
        if (rc < 0)
            return rc;
        p->head_len = p->scan = head_len;
    }
    if (p->chunked)
        return feed_chunked(p, buf, len, used);
    size_t have = *len - p->head_len;
    if (have < p->content_length)
        return 0;
    p->body_len = p->content_length;
    *used = p->head_len + p->content_length;
    return 1;
}

size_t mock_parse_need(const struct mock_parse *p)
{
    return p->head_len && !p->chunked ? p->head_len + p->content_length : 0;
}
