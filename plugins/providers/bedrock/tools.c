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

/* schema: JSON text of an object. Its type must be said, and be object. */
static void put_input(plan *p, tp_str schema, int typed)
{
    json_out *o = &p->o;
    jo_key(o, SPAN("inputSchema"));
    jo_open(o, SPAN("{"));
    jo_key(o, SPAN("json"));
    if (typed) {
        jo_put(o, schema);
    } else {
        tp_str rest = span_trim((tp_str){schema.ptr + 1, schema.len - 2});
        jo_put(o, rest.len ? SPAN("{\"type\":\"object\",")
                           : SPAN("{\"type\":\"object\",\"properties\":{}"));
        jo_put(o, rest);
        jo_put(o, SPAN("}"));
    }
    jo_close(o, SPAN("}"));
}

static void put_strict(plan *p, const chat_tool *tool)
{
    static const char *const place = "tools[%u].function.strict";
    if (tool->strict <= 0)
        return;
    if (p->t.structured == STRUCTURED_NATIVE)
        jo_key_bool(&p->o, SPAN("strict"), 1);
    else
        chat_note(&p->r, TP_DROPPED, SPAN("this model has no strict tools"), place, tool->index);
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
    if (!tool->parameters) {
        put_input(p, SPAN("{}"), 0);
    } else {
        char place[64];
        int strict = tool->strict > 0 && p->t.structured == STRUCTURED_NATIVE;
        int typed = p->r.h->find(p->r.d, tool->parameters, SPAN("type")) != 0;
        snprintf(place, sizeof(place), "tools[%u].function.parameters", tool->index);
        put_input(p,
                  strict ? bedrock_schema(p, tool->parameters, place)
                         : span_raw(p->r.d, tool->parameters),
                  typed);
    }
    put_strict(p, tool);
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
    begin_spec(l, (tp_str){r->json_name, n});
    jo_key_string(&p->o, SPAN("description"),
                  !bedrock_blank(p->format.description)
                      ? p->format.description
                      : SPAN("Give your answer by calling this tool."));
    put_input(p, span_raw(p->r.d, p->format.schema),
              p->r.h->find(p->r.d, p->format.schema, SPAN("type")) != 0);
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
        put_input(p, SPAN("{}"), 0);
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

static void put_choice(plan *p, uint32_t others)
{
    json_out *o = &p->o;
    tp_str name;
    int must = forced(p, &name), answer = p->reply->json_len != 0;
    if (!must && !answer && p->choice.kind != CHAT_CHOICE_AUTO &&
        p->choice.kind != CHAT_CHOICE_ALLOWED)
        return;
    if (answer && p->think && p->t.family == FAMILY_CLAUDE)
        return; /* cannot be forced; its description asks for it */
    jo_key(o, SPAN("toolChoice"));
    jo_open(o, SPAN("{"));
    if (answer && !others)
        name = (tp_str){p->reply->json_name, p->reply->json_len};
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
    if (p->format.kind == CHAT_FORMAT_SCHEMA && p->format.schema &&
        p->t.structured == STRUCTURED_TOOL)
        put_answer_tool(&l);
    if (!l.written && p->has_history)
        put_history(&l);
    if (!l.written)
        return;
    jo_close(&p->o, SPAN("]"));
    put_choice(p, others);
    jo_close(&p->o, SPAN("}"));
}
