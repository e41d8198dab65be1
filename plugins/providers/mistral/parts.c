/* Content: a string, or parts. */
#include "mistral_int.h"

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

/* ---- Is it Mistral's own form already? */
static int image_is_plain(const mistral_body *b, uint32_t part)
{
    static const tp_str outer[] = {SPAN_INIT("type"), SPAN_INIT("image_url")};
    static const tp_str inner[] = {SPAN_INIT("url"), SPAN_INIT("detail")};
    const tp_doc *d = b->r.d;
    uint32_t link = span_find(b->r.h, d, part, SPAN("image_url"));
    if (!mistral_only(b, part, outer, COUNT(outer)) || !link)
        return 0;
    if (span_kind(d, link) != TP_OBJECT)
        return span_kind(d, link) == TP_STRING;
    tp_str detail = span_member(b->r.h, b->r.c, d, link, SPAN("detail"));
    return mistral_only(b, link, inner, COUNT(inner)) &&
           (!detail.len || span_is(detail, "low") || span_is(detail, "auto") ||
            span_is(detail, "high"));
}

static int thought_is_plain(const mistral_body *b, uint32_t part)
{
    static const tp_str names[] = {SPAN_INIT("type"), SPAN_INIT("thinking"), SPAN_INIT("closed"),
                                   SPAN_INIT("signature")};
    return mistral_only(b, part, names, COUNT(names)) &&
           span_kind(b->r.d, span_find(b->r.h, b->r.d, part, SPAN("thinking"))) == TP_ARRAY;
}

static int part_is_plain(const mistral_body *b, const chat_part *p)
{
    static const tp_str text[] = {SPAN_INIT("type"), SPAN_INIT("text")};
    static const tp_str sound[] = {SPAN_INIT("type"), SPAN_INIT("input_audio")};
    static const tp_str file[] = {SPAN_INIT("type"), SPAN_INIT("file_id")};
    static const tp_str document[] = {SPAN_INIT("type"), SPAN_INIT("document_url"),
                                      SPAN_INIT("document_name")};
    const tp_doc *d = b->r.d;
    if (span_kind(d, p->at) != TP_OBJECT)
        return 0;
    switch (p->kind) {
    case CHAT_PART_TEXT:
        return span_is(p->type, "text") && p->text && mistral_only(b, p->at, text, COUNT(text));
    case CHAT_PART_IMAGE: return image_is_plain(b, p->at);
    case CHAT_PART_AUDIO: return mistral_only(b, p->at, sound, COUNT(sound));
    case CHAT_PART_FILE: return mistral_only(b, p->at, file, COUNT(file));
    case CHAT_PART_DOCUMENT:
        return mistral_only(b, p->at, document, COUNT(document)) &&
               span_kind(d, span_find(b->r.h, d, p->at, SPAN("document_url"))) == TP_STRING;
    case CHAT_PART_THINKING: return thought_is_plain(b, p->at);
    case CHAT_PART_VIDEO:
    case CHAT_PART_REFUSAL: return 0;
    default: return !p->cache_control; /* one that this API may know by now */
    }
}

/* Is there a place for such a part in a message of this role? */
static int has_place(const chat_message *m, const chat_part *p)
{
    switch (p->kind) {
    case CHAT_PART_TEXT:
    case CHAT_PART_REFUSAL: return 1;
    case CHAT_PART_THINKING: return m->role != CHAT_USER;
    case CHAT_PART_OTHER: return p->type.len && !span_is(p->type, "document");
    default: return m->role == CHAT_USER || m->role == CHAT_TOOL;
    }
}

int mistral_content_is_plain(const mistral_body *b, const chat_message *m)
{
    chat_part p;
    if (span_kind(b->r.d, m->content) != TP_ARRAY)
        return 1;
    for (chat_parts it = chat_parts_of(&b->r, m->content); chat_next_part(&b->r, &it, &p);)
        if (!part_is_plain(b, &p) || !has_place(m, &p))
            return 0;
    return 1;
}

