/* The host's function table: what a plugin may call. Everything here runs for each request and
 * each event of a stream: no malloc, no lock, memory from the scratch arena. */
#include <stdio.h>
#include <string.h>
#include "plug/plug_int.h"

#define FAIL_MAX 1000u   /* bytes of a sentence */
#define PARAM_MAX 256u   /* bytes of a parameter's or field's name */
#define REPORT_MAX 64u   /* reports of one call; it is a response header in the end */
#define LOG_MAX 16u      /* lines of one call */
#define QUOTE_SHORT 64u  /* bytes: copying costs less than a segment of its own */
#define DELAY_MAX ((int64_t)24 * 3600 * 1000)

static plug_call *of(tp_call *c)
{
    return TP_CONTAINER(c, plug_call, pub);
}

static int has_bytes(tp_str s)
{
    return s.ptr || s.len == 0;
}

/* ---- Strings and failures */

int plug_is_borrowed(const plug_call *c, tp_str s)
{
    uintptr_t at = (uintptr_t)s.ptr;
    for (uint32_t i = 0; i < c->borrowed_count; i++) {
        uintptr_t base = (uintptr_t)c->borrowed[i].ptr;
        size_t len = c->borrowed[i].len;
        if (at >= base && at - base <= len && s.len <= len - (at - base))
            return 1;
    }
    return 0;
}

int plug_own(plug_call *c, tp_str *s)
{
    if (s->len == 0) {
        *s = STR_NONE;
        return 0;
    }
    if (plug_is_borrowed(c, *s))
        return 0;
    *s = arena_str(&c->scratch->mem, *s);
    return s->ptr ? 0 : -1;
}

tp_status plug_fail(plug_call *c, tp_status status, tp_str param, tp_str why)
{
    plug_out *o = c->out;
    if (status > TP_E_INPUT || status < TP_E_INTERNAL)
        status = TP_E_INTERNAL;
    if (o->failed)
        return status;
    o->failed = 1;
    o->fail_status = status;
    o->fail_param = plug_clean(c, param, PARAM_MAX);
    o->fail_why = plug_clean(c, why, FAIL_MAX);
    if (!o->fail_why.ptr)
        o->fail_why = STR("the plugin failed without saying why");
    return status;
}

static TP_COLD tp_status no_memory(plug_call *c)
{
    return plug_fail(c, TP_E_NOMEM, STR_NONE,
                     STR("the plugin's output went past the memory that one call may use"));
}

/* Misuse of the SDK: the plugin's author reads this, so it names the function. */
static TP_COLD tp_status misuse(plug_call *c, const char *function, const char *what)
{
    char text[256];
    int n = snprintf(text, sizeof(text), "plugin error: %s: %s", function, what);
    return plug_fail(c, TP_E_INTERNAL, STR_NONE,
                     str_make(text, TP_MIN((size_t)TP_MAX(n, 0), sizeof(text) - 1)));
}

static TP_COLD tp_status not_here(plug_call *c, const char *function)
{
    static const char *const words[] = {"create", "parse", "convert", "render", "rank", "build",
                                        "head", "data", "end", "failed"};
    char text[128];
    int32_t w = c->what >= 0 && c->what < (int32_t)TP_COUNT(words) ? c->what : 0;
    snprintf(text, sizeof(text), "it may not be called from %s", words[w]);
    return misuse(c, function, text);
}

static TP_COLD tp_status null_bytes(plug_call *c, const char *function)
{
    return misuse(c, function, "a string has a length but no bytes (ptr is NULL)");
}

#define MAY(c, bits, function)                    \
    do {                                          \
        if (TP_UNLIKELY(!((c)->may & (bits))))    \
            return not_here((c), (function));     \
    } while (0)
#define BYTES(c, s, function)                     \
    do {                                          \
        if (TP_UNLIKELY(!has_bytes(s)))           \
            return null_bytes((c), (function));   \
    } while (0)

/* ---- Memory */

static void *h_alloc(tp_call *call, size_t n)
{
    return arena_alloc(&of(call)->scratch->mem, n);
}

static void *h_keep(tp_call *call, size_t n)
{
    plug_call *c = of(call);
    if (!c->keep || n > c->keep_max)
        return NULL;
    void *p = arena_zalloc(c->keep, n);
    if (p)
        c->keep_max -= n;
    return p;
}

/* ---- The upstream request */

