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

static tp_status read_list(reader *r, tp_str name, string_list *out)
{
    uint32_t list = span_find(r->h, r->d, 0, name);
    uint32_t stop = span_kind(r->d, list) == TP_ARRAY ? r->d->tokens[list].next : 0, room = 0;
    for (uint32_t t = list + 1; t < stop; t = r->d->tokens[t].next)
        room++;
    if (!room)
        return TP_OK;
    out->items = calloc(room, sizeof(*out->items));
    if (!out->items)
        return TP_E_NOMEM;
    for (uint32_t t = list + 1; t < stop; t = r->d->tokens[t].next)
        if (span_kind(r->d, t) == TP_STRING)
            out->items[out->count++] = copied(r, t);
    return TP_OK;
}

static void bool_option(reader *r, tp_str name, int *out)
{
    uint32_t t = span_find(r->h, r->d, 0, name);
    if (span_kind(r->d, t) == TP_BOOL)
        *out = span_true(r->d, t);
}

/* The place of an option's word among those that there are; 0 is the first of them, and the
 * default. */
static int word_option(reader *r, tp_str name, const tp_str *words, int count)
{
    uint32_t t = span_find(r->h, r->d, 0, name);
    tp_str word = span_kind(r->d, t) == TP_STRING ? span_text(r->h, r->c, r->d, t) : SPAN_NONE;
    for (int i = 0; i < count; i++)
        if (span_eq(words[i], word))
            return i;
    return 0;
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
    string_option(r, 0, SPAN("model_prefix"), &in->model_prefix);
    bool_option(r, SPAN("stream_usage"), &in->stream_usage);
    bool_option(r, SPAN("one_choice"), &in->one_choice);
    static const tp_str roles[] = {SPAN_INIT("developer"), SPAN_INIT("system")};
    static const tp_str required[] = {SPAN_INIT("required"), SPAN_INIT("any"), SPAN_INIT("auto")};
    static const tp_str thinking[] = {
        SPAN_INIT("as_it_is"), SPAN_INIT("reasoning_effort"), SPAN_INIT("reasoning"),
        SPAN_INIT("thinking"), SPAN_INIT("enable_thinking"),  SPAN_INIT("chat_template_kwargs"),
        SPAN_INIT("none")};
    in->system_for_developer = word_option(r, SPAN("developer_role"), roles, 2);
    in->required = word_option(r, SPAN("tool_choice_required"), required, 3);
    in->thinking = word_option(r, SPAN("thinking"), thinking, 7);
    uint32_t rename = span_find(r->h, d, 0, SPAN("rename"));
    uint32_t field = span_find(r->h, d, 0, SPAN("max_tokens_field"));
    tp_status st = read_list(r, SPAN("drop"), &in->drop);
    if (st == TP_OK)
        st = read_list(r, SPAN("drop_in_messages"), &in->drop_in_messages);
    if (st == TP_OK)
        st = read_list(r, SPAN("efforts"), &in->efforts);
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
    free(in->drop.items);
    free(in->drop_in_messages.items);
    free(in->efforts.items);
    free(in->rename);
    free(in->pool);
    free(in);
}
