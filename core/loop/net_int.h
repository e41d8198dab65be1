/* Between net.c and the TLS filter. */
#ifndef TP_LOOP_NET_INT_H
#define TP_LOOP_NET_INT_H
#include "loop/net.h"
#include "loop/tls.h"

/* net.c: bytes as they go over the wire. */
int net_raw_write(net *n, const uv_buf_t *bufs, unsigned count, size_t total);
void net_fail(net *n, int uv_error, const char *what); /* once; marks it and calls error() */
void net_poll(net *n);                                 /* reads or not, as it should now be */
void net_write_late(net *n, const uv_buf_t *b);        /* a batched write's time has come */

/* net_batch.c */
#define NET_BATCH_MAX 16384u /* larger writes are made at once */
void net_batch_open(net_loop *l);  /* with the first connection */
void net_batch_close(net_loop *l); /* with the last one */
/* 1: taken, it is written before the loop sleeps; 0: write it now. */
int net_batch_add(net *n, const uv_buf_t *bufs, unsigned count, size_t total);
void net_batch_flush(net_loop *l);

/* tls_bio.c */
tls_session *tls_session_new(tls_context *c, net *n, const char *name, tls_resume *resume);
void tls_session_free(tls_session *s);
void tls_begin(net *n);                         /* client: the first flight */
void tls_feed(net *n, const char *p, size_t len); /* ciphertext from the wire */
void tls_again(net *n);                         /* goes on with what was left at a stop */
int tls_left(const net *n);                     /* does anything wait from before a stop? */
int tls_write(net *n, const tp_str *segs, uint32_t count);
void tls_shutdown(net *n);
void tls_ended(net *n);                         /* the peer's FIN */
void tls_scratch_free(net_loop *l);
#endif
