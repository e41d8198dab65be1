/* The OpenAPI 3.1 description, printed from the table of rows, the fields of bodies and queries and
 * the shapes of replies, for the surfaces that this configuration mounts. */
#include <stdio.h>

#include "manage/manage_int.h"

/* The whole path of a row under a base: "/v1" + "/keys" + "/{key}". */
static tp_str path_of(api_call *c, tp_str base, const api_row *row)
{
    static const char *const names[] = {
        [WORLD_KEYS] = "/keys",       [WORLD_KEY_SELF] = "/key",          [WORLD_AUTH] = "/auth",
        [WORLD_CREDITS] = "/credits", [WORLD_GENERATION] = "/generation", [WORLD_ADMIN] = "/admin"};
    return arena_printf(c->mem, "%.*s%s%s%s", STR_ARG(base), names[row->mount],
                        row->pattern[0] ? "/" : "", row->pattern);
}

static int32_t manage_bit(int32_t mount)
{
    switch (mount) {
    case WORLD_AUTH:
        return CONF_MANAGE_AUTH;
    case WORLD_CREDITS:
        return CONF_MANAGE_CREDITS;
    case WORLD_GENERATION:
        return CONF_MANAGE_GENERATION;
    default:
        return CONF_MANAGE_KEYS;
    }
}

static void text(api_out *o, const char *name, const char *v)
{
    api_text(o, name, str_of(v));
}

/* ---- Types. */
static void type_or_null(api_out *o, const char *type, int null)
{
    if (!null) {
        text(o, "type", type);
        return;
    }
    api_open(o, "type", '[');
    text(o, NULL, type);
    text(o, NULL, "null");
    api_close(o, ']');
}

static void words(api_out *o, const api_field *f, int null)
{
    api_open(o, "enum", '[');
    for (const char *const *w = f->words; *w; w++)
        text(o, NULL, *w);
    if (null)
        api_null(o, NULL);
    api_close(o, ']');
}

static void string_list(api_out *o, int null)
{
    type_or_null(o, "array", null);
    api_open(o, "items", '{');
    text(o, "type", "string");
    api_close(o, '}');
}

static void pattern_list(api_out *o, const api_field *f, int null)
{
    type_or_null(o, "array", null);
    api_open(o, "items", '{');
    text(o, "type", "string");
    api_int(o, "minLength", 1);
    api_int(o, "maxLength", 256);
    text(o, "pattern", "^[^*]*[*]?$");
    api_close(o, '}');
    api_int(o, "minItems", f->min);
    api_int(o, "maxItems", f->max);
}

static void ref(api_out *o, const char *name, const char *to, size_t len)
{
    char where[80];
    int n = snprintf(where, sizeof(where), "#/components/schemas/%.*s", (int)len, to);
    api_open(o, name, '{');
    api_text(o, "$ref", str_make(where, (size_t)n));
    api_close(o, '}');
}

/* Either a number or a decimal string; the bounds are of the number. */
static void money_field(api_out *o, const api_field *f, int null)
{
    api_open(o, "type", '[');
    text(o, NULL, "number");
    text(o, NULL, "string");
    if (null)
        text(o, NULL, "null");
    api_close(o, ']');
    text(o, "pattern", "^-?[0-9]+([.][0-9]+)?([eE][-+]?[0-9]+)?$");
    api_money_number(o, "minimum", f->min);
    api_money_number(o, "maximum", f->max);
}

static void object_or_null(api_out *o, const char *name, const api_field *f)
{
    api_open(o, name, '{');
    api_open(o, "oneOf", '[');
    ref(o, NULL, f->within->name, strlen(f->within->name));
    api_open(o, NULL, '{');
    text(o, "type", "null");
    api_close(o, '}');
    api_close(o, ']');
    text(o, "description", f->about);
    api_close(o, '}');
}

