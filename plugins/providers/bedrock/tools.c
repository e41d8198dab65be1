/* toolConfig. There is no choice "none", and a history with calls needs the tools to be there. */
#include "bedrock_int.h"
#include <stdio.h>

enum { MOST_NAMES = 256 };
typedef struct listing { /* the tools as they are written */
    plan *p;
    uint32_t written;
} listing;

static void begin(listing *l)
{
    json_out *o = &l->p->o;
    if (!l->written++) {
        jo_key(o, SPAN("toolConfig"));
        jo_open(o, SPAN("{"));
        jo_key(o, SPAN("tools"));
        jo_open(o, SPAN("["));
    }
    jo_comma(o);
    jo_open(o, SPAN("{"));
}

static void end(listing *l)
{
    jo_close(&l->p->o, SPAN("}"));
}

static void begin_spec(listing *l, tp_str name)
{
    json_out *o = &l->p->o;
    begin(l);
    jo_key(o, SPAN("toolSpec"));
    jo_open(o, SPAN("{"));
    jo_key_string(o, SPAN("name"), name);
}

/* Claude takes no choice among schemas at the top. */
static int is_choice(const plan *p, tp_str key)
{
    return p->t.family == FAMILY_CLAUDE &&
           (span_is(key, "anyOf") || span_is(key, "oneOf") || span_is(key, "allOf"));
}

/* The type is said, and is object; nothing chooses beside it. */
static int is_plain_object(const plan *p, uint32_t schema)
{
    uint32_t type = span_find(p->r.h, p->r.d, schema, SPAN("type"));
    if (span_kind(p->r.d, type) != TP_STRING || !span_is(span_inner(p->r.d, type), "object"))
        return 0;
    for (members m = members_of(p->r.d, schema); members_next(&m);)
        if (is_choice(p, span_inner(p->r.d, m.key)))
            return 0;
    return 1;
}

/* The same, as the schema of an object. */
static void put_as_object(plan *p, uint32_t schema, const char *place)
{
    json_out *o = &p->o;
    const tp_doc *d = p->r.d;
    int altered = 0, any = 0;
    jo_open(o, SPAN("{"));
    jo_key_string(o, SPAN("type"), SPAN("object"));
    for (members m = members_of(d, schema); members_next(&m);) {
        tp_str key = span_inner(d, m.key);
        if (span_is(key, "type") || is_choice(p, key)) {
            altered |= span_given(d, m.value);
            continue;
        }
        any = 1;
        jo_comma(o);
        jo_token(o, d, m.key);
        jo_put(o, SPAN(":"));
        jo_token(o, d, m.value);
    }
    if (!any)
        jo_key_raw(o, SPAN("properties"), SPAN("{}"));
    jo_close(o, SPAN("}"));
    if (altered)
        chat_note(&p->r, TP_CHANGED, SPAN("a tool's schema is an object here, and no choice"), "%s",
                  place);
}

/* schema: 0, or an object. strict: written as structured output takes it. */
static void put_input(plan *p, uint32_t schema, int strict, const char *place)
{
    json_out *o = &p->o;
    jo_key(o, SPAN("inputSchema"));
    jo_open(o, SPAN("{"));
    jo_key(o, SPAN("json"));
    if (!schema)
        jo_put(o, SPAN("{\"type\":\"object\",\"properties\":{}}"));
    else if (strict)
        jo_put(o, bedrock_schema(p, schema, place));
    else if (is_plain_object(p, schema))
        jo_token(o, p->r.d, schema);
    else
        put_as_object(p, schema, place);
    jo_close(o, SPAN("}"));
}

static int is_strict(plan *p, const chat_tool *tool)
{
    int native = p->t.structured == STRUCTURED_NATIVE, claude = p->t.family == FAMILY_CLAUDE;
    if (tool->strict <= 0)
        return 0;
    if (native && tool->parameters && is_plain_object(p, tool->parameters) &&
        bedrock_schema_fits(p, tool->parameters) &&
        !(claude && p->strict_tools == MOST_STRICT_TOOLS)) {
        p->strict_tools++;
        return 1;
    }
    chat_note(&p->r, TP_DROPPED, native ? SPAN("not possible for this schema, or for so many tools")
                                        : SPAN("this model has no strict tools"),
              "tools[%u].function.strict", tool->index);
    return 0;
}

