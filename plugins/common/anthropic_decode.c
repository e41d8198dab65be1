/* A Messages reply as canonical events: a frame of a stream, or a whole message. */
#include "anthropic_int.h"

enum { BLOCK_TEXT = 1, BLOCK_THOUGHT, BLOCK_SEALED, BLOCK_CALL, BLOCK_JSON, BLOCK_OTHER };
enum { FIELD_TIER = 1, FIELD_CONTAINER = 2, FIELD_MANAGEMENT = 4 };

/* ---- Members, of a frame and of a message alike: no name means two things. */
static uint32_t *slot_of(document *f, tp_str k)
{
    switch (k.len) {
    case 2: return span_is(k, "id") ? &f->id : NULL;
    case 4: return span_is(k, "type") ? &f->type : NULL;
    case 5:
        return span_is(k, "index")   ? &f->index
               : span_is(k, "delta") ? &f->delta
               : span_is(k, "usage") ? &f->usage
               : span_is(k, "model") ? &f->model
               : span_is(k, "error") ? &f->error
                                     : NULL;
    case 7: return span_is(k, "message") ? &f->message : span_is(k, "content") ? &f->content : NULL;
    case 9: return span_is(k, "container") ? &f->container : NULL;
    case 11: return span_is(k, "stop_reason") ? &f->stop : NULL;
    case 12: return span_is(k, "stop_details") ? &f->details : NULL;
    case 13:
        return span_is(k, "content_block")   ? &f->block
               : span_is(k, "stop_sequence") ? &f->sequence
                                             : NULL;
    case 18: return span_is(k, "context_management") ? &f->management : NULL;
    default: return NULL;
    }
}

void anthropic_read_members(document *f, uint32_t object)
{
    uint32_t type = f->type, usage = f->usage;
    for (members m = members_of(&f->doc, object); members_next(&m);) {
        tp_str k = span_inner(&f->doc, m.key);
        uint32_t *slot = slot_of(f, k);
        if (!slot && span_has_escape(k))
            slot = slot_of(f, span_text(f->h, f->c, &f->doc, m.key));
        if (slot)
            *slot = m.value;
    }
    if (object) { /* a message within a frame: the frame's own type stays, as does its usage */
        f->type = type;
        if (usage)
            f->usage = usage;
    }
}

static tp_str inner_of(const document *f, uint32_t t) /* of a string without escapes, or empty */
{
    return span_kind(&f->doc, t) == TP_STRING ? span_inner(&f->doc, t) : SPAN_NONE;
}

static tp_str text_of(const document *f, uint32_t t)
{
    return span_kind(&f->doc, t) == TP_STRING ? span_text(f->h, f->c, &f->doc, t) : SPAN_NONE;
}

static uint32_t in(const document *f, uint32_t object, tp_str name)
{
    return span_find(f->h, &f->doc, object, name);
}

/* ---- Start, fields, usage, finish. */
tp_status anthropic_emit_start(document *f)
{
    tp_event e = {.size = sizeof(e), .kind = TP_EV_START, .flags = TP_EV_PREAMBLE};
    if (f->r->started)
        return TP_OK;
    f->r->started = 1;
    e.id = text_of(f, f->id);
    e.name = text_of(f, f->model);
    return f->h->emit(f->c, &e);
}

static tp_status emit_field(document *f, tp_str name, tp_str raw, uint8_t bit)
{
    tp_event e = {.size = sizeof(e), .kind = TP_EV_FIELD,
                  .flags = f->r->answered ? 0 : TP_EV_PREAMBLE};
    if (f->r->fields & bit)
        return TP_OK;
    f->r->fields |= bit;
    e.name = name;
    e.raw = raw;
    return f->h->emit(f->c, &e);
}

static tp_status emit_fields(document *f)
{
    tp_str tier = inner_of(f, f->usage ? in(f, f->usage, SPAN("service_tier")) : 0);
    tp_status st = TP_OK;
    if (tier.len) /* OpenAI's word for the usual one */
        st = emit_field(f, SPAN("service_tier"),
                        span_is(tier, "standard") ? SPAN("\"default\"")
                                                  : (tp_str){tier.ptr - 1, tier.len + 2}, FIELD_TIER);
    if (st == TP_OK && span_kind(&f->doc, f->container) == TP_OBJECT)
        st = emit_field(f, SPAN("container"), span_raw(&f->doc, f->container), FIELD_CONTAINER);
    if (st == TP_OK && span_kind(&f->doc, f->management) == TP_OBJECT)
        st = emit_field(f, SPAN("context_management"), span_raw(&f->doc, f->management),
                        FIELD_MANAGEMENT);
    return st;
}

