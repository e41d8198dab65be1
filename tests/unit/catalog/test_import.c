/* The importer: exact figures, who is trusted for what, which offers are one model, what is left
 * out, what is said, and that the same data gives the same bytes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/str.h"
#include "catalog/catalog.h"
#include "catalog/import.h"
#include "catalog/import_int.h"
#include "conf/conf.h"
#include "import_fixture.h"

static tp_str read_file(const char *name)
{
    char path[4096];
    snprintf(path, sizeof(path), "%s/tests/unit/catalog/data/%s", TEST_SOURCE_DIR, name);
    FILE *f = fopen(path, "rb");
    assert_non_null(f);
    char *p = malloc(1 << 20);
    size_t n = fread(p, 1, 1 << 20, f);
    fclose(f);
    assert_true(n > 1000 && n < 1 << 20);
    return str_make(p, n);
}

static int make(const char *litellm, const char *dev, const char *rules, catalog_import *c,
                tp_error *err)
{
    catalog_request r = {.litellm = {"l.json", str_of(litellm), STR("")},
                         .models_dev = {"d.json", str_of(dev), STR("")},
                         .rules = {"r.jsonc", str_of(rules), STR("")},
                         .today = STR("2026-08-01")};
    return catalog_import_make(&r, c, err);
}

static const char *all(const catalog_import *c)
{
    static char text[1 << 20];
    size_t n = 0;
    for (uint32_t i = 0; i < c->snippet_count; i++) {
        memcpy(text + n, c->snippets[i].text.ptr, c->snippets[i].text.len);
        n += c->snippets[i].text.len;
    }
    text[n] = 0;
    return text;
}

/* ---- Figures. */

static void prices_are_exact(void **state)
{
    static const struct {
        const char *number;
        int shift, rc;
        int64_t price;
    } cases[] = {{"1.25e-06", 0, 0, 1250000000},
                 {"1.25E-6", 0, 0, 1250000000},
                 {"0.00000125", 0, 0, 1250000000},
                 {"2.1875e-6", 0, 0, 2187500000},
                 {"1.25", -6, 0, 1250000000},
                 {"0.075", -6, 0, 75000000},
                 {"0", 0, 0, 0},
                 {"-0.0", 0, 0, 0},
                 {"0e999", 0, 0, 0},
                 {"3", 0, 0, 3000000000000000},
                 {"9223.372036854775807", 0, 0, INT64_MAX},
                 {"9223.372036854775808", 0, -2, 0},
                 {"1e-15", 0, 0, 1},
                 {"1.5e-15", 0, 1, 2},
                 {"1.4999e-15", 0, 1, 1},
                 {"0.049999999999999996", -6, 1, 50000000},
                 {"0.09999999999999999", -6, 1, 100000000},
                 {"4e-16", 0, 1, 0},
                 {"1e-99999", 0, 1, 0},
                 {"1e99999", 0, -2, 0},
                 {"1e400000", 0, -2, 0},
                 {"12345678901234567890123456789012345678901", 0, -2, 0},
                 {"-1e-6", 0, -1, 0}};
    (void)state;
    for (size_t i = 0; i < TP_COUNT(cases); i++) {
        int64_t got = 0;
        int rc = catalog_number_price(str_of(cases[i].number), cases[i].shift, &got);
        if (rc != cases[i].rc || (rc >= 0 && got != cases[i].price))
            fail_msg("%s: %d, %lld", cases[i].number, rc, (long long)got);
    }
}

