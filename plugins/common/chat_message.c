/* Messages of a canonical chat request, their parts, calls and thoughts. */
#include "chat_request.h"

static uint32_t of_kind(const chat_request *r, uint32_t object, tp_str name, uint32_t kind)
{
    uint32_t t = span_find(r->h, r->d, object, name);
    return span_kind(r->d, t) == kind ? t : 0;
}

static tp_str string_of(const chat_request *r, uint32_t object, tp_str name)
{
    return span_member(r->h, r->c, r->d, object, name);
}

/* ---- Messages. */
chat_messages chat_messages_of(const chat_request *r)
{
    uint32_t list = of_kind(r, 0, SPAN("messages"), TP_ARRAY);
    return (chat_messages){.next = list + 1, .stop = list ? r->d->tokens[list].next : 0};
}

static int32_t role_of(tp_str word)
{
    if (span_is(word, "user"))
        return CHAT_USER;
    if (span_is(word, "assistant"))
        return CHAT_ASSISTANT;
    if (span_is(word, "tool") || span_is(word, "function"))
        return CHAT_TOOL;
    if (span_is(word, "system") || span_is(word, "developer"))
        return CHAT_SYSTEM;
    return CHAT_OTHER_ROLE;
}

static void read_message(const chat_request *r, uint32_t t, chat_message *m)
{
    m->role_name = string_of(r, t, SPAN("role"));
    m->role = role_of(m->role_name);
    m->name = string_of(r, t, SPAN("name"));
    uint32_t content = span_find(r->h, r->d, t, SPAN("content"));
    m->content = span_kind(r->d, content) == TP_STRING || span_kind(r->d, content) == TP_ARRAY
                     ? content : 0;
    m->cache_control = of_kind(r, t, SPAN("cache_control"), TP_OBJECT);
    if (m->role == CHAT_TOOL)
        m->call_id = span_is(m->role_name, "function") ? m->name
                                                       : string_of(r, t, SPAN("tool_call_id"));
    if (m->role != CHAT_ASSISTANT)
        return;
    m->tool_calls = of_kind(r, t, SPAN("tool_calls"), TP_ARRAY);
    m->function_call = of_kind(r, t, SPAN("function_call"), TP_OBJECT);
    m->refusal = of_kind(r, t, SPAN("refusal"), TP_STRING);
    m->reasoning = of_kind(r, t, SPAN("reasoning_content"), TP_STRING);
    if (!m->reasoning)
        m->reasoning = of_kind(r, t, SPAN("reasoning"), TP_STRING);
    m->details = of_kind(r, t, SPAN("reasoning_details"), TP_ARRAY);
}

int chat_next_message(const chat_request *r, chat_messages *it, chat_message *out)
{
    if (it->next >= it->stop)
        return 0;
    *out = (chat_message){.at = it->next, .index = it->index++};
    it->next = r->d->tokens[it->next].next;
    if (r->d->tokens[out->at].kind == TP_OBJECT)
        read_message(r, out->at, out);
    else
        out->role = CHAT_OTHER_ROLE;
    return 1;
}

/* ---- Parts. */
chat_parts chat_parts_of(const chat_request *r, uint32_t content)
{
    chat_parts it = {0};
    if (span_kind(r->d, content) == TP_ARRAY)
        it = (chat_parts){.list = 1, .next = content + 1, .stop = r->d->tokens[content].next};
    else if (span_kind(r->d, content) == TP_STRING && r->d->tokens[content].len > 2)
        it = (chat_parts){.next = content, .stop = content + 1};
    return it;
}

int chat_data_url(tp_str url, tp_str *media_type, tp_str *data)
{
    const char *comma = url.len ? memchr(url.ptr, ',', url.len) : NULL;
    if (!comma || !span_istarts(url, SPAN("data:")))
        return 0;
    tp_str head = {url.ptr + 5, (size_t)(comma - url.ptr) - 5};
    if (head.len < 7 || !span_ieq((tp_str){head.ptr + head.len - 7, 7}, SPAN(";base64")))
        return 0;
    head.len -= 7;
    const char *semi = head.len ? memchr(head.ptr, ';', head.len) : NULL;
    if (semi)
        head.len = (size_t)(semi - head.ptr);
    *media_type = head;
    *data = (tp_str){comma + 1, (size_t)(url.ptr + url.len - comma - 1)};
    return 1;
}

/* Content at an address: a data URL is taken apart. */
static void read_url(chat_part *p, tp_str url)
{
    if (!chat_data_url(url, &p->media_type, &p->data))
        p->url = url;
}

