/* A reply: one document, or a stream of events. A message has blocks of content (text, thinking), a
 * plan before tool calls, and the calls; a citation speaks of a block that is still under way. */
#include "cohere_int.h"
#include "../../common/provider.h"

struct cohere_call {
    cohere_call *next;
    int64_t index;  /* the upstream's */
    uint32_t item;
    uint8_t spoke;  /* some of its arguments came */
    uint8_t ended;
};

typedef struct event { /* one document under way */
    const tp_host *h;
    tp_call *c;
    cohere_reply *r;
    chat_out o;
    tp_doc d;
    uint32_t type, index, id, delta, logprobs, message, finish, usage,
        error; /* values; 0: absent */
} event;

void cohere_begin(cohere_reply *r, const cohere_body *b)
{
    r->stream = (b->r.op->flags & TP_STREAM) != 0;
    r->hidden = (uint8_t)b->thinking.hidden;
}

tp_status cohere_head(cohere_reply *r, const tp_reply *reply, int32_t *framing)
{
    r->sse = provider_reply_is_sse(reply, r->stream);
    *framing = r->sse ? TP_SSE : TP_WHOLE;
    return TP_OK;
}

static uint32_t *slot_of(event *e, tp_str k)
{
    switch (k.len) {
    case 2: return span_is(k, "id") ? &e->id : NULL;
    case 4: return span_is(k, "type") ? &e->type : NULL;
    case 5:
        return span_is(k, "delta")   ? &e->delta
               : span_is(k, "index") ? &e->index
               : span_is(k, "usage") ? &e->usage
               : span_is(k, "error") ? &e->error
                                     : NULL;
    case 7: return span_is(k, "message") ? &e->message : NULL;
    case 8: return span_is(k, "logprobs") ? &e->logprobs : NULL;
    case 13: return span_is(k, "finish_reason") ? &e->finish : NULL;
    default: return NULL;
    }
}

static void read_top(event *e)
{
    for (members m = members_of(&e->d, 0); members_next(&m);) {
        tp_str k = span_inner(&e->d, m.key);
        if (span_has_escape(k))
            k = span_text(e->h, e->c, &e->d, m.key);
        uint32_t *slot = slot_of(e, k);
        if (slot && span_given(&e->d, m.value))
            *slot = m.value;
    }
}

static uint32_t object_in(const event *e, uint32_t object, tp_str name)
{
    uint32_t t = object ? span_find(e->h, &e->d, object, name) : 0;
    return span_kind(&e->d, t) == TP_OBJECT ? t : 0;
}

static uint32_t list_in(const event *e, uint32_t object, tp_str name)
{
    uint32_t t = object ? span_find(e->h, &e->d, object, name) : 0;
    return span_kind(&e->d, t) == TP_ARRAY ? t : 0;
}

/* ---- Text and thought. */
static uint32_t item_of(cohere_reply *r, uint32_t *slot)
{
    if (!*slot)
        *slot = ++r->items;
    return *slot - 1;
}

/* Characters, not bytes: what citations count. */
static uint32_t characters(tp_str s)
{
    uint32_t n = 0;
    for (size_t i = 0; i < s.len; i++)
        n += ((unsigned char)s.ptr[i] & 0xc0) != 0x80;
    return n;
}

static void emit_text(event *e, uint32_t t)
{
    if (span_kind(&e->d, t) != TP_STRING || e->d.tokens[t].len <= 2)
        return;
    tp_str text = span_text(e->h, e->c, &e->d, t);
    e->r->answered = 1;
    e->r->chars += characters(text);
    chat_emit_text(&e->o, TP_EV_TEXT, 0, item_of(e->r, &e->r->text), text);
}

static void emit_thought(event *e, uint32_t t)
{
    if (span_kind(&e->d, t) != TP_STRING || e->d.tokens[t].len <= 2 || e->r->hidden)
        return;
    e->r->answered = 1;
    chat_emit_text(&e->o, TP_EV_REASONING, 0, item_of(e->r, &e->r->reasoning),
                   span_text(e->h, e->c, &e->d, t));
}