static void whole_numbers_and_days(void **state)
{
    int64_t v = 0;
    (void)state;
    assert_int_equal(catalog_number_whole(STR("2000000.0"), &v), 0);
    assert_int_equal(v, 2000000);
    assert_int_equal(catalog_number_whole(STR("2e6"), &v), 0);
    assert_int_equal(v, 2000000);
    assert_int_equal(catalog_number_whole(STR("1.5"), &v), -1);
    assert_int_equal(catalog_number_whole(STR("-3"), &v), -1);
    assert_int_equal(catalog_date(STR("1970-01-01")), 0);
    assert_int_equal(catalog_date(STR("2024-02-29")), 1709164800);
    assert_int_equal(catalog_date(STR("2025-10-15")), 1760486400);
    assert_int_equal(catalog_date(STR("2000-03-01")), 951868800);
    assert_int_equal(catalog_date(STR("2024-12")), 1733011200);
    assert_int_equal(catalog_date(STR("2025-25-11")), -1);
    assert_int_equal(catalog_date(STR("2025-02-29")), -1);
    assert_int_equal(catalog_date(STR("2025/01/01")), -1);
    assert_int_equal(catalog_date_at_end(STR("gpt-4o-2024-08-06"), &v), 11);
    assert_int_equal(v, 1722902400);
    assert_int_equal(catalog_date_at_end(STR("claude-x-20250929"), &v), 9);
    assert_int_equal(catalog_date_at_end(STR("model-12345678"), &v), 0);
}

/* ---- The real data. */

static const char rules[] = "{\"same\": {\"groq/llama-3.3-70b-versatile\": "
                            "\"meta-llama/llama-3.3-70b-instruct\"}, // its name there\n"
                            "\"codenames\": {\"gpt-4o\": \"openai/gpt-4o\"},\n"
                            "\"include\": [\"anthropic/claude-3-opus-20240229\",],}";

