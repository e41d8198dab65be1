/* The parameters of a chat request. Each is checked where it stands; what is not known passes. */
#include <stdio.h>
#include "parse_int.h"

enum { P_NONE, P_MODEL, P_MESSAGES, P_TEMPERATURE, P_TOP_P, P_N, P_MAX_TOKENS, P_MAX_COMPLETION,
       P_STOP, P_PENALTY, P_LOGIT_BIAS, P_SEED, P_TOOLS, P_TOOL_CHOICE, P_FORMAT, P_STREAM,
       P_STREAM_OPTIONS, P_USER, P_BOOL, P_TOP_LOGPROBS, P_EFFORT, P_MODALITIES, P_FUNCTIONS,
       P_SEARCH };

typedef struct request { /* what is known of the body before and while it is checked */
    uint32_t model, messages;
    int64_t n, max_tokens, max_completion;
} request;

static int parameter_of(tp_str k)
{
#define IS(lit, p) if (span_is(k, lit)) return p
    switch (k.len) {
    case 1: IS("n", P_N); break;
    case 4: IS("stop", P_STOP); IS("user", P_USER); IS("seed", P_SEED); break;
    case 5: IS("model", P_MODEL); IS("tools", P_TOOLS); IS("top_p", P_TOP_P); break;
    case 6: IS("stream", P_STREAM); break;
    case 7: IS("plugins", P_SEARCH); break;
    case 8: IS("messages", P_MESSAGES); IS("logprobs", P_BOOL); break;
    case 9: IS("functions", P_FUNCTIONS); break;
    case 10: IS("max_tokens", P_MAX_TOKENS); IS("logit_bias", P_LOGIT_BIAS);
             IS("modalities", P_MODALITIES); break;
    case 11: IS("temperature", P_TEMPERATURE); IS("tool_choice", P_TOOL_CHOICE); break;
    case 12: IS("top_logprobs", P_TOP_LOGPROBS); break;
    case 14: IS("stream_options", P_STREAM_OPTIONS); break;
    case 15: IS("response_format", P_FORMAT); break;
    case 16: IS("presence_penalty", P_PENALTY); IS("reasoning_effort", P_EFFORT); break;
    case 17: IS("frequency_penalty", P_PENALTY); IS("search_parameters", P_SEARCH); break;
    case 18: IS("web_search_options", P_SEARCH); break;
    case 19: IS("parallel_tool_calls", P_BOOL); break;
    case 21: IS("max_completion_tokens", P_MAX_COMPLETION); break;
    default: break;
    }
#undef IS
    return P_NONE;
}

static int check_stop(check *k, const place *at, uint32_t t)
{
    int64_t count = 0;
    if (span_kind(k->d, t) == TP_STRING)
        return 1;
    if (!chat_want(k, at, t, TP_ARRAY, "a string or an array of strings"))
        return 0;
    for (uint32_t e = t + 1; e < k->d->tokens[t].next; e = k->d->tokens[e].next, count++) {
        place here = element_of(at, (uint32_t)count);
        if (!chat_want(k, &here, e, TP_STRING, "a string"))
            return 0;
    }
    if (k->in->max_stop && count > k->in->max_stop) {
        char expected[64];
        snprintf(expected, sizeof(expected), "at most %lld stop sequences",
                 (long long)k->in->max_stop);
        return chat_refuse(k, at, t, expected);
    }
    return 1;
}

static int check_bias(check *k, const place *at, uint32_t t)
{
    if (!chat_want(k, at, t, TP_OBJECT, "an object of numbers by token id"))
        return 0;
    for (members m = members_of(k->d, t); members_next(&m);) {
        place here = member_of(at, span_inner(k->d, m.key));
        if (!chat_want_number(k, &here, m.value, -100, 100))
            return 0;
    }
    return 1;
}

/* Any integer of 64 bits, signed or not: it passes on in its own spelling. */
static int check_seed(check *k, const place *at, uint32_t t)
{
    static const char most[] = "18446744073709551615";
    int64_t v;
    if (span_kind(k->d, t) == TP_NUMBER) {
        tp_str s = span_raw(k->d, t);
        int digits = 1;
        for (size_t i = 0; i < s.len; i++)
            digits &= s.ptr[i] >= '0' && s.ptr[i] <= '9';
        if (span_to_int(s, &v) ||
            (digits && (s.len < 20 || (s.len == 20 && memcmp(s.ptr, most, 20) <= 0))))
            return 1;
    }
    return chat_refuse(k, at, t, "an integer of 64 bits");
}

static int check_stream_options(check *k, const place *at, uint32_t t)
{
    chat_state *s = k->c->state;
    if (!chat_want(k, at, t, TP_OBJECT, "an object such as {\"include_usage\": true}"))
        return 0;
    uint32_t flag = k->h->find(k->d, t, SPAN("include_usage"));
    place here = member_of(at, SPAN("include_usage"));
    if (span_given(k->d, flag) && !chat_want(k, &here, flag, TP_BOOL, "true or false"))
        return 0;
    s->show_usage = (uint8_t)span_true(k->d, flag);
    return 1;
}

static int check_modalities(check *k, const place *at, uint32_t t)
{
    uint32_t i = 0;
    if (!chat_want(k, at, t, TP_ARRAY, "an array of strings"))
        return 0;
    for (uint32_t e = t + 1; e < k->d->tokens[t].next; e = k->d->tokens[e].next, i++) {
        place here = element_of(at, i);
        if (!chat_want(k, &here, e, TP_STRING, "a string"))
            return 0;
        if (span_is(span_text(k->h, k->c, k->d, e), "audio"))
            k->op->needs |= TP_NEED_AUDIO;
    }
    return 1;
}

