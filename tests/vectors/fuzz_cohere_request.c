/* Any canonical request into cohere's build. What it sends must be a JSON object that names the
 * model. The first byte chooses: 1 the deployment has parameters of its own, 2 its model thinks. */
#include "exchange.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_sent(const exchange *x)
{
    vec_call c;
    vec_out out = {0};
    vec_out_free(&out);
    vec_call_begin(&c, &out, NULL, NULL);
    tp_doc d = vec_doc(&c, buf_str(&x->sent.body));
    TP_MUST(d.count && d.tokens[0].kind == TP_OBJECT && vec_host()->find(&d, 0, STR("model")));
    vec_call_end(&c);
    vec_out_free(&out);
    buf_free(&out.body);
}

/* As chat's parse leaves it, or as another endpoint, which does not check, might. */
static void run(tp_str request, uint8_t how, int checked, const vec_plugin *chat,
                const vec_plugin *cohere)
{
    exchange x = {.endpoint = chat, .provider = cohere, .request = request, .target_max = 4096};
    if (how & 1)
        x.target_options = STR("{\"seed\":1,\"p\":0.5,\"thinking\":{\"type\":\"disabled\"},"
                               "\"documents\":[\"d\"],\"stop_sequences\":[\"s\"]}");
    if (how & 2)
        x.target_model = STR("command-a-reasoning-08-2025");
    exchange_ready(&x);
    tp_status st = TP_OK;
    if (checked)
        st = exchange_parse(&x);
    else
        exchange_operation(&x, STR("chat/openai"), STR("m"), -1, 0);
    if (st == TP_OK && exchange_build(&x) == TP_OK)
        check_sent(&x);
    exchange_free(&x);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static vec_plugin chat, cohere;
    if (!chat.self)
        TP_MUST(vec_open(&chat, FUZZ_PLUGINS "/chat.so", "{}") == 0);
    if (!cohere.self)
        TP_MUST(vec_open(&cohere, FUZZ_PLUGINS "/cohere.so", "{}") == 0);
    if (size == 0)
        return 0;
    tp_str request = {(const char *)data + 1, size - 1};
    run(request, data[0], 1, &chat, &cohere);
    run(request, data[0], 0, &chat, &cohere);
    return 0;
}
