/* Content parts as blocks. */
#include "anthropic_int.h"

int anthropic_blank(const tp_doc *d, uint32_t string)
{
    tp_str s = span_inner(d, string);
    for (size_t i = 0; i < s.len; i++) {
        if (s.ptr[i] == '\\' && i + 1 < s.len && strchr("nrtf", s.ptr[i + 1]))
            i++;
        else if (s.ptr[i] != ' ')
            return 0;
    }
    return 1;
}

/* A block in this API's own words: its type tells. */
static int is_native(tp_str type, int where)
{
    static const tp_str anywhere[] = {SPAN_INIT("document"), SPAN_INIT("image"),
                                      SPAN_INIT("search_result"), SPAN_INIT("tool_reference"), {0}};
    static const tp_str user[] = {SPAN_INIT("tool_result"), SPAN_INIT("container_upload"),
                                  SPAN_INIT("mcp_tool_result"), {0}};
    static const tp_str assistant[] = {SPAN_INIT("thinking"), SPAN_INIT("redacted_thinking"),
                                       SPAN_INIT("tool_use"), SPAN_INIT("server_tool_use"),
                                       SPAN_INIT("mcp_tool_use"), SPAN_INIT("mcp_tool_result"),
                                       SPAN_INIT("container_upload"), SPAN_INIT("compaction"),
                                       SPAN_INIT("fallback"), {0}};
    static const tp_str result = SPAN_INIT("_tool_result");
    const tp_str *own = where == IN_USER ? user : where == IN_ASSISTANT ? assistant : NULL;
    for (const tp_str *t = anywhere; t->len && where != IN_ASSISTANT; t++)
        if (span_eq(*t, type))
            return 1;
    for (const tp_str *t = own; t && t->len; t++)
        if (span_eq(*t, type))
            return 1;
    return where != IN_RESULT && type.len > result.len &&
           span_eq((tp_str){type.ptr + type.len - result.len, result.len}, result);
}

static uint32_t citations_of(const body *b, const chat_part *p)
{
    uint32_t t = span_kind(b->r.d, p->at) == TP_OBJECT
                     ? span_find(b->r.h, b->r.d, p->at, SPAN("citations")) : 0;
    return span_given(b->r.d, t) && span_is(p->type, "text") ? t : 0;
}

/* Texts of nothing but white space are refused by the API, and left out. */
int anthropic_writes(const body *b, const chat_part *p)
{
    switch (p->kind) {
    case CHAT_PART_TEXT:
    case CHAT_PART_REFUSAL: return p->text && !anthropic_blank(b->r.d, p->text);
    case CHAT_PART_THINKING:
        return span_member(b->r.h, b->r.c, b->r.d, p->at, SPAN("signature")).len > 0;
    default: return 1;
    }
}

static void put_base64(body *b, tp_str media_type, tp_str data)
{
    jo_key(&b->o, SPAN("source"));
    jo_open(&b->o, SPAN("{"));
    jo_key_string(&b->o, SPAN("type"), SPAN("base64"));
    jo_key_string(&b->o, SPAN("media_type"), media_type);
    jo_key_string(&b->o, SPAN("data"), data);
    jo_close(&b->o, SPAN("}"));
}

static void put_link(body *b, tp_str type, tp_str member, tp_str value)
{
    jo_key(&b->o, SPAN("source"));
    jo_open(&b->o, SPAN("{"));
    jo_key_string(&b->o, SPAN("type"), type);
    jo_key_string(&b->o, member, value);
    jo_close(&b->o, SPAN("}"));
}

static void put_file_id(body *b, tp_str id)
{
    anthropic_beta(b, SPAN("files-api-2025-04-14"));
    put_link(b, SPAN("file"), SPAN("file_id"), id);
}

