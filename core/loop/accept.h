/* Private to loop/: listening sockets on the serving thread. Accepted connections go to the worker
 * that has the fewest, so long streams do not pile up on one; reloads never touch a listener. */
#ifndef TP_LOOP_ACCEPT_H
#define TP_LOOP_ACCEPT_H
#include <uv.h>
#include "conf/conf.h"
#include "loop/tls.h"

typedef struct listener listener;
/* Takes the descriptor; tls is borrowed (NULL: plain). */
typedef void (*listener_take)(void *arg, int fd, tls_context *tls);
/* Binds and listens. NULL with err: place, address and reason. */
listener *listener_new(uv_loop_t *loop, const conf_listen *l, listener_take take, void *arg,
                       tp_error *err);
int listener_port(const listener *l);
void listener_close(listener *l); /* frees from the loop; who had got in already is still taken */
/* A TLS listener's certificate and key as they are now: 0 and *tls (referenced; NULL: plain), or
 * err. listener_swap puts it in force for connections accepted from now on, and takes the
 * reference. */
int listener_certificate(const conf_listen *c, tls_context **tls, tp_error *err);
void listener_swap(listener *l, tls_context *tls_take);
#endif
