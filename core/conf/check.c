/* Options against the JSON Schema of a plugin's manifest. The subset is in conf.h; a keyword that
 * would check something this file cannot check is an error of the schema, so that no manifest
 * promises more than is kept. */
#include <regex.h>
#include <stdio.h>
#include <stdlib.h>

#include "conf/conf_int.h"

typedef struct checker {
    const tp_doc *schema, *value;
    conf_place base;
    arena mem;
    tp_error *err;
} checker;

/* ---- The schema itself. */
typedef enum keyword {
    K_UNKNOWN,
    K_ANNOTATION,
    K_TYPE,
    K_OBJECT_OF_SCHEMAS,
    K_STRINGS,
    K_SCHEMA_OR_BOOL,
    K_SCHEMA,
    K_ARRAY,
    K_ANY,
    K_NUMBER,
    K_SIZE,
    K_PATTERN
} keyword;

static keyword keyword_of(const tp_doc *d, uint32_t key)
{
    static const struct {
        const char *name;
        keyword k;
    } list[] = {{"type", K_TYPE},
                {"properties", K_OBJECT_OF_SCHEMAS},
                {"required", K_STRINGS},
                {"additionalProperties", K_SCHEMA_OR_BOOL},
                {"items", K_SCHEMA},
                {"enum", K_ARRAY},
                {"const", K_ANY},
                {"minimum", K_NUMBER},
                {"maximum", K_NUMBER},
                {"exclusiveMinimum", K_NUMBER},
                {"exclusiveMaximum", K_NUMBER},
                {"minLength", K_SIZE},
                {"maxLength", K_SIZE},
                {"minItems", K_SIZE},
                {"maxItems", K_SIZE},
                {"pattern", K_PATTERN},
                {"title", K_ANNOTATION},
                {"description", K_ANNOTATION},
                {"default", K_ANNOTATION},
                {"examples", K_ANNOTATION},
                {"deprecated", K_ANNOTATION},
                {"readOnly", K_ANNOTATION},
                {"writeOnly", K_ANNOTATION},
                {"format", K_ANNOTATION},
                {"contentEncoding", K_ANNOTATION},
                {"contentMediaType", K_ANNOTATION},
                {"$schema", K_ANNOTATION},
                {"$id", K_ANNOTATION},
                {"$comment", K_ANNOTATION}};
    for (size_t i = 0; i < TP_COUNT(list); i++)
        if (json_string_is(d, key, str_of(list[i].name)))
            return list[i].k;
    return K_UNKNOWN;
}

static int type_known(const tp_doc *d, uint32_t t)
{
    static const char *const names[] = {"object",  "array",   "string", "number",
                                        "integer", "boolean", "null"};
    for (size_t i = 0; i < TP_COUNT(names); i++)
        if (json_string_is(d, t, str_of(names[i])))
            return 1;
    return 0;
}

/* A size too large for an int64 would be passed over as if it were not there. */
static int is_size(const tp_doc *d, uint32_t t)
{
    int64_t v = 0;
    return json_kind(d, t) == TP_NUMBER && json_int(d, t, &v) == 0 && v >= 0;
}

static int all_of(const tp_doc *d, uint32_t t, int (*ok)(const tp_doc *, uint32_t))
{
    if (json_kind(d, t) != TP_ARRAY)
        return 0;
    for (uint32_t i = t + 1; i < d->tokens[t].next; i = d->tokens[i].next)
        if (!ok(d, i))
            return 0;
    return 1;
}

static int is_string(const tp_doc *d, uint32_t t)
{
    return json_kind(d, t) == TP_STRING;
}

static int bad_schema(checker *c, const conf_path *path, const char *what)
{
    conf_text where = conf_path_text(path);
    return tp_error_set(c->err, TP_ERROR_CONFIG, "the schema of the options: %s: %s",
                        where.s[0] ? where.s : "(root)", what);
}

/* The caller regfrees when it returns 0. */
static int compile(checker *c, uint32_t t, regex_t *re)
{
    tp_str s = json_string(c->schema, t, &c->mem);
    if (!s.ptr || s.len > 1000)
        return -1;
    char *z = tp_xstrndup(s.ptr, s.len);
    int rc = regcomp(re, z, REG_EXTENDED | REG_NOSUB);
    free(z);
    return rc ? -1 : 0;
}

