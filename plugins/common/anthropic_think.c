/* Thinking, the limit of tokens that it shares with the answer, and what it rules out. */
#include "anthropic_int.h"

enum { LEAST_BUDGET = 1024, DEFAULT_MAX_TOKENS = 4096 };

static int is_word(tp_str s, const char *words)
{
    const char *at = words;
    while (at && *at) {
        const char *end = strchr(at, ' ');
        size_t n = end ? (size_t)(end - at) : strlen(at);
        if (n == s.len && memcmp(at, s.ptr, n) == 0)
            return 1;
        at = end ? end + 1 : NULL;
    }
    return 0;
}

/* The model's word for an effort. */
static tp_str effort_of(body *b, tp_str said)
{
    if (span_is(said, "minimal"))
        return SPAN("low");
    if (span_is(said, "xhigh") && !b->model.xhigh) {
        chat_note(&b->r, TP_CHANGED, SPAN("this model knows no higher effort than high"), "%s",
                  b->think_place);
        return SPAN("high");
    }
    if (span_is(said, "max") && !b->model.max)
        return SPAN("high");
    return said;
}

static tp_str effort_of_budget(int64_t budget)
{
    return budget <= 2048 ? SPAN("low") : budget <= 8192 ? SPAN("medium") : SPAN("high");
}

static void plan_adaptive(body *b, const chat_thinking *k)
{
    tp_str said = k->effort;
    b->thinking = THINK_ADAPTIVE;
    if (!said.len && k->budget >= 0) {
        said = effort_of_budget(k->budget);
        chat_note(&b->r, TP_CHANGED, SPAN("this model takes an effort in place of a budget"), "%s",
                  b->thinking_at ? "thinking.budget_tokens" : b->think_place);
    }
    b->effort = said.len ? effort_of(b, said) : SPAN_NONE;
    tp_str display = b->thinking_at ? span_member(b->r.h, b->r.c, b->r.d, b->thinking_at,
                                                  SPAN("display")) : SPAN_NONE;
    if (k->hidden)
        b->display = SPAN("omitted");
    else if (display.len)
        b->display = display;
    else if (b->model.omits && !k->adaptive) /* who speaks this API's own words gets what they say */
        b->display = SPAN("summarized");
}

static int64_t spare_tokens(const body *b)
{
    return b->own.default_max_tokens ? b->own.default_max_tokens : DEFAULT_MAX_TOKENS;
}

/* The budget lies within max_tokens. Where the client says max_tokens, the budget gives way, so that
 * no request costs more than was said; where nothing was said, both have room. */
static void plan_budget(body *b, const chat_thinking *k)
{
    int64_t most = b->r.target->max_output_tokens;
    int64_t spare = spare_tokens(b);
    int said = k->budget >= 0;
    int64_t budget = said ? k->budget
                          : chat_budget_of(k->effort.len ? k->effort : SPAN("medium"), 0);
    int64_t before = budget;
    if (budget < LEAST_BUDGET)
        budget = LEAST_BUDGET;
    if (b->max_tokens < 0) {
        b->max_tokens = most > 0 ? most : budget + spare;
        if (most > 0 && budget >= most)
            budget = most - most / 4;
    } else if (budget >= b->max_tokens) {
        budget = b->max_tokens - b->max_tokens / 4;
    }
    if (budget < LEAST_BUDGET)
        budget = LEAST_BUDGET;
    if (budget >= b->max_tokens) {
        chat_note(&b->r, TP_DROPPED, SPAN("max_tokens leaves no room for the 1,024 tokens that a "
                                          "thought has at least"), "%s", b->think_place);
        return;
    }
    if (said && budget != before)
        chat_note(&b->r, TP_CHANGED, SPAN("a budget has at least 1,024 tokens and is below "
                                          "max_tokens"), "%s.budget_tokens", b->think_place);
    b->thinking = THINK_BUDGET;
    b->budget = budget;
    b->reply->hidden = k->hidden != 0;
    if (b->thinking_at) {
        tp_str display = span_member(b->r.h, b->r.c, b->r.d, b->thinking_at, SPAN("display"));
        if (display.len)
            b->display = display;
    }
}

