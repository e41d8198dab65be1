/* Every error: its exact place and its exact words. */
#include "conf_fixture.h"

#define PROVIDER(x) "{\"providers\": {\"p\": {" x "}}}"
#define MODEL(x) "{\"providers\": {\"groq\": {}}, \"models\": {\"m\": {" x "}}}"
#define DEPLOY(x) MODEL("\"deployments\": [{\"provider\": \"groq\"" x "}]")
#define KEYS(x) "{\"admission\": {\"static_keys\": [" x "]}}"
#define LITERAL "\"key\": \"0123456789abcdef\""

static void syntax(void **state)
{
    (void)state;
    assert_error("/c/a.json:1:1: the file is empty; expected an object: {}", "", NULL);
    assert_error("/c/a.json:1:1: a snippet is one object: expected '{', found an array", "[]",
                 NULL);
    assert_error("/c/a.json:2:3: this comment does not end; expected '*/'", "{\n  /* } ", NULL);
    assert_error("/c/a.json:3:4: byte 0xff is not valid UTF-8; save the file as UTF-8",
                 "{}\n\n// \xff", NULL);
    assert_error("/c/a.json:2:6: byte 0xc3 is not valid UTF-8; save the file as UTF-8",
                 "{\n\"\xc3\xa9ns\xc3\": 1}", NULL);
    assert_error("/c/a.json:3:2: the same key twice in one object: it stands at /c/a.json:1:15 "
                 "already",
                 "{\"plugins\": { \"x\": {\"enabled\": true}, // \"x\"\n\n \"x\": {}}}", NULL);
    tp_error err;
    /* The scanner's own words are its own; the place is the file's, comments or not. */
    assert_null(fx_try(&err, "{ /* \n */ \"log\": {,} }", NULL, NULL));
    assert_true(str_starts(str_of(err.text), STR("/c/a.json:2:13: ")));
    assert_null(fx_try(&err, "\xef\xbb\xbf{x}", NULL, NULL));
    assert_true(str_starts(str_of(err.text), STR("/c/a.json:1:2: ")));
}

static void sections(void **state)
{
    (void)state;
    assert_error("/c/a.json:1:2: unknown section \"provider\"; did you mean 'providers'?",
                 "{\"provider\": {}}", NULL);
    assert_error("/c/a.json:1:2: unknown section \"xyzzy\"; sections: server, store, log, plugins, "
                 "providers, models, strategies, routing, endpoints, surfaces, admission, tiers...",
                 "{\"xyzzy\": {}}", NULL);
    assert_error("/c/a.json:1:2: unknown section \"tier\"; did you mean 'tiers'?", "{\"tier\": {}}",
                 NULL);
    assert_error("/c/a.json:1:12: server: expected an object, found an array", "{\"server\": []}",
                 NULL);
    assert_error("/c/a.json:1:15: providers: expected an object of provider objects by name, found "
                 "an array",
                 "{\"providers\": []}", NULL);
    assert_error("/c/a.json:1:17: providers: expected a name of letters, digits, '.', '_' and '-', "
                 "found the string \"a b\"",
                 "{\"providers\": { \"a b\": {}}}", NULL);
    assert_error("/c/a.json:1:13: models: expected a model id of letters, digits and \"._:/@+-\", "
                 "found the string \"\"",
                 "{\"models\": {\"\": {}}}", NULL);
}

