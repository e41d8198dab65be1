/* What stands beside the text of a candidate: sources, citations, log probabilities. */
#include "google_reply_int.h"

/* ---- Text of our own making: JSON of events. */
typedef struct text_out {
    const tp_host *h;
    tp_call *c;
    char *ptr;
    size_t len, room;
    int failed;
} text_out;

static void add(text_out *o, tp_str s)
{
    if (o->failed || !s.len)
        return;
    if (o->len + s.len > o->room) {
        size_t room = (o->len + s.len) * 2 + 256;
        char *p = o->h->alloc(o->c, room);
        if (!p) {
            o->failed = 1;
            return;
        }
        if (o->len)
            memcpy(p, o->ptr, o->len);
        o->ptr = p;
        o->room = room;
    }
    memcpy(o->ptr + o->len, s.ptr, s.len);
    o->len += s.len;
}

static void add_int(text_out *o, int64_t v)
{
    char digits[24];
    add(o, span_of_int(v, digits));
}

static text_out text_for(google_frame *f)
{
    return (text_out){.h = f->o.h, .c = f->o.c};
}

void google_emit_raw(google_frame *f, const google_choice *k, int32_t kind, tp_str id, tp_str raw)
{
    tp_event e = chat_event(kind, k->index, k->text ? k->text - 1 : k->items);
    e.id = id;
    if (kind == TP_EV_ITEM)
        e.name = GOOGLE_ITEM;
    e.raw = raw;
    chat_emit(&f->o, &e);
}

static void emit_text(google_frame *f, const google_choice *k, int32_t kind, const text_out *o)
{
    if (o->failed)
        f->o.st = TP_E_NOMEM;
    else
        google_emit_raw(f, k, kind, SPAN_NONE, (tp_str){o->ptr, o->len});
}

/* ---- Places: Google counts bytes, OpenAI characters. */
static uint64_t characters_in(tp_str s)
{
    uint64_t n = 0;
    for (size_t i = 0; i < s.len; i++)
        n += ((unsigned char)s.ptr[i] & 0xc0) != 0x80;
    return n;
}

void google_measure(google_choice *k, tp_str text)
{
    google_ruler *r = k->ruler;
    uint64_t chars = 0;
    for (size_t i = 0; i < text.len; i++) {
        uint64_t at = r->bytes + i;
        int inner = ((unsigned char)text.ptr[i] & 0xc0) == 0x80;
        chars += !inner;
        if (at >= GOOGLE_RULER)
            continue;
        r->known += !inner;
        r->inner[at >> 6] |= (uint64_t)inner << (at & 63);
    }
    r->bytes += text.len;
    r->chars += chars;
}

/* Characters before a byte: exact in the first GOOGLE_RULER bytes and where the text is ASCII, by
 * proportion behind. */
static uint64_t place_of(const google_choice *k, int64_t byte)
{
    const google_ruler *r = k->ruler;
    uint64_t at = byte > 0 ? (uint64_t)byte : 0, inner = 0;
    if (!r || r->bytes == r->chars)
        return at;
    if (at >= r->bytes)
        return r->chars;
    if (at > GOOGLE_RULER)
        return r->known + (at - GOOGLE_RULER) * (r->chars - r->known) / (r->bytes - GOOGLE_RULER);
    for (uint64_t i = 0; i < at >> 6; i++)
        inner += (uint64_t)__builtin_popcountll(r->inner[i]);
    if (at & 63)
        inner += (uint64_t)__builtin_popcountll(r->inner[at >> 6] & ((UINT64_C(1) << (at & 63)) - 1));
    return at - inner;
}

/* ---- Sources. Chunks of a stream may repeat them: each is told once. */
enum { TOLD = 128 };
struct google_annotated {
    uint64_t told[TOLD];
    uint32_t count;
};

static int told_before(google_frame *f, const google_choice *k, tp_str url, int64_t start,
                       int64_t end)
{
    google_annotated *a = f->r->annotated;
    if (!a)
        a = f->r->annotated = f->o.h->keep(f->o.c, sizeof(*a));
    if (!a)
        return 0;
    uint64_t x = UINT64_C(0xcbf29ce484222325) ^ k->index;
    for (size_t i = 0; i < url.len; i++)
        x = (x ^ (unsigned char)url.ptr[i]) * UINT64_C(0x100000001b3);
    x = (x ^ (uint64_t)start) * UINT64_C(0x100000001b3);
    x = (x ^ (uint64_t)end) * UINT64_C(0x100000001b3);
    for (uint32_t i = 0; i < a->count; i++)
        if (a->told[i] == x)
            return 1;
    if (a->count < TOLD)
        a->told[a->count++] = x;
    return 0;
}

