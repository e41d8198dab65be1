/* What an upstream says when it refuses or fails, in all the shapes that it comes in. */
#include "fault.h"
#include "span.h"

int fault_contains(tp_str s, tp_str word) /* ASCII case ignored */
{
    for (; s.len >= word.len; s.ptr++, s.len--)
        if (span_istarts(s, word))
            return 1;
    return 0;
}

/* A member as text: strings decoded, null absent, anything else as its JSON stands. */
static tp_str as_text(const tp_host *h, tp_call *c, const tp_doc *d, uint32_t t)
{
    if (!span_given(d, t))
        return SPAN_NONE;
    return span_kind(d, t) == TP_STRING ? span_text(h, c, d, t) : span_raw(d, t);
}

/* ["body", "messages", 0, "user", "name"], as validators name a place, in the words of this
 * gateway: messages[0].name. The role, which only tells which model of a message was tried, is left
 * out. */
static tp_str place_of(const tp_host *h, tp_call *c, const tp_doc *d, uint32_t list)
{
    static const tp_str roles[] = {SPAN_INIT("user"), SPAN_INIT("assistant"), SPAN_INIT("system"),
                                   SPAN_INIT("tool")};
    char *text = h->alloc(c, 2u * d->tokens[list].len + 16), *p = text;
    int after_number = 0;
    for (uint32_t t = list + 1; text && t < d->tokens[list].next; t = d->tokens[t].next) {
        tp_str s = as_text(h, c, d, t);
        int number = span_kind(d, t) == TP_NUMBER, skip = 0;
        skip = p == text && span_is(s, "body");
        for (size_t i = 0; i < sizeof(roles) / sizeof(roles[0]); i++)
            skip |= after_number && span_eq(roles[i], s);
        after_number = number;
        if (skip || !s.len)
            continue;
        if (number)
            *p++ = '[';
        else if (p > text)
            *p++ = '.';
        memcpy(p, s.ptr, s.len);
        p += s.len;
        if (number)
            *p++ = ']';
    }
    return (tp_str){text, text ? (size_t)(p - text) : 0};
}

/* One finding of a validator: {"loc": [...], "msg": "...", "type": "..."}. */
static int read_finding(const tp_host *h, tp_call *c, const tp_doc *d, uint32_t t, fault *e)
{
    uint32_t loc = span_find(h, d, t, SPAN("loc"));
    tp_str msg = span_member(h, c, d, t, SPAN("msg"));
    if (!msg.len || span_kind(d, loc) != TP_ARRAY)
        return 0;
    tp_str place = place_of(h, c, d, loc);
    char *text = h->alloc(c, place.len + 2 + msg.len), *p = text;
    e->message = msg;
    if (!text || !place.len)
        return 1;
    memcpy(p, place.ptr, place.len);
    memcpy(p + place.len, ": ", 2);
    memcpy(p + place.len + 2, msg.ptr, msg.len);
    e->message = (tp_str){text, place.len + 2 + msg.len};
    if (!e->param.len)
        e->param = place;
    return 1;
}

/* A message, which may be a string, a finding, a list of findings, an object that holds such a
 * thing, or a string that holds the JSON of one. */
static void read_sentence(const tp_host *h, tp_call *c, const tp_doc *d, uint32_t t, fault *e,
                          int depth)
{
    uint32_t kind = span_kind(d, t), inner = 0;
    tp_doc within;
    if (kind == TP_ARRAY && span_filled(d, t) && depth < 6 && d->tokens[t + 1].kind != TP_NUMBER) {
        read_sentence(h, c, d, t + 1, e, depth + 1);
        return;
    }
    if (kind == TP_OBJECT && depth < 6) {
        if (read_finding(h, c, d, t, e))
            return;
        static const tp_str holders[] = {SPAN_INIT("detail"), SPAN_INIT("message"),
                                         SPAN_INIT("error")};
        for (size_t i = 0; i < sizeof(holders) / sizeof(holders[0]) && !inner; i++)
            inner = h->find(d, t, holders[i]);
        if (span_given(d, inner)) {
            read_sentence(h, c, d, inner, e, depth + 1);
            return;
        }
    }
    tp_str s = as_text(h, c, d, t);
    if (kind == TP_STRING && s.len && s.ptr[0] == '{' && depth < 2 &&
        h->scan(c, s, &within) == TP_OK && within.count && within.tokens[0].kind == TP_OBJECT) {
        inner = h->find(&within, 0, SPAN("detail"));
        if (!inner)
            inner = h->find(&within, 0, SPAN("message"));
        if (inner)
            read_sentence(h, c, &within, inner, e, depth + 2);
    }
    if (!e->message.len)
        e->message = s;
}

