/* Command lines: understanding them by a group's table, and writing what they ask for. */
#include "cli/options.h"

#include <stdio.h>
#include <string.h>

#include "base/str.h"
#include "cli/values.h"
#include "model/json.h"

static uint32_t verb_bit(const cli_call *c)
{
    return 1u << (uint32_t)(c->verb - c->group->verbs);
}

/* ---- Understanding. */

static int wrong(const cli_call *c, tp_error *err, const char *what)
{
    buf b;
    buf_init(&b, 64u << 10);
    cli_verb_usage(c->group, c->verb, &b);
    tp_error_set(err, TP_ERROR_CONFIG,
                 "turnpike %s%s%s: %s\nexpected: %.*s\n(turnpike %s help "
                 "lists the options)",
                 c->group->name, c->verb->name[0] ? " " : "", c->verb->name, what, (int)b.len,
                 b.ptr, c->group->name);
    buf_free(&b);
    return TP_ERROR_CONFIG;
}

static const cli_field *nearest(const cli_call *c, tp_str name)
{
    const cli_field *best = NULL;
    unsigned least = 3;
    for (uint32_t i = 0; i < c->group->field_count; i++) {
        const cli_field *f = &c->group->fields[i];
        unsigned far = str_distance(name, str_of(f->name));
        if ((f->verbs & verb_bit(c)) && far < least) {
            least = far;
            best = f;
        }
    }
    return best;
}

static int unknown_option(const cli_call *c, tp_str name, tp_error *err)
{
    char what[512];
    const cli_field *f = nearest(c, name);
    snprintf(what, sizeof(what), "there is no option --%.*s%s%s%s", (int)TP_MIN(name.len, 100),
             name.ptr, f ? ": did you mean --" : "", f ? f->name : "", f ? "?" : "");
    return wrong(c, err, what);
}

static int check_value(const cli_call *c, const cli_field *f, const char *value, tp_error *err)
{
    char what[512];
    const char *expected;
    tp_str s = str_of(value);
    if (f->none && strcmp(c->verb->name, "update") == 0 && strcmp(value, f->none) == 0)
        return 0;
    expected = cli_value_fault(f, s);
    if (!expected)
        return 0;
    int update = f->none && strcmp(c->verb->name, "update") == 0;
    int meant = f->none && strcmp(value, f->none) == 0; /* where there is nothing to take away */
    snprintf(what, sizeof(what), "--%s %.60s: expected %s%s%s%s", f->name,
             value[0] ? value : "''", expected, f->kind == CLI_WORD ? f->words : "",
             update  ? ", or "
             : meant ? ", or on update "
                     : "",
             update || meant ? f->none : "");
    return wrong(c, err, what);
}

/* argv[*i] begins with "--". */
static int take_option(cli_call *c, int argc, char **argv, int *i, tp_error *err)
{
    const char *text = argv[*i] + 2, *equals = strchr(text, '='), *value = NULL;
    tp_str name = str_make(text, equals ? (size_t)(equals - text) : strlen(text));
    const cli_field *f = NULL;
    uint32_t at = 0;
    char what[300];
    int config = str_eq(name, STR("config"));
    if (str_eq(name, STR("json")) && !c->group->no_json) {
        c->json = 1;
        return equals ? wrong(c, err, "--json takes no value") : 0;
    }
    for (uint32_t k = 0; k < c->group->field_count && !f; k++)
        if ((c->group->fields[k].verbs & verb_bit(c)) &&
            str_eq(name, str_of(c->group->fields[k].name))) {
            f = &c->group->fields[k];
            at = k;
        }
    if (!f && !config)
        return unknown_option(c, name, err);
    int flag = f && f->kind == CLI_FLAG;
    if (flag && equals) {
        snprintf(what, sizeof(what), "--%s takes no value", f->name);
        return wrong(c, err, what);
    }
    if (flag)
        value = "true";
    else if (equals)
        value = equals + 1;
    else if (*i + 1 < argc)
        value = argv[++*i];
    snprintf(what, sizeof(what), "--%.*s %s", (int)TP_MIN(name.len, 100), name.ptr,
             value ? "is given twice" : "has no value");
    if (!value || (config ? c->dir != NULL : c->values[at] != NULL))
        return wrong(c, err, what);
    if (config) { /* empty: a variable of a script's that is not set, not the default directory */
        c->dir = value;
        return value[0] ? 0 : wrong(c, err, "--config '': expected a directory");
    }
    c->values[at] = value;
    return check_value(c, f, value, err);
}

