/* The commands of governance: teams, keys, credits, ledger, provider keys, generations, backup.
 * Each is a table (options.h) and functions that ask the management API and print its answer. */
#ifndef TP_CLI_GOVERN_H
#define TP_CLI_GOVERN_H
#include "cli/answer.h"
#include "cli/govern_api.h"
#include "cli/options.h"
#include "cli/table.h"

extern const cli_group cli_keys_group, cli_teams_group, cli_credits_group, cli_ledger_group,
    cli_byok_group, cli_generations_group, cli_backup_group, cli_catalog_group;

/* Runs "GROUP ..." when argv[0] is one of these: its exit status; or -1: another command. */
int cli_govern(int argc, char **argv);
int cli_govern_is(const char *name); /* 1: it is the name of one */
/* The one whose name is less than *least edits away from this, with *least made smaller; or NULL. */
const char *cli_govern_nearest(const char *name, unsigned *least);
/* The lines of all groups for `turnpike help`. */
void cli_govern_help(buf *out);

/* ---- What the commands share. */
/* Writes "/admin/WHAT", "/admin/WHAT/ID" or "/admin/WHAT/ID/MORE", ID percent-encoded, and the
 * query of c; ID and MORE may be NULL. */
void cli_target(buf *out, const cli_call *c, const char *what, const char *id, const char *more);
/* Asks once and prints the answer: as it is with --json, else through print, or as facts when print
 * is NULL. The exit status. */
typedef int (*cli_print)(const cli_call *c, cli_answer *a, buf *out);
int cli_ask_print(const cli_call *c, const char *method, tp_str target, tp_str body,
                  cli_print print);
/* The same of /admin/GROUP/ID, ID being the first argument. */
int cli_one(const cli_call *c, const char *method, tp_str body, cli_print print);
/* PATCHes it with what the options say; nothing at all is a wrong command line (2). */
int cli_change_one(const cli_call *c, cli_print print);
/* The printing alone, of an answer's body. */
int cli_print_answer(const cli_call *c, tp_str text, cli_print print);
/* Lists: all pages up to `most` rows (0: all), as a table; row adds one object's cells. What is
 * said when there is none: `none`. */
typedef void (*cli_row)(cli_answer *a, uint32_t object, cli_table *t);
int cli_list_print(const cli_call *c, tp_str target, int64_t most, const cli_column *columns,
                   uint32_t count, cli_row row, const char *none);
/* The same over a list within an answer, from token `list` on. */
int cli_list_table(cli_answer *a, uint32_t list, const cli_column *columns, uint32_t count,
                   cli_row row, const char *none, buf *out);
/* A cell: the member's text. */
void cli_cell(cli_answer *a, uint32_t object, const char *member, cli_table *t);
/* A moment's cell: "2026-04-15 10:30", in UTC. */
void cli_cell_moment(cli_answer *a, uint32_t object, const char *member, cli_table *t);
/* Has the moment of this member passed? 0 also when it is null. */
int cli_has_passed(cli_answer *a, uint32_t object, const char *member);
#endif
