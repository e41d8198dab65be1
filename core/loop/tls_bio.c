/* One connection's TLS. OpenSSL reads the ciphertext where the loop has just read it, and what it
 * writes gathers in one buffer of the loop: neither side has memory of its own while it is idle. */
#include <arpa/inet.h>
#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/str.h"
#include "loop/tls_int.h"

#define RECORD 16384u

typedef struct scratch { /* one a loop, made with its first TLS connection */
    net *writer;    /* whose bytes are in out */
    size_t out_len;
    char why[512];
    char plain[NET_READ_BUFFER];
    char gather[RECORD];
    char out[2 * NET_READ_BUFFER];
} scratch;

struct tls_session {
    SSL *ssl;
    tls_context *context;
    tls_resume *resume;
    const char *name; /* client: whom we want to reach */
    const char *in;   /* ciphertext at hand, not yet read */
    size_t in_len;
    char *kept;       /* own memory for it, while the user has stopped reading */
    uint8_t ended;    /* eof() or error() was said */
    uint8_t more;     /* stopped in the middle: OpenSSL may hold decrypted bytes */
    uint8_t pumping;
};

static scratch *scratch_of(net_loop *l)
{
    if (!l->tls_scratch)
        l->tls_scratch = calloc(1, sizeof(scratch));
    return l->tls_scratch;
}

void tls_scratch_free(net_loop *l)
{
    free(l->tls_scratch);
    l->tls_scratch = NULL;
}

/* ---- output */
static int flush(scratch *x)
{
    if (x->out_len == 0)
        return 0;
    uv_buf_t b = uv_buf_init(x->out, (unsigned)x->out_len);
    x->out_len = 0;
    return net_raw_write(x->writer, &b, 1, b.len);
}

static int bio_write(BIO *bio, const char *p, int len)
{
    net *n = BIO_get_data(bio);
    scratch *x = n->loop->tls_scratch;
    if (len <= 0)
        return 0;
    if (x->writer != n) {
        (void)flush(x); /* another's; a failure marks that one as broken */
        x->writer = n;
    }
    if ((size_t)len > sizeof(x->out) - x->out_len && flush(x) < 0)
        return -1;
    if ((size_t)len > sizeof(x->out)) {
        uv_buf_t b = uv_buf_init((char *)(uintptr_t)p, (unsigned)len);
        return net_raw_write(n, &b, 1, b.len) < 0 ? -1 : len;
    }
    memcpy(x->out + x->out_len, p, (size_t)len);
    x->out_len += (size_t)len;
    return len;
}

static int flush_of(net *n)
{
    scratch *x = n->loop->tls_scratch;
    if (x->writer != n)
        return n->failed ? UV_EPIPE : 0;
    return flush(x);
}

/* ---- input */
static int bio_read(BIO *bio, char *p, int len)
{
    net *n = BIO_get_data(bio);
    tls_session *s = n->tls;
    BIO_clear_retry_flags(bio);
    if (len <= 0)
        return 0;
    if (s->in_len == 0) {
        BIO_set_retry_read(bio);
        return -1;
    }
    size_t some = TP_MIN((size_t)len, s->in_len);
    memcpy(p, s->in, some);
    s->in += some;
    s->in_len -= some;
    return (int)some;
}

static long bio_ctrl(BIO *bio, int cmd, long num, void *ptr)
{
    (void)bio;
    (void)num;
    (void)ptr;
    return cmd == BIO_CTRL_FLUSH || cmd == BIO_CTRL_DUP;
}

BIO_METHOD *tls_bio_method(void)
{
    BIO_METHOD *m = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "turnpike");
    TP_MUST(m);
    BIO_meth_set_read(m, bio_read);
    BIO_meth_set_write(m, bio_write);
    BIO_meth_set_ctrl(m, bio_ctrl);
    return m;
}

/* ---- sessions */
int tls_session_kept(SSL *ssl, SSL_SESSION *session)
{
    net *n = SSL_get_app_data(ssl);
    tls_resume *r = n->tls ? n->tls->resume : NULL;
    if (!r)
        return 0;
    SSL_SESSION_free(r->session);
    r->session = session;
    return 1;
}

