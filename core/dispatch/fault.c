/* How an attempt failed: what the client is told of it, and what the operator is. The two differ
 * where the trouble is between gateway and upstream: its words on the gateway's key or bill are for
 * the operator alone, its words on the request (and any that quote it) for the client alone. */
#include "dispatch/dispatch_int.h"

#include <stdio.h>
#include <string.h>

#define NOTES_MAX 480u /* all of x->trouble */
#define NOTE_MAX 240u  /* of one attempt */
#define SECRET_RUN 8u  /* so many bytes of a secret in a row are no chance */

/* ---- For the operator. */

/* At most n bytes of s, whole characters. */
static tp_str clip(tp_str s, size_t n)
{
    if (s.len <= n)
        return s;
    while (n && ((unsigned char)s.ptr[n] & 0xc0) == 0x80)
        n--;
    return str_make(s.ptr, n);
}

void dispatch_note(exchange *x, tp_str what)
{
    tp_str provider = x->on ? x->on->provider->conf->name : STR_NONE;
    tp_str all = x->trouble;
    if (all.len >= NOTES_MAX)
        return;
    tp_str with =
        arena_printf(&x->mem, "%.*s%s%.*s%s%.*s", STR_ARG(all), all.len ? "; " : "",
                     STR_ARG(provider), provider.len ? ": " : "", STR_ARG(clip(what, NOTE_MAX)));
    if (with.ptr)
        x->trouble = clip(with, NOTES_MAX);
}

tp_str dispatch_trouble(const exchange *x)
{
    if (x->trouble.len || x->outcome != SETTLE_FAILED || !x->fault.status)
        return x->trouble;
    if (x->fault.code.len)
        return x->fault.code;
    return x->fault.type.len ? x->fault.type : profile_error_type(x->fault.status);
}

/* ---- Secrets. */

/* The secret that went out with the request as it is; a document of several is never sent. */
static tp_str sent_secret(const exchange *x)
{
    const world_provider *p = x->on->provider;
    const book_byok *own = admit_byok(&x->who, p->conf->name, x->op.format);
    tp_str s = own ? own->secret : p->conf->api_key.value;
    return s.len && s.ptr[0] == '{' ? STR_NONE : s;
}

/* Bytes at s that stand in the secret too, if there are so many that it is no chance; else 0. */
static size_t secret_run(tp_str s, tp_str secret)
{
    size_t least = TP_MIN((size_t)SECRET_RUN, secret.len);
    if (s.len < least)
        return 0;
    const char *at = memmem(secret.ptr, secret.len, s.ptr, least);
    size_t n = at ? least : 0,
           most = at ? TP_MIN(s.len, (size_t)(secret.ptr + secret.len - at)) : 0;
    while (n < most && s.ptr[n] == at[n])
        n++;
    return n;
}

/* A copy of text in which no part of the secret stands. */
static tp_str without_secret(exchange *x, tp_str text)
{
    tp_str secret = sent_secret(x), mark = STR("[...]");
    if (secret.len < SECRET_RUN / 2)
        return arena_str(&x->mem, text);
    char *out = arena_alloc(&x->mem, text.len * 2 + mark.len), *p = out;
    for (size_t i = 0; out && i < text.len;) {
        size_t n = secret_run(str_skip(text, i), secret);
        if (n) {
            memcpy(p, mark.ptr, mark.len);
            p += mark.len;
            i += n;
        } else {
            *p++ = text.ptr[i++];
        }
    }
    return out ? str_make(out, (size_t)(p - out)) : STR_NONE;
}

/* ---- What the client wrote. An upstream's words may quote it, and no log has words of a request. */

#define QUOTE_RUN 12u           /* so many bytes of a request in a row are a quotation */
#define QUOTE_BODY (256u << 10) /* of a longer request it is not looked for: no word is told */
#define QUOTE_BITS 12u
#define QUOTE_SLOTS (1u << QUOTE_BITS)
_Static_assert(NOTE_MAX <= UINT8_MAX && NOTE_MAX < QUOTE_SLOTS, "runs of a note fit");

static int is_ascii(tp_str s)
{
    for (size_t i = 0; i < s.len; i++)
        if ((unsigned char)s.ptr[i] & 0x80)
            return 0;
    return 1;
}

/* Four hexadecimal digits; what is none is not compared: the body has been scanned. */
static int64_t hex_of(const char *p)
{
    int64_t v = 0;
    for (int i = 0; i < 4; i++)
        v = v << 4 | ((p[i] & 15) + (p[i] > '9' ? 9 : 0));
    return v;
}

