#include "mock_tls.h"

#include <errno.h>
#include <limits.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <stdio.h>
#include <stdlib.h>

void *mock_tls_context(const char *cert, const char *key)
{
    SSL_CTX *ctx = SSL_CTX_new(TLS_server_method());
    if (!ctx)
        abort();
    SSL_CTX_set_mode(ctx, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER |
                              SSL_MODE_RELEASE_BUFFERS);
    if (SSL_CTX_use_certificate_chain_file(ctx, cert) != 1 ||
        SSL_CTX_use_PrivateKey_file(ctx, key, SSL_FILETYPE_PEM) != 1) {
        fprintf(stderr, "mock-upstream: --tls %s %s: no usable PEM certificate and key: ", cert,
                key);
        ERR_print_errors_fp(stderr);
        SSL_CTX_free(ctx);
        return NULL;
    }
    return ctx;
}

void *mock_tls_client_context(void)
{
    SSL_CTX *ctx = SSL_CTX_new(TLS_client_method());
    if (!ctx)
        abort();
    SSL_CTX_set_mode(ctx, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER |
                              SSL_MODE_RELEASE_BUFFERS);
    SSL_CTX_set_verify(ctx, SSL_VERIFY_NONE, NULL);
    return ctx;
}

void mock_tls_context_free(void *ctx)
{
    SSL_CTX_free(ctx);
}

void *mock_tls_new(void *ctx, int fd)
{
    SSL *s = SSL_new(ctx);
    if (!s || SSL_set_fd(s, fd) != 1)
        abort();
    if (SSL_is_server(s))
        SSL_set_accept_state(s);
    else
        SSL_set_connect_state(s);
    return s;
}

void mock_tls_free(void *tls, bool abrupt)
{
    if (!tls)
        return;
    if (!abrupt && SSL_is_init_finished(tls))
        (void)SSL_shutdown(tls);
    ERR_clear_error();
    SSL_free(tls);
}

static int64_t failed(SSL *s, int rc)
{
    int why = SSL_get_error(s, rc);
    ERR_clear_error();
    if (why == SSL_ERROR_ZERO_RETURN)
        return 0;
    errno = why == SSL_ERROR_WANT_READ || why == SSL_ERROR_WANT_WRITE ? EAGAIN : ECONNRESET;
    return -1;
}

int mock_tls_handshake(void *tls)
{
    if (SSL_is_init_finished(tls))
        return 1;
    int rc = SSL_do_handshake(tls);
    if (rc == 1)
        return 1;
    return failed(tls, rc) < 0 && errno == EAGAIN ? 0 : -1;
}

int64_t mock_tls_read(void *tls, char *p, size_t n)
{
    int rc = SSL_read(tls, p, n > INT_MAX ? INT_MAX : (int)n);
    return rc > 0 ? rc : failed(tls, rc);
}

int64_t mock_tls_write(void *tls, const char *p, size_t n)
{
    int rc = SSL_write(tls, p, n > INT_MAX ? INT_MAX : (int)n);
    if (rc > 0)
        return rc;
    int64_t v = failed(tls, rc);
    if (v == 0) {
        errno = EPIPE;
        v = -1;
    }
    return v;
}
