#include <stdlib.h>
#include <string.h>
#include "exchange.h"
#include "parse/frame.h"

void exchange_ready(exchange *x)
{
    vec_out *outs[] = {&x->parsed, &x->sent, &x->events, &x->client};
    for (size_t i = 0; i < TP_COUNT(outs); i++)
        vec_out_free(outs[i]);
    if (!x->target_model.ptr)
        x->target_model = STR("upstream-model");
    if (!x->target_options.ptr)
        x->target_options = STR("{}");
    if (!x->start.size)
        x->start = (tp_event){.size = sizeof(tp_event), .kind = TP_EV_START, .id = STR("chatcmpl-T"),
                              .name = STR_NONE, .number = 1700000000};
    if (x->endpoint)
        x->state_endpoint = calloc(1, x->endpoint->endpoint->state_size);
    if (x->provider)
        x->state_provider = calloc(1, x->provider->provider->state_size);
}

static void begin(exchange *x, vec_call *c, vec_out *o, int of_provider, const char *where)
{
    if (of_provider)
        vec_call_begin(c, o, x->state_provider, &x->kept_provider);
    else
        vec_call_begin(c, o, x->state_endpoint, &x->kept_endpoint);
    if (x->now_ms)
        c->pub.now_ms = x->now_ms;
    if (o == &x->events)
        c->not_json = TP_E_UPSTREAM;
    c->of_reply = o == &x->events || o == &x->client;
    x->where = where;
}

tp_status exchange_parse(exchange *x)
{
    begin(x, &x->parse_call, &x->parsed, 0, "parse");
    tp_request q = {.size = sizeof(q), .method = STR("POST"), .path = STR("/v1/chat/completions"),
                    .type = STR("application/json"),
                    .headers = {NULL, 0, sizeof(tp_header)}, .parts = {NULL, 0, sizeof(tp_part)}};
    q.body = vec_doc(&x->parse_call, x->request);
    x->op = (tp_operation){.size = sizeof(x->op), .max_output_tokens = -1, .body = q.body};
    x->status = x->endpoint->endpoint->parse(x->endpoint->self, &x->parse_call.pub, &q, &x->op);
    if (x->status == TP_OK && x->parsed.body.len) /* a repair takes the place of the body */
        x->op.body = vec_doc(&x->parse_call, buf_str(&x->parsed.body));
    /* parse_call ends with the exchange: the operation lives on its memory */
    return x->status;
}

void exchange_operation(exchange *x, tp_str format, tp_str model, int64_t max_output_tokens,
                        int streaming)
{
    begin(x, &x->parse_call, &x->parsed, 0, "parse");
    x->op = (tp_operation){.size = sizeof(x->op), .flags = streaming ? TP_STREAM : 0,
                           .format = format, .model = model, .choices = 1, .prompt_tokens = -1,
                           .max_output_tokens = max_output_tokens,
                           .parts = {NULL, 0, sizeof(tp_part)},
                           .headers = {NULL, 0, sizeof(tp_header)},
                           .prompt = {NULL, 0, sizeof(tp_event)}};
    x->op.body = vec_doc(&x->parse_call, x->request);
}

tp_status exchange_build(exchange *x)
{
    vec_call c;
    vec_out_free(&x->sent);
    begin(x, &c, &x->sent, 1, "build");
    tp_target t = {.size = sizeof(t), .step = x->step, .provider = STR("test"),
                   .model = x->target_model,
                   .context_length = x->target_context ? x->target_context : -1,
                   .max_output_tokens = x->target_max ? x->target_max : -1};
    t.options = vec_doc(&c, x->target_options);
    if (!x->no_relay)
        x->op.flags |= TP_RELAY;
    if (x->strict)
        x->op.flags |= TP_STRICT;
    x->status = x->provider->provider->build(x->provider->self, &c.pub, &x->op, &t);
    vec_call_end(&c);
    return x->status;
}

