/* The messages of a request as "contents" and "systemInstruction". Neighbours of one role are one
 * content; results of calls stand in a content of their own, in the order in which they came. */
#include "google_body_int.h"
#include "google_contents_int.h"

/* ---- Opening and closing a content. */
static void put_late_media(google_walk *w);

static void close_content(google_walk *w)
{
    if (!w->open)
        return;
    if (w->open == CHAT_TOOL && w->late_media)
        put_late_media(w);
    w->late_media = 0;
    w->open = 0;
    jo_close(&w->b->o, SPAN("]"));
    jo_close(&w->b->o, SPAN("}"));
}

void google_open_content(google_walk *w, int32_t role)
{
    json_out *o = &w->b->o;
    if (w->open == role)
        return;
    close_content(w);
    jo_comma(o);
    jo_open(o, SPAN("{"));
    jo_key_raw(o, SPAN("role"), role == CHAT_ASSISTANT ? SPAN("\"model\"") : SPAN("\"user\""));
    jo_key(o, SPAN("parts"));
    jo_open(o, SPAN("["));
    w->open = role;
    w->written = 1;
}

static int is_blank(const google_body *b, uint32_t text)
{
    return span_kind(b->r.d, text) != TP_STRING || b->r.d->tokens[text].len <= 2;
}

static int is_empty_thought(const google_body *b, const chat_part *p)
{
    uint32_t t = span_find(b->r.h, b->r.d, p->at, SPAN("thinking"));
    for (uint32_t x = t + 1; span_kind(b->r.d, t) == TP_ARRAY && x < b->r.d->tokens[t].next;
         x = b->r.d->tokens[x].next)
        if (!is_blank(b, span_find(b->r.h, b->r.d, x, SPAN("text"))))
            return 0;
    return is_blank(b, t);
}

int google_is_empty(const google_body *b, const chat_part *p)
{
    if (p->kind == CHAT_PART_THINKING)
        return is_empty_thought(b, p);
    return (p->kind == CHAT_PART_TEXT || p->kind == CHAT_PART_REFUSAL) && is_blank(b, p->text);
}

void google_put_text(google_body *b, tp_str raw, int thought, tp_str proof)
{
    json_out *o = &b->o;
    jo_comma(o);
    jo_open(o, SPAN("{"));
    jo_key_raw(o, SPAN("text"), raw);
    if (thought)
        jo_key_bool(o, SPAN("thought"), 1);
    if (proof.len)
        jo_key_string(o, SPAN("thoughtSignature"), proof);
    jo_close(o, SPAN("}"));
}

/* ---- What a message holds that has no place here. */
static void report_members(google_body *b, const chat_message *m)
{
    static const tp_str always[] = {SPAN_INIT("role"), SPAN_INIT("content")};
    static const tp_str assistant[] = {SPAN_INIT("tool_calls"), SPAN_INIT("function_call"),
                                       SPAN_INIT("refusal"), SPAN_INIT("reasoning_content"),
                                       SPAN_INIT("reasoning"), SPAN_INIT("reasoning_details"),
                                       SPAN_INIT("images")};
    static const tp_str tool[] = {SPAN_INIT("tool_call_id"), SPAN_INIT("name")};
    const tp_str *more = m->role == CHAT_ASSISTANT ? assistant : tool;
    size_t count = m->role == CHAT_ASSISTANT ? sizeof(assistant) / sizeof(assistant[0])
                   : m->role == CHAT_TOOL    ? sizeof(tool) / sizeof(tool[0])
                                             : 0;
    for (members it = members_of(b->r.d, m->at); members_next(&it);) {
        tp_str key = span_text(b->r.h, b->r.c, b->r.d, it.key);
        int known = span_eq(key, always[0]) || span_eq(key, always[1]);
        for (size_t i = 0; i < count && !known; i++)
            known = span_eq(key, more[i]);
        if (!known && !span_is_nothing(b->r.d, it.value))
            chat_note(&b->r, TP_DROPPED, SPAN("this provider does not take it"),
                      "messages[%u].%.*s", m->index, (int)(key.len > 64 ? 64 : key.len), key.ptr);
    }
}

/* ---- System. */
static void put_system_parts(google_body *b, const chat_message *m, int *open)
{
    json_out *o = &b->o;
    chat_part p;
    for (chat_parts it = chat_parts_of(&b->r, m->content); chat_next_part(&b->r, &it, &p);) {
        if (p.kind != CHAT_PART_TEXT)
            chat_refuse(&b->r, TP_E_UNSUPPORTED,
                        SPAN("this provider takes nothing but text in a system message"),
                        "messages[%u].content[%u]", m->index, p.index);
        if (p.kind != CHAT_PART_TEXT || google_is_empty(b, &p))
            continue;
        if (!*open) {
            jo_key(o, SPAN("systemInstruction"));
            jo_open(o, SPAN("{"));
            jo_key(o, SPAN("parts"));
            jo_open(o, SPAN("["));
            *open = 1;
        }
        google_put_part(b, &p, m->index);
    }
}

