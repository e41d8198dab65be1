/* What serve and the commands share of governance: store, journal, book, secrets and the management
 * API over them, opened from a configuration. */
#ifndef TP_CLI_GOVERNANCE_H
#define TP_CLI_GOVERNANCE_H
#include "manage/api.h"
#include "store/store.h"

typedef struct governance {
    secret_pepper pepper;
    secret_master master;
    store_port store;
    book *book;
    address_table *addresses;   /* serve only */
    pthread_mutex_t changes;
    api_ports api;              /* api.sessions: serve only */
    const logger *log;
    int32_t has_store, has_master;
    int64_t touched_ms;         /* uses of keys before this have been handed over */
} governance;

/* Opens all of it and fills the book. workers > 0: for serve, with a journal of so many lanes;
 * 0: for a command while no gateway runs: what a killed gateway left in its journal is drained
 * first. log and c are borrowed while it is open (c only for the call). 0, or an error. */
int governance_open(const conf *c, uint32_t workers, const logger *log, governance *out,
                    tp_error *err);
/* Makes the prices of a world known to the store, so that a settle can be worked out again. A store
 * in trouble is no reason not to serve: told to the log. */
void governance_prices(governance *g, const world *w, int64_t now_ms);
/* Hands the times at which keys were last used to the store: those since the last call. */
void governance_touch(governance *g);
void governance_close(governance *g); /* also after a failed open */
#endif