/* {"image_url": {"url", "detail"}} or {"image_url": "..."}; the same for documents and videos. */
static void read_link(const chat_request *r, uint32_t t, tp_str member, chat_part *p)
{
    uint32_t link = span_find(r->h, r->d, t, member);
    if (span_kind(r->d, link) == TP_STRING) {
        read_url(p, span_text(r->h, r->c, r->d, link));
    } else if (span_kind(r->d, link) == TP_OBJECT) {
        read_url(p, string_of(r, link, SPAN("url")));
        p->detail = string_of(r, link, SPAN("detail"));
        tp_str said = string_of(r, link, SPAN("format"));
        if (!p->media_type.len)
            p->media_type = said;
    }
}

static void read_file(const chat_request *r, uint32_t t, chat_part *p)
{
    uint32_t file = of_kind(r, t, SPAN("file"), TP_OBJECT);
    if (!file)
        return;
    tp_str data = string_of(r, file, SPAN("file_data"));
    p->file_id = string_of(r, file, SPAN("file_id"));
    p->filename = string_of(r, file, SPAN("filename"));
    tp_str said = string_of(r, file, SPAN("format"));
    if (data.len && !chat_data_url(data, &p->media_type, &p->data)) {
        if (span_istarts(data, SPAN("http://")) || span_istarts(data, SPAN("https://")))
            p->url = data;
        else
            p->data = data;
    }
    if (!p->media_type.len)
        p->media_type = said;
}

static void read_audio(const chat_request *r, uint32_t t, chat_part *p)
{
    uint32_t audio = span_find(r->h, r->d, t, SPAN("input_audio"));
    if (span_kind(r->d, audio) == TP_STRING) {
        read_url(p, span_text(r->h, r->c, r->d, audio));
        if (p->url.len && !span_istarts(p->url, SPAN("http"))) {
            p->data = p->url;
            p->url = SPAN_NONE;
        }
    } else if (span_kind(r->d, audio) == TP_OBJECT) {
        p->data = string_of(r, audio, SPAN("data"));
        p->media_type = string_of(r, audio, SPAN("format"));
        tp_str type;
        chat_data_url(p->data, &type, &p->data);
    }
}

static void read_part(const chat_request *r, uint32_t t, chat_part *p)
{
    p->type = string_of(r, t, SPAN("type"));
    p->cache_control = of_kind(r, t, SPAN("cache_control"), TP_OBJECT);
    if (span_is(p->type, "text") || span_is(p->type, "input_text") || span_is(p->type, "output_text")) {
        p->kind = CHAT_PART_TEXT;
        p->text = of_kind(r, t, SPAN("text"), TP_STRING);
    } else if (span_is(p->type, "image_url")) {
        p->kind = CHAT_PART_IMAGE;
        read_link(r, t, SPAN("image_url"), p);
    } else if (span_is(p->type, "video_url")) {
        p->kind = CHAT_PART_VIDEO;
        read_link(r, t, SPAN("video_url"), p);
    } else if (span_is(p->type, "document_url")) {
        p->kind = CHAT_PART_DOCUMENT;
        read_link(r, t, SPAN("document_url"), p);
        p->filename = string_of(r, t, SPAN("document_name"));
    } else if (span_is(p->type, "file")) {
        p->kind = CHAT_PART_FILE;
        read_file(r, t, p);
    } else if (span_is(p->type, "input_audio")) {
        p->kind = CHAT_PART_AUDIO;
        read_audio(r, t, p);
    } else if (span_is(p->type, "refusal")) {
        p->kind = CHAT_PART_REFUSAL;
        p->text = of_kind(r, t, SPAN("refusal"), TP_STRING);
    } else if (span_is(p->type, "thinking")) {
        p->kind = CHAT_PART_THINKING;
    }
}

int chat_next_part(const chat_request *r, chat_parts *it, chat_part *out)
{
    if (it->next >= it->stop)
        return 0;
    uint32_t t = it->next;
    *out = (chat_part){.kind = CHAT_PART_OTHER, .at = t, .index = it->index++};
    it->next = it->list ? r->d->tokens[t].next : it->stop;
    if (r->d->tokens[t].kind == TP_STRING) {
        out->kind = CHAT_PART_TEXT;
        out->text = t;
    } else if (r->d->tokens[t].kind == TP_OBJECT) {
        read_part(r, t, out);
    }
    return 1;
}

