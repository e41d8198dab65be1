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

tp_status exchange_parse(exchange *x)
{
    vec_call_begin(&x->parse_call, &x->parsed, x->state_endpoint, &x->kept_endpoint);
    tp_request q = {.size = sizeof(q), .method = STR("POST"), .path = STR("/v1/chat/completions"),
                    .type = STR("application/json"),
                    .headers = {NULL, 0, sizeof(tp_header)}, .parts = {NULL, 0, sizeof(tp_part)}};
    q.body = vec_doc(&x->parse_call, x->request);
    x->op = (tp_operation){.size = sizeof(x->op), .max_output_tokens = -1, .body = q.body};
    x->status = x->endpoint->endpoint->parse(x->endpoint->self, &x->parse_call.pub, &q, &x->op);
    /* parse_call ends with the exchange: the operation lives on its memory */
    return x->status;
}

tp_status exchange_build(exchange *x)
{
    vec_call c;
    vec_call_begin(&c, &x->sent, x->state_provider, &x->kept_provider);
    tp_target t = {.size = sizeof(t), .provider = STR("test"), .model = x->target_model,
                   .context_length = -1, .max_output_tokens = x->target_max ? x->target_max : -1};
    t.options = vec_doc(&c, x->target_options);
    if (!x->no_relay)
        x->op.flags |= TP_RELAY;
    x->status = x->provider->provider->build(x->provider->self, &c.pub, &x->op, &t);
    vec_call_end(&c);
    return x->status;
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
    tp_event *batch = malloc((n + first) * sizeof(tp_event)); /* exactly as long */
    TP_MUST(batch);
    if (first)
        batch[0] = x->start;
    memcpy(batch + first, (tp_event *)l->items + x->rendered, n * sizeof(tp_event));
    x->rendered = l->count;
    vec_call c;
    vec_call_begin(&c, &x->client, x->state_endpoint, &x->kept_endpoint);
    x->status = x->endpoint->endpoint->render(x->endpoint->self, &c.pub,
                                              (tp_list){batch, n + first, sizeof(tp_event)});
    vec_call_end(&c);
    free(batch);
}

static void note_terminal(exchange *x)
{
    const tp_event *e = x->events.events.items;
    for (uint32_t i = 0; i < x->events.events.count; i++)
        x->terminal |= e[i].kind == TP_EV_END || e[i].kind == TP_EV_ERROR;
}

static void give(exchange *x, tp_str name, tp_str data)
{
    vec_call c;
    if (x->status != TP_OK)
        return;
    vec_call_begin(&c, &x->events, x->state_provider, &x->kept_provider);
    char *copy = malloc(data.len ? data.len : 1); /* a frame of exactly its length */
    TP_MUST(copy);
    if (data.len)
        memcpy(copy, data.ptr, data.len);
    tp_frame f = {.size = sizeof(f), .name = name, .data = {copy, data.len}, .used = data.len};
    x->status = x->provider->provider->data(x->provider->self, &c.pub, &f);
    vec_call_end(&c);
    free(copy);
    render(x, 0);
}

static void feed_sse(exchange *x, const upstream *u)
{
    framer f;
    framer_init(&f, TP_SSE, 8u << 20);
    for (size_t at = 0; at < u->body.len;) {
        size_t n = u->body.len - at;
        if (u->feed == FEED_BYTE) {
            n = 1;
        } else if (u->feed == FEED_EVENT) {
            const char *gap = memmem(u->body.ptr + at, n, "\n\n", 2);
            if (gap)
                n = (size_t)(gap - (u->body.ptr + at)) + 2;
        }
        tp_str in = {u->body.ptr + at, n};
        tp_frame out = {.size = sizeof(out)};
        while (framer_next(&f, &in, &out) == FRAME_GOT)
            give(x, out.name, out.data);
        at += n;
    }
    framer_free(&f);
}

tp_status exchange_reply(exchange *x, const upstream *u)
{
    const tp_provider *p = x->provider->provider;
    tp_reply reply = {.size = sizeof(reply), .status = u->status, .headers = u->headers,
                      .type = u->type};
    vec_call c;
    vec_call_begin(&c, &x->events, x->state_provider, &x->kept_provider);
    if (u->status >= 400) {
        reply.body = u->body;
        x->status = p->failed(x->provider->self, &c.pub, &reply);
        vec_call_end(&c);
        note_terminal(x);
        render(x, 1);
        return x->status;
    }
    x->status = p->head(x->provider->self, &c.pub, &reply, &x->framing);
    vec_call_end(&c);
    if (x->framing == TP_SSE)
        feed_sse(x, u);
    else if (!u->broken)
        give(x, STR_NONE, u->body);
    if (x->status == TP_OK) {
        vec_call_begin(&c, &x->events, x->state_provider, &x->kept_provider);
        x->status = p->end(x->provider->self, &c.pub, u->broken);
        vec_call_end(&c);
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
