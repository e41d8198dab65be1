/* What a settle costs the worker that owes it: a typical record (about 300 bytes) encoded, summed
 * up and appended to a mapped lane, put aside before; and the check sum alone. The writer's side is
 * in it for the room it gives back, not for its time. Best of several rounds. */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "base/str.h"
#include "store/crc32c.h"
#include "store/journal.h"

enum { ROUNDS = 25, RECORDS = 2000 };

static double now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

static int nothing(void *arg, uint64_t seq, const unsigned char *p, size_t n)
{
    (void)arg, (void)seq, (void)p, (void)n;
    return 0;
}

static void sums(void)
{
    static unsigned char bytes[320];
    volatile uint32_t sink = 0;
    double by = 1e18, portable = 1e18;
    for (int r = 0; r < ROUNDS; r++) {
        double t = now_ns();
        for (int i = 0; i < RECORDS; i++)
            sink = crc32c(sink, bytes, sizeof(bytes));
        by = TP_MIN(by, (now_ns() - t) / RECORDS);
        t = now_ns();
        for (int i = 0; i < RECORDS; i++)
            sink = crc32c_portable(sink, bytes, sizeof(bytes));
        portable = TP_MIN(portable, (now_ns() - t) / RECORDS);
    }
    printf("CRC-32C of %zu bytes: %.0f ns, by the table %.0f ns\n", sizeof(bytes), by, portable);
}

int main(void)
{
    char dir[] = "/tmp/turnpike-microbench-XXXXXX", command[64];
    logger log = {.fd = 2, .level = LOG_WARN};
    tp_error err;
    journal *j = NULL;
    uint64_t last;
    TP_MUST(mkdtemp(dir));
    if (journal_open(dir, 1, 16u << 20, 0, &log, &j, &err) < 0 ||
        journal_recover(j, 0, 0, nothing, NULL, &last) != 0 ||
        journal_start(j, 0, last, &err) < 0) {
        fprintf(stderr, "%s\n", err.text);
        return 1;
    }
    settle_record r = {.generation = STR("gen-0123456789abcdef01234567"),
                       .upstream_id = STR("chatcmpl-9sYJq0mY3Zk"),
                       .request_id = STR("6f1c7f2e-8f0b-4a53"),
                       .key = STR("ci"),
                       .surface = STR("airouter"),
                       .endpoint = STR("chat"),
                       .model_asked = STR("auto"),
                       .model_served = STR("llama-3.3-70b"),
                       .provider = STR("groq"),
                       .client = STR("192.0.2.7"),
                       .method = STR("POST"),
                       .path = STR("/api/v1/chat/completions"),
                       .key_id = STR("key_8Hk2"),
                       .team = STR("acme"),
                       .price_version = STR("p-0123456789abcdef"),
                       .hold_nano = 6000000,
                       .charged_nano = 985000,
                       .cost_nano = 985000};
    unsigned char bytes[1024];
    usage_set(&r.used, STR("prompt"), 1000);
    usage_set(&r.used, STR("completion"), 500);
    size_t size = ledger_encode(&r, bytes, sizeof(bytes)), most = ledger_record_max(0);
    double encode = 1e18, append = 1e18;
    for (int k = 0; k < ROUNDS; k++) {
        double t = now_ns();
        for (int i = 0; i < RECORDS; i++)
            TP_MUST(ledger_encode(&r, bytes, sizeof(bytes)) == size);
        encode = TP_MIN(encode, (now_ns() - t) / RECORDS);
        t = now_ns();
        for (int i = 0; i < RECORDS; i++)
            TP_MUST(journal_reserve(j, 0, most) && journal_append(j, 0, &r, most) == 0);
        append = TP_MIN(append, (now_ns() - t) / RECORDS);
        TP_MUST(journal_read(j, 0, SIZE_MAX, nothing, NULL, &last) == 0);
        journal_release(j, 0, last);
    }
    printf("record of %zu bytes: encoded %.0f ns; put aside, encoded and appended %.0f ns\n", size,
           encode, append);
    sums();
    journal_close(j);
    snprintf(command, sizeof(command), "rm -rf '%s'", dir);
    return system(command);
}
