/* What snippets become: defaults, merging, prices, dormancy, what is switched off. */
#include "conf_fixture.h"

#define NO_STRATEGY                                                                                \
    "routing: strategy ordered is not configured; deployments are tried in the order they are "    \
    "written in"

static void empty_has_defaults(void **state)
{
    (void)state;
    conf *c = fx_load(NULL, NULL, NULL);
    conf_free(c);
    c = fx_load("// nothing\n{ /* at all */ }", NULL, NULL);
    const conf_server *s = &c->server;
    assert_int_equal(s->listen_count, 1);
    assert_str(s->listen[0].host, "127.0.0.1");
    assert_int_equal(s->listen[0].port, 8080);
    assert_int_equal(s->listen[0].tls, 0);
    assert_null(s->listen[0].place.file);
    assert_int_equal(s->workers, 0);
    assert_str(s->run_dir, "/run");
    assert_str(s->admin_socket, "/run/admin.sock");
    assert_str(s->plugin_dir, "/plugins");
    assert_str(s->access_log, "");
    assert_int_equal(s->max_body_bytes, 33554432);
    assert_int_equal(s->max_head_bytes, 65536);
    assert_int_equal(s->max_target_bytes, 8192);
    assert_int_equal(s->max_headers, 100);
    assert_int_equal(s->max_connections, 0);
    assert_int_equal(s->head_timeout_ms, 10000);
    assert_int_equal(s->body_timeout_ms, 30000);
    assert_int_equal(s->idle_timeout_ms, 75000);
    assert_int_equal(s->drain_timeout_ms, 30000);
    assert_int_equal(s->write_timeout_ms, 60000);
    assert_str(c->log_level, "info");
    assert_str(c->log_file, "");
    assert_str(c->store.path, "/run/turnpike.db");
    assert_str(c->store.journal_dir, "/run/journal");
    assert_int_equal(c->routing.max_attempts, 3);
    assert_str(c->routing.strategy, ""); /* there is none to name */
    assert_int_equal(c->notice_count, 0);
    assert_int_equal(c->provider_count + c->model_count + c->key_count + c->plugin_count, 0);
    /* The surface that is built in. */
    assert_int_equal(c->surface_count, 1);
    const conf_surface *f = &c->surfaces[0];
    assert_str(f->name, "turnpike");
    assert_str(f->base_path, "/v1");
    assert_int_equal(f->hints_count, 2);
    assert_str(f->hints_keys[0], "turnpike");
    assert_str(f->hints_keys[1], "cailos");
    assert_str(f->header_prefix, "X-Turnpike");
    assert_str(f->reply_id, "chatcmpl-");
    assert_int_equal(f->reply_model, CONF_MODEL_SERVED);
    assert_int_equal(f->envelope, CONF_ENVELOPE_OPENAI);
    assert_int_equal(f->unknown_model_status, 404);
    assert_int_equal(f->enabled, 1);
    assert_int_equal(f->models_public + f->usage_always + f->cost_headers, 0);
    assert_int_equal(f->models, 1);
    assert_int_equal(f->manage, CONF_MANAGE_KEYS | CONF_MANAGE_CREDITS | CONF_MANAGE_GENERATION);
    assert_int_equal(f->words, CONF_WORDS_TURNPIKE);
    assert_str(f->key_prefix, "tp_live_");
    assert_str(f->key_tier, "");
    assert_int_equal(f->key_limit, 60);
    conf_free(c);
}

static void server_is_spread_over_files(void **state)
{
    (void)state;
    conf *c =
        fx_load("\xef\xbb\xbf{\"server\": {\"listen\": [\":0\", {\"address\": \"[::1]:443\", "
                "\"cert_file\": \"c.pem\", \"key_file\": \"/k.pem\",},],},}",
                "{\"server\": {\"workers\": 4, \"run_dir\": \"../var\", \"access_log\": \"-\"}}",
                "{\"log\": {\"level\": \"debug\", \"file\": \"./x.log\"}, \"store\": {\"path\": "
                "\"s.db\"}, \"$schema\": \"x\"}");
    const conf_listen *l = c->server.listen;
    assert_int_equal(c->server.listen_count, 2);
    assert_str(l[0].host, "::");
    assert_int_equal(l[0].port, 0);
    assert_str(l[1].host, "::1");
    assert_int_equal(l[1].port, 443);
    assert_int_equal(l[1].tls, 1);
    assert_str(l[1].cert_file, "/c/c.pem");
    assert_str(l[1].key_file, "/k.pem");
    assert_string_equal(l[1].place.file, "/c/a.json");
    assert_int_equal(l[1].place.column, 30); /* a byte order mark takes no column */
    assert_int_equal(c->server.workers, 4);
    assert_str(c->server.run_dir, "/c/../var");
    assert_str(c->server.admin_socket, "/c/../var/admin.sock");
    assert_str(c->server.access_log, "-");
    assert_str(c->log_level, "debug");
    assert_str(c->log_file, "/c/x.log");
    assert_str(c->store.path, "/c/s.db");
    assert_str(c->store.journal_dir, "/c/../var/journal");
    assert_str(c->admission.pepper_file, "/c/../var/pepper");
    conf_free(c);
}

