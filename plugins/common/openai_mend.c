/* Relaying a reply that is nearly of OpenAI's form: what is not is put right, so that a client of
 * OpenAI's SDK can read it. Thought within the content becomes reasoning_content, tool calls get
 * their index and type, finish reasons are OpenAI's, and usage comes in a frame of its own. */
#include "openai_format_int.h"

/* ---- Is it right already? */
static int is_string(const frame *f, uint32_t t)
{
    return span_kind(&f->doc, t) == TP_STRING;
}

static int is_word(const frame *f, uint32_t t)
{
    return !t || span_eq(openai_finish_word(span_inner(&f->doc, t)), span_inner(&f->doc, t));
}

/* number: its place among the calls of its choice, or -1: any. */
static int call_is_right(const frame *f, uint32_t t, int64_t number)
{
    int64_t index;
    uint32_t fn = span_find(f->h, &f->doc, t, SPAN("function"));
    uint32_t at = span_find(f->h, &f->doc, t, SPAN("index"));
    uint32_t arguments = fn ? span_find(f->h, &f->doc, fn, SPAN("arguments")) : 0;
    if (number >= 0 && !(span_int(&f->doc, at, &index) && index == number))
        return 0;
    if (arguments && !is_string(f, arguments))
        return 0;
    return is_string(f, span_find(f->h, &f->doc, t, SPAN("type")));
}

static int message_is_true(const frame *f, uint32_t body)
{
    uint32_t content = f->h->find(&f->doc, body, SPAN("content"));
    uint32_t calls = f->h->find(&f->doc, body, SPAN("tool_calls"));
    if (span_kind(&f->doc, content) == TP_ARRAY)
        return 0;
    if (span_kind(&f->doc, calls) != TP_ARRAY)
        return 1;
    for (uint32_t t = calls + 1; t < f->doc.tokens[calls].next; t = f->doc.tokens[t].next)
        if (span_kind(&f->doc, t) != TP_OBJECT || !call_is_right(f, t, -1) ||
            !is_string(f, f->h->find(&f->doc, t, SPAN("id"))))
            return 0;
    return 1;
}

int openai_is_true_whole(const frame *f)
{
    int64_t unit[OPENAI_UNITS];
    if (f->usage && openai_units(f->h, f->c, &f->doc, f->usage, unit))
        return 0;
    for (uint32_t t = f->choices + 1; f->choices && t < f->doc.tokens[f->choices].next;
         t = f->doc.tokens[t].next) {
        if (span_kind(&f->doc, t) != TP_OBJECT)
            return 0;
        uint32_t body = f->h->find(&f->doc, t, SPAN("message"));
        uint32_t finish = f->h->find(&f->doc, t, SPAN("finish_reason"));
        if (span_kind(&f->doc, body) != TP_OBJECT || !message_is_true(f, body) ||
            (is_string(f, finish) && !is_word(f, finish)))
            return 0;
    }
    return 1;
}

/* ---- Writing a frame anew: its own bytes but for the edits, which come in order of place. */
typedef struct mend {
    frame *f;
    char *out;
    size_t n, room;
    size_t from; /* of the frame: written or passed over up to here */
    int failed;
} mend;

static void put(mend *w, tp_str s)
{
    if (w->failed || s.len > w->room - w->n) {
        w->failed = 1;
        return;
    }
    if (s.len)
        memcpy(w->out + w->n, s.ptr, s.len);
    w->n += s.len;
}
static void skip(mend *w, size_t at, size_t to)
{
    if (at > w->from)
        put(w, (tp_str){w->f->doc.text.ptr + w->from, at - w->from});
    w->from = to;
}

/* JSON text as a JSON string: it holds no control characters but between its tokens. */
static void put_as_string(mend *w, tp_str json)
{
    put(w, SPAN("\""));
    for (size_t i = 0; i < json.len; i++) {
        char ch = json.ptr[i];
        if ((unsigned char)ch < ' ')
            ch = ' ';
        if (ch == '"' || ch == '\\')
            put(w, SPAN("\\"));
        put(w, (tp_str){&ch, 1});
    }
    put(w, SPAN("\""));
}

/* ---- Content in parts. */
static uint32_t part_text(const frame *f, uint32_t t)
{
    uint32_t text = is_string(f, t) ? t : span_find(f->h, &f->doc, t, SPAN("text"));
    return is_string(f, text) ? text : 0;
}

