/* A reply that is one document, and what it has in common with a stream. */
#include "bedrock_int.h"

static tp_str string_in(const reading *x, uint32_t object, tp_str name)
{
    return object ? span_member(x->h, x->c, &x->d, object, name) : SPAN_NONE;
}

static uint32_t kind_in(const reading *x, uint32_t object, tp_str name, uint32_t kind)
{
    uint32_t t = span_find(x->h, &x->d, object, name);
    return span_kind(&x->d, t) == kind ? t : 0;
}

int bedrock_is_answer(const bedrock_reply *r, tp_str tool_name)
{
    return r->json_len && span_eq(tool_name, (tp_str){r->json_name, r->json_len});
}

void bedrock_text(reading *x, uint32_t item, tp_str text)
{
    for (size_t i = 0; i < text.len; i++)
        x->r->chars += ((unsigned char)text.ptr[i] & 0xc0) != 0x80;
    if (text.len)
        x->r->answered = 1;
    chat_emit_text(&x->o, TP_EV_TEXT, 0, item, text);
}

/* A part that no other format knows. */
void bedrock_item(reading *x, uint32_t item, uint32_t t)
{
    tp_event e = chat_event(TP_EV_ITEM, 0, item);
    e.name = SPAN("chat/bedrock");
    e.raw = (tp_str){x->d.text.ptr + x->d.tokens[t].at, x->d.tokens[t].len};
    chat_emit(&x->o, &e);
}

static void put_annotation(reading *x, uint32_t item, const tp_str *parts, size_t count)
{
    tp_event e = chat_event(TP_EV_ANNOTATION, 0, item);
    size_t n = 0;
    for (size_t i = 0; i < count; i++)
        n += parts[i].len;
    char *text = x->h->alloc(x->c, n), *p = text;
    if (!text) {
        x->o.st = TP_E_NOMEM;
        return;
    }
    for (size_t i = 0; i < count; i++) {
        memcpy(p, parts[i].ptr, parts[i].len);
        p += parts[i].len;
    }
    e.raw = (tp_str){text, n};
    x->r->answered = 1;
    chat_emit(&x->o, &e);
}

/* {"url_citation": {...}} where the source is an address; else one of a document, told as the API has
 * it. */
void bedrock_citation(reading *x, uint32_t item, uint32_t citation)
{
    char from[24], to[24];
    if (span_kind(&x->d, citation) != TP_OBJECT)
        return;
    uint32_t location = kind_in(x, citation, SPAN("location"), TP_OBJECT);
    uint32_t web = location ? kind_in(x, location, SPAN("web"), TP_OBJECT) : 0;
    uint32_t url = web ? kind_in(x, web, SPAN("url"), TP_STRING) : 0;
    uint32_t title = kind_in(x, citation, SPAN("title"), TP_STRING);
    tp_str first = span_of_int(x->r->block_from, from), last = span_of_int(x->r->chars, to);
    tp_str of_web[] = {SPAN("{\"type\":\"url_citation\",\"url_citation\":{\"url\":"),
                       span_raw(&x->d, url),
                       SPAN(",\"title\":"),
                       title ? span_raw(&x->d, title) : SPAN("\"\""),
                       SPAN(",\"start_index\":"),
                       first,
                       SPAN(",\"end_index\":"),
                       last,
                       SPAN("}}")};
    tp_str other[] = {
        SPAN("{\"type\":\"document_citation\",\"document_citation\":{\"start_index\":"),
        first,
        SPAN(",\"end_index\":"),
        last,
        SPAN(",\"sources\":["),
        span_raw(&x->d, citation),
        SPAN("]}}")};
    if (url)
        put_annotation(x, item, of_web, sizeof(of_web) / sizeof(of_web[0]));
    else
        put_annotation(x, item, other, sizeof(other) / sizeof(other[0]));
}

static int base64_value(char c)
{
    return c >= 'A' && c <= 'Z'   ? c - 'A'
           : c >= 'a' && c <= 'z' ? c - 'a' + 26
           : c >= '0' && c <= '9' ? c - '0' + 52
           : c == '+'             ? 62
           : c == '/'             ? 63
                                  : -1;
}