static uint32_t args_most(const char *args)
{
    uint32_t n = args[0] ? 1 : 0;
    for (const char *p = args; *p; p++)
        n += *p == ' ';
    return n;
}

static uint32_t args_least(const char *args)
{
    const char *optional = strchr(args, '[');
    uint32_t n = args_most(args);
    return optional ? n - args_most(optional) : n;
}

static int check_all_there(const cli_call *c, tp_error *err)
{
    char what[300];
    for (uint32_t i = 0; i < c->group->field_count; i++) {
        const cli_field *f = &c->group->fields[i];
        if ((f->needed & verb_bit(c)) && !c->values[i]) {
            snprintf(what, sizeof(what), "--%s %s is missing", f->name, f->value);
            return wrong(c, err, what);
        }
    }
    if (c->arg_count < args_least(c->verb->args)) {
        tp_str rest = str_of(c->verb->args);
        for (uint32_t i = 0; i < c->arg_count; i++)
            rest = str_skip(rest, str_find(rest, ' ') + 1);
        snprintf(what, sizeof(what), "%.*s is missing", (int)str_find(rest, ' '), rest.ptr);
        return wrong(c, err, what);
    }
    for (uint32_t i = 0; i < c->arg_count; i++)
        if (!c->args[i][0] || !json_utf8_valid(str_of(c->args[i])))
            return wrong(c, err, "an argument is empty or not UTF-8");
    return 0;
}

static int is_help(const char *s)
{
    return strcmp(s, "help") == 0 || strcmp(s, "--help") == 0 || strcmp(s, "-h") == 0;
}

/* "-5" is an amount, "--5" and "-x" are options. */
static int is_option(const char *s)
{
    return s[0] == '-' && s[1] && !(s[1] >= '0' && s[1] <= '9') && s[1] != '.';
}

static int find_verb(const cli_group *g, const char *name, cli_call *out, tp_error *err)
{
    const char *best = NULL;
    unsigned least = 3;
    for (uint32_t i = 0; i < g->verb_count; i++) {
        unsigned far = str_distance(str_of(name), str_of(g->verbs[i].name));
        if (strcmp(name, g->verbs[i].name) == 0) {
            out->verb = &g->verbs[i];
            return 0;
        }
        if (far < least) {
            least = far;
            best = g->verbs[i].name;
        }
    }
    buf b;
    buf_init(&b, 4096);
    for (uint32_t i = 0; i < g->verb_count; i++)
        buf_printf(&b, "%s%s", i ? ", " : "", g->verbs[i].name);
    tp_error_set(err, TP_ERROR_CONFIG,
                 "turnpike %s: there is no '%.60s'%s%s%s\nexpected: one of %.*s; see turnpike %s "
                 "help",
                 g->name, name, best ? ": did you mean '" : "", best ? best : "", best ? "'?" : "",
                 (int)b.len, b.ptr, g->name);
    buf_free(&b);
    return TP_ERROR_CONFIG;
}

