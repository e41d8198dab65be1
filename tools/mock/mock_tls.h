/* The TLS side of mock-upstream and sse-load: the whole of OpenSSL stays behind these calls. */
#ifndef MOCK_TLS_H
#define MOCK_TLS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* A server context from PEM files; NULL after saying why on stderr. */
void *mock_tls_context(const char *cert, const char *key);
/* A client's context, which checks no certificate: it is there to measure. */
void *mock_tls_client_context(void);
void mock_tls_context_free(void *ctx);

void *mock_tls_new(void *ctx, int fd); /* a server's or a client's, as its context */
/* Frees an SSL (NULL is allowed); without `abrupt` a close_notify is sent first. */
void mock_tls_free(void *tls, bool abrupt);

/* 1: established, 0: needs more, -1: failed. */
int mock_tls_handshake(void *tls);

/* Like recv and send: bytes, 0 at the end, -1 with errno (EAGAIN: later). */
int64_t mock_tls_read(void *tls, char *p, size_t n);
int64_t mock_tls_write(void *tls, const char *p, size_t n);

#endif
