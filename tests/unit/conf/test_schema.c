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
    t = json_get(&d, 0, "$defs", "surface", "properties", "manage", "default", NULL);
    assert_true(str_eq(json_raw(&d, t), STR("[\"keys\",\"credits\",\"generation\"]")));
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
        /* A server of one's own, and a resource of one's own at Azure, have no address until it is told. */
        if (!echo && p->base_url.len)
            assert_true(str_starts(p->base_url, STR("https://")));
        assert_true(p->local ? !p->base_url.len : 1);
    }
    assert_int_equal(dormant, c->provider_count - 1);
    assert_true(dormant >= 20);
    assert_str(c->routing.strategy, "ordered");
    const conf_model *llama = NULL;
    for (uint32_t i = 0; i < c->model_count; i++) {
        const conf_model *m = &c->models[i];
        llama = str_eq(m->id, STR("llama-3.3-70b")) ? m : llama;
        assert_true(m->name.len && m->owned_by.len && m->deployment_count);
    }
    assert_non_null(llama);
    assert_int_equal(llama->deployments[0].prices[0].nano_per_million, 590000000);
    assert_true(c->notice_count > 0); /* of providers without a key */
    conf_free(c);
}

static const conf_surface *surface_of(const conf *c, const char *name)
{
    for (uint32_t i = 0; i < c->surface_count; i++)
        if (str_eq(c->surfaces[i].name, str_of(name)))
            return &c->surfaces[i];
    fail_msg("no surface %s", name);
    return NULL;
}

/* The snippet of Turnpike's own surface says what is built in: whoever takes the other surfaces
 * away, or all of them, sees nothing change at /v1. */
static void shipped_turnpike_is_the_built_in_one(void **state)
{
    (void)state;
    conf_env env = fx_env();
    tp_error err = {0};
    conf *c = conf_load(TEST_SOURCE_DIR "/conf.d", &env, &err);
    conf *bare =
        fx_load("{\"endpoints\": {\"chat\": {\"path\": \"/chat/completions\"}}}", NULL, NULL);
    assert_non_null(c);
    const conf_surface *s = surface_of(c, "turnpike"), *b = surface_of(bare, "turnpike");
    assert_int_equal(bare->surface_count, 1);
    assert_true(str_eq(s->base_path, b->base_path));
    assert_int_equal(s->enabled, b->enabled);
    assert_int_equal(s->models_public, b->models_public);
    assert_int_equal(s->endpoint_count, b->endpoint_count);
    assert_true(str_eq(s->endpoints[0], b->endpoints[0]));
    assert_int_equal(s->hints_count, b->hints_count);
    for (uint32_t i = 0; i < b->hints_count; i++)
        assert_true(str_eq(s->hints_keys[i], b->hints_keys[i]));
    assert_true(str_eq(s->header_prefix, b->header_prefix));
    assert_true(str_eq(s->reply_id, b->reply_id));
    assert_int_equal(s->reply_model, b->reply_model);
    assert_int_equal(s->envelope, b->envelope);
    assert_int_equal(s->usage_always, b->usage_always);
    assert_int_equal(s->unknown_model_status, b->unknown_model_status);
    assert_int_equal(s->models, b->models);
    assert_int_equal(s->manage, b->manage);
    assert_int_equal(s->words, b->words);
    assert_int_equal(s->cost_headers, b->cost_headers);
    assert_true(str_eq(s->key_prefix, b->key_prefix));
    assert_true(str_eq(s->key_tier, b->key_tier));
    assert_int_equal(s->key_limit, b->key_limit);
    conf_free(bare);
    conf_free(c);
}

static void shipped_surfaces(void **state)
{
    (void)state;
    conf_env env = fx_env();
    tp_error err = {0};
    conf *c = conf_load(TEST_SOURCE_DIR "/conf.d", &env, &err);
    assert_non_null(c);
    assert_int_equal(c->surface_count, 5);
    const conf_surface *s = surface_of(c, "airouter");
    assert_str(s->base_path, "/api/v1");
    assert_str(s->key_prefix, "air_live_");
    assert_int_equal(s->envelope, CONF_ENVELOPE_TYPED);
    assert_int_equal(s->words, CONF_WORDS_AIROUTER);
    assert_int_equal(s->reply_model, CONF_MODEL_ASKED);
    assert_str(s->reply_id, "gen-");
    assert_int_equal(s->models_public, 1);
    assert_int_equal(s->endpoint_count, 1);
    s = surface_of(c, "kilo");
    assert_str(s->base_path, "/api/gateway");
    assert_int_equal(s->envelope, CONF_ENVELOPE_BARE);
    assert_int_equal(s->words, CONF_WORDS_KILO);
    assert_int_equal(s->unknown_model_status, 400);
    assert_int_equal(s->usage_always, 1);
    assert_int_equal(s->manage, 0);
    assert_int_equal(s->endpoint_count, 1);
    s = surface_of(c, "kairosroute");
    assert_str(s->base_path, "/api");
    assert_str(s->key_prefix, "kr_live_");
    assert_str(s->key_tier, "free");
    assert_int_equal(s->manage, CONF_MANAGE_AUTH);
    assert_int_equal(s->models, 0);
    assert_int_equal(s->endpoint_count, 0);
    s = surface_of(c, "cailos");
    assert_str(s->key_prefix, "cai_");
    assert_int_equal(s->words, CONF_WORDS_CAILOS);
    assert_int_equal(s->manage + s->models + (int)s->endpoint_count, 0);
    conf_free(c);
}

