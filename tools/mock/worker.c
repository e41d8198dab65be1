/* One thread, one epoll: the loop, its clock and the timers of its connections. */
#include "mock_worker.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

struct mock_counters *mock_worker_counters(struct mock_worker *w)
{
    return &w->count;
}

struct mock_last *mock_worker_last(struct mock_worker *w)
{
    return &w->last;
}

/* ---- clock and timer wheel ---- */

static uint64_t clock_ms(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

void mock_timer_stop(struct conn *c)
{
    if (!c->armed)
        return;
    link_del(&c->timer);
    c->armed = false;
}

void mock_timer_at(struct conn *c, uint64_t deadline)
{
    struct mock_worker *w = c->w;
    mock_timer_stop(c);
    if (deadline <= w->ticked)
        deadline = w->ticked + 1;
    c->deadline = deadline;
    uint64_t slot = deadline % MOCK_WHEEL;
    link_add(&w->wheel[slot], &c->timer);
    w->wheel_bits[slot / 64] |= 1ull << (slot % 64);
    c->armed = true;
}

/* Milliseconds until a slot may have something to do; -1 for none. */
static int timer_wait(struct mock_worker *w)
{
    for (uint64_t i = 1; i <= MOCK_WHEEL;) {
        uint64_t slot = (w->ticked + i) % MOCK_WHEEL;
        uint64_t word = w->wheel_bits[slot / 64] >> (slot % 64);
        if (!word) {
            i += 64 - slot % 64;
            continue;
        }
        i += (uint64_t)__builtin_ctzll(word);
        slot = (w->ticked + i) % MOCK_WHEEL;
        struct link *head = &w->wheel[slot];
        if (head->next != head) {
            uint64_t at = w->ticked + i;
            return at <= w->now ? 0 : (int)(at - w->now);
        }
        w->wheel_bits[slot / 64] &= ~(1ull << (slot % 64));
        i++;
    }
    return -1;
}

/* ---- loop ---- */

static void accept_all(struct mock_worker *w)
{
    for (;;) {
        int fd = accept4(w->listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd < 0 && (errno == EMFILE || errno == ENFILE) && w->reserve >= 0) {
            /* Without a descriptor it would stay in the queue, and the loop would spin. */
            close(w->reserve);
            fd = accept(w->listener, NULL, NULL);
            if (fd >= 0)
                close(fd);
            w->reserve = open("/dev/null", O_RDONLY | O_CLOEXEC);
            continue;
        }
        if (fd < 0)
            return;
        mock_conn_new(w, fd);
    }
}

static void run_timers(struct mock_worker *w)
{
    while (w->ticked < w->now) {
        w->ticked++;
        uint64_t slot = w->ticked % MOCK_WHEEL;
        if (!(w->wheel_bits[slot / 64] >> (slot % 64) & 1))
            continue;
        struct link due, *head = &w->wheel[slot];
        link_init(&due);
        /* Taken out first: what a handler arms again in this slot must wait a whole turn. */
        while (head->next != head) {
            struct link *l = head->next;
            link_del(l);
            link_add(&due, l);
        }
        w->wheel_bits[slot / 64] &= ~(1ull << (slot % 64));
        while (due.next != &due) {
            struct conn *c = (struct conn *)(void *)due.next;
            if (c->deadline > w->ticked) {
                mock_timer_at(c, c->deadline);
                continue;
            }
            mock_timer_stop(c);
            mock_conn_timer(c);
        }
    }
}

void mock_worker_run(struct mock_worker *w)
{
    struct epoll_event ev[512];
    w->now = w->ticked = clock_ms();
    while (!atomic_load_explicit(&w->stop, memory_order_relaxed)) {
        int n = epoll_wait(w->epoll, ev, 512, timer_wait(w));
        w->now = clock_ms();
        for (int i = 0; i < n; i++) {
            if (ev[i].data.ptr == &w->listener)
                accept_all(w);
            else if (ev[i].data.ptr != &w->wake)
                mock_conn_event(ev[i].data.ptr, ev[i].events);
        }
        run_timers(w);
    }
}

void mock_worker_stop(struct mock_worker *w)
{
    uint64_t one = 1;
    atomic_store(&w->stop, true);
    while (write(w->wake, &one, sizeof one) < 0 && errno == EINTR)
        ;
}

static int listen_on(struct mock_shared *sh)
{
    struct sockaddr_in a = { .sin_family = AF_INET, .sin_port = htons(sh->port) };
    socklen_t a_len = sizeof a;
    int one = 1;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -1;
    (void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    if (sh->threads > 1)
        (void)setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &one, sizeof one);
    if (inet_pton(AF_INET, sh->host, &a.sin_addr) != 1 ||
        bind(fd, (struct sockaddr *)&a, sizeof a) < 0 || listen(fd, 8192) < 0 ||
        getsockname(fd, (struct sockaddr *)&a, &a_len) < 0) {
        close(fd);
        return -1;
    }
    sh->port = ntohs(a.sin_port);
    return fd;
}

struct mock_worker *mock_worker_new(struct mock_shared *shared)
{
    struct mock_worker *w = calloc(1, sizeof *w);
    char *rbuf = malloc(MOCK_READ_SIZE);
    if (!w || !rbuf)
        abort();
    w->sh = shared;
    w->rbuf = rbuf;
    w->listener = listen_on(shared);
    if (w->listener < 0) {
        fprintf(stderr,
                "mock-upstream: cannot listen on %s:%u: %s; choose another --host (an IPv4 "
                "address) or --port\n",
                shared->host, shared->port, strerror(errno));
        free(rbuf);
        free(w);
        return NULL;
    }
    w->epoll = epoll_create1(EPOLL_CLOEXEC);
    w->wake = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    w->reserve = open("/dev/null", O_RDONLY | O_CLOEXEC);
    if (w->epoll < 0 || w->wake < 0)
        abort();
    pthread_mutex_init(&w->last.lock, NULL);
    link_init(&w->conns);
    for (size_t i = 0; i < MOCK_WHEEL; i++)
        link_init(&w->wheel[i]);
    struct epoll_event ev = { .events = EPOLLIN, .data.ptr = &w->listener };
    if (epoll_ctl(w->epoll, EPOLL_CTL_ADD, w->listener, &ev) < 0)
        abort();
    ev.data.ptr = &w->wake;
    if (epoll_ctl(w->epoll, EPOLL_CTL_ADD, w->wake, &ev) < 0)
        abort();
    return w;
}

void mock_worker_free(struct mock_worker *w)
{
    while (w->conns.next != &w->conns) {
        struct link *l = w->conns.next;
        mock_conn_free((struct conn *)(void *)((char *)l - offsetof(struct conn, all)), false);
    }
    close(w->listener);
    close(w->epoll);
    close(w->wake);
    if (w->reserve >= 0)
        close(w->reserve);
    pthread_mutex_destroy(&w->last.lock);
    free(w->last.head.p);
    free(w->last.body.p);
    free(w->cached.bytes.p);
    free(w->ob.p);
    free(w->rbuf);
    free(w);
}
