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
    static const tp_str words[] = {SPAN_INIT("message"), SPAN_INIT("detail"), SPAN_INIT("error_description"),
                                   SPAN_INIT("error"), SPAN_INIT("title"), SPAN_INIT("msg"),
                                   SPAN_INIT("Message")};
    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]) && !e->message.len; i++)
        e->message = as_text(h, c, d, h->find(d, object, words[i]));
    uint32_t code = h->find(d, object, SPAN("code"));
    e->type = as_text(h, c, d, h->find(d, object, SPAN("type")));
    e->code = as_text(h, c, d, code);
    e->param = as_text(h, c, d, h->find(d, object, SPAN("param")));
    e->status = status_of(d, code, e->code);
    if (!e->type.len) /* Google's: the number is "code", the word "status" */
        e->type = span_member(h, c, d, object, SPAN("status"));
    if (!e->type.len)
        e->type = span_member(h, c, d, object, SPAN("__type"));
    static const tp_str statuses[] = {SPAN_INIT("status_code"), SPAN_INIT("status"), SPAN_INIT("http_status")};
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
                                    SPAN_INIT("exceeds the maximum number of tokens"),
                                    SPAN_INIT("input is too long"), SPAN_INIT("exceed context limit"),
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
    if (status == 400 && fault_contains(e->message, SPAN("credit balance is too low")))
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
    static const struct { tp_str word; int32_t code; } types[] = {
        {SPAN_INIT("rate_limit"), TP_ERR_RATE},         {SPAN_INIT("too_many_requests"), TP_ERR_RATE},
        {SPAN_INIT("overloaded"), TP_ERR_OVERLOADED},   {SPAN_INIT("unavailable"), TP_ERR_OVERLOADED},
        {SPAN_INIT("authentication"), TP_ERR_AUTH},     {SPAN_INIT("permission"), TP_ERR_FORBIDDEN},
        {SPAN_INIT("not_found"), TP_ERR_NOT_FOUND},     {SPAN_INIT("timeout"), TP_ERR_TIMEOUT},
        {SPAN_INIT("invalid_request"), TP_ERR_INVALID}, {SPAN_INIT("tool_use_failed"), TP_ERR_INVALID},
        {SPAN_INIT("throttling"), TP_ERR_RATE},         {SPAN_INIT("resource_exhausted"), TP_ERR_RATE},
        {SPAN_INIT("unauthenticated"), TP_ERR_AUTH},    {SPAN_INIT("accessdenied"), TP_ERR_FORBIDDEN},
        {SPAN_INIT("deadline_exceeded"), TP_ERR_TIMEOUT}, {SPAN_INIT("invalid_argument"), TP_ERR_INVALID},
        {SPAN_INIT("validationexception"), TP_ERR_INVALID}, {SPAN_INIT("resourcenotfound"), TP_ERR_NOT_FOUND},
        {SPAN_INIT("billing"), TP_ERR_QUOTA},           {SPAN_INIT("request_too_large"), TP_ERR_TOO_LONG},
    };
    for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++)
        if (fault_contains(e->code, types[i].word) || fault_contains(e->type, types[i].word))
            return types[i].code;
    return TP_ERR_UPSTREAM;
}

tp_str fault_header(const tp_list *headers, tp_str name)
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
    e.id = f->code;
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
