/* turnpike ledger: is every entry right, and all entries for those who keep books. */
#include <stdio.h>
#include <string.h>

#include "base/str.h"
#include "cli/govern.h"

enum { EXPORT = 2 };

static const cli_field fields[] = {
    {.name = "team",
     .value = "TEAM",
     .kind = CLI_TEXT,
     .where = CLI_OWN,
     .verbs = EXPORT,
     .help = "only entries of this team"},
    {.name = "from",
     .value = "WHEN",
     .kind = CLI_SINCE,
     .where = CLI_OWN,
     .verbs = EXPORT,
     .help = "from this day or moment on (UTC): 2026-04-15, 2026-04-15T10:30:00Z"},
    {.name = "to",
     .value = "WHEN",
     .kind = CLI_UNTIL,
     .where = CLI_OWN,
     .verbs = EXPORT,
     .help = "until the end of this day, or before this moment"},
    {.name = "format",
     .value = "FORMAT",
     .kind = CLI_WORD,
     .where = CLI_OWN,
     .verbs = EXPORT,
     .words = "csv|jsonl",
     .help = "csv (when not said) or jsonl, an object a line (as --json)"},
};

/* ---- verify */

static int print_verdict(const cli_call *c, cli_answer *a, buf *out)
{
    int ok = str_eq(cli_answer_text(a, 0, "ok"), STR("true"));
    tp_str text = cli_answer_text(a, 0, "text");
    static const char *const counts[] = {"entries", "generations", "segments", "teams"};
    (void)c;
    while (text.len) { /* a fault a line; each made safe to show */
        size_t n = str_find(text, '\n');
        if (n) {
            cli_clean(out, str_make(text.ptr, n));
            buf_adds(out, STR("\n"));
        }
        text = str_skip(text, n + 1);
    }
    buf_adds(out, ok ? STR("The ledger is right: ") : STR("The ledger is NOT right: "));
    for (size_t i = 0; i < TP_COUNT(counts); i++) {
        cli_clean(out, cli_answer_text(a, 0, counts[i]));
        buf_printf(out, " %s%s", counts[i], i + 1 < TP_COUNT(counts) ? ", " : " read");
    }
    if (!ok) {
        buf_adds(out, STR(", faults: "));
        cli_clean(out, cli_answer_text(a, 0, "faults"));
    }
    return buf_adds(out, STR(".\n"));
}

static int verify(const cli_call *c)
{
    cli_reply reply;
    cli_answer a;
    buf out;
    int rc = cli_api_once(c, "GET", STR("/admin/ledger/verify"), STR_NONE, &reply);
    if (rc == 0) {
        buf_init(&out, SIZE_MAX);
        int ok = 0;
        rc = cli_answer_read(&a, buf_str(&reply.text));
        if (rc == 0) {
            ok = str_eq(cli_answer_text(&a, 0, "ok"), STR("true"));
            rc = c->json ? buf_printf(&out, "%.*s\n", (int)reply.text.len, reply.text.ptr)
                         : print_verdict(c, &a, &out);
        }
        int unwritten = cli_put("ledger", buf_str(&out));
        rc = rc != 0 || unwritten || !ok;
        cli_answer_free(&a);
        buf_free(&out);
    }
    buf_free(&reply.text);
    return rc;
}

/* ---- export */

typedef struct ledger_out {
    buf text; /* gathered, so that a row is not a write */
    int jsonl, gone;
} ledger_out;

static const char *kind_of(int32_t kind)
{
    static const char *const names[] = {"?",       "grant",  "hold",      "settle",
                                        "release", "refund", "adjustment"};
    return kind > 0 && (size_t)kind < TP_COUNT(names) ? names[kind] : names[0];
}

/* A cell of a CSV (RFC 4180): quoted where it must be. */
static int csv_cell(buf *b, tp_str s, int last)
{
    int quoted = str_has(s, '"') || str_has(s, ',') || str_has_control(s);
    int rc = quoted ? buf_adds(b, STR("\"")) : 0;
    for (size_t i = 0; i < s.len && rc == 0; i++) {
        rc = s.ptr[i] == '"' ? buf_adds(b, STR("\"\"")) : buf_add(b, s.ptr + i, 1);
    }
    if (quoted)
        rc = buf_adds(b, STR("\""));
    return rc ? rc : buf_adds(b, last ? STR("\n") : STR(","));
}

