/* Top-level members of a canonical chat request. */
#include "chat_request.h"
#include <stdarg.h>
#include <stdio.h>

tp_status chat_begin(chat_request *r, const tp_host *h, tp_call *c, const tp_operation *op,
                     const tp_target *target)
{
    static const tp_str plain[] = {SPAN_INIT("model"), SPAN_INIT("messages"), SPAN_INIT("stream"),
                                   SPAN_INIT("stream_options")};
    *r = (chat_request){.h = h, .c = c, .op = op, .target = target, .d = &op->body};
    if (!op->body.count || op->body.tokens[0].kind != TP_OBJECT)
        return r->st = h->fail(c, TP_E_UNSUPPORTED, SPAN_NONE,
                               SPAN("expected a JSON object in the format chat/openai"));
    for (size_t i = 0; i < sizeof(plain) / sizeof(plain[0]); i++)
        chat_take(r, plain[i]);
    return TP_OK;
}

static int was_taken(const chat_request *r, uint32_t t)
{
    for (uint32_t i = 0; i < r->taken_count; i++)
        if (r->taken[i] == t)
            return 1;
    return 0;
}

uint32_t chat_take(chat_request *r, tp_str name)
{
    uint32_t t = r->h->find(r->d, 0, name);
    if (t && r->taken_count < CHAT_TAKEN && !was_taken(r, t))
        r->taken[r->taken_count++] = t;
    return span_given(r->d, t) ? t : 0;
}

tp_status chat_rest(chat_request *r)
{
    for (members m = members_of(r->d, 0); members_next(&m) && r->st == TP_OK;)
        if (span_given(r->d, m.value) && !was_taken(r, m.value))
            r->st = r->h->report(r->c, TP_DROPPED, span_text(r->h, r->c, r->d, m.key),
                                 SPAN("this provider does not take it"));
    return r->st;
}

static tp_str place_of(char text[256], const char *place, va_list ap)
{
    int n = vsnprintf(text, 256, place, ap);
    return (tp_str){text, n < 0 ? 0 : n > 255 ? 255 : (size_t)n};
}

void chat_note(chat_request *r, int32_t what, tp_str why, const char *place, ...)
{
    char text[256];
    va_list ap;
    if (r->st != TP_OK)
        return;
    va_start(ap, place);
    r->st = r->h->report(r->c, what, place_of(text, place, ap), why);
    va_end(ap);
}

tp_status chat_refuse(chat_request *r, tp_status st, tp_str why, const char *place, ...)
{
    char text[256];
    va_list ap;
    if (r->st != TP_OK)
        return r->st;
    va_start(ap, place);
    r->st = r->h->fail(r->c, st, place_of(text, place, ap), why);
    va_end(ap);
    return r->st;
}

/* ---- Parameters. */
int64_t chat_max_tokens(chat_request *r)
{
    uint32_t newer = chat_take(r, SPAN("max_completion_tokens"));
    uint32_t older = chat_take(r, SPAN("max_tokens"));
    uint32_t t = newer ? newer : older;
    int64_t v, most = r->target->max_output_tokens;
    if (newer && older)
        chat_note(r, TP_CHANGED, SPAN("max_completion_tokens takes precedence"), "max_tokens");
    if (!t || !span_int(r->d, t, &v))
        return -1;
    if (most > 0 && v > most) {
        chat_note(r, TP_CHANGED, SPAN("lowered to the model's limit"), "%s",
                  newer ? "max_completion_tokens" : "max_tokens");
        return most;
    }
    return v;
}

static int is_on(const chat_request *r, uint32_t object, tp_str name, int if_absent)
{
    uint32_t t = span_find(r->h, r->d, object, name);
    return span_kind(r->d, t) == TP_BOOL ? span_true(r->d, t) : if_absent;
}

static int64_t count_in(const chat_request *r, uint32_t object, tp_str name)
{
    int64_t v;
    uint32_t t = span_find(r->h, r->d, object, name);
    return span_int(r->d, t, &v) && v >= 0 ? v : -1;
}

static void read_effort(chat_thinking *k, tp_str effort)
{
    if (!effort.len)
        return;
    k->effort = effort;
    k->wanted = !span_is(effort, "none");
}

/* OpenRouter's object, which clients of several gateways send. */
static void read_reasoning(chat_request *r, uint32_t t, chat_thinking *k)
{
    if (span_kind(r->d, t) != TP_OBJECT)
        return;
    k->budget = count_in(r, t, SPAN("max_tokens"));
    if (k->budget >= 0)
        k->wanted = k->budget > 0;
    read_effort(k, span_member(r->h, r->c, r->d, t, SPAN("effort")));
    if (span_find(r->h, r->d, t, SPAN("enabled")))
        k->wanted = is_on(r, t, SPAN("enabled"), 1);
    k->hidden = is_on(r, t, SPAN("exclude"), 0);
}