static void set_peer_name(SSL *ssl, const char *name)
{
    X509_VERIFY_PARAM *v = SSL_get0_param(ssl);
    struct in6_addr ip;
    X509_VERIFY_PARAM_set_hostflags(v, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
    if (inet_pton(AF_INET, name, &ip) == 1 || inet_pton(AF_INET6, name, &ip) == 1) {
        X509_VERIFY_PARAM_set1_ip_asc(v, name);
    } else {
        X509_VERIFY_PARAM_set1_host(v, name, 0);
        SSL_set_tlsext_host_name(ssl, name);
    }
}

tls_session *tls_session_new(tls_context *c, net *n, const char *name, tls_resume *resume)
{
    tls_session *s = scratch_of(n->loop) ? calloc(1, sizeof(*s)) : NULL;
    BIO *bio = s ? BIO_new(c->bio) : NULL;
    if (bio)
        s->ssl = SSL_new(c->ctx[0]);
    if (!bio || !s->ssl) {
        BIO_free(bio);
        free(s);
        return NULL;
    }
    BIO_set_data(bio, n);
    BIO_set_init(bio, 1);
    SSL_set_bio(s->ssl, bio, bio);
    SSL_set_app_data(s->ssl, n);
    s->context = c;
    s->resume = resume;
    s->name = name;
    tls_context_ref(c);
    if (c->server) {
        SSL_set_accept_state(s->ssl);
        return s;
    }
    SSL_set_connect_state(s->ssl);
    if (name)
        set_peer_name(s->ssl, name);
    if (resume && resume->session)
        SSL_set_session(s->ssl, resume->session);
    return s;
}

void tls_session_free(tls_session *s)
{
    if (!s)
        return;
    scratch *x = NULL;
    net *n = SSL_get_app_data(s->ssl);
    x = n->loop->tls_scratch;
    if (x && x->writer == n) {
        x->writer = NULL;
        x->out_len = 0;
    }
    /* What had to be said was said in tls_shutdown. Without this OpenSSL would forbid to resume the
     * session, which guards against truncation in SSL 3 only. */
    SSL_set_shutdown(s->ssl, SSL_SENT_SHUTDOWN | SSL_RECEIVED_SHUTDOWN);
    SSL_free(s->ssl);
    tls_context_unref(s->context);
    free(s->kept);
    free(s);
}

/* The chain has served its purpose once it is checked; it is the largest part of a session. The
 * leaf stays, as the session refers to it. */
static void drop_chain(STACK_OF(X509) *chain)
{
    X509 *x;
    while (chain && (x = sk_X509_pop(chain)))
        X509_free(x);
}

static void say_error(net *n, const char *doing)
{
    tls_session *s = n->tls;
    scratch *x = n->loop->tls_scratch;
    long verify = SSL_get_verify_result(s->ssl);
    unsigned long e = ERR_peek_error();
    if (!SSL_is_server(s->ssl) && verify != X509_V_OK &&
        ERR_GET_REASON(e) == SSL_R_CERTIFICATE_VERIFY_FAILED) {
        ERR_clear_error();
        snprintf(x->why, sizeof(x->why), "the certificate of %s is not trusted: %s",
                 s->name ? s->name : "the peer", X509_verify_cert_error_string(verify));
    } else {
        snprintf(x->why, sizeof(x->why), "TLS %s%s%s failed: %s", doing, s->name ? " with " : "",
                 s->name ? s->name : "", tls_reason());
    }
    if (s->ended)
        return;
    s->ended = 1;
    (void)flush_of(n); /* the alert, so that the peer knows why; a batch would be dropped with us */
    if (n->batched)
        net_batch_flush(n->loop);
    net_fail(n, UV_EPROTO, x->why);
}

static int alive(const net *n)
{
    return !n->closing && n->failed != 2 && !n->tls->ended;
}

/* 1: done and still there. */
static int handshake(net *n)
{
    tls_session *s = n->tls;
    ERR_clear_error();
    int r = SSL_do_handshake(s->ssl);
    if (r != 1 && SSL_get_error(s->ssl, r) != SSL_ERROR_WANT_READ) {
        say_error(n, "handshake");
        return 0;
    }
    int rc = flush_of(n);
    if (rc < 0) {
        s->ended = 1;
        net_fail(n, rc, uv_strerror(rc));
        return 0;
    }
    if (r != 1)
        return 0;
    if (!s->context->server) {
        drop_chain(SSL_get_peer_cert_chain(s->ssl));
        drop_chain(SSL_get0_verified_chain(s->ssl));
    }
    n->handshaking = 0;
    if (n->on->ready)
        n->on->ready(n);
    return alive(n);
}

/* Reads until there is nothing more; returns 0 then, 1 when there may be more. */
static int read_some(net *n)
{
    tls_session *s = n->tls;
    scratch *x = n->loop->tls_scratch;
    char *to = NULL;
    size_t cap = 0, got = 0;
    int r = 1, why = SSL_ERROR_NONE;
    if (n->on->room)
        n->on->room(n, &to, &cap);
    if (!to || cap == 0) {
        to = x->plain;
        cap = sizeof(x->plain);
    }
    ERR_clear_error();
    while (got < cap) {
        r = SSL_read(s->ssl, to + got, (int)TP_MIN(cap - got, (size_t)1 << 30));
        if (r <= 0) {
            why = SSL_get_error(s->ssl, r);
            break;
        }
        got += (size_t)r;
    }
    (void)flush_of(n); /* key updates; if they do not get through, reading will tell */
    if (got) {
        n->on->data(n, to, got);
        if (!alive(n))
            return 0;
    }
    if (why == SSL_ERROR_NONE)
        return 1;
    if (why == SSL_ERROR_WANT_READ)
        return 0;
    if (!n->reading) { /* the end is told when reading goes on: OpenSSL says it again */
        s->more = 1;
        return 0;
    }
    if (why == SSL_ERROR_ZERO_RETURN) {
        s->ended = 1;
        n->on->eof(n);
    } else {
        say_error(n, "reading");
    }
    return 0;
}

static void pump(net *n)
{
    tls_session *s = n->tls;
    if (!alive(n) || (n->handshaking && !handshake(n)))
        return;
    s->more = 0;
    while (n->reading)
        if (!read_some(n))
            return;
    s->more = 1;
}

void tls_begin(net *n)
{
    (void)SSL_do_handshake(n->tls->ssl); /* writes the first flight; failures show in pump */
    int rc = flush_of(n);
    if (rc < 0) {
        n->late_error = rc;
        net_defer(n->loop, &n->task);
    }
}

int tls_left(const net *n)
{
    return !n->tls->pumping && (n->tls->kept || n->tls->more);
}

/* After the pump: what the user did not want yet is kept, at most one read's worth. */
static void keep_rest(net *n)
{
    tls_session *s = n->tls;
    char *old = s->kept;
    s->kept = NULL;
    if (alive(n) && s->in_len) {
        s->kept = malloc(s->in_len);
        if (s->kept)
            memcpy(s->kept, s->in, s->in_len);
        else
            net_fail(n, UV_ENOMEM, "out of memory");
        s->in = s->kept;
    }
    free(old);
    s->pumping = 0;
    if (!alive(n))
        return;
    if (n->reading && tls_left(n)) /* stopped and started again meanwhile */
        net_defer(n->loop, &n->task);
    net_poll(n);
}

void tls_feed(net *n, const char *p, size_t len)
{
    tls_session *s = n->tls;
    s->in = p;
    s->in_len = len;
    s->pumping = 1;
    pump(n);
    keep_rest(n);
}

void tls_again(net *n)
{
    if (!n->reading || !tls_left(n))
        return;
    n->tls->pumping = 1;
    pump(n);
    keep_rest(n);
}

void tls_ended(net *n)
{
    if (!alive(n))
        return;
    n->tls->ended = 1;
    net_fail(n, n->handshaking ? UV_EPROTO : UV_ECONNRESET,
             n->handshaking ? "the peer closed the connection during the TLS handshake"
                            : "the peer ended the connection without TLS close_notify");
}

/* ---- writing */
static int put(net *n, const char *p, size_t len)
{
    while (len) {
        int some = (int)TP_MIN(len, (size_t)1 << 30);
        ERR_clear_error();
        int r = SSL_write(n->tls->ssl, p, some);
        if (r <= 0) {
            ERR_clear_error();
            if (n->failed)
                return UV_EPIPE;
            n->failed = 1;
            return UV_EPROTO;
        }
        p += r;
        len -= (size_t)r;
    }
    return 0;
}

/* Small segments share a record; each record costs 22 bytes and an authentication tag's work. */
int tls_write(net *n, const tp_str *segs, uint32_t count)
{
    scratch *x = n->loop->tls_scratch;
    size_t got = 0;
    int rc = 0;
    if (n->failed || n->closing)
        return UV_EPIPE;
    for (; count && rc == 0; count--, segs++) {
        const char *p = segs->ptr;
        size_t len = segs->len;
        while (len && rc == 0) {
            if (got == 0 && len >= RECORD) {
                size_t whole = len - len % RECORD;
                rc = put(n, p, whole);
                p += whole;
                len -= whole;
                continue;
            }
            size_t some = TP_MIN(len, RECORD - got);
            memcpy(x->gather + got, p, some);
            got += some;
            p += some;
            len -= some;
            if (got == RECORD) {
                rc = put(n, x->gather, got);
                got = 0;
            }
        }
    }
    if (rc == 0 && got)
        rc = put(n, x->gather, got);
    return rc < 0 ? rc : flush_of(n);
}

void tls_shutdown(net *n)
{
    if (n->handshaking)
        return;
    ERR_clear_error();
    (void)SSL_shutdown(n->tls->ssl);
    ERR_clear_error();
    (void)flush_of(n);
}