/* A text as one reads it: what JSON escapes is as it was meant, and what upstreams may write in one
 * way or another (quotes, backslashes, ends of lines) is left out. */
static int next_read(tp_str *rest)
{
    while (rest->len) {
        unsigned char c = (unsigned char)rest->ptr[0];
        size_t n = 1;
        if (c == '\\') {
            char what = rest->len > 1 ? rest->ptr[1] : 0;
            int64_t code = 0; /* nothing to be read */
            if (what == 'u' && rest->len >= 6) {
                code = hex_of(rest->ptr + 2);
                n = 6;
            } else if (what && strchr("bfnrt", what)) {
                n = 2;
            }
            c = code < 0x80 ? (unsigned char)code : 0;
        }
        *rest = str_skip(*rest, n);
        if (c >= 0x20 && c != '"' && c != '\\' && c != 0x7f)
            return c;
    }
    return -1;
}

typedef struct quote_run { /* the last QUOTE_RUN bytes */
    uint64_t first;
    uint32_t last, bytes; /* bytes: how many there are, QUOTE_RUN at most */
} quote_run;

/* One byte more; 1 when the run is whole. */
static int run_on(quote_run *r, int c)
{
    r->first = r->first << 8 | r->last >> 24;
    r->last = r->last << 8 | (uint32_t)c;
    r->bytes += r->bytes < QUOTE_RUN;
    return r->bytes == QUOTE_RUN;
}

static uint32_t slot_of(const quote_run *r)
{
    uint64_t mixed = r->first ^ r->last * UINT64_C(0xff51afd7ed558ccd);
    return (uint32_t)(mixed * UINT64_C(0x9e3779b97f4a7c15) >> (64 - QUOTE_BITS));
}

/* Where the run is, or could be put. */
static uint32_t slot_for(const quote_run *runs, const uint8_t *at, const quote_run *r)
{
    uint32_t s = slot_of(r);
    while (at[s] && (runs[at[s] - 1].first != r->first || runs[at[s] - 1].last != r->last))
        s = (s + 1) % QUOTE_SLOTS;
    return s;
}

/* Do QUOTE_RUN bytes in a row of the words stand in the body? It is read once: when an upstream is
 * in trouble, every request comes by here. */
static int has_run(tp_str body, tp_str words)
{
    quote_run runs[NOTE_MAX], now = {0};
    uint8_t at[QUOTE_SLOTS] = {0}, count = 0; /* at: which of runs, from 1 on; 0: none */
    for (int c; (c = next_read(&words)) >= 0;)
        if (run_on(&now, c)) {
            runs[count++] = now;
            at[slot_for(runs, at, &now)] = count;
        }
    now = (quote_run){0};
    for (int c; (c = next_read(&body)) >= 0;)
        if (run_on(&now, c) && at[slot_for(runs, at, &now)])
            return 1;
    return 0;
}

/* Of a request that may spell other than ASCII in escapes, what is not ASCII may be a quotation. */
static int quotes(tp_str words, tp_str body)
{
    return (!is_ascii(words) && memmem(body.ptr, body.len, "\\u", 2)) || has_run(body, words);
}

/* The words as far as the log may have them: all or nothing. The request is given back when its
 * answer begins; of what its upstream says after that nobody can tell. */
static tp_str unquoted(const exchange *x, tp_str words)
{
    tp_str body = x->op.body.text;
    words = clip(words, NOTE_MAX);
    return body.len && body.len <= QUOTE_BODY && !quotes(words, body) ? words : STR_NONE;
}

/* ---- For the client. */

void dispatch_upstream_over(exchange *x, int failed)
{
    if (x->up_active)
        x->env->act->cancel_upstream = 1;
    x->up_active = 0;
    x->failures += failed && x->sent_us >= 0; /* what was never sent is not the upstream's */
    if (x->live)
        route_live_ended(x->live, failed, x->first_us >= 0 ? x->first_us - x->sent_us : -1);
    x->live = NULL;
    x->local = 0;
    x->local_due = x->phase_due = x->total_due = INT64_MAX;
}

void dispatch_fault_of(exchange *x, int fault_class, const char *what)
{
    tp_str provider = x->on ? x->on->provider->conf->name : STR("?");
    profile_error e = {.status = 502};
    const char *how = "failed";
    if (fault_class == FAULT_UNREACHABLE)
        e.status = 503, how = "cannot be reached";
    else if (fault_class == TP_ERR_TIMEOUT)
        e.status = 504, how = "timed out";
    else if (fault_class == FAULT_INTERNAL)
        how = "could not be asked";
    e.message = arena_printf(&x->mem, "Provider '%.*s' %s: %s.", STR_ARG(provider), how, what);
    x->fault = e;
    tp_str note = arena_printf(&x->mem, "%s: %s", how, what);
    dispatch_note(x, note);
}

