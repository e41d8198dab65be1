/* Private to store/: the SQLite file. Nothing outside these files knows SQL. */
#ifndef TP_STORE_SQLITE_INT_H
#define TP_STORE_SQLITE_INT_H
#include <pthread.h>
#include <sqlite3.h>
#include <stdatomic.h>
#include <sys/stat.h>

#include "store/journal.h"
#include "store/store.h"

/* ---- One connection. One thread at a time. */
enum { /* statements that stay prepared */
    SQL_TOTAL,
    SQL_UNIT,
    SQL_DAY_COUNT,
    SQL_KNOWN,
    SQL_SEGMENT,
    SQL_SEGMENT_LATE,
    SQL_SEGMENT_LAST,
    SQL_LEDGER_SEGMENT,
    SQL_LEDGER_DAY,
    SQL_ACCOUNT_USED,
    SQL_ACCOUNT,
    SQL_ACCOUNT_CREDITED,
    SQL_SEQ_SEGMENT,
    SQL_SEQ_ENTRY,
    SQL_SPEND,
    SQL_LANE,
    SQL_REJECT,
    SQL_ENTRY,
    SQL_REFERENCE,
    SQL_TEAM,
    SQL_TEAM_OWES,
    SQL_KEY,
    SQL_KEY_LOOKUP,
    SQL_KEY_GONE,
    SQL_KEY_TOUCH,
    SQL_BYOK,
    SQL_BYOK_GONE,
    SQL_PRICE,
    SQL_STATEMENTS
};
typedef struct sql_db {
    sqlite3 *db;
    sqlite3_stmt *st[SQL_STATEMENTS]; /* made on first use */
} sql_db;

/* The statement `which`, prepared from text on first use; NULL: it cannot be (errmsg says why). */
sqlite3_stmt *sql_prepared(sql_db *d, int which, const char *text);
/* Binds values from the first parameter on: 't' tp_str, 'i' int64_t, 'b' const void *, size_t.
 * What is bound is borrowed until the statement is bound anew. s NULL is allowed: the functions
 * below answer -1 for it. */
void sql_bind(sqlite3_stmt *s, const char *types, ...);
int sql_run(sqlite3_stmt *s, const char *types, ...); /* one that gives no row: 0, or -1 */
int sql_row(sqlite3_stmt *s, const char *types, ...); /* 1 row (reset it), 0 none, -1 */
int sql_exec(sql_db *d, const char *text);            /* 0, or -1 */
#define SQL_BUSY_MS 2000 /* how long a lock of another process is waited for */
/* Brings the log into the file and empties it: 0; -1: not now, somebody reads. Does not wait. */
int sql_checkpoint(sql_db *d);
/* First column of the first row: 0, or -1. No row: *out is unchanged. */
int sql_number(sql_db *d, const char *text, int64_t *out);
tp_str sql_text(sqlite3_stmt *s, int column); /* until the next step */
tp_str sql_blob(sqlite3_stmt *s, int column);
/* A sentence for a failed read: TP_ERROR_IO. */
int sql_cannot(sql_db *d, const char *what, tp_error *err);

#define SQL_UUID 16u
#define SQL_CHECK_BYTES (INT64_C(256) << 20) /* larger files are not read whole at start */
enum { SQL_MAKE = 1,   /* makes the file when it is not there */
       SQL_CHECK = 2   /* reads the file once in search of damage (up to SQL_CHECK_BYTES) */ };
typedef struct sql_found { /* what opening found */
    unsigned char uuid[SQL_UUID];
    int damaged;               /* after an error: the content is the trouble */
    int unchecked;             /* 1: too large to be checked */
} sql_found;
/* Opens for writing: sets it up, checks it, migrates. TP_ERROR_IO. */
int sql_open(sql_db *d, const char *path, int flags, sql_found *found, tp_error *err);
/* Opens an existing file for reading. TP_ERROR_IO. */
int sql_open_read(sql_db *d, const char *path, tp_error *err);
void sql_close(sql_db *d);
/* Damage that reading finds: 0 none; or a row for each fault is told. -1: cannot be read. */
int sql_damage(sql_db *d, const char *pragma, int (*fault)(void *arg, tp_str text), void *arg);

