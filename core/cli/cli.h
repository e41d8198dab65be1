/* The subcommands. Each takes what stands after its name; answers the process's exit status: 0
 * well, 1 the work could not be done (said on stderr), 2 the command line is wrong. */
#ifndef TP_CLI_CLI_H
#define TP_CLI_CLI_H
#include "base/base.h"
#include "base/buf.h"
#include "conf/conf.h"

int cli_main(int argc, char **argv);

/* ---- Shared by the commands. */
typedef struct cli_place { /* where this binary's parts lie */
    char plugin_dir[4096];
    char curl_module[4096]; /* empty: there is none */
} cli_place;
void cli_find_parts(cli_place *p);
/* Loads the configuration of --config DIR; says the error. NULL then. */
conf *cli_load(const char *dir, const cli_place *place);
/* The value of "--name VALUE" or "--name=VALUE" at argv[*i], which then moves on; NULL: another. */
const char *cli_option(int argc, char **argv, int *i, const char *name);
int cli_wrong(const char *command, const char *argument); /* says it; 2 */
const char *cli_default_config(void); /* $TURNPIKE_CONFIG, ./conf.d's parent, or /etc/turnpike */

int cli_serve(int argc, char **argv);
int cli_check(int argc, char **argv);
int cli_schema(int argc, char **argv);
int cli_plugins(int argc, char **argv);
int cli_admin(int argc, char **argv); /* reload, status, stop, metrics */
int cli_usage(int argc, char **argv); /* usage totals */
#endif
