/* Tools and parameters. */
#include <stdlib.h>
#include "cohere_int.h"

cohere_value cohere_param(cohere_body *b, tp_str name)
{
    cohere_value v = {.d = b->r.d, .t = chat_take(&b->r, name)};
    if (!v.t && b->extra) {
        uint32_t t = b->r.h->find(b->extra, 0, name);
        if (span_given(b->extra, t))
            v = (cohere_value){.d = b->extra, .t = t};
    }
    return v;
}

static void pass(cohere_body *b, tp_str name)
{
    cohere_value v = cohere_param(b, name);
    if (v.t)
        jo_key_token(&b->o, name, v.d, v.t);
}

/* ---- Tools. Cohere forces a tool, any tool or none, but not a certain one: the list is narrowed
 * to those that may be called. */
static int is_allowed(const cohere_body *b, const chat_choice *k, tp_str name)
{
    if (k->kind == CHAT_CHOICE_NAMED)
        return span_eq(k->name, name);
    if (k->kind != CHAT_CHOICE_ALLOWED)
        return 1;
    for (uint32_t t = k->names + 1; t < b->r.d->tokens[k->names].next; t = b->r.d->tokens[t].next)
        if (span_eq(chat_allowed_name(&b->r, t), name))
            return 1;
    return 0;
}

static void write_tool(cohere_body *b, const chat_tool *tool)
{
    jo_comma(&b->o);
    jo_open(&b->o, SPAN("{"));
    jo_key_raw(&b->o, SPAN("type"), SPAN("\"function\""));
    jo_key(&b->o, SPAN("function"));
    jo_open(&b->o, SPAN("{"));
    jo_key_string(&b->o, SPAN("name"), tool->name);
    jo_maybe(&b->o, SPAN("description"), b->r.d, tool->description);
    if (tool->parameters && span_filled(b->r.d, tool->parameters)) /* must be there and say something */
        jo_key_token(&b->o, SPAN("parameters"), b->r.d, tool->parameters);
    else
        jo_key_raw(&b->o, SPAN("parameters"), SPAN("{\"type\":\"object\",\"properties\":{}}"));
    jo_close(&b->o, SPAN("}"));
    jo_close(&b->o, SPAN("}"));
}

/* Strict tools must have a parameter that is required, or Cohere refuses the request. */
static int may_be_strict(const cohere_body *b, const chat_tool *tool)
{
    if (!tool->parameters)
        return 0;
    uint32_t required = span_find(b->r.h, b->r.d, tool->parameters, SPAN("required"));
    return span_kind(b->r.d, required) == TP_ARRAY && span_filled(b->r.d, required);
}

typedef struct tool_sum {
    uint32_t written, left_out;
    uint32_t asked, strict; /* asked to be strict; and may be */
} tool_sum;

static tool_sum write_tool_list(cohere_body *b, const chat_choice *k)
{
    tool_sum s = {0};
    chat_tool tool;
    for (chat_tools it = chat_take_tools(&b->r);
         b->r.st == TP_OK && chat_next_tool(&b->r, &it, &tool);) {
        if (!tool.is_function) {
            chat_refuse(&b->r, TP_E_UNSUPPORTED,
                        SPAN("Cohere's chat takes tools of type function only"), "tools[%u]",
                        tool.index);
            break;
        }
        if (tool.cache_control)
            chat_note(&b->r, TP_DROPPED, SPAN("Cohere decides itself what it caches"),
                      "cache_control");
        if (!is_allowed(b, k, tool.name)) {
            s.left_out++;
            continue;
        }
        if (s.written++ == 0) {
            jo_key(&b->o, SPAN("tools"));
            jo_open(&b->o, SPAN("["));
        }
        write_tool(b, &tool);
        s.asked += tool.strict == 1;
        s.strict += tool.strict == 1 && may_be_strict(b, &tool);
    }
    if (s.written)
        jo_close(&b->o, SPAN("]"));
    return s;
}

/* strict of each function; Cohere has one switch for all. */
static void write_strict(cohere_body *b, const tool_sum *s)
{
    cohere_value own = cohere_param(b, SPAN("strict_tools"));
    if (own.t)
        jo_key_token(&b->o, SPAN("strict_tools"), own.d, own.t);
    else if (s->strict && s->strict == s->written)
        jo_key_bool(&b->o, SPAN("strict_tools"), 1);
    else if (s->asked)
        chat_note(&b->r, TP_DROPPED,
                  SPAN("Cohere's strict_tools is for all tools or none, and each must require a "
                       "parameter"),
                  "tools[].function.strict");
}

