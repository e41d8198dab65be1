/* ConverseStream: messages of an event stream as canonical events. A reply that is one document is
 * read in whole.c. */
#include "bedrock_int.h"

enum {
    KIND_TEXT,
    KIND_THOUGHT,
    KIND_CALL,
    KIND_ANSWER, /* a tool's arguments that are the text */
    KIND_IMAGE,
    KIND_SERVER /* a tool that the provider itself calls, its result, and what is new */
};

static bedrock_block *open_block(bedrock_reply *r, int64_t index, uint8_t kind)
{
    bedrock_block *b = &r->blocks[r->next_block++ % BLOCKS];
    for (uint32_t i = 0; b->open && i < BLOCKS; i++) /* one that is free, if there is one */
        b = r->blocks[i].open ? b : &r->blocks[i];
    *b = (bedrock_block){.index = index, .item = r->items++, .kind = kind, .open = 1};
    if (kind == KIND_TEXT)
        r->block_from = r->chars;
    return b;
}

static bedrock_block *find_block(bedrock_reply *r, int64_t index)
{
    for (uint32_t i = 0; i < BLOCKS; i++)
        if (r->blocks[i].open && r->blocks[i].index == index)
            return &r->blocks[i];
    return NULL;
}

/* The block of this index; text and thoughts begin without a word. */
static bedrock_block *block_of(bedrock_reply *r, int64_t index, uint8_t kind)
{
    bedrock_block *b = find_block(r, index);
    if (b && b->kind == kind)
        return b;
    if (b)
        b->open = 0;
    return open_block(r, index, kind);
}

static int64_t index_in(const reading *x, uint32_t t)
{
    int64_t v;
    return span_int(&x->d, t, &v) ? v : 0;
}

static tp_str string_at(const reading *x, uint32_t t)
{
    return span_kind(&x->d, t) == TP_STRING ? span_text(x->h, x->c, &x->d, t) : SPAN_NONE;
}

static tp_str string_in(const reading *x, uint32_t object, tp_str name)
{
    return object ? span_member(x->h, x->c, &x->d, object, name) : SPAN_NONE;
}

static uint32_t object_in(const reading *x, uint32_t object, tp_str name)
{
    uint32_t t = x->h->find(&x->d, object, name);
    return span_kind(&x->d, t) == TP_OBJECT ? t : 0;
}

/* ---- Events of a block. */
static void start_call(reading *x, int64_t index, uint32_t use)
{
    bedrock_reply *r = x->r;
    tp_str name = string_in(x, use, SPAN("name"));
    if (span_is(string_in(x, use, SPAN("type")), "server_tool_use")) {
        bedrock_item(x, open_block(r, index, KIND_SERVER)->item, 0);
        return;
    }
    if (bedrock_is_answer(r, name)) {
        open_block(r, index, KIND_ANSWER);
        return;
    }
    bedrock_block *b = open_block(r, index, KIND_CALL);
    r->answered = r->called = 1;
    chat_emit_call(&x->o, 0, b->item, string_in(x, use, SPAN("toolUseId")), name);
}

static void on_start(reading *x)
{
    int64_t index = index_in(x, x->h->find(&x->d, 0, SPAN("contentBlockIndex")));
    uint32_t start = object_in(x, 0, SPAN("start"));
    uint32_t use = start ? object_in(x, start, SPAN("toolUse")) : 0;
    uint32_t image = start ? object_in(x, start, SPAN("image")) : 0;
    if (use) {
        start_call(x, index, use);
    } else if (image) {
        tp_str format = string_in(x, image, SPAN("format"));
        bedrock_block *b = open_block(x->r, index, KIND_IMAGE);
        b->told = span_is(format, "jpeg")   ? 1
                  : span_is(format, "gif")  ? 2
                  : span_is(format, "webp") ? 3
                                            : 0;
    } else if (start && span_filled(&x->d, start)) {
        bedrock_item(x, open_block(x->r, index, KIND_SERVER)->item, 0);
    }
}

