/* turnpike catalog import: public data sets on models -> snippets in conf.d. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/str.h"
#include "cli/catalog_files.h"
#include "cli/cli.h"
#include "cli/govern.h"

typedef struct work {
    const cli_call *c;
    char dir[4096], rules[8192], today[16];
    arena mem;
    catalog_dir before;
    catalog_request request;
    catalog_import made;
    tp_error err;
    buf out;
} work;

static int flag(const work *w, const char *name)
{
    return cli_call_value(w->c, name) != NULL;
}

/* --output, or the conf.d that a gateway of --config reads. */
static void find_dir(work *w)
{
    const char *output = cli_call_value(w->c, "output");
    const char *dir = w->c->dir ? w->c->dir : cli_default_config();
    struct stat st;
    snprintf(w->dir, sizeof(w->dir), "%s/conf.d", dir);
    if (output || stat(w->dir, &st))
        snprintf(w->dir, sizeof(w->dir), "%s", output ? output : dir);
}

static int read_source(work *w, const char *option, catalog_text *out)
{
    char as_of[64];
    const char *path = cli_call_value(w->c, option);
    snprintf(as_of, sizeof(as_of), "%s-as-of", option);
    out->file = path;
    out->as_of = str_of(cli_call_value(w->c, as_of));
    if (out->as_of.len > 200 || str_has_control(out->as_of))
        return tp_error_set(&w->err, TP_ERROR_CONFIG,
                            "--%s: expected a date or a commit, on one line", as_of);
    return path ? catalog_file_read(path, &w->mem, &out->text, &w->err) : 0;
}

/* --rules, or those that lie beside the snippets. */
static int read_rules(work *w)
{
    const char *path = cli_call_value(w->c, "rules");
    if (!path) {
        snprintf(w->rules, sizeof(w->rules), "%s/catalog-rules.jsonc", w->dir);
        path = w->rules;
        if (access(path, F_OK))
            return 0;
    }
    w->request.rules.file = path;
    return catalog_file_read(path, &w->mem, &w->request.rules.text, &w->err);
}

/* --providers; or those of the directory's snippets, for a deployment of any other would be an
 * error there; or all, in a directory that has none. */
static void find_providers(work *w)
{
    const char *list = cli_call_value(w->c, "providers");
    catalog_request *r = &w->request;
    const char *const *known = catalog_import_providers();
    tp_str *names = arena_alloc(&w->mem, 4096 * sizeof(*names));
    TP_MUST(names);
    r->providers = names;
    for (tp_str rest = str_of(list); rest.len && r->provider_count < 4096;) {
        size_t n = str_find(rest, ',');
        names[r->provider_count++] = str_trim(str_make(rest.ptr, n));
        rest = str_skip(rest, n + 1);
    }
    for (; !list && *known; known++)
        for (uint32_t i = 0; i < w->before.provider_count; i++)
            if (str_eq(w->before.providers[i], str_of(*known))) {
                names[r->provider_count++] = str_of(*known);
                break;
            }
}

/* Lines, each made safe to show. */
static void say(const work *w, buf *to, tp_str lines)
{
    (void)w;
    while (lines.len) {
        size_t n = str_find(lines, '\n');
        cli_clean(to, str_make(lines.ptr, n));
        buf_adds(to, STR("\n"));
        lines = str_skip(lines, n + 1);
    }
}

static void say_remarks(work *w)
{
    static const char *const kinds[CATALOG_REMARK_KINDS] = {
        "", "prices on which the data sets differ", "prices rounded", "models left out",
        "rules that apply to nothing"};
    for (int kind = 1; kind < CATALOG_REMARK_KINDS; kind++) {
        uint32_t n = 0;
        for (uint32_t i = 0; i < w->made.remark_count; i++) {
            const catalog_remark *r = &w->made.remarks[i];
            if (r->kind != kind)
                continue;
            n++;
            if (flag(w, "verbose") || kind == CATALOG_RULE)
                say(w, &w->out, r->text);
        }
        if (n)
            buf_printf(&w->out, "%u %s%s\n", n, kinds[kind],
                       flag(w, "verbose") || kind == CATALOG_RULE ? "" : "; --verbose names them");
    }
}

static int is_listed(const tp_str *list, uint32_t count, tp_str name)
{
    for (uint32_t i = 0; i < count; i++)
        if (str_eq(list[i], name))
            return 1;
    return 0;
}

/* What somebody wrote or edited keeps its name. */
static void spare_edited(work *w)
{
    catalog_import *m = &w->made;
    const catalog_dir *d = &w->before;
    uint32_t n = 0;
    for (uint32_t i = 0; i < d->edited_count; i++)
        buf_printf(
            &w->out,
            "%.*s was edited since it was made: it is left as it is, and what belongs into it "
            "is left out; --force makes it anew\n",
            STR_ARG(d->edited[i]));
    for (uint32_t i = 0; i < m->snippet_count; i++) {
        if (is_listed(d->others, d->other_count, m->snippets[i].name))
            buf_printf(&w->out, "%.*s was not made by the importer: it is left as it is\n",
                       STR_ARG(m->snippets[i].name));
        else if (!is_listed(d->edited, d->edited_count, m->snippets[i].name))
            m->snippets[n++] = m->snippets[i];
    }
    m->snippet_count = n;
}