static void the_excerpt_becomes_models(void **state)
{
    catalog_import c;
    tp_error err = {0};
    catalog_request r = {.litellm = {"l.json", read_file("litellm.json"), STR("2026-08-01")},
                         .models_dev = {"d.json", read_file("models_dev.json"), STR("f3fc692")},
                         .rules = {"r.jsonc", str_of(rules), STR("")},
                         .today = STR("2026-08-01")};
    (void)state;
    assert_int_equal(catalog_import_make(&r, &c, &err), 0);
    conf *loaded = load(&c);
    for (uint32_t i = 0; i < loaded->notice_count; i++)
        assert_true(str_find(loaded->notices[i], '\'') == loaded->notices[i].len); /* no odd unit */

    const conf_model *m = model(loaded, "anthropic/claude-sonnet-4.5");
    assert_non_null(m);
    assert_string_equal(m->name.ptr, "Claude Sonnet 4.5");
    assert_string_equal(m->owned_by.ptr, "anthropic");
    assert_int_equal(m->created, 1759104000);
    assert_int_equal(m->context_length, 200000);
    assert_int_equal(m->max_output_tokens, 64000);
    assert_int_equal(m->capabilities, CONF_CAP_TOOLS | CONF_CAP_VISION | CONF_CAP_DOCUMENTS |
                                          CONF_CAP_SCHEMA | CONF_CAP_REASONING |
                                          CONF_CAP_STREAMING);
    assert_true(has_alias(m, "claude-sonnet-4-5") && has_alias(m, "claude-sonnet-4-5-20250929"));
    assert_true(has_alias(m, "anthropic/claude-sonnet-4-5"));
    assert_string_equal(m->deployments[0].model.ptr, "claude-sonnet-4-5");
    assert_int_equal(price(deployment(m, "anthropic"), "prompt"), 3000000000);
    assert_int_equal(price(deployment(m, "anthropic"), "completion"), 15000000000);
    assert_int_equal(price(deployment(m, "anthropic"), "cache_read"), 300000000);
    assert_int_equal(price(deployment(m, "anthropic"), "cache_write"), 3750000000);
    /* Kept for an hour; and what more than 200,000 tokens cost. */
    assert_int_equal(price(deployment(m, "anthropic"), "cache_write:1h"), 6000000000);
    assert_int_equal(price(deployment(m, "anthropic"), "prompt@200000"), 6000000000);
    assert_int_equal(price(deployment(m, "anthropic"), "completion@200000"), 22500000000);
    assert_int_equal(price(deployment(m, "anthropic"), "cache_read@200000"), 600000000);
    assert_int_equal(price(deployment(m, "anthropic"), "cache_write@200000"), 7500000000);
    assert_int_equal(price(deployment(m, "anthropic"), "cache_write:1h@200000"), 12000000000);
    /* From everywhere first; one region costs more, and is there for its price alone. */
    assert_string_equal(deployment(m, "bedrock")->model.ptr,
                        "global.anthropic.claude-sonnet-4-5-20250929-v1:0");
    int spares = 0;
    for (uint32_t i = 0; i < m->deployment_count; i++)
        if (!m->deployments[i].enabled && str_starts(m->deployments[i].model, STR("us."))) {
            assert_int_equal(price(&m->deployments[i], "prompt"), 3300000000);
            spares++;
        }
    assert_int_equal(spares, 1);
    assert_string_equal(deployment(m, "vertex")->model.ptr, "claude-sonnet-4-5@20250929");
    assert_string_equal(deployment(m, "openrouter")->model.ptr, "anthropic/claude-sonnet-4.5");

    /* Open weights under seven spellings; each at its own price. */
    m = model(loaded, "openai/gpt-oss-120b");
    static const char *const serve[] = {"groq",      "cerebras",   "sambanova", "fireworks",
                                        "deepinfra", "openrouter", "bedrock"};
    for (size_t i = 0; i < TP_COUNT(serve); i++)
        assert_non_null(deployment(m, serve[i]));
    assert_int_equal(price(deployment(m, "sambanova"), "prompt"), 220000000);
    assert_int_equal(price(deployment(m, "deepinfra"), "prompt"), 39000000); /* models.dev's */
    assert_true(said(&c, CATALOG_DIFFERS,
                     "deepinfra/openai/gpt-oss-120b: prompt is 0.00000005 to "
                     "litellm, 0.000000039 to models.dev"));
    m = model(loaded, "meta-llama/llama-3.3-70b-instruct");
    static const char *const llama[] = {"groq",     "sambanova", "together",  "deepinfra",
                                        "scaleway", "nscale",    "openrouter"};
    for (size_t i = 0; i < TP_COUNT(llama); i++)
        assert_non_null(deployment(m, llama[i]));
    assert_string_equal(m->owned_by.ptr, "meta");
    /* The cheapest first, and last who only passes it on, whatever it asks. */
    assert_string_equal(m->deployments[0].provider.ptr, "nscale");
    assert_string_equal(m->deployments[1].provider.ptr, "deepinfra");
    assert_int_equal(m->context_length, 131072); /* the first of them does not know it */
    assert_string_equal(m->deployments[m->deployment_count - 1].provider.ptr, "openrouter");
    assert_int_equal(
        price(deployment(model(loaded, "meta-llama/llama-3.3-70b-instruct:free"), "openrouter"),
              "prompt"),
        0);
    m = model(loaded, "z-ai/glm-5.1");
    assert_true(deployment(m, "fireworks") && deployment(m, "novita") &&
                deployment(m, "openrouter"));
    assert_non_null(deployment(model(loaded, "z-ai/glm-4.7"), "cerebras"));
    assert_non_null(model(loaded, "xai/grok-4.3"));
    assert_true(has_alias(model(loaded, "xai/grok-4.3"), "x-ai/grok-4.3"));
    /* Another release, or another tuning, is another model, whatever a base_model says. */
    assert_non_null(model(loaded, "qwen/qwen3-235b-a22b-instruct-2507"));
    assert_null(deployment(model(loaded, "qwen/qwen3-235b-a22b"), "scaleway"));
    assert_non_null(model(loaded, "deepseek/deepseek-r1-turbo"));
    /* A dated GPT is a model; its own price. */
    assert_int_equal(
        price(deployment(model(loaded, "openai/gpt-4o-2024-05-13"), "openai"), "prompt"),
        5000000000);
    assert_int_equal(
        price(deployment(model(loaded, "openai/gpt-4o-audio-preview"), "openai"), "audio_prompt"),
        40000000000);
    /* What falls back to completion is not said twice. */
    assert_int_equal(
        price(deployment(model(loaded, "google/gemini-2.5-flash"), "google"), "reasoning"), -1);
    assert_int_equal(
        price(deployment(model(loaded, "google/gemini-2.5-flash"), "google"), "audio_prompt"),
        1000000000);
    /* Rounded from a price that a double had spoilt, and said so. */
    assert_int_equal(
        price(deployment(model(loaded, "google/gemma-3-12b-it"), "bedrock"), "completion") %
            10000000,
        0);

    /* A codename is a model of its own; the plain id is its, not an alias of the other. */
    m = model(loaded, "gpt-4o");
    assert_non_null(deployment(m, "openai"));
    assert_string_equal(m->owned_by.ptr, "openai");
    assert_false(has_alias(model(loaded, "openai/gpt-4o"), "gpt-4o"));
    assert_non_null(model(loaded, "anthropic/claude-3-opus")); /* its end has come; included */

    /* Not for chat; ended; without a price. */
    static const char *const out[] = {"openai/gpt-5-codex",      "openai/text-embedding-3-small",
                                      "openai/gpt-image-1",      "groq/compound",
                                      "openai/whisper-1",        "deepseek/deepseek-v3",
                                      "anthropic/claude-opus-4", "openrouter/auto"};
    for (size_t i = 0; i < TP_COUNT(out); i++)
        if (model(loaded, out[i]))
            fail_msg("%s is there", out[i]);
    assert_true(said(&c, CATALOG_LEFT_OUT, "groq/groq/compound: no price"));
    assert_true(said(&c, CATALOG_LEFT_OUT, "together/deepseek-ai/DeepSeek-V3: its end has come"));
    conf_free(loaded);

    /* The same again: the same bytes. */
    catalog_import again;
    assert_int_equal(catalog_import_make(&r, &again, &err), 0);
    assert_int_equal(again.snippet_count, c.snippet_count);
    for (uint32_t i = 0; i < c.snippet_count; i++) {
        assert_true(str_eq(again.snippets[i].name, c.snippets[i].name));
        assert_true(str_eq(again.snippets[i].text, c.snippets[i].text));
        assert_int_equal(catalog_import_origin(c.snippets[i].text), 1);
    }
    assert_non_null(strstr(all(&c), "as of 2026-08-01"));
    assert_non_null(strstr(all(&c), "as of f3fc692"));
    assert_non_null(strstr(all(&c), "MIT licence"));
    catalog_import_free(&again);
    catalog_import_free(&c);
    free((char *)(uintptr_t)r.litellm.text.ptr);
    free((char *)(uintptr_t)r.models_dev.text.ptr);
}

