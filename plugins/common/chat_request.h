/* Reading a canonical chat request (docs/canonical.md) for providers that translate it: members are
 * taken by name, and what nobody took is reported as dropped, so that nothing is lost in silence.
 * Endpoint chat has checked types and ranges of OpenAI's own parameters; other endpoints' bodies come
 * the same way. Strings are the call's. All functions: [loop]. */
#ifndef TURNPIKE_PLUGINS_CHAT_REQUEST_H
#define TURNPIKE_PLUGINS_CHAT_REQUEST_H
#include "span.h"

enum { CHAT_TAKEN = 64 }; /* most members that a provider takes by name */
typedef struct chat_request {
    const tp_host *h;
    tp_call *c;
    const tp_operation *op;
    const tp_target *target;
    const tp_doc *d;
    uint32_t taken[CHAT_TAKEN], taken_count;
    tp_status st; /* of report and fail; once it is not TP_OK it stays: check it before the end */
} chat_request;
/* Begins; the members model, messages, stream and stream_options count as taken. TP_E_UNSUPPORTED
 * with a sentence when the body is not a JSON object. */
tp_status chat_begin(chat_request *r, const tp_host *h, tp_call *c, const tp_operation *op,
                     const tp_target *target);
/* The value of a top-level member, now taken; 0: absent or null. */
uint32_t chat_take(chat_request *r, tp_str name);
/* Reports as dropped every member that has a value and was not taken; returns r->st. */
tp_status chat_rest(chat_request *r);
/* One report, with a place made by printf's rules (%u, %s, %.*s), for example
 * chat_note(r, TP_DROPPED, SPAN("..."), "messages[%u].name", m.index). */
void chat_note(chat_request *r, int32_t what, tp_str why, const char *place, ...)
    __attribute__((format(printf, 4, 5)));
/* Fails the call: TP_E_INPUT (the client's fault) or TP_E_UNSUPPORTED (this provider cannot carry it,
 * another may). Returns and keeps the status. */
tp_status chat_refuse(chat_request *r, tp_status st, tp_str why, const char *place, ...)
    __attribute__((format(printf, 4, 5)));

/* ---- Parameters that several members may say. Each takes its members. */
/* The limit of output tokens: max_completion_tokens, else max_tokens; lowered to the model's limit
 * (reported as changed). -1: not said. */
int64_t chat_max_tokens(chat_request *r);

typedef struct chat_thinking {
    int32_t wanted;    /* -1: nothing is said; 0: off; 1: on */
    int32_t adaptive;  /* thinking.type "adaptive": on, the model decides how much */
    int64_t budget;    /* tokens; -1: not said */
    tp_str effort;     /* "none", "minimal", "low", "medium", "high", "xhigh"...; empty: not said */
    int32_t hidden;    /* reasoning.exclude, include_reasoning false: do not show the thought */
} chat_thinking;
/* Of thinking (wins), reasoning_effort, reasoning ({"effort", "max_tokens", "enabled", "exclude"}). */
chat_thinking chat_take_thinking(chat_request *r);
/* A budget in tokens for an effort, where a provider counts tokens: minimal 1,024, low 2,048, medium
 * 8,192, high 24,576, xhigh and max 32,768; at most `most` (> 0: the model's room). 0: none. -1: the
 * word is not known. */
int64_t chat_budget_of(tp_str effort, int64_t most);

enum { CHAT_FORMAT_TEXT = 0, CHAT_FORMAT_JSON = 1, CHAT_FORMAT_SCHEMA = 2 };
typedef struct chat_format { /* response_format */
    int32_t kind;
    int32_t strict;  /* -1: not said */
    tp_str name, description;
    uint32_t schema; /* object, or 0 */
} chat_format;
chat_format chat_take_format(chat_request *r);

/* Stop sequences: for (uint32_t t = 0; chat_next_stop(r, stop, &t);) with stop from chat_take; t is
 * the string token. */
int chat_next_stop(const chat_request *r, uint32_t stop, uint32_t *t);

/* ---- Tools. Both tools and the old functions. */
typedef struct chat_tool {
    uint32_t at, index;   /* place in its list */
    int32_t is_function;  /* 0: a type that only some provider knows; see type */
    tp_str type, name;
    uint32_t description; /* string token, or 0 */
    uint32_t parameters;  /* object token, or 0 */
    uint32_t cache_control;
    int32_t strict;       /* -1: not said */
} chat_tool;
typedef struct chat_tools {
    uint32_t tools, functions, next, index;
} chat_tools;
chat_tools chat_take_tools(chat_request *r); /* both lists are taken */
int chat_next_tool(const chat_request *r, chat_tools *it, chat_tool *out);