static void emit_item(event *e, uint32_t t)
{
    tp_event x = chat_event(TP_EV_ITEM, 0, e->r->items);
    x.flags = e->r->answered ? 0 : TP_EV_PREAMBLE;
    x.name = SPAN("chat/cohere");
    x.raw = span_raw(&e->d, t);
    chat_emit(&e->o, &x);
}

/* A block or a piece of one: {"type", "text"} or {"type", "thinking"}; in a delta without type. */
static void emit_block(event *e, uint32_t block)
{
    if (span_kind(&e->d, block) == TP_STRING) {
        emit_text(e, block);
        return;
    }
    if (span_kind(&e->d, block) != TP_OBJECT)
        return;
    int known = 0;
    tp_str type = SPAN_NONE;
    for (members m = members_of(&e->d, block); members_next(&m);) {
        tp_str k = span_inner(&e->d, m.key);
        if (span_is(k, "text")) {
            emit_text(e, m.value);
            known = 1;
        } else if (span_is(k, "thinking")) {
            emit_thought(e, m.value);
            known = 1;
        } else if (span_is(k, "type") && span_kind(&e->d, m.value) == TP_STRING) {
            type = span_inner(&e->d, m.value);
        }
    }
    if (!known && type.len && !span_is(type, "text") && !span_is(type, "thinking")) {
        e->r->answered = 1; /* a kind of block that is new */
        emit_item(e, block);
        e->r->items++;
    }
}

static void begin_block(cohere_reply *r, int64_t index)
{
    if (index < 0)
        index = 0;
    r->block = index < COHERE_BLOCKS ? (uint32_t)index : COHERE_BLOCKS - 1;
    r->base[r->block] = r->chars;
}

/* ---- Tool calls. */
static cohere_call *call_at(const event *e, int64_t index)
{
    cohere_call *x = e->r->calls;
    while (x && x->index != index)
        x = x->next;
    return x;
}

static void emit_arguments(event *e, cohere_call *x, uint32_t call)
{
    uint32_t fn = object_in(e, call, SPAN("function"));
    uint32_t t = fn ? e->h->find(&e->d, fn, SPAN("arguments")) : 0;
    tp_str text = SPAN_NONE;
    if (span_kind(&e->d, t) == TP_STRING)
        text = span_text(e->h, e->c, &e->d, t);
    else if (span_kind(&e->d, t) == TP_OBJECT)
        text = span_raw(&e->d, t);
    if (!text.len)
        return;
    x->spoke = 1;
    chat_emit_text(&e->o, TP_EV_ARGUMENTS, 0, x->item, text);
}

static cohere_call *begin_call(event *e, int64_t index, uint32_t call)
{
    uint32_t fn = object_in(e, call, SPAN("function"));
    cohere_call *x = e->h->keep(e->c, sizeof(*x));
    if (!x) {
        e->o.st = e->h->fail(e->c, TP_E_NOMEM, SPAN_NONE,
                             SPAN("the reply holds more tool calls than can be kept track of"));
        return NULL;
    }
    *x = (cohere_call){.next = e->r->calls, .index = index, .item = e->r->items++};
    e->r->calls = x;
    e->r->answered = 1;
    chat_emit_call(&e->o, 0, x->item, span_member(e->h, e->c, &e->d, call, SPAN("id")),
                   fn ? span_member(e->h, e->c, &e->d, fn, SPAN("name")) : SPAN_NONE);
    emit_arguments(e, x, call);
    return x;
}

/* A function without parameters is called without a word of arguments. */
static void end_call(event *e, cohere_call *x)
{
    if (!x->ended && !x->spoke)
        chat_emit_text(&e->o, TP_EV_ARGUMENTS, 0, x->item, SPAN("{}"));
    x->ended = 1;
}

static void end_calls(event *e)
{
    for (cohere_call *x = e->r->calls; x; x = x->next)
        end_call(e, x);
}

