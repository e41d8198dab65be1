/* What upstreams say, and what it comes to. */
#include "sim.h"

#include <stdio.h>
#include <string.h>

static void add_text(script *s, rng *r)
{
    uint64_t n = 1 + rng_below(r, chance(r, 3) ? 3000 : 12);
    char c = (char)('a' + rng_below(r, 26));
    for (uint64_t i = 0; i < n; i++)
        buf_add(&s->texts, &c, 1);
}

static script_word *add(script *s, char what, int32_t number)
{
    script_word *w = &s->words[s->count++];
    *w = (script_word){.what = what, .number = number};
    return w;
}

static int32_t some_error(rng *r, int shipped)
{
    return shipped ? TP_ERR_UPSTREAM : 1 + (int32_t)rng_below(r, 12); /* 12: of a later SDK */
}

static void choose_words(script *s, rng *r, int may_again)
{
    uint64_t texts = chance(r, 8) ? 0 : 1 + rng_below(r, 5);
    uint64_t preambles = rng_below(r, 3);
    /* Chunks come to the plugin in batches that depend on how they are cut: what goes wrong there
     * goes wrong before anything else. */
    int wrong = !may_again && chance(r, 12),
        first_only = s->form == FORM_CHUNKS || s->form == FORM_WHOLE;
    uint64_t at = first_only ? 0 : rng_below(r, texts + 1);
    for (uint64_t i = 0; i < preambles; i++)
        add(s, 'P', 0);
    for (uint64_t i = 0; i <= texts; i++) {
        if (wrong && i == at) {
            static const char kinds[] = "EXBEX";
            char what = kinds[rng_below(r, s->shipped ? 2 : 5)];
            add(s, what, what == 'E' ? some_error(r, s->shipped) : 0);
        }
        if (i < texts) {
            add_text(s, r);
            add(s, 'T', 0)->text_end = (uint32_t)s->texts.len;
        }
    }
    if (may_again) {
        add(s, 'U', (int32_t)rng_below(r, 100));
        add(s, 'A', 0);
        return;
    }
    if (!s->shipped && s->form != FORM_WHOLE && chance(r, 3)) {
        buf_adds(&s->texts, STR("g"));
        add(s, 'G', 0)->text_end = (uint32_t)s->texts.len;
        return;
    }
    int ends = !chance(r, 10);
    if (!chance(r, 10) || (s->shipped && s->form == FORM_WHOLE))
        add(s, 'F', 0);
    if (chance(r, 80) || (s->shipped && s->form == FORM_WHOLE))
        add(s, 'U', (int32_t)rng_below(r, 1000));
    if (ends || s->form == FORM_WHOLE) {
        add(s, 'D', 0);
        if (chance(r, 15) && s->form != FORM_WHOLE) /* after the end: nobody's business */
            add(s, chance(r, 50) ? 'U' : 'X', 7);
    }
}

/* ---- Writing the words. */

static void put_openai(script *s, const script_word *w, tp_str text)
{
    static const char head[] =
        "{\"id\":\"up-1\",\"object\":\"chat.completion.chunk\",\"created\":1,"
        "\"model\":\"real\",\"choices\":[";
    switch (w->what) {
    case 'P':
        buf_printf(&s->body, "data: %s{\"index\":0,\"delta\":{\"role\":\"assistant\"}}]}\n\n",
                   head);
        break;
    case 'T':
        buf_printf(&s->body, "data: %s{\"index\":0,\"delta\":{\"content\":\"%.*s\"}}]}\n\n", head,
                   STR_ARG(text));
        break;
    case 'U':
        buf_printf(&s->body,
                   "data: %s],\"usage\":{\"prompt_tokens\":0,\"completion_tokens\":%d,"
                   "\"total_tokens\":%d}}\n\n",
                   head, w->number, w->number);
        break;
    case 'F':
        buf_printf(&s->body, "data: %s{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}]}\n\n",
                   head);
        break;
    case 'D':
        buf_adds(&s->body, STR("data: [DONE]\n\n"));
        break;
    case 'E':
        buf_adds(&s->body,
                 STR("data: {\"error\":{\"message\":\"it hurts\",\"type\":\"server_error\"}}"
                     "\n\n"));
        break;
    default:
        buf_adds(&s->body, STR("data: {oops\n\n"));
        break;
    }
}

