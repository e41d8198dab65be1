/* The tables: every key of the format, with type, range, default and the sentence that documents
 * it. Parser, defaults, JSON Schema and reference all come from here. */
#include "conf/conf_int.h"

/* The fields read better as they stand. */
/* clang-format off */
#define DAY_MS 86400000
#define MAX_REQUESTS 16000000 /* a minute: what a rate window can count */
#define NAME_PATTERN "^[A-Za-z0-9][A-Za-z0-9._-]*$"
#define NAME_EXPECT "a name of letters, digits, '.', '_' and '-'"
#define PATH_PATTERN "^(/[A-Za-z0-9_~-][A-Za-z0-9._~-]*)+$"
#define PRICE_SCHEMA \
    "\"type\":\"object\",\"propertyNames\":{\"pattern\":" \
    "\"^[a-z][a-z0-9_]*(:[A-Za-z0-9_.:-]+)?(@[1-9][0-9]{0,8})?$\"}," \
    "\"additionalProperties\":{\"type\":\"string\",\"pattern\":\"^[0-9]+(\\\\.[0-9]+)?$\"}"
#define TABLE(id, fields_, T, place_) \
    {.name = id, .fields = fields_, .count = TP_COUNT(fields_), .size = sizeof(T), \
     .place_at = place_}
#define ENABLED(T) \
    {.name = "enabled", .type = CONF_BOOL, .at = offsetof(T, enabled), .def = 1, \
     .doc = "false switches it off; it is validated all the same."}
#define OPTIONS(T) \
    {.name = "options", .type = CONF_OPTIONS, .at = offsetof(T, options), \
     .doc = "What the plugin's own schema says. A member {\"env\": NAME, \"default\": X} is replaced " \
            "by that environment variable, as a string, or by X when it is not set."}
#define PLUGIN(T, what) \
    {.name = "plugin", .type = CONF_STRING, .at = offsetof(T, plugin), .min = 1, .max = 128, \
     .pattern = NAME_PATTERN, .expect = "the name of a plugin", .shown = what, \
     .doc = "The plugin behind it: a name under `plugins`, or else `<name>.so`."}
#define MS(T, key, def_, doc_) \
    {.name = #key, .type = CONF_INT64, .at = offsetof(T, key), .min = 1, .max = DAY_MS, \
     .def = def_, .doc = doc_}

const char *const conf_price_units[] = {"prompt",  "completion", "cache_read", "cache_write",
                                        "reasoning", "request",  "image",      "images",
                                        "audio",   "seconds",    "characters",
                                        "audio_prompt", "audio_completion", NULL};

/* ---- server, store, log, routing */
static const conf_field server_fields[] = {
    {.name = "listen", .type = CONF_CUSTOM, .at = offsetof(conf_server, listen),
     .count_at = offsetof(conf_server, listen_count), .parse = conf_field_listen,
     .shown = "\"127.0.0.1:8080\"", .type_name = "address, or array of addresses",
     .schema = "\"anyOf\":[{\"$ref\":\"#/$defs/listen\"},{\"type\":\"array\",\"minItems\":1,"
               "\"maxItems\":64,\"items\":{\"$ref\":\"#/$defs/listen\"}}]",
     .doc = "Where to listen: \"HOST:PORT\" (\":8080\": every address; port 0: any free one), or "
            "{\"address\": \"HOST:PORT\", \"cert_file\": PATH, \"key_file\": PATH} for TLS."},
    {.name = "workers", .type = CONF_INT32, .at = offsetof(conf_server, workers), .min = 0,
     .max = 1024, .def = 0, .doc = "Worker threads; 0: as many as the machine has cores."},
    {.name = "admin_socket", .type = CONF_PATH, .at = offsetof(conf_server, admin_socket), .min = 1,
     .max = 4095, .shown = "`run_dir`/admin.sock",
     .doc = "The local socket that `turnpike reload` talks to; at most 107 bytes."},
    {.name = "run_dir", .type = CONF_PATH, .at = offsetof(conf_server, run_dir), .min = 1,
     .max = 4095, .shown = "`run` beside the configuration directory",
     .doc = "Where the gateway keeps its socket, its private plugin images and its store."},
    {.name = "plugin_dir", .type = CONF_PATH, .at = offsetof(conf_server, plugin_dir), .min = 1,
     .max = 4095, .shown = "the installed one",
     .doc = "Where plugins are looked up that do not lie beside the snippet that uses them."},
    {.name = "access_log", .type = CONF_PATH, .at = offsetof(conf_server, access_log),
     .flags = CONF_DASH, .max = 4095, .text = "",
     .doc = "A file for one line a request; \"-\" is standard output, \"\" is none."},
    {.name = "max_body_bytes", .type = CONF_INT64, .at = offsetof(conf_server, max_body_bytes),
     .min = 1024, .max = INT64_C(2147483648), .def = 33554432,
     .doc = "The largest request body; more is answered 413."},
    {.name = "max_head_bytes", .type = CONF_INT64, .at = offsetof(conf_server, max_head_bytes),
     .min = 1024, .max = 16777216, .def = 65536,
     .doc = "The largest request head; more is answered 431."},
    {.name = "max_target_bytes", .type = CONF_INT32, .at = offsetof(conf_server, max_target_bytes),
     .min = 128, .max = 1048576, .def = 8192,
     .doc = "The longest request target (path and query); more is answered 414."},
    {.name = "max_headers", .type = CONF_INT32, .at = offsetof(conf_server, max_headers), .min = 8,
     .max = 10000, .def = 100, .doc = "The most header lines of a request; more is answered 431."},
    {.name = "max_connections", .type = CONF_INT32, .at = offsetof(conf_server, max_connections),
     .min = 0, .max = 10000000, .def = 0,
     .doc = "The most client connections; 0: as many as the descriptor limit leaves room for."},
    MS(conf_server, head_timeout_ms, 10000, "From the first byte of a request head to its end."),
    MS(conf_server, body_timeout_ms, 30000, "The longest silence within a request body."),
    MS(conf_server, idle_timeout_ms, 75000, "How long a connection may wait for its next request."),
    MS(conf_server, drain_timeout_ms, 30000, "How long SIGTERM waits for exchanges to finish."),
    MS(conf_server, write_timeout_ms, 60000, "The longest a client may take no byte of an answer."),
};
static const conf_table server_table = TABLE("server", server_fields, conf_server, CONF_NOWHERE);

