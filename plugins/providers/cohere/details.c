/* Usage, citations and log probabilities in canonical shape. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include "cohere_int.h"

/* ---- Usage: `tokens` is what the model read and wrote, `billed_units` what Cohere charges, which
 * leaves out the words that Cohere itself puts around a prompt. Both are told. */
static uint32_t object_in(const chat_out *o, const tp_doc *d, uint32_t object, tp_str name)
{
    uint32_t t = span_find(o->h, d, object, name);
    return span_kind(d, t) == TP_OBJECT ? t : 0;
}

/* -1: not said */
static int64_t count_in(const chat_out *o, const tp_doc *d, uint32_t object, tp_str name)
{
    const int64_t most = INT64_C(1) << 50; /* so that sums cannot overflow */
    uint32_t t = object ? o->h->find(d, object, name) : 0;
    if (span_kind(d, t) != TP_NUMBER)
        return -1;
    int64_t v = span_count(d, t);
    return v < most ? v : most;
}

static int64_t part_of(int64_t part, int64_t whole)
{
    return part < 0 ? 0 : part < whole ? part : whole;
}

static void emit_some(chat_out *o, tp_str unit, int64_t n)
{
    if (n > 0)
        chat_emit_usage(o, unit, n);
}

void cohere_usage(chat_out *o, const tp_doc *d, uint32_t usage)
{
    if (span_kind(d, usage) != TP_OBJECT)
        return;
    uint32_t tokens = object_in(o, d, usage, SPAN("tokens"));
    uint32_t billed = object_in(o, d, usage, SPAN("billed_units"));
    int64_t in = count_in(o, d, tokens, SPAN("input_tokens"));
    int64_t out = count_in(o, d, tokens, SPAN("output_tokens"));
    int64_t images = count_in(o, d, tokens, SPAN("image_tokens")); /* not within input_tokens */
    int64_t billed_in = count_in(o, d, billed, SPAN("input_tokens"));
    int64_t billed_out = count_in(o, d, billed, SPAN("output_tokens"));
    int64_t cached = count_in(o, d, usage, SPAN("cached_tokens"));
    if (in < 0 && out < 0 && billed_in < 0 && billed_out < 0)
        return;
    int counted = in >= 0 || out >= 0;
    if (!counted) { /* the bill is all that there is */
        in = billed_in;
        out = billed_out;
    }
    in = (in > 0 ? in : 0) + (images > 0 ? images : 0);
    out = out > 0 ? out : 0;
    cached = part_of(cached, in);
    int64_t reasoning = part_of(count_in(o, d, tokens, SPAN("reasoning_tokens")), out);
    emit_some(o, SPAN("cache_read"), cached);
    chat_emit_usage(o, SPAN("prompt"), in - cached);
    emit_some(o, SPAN("reasoning"), reasoning);
    chat_emit_usage(o, SPAN("completion"), out - reasoning);
    if (counted && billed_in >= 0)
        chat_emit_usage(o, SPAN("billed_prompt"), billed_in);
    if (counted && billed_out >= 0)
        chat_emit_usage(o, SPAN("billed_completion"), billed_out);
    emit_some(o, SPAN("search_units"), count_in(o, d, billed, SPAN("search_units")));
}

/* ---- A text under way, in the call's memory. */
typedef struct text_out {
    char *ptr;
    size_t len;
} text_out;

static void put(text_out *t, tp_str s)
{
    if (s.len)
        memcpy(t->ptr + t->len, s.ptr, s.len);
    t->len += s.len;
}

static void put_int(text_out *t, int64_t v)
{
    char digits[24];
    put(t, span_of_int(v, digits));
}

static int open_text(chat_out *o, text_out *t, size_t room)
{
    *t = (text_out){.ptr = o->st == TP_OK ? o->h->alloc(o->c, room) : NULL};
    if (!t->ptr && o->st == TP_OK)
        o->st = TP_E_NOMEM;
    return t->ptr != NULL;
}

