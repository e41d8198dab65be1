/* Any reply into mistral's head, data, end and failed, and rendered by chat. The first byte chooses:
 * 1 the client streams, 2 it speaks another format, so that nothing is relayed, 4 the reply is an
 * event stream, 8 it breaks off, 16 a refusal, 32 fed byte by byte. */
#include "exchange.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_events(const exchange *x)
{
    const tp_event *e = x->events.events.items;
    uint32_t calls = 0;
    for (uint32_t i = 0; i < x->events.events.count; i++) {
        if (e[i].kind == TP_EV_END || e[i].kind == TP_EV_ERROR)
            TP_MUST(i + 1 == x->events.events.count);
        calls += e[i].kind == TP_EV_CALL;
        TP_MUST(e[i].kind != TP_EV_ARGUMENTS || calls);
        TP_MUST(e[i].kind != TP_EV_FRAME || !x->no_relay);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char *const requests[] = {
        "{\"model\":\"m\",\"messages\":[{\"role\":\"user\",\"content\":\"x\"}]}",
        "{\"model\":\"m\",\"messages\":[{\"role\":\"user\",\"content\":\"x\"}],\"stream\":true}"};
    static vec_plugin chat, mistral;
    if (!chat.self)
        TP_MUST(vec_open(&chat, FUZZ_PLUGINS "/chat.so", "{}") == 0);
    if (!mistral.self)
        TP_MUST(vec_open(&mistral, FUZZ_PLUGINS "/mistral.so", "{}") == 0);
    if (size == 0)
        return 0;
    uint8_t how = data[0];
    tp_str body = {(const char *)data + 1, size - 1};
    exchange x = {.endpoint = &chat, .provider = &mistral, .request = vec_str(requests[how & 1]),
                  .no_relay = (how & 2) != 0};
    tp_header retry = {STR("retry-after"), body};
    upstream u = {.status = how & 16 ? 400 + how % 200 : 200,
                  .type = how & 4 ? STR("text/event-stream") : STR("application/json"),
                  .body = body, .headers = {&retry, 1, sizeof(tp_header)}, .broken = (how & 8) != 0,
                  .feed = how & 32 ? FEED_BYTE : FEED_WHOLE};
    exchange_ready(&x);
    x.start.name = STR("shown");
    exchange_run(&x, &u);
    check_events(&x);
    exchange_free(&x);
    return 0;
}