static void read_thinking(chat_request *r, uint32_t t, chat_thinking *k)
{
    if (span_kind(r->d, t) != TP_OBJECT)
        return;
    tp_str type = span_member(r->h, r->c, r->d, t, SPAN("type"));
    k->wanted = !span_is(type, "disabled");
    k->adaptive = span_is(type, "adaptive");
    int64_t budget = count_in(r, t, SPAN("budget_tokens"));
    if (budget >= 0)
        k->budget = budget;
}

chat_thinking chat_take_thinking(chat_request *r)
{
    chat_thinking k = {.wanted = -1, .budget = -1};
    uint32_t effort = chat_take(r, SPAN("reasoning_effort"));
    uint32_t include = chat_take(r, SPAN("include_reasoning"));
    read_reasoning(r, chat_take(r, SPAN("reasoning")), &k);
    if (span_kind(r->d, effort) == TP_STRING)
        read_effort(&k, span_text(r->h, r->c, r->d, effort));
    if (span_kind(r->d, include) == TP_BOOL && !span_true(r->d, include))
        k.hidden = 1;
    read_thinking(r, chat_take(r, SPAN("thinking")), &k);
    return k;
}

int64_t chat_budget_of(tp_str effort, int64_t most)
{
    static const struct { tp_str word; int64_t tokens; } table[] = {
        {SPAN_INIT("none"), 0},      {SPAN_INIT("minimal"), 1024}, {SPAN_INIT("low"), 2048},
        {SPAN_INIT("medium"), 8192}, {SPAN_INIT("high"), 24576},   {SPAN_INIT("xhigh"), 32768},
        {SPAN_INIT("max"), 32768},
    };
    for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++)
        if (span_eq(table[i].word, effort))
            return most > 0 && table[i].tokens > most ? most : table[i].tokens;
    return -1;
}

chat_format chat_take_format(chat_request *r)
{
    chat_format f = {.strict = -1};
    uint32_t t = chat_take(r, SPAN("response_format"));
    tp_str type = span_kind(r->d, t) == TP_OBJECT ? span_member(r->h, r->c, r->d, t, SPAN("type"))
                                                  : SPAN_NONE;
    if (span_is(type, "json_object"))
        f.kind = CHAT_FORMAT_JSON;
    if (!span_is(type, "json_schema"))
        return f;
    f.kind = CHAT_FORMAT_SCHEMA;
    uint32_t inner = span_find(r->h, r->d, t, SPAN("json_schema"));
    if (span_kind(r->d, inner) != TP_OBJECT)
        return f;
    f.name = span_member(r->h, r->c, r->d, inner, SPAN("name"));
    f.description = span_member(r->h, r->c, r->d, inner, SPAN("description"));
    uint32_t schema = span_find(r->h, r->d, inner, SPAN("schema"));
    f.schema = span_kind(r->d, schema) == TP_OBJECT ? schema : 0;
    uint32_t strict = span_find(r->h, r->d, inner, SPAN("strict"));
    if (span_kind(r->d, strict) == TP_BOOL)
        f.strict = span_true(r->d, strict);
    return f;
}

int chat_next_stop(const chat_request *r, uint32_t stop, uint32_t *t)
{
    if (span_kind(r->d, stop) == TP_STRING) {
        if (*t)
            return 0;
        *t = stop;
        return 1;
    }
    if (span_kind(r->d, stop) != TP_ARRAY)
        return 0;
    *t = *t ? r->d->tokens[*t].next : stop + 1;
    return *t < r->d->tokens[stop].next && span_kind(r->d, *t) == TP_STRING;
}

/* ---- Tools. */
static uint32_t list_in(const chat_request *r, uint32_t t)
{
    return span_kind(r->d, t) == TP_ARRAY ? t : 0;
}

chat_tools chat_take_tools(chat_request *r)
{
    chat_tools it = {.tools = list_in(r, chat_take(r, SPAN("tools"))),
                     .functions = list_in(r, chat_take(r, SPAN("functions")))};
    if (it.tools)
        it.next = it.tools + 1;
    else if (it.functions)
        it.next = it.functions + 1;
    return it;
}

