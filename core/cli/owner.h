/* Whose files a command makes that root runs beside a gateway of another user. */
#ifndef TP_CLI_OWNER_H
#define TP_CLI_OWNER_H
#include "base/base.h"

/* Root becomes the user whom run_dir belongs to, with all groups of that user, for the rest of the
 * process: what a command makes there (the store and its log, a pepper) is to be read and written
 * by the gateway, which runs as that user. Nothing happens for others, for a directory of root's
 * own, and for one that is not there yet. 0; or TP_ERROR_IO: the rights could not be changed. Only
 * while the process has one thread. */
int cli_act_as_owner(const char *run_dir, tp_error *err);
#endif