static const conf_field store_fields[] = {
    {.name = "path", .type = CONF_PATH, .at = offsetof(conf_store, path), .min = 1, .max = 4095,
     .shown = "`server.run_dir`/turnpike.db", .doc = "The file of the embedded store."},
    {.name = "journal_dir", .type = CONF_PATH, .at = offsetof(conf_store, journal_dir), .min = 1,
     .max = 4095, .shown = "`server.run_dir`/journal",
     .doc = "Where the journal lies that every settled request is appended to before its last "
            "bytes leave; it belongs on a local disk."},
    {.name = "journal_bytes", .type = CONF_INT64, .at = offsetof(conf_store, journal_bytes),
     .min = 1048576, .max = 1073741824, .def = 16777216,
     .doc = "The journal's room for each worker. When it is full because the store does not take "
            "what is in it, requests are answered 503."},
    {.name = "sync_ms", .type = CONF_INT64, .at = offsetof(conf_store, sync_ms), .min = 0,
     .max = 3600000, .def = 1000,
     .doc = "How often the journal is brought to the disk, which is what a power cut can cost at "
            "most; 0: when the kernel does. A crash of the gateway alone costs nothing, either "
            "way."},
    {.name = "flush_ms", .type = CONF_INT64, .at = offsetof(conf_store, flush_ms), .min = 1,
     .max = 60000, .def = 100,
     .doc = "How long the store's writer gathers before it writes them in one transaction."},
    {.name = "retention_days", .type = CONF_INT64, .at = offsetof(conf_store, retention_days),
     .min = 0, .max = 36500, .def = 90,
     .doc = "How long records of generations are kept; 0: for ever. The ledger is always kept."},
    {.name = "generations", .type = CONF_BOOL, .at = offsetof(conf_store, generations), .def = 1,
     .doc = "Whether each request leaves a record, which `/generation` and the admin API show."},
    {.name = "prompts", .type = CONF_BOOL, .at = offsetof(conf_store, prompts), .def = 0,
     .doc = "Whether that record holds the body of the request, cut to `prompt_bytes`."},
    {.name = "prompt_bytes", .type = CONF_INT64, .at = offsetof(conf_store, prompt_bytes), .min = 1,
     .max = 262144, .def = 16384, .doc = "How much of a body is kept, where `prompts` is true."},
};
static const conf_table store_table = TABLE("store", store_fields, conf_store, CONF_NOWHERE);

typedef struct log_view {
    tp_str level, file;
} log_view;
_Static_assert(offsetof(conf, log_file) - offsetof(conf, log_level) == offsetof(log_view, file),
               "log_view is how conf has them");
static const conf_word log_levels[] = {
    {"error", 1}, {"warn", 2}, {"info", 3}, {"debug", 4}, {NULL, 0}};
static const conf_field log_fields[] = {
    {.name = "level", .type = CONF_WORD, .at = offsetof(log_view, level), .words = log_levels,
     .text = "info", .doc = "Lines above this level are not written."},
    {.name = "file", .type = CONF_PATH, .at = offsetof(log_view, file), .max = 4095, .text = "",
     .doc = "The gateway's own log; \"\" is standard error."},
};
static const conf_table log_table = TABLE("log", log_fields, log_view, CONF_NOWHERE);

static const conf_field routing_fields[] = {
    {.name = "strategy", .type = CONF_STRING, .at = offsetof(conf_routing, strategy), .min = 1,
     .max = 128, .text = "ordered", .pattern = NAME_PATTERN, .expect = "the name of a strategy",
     .doc = "The strategy of models that name none. Without any, deployments are tried in the order "
            "they are written in."},
    {.name = "max_attempts", .type = CONF_INT32, .at = offsetof(conf_routing, max_attempts),
     .min = 1, .max = 10, .def = 3, .doc = "The most deployments that one request is tried on."},
};
static const conf_table routing_table = TABLE("routing", routing_fields, conf_routing, CONF_NOWHERE);

