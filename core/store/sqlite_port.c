/* manage/registry.h over the writer (changes) and connections of the callers'
 * own (reading). */
#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/str.h"
#include "store/sqlite_int.h"

#define TOUCHES_MAX 65536u

/* ---- Changes. */

int sql_call(sql_store *s, int (*run)(sql_store *s, void *arg), void *arg, tp_error *err)
{
    sql_command c = {.run = run, .arg = arg};
    if (s->read_only)
        return tp_error_set(err, TP_ERROR_IO, "store %s: opened for reading only", s->path);
    TP_MUST(!pthread_equal(pthread_self(), s->thread)); /* `reopened` may only load */
    pthread_mutex_lock(&s->mutex);
    if (s->stop) {
        pthread_mutex_unlock(&s->mutex);
        return tp_error_set(err, TP_ERROR_IO, "store %s: is being closed", s->path);
    }
    if (s->last)
        s->last->next = &c;
    else
        s->first = &c;
    s->last = &c;
    pthread_cond_signal(&s->work);
    pthread_mutex_unlock(&s->mutex);
    sql_wake(s);
    pthread_mutex_lock(&s->mutex);
    while (!c.done)
        pthread_cond_wait(&s->done, &s->mutex);
    pthread_mutex_unlock(&s->mutex);
    if (c.result == TP_ERROR_IO)
        tp_error_set(err, TP_ERROR_IO, "store %s: cannot be written: %s", s->path, c.why);
    return c.result;
}

static int run_put_team(sql_store *s, void *arg)
{
    return sql_put_team(&s->db, arg);
}

static int put_team(void *self, const registry_team *t, tp_error *err)
{
    registry_team row = *t;
    return sql_call(self, run_put_team, &row, err);
}

static int run_put_key(sql_store *s, void *arg)
{
    return sql_put_key(&s->db, arg);
}

static int put_key(void *self, const registry_key *k, tp_error *err)
{
    registry_key row = *k;
    int rc = sql_call(self, run_put_key, &row, err);
    if (rc == TP_ERROR_EXISTS)
        tp_error_set(err, rc, "another key begins with %.*s", STR_ARG(k->lookup));
    return rc;
}

static int run_remove_key(sql_store *s, void *arg)
{
    return sql_remove_key(&s->db, *(const tp_str *)arg);
}

static int remove_key(void *self, tp_str id, tp_error *err)
{
    int rc = sql_call(self, run_remove_key, &id, err);
    if (rc == TP_ERROR_NOT_FOUND)
        tp_error_set(err, rc, "there is no key %.*s", STR_ARG(id));
    return rc;
}

static int run_put_byok(sql_store *s, void *arg)
{
    return sql_put_byok(&s->db, arg);
}

static int put_byok(void *self, const registry_byok *b, tp_error *err)
{
    registry_byok row = *b;
    return sql_call(self, run_put_byok, &row, err);
}

static int run_remove_byok(sql_store *s, void *arg)
{
    const registry_byok *b = arg;
    return sql_remove_byok(&s->db, b->team, b->provider, b->type);
}

static int remove_byok(void *self, tp_str team, tp_str provider, tp_str type, tp_error *err)
{
    registry_byok row = {.team = team, .provider = provider, .type = type};
    int rc = sql_call(self, run_remove_byok, &row, err);
    if (rc == TP_ERROR_NOT_FOUND)
        tp_error_set(err, rc, "team %.*s has no key for %.*s (%.*s)", STR_ARG(team),
                     STR_ARG(provider), STR_ARG(type));
    return rc;
}

typedef struct entering {
    const ledger_entry *e;
    int64_t balance, seq;
} entering;

static int run_add_entry(sql_store *s, void *arg)
{
    entering *a = arg;
    int rc = sql_add_entry(&s->db, a->e, &a->balance, &a->seq);
    if (rc == 0)
        sql_known_grant(s, a->e->team, a->e->nano);
    return rc;
}

