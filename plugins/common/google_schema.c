/* A JSON Schema as Google's Schema, a subset of OpenAPI 3.0: references are put in place, allOf is
 * merged, unions become anyOf, null becomes nullable. What has no place is reported with its path. */
#include "google_body_int.h"
#include <stdio.h>

enum { LAYERS = 8,   /* schemas that are one by $ref and allOf */
       DEEPEST = 48, /* json_out's depth, less what stands around a schema */
       MOST = 20000 };/* schemas in all, for references multiply */

typedef struct path { /* where a schema stands */
    const struct path *up;
    tp_str name;      /* empty: index */
    uint32_t index;
    const char *head; /* of the first */
} path;
typedef struct schema_call {
    google_body *b;
    uint32_t root, count, depth;
    uint32_t open[DEEPEST * LAYERS], opened; /* schemas that the one at hand stands within */
} schema_call;
typedef struct layers { uint32_t at[LAYERS], count; } layers;

static size_t path_text(const path *p, char *buf, size_t room)
{
    size_t n = 0;
    if (!p->up) {
        n = (size_t)snprintf(buf, room, "%s", p->head);
        return n < room ? n : room - 1;
    }
    n = path_text(p->up, buf, room);
    int more = p->name.len ? snprintf(buf + n, room - n, ".%.*s", (int)p->name.len, p->name.ptr)
                           : snprintf(buf + n, room - n, "[%u]", p->index);
    n += more > 0 ? (size_t)more : 0;
    return n < room ? n : room - 1;
}

static void note(schema_call *s, int32_t what, const path *p, tp_str member, tp_str why)
{
    char text[200];
    path_text(p, text, sizeof(text));
    chat_note(&s->b->r, what, why, "%s.%.*s", text, (int)(member.len > 48 ? 48 : member.len),
              member.ptr);
}

/* ---- References. */

/* "#", "#/$defs/Name" and every other pointer into the root: the schema, or 0. */
static uint32_t resolve(schema_call *s, tp_str ref)
{
    const tp_doc *d = s->b->r.d;
    uint32_t at = s->root;
    if (!ref.len || ref.ptr[0] != '#')
        return 0;
    for (size_t i = 1; i < ref.len && at;) {
        char name[128];
        size_t n = 0;
        if (ref.ptr[i++] != '/')
            return 0;
        for (; i < ref.len && ref.ptr[i] != '/' && n < sizeof(name); i++) {
            char ch = ref.ptr[i];
            if (ch == '~' && i + 1 < ref.len)
                ch = ref.ptr[++i] == '1' ? '/' : '~';
            name[n++] = ch;
        }
        at = span_find(s->b->r.h, d, at, (tp_str){name, n});
    }
    return span_kind(d, at) == TP_OBJECT ? at : 0;
}

static void collect(schema_call *s, uint32_t t, layers *l, const path *p)
{
    const tp_doc *d = s->b->r.d;
    if (span_kind(d, t) != TP_OBJECT)
        return;
    for (uint32_t i = 0; i < l->count; i++)
        if (l->at[i] == t)
            return;
    if (l->count == LAYERS) {
        note(s, TP_DROPPED, p, SPAN("allOf"), SPAN("too many schemas in one"));
        return;
    }
    l->at[l->count++] = t;
    uint32_t ref = s->b->r.h->find(d, t, SPAN("$ref")), all = s->b->r.h->find(d, t, SPAN("allOf"));
    if (span_kind(d, ref) == TP_STRING) {
        uint32_t to = resolve(s, span_text(s->b->r.h, s->b->r.c, d, ref));
        if (to)
            collect(s, to, l, p);
        else
            note(s, TP_DROPPED, p, SPAN("$ref"), SPAN("it points to no schema of this document"));
    }
    if (span_kind(d, all) == TP_ARRAY)
        for (uint32_t x = all + 1; x < d->tokens[all].next; x = d->tokens[x].next)
            collect(s, x, l, p);
}

static uint32_t in_layers(const schema_call *s, const layers *l, tp_str name)
{
    for (uint32_t i = 0; i < l->count; i++) {
        uint32_t t = s->b->r.h->find(s->b->r.d, l->at[i], name);
        if (t)
            return t;
    }
    return 0;
}

static int is_null_schema(const schema_call *s, uint32_t t)
{
    const tp_doc *d = s->b->r.d;
    uint32_t type = span_find(s->b->r.h, d, t, SPAN("type"));
    return span_kind(d, type) == TP_STRING && span_is(span_inner(d, type), "null");
}

