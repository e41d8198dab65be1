/* Messages as turns: the system's go to the top, neighbours of one role are one turn, results of
 * calls come first in theirs, and thoughts before what they led to. */
#include "anthropic_int.h"

/* ---- What a message comes to. */
static int any_part(const body *b, uint32_t content)
{
    chat_part p;
    for (chat_parts it = chat_parts_of(&b->r, content); chat_next_part(&b->r, &it, &p);)
        if (anthropic_writes(b, &p))
            return 1;
    return 0;
}

static int is_ours(const chat_detail *k)
{
    return !k->format.len || span_is(k->format, ANTHROPIC_PROOF);
}

/* A thought that the API takes back: signed or sealed, and by this API's own models. */
static int any_proof(const body *b, const chat_message *m)
{
    chat_detail k;
    for (chat_details it = chat_details_of(&b->r, m); chat_next_detail(&b->r, &it, &k);)
        if (is_ours(&k) && (k.sealed ? k.data.len : k.signature.len))
            return 1;
    chat_part p;
    for (chat_parts it = chat_parts_of(&b->r, m->content); chat_next_part(&b->r, &it, &p);)
        if ((p.kind == CHAT_PART_THINKING && anthropic_writes(b, &p)) ||
            span_is(p.type, "redacted_thinking"))
            return 1;
    return 0;
}

static int any_call(const body *b, const chat_message *m)
{
    return (m->tool_calls && span_filled(b->r.d, m->tool_calls)) || m->function_call;
}

static int comes_to_anything(const body *b, const chat_message *m)
{
    switch (m->role) {
    case CHAT_TOOL: return 1;
    case CHAT_SYSTEM: return 0;
    case CHAT_ASSISTANT:
        return any_part(b, m->content) || any_call(b, m) || any_proof(b, m) ||
               (m->refusal && !anthropic_blank(b->r.d, m->refusal));
    default: return any_part(b, m->content);
    }
}

static int next(const body *b, chat_messages *it, chat_message *m)
{
    while (chat_next_message(&b->r, it, m))
        if (comes_to_anything(b, m))
            return 1;
    return 0;
}

/* Is the last block of this message a text, which the model would go on with? */
static int ends_in_text(const body *b, const chat_message *m)
{
    int text = m->refusal != 0;
    chat_part p;
    if (any_call(b, m))
        return 0;
    for (chat_parts it = chat_parts_of(&b->r, m->content); chat_next_part(&b->r, &it, &p);)
        if (anthropic_writes(b, &p))
            text = p.kind == CHAT_PART_TEXT || p.kind == CHAT_PART_REFUSAL;
    return text;
}

anthropic_turns anthropic_look(body *b)
{
    anthropic_turns t = {0};
    chat_message m;
    int in_turn = 0, calls = 0, proof = 0, answered = 0;
    chat_messages it = chat_messages_of(&b->r);
    while (next(b, &it, &m)) {
        t.ends_with_assistant = 0;
        if (m.role != CHAT_ASSISTANT) {
            in_turn = 0;
            answered |= m.role == CHAT_TOOL;
            continue;
        }
        if (!in_turn) {
            calls = answered = 0;
            proof = any_proof(b, &m); /* the turn's first block counts */
        }
        in_turn = 1;
        calls |= any_call(b, &m);
        t.ends_with_assistant = ends_in_text(b, &m);
    }
    t.unproved_calls = calls && answered && !proof;
    return t;
}

/* ---- System. */
static void put_system_text(body *b, const chat_message *m, const chat_part *p, uint32_t mark)
{
    if (p->kind != CHAT_PART_TEXT) {
        chat_refuse(&b->r, TP_E_UNSUPPORTED, SPAN("this provider's system prompt is text"),
                    "messages[%u].content[%u]", m->index, p->index);
        return;
    }
    jo_comma(&b->o);
    jo_open(&b->o, SPAN("{"));
    jo_key_string(&b->o, SPAN("type"), SPAN("text"));
    jo_key_token(&b->o, SPAN("text"), b->r.d, p->text);
    anthropic_mark(b, p->cache_control ? p->cache_control : mark, "messages", m->index, p->index);
    jo_close(&b->o, SPAN("}"));
}

