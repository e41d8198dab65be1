/* Checking a chat request: places, complaints and small checks, shared by parse.c and messages.c. */
#ifndef TURNPIKE_PLUGINS_CHAT_PARSE_INT_H
#define TURNPIKE_PLUGINS_CHAT_PARSE_INT_H
#include "chat_int.h"

typedef struct check { /* one parse */
    const tp_instance *in;
    const tp_host *h;
    tp_call *c;
    const tp_doc *d;
    tp_operation *op;
    tp_status st;
    int open; /* the upstream reads more than the body holds */
} check;

/* Where a value stands, as a chain on the stack: nothing is written until something is wrong. */
typedef struct place {
    const struct place *up;
    tp_str name;    /* a member; empty: an element */
    uint32_t index;
} place;
static inline place member_of(const place *up, tp_str name)
{
    return (place){.up = up, .name = name};
}
static inline place element_of(const place *up, uint32_t index)
{
    return (place){.up = up, .index = index};
}

/* Refuses the request: param is the place, the sentence says what stands there (token t, 0 for
 * missing) and what was expected. Returns 0, so that checks can be chained by &&. */
int chat_refuse(check *k, const place *at, uint32_t t, const char *expected);

/* Each returns 1, or refuses and returns 0. */
int chat_want(check *k, const place *at, uint32_t t, uint32_t kind, const char *expected);
int chat_want_filled(check *k, const place *at, uint32_t t); /* a string that is not empty */
int chat_want_number(check *k, const place *at, uint32_t t, int32_t from, int32_t to);
int chat_want_int(check *k, const place *at, uint32_t t, int64_t from, int64_t to, int64_t *out);
int chat_want_name(check *k, const place *at, uint32_t t); /* of a function */
int chat_emit_text(check *k, tp_str role, uint32_t t);
int chat_emit_raw(check *k, tp_str name, uint32_t t);

int chat_check_messages(check *k, const place *at, uint32_t t);
int chat_check_tools(check *k, const place *at, uint32_t t);
int chat_check_tool_choice(check *k, const place *at, uint32_t t);
int chat_check_format(check *k, const place *at, uint32_t t);
#endif