/* ---- Members. */
static void put_schema(schema_call *s, uint32_t t, tp_str forced, const path *p);

static tp_str big_type(tp_str word)
{
    static const struct { tp_str word, big; } types[] = {
        {SPAN_INIT("string"), SPAN_INIT("STRING")},   {SPAN_INIT("number"), SPAN_INIT("NUMBER")},
        {SPAN_INIT("integer"), SPAN_INIT("INTEGER")}, {SPAN_INIT("boolean"), SPAN_INIT("BOOLEAN")},
        {SPAN_INIT("array"), SPAN_INIT("ARRAY")},     {SPAN_INIT("object"), SPAN_INIT("OBJECT")},
    };
    for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++)
        if (span_ieq(word, types[i].word))
            return types[i].big;
    return SPAN_NONE;
}

typedef struct types { tp_str one; uint32_t list, count; int32_t null; } types;

static types read_types(schema_call *s, const layers *l)
{
    const tp_doc *d = s->b->r.d;
    uint32_t t = in_layers(s, l, SPAN("type"));
    types k = {.count = 0};
    if (span_kind(d, t) == TP_STRING) {
        k.one = big_type(span_inner(d, t));
        k.null = span_is(span_inner(d, t), "null");
        k.count = k.one.len != 0;
    }
    for (uint32_t x = t + 1; span_kind(d, t) == TP_ARRAY && x < d->tokens[t].next;
         x = d->tokens[x].next) {
        tp_str big = span_kind(d, x) == TP_STRING ? big_type(span_inner(d, x)) : SPAN_NONE;
        k.null |= span_kind(d, x) == TP_STRING && span_is(span_inner(d, x), "null");
        if (!big.len)
            continue;
        k.one = big;
        k.list = t;
        k.count++;
    }
    if (k.count)
        return k;
    uint32_t set = in_layers(s, l, SPAN("enum")), value = in_layers(s, l, SPAN("const"));
    if (span_kind(d, set) == TP_ARRAY && span_filled(d, set))
        value = set + 1;
    if (in_layers(s, l, SPAN("properties")))
        k.one = SPAN("OBJECT");
    else if (in_layers(s, l, SPAN("items")))
        k.one = SPAN("ARRAY");
    else if (span_kind(d, value) == TP_STRING)
        k.one = SPAN("STRING");
    else if (span_kind(d, value) == TP_NUMBER)
        k.one = SPAN("NUMBER");
    else if (span_kind(d, value) == TP_BOOL)
        k.one = SPAN("BOOLEAN");
    k.count = k.one.len != 0;
    return k;
}

/* Values of strings; others cannot be listed. */
static void put_enum(schema_call *s, const layers *l, const types *k, int *null, const path *p)
{
    json_out *o = &s->b->o;
    const tp_doc *d = s->b->r.d;
    uint32_t set = in_layers(s, l, SPAN("enum")), value = in_layers(s, l, SPAN("const"));
    tp_str name = value ? SPAN("const") : SPAN("enum");
    int open = 0, lost = 0;
    if (!value && span_kind(d, set) != TP_ARRAY)
        return;
    uint32_t x = value ? value : set + 1, stop = value ? value + 1 : d->tokens[set].next;
    for (; x < stop; x = value ? stop : d->tokens[x].next) {
        if (span_kind(d, x) == TP_NULL) {
            *null = 1;
        } else if (span_kind(d, x) == TP_STRING && span_is(k->one, "STRING")) {
            if (!open++) {
                jo_key(o, SPAN("enum"));
                jo_open(o, SPAN("["));
            }
            jo_comma(o);
            jo_token(o, d, x);
        } else {
            lost = 1;
        }
    }
    if (open)
        jo_close(o, SPAN("]"));
    if (lost)
        note(s, TP_DROPPED, p, name, SPAN("this provider lists values of strings alone"));
}

static void put_format(schema_call *s, const layers *l, const types *k, const path *p)
{
    static const tp_str numbers[] = {SPAN_INIT("float"), SPAN_INIT("double"), SPAN_INIT("int32"),
                                     SPAN_INIT("int64")};
    const tp_doc *d = s->b->r.d;
    uint32_t t = in_layers(s, l, SPAN("format"));
    if (span_kind(d, t) != TP_STRING)
        return;
    tp_str word = span_inner(d, t);
    int fits = span_is(k->one, "STRING") && (span_is(word, "date-time") || span_is(word, "enum"));
    for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++)
        fits |= (span_is(k->one, "NUMBER") || span_is(k->one, "INTEGER")) &&
                span_eq(word, numbers[i]);
    if (fits)
        jo_key_token(&s->b->o, SPAN("format"), d, t);
    else
        note(s, TP_DROPPED, p, SPAN("format"), SPAN("this provider knows date-time, float, double, "
                                                    "int32 and int64"));
}

