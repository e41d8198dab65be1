/* Messages: Cohere's have the roles of the canonical ones. An assistant that calls tools has no
 * text there: what it said before is its tool_plan, or its thought where the model thinks. */
#include "cohere_int.h"

static void write_text_part(cohere_body *b, uint32_t text)
{
    jo_comma(&b->o);
    jo_open(&b->o, SPAN("{"));
    jo_key_raw(&b->o, SPAN("type"), SPAN("\"text\""));
    jo_key_token(&b->o, SPAN("text"), b->r.d, text);
    jo_close(&b->o, SPAN("}"));
}

static void begin_thinking(cohere_body *b)
{
    jo_comma(&b->o);
    jo_open(&b->o, SPAN("{"));
    jo_key_raw(&b->o, SPAN("type"), SPAN("\"thinking\""));
    jo_key(&b->o, SPAN("thinking"));
}

/* ---- Thoughts of an assistant: reasoning_content, or else the texts of reasoning_details. */
static tp_str details_text(cohere_body *b, const chat_message *m)
{
    chat_request *r = &b->r;
    chat_detail x;
    size_t room = 0, n = 0;
    for (chat_details it = chat_details_of(r, m); chat_next_detail(r, &it, &x);)
        room += x.text ? r->d->tokens[x.text].len : 0;
    char *text = room ? r->h->alloc(r->c, room) : NULL;
    if (!text) {
        if (room && r->st == TP_OK)
            r->st = TP_E_NOMEM;
        return SPAN_NONE;
    }
    for (chat_details it = chat_details_of(r, m); chat_next_detail(r, &it, &x);) {
        tp_str s = x.text ? span_text(r->h, r->c, r->d, x.text) : SPAN_NONE;
        if (s.len)
            memcpy(text + n, s.ptr, s.len);
        n += s.len;
    }
    return (tp_str){text, n};
}

static void note_sealed(cohere_body *b, const chat_message *m)
{
    chat_detail x;
    for (chat_details it = chat_details_of(&b->r, m); chat_next_detail(&b->r, &it, &x);) {
        if (x.sealed) {
            chat_note(&b->r, TP_DROPPED, SPAN("a sealed thought is for the provider that made it"),
                      "messages[%u].reasoning_details", m->index);
            return;
        }
    }
}

static tp_str thought_of(cohere_body *b, const chat_message *m)
{
    note_sealed(b, m);
    tp_str s = m->reasoning ? span_text(b->r.h, b->r.c, b->r.d, m->reasoning) : details_text(b, m);
    int calls = m->function_call || (m->tool_calls && span_filled(b->r.d, m->tool_calls));
    if (!s.len || calls || !cohere_cannot_think(b)) /* before calls it may be the plan */
        return s;
    chat_note(&b->r, TP_DROPPED, SPAN("this model does not think"), "messages[%u].%s", m->index,
              m->reasoning ? "reasoning_content" : "reasoning_details");
    return SPAN_NONE;
}

/* A part of type thinking: {"thinking": "..."}, or a list of text parts. */
static tp_str thinking_part(cohere_body *b, const chat_part *p)
{
    uint32_t t = span_find(b->r.h, b->r.d, p->at, SPAN("thinking"));
    if (span_kind(b->r.d, t) == TP_STRING)
        return span_text(b->r.h, b->r.c, b->r.d, t);
    return span_kind(b->r.d, t) == TP_ARRAY ? chat_plain_text(&b->r, t, SPAN_NONE) : SPAN_NONE;
}

/* ---- Parts. */
static void write_image(cohere_body *b, const chat_message *m, const chat_part *p)
{
    const chat_request *r = &b->r;
    uint32_t link = span_find(r->h, r->d, p->at, SPAN("image_url"));
    uint32_t url =
        span_kind(r->d, link) == TP_OBJECT ? span_find(r->h, r->d, link, SPAN("url")) : link;
    if (span_kind(r->d, url) != TP_STRING) {
        chat_refuse(&b->r, TP_E_INPUT, SPAN("expected an image as {\"url\": \"...\"}"),
                    "messages[%u].content[%u].image_url", m->index, p->index);
        return;
    }
    jo_comma(&b->o);
    jo_open(&b->o, SPAN("{"));
    jo_key_raw(&b->o, SPAN("type"), SPAN("\"image_url\""));
    jo_key(&b->o, SPAN("image_url"));
    jo_open(&b->o, SPAN("{"));
    jo_key_token(&b->o, SPAN("url"), r->d, url);
    if (p->detail.len)
        jo_key_string(&b->o, SPAN("detail"), p->detail);
    jo_close(&b->o, SPAN("}"));
    jo_close(&b->o, SPAN("}"));
}

