/* Private to loop/: the admin socket. */
#ifndef TP_LOOP_ADMIN_H
#define TP_LOOP_ADMIN_H
#include <uv.h>
#include "base/buf.h"
#include "base/log.h"
#include "loop/server.h"

typedef struct admin admin;
typedef void (*admin_answer)(void *arg, tp_str line, buf *answer);
/* Listens at path (mode 0600). NULL with err: taken by a running gateway, or cannot be made. */
admin *admin_new(uv_loop_t *loop, const char *path, admin_answer answer, void *arg,
                 const logger *log, tp_error *err);
void admin_close(admin *a); /* NULL allowed; frees from the loop */
#endif
