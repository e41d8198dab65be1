/* The JSON Schema of a snippet, printed from the tables. */
#include <stdio.h>

#include "conf/conf_int.h"

/* Printing fails only as a whole: the first failure is kept and the rest is passed over. */
typedef struct printer {
    buf *out;
    int rc;
} printer;

static void put(printer *p, const char *s)
{
    if (p->rc == 0)
        p->rc = buf_adds(p->out, str_of(s));
}

static void put_string(printer *p, const char *s)
{
    if (p->rc == 0)
        p->rc = buf_json_string(p->out, str_of(s));
}

/* ,"name":"value" */
static void put_member(printer *p, const char *name, const char *value)
{
    put(p, ",\"");
    put(p, name);
    put(p, "\":");
    put_string(p, value);
}

static void put_number(printer *p, const char *name, int64_t v)
{
    if (p->rc == 0)
        p->rc = buf_printf(p->out, ",\"%s\":%lld", name, (long long)v);
}

static void put_words(printer *p, const conf_word *words, int64_t mask)
{
    const char *sep = "";
    put(p, "[");
    for (const conf_word *w = words; w->word; w++) {
        if (!(w->value & mask) && mask != -1)
            continue;
        put(p, sep);
        put_string(p, w->word);
        sep = ",";
    }
    put(p, "]");
}

static void put_text(printer *p, const conf_field *f)
{
    put(p, "\"type\":\"string\"");
    if (f->min)
        put_number(p, "minLength", f->min);
    if (f->max)
        put_number(p, "maxLength", f->max);
    if (f->pattern)
        put_member(p, "pattern", f->pattern);
}

static void put_enum(printer *p, const conf_field *f)
{
    put(p, "\"enum\":");
    put_words(p, f->words, -1);
    for (const conf_word *w = f->words; f->type == CONF_ENUM && w->word; w++)
        if (w->value == f->def && !(f->flags & CONF_NO_DEFAULT))
            put_member(p, "default", w->word);
}

static void put_field(printer *p, const conf_field *f)
{
    put_string(p, f->name);
    put(p, ":{");
    switch (f->type) {
    case CONF_STRING:
    case CONF_PATH:
        put_text(p, f);
        break;
    case CONF_WORD:
    case CONF_ENUM:
        put_enum(p, f);
        break;
    case CONF_INT32:
    case CONF_INT64:
        put(p, "\"type\":\"integer\"");
        put_number(p, "minimum", f->min);
        put_number(p, "maximum", f->max);
        if (!(f->flags & CONF_NO_DEFAULT))
            put_number(p, "default", f->def);
        break;
    case CONF_BOOL:
        put(p, "\"type\":\"boolean\",\"default\":");
        put(p, f->def ? "true" : "false");
        break;
    case CONF_FLAGS:
        put(p, "\"type\":\"array\",\"items\":{\"enum\":");
        put_words(p, f->words, -1);
        put(p, "}");
        if (!(f->flags & CONF_NO_DEFAULT)) {
            put(p, ",\"default\":");
            put_words(p, f->words, f->def);
        }
        break;
    case CONF_STRINGS:
        put(p, "\"type\":\"array\",\"uniqueItems\":true,\"items\":{");
        put_text(p, f);
        put(p, "}");
        break;
    case CONF_SECRET:
        put(p, "\"$ref\":\"#/$defs/secret\"");
        break;
    case CONF_OPTIONS:
        put(p, "\"type\":\"object\"");
        break;
    case CONF_OBJECT:
        put(p, "\"$ref\":\"#/$defs/");
        put(p, f->table->name);
        put(p, "\"");
        break;
    case CONF_LIST:
        put(p, "\"type\":\"array\",\"items\":{\"$ref\":\"#/$defs/");
        put(p, f->table->name);
        put(p, "\"}");
        if (f->min)
            put_number(p, "minItems", f->min);
        break;
    case CONF_CUSTOM:
        put(p, f->schema);
        break;
    }
    if (f->text)
        put_member(p, "default", f->text);
    put_member(p, "description", f->doc);
    put(p, "}");
}

