/* Provider openai: what its files share. */
#ifndef TURNPIKE_PLUGINS_OPENAI_INT_H
#define TURNPIKE_PLUGINS_OPENAI_INT_H
#include "../../common/openai_format.h"
#include "../../common/span.h"

typedef struct rename_rule {
    tp_str from, to;
} rename_rule;
typedef struct string_list {
    tp_str *items;
    uint32_t count;
} string_list;

enum { FORMAT_CHAT, FORMATS };
enum { REQUIRED_AS_IT_IS, REQUIRED_ANY, REQUIRED_AUTO };
/* In which form an upstream takes the wish for thought; beside each, reasoning_effort. */
enum { THINKING_AS_IT_IS, THINKING_EFFORT, THINKING_REASONING, THINKING_THINKING, THINKING_ENABLE,
       THINKING_TEMPLATE, THINKING_NONE };

struct tp_instance { /* const after create */
    const tp_host *host;
    tp_str paths[FORMATS];
    tp_str query;                  /* without '?'; or empty */
    tp_str auth_header, auth_prefix, model_prefix;
    string_list drop, drop_in_messages, efforts;
    rename_rule *rename;
    uint32_t rename_count;
    int stream_usage, one_choice;
    int system_for_developer;      /* role developer becomes system */
    int required, thinking;        /* REQUIRED_, THINKING_ */
    char *pool; /* the strings above */
};

tp_status openai_create(const tp_host *h, tp_call *c, tp_doc options, tp_instance **out);
void openai_destroy(tp_instance *in);
/* Writes the body: the client's own bytes but for the edits that docs/canonical.md lists. */
tp_status openai_write_body(const tp_instance *in, tp_call *c, const tp_operation *op,
                            const tp_target *target);

typedef struct body_edit { /* one body under way, for what is edited within a member */
    const tp_instance *in;
    tp_call *c;
    const tp_target *target;
    const tp_doc *d;
    splice *s;
} body_edit;
tp_status openai_report(const body_edit *b, int32_t what, tp_str field, tp_str why);
/* Is this value what the parameter is without it? Leaving that out is no loss. */
int openai_says_nothing(const tp_doc *d, tp_str key, uint32_t value);

/* messages.c: roles, and members that this upstream refuses. */
int openai_edits_messages(const tp_instance *in);
void openai_edit_messages(body_edit *b, uint32_t list);
/* thinking.c */
typedef struct wish {
    int32_t given;  /* something is said */
    int32_t on;
    tp_str effort;  /* or empty */
    int64_t budget; /* tokens; -1: not said */
    uint32_t by_effort, by_thinking, by_reasoning, by_template,
        by_enable;  /* the members' values, or 0 */
    uint32_t at;    /* the member that is written in place of all */
} wish;
wish openai_read_wish(const body_edit *b);
/* A member that speaks of thought: 1, it was dealt with (m is cut, replaced or left as it is). */
int openai_edit_thinking(body_edit *b, const wish *w, members *m, tp_str key);
#endif