static void read_function(const chat_request *r, uint32_t f, chat_tool *out)
{
    uint32_t strict = span_find(r->h, r->d, f, SPAN("strict"));
    uint32_t description = span_find(r->h, r->d, f, SPAN("description"));
    uint32_t parameters = span_find(r->h, r->d, f, SPAN("parameters"));
    out->is_function = 1;
    out->name = span_member(r->h, r->c, r->d, f, SPAN("name"));
    out->description = span_kind(r->d, description) == TP_STRING ? description : 0;
    out->parameters = span_kind(r->d, parameters) == TP_OBJECT ? parameters : 0;
    if (span_kind(r->d, strict) == TP_BOOL)
        out->strict = span_true(r->d, strict);
}

static void read_tool(const chat_request *r, uint32_t t, int old, chat_tool *out)
{
    uint32_t inner = old ? t : span_find(r->h, r->d, t, SPAN("function"));
    uint32_t cache = span_find(r->h, r->d, t, SPAN("cache_control"));
    out->type = old ? SPAN("function") : span_member(r->h, r->c, r->d, t, SPAN("type"));
    if (span_kind(r->d, inner) == TP_OBJECT && (!out->type.len || span_is(out->type, "function"))) {
        read_function(r, inner, out);
        if (!cache)
            cache = span_find(r->h, r->d, inner, SPAN("cache_control"));
    }
    out->cache_control = span_kind(r->d, cache) == TP_OBJECT ? cache : 0;
}

int chat_next_tool(const chat_request *r, chat_tools *it, chat_tool *out)
{
    while (it->next) {
        uint32_t list = it->tools ? it->tools : it->functions;
        if (it->next < r->d->tokens[list].next) {
            uint32_t t = it->next;
            *out = (chat_tool){.at = t, .index = it->index++, .strict = -1};
            it->next = r->d->tokens[t].next;
            if (span_kind(r->d, t) == TP_OBJECT)
                read_tool(r, t, !it->tools, out);
            return 1;
        }
        it->index = 0;
        it->next = it->tools && it->functions ? it->functions + 1 : 0;
        it->tools = 0;
    }
    return 0;
}

/* {"type": "allowed_tools", "allowed_tools": {"mode", "tools"}}. */
static void read_allowed(const chat_request *r, uint32_t t, chat_choice *k)
{
    uint32_t inner = span_find(r->h, r->d, t, SPAN("allowed_tools"));
    if (span_kind(r->d, inner) != TP_OBJECT)
        inner = t;
    k->names = list_in(r, span_find(r->h, r->d, inner, SPAN("tools")));
    k->required = span_is(span_member(r->h, r->c, r->d, inner, SPAN("mode")), "required");
    k->kind = k->names ? CHAT_CHOICE_ALLOWED : CHAT_CHOICE_OTHER;
}

chat_choice chat_take_choice(chat_request *r)
{
    uint32_t newer = chat_take(r, SPAN("tool_choice"));
    uint32_t older = chat_take(r, SPAN("function_call"));
    chat_choice k = {.at = newer ? newer : older};
    if (span_kind(r->d, k.at) == TP_STRING) {
        tp_str word = span_text(r->h, r->c, r->d, k.at);
        k.kind = span_is(word, "none")                                 ? CHAT_CHOICE_NONE
                 : span_is(word, "auto")                               ? CHAT_CHOICE_AUTO
                 : span_is(word, "required") || span_is(word, "any")   ? CHAT_CHOICE_REQUIRED
                                                                       : CHAT_CHOICE_OTHER;
        return k;
    }
    if (span_kind(r->d, k.at) != TP_OBJECT)
        return k;
    tp_str type = span_member(r->h, r->c, r->d, k.at, SPAN("type"));
    uint32_t f = span_find(r->h, r->d, k.at, SPAN("function"));
    k.name = span_member(r->h, r->c, r->d, span_kind(r->d, f) == TP_OBJECT ? f : k.at, SPAN("name"));
    if (span_is(type, "allowed_tools"))
        read_allowed(r, k.at, &k);
    else if (k.name.len && (!type.len || span_is(type, "function") || span_is(type, "tool")))
        k.kind = CHAT_CHOICE_NAMED;
    else
        k.kind = span_is(type, "auto")   ? CHAT_CHOICE_AUTO
                 : span_is(type, "any")  ? CHAT_CHOICE_REQUIRED
                 : span_is(type, "none") ? CHAT_CHOICE_NONE
                                         : CHAT_CHOICE_OTHER;
    return k;
}

tp_str chat_allowed_name(const chat_request *r, uint32_t element)
{
    if (span_kind(r->d, element) != TP_OBJECT)
        return SPAN_NONE;
    uint32_t f = span_find(r->h, r->d, element, SPAN("function"));
    return span_member(r->h, r->c, r->d, span_kind(r->d, f) == TP_OBJECT ? f : element, SPAN("name"));
}