static void twice(void **state)
{
    (void)state;
    assert_error("/c/b.json:2:2: provider 'p' is defined twice: it is defined at /c/a.json:1:16 "
                 "already",
                 "{\"providers\": {\"p\": {}}}", "{\"providers\": {\n \"p\": {}}}");
    assert_error("/c/b.json:1:13: model 'm' is defined twice: it is defined at /c/a.json:1:40 "
                 "already",
                 DEPLOY(""), "{\"models\": {\"m\": 3}}");
    assert_error("/c/b.json:1:24: server.workers: set twice: it is set at /c/a.json:1:24 already",
                 "{\"server\": {\"workers\": 1}}", "{\"server\": {\"workers\": 1}}");
    assert_error("/c/b.json:1:19: log.level: set twice: it is set at /c/a.json:1:19 already",
                 "{\"log\": {\"level\": \"info\"}}", "{\"log\": {\"level\": \"warn\"}}");
    assert_error("/c/b.json:1:20: store.path: set twice: it is set at /c/a.json:1:20 already",
                 "{\"store\": {\"path\": \"a\"}}", "{\"store\": {\"path\": \"b\"}}");
    assert_error("/c/b.json:1:31: routing.max_attempts: set twice: it is set at /c/a.json:1:31 "
                 "already",
                 "{\"routing\": {\"max_attempts\":  2}}", "{\"routing\": {\"max_attempts\":  2}}");
}

static void types(void **state)
{
    (void)state;
    assert_error("/c/a.json:1:22: providers.p: unknown key \"trustlevel\"; did you mean "
                 "'trust_level'?",
                 PROVIDER("\"trustlevel\": 1"), NULL);
    assert_error("/c/a.json:1:14: routing: unknown key \"xyz\"; known keys: strategy, max_attempts",
                 "{\"routing\": {\"xyz\": 1}}", NULL);
    assert_error("/c/a.json:1:37: providers.p.trust_level: expected an integer from 0 to 3, found "
                 "the string \"high\"",
                 PROVIDER("\"trust_level\": \"high\""), NULL);
    assert_error("/c/a.json:1:37: providers.p.trust_level: expected an integer from 0 to 3, found "
                 "the number 4",
                 PROVIDER("\"trust_level\": 4"), NULL);
    assert_error("/c/a.json:1:37: providers.p.trust_level: expected an integer from 0 to 3, found "
                 "the number 1.5",
                 PROVIDER("\"trust_level\": 1.5"), NULL);
    assert_error("/c/a.json:1:33: providers.p.enabled: expected true or false, found the string "
                 "\"yes\"",
                 PROVIDER("\"enabled\": \"yes\""), NULL);
    assert_error("/c/a.json:1:30: providers.p.http: expected one of \"1.1\", \"2\", found the "
                 "number 2",
                 PROVIDER("\"http\": 2"), NULL);
    assert_error("/c/a.json:1:20: log.level: expected one of \"error\", \"warn\", \"info\", "
                 "\"debug\", found the string \"wran\"; did you mean 'warn'?",
                 "{\"log\": { \"level\": \"wran\"}}", NULL);
    assert_error("/c/a.json:1:32: providers.p.plugin: expected the name of a plugin, found the "
                 "string \"../x\"",
                 PROVIDER("\"plugin\": \"../x\""), NULL);
    assert_error("/c/a.json:1:32: providers.p.plugin: expected the name of a plugin, found null",
                 PROVIDER("\"plugin\": null"), NULL);
    assert_error("/c/a.json:1:31: providers.p.proxy: expected \"environment\" or the URL of a "
                 "proxy, found the string \"ftp://x\"",
                 PROVIDER("\"proxy\": \"ftp://x\""), NULL);
    assert_error("/c/a.json:1:49: providers.p.timeouts.connect_ms: expected an integer from 1 to "
                 "86400000, found the number 0",
                 PROVIDER("\"timeouts\": {\"connect_ms\": 0}"), NULL);
    assert_error("/c/a.json:1:35: providers.p.timeouts: unknown key \"conect_ms\"; did you mean "
                 "'connect_ms'?",
                 PROVIDER("\"timeouts\": {\"conect_ms\": 1}"), NULL);
    assert_error("/c/a.json:1:33: providers.p.options: expected an object, found the number 1",
                 PROVIDER("\"options\": 1"), NULL);
    assert_error("/c/a.json:1:34: providers.p.headers: 'Host' is the gateway's own to send; remove "
                 "it",
                 PROVIDER("\"headers\": {\"Host\": \"x\"}"), NULL);
    assert_error("/c/a.json:1:34: providers.p.headers: expected the name of a header, found the "
                 "string \"a b\"",
                 PROVIDER("\"headers\": {\"a b\": \"x\"}"), NULL);
    assert_error("/c/a.json:1:40: providers.p.headers.x: control characters are not allowed here",
                 PROVIDER("\"headers\": {\"x\":  \"a\\r\\nb: c\"}"), NULL);
    assert_error("/c/a.json:1:33: providers.p.headers: expected an object of headers, such as "
                 "{\"x-name\": \"value\"}, found true",
                 PROVIDER("\"headers\": true"), NULL);
}