static void refuse_part(cohere_body *b, const chat_message *m, const chat_part *p)
{
    tp_str why = p->kind == CHAT_PART_AUDIO   ? SPAN("Cohere's chat takes no audio")
                 : p->kind == CHAT_PART_VIDEO ? SPAN("Cohere's chat takes no video")
                 : p->kind == CHAT_PART_IMAGE ? SPAN("Cohere takes images in user messages only")
                 : p->kind == CHAT_PART_DOCUMENT
                     ? SPAN("Cohere fetches no documents; send the text itself")
                     : SPAN("Cohere takes no part of this type here");
    chat_refuse(&b->r, TP_E_UNSUPPORTED, why, "messages[%u].content[%u]", m->index, p->index);
}

static int is_document(const chat_part *p)
{
    return p->kind == CHAT_PART_FILE ||
           (p->kind == CHAT_PART_OTHER && span_is(p->type, "document"));
}

static void write_part(cohere_body *b, const chat_message *m, const chat_part *p)
{
    if (p->kind == CHAT_PART_TEXT || (p->kind == CHAT_PART_REFUSAL && m->role == CHAT_ASSISTANT)) {
        if (p->text && (m->role == CHAT_TOOL || b->r.d->tokens[p->text].len > 2))
            write_text_part(b, p->text);
        else if (!p->text)
            chat_refuse(&b->r, TP_E_INPUT, SPAN("expected a text as a string"),
                        "messages[%u].content[%u].text", m->index, p->index);
    } else if (p->kind == CHAT_PART_IMAGE && m->role == CHAT_USER) {
        write_image(b, m, p);
    } else if (p->kind == CHAT_PART_THINKING && m->role == CHAT_ASSISTANT) {
        begin_thinking(b);
        jo_string(&b->o, thinking_part(b, p));
        jo_close(&b->o, SPAN("}"));
    } else if (is_document(p) && m->role == CHAT_TOOL) {
        cohere_write_document(b, m, p, 1);
    } else if (is_document(p) && (m->role == CHAT_USER || m->role == CHAT_SYSTEM)) {
        b->documents = 1; /* follows in "documents" */
    } else {
        refuse_part(b, m, p);
    }
    if (p->cache_control)
        chat_note(&b->r, TP_DROPPED, SPAN("Cohere decides itself what it caches"), "cache_control");
}

static int has_carried_part(const cohere_body *b, const chat_message *m)
{
    chat_part p;
    for (chat_parts it = chat_parts_of(&b->r, m->content); chat_next_part(&b->r, &it, &p);)
        if (!is_document(&p) || (m->role != CHAT_USER && m->role != CHAT_SYSTEM))
            return 1;
    return 0;
}

/* "content": a string stays one. thought: put before it, where it is not empty. */
static void write_content(cohere_body *b, const chat_message *m, tp_str thought)
{
    chat_part p;
    uint32_t content = m->content ? m->content : m->refusal;
    jo_key(&b->o, SPAN("content"));
    if (!thought.len && span_kind(b->r.d, content) == TP_STRING) {
        jo_token(&b->o, b->r.d, content);
        return;
    }
    if (!thought.len && !(content && has_carried_part(b, m))) {
        jo_put(&b->o, SPAN("\"\""));
        for (chat_parts it = chat_parts_of(&b->r, content); chat_next_part(&b->r, &it, &p);)
            write_part(b, m, &p); /* documents, which stand elsewhere */
        return;
    }
    jo_open(&b->o, SPAN("["));
    if (thought.len) {
        begin_thinking(b);
        jo_string(&b->o, thought);
        jo_close(&b->o, SPAN("}"));
    }
    for (chat_parts it = chat_parts_of(&b->r, content);
         b->r.st == TP_OK && chat_next_part(&b->r, &it, &p);)
        write_part(b, m, &p);
    jo_close(&b->o, SPAN("]"));
}

