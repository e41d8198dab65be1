/* A request as libcurl's options, a reply from libcurl's callbacks. */
#include <stdio.h>
#include <stdlib.h>

#include "base/str.h"
#include "loop/curl_int.h"

/* ---- the reply, as libcurl tells it */
void upc_wrong(cstream *s, int reason, const char *why)
{
    if (!s->reason) {
        s->reason = reason;
        s->why = why;
    }
}

static tp_str next_line(tp_str *rest)
{
    size_t n = str_find(*rest, '\n');
    tp_str line = {rest->ptr, n};
    *rest = str_skip(*rest, n + 1);
    if (line.len && line.ptr[line.len - 1] == '\r')
        line.len--;
    return line;
}

static int known_kind(tp_str name)
{
    static const struct {
        const char *name;
        int kind;
    } kinds[] = {{"content-type", HTTP_H_CONTENT_TYPE},
                 {"content-length", HTTP_H_CONTENT_LENGTH},
                 {"transfer-encoding", HTTP_H_TRANSFER_ENCODING},
                 {"connection", HTTP_H_CONNECTION},
                 {"keep-alive", HTTP_H_KEEP_ALIVE},
                 {"retry-after", HTTP_H_RETRY_AFTER},
                 {"content-encoding", HTTP_H_CONTENT_ENCODING},
                 {"x-request-id", HTTP_H_REQUEST_ID}};
    for (size_t i = 0; i < TP_COUNT(kinds); i++)
        if (str_eq(name, str_of(kinds[i].name)))
            return kinds[i].kind;
    return HTTP_H_OTHER;
}

static int take_header(http_head *h, char *p, size_t len)
{
    size_t colon = str_find(str_make(p, len), ':');
    if (colon == 0 || colon == len)
        return -1;
    for (size_t i = 0; i < colon; i++)
        if (p[i] >= 'A' && p[i] <= 'Z')
            p[i] = (char)(p[i] | 0x20);
    tp_header *x = &h->headers[h->header_count++];
    x->name = str_make(p, colon);
    x->value = str_trim(str_make(p + colon + 1, len - colon - 1));
    int kind = known_kind(x->name);
    if (kind && !h->known[kind].ptr)
        h->known[kind] = x->value;
    if (kind == HTTP_H_CONTENT_LENGTH && str_to_i64(x->value, &h->content_length) < 0)
        return -1;
    if (kind == HTTP_H_TRANSFER_ENCODING)
        h->chunked = 1;
    return 0;
}

/* The gathered lines as an http_head in the stream's arena. */
static void build_head(cstream *s, long status)
{
    tp_str rest = arena_str(s->a, buf_str(&s->raw));
    uint32_t lines = 0;
    for (size_t i = 0; i < rest.len; i++)
        lines += rest.ptr[i] == '\n';
    http_head *h = rest.ptr ? arena_zalloc(s->a, sizeof(*h)) : NULL;
    if (h)
        h->headers = arena_zalloc(s->a, (lines + 1) * sizeof(*h->headers));
    if (!h || !h->headers) {
        upc_wrong(s, UP_E_NOMEM,
                  "the head of the reply does not fit into the memory of one request");
        return;
    }
    h->status = (int32_t)status;
    h->content_length = -1;
    h->minor = 1;
    h->keep_alive = 1;
    (void)next_line(&rest); /* the status line */
    while (rest.len) {
        tp_str line = next_line(&rest);
        if (line.len && take_header(h, (char *)(uintptr_t)line.ptr, line.len) < 0) {
            upc_wrong(s, UP_E_PROTOCOL, "the head of the reply is malformed");
            return;
        }
    }
    s->head = h;
}

static void on_tls_message(int sent, int version, int type, const void *p, size_t len, SSL *ssl,
                           void *arg)
{
    cstream *s = arg;
    (void)version;
    (void)ssl;
    if (!sent && type == SSL3_RT_ALERT && len == 2 &&
        ((const unsigned char *)p)[1] == SSL_AD_CLOSE_NOTIFY)
        s->notified = 1;
}

