/* inferenceConfig, outputConfig, and what goes to the model past the API (its own parameters). */
#include "bedrock_int.h"
#include <stdlib.h>

/* ---- inferenceConfig. */
static int number_of(plan *p, uint32_t t, double *out)
{
    char text[48];
    if (span_kind(p->r.d, t) != TP_NUMBER)
        return 0;
    tp_str s = span_raw(p->r.d, t);
    if (s.len >= sizeof(text))
        return 0;
    memcpy(text, s.ptr, s.len);
    text[s.len] = 0;
    *out = strtod(text, NULL);
    return 1;
}

static uint32_t drop(plan *p, tp_str name, tp_str why)
{
    chat_note(&p->r, TP_DROPPED, why, "%.*s", (int)name.len, name.ptr);
    return 0;
}

/* Claude: none of them from 4.7 on, one of the two from 4.1 on, and hardly any with a thought. */
static void claude_sampling(plan *p, uint32_t *temperature, uint32_t *top_p)
{
    double v;
    int one = number_of(p, *temperature, &v) && v == 1.0;
    if (p->t.version >= 407) {
        if (*temperature)
            *temperature =
                one ? 0 : drop(p, SPAN("temperature"), SPAN("this model does not take it"));
        if (*top_p)
            *top_p = number_of(p, *top_p, &v) && v == 1.0
                         ? 0
                         : drop(p, SPAN("top_p"), SPAN("this model does not take it"));
        return;
    }
    if (p->think && *temperature && !one)
        *temperature = drop(p, SPAN("temperature"), SPAN("it is 1 while the model thinks"));
    if (p->think && *top_p && number_of(p, *top_p, &v) && v < 0.95)
        *top_p = drop(p, SPAN("top_p"), SPAN("it is at least 0.95 while the model thinks"));
    if (p->t.version >= 401 && *temperature && *top_p)
        *top_p = drop(p, SPAN("top_p"), SPAN("this model takes temperature or top_p, not both"));
}

/* Nova at its highest effort takes no limits at all. */
static void nova_sampling(plan *p, uint32_t *temperature, uint32_t *top_p)
{
    static const tp_str why = SPAN_INIT("not while the model thinks with its highest effort");
    if (!p->think || p->t.reasoning != REASONING_NOVA || !span_is(p->effort, "high"))
        return;
    if (*temperature)
        *temperature = drop(p, SPAN("temperature"), why);
    if (*top_p)
        *top_p = drop(p, SPAN("top_p"), why);
    if (p->max_tokens >= 0)
        drop(p,
             p->r.h->find(p->r.d, 0, SPAN("max_completion_tokens")) ? SPAN("max_completion_tokens")
                                                                    : SPAN("max_tokens"),
             why);
    p->max_tokens = -1;
}

static void put_stops(plan *p, uint32_t stop)
{
    json_out *o = &p->o;
    uint32_t n = 0;
    for (uint32_t t = 0, i = 0; chat_next_stop(&p->r, stop, &t); i++) {
        tp_str text = span_text(p->r.h, p->r.c, p->r.d, t);
        if (!text.len || (p->t.family == FAMILY_CLAUDE && bedrock_blank(text))) {
            chat_note(&p->r, TP_DROPPED, SPAN("a stop sequence must have more than white space"),
                      "stop[%u]", i);
            continue;
        }
        if (!n++) {
            jo_key(o, SPAN("stopSequences"));
            jo_open(o, SPAN("["));
        }
        jo_comma(o);
        jo_token(o, p->r.d, t);
    }
    if (n)
        jo_close(o, SPAN("]"));
}

