/* Events in, the client's response out. Frames of a native reply are relayed; all other events are
 * rendered, as chunks of a stream or as one whole completion. */
#include "chat_int.h"

static tp_str kept(render_call *r, tp_str s)
{
    char *p = s.len && r->st == TP_OK ? r->h->keep(r->c, s.len) : NULL;
    if (!p) {
        if (s.len && r->st == TP_OK)
            r->st = TP_E_NOMEM;
        return SPAN_NONE;
    }
    memcpy(p, s.ptr, s.len);
    return (tp_str){p, s.len};
}

/* The first START is the host's: what the client is to see. A provider's own only fills what the
 * host left open. */
void chat_note_start(render_call *r, const tp_event *e)
{
    chat_state *s = r->s;
    if (s->started)
        return;
    s->started = 1;
    s->id = kept(r, e->id);
    s->model = kept(r, e->name);
    s->keep_model = !e->name.len || (e->flags & TP_EV_KEEP_MODEL);
    s->created = e->number;
    if (e->flags & TP_EV_SHOW_USAGE)
        s->show_usage = 1;
}

void chat_note_usage(render_call *r, const tp_event *e)
{
    static const tp_str names[UNITS] = {SPAN_INIT("prompt"),
                                        SPAN_INIT("cache_read"),
                                        SPAN_INIT("cache_write"),
                                        SPAN_INIT("cache_write:1h"),
                                        SPAN_INIT("audio_prompt"),
                                        SPAN_INIT("completion"),
                                        SPAN_INIT("reasoning"),
                                        SPAN_INIT("audio_completion"),
                                        SPAN_INIT("billed_prompt"),
                                        SPAN_INIT("billed_completion")};
    for (int i = 0; i < UNITS; i++) {
        if (span_eq(e->name, names[i])) {
            r->s->units[i] = e->number;
            r->s->has_usage = 1;
            r->s->has_bill |= i >= UNIT_BILLED_PROMPT;
        }
    }
}

/* Canonical units are disjoint, OpenAI's include their parts. */
void chat_put_usage(render_call *r)
{
    const int64_t *u = r->s->units;
    int64_t written = u[UNIT_CACHE_WRITE] + u[UNIT_CACHE_HOUR];
    int64_t prompt = u[UNIT_PROMPT] + u[UNIT_CACHE_READ] + written + u[UNIT_AUDIO_PROMPT];
    int64_t completion = u[UNIT_COMPLETION] + u[UNIT_REASONING] + u[UNIT_AUDIO_COMPLETION];
    put(r, SPAN("\"usage\":{\"prompt_tokens\":"));
    put_int(r, prompt);
    put(r, SPAN(",\"completion_tokens\":"));
    put_int(r, completion);
    put(r, SPAN(",\"total_tokens\":"));
    put_int(r, prompt + completion);
    put(r, SPAN(",\"prompt_tokens_details\":{\"cached_tokens\":"));
    put_int(r, u[UNIT_CACHE_READ]);
    if (written) {
        put(r, SPAN(",\"cache_write_tokens\":"));
        put_int(r, written);
    }
    put(r, SPAN(",\"audio_tokens\":"));
    put_int(r, u[UNIT_AUDIO_PROMPT]);
    put(r, SPAN("},\"completion_tokens_details\":{\"reasoning_tokens\":"));
    put_int(r, u[UNIT_REASONING]);
    put(r, SPAN(",\"audio_tokens\":"));
    put_int(r, u[UNIT_AUDIO_COMPLETION]);
    put(r, SPAN("}"));
    if (r->s->has_bill) { /* what is charged, where it is not what is counted */
        put(r, SPAN(",\"billed_units\":{\"input_tokens\":"));
        put_int(r, u[UNIT_BILLED_PROMPT]);
        put(r, SPAN(",\"output_tokens\":"));
        put_int(r, u[UNIT_BILLED_COMPLETION]);
        put(r, SPAN("}"));
    }
    put(r, SPAN("}"));
}

