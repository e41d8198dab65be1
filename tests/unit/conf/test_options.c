/* Options against a plugin's schema: every keyword, every place. And the blanking of comments. */
#include "conf/conf_int.h"
#include "conf_fixture.h"

typedef struct scanned {
    json_tape tape;
    arena mem;
    tp_doc doc;
} scanned;

static scanned *scan(const char *text)
{
    scanned *s = calloc(1, sizeof(*s));
    json_error e = {0};
    arena_init(&s->mem, NULL, SIZE_MAX);
    if (json_scan_doc(str_of(text), &s->tape, &s->mem, &s->doc, &e))
        fail_msg("bad JSON in the test at %u: %s", e.at, text);
    return s;
}

static void done(scanned *s)
{
    json_tape_free(&s->tape);
    arena_reset(&s->mem);
    free(s);
}

/* want NULL: it fits. */
static void check(const char *schema, const char *value, const char *want)
{
    scanned *s = scan(schema), *v = scan(value);
    tp_error err = {0};
    conf_place base = {.file = "f.json", .line = 7, .column = 11};
    int rc = conf_check_options(&s->doc, &v->doc, base, &err);
    done(s);
    done(v);
    if (want ? rc != TP_ERROR_CONFIG || strcmp(err.text, want) != 0 : rc != 0)
        fail_msg("%s against %s:\n  want %s\n  got  %s", value, schema, want ? want : "(fits)",
                 rc ? err.text : "(fits)");
}

static void keywords(void **state)
{
    (void)state;
#define A(x) "{\"properties\":{\"a\":{" x "}}}"
#define AT "f.json:7:16: options.a: expected "
    check("{}", "{}", NULL);
    check("{}", "{\"a\":1}", "f.json:7:12: options: unknown option \"a\"; none are expected here");
    check("{\"additionalProperties\":true}", "{\"a\":1}", NULL);
    check("{\"additionalProperties\":{\"type\":\"null\"}}", "{\"a\":1}",
          AT "null, found the number 1");
    check(A(""), "{\"b\":1}", "f.json:7:12: options: unknown option \"b\"; did you mean 'a'?");
    check(A("\"type\":\"object\",\"properties\":{\"temperature\":{}}"),
          "{\"a\":{\n\"temprature\":1}}",
          "f.json:8:1: options.a: unknown option \"temprature\"; did you mean 'temperature'?");
    check(A("\"type\":\"object\""), "{\"a\":{\"free\":1}}", NULL);
    check(A("\"type\":\"string\""), "{\"a\":\"x\"}", NULL);
    check(A("\"type\":\"string\""), "{\"a\":1}", AT "a string, found the number 1");
    check(A("\"type\":\"integer\""), "{\"a\":1.0}", NULL);
    check(A("\"type\":\"integer\""), "{\"a\":1.5}", AT "an integer, found the number 1.5");
    check(A("\"type\":[\"integer\",\"null\"]"), "{\"a\":null}", NULL);
    check(A("\"type\":[\"integer\",\"null\"]"), "{\"a\":true}",
          AT "one of the types [\"integer\",\"null\"], found true");
    check(A("\"enum\":[\"x\",1,{\"k\":[true,null]}]"), "{\"a\":{\"k\":[true,null]}}", NULL);
    check(A("\"enum\":[\"x\",1]"), "{\"a\":1.0}", NULL);
    check(A("\"enum\":[\"x\",1]"), "{\"a\":\"\\u0078\"}", NULL);
    check(A("\"enum\":[\"x\",1]"), "{\"a\":\"y\"}", AT "one of [\"x\",1], found the string \"y\"");
    check(A("\"enum\":[9007199254740993]"), "{\"a\":9007199254740992}",
          AT "one of [9007199254740993], found the number 9007199254740992");
    check(A("\"const\":{\"p\":1,\"q\":2}"), "{\"a\":{\"q\":2,\"p\":1}}", NULL);
    check(A("\"const\":{\"p\":1}"), "{\"a\":{\"p\":1,\"q\":2}}", AT "{\"p\":1}, found an object");
    check(A("\"minimum\":1,\"maximum\":3"), "{\"a\":3}", NULL);
    check(A("\"minimum\":1"), "{\"a\":0}", AT "a number of at least 1, found the number 0");
    check(A("\"maximum\":3"), "{\"a\":3.5}", AT "a number of at most 3, found the number 3.5");
    check(A("\"exclusiveMinimum\":0"), "{\"a\":0}", AT "a number above 0, found the number 0");
    check(A("\"exclusiveMaximum\":1"), "{\"a\":1.0}", AT "a number below 1, found the number 1.0");
    check(A("\"maximum\":9007199254740992"), "{\"a\":9007199254740993}",
          AT "a number of at most 9007199254740992, found the number 9007199254740993");
    check(A("\"minLength\":2"), "{\"a\":\"\xc3\xa9\"}",
          AT "at least 2 characters, found the string \"\xc3\xa9\"");
    check(A("\"maxLength\":1"), "{\"a\":\"\xc3\xa9\"}", NULL);
    check(A("\"maxLength\":1"), "{\"a\":\"xy\"}",
          AT "at most 1 characters, found the string \"xy\"");
    check(A("\"pattern\":\"^[a-z]+-[0-9]$\""), "{\"a\":\"eu-1\"}", NULL);
    check(A("\"pattern\":\"^[a-z]+-[0-9]$\""), "{\"a\":\"eu1\"}",
          AT "a string that matches \"^[a-z]+-[0-9]$\", found the string \"eu1\"");
    check(A("\"items\":{\"type\":\"string\"}"), "{\"a\":[\"x\",\n 2]}",
          "f.json:8:2: options.a[1]: expected a string, found the number 2");
    check(A("\"minItems\":1,\"maxItems\":2"), "{\"a\":[1,2]}", NULL);
    check(A("\"minItems\":1"), "{\"a\":[]}", AT "at least 1 items, found an array");
    check(A("\"maxItems\":1"), "{\"a\":[1,[2]]}", AT "at most 1 items, found an array");
    check("{\"properties\":{\"r\":{\"description\":\"the region\"}},\"required\":[\"r\"]}", "{}",
          "f.json:7:11: options: 'r' is missing: the region");
    check("{\"required\":[\"r\"]}", "{}", "f.json:7:11: options: 'r' is missing");
    check(
        "{\"type\":\"object\",\"title\":\"t\",\"$comment\":\"c\",\"examples\":[{}],\"default\":{}}",
        "{}", NULL);
}