static int check_effort(check *k, const place *at, uint32_t t)
{
    if (!chat_want(k, at, t, TP_STRING, "a string such as \"low\", \"medium\" or \"high\""))
        return 0;
    if (!span_is(span_text(k->h, k->c, k->d, t), "none"))
        k->op->needs |= TP_NEED_REASONING;
    return 1;
}

static int check_stream(check *k, const place *at, uint32_t t)
{
    chat_state *s = k->c->state;
    if (!chat_want(k, at, t, TP_BOOL, "true or false"))
        return 0;
    if (span_true(k->d, t)) {
        s->stream = 1;
        k->op->flags |= TP_STREAM;
    }
    return 1;
}

static int check_user(check *k, const place *at, uint32_t t)
{
    if (!chat_want(k, at, t, TP_STRING, "a string"))
        return 0;
    k->op->user = span_text(k->h, k->c, k->d, t);
    return 1;
}

static int check_functions(check *k, const place *at, uint32_t t)
{
    if (!chat_want(k, at, t, TP_ARRAY, "an array of functions"))
        return 0;
    if (span_filled(k->d, t))
        k->op->needs |= TP_NEED_TOOLS;
    return chat_emit_raw(k, SPAN("tools"), t);
}

/* An optional parameter that is not null. */
static int check_one(check *k, request *q, int what, const place *at, uint32_t t)
{
    int64_t ignored;
    switch (what) {
    case P_TEMPERATURE: return chat_want_number(k, at, t, 0, 2);
    case P_TOP_P: return chat_want_number(k, at, t, 0, 1);
    case P_PENALTY: return chat_want_number(k, at, t, -2, 2);
    case P_N: return chat_want_int(k, at, t, 1, 128, &q->n);
    case P_MAX_TOKENS: return chat_want_int(k, at, t, 1, INT64_MAX, &q->max_tokens);
    case P_MAX_COMPLETION: return chat_want_int(k, at, t, 1, INT64_MAX, &q->max_completion);
    case P_TOP_LOGPROBS: return chat_want_int(k, at, t, 0, 20, &ignored);
    case P_STOP: return check_stop(k, at, t);
    case P_LOGIT_BIAS: return check_bias(k, at, t);
    case P_SEED: return check_seed(k, at, t);
    case P_TOOLS: return chat_check_tools(k, at, t);
    case P_TOOL_CHOICE: return chat_check_tool_choice(k, at, t);
    case P_FORMAT: return chat_check_format(k, at, t);
    case P_STREAM: return check_stream(k, at, t);
    case P_STREAM_OPTIONS: return check_stream_options(k, at, t);
    case P_USER: return check_user(k, at, t);
    case P_BOOL: return chat_want(k, at, t, TP_BOOL, "true or false");
    case P_EFFORT: return check_effort(k, at, t);
    case P_MODALITIES: return check_modalities(k, at, t);
    case P_FUNCTIONS: return check_functions(k, at, t);
    case P_SEARCH: /* what is found becomes part of the prompt; a list of no plugins finds nothing */
        k->open |= span_kind(k->d, t) != TP_ARRAY || span_filled(k->d, t);
        return 1;
    default: return 1;
    }
}

static int check_all(check *k, request *q)
{
    for (members m = members_of(k->d, 0); members_next(&m);) {
        tp_str key = span_inner(k->d, m.key);
        int what = parameter_of(key);
        if (what == P_NONE && span_has_escape(key)) {
            key = span_text(k->h, k->c, k->d, m.key);
            what = parameter_of(key);
        }
        if (what == P_MODEL) {
            q->model = m.value;
        } else if (what == P_MESSAGES) {
            q->messages = m.value;
        } else if (what != P_NONE && span_given(k->d, m.value)) {
            place here = member_of(NULL, key);
            if (!check_one(k, q, what, &here, m.value))
                return 0;
        }
    }
    place model = member_of(NULL, SPAN("model")), messages = member_of(NULL, SPAN("messages"));
    return chat_want_filled(k, &model, q->model) && chat_check_messages(k, &messages, q->messages);
}

/* The most that the reply may come to, over all choices; and that nobody can say so of the prompt. */
static tp_status emit_worst(check *k, const request *q)
{
    tp_event e = {.size = sizeof(e), .kind = TP_EV_USAGE, .number = -1};
    tp_status st = TP_OK;
    e.name = SPAN("prompt");
    if (k->open)
        st = k->h->emit(k->c, &e);
    if (st != TP_OK)
        return st;
    e.name = SPAN("completion");
    if (k->op->max_output_tokens >= 0)
        e.number = k->op->max_output_tokens <= INT64_MAX / q->n ? k->op->max_output_tokens * q->n
                                                                : INT64_MAX;
    return k->h->emit(k->c, &e);
}

tp_status chat_parse(const tp_instance *in, tp_call *c, const tp_request *req, tp_operation *op)
{
    check k = {.in = in, .h = in->host, .c = c, .d = &req->body, .op = op};
    request q = {.n = 1, .max_tokens = -1, .max_completion = -1};
    if (!req->body.count || req->body.tokens[0].kind != TP_OBJECT)
        return in->host->fail(c, TP_E_INPUT, SPAN_NONE,
                              req->body.count
                                  ? SPAN("The request body is not a JSON object; expected an "
                                         "object with 'model' and 'messages'.")
                                  : SPAN("The request body is not JSON; expected an object with "
                                         "'model' and 'messages', sent as application/json."));
    if (!check_all(&k, &q))
        return k.st != TP_OK ? k.st : TP_E_INTERNAL;
    op->format = SPAN("chat/openai");
    op->model = span_text(in->host, c, k.d, q.model);
    op->choices = (uint32_t)q.n;
    op->max_output_tokens = q.max_completion >= 0 ? q.max_completion : q.max_tokens;
    return emit_worst(&k, &q);
}
