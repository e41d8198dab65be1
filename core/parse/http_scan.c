#include <string.h>

#include "parse/http_int.h"

int http_refuse(http_parser *p, int status, const char *why)
{
    p->fault.status = p->side == HTTP_RESPONSE ? 502 : status;
    p->fault.why = why;
    p->at = AT_FAULT;
    return -1;
}

int http_has_control(tp_str s)
{
    unsigned bad = 0;
    for (size_t i = 0; i < s.len; i++) {
        unsigned char c = (unsigned char)s.ptr[i];
        bad |= (unsigned)(c < 0x20 && c != '\t') | (unsigned)(c == 0x7f);
    }
    return bad != 0;
}

int http_target_clean(tp_str s)
{
    uint64_t bad = 0;
    for (size_t i = 0; i < s.len; i += 8) {
        uint64_t v = str_part(s, i), low = v & ~STR_HIGHS;
        bad |= v | ~(low + STR_ONES * (0x80 - 0x21)) | (low + STR_ONES) |
               str_zero_bytes(v ^ STR_ONES * '#');
    }
    return (bad & STR_HIGHS) == 0;
}

static int is_digit(char c)
{
    return c >= '0' && c <= '9';
}

/* The first byte of a line says enough to refuse a fold, a nameless header, or a peer that speaks
 * another protocol (a TLS greeting on a plain port), without waiting for more. */
static int line_begins(http_parser *p, char c)
{
    if (p->line == 0) {
        if (p->side == HTTP_RESPONSE && c != 'H')
            return http_refuse(p, 502, "the status line must begin with HTTP/");
        if (!http_token_lower[(unsigned char)c])
            return http_refuse(p, 400,
                               "the request must begin with a method; is this port meant "
                               "for plain HTTP/1.1?");
        return 0;
    }
    if (c == ' ' || c == '\t')
        return http_refuse(p, 400,
                           "a header line must not begin with white space (obsolete line "
                           "folding)");
    if (c == ':')
        return http_refuse(p, 400, "a header line must begin with a name");
    return 0;
}

static int version_check(http_parser *p, const char *v) /* "HTTP/d.d", 8 bytes */
{
    if (memcmp(v, "HTTP/", 5) != 0 || !is_digit(v[5]) || v[6] != '.' || !is_digit(v[7]))
        return http_refuse(p, 400, "the first line must name the version HTTP/1.1");
    if (v[5] != '1' || v[7] > '1')
        return http_refuse(p, 505, "only HTTP/1.1 and HTTP/1.0 are spoken here");
    return 0;
}

static int request_line(http_parser *p, const char *s, uint32_t n)
{
    const char *sp = memchr(s, ' ', n);
    if (!sp)
        return http_refuse(p, 400, "the request line must be: method, target, HTTP/1.1");
    p->method_len = (uint32_t)(sp - s);
    uint32_t rest = n - p->method_len - 1; /* target, space, version */
    if (rest < 10 || s[n - 9] != ' ')
        return http_refuse(p, 400, "the request line must be: method, target, HTTP/1.1");
    if (version_check(p, s + n - 8) != 0)
        return -1;
    p->target_len = rest - 9;
    if (p->target_len > p->limits->target_bytes)
        return http_refuse(p, 414, "the request target is longer than this server allows");
    return 0;
}

static int status_line(http_parser *p, const char *s, uint32_t n)
{
    if (n < 12 || s[8] != ' ')
        return http_refuse(p, 502, "the status line must be: HTTP/1.1, a status, a reason");
    if (version_check(p, s) != 0)
        return -1;
    if (!is_digit(s[9]) || !is_digit(s[10]) || !is_digit(s[11]) || s[9] == '0' ||
        (n > 12 && s[12] != ' '))
        return http_refuse(p, 502, "the status must be a number of three digits");
    if (http_has_control(str_make(s + 12, n - 12)))
        return http_refuse(p, 502, "the reason phrase holds a control character");
    p->method_len = 8;
    return 0;
}

int http_scan(http_parser *p, const char *base, uint32_t len)
{
    while (p->seen < len) {
        if (p->seen == p->line && line_begins(p, base[p->line]) != 0)
            return -1;
        const char *lf = memchr(base + p->seen, '\n', len - p->seen);
        if (!lf) {
            p->seen = len;
            return 0;
        }
        uint32_t end = (uint32_t)(lf - base), start = p->line;
        p->seen = p->line = end + 1;
        if (end == start || lf[-1] != '\r')
            return http_refuse(p, 400, "lines of a head must end with CR LF, not with LF alone");
        uint32_t n = end - 1 - start;
        if (n && base[start] == '\r') /* CR CR LF: is this the end of the head? To some it is */
            return http_refuse(p, 400, "a CR must be followed by a LF");
        if (p->method_len == 0) {
            if ((p->side == HTTP_REQUEST ? request_line : status_line)(p, base, n) != 0)
                return -1;
        } else if (n == 0) {
            return 1;
        } else if (++p->lines > p->limits->header_count) {
            return http_refuse(p, 431, "the head has more header lines than this server allows");
        }
    }
    return 0;
}
