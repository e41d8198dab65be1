/* How many tokens a request may come to, before anybody has counted them. */
#include "base/str.h"
#include "settle/settle.h"

/* The dearest picture that is known: OpenAI's gpt-4o-mini counts the largest as 48,169. */
#define PICTURE_MOST 50000
/* What providers write around functions and schemata for their models: some hundred tokens. */
#define TOOLS_MOST 1024
/* A prompt without an end that can be known, for a model whose context nobody said. */
#define OPEN_MOST 1000000
/* What one is taken to count when a client breaks off and the upstream has not said it. */
#define MEDIUM_LIKELY 1000

typedef struct prompt_parts {
    int64_t text;     /* bytes of the body but for what media hold in it */
    int64_t pictures; /* how many */
    int64_t media;    /* others that the body holds: sound, documents */
    int64_t held;     /* their bytes */
    int open;         /* more is read than the body holds: documents, references, searches */
} prompt_parts;

static int64_t length_of(tp_str s)
{
    return s.len > INT64_MAX ? INT64_MAX : (int64_t)s.len;
}

static void add_medium(prompt_parts *p, const tp_event *e)
{
    int64_t bytes = TP_MIN(length_of(e->text), p->text);
    p->text -= bytes;
    if (str_starts(e->name, STR("image/"))) {
        p->pictures++;
        return;
    }
    p->media++;
    p->held += bytes;
    /* Each second of sound takes more bytes than tokens; a page of a document need not. */
    p->open |= !bytes || !str_starts(e->name, STR("audio/"));
}

static prompt_parts parts_of(const tp_operation *op)
{
    prompt_parts p = {.text = length_of(op->body.text),
                      .open = (op->needs & TP_NEED_DOCUMENTS) != 0};
    for (uint32_t i = 0; i < op->prompt.count; i++) {
        const tp_event *e = (const tp_event *)(const void *)((const char *)op->prompt.ptr +
                                                             (size_t)i * op->prompt.stride);
        if (e->kind == TP_EV_MEDIA)
            add_medium(&p, e);
        else if (e->kind == TP_EV_USAGE && e->number < 0 && str_eq(e->name, STR("prompt")))
            p.open = 1;
    }
    return p;
}

static int64_t within(const world_deployment *d, int64_t tokens)
{
    return d->context_length >= 0 ? TP_MIN(tokens, d->context_length) : tokens;
}

/* a + b * c, up to INT64_MAX; none is below 0. */
static int64_t plus_times(int64_t a, int64_t b, int64_t c)
{
    int64_t v;
    return __builtin_mul_overflow(b, c, &v) || __builtin_add_overflow(v, a, &v) ? INT64_MAX : v;
}

int64_t settle_prompt_most(const world_deployment *d, const tp_operation *op)
{
    if (op->prompt_tokens >= 0)
        return op->prompt_tokens;
    prompt_parts p = parts_of(op);
    /* No tokenizer makes more tokens than bytes. */
    int64_t most = plus_times(p.text, p.pictures, PICTURE_MOST);
    most = plus_times(most, p.held, 1);
    if (op->needs & (TP_NEED_TOOLS | TP_NEED_SCHEMA))
        most = plus_times(most, TOOLS_MOST, 1);
    if (p.open)
        most = d->context_length >= 0 ? d->context_length : TP_MAX(most, OPEN_MOST);
    return within(d, most);
}

static int64_t prompt_tokens(const world_deployment *d, const tp_operation *op)
{
    if (op->prompt_tokens >= 0)
        return op->prompt_tokens;
    prompt_parts p = parts_of(op);
    int64_t tokens = plus_times(p.text, p.pictures + p.media, MEDIUM_LIKELY);
    return within(d, tokens);
}

int64_t settle_prompt_likely(const tp_operation *op)
{
    if (op->prompt_tokens >= 0)
        return op->prompt_tokens;
    prompt_parts p = parts_of(op);
    return plus_times(p.text / 4 + (p.text % 4 != 0), p.pictures + p.media, MEDIUM_LIKELY);
}

int64_t settle_output_most(const world_deployment *d, const tp_operation *op)
{
    int64_t most = op->max_output_tokens;
    int64_t limit = d->max_output_tokens >= 0 ? d->max_output_tokens : d->context_length;
    if (most < 0)
        most = limit >= 0 ? limit : SETTLE_OUTPUT_UNKNOWN;
    else if (limit >= 0)
        most = TP_MIN(most, limit);
    return most;
}

static int64_t hold_tokens(const world_deployment *d, const tp_operation *op, int64_t output)
{
    int64_t choices = op->choices ? (int64_t)op->choices : 1;
    return plus_times(plus_times(0, output, choices), prompt_tokens(d, op), 1);
}

int64_t settle_hold_tokens(const world_deployment *d, const tp_operation *op)
{
    return hold_tokens(d, op, settle_output_most(d, op));
}

int64_t settle_least_tokens(const world_deployment *d, const tp_operation *op)
{
    int64_t most = settle_output_most(d, op);
    return hold_tokens(d, op, op->max_output_tokens < 0 ? TP_MIN(most, 1) : most);
}
