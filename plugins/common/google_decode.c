/* A reply of generateContent as canonical events. Finish reasons are told at the end: older models
 * say STOP with every chunk, and a later reason is the one that counts. */
#include "google_reply_int.h"
#include "provider.h"

static tp_status say(google_frame *f, tp_str why)
{
    f->r->done = 1;
    if (f->o.st != TP_OK)
        return f->o.st;
    return f->o.st = fault_say(f->o.h, f->o.c, why);
}

static google_choice *choice_of(google_frame *f, uint32_t index)
{
    google_choice *k = f->r->choices;
    while (k && k->index != index)
        k = k->next;
    if (k)
        return k;
    k = f->o.h->keep(f->o.c, sizeof(*k));
    if (!k) {
        f->o.st = f->o.h->fail(f->o.c, TP_E_NOMEM, SPAN_NONE,
                               SPAN("the reply holds more candidates than can be kept track of"));
        return NULL;
    }
    *k = (google_choice){.next = f->r->choices, .index = index};
    if (f->r->measure && index < 8)
        k->ruler = f->o.h->keep(f->o.c, sizeof(*k->ruler));
    f->r->choices = k;
    return k;
}

/* ---- Parts. */
typedef struct part {
    uint32_t text, thought, proof, call, data, other;
} part;

static void read_part(const google_frame *f, uint32_t t, part *p)
{
    for (members m = members_of(f->d, t); members_next(&m);) {
        tp_str k = span_inner(f->d, m.key);
        if (span_is(k, "text")) p->text = m.value;
        else if (span_is(k, "thought")) p->thought = m.value;
        else if (span_is(k, "thoughtSignature")) p->proof = m.value;
        else if (span_is(k, "functionCall")) p->call = m.value;
        else if (span_is(k, "inlineData")) p->data = m.value;
        else p->other = m.value;
    }
}

/* The item of a text or thought: a new one where another kind of part stood between. */
static uint32_t text_item(google_choice *k, int32_t kind)
{
    uint32_t *slot = kind == TP_EV_TEXT ? &k->text : &k->thought;
    if (k->last != kind || !*slot)
        *slot = ++k->items;
    k->last = kind;
    return *slot - 1;
}

static uint32_t new_item(google_choice *k)
{
    k->last = 0;
    return k->items++;
}

static void emit_proof(google_frame *f, const google_choice *k, uint32_t item, tp_str id, uint32_t t)
{
    if (span_kind(f->d, t) != TP_STRING || f->d->tokens[t].len <= 2)
        return;
    tp_event e = chat_event(TP_EV_SIGNATURE, k->index, item);
    e.id = id;
    e.name = GOOGLE_FORMAT;
    e.text = span_text(f->o.h, f->o.c, f->d, t);
    chat_emit(&f->o, &e);
}

/* An empty text that carries a signature ends the text before it. */
static void decode_text(google_frame *f, google_choice *k, const part *p)
{
    int32_t kind = span_true(f->d, p->thought) ? TP_EV_REASONING : TP_EV_TEXT;
    int empty = span_kind(f->d, p->text) != TP_STRING || f->d->tokens[p->text].len <= 2;
    uint32_t slot = kind == TP_EV_TEXT ? k->text : k->thought;
    if (empty) {
        if (p->proof)
            emit_proof(f, k, slot ? slot - 1 : text_item(k, kind), SPAN_NONE, p->proof);
        return;
    }
    uint32_t item = text_item(k, kind);
    tp_str text = span_text(f->o.h, f->o.c, f->d, p->text);
    chat_emit_text(&f->o, kind, k->index, item, text);
    if (kind == TP_EV_TEXT && k->ruler)
        google_measure(k, text);
    if (p->proof)
        emit_proof(f, k, item, SPAN_NONE, p->proof);
}

