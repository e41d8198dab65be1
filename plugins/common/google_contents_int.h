/* Google's format: what the files that write messages share. */
#ifndef TURNPIKE_PLUGINS_GOOGLE_CONTENTS_INT_H
#define TURNPIKE_PLUGINS_GOOGLE_CONTENTS_INT_H
#include "google_body_int.h"
#include "google_idmap.h"

typedef struct google_walk { /* through the messages */
    google_body *b;
    id_map names;            /* of the calls so far, by id */
    uint32_t turn;           /* index of the last message of a user: the current turn follows it */
    uint32_t systems, others;
    int32_t headless;        /* a call comes before any word of a user */
    int32_t open;            /* role of the content that is open, or 0 */
    int32_t written;         /* some content is */
    int32_t late_media;      /* results hold media that follow the responses */
    chat_messages group;     /* where the open content of results begins */
} google_walk;

void google_open_content(google_walk *w, int32_t role);
/* A text or thought that says nothing: a part of its own is refused. */
int google_is_empty(const google_body *b, const chat_part *p);
/* raw: the text as JSON. */
void google_put_text(google_body *b, tp_str raw, int thought, tp_str proof);
/* google_assistant.c */
void google_put_assistant(google_walk *w, const chat_message *m);
#endif