static int check_schema(checker *c, uint32_t t, const conf_path *path);

static int check_properties(checker *c, uint32_t t, const conf_path *path)
{
    const tp_doc *d = c->schema;
    if (json_kind(d, t) != TP_OBJECT)
        return bad_schema(c, path, "expected an object of schemas");
    for (uint32_t k = t + 1; k < d->tokens[t].next; k = d->tokens[k + 1].next) {
        conf_path below = {.up = path, .name = json_string(d, k, &c->mem)};
        int rc = check_schema(c, k + 1, &below);
        if (rc)
            return rc;
    }
    return 0;
}

static int check_keyword(checker *c, uint32_t key, uint32_t v, const conf_path *path)
{
    const tp_doc *d = c->schema;
    regex_t re;
    switch (keyword_of(d, key)) {
    case K_UNKNOWN:
        return bad_schema(c, path,
                          "this keyword is not supported; see the plugin guide for those "
                          "that are");
    case K_ANNOTATION:
    case K_ANY:
        return 0;
    case K_TYPE:
        return type_known(d, v) || all_of(d, v, type_known)
                   ? 0
                   : bad_schema(c, path,
                                "expected object, array, string, number, integer, boolean, "
                                "null or an array of them");
    case K_OBJECT_OF_SCHEMAS:
        return check_properties(c, v, path);
    case K_STRINGS:
        return all_of(d, v, is_string) ? 0 : bad_schema(c, path, "expected an array of strings");
    case K_SCHEMA_OR_BOOL:
        return json_kind(d, v) == TP_BOOL ? 0 : check_schema(c, v, path);
    case K_SCHEMA:
        return check_schema(c, v, path);
    case K_ARRAY:
        return json_kind(d, v) == TP_ARRAY ? 0 : bad_schema(c, path, "expected an array");
    case K_NUMBER:
        return json_kind(d, v) == TP_NUMBER ? 0 : bad_schema(c, path, "expected a number");
    case K_SIZE:
        return is_size(d, v) ? 0 : bad_schema(c, path, "expected an integer of 0 or more");
    case K_PATTERN:
        if (!is_string(d, v) || compile(c, v, &re))
            return bad_schema(c, path,
                              "expected a POSIX extended regular expression of at most "
                              "1000 bytes");
        regfree(&re);
        return 0;
    }
    return 0;
}

static int check_schema(checker *c, uint32_t t, const conf_path *path)
{
    const tp_doc *d = c->schema;
    if (json_kind(d, t) != TP_OBJECT)
        return bad_schema(c, path, "expected a schema, which is an object");
    for (uint32_t k = t + 1; k < d->tokens[t].next; k = d->tokens[k + 1].next) {
        conf_path below = {.up = path, .name = json_string(d, k, &c->mem)};
        int rc = check_keyword(c, k, k + 1, &below);
        if (rc)
            return rc;
    }
    return 0;
}

int conf_check_schema(const tp_doc *schema, tp_error *err)
{
    checker c = {.schema = schema, .err = err};
    conf_path root = {.name = STR("")};
    arena_init(&c.mem, NULL, SIZE_MAX);
    int rc = check_schema(&c, 0, &root);
    arena_reset(&c.mem);
    return rc;
}

/* ---- Equality of values, for enum and const. */
static int equal(const tp_doc *a, uint32_t x, const tp_doc *b, uint32_t y, arena *mem)
{
    uint32_t i = x + 1, j = y + 1;
    if (json_kind(a, x) != json_kind(b, y))
        return 0;
    switch (json_kind(a, x)) {
    case TP_STRING:
        return json_string_is(a, x, json_string(b, y, mem));
    case TP_NUMBER: {
        int64_t p, q;
        double f, g;
        int ints = json_int(a, x, &p) == 0 && json_int(b, y, &q) == 0;
        return ints ? p == q
                    : json_double(a, x, &f) == 0 && json_double(b, y, &g) == 0 && !(f < g || f > g);
    }
    case TP_ARRAY:
        while (i < a->tokens[x].next && j < b->tokens[y].next && equal(a, i, b, j, mem)) {
            i = a->tokens[i].next;
            j = b->tokens[j].next;
        }
        return i == a->tokens[x].next && j == b->tokens[y].next;
    case TP_OBJECT: {
        uint32_t left = 0, right = 0, t;
        for (; j < b->tokens[y].next; j = b->tokens[j + 1].next)
            right++;
        for (; i < a->tokens[x].next; i = a->tokens[i + 1].next, left++) {
            t = json_find(b, y, json_string(a, i, mem));
            if (!t || !equal(a, i + 1, b, t, mem))
                return 0;
        }
        return left == right;
    }
    default:
        return str_eq(json_raw(a, x), json_raw(b, y));
    }
}