void cohere_write_tools(cohere_body *b)
{
    uint32_t parallel = chat_take(&b->r, SPAN("parallel_tool_calls"));
    chat_choice k = chat_take_choice(&b->r);
    tool_sum s = write_tool_list(b, &k);
    int narrowed = k.kind == CHAT_CHOICE_NAMED || k.kind == CHAT_CHOICE_ALLOWED;
    if (narrowed && !s.written)
        chat_refuse(&b->r, TP_E_INPUT, SPAN("expected the name of a function in tools"),
                    "tool_choice");
    else if (narrowed && (s.left_out || k.kind == CHAT_CHOICE_NAMED))
        chat_note(&b->r, TP_CHANGED,
                  SPAN("Cohere cannot be told which tool: the others are left out"), "tool_choice");
    else if (k.kind == CHAT_CHOICE_OTHER)
        chat_note(&b->r, TP_DROPPED, SPAN("Cohere knows none, auto, required and a named function"),
                  "tool_choice");
    if (s.written && (k.kind == CHAT_CHOICE_REQUIRED || k.kind == CHAT_CHOICE_NAMED ||
                      (k.kind == CHAT_CHOICE_ALLOWED && k.required)))
        jo_key_raw(&b->o, SPAN("tool_choice"), SPAN("\"REQUIRED\""));
    else if (s.written && k.kind == CHAT_CHOICE_NONE)
        jo_key_raw(&b->o, SPAN("tool_choice"), SPAN("\"NONE\""));
    b->has_tools = s.written > 0;
    if (s.written)
        write_strict(b, &s);
    if (span_kind(b->r.d, parallel) == TP_BOOL && !span_true(b->r.d, parallel) && s.written)
        chat_note(&b->r, TP_DROPPED, SPAN("Cohere decides itself how many tools it calls at once"),
                  "parallel_tool_calls");
}

/* ---- Numbers. */
static int number_of(cohere_value v, double *out)
{
    char text[64];
    tp_str s = v.t && span_kind(v.d, v.t) == TP_NUMBER ? span_raw(v.d, v.t) : SPAN_NONE;
    if (!s.len || s.len >= sizeof(text))
        return 0;
    memcpy(text, s.ptr, s.len);
    text[s.len] = 0;
    *out = strtod(text, NULL);
    return 1;
}

typedef struct range {
    double least, most;
    tp_str least_text, most_text;
} range;

/* A number that must lie within a range, or is moved to its end. `said` is the client's word. */
static void write_within(cohere_body *b, tp_str name, cohere_value v, const range *in, tp_str said)
{
    double x;
    if (!v.t)
        return;
    tp_str text = span_raw(v.d, v.t);
    if (number_of(v, &x) && (x < in->least || x > in->most)) {
        text = x < in->least ? in->least_text : in->most_text;
        chat_note(&b->r, TP_CHANGED, SPAN("moved into the range that Cohere takes"), "%.*s",
                  (int)said.len, said.ptr);
    }
    jo_key_raw(&b->o, name, text);
}

/* A parameter under Cohere's name or, failing that, OpenAI's. */
static void write_either(cohere_body *b, tp_str name, tp_str canonical, const range *in)
{
    uint32_t theirs = chat_take(&b->r, canonical);
    cohere_value v = cohere_param(b, name);
    if (theirs && v.d == b->r.d && v.t) /* both */
        chat_note(&b->r, TP_CHANGED, SPAN("the provider's own parameter takes precedence"), "%.*s",
                  (int)canonical.len, canonical.ptr);
    else if (theirs)
        v = (cohere_value){.d = b->r.d, .t = theirs};
    write_within(b, name, v, in, v.t == theirs && v.d == b->r.d && theirs ? canonical : name);
}

static void write_seed(cohere_body *b)
{
    cohere_value v = cohere_param(b, SPAN("seed"));
    if (v.t && span_kind(v.d, v.t) == TP_NUMBER && span_raw(v.d, v.t).ptr[0] == '-')
        chat_note(&b->r, TP_DROPPED, SPAN("Cohere takes no seeds below 0"), "seed");
    else if (v.t)
        jo_key_token(&b->o, SPAN("seed"), v.d, v.t);
}

