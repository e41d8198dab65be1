/* OpenAI counts are inclusive (cached tokens within prompt_tokens, reasoning within
 * completion_tokens); canonical units are disjoint. Their sum stays what the upstream said. */
#include "openai_format.h"
#include "span.h"

enum {
    PROMPT = OPENAI_PROMPT,
    CACHE_READ = OPENAI_CACHE_READ,
    CACHE_WRITE = OPENAI_CACHE_WRITE,
    AUDIO_PROMPT = OPENAI_AUDIO_PROMPT,
    COMPLETION = OPENAI_COMPLETION,
    REASONING = OPENAI_REASONING,
    AUDIO_COMPLETION = OPENAI_AUDIO_COMPLETION,
    UNITS = OPENAI_UNITS
};

/* What an upstream's usage object may say, under all the names that are about. */
enum { NOTHING, SAID_PROMPT, SAID_COMPLETION, SAID_TOTAL, SAID_CACHED, SAID_HIT, SAID_READ_INPUT,
       SAID_CREATION_INPUT, SAID_REASONING, IN_CACHED, IN_READ, IN_WRITE, IN_CREATION, IN_AUDIO,
       OUT_REASONING, OUT_AUDIO, SAID };
typedef int (*name_fn)(tp_str key); /* which of them a key is, or NOTHING */

static int name_in_usage(tp_str k)
{
    switch (k.len) {
    case 12: return span_is(k, "total_tokens") ? SAID_TOTAL : NOTHING;
    case 13:
        return span_is(k, "prompt_tokens")   ? SAID_PROMPT
               : span_is(k, "cached_tokens") ? SAID_CACHED
                                             : NOTHING;
    case 16: return span_is(k, "reasoning_tokens") ? SAID_REASONING : NOTHING;
    case 17:
        return span_is(k, "completion_tokens")   ? SAID_COMPLETION
               : span_is(k, "num_cached_tokens") ? SAID_CACHED
                                                 : NOTHING;
    case 23:
        return span_is(k, "prompt_cache_hit_tokens")   ? SAID_HIT
               : span_is(k, "cache_read_input_tokens") ? SAID_READ_INPUT
                                                       : NOTHING;
    case 27: return span_is(k, "cache_creation_input_tokens") ? SAID_CREATION_INPUT : NOTHING;
    default: return NOTHING;
    }
}

static int name_in_prompt(tp_str k)
{
    switch (k.len) {
    case 12: return span_is(k, "audio_tokens") ? IN_AUDIO : NOTHING;
    case 13: return span_is(k, "cached_tokens") ? IN_CACHED : NOTHING;
    case 17: return span_is(k, "cache_read_tokens") ? IN_READ : NOTHING;
    case 18: return span_is(k, "cache_write_tokens") ? IN_WRITE : NOTHING;
    case 21: return span_is(k, "cache_creation_tokens") ? IN_CREATION : NOTHING;
    default: return NOTHING;
    }
}

static int name_in_completion(tp_str k)
{
    return span_is(k, "reasoning_tokens") ? OUT_REASONING
           : span_is(k, "audio_tokens")   ? OUT_AUDIO
                                          : NOTHING;
}

typedef struct reading { /* of one usage object */
    const tp_host *h;
    tp_call *c;
    const tp_doc *d;
    int64_t said[SAID];
} reading;

static void read_counts(reading *r, uint32_t object, name_fn name)
{
    const int64_t most = INT64_C(1) << 50; /* so that sums cannot overflow */
    for (members m = members_of(r->d, object); members_next(&m);) {
        if (span_kind(r->d, m.value) != TP_NUMBER)
            continue;
        int which = name(span_text(r->h, r->c, r->d, m.key));
        int64_t v = which ? span_count(r->d, m.value) : 0;
        if (which) /* of two names for one thing that has a count */
            r->said[which] = v == 0 ? r->said[which] : v < most ? v : most;
    }
}

static int64_t or_else(int64_t a, int64_t b)
{
    return a ? a : b;
}

/* Takes at most what is left, so that a part is never larger than its whole. */
static int64_t take(int64_t *left, int64_t part)
{
    int64_t v = part < *left ? part : *left;
    *left -= v;
    return v;
}