void bedrock_sampling(plan *p)
{
    json_out *o = &p->o;
    double v;
    uint32_t temperature = chat_take(&p->r, SPAN("temperature"));
    uint32_t top_p = chat_take(&p->r, SPAN("top_p")), stop = chat_take(&p->r, SPAN("stop"));
    if (p->t.family == FAMILY_CLAUDE)
        claude_sampling(p, &temperature, &top_p);
    nova_sampling(p, &temperature, &top_p);
    if (!temperature && !top_p && !stop && p->max_tokens < 0)
        return;
    jo_key(o, SPAN("inferenceConfig"));
    jo_open(o, SPAN("{"));
    if (p->max_tokens >= 0)
        jo_key_int(o, SPAN("maxTokens"), p->max_tokens);
    if (number_of(p, temperature, &v) && v > 1.0) {
        chat_note(&p->r, TP_CHANGED, SPAN("1 is the most that this API takes"), "temperature");
        jo_key_raw(o, SPAN("temperature"), SPAN("1"));
    } else {
        jo_maybe(o, SPAN("temperature"), p->r.d, temperature);
    }
    jo_maybe(o, SPAN("topP"), p->r.d, top_p);
    put_stops(p, stop);
    jo_close(o, SPAN("}"));
}

/* ---- outputConfig. */
static void put_native_schema(plan *p)
{
    json_out *o = &p->o;
    const chat_format *f = &p->format;
    jo_key(o, SPAN("textFormat"));
    jo_open(o, SPAN("{"));
    jo_key_string(o, SPAN("type"), SPAN("json_schema"));
    jo_key(o, SPAN("structure"));
    jo_open(o, SPAN("{"));
    jo_key(o, SPAN("jsonSchema"));
    jo_open(o, SPAN("{"));
    jo_key_string(o, SPAN("schema"),
                  bedrock_schema(p, f->schema, "response_format.json_schema.schema"));
    if (f->name.len)
        jo_key_string(o, SPAN("name"), f->name);
    if (!bedrock_blank(f->description))
        jo_key_string(o, SPAN("description"), f->description);
    jo_close(o, SPAN("}"));
    jo_close(o, SPAN("}"));
    jo_close(o, SPAN("}"));
}

void bedrock_output(plan *p)
{
    json_out *o = &p->o;
    uint32_t own = chat_take(&p->r, SPAN("outputConfig"));
    int native = p->native_format;
    if (p->format.kind == CHAT_FORMAT_JSON ||
        (p->format.kind == CHAT_FORMAT_SCHEMA && !p->format.schema))
        chat_note(&p->r, TP_DROPPED,
                  SPAN("this API has no JSON without a schema; the prompt must ask for it"),
                  "response_format");
    if (span_kind(p->r.d, own) != TP_OBJECT)
        own = 0;
    if (!own && !native)
        return;
    jo_key(o, SPAN("outputConfig"));
    jo_open(o, SPAN("{"));
    for (members m = members_of(p->r.d, own); own && members_next(&m);) {
        tp_str key = span_text(p->r.h, p->r.c, p->r.d, m.key);
        if (native && span_is(key, "textFormat"))
            continue;
        jo_comma(o);
        jo_token(o, p->r.d, m.key);
        jo_put(o, SPAN(":"));
        jo_token(o, p->r.d, m.value);
    }
    if (native)
        put_native_schema(p);
    jo_close(o, SPAN("}"));
}

/* ---- additionalModelRequestFields: the client's own, the deployment's, then ours. */
static void open_extra(plan *p)
{
    if (p->extra_open++)
        return;
    jo_key(&p->o, SPAN("additionalModelRequestFields"));
    jo_open(&p->o, SPAN("{"));
}

/* Announces a member, unless somebody said it himself. */
static int extra_key(plan *p, tp_str key)
{
    const tp_doc *o = &p->r.target->options;
    if ((p->client_extra && p->r.h->find(p->r.d, p->client_extra, key)) ||
        (p->deployment_extra && p->r.h->find(o, p->deployment_extra, key)))
        return 0;
    open_extra(p);
    jo_key(&p->o, key);
    return 1;
}

static void copy_extra(plan *p, const tp_doc *d, uint32_t object, int of_client)
{
    for (members m = members_of(d, object); members_next(&m);) {
        tp_str key = span_text(p->r.h, p->r.c, d, m.key);
        if (!of_client && p->client_extra && p->r.h->find(p->r.d, p->client_extra, key))
            continue;
        open_extra(p);
        jo_comma(&p->o);
        jo_token(&p->o, d, m.key);
        jo_put(&p->o, SPAN(":"));
        jo_token(&p->o, d, m.value);
    }
}