/* ---- Usage totals. */
/* Rows of one day; what clients make up beyond it is added to "(other)". */
#define SQL_DAY_ROWS 20000
/* Adds all rows of a tally, within the caller's transaction: 0, or -1. */
int sql_add(sql_db *d, const store_tally *t);
/* Answers store_port.usage on this connection. */
int sql_usage(sql_db *d, const char *from, const char *to,
              int (*row)(void *arg, const store_total *), void *arg, tp_error *err);

/* ---- Bytes of the formats: numbers as varints (7 bits a byte, least first), signed ones zigzag. */
typedef struct sql_bytes { /* grows; malloced */
    unsigned char *ptr;
    size_t len, cap;
} sql_bytes;
unsigned char *sql_more(sql_bytes *b, size_t n); /* room for n more after len; aborts without */
void sql_add_bytes(sql_bytes *b, const void *p, size_t n);
void sql_add_number(sql_bytes *b, uint64_t v);
void sql_add_signed(sql_bytes *b, int64_t v);
void sql_add_str(sql_bytes *b, tp_str s);
typedef struct sql_reader { /* never reads past end; bad is set where it would have */
    const unsigned char *at, *end;
    int bad;
} sql_reader;
uint64_t sql_get_number(sql_reader *r);
int64_t sql_get_signed(sql_reader *r);
tp_str sql_get_str(sql_reader *r);
uint32_t sql_crc(const void *p, size_t n);
/* A list of strings, as kept in a column: number, then each. */
void sql_pack_list(sql_bytes *b, const tp_str *list, uint32_t count);
/* Its strings, into a malloced array (NULL when empty), pointing into p: 0, or -1. */
int sql_unpack_list(tp_str p, tp_str **list, uint32_t *count);

/* ---- Names to numbers, for the time of a batch or a verification. */
typedef struct sql_name {
    size_t at, len;             /* in text */
    uint64_t hash;
    int64_t sum, entries;       /* for who counts by name */
} sql_name;
typedef struct sql_names {
    sql_name *list;
    uint32_t *slots;            /* number + 1 */
    sql_bytes text;
    uint32_t count, cap, slot_cap, last;
} sql_names;
uint32_t sql_name_of(sql_names *n, tp_str name); /* its number; new ones count up from 0 */
void sql_sum(int64_t *sum, int64_t n);           /* adds; stops at INT64_MAX */
tp_str sql_name_text(const sql_names *n, uint32_t i); /* until the next new name */
void sql_names_clear(sql_names *n);
void sql_names_free(sql_names *n);

/* ---- Ids seen: 64-bit hashes, each with a value. */
typedef struct sql_ids {
    uint64_t *slots;            /* pairs: hash (0: free), value */
    size_t count, cap;
} sql_ids;
/* 1: was new, and is there now with this value; 0: is there already (*value is its value). */
int sql_ids_put(sql_ids *s, tp_str id, uint64_t *value);
int sql_ids_get(const sql_ids *s, tp_str id, uint64_t *value); /* 1, or 0 */
void sql_ids_free(sql_ids *s);

/* ---- A batch: records on their way from lanes to rows. */
typedef struct sql_batch {
    sql_bytes records, last;    /* packed (sql_pack); the last one as it came */
    sql_bytes items;            /* of the ledger, see sqlite_ledger.c */
    sql_names teams, keys, prices, spend;
    uint32_t count, item_count;
    uint32_t unkept;            /* records that only the ledger needs: beside count */
    int64_t entries;            /* of the ledger, that the items stand for */
    int64_t first_ms, last_ms;  /* of the records' and their ids' times */
    int64_t item_first_ms, item_last_ms, item_ms; /* item_ms: of the last one */
    sql_bytes rejects;          /* lane number, sequence number, bytes: not records */
    uint32_t reject_count;
} sql_batch;
void sql_batch_clear(sql_batch *b);
void sql_batch_free(sql_batch *b);
/* Ids of generations that are stored, or are in the batch: of a running gateway the youngest ones. */
#define SQL_SEEN 4096u           /* so many at least */
typedef struct sql_seen {
    sql_ids young, old;
    int all;                     /* 1: none is forgotten */
} sql_seen;
void sql_seen_clear(sql_seen *s);
/* One record as it lies in a journal. A record with an id that was seen is left out: 0; that of any
 * other is seen afterwards: 1. Anything that is no record is kept aside. */