static void put_openai_whole(script *s)
{
    int32_t units = 0;
    for (uint32_t i = 0; i < s->count; i++) {
        if (s->words[i].what == 'U')
            units = s->words[i].number;
        if (s->words[i].what == 'E' || s->words[i].what == 'X') {
            buf_adds(&s->body, s->words[i].what == 'X'
                                   ? STR("{oops")
                                   : STR("{\"error\":{\"message\":\"it hurts\"}}"));
            s->words[i].end = (uint32_t)s->body.len;
            return;
        }
    }
    buf_printf(&s->body,
               "{\"id\":\"up-1\",\"object\":\"chat.completion\",\"created\":1,\"model\":"
               "\"real\",\"choices\":[{\"index\":0,\"message\":{\"role\":\"assistant\","
               "\"content\":\"%.*s\"},\"finish_reason\":\"stop\"}],\"usage\":{"
               "\"prompt_tokens\":0,\"completion_tokens\":%d,\"total_tokens\":%d}}",
               (int)s->texts.len, s->texts.ptr ? s->texts.ptr : "", units, units);
}

/* No printf here and in request.c: it would be a fifth of a life. */
static size_t write_number(char *to, uint32_t v)
{
    char digits[12];
    size_t n = 0, len = 0;
    do
        digits[n++] = (char)('0' + v % 10);
    while ((v /= 10) != 0);
    while (n)
        to[len++] = digits[--n];
    return len;
}

static void put_own(script *s, const script_word *w, tp_str text, rng *r)
{
    char line[16] = {w->what};
    size_t n = 1;
    if (w->what == 'U' || w->what == 'E')
        n += write_number(line + 1, (uint32_t)w->number);
    tp_str what = str_make(line, n);
    if (s->form == FORM_SSE) {
        if (chance(r, 10))
            buf_adds(&s->body, STR(": a comment\n\n"));
        if (chance(r, 10)) /* two data lines: the newline is part of the word, and passed over */
            buf_adds(&s->body, STR("data: \n"));
        buf_adds(&s->body, STR("data: "));
    } else if (s->form == FORM_CHUNKS) {
        size_t len = n + text.len;
        char size[4] = {(char)('0' + len / 1000), (char)('0' + len / 100 % 10),
                        (char)('0' + len / 10 % 10), (char)('0' + len % 10)};
        buf_add(&s->body, size, 4);
    }
    buf_adds(&s->body, what);
    buf_adds(&s->body, text);
    if (s->form != FORM_CHUNKS)
        buf_adds(&s->body, s->form == FORM_SSE ? STR("\n\n") : STR("\n"));
}

static void write_words(script *s, rng *r)
{
    uint32_t from = 0;
    if (s->shipped && s->form == FORM_WHOLE) {
        put_openai_whole(s);
        return;
    }
    for (uint32_t i = 0; i < s->count; i++) {
        script_word *w = &s->words[i];
        tp_str text = STR_NONE;
        if (w->what == 'T' || w->what == 'G') {
            text = str_make(s->texts.ptr + from, w->text_end - from);
            from = w->text_end;
        }
        if (s->shipped)
            put_openai(s, w, text);
        else
            put_own(s, w, text, r);
        w->end = (uint32_t)s->body.len;
    }
}

