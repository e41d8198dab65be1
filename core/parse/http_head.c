#include <string.h>

#include "parse/http_int.h"

#define T10(c) c, c + 1, c + 2, c + 3, c + 4, c + 5, c + 6, c + 7, c + 8, c + 9
const unsigned char http_token_lower[256] = {['!'] = '!',
                                             ['#'] = '#',
                                             ['$'] = '$',
                                             ['%'] = '%',
                                             ['&'] = '&',
                                             ['\''] = '\'',
                                             ['*'] = '*',
                                             ['+'] = '+',
                                             ['-'] = '-',
                                             ['.'] = '.',
                                             ['^'] = '^',
                                             ['_'] = '_',
                                             ['`'] = '`',
                                             ['|'] = '|',
                                             ['~'] = '~',
                                             ['0'] = T10('0'),
                                             ['a'] = T10('a'),
                                             T10('k'),
                                             'u',
                                             'v',
                                             'w',
                                             'x',
                                             'y',
                                             'z',
                                             ['A'] = T10('a'),
                                             T10('k'),
                                             'u',
                                             'v',
                                             'w',
                                             'x',
                                             'y',
                                             'z'};
#undef T10

/* ---- Which header is it? By length, then one comparison. */

#define IS(kind, lit) (memcmp(n, lit, sizeof(lit) - 1) == 0 ? (kind) : HTTP_H_OTHER)
static int header_kind(const char *n, size_t len)
{
    switch (len) {
    case 2:
        return IS(HTTP_H_TE, "te");
    case 4:
        return IS(HTTP_H_HOST, "host");
    case 6:
        return IS(HTTP_H_EXPECT, "expect");
    case 7:
        return IS(HTTP_H_UPGRADE, "upgrade");
    case 10:
        return n[0] == 'c' ? IS(HTTP_H_CONNECTION, "connection")
                           : IS(HTTP_H_KEEP_ALIVE, "keep-alive");
    case 11:
        return IS(HTTP_H_RETRY_AFTER, "retry-after");
    case 12:
        return n[0] == 'c' ? IS(HTTP_H_CONTENT_TYPE, "content-type")
                           : IS(HTTP_H_REQUEST_ID, "x-request-id");
    case 13:
        return IS(HTTP_H_AUTHORIZATION, "authorization");
    case 14:
        return IS(HTTP_H_CONTENT_LENGTH, "content-length");
    case 16:
        return IS(HTTP_H_CONTENT_ENCODING, "content-encoding");
    case 17:
        return IS(HTTP_H_TRANSFER_ENCODING, "transfer-encoding");
    default:
        return HTTP_H_OTHER;
    }
}
#undef IS

tp_str http_header(const http_head *h, tp_str lower_name)
{
    int kind = header_kind(lower_name.ptr, lower_name.len);
    if (kind != HTTP_H_OTHER)
        return h->known[kind];
    for (uint32_t i = 0; i < h->header_count; i++)
        if (str_eq(h->headers[i].name, lower_name))
            return h->headers[i].value;
    return STR_NONE;
}

/* ---- llhttp's callbacks. It sees whole heads, and chunks up to the last one's size line. */

static http_parser *parser_of(llhttp_t *ll)
{
    return TP_CONTAINER(ll, http_parser, ll);
}

static int on_field(llhttp_t *ll, const char *at, size_t n)
{
    http_parser *p = parser_of(ll);
    http_head *h = p->head;
    if (h->header_count == p->lines)
        return HPE_USER;
    char *name = (char *)(uintptr_t)at; /* in our own copy of the head */
    for (size_t i = 0; i < n; i++) {
        unsigned char c = http_token_lower[(unsigned char)at[i]];
        if (!c)
            return HPE_USER;
        name[i] = (char)c;
    }
    h->headers[h->header_count++] = (tp_header){{at, n}, {at + n, 0}};
    return 0;
}

static int on_value(llhttp_t *ll, const char *at, size_t n)
{
    http_parser *p = parser_of(ll);
    http_head *h = p->head;
    if (h->header_count == 0 || h->headers[h->header_count - 1].value.len != 0)
        return HPE_USER;
    h->headers[h->header_count - 1].value = str_trim(str_make(at, n));
    return 0;
}

