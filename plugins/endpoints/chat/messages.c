/* messages and tools of a chat request. */
#include "parse_int.h"

enum { ROLE_SYSTEM = 1, ROLE_DEVELOPER, ROLE_USER, ROLE_ASSISTANT, ROLE_TOOL, ROLE_FUNCTION };

typedef struct message {
    uint32_t role, content, name, tool_calls, tool_call_id, refusal, function_call, audio;
    uint32_t reasoning; /* reasoning_content, reasoning or reasoning_details */
} message;

static void emit_media(check *k, tp_str type, tp_str base64, int64_t tokens)
{
    tp_event e = {.size = sizeof(e), .kind = TP_EV_MEDIA, .number = tokens};
    e.name = type;
    e.text = base64;
    k->st = k->h->emit(k->c, &e);
}

/* "data:image/png;base64,AAAA": the type and the bytes, as spans of the text. */
static void emit_url(check *k, uint32_t t, tp_str type, int64_t tokens)
{
    tp_str url = span_inner(k->d, t), data = SPAN_NONE;
    if (span_istarts(url, SPAN("data:"))) {
        const char *semi = memchr(url.ptr, ';', url.len);
        tp_str rest = semi ? (tp_str){semi, (size_t)(url.ptr + url.len - semi)} : SPAN_NONE;
        if (span_istarts(rest, SPAN(";base64,")) && !memchr(url.ptr, '\\', (size_t)(semi - url.ptr))) {
            type = (tp_str){url.ptr + 5, (size_t)(semi - url.ptr) - 5};
            data = (tp_str){semi + 8, rest.len - 8};
        }
    }
    emit_media(k, type, data, tokens);
}

static int image_part(check *k, const place *at, uint32_t part)
{
    uint32_t holder = k->h->find(k->d, part, SPAN("image_url"));
    place here = member_of(at, SPAN("image_url"));
    uint32_t url = holder, detail = 0;
    k->op->needs |= TP_NEED_VISION;
    if (span_kind(k->d, holder) == TP_OBJECT) {
        url = k->h->find(k->d, holder, SPAN("url"));
        detail = k->h->find(k->d, holder, SPAN("detail"));
        place inner = member_of(&here, SPAN("url"));
        if (!chat_want_filled(k, &inner, url))
            return 0;
    } else if (span_kind(k->d, holder) != TP_STRING || k->d->tokens[holder].len <= 2) {
        return chat_refuse(k, &here, holder, "an object with a member 'url'");
    }
    int64_t tokens = -1;
    if (span_given(k->d, detail)) {
        place inner = member_of(&here, SPAN("detail"));
        tp_str word = span_kind(k->d, detail) == TP_STRING ? span_text(k->h, k->c, k->d, detail)
                                                          : SPAN_NONE;
        if (span_is(word, "low"))
            tokens = 85; /* what OpenAI counts for one */
        else if (!span_is(word, "auto") && !span_is(word, "high"))
            return chat_refuse(k, &inner, detail, "\"auto\", \"low\" or \"high\"");
    }
    emit_url(k, url, SPAN("image/*"), tokens);
    return k->st == TP_OK;
}

static int audio_part(check *k, const place *at, uint32_t part)
{
    uint32_t holder = k->h->find(k->d, part, SPAN("input_audio"));
    place here = member_of(at, SPAN("input_audio"));
    uint32_t data = holder;
    k->op->needs |= TP_NEED_AUDIO;
    if (span_kind(k->d, holder) == TP_OBJECT) {
        uint32_t format = k->h->find(k->d, holder, SPAN("format"));
        place inner = member_of(&here, SPAN("data")), other = member_of(&here, SPAN("format"));
        data = k->h->find(k->d, holder, SPAN("data"));
        if (!chat_want_filled(k, &inner, data))
            return 0;
        if (span_given(k->d, format) &&
            !chat_want(k, &other, format, TP_STRING, "a string such as \"wav\" or \"mp3\""))
            return 0;
    } else if (span_kind(k->d, holder) != TP_STRING) {
        return chat_refuse(k, &here, holder, "an object with members 'data' and 'format'");
    }
    emit_media(k, SPAN("audio/*"), span_inner(k->d, data), -1);
    return k->st == TP_OK;
}

