/* JSON Schema within the subset that structured output takes. What it has no word for is said in the
 * description, so that the model still reads it. */
#include "anthropic_int.h"
#include "schema_fit.h"

enum { WORD_RAW, WORD_SCHEMA, WORD_LIST, WORD_MAP, WORD_ADDITIONAL, WORD_ONE_OF, WORD_DESCRIPTION,
       WORD_MIN_ITEMS, WORD_FORMAT, WORD_PATTERN, WORD_GONE };

/* What becomes of a keyword. */
static int word_of(tp_str k)
{
    static const struct { tp_str word; int what; } words[] = {
        {SPAN_INIT("properties"), WORD_MAP},        {SPAN_INIT("$defs"), WORD_MAP},
        {SPAN_INIT("definitions"), WORD_MAP},       {SPAN_INIT("items"), WORD_SCHEMA},
        {SPAN_INIT("anyOf"), WORD_LIST},            {SPAN_INIT("allOf"), WORD_LIST},
        {SPAN_INIT("oneOf"), WORD_ONE_OF},          {SPAN_INIT("description"), WORD_DESCRIPTION},
        {SPAN_INIT("additionalProperties"), WORD_ADDITIONAL},
        {SPAN_INIT("minItems"), WORD_MIN_ITEMS},    {SPAN_INIT("format"), WORD_FORMAT},
        {SPAN_INIT("pattern"), WORD_PATTERN},
        {SPAN_INIT("minimum"), WORD_GONE},          {SPAN_INIT("maximum"), WORD_GONE},
        {SPAN_INIT("exclusiveMinimum"), WORD_GONE}, {SPAN_INIT("exclusiveMaximum"), WORD_GONE},
        {SPAN_INIT("multipleOf"), WORD_GONE},       {SPAN_INIT("minLength"), WORD_GONE},
        {SPAN_INIT("maxLength"), WORD_GONE},        {SPAN_INIT("maxItems"), WORD_GONE},
        {SPAN_INIT("uniqueItems"), WORD_GONE},      {SPAN_INIT("contains"), WORD_GONE},
        {SPAN_INIT("minContains"), WORD_GONE},      {SPAN_INIT("maxContains"), WORD_GONE},
        {SPAN_INIT("minProperties"), WORD_GONE},    {SPAN_INIT("maxProperties"), WORD_GONE},
        {SPAN_INIT("patternProperties"), WORD_GONE},{SPAN_INIT("propertyNames"), WORD_GONE},
        {SPAN_INIT("unevaluatedProperties"), WORD_GONE}, {SPAN_INIT("unevaluatedItems"), WORD_GONE},
        {SPAN_INIT("dependentRequired"), WORD_GONE},{SPAN_INIT("dependentSchemas"), WORD_GONE},
        {SPAN_INIT("prefixItems"), WORD_GONE},      {SPAN_INIT("not"), WORD_GONE},
        {SPAN_INIT("if"), WORD_GONE},               {SPAN_INIT("then"), WORD_GONE},
        {SPAN_INIT("else"), WORD_GONE},
    };
    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
        if (span_eq(words[i].word, k))
            return words[i].what;
    return WORD_RAW;
}

/* The keyword, after the value was looked at: WORD_RAW where it stays, WORD_GONE where it leaves. */
static int kind_of(const tp_doc *d, uint32_t key, uint32_t value)
{
    int what = word_of(span_inner(d, key));
    uint32_t kind = span_kind(d, value);
    int64_t n;
    switch (what) {
    case WORD_MAP: return kind == TP_OBJECT ? what : WORD_GONE;
    case WORD_SCHEMA: return kind == TP_OBJECT ? what : WORD_GONE;
    case WORD_LIST: return kind == TP_ARRAY ? what : WORD_GONE;
    case WORD_ONE_OF: return kind == TP_ARRAY ? what : WORD_GONE;
    case WORD_MIN_ITEMS: return span_int(d, value, &n) && n >= 0 && n <= 1 ? WORD_RAW : WORD_GONE;
    case WORD_FORMAT:
        return kind == TP_STRING && schema_format_known(span_inner(d, value)) ? WORD_RAW : WORD_GONE;
    case WORD_PATTERN:
        return kind == TP_STRING && schema_pattern_known(span_inner(d, value)) ? WORD_RAW : WORD_GONE;
    default: return what;
    }
}

static int is_object_schema(const body *b, uint32_t schema)
{
    return schema_has_type(b->r.h, b->r.d, schema, SPAN("object")) ||
           span_find(b->r.h, b->r.d, schema, SPAN("properties")) != 0;
}

int anthropic_schema_fits(const body *b, uint32_t schema)
{
    return schema_fits(b->r.h, b->r.d, schema);
}