static int on_head_complete(llhttp_t *ll)
{
    (void)ll;
    return HPE_PAUSED; /* what follows is ours to judge: no protocol is ever switched */
}

static int on_chunk(llhttp_t *ll)
{
    if (ll->content_length != 0)
        return 0;
    parser_of(ll)->last_chunk = 1;
    return HPE_PAUSED;
}

static int on_body(llhttp_t *ll, const char *at, size_t n)
{
    parser_of(ll)->span = str_make(at, n);
    return n ? HPE_PAUSED : 0;
}

static const llhttp_settings_t settings = {.on_header_field = on_field,
                                           .on_header_value = on_value,
                                           .on_headers_complete = on_head_complete,
                                           .on_chunk_header = on_chunk,
                                           .on_body = on_body};

static int head_error(http_parser *p, llhttp_errno_t err)
{
    switch ((int)err) {
    case HPE_INVALID_METHOD:
        return http_refuse(p, 501, "this method is not known here");
    case HPE_INVALID_CONTENT_LENGTH:
    case HPE_UNEXPECTED_CONTENT_LENGTH:
        return http_refuse(p, 400,
                           "content-length must be one number of bytes, and must not stand "
                           "beside transfer-encoding");
    case HPE_INVALID_TRANSFER_ENCODING:
        return http_refuse(p, 501, "of transfer codings only chunked is understood");
    case HPE_INVALID_VERSION:
        return http_refuse(p, 505, "only HTTP/1.1 and HTTP/1.0 are spoken here");
    default:
        return http_refuse(p, 400,
                           "the head is malformed: a header line must be a name, a colon "
                           "and a value without control characters");
    }
}

/* ---- What is said about the message. */

/* Host and authority: a registered name or address, perhaps a port; no user, no path, no list. Of
 * what RFC 3986 allows in a name only the comma is missing, for that is what a list looks like. */
static int host_valid(tp_str s)
{
    for (size_t i = 0; i < s.len; i++) {
        unsigned char c = (unsigned char)s.ptr[i];
        if (http_token_lower[c]
                ? c == '#' || c == '^' || c == '`' || c == '|'
                : c != ':' && c != '[' && c != ']' && c != '(' && c != ')' && c != ';' && c != '=')
            return 0;
    }
    return 1;
}

/* Has the list (RFC 9110 5.6.1) this member? */
static int list_has(tp_str list, tp_str member)
{
    while (list.len) {
        size_t n = str_find(list, ',');
        if (str_ieq(str_trim(str_make(list.ptr, n)), member))
            return 1;
        list = str_skip(list, n + 1);
    }
    return 0;
}

typedef struct said { /* what header lines said, beyond http_head */
    uint8_t close, keep, te_unknown;
} said;

static int judge_header(http_parser *p, http_head *h, said *s, int kind, tp_str v)
{
    int again = h->known[kind].ptr != NULL;
    switch (kind) {
    case HTTP_H_HOST:
        if (p->side == HTTP_RESPONSE)
            break;
        if (again)
            return http_refuse(p, 400, "host must not come twice");
        if (!host_valid(v))
            return http_refuse(p, 400, "host must be a name or address, perhaps with a port");
        break;
    case HTTP_H_AUTHORIZATION:
        if (again && p->side == HTTP_REQUEST)
            return http_refuse(p, 400, "authorization must not come twice");
        break;
    case HTTP_H_CONTENT_LENGTH:
        if (again || str_to_i64(v, &h->content_length) != 0)
            return http_refuse(p, 400, "content-length must be one decimal number of bytes");
        break;
    case HTTP_H_TRANSFER_ENCODING:
        if (!again && str_ieq(v, STR("chunked")))
            h->chunked = 1;
        else /* several lines are one list, and a list is more than chunked alone */
            s->te_unknown = 1;
        break;
    case HTTP_H_CONNECTION:
        s->close |= (uint8_t)list_has(v, STR("close"));
        s->keep |= (uint8_t)list_has(v, STR("keep-alive"));
        break;
    case HTTP_H_EXPECT:
        if (p->side == HTTP_RESPONSE || h->minor == 0) /* RFC 9110 10.1.1: ignored in HTTP/1.0 */
            break;
        if (str_ieq(v, STR("100-continue")))
            h->expect_continue |= 1;
        else
            h->expect_continue |= 2;
        break;
    default:
        break;
    }
    if (!again)
        h->known[kind] = v;
    return 0;
}

