/* Framing, and the way of those whose clients speak the format themselves: the body passes as it
 * stands but for the model and a limit, the reply frame by frame. */
#include "anthropic_int.h"

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

static void put_first(edits *e, const tp_doc *d, tp_str key, tp_str value)
{
    size_t at = d->tokens[0].at + 1;
    splice_skip(&e->s, at, at);
    splice_put(&e->s, SPAN("\""));
    splice_put(&e->s, key);
    splice_put(&e->s, SPAN("\":"));
    splice_quote(&e->s, value);
    if (span_filled(d, 0))
        splice_put(&e->s, SPAN(","));
}

/* The betas of the configuration and of the client's header, which passed through the endpoint. */
static tp_status pass_betas(const tp_host *h, tp_call *c, const anthropic_variant *v,
                            const tp_operation *op)
{
    tp_str ours = v->betas, theirs = fault_header(&op->headers, SPAN("anthropic-beta"));
    if (v->betas_in_body || (!ours.len && !theirs.len))
        return TP_OK;
    if (!ours.len || !theirs.len)
        return h->header(c, SPAN("anthropic-beta"), ours.len ? ours : theirs);
    char *text = h->alloc(c, ours.len + theirs.len + 1);
    if (!text)
        return TP_E_NOMEM;
    memcpy(text, ours.ptr, ours.len);
    text[ours.len] = ',';
    memcpy(text + ours.len + 1, theirs.ptr, theirs.len);
    return h->header(c, SPAN("anthropic-beta"), (tp_str){text, ours.len + theirs.len + 1});
}

tp_status anthropic_splice(const tp_host *h, tp_call *c, const anthropic_variant *v,
                           const tp_operation *op, const tp_target *target)
{
    const tp_doc *d = &op->body;
    if (!d->count || d->tokens[0].kind != TP_OBJECT)
        return h->fail(c, TP_E_UNSUPPORTED, SPAN_NONE,
                       SPAN("expected a JSON object in the format " ANTHROPIC_FORMAT));
    tp_status st = pass_betas(h, c, v, op);
    if (st != TP_OK)
        return st;
    edits e = {.s = {.host = h, .call = c, .text = d->text}, .v = v, .target = target};
    if (v->version.len && !h->find(d, 0, SPAN("anthropic_version")))
        put_first(&e, d, SPAN("anthropic_version"), v->version);
    for (members m = members_of(d, 0); members_next(&m) && e.s.status == TP_OK;) {
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
    return splice_end(&e.s);
}

/* ---- The reply. */
tp_status anthropic_head(anthropic_reply *r, const tp_reply *reply, int32_t *framing)
{
    tp_str type = span_trim(reply->type);
    if (!type.len)
        type = fault_header(&reply->headers, SPAN("content-type"));
    if (r->stream) /* only what is surely a document is read as one */
        r->sse = (uint8_t)(!span_istarts(type, SPAN("application/json")) &&
                           !span_istarts(type, SPAN("text/html")));
    else
        r->sse = (uint8_t)span_istarts(type, SPAN("text/event-stream"));
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
    if (!r->sse || (!start && !span_is(type, "ping")))
        r->answered = 1;
    e.raw = raw;
    e.flags = r->answered ? 0 : TP_EV_PREAMBLE;
    e.number = r->sse ? answer_bytes(f) : 0;
    e.number = e.number ? e.number : 1;
    if (st == TP_OK)
        st = f->h->emit(f->c, &e);
    if (st == TP_OK && (last || !r->sse))
        st = anthropic_emit_finish(f);
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