static tp_status h_request(tp_call *call, tp_str method, tp_str path)
{
    plug_call *c = of(call);
    plug_out *o = c->out;
    MAY(c, PLUG_MAY_REQUEST, "request");
    BYTES(c, method, "request");
    BYTES(c, path, "request");
    if (o->has_request || o->has_local)
        return misuse(c, "request", "request or local was called already in this step");
    const char *wrong = plug_check_method(method);
    wrong = wrong ? wrong : plug_check_path(path);
    if (wrong)
        return misuse(c, "request", wrong);
    if (plug_own(c, &method) || plug_own(c, &path))
        return no_memory(c);
    o->method = method;
    o->path = path;
    o->has_request = 1;
    return TP_OK;
}

static tp_status h_local(tp_call *call, int32_t http_status, tp_str type, const tp_local *how)
{
    plug_call *c = of(call);
    plug_out *o = c->out;
    MAY(c, PLUG_MAY_REQUEST, "local");
    BYTES(c, type, "local");
    if (o->has_request || o->has_local)
        return misuse(c, "local", "request or local was called already in this step");
    if (http_status < 200 || http_status > 599)
        return misuse(c, "local", "an HTTP status lies between 200 and 599");
    const char *wrong = plug_check_header(STR("content-type"), type);
    if (wrong)
        return misuse(c, "local", wrong);
    tp_local l = {0};
    if (how)
        memcpy(&l, how, TP_MIN((size_t)how->size, sizeof(l)));
    l.size = sizeof(l);
    if (l.delay_ms < 0 || l.gap_ms < 0 || l.delay_ms > DELAY_MAX || l.gap_ms > DELAY_MAX)
        return misuse(c, "local", "delay_ms and gap_ms lie between 0 and a day");
    if (plug_own(c, &type))
        return no_memory(c);
    o->has_local = 1;
    o->local = l;
    o->local_type = type;
    o->local_status = http_status;
    return TP_OK;
}

static tp_status h_status(tp_call *call, int32_t http_status)
{
    plug_call *c = of(call);
    MAY(c, PLUG_MAY_STATUS, "status");
    if (http_status < 200 || http_status > 599)
        return misuse(c, "status", "an HTTP status lies between 200 and 599");
    c->out->http_status = http_status;
    return TP_OK;
}

static tp_status h_header(tp_call *call, tp_str name, tp_str value)
{
    plug_call *c = of(call);
    plug_out *o = c->out;
    MAY(c, PLUG_MAY_REQUEST | PLUG_MAY_WRITE, "header");
    BYTES(c, name, "header");
    BYTES(c, value, "header");
    value = str_trim(value);
    const char *wrong = plug_check_header(name, value);
    if (!wrong && o->has_secret && str_ieq(name, o->secret_name))
        wrong = "the host puts the secret into this header";
    if (!wrong && o->has_sign && str_ieq(name, STR("authorization")))
        wrong = "the host's signature goes into this header";
    if (wrong)
        return misuse(c, "header", wrong);
    if (plug_own(c, &name) || plug_own(c, &value) ||
        plug_out_header(c->scratch, o, name, value))
        return no_memory(c);
    return TP_OK;
}

static int has_header(const plug_out *o, tp_str name)
{
    for (uint32_t i = 0; i < o->header_count; i++)
        if (str_ieq(o->headers[i].name, name))
            return 1;
    return 0;
}

static tp_status h_secret_header(tp_call *call, tp_str name, tp_str prefix)
{
    plug_call *c = of(call);
    plug_out *o = c->out;
    MAY(c, PLUG_MAY_REQUEST, "secret_header");
    BYTES(c, name, "secret_header");
    BYTES(c, prefix, "secret_header");
    const char *wrong = plug_check_header(name, prefix);
    if (!wrong && o->has_secret)
        wrong = "it was called already; one header has the secret";
    if (!wrong && has_header(o, name))
        wrong = "header has set this header already";
    if (wrong)
        return misuse(c, "secret_header", wrong);
    if (plug_own(c, &name) || plug_own(c, &prefix))
        return no_memory(c);
    o->secret_name = name;
    o->secret_prefix = prefix;
    o->has_secret = 1;
    return TP_OK;
}

static tp_status h_sign(tp_call *call, tp_str scheme, tp_str params_json)
{
    plug_call *c = of(call);
    plug_out *o = c->out;
    MAY(c, PLUG_MAY_REQUEST, "sign");
    BYTES(c, scheme, "sign");
    BYTES(c, params_json, "sign");
    if (o->has_sign)
        return misuse(c, "sign", "it was called already; a request is signed once");
    if (scheme.len == 0)
        return misuse(c, "sign", "the scheme is empty; \"aws4\" or \"google-oauth\" was expected");
    if (has_header(o, STR("authorization")))
        return misuse(c, "sign", "header has set authorization already");
    if (plug_own(c, &scheme) || plug_own(c, &params_json))
        return no_memory(c);
    o->sign_scheme = scheme;
    o->sign_params = params_json;
    o->has_sign = 1;
    return TP_OK;
}

