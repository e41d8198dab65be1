/* Refusals: {"error": {"code", "message", "status", "details"}}, alone or in a list. The details say
 * more than the status: why, and when to come again. */
#include "google_format.h"

typedef struct details {
    tp_str reason;    /* ErrorInfo.reason */
    int64_t retry_ms; /* RetryInfo.retryDelay; -1: not said */
} details;

/* "34s", "34.074824224s": ms, or -1. */
static int64_t duration(tp_str s)
{
    int64_t v, scale = 100, ms = 0;
    if (s.len < 2 || s.ptr[s.len - 1] != 's')
        return -1;
    s.len--;
    const char *dot = memchr(s.ptr, '.', s.len);
    tp_str head = {s.ptr, dot ? (size_t)(dot - s.ptr) : s.len};
    if (!head.len || !span_to_int(head, &v) || v < 0)
        return -1;
    for (size_t i = head.len + 1; i < s.len; i++, scale /= 10) {
        if (s.ptr[i] < '0' || s.ptr[i] > '9')
            return -1;
        ms += (s.ptr[i] - '0') * scale;
    }
    return v > 86400 ? 86400000 : v * 1000 + ms;
}

static details read_details(const tp_host *h, tp_call *c, const tp_doc *d, uint32_t error)
{
    details x = {.retry_ms = -1};
    uint32_t list = span_find(h, d, error, SPAN("details"));
    if (span_kind(d, list) != TP_ARRAY)
        return x;
    for (uint32_t t = list + 1; t < d->tokens[list].next; t = d->tokens[t].next) {
        tp_str reason = span_member(h, c, d, t, SPAN("reason"));
        tp_str delay = span_member(h, c, d, t, SPAN("retryDelay"));
        if (reason.len && !x.reason.len)
            x.reason = reason;
        if (delay.len)
            x.retry_ms = duration(delay);
    }
    return x;
}

static int32_t code_of(const fault *f, const details *x, int64_t status)
{
    static const struct { tp_str word; int32_t code; } reasons[] = {
        {SPAN_INIT("API_KEY_INVALID"), TP_ERR_AUTH},
        {SPAN_INIT("API_KEY_EXPIRED"), TP_ERR_AUTH},
        {SPAN_INIT("ACCESS_TOKEN_EXPIRED"), TP_ERR_AUTH},
        {SPAN_INIT("ACCESS_TOKEN_TYPE_UNSUPPORTED"), TP_ERR_AUTH},
        {SPAN_INIT("CREDENTIALS_MISSING"), TP_ERR_AUTH},
        {SPAN_INIT("CONSUMER_INVALID"), TP_ERR_AUTH},
        {SPAN_INIT("CONSUMER_SUSPENDED"), TP_ERR_FORBIDDEN},
        {SPAN_INIT("API_KEY_SERVICE_BLOCKED"), TP_ERR_FORBIDDEN},
        {SPAN_INIT("SERVICE_DISABLED"), TP_ERR_FORBIDDEN},
        {SPAN_INIT("BILLING_DISABLED"), TP_ERR_QUOTA},
        {SPAN_INIT("RATE_LIMIT_EXCEEDED"), TP_ERR_RATE},
    };
    for (size_t i = 0; i < sizeof(reasons) / sizeof(reasons[0]); i++)
        if (span_eq(x->reason, reasons[i].word))
            return reasons[i].code;
    int32_t code = fault_code(f, status);
    /* Where the key may not be used, or without a bill: nothing that the client could mend. */
    if (code == TP_ERR_INVALID && span_is(f->type, "FAILED_PRECONDITION"))
        return TP_ERR_FORBIDDEN;
    return code;
}

/* The error within a document that is one, holds one, or is a list of such. */
static uint32_t error_in(const tp_host *h, const tp_doc *d)
{
    uint32_t t = 0;
    if (d->tokens[0].kind == TP_ARRAY && span_filled(d, 0))
        t = 1;
    return span_find(h, d, t, SPAN("error"));
}

static tp_status emit(const tp_host *h, tp_call *c, fault *f, const details *x, int64_t status)
{
    int32_t code = code_of(f, x, status);
    if (x->retry_ms >= 0 && f->retry_ms < 0)
        f->retry_ms = x->retry_ms;
    if (x->reason.len)
        f->code = x->reason;
    return fault_emit(h, c, f, code);
}

tp_status google_failed(const tp_host *h, tp_call *c, const tp_reply *reply)
{
    fault f;
    char text[64];
    tp_doc d;
    details x = {.retry_ms = -1};
    tp_str body = span_trim(reply->body);
    fault_of_reply(h, c, reply, &f, text);
    if (body.len && (body.ptr[0] == '{' || body.ptr[0] == '[') && h->scan(c, body, &d) == TP_OK &&
        d.count)
        x = read_details(h, c, &d, error_in(h, &d));
    return emit(h, c, &f, &x, reply->status);
}

tp_status google_fault_in(const tp_host *h, tp_call *c, const tp_doc *d, uint32_t at)
{
    fault f = {.retry_ms = -1};
    fault_read(h, c, d, at, &f);
    if (!f.message.len)
        f.message = SPAN("The provider reported an error without a message.");
    details x = read_details(h, c, d, at);
    return emit(h, c, &f, &x, 0);
}