static void taken_names_are_not_given_again(void **state)
{
    static const tp_str taken[] = {{"groq/b", 6}, {"a", 1}};
    catalog_import c;
    tp_error err = {0};
    catalog_request r = {
        .models_dev =
            {"d.json",
             STR("{\"groq\":{\"models\":{\"groq/b\":{\"cost\":{\"input\":1,\"output\":2}}}},"
                 "\"openai\":{\"models\":{\"a\":{\"cost\":{\"input\":1,\"output\":2}}}}}"),
             STR("")},
        .today = STR("2026-08-01"),
        .taken = taken,
        .taken_count = 2};
    (void)state;
    assert_int_equal(catalog_import_make(&r, &c, &err), 0);
    assert_true(said(&c, CATALOG_LEFT_OUT, "groq/b: the name is taken"));
    assert_null(strstr(all(&c), "\"groq/b\": {"));
    assert_non_null(strstr(all(&c), "\"openai/a\": {"));
    assert_null(strstr(all(&c), "aliases"));
    catalog_import_free(&c);
}

static void only_providers_asked_for(void **state)
{
    static const tp_str one[] = {{"groq", 4}}, none[] = {{"grok", 4}};
    catalog_import c;
    tp_error err = {0};
    catalog_request r = {
        .models_dev =
            {"d.json",
             STR("{\"groq\":{\"models\":{\"x/b\":{\"cost\":{\"input\":1,\"output\":2}}}},"
                 "\"openai\":{\"models\":{\"a\":{\"cost\":{\"input\":1,\"output\":2}}}}}"),
             STR("")},
        .rules = {"r", STR("{\"exclude\": [\"openai/a\", \"groq/gone\"]}"), STR("")},
        .today = STR("2026-08-01"),
        .providers = one,
        .provider_count = 1};
    (void)state;
    assert_int_equal(catalog_import_make(&r, &c, &err), 0);
    assert_non_null(strstr(all(&c), "x/b"));
    assert_null(strstr(all(&c), "openai/a"));
    assert_true(said(&c, CATALOG_RULE, "exclude: groq/gone applies to nothing"));
    assert_false(said(&c, CATALOG_RULE, "exclude: openai/a"));
    catalog_import_free(&c);
    r.providers = none;
    assert_int_equal(catalog_import_make(&r, &c, &err), TP_ERROR_CONFIG);
    assert_non_null(strstr(err.text, "'grok'"));
    catalog_import_free(&c);
}

