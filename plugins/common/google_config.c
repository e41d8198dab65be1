/* "generationConfig". */
#include "google_body_int.h"

enum { WRITTEN = 32 };
typedef struct config { /* keys so far; the object is opened with the first of them */
    google_body *b;
    tp_str keys[WRITTEN];
    uint32_t count;
} config;

static json_out *key(config *g, tp_str name)
{
    json_out *o = &g->b->o;
    if (!g->count) {
        jo_key(o, SPAN("generationConfig"));
        jo_open(o, SPAN("{"));
    }
    if (g->count < WRITTEN)
        g->keys[g->count++] = name;
    jo_key(o, name);
    return o;
}

/* A parameter that is the same by another name. */
static void put_same(config *g, tp_str theirs, tp_str ours)
{
    uint32_t t = chat_take(&g->b->r, theirs);
    if (t)
        jo_token(key(g, ours), g->b->r.d, t);
}

static void put_own(config *g, tp_str snake, tp_str camel)
{
    google_value v = google_own(g->b, snake, camel);
    if (v.d)
        jo_token(key(g, camel), v.d, v.t);
}

static void put_limits(config *g)
{
    google_body *b = g->b;
    enum { CANDIDATES = 8 };
    int64_t most = chat_max_tokens(&b->r), n = 1;
    if (most >= 0)
        jo_int(key(g, SPAN("maxOutputTokens")), most);
    put_same(g, SPAN("temperature"), SPAN("temperature"));
    put_same(g, SPAN("top_p"), SPAN("topP"));
    put_own(g, SPAN("top_k"), SPAN("topK"));
    uint32_t choices = chat_take(&b->r, SPAN("n"));
    if (span_int(b->r.d, choices, &n) && n > CANDIDATES) {
        chat_note(&b->r, TP_CHANGED, SPAN("this provider gives 8 choices at most"), "n");
        n = CANDIDATES;
    }
    if (choices && n > 1)
        jo_int(key(g, SPAN("candidateCount")), n);
    put_same(g, SPAN("presence_penalty"), SPAN("presencePenalty"));
    put_same(g, SPAN("frequency_penalty"), SPAN("frequencyPenalty"));
}

static void put_stop(config *g)
{
    google_body *b = g->b;
    enum { MOST = 5 };
    uint32_t stop = chat_take(&b->r, SPAN("stop")), count = 0;
    json_out *o = &b->o;
    for (uint32_t t = 0; chat_next_stop(&b->r, stop, &t);) {
        if (b->r.d->tokens[t].len <= 2) {
            chat_note(&b->r, TP_DROPPED, SPAN("an empty stop sequence is refused here"), "stop");
            continue;
        }
        if (count == MOST) {
            chat_note(&b->r, TP_DROPPED, SPAN("this provider takes 5 stop sequences at most"),
                      "stop[5]");
            break;
        }
        if (!count++) {
            key(g, SPAN("stopSequences"));
            jo_open(o, SPAN("["));
        }
        jo_comma(o);
        jo_token(o, b->r.d, t);
    }
    if (count)
        jo_close(o, SPAN("]"));
}

/* Google's seed is an int32. */
static void put_seed(config *g)
{
    google_body *b = g->b;
    uint32_t t = chat_take(&b->r, SPAN("seed"));
    int64_t v;
    if (!t || !span_int(b->r.d, t, &v))
        return;
    if (v >= INT32_MIN && v <= INT32_MAX) {
        jo_token(key(g, SPAN("seed")), b->r.d, t);
        return;
    }
    chat_note(&b->r, TP_CHANGED, SPAN("its lowest 31 bits were sent: this provider takes no more"),
              "seed");
    jo_int(key(g, SPAN("seed")), v & INT32_MAX);
}

static void put_logprobs(config *g)
{
    google_body *b = g->b;
    int64_t n;
    uint32_t wanted = chat_take(&b->r, SPAN("logprobs"));
    uint32_t top = chat_take(&b->r, SPAN("top_logprobs"));
    if (span_true(b->r.d, wanted))
        jo_put(key(g, SPAN("responseLogprobs")), SPAN("true"));
    if (span_true(b->r.d, wanted) && span_int(b->r.d, top, &n) && n > 0)
        jo_int(key(g, SPAN("logprobs")), n);
}

