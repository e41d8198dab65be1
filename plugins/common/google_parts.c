/* Parts of a message: text, media, and what is Google's own. */
#include "google_body_int.h"

typedef struct kind_of { tp_str word, type; } kind_of;

static tp_str looked_up(tp_str word, const kind_of *table, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (span_ieq(word, table[i].word))
            return table[i].type;
    return SPAN_NONE;
}

static tp_str type_by_extension(tp_str name)
{
    static const kind_of table[] = {
        {SPAN_INIT("pdf"), SPAN_INIT("application/pdf")}, {SPAN_INIT("txt"), SPAN_INIT("text/plain")},
        {SPAN_INIT("md"), SPAN_INIT("text/markdown")},    {SPAN_INIT("csv"), SPAN_INIT("text/csv")},
        {SPAN_INIT("html"), SPAN_INIT("text/html")},      {SPAN_INIT("htm"), SPAN_INIT("text/html")},
        {SPAN_INIT("xml"), SPAN_INIT("text/xml")},        {SPAN_INIT("rtf"), SPAN_INIT("text/rtf")},
        {SPAN_INIT("css"), SPAN_INIT("text/css")},        {SPAN_INIT("py"), SPAN_INIT("text/x-python")},
        {SPAN_INIT("json"), SPAN_INIT("application/json")},
        {SPAN_INIT("js"), SPAN_INIT("text/javascript")},
        {SPAN_INIT("png"), SPAN_INIT("image/png")},       {SPAN_INIT("jpg"), SPAN_INIT("image/jpeg")},
        {SPAN_INIT("jpeg"), SPAN_INIT("image/jpeg")},     {SPAN_INIT("gif"), SPAN_INIT("image/gif")},
        {SPAN_INIT("webp"), SPAN_INIT("image/webp")},     {SPAN_INIT("heic"), SPAN_INIT("image/heic")},
        {SPAN_INIT("heif"), SPAN_INIT("image/heif")},     {SPAN_INIT("avif"), SPAN_INIT("image/avif")},
        {SPAN_INIT("mp4"), SPAN_INIT("video/mp4")},       {SPAN_INIT("mpeg"), SPAN_INIT("video/mpeg")},
        {SPAN_INIT("mpg"), SPAN_INIT("video/mpg")},       {SPAN_INIT("mov"), SPAN_INIT("video/quicktime")},
        {SPAN_INIT("avi"), SPAN_INIT("video/avi")},       {SPAN_INIT("flv"), SPAN_INIT("video/x-flv")},
        {SPAN_INIT("webm"), SPAN_INIT("video/webm")},     {SPAN_INIT("wmv"), SPAN_INIT("video/wmv")},
        {SPAN_INIT("3gp"), SPAN_INIT("video/3gpp")},      {SPAN_INIT("mkv"), SPAN_INIT("video/x-matroska")},
        {SPAN_INIT("wav"), SPAN_INIT("audio/wav")},       {SPAN_INIT("mp3"), SPAN_INIT("audio/mpeg")},
        {SPAN_INIT("flac"), SPAN_INIT("audio/flac")},     {SPAN_INIT("ogg"), SPAN_INIT("audio/ogg")},
        {SPAN_INIT("aac"), SPAN_INIT("audio/aac")},       {SPAN_INIT("aiff"), SPAN_INIT("audio/aiff")},
        {SPAN_INIT("m4a"), SPAN_INIT("audio/m4a")},
    };
    size_t end = name.len;
    for (size_t i = 0; i < end; i++) /* of an address: its path alone */
        if (name.ptr[i] == '?' || name.ptr[i] == '#')
            end = i;
    size_t dot = end;
    while (dot > 0 && name.ptr[dot - 1] != '.' && name.ptr[dot - 1] != '/')
        dot--;
    if (dot == 0 || name.ptr[dot - 1] != '.')
        return SPAN_NONE;
    return looked_up((tp_str){name.ptr + dot, end - dot}, table, sizeof(table) / sizeof(table[0]));
}

/* The first bytes of what is encoded, as base64 spells them. */
static tp_str type_by_bytes(tp_str base64)
{
    static const kind_of table[] = {
        {SPAN_INIT("iVBORw0KGgo"), SPAN_INIT("image/png")},   {SPAN_INIT("/9j/"), SPAN_INIT("image/jpeg")},
        {SPAN_INIT("R0lGOD"), SPAN_INIT("image/gif")},        {SPAN_INIT("JVBERi0"), SPAN_INIT("application/pdf")},
        {SPAN_INIT("SUQz"), SPAN_INIT("audio/mpeg")},         {SPAN_INIT("T2dnUw"), SPAN_INIT("audio/ogg")},
        {SPAN_INIT("ZkxhQ"), SPAN_INIT("audio/flac")},
    };
    for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++)
        if (base64.len >= table[i].word.len &&
            memcmp(base64.ptr, table[i].word.ptr, table[i].word.len) == 0)
            return table[i].type;
    /* RIFF....WEBP and RIFF....WAVE: the word begins at a multiple of three bytes less one */
    if (base64.len >= 16 && memcmp(base64.ptr, "UklGR", 5) == 0)
        return memcmp(base64.ptr + 11, "XRUJQ", 5) == 0 ? SPAN("image/webp") : SPAN("audio/wav");
    return SPAN_NONE;
}

