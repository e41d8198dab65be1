/* Private to the journal: a lane's file, its ring and how a record lies in it.
 *
 * The directory: lane-NN.tpj; lock; and store, 32 hex digits and a newline, the id of the store that
 * the lanes are of.
 * File: a page of header, then the ring. Header, little-endian: 0 magic, 8 u32 version, 12 u32 0,
 * 16 uuid, 32 u64 bytes of the ring, 40 u32 CRC-32C of the 40 before it.
 * Record: 0 u32 magic, 4 u32 check, 8 u64 sequence number, 16 u32 length, 20 u32 CRC-32C of the
 * encoded record, begun from check; then the record. check is the CRC-32C of number and length,
 * begun from a key that follows from the lane's uuid: bytes that a client had stored, or that lay
 * in another lane's file, do not pass for records, and a wrong length is not believed for a read.
 * The producer leaves JOURNAL_SKIP where it goes back to the beginning before the end is reached;
 * only this process reads that: recovery looks at every position. */
#ifndef TP_STORE_JOURNAL_INT_H
#define TP_STORE_JOURNAL_INT_H
#include <stdatomic.h>

#include "store/crc32c.h"
#include "store/journal.h"

enum { JOURNAL_PAGE = 4096,        /* header; and what madvise counts in */
       JOURNAL_HEAD = 24,          /* of a record */
       JOURNAL_LEAST = 65536,      /* of a ring */
       JOURNAL_LANES = 1000,
       JOURNAL_WARM = 256 * 1024,  /* the ring's beginning stays resident, and is where a lane that
                                      runs empty goes on */
       JOURNAL_PIECE = 256 * 1024  /* pages are let go in pieces of this size */ };
#define JOURNAL_MAGIC 0x4a50748fu
#define JOURNAL_SKIP 0x4a50748eu

/* Positions count bytes up for ever; position modulo size is the place in the ring. */
typedef struct journal_lane {
    int fd;                /* -1: gone */
    uint32_t number;       /* of the file's name */
    unsigned char *map, *ring;
    size_t mapped;         /* bytes at map */
    size_t size;           /* of the ring */
    size_t there;          /* bytes of the ring that the file has: less when it was cut off */
    uint32_t key;          /* where checks begin */
    unsigned char uuid[16];

    /* The producer's. */
    _Alignas(64) uint64_t head; /* where the next record goes */
    uint64_t jumped;       /* = floor */
    uint64_t tail_seen;
    uint64_t next_seq;
    size_t at;             /* head's place in the ring */
    size_t reserved;       /* put aside, in bytes of the ring */
    size_t largest;        /* single reservation since nothing was put aside */

    /* Told by the producer. */
    _Alignas(64) _Atomic uint64_t published; /* records before it are whole */
    _Atomic uint64_t floor;    /* nothing lies before it: the producer found the lane empty and
                                  went on at the beginning of the ring */

    /* The consumer's. */
    _Alignas(64) _Atomic uint64_t tail; /* released up to here */
    uint64_t tail_seq;         /* number of the last record released */
    uint64_t read, read_seq;   /* how far journal_read came, and the last number it gave */
    uint64_t seen;             /* journal_wait waits for more than this */
    uint64_t dropped;          /* pages before it were let go */
    uint64_t synced;
} journal_lane;

struct journal {
    char *dir;
    journal_lane *lanes;
    uint32_t count, workers;   /* lanes from `workers` on are left over */
    size_t size;               /* of a new ring */
    int dir_fd, lock_fd, read_only;
    const logger *log;
    _Alignas(64) _Atomic uint32_t waiting; /* futex: 1 while the writer sleeps, or is about to */
    _Atomic uint32_t woken;
};

static inline size_t journal_ring_bytes(size_t record)
{
    return (JOURNAL_HEAD + record + 7) & ~(size_t)7;
}
/* Is there a whole, right record at p, in a ring that goes on for n bytes? 1 with number and
 * length. */
int journal_record_at(uint32_t key, const unsigned char *p, size_t n, uint64_t *seq, size_t *len);
/* Writes the head of the record of len bytes that lies at p + JOURNAL_HEAD. */
void journal_seal(uint32_t key, unsigned char *p, uint64_t seq, size_t len);
/* journal_recover over bytes. */
int journal_scan(uint32_t key, const unsigned char *ring, size_t n, uint64_t drained,
                 int (*record)(void *arg, uint64_t seq, const unsigned char *p, size_t n),
                 void *arg, uint64_t *last);
uint32_t journal_key_of(const unsigned char uuid[16]);
#endif