static int is_type(const frame *f, uint32_t part, tp_str type)
{
    return span_eq(span_member(f->h, f->c, &f->doc, part, SPAN("type")), type);
}

/* All texts of these parts, between quotes that the caller puts. 1: there are some. */
static int put_texts(mend *w, uint32_t list, int thought, int write)
{
    frame *f = w->f;
    int any = 0;
    for (uint32_t t = list + 1; t < f->doc.tokens[list].next; t = f->doc.tokens[t].next) {
        uint32_t inner =
            is_type(f, t, SPAN("thinking")) ? span_find(f->h, &f->doc, t, SPAN("thinking")) : 0;
        uint32_t text = 0;
        if (thought && span_kind(&f->doc, inner) == TP_ARRAY)
            any |= put_texts(w, inner, 0, write);
        else if (thought)
            text = is_string(f, inner) ? inner : 0;
        else if (is_string(f, t) || is_type(f, t, SPAN("text")))
            text = part_text(f, t);
        if (text && f->doc.tokens[text].len > 2) {
            any = 1;
            if (write)
                put(w, span_inner(&f->doc, text));
        }
    }
    return any;
}

static void member(mend *w, int *any, tp_str name)
{
    if (*any)
        put(w, SPAN(","));
    *any = 1;
    put(w, name);
}

static void put_proofs(mend *w, uint32_t list, int *any)
{
    frame *f = w->f;
    for (uint32_t t = list + 1; t < f->doc.tokens[list].next; t = f->doc.tokens[t].next) {
        uint32_t proof =
            is_type(f, t, SPAN("thinking")) ? span_find(f->h, &f->doc, t, SPAN("signature")) : 0;
        if (!is_string(f, proof) || f->doc.tokens[proof].len <= 2)
            continue;
        member(w, any, SPAN("\"reasoning_details\":[{\"type\":\"reasoning.text\",\"signature\":"));
        put(w, span_raw(&f->doc, proof));
        put(w, SPAN(",\"format\":\"mistral\",\"index\":0}]"));
        return; /* a frame of a stream has one at most */
    }
}

static int is_reference(const frame *f, uint32_t t)
{
    return is_type(f, t, SPAN("reference")) || is_type(f, t, SPAN("tool_reference"));
}

static void put_references(mend *w, uint32_t list, int *any)
{
    frame *f = w->f;
    int first = 1;
    for (uint32_t t = list + 1; t < f->doc.tokens[list].next; t = f->doc.tokens[t].next) {
        if (!is_reference(f, t))
            continue;
        if (first)
            member(w, any, SPAN("\"annotations\":["));
        else
            put(w, SPAN(","));
        first = 0;
        tp_str note = openai_reference(f, t);
        w->failed |= note.ptr == NULL;
        put(w, note);
    }
    if (!first)
        put(w, SPAN("]"));
}

static void put_images(mend *w, uint32_t list, int *any)
{
    frame *f = w->f;
    int first = 1;
    for (uint32_t t = list + 1; t < f->doc.tokens[list].next; t = f->doc.tokens[t].next) {
        if (!is_type(f, t, SPAN("image_url")))
            continue;
        if (first)
            member(w, any, SPAN("\"images\":["));
        else
            put(w, SPAN(","));
        first = 0;
        put(w, span_raw(&f->doc, t));
    }
    if (!first)
        put(w, SPAN("]"));
}

/* In place of "content": [...]. */
static void mend_content(mend *w, const members *m)
{
    int any = 0;
    skip(w, w->f->doc.tokens[m->key].at, span_end(&w->f->doc, m->value));
    if (put_texts(w, m->value, 1, 0)) {
        member(w, &any, SPAN("\"reasoning_content\":\""));
        put_texts(w, m->value, 1, 1);
        put(w, SPAN("\""));
    }
    put_proofs(w, m->value, &any);
    if (put_texts(w, m->value, 0, 0) || !any) {
        member(w, &any, SPAN("\"content\":\""));
        put_texts(w, m->value, 0, 1);
        put(w, SPAN("\""));
    }
    put_references(w, m->value, &any);
    put_images(w, m->value, &any);
}

