/* Rows of the registry: teams, keys, provider keys, prices, grants. Whoever
 * calls has begun a transaction and a savepoint. */
#include <stdlib.h>

#include "base/str.h"
#include "store/sqlite_int.h"

/* It may owe from now on, whatever it becomes; so may one whose row alone says that it was postpaid
 * (the default team of a new store, teams of an older version). */
static int may_owe(sql_db *d, const registry_team *t)
{
    sqlite3_stmt *s =
        sql_prepared(d, SQL_TEAM_OWES,
                     "INSERT OR IGNORE INTO meta SELECT 'postpaid ' || ?1, 1 WHERE ?2 = ?3 OR"
                     " EXISTS (SELECT 1 FROM team WHERE id = ?1 AND billing = ?3)");
    return sql_run(s, "tii", t->id, (int64_t)t->billing, (int64_t)CONF_POSTPAID);
}

int sql_put_team(sql_db *d, const registry_team *t)
{
    if (may_owe(d, t) < 0)
        return -1;
    const conf_policy *p = &t->policy;
    sql_bytes b = {0};
    size_t at[4];
    sqlite3_stmt *s =
        sql_prepared(d, SQL_TEAM,
                     "INSERT OR REPLACE INTO team(id, name, tier, active, billing, created_ms,"
                     " min_trust, data_local, allow_models, deny_models, allow_providers,"
                     " deny_providers) VALUES(?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)");
    at[0] = b.len;
    sql_pack_list(&b, p->allow_models, p->allow_model_count);
    at[1] = b.len;
    sql_pack_list(&b, p->deny_models, p->deny_model_count);
    at[2] = b.len;
    sql_pack_list(&b, p->allow_providers, p->allow_provider_count);
    at[3] = b.len;
    sql_pack_list(&b, p->deny_providers, p->deny_provider_count);
    int rc = sql_run(s, "tttiiiiibbbb", t->id, t->name, t->tier, (int64_t)t->active,
                     (int64_t)t->billing, t->created_ms, (int64_t)p->min_trust,
                     (int64_t)p->data_local, (const void *)(b.ptr + at[0]), at[1] - at[0],
                     (const void *)(b.ptr + at[1]), at[2] - at[1], (const void *)(b.ptr + at[2]),
                     at[3] - at[2], (const void *)(b.ptr + at[3]), b.len - at[3]);
    free(b.ptr);
    return rc;
}

int sql_put_key(sql_db *d, const registry_key *k)
{
    sqlite3_stmt *s =
        sql_prepared(d, SQL_KEY_LOOKUP, "SELECT 1 FROM key WHERE lookup = ? AND id <> ?");
    int rc = sql_row(s, "tt", k->lookup, k->id);
    if (rc < 0)
        return -1;
    if (rc) {
        sqlite3_reset(s);
        return TP_ERROR_EXISTS;
    }
    sql_bytes models = {0};
    sql_pack_list(&models, k->models, k->model_count);
    /* When it was used last is written behind: what is stored may be younger than
     * what came. */
    s = sql_prepared(d, SQL_KEY,
                     "INSERT INTO key VALUES(?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, "
                     "?, ?, ?, ?)"
                     " ON CONFLICT(id) DO UPDATE SET name = excluded.name, team = "
                     "excluded.team,"
                     " lookup = excluded.lookup, tier = excluded.tier, created_by = "
                     "excluded.created_by,"
                     " models = excluded.models, role = excluded.role, disabled = "
                     "excluded.disabled,"
                     " spend_period = excluded.spend_period, spend_limit_nano = "
                     "excluded.spend_limit_nano,"
                     " requests_per_minute = excluded.requests_per_minute,"
                     " tokens_per_minute = excluded.tokens_per_minute, concurrency = "
                     "excluded.concurrency,"
                     " created_ms = excluded.created_ms, expires_ms = excluded.expires_ms,"
                     " last_used_ms = max(last_used_ms, excluded.last_used_ms), argon2 = "
                     "excluded.argon2,"
                     " hmac = excluded.hmac, pepper_id = excluded.pepper_id");
    rc = sql_run(s, "ttttttbiiiiiiiiiitbb", k->id, k->name, k->team, k->lookup, k->tier,
                 k->created_by, (const void *)models.ptr, models.len, (int64_t)k->role,
                 (int64_t)k->disabled, (int64_t)k->spend_period, k->spend_limit_nano,
                 k->limits.requests_per_minute, k->limits.tokens_per_minute, k->limits.concurrency,
                 k->created_ms, k->expires_ms, k->last_used_ms, k->argon2, (const void *)k->hmac,
                 sizeof(k->hmac), (const void *)k->pepper_id, sizeof(k->pepper_id));
    free(models.ptr);
    return rc;
}

static int removed(sql_db *d, int rc)
{
    return rc < 0 ? -1 : sqlite3_changes(d->db) ? 0 : TP_ERROR_NOT_FOUND;
}

int sql_remove_key(sql_db *d, tp_str id)
{
    return removed(d,
                   sql_run(sql_prepared(d, SQL_KEY_GONE, "DELETE FROM key WHERE id = ?"), "t", id));
}