static int64_t status_of(const tp_doc *d, uint32_t t, tp_str text)
{
    int64_t v;
    if (!span_given(d, t) || !span_to_int(text, &v) || v < 400 || v > 599)
        return 0;
    return v;
}

static void read_object(const tp_host *h, tp_call *c, const tp_doc *d, uint32_t object,
                        fault *e)
{
    static const tp_str words[] = {
        SPAN_INIT("message"), SPAN_INIT("detail"), SPAN_INIT("error_description"),
        SPAN_INIT("error"),   SPAN_INIT("title"),  SPAN_INIT("msg"),
        SPAN_INIT("Message")};
    uint32_t code = h->find(d, object, SPAN("code"));
    e->param = as_text(h, c, d, h->find(d, object, SPAN("param")));
    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]) && !e->message.len; i++) {
        uint32_t t = h->find(d, object, words[i]);
        if (span_given(d, t))
            read_sentence(h, c, d, t, e, 0);
    }
    e->type = as_text(h, c, d, h->find(d, object, SPAN("type")));
    e->code = as_text(h, c, d, code);
    e->status = status_of(d, code, e->code);
    if (!e->type.len) /* Google's: the number is "code", the word "status" */
        e->type = span_member(h, c, d, object, SPAN("status"));
    if (!e->type.len)
        e->type = span_member(h, c, d, object, SPAN("__type"));
    static const tp_str statuses[] = {SPAN_INIT("status_code"), SPAN_INIT("status"),
                                      SPAN_INIT("http_status")};
    for (size_t i = 0; i < sizeof(statuses) / sizeof(statuses[0]) && !e->status; i++) {
        uint32_t t = h->find(d, object, statuses[i]);
        e->status = status_of(d, t, as_text(h, c, d, t));
    }
}

void fault_read(const tp_host *h, tp_call *c, const tp_doc *d, uint32_t at, fault *e)
{
    if (d->tokens[at].kind == TP_ARRAY && span_filled(d, at))
        at++; /* a list of errors: the first one speaks */
    if (d->tokens[at].kind == TP_STRING) {
        e->message = span_text(h, c, d, at);
        return;
    }
    if (d->tokens[at].kind != TP_OBJECT) {
        e->message = (tp_str){d->text.ptr + d->tokens[at].at, d->tokens[at].len};
        return;
    }
    uint32_t inner = h->find(d, at, SPAN("error"));
    if (!inner)
        inner = h->find(d, at, SPAN("errors"));
    if (inner && (d->tokens[inner].kind == TP_OBJECT || d->tokens[inner].kind == TP_ARRAY) &&
        span_filled(d, inner)) {
        at = d->tokens[inner].kind == TP_ARRAY ? inner + 1 : inner;
        if (d->tokens[at].kind != TP_OBJECT) {
            e->message = as_text(h, c, d, at);
            return;
        }
    }
    read_object(h, c, d, at, e);
}

static int any_of(tp_str s, const tp_str *words)
{
    for (; words->len; words++)
        if (fault_contains(s, *words))
            return 1;
    return 0;
}

