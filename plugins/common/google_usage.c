/* usageMetadata as disjoint units. */
#include "google_reply_int.h"

#define COUNT_MOST (INT64_C(1) << 50) /* so that sums cannot overflow */

enum { PROMPT, CACHE_READ, AUDIO_PROMPT, COMPLETION, REASONING, AUDIO_COMPLETION };

static int64_t at_most(int64_t v, int64_t most)
{
    return v < most ? v : most;
}

static int64_t count_of(const google_frame *f, uint32_t t)
{
    return at_most(span_count(f->d, t), COUNT_MOST);
}

/* Tokens of sound in a list of {"modality", "tokenCount"}. */
static int64_t sound_in(const google_frame *f, uint32_t list)
{
    int64_t sum = 0;
    if (span_kind(f->d, list) != TP_ARRAY)
        return 0;
    for (uint32_t t = list + 1; t < f->d->tokens[list].next; t = f->d->tokens[t].next) {
        uint32_t word = span_find(f->o.h, f->d, t, SPAN("modality"));
        if (span_kind(f->d, word) == TP_STRING && span_is(span_inner(f->d, word), "AUDIO"))
            sum = at_most(sum + count_of(f, span_find(f->o.h, f->d, t, SPAN("tokenCount"))),
                          COUNT_MOST);
    }
    return sum;
}

typedef struct counts {
    int64_t prompt, cached, candidates, thoughts, tools, total;
    int64_t prompt_sound, cached_sound, candidates_sound;
    int any;
} counts;

static void read_count(const google_frame *f, tp_str k, uint32_t t, counts *n)
{
    switch (k.len) {
    case 15:
        if (span_is(k, "totalTokenCount"))
            n->total = count_of(f, t), n->any = 1;
        break;
    case 16:
        if (span_is(k, "promptTokenCount"))
            n->prompt = count_of(f, t), n->any = 1;
        break;
    case 18:
        if (span_is(k, "thoughtsTokenCount"))
            n->thoughts = count_of(f, t), n->any = 1;
        else if (span_is(k, "cacheTokensDetails"))
            n->cached_sound = sound_in(f, t);
        break;
    case 19:
        if (span_is(k, "promptTokensDetails"))
            n->prompt_sound = sound_in(f, t);
        break;
    case 20:
        if (span_is(k, "candidatesTokenCount"))
            n->candidates = count_of(f, t), n->any = 1;
        break;
    case 23:
        if (span_is(k, "cachedContentTokenCount"))
            n->cached = count_of(f, t);
        else if (span_is(k, "toolUsePromptTokenCount"))
            n->tools = count_of(f, t);
        else if (span_is(k, "candidatesTokensDetails"))
            n->candidates_sound = sound_in(f, t);
        break;
    default:
        break;
    }
}

/* The total tells where thoughts are counted: beside the candidates, among them, or nowhere else. */
static void settle(counts *n)
{
    int64_t sum = n->prompt + n->tools + n->candidates;
    if (n->total == sum && n->thoughts && n->candidates >= n->thoughts)
        n->candidates -= n->thoughts;
    sum = n->prompt + n->tools + n->candidates + n->thoughts;
    if (n->total <= sum)
        return;
    if (!n->prompt && n->candidates)
        n->prompt = n->total - sum;
    else if (n->candidates || n->thoughts)
        n->thoughts += n->total - sum;
}

void google_usage(google_frame *f, uint32_t usage)
{
    static const tp_str names[GOOGLE_UNITS] = {
        SPAN_INIT("prompt"), SPAN_INIT("cache_read"), SPAN_INIT("audio_prompt"),
        SPAN_INIT("completion"), SPAN_INIT("reasoning"), SPAN_INIT("audio_completion")};
    counts n = {.any = 0};
    int64_t units[GOOGLE_UNITS];
    if (span_kind(f->d, usage) != TP_OBJECT)
        return;
    for (members m = members_of(f->d, usage); members_next(&m);)
        read_count(f, span_inner(f->d, m.key), m.value, &n);
    if (!n.any)
        return;
    settle(&n);
    units[CACHE_READ] = at_most(n.cached, n.prompt);
    int64_t fresh = n.prompt - units[CACHE_READ];
    int64_t sound = n.prompt_sound > n.cached_sound ? n.prompt_sound - n.cached_sound : 0;
    units[AUDIO_PROMPT] = at_most(sound, fresh);
    units[PROMPT] = fresh - units[AUDIO_PROMPT] + n.tools;
    units[AUDIO_COMPLETION] = at_most(n.candidates_sound, n.candidates);
    units[COMPLETION] = n.candidates - units[AUDIO_COMPLETION];
    units[REASONING] = n.thoughts;
    for (int i = 0; i < GOOGLE_UNITS; i++) {
        int first = !f->r->counted && (i == PROMPT || i == COMPLETION);
        if (units[i] != f->r->units[i] || first)
            chat_emit_usage(&f->o, names[i], units[i]);
        f->r->units[i] = units[i];
    }
    f->r->counted = 1;
}