/* ---- Parts in Mistral's form. */
static void begin_part(mistral_body *b, tp_str type)
{
    jo_comma(&b->o);
    jo_open(&b->o, SPAN("{"));
    jo_key_string(&b->o, SPAN("type"), type);
}

static void write_text(mistral_body *b, uint32_t text)
{
    begin_part(b, SPAN("text"));
    jo_key_token(&b->o, SPAN("text"), b->r.d, text);
    jo_close(&b->o, SPAN("}"));
}

static void write_image(mistral_body *b, const chat_message *m, const chat_part *p)
{
    const tp_doc *d = b->r.d;
    uint32_t link = span_find(b->r.h, d, p->at, SPAN("image_url"));
    uint32_t url = span_kind(d, link) == TP_OBJECT ? b->r.h->find(d, link, SPAN("url")) : link;
    if (span_kind(d, url) != TP_STRING) {
        chat_refuse(&b->r, TP_E_INPUT, SPAN("expected the address of an image or a data URL"),
                    "messages[%u].content[%u].image_url", m->index, p->index);
        return;
    }
    begin_part(b, SPAN("image_url"));
    jo_key(&b->o, SPAN("image_url"));
    jo_open(&b->o, SPAN("{"));
    jo_key_token(&b->o, SPAN("url"), d, url);
    if (span_is(p->detail, "low") || span_is(p->detail, "auto") || span_is(p->detail, "high"))
        jo_key_string(&b->o, SPAN("detail"), p->detail);
    else if (p->detail.len)
        chat_note(&b->r, TP_DROPPED, SPAN("Mistral knows the details low, auto and high"),
                  "messages[%u].content[%u].image_url.detail", m->index, p->index);
    jo_close(&b->o, SPAN("}"));
    jo_close(&b->o, SPAN("}"));
}

static void write_sound(mistral_body *b, const chat_part *p)
{
    begin_part(b, SPAN("input_audio"));
    jo_maybe(&b->o, SPAN("input_audio"), b->r.d,
             span_find(b->r.h, b->r.d, p->at, SPAN("input_audio")));
    jo_close(&b->o, SPAN("}"));
}

/* A media type by the end of a file's name: what is not known is most likely a PDF. */
static tp_str type_of_name(tp_str name)
{
    static const struct {
        tp_str end, type;
    } types[] = {
        {SPAN_INIT(".png"), SPAN_INIT("image/png")},
        {SPAN_INIT(".jpg"), SPAN_INIT("image/jpeg")},
        {SPAN_INIT(".jpeg"), SPAN_INIT("image/jpeg")},
        {SPAN_INIT(".webp"), SPAN_INIT("image/webp")},
        {SPAN_INIT(".gif"), SPAN_INIT("image/gif")},
        {SPAN_INIT(".txt"), SPAN_INIT("text/plain")},
        {SPAN_INIT(".docx"),
         SPAN_INIT("application/vnd.openxmlformats-officedocument.wordprocessingml.document")},
        {SPAN_INIT(".pptx"),
         SPAN_INIT("application/vnd.openxmlformats-officedocument.presentationml.presentation")},
    };
    for (size_t i = 0; i < COUNT(types); i++)
        if (name.len > types[i].end.len &&
            span_ieq((tp_str){name.ptr + name.len - types[i].end.len, types[i].end.len},
                     types[i].end))
            return types[i].type;
    return SPAN("application/pdf");
}

static tp_str data_url(mistral_body *b, tp_str type, tp_str data)
{
    size_t n = 5 + type.len + 8 + data.len;
    char *p = b->r.h->alloc(b->r.c, n);
    if (!p) {
        b->r.st = b->r.h->fail(b->r.c, TP_E_NOMEM, SPAN_NONE, SPAN("out of memory for a document"));
        return SPAN_NONE;
    }
    memcpy(p, "data:", 5);
    memcpy(p + 5, type.ptr, type.len);
    memcpy(p + 5 + type.len, ";base64,", 8);
    if (data.len)
        memcpy(p + 13 + type.len, data.ptr, data.len);
    return (tp_str){p, n};
}

