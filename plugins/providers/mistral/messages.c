/* Messages. One that Mistral takes passes as it stands; any other is written anew. Mistral's models
 * of messages take no member that they do not know, and the order of roles is checked: both are
 * mended. */
#include "mistral_int.h"

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))
static const tp_str user_members[] = {SPAN_INIT("role"), SPAN_INIT("content")};
static const tp_str assistant_members[] = {SPAN_INIT("role"), SPAN_INIT("content"),
                                           SPAN_INIT("tool_calls"), SPAN_INIT("prefix")};
static const tp_str tool_members[] = {SPAN_INIT("role"), SPAN_INIT("content"),
                                      SPAN_INIT("tool_call_id"), SPAN_INIT("name")};

int mistral_ok(const mistral_body *b)
{
    return b->r.st == TP_OK && b->o.st == TP_OK && b->s.status == TP_OK;
}

void mistral_replace(mistral_body *b, uint32_t value)
{
    splice_skip(&b->s, b->r.d->tokens[value].at, span_end(b->r.d, value));
}

int mistral_only(const mistral_body *b, uint32_t object, const tp_str *names, size_t count)
{
    if (span_kind(b->r.d, object) != TP_OBJECT && object)
        return 0;
    for (members m = members_of(b->r.d, object); members_next(&m);) {
        tp_str key = span_text(b->r.h, b->r.c, b->r.d, m.key);
        size_t i = 0;
        while (i < count && !span_eq(names[i], key))
            i++;
        if (i == count)
            return 0;
    }
    return 1;
}

/* ---- Tool calls. */
static int call_is_plain(const mistral_body *b, const chat_message *m, const chat_call *call)
{
    static const tp_str outer[] = {SPAN_INIT("id"), SPAN_INIT("type"), SPAN_INIT("function"),
                                   SPAN_INIT("index")};
    static const tp_str inner[] = {SPAN_INIT("name"), SPAN_INIT("arguments")};
    const tp_doc *d = b->r.d;
    if (span_kind(d, call->at) != TP_OBJECT || !mistral_only(b, call->at, outer, COUNT(outer)))
        return 0;
    tp_str id = mistral_call_key(b, m, call);
    uint32_t type = b->r.h->find(d, call->at, SPAN("type"));
    uint32_t fn = b->r.h->find(d, call->at, SPAN("function"));
    if (!fn || !mistral_only(b, fn, inner, COUNT(inner)) ||
        (type && span_kind(d, type) != TP_STRING))
        return 0;
    uint32_t arguments = b->r.h->find(d, fn, SPAN("arguments"));
    return call->name.len && span_eq(mistral_id(b, id), id) &&
           ((span_kind(d, arguments) == TP_STRING && d->tokens[arguments].len > 2) ||
            span_kind(d, arguments) == TP_OBJECT);
}

static int calls_are_plain(const mistral_body *b, const chat_message *m)
{
    chat_call call;
    if (m->function_call)
        return 0;
    for (chat_calls it = chat_calls_of(&b->r, m); chat_next_call(&b->r, &it, &call);)
        if (!call_is_plain(b, m, &call))
            return 0;
    return 1;
}

static void write_call(mistral_body *b, const chat_message *m, const chat_call *call)
{
    json_out *o = &b->o;
    const tp_doc *d = b->r.d;
    tp_str type =
        m->tool_calls ? span_member(b->r.h, b->r.c, d, call->at, SPAN("type")) : SPAN_NONE;
    if (type.len && !span_is(type, "function")) {
        chat_refuse(&b->r, TP_E_UNSUPPORTED, SPAN("Mistral knows calls of functions only"),
                    "messages[%u].tool_calls[%u].type", m->index, call->index);
        return;
    }
    uint32_t fn = m->tool_calls ? span_find(b->r.h, d, call->at, SPAN("function")) : call->at;
    uint32_t arguments = fn ? span_find(b->r.h, d, fn, SPAN("arguments")) : 0;
    jo_comma(o);
    jo_open(o, SPAN("{"));
    jo_key_string(o, SPAN("id"), mistral_id(b, mistral_call_key(b, m, call)));
    jo_key_raw(o, SPAN("type"), SPAN("\"function\""));
    jo_key(o, SPAN("function"));
    jo_open(o, SPAN("{"));
    jo_key_string(o, SPAN("name"), call->name);
    if (span_kind(d, arguments) == TP_OBJECT ||
        (span_kind(d, arguments) == TP_STRING && d->tokens[arguments].len > 2))
        jo_key_token(o, SPAN("arguments"), d, arguments);
    else
        jo_key_raw(o, SPAN("arguments"), SPAN("\"{}\""));
    jo_close(o, SPAN("}"));
    jo_close(o, SPAN("}"));
}

