/* A lane's two ends. The producer's words are its own, the consumer's its own; they meet in
 * `published` and `tail`, which each only counts up. */
#include "store/journal_int.h"

#include <errno.h>
#include <linux/futex.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "base/le.h"

/* ---- The producer. */

/* What a reservation of `bytes` is good for. A prompt that would take more than a quarter of the
 * lane is not kept, so that one request cannot shut out all others. */
static size_t record_cap(const journal_lane *l, size_t bytes)
{
    if (bytes > l->size / 4 - JOURNAL_HEAD)
        return ledger_record_max(0);
    return TP_MAX(bytes, LEDGER_RECORD_LEAST);
}

/* Bytes of the ring from head on that may be written; the consumer's word is only looked at when
 * what is known of it is not enough. */
static size_t room_for(journal_lane *l, size_t need)
{
    size_t room = (size_t)(TP_MAX(l->tail_seen, l->jumped) + l->size - l->head);
    if (TP_LIKELY(room >= need))
        return room;
    l->tail_seen = atomic_load_explicit(&l->tail, memory_order_acquire);
    return (size_t)(TP_MAX(l->tail_seen, l->jumped) + l->size - l->head);
}

int journal_reserve(journal *j, uint32_t lane, size_t bytes)
{
    journal_lane *l = &j->lanes[lane];
    size_t need = journal_ring_bytes(record_cap(l, bytes)), largest = TP_MAX(l->largest, need);
    /* Records do not straddle the ring's end. Whatever is put aside fits into the ring together, so
     * the end is passed once at most until all of it is written, and less than one record is lost
     * there: so much more must be free. */
    size_t all = l->reserved + need + largest;
    if (room_for(l, all) < all)
        return 0;
    l->reserved += need;
    l->largest = largest;
    return 1;
}

void journal_unreserve(journal *j, uint32_t lane, size_t bytes)
{
    journal_lane *l = &j->lanes[lane];
    size_t need = journal_ring_bytes(record_cap(l, bytes));
    TP_MUST(l->reserved >= need);
    l->reserved -= need;
    if (l->reserved == 0)
        l->largest = 0;
}

/* Where a lane runs empty far from the ring's beginning it goes on there, so that a gateway with
 * little to do keeps writing to the same few pages. The consumer is told by floor, which is there
 * before the first record behind it is published. */
static void jump_if_empty(journal_lane *l)
{
    if (l->at <= JOURNAL_WARM)
        return;
    l->tail_seen = atomic_load_explicit(&l->tail, memory_order_acquire);
    if (l->tail_seen != l->head)
        return;
    l->head += l->size - l->at;
    l->at = 0;
    l->jumped = l->head;
    atomic_store_explicit(&l->floor, l->head, memory_order_relaxed);
}

static void go_round(journal_lane *l)
{
    if (l->at < l->size)
        le_put32(l->ring + l->at, JOURNAL_SKIP);
    l->head += l->size - l->at;
    l->at = 0;
}

static void wake_writer(journal *j)
{
    if (atomic_exchange(&j->waiting, 0))
        (void)syscall(SYS_futex, &j->waiting, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0);
}

int journal_append(journal *j, uint32_t lane, const settle_record *r, size_t reserved)
{
    journal_lane *l = &j->lanes[lane];
    ledger_shape shape;
    size_t asked = reserved ? reserved : ledger_record_max(r->prompt.len);
    size_t n = journal_ring_bytes(ledger_shape_of(r, record_cap(l, asked), &shape));
    if (reserved)
        journal_unreserve(j, lane, reserved);
    size_t skipped = n > l->size - l->at ? l->size - l->at : 0;
    size_t need = n + skipped + (reserved ? 0 : l->reserved + l->largest);
    if (room_for(l, need) < need) {
        TP_MUST(!reserved);
        return -1;
    }
    jump_if_empty(l);
    if (n > l->size - l->at)
        go_round(l);
    unsigned char *p = l->ring + l->at;
    ledger_write(r, &shape, p + JOURNAL_HEAD);
    journal_seal(l->key, p, l->next_seq++, shape.bytes);
    l->head += n;
    l->at += n;
    /* In one order with the writer's: either it sees this record before it sleeps, or it is seen
     * to be waiting. */
    atomic_store(&l->published, l->head);
    if (TP_UNLIKELY(atomic_load(&j->waiting)))
        wake_writer(j);
    return 0;
}

/* ---- The consumer. */
static uint64_t first_position(const journal_lane *l)
{
    uint64_t tail = atomic_load_explicit(&l->tail, memory_order_relaxed);
    uint64_t floor = atomic_load_explicit(&l->floor, memory_order_relaxed);
    return TP_MAX(tail, floor);
}

/* The record at *pos or the first one behind it, before end: 1, and *pos is where it begins. Bytes
 * that somebody else changed under us are passed over; old ones among them have lower numbers. */
static int next_record(const journal_lane *l, uint64_t *pos, uint64_t end, uint64_t after,
                       uint64_t *seq, size_t *len)
{
    int lost = 0;
    while (*pos < end) {
        size_t at = (size_t)(*pos % l->size);
        const unsigned char *p = l->ring + at;
        size_t n = (size_t)TP_MIN(l->size - at, end - *pos);
        if (journal_record_at(l->key, p, n, seq, len) && *seq > after)
            return 1;
        lost |= le_get32(p) != JOURNAL_SKIP;
        *pos += lost ? 8 : l->size - at;
    }
    return 0;
}