/* ---- What is wrong with data is said with its place. */

static void bad_data_is_refused(void **state)
{
    static const struct {
        const char *litellm, *dev, *rules, *place, *word;
    } cases[] = {
        {"{\n \"a\": {", NULL, NULL, "l.json:2:", "complete"},
        {"[]", NULL, NULL, "l.json:1:1: ", "an object"},
        {"{\"a\": {\"litellm_provider\": \"openai\"},\n\"a\": {}}", NULL, NULL, "l.json:2:", ""},
        {"{\"a\": []}", NULL, NULL, "l.json:1:7: ", "an object"},
        {"{\"a\": {\"litellm_provider\": \"openai\",\n \"input_cost_per_token\": \"1e-6\"}}", NULL,
         NULL, "l.json:2:26: ", "input_cost_per_token: expected a price"},
        {"{\"a\": {\"litellm_provider\": \"openai\", \"input_cost_per_token\": -1}}", NULL, NULL,
         "l.json:1:62: ", "0 or more"},
        {"{\"a\": {\"litellm_provider\": \"openai\", \"input_cost_per_token\": 1e9}}", NULL, NULL,
         "l.json:1:62: ", "9223"},
        {"{\"a\": {\"litellm_provider\": \"openai\", \"supports_vision\": \"yes\"}}", NULL, NULL,
         "l.json:1:57: ", "true or false"},
        {NULL, "{\"openai\": {\"models\": []}}", NULL, "d.json:1:23: ", "an object"},
        {NULL, "{\"openai\": {\"models\": {\"a\": {\n\"limit\": 3}}}}", NULL,
         "d.json:2:10: ", "limit: expected an object"},
        {NULL, "{\"openai\": {\"models\": {\"a\": {\"limit\": {\"context\": \"x\"}}}}}", NULL,
         "d.json:1:51: ", "context: expected a number"},
        {NULL, "{\"openai\": {\"models\": {\"a\": {\"cost\": {\"input\": true}}}}}", NULL,
         "d.json:1:48: ", "input: expected a price"},
        {NULL, "{\"openai\": {\"models\": {\"a\": {\"modalities\": {\"output\": \"text\"}}}}}",
         NULL, "d.json:1:55: ", "a list"},
        {NULL, "{\"openai\": {\"models\": {\"a\": {\"cost\": {\"tiers\": 3}}}}}", NULL,
         "d.json:1:48: ", "tiers: expected a list"},
        {NULL, "{\"openai\": {\"models\": {\"a\": {\"cost\": {\"tiers\": [{}]}}}}}", NULL,
         "d.json:1:49: ", "tier: expected an object with a size"},
        {NULL,
         "{\"openai\": {\"models\": {\"a\": {\"cost\": {\"tiers\": [{\"tier\": {\"size\": 0}}]}}}}}",
         NULL, "d.json:1:58: ", "size"},
        {"{\"a\": {\"litellm_provider\": \"openai\", \"input_cost_per_token_above_1k_tokens\": 1,"
         "\"input_cost_per_token_above_2k_tokens\": 1,\"input_cost_per_token_above_3k_tokens\": 1,"
         "\"input_cost_per_token_above_4k_tokens\": 1,\"input_cost_per_token_above_5k_tokens\": 1}}",
         NULL, NULL, "l.json:1:206: ", "no more thresholds than four"},
        {"{\"a\": {\"litellm_provider\": \"openai\", \"input_cost_per_token_above_1k_tokens\": -1}}",
         NULL, NULL, "l.json:1:78: ", "0 or more"},
        {NULL, "{}", "{\"exclude\": \"x\"}", "r.jsonc:1:13: ", "a list"},
        {NULL, "{}", "{\"exclude\": [\n\"x\"]}", "r.jsonc:2:1: ", "provider/model"},
        {NULL, "{}", "{\"same\": {\"a/b\": 1}}", "r.jsonc:1:18: ", "id of a model"},
        {NULL, "{}", "{\"created\": {\"a/b\": \"soon\"}}", "r.jsonc:1:21: ", "a day"},
        {NULL, "{}", "{\"codenames\": {\"a b\": \"a/b\"}}", "r.jsonc:1:16: ", "a name"},
        {NULL, "{}", "{\"rename\": {}}", "r.jsonc:1:2: ", "codenames"},
        {NULL, "{}", "{ /* ", "r.jsonc:1:3: ", "comment"},
    };
    (void)state;
    for (size_t i = 0; i < TP_COUNT(cases); i++) {
        catalog_import c;
        tp_error err = {0};
        int rc = make(cases[i].litellm, cases[i].dev, cases[i].rules, &c, &err);
        if (rc != TP_ERROR_PARSE ||
            strncmp(err.text, cases[i].place, strlen(cases[i].place)) != 0 ||
            !strstr(err.text, cases[i].word))
            fail_msg("%zu: %d %s", i, rc, err.text);
        assert_int_equal(c.snippet_count, 0);
        catalog_import_free(&c);
    }
    catalog_import c;
    tp_error err = {0};
    assert_int_equal(make(NULL, NULL, NULL, &c, &err), TP_ERROR_CONFIG);
    catalog_import_free(&c);
}