/* ---- plugins, strategies, endpoints */
static const conf_field plugin_fields[] = {
    {.name = "path", .type = CONF_STRING, .at = offsetof(conf_plugin, path), .min = 1, .max = 4095,
     .shown = "`<name>.so`", .expect = "the path of a plugin",
     .doc = "Its file. A relative path is looked up beside the snippet, then in the plugin "
            "directory."},
    {.name = "enabled", .type = CONF_BOOL, .at = offsetof(conf_plugin, enabled), .def = 1,
     .doc = "false switches it off, and with it the providers, strategies and endpoints that use "
            "it."},
};
static const conf_table plugin_table =
    TABLE("plugin", plugin_fields, conf_plugin, offsetof(conf_plugin, place));

static const conf_field strategy_fields[] = {
    PLUGIN(conf_strategy, "the strategy's own name"),
    ENABLED(conf_strategy),
    OPTIONS(conf_strategy),
};
static const conf_table strategy_table =
    TABLE("strategy", strategy_fields, conf_strategy, offsetof(conf_strategy, place));

static const conf_field endpoint_fields[] = {
    {.name = "path", .type = CONF_STRING, .at = offsetof(conf_endpoint, path),
     .flags = CONF_REQUIRED, .min = 1, .max = 1024, .pattern = PATH_PATTERN,
     .expect = "a path such as \"/chat/completions\"",
     .doc = "Where it is mounted under a surface's base path, such as \"/chat/completions\"."},
    PLUGIN(conf_endpoint, "the endpoint's own name"),
    ENABLED(conf_endpoint),
    OPTIONS(conf_endpoint),
};
static const conf_table endpoint_table =
    TABLE("endpoint", endpoint_fields, conf_endpoint, offsetof(conf_endpoint, place));

/* ---- providers */
static const conf_word http_words[] = {{"1.1", 0}, {"2", 1}, {NULL, 0}};
static const conf_field timeout_fields[] = {
    MS(conf_timeouts, connect_ms, 5000, "To connect, TLS included."),
    MS(conf_timeouts, first_byte_ms, 60000, "From the request sent to the answer's first byte."),
    MS(conf_timeouts, idle_ms, 60000, "The longest silence within an answer."),
    MS(conf_timeouts, total_ms, 600000, "For the whole exchange with this provider."),
};
static const conf_table timeout_table =
    TABLE("timeouts", timeout_fields, conf_timeouts, CONF_NOWHERE);
typedef struct tls_view {
    tp_str ca_file;
} tls_view;
static const conf_field tls_fields[] = {
    {.name = "ca_file", .type = CONF_PATH, .at = offsetof(tls_view, ca_file), .min = 1, .max = 4095,
     .shown = "the system's", .doc = "PEM file of the certificate authorities to trust."},
};
static const conf_table tls_table = TABLE("tls", tls_fields, tls_view, CONF_NOWHERE);

static const conf_field provider_fields[] = {
    PLUGIN(conf_provider, "the provider's own name"),
    ENABLED(conf_provider),
    {.name = "options", .type = CONF_OPTIONS, .at = offsetof(conf_provider, options),
     .doc = "What the plugin's own schema says. `base_url` is the gateway's too: scheme, host, port "
            "and path prefix of every request. A member {\"env\": NAME, \"default\": X} is replaced "
            "by that environment variable, as a string, or by X when it is not set. A provider whose "
            "`base_url` comes from a variable that is not set, without a default, is dormant."},
    {.name = "api_key", .type = CONF_SECRET, .at = offsetof(conf_provider, api_key),
     .doc = "The provider's key. Written here, but nowhere to be found: the provider is dormant, or "
            "is called without a key if it is `local`."},
    {.name = "credential", .type = CONF_OBJECT, .at = offsetof(conf_provider, credential),
     .table = &conf_credential_table,
     .doc = "In place of `api_key`, for providers that sign their requests (AWS) or fetch tokens "
            "(Google)."},
    {.name = "headers", .type = CONF_CUSTOM, .at = offsetof(conf_provider, headers),
     .count_at = offsetof(conf_provider, header_count), .parse = conf_field_headers,
     .type_name = "object of strings", .shown = "none",
     .schema = "\"type\":\"object\",\"additionalProperties\":{\"type\":\"string\"}",
     .doc = "Headers to send with each request."},
    {.name = "timeouts", .type = CONF_OBJECT, .at = offsetof(conf_provider, timeouts),
     .table = &timeout_table, .doc = "How long to wait, in milliseconds."},
    {.name = "http", .type = CONF_ENUM, .at = offsetof(conf_provider, http2), .words = http_words,
     .def = 0, .doc = "\"2\" goes through the curl transport."},
    {.name = "proxy", .type = CONF_STRING, .at = offsetof(conf_provider, proxy), .min = 1,
     .max = 2048, .pattern = "^(environment|(http|https|socks4|socks5|socks5h)://[^ /]+/?)$",
     .expect = "\"environment\" or the URL of a proxy", .shown = "none",
     .doc = "The URL of a forward proxy, or \"environment\" to honour HTTPS_PROXY and its like."},
    {.name = "tls", .type = CONF_OBJECT, .at = offsetof(conf_provider, ca_file),
     .table = &tls_table, .doc = "How its certificate is checked."},
    {.name = "trust_level", .type = CONF_INT32, .at = offsetof(conf_provider, trust_level),
     .min = 0, .max = 3, .def = 0,
     .doc = "How far it is trusted: requests and teams that ask for a level get this or more."},
    {.name = "local", .type = CONF_BOOL, .at = offsetof(conf_provider, local), .def = 0,
     .doc = "Whether it runs on premises of your own, so that data sent to it does not leave them: "
            "what teams with `data_local` may use."},
    {.name = "max_connections", .type = CONF_INT32, .at = offsetof(conf_provider, max_connections),
     .min = 0, .max = 1000000, .def = 0,
     .doc = "The most connections to it, for each worker; 0: no limit."},
};
static const conf_table provider_table =
    TABLE("provider", provider_fields, conf_provider, offsetof(conf_provider, place));

