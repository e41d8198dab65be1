#include "loop/resolve.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/hash.h"
#include "base/str.h"

#define GOOD_MS 30000u
#define STALE_MS 600000u
#define BAD_MS 2000u
#define BUCKETS 64u

typedef struct entry {
    struct entry *next;
    resolver *r;
    char *host;
    resolve_query *waiting;
    resolve_addr addrs[RESOLVE_MAX];
    uint32_t count, asking;
    uint64_t fresh_until, stale_until, bad_until; /* uv_now() */
    char why[96];
    uv_getaddrinfo_t req;
} entry;

struct resolver {
    uv_loop_t *loop;
    void (*settled)(void *);
    void *arg;
    uint32_t busy, reserved;
    entry *buckets[BUCKETS]; /* names come from configuration: few */
};

resolver *resolver_new(uv_loop_t *loop, void (*settled)(void *), void *arg)
{
    resolver *r = tp_xcalloc(1, sizeof(*r));
    r->loop = loop;
    r->settled = settled;
    r->arg = arg;
    return r;
}

void resolver_free(resolver *r)
{
    TP_MUST(r->busy == 0);
    for (uint32_t i = 0; i < BUCKETS; i++) {
        entry *e;
        while ((e = r->buckets[i])) {
            r->buckets[i] = e->next;
            free(e->host);
            free(e);
        }
    }
    free(r);
}

uint32_t resolver_busy(const resolver *r)
{
    return r->busy;
}

static entry *entry_of(resolver *r, const char *host)
{
    entry **b = &r->buckets[hash_name(str_of(host)) % BUCKETS];
    for (entry *e = *b; e; e = e->next)
        if (strcmp(e->host, host) == 0)
            return e;
    entry *e = tp_xcalloc(1, sizeof(*e));
    e->host = tp_xstrndup(host, strlen(host));
    e->r = r;
    e->next = *b;
    *b = e;
    return e;
}

static void copy_answer(const entry *e, resolve_query *q)
{
    q->count = e->count;
    memcpy(q->addrs, e->addrs, sizeof(q->addrs));
    memcpy(q->why, e->why, sizeof(q->why));
}

void resolve_cancel(resolve_query *q)
{
    if (!q->link)
        return;
    *q->link = q->next;
    if (q->next)
        q->next->link = q->link;
    q->next = NULL;
    q->link = NULL;
}

static void answer_waiting(entry *e)
{
    resolve_query *list = e->waiting, *q;
    e->waiting = NULL;
    if (list)
        list->link = &list;
    while ((q = list)) {
        resolve_cancel(q);
        copy_answer(e, q);
        q->done(q);
    }
}

/* The system's order within a family stays; the families take turns, the system's first one
 * first, so that a family without a route costs one attempt. */
static void take_addresses(entry *e, const struct addrinfo *list)
{
    resolve_addr by[2][RESOLVE_MAX];
    uint32_t n[2] = {0, 0}, at[2] = {0, 0};
    int first = list && list->ai_family == AF_INET6;
    for (const struct addrinfo *a = list; a; a = a->ai_next) {
        int six = a->ai_family == AF_INET6;
        if ((!six && a->ai_family != AF_INET) || n[six] == RESOLVE_MAX)
            continue;
        memset(&by[six][n[six]], 0, sizeof(by[six][0]));
        memcpy(&by[six][n[six]++], a->ai_addr, a->ai_addrlen);
    }
    e->count = 0;
    for (int f = first; e->count < RESOLVE_MAX && (at[0] < n[0] || at[1] < n[1]); f = !f)
        if (at[f] < n[f])
            e->addrs[e->count++] = by[f][at[f]++];
}

/* The name that means this machine (RFC 6761) does so without a hosts file, as in a bare container.
 */
static int is_this_machine(entry *e)
{
    if (strcmp(e->host, "localhost") != 0)
        return 0;
    memset(e->addrs, 0, 2 * sizeof(e->addrs[0]));
    e->count = uv_ip4_addr("127.0.0.1", 0, &e->addrs[0].in) == 0 &&
                       uv_ip6_addr("::1", 0, &e->addrs[1].in6) == 0
                   ? 2
                   : 0;
    return e->count > 0;
}

static void on_answer(uv_getaddrinfo_t *req, int status, struct addrinfo *list)
{
    entry *e = TP_CONTAINER(req, entry, req);
    resolver *r = e->r;
    uint64_t now = uv_now(r->loop);
    e->asking = 0;
    r->busy--;
    if (status == 0 && list) {
        take_addresses(e, list);
        e->fresh_until = now + GOOD_MS;
        e->stale_until = e->fresh_until + STALE_MS;
    } else if (is_this_machine(e)) {
        e->fresh_until = now + GOOD_MS;
        e->stale_until = e->fresh_until + STALE_MS;
    } else if (e->count && now < e->stale_until) {
        e->fresh_until = now + BAD_MS; /* the old answer serves until then */
    } else {
        e->count = 0;
    }
    if (e->count == 0) {
        e->bad_until = now + BAD_MS;
        snprintf(e->why, sizeof(e->why), "%s", status ? uv_strerror(status) : "no address");
    }
    uv_freeaddrinfo(list);
    answer_waiting(e);
    r->settled(r->arg);
}

static int ask(resolver *r, entry *e)
{
    struct addrinfo hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM};
    if (e->asking)
        return 0;
    int rc = uv_getaddrinfo(r->loop, &e->req, on_answer, e->host, NULL, &hints);
    if (rc == 0) {
        e->asking = 1;
        r->busy++;
    }
    return rc;
}

static int literal(const char *host, resolve_query *q)
{
    q->count = 0;
    memset(&q->addrs[0], 0, sizeof(q->addrs[0]));
    if (uv_ip4_addr(host, 0, &q->addrs[0].in) == 0 || uv_ip6_addr(host, 0, &q->addrs[0].in6) == 0)
        q->count = 1;
    return q->count == 1;
}

int resolve_start(resolver *r, const char *host, resolve_query *q)
{
    if (literal(host, q))
        return 1;
    entry *e = entry_of(r, host);
    uint64_t now = uv_now(r->loop);
    if (e->count && now < e->stale_until) {
        if (now >= e->fresh_until)
            (void)ask(r, e);
        copy_answer(e, q);
        return 1;
    }
    if (now < e->bad_until) {
        copy_answer(e, q);
        return 1;
    }
    e->count = 0;
    int rc = ask(r, e);
    if (rc < 0) {
        snprintf(q->why, sizeof(q->why), "%s", uv_strerror(rc));
        return 1;
    }
    q->next = e->waiting; /* the order among them does not matter: they wait for one answer */
    if (q->next)
        q->next->link = &q->next;
    q->link = &e->waiting;
    e->waiting = q;
    return 0;
}

void resolver_prime(resolver *r, const char *host, const resolve_addr *addrs, uint32_t count)
{
    entry *e = entry_of(r, host);
    e->count = TP_MIN(count, RESOLVE_MAX);
    memcpy(e->addrs, addrs, e->count * sizeof(*addrs));
    e->fresh_until = uv_now(r->loop) + GOOD_MS;
    e->stale_until = e->fresh_until + STALE_MS;
}
