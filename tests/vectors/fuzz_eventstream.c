/* Any bytes as an AWS event stream. The first byte chooses: 1 the checksums are made right, so that
 * what lies behind them is reached. What is read lies within the input; every cut of a message is
 * incomplete, not wrong; and the checksum is that of its standard. */
#include "../../plugins/common/eventstream.h"
#include "aws.h"
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static uint32_t number(const char *at)
{
    const unsigned char *p = (const unsigned char *)at;
    return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

static void set(char *at, uint32_t v)
{
    char bytes[4] = {(char)(v >> 24), (char)(v >> 16), (char)(v >> 8), (char)v};
    memcpy(at, bytes, 4);
}

static void make_right(char *p, size_t n)
{
    if (n < 12)
        return;
    set(p + 8, aws_crc((tp_str){p, 8}));
    uint32_t total = number(p);
    if (total >= 16 && total <= n)
        set(p + total - 4, aws_crc((tp_str){p, total - 4}));
}

static void within(tp_str s, tp_str in)
{
    if (s.ptr)
        TP_MUST(s.ptr >= in.ptr && s.len <= (size_t)(in.ptr + in.len - s.ptr));
}

static void check(const eventstream_crc *t, tp_str in, int64_t n, const eventstream_message *m)
{
    eventstream_message other;
    tp_str all[] = {m->message_type, m->event_type,    m->exception_type, m->content_type,
                    m->error_code,   m->error_message, m->payload};
    TP_MUST(n >= EVENTSTREAM_OVERHEAD && (size_t)n <= in.len);
    for (size_t i = 0; i < TP_COUNT(all); i++)
        within(all[i], (tp_str){in.ptr, (size_t)n});
    for (size_t cut = 0; cut < (size_t)n; cut += 1 + (size_t)n / 64)
        TP_MUST(eventstream_read(t, (tp_str){in.ptr, cut}, &other) == EVENTSTREAM_MORE);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static eventstream_crc crc;
    eventstream_message m;
    if (!crc.table[0][1])
        eventstream_crc_init(&crc);
    if (size == 0)
        return 0;
    char *p = malloc(size); /* exactly as long, so that a sanitizer sees a read past its end */
    TP_MUST(p);
    memcpy(p, data, size);
    tp_str in = {p + 1, size - 1};
    TP_MUST(eventstream_crc_of(&crc, 0, in) == aws_crc(in));
    TP_MUST(eventstream_crc_of(&crc, eventstream_crc_of(&crc, 0, (tp_str){in.ptr, in.len / 3}),
                               str_skip(in, in.len / 3)) == aws_crc(in));
    for (;;) {
        if (data[0] & 1)
            make_right((char *)(uintptr_t)in.ptr, in.len);
        int64_t n = eventstream_read(&crc, in, &m);
        if (n <= 0)
            break;
        check(&crc, in, n, &m);
        in = str_skip(in, (size_t)n);
    }
    free(p);
    return 0;
}
