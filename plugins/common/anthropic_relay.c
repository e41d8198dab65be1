/* Framing, and the way of those whose clients speak the format themselves: the body passes as it
 * stands but for the model and a limit, the reply frame by frame. */
#include "anthropic_int.h"
#include "provider.h"

/* ---- The request. */
typedef struct edits {
    splice s;
    const anthropic_variant *v;
    const tp_target *target;
} edits;

static void replace(edits *e, const tp_doc *d, uint32_t t)
{
    splice_skip(&e->s, d->tokens[t].at, span_end(d, t));
}

static void cap(edits *e, const tp_doc *d, uint32_t t)
{
    char digits[24];
    int64_t most = e->target->max_output_tokens;
    if (most <= 0 || span_count(d, t) <= most)
        return;
    replace(e, d, t);
    splice_put(&e->s, span_of_int(most, digits));
    if (e->s.status == TP_OK)
        e->s.status = e->s.host->report(e->s.call, TP_CHANGED, SPAN("max_tokens"),
                                        SPAN("lowered to the model's limit"));
}

/* A member behind all others. */
static void put_last(edits *e, members *m, tp_str key, tp_str value)
{
    size_t at = m->value ? span_end(m->doc, m->value) : m->before;
    splice_skip(&e->s, at, at);
    splice_put(&e->s, m->kept ? SPAN(",\"") : SPAN("\""));
    splice_put(&e->s, key);
    splice_put(&e->s, SPAN("\":"));
    splice_put(&e->s, value);
    m->kept++;
}

/* The betas of the configuration and of the client's header, which passed through the endpoint: as a
 * header's value, or as JSON. Without any: empty. */
static tp_str betas_of(const tp_host *h, tp_call *c, const anthropic_variant *v,
                       const tp_operation *op)
{
    tp_str lists[] = {v->betas, fault_header(&op->headers, SPAN("anthropic-beta"))};
    char *text = h->alloc(c, 2 * (lists[0].len + lists[1].len) + 8), *p = text;
    int json = v->betas_in_body, any = 0;
    if (!text)
        return SPAN_NONE;
    for (int i = 0; i < 2; i++) {
        for (size_t k = 0; k < lists[i].len;) {
            size_t end = k;
            while (end < lists[i].len && lists[i].ptr[end] != ',')
                end++;
            tp_str one = span_trim((tp_str){lists[i].ptr + k, end - k});
            k = end + 1;
            if (!one.len || memchr(one.ptr, '"', one.len) || memchr(one.ptr, '\\', one.len))
                continue;
            if (any || json)
                *p++ = any ? ',' : '[';
            any = 1;
            if (json)
                *p++ = '"';
            memcpy(p, one.ptr, one.len);
            p += one.len;
            if (json)
                *p++ = '"';
        }
    }
    if (any && json)
        *p++ = ']';
    return (tp_str){text, (size_t)(p - text)};
}

tp_status anthropic_splice(const tp_host *h, tp_call *c, const anthropic_variant *v,
                           const tp_operation *op, const tp_target *target)
{
    const tp_doc *d = &op->body;
    if (!d->count || d->tokens[0].kind != TP_OBJECT)
        return h->fail(c, TP_E_UNSUPPORTED, SPAN_NONE,
                       SPAN("expected a JSON object in the format " ANTHROPIC_FORMAT));
    tp_str betas = betas_of(h, c, v, op);
    if (betas.len && !v->betas_in_body) {
        tp_status st = h->header(c, SPAN("anthropic-beta"), betas);
        if (st != TP_OK)
            return st;
    }
    edits e = {.s = {.host = h, .call = c, .text = d->text}, .v = v, .target = target};
    members m = members_of(d, 0);
    while (members_next(&m) && e.s.status == TP_OK) {
        tp_str key = span_text(h, c, d, m.key);
        if (span_is(key, "model")) {
            if (v->no_model) {
                splice_cut(&e.s, &m);
            } else {
                replace(&e, d, m.value);
                splice_quote(&e.s, target->model);
            }
        } else if (span_is(key, "stream") && v->no_stream) {
            splice_cut(&e.s, &m);
        } else if (span_is(key, "max_tokens")) {
            cap(&e, d, m.value);
        }
    }
    if (v->version.len && !h->find(d, 0, SPAN("anthropic_version"))) {
        put_last(&e, &m, SPAN("anthropic_version"), SPAN_NONE);
        splice_quote(&e.s, v->version);
    }
    if (betas.len && v->betas_in_body && !h->find(d, 0, SPAN("anthropic_beta")))
        put_last(&e, &m, SPAN("anthropic_beta"), betas);
    return splice_end(&e.s);
}

/* ---- The reply. */
tp_status anthropic_head(anthropic_reply *r, const tp_reply *reply, int32_t *framing)
{
    r->sse = provider_reply_is_sse(reply, r->stream);
    /* In another framing than the one asked for it is decoded, so that the client still gets what it
     * asked for. */
    r->relay = (uint8_t)(r->may_relay && r->sse == r->stream);
    *framing = r->sse ? TP_SSE : TP_WHOLE;
    return TP_OK;
}

static tp_status broken_reply(document *f, tp_str why)
{
    f->r->done = 1;
    return fault_say(f->h, f->c, why);
}

static tp_str type_of(const document *f)
{
    return span_kind(&f->doc, f->type) == TP_STRING ? span_inner(&f->doc, f->type) : SPAN_NONE;
}

