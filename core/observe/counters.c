#include "observe/counters.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/str.h"

static const int64_t bounds_us[COUNTERS_BUCKETS - 1] = {
    1000,   5000,    10000,   25000,   50000,    100000,   250000,
    500000, 1000000, 2500000, 5000000, 10000000, 30000000, 60000000};
static const char *const bounds_text[COUNTERS_BUCKETS] = {
    "0.001", "0.005", "0.01", "0.025", "0.05", "0.1", "0.25", "0.5",
    "1",     "2.5",   "5",    "10",    "30",   "60",  "+Inf"};
static const char *const unit_names[COUNTERS_UNITS] = {"prompt",     "cache_read", "cache_write",
                                                       "completion", "reasoning",  "other"};

struct observe {
    uint32_t count, reserved;
    counters *blocks;
};

observe *observe_new(uint32_t workers)
{
    observe *o = tp_xcalloc(1, sizeof(*o));
    o->count = workers;
    size_t bytes = (size_t)TP_MAX(workers, 1u) * sizeof(counters);
    o->blocks = aligned_alloc(_Alignof(counters), bytes);
    TP_MUST(o->blocks);
    memset(o->blocks, 0, bytes);
    return o;
}

void observe_free(observe *o)
{
    if (!o)
        return;
    free(o->blocks);
    free(o);
}

counters *observe_counters(observe *o, uint32_t worker)
{
    TP_MUST(worker < o->count);
    return &o->blocks[worker];
}

static void observed(counters_histogram *h, int64_t us)
{
    uint32_t i = 0;
    while (i < COUNTERS_BUCKETS - 1 && us > bounds_us[i])
        i++;
    counters_add(&h->bucket[i], 1);
    counters_add(&h->sum_us, us);
}

void counters_finished(counters *c, const settle_record *r)
{
    if (!c)
        return;
    uint32_t class = r->status >= 100 && r->status < 600 ? (uint32_t)r->status / 100 : 0;
    counters_add(&c->status[class], 1);
    if (r->outcome >= SETTLE_COMPLETED && r->outcome <= SETTLE_CANCELLED)
        counters_add(&c->outcome[r->outcome], 1);
    for (uint32_t i = 0; i < r->used.count; i++) {
        uint32_t u = 0;
        tp_str plain = usage_plain(&r->used.classes[i]); /* cache_write:1h is cache_write too */
        while (u < COUNTERS_UNITS - 1 && !str_eq(str_of(unit_names[u]), plain))
            u++;
        counters_add(&c->units[u], r->used.classes[i].count);
    }
    if (!r->attempts && (r->status == 401 || r->status == 402 || r->status == 429))
        counters_add(&c->denied[r->status == 401   ? COUNTERS_NO_KEY
                                : r->status == 402 ? COUNTERS_NO_CREDIT
                                                   : COUNTERS_NO_RATE],
                     1);
    counters_add(&c->cost_nano, r->cost_nano);
    counters_add(&c->bytes_in, r->bytes_in);
    counters_add(&c->bytes_out, r->bytes_out);
    counters_add(&c->attempts, r->attempts);
    counters_add(&c->fallbacks, r->attempts > 1 ? r->attempts - 1 : 0);
    counters_add(&c->upstream_failures, r->failures);
    if (r->streamed)
        counters_add(&c->streams, 1);
    observed(&c->latency, r->latency_us);
    if (r->first_token_us >= 0)
        observed(&c->first_token, r->first_token_us);
}

/* ---- The page. */
static uint64_t total(const observe *o, size_t offset)
{
    uint64_t sum = 0;
    for (uint32_t i = 0; i < o->count; i++) {
        const char *block = (const char *)&o->blocks[i];
        sum += atomic_load_explicit((const _Atomic uint64_t *)(const void *)(block + offset),
                                    memory_order_relaxed);
    }
    return sum;
}

static int head(buf *b, const char *name, const char *type, const char *help)
{
    return buf_printf(b, "# HELP turnpike_%s %s\n# TYPE turnpike_%s %s\n", name, help, name, type);
}

