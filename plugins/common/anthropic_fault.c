/* What the API says when it refuses or fails, beyond what all upstreams have in common. */
#include "anthropic_int.h"

static int32_t code_of(const fault *f, int64_t status)
{
    if (span_is(f->type, "request_too_large"))
        return TP_ERR_TOO_LONG;
    if (span_is(f->type, "billing_error") ||
        fault_contains(f->message, SPAN("specified API usage limits")) ||
        fault_contains(f->message, SPAN("credit balance is too low")))
        return TP_ERR_QUOTA;
    if (span_is(f->type, "invalid_request_error") &&
        (fault_contains(f->message, SPAN("prompt is too long")) ||
         fault_contains(f->message, SPAN("exceed context limit")) ||
         fault_contains(f->message, SPAN("exceeds the context window"))))
        return TP_ERR_TOO_LONG;
    if (span_is(f->type, "overloaded_error"))
        return TP_ERR_OVERLOADED;
    if (status == 409)
        return TP_ERR_INVALID;
    return fault_code(f, status);
}

/* ---- When to come again: "2026-01-27T12:00:00Z". */
static int number_at(tp_str s, size_t at, size_t n, int64_t *out)
{
    return at + n <= s.len && span_to_int((tp_str){s.ptr + at, n}, out) && *out >= 0;
}

static int64_t unix_ms(tp_str s)
{
    int64_t year, month, day, hour, minute, second;
    if (!number_at(s, 0, 4, &year) || !number_at(s, 5, 2, &month) || !number_at(s, 8, 2, &day) ||
        !number_at(s, 11, 2, &hour) || !number_at(s, 14, 2, &minute) ||
        !number_at(s, 17, 2, &second) || month < 1 || month > 12 || day < 1 || day > 31 ||
        year < 1970)
        return -1;
    year -= month <= 2; /* days of the proleptic Gregorian calendar, years beginning in March */
    int64_t era = year / 400, of_era = year - era * 400;
    int64_t of_year = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1;
    int64_t days = era * 146097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719468;
    return ((days * 24 + hour) * 60 + minute) * 60000 + second * 1000;
}

/* anthropic-ratelimit-{requests,tokens,input-tokens,output-tokens}-{remaining,reset}: the limit that
 * is used up, and of several the one that lasts longest. -1: they do not say. */
static int64_t reset_after(const tp_call *c, const tp_list *headers)
{
    static const tp_str left[] = {SPAN_INIT("anthropic-ratelimit-requests-remaining"),
                                  SPAN_INIT("anthropic-ratelimit-tokens-remaining"),
                                  SPAN_INIT("anthropic-ratelimit-input-tokens-remaining"),
                                  SPAN_INIT("anthropic-ratelimit-output-tokens-remaining")};
    static const tp_str reset[] = {SPAN_INIT("anthropic-ratelimit-requests-reset"),
                                   SPAN_INIT("anthropic-ratelimit-tokens-reset"),
                                   SPAN_INIT("anthropic-ratelimit-input-tokens-reset"),
                                   SPAN_INIT("anthropic-ratelimit-output-tokens-reset")};
    int64_t longest = -1, soonest = -1;
    for (size_t i = 0; i < 4; i++) {
        int64_t at = unix_ms(fault_header(headers, reset[i])), wait = at - c->now_ms;
        if (at < 0)
            continue;
        wait = wait < 0 ? 0 : wait > 86400000 ? 86400000 : wait;
        if (span_is(fault_header(headers, left[i]), "0") && wait > longest)
            longest = wait;
        if (soonest < 0 || wait < soonest)
            soonest = wait;
    }
    return longest >= 0 ? longest : soonest;
}

tp_status anthropic_failed(const tp_host *h, tp_call *c, const tp_reply *reply)
{
    fault f;
    char text[64];
    fault_of_reply(h, c, reply, &f, text);
    int32_t code = code_of(&f, reply->status);
    if (code == TP_ERR_RATE && f.retry_ms < 0)
        f.retry_ms = reset_after(c, &reply->headers);
    return fault_emit(h, c, &f, code);
}

/* {"type": "error", "error": {"type", "message"}} within a 200. */
tp_status anthropic_fault_in(document *d)
{
    fault f = {.retry_ms = -1};
    fault_read(d->h, d->c, &d->doc, 0, &f);
    if (!f.message.len)
        f.message = SPAN("The provider reported an error without a message.");
    return fault_emit(d->h, d->c, &f, code_of(&f, 0));
}
