/* Any canonical request into bedrock's build. What it sends must be a JSON object with turns that
 * begin with the user and alternate. The first byte chooses the model and the deployment's options.
 */
#include "exchange.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_sent(const exchange *x)
{
    const tp_host *h = vec_host();
    vec_call c;
    vec_out out = {0};
    uint32_t n = 0;
    vec_out_free(&out);
    vec_call_begin(&c, &out, NULL, NULL);
    tp_doc d = vec_doc(&c, buf_str(&x->sent.body));
    TP_MUST(d.count && d.tokens[0].kind == TP_OBJECT);
    uint32_t list = h->find(&d, 0, STR("messages"));
    TP_MUST(list && d.tokens[list].kind == TP_ARRAY);
    for (uint32_t t = list + 1; t < d.tokens[list].next; t = d.tokens[t].next, n++) {
        uint32_t content = h->find(&d, t, STR("content"));
        tp_str role = h->text(&c.pub, &d, h->find(&d, t, STR("role")));
        TP_MUST(str_eq(role, n % 2 ? STR("assistant") : STR("user")));
        TP_MUST(content && d.tokens[content].kind == TP_ARRAY &&
                d.tokens[content].next > content + 1);
    }
    TP_MUST(n);
    vec_call_end(&c);
    vec_out_free(&out);
    buf_free(&out.body);
}

/* As chat's parse leaves it, or as another endpoint, which does not check, might. */
static void run(tp_str request, uint8_t how, int checked, const vec_plugin *chat,
                const vec_plugin *bedrock)
{
    static const char *const models[] = {"anthropic.claude-3-7-sonnet-20250219-v1:0",
                                         "global.anthropic.claude-opus-4-6-v1",
                                         "us.anthropic.claude-opus-4-7",
                                         "amazon.nova-lite-v1:0",
                                         "us.amazon.nova-2-lite-v1:0",
                                         "openai.gpt-oss-120b-1:0",
                                         "qwen.qwen3-32b-v1:0",
                                         "us.meta.llama3-3-70b-instruct-v1:0"};
    exchange x = {.endpoint = chat, .provider = bedrock, .request = request, .target_max = 4096};
    x.target_model = vec_str(models[how & 7]);
    if (how & 8)
        x.target_options =
            STR("{\"unsigned_thoughts\":true,\"prompt_caching\":true,"
                "\"structured_output\":\"tool\",\"additional_fields\":[\"seed\"],"
                "\"additionalModelRequestFields\":{\"a\":1},\"guardrailConfig\":{}}");
    exchange_ready(&x);
    tp_status st = TP_OK;
    if (checked)
        st = exchange_parse(&x);
    else
        exchange_operation(&x, STR("chat/openai"), STR("m"), -1, how >> 4 & 1);
    if (st == TP_OK && exchange_build(&x) == TP_OK)
        check_sent(&x);
    exchange_free(&x);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static vec_plugin chat, bedrock;
    if (!chat.self)
        TP_MUST(vec_open(&chat, FUZZ_PLUGINS "/chat.so", "{}") == 0);
    if (!bedrock.self)
        TP_MUST(vec_open(&bedrock, FUZZ_PLUGINS "/bedrock.so", "{\"region\":\"us-east-1\"}") == 0);
    if (size == 0)
        return 0;
    tp_str request = {(const char *)data + 1, size - 1};
    run(request, data[0], 1, &chat, &bedrock);
    run(request, data[0], 0, &chat, &bedrock);
    return 0;
}