/* What the words say, where they say more than the status. 0: nothing. */
static int32_t code_by_words(const fault *e, int64_t status)
{
    static const tp_str quota[] = {
        SPAN_INIT("insufficient_quota"),   SPAN_INIT("insufficient_credits"),
        SPAN_INIT("insufficient_balance"), SPAN_INIT("billing_hard_limit"),
        SPAN_INIT("billing_not_active"),   SPAN_INIT("exceeded_current_quota"),
        SPAN_INIT("not_enough_balance"),   {0}};
    static const tp_str money[] = {SPAN_INIT("credit balance is too low"),
                                   SPAN_INIT("insufficient balance"),
                                   SPAN_INIT("not enough balance"),
                                   SPAN_INIT("insufficient credits"),
                                   SPAN_INIT("have any credits"),
                                   SPAN_INIT("has no credits"),
                                   SPAN_INIT("used all available credits"),
                                   SPAN_INIT("spending limit"),
                                   {0}};
    static const tp_str filter[] = {SPAN_INIT("content_filter"),
                                    SPAN_INIT("content_policy_violation"),
                                    SPAN_INIT("ResponsibleAIPolicyViolation"),
                                    {0}};
    static const tp_str length[] = {SPAN_INIT("context length"),
                                    SPAN_INIT("context window"),
                                    SPAN_INIT("maximum prompt length"),
                                    SPAN_INIT("prompt is too long"),
                                    SPAN_INIT("context_length"),
                                    SPAN_INIT("max_new_tokens` must be"),
                                    SPAN_INIT("too many tokens"),
                                    SPAN_INIT("too large for model with"),
                                    SPAN_INIT("exceeds the maximum number of tokens"),
                                    SPAN_INIT("input is too long"),
                                    SPAN_INIT("exceed context limit"),
                                    SPAN_INIT("available context size"),
                                    SPAN_INIT("context_size"),
                                    {0}};
    static const tp_str key[] = {SPAN_INIT("incorrect api key"), SPAN_INIT("api key not valid"),
                                 SPAN_INIT("invalid api key"), {0}};
    if (any_of(e->code, quota) || any_of(e->type, quota))
        return TP_ERR_QUOTA;
    if (fault_contains(e->code, SPAN("context_length_exceeded")) ||
        fault_contains(e->type, SPAN("context_length_exceeded")))
        return TP_ERR_TOO_LONG;
    if (any_of(e->code, filter) || any_of(e->type, filter))
        return TP_ERR_FILTER;
    if (fault_contains(e->code, SPAN("invalid_api_key")))
        return TP_ERR_AUTH;
    if ((status == 400 || status == 403 || status == 429) && any_of(e->message, money))
        return TP_ERR_QUOTA;
    if (status == 400 || status == 413 || status == 422) {
        if (any_of(e->message, length))
            return TP_ERR_TOO_LONG;
        if (any_of(e->message, key))
            return TP_ERR_AUTH;
    }
    if (span_is(e->code, "model_not_found"))
        return TP_ERR_NOT_FOUND;
    return 0;
}

static int32_t code_by_status(int64_t status)
{
    switch (status) {
    case 400: case 413: case 422: return TP_ERR_INVALID;
    case 401: return TP_ERR_AUTH;
    case 402: return TP_ERR_QUOTA;
    case 403: return TP_ERR_FORBIDDEN;
    case 404: return TP_ERR_NOT_FOUND;
    case 408: case 504: return TP_ERR_TIMEOUT;
    case 429: return TP_ERR_RATE;
    case 503: case 529: return TP_ERR_OVERLOADED;
    default: return status ? TP_ERR_UPSTREAM : 0;
    }
}

/* An error inside a reply has no status line; its type is what there is. */
static int32_t code_by_type(const fault *e)
{
    static const struct {
        tp_str word;
        int32_t code;
    } types[] = {
        {SPAN_INIT("rate_limit"), TP_ERR_RATE},
        {SPAN_INIT("too_many_requests"), TP_ERR_RATE},
        {SPAN_INIT("capacity_exceeded"), TP_ERR_OVERLOADED},
        {SPAN_INIT("overloaded"), TP_ERR_OVERLOADED},
        {SPAN_INIT("unavailable"), TP_ERR_OVERLOADED},
        {SPAN_INIT("authentication"), TP_ERR_AUTH},
        {SPAN_INIT("permission"), TP_ERR_FORBIDDEN},
        {SPAN_INIT("not_found"), TP_ERR_NOT_FOUND},
        {SPAN_INIT("timeout"), TP_ERR_TIMEOUT},
        {SPAN_INIT("invalid_request"), TP_ERR_INVALID},
        {SPAN_INIT("tool_use_failed"), TP_ERR_INVALID},
        {SPAN_INIT("throttling"), TP_ERR_RATE},
        {SPAN_INIT("resource_exhausted"), TP_ERR_RATE},
        {SPAN_INIT("unauthenticated"), TP_ERR_AUTH},
        {SPAN_INIT("accessdenied"), TP_ERR_FORBIDDEN},
        {SPAN_INIT("deadline_exceeded"), TP_ERR_TIMEOUT},
        {SPAN_INIT("invalid_argument"), TP_ERR_INVALID},
        {SPAN_INIT("validationexception"), TP_ERR_INVALID},
        {SPAN_INIT("resourcenotfound"), TP_ERR_NOT_FOUND},
        {SPAN_INIT("billing"), TP_ERR_QUOTA},
        {SPAN_INIT("request_too_large"), TP_ERR_TOO_LONG},
    };
    for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++)
        if (fault_contains(e->code, types[i].word) || fault_contains(e->type, types[i].word))
            return types[i].code;
    return TP_ERR_UPSTREAM;
}