static int add_entry(void *self, const ledger_entry *e, int64_t *balance, int64_t *seq,
                     tp_error *err)
{
    entering a = {.e = e};
    int rc = sql_call(self, run_add_entry, &a, err);
    if (rc == 0 || rc == TP_ERROR_EXISTS) {
        *balance = a.balance;
        *seq = a.seq;
    }
    if (rc == TP_ERROR_EXISTS)
        tp_error_set(err, rc, "reference %.*s has been used for this team before",
                     STR_ARG(e->reference));
    if (rc == TP_ERROR_LIMIT)
        tp_error_set(err, rc, "the team's balance would be more than can be counted");
    return rc;
}

static int touch_keys(void *self, const registry_touch *list, uint32_t count, tp_error *err)
{
    sql_store *s = self;
    int rc = 0;
    if (s->read_only)
        return tp_error_set(err, TP_ERROR_IO, "store %s: opened for reading only", s->path);
    pthread_mutex_lock(&s->mutex);
    if (s->touch_count + count > TOUCHES_MAX)
        rc = tp_error_set(err, TP_ERROR_IO, "store %s: too many keys wait to be written", s->path);
    for (uint32_t i = 0; i < count && rc == 0; i++) {
        sql_touch *t = tp_xmalloc(sizeof(*t) + list[i].id.len);
        *t = (sql_touch){.is = list[i]};
        str_copy(t->id, list[i].id.ptr, list[i].id.len);
        t->is.id.ptr = t->id;
        if (s->touches_last)
            s->touches_last->next = t;
        else
            s->touches = t;
        s->touches_last = t;
        s->touch_count++;
    }
    pthread_mutex_unlock(&s->mutex);
    sql_wake(s);
    return rc;
}

typedef struct pricing {
    const registry_price *list;
    uint32_t count;
    int64_t now_ms;
} pricing;

static int run_put_prices(sql_store *s, void *arg)
{
    const pricing *p = arg;
    int rc = 0;
    for (uint32_t i = 0; i < p->count && rc == 0; i++)
        rc = sql_put_price(&s->db, p->list[i].version, p->list[i].deployment, p->list[i].json,
                           p->now_ms);
    return rc;
}

static int put_prices(void *self, const registry_price *list, uint32_t count, int64_t now_ms,
                      tp_error *err)
{
    pricing p = {list, count, now_ms};
    return count ? sql_call(self, run_put_prices, &p, err) : 0;
}

static int flush(void *self, tp_error *err)
{
    sql_store *s = self;
    return s->read_only ? 0 : sql_call(s, NULL, NULL, err);
}

/* ---- Reading, each on a connection of its own. */

static int read_begin(sql_store *s, sql_db *d, uint32_t *slot, tp_error *err)
{
    *d = (sql_db){0};
    pthread_mutex_lock(&s->mutex);
    while (s->exclusive || s->reader_count == SQL_READERS)
        pthread_cond_wait(&s->quiet, &s->mutex);
    s->reader_count++;
    pthread_mutex_unlock(&s->mutex);
    int rc = sql_open_read(d, s->path, err);
    pthread_mutex_lock(&s->mutex);
    for (*slot = 0; s->readers[*slot];)
        ++*slot;
    if (rc == 0)
        s->readers[*slot] = d->db;
    if (rc < 0) {
        s->reader_count--;
        pthread_cond_broadcast(&s->quiet);
    } else if (s->exclusive) {
        sqlite3_interrupt(d->db);
    }
    pthread_mutex_unlock(&s->mutex);
    return rc;
}

static void read_end(sql_store *s, sql_db *d, uint32_t slot)
{
    pthread_mutex_lock(&s->mutex);
    s->readers[slot] = NULL;
    pthread_mutex_unlock(&s->mutex);
    sql_close(d);
    pthread_mutex_lock(&s->mutex);
    s->reader_count--;
    pthread_cond_broadcast(&s->quiet);
    pthread_mutex_unlock(&s->mutex);
}

