/* conf.d -> validated configuration. Reads every *.json of a directory in name order (JSON with
 * comments and trailing commas), merges objects by name, checks types, ranges and references, fills
 * defaults, resolves secrets. No plugin code runs; nothing is opened but the snippets and the
 * secret files. [load] thread only. One table per section parses, defaults and documents it; the
 * JSON Schema (conf_schema) and the reference (conf_reference) are printed from the same tables.
 * Everything lies in conf.mem. Every tp_str has a NUL after its len bytes. Relative paths in a
 * snippet start at the snippet's own directory; what is stored is absolute. */
#ifndef TP_CONF_CONF_H
#define TP_CONF_CONF_H
#include "base/arena.h"
#include "base/base.h"
#include "base/buf.h"
#include "model/json.h"

typedef struct conf_map conf_map; /* places in a text that had {"env": ...} members replaced */
typedef struct conf_place { /* where something was written; file is NULL for a default */
    const char *file;
    uint32_t line, column;
    const conf_map *map; /* of options: see conf_place_in; else NULL */
} conf_place;

typedef struct conf_secret { /* a string, {"env": NAME} or {"file": PATH} (trailing LF cut) */
    tp_str value;  /* ptr NULL: absent */
    tp_str source; /* "env GROQ_API_KEY", "file /etc/x", "literal": for messages, never the value */
    tp_str missing; /* why it is absent: "environment variable GROQ_API_KEY is not set" */
} conf_secret;

/* Of several parts, for providers that sign (docs/configuration.md, credential). */
enum { CONF_CREDENTIAL_KEY = 0, CONF_CREDENTIAL_AWS = 1, CONF_CREDENTIAL_GOOGLE = 2 };
typedef struct conf_credential { /* as written; what it comes to is conf_provider.api_key */
    conf_secret access_key_id, secret_access_key, session_token, service_account;
    conf_place place; /* file NULL: none is written */
} conf_credential;

typedef struct conf_timeouts { /* milliseconds, 1 .. 86,400,000 */
    int64_t connect_ms;    /* 5,000 */
    int64_t first_byte_ms; /* request sent -> first byte of the answer; 60,000 */
    int64_t idle_ms;       /* between two reads of an answer; 60,000 */
    int64_t total_ms;      /* whole exchange with that upstream; 600,000 */
} conf_timeouts;

typedef struct conf_plugin { /* "plugins": {"acme": {"path": "acme.so"}}; a plugin that is not
                                declared is looked up as <name>.so */
    tp_str name;
    tp_str path; /* resolved: beside the snippet first, then the plugin directory; empty: the file
                    is nowhere, and nothing that is enabled uses it (enabled is 0 then) */
    int32_t enabled, reserved;
    conf_place place;
} conf_plugin;

typedef struct conf_provider {
    tp_str name, plugin; /* plugin: name of a plugin; default: the provider's own name */
    int32_t enabled;
    int32_t dormant;     /* 1: needs a secret or a base_url that is absent; dormant_why says which */
    tp_str dormant_why;
    tp_doc options; /* JSON text as the plugin gets it; {} when absent. base_url and every other
                       {"env": NAME, "default": X} in it is already resolved (null where the
                       variable is absent and the provider is dormant or disabled) */
    conf_place options_place; /* of the text's first byte, for conf_check_options */
    tp_str base_url;     /* options.base_url, without trailing '/'; empty: none */
    conf_secret api_key; /* absent and not asked for: key_needed 0. Of a credential: "ID:SECRET" or
                            "ID:SECRET:TOKEN" (AWS), the document (Google) */
    conf_credential credential;
    int32_t credential_kind; /* CONF_CREDENTIAL_: what form api_key is in */
    int32_t key_needed;  /* an api_key or credential member was written; 0: a local provider may do
                            without its own, and is called without a key then */
    int32_t http2;       /* "http": "2" (curl transport); "1.1" is the default */
    tp_str proxy;        /* "proxy": URL, or "environment" */
    tp_str ca_file;      /* "tls": {"ca_file": PATH}; empty: the system's */
    tp_header *headers;  /* "headers": {"x-name": "value"}: sent with each request */
    uint32_t header_count;
    int32_t trust_level; /* 0 .. 3, default 0 */
    int32_t max_connections; /* a worker, to this provider; default 0: no limit */
    int32_t local;       /* 1: runs on premises of the operator's own: data does not leave them */
    conf_timeouts timeouts;
    conf_place place;
} conf_provider;