static void listeners(void **state)
{
    (void)state;
#define LISTEN(x) "{\"server\": {\"listen\": " x "}}"
    static const char *const bad[] = {"8080",    "x:",    "x:99999", "::1:80",
                                      "[::1:80", "[]:80", "a b:1",   "x:-1"};
    for (size_t i = 0; i < TP_COUNT(bad); i++) {
        char text[200], want[300];
        snprintf(text, sizeof(text), LISTEN("\"%s\""), bad[i]);
        snprintf(want, sizeof(want),
                 "/c/a.json:1:23: server.listen: expected HOST:PORT, such as "
                 "\"127.0.0.1:8080\", \"[::1]:8080\" or \":8080\" for every address, found \"%s\"",
                 bad[i]);
        assert_error(want, text, NULL);
    }
    assert_error("/c/a.json:1:23: server.listen: expected 1 to 64 addresses, found 0", LISTEN("[]"),
                 NULL);
    assert_error("/c/a.json:1:24: server.listen: 'address' is missing: HOST:PORT",
                 LISTEN(" {\"cert_file\": \"c\", \"key_file\": \"k\"}"), NULL);
    assert_error("/c/a.json:1:24: server.listen[0]: cert_file and key_file belong together: "
                 "'key_file' is missing",
                 LISTEN("[{\"address\": \":1\", \"cert_file\": \"c\"}]"), NULL);
    assert_error("/c/a.json:1:24: server.listen: unknown key \"adress\"; did you mean 'address'?",
                 LISTEN("{\"adress\": \":1\"}"), NULL);
    assert_error("/c/a.json:1:30: server.listen[1]: the same address as at /c/a.json:1:24",
                 LISTEN("[\"a:1\",\"a:1\"]"), NULL);
}

static void socket_paths(void **state)
{
    (void)state;
    char text[300], want[400], name[120];
    memset(name, 's', sizeof(name));
    name[104] = 0; /* "/c/" before it: 107 bytes fit a socket's address */
    snprintf(text, sizeof(text), "{\"server\":{\"admin_socket\": \"%s\"}}", name);
    conf *c = fx_load(text, NULL, NULL);
    assert_int_equal(c->server.admin_socket.len, 107);
    conf_free(c);
    name[104] = 's';
    name[105] = 0;
    snprintf(text, sizeof(text), "{\"server\":{\"admin_socket\": \"%s\"}}", name);
    snprintf(want, sizeof(want),
             "/c/a.json:1:28: server.admin_socket: the path of a socket has at most 107 bytes, and "
             "this one has 108: /c/%s",
             name);
    assert_error(want, text, NULL);
}

