/* Any reply into bedrock's head, data, end and failed, and rendered by chat. The first byte
 * chooses: 1 the client streams, 2 the payloads come within messages whose checksums are right, 4
 * it breaks off, 8 a refusal, 16 fed byte by byte, 32 the model is no Claude, 64 the schema is a
 * tool's. */
#include "aws.h"
#include "exchange.h"
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char *const types[] = {"messageStart",     "contentBlockStart",  "contentBlockDelta",
                                    "contentBlockStop", "messageStop",        "metadata",
                                    "unknown",          "throttlingException"};

static void frame(buf *out, unsigned type, tp_str payload)
{
    buf headers;
    size_t begin = out->len;
    buf_init(&headers, 1u << 10);
    aws_header(&headers, type == 7 ? ":exception-type" : ":event-type", types[type]);
    aws_header(&headers, ":message-type", type == 7 ? "exception" : "event");
    aws_number(out, (uint32_t)(16 + headers.len + payload.len));
    aws_number(out, (uint32_t)headers.len);
    aws_number(out, aws_crc((tp_str){out->ptr + begin, 8}));
    TP_MUST(buf_adds(out, buf_str(&headers)) == 0 && buf_adds(out, payload) == 0);
    aws_number(out, aws_crc((tp_str){out->ptr + begin, out->len - begin}));
    buf_free(&headers);
}

/* A line a message: its first byte is the type, the rest the payload. */
static void framed(buf *out, tp_str in)
{
    while (in.len) {
        const char *end = memchr(in.ptr, '\n', in.len);
        size_t n = end ? (size_t)(end - in.ptr) : in.len;
        if (n)
            frame(out, (unsigned char)in.ptr[0] & 7, (tp_str){in.ptr + 1, n - 1});
        in = str_skip(in, n + (end != NULL));
    }
}

static void no_event_after_the_end(const exchange *x)
{
    const tp_event *e = x->events.events.items;
    for (uint32_t i = 0; i < x->events.events.count; i++)
        if (e[i].kind == TP_EV_END || e[i].kind == TP_EV_ERROR)
            TP_MUST(i + 1 == x->events.events.count);
}

#define ASK                                                                                        \
    "{\"model\":\"m\",\"messages\":[{\"role\":\"user\",\"content\":\"x\"}],\"response_format\":{"  \
    "\"type\":\"json_schema\",\"json_schema\":{\"name\":\"f\",\"schema\":{\"type\":\"object\"}}}"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static vec_plugin chat, bedrock;
    if (!chat.self)
        TP_MUST(vec_open(&chat, FUZZ_PLUGINS "/chat.so", "{}") == 0);
    if (!bedrock.self)
        TP_MUST(vec_open(&bedrock, FUZZ_PLUGINS "/bedrock.so", "{\"region\":\"us-east-1\"}") == 0);
    if (size == 0)
        return 0;
    uint8_t how = data[0];
    tp_str in = {(const char *)data + 1, size - 1};
    buf stream;
    buf_init(&stream, 1u << 26);
    if (how & 2)
        framed(&stream, in);
    exchange x = {.endpoint = &chat,
                  .provider = &bedrock,
                  .no_relay = 1,
                  .request = how & 1 ? STR(ASK ",\"stream\":true}") : STR(ASK "}")};
    if (!(how & 32))
        x.target_model = STR("anthropic.claude-3-7-sonnet-20250219-v1:0");
    if (how & 64)
        x.target_options = STR("{\"structured_output\":\"tool\"}");
    tp_header headers[] = {
        {STR("x-amzn-errortype"), in}, {STR("retry-after"), in}, {STR("x-amzn-requestid"), in}};
    upstream u = {.status = how & 8 ? 400 + how % 200 : 200,
                  .type =
                      how & 3 ? STR("application/vnd.amazon.eventstream") : STR("application/json"),
                  .body = how & 2 ? buf_str(&stream) : in,
                  .headers = {headers, 3, sizeof(tp_header)},
                  .broken = (how & 4) != 0,
                  .feed = how & 16 ? FEED_BYTE : FEED_WHOLE};
    exchange_ready(&x);
    x.start.name = STR("shown");
    exchange_run(&x, &u);
    no_event_after_the_end(&x);
    exchange_free(&x);
    buf_free(&stream);
    return 0;
}
