/* Options of an instance. */
#include <stdlib.h>
#include "mistral_int.h"

void mistral_read_words(const tp_doc *d, uint32_t list, word_list *out)
{
    out->said = 1;
    for (uint32_t t = list + 1; t < d->tokens[list].next && out->count < MISTRAL_WORDS;
         t = d->tokens[t].next)
        if (span_kind(d, t) == TP_STRING && !span_has_escape(span_inner(d, t)))
            out->words[out->count++] = span_inner(d, t);
}

int mistral_has_word(const word_list *l, tp_str word)
{
    for (uint32_t i = 0; i < l->count; i++)
        if (span_eq(l->words[i], word))
            return 1;
    return 0;
}

static tp_status read_path(const tp_host *h, tp_call *c, const tp_doc *d, uint32_t paths,
                           tp_str name, tp_str *out)
{
    uint32_t t = span_find(h, d, paths, name);
    if (span_kind(d, t) != TP_STRING)
        return TP_OK;
    tp_str s = span_inner(d, t);
    int good = s.len && s.ptr[0] == '/';
    for (size_t i = 0; i < s.len; i++)
        good &= (unsigned char)s.ptr[i] > ' ' && (unsigned char)s.ptr[i] <= '~' &&
                !memchr("?#\\", s.ptr[i], 3);
    if (!good)
        return h->fail(c, TP_E_INPUT, SPAN("paths"),
                       SPAN("expected paths of printable ASCII characters that begin with '/', for "
                            "example \"/chat/completions\"; they are put after base_url"));
    *out = s;
    return TP_OK;
}

/* Spans of the options' text, which is kept. */
static tp_status read_all(tp_instance *in, tp_call *c, const tp_doc *d)
{
    const tp_host *h = in->host;
    tp_status st = TP_OK;
    uint32_t paths = span_find(h, d, 0, SPAN("paths"));
    if (span_kind(d, paths) == TP_OBJECT) {
        st = read_path(h, c, d, paths, SPAN("chat"), &in->paths[FORMAT_CHAT]);
        if (st == TP_OK)
            st = read_path(h, c, d, paths, SPAN("fim"), &in->paths[FORMAT_FIM]);
    }
    uint32_t t = span_find(h, d, 0, SPAN("reasoning_efforts"));
    if (span_kind(d, t) == TP_ARRAY)
        mistral_read_words(d, t, &in->efforts);
    t = span_find(h, d, 0, SPAN("pass"));
    if (span_kind(d, t) == TP_ARRAY)
        mistral_read_words(d, t, &in->pass);
    t = span_find(h, d, 0, SPAN("repair"));
    if (span_kind(d, t) == TP_BOOL)
        in->repair = span_true(d, t);
    return st;
}

tp_status mistral_create(const tp_host *h, tp_call *c, tp_doc options, tp_instance **out)
{
    tp_instance *in = calloc(1, sizeof(*in));
    if (in)
        in->pool = malloc(options.text.len + 1);
    if (!in || !in->pool) {
        free(in);
        return h->fail(c, TP_E_NOMEM, SPAN_NONE, SPAN("out of memory while reading the options"));
    }
    *in = (tp_instance){.host = h, .pool = in->pool, .repair = 1,
                        .paths = {SPAN("/chat/completions"), SPAN("/fim/completions")}};
    tp_status st = TP_OK;
    if (options.count && options.tokens[0].kind == TP_OBJECT) {
        memcpy(in->pool, options.text.ptr, options.text.len);
        tp_doc copy = options;
        copy.text.ptr = in->pool;
        st = read_all(in, c, &copy);
    }
    if (st != TP_OK) {
        mistral_destroy(in);
        return st;
    }
    *out = in;
    return TP_OK;
}

void mistral_destroy(tp_instance *in)
{
    if (in)
        free(in->pool);
    free(in);
}
