/* Thinking: how much of it is asked for, and thoughts of earlier turns, which Claude takes back
 * with their proof alone. */
#include "bedrock_int.h"

enum { LEAST_BUDGET = 1024, ROOM = 4096 /* most that is kept back for the answer */ };
static const tp_str claude_format = SPAN_INIT("anthropic-claude-v1"),
                    own_format = SPAN_INIT("bedrock");

/* ---- What is asked for. */
static tp_str asked_by(plan *p)
{
    static const tp_str words[] = {SPAN_INIT("thinking"), SPAN_INIT("reasoning_effort")};
    for (size_t i = 0; i < 2; i++)
        if (span_given(p->r.d, p->r.h->find(p->r.d, 0, words[i])))
            return words[i];
    return SPAN("reasoning");
}

static void not_asked(plan *p, tp_str why)
{
    p->think = 0;
    chat_note(&p->r, TP_DROPPED, why, "%.*s", (int)p->thinking_word.len, p->thinking_word.ptr);
}

static void other_effort(plan *p, tp_str to)
{
    if (!span_eq(p->effort, to))
        chat_note(&p->r, TP_CHANGED, SPAN("the nearest that this model has"), "%.*s",
                  (int)p->thinking_word.len, p->thinking_word.ptr);
    p->effort = to;
}

/* A word for a count of tokens. */
static tp_str effort_of(int64_t budget)
{
    return budget < 0       ? SPAN("medium")
           : budget <= 2048 ? SPAN("low")
           : budget <= 8192 ? SPAN("medium")
                            : SPAN("high");
}

/* A turn in the middle of its calls, whose thought did not come back: Claude with a budget refuses
 * to think on. */
static int lost_thought(plan *p)
{
    chat_message m;
    int lost = 0;
    for (chat_messages it = chat_messages_of(&p->r); chat_next_message(&p->r, &it, &m);) {
        if (m.role == CHAT_USER)
            lost = 0;
        else if (m.role == CHAT_ASSISTANT)
            lost = (m.tool_calls || m.function_call) && !bedrock_has_proof(p, &m);
    }
    return lost;
}

/* The budget is within the limit of the answer, and leaves some of it. */
static void fit_budget(plan *p)
{
    int64_t most = p->r.target->max_output_tokens;
    int64_t budget = p->thinking.budget >= 0 ? p->thinking.budget : chat_budget_of(p->effort, most);
    int64_t asked = p->thinking.budget;
    if (budget < LEAST_BUDGET)
        budget = budget < 0 ? 8192 : LEAST_BUDGET;
    if (p->max_tokens >= 0) /* without it, it is the model's most */
        most = p->max_tokens;
    if (most > 0 && budget >= most)
        budget = most - (most / 4 > ROOM ? ROOM : most / 4);
    if (budget < LEAST_BUDGET || (most > 0 && budget >= most)) {
        not_asked(p, SPAN("max_tokens leaves no room for a thought, of 1,024 tokens at least"));
        return;
    }
    if (asked >= 0 && asked != budget)
        chat_note(&p->r, TP_CHANGED, SPAN("at least 1,024 and below max_tokens"), "%.*s",
                  (int)p->thinking_word.len, p->thinking_word.ptr);
    if (asked != budget)
        p->thinking_said = 0;
    p->budget = budget;
}

static void plan_claude(plan *p)
{
    int explicit_budget = p->thinking.budget > 0 && !p->thinking.adaptive;
    p->adaptive = p->t.reasoning == REASONING_ADAPTIVE &&
                  !(explicit_budget && p->t.version > 0 && p->t.version < 407);
    if (!p->adaptive) {
        if (p->thinking.adaptive)
            p->thinking_said = 0;
        if (lost_thought(p))
            not_asked(p, SPAN("the thought before the last calls is not here with its proof: send "
                              "reasoning_details back"));
        else
            fit_budget(p);
        return;
    }
    if (!p->thinking.adaptive)
        p->thinking_said = 0;
    if (explicit_budget)
        other_effort(p, effort_of(p->thinking.budget));
    else if (span_is(p->effort, "minimal"))
        other_effort(p, SPAN("low"));
    else if (span_is(p->effort, "xhigh") && p->t.version > 0 && p->t.version < 407)
        other_effort(p, SPAN("high"));
}

static void plan_words(plan *p, int three)
{
    if (!p->effort.len)
        p->effort = effort_of(p->thinking.budget);
    if (span_is(p->effort, "minimal"))
        other_effort(p, SPAN("low"));
    else if (!span_is(p->effort, "low") && !(three && span_is(p->effort, "medium")))
        other_effort(p, SPAN("high"));
}