static int file_part(check *k, const place *at, uint32_t part)
{
    uint32_t holder = k->h->find(k->d, part, SPAN("file"));
    place here = member_of(at, SPAN("file"));
    k->op->needs |= TP_NEED_DOCUMENTS;
    if (!chat_want(k, &here, holder, TP_OBJECT, "an object with 'file_data' or 'file_id'"))
        return 0;
    static const tp_str names[] = {SPAN_INIT("file_data"), SPAN_INIT("file_id"), SPAN_INIT("filename")};
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        uint32_t t = k->h->find(k->d, holder, names[i]);
        place inner = member_of(&here, names[i]);
        if (span_given(k->d, t) && !chat_want(k, &inner, t, TP_STRING, "a string"))
            return 0;
    }
    uint32_t data = k->h->find(k->d, holder, SPAN("file_data"));
    if (span_kind(k->d, data) == TP_STRING)
        emit_url(k, data, SPAN("application/octet-stream"), -1);
    else
        emit_media(k, SPAN("application/octet-stream"), SPAN_NONE, -1);
    return k->st == TP_OK;
}

static int content_part(check *k, const place *at, uint32_t t, tp_str role)
{
    if (!chat_want(k, at, t, TP_OBJECT, "an object with a member 'type'"))
        return 0;
    uint32_t type = k->h->find(k->d, t, SPAN("type"));
    place here = member_of(at, SPAN("type"));
    if (!chat_want_filled(k, &here, type))
        return 0;
    tp_str word = span_text(k->h, k->c, k->d, type);
    if (span_is(word, "text")) {
        uint32_t text = k->h->find(k->d, t, SPAN("text"));
        place inner = member_of(at, SPAN("text"));
        return chat_want(k, &inner, text, TP_STRING, "a string") && chat_emit_text(k, role, text);
    }
    if (span_is(word, "image_url"))
        return image_part(k, at, t);
    if (span_is(word, "input_audio"))
        return audio_part(k, at, t);
    if (span_is(word, "file"))
        return file_part(k, at, t);
    if (span_is(word, "document_url") || span_is(word, "document"))
        k->op->needs |= TP_NEED_DOCUMENTS;
    if (span_is(word, "refusal")) {
        uint32_t text = k->h->find(k->d, t, SPAN("refusal"));
        place inner = member_of(at, SPAN("refusal"));
        return chat_want(k, &inner, text, TP_STRING, "a string") && chat_emit_text(k, role, text);
    }
    k->open = 1;
    return chat_emit_raw(k, role, t); /* a part that only some upstream knows */
}

/* An assistant may say nothing where it does something else. */
static int says_otherwise(const check *k, const message *m)
{
    const uint32_t others[] = {m->tool_calls, m->refusal, m->function_call, m->audio, m->reasoning};
    for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++)
        if (span_given(k->d, others[i]))
            return 1;
    return 0;
}

static int content(check *k, const place *at, const message *m, uint32_t role, tp_str word)
{
    place here = member_of(at, SPAN("content"));
    uint32_t kind = span_kind(k->d, m->content), i = 0;
    k->open |= span_given(k->d, m->audio); /* an earlier answer's sound, by its id */
    if (kind == TP_STRING)
        return chat_emit_text(k, word, m->content);
    if (kind == TP_ARRAY && span_filled(k->d, m->content)) {
        uint32_t stop = k->d->tokens[m->content].next;
        for (uint32_t t = m->content + 1; t < stop; t = k->d->tokens[t].next, i++) {
            place part = element_of(&here, i);
            if (!content_part(k, &part, t, word))
                return 0;
        }
        return 1;
    }
    if (kind == 0 || kind == TP_NULL || kind == TP_ARRAY) {
        if (role == ROLE_FUNCTION || (role == ROLE_ASSISTANT && says_otherwise(k, m)))
            return 1;
        if (role == ROLE_ASSISTANT)
            return chat_refuse(k, &here, m->content,
                               "a string or an array of content parts, because the message has "
                               "neither tool_calls nor a refusal");
    }
    return chat_refuse(k, &here, m->content,
                       role == ROLE_ASSISTANT
                           ? "a string, an array of content parts or null"
                           : "a string or an array of content parts that is not empty");
}

