/* The top of a Messages body. */
#include "anthropic_int.h"
#include <stdlib.h>

enum { USER_ID = 256 }; /* most characters of metadata.user_id */

void anthropic_key(body *b, tp_str key)
{
    if (b->key_count < ANTHROPIC_KEYS)
        b->keys[b->key_count++] = key;
    jo_key(&b->o, key);
}

void anthropic_beta(body *b, tp_str name)
{
    for (uint32_t i = 0; i < b->beta_count; i++)
        if (span_eq(b->betas[i], name))
            return;
    if (b->beta_count < ANTHROPIC_BETAS && name.len)
        b->betas[b->beta_count++] = name;
}

void anthropic_mark(body *b, uint32_t mark, const char *list, uint32_t i, int64_t k)
{
    if (!mark)
        return;
    if (++b->marks <= ANTHROPIC_MARKS) {
        jo_key_token(&b->o, SPAN("cache_control"), b->r.d, mark);
        return;
    }
    tp_str why = SPAN("a request has at most four marks");
    if (k >= 0)
        chat_note(&b->r, TP_DROPPED, why, "%s[%u].content[%u].cache_control", list, i, (uint32_t)k);
    else
        chat_note(&b->r, TP_DROPPED, why, "%s[%u].cache_control", list, i);
}

/* ---- Sampling. */
static uint32_t take_number(body *b, tp_str name, double *v)
{
    uint32_t t = chat_take(&b->r, name);
    if (span_kind(b->r.d, t) != TP_NUMBER)
        return 0;
    *v = span_number(span_raw(b->r.d, t));
    return t;
}

static void put_sampling(body *b)
{
    double heat = 1, top_p = 1;
    uint32_t h = take_number(b, SPAN("temperature"), &heat);
    uint32_t p = take_number(b, SPAN("top_p"), &top_p), k = chat_take(&b->r, SPAN("top_k"));
    int thinks = b->thinking == THINK_BUDGET || b->thinking == THINK_ADAPTIVE;
    int none = b->model.sampling == ANTHROPIC_SAMPLE_NONE;
    tp_str why = none ? SPAN("this model does not take it")
                      : SPAN("not while the model thinks");
    int drop_heat = h && (none || thinks) && (heat < 1 || heat > 1);
    int drop_p = p && ((none && top_p < 1) ||
                       (b->model.sampling == ANTHROPIC_SAMPLE_ONE && h && !drop_heat && top_p < 1));
    if (drop_heat)
        chat_note(&b->r, TP_DROPPED, why, "temperature");
    if (drop_p)
        chat_note(&b->r, TP_DROPPED, none ? why : SPAN("this model takes one of temperature and "
                                                       "top_p"), "top_p");
    if (k && (none || thinks))
        chat_note(&b->r, TP_DROPPED, why, "top_k");
    if (h && !drop_heat && !none) {
        anthropic_key(b, SPAN("temperature"));
        if (heat > 1) {
            jo_put(&b->o, SPAN("1"));
            chat_note(&b->r, TP_CHANGED, SPAN("lowered to 1, the highest here"), "temperature");
        } else {
            jo_token(&b->o, b->r.d, h);
        }
    }
    /* 1 is what it is by itself; beside a temperature some models refuse even that */
    if (p && !drop_p && !none && !(top_p >= 1 && h && b->model.sampling == ANTHROPIC_SAMPLE_ONE)) {
        anthropic_key(b, SPAN("top_p"));
        if (thinks && top_p < 0.95) {
            jo_put(&b->o, SPAN("0.95"));
            chat_note(&b->r, TP_CHANGED, SPAN("raised to 0.95, the lowest while the model thinks"),
                      "top_p");
        } else {
            jo_token(&b->o, b->r.d, p);
        }
    }
    if (k && !none && !thinks) {
        anthropic_key(b, SPAN("top_k"));
        jo_token(&b->o, b->r.d, k);
    }
}

