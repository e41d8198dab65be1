/* The wish for thought: clients say it in several forms, an upstream takes one or two of them. A
 * form that the upstream takes passes as it stands; any other becomes the upstream's own. */
#include "../../common/effort.h"
#include "openai_int.h"

static uint32_t given(const body_edit *b, tp_str name)
{
    uint32_t t = b->in->host->find(b->d, 0, name);
    return span_given(b->d, t) ? t : 0;
}

static void read_effort(wish *w, tp_str effort)
{
    if (!effort.len)
        return;
    w->effort = effort;
    w->on = !span_is(effort, "none");
}

static void read_reasoning(const body_edit *b, wish *w)
{
    const tp_host *h = b->in->host;
    if (span_kind(b->d, w->by_reasoning) != TP_OBJECT)
        return;
    uint32_t most = h->find(b->d, w->by_reasoning, SPAN("max_tokens"));
    uint32_t on = h->find(b->d, w->by_reasoning, SPAN("enabled"));
    w->on = 1;
    if (span_kind(b->d, most) == TP_NUMBER) {
        w->budget = span_count(b->d, most);
        w->on = w->budget > 0;
    }
    read_effort(w, span_member(h, b->c, b->d, w->by_reasoning, SPAN("effort")));
    if (span_kind(b->d, on) == TP_BOOL)
        w->on = span_true(b->d, on);
}

static void read_thinking(const body_edit *b, wish *w)
{
    const tp_host *h = b->in->host;
    if (span_kind(b->d, w->by_thinking) != TP_OBJECT)
        return;
    uint32_t budget = h->find(b->d, w->by_thinking, SPAN("budget_tokens"));
    w->on = !span_is(span_member(h, b->c, b->d, w->by_thinking, SPAN("type")), "disabled");
    if (span_kind(b->d, budget) == TP_NUMBER)
        w->budget = span_count(b->d, budget);
}

/* Does the form that is wanted cover this member as it stands? */
static int is_native(const body_edit *b, const wish *w, uint32_t value)
{
    int form = b->in->thinking;
    if (value ==
        w->by_effort) /* where thought is switched, the switch says that there is to be none */
        return w->on || form == THINKING_EFFORT || form == THINKING_REASONING;
    return (value == w->by_reasoning && form == THINKING_REASONING) ||
           (value == w->by_thinking && form == THINKING_THINKING) ||
           (value == w->by_enable && form == THINKING_ENABLE) ||
           (value == w->by_template && form == THINKING_TEMPLATE);
}

wish openai_read_wish(const body_edit *b)
{
    wish w = {.budget = -1};
    w.by_effort = given(b, SPAN("reasoning_effort"));
    w.by_reasoning = given(b, SPAN("reasoning"));
    w.by_thinking = given(b, SPAN("thinking"));
    w.by_enable = given(b, SPAN("enable_thinking"));
    w.by_template = given(b, SPAN("chat_template_kwargs"));
    read_reasoning(b, &w);
    if (span_kind(b->d, w.by_effort) == TP_STRING)
        read_effort(&w, span_text(b->in->host, b->c, b->d, w.by_effort));
    read_thinking(b, &w);
    const uint32_t said[] = {w.by_effort, w.by_reasoning, w.by_thinking};
    int native = w.by_enable || w.by_template; /* more exact than any translation */
    for (size_t i = 0; i < sizeof(said) / sizeof(said[0]); i++) {
        if (!said[i])
            continue;
        w.given = 1;
        native |= is_native(b, &w, said[i]);
        if (!w.at || said[i] < w.at)
            w.at = said[i];
    }
    if (native)
        w.at = 0;
    return w;
}

static tp_str word_of(const body_edit *b, const wish *w)
{
    tp_str wish_word = !w->on                                              ? SPAN("none")
                       : w->effort.len && !span_is(w->effort, "none") ? w->effort
                                                                           : SPAN("medium");
    if (w->on && w->budget >= 0 && !w->effort.len)
        wish_word = w->budget <= 2048    ? SPAN("low")
                    : w->budget <= 12288 ? SPAN("medium")
                                         : SPAN("high");
    if (!b->in->efforts.count)
        return wish_word;
    for (uint32_t i = 0; i < b->in->efforts.count; i++)
        if (span_eq(b->in->efforts.items[i], wish_word))
            return wish_word;
    return effort_nearest(b->in->efforts.items, b->in->efforts.count, wish_word);
}