static int function_called(check *k, const place *at, uint32_t t)
{
    if (!chat_want(k, at, t, TP_OBJECT, "an object with 'name' and 'arguments'"))
        return 0;
    uint32_t name = k->h->find(k->d, t, SPAN("name"));
    uint32_t arguments = k->h->find(k->d, t, SPAN("arguments"));
    place n = member_of(at, SPAN("name")), a = member_of(at, SPAN("arguments"));
    return chat_want_filled(k, &n, name) &&
           chat_want(k, &a, arguments, TP_STRING, "a string that holds JSON") &&
           chat_emit_text(k, SPAN("assistant"), arguments);
}

static int tool_calls(check *k, const place *at, uint32_t list)
{
    uint32_t i = 0;
    if (!chat_want(k, at, list, TP_ARRAY, "an array of tool calls"))
        return 0;
    for (uint32_t t = list + 1; t < k->d->tokens[list].next; t = k->d->tokens[t].next, i++) {
        place here = element_of(at, i);
        if (!chat_want(k, &here, t, TP_OBJECT, "an object with 'id', 'type' and 'function'"))
            return 0;
        uint32_t id = k->h->find(k->d, t, SPAN("id")), type = k->h->find(k->d, t, SPAN("type"));
        place p_id = member_of(&here, SPAN("id")), p_type = member_of(&here, SPAN("type"));
        if (!chat_want_filled(k, &p_id, id))
            return 0;
        if (span_given(k->d, type)) { /* Mistral leaves it out */
            if (!chat_want_filled(k, &p_type, type))
                return 0;
            if (!span_is(span_text(k->h, k->c, k->d, type), "function"))
                continue; /* a kind of call that only some upstream knows */
        }
        place fn = member_of(&here, SPAN("function"));
        if (!function_called(k, &fn, k->h->find(k->d, t, SPAN("function"))))
            return 0;
    }
    return 1;
}

static uint32_t *slot_of(message *out, tp_str key)
{
    switch (key.len) {
    case 4:
        return span_is(key, "role") ? &out->role : span_is(key, "name") ? &out->name : NULL;
    case 5: return span_is(key, "audio") ? &out->audio : NULL;
    case 7:
        return span_is(key, "content")   ? &out->content
               : span_is(key, "refusal") ? &out->refusal
                                         : NULL;
    case 9: return span_is(key, "reasoning") ? &out->reasoning : NULL;
    case 10: return span_is(key, "tool_calls") ? &out->tool_calls : NULL;
    case 12: return span_is(key, "tool_call_id") ? &out->tool_call_id : NULL;
    case 13: return span_is(key, "function_call") ? &out->function_call : NULL;
    case 17:
        return span_is(key, "reasoning_content") || span_is(key, "reasoning_details")
                   ? &out->reasoning : NULL;
    default: return NULL;
    }
}

static void read_message(check *k, uint32_t object, message *out)
{
    for (members m = members_of(k->d, object); members_next(&m);) {
        tp_str key = span_inner(k->d, m.key);
        uint32_t *slot = slot_of(out, key);
        if (!slot && span_has_escape(key))
            slot = slot_of(out, span_text(k->h, k->c, k->d, m.key));
        if (slot)
            *slot = m.value;
    }
}

