/* Any canonical request into google's build. What it sends must be a JSON object with contents, of
 * which each has parts. The first byte chooses: 1 schemas in the older subset, 2 a model of Gemini 3,
 * 4 the deployment has parameters of its own. */
#include "exchange.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_sent(const exchange *x)
{
    const tp_host *h = vec_host();
    vec_call c;
    vec_out out = {0};
    vec_out_free(&out);
    vec_call_begin(&c, &out, NULL, NULL);
    tp_doc d = vec_doc(&c, buf_str(&x->sent.body));
    TP_MUST(d.count && d.tokens[0].kind == TP_OBJECT);
    uint32_t list = h->find(&d, 0, STR("contents"));
    TP_MUST(list && d.tokens[list].kind == TP_ARRAY && d.tokens[list].next > list + 1);
    for (uint32_t t = list + 1; t < d.tokens[list].next; t = d.tokens[t].next) {
        uint32_t parts = h->find(&d, t, STR("parts"));
        TP_MUST(parts && d.tokens[parts].kind == TP_ARRAY && d.tokens[parts].next > parts + 1);
    }
    vec_call_end(&c);
    vec_out_free(&out);
    buf_free(&out.body);
}

/* As chat's parse leaves it, or as another endpoint, which does not check, might. */
static void run(tp_str request, uint8_t how, int checked, const vec_plugin *chat,
                const vec_plugin *google)
{
    exchange x = {.endpoint = chat, .provider = google, .request = request, .target_max = 4096};
    x.target_model = how & 2 ? STR("gemini-3-pro-preview") : STR("gemini-2.5-flash");
    if (how & 4)
        x.target_options = STR("{\"generationConfig\":{\"temperature\":1,\"topK\":3},\"toolConfig\":"
                               "{\"retrievalConfig\":{}},\"safetySettings\":[],\"thinking\":"
                               "\"level\",\"remote_files\":\"refuse\"}");
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
    static vec_plugin chat, json, subset;
    if (!chat.self)
        TP_MUST(vec_open(&chat, FUZZ_PLUGINS "/chat.so", "{}") == 0);
    if (!json.self)
        TP_MUST(vec_open(&json, FUZZ_PLUGINS "/google.so", "{}") == 0);
    if (!subset.self)
        TP_MUST(vec_open(&subset, FUZZ_PLUGINS "/google.so", "{\"schema\":\"openapi\"}") == 0);
    if (size == 0)
        return 0;
    tp_str request = {(const char *)data + 1, size - 1};
    run(request, data[0], 1, &chat, data[0] & 1 ? &subset : &json);
    run(request, data[0], 0, &chat, data[0] & 1 ? &subset : &json);
    return 0;
}
