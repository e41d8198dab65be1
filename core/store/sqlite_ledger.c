/* The ledger. What exchanges put into it lies packed, a row a transaction,
 * never dropped:
 *
 *     u8 1 (version), numbers of teams, of keys, of price versions, of items,
 *     the teams, the keys, the price versions,
 *     for each item: its team, its key, its price version (places in these
 * lists), how many entries it stands for, its Unix milliseconds less those of
 * the item before, hold, charged, and the generation's id.
 *
 * Numbers are varints, those after "entries" signed (zigzag); a string is its
 * length and its bytes. Entries are numbered from the row's first_seq on, item
 * by item. Grants, refunds and adjustments are rows of their own. */
#include <stdio.h>
#include <stdlib.h>

#include "base/str.h"
#include "store/sqlite_int.h"

enum { VERSION = 1 };

static void item_record(const sql_item *item, settle_record *r)
{
    *r = (settle_record){.team = item->team,
                         .key_id = item->key,
                         .price_version = item->price,
                         .generation = item->generation,
                         .unix_ms = item->unix_ms,
                         .hold_nano = item->hold,
                         .charged_nano = item->charged};
}

uint32_t sql_item_entries(const sql_item *item, ledger_entry out[3])
{
    settle_record r;
    item_record(item, &r);
    uint32_t n = ledger_entries_of(&r, out);
    return n == item->entries ? n : 0;
}

void sql_item_add(sql_batch *b, const settle_record *r)
{
    ledger_entry e[3];
    if (!r->team.len) /* nobody pays */
        return;
    uint32_t n = ledger_entries_of(r, e);
    if (n == 0)
        return;
    uint32_t team = sql_name_of(&b->teams, r->team);
    if (b->item_count++ == 0)
        b->item_first_ms = b->item_last_ms = r->unix_ms, b->item_ms = 0;
    b->item_first_ms = TP_MIN(b->item_first_ms, r->unix_ms);
    b->item_last_ms = TP_MAX(b->item_last_ms, r->unix_ms);
    b->entries += n;
    sql_sum(&b->teams.list[team].sum, r->charged_nano);
    b->teams.list[team].entries += n;
    sql_add_number(&b->items, team);
    sql_add_number(&b->items, sql_name_of(&b->keys, r->key_id));
    sql_add_number(&b->items, sql_name_of(&b->prices, r->price_version));
    sql_add_number(&b->items, n);
    sql_add_signed(&b->items, (int64_t)((uint64_t)r->unix_ms - (uint64_t)b->item_ms));
    sql_add_signed(&b->items, r->hold_nano);
    sql_add_signed(&b->items, r->charged_nano);
    sql_add_str(&b->items, r->generation);
    b->item_ms = r->unix_ms;
}

int64_t sql_next_seq(sql_db *d)
{
    int64_t next = 1;
    sqlite3_stmt *s = sql_prepared(d, SQL_SEQ_SEGMENT,
                                   "SELECT first_seq + entries FROM ledger_segment"
                                   " ORDER BY first_seq DESC LIMIT 1");
    int rc = sql_row(s, "");
    if (rc > 0) {
        next = sqlite3_column_int64(s, 0);
        sqlite3_reset(s);
    }
    if (rc < 0)
        return -1;
    s = sql_prepared(d, SQL_SEQ_ENTRY, "SELECT max(seq) + 1 FROM ledger_entry");
    rc = sql_row(s, "");
    if (rc > 0) {
        next = TP_MAX(next, sqlite3_column_int64(s, 0));
        sqlite3_reset(s);
    }
    return rc < 0 ? -1 : next;
}

static void add_names(sql_bytes *b, const sql_names *n)
{
    for (uint32_t i = 0; i < n->count; i++)
        sql_add_str(b, sql_name_text(n, i));
}

static int store_sums(sql_db *d, const sql_batch *b, int64_t day)
{
    for (uint32_t i = 0; i < b->teams.count; i++) {
        const sql_name *n = &b->teams.list[i];
        tp_str team = sql_name_text(&b->teams, i);
        sqlite3_stmt *s = sql_prepared(d, SQL_LEDGER_DAY,
                                       "INSERT INTO ledger_day VALUES(?, ?, ?, ?)"
                                       " ON CONFLICT DO UPDATE SET charged = charged +"
                                       " excluded.charged, entries = entries + excluded.entries");
        if (sql_run(s, "itii", day, team, n->sum, n->entries) < 0)
            return -1;
        s = sql_prepared(d, SQL_ACCOUNT_USED,
                         "INSERT INTO account VALUES(?, 0, ?, ?) ON CONFLICT DO UPDATE SET"
                         " used = used + excluded.used, entries = entries + excluded.entries");
        if (sql_run(s, "tii", team, n->sum, n->entries) < 0)
            return -1;
    }
    return 0;
}