static void error_reply(script *s, rng *r)
{
    static const int own[] = {400, 401, 402, 403, 404, 408, 413, 418, 422,
                              429, 429, 429, 500, 502, 503, 504, 529};
    static const int shipped[] = {400, 402, 429, 429, 500, 503};
    s->status =
        s->shipped ? shipped[rng_below(r, TP_COUNT(shipped))] : own[rng_below(r, TP_COUNT(own))];
    switch (rng_below(r, 4)) {
    case 0:
        break;
    case 1:
        buf_adds(&s->body, STR("<html>oops"));
        break;
    default:
        buf_adds(&s->body, STR("{\"error\":{\"message\":\"it hurts\"}}"));
    }
    if (chance(r, 3)) { /* more than anybody wants to read */
        for (int i = 0; i < 5000; i++)
            buf_adds(&s->body, STR("0123456789abcdef"));
        s->stop = STOP_WELL;
    }
    s->cut = s->body.len;
}

/* Where the reply ends: by itself, or in its middle. */
static void choose_stop(script *s, rng *r, int local)
{
    uint64_t kind = rng_below(r, 100);
    s->cut = s->body.len;
    s->stop = STOP_WELL;
    if (kind < 72 || !s->count)
        return;
    if (kind < 90 || local) {
        s->stop = local ? STOP_BROKEN : kind < 84 ? STOP_BROKEN : STOP_STALL;
        if (!local || s->form == FORM_WHOLE)
            s->cut = rng_below(r, s->body.len + 1);
    } else if (kind < 98) { /* a well-formed end in the middle: between two words, or before an
                               event's blank line, which the last one may do without */
        uint32_t at = (uint32_t)rng_below(r, s->count);
        if (!(s->shipped && s->form == FORM_WHOLE))
            s->cut = s->words[at].end - (s->form == FORM_SSE && chance(r, 50));
    } else if (kind == 98) {
        s->stop = STOP_NEVER;
    }
}

void script_make(script *s, rng *r, int shipped, int stream, int local, int may_again)
{
    buf body = s->body, texts = s->texts;
    memset(s, 0, offsetof(script, body));
    s->body = body;
    s->texts = texts;
    s->body.len = s->texts.len = 0;
    s->body.max = s->texts.max = 1u << 20;
    s->status = 200;
    s->shipped = shipped;
    if (shipped)
        s->form = stream ? FORM_SSE : FORM_WHOLE;
    else
        s->form = local ? (chance(r, 50) ? FORM_SSE : FORM_WHOLE)
                        : (int)rng_below(r, chance(r, 4) ? 5 : 4);
    if (!local && chance(r, 12)) {
        s->way = 1 + (int)rng_below(r, 6);
        return;
    }
    s->stop = chance(r, 90) || local ? STOP_WELL : chance(r, 50) ? STOP_BROKEN : STOP_STALL;
    if (chance(r, 12)) {
        error_reply(s, r);
        return;
    }
    choose_words(s, r,
                 may_again && !shipped && chance(r, 8) && (!stream || s->form == FORM_UNKNOWN));
    write_words(s, r);
    choose_stop(s, r, local);
}

const char *script_type(const script *s)
{
    static const char *const types[] = {"application/json", "text/event-stream; charset=utf-8",
                                        "application/lines", "application/chunks",
                                        "application/odd"};
    return types[s->form];
}

/* ---- What it comes to. */

int script_client_status(const script *s, int *final)
{
    *final = 0;
    switch (s->status) {
    case 400:
    case 413:
    case 422:
        *final = 1;
        return 400;
    case 402:
    case 503:
    case 529:
        return 503;
    case 408:
    case 504:
        return 504;
    case 429:
        return 429;
    default:
        return 502;
    }
}

static int status_of_code(int32_t code, int *final)
{
    *final = code == TP_ERR_INVALID || code == TP_ERR_TOO_LONG || code == TP_ERR_FILTER;
    if (*final)
        return 400;
    return code == TP_ERR_RATE                                 ? 429
           : code == TP_ERR_OVERLOADED || code == TP_ERR_QUOTA ? 503
           : code == TP_ERR_TIMEOUT                            ? 504
                                                               : 502;
}

/* How far words count: the last event of a stream that ends well needs no blank line. */
static size_t reach(const script *s)
{
    return s->cut + (s->form == FORM_SSE && s->stop == STOP_WELL);
}

