#include "cli/govern.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "admit/secret.h"
#include "base/str.h"

static const cli_group *const groups[] = {
    &cli_keys_group, &cli_teams_group,       &cli_credits_group, &cli_ledger_group,
    &cli_byok_group, &cli_generations_group, &cli_backup_group,  &cli_catalog_group};

/* A descriptor of the three that the caller closed would be given to the next file opened: the
 * store's, and a table be printed into it. Opened for reading, so that writing fails. */
static void hold_descriptors(void)
{
    int fd;
    do
        fd = open("/dev/null", O_RDONLY);
    while (fd >= 0 && fd <= STDERR_FILENO);
    if (fd >= 0)
        close(fd);
}

static int print_help(const cli_group *g)
{
    buf b;
    buf_init(&b, 1u << 20);
    cli_group_help(g, &b);
    int rc = cli_put(g->name, buf_str(&b));
    buf_free(&b);
    return rc;
}

static int run_group(const cli_group *g, int argc, char **argv)
{
    cli_call c;
    tp_error err = {0};
    /* A reader that goes away is an error of writing, told apart where it matters: what was begun
     * with the store is ended properly. */
    signal(SIGPIPE, SIG_IGN);
    hold_descriptors();
    int rc = cli_call_parse(g, argc, argv, &c, &err);
    if (rc < 0) {
        fprintf(stderr, "%s\n", err.text);
        return 2;
    }
    if (rc > 0) {
        rc = print_help(g);
        return argc < 2 ? 2 : rc;
    }
    return c.verb->run(&c);
}

int cli_govern(int argc, char **argv)
{
    for (size_t i = 0; i < TP_COUNT(groups); i++)
        if (strcmp(argv[0], groups[i]->name) == 0)
            return run_group(groups[i], argc, argv);
    return -1;
}

int cli_govern_is(const char *name)
{
    for (size_t i = 0; i < TP_COUNT(groups); i++)
        if (strcmp(name, groups[i]->name) == 0)
            return 1;
    return 0;
}

const char *cli_govern_nearest(const char *name, unsigned *least)
{
    const char *best = NULL;
    for (size_t i = 0; i < TP_COUNT(groups); i++) {
        unsigned far = str_distance(str_of(name), str_of(groups[i]->name));
        if (far < *least) {
            *least = far;
            best = groups[i]->name;
        }
    }
    return best;
}

void cli_govern_help(buf *out)
{
    for (size_t i = 0; i < TP_COUNT(groups); i++)
        cli_group_line(groups[i], out);
}

/* ---- What the commands share. */

void cli_target(buf *out, const cli_call *c, const char *what, const char *id, const char *more)
{
    buf_init(out, 64u << 10);
    buf_printf(out, "/admin/%s", what);
    if (id) {
        buf_adds(out, STR("/"));
        cli_encode(out, str_of(id));
    }
    if (more)
        buf_printf(out, "/%s", more);
    TP_MUST(cli_call_query(c, out) == 0);
}

int cli_print_answer(const cli_call *c, tp_str text, cli_print print)
{
    cli_answer a;
    buf out;
    buf_init(&out, SIZE_MAX);
    int rc = 0, readable = cli_answer_read(&a, text) == 0;
    if (c->json) {
        buf_adds(&out, text);
        if (!str_ends(text, STR("\n")))
            rc = buf_adds(&out, STR("\n"));
    } else if (!readable) {
        fprintf(stderr, "turnpike %s: the answer is no JSON: is the gateway of this version?\n",
                c->group->name);
        rc = 1;
    } else {
        rc = print ? print(c, &a, &out) : cli_answer_facts(&a, 0, &out);
    }
    int unwritten = cli_put(c->group->name, buf_str(&out));
    cli_answer_free(&a);
    if (out.ptr)
        secret_wipe(out.ptr, out.len);
    buf_free(&out);
    return rc != 0 || unwritten;
}

int cli_ask_print(const cli_call *c, const char *method, tp_str target, tp_str body,
                  cli_print print)
{
    cli_reply reply;
    int rc = cli_api_once(c, method, target, body, &reply);
    if (rc == 0) {
        rc = cli_print_answer(c, buf_str(&reply.text), print);
        if (rc != 0 && strcmp(method, "GET") != 0) /* who repeats it would do it twice */
            fprintf(stderr,
                    "turnpike %s: it was done all the same; only the answer could not be shown\n",
                    c->group->name);
    }
    buf_free(&reply.text);
    return rc;
}

