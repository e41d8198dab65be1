/* Totals in memory: rows in an array, found by an index of open addressing. */
#include <stdlib.h>

#include "base/hash.h"
#include "base/str.h"
#include "store/store.h"

static const tp_str other = {"(other)", 7};

typedef struct row {
    store_total total; /* strings: this row's own block */
    uint64_t hash;
    char *names;
} row;

struct store_tally {
    row *rows;
    uint32_t *index; /* row + 1; 0: empty */
    uint32_t count, cap, index_cap;
    uint32_t last; /* the row that was asked for last: most often the next one, too */
    int64_t day_number; /* of day */
    char day[STORE_DAY];
};

store_tally *store_tally_new(void)
{
    store_tally *t = tp_xcalloc(1, sizeof(*t));
    t->day_number = -1;
    return t;
}

void store_tally_free(store_tally *t)
{
    if (!t)
        return;
    for (uint32_t i = 0; i < t->count; i++)
        free(t->rows[i].names);
    free(t->rows);
    free(t->index);
    free(t);
}

uint32_t store_tally_count(const store_tally *t)
{
    return t->count;
}

int store_tally_each(const store_tally *t, int (*each)(void *arg, const store_total *), void *arg)
{
    int rc = 0;
    for (uint32_t i = 0; i < t->count && rc == 0; i++)
        rc = each(arg, &t->rows[i].total);
    return rc;
}

/* At most STORE_NAME bytes, not cut within a character. */
static tp_str name_cut(tp_str s)
{
    size_t n = TP_MIN(s.len, (size_t)STORE_NAME);
    while (n > 0 && n < s.len && ((unsigned char)s.ptr[n] & 0xc0) == 0x80)
        n--;
    return str_make(s.ptr, n);
}

static uint64_t hash_of(const store_total *t)
{
    uint64_t h = hash_name(t->day);
    h = hash_mix(h + hash_name(t->key));
    h = hash_mix(h + hash_name(t->model));
    return hash_mix(h + hash_name(t->provider));
}

static int same(const store_total *a, const store_total *b)
{
    return str_eq(a->day, b->day) && str_eq(a->key, b->key) && str_eq(a->model, b->model) &&
           str_eq(a->provider, b->provider);
}

static row *find(const store_tally *t, const store_total *name, uint64_t hash)
{
    if (!t->index_cap)
        return NULL;
    for (uint32_t i = (uint32_t)hash;; i++) {
        uint32_t at = t->index[i & (t->index_cap - 1)];
        if (!at)
            return NULL;
        if (t->rows[at - 1].hash == hash && same(&t->rows[at - 1].total, name))
            return &t->rows[at - 1];
    }
}

static void index_put(store_tally *t, uint32_t r)
{
    uint32_t i = (uint32_t)t->rows[r].hash;
    while (t->index[i & (t->index_cap - 1)])
        i++;
    t->index[i & (t->index_cap - 1)] = r + 1;
}

static void grow(store_tally *t)
{
    t->cap = t->cap ? t->cap * 2 : 4;
    t->rows = tp_xrealloc(t->rows, t->cap * sizeof(*t->rows));
    t->index_cap = t->cap * 2;
    free(t->index);
    t->index = tp_xcalloc(t->index_cap, sizeof(*t->index));
    for (uint32_t i = 0; i < t->count; i++)
        index_put(t, i);
}

static tp_str keep(char **at, tp_str s)
{
    char *p = *at;
    if (s.len)
        memcpy(p, s.ptr, s.len);
    *at += s.len;
    return str_make(p, s.len);
}

static row *add_row(store_tally *t, const store_total *name, uint64_t hash)
{
    if (t->count == t->cap)
        grow(t);
    row *r = &t->rows[t->count];
    memset(r, 0, sizeof(*r));
    r->hash = hash;
    r->names = tp_xmalloc(name->day.len + name->key.len + name->model.len + name->provider.len + 1);
    char *at = r->names;
    r->total.day = keep(&at, name->day);
    r->total.key = keep(&at, name->key);
    r->total.model = keep(&at, name->model);
    r->total.provider = keep(&at, name->provider);
    index_put(t, t->count++);
    return r;
}

/* The row of a name; past the limit the key's "(other)" row. Keys are the operator's, so what is
 * beyond the limit grows with the configuration, never with what clients send. */
static row *row_of(store_tally *t, const store_total *name)
{
    if (t->last < t->count && same(&t->rows[t->last].total, name))
        return &t->rows[t->last];
    uint64_t hash = hash_of(name);
    row *r = find(t, name, hash);
    if (!r && t->count < STORE_TALLY_MAX)
        r = add_row(t, name, hash);
    if (r) {
        t->last = (uint32_t)(r - t->rows);
        return r;
    }
    store_total rest = *name;
    rest.model = rest.provider = other;
    hash = hash_of(&rest);
    r = find(t, &rest, hash);
    return r ? r : add_row(t, &rest, hash);
}

static int64_t plus(int64_t a, int64_t b)
{
    int64_t sum;
    return __builtin_add_overflow(a, b, &sum) ? INT64_MAX : sum;
}

/* name: day, key, model, provider; numbers and used are added. */
static void add(store_tally *t, store_total name, const usage *used)
{
    name.key = name_cut(name.key);
    name.model = name_cut(name.model);
    name.provider = name_cut(name.provider);
    store_total *to = &row_of(t, &name)->total;
    to->requests = plus(to->requests, name.requests);
    to->failures = plus(to->failures, name.failures);
    to->cancelled = plus(to->cancelled, name.cancelled);
    to->cost_nano = plus(to->cost_nano, name.cost_nano);
    usage_add(&to->used, used);
}

void store_tally_add_total(store_tally *t, const store_total *more)
{
    add(t, *more, &more->used);
}

/* "2026-03-01" of a day since 1970; civil date by days from 0000-03-01. */
static void day_print(char out[STORE_DAY], int64_t number)
{
    uint64_t day = (uint64_t)TP_MIN(TP_MAX(number, 0), INT64_C(2932896)) + 719468;
    unsigned era = (unsigned)(day / 146097), doe = (unsigned)(day % 146097);
    unsigned yoe = (doe - doe / 1460 + doe / 36524 - doe / 146096) / 365;
    unsigned doy = doe - (365 * yoe + yoe / 4 - yoe / 100), mp = (5 * doy + 2) / 153;
    unsigned dom = doy - (153 * mp + 2) / 5 + 1, month = mp < 10 ? mp + 3 : mp - 9;
    unsigned year = era * 400 + yoe + (month <= 2);
    for (int i = 3; i >= 0; i--, year /= 10)
        out[i] = (char)('0' + year % 10);
    out[4] = out[7] = '-';
    out[5] = (char)('0' + month / 10);
    out[6] = (char)('0' + month % 10);
    out[8] = (char)('0' + dom / 10);
    out[9] = (char)('0' + dom % 10);
    out[10] = 0;
}

void store_tally_add(store_tally *t, const settle_record *r)
{
    int64_t number = r->unix_ms / 86400000;
    if (number != t->day_number) {
        t->day_number = number;
        day_print(t->day, number);
    }
    /* Where no upstream was asked, the model is whatever a client wrote: not a row of its own. */
    store_total one = {.day = str_make(t->day, STORE_DAY - 1),
                       .key = r->key,
                       .model = r->provider.len ? r->model_asked : STR(""),
                       .provider = r->provider,
                       .requests = 1,
                       .failures = r->outcome == SETTLE_FAILED,
                       .cancelled = r->outcome == SETTLE_CANCELLED,
                       .cost_nano = r->cost_nano};
    add(t, one, &r->used);
}