/* The report. *differs: whether there is anything to write. */
static int compare(work *w, int *differs)
{
    const catalog_import *m = &w->made;
    uint32_t counts[3], models = 0, deployments = 0, same = 0;
    buf lines;
    catalog_text *now = arena_zalloc(&w->mem, (m->snippet_count + 1) * sizeof(*now));
    TP_MUST(now);
    for (uint32_t i = 0; i < m->snippet_count; i++) {
        now[i].file = "the new snippet";
        now[i].text = m->snippets[i].text;
        models += m->snippets[i].models;
        deployments += m->snippets[i].deployments;
        for (uint32_t k = 0; k < w->before.ours_count; k++)
            same += str_eq(w->before.ours[k].text, now[i].text) &&
                    str_eq(str_of(w->before.ours[k].file), m->snippets[i].name);
    }
    *differs = same != m->snippet_count || same != w->before.ours_count;
    buf_init(&lines, SIZE_MAX);
    int rc = catalog_import_compare(w->before.ours, w->before.ours_count, now, m->snippet_count,
                                    &lines, counts, &w->err);
    if (rc == 0) {
        say(w, &w->out, buf_str(&lines));
        say_remarks(w);
        buf_printf(&w->out,
                   "%u models with %u deployments in %u snippets: %u added, %u changed, %u gone\n",
                   models, deployments, m->snippet_count, counts[0], counts[2], counts[1]);
    }
    buf_free(&lines);
    return rc;
}

static int work_through(work *w, int *differs)
{
    catalog_request *r = &w->request;
    int rc = read_source(w, "litellm", &r->litellm);
    rc = rc ? rc : read_source(w, "models-dev", &r->models_dev);
    rc = rc ? rc : read_rules(w);
    rc = rc ? rc : catalog_dir_read(w->dir, flag(w, "force"), &w->before, &w->err);
    if (rc)
        return rc;
    find_providers(w);
    r->taken = w->before.names;
    r->taken_count = w->before.name_count;
    r->today = str_of(w->today);
    rc = catalog_import_make(r, &w->made, &w->err);
    if (rc)
        return rc;
    if (!w->made.snippet_count) /* rather a wrong file than the end of all models */
        return tp_error_set(&w->err, TP_ERROR_PARSE,
                            "the data has no model of these providers; are --litellm and "
                            "--models-dev the right files?");
    spare_edited(w);
    rc = compare(w, differs);
    if (rc == 0 && *differs && !flag(w, "dry-run") && !flag(w, "check"))
        rc = catalog_dir_write(&w->before, w->made.snippets, w->made.snippet_count, &w->err);
    return rc;
}

static int run(const cli_call *c)
{
    work w = {.c = c};
    int differs = 0;
    time_t now = time(NULL);
    struct tm day;
    const char *date = cli_call_value(c, "date");
    gmtime_r(&now, &day);
    strftime(w.today, sizeof(w.today), "%Y-%m-%d", &day);
    if (date)
        snprintf(w.today, sizeof(w.today), "%s", date);
    find_dir(&w);
    arena_init(&w.mem, NULL, SIZE_MAX);
    arena_init(&w.before.mem, NULL, SIZE_MAX);
    arena_init(&w.made.mem, NULL, SIZE_MAX);
    buf_init(&w.out, SIZE_MAX);
    int rc = work_through(&w, &differs);
    if (rc) {
        fprintf(stderr, "turnpike catalog import: %s\n", w.err.text);
        rc = rc == TP_ERROR_CONFIG ? 2 : 1;
    } else {
        if (differs && !flag(&w, "dry-run") && !flag(&w, "check"))
            buf_printf(&w.out, "Wrote %s; turnpike check says whether all is right there.\n",
                       w.dir);
        else if (!differs)
            buf_adds(&w.out, STR("Nothing to write.\n"));
        rc = cli_put("catalog import", buf_str(&w.out));
        if (rc == 0 && flag(&w, "check") && differs)
            rc = 1;
    }
    buf_free(&w.out);
    catalog_import_free(&w.made);
    catalog_dir_free(&w.before);
    arena_reset(&w.mem);
    return rc;
}

static const cli_verb verbs[] = {
    {"import", "", run, "write snippets of models, with prices and limits, from public data sets"},
};
#define FIELD(name_, value_, kind_, help_)                                                         \
    {                                                                                              \
        .name = name_, .value = value_, .kind = kind_, .where = CLI_OWN, .verbs = 1, .help = help_ \
    }
static const cli_field fields[] = {
    FIELD("litellm", "FILE", CLI_TEXT, "LiteLLM's model_prices_and_context_window.json"),
    FIELD("litellm-as-of", "TEXT", CLI_TEXT, "its date or commit, for the snippets' heads"),
    FIELD("models-dev", "FILE", CLI_TEXT, "the api.json of models.dev"),
    FIELD("models-dev-as-of", "TEXT", CLI_TEXT, "its date or commit"),
    FIELD("rules", "FILE", CLI_TEXT,
          "what to leave out, take in and rename; default "
          "catalog-rules.jsonc in the output directory"),
    FIELD("providers", "A,B", CLI_LIST,
          "only deployments of these; default those that the output "
          "directory defines"),
    FIELD("output", "DIR", CLI_TEXT, "where the snippets go; default the gateway's conf.d"),
    FIELD("date", "DAY", CLI_TEXT, "models whose end came before it are left out; default today"),
    FIELD("dry-run", "", CLI_FLAG, "say what would change; write nothing"),
    FIELD("check", "", CLI_FLAG, "the same, with exit status 1 when something would"),
    FIELD("force", "", CLI_FLAG, "make snippets anew that were edited since they were made"),
    FIELD("verbose", "", CLI_FLAG, "name each model left out and each price that is in doubt"),
};

const cli_group cli_catalog_group = {.name = "catalog",
                                     .help =
                                         "models with their prices and limits, from public data",
                                     .verbs = verbs,
                                     .fields = fields,
                                     .verb_count = TP_COUNT(verbs),
                                     .field_count = TP_COUNT(fields),
                                     .no_json = 1};
