/* A whole reply: one frame to relay, or events joined into one completion. */
#include "chat_int.h"

typedef struct choice_sum { /* what one choice holds */
    uint32_t index;
    uint32_t texts, reasonings, refusals, calls, annotations, logprobs, signatures, images, sounds;
    const tp_event *finish;
} choice_sum;

static void response_head(render_call *r)
{
    if (r->st == TP_OK)
        r->st = r->h->status(r->c, 200);
    if (r->st == TP_OK)
        r->st = r->h->header(r->c, SPAN("content-type"), SPAN("application/json"));
    r->s->head_sent = 1;
}

/* All texts of one kind in a choice (and, for arguments, of one item) as one JSON string. */
static void put_joined(render_call *r, uint32_t choice, int32_t kind, int64_t item)
{
    size_t n = 0, pieces = 0;
    tp_str one = SPAN_NONE;
    for (uint32_t i = 0; i < r->events.count; i++) {
        const tp_event *e = event_at(&r->events, i);
        if (e->kind != kind || e->choice != choice || (item >= 0 && e->item != item))
            continue;
        one = e->text;
        n += e->text.len;
        pieces++;
    }
    if (pieces > 1) {
        char *p = r->h->alloc(r->c, n + 1);
        if (!p) {
            r->st = TP_E_NOMEM;
            return;
        }
        one = (tp_str){p, n};
        for (uint32_t i = 0; i < r->events.count; i++) {
            const tp_event *e = event_at(&r->events, i);
            if (e->kind != kind || e->choice != choice || (item >= 0 && e->item != item) ||
                !e->text.len)
                continue;
            memcpy(p, e->text.ptr, e->text.len);
            p += e->text.len;
        }
    }
    put_quoted(r, one);
}

static choice_sum sum_of(const render_call *r, uint32_t choice)
{
    choice_sum s = {.index = choice};
    for (uint32_t i = 0; i < r->events.count; i++) {
        const tp_event *e = event_at(&r->events, i);
        if (e->choice != choice)
            continue;
        switch (e->kind) {
        case TP_EV_TEXT: s.texts++; break;
        case TP_EV_REASONING: s.reasonings++; break;
        case TP_EV_REFUSAL: s.refusals++; break;
        case TP_EV_CALL: s.calls++; break;
        case TP_EV_ANNOTATION: s.annotations++; break;
        case TP_EV_LOGPROBS: s.logprobs++; break;
        case TP_EV_SIGNATURE: s.signatures++; break;
        case TP_EV_MEDIA:
            s.images += span_istarts(e->name, SPAN("image/"));
            s.sounds += chat_is_sound(e);
            break;
        case TP_EV_FINISH: s.finish = e; break;
        default: break;
        }
    }
    return s;
}

/* Calls fn for every event of a kind in a choice, with commas between. */
static void put_list(render_call *r, uint32_t choice, int32_t kind,
                     void (*fn)(render_call *, const tp_event *))
{
    int first = 1;
    put(r, SPAN("["));
    for (uint32_t i = 0; i < r->events.count && r->st == TP_OK; i++) {
        const tp_event *e = event_at(&r->events, i);
        if (e->kind != kind || e->choice != choice ||
            (kind == TP_EV_MEDIA && !span_istarts(e->name, SPAN("image/"))))
            continue;
        if (!first)
            put(r, SPAN(","));
        first = 0;
        fn(r, e);
    }
    put(r, SPAN("]"));
}

static void put_call(render_call *r, const tp_event *e)
{
    put(r, SPAN("{\"id\":"));
    put_quoted(r, e->id);
    put(r, SPAN(",\"type\":\"function\",\"function\":{\"name\":"));
    put_quoted(r, e->name);
    put(r, SPAN(",\"arguments\":"));
    put_joined(r, e->choice, TP_EV_ARGUMENTS, e->item);
    put(r, SPAN("}}"));
}

static void put_raw(render_call *r, const tp_event *e)
{
    put(r, e->raw);
}

/* reasoning_content is all thoughts of a choice, one after the other. Where there are several, each
 * proof says which text it is of. */
static void put_proof(render_call *r, const tp_event *e)
{
    int of_text = e->code == 1, others = 0;
    tp_str call_id = SPAN_NONE;
    for (uint32_t i = 0; i < r->events.count; i++) {
        const tp_event *x = event_at(&r->events, i);
        others |= x->kind == TP_EV_REASONING && x->choice == e->choice && x->item != e->item;
        if (x->choice != e->choice || x->item != e->item)
            continue;
        of_text |= x->kind == TP_EV_REASONING;
        if (x->kind == TP_EV_CALL)
            call_id = x->id;
    }
    if (!of_text || !others || e->code == 1) {
        chat_put_signature(r, e, of_text, call_id);
        return;
    }
    put(r, SPAN("{\"type\":\"reasoning.text\",\"text\":"));
    put_joined(r, e->choice, TP_EV_REASONING, e->item);
    put(r, SPAN(",\"signature\":"));
    put_quoted(r, e->text);
    chat_put_signature_end(r, e, call_id);
}