static void put_format(config *g)
{
    google_body *b = g->b;
    chat_format f = chat_take_format(&b->r);
    if (f.kind == CHAT_FORMAT_TEXT)
        return;
    if (b->functions && b->m.generation > 0 && b->m.generation < 30) {
        chat_refuse(&b->r, TP_E_UNSUPPORTED,
                    SPAN("models before Gemini 3 do not take it together with functions"),
                    "response_format");
        return;
    }
    jo_put(key(g, SPAN("responseMimeType")), SPAN("\"application/json\""));
    if (f.description.len)
        chat_note(&b->r, TP_DROPPED, SPAN("this provider takes no description of a format"),
                  "response_format.json_schema.description");
    if (!f.schema)
        return;
    if (google_json_schema(b)) {
        jo_token(key(g, SPAN("responseJsonSchema")), b->r.d, f.schema);
        return;
    }
    key(g, SPAN("responseSchema"));
    google_put_schema(b, f.schema, "response_format.json_schema.schema");
}

/* ---- Thinking. */
static const char *thinking_place(const google_body *b)
{
    static const char *const names[] = {"thinking", "reasoning_effort", "reasoning"};
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        if (span_given(b->r.d, b->r.h->find(b->r.d, 0, (tp_str){names[i], strlen(names[i])})))
            return names[i];
    return "include_reasoning";
}

/* The levels of Gemini 3: pro has low and high, since 3.1 medium too; the others begin at minimal. */
static tp_str level_of(google_body *b, const chat_thinking *k, const char *place)
{
    int pro = b->m.pro;
    tp_str e = k->wanted ? k->effort : SPAN("none");
    if (span_is(e, "low"))
        return SPAN("low");
    if (span_is(e, "high"))
        return SPAN("high");
    if (span_is(e, "minimal") && !pro)
        return SPAN("minimal");
    if (span_is(e, "medium") && (!pro || b->m.generation != 30))
        return SPAN("medium");
    tp_str level = span_is(e, "none") || span_is(e, "minimal") ? pro ? SPAN("low") : SPAN("minimal")
                                                               : SPAN("high");
    chat_note(&b->r, TP_CHANGED,
              span_is(e, "none") ? SPAN("this model always thinks; its lowest level was sent")
                                 : SPAN("the nearest level of this model was sent"),
              "%s", place);
    return level;
}

/* Gemini 2.5 counts tokens: pro 128 to 32,768, flash 0 to 24,576, flash-lite 0 or 512 to 24,576; -1
 * lets the model decide. */
static int64_t budget_of(google_body *b, const chat_thinking *k, const char *place)
{
    int64_t most = b->m.pro ? 32768 : 24576, least = b->m.pro ? 128 : b->m.lite ? 512 : 0;
    int64_t v = !k->wanted         ? 0
                : k->budget >= 0   ? k->budget
                : k->effort.len    ? chat_budget_of(k->effort, most)
                                   : -1;
    if (v < 0) {
        if (k->effort.len)
            chat_note(&b->r, TP_CHANGED, SPAN("the word is not known; the model decides"), "%s",
                      place);
        return -1;
    }
    if (v == 0 && !b->m.pro)
        return 0;
    if (v >= least && v <= most)
        return v;
    chat_note(&b->r, TP_CHANGED, SPAN("brought within what this model takes"), "%s", place);
    return v < least ? least : most;
}

static void put_thinking(config *g)
{
    google_body *b = g->b;
    chat_thinking k = chat_take_thinking(&b->r);
    google_value own = google_own(b, SPAN("thinking_config"), SPAN("thinkingConfig"));
    const char *place = thinking_place(b);
    if (k.wanted < 0) {
        if (own.d)
            jo_token(key(g, SPAN("thinkingConfig")), own.d, own.t);
        return;
    }
    if (own.d == b->r.d)
        chat_note(&b->r, TP_DROPPED, SPAN("the other word for it in this request takes precedence"),
                  "thinking_config");
    if (b->m.thinking == GOOGLE_THINK_NONE) {
        if (k.wanted)
            chat_note(&b->r, TP_DROPPED, SPAN("this model does not think"), "%s", place);
        return;
    }
    json_out *o = key(g, SPAN("thinkingConfig"));
    int64_t budget = b->m.thinking == GOOGLE_THINK_BUDGET ? budget_of(b, &k, place) : -1;
    jo_open(o, SPAN("{"));
    if (b->m.thinking == GOOGLE_THINK_BUDGET)
        jo_key_int(o, SPAN("thinkingBudget"), budget);
    else if (k.wanted && k.budget >= 0)
        jo_key_int(o, SPAN("thinkingBudget"), k.budget); /* not beside a level */
    else if (!k.wanted || k.effort.len)
        jo_key_string(o, SPAN("thinkingLevel"), level_of(b, &k, place));
    if (k.wanted && budget != 0) /* without a thought there is none to be shown */
        jo_key_bool(o, SPAN("includeThoughts"), !k.hidden);
    jo_close(o, SPAN("}"));
}