static void null_and_the_unknown_are_passed_over(void **state)
{
    catalog_import c;
    tp_error err = {0};
    (void)state;
    assert_int_equal(
        make("{\"sample_spec\": {\"input_cost_per_token\": \"words\"}, \"z\": {\"other\": 1},"
             "\"a\": {\"litellm_provider\": \"openai\", \"mode\": \"chat\", \"max_input_tokens\": "
             "null,"
             "\"input_cost_per_token\": 1e-6, \"output_cost_per_token\": 2e-6, \"new\": [1]}}",
             NULL, "{\"exclude\": [\"openai/none*\"], \"created\": {\"openai/a\": \"1970-01-02\"}}",
             &c, &err),
        0);
    assert_non_null(strstr(all(&c), "\"created\": 86400,"));
    assert_non_null(strstr(all(&c), "\"openai/a\": {"));
    assert_null(strstr(all(&c), "context_length"));
    assert_true(said(&c, CATALOG_RULE, "exclude: openai/none* applies to nothing"));
    catalog_import_free(&c);
}

/* ---- Marks and differences. */

static void edited_snippets_are_known(void **state)
{
    catalog_import c;
    tp_error err = {0};
    (void)state;
    assert_int_equal(make(NULL,
                          "{\"openai\":{\"models\":{\"a\":{\"cost\":{\"input\":1,\"output\":2}}}}}",
                          NULL, &c, &err),
                     0);
    assert_int_equal(c.snippet_count, 1);
    tp_str t = c.snippets[0].text;
    char *copy = malloc(t.len);
    memcpy(copy, t.ptr, t.len);
    assert_int_equal(catalog_import_origin(str_make(copy, t.len)), 1);
    copy[t.len - 3] ^= 1;
    assert_int_equal(catalog_import_origin(str_make(copy, t.len)), 2);
    for (size_t n = 0; n < t.len; n++)
        assert_int_not_equal(catalog_import_origin(str_make(copy, n)), 1);
    assert_int_equal(catalog_import_origin(STR("{\"models\": {}}")), 0);
    free(copy);
    catalog_import_free(&c);
}