/* Logprobs came in pieces: their content lists are one list. */
static void put_logprobs(render_call *r, const choice_sum *s)
{
    int any = 0;
    put(r, SPAN("{\"content\":["));
    for (uint32_t i = 0; i < r->events.count && r->st == TP_OK; i++) {
        const tp_event *e = event_at(&r->events, i);
        tp_doc d;
        if (e->kind != TP_EV_LOGPROBS || e->choice != s->index ||
            r->h->scan(r->c, e->raw, &d) != TP_OK || d.tokens[0].kind != TP_OBJECT)
            continue;
        uint32_t list = r->h->find(&d, 0, SPAN("content"));
        if (span_kind(&d, list) != TP_ARRAY || !span_filled(&d, list))
            continue;
        if (any)
            put(r, SPAN(","));
        any = 1;
        put(r, span_inner(&d, list)); /* between the brackets */
    }
    put(r, SPAN("],\"refusal\":null}"));
}

static void put_items(render_call *r, uint32_t choice)
{
    for (uint32_t i = 0; i < r->events.count; i++) {
        const tp_event *e = event_at(&r->events, i);
        if (e->kind != TP_EV_ITEM || e->choice != choice || !e->id.len ||
            !span_is(e->name, "chat/openai"))
            continue;
        put(r, SPAN(","));
        put_quoted(r, e->id);
        put(r, SPAN(":"));
        put(r, e->raw);
    }
}

static void put_message(render_call *r, const choice_sum *s)
{
    put(r, SPAN("\"message\":{\"role\":\"assistant\",\"content\":"));
    if (s->texts)
        put_joined(r, s->index, TP_EV_TEXT, -1);
    else /* nothing but calls, a refusal or an image has no content; an empty answer has "" */
        put(r, s->calls || s->refusals || s->images || s->sounds ? SPAN("null") : SPAN("\"\""));
    if (s->reasonings) {
        put(r, SPAN(",\"reasoning_content\":"));
        put_joined(r, s->index, TP_EV_REASONING, -1);
    }
    put(r, SPAN(",\"refusal\":"));
    if (s->refusals)
        put_joined(r, s->index, TP_EV_REFUSAL, -1);
    else
        put(r, SPAN("null"));
    if (s->signatures) {
        put(r, SPAN(",\"reasoning_details\":"));
        put_list(r, s->index, TP_EV_SIGNATURE, put_proof);
    }
    if (s->calls) {
        put(r, SPAN(",\"tool_calls\":"));
        put_list(r, s->index, TP_EV_CALL, put_call);
    }
    if (s->annotations) {
        put(r, SPAN(",\"annotations\":"));
        put_list(r, s->index, TP_EV_ANNOTATION, put_raw);
    }
    if (s->images) {
        put(r, SPAN(",\"images\":"));
        put_list(r, s->index, TP_EV_MEDIA, chat_put_image);
    }
    if (s->sounds) {
        put(r, SPAN(","));
        chat_put_sounds(r, s->index);
    }
    put_items(r, s->index);
    put(r, SPAN("}"));
}

static void put_choice(render_call *r, const choice_sum *s)
{
    put(r, SPAN("{\"index\":"));
    put_int(r, s->index);
    put(r, SPAN(","));
    put_message(r, s);
    put(r, SPAN(",\"logprobs\":"));
    if (s->logprobs)
        put_logprobs(r, s);
    else
        put(r, SPAN("null"));
    put(r, SPAN(",\"finish_reason\":"));
    if (s->finish)
        put_quoted(r, chat_finish_word(s->finish));
    else
        put(r, SPAN("null"));
    put(r, SPAN("}"));
}

static void render_whole(render_call *r)
{
    uint32_t last = 0;
    response_head(r);
    put(r, SPAN("{\"id\":"));
    put_quoted(r, r->s->id);
    put(r, SPAN(",\"object\":\"chat.completion\",\"created\":"));
    put_int(r, r->s->created);
    put(r, SPAN(",\"model\":"));
    put_quoted(r, r->s->model);
    for (uint32_t i = 0; i < r->events.count; i++) {
        const tp_event *e = event_at(&r->events, i);
        if (e->choice > last && e->choice < 128)
            last = e->choice;
    }
    put(r, SPAN(",\"choices\":["));
    for (uint32_t choice = 0; choice <= last && r->st == TP_OK; choice++) {
        choice_sum s = sum_of(r, choice);
        if (choice)
            put(r, SPAN(","));
        put_choice(r, &s);
    }
    put(r, SPAN("]"));
    if (r->s->has_usage) {
        put(r, SPAN(","));
        chat_put_usage(r);
    }
    for (uint32_t i = 0; i < r->events.count; i++) {
        const tp_event *e = event_at(&r->events, i);
        if (e->kind != TP_EV_FIELD || !e->name.len || !e->raw.len)
            continue;
        put(r, SPAN(","));
        put_quoted(r, e->name);
        put(r, SPAN(":"));
        put(r, e->raw);
    }
    put(r, SPAN("}"));
}

void chat_whole(render_call *r)
{
    const tp_event *frame = NULL;
    for (uint32_t i = 0; i < r->events.count && r->st == TP_OK; i++) {
        const tp_event *e = event_at(&r->events, i);
        if (e->kind == TP_EV_START)
            chat_note_start(r, e);
        else if (e->kind == TP_EV_USAGE)
            chat_note_usage(r, e);
        else if (e->kind == TP_EV_FRAME && !frame)
            frame = e;
        else if (e->kind == TP_EV_ERROR)
            r->st = TP_E_UNSUPPORTED; /* nothing is written yet: the surface's envelope */
    }
    if (r->st != TP_OK)
        return;
    if (frame) {
        response_head(r);
        chat_relay_frame(r, frame->raw);
    } else {
        render_whole(r);
    }
    r->s->done = 1;
}
