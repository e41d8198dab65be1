/* The management API: keys, credits, generations in the shapes of the surfaces, and the admin API
 * (teams, credits, keys, provider keys, generations, ledger, sessions) under /admin. One piece of
 * code serves HTTP, the admin socket and the commands. It blocks on the registry: called from jobs
 * and commands, never from a worker. */
#ifndef TP_MANAGE_API_H
#define TP_MANAGE_API_H
#include <pthread.h>

#include "admit/admit.h"
#include "manage/manage.h"
#include "manage/registry.h"

typedef struct session_table session_table; /* logged-in browsers, in memory, bounded */
session_table *session_table_new(uint32_t most);
void session_table_free(session_table *t);

typedef struct api_ports { /* one a process, const after start */
    book *book;
    const registry_port *registry;
    session_table *sessions;      /* NULL (commands): no sessions */
    const secret_master *master;  /* NULL: provider keys cannot be set (503, with why) */
    const logger *log;            /* changes are told here: who, what, never a secret */
    pthread_mutex_t *changes;     /* one change at a time: read, check, store, book */
} api_ports;

enum { API_NOBODY = 0, API_KEY = 1, API_SESSION = 2, API_SOCKET = 3 /* may do everything */ };
typedef struct api_actor {
    int32_t kind, role;           /* role: CONF_ROLE_ */
    tp_str key_id, team;          /* of a key; borrowed for the call */
} api_actor;

typedef struct api_request { /* all borrowed for the call */
    const world *world;
    const world_route *route;     /* WORLD_KEYS ... WORLD_ADMIN */
    int32_t method;               /* HTTP_ */
    int32_t secure;               /* 1: came over TLS (the cookie is Secure then) */
    tp_str method_text, path;
    tp_str rest;                  /* of the path after the route's own: "" or "ID", "teams/acme/byok" */
    tp_str query;                 /* without '?' */
    tp_str body, type;            /* type: Content-Type; empty: none given */
    tp_str cookie, csrf;          /* headers Cookie, X-CSRF-Token */
    tp_str address;               /* the client's */
    api_actor actor;
    tp_now now;
} api_request;

#define API_HEADERS 4u
typedef struct api_reply {
    int32_t status;
    uint32_t header_count;
    tp_str type;                  /* static */
    tp_header headers[API_HEADERS]; /* Allow, Location, Set-Cookie...: values in mem */
    buf body;                     /* the caller frees, with mem, also after an error */
    arena mem;
} api_reply;
/* Initialises *out and answers; errors of the client and of the store are replies too. 0; or -1: out
 * of memory, and *out is a 503 with an empty body. */
int api_handle(const api_ports *p, const api_request *r, api_reply *out);
void api_reply_free(api_reply *r);

/* At start, and when the store was opened anew: fills the book from the registry. 0, or what the
 * registry answered. Provider keys that the master key does not open are left out, with a line in
 * the log. */
int api_load(const api_ports *p, int64_t now_ms, tp_error *err);
#endif
