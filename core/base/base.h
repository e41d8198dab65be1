/* What every room stands on: macros, error values, time. */
#ifndef TP_BASE_BASE_H
#define TP_BASE_BASE_H
#include <stddef.h>
#include <stdint.h>
#include <turnpike/plugin.h> /* tp_str */

#define TP_LIKELY(x) __builtin_expect(!!(x), 1)
#define TP_UNLIKELY(x) __builtin_expect(!!(x), 0)
#define TP_COUNT(a) (sizeof(a) / sizeof((a)[0]))
#define TP_CONTAINER(ptr, T, member) ((T *)(void *)((char *)(ptr)-offsetof(T, member)))
#define TP_MIN(a, b) ((a) < (b) ? (a) : (b))
#define TP_MAX(a, b) ((a) > (b) ? (a) : (b))
#define TP_PRINTF(f, a) __attribute__((format(printf, f, a)))
#define TP_PURE __attribute__((pure))
#define TP_COLD __attribute__((cold, noinline))

/* Asserts stay on in production. TP_MUST: cannot be; a wrong state would be worse than a stop.
 * Prints place and condition to stderr and aborts. */
void tp_must_failed(const char *file, int line, const char *what) __attribute__((noreturn, cold));
#define TP_MUST(x) ((void)(TP_LIKELY(!!(x)) || (tp_must_failed(__FILE__, __LINE__, #x), 0)))

/* Small control allocations abort when memory is out; what a peer can size uses malloc or a
 * bounded buffer and answers an error. */
void *tp_xmalloc(size_t n);
void *tp_xcalloc(size_t n, size_t size);
void *tp_xrealloc(void *p, size_t n);
/* Zeroed pages of the kernel's own, for tables that stay mostly empty: what is never touched costs
 * no memory, which malloc does not promise. n as given to tp_xpages; p NULL: nothing happens. */
void *tp_xpages(size_t n);
void tp_pages_free(void *p, size_t n);
char *tp_xstrndup(const char *p, size_t n); /* NUL-terminated copy */

/* An error for people: what, where, what was expected. Filled by functions that return a negative
 * code; the first one that fills it wins, later ones may prepend a place. */
typedef struct tp_error {
    int32_t code;
    char text[1020];
} tp_error;
enum { TP_ERROR_NONE = 0, TP_ERROR_IO = -10, TP_ERROR_PARSE = -11, TP_ERROR_CONFIG = -12,
       TP_ERROR_ABI = -13, TP_ERROR_LIMIT = -14 };
/* Sets text (truncated to fit) and code; returns code. err may be NULL. */
int tp_error_set(tp_error *err, int code, const char *fmt, ...) TP_PRINTF(3, 4);

/* The clock is an argument everywhere; only loop/ reads it. */
typedef struct tp_now {
    int64_t mono_us; /* monotonic, microseconds: deadlines and latencies */
    int64_t unix_ms; /* wall clock, Unix milliseconds: records and headers */
} tp_now;

#endif