/* libcurl takes a reply that lasts until the connection ends for whole, also when TLS did not say
 * that it ends. So we look for the alert ourselves. */
static void watch_end(cstream *s, long status)
{
    struct curl_tlssessioninfo *tls = NULL;
    long version = 0;
    curl_easy_getinfo(s->easy, CURLINFO_HTTP_VERSION, &version);
    if (!s->head || !s->r.to->tls || s->head->content_length >= 0 || s->head->chunked ||
        status == 204 || status == 304 || version >= CURL_HTTP_VERSION_2_0 ||
        str_eq(s->r.method, STR("HEAD")))
        return;
    if (curl_easy_getinfo(s->easy, CURLINFO_TLS_SSL_PTR, &tls) == CURLE_OK && tls &&
        tls->backend == CURLSSLBACKEND_OPENSSL && tls->internals) {
        s->ssl = tls->internals;
        SSL_up_ref(s->ssl);
        SSL_set_msg_callback(s->ssl, on_tls_message);
        SSL_set_msg_callback_arg(s->ssl, s);
    }
}

static size_t on_header(char *p, size_t size, size_t count, void *arg)
{
    cstream *s = arg;
    size_t n = size * count;
    long status = 0;
    if (s->head) /* trailers */
        return n;
    if (n > 5 && memcmp(p, "HTTP/", 5) == 0)
        s->raw.len = 0;
    if (buf_add(&s->raw, p, n) < 0) {
        upc_wrong(s, UP_E_PROTOCOL, "the head of the reply is longer than 64 KiB");
        return 0;
    }
    if (n > 2 || (n && p[0] != '\r' && p[0] != '\n'))
        return n;
    curl_easy_getinfo(s->easy, CURLINFO_RESPONSE_CODE, &status);
    if (status >= 200) {
        build_head(s, status);
        watch_end(s, status);
        upc_mark(s);
    }
    return s->reason ? 0 : n;
}

static size_t on_body(char *p, size_t size, size_t count, void *arg)
{
    cstream *s = arg;
    size_t n = size * count;
    if (s->body.len && s->body.len + n > HOLD_MAX) {
        s->curl_paused = 1;
        upc_mark(s);
        return CURL_WRITEFUNC_PAUSE;
    }
    if (buf_add(&s->body, p, n) < 0) {
        upc_wrong(s, UP_E_NOMEM, "out of memory");
        return 0;
    }
    upc_mark(s);
    return n;
}

static int on_sending(void *arg, char *ip, char *local, int port, int local_port)
{
    cstream *s = arg;
    (void)ip;
    (void)local;
    (void)port;
    (void)local_port;
    s->state = s->r.body_bytes ? UP_SENDING : UP_SENT;
    upc_mark(s);
    return CURL_PREREQFUNC_OK;
}

static size_t on_upload(char *to, size_t size, size_t count, void *arg)
{
    cstream *s = arg;
    size_t cap = size * count, got = 0;
    while (got < cap && s->seg < s->r.seg_count) {
        tp_str seg = str_skip(s->r.segs[s->seg], s->seg_at);
        size_t some = TP_MIN(cap - got, seg.len);
        if (some)
            memcpy(to + got, seg.ptr, some);
        got += some;
        s->seg_at += some;
        if (some == seg.len) {
            s->seg++;
            s->seg_at = 0;
        }
    }
    if (s->seg == s->r.seg_count && s->state == UP_SENDING) {
        s->state = UP_SENT;
        upc_mark(s);
    }
    return got;
}

static int on_rewind(void *arg, curl_off_t at, int origin)
{
    cstream *s = arg;
    if (at != 0 || origin != SEEK_SET)
        return CURL_SEEKFUNC_CANTSEEK;
    s->seg = 0;
    s->seg_at = 0;
    s->t->st.retries++;
    return CURL_SEEKFUNC_OK;
}