/* ---- The value. */
static int fault(checker *c, uint32_t v, const conf_path *path, const char *expected)
{
    conf_place at = conf_place_in(c->base, c->value->text, c->value->tokens[v].at);
    const char *sep = at.file ? ": " : "";
    return tp_error_set(c->err, TP_ERROR_CONFIG, "%s%s%s: expected %s, found %s",
                        at.file ? conf_where(at).s : "", sep, conf_path_text(path).s, expected,
                        conf_doc_found(c->value, v).s);
}

static int is_type(const tp_doc *value, uint32_t v, const tp_doc *schema, uint32_t t)
{
    static const struct {
        const char *name;
        uint32_t kind;
    } types[] = {{"object", TP_OBJECT}, {"array", TP_ARRAY},  {"string", TP_STRING},
                 {"number", TP_NUMBER}, {"boolean", TP_BOOL}, {"null", TP_NULL}};
    if (json_string_is(schema, t, STR("integer")))
        return json_kind(value, v) == TP_NUMBER && json_is_integer(value, v);
    for (size_t i = 0; i < TP_COUNT(types); i++)
        if (json_string_is(schema, t, str_of(types[i].name)))
            return json_kind(value, v) == types[i].kind;
    return 0;
}

static int check_type(checker *c, uint32_t s, uint32_t v, const conf_path *path)
{
    uint32_t t = json_find(c->schema, s, STR("type"));
    if (!t)
        return 0;
    conf_text expected = {""};
    tp_str raw = json_raw(c->schema, t);
    if (json_kind(c->schema, t) == TP_STRING) {
        if (is_type(c->value, v, c->schema, t))
            return 0;
        raw = json_string(c->schema, t, &c->mem);
        const char *article = strchr("aio", raw.len ? raw.ptr[0] : 'x') ? "an" : "a";
        if (str_eq(raw, STR("null")))
            article = "";
        snprintf(expected.s, sizeof(expected.s), "%s%s%.*s", article, *article ? " " : "",
                 STR_ARG(raw));
    } else {
        for (uint32_t i = t + 1; i < c->schema->tokens[t].next; i++)
            if (is_type(c->value, v, c->schema, i))
                return 0;
        snprintf(expected.s, sizeof(expected.s), "one of the types %.*s", STR_ARG(raw));
    }
    return fault(c, v, path, expected.s);
}

static int check_enum(checker *c, uint32_t s, uint32_t v, const conf_path *path)
{
    const tp_doc *d = c->schema;
    uint32_t list = json_find(d, s, STR("enum")), one = json_find(d, s, STR("const"));
    conf_text expected;
    for (uint32_t i = list + 1; list && i < d->tokens[list].next; i = d->tokens[i].next) {
        if (equal(d, i, c->value, v, &c->mem)) {
            list = 0;
            break;
        }
    }
    if (list) {
        tp_str raw = json_raw(d, list);
        snprintf(expected.s, sizeof(expected.s), "one of %.*s", (int)TP_MIN(raw.len, (size_t)300),
                 raw.ptr);
        return fault(c, v, path, expected.s);
    }
    if (one && !equal(d, one, c->value, v, &c->mem)) {
        tp_str raw = json_raw(d, one);
        snprintf(expected.s, sizeof(expected.s), "%.*s", (int)TP_MIN(raw.len, (size_t)300),
                 raw.ptr);
        return fault(c, v, path, expected.s);
    }
    return 0;
}

