/* messages and system. The API wants turns that begin with the user and alternate: neighbours of
 * one role are one message, results of tools come first in theirs. */
#include "bedrock_int.h"

static void close_message(plan *p)
{
    json_out *o = &p->o;
    if (!p->role)
        return;
    if (p->role == CHAT_USER && p->turn_has_document && !p->turn_has_text) {
        chat_note(&p->r, TP_CHANGED, SPAN("a document needs a text beside it; one was added"),
                  "messages");
        bedrock_block_begin(p, CHAT_USER);
        jo_key_string(o, SPAN("text"), SPAN("."));
        bedrock_block_end(p);
    }
    jo_close(o, SPAN("]"));
    jo_close(o, SPAN("}"));
    p->role = 0;
}

static void open_message(plan *p, int32_t role)
{
    json_out *o = &p->o;
    close_message(p);
    jo_comma(o);
    jo_open(o, SPAN("{"));
    jo_key_string(o, SPAN("role"), role == CHAT_USER ? SPAN("user") : SPAN("assistant"));
    jo_key(o, SPAN("content"));
    jo_open(o, SPAN("["));
    p->role = role;
    p->any_message = 1;
    p->turn_has_text = p->turn_has_document = 0;
}

static void first_turn(plan *p, tp_str why)
{
    chat_note(&p->r, TP_CHANGED, why, "messages");
    open_message(p, CHAT_USER);
    bedrock_block_begin(p, CHAT_USER);
    jo_key_string(&p->o, SPAN("text"), SPAN("."));
    bedrock_block_end(p);
}

void bedrock_block_begin(plan *p, int32_t role)
{
    if (p->in_system && !p->blocks) {
        jo_key(&p->o, SPAN("system"));
        jo_open(&p->o, SPAN("["));
    }
    if (!p->in_system && !p->in_result) {
        if (!p->any_message && role == CHAT_ASSISTANT)
            first_turn(p, SPAN("the first turn must be the user's; one was added"));
        if (p->role != role)
            open_message(p, role);
    }
    p->blocks++;
    p->after_thought = 0;
    jo_comma(&p->o);
    jo_open(&p->o, SPAN("{"));
}

void bedrock_block_end(plan *p)
{
    jo_close(&p->o, SPAN("}"));
}

void bedrock_cache_point(plan *p, int32_t role, uint32_t cache_control)
{
    json_out *o = &p->o;
    if (!cache_control)
        return;
    if (!p->t.cache) {
        chat_note(&p->r, TP_DROPPED, SPAN("this model caches no prompts by mark"), "cache_control");
        return;
    }
    if (p->after_thought || p->cache_points == MOST_CACHE_POINTS) {
        chat_note(&p->r, TP_DROPPED,
                  p->after_thought ? SPAN("no cache mark may follow a thought")
                                   : SPAN("a request has at most four marks"),
                  "cache_control");
        return;
    }
    p->cache_points++;
    tp_str ttl = span_member(p->r.h, p->r.c, p->r.d, cache_control, SPAN("ttl"));
    bedrock_block_begin(p, role);
    jo_key(o, SPAN("cachePoint"));
    jo_open(o, SPAN("{"));
    jo_key_string(o, SPAN("type"), SPAN("default"));
    if (span_is(ttl, "1h")) /* five minutes are what there is without a word */
        jo_key_string(o, SPAN("ttl"), ttl);
    jo_close(o, SPAN("}"));
    bedrock_block_end(p);
}

/* Members of a message that nobody reads are lost: that is said. */
static void note_members(plan *p, const chat_message *m)
{
    static const tp_str known[] = {SPAN_INIT("role"),
                                   SPAN_INIT("content"),
                                   SPAN_INIT("tool_calls"),
                                   SPAN_INIT("function_call"),
                                   SPAN_INIT("tool_call_id"),
                                   SPAN_INIT("refusal"),
                                   SPAN_INIT("reasoning_content"),
                                   SPAN_INIT("reasoning"),
                                   SPAN_INIT("reasoning_details"),
                                   SPAN_INIT("cache_control"),
                                   SPAN_INIT("is_error")};
    for (members x = members_of(p->r.d, m->at); members_next(&x) && plan_ok(p);) {
        tp_str key = span_text(p->r.h, p->r.c, p->r.d, x.key);
        int found = !span_given(p->r.d, x.value) || (m->role == CHAT_TOOL && span_is(key, "name"));
        for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++)
            found |= span_eq(known[i], key);
        if (!found)
            chat_note(&p->r, TP_DROPPED, SPAN("this provider does not take it"),
                      "messages[%u].%.*s", m->index, (int)(key.len < 64 ? key.len : 64), key.ptr);
    }
}

