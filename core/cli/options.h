/* One table a group of commands: it parses the command line, writes the request's JSON body and
 * query, and prints the help, so that the three cannot differ. Memory only, no I/O but the help. */
#ifndef TP_CLI_OPTIONS_H
#define TP_CLI_OPTIONS_H
#include "base/base.h"
#include "base/buf.h"

enum {
    CLI_TEXT = 1, /* UTF-8 */
    CLI_WHOLE,    /* a whole number, 0 or more */
    CLI_YES_NO,   /* true or false */
    CLI_LIST,     /* names or patterns with commas between them */
    CLI_WORD,     /* one of field.words */
    CLI_MONEY,    /* US dollars above 0, at most 9 decimals; in JSON a string, to stay exact */
    CLI_SPAN,     /* "90d", "12h", "30m", "45s" or seconds; in JSON seconds */
    CLI_SINCE,    /* a day, a moment in UTC or Unix milliseconds; a day: its beginning */
    CLI_UNTIL,    /* the same; a day: its end */
    CLI_MANY,     /* how many rows of a list; 0: all */
    CLI_FLAG      /* there or not: no value; "true" when given */
};
enum {
    CLI_BODY = 1, /* a member of the request's body */
    CLI_QUERY,    /* a parameter of the request's query */
    CLI_OWN       /* the command reads it itself */
};

typedef struct cli_field {
    const char *name;  /* "rate-limit": written --rate-limit */
    const char *value; /* how the help calls its value: "N" */
    int32_t kind, where;
    const char *member; /* of the body or query: "rate_limit", "policy.min_trust" (fields of one
                           object stand side by side) */
    uint32_t verbs;     /* bit i: verb i of the group takes it */
    uint32_t needed;    /* bit i: ... and cannot do without */
    const char *none;   /* word for null (back to the default), on `update`; NULL: there is none */
    const char *words;  /* CLI_WORD: "daily|monthly" */
    const char *help;
} cli_field;

#define CLI_FIELDS 24u
#define CLI_ARGS 3u
typedef struct cli_call cli_call;
typedef struct cli_verb {
    const char *name;
    const char *args;              /* "TEAM AMOUNT"; "[TEAM]": may be left out */
    int (*run)(const cli_call *c); /* the process's exit status */
    const char *help;
} cli_verb;
typedef struct cli_group { /* a group of one verb without a name is a command of its own */
    const char *name, *help;
    const cli_verb *verbs;
    const cli_field *fields;
    uint32_t verb_count, field_count;
    int32_t no_json; /* 1: it asks no management API, whose answer --json would show */
} cli_group;

struct cli_call { /* a command line, understood; strings are those of argv */
    const cli_group *group;
    const cli_verb *verb;
    const char *dir; /* of --config; NULL: not given */
    int32_t json;
    uint32_t arg_count;
    const char *args[CLI_ARGS];
    const char *values[CLI_FIELDS]; /* by field; NULL: not given */
};

/* Understands argv[1..] as a command of the group. 0; or TP_ERROR_CONFIG, and err says what is
 * wrong and what was expected; or 1: help was asked for. */
int cli_call_parse(const cli_group *g, int argc, char **argv, cli_call *out, tp_error *err);
/* The value given for a field, or NULL. */
const char *cli_call_value(const cli_call *c, const char *name);
/* Writes the JSON object of all body fields given to out; `first` (may be empty) are members to
 * begin with, as JSON text. *count: how many fields there were. 0, or what buf_add returns. */
int cli_call_body(const cli_call *c, tp_str first, buf *out, uint32_t *count);
/* Appends "?a=b&c=d" of all query fields given, percent-encoded; or nothing. */
int cli_call_query(const cli_call *c, buf *out);
/* Appends s percent-encoded, all but letters, digits and "-._~": for a part of a path or query. */
int cli_encode(buf *out, tp_str s);

void cli_group_help(const cli_group *g, buf *out); /* what `turnpike GROUP help` prints */
void cli_group_line(const cli_group *g, buf *out); /* its lines in `turnpike help` */
void cli_verb_usage(const cli_group *g, const cli_verb *v, buf *out); /* "turnpike keys show ID" */

/* ---- Values. 0, or -1: not of this form. */
int cli_span_parse(tp_str s, int64_t *seconds); /* 1 .. 3,153,600,000 (a hundred years) */
/* until: a day means its end. Unix milliseconds: of a day from 1970 on, or written as such with at
 * least 12 digits, up to the end of the year 9999. */
int cli_moment_parse(tp_str s, int until, int64_t *unix_ms);
int cli_money_form(tp_str s, int negative_too); /* decimal, not 0, at most 9 decimals */
/* "2026-04-15T10:30:00.125Z", with a NUL; with_ms 0: without the fraction. */
#define CLI_MOMENT 32u
void cli_moment_print(int64_t unix_ms, int with_ms, char out[CLI_MOMENT]);
#endif
