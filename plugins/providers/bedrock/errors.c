/* What AWS says of a refusal: a name in a header or in the body, or as the type of an exception in
 * a stream, and a message. */
#include "bedrock_int.h"

/* "ValidationException:http://internal.amazon.com/..." and "com.amazon.coral.service#X" name X. */
static tp_str plain_name(tp_str s)
{
    const char *end = s.len ? memchr(s.ptr, ':', s.len) : NULL;
    if (end)
        s.len = (size_t)(end - s.ptr);
    for (size_t i = s.len; i--;)
        if (s.ptr[i] == '#')
            return span_trim((tp_str){s.ptr + i + 1, s.len - i - 1});
    return span_trim(s);
}

static int any_of(tp_str s, const tp_str *words)
{
    for (; words->len; words++)
        if (fault_contains(s, *words))
            return 1;
    return 0;
}

/* 0: the name says nothing that the status does not. */
static int32_t code_by_name(tp_str name)
{
    static const struct {
        tp_str name;
        int32_t code;
    } table[] = {
        {SPAN_INIT("ValidationException"), TP_ERR_INVALID},
        {SPAN_INIT("SerializationException"), TP_ERR_INVALID},
        {SPAN_INIT("AccessDeniedException"), TP_ERR_FORBIDDEN},
        {SPAN_INIT("UnrecognizedClientException"), TP_ERR_AUTH},
        {SPAN_INIT("ExpiredTokenException"), TP_ERR_AUTH},
        {SPAN_INIT("ExpiredToken"), TP_ERR_AUTH},
        {SPAN_INIT("InvalidSignatureException"), TP_ERR_AUTH},
        {SPAN_INIT("SignatureDoesNotMatch"), TP_ERR_AUTH},
        {SPAN_INIT("IncompleteSignature"), TP_ERR_AUTH},
        {SPAN_INIT("IncompleteSignatureException"), TP_ERR_AUTH},
        {SPAN_INIT("InvalidClientTokenId"), TP_ERR_AUTH},
        {SPAN_INIT("MissingAuthenticationToken"), TP_ERR_AUTH},
        {SPAN_INIT("MissingAuthenticationTokenException"), TP_ERR_AUTH},
        {SPAN_INIT("NotAuthorized"), TP_ERR_AUTH},
        {SPAN_INIT("RequestExpired"), TP_ERR_AUTH},
        {SPAN_INIT("OptInRequired"), TP_ERR_FORBIDDEN},
        {SPAN_INIT("ResourceNotFoundException"), TP_ERR_NOT_FOUND},
        {SPAN_INIT("ThrottlingException"), TP_ERR_RATE},
        {SPAN_INIT("TooManyRequestsException"), TP_ERR_RATE},
        {SPAN_INIT("RequestLimitExceeded"), TP_ERR_RATE},
        {SPAN_INIT("ServiceQuotaExceededException"), TP_ERR_QUOTA},
        {SPAN_INIT("ModelNotReadyException"), TP_ERR_OVERLOADED},
        {SPAN_INIT("ServiceUnavailableException"), TP_ERR_OVERLOADED},
        {SPAN_INIT("ServiceUnavailable"), TP_ERR_OVERLOADED},
        {SPAN_INIT("ModelTimeoutException"), TP_ERR_TIMEOUT},
        {SPAN_INIT("ModelErrorException"), TP_ERR_UPSTREAM},
        {SPAN_INIT("ModelStreamErrorException"), TP_ERR_UPSTREAM},
        {SPAN_INIT("InternalServerException"), TP_ERR_UPSTREAM},
        {SPAN_INIT("InternalFailure"), TP_ERR_UPSTREAM},
        {SPAN_INIT("InternalServerError"), TP_ERR_UPSTREAM},
    };
    for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++)
        if (span_ieq(table[i].name, name)) /* in a stream they begin with a small letter */
            return table[i].code;
    return 0;
}

/* What one name or status covers, told apart by its words. */
static int32_t code_by_words(tp_str message, int32_t code)
{
    static const tp_str length[] = {SPAN_INIT("is too long"),
                                    SPAN_INIT("context length"),
                                    SPAN_INIT("context window"),
                                    SPAN_INIT("context limit"),
                                    SPAN_INIT("too many input tokens"),
                                    SPAN_INIT("too many tokens"),
                                    SPAN_INIT("input tokens exceeded"),
                                    SPAN_INIT("exceeds maximum length"),
                                    SPAN_INIT("exceeds the maximum number of tokens"),
                                    {0}};
    static const tp_str model[] = {
        SPAN_INIT("model identifier is invalid"), SPAN_INIT("on-demand throughput isn"), {0}};
    static const tp_str filter[] = {
        SPAN_INIT("blocked by content filter"), SPAN_INIT("content filtering policy"), {0}};
    static const tp_str key[] = {SPAN_INIT("security token"),        SPAN_INIT("api key"),
                                 SPAN_INIT("authentication failed"), SPAN_INIT("signature"),
                                 SPAN_INIT("authentication token"),  SPAN_INIT("bearer token"),
                                 SPAN_INIT("authorization header"),  {0}};
    if (code == TP_ERR_INVALID)
        return any_of(message, length)   ? TP_ERR_TOO_LONG
               : any_of(message, filter) ? TP_ERR_FILTER
               : any_of(message, model)  ? TP_ERR_NOT_FOUND
                                         : code;
    if (code == TP_ERR_FORBIDDEN && any_of(message, key))
        return TP_ERR_AUTH;
    return code;
}

static tp_status emit(const tp_host *h, tp_call *c, fault *f, int64_t status)
{
    int32_t code = code_by_name(f->type);
    if (!code && status == 424)
        code = TP_ERR_UPSTREAM;
    if (!code)
        code = fault_code(f, status);
    return fault_emit(h, c, f, code_by_words(f->message, code));
}

tp_status bedrock_failed(const tp_instance *in, tp_call *c, const tp_reply *reply)
{
    fault f;
    char text[64];
    fault_of_reply(in->host, c, reply, &f, text);
    tp_str name = fault_header(&reply->headers, SPAN("x-amzn-errortype"));
    f.type = plain_name(name.len ? name : f.type);
    return emit(in->host, c, &f, reply->status);
}

/* An exception or error in a stream: nothing follows it. */
tp_status bedrock_exception(const tp_host *h, tp_call *c, const eventstream_message *m)
{
    fault f = {.retry_ms = -1};
    tp_doc d;
    tp_str body = span_trim(m->payload);
    if (body.len && body.ptr[0] == '{' && h->scan(c, body, &d) == TP_OK && d.count)
        fault_read(h, c, &d, 0, &f);
    f.type = plain_name(m->exception_type.len ? m->exception_type : m->error_code);
    if (!f.message.len)
        f.message = m->error_message.len
                        ? m->error_message
                        : SPAN("The provider broke the stream off with an exception.");
    return emit(h, c, &f, 0);
}