tp_str bedrock_text_of_blob(const tp_host *h, tp_call *c, tp_str base64)
{
    char *text = h->alloc(c, base64.len + 1);
    size_t n = 0;
    uint32_t bits = 0;
    int have = 0;
    if (!text)
        return SPAN_NONE;
    for (size_t i = 0; i < base64.len && base64.ptr[i] != '='; i++) {
        int v = base64_value(base64.ptr[i]);
        if (v < 0)
            return SPAN_NONE;
        bits = (bits << 6 | (uint32_t)v) & 0xffffff;
        have += 6;
        if (have < 8)
            continue;
        have -= 8;
        text[n] = (char)(bits >> have & 255);
        if (text[n] < ' ' || text[n] > '~')
            return SPAN_NONE;
        n++;
    }
    return (tp_str){text, n};
}

/* A sealed thought. Claude's is the same text on every platform: it goes by that name, so that it
 * can be sent on to any of them. */
void bedrock_sealed(reading *x, tp_str base64)
{
    bedrock_reply *r = x->r;
    uint32_t item = r->items++;
    tp_str text = r->claude ? bedrock_text_of_blob(x->h, x->c, base64) : SPAN_NONE;
    if (r->hidden)
        return;
    r->answered = 1;
    if (text.len)
        chat_emit_signature(&x->o, 0, item, SPAN("anthropic-claude-v1"), text);
    else
        chat_emit_signature(&x->o, 0, item, SPAN("bedrock"), base64);
}

/* kind: "image/" or "audio/"; block: {"format", "source": {"bytes"}}. */
void bedrock_media(reading *x, tp_str kind, uint32_t block, uint32_t item, tp_str format)
{
    uint32_t source = block ? kind_in(x, block, SPAN("source"), TP_OBJECT) : 0;
    tp_str bytes = string_in(x, source, SPAN("bytes")), said = string_in(x, block, SPAN("format"));
    tp_event e = chat_event(TP_EV_MEDIA, 0, item);
    if (said.len)
        format = said;
    if (!bytes.len) {
        bedrock_item(x, item, 0);
        return;
    }
    char *type = x->h->alloc(x->c, kind.len + format.len);
    if (!type) {
        x->o.st = TP_E_NOMEM;
        return;
    }
    memcpy(type, kind.ptr, kind.len);
    memcpy(type + kind.len, format.ptr, format.len);
    e.name = (tp_str){type, kind.len + format.len};
    e.text = bytes;
    x->r->answered = 1;
    chat_emit(&x->o, &e);
}

/* ---- The end of a reply. */
static const tp_str malformed_output = SPAN_INIT("malformed_model_output"),
                    malformed_call = SPAN_INIT("malformed_tool_use");

static int32_t finish_of(const bedrock_reply *r, tp_str word)
{
    if (span_is(word, "tool_use"))
        return r->called || !r->json_len ? TP_FINISH_TOOLS : TP_FINISH_STOP;
    if (span_is(word, "max_tokens") || span_is(word, "model_context_window_exceeded"))
        return TP_FINISH_LENGTH;
    if (span_is(word, "guardrail_intervened") || span_is(word, "content_filtered"))
        return TP_FINISH_FILTER;
    if (span_is(word, "refusal"))
        return TP_FINISH_REFUSAL;
    if (span_is(word, "pause_turn"))
        return TP_FINISH_PAUSE;
    /* some models end their turn with a call and do not say so */
    return r->called && span_is(word, "end_turn") ? TP_FINISH_TOOLS : TP_FINISH_STOP;
}

void bedrock_stop(reading *x, uint32_t word_at, uint32_t fields)
{
    bedrock_reply *r = x->r;
    tp_str word =
        span_kind(&x->d, word_at) == TP_STRING ? span_text(x->h, x->c, &x->d, word_at) : SPAN_NONE;
    if (r->stopped)
        return;
    r->stopped = 1;
    if (span_eq(word, malformed_output) || span_eq(word, malformed_call)) {
        r->malformed = span_eq(word, malformed_call) ? 2 : 1;
        return;
    }
    if (span_kind(&x->d, fields) == TP_OBJECT && span_filled(&x->d, fields)) {
        tp_event e = chat_event(TP_EV_FIELD, 0, 0);
        e.name = SPAN("additionalModelResponseFields");
        e.raw = span_raw(&x->d, fields);
        chat_emit(&x->o, &e);
    }
    tp_str met = span_kind(&x->d, fields) == TP_OBJECT ? string_in(x, fields, SPAN("stop_sequence"))
                                                       : SPAN_NONE;
    chat_emit_finish(&x->o, 0, finish_of(r, word), word, met);
}

static int64_t count_in(const reading *x, uint32_t usage, tp_str name, tp_str older)
{
    const int64_t most = INT64_C(1) << 50; /* so that sums cannot overflow */
    uint32_t t = x->h->find(&x->d, usage, name);
    if (!span_given(&x->d, t) && older.len)
        t = x->h->find(&x->d, usage, older);
    int64_t v = span_count(&x->d, t);
    return v < most ? v : most;
}

