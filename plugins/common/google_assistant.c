/* An assistant's message as a content of role model: thoughts, text, images, calls, each with the
 * signature that belongs to it. */
#include "google_contents_int.h"

typedef struct proofs { /* of one message, from its reasoning_details */
    id_map by_id;        /* of calls, and of images as "image:0" */
    uint32_t loose;      /* signatures without an id */
    tp_str last;         /* the last of them: of the text */
    tp_str thought;      /* of a thought whose text stands elsewhere */
    int32_t texts;       /* thoughts with text; 2: and with a signature beside it */
    int32_t foreign;     /* made by another provider's model */
} proofs;

static int is_ours(const chat_detail *x)
{
    return !x->format.len || span_eq(x->format, GOOGLE_FORMAT);
}

static int is_loose(const chat_detail *x)
{
    return x->sealed && x->data.len && !x->id.len && is_ours(x);
}

static int read_proofs(google_body *b, const chat_message *m, proofs *k)
{
    chat_detail x;
    uint32_t ids = 0;
    *k = (proofs){.loose = 0};
    if (!m->details)
        return 1;
    for (chat_details it = chat_details_of(&b->r, m); chat_next_detail(&b->r, &it, &x);)
        ids += x.id.len != 0;
    if (ids && !id_map_init(b->r.h, b->r.c, &k->by_id, ids))
        return 0;
    for (chat_details it = chat_details_of(&b->r, m); chat_next_detail(&b->r, &it, &x);) {
        if (!is_ours(&x)) {
            k->foreign = 1;
        } else if (is_loose(&x)) {
            k->loose++;
            k->last = x.data;
        } else if (x.sealed) {
            id_map_put(&k->by_id, x.id, x.data);
        } else if (x.text && b->r.d->tokens[x.text].len > 2) {
            k->texts |= x.signature.len ? 2 : 1;
        } else if (x.signature.len) {
            k->thought = x.signature;
        }
    }
    if (k->foreign)
        chat_note(&b->r, TP_DROPPED, SPAN("thoughts of another provider's model"),
                  "messages[%u].reasoning_details", m->index);
    return 1;
}

static void put_thoughts(google_walk *w, const chat_message *m, proofs *k)
{
    google_body *b = w->b;
    chat_detail x;
    int said = m->reasoning && b->r.d->tokens[m->reasoning].len > 2;
    /* reasoning_content is all of them; details without signatures only say a part of it again */
    if (!k->texts || (said && !(k->texts & 2))) {
        if (said && !k->foreign) {
            google_open_content(w, CHAT_ASSISTANT);
            google_put_text(b, span_raw(b->r.d, m->reasoning), 1, k->thought);
        } else if (k->thought.len) { /* no thought is there that it could belong to */
            k->loose++;
            k->last = k->thought;
        }
        return;
    }
    for (chat_details it = chat_details_of(&b->r, m); chat_next_detail(&b->r, &it, &x);) {
        if (!is_ours(&x) || !x.text || b->r.d->tokens[x.text].len <= 2)
            continue;
        google_open_content(w, CHAT_ASSISTANT);
        google_put_text(b, span_raw(b->r.d, x.text), 1, x.signature);
    }
}

static uint32_t last_text(const google_body *b, const chat_message *m)
{
    chat_part p;
    uint32_t at = 0;
    for (chat_parts it = chat_parts_of(&b->r, m->content); chat_next_part(&b->r, &it, &p);)
        if (p.kind == CHAT_PART_TEXT && !google_is_empty(b, &p))
            at = p.at;
    return at;
}

/* Signatures before the last stood with texts that are one text now. */
static void put_loose(google_walk *w, const chat_message *m, proofs *k)
{
    chat_detail x;
    for (chat_details it = chat_details_of(&w->b->r, m);
         k->loose > 1 && chat_next_detail(&w->b->r, &it, &x);) {
        if (!is_loose(&x))
            continue;
        k->loose--;
        google_open_content(w, CHAT_ASSISTANT);
        google_put_text(w->b, SPAN("\"\""), 0, x.data);
    }
}

static tp_str take_loose(proofs *k)
{
    tp_str s = k->loose ? k->last : SPAN_NONE;
    k->loose = 0;
    return s;
}

static tp_str proof_of_image(const proofs *k, uint32_t n)
{
    char name[32] = "image:", digits[24];
    tp_str number = span_of_int(n, digits);
    memcpy(name + 6, number.ptr, number.len);
    id_slot *s = id_map_get(&k->by_id, (tp_str){name, 6 + number.len});
    if (!s)
        return SPAN_NONE;
    s->used = 1;
    return s->value;
}

static void put_image(google_walk *w, tp_str type, tp_str data, tp_str proof)
{
    json_out *o = &w->b->o;
    google_open_content(w, CHAT_ASSISTANT);
    jo_comma(o);
    jo_open(o, SPAN("{"));
    jo_key(o, SPAN("inlineData"));
    google_put_blob(w->b, type, data, SPAN_NONE);
    if (proof.len)
        jo_key_string(o, SPAN("thoughtSignature"), proof);
    jo_close(o, SPAN("}"));
}

/* Returns how many images it holds. */
static uint32_t put_parts(google_walk *w, const chat_message *m, proofs *k)
{
    google_body *b = w->b;
    chat_part p;
    uint32_t last = last_text(b, m), images = 0;
    for (chat_parts it = chat_parts_of(&b->r, m->content);
         chat_next_part(&b->r, &it, &p) && b->r.st == TP_OK;) {
        if (google_is_empty(b, &p))
            continue;
        google_open_content(w, CHAT_ASSISTANT);
        if (p.at == last)
            google_put_text(b, span_raw(b->r.d, p.text), 0, take_loose(k));
        else if (p.kind == CHAT_PART_IMAGE && p.data.len && google_media_type(&p).len)
            put_image(w, google_media_type(&p), p.data, proof_of_image(k, images++));
        else
            google_put_part(b, &p, m->index);
    }
    if (m->refusal && b->r.d->tokens[m->refusal].len > 2) {
        google_open_content(w, CHAT_ASSISTANT);
        google_put_text(b, span_raw(b->r.d, m->refusal), 0, SPAN_NONE);
    }
    return images;
}

