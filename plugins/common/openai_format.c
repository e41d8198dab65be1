#include "openai_format_int.h"
#include "provider.h"

void openai_begin(openai_reply *r, const tp_operation *op)
{
    r->may_relay = (op->flags & TP_RELAY) != 0;
    r->stream = (op->flags & TP_STREAM) != 0;
    r->asked = op->choices ? op->choices : 1;
}

tp_status openai_head(openai_reply *r, const tp_reply *reply, int32_t *framing)
{
    r->sse = provider_reply_is_sse(reply, r->stream);
    /* A reply whose framing is not the one asked for is decoded, so that the client still gets
     * what it asked for. */
    r->relay = (uint8_t)(r->may_relay && r->sse == r->stream);
    *framing = r->sse ? TP_SSE : TP_WHOLE;
    return TP_OK;
}

static tp_status broken_reply(frame *f, tp_str why)
{
    f->r->done = 1;
    return fault_say(f->h, f->c, why);
}

static uint32_t *top_slot(frame *f, tp_str k)
{
    switch (k.len) {
    case 2: return span_is(k, "id") ? &f->id : NULL;
    case 5:
        return span_is(k, "model")   ? &f->model
               : span_is(k, "usage") ? &f->usage
               : span_is(k, "error") ? &f->error
                                     : NULL;
    case 6:
        return span_is(k, "x_groq")   ? &f->groq
               : span_is(k, "object") ? &f->object
               : span_is(k, "detail") ? &f->detail
                                      : NULL;
    case 7:
        return span_is(k, "choices")   ? &f->choices
               : span_is(k, "created") ? &f->created
               : span_is(k, "message") ? &f->message
                                       : NULL;
    case 9: return span_is(k, "citations") ? &f->citations : NULL;
    case 12: return span_is(k, "service_tier") ? &f->tier : NULL;
    case 14: return span_is(k, "search_results") ? &f->results : NULL;
    case 18: return span_is(k, "system_fingerprint") ? &f->fingerprint : NULL;
    default: return NULL;
    }
}

/* One pass over the top level. Keys with escapes are decoded, as a client's SDK would; what is a
 * known name as it stands has none. */
static void read_top(frame *f)
{
    for (members m = members_of(&f->doc, 0); members_next(&m);) {
        tp_str k = span_inner(&f->doc, m.key);
        uint32_t *slot = top_slot(f, k);
        if (!slot && span_has_escape(k))
            slot = top_slot(f, span_text(f->h, f->c, &f->doc, m.key));
        if (slot)
            *slot = m.value;
    }
    if (span_kind(&f->doc, f->choices) != TP_ARRAY || !span_filled(&f->doc, f->choices))
        f->choices = 0;
    if (span_kind(&f->doc, f->usage) != TP_OBJECT)
        f->usage = 0;
    if (!f->usage && span_kind(&f->doc, f->groq) == TP_OBJECT) {
        f->usage = f->h->find(&f->doc, f->groq, SPAN("usage"));
        if (span_kind(&f->doc, f->usage) != TP_OBJECT)
            f->usage = 0;
    }
}

tp_status openai_emit_start(frame *f)
{
    openai_reply *r = f->r;
    tp_event e = openai_event(TP_EV_START);
    if (r->started || span_kind(&f->doc, f->id) != TP_STRING || f->doc.tokens[f->id].len <= 2)
        return TP_OK; /* Azure's first frame has no id yet */
    r->started = 1;
    e.flags = TP_EV_PREAMBLE;
    e.id = span_text(f->h, f->c, &f->doc, f->id);
    if (span_kind(&f->doc, f->model) == TP_STRING)
        e.name = span_text(f->h, f->c, &f->doc, f->model);
    e.number = span_count(&f->doc, f->created);
    return f->h->emit(f->c, &e);
}

