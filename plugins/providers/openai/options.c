#include <stdlib.h>
#include "openai_int.h"

typedef struct reader {
    const tp_host *h;
    tp_call *c;
    const tp_doc *d;
    tp_instance *in;
    size_t used; /* of the pool */
} reader;

/* A copy in the pool, which is as long as the text of the options: decoded strings are no longer
 * than their spelling, and each is taken once. */
static tp_str copied(reader *r, uint32_t t)
{
    tp_str s = span_text(r->h, r->c, r->d, t);
    char *to = r->in->pool + r->used;
    if (s.len)
        memcpy(to, s.ptr, s.len);
    r->used += s.len;
    return (tp_str){to, s.len};
}

static void string_option(reader *r, uint32_t object, tp_str name, tp_str *out)
{
    uint32_t t = span_find(r->h, r->d, object, name);
    if (span_kind(r->d, t) == TP_STRING)
        *out = copied(r, t);
}

static tp_status read_drop(reader *r, uint32_t list)
{
    uint32_t stop = list ? r->d->tokens[list].next : 0, room = 0;
    for (uint32_t t = list + 1; t < stop; t = r->d->tokens[t].next)
        room++;
    if (!room)
        return TP_OK;
    r->in->drop = calloc(room, sizeof(*r->in->drop));
    if (!r->in->drop)
        return TP_E_NOMEM;
    for (uint32_t t = list + 1; t < stop; t = r->d->tokens[t].next)
        if (span_kind(r->d, t) == TP_STRING)
            r->in->drop[r->in->drop_count++] = copied(r, t);
    return TP_OK;
}

static tp_status read_rename(reader *r, uint32_t object, uint32_t max_field)
{
    uint32_t room = 1;
    if (object)
        for (members m = members_of(r->d, object); members_next(&m);)
            room++;
    r->in->rename = calloc(room, sizeof(*r->in->rename));
    if (!r->in->rename)
        return TP_E_NOMEM;
    if (object) {
        for (members m = members_of(r->d, object); members_next(&m);) {
            if (span_kind(r->d, m.value) != TP_STRING)
                continue;
            rename_rule *x = &r->in->rename[r->in->rename_count++];
            x->from = copied(r, m.key);
            x->to = copied(r, m.value);
        }
    }
    tp_str word = max_field ? span_text(r->h, r->c, r->d, max_field) : SPAN_NONE;
    if (span_is(word, "max_tokens"))
        r->in->rename[r->in->rename_count++] =
            (rename_rule){SPAN("max_completion_tokens"), SPAN("max_tokens")};
    else if (span_is(word, "max_completion_tokens"))
        r->in->rename[r->in->rename_count++] =
            (rename_rule){SPAN("max_tokens"), SPAN("max_completion_tokens")};
    return TP_OK;
}

static tp_status check_path(reader *r, tp_str path, tp_str name)
{
    for (size_t i = 0; i < path.len; i++)
        if ((unsigned char)path.ptr[i] <= ' ' || (unsigned char)path.ptr[i] > '~' ||
            path.ptr[i] == '#' || path.ptr[i] == '?')
            return r->h->fail(r->c, TP_E_INPUT, name,
                              SPAN("expected a path of printable ASCII characters without '?' and "
                                   "'#'; put a query string into option \"query\""));
    if (!path.len || path.ptr[0] != '/')
        return r->h->fail(r->c, TP_E_INPUT, name,
                          SPAN("expected a path that begins with '/', for example "
                               "\"/chat/completions\"; it is put after base_url"));
    return TP_OK;
}

static tp_status check_query(reader *r, tp_str query)
{
    for (size_t i = 0; i < query.len; i++)
        if ((unsigned char)query.ptr[i] <= ' ' || (unsigned char)query.ptr[i] > '~' ||
            query.ptr[i] == '#' || query.ptr[i] == '?')
            return r->h->fail(r->c, TP_E_INPUT, SPAN("query"),
                              SPAN("expected name=value pairs joined by '&', percent-encoded, "
                                   "without a leading '?'"));
    return TP_OK;
}

static tp_status read_all(reader *r)
{
    const tp_doc *d = r->d;
    tp_instance *in = r->in;
    uint32_t paths = span_find(r->h, d, 0, SPAN("paths"));
    in->paths[FORMAT_CHAT] = SPAN("/chat/completions");
    in->auth_header = SPAN("authorization");
    in->auth_prefix = SPAN("Bearer ");
    in->stream_usage = 1;
    if (span_kind(d, paths) == TP_OBJECT)
        string_option(r, paths, SPAN("chat"), &in->paths[FORMAT_CHAT]);
    string_option(r, 0, SPAN("query"), &in->query);
    uint32_t header = span_find(r->h, d, 0, SPAN("auth_header"));
    if (span_kind(d, header) == TP_STRING) {
        in->auth_header = copied(r, header);
        in->auth_prefix = SPAN_NONE; /* a header of one's own has no scheme unless it is given */
    }
    string_option(r, 0, SPAN("auth_prefix"), &in->auth_prefix);
    uint32_t usage = span_find(r->h, d, 0, SPAN("stream_usage"));
    if (span_kind(d, usage) == TP_BOOL)
        in->stream_usage = span_true(d, usage);
    uint32_t drop = span_find(r->h, d, 0, SPAN("drop"));
    uint32_t rename = span_find(r->h, d, 0, SPAN("rename"));
    uint32_t field = span_find(r->h, d, 0, SPAN("max_tokens_field"));
    tp_status st = read_drop(r, span_kind(d, drop) == TP_ARRAY ? drop : 0);
    if (st == TP_OK)
        st = read_rename(r, span_kind(d, rename) == TP_OBJECT ? rename : 0,
                         span_kind(d, field) == TP_STRING ? field : 0);
    if (st != TP_OK)
        return r->h->fail(r->c, st, SPAN_NONE, SPAN("out of memory while reading the options"));
    st = check_path(r, in->paths[FORMAT_CHAT], SPAN("paths.chat"));
    return st == TP_OK ? check_query(r, in->query) : st;
}

tp_status openai_create(const tp_host *h, tp_call *c, tp_doc options, tp_instance **out)
{
    tp_instance *in = calloc(1, sizeof(*in));
    if (in)
        in->pool = malloc(options.text.len + 1);
    if (!in || !in->pool) {
        free(in);
        return h->fail(c, TP_E_NOMEM, SPAN_NONE, SPAN("out of memory while reading the options"));
    }
    in->host = h;
    reader r = {.h = h, .c = c, .d = &options, .in = in};
    static const tp_token empty = {.kind = TP_OBJECT, .len = 0, .next = 1};
    if (!options.count) /* no options at all */
        options = (tp_doc){.text = SPAN(""), .tokens = &empty, .count = 1};
    tp_status st = read_all(&r);
    if (st != TP_OK) {
        openai_destroy(in);
        return st;
    }
    *out = in;
    return TP_OK;
}

void openai_destroy(tp_instance *in)
{
    if (!in)
        return;
    free(in->drop);
    free(in->rename);
    free(in->pool);
    free(in);
}