/* A bound that is not in the range: of whole numbers the next one is. */
static void put_bound(schema_call *s, const layers *l, const types *k, tp_str plain,
                      tp_str exclusive, int64_t step, const path *p)
{
    const tp_doc *d = s->b->r.d;
    uint32_t t = in_layers(s, l, plain), x = in_layers(s, l, exclusive);
    int64_t v;
    if (span_kind(d, t) == TP_NUMBER)
        jo_key_token(&s->b->o, plain, d, t);
    if (!span_given(d, x) || (span_kind(d, x) == TP_BOOL && !span_true(d, x)))
        return;
    if (!t && span_is(k->one, "INTEGER") && span_int(d, x, &v) && v < INT64_MAX && v > INT64_MIN)
        jo_key_int(&s->b->o, plain, v + step);
    else
        note(s, TP_DROPPED, p, exclusive, SPAN("this provider has no such bound"));
}

static void put_plain(schema_call *s, const layers *l, const tp_str names[], size_t count)
{
    for (size_t i = 0; i < count; i++) {
        uint32_t t = in_layers(s, l, names[i]);
        if (span_given(s->b->r.d, t))
            jo_key_token(&s->b->o, names[i], s->b->r.d, t);
    }
}

static int first_of_name(const schema_call *s, const layers *l, uint32_t layer, tp_str name)
{
    for (uint32_t i = 0; i < layer; i++) {
        uint32_t t = s->b->r.h->find(s->b->r.d, l->at[i], SPAN("properties"));
        if (span_kind(s->b->r.d, t) == TP_OBJECT && s->b->r.h->find(s->b->r.d, t, name))
            return 0;
    }
    return 1;
}

static void put_properties(schema_call *s, const layers *l, const path *p)
{
    json_out *o = &s->b->o;
    const tp_doc *d = s->b->r.d;
    int open = 0;
    for (uint32_t i = 0; i < l->count; i++) {
        uint32_t t = s->b->r.h->find(d, l->at[i], SPAN("properties"));
        if (span_kind(d, t) != TP_OBJECT)
            continue;
        for (members m = members_of(d, t); members_next(&m) && google_status(s->b) == TP_OK;) {
            tp_str name = span_text(s->b->r.h, s->b->r.c, d, m.key);
            if (!first_of_name(s, l, i, name))
                continue;
            if (!open++) {
                jo_key(o, SPAN("properties"));
                jo_open(o, SPAN("{"));
            }
            path up = {.up = p, .name = SPAN("properties")}, here = {.up = &up, .name = name};
            jo_comma(o);
            jo_token(o, d, m.key);
            jo_put(o, SPAN(":"));
            put_schema(s, m.value, SPAN_NONE, &here);
        }
    }
    if (open)
        jo_close(o, SPAN("}"));
}

static void put_required(schema_call *s, const layers *l)
{
    json_out *o = &s->b->o;
    const tp_doc *d = s->b->r.d;
    int open = 0;
    for (uint32_t i = 0; i < l->count; i++) {
        uint32_t t = s->b->r.h->find(d, l->at[i], SPAN("required"));
        for (uint32_t x = t + 1; span_kind(d, t) == TP_ARRAY && x < d->tokens[t].next;
             x = d->tokens[x].next) {
            if (span_kind(d, x) != TP_STRING ||
                first_of_name(s, l, l->count, span_text(s->b->r.h, s->b->r.c, d, x)))
                continue; /* what is no property is refused */
            if (!open++) {
                jo_key(o, SPAN("required"));
                jo_open(o, SPAN("["));
            }
            jo_comma(o);
            jo_token(o, d, x);
        }
    }
    if (open)
        jo_close(o, SPAN("]"));
}

static void put_items(schema_call *s, const layers *l, const path *p)
{
    json_out *o = &s->b->o;
    const tp_doc *d = s->b->r.d;
    uint32_t t = in_layers(s, l, SPAN("items"));
    path here = {.up = p, .name = SPAN("items")};
    jo_key(o, SPAN("items"));
    if (span_kind(d, t) == TP_OBJECT && span_filled(d, t)) {
        put_schema(s, t, SPAN_NONE, &here);
        return;
    }
    jo_put(o, SPAN("{\"type\":\"STRING\"}"));
    note(s, TP_CHANGED, p, SPAN("items"), SPAN("taken as strings: this provider wants one schema of "
                                               "the elements"));
}