/* ---- Usage and the end. */
static int32_t finish_code(tp_str word, int called)
{
    static const struct { tp_str word; int32_t code; } words[] = {
        {SPAN_INIT("MAX_TOKENS"), TP_FINISH_LENGTH},   {SPAN_INIT("TOOL_CALL"), TP_FINISH_TOOLS},
        {SPAN_INIT("ERROR_LIMIT"), TP_FINISH_LENGTH},  {SPAN_INIT("ERROR_TOXIC"), TP_FINISH_FILTER},
        {SPAN_INIT("STOP_SEQUENCE"), TP_FINISH_STOP},
    };
    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
        if (span_ieq(word, words[i].word))
            return words[i].code;
    return called ? TP_FINISH_TOOLS : TP_FINISH_STOP;
}

/* A reply that Cohere gave up. */
static void emit_failure(event *e, tp_str word, uint32_t holder)
{
    uint32_t error = span_find(e->h, &e->d, holder, SPAN("error"));
    fault f = {.retry_ms = -1, .type = span_member(e->h, e->c, &e->d, holder, SPAN("error_type"))};
    int32_t code;
    if (span_kind(&e->d, error) == TP_STRING)
        f.message = span_text(e->h, e->c, &e->d, error);
    else if (span_kind(&e->d, error) == TP_OBJECT)
        fault_read(e->h, e->c, &e->d, error, &f);
    if (span_ieq(word, SPAN("TIMEOUT"))) {
        code = TP_ERR_TIMEOUT;
        if (!f.message.len)
            f.message = SPAN("The provider ran out of time before the answer was complete.");
    } else {
        code = fault_code(&f, 0);
        if (!f.message.len)
            f.message = span_ieq(word, SPAN("USER_CANCEL"))
                            ? SPAN("The provider says that the request was cancelled.")
                            : SPAN("The provider failed while it was answering.");
    }
    if (!f.type.len)
        f.type = word;
    e->r->done = 1;
    if (e->o.st == TP_OK)
        e->o.st = fault_emit(e->h, e->c, &f, code);
}

static int is_failure(tp_str word)
{
    return span_ieq(word, SPAN("ERROR")) || span_ieq(word, SPAN("TIMEOUT")) ||
           span_ieq(word, SPAN("USER_CANCEL"));
}

static void emit_finish(event *e, uint32_t finish)
{
    tp_str word = span_kind(&e->d, finish) == TP_STRING ? span_text(e->h, e->c, &e->d, finish)
                                                        : SPAN_NONE;
    e->r->finished = 1;
    chat_emit_finish(&e->o, 0, finish_code(word, e->r->calls != NULL), word, SPAN_NONE);
}

static void emit_start(event *e)
{
    if (e->r->started)
        return;
    e->r->started = 1;
    chat_emit_start(&e->o, span_kind(&e->d, e->id) == TP_STRING
                               ? span_text(e->h, e->c, &e->d, e->id) : SPAN_NONE, SPAN_NONE, 0);
}

/* ---- A whole reply. */
static void decode_content(event *e, uint32_t content)
{
    int64_t index = 0;
    if (span_kind(&e->d, content) == TP_STRING) {
        emit_text(e, content);
        return;
    }
    if (span_kind(&e->d, content) != TP_ARRAY)
        return;
    for (uint32_t t = content + 1; t < e->d.tokens[content].next; t = e->d.tokens[t].next) {
        begin_block(e->r, index++);
        emit_block(e, t);
    }
}