enum {
    CONF_CAP_TOOLS = TP_NEED_TOOLS,
    CONF_CAP_VISION = TP_NEED_VISION,
    CONF_CAP_AUDIO = TP_NEED_AUDIO,
    CONF_CAP_DOCUMENTS = TP_NEED_DOCUMENTS,
    CONF_CAP_SCHEMA = TP_NEED_SCHEMA,
    CONF_CAP_REASONING = TP_NEED_REASONING,
    CONF_CAP_STREAMING = 1 << 16
};
/* in snippets: "tools", "vision", "audio", "documents", "json_schema", "reasoning", "streaming" */

/* A unit's name: UNIT[:VARIANT][@THRESHOLD]. "prompt", "images:1024x1024", "cache_write:1h";
 * "prompt@200000" is the price of a prompt token of a request whose prompt is longer than that. How
 * a price is found: catalog/catalog.h. */
typedef struct conf_price { /* one unit's price: nano-dollars a million units, exact; -1: none */
    tp_str unit;            /* "prompt", "completion", "cache_read", "cache_write", "reasoning",
                               "request", "image"...; in snippets: decimal strings, US dollars a unit */
    int64_t nano_per_million;
} conf_price;
#define CONF_PRICE_ABOVE_MAX 999999999 /* the largest threshold, tokens */
/* The unit without its threshold, which goes to *above; 0: it has none. [any] */
tp_str conf_unit_plain(tp_str unit, int64_t *above);
/* What a unit without a price of its own is priced as: a variant as its plain unit, cache_read,
 * cache_write and billed_prompt as prompt, reasoning and billed_completion as completion; empty: as
 * nothing. For units without a threshold. [any] */
tp_str conf_unit_kind(tp_str unit);

typedef struct conf_deployment {
    tp_str provider, model; /* model: the upstream's own id */
    tp_str id;              /* stable: "provider/model", or "id" as written */
    tp_doc options;         /* the deployment's own, {} when absent */
    int32_t enabled, weight; /* weight 1 .. 1000, default 1 */
    int32_t speed;          /* 0 not said, 1 slow, 2 moderate, 3 fast */
    int32_t quality;        /* 0 .. 100; -1: the model's */
    int64_t tokens_per_second; /* -1: not known */
    int64_t context_length, max_output_tokens; /* -1: the model's */
    uint64_t capabilities; /* the model's unless written here */
    conf_price *prices;
    uint32_t price_count, provider_index; /* index into conf.providers. The provider may be dormant
                                             or disabled: look there */
    conf_place options_place, place;
} conf_deployment;

typedef struct conf_model {
    tp_str id, name, owned_by, description; /* owned_by: vendor; default the part before '/' of id,
                                               else the first deployment's provider */
    int64_t created;        /* Unix seconds, default 0 */
    int64_t context_length, max_output_tokens; /* -1: not known */
    uint64_t capabilities;  /* default: CONF_CAP_STREAMING */
    int32_t quality;        /* 0 .. 100; default 50 */
    int32_t enabled;
    tp_str *aliases;        /* other names it answers to */
    uint32_t alias_count, deployment_count;
    conf_deployment *deployments;
    conf_price *prices;     /* for deployments without prices of their own */
    uint32_t price_count, reserved;
    tp_str strategy;        /* name of an enabled strategy; empty: routing.strategy */
    conf_place place;
} conf_model;

typedef struct conf_strategy {
    tp_str name, plugin;    /* default plugin: the strategy's own name */
    int32_t enabled, reserved;
    tp_doc options;
    conf_place options_place, place;
} conf_strategy;

typedef struct conf_endpoint {
    tp_str name, plugin;    /* default plugin: the endpoint's own name */
    tp_str path;            /* under a surface's base path: "/chat/completions" */
    int32_t enabled, reserved; /* method is POST */
    tp_doc options;
    conf_place options_place, place;
} conf_endpoint;

