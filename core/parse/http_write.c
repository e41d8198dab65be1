#include <string.h>

#include "parse/http_int.h"

const char *http_reason(int status)
{
    switch (status) {
#define R(code, text)                                                                              \
    case code:                                                                                     \
        return text
        R(100, "Continue");
        R(101, "Switching Protocols");
        R(103, "Early Hints");
        R(200, "OK");
        R(201, "Created");
        R(202, "Accepted");
        R(203, "Non-Authoritative Information");
        R(204, "No Content");
        R(205, "Reset Content");
        R(206, "Partial Content");
        R(300, "Multiple Choices");
        R(301, "Moved Permanently");
        R(302, "Found");
        R(303, "See Other");
        R(304, "Not Modified");
        R(307, "Temporary Redirect");
        R(308, "Permanent Redirect");
        R(400, "Bad Request");
        R(401, "Unauthorized");
        R(402, "Payment Required");
        R(403, "Forbidden");
        R(404, "Not Found");
        R(405, "Method Not Allowed");
        R(406, "Not Acceptable");
        R(407, "Proxy Authentication Required");
        R(408, "Request Timeout");
        R(409, "Conflict");
        R(410, "Gone");
        R(411, "Length Required");
        R(412, "Precondition Failed");
        R(413, "Content Too Large");
        R(414, "URI Too Long");
        R(415, "Unsupported Media Type");
        R(416, "Range Not Satisfiable");
        R(417, "Expectation Failed");
        R(421, "Misdirected Request");
        R(422, "Unprocessable Content");
        R(423, "Locked");
        R(424, "Failed Dependency");
        R(425, "Too Early");
        R(426, "Upgrade Required");
        R(428, "Precondition Required");
        R(429, "Too Many Requests");
        R(431, "Request Header Fields Too Large");
        R(451, "Unavailable For Legal Reasons");
        R(500, "Internal Server Error");
        R(501, "Not Implemented");
        R(502, "Bad Gateway");
        R(503, "Service Unavailable");
        R(504, "Gateway Timeout");
        R(505, "HTTP Version Not Supported");
        R(507, "Insufficient Storage");
        R(511, "Network Authentication Required");
#undef R
    default:
        return "Unknown";
    }
}

int http_write_status(buf *b, int status)
{
    TP_MUST(status >= 100 && status <= 999);
    const char *reason = http_reason(status);
    size_t n = strlen(reason);
    int rc = buf_reserve(b, 13 + n + 2);
    if (rc != 0)
        return rc;
    char *at = b->ptr + b->len;
    memcpy(at, "HTTP/1.1 ", 9);
    at[9] = (char)('0' + status / 100);
    at[10] = (char)('0' + status / 10 % 10);
    at[11] = (char)('0' + status % 10);
    at[12] = ' ';
    memcpy(at + 13, reason, n);
    memcpy(at + 13 + n, "\r\n", 2);
    b->len += 15 + n;
    return 0;
}

static int has_line_end(tp_str s)
{
    for (size_t i = 0; i < s.len; i++)
        if (s.ptr[i] == '\n' || s.ptr[i] == '\r' || s.ptr[i] == '\0')
            return 1;
    return 0;
}

static char *put(char *at, tp_str s)
{
    if (s.len <= 64)
        str_copy(at, s.ptr, s.len);
    else
        memcpy(at, s.ptr, s.len);
    return at + s.len;
}

int http_write_header(buf *b, tp_str name, tp_str value)
{
    if (!str_is_token(name))
        return -1;
    if (str_has_control(value) && has_line_end(value))
        return -1;
    if (value.len > SIZE_MAX / 2 || name.len > SIZE_MAX / 4)
        return TP_ERROR_LIMIT;
    size_t n = name.len + value.len + 4;
    int rc = b->cap - b->len >= n ? 0 : buf_reserve(b, n);
    if (rc != 0)
        return rc;
    char *at = put(b->ptr + b->len, name);
    memcpy(at, ": ", 2);
    at = put(at + 2, value);
    memcpy(at, "\r\n", 2);
    b->len += n;
    return 0;
}

int http_is_hop_by_hop(tp_str n)
{
    switch (n.len) {
    case 2:
        return str_eq(n, STR("te"));
    case 7:
        return str_eq(n, STR("upgrade")) || str_eq(n, STR("trailer"));
    case 10:
        return str_eq(n, STR("connection")) || str_eq(n, STR("keep-alive"));
    case 16:
        return str_eq(n, STR("proxy-connection"));
    case 17:
        return str_eq(n, STR("transfer-encoding"));
    case 18:
        return str_eq(n, STR("proxy-authenticate"));
    case 19:
        return str_eq(n, STR("proxy-authorization"));
    default:
        return 0;
    }
}

size_t http_chunk_head(char out[20], size_t n)
{
    size_t digits = 1;
    for (size_t m = n >> 4; m; m >>= 4)
        digits++;
    for (size_t i = digits; i-- > 0; n >>= 4)
        out[i] = "0123456789abcdef"[n & 15];
    out[digits] = '\r';
    out[digits + 1] = '\n';
    return digits + 2;
}

static void two(char *out, int64_t v)
{
    out[0] = (char)('0' + v / 10);
    out[1] = (char)('0' + v % 10);
}

void http_date(char out[30], int64_t unix_ms)
{
    static const char days[] = "ThuFriSatSunMonTueWed", /* the first of 1970 was a Thursday */
        months[] = "JanFebMarAprMayJunJulAugSepOctNovDec";
    int64_t s = TP_MAX(unix_ms, 0) / 1000;
    s = TP_MIN(s, INT64_C(253402300799)); /* the end of 9999 */
    int64_t day = s / 86400, t = s % 86400;
    /* Days to a date in years that begin with March, so that the leap day is the last one. */
    int64_t z = day + 719468, era = z / 146097, doe = z % 146097;
    int64_t yoe = (doe - doe / 1460 + doe / 36524 - doe / 146096) / 365;
    int64_t doy = doe - (365 * yoe + yoe / 4 - yoe / 100), mp = (5 * doy + 2) / 153;
    int64_t d = doy - (153 * mp + 2) / 5 + 1, m = mp < 10 ? mp + 2 : mp - 10; /* m: 0 is January */
    int64_t y = yoe + era * 400 + (m < 2);
    memcpy(out, "Thu, 00 Jan 0000 00:00:00 GMT", 30);
    memcpy(out, &days[3 * (day % 7)], 3);
    two(out + 5, d);
    memcpy(out + 8, &months[3 * m], 3);
    two(out + 12, y / 100);
    two(out + 14, y % 100);
    two(out + 17, t / 3600);
    two(out + 20, t / 60 % 60);
    two(out + 23, t % 60);
}