static void put_claude_thinking(plan *p)
{
    json_out *o = &p->o;
    if (p->thinking_said) {
        jo_token(o, p->r.d, p->thinking_said);
        return;
    }
    jo_open(o, SPAN("{"));
    jo_key_string(o, SPAN("type"), p->adaptive ? SPAN("adaptive") : SPAN("enabled"));
    if (!p->adaptive)
        jo_key_int(o, SPAN("budget_tokens"), p->budget);
    else if (p->t.version >= 407) /* from here on the thought's text is left out unless asked for */
        jo_key_string(o, SPAN("display"),
                      p->thinking.hidden ? SPAN("omitted") : SPAN("summarized"));
    jo_close(o, SPAN("}"));
}

static void put_thinking(plan *p)
{
    json_out *o = &p->o;
    int claude = p->t.reasoning == REASONING_BUDGET || p->t.reasoning == REASONING_ADAPTIVE;
    if (claude && !p->think) {
        /* Off is what there is without a word, but from 5 on */
        int said = p->thinking.wanted == 0 && (p->thinking_said || p->t.version >= 500);
        if (said && extra_key(p, SPAN("thinking")))
            jo_put(o, SPAN("{\"type\":\"disabled\"}"));
        return;
    }
    if (!p->think)
        return;
    if (claude) {
        if (extra_key(p, SPAN("thinking")))
            put_claude_thinking(p);
        if (p->adaptive && p->effort.len && extra_key(p, SPAN("output_config"))) {
            jo_open(o, SPAN("{"));
            jo_key_string(o, SPAN("effort"), p->effort);
            jo_close(o, SPAN("}"));
        }
    } else if (p->t.reasoning == REASONING_NOVA && extra_key(p, SPAN("reasoningConfig"))) {
        jo_open(o, SPAN("{"));
        jo_key_string(o, SPAN("type"), SPAN("enabled"));
        jo_key_string(o, SPAN("maxReasoningEffort"), p->effort);
        jo_close(o, SPAN("}"));
    } else if (p->t.reasoning == REASONING_EFFORT && extra_key(p, SPAN("reasoning_effort"))) {
        jo_string(o, p->effort);
    } else if (p->t.reasoning == REASONING_CONFIG && extra_key(p, SPAN("reasoning_config"))) {
        jo_string(o, p->effort);
    }
}

static void put_top_k(plan *p)
{
    json_out *o = &p->o;
    uint32_t t = chat_take(&p->r, SPAN("top_k"));
    if (!t)
        return;
    if (p->t.family == FAMILY_CLAUDE && (p->think || p->t.version >= 407)) {
        drop(p, SPAN("top_k"), SPAN("this model does not take it, or not while it thinks"));
    } else if (p->t.family == FAMILY_NOVA) {
        if (extra_key(p, SPAN("inferenceConfig"))) {
            jo_open(o, SPAN("{"));
            jo_key_token(o, SPAN("topK"), p->r.d, t);
            jo_close(o, SPAN("}"));
        }
    } else if (p->t.family == FAMILY_LLAMA || p->t.family == FAMILY_OPENAI) {
        drop(p, SPAN("top_k"), SPAN("this model does not take it"));
    } else if (extra_key(p, p->t.family == FAMILY_COHERE ? SPAN("k") : SPAN("top_k"))) {
        jo_token(o, p->r.d, t);
    }
}

/* Claude alone can be told not to call several at a time, in its own words. */
static void put_parallel(plan *p)
{
    json_out *o = &p->o;
    uint32_t t = chat_take(&p->r, SPAN("parallel_tool_calls"));
    const chat_choice *k = &p->choice;
    if (span_kind(p->r.d, t) != TP_BOOL || span_true(p->r.d, t))
        return;
    if (!span_find(p->r.h, p->r.d, 0, SPAN("tools")) || k->kind == CHAT_CHOICE_NONE)
        return; /* nothing to call */
    if (p->t.family != FAMILY_CLAUDE) {
        drop(p, SPAN("parallel_tool_calls"), SPAN("this model cannot be told"));
        return;
    }
    if (!extra_key(p, SPAN("tool_choice")))
        return;
    int must = !p->think && (k->kind == CHAT_CHOICE_REQUIRED || p->reply->json_len ||
                             (k->kind == CHAT_CHOICE_ALLOWED && k->required));
    int named = !p->think && k->kind == CHAT_CHOICE_NAMED;
    jo_open(o, SPAN("{"));
    jo_key_string(o, SPAN("type"), named ? SPAN("tool") : must ? SPAN("any") : SPAN("auto"));
    if (named)
        jo_key_string(o, SPAN("name"), k->name);
    jo_key_bool(o, SPAN("disable_parallel_tool_use"), 1);
    jo_close(o, SPAN("}"));
}

