/* The body: the client's own bytes, but for what Mistral calls otherwise, wants otherwise or
 * refuses. A parameter that it does not know is refused by it as a whole request, so it is left out
 * and reported here. */
#include <stdlib.h>
#include "mistral_int.h"

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

static const tp_str chat_takes[] = {
    SPAN_INIT("temperature"),
    SPAN_INIT("top_p"),
    SPAN_INIT("stream"),
    SPAN_INIT("stop"),
    SPAN_INIT("random_seed"),
    SPAN_INIT("metadata"),
    SPAN_INIT("presence_penalty"),
    SPAN_INIT("frequency_penalty"),
    SPAN_INIT("n"),
    SPAN_INIT("parallel_tool_calls"),
    SPAN_INIT("prompt_mode"),
    SPAN_INIT("guardrails"),
    SPAN_INIT("prompt_cache_key"),
    SPAN_INIT("safe_prompt"),
    SPAN_INIT("min_tokens"),
    SPAN_INIT("response_format"),
    SPAN_INIT("prediction"),
};
static const tp_str fim_takes[] = {
    SPAN_INIT("suffix"), SPAN_INIT("temperature"), SPAN_INIT("top_p"),    SPAN_INIT("stream"),
    SPAN_INIT("stop"),   SPAN_INIT("random_seed"), SPAN_INIT("metadata"), SPAN_INIT("min_tokens"),
};

static int is_one_of(const tp_str *names, size_t count, tp_str key)
{
    for (size_t i = 0; i < count; i++)
        if (span_eq(names[i], key))
            return 1;
    return 0;
}

static int given(const mistral_body *b, tp_str name)
{
    return span_given(b->r.d, b->r.h->find(b->r.d, 0, name));
}

static int is_dropped(const mistral_body *b, tp_str key)
{
    if (!b->extra_drop)
        return 0;
    for (uint32_t t = b->extra_drop + 1; t < b->extra->tokens[b->extra_drop].next;
         t = b->extra->tokens[t].next)
        if (span_kind(b->extra, t) == TP_STRING && span_eq(span_inner(b->extra, t), key))
            return 1;
    return 0;
}

static void cut(mistral_body *b, members *m)
{
    splice_cut(&b->s, m);
}

static void drop(mistral_body *b, members *m, tp_str key, tp_str why)
{
    chat_note(&b->r, TP_DROPPED, why, "%.*s", (int)(key.len > 64 ? 64 : key.len), key.ptr);
    cut(b, m);
}

static void rename_key(mistral_body *b, const members *m, tp_str to)
{
    splice_skip(&b->s, b->r.d->tokens[m->key].at, span_end(b->r.d, m->key));
    splice_quote(&b->s, to);
}

/* ---- Parameters. */
static void limit(mistral_body *b, members *m, tp_str key)
{
    int older = span_is(key, "max_tokens");
    int64_t most = b->r.target->max_output_tokens;
    char digits[24];
    if (older && b->both_limits) {
        chat_note(&b->r, TP_CHANGED, SPAN("max_completion_tokens takes precedence"), "max_tokens");
        cut(b, m);
        return;
    }
    if (!older)
        rename_key(b, m, SPAN("max_tokens"));
    if (most > 0 && span_count(b->r.d, m->value) > most) {
        mistral_replace(b, m->value);
        splice_put(&b->s, span_of_int(most, digits));
        chat_note(&b->r, TP_CHANGED, SPAN("lowered to the model's limit"), "%s",
                  older ? "max_tokens" : "max_completion_tokens");
    }
}

static void seed(mistral_body *b, members *m)
{
    if (given(b, SPAN("random_seed"))) {
        chat_note(&b->r, TP_CHANGED, SPAN("random_seed takes precedence"), "seed");
        cut(b, m);
    } else if (span_raw(b->r.d, m->value).ptr[0] == '-') {
        drop(b, m, SPAN("seed"), SPAN("Mistral takes no seeds below 0"));
    } else {
        rename_key(b, m, SPAN("random_seed"));
    }
}

/* OpenAI's scale goes to 2. */
static void temperature(mistral_body *b, uint32_t t)
{
    char text[64];
    tp_str s = span_raw(b->r.d, t);
    if (span_kind(b->r.d, t) != TP_NUMBER || s.len >= sizeof(text))
        return;
    memcpy(text, s.ptr, s.len);
    text[s.len] = 0;
    if (strtod(text, NULL) <= 1.5)
        return;
    mistral_replace(b, t);
    splice_put(&b->s, SPAN("1.5"));
    chat_note(&b->r, TP_CHANGED, SPAN("lowered to 1.5, the most that Mistral takes"),
              "temperature");
}