static void provider_in_full(void **state)
{
    (void)state;
    conf *c = fx_load(
        "{\"providers\": {\n"
        "  \"p\": { \"plugin\": \"openai\", \"trust_level\": 2, \"max_connections\": 9,\n"
        "    \"options\": { \"base_url\": {\"env\": \"URL\"}, \"n\": 9007199254740993 },\n"
        "    \"api_key\": {\"env\": \"SET_KEY\"}, \"http\": \"2\", \"proxy\": \"environment\",\n"
        "    \"headers\": {\"X-Title\": \"a \\u00e9\", \"x-b\": \"\"}, \"tls\": {\"ca_file\": "
        "\"ca\"},\n"
        "    \"timeouts\": {\"idle_ms\": 7} },\n"
        "  \"q\": {\"api_key\": {\"file\": \"/keys/crlf\"}},\n"
        "  \"r\": {\"api_key\": \"literal\", \"options\": {\"base_url\": "
        "\"https://[::1]:8443/a//\"}},\n"
        "  \"s\": {}}}",
        NULL, NULL);
    assert_int_equal(c->provider_count, 4);
    const conf_provider *p = c->providers;
    assert_str(p->name, "p");
    assert_str(p->plugin, "openai");
    assert_int_equal(p->enabled, 1);
    assert_int_equal(p->dormant, 0);
    assert_int_equal(p->trust_level, 2);
    assert_int_equal(p->max_connections, 9);
    assert_str(p->options.text,
               "{ \"base_url\": \"http://127.0.0.1:9/v1/\", \"n\": 9007199254740993 "
               "}");
    assert_str(p->base_url, "http://127.0.0.1:9/v1");
    assert_int_equal(p->options_place.line, 3);
    assert_int_equal(p->options_place.column, 16);
    assert_str(p->api_key.value, "sk-0123456789abcdef");
    assert_str(p->api_key.source, "env SET_KEY");
    assert_int_equal(p->key_needed, 1);
    assert_int_equal(p->http2, 1);
    assert_str(p->proxy, "environment");
    assert_str(p->ca_file, "/c/ca");
    assert_int_equal(p->header_count, 2);
    assert_str(p->headers[0].name, "X-Title");
    assert_str(p->headers[0].value, "a \xc3\xa9");
    assert_str(p->headers[1].value, "");
    assert_int_equal(p->timeouts.connect_ms, 5000);
    assert_int_equal(p->timeouts.first_byte_ms, 60000);
    assert_int_equal(p->timeouts.idle_ms, 7);
    assert_int_equal(p->timeouts.total_ms, 600000);
    assert_int_equal(p->place.line, 2);
    assert_int_equal(p->place.column, 8);
    assert_str(p[1].api_key.value, "from-windows-0123456789");
    assert_str(p[1].api_key.source, "file /keys/crlf");
    assert_str(p[2].api_key.source, "literal");
    assert_str(p[2].base_url, "https://[::1]:8443/a");
    assert_str(p[3].plugin, "s");
    assert_str(p[3].options.text, "{}");
    assert_int_equal(p[3].options.count, 1);
    assert_str(p[3].base_url, "");
    assert_int_equal(p[3].key_needed, 0);
    assert_int_equal(p[3].http2, 0);
    assert_int_equal(c->notice_count, 0);
    /* One entry a plugin, declared or not, in the order of first use. */
    assert_int_equal(c->plugin_count, 4);
    assert_str(c->plugins[0].name, "openai");
    assert_str(c->plugins[0].path, "/c/openai.so");
    assert_str(c->plugins[3].path, "/c/s.so");
    conf_free(c);
}

