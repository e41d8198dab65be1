/* Events that are not relayed, as chunks of a stream. */
#include "chat_int.h"

void chat_stream_head(render_call *r)
{
    if (r->s->head_sent || r->st != TP_OK)
        return;
    r->s->head_sent = 1;
    r->st = r->h->status(r->c, 200);
    if (r->st == TP_OK)
        r->st = r->h->header(r->c, SPAN("content-type"), SPAN("text/event-stream; charset=utf-8"));
    if (r->st == TP_OK)
        r->st = r->h->header(r->c, SPAN("cache-control"), SPAN("no-cache"));
}

static void begin_chunk(render_call *r)
{
    chat_stream_head(r);
    put(r, SPAN("data: {\"id\":"));
    put_quoted(r, r->s->id);
    put(r, SPAN(",\"object\":\"chat.completion.chunk\",\"created\":"));
    put_int(r, r->s->created);
    put(r, SPAN(",\"model\":"));
    put_quoted(r, r->s->model);
    put(r, r->s->fields);
}

static int bit_test_set(uint64_t bits[2], uint32_t i)
{
    uint64_t bit = UINT64_C(1) << (i & 63);
    int was = (bits[(i >> 6) & 1] & bit) != 0;
    bits[(i >> 6) & 1] |= bit;
    return was;
}

/* Up to and with the brace of the delta; the first one of a choice names the role. 1: a member is
 * there already. */
static int begin_delta(render_call *r, uint32_t choice)
{
    begin_chunk(r);
    put(r, SPAN(",\"choices\":[{\"index\":"));
    put_int(r, choice);
    put(r, SPAN(",\"delta\":{"));
    if (bit_test_set(r->s->spoke, choice))
        return 0;
    put(r, SPAN("\"role\":\"assistant\""));
    return 1;
}

static void end_delta(render_call *r)
{
    put(r, SPAN("},\"finish_reason\":null}]}\n\n"));
}

static void text_delta(render_call *r, const tp_event *e, tp_str member)
{
    if (begin_delta(r, e->choice))
        put(r, SPAN(","));
    put(r, member);
    put_quoted(r, e->text);
    end_delta(r);
}

static void raw_delta(render_call *r, const tp_event *e, tp_str open, tp_str close)
{
    if (begin_delta(r, e->choice))
        put(r, SPAN(","));
    put(r, open);
    put(r, e->raw);
    put(r, close);
    end_delta(r);
}

static void call_delta(render_call *r, const tp_event *e)
{
    const chat_call *k = chat_call_made(r, e);
    if (!k)
        return;
    if (begin_delta(r, e->choice))
        put(r, SPAN(",\"content\":null,"));
    put(r, SPAN("\"tool_calls\":[{\"index\":"));
    put_int(r, k->index);
    put(r, SPAN(",\"id\":"));
    put_quoted(r, e->id);
    put(r, SPAN(",\"type\":\"function\",\"function\":{\"name\":"));
    put_quoted(r, e->name);
    put(r, SPAN(",\"arguments\":\"\"}}]"));
    end_delta(r);
}

static void arguments_delta(render_call *r, const tp_event *e)
{
    const chat_call *k = chat_call_at(r, e);
    if (!k)
        return; /* a piece of no call: nothing that a client could read */
    if (begin_delta(r, e->choice))
        put(r, SPAN(","));
    put(r, SPAN("\"tool_calls\":[{\"index\":"));
    put_int(r, k->index);
    put(r, SPAN(",\"function\":{\"arguments\":"));
    put_quoted(r, e->text);
    put(r, SPAN("}}]"));
    end_delta(r);
}

/* reasoning_content is all thoughts of a choice, one after the other. What a second one says stands in
 * reasoning_details too: its proof is of that text alone. */
static void thought_delta(render_call *r, const tp_event *e)
{
    chat_choice *x = chat_choice_made(r, e->choice);
    if (!x)
        return;
    if (!x->thinks)
        x->first = e->item;
    x->thinks = 1;
    x->item = e->item;
    if (begin_delta(r, e->choice))
        put(r, SPAN(","));
    put(r, SPAN("\"reasoning_content\":"));
    put_quoted(r, e->text);
    if (x->item != x->first) {
        put(r, SPAN(",\"reasoning_details\":[{\"type\":\"reasoning.text\",\"text\":"));
        put_quoted(r, e->text);
        put(r, SPAN(",\"index\":"));
        put_int(r, e->item);
        put(r, SPAN("}]"));
    }
    end_delta(r);
}

static void signature_delta(render_call *r, const tp_event *e)
{
    const chat_choice *x = chat_choice_at(r, e->choice);
    int of_text = e->code == 1 || (x && x->thinks && x->item == e->item);
    if (begin_delta(r, e->choice))
        put(r, SPAN(","));
    put(r, SPAN("\"reasoning_details\":["));
    chat_put_signature(r, e, of_text && !chat_call_at(r, e), SPAN_NONE);
    put(r, SPAN("]"));
    end_delta(r);
}

static void logprobs_delta(render_call *r, const tp_event *e)
{
    begin_delta(r, e->choice);
    put(r, SPAN("},\"logprobs\":"));
    put(r, e->raw);
    put(r, SPAN(",\"finish_reason\":null}]}\n\n"));
}