static void secrets(void **state)
{
    (void)state;
    assert_error(
        "/c/a.json:1:33: providers.p.api_key: expected a secret: a string, {\"env\": NAME} "
        "or {\"file\": PATH}",
        PROVIDER("\"api_key\": 17"), NULL);
    assert_error(
        "/c/a.json:1:33: providers.p.api_key: expected a secret: a string, {\"env\": NAME} "
        "or {\"file\": PATH}",
        PROVIDER("\"api_key\": {\"secret\": \"hush\"}"), NULL);
    assert_error(
        "/c/a.json:1:33: providers.p.api_key: expected a secret: a string, {\"env\": NAME} "
        "or {\"file\": PATH}",
        PROVIDER("\"api_key\": {}"), NULL);
    assert_error("/c/a.json:1:33: providers.p.api_key: the secret is empty; expected a string, "
                 "{\"env\": NAME} or {\"file\": PATH}",
                 PROVIDER("\"api_key\": \"\""), NULL);
    assert_error("/c/a.json:1:41: providers.p.api_key.env: expected the name of an environment "
                 "variable, found the string \"A-B\"",
                 PROVIDER("\"api_key\": {\"env\": \"A-B\"}"), NULL);
    assert_error("/c/a.json:1:42: providers.p.api_key.file: expected the path of a file, or "
                 "{\"env\": NAME} where it is in a variable, found the "
                 "number 1",
                 PROVIDER("\"api_key\": {\"file\": 1}"), NULL);
    assert_error("/c/a.json:1:33: providers.p.api_key: the secret from env BREAK has a control "
                 "character at byte 4; expected one line of text",
                 PROVIDER("\"api_key\": {\"env\": \"BREAK\"}"), NULL);
}

static void models(void **state)
{
    (void)state;
    assert_error("/c/a.json:1:45: models.m: 'deployments' is missing: Where the model runs: one "
                 "object each.",
                 MODEL(""), NULL);
    assert_error("/c/a.json:1:61: models.m.deployments: expected at least 1 object, found none",
                 MODEL("\"deployments\": []"), NULL);
    assert_error("/c/a.json:1:62: models.m.deployments[0]: 'provider' is missing: The name of a "
                 "provider.",
                 MODEL("\"deployments\": [{}]"), NULL);
    assert_error("/c/a.json:1:75: models.m.deployments[0].provider: no provider is named 'grok'; "
                 "did you mean 'groq'?",
                 MODEL("\"deployments\": [{\"provider\": \"grok\"}]"), NULL);
    assert_error("/c/a.json:1:75: models.m.deployments[0].provider: no provider is named 'openai'; "
                 "providers: groq",
                 MODEL("\"deployments\": [{\"provider\": \"openai\"}]"), NULL);
    assert_error(
        "/c/a.json:1:48: models.m.deployments[0].provider: no provider is named 'x'; there "
        "are no providers",
        "{\"models\": {\"m\": {\"deployments\": [{\"provider\": \"x\"}]"
        "}}}",
        NULL);
    assert_error("/c/a.json:1:83: models.m.deployments[1]: deployment 'groq/m' is listed twice: it "
                 "stands at /c/a.json:1:62 already; give one of them an \"id\"",
                 DEPLOY("},{\"provider\": \"groq\""), NULL);
    assert_error("/c/a.json:1:93: models.m.deployments[0].weight: expected an integer from 1 to "
                 "1000, found the number 0",
                 DEPLOY(", \"weight\": 0"), NULL);
    assert_error("/c/a.json:1:92: models.m.deployments[0].speed: expected one of \"slow\", "
                 "\"moderate\", \"fast\", found the string \"fats\"; did you mean 'fast'?",
                 DEPLOY(", \"speed\": \"fats\""), NULL);
    assert_error("/c/a.json:1:63: models.m.capabilities[0]: expected one of \"tools\", \"vision\", "
                 "\"audio\", \"documents\", \"json_schema\", \"reasoning\", \"streaming\", found "
                 "the string \"tool\"; did you mean 'tools'?",
                 MODEL("\"capabilities\": [\"tool\"]"), NULL);
    assert_error("/c/a.json:1:58: models.m.strategy: no strategy is named 'best'; there are no "
                 "strategies",
                 MODEL("\"strategy\": \"best\", \"deployments\": [{\"provider\": "
                       "\"groq\"}]"),
                 NULL);
    assert_error("/c/a.json:1:57: models.m.aliases: 'm' is a name of model 'm' already, see "
                 "/c/a.json:1:45",
                 MODEL("\"aliases\": [\"m\"], \"deployments\": [{\"provider\": "
                       "\"groq\"}]"),
                 NULL);
    assert_error("/c/a.json:1:63: models.m.aliases: 'x' stands in this list twice",
                 MODEL("\"aliases\": [\"x\", \"x\"], \"deployments\": [{\"provider\": \"groq\"}]"),
                 NULL);
}