/* ---- What comes out. */
static void put_modalities(config *g)
{
    google_body *b = g->b;
    json_out *o = &b->o;
    uint32_t list = chat_take(&b->r, SPAN("modalities"));
    int sound = 0, open = 0;
    if (span_kind(b->r.d, list) != TP_ARRAY)
        return;
    for (uint32_t t = list + 1; t < b->r.d->tokens[list].next; t = b->r.d->tokens[t].next)
        sound |= span_kind(b->r.d, t) == TP_STRING && span_is(span_inner(b->r.d, t), "audio");
    for (uint32_t t = list + 1; t < b->r.d->tokens[list].next; t = b->r.d->tokens[t].next) {
        char word[16];
        tp_str s = span_kind(b->r.d, t) == TP_STRING ? span_inner(b->r.d, t) : SPAN_NONE;
        if (!s.len || s.len > sizeof(word))
            continue;
        if (sound && b->m.speech && !span_is(s, "audio")) {
            chat_note(&b->r, TP_CHANGED, SPAN("this model gives nothing but sound"), "modalities");
            continue;
        }
        for (size_t i = 0; i < s.len; i++)
            word[i] = s.ptr[i] >= 'a' && s.ptr[i] <= 'z' ? (char)(s.ptr[i] - 32) : s.ptr[i];
        if (!open) {
            key(g, SPAN("responseModalities"));
            jo_open(o, SPAN("["));
            open = 1;
        }
        jo_comma(o);
        jo_string(o, (tp_str){word, s.len});
    }
    if (open)
        jo_close(o, SPAN("]"));
}

/* OpenAI's {"voice", "format"}: the voice by Google's name; the sound is always 16-bit PCM. */
static void put_speech(config *g)
{
    google_body *b = g->b;
    uint32_t audio = chat_take(&b->r, SPAN("audio"));
    google_value own = google_own(b, SPAN("speech_config"), SPAN("speechConfig"));
    if (own.d) {
        jo_token(key(g, SPAN("speechConfig")), own.d, own.t);
        if (audio)
            chat_note(&b->r, TP_CHANGED, SPAN("speech_config takes precedence"), "audio");
        return;
    }
    if (span_kind(b->r.d, audio) != TP_OBJECT)
        return;
    uint32_t voice = b->r.h->find(b->r.d, audio, SPAN("voice"));
    tp_str format = span_member(b->r.h, b->r.c, b->r.d, audio, SPAN("format"));
    if (span_kind(b->r.d, voice) == TP_STRING) {
        json_out *o = key(g, SPAN("speechConfig"));
        jo_put(o, SPAN("{\"voiceConfig\":{\"prebuiltVoiceConfig\":{\"voiceName\":"));
        jo_token(o, b->r.d, voice);
        jo_put(o, SPAN("}}}"));
    } else if (voice) {
        chat_note(&b->r, TP_DROPPED, SPAN("expected the name of a voice"), "audio.voice");
    }
    if (format.len && !span_is(format, "pcm16"))
        chat_note(&b->r, TP_DROPPED, SPAN("this provider's sound is 16-bit PCM"), "audio.format");
}

/* What the client or the deployment gives as generationConfig, but for what is said already. */
static void put_rest(config *g)
{
    google_value own = google_own(g->b, SPAN("generation_config"), SPAN("generationConfig"));
    if (!own.d || own.d->tokens[own.t].kind != TP_OBJECT)
        return;
    for (members m = members_of(own.d, own.t); members_next(&m);) {
        tp_str name = span_inner(own.d, m.key);
        int said = 0;
        for (uint32_t i = 0; i < g->count && !said; i++)
            said = google_same_name(name, g->keys[i]);
        if (!said)
            jo_token(key(g, name), own.d, m.value);
        else if (own.d == g->b->r.d)
            chat_note(&g->b->r, TP_CHANGED, SPAN("a parameter of the request takes precedence"),
                      "generation_config.%.*s", (int)(name.len > 64 ? 64 : name.len), name.ptr);
    }
}

void google_put_config(google_body *b)
{
    config g = {.b = b};
    put_limits(&g);
    put_stop(&g);
    put_seed(&g);
    put_logprobs(&g);
    put_format(&g);
    put_thinking(&g);
    put_modalities(&g);
    put_speech(&g);
    put_own(&g, SPAN("media_resolution"), SPAN("mediaResolution"));
    put_own(&g, SPAN("image_config"), SPAN("imageConfig"));
    if (b->f.vertex)
        put_own(&g, SPAN("audio_timestamp"), SPAN("audioTimestamp"));
    put_rest(&g);
    if (g.count)
        jo_close(&b->o, SPAN("}"));
}