static void emit_count(reading *x, tp_str unit, int64_t total)
{
    tp_event e = chat_event(TP_EV_USAGE, 0, 0);
    e.name = unit;
    e.number = total;
    e.flags = x->r->answered || x->r->stopped ? 0 : TP_EV_PREAMBLE;
    chat_emit(&x->o, &e);
}

/* What was written to the cache for an hour, of all that was: "cacheDetails" is a list of
 * {"ttl": "1h", "inputTokens": N}. */
static int64_t written_for_an_hour(const reading *x, uint32_t usage, int64_t write)
{
    uint32_t list = x->h->find(&x->d, usage, SPAN("cacheDetails"));
    int64_t hour = 0;
    if (span_kind(&x->d, list) != TP_ARRAY)
        return 0;
    for (uint32_t t = list + 1; t < x->d.tokens[list].next; t = x->d.tokens[t].next)
        if (span_kind(&x->d, t) == TP_OBJECT &&
            span_is(string_in(x, t, SPAN("ttl")), "1h") && hour < write)
            hour += count_in(x, t, SPAN("inputTokens"), SPAN_NONE);
    return hour < write ? hour : write;
}

/* inputTokens leaves the cache out. Where the total says that it does not, it is taken out. */
void bedrock_usage(reading *x, uint32_t usage)
{
    int64_t prompt = count_in(x, usage, SPAN("inputTokens"), SPAN_NONE);
    int64_t completion = count_in(x, usage, SPAN("outputTokens"), SPAN_NONE);
    int64_t total = count_in(x, usage, SPAN("totalTokens"), SPAN_NONE);
    int64_t read =
        count_in(x, usage, SPAN("cacheReadInputTokens"), SPAN("cacheReadInputTokenCount"));
    int64_t write =
        count_in(x, usage, SPAN("cacheWriteInputTokens"), SPAN("cacheWriteInputTokenCount"));
    if (read + write > 0 && total == prompt + completion && prompt >= read + write)
        prompt -= read + write;
    if (read)
        emit_count(x, SPAN("cache_read"), read);
    int64_t hour = written_for_an_hour(x, usage, write);
    if (write - hour)
        emit_count(x, SPAN("cache_write"), write - hour);
    if (hour)
        emit_count(x, SPAN("cache_write:1h"), hour);
    emit_count(x, SPAN("prompt"), prompt);
    emit_count(x, SPAN("completion"), completion);
}

static void emit_field(reading *x, tp_str name, uint32_t t)
{
    tp_event e = chat_event(TP_EV_FIELD, 0, 0);
    e.name = name;
    e.raw = span_raw(&x->d, t);
    chat_emit(&x->o, &e);
}

void bedrock_extra(reading *x, uint32_t object)
{
    uint32_t tier = kind_in(x, object, SPAN("serviceTier"), TP_OBJECT);
    uint32_t trace = kind_in(x, object, SPAN("trace"), TP_OBJECT);
    uint32_t type = tier ? kind_in(x, tier, SPAN("type"), TP_STRING) : 0;
    if (type)
        emit_field(x, SPAN("service_tier"), type);
    if (trace && span_filled(&x->d, trace))
        emit_field(x, SPAN("trace"), trace);
}

void bedrock_complete(reading *x)
{
    fault f = {.retry_ms = -1};
    x->r->done = 1;
    if (!x->r->malformed) {
        chat_emit_end(&x->o);
        return;
    }
    f.type = x->r->malformed == 2 ? malformed_call : malformed_output;
    f.message = SPAN("The model's output is malformed: the provider could not read it.");
    if (x->o.st == TP_OK)
        x->o.st = fault_emit(x->h, x->c, &f, TP_ERR_UPSTREAM);
}

/* ---- Blocks of a whole reply. */
static void whole_call(reading *x, uint32_t use)
{
    bedrock_reply *r = x->r;
    tp_str name = string_in(x, use, SPAN("name"));
    uint32_t input = x->h->find(&x->d, use, SPAN("input"));
    tp_str arguments = span_kind(&x->d, input) == TP_OBJECT   ? span_raw(&x->d, input)
                       : span_kind(&x->d, input) == TP_STRING ? span_text(x->h, x->c, &x->d, input)
                                                              : SPAN("{}");
    uint32_t item = r->items++;
    if (bedrock_is_answer(r, name)) {
        bedrock_text(x, item, arguments);
        r->answered = 1;
        return;
    }
    r->called = r->answered = 1;
    chat_emit_call(&x->o, 0, item, string_in(x, use, SPAN("toolUseId")), name);
    chat_emit_text(&x->o, TP_EV_ARGUMENTS, 0, item, arguments.len ? arguments : SPAN("{}"));
}