int cli_list_table(cli_answer *a, uint32_t list, const cli_column *columns, uint32_t count,
                   cli_row row, const char *none, buf *out)
{
    cli_table t;
    uint32_t i = cli_answer_first(a, list);
    if (!i)
        return buf_printf(out, "%s\n", none);
    cli_table_init(&t, columns, count);
    for (; i; i = cli_answer_next(a, list, i))
        row(a, i, &t);
    int rc = cli_table_print(&t, out);
    cli_table_free(&t);
    return rc;
}

int cli_one(const cli_call *c, const char *method, tp_str body, cli_print print)
{
    buf target;
    cli_target(&target, c, c->group->name, c->args[0], NULL);
    int rc = cli_ask_print(c, method, buf_str(&target), body, print);
    buf_free(&target);
    return rc;
}

int cli_change_one(const cli_call *c, cli_print print)
{
    const char *group = c->group->name;
    buf body;
    uint32_t n;
    buf_init(&body, 1u << 20);
    TP_MUST(cli_call_body(c, STR_NONE, &body, &n) == 0);
    if (!n)
        fprintf(stderr, "turnpike %s update: nothing to change was said; turnpike %s help lists "
                        "the options\n",
                group, group);
    int rc = n ? cli_one(c, "PATCH", buf_str(&body), print) : 2;
    buf_free(&body);
    return rc;
}

typedef struct listing {
    const cli_call *c;
    cli_row row;
    cli_table table;
    int32_t begun, more;
} listing;

/* A single page is shown as it came; of several one document is made, page by page. */
static int list_json(void *arg, const cli_page *p)
{
    listing *l = arg;
    cli_answer *a = p->answer;
    buf out;
    int rc;
    if (!l->begun && p->last)
        return cli_print_answer(l->c, p->text, NULL);
    buf_init(&out, SIZE_MAX);
    rc = buf_adds(&out, l->begun ? STR("") : STR("{\"data\":["));
    for (uint32_t i = cli_answer_first(a, p->data); i && rc == 0;
         i = cli_answer_next(a, p->data, i)) {
        rc = buf_adds(&out, l->begun ? STR(",") : STR(""));
        rc = rc ? rc : buf_adds(&out, json_raw(&a->doc, i));
        l->begun = 1;
    }
    if (p->last)
        rc = rc ? rc : buf_printf(&out, "],\"next\":%.*s}\n", STR_ARG(p->next));
    rc = rc != 0 || cli_put(l->c->group->name, buf_str(&out));
    buf_free(&out);
    return rc;
}

static int list_rows(void *arg, const cli_page *p)
{
    listing *l = arg;
    for (uint32_t i = cli_answer_first(p->answer, p->data); i;
         i = cli_answer_next(p->answer, p->data, i))
        l->row(p->answer, i, &l->table);
    l->more = !str_eq(p->next, STR("null"));
    return 0;
}

static int print_rows(const listing *l, const char *none)
{
    buf out;
    buf_init(&out, SIZE_MAX);
    int rc = l->table.cells ? cli_table_print(&l->table, &out) : buf_printf(&out, "%s\n", none);
    rc = rc != 0 || cli_put(l->c->group->name, buf_str(&out));
    buf_free(&out);
    if (rc == 0 && l->more)
        fprintf(stderr, "(there are more: --limit N shows as many, --limit 0 all)\n");
    return rc;
}

int cli_list_print(const cli_call *c, tp_str target, int64_t most, const cli_column *columns,
                   uint32_t count, cli_row row, const char *none)
{
    tp_error err = {0};
    listing l = {.c = c, .row = row};
    cli_api *a = cli_api_open(c->dir, &err);
    if (!a) {
        fprintf(stderr, "turnpike %s: %s\n", c->group->name, err.text);
        return 1;
    }
    cli_table_init(&l.table, columns, count);
    int rc = cli_api_pages(a, c, target, most, c->json ? list_json : list_rows, &l);
    cli_api_close(a);
    if (rc == 0 && !c->json)
        rc = print_rows(&l, none);
    cli_table_free(&l.table);
    return rc;
}

void cli_cell(cli_answer *a, uint32_t object, const char *member, cli_table *t)
{
    cli_table_cell(t, cli_answer_text(a, object, member));
}

void cli_cell_moment(cli_answer *a, uint32_t object, const char *member, cli_table *t)
{
    tp_str s = cli_answer_text(a, object, member);
    if (s.len >= 16 && s.ptr[10] == 'T')
        cli_table_cellf(t, "%.10s %.5s", s.ptr, s.ptr + 11);
    else
        cli_table_cell(t, s);
}

int cli_has_passed(cli_answer *a, uint32_t object, const char *member)
{
    int64_t at;
    return cli_moment_parse(cli_answer_text(a, object, member), 0, &at) == 0 &&
           at <= (int64_t)time(NULL) * 1000;
}
