/* Loading: what is refused, in which words; and that running code does not hang on its file. */
#include <dirent.h>
#include <elf.h>
#include <sys/stat.h>
#include "plug_fixture.h"

static void load_path(fixture *f, const char *path, plug_image **out, tp_error *err, int want)
{
    *err = (tp_error){0};
    int rc = plug_load(f->loader, path, out, err);
    if (rc != want)
        fail_msg("plug_load gave %d, expected %d: %s", rc, want, err->text);
    assert_int_equal(err->code, want);
    assert_true((*out != NULL) == (want == 0));
    if (want)
        assert_has(err->text, path);
}

static void refused(fixture *f, const char *name, const char *why)
{
    char path[4096];
    plug_image *i;
    tp_error err;
    snprintf(path, sizeof(path), PLUGINS "%s.so", name);
    load_path(f, path, &i, &err, TP_ERROR_ABI);
    assert_has(err.text, why);
}

static void hostile_plugins_are_refused(void **state)
{
    (void)state;
    fixture *f = fixture_new();
    refused(f, "hostile_major", "the plugin speaks SDK major 2, and this host (Turnpike "
            TURNPIKE_VERSION ") speaks major 1; install the plugin's build for SDK 1");
    refused(f, "hostile_no_manifest", "no manifest (section .tp_manifest); write TP_MANIFEST(");
    refused(f, "hostile_manifest_json", "its manifest is no valid JSON at byte ");
    refused(f, "hostile_manifest_license", "the manifest has no member \"license\"");
    refused(f, "hostile_manifest_sdk", "\"sdk\" is \"one\", not MAJOR.MINOR");
    refused(f, "hostile_manifest_unknown", "\"kinds\" is [\"filter\"], and this host knows "
            "provider, endpoint and strategy");
    refused(f, "hostile_manifest_kinds", "lists the kind \"endpoint\", but its get_extension does "
            "not offer \"tp.endpoint/1\"");
    refused(f, "hostile_manifest_version", "its manifest says test.hostile 9.9.9, and the plugin "
            "itself test.hostile 1.0.0");
    refused(f, "hostile_no_entry", "it does not export tp_plugin_entry_v1 (its manifest says SDK "
            "1.0)");
    refused(f, "hostile_null", "its entry returned NULL");
    refused(f, "hostile_state", "\"tp.provider/1\" asks for state_size 4097 bytes; 4096 are "
            "allowed");
    refused(f, "hostile_formats", "\"tp.provider/1\" has formats with count 1 and stride 3");
    refused(f, "hostile_no_function", "\"tp.provider/1\" has no end; that function must be there");
    refused(f, "hostile_small_table", "\"tp.provider/1\" has size 24, and ");
    refused(f, "hostile_tls", "thread-local segment");
    refused(f, "hostile_undefined", "undefined symbol: tp_nobody_defines_this");
    refused(f, "hostile_undefined", "-z,defs"); /* and again, with the same words */
    fixture_free(f);
}

static char *slurp(const char *path, size_t *n)
{
    FILE *file = fopen(path, "rb");
    assert_non_null(file);
    fseek(file, 0, SEEK_END);
    *n = (size_t)ftell(file);
    rewind(file);
    char *bytes = malloc(*n);
    assert_int_equal(fread(bytes, 1, *n, file), *n);
    fclose(file);
    return bytes;
}

static void spill(const char *path, const char *bytes, size_t n)
{
    FILE *file = fopen(path, "wb");
    assert_non_null(file);
    assert_int_equal(fwrite(bytes, 1, n, file), n);
    assert_int_equal(fclose(file), 0);
}

static void broken_files_are_refused(void **state)
{
    (void)state;
    fixture *f = fixture_new();
    char path[128];
    size_t n;
    plug_image *i;
    tp_error err;
    char *bytes = slurp(PLUGINS "area_json.so", &n);
    snprintf(path, sizeof(path), "%s/broken.so", f->run_dir);

    load_path(f, path, &i, &err, TP_ERROR_IO);
    assert_has(err.text, "cannot be opened: No such file");
    load_path(f, f->run_dir, &i, &err, TP_ERROR_IO);
    assert_has(err.text, "not a regular file");
    spill(path, "#!/bin/sh\necho hello\n", 21);
    load_path(f, path, &i, &err, TP_ERROR_ABI);
    assert_has(err.text, "not an ELF shared library");
    spill(path, "", 0);
    load_path(f, path, &i, &err, TP_ERROR_ABI);
    assert_has(err.text, "not an ELF shared library");
    for (size_t cut = 1; cut < n; cut += 1 + n / 97) { /* wherever it is cut: refused, not run */
        spill(path, bytes, cut);
        load_path(f, path, &i, &err, TP_ERROR_ABI);
    }
    spill(path, bytes, n - 1);
    load_path(f, path, &i, &err, TP_ERROR_ABI);
    assert_has(err.text, "the file is cut off");

    bytes[EI_CLASS] = ELFCLASS32;
    spill(path, bytes, n);
    load_path(f, path, &i, &err, TP_ERROR_ABI);
    assert_has(err.text, "a 32-bit ELF file; this host loads 64-bit little-endian ones");
    bytes[EI_CLASS] = ELFCLASS64;
    Elf64_Ehdr h;
    memcpy(&h, bytes, sizeof(h));
    uint16_t machine = h.e_machine;
    h.e_machine = EM_S390;
    memcpy(bytes, &h, sizeof(h));
    spill(path, bytes, n);
    load_path(f, path, &i, &err, TP_ERROR_ABI);
    assert_has(err.text, "(ELF machine 22), and this host is ");
    h.e_machine = machine;
    h.e_type = ET_EXEC;
    memcpy(bytes, &h, sizeof(h));
    spill(path, bytes, n);
    load_path(f, path, &i, &err, TP_ERROR_ABI);
    assert_has(err.text, "not a shared library");
    free(bytes);
    fixture_free(f);
}

