/* Records in a ring: how one is sealed and known again, and all of them after a crash. */
#include <stdlib.h>

#include "base/le.h"
#include "store/journal_int.h"

uint32_t journal_key_of(const unsigned char uuid[16])
{
    return crc32c(JOURNAL_MAGIC, uuid, 16);
}

void journal_seal(uint32_t key, unsigned char *p, uint64_t seq, size_t len)
{
    le_put64(p + 8, seq);
    le_put32(p + 16, (uint32_t)len);
    uint32_t check = crc32c(key, p + 8, 12);
    le_put32(p + 4, check);
    le_put32(p + 20, crc32c(check, p + JOURNAL_HEAD, len));
    le_put32(p, JOURNAL_MAGIC);
}

int journal_record_at(uint32_t key, const unsigned char *p, size_t n, uint64_t *seq, size_t *len)
{
    if (n < JOURNAL_HEAD || le_get32(p) != JOURNAL_MAGIC)
        return 0;
    uint32_t check = le_get32(p + 4);
    *seq = le_get64(p + 8);
    *len = le_get32(p + 16);
    return *seq && *len && *len <= n - JOURNAL_HEAD && crc32c(key, p + 8, 12) == check &&
           crc32c(check, p + JOURNAL_HEAD, *len) == le_get32(p + 20);
}

typedef struct found {
    uint64_t seq;
    size_t at, len;
} found;

static int by_seq(const void *a, const void *b)
{
    const found *x = a, *y = b;
    if (x->seq != y->seq)
        return x->seq < y->seq ? -1 : 1;
    return (x->at > y->at) - (x->at < y->at);
}

int journal_scan(uint32_t key, const unsigned char *ring, size_t n, uint64_t drained,
                 int (*record)(void *arg, uint64_t seq, const unsigned char *p, size_t n),
                 void *arg, uint64_t *last)
{
    found *all = NULL;
    size_t count = 0, cap = 0;
    int rc = 0;
    *last = drained;
    for (size_t at = 0; n - at >= JOURNAL_HEAD; at += 8) {
        found f = {.at = at};
        if (!journal_record_at(key, ring + at, n - at, &f.seq, &f.len))
            continue;
        *last = TP_MAX(*last, f.seq);
        /* What looks like a record within a record is its text. */
        at = TP_MIN(at + journal_ring_bytes(f.len), n & ~(size_t)7) - 8;
        if (f.seq <= drained)
            continue;
        if (count == cap) {
            cap = cap ? 2 * cap : 64;
            all = tp_xrealloc(all, cap * sizeof(*all));
        }
        all[count++] = f;
    }
    if (count)
        qsort(all, count, sizeof(*all), by_seq);
    for (size_t i = 0; i < count && rc == 0; i++)
        rc = record(arg, all[i].seq, ring + all[i].at + JOURNAL_HEAD, all[i].len);
    free(all);
    return rc;
}
