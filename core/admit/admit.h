/* Who are you, may you: before 100-continue and the body. Memory only, no I/O. [loop] */
#ifndef TP_ADMIT_ADMIT_H
#define TP_ADMIT_ADMIT_H
#include "parse/http.h"
#include "profile/profile.h"
#include "world/world.h"

typedef struct admit_principal {
    const conf_key *key; /* NULL: nobody (public route); lives with the world */
} admit_principal;
/* 0 and *who; or -1 and *e (401 with the surface's words; WWW-Authenticate is the caller's). On a
 * public route a missing or wrong key is nobody. e's strings are static. Reads "Authorization:
 * Bearer KEY" in time that does not depend on how much of a secret was right. */
int admit_check(const world *w, const world_route *r, const http_head *h, admit_principal *who,
                profile_error *e);
/* Does this key's allow-list hold this very name? No key or no list: 1. An alias is a name of its
 * own: ask with the codename of the model found as well. */
int admit_may_use(const conf_key *key, tp_str model);
/* May this key use this model (allow-list)? 0, or -1 and *e (403). */
int admit_model(const admit_principal *who, tp_str model, arena *a, profile_error *e);
#endif
