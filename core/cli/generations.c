/* turnpike generations: what was asked and answered, newest first. */
#include "base/str.h"
#include "cli/govern.h"

enum { LIST = 1 };
#define ROWS 50

static const cli_field fields[] = {
    {.name = "team",
     .value = "TEAM",
     .kind = CLI_TEXT,
     .where = CLI_QUERY,
     .member = "team",
     .verbs = LIST,
     .help = "only those of this team"},
    {.name = "key",
     .value = "ID",
     .kind = CLI_TEXT,
     .where = CLI_QUERY,
     .member = "key",
     .verbs = LIST,
     .help = "only those of this key"},
    {.name = "model",
     .value = "MODEL",
     .kind = CLI_TEXT,
     .where = CLI_QUERY,
     .member = "model",
     .verbs = LIST,
     .help = "only those that asked for or were served by it"},
    {.name = "provider",
     .value = "NAME",
     .kind = CLI_TEXT,
     .where = CLI_QUERY,
     .member = "provider",
     .verbs = LIST,
     .help = "only those of this provider"},
    {.name = "status",
     .value = "STATUS",
     .kind = CLI_WORD,
     .where = CLI_QUERY,
     .member = "status",
     .verbs = LIST,
     .words = "completed|failed|cancelled",
     .help = "completed, failed or cancelled"},
    {.name = "from",
     .value = "WHEN",
     .kind = CLI_SINCE,
     .where = CLI_QUERY,
     .member = "from",
     .verbs = LIST,
     .help = "from this day or moment on (UTC): 2026-04-15, 2026-04-15T10:30:00Z"},
    {.name = "to",
     .value = "WHEN",
     .kind = CLI_UNTIL,
     .where = CLI_QUERY,
     .member = "to",
     .verbs = LIST,
     .help = "until the end of this day, or before this moment"},
    {.name = "limit",
     .value = "N",
     .kind = CLI_MANY,
     .where = CLI_OWN,
     .verbs = LIST,
     .help = "how many; 50 when not said, 0: all"},
};

static const cli_column columns[] = {
    {.head = "ID"},
    {.head = "CREATED (UTC)"},
    {.head = "TEAM", .widest = 20},
    {.head = "KEY", .widest = 20},
    {.head = "MODEL", .widest = 32},
    {.head = "PROVIDER", .widest = 16},
    {.head = "STATUS"},
    {.head = "TOKENS IN", .right = 1},
    {.head = "OUT", .right = 1},
    {.head = "COST (USD)", .right = 1},
    {.head = "MS", .right = 1},
};

static void row(cli_answer *a, uint32_t g, cli_table *t)
{
    tp_str name = cli_answer_text(a, g, "key_name"), model = cli_answer_text(a, g, "model_served");
    cli_cell(a, g, "id", t);
    cli_cell_moment(a, g, "created_at", t);
    cli_cell(a, g, "team", t);
    cli_table_cell(t, name.len ? name : cli_answer_text(a, g, "key"));
    cli_table_cell(t, model.len ? model : cli_answer_text(a, g, "model"));
    cli_cell(a, g, "provider", t);
    cli_cell(a, g, "status", t);
    cli_cell(a, g, "tokens_prompt", t);
    cli_cell(a, g, "tokens_completion", t);
    cli_cell(a, g, "cost", t);
    cli_cell(a, g, "latency_ms", t);
}

static int list(const cli_call *c)
{
    buf target;
    int64_t most = ROWS;
    const char *limit = cli_call_value(c, "limit");
    if (limit)
        TP_MUST(str_to_i64(str_of(limit), &most) == 0);
    cli_target(&target, c, "generations", NULL, NULL);
    int rc = cli_list_print(c, buf_str(&target), most, columns, TP_COUNT(columns), row,
                            "There are no generations of this kind.");
    buf_free(&target);
    return rc;
}

static int show(const cli_call *c)
{
    buf target;
    cli_target(&target, c, "generations", c->args[0], NULL);
    int rc = cli_ask_print(c, "GET", buf_str(&target), STR_NONE, NULL);
    buf_free(&target);
    return rc;
}

static const cli_verb verbs[] = {
    {"list", "", list, "the newest first"},
    {"show", "ID", show, "one, with all that is known of it"},
};

const cli_group cli_generations_group = {.name = "generations",
                                         .help = "what was asked, answered and charged",
                                         .verbs = verbs,
                                         .verb_count = TP_COUNT(verbs),
                                         .fields = fields,
                                         .field_count = TP_COUNT(fields)};