static void create_says_why_not(void **state)
{
    (void)state;
    static const struct {
        const char *plugin, *why;
    } cases[] = {
        {"hostile_create", "eu: region: a region was expected, such as eu-west-1"},
        {"hostile_create_silent", "eu: plugin test.hostile refused its options (a status that is "
                                  "no error of the SDK) without saying why"},
        {"hostile_create_writes", "eu: plugin error: write: it may not be called from create"},
    };
    fixture *f = fixture_new();
    for (size_t k = 0; k < TP_COUNT(cases); k++) {
        char path[4096];
        plug_image *i;
        plug_instance *made = NULL;
        tp_error err = {0};
        snprintf(path, sizeof(path), PLUGINS "%s.so", cases[k].plugin);
        load_path(f, path, &i, &err, 0);
        assert_int_equal(plug_create(i, STR("eu"), NULL, &made, &err), TP_ERROR_CONFIG);
        assert_null(made);
        assert_string_equal(err.text, cases[k].why);
    }
    fixture_free(f);
}

static void the_manifest_is_read_without_running(void **state)
{
    (void)state;
    arena a;
    plug_manifest m;
    tp_error err = {0};
    arena_init(&a, NULL, 1 << 20);
    assert_int_equal(plug_manifest_read(PLUGINS "area_request.so", &a, &m, &err), 0);
    assert_str(m.id, "test.area-request");
    assert_str(m.name, "Requests");
    assert_str(m.version, "1.0.0");
    assert_str(m.license, "Apache-2.0");
    assert_str(m.description, "spliced body");
    assert_str(m.sdk, "1.0");
    assert_int_equal(m.sdk_major, 1);
    assert_int_equal(m.sdk_minor, 0);
    assert_int_equal(m.kinds, PLUG_KIND_PROVIDER);
    assert_true(json_get(&m.options_schema, 0, "properties", "base_url", NULL) > 0);
    /* the library itself could not be opened at all: its symbol is defined nowhere */
    assert_int_equal(plug_manifest_read(PLUGINS "hostile_undefined.so", &a, &m, &err), 0);
    assert_str(m.id, "test.hostile");
    assert_str(m.name, "test.hostile");
    assert_str(json_raw(&m.options_schema, 0), "{}");
    assert_int_equal(plug_manifest_read(PLUGINS "area_strategy.so", &a, &m, &err), 0);
    assert_int_equal(m.kinds, PLUG_KIND_STRATEGY);
    assert_int_equal(plug_manifest_read(PLUGINS "hostile_major.so", &a, &m, &err), TP_ERROR_ABI);
    assert_has(err.text, "hostile_major.so: the plugin speaks SDK major 2");
    arena_reset(&a);
}

static void the_same_content_is_one_image(void **state)
{
    (void)state;
    fixture *f = fixture_new();
    char path[128], copy[256];
    size_t n;
    plug_image *one, *two, *three;
    tp_error err;
    struct stat st;
    char *bytes = slurp(PLUGINS "area_json.so", &n);
    load_path(f, PLUGINS "area_json.so", &one, &err, 0);
    snprintf(path, sizeof(path), "%s/other-name.so", f->run_dir);
    spill(path, bytes, n);
    load_path(f, path, &two, &err, 0);
    assert_ptr_equal(one, two);
    assert_str(plug_image_manifest(one)->id, "test.area-json");
    assert_int_equal(strlen(plug_image_sha256(one)), 64);
    snprintf(copy, sizeof(copy), "%s/plugins/%s.so", f->run_dir, plug_image_sha256(one));
    assert_int_equal(stat(copy, &st), 0);
    assert_int_equal(st.st_mode & 07777, 0500);
    assert_int_equal(st.st_size, n);
    /* other content: another image, beside the first one */
    bytes = realloc(bytes, n + 1);
    bytes[n] = 0;
    spill(path, bytes, n + 1);
    load_path(f, path, &three, &err, 0);
    assert_ptr_not_equal(one, three);
    /* nothing temporary is left behind */
    snprintf(copy, sizeof(copy), "%s/plugins", f->run_dir);
    DIR *d = opendir(copy);
    int files = 0;
    for (struct dirent *e; (e = readdir(d));) {
        if (e->d_name[0] == '.')
            continue;
        files++;
        assert_int_equal(strlen(e->d_name), 67);
    }
    closedir(d);
    assert_int_equal(files, 2);
    free(bytes);
    fixture_free(f);
}

