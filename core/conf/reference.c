/* The reference of the format as Markdown, printed from the tables. */
#include "conf/conf_int.h"

typedef struct printer {
    buf *out;
    int rc;
} printer;

static void put(printer *p, const char *s)
{
    if (p->rc == 0)
        p->rc = buf_adds(p->out, str_of(s));
}

/* A cell: '|' would end it. */
static void put_cell(printer *p, const char *s)
{
    for (; *s && p->rc == 0; s++)
        p->rc = *s == '|' ? buf_adds(p->out, STR("\\|")) : buf_add(p->out, s, 1);
}

static void put_int(printer *p, int64_t v)
{
    if (p->rc == 0)
        p->rc = buf_printf(p->out, "%lld", (long long)v);
}

static void put_words(printer *p, const conf_word *words)
{
    for (const conf_word *w = words; w->word; w++) {
        put(p, w == words ? "`\"" : ", `\"");
        put(p, w->word);
        put(p, "\"`");
    }
}

static void put_type(printer *p, const conf_field *f)
{
    switch (f->type) {
    case CONF_STRING:
        put(p, "string");
        break;
    case CONF_PATH:
        put(p, "path");
        break;
    case CONF_WORD:
    case CONF_ENUM:
        put_words(p, f->words);
        break;
    case CONF_INT32:
    case CONF_INT64:
        put(p, "integer, ");
        put_int(p, f->min);
        put(p, " to ");
        put_int(p, f->max);
        break;
    case CONF_BOOL:
        put(p, "true or false");
        break;
    case CONF_FLAGS:
        put(p, "array of ");
        put_words(p, f->words);
        break;
    case CONF_STRINGS:
        put(p, "array of strings");
        break;
    case CONF_SECRET:
        put(p, "secret");
        break;
    case CONF_OPTIONS:
        put(p, "object");
        break;
    case CONF_OBJECT:
        put(p, "object, see below");
        break;
    case CONF_LIST:
        put(p, "array of objects, see below");
        break;
    case CONF_CUSTOM:
        put(p, f->type_name);
        break;
    }
}

static void put_default_words(printer *p, const conf_field *f)
{
    const char *sep = f->type == CONF_FLAGS ? "`[\"" : "`\"";
    for (const conf_word *w = f->words; w->word; w++) {
        if (f->type == CONF_FLAGS ? !(w->value & f->def) : w->value != f->def)
            continue;
        put(p, sep);
        put(p, w->word);
        sep = "\", \"";
    }
    put(p, f->type == CONF_FLAGS ? "\"]`" : "\"`");
}

static void put_default(printer *p, const conf_field *f)
{
    if (f->flags & CONF_REQUIRED) {
        put(p, "**required**");
    } else if (f->shown) {
        put_cell(p, f->shown);
    } else if (f->type == CONF_ENUM || f->type == CONF_FLAGS) {
        put_default_words(p, f);
    } else if (f->type == CONF_INT32 || f->type == CONF_INT64) {
        put_int(p, f->def);
    } else if (f->type == CONF_BOOL) {
        put(p, f->def ? "true" : "false");
    } else if (f->text) {
        put(p, "`\"");
        put_cell(p, f->text);
        put(p, "\"`");
    } else {
        put(p, f->type == CONF_OPTIONS ? "`{}`" : "none");
    }
}

static void put_table(printer *p, const char *path, const conf_table *t)
{
    put(p, "| key | type | default | meaning |\n| --- | --- | --- | --- |\n");
    for (uint32_t i = 0; i < t->count; i++) {
        const conf_field *f = &t->fields[i];
        put(p, "| `");
        put(p, f->name);
        put(p, "` | ");
        put_type(p, f);
        put(p, " | ");
        put_default(p, f);
        put(p, " | ");
        put_cell(p, f->doc);
        put(p, " |\n");
    }
    for (uint32_t i = 0; i < t->count; i++) {
        const conf_field *f = &t->fields[i];
        if (!f->table)
            continue;
        buf below;
        buf_init(&below, 4096);
        int rc =
            buf_printf(&below, "%s.%s%s%c", path, f->name, f->type == CONF_LIST ? "[]" : "", 0);
        put(p, "\n#### `");
        put(p, rc ? f->name : below.ptr);
        put(p, "`\n\n");
        put_table(p, rc ? f->name : below.ptr, f->table);
        buf_free(&below);
    }
}

int conf_reference(buf *out)
{
    printer p = {.out = out};
    for (int i = 0; i < CONF_S_COUNT; i++) {
        const conf_section *s = &conf_sections[i];
        buf path;
        buf_init(&path, 256);
        int rc = s->kind == CONF_NAMED ? buf_printf(&path, "%s.NAME%c", s->name, 0)
                                       : buf_printf(&path, "%s%c", s->name, 0);
        put(&p, "\n### `");
        put(&p, rc ? s->name : path.ptr);
        put(&p, "`\n\n");
        put(&p, s->doc);
        put(&p, "\n\n");
        put_table(&p, rc ? s->name : path.ptr, s->table);
        buf_free(&path);
    }
    return p.rc;
}
