/* The simulation's own plugins: small, but with every framing, relayed and converted replies, local
 * ones, several steps, and ways to go wrong. They are compiled in, so that a life costs
 * microseconds. */
#include "sim.h"

#include <stdlib.h>
#include <string.h>

sim *sim_current;

static const tp_host *host(void)
{
    return plug_host();
}

/* ---- Provider. */

typedef struct reply_state {
    uint8_t relay, finished, again, done, stream, late_text;
    uint32_t kept;
    int32_t framing;
    uint32_t seen;
} reply_state;

static tp_status emit(tp_call *c, tp_event e)
{
    e.size = sizeof(e);
    return host()->emit(c, &e);
}

static int32_t number_of(tp_str s)
{
    int64_t v = 0;
    str_to_i64(s, &v);
    return (int32_t)v;
}

static tp_status preamble(tp_call *c)
{
    tp_status st = emit(c, (tp_event){.kind = TP_EV_START,
                                      .flags = TP_EV_PREAMBLE,
                                      .id = STR("up-1"),
                                      .name = STR("real"),
                                      .number = 1});
    if (st == TP_OK)
        st = emit(c, (tp_event){.kind = TP_EV_FIELD,
                                .flags = TP_EV_PREAMBLE,
                                .name = STR("system_fingerprint"),
                                .raw = STR("\"fp\"")});
    return st;
}

static tp_status one_word(tp_call *c, tp_str word)
{
    reply_state *s = c->state;
    tp_str rest = str_skip(word, 1);
    s->seen++;
    if (s->done)
        return TP_OK;
    switch (word.len ? word.ptr[0] : 0) {
    case 'P':
        return preamble(c);
    case 'G':
        s->late_text = 1;
        return TP_OK;
    case 'T':
        if (rest.len == 1 && host()->keep(c, 4096)) /* as an endless stream could, if it were let */
            s->kept += 4096;
        CHECK(sim_current->running, s->kept <= 65536, "%u bytes were kept", s->kept);
        if (s->relay && s->stream) /* passed on as it stands */
            return emit(c, (tp_event){.kind = TP_EV_FRAME, .raw = word});
        return emit(c, (tp_event){.kind = TP_EV_TEXT, .text = rest});
    case 'B':
        return emit(c, (tp_event){.kind = TP_EV_ITEM, .name = STR("boom")});
    case 'U':
        return emit(
            c,
            (tp_event){.kind = TP_EV_USAGE, .name = STR("completion"), .number = number_of(rest)});
    case 'F':
        s->finished = 1;
        return emit(c, (tp_event){.kind = TP_EV_FINISH, .code = TP_FINISH_STOP});
    case 'D':
        s->done = 1;
        return emit(c, (tp_event){.kind = TP_EV_END});
    case 'E':
        return emit(c, (tp_event){.kind = TP_EV_ERROR,
                                  .code = number_of(rest),
                                  .number = 1500,
                                  .text = STR("it hurts")});
    case 'A':
        s->again = 1;
        return TP_OK;
    default:
        return host()->fail(c, TP_E_UPSTREAM, STR_NONE, STR("a word that nobody knows"));
    }
}

static tp_status chunk_words(tp_call *c, tp_frame *f)
{
    tp_status st = TP_OK;
    size_t at = 0;
    while (st == TP_OK && f->data.len - at >= 4) {
        size_t n = (size_t)number_of(str_make(f->data.ptr + at, 4));
        if (f->data.len - at - 4 < n)
            break;
        st = one_word(c, str_make(f->data.ptr + at + 4, n));
        at += 4 + n;
    }
    f->used = at;
    return st;
}

static tp_status whole_words(tp_call *c, tp_str all)
{
    reply_state *s = c->state;
    tp_status st = TP_OK;
    while (st == TP_OK && all.len) {
        size_t n = str_find(all, '\n');
        st = one_word(c, str_make(all.ptr, n));
        all = str_skip(all, n + 1);
    }
    if (st == TP_OK && !s->done && !s->again)
        st = host()->fail(c, TP_E_UPSTREAM, STR_NONE, STR("a whole reply without its end"));
    return st;
}

static tp_status data(const tp_instance *in, tp_call *c, tp_frame *f)
{
    reply_state *s = c->state;
    (void)in;
    if (s->framing == TP_CHUNKS)
        return chunk_words(c, f);
    if (s->framing == TP_WHOLE)
        return whole_words(c, f->data);
    return one_word(c, str_skip(f->data, f->data.len && f->data.ptr[0] == '\n'));
}

