/* turnpike keys: the keys that clients call with. */
#include <stdio.h>
#include <string.h>

#include "admit/secret.h"
#include "base/str.h"
#include "cli/govern.h"

enum { CREATE = 1, LIST = 2, UPDATE = 8 };

static const cli_field fields[] = {
    {.name = "name",
     .value = "NAME",
     .kind = CLI_TEXT,
     .where = CLI_BODY,
     .member = "name",
     .verbs = CREATE | UPDATE,
     .needed = CREATE,
     .help = "what people call it"},
    {.name = "team",
     .value = "TEAM",
     .kind = CLI_TEXT,
     .where = CLI_BODY,
     .member = "team",
     .verbs = CREATE,
     .help = "whose it is; the team 'default' when not said"},
    {.name = "team",
     .value = "TEAM",
     .kind = CLI_TEXT,
     .where = CLI_QUERY,
     .member = "team",
     .verbs = LIST,
     .help = "only those of this team"},
    {.name = "role",
     .value = "ROLE",
     .kind = CLI_WORD,
     .where = CLI_BODY,
     .member = "role",
     .verbs = CREATE,
     .words = "inference|management|admin",
     .help = "inference (call models), management (of its team), admin (everything)"},
    {.name = "surface",
     .value = "NAME",
     .kind = CLI_TEXT,
     .where = CLI_BODY,
     .member = "surface",
     .verbs = CREATE,
     .help = "take the prefix and default limits of this surface"},
    {.name = "prefix",
     .value = "PREFIX",
     .kind = CLI_TEXT,
     .where = CLI_BODY,
     .member = "prefix",
     .verbs = CREATE,
     .help = "what the key begins with, such as tp_live_"},
    {.name = "tier",
     .value = "TIER",
     .kind = CLI_TEXT,
     .where = CLI_BODY,
     .member = "tier",
     .verbs = CREATE | UPDATE,
     .none = "none",
     .help = "whose limits count where it has none"},
    {.name = "rate-limit",
     .value = "N",
     .kind = CLI_WHOLE,
     .where = CLI_BODY,
     .member = "rate_limit",
     .verbs = CREATE | UPDATE,
     .none = "none",
     .help = "requests a minute"},
    {.name = "tokens-per-minute",
     .value = "N",
     .kind = CLI_WHOLE,
     .where = CLI_BODY,
     .member = "tokens_per_minute",
     .verbs = CREATE | UPDATE,
     .none = "none",
     .help = "tokens a minute"},
    {.name = "concurrency",
     .value = "N",
     .kind = CLI_WHOLE,
     .where = CLI_BODY,
     .member = "concurrency",
     .verbs = CREATE | UPDATE,
     .none = "none",
     .help = "requests at the same time"},
    {.name = "models",
     .value = "A,B*",
     .kind = CLI_LIST,
     .where = CLI_BODY,
     .member = "models",
     .verbs = CREATE | UPDATE,
     .none = "all",
     .help = "only these models, or names beginning so"},
    {.name = "limit",
     .value = "USD",
     .kind = CLI_MONEY,
     .where = CLI_BODY,
     .member = "limit",
     .verbs = CREATE | UPDATE,
     .none = "none",
     .help = "what it may spend"},
    {.name = "limit-reset",
     .value = "PERIOD",
     .kind = CLI_WORD,
     .where = CLI_BODY,
     .member = "limit_reset",
     .verbs = CREATE | UPDATE,
     .none = "never",
     .words = "daily|monthly",
     .help = "daily or monthly: when the spending begins anew (UTC)"},
    {.name = "expires-in",
     .value = "SPAN",
     .kind = CLI_SPAN,
     .where = CLI_BODY,
     .member = "expires_in",
     .verbs = CREATE | UPDATE,
     .none = "never",
     .help = "from now: 90d, 12h, 30m, or seconds"},
    {.name = "disabled",
     .value = "true|false",
     .kind = CLI_YES_NO,
     .where = CLI_BODY,
     .member = "disabled",
     .verbs = UPDATE,
     .help = "refuse it until this is false again"},
};

