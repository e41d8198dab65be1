/* A frame of a native reply passes as it stands, but for the id, the model where the profile says
 * so, and usage that the client did not ask for. */
#include "chat_int.h"

typedef struct top { /* the members that may be edited */
    tp_doc doc;
    uint32_t id, model, usage, choices;
} top;

/* In place of a value. */
static void put_instead(splice *s, const tp_doc *d, uint32_t value, tp_str text)
{
    splice_skip(s, d->tokens[value].at, span_end(d, value));
    splice_quote(s, text);
}

static void cut_member(splice *s, const tp_doc *d, uint32_t value)
{
    members m = members_of(d, 0);
    while (members_next(&m) && m.value != value)
        ;
    splice_cut(s, &m);
}

/* The edits, in order of place: of the three values the one that comes first, and so on. */
static void patch(render_call *r, const top *t, int cut_usage)
{
    splice s = {.host = r->h, .call = r->c, .text = t->doc.text};
    const chat_state *st = r->s;
    uint32_t id = st->id.len ? t->id : 0, model = st->keep_model ? 0 : t->model;
    uint32_t usage = cut_usage ? t->usage : 0;
    if (!t->id && st->id.len) {
        size_t at = t->doc.tokens[0].at + 1;
        splice_skip(&s, at, at);
        splice_put(&s, SPAN("\"id\":"));
        splice_quote(&s, st->id);
        if (span_filled(&t->doc, 0))
            splice_put(&s, SPAN(","));
    }
    while (id | model | usage) {
        uint32_t next = id ? id : UINT32_MAX;
        next = model && model < next ? model : next;
        next = usage && usage < next ? usage : next;
        if (next == usage) {
            cut_member(&s, &t->doc, usage);
            usage = 0;
        } else if (next == id) {
            put_instead(&s, &t->doc, id, st->id);
            id = 0;
        } else {
            put_instead(&s, &t->doc, model, st->model);
            model = 0;
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

static uint32_t *slot_of(top *t, tp_str k)
{
    switch (k.len) {
    case 2: return span_is(k, "id") ? &t->id : NULL;
    case 5: return span_is(k, "model") ? &t->model : span_is(k, "usage") ? &t->usage : NULL;
    case 7: return span_is(k, "choices") ? &t->choices : NULL;
    default: return NULL;
    }
}

static void look(const render_call *r, top *t)
{
    for (members m = members_of(&t->doc, 0); members_next(&m);) {
        tp_str k = span_inner(&t->doc, m.key);
        uint32_t *slot = slot_of(t, k);
        if (!slot && span_has_escape(k))
            slot = slot_of(t, span_text(r->h, r->c, &t->doc, m.key));
        if (slot)
            *slot = m.value;
    }
}

void chat_relay_frame(render_call *r, tp_str raw)
{
    chat_state *s = r->s;
    top t = {.id = 0};
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
    int chosen = span_kind(&t.doc, t.choices) == TP_ARRAY && span_filled(&t.doc, t.choices);
    if (r->st == TP_OK)
        patch(r, &t, chosen && !s->show_usage);
    put(r, SPAN("\n\n"));
}
