/* Data sets from bytes: LiteLLM's, models.dev's and rules, parted by a line "----". What is made of
 * them is a snippet that the importer knows for its own and that compares with itself as the same;
 * made again it is the same. */
#include <stdlib.h>

#include "base/str.h"
#include "catalog/import.h"
#include "conf/conf.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static tp_str part(tp_str *rest)
{
    static const char line[] = "\n----\n";
    const char *end = rest->len ? memmem(rest->ptr, rest->len, line, strlen(line)) : NULL;
    tp_str p = *rest;
    if (end)
        p.len = (size_t)(end - rest->ptr);
    *rest = str_skip(*rest, end ? p.len + strlen(line) : p.len);
    return p.len ? p : STR_NONE;
}

static int any_file(void *arg, const char *path)
{
    (void)arg;
    (void)path;
    return 1;
}

/* The configuration takes every snippet, whatever the data called its models. */
static void check_conf(const catalog_import *c)
{
    static const char providers[] =
        "{\"providers\":{\"openai\":{},\"anthropic\":{},\"google\":{},\"mistral\":{},\"cohere\":{},"
        "\"xai\":{},\"deepseek\":{},\"perplexity\":{},\"inception\":{},\"groq\":{},\"cerebras\":{},"
        "\"sambanova\":{},\"together\":{},\"fireworks\":{},\"deepinfra\":{},\"scaleway\":{},"
        "\"nscale\":{},\"tinfoil\":{},\"novita\":{},\"vertex\":{},\"bedrock\":{},\"openrouter\":{}}"
        "}";
    const char *names[65] = {"providers.json"};
    tp_str texts[65] = {{providers, sizeof(providers) - 1}};
    tp_error err = {0};
    conf_env env = {.plugin_dir = "/p", .exists = any_file};
    if (c->snippet_count > 64)
        return;
    for (uint32_t i = 0; i < c->snippet_count; i++) {
        names[i + 1] = "models.json";
        texts[i + 1] = c->snippets[i].text;
    }
    conf *loaded = conf_load_texts(names, texts, c->snippet_count + 1, &env, &err);
    TP_MUST(loaded);
    conf_free(loaded);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    tp_str rest = str_make((const char *)data, size);
    tp_error err = {0};
    catalog_import c, again;
    catalog_request r = {.today = STR("2026-08-01")};
    r.litellm = (catalog_text){.file = "l", .text = part(&rest)};
    r.models_dev = (catalog_text){.file = "d", .text = part(&rest)};
    r.rules = (catalog_text){.file = "r", .text = part(&rest)};
    int rc = catalog_import_make(&r, &c, &err);
    TP_MUST(rc == 0 || err.text[0]);
    if (rc == 0) {
        TP_MUST(catalog_import_make(&r, &again, &err) == 0);
        TP_MUST(again.snippet_count == c.snippet_count);
        for (uint32_t i = 0; i < c.snippet_count; i++) {
            catalog_text t = {.file = "s", .text = c.snippets[i].text};
            uint32_t counts[3];
            buf out;
            TP_MUST(str_eq(t.text, again.snippets[i].text));
            TP_MUST(catalog_import_origin(t.text) == 1);
            buf_init(&out, 1u << 20);
            TP_MUST(catalog_import_compare(&t, 1, &t, 1, &out, counts, &err) == 0);
            TP_MUST(out.len == 0 && counts[0] + counts[1] + counts[2] == 0);
            buf_free(&out);
        }
        check_conf(&c);
        catalog_import_free(&again);
    }
    catalog_import_free(&c);
    return 0;
}