static void put_function(listing *l, const chat_tool *tool)
{
    plan *p = l->p;
    json_out *o = &p->o;
    if (!bedrock_name_fits(tool->name)) {
        chat_refuse(&p->r, TP_E_UNSUPPORTED,
                    SPAN("a name here is 1 to 64 letters, digits, '_' and '-'"),
                    "tools[%u].function.name", tool->index);
        return;
    }
    begin_spec(l, tool->name);
    if (tool->description && !bedrock_blank(span_text(p->r.h, p->r.c, p->r.d, tool->description)))
        jo_key_token(o, SPAN("description"), p->r.d, tool->description);
    char place[64];
    int strict = is_strict(p, tool);
    snprintf(place, sizeof(place), "tools[%u].function.parameters", tool->index);
    put_input(p, tool->parameters, strict, place);
    if (strict)
        jo_key_bool(o, SPAN("strict"), 1);
    jo_close(o, SPAN("}"));
    end(l);
}

static void put_cache(listing *l, uint32_t cache_control)
{
    plan *p = l->p;
    if (!cache_control)
        return;
    p->in_system = 1; /* a block that belongs to no message */
    p->blocks = 1;
    bedrock_cache_point(p, CHAT_USER, cache_control);
    p->in_system = 0;
}

static int is_allowed(plan *p, tp_str name)
{
    const chat_choice *k = &p->choice;
    if (k->kind != CHAT_CHOICE_ALLOWED)
        return 1;
    for (uint32_t t = k->names + 1; t < p->r.d->tokens[k->names].next; t = p->r.d->tokens[t].next)
        if (span_eq(chat_allowed_name(&p->r, t), name))
            return 1;
    return 0;
}

/* {"type": "systemTool", "systemTool": {"name"}}: tools of the model's maker. Claude's own go
 * another way (extra.c). */
static void put_own(listing *l, const chat_tool *tool)
{
    static const tp_str own[] = {SPAN_INIT("systemTool"), SPAN_INIT("toolSpec"),
                                 SPAN_INIT("cachePoint")};
    plan *p = l->p;
    for (size_t i = 0; i < sizeof(own) / sizeof(own[0]); i++) {
        uint32_t t = span_find(p->r.h, p->r.d, tool->at, own[i]);
        if (span_kind(p->r.d, t) != TP_OBJECT)
            continue;
        begin(l);
        jo_key_token(&p->o, own[i], p->r.d, t);
        end(l);
        return;
    }
    if (p->t.family != FAMILY_CLAUDE || span_is(tool->type, "custom"))
        chat_note(&p->r, TP_DROPPED, SPAN("this API has no tool of this type"), "tools[%u]",
                  tool->index);
}

static int name_taken(plan *p, tp_str name)
{
    chat_tool tool;
    chat_tools it = {.tools = span_find(p->r.h, p->r.d, 0, SPAN("tools"))};
    if (span_kind(p->r.d, it.tools) != TP_ARRAY)
        return 0;
    for (it.next = it.tools + 1; chat_next_tool(&p->r, &it, &tool);)
        if (span_eq(tool.name, name))
            return 1;
    return 0;
}

/* The answer as the arguments of a tool: for models without structured output. */
static void put_answer_tool(listing *l)
{
    plan *p = l->p;
    bedrock_reply *r = p->reply;
    tp_str name = p->format.name.len ? bedrock_tool_name(p, p->format.name) : SPAN("json_answer");
    size_t n = name.len < 63 ? name.len : 63;
    memcpy(r->json_name, name.ptr, n);
    if (name_taken(p, (tp_str){r->json_name, n}))
        r->json_name[n++] = '_';
    r->json_len = (uint8_t)n;
    uint32_t type = span_find(p->r.h, p->r.d, p->format.schema, SPAN("type"));
    if (span_given(p->r.d, type) && !is_plain_object(p, p->format.schema))
        chat_refuse(&p->r, TP_E_UNSUPPORTED,
                    SPAN("this provider gives only objects for this schema; expected \"type\": "
                         "\"object\" at its top, and no choice beside it"),
                    "response_format.json_schema.schema");
    begin_spec(l, (tp_str){r->json_name, n});
    jo_key_string(&p->o, SPAN("description"),
                  !bedrock_blank(p->format.description)
                      ? p->format.description
                      : SPAN("Give your answer by calling this tool."));
    put_input(p, p->format.schema, 0, "response_format.json_schema.schema");
    jo_close(&p->o, SPAN("}"));
    end(l);
}

/* Tools for a history whose own are not here any more: names of what was called. */
static void put_history(listing *l)
{
    plan *p = l->p;
    chat_message m;
    chat_call call;
    tp_str names[MOST_NAMES];
    uint32_t n = 0;
    for (chat_messages it = chat_messages_of(&p->r); chat_next_message(&p->r, &it, &m);)
        for (chat_calls calls = chat_calls_of(&p->r, &m); chat_next_call(&p->r, &calls, &call);) {
            uint32_t i = 0;
            while (i < n && !span_eq(names[i], call.name))
                i++;
            if (i == n && n < MOST_NAMES && call.name.len)
                names[n++] = call.name;
        }
    if (!n)
        names[n++] = SPAN("tool");
    for (uint32_t i = 0; i < n; i++) {
        begin_spec(l, bedrock_tool_name(p, names[i]));
        put_input(p, 0, 0, "tools");
        jo_close(&p->o, SPAN("}"));
        end(l);
    }
    chat_note(&p->r, TP_CHANGED,
              SPAN("calls in the history need their tools; they were added by name"), "tools");
}

