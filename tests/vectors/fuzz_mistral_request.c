/* Any canonical request into mistral's build, for chat and for FIM. What it sends must be a JSON
 * object that names the model, and every id of a tool call must be one that Mistral takes. */
#include "exchange.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int is_id(tp_str s)
{
    if (s.len != 11 || s.ptr[0] != '"')
        return 0;
    for (size_t i = 1; i < 10; i++) {
        char c = s.ptr[i];
        if (!((c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z')))
            return 0;
    }
    return 1;
}

/* Ids of the calls of the messages, where those are of the form that they should have. */
static void check_ids(const tp_doc *d)
{
    const tp_host *h = vec_host();
    uint32_t messages = h->find(d, 0, STR("messages"));
    if (!messages || d->tokens[messages].kind != TP_ARRAY)
        return;
    for (uint32_t m = messages + 1; m < d->tokens[messages].next; m = d->tokens[m].next) {
        if (d->tokens[m].kind != TP_OBJECT)
            continue;
        uint32_t calls = h->find(d, m, STR("tool_calls"));
        if (!calls || d->tokens[calls].kind != TP_ARRAY)
            continue;
        for (uint32_t t = calls + 1; t < d->tokens[calls].next; t = d->tokens[t].next) {
            uint32_t id = d->tokens[t].kind == TP_OBJECT ? h->find(d, t, STR("id")) : 0;
            if (id && d->tokens[id].kind == TP_STRING)
                TP_MUST(is_id((tp_str){d->text.ptr + d->tokens[id].at, d->tokens[id].len}));
        }
    }
}

static void check_sent(const exchange *x, int named)
{
    vec_call c;
    vec_out out = {0};
    vec_out_free(&out);
    vec_call_begin(&c, &out, NULL, NULL);
    tp_doc d = vec_doc(&c, buf_str(&x->sent.body));
    TP_MUST(d.count && d.tokens[0].kind == TP_OBJECT);
    TP_MUST(!named || vec_host()->find(&d, 0, STR("model")));
    check_ids(&d);
    vec_call_end(&c);
    vec_out_free(&out);
    buf_free(&out.body);
}

/* format empty: as chat's parse leaves it; else as another endpoint, which does not check, might. */
static void run(tp_str request, tp_str format, const vec_plugin *chat, const vec_plugin *mistral)
{
    exchange x = {.endpoint = chat, .provider = mistral, .request = request, .target_max = 4096};
    exchange_ready(&x);
    x.target_model = STR("mistral-large-latest");
    tp_status st = TP_OK;
    if (format.len)
        exchange_operation(&x, format, STR("m"), -1, 0);
    else
        st = exchange_parse(&x);
    if (st == TP_OK && exchange_build(&x) == TP_OK)
        check_sent(&x, !format.len); /* chat has seen to it that a model is named */
    exchange_free(&x);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static vec_plugin chat, mistral;
    if (!chat.self)
        TP_MUST(vec_open(&chat, FUZZ_PLUGINS "/chat.so", "{}") == 0);
    if (!mistral.self)
        TP_MUST(vec_open(&mistral, FUZZ_PLUGINS "/mistral.so", "{}") == 0);
    if (size == 0)
        return 0;
    tp_str request = {(const char *)data, size};
    run(request, STR_NONE, &chat, &mistral);
    run(request, STR("chat/openai"), &chat, &mistral);
    run(request, STR("fim/openai"), &chat, &mistral);
    return 0;
}