/* The schema of a field, with its braces. */
static void field_schema(api_out *o, const char *name, const api_member *m)
{
    const api_field *f = api_field_of(m->field);
    int null = m->flags & API_NULL;
    if (f->kind == API_OBJECT) {
        if (null)
            object_or_null(o, name, f);
        else
            ref(o, name, f->within->name, strlen(f->within->name));
        return;
    }
    api_open(o, name, '{');
    switch (f->kind) {
    case API_TEXT:
        type_or_null(o, "string", null);
        api_int(o, "minLength", f->min);
        api_int(o, "maxLength", f->max);
        text(o, "pattern", "^[^\\u0000-\\u001f\\u007f]*$");
        break;
    case API_INT:
        type_or_null(o, "integer", null);
        api_int(o, "minimum", f->min);
        api_int(o, "maximum", f->max);
        break;
    case API_MONEY:
        money_field(o, f, null);
        break;
    case API_BOOL:
        type_or_null(o, "boolean", null);
        break;
    case API_LIST:
        pattern_list(o, f, null);
        break;
    case API_WORD:
        words(o, f, null);
        break;
    default:
        type_or_null(o, "string", null);
    }
    text(o, "description", f->about);
    api_close(o, '}');
}

static void body_schema(api_out *o, const api_schema *s)
{
    api_open(o, s->name, '{');
    text(o, "type", "object");
    api_bool(o, "additionalProperties", 0);
    api_open(o, "properties", '{');
    for (uint32_t i = 0; i < s->count; i++)
        field_schema(o, api_field_of(s->members[i].field)->name, &s->members[i]);
    api_close(o, '}');
    api_open(o, "required", '[');
    for (uint32_t i = 0; i < s->count; i++)
        if (s->members[i].flags & API_REQUIRED)
            text(o, NULL, api_field_of(s->members[i].field)->name);
    api_close(o, ']');
    api_close(o, '}');
}

static void member_schema(api_out *o, const api_shape_member *m)
{
    size_t n = strlen(m->type);
    int null = m->type[n - 1] == '?';
    tp_str type = str_make(m->type, n - (size_t)null);
    if (type.ptr[0] == '#' && !str_ends(type, STR("[]"))) {
        ref(o, m->name, type.ptr + 1, type.len - 1);
        return;
    }
    api_open(o, m->name, '{');
    if (type.ptr[0] == '#') {
        text(o, "type", "array");
        ref(o, "items", type.ptr + 1, type.len - 3);
    } else if (str_eq(type, STR("time"))) {
        type_or_null(o, "string", null);
        text(o, "format", "date-time");
    } else if (str_eq(type, STR("money"))) {
        type_or_null(o, "string", null);
        text(o, "pattern", "^-?[0-9]+([.][0-9]{1,9})?$");
    } else if (str_eq(type, STR("strings"))) {
        string_list(o, null);
    } else {
        char name[16];
        snprintf(name, sizeof(name), "%.*s", STR_ARG(type));
        type_or_null(o, name, null);
    }
    if (m->about)
        text(o, "description", m->about);
    api_close(o, '}');
}

static void shape_schema(api_out *o, const api_shape *s)
{
    api_open(o, s->name, '{');
    text(o, "type", "object");
    api_open(o, "properties", '{');
    for (const api_shape_member *m = s->members; m->name; m++)
        member_schema(o, m);
    api_close(o, '}');
    api_open(o, "required", '[');
    for (const api_shape_member *m = s->members; m->name; m++)
        text(o, NULL, m->name);
    api_close(o, ']');
    api_close(o, '}');
}

/* ---- Operations. */
static void path_parameters(api_out *o, const char *pattern)
{
    for (const char *at = strchr(pattern, '{'); at; at = strchr(at + 1, '{')) {
        const char *end = strchr(at, '}');
        api_open(o, NULL, '{');
        api_text(o, "name", str_make(at + 1, (size_t)(end - at - 1)));
        text(o, "in", "path");
        api_bool(o, "required", 1);
        api_open(o, "schema", '{');
        text(o, "type", "string");
        api_close(o, '}');
        api_close(o, '}');
    }
}

static void query_parameters(api_out *o, const api_schema *q)
{
    for (uint32_t i = 0; q && i < q->count; i++) {
        const api_field *f = api_field_of(q->members[i].field);
        api_open(o, NULL, '{');
        text(o, "name", f->name);
        text(o, "in", "query");
        api_bool(o, "required", q->members[i].flags & API_REQUIRED);
        text(o, "description", f->about);
        field_schema(o, "schema", &q->members[i]);
        api_close(o, '}');
    }
}

static void json_content(api_out *o)
{
    api_open(o, "content", '{');
    api_open(o, "application/json", '{');
}