/* anyOf and oneOf, without the null that they may hold. Returns how many are left. */
static uint32_t options_of(const schema_call *s, uint32_t list, uint32_t *one, int *null)
{
    const tp_doc *d = s->b->r.d;
    uint32_t count = 0;
    for (uint32_t x = list + 1; x < d->tokens[list].next; x = d->tokens[x].next) {
        if (is_null_schema(s, x)) {
            *null = 1;
            continue;
        }
        *one = x;
        count++;
    }
    return count;
}

static void put_any(schema_call *s, uint32_t list, tp_str name, const path *p)
{
    json_out *o = &s->b->o;
    const tp_doc *d = s->b->r.d;
    uint32_t place = 0;
    path up = {.up = p, .name = name};
    jo_key(o, SPAN("anyOf"));
    jo_open(o, SPAN("["));
    for (uint32_t x = list + 1; x < d->tokens[list].next && google_status(s->b) == TP_OK;
         x = d->tokens[x].next, place++) {
        path here = {.up = &up, .index = place};
        if (is_null_schema(s, x))
            continue;
        jo_comma(o);
        put_schema(s, x, SPAN_NONE, &here);
    }
    jo_close(o, SPAN("]"));
}

/* ["string", "integer"]: the schema once for each type. */
static void put_each_type(schema_call *s, uint32_t t, const types *k, const path *p)
{
    json_out *o = &s->b->o;
    const tp_doc *d = s->b->r.d;
    jo_key(o, SPAN("anyOf"));
    jo_open(o, SPAN("["));
    for (uint32_t x = k->list + 1; x < d->tokens[k->list].next && google_status(s->b) == TP_OK;
         x = d->tokens[x].next) {
        tp_str big = span_kind(d, x) == TP_STRING ? big_type(span_inner(d, x)) : SPAN_NONE;
        if (!big.len)
            continue;
        jo_comma(o);
        put_schema(s, t, big, p);
    }
    jo_close(o, SPAN("]"));
}

static void report_rest(schema_call *s, const layers *l, const path *p)
{
    static const tp_str known[] = {
        SPAN_INIT("type"), SPAN_INIT("format"), SPAN_INIT("title"), SPAN_INIT("description"),
        SPAN_INIT("nullable"), SPAN_INIT("enum"), SPAN_INIT("const"), SPAN_INIT("properties"),
        SPAN_INIT("required"), SPAN_INIT("items"), SPAN_INIT("minItems"), SPAN_INIT("maxItems"),
        SPAN_INIT("minLength"), SPAN_INIT("maxLength"), SPAN_INIT("pattern"), SPAN_INIT("minimum"),
        SPAN_INIT("maximum"), SPAN_INIT("exclusiveMinimum"), SPAN_INIT("exclusiveMaximum"),
        SPAN_INIT("minProperties"), SPAN_INIT("maxProperties"), SPAN_INIT("anyOf"),
        SPAN_INIT("oneOf"), SPAN_INIT("allOf"), SPAN_INIT("$ref"), SPAN_INIT("default"),
        SPAN_INIT("example"), SPAN_INIT("propertyOrdering"),
        /* these say nothing of the value */
        SPAN_INIT("$defs"), SPAN_INIT("definitions"), SPAN_INIT("$schema"), SPAN_INIT("$id"),
        SPAN_INIT("$anchor"), SPAN_INIT("$comment")};
    const tp_doc *d = s->b->r.d;
    for (uint32_t i = 0; i < l->count; i++)
        for (members m = members_of(d, l->at[i]); members_next(&m);) {
            tp_str name = span_inner(d, m.key);
            int found = 0;
            for (size_t k = 0; k < sizeof(known) / sizeof(known[0]) && !found; k++)
                found = span_eq(name, known[k]);
            if (!found && span_given(d, m.value))
                note(s, TP_DROPPED, p, name, SPAN("this provider's schemas do not have it"));
        }
}

