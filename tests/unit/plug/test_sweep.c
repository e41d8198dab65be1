/* Old copies of plugins are removed at start, and nobody who uses the directory is hurt by it. */
#include "plug_fixture.h"
#include <errno.h>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/wait.h>

#define HEX "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

static void in_dir(const fixture *f, const char *name, char path[256])
{
    snprintf(path, 256, "%s/plugins/%s", f->run_dir, name);
}

static void leave(const fixture *f, const char *name)
{
    char path[256];
    in_dir(f, name, path);
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL, 0500);
    assert_true(fd >= 0);
    close(fd);
}

static int is_there(const fixture *f, const char *name)
{
    struct stat st;
    char path[256];
    in_dir(f, name, path);
    return lstat(path, &st) == 0;
}

static plug_image *load(plug_loader *l, const char *plugin)
{
    char path[4096];
    plug_image *i;
    tp_error err = {0};
    snprintf(path, sizeof(path), PLUGINS "%s.so", plugin);
    if (plug_load(l, path, &i, &err))
        fail_msg("%s", err.text);
    return i;
}

static void only_what_is_not_loaded_goes(void **state)
{
    (void)state;
    static const char *const old[] = {HEX ".so", HEX ".so.1.tmp", HEX ".so.4294967.tmp"};
    static const char *const others[] = {"notes.txt", "0123.so", HEX ".so.bak", HEX ".so.tmp",
                                         HEX ".so.1.tmp~", HEX "0.so", ".keep", HEX ".sox",
                                         "0123456789ABCDEF" HEX ".so"};
    fixture *f = fixture_new();
    char name[96], path[256];
    snprintf(name, sizeof(name), "%s.so", plug_image_sha256(load(f->loader, "area_words")));
    for (size_t i = 0; i < TP_COUNT(old); i++)
        leave(f, old[i]);
    for (size_t i = 0; i < TP_COUNT(others); i++)
        leave(f, others[i]);
    in_dir(f, "f" HEX, path);
    path[strlen(path) - 1] = '\0'; /* a directory that is named as a copy is */
    strcat(path, ".so");
    assert_int_equal(mkdir(path, 0700), 0);
    assert_int_equal(plug_loader_sweep(f->loader), TP_COUNT(old));
    for (size_t i = 0; i < TP_COUNT(old); i++)
        assert_false(is_there(f, old[i]));
    for (size_t i = 0; i < TP_COUNT(others); i++)
        assert_true(is_there(f, others[i]));
    assert_true(is_there(f, name));
    assert_int_equal(access(path, F_OK), 0);
    assert_int_equal(plug_loader_sweep(f->loader), 0);
    fixture_free(f);
}

/* Another gateway on the same directory, whose configuration names none of ours. */
static void what_is_mapped_runs_on_and_is_copied_anew(void **state)
{
    (void)state;
    fixture *f = fixture_new();
    char name[96];
    tp_error err = {0};
    plug_instance *made = fixture_create(f, "area_memory", "{}");
    snprintf(name, sizeof(name), "%s.so", plug_image_sha256(made->image));
    plug_loader *other = plug_loader_new(f->run_dir, &f->log, &err);
    assert_non_null(other);
    assert_int_equal(plug_loader_sweep(other), 1);
    assert_false(is_there(f, name));
    tp_operation op = {.size = sizeof(op), .model = {"m", 1}};
    tp_target t = {.size = sizeof(t)};
    fixture_step(f, PLUG_MAY_REQUEST);
    plug_invocation iv = {.what = PLUG_BUILD, .on = made, .call = &f->call, .operation = &op,
                          .target = &t};
    plug_invoke(&iv);
    assert_int_equal(iv.status, TP_OK);
    assert_str(f->out.path, "/model/m");
    assert_string_equal(plug_image_sha256(load(other, "area_memory")),
                        plug_image_sha256(made->image));
    assert_true(is_there(f, name));
    plug_destroy(made);
    plug_loader_free(other);
    fixture_free(f);
}

/* Somebody is between the copy and its mapping: nothing goes now, and at the next start it does. */
static void nothing_goes_while_another_loads(void **state)
{
    (void)state;
    fixture *f = fixture_new();
    char dir[256];
    in_dir(f, "", dir);
    int fd = open(dir, O_RDONLY | O_DIRECTORY);
    assert_true(fd >= 0);
    assert_int_equal(flock(fd, LOCK_SH), 0);
    leave(f, HEX ".so");
    assert_int_equal(plug_loader_sweep(f->loader), 0);
    assert_true(is_there(f, HEX ".so"));
    load(f->loader, "area_words"); /* those who load do not wait for one another */
    close(fd);
    assert_int_equal(plug_loader_sweep(f->loader), 1);
    fixture_free(f);
}

/* Processes that load while one removes all it can: each of them gets its plugin. */
static void those_who_load_are_not_disturbed(void **state)
{
    (void)state;
    enum { LOADERS = 64 };
    fixture *f = fixture_new();
    int running = LOADERS, bad = 0, removed = 0;
    for (int i = 0; i < LOADERS; i++) {
        pid_t pid = fork();
        assert_true(pid >= 0);
        if (pid == 0) {
            plug_image *image;
            tp_error err = {0};
            plug_loader *l = plug_loader_new(f->run_dir, &f->log, &err);
            _exit(l && plug_load(l, PLUGINS "area_json.so", &image, &err) == 0 ? 0 : 1);
        }
    }
    while (running) {
        int how;
        removed += plug_loader_sweep(f->loader);
        if (waitpid(-1, &how, WNOHANG) > 0) {
            bad += !WIFEXITED(how) || WEXITSTATUS(how) != 0;
            running--;
        }
    }
    removed += plug_loader_sweep(f->loader); /* where one or the other loaded all the time */
    assert_int_equal(bad, 0);
    assert_true(removed > 0);
    fixture_free(f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(only_what_is_not_loaded_goes),
        cmocka_unit_test(what_is_mapped_runs_on_and_is_copied_anew),
        cmocka_unit_test(nothing_goes_while_another_loads),
        cmocka_unit_test(those_who_load_are_not_disturbed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