/* ---- Choices. */
choice openai_read_choice(frame *f, uint32_t t)
{
    choice ch = {.index = 0};
    uint32_t delta = 0; /* Perplexity's frames have the message so far beside it */
    for (members m = members_of(&f->doc, t); members_next(&m);) {
        tp_str k = span_inner(&f->doc, m.key);
        switch (k.len) {
        case 5:
            if (span_is(k, "index")) {
                int64_t v = span_count(&f->doc, m.value);
                ch.index = v > 127 ? 127 : (uint32_t)v;
            } else if (span_is(k, "delta")) {
                delta = m.value;
            }
            break;
        case 7: if (span_is(k, "message")) ch.body = m.value; break;
        case 8:
            if (span_is(k, "logprobs"))
                ch.logprobs = m.value;
            else if (span_is(k, "messages"))
                ch.several = m.value;
            break;
        case 13: if (span_is(k, "finish_reason")) ch.finish = m.value; break;
        default: break;
        }
    }
    if (delta)
        ch.body = delta;
    if (span_kind(&f->doc, ch.body) != TP_OBJECT)
        ch.body = 0;
    if (ch.body || span_kind(&f->doc, ch.several) != TP_ARRAY)
        ch.several = 0;
    if (span_kind(&f->doc, ch.finish) != TP_STRING || f->doc.tokens[ch.finish].len <= 2)
        ch.finish = 0;
    return ch;
}

void openai_note_seen(openai_reply *r, const choice *ch)
{
    uint64_t bit = UINT64_C(1) << (ch->index & 63);
    if (!(r->seen_bits[ch->index >> 6] & bit)) {
        r->seen_bits[ch->index >> 6] |= bit;
        r->seen++;
    }
}

static int32_t finish_code(tp_str word)
{
    static const struct {
        tp_str word;
        int32_t code;
    } words[] = {
        {SPAN_INIT("stop"), TP_FINISH_STOP},
        {SPAN_INIT("tool_calls"), TP_FINISH_TOOLS},
        {SPAN_INIT("length"), TP_FINISH_LENGTH},
        {SPAN_INIT("eos"), TP_FINISH_STOP},
        {SPAN_INIT("content_filter"), TP_FINISH_FILTER},
        {SPAN_INIT("function_call"), TP_FINISH_TOOLS},
        {SPAN_INIT("max_tokens"), TP_FINISH_LENGTH},
        {SPAN_INIT("model_length"), TP_FINISH_LENGTH},
        {SPAN_INIT("tool_use"), TP_FINISH_TOOLS},
        {SPAN_INIT("refusal"), TP_FINISH_REFUSAL},
        {SPAN_INIT("safety"), TP_FINISH_FILTER},
        {SPAN_INIT("recitation"), TP_FINISH_FILTER},
        {SPAN_INIT("max_output_tokens"), TP_FINISH_LENGTH},
    };
    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
        if (span_ieq(word, words[i].word))
            return words[i].code;
    return TP_FINISH_STOP; /* end_turn, stop_sequence and whatever else ends a reply */
}

tp_str openai_finish_word(tp_str word)
{
    switch (finish_code(word)) {
    case TP_FINISH_LENGTH: return SPAN("length");
    case TP_FINISH_TOOLS: return SPAN("tool_calls");
    case TP_FINISH_FILTER:
    case TP_FINISH_REFUSAL: return SPAN("content_filter");
    default: return span_is(word, "error") ? SPAN_NONE : SPAN("stop");
    }
}

tp_status openai_emit_finish(frame *f, const choice *ch)
{
    openai_reply *r = f->r;
    uint64_t bit = UINT64_C(1) << (ch->index & 63);
    if (!ch->finish || r->finished_bits[ch->index >> 6] & bit)
        return TP_OK; /* OpenRouter says it twice */
    r->finished_bits[ch->index >> 6] |= bit;
    r->finished++;
    tp_event e = openai_event(TP_EV_FINISH);
    e.choice = ch->index;
    e.name = span_text(f->h, f->c, &f->doc, ch->finish);
    e.code = finish_code(e.name);
    tp_status st = f->h->emit(f->c, &e);
    if (st != TP_OK || !span_is(e.name, "error"))
        return st;
    if (f->usage) /* nothing follows an error */
        st = openai_usage(f->h, f->c, r, &f->doc, f->usage, SPAN_NONE);
    f->usage = 0;
    return st == TP_OK ? broken_reply(f, SPAN("The provider ended the reply with finish reason "
                                              "\"error\"."))
                       : st;
}

