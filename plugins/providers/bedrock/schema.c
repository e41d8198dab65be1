/* A JSON Schema as structured output and strict tools take it: objects are closed, and keywords
 * that bound numbers, strings and arrays are refused. */
#include "../../common/schema_fit.h"
#include "bedrock_int.h"

static const tp_str refused[] = {
    SPAN_INIT("minimum"),          SPAN_INIT("maximum"),       SPAN_INIT("exclusiveMinimum"),
    SPAN_INIT("exclusiveMaximum"), SPAN_INIT("multipleOf"),    SPAN_INIT("minLength"),
    SPAN_INIT("maxLength"),        SPAN_INIT("minItems"),      SPAN_INIT("maxItems"),
    SPAN_INIT("uniqueItems"),      SPAN_INIT("minProperties"), SPAN_INIT("maxProperties"),
    SPAN_INIT("contains"),         SPAN_INIT("minContains"),   SPAN_INIT("maxContains"),
    SPAN_INIT("patternProperties"), SPAN_INIT("propertyNames"), SPAN_INIT("unevaluatedProperties"),
    SPAN_INIT("unevaluatedItems"), SPAN_INIT("dependentRequired"), SPAN_INIT("dependentSchemas"),
    SPAN_INIT("prefixItems"),      SPAN_INIT("not"),           SPAN_INIT("if"),
    SPAN_INIT("then"),             SPAN_INIT("else"),          SPAN_INIT("format"),
    SPAN_INIT("pattern")};
enum { REFUSED = sizeof(refused) / sizeof(refused[0]) };

typedef struct writer {
    plan *p;
    const char *place;
    char *to;
    uint32_t noted; /* by keyword; bit REFUSED: objects were closed; the next: oneOf is anyOf */
} writer;

static void put(writer *w, tp_str s)
{
    memcpy(w->to, s.ptr, s.len);
    w->to += s.len;
}

static void note(writer *w, uint32_t bit, int32_t what, tp_str keyword, tp_str why)
{
    if (w->noted >> bit & 1)
        return;
    w->noted |= 1u << bit;
    chat_note(&w->p->r, what, why, "%s.%.*s", w->place, (int)keyword.len, keyword.ptr);
}

static int is_refused(writer *w, tp_str key, uint32_t value)
{
    int64_t n;
    for (uint32_t i = 0; i < REFUSED; i++) {
        if (!span_eq(refused[i], key))
            continue;
        tp_str word = span_kind(w->p->r.d, value) == TP_STRING ? span_inner(w->p->r.d, value)
                                                               : SPAN_NONE;
        if (span_is(key, "minItems") && span_int(w->p->r.d, value, &n) && n >= 0 && n <= 1)
            return 0;
        if ((span_is(key, "format") && schema_format_known(word)) ||
            (span_is(key, "pattern") && word.ptr && schema_pattern_known(word)))
            return 0;
        note(w, i, TP_DROPPED, key, SPAN("this API's schemas do not have it"));
        return 1;
    }
    return 0;
}

static int is_one_of(tp_str key, const tp_str *words)
{
    for (; words->len; words++)
        if (span_eq(*words, key))
            return 1;
    return 0;
}

/* "type" is "object" or a list with it, or there are properties. */
static int describes_object(writer *w, uint32_t t)
{
    const tp_doc *d = w->p->r.d;
    uint32_t type = w->p->r.h->find(d, t, SPAN("type"));
    if (span_kind(d, type) == TP_STRING)
        return span_is(span_inner(d, type), "object");
    for (uint32_t x = type + 1; span_kind(d, type) == TP_ARRAY && x < d->tokens[type].next;
         x = d->tokens[x].next)
        if (span_kind(d, x) == TP_STRING && span_is(span_inner(d, x), "object"))
            return 1;
    return w->p->r.h->find(d, t, SPAN("properties")) != 0;
}

static void put_schema(writer *w, uint32_t t);