enum { COUNT_INPUT, COUNT_READ, COUNT_WRITE, COUNT_HOUR, COUNT_OUTPUT, COUNT_THOUGHT };

static void read_count(document *f, uint32_t t, int which)
{
    const int64_t most = INT64_C(1) << 50; /* so that sums cannot overflow */
    if (span_kind(&f->doc, t) != TP_NUMBER)
        return; /* null is: as before */
    int64_t v = span_count(&f->doc, t);
    f->r->count[which] = v < most ? v : most;
}

/* What was written to the cache, by how long it is kept. Only the hour's part is a figure of its
 * own: the rest of the total, which also comes without this, is what is kept for less. */
static void read_creation(document *f, uint32_t creation)
{
    tp_str shorter = SPAN("ephemeral_5m_input_tokens"), hour = SPAN("ephemeral_1h_input_tokens");
    if (span_kind(&f->doc, creation) != TP_OBJECT)
        return;
    int64_t total = f->r->count[COUNT_WRITE];
    read_count(f, in(f, creation, hour), COUNT_HOUR);
    f->r->count[COUNT_WRITE] = 0;
    read_count(f, in(f, creation, shorter), COUNT_WRITE);
    int64_t sum = f->r->count[COUNT_WRITE] + f->r->count[COUNT_HOUR];
    f->r->count[COUNT_WRITE] = total > sum ? total : sum;
}

static void read_usage(document *f)
{
    uint32_t creation = 0;
    for (members m = members_of(&f->doc, f->usage); members_next(&m);) {
        tp_str k = span_inner(&f->doc, m.key);
        if (span_is(k, "input_tokens"))
            read_count(f, m.value, COUNT_INPUT);
        else if (span_is(k, "cache_read_input_tokens"))
            read_count(f, m.value, COUNT_READ);
        else if (span_is(k, "cache_creation_input_tokens"))
            read_count(f, m.value, COUNT_WRITE);
        else if (span_is(k, "cache_creation"))
            creation = m.value;
        else if (span_is(k, "output_tokens"))
            read_count(f, m.value, COUNT_OUTPUT);
        else if (span_is(k, "output_tokens_details"))
            read_count(f, in(f, m.value, SPAN("thinking_tokens")), COUNT_THOUGHT);
    }
    if (creation)
        read_creation(f, creation);
}

/* The counts are disjoint already but for thoughts, which are within the output, and cumulative.
 * What message_start says of the output is no more than a beginning: it is left out until the last
 * word on it comes, so that a cut reply is not taken for one of a token. */
tp_status anthropic_emit_usage(document *f, int final)
{
    enum { PROMPT = 3, COMPLETION = 5, UNITS };
    static const tp_str names[UNITS] = {SPAN_INIT("cache_read"),     SPAN_INIT("cache_write"),
                                        SPAN_INIT("cache_write:1h"), SPAN_INIT("prompt"),
                                        SPAN_INIT("reasoning"),      SPAN_INIT("completion")};
    anthropic_reply *r = f->r;
    if (span_kind(&f->doc, f->usage) != TP_OBJECT)
        return TP_OK;
    read_usage(f);
    int64_t thought = r->count[COUNT_THOUGHT] < r->count[COUNT_OUTPUT] ? r->count[COUNT_THOUGHT]
                                                                      : r->count[COUNT_OUTPUT];
    int64_t hour = r->count[COUNT_HOUR] < r->count[COUNT_WRITE] ? r->count[COUNT_HOUR]
                                                                 : r->count[COUNT_WRITE];
    int64_t units[UNITS] = {r->count[COUNT_READ], r->count[COUNT_WRITE] - hour, hour,
                            r->count[COUNT_INPUT], thought, r->count[COUNT_OUTPUT] - thought};
    for (int i = 0; i < (final ? UNITS : PROMPT + 1); i++) {
        if (units[i] == 0 && i != PROMPT && i != COMPLETION && !(r->reported & 1u << i))
            continue;
        tp_event e = {.size = sizeof(e), .kind = TP_EV_USAGE, .number = units[i],
                      .flags = r->answered ? 0 : TP_EV_PREAMBLE};
        e.name = names[i];
        tp_status st = f->h->emit(f->c, &e);
        if (st != TP_OK)
            return st;
        r->reported |= (uint8_t)(1u << i);
    }
    return TP_OK;
}