static void dormant(void **state)
{
    (void)state;
    conf *c = fx_load(
        "{\"providers\": {\"a\": {\"api_key\": {\"env\": \"UNSET\"}, \"options\": {\"base_url\": "
        "{\"env\": \"UNSET_URL\"}}}, \"b\": {\"api_key\": {\"env\": \"EMPTY\"}},"
        "\"c\": {\"api_key\": {\"file\": \"none\"}}, \"d\": {\"api_key\": {\"file\": "
        "\"/keys/empty\"}},"
        "\"e\": {\"api_key\": {\"file\": \"/keys/locked\"}}, \"f\": {\"enabled\": false, "
        "\"api_key\": "
        "{\"env\": \"UNSET\"}}},\n\"models\": {\"m\": {\"deployments\": [{\"provider\": \"a\", "
        "\"options\": {\"x\": {\"env\": \"UNSET\"}}}]}}}",
        NULL, NULL);
    assert_notices(c, "provider a is dormant: environment variable UNSET is not set",
                   "provider b is dormant: environment variable EMPTY is not set",
                   "provider c is dormant: file /c/none does not exist",
                   "provider d is dormant: file /keys/empty is empty",
                   "provider e is dormant: file /keys/locked cannot be read: Permission denied",
                   "model m is not available: all its deployments are dormant or disabled",
                   NO_STRATEGY);
    assert_int_equal(c->providers[0].dormant, 1);
    assert_str(c->providers[0].dormant_why, "environment variable UNSET is not set");
    assert_null(c->providers[0].api_key.value.ptr);
    assert_str(c->providers[0].options.text, "{\"base_url\": null}");
    assert_str(c->providers[0].base_url, "");
    assert_int_equal(c->models[0].deployment_count, 1); /* it stays: the provider says why */
    assert_str(c->models[0].deployments[0].options.text, "{\"x\": null}");
    conf_free(c);
}

/* An upstream of one's own: it is there when its address is, and may want no key. */
static void local(void **state)
{
    (void)state;
    conf *c = fx_load(
        "{\"providers\": {\"a\": {\"local\": true, \"options\": {\"base_url\": {\"env\": \"UNSET_URL\"}},"
        "\"api_key\": {\"env\": \"UNSET\"}}, \"b\": {\"local\": true, \"options\": {\"base_url\": "
        "{\"env\": \"URL\"}}, \"api_key\": {\"env\": \"UNSET\"}}, \"c\": {\"local\": true, \"options\": "
        "{\"base_url\": {\"env\": \"URL\"}}, \"api_key\": {\"env\": \"SET_KEY\"}}, \"d\": {\"options\": "
        "{\"base_url\": {\"env\": \"EMPTY\"}, \"x\": {\"env\": \"UNSET\"}}}, \"e\": {\"options\": "
        "{\"base_url\": {\"env\": \"UNSET\", \"default\": \"http://h\"}}}}}",
        NULL, NULL);
    assert_notices(c, "provider a is dormant: environment variable UNSET_URL is not set",
                   "provider d is dormant: environment variable EMPTY is not set");
    const conf_provider *p = c->providers;
    assert_int_equal(p[0].dormant, 1);
    assert_str(p[0].base_url, "");
    assert_int_equal(p[1].dormant, 0);
    assert_int_equal(p[1].key_needed, 0);
    assert_null(p[1].api_key.value.ptr);
    assert_str(p[1].base_url, "http://127.0.0.1:9/v1");
    assert_int_equal(p[2].key_needed, 1);
    assert_str(p[2].api_key.value, "sk-0123456789abcdef");
    assert_str(p[3].options.text, "{\"base_url\": null, \"x\": null}");
    assert_int_equal(conf_place_unset(p[3].options_place, 13), 1);
    assert_int_equal(conf_place_unset(p[3].options_place, 0), 0);
    assert_int_equal(conf_place_unset(p[1].options_place, 13), 0);
    assert_int_equal(p[4].dormant, 0);
    assert_str(p[4].base_url, "http://h");
    conf_free(c);
}

