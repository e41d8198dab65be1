/* A world from snippets in memory, with the shipped plugins of this build. */
#ifndef WORLD_FIXTURE_H
#define WORLD_FIXTURE_H
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/str.h"
#include "world/world.h"

#define assert_str(got, want)                                                                      \
    do {                                                                                           \
        tp_str got_ = (got);                                                                       \
        if (!str_eq(got_, str_of(want)))                                                           \
            fail_msg("got \"%.*s\", expected \"%s\"", STR_ARG(got_), (want));                      \
    } while (0)
#define assert_has(text, part)                                                                     \
    do {                                                                                           \
        if (!strstr((text), (part)))                                                               \
            fail_msg("\"%s\" is not in \"%s\"", (part), (text));                                   \
    } while (0)

typedef struct wf { /* one plugin loader for the tests of a file */
    char run_dir[64];
    logger log;
    FILE *log_file;
    plug_loader *loader;
} wf;

static inline const char *wf_getenv(void *arg, const char *name)
{
    (void)arg;
    if (strcmp(name, "SET_KEY") == 0)
        return "sk-upstream-0123456789";
    return NULL;
}

static inline int wf_open(void **state)
{
    wf *f = calloc(1, sizeof(*f));
    tp_error err = {0};
    snprintf(f->run_dir, sizeof(f->run_dir), "%s", "/tmp/turnpike-world-XXXXXX");
    if (!mkdtemp(f->run_dir))
        return -1;
    f->log_file = tmpfile();
    f->log = (logger){.fd = fileno(f->log_file), .level = LOG_DEBUG};
    f->loader = plug_loader_new(f->run_dir, &f->log, &err);
    *state = f;
    return f->loader ? 0 : -1;
}

static inline int wf_close(void **state)
{
    wf *f = *state;
    char command[128];
    plug_loader_free(f->loader);
    fclose(f->log_file);
    snprintf(command, sizeof(command), "rm -rf '%s'", f->run_dir);
    int rc = system(command);
    free(f);
    return rc;
}

/* NULL with err. text: one snippet, named /c/test.json. */
static inline world *wf_try(wf *f, const char *text, tp_error *err)
{
    static const char *const name = "/c/test.json";
    tp_str t = str_of(text);
    conf_env env = {.getenv = wf_getenv, .plugin_dir = TEST_BINARY_DIR "/plugins"};
    *err = (tp_error){0};
    conf *c = conf_load_texts(&name, &t, 1, &env, err);
    return c ? world_new_take(c, f->loader, 1, &f->log, err) : NULL;
}

static inline world *wf_world(wf *f, const char *text)
{
    tp_error err;
    world *w = wf_try(f, text, &err);
    if (!w)
        fail_msg("unexpected error: %s", err.text);
    return w;
}
#endif