/* The wish in the upstream's form, key and value. */
static void write_wish(body_edit *b, const wish *w, tp_str word)
{
    char digits[24];
    splice *s = b->s;
    switch (b->in->thinking) {
    case THINKING_EFFORT:
        splice_put(s, SPAN("\"reasoning_effort\":"));
        splice_quote(s, word);
        break;
    case THINKING_REASONING:
        splice_put(s, SPAN("\"reasoning\":{"));
        if (w->on && w->budget > 0) {
            splice_put(s, SPAN("\"max_tokens\":"));
            splice_put(s, span_of_int(w->budget, digits));
        } else if (w->on && w->effort.len) {
            splice_put(s, SPAN("\"effort\":"));
            splice_quote(s, word);
        } else {
            splice_put(s, w->on ? SPAN("\"enabled\":true") : SPAN("\"enabled\":false"));
        }
        splice_put(s, SPAN("}"));
        break;
    case THINKING_THINKING:
        splice_put(s, w->on ? SPAN("\"thinking\":{\"type\":\"enabled\"}")
                            : SPAN("\"thinking\":{\"type\":\"disabled\"}"));
        break;
    case THINKING_ENABLE:
        splice_put(s, w->on ? SPAN("\"enable_thinking\":true") : SPAN("\"enable_thinking\":false"));
        break;
    default: /* templates call the switch by one of two names, and pass over the other */
        splice_put(
            s,
            w->on
                ? SPAN("\"chat_template_kwargs\":{\"enable_thinking\":true,\"thinking\":true}")
                : SPAN("\"chat_template_kwargs\":{\"enable_thinking\":false,\"thinking\":false}"));
        break;
    }
}

/* reasoning_effort stays, but may become the nearest word that is known. */
static void edit_effort(body_edit *b, const wish *w, const members *m)
{
    tp_str said = span_kind(b->d, m->value) == TP_STRING
                      ? span_text(b->in->host, b->c, b->d, m->value) : SPAN_NONE;
    tp_str word = b->in->efforts.count && said.len ? word_of(b, w) : said;
    if (!word.len || span_eq(word, said))
        return;
    splice_skip(b->s, b->d->tokens[m->value].at, span_end(b->d, m->value));
    splice_quote(b->s, word);
    if (b->s->status == TP_OK)
        b->s->status = openai_report(b, TP_CHANGED, SPAN("reasoning_effort"),
                                     SPAN("the nearest effort that this provider knows was taken"));
}

int openai_edit_thinking(body_edit *b, const wish *w, members *m, tp_str key)
{
    int form = b->in->thinking;
    uint32_t v = m->value;
    if (form == THINKING_AS_IT_IS || !v ||
        (v != w->by_effort && v != w->by_reasoning && v != w->by_thinking))
        return 0;
    if (form == THINKING_NONE) {
        if (w->on)
            b->s->status =
                openai_report(b, TP_DROPPED, key, SPAN("this provider does not take it"));
        splice_cut(b->s, m);
        return 1;
    }
    if (is_native(b, w, v)) {
        if (v == w->by_effort)
            edit_effort(b, w, m);
        return 1;
    }
    tp_str word = word_of(b, w);
    if (w->at != v || (form == THINKING_EFFORT && !word.len)) {
        splice_cut(b->s, m);
        if (form == THINKING_EFFORT && w->on && w->at == v)
            b->s->status =
                openai_report(b, TP_DROPPED, key, SPAN("this provider does not take it"));
        return 1;
    }
    splice_skip(b->s, b->d->tokens[m->key].at, span_end(b->d, v));
    write_wish(b, w, word);
    if (b->s->status == TP_OK && w->on && (w->budget > 0 || w->effort.len) &&
        form != THINKING_EFFORT && form != THINKING_REASONING)
        b->s->status = openai_report(b, TP_CHANGED, key,
                                     SPAN("this provider switches thought on and off only"));
    else if (b->s->status == TP_OK && w->on && w->budget > 0 && form == THINKING_EFFORT)
        b->s->status =
            openai_report(b, TP_CHANGED, key, SPAN("this provider takes an effort, and no count"));
    return 1;
}