static void changes_are_told(void **state)
{
    catalog_import a, b;
    tp_error err = {0};
    buf out;
    uint32_t counts[3];
    (void)state;
    assert_int_equal(make(NULL,
                          "{\"openai\":{\"models\":{"
                          "\"same\":{\"cost\":{\"input\":1,\"output\":2}},"
                          "\"dear\":{\"cost\":{\"input\":2.5,\"output\":10,\"cache_read\":1}},"
                          "\"old\":{\"cost\":{\"input\":1,\"output\":2}}}}}",
                          NULL, &a, &err),
                     0);
    assert_int_equal(
        make(NULL,
             "{\"openai\":{\"models\":{"
             "\"same\":{\"cost\":{\"input\":1,\"output\":2}},"
             "\"dear\":{\"cost\":{\"input\":2,\"output\":10},\"limit\":{\"context\":8192}},"
             "\"new\":{\"cost\":{\"input\":1,\"output\":2}}}}}",
             NULL, &b, &err),
        0);
    catalog_text before = {"a", a.snippets[0].text, STR("")},
                 after = {"b", b.snippets[0].text, STR("")};
    buf_init(&out, 1 << 16);
    assert_int_equal(catalog_import_compare(&before, 1, &after, 1, &out, counts, &err), 0);
    static const char expected[] =
        "changed openai/dear: context_length none -> 8192, openai/dear prompt 0.0000025 -> "
        "0.000002, "
        "openai/dear cache_read 0.000001 -> none\nadded openai/new\ngone openai/old\n";
    assert_int_equal(out.len, strlen(expected));
    assert_memory_equal(out.ptr, expected, out.len);
    assert_int_equal(counts[0], 1);
    assert_int_equal(counts[1], 1);
    assert_int_equal(counts[2], 1);
    out.len = 0;
    assert_int_equal(catalog_import_compare(&after, 1, &after, 1, &out, counts, &err), 0);
    assert_int_equal(out.len, 0);
    buf_free(&out);
    catalog_import_free(&a);
    catalog_import_free(&b);
}

static void providers_are_listed_once(void **state)
{
    uint32_t n = 0;
    (void)state;
    for (const char *const *p = catalog_import_providers(); *p; p++, n++)
        assert_string_equal(*p, catalog_sources[n].provider);
    assert_int_equal(n, catalog_source_count);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(prices_are_exact),
        cmocka_unit_test(whole_numbers_and_days),
        cmocka_unit_test(the_excerpt_becomes_models),
        cmocka_unit_test(taken_names_are_not_given_again),
        cmocka_unit_test(only_providers_asked_for),
        cmocka_unit_test(bad_data_is_refused),
        cmocka_unit_test(null_and_the_unknown_are_passed_over),
        cmocka_unit_test(edited_snippets_are_known),
        cmocka_unit_test(changes_are_told),
        cmocka_unit_test(providers_are_listed_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