tp_str fault_header(const tp_list *headers, tp_str name)
{
    for (uint32_t i = 0; i < headers->count; i++) {
        const tp_header *x =
            (const void *)((const char *)headers->ptr + (size_t)i * headers->stride);
        if (span_ieq(x->name, name))
            return span_trim(x->value);
    }
    return SPAN_NONE;
}

/* Days since 1970-01-01 of a date in the proleptic Gregorian calendar. */
static int64_t days_of(int64_t year, int64_t month, int64_t day)
{
    year -= month <= 2;
    int64_t era = year / 400, of_era = year - era * 400;
    int64_t of_year = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1;
    return era * 146097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719468;
}

static int two(const char *p, int64_t *out)
{
    return span_to_int((tp_str){p, 2}, out) && *out >= 0;
}

/* "Sun, 06 Nov 1994 08:49:37 GMT", the one form that RFC 9110 lets be sent: Unix ms, or -1. */
static int64_t http_date(tp_str s)
{
    static const char months[] = "JanFebMarAprMayJunJulAugSepOctNovDec";
    int64_t day, year, hour, minute, second, month = 0;
    if (s.len != 29 || s.ptr[3] != ',' || s.ptr[19] != ':' || s.ptr[22] != ':')
        return -1;
    for (int i = 0; i < 12; i++)
        if (memcmp(months + i * 3, s.ptr + 8, 3) == 0)
            month = i + 1;
    if (!month || !two(s.ptr + 5, &day) || !span_to_int((tp_str){s.ptr + 12, 4}, &year) ||
        !two(s.ptr + 17, &hour) || !two(s.ptr + 20, &minute) || !two(s.ptr + 23, &second) ||
        year < 1970 || day < 1 || day > 31)
        return -1;
    return ((days_of(year, month, day) * 24 + hour) * 60 + minute) * 60000 + second * 1000;
}

/* A decimal of seconds, fractions to the millisecond: ms, or -1. At most a day is believed. */
static int64_t seconds_to_ms(tp_str s)
{
    int64_t whole, scale = 100, ms = 0;
    const char *dot = s.len ? memchr(s.ptr, '.', s.len) : NULL;
    tp_str head = {s.ptr, dot ? (size_t)(dot - s.ptr) : s.len};
    if (!span_to_int(head, &whole) || whole < 0)
        return -1;
    for (size_t i = head.len + 1; i < s.len && scale; i++, scale /= 10) {
        if (s.ptr[i] < '0' || s.ptr[i] > '9')
            return -1;
        ms += (s.ptr[i] - '0') * scale;
    }
    return whole > 86400 ? 86400000 : whole * 1000 + ms;
}

int64_t fault_retry_after(const tp_call *c, const tp_list *headers)
{
    tp_str ms = fault_header(headers, SPAN("retry-after-ms"));
    int64_t v;
    const char *dot = ms.len ? memchr(ms.ptr, '.', ms.len) : NULL;
    if (dot)
        ms.len = (size_t)(dot - ms.ptr);
    if (ms.len && span_to_int(ms, &v) && v >= 0)
        return v > 86400000 ? 86400000 : v;
    tp_str after = fault_header(headers, SPAN("retry-after"));
    if (!after.len)
        return -1;
    v = seconds_to_ms(after);
    if (v >= 0)
        return v;
    v = http_date(after);
    if (v < 0)
        return -1;
    v -= c->now_ms;
    return v < 0 ? 0 : v > 86400000 ? 86400000 : v;
}

