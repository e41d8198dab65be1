/* Values of options: forms, durations, moments, amounts. */
#include "cli/values.h"

#include <stdio.h>
#include <time.h>

#include "base/str.h"
#include "model/json.h"

#define HUNDRED_YEARS 3153600000LL
#define LAST_MOMENT 253402300799999LL /* the year 9999 ends */
#define FIRST_MS 100000000000LL /* a shorter number is a year or seconds, written by mistake */
#define DAY_MS 86400000LL

int cli_span_parse(tp_str s, int64_t *seconds)
{
    static const struct {
        char unit;
        int32_t seconds;
    } units[] = {{'s', 1}, {'m', 60}, {'h', 3600}, {'d', 86400}, {'w', 604800}};
    int64_t n, each = 1;
    for (size_t i = 0; s.len && i < TP_COUNT(units); i++)
        if (s.ptr[s.len - 1] == units[i].unit) {
            each = units[i].seconds;
            s.len--;
            break;
        }
    if (!s.len || str_to_i64(s, &n) != 0 || n < 1 || n > HUNDRED_YEARS / each)
        return -1;
    *seconds = n * each;
    return 0;
}

/* Exactly n digits at s.ptr[at]. -1: they are not there. */
static int digits(tp_str s, size_t at, size_t n)
{
    int v = 0;
    for (size_t i = at; i < at + n; i++) {
        if (i >= s.len || s.ptr[i] < '0' || s.ptr[i] > '9')
            return -1;
        v = v * 10 + (s.ptr[i] - '0');
    }
    return v;
}

static int is_at(tp_str s, size_t at, char c)
{
    return at < s.len && s.ptr[at] == c;
}

/* "2026-04-15": Unix milliseconds of its beginning, or -1. Days that are not in the calendar are
 * none: they come back as others. */
static int64_t day_ms(tp_str s)
{
    struct tm t = {.tm_year = digits(s, 0, 4) - 1900,
                   .tm_mon = digits(s, 5, 2) - 1,
                   .tm_mday = digits(s, 8, 2)};
    int month = t.tm_mon, day = t.tm_mday;
    if (t.tm_year < 70 || month < 0 || day < 1 || !is_at(s, 4, '-') || !is_at(s, 7, '-'))
        return -1;
    int64_t at = (int64_t)timegm(&t);
    return t.tm_mon == month && t.tm_mday == day ? at * 1000 : -1;
}

int cli_moment_parse(tp_str s, int until, int64_t *unix_ms)
{
    int64_t day, ms = 0;
    if (str_to_i64(s, &ms) == 0) {
        *unix_ms = ms;
        return ms >= FIRST_MS && ms <= LAST_MOMENT ? 0 : -1;
    }
    if (s.len < 10 || (day = day_ms(str_make(s.ptr, 10))) < 0)
        return -1;
    if (s.len == 10) {
        *unix_ms = day + (until ? DAY_MS : 0);
        return 0;
    }
    int hour = digits(s, 11, 2), minute = digits(s, 14, 2), second = digits(s, 17, 2);
    if ((!is_at(s, 10, 'T') && !is_at(s, 10, ' ')) || !is_at(s, 13, ':') || !is_at(s, 16, ':') ||
        hour < 0 || hour > 23 || minute < 0 || minute > 59 || second < 0 || second > 59)
        return -1;
    size_t end = 19;
    if (is_at(s, 19, '.')) {
        int fraction = digits(s, 20, 3);
        if (fraction < 0)
            return -1;
        ms = fraction;
        end = 23;
    } else {
        ms = 0;
    }
    if (s.len != end + 1 || !is_at(s, end, 'Z'))
        return -1;
    *unix_ms = day + ((hour * 60 + minute) * 60 + second) * 1000LL + ms;
    return 0;
}

void cli_moment_print(int64_t unix_ms, int with_ms, char out[CLI_MOMENT])
{
    time_t s = (time_t)(unix_ms / 1000);
    struct tm t;
    char fraction[8] = "";
    if (with_ms)
        snprintf(fraction, sizeof(fraction), ".%03u", (unsigned)(unix_ms % 1000) % 1000u);
    if (unix_ms < 0 || unix_ms > LAST_MOMENT || !gmtime_r(&s, &t)) {
        snprintf(out, CLI_MOMENT, "?");
        return;
    }
    snprintf(out, CLI_MOMENT, "%04u-%02u-%02uT%02u:%02u:%02u%sZ",
             (unsigned)(t.tm_year + 1900) % 10000u, (unsigned)(t.tm_mon + 1) % 100u,
             (unsigned)t.tm_mday % 100u, (unsigned)t.tm_hour % 100u, (unsigned)t.tm_min % 100u,
             (unsigned)t.tm_sec % 100u, fraction);
}