int sql_touch_key(sql_db *d, const registry_touch *t)
{
    return sql_run(sql_prepared(d, SQL_KEY_TOUCH,
                                "UPDATE key SET last_used_ms = max(last_used_ms, ?2), hmac = ?3,"
                                " pepper_id = ?4"
                                " WHERE id = ?1 AND (last_used_ms < ?2 OR pepper_id <> ?4)"),
                   "tibb", t->id, t->used_ms, (const void *)t->hmac, sizeof(t->hmac),
                   (const void *)t->pepper_id, sizeof(t->pepper_id));
}

int sql_put_byok(sql_db *d, const registry_byok *b)
{
    return sql_run(
        sql_prepared(d, SQL_BYOK, "INSERT OR REPLACE INTO byok VALUES(?, ?, ?, ?, ?, ?)"), "ttttbi",
        b->team, b->provider, b->type, b->hint, (const void *)b->sealed.ptr, b->sealed.len,
        b->created_ms);
}

int sql_remove_byok(sql_db *d, tp_str team, tp_str provider, tp_str type)
{
    return removed(
        d, sql_run(sql_prepared(d, SQL_BYOK_GONE,
                                "DELETE FROM byok WHERE team = ? AND provider = ? AND type = ?"),
                   "ttt", team, provider, type));
}

int sql_put_price(sql_db *d, tp_str version, tp_str deployment, tp_str json, int64_t now_ms)
{
    return sql_run(sql_prepared(d, SQL_PRICE, "INSERT OR IGNORE INTO price VALUES(?, ?, ?, ?)"),
                   "ttti", version, deployment, json, now_ms);
}

/* ---- Money. */

static int account_of(sql_db *d, tp_str team, int64_t *credited, int64_t *used)
{
    sqlite3_stmt *s =
        sql_prepared(d, SQL_ACCOUNT, "SELECT credited, used FROM account WHERE team = ?");
    int rc = sql_row(s, "t", team);
    *credited = rc > 0 ? sqlite3_column_int64(s, 0) : 0;
    *used = rc > 0 ? sqlite3_column_int64(s, 1) : 0;
    if (rc > 0)
        sqlite3_reset(s);
    return rc < 0 ? -1 : 0;
}

int sql_add_entry(sql_db *d, const ledger_entry *e, int64_t *balance, int64_t *seq)
{
    int64_t credited, used, sum;
    if (account_of(d, e->team, &credited, &used) < 0)
        return -1;
    sqlite3_stmt *s = sql_prepared(d, SQL_REFERENCE,
                                   "SELECT seq FROM ledger_entry WHERE team = ?1 AND reference = ?2"
                                   " AND reference <> ''");
    int rc = sql_row(s, "tt", e->team, e->reference);
    if (rc < 0)
        return -1;
    if (rc) {
        *seq = sqlite3_column_int64(s, 0);
        *balance = credited - used;
        sqlite3_reset(s);
        return TP_ERROR_EXISTS;
    }
    if (__builtin_add_overflow(credited, e->nano, &sum) ||
        __builtin_sub_overflow(sum, used, balance))
        return TP_ERROR_LIMIT;
    if ((*seq = sql_next_seq(d)) < 0)
        return -1;
    s = sql_prepared(d, SQL_ENTRY, "INSERT INTO ledger_entry VALUES(?, ?, ?, ?, ?, ?, ?, ?, ?, ?)");
    if (sql_run(s, "iitiittttt", *seq, (int64_t)e->kind, e->team, e->nano, e->unix_ms,
                e->generation, e->key, e->note, e->actor, e->reference) < 0)
        return -1;
    s = sql_prepared(d, SQL_ACCOUNT_CREDITED,
                     "INSERT INTO account VALUES(?, ?, 0, 1) ON CONFLICT DO UPDATE SET"
                     " credited = credited + excluded.credited, entries = entries + 1");
    return sql_run(s, "ti", e->team, e->nano);
}

/* ---- All of it, for the start. Each reads its rows: 0, what the sink
 * answered, or -1. */

typedef struct loading {
    sql_db *d;
    const registry_sink *sink;
    int64_t day, month;
    int answer;
} loading;

static int each(loading *l, const char *text, int (*row)(loading *l, sqlite3_stmt *s))
{
    sqlite3_stmt *s = NULL;
    if (sqlite3_prepare_v2(l->d->db, text, -1, &s, NULL) != SQLITE_OK)
        return -1;
    if (sqlite3_bind_parameter_count(s) == 2)
        sql_bind(s, "ii", l->day, l->month);
    int rc;
    while ((rc = sqlite3_step(s)) == SQLITE_ROW) {
        if (row(l, s) < 0)
            rc = SQLITE_CORRUPT;
        if (l->answer || rc != SQLITE_ROW)
            break;
    }
    sqlite3_finalize(s);
    return l->answer || rc == SQLITE_DONE ? 0 : -1;
}