/* ---- Writing. */
static int put(body *b, uint32_t schema, int depth);

static int put_children(body *b, uint32_t list, int depth)
{
    const tp_doc *d = b->r.d;
    int object = span_kind(d, list) == TP_OBJECT, altered = 0;
    jo_open(&b->o, object ? SPAN("{") : SPAN("["));
    for (uint32_t t = list + 1; t < d->tokens[list].next; t = d->tokens[t].next) {
        jo_comma(&b->o);
        if (object) {
            jo_token(&b->o, d, t);
            jo_put(&b->o, SPAN(":"));
            t++;
        }
        altered |= put(b, t, depth + 1);
    }
    jo_close(&b->o, object ? SPAN("}") : SPAN("]"));
    return altered;
}

/* The description, and behind it what has left: "... {minimum: 1, maximum: 5}". */
static void put_description(body *b, uint32_t schema, uint32_t description)
{
    const tp_doc *d = b->r.d;
    size_t room = 8;
    int any = 0;
    for (members m = members_of(d, schema); members_next(&m);)
        if (kind_of(d, m.key, m.value) == WORD_GONE)
            room += d->tokens[m.key].len + d->tokens[m.value].len + 4;
    char *text = b->r.h->alloc(b->r.c, room), *p = text;
    tp_str said = span_kind(d, description) == TP_STRING
                      ? span_text(b->r.h, b->r.c, d, description) : SPAN_NONE;
    char *all = text ? b->r.h->alloc(b->r.c, room + said.len) : NULL;
    if (!all) {
        b->o.st = TP_E_NOMEM;
        return;
    }
    *p++ = '{';
    for (members m = members_of(d, schema); members_next(&m);) {
        if (kind_of(d, m.key, m.value) != WORD_GONE)
            continue;
        tp_str k = span_inner(d, m.key), v = span_raw(d, m.value);
        if (any) {
            memcpy(p, ", ", 2);
            p += 2;
        }
        any = 1;
        memcpy(p, k.ptr, k.len);
        p += k.len;
        memcpy(p, ": ", 2);
        p += 2;
        memcpy(p, v.ptr, v.len);
        p += v.len;
    }
    *p++ = '}';
    size_t n = 0;
    if (said.len) {
        memcpy(all, said.ptr, said.len);
        n = said.len;
        all[n++] = ' ';
    }
    memcpy(all + n, text, (size_t)(p - text));
    jo_key_string(&b->o, SPAN("description"), (tp_str){all, n + (size_t)(p - text)});
}

static int put_members(body *b, uint32_t schema, int depth)
{
    const tp_doc *d = b->r.d;
    int altered = 0, gone = 0;
    uint32_t description = 0, any_of = span_find(b->r.h, d, schema, SPAN("anyOf"));
    for (members m = members_of(d, schema); members_next(&m);) {
        tp_str key = span_inner(d, m.key);
        int what = kind_of(d, m.key, m.value);
        switch (what) {
        case WORD_GONE:
            gone = 1;
            break;
        case WORD_DESCRIPTION:
            description = m.value;
            break;
        case WORD_ADDITIONAL: /* said below */
            altered |= span_kind(d, m.value) != TP_BOOL || span_true(d, m.value);
            break;
        case WORD_ONE_OF:
            altered = 1;
            if (any_of)
                break;
            key = SPAN("anyOf");
            jo_key(&b->o, key);
            put_children(b, m.value, depth);
            break;
        case WORD_SCHEMA:
            jo_key(&b->o, key);
            altered |= put(b, m.value, depth + 1);
            break;
        case WORD_LIST:
        case WORD_MAP:
            jo_key(&b->o, key);
            altered |= put_children(b, m.value, depth);
            break;
        default:
            jo_key_token(&b->o, key, d, m.value);
            break;
        }
    }
    if (gone)
        put_description(b, schema, description);
    else if (description)
        jo_key_token(&b->o, SPAN("description"), d, description);
    return altered | gone;
}

static int put(body *b, uint32_t schema, int depth)
{
    const tp_doc *d = b->r.d;
    if (span_kind(d, schema) != TP_OBJECT || depth > SCHEMA_DEPTH) {
        jo_token(&b->o, d, schema);
        return 0;
    }
    jo_open(&b->o, SPAN("{"));
    int altered = put_members(b, schema, depth);
    if (is_object_schema(b, schema)) {
        altered |= !span_find(b->r.h, d, schema, SPAN("additionalProperties"));
        jo_key_bool(&b->o, SPAN("additionalProperties"), 0);
    }
    jo_close(&b->o, SPAN("}"));
    return altered;
}

int anthropic_put_schema(body *b, uint32_t schema)
{
    return put(b, schema, 0);
}