static uint32_t last_part(const body *b, uint32_t content)
{
    chat_part p;
    uint32_t last = UINT32_MAX;
    for (chat_parts it = chat_parts_of(&b->r, content); chat_next_part(&b->r, &it, &p);)
        if (anthropic_writes(b, &p))
            last = p.index;
    return last;
}

static void put_system_message(body *b, const chat_message *m)
{
    chat_part p;
    uint32_t last = last_part(b, m->content);
    for (chat_parts it = chat_parts_of(&b->r, m->content); chat_next_part(&b->r, &it, &p);)
        if (anthropic_writes(b, &p))
            put_system_text(b, m, &p, p.index == last ? m->cache_control : 0);
}

static tp_str words_for_json(const body *b)
{
    if (b->json_words)
        return SPAN("Answer with one JSON object and nothing else: no words around it, no code fence.");
    if (b->json_tool && b->auto_choice)
        return SPAN("Give your answer by calling " ANTHROPIC_JSON_TOOL ", and in no other way.");
    return SPAN_NONE;
}

/* Only system messages: the last of them is what the model is to answer. */
static int is_all_system(const body *b)
{
    chat_message m;
    chat_messages it = chat_messages_of(&b->r);
    return !next(b, &it, &m);
}

static uint32_t last_system(const body *b)
{
    chat_message m;
    uint32_t last = UINT32_MAX;
    for (chat_messages it = chat_messages_of(&b->r); chat_next_message(&b->r, &it, &m);)
        if (m.role == CHAT_SYSTEM && any_part(b, m.content))
            last = m.index;
    return last;
}

void anthropic_put_system(body *b)
{
    chat_message m, one = {0};
    tp_str words = words_for_json(b);
    uint32_t asked = is_all_system(b) ? last_system(b) : UINT32_MAX, count = 0;
    int later = 0;
    for (chat_messages it = chat_messages_of(&b->r); chat_next_message(&b->r, &it, &m);) {
        if (m.role == CHAT_SYSTEM && m.index != asked && any_part(b, m.content)) {
            if (!count++)
                one = m;
            if (later)
                chat_note(&b->r, TP_CHANGED, SPAN("moved to the system prompt, which stands before "
                                                  "all messages"), "messages[%u]", m.index);
        } else if (m.role != CHAT_SYSTEM) {
            later = 1;
        }
    }
    if (!count && !words.len)
        return;
    anthropic_key(b, SPAN("system"));
    if (count == 1 && !words.len && !one.cache_control &&
        span_kind(b->r.d, one.content) == TP_STRING) {
        jo_token(&b->o, b->r.d, one.content);
        return;
    }
    jo_open(&b->o, SPAN("["));
    for (chat_messages it = chat_messages_of(&b->r); chat_next_message(&b->r, &it, &m);)
        if (m.role == CHAT_SYSTEM && m.index != asked)
            put_system_message(b, &m);
    if (words.len) {
        jo_comma(&b->o);
        jo_open(&b->o, SPAN("{"));
        jo_key_string(&b->o, SPAN("type"), SPAN("text"));
        jo_key_string(&b->o, SPAN("text"), words);
        jo_close(&b->o, SPAN("}"));
    }
    jo_close(&b->o, SPAN("]"));
}

/* ---- Ids of calls: letters, digits, '_' and '-' is what the API takes. */
static void put_id(body *b, tp_str key, tp_str id, uint32_t message)
{
    char *p = id.len ? b->r.h->alloc(b->r.c, id.len) : NULL;
    int altered = 0;
    if (!p) {
        jo_key_string(&b->o, key, id.len ? id : SPAN("call"));
        if (id.len)
            b->o.st = TP_E_NOMEM;
        return;
    }
    for (size_t i = 0; i < id.len; i++) {
        char c = id.ptr[i];
        int good = (c >= '0' && c <= '9') || ((c | 32) >= 'a' && (c | 32) <= 'z') || c == '_' ||
                   c == '-';
        p[i] = good ? c : '_';
        altered |= !good;
    }
    jo_key_string(&b->o, key, (tp_str){p, id.len});
    if (altered)
        chat_note(&b->r, TP_CHANGED, SPAN("an id has letters, digits, '_' and '-' here"),
                  "messages[%u].%s", message, span_is(key, "id") ? "tool_calls" : "tool_call_id");
}