/* Claude's own tools ("bash_20250124", ...), which toolConfig has no place for. */
static void put_own_tools(plan *p)
{
    chat_tool tool;
    chat_tools it = {.tools = span_find(p->r.h, p->r.d, 0, SPAN("tools"))};
    int any = 0;
    if (p->t.family != FAMILY_CLAUDE || span_kind(p->r.d, it.tools) != TP_ARRAY ||
        p->choice.kind == CHAT_CHOICE_NONE)
        return;
    for (it.next = it.tools + 1; plan_ok(p) && chat_next_tool(&p->r, &it, &tool);) {
        if (tool.is_function || !tool.type.len || span_is(tool.type, "custom") ||
            span_find(p->r.h, p->r.d, tool.at, SPAN("systemTool")) ||
            span_find(p->r.h, p->r.d, tool.at, SPAN("toolSpec")) ||
            span_find(p->r.h, p->r.d, tool.at, SPAN("cachePoint")))
            continue;
        if (!any && !extra_key(p, SPAN("tools")))
            return;
        if (!any++)
            jo_open(&p->o, SPAN("["));
        jo_comma(&p->o);
        jo_token(&p->o, p->r.d, tool.at);
    }
    if (any)
        jo_close(&p->o, SPAN("]"));
}

static void put_named(plan *p, tp_str name)
{
    uint32_t t = chat_take(&p->r, name);
    if (t && extra_key(p, name))
        jo_token(&p->o, p->r.d, t);
}

/* Parameters that go to the model under their own names: some that are known, and those that the
 * deployment's option names. */
static void put_passed(plan *p)
{
    static const tp_str known[] = {SPAN_INIT("anthropic_beta"), SPAN_INIT("context_management"),
                                   SPAN_INIT("reasoningConfig"), SPAN_INIT("reasoning_config")};
    const tp_doc *o = &p->r.target->options;
    for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++)
        put_named(p, known[i]);
    if (!(p->think && p->adaptive && p->effort.len))
        put_named(p, SPAN("output_config"));
    if (p->t.family == FAMILY_NOVA && !p->r.h->find(p->r.d, 0, SPAN("top_k")))
        put_named(p, SPAN("inferenceConfig"));
    if (!o->count || o->tokens[0].kind != TP_OBJECT)
        return;
    uint32_t list = p->r.h->find(o, 0, SPAN("additional_fields"));
    for (uint32_t t = list + 1; span_kind(o, list) == TP_ARRAY && t < o->tokens[list].next;
         t = o->tokens[t].next)
        if (span_kind(o, t) == TP_STRING)
            put_named(p, span_text(p->r.h, p->r.c, o, t));
}

void bedrock_extras(plan *p)
{
    const tp_doc *o = &p->r.target->options;
    uint32_t client = chat_take(&p->r, SPAN("additionalModelRequestFields"));
    p->client_extra = span_kind(p->r.d, client) == TP_OBJECT ? client : 0;
    if (o->count && o->tokens[0].kind == TP_OBJECT) {
        uint32_t t = p->r.h->find(o, 0, SPAN("additionalModelRequestFields"));
        p->deployment_extra = span_kind(o, t) == TP_OBJECT ? t : 0;
    }
    if (p->client_extra)
        copy_extra(p, p->r.d, p->client_extra, 1);
    if (p->deployment_extra)
        copy_extra(p, o, p->deployment_extra, 0);
    put_thinking(p);
    put_top_k(p);
    put_parallel(p);
    put_own_tools(p);
    put_passed(p);
    if (p->extra_open)
        jo_close(&p->o, SPAN("}"));
}