/* A document or file: an image among them is one. */
static void write_document(mistral_body *b, const chat_message *m, const chat_part *p)
{
    tp_str type = p->media_type.len ? p->media_type : type_of_name(p->filename), url = p->url;
    if (!p->data.len && !url.len && p->file_id.len) {
        begin_part(b, SPAN("file"));
        jo_key_string(&b->o, SPAN("file_id"), p->file_id);
        jo_close(&b->o, SPAN("}"));
        return;
    }
    if (!p->data.len && !url.len) {
        chat_refuse(&b->r, TP_E_INPUT, SPAN("expected file_data, file_id or an address"),
                    "messages[%u].content[%u]", m->index, p->index);
        return;
    }
    if (!url.len)
        url = data_url(b, type, p->data);
    if (p->data.len && span_istarts(type, SPAN("image/"))) {
        begin_part(b, SPAN("image_url"));
        jo_key_string(&b->o, SPAN("image_url"), url);
    } else {
        begin_part(b, SPAN("document_url"));
        jo_key_string(&b->o, SPAN("document_url"), url);
        if (p->filename.len)
            jo_key_string(&b->o, SPAN("document_name"), p->filename);
    }
    jo_close(&b->o, SPAN("}"));
}

static void write_thought_text(mistral_body *b, uint32_t text)
{
    jo_comma(&b->o);
    jo_put(&b->o, SPAN("{\"type\":\"text\",\"text\":"));
    jo_token(&b->o, b->r.d, text);
    jo_put(&b->o, SPAN("}"));
}

static void begin_thought(mistral_body *b)
{
    begin_part(b, SPAN("thinking"));
    jo_key(&b->o, SPAN("thinking"));
    jo_open(&b->o, SPAN("["));
}

/* A part of type thinking in the words of some other API: the thought is a string. */
static void write_foreign_thought(mistral_body *b, const chat_part *p)
{
    uint32_t t = span_find(b->r.h, b->r.d, p->at, SPAN("thinking"));
    if (span_kind(b->r.d, t) == TP_ARRAY) {
        begin_part(b, SPAN("thinking"));
        jo_key_token(&b->o, SPAN("thinking"), b->r.d, t);
    } else {
        begin_thought(b);
        if (span_kind(b->r.d, t) == TP_STRING)
            write_thought_text(b, t);
        jo_close(&b->o, SPAN("]"));
    }
    jo_close(&b->o, SPAN("}"));
}

static void write_part(mistral_body *b, const chat_message *m, const chat_part *p)
{
    if (p->cache_control)
        chat_note(&b->r, TP_DROPPED, SPAN("Mistral decides itself what it caches"),
                  "cache_control");
    if (!has_place(m, p)) {
        chat_refuse(&b->r, TP_E_UNSUPPORTED,
                    SPAN("Mistral takes no part of this type in a message of this role"),
                    "messages[%u].content[%u]", m->index, p->index);
        return;
    }
    if (part_is_plain(b, p)) {
        jo_comma(&b->o);
        jo_token(&b->o, b->r.d, p->at);
        return;
    }
    switch (p->kind) {
    case CHAT_PART_TEXT:
    case CHAT_PART_REFUSAL:
        if (p->text)
            write_text(b, p->text);
        break;
    case CHAT_PART_IMAGE: write_image(b, m, p); break;
    case CHAT_PART_AUDIO: write_sound(b, p); break;
    case CHAT_PART_FILE:
    case CHAT_PART_DOCUMENT: write_document(b, m, p); break;
    case CHAT_PART_THINKING: write_foreign_thought(b, p); break;
    case CHAT_PART_VIDEO:
        chat_refuse(&b->r, TP_E_UNSUPPORTED, SPAN("Mistral takes no videos"),
                    "messages[%u].content[%u]", m->index, p->index);
        break;
    default: /* without the mark, which is all that was wrong with it */
        jo_comma(&b->o);
        jo_open(&b->o, SPAN("{"));
        for (members k = members_of(b->r.d, p->at);
             span_kind(b->r.d, p->at) == TP_OBJECT && members_next(&k);)
            if (k.value != p->cache_control) {
                jo_comma(&b->o);
                jo_token(&b->o, b->r.d, k.key);
                jo_put(&b->o, SPAN(":"));
                jo_token(&b->o, b->r.d, k.value);
            }
        jo_close(&b->o, SPAN("}"));
        break;
    }
}