static void effort(mistral_body *b, members *m, tp_str key)
{
    if (b->effort_written || !b->effort.len) {
        cut(b, m);
        return;
    }
    b->effort_written = 1;
    if (span_is(key, "reasoning_effort") && span_kind(b->r.d, m->value) == TP_STRING &&
        span_eq(span_inner(b->r.d, m->value), b->effort))
        return;
    splice_skip(&b->s, b->r.d->tokens[m->key].at, span_end(b->r.d, m->value));
    splice_put(&b->s, SPAN("\"reasoning_effort\":"));
    splice_quote(&b->s, b->effort);
}

/* What can be said in only one way here, said that way, is no loss. */
static int says_nothing_new(const mistral_body *b, tp_str key, uint32_t t)
{
    tp_str word = span_kind(b->r.d, t) == TP_STRING ? span_inner(b->r.d, t) : SPAN_NONE;
    if (span_is(key, "store") || span_is(key, "logprobs") || span_is(key, "echo"))
        return span_kind(b->r.d, t) == TP_BOOL && !span_true(b->r.d, t);
    if (span_is(key, "service_tier"))
        return span_is(word, "auto") || span_is(word, "default");
    if (span_is(key, "modalities"))
        return span_kind(b->r.d, t) == TP_ARRAY && span_filled(b->r.d, t) &&
               b->r.d->tokens[t].next == t + 2 && span_is(span_inner(b->r.d, t + 1), "text");
    if (span_is(key, "logit_bias"))
        return span_kind(b->r.d, t) == TP_OBJECT && !span_filled(b->r.d, t);
    return 0;
}

static int is_sound_asked(const mistral_body *b, tp_str key, uint32_t t)
{
    if (!span_is(key, "modalities") || span_kind(b->r.d, t) != TP_ARRAY)
        return 0;
    for (uint32_t x = t + 1; x < b->r.d->tokens[t].next; x = b->r.d->tokens[x].next)
        if (span_kind(b->r.d, x) == TP_STRING && !span_is(span_inner(b->r.d, x), "text"))
            return 1;
    return 0;
}

static void other(mistral_body *b, members *m, tp_str key, const tp_str *takes, size_t count)
{
    if (is_one_of(takes, count, key) || mistral_has_word(&b->in->pass, key)) {
        if (span_is(key, "temperature"))
            temperature(b, m->value);
        else if (span_is(key, "response_format"))
            mistral_write_format(b, m->value);
        else if (span_is(key, "prediction"))
            mistral_write_prediction(b, m->value);
    } else if (says_nothing_new(b, key, m->value)) {
        cut(b, m);
    } else if (is_sound_asked(b, key, m->value)) {
        chat_refuse(&b->r, TP_E_UNSUPPORTED, SPAN("Mistral's chat answers in text only"),
                    "modalities");
    } else {
        drop(b, m, key, SPAN("Mistral does not take it"));
    }
}

/* What both operations have. 1: done. */
static int common(mistral_body *b, members *m, tp_str key)
{
    if (span_is(key, "model")) {
        mistral_replace(b, m->value);
        splice_quote(&b->s, b->r.target->model);
    } else if (is_dropped(b, key)) {
        if (span_given(b->r.d, m->value))
            drop(b, m, key, SPAN("this deployment does not take it"));
        else
            cut(b, m);
    } else if (!span_given(b->r.d, m->value) && !span_is(key, "prompt_mode")) {
        cut(b, m); /* few parameters may be null; prompt_mode means something by it */
    } else if (span_is(key, "stream_options")) {
        cut(b, m); /* usage is always streamed, and shown as the client asked */
    } else if (span_is(key, "max_tokens") || span_is(key, "max_completion_tokens")) {
        limit(b, m, key);
    } else if (span_is(key, "seed")) {
        seed(b, m);
    } else {
        return 0;
    }
    return 1;
}

static void chat_member(mistral_body *b, members *m, tp_str key)
{
    if (common(b, m, key))
        return;
    if (span_is(key, "messages"))
        mistral_write_messages(b, m->value);
    else if (span_is(key, "tools") || span_is(key, "functions"))
        mistral_write_tools(b, m);
    else if (span_is(key, "tool_choice") || span_is(key, "function_call"))
        mistral_write_choice(b, m);
    else if (span_is(key, "reasoning_effort") || span_is(key, "thinking") ||
             span_is(key, "reasoning") || span_is(key, "include_reasoning"))
        effort(b, m, key);
    else
        other(b, m, key, chat_takes, COUNT(chat_takes));
}