/* The pictures of an earlier reply: {"type": "image_url", "image_url": {"url": "data:..."}}. */
static void put_images(google_walk *w, const chat_message *m, const proofs *k, uint32_t n)
{
    google_body *b = w->b;
    uint32_t list = span_find(b->r.h, b->r.d, m->at, SPAN("images"));
    if (span_kind(b->r.d, list) != TP_ARRAY)
        return;
    uint32_t place = 0;
    for (uint32_t t = list + 1; t < b->r.d->tokens[list].next; t = b->r.d->tokens[t].next, place++) {
        uint32_t link = span_find(b->r.h, b->r.d, t, SPAN("image_url"));
        tp_str type, data, url = span_kind(b->r.d, link) == TP_OBJECT
                                     ? span_member(b->r.h, b->r.c, b->r.d, link, SPAN("url"))
                                     : SPAN_NONE;
        if (chat_data_url(url, &type, &data))
            put_image(w, type, data, proof_of_image(k, n++));
        else
            chat_note(&b->r, TP_DROPPED, SPAN("expected a data URL with base64"),
                      "messages[%u].images[%u]", m->index, place);
    }
}

/* ---- Calls. */

/* {"google": {"thought_signature": "..."}}, as Google's OpenAI-compatible API has it. */
static tp_str proof_of_extra(const google_body *b, uint32_t extra)
{
    uint32_t google = extra ? span_find(b->r.h, b->r.d, extra, SPAN("google")) : 0;
    if (span_kind(b->r.d, google) != TP_OBJECT)
        return SPAN_NONE;
    return span_member(b->r.h, b->r.c, b->r.d, google, SPAN("thought_signature"));
}

/* Gemini 3 refuses a first call of the current turn without a signature, and takes this in its place
 * where the conversation has lost it. */
static tp_str stand_in(google_walk *w, const chat_message *m, const chat_call *call)
{
    google_body *b = w->b;
    if (call->index || m->index < w->turn || b->m.generation < 30)
        return SPAN_NONE;
    chat_note(&b->r, TP_REPAIRED, SPAN("the call came without its thought signature; the documented "
                                       "stand-in was sent"),
              "messages[%u].tool_calls[%u]", m->index, call->index);
    return SPAN("skip_thought_signature_validator");
}

static void put_call(google_walk *w, const chat_message *m, const chat_call *call, proofs *k)
{
    google_body *b = w->b;
    json_out *o = &b->o;
    if (!call->name.len) {
        chat_refuse(&b->r, TP_E_UNSUPPORTED, SPAN("this provider knows calls of functions only"),
                    "messages[%u].tool_calls[%u]", m->index, call->index);
        return;
    }
    id_slot *s = id_map_get(&k->by_id, call->id);
    tp_str proof = s ? s->value : proof_of_extra(b, call->extra);
    if (s)
        s->used = 1;
    if (!proof.len && !call->index)
        proof = take_loose(k);
    if (!proof.len)
        proof = stand_in(w, m, call);
    tp_str arguments = chat_arguments(&b->r, m, call);
    google_open_content(w, CHAT_ASSISTANT);
    jo_comma(o);
    jo_open(o, SPAN("{"));
    jo_key(o, SPAN("functionCall"));
    jo_open(o, SPAN("{"));
    if (call->id.len && m->tool_calls && !b->f.no_call_ids)
        jo_key_string(o, SPAN("id"), call->id);
    jo_key_string(o, SPAN("name"), call->name);
    jo_key_raw(o, SPAN("args"), arguments);
    jo_close(o, SPAN("}"));
    if (proof.len)
        jo_key_string(o, SPAN("thoughtSignature"), proof);
    jo_close(o, SPAN("}"));
    id_map_put(&w->names, call->id, call->name);
}

/* Proofs of what is no part of a message here: code that the upstream ran, calls that were left out. */
static void report_unused(google_body *b, const chat_message *m, const proofs *k)
{
    chat_detail x;
    for (chat_details it = chat_details_of(&b->r, m);
         k->by_id.slots && chat_next_detail(&b->r, &it, &x);) {
        const id_slot *s = is_ours(&x) && x.sealed ? id_map_get(&k->by_id, x.id) : NULL;
        if (s && !s->used)
            chat_note(&b->r, TP_DROPPED, SPAN("what it belongs to is not in the message"),
                      "messages[%u].reasoning_details[%u]", m->index, x.index);
    }
}

void google_put_assistant(google_walk *w, const chat_message *m)
{
    google_body *b = w->b;
    proofs k;
    chat_call call;
    if (!read_proofs(b, m, &k)) {
        b->r.st = TP_E_NOMEM;
        return;
    }
    put_thoughts(w, m, &k);
    if (k.loose > 1)
        put_loose(w, m, &k);
    put_images(w, m, &k, put_parts(w, m, &k));
    for (chat_calls it = chat_calls_of(&b->r, m);
         chat_next_call(&b->r, &it, &call) && b->r.st == TP_OK;)
        put_call(w, m, &call, &k);
    if (k.loose) {
        google_open_content(w, CHAT_ASSISTANT);
        google_put_text(b, SPAN("\"\""), 0, take_loose(&k));
    }
    report_unused(b, m, &k);
}
