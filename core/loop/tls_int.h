/* Between TLS contexts (tls.c) and sessions (tls_bio.c). */
#ifndef TP_LOOP_TLS_INT_H
#define TP_LOOP_TLS_INT_H
#include <openssl/ssl.h>
#include <stdatomic.h>

#include "loop/net_int.h"

struct tls_context {
    atomic_uint refs;
    uint32_t count;    /* of ctx; one for clients */
    int32_t server;
    uint32_t reserved;
    SSL_CTX **ctx;     /* the first is the default, others are chosen by SNI */
    BIO_METHOD *bio;
};

/* The BIO through which a session reads the ciphertext at hand and writes to its connection. */
BIO_METHOD *tls_bio_method(void);
/* SSL_CTX new-session callback: keeps the session in the connection's tls_resume. */
int tls_session_kept(SSL *ssl, SSL_SESSION *session);
/* OpenSSL's first reason in the thread's error queue, which is then empty. */
const char *tls_reason(void);
#endif
