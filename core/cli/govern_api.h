/* The management API for the commands of governance: asked of the running gateway through its admin
 * socket, or, when none runs, of the store itself, by the same code in this process. */
#ifndef TP_CLI_GOVERN_API_H
#define TP_CLI_GOVERN_API_H
#include "cli/answer.h"
#include "cli/options.h"
#include "manage/registry.h"

typedef struct cli_api cli_api;
/* Finds the gateway of the configuration directory (NULL: the default one), or opens its store.
 * NULL with err: the configuration is wrong, the socket may not be used, the store cannot be
 * opened. */
cli_api *cli_api_open(const char *dir, tp_error *err);
void cli_api_close(cli_api *a);       /* NULL allowed */
int cli_api_online(const cli_api *a); /* 1: a gateway runs and answers */

/* One request: *status and the body in *reply (initialised by this call; the caller frees, also
 * after an error). body empty: none. 0; or TP_ERROR_IO: there was no whole answer, and whether a
 * change was made is not known. */
int cli_api_ask(cli_api *a, const char *method, tp_str target, tp_str body, int *status, buf *reply,
                tp_error *err);

/* The registry to read from: all that the gateway had settled is in it. Beside a running gateway it
 * is opened for reading only. Valid until cli_api_close. NULL with err. */
const registry_port *cli_api_registry(cli_api *a, tp_error *err);

/* ---- For one command: opens, asks once, closes; says what went wrong on stderr. */
typedef struct cli_reply {
    int status;
    buf text;
} cli_reply;
/* 0 and a reply of status 2xx; else the exit status, and all is said. The caller frees reply->text
 * in both cases. */
int cli_api_once(const cli_call *c, const char *method, tp_str target, tp_str body,
                 cli_reply *reply);
/* The same over an open api. */
int cli_api_request(cli_api *a, const cli_call *c, const char *method, tp_str target, tp_str body,
                    cli_reply *reply);
/* A page of a list, as the API wrote it, and read; `data`: its rows; `next`: where the next begins,
 * as JSON. All valid for the call. Not 0: no further page. */
typedef struct cli_page {
    tp_str text, next;
    cli_answer *answer;
    uint32_t data;
    int32_t last; /* none follows */
} cli_page;
typedef int (*cli_take_page)(void *arg, const cli_page *page);
/* Asks for a list page by page, up to `most` rows (0: all), the target being a path with or without
 * a query, so that a list of any length is never held whole. 0; or the exit status, and all is said
 * (or what take returned). */
int cli_api_pages(cli_api *a, const cli_call *c, tp_str target, int64_t most, cli_take_page take,
                  void *arg);
#endif
