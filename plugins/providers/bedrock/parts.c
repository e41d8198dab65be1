/* Content parts as content blocks. */
#include "bedrock_int.h"

typedef struct kind_of_file {
    tp_str type, extension, format; /* media type; what a name ends in; this API's word */
    int32_t kind;                   /* CHAT_PART_ */
} kind_of_file;
static const kind_of_file files[] = {
    {SPAN_INIT("image/png"), SPAN_INIT("png"), SPAN_INIT("png"), CHAT_PART_IMAGE},
    {SPAN_INIT("image/jpeg"), SPAN_INIT("jpeg"), SPAN_INIT("jpeg"), CHAT_PART_IMAGE},
    {SPAN_INIT("image/jpg"), SPAN_INIT("jpg"), SPAN_INIT("jpeg"), CHAT_PART_IMAGE},
    {SPAN_INIT("image/gif"), SPAN_INIT("gif"), SPAN_INIT("gif"), CHAT_PART_IMAGE},
    {SPAN_INIT("image/webp"), SPAN_INIT("webp"), SPAN_INIT("webp"), CHAT_PART_IMAGE},
    {SPAN_INIT("application/pdf"), SPAN_INIT("pdf"), SPAN_INIT("pdf"), CHAT_PART_FILE},
    {SPAN_INIT("text/csv"), SPAN_INIT("csv"), SPAN_INIT("csv"), CHAT_PART_FILE},
    {SPAN_INIT("application/msword"), SPAN_INIT("doc"), SPAN_INIT("doc"), CHAT_PART_FILE},
    {SPAN_INIT("application/vnd.openxmlformats-officedocument.wordprocessingml.document"),
     SPAN_INIT("docx"), SPAN_INIT("docx"), CHAT_PART_FILE},
    {SPAN_INIT("application/vnd.ms-excel"), SPAN_INIT("xls"), SPAN_INIT("xls"), CHAT_PART_FILE},
    {SPAN_INIT("application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"),
     SPAN_INIT("xlsx"), SPAN_INIT("xlsx"), CHAT_PART_FILE},
    {SPAN_INIT("text/html"), SPAN_INIT("html"), SPAN_INIT("html"), CHAT_PART_FILE},
    {SPAN_INIT("text/markdown"), SPAN_INIT("md"), SPAN_INIT("md"), CHAT_PART_FILE},
    {SPAN_INIT("text/plain"), SPAN_INIT("txt"), SPAN_INIT("txt"), CHAT_PART_FILE},
    {SPAN_INIT("application/json"), SPAN_INIT("json"), SPAN_INIT("txt"), CHAT_PART_FILE},
    {SPAN_INIT("application/xml"), SPAN_INIT("xml"), SPAN_INIT("txt"), CHAT_PART_FILE},
    {SPAN_INIT("video/mp4"), SPAN_INIT("mp4"), SPAN_INIT("mp4"), CHAT_PART_VIDEO},
    {SPAN_INIT("video/quicktime"), SPAN_INIT("mov"), SPAN_INIT("mov"), CHAT_PART_VIDEO},
    {SPAN_INIT("video/x-matroska"), SPAN_INIT("mkv"), SPAN_INIT("mkv"), CHAT_PART_VIDEO},
    {SPAN_INIT("video/webm"), SPAN_INIT("webm"), SPAN_INIT("webm"), CHAT_PART_VIDEO},
    {SPAN_INIT("video/x-flv"), SPAN_INIT("flv"), SPAN_INIT("flv"), CHAT_PART_VIDEO},
    {SPAN_INIT("video/mpeg"), SPAN_INIT("mpeg"), SPAN_INIT("mpeg"), CHAT_PART_VIDEO},
    {SPAN_INIT("video/mpg"), SPAN_INIT("mpg"), SPAN_INIT("mpg"), CHAT_PART_VIDEO},
    {SPAN_INIT("video/x-ms-wmv"), SPAN_INIT("wmv"), SPAN_INIT("wmv"), CHAT_PART_VIDEO},
    {SPAN_INIT("video/3gpp"), SPAN_INIT("3gp"), SPAN_INIT("three_gp"), CHAT_PART_VIDEO},
    {SPAN_INIT("audio/wav"), SPAN_INIT("wav"), SPAN_INIT("wav"), CHAT_PART_AUDIO},
    {SPAN_INIT("audio/x-wav"), SPAN_INIT("wave"), SPAN_INIT("wav"), CHAT_PART_AUDIO},
    {SPAN_INIT("audio/mpeg"), SPAN_INIT("mp3"), SPAN_INIT("mp3"), CHAT_PART_AUDIO},
    {SPAN_INIT("audio/mp3"), SPAN_INIT("mpga"), SPAN_INIT("mp3"), CHAT_PART_AUDIO},
    {SPAN_INIT("audio/flac"), SPAN_INIT("flac"), SPAN_INIT("flac"), CHAT_PART_AUDIO},
    {SPAN_INIT("audio/ogg"), SPAN_INIT("ogg"), SPAN_INIT("ogg"), CHAT_PART_AUDIO},
    {SPAN_INIT("audio/opus"), SPAN_INIT("opus"), SPAN_INIT("opus"), CHAT_PART_AUDIO},
    {SPAN_INIT("audio/aac"), SPAN_INIT("aac"), SPAN_INIT("aac"), CHAT_PART_AUDIO},
    {SPAN_INIT("audio/m4a"), SPAN_INIT("m4a"), SPAN_INIT("m4a"), CHAT_PART_AUDIO},
    {SPAN_INIT("audio/mp4"), SPAN_INIT("mp4"), SPAN_INIT("mp4"), CHAT_PART_AUDIO},
    {SPAN_INIT("audio/webm"), SPAN_INIT("webm"), SPAN_INIT("webm"), CHAT_PART_AUDIO},
    {SPAN_INIT("audio/pcm"), SPAN_INIT("pcm"), SPAN_INIT("pcm"), CHAT_PART_AUDIO},
    {SPAN_INIT("audio/l16"), SPAN_INIT("pcm16"), SPAN_INIT("pcm"), CHAT_PART_AUDIO},
    {SPAN_INIT("audio/x-matroska"), SPAN_INIT("mka"), SPAN_INIT("mka"), CHAT_PART_AUDIO},
};
enum { FILES = sizeof(files) / sizeof(files[0]) };