/* {"type": "url_citation", "url_citation": {...}}; url and title are string tokens. */
static void cite(google_frame *f, const google_choice *k, uint32_t url, uint32_t title,
                 int64_t start, int64_t end)
{
    if (span_kind(f->d, url) != TP_STRING || f->d->tokens[url].len <= 2 ||
        told_before(f, k, span_inner(f->d, url), start, end))
        return;
    text_out o = text_for(f);
    add(&o, SPAN("{\"type\":\"url_citation\",\"url_citation\":{\"start_index\":"));
    add_int(&o, start);
    add(&o, SPAN(",\"end_index\":"));
    add_int(&o, end);
    add(&o, SPAN(",\"url\":"));
    add(&o, span_raw(f->d, url));
    add(&o, SPAN(",\"title\":"));
    add(&o, span_kind(f->d, title) == TP_STRING ? span_raw(f->d, title) : SPAN("\"\""));
    add(&o, SPAN("}}"));
    emit_text(f, k, TP_EV_ANNOTATION, &o);
}

/* A grounding chunk: {"web" | "maps" | "retrievedContext" | "image": {"uri", "title"}}. */
static uint32_t source_of(const google_frame *f, uint32_t chunk)
{
    if (span_kind(f->d, chunk) != TP_OBJECT)
        return 0;
    for (members m = members_of(f->d, chunk); members_next(&m);)
        if (span_kind(f->d, m.value) == TP_OBJECT && f->o.h->find(f->d, m.value, SPAN("uri")))
            return m.value;
    return 0;
}

static void cite_source(google_frame *f, const google_choice *k, uint32_t source, int64_t start,
                        int64_t end)
{
    if (source)
        cite(f, k, f->o.h->find(f->d, source, SPAN("uri")),
             f->o.h->find(f->d, source, SPAN("title")), start, end);
}

enum { SOURCES = 256 }; /* a reply has some dozen */
typedef struct sources { uint32_t at[SOURCES], count; } sources;

static void read_sources(const google_frame *f, uint32_t chunks, sources *x)
{
    x->count = 0;
    for (uint32_t t = chunks + 1; t < f->d->tokens[chunks].next && x->count < SOURCES;
         t = f->d->tokens[t].next)
        x->at[x->count++] = source_of(f, t);
}

/* One stretch of the text and the sources that it rests on. */
static void cite_support(google_frame *f, const google_choice *k, const sources *from, uint32_t t)
{
    uint32_t segment = span_find(f->o.h, f->d, t, SPAN("segment"));
    uint32_t indices = span_find(f->o.h, f->d, t, SPAN("groundingChunkIndices"));
    if (span_kind(f->d, segment) != TP_OBJECT || span_kind(f->d, indices) != TP_ARRAY)
        return;
    tp_str text = span_member(f->o.h, f->o.c, f->d, segment, SPAN("text"));
    uint64_t start = place_of(k, span_count(f->d, f->o.h->find(f->d, segment, SPAN("startIndex"))));
    uint64_t end = text.len ? start + characters_in(text)
                            : place_of(k, span_count(f->d, f->o.h->find(f->d, segment,
                                                                        SPAN("endIndex"))));
    for (uint32_t x = indices + 1; x < f->d->tokens[indices].next && f->o.st == TP_OK;
         x = f->d->tokens[x].next) {
        int64_t n;
        if (span_int(f->d, x, &n) && n >= 0 && n < from->count)
            cite_source(f, k, from->at[n], (int64_t)start, (int64_t)end);
    }
}

void google_grounding(google_frame *f, google_choice *k, uint32_t t)
{
    if (span_kind(f->d, t) != TP_OBJECT || !span_filled(f->d, t))
        return;
    uint32_t chunks = f->o.h->find(f->d, t, SPAN("groundingChunks"));
    uint32_t supports = f->o.h->find(f->d, t, SPAN("groundingSupports"));
    if (span_kind(f->d, chunks) == TP_ARRAY) {
        sources from;
        read_sources(f, chunks, &from);
        if (span_kind(f->d, supports) == TP_ARRAY && span_filled(f->d, supports)) {
            for (uint32_t x = supports + 1; x < f->d->tokens[supports].next && f->o.st == TP_OK;
                 x = f->d->tokens[x].next)
                cite_support(f, k, &from, x);
        } else { /* sources of the whole answer */
            for (uint32_t i = 0; i < from.count && f->o.st == TP_OK; i++)
                cite_source(f, k, from.at[i], 0, 0);
        }
    }
    google_emit_raw(f, k, TP_EV_ITEM, SPAN("groundingMetadata"), span_raw(f->d, t));
}