/* What stands behind slashes in the governance snippet is right as soon as they are taken away. */
static void shipped_examples_parse(void **state)
{
    (void)state;
    buf file = slurp(TEST_SOURCE_DIR "/conf.d/50-governance.json"), text;
    static const char models[] = "{\"providers\": {\"openrouter\": {}, \"echo\": {}}, \"models\": {"
                                 "\"echo\": {\"deployments\": [{\"provider\": \"echo\"}]},"
                                 "\"llama-3.3-70b\": {\"price\": {\"prompt\": \"1\"}, "
                                 "\"deployments\": [{\"provider\": \"echo\"}]}}}";
    uint32_t uncovered = 0;
    buf_init(&text, 1 << 16);
    assert_int_equal(buf_add(&file, "", 1), 0);
    for (char *line = strchr(file.ptr, '{'), *end; *line; line = end) {
        end = line + strcspn(line, "\n");
        end += *end != 0;
        size_t cut = strncmp(line, "  // ", 5) == 0 ? 5 : 0;
        uncovered += cut > 0;
        assert_int_equal(buf_add(&text, line + cut, (size_t)(end - line) - cut), 0);
    }
    assert_int_equal(buf_add(&text, "", 1), 0);
    assert_true(uncovered > 20);
    conf *c = fx_load(text.ptr, models, NULL);
    assert_int_equal(c->tier_count, 4);
    assert_int_equal(c->team_count, 1);
    assert_str(c->teams[0].tier, "batch");
    assert_int_equal(c->teams[0].policy.allow_model_count, 2);
    assert_str(c->billing.baseline_model, "llama-3.3-70b");
    conf_free(c);
    buf_free(&text);
    buf_free(&file);
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
        "    'http': '2', 'options': {'x': {'env': 'Y'}}}}}, {'log': {'level': 'warn'}},\n"
        "    {'teams': {'t': {'tier': 'pro', 'policy': {'deny_models': ['gpt-*'], 'min_trust': "
        "3}}},"
        "\n"
        "     'billing': {'byok_fee_permille': 50}, 'surfaces': {'s': {'base_path': '/v1',\n"
        "     'endpoints': [], 'manage': [], 'words': 'kilo', 'key_prefix': 'a_'}}}]\n"
        "bad = [{'x': 1}, {'tiers': {'t': {'requests_per_minute': -1}}}, {'server': {'listen': "
        "[]}}, {'server': {'workers': -1}},\n"
        "    {'server': {'listen': {'address': ':1', 'cert_file': 'a'}}}, {'log': {'level': "
        "'x'}},\n"
        "    {'providers': {'p': {'api_key': {'env': 'A', 'file': 'B'}}}},\n"
        "    {'providers': {'a b': {}}}, {'providers': {'p': {'http': 2}}}, {'models': {'m': "
        "{}}},\n"
        "    {'models': {'m': {'deployments': []}}},\n"
        "    {'models': {'m': {'deployments': [{'provider': 'p', 'price': {'prompt': 1}}]}}},\n"
        "    {'surfaces': {'s': {'base_path': '/v1/'}}}, {'admission': {'static_keys': [{}]}},\n"
        "    {'teams': {'t': {'policy': {'deny_models': ['a*b']}}}}, {'teams': {'t': {'billing': "
        "'x'"
        "}}},\n"
        "    {'surfaces': {'s': {'base_path': '/v1', 'manage': ['models']}}},\n"
        "    {'surfaces': {'s': {'base_path': '/v1', 'key_prefix': 'tp-'}}},\n"
        "    {'billing': {'byok_fee_permille': 1001}}, {'store': {'journal_bytes': 1024}}]\n"
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
        cmocka_unit_test(schema_is_json),    cmocka_unit_test(reference_is_committed),
        cmocka_unit_test(shipped_directory), cmocka_unit_test(shipped_turnpike_is_the_built_in_one),
        cmocka_unit_test(shipped_surfaces),  cmocka_unit_test(shipped_examples_parse),
        cmocka_unit_test(others_agree),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
