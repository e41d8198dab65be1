/* A canonical chat request as a body of generateContent: the top level, and what names tell. */
#include "google_body_int.h"

int google_same_name(tp_str a, tp_str b)
{
    size_t i = 0, k = 0;
    for (;;) {
        while (i < a.len && a.ptr[i] == '_')
            i++;
        while (k < b.len && b.ptr[k] == '_')
            k++;
        if (i == a.len || k == b.len)
            return i == a.len && k == b.len;
        if (span_lower(a.ptr[i++]) != span_lower(b.ptr[k++]))
            return 0;
    }
}

google_value google_own(google_body *b, tp_str snake, tp_str camel)
{
    const tp_doc *d = b->r.d;
    uint32_t t = chat_take(&b->r, camel), other = chat_take(&b->r, snake);
    if (!t)
        t = other;
    if (!t && b->google) {
        t = span_find(b->r.h, d, b->google, camel);
        if (!span_given(d, t))
            t = span_find(b->r.h, d, b->google, snake);
        if (t && b->extra_count < sizeof(b->extras) / sizeof(b->extras[0]))
            b->extras[b->extra_count++] = t;
    }
    if (span_given(d, t))
        return (google_value){d, t};
    if (b->options) {
        t = span_find(b->r.h, b->options, 0, camel);
        if (!t)
            t = span_find(b->r.h, b->options, 0, snake);
        if (span_given(b->options, t))
            return (google_value){b->options, t};
    }
    return (google_value){NULL, 0};
}

tp_status google_status(const google_body *b)
{
    return b->r.st != TP_OK ? b->r.st : b->o.st;
}

static int has_word(tp_str name, tp_str word)
{
    return fault_contains(name, word);
}

/* "gemini-2.5-pro", "models/gemini-3-flash-preview", "gemini-flash-latest" (the newest). */
static int32_t generation_of(tp_str name)
{
    static const tp_str family = SPAN_INIT("gemini-");
    if (!span_istarts(name, family))
        return 0;
    if (has_word(name, SPAN("-latest")) &&
        (name.len == family.len || name.ptr[family.len] < '0' || name.ptr[family.len] > '9'))
        return 99;
    if (span_istarts(name, SPAN("gemini-robotics-er-1.")))
        return 25; /* numbered by themselves; built on Gemini 2.5 */
    for (size_t i = family.len; i < name.len; i++) {
        if (name.ptr[i] < '0' || name.ptr[i] > '9')
            continue;
        int32_t v = (name.ptr[i] - '0') * 10;
        if (i + 2 < name.len && name.ptr[i + 1] == '.' && name.ptr[i + 2] >= '0' &&
            name.ptr[i + 2] <= '9')
            v += name.ptr[i + 2] - '0';
        return v;
    }
    return 99;
}

google_model google_model_of(tp_str name)
{
    const char *slash = name.len ? memrchr(name.ptr, '/', name.len) : NULL;
    if (slash)
        name = (tp_str){slash + 1, (size_t)(name.ptr + name.len - slash - 1)};
    google_model m = {.generation = generation_of(name),
                      .pro = has_word(name, SPAN("-pro")), .lite = has_word(name, SPAN("-lite")),
                      .speech = has_word(name, SPAN("-tts"))};
    int draws = has_word(name, SPAN("-image"));
    if (m.generation >= 30)
        m.thinking = GOOGLE_THINK_LEVEL;
    else if (m.generation >= 25)
        m.thinking = draws ? GOOGLE_THINK_NONE : GOOGLE_THINK_BUDGET;
    else if (m.generation > 0 || span_istarts(name, SPAN("gemma-")) ||
             span_istarts(name, SPAN("learnlm")))
        m.thinking = GOOGLE_THINK_NONE;
    else
        m.thinking = GOOGLE_THINK_LEVEL; /* a name of its own: taken for a new one */
    if (m.speech)
        m.thinking = GOOGLE_THINK_NONE;
    return m;
}