/* Calls of the old form have no ids: the message that holds one names it. */
static tp_str old_id(body *b, uint32_t message)
{
    char digits[24], *p = b->r.h->alloc(b->r.c, 32);
    if (!p) {
        b->o.st = TP_E_NOMEM;
        return SPAN("call");
    }
    tp_str n = span_of_int(message, digits);
    memcpy(p, "call_", 5);
    memcpy(p + 5, n.ptr, n.len);
    return (tp_str){p, 5 + n.len};
}

/* The message with the call that a result of the old form answers: the last one of that name, in the
 * turn before. */
static uint32_t caller_of(const body *b, const chat_message *result)
{
    chat_message m;
    chat_call k;
    uint32_t at = result->index;
    for (chat_messages it = b->callers;
         chat_next_message(&b->r, &it, &m) && m.index < result->index;)
        if (m.function_call && !m.tool_calls)
            for (chat_calls c = chat_calls_of(&b->r, &m); chat_next_call(&b->r, &c, &k);)
                if (span_eq(k.name, result->name))
                    at = m.index;
    return at;
}

/* ---- A user's turn. */
static void put_result(body *b, const chat_message *m)
{
    const tp_doc *d = b->r.d;
    chat_part p;
    int old = span_is(m->role_name, "function");
    uint32_t failed = span_find(b->r.h, d, m->at, SPAN("is_error"));
    jo_comma(&b->o);
    jo_open(&b->o, SPAN("{"));
    jo_key_string(&b->o, SPAN("type"), SPAN("tool_result"));
    put_id(b, SPAN("tool_use_id"), old ? old_id(b, caller_of(b, m)) : m->call_id, m->index);
    if (span_kind(d, m->content) == TP_STRING && !anthropic_blank(d, m->content)) {
        jo_key_token(&b->o, SPAN("content"), d, m->content);
    } else if (span_kind(d, m->content) == TP_ARRAY && any_part(b, m->content)) {
        jo_key(&b->o, SPAN("content"));
        jo_open(&b->o, SPAN("["));
        for (chat_parts it = chat_parts_of(&b->r, m->content); chat_next_part(&b->r, &it, &p);)
            anthropic_put_part(b, m, &p, IN_RESULT, 0);
        jo_close(&b->o, SPAN("]"));
    }
    if (span_kind(d, failed) == TP_BOOL)
        jo_key_token(&b->o, SPAN("is_error"), d, failed);
    anthropic_mark(b, m->cache_control, "messages", m->index, -1);
    jo_close(&b->o, SPAN("}"));
}

static void put_parts(body *b, const chat_message *m, int where, uint32_t mark)
{
    chat_part p;
    uint32_t last = mark ? last_part(b, m->content) : 0;
    for (chat_parts it = chat_parts_of(&b->r, m->content); chat_next_part(&b->r, &it, &p);)
        anthropic_put_part(b, m, &p, where, p.index == last ? mark : 0);
}

static void note_name(body *b, const chat_message *m)
{
    if (m->role == CHAT_OTHER_ROLE)
        chat_refuse(&b->r, TP_E_INPUT, SPAN("expected \"system\", \"developer\", \"user\", "
                                            "\"assistant\", \"tool\" or \"function\""),
                    "messages[%u].role", m->index);
    if (m->name.len && !span_is(m->role_name, "function"))
        chat_note(&b->r, TP_DROPPED, SPAN("messages have no names here"), "messages[%u].name",
                  m->index);
}

