#include "schema_fit.h"

enum { STEPS = 4000 };

int schema_has_type(const tp_host *h, const tp_doc *d, uint32_t schema, tp_str word)
{
    uint32_t t = span_find(h, d, schema, SPAN("type"));
    if (span_kind(d, t) == TP_STRING)
        return span_eq(span_inner(d, t), word);
    if (span_kind(d, t) == TP_ARRAY)
        for (uint32_t k = t + 1; k < d->tokens[t].next; k = d->tokens[k].next)
            if (span_kind(d, k) == TP_STRING && span_eq(span_inner(d, k), word))
                return 1;
    return 0;
}

static int is_one_of(tp_str s, const tp_str *words)
{
    for (; words->len; words++)
        if (span_eq(*words, s))
            return 1;
    return 0;
}

int schema_format_known(tp_str format)
{
    static const tp_str known[] = {SPAN_INIT("date-time"), SPAN_INIT("time"), SPAN_INIT("date"),
                                   SPAN_INIT("duration"), SPAN_INIT("email"), SPAN_INIT("hostname"),
                                   SPAN_INIT("uri"), SPAN_INIT("ipv4"), SPAN_INIT("ipv6"),
                                   SPAN_INIT("uuid"), {0}};
    return is_one_of(format, known);
}

int schema_pattern_known(tp_str raw)
{
    for (size_t i = 0; i + 1 < raw.len; i++) {
        if (raw.ptr[i] == '(' && raw.ptr[i + 1] == '?')
            if (i + 2 >= raw.len || raw.ptr[i + 2] != ':')
                return 0;
        if (raw.ptr[i] != '\\')
            continue;
        if (raw.ptr[i + 1] == '\\' && i + 2 < raw.len) { /* an escape of the pattern's own */
            char c = raw.ptr[i + 2];
            if (c == 'b' || c == 'B' || (c >= '1' && c <= '9'))
                return 0;
            i++; /* its letter, unless that is escaped again, says nothing more */
            if (c == '\\')
                i++;
        }
        i++;
    }
    return 1;
}

typedef struct fit {
    const tp_host *h;
    const tp_doc *d;
    uint32_t root;
    int steps;
} fit;
static int fits(fit *f, uint32_t schema, int depth);

static int ref_fits(fit *f, tp_str ref, int depth)
{
    uint32_t at = f->root;
    if (ref.len < 2 || ref.ptr[0] != '#' || ref.ptr[1] != '/')
        return 0; /* elsewhere, or the whole within itself */
    ref.ptr += 2;
    ref.len -= 2;
    while (ref.len) {
        const char *slash = memchr(ref.ptr, '/', ref.len);
        tp_str step = {ref.ptr, slash ? (size_t)(slash - ref.ptr) : ref.len};
        at = span_find(f->h, f->d, at, step);
        if (!at)
            return 0;
        ref.len -= step.len + (slash ? 1 : 0);
        ref.ptr += step.len + (slash ? 1 : 0);
    }
    return fits(f, at, depth + 1);
}

static int children_fit(fit *f, uint32_t list, int depth)
{
    const tp_doc *d = f->d;
    int object = span_kind(d, list) == TP_OBJECT;
    if (!object && span_kind(d, list) != TP_ARRAY)
        return 1;
    for (uint32_t t = list + 1; t < d->tokens[list].next; t = d->tokens[t].next) {
        if (object)
            t++; /* past the name */
        if (!fits(f, t, depth + 1))
            return 0;
    }
    return 1;
}

/* An object that says no property, and is not closed: anything is in it. */
static int is_free(const fit *f, uint32_t schema)
{
    static const tp_str says[] = {SPAN_INIT("properties"), SPAN_INIT("$ref"), SPAN_INIT("anyOf"),
                                  SPAN_INIT("oneOf"), SPAN_INIT("allOf"), {0}};
    if (!schema_has_type(f->h, f->d, schema, SPAN("object")))
        return 0;
    for (const tp_str *s = says; s->len; s++)
        if (span_find(f->h, f->d, schema, *s))
            return 0;
    uint32_t more = span_find(f->h, f->d, schema, SPAN("additionalProperties"));
    return !more || span_kind(f->d, more) == TP_OBJECT || span_true(f->d, more);
}

static int member_fits(fit *f, tp_str key, uint32_t value, int depth)
{
    static const tp_str lists[] = {SPAN_INIT("properties"), SPAN_INIT("anyOf"), SPAN_INIT("oneOf"),
                                   SPAN_INIT("allOf"), {0}};
    uint32_t kind = span_kind(f->d, value);
    if (span_is(key, "$ref"))
        return kind == TP_STRING && ref_fits(f, span_inner(f->d, value), depth);
    if (span_is(key, "patternProperties"))
        return 0;
    if (span_is(key, "additionalProperties"))
        return kind != TP_OBJECT;
    if (span_is(key, "items"))
        return kind != TP_OBJECT || fits(f, value, depth + 1);
    return !is_one_of(key, lists) || children_fit(f, value, depth);
}

static int fits(fit *f, uint32_t schema, int depth)
{
    if (depth > SCHEMA_DEPTH || ++f->steps > STEPS)
        return 0; /* it holds itself, or is as large as if it did */
    if (span_kind(f->d, schema) != TP_OBJECT)
        return span_kind(f->d, schema) != TP_BOOL;
    if (is_free(f, schema))
        return 0;
    for (members m = members_of(f->d, schema); members_next(&m);)
        if (!member_fits(f, span_inner(f->d, m.key), m.value, depth))
            return 0;
    return 1;
}

int schema_fits(const tp_host *h, const tp_doc *d, uint32_t schema)
{
    fit f = {.h = h, .d = d, .root = schema};
    return fits(&f, schema, 0);
}