void bedrock_reasoning(plan *p)
{
    p->thinking = chat_take_thinking(&p->r);
    p->thinking_word = asked_by(p);
    p->thinking_said =
        span_is(p->thinking_word, "thinking") ? p->r.h->find(p->r.d, 0, p->thinking_word) : 0;
    p->max_tokens = chat_max_tokens(&p->r);
    p->think = p->thinking.wanted > 0;
    p->effort = p->thinking.effort;
    p->reply->hidden = p->thinking.hidden != 0;
    int may_think = p->t.reasoning == REASONING_EFFORT ||
                    (p->t.family == FAMILY_OTHER && p->t.reasoning == REASONING_NONE);
    if (p->thinking.wanted == 0 && may_think)
        not_asked(p, SPAN("this model cannot be told not to think"));
    if (!p->think)
        return;
    switch (p->t.reasoning) {
    case REASONING_BUDGET:
    case REASONING_ADAPTIVE:
        plan_claude(p);
        break;
    case REASONING_NOVA:
    case REASONING_EFFORT:
        plan_words(p, 1);
        break;
    case REASONING_CONFIG:
        plan_words(p, 0);
        break;
    default:
        not_asked(p, SPAN("there is no way to ask this model to think"));
        break;
    }
}

/* ---- Thoughts that come back. */
static int is_ours(const plan *p, tp_str format)
{
    return !format.len || span_eq(format, own_format) ||
           (p->t.family == FAMILY_CLAUDE && span_eq(format, claude_format));
}

static void put_base64(plan *p, tp_str s)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    const unsigned char *in = (const unsigned char *)s.ptr;
    char *text = p->r.h->alloc(p->r.c, (s.len + 2) / 3 * 4 + 1), *to = text;
    if (!text) {
        p->o.st = TP_E_NOMEM;
        return;
    }
    for (size_t i = 0; i < s.len; i += 3) {
        size_t n = s.len - i < 3 ? s.len - i : 3;
        uint32_t v = (uint32_t)in[i] << 16 | (n > 1 ? (uint32_t)in[i + 1] << 8 : 0) |
                     (n > 2 ? in[i + 2] : 0);
        *to++ = digits[v >> 18];
        *to++ = digits[v >> 12 & 63];
        *to++ = n > 1 ? digits[v >> 6 & 63] : '=';
        *to++ = n > 2 ? digits[v & 63] : '=';
    }
    jo_string(&p->o, (tp_str){text, (size_t)(to - text)});
}

/* A sealed thought. Claude's is text, which is the same everywhere and is a blob in this API alone
 * (where a client has the blob itself, it goes as it stands); others' went out as the blob. */
static void put_sealed(plan *p, tp_str data, tp_str format)
{
    json_out *o = &p->o;
    bedrock_block_begin(p, CHAT_ASSISTANT);
    jo_key(o, SPAN("reasoningContent"));
    jo_open(o, SPAN("{"));
    jo_key(o, SPAN("redactedContent"));
    if (p->t.family == FAMILY_CLAUDE && !span_eq(format, own_format) &&
        !bedrock_text_of_blob(p->r.h, p->r.c, data).len)
        put_base64(p, data);
    else
        jo_string(o, data);
    jo_close(o, SPAN("}"));
    bedrock_block_end(p);
    p->after_thought = 1;
}

static void begin_thought(plan *p)
{
    json_out *o = &p->o;
    bedrock_block_begin(p, CHAT_ASSISTANT);
    jo_key(o, SPAN("reasoningContent"));
    jo_open(o, SPAN("{"));
    jo_key(o, SPAN("reasoningText"));
    jo_open(o, SPAN("{"));
    jo_key(o, SPAN("text"));
}

static void end_thought(plan *p, tp_str signature)
{
    json_out *o = &p->o;
    if (signature.len)
        jo_key_string(o, SPAN("signature"), signature);
    jo_close(o, SPAN("}"));
    jo_close(o, SPAN("}"));
    bedrock_block_end(p);
    p->after_thought = 1;
}

static void note_lost(plan *p, const chat_message *m, const char *member, tp_str why)
{
    chat_note(&p->r, TP_DROPPED, why, "messages[%u].%s", m->index, member);
}

typedef struct thought { /* details of one index: pieces of a text, then its proof */
    chat_detail first;
    uint32_t count, texts;
    tp_str signature, format;
} thought;

static int64_t index_of(plan *p, const chat_detail *d)
{
    int64_t v;
    return span_int(p->r.d, span_find(p->r.h, p->r.d, d->at, SPAN("index")), &v) ? v : -1;
}

/* The next thought: what a stream gave in pieces is put together. */
static int next_thought(plan *p, chat_details *it, thought *out)
{
    chat_detail d;
    if (!chat_next_detail(&p->r, it, &d))
        return 0;
    *out = (thought){
        .first = d, .count = 1, .texts = d.text != 0, .signature = d.signature, .format = d.format};
    int64_t index = index_of(p, &d);
    if (d.sealed || d.data.len || index < 0)
        return 1;
    for (chat_details ahead = *it; !out->signature.len && chat_next_detail(&p->r, &ahead, &d);) {
        if (d.sealed || d.data.len || index_of(p, &d) != index)
            break;
        out->count++;
        out->texts += d.text != 0;
        out->signature = d.signature;
        if (d.format.len)
            out->format = d.format;
        *it = ahead;
    }
    return 1;
}