static void put_parts(plan *p, const chat_message *m)
{
    chat_part part;
    for (chat_parts it = chat_parts_of(&p->r, m->content);
         plan_ok(p) && chat_next_part(&p->r, &it, &part);) {
        uint32_t before = p->blocks;
        bedrock_part(p, m, &part);
        int is_file = part.kind == CHAT_PART_FILE || part.kind == CHAT_PART_DOCUMENT ||
                      part.kind == CHAT_PART_VIDEO;
        if (p->in_result) {
            if (part.cache_control)
                p->waiting_cache = part.cache_control; /* after the result: none stands within */
            continue;
        }
        if (is_file) { /* no mark may follow a document: it waits for what comes after */
            if (part.cache_control)
                p->waiting_cache = part.cache_control;
            continue;
        }
        if (p->blocks == before) { /* a text without a word: there is nothing to mark */
            if (part.cache_control)
                chat_note(&p->r, TP_DROPPED, SPAN("there is no text before it"),
                          "messages[%u].content[%u].cache_control", m->index, part.index);
            continue;
        }
        uint32_t mark = part.cache_control ? part.cache_control : p->waiting_cache;
        p->waiting_cache = 0;
        bedrock_cache_point(p, m->role, mark);
    }
}

static void end_of_message(plan *p, const chat_message *m, int32_t role, uint32_t before)
{
    if (p->waiting_cache)
        chat_note(&p->r, TP_DROPPED,
                  SPAN("no cache mark may follow a document; put a text after it"),
                  "messages[%u].cache_control", m->index);
    p->waiting_cache = 0;
    if (p->blocks > before)
        bedrock_cache_point(p, role, m->cache_control);
}

static void put_user(plan *p, const chat_message *m)
{
    uint32_t before = p->blocks;
    put_parts(p, m);
    end_of_message(p, m, CHAT_USER, before);
}

static void put_result(plan *p, const chat_message *m)
{
    json_out *o = &p->o;
    uint32_t before, failed = span_find(p->r.h, p->r.d, m->at, SPAN("is_error"));
    bedrock_block_begin(p, CHAT_USER);
    jo_key(o, SPAN("toolResult"));
    jo_open(o, SPAN("{"));
    jo_key_string(o, SPAN("toolUseId"), bedrock_call_id(p, m->call_id));
    jo_key(o, SPAN("content"));
    jo_open(o, SPAN("["));
    p->in_result = 1;
    before = p->blocks;
    put_parts(p, m);
    if (p->blocks == before) { /* a result that says nothing is one too, but no text may be blank */
        bedrock_block_begin(p, CHAT_USER);
        jo_key_string(o, SPAN("text"), SPAN("(empty)"));
        bedrock_block_end(p);
        chat_note(&p->r, TP_CHANGED, SPAN("the API refuses an empty result: it is said in words"),
                  "messages[%u].content", m->index);
    }
    p->in_result = 0;
    jo_close(o, SPAN("]"));
    if (span_true(p->r.d, failed))
        jo_key_string(o, SPAN("status"), SPAN("error"));
    jo_close(o, SPAN("}"));
    bedrock_block_end(p);
    uint32_t mark = m->cache_control ? m->cache_control : p->waiting_cache;
    p->waiting_cache = 0;
    bedrock_cache_point(p, CHAT_USER, mark);
}

static void put_call(plan *p, const chat_message *m, const chat_call *call)
{
    json_out *o = &p->o;
    tp_str type = span_member(p->r.h, p->r.c, p->r.d, call->at, SPAN("type"));
    if (!call->name.len || (type.len && m->tool_calls && !span_is(type, "function"))) {
        chat_refuse(&p->r, TP_E_UNSUPPORTED, SPAN("this API has calls of functions alone"),
                    "messages[%u].tool_calls[%u]", m->index, call->index);
        return;
    }
    tp_str arguments = chat_arguments(&p->r, m, call);
    bedrock_block_begin(p, CHAT_ASSISTANT);
    jo_key(o, SPAN("toolUse"));
    jo_open(o, SPAN("{"));
    jo_key_string(o, SPAN("toolUseId"), bedrock_call_id(p, call->id));
    jo_key_string(o, SPAN("name"), bedrock_tool_name(p, call->name));
    jo_key_raw(o, SPAN("input"), arguments);
    jo_close(o, SPAN("}"));
    bedrock_block_end(p);
}