int sql_batch_add(sql_batch *b, uint32_t lane, uint64_t seq, const unsigned char *p, size_t n,
                  sql_seen *seen);
/* Stores it, within the caller's transaction: 0, or -1. */
int sql_batch_store(sql_db *d, const sql_batch *b, int64_t now_ms);

/* The first day of the month that a day lies in; both since 1970. */
int64_t sql_month_of(int64_t day);

/* ---- Generations: segments. */
/* Appends a record to packed ones (to->len 0: there is none yet); *last: the one before it, made
 * this one. */
void sql_pack(sql_bytes *to, sql_bytes *last, const unsigned char *p, size_t n);
/* Packed records -> each with its length, 32 bits little-endian, before it. Any bytes are safe.
 * 0; or -1: damaged, *out is what could be read before. */
int sql_unpack(tp_str data, sql_bytes *out);
/* Records of a segment can be older than its id says by this much; those of older ones are named in
 * segment_late. */
#define SQL_LATE_MS INT64_C(600000)
int sql_segment_store(sql_db *d, const sql_batch *b, int64_t now_ms);
/* Calls each record of a segment's data; seq: its place, from 0. 0, what it answered, or -1:
 * damaged. */
int sql_segment_each(tp_str data, int (*each)(void *arg, uint32_t at, const settle_record *r),
                     void *arg);
int sql_generation(sql_db *d, tp_str id, int (*row)(void *arg, const settle_record *r), void *arg,
                   tp_error *err);
int sql_generations(sql_db *d, const registry_query *q,
                    int (*row)(void *arg, const settle_record *r), void *arg, char next[64],
                    tp_error *err);
/* Puts the ids of all records that may be as young as from_ms into *seen: 0, or -1. */
int sql_segment_ids(sql_db *d, int64_t from_ms, sql_ids *seen);
/* Drops segments that are wholly older than before_ms, a few at a time: the number, or -1. */
int sql_segment_drop(sql_db *d, int64_t before_ms);

/* ---- The ledger. */
typedef struct sql_item { /* what one exchange put into the ledger; strings: borrowed */
    tp_str team, key, price, generation;
    int64_t unix_ms, hold, charged;
    uint32_t entries;           /* how many entries it stands for, 1 .. 3 */
} sql_item;
/* An amount beyond it, either way, is none (a milliard dollars). */
#define SQL_NANO_MAX SETTLE_MOST
static inline int sql_is_amount(int64_t nano)
{
    return nano <= SQL_NANO_MAX && nano >= -SQL_NANO_MAX;
}
void sql_item_add(sql_batch *b, const settle_record *r);
int sql_ledger_store(sql_db *d, const sql_batch *b, int64_t now_ms);
/* As sql_segment_ids, of what the ledger names. */
int sql_ledger_ids(sql_db *d, int64_t from_ms, sql_ids *seen);
typedef struct sql_ledger_reader {
    sql_reader in;
    tp_str *names;              /* teams, keys, prices, one after the other */
    uint32_t teams, keys, prices, items;
    int64_t unix_ms;
} sql_ledger_reader;
int sql_ledger_open(sql_ledger_reader *r, tp_str data); /* 0, or -1: damaged */
int sql_ledger_next(sql_ledger_reader *r, sql_item *item); /* 1, 0: no more, -1: damaged */
void sql_ledger_close(sql_ledger_reader *r);
/* The entries of an item: their number, as ledger_entries_of; 0: they are not as many as it says. */
uint32_t sql_item_entries(const sql_item *item, ledger_entry out[3]);
int sql_ledger(sql_db *d, const registry_query *q,
               int (*row)(void *arg, const ledger_entry *e), void *arg, char next[64],
               tp_error *err);