static void whole_thought(reading *x, uint32_t t)
{
    bedrock_reply *r = x->r;
    uint32_t text = kind_in(x, t, SPAN("reasoningText"), TP_OBJECT);
    tp_str sealed = string_in(x, t, SPAN("redactedContent"));
    if (sealed.len)
        bedrock_sealed(x, sealed);
    if (!text)
        return;
    uint32_t item = r->items++;
    if (r->hidden)
        return;
    r->answered = 1;
    chat_emit_text(&x->o, TP_EV_REASONING, 0, item, string_in(x, text, SPAN("text")));
    chat_emit_signature(&x->o, 0, item, r->claude ? SPAN("anthropic-claude-v1") : SPAN("bedrock"),
                        string_in(x, text, SPAN("signature")));
}

static void whole_citations(reading *x, uint32_t t)
{
    uint32_t item = x->r->items++;
    uint32_t content = kind_in(x, t, SPAN("content"), TP_ARRAY);
    uint32_t citations = kind_in(x, t, SPAN("citations"), TP_ARRAY);
    x->r->block_from = x->r->chars;
    for (uint32_t k = content + 1; content && k < x->d.tokens[content].next;
         k = x->d.tokens[k].next)
        bedrock_text(x, item,
                     span_kind(&x->d, k) == TP_OBJECT ? string_in(x, k, SPAN("text")) : SPAN_NONE);
    for (uint32_t k = citations + 1; citations && k < x->d.tokens[citations].next;
         k = x->d.tokens[k].next)
        bedrock_citation(x, item, k);
}

static void whole_block(reading *x, uint32_t block)
{
    uint32_t text = kind_in(x, block, SPAN("text"), TP_STRING);
    uint32_t use = kind_in(x, block, SPAN("toolUse"), TP_OBJECT);
    uint32_t thought = kind_in(x, block, SPAN("reasoningContent"), TP_OBJECT);
    uint32_t cited = kind_in(x, block, SPAN("citationsContent"), TP_OBJECT);
    uint32_t image = kind_in(x, block, SPAN("image"), TP_OBJECT);
    uint32_t audio = kind_in(x, block, SPAN("audio"), TP_OBJECT);
    if (text)
        bedrock_text(x, x->r->items++, span_text(x->h, x->c, &x->d, text));
    else if (use && !span_is(string_in(x, use, SPAN("type")), "server_tool_use"))
        whole_call(x, use);
    else if (thought)
        whole_thought(x, thought);
    else if (cited)
        whole_citations(x, cited);
    else if (image)
        bedrock_media(x, SPAN("image/"), image, x->r->items++, SPAN("png"));
    else if (audio)
        bedrock_media(x, SPAN("audio/"), audio, x->r->items++, SPAN("wav"));
    else
        bedrock_item(x, x->r->items++, block);
}

void bedrock_whole(reading *x)
{
    uint32_t output = kind_in(x, 0, SPAN("output"), TP_OBJECT);
    uint32_t message = output ? kind_in(x, output, SPAN("message"), TP_OBJECT) : 0;
    uint32_t content = message ? kind_in(x, message, SPAN("content"), TP_ARRAY) : 0;
    uint32_t usage = kind_in(x, 0, SPAN("usage"), TP_OBJECT);
    uint32_t stop = kind_in(x, 0, SPAN("stopReason"), TP_STRING);
    if (!output && !stop) {
        x->r->done = 1;
        if (x->o.st == TP_OK)
            x->o.st =
                x->d.tokens[0].kind == TP_OBJECT && (x->h->find(&x->d, 0, SPAN("message")) ||
                                                     x->h->find(&x->d, 0, SPAN("Message")))
                    ? fault_in(x->h, x->c, &x->d, 0)
                    : fault_say(x->h, x->c, SPAN("The provider's reply is not one of Converse."));
        return;
    }
    for (uint32_t t = content + 1; content && t < x->d.tokens[content].next && x->o.st == TP_OK;
         t = x->d.tokens[t].next)
        whole_block(x, t);
    bedrock_extra(x, 0);
    if (stop)
        bedrock_stop(x, stop, x->h->find(&x->d, 0, SPAN("additionalModelResponseFields")));
    if (usage)
        bedrock_usage(x, usage);
}