int cli_money_form(tp_str s, int negative_too)
{
    size_t whole = 0, decimals = 0;
    int something = 0, point = 0;
    if (negative_too && s.len && s.ptr[0] == '-')
        s = str_skip(s, 1);
    for (size_t i = 0; i < s.len; i++) {
        if (s.ptr[i] == '.' && !point) {
            point = 1;
            continue;
        }
        if (s.ptr[i] < '0' || s.ptr[i] > '9')
            return -1;
        something |= s.ptr[i] != '0';
        if (point)
            decimals++;
        else
            whole++;
    }
    return something && whole && whole <= 10 && decimals <= 9 && (!point || decimals) ? 0 : -1;
}

static int list_count(tp_str s)
{
    int n = 0;
    for (size_t at = 0; at <= s.len;) {
        tp_str rest = str_skip(s, at);
        size_t comma = str_find(rest, ',');
        n += str_trim(str_make(rest.ptr, comma)).len > 0;
        at += comma + 1;
    }
    return n;
}

static int is_word_of(const char *words, tp_str s)
{
    tp_str rest = str_of(words);
    for (;;) {
        size_t bar = str_find(rest, '|');
        if (s.len && str_eq(str_make(rest.ptr, bar), s))
            return 1;
        if (bar >= rest.len)
            return 0;
        rest = str_skip(rest, bar + 1);
    }
}

static int is_all_digits(tp_str s)
{
    for (size_t i = 0; i < s.len; i++)
        if (digits(s, i, 1) < 0)
            return 0;
    return s.len > 0;
}

const char *cli_value_fault(const cli_field *f, tp_str s)
{
    int64_t n;
    if (!json_utf8_valid(s))
        return "UTF-8";
    switch (f->kind) {
    case CLI_TEXT: /* empty: a variable of a script's that is not set; a list of all is not meant */
        return s.len ? NULL : "a value that is not empty";
    case CLI_WHOLE:
    case CLI_MANY:
        if (s.len && str_to_i64(s, &n) == 0)
            return NULL;
        return is_all_digits(s) ? "a smaller number" : "a whole number, 0 or more";
    case CLI_YES_NO:
        return str_eq(s, STR("true")) || str_eq(s, STR("false")) ? NULL : "true or false";
    case CLI_LIST:
        return list_count(s) ? NULL : "names with commas between them, such as a,b*";
    case CLI_WORD:
        return is_word_of(f->words, s) ? NULL : "one of ";
    case CLI_MONEY:
        return cli_money_form(s, 0) == 0
                   ? NULL
                   : "US dollars above 0, at most 1000000000, with at most 9 decimals, such as "
                     "12.50";
    case CLI_SPAN:
        return cli_span_parse(s, &n) == 0
                   ? NULL
                   : "a duration from a second to a hundred years: 90d, 12h, 30m, 45s, or a "
                     "number of seconds";
    case CLI_SINCE:
    case CLI_UNTIL:
        return cli_moment_parse(s, 0, &n) == 0
                   ? NULL
                   : "2026-04-15, 2026-04-15T10:30:00Z, or Unix milliseconds";
    default:
        return NULL;
    }
}

static int list_json(tp_str s, buf *out)
{
    const char *between = "";
    buf_adds(out, STR("["));
    for (size_t at = 0; at <= s.len;) {
        tp_str rest = str_skip(s, at);
        size_t comma = str_find(rest, ',');
        tp_str one = str_trim(str_make(rest.ptr, comma));
        if (one.len) {
            buf_adds(out, str_of(between));
            buf_json_string(out, one);
            between = ",";
        }
        at += comma + 1;
    }
    return buf_adds(out, STR("]"));
}

int cli_value_json(const cli_field *f, tp_str s, buf *out)
{
    int64_t n;
    switch (f->kind) {
    case CLI_WHOLE: /* 007 is no JSON number */
        return str_to_i64(s, &n) == 0 ? buf_printf(out, "%lld", (long long)n) : -1;
    case CLI_YES_NO:
        return buf_adds(out, s);
    case CLI_LIST:
        return list_json(s, out);
    case CLI_SPAN:
        return cli_span_parse(s, &n) == 0 ? buf_printf(out, "%lld", (long long)n) : -1;
    default:
        return buf_json_string(out, s);
    }
}