static void plan_off(body *b, int explicit)
{
    if (b->model.always_on)
        chat_note(&b->r, TP_DROPPED, SPAN("this model always thinks"), "%s", b->think_place);
    else if (b->model.on_by_default || (explicit && (b->model.budget || b->model.adaptive)))
        b->thinking = THINK_OFF;
}

static void plan_thinking(body *b)
{
    chat_request *r = &b->r;
    uint32_t reasoning = chat_take(r, SPAN("reasoning"));
    uint32_t effort = chat_take(r, SPAN("reasoning_effort"));
    b->thinking_at = chat_take(r, SPAN("thinking"));
    if (span_kind(r->d, b->thinking_at) != TP_OBJECT)
        b->thinking_at = 0;
    b->think_place = b->thinking_at ? "thinking" : effort ? "reasoning_effort" : "reasoning";
    (void)reasoning;
    chat_thinking k = chat_take_thinking(r);
    static const char words[] = "none minimal low medium high xhigh max";
    if (k.effort.len && !is_word(k.effort, words)) {
        chat_refuse(r, TP_E_INPUT, SPAN("expected \"none\", \"minimal\", \"low\", \"medium\", "
                                        "\"high\", \"xhigh\" or \"max\""), "%s", b->think_place);
        return;
    }
    if (k.wanted == 0) {
        plan_off(b, b->thinking_at != 0);
    } else if (k.wanted == 1) {
        if (!b->model.budget && !b->model.adaptive)
            chat_note(r, TP_DROPPED, SPAN("this model does not think"), "%s", b->think_place);
        else if (b->model.adaptive && !(b->model.budget && k.budget >= 0 && !k.adaptive))
            plan_adaptive(b, &k);
        else
            plan_budget(b, &k);
    }
}

static int forced(const body *b)
{
    return b->any_tool && (b->choice.kind == CHAT_CHOICE_REQUIRED ||
                           b->choice.kind == CHAT_CHOICE_NAMED ||
                           (b->choice.kind == CHAT_CHOICE_ALLOWED && b->choice.required));
}

/* Thinking and a forced call exclude each other, as do thinking and a message to be gone on with.
 * What was asked for wins over what the model does by itself. */
static void settle_conflicts(body *b)
{
    chat_request *r = &b->r;
    anthropic_turns turns = anthropic_look(b);
    if (b->thinking == THINK_BUDGET && turns.unproved_calls) {
        chat_note(r, TP_CHANGED, SPAN("switched off: the turn whose results are sent has no signed "
                                      "thought"), "%s", b->think_place);
        b->thinking = THINK_SILENT;
    }
    if (turns.ends_with_assistant && !b->model.prefill)
        chat_refuse(r, TP_E_UNSUPPORTED, SPAN("this model does not go on with a last message of the "
                                              "assistant's; end with a user's"), "messages");
    if (turns.ends_with_assistant &&
        (b->thinking == THINK_BUDGET || b->thinking == THINK_ADAPTIVE)) {
        chat_note(r, TP_CHANGED, SPAN("switched off: a last message of the assistant's is gone on "
                                      "with as it stands"), "%s", b->think_place);
        b->thinking = THINK_SILENT;
    }
    if (!forced(b) && !b->json_tool)
        return;
    if (b->thinking == THINK_BUDGET || b->thinking == THINK_ADAPTIVE ||
        (b->thinking == THINK_SILENT && b->model.always_on))
        b->auto_choice = 1;
    else if (b->thinking == THINK_SILENT && b->model.on_by_default)
        b->thinking = THINK_OFF;
    if (b->auto_choice)
        chat_note(r, TP_CHANGED, SPAN("a call cannot be forced while the model thinks; it is left to "
                                      "the model"), "%s",
                  forced(b) ? "tool_choice" : "response_format");
}