static int has_calls(const mistral_body *b, const chat_message *m)
{
    return m->function_call || (m->tool_calls && span_filled(b->r.d, m->tool_calls));
}

/* ---- What a message says. */
static int has_content(const mistral_body *b, uint32_t t)
{
    return span_kind(b->r.d, t) == TP_ARRAY
               ? span_filled(b->r.d, t)
               : span_kind(b->r.d, t) == TP_STRING && b->r.d->tokens[t].len > 2;
}

static int has_thought(const mistral_body *b, const chat_message *m)
{
    chat_detail x;
    if (m->reasoning && b->r.d->tokens[m->reasoning].len > 2)
        return 1;
    for (chat_details it = chat_details_of(&b->r, m); chat_next_detail(&b->r, &it, &x);)
        if (x.text && b->r.d->tokens[x.text].len > 2)
            return 1;
    return 0;
}

/* The members that only some other API knows, but for those that were carried. */
static void report_members(mistral_body *b, const chat_message *m, int32_t role)
{
    static const tp_str carried[] = {SPAN_INIT("reasoning_content"), SPAN_INIT("reasoning"),
                                     SPAN_INIT("reasoning_details"), SPAN_INIT("refusal"),
                                     SPAN_INIT("function_call")};
    const tp_str *names = m->role == CHAT_ASSISTANT ? assistant_members
                          : m->role == CHAT_TOOL    ? tool_members
                                                    : user_members;
    size_t count = m->role == CHAT_ASSISTANT || m->role == CHAT_TOOL ? COUNT(tool_members)
                                                                     : COUNT(user_members);
    (void)role;
    for (members k = members_of(b->r.d, m->at); members_next(&k);) {
        tp_str key = span_text(b->r.h, b->r.c, b->r.d, k.key);
        uint32_t kind = span_kind(b->r.d, k.value);
        int known = kind == TP_NULL || (kind == TP_ARRAY && !span_filled(b->r.d, k.value));
        for (size_t i = 0; i < count; i++)
            known |= span_eq(names[i], key);
        for (size_t i = 0; m->role == CHAT_ASSISTANT && i < COUNT(carried); i++)
            known |= span_eq(carried[i], key);
        if (span_is(key, "cache_control"))
            chat_note(&b->r, TP_DROPPED, SPAN("Mistral decides itself what it caches"),
                      "cache_control");
        else if (!known)
            chat_note(&b->r, TP_DROPPED, SPAN("Mistral's messages have no such member"),
                      "messages[%u].%.*s", m->index, (int)(key.len > 64 ? 64 : key.len), key.ptr);
    }
    if (m->refusal && b->r.d->tokens[m->refusal].len > 2)
        chat_note(&b->r, TP_CHANGED, SPAN("passed on as the text of the message"),
                  "messages[%u].refusal", m->index);
}

typedef struct step { /* one message under way */
    chat_message m;
    int32_t role;     /* that it is to have */
    int32_t before;   /* role of the message that was written before it, or 0 */
    int last, prefix; /* prefix: is to be added */
    pairing pair;
} step;

static tp_str role_word(int32_t role)
{
    return role == CHAT_SYSTEM      ? SPAN("system")
           : role == CHAT_ASSISTANT ? SPAN("assistant")
           : role == CHAT_TOOL      ? SPAN("tool")
                                    : SPAN("user");
}

static int is_prefix(const mistral_body *b, const chat_message *m)
{
    return span_true(b->r.d, span_find(b->r.h, b->r.d, m->at, SPAN("prefix")));
}

/* Which members it may hold depends on its role; which of them are null does not matter where the
 * members may be null. */
static int is_plain(mistral_body *b, const step *x)
{
    const chat_message *m = &x->m;
    const tp_doc *d = b->r.d;
    if (!span_eq(m->role_name, role_word(x->role)) || x->prefix)
        return 0;
    if (m->role == CHAT_TOOL) {
        pairing p = x->pair;
        tp_str key = mistral_result_key(b, &p, m);
        if (!mistral_only(b, m->at, tool_members, COUNT(tool_members)) || !m->content ||
            !span_eq(mistral_id(b, key), m->call_id))
            return 0;
    } else if (m->role == CHAT_ASSISTANT) {
        uint32_t prefix = b->r.h->find(d, m->at, SPAN("prefix"));
        if (!mistral_only(b, m->at, assistant_members, COUNT(assistant_members)) ||
            !calls_are_plain(b, m) || (prefix && span_kind(d, prefix) != TP_BOOL) ||
            (m->tool_calls && !span_filled(d, m->tool_calls)))
            return 0;
    } else if (!mistral_only(b, m->at, user_members, COUNT(user_members)) || !m->content) {
        return 0;
    }
    return mistral_content_is_plain(b, m);
}

