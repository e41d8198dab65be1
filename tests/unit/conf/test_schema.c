/* The schema, the reference and the shipped snippets: all three must say what the parser does. */
#include "conf_fixture.h"

static buf slurp(const char *path)
{
    buf b;
    char piece[4096];
    size_t n;
    FILE *f = fopen(path, "rb");
    if (!f)
        fail_msg("cannot open %s", path);
    buf_init(&b, 1 << 24);
    while ((n = fread(piece, 1, sizeof(piece), f)) > 0)
        assert_int_equal(buf_add(&b, piece, n), 0);
    fclose(f);
    return b;
}

static void schema_is_json(void **state)
{
    (void)state;
    buf b;
    json_tape tape = {0};
    json_error e = {0};
    buf_init(&b, 1 << 20);
    assert_int_equal(conf_schema(&b), 0);
    assert_int_equal(json_scan(buf_str(&b), &tape, &e), 0);
    tp_doc d = json_doc(buf_str(&b), &tape);
    int64_t n = 0;
    uint32_t t = json_get(&d, 0, "$defs", "provider", "properties", "trust_level", "maximum", NULL);
    assert_int_equal(json_int(&d, t, &n), 0);
    assert_int_equal(n, 3);
    t = json_get(&d, 0, "$defs", "timeouts", "properties", "connect_ms", "default", NULL);
    assert_int_equal(json_int(&d, t, &n), 0);
    assert_int_equal(n, 5000);
    assert_int_not_equal(json_get(&d, 0, "properties", "admission", "description", NULL), 0);
    assert_int_equal(json_get(&d, 0, "properties", "tiers", NULL), 0);
    json_tape_free(&tape);
    buf_free(&b);
    buf_init(&b, 100); /* too small: an error, not half a schema that looks whole */
    assert_int_equal(conf_schema(&b), TP_ERROR_LIMIT);
    buf_free(&b);
}

static void reference_is_committed(void **state)
{
    (void)state;
    static const char begin[] = "<!-- begin: printed by conf_reference -->\n";
    static const char end[] = "<!-- end -->\n";
    buf file = slurp(TEST_SOURCE_DIR "/docs/configuration.md"), want;
    buf_init(&want, 1 << 20);
    assert_int_equal(conf_reference(&want), 0);
    assert_int_equal(buf_add(&file, "", 1), 0);
    const char *from = strstr(file.ptr, begin), *to = from ? strstr(from, end) : NULL;
    assert_non_null(to);
    from += sizeof(begin) - 1;
    if (!str_eq(str_make(from, (size_t)(to - from)), buf_str(&want))) {
        FILE *f = fopen(TEST_BINARY_DIR "/conf_reference.md", "wb");
        if (f) {
            fwrite(want.ptr, 1, want.len, f);
            fclose(f);
        }
        fail_msg("docs/configuration.md is not what the tables say; put "
                 "conf_reference.md of the build directory between the two marks");
    }
    buf_free(&file);
    buf_free(&want);
}

static void shipped_directory(void **state)
{
    (void)state;
    conf_env env = fx_env();
    tp_error err = {0};
    conf *c = conf_load(TEST_SOURCE_DIR "/conf.d", &env, &err);
    if (!c)
        fail_msg("%s", err.text);
    uint32_t dormant = 0;
    for (uint32_t i = 0; i < c->provider_count; i++) {
        const conf_provider *p = &c->providers[i];
        int echo = str_eq(p->name, STR("echo"));
        assert_int_equal(p->dormant, !echo);
        assert_true(p->enabled);
        dormant += p->dormant != 0;
        if (!echo)
            assert_true(str_starts(p->base_url, STR("https://")));
    }
    assert_int_equal(dormant, 7);
    assert_str(c->routing.strategy, "ordered");
    assert_int_equal(c->surfaces[0].endpoint_count, 1);
    assert_str(c->surfaces[0].endpoints[0], "chat");
    assert_int_equal(c->model_count, 2);
    assert_str(c->models[0].id, "echo");
    assert_int_equal(c->models[1].deployments[0].prices[0].nano_per_million, 590000000);
    assert_int_equal(c->notice_count, 8); /* seven providers, and the model that needs them */
    conf_free(c);
}

/* A validator that others wrote agrees: the schema is a schema, the snippets fit it, and what the
 * parser refuses by type it refuses too. Left out where python3 or jsonschema is missing. */
static void others_agree(void **state)
{
    (void)state;
    static const char script[] =
        "import json, re, glob, sys\n"
        "import jsonschema\n"
        "schema = json.load(open(sys.argv[1]))\n"
        "jsonschema.Draft202012Validator.check_schema(schema)\n"
        "v = jsonschema.Draft202012Validator(schema)\n"
        "files = sorted(glob.glob(sys.argv[2] + '/*.json'))\n"
        "assert len(files) > 10, files\n"
        "for f in files:\n"
        "    text = re.sub(r'(?m)(^|\\s)//.*$', '', open(f).read())\n"
        "    text = re.sub(r',(\\s*[}\\]])', r'\\1', text)\n"
        "    v.validate(json.loads(text))\n"
        "good = [{'server': {'listen': ':80'}}, {'server': {'listen': [{'address': ':1',\n"
        "    'cert_file': 'a', 'key_file': 'b'}]}}, {'providers': {'p': {'api_key': {'env': 'A'},\n"
        "    'http': '2', 'options': {'x': {'env': 'Y'}}}}}, {'log': {'level': 'warn'}}]\n"
        "bad = [{'x': 1}, {'tiers': {}}, {'server': {'listen': []}}, {'server': {'workers': -1}},\n"
        "    {'server': {'listen': {'address': ':1', 'cert_file': 'a'}}}, {'log': {'level': "
        "'x'}},\n"
        "    {'providers': {'p': {'api_key': {'env': 'A', 'file': 'B'}}}},\n"
        "    {'providers': {'a b': {}}}, {'providers': {'p': {'http': 2}}}, {'models': {'m': "
        "{}}},\n"
        "    {'models': {'m': {'deployments': []}}},\n"
        "    {'models': {'m': {'deployments': [{'provider': 'p', 'price': {'prompt': 1}}]}}},\n"
        "    {'surfaces': {'s': {'base_path': '/v1/'}}}, {'admission': {'static_keys': [{}]}}]\n"
        "for g in good: v.validate(g)\n"
        "for b in bad: assert list(v.iter_errors(b)), b\n";
    buf b;
    if (system("python3 -c 'import jsonschema; jsonschema.Draft202012Validator' 2>/dev/null"))
        skip();
    buf_init(&b, 1 << 20);
    assert_int_equal(conf_schema(&b), 0);
    FILE *f = fopen(TEST_BINARY_DIR "/conf_schema.json", "wb");
    assert_non_null(f);
    fwrite(b.ptr, 1, b.len, f);
    fclose(f);
    buf_free(&b);
    FILE *py =
        popen("python3 - " TEST_BINARY_DIR "/conf_schema.json " TEST_SOURCE_DIR "/conf.d", "w");
    assert_non_null(py);
    fwrite(script, 1, sizeof(script) - 1, py);
    assert_int_equal(pclose(py), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(schema_is_json),
        cmocka_unit_test(reference_is_committed),
        cmocka_unit_test(shipped_directory),
        cmocka_unit_test(others_agree),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