static void put_stop(body *b)
{
    uint32_t list = chat_take(&b->r, SPAN("stop")), i = 0;
    int open = 0;
    if (!list)
        list = chat_take(&b->r, SPAN("stop_sequences"));
    for (uint32_t t = 0; chat_next_stop(&b->r, list, &t); i++) {
        if (anthropic_blank(b->r.d, t)) {
            chat_note(&b->r, TP_DROPPED, SPAN("a stop sequence has more than white space here"),
                      "stop[%u]", i);
            continue;
        }
        if (!open) {
            anthropic_key(b, SPAN("stop_sequences"));
            jo_open(&b->o, SPAN("["));
            open = 1;
        }
        jo_comma(&b->o);
        jo_token(&b->o, b->r.d, t);
    }
    if (open)
        jo_close(&b->o, SPAN("]"));
}

/* ---- Who asks, and how it is served. */
static void put_user(body *b)
{
    const tp_doc *d = b->r.d;
    uint32_t meta = chat_take(&b->r, SPAN("metadata")), user = chat_take(&b->r, SPAN("user"));
    uint32_t safety = chat_take(&b->r, SPAN("safety_identifier"));
    uint32_t id = 0;
    if (span_kind(d, meta) == TP_OBJECT) {
        for (members m = members_of(d, meta); members_next(&m);) {
            tp_str key = span_text(b->r.h, b->r.c, d, m.key);
            if (span_is(key, "user_id") && span_kind(d, m.value) == TP_STRING)
                id = m.value;
            else if (span_given(d, m.value))
                chat_note(&b->r, TP_DROPPED, SPAN("metadata has user_id alone here"),
                          "metadata.%.*s", (int)(key.len < 64 ? key.len : 64), key.ptr);
        }
    }
    const char *place = id ? "metadata.user_id" : user ? "user" : "safety_identifier";
    if (!id)
        id = user ? user : safety;
    if (span_kind(d, id) != TP_STRING || d->tokens[id].len <= 2)
        return;
    if (d->tokens[id].len - 2 > USER_ID) {
        chat_note(&b->r, TP_DROPPED, SPAN("longer than 256 characters"), "%s", place);
        return;
    }
    anthropic_key(b, SPAN("metadata"));
    jo_open(&b->o, SPAN("{"));
    jo_key_token(&b->o, SPAN("user_id"), d, id);
    jo_close(&b->o, SPAN("}"));
}

static void put_tier(body *b)
{
    uint32_t t = chat_take(&b->r, SPAN("service_tier"));
    if (span_kind(b->r.d, t) != TP_STRING)
        return;
    tp_str said = span_text(b->r.h, b->r.c, b->r.d, t), word = SPAN_NONE;
    if (span_is(said, "auto") || span_is(said, "standard_only"))
        word = said;
    else if (span_is(said, "default"))
        word = SPAN("standard_only");
    else if (span_is(said, "priority"))
        word = SPAN("auto"); /* priority capacity where the account has it */
    if (!word.len) {
        chat_note(&b->r, TP_DROPPED, SPAN("this API has no such tier"), "service_tier");
        return;
    }
    anthropic_key(b, SPAN("service_tier"));
    jo_string(&b->o, word);
}

static int edits_compact(const body *b, uint32_t management)
{
    const tp_doc *d = b->r.d;
    uint32_t edits = span_find(b->r.h, d, management, SPAN("edits"));
    if (span_kind(d, edits) != TP_ARRAY)
        return 0;
    for (uint32_t t = edits + 1; t < d->tokens[edits].next; t = d->tokens[t].next)
        if (span_istarts(span_member(b->r.h, b->r.c, d, t, SPAN("type")), SPAN("compact_")))
            return 1;
    return 0;
}