static void prices(void **state)
{
    (void)state;
#define PRICED(x) DEPLOY(", \"price\": {\"prompt\": " x "}")
#define P                                                                                          \
    "/c/a.json:1:103: models.m.deployments[0].price.prompt: expected a price in US dollars "       \
    "a unit as a decimal string, such as \"0.00000059\""
    assert_error(P ", found the number 0.5", PRICED("0.5"), NULL);
    assert_error(P ", found the string \"-1\"", PRICED("\"-1\""), NULL);
    assert_error(P ", found the string \"\"", PRICED("\"\""), NULL);
    assert_error(P ", found the string \".5\"", PRICED("\".5\""), NULL);
    assert_error(P ", found the string \"5.\"", PRICED("\"5.\""), NULL);
    assert_error(P ", found the string \"1e-6\"", PRICED("\"1e-6\""), NULL);
    assert_error(P ", found the string \"1.2.3\"", PRICED("\"1.2.3\""), NULL);
    assert_error(P ", found the string \"+1\"", PRICED("\"+1\""), NULL);
    assert_error(P "; the string \"0.0000000000000001\" has more than 15 decimals",
                 PRICED("\"0.0000000000000001\""), NULL);
    assert_error(P
                 "; the string \"9223.372036854775808\" is too large: at most 9223 dollars a unit",
                 PRICED("\"9223.372036854775808\""), NULL);
    assert_error(P "; the string \"99999999999999999999999\" is too large: at most 9223 dollars a "
                   "unit",
                 PRICED("\"99999999999999999999999\""), NULL);
    assert_error(
        "/c/a.json:1:93: models.m.deployments[0].price: expected a unit such as \"prompt\", "
        "\"images:1024x1024\" or \"prompt@200000\", found the string \"a b\"",
        DEPLOY(", \"price\": {\"a b\": \"1\"}"), NULL);
}

static void price_thresholds(void **state)
{
    (void)state;
#define ABOVE(x) DEPLOY(", \"price\": {\"prompt@" x "\": \"1\"}")
#define T                                                                                          \
    "/c/a.json:1:93: models.m.deployments[0].price: expected behind the '@' the number of prompt " \
    "tokens above which the price counts, 1 to 999999999 without leading zeros, such as "          \
    "\"prompt@200000\", found the string \"prompt@"
    assert_error(T "200k\"; did you mean 'prompt@200000'?", ABOVE("200k"), NULL);
    assert_error(T "1M\"; did you mean 'prompt@1000000'?", ABOVE("1M"), NULL);
    assert_error(T "200_000\"; did you mean 'prompt@200000'?", ABOVE("200_000"), NULL);
    assert_error(T "0200\"; did you mean 'prompt@200'?", ABOVE("0200"), NULL);
    assert_error(T "1.5M\"", ABOVE("1.5M"), NULL); /* which is not 15000000 */
    assert_error(T "0\"", ABOVE("0"), NULL);
    assert_error(T "\"", ABOVE(""), NULL);
    assert_error(T "-5\"", ABOVE("-5"), NULL);
    assert_error(T "5@6\"", ABOVE("5@6"), NULL);
    assert_error(T "1000000000\"", ABOVE("1000000000"), NULL);
    assert_error(T "99999999999999999999999999\"", ABOVE("99999999999999999999999999"), NULL);
    assert_error("/c/a.json:1:93: models.m.deployments[0].price: \"prompt@200000\" is the price "
                 "above 200000 prompt tokens; expected a price up to there beside it, \"prompt\"",
                 ABOVE("200000"), NULL);
    assert_error("/c/a.json:1:108: models.m.deployments[0].price: \"reasoning@5\" is the price "
                 "above 5 prompt tokens; expected a price up to there beside it, \"reasoning\"",
                 DEPLOY(", \"price\": {\"prompt\": \"1\", \"reasoning@5\": \"1\"}"), NULL);
}

