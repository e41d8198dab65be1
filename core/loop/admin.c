/* The admin socket: one line in, an answer out, then the end. Local and private (mode 0600):
 * whoever may open it may command the gateway. */
#include "loop/admin.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/str.h"

#define LINE_MAX_BYTES (4u << 20)
#define ASK_SILENCE_S 5 /* without a byte of the answer: is anybody there? */
#define ASK_PROBE_S 10  /* how long that may take to be said */
#define READ_BYTES 4096u

struct admin {
    uv_pipe_t pipe;
    admin_answer answer;
    void *arg;
    const logger *log;
    char *path;
    admin_client *clients;
};

struct admin_client {
    uv_pipe_t pipe;
    uv_write_t write;
    admin *a;
    admin_client *next, **link;
    buf answer, line;
    int32_t waiting, closed; /* an answer is to come; the pipe is closed */
    char in[READ_BYTES];
};
typedef admin_client client;

static void client_free(client *c)
{
    buf_free(&c->answer);
    buf_free(&c->line);
    free(c);
}

static void client_closed(uv_handle_t *h)
{
    client *c = h->data;
    c->closed = 1;
    if (!c->waiting)
        client_free(c);
}

static void hang_up(client *c)
{
    if (!c->a)
        return;
    *c->link = c->next;
    if (c->next)
        c->next->link = c->link;
    c->a = NULL;
    uv_close((uv_handle_t *)&c->pipe, client_closed);
}

static void written(uv_write_t *w, int status)
{
    client *c = w->data;
    (void)status; /* a command that does not wait for its answer is no error of ours */
    hang_up(c);
}

static void give_room(uv_handle_t *h, size_t hint, uv_buf_t *b)
{
    client *c = h->data;
    (void)hint;
    *b = uv_buf_init(c->in, sizeof(c->in));
}

static void send_answer(client *c)
{
    uv_buf_t out = uv_buf_init(c->answer.ptr, (unsigned)c->answer.len);
    c->write.data = c;
    if (uv_write(&c->write, (uv_stream_t *)&c->pipe, &out, 1, written) != 0)
        hang_up(c);
}

void admin_reply(admin_client *c, tp_str answer)
{
    c->waiting = 0;
    if (c->closed)
        client_free(c);
    else if (c->a && buf_adds(&c->answer, answer) == 0)
        send_answer(c);
    else
        hang_up(c);
}

static void on_line(uv_stream_t *s, ssize_t n, const uv_buf_t *b)
{
    client *c = s->data;
    const char *end = n > 0 ? memchr(b->base, '\n', (size_t)n) : NULL;
    if (n >= 0 && !end && buf_add(&c->line, b->base, (size_t)n) == 0)
        return;
    uv_read_stop(s);
    if (!end || buf_add(&c->line, b->base, (size_t)(end - b->base)) != 0) {
        hang_up(c);
        return;
    }
    c->waiting = 1;
    if (c->a->answer(c->a->arg, c, buf_str(&c->line), &c->answer)) {
        c->waiting = 0;
        send_answer(c);
    }
}

static void on_connect(uv_stream_t *s, int status)
{
    admin *a = s->data;
    if (status < 0)
        return;
    client *c = tp_xcalloc(1, sizeof(*c));
    c->a = a;
    buf_init(&c->answer, 64u << 20);
    buf_init(&c->line, LINE_MAX_BYTES);
    uv_pipe_init(s->loop, &c->pipe, 0);
    c->pipe.data = c;
    c->next = a->clients;
    c->link = &a->clients;
    if (c->next)
        c->next->link = &c->next;
    a->clients = c;
    if (uv_accept(s, (uv_stream_t *)&c->pipe) != 0 ||
        uv_read_start((uv_stream_t *)&c->pipe, give_room, on_line) != 0)
        hang_up(c);
}

static int says_nothing(const char *path, tp_error *err)
{
    return tp_error_set(err, TP_ERROR_IO,
                        "%s: the gateway there does not answer: is its process stopped, or the "
                        "machine overloaded? Its log and `ps` may say; if it hangs, kill and "
                        "restart it",
                        path);
}

