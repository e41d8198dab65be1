/* Answers of the management API, read for people. Memory only, but for cli_put. */
#ifndef TP_CLI_ANSWER_H
#define TP_CLI_ANSWER_H
#include "base/arena.h"
#include "base/buf.h"
#include "model/json.h"

typedef struct cli_answer {
    arena mem;
    json_tape tape;
    tp_doc doc;
} cli_answer;
/* Reads text (borrowed for as long as the answer is used). 0, or -1: it is no JSON. Free it in both
 * cases. */
int cli_answer_read(cli_answer *a, tp_str text);
void cli_answer_free(cli_answer *a);
/* A member for people: strings decoded, numbers and booleans as they stand, lists of those with ",
 * " between; null and absent: empty. The text lies in the answer. */
tp_str cli_answer_text(cli_answer *a, uint32_t object, const char *member);
tp_str cli_answer_value(cli_answer *a, uint32_t token); /* the same of a token */
/* Walks an array: for (i = cli_answer_first(a, list); i; i = cli_answer_next(a, list, i)) */
uint32_t cli_answer_first(const cli_answer *a, uint32_t array);
uint32_t cli_answer_next(const cli_answer *a, uint32_t array, uint32_t item);
/* Writes an object as lines "name  value", objects within it as "name.member", lists of objects an
 * indented line each. */
int cli_answer_facts(cli_answer *a, uint32_t object, buf *out);
/* The sentence of an error answer: error.message, message, error; else the text itself. */
tp_str cli_answer_message(cli_answer *a);

/* Writes to standard output. 0; 1: it cannot be written (said on stderr, unless a reader such as
 * `head` has simply gone). */
int cli_put(const char *command, tp_str text);
#endif
