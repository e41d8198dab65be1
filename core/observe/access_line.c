/* One line of the access log. On the path of every request: formatted by hand, under a microsecond.
 */
#include "base/str.h"
#include "observe/access_int.h"

/* Longest part of a name or path that is logged; what is cut ends in U+FFFD when a character was.
 */
#define FIELD_MAX 512u

static tp_str field(tp_str s)
{
    return str_make(s.ptr, TP_MIN(s.len, FIELD_MAX));
}

#define LIT(p, text) (memcpy((p), "" text, sizeof(text) - 1), (p) + sizeof(text) - 1)

static char *put_u64(char *p, uint64_t v)
{
    char tmp[20];
    size_t n = sizeof(tmp);
    do {
        tmp[--n] = (char)('0' + v % 10);
        v /= 10;
    } while (v);
    memcpy(p, tmp + n, sizeof(tmp) - n);
    return p + (sizeof(tmp) - n);
}

static char *put_i64(char *p, int64_t v)
{
    if (v < 0) {
        *p++ = '-';
        return put_u64(p, 0 - (uint64_t)v);
    }
    return put_u64(p, (uint64_t)v);
}

/* Microseconds as milliseconds: 12.345 */
static char *put_ms(char *p, int64_t us)
{
    us = TP_MAX(us, 0);
    p = put_u64(p, (uint64_t)us / 1000);
    unsigned part = (unsigned)(us % 1000);
    *p++ = '.';
    *p++ = (char)('0' + part / 100);
    *p++ = (char)('0' + part / 10 % 10);
    *p++ = (char)('0' + part % 10);
    return p;
}

/* Length of the UTF-8 character at p, or 0. */
static size_t character(const unsigned char *p, size_t left)
{
    unsigned c = p[0];
    size_t n = c < 0x80 ? 1 : c < 0xc2 ? 0 : c < 0xe0 ? 2 : c < 0xf0 ? 3 : c < 0xf5 ? 4 : 0;
    if (n == 0 || n > left)
        return 0;
    for (size_t i = 1; i < n; i++)
        if ((p[i] & 0xc0) != 0x80)
            return 0;
    if ((c == 0xe0 && p[1] < 0xa0) || (c == 0xed && p[1] > 0x9f) || (c == 0xf0 && p[1] < 0x90) ||
        (c == 0xf4 && p[1] > 0x8f))
        return 0;
    return n;
}

static char *put_escaped(char *p, const unsigned char *s, size_t len)
{
    static const char hex[] = "0123456789abcdef";
    for (size_t i = 0; i < len;) {
        unsigned char c = s[i];
        if (c == '"' || c == '\\') {
            *p++ = '\\';
            *p++ = (char)c;
            i++;
        } else if (c < 0x20 || c == 0x7f) {
            p = LIT(p, "\\u00");
            *p++ = hex[c >> 4];
            *p++ = hex[c & 15];
            i++;
        } else {
            size_t n = character(s + i, len - i);
            if (n == 0) {
                p = LIT(p, "\xef\xbf\xbd");
                i++;
            } else {
                memcpy(p, s + i, n);
                p += n;
                i += n;
            }
        }
    }
    return p;
}

/* Printable ASCII without quotes and backslashes? */
static int is_plain(tp_str s)
{
    for (size_t i = 0; i < s.len; i += 8) {
        uint64_t v = str_part(s, i);
        if (!str_json_plain(v) || str_zero_bytes(v ^ STR_ONES * 0x7f))
            return 0;
    }
    return 1;
}

/* s quoted; absent: null. */
static char *put_string(char *p, tp_str s)
{
    s = field(s);
    if (!s.len)
        return LIT(p, "null");
    *p++ = '"';
    if (is_plain(s)) {
        str_copy(p, s.ptr, s.len);
        p += s.len;
    } else {
        p = put_escaped(p, (const unsigned char *)s.ptr, s.len);
    }
    *p++ = '"';
    return p;
}

/* ---- Keys where none belong: people put one in the place of its id, or of a model's name. */
#define SECRET_LEAST 40u /* characters of a run that may be a key, also one with some missing */
#define SECRET_MARK 24u  /* a '_' stands before these, at the end of its prefix */
#define SECRET_SHOWN 16u /* enough to tell keys apart, too little to be one */

static int is_secret_char(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
           c == '-';
}

static int is_secret(tp_str run)
{
    int capital = 0;
    for (size_t i = 0; i < run.len; i++)
        capital |= run.ptr[i] >= 'A' && run.ptr[i] <= 'Z';
    return run.len >= SECRET_LEAST && capital && str_find(run, '_') < SECRET_MARK;
}

/* put_string, but of what looks like a key its beginning and "...". */
static char *put_guarded(char *p, tp_str s)
{
    size_t from = 0, end = field(s).len, n = 0;
    if (s.len < SECRET_LEAST)
        return put_string(p, s);
    *p++ = '"';
    for (size_t at = 0; at < end; at += TP_MAX(n, 1u)) { /* runs are whole, also beyond the end */
        for (n = 0; at + n < s.len && is_secret_char(s.ptr[at + n]);)
            n++;
        if (!is_secret(str_make(s.ptr + at, n)))
            continue;
        size_t stop = TP_MIN(at + SECRET_SHOWN, end);
        p = put_escaped(p, (const unsigned char *)s.ptr + from, stop - from);
        p = LIT(p, "...");
        from = at + n;
    }
    if (from < end)
        p = put_escaped(p, (const unsigned char *)s.ptr + from, end - from);
    *p++ = '"';
    return p;
}

