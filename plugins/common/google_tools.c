/* "tools" and "toolConfig". */
#include "google_body_int.h"

/* Tools that Google itself runs: what OpenAI's form calls them, and Google's member. */
typedef struct own_tool { tp_str type, member; int32_t foreign; } own_tool;
static const own_tool own_tools[] = {
    {SPAN_INIT("google_search"), SPAN_INIT("googleSearch"), 0},
    {SPAN_INIT("google_search_retrieval"), SPAN_INIT("googleSearchRetrieval"), 0},
    {SPAN_INIT("code_execution"), SPAN_INIT("codeExecution"), 0},
    {SPAN_INIT("url_context"), SPAN_INIT("urlContext"), 0},
    {SPAN_INIT("google_maps"), SPAN_INIT("googleMaps"), 0},
    {SPAN_INIT("file_search"), SPAN_INIT("fileSearch"), 0},
    {SPAN_INIT("computer_use"), SPAN_INIT("computerUse"), 0},
    {SPAN_INIT("enterprise_web_search"), SPAN_INIT("enterpriseWebSearch"), 0},
    {SPAN_INIT("retrieval"), SPAN_INIT("retrieval"), 0},
    {SPAN_INIT("mcp_servers"), SPAN_INIT("mcpServers"), 0},
    {SPAN_INIT("parallel_ai_search"), SPAN_INIT("parallelAiSearch"), 0},
    {SPAN_INIT("function_declarations"), SPAN_INIT("functionDeclarations"), 0},
    {SPAN_INIT("web_search"), SPAN_INIT("googleSearch"), 1},
    {SPAN_INIT("web_search_preview"), SPAN_INIT("googleSearch"), 1},
};

static const own_tool *own_tool_of(tp_str name)
{
    for (size_t i = 0; i < sizeof(own_tools) / sizeof(own_tools[0]); i++)
        if (google_same_name(name, own_tools[i].type))
            return &own_tools[i];
    return NULL;
}

/* ---- Functions. */

/* Of its own, or by reference or union. */
static int has_properties(const google_body *b, uint32_t schema)
{
    static const tp_str others[] = {SPAN_INIT("$ref"), SPAN_INIT("allOf"), SPAN_INIT("anyOf"),
                                    SPAN_INIT("oneOf")};
    uint32_t t = span_find(b->r.h, b->r.d, schema, SPAN("properties"));
    int any = span_kind(b->r.d, t) == TP_OBJECT && span_filled(b->r.d, t);
    for (size_t i = 0; i < sizeof(others) / sizeof(others[0]) && !any; i++)
        any = span_find(b->r.h, b->r.d, schema, others[i]) != 0;
    return any;
}

static void put_parameters(google_body *b, const chat_tool *t)
{
    if (!t->parameters || !span_filled(b->r.d, t->parameters))
        return;
    if (google_json_schema(b)) {
        jo_key_token(&b->o, SPAN("parametersJsonSchema"), b->r.d, t->parameters);
        return;
    }
    if (!has_properties(b, t->parameters))
        return; /* a function without parameters; an empty object is refused here */
    char place[48];
    char digits[24];
    tp_str n = span_of_int(t->index, digits);
    memcpy(place, "tools[", 6);
    memcpy(place + 6, n.ptr, n.len);
    memcpy(place + 6 + n.len, "].function.parameters", 22);
    jo_key(&b->o, SPAN("parameters"));
    google_put_schema(b, t->parameters, place);
}

static void put_function(google_body *b, const chat_tool *t)
{
    json_out *o = &b->o;
    if (t->cache_control)
        chat_note(&b->r, TP_DROPPED, SPAN("this provider caches by itself"),
                  "tools[%u].cache_control", t->index);
    if (t->strict > 0)
        chat_note(&b->r, TP_DROPPED, SPAN("this provider does not promise it"),
                  "tools[%u].function.strict", t->index);
    jo_comma(o);
    jo_open(o, SPAN("{"));
    jo_key_string(o, SPAN("name"), t->name);
    jo_maybe(o, SPAN("description"), b->r.d, t->description);
    put_parameters(b, t);
    jo_close(o, SPAN("}"));
}

static uint32_t put_functions(google_body *b, chat_tools it)
{
    json_out *o = &b->o;
    chat_tool t;
    uint32_t count = 0;
    while (chat_next_tool(&b->r, &it, &t) && google_status(b) == TP_OK) {
        if (!t.is_function)
            continue;
        if (!count++) {
            jo_comma(o);
            jo_open(o, SPAN("{"));
            jo_key(o, SPAN("functionDeclarations"));
            jo_open(o, SPAN("["));
        }
        put_function(b, &t);
    }
    if (count) {
        jo_close(o, SPAN("]"));
        jo_close(o, SPAN("}"));
    }
    return count;
}