static void put_assistant(plan *p, const chat_message *m)
{
    chat_call call;
    uint32_t before = p->blocks;
    bedrock_thoughts(p, m);
    put_parts(p, m);
    if (m->refusal && plan_ok(p)) {
        chat_part part = {.kind = CHAT_PART_REFUSAL, .at = m->refusal, .text = m->refusal};
        bedrock_part(p, m, &part);
    }
    for (chat_calls it = chat_calls_of(&p->r, m); plan_ok(p) && chat_next_call(&p->r, &it, &call);)
        put_call(p, m, &call);
    end_of_message(p, m, CHAT_ASSISTANT, before);
}

/* The next message of the user's turn: others' come after it, system messages stand elsewhere. */
static int next_in_turn(plan *p, chat_messages *it, chat_message *m)
{
    chat_messages ahead = *it;
    while (plan_ok(p) && chat_next_message(&p->r, &ahead, m)) {
        if (m->role == CHAT_ASSISTANT)
            return 0;
        *it = ahead;
        if (m->role != CHAT_SYSTEM)
            return 1;
    }
    return 0;
}

static void put_turn(plan *p, chat_messages *it)
{
    chat_message m;
    chat_messages again = *it;
    while (next_in_turn(p, &again, &m))
        if (m.role == CHAT_TOOL)
            put_result(p, &m);
    while (next_in_turn(p, it, &m)) {
        note_members(p, &m);
        if (m.role == CHAT_USER)
            put_user(p, &m);
        else if (m.role == CHAT_OTHER_ROLE)
            chat_refuse(&p->r, TP_E_UNSUPPORTED,
                        SPAN("this API knows user, assistant, tool and system"),
                        "messages[%u].role", m.index);
    }
}

/* The last text of a final turn of the assistant's, where trailing white space is refused. */
static void find_last_text(plan *p)
{
    chat_message m, last = {0};
    chat_part part;
    for (chat_messages it = chat_messages_of(&p->r); chat_next_message(&p->r, &it, &m);)
        if (m.role != CHAT_SYSTEM)
            last = m;
    if (last.role != CHAT_ASSISTANT || last.tool_calls || last.function_call || last.refusal)
        return;
    for (chat_parts it = chat_parts_of(&p->r, last.content); chat_next_part(&p->r, &it, &part);)
        p->last_text = part.kind == CHAT_PART_TEXT ? part.text : 0;
}

void bedrock_messages(plan *p)
{
    chat_messages it = chat_messages_of(&p->r), ahead;
    chat_message m;
    find_last_text(p);
    jo_key(&p->o, SPAN("messages"));
    jo_open(&p->o, SPAN("["));
    while (ahead = it, plan_ok(p) && chat_next_message(&p->r, &ahead, &m)) {
        if (m.role != CHAT_ASSISTANT) {
            put_turn(p, &it);
            continue;
        }
        it = ahead;
        note_members(p, &m);
        put_assistant(p, &m);
    }
    if (!p->any_message)
        first_turn(p, SPAN("there must be a turn of the user's; one was added"));
    close_message(p);
    jo_close(&p->o, SPAN("]"));
}

void bedrock_system(plan *p)
{
    chat_message m;
    int others = 0;
    p->blocks = 0;
    p->in_system = 1;
    for (chat_messages it = chat_messages_of(&p->r);
         plan_ok(p) && chat_next_message(&p->r, &it, &m);) {
        if (m.role != CHAT_SYSTEM) {
            others = 1;
            continue;
        }
        note_members(p, &m);
        if (others)
            chat_note(&p->r, TP_CHANGED, SPAN("system messages stand before all others"),
                      "messages[%u]", m.index);
        put_user(p, &m);
    }
    p->in_system = 0;
    if (p->blocks)
        jo_close(&p->o, SPAN("]"));
    p->blocks = 0;
}

int bedrock_has_history(plan *p)
{
    chat_message m;
    for (chat_messages it = chat_messages_of(&p->r); chat_next_message(&p->r, &it, &m);)
        if (m.role == CHAT_TOOL || (m.tool_calls && span_filled(p->r.d, m.tool_calls)) ||
            m.function_call)
            return 1;
    return 0;
}