/* A whole reply comes with neighbouring texts joined, as the gateway does it. */
static uint32_t join(exchange *x, tp_event *e, uint32_t n)
{
    uint32_t out = 0;
    for (uint32_t i = 0; i < n; i++) {
        tp_event *last = out ? &e[out - 1] : NULL;
        int joinable = e[i].kind == TP_EV_TEXT || e[i].kind == TP_EV_REASONING ||
                       e[i].kind == TP_EV_REFUSAL || e[i].kind == TP_EV_ARGUMENTS;
        if (joinable && last && last->kind == e[i].kind && last->choice == e[i].choice &&
            last->item == e[i].item) {
            char *p = malloc(last->text.len + e[i].text.len + 1);
            TP_MUST(p);
            *(void **)vec_push(&x->client.owned, sizeof(void *)) = p;
            memcpy(p, last->text.ptr, last->text.len);
            memcpy(p + last->text.len, e[i].text.ptr, e[i].text.len);
            last->text = (tp_str){p, last->text.len + e[i].text.len};
        } else {
            e[out++] = e[i];
        }
    }
    return out;
}

/* Gives the client what came since the last time; a whole reply only at its end. */
static void render(exchange *x, int ended)
{
    vec_list *l = &x->events.events;
    if (!x->endpoint || x->status != TP_OK || (!(x->op.flags & TP_STREAM) && !ended))
        return;
    uint32_t first = x->rendered == 0, n = l->count - x->rendered;
    if (n == 0)
        return;
    tp_event *batch = malloc((n + first) * sizeof(tp_event));
    TP_MUST(batch);
    if (first)
        batch[0] = x->start;
    const tp_event *came = (const tp_event *)l->items + x->rendered;
    x->rendered = l->count;
    uint32_t all = first;
    for (uint32_t i = 0; i < n; i++)
        if (came[i].kind != TP_EV_START) /* the upstream's own: the gateway tells its START */
            batch[all++] = came[i];
    n = all;
    if (n == 0) {
        free(batch);
        return;
    }
    if (!(x->op.flags & TP_STREAM))
        n = join(x, batch, n);
    tp_event *exact = realloc(batch, n * sizeof(tp_event)); /* exactly as long */
    TP_MUST(exact);
    vec_call c;
    begin(x, &c, &x->client, 0, "render");
    x->status = x->endpoint->endpoint->render(x->endpoint->self, &c.pub,
                                              (tp_list){exact, n, sizeof(tp_event)});
    vec_call_end(&c);
    free(exact);
}

static void note_terminal(exchange *x)
{
    const tp_event *e = x->events.events.items;
    for (; x->noted < x->events.events.count; x->noted++)
        x->terminal |= e[x->noted].kind == TP_EV_END || e[x->noted].kind == TP_EV_ERROR;
}

/* How much of the data the plugin used. */
static size_t give(exchange *x, tp_str name, tp_str data)
{
    vec_call c;
    if (x->status != TP_OK || x->terminal) /* after END or ERROR nothing more is read */
        return data.len;
    begin(x, &c, &x->events, 1, "data");
    char *copy = malloc(data.len ? data.len : 1); /* a frame of exactly its length */
    TP_MUST(copy);
    if (data.len)
        memcpy(copy, data.ptr, data.len);
    tp_frame f = {.size = sizeof(f), .name = name, .data = {copy, data.len}, .used = data.len};
    x->status = x->provider->provider->data(x->provider->self, &c.pub, &f);
    TP_MUST(f.used <= data.len);
    vec_call_end(&c);
    free(copy);
    note_terminal(x);
    render(x, 0);
    return f.used;
}

/* The length of the first piece of what is left of a reply. */
static size_t piece(const exchange *x, const upstream *u, tp_str left)
{
    const unsigned char *p = (const unsigned char *)left.ptr;
    const char *gap;
    size_t n = left.len;
    if (u->feed == FEED_BYTE)
        return 1;
    if (u->feed != FEED_EVENT)
        return n;
    if (x->framing == TP_CHUNKS) {
        n = 64;
        if (str_starts(u->type, STR("application/vnd.amazon.eventstream")) && left.len >= 4)
            n = (size_t)p[0] << 24 | (size_t)p[1] << 16 | (size_t)p[2] << 8 | p[3];
        return n && n < left.len ? n : left.len;
    }
    if (x->framing == TP_LINES) {
        gap = memchr(left.ptr, '\n', left.len);
        return gap ? (size_t)(gap - left.ptr) + 1 : n;
    }
    gap = memmem(left.ptr, left.len, "\n\n", 2);
    if (gap)
        n = (size_t)(gap - left.ptr) + 2;
    gap = memmem(left.ptr, n, "\r\n\r\n", 4);
    return gap ? (size_t)(gap - left.ptr) + 4 : n;
}