tp_str chat_finish_word(const tp_event *e)
{
    switch (e->code) {
    case TP_FINISH_LENGTH: return SPAN("length");
    case TP_FINISH_TOOLS: return SPAN("tool_calls");
    case TP_FINISH_FILTER:
    case TP_FINISH_REFUSAL: return SPAN("content_filter");
    default: return SPAN("stop");
    }
}

/* What an element of reasoning_details says behind its proof. */
void chat_put_signature_end(render_call *r, const tp_event *e, tp_str call_id)
{
    tp_str id = call_id.len ? call_id : e->id;
    if (id.len) {
        put(r, SPAN(",\"id\":"));
        put_quoted(r, id);
    }
    if (e->name.len) {
        put(r, SPAN(",\"format\":"));
        put_quoted(r, e->name);
    }
    put(r, SPAN(",\"index\":"));
    put_int(r, e->item);
    put(r, SPAN("}"));
}

/* One element of reasoning_details: the proof of a thought, a sealed thought, or of a call. Code 1: of
 * a thought whose text was left out. */
void chat_put_signature(render_call *r, const tp_event *e, int of_text, tp_str call_id)
{
    put(r, !of_text        ? SPAN("{\"type\":\"reasoning.encrypted\",\"data\":")
           : e->code == 1 ? SPAN("{\"type\":\"reasoning.text\",\"text\":\"\",\"signature\":")
                          : SPAN("{\"type\":\"reasoning.text\",\"signature\":"));
    put_quoted(r, e->text);
    chat_put_signature_end(r, e, call_id);
}

/* media type and base64 as an element of "images" */
void chat_put_image(render_call *r, const tp_event *e)
{
    size_t n = 5 + e->name.len + 8 + e->text.len;
    char *url = r->h->alloc(r->c, n), *p = url;
    if (!url) {
        r->st = TP_E_NOMEM;
        return;
    }
    memcpy(p, "data:", 5);
    p += 5;
    if (e->name.len)
        memcpy(p, e->name.ptr, e->name.len);
    p += e->name.len;
    memcpy(p, ";base64,", 8);
    p += 8;
    if (e->text.len)
        memcpy(p, e->text.ptr, e->text.len);
    put(r, SPAN("{\"type\":\"image_url\",\"image_url\":{\"url\":"));
    put_quoted(r, (tp_str){url, n});
    put(r, SPAN("}}"));
}

static void stream_event(render_call *r, const tp_event *e)
{
    chat_state *s = r->s;
    switch (e->kind) {
    case TP_EV_START:
        chat_note_start(r, e);
        break;
    case TP_EV_FRAME:
        s->relay = 1;
        chat_relay_frame(r, e->raw);
        break;
    case TP_EV_USAGE:
        chat_note_usage(r, e);
        if (e->raw.len) { /* a frame of its own: for those who asked */
            s->relay = 1;
            if (s->show_usage)
                chat_relay_frame(r, e->raw);
        }
        break;
    case TP_EV_ERROR:
        if (!s->head_sent)
            r->st = TP_E_UNSUPPORTED; /* the surface has an envelope for this */
        else
            chat_stream_error(r, e);
        s->done = 1;
        break;
    case TP_EV_END:
        chat_stream_end(r);
        s->done = 1;
        break;
    default:
        if (!s->relay) /* beside frames, decoded events are for the records alone */
            chat_chunk(r, e);
        break;
    }
}

tp_status chat_render(const tp_instance *in, tp_call *c, tp_list events)
{
    render_call r = {.h = in->host, .c = c, .s = c->state, .events = events};
    if (!r.s->stream) {
        chat_whole(&r);
        return r.st;
    }
    for (uint32_t i = 0; i < events.count && r.st == TP_OK && !r.s->done; i++)
        stream_event(&r, event_at(&events, i));
    return r.st;
}