/* ---- An assistant that calls tools. */
static void write_calls(cohere_body *b, const chat_message *m)
{
    chat_call call;
    jo_key(&b->o, SPAN("tool_calls"));
    jo_open(&b->o, SPAN("["));
    for (chat_calls it = chat_calls_of(&b->r, m); chat_next_call(&b->r, &it, &call);) {
        if (!call.name.len) {
            chat_refuse(&b->r, TP_E_UNSUPPORTED, SPAN("Cohere knows calls of functions only"),
                        "messages[%u].tool_calls[%u]", m->index, call.index);
            return;
        }
        jo_comma(&b->o);
        jo_open(&b->o, SPAN("{"));
        jo_key_string(&b->o, SPAN("id"), call.id);
        jo_key_raw(&b->o, SPAN("type"), SPAN("\"function\""));
        jo_key(&b->o, SPAN("function"));
        jo_open(&b->o, SPAN("{"));
        jo_key_string(&b->o, SPAN("name"), call.name);
        jo_key_string(&b->o, SPAN("arguments"), chat_arguments(&b->r, m, &call));
        jo_close(&b->o, SPAN("}"));
        jo_close(&b->o, SPAN("}"));
    }
    jo_close(&b->o, SPAN("]"));
}

/* The two joined, a blank line between them. */
static tp_str joined(cohere_body *b, tp_str first, tp_str second)
{
    if (!first.len || !second.len)
        return first.len ? first : second;
    char *text = b->r.h->alloc(b->r.c, first.len + 2 + second.len);
    if (!text) {
        if (b->r.st == TP_OK)
            b->r.st = TP_E_NOMEM;
        return SPAN_NONE;
    }
    memcpy(text, first.ptr, first.len);
    memcpy(text + first.len, "\n\n", 2);
    memcpy(text + first.len + 2, second.ptr, second.len);
    return (tp_str){text, first.len + 2 + second.len};
}

/* What of a calling assistant's content is text, and what is thought. Anything else is refused. */
static void read_content(cohere_body *b, const chat_message *m, tp_str *text, tp_str *thought)
{
    chat_part p;
    *text = chat_plain_text(&b->r, m->content, SPAN_NONE);
    for (chat_parts it = chat_parts_of(&b->r, m->content);
         b->r.st == TP_OK && chat_next_part(&b->r, &it, &p);) {
        if (p.kind == CHAT_PART_THINKING)
            *thought = joined(b, *thought, thinking_part(b, &p));
        else if (p.kind != CHAT_PART_TEXT && p.kind != CHAT_PART_REFUSAL)
            refuse_part(b, m, &p);
    }
}

static void write_calling(cohere_body *b, const chat_message *m, tp_str thought)
{
    const chat_request *r = &b->r;
    tp_str text;
    tp_str plan = span_member(r->h, r->c, r->d, m->at, SPAN("tool_plan")); /* its own word */
    read_content(b, m, &text, &thought);
    if (text.len)
        chat_note(&b->r, TP_CHANGED,
                  SPAN("Cohere takes no text beside tool calls: it is the tool_plan"),
                  "messages[%u].content", m->index);
    if (thought.len && (plan.len || b->thinks)) {
        jo_key(&b->o, SPAN("content"));
        jo_open(&b->o, SPAN("["));
        begin_thinking(b);
        jo_string(&b->o, thought);
        jo_close(&b->o, SPAN("}"));
        jo_close(&b->o, SPAN("]"));
    } else {
        plan = joined(b, plan, thought);
    }
    plan = joined(b, plan, text);
    if (plan.len)
        jo_key_string(&b->o, SPAN("tool_plan"), plan);
    write_calls(b, m);
}

