/* The gateway's own log: lines for people on a file descriptor (stderr by default). One line is
 * one write(2), so threads do not mix lines. Never a secret, never a prompt. Not for the path of
 * a request: that is what the access log and the counters are for. */
#ifndef TP_BASE_LOG_H
#define TP_BASE_LOG_H
#include "base/base.h"

enum { LOG_ERROR = 1, LOG_WARN = 2, LOG_INFO = 3, LOG_DEBUG = 4 };
typedef struct logger {
    int fd;
    int level; /* lines above it are dropped */
} logger;
void log_line(const logger *l, int level, const char *fmt, ...) TP_PRINTF(3, 4);
int log_level_parse(tp_str s); /* "error", "warn", "info", "debug", or 0 */
#endif