static void put_table(printer *p, const conf_table *t)
{
    const char *sep = "";
    put(p, ",");
    put_string(p, t->name);
    put(p, ":{\"type\":\"object\",\"additionalProperties\":false,\"properties\":{");
    for (uint32_t i = 0; i < t->count; i++) {
        put(p, i ? "," : "");
        put_field(p, &t->fields[i]);
    }
    put(p, "}");
    for (uint32_t i = 0; i < t->count; i++) {
        if (!(t->fields[i].flags & CONF_REQUIRED))
            continue;
        put(p, *sep ? sep : ",\"required\":[");
        put_string(p, t->fields[i].name);
        sep = ",";
    }
    put(p, *sep ? "]}" : "}");
    for (uint32_t i = 0; i < t->count; i++)
        if (t->fields[i].table)
            put_table(p, t->fields[i].table);
}

static void put_section(printer *p, const conf_section *s)
{
    put(p, ",");
    put_string(p, s->name);
    if (s->kind == CONF_SINGLE) {
        put(p, ":{\"$ref\":\"#/$defs/");
        put(p, s->table->name);
        put(p, "\"");
    } else {
        put(p, ":{\"type\":\"object\",\"propertyNames\":{\"pattern\":");
        put_string(p, s->pattern);
        put(p, "},\"additionalProperties\":{\"$ref\":\"#/$defs/");
        put(p, s->table->name);
        put(p, "\"}");
    }
    put_member(p, "description", s->doc);
    put(p, "}");
}

int conf_schema(buf *out)
{
    printer p = {.out = out};
    put(&p, "{\"$schema\":\"https://json-schema.org/draft/2020-12/schema\","
            "\"title\":\"A snippet of Turnpike's conf.d\",\"type\":\"object\","
            "\"additionalProperties\":false,\"properties\":{\"$schema\":{\"type\":\"string\","
            "\"description\":\"For editors; passed over.\"}");
    for (int i = 0; i < CONF_S_COUNT; i++)
        put_section(&p, &conf_sections[i]);
    put(&p,
        "},\"$defs\":{\"secret\":{\"description\":\"A secret: itself, or where to find it.\","
        "\"anyOf\":[{\"type\":\"string\",\"minLength\":1},{\"type\":\"object\",\"properties\":{"
        "\"env\":{\"type\":\"string\",\"pattern\":\"^[A-Za-z_][A-Za-z0-9_]*$\"}},\"required\":["
        "\"env\"],\"additionalProperties\":false},{\"type\":\"object\",\"properties\":{\"file\":"
        "{\"anyOf\":[{\"type\":\"string\",\"minLength\":1},{\"type\":\"object\",\"properties\":{"
        "\"env\":{\"type\":\"string\",\"pattern\":\"^[A-Za-z_][A-Za-z0-9_]*$\"}},\"required\":["
        "\"env\"],\"additionalProperties\":false}]}},\"required\":[\"file\"],"
        "\"additionalProperties\":false}]},"
        "\"listen\":{\"description\":\"HOST:PORT, with or without TLS.\",\"anyOf\":[{\"type\":"
        "\"string\"},{\"type\":\"object\",\"properties\":{\"address\":{\"type\":\"string\"},"
        "\"cert_file\":{\"type\":\"string\"},\"key_file\":{\"type\":\"string\"}},\"required\":["
        "\"address\"],\"dependentRequired\":{\"cert_file\":[\"key_file\"],\"key_file\":["
        "\"cert_file\"]},\"additionalProperties\":false}]}");
    for (int i = 0; i < CONF_S_COUNT; i++)
        put_table(&p, conf_sections[i].table);
    put(&p, "}}\n");
    return p.rc;
}