static uint64_t mixed(uint64_t x)
{
    x += UINT64_C(0x9e3779b97f4a7c15);
    x = (x ^ (x >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    x = (x ^ (x >> 27)) * UINT64_C(0x94d049bb133111eb);
    return x ^ (x >> 31);
}

/* An id for a call that came without one: "call_" and 24 letters and digits. */
static tp_str made_id(google_reply *r, char id[29])
{
    static const char digits[] = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ";
    uint64_t x = 0;
    memcpy(id, "call_", 5);
    r->made++;
    for (unsigned i = 0; i < 24; i++) {
        if (i % 8 == 0)
            x = mixed(r->seed + r->made * 3 + i / 8);
        id[5 + i] = digits[x % 62];
        x /= 62;
    }
    return (tp_str){id, 29};
}

/* Whitespace outside strings; a whole reply is printed for people. */
tp_str google_compact(google_frame *f, tp_str json)
{
    size_t n = 0, i = 0;
    int inside = 0;
    for (; i < json.len && (unsigned char)json.ptr[i] > ' '; i++)
        if (json.ptr[i] == '"')
            for (i++; i < json.len && json.ptr[i] != '"'; i++)
                i += json.ptr[i] == '\\';
    if (i >= json.len)
        return json; /* nothing to take out */
    char *to = f->o.h->alloc(f->o.c, json.len);
    if (!to)
        return json;
    for (i = 0; i < json.len; i++) {
        char ch = json.ptr[i];
        if (!inside && (unsigned char)ch <= ' ')
            continue;
        to[n++] = ch;
        if (ch == '"')
            inside = !inside;
        else if (inside && ch == '\\' && i + 1 < json.len)
            to[n++] = json.ptr[++i];
    }
    return (tp_str){to, n};
}

static void decode_call(google_frame *f, google_choice *k, const part *p)
{
    char made[29];
    tp_str id = span_member(f->o.h, f->o.c, f->d, p->call, SPAN("id"));
    tp_str name = span_member(f->o.h, f->o.c, f->d, p->call, SPAN("name"));
    uint32_t args = span_find(f->o.h, f->d, p->call, SPAN("args"));
    if (span_given(f->d, span_find(f->o.h, f->d, p->call, SPAN("partialArgs"))) ||
        span_true(f->d, span_find(f->o.h, f->d, p->call, SPAN("willContinue")))) {
        say(f, SPAN("The provider sent a tool call in pieces, which was not asked for."));
        return;
    }
    if (!name.len) {
        if (!id.len && !span_given(f->d, args) && !p->proof)
            return; /* the empty end of a call that was streamed */
        say(f, SPAN("The provider sent a tool call without a name."));
        return;
    }
    if (!id.len)
        id = made_id(f->r, made);
    uint32_t item = new_item(k);
    k->calls++;
    chat_emit_call(&f->o, k->index, item, id, name);
    chat_emit_text(&f->o, TP_EV_ARGUMENTS, k->index, item,
                   span_kind(f->d, args) == TP_OBJECT ? google_compact(f, span_raw(f->d, args))
                                                      : SPAN("{}"));
    emit_proof(f, k, item, id, p->proof);
}

static void emit_item(google_frame *f, const google_choice *k, uint32_t item, uint32_t t)
{
    tp_event e = chat_event(TP_EV_ITEM, k->index, item);
    e.name = GOOGLE_ITEM;
    e.raw = span_raw(f->d, t);
    chat_emit(&f->o, &e);
}

/* Pictures that belong to a thought are drafts: kept for those who read the format. */
static void decode_data(google_frame *f, google_choice *k, uint32_t at, const part *p)
{
    char id[32] = "image:", digits[24];
    uint32_t item = new_item(k);
    tp_str type = span_member(f->o.h, f->o.c, f->d, p->data, SPAN("mimeType"));
    uint32_t data = span_find(f->o.h, f->d, p->data, SPAN("data"));
    if (span_true(f->d, p->thought) || span_kind(f->d, data) != TP_STRING) {
        emit_item(f, k, item, at);
        return;
    }
    tp_event e = chat_event(TP_EV_MEDIA, k->index, item);
    e.name = type;
    e.text = span_text(f->o.h, f->o.c, f->d, data);
    chat_emit(&f->o, &e);
    if (!span_istarts(type, SPAN("image/"))) {
        emit_proof(f, k, item, SPAN_NONE, p->proof);
        return;
    }
    tp_str n = span_of_int(k->media++, digits);
    memcpy(id + 6, n.ptr, n.len);
    emit_proof(f, k, item, (tp_str){id, 6 + n.len}, p->proof);
}


static void decode_part(google_frame *f, google_choice *k, uint32_t t)
{
    part p = {0};
    if (f->d->tokens[t].kind != TP_OBJECT)
        return;
    read_part(f, t, &p);
    if (span_kind(f->d, p.call) == TP_OBJECT)
        decode_call(f, k, &p);
    else if (span_kind(f->d, p.data) == TP_OBJECT)
        decode_data(f, k, t, &p);
    else if (p.text || !span_given(f->d, p.other))
        decode_text(f, k, &p);
    else /* code that the upstream ran, its searches, what came of them: with its signature */
        emit_item(f, k, new_item(k), t);
}

/* ---- Candidates. */
typedef struct candidate {
    uint32_t content, reason, grounding, citations, logprobs, addresses;
    uint32_t index;
} candidate;

static candidate read_candidate(const google_frame *f, uint32_t t)
{
    candidate x = {0};
    for (members m = members_of(f->d, t); members_next(&m);) {
        tp_str k = span_inner(f->d, m.key);
        if (span_is(k, "content")) {
            x.content = m.value;
        } else if (span_is(k, "finishReason")) {
            x.reason = m.value;
        } else if (span_is(k, "index")) {
            int64_t v = span_count(f->d, m.value);
            x.index = v > 127 ? 127 : (uint32_t)v;
        } else if (span_is(k, "groundingMetadata")) {
            x.grounding = m.value;
        } else if (span_is(k, "citationMetadata")) {
            x.citations = m.value;
        } else if (span_is(k, "logprobsResult")) {
            x.logprobs = m.value;
        } else if (span_is(k, "urlContextMetadata")) {
            x.addresses = m.value;
        }
    }
    return x;
}

static uint8_t kept_word(char *to, size_t room, tp_str word)
{
    size_t n = word.len < room ? word.len : room;
    for (size_t i = 0; i < n; i++) /* an enum's word; anything else is not worth its bytes */
        to[i] = (unsigned char)word.ptr[i] > ' ' && (unsigned char)word.ptr[i] < 0x7f ? word.ptr[i]
                                                                                      : '?';
    return (uint8_t)n;
}

static void decode_candidate(google_frame *f, uint32_t t)
{
    candidate x = read_candidate(f, t);
    google_choice *k = choice_of(f, x.index);
    if (!k)
        return;
    uint32_t parts = span_kind(f->d, x.content) == TP_OBJECT
                         ? f->o.h->find(f->d, x.content, SPAN("parts")) : 0;
    if (span_kind(f->d, parts) == TP_ARRAY)
        for (uint32_t p = parts + 1; p < f->d->tokens[parts].next && f->o.st == TP_OK && !f->r->done;
             p = f->d->tokens[p].next)
            decode_part(f, k, p);
    if (f->r->done)
        return;
    if (x.grounding)
        google_grounding(f, k, x.grounding);
    if (x.citations)
        google_citations(f, k, x.citations);
    if (span_kind(f->d, x.addresses) == TP_OBJECT && span_filled(f->d, x.addresses))
        google_emit_raw(f, k, TP_EV_ITEM, SPAN("urlContextMetadata"), span_raw(f->d, x.addresses));
    if (x.logprobs)
        google_logprobs(f, k, x.logprobs);
    if (span_kind(f->d, x.reason) == TP_STRING && f->d->tokens[x.reason].len > 2) {
        tp_str word = span_inner(f->d, x.reason);
        if (span_is(word, "FINISH_REASON_UNSPECIFIED") && !k->finished && f->r->sse)
            return; /* what some chunks say before the last */
        k->finished = 1;
        k->reason_len = kept_word(k->reason, sizeof(k->reason), word);
    }
}

/* ---- The top level. */
typedef struct top { uint32_t candidates, feedback, usage, model, id, error, created; } top;

static top read_top(const google_frame *f, uint32_t t)
{
    top x = {0};
    for (members m = members_of(f->d, t); members_next(&m);) {
        tp_str k = span_inner(f->d, m.key);
        if (span_is(k, "candidates")) x.candidates = m.value;
        else if (span_is(k, "usageMetadata")) x.usage = m.value;
        else if (span_is(k, "modelVersion")) x.model = m.value;
        else if (span_is(k, "responseId")) x.id = m.value;
        else if (span_is(k, "promptFeedback")) x.feedback = m.value;
        else if (span_is(k, "createTime")) x.created = m.value;
        else if (span_is(k, "error")) x.error = m.value;
    }
    return x;
}

static int64_t number_at(tp_str s, size_t at, size_t len)
{
    int64_t v = -1;
    return span_to_int((tp_str){s.ptr + at, len}, &v) && v >= 0 ? v : -1;
}

/* "2026-03-12T18:06:32.920805Z" as Unix seconds, or 0. */
static int64_t time_of(tp_str s)
{
    if (s.len < 20 || s.ptr[s.len - 1] != 'Z' || s.ptr[10] != 'T')
        return 0;
    int64_t year = number_at(s, 0, 4), month = number_at(s, 5, 2), day = number_at(s, 8, 2);
    int64_t hour = number_at(s, 11, 2), minute = number_at(s, 14, 2), second = number_at(s, 17, 2);
    if (year < 1970 || month < 1 || month > 12 || day < 1 || hour < 0 || minute < 0 || second < 0)
        return 0;
    year -= month <= 2;
    int64_t era = year / 400, of_era = year - era * 400;
    int64_t of_year = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1;
    int64_t days = era * 146097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719468;
    return ((days * 24 + hour) * 60 + minute) * 60 + second;
}

static tp_str string_at(google_frame *f, uint32_t t)
{
    return span_kind(f->d, t) == TP_STRING ? span_text(f->o.h, f->o.c, f->d, t) : SPAN_NONE;
}

static void start(google_frame *f, const top *x)
{
    tp_str id = string_at(f, x->id), model = string_at(f, x->model);
    if (f->r->started || (!id.len && !model.len && !x->candidates))
        return;
    f->r->started = 1;
    if (id.len || model.len)
        chat_emit_start(&f->o, id, model, time_of(string_at(f, x->created)));
}

static void decode_chunk(google_frame *f, uint32_t t)
{
    top x = read_top(f, t);
    if (span_given(f->d, x.error)) {
        google_usage(f, x.usage);
        f->r->done = 1;
        if (f->o.st == TP_OK)
            f->o.st = google_fault_in(f->o.h, f->o.c, f->d, x.error);
        return;
    }
    start(f, &x);
    if (span_kind(f->d, x.candidates) == TP_ARRAY)
        for (uint32_t k = x.candidates + 1;
             k < f->d->tokens[x.candidates].next && f->o.st == TP_OK && !f->r->done;
             k = f->d->tokens[k].next)
            if (f->d->tokens[k].kind == TP_OBJECT)
                decode_candidate(f, k);
    if (span_kind(f->d, x.feedback) == TP_OBJECT) {
        uint32_t why = f->o.h->find(f->d, x.feedback, SPAN("blockReason"));
        if (span_kind(f->d, why) == TP_STRING && f->d->tokens[why].len > 2)
            f->r->block_len = kept_word(f->r->block, sizeof(f->r->block), span_inner(f->d, why));
    }
    if (!f->r->done)
        google_usage(f, x.usage);
}

/* ---- The calls of a provider. */
void google_begin(google_reply *r, const tp_host *h, tp_call *c, const tp_operation *op)
{
    const tp_doc *d = &op->body;
    r->stream = (op->flags & TP_STREAM) != 0;
    r->seed = c->seed;
    if (!d->count)
        return;
    /* Sources are cited where a search was wanted, which is no function of the client's. */
    uint32_t tools = span_find(h, d, 0, SPAN("tools"));
    r->measure = (uint8_t)span_given(d, span_find(h, d, 0, SPAN("web_search_options")));
    for (uint32_t t = tools + 1; span_kind(d, tools) == TP_ARRAY && t < d->tokens[tools].next;
         t = d->tokens[t].next)
        if (!span_find(h, d, t, SPAN("function")))
            r->measure = 1;
}

tp_status google_head(google_reply *r, const tp_reply *reply, int32_t *framing)
{
    r->sse = provider_reply_is_sse(reply, r->stream);
    if (!r->sse)
        r->measure = 1;
    *framing = r->sse ? TP_SSE : TP_WHOLE;
    return TP_OK;
}

tp_status google_data(const tp_host *h, tp_call *c, google_reply *r, tp_frame *frame)
{
    tp_doc d;
    google_frame f = {.o = {.h = h, .c = c}, .r = r, .d = &d};
    if (r->done)
        return TP_OK; /* what follows an error is not part of the reply */
    tp_str data = frame->data;
    if (r->sse && data.len < 16) {
        tp_str word = span_trim(data);
        if (!word.len || span_is(word, "[DONE]"))
            return TP_OK; /* gateways in between add the mark of another format */
    }
    tp_status st = h->scan(c, data, &d);
    if (st == TP_E_NOMEM)
        return st;
    if (st != TP_OK || !d.count)
        return say(&f, SPAN("The provider sent a reply that is not JSON."));
    if (d.tokens[0].kind == TP_ARRAY) { /* the chunks of a stream, where alt=sse got lost */
        r->list = !r->sse;
        for (uint32_t t = 1; t < d.tokens[0].next && f.o.st == TP_OK && !r->done; t = d.tokens[t].next)
            if (d.tokens[t].kind == TP_OBJECT)
                decode_chunk(&f, t);
    } else if (d.tokens[0].kind == TP_OBJECT) {
        decode_chunk(&f, 0);
    } else {
        return say(&f, SPAN("The provider sent a reply that is not a JSON object."));
    }
    if (!r->sse && !r->done && !r->choices && !r->block_len)
        return say(&f, SPAN("The provider sent a reply without candidates."));
    return f.o.st;
}

static int32_t finish_code(const google_choice *k)
{
    static const tp_str filtered[] = {
        SPAN_INIT("SAFETY"), SPAN_INIT("RECITATION"), SPAN_INIT("BLOCKLIST"),
        SPAN_INIT("PROHIBITED_CONTENT"), SPAN_INIT("SPII"), SPAN_INIT("MODEL_ARMOR"),
        SPAN_INIT("LANGUAGE"), SPAN_INIT("IMAGE_SAFETY"), SPAN_INIT("IMAGE_PROHIBITED_CONTENT"),
        SPAN_INIT("IMAGE_RECITATION"), SPAN_INIT("JAILBREAK")};
    tp_str word = {k->reason, k->reason_len};
    if (span_is(word, "MAX_TOKENS"))
        return TP_FINISH_LENGTH;
    for (size_t i = 0; i < sizeof(filtered) / sizeof(filtered[0]); i++)
        if (span_eq(word, filtered[i]))
            return TP_FINISH_FILTER;
    return k->calls ? TP_FINISH_TOOLS : TP_FINISH_STOP; /* STOP, OTHER, and what is not known */
}

/* A stream is complete once every candidate in it said that it finished, or the prompt was refused. */
static int is_complete(const google_reply *r)
{
    if (!r->choices || r->block_len)
        return r->block_len != 0;
    for (const google_choice *k = r->choices; k; k = k->next)
        if (!k->finished && (r->sse || r->list))
            return 0;
    return 1;
}

tp_status google_end(const tp_host *h, tp_call *c, google_reply *r, int32_t broken)
{
    chat_out o = {.h = h, .c = c};
    if (r->done || broken || !is_complete(r))
        return TP_OK;
    r->done = 1;
    tp_str refused = {r->block, r->block_len};
    if (!r->choices) /* the answer is empty, and says why it ended */
        chat_emit_finish(&o, 0, TP_FINISH_FILTER, refused, SPAN_NONE);
    for (uint32_t i = 0, left = 1; left && i < 128; i++) {
        left = 0;
        for (const google_choice *k = r->choices; k; k = k->next) {
            left |= k->index > i;
            if (k->index == i && !k->finished && r->block_len)
                chat_emit_finish(&o, i, TP_FINISH_FILTER, refused, SPAN_NONE);
            else if (k->index == i)
                chat_emit_finish(&o, i, finish_code(k), (tp_str){k->reason, k->reason_len},
                                 SPAN_NONE);
        }
    }
    chat_emit_end(&o);
    return o.st;
}