static void a_spoilt_copy_is_replaced(void **state)
{
    (void)state;
    fixture *f = fixture_new();
    char copy[256];
    size_t n, m;
    plug_image *i;
    tp_error err;
    char *bytes = slurp(PLUGINS "area_words.so", &n);
    load_path(f, PLUGINS "area_words.so", &i, &err, 0);
    snprintf(copy, sizeof(copy), "%s/plugins/%s.so", f->run_dir, plug_image_sha256(i));
    plug_loader_free(f->loader);
    /* as another process, or a full disk, could have left it */
    assert_int_equal(unlink(copy), 0);
    bytes[n / 2] ^= 1;
    spill(copy, bytes, n);
    bytes[n / 2] ^= 1;
    f->loader = plug_loader_new(f->run_dir, &f->log, &err);
    assert_non_null(f->loader);
    load_path(f, PLUGINS "area_words.so", &i, &err, 0);
    char *now = slurp(copy, &m);
    assert_int_equal(n, m);
    assert_memory_equal(bytes, now, n);
    free(now);
    free(bytes);
    fixture_free(f);
}

static void running_code_does_not_hang_on_its_file(void **state)
{
    (void)state;
    fixture *f = fixture_new();
    char path[128];
    size_t n;
    plug_image *i;
    plug_instance *made;
    tp_error err;
    char *bytes = slurp(PLUGINS "area_memory.so", &n);
    snprintf(path, sizeof(path), "%s/dropped.so", f->run_dir);
    spill(path, bytes, n);
    load_path(f, path, &i, &err, 0);
    assert_int_equal(plug_create(i, STR("x"), NULL, &made, &err), 0);
    spill(path, "", 0); /* truncated in place: a mapped file would give SIGBUS */
    tp_operation op = {.size = sizeof(op), .model = {"m", 1}};
    tp_target t = {.size = sizeof(t)};
    fixture_step(f, PLUG_MAY_REQUEST);
    plug_invocation iv = {.what = PLUG_BUILD, .on = made, .call = &f->call, .operation = &op,
                          .target = &t};
    plug_invoke(&iv);
    assert_int_equal(iv.status, TP_OK);
    assert_str(f->out.path, "/model/m");
    plug_destroy(made);
    free(bytes);
    fixture_free(f);
}

static void the_run_directory_is_ours_alone(void **state)
{
    (void)state;
    fixture *f = fixture_new();
    char dir[128];
    tp_error err = {0};
    snprintf(dir, sizeof(dir), "%s/plugins", f->run_dir);
    assert_int_equal(chmod(dir, 0777), 0);
    assert_null(plug_loader_new(f->run_dir, NULL, &err));
    assert_has(err.text, "nobody else may write to");
    assert_int_equal(chmod(dir, 0700), 0);
    snprintf(dir, sizeof(dir), "%s/a/b/c", f->run_dir);
    plug_loader *l = plug_loader_new(dir, NULL, &err); /* created when missing */
    assert_non_null(l);
    plug_loader_free(l);
    assert_null(plug_loader_new("/proc/nowhere", NULL, &err));
    assert_has(err.text, "/proc/nowhere/plugins cannot be made");
    fixture_free(f);
}

static void modules_open(void **state)
{
    (void)state;
    tp_error err = {0};
    assert_non_null(plug_open_module(PLUGINS "area_json.so", "tp_plugin_entry_v1", &err));
    assert_null(plug_open_module(PLUGINS "area_json.so", "no_such_symbol", &err));
    assert_has(err.text, "no_such_symbol");
    assert_null(plug_open_module(PLUGINS "missing.so", "x", &err));
    assert_has(err.text, "missing.so: cannot be opened");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(hostile_plugins_are_refused),
        cmocka_unit_test(broken_files_are_refused),
        cmocka_unit_test(create_says_why_not),
        cmocka_unit_test(the_manifest_is_read_without_running),
        cmocka_unit_test(the_same_content_is_one_image),
        cmocka_unit_test(a_spoilt_copy_is_replaced),
        cmocka_unit_test(running_code_does_not_hang_on_its_file),
        cmocka_unit_test(the_run_directory_is_ours_alone),
        cmocka_unit_test(modules_open),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