/* What the parts say, before it is known which of them lie within their whole. */
static void read_units(reading *r, uint32_t usage, int64_t unit[UNITS])
{
    const int64_t *said = r->said;
    read_counts(r, usage, name_in_usage);
    for (members m = members_of(r->d, usage); members_next(&m);) {
        if (span_kind(r->d, m.value) != TP_OBJECT)
            continue;
        tp_str key = span_text(r->h, r->c, r->d, m.key);
        if (span_is(key, "prompt_tokens_details"))
            read_counts(r, m.value, name_in_prompt);
        else if (span_is(key, "completion_tokens_details"))
            read_counts(r, m.value, name_in_completion);
    }
    unit[PROMPT] = said[SAID_PROMPT];
    unit[CACHE_READ] = or_else(or_else(said[IN_CACHED], said[IN_READ]),
                               or_else(said[SAID_HIT],
                                       or_else(said[SAID_CACHED], said[SAID_READ_INPUT])));
    unit[CACHE_WRITE] = or_else(said[IN_WRITE],
                                or_else(said[IN_CREATION], said[SAID_CREATION_INPUT]));
    unit[AUDIO_PROMPT] = said[IN_AUDIO];
    unit[COMPLETION] = said[SAID_COMPLETION];
    unit[REASONING] = or_else(said[OUT_REASONING], said[SAID_REASONING]);
    unit[AUDIO_COMPLETION] = said[OUT_AUDIO];
}

/* Most upstreams count inclusively. xAI leaves reasoning out of completion_tokens, Mistral the
 * audio out of prompt_tokens, and Gemini's thoughts show in the total alone: the total tells. */
static void make_disjoint(int64_t unit[UNITS], int64_t total)
{
    int64_t beyond = total - unit[PROMPT] - unit[COMPLETION];
    int64_t audio = unit[AUDIO_PROMPT], reasoning = unit[REASONING];
    int audio_beside = audio > 0 && (beyond == audio || beyond == audio + reasoning);
    if (audio_beside)
        beyond -= audio;
    unit[CACHE_READ] = take(&unit[PROMPT], unit[CACHE_READ]);
    unit[CACHE_WRITE] = take(&unit[PROMPT], unit[CACHE_WRITE]);
    if (!audio_beside)
        unit[AUDIO_PROMPT] = take(&unit[PROMPT], audio);
    if (beyond > 0 && beyond >= reasoning)
        unit[REASONING] = beyond;
    else
        unit[REASONING] = take(&unit[COMPLETION], reasoning);
    unit[AUDIO_COMPLETION] = take(&unit[COMPLETION], unit[AUDIO_COMPLETION]);
}

int openai_units(const tp_host *h, tp_call *c, const tp_doc *d, uint32_t usage,
                 int64_t unit[OPENAI_UNITS])
{
    reading said = {.h = h, .c = c, .d = d};
    read_units(&said, usage, unit);
    make_disjoint(unit, said.said[SAID_TOTAL]);
    return said.said[SAID_TOTAL] != said.said[SAID_PROMPT] + said.said[SAID_COMPLETION] ||
           unit[CACHE_READ] != said.said[IN_CACHED];
}

tp_status openai_usage(const tp_host *h, tp_call *c, openai_reply *r, const tp_doc *d,
                       uint32_t usage, tp_str frame)
{
    static const tp_str names[UNITS] = {SPAN_INIT("prompt"),          SPAN_INIT("cache_read"),
                                        SPAN_INIT("cache_write"),     SPAN_INIT("audio_prompt"),
                                        SPAN_INIT("completion"),      SPAN_INIT("reasoning"),
                                        SPAN_INIT("audio_completion")};
    static const uint8_t order[UNITS] = {CACHE_READ, CACHE_WRITE, AUDIO_PROMPT, PROMPT, REASONING,
                                         AUDIO_COMPLETION, COMPLETION};
    int64_t unit[UNITS];
    reading said = {.h = h, .c = c, .d = d};
    read_units(&said, usage, unit);
    make_disjoint(unit, said.said[SAID_TOTAL]);
    for (int i = 0; i < UNITS; i++) {
        int u = order[i];
        if (unit[u] == 0 && u != PROMPT && u != COMPLETION && !(r->reported & 1u << u))
            continue;
        tp_event e = openai_event(TP_EV_USAGE);
        e.name = names[u];
        e.number = unit[u];
        e.flags = r->answered ? 0 : TP_EV_PREAMBLE;
        if (u == COMPLETION) /* the last: whoever shows the frame knows all units by then */
            e.raw = frame;
        tp_status st = h->emit(c, &e);
        if (st != TP_OK)
            return st;
        r->reported |= (uint8_t)(1u << u);
    }
    return TP_OK;
}