/* -1, 0, 1: exact when both are integers. */
static int compare(const tp_doc *a, uint32_t x, const tp_doc *b, uint32_t y)
{
    int64_t p, q;
    double f = 0, g = 0;
    if (json_int(a, x, &p) == 0 && json_int(b, y, &q) == 0)
        return (p > q) - (p < q);
    json_double(a, x, &f);
    json_double(b, y, &g);
    return (f > g) - (f < g);
}

static int check_number(checker *c, uint32_t s, uint32_t v, const conf_path *path)
{
    static const struct {
        const char *name, *words;
        int bad, worse; /* what compare(value, bound) must not be */
    } bounds[] = {{"minimum", "a number of at least", -1, -1},
                  {"maximum", "a number of at most", 1, 1},
                  {"exclusiveMinimum", "a number above", -1, 0},
                  {"exclusiveMaximum", "a number below", 1, 0}};
    for (size_t i = 0; i < TP_COUNT(bounds); i++) {
        uint32_t t = json_find(c->schema, s, str_of(bounds[i].name));
        int order = t ? compare(c->value, v, c->schema, t) : 2;
        if (!t || (order != bounds[i].bad && order != bounds[i].worse))
            continue;
        conf_text expected;
        snprintf(expected.s, sizeof(expected.s), "%s %.*s", bounds[i].words,
                 STR_ARG(json_raw(c->schema, t)));
        return fault(c, v, path, expected.s);
    }
    return 0;
}

/* The two size keywords of a kind: count against minX and maxX. */
static int check_size(checker *c, uint32_t s, uint32_t v, const conf_path *path, int64_t count,
                      const char *min, const char *max, const char *of)
{
    int64_t low = 0, high = INT64_MAX;
    uint32_t t = json_find(c->schema, s, str_of(min));
    conf_text expected;
    if (t)
        json_int(c->schema, t, &low);
    t = json_find(c->schema, s, str_of(max));
    if (t)
        json_int(c->schema, t, &high);
    if (count >= low && count <= high)
        return 0;
    snprintf(expected.s, sizeof(expected.s), "%s %lld %s", count < low ? "at least" : "at most",
             (long long)(count < low ? low : high), of);
    return fault(c, v, path, expected.s);
}

static int check_string(checker *c, uint32_t s, uint32_t v, const conf_path *path)
{
    tp_str text = json_string(c->value, v, &c->mem);
    uint32_t t = json_find(c->schema, s, STR("pattern"));
    int64_t characters = 0;
    regex_t re;
    for (size_t i = 0; i < text.len; i++)
        characters += ((unsigned char)text.ptr[i] & 0xc0) != 0x80;
    int rc = check_size(c, s, v, path, characters, "minLength", "maxLength", "characters");
    if (rc || !t || compile(c, t, &re))
        return rc;
    char *z = tp_xstrndup(text.ptr, text.len);
    int matches = regexec(&re, z, 0, NULL, 0) == 0;
    free(z);
    regfree(&re);
    if (matches)
        return 0;
    conf_text expected;
    tp_str raw = json_raw(c->schema, t);
    snprintf(expected.s, sizeof(expected.s), "a string that matches %.*s",
             (int)TP_MIN(raw.len, (size_t)300), raw.ptr);
    return fault(c, v, path, expected.s);
}

static int check_value(checker *c, uint32_t s, uint32_t v, const conf_path *path, int root);

static int check_array(checker *c, uint32_t s, uint32_t v, const conf_path *path)
{
    const tp_doc *d = c->value;
    uint32_t items = json_find(c->schema, s, STR("items")), count = 0;
    for (uint32_t i = v + 1; i < d->tokens[v].next; i = d->tokens[i].next) {
        conf_path below = {.up = path, .index = count++};
        int rc = items ? check_value(c, items, i, &below, 0) : 0;
        if (rc)
            return rc;
    }
    return check_size(c, s, v, path, count, "minItems", "maxItems", "items");
}