/* ---- Google's own tools. */

/* {"type": "google_search", ...}: its options stand in a member of its name, or beside the type. */
static void put_typed(google_body *b, const chat_tool *t, const own_tool *own)
{
    json_out *o = &b->o;
    const tp_doc *d = b->r.d;
    jo_comma(o);
    jo_open(o, SPAN("{"));
    jo_key(o, own->member);
    uint32_t inner = 0;
    for (members m = members_of(d, t->at); members_next(&m);)
        if (google_same_name(span_inner(d, m.key), own->member) && span_kind(d, m.value) == TP_OBJECT)
            inner = m.value;
    if (inner) {
        jo_token(o, d, inner);
    } else {
        jo_open(o, SPAN("{"));
        for (members m = members_of(d, t->at); members_next(&m);) {
            tp_str key = span_inner(d, m.key);
            if (span_is(key, "type") || !span_given(d, m.value))
                continue;
            if (own->foreign)
                chat_note(&b->r, TP_DROPPED, SPAN("Google Search has no such option"),
                          "tools[%u].%.*s", t->index, (int)(key.len > 64 ? 64 : key.len), key.ptr);
            else
                jo_key_token(o, key, d, m.value);
        }
        jo_close(o, SPAN("}"));
    }
    jo_close(o, SPAN("}"));
}

/* {"googleSearch": {}} and the like: as it stands. */
static int is_native(const google_body *b, uint32_t t)
{
    if (b->r.d->tokens[t].kind != TP_OBJECT || !span_filled(b->r.d, t))
        return 0;
    for (members m = members_of(b->r.d, t); members_next(&m);) {
        const own_tool *own = own_tool_of(span_inner(b->r.d, m.key));
        if (!own || own->foreign)
            return 0;
    }
    return 1;
}

/* They know no choice: where the client wants none called they stay away. */
static uint32_t put_own_tools(google_body *b, chat_tools it, const chat_choice *k)
{
    chat_tool t;
    uint32_t count = 0;
    while (chat_next_tool(&b->r, &it, &t) && google_status(b) == TP_OK) {
        if (t.is_function)
            continue;
        if (k->kind == CHAT_CHOICE_NONE) {
            chat_note(&b->r, TP_CHANGED, SPAN("left out, for tool_choice is none"), "tools[%u]",
                      t.index);
            continue;
        }
        const own_tool *own = t.type.len ? own_tool_of(t.type) : NULL;
        if (own) {
            put_typed(b, &t, own);
        } else if (!t.type.len && is_native(b, t.at)) {
            jo_comma(&b->o);
            jo_token(&b->o, b->r.d, t.at);
        } else {
            chat_refuse(&b->r, TP_E_UNSUPPORTED, SPAN("this provider has no tool of this type"),
                        "tools[%u].type", t.index);
        }
        count++;
    }
    return count;
}

/* OpenAI's web_search_options: a search is wanted; how wide and from where cannot be said. */
static uint32_t put_web_search(google_body *b)
{
    uint32_t t = chat_take(&b->r, SPAN("web_search_options"));
    if (!t)
        return 0;
    jo_comma(&b->o);
    jo_put(&b->o, SPAN("{\"googleSearch\":{}}"));
    if (span_kind(b->r.d, t) == TP_OBJECT && span_filled(b->r.d, t))
        chat_note(&b->r, TP_DROPPED, SPAN("Google Search has no such options"), "web_search_options");
    return 1;
}

/* ---- Which tools may and must be called. */
static void put_names(google_body *b, const chat_choice *k)
{
    json_out *o = &b->o;
    jo_key(o, SPAN("allowedFunctionNames"));
    jo_open(o, SPAN("["));
    if (k->kind == CHAT_CHOICE_NAMED) {
        jo_comma(o);
        jo_string(o, k->name);
    }
    for (uint32_t t = k->names + 1; k->names && t < b->r.d->tokens[k->names].next;
         t = b->r.d->tokens[t].next) {
        jo_comma(o);
        jo_string(o, chat_allowed_name(&b->r, t));
    }
    jo_close(o, SPAN("]"));
}

static tp_str mode_of(const chat_choice *k)
{
    switch (k->kind) {
    case CHAT_CHOICE_NONE: return SPAN("NONE");
    case CHAT_CHOICE_AUTO: return SPAN("AUTO");
    case CHAT_CHOICE_REQUIRED:
    case CHAT_CHOICE_NAMED: return SPAN("ANY");
    /* names limit the calls in modes ANY and VALIDATED alone; the second lets it answer as well */
    case CHAT_CHOICE_ALLOWED: return k->required ? SPAN("ANY") : SPAN("VALIDATED");
    default: return SPAN_NONE;
    }
}