static void emit_json(chat_out *o, const cohere_reply *r, int32_t kind, const text_out *t)
{
    tp_event e = chat_event(kind, 0, r->text ? r->text - 1 : r->items);
    e.raw = (tp_str){t->ptr, t->len};
    chat_emit(o, &e);
}

/* ---- Citations. */
typedef struct citation {
    int64_t start, end;
    uint32_t text, type, sources; /* values; 0: absent */
    int of_text;                  /* of the answer, not of a plan or a thought */
} citation;

static citation read_citation(chat_out *o, const cohere_reply *r, const tp_doc *d, uint32_t at)
{
    citation x = {.of_text = 1};
    uint32_t block = 0;
    for (members m = members_of(d, at); members_next(&m);) {
        tp_str k = span_text(o->h, o->c, d, m.key);
        if (span_is(k, "start")) x.start = span_count(d, m.value);
        else if (span_is(k, "end")) x.end = span_count(d, m.value);
        else if (span_is(k, "text")) x.text = m.value;
        else if (span_is(k, "type")) x.type = m.value;
        else if (span_is(k, "sources")) x.sources = m.value;
        else if (span_is(k, "content_index")) block = m.value;
    }
    if (span_kind(d, x.type) == TP_STRING)
        x.of_text = span_is(span_inner(d, x.type), "TEXT_CONTENT");
    if (span_kind(d, x.sources) != TP_ARRAY)
        x.sources = 0;
    int64_t place = span_kind(d, block) == TP_NUMBER ? span_count(d, block) : r->block;
    if (x.of_text &&
        place < COHERE_BLOCKS) { /* places are within a block, the client's in the text */
        x.start += r->base[place];
        x.end += r->base[place];
    }
    return x;
}

/* The fields of a source: document's or tool_output's. */
static uint32_t source_fields(chat_out *o, const tp_doc *d, uint32_t source)
{
    uint32_t t = object_in(o, d, source, SPAN("document"));
    return t ? t : object_in(o, d, source, SPAN("tool_output"));
}

static uint32_t source_url(chat_out *o, const tp_doc *d, uint32_t source)
{
    if (span_kind(d, source) != TP_OBJECT)
        return 0;
    uint32_t fields = source_fields(o, d, source);
    uint32_t url = fields ? o->h->find(d, fields, SPAN("url")) : 0;
    if (span_kind(d, url) != TP_STRING)
        return 0;
    tp_str s = span_inner(d, url);
    return span_istarts(s, SPAN("http://")) || span_istarts(s, SPAN("https://")) ? url : 0;
}

static void put_places(text_out *t, const citation *x)
{
    put(t, SPAN("\"start_index\":"));
    put_int(t, x->start);
    put(t, SPAN(",\"end_index\":"));
    put_int(t, x->end);
}

/* OpenAI's own shape, for a source with an address. */
static void emit_url(chat_out *o, const cohere_reply *r, const tp_doc *d, const citation *x,
                     uint32_t source, uint32_t url)
{
    text_out t;
    uint32_t title = o->h->find(d, source_fields(o, d, source), SPAN("title"));
    size_t room = 200 + d->tokens[url].len + (title ? d->tokens[title].len : 0);
    if (!open_text(o, &t, room))
        return;
    put(&t, SPAN("{\"type\":\"url_citation\",\"url_citation\":{"));
    put_places(&t, x);
    put(&t, SPAN(",\"title\":"));
    put(&t, span_kind(d, title) == TP_STRING ? span_raw(d, title) : SPAN("\"\""));
    put(&t, SPAN(",\"url\":"));
    put(&t, span_raw(d, url));
    put(&t, SPAN("}}"));
    emit_json(o, r, TP_EV_ANNOTATION, &t);
}