static void write_stop(cohere_body *b)
{
    uint32_t stop = chat_take(&b->r, SPAN("stop")), count = 0;
    cohere_value own = cohere_param(b, SPAN("stop_sequences"));
    if (!stop) {
        if (own.t)
            jo_key_token(&b->o, SPAN("stop_sequences"), own.d, own.t);
        return;
    }
    for (uint32_t t = 0; chat_next_stop(&b->r, stop, &t);) {
        if (b->r.d->tokens[t].len <= 2) {
            chat_note(&b->r, TP_DROPPED, SPAN("Cohere takes no empty stop sequences"), "stop");
            continue;
        }
        if (count == 5) {
            chat_note(&b->r, TP_DROPPED, SPAN("Cohere takes five stop sequences at most"),
                      "stop[5]");
            break;
        }
        if (count++ == 0) {
            jo_key(&b->o, SPAN("stop_sequences"));
            jo_open(&b->o, SPAN("["));
        }
        jo_comma(&b->o);
        jo_token(&b->o, b->r.d, t);
    }
    if (count)
        jo_close(&b->o, SPAN("]"));
}

/* ---- Format. */
static void write_format(cohere_body *b)
{
    uint32_t at = b->r.h->find(b->r.d, 0, SPAN("response_format"));
    chat_format f = chat_take_format(&b->r);
    const tp_doc *d = b->r.d;
    uint32_t schema = f.schema;
    if (f.kind == CHAT_FORMAT_TEXT)
        return;
    if (f.kind == CHAT_FORMAT_JSON) { /* Cohere's own spelling */
        schema = span_find(b->r.h, d, at, SPAN("json_schema"));
        if (span_kind(d, schema) != TP_OBJECT)
            schema = span_find(b->r.h, d, at, SPAN("schema"));
        if (span_kind(d, schema) != TP_OBJECT)
            schema = 0;
    }
    if (b->has_tools || b->has_documents)
        chat_refuse(&b->r, TP_E_UNSUPPORTED,
                    SPAN("Cohere takes no JSON format together with tools or documents"),
                    "response_format");
    jo_key(&b->o, SPAN("response_format"));
    jo_open(&b->o, SPAN("{"));
    jo_key_raw(&b->o, SPAN("type"), SPAN("\"json_object\""));
    jo_maybe(&b->o, SPAN("json_schema"), d, schema);
    jo_close(&b->o, SPAN("}"));
    if (f.description.len)
        chat_note(&b->r, TP_DROPPED, SPAN("Cohere takes the schema alone"),
                  "response_format.json_schema.description");
}

/* ---- Thinking. */
/* Models that refuse to be asked for it. One of another name may think. */
int cohere_cannot_think(const cohere_body *b)
{
    static const tp_str names[] = {SPAN_INIT("command-r"), SPAN_INIT("command-light"),
                                   SPAN_INIT("command-a-03-2025"), SPAN_INIT("command-a-vision"),
                                   SPAN_INIT("command-a-translate"), SPAN_INIT("aya-")};
    int found = 0;
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        found |= fault_contains(b->r.target->model, names[i]);
    return found && !fault_contains(b->r.target->model, SPAN("reasoning"));
}

/* Does the model think in this request? Those that can do so unless they are told not to. */
int cohere_thinks(const cohere_body *b)
{
    uint32_t t = b->extra ? b->r.h->find(b->extra, 0, SPAN("thinking")) : 0;
    if (cohere_cannot_think(b))
        return 0;
    if (b->thinking.wanted >= 0)
        return b->thinking.wanted;
    if (span_kind(b->extra, t) == TP_OBJECT)
        return !span_is(span_member(b->r.h, b->r.c, b->extra, t, SPAN("type")), "disabled");
    return fault_contains(b->r.target->model, SPAN("reasoning")) ||
           fault_contains(b->r.target->model, SPAN("command-a-plus"));
}

static int64_t budget_room(int64_t max_tokens, int64_t model_most)
{
    int64_t most = max_tokens > 0 ? max_tokens : model_most;
    if (most <= 0)
        return -1;
    most = most > 2000 ? most - 1000 : most / 2; /* the answer needs some of it */
    return most > 0 ? most : 1;
}