/* "6m0s", "7.66s", "120ms", "1h2m", or seconds; or a time, as Unix seconds or milliseconds. ms from
 * now, or -1. *used: bytes of it. */
static int64_t duration_ms(const tp_call *c, tp_str s, size_t *used)
{
    static const struct {
        tp_str unit;
        double ms;
    } units[] = {{SPAN_INIT("ms"), 1},
                 {SPAN_INIT("s"), 1000},
                 {SPAN_INIT("m"), 60000},
                 {SPAN_INIT("h"), 3600000},
                 {SPAN_INIT("d"), 86400000}};
    double sum = 0;
    size_t at = 0;
    int any = 0;
    while (at < s.len && s.ptr[at] >= '0' && s.ptr[at] <= '9') {
        double v = 0, scale = 1;
        size_t unit = 0;
        for (; at < s.len && s.ptr[at] >= '0' && s.ptr[at] <= '9' && v < 1e15; at++)
            v = v * 10 + (s.ptr[at] - '0');
        if (at + 1 < s.len && s.ptr[at] == '.' && s.ptr[at + 1] >= '0' && s.ptr[at + 1] <= '9')
            for (at++; at < s.len && s.ptr[at] >= '0' && s.ptr[at] <= '9'; at++)
                v += (s.ptr[at] - '0') * (scale /= 10);
        tp_str rest = {s.ptr + at, s.len - at};
        while (unit < sizeof(units) / sizeof(units[0]) && !span_istarts(rest, units[unit].unit))
            unit++;
        any = 1;
        if (unit == sizeof(units) / sizeof(units[0])) { /* a bare number ends it */
            double now = (double)c->now_ms;
            sum += v > 1e11 ? v - now : v > 1e9 ? v * 1000 - now : v * 1000;
            break;
        }
        sum += v * units[unit].ms;
        at += units[unit].unit.len;
    }
    *used = at;
    return !any ? -1 : sum < 0 ? 0 : sum > 86400000 ? 86400000 : (int64_t)(sum + 0.5);
}

/* When the limit that is used up is filled again, as most upstreams tell it. Of several the latest.
 */
static int64_t limit_reset(const tp_call *c, const tp_list *headers)
{
    static const struct {
        tp_str reset, remaining;
    } limits[] = {
        {SPAN_INIT("x-ratelimit-reset-requests"), SPAN_INIT("x-ratelimit-remaining-requests")},
        {SPAN_INIT("x-ratelimit-reset-tokens"), SPAN_INIT("x-ratelimit-remaining-tokens")},
        {SPAN_INIT("x-ratelimit-reset-tokens-minute"),
         SPAN_INIT("x-ratelimit-remaining-tokens-minute")},
        {SPAN_INIT("x-ratelimit-reset-requests-minute"),
         SPAN_INIT("x-ratelimit-remaining-requests-minute")},
        {SPAN_INIT("x-ratelimit-reset-requests-day"),
         SPAN_INIT("x-ratelimit-remaining-requests-day")},
        {SPAN_INIT("x-ratelimit-reset-requests-hour"),
         SPAN_INIT("x-ratelimit-remaining-requests-hour")},
        {SPAN_INIT("x-ratelimit-reset"), SPAN_INIT("x-ratelimit-remaining")},
        {SPAN_INIT("ratelimit-reset"), SPAN_INIT("ratelimit-remaining")},
    };
    int64_t most = -1;
    for (size_t i = 0; i < sizeof(limits) / sizeof(limits[0]); i++) {
        tp_str reset = fault_header(headers, limits[i].reset);
        tp_str left = fault_header(headers, limits[i].remaining);
        size_t used;
        int64_t v, n;
        if (!reset.len || (left.len && (!span_to_int(left, &n) || n > 0)))
            continue;
        v = duration_ms(c, reset, &used);
        most = v > most ? v : most;
    }
    return most;
}

