/* Decoding a reply: everything that a message or delta holds, as canonical events. */
#include "openai_format_int.h"

enum { FIELD_FINGERPRINT = 1, FIELD_TIER = 2, FIELD_CITATIONS = 4, FIELD_RESULTS = 8 };

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

openai_choice *openai_choice_of(frame *f, uint32_t index)
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

/* The signature of a part of type thinking. */
static tp_status emit_proof(frame *f, openai_choice *k, uint32_t part)
{
    tp_event e = openai_event(TP_EV_SIGNATURE);
    e.text = span_member(f->h, f->c, &f->doc, part, SPAN("signature"));
    if (!e.text.len)
        return TP_OK;
    e.choice = k->index;
    e.item = item_of(k, &k->reasoning);
    e.name = SPAN("mistral");
    f->r->answered = 1;
    return f->h->emit(f->c, &e);
}

static tp_status emit_reference(frame *f, openai_choice *k, uint32_t part)
{
    tp_event e = openai_event(TP_EV_ANNOTATION);
    e.raw = openai_reference(f, part);
    if (!e.raw.ptr)
        return TP_E_NOMEM;
    e.choice = k->index;
    e.item = k->text ? k->text - 1 : k->items;
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
            if (st == TP_OK)
                st = emit_proof(f, k, t);
        } else if (span_is(type, "reference") || span_is(type, "tool_reference")) {
            st = emit_reference(f, k, t);
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

static tp_status emit_arguments(frame *f, const openai_choice *k, openai_called *x, uint32_t t)
{
    tp_event e = openai_event(TP_EV_ARGUMENTS);
    e.choice = k->index;
    e.item = x->item;
    if (span_kind(&f->doc, t) == TP_STRING)
        e.text = span_text(f->h, f->c, &f->doc, t);
    else if (span_kind(&f->doc, t) == TP_OBJECT) /* some forget to make it a string */
        e.text = span_raw(&f->doc, t);
    x->said |= e.text.len > 0;
    return e.text.len ? f->h->emit(f->c, &e) : TP_OK;
}

static tp_status close_calls(const tp_host *h, tp_call *c, openai_choice *k)
{
    tp_status st = TP_OK;
    for (openai_called *x = k->calls; x && st == TP_OK; x = x->next) {
        if (x->said)
            continue;
        tp_event e = openai_event(TP_EV_ARGUMENTS);
        e.choice = k->index;
        e.item = x->item;
        e.text = SPAN("{}");
        x->said = 1;
        st = h->emit(c, &e);
    }
    return st;
}

tp_status openai_close_calls(const tp_host *h, tp_call *c, openai_choice *all)
{
    tp_status st = TP_OK;
    for (openai_choice *k = all; k && st == TP_OK; k = k->next)
        st = close_calls(h, c, k);
    return st;
}

openai_called *openai_call_of(frame *f, openai_choice *k, uint32_t t, int *fresh)
{
    int64_t index;
    tp_str id = span_member(f->h, f->c, &f->doc, t, SPAN("id"));
    if (!span_int(&f->doc, span_find(f->h, &f->doc, t, SPAN("index")), &index) || index < 0)
        index = -1;
    uint64_t id_hash = id.len ? hash_of(id) : 0;
    openai_called *x = call_of(k, index, id_hash);
    *fresh = x == NULL;
    if (!x && (x = f->h->keep(f->c, sizeof(*x))) != NULL) {
        *x = (openai_called){
            .next = k->calls, .id_hash = id_hash, .index = index, .item = k->items++};
        k->calls = x;
    }
    return x;
}

static tp_status decode_call(frame *f, openai_choice *k, uint32_t t)
{
    int fresh;
    uint32_t fn = span_find(f->h, &f->doc, t, SPAN("function"));
    if (!fn)
        fn = span_find(f->h, &f->doc, t, SPAN("custom"));
    if (span_kind(&f->doc, fn) != TP_OBJECT)
        fn = 0;
    openai_called *x = openai_call_of(f, k, t, &fresh);
    tp_status st = TP_OK;
    f->r->answered = 1;
    if (!x)
        return f->h->fail(f->c, TP_E_NOMEM, SPAN_NONE,
                          SPAN("the reply holds more tool calls than can be kept track of"));
    if (fresh) {
        tp_event e = openai_event(TP_EV_CALL);
        e.choice = k->index;
        e.item = x->item;
        e.id = span_member(f->h, f->c, &f->doc, t, SPAN("id"));
        if (fn)
            e.name = span_member(f->h, f->c, &f->doc, fn, SPAN("name"));
        st = f->h->emit(f->c, &e);
    }
    if (st == TP_OK && fn) {
        uint32_t args = f->h->find(&f->doc, fn, SPAN("arguments"));
        st = emit_arguments(f, k, x, args ? args : f->h->find(&f->doc, fn, SPAN("input")));
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
        st = emit_arguments(f, k, x, span_find(f->h, &f->doc, t, SPAN("arguments")));
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

tp_status openai_decode(frame *f)
{
    openai_reply *r = f->r;
    tp_status st = openai_emit_start(f);
    if (st == TP_OK)
        st = emit_field(f, f->fingerprint, SPAN("system_fingerprint"), FIELD_FINGERPRINT);
    if (st == TP_OK)
        st = emit_field(f, f->tier, SPAN("service_tier"), FIELD_TIER);
    uint32_t stop = f->choices ? f->doc.tokens[f->choices].next : 0;
    for (uint32_t t = f->choices + 1; t < stop && st == TP_OK && !r->done;
         t = f->doc.tokens[t].next) {
        if (span_kind(&f->doc, t) != TP_OBJECT)
            continue;
        choice ch = openai_read_choice(f, t);
        openai_choice *k = openai_choice_of(f, ch.index);
        if (!k)
            return f->h->fail(f->c, TP_E_NOMEM, SPAN_NONE,
                              SPAN("the reply holds more choices than can be kept track of"));
        openai_note_seen(r, &ch);
        if (ch.body)
            st = decode_body(f, k, ch.body);
        for (uint32_t m = ch.several + 1;
             ch.several && m < f->doc.tokens[ch.several].next && st == TP_OK;
             m = f->doc.tokens[m].next) /* an answer in several messages */
            if (span_kind(&f->doc, m) == TP_OBJECT)
                st = decode_body(f, k, m);
        if (st == TP_OK && span_kind(&f->doc, ch.logprobs) == TP_OBJECT)
            st = emit_raw(f, k, TP_EV_LOGPROBS, SPAN_NONE, ch.logprobs);
        if (st == TP_OK && ch.finish)
            st = close_calls(f->h, f->c, k);
        if (st == TP_OK)
            st = openai_emit_finish(f, &ch);
    }
    if (st == TP_OK && r->finished && !r->done) { /* Perplexity's, in every frame */
        st = emit_field(f, f->citations, SPAN("citations"), FIELD_CITATIONS);
        if (st == TP_OK)
            st = emit_field(f, f->results, SPAN("search_results"), FIELD_RESULTS);
    }
    if (st == TP_OK && f->usage)
        st = openai_usage(f->h, f->c, r, &f->doc, f->usage, SPAN_NONE);
    return st;
}