static tp_str image_type(tp_str s)
{
    static const tp_str types[] = {SPAN_INIT("image/jpeg"), SPAN_INIT("image/png"),
                                   SPAN_INIT("image/gif"), SPAN_INIT("image/webp")};
    if (span_ieq(s, SPAN("image/jpg")))
        return types[0];
    for (size_t i = 0; i < 4; i++)
        if (span_ieq(s, types[i]))
            return types[i];
    return SPAN_NONE;
}

static int is_web(tp_str url)
{
    return span_istarts(url, SPAN("https://")) || span_istarts(url, SPAN("http://"));
}

static int is_refused_url(const body *b, const chat_part *p)
{
    return b->v->no_urls && !p->data.len && !p->file_id.len;
}

typedef struct spot { /* the part under way */
    body *b;
    const chat_message *m;
    const chat_part *p;
    uint32_t mark;
} spot;

static void refuse(const spot *s, tp_status st, tp_str why, const char *member)
{
    chat_refuse(&s->b->r, st, why, "messages[%u].content[%u]%s", s->m->index, s->p->index, member);
}

static void open_block(const spot *s, tp_str type)
{
    jo_comma(&s->b->o);
    jo_open(&s->b->o, SPAN("{"));
    jo_key_string(&s->b->o, SPAN("type"), type);
}

static void close_block(const spot *s)
{
    anthropic_mark(s->b, s->mark, "messages", s->m->index, s->p->index);
    jo_close(&s->b->o, SPAN("}"));
}

static const tp_str no_address = SPAN_INIT(
    "this provider fetches nothing from an address: send the content as a data URL");

static void put_image(const spot *s)
{
    const chat_part *p = s->p;
    tp_str type = image_type(p->media_type);
    if (p->data.len && !type.len) {
        refuse(s, TP_E_UNSUPPORTED, SPAN("this provider takes images of type jpeg, png, gif and webp"),
               ".image_url");
        return;
    }
    if (!p->data.len && !is_web(p->url)) {
        refuse(s, TP_E_INPUT, SPAN("expected an http or https URL, or a data URL with base64"),
               ".image_url.url");
        return;
    }
    if (is_refused_url(s->b, p)) {
        refuse(s, TP_E_UNSUPPORTED, no_address, ".image_url.url");
        return;
    }
    open_block(s, SPAN("image"));
    if (p->data.len)
        put_base64(s->b, type, p->data);
    else
        put_link(s->b, SPAN("url"), SPAN("url"), p->url);
    close_block(s);
    if (p->detail.len && !span_is(p->detail, "auto"))
        chat_note(&s->b->r, TP_DROPPED, SPAN("this API has no such measure"),
                  "messages[%u].content[%u].image_url.detail", s->m->index, p->index);
}

/* ---- Documents. */
static int digit_of(char c)
{
    return c >= 'A' && c <= 'Z' ? c - 'A' : c >= 'a' && c <= 'z' ? c - 'a' + 26
           : c >= '0' && c <= '9' ? c - '0' + 52 : c == '+' || c == '-' ? 62
           : c == '/' || c == '_' ? 63 : -1;
}

static int decode_base64(body *b, tp_str in, tp_str *out)
{
    char *p = b->r.h->alloc(b->r.c, in.len / 4 * 3 + 4), *q = p;
    uint32_t bits = 0;
    int n = 0;
    if (!p) {
        b->o.st = TP_E_NOMEM;
        return 0;
    }
    for (size_t i = 0; i < in.len && in.ptr[i] != '='; i++) {
        int v = digit_of(in.ptr[i]);
        if (v < 0 && (unsigned char)in.ptr[i] <= ' ')
            continue;
        if (v < 0)
            return 0;
        bits = bits << 6 | (uint32_t)v;
        if (++n % 4 != 1)
            *q++ = (char)(bits >> (n % 4 == 2 ? 4 : n % 4 == 3 ? 2 : 0));
    }
    *out = (tp_str){p, (size_t)(q - p)};
    return n % 4 != 1;
}