static void write_message(mistral_body *b, step *x)
{
    const chat_message *m = &x->m;
    json_out *o = &b->o;
    chat_call call;
    jo_open(o, SPAN("{"));
    jo_key_string(o, SPAN("role"), role_word(x->role));
    mistral_write_content(b, m, x->role);
    if (has_calls(b, m)) {
        jo_key(o, SPAN("tool_calls"));
        jo_open(o, SPAN("["));
        for (chat_calls it = chat_calls_of(&b->r, m);
             mistral_ok(b) && chat_next_call(&b->r, &it, &call);)
            write_call(b, m, &call);
        jo_close(o, SPAN("]"));
    }
    if (x->prefix || (m->role == CHAT_ASSISTANT && is_prefix(b, m)))
        jo_key_bool(o, SPAN("prefix"), 1);
    if (m->role == CHAT_TOOL) {
        pairing p = x->pair;
        jo_key_string(o, SPAN("tool_call_id"), mistral_id(b, mistral_result_key(b, &p, m)));
        if (m->name.len)
            jo_key_string(o, SPAN("name"), m->name);
    }
    jo_close(o, SPAN("}"));
    report_members(b, m, x->role);
}

/* ---- Order. After a tool's result comes an assistant; a system message comes before the first
 * answer; the last message is a question, a result or the beginning of an answer. */
static void repaired(mistral_body *b, const step *x, tp_str why)
{
    chat_note(&b->r, TP_REPAIRED, why, "messages[%u]", x->m.index);
}

static int says_nothing(const mistral_body *b, const chat_message *m)
{
    return m->role == CHAT_ASSISTANT && !has_calls(b, m) && !has_content(b, m->content) &&
           !has_thought(b, m) && !(m->refusal && b->r.d->tokens[m->refusal].len > 2);
}

static void set_role(mistral_body *b, step *x)
{
    int late = x->before == CHAT_ASSISTANT || x->before == CHAT_TOOL ||
               (x->last && x->before == CHAT_USER);
    x->role = x->m.role == CHAT_OTHER_ROLE ? CHAT_USER : x->m.role;
    if (x->m.role == CHAT_OTHER_ROLE)
        chat_refuse(&b->r, TP_E_UNSUPPORTED,
                    SPAN("Mistral knows the roles system, user, assistant and tool"),
                    "messages[%u].role", x->m.index);
    if (!b->in->repair)
        return;
    if (x->m.role == CHAT_SYSTEM && late) {
        x->role = CHAT_USER;
        repaired(b, x, SPAN("Mistral takes no system message there: it was sent as the user's"));
    }
    if (x->m.role == CHAT_ASSISTANT && x->last && !has_calls(b, &x->m) && !is_prefix(b, &x->m)) {
        x->prefix = 1;
        repaired(
            b, x,
            SPAN("the last message is an assistant's: it was marked as the answer's beginning"));
    }
}

static int needs_bridge(const mistral_body *b, const step *x)
{
    return b->in->repair && x->role == CHAT_USER && x->before == CHAT_TOOL;
}

/* One element of the array: it stays, is written anew or is left out. at: the end of the element
 * before it; kept: elements that were not left out. */
static int one_message(mistral_body *b, step *x, uint32_t at, uint32_t kept, uint32_t next)
{
    const tp_token *t = b->r.d->tokens;
    uint32_t from = t[x->m.at].at, end = span_end(b->r.d, x->m.at);
    mistral_pair(&x->pair, &x->m);
    if (b->in->repair && says_nothing(b, &x->m)) {
        repaired(b, x, SPAN("an assistant's message without content and calls was left out"));
        splice_skip(&b->s, kept ? at : from, kept || !next ? end : t[next].at);
        return 0;
    }
    set_role(b, x);
    if (needs_bridge(b, x)) {
        splice_skip(&b->s, from, from);
        splice_put(&b->s, SPAN("{\"role\":\"assistant\",\"content\":\"OK\"},"));
        repaired(b, x,
                 SPAN("Mistral wants an assistant's message after a tool's: \"OK\" was put in"));
    }
    if (!is_plain(b, x)) {
        splice_skip(&b->s, from, end);
        write_message(b, x);
    }
    if (x->m.role == CHAT_TOOL)
        mistral_result_key(b, &x->pair, &x->m); /* counts it */
    x->before = x->role;
    return 1;
}

void mistral_write_messages(mistral_body *b, uint32_t list)
{
    const tp_doc *d = b->r.d;
    step x = {.before = 0};
    uint32_t at = d->tokens[list].at + 1, kept = 0;
    chat_messages it = chat_messages_of(&b->r);
    while (mistral_ok(b) && chat_next_message(&b->r, &it, &x.m)) {
        x.last = it.next >= it.stop;
        x.prefix = 0;
        kept += (uint32_t)one_message(b, &x, at, kept, x.last ? 0 : it.next);
        at = span_end(d, x.m.at);
    }
}