int sql_port_usage(void *self, const char *from, const char *to,
                   int (*row)(void *arg, const store_total *), void *arg, tp_error *err)
{
    sql_db d;
    uint32_t slot;
    if (read_begin(self, &d, &slot, err) < 0)
        return TP_ERROR_IO;
    int rc = sql_usage(&d, from, to, row, arg, err);
    read_end(self, &d, slot);
    return rc;
}

static int load(void *self, int64_t now_ms, const registry_sink *sink, tp_error *err)
{
    sql_db d;
    uint32_t slot;
    if (read_begin(self, &d, &slot, err) < 0)
        return TP_ERROR_IO;
    int rc = sql_known_load(self, &d, now_ms, sink, err);
    read_end(self, &d, slot);
    return rc;
}

static int generation(void *self, tp_str id, int (*row)(void *arg, const settle_record *r),
                      void *arg, tp_error *err)
{
    sql_db d;
    uint32_t slot;
    if (flush(self, err) < 0 || read_begin(self, &d, &slot, err) < 0)
        return TP_ERROR_IO;
    int rc = sql_generation(&d, id, row, arg, err);
    read_end(self, &d, slot);
    return rc;
}

static int generations(void *self, const registry_query *q,
                       int (*row)(void *arg, const settle_record *r), void *arg, char next[64],
                       tp_error *err)
{
    sql_db d;
    uint32_t slot;
    next[0] = 0;
    if (flush(self, err) < 0 || read_begin(self, &d, &slot, err) < 0)
        return TP_ERROR_IO;
    int rc = sql_generations(&d, q, row, arg, next, err);
    read_end(self, &d, slot);
    return rc;
}

static int ledger(void *self, const registry_query *q, int (*row)(void *arg, const ledger_entry *e),
                  void *arg, char next[64], tp_error *err)
{
    sql_db d;
    uint32_t slot;
    next[0] = 0;
    if (flush(self, err) < 0 || read_begin(self, &d, &slot, err) < 0)
        return TP_ERROR_IO;
    int rc = sql_ledger(&d, q, row, arg, next, err);
    read_end(self, &d, slot);
    return rc;
}

/* Who reads everything takes minutes of a large store, on one of the few threads that also resolve
 * names for requests, and goes on after the command that asked was interrupted. */
static int whole_begin(sql_store *s, tp_error *err)
{
    pthread_mutex_lock(&s->mutex);
    int may = s->wholes < SQL_WHOLES;
    s->wholes += may;
    pthread_mutex_unlock(&s->mutex);
    return may ? 0
               : tp_error_set(err, TP_ERROR_LIMIT,
                              "store %s: %d verifications or backups are under way, which go on "
                              "also when their command is interrupted; ask again when one has ended",
                              s->path, SQL_WHOLES);
}

static void whole_end(sql_store *s)
{
    pthread_mutex_lock(&s->mutex);
    s->wholes--;
    pthread_mutex_unlock(&s->mutex);
}

static int verify_whole(sql_store *s, registry_verdict *out, tp_error *err)
{
    sql_db d;
    uint32_t slot;
    if (flush(s, err) < 0 || read_begin(s, &d, &slot, err) < 0)
        return TP_ERROR_IO;
    int rc = sql_verify(&d, out, err);
    read_end(s, &d, slot);
    return rc;
}

static int verify(void *self, registry_verdict *out, tp_error *err)
{
    sql_store *s = self;
    *out = (registry_verdict){0};
    int rc = whole_begin(s, err);
    if (rc < 0)
        return rc;
    rc = verify_whole(s, out, err);
    whole_end(s);
    if (rc == 0 && out->faults == 0) {
        pthread_mutex_lock(&s->mutex);
        s->unsound[0] = 0; /* whatever the start found is right again */
        pthread_mutex_unlock(&s->mutex);
    }
    return rc;
}

/* ---- Backup. */

static int sync_path(const char *path, int flags)
{
    int fd = open(path, flags | O_CLOEXEC);
    if (fd < 0)
        return -1;
    int rc = fsync(fd);
    close(fd);
    return rc;
}