static void bad_schemas(void **state)
{
    (void)state;
#define S "the schema of the options: "
    check("[]", "{}", S "(root): expected a schema, which is an object");
    check("{\"oneOf\":[]}", "{}",
          S "oneOf: this keyword is not supported; see the plugin guide for those that are");
    /* Also where no value leads. */
    check(A("\"items\":{\"propertyNames\":{}}"), "{}",
          S "properties.a.items.propertyNames: this keyword is not supported; see the plugin guide "
            "for those that are");
    check(A("\"pattern\":\"(\""), "{}",
          S "properties.a.pattern: expected a POSIX extended regular "
            "expression of at most 1000 bytes");
    check(A("\"type\":\"int\""), "{}",
          S "properties.a.type: expected object, array, string, number, "
            "integer, boolean, null or an array of them");
    check(A("\"minimum\":\"1\""), "{}", S "properties.a.minimum: expected a number");
    check(A("\"maxItems\":-1"), "{}", S "properties.a.maxItems: expected an integer of 0 or more");
    check("{\"required\":[1]}", "{}", S "required: expected an array of strings");
    check("{\"enum\":1}", "{}", S "enum: expected an array");
    check("{\"properties\":[]}", "{}", S "properties: expected an object of schemas");
    check("{\"additionalProperties\":1}", "{}",
          S "additionalProperties: expected a schema, which is an object");
}

/* Places stay those of the snippet although values were replaced by longer and shorter ones. */
static void places_after_replacement(void **state)
{
    (void)state;
    conf *c =
        fx_load("{\"providers\": {\"p\": {\"options\": {\n"
                "  \"a\": {\"env\": \"LONG\"}, \"b\": 1, // {\n"
                "  \"c\": {\"default\": {\"env\": \"UNSET\",\n \"default\": [7, \"x\"]}, \"env\":"
                " \"UNSET\"}, \"d\": {\"env\": \"URL\",}, \"e\":\n"
                "    true, \"f\": {\"env\": 3}, \"g\": {\"env\": \"URL\", \"more\": 1}}}}}",
                NULL, NULL);
    const conf_provider *p = &c->providers[0];
    static const struct {
        const char *property, *place;
    } list[] = {
        {"\"a\":{\"type\":\"null\"}", "2:8: options.a: expected null, found the string "
                                      "\"a-value-that-is-longer-than-its-object\""},
        {"\"b\":{\"type\":\"null\"}", "2:30: options.b: expected null, found the number 1"},
        {"\"c\":{\"type\":\"null\"}", "4:13: options.c: expected null, found an array"},
        {"\"c\":{\"items\":{\"type\":\"number\"}}",
         "4:17: options.c[1]: expected a number, found the string \"x\""},
        {"\"d\":{\"type\":\"null\"}",
         "4:46: options.d: expected null, found the string \"http://127.0.0.1:9/v1/\""},
        {"\"e\":{\"type\":\"null\"}", "5:5: options.e: expected null, found true"},
        {"\"f\":{\"type\":\"null\"}", "5:16: options.f: expected null, found an object"},
        {"\"g\":{\"type\":\"null\"}", "5:33: options.g: expected null, found an object"},
    };
    assert_str(p->options.text,
               "{\n  \"a\": \"a-value-that-is-longer-than-its-object\", \"b\": 1,     "
               "\n  \"c\": [7, \"x\"], \"d\": \"http://127.0.0.1:9/v1/\", \"e\":\n"
               "    true, \"f\": {\"env\": 3}, \"g\": {\"env\": \"URL\", \"more\": 1}}");
    for (size_t i = 0; i < TP_COUNT(list); i++) {
        char schema[300], want[300];
        tp_error err = {0};
        snprintf(schema, sizeof(schema), "{\"additionalProperties\":true,\"properties\":{%s}}",
                 list[i].property);
        snprintf(want, sizeof(want), "/c/a.json:%s", list[i].place);
        scanned *s = scan(schema);
        assert_int_equal(conf_check_options(&s->doc, &p->options, p->options_place, &err),
                         TP_ERROR_CONFIG);
        assert_string_equal(err.text, want);
        done(s);
    }
    conf_free(c);
}