/* ---- the request */
static int add_header(cstream *s, tp_str name, tp_str value, int *seen)
{
    char small[1024], *line = small;
    size_t need = name.len + value.len + 4;
    for (size_t i = 0; i < name.len; i++)
        if ((unsigned char)name.ptr[i] <= ' ' || name.ptr[i] == ':' || name.ptr[i] == 127)
            return -1;
    for (size_t i = 0; i < value.len; i++)
        if (value.ptr[i] == '\r' || value.ptr[i] == '\n' || value.ptr[i] == 0)
            return -1;
    if (name.len == 0)
        return -1;
    if (need > sizeof(small) && !(line = malloc(need)))
        return -1;
    if (value.len)
        snprintf(line, need, "%.*s: %.*s", STR_ARG(name), STR_ARG(value));
    else
        snprintf(line, need, "%.*s;", STR_ARG(name));
    struct curl_slist *l = curl_slist_append(s->headers, line);
    if (line != small)
        free(line);
    if (!l)
        return -1;
    s->headers = l;
    *seen |= str_ieq(name, STR("accept")) ? 1 : str_ieq(name, STR("content-type")) ? 2 : 0;
    return 0;
}

static int set_headers(cstream *s)
{
    int seen = 0, rc = add_header(s, STR("Host"), s->r.to->authority, &seen);
    for (uint32_t i = 0; rc == 0 && i < s->r.header_count; i++)
        rc = add_header(s, s->r.headers[i].name, s->r.headers[i].value, &seen);
    if (rc)
        return rc;
    /* What libcurl would add of its own. */
    static const char *const off[] = {"Accept:", "Content-Type:", "Expect:"};
    for (unsigned i = 0; i < TP_COUNT(off); i++) {
        if (i < 2 && (seen & (1 << i)))
            continue;
        struct curl_slist *l = curl_slist_append(s->headers, off[i]);
        if (!l)
            return -1;
        s->headers = l;
    }
    curl_easy_setopt(s->easy, CURLOPT_HTTPHEADER, s->headers);
    return 0;
}

static int set_url(cstream *s)
{
    const up_origin *to = s->r.to;
    buf b;
    int six = str_find(to->host, ':') < to->host.len;
    for (size_t i = 0; i < s->r.target.len; i++)
        if ((unsigned char)s->r.target.ptr[i] <= ' ' || s->r.target.ptr[i] == 127)
            return -1;
    buf_init(&b, HEAD_MAX);
    int rc = buf_printf(&b, "%s://%s%.*s%s:%d%.*s", to->tls ? "https" : "http", six ? "[" : "",
                        STR_ARG(to->host), six ? "]" : "", to->port, STR_ARG(s->r.target));
    rc = rc ? rc : buf_add(&b, "", 1);
    if (rc == 0 && curl_easy_setopt(s->easy, CURLOPT_URL, b.ptr) != CURLE_OK)
        rc = -1;
    buf_free(&b);
    return rc;
}

static int set_text(CURL *easy, CURLoption what, tp_str value)
{
    char *z = strndup(value.ptr ? value.ptr : "", value.len);
    int rc = z && curl_easy_setopt(easy, what, z) == CURLE_OK ? 0 : -1;
    free(z);
    return rc;
}

