#include "base/base.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

void tp_must_failed(const char *file, int line, const char *what)
{
    fprintf(stderr, "turnpike: must not happen: %s (%s:%d)\n", what, file, line);
    abort();
}

void *tp_xmalloc(size_t n)
{
    void *p = malloc(n ? n : 1);
    TP_MUST(p);
    return p;
}

void *tp_xcalloc(size_t n, size_t size)
{
    void *p = calloc(n ? n : 1, size ? size : 1);
    TP_MUST(p);
    return p;
}

void *tp_xrealloc(void *old, size_t n)
{
    void *p = realloc(old, n ? n : 1);
    TP_MUST(p);
    return p;
}

void *tp_xpages(size_t n)
{
    void *p = mmap(NULL, n ? n : 1, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    TP_MUST(p != MAP_FAILED);
    return p;
}

void tp_pages_free(void *p, size_t n)
{
    if (p)
        munmap(p, n ? n : 1);
}

char *tp_xstrndup(const char *p, size_t n)
{
    char *s = tp_xmalloc(n + 1);
    if (n)
        memcpy(s, p, n);
    s[n] = '\0';
    return s;
}

int tp_error_set(tp_error *err, int code, const char *fmt, ...)
{
    if (err) {
        va_list ap;
        va_start(ap, fmt);
        vsnprintf(err->text, sizeof(err->text), fmt, ap);
        va_end(ap);
        err->code = code;
    }
    return code;
}
