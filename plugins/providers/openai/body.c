#include "openai_int.h"

typedef struct plan { /* what one body needs */
    const tp_instance *in;
    tp_call *c;
    const tp_operation *op;
    const tp_target *target;
    const tp_doc *d;
    uint32_t model, max_tokens, max_completion, stream_options; /* values; 0: absent */
    uint32_t messages, tool_choice, n;
    uint32_t deployment_drop;                            /* array in target.options, or 0 */
    int both, stream, by_name;
    wish wish;
} plan;

static int dropped(const plan *p, tp_str key)
{
    for (uint32_t i = 0; i < p->in->drop.count; i++)
        if (span_eq(p->in->drop.items[i], key))
            return 1;
    if (p->deployment_drop) {
        const tp_doc *d = &p->target->options;
        for (uint32_t t = p->deployment_drop + 1; t < d->tokens[p->deployment_drop].next;
             t = d->tokens[t].next)
            if (span_kind(d, t) == TP_STRING && span_eq(span_inner(d, t), key))
                return 1;
    }
    return 0;
}

static const rename_rule *renamed(const plan *p, tp_str key)
{
    for (uint32_t i = 0; i < p->in->rename_count; i++)
        if (span_eq(p->in->rename[i].from, key))
            return &p->in->rename[i];
    return NULL;
}

/* Will another member come to bear this name? */
static int displaced(const plan *p, tp_str key)
{
    for (uint32_t i = 0; i < p->in->rename_count; i++) {
        const rename_rule *x = &p->in->rename[i];
        if (span_eq(x->to, key) && !span_eq(x->from, key) &&
            span_given(p->d, p->in->host->find(p->d, 0, x->from)))
            return 1;
    }
    return 0;
}

static tp_status report(const plan *p, int32_t what, tp_str field, tp_str why)
{
    return p->in->host->report(p->c, what, field, why);
}

tp_status openai_report(const body_edit *b, int32_t what, tp_str field, tp_str why)
{
    return b->in->host->report(b->c, what, field, why);
}

int openai_says_nothing(const tp_doc *d, tp_str key, uint32_t t)
{
    int64_t v = 0;
    uint32_t kind = span_kind(d, t);
    tp_str word = kind == TP_STRING ? span_inner(d, t) : SPAN_NONE;
    if (kind == TP_NULL || ((kind == TP_OBJECT || kind == TP_ARRAY) && !span_filled(d, t)))
        return 1;
    if (span_is(key, "frequency_penalty") || span_is(key, "presence_penalty") ||
        span_is(key, "top_logprobs"))
        return kind == TP_NUMBER && span_count(d, t) == 0 && span_raw(d, t).ptr[0] == '0' &&
               (span_raw(d, t).len == 1 || span_eq(span_raw(d, t), SPAN("0.0")));
    if (span_is(key, "n"))
        return span_int(d, t, &v) && v == 1;
    if (span_is(key, "logprobs") || span_is(key, "store"))
        return kind == TP_BOOL && !span_true(d, t);
    if (span_is(key, "parallel_tool_calls"))
        return span_true(d, t);
    if (span_is(key, "tool_choice"))
        return span_is(word, "auto");
    if (span_is(key, "service_tier"))
        return span_is(word, "auto") || span_is(word, "default");
    return 0;
}

/* Whether this member leaves, and what is said about it. */
static int cut(const plan *p, tp_str key, uint32_t value, tp_status *st)
{
    int given = span_given(p->d, value);
    if (p->in->one_choice && value == p->n) {
        if (!openai_says_nothing(p->d, key, value))
            *st = report(p, TP_DROPPED, key, SPAN("this provider answers with one choice"));
        return 1;
    }
    if (dropped(p, key)) {
        if (!openai_says_nothing(p->d, key, value))
            *st = report(p, TP_DROPPED, key, SPAN("this provider does not take it"));
        return 1;
    }
    if (p->both && value == p->max_tokens) {
        *st = report(p, TP_CHANGED, key, SPAN("max_completion_tokens takes precedence"));
        return 1;
    }
    if (p->in->rename_count) {
        if (displaced(p, key))
            return 1;
        const rename_rule *x = renamed(p, key);
        if (x && !given && p->in->host->find(p->d, 0, x->to))
            return 1; /* a null that would bear the name of a member that is there */
    }
    if (p->stream && !p->in->stream_usage && value == p->stream_options) {
        if (given)
            *st = report(p, TP_CHANGED, key, SPAN("this provider decides itself what to stream"));
        return 1;
    }
    return 0;
}

