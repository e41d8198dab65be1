/* One exchange through an endpoint and a provider, without a network: what the gateway does,
 * reduced to the calls. */
#ifndef TP_TEST_VECTORS_EXCHANGE_H
#define TP_TEST_VECTORS_EXCHANGE_H
#include "host.h"

/* How a reply comes that is not read as a whole: cuts of its bytes. EVENT: an SSE event, a line, a
 * message of an AWS event stream, or pieces of 64 bytes of other bytes. */
enum { FEED_WHOLE, FEED_EVENT, FEED_BYTE };

typedef struct upstream { /* a reply as an upstream gives it */
    int32_t status;
    tp_str type, body;
    tp_list headers; /* tp_header */
    int broken, feed;
} upstream;

typedef struct exchange { /* zero it, set the inputs, run, read, free */
    const vec_plugin *endpoint, *provider;
    tp_str request;     /* the client's body */
    tp_str target_model, target_options;
    int64_t target_max; /* -1: not known */
    int no_relay;       /* as if the client spoke another format */
    tp_event start;     /* what the client is to see */
    int64_t target_context; /* 0 or -1: not known */
    int64_t now_ms;     /* the calls' clock; 0: a fixed time */
    int strict;         /* as if the client asked for strictness */

    tp_operation op;    /* as parse filled it; its strings end with the exchange */
    tp_status status;   /* of the first call that failed; TP_AGAIN: another step is wanted */
    const char *where;  /* the call that it was, or the last one */
    vec_out parsed, sent, events, client; /* of parse; build; head, data, end; render */
    int terminal;       /* END or ERROR was seen */
    int32_t framing;
    uint32_t step;

    vec_call parse_call; /* private from here on */
    vec_list kept_endpoint, kept_provider;
    void *state_endpoint, *state_provider;
    uint32_t rendered, noted;
} exchange;
void exchange_ready(exchange *x);
tp_status exchange_parse(exchange *x);
/* A provider alone, of a format that chat does not speak: the operation as the caller knows it. */
void exchange_operation(exchange *x, tp_str format, tp_str model, int64_t max_output_tokens,
                        int streaming);
/* Of the step that x->step says; what an earlier step sent is forgotten. */
tp_status exchange_build(exchange *x);
/* Feeds the reply and renders what comes, as it comes when the operation streams. TP_AGAIN: x->step
 * is the next one, to be built. */
tp_status exchange_reply(exchange *x, const upstream *u);
/* parse, build and reply; a local reply where u is NULL. */
tp_status exchange_run(exchange *x, const upstream *u);
void exchange_free(exchange *x);
#endif