/* {"citationSources" | "citations": [{"startIndex", "endIndex", "uri", "title"}]}. */
void google_citations(google_frame *f, google_choice *k, uint32_t t)
{
    uint32_t list = span_find(f->o.h, f->d, t, SPAN("citations"));
    if (span_kind(f->d, list) != TP_ARRAY)
        list = span_find(f->o.h, f->d, t, SPAN("citationSources"));
    if (span_kind(f->d, list) != TP_ARRAY)
        return;
    for (uint32_t x = list + 1; x < f->d->tokens[list].next && f->o.st == TP_OK;
         x = f->d->tokens[x].next) {
        uint32_t url = span_find(f->o.h, f->d, x, SPAN("uri"));
        if (!url)
            continue;
        int64_t start = span_count(f->d, f->o.h->find(f->d, x, SPAN("startIndex")));
        int64_t end = span_count(f->d, f->o.h->find(f->d, x, SPAN("endIndex")));
        cite(f, k, url, f->o.h->find(f->d, x, SPAN("title")), (int64_t)place_of(k, start),
             (int64_t)place_of(k, end));
    }
    google_emit_raw(f, k, TP_EV_ITEM, SPAN("citationMetadata"), span_raw(f->d, t));
}

/* ---- Log probabilities: {"token", "logProbability"} as {"token", "logprob", "bytes"}. */
static void add_token(google_frame *f, text_out *o, uint32_t t)
{
    uint32_t token = span_find(f->o.h, f->d, t, SPAN("token"));
    uint32_t p = span_find(f->o.h, f->d, t, SPAN("logProbability"));
    add(o, SPAN("\"token\":"));
    add(o, span_kind(f->d, token) == TP_STRING ? span_raw(f->d, token) : SPAN("\"\""));
    add(o, SPAN(",\"logprob\":"));
    add(o, span_kind(f->d, p) == TP_NUMBER ? span_raw(f->d, p) : SPAN("0"));
    add(o, SPAN(",\"bytes\":["));
    tp_str bytes = span_kind(f->d, token) == TP_STRING ? span_text(f->o.h, f->o.c, f->d, token)
                                                       : SPAN_NONE;
    for (size_t i = 0; i < bytes.len; i++) {
        if (i)
            add(o, SPAN(","));
        add_int(o, (unsigned char)bytes.ptr[i]);
    }
    add(o, SPAN("]"));
}

static void add_others(google_frame *f, text_out *o, uint32_t step)
{
    uint32_t list = span_find(f->o.h, f->d, step, SPAN("candidates"));
    int any = 0;
    add(o, SPAN(",\"top_logprobs\":["));
    for (uint32_t t = list + 1; span_kind(f->d, list) == TP_ARRAY && t < f->d->tokens[list].next;
         t = f->d->tokens[t].next) {
        if (f->d->tokens[t].kind != TP_OBJECT)
            continue;
        add(o, any++ ? SPAN(",{") : SPAN("{"));
        add_token(f, o, t);
        add(o, SPAN("}"));
    }
    add(o, SPAN("]"));
}

void google_logprobs(google_frame *f, google_choice *k, uint32_t t)
{
    uint32_t chosen = span_find(f->o.h, f->d, t, SPAN("chosenCandidates"));
    uint32_t top = span_find(f->o.h, f->d, t, SPAN("topCandidates"));
    if (span_kind(f->d, chosen) != TP_ARRAY || !span_filled(f->d, chosen))
        return;
    uint32_t step = span_kind(f->d, top) == TP_ARRAY ? top + 1 : 0, any = 0;
    text_out o = text_for(f);
    add(&o, SPAN("{\"content\":["));
    for (uint32_t x = chosen + 1; x < f->d->tokens[chosen].next; x = f->d->tokens[x].next) {
        if (f->d->tokens[x].kind != TP_OBJECT)
            continue;
        add(&o, any++ ? SPAN(",{") : SPAN("{"));
        add_token(f, &o, x);
        if (step && step < f->d->tokens[top].next) {
            add_others(f, &o, step);
            step = f->d->tokens[step].next;
        } else {
            add(&o, SPAN(",\"top_logprobs\":[]"));
        }
        add(&o, SPAN("}"));
    }
    add(&o, SPAN("],\"refusal\":null}"));
    emit_text(f, k, TP_EV_LOGPROBS, &o);
}