static int32_t word_of(const tp_host *h, tp_call *c, const tp_doc *d, tp_str name,
                       const tp_str words[], int32_t count, int32_t otherwise)
{
    tp_str said = span_member(h, c, d, 0, name);
    for (int32_t i = 0; i < count; i++)
        if (span_eq(said, words[i]))
            return i;
    return otherwise;
}

void google_read_options(const tp_host *h, tp_call *c, const tp_doc *options, google_flavor *f)
{
    static const tp_str schemas[] = {SPAN_INIT("auto"), SPAN_INIT("json"), SPAN_INIT("openapi")};
    static const tp_str thinking[] = {SPAN_INIT("auto"), SPAN_INIT("level"), SPAN_INIT("budget"),
                                      SPAN_INIT("none")};
    static const tp_str remote[] = {SPAN_INIT("pass"), SPAN_INIT("refuse")};
    if (!options->count || options->tokens[0].kind != TP_OBJECT)
        return;
    f->schema = word_of(h, c, options, SPAN("schema"), schemas, 3, f->schema);
    f->thinking = word_of(h, c, options, SPAN("thinking"), thinking, 4, f->thinking);
    f->refuse_remote = word_of(h, c, options, SPAN("remote_files"), remote, 2, f->refuse_remote);
    uint32_t ids = h->find(options, 0, SPAN("call_ids"));
    if (span_kind(options, ids) == TP_BOOL)
        f->no_call_ids = !span_true(options, ids);
}

int google_json_schema(const google_body *b)
{
    if (b->f.schema != GOOGLE_SCHEMA_AUTO)
        return b->f.schema == GOOGLE_SCHEMA_JSON;
    return b->m.generation == 0 || b->m.generation >= 20;
}

static void put_own(google_body *b, tp_str snake, tp_str camel)
{
    google_value v = google_own(b, snake, camel);
    if (v.d)
        jo_key_token(&b->o, camel, v.d, v.t);
}

/* OpenAI's tiers in Google's words; "auto" is what happens without one. */
static void put_service_tier(google_body *b)
{
    uint32_t t = chat_take(&b->r, SPAN("service_tier"));
    if (span_kind(b->r.d, t) != TP_STRING)
        return;
    tp_str word = span_text(b->r.h, b->r.c, b->r.d, t);
    if (span_is(word, "auto") || span_is(word, "default"))
        return;
    if (!b->f.vertex && (span_is(word, "flex") || span_is(word, "priority") ||
                         span_is(word, "standard")))
        jo_key_string(&b->o, SPAN("serviceTier"), word);
    else
        chat_note(&b->r, TP_DROPPED, SPAN("this provider has no such tier in a request"),
                  "service_tier");
}

/* Members whose value says what happens anyway are no loss. */
static void take_defaults(google_body *b)
{
    static const struct { tp_str name; int when; } plain[] = {
        {SPAN_INIT("parallel_tool_calls"), 1}, {SPAN_INIT("store"), 0},
    };
    for (size_t i = 0; i < sizeof(plain) / sizeof(plain[0]); i++) {
        uint32_t t = b->r.h->find(b->r.d, 0, plain[i].name);
        if (span_kind(b->r.d, t) == TP_BOOL && span_true(b->r.d, t) == plain[i].when)
            chat_take(&b->r, plain[i].name);
    }
}

/* {"extra_body": {"google": {...}}}: how clients of Google's OpenAI-compatible API send its own
 * parameters. */
static void find_extra(google_body *b)
{
    uint32_t extra = b->r.h->find(b->r.d, 0, SPAN("extra_body"));
    if (span_kind(b->r.d, extra) != TP_OBJECT)
        return;
    uint32_t google = b->r.h->find(b->r.d, extra, SPAN("google"));
    if (span_kind(b->r.d, google) != TP_OBJECT)
        return;
    chat_take(&b->r, SPAN("extra_body"));
    b->google = google;
}

