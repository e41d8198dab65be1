/* Any reply into google's head, data, end and failed, and rendered by chat. The first byte chooses:
 * 1 the client streams, 2 it wants a search, 4 the reply is an event stream, 8 it breaks off, 16 a
 * refusal, 32 fed byte by byte. */
#include "exchange.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* The end comes last; a choice finishes once, and every call has its arguments behind it. */
static void check_events(const exchange *x)
{
    const tp_event *e = x->events.events.items;
    uint64_t finished[2] = {0, 0};
    for (uint32_t i = 0; i < x->events.events.count; i++) {
        uint64_t bit = UINT64_C(1) << (e[i].choice & 63);
        TP_MUST(e[i].choice < 128);
        if (e[i].kind == TP_EV_END || e[i].kind == TP_EV_ERROR)
            TP_MUST(i + 1 == x->events.events.count);
        if (e[i].kind == TP_EV_CALL)
            TP_MUST(e[i].id.len && e[i].name.len && e[i + 1].kind == TP_EV_ARGUMENTS &&
                    e[i + 1].item == e[i].item && e[i + 1].text.len);
        if (e[i].kind != TP_EV_FINISH)
            continue;
        TP_MUST(!(finished[e[i].choice >> 6] & bit));
        finished[e[i].choice >> 6] |= bit;
    }
    if (x->events.events.count && e[x->events.events.count - 1].kind == TP_EV_END)
        TP_MUST(finished[0] | finished[1]);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char *const requests[] = {
        "{\"model\":\"m\",\"messages\":[{\"role\":\"user\",\"content\":\"x\"}]}",
        "{\"model\":\"m\",\"messages\":[{\"role\":\"user\",\"content\":\"x\"}],\"stream\":true}",
        "{\"model\":\"m\",\"messages\":[{\"role\":\"user\",\"content\":\"x\"}],"
        "\"web_search_options\":{}}",
        "{\"model\":\"m\",\"messages\":[{\"role\":\"user\",\"content\":\"x\"}],"
        "\"web_search_options\":{},\"stream\":true}"};
    static vec_plugin chat, google;
    if (!chat.self)
        TP_MUST(vec_open(&chat, FUZZ_PLUGINS "/chat.so", "{}") == 0);
    if (!google.self)
        TP_MUST(vec_open(&google, FUZZ_PLUGINS "/google.so", "{}") == 0);
    if (size == 0)
        return 0;
    uint8_t how = data[0];
    tp_str body = {(const char *)data + 1, size - 1};
    exchange x = {.endpoint = &chat, .provider = &google, .request = vec_str(requests[how & 3])};
    upstream u = {.status = how & 16 ? 400 + how % 200 : 200,
                  .type = how & 4 ? STR("text/event-stream") : STR("application/json"),
                  .body = body, .headers = {NULL, 0, sizeof(tp_header)}, .broken = (how & 8) != 0,
                  .feed = how & 32 ? FEED_BYTE : FEED_WHOLE};
    exchange_ready(&x);
    x.start.name = STR("shown");
    exchange_run(&x, &u);
    check_events(&x);
    exchange_free(&x);
    return 0;
}