/* ---- Who may pass and who pays. */
typedef struct conf_policy { /* what a team may use; nothing written: everything. A pattern is a
                                name, or the beginning of one and '*' */
    tp_str *allow_models, *deny_models;       /* codenames, aliases or "provider/model" */
    tp_str *allow_providers, *deny_providers; /* names of providers */
    uint32_t allow_model_count, deny_model_count, allow_provider_count, deny_provider_count;
    int32_t min_trust;      /* 0 .. 3: the provider's trust_level is at least this */
    int32_t data_local;     /* 1: only providers that are local */
} conf_policy;
/* Does a pattern of the list hold the name? */
int conf_pattern_in(const tp_str *patterns, uint32_t count, tp_str name);

typedef struct conf_limits { /* of a key; -1: not said (what is next in line counts), 0: no limit */
    int64_t requests_per_minute; /* up to 16,000,000 */
    int64_t tokens_per_minute;   /* up to 16,000,000,000 */
    int64_t concurrency;         /* requests at the same time; up to 1,000,000 */
} conf_limits;
typedef struct conf_tier { /* "tiers": {"pro": {"requests_per_minute": 1000}}; built in unless
                              written: free 100, pro 1,000 requests a minute, enterprise without
                              limit */
    tp_str name;
    conf_limits limits;     /* what is not written is 0: no limit */
    conf_place place;
} conf_tier;

enum { CONF_PREPAID = 1, CONF_POSTPAID = 2 };
typedef struct conf_team { /* "teams": {"acme": {...}}: what is written here cannot be changed over
                              the admin API; keys and credits of the team lie in the store */
    tp_str id, name;        /* id: 1 .. 64 of [A-Za-z0-9._-], not beginning with one of "._-" */
    int32_t active;         /* default 1; 0: its keys are answered 403 */
    int32_t billing;        /* CONF_PREPAID (default): holds against its credits; CONF_POSTPAID:
                               charged without a limit */
    tp_str tier;            /* of keys that name none; empty: none */
    conf_policy policy;
    conf_place place;
} conf_team;

typedef struct conf_admission {
    tp_str pepper_file;     /* 32 random bytes, made when it is not there; <run_dir>/pepper */
    conf_secret master_key; /* of customers' provider keys: 64 hex digits or 43/44 base64
                               characters; absent: <run_dir>/master.key, made when not there */
    int32_t address_requests_per_minute; /* of clients without a valid key, by address; 60; 0: no
                                            limit */
    int32_t session_minutes; /* how long a session lasts unused; 720 */
} conf_admission;

typedef struct conf_store {
    tp_str path;            /* default <run_dir>/turnpike.db */
    tp_str journal_dir;     /* default <run_dir>/journal */
    int64_t journal_bytes;  /* of each worker's lane; 16 MiB; 1 MiB .. 1 GiB */
    int64_t sync_ms;        /* how often the journal is brought to the disk: what a power cut can
                               cost at most; 1,000; 0: the kernel decides */
    int64_t flush_ms;       /* how long the writer gathers before it writes; 100 */
    int64_t retention_days; /* of generations; 90; 0: for ever */
    int32_t generations;    /* 1 (default): each request leaves a record */
    int32_t prompts;        /* 1: with the request's body, cut to prompt_bytes; default 0 */
    int64_t prompt_bytes;   /* 16,384; up to 262,144 */
} conf_store;

typedef struct conf_billing {
    tp_str baseline_model;  /* savings are told against its first priced deployment; empty: none */
    int32_t byok_fee_permille; /* of the cost, for requests on a customer's own provider key; 0 */
    int32_t reserved;
} conf_billing;