static int is_utf8(tp_str s)
{
    const unsigned char *p = (const unsigned char *)s.ptr, *end = p + s.len;
    while (p < end) {
        uint32_t more = *p < 0x80 ? 0 : *p >= 0xc2 && *p < 0xe0 ? 1 : *p >= 0xe0 && *p < 0xf0 ? 2
                        : *p >= 0xf0 && *p < 0xf5 ? 3 : 9;
        if (more == 9 || (size_t)(end - p) <= more)
            return 0;
        if ((*p == 0xe0 && p[1] < 0xa0) || (*p == 0xed && p[1] > 0x9f) ||
            (*p == 0xf0 && p[1] < 0x90) || (*p == 0xf4 && p[1] > 0x8f))
            return 0;
        for (uint32_t i = 1; i <= more; i++)
            if ((p[i] & 0xc0) != 0x80)
                return 0;
        p += more + 1;
    }
    return 1;
}

static int ends_with(tp_str s, tp_str end)
{
    return s.len >= end.len && span_ieq((tp_str){s.ptr + s.len - end.len, end.len}, end);
}

/* Where no media type is said, the name or the first bytes tell. */
static tp_str file_type(const chat_part *p)
{
    if (p->media_type.len && !span_is(p->media_type, "application/octet-stream"))
        return p->media_type;
    if (ends_with(p->filename, SPAN(".pdf")) || span_istarts(p->data, SPAN("JVBERi")))
        return SPAN("application/pdf");
    if (ends_with(p->filename, SPAN(".txt")) || ends_with(p->filename, SPAN(".md")) ||
        ends_with(p->filename, SPAN(".csv")))
        return SPAN("text/plain");
    if (ends_with(p->filename, SPAN(".png")))
        return SPAN("image/png");
    if (ends_with(p->filename, SPAN(".jpg")) || ends_with(p->filename, SPAN(".jpeg")))
        return SPAN("image/jpeg");
    if (ends_with(p->filename, SPAN(".gif")))
        return SPAN("image/gif");
    if (ends_with(p->filename, SPAN(".webp")))
        return SPAN("image/webp");
    return p->media_type;
}

static int is_plain_text(tp_str type)
{
    return span_istarts(type, SPAN("text/")) || span_is(type, "application/json") ||
           span_is(type, "application/xml") || span_is(type, "application/yaml");
}

static void put_text_source(const spot *s, tp_str text)
{
    jo_key(&s->b->o, SPAN("source"));
    jo_open(&s->b->o, SPAN("{"));
    jo_key_string(&s->b->o, SPAN("type"), SPAN("text"));
    jo_key_string(&s->b->o, SPAN("media_type"), SPAN("text/plain"));
    jo_key_string(&s->b->o, SPAN("data"), text);
    jo_close(&s->b->o, SPAN("}"));
}

static void put_document(const spot *s, tp_str type)
{
    const chat_part *p = s->p;
    tp_str text = SPAN_NONE;
    int pdf = span_ieq(type, SPAN("application/pdf"));
    if (p->data.len && !pdf && !is_plain_text(type)) {
        refuse(s, TP_E_UNSUPPORTED, SPAN("this provider takes documents of type application/pdf and "
                                         "text/plain"), ".file.file_data");
        return;
    }
    if (p->data.len && !pdf && (!decode_base64(s->b, p->data, &text) || !is_utf8(text))) {
        if (s->b->o.st == TP_OK)
            refuse(s, TP_E_INPUT, SPAN("expected base64 of a text in UTF-8"), ".file.file_data");
        return;
    }
    if (!p->data.len && !p->file_id.len && !is_web(p->url)) {
        refuse(s, TP_E_INPUT, SPAN("expected file_data, a file_id, or an http or https URL"), "");
        return;
    }
    if (is_refused_url(s->b, p)) {
        refuse(s, TP_E_UNSUPPORTED, no_address, "");
        return;
    }
    open_block(s, SPAN("document"));
    if (text.len)
        put_text_source(s, text);
    else if (p->data.len)
        put_base64(s->b, SPAN("application/pdf"), p->data);
    else if (p->file_id.len)
        put_file_id(s->b, p->file_id);
    else
        put_link(s->b, SPAN("url"), SPAN("url"), p->url);
    if (p->filename.len)
        jo_key_string(&s->b->o, SPAN("title"), p->filename);
    close_block(s);
}

