/* The serving side: acceptor, workers, client connections, admin socket, signals, reload. One loop
 * a worker thread; the caller's thread runs the acceptor's loop, signals, the admin socket and
 * reloads. What is stored, counted or logged of an exchange is the caller's, through server_ports.
 */
#ifndef TP_LOOP_SERVER_H
#define TP_LOOP_SERVER_H
#include "base/log.h"
#include "dispatch/exchange.h"
#include "manage/api.h"
#include "manage/manage.h"
#include "world/world.h"

typedef struct server server;
typedef struct worker_figures { /* one worker's, written by it, read by anyone (relaxed) */
    _Atomic uint64_t connections; /* client connections open */
    _Atomic uint64_t accepted, closed, faults;
    _Atomic uint64_t exchanges;   /* in flight */
    _Atomic uint64_t upstream_connects, upstream_reuses, upstream_retries, upstream_failures;
} worker_figures;

typedef struct server_ports {
    void *arg;
    const manage_ports *manage;
    const api_ports *api; /* the management API; NULL: there is none (503) */
    /* What a worker admits with; for its thread alone, const while it runs. NULL: static keys only,
     * no limits. */
    const admit_env *(*admit)(void *arg, uint32_t worker);
    /* On a worker's thread: the most that an exchange may cost is held (1), or not (-1 and *why);
     * it is settled, before its last bytes (1); it is over; once a second. */
    int (*hold)(void *arg, uint32_t worker, exchange *x, int64_t nano, admit_tokens tokens,
                profile_error *why);
    int (*settle)(void *arg, uint32_t worker, exchange *x, settle_record *r);
    void (*record)(void *arg, uint32_t worker, const settle_record *r);
    void (*tick)(void *arg, uint32_t worker, const worker_figures *f, tp_now now);
    /* On the serving thread: the next world (NULL and err: it stays as it is). */
    world *(*load)(void *arg, tp_error *err);
    /* Nothing can refuse it any more, and no worker has it yet: what its requests will ask for beside
     * it (limits of its keys) must be there. NULL allowed. */
    void (*loaded)(void *arg, const world *w);
    void (*beat)(void *arg); /* every five seconds; NULL allowed */
    void (*reopen)(void *arg); /* log files, after SIGHUP */
    /* An admin command that the server does not know: writes the answer. 0, or -1: unknown. */
    int (*command)(void *arg, server *s, tp_str line, buf *answer);
} server_ports;

/* Serves w (taken) until SIGTERM or SIGINT has drained it, or fails with err. Binds w's listeners
 * and admin socket; prints what it listens to through log. 0: ended cleanly. */
int server_run(world *w_take, const server_ports *ports, const char *curl_module,
               const logger *log, tp_error *err);
/* Are enough descriptors allowed to serve at all? Before anything is opened that needs one. 0, or
 * TP_ERROR_IO with what to do. */
int server_check_descriptors(tp_error *err);
/* Keeps SIGTERM, SIGINT and SIGHUP back in the calling thread and those that it starts; server_run
 * lets them through where they are handled. So a signal never has its default effect, neither while
 * things are opened nor while the last ones are put away. Before the first thread is started. */
void server_hold_signals(void);
uint32_t server_workers(const conf_server *c); /* how many workers that configuration means */
const worker_figures *server_figures(const server *s, uint32_t worker);
uint32_t server_worker_count(const server *s);
uint64_t server_refused(const server *s); /* connections beyond the limit; serving thread only */
const world *server_world(const server *s); /* serving thread only */

/* Asks a running gateway through its admin socket: writes line, reads the whole answer. 0, or
 * TP_ERROR_IO with what to do. Blocks as long as the answer takes, but gives up a gateway that is
 * silent and does not answer another question either (15 s); for commands. */
int admin_ask(const char *socket_path, tp_str line, buf *answer, tp_error *err);
#endif