int sql_ledger_store(sql_db *d, const sql_batch *b, int64_t now_ms)
{
    sql_bytes out = {0};
    int64_t seq = sql_next_seq(d), day = now_ms / 86400000;
    if (seq < 0)
        return -1;
    sql_more(&out, b->items.len + b->teams.text.len + b->keys.text.len + b->prices.text.len + 64);
    sql_add_number(&out, VERSION);
    sql_add_number(&out, b->teams.count);
    sql_add_number(&out, b->keys.count);
    sql_add_number(&out, b->prices.count);
    sql_add_number(&out, b->item_count);
    add_names(&out, &b->teams);
    add_names(&out, &b->keys);
    add_names(&out, &b->prices);
    sql_add_bytes(&out, b->items.ptr, b->items.len);
    sqlite3_stmt *s = sql_prepared(d, SQL_LEDGER_SEGMENT,
                                   "INSERT INTO ledger_segment VALUES(?, ?, ?, ?, ?, ?, ?)");
    int rc = sql_run(s, "iiiiiib", seq, b->entries, day, b->item_first_ms, b->item_last_ms,
                     (int64_t)sql_crc(out.ptr, out.len), (const void *)out.ptr, out.len);
    free(out.ptr);
    return rc < 0 ? -1 : store_sums(d, b, day);
}

/* ---- Reading. */

int sql_ledger_open(sql_ledger_reader *r, tp_str data)
{
    uint64_t n[4] = {0};
    *r = (sql_ledger_reader){
        .in = {(const unsigned char *)data.ptr, (const unsigned char *)data.ptr + data.len, 0}};
    if (data.len == 0 || sql_get_number(&r->in) != VERSION)
        return -1;
    for (int i = 0; i < 4; i++) {
        n[i] = sql_get_number(&r->in);
        if (n[i] > data.len) /* each takes a byte at least */
            r->in.bad = 1;
    }
    if (r->in.bad || n[0] + n[1] + n[2] > data.len)
        return -1;
    r->teams = (uint32_t)n[0];
    r->keys = (uint32_t)n[1];
    r->prices = (uint32_t)n[2];
    r->items = (uint32_t)n[3];
    uint32_t all = r->teams + r->keys + r->prices;
    r->names = tp_xcalloc((size_t)all + 1, sizeof(*r->names));
    for (uint32_t i = 0; i < all; i++)
        r->names[i] = sql_get_str(&r->in);
    if (!r->in.bad)
        return 0;
    sql_ledger_close(r);
    return -1;
}

int sql_ledger_next(sql_ledger_reader *r, sql_item *item)
{
    if (r->items == 0)
        return r->in.at == r->in.end ? 0 : -1;
    uint64_t team = sql_get_number(&r->in), key = sql_get_number(&r->in);
    uint64_t price = sql_get_number(&r->in), entries = sql_get_number(&r->in);
    int64_t since = sql_get_signed(&r->in);
    *item = (sql_item){.entries = (uint32_t)TP_MIN(entries, 4)};
    item->hold = sql_get_signed(&r->in);
    item->charged = sql_get_signed(&r->in);
    item->generation = sql_get_str(&r->in);
    if (r->in.bad || !sql_is_amount(item->hold) || !sql_is_amount(item->charged) ||
        team >= r->teams || key >= r->keys || price >= r->prices ||
        __builtin_add_overflow(r->unix_ms, since, &item->unix_ms))
        return -1;
    item->team = r->names[team];
    item->key = r->names[r->teams + key];
    item->price = r->names[r->teams + r->keys + price];
    r->unix_ms = item->unix_ms;
    r->items--;
    return 1;
}

void sql_ledger_close(sql_ledger_reader *r)
{
    free(r->names);
    r->names = NULL;
}

/* ---- Pages of entries: segments and single rows, merged by their numbers. */

#define PAGE_BYTES (INT64_C(64) << 20)

typedef struct listing {
    const registry_query *q;
    int (*row)(void *arg, const ledger_entry *e);
    void *arg;
    int64_t before; /* newest first: only entries below this number */
    int64_t rest;   /* the next page is what lies below */
    int64_t read;   /* bytes */
    uint32_t given;
    int up, answer, full; /* up: oldest first, all of them */
    sql_item *items;      /* of a segment, for reading it from its end */
    int64_t *firsts;      /* number of each item's first entry */
    size_t cap;
} listing;

static int wanted(const listing *l, const ledger_entry *e)
{
    const registry_query *q = l->q;
    if (!l->up && e->seq >= l->before)
        return 0;
    if ((q->status && e->kind != q->status) || (q->team.len && !str_eq(q->team, e->team)) ||
        (q->key.len && !str_eq(q->key, e->key)))
        return 0;
    return (!q->from_ms || e->unix_ms >= q->from_ms) && (!q->to_ms || e->unix_ms < q->to_ms);
}

