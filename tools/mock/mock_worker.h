/* What worker.c (loop, clock, timers) and conn.c (connections) share. */
#ifndef MOCK_WORKER_H
#define MOCK_WORKER_H

#include "mock.h"

enum phase { PH_IDLE, PH_DELAY, PH_STREAM, PH_HUGE, PH_STALL };

struct link {
    struct link *prev, *next;
};

struct conn {
    struct link timer; /* first: the wheel hands back this address */
    struct link all;
    struct mock_worker *w;
    void *tls; /* SSL, or NULL */
    int fd;
    uint8_t phase;
    bool readable;
    bool hup; /* the peer's FIN is in: read up to the end */
    bool armed;
    bool blocked; /* the socket is full: wait until it can be written */
    bool slow;
    bool closing; /* close once everything is out */
    bool resetting;
    bool streaming; /* counted as an open stream */
    bool due;
    uint64_t deadline; /* ms */
    struct mock_buf in, out;
    size_t out_off;
    size_t in_want; /* do not parse before so many bytes are there */
    struct mock_parse parse;
    struct mock_behave b;
    struct mock_stream stream;
    char model[MOCK_MODEL_MAX];
    bool want_sse;
};

struct mock_worker {
    struct mock_shared *sh;
    int epoll, listener, wake, reserve;
    atomic_bool stop;
    uint64_t now, ticked, ids;
    char *rbuf;
    struct mock_buf ob; /* what the connection at work has produced */
    struct mock_cached cached;
    struct mock_counters count;
    struct mock_last last;
    struct link conns;
    struct link wheel[MOCK_WHEEL];
    uint64_t wheel_bits[MOCK_WHEEL / 64];
};

/* Both ends of a list are its head. */
static inline void link_init(struct link *l)
{
    l->prev = l->next = l;
}

static inline void link_add(struct link *head, struct link *l)
{
    l->prev = head->prev;
    l->next = head;
    head->prev->next = l;
    head->prev = l;
}

static inline void link_del(struct link *l)
{
    l->prev->next = l->next;
    l->next->prev = l->prev;
}

/* Arms (again) or stops the one timer of a connection; deadline in ms of w->now. */
void mock_timer_at(struct conn *c, uint64_t deadline);
void mock_timer_stop(struct conn *c);

/* Makes a connection of an accepted descriptor, which it owns from now on. */
void mock_conn_new(struct mock_worker *w, int fd);
void mock_conn_free(struct conn *c, bool aborted);

/* What epoll and the wheel report; each may free the connection. */
void mock_conn_event(struct conn *c, uint32_t events);
void mock_conn_timer(struct conn *c);

#endif