/* ---- models */
static const conf_word capability_words[] = {{"tools", CONF_CAP_TOOLS},
                                             {"vision", CONF_CAP_VISION},
                                             {"audio", CONF_CAP_AUDIO},
                                             {"documents", CONF_CAP_DOCUMENTS},
                                             {"json_schema", CONF_CAP_SCHEMA},
                                             {"reasoning", CONF_CAP_REASONING},
                                             {"streaming", CONF_CAP_STREAMING},
                                             {NULL, 0}};
static const conf_word speed_words[] = {{"slow", 1}, {"moderate", 2}, {"fast", 3}, {NULL, 0}};
#define TOKENS(T, key, shown_, doc_) \
    {.name = #key, .type = CONF_INT64, .flags = CONF_NO_DEFAULT, .at = offsetof(T, key), .min = 1, \
     .max = INT64_C(1000000000), .def = -1, .shown = shown_, .doc = doc_}
#define PRICE(T, shown_, doc_) \
    {.name = "price", .type = CONF_CUSTOM, .at = offsetof(T, prices), \
     .count_at = offsetof(T, price_count), .parse = conf_field_prices, .schema = PRICE_SCHEMA, \
     .type_name = "object of decimal strings", .shown = shown_, .doc = doc_}

static const conf_field deployment_fields[] = {
    {.name = "provider", .type = CONF_STRING, .flags = CONF_REQUIRED,
     .at = offsetof(conf_deployment, provider), .min = 1, .max = 128, .pattern = NAME_PATTERN,
     .expect = "the name of a provider", .doc = "The name of a provider."},
    {.name = "model", .type = CONF_STRING, .at = offsetof(conf_deployment, model), .min = 1,
     .max = 512, .expect = "the provider's own id of the model", .shown = "the model's own id",
     .doc = "What the provider calls the model."},
    {.name = "id", .type = CONF_STRING, .at = offsetof(conf_deployment, id), .min = 1, .max = 640,
     .expect = "an id", .shown = "\"provider/model\"",
     .doc = "A stable name, needed when a model has two deployments of one provider and model."},
    ENABLED(conf_deployment),
    OPTIONS(conf_deployment),
    {.name = "weight", .type = CONF_INT32, .at = offsetof(conf_deployment, weight), .min = 1,
     .max = 1000, .def = 1, .doc = "For strategies that share requests by weight."},
    {.name = "speed", .type = CONF_ENUM, .flags = CONF_NO_DEFAULT,
     .at = offsetof(conf_deployment, speed), .words = speed_words, .def = 0, .shown = "not said",
     .doc = "How fast it answers, for requests that ask."},
    {.name = "quality", .type = CONF_INT32, .flags = CONF_NO_DEFAULT,
     .at = offsetof(conf_deployment, quality), .min = 0, .max = 100, .def = -1,
     .shown = "the model's", .doc = "How good its answers are."},
    TOKENS(conf_deployment, tokens_per_second, "not known", "What it writes in a second."),
    TOKENS(conf_deployment, context_length, "the model's", "Tokens of question and answer."),
    TOKENS(conf_deployment, max_output_tokens, "the model's", "Tokens of an answer."),
    {.name = "capabilities", .type = CONF_FLAGS, .flags = CONF_NO_DEFAULT,
     .at = offsetof(conf_deployment, capabilities), .words = capability_words, .def = 0,
     .shown = "the model's", .doc = "What it can do."},
    PRICE(conf_deployment, "the model's", "US dollars a unit, by unit, as exact decimal strings."),
};
const conf_table conf_deployment_table =
    TABLE("deployment", deployment_fields, conf_deployment, offsetof(conf_deployment, place));

