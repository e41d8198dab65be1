/* Structured output takes a subset of JSON Schema, the same one wherever Claude runs. What has no word
 * in it can be left out; a schema that needs what it cannot say is better asked for in another way.
 * [loop] */
#ifndef TURNPIKE_PLUGINS_SCHEMA_FIT_H
#define TURNPIKE_PLUGINS_SCHEMA_FIT_H
#include "span.h"

enum { SCHEMA_DEPTH = 24 }; /* deepest schema within schemas; json_out has room for it */
/* 0: maps with free keys, schemas that hold themselves, references to elsewhere: closed and bounded as
 * the subset is, the answer would be another one. */
int schema_fits(const tp_host *h, const tp_doc *d, uint32_t schema);
/* "type" is the word, or a list with it. */
int schema_has_type(const tp_host *h, const tp_doc *d, uint32_t schema, tp_str word);
int schema_format_known(tp_str format);
/* raw: as the JSON string has it. 0: it looks around, looks back, or needs word borders. */
int schema_pattern_known(tp_str raw);
#endif