static void decode_whole(event *e)
{
    tp_str word = span_kind(&e->d, e->finish) == TP_STRING ? span_text(e->h, e->c, &e->d, e->finish)
                                                           : SPAN_NONE;
    emit_start(e);
    if (is_failure(word)) {
        cohere_usage(&e->o, &e->d, e->usage);
        emit_failure(e, word, 0);
        return;
    }
    decode_content(e, e->h->find(&e->d, e->message, SPAN("content")));
    emit_thought(e, e->h->find(&e->d, e->message, SPAN("tool_plan")));
    uint32_t calls = list_in(e, e->message, SPAN("tool_calls"));
    int64_t index = 0;
    for (uint32_t t = calls + 1; calls && t < e->d.tokens[calls].next; t = e->d.tokens[t].next)
        if (span_kind(&e->d, t) == TP_OBJECT && e->o.st == TP_OK) {
            cohere_call *x = begin_call(e, index++, t);
            if (x)
                end_call(e, x);
        }
    uint32_t citations = list_in(e, e->message, SPAN("citations"));
    for (uint32_t t = citations + 1; citations && t < e->d.tokens[citations].next;
         t = e->d.tokens[t].next)
        cohere_citation(&e->o, e->r, &e->d, t);
    if (e->logprobs)
        cohere_logprobs(&e->o, e->r, &e->d, e->logprobs);
    cohere_usage(&e->o, &e->d, e->usage);
    emit_finish(e, e->finish);
}

/* ---- A stream. */
static void decode_tool_event(event *e, tp_str what, uint32_t message)
{
    int64_t index = span_count(&e->d, e->index);
    uint32_t call = message ? span_find(e->h, &e->d, message, SPAN("tool_calls")) : 0;
    if (span_kind(&e->d, call) == TP_ARRAY && span_filled(&e->d, call))
        call++; /* it is an object; a list would hold the one */
    if (span_kind(&e->d, call) != TP_OBJECT)
        call = 0;
    if (span_is(what, "start")) {
        if (call)
            begin_call(e, index, call);
        return;
    }
    cohere_call *x = call_at(e, index);
    if (span_is(what, "delta")) {
        if (x && call)
            emit_arguments(e, x, call);
    } else if (x) {
        end_call(e, x);
    }
}

static void decode_message_end(event *e)
{
    uint32_t delta = span_kind(&e->d, e->delta) == TP_OBJECT ? e->delta : 0;
    uint32_t finish = delta ? e->h->find(&e->d, delta, SPAN("finish_reason")) : e->finish;
    uint32_t usage = delta ? e->h->find(&e->d, delta, SPAN("usage")) : e->usage;
    tp_str word = span_kind(&e->d, finish) == TP_STRING ? span_text(e->h, e->c, &e->d, finish)
                                                        : SPAN_NONE;
    if (!is_failure(word))
        end_calls(e);
    cohere_usage(&e->o, &e->d, usage);
    if (is_failure(word))
        emit_failure(e, word, delta);
    else
        emit_finish(e, finish);
}

static tp_str after(tp_str type, size_t n)
{
    return (tp_str){type.ptr + n, type.len - n};
}

static void decode_event(event *e, tp_str type)
{
    uint32_t delta = span_kind(&e->d, e->delta) == TP_OBJECT ? e->delta : 0;
    uint32_t message = object_in(e, delta, SPAN("message"));
    if (span_is(type, "content-delta") || span_is(type, "content-start")) {
        if (span_is(type, "content-start"))
            begin_block(e->r, span_count(&e->d, e->index));
        if (message)
            emit_block(e, e->h->find(&e->d, message, SPAN("content")));
        if (e->logprobs)
            cohere_logprobs(&e->o, e->r, &e->d, e->logprobs);
    } else if (span_is(type, "tool-plan-delta")) {
        if (message)
            emit_thought(e, e->h->find(&e->d, message, SPAN("tool_plan")));
    } else if (span_istarts(type, SPAN("tool-call-"))) {
        decode_tool_event(e, after(type, 10), message);
    } else if (span_is(type, "citation-start")) {
        uint32_t t = message ? e->h->find(&e->d, message, SPAN("citations")) : 0;
        if (span_kind(&e->d, t) == TP_ARRAY && span_filled(&e->d, t))
            t++;
        cohere_citation(&e->o, e->r, &e->d, t);
    } else if (span_is(type, "message-start")) {
        emit_start(e);
    } else if (span_is(type, "message-end")) {
        decode_message_end(e);
    } else if (!span_is(type, "content-end") && !span_is(type, "citation-end")) {
        emit_item(e, 0); /* debug, and what is new */
    }
}