static void put2(char *p, unsigned v)
{
    p[0] = (char)('0' + v / 10);
    p[1] = (char)('0' + v % 10);
}

/* 2026-03-01T12:34:56.789Z, years 0 to 9999; civil date by days from 0000-03-01. */
static char *put_time(char *p, int64_t unix_ms)
{
    int64_t ms = TP_MAX(unix_ms, 0);
    ms = TP_MIN(ms, INT64_C(253402300799999));
    uint64_t secs = (uint64_t)ms / 1000, day = secs / 86400 + 719468;
    unsigned rest = (unsigned)(secs % 86400), milli = (unsigned)(ms % 1000);
    unsigned era = (unsigned)(day / 146097), doe = (unsigned)(day % 146097);
    unsigned yoe = (doe - doe / 1460 + doe / 36524 - doe / 146096) / 365;
    unsigned doy = doe - (365 * yoe + yoe / 4 - yoe / 100), mp = (5 * doy + 2) / 153;
    unsigned dom = doy - (153 * mp + 2) / 5 + 1, month = mp < 10 ? mp + 3 : mp - 9;
    unsigned year = era * 400 + yoe + (month <= 2);
    put2(p, year / 100);
    put2(p + 2, year % 100);
    p[4] = '-';
    put2(p + 5, month);
    p[7] = '-';
    put2(p + 8, dom);
    p[10] = 'T';
    put2(p + 11, rest / 3600);
    p[13] = ':';
    put2(p + 14, rest / 60 % 60);
    p[16] = ':';
    put2(p + 17, rest % 60);
    p[19] = '.';
    p[20] = (char)('0' + milli / 100);
    put2(p + 21, milli % 100);
    p[23] = 'Z';
    return p + 24;
}

static char *put_usage(char *p, const usage *u)
{
    *p++ = '{';
    for (uint32_t i = 0; i < u->count; i++) {
        if (i)
            *p++ = ',';
        p = put_string(p, str_make(u->classes[i].unit, strnlen(u->classes[i].unit, 24)));
        *p++ = ':';
        p = put_i64(p, u->classes[i].count);
    }
    *p++ = '}';
    return p;
}

static char *put_cost(char *p, int64_t nano)
{
    char text[40];
    size_t n = money_print(text, nano);
    *p++ = '"';
    memcpy(p, text, n);
    p += n;
    *p++ = '"';
    return p;
}

static tp_str outcome(int32_t o)
{
    switch (o) {
    case SETTLE_COMPLETED:
        return STR("completed");
    case SETTLE_FAILED:
        return STR("failed");
    case SETTLE_CANCELLED:
        return STR("cancelled");
    default:
        return STR_NONE;
    }
}

size_t access_line_max(const settle_record *r)
{
    const tp_str s[] = {r->request_id, r->generation,  r->key,          r->client,   r->method,
                        r->path,       r->model_asked, r->model_served, r->provider, r->error};
    /* 1,024: names of the members, numbers, the cost. A byte of a string takes six at most. */
    size_t n = 1024 + (size_t)r->used.count * (24 * 6 + 24);
    for (uint32_t i = 0; i < TP_COUNT(s); i++)
        n += field(s[i]).len * 6;
    return n;
}

size_t access_line(char *out, const settle_record *r)
{
    char *p = LIT(out, "{\"ts\":\"");
    p = put_time(p, r->unix_ms);
    p = LIT(p, "\",\"request_id\":");
    p = put_string(p, r->request_id);
    p = LIT(p, ",\"generation\":");
    p = put_string(p, r->generation);
    p = LIT(p, ",\"key\":");
    p = put_string(p, r->key);
    p = LIT(p, ",\"client\":");
    p = put_string(p, r->client);
    p = LIT(p, ",\"method\":");
    p = put_string(p, r->method);
    p = LIT(p, ",\"path\":");
    p = put_guarded(p, r->path);
    p = LIT(p, ",\"model\":");
    p = put_guarded(p, r->model_asked);
    p = LIT(p, ",\"served\":");
    p = put_string(p, r->model_served);
    p = LIT(p, ",\"provider\":");
    p = put_string(p, r->provider);
    p = LIT(p, ",\"status\":");
    p = put_i64(p, r->status);
    p = LIT(p, ",\"outcome\":");
    p = put_string(p, outcome(r->outcome));
    p = LIT(p, ",\"attempts\":");
    p = put_i64(p, r->attempts);
    p = LIT(p, ",\"error\":");
    p = put_string(p, r->error);
    p = LIT(p, ",\"tokens\":");
    p = put_usage(p, &r->used);
    p = LIT(p, ",\"cost\":");
    p = put_cost(p, r->cost_nano);
    p = LIT(p, ",\"latency_ms\":");
    p = put_ms(p, r->latency_us);
    p = LIT(p, ",\"first_token_ms\":");
    p = r->first_token_us >= 0 ? put_ms(p, r->first_token_us) : LIT(p, "null");
    p = LIT(p, ",\"bytes_in\":");
    p = put_i64(p, r->bytes_in);
    p = LIT(p, ",\"bytes_out\":");
    p = put_i64(p, r->bytes_out);
    p = LIT(p, "}\n");
    return (size_t)(p - out);
}

size_t access_dropped_line(char out[ACCESS_DROPPED_LINE], int64_t unix_ms, uint64_t lines)
{
    char *p = LIT(out, "{\"ts\":\"");
    p = put_time(p, unix_ms);
    p = LIT(p, "\",\"event\":\"access_log_dropped\",\"lines\":");
    p = put_u64(p, lines);
    p = LIT(p, "}\n");
    return (size_t)(p - out);
}