/* What of it nobody took. */
static void report_extra(google_body *b)
{
    static const tp_str why = SPAN_INIT("this provider does not take it");
    uint32_t extra = b->google ? b->r.h->find(b->r.d, 0, SPAN("extra_body")) : 0;
    if (!extra)
        return;
    for (members m = members_of(b->r.d, extra); members_next(&m);) {
        tp_str key = span_inner(b->r.d, m.key);
        if (m.value != b->google && span_given(b->r.d, m.value))
            chat_note(&b->r, TP_DROPPED, why, "extra_body.%.*s",
                      (int)(key.len > 64 ? 64 : key.len), key.ptr);
    }
    for (members m = members_of(b->r.d, b->google); members_next(&m);) {
        tp_str key = span_inner(b->r.d, m.key);
        int taken = !span_given(b->r.d, m.value);
        for (uint32_t i = 0; i < b->extra_count && !taken; i++)
            taken = b->extras[i] == m.value;
        if (!taken)
            chat_note(&b->r, TP_DROPPED, why, "extra_body.google.%.*s",
                      (int)(key.len > 64 ? 64 : key.len), key.ptr);
    }
}

static void put_members(google_body *b)
{
    google_put_contents(b);
    google_put_tools(b);
    google_put_config(b);
    put_own(b, SPAN("safety_settings"), SPAN("safetySettings"));
    put_own(b, SPAN("cached_content"), SPAN("cachedContent"));
    if (b->f.vertex) {
        put_own(b, SPAN("labels"), SPAN("labels"));
        put_own(b, SPAN("model_armor_config"), SPAN("modelArmorConfig"));
    }
    put_service_tier(b);
    take_defaults(b);
    report_extra(b);
}

tp_status google_write_body(const tp_host *h, tp_call *c, const google_flavor *f,
                            const tp_operation *op, const tp_target *target)
{
    google_body b = {.o = {.h = h, .c = c}, .f = *f};
    tp_status st = chat_begin(&b.r, h, c, op, target);
    if (st != TP_OK)
        return st;
    if (target->options.count && target->options.tokens[0].kind == TP_OBJECT) {
        b.options = &target->options;
        google_read_options(h, c, b.options, &b.f);
    }
    b.m = google_model_of(target->model);
    if (b.f.thinking != GOOGLE_THINK_AUTO)
        b.m.thinking = b.f.thinking;
    find_extra(&b);
    jo_open(&b.o, SPAN("{"));
    put_members(&b);
    jo_close(&b.o, SPAN("}"));
    st = google_status(&b);
    return st == TP_OK ? chat_rest(&b.r) : st;
}

/* ---- Paths. */
tp_str google_path(const tp_host *h, tp_call *c, tp_str prefix, tp_str model, int stream)
{
    static const tp_str collections[] = {SPAN_INIT("models/"), SPAN_INIT("tunedModels/"),
                                         SPAN_INIT("endpoints/")};
    tp_str verb = stream ? SPAN(":streamGenerateContent?alt=sse") : SPAN(":generateContent");
    char *buf = h->alloc(c, prefix.len + 16 + 3 * model.len + verb.len), *p = buf;
    if (!buf)
        return SPAN_NONE;
    memcpy(p, prefix.ptr, prefix.len);
    p += prefix.len;
    for (size_t i = 0; i < sizeof(collections) / sizeof(collections[0]); i++) {
        tp_str word = collections[i];
        if (!span_istarts(model, word) || model.len == word.len)
            continue;
        for (p--; p > buf && p[-1] != '/'; p--) /* "/models/" gives way to it */
            ;
        memcpy(p, word.ptr, word.len);
        p += word.len;
        model = (tp_str){model.ptr + word.len, model.len - word.len};
        break;
    }
    p = span_percent(p, model, '@');
    memcpy(p, verb.ptr, verb.len);
    p += verb.len;
    return (tp_str){buf, (size_t)(p - buf)};
}