static int32_t finish_code(const document *f, tp_str word)
{
    if (span_is(word, "tool_use"))
        return f->r->json_tool && !f->r->calls ? TP_FINISH_STOP : TP_FINISH_TOOLS;
    return span_is(word, "max_tokens") || span_is(word, "model_context_window_exceeded")
               ? TP_FINISH_LENGTH
           : span_is(word, "refusal")                                ? TP_FINISH_REFUSAL
           : span_is(word, "pause_turn") || span_is(word, "compaction") ? TP_FINISH_PAUSE
                                                                     : TP_FINISH_STOP;
}

tp_status anthropic_emit_finish(document *f)
{
    tp_event e = {.size = sizeof(e), .kind = TP_EV_FINISH};
    if (f->r->finished || span_kind(&f->doc, f->stop) != TP_STRING)
        return TP_OK;
    f->r->finished = 1;
    f->r->answered = 1;
    e.name = text_of(f, f->stop);
    e.code = finish_code(f, e.name);
    e.text = text_of(f, f->sequence);
    return f->h->emit(f->c, &e);
}

tp_status anthropic_finish_unsaid(document *f)
{
    tp_event e = {.size = sizeof(e), .kind = TP_EV_FINISH};
    if (f->r->finished)
        return TP_OK;
    f->r->finished = 1;
    e.code = f->r->calls ? TP_FINISH_TOOLS : TP_FINISH_STOP;
    return f->h->emit(f->c, &e);
}

/* ---- Blocks. */
static tp_status emit_text(document *f, int32_t kind, uint32_t item, tp_str text)
{
    tp_event e = {.size = sizeof(e), .kind = kind, .item = item};
    e.text = text;
    f->r->answered = 1;
    return f->h->emit(f->c, &e);
}

static tp_status emit_answer(document *f, const anthropic_block *b, tp_str text)
{
    int64_t chars = 0;
    if (!text.len)
        return TP_OK;
    for (size_t i = 0; i < text.len; i++)
        chars += ((unsigned char)text.ptr[i] & 0xc0) != 0x80;
    f->r->chars += chars;
    return emit_text(f, TP_EV_TEXT, b->item, text);
}

static tp_status emit_thought(document *f, anthropic_block *b, tp_str text)
{
    if (!text.len || f->r->hidden)
        return TP_OK;
    b->spoke = 1;
    return emit_text(f, TP_EV_REASONING, b->item, text);
}

/* The proof of a thought whose text was left out belongs to a thought all the same: code 1 says so. */
static tp_status emit_proof(document *f, anthropic_block *b, tp_str proof)
{
    tp_event e = {.size = sizeof(e), .kind = TP_EV_SIGNATURE, .item = b->item};
    if (!proof.len || (f->r->hidden && b->kind == BLOCK_THOUGHT))
        return TP_OK;
    e.code = b->kind == BLOCK_THOUGHT && !b->spoke;
    e.name = SPAN(ANTHROPIC_PROOF);
    e.text = proof;
    f->r->answered = 1;
    return f->h->emit(f->c, &e);
}

static tp_status emit_item(document *f, const anthropic_block *b, tp_str id, uint32_t t)
{
    tp_event e = {.size = sizeof(e), .kind = TP_EV_ITEM, .item = b->item};
    e.name = SPAN(ANTHROPIC_FORMAT);
    e.id = id;
    e.raw = span_raw(&f->doc, t);
    f->r->answered = 1;
    return f->h->emit(f->c, &e);
}

static tp_status emit_arguments(document *f, anthropic_block *b, tp_str json)
{
    if (!json.len)
        return TP_OK;
    b->spoke = 1;
    return b->kind == BLOCK_JSON ? emit_answer(f, b, json)
                                 : emit_text(f, TP_EV_ARGUMENTS, b->item, json);
}