/* With a catalog of hundreds and no key, one line and not hundreds. */
static void many_unavailable_models(void **state)
{
    (void)state;
    char text[4096] = "{\"models\": {";
    for (int i = 0; i < 9; i++)
        snprintf(text + strlen(text), sizeof(text) - strlen(text),
                 "%s\"m%d\": {\"deployments\": [{\"provider\": \"a\"}]}", i ? "," : "", i);
    strcat(text, ", \"good\": {\"deployments\": [{\"provider\": \"b\"}]}}}");
    conf *c = fx_load("{\"providers\": {\"a\": {\"enabled\": false}, \"b\": {}}}", text, NULL);
    assert_notices(c, "9 of 10 models are not available: all their deployments are dormant or "
                   "disabled", NO_STRATEGY);
    conf_free(c);
}

static void models_and_prices(void **state)
{
    (void)state;
    conf *c = fx_load(
        "{\"providers\": {\"a\": {}, \"b\": {}}, \"strategies\": {\"ordered\": {}, \"best\": {}}}",
        "{\"models\": {\"openai/gpt\": {\"aliases\": [\"gpt\"], \"created\": 1700000000, "
        "\"context_length\": 8192, \"capabilities\": [\"tools\", \"vision\"], \"quality\": 80,"
        "\"strategy\": \"best\", \"price\": {\"prompt\": \"1\"}, \"name\": \"GPT\",\n"
        "\"deployments\": [ {\"provider\": \"b\", \"model\": \"gpt-4\", \"speed\": \"fast\", "
        "\"quality\": 0, \"weight\": 5, \"tokens_per_second\": 275, \"price\": {\"prompt\": "
        "\"0.00000059\", \"completion\": \"0\", \"images:1024x1024\": \"0.04\", \"request\": "
        "\"9223.372036854775807\", \"seconds\": \"0.0000000000000010000\"}},\n"
        "{\"provider\": \"a\", \"id\": \"main\", \"enabled\": false, \"capabilities\": []}]}}}",
        "{\"models\": {\"x\": {\"deployments\": [{\"provider\": \"a\"}]}}}");
    assert_int_equal(c->model_count, 2);
    const conf_model *m = c->models;
    assert_str(m->id, "openai/gpt");
    assert_str(m->name, "GPT");
    assert_str(m->owned_by, "openai");
    assert_str(m->description, "");
    assert_str(m->strategy, "best");
    assert_int_equal(m->created, 1700000000);
    assert_int_equal(m->context_length, 8192);
    assert_int_equal(m->max_output_tokens, -1);
    assert_int_equal(m->capabilities, CONF_CAP_TOOLS | CONF_CAP_VISION);
    assert_int_equal(m->quality, 80);
    assert_int_equal(m->alias_count, 1);
    assert_str(m->aliases[0], "gpt");
    assert_int_equal(m->price_count, 1);
    assert_int_equal(m->prices[0].nano_per_million, 1000000000000000);
    assert_int_equal(m->deployment_count, 2);
    const conf_deployment *d = m->deployments;
    assert_str(d->provider, "b");
    assert_int_equal(d->provider_index, 1);
    assert_str(d->id, "b/gpt-4");
    assert_int_equal(d->speed, 3);
    assert_int_equal(d->quality, 0);
    assert_int_equal(d->weight, 5);
    assert_int_equal(d->tokens_per_second, 275);
    assert_int_equal(d->context_length, -1);
    assert_int_equal(d->capabilities, CONF_CAP_TOOLS | CONF_CAP_VISION);
    assert_int_equal(d->place.line, 2);
    assert_int_equal(d->place.column, 18);
    assert_int_equal(d->price_count, 5);
    assert_str(d->prices[0].unit, "prompt");
    assert_int_equal(d->prices[0].nano_per_million, 590000000);
    assert_int_equal(d->prices[1].nano_per_million, 0);
    assert_str(d->prices[2].unit, "images:1024x1024");
    assert_int_equal(d->prices[2].nano_per_million, 40000000000000);
    assert_true(d->prices[3].nano_per_million == INT64_MAX);
    assert_int_equal(d->prices[4].nano_per_million, 1);
    assert_str(d[1].model, "openai/gpt");
    assert_str(d[1].id, "main");
    assert_int_equal(d[1].enabled, 0);
    assert_int_equal(d[1].capabilities, 0); /* written, so not the model's */
    assert_int_equal(d[1].quality, -1);
    assert_int_equal(d[1].weight, 1);
    assert_int_equal(m[1].capabilities, CONF_CAP_STREAMING);
    assert_int_equal(m[1].quality, 50);
    assert_str(m[1].owned_by, "a");
    assert_str(m[1].name, "x");
    assert_str(c->routing.strategy, "ordered");
    assert_int_equal(c->notice_count, 0);
    conf_free(c);
    c = fx_load(
        "{\"providers\": {\"a\": {}}, \"strategies\": {\"ordered\": {}}, \"models\": {\"m\": {"
        "\"price\": {\"promt\": \"1\", \"widgets\": \"1\"}, \"deployments\": [{\"provider\": "
        "\"a\"}]}}}",
        NULL, NULL);
    assert_notices(c, "/c/a.json:1:84: models.m.price: 'promt' is not one of the well-known units; "
                      "did you mean 'prompt'?");
    conf_free(c);
    /* Behind a slip in the unit stand its variant and threshold; a kind's price is enough below. */
    c = fx_load(
        "{\"providers\": {\"a\": {}}, \"strategies\": {\"ordered\": {}}, \"models\": {\"m\": {"
        "\"price\": {\"prompt\": \"1\", \"cache_write:1h@200000\": \"3\", \"prompt@200000\": "
        "\"2\", \"cache_wirte:1h\": \"2\"}, \"deployments\": [{\"provider\": \"a\"}]}}}",
        NULL, NULL);
    assert_notices(c, "/c/a.json:1:151: models.m.price: 'cache_wirte' is not one of the well-known "
                      "units; did you mean 'cache_write'?");
    assert_int_equal(c->models[0].price_count, 4);
    assert_str(c->models[0].prices[1].unit, "cache_write:1h@200000");
    assert_int_equal(c->models[0].prices[2].nano_per_million, 2000000000000000);
    conf_free(c);
}