static void surfaces(void **state)
{
    (void)state;
#define ENDPOINT(p) "{\"path\": \"" p "\"}"
    assert_error("/c/a.json:1:31: endpoints.chat.path: expected a path such as "
                 "\"/chat/completions\", found the string \"chat\"",
                 "{\"endpoints\": {\"chat\":{\"path\":\"chat\"}}}", NULL);
    assert_error("/c/a.json:1:23: endpoints.chat: 'path' is missing: Where it is mounted under a "
                 "surface's base path, such as \"/chat/completions\".",
                 "{\"endpoints\": {\"chat\":{}}}", NULL);
    assert_error("/c/a.json:2:15: endpoints.b.path: /v1/x is served twice: endpoint 'a' at "
                 "/c/a.json:1:20 has it too",
                 "{\"endpoints\": {\"a\":" ENDPOINT("/x") ",\n\"b\":"
                                                          " {\"path\": "
                                                          "\"/x\""
                                                          "}}}",
                 NULL);
    assert_error("/c/a.json:1:33: surfaces.s.base_path: expected a path such as \"/v1\", found the "
                 "string \"/v1/\"",
                 "{\"surfaces\": {\"s\":{\"base_path\": \"/v1/\"}}}", NULL);
    assert_error("/c/a.json:1:33: surfaces.s.base_path: expected a path such as \"/v1\", found the "
                 "string \"/../v1\"",
                 "{\"surfaces\": {\"s\":{\"base_path\": \"/../v1\"}}}", NULL);
    assert_error("/c/a.json:2:19: surfaces.t.base_path: surface 's' at /c/a.json:1:19 has the same "
                 "base path /v1",
                 "{\"surfaces\": {\"s\":{\"base_path\": \"/v1\"},\n"
                 "\"t\":{\"base_path\": \"/v1\"}}}",
                 NULL);
    assert_error("/c/a.json:1:52: surfaces.s.guest_of: no surface is named 'hots'; did you mean "
                 "'host'?",
                 "{\"surfaces\": {\"s\":{\"base_path\": \"/v1\", \"guest_of\": \"hots\"},"
                 "\"host\":{\"base_path\": \"/h\"}}}",
                 NULL);
    assert_error("/c/a.json:1:52: surfaces.s.guest_of: surface 's' is this one itself; name the "
                 "surface whose paths are meant",
                 "{\"surfaces\": {\"s\":{\"base_path\": \"/v1\", \"guest_of\": \"s\"}}}", NULL);
    assert_error("/c/a.json:1:52: surfaces.s.guest_of: surface 'g' is a guest itself; name the "
                 "surface whose paths are meant",
                 "{\"surfaces\": {\"s\":{\"base_path\": \"/v1\", \"guest_of\": \"g\"},"
                 "\"g\":{\"base_path\": \"/g\", \"guest_of\": \"h\"},"
                 "\"h\":{\"base_path\": \"/h\"}}}",
                 NULL);
    assert_error(
        "/c/a.json:1:51: surfaces.s.endpoints[0]: no endpoint is named 'chta'; did you mean "
        "'chat'?",
        "{\"surfaces\": {\"s\":{\"base_path\":\"/v1\",\"endpoints\":[\"chta\"]}},"
        "\"endpoints\": {\"chat\":" ENDPOINT("/x") "}}",
        NULL);
    assert_error("/c/a.json:1:61: surfaces.s.unknown_model_status: expected 404 or 400, found the "
                 "number 500",
                 "{\"surfaces\": {\"s\":{\"base_path\":\"/v1\","
                 "\"unknown_model_status\":500}}}",
                 NULL);
    /* Two surfaces may overlap, as long as no full path does. */
    assert_error("/c/a.json:1:69: endpoints.b.path: /v1/a/x is served twice: endpoint 'a' at "
                 "/c/a.json:1:38 has it too",
                 "{                \"endpoints\": { \"a\": " ENDPOINT("/a/x") ", \"b\":" ENDPOINT(
                     "/x") "}, \"surfaces\": {"
                           "\"s\": {\"base_path\": \"/v1\", \"endpoints\": [\"a\"]},"
                           "\"t\": {\"base_path\": \"/v1/a\", \"endpoints\": [\"b\"]}}}",
                 NULL);
}