/* The old completions take several prompts, and prompts of tokens. */
static void prompt(mistral_body *b, uint32_t t)
{
    const tp_doc *d = b->r.d;
    if (span_kind(d, t) == TP_STRING)
        return;
    if (span_kind(d, t) != TP_ARRAY || !span_filled(d, t) || span_kind(d, t + 1) != TP_STRING ||
        d->tokens[t].next != t + 2) {
        chat_refuse(&b->r, TP_E_UNSUPPORTED, SPAN("Mistral takes one prompt, as text"), "prompt");
        return;
    }
    mistral_replace(b, t);
    splice_put(&b->s, span_raw(d, t + 1));
}

static void fim_member(mistral_body *b, members *m, tp_str key)
{
    int64_t n;
    if (common(b, m, key))
        return;
    if (span_is(key, "prompt"))
        prompt(b, m->value);
    else if ((span_is(key, "n") || span_is(key, "best_of")) && span_int(b->r.d, m->value, &n) &&
             n == 1)
        cut(b, m);
    else
        other(b, m, key, fim_takes, COUNT(fim_takes));
}

/* ---- The deployment's own parameters, where the request does not say them. */
static int says(const mistral_body *b, tp_str key)
{
    return given(b, key) || (span_is(key, "prompt_mode") && b->r.h->find(b->r.d, 0, key)) ||
           (span_is(key, "max_tokens") && given(b, SPAN("max_completion_tokens"))) ||
           (span_is(key, "random_seed") && given(b, SPAN("seed"))) ||
           (span_is(key, "reasoning_effort") && b->effort_written);
}

static void add_defaults(mistral_body *b, uint32_t at, int any, int fim)
{
    const tp_doc *d = b->extra;
    for (members m = members_of(d, 0); members_next(&m);) {
        tp_str key = span_text(b->r.h, b->r.c, d, m.key);
        if (span_is(key, "reasoning_efforts") || span_is(key, "drop") || says(b, key))
            continue;
        if (fim && !span_is(key, "max_tokens") && !is_one_of(fim_takes, COUNT(fim_takes), key))
            continue; /* of a deployment that serves chat too */
        splice_skip(&b->s, at, at);
        splice_put(&b->s, any ? SPAN(",") : SPAN_NONE);
        splice_put(&b->s, span_raw(d, m.key));
        splice_put(&b->s, SPAN(":"));
        splice_put(&b->s, span_raw(d, m.value));
        any = 1;
    }
}

static tp_status begin(mistral_body *b, const tp_instance *in, tp_call *c, const tp_operation *op,
                       const tp_target *target)
{
    *b = (mistral_body){.in = in, .o = {.h = in->host, .c = c},
                        .s = {.host = in->host, .call = c, .text = op->body.text}};
    tp_status st = chat_begin(&b->r, in->host, c, op, target);
    if (st == TP_OK && target->options.count && target->options.tokens[0].kind == TP_OBJECT) {
        b->extra = &target->options;
        uint32_t t = in->host->find(b->extra, 0, SPAN("drop"));
        b->extra_drop = span_kind(b->extra, t) == TP_ARRAY ? t : 0;
    }
    if (st == TP_OK)
        b->both_limits = given(b, SPAN("max_tokens")) && given(b, SPAN("max_completion_tokens"));
    return st;
}

typedef void member_fn(mistral_body *b, members *m, tp_str key);
static tp_status write_all(mistral_body *b, member_fn *one)
{
    members m = members_of(b->r.d, 0);
    while (mistral_ok(b) && members_next(&m))
        one(b, &m, span_text(b->r.h, b->r.c, b->r.d, m.key));
    if (b->extra && mistral_ok(b))
        add_defaults(b, m.value ? span_end(b->r.d, m.value) : m.before, m.kept > 0,
                     one == fim_member);
    tp_status st = splice_end(&b->s);
    return b->r.st != TP_OK ? b->r.st : b->o.st != TP_OK ? b->o.st : st;
}

tp_status mistral_write_chat(const tp_instance *in, tp_call *c, const tp_operation *op,
                             const tp_target *target)
{
    mistral_body b;
    tp_status st = begin(&b, in, c, op, target);
    if (st == TP_OK)
        st = mistral_map_ids(&b);
    if (st != TP_OK)
        return st;
    b.thinking = chat_take_thinking(&b.r);
    b.choice = chat_take_choice(&b.r);
    mistral_choose_effort(&b);
    return write_all(&b, chat_member);
}

tp_status mistral_write_fim(const tp_instance *in, tp_call *c, const tp_operation *op,
                            const tp_target *target)
{
    mistral_body b;
    tp_status st = begin(&b, in, c, op, target);
    return st == TP_OK ? write_all(&b, fim_member) : st;
}
