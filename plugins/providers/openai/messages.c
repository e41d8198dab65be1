/* Messages: a role that this upstream does not know, and members that it refuses. */
#include <stdio.h>
#include "openai_int.h"

int openai_edits_messages(const tp_instance *in)
{
    return in->system_for_developer || in->drop_in_messages.count;
}

static int refused(const tp_instance *in, tp_str key)
{
    for (uint32_t i = 0; i < in->drop_in_messages.count; i++)
        if (span_eq(in->drop_in_messages.items[i], key))
            return 1;
    return 0;
}

static int says_something(const tp_doc *d, uint32_t t)
{
    uint32_t kind = span_kind(d, t);
    if (kind == TP_NULL || (kind == TP_STRING && d->tokens[t].len <= 2))
        return 0;
    return (kind != TP_ARRAY && kind != TP_OBJECT) || span_filled(d, t);
}

static void edit_message(body_edit *b, uint32_t t, uint32_t index)
{
    char place[128];
    members m = members_of(b->d, t);
    while (members_next(&m) && b->s->status == TP_OK) {
        tp_str key = span_text(b->in->host, b->c, b->d, m.key);
        if (b->in->system_for_developer && span_is(key, "role") &&
            span_kind(b->d, m.value) == TP_STRING &&
            span_is(span_text(b->in->host, b->c, b->d, m.value), "developer")) {
            splice_skip(b->s, b->d->tokens[m.value].at, span_end(b->d, m.value));
            splice_put(b->s, SPAN("\"system\""));
        } else if (refused(b->in, key)) {
            int n = snprintf(place, sizeof(place), "messages[%u].%.*s", index,
                             (int)(key.len > 64 ? 64 : key.len), key.ptr);
            if (says_something(b->d, m.value) && n > 0)
                b->s->status = openai_report(b, TP_DROPPED, (tp_str){place, (size_t)n},
                                             SPAN("this provider does not take it"));
            splice_cut(b->s, &m);
        }
    }
}

void openai_edit_messages(body_edit *b, uint32_t list)
{
    uint32_t index = 0;
    if (span_kind(b->d, list) != TP_ARRAY)
        return;
    for (uint32_t t = list + 1; t < b->d->tokens[list].next; t = b->d->tokens[t].next, index++)
        if (span_kind(b->d, t) == TP_OBJECT)
            edit_message(b, t, index);
}
