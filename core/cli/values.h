/* What a single option's value may be, and how it stands in JSON. Memory only. */
#ifndef TP_CLI_VALUES_H
#define TP_CLI_VALUES_H
#include "cli/options.h"

/* NULL: s is a value of this field. Else what was expected, as a static text that follows
 * "expected " (and is followed by the words of a CLI_WORD). */
const char *cli_value_fault(const cli_field *f, tp_str s);
/* Writes a value that has no fault. 0, or what buf_add returns. */
int cli_value_json(const cli_field *f, tp_str s, buf *out);
#endif