/* ---- An assistant's turn. */
typedef struct pieces { /* of a thought, as a stream gave them: text until the signature comes */
    char *text;
    size_t n, room;
} pieces;

/* room: what all texts of the message come to. */
static void add_piece(body *b, pieces *x, tp_str s, size_t room)
{
    if (!x->text) {
        x->text = b->r.h->alloc(b->r.c, room + 1);
        if (!x->text) {
            b->o.st = TP_E_NOMEM;
            return;
        }
        x->room = room + 1;
    }
    if (s.len && s.len <= x->room - x->n) {
        memcpy(x->text + x->n, s.ptr, s.len);
        x->n += s.len;
    }
}

/* The texts that signatures without one belong to: reasoning_content is all texts, one after the
 * other. With one such signature its text is what is left of it. */
static tp_str text_left(body *b, const chat_message *m, size_t before, size_t known, int bare)
{
    if (!m->reasoning || bare != 1)
        return SPAN_NONE;
    tp_str all = span_text(b->r.h, b->r.c, b->r.d, m->reasoning);
    if (known > all.len || before > all.len - known)
        return SPAN_NONE;
    return (tp_str){all.ptr + before, all.len - known};
}

static void put_thought(body *b, tp_str text, tp_str signature)
{
    jo_comma(&b->o);
    jo_open(&b->o, SPAN("{"));
    jo_key_string(&b->o, SPAN("type"), SPAN("thinking"));
    jo_key_string(&b->o, SPAN("thinking"), text);
    jo_key_string(&b->o, SPAN("signature"), signature);
    jo_close(&b->o, SPAN("}"));
}

static void put_sealed(body *b, tp_str data)
{
    jo_comma(&b->o);
    jo_open(&b->o, SPAN("{"));
    jo_key_string(&b->o, SPAN("type"), SPAN("redacted_thinking"));
    jo_key_string(&b->o, SPAN("data"), data);
    jo_close(&b->o, SPAN("}"));
}

static tp_str detail_text(const body *b, const chat_detail *k)
{
    return k->text ? span_text(b->r.h, b->r.c, b->r.d, k->text) : SPAN_NONE;
}

static void put_thoughts(body *b, const chat_message *m)
{
    chat_detail k;
    pieces x = {0};
    size_t known = 0, before = 0, open = 0, all = 0;
    int bare = 0, lost = 0, proofs = 0;
    for (chat_details it = chat_details_of(&b->r, m); chat_next_detail(&b->r, &it, &k);) {
        if (k.sealed || !is_ours(&k))
            continue;
        open += detail_text(b, &k).len;
        all += detail_text(b, &k).len;
        if (k.signature.len) {
            /* {"text": "", "signature"} has a text: a thought that was left out */
            bare += !open && !k.text;
            known += open;
            open = 0;
        }
    }
    for (chat_details it = chat_details_of(&b->r, m); chat_next_detail(&b->r, &it, &k);) {
        if (!is_ours(&k)) {
            chat_note(&b->r, TP_DROPPED, SPAN("the thought of another provider's model"),
                      "messages[%u].reasoning_details[%u]", m->index, k.index);
        } else if (k.sealed) {
            if (k.data.len)
                put_sealed(b, k.data);
            proofs += k.data.len > 0;
        } else if (!k.signature.len) {
            add_piece(b, &x, detail_text(b, &k), all);
        } else {
            tp_str text = detail_text(b, &k);
            proofs++;
            if (x.n) {
                add_piece(b, &x, text, all);
                text = (tp_str){x.text, x.n};
            } else if (!k.text) {
                text = text_left(b, m, before, known, bare);
            }
            put_thought(b, text, k.signature);
            before += text.len;
            if (x.n) { /* what was written may still be read: the next thought gets its own room */
                x.text += x.n;
                x.room -= x.n;
                x.n = 0;
            }
        }
    }
    lost = x.n > 0 || (!proofs && m->reasoning && b->r.d->tokens[m->reasoning].len > 2);
    if (lost)
        chat_note(&b->r, TP_DROPPED, SPAN("a thought without a signature is not taken back"),
                  x.n > 0 ? "messages[%u].reasoning_details" : "messages[%u].reasoning_content",
                  m->index);
}