/* Bytes of answer in a delta: all its strings but the type. */
static int64_t answer_bytes(const document *f)
{
    int64_t sum = 0;
    if (span_kind(&f->doc, f->delta) != TP_OBJECT)
        return 0;
    for (members m = members_of(&f->doc, f->delta); members_next(&m);)
        if (span_kind(&f->doc, m.value) == TP_STRING && !span_is(span_inner(&f->doc, m.key), "type"))
            sum += f->doc.tokens[m.value].len - 2;
    return sum;
}

/* Does a frame hold answer? A text or a thought that begins does not yet: fallback stays open. */
static int has_answer(const document *f, tp_str type, int64_t bytes)
{
    if (span_is(type, "content_block_delta"))
        return bytes > 0 || span_kind(&f->doc, f->delta) != TP_OBJECT;
    if (!span_is(type, "content_block_start"))
        return !span_is(type, "message_start") && !span_is(type, "ping") &&
               !span_is(type, "content_block_stop");
    uint32_t t = span_kind(&f->doc, f->block) == TP_OBJECT
                     ? f->h->find(&f->doc, f->block, SPAN("type")) : 0;
    tp_str kind = span_kind(&f->doc, t) == TP_STRING ? span_inner(&f->doc, t) : SPAN_NONE;
    return !span_is(kind, "text") && !span_is(kind, "thinking");
}

/* The frame passes as it stands; beside it, what the gateway must know. */
tp_status anthropic_relay(document *f, tp_str raw)
{
    anthropic_reply *r = f->r;
    tp_str type = type_of(f);
    tp_event e = {.size = sizeof(e), .kind = TP_EV_FRAME};
    int start = span_is(type, "message_start"), last = span_is(type, "message_delta");
    if (start && span_kind(&f->doc, f->message) == TP_OBJECT)
        anthropic_read_members(f, f->message);
    if (last && span_kind(&f->doc, f->delta) == TP_OBJECT)
        anthropic_read_members(f, f->delta);
    tp_status st = start || !r->sse ? anthropic_emit_start(f) : TP_OK;
    int64_t bytes = span_is(type, "content_block_delta") ? answer_bytes(f) : 0;
    if (!r->answered)
        r->answered = (uint8_t)(!r->sse || has_answer(f, type, bytes));
    e.raw = raw;
    e.flags = r->answered ? 0 : TP_EV_PREAMBLE;
    e.number = bytes ? bytes : 1; /* 0 is for those who cannot tell */
    if (st == TP_OK)
        st = f->h->emit(f->c, &e);
    if (st == TP_OK && (last || !r->sse))
        st = anthropic_emit_finish(f);
    r->finished |= !r->sse; /* a whole message is complete */
    if (st == TP_OK && (start || last || !r->sse))
        st = anthropic_emit_usage(f, !start);
    return st;
}

static tp_status finish_stream(document *f, tp_str raw)
{
    tp_status st = TP_OK;
    tp_event e = {.size = sizeof(e), .kind = TP_EV_END};
    if (f->r->relay)
        st = anthropic_relay(f, raw);
    else
        st = anthropic_stop(f);
    f->r->done = 1;
    return st == TP_OK ? f->h->emit(f->c, &e) : st;
}

static tp_status one_document(document *f, tp_str data, int named_error)
{
    tp_status st = f->h->scan(f->c, data, &f->doc);
    if (st == TP_E_NOMEM)
        return st;
    if (st != TP_OK || !f->doc.count)
        return broken_reply(f, named_error ? SPAN("The provider reported an error.")
                                           : SPAN("The provider sent a reply that is not JSON."));
    if (f->doc.tokens[0].kind != TP_OBJECT)
        return broken_reply(f, SPAN("The provider sent a reply that is not a JSON object."));
    anthropic_read_members(f, 0);
    tp_str type = type_of(f);
    if (span_is(type, "error") || named_error || (span_given(&f->doc, f->error) && !type.len)) {
        f->r->done = 1;
        return anthropic_fault_in(f);
    }
    if (f->r->sse && span_is(type, "message_stop"))
        return finish_stream(f, data);
    if (!f->r->sse && span_kind(&f->doc, f->content) != TP_ARRAY)
        return broken_reply(f, SPAN("The provider sent a reply that is not a message."));
    return f->r->relay ? anthropic_relay(f, data) : anthropic_decode(f);
}

tp_status anthropic_data(const tp_host *h, tp_call *c, anthropic_reply *r, tp_frame *in)
{
    document f = {.h = h, .c = c, .r = r};
    if (r->done || (r->sse && !span_trim(in->data).len))
        return TP_OK; /* what follows an end or an error is not part of the reply */
    if (r->sse && span_is(in->data, "[DONE]")) /* a gateway's in between; the format has none */
        return TP_OK;
    return one_document(&f, in->data, r->sse && span_is(in->name, "error"));
}

/* A stream ends with message_stop, and is cut without it; a whole message is complete by itself. */
tp_status anthropic_end(const tp_host *h, tp_call *c, anthropic_reply *r, int32_t broken)
{
    tp_event e = {.size = sizeof(e), .kind = TP_EV_END};
    if (r->done || broken || r->sse || !r->finished)
        return TP_OK;
    r->done = 1;
    return h->emit(c, &e);
}