static void keys(void **state)
{
    (void)state;
    assert_error(
        "/c/a.json:1:32: admission.static_keys[0]: 'key' is missing: What clients send: 16 "
        "to 256 printable ASCII characters without spaces. When it is absent, the key is "
        "left out.",
        KEYS("{\"name\": \"a\"}"), NULL);
    assert_error("/c/a.json:1:53: admission.static_keys[0].key: expected 16 to 256 printable ASCII "
                 "characters without spaces; the secret (literal) has 5 bytes",
                 KEYS("{\"name\": \"a\", \"key\": \"short\"}"), NULL);
    assert_error("/c/a.json:1:53: admission.static_keys[0].key: expected 16 to 256 printable ASCII "
                 "characters without spaces; the secret (literal) has 18 bytes and others among "
                 "them",
                 KEYS("{\"name\": \"a\", \"key\": \"0123456789 abcdefg\"}"), NULL);
    assert_error("/c/b.json:1:41: admission.static_keys[0]: a key named 'a' is defined at "
                 "/c/a.json:1:32 already",
                 KEYS("{\"name\": \"a\", " LITERAL "}"),
                 KEYS("{\"name\": \"a\", \"key\": {\"env\": \"SET_KEY\"}}"));
    assert_error("/c/b.json:1:53: admission.static_keys[0]: key 'a' at /c/a.json:1:32 has the same "
                 "secret",
                 KEYS("{\"name\": \"a\", " LITERAL "}"), KEYS("{\"name\": \"b\", " LITERAL "}"));
    assert_error(
        "/c/a.json:1:84: admission.static_keys[0].models[0]: no model is named 'gpt'; there "
        "are no models",
        KEYS("{\"name\": \"a\", " LITERAL ", \"models\": [\"gpt\"]}"), NULL);
    assert_error("/c/a.json:1:83: admission.static_keys[0].models: expected at least one model; "
                 "leave 'models' out to allow all",
                 KEYS("{\"name\": \"a\", " LITERAL ", \"models\": []}"), NULL);
    assert_error("/c/a.json:1:31: admission.static_keys: expected an array of objects, found an "
                 "object",
                 "{\"admission\": {\"static_keys\": {}}}", NULL);
    assert_error("/c/a.json:1:25: routing.strategy: no strategy is named 'orderd'; there are no "
                 "strategies",
                 "{\"routing\":{\"strategy\": \"orderd\"}}", NULL);
}

static void plugin_files(void **state)
{
    (void)state;
    assert_error("/c/a.json:1:32: plugin 'nope' is nowhere: looked for /c/nope.so and "
                 "/plugins/nope.so; put it there, or set plugins.nope.path",
                 PROVIDER("\"plugin\": \"nope\""), NULL);
    assert_error("/c/a.json:1:27: plugin 'p' is nowhere: looked for /c/now.so and /plugins/now.so; "
                 "put it there, or set plugins.p.path",
                 "{ \"plugins\": {\"p\":{\"path\":\"now.so\"}}"
                 "}",
                 NULL);
    assert_error(
        "/c/a.json:1:27: plugin 'p' is nowhere: looked for /x/now.so; put it there, or set "
        "server.plugin_dir or plugins.p.path",
        "{ \"plugins\": {\"p\":{\"path\":\"/x/now.so\"}}}", NULL);
    assert_error(
        "/c/a.json:2:30: plugin 'nope' is nowhere: looked for /c/nope.so and /c/lib/nope.so"
        "; put it there, or set plugins.nope.path",
        "{\"server\": {\"plugin_dir\": \"./lib\"},\n\"strategies\": {\"s\":{\"plugin\":"
        "\"nope\"}}}",
        NULL);
}

