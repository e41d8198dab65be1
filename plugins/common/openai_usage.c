/* OpenAI counts are inclusive (cached tokens within prompt_tokens, reasoning within
 * completion_tokens); canonical units are disjoint. Their sum stays what the upstream said. */
#include "openai_format.h"
#include "span.h"

enum { PROMPT, CACHE_READ, CACHE_WRITE, AUDIO_PROMPT, COMPLETION, REASONING, AUDIO_COMPLETION,
       UNITS };

static int64_t count_of(const tp_host *h, const tp_doc *d, uint32_t object, tp_str key)
{
    const int64_t most = INT64_C(1) << 50; /* so that sums cannot overflow */
    int64_t v = object ? span_count(d, span_find(h, d, object, key)) : 0;
    return v < most ? v : most;
}

/* The first name that holds a count above 0. */
static int64_t first_of(const tp_host *h, const tp_doc *d, uint32_t object, const tp_str *keys)
{
    int64_t v = 0;
    for (; keys->len && !v; keys++)
        v = count_of(h, d, object, *keys);
    return v;
}

/* Takes at most what is left, so that a part is never larger than its whole. */
static int64_t take(int64_t *left, int64_t part)
{
    int64_t v = part < *left ? part : *left;
    *left -= v;
    return v;
}

/* What the parts say, before it is known which of them lie within their whole. */
static void read_units(const tp_host *h, const tp_doc *d, uint32_t usage, int64_t unit[UNITS])
{
    static const tp_str in_details[] = {SPAN_INIT("cached_tokens"), SPAN_INIT("cache_read_tokens"), {0}};
    static const tp_str beside[] = {SPAN_INIT("prompt_cache_hit_tokens"), SPAN_INIT("cached_tokens"),
                                    SPAN_INIT("cache_read_input_tokens"), {0}};
    static const tp_str writes[] = {SPAN_INIT("cache_write_tokens"), SPAN_INIT("cache_creation_tokens"),
                                    {0}};
    uint32_t in = span_find(h, d, usage, SPAN("prompt_tokens_details"));
    uint32_t out = span_find(h, d, usage, SPAN("completion_tokens_details"));
    unit[PROMPT] = count_of(h, d, usage, SPAN("prompt_tokens"));
    unit[CACHE_READ] = first_of(h, d, in, in_details);
    if (!unit[CACHE_READ])
        unit[CACHE_READ] = first_of(h, d, usage, beside);
    unit[CACHE_WRITE] = first_of(h, d, in, writes);
    if (!unit[CACHE_WRITE])
        unit[CACHE_WRITE] = count_of(h, d, usage, SPAN("cache_creation_input_tokens"));
    unit[AUDIO_PROMPT] = count_of(h, d, in, SPAN("audio_tokens"));
    unit[COMPLETION] = count_of(h, d, usage, SPAN("completion_tokens"));
    unit[REASONING] = count_of(h, d, out, SPAN("reasoning_tokens"));
    if (!unit[REASONING])
        unit[REASONING] = count_of(h, d, usage, SPAN("reasoning_tokens"));
    unit[AUDIO_COMPLETION] = count_of(h, d, out, SPAN("audio_tokens"));
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

tp_status openai_usage(const tp_host *h, tp_call *c, openai_reply *r, const tp_doc *d,
                       uint32_t usage, tp_str frame)
{
    static const tp_str names[UNITS] = {SPAN_INIT("prompt"), SPAN_INIT("cache_read"), SPAN_INIT("cache_write"),
                                        SPAN_INIT("audio_prompt"), SPAN_INIT("completion"),
                                        SPAN_INIT("reasoning"), SPAN_INIT("audio_completion")};
    static const uint8_t order[UNITS] = {CACHE_READ, CACHE_WRITE, AUDIO_PROMPT, PROMPT, REASONING,
                                         AUDIO_COMPLETION, COMPLETION};
    int64_t unit[UNITS];
    read_units(h, d, usage, unit);
    make_disjoint(unit, count_of(h, d, usage, SPAN("total_tokens")));
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
