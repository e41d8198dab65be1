/* The ledger: append-only entries of nano-dollars by team, whose sum is the team's balance; and the
 * port through which a worker appends what an exchange came to, before its last bytes leave. store/
 * implements it with a mapped journal. */
#ifndef TP_SETTLE_LEDGER_H
#define TP_SETTLE_LEDGER_H
#include "settle/settle.h"

enum { LEDGER_GRANT = 1,      /* credits given or bought: > 0 */
       LEDGER_HOLD = 2,       /* the most that an exchange may cost: < 0 */
       LEDGER_SETTLE = 3,     /* what it did cost: <= 0; names generation and price version */
       LEDGER_RELEASE = 4,    /* the hold given back: > 0 */
       LEDGER_REFUND = 5,     /* > 0; names what for */
       LEDGER_ADJUSTMENT = 6  /* by hand, either sign */ };
/* Hold, settle and release of one exchange are appended together when it ends: a hold that a crash
 * cut short leaves nothing behind. */
typedef struct ledger_entry { /* strings: borrowed */
    int64_t seq;            /* counts up over the whole ledger; 0 on the way in */
    int32_t kind, reserved; /* LEDGER_ */
    tp_str team;            /* id */
    int64_t nano;           /* effect on the balance: signed nano-dollars */
    int64_t unix_ms;
    tp_str generation;      /* hold, settle, release, refund: the reply's id; else empty */
    tp_str key;             /* id of the key that the exchange came with */
    tp_str price_version;   /* settle: "p-" and 16 hex digits (catalog/catalog.h) */
    tp_str note, actor;     /* grant, refund, adjustment: why, and who */
    tp_str reference;       /* grant, refund, adjustment: the caller's own id; a second entry of the
                               same team and reference is not made (idempotent); empty: none */
} ledger_entry;

/* One worker's way to durability. [loop], memory only. */
typedef struct journal_port {
    void *self;
    /* Room for one record of up to `bytes` more is put aside: 1; or 0: the journal is full or the
     * store has been in trouble for too long, and what must be durable cannot be promised now. */
    int (*reserve)(void *self, uint32_t worker, size_t bytes);
    /* What was put aside is not needed. */
    void (*unreserve)(void *self, uint32_t worker, size_t bytes);
    /* Appends a record and gives `reserved` bytes back (0: nothing was put aside). After 0 it
     * survives the end of this process. -1: no room (only when nothing was reserved). */
    int (*append)(void *self, uint32_t worker, const settle_record *r, size_t reserved);
} journal_port;

/* ---- A record as bytes: what lies in the journal and in stored generations. Little-endian, a
 * version byte first, strings with a 16-bit length; settle/record.c documents the layout. */
#define LEDGER_STRINGS 15u          /* strings of a record but for the prompt */
#define LEDGER_RECORD_STRINGS 4096u /* all of them together: the longest are cut, at whole
                                       characters, until they fit */
#define LEDGER_PROMPT_MAX (1u << 30) /* a longer prompt is left out */
/* The most bytes that a record with this prompt takes. */
size_t ledger_record_max(size_t prompt_bytes);
/* Writes r to out[cap]: the bytes used, or 0 when cap is too small. */
size_t ledger_encode(const settle_record *r, unsigned char *out, size_t cap);
/* Reads one record: the bytes used, or 0: not a record (of a newer version, damaged, cut off). Its
 * strings point into p. Any bytes are safe. */
size_t ledger_decode(const unsigned char *p, size_t n, settle_record *r);

/* The same in two steps, for a writer that must know the size first. With cap too small for all,
 * the prompt is left out, and if need be strings are cut further; the ids last. cap from
 * LEDGER_RECORD_LEAST on is always enough. The bytes that ledger_write will write, or 0. */
#define LEDGER_RECORD_LEAST 1024u
typedef struct ledger_shape {
    uint32_t bytes, prompt;
    uint16_t strings[LEDGER_STRINGS];
    uint8_t units[USAGE_CLASSES];
} ledger_shape;
size_t ledger_shape_of(const settle_record *r, size_t cap, ledger_shape *s);
void ledger_write(const settle_record *r, const ledger_shape *s, unsigned char *out);

/* ---- What it means for the ledger. */
/* The entries of one exchange, at most 3, into out: the hold and its release where anything was
 * held, between them the settle (of 0 too: each generation of a team is settled); none when there
 * is no team and nothing was held or charged. r's strings are borrowed. The number. Their sum is
 * -r->charged_nano. */
uint32_t ledger_entries_of(const settle_record *r, ledger_entry out[3]);
#endif