/* 1: the page is full, or row answered. */
static int give(listing *l, const ledger_entry *e)
{
    if (!wanted(l, e))
        return 0;
    if (!l->up && l->given == l->q->limit) {
        l->full = 1;
        l->rest = e->seq + 1;
        return 1;
    }
    l->given++;
    l->answer = l->row(l->arg, e);
    return l->answer != 0;
}

static int give_item(listing *l, const sql_item *item, int64_t first)
{
    ledger_entry e[3];
    uint32_t n = sql_item_entries(item, e);
    if (n == 0)
        return -1;
    int stop = 0;
    for (uint32_t i = 0; i < n && !stop; i++) {
        uint32_t at = l->up ? i : n - 1 - i;
        e[at].seq = first + at;
        stop = give(l, &e[at]);
    }
    return stop;
}

static int has_team(const sql_ledger_reader *r, tp_str team)
{
    int has = team.len == 0;
    for (uint32_t i = 0; i < r->teams && !has; i++)
        has = str_eq(r->names[i], team);
    return has;
}

/* 0 go on, 1 stop, -1 damaged. */
static int give_segment(listing *l, int64_t first, tp_str data)
{
    sql_ledger_reader r;
    size_t n = 0;
    int rc = 0;
    if (sql_ledger_open(&r, data) < 0)
        return -1;
    if (!has_team(&r, l->q->team)) {
        sql_ledger_close(&r);
        return 0;
    }
    if (r.items > l->cap) {
        l->cap = r.items;
        l->items = tp_xrealloc(l->items, l->cap * sizeof(*l->items));
        l->firsts = tp_xrealloc(l->firsts, l->cap * sizeof(*l->firsts));
    }
    while (n < l->cap && (rc = sql_ledger_next(&r, &l->items[n])) > 0) {
        l->firsts[n] = first;
        first += l->items[n++].entries;
    }
    rc = rc < 0 ? -1 : 0;
    for (size_t i = 0; i < n && rc == 0; i++) {
        size_t at = l->up ? i : n - 1 - i;
        rc = give_item(l, &l->items[at], l->firsts[at]);
    }
    sql_ledger_close(&r);
    return rc;
}

static int give_row(listing *l, sqlite3_stmt *s)
{
    ledger_entry e = {.seq = sqlite3_column_int64(s, 0),
                      .kind = sqlite3_column_int(s, 1),
                      .team = sql_text(s, 2),
                      .nano = sqlite3_column_int64(s, 3),
                      .unix_ms = sqlite3_column_int64(s, 4),
                      .generation = sql_text(s, 5),
                      .key = sql_text(s, 6),
                      .note = sql_text(s, 7),
                      .actor = sql_text(s, 8),
                      .reference = sql_text(s, 9)};
    return give(l, &e);
}

#define SEGMENTS                                                                                   \
    "SELECT first_seq, data FROM ledger_segment WHERE first_seq < ?1 AND "                         \
    "last_ms >= ?2"                                                                                \
    " AND first_ms < ?3 ORDER BY first_seq "
#define ENTRIES                                                                                    \
    "SELECT seq, kind, team, nano, unix_ms, generation, key, note, actor, "                        \
    "reference"                                                                                    \
    " FROM ledger_entry WHERE seq < ?1 AND unix_ms >= ?2 AND unix_ms < ?3 "                        \
    "ORDER BY seq "

static int merge(listing *l, sqlite3_stmt *segments, sqlite3_stmt *rows)
{
    int a = sqlite3_step(segments), b = sqlite3_step(rows), stop = 0;
    while (!stop && (a == SQLITE_ROW || b == SQLITE_ROW)) {
        int64_t x = a == SQLITE_ROW ? sqlite3_column_int64(segments, 0) : -1;
        int64_t y = b == SQLITE_ROW ? sqlite3_column_int64(rows, 0) : -1;
        if (y < 0 || (x >= 0 && (l->up ? x < y : x > y))) {
            tp_str data = sql_blob(segments, 1);
            stop = give_segment(l, x, data);
            l->read += (int64_t)data.len;
            if (!stop && !l->up && l->read > PAGE_BYTES) {
                l->full = stop = 1;
                l->rest = x;
            }
            if (!stop)
                a = sqlite3_step(segments);
        } else {
            stop = give_row(l, rows);
            if (!stop)
                b = sqlite3_step(rows);
        }
    }
    if (stop)
        return stop < 0 ? -1 : 0;
    return a == SQLITE_DONE && b == SQLITE_DONE ? 0 : -1;
}

