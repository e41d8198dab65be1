/* Tools and the choice among them. */
#include "anthropic_int.h"

enum { STRICT_TOOLS = 20 }; /* most strict tools that one request may have */

/* Tools of the API's own need to be asked for by a beta, some of them. */
static void ask_for(body *b, tp_str type)
{
    static const struct { tp_str type, beta; } table[] = {
        {SPAN_INIT("computer_20241022"), SPAN_INIT("computer-use-2024-10-22")},
        {SPAN_INIT("bash_20241022"), SPAN_INIT("computer-use-2024-10-22")},
        {SPAN_INIT("text_editor_20241022"), SPAN_INIT("computer-use-2024-10-22")},
        {SPAN_INIT("computer_20250124"), SPAN_INIT("computer-use-2025-01-24")},
        {SPAN_INIT("computer_20251124"), SPAN_INIT("computer-use-2025-11-24")},
        {SPAN_INIT("code_execution_20250522"), SPAN_INIT("code-execution-2025-05-22")},
        {SPAN_INIT("advisor_20260301"), SPAN_INIT("advisor-tool-2026-03-01")},
        {SPAN_INIT("mcp_toolset"), SPAN_INIT("mcp-client-2025-11-20")},
    };
    for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++)
        if (span_eq(table[i].type, type))
            anthropic_beta(b, table[i].beta);
}

/* What other APIs run themselves, and this one does not know. */
static int is_foreign(const body *b, const chat_tool *t)
{
    static const tp_str types[] = {SPAN_INIT("web_search"), SPAN_INIT("web_search_preview"),
                                   SPAN_INIT("file_search"), SPAN_INIT("code_interpreter"),
                                   SPAN_INIT("image_generation"), SPAN_INIT("local_shell"),
                                   SPAN_INIT("shell"), SPAN_INIT("apply_patch"), SPAN_INIT("mcp"),
                                   SPAN_INIT("function"), SPAN_INIT("browser_search"),
                                   SPAN_INIT("retrieval")};
    for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++)
        if (span_eq(types[i], t->type))
            return 1;
    if (span_is(t->type, "custom") || !t->type.len) /* both APIs have such: this one's has a schema */
        return !span_find(b->r.h, b->r.d, t->at, SPAN("input_schema"));
    return 0;
}

static int allowed(const body *b, tp_str name)
{
    if (b->choice.kind != CHAT_CHOICE_ALLOWED)
        return 1;
    const tp_doc *d = b->r.d;
    for (uint32_t t = b->choice.names + 1; t < d->tokens[b->choice.names].next;
         t = d->tokens[t].next)
        if (span_eq(chat_allowed_name(&b->r, t), name))
            return 1;
    return 0;
}

int anthropic_any_tool(const body *b)
{
    chat_tool t;
    chat_request r = b->r; /* both lists are taken already: this is another look at them */
    for (chat_tools it = chat_take_tools(&r); chat_next_tool(&b->r, &it, &t);)
        if (t.is_function ? allowed(b, t.name) : !is_foreign(b, &t))
            return 1;
    return 0;
}

/* Does something at the top choose among schemas? */
static int has_choice(const body *b, uint32_t schema)
{
    return span_find(b->r.h, b->r.d, schema, SPAN("anyOf")) ||
           span_find(b->r.h, b->r.d, schema, SPAN("oneOf")) ||
           span_find(b->r.h, b->r.d, schema, SPAN("allOf"));
}

static int is_plain_object(const body *b, const chat_tool *t)
{
    uint32_t type = span_find(b->r.h, b->r.d, t->parameters, SPAN("type"));
    return span_kind(b->r.d, type) == TP_STRING && span_is(span_inner(b->r.d, type), "object") &&
           !has_choice(b, t->parameters);
}

/* A schema as it stands, but an object at the top, where nothing may choose among schemas. */
static void put_plain_schema(body *b, const chat_tool *t)
{
    const tp_doc *d = b->r.d;
    if (is_plain_object(b, t)) {
        jo_token(&b->o, d, t->parameters);
        return;
    }
    jo_open(&b->o, SPAN("{"));
    jo_key_string(&b->o, SPAN("type"), SPAN("object"));
    for (members m = members_of(d, t->parameters); members_next(&m);) {
        tp_str key = span_inner(d, m.key);
        if (!span_is(key, "type") && !span_is(key, "anyOf") && !span_is(key, "oneOf") &&
            !span_is(key, "allOf"))
            jo_key_token(&b->o, key, d, m.value);
    }
    jo_close(&b->o, SPAN("}"));
    if (has_choice(b, t->parameters) ||
        span_given(d, span_find(b->r.h, d, t->parameters, SPAN("type"))))
        chat_note(&b->r, TP_CHANGED, SPAN("a tool's schema is an object, without anyOf, oneOf and "
                                          "allOf at its top"), "tools[%u].function.parameters",
                  t->index);
}