/* Makes sure that include_usage is true in the stream_options that the client sent. */
static void ask_for_usage(splice *s, const plan *p)
{
    const tp_token *t = &p->d->tokens[p->stream_options];
    if (t->kind != TP_OBJECT) { /* null */
        splice_skip(s, t->at, t->at + t->len);
        splice_put(s, SPAN("{\"include_usage\":true}"));
        return;
    }
    uint32_t flag = p->in->host->find(p->d, p->stream_options, SPAN("include_usage"));
    if (span_true(p->d, flag))
        return;
    if (flag) {
        splice_skip(s, p->d->tokens[flag].at, span_end(p->d, flag));
        splice_put(s, SPAN("true"));
        return;
    }
    splice_skip(s, t->at + 1, t->at + 1);
    splice_put(s, span_filled(p->d, p->stream_options) ? SPAN("\"include_usage\":true,")
                                                       : SPAN("\"include_usage\":true"));
}

static void cap(splice *s, const plan *p, tp_str key, uint32_t value)
{
    int64_t most = p->target->max_output_tokens;
    char digits[24];
    if (most <= 0 || span_count(p->d, value) <= most)
        return;
    splice_skip(s, p->d->tokens[value].at, span_end(p->d, value));
    splice_put(s, span_of_int(most, digits));
    if (s->status == TP_OK)
        s->status = report(p, TP_CHANGED, key, SPAN("lowered to the model's limit"));
}

static tp_str model_of(const plan *p)
{
    tp_str prefix = p->in->model_prefix, model = p->target->model;
    char *name = prefix.len ? p->in->host->alloc(p->c, prefix.len + model.len) : NULL;
    if (!name)
        return model;
    memcpy(name, prefix.ptr, prefix.len);
    memcpy(name + prefix.len, model.ptr, model.len);
    return (tp_str){name, prefix.len + model.len};
}

/* tool_choice "required", where it is called otherwise. */
static void require(splice *s, const plan *p, tp_str key, uint32_t value)
{
    if (p->in->required == REQUIRED_AS_IT_IS || span_kind(p->d, value) != TP_STRING ||
        !(span_is(span_inner(p->d, value), "required") || span_is(span_inner(p->d, value), "any")))
        return;
    splice_skip(s, p->d->tokens[value].at, span_end(p->d, value));
    splice_put(s, p->in->required == REQUIRED_ANY ? SPAN("\"any\"") : SPAN("\"auto\""));
    if (p->in->required == REQUIRED_AUTO && s->status == TP_OK)
        s->status = report(p, TP_CHANGED, key,
                           SPAN("this provider cannot be told that it must call a tool"));
}

static void edit(splice *s, const plan *p, tp_str key, const members *m)
{
    const rename_rule *x = p->in->rename_count ? renamed(p, key) : NULL;
    if (x) {
        splice_skip(s, p->d->tokens[m->key].at, span_end(p->d, m->key));
        splice_quote(s, x->to);
    }
    if (m->value == p->model) {
        splice_skip(s, p->d->tokens[m->value].at, span_end(p->d, m->value));
        splice_quote(s, model_of(p));
    } else if (m->value == p->messages && p->messages) {
        body_edit b = {p->in, p->c, p->target, p->d, s};
        if (openai_edits_messages(p->in))
            openai_edit_messages(&b, m->value);
    } else if (m->value == p->tool_choice && p->tool_choice) {
        require(s, p, key, m->value);
    } else if (m->value == p->max_tokens || m->value == p->max_completion) {
        cap(s, p, key, m->value);
    } else if (m->value == p->stream_options && p->stream && p->in->stream_usage) {
        ask_for_usage(s, p);
    }
}