static void switched_off(void **state)
{
    (void)state;
    conf *c = fx_load(
        "{\"plugins\": {\"x\": {\"path\": \"now.so\", \"enabled\": false}, \"y\": {\"path\": "
        "\"/y.so\"}},"
        "\"providers\": {\"a\": {\"plugin\": \"x\"}, \"b\": {\"plugin\": \"y\", \"enabled\": "
        "false}, "
        "\"c\": {\"plugin\": \"nope\", \"enabled\": false, \"options\": {\"k\": {\"env\": "
        "\"UNSET\"}}},"
        "\"echo\": {}},\n"
        "\"strategies\": {\"ordered\": {\"plugin\": \"x\"}, \"best\": {\"enabled\": false}},"
        "\"endpoints\": {\"chat\": {\"path\": \"/chat\"}, \"fim\": {\"path\": \"/fim\", "
        "\"plugin\": "
        "\"x\"}},"
        "\"surfaces\": {\"s\": {\"base_path\": \"/v1\", \"endpoints\": [\"fim\", \"chat\"]}, "
        "\"old\": "
        "{\"base_path\": \"/v1\", \"enabled\": false}, \"t\": {\"base_path\": \"/v2\"}},"
        "\"models\": {\"m\": {\"strategy\": \"best\", \"deployments\": [{\"provider\": \"a\"}, "
        "{\"provider\": \"echo\"}]}, \"n\": {\"enabled\": false, \"deployments\": [{\"provider\": "
        "\"b\"}]}}}",
        "{\"admission\": {\"static_keys\": [{\"name\": \"gone\", \"key\": {\"env\": \"UNSET\"}}, "
        "{\"name\": \"one\", \"key\": {\"env\": \"SET_KEY\"}, \"models\": [\"n\", "
        "\"echo/any\"]}]}}",
        "{\"admission\": {\"static_keys\": [{\"name\": \"off\", \"key\": {\"file\": "
        "\"/keys/good\"}, "
        "\"enabled\": false}, {\"name\": \"gone2\", \"enabled\": false, \"key\": {\"env\": "
        "\"UNSET\"}}]}}");
    assert_notices(c, "provider a is disabled: its plugin x is disabled at /c/a.json:1:19",
                   "strategy ordered is disabled: its plugin x is disabled at /c/a.json:1:19",
                   "endpoint fim is disabled: its plugin x is disabled at /c/a.json:1:19",
                   "model m: strategy best is disabled; routing.strategy is used instead",
                   "surface s: endpoint fim is disabled and not mounted",
                   "static key gone is left out: environment variable UNSET is not set",
                   "routing: strategy ordered is disabled; deployments are tried in the order they "
                   "are written "
                   "in");
    assert_int_equal(c->providers[0].enabled + c->providers[1].enabled + c->providers[2].enabled,
                     0);
    assert_int_equal(c->providers[3].enabled, 1);
    assert_int_equal(c->strategies[0].enabled + c->strategies[1].enabled, 0);
    assert_int_equal(c->endpoints[0].enabled, 1);
    assert_int_equal(c->endpoints[1].enabled, 0);
    assert_int_equal(c->surfaces[0].endpoint_count, 1);
    assert_str(c->surfaces[0].endpoints[0], "chat");
    assert_int_equal(c->surfaces[1].enabled, 0);
    assert_int_equal(c->surfaces[2].endpoint_count, 1); /* all that are enabled */
    assert_int_equal(c->surfaces[2].hints_count, 1);
    assert_str(c->surfaces[2].hints_keys[0], "turnpike");
    assert_str(c->models[0].strategy, "");
    assert_int_equal(c->models[0].deployment_count, 2);
    assert_int_equal(c->models[1].enabled, 0);
    assert_str(c->routing.strategy, "");
    /* A key that is off stays; one without its secret does not. Its allow-list keeps the model that
     * is off: an empty list would allow all. */
    assert_int_equal(c->key_count, 2);
    assert_str(c->keys[0].name, "one");
    assert_str(c->keys[0].secret.value, "sk-0123456789abcdef");
    assert_int_equal(c->keys[0].model_count, 2);
    assert_str(c->keys[0].models[0], "n");
    assert_str(c->keys[1].name, "off");
    assert_str(c->keys[1].secret.value, "from-a-file-0123456789");
    assert_int_equal(c->keys[1].enabled, 0);
    /* x is declared and off, so its file need not be there; nope is used by nobody who is on. */
    const char *const names[] = {"x", "y", "best", "chat", "echo"};
    assert_int_equal(c->plugin_count, 5);
    for (uint32_t i = 0; i < c->plugin_count; i++) {
        size_t j = 0;
        while (j < TP_COUNT(names) && !str_eq(c->plugins[i].name, str_of(names[j])))
            j++;
        assert_in_range(j, 0, TP_COUNT(names) - 1);
        assert_int_equal(c->plugins[i].enabled, j != 0);
    }
    assert_str(c->plugins[0].path, "");
    assert_str(c->plugins[1].path, "/y.so");
    conf_free(c);
}

