/* turnpike credits: money put on a team's account. */
#include <stdio.h>
#include <string.h>

#include "base/str.h"
#include "cli/govern.h"

enum { GRANT = 1, REFUND = 2, ADJUST = 4, ALL = GRANT | REFUND | ADJUST };

static const cli_field fields[] = {
    {.name = "note",
     .value = "TEXT",
     .kind = CLI_TEXT,
     .where = CLI_BODY,
     .member = "note",
     .verbs = ALL,
     .help = "why, for whoever reads the ledger"},
    {.name = "reference",
     .value = "ID",
     .kind = CLI_TEXT,
     .where = CLI_BODY,
     .member = "reference",
     .verbs = ALL,
     .help = "your own id of it: used again for the team, nothing is added twice"},
    {.name = "generation",
     .value = "ID",
     .kind = CLI_TEXT,
     .where = CLI_BODY,
     .member = "generation",
     .verbs = REFUND,
     .help = "what it is given back for"},
};

static int print_entry(const cli_call *c, cli_answer *a, buf *out)
{
    if (str_eq(cli_answer_text(a, 0, "duplicate"), STR("true"))) {
        buf_adds(out, STR("Nothing was added: this reference was used for the team before. "));
    } else {
        buf_printf(out, "Added %s USD to team ", c->args[1]);
        cli_clean(out, str_of(c->args[0]));
        buf_adds(out, STR(" (entry "));
        cli_clean(out, cli_answer_text(a, 0, "seq"));
        buf_adds(out, STR("). "));
    }
    buf_adds(out, STR("Balance: "));
    cli_clean(out, cli_answer_text(a, 0, "balance"));
    return buf_adds(out, STR(" USD.\n"));
}

static int add(const cli_call *c, const char *kind, int negative_too)
{
    buf first, body, target;
    uint32_t n;
    if (cli_money_form(str_of(c->args[1]), negative_too) != 0) {
        fprintf(stderr,
                "turnpike credits %s: '%s': expected US dollars %s 1000000000, with at most 9 "
                "decimals, such as 12.50\n",
                c->verb->name, c->args[1],
                negative_too ? "from -1000000000 (not 0) to" : "above 0, at most");
        return 2;
    }
    buf_init(&first, 64u << 10);
    buf_init(&body, 1u << 20);
    buf_printf(&first, "\"amount\":\"%s\",\"kind\":\"%s\"", c->args[1], kind);
    TP_MUST(cli_call_body(c, buf_str(&first), &body, &n) == 0);
    cli_target(&target, c, "teams", c->args[0], "credits");
    int rc = cli_ask_print(c, "POST", buf_str(&target), buf_str(&body), print_entry);
    buf_free(&first);
    buf_free(&body);
    buf_free(&target);
    return rc;
}

static int grant(const cli_call *c)
{
    return add(c, "grant", 0);
}

static int refund(const cli_call *c)
{
    return add(c, "refund", 0);
}

static int adjust(const cli_call *c)
{
    return add(c, "adjustment", 1);
}

static const cli_column columns[] = {
    {.head = "TEAM"},
    {.head = "BALANCE (USD)", .right = 1},
    {.head = "HELD (USD)", .right = 1},
    {.head = "CREDITED (USD)", .right = 1},
    {.head = "USED (USD)", .right = 1},
    {.head = "BILLING"},
};

static void row(cli_answer *a, uint32_t team, cli_table *t)
{
    uint32_t credits = json_find(&a->doc, team, STR("credits"));
    cli_cell(a, team, "id", t);
    cli_cell(a, credits, "balance", t);
    cli_cell(a, credits, "held", t);
    cli_cell(a, credits, "credited", t);
    cli_cell(a, credits, "used", t);
    cli_cell(a, team, "billing", t);
}

static int show(const cli_call *c)
{
    buf target;
    if (!c->arg_count)
        return cli_list_print(c, STR("/admin/teams"), 0, columns, TP_COUNT(columns), row,
                              "There are no teams.");
    cli_target(&target, c, "teams", c->args[0], "credits");
    int rc = cli_ask_print(c, "GET", buf_str(&target), STR_NONE, NULL);
    buf_free(&target);
    return rc;
}

static const cli_verb verbs[] = {
    {"grant", "TEAM AMOUNT", grant, "put credits on a team's account, in US dollars"},
    {"refund", "TEAM AMOUNT", refund, "give back what was charged"},
    {"adjust", "TEAM AMOUNT", adjust, "correct the account; AMOUNT may be negative"},
    {"show", "[TEAM]", show, "the account of a team, or of all"},
};

const cli_group cli_credits_group = {.name = "credits",
                                     .help = "the accounts of teams",
                                     .verbs = verbs,
                                     .verb_count = TP_COUNT(verbs),
                                     .fields = fields,
                                     .field_count = TP_COUNT(fields)};