int cli_call_parse(const cli_group *g, int argc, char **argv, cli_call *out, tp_error *err)
{
    int named = g->verb_count > 1 || g->verbs[0].name[0], only_args = 0, rc = 0;
    *out = (cli_call){.group = g, .verb = g->verbs};
    TP_MUST(g->field_count <= CLI_FIELDS);
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0 ||
            (i == 1 && is_help(argv[i])))
            return 1;
        if (strcmp(argv[i], "--") == 0)
            break;
    }
    if (named && (argc < 2 || find_verb(g, argv[1], out, err) != 0))
        return argc < 2 ? 1 : TP_ERROR_CONFIG;
    for (int i = named ? 2 : 1; i < argc && rc == 0; i++) {
        if (!only_args && strcmp(argv[i], "--") == 0)
            only_args = 1;
        else if (!only_args && strncmp(argv[i], "--", 2) == 0)
            rc = take_option(out, argc, argv, &i, err);
        else if ((!only_args && is_option(argv[i])) ||
                 out->arg_count >= TP_MIN(args_most(out->verb->args), CLI_ARGS)) {
            char what[200];
            snprintf(what, sizeof(what), "'%.100s' is not understood", argv[i]);
            rc = wrong(out, err, what);
        } else {
            out->args[out->arg_count++] = argv[i];
        }
    }
    return rc == 0 ? check_all_there(out, err) : rc;
}

const char *cli_call_value(const cli_call *c, const char *name)
{
    for (uint32_t i = 0; i < c->group->field_count; i++)
        if (c->values[i] && strcmp(c->group->fields[i].name, name) == 0)
            return c->values[i];
    return NULL;
}

/* ---- Writing what was asked for. */

static int is_none(const cli_call *c, const cli_field *f, const char *value)
{
    return f->none && strcmp(c->verb->name, "update") == 0 && strcmp(value, f->none) == 0;
}

int cli_call_body(const cli_call *c, tp_str first, buf *out, uint32_t *count)
{
    tp_str open = STR_NONE; /* the object within the body that is being written: "policy" */
    int comma = first.len > 0;
    buf_adds(out, STR("{"));
    int rc = buf_adds(out, first);
    *count = 0;
    for (uint32_t i = 0; i < c->group->field_count && rc == 0; i++) {
        const cli_field *f = &c->group->fields[i];
        if (f->where != CLI_BODY || !c->values[i])
            continue;
        tp_str path = str_of(f->member);
        size_t dot = str_find(path, '.');
        tp_str outer = dot < path.len ? str_make(path.ptr, dot) : STR_NONE;
        tp_str inner = dot < path.len ? str_skip(path, dot + 1) : path;
        if (open.len && !str_eq(open, outer)) {
            buf_adds(out, STR("}"));
            open = STR_NONE;
        }
        if (comma)
            buf_adds(out, STR(","));
        if (outer.len && !open.len) {
            buf_json_string(out, outer);
            buf_adds(out, STR(":{"));
            open = outer;
        }
        buf_json_string(out, inner);
        buf_adds(out, STR(":"));
        rc = is_none(c, f, c->values[i]) ? buf_adds(out, STR("null"))
                                         : cli_value_json(f, str_of(c->values[i]), out);
        comma = 1;
        *count += 1;
    }
    if (open.len)
        buf_adds(out, STR("}"));
    return rc == 0 ? buf_adds(out, STR("}")) : rc;
}

int cli_call_query(const cli_call *c, buf *out)
{
    int rc = 0;
    char sign = '?';
    for (uint32_t i = 0; i < c->group->field_count && rc == 0; i++) {
        const cli_field *f = &c->group->fields[i];
        int64_t ms;
        if (f->where != CLI_QUERY || !c->values[i])
            continue;
        buf_printf(out, "%c%s=", sign, f->member);
        sign = '&';
        if (f->kind == CLI_SINCE || f->kind == CLI_UNTIL) {
            TP_MUST(cli_moment_parse(str_of(c->values[i]), f->kind == CLI_UNTIL, &ms) == 0);
            rc = buf_printf(out, "%lld", (long long)ms);
        } else {
            rc = cli_encode(out, str_of(c->values[i]));
        }
    }
    return rc;
}