/* ---- What a message holds that has no place here. */
static void report_members(cohere_body *b, const chat_message *m)
{
    static const tp_str always[] = {SPAN_INIT("role"), SPAN_INIT("content"), {0}};
    static const tp_str assistant[] = {SPAN_INIT("tool_calls"), SPAN_INIT("function_call"),
                                       SPAN_INIT("tool_plan"), SPAN_INIT("refusal"),
                                       SPAN_INIT("reasoning_content"), SPAN_INIT("reasoning"),
                                       SPAN_INIT("reasoning_details"), {0}};
    static const tp_str tool[] = {SPAN_INIT("tool_call_id"), SPAN_INIT("name"), {0}};
    static const tp_str none[] = {{0}};
    const tp_str *more = m->role == CHAT_ASSISTANT ? assistant : m->role == CHAT_TOOL ? tool : none;
    for (members it = members_of(b->r.d, m->at); members_next(&it);) {
        tp_str key = span_text(b->r.h, b->r.c, b->r.d, it.key);
        int known = span_is_nothing(b->r.d, it.value);
        for (const tp_str *k = always; k->len && !known; k++)
            known = span_eq(key, *k);
        for (const tp_str *k = more; k->len && !known; k++)
            known = span_eq(key, *k);
        if (!known)
            chat_note(&b->r, TP_DROPPED, SPAN("Cohere's messages do not have it"), "messages[%u].%.*s",
                      m->index, (int)(key.len > 64 ? 64 : key.len), key.ptr);
    }
}

/* ---- Messages. */

/* Cohere refuses messages without a word: they are left out, and their documents stand elsewhere. */
static int says_nothing(cohere_body *b, const chat_message *m)
{
    chat_part p;
    int documents = 0;
    if (m->role == CHAT_TOOL || m->role == CHAT_OTHER_ROLE || m->function_call ||
        (m->tool_calls && span_filled(b->r.d, m->tool_calls)) || m->refusal)
        return 0;
    for (chat_parts it = chat_parts_of(&b->r, m->content); chat_next_part(&b->r, &it, &p);) {
        if (is_document(&p) && m->role != CHAT_ASSISTANT)
            documents = 1;
        else if (p.kind != CHAT_PART_TEXT || !p.text || b->r.d->tokens[p.text].len > 2)
            return 0;
    }
    b->documents |= documents;
    return 1;
}

static void write_message(cohere_body *b, const chat_message *m, tp_str thought)
{
    static const tp_str roles[] = {[CHAT_SYSTEM] = SPAN_INIT("system"),
                                   [CHAT_USER] = SPAN_INIT("user"),
                                   [CHAT_ASSISTANT] = SPAN_INIT("assistant"),
                                   [CHAT_TOOL] = SPAN_INIT("tool")};
    if (m->role == CHAT_OTHER_ROLE) {
        chat_refuse(&b->r, TP_E_INPUT,
                    SPAN("expected system, developer, user, assistant, tool or function"),
                    "messages[%u].role", m->index);
        return;
    }
    jo_comma(&b->o);
    jo_open(&b->o, SPAN("{"));
    jo_key_string(&b->o, SPAN("role"), roles[m->role]);
    if (m->role == CHAT_TOOL)
        jo_key_string(&b->o, SPAN("tool_call_id"), m->call_id);
    if (m->function_call || (m->tool_calls && span_filled(b->r.d, m->tool_calls)))
        write_calling(b, m, thought);
    else
        write_content(b, m, thought);
    jo_close(&b->o, SPAN("}"));
    report_members(b, m);
}

void cohere_write_messages(cohere_body *b)
{
    chat_message m;
    int written = 0, last = 0;
    jo_key(&b->o, SPAN("messages"));
    jo_open(&b->o, SPAN("["));
    for (chat_messages it = chat_messages_of(&b->r);
         b->r.st == TP_OK && chat_next_message(&b->r, &it, &m);) {
        tp_str thought = m.role == CHAT_ASSISTANT ? thought_of(b, &m) : SPAN_NONE;
        last = thought.len || !says_nothing(b, &m);
        written |= last;
        if (last)
            write_message(b, &m, thought);
        else if (m.content && !span_is_nothing(b->r.d, m.content))
            chat_note(&b->r, TP_CHANGED, SPAN("left out: Cohere takes no messages without a text"),
                      "messages[%u]", m.index);
    }
    jo_close(&b->o, SPAN("]"));
    b->wordless = !written || (!last && b->documents); /* a document is no question */
}