/* ---- The content of a message. */
static int holds_thought(const mistral_body *b, uint32_t content)
{
    chat_part p;
    for (chat_parts it = chat_parts_of(&b->r, content); chat_next_part(&b->r, &it, &p);)
        if (p.kind == CHAT_PART_THINKING)
            return 1;
    return 0;
}

/* reasoning_content, else the texts of reasoning_details: the thought before the answer. 0: none.
 */
static int write_thought(mistral_body *b, const chat_message *m, int only_look)
{
    const tp_doc *d = b->r.d;
    chat_detail x;
    int any = 0;
    if (m->role != CHAT_ASSISTANT || holds_thought(b, m->content))
        return 0;
    if (m->reasoning && d->tokens[m->reasoning].len > 2) {
        if (only_look)
            return 1;
        begin_thought(b);
        write_thought_text(b, m->reasoning);
        any = 1;
    }
    for (chat_details it = chat_details_of(&b->r, m); !any && chat_next_detail(&b->r, &it, &x);) {
        if (!x.text || d->tokens[x.text].len <= 2)
            continue;
        if (only_look)
            return 1;
        begin_thought(b);
        write_thought_text(b, x.text);
        while (chat_next_detail(&b->r, &it, &x))
            if (x.text && d->tokens[x.text].len > 2)
                write_thought_text(b, x.text);
        any = 1;
    }
    if (!any)
        return 0;
    jo_close(&b->o, SPAN("]"));
    for (chat_details it = chat_details_of(&b->r, m); chat_next_detail(&b->r, &it, &x);)
        if (x.signature.len && span_is(x.format, "mistral")) {
            jo_key_string(&b->o, SPAN("signature"), x.signature);
            break;
        }
    jo_close(&b->o, SPAN("}"));
    return 1;
}

static void report_seals(mistral_body *b, const chat_message *m)
{
    chat_detail x;
    for (chat_details it = chat_details_of(&b->r, m); chat_next_detail(&b->r, &it, &x);)
        if (x.data.len || (x.signature.len && !span_is(x.format, "mistral"))) {
            chat_note(&b->r, TP_DROPPED,
                      SPAN("Mistral cannot read another API's proof of a thought"),
                      "messages[%u].reasoning_details", m->index);
            break;
        }
}

void mistral_write_content(mistral_body *b, const chat_message *m, int32_t role)
{
    const tp_doc *d = b->r.d;
    chat_part p;
    int refused = m->refusal && d->tokens[m->refusal].len > 2;
    int parts = span_kind(d, m->content) == TP_ARRAY || refused || write_thought(b, m, 1);
    (void)role;
    jo_key(&b->o, SPAN("content"));
    if (!parts) {
        if (m->content)
            jo_token(&b->o, d, m->content);
        else
            jo_put(&b->o, SPAN("\"\""));
    } else {
        jo_open(&b->o, SPAN("["));
        write_thought(b, m, 0);
        for (chat_parts it = chat_parts_of(&b->r, m->content);
             mistral_ok(b) && chat_next_part(&b->r, &it, &p);)
            if (span_kind(d, p.at) == TP_STRING)
                write_text(b, p.at);
            else
                write_part(b, m, &p);
        if (refused)
            write_text(b, m->refusal);
        jo_close(&b->o, SPAN("]"));
    }
    report_seals(b, m);
}
