/* What memory knows of the accounts. Memory is ahead of the file by what still lies in the journal,
 * so the file's sums cannot simply take the place of memory's when the file is opened anew: what is
 * told then is how far they are from what this process knows to be stored. That is all of it at the
 * first load; nothing when the same file came back; and what a backup has less, or a commit that
 * was reported as failed has more. */
#include <stdlib.h>

#include "base/str.h"
#include "store/sqlite_int.h"

static void add(sql_names *to, tp_str team, int64_t nano)
{
    uint32_t i = sql_name_of(to, team);
    sql_sum(&to->list[i].sum, nano);
}

static void add_all(sql_names *to, const sql_names *from)
{
    for (uint32_t i = 0; i < from->count; i++)
        add(to, sql_name_text(from, i), from->list[i].sum);
}

/* ---- What is stored. */

void sql_known_begin(sql_store *s)
{
    sql_names_clear(&s->known.granted);
}

void sql_known_grant(sql_store *s, tp_str team, int64_t nano)
{
    add(&s->known.granted, team, nano);
}

void sql_known_stored(sql_store *s)
{
    pthread_mutex_lock(&s->mutex);
    add_all(&s->known.used, &s->batch.teams);
    add_all(&s->known.credited, &s->known.granted);
    pthread_mutex_unlock(&s->mutex);
}

void sql_known_doubt(sql_store *s)
{
    int any = 0;
    uint64_t *given = tp_xcalloc(s->lane_count + 1, sizeof(*given));
    for (uint32_t i = 0; i < s->lane_count; i++)
        if (s->lanes[i].given > s->lanes[i].drained) {
            given[i] = s->lanes[i].given;
            any = 1;
        }
    free(s->known.doubtful);
    s->known.doubtful = any ? given : NULL;
    if (!any)
        free(given);
}

/* The batch is still there: nothing is gathered before this. What its transaction granted is not
 * counted, for whoever asked for it was told that it failed: it is news. */
void sql_known_resolve(sql_store *s)
{
    int is_stored = s->known.doubtful != NULL;
    for (uint32_t i = 0; i < s->lane_count && is_stored; i++)
        is_stored = s->lanes[i].drained >= s->known.doubtful[i];
    if (is_stored) {
        sql_known_begin(s);
        sql_known_stored(s);
    }
    free(s->known.doubtful);
    s->known.doubtful = NULL;
}

void sql_known_free(sql_store *s)
{
    sql_names_free(&s->known.used);
    sql_names_free(&s->known.credited);
    sql_names_free(&s->known.granted);
    free(s->known.doubtful);
}

/* ---- Loads. */

typedef struct knowing {
    sql_store *s;
    const registry_sink *sink;
} knowing;

static int take_team(void *arg, const registry_team *t)
{
    const registry_sink *sink = ((knowing *)arg)->sink;
    return sink->team ? sink->team(sink->arg, t) : 0;
}

static int take_byok(void *arg, const registry_byok *b)
{
    const registry_sink *sink = ((knowing *)arg)->sink;
    return sink->byok ? sink->byok(sink->arg, b) : 0;
}

static int take_key(void *arg, const registry_key *k, int64_t day, int64_t month, int64_t total)
{
    const registry_sink *sink = ((knowing *)arg)->sink;
    return sink->key ? sink->key(sink->arg, k, day, month, total) : 0;
}

static int64_t news(sql_names *known, tp_str team, int64_t sum, int64_t load)
{
    uint32_t i = sql_name_of(known, team);
    int64_t more;
    if (__builtin_sub_overflow(sum, known->list[i].sum, &more))
        more = 0; /* no such sums: the file is damaged, and verification says so */
    known->list[i].sum = sum;
    known->list[i].entries = load;
    return more;
}

static int take_sums(void *arg, const registry_sums *r)
{
    knowing *k = arg;
    sql_known *known = &k->s->known;
    registry_sums told = *r;
    pthread_mutex_lock(&k->s->mutex);
    told.used_news = news(&known->used, r->team, r->used, known->loads);
    told.credited_news = news(&known->credited, r->team, r->credited, known->loads);
    pthread_mutex_unlock(&k->s->mutex);
    return k->sink->sums ? k->sink->sums(k->sink->arg, &told) : 0;
}

/* Teams of which the file says nothing any more. */
static int tell_missing(knowing *k, sql_names *of)
{
    int rc = 0;
    for (uint32_t i = 0; i < of->count && rc == 0; i++) {
        if (of->list[i].entries == k->s->known.loads)
            continue;
        tp_str name = sql_name_text(of, i);
        char *team = tp_xstrndup(name.ptr, name.len); /* a new name may move all others */
        rc = take_sums(k, &(registry_sums){.team = str_make(team, name.len)});
        free(team);
    }
    return rc;
}

int sql_known_load(sql_store *s, sql_db *d, int64_t now_ms, const registry_sink *sink,
                   tp_error *err)
{
    knowing k = {s, sink};
    const registry_sink between = {&k, take_team, take_sums, take_byok, take_key};
    s->known.loads++;
    int rc = sql_load(d, now_ms, &between, err);
    if (rc == 0)
        rc = tell_missing(&k, &s->known.used);
    return rc ? rc : tell_missing(&k, &s->known.credited);
}