/* What follows the last dot of the last segment, without a query. */
static tp_str extension_of(tp_str name)
{
    for (size_t i = 0; i < name.len; i++)
        if (name.ptr[i] == '?' || name.ptr[i] == '#')
            name.len = i;
    for (size_t i = name.len; i-- && name.ptr[i] != '/';)
        if (name.ptr[i] == '.')
            return (tp_str){name.ptr + i + 1, name.len - i - 1};
    return SPAN_NONE;
}

/* kind: of the part; a file may turn out to be anything. A type that says nothing lets the name
 * speak, and the name the first bytes. */
static const kind_of_file *file_of(const chat_part *part)
{
    int any = part->kind == CHAT_PART_FILE || part->kind == CHAT_PART_DOCUMENT;
    int vague =
        !part->media_type.len || span_ieq(part->media_type, SPAN("application/octet-stream"));
    tp_str ending = extension_of(part->filename);
    if (!ending.len)
        ending = extension_of(part->url.len ? part->url : part->file_id);
    for (int by_name = vague; by_name < 2; by_name++) {
        tp_str word = by_name ? vague ? ending : part->media_type : part->media_type;
        for (size_t i = 0; word.len && i < FILES; i++)
            if ((any || files[i].kind == part->kind) &&
                span_ieq(by_name ? files[i].extension : files[i].type, word))
                return &files[i];
    }
    if (any && !vague && span_istarts(part->media_type, SPAN("text/")))
        for (size_t i = 0; i < FILES; i++)
            if (span_is(files[i].type, "text/plain"))
                return &files[i];
    if (any && vague && span_istarts(part->data, SPAN("JVBERi0"))) /* %PDF- */
        for (size_t i = 0; i < FILES; i++)
            if (span_is(files[i].format, "pdf"))
                return &files[i];
    return NULL;
}