static int judge_headers(http_parser *p, http_head *h, said *s)
{
    for (uint32_t i = 0; i < h->header_count; i++) {
        int kind = header_kind(h->headers[i].name.ptr, h->headers[i].name.len);
        if (kind != HTTP_H_OTHER && judge_header(p, h, s, kind, h->headers[i].value) != 0)
            return -1;
    }
    if (h->known[HTTP_H_TRANSFER_ENCODING].ptr) {
        if (h->content_length >= 0)
            return http_refuse(p, 400, "content-length must not stand beside transfer-encoding");
        if (h->minor == 0)
            return http_refuse(p, 400, "HTTP/1.0 has no transfer-encoding");
        if (s->te_unknown)
            return http_refuse(p, 501, "of transfer codings only chunked is understood, alone");
        if (!(p->ll.flags & F_CHUNKED)) /* llhttp and we must never differ on where a body ends */
            return http_refuse(p, 400, "transfer-encoding is malformed");
    }
    h->keep_alive = !s->close && (h->minor == 1 || s->keep);
    return 0;
}

/* ---- The target. */

static int method_of(const http_parser *p)
{
    switch (p->ll.method) {
    case LLHTTP_GET:
        return HTTP_GET;
    case LLHTTP_HEAD:
        return HTTP_HEAD;
    case LLHTTP_POST:
        return HTTP_POST;
    case LLHTTP_PUT:
        return HTTP_PUT;
    case LLHTTP_PATCH:
        return HTTP_PATCH;
    case LLHTTP_DELETE:
        return HTTP_DELETE;
    case LLHTTP_OPTIONS:
        return HTTP_OPTIONS;
    default:
        return HTTP_OTHER;
    }
}

static tp_str without_port(tp_str authority, tp_str port)
{
    if (str_ends(authority, port))
        authority.len -= port.len;
    return authority;
}

/* scheme://authority/path?query: *rest becomes what begins with the path. */
static int absolute_form(http_parser *p, const http_head *h, tp_str *rest)
{
    size_t scheme = 0;
    if (rest->len > 7 && str_ieq(str_make(rest->ptr, 7), STR("http://")))
        scheme = 7;
    else if (rest->len > 8 && str_ieq(str_make(rest->ptr, 8), STR("https://")))
        scheme = 8;
    if (!scheme)
        return http_refuse(p, 400, "the target must be a path that begins with /");
    tp_str r = str_skip(*rest, scheme);
    size_t n = 0;
    while (n < r.len && r.ptr[n] != '/' && r.ptr[n] != '?')
        n++;
    tp_str authority = str_make(r.ptr, n), host = h->known[HTTP_H_HOST];
    tp_str port = scheme == 7 ? STR(":80") : STR(":443");
    if (n == 0 || !host_valid(authority))
        return http_refuse(p, 400, "the target's authority must be a name or address");
    if (host.ptr && !str_ieq(without_port(authority, port), without_port(host, port)))
        return http_refuse(p, 400, "the target's authority and host must be the same");
    *rest = str_skip(r, n);
    return 0;
}

static int take_target(http_parser *p, http_head *h)
{
    tp_str rest = h->target;
    if (!http_target_clean(rest))
        return http_refuse(p, 400, "the target holds a byte that must be percent-encoded");
    if (p->ll.method == HTTP_CONNECT)
        return http_refuse(p, 405, "this is no proxy: CONNECT is not served");
    if (rest.ptr[0] == '*') {
        if (rest.len != 1 || h->method != HTTP_OPTIONS)
            return http_refuse(p, 400, "the target * is for OPTIONS only");
    } else if (rest.ptr[0] != '/' && absolute_form(p, h, &rest) != 0) {
        return -1;
    }
    size_t n = str_find(rest, '?');
    h->path = n ? str_make(rest.ptr, n) : STR("/");
    h->query = n < rest.len ? str_skip(rest, n + 1) : STR_NONE;
    return 0;
}

