#include "openai_format.h"
#include "span.h"

enum { FIELD_FINGERPRINT = 1, FIELD_TIER = 2 };

typedef struct openai_called { /* a tool call of a choice */
    struct openai_called *next;
    uint64_t id_hash; /* 0: came without an id */
    int64_t index;    /* the upstream's, or -1 */
    uint32_t item, reserved;
} openai_called;

struct openai_choice {
    openai_choice *next;
    openai_called *calls; /* newest first */
    uint32_t index, items;
    uint32_t text, reasoning, refusal; /* item + 1; 0: not begun */
    uint32_t reserved;
};

typedef struct frame { /* one document under way */
    const tp_host *h;
    tp_call *c;
    openai_reply *r;
    tp_doc doc;
    uint32_t id, model, created, choices, usage, error, fingerprint, tier, groq;
} frame;

void openai_begin(openai_reply *r, const tp_operation *op)
{
    r->may_relay = (op->flags & TP_RELAY) != 0;
    r->stream = (op->flags & TP_STREAM) != 0;
    r->asked = op->choices ? op->choices : 1;
}

tp_status openai_head(openai_reply *r, const tp_reply *reply, int32_t *framing)
{
    tp_str type = span_trim(reply->type);
    if (!type.len)
        type = openai_header(&reply->headers, SPAN("content-type"));
    if (r->stream) /* only what is surely a document is read as one */
        r->sse = (uint8_t)(!span_istarts(type, SPAN("application/json")) &&
                           !span_istarts(type, SPAN("text/html")));
    else
        r->sse = (uint8_t)span_istarts(type, SPAN("text/event-stream"));
    /* A reply whose framing is not the one asked for is decoded, so that the client still gets
     * what it asked for. */
    r->relay = (uint8_t)(r->may_relay && r->sse == r->stream);
    *framing = r->sse ? TP_SSE : TP_WHOLE;
    return TP_OK;
}

static tp_status broken_reply(frame *f, tp_str why)
{
    f->r->done = 1;
    return openai_error_text(f->h, f->c, why);
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
    case 6: return span_is(k, "x_groq") ? &f->groq : NULL;
    case 7:
        return span_is(k, "choices") ? &f->choices : span_is(k, "created") ? &f->created : NULL;
    case 12: return span_is(k, "service_tier") ? &f->tier : NULL;
    case 18: return span_is(k, "system_fingerprint") ? &f->fingerprint : NULL;
    default: return NULL;
    }
}