static int connect_to(const char *path, tp_error *err)
{
    struct sockaddr_un sa = {.sun_family = AF_UNIX};
    if (strlen(path) >= sizeof(sa.sun_path))
        return tp_error_set(err, TP_ERROR_CONFIG,
                            "%s: too long for a socket's path (%zu bytes at most): set "
                            "server.admin_socket to a shorter one",
                            path, sizeof(sa.sun_path) - 1);
    memcpy(sa.sun_path, path, strlen(path));
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct timeval patience = {.tv_sec = ASK_PROBE_S}; /* with a gateway that takes no connection */
    if (fd >= 0)
        setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience));
    if (fd < 0 || connect(fd, (struct sockaddr *)&sa, sizeof(sa)) != 0) {
        int why = errno;
        if (fd >= 0)
            close(fd);
        if (why == EACCES || why == EPERM)
            return tp_error_set(err, TP_ERROR_IO,
                                "%s: the gateway's admin socket may not be used: %s; run this as "
                                "the user that the gateway runs as",
                                path, strerror(why));
        if (why == EAGAIN)
            return says_nothing(path, err);
        return tp_error_set(err, TP_ERROR_IO,
                            "no gateway answers at %s: is it running with this configuration?",
                            path);
    }
    return fd;
}

admin *admin_new(uv_loop_t *loop, const char *path, admin_answer answer, void *arg,
                 const logger *log, tp_error *err)
{
    tp_error ignored;
    int other = connect_to(path, &ignored);
    if (other >= 0) {
        close(other);
        tp_error_set(err, TP_ERROR_IO,
                     "%s: another gateway answers there: stop it, or set server.admin_socket (or "
                     "server.run_dir) to another place",
                     path);
        return NULL;
    }
    if (ignored.code == TP_ERROR_CONFIG) {
        *err = ignored;
        return NULL;
    }
    struct stat st;
    if (lstat(path, &st) == 0 && S_ISSOCK(st.st_mode))
        unlink(path); /* left over from one that was killed; any other file is not ours */
    admin *a = tp_xcalloc(1, sizeof(*a));
    a->answer = answer;
    a->arg = arg;
    a->log = log;
    uv_pipe_init(loop, &a->pipe, 0);
    a->pipe.data = a;
    mode_t old = umask(0177);
    int rc = uv_pipe_bind(&a->pipe, path);
    umask(old);
    if (rc == 0)
        a->path = tp_xstrndup(path, strlen(path));
    if (rc == 0)
        rc = uv_listen((uv_stream_t *)&a->pipe, 16, on_connect);
    if (rc != 0) {
        tp_error_set(err, TP_ERROR_IO, "%s: cannot listen there: %s", path, uv_strerror(rc));
        admin_close(a);
        uv_run(loop, UV_RUN_NOWAIT);
        return NULL;
    }
    return a;
}

static void closed(uv_handle_t *h)
{
    admin *a = h->data;
    free(a->path);
    free(a);
}

void admin_close(admin *a)
{
    if (!a)
        return;
    if (a->path)
        unlink(a->path);
    while (a->clients) /* a small answer is in the socket already; the others wait in vain */
        hang_up(a->clients);
    uv_close((uv_handle_t *)&a->pipe, closed);
}

/* How long one recv may wait; sends are bounded by connect_to. */
static void wait_at_most(int fd, int seconds)
{
    struct timeval t = {.tv_sec = seconds};
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &t, sizeof(t));
}

static int send_all(int fd, tp_str s)
{
    while (s.len) {
        ssize_t n = send(fd, s.ptr, s.len, MSG_NOSIGNAL);
        if (n < 0 && errno != EINTR)
            return -1;
        s = str_skip(s, n > 0 ? (size_t)n : 0);
    }
    return 0;
}

/* 1: the gateway takes another question and answers it. What was asked of it may take as long as it
 * needs (all of a ledger is read, a store is copied): only one that answers nothing is given up. */
static int still_answers(const char *path)
{
    char c;
    tp_error ignored;
    ssize_t n = -1;
    int fd = connect_to(path, &ignored);
    if (fd < 0)
        return 0;
    wait_at_most(fd, ASK_PROBE_S);
    if (send_all(fd, STR("status\n")) == 0)
        do
            n = recv(fd, &c, 1, 0);
        while (n < 0 && errno == EINTR);
    close(fd);
    return n > 0;
}

int admin_ask(const char *path, tp_str line, buf *answer, tp_error *err)
{
    char in[4096];
    ssize_t n = 1;
    int fd = connect_to(path, err), silent = 0;
    if (fd < 0)
        return fd;
    wait_at_most(fd, ASK_SILENCE_S);
    int ok = send_all(fd, line) == 0 && send_all(fd, STR("\n")) == 0;
    while (ok && !silent && n != 0) {
        n = recv(fd, in, sizeof(in), 0);
        if (n >= 0)
            ok = buf_add(answer, in, (size_t)n) == 0;
        else if (errno == EAGAIN || errno == EWOULDBLOCK)
            silent = !still_answers(path);
        else
            ok = errno == EINTR;
    }
    close(fd);
    if (silent)
        return says_nothing(path, err);
    return ok ? 0
              : tp_error_set(err, TP_ERROR_IO, "%s: the gateway broke off its answer: see its log",
                             path);
}
