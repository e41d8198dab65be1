/* Tools, their choice, and formats: nearly OpenAI's, but that no member may stand there that
 * Mistral does not know, and few may be null. */
#include "mistral_int.h"

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

/* ---- tools and functions. */
static int allowed(const mistral_body *b, const chat_tool *tool)
{
    if (b->choice.kind != CHAT_CHOICE_ALLOWED)
        return 1;
    const tp_doc *d = b->r.d;
    for (uint32_t t = b->choice.names + 1; t < d->tokens[b->choice.names].next;
         t = d->tokens[t].next)
        if (span_eq(chat_allowed_name(&b->r, t), tool->name))
            return 1;
    return 0;
}

/* Tools that Mistral itself runs. */
static int is_own(const mistral_body *b, const chat_tool *tool)
{
    static const tp_str types[] = {SPAN_INIT("web_search"), SPAN_INIT("web_search_premium"),
                                   SPAN_INIT("code_interpreter"), SPAN_INIT("image_generation"),
                                   SPAN_INIT("document_library"), SPAN_INIT("connector")};
    int found = 0;
    for (size_t i = 0; i < COUNT(types); i++)
        found |= span_eq(tool->type, types[i]);
    return found && span_kind(b->r.d, tool->at) == TP_OBJECT;
}

static int tool_is_plain(const mistral_body *b, const chat_tool *tool)
{
    static const tp_str outer[] = {SPAN_INIT("type"), SPAN_INIT("function")};
    static const tp_str inner[] = {SPAN_INIT("name"), SPAN_INIT("description"), SPAN_INIT("parameters"),
                                   SPAN_INIT("strict")};
    const tp_doc *d = b->r.d;
    if (!tool->is_function)
        return is_own(b, tool);
    uint32_t fn = span_find(b->r.h, d, tool->at, SPAN("function"));
    uint32_t type = span_find(b->r.h, d, tool->at, SPAN("type"));
    if (!fn || !mistral_only(b, tool->at, outer, COUNT(outer)) ||
        !mistral_only(b, fn, inner, COUNT(inner)) || (type && span_kind(d, type) != TP_STRING))
        return 0;
    uint32_t description = span_find(b->r.h, d, fn, SPAN("description"));
    uint32_t strict = span_find(b->r.h, d, fn, SPAN("strict"));
    return tool->parameters && (!description || tool->description) &&
           (!strict || span_kind(d, strict) == TP_BOOL);
}

static void write_tool(mistral_body *b, const chat_tool *tool)
{
    json_out *o = &b->o;
    if (!tool->is_function && !tool_is_plain(b, tool)) {
        chat_refuse(&b->r, TP_E_UNSUPPORTED, SPAN("Mistral knows no tools of this type"),
                    "tools[%u]", tool->index);
        return;
    }
    if (tool->cache_control)
        chat_note(&b->r, TP_DROPPED, SPAN("Mistral decides itself what it caches"),
                  "cache_control");
    jo_comma(o);
    if (tool_is_plain(b, tool)) {
        jo_token(o, b->r.d, tool->at);
        return;
    }
    jo_open(o, SPAN("{"));
    jo_key_raw(o, SPAN("type"), SPAN("\"function\""));
    jo_key(o, SPAN("function"));
    jo_open(o, SPAN("{"));
    jo_key_string(o, SPAN("name"), tool->name);
    jo_maybe(o, SPAN("description"), b->r.d, tool->description);
    if (tool->parameters)
        jo_key_token(o, SPAN("parameters"), b->r.d, tool->parameters);
    else /* must be there */
        jo_key_raw(o, SPAN("parameters"), SPAN("{\"type\":\"object\",\"properties\":{}}"));
    if (tool->strict >= 0)
        jo_key_bool(o, SPAN("strict"), tool->strict);
    jo_close(o, SPAN("}"));
    jo_close(o, SPAN("}"));
}

static chat_tools all_tools(mistral_body *b)
{
    chat_tools it = {.tools = span_find(b->r.h, b->r.d, 0, SPAN("tools")),
                     .functions = span_find(b->r.h, b->r.d, 0, SPAN("functions"))};
    it.tools = span_kind(b->r.d, it.tools) == TP_ARRAY ? it.tools : 0;
    it.functions = span_kind(b->r.d, it.functions) == TP_ARRAY ? it.functions : 0;
    it.next = it.tools ? it.tools + 1 : it.functions ? it.functions + 1 : 0;
    return it;
}

/* m stands at tools or, where there are none, at functions. */
void mistral_write_tools(mistral_body *b, members *m)
{
    chat_tool tool;
    int plain = span_kind(b->r.d, m->value) == TP_ARRAY, any = 0;
    chat_tools it = all_tools(b);
    if (!it.tools && !it.functions) {
        splice_cut(&b->s, m);
        return;
    }
    if (it.tools != m->value && it.tools) { /* functions beside tools: are written with them */
        splice_cut(&b->s, m);
        return;
    }
    plain &= it.functions == 0;
    for (chat_tools k = it; chat_next_tool(&b->r, &k, &tool);) {
        int here = allowed(b, &tool);
        any |= here;
        plain &= here && tool_is_plain(b, &tool);
    }
    if (!any) { /* an empty list is refused */
        splice_cut(&b->s, m);
        return;
    }
    if (plain)
        return;
    splice_skip(&b->s, b->r.d->tokens[m->key].at, span_end(b->r.d, m->value));
    splice_put(&b->s, SPAN("\"tools\":"));
    jo_open(&b->o, SPAN("["));
    for (chat_tools k = it; mistral_ok(b) && chat_next_tool(&b->r, &k, &tool);)
        if (allowed(b, &tool))
            write_tool(b, &tool);
    jo_close(&b->o, SPAN("]"));
}