static int team_row(loading *l, sqlite3_stmt *s)
{
    registry_team t = {.id = sql_text(s, 0),
                       .name = sql_text(s, 1),
                       .active = sqlite3_column_int(s, 2),
                       .billing = sqlite3_column_int(s, 3),
                       .tier = sql_text(s, 4),
                       .created_ms = sqlite3_column_int64(s, 5)};
    conf_policy *p = &t.policy;
    p->min_trust = sqlite3_column_int(s, 6);
    p->data_local = sqlite3_column_int(s, 7);
    int bad = sql_unpack_list(sql_blob(s, 8), &p->allow_models, &p->allow_model_count) < 0;
    bad |= sql_unpack_list(sql_blob(s, 9), &p->deny_models, &p->deny_model_count) < 0;
    bad |= sql_unpack_list(sql_blob(s, 10), &p->allow_providers, &p->allow_provider_count) < 0;
    bad |= sql_unpack_list(sql_blob(s, 11), &p->deny_providers, &p->deny_provider_count) < 0;
    if (!bad)
        l->answer = l->sink->team(l->sink->arg, &t);
    free(p->allow_models);
    free(p->deny_models);
    free(p->allow_providers);
    free(p->deny_providers);
    return bad ? -1 : 0;
}

static int sums_row(loading *l, sqlite3_stmt *s)
{
    registry_sums sums = {.team = sql_text(s, 0),
                          .credited = sqlite3_column_int64(s, 1),
                          .used = sqlite3_column_int64(s, 2),
                          .entries = sqlite3_column_int64(s, 3)};
    l->answer = l->sink->sums(l->sink->arg, &sums);
    return 0;
}

static int byok_row(loading *l, sqlite3_stmt *s)
{
    registry_byok b = {.team = sql_text(s, 0),
                       .provider = sql_text(s, 1),
                       .type = sql_text(s, 2),
                       .hint = sql_text(s, 3),
                       .sealed = sql_blob(s, 4),
                       .created_ms = sqlite3_column_int64(s, 5)};
    l->answer = l->sink->byok(l->sink->arg, &b);
    return 0;
}

static int key_row(loading *l, sqlite3_stmt *s)
{
    registry_key k = {.id = sql_text(s, 0),
                      .name = sql_text(s, 1),
                      .team = sql_text(s, 2),
                      .lookup = sql_text(s, 3),
                      .tier = sql_text(s, 4),
                      .created_by = sql_text(s, 5),
                      .role = sqlite3_column_int(s, 7),
                      .disabled = sqlite3_column_int(s, 8),
                      .spend_period = sqlite3_column_int(s, 9),
                      .spend_limit_nano = sqlite3_column_int64(s, 10),
                      .limits = {.requests_per_minute = sqlite3_column_int64(s, 11),
                                 .tokens_per_minute = sqlite3_column_int64(s, 12),
                                 .concurrency = sqlite3_column_int64(s, 13)},
                      .created_ms = sqlite3_column_int64(s, 14),
                      .expires_ms = sqlite3_column_int64(s, 15),
                      .last_used_ms = sqlite3_column_int64(s, 16),
                      .argon2 = sql_text(s, 17)};
    tp_str hmac = sql_blob(s, 18), pepper = sql_blob(s, 19);
    if (hmac.len != sizeof(k.hmac) || pepper.len != sizeof(k.pepper_id) ||
        sql_unpack_list(sql_blob(s, 6), &k.models, &k.model_count) < 0)
        return -1;
    memcpy(k.hmac, hmac.ptr, hmac.len);
    memcpy(k.pepper_id, pepper.ptr, pepper.len);
    l->answer = l->sink->key(l->sink->arg, &k, sqlite3_column_int64(s, 20),
                             sqlite3_column_int64(s, 21), sqlite3_column_int64(s, 22));
    free(k.models);
    return 0;
}

int sql_load(sql_db *d, int64_t now_ms, const registry_sink *sink, tp_error *err)
{
    loading l = {.d = d, .sink = sink, .day = now_ms / 86400000};
    l.month = sql_month_of(l.day);
    int rc = sql_exec(d, "BEGIN"); /* all of one moment */
    if (rc == 0 && sink->team)
        rc = each(&l,
                  "SELECT id, name, active, billing, tier, created_ms, min_trust, "
                  "data_local,"
                  " allow_models, deny_models, allow_providers, deny_providers FROM team"
                  " ORDER BY id",
                  team_row);
    if (rc == 0 && !l.answer && sink->sums)
        rc = each(&l, "SELECT team, credited, used, entries FROM account ORDER BY team", sums_row);
    if (rc == 0 && !l.answer && sink->byok)
        rc = each(&l,
                  "SELECT team, provider, type, hint, sealed, created_ms FROM byok"
                  " ORDER BY team, provider, type",
                  byok_row);
    if (rc == 0 && !l.answer && sink->key)
        rc = each(&l,
                  "SELECT k.*, iif(s.day = ?1, s.day_nano, 0), iif(s.month = ?2, "
                  "s.month_nano, 0),"
                  " coalesce(s.total, 0) FROM key k LEFT JOIN key_spend s ON s.key = k.id"
                  " ORDER BY k.id",
                  key_row);
    if (rc < 0)
        rc = sql_cannot(d, "teams and keys cannot be read", err);
    sql_exec(d, "ROLLBACK");
    return rc < 0 ? rc : l.answer;
}