/* ---- Bytes */

static tp_status h_write(tp_call *call, tp_str bytes)
{
    plug_call *c = of(call);
    MAY(c, PLUG_MAY_REQUEST | PLUG_MAY_WRITE, "write");
    BYTES(c, bytes, "write");
    if (TP_UNLIKELY(plug_out_write(c->scratch, c->out, bytes, !plug_is_borrowed(c, bytes))))
        return no_memory(c);
    return TP_OK;
}

/* What follows the backslash for bytes that need one; 'u': as \u00XX; 0: none. */
static char escape_of(unsigned char b)
{
    if (TP_LIKELY(b >= 0x20))
        return b == '"' || b == '\\' ? (char)b : 0;
    switch (b) {
    case '\b': return 'b';
    case '\f': return 'f';
    case '\n': return 'n';
    case '\r': return 'r';
    case '\t': return 't';
    default: return 'u';
    }
}

static void escape_into(char *p, tp_str text)
{
    static const char hex[] = "0123456789abcdef";
    for (size_t i = 0; i < text.len; i++) {
        unsigned char b = (unsigned char)text.ptr[i];
        char e = escape_of(b);
        if (e)
            *p++ = '\\';
        *p++ = e ? e : (char)b;
        if (e == 'u') {
            *p++ = '0';
            *p++ = '0';
            *p++ = hex[b >> 4];
            *p++ = hex[b & 15];
        }
    }
}

/* Short text that needs no escapes, in one go: 1; or 0, and nothing is written. */
static int quote_plain(plug_call *c, tp_str text)
{
    for (size_t i = 0; i < text.len; i += 8)
        if (!str_json_plain(str_part(text, i)))
            return 0;
    char *p = plug_out_room(c->scratch, c->out, text.len + 2);
    if (!p)
        return 0; /* what comes next fails likewise */
    p[0] = '"';
    str_copy(p + 1, text.ptr, text.len);
    p[text.len + 1] = '"';
    return 1;
}

/* Text of any kind and length. What is borrowed and needs no escapes is not copied. */
static tp_status quote_any(plug_call *c, tp_str text)
{
    size_t more = 0;
    for (size_t i = 0; i < text.len; i++) {
        char e = escape_of((unsigned char)text.ptr[i]);
        more += e == 0 ? 0 : e == 'u' ? 5 : 1;
    }
    if (!more && plug_is_borrowed(c, text)) {
        tp_str quote = STR("\"");
        return plug_out_write(c->scratch, c->out, quote, 1) ||
                       plug_out_write(c->scratch, c->out, text, 0) ||
                       plug_out_write(c->scratch, c->out, quote, 1)
                   ? no_memory(c) : TP_OK;
    }
    size_t n = text.len + more + 2;
    char *p = n > more ? plug_out_room(c->scratch, c->out, n) : NULL;
    if (!p)
        return no_memory(c);
    p[0] = '"';
    p[n - 1] = '"';
    if (more)
        escape_into(p + 1, text);
    else if (text.len)
        memcpy(p + 1, text.ptr, text.len);
    return TP_OK;
}

static tp_status h_quote(tp_call *call, tp_str text)
{
    plug_call *c = of(call);
    MAY(c, PLUG_MAY_REQUEST | PLUG_MAY_WRITE, "quote");
    BYTES(c, text, "quote");
    if (text.len <= QUOTE_SHORT && quote_plain(c, text))
        return TP_OK;
    if (!json_utf8_valid(text))
        return misuse(c, "quote", "the text is not valid UTF-8, so it cannot be a JSON string");
    return quote_any(c, text);
}