/* A list of schemas, or (by_name) schemas under names. */
static void put_schemas(writer *w, uint32_t t, int by_name)
{
    const tp_doc *d = w->p->r.d;
    int first = 1;
    put(w, by_name ? SPAN("{") : SPAN("["));
    for (uint32_t x = t + 1; x < d->tokens[t].next; x = d->tokens[x].next, first = 0) {
        if (!first)
            put(w, SPAN(","));
        if (by_name) {
            put(w, span_raw(d, x++));
            put(w, SPAN(":"));
        }
        put_schema(w, x);
    }
    put(w, by_name ? SPAN("}") : SPAN("]"));
}

static void put_member(writer *w, tp_str key, uint32_t t)
{
    static const tp_str maps[] = {
        SPAN_INIT("properties"), SPAN_INIT("$defs"), SPAN_INIT("definitions"), {0}};
    static const tp_str lists[] = {
        SPAN_INIT("anyOf"), SPAN_INIT("oneOf"), SPAN_INIT("allOf"), {0}};
    const tp_doc *d = w->p->r.d;
    if (is_one_of(key, maps) && span_kind(d, t) == TP_OBJECT)
        put_schemas(w, t, 1);
    else if ((is_one_of(key, lists) || span_is(key, "items")) && span_kind(d, t) == TP_ARRAY)
        put_schemas(w, t, 0);
    else if (span_is(key, "items"))
        put_schema(w, t);
    else
        put(w, span_raw(d, t));
}

static void put_schema(writer *w, uint32_t t)
{
    const tp_doc *d = w->p->r.d;
    int any = 0, closed = 0;
    if (span_kind(d, t) != TP_OBJECT) {
        put(w, span_raw(d, t));
        return;
    }
    int object = describes_object(w, t);
    put(w, SPAN("{"));
    for (members m = members_of(d, t); members_next(&m);) {
        tp_str key = span_text(w->p->r.h, w->p->r.c, d, m.key);
        int open = span_is(key, "additionalProperties");
        if (is_refused(w, key, m.value))
            continue;
        if (any)
            put(w, SPAN(","));
        any = 1;
        int choice = span_is(key, "oneOf") && !w->p->r.h->find(d, t, SPAN("anyOf"));
        if (choice)
            note(w, REFUSED + 1, TP_CHANGED, key, SPAN("it is anyOf in this API's schemas"));
        put(w, choice ? SPAN("\"anyOf\"") : span_raw(d, m.key));
        put(w, SPAN(":"));
        if (open && !(span_kind(d, m.value) == TP_BOOL && !span_true(d, m.value))) {
            note(w, REFUSED, TP_CHANGED, key, SPAN("objects are closed in this API's schemas"));
            put(w, SPAN("false"));
        } else {
            put_member(w, key, m.value);
        }
        closed |= open;
    }
    if (object && !closed) {
        note(w, REFUSED, TP_CHANGED, SPAN("additionalProperties"),
             SPAN("objects are closed in this API's schemas"));
        put(w,
            any ? SPAN(",\"additionalProperties\":false") : SPAN("\"additionalProperties\":false"));
    }
    put(w, SPAN("}"));
}

int bedrock_schema_fits(const plan *p, uint32_t schema)
{
    return p->t.family != FAMILY_CLAUDE || schema_fits(p->r.h, p->r.d, schema);
}

tp_str bedrock_schema(plan *p, uint32_t schema, const char *place)
{
    const tp_doc *d = p->r.d;
    size_t objects = 0;
    for (uint32_t t = schema; t < d->tokens[schema].next; t++)
        objects += d->tokens[t].kind == TP_OBJECT;
    char *text = p->r.h->alloc(p->r.c, d->tokens[schema].len + objects * 32 + 1);
    writer w = {.p = p, .place = place, .to = text};
    if (!text) {
        p->o.st = TP_E_NOMEM;
        return SPAN("{}");
    }
    put_schema(&w, schema);
    return (tp_str){text, (size_t)(w.to - text)};
}