tp_str chat_plain_text(const chat_request *r, uint32_t content, tp_str between)
{
    chat_part p;
    size_t room = 0, n = 0;
    for (chat_parts it = chat_parts_of(r, content); chat_next_part(r, &it, &p);)
        if (p.text)
            room += r->d->tokens[p.text].len + between.len; /* decoded is never longer */
    char *text = r->h->alloc(r->c, room + 1);
    if (!text)
        return SPAN_NONE;
    for (chat_parts it = chat_parts_of(r, content); chat_next_part(r, &it, &p);) {
        tp_str s = p.text ? span_text(r->h, r->c, r->d, p.text) : SPAN_NONE;
        if (!s.len)
            continue;
        if (n && between.len) {
            memcpy(text + n, between.ptr, between.len);
            n += between.len;
        }
        memcpy(text + n, s.ptr, s.len);
        n += s.len;
    }
    return (tp_str){text, n};
}

/* ---- Tool calls. */
chat_calls chat_calls_of(const chat_request *r, const chat_message *m)
{
    chat_calls it = {.m = m};
    if (m->tool_calls) {
        it.next = m->tool_calls + 1;
        it.stop = r->d->tokens[m->tool_calls].next;
    } else if (m->function_call) {
        it.next = m->function_call;
        it.stop = m->function_call + 1;
    }
    return it;
}

int chat_next_call(const chat_request *r, chat_calls *it, chat_call *out)
{
    if (it->next >= it->stop)
        return 0;
    uint32_t t = it->next, f = t;
    *out = (chat_call){.at = t, .index = it->index++};
    it->next = r->d->tokens[t].next;
    if (r->d->tokens[t].kind != TP_OBJECT)
        return 1;
    if (it->m->tool_calls) {
        f = of_kind(r, t, SPAN("function"), TP_OBJECT);
        out->id = string_of(r, t, SPAN("id"));
        out->extra = of_kind(r, t, SPAN("extra_content"), TP_OBJECT);
    }
    if (f) {
        out->name = string_of(r, f, SPAN("name"));
        out->arguments = of_kind(r, f, SPAN("arguments"), TP_STRING);
    }
    if (!it->m->tool_calls)
        out->id = out->name; /* the old form has no ids; its result names the function */
    return 1;
}

/* {"arguments": "..."} around what is not an object: quoted by hand, for the host quotes into the
 * body alone. The string token is JSON already. */
static tp_str wrapped(const chat_request *r, uint32_t string)
{
    static const tp_str head = SPAN_INIT("{\"arguments\":");
    tp_str raw = span_raw(r->d, string);
    char *text = r->h->alloc(r->c, head.len + raw.len + 1);
    if (!text)
        return SPAN_NONE;
    memcpy(text, head.ptr, head.len);
    memcpy(text + head.len, raw.ptr, raw.len);
    text[head.len + raw.len] = '}';
    return (tp_str){text, head.len + raw.len + 1};
}

tp_str chat_arguments(chat_request *r, const chat_message *m, const chat_call *call)
{
    tp_doc d;
    tp_str s = call->arguments ? span_trim(span_text(r->h, r->c, r->d, call->arguments)) : SPAN_NONE;
    if (!s.len)
        return SPAN("{}");
    tp_status st = r->h->scan(r->c, s, &d);
    if (st == TP_OK && d.count && d.tokens[0].kind == TP_OBJECT)
        return s;
    if (st == TP_E_NOMEM) {
        r->st = st;
        return SPAN("{}");
    }
    chat_note(r, TP_CHANGED, SPAN("not a JSON object; passed on within one"),
              "messages[%u].tool_calls[%u].function.arguments", m->index, call->index);
    s = wrapped(r, call->arguments);
    if (!s.ptr && r->st == TP_OK)
        r->st = TP_E_NOMEM;
    return s;
}

/* ---- Thoughts. */
chat_details chat_details_of(const chat_request *r, const chat_message *m)
{
    return (chat_details){.next = m->details + 1, .stop = m->details ? r->d->tokens[m->details].next : 0};
}

int chat_next_detail(const chat_request *r, chat_details *it, chat_detail *out)
{
    if (it->next >= it->stop)
        return 0;
    uint32_t t = it->next;
    *out = (chat_detail){.at = t, .index = it->index++};
    it->next = r->d->tokens[t].next;
    if (r->d->tokens[t].kind != TP_OBJECT)
        return 1;
    out->sealed = span_is(string_of(r, t, SPAN("type")), "reasoning.encrypted");
    out->text = of_kind(r, t, SPAN("text"), TP_STRING);
    out->signature = string_of(r, t, SPAN("signature"));
    out->data = string_of(r, t, SPAN("data"));
    out->format = string_of(r, t, SPAN("format"));
    out->id = string_of(r, t, SPAN("id"));
    return 1;
}