static int unknown(checker *c, uint32_t key, const conf_path *path, uint32_t properties)
{
    const tp_doc *d = c->schema;
    conf_guess g = conf_guess_begin(json_string(c->value, key, &c->mem));
    for (uint32_t k = properties + 1; properties && k < d->tokens[properties].next;
         k = d->tokens[k + 1].next)
        conf_guess_offer(&g, json_string(d, k, &c->mem));
    conf_place at = conf_place_in(c->base, c->value->text, c->value->tokens[key].at);
    conf_text hint = conf_guess_text(&g, "known options");
    tp_str raw = json_raw(c->value, key);
    if (!g.offered)
        snprintf(hint.s, sizeof(hint.s), "; none are expected here");
    return tp_error_set(c->err, TP_ERROR_CONFIG, "%s%s%s: unknown option %.*s%s",
                        at.file ? conf_where(at).s : "", at.file ? ": " : "",
                        conf_path_text(path).s, (int)TP_MIN(raw.len, (size_t)80), raw.ptr, hint.s);
}

static int check_required(checker *c, uint32_t s, uint32_t v, const conf_path *path)
{
    const tp_doc *d = c->schema;
    uint32_t list = json_find(d, s, STR("required"));
    for (uint32_t i = list + 1; list && i < d->tokens[list].next; i = d->tokens[i].next) {
        tp_str name = json_string(d, i, &c->mem);
        if (json_find(c->value, v, name))
            continue;
        uint32_t property = json_find(d, s, STR("properties"));
        property = property ? json_find(d, property, name) : 0;
        uint32_t text = property ? json_find(d, property, STR("description")) : 0;
        tp_str about = text ? json_string(d, text, &c->mem) : STR_NONE;
        conf_place at = conf_place_in(c->base, c->value->text, c->value->tokens[v].at);
        return tp_error_set(c->err, TP_ERROR_CONFIG, "%s%s%s: '%.*s' is missing%s%.*s",
                            at.file ? conf_where(at).s : "", at.file ? ": " : "",
                            conf_path_text(path).s, STR_ARG(name), about.len ? ": " : "",
                            STR_ARG(about));
    }
    return 0;
}

static int check_object(checker *c, uint32_t s, uint32_t v, const conf_path *path, int root)
{
    const tp_doc *d = c->value;
    uint32_t properties = json_find(c->schema, s, STR("properties"));
    uint32_t other = json_find(c->schema, s, STR("additionalProperties"));
    int open = !properties && !root; /* when additionalProperties is not there */
    if (other && json_kind(c->schema, other) == TP_BOOL)
        json_bool(c->schema, other, &open);
    for (uint32_t k = v + 1; k < d->tokens[v].next; k = d->tokens[k + 1].next) {
        tp_str name = json_string(d, k, &c->mem);
        conf_path below = {.up = path, .name = name};
        uint32_t sub = properties ? json_find(c->schema, properties, name) : 0;
        if (!sub && other && json_kind(c->schema, other) == TP_OBJECT)
            sub = other;
        int rc = sub    ? check_value(c, sub, k + 1, &below, 0)
                 : open ? 0
                        : unknown(c, k, path, properties);
        if (rc)
            return rc;
    }
    return check_required(c, s, v, path);
}

static int check_value(checker *c, uint32_t s, uint32_t v, const conf_path *path, int root)
{
    if (json_kind(c->value, v) == TP_NULL && conf_place_unset(c->base, c->value->tokens[v].at))
        return 0; /* of a dormant item: nobody knows yet what will stand here */
    int rc = check_type(c, s, v, path);
    if (rc == 0)
        rc = check_enum(c, s, v, path);
    if (rc)
        return rc;
    switch (json_kind(c->value, v)) {
    case TP_NUMBER:
        return check_number(c, s, v, path);
    case TP_STRING:
        return check_string(c, s, v, path);
    case TP_ARRAY:
        return check_array(c, s, v, path);
    case TP_OBJECT:
        return check_object(c, s, v, path, root);
    default:
        return 0;
    }
}

int conf_check_options(const tp_doc *schema, const tp_doc *value, conf_place base, tp_error *err)
{
    checker c = {.schema = schema, .value = value, .base = base, .err = err};
    conf_path root = {.name = STR("options")};
    int rc = conf_check_schema(schema, err);
    arena_init(&c.mem, NULL, SIZE_MAX);
    if (rc == 0)
        rc = check_value(&c, 0, 0, &root, 1);
    arena_reset(&c.mem);
    return rc;
}