static void reply_schema(api_out *o, const api_row *row)
{
    const char *name = row->reply->name;
    if (row->wrap == REPLY_PLAIN) {
        ref(o, "schema", name, strlen(name));
        return;
    }
    api_open(o, "schema", '{');
    text(o, "type", "object");
    api_open(o, "properties", '{');
    if (row->wrap == REPLY_DATA) {
        ref(o, "data", name, strlen(name));
    } else {
        api_open(o, "data", '{');
        text(o, "type", "array");
        ref(o, "items", name, strlen(name));
        api_close(o, '}');
    }
    if (row->wrap == REPLY_PAGE) {
        api_open(o, "next", '{');
        type_or_null(o, "string", 1);
        text(o, "description", "`cursor` of the next page; null: this is the last one");
        api_close(o, '}');
    }
    api_close(o, '}');
    api_open(o, "required", '[');
    text(o, NULL, "data");
    if (row->wrap == REPLY_PAGE)
        text(o, NULL, "next");
    api_close(o, ']');
    api_close(o, '}');
}

static void response(api_out *o, const api_row *row, int32_t status, const char *about)
{
    char name[8];
    snprintf(name, sizeof(name), "%d", status);
    api_open(o, name, '{');
    text(o, "description", about);
    json_content(o);
    reply_schema(o, row);
    api_close(o, '}');
    api_close(o, '}');
    api_close(o, '}');
}

static void responses(api_out *o, const api_row *row)
{
    api_open(o, "responses", '{');
    response(o, row, row->status, row->status == 201 ? "Made." : "Done.");
    if (row->again)
        response(o, row, row->again, "It had been done before: nothing was added.");
    api_open(o, "default", '{');
    text(o, "description", "An error, in the surface's envelope.");
    json_content(o);
    ref(o, "schema", "Error", 5);
    api_close(o, '}');
    api_close(o, '}');
    api_close(o, '}');
    api_close(o, '}');
}

/* One way to be admitted: all of these schemes together. */
static void way(api_out *o, const char *first, const char *second)
{
    api_open(o, NULL, '{');
    api_open(o, first, '[');
    api_close(o, ']');
    if (second) {
        api_open(o, second, '[');
        api_close(o, ']');
    }
    api_close(o, '}');
}

static int is_session(const api_row *row)
{
    return row->reply == &api_shape_session || row->reply == &api_shape_session_made;
}

/* A session begins with a key and is looked at and ended with its cookie; everything else takes
 * either. What changes something needs the session's token too. */
static void security(api_out *o, const api_row *row)
{
    int begins = is_session(row) && row->method == HTTP_POST;
    api_open(o, "security", '[');
    if (begins || !is_session(row))
        way(o, "key", NULL);
    if (!begins)
        way(o, "session", row->method == HTTP_GET ? NULL : "csrf");
    api_close(o, ']');
}

static void operation(api_out *o, api_call *c, const api_row *row, tp_str surface)
{
    static const char *const verbs[] = {[HTTP_GET] = "get",
                                        [HTTP_POST] = "post",
                                        [HTTP_PUT] = "put",
                                        [HTTP_PATCH] = "patch",
                                        [HTTP_DELETE] = "delete"};
    static const char *const needs[] = {
        [NEED_KEY] = "Any key.",
        [NEED_MANAGEMENT] = "Role management or admin, or a session.",
        [NEED_TEAM] = "Role admin, or management for the key's own team.",
        [NEED_ADMIN] = "Role admin.",
        [NEED_SOCKET] = "The admin socket only."};
    tp_str id = surface.len ? arena_printf(c->mem, "%.*s-%s", STR_ARG(surface), row->operation)
                            : str_of(row->operation);
    api_open(o, verbs[row->method], '{');
    api_text(o, "operationId", id);
    text(o, "summary", row->about);
    text(o, "description", needs[row->need]);
    api_open(o, "tags", '[');
    api_text(o, NULL, surface.len ? surface : STR("admin"));
    api_close(o, ']');
    security(o, row);
    api_open(o, "parameters", '[');
    path_parameters(o, row->pattern);
    query_parameters(o, row->query);
    api_close(o, ']');
    if (row->body) {
        api_open(o, "requestBody", '{');
        api_bool(o, "required", 1);
        json_content(o);
        ref(o, "schema", row->body->name, strlen(row->body->name));
        api_close(o, '}');
        api_close(o, '}');
        api_close(o, '}');
    }
    responses(o, row);
    api_close(o, '}');
}