/* Answers whether the bytes end where no frame does. */
static int feed_frames(exchange *x, const upstream *u)
{
    framer f;
    tp_frame out = {.size = sizeof(out)};
    int cut = 0;
    framer_init(&f, x->framing, 8u << 20);
    for (size_t at = 0; at < u->body.len;) {
        size_t n = piece(x, u, str_skip(u->body, at));
        tp_str in = {u->body.ptr + at, n};
        while (framer_next(&f, &in, &out) == FRAME_GOT)
            give(x, out.name, out.data);
        at += n;
    }
    if (!u->broken && framer_end(&f, &out, &cut) == FRAME_GOT)
        give(x, out.name, out.data);
    framer_free(&f);
    return cut;
}

/* What was not used comes again, with more. */
static void feed_chunks(exchange *x, const upstream *u)
{
    buf waiting;
    buf_init(&waiting, 64u << 20);
    for (size_t at = 0; at < u->body.len;) {
        size_t n = piece(x, u, str_skip(u->body, at));
        TP_MUST(buf_add(&waiting, u->body.ptr + at, n) == 0);
        buf_shift(&waiting, give(x, STR_NONE, buf_str(&waiting)));
        at += n;
    }
    buf_free(&waiting);
}

static tp_status refused(exchange *x, const upstream *u)
{
    vec_call c;
    begin(x, &c, &x->events, 1, "failed");
    tp_reply reply = {.size = sizeof(reply), .status = u->status, .headers = u->headers,
                      .type = u->type, .body = u->body};
    x->status = x->provider->provider->failed(x->provider->self, &c.pub, &reply);
    vec_call_end(&c);
    note_terminal(x);
    render(x, 1);
    return x->status;
}

tp_status exchange_reply(exchange *x, const upstream *u)
{
    const tp_provider *p = x->provider->provider;
    tp_reply reply = {.size = sizeof(reply), .status = u->status, .headers = u->headers,
                      .type = u->type};
    int broken = u->broken;
    vec_call c;
    if (u->status >= 400)
        return refused(x, u);
    begin(x, &c, &x->events, 1, "head");
    x->framing = TP_WHOLE;
    x->status = p->head(x->provider->self, &c.pub, &reply, &x->framing);
    vec_call_end(&c);
    if (x->framing == TP_CHUNKS)
        feed_chunks(x, u);
    else if (x->framing != TP_WHOLE)
        broken |= feed_frames(x, u);
    else if (!u->broken)
        give(x, STR_NONE, u->body);
    if (x->status == TP_OK && !x->terminal) {
        begin(x, &c, &x->events, 1, "end");
        x->status = p->end(x->provider->self, &c.pub, broken);
        vec_call_end(&c);
        x->step += x->status == TP_AGAIN;
    }
    note_terminal(x);
    if (x->terminal)
        render(x, 1);
    return x->status;
}

tp_status exchange_run(exchange *x, const upstream *u)
{
    if (exchange_parse(x) != TP_OK || exchange_build(x) != TP_OK)
        return x->status;
    upstream local = {.status = x->sent.local_status, .type = x->sent.local_type,
                      .body = buf_str(&x->sent.body), .headers = {NULL, 0, sizeof(tp_header)},
                      .broken = (x->sent.local.flags & TP_LOCAL_CUT) != 0};
    return exchange_reply(x, u ? u : &local);
}

void exchange_free(exchange *x)
{
    vec_out *outs[] = {&x->parsed, &x->sent, &x->events, &x->client};
    vec_call_end(&x->parse_call);
    for (size_t i = 0; i < TP_COUNT(outs); i++) {
        vec_out_free(outs[i]);
        buf_free(&outs[i]->body);
    }
    vec_list_free(&x->kept_endpoint);
    vec_list_free(&x->kept_provider);
    free(x->state_endpoint);
    free(x->state_provider);
    *x = (exchange){0};
}