/* Parameters of the API's own pass under their own names. */
static void put_own(body *b)
{
    static const struct { tp_str name, beta; } table[] = {
        {SPAN_INIT("container"), {0}},
        {SPAN_INIT("context_management"), SPAN_INIT("context-management-2025-06-27")},
        {SPAN_INIT("mcp_servers"), SPAN_INIT("mcp-client-2025-11-20")},
        {SPAN_INIT("inference_geo"), {0}},
        {SPAN_INIT("cache_control"), {0}},
        {SPAN_INIT("speed"), {0}},
        {SPAN_INIT("fallbacks"), SPAN_INIT("server-side-fallback-2026-07-01")},
    };
    const tp_doc *d = b->r.d;
    for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
        uint32_t t = chat_take(&b->r, table[i].name);
        if (!t)
            continue;
        anthropic_key(b, table[i].name);
        jo_token(&b->o, d, t);
        anthropic_beta(b, table[i].beta);
        if (i == 0 && span_kind(d, t) == TP_OBJECT && span_find(b->r.h, d, t, SPAN("skills")))
            anthropic_beta(b, SPAN("skills-2025-10-02"));
        else if (i == 1 && edits_compact(b, t))
            anthropic_beta(b, SPAN("compact-2026-01-12"));
        else if (i == 5 && span_kind(d, t) == TP_STRING && span_is(span_inner(d, t), "fast"))
            anthropic_beta(b, SPAN("fast-mode-2026-02-01"));
    }
}

/* What says nothing here although it is a parameter: what it asks for is what there is. */
static void take_harmless(body *b)
{
    static const tp_str zero[] = {SPAN_INIT("frequency_penalty"), SPAN_INIT("presence_penalty"),
                                  SPAN_INIT("logprobs"), SPAN_INIT("store")};
    const tp_doc *d = b->r.d;
    for (size_t i = 0; i < sizeof(zero) / sizeof(zero[0]); i++) {
        uint32_t t = b->r.h->find(d, 0, zero[i]);
        double v = span_kind(d, t) == TP_NUMBER ? span_number(span_raw(d, t)) : 1;
        if ((span_kind(d, t) == TP_BOOL && !span_true(d, t)) || !(v < 0 || v > 0))
            chat_take(&b->r, zero[i]);
    }
    int64_t n;
    if (span_int(d, b->r.h->find(d, 0, SPAN("n")), &n) && n == 1)
        chat_take(&b->r, SPAN("n"));
    uint32_t modes = chat_take(&b->r, SPAN("modalities"));
    if (span_kind(d, modes) != TP_ARRAY)
        return;
    for (uint32_t t = modes + 1; t < d->tokens[modes].next; t = d->tokens[t].next)
        if (span_kind(d, t) == TP_STRING && !span_is(span_inner(d, t), "text"))
            chat_refuse(&b->r, TP_E_UNSUPPORTED, SPAN("this provider answers in text alone"),
                        "modalities");
}

/* What the deployment's options say beyond how its model is treated are parameters, for requests that
 * do not say them. */
static void put_defaults(body *b)
{
    static const tp_str ours[] = {SPAN_INIT("structured_output"), SPAN_INIT("sampling"),
                                  SPAN_INIT("default_max_tokens")};
    const tp_doc *o = &b->r.target->options;
    if (o->count < 2 || o->tokens[0].kind != TP_OBJECT)
        return;
    for (members m = members_of(o, 0); members_next(&m);) {
        tp_str key = span_inner(o, m.key);
        int there = span_is(key, "thinking") && span_kind(o, m.value) == TP_STRING;
        for (size_t i = 0; i < sizeof(ours) / sizeof(ours[0]); i++)
            there |= span_eq(ours[i], key);
        for (uint32_t i = 0; i < b->key_count; i++)
            there |= span_eq(b->keys[i], key);
        if (!there)
            jo_key_token(&b->o, key, o, m.value);
    }
}

/* ---- Betas: the configuration's, the client's, and what this request needs. */
static void split_betas(body *b, tp_str list)
{
    while (list.len) {
        const char *comma = memchr(list.ptr, ',', list.len);
        size_t n = comma ? (size_t)(comma - list.ptr) : list.len;
        tp_str one = span_trim((tp_str){list.ptr, n});
        size_t good = 0;
        while (good < one.len && one.ptr[good] > ' ' && one.ptr[good] < 0x7f && one.ptr[good] != '"' &&
               one.ptr[good] != '\\')
            good++;
        if (good == one.len)
            anthropic_beta(b, one);
        n += comma != NULL;
        list.ptr += n;
        list.len -= n;
    }
}

