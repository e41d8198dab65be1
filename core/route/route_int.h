/* Private to route/. */
#ifndef TP_ROUTE_ROUTE_INT_H
#define TP_ROUTE_ROUTE_INT_H
#include "route/route.h"

/* policy.c. asked: the model as the client named it. */
/* May the policy's team use this deployment, under that name? */
int route_allowed(const conf_policy *p, tp_str asked, const world_deployment *d);
/* Why not: a sentence in the arena; ptr NULL: out of memory. d is one that is not allowed. */
tp_str route_denial(const conf_policy *p, tp_str asked, const world_deployment *d, arena *a);
#endif