static void put_file(const spot *s)
{
    tp_str type = file_type(s->p), image = image_type(type);
    if (!image.len) {
        put_document(s, type);
        return;
    }
    if (!s->p->data.len && !s->p->file_id.len && (!is_web(s->p->url) || s->b->v->no_urls)) {
        refuse(s, s->p->url.len ? TP_E_UNSUPPORTED : TP_E_INPUT,
               s->p->url.len ? no_address : SPAN("expected file_data or a file_id"), ".file");
        return;
    }
    open_block(s, SPAN("image"));
    if (s->p->data.len)
        put_base64(s->b, image, s->p->data);
    else if (s->p->file_id.len)
        put_file_id(s->b, s->p->file_id);
    else
        put_link(s->b, SPAN("url"), SPAN("url"), s->p->url);
    close_block(s);
}

static void put_native(const spot *s)
{
    const body *b = s->b;
    uint32_t source = span_find(b->r.h, b->r.d, s->p->at, SPAN("source"));
    if (span_kind(b->r.d, source) == TP_OBJECT &&
        span_is(span_member(b->r.h, b->r.c, b->r.d, source, SPAN("type")), "file"))
        anthropic_beta(s->b, SPAN("files-api-2025-04-14"));
    if (span_is(s->p->type, "container_upload"))
        anthropic_beta(s->b, SPAN("files-api-2025-04-14"));
    s->b->marks += s->p->cache_control != 0;
    jo_comma(&s->b->o);
    jo_token(&s->b->o, b->r.d, s->p->at);
}

static void put_text(const spot *s)
{
    if (citations_of(s->b, s->p)) {
        put_native(s);
        return;
    }
    open_block(s, SPAN("text"));
    jo_key_token(&s->b->o, SPAN("text"), s->b->r.d, s->p->text);
    close_block(s);
}

void anthropic_put_part(body *b, const chat_message *m, const chat_part *p, int where,
                        uint32_t mark)
{
    spot s = {.b = b, .m = m, .p = p, .mark = p->cache_control ? p->cache_control : mark};
    int32_t kind = p->kind;
    if (!anthropic_writes(b, p)) {
        if (kind == CHAT_PART_THINKING)
            chat_note(&b->r, TP_DROPPED, SPAN("a thought without a signature is not taken back"),
                      "messages[%u].content[%u]", m->index, p->index);
        return;
    }
    if (where == IN_ASSISTANT && kind != CHAT_PART_TEXT && kind != CHAT_PART_REFUSAL &&
        kind != CHAT_PART_THINKING && !is_native(p->type, where))
        refuse(&s, TP_E_UNSUPPORTED, SPAN("in a message of the assistant's this provider takes text "
                                          "and the API's own blocks"), "");
    else if (kind == CHAT_PART_TEXT || kind == CHAT_PART_REFUSAL)
        put_text(&s);
    else if (kind == CHAT_PART_IMAGE)
        put_image(&s);
    else if (kind == CHAT_PART_FILE)
        put_file(&s);
    else if (kind == CHAT_PART_DOCUMENT)
        put_document(&s, p->data.len && !p->media_type.len ? SPAN("application/pdf")
                                                           : p->media_type);
    else if (kind == CHAT_PART_AUDIO || kind == CHAT_PART_VIDEO)
        refuse(&s, TP_E_UNSUPPORTED, SPAN("this provider takes no sound and no video"), "");
    else if (is_native(p->type, where))
        put_native(&s);
    else
        refuse(&s, TP_E_UNSUPPORTED, SPAN("this provider does not know the type of the part"), ".type");
}