static int one(buf *b, const char *name, const char *type, const char *help, uint64_t v)
{
    int rc = head(b, name, type, help);
    return rc ? rc : buf_printf(b, "turnpike_%s %llu\n", name, (unsigned long long)v);
}

/* v / scale as an exact decimal; scale is a power of ten. */
static int add_decimal(buf *b, uint64_t v, uint64_t scale)
{
    int rc = buf_printf(b, "%llu", (unsigned long long)(v / scale));
    uint64_t part = v % scale;
    if (rc == 0 && part)
        rc = buf_adds(b, STR("."));
    for (uint64_t place = scale / 10; rc == 0 && part; place /= 10) {
        char digit = (char)('0' + part / place);
        rc = buf_add(b, &digit, 1);
        part %= place;
    }
    return rc;
}

static int decimal(buf *b, const char *name, uint64_t v, uint64_t scale)
{
    int rc = buf_printf(b, "turnpike_%s ", name);
    rc = rc ? rc : add_decimal(b, v, scale);
    return rc ? rc : buf_adds(b, STR("\n"));
}

static int histogram(const observe *o, buf *b, const char *name, const char *help, size_t offset)
{
    uint64_t sum = 0;
    char sum_name[64];
    int rc = head(b, name, "histogram", help);
    for (uint32_t i = 0; rc == 0 && i < COUNTERS_BUCKETS; i++) {
        sum += total(o, offset + offsetof(counters_histogram, bucket) + i * sizeof(uint64_t));
        rc = buf_printf(b, "turnpike_%s_bucket{le=\"%s\"} %llu\n", name, bounds_text[i],
                        (unsigned long long)sum);
    }
    (void)snprintf(sum_name, sizeof(sum_name), "%s_sum", name);
    rc =
        rc ? rc
           : decimal(b, sum_name, total(o, offset + offsetof(counters_histogram, sum_us)), 1000000);
    return rc ? rc : buf_printf(b, "turnpike_%s_count %llu\n", name, (unsigned long long)sum);
}

static int labelled(const observe *o, buf *b, const char *name, const char *help, const char *label,
                    const char *const *values, uint32_t count, size_t offset)
{
    int rc = head(b, name, "counter", help);
    for (uint32_t i = 0; rc == 0 && i < count; i++)
        if (values[i])
            rc = buf_printf(b, "turnpike_%s{%s=\"%s\"} %llu\n", name, label, values[i],
                            (unsigned long long)total(o, offset + i * sizeof(uint64_t)));
    return rc;
}