/* Whose words they are: on the request, the client's; on the gateway's own key or bill, nobody's
 * but the operator's; anything else may be told to both. */
enum { WORDS_CLIENT, WORDS_OPERATOR, WORDS_BOTH };
typedef struct error_kind {
    int32_t code, status, words;
    const char *said; /* to the client, after the provider's name; NULL: its own words */
} error_kind;

static const error_kind error_kinds[] = {
    {TP_ERR_INVALID, 400, WORDS_CLIENT, NULL},
    {TP_ERR_TOO_LONG, 400, WORDS_CLIENT, NULL},
    {TP_ERR_FILTER, 400, WORDS_CLIENT, NULL},
    {TP_ERR_RATE, 429, WORDS_BOTH, NULL},
    {TP_ERR_OVERLOADED, 503, WORDS_BOTH, NULL},
    {TP_ERR_TIMEOUT, 504, WORDS_BOTH, NULL},
    {TP_ERR_AUTH, 502, WORDS_OPERATOR, "did not accept the gateway's key."},
    {TP_ERR_FORBIDDEN, 502, WORDS_OPERATOR, "does not allow the gateway this request."},
    {TP_ERR_QUOTA, 503, WORDS_OPERATOR, NULL},
    {TP_ERR_UPSTREAM, 502, WORDS_BOTH, NULL},
};

static const error_kind *kind_of(int32_t code)
{
    for (size_t i = 0; i + 1 < TP_COUNT(error_kinds); i++)
        if (error_kinds[i].code == code)
            return &error_kinds[i];
    return &error_kinds[TP_COUNT(error_kinds) - 1];
}

static void note_error(exchange *x, const tp_event *e, const error_kind *k, tp_str words)
{
    char status[24] = "error";
    if (x->up_status >= 400)
        snprintf(status, sizeof(status), "HTTP %d", (int)x->up_status);
    tp_str name = clip(e->id.len ? e->id : e->name, 64);
    tp_str shown = k->words == WORDS_CLIENT ? STR_NONE : unquoted(x, words);
    if (!shown.len)
        shown = name;
    tp_str note = arena_printf(&x->mem, "%s%s%.*s", status, shown.len ? ": " : "", STR_ARG(shown));
    dispatch_note(x, note);
}

static tp_str words_of(exchange *x, const error_kind *k, tp_str words)
{
    tp_str provider = x->on->provider->conf->name;
    if (k->code == TP_ERR_QUOTA && !x->byok) /* no billing details of ours reach a client */
        return STR("The provider is temporarily unavailable.");
    if (k->said && !x->byok)
        return arena_printf(&x->mem, "Provider '%.*s' %s", STR_ARG(provider), k->said);
    if (words.len && (k->status == 400 || k->status == 429))
        return words;
    return arena_printf(&x->mem, "Provider '%.*s' returned an error%s%.*s", STR_ARG(provider),
                        words.len ? ": " : ".", STR_ARG(words));
}

int dispatch_fault_from(exchange *x, const tp_event *e)
{
    const error_kind *k = kind_of(e->code);
    tp_str words = e->text.len ? without_secret(x, e->text) : STR_NONE;
    profile_error f = {.status = k->status, .message = words_of(x, k, words)};
    if (e->number > 0)
        f.retry_after_s = (int32_t)TP_MIN((e->number + 999) / 1000, (int64_t)86400);
    if (k->status == 400 || k->status == 429) {
        f.type = k->status == 400 && e->name.len ? arena_str(&x->mem, e->name) : STR_NONE;
        f.param = arena_str(&x->mem, e->param);
        f.code = arena_str(&x->mem, e->id);
    }
    x->fault = f;
    note_error(x, e, k, words);
    return e->code ? e->code : TP_ERR_UPSTREAM;
}

/* What another candidate cannot better: the request itself is at fault. */
int dispatch_is_final(int fault_class)
{
    return fault_class == TP_ERR_INVALID || fault_class == TP_ERR_TOO_LONG ||
           fault_class == TP_ERR_FILTER;
}

int dispatch_attempt_failed(exchange *x, int fault_class)
{
    dispatch_upstream_over(x, !dispatch_is_final(fault_class));
    x->fault_class = fault_class;
    if (!x->fault.status)
        dispatch_fault_of(x, FAULT_INTERNAL, "the gateway is out of memory");
    if (x->committed || dispatch_is_final(fault_class))
        return dispatch_answer_fault(x);
    x->attempt++;
    return ST_ATTEMPT;
}
