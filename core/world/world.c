#include "world/world.h"

#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "base/str.h"
#include "world/world_int.h"

int world_fail(tp_error *err, const conf_place *at, const char *fmt, ...)
{
    char text[sizeof(err->text)];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(text, sizeof(text), fmt, ap);
    va_end(ap);
    if (at && at->file)
        return tp_error_set(err, TP_ERROR_CONFIG, "%s:%u:%u: %s", at->file, at->line, at->column,
                            text);
    return tp_error_set(err, TP_ERROR_CONFIG, "%s", text);
}

tp_str world_place(arena *a, const conf_place *at)
{
    if (!at->file)
        return STR("built in");
    tp_str s = arena_printf(a, "%s:%u:%u", at->file, at->line, at->column);
    TP_MUST(s.ptr);
    return s;
}

static void world_free(world *w)
{
    for (uint32_t i = 0; i < w->instance_count; i++)
        plug_destroy(w->instances[i]);
    map_free(&w->model_by_name);
    map_free(&w->provider_by_name);
    map_free(&w->deployments);
    map_free(&w->routes);
    arena_reset(&w->mem);
    conf_free(w->conf);
    free(w);
}

world *world_new_take(conf *c, plug_loader *loader, uint32_t serial, const logger *log,
                      tp_error *err)
{
    world *w = tp_xcalloc(1, sizeof(*w));
    atomic_init(&w->refs, 1);
    w->serial = serial;
    w->conf = c;
    w->created_unix_s = (int64_t)time(NULL);
    arena_init(&w->mem, NULL, SIZE_MAX / 2); /* its size follows from the operator's own files */
    world_build b = {.w = w, .loader = loader, .log = log, .err = err};
    if (world_check_credentials(c, err) < 0 || world_build_plugins(&b) < 0 || world_build_models(&b) < 0 || world_build_routes(&b) < 0 ||
        world_build_keys(&b) < 0) {
        world_free(w);
        return NULL;
    }
    return w;
}

void world_ref(world *w)
{
    atomic_fetch_add_explicit(&w->refs, 1, memory_order_relaxed);
}

void world_unref(world *w)
{
    if (!w || atomic_fetch_sub_explicit(&w->refs, 1, memory_order_release) != 1)
        return;
    /* All that other threads did with the world comes before it is taken apart. */
    atomic_thread_fence(memory_order_acquire);
    world_free(w);
}
