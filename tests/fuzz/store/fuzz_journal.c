/* Any bytes as a lane after a crash: what recovery gives lies within the ring, in order, beyond
 * what was drained. First byte: 1: records' heads are put right first, so that what lies behind
 * check sums is reached too; the next: what was drained. */
#include <stdlib.h>

#include "base/le.h"
#include "store/journal_int.h"

enum { KEY = 0x1234567 };
typedef struct look {
    const unsigned char *ring;
    size_t size;
    uint64_t drained, last;
    uint32_t count;
} look;

static int one(void *arg, uint64_t seq, const unsigned char *p, size_t n)
{
    look *l = arg;
    settle_record r;
    TP_MUST(p >= l->ring + JOURNAL_HEAD && n <= l->size && p + n <= l->ring + l->size);
    TP_MUST(((size_t)(p - l->ring) - JOURNAL_HEAD) % 8 == 0);
    TP_MUST(seq > l->drained && seq >= l->last);
    l->last = seq;
    l->count++;
    TP_MUST(ledger_decode(p, n, &r) <= n);
    return l->count == 100;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 2)
        return 0;
    size_t n = (size - 2) & ~(size_t)7;
    unsigned char *ring = malloc(n ? n : 1);
    memcpy(ring, data + 2, n);
    for (size_t at = 0; data[0] & 1 && n - at >= JOURNAL_HEAD; at += 8) {
        size_t len = le_get32(ring + at + 16);
        if (le_get32(ring + at) == JOURNAL_MAGIC && len <= n - at - JOURNAL_HEAD)
            journal_seal(KEY, ring + at, le_get64(ring + at + 8), len);
    }
    look l = {.ring = ring, .size = n, .drained = data[1]};
    uint64_t last = 0;
    int rc = journal_scan(KEY, ring, n, l.drained, one, &l, &last);
    TP_MUST(rc == (l.count == 100) && last >= l.last && last >= l.drained);
    free(ring);
    return 0;
}