static void put_system(google_walk *w)
{
    google_body *b = w->b;
    chat_message m;
    int talked = 0, open = 0;
    for (chat_messages it = chat_messages_of(&b->r);
         chat_next_message(&b->r, &it, &m) && b->r.st == TP_OK;) {
        if (m.role != CHAT_SYSTEM) {
            talked = 1;
            continue;
        }
        put_system_parts(b, &m, &open);
        report_members(b, &m);
        if (talked)
            chat_note(&b->r, TP_CHANGED, SPAN("moved before the conversation: this provider has one "
                                              "system instruction"),
                      "messages[%u]", m.index);
    }
    if (open) {
        jo_close(&b->o, SPAN("]"));
        jo_close(&b->o, SPAN("}"));
    }
}

/* ---- User. Empty texts say nothing, and are refused. */
static void put_user(google_walk *w, const chat_message *m)
{
    google_body *b = w->b;
    chat_part p;
    for (chat_parts it = chat_parts_of(&b->r, m->content);
         chat_next_part(&b->r, &it, &p) && b->r.st == TP_OK;) {
        if (google_is_empty(b, &p))
            continue;
        google_open_content(w, CHAT_USER);
        google_put_part(b, &p, m->index);
    }
}

/* ---- Results of calls. */

/* Media that stand within the response itself; the others follow the responses. */
static int fits_response(const google_body *b, const chat_part *p)
{
    tp_str type = google_media_type(p);
    return b->m.generation >= 30 && p->data.len &&
           (span_istarts(type, SPAN("image/")) || span_is(type, "application/pdf") ||
            span_is(type, "text/plain"));
}

/* 'o': a JSON object, 'a': a list, 0: text. */
static int kind_of_text(google_body *b, tp_str s)
{
    tp_doc d;
    if (!s.len || (s.ptr[0] != '{' && s.ptr[0] != '['))
        return 0;
    tp_status st = b->r.h->scan(b->r.c, s, &d);
    if (st == TP_E_NOMEM)
        b->r.st = st;
    if (st != TP_OK || !d.count)
        return 0;
    return d.tokens[0].kind == TP_OBJECT ? 'o' : 'a';
}

/* A response is an object: the tool's own, or {"result": ...} around what it said. */
static void put_response(google_body *b, const chat_message *m)
{
    json_out *o = &b->o;
    int plain = span_kind(b->r.d, m->content) == TP_STRING;
    tp_str text = plain ? span_text(b->r.h, b->r.c, b->r.d, m->content)
                        : chat_plain_text(&b->r, m->content, SPAN("\n"));
    if (!text.ptr && m->content) {
        b->r.st = TP_E_NOMEM;
        return;
    }
    tp_str trimmed = span_trim(text);
    int kind = kind_of_text(b, trimmed);
    jo_key(o, SPAN("response"));
    if (kind == 'o') {
        jo_put(o, trimmed);
        return;
    }
    jo_open(o, SPAN("{"));
    jo_key(o, SPAN("result"));
    if (kind)
        jo_put(o, trimmed);
    else if (plain)
        jo_token(o, b->r.d, m->content);
    else
        jo_string(o, text);
    jo_close(o, SPAN("}"));
}

static void put_response_media(google_walk *w, const chat_message *m)
{
    google_body *b = w->b;
    json_out *o = &b->o;
    chat_part p;
    int open = 0;
    for (chat_parts it = chat_parts_of(&b->r, m->content);
         chat_next_part(&b->r, &it, &p) && b->r.st == TP_OK;) {
        if (p.kind == CHAT_PART_TEXT || p.kind == CHAT_PART_REFUSAL)
            continue;
        if (!google_is_media(&p) || !fits_response(b, &p)) {
            w->late_media = 1;
            continue;
        }
        if (!open) {
            jo_key(o, SPAN("parts"));
            jo_open(o, SPAN("["));
            open = 1;
        }
        jo_comma(o);
        jo_open(o, SPAN("{"));
        jo_key(o, SPAN("inlineData"));
        google_put_blob(b, google_media_type(&p), p.data, p.filename);
        jo_close(o, SPAN("}"));
    }
    if (open)
        jo_close(o, SPAN("]"));
}

/* What the responses of the content could not hold follows them. */
static void put_late_media(google_walk *w)
{
    google_body *b = w->b;
    chat_message m;
    chat_part p;
    for (chat_messages it = w->group;
         chat_next_message(&b->r, &it, &m) && m.role == CHAT_TOOL && b->r.st == TP_OK;)
        for (chat_parts parts = chat_parts_of(&b->r, m.content);
             chat_next_part(&b->r, &parts, &p) && b->r.st == TP_OK;)
            if (p.kind != CHAT_PART_TEXT && p.kind != CHAT_PART_REFUSAL &&
                !(google_is_media(&p) && fits_response(b, &p)))
                google_put_part(b, &p, m.index);
}