static void plan_format(body *b)
{
    b->format = chat_take_format(&b->r);
    if (b->format.kind == CHAT_FORMAT_SCHEMA && !b->format.schema)
        b->format.kind = CHAT_FORMAT_JSON;
    if (b->format.kind == CHAT_FORMAT_JSON) {
        b->json_words = 1;
        chat_note(&b->r, TP_CHANGED, SPAN("asked for in words: the API has no mode for it"),
                  "response_format");
    } else if (b->format.kind == CHAT_FORMAT_SCHEMA) {
        b->native = b->model.native && (b->own.structured == ANTHROPIC_OUTPUT_NATIVE ||
                                        anthropic_schema_fits(b, b->format.schema));
        b->json_tool = !b->native;
        b->reply->json_tool = (uint8_t)b->json_tool;
    }
}

void anthropic_plan(body *b)
{
    b->max_tokens = chat_max_tokens(&b->r);
    b->output_config = chat_take(&b->r, SPAN("output_config"));
    if (span_kind(b->r.d, b->output_config) != TP_OBJECT)
        b->output_config = 0;
    b->choice = chat_take_choice(&b->r);
    chat_take_tools(&b->r);
    b->any_tool = anthropic_any_tool(b);
    plan_format(b);
    plan_thinking(b);
    settle_conflicts(b);
    if (b->max_tokens < 0 && b->r.target->max_output_tokens > 0) {
        b->max_tokens = b->r.target->max_output_tokens;
    } else if (b->max_tokens < 0) {
        b->max_tokens = spare_tokens(b);
        if (b->thinking == THINK_ADAPTIVE) /* room for the thought, beside the answer's */
            b->max_tokens += chat_budget_of(b->effort.len ? b->effort : SPAN("high"), 0);
    }
}

static void put_format(body *b)
{
    jo_key(&b->o, SPAN("format"));
    jo_open(&b->o, SPAN("{"));
    jo_key_string(&b->o, SPAN("type"), SPAN("json_schema"));
    jo_key(&b->o, SPAN("schema"));
    if (anthropic_put_schema(b, b->format.schema))
        chat_note(&b->r, TP_CHANGED, SPAN("rewritten within the subset that structured output takes; "
                                          "what left is said in descriptions"),
                  "response_format.json_schema.schema");
    jo_close(&b->o, SPAN("}"));
}

/* The client's own output_config, with what stands elsewhere in OpenAI's format. */
static void put_output_config(body *b)
{
    const tp_doc *d = b->r.d;
    if (!b->output_config && !b->effort.len && !b->native)
        return;
    anthropic_key(b, SPAN("output_config"));
    jo_open(&b->o, SPAN("{"));
    if (b->output_config) {
        for (members m = members_of(d, b->output_config); members_next(&m);) {
            tp_str key = span_inner(d, m.key);
            if (!span_given(d, m.value) || (span_is(key, "format") && b->native) ||
                (span_is(key, "effort") && b->effort.len))
                continue;
            if (span_is(key, "task_budget"))
                anthropic_beta(b, SPAN("task-budgets-2026-03-13"));
            jo_key_token(&b->o, key, d, m.value);
        }
    }
    if (b->effort.len)
        jo_key_string(&b->o, SPAN("effort"), b->effort);
    if (b->native)
        put_format(b);
    jo_close(&b->o, SPAN("}"));
}

void anthropic_put_thinking(body *b)
{
    static const tp_str types[] = {[THINK_OFF] = SPAN_INIT("disabled"),
                                   [THINK_BUDGET] = SPAN_INIT("enabled"),
                                   [THINK_ADAPTIVE] = SPAN_INIT("adaptive")};
    if (b->thinking != THINK_SILENT) {
        anthropic_key(b, SPAN("thinking"));
        jo_open(&b->o, SPAN("{"));
        jo_key_string(&b->o, SPAN("type"), types[b->thinking]);
        if (b->thinking == THINK_BUDGET)
            jo_key_int(&b->o, SPAN("budget_tokens"), b->budget);
        if (b->thinking != THINK_OFF && b->display.len)
            jo_key_string(&b->o, SPAN("display"), b->display);
        jo_close(&b->o, SPAN("}"));
    }
    if (b->thinking != THINK_ADAPTIVE && b->effort.len)
        b->effort = SPAN_NONE; /* thinking was switched off after all */
    put_output_config(b);
}