static uint32_t role_of(tp_str word)
{
    if (span_is(word, "user")) return ROLE_USER;
    if (span_is(word, "assistant")) return ROLE_ASSISTANT;
    if (span_is(word, "system")) return ROLE_SYSTEM;
    if (span_is(word, "tool")) return ROLE_TOOL;
    if (span_is(word, "developer")) return ROLE_DEVELOPER;
    if (span_is(word, "function")) return ROLE_FUNCTION;
    return 0;
}

static int one_message(check *k, const place *at, uint32_t t)
{
    message m = {0};
    if (!chat_want(k, at, t, TP_OBJECT, "an object with 'role' and 'content'"))
        return 0;
    read_message(k, t, &m);
    place p_role = member_of(at, SPAN("role")), p_name = member_of(at, SPAN("name"));
    tp_str word = span_kind(k->d, m.role) == TP_STRING ? span_text(k->h, k->c, k->d, m.role)
                                                      : SPAN_NONE;
    uint32_t role = role_of(word);
    if (!role)
        return chat_refuse(k, &p_role, m.role,
                           "\"system\", \"developer\", \"user\", \"assistant\" or \"tool\"");
    if (span_given(k->d, m.name) && !chat_want(k, &p_name, m.name, TP_STRING, "a string"))
        return 0;
    if (role == ROLE_TOOL) {
        place p = member_of(at, SPAN("tool_call_id"));
        if (!chat_want_filled(k, &p, m.tool_call_id))
            return 0;
    }
    if (!content(k, at, &m, role, word))
        return 0;
    place p_refusal = member_of(at, SPAN("refusal"));
    if (span_given(k->d, m.refusal) && !chat_want(k, &p_refusal, m.refusal, TP_STRING, "a string"))
        return 0;
    place p_calls = member_of(at, SPAN("tool_calls"));
    if (span_given(k->d, m.tool_calls) && !tool_calls(k, &p_calls, m.tool_calls))
        return 0;
    place p_fn = member_of(at, SPAN("function_call"));
    return !span_given(k->d, m.function_call) || function_called(k, &p_fn, m.function_call);
}

int chat_check_messages(check *k, const place *at, uint32_t list)
{
    uint32_t i = 0;
    if (span_kind(k->d, list) != TP_ARRAY || !span_filled(k->d, list))
        return chat_refuse(k, at, list, "an array of messages that is not empty");
    for (uint32_t t = list + 1; t < k->d->tokens[list].next; t = k->d->tokens[t].next, i++) {
        place here = element_of(at, i);
        if (!one_message(k, &here, t))
            return 0;
    }
    return 1;
}

/* ---- Tools. */

/* {"googleSearch": {}}: a tool that only some upstream knows, in its own words. */
static int is_own_word(const check *k, uint32_t t)
{
    members m = members_of(k->d, t);
    return members_next(&m) && span_kind(k->d, m.value) == TP_OBJECT && !members_next(&m);
}

static int one_tool(check *k, const place *at, uint32_t t)
{
    if (!chat_want(k, at, t, TP_OBJECT, "an object with 'type' and 'function'"))
        return 0;
    uint32_t type = k->h->find(k->d, t, SPAN("type")), fn = k->h->find(k->d, t, SPAN("function"));
    place p_type = member_of(at, SPAN("type")), p_fn = member_of(at, SPAN("function"));
    if (!type && !fn && is_own_word(k, t)) {
        k->open = 1;
        return 1;
    }
    if (type || !fn) { /* Mistral's clients leave the type out beside a function */
        if (!chat_want_filled(k, &p_type, type))
            return 0;
        tp_str word = span_text(k->h, k->c, k->d, type);
        if (!span_is(word, "function")) {        /* a kind that only some upstream knows: what it */
            k->open |= !span_is(word, "custom"); /* finds is read as well; custom ones are clients' */
            return 1;
        }
    }
    if (!chat_want(k, &p_fn, fn, TP_OBJECT, "an object with a member 'name'"))
        return 0;
    uint32_t parameters = k->h->find(k->d, fn, SPAN("parameters"));
    uint32_t about = k->h->find(k->d, fn, SPAN("description"));
    place p_name = member_of(&p_fn, SPAN("name"));
    place p_par = member_of(&p_fn, SPAN("parameters"));
    place p_about = member_of(&p_fn, SPAN("description"));
    if (!chat_want_name(k, &p_name, k->h->find(k->d, fn, SPAN("name"))))
        return 0;
    if (span_given(k->d, about) && !chat_want(k, &p_about, about, TP_STRING, "a string"))
        return 0;
    return !span_given(k->d, parameters) ||
           chat_want(k, &p_par, parameters, TP_OBJECT, "an object, a JSON Schema");
}