int journal_read(journal *j, uint32_t lane, size_t max_bytes,
                 int (*record)(void *arg, uint64_t seq, const unsigned char *p, size_t n),
                 void *arg, uint64_t *last)
{
    journal_lane *l = &j->lanes[lane];
    uint64_t end = atomic_load_explicit(&l->published, memory_order_acquire), seq = 0;
    uint64_t pos = first_position(l);
    size_t given = 0, len = 0;
    int rc = 0;
    l->read = pos;
    l->read_seq = l->tail_seq;
    l->seen = end;
    while (next_record(l, &pos, end, l->read_seq, &seq, &len)) {
        if (given && given + len > max_bytes) {
            l->seen = pos;
            break;
        }
        rc = record(arg, seq, l->ring + pos % l->size + JOURNAL_HEAD, len);
        if (rc)
            break;
        given += len;
        pos += journal_ring_bytes(len);
        l->read = pos;
        l->read_seq = seq;
    }
    *last = l->read_seq;
    return rc;
}

/* Pages that were read to the end leave the resident set; what they hold stays in the file. The
 * producer may come to write there at the same time: nothing is lost by that. */
static void drop_pages(journal_lane *l, uint64_t upto)
{
    while (l->dropped < upto) {
        size_t at = (size_t)(l->dropped % l->size);
        uint64_t lap = l->dropped - at;
        size_t to = (size_t)TP_MIN(upto - lap, (uint64_t)l->size) & ~(size_t)(JOURNAL_PAGE - 1);
        size_t from = TP_MAX(at, (size_t)JOURNAL_WARM);
        if (to < l->size && to < from + JOURNAL_PIECE)
            return;
        if (to > from)
            (void)madvise(l->ring + from, to - from, MADV_DONTNEED);
        l->dropped = lap + to;
    }
}

void journal_release(journal *j, uint32_t lane, uint64_t upto)
{
    journal_lane *l = &j->lanes[lane];
    uint64_t pos = first_position(l), seq = 0;
    size_t len = 0;
    if (l->read <= pos || upto <= l->tail_seq)
        return;
    if (upto >= l->read_seq) {
        pos = l->read;
        l->tail_seq = l->read_seq;
    } else {
        while (next_record(l, &pos, l->read, l->tail_seq, &seq, &len) && seq <= upto) {
            pos += journal_ring_bytes(len);
            l->tail_seq = seq;
        }
    }
    drop_pages(l, pos);
    atomic_store_explicit(&l->tail, pos, memory_order_release);
}

/* ---- Waiting. */
static int something_new(journal *j)
{
    for (uint32_t i = 0; i < j->workers; i++)
        if (atomic_load(&j->lanes[i].published) > j->lanes[i].seen)
            return 1;
    return 0;
}

static int why_awake(journal *j)
{
    if (atomic_exchange(&j->woken, 0))
        return 2;
    return something_new(j);
}

int journal_wait(journal *j, int64_t timeout_ms)
{
    struct timespec until;
    int why = why_awake(j), timed_out = 0;
    if (why || timeout_ms <= 0)
        return why;
    clock_gettime(CLOCK_MONOTONIC, &until);
    int64_t ns = until.tv_nsec + timeout_ms % 1000 * 1000000;
    until.tv_sec += timeout_ms / 1000 + ns / 1000000000;
    until.tv_nsec = ns % 1000000000;
    while (!timed_out) {
        atomic_store(&j->waiting, 1);
        why = why_awake(j);
        if (!why && syscall(SYS_futex, &j->waiting, FUTEX_WAIT_BITSET_PRIVATE, 1, &until, NULL,
                            FUTEX_BITSET_MATCH_ANY) < 0)
            timed_out = errno == ETIMEDOUT;
        atomic_store(&j->waiting, 0);
        if (!why)
            why = why_awake(j);
        if (why)
            return why;
    }
    return 0;
}

void journal_wake(journal *j)
{
    atomic_store(&j->woken, 1);
    wake_writer(j);
}

int journal_sync(journal *j)
{
    int failed = 0;
    for (uint32_t i = 0; i < j->workers; i++) {
        journal_lane *l = &j->lanes[i];
        uint64_t upto = atomic_load_explicit(&l->published, memory_order_acquire);
        if (upto == l->synced)
            continue;
        /* Linux counts pages written through a mapping as the file's dirty ones. */
        if (fdatasync(l->fd) < 0)
            failed = errno;
        else
            l->synced = upto;
    }
    errno = failed;
    return failed ? -1 : 0;
}

size_t journal_pending(const journal *j, size_t *capacity)
{
    size_t bytes = 0;
    *capacity = 0;
    for (uint32_t i = 0; i < j->workers; i++) {
        const journal_lane *l = &j->lanes[i];
        uint64_t from = first_position(l);
        uint64_t upto = atomic_load_explicit(&l->published, memory_order_acquire);
        bytes += upto > from ? (size_t)(upto - from) : 0;
        *capacity += l->size;
    }
    return bytes;
}