static size_t base64_into(char *p, tp_str s)
{
    static const char abc[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    const unsigned char *b = (const unsigned char *)s.ptr;
    size_t n = 0, i = 0;
    for (; i + 2 < s.len; i += 3) {
        uint32_t v = (uint32_t)b[i] << 16 | (uint32_t)b[i + 1] << 8 | b[i + 2];
        p[n++] = abc[v >> 18];
        p[n++] = abc[v >> 12 & 63];
        p[n++] = abc[v >> 6 & 63];
        p[n++] = abc[v & 63];
    }
    if (i < s.len) {
        uint32_t v = (uint32_t)b[i] << 16 | (i + 1 < s.len ? (uint32_t)b[i + 1] << 8 : 0);
        p[n++] = abc[v >> 18];
        p[n++] = abc[v >> 12 & 63];
        p[n++] = i + 1 < s.len ? abc[v >> 6 & 63] : '=';
        p[n++] = '=';
    }
    return n;
}

static tp_status h_attach(tp_call *call, uint32_t part, uint32_t base64)
{
    plug_call *c = of(call);
    MAY(c, PLUG_MAY_REQUEST, "attach");
    if (part >= c->parts.count)
        return misuse(c, "attach", "there is no part of this number in the operation's parts");
    tp_part p = {0};
    const void *at = (const char *)c->parts.ptr + (size_t)part * c->parts.stride;
    memcpy(&p, at, TP_MIN((size_t)c->parts.stride, sizeof(p)));
    if (p.length != (int64_t)p.head.len)
        return plug_fail(c, TP_E_UNSUPPORTED, p.name,
                         STR("this part of the form is too large to be passed on by this host; "
                             "send a smaller file"));
    if (!base64 || p.head.len == 0)
        return h_write(call, p.head);
    if (p.head.len > SIZE_MAX / 2)
        return no_memory(c);
    char *out = arena_alloc(&c->scratch->mem, (p.head.len + 2) / 3 * 4);
    if (!out || plug_out_write(c->scratch, c->out, str_make(out, base64_into(out, p.head)), 0))
        return no_memory(c);
    return TP_OK;
}

/* ---- Events, reports, failure, log */

/* A later SDK's event may be longer, an older one's shorter: what is common is taken. */
static void take_event(tp_event *to, const tp_event *e)
{
    if (TP_LIKELY(e->size == sizeof(*to))) {
        *to = *e;
        return;
    }
    memset(to, 0, sizeof(*to));
    memcpy(to, e, TP_MIN((size_t)e->size, sizeof(*to)));
    to->size = sizeof(*to);
}

/* One piece of memory for all strings that are not borrowed; bit i of which: the i-th is one. */
static int copy_strings(plug_call *c, tp_str *const *strings, uint32_t which)
{
    size_t need = 0;
    for (uint32_t bits = which; bits; bits &= bits - 1)
        need += strings[__builtin_ctz(bits)]->len; /* cannot wrap: each lies in this process */
    char *p = arena_alloc(&c->scratch->mem, need);
    if (TP_UNLIKELY(!p))
        return -1;
    for (uint32_t bits = which; bits; bits &= bits - 1) {
        tp_str *s = strings[__builtin_ctz(bits)];
        memcpy(p, s->ptr, s->len);
        s->ptr = p;
        p += s->len;
    }
    return 0;
}

static tp_status h_emit(tp_call *call, const tp_event *e)
{
    plug_call *c = of(call);
    MAY(c, PLUG_MAY_EMIT, "emit");
    if (TP_UNLIKELY(!e || e->size < offsetof(tp_event, choice)))
        return misuse(c, "emit", "the event's size is not set; begin it with {.size = "
                      "sizeof(tp_event), ...}");
    tp_event *to = plug_out_slot(c->scratch, c->out);
    if (TP_UNLIKELY(!to))
        return no_memory(c);
    take_event(to, e);
    tp_str *const strings[] = {&to->id, &to->name, &to->text, &to->raw, &to->param};
    uint32_t copy = 0;
    for (uint32_t i = 0; i < TP_COUNT(strings); i++) {
        tp_str *s = strings[i];
        if (s->len == 0) {
            *s = STR_NONE;
            continue;
        }
        if (TP_UNLIKELY(!s->ptr))
            return null_bytes(c, "emit");
        copy |= (uint32_t)!plug_is_borrowed(c, *s) << i;
    }
    if (copy && TP_UNLIKELY(copy_strings(c, strings, copy)))
        return no_memory(c);
    /* An upstream's words become JSON of the gateway's own, and not all of them come as JSON: a
     * header's value, or a string of a binary framing, is of any bytes. */
    if (to->kind == TP_EV_ERROR)
        for (uint32_t i = 0; i < TP_COUNT(strings); i++)
            if (!json_utf8_valid(*strings[i]))
                *strings[i] = plug_clean(c, *strings[i], strings[i]->len);
    c->out->event_count++;
    return TP_OK;
}

static tp_status h_report(tp_call *call, int32_t what, tp_str field, tp_str why)
{
    plug_call *c = of(call);
    plug_out *o = c->out;
    BYTES(c, field, "report");
    BYTES(c, why, "report");
    for (uint32_t i = 0; i < o->report_count; i++)
        if (o->reports[i].what == what && str_eq(o->reports[i].field, field))
            return TP_OK; /* said already */
    if (o->report_count == REPORT_MAX)
        return TP_OK;
    if (o->report_count == o->report_cap) {
        uint32_t cap = o->report_cap ? o->report_cap * 2 : 8;
        plug_report *r = arena_alloc(&c->scratch->mem, cap * sizeof(*r));
        if (!r)
            return no_memory(c);
        if (o->report_count)
            memcpy(r, o->reports, o->report_count * sizeof(*r));
        o->reports = r;
        o->report_cap = cap;
    }
    plug_report *r = &o->reports[o->report_count++];
    if (o->report_count == REPORT_MAX) /* the list is cut, and that is said too */
        *r = (plug_report){.what = what, .field = STR("..."), .why = STR("and further ones")};
    else
        *r = (plug_report){.what = what, .field = plug_clean(c, field, PARAM_MAX),
                           .why = plug_clean(c, why, FAIL_MAX)};
    return TP_OK;
}

static tp_status h_fail(tp_call *call, tp_status status, tp_str param, tp_str why)
{
    return plug_fail(of(call), status, param, why);
}

static void h_log(tp_call *call, int32_t level, tp_str message)
{
    plug_call *c = of(call);
    if (!has_bytes(message) || c->log_lines >= LOG_MAX)
        return; /* a plugin must not fill the disk for each event */
    c->log_lines++;
    level = TP_MIN(TP_MAX(level, LOG_ERROR), LOG_DEBUG);
    message.len = TP_MIN(message.len, FAIL_MAX);
    log_line(c->scratch->log, level, "plugin %.*s: %.*s", STR_ARG(c->who), STR_ARG(message));
}

/* ---- JSON */

/* Does this call read what an upstream sent? */
static uint32_t of_reply(const plug_call *c)
{
    return c->what >= PLUG_HEAD || c->what == PLUG_RENDER;
}

static tp_status h_scan(tp_call *call, tp_str text, tp_doc *out)
{
    plug_call *c = of(call);
    plug_scratch *s = c->scratch;
    BYTES(c, text, "scan");
    *out = (tp_doc){.text = text};
    for (size_t i = 0; i < TP_COUNT(s->memo); i++) {
        if (s->memo[i].text.ptr == text.ptr && s->memo[i].text.len == text.len && text.len) {
            out->tokens = s->memo[i].tokens;
            out->count = s->memo[i].count;
            return TP_OK;
        }
    }
    s->scan_error.code = 0;
    /* The tape scans requests, too: what is forgiven an upstream is not forgiven a client. */
    s->tape.lone_surrogates = of_reply(c);
    int rc = json_scan_doc(text, &s->tape, &s->mem, out, &s->scan_error);
    s->tape.lone_surrogates = 0;
    if (TP_UNLIKELY(rc)) {
        *out = (tp_doc){.text = text};
        if (s->scan_error.code == 0 || s->scan_error.code == JSON_E_NOMEM)
            return no_memory(c);
        return c->what >= PLUG_HEAD ? TP_E_UPSTREAM : TP_E_INPUT;
    }
    /* Only bytes that the plugin cannot change: at the same address its own may differ later. */
    if (plug_is_borrowed(c, text))
        plug_scratch_know(s, out);
    return TP_OK;
}

static uint32_t h_find(const tp_doc *d, uint32_t object, tp_str key)
{
    if (!d || object >= d->count || d->tokens[object].kind != TP_OBJECT)
        return 0;
    return json_find(d, object, key);
}

static tp_str h_text(tp_call *call, const tp_doc *d, uint32_t string)
{
    if (!d || string >= d->count || d->tokens[string].kind != TP_STRING)
        return STR_NONE;
    return json_string(d, string, &of(call)->scratch->mem);
}

static const void *h_get_extension(const tp_host *host, const char *id)
{
    (void)host;
    (void)id; /* none yet: a later service answers to its id here */
    return NULL;
}

const tp_host *plug_host(void)
{
    static const tp_host host = {
        .size = sizeof(tp_host), .minor = TP_SDK_MINOR,
        .alloc = h_alloc, .keep = h_keep, .request = h_request, .local = h_local,
        .status = h_status, .header = h_header, .secret_header = h_secret_header, .sign = h_sign,
        .write = h_write, .quote = h_quote, .attach = h_attach, .emit = h_emit,
        .report = h_report, .fail = h_fail, .log = h_log, .scan = h_scan, .find = h_find,
        .text = h_text, .get_extension = h_get_extension};
    return &host;
}