/* An annotation: its pieces, joined. */
static tp_status emit_annotation(document *f, const anthropic_block *b, const tp_str *pieces, size_t n)
{
    tp_event e = {.size = sizeof(e), .kind = TP_EV_ANNOTATION, .item = b->item};
    size_t room = 0;
    for (size_t i = 0; i < n; i++)
        room += pieces[i].len;
    char *text = f->h->alloc(f->c, room), *p = text;
    if (!text)
        return TP_E_NOMEM;
    for (size_t i = 0; i < n; i++) {
        if (pieces[i].len)
            memcpy(p, pieces[i].ptr, pieces[i].len);
        p += pieces[i].len;
    }
    e.raw = (tp_str){text, room};
    f->r->answered = 1;
    return f->h->emit(f->c, &e);
}

/* A citation: of the web as OpenAI has it, any other as one of a document. start_index and end_index
 * count characters of the text. In a stream the citation may come before the text that it is for; then
 * both are the place where that begins. */
static tp_status emit_citation(document *f, const anthropic_block *b, uint32_t t)
{
    uint32_t url = in(f, t, SPAN("url")), title = in(f, t, SPAN("title"));
    uint32_t cited = in(f, t, SPAN("cited_text"));
    int quotes = span_kind(&f->doc, cited) == TP_STRING;
    char from[24], to[24];
    tp_str first = span_of_int(b->from, from), last = span_of_int(f->r->chars, to);
    tp_str web[] = {SPAN("{\"type\":\"url_citation\",\"url_citation\":{\"url\":"),
                    span_raw(&f->doc, url),
                    SPAN(",\"title\":"),
                    span_kind(&f->doc, title) == TP_STRING ? span_raw(&f->doc, title) : SPAN("\"\""),
                    quotes ? SPAN(",\"content\":") : SPAN_NONE,
                    quotes ? span_raw(&f->doc, cited) : SPAN_NONE,
                    SPAN(",\"start_index\":"), first, SPAN(",\"end_index\":"), last, SPAN("}}")};
    tp_str other[] = {SPAN("{\"type\":\"document_citation\",\"document_citation\":{\"start_index\":"),
                      first, SPAN(",\"end_index\":"), last, SPAN(",\"sources\":["),
                      span_raw(&f->doc, t), SPAN("]}}")};
    return span_kind(&f->doc, url) == TP_STRING
               ? emit_annotation(f, b, web, sizeof(web) / sizeof(web[0]))
               : emit_annotation(f, b, other, sizeof(other) / sizeof(other[0]));
}

static tp_status emit_citations(document *f, const anthropic_block *b, uint32_t list)
{
    tp_status st = TP_OK;
    if (span_kind(&f->doc, list) != TP_ARRAY)
        return TP_OK;
    for (uint32_t t = list + 1; t < f->doc.tokens[list].next && st == TP_OK;
         t = f->doc.tokens[t].next)
        if (span_kind(&f->doc, t) == TP_OBJECT)
            st = emit_citation(f, b, t);
    return st;
}

static uint8_t kind_of(const document *f, tp_str type, uint32_t block)
{
    if (span_is(type, "text"))
        return BLOCK_TEXT;
    if (span_is(type, "thinking"))
        return BLOCK_THOUGHT;
    if (span_is(type, "redacted_thinking"))
        return BLOCK_SEALED;
    if (!span_is(type, "tool_use"))
        return BLOCK_OTHER;
    return f->r->json_tool && span_is(inner_of(f, in(f, block, SPAN("name"))), ANTHROPIC_JSON_TOOL)
               ? BLOCK_JSON : BLOCK_CALL;
}

static tp_status emit_call(document *f, anthropic_block *b, uint32_t t)
{
    tp_event e = {.size = sizeof(e), .kind = TP_EV_CALL, .item = b->item};
    uint32_t input = in(f, t, SPAN("input"));
    tp_status st = TP_OK;
    if (b->kind == BLOCK_CALL) {
        e.id = text_of(f, in(f, t, SPAN("id")));
        e.name = text_of(f, in(f, t, SPAN("name")));
        f->r->calls++;
        f->r->answered = 1;
        st = f->h->emit(f->c, &e);
    }
    /* In a stream {} stands for what is to come. */
    if (st == TP_OK && span_kind(&f->doc, input) == TP_OBJECT && span_filled(&f->doc, input))
        st = emit_arguments(f, b, span_raw(&f->doc, input));
    return st;
}

