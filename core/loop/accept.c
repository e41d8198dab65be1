#include "loop/accept.h"

#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include "base/str.h"

#define BACKLOG 4096
#define ACCEPT_AT_ONCE 256 /* then the loop looks at its other handles */
#define PAUSE_MS 100       /* while there are no descriptors to be had */

struct listener {
    uv_poll_t poll;
    uv_timer_t pause;
    int fd, port, open_handles, reserved;
    listener_take take;
    void *arg;
    tls_context *tls;
};

static void on_readable(uv_poll_t *p, int status, int events);

static void on_pause_over(uv_timer_t *t)
{
    listener *l = t->data;
    uv_poll_start(&l->poll, UV_READABLE, on_readable);
}

static void accept_some(listener *l)
{
    for (int i = 0; i < ACCEPT_AT_ONCE; i++) {
        int fd = accept4(l->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd >= 0) {
            l->take(l->arg, fd, l->tls);
        } else if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM) {
            /* The socket stays readable: asking again at once would only burn the processor. */
            uv_poll_stop(&l->poll);
            uv_timer_start(&l->pause, on_pause_over, PAUSE_MS, 0);
            return;
        } else if (errno != EINTR && errno != ECONNABORTED) {
            return;
        }
    }
}

static void on_readable(uv_poll_t *p, int status, int events)
{
    (void)status;
    (void)events;
    accept_some(p->data);
}

static int bind_one(const struct addrinfo *a)
{
    int one = 1;
    int fd = socket(a->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -1;
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
    if (a->ai_family == AF_INET6)
        setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &one, sizeof(one));
    if (bind(fd, a->ai_addr, a->ai_addrlen) == 0 && listen(fd, BACKLOG) == 0)
        return fd;
    int saved = errno;
    close(fd);
    errno = saved;
    return -1;
}

static int open_socket(const conf_listen *l, tp_error *err)
{
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE}, *list = NULL;
    char host[256], port[16];
    snprintf(host, sizeof(host), "%.*s", STR_ARG(l->host));
    snprintf(port, sizeof(port), "%d", l->port);
    int rc = getaddrinfo(host, port, &hints, &list);
    if (rc != 0)
        return tp_error_set(err, TP_ERROR_IO,
                            "server.listen: '%s' is no address of this machine: %s", host,
                            gai_strerror(rc));
    int fd = -1;
    for (const struct addrinfo *a = list; a && fd < 0; a = a->ai_next)
        fd = bind_one(a);
    int saved = errno;
    freeaddrinfo(list);
    if (fd < 0)
        return tp_error_set(
            err, TP_ERROR_IO,
            "cannot listen on %s:%s: %s; choose another address with server.listen or "
            "--listen",
            host, port, strerror(saved));
    return fd;
}

static int bound_port(int fd)
{
    struct sockaddr_storage sa;
    socklen_t n = sizeof(sa);
    if (getsockname(fd, (struct sockaddr *)&sa, &n) != 0)
        return 0;
    if (sa.ss_family == AF_INET6)
        return ntohs(((struct sockaddr_in6 *)&sa)->sin6_port);
    return ntohs(((struct sockaddr_in *)&sa)->sin_port);
}

int listener_certificate(const conf_listen *c, tls_context **tls, tp_error *err)
{
    tls_name name = {c->cert_file, c->key_file};
    *tls = c->tls ? tls_server_new(&name, 1, err) : NULL;
    return c->tls && !*tls ? -1 : 0;
}

void listener_swap(listener *l, tls_context *tls_take)
{
    if (l->tls)
        tls_context_unref(l->tls);
    l->tls = tls_take;
}

listener *listener_new(uv_loop_t *loop, const conf_listen *c, listener_take take, void *arg,
                       tp_error *err)
{
    tls_context *tls = NULL;
    if (listener_certificate(c, &tls, err) != 0)
        return NULL;
    int fd = open_socket(c, err);
    if (fd < 0) {
        if (tls)
            tls_context_unref(tls);
        return NULL;
    }
    listener *l = tp_xcalloc(1, sizeof(*l));
    *l = (listener){.fd = fd, .port = bound_port(fd), .take = take, .arg = arg, .tls = tls};
    uv_poll_init(loop, &l->poll, fd);
    uv_timer_init(loop, &l->pause);
    l->open_handles = 2;
    l->poll.data = l->pause.data = l;
    uv_poll_start(&l->poll, UV_READABLE, on_readable);
    return l;
}

int listener_port(const listener *l)
{
    return l->port;
}

static void closed(uv_handle_t *h)
{
    listener *l = h->data;
    if (--l->open_handles)
        return;
    close(l->fd);
    if (l->tls)
        tls_context_unref(l->tls);
    free(l);
}

void listener_close(listener *l)
{
    accept_some(l); /* else the kernel would reset those who wait */
    uv_poll_stop(&l->poll);
    uv_close((uv_handle_t *)&l->poll, closed);
    uv_close((uv_handle_t *)&l->pause, closed);
}