static tp_status head(const tp_instance *in, tp_call *c, const tp_reply *r, int32_t *framing)
{
    static const tp_str types[] = {{"application/json", 16},
                                   {"text/event-stream", 17},
                                   {"application/lines", 17},
                                   {"application/chunks", 18}};
    static const int32_t framings[] = {TP_WHOLE, TP_SSE, TP_LINES, TP_CHUNKS};
    reply_state *s = c->state;
    (void)in;
    for (size_t i = 0; i < TP_COUNT(types); i++) {
        if (!str_eq(r->type, types[i]))
            continue;
        *framing = s->framing = framings[i];
        return c->seed % 8 ? TP_OK : preamble(c);
    }
    return TP_E_UPSTREAM;
}

static tp_status end(const tp_instance *in, tp_call *c, int32_t broken)
{
    reply_state *s = c->state;
    (void)in;
    if (s->done || broken)
        return TP_OK;
    if (s->again) {
        s->again = s->finished = 0;
        return TP_AGAIN;
    }
    if (s->late_text)
        return emit(c, (tp_event){.kind = TP_EV_TEXT, .text = STR("g")});
    return s->finished ? emit(c, (tp_event){.kind = TP_EV_END}) : TP_OK;
}

static tp_status failed(const tp_instance *in, tp_call *c, const tp_reply *r)
{
    static const struct {
        int32_t status, code;
    } codes[] = {{400, TP_ERR_INVALID},   {401, TP_ERR_AUTH},      {402, TP_ERR_QUOTA},
                 {403, TP_ERR_FORBIDDEN}, {404, TP_ERR_NOT_FOUND}, {408, TP_ERR_TIMEOUT},
                 {413, TP_ERR_TOO_LONG},  {422, TP_ERR_FILTER},    {429, TP_ERR_RATE},
                 {500, TP_ERR_UPSTREAM},  {502, TP_ERR_UPSTREAM},  {503, TP_ERR_OVERLOADED},
                 {504, TP_ERR_TIMEOUT},   {529, TP_ERR_OVERLOADED}};
    (void)in;
    for (size_t i = 0; i < TP_COUNT(codes); i++)
        if (codes[i].status == r->status)
            return emit(c, (tp_event){.kind = TP_EV_ERROR,
                                      .code = codes[i].code,
                                      .number = -1,
                                      .text = r->body.len < 1000 ? r->body : STR_NONE});
    return TP_OK; /* says nothing: the host finds words */
}

/* How this build goes: mostly well. */
static int choose_build(attempt *at, rng *r)
{
    at->build = BUILD_WELL;
    if (chance(r, 8))
        at->build = 1 + (int)rng_below(r, 6);
    return at->build;
}

static tp_status go_wrong(tp_call *c, int how)
{
    switch (how) {
    case BUILD_INPUT:
        return host()->fail(c, TP_E_INPUT, STR("pad"), STR("pad is not what it should be"));
    case BUILD_UNSUPPORTED:
        return TP_E_UNSUPPORTED;
    case BUILD_INTERNAL:
        return TP_E_INTERNAL;
    case BUILD_NOMEM:
        return TP_E_NOMEM;
    default:
        return TP_OK;
    }
}

static tp_status begin(tp_call *c, const tp_operation *op, const tp_target *t, attempt **at)
{
    actor *a = sim_current->running;
    reply_state *s = c->state;
    *at = actor_attempt(a, t->step);
    s->relay = (op->flags & TP_RELAY) != 0;
    s->stream = (op->flags & TP_STREAM) != 0;
    CHECK(a, op->body.count && op->model.len && op->format.len, "build without an operation");
    CHECK(a, str_starts(op->format, STR("sim/")), "build in a strange format");
    if (t->step || choose_build(*at, &a->random) == BUILD_WELL)
        return TP_OK;
    return go_wrong(c, (*at)->build);
}

static tp_status build(const tp_instance *in, tp_call *c, const tp_operation *op,
                       const tp_target *t)
{
    attempt *at;
    tp_status st = begin(c, op, t, &at);
    (void)in;
    if (st != TP_OK || at->build == BUILD_NOTHING)
        return st;
    tp_str body = op->body.text;
    size_t cut = c->seed % (body.len + 1);
    if (at->build == BUILD_DROPS)
        host()->report(c, TP_DROPPED, STR("pad"), STR("nobody wants it"));
    host()->request(c, STR("POST"), STR("/say"));
    host()->header(c, STR("content-type"), STR("application/json"));
    at->sign = c->seed % 10 < 8 ? 0 : c->seed % 10 == 8 ? 1 : 2;
    if (at->sign == 0)
        host()->secret_header(c, STR("authorization"), STR("Bearer "));
    else if (at->sign == 1)
        host()->sign(c, STR("google-oauth"), STR("{\"scope\":\"cloud\"}"));
    else
        host()->sign(c, STR("aws4"), STR("{\"service\":\"sim\",\"region\":\"here\"}"));
    host()->write(c, str_make(body.ptr, cut));
    return host()->write(c, str_skip(body, cut));
}