static void put_call(body *b, const chat_message *m, const chat_call *k, uint32_t mark)
{
    jo_comma(&b->o);
    jo_open(&b->o, SPAN("{"));
    jo_key_string(&b->o, SPAN("type"), SPAN("tool_use"));
    put_id(b, SPAN("id"), m->tool_calls ? k->id : old_id(b, m->index), m->index);
    jo_key_string(&b->o, SPAN("name"), k->name);
    jo_key(&b->o, SPAN("input"));
    jo_put(&b->o, chat_arguments(&b->r, m, k));
    anthropic_mark(b, mark, "messages", m->index, -1);
    jo_close(&b->o, SPAN("}"));
}

/* A custom tool's call is no function's: its input is a text, for which there is no block. */
static int is_function(body *b, const chat_message *m, const chat_call *k)
{
    if (k->name.len)
        return 1;
    chat_refuse(&b->r, TP_E_UNSUPPORTED, SPAN("this provider takes back calls of functions"),
                "messages[%u].tool_calls[%u]", m->index, k->index);
    return 0;
}

/* The last text of a message that is to be gone on with may not end in white space. */
static void put_last_text(body *b, const chat_message *m, uint32_t last)
{
    chat_part p;
    for (chat_parts it = chat_parts_of(&b->r, m->content); chat_next_part(&b->r, &it, &p);) {
        if (p.index != last || !p.text) {
            anthropic_put_part(b, m, &p, IN_ASSISTANT, 0);
            continue;
        }
        tp_str s = span_text(b->r.h, b->r.c, b->r.d, p.text), cut = s;
        while (cut.len && strchr(" \n\r\t\f", cut.ptr[cut.len - 1]))
            cut.len--;
        uint32_t mark = p.cache_control ? p.cache_control : m->cache_control;
        jo_comma(&b->o);
        jo_open(&b->o, SPAN("{"));
        jo_key_string(&b->o, SPAN("type"), SPAN("text"));
        jo_key_string(&b->o, SPAN("text"), cut);
        anthropic_mark(b, mark, "messages", m->index, p.index);
        jo_close(&b->o, SPAN("}"));
        if (cut.len != s.len)
            chat_note(&b->r, TP_CHANGED, SPAN("white space at the end of the text that is to be gone "
                                              "on with was cut"), "messages[%u].content", m->index);
    }
}

static void put_assistant(body *b, const chat_message *m, int is_last)
{
    chat_call k;
    int calls = any_call(b, m);
    if (m->details || m->reasoning)
        put_thoughts(b, m);
    if (is_last && ends_in_text(b, m) && !m->refusal)
        put_last_text(b, m, last_part(b, m->content));
    else
        put_parts(b, m, IN_ASSISTANT, calls ? 0 : m->cache_control);
    if (m->refusal && !anthropic_blank(b->r.d, m->refusal)) {
        jo_comma(&b->o);
        jo_open(&b->o, SPAN("{"));
        jo_key_string(&b->o, SPAN("type"), SPAN("text"));
        jo_key_token(&b->o, SPAN("text"), b->r.d, m->refusal);
        jo_close(&b->o, SPAN("}"));
    }
    for (chat_calls it = chat_calls_of(&b->r, m); chat_next_call(&b->r, &it, &k);)
        if (is_function(b, m, &k))
            put_call(b, m, &k, it.next >= it.stop ? m->cache_control : 0);
    if (span_given(b->r.d, span_find(b->r.h, b->r.d, m->at, SPAN("audio"))))
        chat_note(&b->r, TP_DROPPED, SPAN("this provider has no sound"), "messages[%u].audio", m->index);
}

/* ---- Turns. */
static int is_assistant(const chat_message *m)
{
    return m->role == CHAT_ASSISTANT;
}

static int same_turn(const chat_message *a, const chat_message *b)
{
    return is_assistant(a) == is_assistant(b);
}

