/* Any reply into openai's head, data, end and failed, relayed and decoded, and rendered by chat. The
 * first byte chooses: 1 the client streams, 2 no relay, 4 the reply is an event stream, 8 it breaks
 * off, 16 a refusal, 32 fed byte by byte. */
#include <stdlib.h>
#include "exchange.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void no_byte_after_the_end(const exchange *x)
{
    const tp_event *e = x->events.events.items;
    for (uint32_t i = 0; i < x->events.events.count; i++)
        if (e[i].kind == TP_EV_END || e[i].kind == TP_EV_ERROR)
            TP_MUST(i + 1 == x->events.events.count);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static vec_plugin chat, openai;
    if (!chat.self)
        TP_MUST(vec_open(&chat, FUZZ_PLUGINS "/chat.so", "{}") == 0 &&
                vec_open(&openai, FUZZ_PLUGINS "/openai.so", "{}") == 0);
    if (size == 0)
        return 0;
    uint8_t how = data[0];
    exchange x = {.endpoint = &chat, .provider = &openai, .no_relay = (how & 2) != 0,
                  .request = how & 1 ? STR("{\"model\":\"m\",\"stream\":true,\"messages\":[{\"role\":"
                                           "\"user\",\"content\":\"x\"}]}")
                                     : STR("{\"model\":\"m\",\"messages\":[{\"role\":\"user\","
                                           "\"content\":\"x\"}]}")};
    tp_header retry = {STR("retry-after"), {(const char *)data + 1, size - 1}};
    upstream u = {.status = how & 16 ? 400 + how % 200 : 200,
                  .type = how & 4 ? STR("text/event-stream") : STR("application/json"),
                  .body = {(const char *)data + 1, size - 1},
                  .headers = {&retry, 1, sizeof(tp_header)}, .broken = (how & 8) != 0,
                  .feed = how & 32 ? FEED_BYTE : FEED_WHOLE};
    exchange_ready(&x);
    x.start.name = STR("shown");
    exchange_run(&x, &u);
    no_byte_after_the_end(&x);
    exchange_free(&x);
    return 0;
}