static int put_row(ledger_out *o, const char *const *names, const tp_str *cells, uint32_t count)
{
    int rc = 0;
    for (uint32_t i = 0; i < count && rc == 0; i++) {
        if (!o->jsonl) {
            rc = csv_cell(&o->text, cells[i], i + 1 == count);
            continue;
        }
        buf_printf(&o->text, "%s\"%s\":", i ? "," : "{", names[i]);
        if (i == 0) /* seq is a number */
            rc = buf_adds(&o->text, cells[i]);
        else
            rc = cells[i].len ? buf_json_string(&o->text, cells[i])
                              : buf_adds(&o->text, STR("null"));
    }
    return o->jsonl && rc == 0 ? buf_adds(&o->text, STR("}\n")) : rc;
}

static const char *const names[] = {"seq",    "at",         "team",     "kind",
                                    "amount", "generation", "key",      "price_version",
                                    "note",   "actor",      "reference"};

static int pour(ledger_out *o, size_t at_least)
{
    if (o->text.len < at_least || !o->text.len)
        return 0;
    o->gone = cli_put("ledger", buf_str(&o->text)) != 0;
    o->text.len = 0;
    return o->gone;
}

static int put_entry(void *arg, const ledger_entry *e)
{
    ledger_out *o = arg;
    char seq[24], at[CLI_MOMENT], amount[40];
    cli_moment_print(e->unix_ms, 1, at);
    money_print(amount, e->nano);
    int n = snprintf(seq, sizeof(seq), "%lld", (long long)e->seq);
    const tp_str cells[] = {str_make(seq, (size_t)n),
                            str_of(at),
                            e->team,
                            str_of(kind_of(e->kind)),
                            str_of(amount),
                            e->generation,
                            e->key,
                            e->price_version,
                            e->note,
                            e->actor,
                            e->reference};
    if (put_row(o, names, cells, TP_COUNT(cells)) != 0)
        return 1;
    return pour(o, 64u << 10);
}

static int export_from(cli_api *a, const cli_call *c, ledger_out *o, tp_error *err)
{
    char next[64];
    const char *from = cli_call_value(c, "from"), *to = cli_call_value(c, "to");
    registry_query q = {.team = str_of(cli_call_value(c, "team"))};
    if (from)
        TP_MUST(cli_moment_parse(str_of(from), 0, &q.from_ms) == 0);
    if (to)
        TP_MUST(cli_moment_parse(str_of(to), 1, &q.to_ms) == 0);
    const registry_port *r = cli_api_registry(a, err);
    if (!r)
        return -1;
    if (!o->jsonl) {
        tp_str heads[TP_COUNT(names)];
        for (size_t i = 0; i < TP_COUNT(names); i++)
            heads[i] = str_of(names[i]);
        put_row(o, names, heads, TP_COUNT(heads));
    }
    int rc = r->ledger(r->self, &q, put_entry, o, next, err);
    return rc == 0 ? pour(o, 0) : rc;
}

static int export_all(const cli_call *c)
{
    const char *format = cli_call_value(c, "format");
    ledger_out o = {.jsonl = c->json || (format && strcmp(format, "jsonl") == 0)};
    cli_reply reply;
    tp_error err = {0};
    cli_api *a = cli_api_open(c->dir, &err);
    buf_init(&o.text, 1u << 20);
    int rc = a ? 0 : -1;
    if (a) {
        /* What the gateway has in its journal goes into the store first. */
        rc = cli_api_request(a, c, "POST", STR("/admin/flush"), STR_NONE, &reply);
        buf_free(&reply.text);
        if (rc == 0)
            rc = export_from(a, c, &o, &err);
    }
    if (rc != 0 && !o.gone && err.text[0])
        fprintf(stderr, "turnpike ledger: %s\n", err.text);
    cli_api_close(a);
    buf_free(&o.text);
    return rc != 0;
}

static const cli_verb verbs[] = {
    {"verify", "", verify, "read everything and check sums, balances and that each is there once"},
    {"export", "", export_all, "all entries, oldest first, to standard output"},
};

const cli_group cli_ledger_group = {.name = "ledger",
                                    .help = "the entries behind all accounts",
                                    .verbs = verbs,
                                    .verb_count = TP_COUNT(verbs),
                                    .fields = fields,
                                    .field_count = TP_COUNT(fields)};
