/* What providers have in common that is about no format: the headers of a JSON request, how its
 * reply is framed, and the ends of the plugin. A provider's sources hold fault.c. [loop] */
#ifndef TURNPIKE_PLUGINS_PROVIDER_H
#define TURNPIKE_PLUGINS_PROVIDER_H
#include "fault.h"
#include "plugin_entry.h"

/* content-type and accept of a JSON body that is answered by JSON, or by events where a stream is
 * asked for. */
static inline tp_status provider_json_headers(const tp_host *h, tp_call *c, const tp_operation *op)
{
    tp_status st = h->header(c, SPAN("content-type"), SPAN("application/json"));
    return st != TP_OK ? st
                       : h->header(c, SPAN("accept"), op->flags & TP_STREAM
                                                          ? SPAN("text/event-stream")
                                                          : SPAN("application/json"));
}

/* Does the reply come as server-sent events? Asked for as a stream, it does unless it is surely a
 * document; else only where it says so. */
static inline uint8_t provider_reply_is_sse(const tp_reply *reply, int stream)
{
    tp_str type = span_trim(reply->type);
    if (!type.len)
        type = fault_header(&reply->headers, SPAN("content-type"));
    if (stream)
        return (uint8_t)(!span_istarts(type, SPAN("application/json")) &&
                         !span_istarts(type, SPAN("text/html")));
    return (uint8_t)span_istarts(type, SPAN("text/event-stream"));
}

/* head, data and end of a provider whose attempt's state is that of one format (openai, anthropic,
 * google, cohere), and failed by a function of the caller's choice. The instance has a member
 * `host`. */
#define PROVIDER_REPLY(format, failed_)                                                            \
    static tp_status head(const tp_instance *in, tp_call *c, const tp_reply *reply,                \
                          int32_t *framing)                                                        \
    {                                                                                              \
        (void)in;                                                                                  \
        return format##_head(c->state, reply, framing);                                            \
    }                                                                                              \
    static tp_status data(const tp_instance *in, tp_call *c, tp_frame *frame)                      \
    {                                                                                              \
        return format##_data(in->host, c, c->state, frame);                                        \
    }                                                                                              \
    static tp_status end(const tp_instance *in, tp_call *c, int32_t broken)                        \
    {                                                                                              \
        return format##_end(in->host, c, c->state, broken);                                        \
    }                                                                                              \
    static tp_status failed(const tp_instance *in, tp_call *c, const tp_reply *reply)              \
    {                                                                                              \
        return failed_(in->host, c, reply);                                                        \
    }
#endif