static void put_result(google_walk *w, const chat_message *m)
{
    google_body *b = w->b;
    json_out *o = &b->o;
    const id_slot *call = id_map_get(&w->names, m->call_id);
    tp_str name = call ? call->value : m->name;
    if (!name.len) {
        chat_refuse(&b->r, TP_E_INPUT,
                    SPAN("no tool call before this message has this id; expected the id of one of "
                         "the assistant's tool calls"),
                    "messages[%u].tool_call_id", m->index);
        return;
    }
    google_open_content(w, CHAT_TOOL);
    jo_comma(o);
    jo_open(o, SPAN("{"));
    jo_key(o, SPAN("functionResponse"));
    jo_open(o, SPAN("{"));
    if (m->call_id.len && !b->f.no_call_ids && span_is(m->role_name, "tool"))
        jo_key_string(o, SPAN("id"), m->call_id);
    jo_key_string(o, SPAN("name"), name);
    put_response(b, m);
    put_response_media(w, m);
    jo_close(o, SPAN("}"));
    jo_close(o, SPAN("}"));
}

/* ---- All of them. */

static int says_something(const google_body *b, const chat_message *m)
{
    chat_part p;
    for (chat_parts it = chat_parts_of(&b->r, m->content); chat_next_part(&b->r, &it, &p);)
        if (!google_is_empty(b, &p))
            return 1;
    return 0;
}

/* Where the current turn begins, how many calls there are, and what kinds of messages. */
static int survey(google_walk *w)
{
    google_body *b = w->b;
    chat_message m;
    uint32_t calls = 0, spoken = 0;
    for (chat_messages it = chat_messages_of(&b->r); chat_next_message(&b->r, &it, &m);) {
        w->systems += m.role == CHAT_SYSTEM;
        w->others += m.role != CHAT_SYSTEM;
        if (m.role == CHAT_USER && says_something(b, &m)) {
            w->turn = m.index;
            spoken = 1;
        }
        calls += m.function_call != 0;
        for (uint32_t t = m.tool_calls + 1; m.tool_calls && t < b->r.d->tokens[m.tool_calls].next;
             t = b->r.d->tokens[t].next)
            calls++;
        w->headless |= calls && !spoken;
    }
    return id_map_init(b->r.h, b->r.c, &w->names, calls);
}

/* A turn with calls comes after one of a user, or is refused: where a conversation has lost its
 * beginning, a user says nothing first. */
static void put_head(google_walk *w)
{
    google_open_content(w, CHAT_USER);
    google_put_text(w->b, SPAN("\" \""), 0, SPAN_NONE);
    chat_note(&w->b->r, TP_REPAIRED, SPAN("begins with a call: a blank message of a user was put "
                                          "before it, which this provider wants"), "messages");
}

static void put_message(google_walk *w, const chat_message *m)
{
    switch (m->role) {
    case CHAT_SYSTEM: /* nothing else is there: it is what the user says */
        chat_note(&w->b->r, TP_CHANGED, SPAN("sent as a user's message: this provider wants one"),
                  "messages[%u].role", m->index);
        put_user(w, m);
        break;
    case CHAT_USER:
        put_user(w, m);
        break;
    case CHAT_ASSISTANT:
        google_put_assistant(w, m);
        break;
    case CHAT_TOOL:
        put_result(w, m);
        break;
    default:
        chat_refuse(&w->b->r, TP_E_UNSUPPORTED, SPAN("this provider has no such role"),
                    "messages[%u].role", m->index);
        return;
    }
    report_members(w->b, m);
}

void google_put_contents(google_body *b)
{
    google_walk w = {.b = b};
    chat_message m;
    if (!survey(&w)) {
        b->r.st = TP_E_NOMEM;
        return;
    }
    jo_key(&b->o, SPAN("contents"));
    jo_open(&b->o, SPAN("["));
    if (w.headless)
        put_head(&w);
    chat_messages it = chat_messages_of(&b->r), before = it;
    for (; chat_next_message(&b->r, &it, &m) && google_status(b) == TP_OK; before = it) {
        if (m.role == CHAT_SYSTEM && w.others)
            continue;
        if (m.role == CHAT_TOOL && w.open != CHAT_TOOL)
            close_content(&w), w.group = before;
        put_message(&w, &m);
    }
    close_content(&w);
    jo_close(&b->o, SPAN("]"));
    if (!w.written)
        chat_refuse(&b->r, TP_E_UNSUPPORTED,
                    SPAN("this provider wants at least one message that says something"),
                    "messages");
    if (w.systems && w.others)
        put_system(&w);
}