/* Does this delta hold anything but a role? Empty strings, lists and nulls are nothing. */
static int has_answer(frame *f, const choice *ch)
{
    if (ch->finish)
        return 1;
    if (!ch->body)
        return 0;
    for (members m = members_of(&f->doc, ch->body); members_next(&m);) {
        uint32_t kind = span_kind(&f->doc, m.value);
        if (kind == TP_NULL || (kind == TP_STRING && f->doc.tokens[m.value].len <= 2))
            continue;
        if ((kind == TP_ARRAY || kind == TP_OBJECT) && !span_filled(&f->doc, m.value))
            continue;
        tp_str k = span_inner(&f->doc, m.key);
        if (!span_is(k, "role") && !span_is(k, "name"))
            return 1;
    }
    return 0;
}

/* ---- Relaying: the frame passes as it stands; beside it, what the gateway must know. */

/* Bytes of answer in a delta: strings (content, reasoning...), and the arguments of tool calls. */
static int64_t answer_bytes(const frame *f, uint32_t body)
{
    int64_t sum = 0;
    for (members m = members_of(&f->doc, body); members_next(&m);) {
        tp_str k = span_inner(&f->doc, m.key);
        uint32_t kind = span_kind(&f->doc, m.value), end = f->doc.tokens[m.value].next;
        if (kind == TP_STRING && !span_is(k, "role") && !span_is(k, "name"))
            sum += f->doc.tokens[m.value].len - 2;
        for (uint32_t t = m.value + 1; kind == TP_ARRAY && t + 1 < end; t++)
            if (span_kind(&f->doc, t + 1) == TP_STRING && span_kind(&f->doc, t) == TP_STRING &&
                (span_is(span_inner(&f->doc, t), "arguments") ||
                 span_is(span_inner(&f->doc, t), "text")))
                sum += f->doc.tokens[t + 1].len - 2;
    }
    return sum;
}

static tp_status relay_choices(frame *f, int *finished)
{
    openai_reply *r = f->r;
    uint32_t stop = f->doc.tokens[f->choices].next;
    for (uint32_t t = f->choices + 1; t < stop; t = f->doc.tokens[t].next) {
        if (span_kind(&f->doc, t) != TP_OBJECT)
            continue;
        choice ch = openai_read_choice(f, t);
        openai_note_seen(r, &ch);
        if (!r->answered)
            r->answered = (uint8_t)has_answer(f, &ch);
        *finished |= ch.finish != 0;
        if (ch.body)
            f->bytes += answer_bytes(f, ch.body);
    }
    return TP_OK;
}

static tp_status relay(frame *f, tp_str raw)
{
    openai_reply *r = f->r;
    tp_status st = openai_emit_start(f);
    int finished = 0;
    int alone = r->sse && !f->choices && f->usage; /* a usage chunk of its own */
    if (f->choices)
        relay_choices(f, &finished);
    if (!r->sse)
        r->answered = 1;
    tp_str shown = alone ? raw : SPAN_NONE;
    if (r->strict && r->sse && !alone) {
        raw = openai_mended(f, raw, &shown);
        if (!raw.ptr)
            return f->h->fail(f->c, TP_E_NOMEM, SPAN_NONE, SPAN("out of memory for a frame"));
    }
    if (st == TP_OK && !alone) {
        tp_event e = openai_event(TP_EV_FRAME);
        e.raw = raw;
        e.flags = r->answered ? 0 : TP_EV_PREAMBLE;
        e.number = f->bytes ? f->bytes : 1; /* 0 is for those who cannot tell */
        st = f->h->emit(f->c, &e);
    }
    if (finished) {
        uint32_t stop = f->doc.tokens[f->choices].next;
        for (uint32_t t = f->choices + 1; t < stop && st == TP_OK && !r->done;
             t = f->doc.tokens[t].next) {
            if (span_kind(&f->doc, t) != TP_OBJECT)
                continue;
            choice ch = openai_read_choice(f, t);
            st = openai_emit_finish(f, &ch);
        }
    }
    if (st == TP_OK && f->usage)
        st = openai_usage(f->h, f->c, r, &f->doc, f->usage, shown);
    return st;
}

