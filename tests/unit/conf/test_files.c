/* Real directories: what is read, what is refused, and secrets on disk. */
#include <sys/stat.h>
#include <unistd.h>

#include "conf_fixture.h"

static char dir[1024];

static void path_of(char *out, size_t n, const char *name)
{
    snprintf(out, n, "%s/%s", dir, name);
}

static void put(const char *name, const char *text, size_t n, mode_t mode)
{
    char path[2048];
    path_of(path, sizeof(path), name);
    FILE *f = fopen(path, "wb");
    assert_non_null(f);
    assert_int_equal(fwrite(text, 1, n, f), n);
    assert_int_equal(fclose(f), 0);
    assert_int_equal(chmod(path, mode), 0);
}

static void drop(const char *name)
{
    char path[2048];
    path_of(path, sizeof(path), name);
    assert_int_equal(remove(path), 0);
}

static int setup(void **state)
{
    (void)state;
    char *real = realpath(TEST_BINARY_DIR, NULL);
    snprintf(dir, sizeof(dir), "%s/conf-test-XXXXXX", real);
    free(real);
    return mkdtemp(dir) ? 0 : -1;
}

static int teardown(void **state)
{
    (void)state;
    return rmdir(dir); /* every test leaves it empty */
}

static conf *load(tp_error *err)
{
    conf_env env = {.getenv = fx_getenv, .exists = fx_exists};
    *err = (tp_error){0};
    return conf_load(dir, &env, err);
}

static void assert_fails(int code, const char *want)
{
    tp_error err;
    char full[2048];
    assert_null(load(&err));
    snprintf(full, sizeof(full), "%s%s", dir, want);
    assert_string_equal(err.text, full);
    assert_int_equal(err.code, code);
}

static void name_order_and_ignored_names(void **state)
{
    (void)state;
    tp_error err;
    put("20.json", "{\"providers\": {\"b\": {}}}", 24, 0600);
    put("10.json", "{\"providers\": {\"a\": {}}}", 24, 0600);
    put(".5.json", "junk", 4, 0600);
    put("5.json~", "junk", 4, 0600);
    put("README", "junk", 4, 0600);
    conf *c = load(&err);
    assert_non_null(c);
    assert_int_equal(c->provider_count, 2);
    assert_str(c->providers[0].name, "a");
    assert_str(c->providers[1].name, "b");
    char want[2048];
    snprintf(want, sizeof(want), "%s/10.json", dir);
    assert_string_equal(c->providers[0].place.file, want);
    assert_str(c->dir, dir);
    snprintf(want, sizeof(want), "%.*srun", (int)(strrchr(dir, '/') + 1 - dir), dir);
    assert_str(c->server.run_dir, want);
    conf_free(c);
    drop("20.json");
    drop("10.json");
    drop(".5.json");
    drop("5.json~");
    drop("README");
    c = load(&err);
    assert_non_null(c);
    snprintf(want, sizeof(want), "%s: there is no *.json here: only defaults are in force", dir);
    assert_notices(c, want);
    conf_free(c);
}

static void parent_of_conf_d(void **state)
{
    (void)state;
    tp_error err;
    char path[2048], want[2048];
    path_of(path, sizeof(path), "conf.d");
    assert_int_equal(mkdir(path, 0700), 0);
    put("conf.d/x.json", "{}", 2, 0600);
    conf *c = load(&err);
    assert_non_null(c);
    assert_str(c->dir, path);
    snprintf(want, sizeof(want), "%s/run", dir);
    assert_str(c->server.run_dir, want);
    conf_free(c);
    drop("conf.d/x.json");
    drop("conf.d");
}