static void open_turn(body *b, int assistant)
{
    jo_comma(&b->o);
    jo_open(&b->o, SPAN("{"));
    jo_key_string(&b->o, SPAN("role"), assistant ? SPAN("assistant") : SPAN("user"));
    jo_key(&b->o, SPAN("content"));
}

/* One message of one string, nothing to be cut or marked: it stays as it is. */
static int is_simple(const body *b, const chat_message *m, int alone, int is_last)
{
    return alone && m->role != CHAT_TOOL && span_kind(b->r.d, m->content) == TP_STRING &&
           !m->cache_control && !anthropic_blank(b->r.d, m->content) &&
           (m->role != CHAT_ASSISTANT || (!is_last && !any_call(b, m) && !m->details &&
                                          !m->reasoning && !m->refusal));
}

static void put_turn(body *b, chat_messages from, const chat_message *first, uint32_t count,
                     int is_last)
{
    chat_message m = *first;
    open_turn(b, is_assistant(first));
    if (is_assistant(first))
        b->callers = (chat_messages){.next = first->at, .index = first->index, .stop = from.stop};
    if (is_simple(b, first, count == 1, is_last)) {
        note_name(b, first);
        jo_token(&b->o, b->r.d, first->content);
        jo_close(&b->o, SPAN("}"));
        return;
    }
    jo_open(&b->o, SPAN("["));
    chat_messages it = from;
    for (uint32_t i = 0; i < count && !is_assistant(first); i++) {
        if (m.role == CHAT_TOOL)
            put_result(b, &m);
        next(b, &it, &m);
    }
    it = from;
    m = *first;
    for (uint32_t i = 0; i < count; i++) {
        if (is_assistant(&m))
            put_assistant(b, &m, is_last && i + 1 == count);
        else if (m.role != CHAT_TOOL)
            put_parts(b, &m, IN_USER, m.cache_control);
        if (m.role != CHAT_TOOL)
            note_name(b, &m);
        next(b, &it, &m);
    }
    jo_close(&b->o, SPAN("]"));
    jo_close(&b->o, SPAN("}"));
}

static void put_only_system(body *b)
{
    chat_message m;
    uint32_t last = last_system(b);
    for (chat_messages it = chat_messages_of(&b->r); chat_next_message(&b->r, &it, &m);) {
        if (m.role != CHAT_SYSTEM || m.index != last)
            continue;
        open_turn(b, 0);
        jo_open(&b->o, SPAN("["));
        put_parts(b, &m, IN_USER, m.cache_control);
        jo_close(&b->o, SPAN("]"));
        jo_close(&b->o, SPAN("}"));
        chat_note(&b->r, TP_CHANGED, SPAN("sent as the user's: the API needs a message to answer"),
                  "messages[%u].role", m.index);
    }
    if (last == UINT32_MAX)
        chat_refuse(&b->r, TP_E_INPUT, SPAN("expected at least one message with content"), "messages");
}

void anthropic_put_messages(body *b)
{
    chat_message m, other;
    chat_messages it = chat_messages_of(&b->r);
    anthropic_key(b, SPAN("messages"));
    jo_open(&b->o, SPAN("["));
    int more = next(b, &it, &m);
    if (!more)
        put_only_system(b);
    if (more && is_assistant(&m)) {
        open_turn(b, 0);
        jo_put(&b->o, SPAN("\"...\""));
        jo_close(&b->o, SPAN("}"));
        chat_note(&b->r, TP_CHANGED, SPAN("a user's turn of three dots was put before it: the API "
                                          "begins with the user"), "messages[%u]", m.index);
    }
    while (more && b->o.st == TP_OK && b->r.st == TP_OK) {
        chat_message first = m;
        chat_messages from = it;
        uint32_t count = 1;
        while ((more = next(b, &it, &other)) && same_turn(&first, &other))
            count++;
        m = other;
        put_turn(b, from, &first, count, !more);
    }
    jo_close(&b->o, SPAN("]"));
}
