/* Any reply into anthropic's head, data, end and failed. The first byte chooses: 1 the client streams,
 * 2 the answer comes by our own tool, 4 the reply is an event stream, 8 it breaks off, 16 a refusal,
 * 32 fed byte by byte, 64 the client speaks the API's own format, 128 thoughts are hidden. */
#include "exchange.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define SCHEMA "\"response_format\":{\"type\":\"json_schema\",\"json_schema\":{\"name\":\"n\"," \
               "\"schema\":{\"type\":\"object\",\"properties\":{}}}},"
#define HIDDEN "\"max_tokens\":9000,\"reasoning\":{\"effort\":\"low\",\"exclude\":true},"
#define LIT(lit) {"" lit, sizeof(lit) - 1}
#define BODY(more, stream) \
    LIT("{\"model\":\"m\"," more "\"stream\":" stream \
        ",\"messages\":[{\"role\":\"user\",\"content\":\"x\"}]}")

static tp_str request_of(uint8_t how)
{
    static const tp_str bodies[2][2][2] = {
        {{BODY("", "false"), BODY("", "true")}, {BODY(SCHEMA, "false"), BODY(SCHEMA, "true")}},
        {{BODY(HIDDEN, "false"), BODY(HIDDEN, "true")},
         {BODY(HIDDEN SCHEMA, "false"), BODY(HIDDEN SCHEMA, "true")}}};
    return bodies[how >> 7][(how & 2) != 0][how & 1];
}

static void nothing_after_the_end(const exchange *x)
{
    const tp_event *e = x->events.events.items;
    for (uint32_t i = 0; i < x->events.events.count; i++)
        if (e[i].kind == TP_EV_END || e[i].kind == TP_EV_ERROR)
            TP_MUST(i + 1 == x->events.events.count);
}

static void check_native(const exchange *x)
{
    const tp_event *e = x->events.events.items;
    for (uint32_t i = 0; i < x->events.events.count; i++)
        TP_MUST(e[i].kind != TP_EV_FRAME || e[i].raw.len);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static vec_plugin chat, anthropic;
    if (!chat.self)
        TP_MUST(vec_open(&chat, FUZZ_PLUGINS "/chat.so", "{}") == 0);
    if (!anthropic.self)
        TP_MUST(vec_open(&anthropic, FUZZ_PLUGINS "/anthropic.so",
                         "{\"structured_output\":\"tool\"}") == 0);
    if (size == 0)
        return 0;
    uint8_t how = data[0];
    int native = (how & 64) != 0;
    exchange x = {.endpoint = native ? NULL : &chat, .provider = &anthropic,
                  .request = request_of(how)};
    tp_header headers[] = {{STR("retry-after"), {(const char *)data + 1, size - 1}},
                           {STR("anthropic-ratelimit-tokens-reset"),
                            {(const char *)data + 1, size - 1}}};
    upstream u = {.status = how & 16 ? 400 + how % 200 : 200,
                  .type = how & 4 ? STR("text/event-stream") : STR("application/json"),
                  .body = {(const char *)data + 1, size - 1},
                  .headers = {headers + (how & 1), 2u - (how & 1), sizeof(tp_header)},
                  .broken = (how & 8) != 0, .feed = how & 32 ? FEED_BYTE : FEED_WHOLE};
    exchange_ready(&x);
    x.start.name = STR("shown");
    tp_status st = TP_OK;
    if (native)
        exchange_operation(&x, STR("chat/anthropic"), STR("m"), -1, (how & 1) != 0);
    else
        st = exchange_parse(&x);
    if (st == TP_OK)
        st = exchange_build(&x);
    TP_MUST(st == TP_OK);
    exchange_reply(&x, &u);
    nothing_after_the_end(&x);
    if (native)
        check_native(&x);
    exchange_free(&x);
    return 0;
}
