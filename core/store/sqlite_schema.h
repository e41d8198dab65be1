/* Private to sqlite_open.c: the schema, version by version. */
#ifndef TP_STORE_SQLITE_SCHEMA_H
#define TP_STORE_SQLITE_SCHEMA_H

/* migrations[i] brings version i to i + 1. Never edited once released; only added to. */
static const char *const migrations[] = {
    "CREATE TABLE usage_total("
    " day TEXT NOT NULL, key TEXT NOT NULL, model TEXT NOT NULL, provider TEXT NOT NULL,"
    " requests INTEGER NOT NULL, failures INTEGER NOT NULL, cancelled INTEGER NOT NULL,"
    " cost_nano INTEGER NOT NULL,"
    " PRIMARY KEY(day, key, model, provider)) WITHOUT ROWID;"
    "CREATE TABLE usage_unit("
    " day TEXT NOT NULL, key TEXT NOT NULL, model TEXT NOT NULL, provider TEXT NOT NULL,"
    " unit TEXT NOT NULL, count INTEGER NOT NULL,"
    " PRIMARY KEY(day, key, model, provider, unit)) WITHOUT ROWID;",

    /* meta: 'store' is which store this is, random, kept by backups.
     * team, account, key, byok, price: rows of manage/registry.h; lists are packed (sql_pack_list).
     * segment: records of generations, each with its length (32 bits, little-endian) before it, a row
     *   a transaction; id is the largest of the last one plus 1 and the microseconds of the drain and
     *   of each record: ordered by time, so look-ups need no index. first_ms, last_ms: of the
     *   records' and their ids' times. segment_late: those with records older than 10 minutes.
     * ledger_segment: settles, packed (sqlite_ledger.c), under the number of their first entry;
     *   entries: how many numbers they take. ledger_entry: grants, refunds, adjustments.
     * ledger_day: sums of ledger_segment by UTC day of the drain, so that a start reads a few rows
     *   a day, not one a transaction. account: sums of ledger_day and ledger_entry. day: since 1970.
     * key_spend: one row a key, so that a start reads as many; day, month: sums of the last ones.
     * journal_state: number up to which a lane of the journal lies in here.
     * rejected: what lay in a lane and is no record that this version can read. */
    "CREATE TABLE meta(name TEXT PRIMARY KEY NOT NULL, value NOT NULL) WITHOUT ROWID;"
    "INSERT INTO meta VALUES('store', randomblob(16));"
    "CREATE TABLE team("
    " id TEXT PRIMARY KEY NOT NULL, name TEXT NOT NULL, active INTEGER NOT NULL,"
    " billing INTEGER NOT NULL, tier TEXT NOT NULL, created_ms INTEGER NOT NULL,"
    " min_trust INTEGER NOT NULL, data_local INTEGER NOT NULL, allow_models BLOB NOT NULL,"
    " deny_models BLOB NOT NULL, allow_providers BLOB NOT NULL, deny_providers BLOB NOT NULL)"
    " WITHOUT ROWID;"
    "INSERT INTO team VALUES('default', 'default', 1, 2, '',"
    " CAST(strftime('%s', 'now') AS INTEGER) * 1000, 0, 0, x'', x'', x'', x'');"
    "CREATE TABLE key("
    " id TEXT PRIMARY KEY NOT NULL, name TEXT NOT NULL, team TEXT NOT NULL,"
    " lookup TEXT NOT NULL UNIQUE, tier TEXT NOT NULL, created_by TEXT NOT NULL,"
    " models BLOB NOT NULL, role INTEGER NOT NULL, disabled INTEGER NOT NULL,"
    " spend_period INTEGER NOT NULL, spend_limit_nano INTEGER NOT NULL,"
    " requests_per_minute INTEGER NOT NULL, tokens_per_minute INTEGER NOT NULL,"
    " concurrency INTEGER NOT NULL, created_ms INTEGER NOT NULL, expires_ms INTEGER NOT NULL,"
    " last_used_ms INTEGER NOT NULL, argon2 TEXT NOT NULL, hmac BLOB NOT NULL,"
    " pepper_id BLOB NOT NULL) WITHOUT ROWID;"
    "CREATE TABLE byok("
    " team TEXT NOT NULL, provider TEXT NOT NULL, type TEXT NOT NULL, hint TEXT NOT NULL,"
    " sealed BLOB NOT NULL, created_ms INTEGER NOT NULL, PRIMARY KEY(team, provider, type))"
    " WITHOUT ROWID;"
    "CREATE TABLE price("
    " version TEXT PRIMARY KEY NOT NULL, deployment TEXT NOT NULL, json TEXT NOT NULL,"
    " first_ms INTEGER NOT NULL) WITHOUT ROWID;"
    "CREATE TABLE account("
    " team TEXT PRIMARY KEY NOT NULL, credited INTEGER NOT NULL, used INTEGER NOT NULL,"
    " entries INTEGER NOT NULL) WITHOUT ROWID;"
    "CREATE TABLE segment("
    " id INTEGER PRIMARY KEY, first_ms INTEGER NOT NULL, last_ms INTEGER NOT NULL,"
    " count INTEGER NOT NULL, crc INTEGER NOT NULL, drained_ms INTEGER NOT NULL,"
    " data BLOB NOT NULL);"
    "CREATE TABLE segment_late("
    " segment INTEGER PRIMARY KEY, first_ms INTEGER NOT NULL, last_ms INTEGER NOT NULL);"
    "CREATE TABLE ledger_segment("
    " first_seq INTEGER PRIMARY KEY, entries INTEGER NOT NULL, day INTEGER NOT NULL,"
    " first_ms INTEGER NOT NULL, last_ms INTEGER NOT NULL, crc INTEGER NOT NULL,"
    " data BLOB NOT NULL);"
    "CREATE TABLE ledger_day("
    " day INTEGER NOT NULL, team TEXT NOT NULL, charged INTEGER NOT NULL,"
    " entries INTEGER NOT NULL, PRIMARY KEY(day, team)) WITHOUT ROWID;"
    "CREATE TABLE ledger_entry("
    " seq INTEGER PRIMARY KEY, kind INTEGER NOT NULL, team TEXT NOT NULL, nano INTEGER NOT NULL,"
    " unix_ms INTEGER NOT NULL, generation TEXT NOT NULL, key TEXT NOT NULL, note TEXT NOT NULL,"
    " actor TEXT NOT NULL, reference TEXT NOT NULL);"
    "CREATE UNIQUE INDEX ledger_reference ON ledger_entry(team, reference) WHERE reference <> '';"
    "CREATE TABLE key_spend("
    " key TEXT PRIMARY KEY NOT NULL, total INTEGER NOT NULL, day INTEGER NOT NULL,"
    " day_nano INTEGER NOT NULL, month INTEGER NOT NULL, month_nano INTEGER NOT NULL)"
    " WITHOUT ROWID;"
    "CREATE TABLE journal_state(lane BLOB PRIMARY KEY NOT NULL, drained INTEGER NOT NULL)"
    " WITHOUT ROWID;"
    "CREATE TABLE rejected("
    " lane BLOB NOT NULL, seq INTEGER NOT NULL, drained_ms INTEGER NOT NULL, data BLOB NOT NULL,"
    " PRIMARY KEY(lane, seq));",
};
#endif
