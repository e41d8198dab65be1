#include "store/store.h"

void store_meter_init(store_meter *m, store_port *port)
{
    *m = (store_meter){.port = port, .tally = port ? store_tally_new() : NULL};
}

void store_meter_add(store_meter *m, const settle_record *r)
{
    if (m->tally)
        store_tally_add(m->tally, r);
}

int store_meter_flush(store_meter *m)
{
    if (!m->tally || store_tally_count(m->tally) == 0)
        return 0;
    if (m->port->put(m->port->self, &m->tally) < 0) {
        m->deferred++;
        return -1;
    }
    m->tally = store_tally_new();
    return 0;
}

int store_meter_finish(store_meter *m, int64_t timeout_ms)
{
    if (store_meter_flush(m) == 0)
        return 0;
    m->port->drain(m->port->self, timeout_ms); /* more workers than the queue has places */
    return store_meter_flush(m);
}

void store_meter_tick(store_meter *m, tp_now now)
{
    if (now.unix_ms < m->next_ms && m->next_ms - now.unix_ms <= STORE_EVERY_MS)
        return; /* the second condition: a wall clock set back must not stop the meter */
    m->next_ms = now.unix_ms + STORE_EVERY_MS;
    store_meter_flush(m);
}

void store_meter_free(store_meter *m)
{
    store_tally_free(m->tally);
    *m = (store_meter){0};
}