/* "Please try again in 7.66s", "retry after 26 seconds". */
static int64_t told_wait(const tp_call *c, tp_str message)
{
    static const tp_str words[] = {SPAN_INIT("try again in "), SPAN_INIT("retry after "),
                                   SPAN_INIT("retry in ")};
    for (tp_str s = message; s.len; s.ptr++, s.len--) {
        for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
            size_t used;
            if (!span_istarts(s, words[i]))
                continue;
            tp_str rest = {s.ptr + words[i].len, s.len - words[i].len};
            int64_t v = duration_ms(c, rest, &used);
            tp_str unit = v < 0 ? SPAN_NONE : span_trim((tp_str){rest.ptr + used, rest.len - used});
            if (v < 0)
                continue;
            if (span_istarts(unit, SPAN("millisecond")))
                return v / 1000;
            if (span_istarts(unit, SPAN("minute")))
                return v > 1440000 ? 86400000 : v * 60;
            return v;
        }
    }
    return -1;
}

/* A short body of plain ASCII text may be shown; pages and binary may not. */
static int is_sentence(tp_str s)
{
    if (!s.len || s.len > 500 || s.ptr[0] == '<')
        return 0;
    for (size_t i = 0; i < s.len; i++) {
        unsigned char ch = (unsigned char)s.ptr[i];
        if (ch > 0x7e || (ch < ' ' && ch != '\n' && ch != '\r' && ch != '\t'))
            return 0;
    }
    return 1;
}

int32_t fault_code(const fault *f, int64_t status)
{
    int32_t code = code_by_words(f, status ? status : f->status ? f->status : 400);
    if (!code)
        code = code_by_status(status ? status : f->status);
    return code ? code : code_by_type(f);
}

tp_status fault_emit(const tp_host *h, tp_call *c, const fault *f, int32_t code)
{
    tp_event e = {.size = sizeof(tp_event), .kind = TP_EV_ERROR, .code = code};
    int64_t number;
    e.id = f->code;
    if (code == TP_ERR_TOO_LONG && (!f->code.len || span_to_int(f->code, &number)))
        e.id = SPAN("context_length_exceeded"); /* the word that clients look for */
    e.name = f->type;
    e.text = f->message;
    e.param = f->param;
    e.number = f->retry_ms;
    return h->emit(c, &e);
}

tp_status fault_say(const tp_host *h, tp_call *c, tp_str text)
{
    fault f = {.message = text, .retry_ms = -1};
    return fault_emit(h, c, &f, TP_ERR_UPSTREAM);
}

tp_str fault_status_sentence(int32_t status, char text[64])
{
    memcpy(text, SPAN("The provider answered with status 000 and no message.").ptr, 54);
    if (status >= 100 && status <= 999) {
        char *at = strstr(text, "000");
        at[0] = (char)('0' + status / 100);
        at[1] = (char)('0' + status / 10 % 10);
        at[2] = (char)('0' + status % 10);
    }
    return (tp_str){text, 53};
}

void fault_of_reply(const tp_host *h, tp_call *c, const tp_reply *reply, fault *f, char text[64])
{
    tp_doc d;
    tp_str body = span_trim(reply->body);
    *f = (fault){.retry_ms = fault_retry_after(c, &reply->headers)};
    if (body.len && (body.ptr[0] == '{' || body.ptr[0] == '[' || body.ptr[0] == '"') &&
        h->scan(c, body, &d) == TP_OK && d.count)
        fault_read(h, c, &d, 0, f);
    else if (is_sentence(body))
        f->message = body;
    if (f->retry_ms < 0 && (reply->status == 429 || reply->status == 503))
        f->retry_ms = limit_reset(c, &reply->headers);
    if (f->retry_ms < 0 && (reply->status == 429 || reply->status == 503))
        f->retry_ms = told_wait(c, f->message);
    if (!f->message.len)
        f->message = fault_status_sentence(reply->status, text);
}

tp_status fault_failed(const tp_host *h, tp_call *c, const tp_reply *reply)
{
    fault f;
    char text[64];
    fault_of_reply(h, c, reply, &f, text);
    return fault_emit(h, c, &f, fault_code(&f, reply->status));
}

tp_status fault_in(const tp_host *h, tp_call *c, const tp_doc *d, uint32_t at)
{
    fault f = {.retry_ms = -1};
    fault_read(h, c, d, at, &f);
    if (!f.message.len)
        f.message = SPAN("The provider reported an error without a message.");
    return fault_emit(h, c, &f, fault_code(&f, 0));
}
