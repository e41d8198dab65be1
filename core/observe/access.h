/* The access log: one JSON line a finished exchange. Workers format into memory of their own; one
 * writer thread does the writing, so that no loop ever waits for a disk. When the disk is slower
 * than the traffic, lines are dropped and counted, and a later line says how many.
 *
 *   access_log     one a process: the file and the writer thread
 *   access_writer  one a worker: two buffers of ACCESS_BUFFER bytes
 */
#ifndef TP_OBSERVE_ACCESS_H
#define TP_OBSERVE_ACCESS_H
#include "base/log.h"
#include "settle/settle.h"

#define ACCESS_BUFFER 262144u /* touched only as far as it is filled */
#define ACCESS_FLUSH_AT                                                                            \
    196608u /* filled so far, a buffer is handed over: a wake-up of the writer */

typedef struct access_log access_log;
typedef struct access_writer access_writer;

/* Opens path for appending (created 0640; "-": stdout) and starts the writer. log: borrowed, for
 * trouble with the file. NULL with err. [load] */
access_log *access_log_open(const char *path, const logger *log, tp_error *err);
/* The file is opened anew before the next write (rotation). [any] */
void access_log_reopen(access_log *l);
/* Writes what has been handed over, stops the thread, closes. All writers must be freed. [load] */
void access_log_close(access_log *l);
uint64_t access_log_written(const access_log *l); /* lines in the file. [any] */
uint64_t
access_log_dropped(const access_log *l); /* lines lost: full buffers, failed writes. [any] */

access_writer *access_writer_new(access_log *l); /* [load] */
/* Hands over what is left, waits until the writer has taken it, frees. [load], the worker stopped
 */
void access_writer_free(access_writer *w);
/* Formats one line; never blocks on I/O. w NULL: nothing happens. [loop] its worker's only */
void access_write(access_writer *w, const settle_record *r);
/* Hands over a part-filled buffer; called once a second by the worker. w may be NULL. [loop] */
void access_flush(access_writer *w);

/* The most bytes that a line of these strings can take, and the line itself (LF included); exposed
 * for tests. out has access_line_max(r) bytes. Long strings are cut, bytes that are no UTF-8 become
 * U+FFFD. [any] */
size_t access_line_max(const settle_record *r);
size_t access_line(char *out, const settle_record *r);
#endif