typedef struct conf_surface { /* see profile/; built in: "turnpike" at /v1 */
    tp_str name, base_path; /* "/v1"; begins with '/', does not end with it */
    int32_t enabled;
    int32_t models_public;  /* GET /models without a key */
    tp_str *endpoints;      /* names of the enabled endpoints mounted here; when none are written:
                               all that are enabled, already listed here */
    uint32_t endpoint_count, hints_count;
    tp_str *hints_keys;     /* body members that hold routing hints: "turnpike", "cailos" */
    tp_str header_prefix;   /* "X-Turnpike" */
    tp_str reply_id;        /* "chatcmpl-" */
    int32_t reply_model;    /* CONF_MODEL_SERVED, CONF_MODEL_ASKED */
    int32_t envelope;       /* CONF_ENVELOPE_* */
    int32_t usage_always;   /* streams show usage although nobody asked */
    int32_t unknown_model_status; /* 404 (default) or 400 */
    int32_t models;         /* 1 (default): /models is mounted */
    int32_t manage;         /* CONF_MANAGE_ bits: which management endpoints are mounted; default
                               keys, credits and generation */
    int32_t words;          /* CONF_WORDS_: whose sentences errors are told in */
    int32_t cost_headers;   /* 1: <prefix>-Cost and -Savings on whole replies */
    tp_str key_prefix;      /* of keys made here: "tp_live_"; ends with '_'; 2 .. 24 bytes */
    tp_str guest_of;        /* a surface at whose paths this one answers keys of key_prefix; or empty
                             */
    tp_str key_tier;        /* tier of keys made here that name none; empty: key_limit counts */
    int64_t key_limit;      /* requests a minute of keys made here that say nothing; 60 */
    conf_place place;
} conf_surface;
enum { CONF_MODEL_SERVED = 0, CONF_MODEL_ASKED = 1 };
enum { CONF_ENVELOPE_OPENAI = 0,  /* {message, type, param, code} with nulls */
       CONF_ENVELOPE_TYPED = 1,   /* {message, type, code: status} */
       CONF_ENVELOPE_BARE = 2 };  /* {message, code: status} */

enum { CONF_MANAGE_KEYS = 1,       /* <base>/keys, <base>/keys/ID, <base>/key */
       CONF_MANAGE_AUTH = 2,       /* <base>/auth, <base>/auth/ID */
       CONF_MANAGE_CREDITS = 4,    /* <base>/credits */
       CONF_MANAGE_GENERATION = 8  /* <base>/generation */ };
enum { CONF_WORDS_TURNPIKE = 0, CONF_WORDS_AIROUTER, CONF_WORDS_KILO, CONF_WORDS_CAILOS,
       CONF_WORDS_KAIROSROUTE };

enum { CONF_ROLE_INFERENCE = 1,  /* may call models */
       CONF_ROLE_MANAGEMENT = 2, /* may manage the keys of its team and see its figures */
       CONF_ROLE_ADMIN = 3       /* may manage everything */ };
typedef struct conf_key { /* admission.static_keys[] */
    tp_str name;
    conf_secret secret;     /* 16 .. 256 printable ASCII characters; "key" in snippets */
    int32_t enabled;
    int32_t role;           /* CONF_ROLE_; default inference */
    tp_str team;            /* id; empty: no team: not charged, no policy */
    tp_str tier;            /* empty: the team's, else none */
    conf_limits limits;     /* its own; -1: the tier's; without a tier: none */
    tp_str *models;         /* allow-list: codenames or "provider/model"; none: all. Names of
                               disabled models stay, so that the list never becomes empty */
    uint32_t model_count, reserved2;
    conf_place place;
} conf_key;

typedef struct conf_listen {
    tp_str host;            /* address or name; "::1" without brackets */
    int32_t port;           /* 0: any */
    int32_t tls;
    tp_str cert_file, key_file;
    conf_place place;
} conf_listen;

typedef struct conf_server {
    conf_listen *listen;    /* default 127.0.0.1:8080 */
    uint32_t listen_count;
    int32_t workers;        /* 0: as many as cores (default) */
    tp_str admin_socket;    /* path; default run_dir/admin.sock */
    tp_str run_dir;         /* private images, socket; default <config dir>/../run */
    tp_str plugin_dir;      /* default: beside the binary or the installed one (given by caller) */
    tp_str access_log;      /* path, "-" (stdout) or empty: off */
    int64_t max_body_bytes; /* 33,554,432 */
    int64_t max_head_bytes; /* 65,536 */
    int32_t max_target_bytes, max_headers; /* 8,192; 100 */
    int32_t max_connections; /* 0: from the descriptor limit */
    int32_t reserved;
    int64_t head_timeout_ms;  /* 10,000: first byte of a head to its end */
    int64_t body_timeout_ms;  /* 30,000: longest silence within a request body */
    int64_t idle_timeout_ms;  /* 75,000: keep-alive */
    int64_t drain_timeout_ms; /* 30,000: SIGTERM -> exit */
    int64_t write_timeout_ms; /* 60,000: longest a client may take no byte */
} conf_server;

typedef struct conf_routing {
    tp_str strategy;        /* name of an enabled strategy; default "ordered"; empty when there is
                               none of that name: candidates in the order of the snippet */
    int32_t max_attempts;   /* 1 .. 10, default 3 */
    int32_t reserved;
} conf_routing;