static uint32_t *slot_of(plan *p, tp_str key)
{
    switch (key.len) {
    case 1: return span_is(key, "n") ? &p->n : NULL;
    case 5: return span_is(key, "model") ? &p->model : NULL;
    case 8: return span_is(key, "messages") ? &p->messages : NULL;
    case 11: return span_is(key, "tool_choice") ? &p->tool_choice : NULL;
    case 10: return span_is(key, "max_tokens") ? &p->max_tokens : NULL;
    case 14: return p->stream && span_is(key, "stream_options") ? &p->stream_options : NULL;
    case 21: return span_is(key, "max_completion_tokens") ? &p->max_completion : NULL;
    default: return NULL;
    }
}

static void look(plan *p)
{
    const tp_host *h = p->in->host;
    p->stream = (p->op->flags & TP_STREAM) != 0;
    for (members m = members_of(p->d, 0); members_next(&m);) {
        tp_str key = span_inner(p->d, m.key);
        uint32_t *slot = slot_of(p, key);
        if (!slot && span_has_escape(key))
            slot = slot_of(p, span_text(h, p->c, p->d, m.key));
        if (slot)
            *slot = m.value;
    }
    p->both = span_given(p->d, p->max_tokens) && span_given(p->d, p->max_completion);
    const tp_doc *o = &p->target->options;
    if (o->count > 1 && o->tokens[0].kind == TP_OBJECT) {
        uint32_t t = h->find(o, 0, SPAN("drop"));
        p->deployment_drop = span_kind(o, t) == TP_ARRAY ? t : 0;
    }
    p->by_name = p->in->drop.count || p->in->rename_count || p->deployment_drop ||
                 p->in->thinking != THINKING_AS_IT_IS;
    if (p->in->thinking != THINKING_AS_IT_IS) {
        body_edit b = {.in = p->in, .c = p->c, .target = p->target, .d = p->d};
        p->wish = openai_read_wish(&b);
    }
}

/* Members whose names matter to nobody pass as they stand. */
static int passes(const plan *p, uint32_t value)
{
    return !p->by_name && value != p->model && value != p->max_tokens &&
           value != p->max_completion && value != p->stream_options && value != p->messages &&
           value != p->tool_choice && value != p->n;
}

/* The deployment's own parameters, where the request does not say them. */
static void add_defaults(splice *s, const plan *p, uint32_t at, int any)
{
    const tp_doc *o = &p->target->options;
    const tp_host *h = p->in->host;
    for (members m = members_of(o, 0); members_next(&m);) {
        tp_str key = span_text(h, p->c, o, m.key);
        int limit = span_is(key, "max_tokens") || span_is(key, "max_completion_tokens");
        if (span_is(key, "drop") || h->find(p->d, 0, key) ||
            (limit && (p->max_tokens || p->max_completion)))
            continue; /* also for a null that is there: no key may come twice */
        splice_skip(s, at, at);
        splice_put(s, any ? SPAN(",") : SPAN_NONE);
        splice_put(s, span_raw(o, m.key));
        splice_put(s, SPAN(":"));
        splice_put(s, span_raw(o, m.value));
        any = 1;
    }
}

tp_status openai_write_body(const tp_instance *in, tp_call *c, const tp_operation *op,
                            const tp_target *target)
{
    const tp_doc *d = &op->body;
    plan p = {.in = in, .c = c, .op = op, .target = target, .d = d};
    splice s = {.host = in->host, .call = c, .text = d->text};
    look(&p);
    members m = members_of(d, 0);
    while (members_next(&m) && s.status == TP_OK) {
        if (passes(&p, m.value))
            continue;
        tp_str key = span_text(in->host, c, d, m.key);
        body_edit b = {in, c, target, d, &s};
        if (cut(&p, key, m.value, &s.status))
            splice_cut(&s, &m);
        else if (!p.wish.given || !openai_edit_thinking(&b, &p.wish, &m, key))
            edit(&s, &p, key, &m);
    }
    uint32_t at = m.value ? span_end(d, m.value) : m.before;
    int any = m.kept > 0;
    if (p.stream && in->stream_usage && !p.stream_options) {
        /* Usage is always asked for: it is what the request is settled by. */
        splice_skip(&s, at, at);
        splice_put(&s, any ? SPAN(",\"stream_options\":{\"include_usage\":true}")
                              : SPAN("\"stream_options\":{\"include_usage\":true}"));
        any = 1;
    }
    if (target->options.count > 1 && target->options.tokens[0].kind == TP_OBJECT)
        add_defaults(&s, &p, at, any);
    return splice_end(&s);
}