static void on_thought(reading *x, int64_t index, uint32_t t)
{
    bedrock_reply *r = x->r;
    if (span_kind(&x->d, t) != TP_OBJECT)
        return;
    for (members m = members_of(&x->d, t); members_next(&m);) {
        tp_str key = span_inner(&x->d, m.key), text = string_at(x, m.value);
        if (!text.len)
            continue;
        if (span_is(key, "redactedContent")) {
            bedrock_sealed(x, text);
            continue;
        }
        bedrock_block *b = block_of(r, index, KIND_THOUGHT);
        if (r->hidden)
            continue;
        r->answered = 1;
        if (span_is(key, "text"))
            chat_emit_text(&x->o, TP_EV_REASONING, 0, b->item, text);
        else if (span_is(key, "signature"))
            chat_emit_signature(&x->o, 0, b->item,
                                r->claude ? SPAN("anthropic-claude-v1") : SPAN("bedrock"), text);
    }
}

static void on_arguments(reading *x, int64_t index, uint32_t t)
{
    bedrock_block *b = find_block(x->r, index);
    tp_str piece = string_in(x, span_kind(&x->d, t) == TP_OBJECT ? t : 0, SPAN("input"));
    if (!b || !piece.len)
        return; /* of no call: nothing that a client could read */
    if (b->kind == KIND_ANSWER) {
        bedrock_text(x, b->item, piece);
    } else if (b->kind == KIND_CALL) {
        b->told = 1;
        chat_emit_text(&x->o, TP_EV_ARGUMENTS, 0, b->item, piece);
    } else {
        bedrock_item(x, b->item, 0);
    }
}

static void on_image(reading *x, int64_t index, uint32_t t)
{
    static const tp_str formats[] = {SPAN_INIT("png"), SPAN_INIT("jpeg"), SPAN_INIT("gif"),
                                     SPAN_INIT("webp")};
    bedrock_block *b = block_of(x->r, index, KIND_IMAGE);
    bedrock_media(x, SPAN("image/"), span_kind(&x->d, t) == TP_OBJECT ? t : 0, b->item,
                  formats[b->kind == KIND_IMAGE ? b->told & 3 : 0]);
}

static void on_delta(reading *x)
{
    uint32_t index_at = 0, delta = 0;
    for (members m = members_of(&x->d, 0); members_next(&m);) {
        tp_str key = span_inner(&x->d, m.key);
        if (span_is(key, "contentBlockIndex"))
            index_at = m.value;
        else if (span_is(key, "delta"))
            delta = m.value;
    }
    int64_t index = index_in(x, index_at);
    if (span_kind(&x->d, delta) != TP_OBJECT)
        return;
    for (members m = members_of(&x->d, delta); members_next(&m) && x->o.st == TP_OK;) {
        tp_str key = span_inner(&x->d, m.key);
        if (span_is(key, "text"))
            bedrock_text(x, block_of(x->r, index, KIND_TEXT)->item, string_at(x, m.value));
        else if (span_is(key, "toolUse"))
            on_arguments(x, index, m.value);
        else if (span_is(key, "reasoningContent"))
            on_thought(x, index, m.value);
        else if (span_is(key, "citation"))
            bedrock_citation(x, block_of(x->r, index, KIND_TEXT)->item, m.value);
        else if (span_is(key, "image"))
            on_image(x, index, m.value);
        else
            bedrock_item(x, block_of(x->r, index, KIND_SERVER)->item, 0);
    }
}

static void end_block(reading *x, bedrock_block *b)
{
    if (b->kind == KIND_CALL && !b->told)
        chat_emit_text(&x->o, TP_EV_ARGUMENTS, 0, b->item, SPAN("{}"));
    if (b->kind == KIND_ANSWER)
        x->r->answered = 1;
    b->open = 0;
}

static void on_block_stop(reading *x)
{
    bedrock_block *b =
        find_block(x->r, index_in(x, x->h->find(&x->d, 0, SPAN("contentBlockIndex"))));
    if (b)
        end_block(x, b);
}

static void on_stop(reading *x)
{
    for (uint32_t i = 0; i < BLOCKS; i++)
        if (x->r->blocks[i].open)
            end_block(x, &x->r->blocks[i]);
    bedrock_stop(x, x->h->find(&x->d, 0, SPAN("stopReason")),
                 x->h->find(&x->d, 0, SPAN("additionalModelResponseFields")));
}

