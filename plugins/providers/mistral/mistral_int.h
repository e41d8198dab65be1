/* Provider mistral: what its files share. */
#ifndef TURNPIKE_PLUGINS_MISTRAL_INT_H
#define TURNPIKE_PLUGINS_MISTRAL_INT_H
#include "../../common/chat_request.h"
#include "../../common/json_out.h"
#include "../../common/openai_format.h"

enum { FORMAT_CHAT, FORMAT_FIM, FORMATS };
enum { MISTRAL_WORDS = 32 }; /* most words of a list of options */

typedef struct word_list {
    tp_str words[MISTRAL_WORDS];
    uint32_t count;
    int32_t said;
} word_list;

struct tp_instance { /* const after create */
    const tp_host *host;
    tp_str paths[FORMATS];
    word_list efforts; /* what reasoning_effort may be; not said: by the model's name */
    word_list pass;    /* further parameters that the upstream takes */
    int repair;        /* mend the order of messages */
    char *pool;        /* the strings above */
};
tp_status mistral_create(const tp_host *h, tp_call *c, tp_doc options, tp_instance **out);
void mistral_destroy(tp_instance *in);
/* The strings of an array of options, as spans of its text; those with escapes are left out. */
void mistral_read_words(const tp_doc *d, uint32_t list, word_list *out);
int mistral_has_word(const word_list *l, tp_str word);

/* ---- Tool call ids (ids.c): exactly nine letters and digits. */
typedef struct id_entry id_entry;
typedef struct id_map {
    id_entry *entries; /* NULL: every id fits as it stands */
    char (*taken)[10]; /* what is in use */
    uint32_t mask;
} id_map;

typedef struct mistral_body { /* one body under way */
    const tp_instance *in;
    chat_request r;       /* its st: of reports and refusals */
    json_out o;
    splice s;
    const tp_doc *extra;  /* the deployment's own options; its root is an object, or NULL */
    uint32_t extra_drop;  /* array in extra, or 0 */
    id_map ids;
    chat_thinking thinking;
    tp_str effort;        /* the word to be sent, or empty */
    int effort_written;
    int both_limits;      /* max_tokens and max_completion_tokens are given */
    chat_choice choice;
} mistral_body;

int mistral_ok(const mistral_body *b); /* nothing has failed so far */
/* From here on the value is written anew: what stood before it is written, and the token passed
 * over. */
void mistral_replace(mistral_body *b, uint32_t value);
/* Are all members of this object, but nulls, among the names? */
int mistral_only(const mistral_body *b, uint32_t object, const tp_str *names, size_t count);

/* ids.c */
tp_status mistral_map_ids(mistral_body *b);
tp_str mistral_id(const mistral_body *b, tp_str id);
/* The key of a call that has no id of its own: by the places of its message and within it. */
tp_str mistral_key_of(const mistral_body *b, uint32_t message, uint32_t call);
tp_str mistral_call_key(const mistral_body *b, const chat_message *m, const chat_call *call);
/* Walks through messages, so that results without an id find their call. */
typedef struct pairing {
    uint32_t assistant, results;
} pairing;
tp_str mistral_result_key(const mistral_body *b, pairing *p, const chat_message *m);
void mistral_pair(pairing *p, const chat_message *m);

/* messages.c, parts.c, tools.c: each within the value of its member */
void mistral_write_messages(mistral_body *b, uint32_t list);
int mistral_content_is_plain(const mistral_body *b, const chat_message *m);
void mistral_write_content(mistral_body *b, const chat_message *m, int32_t role);
void mistral_write_tools(mistral_body *b, members *m);
void mistral_write_choice(mistral_body *b, members *m);
void mistral_write_format(mistral_body *b, uint32_t t);
void mistral_write_prediction(mistral_body *b, uint32_t t);

/* body.c */
tp_status mistral_write_chat(const tp_instance *in, tp_call *c, const tp_operation *op,
                             const tp_target *target);
tp_status mistral_write_fim(const tp_instance *in, tp_call *c, const tp_operation *op,
                            const tp_target *target);
/* effort.c: what becomes of the client's wish for thought */
void mistral_choose_effort(mistral_body *b);
/* fault.c */
tp_status mistral_failed(const tp_host *h, tp_call *c, const tp_reply *reply);
#endif
