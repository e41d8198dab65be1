/* GET /mock/...: what tests ask the mock about. */
#include "mock.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static uint64_t sum(struct mock_shared *sh, size_t offset)
{
    uint64_t n = 0;
    for (unsigned i = 0; i < sh->threads; i++) {
        char *c = (char *)mock_worker_counters(sh->workers[i]);
        n += atomic_load_explicit((_Atomic uint64_t *)(void *)(c + offset), memory_order_relaxed);
    }
    return n;
}

#define SUM(field) sum(sh, offsetof(struct mock_counters, field))

static void stats(struct mock_shared *sh, struct mock_buf *out, const struct mock_parse *p)
{
    char body[512];
    int n = snprintf(body, sizeof body,
                     "{\"requests\":%" PRIu64 ",\"connections_open\":%" PRIu64
                     ",\"connections_accepted\":%" PRIu64 ",\"streams_open\":%" PRIu64
                     ",\"streams_max\":%" PRIu64 ",\"events\":%" PRIu64 ",\"bytes_in\":%" PRIu64
                     ",\"bytes_out\":%" PRIu64 ",\"aborted\":%" PRIu64 ",\"bad_requests\":%" PRIu64
                     "}\n",
                     SUM(requests), SUM(open), SUM(accepted), SUM(streams), SUM(max_streams),
                     SUM(events), SUM(bytes_in), SUM(bytes_out), SUM(aborted), SUM(bad));
    mock_reply_json(out, p, "application/json", body, (size_t)n);
}

/* Open connections and streams stay what they are; the rest begins anew. Another worker's counter
 * may lose this to an increment at the same moment, which a test tool can bear. */
static void reset(struct mock_shared *sh)
{
    for (unsigned i = 0; i < sh->threads; i++) {
        struct mock_counters *c = mock_worker_counters(sh->workers[i]);
        c->requests = c->accepted = c->events = c->bytes_in = c->bytes_out = 0;
        c->aborted = c->bad = 0;
        c->max_streams = atomic_load(&c->streams);
        struct mock_last *l = mock_worker_last(sh->workers[i]);
        pthread_mutex_lock(&l->lock);
        l->seq = 0;
        pthread_mutex_unlock(&l->lock);
    }
}

static void last(struct mock_shared *sh, struct mock_buf *out, const struct mock_parse *p,
                 bool head)
{
    struct mock_last *best = NULL;
    uint64_t seq = 0;
    for (unsigned i = 0; i < sh->threads; i++) {
        struct mock_last *l = mock_worker_last(sh->workers[i]);
        pthread_mutex_lock(&l->lock);
        if (l->seq > seq) {
            seq = l->seq;
            best = l;
        }
        pthread_mutex_unlock(&l->lock);
    }
    if (!best) {
        mock_reply_error(out, p, 404, NULL);
        return;
    }
    pthread_mutex_lock(&best->lock);
    const struct mock_buf *b = head ? &best->head : &best->body;
    mock_reply_json(out, p, "application/octet-stream", b->p ? b->p : "", b->len);
    pthread_mutex_unlock(&best->lock);
}

void mock_control(struct mock_shared *sh, struct mock_buf *out, const struct mock_parse *p)
{
    switch (p->target) {
    case MOCK_T_STATS:
        stats(sh, out, p);
        break;
    case MOCK_T_RESET:
        reset(sh);
        mock_reply_json(out, p, "application/json", "{}\n", 3);
        break;
    default:
        last(sh, out, p, p->target == MOCK_T_LAST_HEAD);
        break;
    }
}