static const conf_field model_fields[] = {
    {.name = "deployments", .type = CONF_LIST, .flags = CONF_REQUIRED,
     .at = offsetof(conf_model, deployments), .count_at = offsetof(conf_model, deployment_count),
     .min = 1, .table = &conf_deployment_table, .doc = "Where the model runs: one object each."},
    {.name = "name", .type = CONF_STRING, .at = offsetof(conf_model, name), .min = 1, .max = 256,
     .shown = "the id", .doc = "A name for people."},
    {.name = "description", .type = CONF_STRING, .at = offsetof(conf_model, description),
     .max = 4096, .text = "", .doc = "A sentence for model lists."},
    {.name = "owned_by", .type = CONF_STRING, .at = offsetof(conf_model, owned_by), .min = 1,
     .max = 128, .shown = "what stands before '/' in the id, else the first deployment's provider",
     .doc = "The vendor."},
    {.name = "created", .type = CONF_INT64, .at = offsetof(conf_model, created), .min = 0,
     .max = INT64_C(253402300799), .def = 0, .doc = "When it came out, in Unix seconds."},
    TOKENS(conf_model, context_length, "not known", "Tokens of question and answer together."),
    TOKENS(conf_model, max_output_tokens, "not known", "Tokens of an answer."),
    {.name = "capabilities", .type = CONF_FLAGS, .at = offsetof(conf_model, capabilities),
     .words = capability_words, .def = CONF_CAP_STREAMING,
     .doc = "What it can do; requests that need more are not sent to it."},
    {.name = "quality", .type = CONF_INT32, .at = offsetof(conf_model, quality), .min = 0,
     .max = 100, .def = 50, .doc = "How good its answers are, for strategies."},
    {.name = "aliases", .type = CONF_STRINGS, .at = offsetof(conf_model, aliases),
     .count_at = offsetof(conf_model, alias_count), .min = 1, .max = 256,
     .pattern = "^[A-Za-z0-9][A-Za-z0-9._:/@+-]*$", .expect = "a model id",
     .doc = "Other names that it answers to."},
    {.name = "strategy", .type = CONF_STRING, .at = offsetof(conf_model, strategy), .min = 1,
     .max = 128, .pattern = NAME_PATTERN, .expect = "the name of a strategy",
     .shown = "`routing.strategy`", .doc = "Who orders its deployments."},
    ENABLED(conf_model),
    PRICE(conf_model, "none", "US dollars a unit, for deployments without prices of their own."),
};
static const conf_table model_table =
    TABLE("model", model_fields, conf_model, offsetof(conf_model, place));

/* ---- surfaces */
static const conf_word reply_model_words[] = {
    {"served", CONF_MODEL_SERVED}, {"asked", CONF_MODEL_ASKED}, {NULL, 0}};
static const conf_word envelope_words[] = {{"openai", CONF_ENVELOPE_OPENAI},
                                           {"typed", CONF_ENVELOPE_TYPED},
                                           {"bare", CONF_ENVELOPE_BARE},
                                           {NULL, 0}};
static const conf_word manage_words[] = {{"keys", CONF_MANAGE_KEYS},
                                         {"auth", CONF_MANAGE_AUTH},
                                         {"credits", CONF_MANAGE_CREDITS},
                                         {"generation", CONF_MANAGE_GENERATION},
                                         {NULL, 0}};
static const conf_word words_words[] = {{"turnpike", CONF_WORDS_TURNPIKE},
                                        {"airouter", CONF_WORDS_AIROUTER},
                                        {"kilo", CONF_WORDS_KILO},
                                        {"cailos", CONF_WORDS_CAILOS},
                                        {"kairosroute", CONF_WORDS_KAIROSROUTE},
                                        {NULL, 0}};
