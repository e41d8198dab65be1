/* Errors of OpenAI-compatible upstreams, in all the shapes that they come in. */
#include "openai_format.h"
#include "span.h"

typedef struct upstream_error {
    tp_str message, type, code, param;
    int64_t status; /* 0: not said */
} upstream_error;

static int contains(tp_str s, tp_str word) /* ASCII case ignored */
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

static int64_t status_of(const tp_doc *d, uint32_t t, tp_str text)
{
    int64_t v;
    if (!span_given(d, t) || !span_to_int(text, &v) || v < 400 || v > 599)
        return 0;
    return v;
}

static void read_object(const tp_host *h, tp_call *c, const tp_doc *d, uint32_t object,
                        upstream_error *e)
{
    static const tp_str words[] = {SPAN_INIT("message"), SPAN_INIT("detail"), SPAN_INIT("error_description"),
                                   SPAN_INIT("error"), SPAN_INIT("title")};
    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]) && !e->message.len; i++)
        e->message = as_text(h, c, d, h->find(d, object, words[i]));
    uint32_t code = h->find(d, object, SPAN("code"));
    e->type = as_text(h, c, d, h->find(d, object, SPAN("type")));
    e->code = as_text(h, c, d, code);
    e->param = as_text(h, c, d, h->find(d, object, SPAN("param")));
    e->status = status_of(d, code, e->code);
    static const tp_str statuses[] = {SPAN_INIT("status_code"), SPAN_INIT("status"), SPAN_INIT("http_status")};
    for (size_t i = 0; i < sizeof(statuses) / sizeof(statuses[0]) && !e->status; i++) {
        uint32_t t = h->find(d, object, statuses[i]);
        e->status = status_of(d, t, as_text(h, c, d, t));
    }
}

/* at: the value of "error", or TP_NULL's token 0: the document itself. */
static void read_error(const tp_host *h, tp_call *c, const tp_doc *d, uint32_t at,
                       upstream_error *e)
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
        if (contains(s, *words))
            return 1;
    return 0;
}

/* What the words say, where they say more than the status. 0: nothing. */
static int32_t code_by_words(const upstream_error *e, int64_t status)
{
    static const tp_str quota[] = {SPAN_INIT("insufficient_quota"), SPAN_INIT("insufficient_credits"),
                                   SPAN_INIT("insufficient_balance"), SPAN_INIT("billing_hard_limit"),
                                   SPAN_INIT("billing_not_active"), SPAN_INIT("exceeded_current_quota"),
                                   {0}};
    static const tp_str filter[] = {SPAN_INIT("content_filter"), SPAN_INIT("content_policy_violation"),
                                    SPAN_INIT("ResponsibleAIPolicyViolation"), {0}};
    static const tp_str length[] = {SPAN_INIT("context length"), SPAN_INIT("context window"),
                                    SPAN_INIT("maximum prompt length"), SPAN_INIT("prompt is too long"),
                                    SPAN_INIT("context_length"), SPAN_INIT("max_new_tokens` must be"),
                                    SPAN_INIT("too many tokens"), SPAN_INIT("too large for model with"),
                                    {0}};
    static const tp_str key[] = {SPAN_INIT("incorrect api key"), SPAN_INIT("api key not valid"),
                                 SPAN_INIT("invalid api key"), {0}};
    if (any_of(e->code, quota) || any_of(e->type, quota))
        return TP_ERR_QUOTA;
    if (contains(e->code, SPAN("context_length_exceeded")) ||
        contains(e->type, SPAN("context_length_exceeded")))
        return TP_ERR_TOO_LONG;
    if (any_of(e->code, filter) || any_of(e->type, filter))
        return TP_ERR_FILTER;
    if (contains(e->code, SPAN("invalid_api_key")))
        return TP_ERR_AUTH;
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
static int32_t code_by_type(const upstream_error *e)
{
    static const struct { tp_str word; int32_t code; } types[] = {
        {SPAN_INIT("rate_limit"), TP_ERR_RATE},         {SPAN_INIT("too_many_requests"), TP_ERR_RATE},
        {SPAN_INIT("overloaded"), TP_ERR_OVERLOADED},   {SPAN_INIT("unavailable"), TP_ERR_OVERLOADED},
        {SPAN_INIT("authentication"), TP_ERR_AUTH},     {SPAN_INIT("permission"), TP_ERR_FORBIDDEN},
        {SPAN_INIT("not_found"), TP_ERR_NOT_FOUND},     {SPAN_INIT("timeout"), TP_ERR_TIMEOUT},
        {SPAN_INIT("invalid_request"), TP_ERR_INVALID}, {SPAN_INIT("tool_use_failed"), TP_ERR_INVALID},
    };
    for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++)
        if (contains(e->code, types[i].word) || contains(e->type, types[i].word))
            return types[i].code;
    return TP_ERR_UPSTREAM;
}