static void write_thinking(cohere_body *b, int64_t max_tokens)
{
    chat_thinking k = b->thinking;
    int64_t budget = k.budget;
    if (b->thinking_at && budget < 0 &&
        !span_int(b->r.d, span_find(b->r.h, b->r.d, b->thinking_at, SPAN("token_budget")), &budget))
        budget = -1; /* Cohere's own spelling */
    if (k.wanted < 0) {
        uint32_t t = b->extra ? b->r.h->find(b->extra, 0, SPAN("thinking")) : 0;
        if (span_given(b->extra, t))
            jo_key_token(&b->o, SPAN("thinking"), b->extra, t);
        return;
    }
    if (cohere_cannot_think(b)) {
        if (k.wanted)
            chat_note(&b->r, TP_DROPPED, SPAN("this model does not think"), "%s",
                      b->thinking_at                                                ? "thinking"
                      : b->r.h->find(b->r.d, 0, SPAN("reasoning_effort")) ? "reasoning_effort"
                                                                          : "reasoning");
        return;
    }
    if (budget == 0)
        k.wanted = 0;
    if (k.wanted == 1 && budget < 0 && k.effort.len && !k.adaptive && !b->thinking_at) {
        budget = chat_budget_of(k.effort, budget_room(max_tokens, b->r.target->max_output_tokens));
        if (budget < 0)
            chat_note(&b->r, TP_CHANGED,
                      SPAN("not a known effort: the model decides how much it thinks"),
                      "reasoning_effort");
    }
    jo_key(&b->o, SPAN("thinking"));
    jo_open(&b->o, SPAN("{"));
    jo_key_string(&b->o, SPAN("type"), k.wanted ? SPAN("enabled") : SPAN("disabled"));
    if (k.wanted && budget > 0)
        jo_key_int(&b->o, SPAN("token_budget"), budget);
    jo_close(&b->o, SPAN("}"));
}

/* ---- What has only one value here: saying that value is no loss. */
static void take_plain(cohere_body *b)
{
    const chat_request *r = &b->r;
    int64_t n;
    uint32_t t = chat_take(&b->r, SPAN("n"));
    if (t && !(span_int(r->d, t, &n) && n == 1))
        chat_note(&b->r, TP_DROPPED, SPAN("Cohere answers with one choice"), "n");
    t = r->h->find(r->d, 0, SPAN("store"));
    if (span_kind(r->d, t) == TP_BOOL && !span_true(r->d, t))
        chat_take(&b->r, SPAN("store"));
    t = r->h->find(r->d, 0, SPAN("service_tier"));
    tp_str tier = span_kind(r->d, t) == TP_STRING ? span_text(r->h, r->c, r->d, t) : SPAN_NONE;
    if (span_is(tier, "auto") || span_is(tier, "default"))
        chat_take(&b->r, SPAN("service_tier"));
    t = chat_take(&b->r, SPAN("modalities"));
    for (uint32_t x = t + 1; span_kind(r->d, t) == TP_ARRAY && x < r->d->tokens[t].next;
         x = r->d->tokens[x].next)
        if (span_kind(r->d, x) == TP_STRING && !span_is(span_inner(r->d, x), "text"))
            chat_refuse(&b->r, TP_E_UNSUPPORTED, SPAN("Cohere answers in text only"), "modalities");
}

/* Some models refuse both penalties together: of two, one that is 0 (and so says nothing) stays
 * away. */
static void write_penalties(cohere_body *b)
{
    static const range in = {0, 1, SPAN_INIT("0"), SPAN_INIT("1")};
    static const tp_str names[] = {SPAN_INIT("frequency_penalty"), SPAN_INIT("presence_penalty")};
    cohere_value v[2] = {cohere_param(b, names[0]), cohere_param(b, names[1])};
    double x;
    for (int i = 0; i < 2; i++)
        if (!(v[0].t && v[1].t && number_of(v[i], &x) && x == 0))
            write_within(b, names[i], v[i], &in, names[i]);
}

void cohere_write_params(cohere_body *b)
{
    static const range p = {0.01, 0.99, SPAN_INIT("0.01"), SPAN_INIT("0.99")};
    static const range k = {0, 500, SPAN_INIT("0"), SPAN_INIT("500")};
    int64_t most = chat_max_tokens(&b->r);
    if (most >= 0)
        jo_key_int(&b->o, SPAN("max_tokens"), most);
    else if (b->extra && span_given(b->extra, b->r.h->find(b->extra, 0, SPAN("max_tokens"))))
        jo_key_token(&b->o, SPAN("max_tokens"), b->extra,
                     b->r.h->find(b->extra, 0, SPAN("max_tokens")));
    pass(b, SPAN("temperature"));
    write_either(b, SPAN("p"), SPAN("top_p"), &p);
    write_either(b, SPAN("k"), SPAN("top_k"), &k);
    write_penalties(b);
    write_seed(b);
    write_stop(b);
    write_format(b);
    write_thinking(b, most);
    pass(b, SPAN("logprobs"));
    pass(b, SPAN("citation_options"));
    pass(b, SPAN("safety_mode"));
    pass(b, SPAN("priority"));
    pass(b, SPAN("raw_prompting"));
    take_plain(b);
    chat_rest(&b->r);
}