static void finish_delta(render_call *r, const tp_event *e)
{
    begin_delta(r, e->choice);
    put(r, SPAN("},\"finish_reason\":"));
    put_quoted(r, chat_finish_word(e));
    put(r, SPAN("}]}\n\n"));
}

static void media_delta(render_call *r, const tp_event *e)
{
    int sound = chat_is_sound(e);
    if (!sound && !span_istarts(e->name, SPAN("image/")))
        return;
    if (begin_delta(r, e->choice))
        put(r, SPAN(","));
    if (sound) {
        chat_put_sound(r, e->text);
        put(r, SPAN("}"));
    } else {
        put(r, SPAN("\"images\":["));
        chat_put_image(r, e);
        put(r, SPAN("]"));
    }
    end_delta(r);
}

/* A member of the delta that only this format knows: id is its name. */
static void item_delta(render_call *r, const tp_event *e)
{
    if (!span_is(e->name, "chat/openai") || !e->id.len)
        return;
    if (begin_delta(r, e->choice))
        put(r, SPAN(","));
    put_quoted(r, e->id);
    put(r, SPAN(":"));
    put(r, e->raw);
    end_delta(r);
}

/* A top-level field stands in every chunk from here on. */
static void note_field(render_call *r, const tp_event *e)
{
    chat_state *s = r->s;
    size_t n = s->fields.len + e->name.len + e->raw.len + 4;
    if (n > 2048)
        return; /* fields are small; a large one is not worth its place in every chunk */
    char *p = r->h->keep(r->c, n), *q = p;
    if (!p)
        return;
    if (s->fields.len)
        memcpy(q, s->fields.ptr, s->fields.len);
    q += s->fields.len;
    *q++ = ',';
    *q++ = '"';
    memcpy(q, e->name.ptr, e->name.len);
    q += e->name.len;
    *q++ = '"';
    *q++ = ':';
    memcpy(q, e->raw.ptr, e->raw.len);
    s->fields = (tp_str){p, n};
}

void chat_chunk(render_call *r, const tp_event *e)
{
    switch (e->kind) {
    case TP_EV_TEXT:
        text_delta(r, e, SPAN("\"content\":"));
        break;
    case TP_EV_REASONING:
        thought_delta(r, e);
        break;
    case TP_EV_REFUSAL:
        text_delta(r, e, SPAN("\"refusal\":"));
        break;
    case TP_EV_CALL:
        call_delta(r, e);
        break;
    case TP_EV_ARGUMENTS:
        arguments_delta(r, e);
        break;
    case TP_EV_SIGNATURE:
        signature_delta(r, e);
        break;
    case TP_EV_MEDIA:
        media_delta(r, e);
        break;
    case TP_EV_ANNOTATION:
        raw_delta(r, e, SPAN("\"annotations\":["), SPAN("]"));
        break;
    case TP_EV_LOGPROBS:
        logprobs_delta(r, e);
        break;
    case TP_EV_FIELD:
        if (e->name.len && e->raw.len)
            note_field(r, e);
        break;
    case TP_EV_ITEM:
        item_delta(r, e);
        break;
    case TP_EV_FINISH:
        finish_delta(r, e);
        break;
    default:
        break; /* what is unknown is passed over */
    }
}

void chat_stream_end(render_call *r)
{
    chat_stream_head(r);
    if (!r->s->relay && r->s->show_usage && r->s->has_usage) {
        begin_chunk(r);
        put(r, SPAN(",\"choices\":[],"));
        chat_put_usage(r);
        put(r, SPAN("}\n\n"));
    }
    put(r, SPAN("data: [DONE]\n\n"));
}

static tp_str type_of(int32_t code)
{
    switch (code) {
    case TP_ERR_INVALID:
    case TP_ERR_TOO_LONG: return SPAN("invalid_request_error");
    case TP_ERR_NOT_FOUND: return SPAN("not_found_error");
    case TP_ERR_RATE: return SPAN("rate_limit_error");
    case TP_ERR_OVERLOADED: return SPAN("overloaded_error");
    case TP_ERR_TIMEOUT: return SPAN("timeout_error");
    case TP_ERR_FILTER: return SPAN("content_filter");
    default: return SPAN("upstream_error");
    }
}

static void put_or_null(render_call *r, tp_str s)
{
    if (s.len)
        put_quoted(r, s);
    else
        put(r, SPAN("null"));
}

/* The stream ends with this event and without [DONE], so that it cannot look complete. What an
 * upstream says of the gateway's own key or account is not the client's business. */
void chat_stream_error(render_call *r, const tp_event *e)
{
    int ours = e->code == TP_ERR_AUTH || e->code == TP_ERR_QUOTA || e->code == TP_ERR_FORBIDDEN;
    put(r, SPAN("data: {\"error\":{\"message\":"));
    put_quoted(r, ours || !e->text.len ? SPAN("The provider failed while it was answering.")
                                       : e->text);
    put(r, SPAN(",\"type\":"));
    put_quoted(r, e->name.len && !ours ? e->name : type_of(e->code));
    put(r, SPAN(",\"param\":"));
    put_or_null(r, e->param);
    put(r, SPAN(",\"code\":"));
    put_or_null(r, ours ? SPAN_NONE : e->id);
    put(r, SPAN("}}\n\n"));
}