static const conf_field surface_fields[] = {
    {.name = "base_path", .type = CONF_STRING, .flags = CONF_REQUIRED,
     .at = offsetof(conf_surface, base_path), .min = 1, .max = 1024, .pattern = PATH_PATTERN,
     .expect = "a path such as \"/v1\"",
     .doc = "Under which path it lies, such as \"/v1\"; it does not end with '/'. /admin is the "
            "gateway's own."},
    ENABLED(conf_surface),
    {.name = "endpoints", .type = CONF_STRINGS, .at = offsetof(conf_surface, endpoints),
     .count_at = offsetof(conf_surface, endpoint_count), .min = 1, .max = 128,
     .pattern = NAME_PATTERN, .expect = "the name of an endpoint", .shown = "all",
     .doc = "Which endpoints are mounted here; []: none."},
    {.name = "models", .type = CONF_BOOL, .at = offsetof(conf_surface, models), .def = 1,
     .doc = "Whether the list of models is mounted at `/models`."},
    {.name = "models_public", .type = CONF_BOOL, .at = offsetof(conf_surface, models_public),
     .def = 0, .doc = "Whether the list of models is shown without a key."},
    {.name = "hints_keys", .type = CONF_STRINGS, .at = offsetof(conf_surface, hints_keys),
     .count_at = offsetof(conf_surface, hints_count), .min = 1, .max = 64, .pattern = NAME_PATTERN,
     .expect = NAME_EXPECT, .shown = "[\"turnpike\"]",
     .doc = "Members of a request's body that hold routing hints; they are cut out."},
    {.name = "header_prefix", .type = CONF_STRING, .at = offsetof(conf_surface, header_prefix),
     .min = 1, .max = 64, .text = "X-Turnpike", .pattern = "^[A-Za-z][A-Za-z0-9-]*$",
     .expect = "the beginning of a header name", .doc = "How the gateway's own headers begin."},
    {.name = "reply_id", .type = CONF_STRING, .at = offsetof(conf_surface, reply_id), .min = 1,
     .max = 32, .text = "chatcmpl-", .pattern = "^[A-Za-z0-9_-]+$",
     .expect = "letters, digits, '_' and '-'", .doc = "How the id of a reply begins."},
    {.name = "reply_model", .type = CONF_ENUM, .at = offsetof(conf_surface, reply_model),
     .words = reply_model_words, .def = CONF_MODEL_SERVED,
     .doc = "The model that a reply names: the provider's own id, or the one asked for."},
    {.name = "envelope", .type = CONF_ENUM, .at = offsetof(conf_surface, envelope),
     .words = envelope_words, .def = CONF_ENVELOPE_OPENAI,
     .doc = "Errors: \"openai\" {message, type, param, code}; \"typed\" {message, type, code}, the "
            "code being the status; \"bare\" {message, code}."},
    {.name = "usage_always", .type = CONF_BOOL, .at = offsetof(conf_surface, usage_always),
     .def = 0, .doc = "Whether streams show usage although nobody asked for it."},
    {.name = "unknown_model_status", .type = CONF_CUSTOM,
     .at = offsetof(conf_surface, unknown_model_status), .parse = conf_field_status, .def = 404,
     .schema = "\"enum\":[404,400],\"default\":404", .type_name = "404 or 400", .shown = "404",
     .doc = "The status for a model that does not exist."},
    {.name = "manage", .type = CONF_FLAGS, .flags = CONF_NARROW,
     .at = offsetof(conf_surface, manage), .words = manage_words,
     .def = CONF_MANAGE_KEYS | CONF_MANAGE_CREDITS | CONF_MANAGE_GENERATION,
     .doc = "Which management endpoints are mounted: \"keys\" (`/keys`, `/keys/ID` and `/key`), "
            "\"auth\" (`/auth` and `/auth/ID`), \"credits\" (`/credits`), \"generation\" "
            "(`/generation`); []: none."},
    {.name = "words", .type = CONF_ENUM, .at = offsetof(conf_surface, words), .words = words_words,
     .def = CONF_WORDS_TURNPIKE,
     .doc = "Whose sentences errors are told in, where that gateway has one of its own."},
    {.name = "cost_headers", .type = CONF_BOOL, .at = offsetof(conf_surface, cost_headers),
     .def = 0,
     .doc = "Whether whole replies say what they cost and saved, as `<header_prefix>-Cost` and "
            "`-Savings`."},
    {.name = "key_prefix", .type = CONF_STRING, .at = offsetof(conf_surface, key_prefix), .min = 2,
     .max = 24, .text = "tp_live_", .pattern = "^[a-z0-9_]+_$",
     .expect = "lower-case letters, digits and '_', with '_' at the end",
     .doc = "How the keys begin that are made here; any key works on every surface."},
    {.name = "guest_of", .type = CONF_STRING, .at = offsetof(conf_surface, guest_of), .min = 1,
     .max = 64, .pattern = NAME_PATTERN, .expect = "the name of a surface", .shown = "none",
     .doc = "Another surface. What is asked there with a key that begins with `key_prefix`, valid or "
            "not, is answered as this surface does: error envelope and words, headers, ids, hints."},
    {.name = "key_tier", .type = CONF_STRING, .at = offsetof(conf_surface, key_tier), .min = 1,
     .max = 64, .pattern = NAME_PATTERN, .expect = "the name of a tier", .shown = "none",
     .doc = "The tier of keys made here that name none; without it, `key_limit` counts."},
    {.name = "key_limit", .type = CONF_INT64, .at = offsetof(conf_surface, key_limit), .min = 0,
     .max = MAX_REQUESTS, .def = 60,
     .doc = "Requests a minute of keys made here that say nothing, where there is no `key_tier`; "
            "0: no limit."},
};
static const conf_table surface_table =
    TABLE("surface", surface_fields, conf_surface, offsetof(conf_surface, place));

/* ---- Who may pass and who pays. */
#define LIMITS(T, flag, def_, shown_) \
    {.name = "requests_per_minute", .type = CONF_INT64, .flags = flag, \
     .at = offsetof(T, limits.requests_per_minute), .min = 0, .max = MAX_REQUESTS, .def = def_, \
     .shown = shown_, .doc = "The most requests of a key in a minute; 0: no limit."}, \
    {.name = "tokens_per_minute", .type = CONF_INT64, .flags = flag, \
     .at = offsetof(T, limits.tokens_per_minute), .min = 0, .max = INT64_C(16000000000), \
     .def = def_, .shown = shown_, .doc = "The most tokens of a key in a minute; 0: no limit."}, \
    {.name = "concurrency", .type = CONF_INT64, .flags = flag, \
     .at = offsetof(T, limits.concurrency), .min = 0, .max = 1000000, .def = def_, \
     .shown = shown_, .doc = "The most requests of a key at the same time; 0: no limit."}
#define TIER(T, member, shown_, doc_) \
    {.name = "tier", .type = CONF_STRING, .at = offsetof(T, member), .min = 1, .max = 64, \
     .pattern = NAME_PATTERN, .expect = "the name of a tier", .shown = shown_, .doc = doc_}

static const conf_word role_words[] = {{"inference", CONF_ROLE_INFERENCE},
                                       {"management", CONF_ROLE_MANAGEMENT},
                                       {"admin", CONF_ROLE_ADMIN},
                                       {NULL, 0}};
