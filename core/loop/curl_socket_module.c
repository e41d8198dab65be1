/* libcurl's sockets and timers on the loop, by the rules that others learnt the hard way: each
 * socket a poll handle of its own, closed and never reused; libcurl is never called from within its
 * callbacks. */
#include <stdlib.h>
#include <unistd.h>

#include "loop/curl_int.h"

static void watch_closed(uv_handle_t *h)
{
    watch *w = h->data;
    curl_up *t = w->sh->t;
    shard *sh = w->sh;
    free(w);
    t->handles--;
    if (--sh->closing == 0)
        free(sh);
    upc_settle(t);
}

static void watch_drop(watch *w)
{
    watch **at = &w->sh->watches;
    while (*at != w)
        at = &(*at)->next;
    *at = w->next;
    uv_poll_stop(&w->poll);
    uv_close((uv_handle_t *)&w->poll, watch_closed);
}

static void on_poll(uv_poll_t *h, int status, int events)
{
    watch *w = h->data;
    curl_up *t = w->sh->t;
    int running, bits = 0;
    /* libuv saw an error, and has stopped. Reading finds what it is, after the bytes that came
     * before it. (CURL_CSELECT_ERR ends the transfer as one whose request could not be sent, and
     * curl does not try a fresh connection then, although a kept one has merely died.) */
    if (status < 0)
        bits = CURL_CSELECT_IN;
    if (events & UV_READABLE)
        bits |= CURL_CSELECT_IN;
    if (events & UV_WRITABLE)
        bits |= CURL_CSELECT_OUT;
    curl_multi_socket_action(w->sh->multi, w->fd, bits, &running);
    upc_drain(t);
}

static int on_socket(CURL *easy, curl_socket_t fd, int what, void *arg, void *known)
{
    shard *sh = arg;
    watch *w = known;
    (void)easy;
    if (what == CURL_POLL_REMOVE) {
        if (w) {
            watch_drop(w);
            curl_multi_assign(sh->multi, fd, NULL);
        }
        return 0;
    }
    if (!w) {
        w = calloc(1, sizeof(*w));
        if (!w || uv_poll_init_socket(sh->t->loop->uv, &w->poll, fd) != 0) {
            free(w);
            return -1;
        }
        w->poll.data = w;
        w->sh = sh;
        w->fd = fd;
        w->next = sh->watches;
        sh->watches = w;
        sh->closing++;
        sh->t->handles++;
        curl_multi_assign(sh->multi, fd, w);
    }
    int events = (what & CURL_POLL_IN ? UV_READABLE : 0) | (what & CURL_POLL_OUT ? UV_WRITABLE : 0);
    uv_poll_start(&w->poll, events, on_poll);
    return 0;
}

/* libcurl has closed sockets that it had not let go of: ours is the last word. */
int upc_close_socket(void *arg, curl_socket_t fd)
{
    shard *sh = arg;
    for (watch *w = sh->watches; w; w = w->next) {
        if (w->fd == fd) {
            watch_drop(w);
            break;
        }
    }
    return close(fd);
}

static void on_time(uv_timer_t *h)
{
    shard *sh = h->data;
    int running;
    curl_multi_socket_action(sh->multi, CURL_SOCKET_TIMEOUT, 0, &running);
    upc_drain(sh->t);
}

static int on_timer(CURLM *multi, long ms, void *arg)
{
    shard *sh = arg;
    (void)multi;
    if (ms < 0)
        uv_timer_stop(&sh->timer);
    else /* 0 too: never from within libcurl's own call */
        uv_timer_start(&sh->timer, on_time, (uint64_t)ms, 0);
    return 0;
}

static void timer_closed(uv_handle_t *h)
{
    shard *sh = h->data;
    curl_up *t = sh->t;
    t->handles--;
    if (--sh->closing == 0)
        free(sh);
    upc_settle(t);
}

shard *upc_shard(curl_up *t)
{
    shard **at = &t->shards;
    for (; *at; at = &(*at)->next)
        if ((*at)->transfers < SHARD_MAX)
            return *at;
    shard *sh = calloc(1, sizeof(*sh));
    if (!sh || !(sh->multi = curl_multi_init())) {
        free(sh);
        return NULL;
    }
    sh->t = t;
    uv_timer_init(t->loop->uv, &sh->timer);
    sh->timer.data = sh;
    sh->closing = 1;
    t->handles++;
    curl_multi_setopt(sh->multi, CURLMOPT_SOCKETFUNCTION, on_socket);
    curl_multi_setopt(sh->multi, CURLMOPT_SOCKETDATA, sh);
    curl_multi_setopt(sh->multi, CURLMOPT_TIMERFUNCTION, on_timer);
    curl_multi_setopt(sh->multi, CURLMOPT_TIMERDATA, sh);
    curl_multi_setopt(sh->multi, CURLMOPT_MAXCONNECTS, (long)SHARD_MAX);
    *at = sh;
    return sh;
}

void upc_shard_close(shard *sh)
{
    curl_multi_cleanup(sh->multi); /* closes sockets: the callbacks are called from within */
    while (sh->watches)
        watch_drop(sh->watches);
    uv_close((uv_handle_t *)&sh->timer, timer_closed);
}