/* ---- Tool calls. */
static void mend_call(mend *w, uint32_t t, uint32_t number)
{
    frame *f = w->f;
    char digits[24];
    size_t at = f->doc.tokens[t].at + 1;
    if (call_is_right(f, t, number))
        return;
    skip(w, at, at);
    put(w, SPAN("\"index\":"));
    put(w, span_of_int(number, digits));
    if (!is_string(f, f->h->find(&f->doc, t, SPAN("type"))))
        put(w, SPAN(",\"type\":\"function\""));
    members m = members_of(&f->doc, t);
    while (members_next(&m)) {
        tp_str key = span_text(f->h, f->c, &f->doc, m.key);
        if (span_is(key, "index") || (span_is(key, "type") && !is_string(f, m.value)))
            continue;
        put(w, SPAN(","));
        put(w, span_raw(&f->doc, m.key));
        put(w, SPAN(":"));
        w->from = f->doc.tokens[m.value].at;
        uint32_t arguments =
            span_is(key, "function") ? span_find(f->h, &f->doc, m.value, SPAN("arguments")) : 0;
        if (arguments && !is_string(f, arguments)) {
            skip(w, f->doc.tokens[arguments].at, span_end(&f->doc, arguments));
            put_as_string(w, span_kind(&f->doc, arguments) == TP_OBJECT
                                 ? span_raw(&f->doc, arguments)
                                 : SPAN_NONE);
        }
        skip(w, span_end(&f->doc, m.value), span_end(&f->doc, m.value));
    }
    w->from = span_end(&f->doc, t) - 1; /* the brace */
}

static void mend_calls(mend *w, uint32_t choice_index, uint32_t list)
{
    frame *f = w->f;
    int fresh;
    openai_choice *k = openai_choice_of(f, choice_index);
    for (uint32_t t = list + 1; k && t < f->doc.tokens[list].next; t = f->doc.tokens[t].next) {
        openai_called *x =
            span_kind(&f->doc, t) == TP_OBJECT ? openai_call_of(f, k, t, &fresh) : NULL;
        if (x) {
            x->said = 1; /* what it says, the frames say */
            mend_call(w, t, x->item);
        }
    }
    w->failed |= !k;
}

static void mend_choice(mend *w, uint32_t t)
{
    frame *f = w->f;
    choice ch = openai_read_choice(f, t);
    for (members m = members_of(&f->doc, t); members_next(&m);) {
        if (m.value == ch.body && ch.body) {
            for (members b = members_of(&f->doc, ch.body); members_next(&b);) {
                tp_str key = span_text(f->h, f->c, &f->doc, b.key);
                if (span_kind(&f->doc, b.value) != TP_ARRAY)
                    continue;
                if (span_is(key, "content"))
                    mend_content(w, &b);
                else if (span_is(key, "tool_calls"))
                    mend_calls(w, ch.index, b.value);
            }
        } else if (m.value == ch.finish && ch.finish && !is_word(f, ch.finish)) {
            tp_str word = openai_finish_word(span_text(f->h, f->c, &f->doc, ch.finish));
            skip(w, f->doc.tokens[ch.finish].at, span_end(&f->doc, ch.finish));
            put(w, word.len ? SPAN("\"") : SPAN("null"));
            put(w, word);
            put(w, word.len ? SPAN("\"") : SPAN_NONE);
        }
    }
}

/* ---- Usage in a frame of its own, in OpenAI's way of counting. */
static void put_count(mend *w, tp_str name, int64_t v)
{
    char digits[24];
    put(w, name);
    put(w, span_of_int(v, digits));
}

static tp_str usage_frame(frame *f)
{
    int64_t u[OPENAI_UNITS];
    mend w = {.f = f, .room = f->doc.text.len + 512};
    int other = openai_units(f->h, f->c, &f->doc, f->usage, u);
    w.out = f->h->alloc(f->c, w.room);
    if (!w.out)
        return SPAN_NONE;
    put(&w, SPAN("{\"id\":"));
    put(&w, f->id ? span_raw(&f->doc, f->id) : SPAN("\"\""));
    put(&w, SPAN(",\"object\":\"chat.completion.chunk\",\"created\":"));
    put(&w, f->created ? span_raw(&f->doc, f->created) : SPAN("0"));
    put(&w, SPAN(",\"model\":"));
    put(&w, f->model ? span_raw(&f->doc, f->model) : SPAN("\"\""));
    put(&w, SPAN(",\"choices\":[],\"usage\":"));
    if (!other) {
        put(&w, span_raw(&f->doc, f->usage));
    } else {
        int64_t prompt = u[OPENAI_PROMPT] + u[OPENAI_CACHE_READ] + u[OPENAI_CACHE_WRITE] +
                         u[OPENAI_AUDIO_PROMPT];
        int64_t answer = u[OPENAI_COMPLETION] + u[OPENAI_REASONING] + u[OPENAI_AUDIO_COMPLETION];
        put_count(&w, SPAN("{\"prompt_tokens\":"), prompt);
        put_count(&w, SPAN(",\"completion_tokens\":"), answer);
        put_count(&w, SPAN(",\"total_tokens\":"), prompt + answer);
        put_count(&w, SPAN(",\"prompt_tokens_details\":{\"cached_tokens\":"), u[OPENAI_CACHE_READ]);
        put_count(&w, SPAN(",\"audio_tokens\":"), u[OPENAI_AUDIO_PROMPT]);
        put_count(&w, SPAN("},\"completion_tokens_details\":{\"reasoning_tokens\":"),
                  u[OPENAI_REASONING]);
        put_count(&w, SPAN(",\"audio_tokens\":"), u[OPENAI_AUDIO_COMPLETION]);
        put(&w, SPAN("}}"));
    }
    put(&w, SPAN("}"));
    return w.failed ? SPAN_NONE : (tp_str){w.out, w.n};
}