static void plugin_lookup(void **state)
{
    (void)state;
    conf_env env = fx_env();
    tp_error err = {0};
    const char *names[] = {"/elsewhere/x.json"};
    tp_str text = STR("{\"server\": {\"plugin_dir\": \"/own\"}, \"plugins\": {\"p\": {\"path\": "
                      "\"sub/p.so\"}}}");
    conf *c = conf_load_texts(names, &text, 1, &env, &err);
    assert_non_null(c);
    assert_str(c->plugins[0].path, "/elsewhere/sub/p.so");
    assert_str(c->server.plugin_dir, "/own"); /* the snippet's word wins over the caller's */
    conf_free(c);
}

static void listen_addresses(void **state)
{
    (void)state;
    conf_listen l = {0};
    tp_error err = {0};
    assert_int_equal(conf_listen_parse(STR("localhost:0"), &l, &err), 0);
    assert_true(str_eq(l.host, STR("localhost")));
    assert_int_equal(l.port, 0);
    assert_int_equal(conf_listen_parse(STR("[fe80::1]:65535"), &l, &err), 0);
    assert_true(str_eq(l.host, STR("fe80::1")));
    assert_int_equal(l.port, 65535);
    assert_int_equal(conf_listen_parse(STR(""), &l, &err), TP_ERROR_CONFIG);
    assert_string_equal(err.text,
                        "expected HOST:PORT, such as \"127.0.0.1:8080\", \"[::1]:8080\" or "
                        "\":8080\" for every address, found \"\"");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(empty_has_defaults), cmocka_unit_test(server_is_spread_over_files),
        cmocka_unit_test(provider_in_full),   cmocka_unit_test(dormant),
        cmocka_unit_test(local),
        cmocka_unit_test(many_unavailable_models),
        cmocka_unit_test(models_and_prices),  cmocka_unit_test(switched_off),
        cmocka_unit_test(plugin_lookup),      cmocka_unit_test(listen_addresses),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