/* One pass over the top level. Keys with escapes are decoded, as a client's SDK would. */
static void read_top(frame *f)
{
    for (members m = members_of(&f->doc, 0); members_next(&m);) {
        tp_str k = span_text(f->h, f->c, &f->doc, m.key);
        uint32_t *slot = top_slot(f, k);
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

static tp_status emit_start(frame *f)
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

static tp_status emit_field(frame *f, uint32_t t, tp_str name, uint8_t bit)
{
    if (!span_given(&f->doc, t) || f->r->fields & bit)
        return TP_OK;
    f->r->fields |= bit;
    tp_event e = openai_event(TP_EV_FIELD);
    e.flags = f->r->answered ? 0 : TP_EV_PREAMBLE;
    e.name = name;
    e.raw = span_raw(&f->doc, t);
    return f->h->emit(f->c, &e);
}

/* ---- Choices. */
typedef struct choice { /* one element of "choices" */
    uint32_t index, body, finish, logprobs;
} choice;

static choice read_choice(frame *f, uint32_t t)
{
    choice ch = {.index = 0};
    for (members m = members_of(&f->doc, t); members_next(&m);) {
        tp_str k = span_inner(&f->doc, m.key);
        switch (k.len) {
        case 5:
            if (span_is(k, "index")) {
                int64_t v = span_count(&f->doc, m.value);
                ch.index = v > 127 ? 127 : (uint32_t)v;
            } else if (span_is(k, "delta")) {
                ch.body = m.value;
            }
            break;
        case 7: if (span_is(k, "message")) ch.body = m.value; break;
        case 8: if (span_is(k, "logprobs")) ch.logprobs = m.value; break;
        case 13: if (span_is(k, "finish_reason")) ch.finish = m.value; break;
        default: break;
        }
    }
    if (span_kind(&f->doc, ch.body) != TP_OBJECT)
        ch.body = 0;
    if (span_kind(&f->doc, ch.finish) != TP_STRING || f->doc.tokens[ch.finish].len <= 2)
        ch.finish = 0;
    return ch;
}

static void note_seen(openai_reply *r, const choice *ch)
{
    uint64_t bit = UINT64_C(1) << (ch->index & 63);
    if (!(r->seen_bits[ch->index >> 6] & bit)) {
        r->seen_bits[ch->index >> 6] |= bit;
        r->seen++;
    }
}

static int32_t finish_code(tp_str word)
{
    static const struct { tp_str word; int32_t code; } words[] = {
        {SPAN_INIT("stop"), TP_FINISH_STOP},           {SPAN_INIT("tool_calls"), TP_FINISH_TOOLS},
        {SPAN_INIT("length"), TP_FINISH_LENGTH},       {SPAN_INIT("eos"), TP_FINISH_STOP},
        {SPAN_INIT("content_filter"), TP_FINISH_FILTER}, {SPAN_INIT("function_call"), TP_FINISH_TOOLS},
        {SPAN_INIT("max_tokens"), TP_FINISH_LENGTH},   {SPAN_INIT("model_length"), TP_FINISH_LENGTH},
        {SPAN_INIT("tool_use"), TP_FINISH_TOOLS},      {SPAN_INIT("refusal"), TP_FINISH_REFUSAL},
        {SPAN_INIT("safety"), TP_FINISH_FILTER},       {SPAN_INIT("recitation"), TP_FINISH_FILTER},
        {SPAN_INIT("max_output_tokens"), TP_FINISH_LENGTH},
    };
    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
        if (span_ieq(word, words[i].word))
            return words[i].code;
    return TP_FINISH_STOP; /* end_turn, stop_sequence and whatever else ends a reply */
}

static tp_status emit_finish(frame *f, const choice *ch)
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
    if (st == TP_OK && span_is(e.name, "error"))
        st = broken_reply(f, SPAN("The provider ended the reply with finish reason \"error\"."));
    return st;
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
static tp_status relay_choices(frame *f, int *finished)
{
    openai_reply *r = f->r;
    uint32_t stop = f->doc.tokens[f->choices].next;
    for (uint32_t t = f->choices + 1; t < stop; t = f->doc.tokens[t].next) {
        if (span_kind(&f->doc, t) != TP_OBJECT)
            continue;
        choice ch = read_choice(f, t);
        note_seen(r, &ch);
        if (!r->answered)
            r->answered = (uint8_t)has_answer(f, &ch);
        *finished |= ch.finish != 0;
    }
    return TP_OK;
}

static tp_status relay(frame *f, tp_str raw)
{
    openai_reply *r = f->r;
    tp_status st = emit_start(f);
    int finished = 0;
    int alone = r->sse && !f->choices && f->usage; /* a usage chunk of its own */
    if (f->choices)
        relay_choices(f, &finished);
    if (!r->sse)
        r->answered = 1;
    if (st == TP_OK && !alone) {
        tp_event e = openai_event(TP_EV_FRAME);
        e.raw = raw;
        e.flags = r->answered ? 0 : TP_EV_PREAMBLE;
        st = f->h->emit(f->c, &e);
    }
    if (finished) {
        uint32_t stop = f->doc.tokens[f->choices].next;
        for (uint32_t t = f->choices + 1; t < stop && st == TP_OK && !r->done;
             t = f->doc.tokens[t].next) {
            if (span_kind(&f->doc, t) != TP_OBJECT)
                continue;
            choice ch = read_choice(f, t);
            st = emit_finish(f, &ch);
        }
    }
    if (st == TP_OK && f->usage)
        st = openai_usage(f->h, f->c, r, &f->doc, f->usage, alone ? raw : SPAN_NONE);
    return st;
}

/* ---- Decoding: everything that the message or delta holds, as canonical events. */
static openai_choice *choice_of(frame *f, uint32_t index)
{
    openai_choice *k = f->r->choices;
    while (k && k->index != index)
        k = k->next;
    if (!k && (k = f->h->keep(f->c, sizeof(*k))) != NULL) {
        *k = (openai_choice){.next = f->r->choices, .index = index};
        f->r->choices = k;
    }
    return k;
}

/* The item of a text, thought or refusal: one of each a choice, by order of coming. */
static uint32_t item_of(openai_choice *k, uint32_t *slot)
{
    if (!*slot)
        *slot = ++k->items;
    return *slot - 1;
}

static tp_status emit_text(frame *f, openai_choice *k, int32_t kind, uint32_t t)
{
    if (span_kind(&f->doc, t) != TP_STRING || f->doc.tokens[t].len <= 2)
        return TP_OK;
    tp_event e = openai_event(kind);
    e.choice = k->index;
    e.item = item_of(k, kind == TP_EV_TEXT        ? &k->text
                        : kind == TP_EV_REASONING ? &k->reasoning
                                                  : &k->refusal);
    e.text = span_text(f->h, f->c, &f->doc, t);
    f->r->answered = 1;
    return f->h->emit(f->c, &e);
}

static tp_status emit_raw(frame *f, openai_choice *k, int32_t kind, tp_str id, uint32_t t)
{
    tp_event e = openai_event(kind);
    e.choice = k->index;
    e.item = k->text ? k->text - 1 : k->items; /* it speaks of the text */
    e.id = id;
    if (kind == TP_EV_ITEM)
        e.name = SPAN("chat/openai");
    e.raw = span_raw(&f->doc, t);
    f->r->answered = 1;
    return f->h->emit(f->c, &e);
}

/* An image as OpenRouter gives it: {"image_url": {"url": "data:image/png;base64,..."}}. */
static tp_status emit_image(frame *f, openai_choice *k, uint32_t part)
{
    uint32_t holder = span_find(f->h, &f->doc, part, SPAN("image_url"));
    tp_str url = span_kind(&f->doc, holder) == TP_OBJECT
                     ? span_member(f->h, f->c, &f->doc, holder, SPAN("url")) : SPAN_NONE;
    const char *semi = url.len ? memchr(url.ptr, ';', url.len) : NULL;
    tp_str rest = semi ? (tp_str){semi, (size_t)(url.ptr + url.len - semi)} : SPAN_NONE;
    if (!span_istarts(url, SPAN("data:")) || !span_istarts(rest, SPAN(";base64,")))
        return emit_raw(f, k, TP_EV_ITEM, SPAN_NONE, part);
    tp_event e = openai_event(TP_EV_MEDIA);
    e.choice = k->index;
    e.item = k->items++;
    e.name = (tp_str){url.ptr + 5, (size_t)(semi - url.ptr) - 5};
    e.text = (tp_str){semi + 8, rest.len - 8};
    f->r->answered = 1;
    return f->h->emit(f->c, &e);
}

/* Mistral's content parts: text, and thinking that holds parts again. */
static tp_status decode_parts(frame *f, openai_choice *k, uint32_t list, int32_t kind)
{
    tp_status st = TP_OK;
    uint32_t stop = f->doc.tokens[list].next;
    for (uint32_t t = list + 1; t < stop && st == TP_OK; t = f->doc.tokens[t].next) {
        tp_str type = span_member(f->h, f->c, &f->doc, t, SPAN("type"));
        if (span_kind(&f->doc, t) == TP_STRING) {
            st = emit_text(f, k, kind, t);
        } else if (span_is(type, "text")) {
            st = emit_text(f, k, kind, span_find(f->h, &f->doc, t, SPAN("text")));
        } else if (span_is(type, "thinking") && kind == TP_EV_TEXT) {
            uint32_t inner = span_find(f->h, &f->doc, t, SPAN("thinking"));
            st = span_kind(&f->doc, inner) == TP_ARRAY
                     ? decode_parts(f, k, inner, TP_EV_REASONING)
                     : emit_text(f, k, TP_EV_REASONING, inner);
        } else if (span_is(type, "image_url")) {
            st = emit_image(f, k, t);
        } else if (span_kind(&f->doc, t) == TP_OBJECT) {
            st = emit_raw(f, k, TP_EV_ITEM, SPAN_NONE, t);
        }
    }
    return st;
}

static uint64_t hash_of(tp_str s)
{
    uint64_t x = UINT64_C(0xcbf29ce484222325);
    for (size_t i = 0; i < s.len; i++)
        x = (x ^ (unsigned char)s.ptr[i]) * UINT64_C(0x100000001b3);
    return x ? x : 1;
}

/* The call that a piece belongs to. A new one begins with a new index, or with a new id where
 * upstreams leave the index out or let it stand at 0. */
static openai_called *call_of(openai_choice *k, int64_t index, uint64_t id_hash)
{
    for (openai_called *x = k->calls; x; x = x->next) {
        int other = id_hash && x->id_hash && x->id_hash != id_hash;
        if (!other && (index < 0 || x->index == index))
            return x;
    }
    return NULL;
}

static tp_status emit_arguments(frame *f, const openai_choice *k, uint32_t item, uint32_t t)
{
    tp_event e = openai_event(TP_EV_ARGUMENTS);
    e.choice = k->index;
    e.item = item;
    if (span_kind(&f->doc, t) == TP_STRING)
        e.text = span_text(f->h, f->c, &f->doc, t);
    else if (span_kind(&f->doc, t) == TP_OBJECT) /* some forget to make it a string */
        e.text = span_raw(&f->doc, t);
    return e.text.len ? f->h->emit(f->c, &e) : TP_OK;
}

static tp_status decode_call(frame *f, openai_choice *k, uint32_t t)
{
    int64_t index;
    uint32_t fn = span_find(f->h, &f->doc, t, SPAN("function"));
    tp_str id = span_member(f->h, f->c, &f->doc, t, SPAN("id"));
    if (!span_int(&f->doc, span_find(f->h, &f->doc, t, SPAN("index")), &index) || index < 0)
        index = -1;
    if (!fn)
        fn = span_find(f->h, &f->doc, t, SPAN("custom"));
    if (span_kind(&f->doc, fn) != TP_OBJECT)
        fn = 0;
    uint64_t id_hash = id.len ? hash_of(id) : 0;
    openai_called *x = call_of(k, index, id_hash);
    tp_status st = TP_OK;
    f->r->answered = 1;
    if (!x) {
        x = f->h->keep(f->c, sizeof(*x));
        if (!x)
            return f->h->fail(f->c, TP_E_NOMEM, SPAN_NONE,
                              SPAN("the reply holds more tool calls than can be kept track of"));
        *x = (openai_called){.next = k->calls, .id_hash = id_hash, .index = index,
                             .item = k->items++};
        k->calls = x;
        tp_event e = openai_event(TP_EV_CALL);
        e.choice = k->index;
        e.item = x->item;
        e.id = id;
        if (fn)
            e.name = span_member(f->h, f->c, &f->doc, fn, SPAN("name"));
        st = f->h->emit(f->c, &e);
    }
    if (st == TP_OK && fn) {
        uint32_t args = f->h->find(&f->doc, fn, SPAN("arguments"));
        st = emit_arguments(f, k, x->item, args ? args : f->h->find(&f->doc, fn, SPAN("input")));
    }
    return st;
}

static tp_status decode_calls(frame *f, openai_choice *k, uint32_t list)
{
    tp_status st = TP_OK;
    uint32_t stop = f->doc.tokens[list].next;
    for (uint32_t t = list + 1; t < stop && st == TP_OK; t = f->doc.tokens[t].next)
        if (span_kind(&f->doc, t) == TP_OBJECT)
            st = decode_call(f, k, t);
    return st;
}

/* The one call of the format before tool calls: {"name", "arguments"}. */
static tp_status decode_function_call(frame *f, openai_choice *k, uint32_t t)
{
    tp_status st = TP_OK;
    openai_called *x = k->calls;
    f->r->answered = 1;
    if (!x) {
        x = f->h->keep(f->c, sizeof(*x));
        if (!x)
            return TP_E_NOMEM;
        *x = (openai_called){.index = 0, .item = k->items++};
        k->calls = x;
        tp_event e = openai_event(TP_EV_CALL);
        e.choice = k->index;
        e.item = x->item;
        e.name = span_member(f->h, f->c, &f->doc, t, SPAN("name"));
        st = f->h->emit(f->c, &e);
    }
    if (st == TP_OK)
        st = emit_arguments(f, k, x->item, span_find(f->h, &f->doc, t, SPAN("arguments")));
    return st;
}

/* reasoning_details: signatures and sealed thoughts, which must come back with the next turn. Its
 * text repeats what "reasoning" has said. */
static tp_status decode_details(frame *f, openai_choice *k, uint32_t list)
{
    tp_status st = TP_OK;
    uint32_t stop = f->doc.tokens[list].next;
    for (uint32_t t = list + 1; t < stop && st == TP_OK; t = f->doc.tokens[t].next) {
        tp_event e = openai_event(TP_EV_SIGNATURE);
        tp_str seal = span_member(f->h, f->c, &f->doc, t, SPAN("data"));
        e.text = seal.len ? seal : span_member(f->h, f->c, &f->doc, t, SPAN("signature"));
        if (!e.text.len)
            continue;
        e.choice = k->index;
        e.item = seal.len ? k->items++ : item_of(k, &k->reasoning);
        e.id = span_member(f->h, f->c, &f->doc, t, SPAN("id"));
        e.name = span_member(f->h, f->c, &f->doc, t, SPAN("format"));
        f->r->answered = 1;
        st = f->h->emit(f->c, &e);
    }
    return st;
}

static tp_status decode_list(frame *f, openai_choice *k, uint32_t list, int32_t kind)
{
    tp_status st = TP_OK;
    uint32_t stop = f->doc.tokens[list].next;
    for (uint32_t t = list + 1; t < stop && st == TP_OK; t = f->doc.tokens[t].next)
        st = kind == TP_EV_MEDIA ? emit_image(f, k, t) : emit_raw(f, k, kind, SPAN_NONE, t);
    return st;
}

typedef struct body { /* the members of a message or delta that say something */
    uint32_t content, reasoning, details, refusal, calls, function, annotations, images, audio;
} body;

static body read_body(frame *f, uint32_t object)
{
    body b = {0};
    uint32_t other = 0;
    for (members m = members_of(&f->doc, object); members_next(&m);) {
        tp_str k = span_inner(&f->doc, m.key);
        if (!span_given(&f->doc, m.value))
            continue;
        if (span_is(k, "content")) b.content = m.value;
        else if (span_is(k, "reasoning_content")) b.reasoning = m.value;
        else if (span_is(k, "reasoning")) other = m.value;
        else if (span_is(k, "reasoning_details")) b.details = m.value;
        else if (span_is(k, "refusal")) b.refusal = m.value;
        else if (span_is(k, "tool_calls")) b.calls = m.value;
        else if (span_is(k, "function_call")) b.function = m.value;
        else if (span_is(k, "annotations")) b.annotations = m.value;
        else if (span_is(k, "images")) b.images = m.value;
        else if (span_is(k, "audio")) b.audio = m.value;
    }
    if (!b.reasoning)
        b.reasoning = other;
    return b;
}

static int is_list(const frame *f, uint32_t t)
{
    return span_kind(&f->doc, t) == TP_ARRAY;
}

static tp_status decode_body(frame *f, openai_choice *k, uint32_t object)
{
    body b = read_body(f, object);
    tp_status st = emit_text(f, k, TP_EV_REASONING, b.reasoning);
    if (st == TP_OK && is_list(f, b.details))
        st = decode_details(f, k, b.details);
    if (st == TP_OK)
        st = is_list(f, b.content) ? decode_parts(f, k, b.content, TP_EV_TEXT)
                                   : emit_text(f, k, TP_EV_TEXT, b.content);
    if (st == TP_OK)
        st = emit_text(f, k, TP_EV_REFUSAL, b.refusal);
    if (st == TP_OK && is_list(f, b.images))
        st = decode_list(f, k, b.images, TP_EV_MEDIA);
    if (st == TP_OK && span_kind(&f->doc, b.audio) == TP_OBJECT)
        st = emit_raw(f, k, TP_EV_ITEM, SPAN("audio"), b.audio);
    if (st == TP_OK && is_list(f, b.calls))
        st = decode_calls(f, k, b.calls);
    else if (st == TP_OK && span_kind(&f->doc, b.function) == TP_OBJECT)
        st = decode_function_call(f, k, b.function);
    if (st == TP_OK && is_list(f, b.annotations))
        st = decode_list(f, k, b.annotations, TP_EV_ANNOTATION);
    return st;
}

static tp_status decode(frame *f)
{
    openai_reply *r = f->r;
    tp_status st = emit_start(f);
    if (st == TP_OK)
        st = emit_field(f, f->fingerprint, SPAN("system_fingerprint"), FIELD_FINGERPRINT);
    if (st == TP_OK)
        st = emit_field(f, f->tier, SPAN("service_tier"), FIELD_TIER);
    uint32_t stop = f->choices ? f->doc.tokens[f->choices].next : 0;
    for (uint32_t t = f->choices + 1; t < stop && st == TP_OK && !r->done;
         t = f->doc.tokens[t].next) {
        if (span_kind(&f->doc, t) != TP_OBJECT)
            continue;
        choice ch = read_choice(f, t);
        openai_choice *k = choice_of(f, ch.index);
        if (!k)
            return f->h->fail(f->c, TP_E_NOMEM, SPAN_NONE,
                              SPAN("the reply holds more choices than can be kept track of"));
        note_seen(r, &ch);
        if (ch.body)
            st = decode_body(f, k, ch.body);
        if (st == TP_OK && span_kind(&f->doc, ch.logprobs) == TP_OBJECT)
            st = emit_raw(f, k, TP_EV_LOGPROBS, SPAN_NONE, ch.logprobs);
        if (st == TP_OK)
            st = emit_finish(f, &ch);
    }
    if (st == TP_OK && f->usage)
        st = openai_usage(f->h, f->c, r, &f->doc, f->usage, SPAN_NONE);
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

static tp_status error_frame(frame *f, uint32_t at)
{
    tp_status st = f->usage ? openai_usage(f->h, f->c, f->r, &f->doc, f->usage, SPAN_NONE) : TP_OK;
    f->r->done = 1;
    return st == TP_OK ? openai_error_in(f->h, f->c, &f->doc, at) : st;
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
        return openai_error_in(f->h, f->c, &f->doc, 0);
    }
    read_top(f);
    if (is_error(f))
        return error_frame(f, f->error);
    if (named_error)
        return error_frame(f, 0);
    if (!f->r->sse && !f->choices)
        return broken_reply(f, SPAN("The provider sent a reply without choices."));
    return f->r->relay ? relay(f, data) : decode(f);
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
        if (span_is(word, "[DONE]")) {
            tp_event e = openai_event(TP_EV_END);
            r->done = 1;
            return h->emit(c, &e);
        }
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
    tp_event e = openai_event(TP_EV_END);
    r->done = 1;
    return h->emit(c, &e);
}