static int copy_to(sql_db *d, const char *path)
{
    sqlite3_stmt *q = NULL;
    if (sqlite3_prepare_v2(d->db, "VACUUM INTO ?", -1, &q, NULL) != SQLITE_OK)
        return -1;
    int rc = sql_run(q, "t", str_of(path));
    sqlite3_finalize(q);
    return rc;
}

/* A file of another name beside it, so that half a backup never has the name of a whole one. 0, or -1
 * with errno. */
static int make_beside(const char *path, char *made, size_t room)
{
    struct stat st;
    if (lstat(path, &st) == 0) {
        errno = EEXIST;
        return -1;
    }
    const char *name = strrchr(path, '/');
    snprintf(made, room, "%.*s.turnpike-backup-XXXXXX", name ? (int)(name - path + 1) : 0, path);
    int fd = mkostemp(made, O_CLOEXEC); /* 0600 */
    if (fd < 0)
        return -1;
    close(fd);
    return 0;
}

/* Gives it its name, unless something has that name by now. */
static int give_name(const char *made, const char *path)
{
    if (renameat2(AT_FDCWD, made, AT_FDCWD, path, RENAME_NOREPLACE) == 0)
        return 0;
    if (errno != EINVAL && errno != ENOSYS)
        return -1;
    return link(made, path) < 0 ? -1 : unlink(made); /* a file system without that call */
}

static int no_backup(const char *path, tp_error *err)
{
    return tp_error_set(err, errno == EEXIST ? TP_ERROR_EXISTS : TP_ERROR_NOT_FOUND,
                        "backup %s: %s; name a file that is not there yet, in a directory that "
                        "can be written",
                        path, strerror(errno));
}

static int copy_store(sql_store *s, const char *made, const char *path, tp_error *err)
{
    sql_db d;
    uint32_t slot;
    if (read_begin(s, &d, &slot, err) < 0)
        return TP_ERROR_IO;
    int rc = copy_to(&d, made);
    if (rc < 0)
        tp_error_set(err, TP_ERROR_IO, "backup %s: store %s cannot be copied there: %s", path,
                     s->path, sqlite3_errmsg(d.db));
    read_end(s, &d, slot);
    if (rc == 0 && sync_path(made, O_RDONLY) < 0)
        rc = tp_error_set(err, TP_ERROR_IO, "backup %s: cannot be brought to the disk: %s", path,
                          strerror(errno));
    return rc < 0 ? TP_ERROR_IO : 0;
}

static int backup_whole(sql_store *s, const char *path, tp_error *err)
{
    char made[4200];
    if (flush(s, err) < 0)
        return TP_ERROR_IO;
    if (make_beside(path, made, sizeof(made)) < 0)
        return no_backup(path, err);
    int rc = copy_store(s, made, path, err);
    if (rc == 0 && give_name(made, path) < 0)
        rc = no_backup(path, err);
    if (rc < 0) {
        unlink(made);
        return rc;
    }
    char *copy = tp_xstrndup(path, strlen(path));
    if (sync_path(dirname(copy), O_RDONLY | O_DIRECTORY) < 0)
        rc = tp_error_set(err, TP_ERROR_IO, "backup %s: its name cannot be brought to the disk: %s",
                          path, strerror(errno));
    free(copy);
    return rc;
}

static int backup(void *self, const char *path, tp_error *err)
{
    sql_store *s = self;
    int rc = whole_begin(s, err);
    if (rc < 0)
        return rc;
    rc = backup_whole(s, path, err);
    whole_end(s);
    return rc;
}

void sql_registry_port(sql_store *s, registry_port *out)
{
    *out = (registry_port){.self = s,
                           .load = load,
                           .put_team = put_team,
                           .put_key = put_key,
                           .remove_key = remove_key,
                           .put_byok = put_byok,
                           .remove_byok = remove_byok,
                           .add_entry = add_entry,
                           .touch_keys = touch_keys,
                           .put_prices = put_prices,
                           .flush = flush,
                           .generation = generation,
                           .generations = generations,
                           .ledger = ledger,
                           .verify = verify,
                           .backup = backup};
}
