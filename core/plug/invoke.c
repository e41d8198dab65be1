/* One call of a plugin's function, and a look at what it answered: a plugin that answers nonsense
 * costs its request, never the process. */
#include <stdio.h>
#include <string.h>
#include "plug/plug_int.h"

static const char *const words[] = {"?", "parse", "convert", "render", "rank", "build", "head",
                                    "data", "end", "failed"};

static TP_COLD void nonsense(plug_invocation *iv, const char *what)
{
    char text[512];
    int n = snprintf(text, sizeof(text), "plugin error: %s of \"%.*s\" %s", words[iv->what],
                     STR_ARG(iv->on->name), what);
    iv->status = plug_fail(iv->call, TP_E_INTERNAL, STR_NONE,
                           str_make(text, TP_MIN((size_t)TP_MAX(n, 0), sizeof(text) - 1)));
}

/* A negative status without a sentence: the request needs one nevertheless. */
static TP_COLD void explain(plug_invocation *iv)
{
    const json_error *je = &iv->call->scratch->scan_error;
    char text[512];
    int n;
    if (iv->status == TP_E_NOMEM)
        n = snprintf(text, sizeof(text), "%s of \"%.*s\" ran out of the memory that one call may "
                     "use", words[iv->what], STR_ARG(iv->on->name));
    else if (je->code && iv->status != TP_E_INTERNAL)
        n = snprintf(text, sizeof(text), "%s is no valid JSON at byte %u: %s",
                     iv->what >= PLUG_HEAD ? "what the upstream sent" : "a text", je->at,
                     je->what ? je->what : "");
    else
        n = snprintf(text, sizeof(text), "%s of \"%.*s\" failed with status %d and gave no reason",
                     words[iv->what], STR_ARG(iv->on->name), (int)iv->status);
    iv->status = plug_fail(iv->call, iv->status, STR_NONE,
                           str_make(text, TP_MIN((size_t)TP_MAX(n, 0), sizeof(text) - 1)));
}

static void check_order(plug_invocation *iv, uint32_t room)
{
    uint32_t n = iv->list.count, words64 = n / 64 + 1;
    if (iv->order_count > room || iv->order_count > n) {
        nonsense(iv, "ranked more candidates than there are");
        return;
    }
    uint64_t few[4] = {0};
    uint64_t *seen = few;
    if (words64 > TP_COUNT(few))
        seen = arena_zalloc(&iv->call->scratch->mem, words64 * sizeof(*seen));
    if (!seen) {
        iv->status = TP_E_NOMEM;
        return;
    }
    for (uint32_t i = 0; i < iv->order_count; i++) {
        uint32_t k = iv->order[i].candidate;
        if (k >= n) {
            nonsense(iv, "ranked a candidate that does not exist");
            return;
        }
        if (seen[k / 64] >> (k % 64) & 1) {
            nonsense(iv, "ranked a candidate twice");
            return;
        }
        seen[k / 64] |= (uint64_t)1 << (k % 64);
    }
}

/* The operation's strings may lie in the plugin's own memory; after this they are the host's. */
static void own_operation(plug_invocation *iv)
{
    tp_operation *op = iv->operation;
    tp_str *strings[] = {&op->format, &op->model, &op->user};
    for (size_t i = 0; i < TP_COUNT(strings); i++) {
        if (strings[i]->len && !strings[i]->ptr) {
            nonsense(iv, "set a string of the operation that has a length but no bytes");
            return;
        }
        if (plug_own(iv->call, strings[i])) {
            iv->status = TP_E_NOMEM;
            return;
        }
    }
    if (op->max_output_tokens < -1)
        nonsense(iv, "set max_output_tokens below -1");
    else if (op->format.len == 0)
        nonsense(iv, "left the operation without a format");
}

static void call_plugin(plug_invocation *iv)
{
    const plug_instance *on = iv->on;
    tp_call *c = &iv->call->pub;
    switch (iv->what) {
    case PLUG_PARSE:
        iv->status = on->endpoint->parse(on->self, c, iv->request, iv->operation);
        break;
    case PLUG_CONVERT:
        iv->status = on->endpoint->convert(on->self, c, iv->operation);
        break;
    case PLUG_RENDER:
        iv->status = on->endpoint->render(on->self, c, iv->list);
        break;
    case PLUG_RANK:
        iv->status = on->strategy->rank(on->self, c, iv->operation, iv->list, iv->order,
                                        &iv->order_count);
        break;
    case PLUG_BUILD:
        iv->status = on->provider->build(on->self, c, iv->operation, iv->target);
        break;
    case PLUG_HEAD:
        iv->framing = TP_WHOLE;
        iv->status = on->provider->head(on->self, c, iv->reply, &iv->framing);
        break;
    case PLUG_DATA:
        iv->frame->used = iv->frame->data.len;
        iv->status = on->provider->data(on->self, c, iv->frame);
        break;
    case PLUG_END:
        iv->status = on->provider->end(on->self, c, iv->broken);
        break;
    case PLUG_FAILED:
        iv->status = on->provider->failed(on->self, c, iv->reply);
        break;
    default:
        TP_MUST(0 && "a known call");
    }
}

static void check_answer(plug_invocation *iv, uint32_t room)
{
    switch (iv->what) {
    case PLUG_PARSE:
        own_operation(iv);
        break;
    case PLUG_CONVERT:
        if (iv->call->out->bytes == 0)
            nonsense(iv, "wrote nothing");
        break;
    case PLUG_RANK:
        check_order(iv, room);
        break;
    case PLUG_BUILD:
        if (!iv->call->out->has_request && !iv->call->out->has_local)
            nonsense(iv, "called neither request nor local");
        break;
    case PLUG_HEAD:
        if (iv->framing < TP_WHOLE || iv->framing > TP_CHUNKS)
            nonsense(iv, "answered an unknown framing");
        break;
    case PLUG_DATA:
        if (iv->frame->used > iv->frame->data.len)
            nonsense(iv, "used more bytes than the frame has");
        break;
    default:
        break;
    }
}

void plug_invoke(plug_invocation *iv)
{
    plug_call *c = iv->call;
    uint32_t room = iv->order_count;
    c->who = iv->on->name;
    c->what = iv->what;
    c->log_lines = 0;
    c->scratch->scan_error.code = 0;
    call_plugin(iv);
    if (TP_UNLIKELY(c->out->failed))
        iv->status = c->out->fail_status;
    if (TP_UNLIKELY(iv->status > TP_AGAIN || iv->status < TP_E_INTERNAL ||
                    (iv->status == TP_AGAIN && iv->what != PLUG_END)))
        nonsense(iv, "returned a status that the SDK does not have there");
    else if (TP_LIKELY(iv->status == TP_OK))
        check_answer(iv, room);
    if (TP_UNLIKELY(iv->status < 0 && !c->out->failed))
        explain(iv);
}
