#include "loop/tls.h"

#include <openssl/err.h>
#include <openssl/x509v3.h>
#include <stdlib.h>

#include "base/str.h"
#include "loop/tls_int.h"

static const unsigned char alpn_http11[] = "\x08http/1.1";

const char *tls_reason(void)
{
    unsigned long e = ERR_peek_error();
    const char *why = e ? ERR_reason_error_string(e) : NULL;
    if (e && ERR_SYSTEM_ERROR(e))
        why = strerror(ERR_GET_REASON(e));
    ERR_clear_error();
    return why ? why : "no reason given";
}

static SSL_CTX *ctx_new(const SSL_METHOD *method)
{
    SSL_CTX *x = SSL_CTX_new(method);
    TP_MUST(x);
    SSL_CTX_set_min_proto_version(x, TLS1_2_VERSION);
    SSL_CTX_set_options(x, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION |
                               SSL_OP_CIPHER_SERVER_PREFERENCE);
    SSL_CTX_set_mode(x, SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    return x;
}

static tls_context *context_new(uint32_t count, int server)
{
    tls_context *c = tp_xcalloc(1, sizeof(*c));
    atomic_init(&c->refs, 1);
    c->server = server;
    c->ctx = tp_xcalloc(count, sizeof(*c->ctx));
    c->bio = tls_bio_method();
    return c;
}

static int choose_alpn(SSL *ssl, const unsigned char **out, unsigned char *out_len,
                       const unsigned char *in, unsigned in_len, void *arg)
{
    (void)ssl;
    (void)arg;
    unsigned char *to;
    if (SSL_select_next_proto(&to, out_len, alpn_http11, sizeof(alpn_http11) - 1, in, in_len) !=
        OPENSSL_NPN_NEGOTIATED)
        return SSL_TLSEXT_ERR_NOACK; /* clients that offer others only still speak HTTP/1.1 */
    *out = to;
    return SSL_TLSEXT_ERR_OK;
}

static int choose_name(SSL *ssl, int *alert, void *arg)
{
    const tls_context *c = arg;
    const char *name = SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name);
    (void)alert;
    if (!name)
        return SSL_TLSEXT_ERR_OK;
    for (uint32_t i = 0; i < c->count; i++) {
        X509 *cert = SSL_CTX_get0_certificate(c->ctx[i]);
        if (cert && X509_check_host(cert, name, 0, 0, NULL) == 1) {
            if (i)
                SSL_set_SSL_CTX(ssl, c->ctx[i]);
            break;
        }
    }
    return SSL_TLSEXT_ERR_OK;
}

static int load_name(SSL_CTX *x, const tls_name *n, tp_error *err)
{
    char *cert = tp_xstrndup(n->cert_file.ptr, n->cert_file.len);
    char *key = tp_xstrndup(n->key_file.ptr, n->key_file.len);
    int rc = 0;
    ERR_clear_error();
    if (SSL_CTX_use_certificate_chain_file(x, cert) != 1)
        rc = tp_error_set(err, TP_ERROR_CONFIG,
                          "cannot use the certificate file \"%s\": %s; expected a PEM file, the "
                          "server's certificate first and its issuers after it",
                          cert, tls_reason());
    else if (SSL_CTX_use_PrivateKey_file(x, key, SSL_FILETYPE_PEM) != 1)
        rc = tp_error_set(err, TP_ERROR_CONFIG,
                          "cannot use the key file \"%s\": %s; expected the PEM private key of the "
                          "certificate in \"%s\"", key, tls_reason(), cert);
    else if (SSL_CTX_check_private_key(x) != 1)
        rc = tp_error_set(err, TP_ERROR_CONFIG,
                          "the key in \"%s\" does not belong to the certificate in \"%s\": %s", key,
                          cert, tls_reason());
    free(cert);
    free(key);
    return rc;
}

tls_context *tls_server_new(const tls_name *names, uint32_t count, tp_error *err)
{
    if (count == 0) {
        tp_error_set(err, TP_ERROR_CONFIG, "a TLS listener needs at least one certificate");
        return NULL;
    }
    tls_context *c = context_new(count, 1);
    for (; c->count < count; c->count++) {
        SSL_CTX *x = c->ctx[c->count] = ctx_new(TLS_server_method());
        SSL_CTX_set_alpn_select_cb(x, choose_alpn, NULL);
        SSL_CTX_set_tlsext_servername_callback(x, choose_name);
        SSL_CTX_set_tlsext_servername_arg(x, c);
        /* Stateless tickets only: nothing is kept for clients that never return. */
        SSL_CTX_set_session_cache_mode(x, SSL_SESS_CACHE_OFF);
        SSL_CTX_set_num_tickets(x, 1);
        SSL_CTX_set_session_id_context(x, (const unsigned char *)"turnpike", 8);
        if (load_name(x, &names[c->count], err) < 0) {
            c->count++;
            tls_context_unref(c);
            return NULL;
        }
    }
    return c;
}

tls_context *tls_client_new(tp_str ca_file, tp_error *err)
{
    tls_context *c = context_new(1, 0);
    SSL_CTX *x = c->ctx[c->count++] = ctx_new(TLS_client_method());
    SSL_CTX_set_verify(x, SSL_VERIFY_PEER, NULL);
    SSL_CTX_set_alpn_protos(x, alpn_http11, sizeof(alpn_http11) - 1);
    SSL_CTX_set_session_cache_mode(x, SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
    SSL_CTX_sess_set_new_cb(x, tls_session_kept);
    ERR_clear_error();
    if (ca_file.len == 0) {
        if (SSL_CTX_set_default_verify_paths(x) == 1)
            return c;
        tp_error_set(err, TP_ERROR_CONFIG, "cannot use the system's certificate store: %s",
                     tls_reason());
    } else {
        char *file = tp_xstrndup(ca_file.ptr, ca_file.len);
        int ok = SSL_CTX_load_verify_file(x, file) == 1;
        if (!ok)
            tp_error_set(err, TP_ERROR_CONFIG,
                         "cannot use the CA file \"%s\": %s; expected a file of PEM certificates",
                         file, tls_reason());
        free(file);
        if (ok)
            return c;
    }
    tls_context_unref(c);
    return NULL;
}

void tls_context_ref(tls_context *c)
{
    atomic_fetch_add_explicit(&c->refs, 1, memory_order_relaxed);
}

void tls_context_unref(tls_context *c)
{
    if (!c || atomic_fetch_sub_explicit(&c->refs, 1, memory_order_acq_rel) != 1)
        return;
    for (uint32_t i = 0; i < c->count; i++)
        SSL_CTX_free(c->ctx[i]);
    free(c->ctx);
    BIO_meth_free(c->bio);
    free(c);
}

void tls_resume_clear(tls_resume *r)
{
    SSL_SESSION_free(r->session);
    r->session = NULL;
}
