/* Any canonical request into anthropic's build, and any Messages body. What it sends must be a JSON
 * object with a model and a limit. The first byte chooses: 1 the deployment's own options, 2 and 4 the
 * model, 8 the body is in the API's own format. */
#include "exchange.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define LIT(lit) {"" lit, sizeof(lit) - 1}

static void check_sent(const exchange *x, int native)
{
    vec_call c;
    vec_out out = {0};
    vec_out_free(&out);
    vec_call_begin(&c, &out, NULL, NULL);
    tp_doc d = vec_doc(&c, buf_str(&x->sent.body));
    TP_MUST(d.count && d.tokens[0].kind == TP_OBJECT);
    TP_MUST(native || (vec_host()->find(&d, 0, STR("model")) &&
                       vec_host()->find(&d, 0, STR("max_tokens")) &&
                       vec_host()->find(&d, 0, STR("messages"))));
    vec_call_end(&c);
    vec_out_free(&out);
    buf_free(&out.body);
}

/* As chat's parse leaves it, or as another endpoint, which does not check, might. */
static void run(tp_str request, uint8_t how, int checked, const vec_plugin *chat,
                const vec_plugin *anthropic)
{
    static const tp_str models[] = {LIT("claude-sonnet-4-0"), LIT("claude-sonnet-4-5"),
                                    LIT("claude-opus-4-8"), LIT("claude-fable-5")};
    exchange x = {.endpoint = chat, .provider = anthropic, .request = request,
                  .target_max = how & 1 ? 8192 : -1};
    if (how & 1)
        x.target_options = STR("{\"structured_output\":\"native\",\"sampling\":\"full\",\"speed\":1}");
    x.target_model = models[how >> 1 & 3];
    exchange_ready(&x);
    tp_status st = TP_OK;
    if (checked)
        st = exchange_parse(&x);
    else
        exchange_operation(&x, how & 8 ? STR("chat/anthropic") : STR("chat/openai"), STR("m"), -1, 0);
    if (st == TP_OK && exchange_build(&x) == TP_OK)
        check_sent(&x, !checked && (how & 8) != 0);
    exchange_free(&x);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static vec_plugin chat, anthropic;
    if (!chat.self)
        TP_MUST(vec_open(&chat, FUZZ_PLUGINS "/chat.so", "{}") == 0);
    if (!anthropic.self)
        TP_MUST(vec_open(&anthropic, FUZZ_PLUGINS "/anthropic.so", "{}") == 0);
    if (size == 0)
        return 0;
    tp_str request = {(const char *)data + 1, size - 1};
    run(request, data[0], 1, &chat, &anthropic);
    run(request, data[0], 0, &chat, &anthropic);
    return 0;
}