int cli_encode(buf *out, tp_str s)
{
    int rc = 0;
    for (size_t i = 0; i < s.len && rc == 0; i++) {
        unsigned char ch = (unsigned char)s.ptr[i];
        int plain = (ch >= '0' && ch <= '9') || (ch >= 'a' && ch <= 'z') ||
                    (ch >= 'A' && ch <= 'Z') || ch == '-' || ch == '.' || ch == '_' || ch == '~';
        rc = plain ? buf_add(out, &ch, 1) : buf_printf(out, "%%%02X", ch);
    }
    return rc;
}

/* ---- Help. */

void cli_verb_usage(const cli_group *g, const cli_verb *v, buf *out)
{
    uint32_t bit = 1u << (uint32_t)(v - g->verbs);
    int others = 0;
    buf_printf(out, "turnpike %s", g->name);
    if (v->name[0])
        buf_printf(out, " %s", v->name);
    if (v->args[0])
        buf_printf(out, " %s", v->args);
    for (uint32_t i = 0; i < g->field_count; i++) {
        if (g->fields[i].needed & bit)
            buf_printf(out, " --%s %s", g->fields[i].name, g->fields[i].value);
        else
            others |= (g->fields[i].verbs & bit) != 0;
    }
    if (others)
        buf_adds(out, STR(" [options]"));
}

/* "--rate-limit N|none": the word is taken on update. */
static void field_help(const cli_group *g, const cli_field *f, buf *out)
{
    char left[64];
    const char *between = "(";
    snprintf(left, sizeof(left), "--%s%s%s%s%s", f->name, f->value[0] ? " " : "", f->value,
             f->none ? "|" : "",
             f->none ? f->none : "");
    buf_printf(out, "  %-28s %s ", left, f->help);
    for (uint32_t i = 0; i < g->verb_count; i++)
        if (f->verbs & (1u << i)) {
            buf_printf(out, "%s%s", between, g->verbs[i].name);
            between = ", ";
        }
    buf_adds(out, STR(")\n"));
}

/* The words that stand for "no value of its own", each once. */
static void none_help(const cli_group *g, buf *out)
{
    const char *between = "\nOn update ";
    int any = 0;
    for (uint32_t i = 0; i < g->field_count; i++) {
        const char *word = g->fields[i].none;
        int said = 0;
        for (uint32_t k = 0; k < i && word && !said; k++)
            said = g->fields[k].none && strcmp(g->fields[k].none, word) == 0;
        if (!word || said)
            continue;
        buf_printf(out, "%s'%s'", between, word);
        between = ", ";
        any = 1;
    }
    if (any)
        buf_adds(out, STR(" take the value away: what stands behind it counts again.\n"));
}

void cli_group_help(const cli_group *g, buf *out)
{
    buf_printf(out, "turnpike %s: %s\n\n", g->name, g->help);
    for (uint32_t i = 0; i < g->verb_count; i++) {
        buf_adds(out, STR("  "));
        cli_verb_usage(g, &g->verbs[i], out);
        buf_printf(out, "\n      %s\n", g->verbs[i].help);
    }
    buf_adds(out, STR("\nOptions:\n"));
    for (uint32_t i = 0; i < g->field_count; i++)
        field_help(g, &g->fields[i], out);
    buf_adds(out,
             STR("  --config DIR                 the gateway's directory, as of turnpike serve\n"));
    if (!g->no_json)
        buf_adds(out,
                 STR("  --json                       print the management API's answer as it is\n"));
    none_help(g, out);
}

void cli_group_line(const cli_group *g, buf *out)
{
    char left[128];
    buf names;
    buf_init(&names, 1024);
    for (uint32_t i = 0; i < g->verb_count; i++)
        buf_printf(&names, "%s%s", i ? "|" : "", g->verbs[i].name);
    if (!g->verbs[0].name[0])
        buf_printf(&names, "%s", g->verbs[0].args);
    snprintf(left, sizeof(left), "turnpike %s %.*s", g->name, (int)names.len, names.ptr);
    buf_printf(out,
               strlen(left) < 32 ? "  %-31s %s\n" : "  %s\n                                  %s\n",
               left, g->help);
    buf_free(&names);
}