static void put_betas(body *b)
{
    size_t room = 0;
    if (!b->beta_count)
        return;
    if (b->v->betas_in_body) {
        jo_key(&b->o, SPAN("anthropic_beta"));
        jo_open(&b->o, SPAN("["));
        for (uint32_t i = 0; i < b->beta_count; i++) {
            jo_comma(&b->o);
            jo_string(&b->o, b->betas[i]);
        }
        jo_close(&b->o, SPAN("]"));
        return;
    }
    for (uint32_t i = 0; i < b->beta_count; i++)
        room += b->betas[i].len + 1;
    char *text = b->r.h->alloc(b->r.c, room), *p = text;
    if (!text) {
        b->o.st = TP_E_NOMEM;
        return;
    }
    for (uint32_t i = 0; i < b->beta_count; i++) {
        memcpy(p, b->betas[i].ptr, b->betas[i].len);
        p += b->betas[i].len;
        *p++ = ',';
    }
    if (b->o.st == TP_OK)
        b->o.st = b->r.h->header(b->r.c, SPAN("anthropic-beta"), (tp_str){text, room - 1});
}

static void put_top(body *b)
{
    if (!b->v->no_model) {
        anthropic_key(b, SPAN("model"));
        jo_string(&b->o, b->r.target->model);
    }
    if (b->v->version.len) {
        anthropic_key(b, SPAN("anthropic_version"));
        jo_string(&b->o, b->v->version);
    }
    anthropic_key(b, SPAN("max_tokens"));
    jo_int(&b->o, b->max_tokens);
    if (b->r.op->flags & TP_STREAM && !b->v->no_stream) {
        anthropic_key(b, SPAN("stream"));
        jo_put(&b->o, SPAN("true"));
    }
}

static void put_body(body *b)
{
    jo_open(&b->o, SPAN("{"));
    put_top(b);
    anthropic_put_thinking(b);
    put_sampling(b);
    anthropic_put_tools(b);
    anthropic_put_choice(b);
    anthropic_put_system(b);
    anthropic_put_messages(b);
    put_stop(b);
    put_user(b);
    put_tier(b);
    put_own(b);
    put_defaults(b);
    if (b->v->no_betas)
        b->beta_count = 0;
    split_betas(b, b->v->betas);
    split_betas(b, fault_header(&b->r.op->headers, SPAN("anthropic-beta")));
    put_betas(b);
    jo_close(&b->o, SPAN("}"));
}

static tp_status translate(const tp_host *h, tp_call *c, const anthropic_variant *v,
                           const tp_operation *op, const tp_target *target, anthropic_reply *reply)
{
    body *b = h->alloc(c, sizeof(*b));
    if (!b)
        return h->fail(c, TP_E_NOMEM, SPAN_NONE, SPAN("out of memory for the request"));
    *b = (body){.v = v, .own = *v, .reply = reply, .o = {.h = h, .c = c}};
    tp_status st = chat_begin(&b->r, h, c, op, target);
    if (st != TP_OK)
        return st;
    anthropic_read_options(h, &target->options, &b->own);
    b->model = anthropic_model_of(target->model, &b->own);
    b->marks = span_given(b->r.d, h->find(b->r.d, 0, SPAN("cache_control"))); /* of the request */
    take_harmless(b);
    anthropic_plan(b);
    if (b->r.st != TP_OK)
        return b->r.st;
    put_body(b);
    if (b->r.st != TP_OK)
        return b->r.st;
    return b->o.st != TP_OK ? b->o.st : chat_rest(&b->r);
}

tp_status anthropic_write(const tp_host *h, tp_call *c, const anthropic_variant *v,
                          const tp_operation *op, const tp_target *target, anthropic_reply *reply)
{
    *reply = (anthropic_reply){.stream = (op->flags & TP_STREAM) != 0,
                               .may_relay = (op->flags & TP_RELAY) != 0};
    if (span_is(op->format, ANTHROPIC_FORMAT))
        return anthropic_splice(h, c, v, op, target);
    reply->may_relay = 0;
    return translate(h, c, v, op, target, reply);
}