static void on_metadata(reading *x)
{
    uint32_t usage = object_in(x, 0, SPAN("usage"));
    if (usage)
        bedrock_usage(x, usage);
    bedrock_extra(x, 0);
    if (x->r->stopped)
        bedrock_complete(x);
}

static tp_status on_event(reading *x, tp_str type)
{
    switch (type.len) {
    case 17:
        if (span_is(type, "contentBlockDelta"))
            on_delta(x);
        else if (span_is(type, "contentBlockStart"))
            on_start(x);
        break;
    case 16:
        if (span_is(type, "contentBlockStop"))
            on_block_stop(x);
        break;
    case 11:
        if (span_is(type, "messageStop"))
            on_stop(x);
        break;
    case 8:
        if (span_is(type, "metadata"))
            on_metadata(x);
        break;
    default: /* messageStart has a role alone; what is unknown is passed over */
        break;
    }
    return x->o.st;
}

/* ---- Messages. */
static tp_status broken_stream(const tp_host *h, tp_call *c, bedrock_reply *r)
{
    r->done = 1;
    return fault_say(h, c,
                     SPAN("The provider's stream is damaged: a length or checksum is wrong."));
}

static tp_status on_message(const tp_host *h, tp_call *c, const eventstream_message *m)
{
    bedrock_reply *r = c->state;
    reading x = {.h = h, .c = c, .r = r, .o = {.h = h, .c = c}};
    if (!span_is(m->message_type, "event") && m->message_type.len) {
        r->done = 1;
        return bedrock_exception(h, c, m);
    }
    tp_str body = span_trim(m->payload);
    if (!body.len || !m->event_type.len)
        return TP_OK;
    tp_status st = h->scan(c, body, &x.d);
    if (st != TP_OK)
        return st;
    if (!x.d.count || x.d.tokens[0].kind != TP_OBJECT)
        return TP_OK;
    return on_event(&x, m->event_type);
}

static tp_status chunk(const tp_instance *in, tp_call *c, tp_frame *frame)
{
    bedrock_reply *r = c->state;
    eventstream_message m;
    tp_status st = TP_OK;
    size_t used = 0;
    while (st == TP_OK && !r->done) {
        int64_t n = eventstream_read(&in->crc,
                                     (tp_str){frame->data.ptr + used, frame->data.len - used}, &m);
        if (n == EVENTSTREAM_BAD)
            st = broken_stream(in->host, c, r);
        if (n <= 0)
            break;
        used += (size_t)n;
        st = on_message(in->host, c, &m);
    }
    frame->used = r->done ? frame->data.len : used;
    r->left_over = frame->used < frame->data.len;
    return st;
}

tp_status bedrock_data(const tp_instance *in, tp_call *c, tp_frame *frame)
{
    bedrock_reply *r = c->state;
    reading x = {.h = in->host, .c = c, .r = r, .o = {.h = in->host, .c = c}};
    if (r->chunks)
        return chunk(in, c, frame);
    if (r->done)
        return TP_OK;
    tp_status st = in->host->scan(c, span_trim(frame->data), &x.d);
    if (st != TP_OK)
        return st;
    bedrock_whole(&x);
    return x.o.st;
}

tp_status bedrock_head(const tp_instance *in, tp_call *c, const tp_reply *reply, int32_t *framing)
{
    bedrock_reply *r = c->state;
    chat_out o = {.h = in->host, .c = c};
    tp_str id = fault_header(&reply->headers, SPAN("x-amzn-requestid"));
    r->chunks = span_istarts(reply->type, SPAN("application/vnd.amazon.eventstream")) ||
                (r->streaming && !span_istarts(reply->type, SPAN("application/json")));
    *framing = r->chunks ? TP_CHUNKS : TP_WHOLE;
    if (id.len)
        chat_emit_start(&o, id, SPAN_NONE, 0);
    return o.st;
}

/* The counts come last; a stream that ended well without them is complete none the less. */
tp_status bedrock_end(const tp_instance *in, tp_call *c, int32_t broken)
{
    bedrock_reply *r = c->state;
    reading x = {.h = in->host, .c = c, .r = r, .o = {.h = in->host, .c = c}};
    if (r->done || broken || r->left_over || !r->stopped)
        return TP_OK;
    bedrock_complete(&x);
    return x.o.st;
}