static uint64_t hash_of(tp_str s)
{
    uint64_t v = UINT64_C(0xcbf29ce484222325);
    for (size_t i = 0; i < s.len; i++)
        v = (v ^ (unsigned char)s.ptr[i]) * UINT64_C(0x100000001b3);
    return v;
}

/* The characters that a document's name may have; no two spaces in a row; at most 160 of them. */
static tp_str clean_name(tp_str name, char buf[192])
{
    size_t n = 0, dot = name.len;
    for (size_t i = name.len; i-- && name.ptr[i] != '/';)
        if (name.ptr[i] == '.' && i) {
            dot = i;
            break;
        }
    for (size_t i = 0; i < dot && n < 160; i++) {
        char c = name.ptr[i];
        int plain = (c >= '0' && c <= '9') || ((c | 32) >= 'a' && (c | 32) <= 'z') || c == '(' ||
                    c == ')' || c == '[' || c == ']';
        char put = plain ? c : c == ' ' || c == '\t' || c == '\n' || c == '\r' ? ' ' : '-';
        if (!plain && n && (buf[n - 1] == put))
            continue;
        buf[n++] = put;
    }
    return span_trim((tp_str){buf, n});
}

/* A name that no other document of the request has. */
static void put_name(plan *p, tp_str filename)
{
    char buf[192], digits[24];
    tp_str name = clean_name(filename, buf), all;
    uint32_t n = 1;
    int taken = 1;
    if (!name.len || (name.len == 1 && name.ptr[0] == '-'))
        name = SPAN("document");
    memmove(buf, name.ptr, name.len);
    for (all = (tp_str){buf, name.len}; taken; n++) {
        taken = 0;
        if (n > 1) {
            tp_str number = span_of_int(n, digits);
            buf[name.len] = ' ';
            memcpy(buf + name.len + 1, number.ptr, number.len);
            all.len = name.len + 1 + number.len;
        }
        for (uint32_t i = 0; i < p->name_count && i < MOST_DOCUMENTS; i++)
            taken |= p->names[i] == hash_of(all);
    }
    p->names[p->name_count++ % MOST_DOCUMENTS] = hash_of(all);
    jo_key_string(&p->o, SPAN("name"), all);
}

static int is_s3(tp_str url)
{
    return span_istarts(url, SPAN("s3://"));
}

static void put_source(plan *p, const chat_part *part)
{
    json_out *o = &p->o;
    tp_str at = part->url.len ? part->url : part->file_id;
    jo_key(o, SPAN("source"));
    jo_open(o, SPAN("{"));
    if (part->data.len) {
        jo_key_string(o, SPAN("bytes"), part->data);
    } else {
        jo_key(o, SPAN("s3Location"));
        jo_open(o, SPAN("{"));
        jo_key_string(o, SPAN("uri"), at);
        jo_close(o, SPAN("}"));
    }
    jo_close(o, SPAN("}"));
}

/* Where in the part the content is said to be. */
static const char *content_member(const chat_part *part)
{
    switch (part->kind) {
    case CHAT_PART_IMAGE:
        return ".image_url";
    case CHAT_PART_VIDEO:
        return ".video_url";
    case CHAT_PART_AUDIO:
        return ".input_audio";
    case CHAT_PART_DOCUMENT:
        return ".document_url";
    case CHAT_PART_FILE:
        return part->file_id.len && !part->data.len ? ".file.file_id" : ".file";
    default:
        return "";
    }
}

static void refuse(plan *p, tp_status st, const chat_message *m, const chat_part *part, tp_str why)
{
    chat_refuse(&p->r, st, why, "messages[%u].content[%u]%s", m->index, part->index,
                content_member(part));
}

static int check_source(plan *p, const chat_message *m, const chat_part *part)
{
    tp_str at = part->url.len ? part->url : part->file_id;
    if (part->data.len)
        return 1;
    if (!at.len)
        refuse(p, TP_E_INPUT, m, part,
               SPAN("there is no content: send it as a data URL with base64"));
    else if (!is_s3(at))
        refuse(
            p, TP_E_UNSUPPORTED, m, part,
            SPAN("this API fetches nothing but s3:// addresses: send the content as a data URL"));
    return p->r.st == TP_OK;
}