static int set_method(cstream *s)
{
    CURL *e = s->easy;
    tp_str m = s->r.method;
    for (size_t i = 0; i < m.len; i++)
        if ((unsigned char)m.ptr[i] <= ' ' || m.ptr[i] == 127)
            return -1;
    int body = s->r.body_bytes || str_eq(m, STR("POST")) || str_eq(m, STR("PUT")) ||
               str_eq(m, STR("PATCH"));
    if (str_eq(m, STR("HEAD")) && !body) {
        curl_easy_setopt(e, CURLOPT_NOBODY, 1L);
        return 0;
    }
    if (body) {
        curl_easy_setopt(e, CURLOPT_POST, 1L);
        curl_easy_setopt(e, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)s->r.body_bytes);
        curl_easy_setopt(e, CURLOPT_READFUNCTION, on_upload);
        curl_easy_setopt(e, CURLOPT_READDATA, s);
        curl_easy_setopt(e, CURLOPT_SEEKFUNCTION, on_rewind);
        curl_easy_setopt(e, CURLOPT_SEEKDATA, s);
        if (str_eq(m, STR("POST")))
            return 0;
    } else if (str_eq(m, STR("GET"))) {
        return 0;
    }
    return set_text(e, CURLOPT_CUSTOMREQUEST, m);
}

static int set_way(cstream *s)
{
    const up_origin *to = s->r.to;
    CURL *e = s->easy;
    int rc = 0;
    curl_easy_setopt(e, CURLOPT_HTTP_VERSION,
                     (long)(!to->http2 ? CURL_HTTP_VERSION_1_1
                            : to->tls  ? CURL_HTTP_VERSION_2TLS
                                       : CURL_HTTP_VERSION_2_PRIOR_KNOWLEDGE));
    curl_easy_setopt(e, CURLOPT_PIPEWAIT, to->http2 ? 1L : 0L);
    if (to->http2 && !to->tls && s->t->h2c_once) {
        curl_easy_setopt(e, CURLOPT_FRESH_CONNECT, 1L);
        curl_easy_setopt(e, CURLOPT_FORBID_REUSE, 1L);
        curl_easy_setopt(e, CURLOPT_PIPEWAIT, 0L);
    }
    curl_easy_setopt(e, CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
    if (to->ca_file.len) {
        rc |= set_text(e, CURLOPT_CAINFO, to->ca_file);
        curl_easy_setopt(e, CURLOPT_CAPATH, NULL);
    }
    if (!str_eq(to->proxy, STR("environment"))) {
        rc |= set_text(e, CURLOPT_PROXY, to->proxy); /* "": none, whatever the environment says */
        curl_easy_setopt(e, CURLOPT_NOPROXY, "");
    }
    return rc;
}

int upc_prepare(cstream *s, shard *sh)
{
    CURL *e = s->easy;
    curl_easy_setopt(e, CURLOPT_PRIVATE, s);
    curl_easy_setopt(e, CURLOPT_ERRORBUFFER, s->error);
    curl_easy_setopt(e, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(e, CURLOPT_TCP_NODELAY, 1L);
    curl_easy_setopt(e, CURLOPT_FOLLOWLOCATION, 0L);
    curl_easy_setopt(e, CURLOPT_PATH_AS_IS, 1L);
    curl_easy_setopt(e, CURLOPT_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(e, CURLOPT_SUPPRESS_CONNECT_HEADERS, 1L);
    curl_easy_setopt(e, CURLOPT_MAXAGE_CONN, 60L);
    curl_easy_setopt(e, CURLOPT_HEADERFUNCTION, on_header);
    curl_easy_setopt(e, CURLOPT_HEADERDATA, s);
    curl_easy_setopt(e, CURLOPT_WRITEFUNCTION, on_body);
    curl_easy_setopt(e, CURLOPT_WRITEDATA, s);
    curl_easy_setopt(e, CURLOPT_PREREQFUNCTION, on_sending);
    curl_easy_setopt(e, CURLOPT_PREREQDATA, s);
    curl_easy_setopt(e, CURLOPT_CLOSESOCKETFUNCTION, upc_close_socket);
    curl_easy_setopt(e, CURLOPT_CLOSESOCKETDATA, sh);
    if (set_headers(s) || set_url(s) || set_method(s) || set_way(s)) {
        upc_wrong(s, UP_E_PROTOCOL,
                  "the request cannot be sent: its method, target or a header holds a character "
                  "that may not stand there, or memory is out");
        return -1;
    }
    return 0;
}