/* ---- Where the body ends. */

static int length_check(http_parser *p, const http_head *h)
{
    uint64_t max = p->limits->body_bytes;
    if (max && h->content_length > 0 && (uint64_t)h->content_length > max)
        return http_refuse(p, 413, "the body is larger than this server allows");
    return 0;
}

static void body_begins(http_parser *p, const http_head *h, int until_close)
{
    if (h->chunked) {
        p->at = AT_CHUNKED;
        llhttp_resume(&p->ll);
    } else if (h->content_length > 0) {
        p->at = AT_LENGTH;
        p->left = (uint64_t)h->content_length;
    } else {
        p->at = until_close && h->content_length < 0 ? AT_CLOSE : AT_END;
    }
}

static int take_request(http_parser *p, http_head *h)
{
    said s = {0};
    h->method = method_of(p);
    if (judge_headers(p, h, &s) != 0)
        return -1;
    if (h->minor == 1 && !h->known[HTTP_H_HOST].ptr)
        return http_refuse(p, 400, "HTTP/1.1 needs the header host");
    if (take_target(p, h) != 0)
        return -1;
    p->head = h; /* from here on the caller can answer in the manner of the path */
    if (h->expect_continue > 1) {
        h->expect_continue = 0;
        return http_refuse(p, 417, "of expectations only 100-continue is met");
    }
    if (length_check(p, h) != 0)
        return -1;
    if (!h->chunked && h->content_length <= 0)
        h->expect_continue = 0; /* there is nothing to wait for */
    body_begins(p, h, 0);
    return 0;
}

static int take_response(http_parser *p, http_head *h)
{
    said s = {0};
    h->status = p->ll.status_code;
    if (h->status == 101)
        return http_refuse(p, 502, "the upstream switched protocols although nobody asked");
    if (judge_headers(p, h, &s) != 0)
        return -1;
    if (h->status < 200)
        return 0; /* interim: http_parse.c goes on with the next head */
    p->head = h;
    if (p->no_body || h->status == 204 || h->status == 304) {
        if (h->status == 204 && (h->chunked || h->content_length > 0))
            h->keep_alive = 0; /* it says that there is a body where none can be: do not guess */
        p->at = AT_END;
        return 0;
    }
    if (length_check(p, h) != 0)
        return -1;
    if (!h->chunked && h->content_length < 0)
        h->keep_alive = 0;
    body_begins(p, h, 1);
    return 0;
}

int http_head_llhttp(http_parser *p, http_head *h, char *raw, size_t len)
{
    llhttp_init(&p->ll, p->side == HTTP_REQUEST ? LLHTTP_REQUEST : LLHTTP_RESPONSE, &settings);
    h->header_count = 0;
    p->head = h; /* for the callbacks */
    llhttp_errno_t err = llhttp_execute(&p->ll, raw, len);
    p->head = NULL;
    if (err != HPE_PAUSED)
        return head_error(p, err);
    if (llhttp_get_error_pos(&p->ll) != raw + len || h->header_count != p->lines)
        return head_error(p, HPE_STRICT);
    return 0;
}

int http_head_judge(http_parser *p, http_head *h, const char *raw)
{
    h->minor = p->ll.http_minor;
    if (p->side == HTTP_RESPONSE)
        return take_response(p, h);
    h->method_text = str_make(raw, p->method_len);
    h->target = str_make(raw + p->method_len + 1, p->target_len);
    return take_request(p, h);
}

int http_head_take(http_parser *p, http_head *h, tp_header *headers, char *raw, size_t len)
{
    h->headers = headers;
    h->content_length = -1;
    if (!http_head_plain(p, h, raw, len) && http_head_llhttp(p, h, raw, len) != 0)
        return -1;
    return http_head_judge(p, h, raw);
}
