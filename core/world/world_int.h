/* Private to world/. */
#ifndef TP_WORLD_WORLD_INT_H
#define TP_WORLD_WORLD_INT_H
#include "world/world.h"

/* While a world is built. */
typedef struct world_build {
    world *w;
    plug_loader *loader;
    const logger *log;
    tp_error *err;
    const plug_instance **endpoints;  /* of conf.endpoints[i]; NULL: not usable */
    const plug_instance **strategies; /* of conf.strategies[i] */
} world_build;

/* Puts "FILE:LINE:COLUMN: " and the sentence into err; returns TP_ERROR_CONFIG. */
int world_fail(tp_error *err, const conf_place *at, const char *fmt, ...) TP_PRINTF(3, 4);
/* "FILE:LINE:COLUMN" in the arena. */
tp_str world_place(arena *a, const conf_place *at);

int world_build_plugins(world_build *b); /* instances.c */
int world_build_models(world_build *b);  /* models.c */
int world_build_routes(world_build *b);  /* routes.c */
int world_build_keys(world_build *b);    /* keys.c */
#endif