/* An error as Cohere tells it, {"id", "message"}, or as a proxy before it would. */
static int is_error(const event *e)
{
    if (span_kind(&e->d, e->message) == TP_OBJECT && e->finish)
        return 0; /* a message, whatever beside it says why it ended */
    return span_kind(&e->d, e->message) == TP_STRING || span_kind(&e->d, e->error) == TP_OBJECT ||
           (span_kind(&e->d, e->error) == TP_STRING && e->d.tokens[e->error].len > 2);
}

static tp_status broken_reply(event *e, tp_str why)
{
    e->r->done = 1;
    return fault_say(e->h, e->c, why);
}

static tp_status one_document(event *e, const tp_frame *in)
{
    tp_status st = e->h->scan(e->c, in->data, &e->d);
    if (st == TP_E_NOMEM)
        return st;
    if (st != TP_OK || !e->d.count || e->d.tokens[0].kind != TP_OBJECT)
        return broken_reply(e, SPAN("The provider sent a reply that is not a JSON object."));
    read_top(e);
    tp_str type = span_kind(&e->d, e->type) == TP_STRING ? span_inner(&e->d, e->type) : in->name;
    if (is_error(e) || (e->r->sse && span_is(type, "error"))) {
        e->r->done = 1;
        return fault_in(e->h, e->c, &e->d, 0);
    }
    if (e->r->sse)
        decode_event(e, type);
    else if (span_kind(&e->d, e->message) == TP_OBJECT)
        decode_whole(e);
    else
        return broken_reply(e, SPAN("The provider sent a reply without a message."));
    return e->o.st;
}

static tp_status emit_end(const tp_host *h, tp_call *c, cohere_reply *r)
{
    chat_out o = {.h = h, .c = c};
    r->done = 1;
    chat_emit_end(&o);
    return o.st;
}

tp_status cohere_data(const tp_host *h, tp_call *c, cohere_reply *r, tp_frame *in)
{
    event e = {.h = h, .c = c, .r = r, .o = {.h = h, .c = c}};
    if (r->done)
        return TP_OK; /* what follows an end or an error is not part of the reply */
    if (r->sse && in->data.len < 16) {
        tp_str word = span_trim(in->data);
        if (!word.len)
            return TP_OK;
        if (span_is(word, "[DONE]")) /* without an end before it the message is cut */
            return r->finished ? emit_end(h, c, r) : TP_OK;
    }
    if (r->finished)
        return TP_OK;
    return one_document(&e, in);
}

/* A message is complete when it has said why it ended, whether or not the stream's mark came. */
tp_status cohere_end(const tp_host *h, tp_call *c, cohere_reply *r, int32_t broken)
{
    return r->finished && !r->done && !broken ? emit_end(h, c, r) : TP_OK;
}

/* ---- Refusals. */
tp_status cohere_failed(const tp_host *h, tp_call *c, const tp_reply *reply)
{
    fault f;
    char text[64];
    fault_of_reply(h, c, reply, &f, text);
    int32_t code = fault_code(&f, reply->status);
    if (reply->status == 498) /* a word in request or answer that the account does not allow */
        code = TP_ERR_FILTER;
    else if (reply->status == 429 && (fault_contains(f.message, SPAN("/ month")) ||
                                      fault_contains(f.message, SPAN("per month"))))
        code = TP_ERR_QUOTA; /* a trial key's month is used up: not a matter of seconds */
    else if (code == TP_ERR_TOO_LONG && fault_contains(f.message, SPAN("max tokens must be"))) {
        code = TP_ERR_INVALID; /* the limit asked for, not the prompt */
        if (!f.param.len)
            f.param = SPAN("max_tokens");
    }
    return fault_emit(h, c, &f, code);
}
