/* What the tests of plug/ share: a loader over a run directory of its own, and one call's memory. */
#ifndef TP_TEST_PLUG_FIXTURE_H
#define TP_TEST_PLUG_FIXTURE_H
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>
#include "base/str.h"
#include "plug/call.h"
#include "plug/plug.h"

#define PLUGINS TEST_BINARY_DIR "/tests/plugins/"
#define assert_has(text, part)                                                           \
    do {                                                                                 \
        if (!strstr((text), (part)))                                                     \
            fail_msg("\"%s\" is not in \"%s\"", (part), (text));                         \
    } while (0)
#define assert_str(got, want)                                                            \
    do {                                                                                 \
        tp_str got_ = (got);                                                             \
        if (!str_eq(got_, str_of(want)))                                                 \
            fail_msg("got \"%.*s\", expected \"%s\"", STR_ARG(got_), (want));            \
    } while (0)

typedef struct fixture {
    char run_dir[64];
    plug_loader *loader;
    logger log;
    FILE *log_file;
    plug_scratch scratch;
    plug_out out;
    arena keep;
    plug_call call;
    char state[4096];
} fixture;

static inline fixture *fixture_new(void)
{
    fixture *f = calloc(1, sizeof(*f));
    tp_error err = {0};
    assert_non_null(f);
    strcpy(f->run_dir, "/tmp/turnpike-plug-XXXXXX");
    assert_non_null(mkdtemp(f->run_dir));
    f->log_file = tmpfile();
    assert_non_null(f->log_file);
    f->log = (logger){.fd = fileno(f->log_file), .level = LOG_DEBUG};
    f->loader = plug_loader_new(f->run_dir, &f->log, &err);
    if (!f->loader)
        fail_msg("%s", err.text);
    plug_scratch_init(&f->scratch, NULL, 4 << 20, &f->log);
    arena_init(&f->keep, NULL, 1 << 20);
    f->call = (plug_call){.pub = {.size = sizeof(tp_call), .state = f->state},
                          .scratch = &f->scratch, .out = &f->out, .keep = &f->keep,
                          .keep_max = 1024};
    return f;
}

/* The next step: nothing of the last one's output lives on. */
static inline void fixture_step(fixture *f, uint32_t may)
{
    plug_scratch_reset(&f->scratch);
    plug_out_reset(&f->out);
    f->call.may = may;
    f->call.borrowed_count = 0;
}

static inline void fixture_borrow(fixture *f, tp_str s)
{
    f->call.borrowed[f->call.borrowed_count++] = s;
}

static inline void fixture_free(fixture *f)
{
    char command[128];
    plug_scratch_free(&f->scratch);
    arena_reset(&f->keep);
    plug_loader_free(f->loader);
    fclose(f->log_file);
    snprintf(command, sizeof(command), "rm -rf '%s'", f->run_dir);
    assert_int_equal(system(command), 0);
    free(f);
}

/* Everything written, as one NUL-terminated string that the caller frees. */
static inline char *written(const plug_out *o)
{
    char *text = malloc(o->bytes + 1), *p = text;
    assert_non_null(text);
    for (uint32_t i = 0; i < o->seg_count; i++) {
        memcpy(p, o->segs[i].ptr, o->segs[i].len);
        p += o->segs[i].len;
    }
    assert_int_equal((size_t)(p - text), o->bytes);
    *p = '\0';
    return text;
}
#define assert_written(o, want)                                                          \
    do {                                                                                 \
        char *text_ = written(o);                                                        \
        assert_string_equal(text_, (want));                                              \
        free(text_);                                                                     \
    } while (0)

static inline plug_instance *fixture_create(fixture *f, const char *plugin, const char *options)
{
    char path[4096];
    plug_image *image;
    plug_instance *made = NULL;
    tp_error err = {0};
    json_tape tape = {0};
    arena a;
    tp_doc doc;
    snprintf(path, sizeof(path), PLUGINS "%s.so", plugin);
    if (plug_load(f->loader, path, &image, &err))
        fail_msg("%s", err.text);
    arena_init(&a, NULL, 1 << 20);
    assert_int_equal(json_scan_doc(str_of(options), &tape, &a, &doc, NULL), 0);
    if (plug_create(image, str_of("tester"), &doc, &made, &err))
        fail_msg("%s", err.text);
    arena_reset(&a);
    json_tape_free(&tape);
    return made;
}
#endif
