/* What an id tells of a model. Converse is one API for all, but how a model is asked to think and
 * what it refuses differs. An ARN that names no model leaves it to the options. */
#include "bedrock_int.h"

tp_str bedrock_option(const tp_host *h, tp_call *c, const tp_target *target, tp_str name)
{
    const tp_doc *o = &target->options;
    if (!o->count || o->tokens[0].kind != TP_OBJECT)
        return SPAN_NONE;
    return span_member(h, c, o, 0, name);
}

static int flag(const tp_host *h, const tp_target *target, tp_str name, int other)
{
    const tp_doc *o = &target->options;
    if (!o->count || o->tokens[0].kind != TP_OBJECT)
        return other;
    uint32_t t = h->find(o, 0, name);
    return span_kind(o, t) == TP_BOOL ? span_true(o, t) : other;
}

static int32_t family_of(tp_str id)
{
    static const struct {
        tp_str word;
        int32_t family;
    } table[] = {
        {SPAN_INIT("claude"), FAMILY_CLAUDE},    {SPAN_INIT("anthropic."), FAMILY_CLAUDE},
        {SPAN_INIT("amazon.nova"), FAMILY_NOVA}, {SPAN_INIT("openai."), FAMILY_OPENAI},
        {SPAN_INIT("gpt-oss"), FAMILY_OPENAI},   {SPAN_INIT("qwen"), FAMILY_QWEN},
        {SPAN_INIT("mistral."), FAMILY_MISTRAL}, {SPAN_INIT("meta."), FAMILY_LLAMA},
        {SPAN_INIT("llama"), FAMILY_LLAMA},      {SPAN_INIT("cohere."), FAMILY_COHERE},
    };
    for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++)
        if (fault_contains(id, table[i].word))
            return table[i].family;
    return FAMILY_OTHER;
}

static int32_t family_named(tp_str word)
{
    static const tp_str words[] = {SPAN_INIT("other"),  SPAN_INIT("claude"), SPAN_INIT("nova"),
                                   SPAN_INIT("openai"), SPAN_INIT("qwen"),   SPAN_INIT("mistral"),
                                   SPAN_INIT("llama"),  SPAN_INIT("cohere")};
    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
        if (span_eq(words[i], word))
            return (int32_t)i;
    return -1;
}

/* The first number of one or two digits between dashes and dots, and the one right after it:
 * claude-3-7-sonnet-20250219 is 307, claude-opus-4-20250514 is 400, nova-2-lite-v1:0 is 200. */
static int32_t version_of(tp_str id, tp_str name)
{
    int32_t version = 0;
    while (id.len && !span_istarts(id, name))
        id.ptr++, id.len--;
    for (size_t i = 0; i < id.len;) {
        size_t n = i;
        int64_t v;
        while (n < id.len && id.ptr[n] != '-' && id.ptr[n] != '.')
            n++;
        int small = n - i <= 2 && span_to_int((tp_str){id.ptr + i, n - i}, &v) && v >= 0;
        if (version)
            return small ? version + (int32_t)v : version;
        if (small)
            version = (int32_t)v * 100;
        i = n + 1;
    }
    return version;
}

static int32_t reasoning_of(const traits *t)
{
    switch (t->family) {
    case FAMILY_CLAUDE: /* before 3.7 none thinks; from 4.6 on the model itself decides how much */
        return t->version >= 406                  ? REASONING_ADAPTIVE
               : t->version >= 307 || !t->version ? REASONING_BUDGET
                                                  : REASONING_NONE;
    case FAMILY_NOVA:
        return t->version >= 200 ? REASONING_NOVA : REASONING_NONE;
    case FAMILY_OPENAI:
        return REASONING_EFFORT;
    case FAMILY_QWEN:
        return REASONING_CONFIG;
    default:
        return REASONING_NONE;
    }
}

static int32_t reasoning_named(tp_str word)
{
    static const tp_str words[] = {SPAN_INIT("none"), SPAN_INIT("budget"), SPAN_INIT("adaptive"),
                                   SPAN_INIT("nova"), SPAN_INIT("effort"), SPAN_INIT("config")};
    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
        if (span_eq(words[i], word))
            return (int32_t)i;
    return -1;
}

/* Structured output is for Claude from 4.5 on and for the open models; the others are made to call
 * a tool. */
static int32_t structured_of(const traits *t)
{
    switch (t->family) {
    case FAMILY_CLAUDE:
        return t->version >= 405 ? STRUCTURED_NATIVE : STRUCTURED_TOOL;
    case FAMILY_NOVA:
    case FAMILY_LLAMA:
    case FAMILY_COHERE:
        return STRUCTURED_TOOL;
    default:
        return STRUCTURED_NATIVE;
    }
}

traits bedrock_traits(const tp_instance *in, const tp_host *h, tp_call *c, const tp_target *target)
{
    traits t = {0};
    tp_str family = bedrock_option(h, c, target, SPAN("family"));
    tp_str reasoning = bedrock_option(h, c, target, SPAN("reasoning"));
    tp_str structured = bedrock_option(h, c, target, SPAN("structured_output"));
    int32_t said = family_named(family.len ? family : in->family);
    t.family = said >= 0 ? said : family_of(target->model);
    if (t.family == FAMILY_CLAUDE)
        t.version = version_of(target->model, SPAN("claude-"));
    else if (t.family == FAMILY_NOVA)
        t.version = version_of(target->model, SPAN("nova-"));
    said = reasoning_named(reasoning.len ? reasoning : in->reasoning);
    t.reasoning = said >= 0 ? said : reasoning_of(&t);
    if (!structured.len)
        structured = in->structured_output;
    t.structured_said = structured.len > 0;
    t.structured = span_is(structured, "native") ? STRUCTURED_NATIVE
                   : span_is(structured, "tool") ? STRUCTURED_TOOL
                                                 : structured_of(&t);
    int by_model = t.family == FAMILY_CLAUDE || t.family == FAMILY_NOVA ||
                   (t.family == FAMILY_OTHER && span_istarts(target->model, SPAN("arn:")));
    t.cache = flag(h, target, SPAN("prompt_caching"), in->cache >= 0 ? in->cache : by_model);
    t.unsigned_thoughts = t.family != FAMILY_CLAUDE &&
                          flag(h, target, SPAN("unsigned_thoughts"), in->unsigned_thoughts);
    return t;
}