static void options(void **state)
{
    (void)state;
#define OPT(x) PROVIDER("\"options\": {" x "}")
    assert_error(
        "/c/a.json:1:44: providers.p.options: environment variable NOT_SET is not set, and "
        "there is no \"default\" beside \"env\"; set it or add one",
        OPT("\"region\": {\"env\": \"NOT_SET\"}"), NULL);
    assert_error("/c/a.json:1:40: providers.p.options: environment variable BAD_UTF8 is not valid "
                 "UTF-8",
                 OPT("\"r\": [{\"env\": \"BAD_UTF8\"}]"), NULL);
#define BASE "/c/a.json:1:46: providers.p.options.base_url: "
    static const struct {
        const char *url, *fault;
    } bad[] = {{"ftp://x", "it must begin with http:// or https://"},
               {"https://", "it has no host"},
               {"https://:80", "it has no host"},
               {"https:///v1", "it has no host"},
               {"https://a b", "it has a character that must be percent-encoded"},
               {"https://x/v1?a=b", "it must not have a query ('?')"},
               {"https://x/v1#a", "it must not have a fragment ('#')"},
               {"https://u:p@x/v1", "it must not hold a user or password ('@'); use api_key"},
               {"https://[::1/v1", "its IPv6 address lacks the ']'"},
               {"https://[::1]x", "it has no host"},
               {"https://x]y", "its host has a character that host names do not have"},
               {"https://x:0/", "its port must be a number from 1 to 65535"},
               {"https://x:port", "its port must be a number from 1 to 65535"},
               {"https://x:65536", "its port must be a number from 1 to 65535"}};
    for (size_t i = 0; i < TP_COUNT(bad); i++) {
        char text[200], want[300];
        snprintf(text, sizeof(text), OPT("\"base_url\": \"%s\""), bad[i].url);
        snprintf(want, sizeof(want), BASE "the string \"%s\" is not a base URL: %s", bad[i].url,
                 bad[i].fault);
        assert_error(want, text, NULL);
    }
    assert_error(BASE "expected a URL, found the number 7", OPT("\"base_url\": 7"), NULL);
    /* A fault in a default is where the default stands; in a variable, where the object stands. */
    assert_error(
        "/c/a.json:1:74: providers.p.options.base_url: the string \"x\" is not a base URL: "
        "it must begin with http:// or https://",
        OPT("\"base_url\": {\"env\": \"UNSET\", \"default\": \"x\"}"), NULL);
    assert_error("/c/a.json:1:73: providers.p.options.base_url: the string \"eu-\\\"west\\\"\" is "
                 "not a base URL: it must begin with http:// or https://",
                 OPT("\"before\": {\"env\": \"LONG\"}, \"base_url\": {\"env\": \"REGION\"}"), NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(syntax),       cmocka_unit_test(sections),
        cmocka_unit_test(twice),        cmocka_unit_test(types),
        cmocka_unit_test(listeners),    cmocka_unit_test(secrets),
        cmocka_unit_test(socket_paths), cmocka_unit_test(models),
        cmocka_unit_test(prices),       cmocka_unit_test(price_thresholds),
        cmocka_unit_test(surfaces),     cmocka_unit_test(keys),
        cmocka_unit_test(plugin_files), cmocka_unit_test(options),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