static tp_str type_of_sound(tp_str format)
{
    static const kind_of table[] = {
        {SPAN_INIT("wav"), SPAN_INIT("audio/wav")},   {SPAN_INIT("mp3"), SPAN_INIT("audio/mpeg")},
        {SPAN_INIT("mpeg"), SPAN_INIT("audio/mpeg")}, {SPAN_INIT("aac"), SPAN_INIT("audio/aac")},
        {SPAN_INIT("flac"), SPAN_INIT("audio/flac")}, {SPAN_INIT("ogg"), SPAN_INIT("audio/ogg")},
        {SPAN_INIT("oga"), SPAN_INIT("audio/ogg")},   {SPAN_INIT("opus"), SPAN_INIT("audio/opus")},
        {SPAN_INIT("aiff"), SPAN_INIT("audio/aiff")}, {SPAN_INIT("m4a"), SPAN_INIT("audio/m4a")},
        {SPAN_INIT("mp4"), SPAN_INIT("audio/mp4")},   {SPAN_INIT("webm"), SPAN_INIT("audio/webm")},
        {SPAN_INIT("pcm16"), SPAN_INIT("audio/pcm")}, {SPAN_INIT("pcm"), SPAN_INIT("audio/pcm")},
    };
    if (format.len && memchr(format.ptr, '/', format.len))
        return format;
    return looked_up(format, table, sizeof(table) / sizeof(table[0]));
}

int google_is_media(const chat_part *p)
{
    return p->kind == CHAT_PART_IMAGE || p->kind == CHAT_PART_AUDIO || p->kind == CHAT_PART_FILE ||
           p->kind == CHAT_PART_DOCUMENT || p->kind == CHAT_PART_VIDEO;
}

tp_str google_media_type(const chat_part *p)
{
    tp_str type = p->kind == CHAT_PART_AUDIO ? type_of_sound(p->media_type) : p->media_type;
    if (!type.len || span_is(type, "application/octet-stream")) {
        tp_str seen = type_by_extension(p->filename.len ? p->filename : p->url);
        if (!seen.len && p->data.len)
            seen = type_by_bytes(p->data);
        if (seen.len)
            type = seen;
    }
    return span_ieq(type, SPAN("image/jpg")) ? SPAN("image/jpeg") : type;
}

/* Base64 needs no escapes, so megabytes pass as they stand; what is no base64 is quoted, and the
 * upstream may judge it. */
static void put_base64(json_out *o, tp_str data)
{
    static const uint8_t fine[256] = {
        ['+'] = 1, ['/'] = 1, ['='] = 1, ['-'] = 1, ['_'] = 1, ['0'] = 1, ['1'] = 1, ['2'] = 1,
        ['3'] = 1, ['4'] = 1, ['5'] = 1, ['6'] = 1, ['7'] = 1, ['8'] = 1, ['9'] = 1,
        ['A'] = 1, ['B'] = 1, ['C'] = 1, ['D'] = 1, ['E'] = 1, ['F'] = 1, ['G'] = 1, ['H'] = 1,
        ['I'] = 1, ['J'] = 1, ['K'] = 1, ['L'] = 1, ['M'] = 1, ['N'] = 1, ['O'] = 1, ['P'] = 1,
        ['Q'] = 1, ['R'] = 1, ['S'] = 1, ['T'] = 1, ['U'] = 1, ['V'] = 1, ['W'] = 1, ['X'] = 1,
        ['Y'] = 1, ['Z'] = 1, ['a'] = 1, ['b'] = 1, ['c'] = 1, ['d'] = 1, ['e'] = 1, ['f'] = 1,
        ['g'] = 1, ['h'] = 1, ['i'] = 1, ['j'] = 1, ['k'] = 1, ['l'] = 1, ['m'] = 1, ['n'] = 1,
        ['o'] = 1, ['p'] = 1, ['q'] = 1, ['r'] = 1, ['s'] = 1, ['t'] = 1, ['u'] = 1, ['v'] = 1,
        ['w'] = 1, ['x'] = 1, ['y'] = 1, ['z'] = 1};
    unsigned all = 1;
    for (size_t i = 0; i < data.len; i++)
        all &= fine[(unsigned char)data.ptr[i]];
    if (!all) {
        jo_string(o, data);
        return;
    }
    jo_put(o, SPAN("\""));
    jo_put(o, data);
    jo_put(o, SPAN("\""));
}

