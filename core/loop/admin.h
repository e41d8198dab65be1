/* Private to loop/: the admin socket. */
#ifndef TP_LOOP_ADMIN_H
#define TP_LOOP_ADMIN_H
#include <uv.h>
#include "base/buf.h"
#include "base/log.h"
#include "loop/server.h"

typedef struct admin admin;
typedef struct admin_client admin_client;
/* A line: writes the answer, 1; or 0: admin_reply follows, once. line is valid for the call. */
typedef int (*admin_answer)(void *arg, admin_client *c, tp_str line, buf *answer);
void admin_reply(admin_client *c, tp_str answer); /* also when its client or the admin is gone */
/* Starts the API call of a line (what follows "api "), in the world w. 0: admin_reply follows; 1: the
 * answer is in out. */
int admin_api(const api_ports *api, uv_loop_t *loop, world *w, admin_client *client, tp_str line,
              buf *out);
/* Listens at path (mode 0600). NULL with err: taken by a running gateway, or cannot be made. */
admin *admin_new(uv_loop_t *loop, const char *path, admin_answer answer, void *arg,
                 const logger *log, tp_error *err);
void admin_close(admin *a); /* NULL allowed; frees from the loop */
#endif