int sql_ledger(sql_db *d, const registry_query *q, int (*row)(void *arg, const ledger_entry *e),
               void *arg, char next[64], tp_error *err)
{
    listing l = {.q = q, .row = row, .arg = arg, .up = q->limit == 0, .before = INT64_MAX};
    sqlite3_stmt *segments = NULL, *rows = NULL;
    next[0] = 0;
    if (q->cursor.len && (str_to_i64(q->cursor, &l.before) != 0 || l.before <= 0))
        return tp_error_set(err, TP_ERROR_NOT_FOUND,
                            "cursor \"%.*s\": expected one that a page has ended with",
                            (int)TP_MIN(q->cursor.len, (size_t)60), q->cursor.ptr);
    int rc = sql_exec(d, "BEGIN"); /* both of the same moment */
    if (rc == 0 &&
        (sqlite3_prepare_v2(d->db, l.up ? SEGMENTS : SEGMENTS "DESC", -1, &segments, NULL) !=
             SQLITE_OK ||
         sqlite3_prepare_v2(d->db, l.up ? ENTRIES : ENTRIES "DESC", -1, &rows, NULL) != SQLITE_OK))
        rc = -1;
    if (rc == 0) {
        int64_t from = q->from_ms ? q->from_ms : INT64_MIN, to = q->to_ms ? q->to_ms : INT64_MAX;
        sql_bind(segments, "iii", l.before, from, to);
        sql_bind(rows, "iii", l.before, from, to);
        rc = merge(&l, segments, rows);
    }
    if (rc < 0)
        rc = sql_cannot(d, "the ledger cannot be read (`turnpike ledger verify` says more)", err);
    sqlite3_finalize(segments);
    sqlite3_finalize(rows);
    sql_exec(d, "ROLLBACK");
    free(l.items);
    free(l.firsts);
    if (l.full && rc == 0)
        snprintf(next, 64, "%lld", (long long)l.rest);
    return rc < 0 ? rc : l.answer;
}

/* ---- What recovery must not charge twice. */

#define LATE_MS INT64_C(3600000) /* by how much what one transaction brought may be older than that
                                    of the one before it */

int sql_ledger_ids(sql_db *d, int64_t from_ms, sql_ids *seen)
{
    sqlite3_stmt *s = NULL;
    sql_ledger_reader r;
    sql_item item;
    int rc = sqlite3_prepare_v2(
        d->db, "SELECT last_ms, data FROM ledger_segment ORDER BY first_seq DESC", -1, &s, NULL);
    if (rc != SQLITE_OK)
        return -1;
    while ((rc = sqlite3_step(s)) == SQLITE_ROW) {
        int64_t last_ms = sqlite3_column_int64(s, 0);
        if (last_ms < from_ms - TP_MIN(from_ms, LATE_MS))
            break; /* what was stored before is older */
        if (last_ms < from_ms || sql_ledger_open(&r, sql_blob(s, 1)) < 0)
            continue;
        while (sql_ledger_next(&r, &item) > 0)
            if (item.generation.len)
                sql_ids_put(seen, item.generation, &(uint64_t){0});
        sql_ledger_close(&r);
    }
    sqlite3_finalize(s);
    return rc == SQLITE_DONE || rc == SQLITE_ROW ? 0 : -1;
}

/* ---- The accounts against the sums that they are made of. */

int sql_accounts_right(sql_db *d, char *why, size_t room)
{
    static const char text[] =
        "WITH s(team, credited, used, entries) AS ("
        " SELECT team, 0, sum(charged), sum(entries) FROM ledger_day GROUP BY "
        "team UNION ALL"
        " SELECT team, sum(nano), 0, count(*) FROM ledger_entry GROUP BY team "
        "UNION ALL"
        " SELECT team, -credited, -used, -entries FROM account)"
        " SELECT team, sum(credited), sum(used), sum(entries) FROM s GROUP BY "
        "team"
        " HAVING sum(credited) <> 0 OR sum(used) <> 0 OR sum(entries) <> 0 ORDER "
        "BY team LIMIT 1";
    sqlite3_stmt *s = NULL;
    int rc = -1;
    if (sqlite3_prepare_v2(d->db, text, -1, &s, NULL) == SQLITE_OK)
        rc = sqlite3_step(s);
    if (rc == SQLITE_ROW) {
        tp_str team = sql_text(s, 0);
        snprintf(why, room,
                 "account of team %.*s: the ledger's entries come to %lld nano-dollars "
                 "more "
                 "credited, %lld more used, %lld more entries than the account says",
                 STR_ARG(team), (long long)sqlite3_column_int64(s, 1),
                 (long long)sqlite3_column_int64(s, 2), (long long)sqlite3_column_int64(s, 3));
    }
    sqlite3_finalize(s);
    return rc == SQLITE_ROW ? 1 : rc == SQLITE_DONE ? 0 : -1;
}
