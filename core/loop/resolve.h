/* Names to addresses: uv_getaddrinfo behind a cache, one a worker. Good answers hold 30 s, and for
 * ten minutes more an old answer is given at once while it is asked again; failures hold 2 s. */
#ifndef TP_LOOP_RESOLVE_H
#define TP_LOOP_RESOLVE_H
#include <netinet/in.h>
#include <uv.h>

#include "base/base.h"

#define RESOLVE_MAX 8u
typedef union resolve_addr {
    struct sockaddr sa;
    struct sockaddr_in in;
    struct sockaddr_in6 in6;
} resolve_addr;

typedef struct resolver resolver;
typedef struct resolve_query { /* embedded in its user; zeroed but for done */
    struct resolve_query *next, **link;
    resolve_addr addrs[RESOLVE_MAX]; /* families take turns (RFC 8305, 4); port 0 */
    uint32_t count;                  /* 0: failed */
    char why[96];                    /* when it failed */
    void (*done)(struct resolve_query *);
} resolve_query;

/* settled: called after each answer of the system's, when resolve_busy() may have changed. */
resolver *resolver_new(uv_loop_t *loop, void (*settled)(void *), void *arg);
void resolver_free(resolver *r);         /* not while busy */
uint32_t resolver_busy(const resolver *r); /* questions that the system has not answered yet */
/* 1: answered at once (done is not called); 0: done() follows, from the loop. */
int resolve_start(resolver *r, const char *host, resolve_query *q);
void resolve_cancel(resolve_query *q);
/* Puts an answer into the cache, as if the system had given it now. */
void resolver_prime(resolver *r, const char *host, const resolve_addr *addrs, uint32_t count);
#endif