static const conf_field key_fields[] = {
    {.name = "name", .type = CONF_STRING, .flags = CONF_REQUIRED, .at = offsetof(conf_key, name),
     .min = 1, .max = 128, .pattern = NAME_PATTERN, .expect = NAME_EXPECT,
     .doc = "What logs and metrics call it."},
    {.name = "key", .type = CONF_SECRET, .flags = CONF_REQUIRED, .at = offsetof(conf_key, secret),
     .doc = "What clients send: 16 to 256 printable ASCII characters without spaces. When it is "
            "absent, the key is left out."},
    {.name = "role", .type = CONF_ENUM, .at = offsetof(conf_key, role), .words = role_words,
     .def = CONF_ROLE_INFERENCE,
     .doc = "\"inference\" may call models; \"management\" may also manage the keys of its team "
            "and see its figures; \"admin\" may manage everything."},
    {.name = "team", .type = CONF_STRING, .at = offsetof(conf_key, team), .min = 1, .max = 64,
     .pattern = NAME_PATTERN, .expect = "the id of a team", .shown = "none",
     .doc = "Who pays, and whose policy it is under: a team from here or one of the store. A key "
            "without a team is not charged and under no policy."},
    TIER(conf_key, tier, "the team's", "The tier whose limits count where it has none of its own."),
    LIMITS(conf_key, CONF_NO_DEFAULT, -1, "the tier's, else no limit"),
    {.name = "models", .type = CONF_STRINGS, .at = offsetof(conf_key, models),
     .count_at = offsetof(conf_key, model_count), .min = 1, .max = 640, .expect = "a model",
     .shown = "all", .doc = "The models that it may use: ids, aliases or \"provider/model\"."},
    ENABLED(conf_key),
};
static const conf_table key_table =
    TABLE("key", key_fields, conf_key, offsetof(conf_key, place));
/* Its offsets are those of conf itself, for the keys lie outside of conf.admission. static_keys is
 * the first: see load.c. */
static const conf_field admission_fields[] = {
    {.name = "static_keys", .type = CONF_LIST, .at = offsetof(conf, keys),
     .count_at = offsetof(conf, key_count), .table = &key_table,
     .doc = "Client keys from the configuration. The lists of several files are joined."},
    {.name = "pepper_file", .type = CONF_PATH, .at = offsetof(conf, admission.pepper_file),
     .min = 1, .max = 4095, .shown = "`server.run_dir`/pepper",
     .doc = "A file of 32 random bytes that stored keys are recognised with, made when it is not "
            "there. Without it each key's first use costs a slow hash."},
    {.name = "master_key", .type = CONF_SECRET, .at = offsetof(conf, admission.master_key),
     .shown = "`server.run_dir`/master.key, made when it is not there",
     .doc = "What customers' own provider keys are encrypted with: 64 hex digits, or 32 bytes in "
            "base64. Whoever loses it loses those keys."},
    {.name = "address_requests_per_minute", .type = CONF_INT32,
     .at = offsetof(conf, admission.address_requests_per_minute), .min = 0, .max = MAX_REQUESTS,
     .def = 60,
     .doc = "The most requests in a minute from one client address that come without a valid key: "
            "public lists, and attempts to guess a key; 0: no limit."},
    {.name = "session_minutes", .type = CONF_INT32, .at = offsetof(conf, admission.session_minutes),
     .min = 1, .max = 525600, .def = 720,
     .doc = "How long a session of the admin API lasts without being used."},
};
static const conf_table admission_table = TABLE("admission", admission_fields, conf, CONF_NOWHERE);

static const conf_field tier_fields[] = {
    LIMITS(conf_tier, 0, 0, NULL),
};
static const conf_table tier_table =
    TABLE("tier", tier_fields, conf_tier, offsetof(conf_tier, place));

#define PATTERNS(key, counter, of_, shown_, doc_) \
    {.name = #key, .type = CONF_STRINGS, .at = offsetof(conf_policy, key), \
     .count_at = offsetof(conf_policy, counter), .min = 1, .max = 640, .pattern = "^[^*]*[*]?$", \
     .expect = of_ ", or the beginning of one and '*'", .shown = shown_, .doc = doc_}
static const conf_field policy_fields[] = {
    PATTERNS(allow_models, allow_model_count, "a model", "all",
             "The only models it may use: ids, aliases or \"provider/model\", or the beginning of "
             "one and '*'."),
    PATTERNS(deny_models, deny_model_count, "a model", "none",
             "Models it may not use, also where `allow_models` holds them."),
    PATTERNS(allow_providers, allow_provider_count, "the name of a provider", "all",
             "The only providers that its requests may go to."),
    PATTERNS(deny_providers, deny_provider_count, "the name of a provider", "none",
             "Providers that its requests may not go to, also where `allow_providers` holds them."),
    {.name = "min_trust", .type = CONF_INT32, .at = offsetof(conf_policy, min_trust), .min = 0,
     .max = 3, .def = 0, .doc = "Only providers with at least this `trust_level`."},
    {.name = "data_local", .type = CONF_BOOL, .at = offsetof(conf_policy, data_local), .def = 0,
     .doc = "Only providers that are `local`: data stays on premises."},
};
static const conf_table policy_table = TABLE("policy", policy_fields, conf_policy, CONF_NOWHERE);
static const conf_word billing_words[] = {
    {"prepaid", CONF_PREPAID}, {"postpaid", CONF_POSTPAID}, {NULL, 0}};
