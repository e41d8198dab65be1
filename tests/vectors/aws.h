/* A reply in AWS's event stream, made of a vector's "messages". */
#ifndef TP_TEST_VECTORS_AWS_H
#define TP_TEST_VECTORS_AWS_H
#include "base/buf.h"
#include "base/str.h"
#include <cjson/cJSON.h>
#include <stdlib.h>
#include <string.h>

/* The checksum as its standard writes it, a bit at a time. */
static inline uint32_t aws_crc(tp_str s)
{
    uint32_t v = 0xffffffff;
    for (size_t i = 0; i < s.len; i++) {
        v ^= (unsigned char)s.ptr[i];
        for (int bit = 0; bit < 8; bit++)
            v = v & 1 ? v >> 1 ^ 0xedb88320 : v >> 1;
    }
    return ~v;
}

static inline void aws_number(buf *b, uint32_t v)
{
    char bytes[4] = {(char)(v >> 24), (char)(v >> 16), (char)(v >> 8), (char)v};
    TP_MUST(buf_add(b, bytes, 4) == 0);
}

static inline void aws_header(buf *b, const char *name, const char *value)
{
    size_t n = strlen(value);
    char length[3] = {7, (char)(n >> 8), (char)n}, of_name = (char)strlen(name);
    TP_MUST(buf_add(b, &of_name, 1) == 0 && buf_add(b, name, strlen(name)) == 0 &&
            buf_add(b, length, 3) == 0 && buf_add(b, value, n) == 0);
}

/* One of each type that is no string: whoever reads headers has to step over them. */
static inline void aws_other_headers(buf *b)
{
    static const char all[] = "\1a\0\1b\1\1c\2x\1d\3xx\1e\4xxxx\1f\5xxxxxxxx\1g\6\0\2xx"
                              "\1h\10xxxxxxxx\1i\11xxxxxxxxxxxxxxxx";
    TP_MUST(buf_add(b, all, sizeof(all) - 1) == 0);
}

/* {"event" | "exception" | "error": name, "data": payload, "message", "others": true,
 *  "flip": at} : the byte there (from the end if negative) is damaged. */
static inline void aws_message(buf *out, const cJSON *m)
{
    static const char *const kinds[][2] = {
        {"event", ":event-type"}, {"exception", ":exception-type"}, {"error", ":error-code"}};
    const cJSON *data = cJSON_GetObjectItemCaseSensitive(m, "data");
    const cJSON *flip = cJSON_GetObjectItemCaseSensitive(m, "flip");
    const cJSON *message = cJSON_GetObjectItemCaseSensitive(m, "message");
    char *payload = cJSON_IsString(data) ? strdup(data->valuestring)
                    : data               ? cJSON_PrintUnformatted(data)
                                         : strdup("");
    size_t begin = out->len;
    buf headers;
    TP_MUST(payload);
    buf_init(&headers, 1u << 16);
    if (cJSON_GetObjectItemCaseSensitive(m, "others"))
        aws_other_headers(&headers);
    for (size_t i = 0; i < TP_COUNT(kinds); i++) {
        const cJSON *name = cJSON_GetObjectItemCaseSensitive(m, kinds[i][0]);
        if (!name)
            continue;
        aws_header(&headers, kinds[i][1], name->valuestring);
        if (message)
            aws_header(&headers, ":error-message", message->valuestring);
        aws_header(&headers, ":content-type", "application/json");
        aws_header(&headers, ":message-type", kinds[i][0]);
    }
    aws_number(out, (uint32_t)(16 + headers.len + strlen(payload)));
    aws_number(out, (uint32_t)headers.len);
    aws_number(out, aws_crc((tp_str){out->ptr + begin, 8}));
    TP_MUST(buf_adds(out, buf_str(&headers)) == 0 && buf_adds(out, str_of(payload)) == 0);
    aws_number(out, aws_crc((tp_str){out->ptr + begin, out->len - begin}));
    if (cJSON_IsNumber(flip))
        out->ptr[flip->valuedouble < 0 ? out->len + (size_t)(int64_t)flip->valuedouble
                                       : begin + (size_t)flip->valuedouble] ^= 0x40;
    buf_free(&headers);
    free(payload);
}

/* list: of messages, and of numbers: so many bytes of the end are cut off. */
static inline void aws_stream(buf *out, const cJSON *list)
{
    const cJSON *m;
    cJSON_ArrayForEach(m, list)
    {
        if (cJSON_IsNumber(m))
            out->len -= TP_MIN((size_t)m->valuedouble, out->len);
        else
            aws_message(out, m);
    }
}
#endif