static tp_status begin_block(document *f, anthropic_block *b, uint32_t t)
{
    tp_str type = text_of(f, in(f, t, SPAN("type")));
    b->kind = kind_of(f, type, t);
    b->item = f->r->items++;
    b->from = f->r->chars;
    tp_status st = TP_OK;
    switch (b->kind) {
    case BLOCK_TEXT:
        st = emit_answer(f, b, text_of(f, in(f, t, SPAN("text"))));
        return st == TP_OK ? emit_citations(f, b, in(f, t, SPAN("citations"))) : st;
    case BLOCK_THOUGHT:
        st = emit_thought(f, b, text_of(f, in(f, t, SPAN("thinking"))));
        return st == TP_OK ? emit_proof(f, b, text_of(f, in(f, t, SPAN("signature")))) : st;
    case BLOCK_SEALED:
        return emit_proof(f, b, text_of(f, in(f, t, SPAN("data"))));
    case BLOCK_CALL:
    case BLOCK_JSON:
        return emit_call(f, b, t);
    default:
        return emit_item(f, b, type, t);
    }
}

static tp_status end_block(document *f, anthropic_block *b)
{
    if ((b->kind == BLOCK_CALL || b->kind == BLOCK_JSON) && !b->spoke)
        return emit_arguments(f, b, SPAN("{}"));
    return TP_OK;
}

/* ---- A stream's blocks, by their index. */
static anthropic_block *block_at(anthropic_reply *r, int64_t index)
{
    for (int i = r->open_count - 1; i >= 0; i--)
        if (r->open[i].index == index)
            return &r->open[i];
    return NULL;
}

static int64_t index_of(const document *f)
{
    int64_t v = span_count(&f->doc, f->index);
    return v < INT32_MAX ? v : INT32_MAX;
}

static anthropic_block *open_block(document *f)
{
    anthropic_reply *r = f->r;
    if (r->open_count == ANTHROPIC_OPEN) { /* nobody stopped them: the oldest goes */
        memmove(r->open, r->open + 1, sizeof(r->open[0]) * (ANTHROPIC_OPEN - 1));
        r->open_count--;
    }
    anthropic_block *b = &r->open[r->open_count++];
    *b = (anthropic_block){.index = (int32_t)index_of(f)};
    return b;
}

static tp_status stop_block(document *f)
{
    anthropic_block *b = block_at(f->r, index_of(f));
    if (!b)
        return TP_OK;
    tp_status st = end_block(f, b);
    size_t after = (size_t)(f->r->open + f->r->open_count - (b + 1));
    memmove(b, b + 1, sizeof(*b) * after);
    f->r->open_count--;
    return st;
}

static tp_status stop_all(document *f)
{
    tp_status st = TP_OK;
    for (uint8_t i = 0; i < f->r->open_count && st == TP_OK; i++)
        st = end_block(f, &f->r->open[i]);
    f->r->open_count = 0;
    return st;
}

/* A delta of a block that nobody began: its own type says what it belongs to. */
static anthropic_block *assumed_block(document *f, tp_str type)
{
    uint8_t kind = span_is(type, "text_delta")                                    ? BLOCK_TEXT
                   : span_is(type, "thinking_delta") || span_is(type, "signature_delta")
                       ? BLOCK_THOUGHT : 0;
    if (!kind)
        return NULL;
    anthropic_block *b = open_block(f);
    b->kind = kind;
    b->item = f->r->items++;
    b->from = f->r->chars;
    return b;
}

