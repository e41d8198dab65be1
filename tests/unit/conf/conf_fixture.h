/* A world for the tests of conf: an environment of a few variables, every plugin file there but
 * those whose name begins with "no", and secret files from a table. */
#ifndef CONF_FIXTURE_H
#define CONF_FIXTURE_H
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/str.h"
#include "conf/conf.h"

static const char *fx_getenv(void *arg, const char *name)
{
    static const char *const vars[][2] = {{"SET_KEY", "sk-0123456789abcdef"},
                                          {"OTHER_KEY", "sk-fedcba9876543210"},
                                          {"EMPTY", ""},
                                          {"KEY_FILE", "/keys/good"},
                                          {"NO_FILE", "/keys/nowhere"},
                                          {"URL", "http://127.0.0.1:9/v1/"},
                                          {"REGION", "eu-\"west\""},
                                          {"BREAK", "one\ntwo"},
                                          {"BAD_UTF8", "\xff"},
                                          {"LONG", "a-value-that-is-longer-than-its-object"}};
    (void)arg;
    for (size_t i = 0; i < TP_COUNT(vars); i++)
        if (strcmp(vars[i][0], name) == 0)
            return vars[i][1];
    return NULL;
}

static int fx_exists(void *arg, const char *path)
{
    const char *slash = strrchr(path, '/');
    (void)arg;
    return strncmp(slash ? slash + 1 : path, "no", 2) != 0;
}

static int fx_read(void *arg, const char *path, buf *out)
{
    (void)arg;
    if (strcmp(path, "/keys/good") == 0)
        return buf_adds(out, STR("from-a-file-0123456789\n"));
    if (strcmp(path, "/keys/crlf") == 0)
        return buf_adds(out, STR("from-windows-0123456789\r\n"));
    if (strcmp(path, "/keys/document") == 0)
        return buf_adds(out, STR("{\n\t\"type\": \"service_account\"\r\n}\n"));
    if (strcmp(path, "/keys/empty") == 0)
        return buf_adds(out, STR("\n"));
    return strcmp(path, "/keys/locked") == 0 ? EACCES : ENOENT;
}

static inline conf_env fx_env(void)
{
    return (conf_env){
        .getenv = fx_getenv, .plugin_dir = "/plugins", .exists = fx_exists, .read = fx_read};
}

/* Loads up to three snippets, /c/a.json, /c/b.json and /c/c.json; NULL ends. */
static inline conf *fx_try(tp_error *err, const char *a, const char *b, const char *c)
{
    static const char *const names[] = {"/c/a.json", "/c/b.json", "/c/c.json"};
    tp_str texts[] = {str_of(a), str_of(b), str_of(c)};
    conf_env env = fx_env();
    *err = (tp_error){0};
    return conf_load_texts(names, texts, !a ? 0 : !b ? 1 : !c ? 2 : 3, &env, err);
}

static inline conf *fx_load(const char *a, const char *b, const char *c)
{
    tp_error err;
    conf *out = fx_try(&err, a, b, c);
    if (!out)
        fail_msg("unexpected error: %s", err.text);
    return out;
}

#define assert_str(got, want) fx_assert_str(got, want, __FILE__, __LINE__)
static inline void fx_assert_str(tp_str got, const char *want, const char *file, int line)
{
    if (got.ptr && str_eq(got, str_of(want)) && got.ptr[got.len] == 0)
        return;
    fprintf(stderr, "expected \"%s\", got \"%.*s\"\n", want, STR_ARG(got));
    _fail(file, line);
}

#define assert_error(want, a, b) fx_assert_error(want, a, b, __FILE__, __LINE__)
static inline void fx_assert_error(const char *want, const char *a, const char *b, const char *file,
                                   int line)
{
    tp_error err;
    conf *c = fx_try(&err, a, b, NULL);
    if (c)
        fprintf(stderr, "no error; expected \"%s\"\n", want);
    else if (strcmp(err.text, want) == 0 && err.code == TP_ERROR_CONFIG)
        return;
    else
        fprintf(stderr, "expected \"%s\"\n     got \"%s\" (code %d)\n", want, err.text, err.code);
    conf_free(c);
    fprintf(stderr, "snippet: %s\n", a);
    _fail(file, line);
}

static inline void fx_assert_notices(const conf *c, const char *const *want, uint32_t n,
                                     const char *file, int line)
{
    for (uint32_t i = 0; i < TP_MAX(n, c->notice_count); i++) {
        tp_str got = i < c->notice_count ? c->notices[i] : STR("(none)");
        const char *expected = i < n ? want[i] : "(none)";
        if (str_eq(got, str_of(expected)))
            continue;
        fprintf(stderr, "notice %u: expected \"%s\", got \"%.*s\"\n", i, expected, STR_ARG(got));
        _fail(file, line);
    }
}
#define assert_notices(c, ...)                                                                     \
    fx_assert_notices(c, (const char *const[]){__VA_ARGS__},                                       \
                      sizeof((const char *const[]){__VA_ARGS__}) / sizeof(char *), __FILE__,       \
                      __LINE__)
#endif