static int is_strict(body *b, const chat_tool *t, uint32_t *strict)
{
    if (t->strict != 1)
        return 0;
    if (b->model.native && *strict < STRICT_TOOLS && t->parameters && is_plain_object(b, t) &&
        anthropic_schema_fits(b, t->parameters)) {
        ++*strict;
        return 1;
    }
    chat_note(&b->r, TP_DROPPED, b->model.native
                  ? SPAN("not possible for this schema, or for so many tools")
                  : SPAN("this model does not take it"), "tools[%u].function.strict", t->index);
    return 0;
}

static void put_function(body *b, const chat_tool *t, uint32_t *strict)
{
    int held = is_strict(b, t, strict);
    jo_comma(&b->o);
    jo_open(&b->o, SPAN("{"));
    jo_key_string(&b->o, SPAN("name"), t->name);
    jo_maybe(&b->o, SPAN("description"), b->r.d, t->description);
    jo_key(&b->o, SPAN("input_schema"));
    if (!t->parameters)
        jo_put(&b->o, SPAN("{\"type\":\"object\",\"properties\":{}}"));
    else if (!held)
        put_plain_schema(b, t);
    else if (anthropic_put_schema(b, t->parameters))
        chat_note(&b->r, TP_CHANGED, SPAN("rewritten within the subset that strict tools take; what "
                                          "left is said in descriptions"),
                  "tools[%u].function.parameters", t->index);
    if (held)
        jo_key_bool(&b->o, SPAN("strict"), 1);
    anthropic_mark(b, t->cache_control, "tools", t->index, -1);
    jo_close(&b->o, SPAN("}"));
}

static void put_json_tool(body *b)
{
    jo_comma(&b->o);
    jo_open(&b->o, SPAN("{"));
    jo_key_string(&b->o, SPAN("name"), SPAN(ANTHROPIC_JSON_TOOL));
    jo_key_string(&b->o, SPAN("description"),
                  b->format.description.len ? b->format.description
                                            : SPAN("Gives the answer. Call it once, with the whole "
                                                   "answer."));
    chat_tool t = {.parameters = b->format.schema};
    uint32_t type = span_find(b->r.h, b->r.d, t.parameters, SPAN("type"));
    int object = type ? span_kind(b->r.d, type) == TP_STRING &&
                            span_is(span_inner(b->r.d, type), "object")
                      : span_find(b->r.h, b->r.d, t.parameters, SPAN("properties")) != 0;
    jo_key(&b->o, SPAN("input_schema"));
    if (!object)
        chat_refuse(&b->r, TP_E_UNSUPPORTED, SPAN("this provider gives only objects for this schema; "
                                                  "expected \"type\": \"object\" at its top"),
                    "response_format.json_schema.schema");
    else
        put_plain_schema(b, &t);
    jo_close(&b->o, SPAN("}"));
}

/* {"user_location": {"type": "approximate", "approximate": {"city", ...}}} is {"type", "city", ...}
 * here. */
static void put_search(body *b, uint32_t options)
{
    const tp_doc *d = b->r.d;
    uint32_t place = span_find(b->r.h, d, options, SPAN("user_location"));
    uint32_t inner = span_kind(d, place) == TP_OBJECT
                         ? span_find(b->r.h, d, place, SPAN("approximate")) : 0;
    jo_comma(&b->o);
    jo_open(&b->o, SPAN("{"));
    jo_key_string(&b->o, SPAN("type"), SPAN("web_search_20250305"));
    jo_key_string(&b->o, SPAN("name"), SPAN("web_search"));
    if (span_kind(d, inner) == TP_OBJECT) {
        jo_key(&b->o, SPAN("user_location"));
        jo_open(&b->o, SPAN("{"));
        jo_key_string(&b->o, SPAN("type"), SPAN("approximate"));
        for (members m = members_of(d, inner); members_next(&m);)
            if (span_given(d, m.value))
                jo_key_token(&b->o, span_inner(d, m.key), d, m.value);
        jo_close(&b->o, SPAN("}"));
    }
    jo_close(&b->o, SPAN("}"));
    if (span_given(d, span_find(b->r.h, d, options, SPAN("search_context_size"))))
        chat_note(&b->r, TP_DROPPED, SPAN("this API has no such measure"),
                  "web_search_options.search_context_size");
}

