/* What a Claude takes, by its name. The API changed with the models: thinking by a budget up to 4.6,
 * by effort from 4.6 on and only so from 4.7 on; sampling parameters up to 4.6; structured output
 * from 4.5 on; an assistant's message to be gone on with up to 4.5. */
#include "anthropic_int.h"

static int is_digit(char c)
{
    return c >= '0' && c <= '9';
}

/* The number that begins at s, if it has one or two digits and nothing but a separator follows. */
static int small_number(tp_str s, int32_t *out)
{
    size_t n = 0;
    while (n < s.len && is_digit(s.ptr[n]))
        n++;
    if (n == 0 || n > 2 || (n < s.len && !strchr("-.@:/_", s.ptr[n])))
        return 0;
    *out = n == 1 ? s.ptr[0] - '0' : (s.ptr[0] - '0') * 10 + s.ptr[1] - '0';
    return (int)n;
}

/* "claude-3-5-sonnet-20241022", "anthropic.claude-opus-4-6-v1:0", "claude-haiku-4.5",
 * "claude-sonnet-4@20250514": the first small number and the one right behind it. */
static int32_t version_in(tp_str s)
{
    for (size_t i = 1; i < s.len; i++) {
        int32_t major, minor = 0;
        if (!strchr("-.@:/_", s.ptr[i - 1]))
            continue;
        int n = small_number((tp_str){s.ptr + i, s.len - i}, &major);
        if (!n)
            continue;
        size_t next = i + (size_t)n + 1;
        if (next < s.len && (s.ptr[next - 1] == '-' || s.ptr[next - 1] == '.'))
            small_number((tp_str){s.ptr + next, s.len - next}, &minor);
        return major * 100 + minor;
    }
    return 0;
}

static int32_t version_of(tp_str name)
{
    static const tp_str claude = SPAN_INIT("claude");
    for (tp_str s = name; s.len >= claude.len; s.ptr++, s.len--) {
        if (!span_istarts(s, claude))
            continue;
        int32_t v = version_in((tp_str){s.ptr + claude.len, s.len - claude.len});
        return v ? v : 500; /* a Claude without a number is no old one */
    }
    return 0;
}

anthropic_model anthropic_model_of(tp_str name, const anthropic_variant *v)
{
    int32_t at = version_of(name);
    anthropic_model m = {.version = at};
    m.always_on = (uint8_t)(at >= 500 && (fault_contains(name, SPAN("fable")) ||
                                          fault_contains(name, SPAN("mythos"))));
    m.on_by_default = at >= 500;
    m.budget = at == 0 || (at >= 307 && at <= 406);
    m.adaptive = at >= 406;
    m.omits = at >= 407;
    m.sampling = at >= 407 ? ANTHROPIC_SAMPLE_NONE : at >= 401 ? ANTHROPIC_SAMPLE_ONE
                                                               : ANTHROPIC_SAMPLE_FULL;
    m.native = at >= 405;
    m.prefill = at < 406;
    m.xhigh = at >= 407;
    m.max = at >= 406;
    if (v->thinking == ANTHROPIC_THINK_NONE) {
        m.budget = m.adaptive = m.on_by_default = m.always_on = 0;
    } else if (v->thinking == ANTHROPIC_THINK_BUDGET) {
        m.budget = 1;
        m.adaptive = 0;
    } else if (v->thinking == ANTHROPIC_THINK_ADAPTIVE) {
        m.budget = 0;
        m.adaptive = m.xhigh = m.max = 1;
    }
    if (v->sampling)
        m.sampling = v->sampling;
    if (v->structured)
        m.native = v->structured == ANTHROPIC_OUTPUT_NATIVE;
    return m;
}

static uint8_t word_in(const tp_host *h, const tp_doc *d, tp_str name, const tp_str *words,
                       uint8_t otherwise)
{
    uint32_t t = h->find(d, 0, name);
    if (span_kind(d, t) != TP_STRING)
        return otherwise;
    for (uint8_t i = 0; words[i].len; i++)
        if (span_eq(words[i], span_inner(d, t)))
            return i;
    return otherwise;
}

void anthropic_read_options(const tp_host *h, const tp_doc *d, anthropic_variant *v)
{
    static const tp_str thinking[] = {SPAN_INIT("auto"), SPAN_INIT("budget"), SPAN_INIT("adaptive"),
                                      SPAN_INIT("none"), {0}};
    static const tp_str structured[] = {SPAN_INIT("auto"), SPAN_INIT("native"), SPAN_INIT("tool"),
                                        {0}};
    static const tp_str sampling[] = {SPAN_INIT("auto"), SPAN_INIT("full"), SPAN_INIT("one"),
                                      SPAN_INIT("none"), {0}};
    int64_t n;
    if (!d->count || d->tokens[0].kind != TP_OBJECT)
        return;
    v->thinking = word_in(h, d, SPAN("thinking"), thinking, v->thinking);
    v->structured = word_in(h, d, SPAN("structured_output"), structured, v->structured);
    v->sampling = word_in(h, d, SPAN("sampling"), sampling, v->sampling);
    if (span_int(d, h->find(d, 0, SPAN("default_max_tokens")), &n) && n > 0)
        v->default_max_tokens = n;
}