/* The number of the next entry: >= 1, or -1. */
int64_t sql_next_seq(sql_db *d);
/* Are the accounts the sums of the ledger, by its daily sums? 0; 1: no, why says the first
 * difference; -1: cannot be read. */
int sql_accounts_right(sql_db *d, char *why, size_t room);
int sql_verify(sql_db *d, registry_verdict *out, tp_error *err);

/* ---- Rows of the registry, within the caller's transaction: 0, -1 (the database), or a code of
 * manage/registry.h. */
int sql_put_team(sql_db *d, const registry_team *t);
int sql_put_key(sql_db *d, const registry_key *k);
int sql_remove_key(sql_db *d, tp_str id);
int sql_put_byok(sql_db *d, const registry_byok *b);
int sql_remove_byok(sql_db *d, tp_str team, tp_str provider, tp_str type);
int sql_add_entry(sql_db *d, const ledger_entry *e, int64_t *balance, int64_t *seq);
int sql_touch_key(sql_db *d, const registry_touch *t);
int sql_put_price(sql_db *d, tp_str version, tp_str deployment, tp_str json, int64_t now_ms);
int sql_load(sql_db *d, int64_t now_ms, const registry_sink *sink, tp_error *err);

/* ---- The store: one writer thread, and whoever calls. */
struct sql_store;
typedef struct sql_command { /* on the caller's stack until it is done */
    /* NULL: what is in the journal at this moment is stored (flush) */
    int (*run)(struct sql_store *s, void *arg);
    void *arg;
    struct sql_command *next;
    int result, done;
    char why[240];
} sql_command;

#define SQL_QUEUE 8u    /* tallies waiting; STORE_TALLY_MAX rows each at most */
#define SQL_READERS 32u /* connections that read at the same time */
#define SQL_WHOLES 2    /* of them, those that read everything */
typedef struct sql_touch {
    struct sql_touch *next;
    registry_touch is; /* its id lies behind */
    char id[];
} sql_touch;

typedef struct sql_file { /* which file it is, and as it was when it was looked at */
    dev_t dev;
    ino_t ino;
    off_t size;
    struct timespec mtime;
} sql_file;

typedef struct sql_known { /* of the accounts, what memory was told or told itself (sqlite_known.c) */
    sql_names used, credited; /* sums by team; `entries` of used: the load that told it last */
    sql_names granted;        /* by the commands of the transaction under way */
    uint64_t *doubtful;       /* numbers of a batch whose commit failed, by lane; NULL: there is none */
    int64_t loads;
} sql_known;

typedef struct sql_lane {
    uint64_t drained, given; /* stored; read in the batch under way */
} sql_lane;

typedef struct sql_store {
    const logger *log;
    char *path, *link;           /* the link that was given for it; NULL: none */
    store_options o;             /* paths in it are not used after opening */
    int read_only, lock_fd;
    unsigned char uuid[SQL_UUID];
    journal *journal;            /* NULL: none */
    pthread_t thread;
    pthread_mutex_t mutex;
    pthread_cond_t work, done, quiet;

    /* The writer's alone once it runs: */
    sql_db db;                   /* db.db NULL: closed after a failure */
    sql_file file;               /* that is open */
    ino_t wal, shm;              /* of the log beside it, and of the log's index */
    int condemned;               /* 1: `file` is damaged or another's; it is not opened again */
    int replaced;                /* 1: the file is another than memory was filled from */
    int spoiled;                 /* 1: the last failure was one of the file's content */
    int writes_wal;              /* 1: something was written since the last checkpoint */
    sql_batch batch;
    sql_seen seen;               /* of the batches since the last failure */
    sql_known known;             /* its sums also under the mutex: the first load is another thread's */
    sql_lane *lanes;
    uint32_t lane_count;
    store_tally *pending;        /* tallies that are not stored yet */
    sql_touch *touching;
    int64_t started_ms, retry_ms, retry_at, tried_at, sync_at, look_at, drop_at, wrote_at;

    /* Under the mutex: */
    store_tally *queue[SQL_QUEUE];
    uint32_t queued;
    sql_command *first, *last;
    sql_touch *touches, *touches_last;
    uint32_t touch_count;
    int stop, writing;           /* writing: the writer holds tallies that are not stored yet */
    int failing;
    int hurry;                   /* a lane is full */
    char why[240];
    char unsound[240];           /* not empty: the ledger's sums differ */
    char adrift[240];            /* not empty: the journal's files are gone */
    sqlite3 *readers[SQL_READERS];
    uint32_t reader_count;
    int wholes;                  /* verifications and backups under way */
    int exclusive;               /* the file is being opened anew: nobody reads */

    atomic_int_fast64_t drained_records, failed_writes, segments_dropped, last_commit_us;
} sql_store;