int chat_check_tools(check *k, const place *at, uint32_t list)
{
    uint32_t i = 0;
    if (!chat_want(k, at, list, TP_ARRAY, "an array of tools"))
        return 0;
    for (uint32_t t = list + 1; t < k->d->tokens[list].next; t = k->d->tokens[t].next, i++) {
        place here = element_of(at, i);
        if (!one_tool(k, &here, t))
            return 0;
    }
    if (i)
        k->op->needs |= TP_NEED_TOOLS;
    return i == 0 || chat_emit_raw(k, SPAN("tools"), list);
}

int chat_check_tool_choice(check *k, const place *at, uint32_t t)
{
    static const char expected[] =
        "\"none\", \"auto\", \"required\" or an object "
        "{\"type\": \"function\", \"function\": {\"name\": ...}}";
    if (span_kind(k->d, t) == TP_STRING) {
        tp_str s = span_text(k->h, k->c, k->d, t);
        /* "any" is Mistral's word for "required" */
        if (span_is(s, "none") || span_is(s, "auto") || span_is(s, "required") || span_is(s, "any"))
            return 1;
        return chat_refuse(k, at, t, expected);
    }
    if (!chat_want(k, at, t, TP_OBJECT, expected))
        return 0;
    uint32_t type = k->h->find(k->d, t, SPAN("type")), fn = k->h->find(k->d, t, SPAN("function"));
    place p_type = member_of(at, SPAN("type")), p_fn = member_of(at, SPAN("function"));
    if (!chat_want_filled(k, &p_type, type))
        return 0;
    if (!span_is(span_text(k->h, k->c, k->d, type), "function"))
        return 1;
    if (!chat_want(k, &p_fn, fn, TP_OBJECT, "an object with a member 'name'"))
        return 0;
    place p_name = member_of(&p_fn, SPAN("name"));
    return chat_want_filled(k, &p_name, k->h->find(k->d, fn, SPAN("name")));
}

int chat_check_format(check *k, const place *at, uint32_t t)
{
    if (!chat_want(k, at, t, TP_OBJECT, "an object with a member 'type'"))
        return 0;
    uint32_t type = k->h->find(k->d, t, SPAN("type"));
    place p_type = member_of(at, SPAN("type")), p_schema = member_of(at, SPAN("json_schema"));
    tp_str word = span_kind(k->d, type) == TP_STRING ? span_text(k->h, k->c, k->d, type) : SPAN_NONE;
    if (span_is(word, "text") || span_is(word, "json_object"))
        return 1;
    if (!span_is(word, "json_schema"))
        return chat_refuse(k, &p_type, type, "\"text\", \"json_object\" or \"json_schema\"");
    uint32_t schema = k->h->find(k->d, t, SPAN("json_schema"));
    k->op->needs |= TP_NEED_SCHEMA;
    if (!chat_want(k, &p_schema, schema, TP_OBJECT, "an object with a member 'name'"))
        return 0;
    place p_name = member_of(&p_schema, SPAN("name"));
    place p_body = member_of(&p_schema, SPAN("schema"));
    uint32_t body = k->h->find(k->d, schema, SPAN("schema"));
    if (!chat_want_name(k, &p_name, k->h->find(k->d, schema, SPAN("name"))))
        return 0;
    return !span_given(k->d, body) ||
           chat_want(k, &p_body, body, TP_OBJECT, "an object, a JSON Schema");
}