static const conf_field team_fields[] = {
    {.name = "name", .type = CONF_STRING, .at = offsetof(conf_team, name), .min = 1, .max = 128,
     .shown = "the id", .doc = "A name for people."},
    {.name = "active", .type = CONF_BOOL, .at = offsetof(conf_team, active), .def = 1,
     .doc = "false: requests with its keys are answered 403."},
    {.name = "billing", .type = CONF_ENUM, .at = offsetof(conf_team, billing),
     .words = billing_words, .def = CONF_PREPAID,
     .doc = "\"prepaid\": a request must be covered by the team's credits, else it is answered "
            "402; \"postpaid\": it is charged without a limit."},
    TIER(conf_team, tier, "none", "The tier of its keys that name none."),
    {.name = "policy", .type = CONF_OBJECT, .at = offsetof(conf_team, policy),
     .table = &policy_table, .shown = "everything is allowed",
     .doc = "What it may use."},
};
static const conf_table team_table =
    TABLE("team", team_fields, conf_team, offsetof(conf_team, place));

static const conf_field billing_fields[] = {
    {.name = "baseline_model", .type = CONF_STRING, .at = offsetof(conf_billing, baseline_model),
     .min = 1, .max = 256, .expect = "a model", .shown = "none",
     .doc = "What savings are told against: the first deployment of this model that has prices. "
            "Without it, nothing is said of savings."},
    {.name = "byok_fee_permille", .type = CONF_INT32,
     .at = offsetof(conf_billing, byok_fee_permille), .min = 0, .max = 1000, .def = 0,
     .doc = "What requests on a customer's own provider key are charged, in thousandths of what "
            "they would have cost; 0: nothing."},
};
static const conf_table billing_table =
    TABLE("billing", billing_fields, conf_billing, CONF_NOWHERE);

#define SINGLE(id, table_, at_, doc_) \
    {.name = id, .kind = CONF_SINGLE, .table = &table_, .at = at_, .doc = doc_}
#define NAMED(id, item_, table_, member, counter, doc_) \
    {.name = id, .kind = CONF_NAMED, .table = &table_, .item = item_, .at = offsetof(conf, member), \
     .count_at = offsetof(conf, counter), .pattern = NAME_PATTERN, .expect = NAME_EXPECT, \
     .max = 128, .doc = doc_}
#define SHORT(id, item_, table_, member, counter, expect_, doc_) \
    {.name = id, .kind = CONF_NAMED, .table = &table_, .item = item_, \
     .at = offsetof(conf, member), .count_at = offsetof(conf, counter), \
     .pattern = NAME_PATTERN, .expect = expect_, .max = 64, .doc = doc_}

const conf_section conf_sections[CONF_S_COUNT] = {
    [CONF_S_SERVER] = SINGLE("server", server_table, offsetof(conf, server),
                             "Listeners, directories and limits."),
    [CONF_S_STORE] = SINGLE("store", store_table, offsetof(conf, store),
                            "Where keys, credits, the ledger and the records of generations lie, "
                            "and how safely."),
    [CONF_S_LOG] = SINGLE("log", log_table, offsetof(conf, log_level), "The gateway's own log."),
    [CONF_S_PLUGINS] = NAMED("plugins", "plugin", plugin_table, plugins, plugin_count,
                             "Plugin files, by name. Only needed for a path of its own or to switch "
                             "one off: a plugin that is used but not declared is `<name>.so`."),
    [CONF_S_PROVIDERS] = NAMED("providers", "provider", provider_table, providers, provider_count,
                               "Upstreams, by name."),
    [CONF_S_MODELS] = {.name = "models", .kind = CONF_NAMED, .table = &model_table, .item = "model",
                       .at = offsetof(conf, models), .count_at = offsetof(conf, model_count),
                       .pattern = "^[A-Za-z0-9][A-Za-z0-9._:/@+-]*$",
                       .expect = "a model id of letters, digits and \"._:/@+-\"", .max = 256,
                       .doc = "Models, by the id that clients use."},
    [CONF_S_STRATEGIES] = NAMED("strategies", "strategy", strategy_table, strategies,
                                strategy_count, "Who orders the deployments of a model, by name."),
    [CONF_S_ROUTING] = SINGLE("routing", routing_table, offsetof(conf, routing),
                              "How requests find their deployment."),
    [CONF_S_ENDPOINTS] = NAMED("endpoints", "endpoint", endpoint_table, endpoints, endpoint_count,
                               "What clients can call by POST, by name."),
    [CONF_S_SURFACES] = NAMED("surfaces", "surface", surface_table, surfaces, surface_count,
                              "Base paths with the looks that clients of them expect, by name. "
                              "Without any, there is the surface `turnpike` at /v1, with the hints "
                              "keys `turnpike` and `cailos`."),
    [CONF_S_ADMISSION] = SINGLE("admission", admission_table, 0, "Who may come in."),
    [CONF_S_TIERS] = SHORT("tiers", "tier", tier_table, tiers, tier_count,
                           "a name of letters, digits, '.', '_' and '-', of at most 64 bytes",
                           "Limits by name, for keys and teams to refer to. Unless they are "
                           "written, there are `free` (100 requests a minute), `pro` (1,000) and "
                           "`enterprise` (no limit)."),
    [CONF_S_TEAMS] = SHORT("teams", "team", team_table, teams, team_count,
                           "an id of letters, digits, '.', '_' and '-', of at most 64 bytes",
                           "Teams, by id: who owns keys and credits. What is written here cannot "
                           "be changed over the admin API; the team's keys and credits lie in the "
                           "store."),
    [CONF_S_BILLING] = SINGLE("billing", billing_table, offsetof(conf, billing),
                              "How costs are told and charged."),
};
