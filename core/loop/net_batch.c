/* Small writes of one turn of the loop, made together at its end. Each write to a peer that sleeps
 * costs a wake-up (between processors an interrupt); writes made one right after another find the
 * peer awake. A turn reads from all connections that are ready, then writes to all of them. */
#include <stdlib.h>
#include <string.h>
#include "loop/net_int.h"

#define BATCH_BYTES 131072u
#define BATCH_WRITES 64u

typedef struct batch_entry {
    net *n;
    uint32_t at, len;
} batch_entry;

struct net_batch { /* there while connections are open */
    uv_prepare_t before; /* what timers and tasks wrote goes out before the loop sleeps */
    uv_check_t after;    /* what was written while reading, after all reading */
    uint32_t count, used, closing, reserved;
    batch_entry entries[BATCH_WRITES];
    char bytes[BATCH_BYTES];
};

static void on_before(uv_prepare_t *h)
{
    net_batch_flush(h->data);
}

static void on_after(uv_check_t *h)
{
    net_batch_flush(h->data);
}

void net_batch_open(net_loop *l)
{
    net_batch *b = malloc(sizeof(*b));
    l->batch = b;
    if (!b)
        return; /* every write is then made at once */
    b->count = b->used = b->closing = 0;
    uv_prepare_init(l->uv, &b->before);
    uv_check_init(l->uv, &b->after);
    b->before.data = b->after.data = l;
    uv_prepare_start(&b->before, on_before);
    uv_check_start(&b->after, on_after);
    uv_unref((uv_handle_t *)&b->before);
    uv_unref((uv_handle_t *)&b->after);
}

static void closed(uv_handle_t *h)
{
    net_batch *b = h->data;
    if (++b->closing == 2)
        free(b);
}

void net_batch_close(net_loop *l)
{
    net_batch *b = l->batch;
    l->batch = NULL;
    if (!b)
        return;
    TP_MUST(b->count == 0);
    b->before.data = b->after.data = b;
    uv_close((uv_handle_t *)&b->before, closed);
    uv_close((uv_handle_t *)&b->after, closed);
}

int net_batch_add(net *n, const uv_buf_t *bufs, unsigned count, size_t total)
{
    net_batch *b = n->loop->batch;
    if (!b || total > NET_BATCH_MAX)
        return 0;
    if (b->count == BATCH_WRITES || b->used + total > BATCH_BYTES)
        net_batch_flush(n->loop);
    batch_entry *last = b->count ? &b->entries[b->count - 1] : NULL;
    if (last && last->n == n)
        last->len += (uint32_t)total;
    else
        b->entries[b->count++] = (batch_entry){n, b->used, (uint32_t)total};
    for (unsigned i = 0; i < count; i++) {
        memcpy(b->bytes + b->used, bufs[i].base, bufs[i].len);
        b->used += (uint32_t)bufs[i].len;
    }
    n->batched = 1;
    return 1;
}

void net_batch_flush(net_loop *l)
{
    net_batch *b = l->batch;
    if (!b || !b->count)
        return;
    for (uint32_t i = 0; i < b->count; i++) {
        const batch_entry *e = &b->entries[i];
        e->n->batched = 0;
        uv_buf_t bytes = uv_buf_init(b->bytes + e->at, e->len);
        net_write_late(e->n, &bytes);
    }
    b->count = b->used = 0;
}
