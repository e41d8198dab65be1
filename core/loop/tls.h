/* TLS by OpenSSL as a filter over the loop's shared read buffer: contexts (one a listener or trust
 * setting, shared by workers) and sessions (one a connection). Only loop/ includes openssl/ssl.h.
 */
#ifndef TP_LOOP_TLS_H
#define TP_LOOP_TLS_H
#include "base/base.h"

typedef struct tls_context tls_context;
typedef struct tls_name { /* one certificate; the first is the default, others by SNI */
    tp_str cert_file, key_file;
} tls_name;
/* [load] TLS 1.2 and up; certificates by SNI. NULL with err: file and OpenSSL's reason. */
tls_context *tls_server_new(const tls_name *names, uint32_t count, tp_error *err);
/* [load] Verifies the peer's chain and host name. ca_file empty: the system's store. */
tls_context *tls_client_new(tp_str ca_file, tp_error *err);
/* The last TLS session with a peer, to be resumed by the next connection; zeroed: none. */
typedef struct tls_resume {
    void *session;
} tls_resume;
void tls_resume_clear(tls_resume *r);
void tls_context_ref(tls_context *c);   /* [any] */
void tls_context_unref(tls_context *c); /* [any] */
#endif