/* Google's own functionCallingConfig, but for arguments in pieces: a call is read as a whole. */
static void put_calling(google_body *b, tp_str key, google_value own)
{
    json_out *o = &b->o;
    if (own.d->tokens[own.t].kind != TP_OBJECT) {
        jo_key_token(o, key, own.d, own.t);
        return;
    }
    jo_key(o, key);
    jo_open(o, SPAN("{"));
    for (members m = members_of(own.d, own.t); members_next(&m);) {
        tp_str name = span_inner(own.d, m.key);
        if (!google_same_name(name, SPAN("streamFunctionCallArguments")))
            jo_key_token(o, name, own.d, m.value);
        else if (span_true(own.d, m.value))
            chat_note(&b->r, TP_DROPPED, SPAN("calls come as a whole"),
                      "tool_config.function_calling_config.stream_function_call_arguments");
    }
    jo_close(o, SPAN("}"));
}

/* Members of Google's own toolConfig that are not said otherwise. */
static void put_rest(google_body *b, google_value own, int has_calling, int *has_server)
{
    if (!own.d || own.d->tokens[own.t].kind != TP_OBJECT)
        return;
    for (members m = members_of(own.d, own.t); members_next(&m);) {
        tp_str key = span_inner(own.d, m.key);
        if (google_same_name(key, SPAN("functionCallingConfig"))) {
            if (!has_calling)
                put_calling(b, key, (google_value){own.d, m.value});
            else if (own.d == b->r.d)
                chat_note(&b->r, TP_CHANGED, SPAN("tool_choice takes precedence"), "tool_config");
            continue;
        }
        *has_server |= google_same_name(key, SPAN("includeServerSideToolInvocations"));
        jo_key_token(&b->o, key, own.d, m.value);
    }
}

static void put_tool_config(google_body *b, const chat_choice *k, uint32_t functions, uint32_t owns)
{
    json_out *o = &b->o;
    google_value own = google_own(b, SPAN("tool_config"), SPAN("toolConfig"));
    tp_str mode = functions ? mode_of(k) : SPAN_NONE;
    int has_server = 0;
    /* Gemini 3 takes functions beside its own tools only with this. */
    int mixed = functions && owns && b->m.generation >= 30 && !b->f.vertex;
    if (k->kind == CHAT_CHOICE_OTHER)
        chat_note(&b->r, TP_DROPPED, SPAN("this provider has no such choice"), "tool_choice");
    else if (!functions && owns && k->kind != CHAT_CHOICE_NOT_SAID && k->kind != CHAT_CHOICE_AUTO)
        chat_note(&b->r, TP_DROPPED, SPAN("Google's own tools know no choice"), "tool_choice");
    if (!mode.len && !own.d && !mixed)
        return;
    jo_key(o, SPAN("toolConfig"));
    jo_open(o, SPAN("{"));
    if (mode.len) {
        jo_key(o, SPAN("functionCallingConfig"));
        jo_open(o, SPAN("{"));
        jo_key_string(o, SPAN("mode"), mode);
        if (k->kind == CHAT_CHOICE_NAMED || k->kind == CHAT_CHOICE_ALLOWED)
            put_names(b, k);
        jo_close(o, SPAN("}"));
    }
    put_rest(b, own, mode.len != 0, &has_server);
    if (mixed && !has_server)
        jo_key_bool(o, SPAN("includeServerSideToolInvocations"), 1);
    jo_close(o, SPAN("}"));
}

/* Are there any to be written? Without them no list is: an empty one is refused. */
static int any_tools(const google_body *b, chat_tools it, const chat_choice *k)
{
    chat_tool t;
    while (chat_next_tool(&b->r, &it, &t))
        if (t.is_function || k->kind != CHAT_CHOICE_NONE)
            return 1;
    return span_given(b->r.d, b->r.h->find(b->r.d, 0, SPAN("web_search_options")));
}

void google_put_tools(google_body *b)
{
    json_out *o = &b->o;
    chat_tools it = chat_take_tools(&b->r);
    chat_choice k = chat_take_choice(&b->r);
    uint32_t functions = 0, owns = 0;
    if (any_tools(b, it, &k)) {
        jo_key(o, SPAN("tools"));
        jo_open(o, SPAN("["));
        functions = b->functions = put_functions(b, it);
        owns = put_own_tools(b, it, &k);
        owns += put_web_search(b);
        jo_close(o, SPAN("]"));
    } else {
        put_own_tools(b, it, &k); /* that they are left out */
    }
    if (google_status(b) == TP_OK)
        put_tool_config(b, &k, functions, owns);
}