/* The pieces as one JSON string. */
static void put_pieces(plan *p, const thought *x)
{
    uint32_t t = x->first.at;
    jo_put(&p->o, SPAN("\""));
    for (uint32_t i = 0; i < x->count; i++, t = p->r.d->tokens[t].next) {
        uint32_t text = span_find(p->r.h, p->r.d, t, SPAN("text"));
        if (span_kind(p->r.d, text) == TP_STRING)
            jo_put(&p->o, span_inner(p->r.d, text));
    }
    jo_put(&p->o, SPAN("\""));
}

/* How many signatures stand without a text of their own: one of them belongs to reasoning_content.
 */
static uint32_t bare_proofs(plan *p, const chat_message *m)
{
    thought x;
    uint32_t n = 0;
    for (chat_details it = chat_details_of(&p->r, m); next_thought(p, &it, &x);)
        n += x.signature.len && !x.texts && is_ours(p, x.format);
    return n;
}

int bedrock_has_proof(plan *p, const chat_message *m)
{
    thought x;
    chat_part part;
    for (chat_details it = chat_details_of(&p->r, m); next_thought(p, &it, &x);)
        if (is_ours(p, x.format) && (x.first.data.len || x.signature.len))
            return 1;
    for (chat_parts it = chat_parts_of(&p->r, m->content); chat_next_part(&p->r, &it, &part);)
        if (part.kind == CHAT_PART_THINKING &&
            span_member(p->r.h, p->r.c, p->r.d, part.at, SPAN("signature")).len)
            return 1;
    return 0;
}

/* Answers whether the message's own text of the thought was used. */
static int put_detail(plan *p, const chat_message *m, const thought *x, int bare)
{
    const chat_detail *d = &x->first;
    if (!is_ours(p, x->format)) {
        chat_note(&p->r, TP_DROPPED, SPAN("the proof of another provider's thought"),
                  "messages[%u].reasoning_details[%u]", m->index, d->index);
        return 0;
    }
    if (d->data.len) {
        put_sealed(p, d->data, x->format);
        return 0;
    }
    int own_text = x->signature.len && !x->texts && bare == 1 && m->reasoning;
    if (!own_text && (!x->texts || (!x->signature.len && !p->t.unsigned_thoughts))) {
        if (x->texts || x->signature.len)
            chat_note(&p->r, TP_DROPPED,
                      SPAN("a thought is taken back with its text and its proof alone"),
                      "messages[%u].reasoning_details[%u]", m->index, d->index);
        return 0;
    }
    begin_thought(p);
    if (own_text)
        jo_token(&p->o, p->r.d, m->reasoning);
    else
        put_pieces(p, x);
    end_thought(p, x->signature);
    return own_text;
}

void bedrock_thoughts(plan *p, const chat_message *m)
{
    thought x;
    uint32_t seen = 0, bare = bare_proofs(p, m);
    int used = 0;
    for (chat_details it = chat_details_of(&p->r, m); plan_ok(p) && next_thought(p, &it, &x);) {
        used |= put_detail(p, m, &x, (int)bare);
        seen += x.texts;
    }
    if (!m->reasoning || used || seen || p->r.d->tokens[m->reasoning].len <= 2)
        return;
    if (!p->t.unsigned_thoughts) {
        note_lost(p, m, "reasoning_content", SPAN("a thought without its proof is not taken back"));
        return;
    }
    begin_thought(p);
    jo_token(&p->o, p->r.d, m->reasoning);
    end_thought(p, SPAN_NONE);
}

/* {"type": "thinking", "thinking": "..." or a list of texts, "signature"}. */
void bedrock_thinking_part(plan *p, const chat_message *m, const chat_part *part)
{
    uint32_t text = span_find(p->r.h, p->r.d, part->at, SPAN("thinking"));
    tp_str signature = span_member(p->r.h, p->r.c, p->r.d, part->at, SPAN("signature"));
    int is_string = span_kind(p->r.d, text) == TP_STRING;
    tp_str plain = is_string ? SPAN_NONE : chat_plain_text(&p->r, text, SPAN_NONE);
    if (m->role != CHAT_ASSISTANT || (!signature.len && !p->t.unsigned_thoughts) || !text) {
        chat_note(&p->r, TP_DROPPED, SPAN("a thought without its proof is not taken back"),
                  "messages[%u].content[%u]", m->index, part->index);
        return;
    }
    begin_thought(p);
    if (is_string)
        jo_token(&p->o, p->r.d, text);
    else
        jo_string(&p->o, plain);
    end_thought(p, signature);
}