/* Nothing to do for a frame of plain text, which is nearly every one. */
static int needs_mending(frame *f)
{
    if (f->usage)
        return 1;
    for (uint32_t t = f->choices + 1; f->choices && t < f->doc.tokens[f->choices].next;
         t = f->doc.tokens[t].next) {
        if (span_kind(&f->doc, t) != TP_OBJECT)
            continue;
        choice ch = openai_read_choice(f, t);
        if (ch.finish && !is_word(f, ch.finish))
            return 1;
        if (!ch.body)
            continue;
        for (members m = members_of(&f->doc, ch.body); members_next(&m);)
            if (span_kind(&f->doc, m.value) == TP_ARRAY) /* content in parts, or tool calls */
                return 1;
    }
    return 0;
}

tp_str openai_mended(frame *f, tp_str raw, tp_str *usage)
{
    if (!needs_mending(f))
        return raw;
    /* Every byte may need an escape, and every tool call two members more. */
    mend w = {.f = f, .room = 4 * f->doc.text.len + (size_t)f->doc.count * 40 + 512};
    w.out = f->h->alloc(f->c, w.room);
    if (!w.out)
        return SPAN_NONE;
    members m = members_of(&f->doc, 0);
    while (members_next(&m)) {
        if (m.value == f->choices && f->choices) {
            for (uint32_t t = f->choices + 1; t < f->doc.tokens[f->choices].next;
                 t = f->doc.tokens[t].next)
                if (span_kind(&f->doc, t) == TP_OBJECT)
                    mend_choice(&w, t);
        } else if (span_is(span_inner(&f->doc, m.key), "usage")) {
            m.kept--;
            skip(&w, m.kept ? m.before : f->doc.tokens[m.key].at,
                 m.kept || m.following >= m.stop ? span_end(&f->doc, m.value)
                                                 : f->doc.tokens[m.following].at);
        }
    }
    skip(&w, f->doc.text.len, f->doc.text.len);
    if (f->usage) {
        *usage = usage_frame(f);
        w.failed |= usage->ptr == NULL;
    }
    return w.failed ? SPAN_NONE : (tp_str){w.out, w.n};
}

/* ---- Sources. */
tp_str openai_reference(const frame *f, uint32_t part)
{
    uint32_t url = span_find(f->h, &f->doc, part, SPAN("url"));
    uint32_t title = span_find(f->h, &f->doc, part, SPAN("title"));
    if (!is_string(f, url))
        return span_raw(&f->doc, part); /* {"type": "reference", "reference_ids": [...]} */
    static const tp_str head = SPAN_INIT("{\"type\":\"url_citation\",\"url_citation\":{\"url\":");
    static const tp_str name = SPAN_INIT(",\"title\":");
    tp_str a = span_raw(&f->doc, url),
           b = is_string(f, title) ? span_raw(&f->doc, title) : SPAN("\"\"");
    char *p = f->h->alloc(f->c, head.len + a.len + name.len + b.len + 2), *q = p;
    if (!p)
        return SPAN_NONE;
    const tp_str pieces[] = {head, a, name, b, SPAN("}}")};
    for (size_t i = 0; i < sizeof(pieces) / sizeof(pieces[0]); i++) {
        memcpy(q, pieces[i].ptr, pieces[i].len);
        q += pieces[i].len;
    }
    return (tp_str){p, (size_t)(q - p)};
}
