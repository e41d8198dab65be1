/* turnpike teams: who owns keys and credits, and what they may use. */
#include <stdio.h>

#include "base/str.h"
#include "cli/govern.h"

enum { CREATE = 1, UPDATE = 8, BOTH = CREATE | UPDATE };

static const cli_field fields[] = {
    {.name = "name",
     .value = "NAME",
     .kind = CLI_TEXT,
     .where = CLI_BODY,
     .member = "name",
     .verbs = BOTH,
     .help = "what people call it"},
    {.name = "billing",
     .value = "HOW",
     .kind = CLI_WORD,
     .where = CLI_BODY,
     .member = "billing",
     .verbs = BOTH,
     .words = "prepaid|postpaid",
     .help = "prepaid (as far as its credits go) or postpaid (charged without a limit)"},
    {.name = "tier",
     .value = "TIER",
     .kind = CLI_TEXT,
     .where = CLI_BODY,
     .member = "tier",
     .verbs = BOTH,
     .none = "none",
     .help = "of its keys that name none"},
    {.name = "active",
     .value = "true|false",
     .kind = CLI_YES_NO,
     .where = CLI_BODY,
     .member = "active",
     .verbs = BOTH,
     .help = "false: its keys are refused"},
    {.name = "allow-models",
     .value = "A,B*",
     .kind = CLI_LIST,
     .where = CLI_BODY,
     .member = "policy.allow_models",
     .verbs = BOTH,
     .none = "all",
     .help = "only these models"},
    {.name = "deny-models",
     .value = "A,B*",
     .kind = CLI_LIST,
     .where = CLI_BODY,
     .member = "policy.deny_models",
     .verbs = BOTH,
     .none = "none",
     .help = "never these models"},
    {.name = "allow-providers",
     .value = "A,B*",
     .kind = CLI_LIST,
     .where = CLI_BODY,
     .member = "policy.allow_providers",
     .verbs = BOTH,
     .none = "all",
     .help = "only these providers"},
    {.name = "deny-providers",
     .value = "A,B*",
     .kind = CLI_LIST,
     .where = CLI_BODY,
     .member = "policy.deny_providers",
     .verbs = BOTH,
     .none = "none",
     .help = "never these providers"},
    {.name = "min-trust",
     .value = "0..3",
     .kind = CLI_WHOLE,
     .where = CLI_BODY,
     .member = "policy.min_trust",
     .verbs = BOTH,
     .none = "none",
     .help = "only providers of at least this trust level"},
    {.name = "data-local",
     .value = "true|false",
     .kind = CLI_YES_NO,
     .where = CLI_BODY,
     .member = "policy.data_local",
     .verbs = BOTH,
     .help = "only providers on the operator's own premises"},
};

static int print_team(const cli_call *c, cli_answer *a, buf *out)
{
    (void)c;
    return cli_answer_facts(a, 0, out);
}

static int create(const cli_call *c)
{
    buf body, first;
    uint32_t n;
    buf_init(&body, 1u << 20);
    buf_init(&first, 64u << 10);
    buf_adds(&first, STR("\"id\":"));
    TP_MUST(buf_json_string(&first, str_of(c->args[0])) == 0);
    TP_MUST(cli_call_body(c, buf_str(&first), &body, &n) == 0);
    int rc = cli_ask_print(c, "POST", STR("/admin/teams"), buf_str(&body), print_team);
    buf_free(&body);
    buf_free(&first);
    return rc;
}

static const cli_column columns[] = {
    {.head = "ID"},
    {.head = "NAME", .widest = 28},
    {.head = "STATE"},
    {.head = "BILLING"},
    {.head = "TIER"},
    {.head = "KEYS", .right = 1},
    {.head = "BALANCE (USD)", .right = 1},
    {.head = "HELD (USD)", .right = 1},
    {.head = "USED (USD)", .right = 1},
    {.head = "DEFINED"},
};

static void row(cli_answer *a, uint32_t team, cli_table *t)
{
    uint32_t credits = json_find(&a->doc, team, STR("credits"));
    cli_cell(a, team, "id", t);
    cli_cell(a, team, "name", t);
    cli_table_cell(t, str_eq(cli_answer_text(a, team, "active"), STR("true")) ? STR("active")
                                                                              : STR("inactive"));
    cli_cell(a, team, "billing", t);
    cli_cell(a, team, "tier", t);
    cli_cell(a, team, "keys", t);
    cli_cell(a, credits, "balance", t);
    cli_cell(a, credits, "held", t);
    cli_cell(a, credits, "used", t);
    cli_table_cell(t, str_eq(cli_answer_text(a, team, "configured"), STR("true")) ? STR("conf.d")
                                                                                  : STR("store"));
}

static int list(const cli_call *c)
{
    return cli_list_print(c, STR("/admin/teams"), 0, columns, TP_COUNT(columns), row,
                          "There are no teams.");
}

static int show(const cli_call *c)
{
    return cli_one(c, "GET", STR_NONE, print_team);
}

static int update(const cli_call *c)
{
    return cli_change_one(c, print_team);
}

static const cli_verb verbs[] = {
    {"create", "ID", create, "make a team; letters, digits, '.', '_' and '-' make an ID"},
    {"list", "", list, "all teams and their balances"},
    {"show", "ID", show, "one team, its policy and provider keys"},
    {"update", "ID", update, "change a team; in force at once"},
};

const cli_group cli_teams_group = {.name = "teams",
                                   .help = "who owns keys and credits, and may use what",
                                   .verbs = verbs,
                                   .verb_count = TP_COUNT(verbs),
                                   .fields = fields,
                                   .field_count = TP_COUNT(fields)};