typedef struct conf {
    arena mem;              /* owns everything here */
    tp_str dir;
    conf_server server;
    conf_routing routing;
    tp_str log_level, log_file; /* "info"; empty: stderr */
    conf_store store;
    conf_admission admission;
    conf_billing billing;
    conf_tier *tiers;         uint32_t tier_count;
    conf_team *teams;         uint32_t team_count;
    conf_plugin *plugins;     uint32_t plugin_count;
    conf_provider *providers; uint32_t provider_count;
    conf_model *models;       uint32_t model_count;
    conf_strategy *strategies; uint32_t strategy_count;
    conf_endpoint *endpoints; uint32_t endpoint_count;
    conf_surface *surfaces;   uint32_t surface_count;
    conf_key *keys;           uint32_t key_count;
    tp_str *notices;
    uint32_t notice_count; /* dormant providers and the like, for the log */
} conf;

typedef struct conf_env { /* the world outside, so that tests can replace it */
    const char *(*getenv)(void *arg, const char *name); /* NULL: the process's own */
    void *arg;
    const char *plugin_dir; /* where <name>.so is looked up last, unless server.plugin_dir is set */
    int (*exists)(void *arg, const char *path); /* is it a regular file? NULL: the file system's */
    /* Reads a secret's file: 0, or an errno value. NULL: the file system. */
    int (*read)(void *arg, const char *path, buf *out);
} conf_env;

/* Reads and validates dir, or dir/conf.d where there is one. NULL on error: err names
 * file:line:column, what was expected and, for an unknown name, the nearest known one. The caller
 * frees with conf_free. */
conf *conf_load(const char *dir, const conf_env *env, tp_error *err);
/* The same from memory (tests, fuzzing): files[i] is named names[i]; count may be 0. */
conf *conf_load_texts(const char *const *names, const tp_str *texts, uint32_t count,
                      const conf_env *env, tp_error *err);
void conf_free(conf *c); /* c may be NULL */

/* Blanks comments and trailing commas of a snippet with spaces, so that it is JSON; lengths and line
 * ends stay. 0, or -1 with the place and a sentence. */
int conf_jsonc_blank(char *text, size_t n, size_t *at, const char **what);

/* "HOST:PORT", "[V6]:PORT" or ":PORT" (all addresses) -> out->host and port. host borrows from
 * text. 0, or TP_ERROR_CONFIG with a sentence. */
int conf_listen_parse(tp_str text, conf_listen *out, tp_error *err);

/* Prints the JSON Schema (draft 2020-12) of a snippet to out. 0, or what buf_add returns. */
int conf_schema(buf *out);
/* Prints the reference of all sections, keys, types and defaults as Markdown. */
int conf_reference(buf *out);

/* The place of byte `at` of a text that begins at base. For options, pass their options_place:
 * where a member was replaced by a value of the environment, the place is that of the {"env": ...}.
 */
conf_place conf_place_in(conf_place base, tp_str text, uint32_t at);
/* Is the value at byte `at` of options the null that stands for a variable that is not set? Only
 * what is dormant or off has such. */
int conf_place_unset(conf_place base, uint32_t at);

/* Is this a JSON Schema that conf_check_options can check by? 0, or TP_ERROR_CONFIG with a sentence
 * that names the keyword and where in the schema it stands ("properties.region.pattern"). */
int conf_check_schema(const tp_doc *schema, tp_error *err);
/* Checks a JSON value against a JSON Schema as plugins write it in their manifests: type (also a
 * list), properties, required, additionalProperties (false by default at the root, and wherever
 * properties are given), enum, const, minimum, maximum, exclusiveMinimum, exclusiveMaximum,
 * minLength, maxLength (characters), pattern (a POSIX extended regular expression, matched anywhere
 * in the bytes of the string unless anchored), items, minItems, maxItems. Annotations (title,
 * description, default, examples, deprecated, format, $schema, $id, $comment...) are passed over;
 * any other keyword is an error of the schema that names it, as conf_check_schema does. 0, or
 * TP_ERROR_CONFIG with a sentence that begins with the place: base's file, and line and column
 * counted within it from base on (see conf_place_in). */
int conf_check_options(const tp_doc *schema, const tp_doc *value, conf_place base, tp_error *err);
#endif