/* All rows of one mount under one base; rows of one pattern share a path and follow each other or
 * not: each pattern is written where it stands first. */
static void mount(api_out *o, api_call *c, int32_t kind, tp_str base, tp_str surface)
{
    uint32_t count;
    const api_row *rows = api_rows(&count);
    for (uint32_t i = 0; i < count; i++) {
        int first = rows[i].mount == kind;
        for (uint32_t k = 0; first && k < i; k++)
            first = rows[k].mount != kind || strcmp(rows[k].pattern, rows[i].pattern) != 0;
        if (!first)
            continue;
        const char *path = api_z(c, path_of(c, base, &rows[i]));
        api_open(o, path, '{');
        for (uint32_t k = i; k < count; k++)
            if (rows[k].mount == kind && strcmp(rows[k].pattern, rows[i].pattern) == 0)
                operation(o, c, &rows[k], surface);
        api_close(o, '}');
    }
}

static void paths(api_out *o, api_call *c)
{
    static const int32_t kinds[] = {WORLD_KEYS, WORLD_KEY_SELF, WORLD_AUTH, WORLD_CREDITS,
                                    WORLD_GENERATION};
    api_open(o, "paths", '{');
    for (uint32_t i = 0; i < c->conf->surface_count; i++) {
        const conf_surface *s = &c->conf->surfaces[i];
        for (uint32_t k = 0; s->enabled && k < TP_COUNT(kinds); k++)
            if (s->manage & manage_bit(kinds[k]))
                mount(o, c, kinds[k], s->base_path, s->name);
    }
    mount(o, c, WORLD_ADMIN, STR(""), STR_NONE);
    api_close(o, '}');
}

static void error_schema(api_out *o)
{
    api_open(o, "Error", '{');
    text(o, "type", "object");
    api_open(o, "properties", '{');
    api_open(o, "error", '{');
    text(o, "type", "object");
    api_open(o, "properties", '{');
    api_open(o, "message", '{');
    text(o, "type", "string");
    api_close(o, '}');
    api_close(o, '}');
    api_open(o, "required", '[');
    text(o, NULL, "message");
    api_close(o, ']');
    text(o, "description", "With type, param and code as far as the surface's envelope has them.");
    api_close(o, '}');
    api_close(o, '}');
    api_open(o, "required", '[');
    text(o, NULL, "error");
    api_close(o, ']');
    api_close(o, '}');
}

static void api_key_scheme(api_out *o, const char *scheme, const char *in, const char *name)
{
    api_open(o, scheme, '{');
    text(o, "type", "apiKey");
    text(o, "in", in);
    text(o, "name", name);
    api_close(o, '}');
}

static void components(api_out *o)
{
    uint32_t count;
    const api_row *rows = api_rows(&count);
    api_open(o, "components", '{');
    api_open(o, "schemas", '{');
    error_schema(o);
    for (uint32_t i = 0; api_shapes[i]; i++)
        shape_schema(o, api_shapes[i]);
    body_schema(o, &api_policy);
    for (uint32_t i = 0; i < count; i++) {
        int first = rows[i].body != NULL;
        for (uint32_t k = 0; first && k < i; k++)
            first = rows[k].body != rows[i].body;
        if (first)
            body_schema(o, rows[i].body);
    }
    api_close(o, '}');
    api_open(o, "securitySchemes", '{');
    api_open(o, "key", '{');
    text(o, "type", "http");
    text(o, "scheme", "bearer");
    api_close(o, '}');
    api_key_scheme(o, "session", "cookie", "turnpike_session");
    api_key_scheme(o, "csrf", "header", "X-CSRF-Token");
    api_close(o, '}');
    api_close(o, '}');
}

int api_openapi(api_call *c)
{
    api_out o = api_out_of(c);
    api_open(&o, NULL, '{');
    text(&o, "openapi", "3.1.0");
    api_open(&o, "info", '{');
    text(&o, "title", "Turnpike management API");
    text(&o, "version", TURNPIKE_VERSION);
    text(&o, "description",
         "Keys, credits and generations on the surfaces; teams, credits, keys, provider keys, "
         "generations and the ledger under /admin.");
    api_close(&o, '}');
    paths(&o, c);
    components(&o);
    api_close(&o, '}');
    return o.rc;
}