/* 1: the model must call one; name: this one. */
static int forced(plan *p, tp_str *name)
{
    const chat_choice *k = &p->choice;
    *name = k->kind == CHAT_CHOICE_NAMED ? k->name : SPAN_NONE;
    int must = k->kind == CHAT_CHOICE_REQUIRED || k->kind == CHAT_CHOICE_NAMED ||
               (k->kind == CHAT_CHOICE_ALLOWED && k->required);
    if (must && p->think && p->t.family == FAMILY_CLAUDE) {
        chat_note(&p->r, TP_CHANGED, SPAN("a model that thinks cannot be forced to call"),
                  "tool_choice");
        return 0;
    }
    return must;
}

/* Of the other models some refuse even the choice that they make by themselves, and Llama and Cohere
 * every one. */
static int knows_choices(plan *p, int must)
{
    switch (p->t.family) {
    case FAMILY_CLAUDE:
    case FAMILY_NOVA:
    case FAMILY_MISTRAL:
        return 1;
    case FAMILY_LLAMA:
    case FAMILY_COHERE:
        if (must)
            chat_note(&p->r, TP_CHANGED, SPAN("this model cannot be forced to call"), "tool_choice");
        return 0;
    default:
        return must || p->reply->json_len;
    }
}

/* Mistral's can be made to call, but not to call one of several. */
static tp_str nameable(plan *p, tp_str name, uint32_t tools)
{
    if (p->t.family != FAMILY_MISTRAL || !name.len)
        return name;
    if (tools > 1)
        chat_note(&p->r, TP_CHANGED, SPAN("this model can be made to call, but not this one tool"),
                  "tool_choice");
    return SPAN_NONE;
}

static void put_choice(plan *p, uint32_t others)
{
    json_out *o = &p->o;
    tp_str name;
    int must = forced(p, &name), answer = p->reply->json_len != 0;
    if (!knows_choices(p, must))
        return;
    if (!must && !answer && p->choice.kind != CHAT_CHOICE_AUTO &&
        p->choice.kind != CHAT_CHOICE_ALLOWED)
        return;
    if (answer && p->think && p->t.family == FAMILY_CLAUDE)
        return; /* cannot be forced; its description asks for it */
    jo_key(o, SPAN("toolChoice"));
    jo_open(o, SPAN("{"));
    if (answer && !others)
        name = (tp_str){p->reply->json_name, p->reply->json_len};
    name = nameable(p, name, others + (uint32_t)answer);
    if (name.len && (must || (answer && !others))) {
        jo_key(o, SPAN("tool"));
        jo_open(o, SPAN("{"));
        jo_key_string(o, SPAN("name"), name);
        jo_close(o, SPAN("}"));
    } else {
        jo_key_raw(o, must || answer ? SPAN("any") : SPAN("auto"), SPAN("{}"));
    }
    jo_close(o, SPAN("}"));
}

/* Are the tools of the request to be there? */
static int wants_tools(plan *p)
{
    if (p->choice.kind == CHAT_CHOICE_OTHER)
        chat_note(&p->r, TP_DROPPED, SPAN("this API has no such choice"), "tool_choice");
    if (p->choice.kind != CHAT_CHOICE_NONE)
        return 1;
    if (p->has_history)
        chat_note(&p->r, TP_CHANGED,
                  SPAN("calls in the history need their tools: the model may call one"),
                  "tool_choice");
    return p->has_history;
}

void bedrock_tools(plan *p)
{
    chat_tool tool;
    listing l = {.p = p};
    chat_tools it = chat_take_tools(&p->r);
    p->choice = chat_take_choice(&p->r);
    if (wants_tools(p))
        while (plan_ok(p) && chat_next_tool(&p->r, &it, &tool)) {
            if (!tool.is_function)
                put_own(&l, &tool);
            else if (is_allowed(p, tool.name))
                put_function(&l, &tool);
            put_cache(&l, tool.is_function && is_allowed(p, tool.name) ? tool.cache_control : 0);
        }
    uint32_t others = l.written;
    if (p->format.kind == CHAT_FORMAT_SCHEMA && p->format.schema && !p->native_format)
        put_answer_tool(&l);
    if (!l.written && p->has_history)
        put_history(&l);
    if (!l.written)
        return;
    jo_close(&p->o, SPAN("]"));
    put_choice(p, others);
    jo_close(&p->o, SPAN("}"));
}