void anthropic_put_tools(body *b)
{
    chat_tool t;
    uint32_t strict = 0, search = chat_take(&b->r, SPAN("web_search_options"));
    if (span_kind(b->r.d, search) != TP_OBJECT)
        search = 0;
    int any = b->any_tool || search || b->json_tool;
    if (any) {
        anthropic_key(b, SPAN("tools"));
        jo_open(&b->o, SPAN("["));
    }
    for (chat_tools it = chat_take_tools(&b->r); chat_next_tool(&b->r, &it, &t);) {
        if (t.is_function && !allowed(b, t.name))
            continue;
        if (t.is_function) {
            if (b->json_tool && span_is(t.name, ANTHROPIC_JSON_TOOL))
                chat_refuse(&b->r, TP_E_UNSUPPORTED,
                            SPAN("with this response_format the name " ANTHROPIC_JSON_TOOL
                                 " is the provider's; give the tool another one"),
                            "tools[%u].function.name", t.index);
            put_function(b, &t, &strict);
        } else if (is_foreign(b, &t)) {
            chat_note(&b->r, TP_DROPPED, SPAN("this provider has no tool of that type"),
                      "tools[%u]", t.index);
        } else {
            ask_for(b, t.type);
            b->marks += t.cache_control != 0;
            jo_comma(&b->o);
            jo_token(&b->o, b->r.d, t.at);
        }
    }
    if (search)
        put_search(b, search);
    if (b->json_tool)
        put_json_tool(b);
    if (any)
        jo_close(&b->o, SPAN("]"));
    b->any_tool |= search != 0;
}

/* "disable_parallel_tool_use": said by parallel_tool_calls, or by a choice in this API's own words. */
static int one_at_a_time(body *b)
{
    uint32_t parallel = chat_take(&b->r, SPAN("parallel_tool_calls"));
    if (span_kind(b->r.d, parallel) == TP_BOOL)
        return !span_true(b->r.d, parallel);
    if (span_kind(b->r.d, b->choice.at) != TP_OBJECT)
        return 0;
    return span_true(b->r.d, span_find(b->r.h, b->r.d, b->choice.at,
                                       SPAN("disable_parallel_tool_use")));
}

void anthropic_put_choice(body *b)
{
    static const tp_str words[] = {SPAN_INIT(""), SPAN_INIT("none"), SPAN_INIT("auto"),
                                   SPAN_INIT("any"), SPAN_INIT("tool"), SPAN_INIT("auto"),
                                   SPAN_INIT("")};
    int kind = b->choice.kind, single = one_at_a_time(b);
    tp_str word = words[kind], name = kind == CHAT_CHOICE_NAMED ? b->choice.name : SPAN_NONE;
    if (kind == CHAT_CHOICE_OTHER)
        chat_note(&b->r, TP_DROPPED, SPAN("this provider does not know the choice"), "tool_choice");
    if (kind == CHAT_CHOICE_ALLOWED && b->choice.required)
        word = SPAN("any");
    if (b->json_tool) { /* the answer is a call too: of ours, or of one of the client's */
        if (!b->any_tool || kind == CHAT_CHOICE_NONE) {
            word = SPAN("tool");
            name = SPAN(ANTHROPIC_JSON_TOOL);
        } else if (kind != CHAT_CHOICE_NAMED) {
            word = SPAN("any");
        }
    } else if (!b->any_tool) {
        return;
    }
    if (b->auto_choice && !span_is(word, "none")) {
        word = SPAN("auto");
        name = SPAN_NONE;
    }
    if (!word.len && single)
        word = SPAN("auto");
    if (!word.len)
        return;
    anthropic_key(b, SPAN("tool_choice"));
    jo_open(&b->o, SPAN("{"));
    jo_key_string(&b->o, SPAN("type"), word);
    if (name.len)
        jo_key_string(&b->o, SPAN("name"), name);
    if (single && !span_is(word, "none"))
        jo_key_bool(&b->o, SPAN("disable_parallel_tool_use"), 1);
    jo_close(&b->o, SPAN("}"));
}