/* The accounts against the ledger: says a difference in the log, and in health until a verification
 * finds none. 0, or -1: cannot be read. */
int sql_check_accounts(sql_store *s);
/* The file beside the store that says who writes: 0, or TP_ERROR_IO. */
int sql_lock(sql_store *s, tp_error *err);
/* Is it still there, and ours? If it was taken away it is taken again. 0, or -1 with why: somebody
 * else has it. */
int sql_lock_look(sql_store *s, char *why, size_t room);
/* Does the link that was given still name the file? 0, or -1 with why. */
int sql_link_look(const sql_store *s, char *why, size_t room);
/* Opens the store's file for the writer at start. TP_ERROR_IO. */
int sql_file_open(sql_store *s, tp_error *err);
/* Is the open file still the one at the path, and a database? 0, or -1 with why (it is closed). */
int sql_file_look(sql_store *s, char *why, size_t room);
/* After a failure: closes, and opens what lies at the path if it is this store. 0, or -1 with why. */
int sql_file_reopen(sql_store *s, char *why, size_t room);
/* Closes the writer's connection. damaged: nothing is written to the file any more. */
void sql_file_close(sql_store *s, int damaged);

/* Drains lanes of a former run into the open file: 0, or TP_ERROR_IO. [load] */
int sql_recover(sql_store *s, journal *j, tp_error *err);
/* What the database knows of the lanes, into s->lanes: 0, or -1. */
int sql_lanes_load(sql_store *s);
/* Reads undrained records into the (cleared) batch: 1: there may be more, 0. */
int sql_gather(sql_store *s);
/* Stores the batch and what it says of the lanes, within the writer's transaction: 0, or -1. */
int sql_batch_put(sql_store *s, int64_t now_ms);
void sql_batch_release(sql_store *s); /* it is stored */

/* The load of the registry, with what is news in its sums. At start, and from `reopened`: while
 * nothing is written. */
int sql_known_load(sql_store *s, sql_db *d, int64_t now_ms, const registry_sink *sink,
                   tp_error *err);
/* In a transaction: it grants this. begin forgets what one before it granted. */
void sql_known_begin(sql_store *s);
void sql_known_grant(sql_store *s, tp_str team, int64_t nano);
void sql_known_stored(sql_store *s); /* the transaction: its batch, and what it granted */
/* Its commit failed: whether the batch is stored all the same is seen when the file is open again
 * and the lanes' numbers are loaded. */
void sql_known_doubt(sql_store *s);
void sql_known_resolve(sql_store *s);
void sql_known_free(sql_store *s);

void *sql_writer(void *store);
/* Runs it on the writer's thread and waits. 0, what it answered, or TP_ERROR_IO. [any] */
int sql_call(sql_store *s, int (*run)(sql_store *s, void *arg), void *arg, tp_error *err);
void sql_wake(sql_store *s); /* after something was queued, without the mutex */
void sql_registry_port(sql_store *s, registry_port *out);
int sql_port_usage(void *self, const char *from, const char *to,
                   int (*row)(void *arg, const store_total *), void *arg, tp_error *err);
int64_t sql_mono_ms(void);
int64_t sql_unix_ms(void);
void sql_deadline(struct timespec *t, int64_t mono_ms); /* for the condition variables */
#endif
