/* Private to store/: the SQLite file. Nothing outside these files knows SQL. */
#ifndef TP_STORE_SQLITE_INT_H
#define TP_STORE_SQLITE_INT_H
#include <sqlite3.h>

#include "store/store.h"

typedef struct sql_db { /* one connection, one thread at a time */
    sqlite3 *db;
    sqlite3_stmt *total, *unit, *day_rows, *known; /* writing; made on first use */
} sql_db;

/* Rows of one day; what clients make up beyond it is added to "(other)". */
#define SQL_DAY_ROWS 20000

/* Opens for writing: makes the file (0600), sets it up, checks it, migrates. TP_ERROR_IO. */
int sql_open(sql_db *d, const char *path, tp_error *err);
/* Opens an existing file for reading. TP_ERROR_IO. */
int sql_open_read(sql_db *d, const char *path, tp_error *err);
void sql_close(sql_db *d);
/* Adds all rows of a tally in one transaction: 0, or -1 with why (nothing was added). */
int sql_add(sql_db *d, const store_tally *t, char *why, size_t room);
/* Answers store_port.usage on this connection. */
int sql_usage(sql_db *d, const char *from, const char *to,
              int (*row)(void *arg, const store_total *), void *arg, tp_error *err);
#endif