static int print_made(const cli_call *c, cli_answer *a, buf *out)
{
    tp_str secret = cli_answer_text(a, 0, "key");
    (void)c;
    buf_adds(out, STR("Made key "));
    cli_clean(out, cli_answer_text(a, 0, "id"));
    buf_adds(out, STR(" ("));
    cli_clean(out, cli_answer_text(a, 0, "name"));
    buf_adds(out, STR(") of team "));
    cli_clean(out, cli_answer_text(a, 0, "team"));
    buf_adds(out, STR(", role "));
    cli_clean(out, cli_answer_text(a, 0, "role"));
    buf_adds(out, STR(":\n\n    "));
    cli_clean(out, secret);
    return buf_adds(out, STR("\n\nThis is the only time that it is shown: the gateway keeps a hash "
                             "of it, not the key.\n"));
}

/* It exists, and nobody has seen it. */
static void say_unseen(tp_str text)
{
    cli_answer a;
    if (cli_answer_read(&a, text) == 0) {
        tp_str id = cli_answer_text(&a, 0, "id");
        fprintf(stderr,
                "turnpike keys: key %.*s was made but could not be shown: end it with turnpike "
                "keys revoke %.*s and make another\n",
                STR_ARG(id), STR_ARG(id));
    }
    cli_answer_free(&a);
}

static int create(const cli_call *c)
{
    buf body;
    cli_reply reply;
    uint32_t n;
    buf_init(&body, 1u << 20);
    TP_MUST(cli_call_body(c, STR_NONE, &body, &n) == 0);
    int rc = cli_api_once(c, "POST", STR("/admin/keys"), buf_str(&body), &reply);
    if (rc == 0) {
        rc = cli_print_answer(c, buf_str(&reply.text), print_made);
        if (rc != 0)
            say_unseen(buf_str(&reply.text));
        secret_wipe(reply.text.ptr, reply.text.len);
    }
    buf_free(&reply.text);
    buf_free(&body);
    return rc;
}

static const cli_column columns[] = {
    {.head = "ID"},
    {.head = "NAME", .widest = 28},
    {.head = "TEAM", .widest = 24},
    {.head = "ROLE"},
    {.head = "HINT"},
    {.head = "STATE"},
    {.head = "A MINUTE", .right = 1},
    {.head = "SPENT (USD)", .right = 1},
    {.head = "LIMIT (USD)", .right = 1},
    {.head = "EXPIRES"},
    {.head = "LAST USED"},
};

static void row(cli_answer *a, uint32_t key, cli_table *t)
{
    int off = str_eq(cli_answer_text(a, key, "disabled"), STR("true"));
    cli_cell(a, key, "id", t);
    cli_cell(a, key, "name", t);
    cli_cell(a, key, "team", t);
    cli_cell(a, key, "role", t);
    cli_cell(a, key, "hint", t);
    cli_table_cell(t, off                                    ? STR("disabled")
                      : cli_has_passed(a, key, "expires_at") ? STR("expired")
                                                             : STR("active"));
    cli_cell(a, key, "rate_limit", t);
    cli_cell(a, key, "usage", t);
    cli_cell(a, key, "limit", t);
    cli_cell_moment(a, key, "expires_at", t);
    cli_cell_moment(a, key, "last_used_at", t);
}

static int list(const cli_call *c)
{
    buf target;
    cli_target(&target, c, "keys", NULL, NULL);
    int rc = cli_list_print(c, buf_str(&target), 0, columns, TP_COUNT(columns), row,
                            "There are no keys: turnpike keys create --name NAME makes one.");
    buf_free(&target);
    return rc;
}

static int show(const cli_call *c)
{
    return cli_one(c, "GET", STR_NONE, NULL);
}

static int update(const cli_call *c)
{
    return cli_change_one(c, NULL);
}

static int print_revoked(const cli_call *c, cli_answer *a, buf *out)
{
    (void)c;
    buf_adds(out, STR("Revoked key "));
    cli_clean(out, cli_answer_text(a, 0, "id"));
    return buf_adds(out, STR(".\n"));
}

static int revoke(const cli_call *c)
{
    return cli_one(c, "DELETE", STR_NONE, print_revoked);
}

static const cli_verb verbs[] = {
    {"create", "", create, "make a key; it is shown this once"},
    {"list", "", list, "all keys, newest terms and spending, never the secrets"},
    {"show", "ID", show, "one key"},
    {"update", "ID", update, "change a key; in force at once"},
    {"revoke", "ID", revoke, "end a key for good; refused everywhere when this returns"},
};

const cli_group cli_keys_group = {.name = "keys",
                                  .help = "the keys that clients call with",
                                  .verbs = verbs,
                                  .verb_count = TP_COUNT(verbs),
                                  .fields = fields,
                                  .field_count = TP_COUNT(fields)};