/* Does it end between two events? */
static int whole_events(const script *s)
{
    for (uint32_t i = 0; i < s->count; i++)
        if (s->words[i].end == s->cut || s->words[i].end == reach(s))
            return 1;
    return s->cut == s->body.len;
}

static outcome after_words(const script *s, outcome o, int finished)
{
    if (s->stop == STOP_STALL || s->stop == STOP_NEVER) {
        o.status = 504;
        o.open = s->stop == STOP_NEVER && s->form != FORM_WHOLE;
        o.answered |= o.open;
    } else if (s->stop == STOP_WELL && finished && s->form != FORM_WHOLE && whole_events(s)) {
        o.complete = 1;
    }
    return o;
}

/* One word; 1: it was the last that counts. */
static int read_word(const script *s, const script_word *w, int stream, outcome *o, int *finished)
{
    switch (w->what) {
    case 'T':
        o->answered = 1;
        o->text = w->text_end;
        return 0;
    case 'G':
        if (s->stop == STOP_WELL && whole_events(s)) {
            o->answered = 1;
            o->text = w->text_end;
        }
        return 0;
    case 'F':
        o->answered = 1;
        *finished = 1;
        return 0;
    case 'U':
        o->units = w->number;
        return 0;
    case 'E':
        o->status = status_of_code(w->number, &o->final);
        return 1;
    case 'X':
        return 1;
    case 'B':
        o->final = 1;
        o->status = 500;
        return stream ? 1 : 0; /* a whole reply is written at its end */
    case 'D':
        o->complete = !(o->final && !stream);
        return 1;
    case 'A':
        o->again = s->stop == STOP_WELL;
        return o->again;
    default:
        return 0;
    }
}

outcome script_outcome(const script *s, int stream)
{
    static const int ways[] = {0, 503, 502, 502, 504, 504, 502};
    outcome o = {.status = 502};
    int finished = 0;
    if (s->way != WAY_REPLIES) {
        o.status = ways[s->way];
        return o;
    }
    if (s->status >= 400) {
        if (s->stop == STOP_STALL)
            o.status = 504;
        else
            o.status = script_client_status(s, &o.final);
        return o;
    }
    if (s->form == FORM_UNKNOWN)
        return o;
    if (s->form == FORM_WHOLE) { /* all of it, or nothing */
        if (s->stop != STOP_WELL)
            return after_words(s, o, 0);
        if (s->cut < s->body.len) /* its last word is its end */
            return o;
    }
    for (uint32_t i = 0; i < s->count && s->words[i].end <= reach(s); i++) {
        if (!read_word(s, &s->words[i], stream, &o, &finished))
            continue;
        if (s->form == FORM_WHOLE && s->words[i].what == 'D')
            o.answered = 1;
        if (s->form == FORM_WHOLE && !o.complete && s->words[i].what != 'B')
            o.answered = 0; /* nothing of a batch that fails is used */
        return o;
    }
    if (s->form == FORM_WHOLE)
        return (outcome){.status = 502};
    if (o.final && !stream) { /* it cannot be written, but would have to end first */
        outcome end = after_words(s, o, finished);
        end.final = end.complete;
        end.status = end.complete                                     ? 500
                     : s->stop == STOP_WELL || s->stop == STOP_BROKEN ? 502
                                                                      : 504;
        end.complete = 0;
        return end;
    }
    return after_words(s, o, finished);
}

void script_print(const script *s)
{
    static const char *const ways[] = {"replies",      "refuses",        "dies",
                                       "is no HTTP",   "connects never", "answers never",
                                       "has no memory"};
    static const char *const stops[] = {"well", "broken", "stall", "never"};
    fprintf(stderr, "    upstream %s: %d %s, stops %s after %zu of %zu:", ways[s->way], s->status,
            script_type(s), stops[s->stop], s->cut, s->body.len);
    for (uint32_t i = 0; i < s->count; i++)
        fprintf(stderr, " %c%d@%u", s->words[i].what, s->words[i].number, s->words[i].end);
    fprintf(stderr, "\n");
}
