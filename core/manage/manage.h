/* The built-in endpoints, over memory and query ports: the model list, one model, health. No I/O of
 * their own; the caller sends the reply. [loop] */
#ifndef TP_MANAGE_MANAGE_H
#define TP_MANAGE_MANAGE_H
#include "admit/admit.h"
#include "base/buf.h"
#include "profile/profile.h"
#include "world/world.h"

/* What the process around the world knows: one a process, made at start, const after, read by any
 * worker. */
typedef struct manage_ports {
    void *arg;
    int64_t started_unix_ms; /* 0: not known; the uptime then counts from the world's creation */
    /* 0: well; -1: in trouble, and why says so in one terminated sentence. [any], does not block.
     * NULL: no store. */
    int (*store_health)(void *arg, char *why, size_t room);
} manage_ports;

typedef struct manage_reply {
    int32_t status; /* HTTP */
    int32_t reserved;
    tp_str type;    /* content type; static */
    buf body;       /* initialised by manage_handle; the caller frees it, also after an error */
} manage_reply;

#define MANAGE_MAX_BODY (32u << 20)

/* Answers a route of kind WORLD_MODELS, WORLD_MODEL (rest: the id as it stands in the path,
 * percent-encoded) or WORLD_HEALTH; ports may be NULL. who: may be nobody (public routes).
 * 0 and *out, errors of the client included (404 in the surface's envelope); -1: out of memory or
 * over MANAGE_MAX_BODY, and *out is a 503 with an empty body. */
int manage_handle(const manage_ports *ports, const world *w, const world_route *r, tp_str rest,
                  const admit_principal *who, tp_now now, manage_reply *out);
#endif