static tp_status emit_error(const tp_host *h, tp_call *c, const upstream_error *e, int32_t code,
                            int64_t retry_ms)
{
    tp_event ev = openai_event(TP_EV_ERROR);
    ev.code = code;
    ev.id = e->code;
    ev.name = e->type;
    ev.text = e->message;
    ev.param = e->param;
    ev.number = retry_ms;
    return h->emit(c, &ev);
}

tp_status openai_error_in(const tp_host *h, tp_call *c, const tp_doc *d, uint32_t at)
{
    upstream_error e = {.status = 0};
    read_error(h, c, d, at, &e);
    if (!e.message.len)
        e.message = SPAN("The provider reported an error without a message.");
    int32_t code = code_by_words(&e, e.status ? e.status : 400);
    if (!code)
        code = code_by_status(e.status);
    if (!code)
        code = code_by_type(&e);
    return emit_error(h, c, &e, code, -1);
}

tp_status openai_error_text(const tp_host *h, tp_call *c, tp_str text)
{
    upstream_error e = {.message = text};
    return emit_error(h, c, &e, TP_ERR_UPSTREAM, -1);
}

tp_str openai_header(const tp_list *headers, tp_str name)
{
    for (uint32_t i = 0; i < headers->count; i++) {
        const tp_header *x = (const void *)((const char *)headers->ptr + (size_t)i * headers->stride);
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

static int64_t retry_after(const tp_call *c, const tp_list *headers)
{
    tp_str ms = openai_header(headers, SPAN("retry-after-ms"));
    int64_t v;
    const char *dot = ms.len ? memchr(ms.ptr, '.', ms.len) : NULL;
    if (dot)
        ms.len = (size_t)(dot - ms.ptr);
    if (ms.len && span_to_int(ms, &v) && v >= 0)
        return v > 86400000 ? 86400000 : v;
    tp_str after = openai_header(headers, SPAN("retry-after"));
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

tp_status openai_failed(const tp_host *h, tp_call *c, const tp_reply *reply)
{
    upstream_error e = {.status = 0};
    tp_doc d;
    tp_str body = span_trim(reply->body);
    if (body.len && (body.ptr[0] == '{' || body.ptr[0] == '[' || body.ptr[0] == '"') &&
        h->scan(c, body, &d) == TP_OK && d.count)
        read_error(h, c, &d, 0, &e);
    else if (is_sentence(body))
        e.message = body;
    char text[] = "The provider answered with status 000 and no message.";
    if (!e.message.len && reply->status >= 100 && reply->status <= 999) {
        char *at = strstr(text, "000");
        at[0] = (char)('0' + reply->status / 100);
        at[1] = (char)('0' + reply->status / 10 % 10);
        at[2] = (char)('0' + reply->status % 10);
        e.message = (tp_str){text, sizeof(text) - 1};
    }
    int32_t code = code_by_words(&e, reply->status);
    if (!code)
        code = code_by_status(reply->status);
    return emit_error(h, c, &e, code ? code : TP_ERR_UPSTREAM, retry_after(c, &reply->headers));
}