static tp_status decode_delta(document *f)
{
    uint32_t what = 0, text = 0;
    if (span_kind(&f->doc, f->delta) != TP_OBJECT)
        return TP_OK;
    for (members m = members_of(&f->doc, f->delta); members_next(&m);) {
        if (span_is(span_inner(&f->doc, m.key), "type"))
            what = m.value;
        else
            text = m.value; /* each delta has one member beside its type */
    }
    tp_str type = inner_of(f, what);
    anthropic_block *b = block_at(f->r, index_of(f));
    if (!b)
        b = assumed_block(f, type);
    if (!b)
        return TP_OK;
    if (span_is(type, "text_delta"))
        return emit_answer(f, b, text_of(f, in(f, f->delta, SPAN("text"))));
    if (span_is(type, "input_json_delta")) {
        if (b->kind == BLOCK_CALL || b->kind == BLOCK_JSON)
            return emit_arguments(f, b, text_of(f, in(f, f->delta, SPAN("partial_json"))));
        if (!text_of(f, in(f, f->delta, SPAN("partial_json"))).len)
            return TP_OK;
    } else if (span_is(type, "thinking_delta")) {
        return emit_thought(f, b, text_of(f, in(f, f->delta, SPAN("thinking"))));
    } else if (span_is(type, "signature_delta")) {
        if (b->kind == BLOCK_THOUGHT)
            return emit_proof(f, b, text_of(f, in(f, f->delta, SPAN("signature"))));
    } else if (span_is(type, "citations_delta")) {
        return span_kind(&f->doc, text) == TP_OBJECT ? emit_citation(f, b, text) : TP_OK;
    }
    return emit_item(f, b, type, f->delta); /* a piece of the item that this block is */
}

/* A refused request may say why in words. */
static tp_status emit_details(document *f)
{
    tp_event e = {.size = sizeof(e), .kind = TP_EV_REFUSAL};
    if (span_kind(&f->doc, f->details) != TP_OBJECT || !span_is(inner_of(f, f->stop), "refusal"))
        return TP_OK;
    e.text = text_of(f, in(f, f->details, SPAN("explanation")));
    if (!e.text.len)
        return TP_OK;
    e.item = f->r->items++;
    f->r->answered = 1;
    return f->h->emit(f->c, &e);
}

static tp_status decode_end(document *f)
{
    tp_status st = emit_fields(f);
    if (st == TP_OK && f->stop)
        st = emit_details(f);
    if (st == TP_OK)
        st = anthropic_emit_finish(f);
    return st == TP_OK ? anthropic_emit_usage(f, 1) : st;
}

static tp_status decode_content(document *f)
{
    tp_status st = TP_OK;
    if (span_kind(&f->doc, f->content) != TP_ARRAY)
        return TP_OK;
    for (uint32_t t = f->content + 1; t < f->doc.tokens[f->content].next && st == TP_OK;
         t = f->doc.tokens[t].next) {
        anthropic_block b = {0};
        if (span_kind(&f->doc, t) != TP_OBJECT)
            continue;
        st = begin_block(f, &b, t);
        if (st == TP_OK)
            st = end_block(f, &b);
    }
    return st;
}

static tp_status decode_frame(document *f, tp_str type)
{
    tp_status st = TP_OK;
    if (span_is(type, "content_block_delta"))
        return decode_delta(f);
    if (span_is(type, "content_block_start")) {
        anthropic_block *b = block_at(f->r, index_of(f));
        if (span_kind(&f->doc, f->block) != TP_OBJECT)
            return TP_OK;
        if (b)
            st = stop_block(f);
        return st == TP_OK ? begin_block(f, open_block(f), f->block) : st;
    }
    if (span_is(type, "content_block_stop"))
        return stop_block(f);
    if (span_is(type, "message_start")) {
        if (span_kind(&f->doc, f->message) != TP_OBJECT)
            return TP_OK;
        anthropic_read_members(f, f->message);
        st = anthropic_emit_start(f);
        if (st == TP_OK)
            st = emit_fields(f);
        if (st == TP_OK)
            st = decode_content(f);
        return st == TP_OK ? anthropic_emit_usage(f, 0) : st;
    }
    if (!span_is(type, "message_delta"))
        return TP_OK; /* ping, and what is yet to come */
    if (span_kind(&f->doc, f->delta) == TP_OBJECT)
        anthropic_read_members(f, f->delta);
    if (f->stop)
        st = stop_all(f);
    return st == TP_OK ? decode_end(f) : st;
}

tp_status anthropic_decode(document *f)
{
    if (f->r->sse)
        return decode_frame(f, inner_of(f, f->type));
    tp_status st = anthropic_emit_start(f);
    if (st == TP_OK)
        st = decode_content(f);
    f->r->answered = 1;
    if (st == TP_OK)
        st = decode_end(f);
    return st == TP_OK ? anthropic_finish_unsaid(f) : st; /* a whole message is complete */
}

tp_status anthropic_stop(document *f)
{
    tp_status st = stop_all(f);
    return st == TP_OK ? anthropic_finish_unsaid(f) : st;
}