static void emit_document(chat_out *o, const cohere_reply *r, const tp_doc *d, const citation *x)
{
    text_out t;
    size_t room = 240 + (x->text ? d->tokens[x->text].len : 0) +
                  (x->type ? d->tokens[x->type].len : 0) +
                  (x->sources ? d->tokens[x->sources].len : 0);
    if (!open_text(o, &t, room))
        return;
    put(&t, SPAN("{\"type\":\"document_citation\",\"document_citation\":{"));
    put_places(&t, x);
    if (x->text) {
        put(&t, SPAN(",\"text\":"));
        put(&t, span_raw(d, x->text));
    }
    if (!x->of_text)
        put(&t, SPAN(",\"of\":\"reasoning\""));
    put(&t, SPAN(",\"sources\":"));
    put(&t, x->sources ? span_raw(d, x->sources) : SPAN("[]"));
    put(&t, SPAN("}}"));
    emit_json(o, r, TP_EV_ANNOTATION, &t);
}

void cohere_citation(chat_out *o, cohere_reply *r, const tp_doc *d, uint32_t at)
{
    if (span_kind(d, at) != TP_OBJECT)
        return;
    citation x = read_citation(o, r, d, at);
    uint32_t sources = 0, addressed = 0, stop = x.sources ? d->tokens[x.sources].next : 0;
    for (uint32_t t = x.sources + 1; x.of_text && t < stop; t = d->tokens[t].next, sources++) {
        uint32_t url = source_url(o, d, t);
        if (!url)
            continue;
        addressed++;
        emit_url(o, r, d, &x, t, url);
    }
    if (!addressed || addressed < sources)
        emit_document(o, r, d, &x);
}

/* ---- Log probabilities: {"text", "token_ids", "logprobs"}, a chunk of one token or of several,
 * whose sum is the chunk's. */
static double sum_of(const tp_doc *d, uint32_t list)
{
    double sum = 0;
    char text[64];
    for (uint32_t t = list + 1; t < d->tokens[list].next; t = d->tokens[t].next) {
        tp_str s = span_kind(d, t) == TP_NUMBER ? span_raw(d, t) : SPAN_NONE;
        if (!s.len || s.len >= sizeof(text))
            continue;
        memcpy(text, s.ptr, s.len);
        text[s.len] = 0;
        sum += strtod(text, NULL);
    }
    return isfinite(sum) ? sum : -9999.0;
}

static void put_logprob(text_out *out, const chat_out *o, const tp_doc *d, uint32_t item)
{
    char number[40];
    uint32_t text = span_find(o->h, d, item, SPAN("text"));
    uint32_t list = span_find(o->h, d, item, SPAN("logprobs"));
    put(out, SPAN("{\"token\":"));
    put(out, span_kind(d, text) == TP_STRING ? span_raw(d, text) : SPAN("\"\""));
    put(out, SPAN(",\"logprob\":"));
    uint32_t first = span_kind(d, list) == TP_ARRAY && span_filled(d, list) ? list + 1 : 0;
    if (first && span_kind(d, first) == TP_NUMBER &&
        d->tokens[first].next == d->tokens[list].next) {
        put(out, span_raw(d, first));
    } else {
        int n = snprintf(number, sizeof(number), "%.12g", first ? sum_of(d, list) : 0.0);
        put(out, (tp_str){number, (size_t)n});
    }
    put(out, SPAN(",\"bytes\":null,\"top_logprobs\":[]}"));
}

void cohere_logprobs(chat_out *o, cohere_reply *r, const tp_doc *d, uint32_t at)
{
    text_out t;
    uint32_t list = span_kind(d, at) == TP_ARRAY, count = 1;
    for (uint32_t x = at + 1; list && x < d->tokens[at].next; x = d->tokens[x].next)
        count++;
    if ((!list && span_kind(d, at) != TP_OBJECT) || (list && count == 1) ||
        !open_text(o, &t, 64 + d->tokens[at].len + (size_t)count * 120))
        return;
    put(&t, SPAN("{\"content\":["));
    if (!list)
        put_logprob(&t, o, d, at);
    for (uint32_t x = at + 1, n = 0; list && x < d->tokens[at].next; x = d->tokens[x].next) {
        if (span_kind(d, x) != TP_OBJECT)
            continue;
        if (n++)
            put(&t, SPAN(","));
        put_logprob(&t, o, d, x);
    }
    put(&t, SPAN("],\"refusal\":null}"));
    emit_json(o, r, TP_EV_LOGPROBS, &t);
}