/* What a dormant provider's variables will say is not known; all else of it is checked. */
static void unset_fits_everywhere(void **state)
{
    (void)state;
    conf *c = fx_load("{\"providers\": {\"p\": {\"options\": {\"base_url\": {\"env\": \"UNSET\"},"
                      " \"a\": null, \"b\": {\"env\": \"UNSET\", \"default\": null}}}}}",
                      NULL, NULL);
    const conf_provider *p = &c->providers[0];
    static const struct {
        const char *property, *fault;
    } list[] = {{"base_url", NULL},
                {"a", "/c/a.json:1:69: options.a: expected a string, found null"},
                {"b", "/c/a.json:1:108: options.b: expected a string, found null"}};
    for (size_t i = 0; i < TP_COUNT(list); i++) {
        char schema[200];
        tp_error err = {0};
        snprintf(schema, sizeof(schema), "{\"additionalProperties\":true,\"properties\":{\"%s\":"
                 "{\"type\":\"string\"}}}", list[i].property);
        scanned *s = scan(schema);
        int rc = conf_check_options(&s->doc, &p->options, p->options_place, &err);
        assert_int_equal(rc, list[i].fault ? TP_ERROR_CONFIG : 0);
        if (list[i].fault)
            assert_string_equal(err.text, list[i].fault);
        done(s);
    }
    conf_free(c);
}

/* An option may be called "env": only members are replaced, never the options themselves. */
static void root_is_no_variable(void **state)
{
    (void)state;
    conf *c =
        fx_load("{\"strategies\": {\"s\": {\"options\": {\"env\": \"production\"}}}}", NULL, NULL);
    assert_str(c->strategies[0].options.text, "{\"env\": \"production\"}");
    assert_null(c->strategies[0].options_place.map);
    conf_free(c);
}

static void blank(const char *in, const char *want)
{
    char *text = strdup(in);
    size_t at = 0, n = strlen(in);
    const char *what = NULL;
    assert_int_equal(conf_jsonc_blank(text, n, &at, &what), 0);
    assert_int_equal(strlen(want), n);
    if (strcmp(text, want) != 0)
        fail_msg("%s became %s, expected %s", in, text, want);
    free(text);
}

static void comments(void **state)
{
    (void)state;
    blank("{} // x\n1", "{}     \n1");
    blank("{} // x", "{}     ");
    blank("/* a\r\n\xc3\xa9 */{}", "    \r\n     {}");
    blank("/**/{/***/}", "    {     }");
    blank("[1,]", "[1 ]");
    blank("[1, /*,*/ ]", "[1        ]");
    blank("{\"a\":1, // x,\n}", "{\"a\":1       \n}");
    blank("[[1,],{},]", "[[1 ],{} ]");
    blank("[\"//\",\"/*\",\"\\\"/*\",]", "[\"//\",\"/*\",\"\\\"/*\" ]");
    blank("[\",]\",1]", "[\",]\",1]");
    /* Not trailing: these stay, and the scanner refuses them. */
    blank("[,]", "[,]");
    blank("[1,,]", "[1,,]");
    blank("{,}", "{,}");
    blank("{\"a\":,}", "{\"a\":,}");
    blank("/", "/");
    blank("\"a", "\"a");
    blank("\"a\\", "\"a\\");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(keywords),
        cmocka_unit_test(bad_schemas),
        cmocka_unit_test(places_after_replacement),
        cmocka_unit_test(unset_fits_everywhere),
        cmocka_unit_test(root_is_no_variable),
        cmocka_unit_test(comments),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