static void put_file(plan *p, const chat_message *m, const chat_part *part)
{
    static const tp_str words[] = {[CHAT_PART_IMAGE] = SPAN_INIT("image"),
                                   [CHAT_PART_AUDIO] = SPAN_INIT("audio"),
                                   [CHAT_PART_FILE] = SPAN_INIT("document"),
                                   [CHAT_PART_VIDEO] = SPAN_INIT("video")};
    json_out *o = &p->o;
    if (!check_source(p, m, part))
        return;
    const kind_of_file *f = file_of(part);
    if (!f) {
        refuse(p, TP_E_UNSUPPORTED, m, part, SPAN("this API does not take content of this type"));
        return;
    }
    if (p->in_system || (p->in_result && f->kind == CHAT_PART_AUDIO)) {
        refuse(p, TP_E_UNSUPPORTED, m, part, SPAN("this API takes no such content in this place"));
        return;
    }
    if (part->detail.len && !span_is(part->detail, "auto"))
        chat_note(&p->r, TP_DROPPED, SPAN("this API has no such choice"),
                  "messages[%u].content[%u].image_url.detail", m->index, part->index);
    bedrock_block_begin(p, m->role);
    jo_key(o, words[f->kind]);
    jo_open(o, SPAN("{"));
    jo_key_string(o, SPAN("format"), f->format);
    if (f->kind == CHAT_PART_FILE) {
        put_name(p, part->filename);
        p->turn_has_document |= !p->in_result;
    }
    put_source(p, part);
    jo_close(o, SPAN("}"));
    bedrock_block_end(p);
}

static void put_text(plan *p, const chat_message *m, const chat_part *part)
{
    if (!part->text)
        return;
    tp_str text = span_text(p->r.h, p->r.c, p->r.d, part->text);
    if (bedrock_blank(text)) { /* the API refuses blocks without a word */
        if (text.len)
            chat_note(&p->r, TP_DROPPED, SPAN("a text of white space alone"),
                      "messages[%u].content[%u]", m->index, part->index);
        return;
    }
    bedrock_block_begin(p, m->role);
    jo_key(&p->o, SPAN("text"));
    tp_str trimmed = text;
    while (part->text == p->last_text && (unsigned char)trimmed.ptr[trimmed.len - 1] <= ' ')
        trimmed.len--;
    if (trimmed.len < text.len) {
        chat_note(&p->r, TP_CHANGED,
                  SPAN("white space at the end of the assistant's last text is refused"),
                  "messages[%u].content", m->index);
        jo_string(&p->o, trimmed);
    } else {
        jo_token(&p->o, p->r.d, part->text);
    }
    bedrock_block_end(p);
    p->turn_has_text |= !p->in_result;
}

/* {"type": "document", "document": {"id", "data"}}: a text that may be cited; data is a string or an
 * object. 0: it is no such. */
static int put_text_document(plan *p, const chat_message *m, const chat_part *part)
{
    json_out *o = &p->o;
    uint32_t t = span_find(p->r.h, p->r.d, part->at, SPAN("document"));
    uint32_t data = span_kind(p->r.d, t) == TP_OBJECT ? p->r.h->find(p->r.d, t, SPAN("data")) : 0;
    if (!span_is(part->type, "document") || !span_given(p->r.d, data) || p->in_system)
        return 0;
    bedrock_block_begin(p, m->role);
    jo_key(o, SPAN("document"));
    jo_open(o, SPAN("{"));
    jo_key_string(o, SPAN("format"), SPAN("txt"));
    put_name(p, span_member(p->r.h, p->r.c, p->r.d, t, SPAN("id")));
    jo_key(o, SPAN("source"));
    jo_open(o, SPAN("{"));
    jo_key(o, SPAN("text"));
    if (span_kind(p->r.d, data) == TP_STRING)
        jo_token(o, p->r.d, data);
    else
        jo_string(o, span_raw(p->r.d, data));
    jo_close(o, SPAN("}"));
    jo_close(o, SPAN("}"));
    bedrock_block_end(p);
    p->turn_has_document |= !p->in_result;
    return 1;
}

