/* A frame of a native reply passes as it stands, but for the id, the model where the profile says
 * so, and usage that the client did not ask for. */
#include "chat_int.h"

typedef struct top { /* the members that may be edited */
    tp_doc doc;
    uint32_t id, model, usage;
    int choices; /* does the frame hold any? */
} top;

static void patch(render_call *r, const top *t, int cut_usage)
{
    splice s = {.host = r->h, .call = r->c, .text = t->doc.text};
    chat_state *st = r->s;
    members m = members_of(&t->doc, 0);
    if (!t->id && st->id.len) {
        splice_skip(&s, m.before, m.before);
        splice_put(&s, SPAN("\"id\":"));
        splice_quote(&s, st->id);
        if (m.following < m.stop)
            splice_put(&s, SPAN(","));
    }
    while (members_next(&m)) {
        uint32_t at = t->doc.tokens[m.value].at, end = span_end(&t->doc, m.value);
        if (m.value == t->usage && cut_usage) {
            splice_cut(&s, &m);
        } else if (m.value == t->id && st->id.len) {
            splice_skip(&s, at, end);
            splice_quote(&s, st->id);
        } else if (m.value == t->model && st->model.len) {
            splice_skip(&s, at, end);
            splice_quote(&s, st->model);
        }
    }
    tp_status done = splice_end(&s);
    if (r->st == TP_OK)
        r->st = done;
}

/* An event's data may hold line ends between its tokens, never within strings: each line is a data
 * line of its own. */
static tp_str on_one_line(render_call *r, tp_str raw)
{
    if (!raw.len || (!memchr(raw.ptr, '\n', raw.len) && !memchr(raw.ptr, '\r', raw.len)))
        return raw;
    char *p = r->h->alloc(r->c, raw.len);
    if (!p) {
        r->st = TP_E_NOMEM;
        return raw;
    }
    for (size_t i = 0; i < raw.len; i++)
        p[i] = raw.ptr[i] == '\n' || raw.ptr[i] == '\r' ? ' ' : raw.ptr[i];
    return (tp_str){p, raw.len};
}

static void look(const render_call *r, top *t)
{
    for (members m = members_of(&t->doc, 0); members_next(&m);) {
        tp_str k = span_text(r->h, r->c, &t->doc, m.key);
        if (span_is(k, "id"))
            t->id = m.value;
        else if (span_is(k, "model"))
            t->model = m.value;
        else if (span_is(k, "usage"))
            t->usage = m.value;
        else if (span_is(k, "choices"))
            t->choices = span_kind(&t->doc, m.value) == TP_ARRAY && span_filled(&t->doc, m.value);
    }
}

void chat_relay_frame(render_call *r, tp_str raw)
{
    chat_state *s = r->s;
    top t = {.choices = 0};
    tp_str text = s->stream ? on_one_line(r, raw) : raw;
    if (r->st != TP_OK)
        return;
    r->st = r->h->scan(r->c, text, &t.doc);
    if (r->st != TP_OK || !t.doc.count || t.doc.tokens[0].kind != TP_OBJECT) {
        r->st = r->h->fail(r->c, TP_E_UPSTREAM, SPAN_NONE,
                           SPAN("a frame to be relayed is not a JSON object"));
        return;
    }
    look(r, &t);
    if (!s->stream) {
        patch(r, &t, 0);
        return;
    }
    chat_stream_head(r);
    put(r, SPAN("data: "));
    if (r->st == TP_OK)
        patch(r, &t, t.choices && !s->show_usage);
    put(r, SPAN("\n\n"));
}