static void weird_files(void **state)
{
    (void)state;
    char path[2048];
    path_of(path, sizeof(path), "x.json");
    assert_int_equal(mkdir(path, 0700), 0);
    assert_fails(TP_ERROR_CONFIG,
                 "/x.json: is a directory; expected a file, or another name than *.json");
    drop("x.json");
    assert_int_equal(mkfifo(path, 0600), 0);
    assert_fails(TP_ERROR_CONFIG, "/x.json: is not a regular file");
    drop("x.json");
    assert_int_equal(symlink("nowhere", path), 0);
    assert_fails(TP_ERROR_IO, "/x.json: cannot be read: No such file or directory");
    drop("x.json");
    char *big = calloc(1, (4u << 20) + 1);
    memset(big, ' ', (4u << 20) + 1);
    put("x.json", big, (4u << 20) + 1, 0600);
    assert_fails(TP_ERROR_CONFIG, "/x.json: the file is over 4 MiB; split it");
    big[0] = '{';
    big[1] = '}';
    put("x.json", big, 4u << 20, 0600);
    tp_error err;
    conf *c = load(&err);
    assert_non_null(c);
    conf_free(c);
    free(big);
    put("x.json", "{}\0", 3, 0600);
    assert_null(load(&err));
    drop("x.json");
    if (geteuid() != 0) {
        put("x.json", "{}", 2, 0000);
        assert_fails(TP_ERROR_IO, "/x.json: cannot be read: Permission denied");
        drop("x.json");
    }
    strcat(dir, "/none");
    assert_fails(TP_ERROR_IO, ": cannot open the configuration directory: No such file or "
                              "directory");
    *strrchr(dir, '/') = 0;
}

static void too_many(void **state)
{
    (void)state;
    enum { N = 10001 };
    char name[32];
    for (int i = 0; i < N; i++) {
        snprintf(name, sizeof(name), "%05d.json", i);
        put(name, "{}", 2, 0600);
    }
    assert_fails(TP_ERROR_CONFIG, ": more than 10000 snippets; join some");
    drop("00000.json");
    tp_error err;
    conf *c = load(&err);
    assert_non_null(c);
    conf_free(c);
    for (int i = 1; i < N; i++) {
        snprintf(name, sizeof(name), "%05d.json", i);
        drop(name);
    }
}

static void secrets_on_disk(void **state)
{
    (void)state;
    static const char text[] =
        "{\"providers\": {\"a\": {\"api_key\": {\"file\": \"key\"}},\n"
        "\"b\": {\"api_key\": \"written here\"}, \"c\": {\"api_key\": {\"file\": \"pipe\"}},\n"
        "\"d\": {\"api_key\": {\"file\": \"big\"}}, \"e\": {\"api_key\": {\"file\": \".\"}}}}";
    tp_error err;
    char path[2048], want[4][2048];
    char *big = malloc(16385);
    memset(big, 'x', 16385);
    path_of(path, sizeof(path), "pipe");
    assert_int_equal(mkfifo(path, 0600), 0);
    put("big", big, 16385, 0600);
    put("key", "s3cret\n", 7, 0600);
    put("x.json", text, sizeof(text) - 1, 0644);
    snprintf(want[0], sizeof(want[0]),
             "%s/x.json:2:18: providers.b.api_key is written in a file "
             "that every user of this machine can read (mode 0644): chmod o-r it, or use "
             "{\"env\": NAME} or {\"file\": PATH}",
             dir);
    snprintf(want[1], sizeof(want[1]),
             "provider c is dormant: file %s/pipe cannot be read: it is "
             "not a regular file",
             dir);
    snprintf(want[2], sizeof(want[2]),
             "provider d is dormant: file %s/big cannot be read: it is "
             "over 16 KiB",
             dir);
    snprintf(want[3], sizeof(want[3]),
             "provider e is dormant: file %s/. cannot be read: Is a "
             "directory",
             dir);
    conf *c = load(&err);
    assert_non_null(c);
    assert_notices(c, want[0], want[1], want[2], want[3]);
    assert_str(c->providers[0].api_key.value, "s3cret");
    assert_int_equal(c->providers[3].api_key.value.len, 0);
    conf_free(c);
    put("x.json", text, sizeof(text) - 1, 0640); /* the group may read it */
    c = load(&err);
    assert_non_null(c);
    assert_notices(c, want[1], want[2], want[3]);
    conf_free(c);
    free(big);
    drop("pipe");
    drop("big");
    drop("key");
    drop("x.json");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(name_order_and_ignored_names),
        cmocka_unit_test(parent_of_conf_d),
        cmocka_unit_test(weird_files),
        cmocka_unit_test(secrets_on_disk),
        cmocka_unit_test(too_many),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