void google_put_blob(google_body *b, tp_str media_type, tp_str data, tp_str filename)
{
    json_out *o = &b->o;
    jo_open(o, SPAN("{"));
    jo_key_string(o, SPAN("mimeType"), media_type);
    jo_key(o, SPAN("data"));
    put_base64(o, data);
    if (filename.len && b->f.vertex)
        jo_key_string(o, SPAN("displayName"), filename);
    jo_close(o, SPAN("}"));
}

static void put_video_metadata(google_body *b, const chat_part *p)
{
    if (b->r.d->tokens[p->at].kind != TP_OBJECT)
        return;
    uint32_t t = b->r.h->find(b->r.d, p->at, SPAN("videoMetadata"));
    if (!t)
        t = b->r.h->find(b->r.d, p->at, SPAN("video_metadata"));
    if (span_kind(b->r.d, t) == TP_OBJECT)
        jo_key_token(&b->o, SPAN("videoMetadata"), b->r.d, t);
}

static void put_data(google_body *b, const chat_part *p, uint32_t message)
{
    tp_str type = google_media_type(p);
    if (!type.len) {
        chat_refuse(&b->r, TP_E_INPUT,
                    SPAN("the media type is not known; expected a data URL such as "
                         "data:application/pdf;base64,..., a known audio format, or a filename "
                         "with an extension"),
                    "messages[%u].content[%u]", message, p->index);
        return;
    }
    jo_comma(&b->o);
    jo_open(&b->o, SPAN("{"));
    jo_key(&b->o, SPAN("inlineData"));
    google_put_blob(b, type, p->data, p->filename);
    put_video_metadata(b, p);
    jo_close(&b->o, SPAN("}"));
}

static int is_youtube(tp_str url)
{
    return fault_contains((tp_str){url.ptr, url.len < 32 ? url.len : 32}, SPAN("youtube.com/")) ||
           fault_contains((tp_str){url.ptr, url.len < 32 ? url.len : 32}, SPAN("youtu.be/"));
}

/* What Vertex must be told of a file whose name says nothing. */
static tp_str usual_type(const chat_part *p)
{
    switch (p->kind) {
    case CHAT_PART_IMAGE: return SPAN("image/jpeg");
    case CHAT_PART_VIDEO: return SPAN("video/mp4");
    case CHAT_PART_AUDIO: return SPAN("audio/mpeg");
    default: return SPAN("application/pdf");
    }
}

static void put_link(google_body *b, const chat_part *p, tp_str uri, uint32_t message)
{
    int remote = span_istarts(uri, SPAN("http://")) || span_istarts(uri, SPAN("https://"));
    int own = is_youtube(uri) ||
              span_istarts(uri, SPAN("https://generativelanguage.googleapis.com/"));
    if (!remote && !span_istarts(uri, SPAN("gs://"))) {
        chat_refuse(&b->r, TP_E_INPUT,
                    SPAN("expected an http, https or gs address, or a data URL with base64"),
                    "messages[%u].content[%u]", message, p->index);
        return;
    }
    if (remote && !own && b->f.refuse_remote) {
        chat_refuse(&b->r, TP_E_UNSUPPORTED,
                    SPAN("this provider does not fetch files from addresses; send the bytes as a "
                         "data URL"),
                    "messages[%u].content[%u]", message, p->index);
        return;
    }
    tp_str type = google_media_type(p);
    if (!type.len && b->f.vertex)
        type = is_youtube(uri) ? SPAN("video/mp4") : usual_type(p);
    json_out *o = &b->o;
    jo_comma(o);
    jo_open(o, SPAN("{"));
    jo_key(o, SPAN("fileData"));
    jo_open(o, SPAN("{"));
    if (type.len)
        jo_key_string(o, SPAN("mimeType"), type);
    jo_key_string(o, SPAN("fileUri"), uri);
    if (p->filename.len && b->f.vertex)
        jo_key_string(o, SPAN("displayName"), p->filename);
    jo_close(o, SPAN("}"));
    put_video_metadata(b, p);
    jo_close(o, SPAN("}"));
}

/* A file that was uploaded: Google names it by address, or "files/..." in the Gemini API. */
static void put_file_id(google_body *b, const chat_part *p, uint32_t message)
{
    static const tp_str base = SPAN_INIT("https://generativelanguage.googleapis.com/v1beta/");
    if (memmem(p->file_id.ptr, p->file_id.len, "://", 3)) {
        put_link(b, p, p->file_id, message);
        return;
    }
    if (b->f.vertex || !span_istarts(p->file_id, SPAN("files/"))) {
        chat_refuse(&b->r, TP_E_UNSUPPORTED,
                    SPAN("this provider knows no file of that id; expected the file's address, "
                         "files/... or gs://..."),
                    "messages[%u].content[%u].file.file_id", message, p->index);
        return;
    }
    char *uri = b->r.h->alloc(b->r.c, base.len + p->file_id.len);
    if (!uri) {
        b->r.st = TP_E_NOMEM;
        return;
    }
    memcpy(uri, base.ptr, base.len);
    memcpy(uri + base.len, p->file_id.ptr, p->file_id.len);
    put_link(b, p, (tp_str){uri, base.len + p->file_id.len}, message);
}