int observe_render_metrics(const observe *o, const observe_extra *x, buf *out)
{
    static const char *const classes[] = {"none", "1xx", "2xx", "3xx", "4xx", "5xx"};
    static const char *const outcomes[] = {NULL, "completed", "failed", "cancelled"};
    static const char *const denials[] = {"credits", "limit", "store", "key"};
    static const struct plain {
        const char *name, *type, *help;
        size_t offset;
    } plain[] = {
        {"records_lost_total", "counter", "Generations that the journal had no room for.",
         offsetof(counters, records_lost)},
        {"streams_total", "counter", "Finished exchanges that were streamed.",
         offsetof(counters, streams)},
        {"request_bytes_total", "counter", "Bytes of request bodies.",
         offsetof(counters, bytes_in)},
        {"response_bytes_total", "counter", "Bytes of response bodies.",
         offsetof(counters, bytes_out)},
        {"upstream_attempts_total", "counter", "Attempts at upstreams.",
         offsetof(counters, attempts)},
        {"upstream_failures_total", "counter", "Attempts at upstreams that failed.",
         offsetof(counters, upstream_failures)},
        {"retries_total", "counter", "Requests sent anew because a kept connection was dead.",
         offsetof(counters, retries)},
        {"fallbacks_total", "counter", "Moves to another deployment after a failure.",
         offsetof(counters, fallbacks)},
        {"exchanges_active", "gauge", "Exchanges in flight.", offsetof(counters, active)},
        {"connections_active", "gauge", "Client connections open.",
         offsetof(counters, connections)},
        {"connections_accepted_total", "counter", "Client connections taken.",
         offsetof(counters, accepted)},
        {"upstream_connects_total", "counter", "Upstream connections made.",
         offsetof(counters, upstream_connects)},
        {"upstream_reuses_total", "counter", "Requests sent on a kept upstream connection.",
         offsetof(counters, upstream_reuses)},
        {"http_faults_total", "counter", "Requests refused while they were parsed.",
         offsetof(counters, http_faults)},
    };
    int rc = labelled(o, out, "requests_total", "Finished exchanges by status class.", "status",
                      classes, TP_COUNT(classes), offsetof(counters, status));
    rc = rc ? rc
            : labelled(o, out, "outcomes_total", "Finished exchanges by outcome.", "outcome",
                       outcomes, TP_COUNT(outcomes), offsetof(counters, outcome));
    rc = rc ? rc
            : labelled(o, out, "units_total", "Units used, by class.", "unit", unit_names,
                       COUNTERS_UNITS, offsetof(counters, units));
    rc = rc ? rc
            : labelled(o, out, "denied_total", "Requests refused by admission, by what was short.",
                       "by", denials, TP_COUNT(denials), offsetof(counters, denied));
    for (uint32_t i = 0; rc == 0 && i < TP_COUNT(plain); i++)
        rc = one(out, plain[i].name, plain[i].type, plain[i].help, total(o, plain[i].offset));
    rc = rc ? rc : head(out, "cost_dollars_total", "counter", "What finished exchanges cost.");
    rc = rc ? rc
            : decimal(out, "cost_dollars_total", total(o, offsetof(counters, cost_nano)),
                      1000000000);
    rc = rc ? rc : head(out, "charged_dollars_total", "counter", "What teams were charged.");
    rc = rc ? rc
            : decimal(out, "charged_dollars_total", total(o, offsetof(counters, charged_nano)),
                      1000000000);
    rc = rc ? rc
            : histogram(o, out, "request_seconds", "Time of a whole exchange.",
                        offsetof(counters, latency));
    rc = rc ? rc
            : histogram(o, out, "first_token_seconds", "Time to the first token.",
                        offsetof(counters, first_token));
    if (rc == 0 && x) {
        rc = one(out, "access_log_dropped_total", "counter", "Access log lines lost.",
                 x->access_dropped);
        rc = rc ? rc
                : one(out, "store_healthy", "gauge", "1: the store takes what it is given.",
                      x->store_healthy);
        rc = rc ? rc
                : one(out, "world_serial", "gauge", "Which reload made the configuration in force.",
                      x->world_serial);
        const struct {
            const char *name, *type, *help;
            uint64_t value;
        } more[] = {
            {"journal_bytes", "gauge", "Bytes in the journal that are not stored yet.",
             x->journal_bytes},
            {"journal_capacity_bytes", "gauge", "Room of the journal.", x->journal_capacity},
            {"journal_drained_total", "counter", "Records stored from the journal.",
             x->drained_records},
            {"store_failed_writes_total", "counter", "Writes that the store refused.",
             x->failed_writes},
            {"store_segments_dropped_total", "counter", "Segments of generations past their age.",
             x->segments_dropped},
            {"keys", "gauge", "Client keys in force.", x->keys},
            {"connections_refused_total", "counter", "Client connections turned away: the limit.",
             x->connections_refused},
        };
        for (uint32_t i = 0; rc == 0 && i < TP_COUNT(more); i++)
            rc = one(out, more[i].name, more[i].type, more[i].help, more[i].value);
        rc = rc ? rc : head(out, "start_time_seconds", "gauge", "Start of the process, Unix time.");
        rc = rc ? rc : decimal(out, "start_time_seconds", (uint64_t)x->started_unix_ms, 1000);
    }
    return rc;
}
