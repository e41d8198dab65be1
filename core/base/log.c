#include "base/log.h"

#include <stdarg.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>
#include "base/str.h"

static const char *const names[] = {"?", "error", "warn", "info", "debug"};

void log_line(const logger *l, int level, const char *fmt, ...)
{
    char line[2048];
    if (!l || level > l->level)
        return;
    struct timespec ts;
    struct tm tm;
    clock_gettime(CLOCK_REALTIME, &ts);
    gmtime_r(&ts.tv_sec, &tm);
    size_t n = strftime(line, sizeof(line), "%Y-%m-%dT%H:%M:%S", &tm);
    n += (size_t)snprintf(line + n, sizeof(line) - n, ".%03ldZ %s ", ts.tv_nsec / 1000000,
                          names[level]);
    va_list ap;
    va_start(ap, fmt);
    int m = vsnprintf(line + n, sizeof(line) - n - 1, fmt, ap);
    va_end(ap);
    size_t room = sizeof(line) - n - 2;
    size_t end = n + (m < 0 ? 0 : TP_MIN((size_t)m, room));
    for (size_t i = n; i < end; i++) /* a peer's bytes must not forge lines or terminal codes */
        if ((unsigned char)line[i] < 0x20 || line[i] == 0x7f)
            line[i] = '?';
    line[end++] = '\n';
    ssize_t w = write(l->fd, line, end);
    (void)w; /* a log that cannot be written must not stop the gateway */
}

int log_level_parse(tp_str s)
{
    for (int i = LOG_ERROR; i <= LOG_DEBUG; i++)
        if (str_eq(s, str_of(names[i])))
            return i;
    return 0;
}