enum { CHAT_CHOICE_NOT_SAID = 0, CHAT_CHOICE_NONE, CHAT_CHOICE_AUTO, CHAT_CHOICE_REQUIRED,
       CHAT_CHOICE_NAMED,     /* name */
       CHAT_CHOICE_ALLOWED,   /* names, and required: {"type": "allowed_tools", ...} */
       CHAT_CHOICE_OTHER };   /* at: as it stands */
typedef struct chat_choice { /* tool_choice, function_call */
    int32_t kind, required;
    tp_str name;
    uint32_t names; /* array of tools that may be called: {"type": "function", "function": {"name"}} */
    uint32_t at;
} chat_choice;
chat_choice chat_take_choice(chat_request *r);
/* The name of an element of chat_choice.names. */
tp_str chat_allowed_name(const chat_request *r, uint32_t element);

/* ---- Messages (chat_message.c). */
enum { CHAT_SYSTEM = 1, /* system and developer */
       CHAT_USER, CHAT_ASSISTANT, CHAT_TOOL, /* tool, and the old function */
       CHAT_OTHER_ROLE };
typedef struct chat_message {
    uint32_t at, index;
    int32_t role;
    tp_str role_name, name;
    uint32_t content;       /* string, array or 0 (absent, null) */
    uint32_t tool_calls;    /* array, or 0 */
    uint32_t function_call; /* the old one; object or 0. Iterated by chat_next_call too */
    uint32_t refusal;       /* string or 0 */
    uint32_t reasoning;     /* reasoning_content or reasoning: string or 0 */
    uint32_t details;       /* reasoning_details: array or 0 */
    uint32_t cache_control; /* of the message, or 0 */
    tp_str call_id;         /* of role tool; role function: its name */
} chat_message;
typedef struct chat_messages {
    uint32_t next, index, stop;
} chat_messages;
chat_messages chat_messages_of(const chat_request *r);
int chat_next_message(const chat_request *r, chat_messages *it, chat_message *out);

enum { CHAT_PART_TEXT = 1, CHAT_PART_IMAGE, CHAT_PART_AUDIO, CHAT_PART_FILE, CHAT_PART_DOCUMENT,
       CHAT_PART_VIDEO, CHAT_PART_REFUSAL, CHAT_PART_THINKING, CHAT_PART_OTHER };
typedef struct chat_part {
    int32_t kind;
    uint32_t at, index;     /* index: in its list; at: the part (the string itself, if content is one) */
    uint32_t text;          /* TEXT, REFUSAL: string token, to be written as it stands */
    uint32_t cache_control; /* object or 0 */
    tp_str type;            /* the part's own word */
    tp_str url;             /* IMAGE, DOCUMENT, VIDEO: where it is no data URL */
    tp_str media_type;      /* of data; AUDIO: its format ("wav", "mp3"); else what is known, or empty */
    tp_str data;            /* base64 */
    tp_str file_id, filename, detail;
} chat_part;
typedef struct chat_parts {
    uint32_t list, next, index, stop;
} chat_parts;
/* content: string (one text part; none if it is empty), array, or 0. */
chat_parts chat_parts_of(const chat_request *r, uint32_t content);
int chat_next_part(const chat_request *r, chat_parts *it, chat_part *out);
/* "data:image/png;base64,AAAA": 1, with media type (without parameters) and data; else 0. */
int chat_data_url(tp_str url, tp_str *media_type, tp_str *data);
/* The texts of a content joined, decoded: where a provider takes plain text alone. between: put
 * between two parts. Parts of other kinds are passed over: look for them first. ptr NULL: no memory. */
tp_str chat_plain_text(const chat_request *r, uint32_t content, tp_str between);

typedef struct chat_call {
    uint32_t at, index;
    tp_str id, name;
    uint32_t arguments; /* string token, or 0 */
    uint32_t extra;     /* extra_content, or 0 */
} chat_call;
typedef struct chat_calls {
    const chat_message *m;
    uint32_t next, index, stop;
} chat_calls;
chat_calls chat_calls_of(const chat_request *r, const chat_message *m);
int chat_next_call(const chat_request *r, chat_calls *it, chat_call *out);
/* The arguments as a JSON object's text, for providers that want it as such. Empty ones are {}. What
 * is not a JSON object (models do write such) becomes {"arguments": "..."}, reported as changed. */
tp_str chat_arguments(chat_request *r, const chat_message *m, const chat_call *call);

typedef struct chat_detail { /* an element of reasoning_details */
    uint32_t at, index;
    int32_t sealed;       /* reasoning.encrypted */
    uint32_t text;        /* string token or 0: the thought */
    tp_str signature, data, format, id;
} chat_detail;
typedef struct chat_details {
    uint32_t next, index, stop;
} chat_details;
chat_details chat_details_of(const chat_request *r, const chat_message *m);
int chat_next_detail(const chat_request *r, chat_details *it, chat_detail *out);
#endif