static tp_status build_local(const tp_instance *in, tp_call *c, const tp_operation *op,
                             const tp_target *t)
{
    actor *a = sim_current->running;
    attempt *at;
    tp_status st = begin(c, op, t, &at);
    (void)in;
    if (st != TP_OK || at->build == BUILD_NOTHING)
        return st;
    if (at->build == BUILD_DROPS)
        host()->report(c, TP_DROPPED, STR("pad"), STR("nobody wants it"));
    script *s = &at->step[0];
    script_make(s, &a->random, 0, a->q.stream, 1, 0);
    at->steps = 1;
    tp_local how = {.size = sizeof(how),
                    .flags = s->stop == STOP_BROKEN ? TP_LOCAL_CUT : 0,
                    .delay_ms = chance(&a->random, 50) ? 0 : (int64_t)rng_below(&a->random, 300),
                    .gap_ms = chance(&a->random, 50) ? 0 : (int64_t)rng_below(&a->random, 300)};
    host()->local(c, s->status, str_of(script_type(s)), &how);
    return host()->write(c, str_make(s->body.ptr, s->cut));
}

#define PROVIDER(list, how)                                                                        \
    {                                                                                              \
        .size = sizeof(tp_provider), .state_size = sizeof(reply_state),                            \
        .formats = {list, TP_COUNT(list), sizeof(tp_str)}, .build = how, .head = head,             \
        .data = data, .end = end, .failed = failed                                                 \
    }
static const tp_str client_format[] = {{"sim/client", 10}};
static const tp_str canon_format[] = {{"sim/canon", 9}};
static const tp_str both_formats[] = {{"sim/canon", 9}, {"sim/client", 10}};
static const tp_str other_format[] = {{"sim/other", 9}};
const tp_provider sim_provider_relay = PROVIDER(client_format, build);
const tp_provider sim_provider_canon = PROVIDER(canon_format, build);
const tp_provider sim_provider_both = PROVIDER(both_formats, build);
const tp_provider sim_provider_other = PROVIDER(other_format, build);
const tp_provider sim_provider_local = PROVIDER(both_formats, build_local);

/* ---- Endpoint. */

typedef struct client_state {
    uint8_t stream, head_sent, done, own_errors, started;
} client_state;

static tp_str member(tp_call *c, const tp_doc *d, const char *name)
{
    uint32_t t = host()->find(d, 0, str_of(name));
    return t ? host()->text(c, d, t) : STR_NONE;
}

static tp_status parse(const tp_instance *in, tp_call *c, const tp_request *r, tp_operation *op)
{
    client_state *s = c->state;
    (void)in;
    tp_str how = member(c, &r->body, "parse");
    if (str_eq(how, STR("input")))
        return host()->fail(c, TP_E_INPUT, STR("parse"), STR("parse is not what it should be"));
    if (str_eq(how, STR("internal")))
        return TP_E_INTERNAL;
    uint32_t stream = host()->find(&r->body, 0, STR("stream"));
    s->stream = stream && r->body.text.ptr[r->body.tokens[stream].at] == 't';
    s->own_errors = (uint8_t)str_eq(member(c, &r->body, "errors"), STR("own"));
    op->flags |= s->stream ? TP_STREAM : 0;
    op->model = member(c, &r->body, "model");
    op->user = STR("somebody");
    op->max_output_tokens = 100;
    emit(c, (tp_event){.kind = TP_EV_TEXT, .text = STR("what is said")});
    emit(c, (tp_event){.kind = TP_EV_USAGE, .name = STR("images"), .number = 3});
    host()->header(c, STR("x-carried"), STR("yes"));
    if (str_eq(how, STR("rewrite"))) {
        host()->write(c, STR("{\"rewritten\":"));
        host()->write(c, r->body.text);
        return host()->write(c, STR("}"));
    }
    return TP_OK;
}

static tp_status convert(const tp_instance *in, tp_call *c, const tp_operation *op)
{
    tp_str how = member(c, &op->body, "convert");
    (void)in;
    CHECK(sim_current->running, op->headers.count == 1, "carried headers are gone");
    if (str_eq(how, STR("fails")))
        return TP_E_INTERNAL;
    if (str_eq(how, STR("input")))
        return host()->fail(c, TP_E_INPUT, STR("convert"), STR("it has no canonical form"));
    host()->write(c, STR("{\"canon\":"));
    host()->write(c, op->body.text);
    return host()->write(c, STR("}"));
}

static void stream_head(tp_call *c)
{
    client_state *s = c->state;
    if (s->head_sent)
        return;
    s->head_sent = 1;
    host()->status(c, 200);
    host()->header(c, STR("content-type"), STR("text/event-stream"));
}

static void put(tp_call *c, tp_str a, tp_str b, tp_str z)
{
    host()->write(c, a);
    host()->write(c, b);
    host()->write(c, z);
}