/* Blocks of this API's own: {"type": "guardContent", "guardContent": {...}}. */
static void put_own(plan *p, const chat_message *m, const chat_part *part)
{
    if (put_text_document(p, m, part))
        return;
    static const tp_str own[] = {SPAN_INIT("guardContent"),
                                 SPAN_INIT("cachePoint"),
                                 SPAN_INIT("searchResult"),
                                 SPAN_INIT("citationsContent"),
                                 SPAN_INIT("reasoningContent"),
                                 SPAN_INIT("image"),
                                 SPAN_INIT("document"),
                                 SPAN_INIT("video"),
                                 SPAN_INIT("audio"),
                                 SPAN_INIT("json"),
                                 SPAN_INIT("toolUse"),
                                 SPAN_INIT("toolResult"),
                                 SPAN_INIT("toolAddition"),
                                 SPAN_INIT("toolRemoval")};
    for (size_t i = 0; i < sizeof(own) / sizeof(own[0]); i++) {
        uint32_t t = span_eq(part->type, own[i]) ? span_find(p->r.h, p->r.d, part->at, own[i]) : 0;
        if (span_kind(p->r.d, t) != TP_OBJECT)
            continue;
        bedrock_block_begin(p, m->role);
        jo_key_token(&p->o, own[i], p->r.d, t);
        bedrock_block_end(p);
        return;
    }
    refuse(p, TP_E_UNSUPPORTED, m, part, SPAN("this API has no content of this type"));
}

void bedrock_part(plan *p, const chat_message *m, const chat_part *part)
{
    switch (part->kind) {
    case CHAT_PART_TEXT:
    case CHAT_PART_REFUSAL:
        put_text(p, m, part);
        break;
    case CHAT_PART_IMAGE:
    case CHAT_PART_AUDIO:
    case CHAT_PART_FILE:
    case CHAT_PART_VIDEO:
    case CHAT_PART_DOCUMENT:
        put_file(p, m, part);
        break;
    case CHAT_PART_THINKING:
        bedrock_thinking_part(p, m, part);
        break;
    default:
        put_own(p, m, part);
        break;
    }
}

/* An id as Claude takes it (the API itself takes '.' and ':' too, and others' ids have them): one
 * that does not fit becomes a hash of itself, in the call and in its result alike. */
tp_str bedrock_call_id(plan *p, tp_str id)
{
    static const char hex[] = "0123456789abcdef";
    int fits = id.len >= 1 && id.len <= 64;
    for (size_t i = 0; fits && i < id.len; i++) {
        char c = id.ptr[i];
        fits = (c >= '0' && c <= '9') || ((c | 32) >= 'a' && (c | 32) <= 'z') || c == '_' ||
               c == '-' || (p->t.family != FAMILY_CLAUDE && (c == '.' || c == ':'));
    }
    if (fits)
        return id;
    char *text = p->r.h->alloc(p->r.c, 21);
    if (!text) {
        p->o.st = TP_E_NOMEM;
        return SPAN_NONE;
    }
    memcpy(text, "call_", 5);
    uint64_t v = hash_of(id);
    for (int i = 0; i < 16; i++)
        text[5 + i] = hex[v >> (60 - 4 * i) & 15];
    return (tp_str){text, 21};
}

int bedrock_name_fits(tp_str name)
{
    for (size_t i = 0; i < name.len; i++) {
        char c = name.ptr[i];
        if (!((c >= '0' && c <= '9') || ((c | 32) >= 'a' && (c | 32) <= 'z') || c == '_' ||
              c == '-'))
            return 0;
    }
    return name.len >= 1 && name.len <= 64;
}

/* A name that a model once made up must not spoil the conversation for ever. */
tp_str bedrock_tool_name(plan *p, tp_str name)
{
    if (bedrock_name_fits(name))
        return name;
    size_t n = name.len < 64 ? name.len : 64;
    char *text = p->r.h->alloc(p->r.c, n + 1);
    if (!text) {
        p->o.st = TP_E_NOMEM;
        return SPAN_NONE;
    }
    for (size_t i = 0; i < n; i++)
        text[i] = bedrock_name_fits((tp_str){name.ptr + i, 1}) ? name.ptr[i] : '_';
    if (!n)
        text[n++] = '_';
    return (tp_str){text, n};
}
