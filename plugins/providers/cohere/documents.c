/* Documents: text that the model may cite. Cohere takes them beside the messages ("documents") and
 * in results of tools. A canonical file part with text in it becomes one. */
#include "cohere_int.h"

/* ---- base64 of UTF-8 text. */
static int digit_of(unsigned char ch)
{
    if (ch >= 'A' && ch <= 'Z') return ch - 'A';
    if (ch >= 'a' && ch <= 'z') return ch - 'a' + 26;
    if (ch >= '0' && ch <= '9') return ch - '0' + 52;
    return ch == '+' || ch == '-' ? 62 : ch == '/' || ch == '_' ? 63 : -1;
}

/* Into out (three bytes for each four); the length, or SIZE_MAX: not base64. */
static size_t decode(tp_str in, char *out)
{
    uint32_t bits = 0, count = 0;
    size_t n = 0;
    while (in.len && in.ptr[in.len - 1] == '=')
        in.len--;
    for (size_t i = 0; i < in.len; i++) {
        int v = digit_of((unsigned char)in.ptr[i]);
        if (v < 0)
            return SIZE_MAX;
        bits = bits << 6 | (uint32_t)v;
        if (++count % 4 == 0) {
            out[n++] = (char)(bits >> 16);
            out[n++] = (char)(bits >> 8);
            out[n++] = (char)bits;
        }
    }
    if (count % 4 == 1)
        return SIZE_MAX;
    if (count % 4 >= 2)
        out[n++] = (char)(count % 4 == 2 ? bits >> 4 : bits >> 10);
    if (count % 4 == 3)
        out[n++] = (char)(bits >> 2);
    return n;
}

/* The length of the character at p, or 0: not UTF-8 (or a zero byte). */
static size_t character(const unsigned char *p, size_t left)
{
    size_t n = p[0] < 0x80 ? 1 : p[0] >= 0xf0 ? 4 : p[0] >= 0xe0 ? 3 : 2;
    if (!p[0] || (p[0] >= 0x80 && p[0] < 0xc2) || p[0] > 0xf4 || n > left)
        return 0;
    for (size_t i = 1; i < n; i++)
        if ((p[i] & 0xc0) != 0x80)
            return 0;
    if ((p[0] == 0xe0 && p[1] < 0xa0) || (p[0] == 0xed && p[1] > 0x9f) ||
        (p[0] == 0xf0 && p[1] < 0x90) || (p[0] == 0xf4 && p[1] > 0x8f))
        return 0;
    return n;
}

static int is_text(tp_str s)
{
    const unsigned char *p = (const unsigned char *)s.ptr;
    for (size_t i = 0, n; i < s.len; i += n)
        if ((n = character(p + i, s.len - i)) == 0)
            return 0;
    return 1;
}

/* ---- */
static int is_text_type(tp_str type)
{
    return !type.len || span_istarts(type, SPAN("text/")) ||
           span_ieq(type, SPAN("application/json")) || span_ieq(type, SPAN("application/xml")) ||
           span_ieq(type, SPAN("application/yaml")) || span_ieq(type, SPAN("application/x-yaml"));
}

static tp_str file_text(cohere_body *b, const chat_message *m, const chat_part *p)
{
    static const char place[] = "messages[%u].content[%u].file";
    char *text = NULL;
    size_t n = SIZE_MAX;
    if (p->file_id.len || p->url.len)
        chat_refuse(&b->r, TP_E_UNSUPPORTED,
                    SPAN("Cohere keeps and fetches no files; send file_data"), place, m->index,
                    p->index);
    else if (!is_text_type(p->media_type))
        chat_refuse(&b->r, TP_E_UNSUPPORTED, SPAN("Cohere takes documents of text only"), place,
                    m->index, p->index);
    else if ((text = b->r.h->alloc(b->r.c, p->data.len / 4 * 3 + 4)) == NULL)
        b->r.st = b->r.st == TP_OK ? TP_E_NOMEM : b->r.st;
    else
        n = decode(p->data, text);
    if (b->r.st == TP_OK && (n == SIZE_MAX || !is_text((tp_str){text, n})))
        chat_refuse(&b->r, p->media_type.len ? TP_E_INPUT : TP_E_UNSUPPORTED,
                    SPAN("expected UTF-8 text as base64 in file_data"), place, m->index, p->index);
    return b->r.st == TP_OK ? (tp_str){text, n} : SPAN_NONE;
}

/* {"data": {"title", "text"}}, or Cohere's own object as it stands. */
static void write_object(cohere_body *b, const chat_message *m, const chat_part *p)
{
    if (p->kind != CHAT_PART_FILE) {
        uint32_t own = span_find(b->r.h, b->r.d, p->at, SPAN("document"));
        if (span_kind(b->r.d, own) == TP_OBJECT || span_kind(b->r.d, own) == TP_STRING)
            jo_token(&b->o, b->r.d, own);
        else
            chat_refuse(
                &b->r, TP_E_UNSUPPORTED,
                SPAN("expected Cohere's document: {\"data\": {...}} with an \"id\" or without"),
                "messages[%u].content[%u].document", m->index, p->index);
        return;
    }
    tp_str text = file_text(b, m, p);
    jo_open(&b->o, SPAN("{"));
    jo_key(&b->o, SPAN("data"));
    jo_open(&b->o, SPAN("{"));
    if (p->filename.len)
        jo_key_string(&b->o, SPAN("title"), p->filename);
    jo_key_string(&b->o, SPAN("text"), text);
    jo_close(&b->o, SPAN("}"));
    jo_close(&b->o, SPAN("}"));
}

void cohere_write_document(cohere_body *b, const chat_message *m, const chat_part *p,
                           int in_message)
{
    jo_comma(&b->o);
    if (!in_message) {
        write_object(b, m, p);
        return;
    }
    jo_open(&b->o, SPAN("{"));
    jo_key_raw(&b->o, SPAN("type"), SPAN("\"document\""));
    jo_key(&b->o, SPAN("document"));
    write_object(b, m, p);
    jo_close(&b->o, SPAN("}"));
}

static void write_of_messages(cohere_body *b)
{
    chat_message m;
    chat_part p;
    for (chat_messages it = chat_messages_of(&b->r); chat_next_message(&b->r, &it, &m);) {
        if (m.role != CHAT_USER && m.role != CHAT_SYSTEM)
            continue;
        for (chat_parts parts = chat_parts_of(&b->r, m.content);
             b->r.st == TP_OK && chat_next_part(&b->r, &parts, &p);)
            if (p.kind == CHAT_PART_FILE ||
                (p.kind == CHAT_PART_OTHER && span_is(p.type, "document")))
                cohere_write_document(b, &m, &p, 0);
    }
}

void cohere_write_documents(cohere_body *b)
{
    cohere_value own = cohere_param(b, SPAN("documents"));
    int listed = own.t && span_kind(own.d, own.t) == TP_ARRAY;
    b->has_documents = own.t || b->documents;
    if (!listed && !b->documents) {
        if (own.t)
            jo_key_token(&b->o, SPAN("documents"), own.d, own.t);
        return;
    }
    jo_key(&b->o, SPAN("documents"));
    jo_open(&b->o, SPAN("["));
    for (uint32_t t = own.t + 1; listed && t < own.d->tokens[own.t].next;
         t = own.d->tokens[t].next) {
        jo_comma(&b->o);
        jo_token(&b->o, own.d, t);
    }
    if (b->documents)
        write_of_messages(b);
    jo_close(&b->o, SPAN("]"));
}
