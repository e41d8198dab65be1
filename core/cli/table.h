/* Tables for people: columns as wide as what stands in them, numbers to the right, text that cannot
 * play tricks on a terminal. Memory only. */
#ifndef TP_CLI_TABLE_H
#define TP_CLI_TABLE_H
#include "base/arena.h"
#include "base/base.h"
#include "base/buf.h"

typedef struct cli_column {
    const char *head;
    int32_t right;  /* 1: to the right */
    int32_t widest; /* characters' places; longer text ends in "…"; 0: never cut (ids) */
} cli_column;
typedef struct cli_table {
    arena mem;
    const cli_column *columns; /* borrowed */
    uint32_t count, cells, room;
    tp_str *text; /* cells in the order given; malloced */
} cli_table;
void cli_table_init(cli_table *t, const cli_column *columns, uint32_t count);
void cli_table_free(cli_table *t);
/* The next cell, copied and made safe to show; empty: "-". */
void cli_table_cell(cli_table *t, tp_str text);
void cli_table_cellf(cli_table *t, const char *fmt, ...) TP_PRINTF(2, 3);
/* Heads and all whole rows. 0, or what buf_add returns. */
int cli_table_print(const cli_table *t, buf *out);

/* How many places of a terminal s takes: wide characters two, combining ones none. */
size_t cli_width(tp_str s);
/* Appends s with control characters, invalid UTF-8 and marks that turn the direction of text
 * replaced by '?', so that a name cannot command a terminal. */
int cli_clean(buf *out, tp_str s);
#endif