static tp_status first_error(tp_call *c, const tp_event *e)
{
    client_state *s = c->state;
    if (!s->own_errors)
        return TP_E_UNSUPPORTED;
    host()->header(c, STR("content-type"), STR("application/json"));
    put(c, STR("{\"error\":\"own: "), e->name, STR("\"}"));
    return TP_OK;
}

static tp_status render_one(tp_call *c, const tp_event *e)
{
    client_state *s = c->state;
    if (s->done)
        return TP_E_INTERNAL; /* nothing may come after the end */
    switch (e->kind) {
    case TP_EV_START:
        s->started = 1;
        return e->id.len ? TP_OK : TP_E_INTERNAL;
    case TP_EV_FRAME:
        stream_head(c);
        put(c, STR("data: "), e->raw, STR("\n\n"));
        return TP_OK;
    case TP_EV_TEXT:
        stream_head(c);
        put(c, STR("data: T"), e->text, STR("\n\n"));
        return TP_OK;
    case TP_EV_FINISH:
        stream_head(c);
        return host()->write(c, STR("data: F\n\n"));
    case TP_EV_ITEM:
        return TP_E_INTERNAL;
    case TP_EV_END:
        stream_head(c);
        s->done = 1;
        return host()->write(c, STR("data: [DONE]\n\n"));
    case TP_EV_ERROR:
        s->done = 1;
        if (!s->head_sent)
            return first_error(c, e);
        put(c, STR("data: {\"error\":\""), e->name, STR("\"}\n\n"));
        return TP_OK;
    default:
        return TP_OK;
    }
}

static tp_status render_whole(tp_call *c, tp_list events)
{
    int ended = 0;
    host()->status(c, 200);
    host()->header(c, STR("content-type"), STR("application/json"));
    host()->write(c, STR("{\"text\":\""));
    for (uint32_t i = 0; i < events.count; i++) {
        const tp_event *e = TP_AT(tp_event, events, i);
        CHECK(sim_current->running, (i == 0) == (e->kind == TP_EV_START), "START is not the first");
        if (e->kind == TP_EV_ITEM)
            return TP_E_INTERNAL;
        if (e->kind == TP_EV_TEXT)
            host()->write(c, e->text);
        ended |= e->kind == TP_EV_END;
    }
    CHECK(sim_current->running, ended, "a whole reply is rendered that did not end");
    return host()->write(c, STR("\",\"end\":true}"));
}

static tp_status render(const tp_instance *in, tp_call *c, tp_list events)
{
    client_state *s = c->state;
    tp_status st = TP_OK;
    (void)in;
    CHECK(sim_current->running, events.count, "nothing to render");
    const tp_event *first = TP_AT(tp_event, events, 0);
    if (!s->stream)
        return first->kind == TP_EV_ERROR ? first_error(c, first) : render_whole(c, events);
    CHECK(sim_current->running,
          s->started || first->kind == TP_EV_START || first->kind == TP_EV_ERROR,
          "the stream does not begin with START");
    for (uint32_t i = 0; i < events.count && st == TP_OK; i++)
        st = render_one(c, TP_AT(tp_event, events, i));
    return st;
}

const tp_endpoint sim_endpoint = {.size = sizeof(tp_endpoint),
                                  .state_size = sizeof(client_state),
                                  .format = {"sim/client", 10},
                                  .canonical = {"sim/canon", 9},
                                  .parse = parse,
                                  .convert = convert,
                                  .render = render};

/* ---- Strategy: any order, or a part of it. */

static tp_status rank(const tp_instance *in, tp_call *c, const tp_operation *op, tp_list candidates,
                      tp_rank *order, uint32_t *n)
{
    actor *a = sim_current->running;
    rng r = {c->seed};
    uint32_t room = *n;
    (void)in;
    CHECK(a, op->prompt.count == 2, "the prompt is not there");
    CHECK(a, room == candidates.count, "room %u for %u", room, candidates.count);
    for (uint32_t i = 0; i < room; i++) {
        CHECK(a, TP_AT(tp_candidate, candidates, i)->cost >= 0, "a candidate has no cost");
        order[i] = (tp_rank){.candidate = i};
    }
    for (uint32_t i = room; i > 1; i--) {
        uint32_t k = (uint32_t)rng_below(&r, i);
        tp_rank t = order[k];
        order[k] = order[i - 1];
        order[i - 1] = t;
    }
    if (a->q.kind == ASK_NO_RANK) {
        if (room > 1 && chance(&r, 30))
            order[1] = order[0];
        else if (chance(&r, 50))
            *n = 0;
        else
            return TP_E_INTERNAL;
        return TP_OK;
    }
    *n = 1 + (uint32_t)(chance(&r, 80) ? room - 1 : rng_below(&r, room));
    return TP_OK;
}

const tp_strategy sim_strategy = {.size = sizeof(tp_strategy), .rank = rank};