static void put_media(google_body *b, const chat_part *p, uint32_t message)
{
    if (p->data.len)
        put_data(b, p, message);
    else if (p->url.len)
        put_link(b, p, p->url, message);
    else if (p->file_id.len)
        put_file_id(b, p, message);
    else
        chat_refuse(&b->r, TP_E_INPUT, SPAN("expected data or an address in this part"),
                    "messages[%u].content[%u]", message, p->index);
    if (p->detail.len && !span_is(p->detail, "auto"))
        chat_note(&b->r, TP_DROPPED, SPAN("this provider sets the resolution for the whole request"),
                  "messages[%u].content[%u].image_url.detail", message, p->index);
    if (p->filename.len && !b->f.vertex && p->kind == CHAT_PART_FILE)
        chat_note(&b->r, TP_DROPPED, SPAN("this provider takes no names of files"),
                  "messages[%u].content[%u].file.filename", message, p->index);
}

static void put_thought(google_body *b, uint32_t text)
{
    if (span_kind(b->r.d, text) != TP_STRING || b->r.d->tokens[text].len <= 2)
        return;
    jo_comma(&b->o);
    jo_open(&b->o, SPAN("{"));
    jo_key_token(&b->o, SPAN("text"), b->r.d, text);
    jo_key_bool(&b->o, SPAN("thought"), 1);
    jo_close(&b->o, SPAN("}"));
}

/* {"type": "thinking", "thinking": "..." | [{"type": "text", "text"}]}. */
static void put_thinking(google_body *b, const chat_part *p)
{
    uint32_t t = span_find(b->r.h, b->r.d, p->at, SPAN("thinking"));
    put_thought(b, t);
    if (span_kind(b->r.d, t) != TP_ARRAY)
        return;
    for (uint32_t x = t + 1; x < b->r.d->tokens[t].next; x = b->r.d->tokens[x].next)
        put_thought(b, span_find(b->r.h, b->r.d, x, SPAN("text")));
}

/* A part in Google's own words, {"fileData": {...}} with or without a type of that name. */
static void put_other(google_body *b, const chat_part *p, uint32_t message)
{
    static const tp_str words[] = {SPAN_INIT("inlineData"), SPAN_INIT("fileData"),
                                   SPAN_INIT("executableCode"), SPAN_INIT("codeExecutionResult"),
                                   SPAN_INIT("toolCall"), SPAN_INIT("toolResponse")};
    const tp_doc *d = b->r.d;
    json_out *o = &b->o;
    int known = 0;
    if (d->tokens[p->at].kind == TP_OBJECT)
        for (members m = members_of(d, p->at); members_next(&m);)
            for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
                known |= google_same_name(span_inner(d, m.key), words[i]) &&
                         (!p->type.len || google_same_name(p->type, words[i]));
    if (!known) {
        chat_refuse(&b->r, TP_E_UNSUPPORTED, SPAN("this provider cannot carry a part of this type"),
                    "messages[%u].content[%u].type", message, p->index);
        return;
    }
    jo_comma(o);
    jo_open(o, SPAN("{"));
    for (members m = members_of(d, p->at); members_next(&m);) {
        tp_str key = span_inner(d, m.key);
        if (!span_is(key, "type") && !span_is(key, "cache_control"))
            jo_key_token(o, key, d, m.value);
    }
    jo_close(o, SPAN("}"));
}

void google_put_part(google_body *b, const chat_part *p, uint32_t message)
{
    if (p->cache_control)
        chat_note(&b->r, TP_DROPPED, SPAN("this provider caches by itself"),
                  "messages[%u].content[%u].cache_control", message, p->index);
    switch (p->kind) {
    case CHAT_PART_TEXT:
    case CHAT_PART_REFUSAL:
        if (!p->text)
            break;
        jo_comma(&b->o);
        jo_open(&b->o, SPAN("{"));
        jo_key_token(&b->o, SPAN("text"), b->r.d, p->text);
        jo_close(&b->o, SPAN("}"));
        break;
    case CHAT_PART_THINKING:
        put_thinking(b, p);
        break;
    case CHAT_PART_OTHER:
        put_other(b, p, message);
        break;
    default:
        put_media(b, p, message);
        break;
    }
}