/* tool_choice, or the old function_call. */
void mistral_write_choice(mistral_body *b, members *m)
{
    const chat_choice *k = &b->choice;
    tp_str word = k->kind == CHAT_CHOICE_NONE       ? SPAN("\"none\"")
                  : k->kind == CHAT_CHOICE_AUTO     ? SPAN("\"auto\"")
                  : k->kind == CHAT_CHOICE_REQUIRED ? SPAN("\"any\"")
                  : k->kind == CHAT_CHOICE_ALLOWED
                      ? k->required ? SPAN("\"any\"") : SPAN("\"auto\"")
                      : SPAN_NONE;
    if (m->value != k->at) { /* function_call beside tool_choice */
        splice_cut(&b->s, m);
        return;
    }
    if (!word.len && k->kind != CHAT_CHOICE_NAMED) {
        chat_refuse(&b->r, TP_E_UNSUPPORTED,
                    SPAN("Mistral knows none, auto, required and a named function"), "tool_choice");
        return;
    }
    if (word.len && span_eq(word, span_raw(b->r.d, m->value)) &&
        span_is(span_inner(b->r.d, m->key), "tool_choice"))
        return;
    splice_skip(&b->s, b->r.d->tokens[m->key].at, span_end(b->r.d, m->value));
    splice_put(&b->s, SPAN("\"tool_choice\":"));
    if (word.len) {
        splice_put(&b->s, word);
        return;
    }
    splice_put(&b->s, SPAN("{\"type\":\"function\",\"function\":{\"name\":"));
    splice_quote(&b->s, k->name);
    splice_put(&b->s, SPAN("}}"));
}

/* ---- response_format. */
void mistral_write_format(mistral_body *b, uint32_t t)
{
    static const tp_str outer[] = {SPAN_INIT("type"), SPAN_INIT("json_schema")};
    static const tp_str inner[] = {SPAN_INIT("name"), SPAN_INIT("description"), SPAN_INIT("schema"),
                                   SPAN_INIT("strict")};
    const tp_doc *d = b->r.d;
    uint32_t s = span_find(b->r.h, d, t, SPAN("json_schema"));
    if (span_kind(d, t) != TP_OBJECT ||
        !span_is(span_member(b->r.h, b->r.c, d, t, SPAN("type")), "json_schema") ||
        span_kind(d, s) != TP_OBJECT)
        return;
    uint32_t schema = b->r.h->find(d, s, SPAN("schema")),
             strict = b->r.h->find(d, s, SPAN("strict"));
    uint32_t about = b->r.h->find(d, s, SPAN("description")), name = b->r.h->find(d, s, SPAN("name"));
    if (mistral_only(b, t, outer, COUNT(outer)) && mistral_only(b, s, inner, COUNT(inner)) &&
        span_kind(d, schema) == TP_OBJECT && name && (!strict || span_kind(d, strict) == TP_BOOL))
        return;
    mistral_replace(b, t);
    json_out *o = &b->o;
    jo_open(o, SPAN("{"));
    jo_key_raw(o, SPAN("type"), SPAN("\"json_schema\""));
    jo_key(o, SPAN("json_schema"));
    jo_open(o, SPAN("{"));
    if (name)
        jo_key_token(o, SPAN("name"), d, name);
    else
        jo_key_raw(o, SPAN("name"), SPAN("\"response\""));
    if (span_given(d, about))
        jo_key_token(o, SPAN("description"), d, about);
    if (span_kind(d, schema) == TP_OBJECT)
        jo_key_token(o, SPAN("schema"), d, schema);
    else
        jo_key_raw(o, SPAN("schema"), SPAN("{}"));
    if (span_kind(d, strict) == TP_BOOL)
        jo_key_token(o, SPAN("strict"), d, strict);
    jo_close(o, SPAN("}"));
    jo_close(o, SPAN("}"));
}

/* ---- prediction: OpenAI's content may be parts, Mistral's is a string. */
void mistral_write_prediction(mistral_body *b, uint32_t t)
{
    uint32_t content = span_find(b->r.h, b->r.d, t, SPAN("content"));
    if (span_kind(b->r.d, content) != TP_ARRAY)
        return;
    tp_str text = chat_plain_text(&b->r, content, SPAN_NONE);
    if (!text.ptr) {
        b->r.st =
            b->r.h->fail(b->r.c, TP_E_NOMEM, SPAN_NONE, SPAN("out of memory for the prediction"));
        return;
    }
    mistral_replace(b, content);
    splice_quote(&b->s, text);
}