/* ---- One frame, or the whole body. */
static int is_error(const frame *f)
{
    uint32_t kind = span_kind(&f->doc, f->error);
    if (kind == TP_STRING)
        return f->doc.tokens[f->error].len > 2;
    return (kind == TP_OBJECT || kind == TP_ARRAY) && span_filled(&f->doc, f->error);
}

/* An error that has no member "error": {"object": "error", "message": ...}, {"detail": ...}. */
static int is_bare_error(const frame *f)
{
    if (f->choices)
        return 0;
    if (span_kind(&f->doc, f->object) == TP_STRING &&
        span_is(span_inner(&f->doc, f->object), "error"))
        return 1;
    return !f->usage && !f->id &&
           (span_given(&f->doc, f->detail) || span_given(&f->doc, f->message));
}

static tp_status error_frame(frame *f, uint32_t at)
{
    tp_status st = f->usage ? openai_usage(f->h, f->c, f->r, &f->doc, f->usage, SPAN_NONE) : TP_OK;
    f->r->done = 1;
    return st == TP_OK ? fault_in(f->h, f->c, &f->doc, at) : st;
}

static tp_status one_document(frame *f, tp_str data, int named_error)
{
    tp_status st = f->h->scan(f->c, data, &f->doc);
    if (st == TP_E_NOMEM)
        return st;
    if (st != TP_OK || !f->doc.count)
        return broken_reply(f, named_error ? SPAN("The provider reported an error.")
                                           : SPAN("The provider sent a reply that is not JSON."));
    if (f->doc.tokens[0].kind != TP_OBJECT) {
        if (!named_error && f->doc.tokens[0].kind != TP_ARRAY)
            return broken_reply(f, SPAN("The provider sent a reply that is not a JSON object."));
        f->r->done = 1;
        return fault_in(f->h, f->c, &f->doc, 0);
    }
    read_top(f);
    if (is_error(f))
        return error_frame(f, f->error);
    if (named_error || is_bare_error(f))
        return error_frame(f, 0);
    if (!f->r->sse && !f->choices)
        return broken_reply(f, SPAN("The provider sent a reply without choices."));
    if (f->r->relay && f->r->strict && !f->r->sse)
        f->r->relay = (uint8_t)openai_is_true_whole(f);
    return f->r->relay ? relay(f, data) : openai_decode(f);
}

static tp_status finished(const tp_host *h, tp_call *c, openai_reply *r)
{
    tp_event e = openai_event(TP_EV_END);
    tp_status st = openai_close_calls(h, c, r->choices);
    r->done = 1;
    return st == TP_OK ? h->emit(c, &e) : st;
}

tp_status openai_data(const tp_host *h, tp_call *c, openai_reply *r, tp_frame *in)
{
    frame f = {.h = h, .c = c, .r = r};
    if (r->done)
        return TP_OK; /* what follows an end or an error is not part of the reply */
    if (r->sse && in->data.len < 16) {
        tp_str word = span_trim(in->data);
        if (!word.len)
            return TP_OK;
        if (span_is(word, "[DONE]"))
            return finished(h, c, r);
    }
    return one_document(&f, in->data, r->sse && span_is(in->name, "error"));
}

/* A stream that ended without its mark is complete only if every choice said that it finished. */
tp_status openai_end(const tp_host *h, tp_call *c, openai_reply *r, int32_t broken)
{
    if (r->done || broken)
        return TP_OK;
    uint32_t expected = r->seen > r->asked ? r->seen : r->asked;
    if (r->sse && (!r->finished || r->finished < expected))
        return TP_OK;
    if (!r->sse && !r->seen)
        return TP_OK;
    return finished(h, c, r);
}