static void put_of_type(schema_call *s, const layers *l, const types *k, const path *p)
{
    static const tp_str texts[] = {SPAN_INIT("minLength"), SPAN_INIT("maxLength"),
                                   SPAN_INIT("pattern")};
    static const tp_str lists[] = {SPAN_INIT("minItems"), SPAN_INIT("maxItems")};
    static const tp_str objects[] = {SPAN_INIT("minProperties"), SPAN_INIT("maxProperties"),
                                     SPAN_INIT("propertyOrdering")};
    jo_key_string(&s->b->o, SPAN("type"), k->one);
    if (span_is(k->one, "OBJECT")) {
        put_properties(s, l, p);
        put_required(s, l);
        put_plain(s, l, objects, 3);
    } else if (span_is(k->one, "ARRAY")) {
        put_items(s, l, p);
        put_plain(s, l, lists, 2);
    } else if (span_is(k->one, "STRING")) {
        put_plain(s, l, texts, 3);
    } else {
        put_bound(s, l, k, SPAN("minimum"), SPAN("exclusiveMinimum"), 1, p);
        put_bound(s, l, k, SPAN("maximum"), SPAN("exclusiveMaximum"), -1, p);
    }
    put_format(s, l, k, p);
}

/* A schema within itself has no end once its references are put in place. */
static int is_within(const schema_call *s, const layers *l)
{
    for (uint32_t i = 0; i < l->count; i++)
        for (uint32_t k = 0; k < s->opened; k++)
            if (s->open[k] == l->at[i])
                return 1;
    return 0;
}

static void put_nothing(schema_call *s, const path *p)
{
    jo_key_raw(&s->b->o, SPAN("type"), SPAN("\"OBJECT\""));
    note(s, TP_DROPPED, p, SPAN("$ref"), SPAN("a schema within itself, or nested too deeply"));
}

static void put_content(schema_call *s, const layers *l, uint32_t t, tp_str forced, const path *p);

static void put_members(schema_call *s, uint32_t t, tp_str forced, const path *p)
{
    layers l = {.count = 0};
    uint32_t before = s->opened;
    collect(s, t, &l, p);
    if (!forced.len && is_within(s, &l)) {
        put_nothing(s, p);
        return;
    }
    for (uint32_t i = 0; i < l.count; i++)
        s->open[s->opened++] = l.at[i];
    put_content(s, &l, t, forced, p);
    s->opened = before;
}

static void put_content(schema_call *s, const layers *base, uint32_t t, tp_str forced, const path *p)
{
    static const tp_str words[] = {SPAN_INIT("title"), SPAN_INIT("description"),
                                   SPAN_INIT("default"), SPAN_INIT("example")};
    const tp_doc *d = s->b->r.d;
    layers l = *base;
    int null = 0;
    uint32_t any = in_layers(s, &l, SPAN("anyOf")), one_of = in_layers(s, &l, SPAN("oneOf"));
    tp_str name = any ? SPAN("anyOf") : SPAN("oneOf");
    uint32_t list = any ? any : one_of, only = 0, left = 0;
    if (!forced.len && span_kind(d, list) == TP_ARRAY)
        left = options_of(s, list, &only, &null);
    if (left == 1) { /* one thing or null */
        path up = {.up = p, .name = name};
        collect(s, only, &l, &up);
    }
    types k = read_types(s, &l);
    if (forced.len)
        k = (types){.one = forced, .count = 1};
    else
        put_plain(s, &l, words, 4);
    null |= k.null;
    if (left > 1)
        put_any(s, list, name, p);
    else if (k.count > 1)
        put_each_type(s, t, &k, p);
    else if (k.count)
        put_of_type(s, &l, &k, p);
    if (left <= 1 && k.count == 1)
        put_enum(s, &l, &k, &null, p);
    if (!forced.len) {
        null |= span_true(d, in_layers(s, &l, SPAN("nullable")));
        report_rest(s, &l, p);
    }
    if (null)
        jo_key_bool(&s->b->o, SPAN("nullable"), 1);
}

static void put_schema(schema_call *s, uint32_t t, tp_str forced, const path *p)
{
    if (++s->count > MOST) {
        chat_refuse(&s->b->r, TP_E_UNSUPPORTED,
                    SPAN("the schema is too large once its references are put in place"), "%s",
                    p->up ? "tools" : p->head);
        return;
    }
    jo_open(&s->b->o, SPAN("{"));
    if (s->depth == DEEPEST || s->b->o.depth > 60) {
        put_nothing(s, p);
    } else {
        s->depth++;
        put_members(s, t, forced, p);
        s->depth--;
    }
    jo_close(&s->b->o, SPAN("}"));
}

void google_put_schema(google_body *b, uint32_t schema, const char *place)
{
    schema_call s = {.b = b, .root = schema};
    path p = {.head = place};
    put_schema(&s, schema, SPAN_NONE, &p);
}
