/* What the files of this room share; nobody else's. */
#ifndef TP_ADMIT_ADMIT_INT_H
#define TP_ADMIT_ADMIT_INT_H
#include "admit/admit.h"
#include "admit/secret_int.h"
#include "base/hash.h"
#include "base/str.h"

/* As window_look, of a word of window_reserve. */
void window_peek(_Atomic uint64_t *word, int64_t limit, int64_t now_ms, window_view *view);

/* One request more of this address: 1, or 0: its window is used up. token (may be NULL): to give it
 * back. No table, no limit or no address: 1, and nothing is counted or shown. */
int address_take(address_table *t, tp_str address, int64_t limit, int64_t now_ms, uint64_t *token,
                 window_view *view);
void address_give_back(address_table *t, tp_str address, uint64_t token, int64_t now_ms);

/* ---- Refusals; each fills *e and answers ADMIT_REFUSED. s: the surface, or NULL. */
int admit_refuse_key(const world_route *r, tp_str message, tp_str code, profile_error *e);
int admit_refuse_team(const world_route *r, profile_error *e);
/* "Rate limit exceeded: N <what> a minute for this <whose>. Retry after S seconds." */
int admit_refuse_rate(const conf_surface *s, admit_principal *who, const window_view *v,
                      const char *what, const char *whose, profile_error *e);
int admit_refuse_busy(const conf_surface *s, admit_principal *who, int64_t limit, profile_error *e);
int admit_refuse_credit(const conf_surface *s, profile_error *e);
int admit_refuse_spent(admit_principal *who, int64_t limit, profile_error *e);
#endif
