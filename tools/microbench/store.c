/* What the writer's thread takes for a record: a lane full of typical records (about 300 bytes, 20
 * teams, 200 keys) drained into the SQLite file at synchronous=FULL, by its CPU time and by the
 * clock; and how long a start takes with ten thousand keys. Best of several rounds. */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/str.h"
#include "profile/profile.h"
#include "store/store.h"

enum { ROUNDS = 12, RECORDS = 40000, KEYS = 10000, CALLERS = 50 };

static double seconds(clockid_t clock)
{
    struct timespec t;
    clock_gettime(clock, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static int opened(const store_options *o, const logger *log, store_port *port)
{
    tp_error err = {0};
    if (store_sqlite_open(o, 0, log, port, &err) == 0)
        return 1;
    fprintf(stderr, "%s\n", err.text);
    return 0;
}

static void fill(const store_port *port, uint64_t *serial)
{
    char id[64], team[32], key[32];
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    for (int i = 0; i < RECORDS; i++, ++*serial) {
        int64_t ms = (int64_t)now.tv_sec * 1000;
        size_t n = profile_reply_id(NULL, ms, *serial * 0x9e3779b97f4a7c15u, *serial, id);
        snprintf(team, sizeof(team), "team-%d", (int)(*serial % 20));
        snprintf(key, sizeof(key), "key_%020d", (int)(*serial % 200));
        settle_record r = {.generation = str_make(id, n),
                           .upstream_id = STR("chatcmpl-9sYJq0mY3Zk"),
                           .request_id = STR("6f1c7f2e-8f0b-4a53"),
                           .key = STR("ci"),
                           .key_id = str_of(key),
                           .team = str_of(team),
                           .price_version = STR("p-0123456789abcdef"),
                           .surface = STR("airouter"),
                           .endpoint = STR("chat"),
                           .model_asked = STR("auto"),
                           .model_served = STR("llama-3.3-70b"),
                           .provider = STR("groq"),
                           .client = STR("192.0.2.7"),
                           .method = STR("POST"),
                           .path = STR("/api/v1/chat"),
                           .unix_ms = ms,
                           .latency_us = 812345,
                           .status = 200,
                           .outcome = SETTLE_COMPLETED,
                           .attempts = 1,
                           .hold_nano = 2000000,
                           .charged_nano = 151230,
                           .cost_nano = 151230,
                           .baseline_nano = -1};
        usage_set(&r.used, STR("prompt"), 812);
        usage_set(&r.used, STR("completion"), 204);
        TP_MUST(port->journal.append(port->journal.self, 0, &r, 0) == 0);
    }
}

static void drain(const store_options *o, const logger *log)
{
    double cpu = 1e9, wall = 1e9;
    uint64_t serial = 0;
    store_figures f;
    store_port port;
    int64_t bytes = 0;
    if (!opened(o, log, &port))
        exit(1);
    for (int r = 0; r < ROUNDS; r++) {
        fill(&port, &serial);
        port.figures(port.self, &f);
        bytes = f.journal_bytes;
        double c = seconds(CLOCK_PROCESS_CPUTIME_ID), w = seconds(CLOCK_MONOTONIC);
        TP_MUST(port.registry.flush(port.registry.self, NULL) == 0);
        cpu = TP_MIN(cpu, (seconds(CLOCK_PROCESS_CPUTIME_ID) - c) / RECORDS);
        wall = TP_MIN(wall, (seconds(CLOCK_MONOTONIC) - w) / RECORDS);
    }
    printf("drain: %lld bytes a record in the journal, %.2f us of CPU (%.0f a second), by the "
           "clock %.2f us\n",
           (long long)(bytes / RECORDS), cpu * 1e6, 1 / cpu, wall * 1e6);
    port.close(port.self);
    struct stat st;
    if (stat(o->path, &st) == 0)
        printf("file: %.0f bytes a record, ledger included\n", (double)st.st_size / (double)serial);
}

typedef struct loaded {
    uint32_t keys;
} loaded;

static int one_key(void *arg, const registry_key *k, int64_t day, int64_t month, int64_t total)
{
    (void)k, (void)day, (void)month, (void)total;
    ((loaded *)arg)->keys++;
    return 0;
}

typedef struct maker {
    const store_port *port;
    int from, to;
} maker;

static void *make_keys(void *arg)
{
    const maker *m = arg;
    for (int i = m->from; i < m->to; i++) {
        char id[32], lookup[32];
        snprintf(id, sizeof(id), "key_%020d", i);
        snprintf(lookup, sizeof(lookup), "tp_live_%012d", i);
        registry_key k = {.id = str_of(id),
                          .name = STR("a key"),
                          .team = STR("team-1"),
                          .lookup = str_of(lookup),
                          .spend_limit_nano = -1,
                          .argon2 = STR("$argon2id$v=19$m=19456,t=2,p=1$c2FsdHNhbHRzYWx0c2Fs"
                                        "dA$aGFzaGhhc2hoYXNoaGFzaGhhc2hoYXNoaGFzaGhhc2g")};
        TP_MUST(m->port->registry.put_key(m->port->registry.self, &k, NULL) == 0);
    }
    return NULL;
}

static void start(const store_options *o, const logger *log)
{
    store_port port;
    loaded n = {0};
    registry_sink sink = {.arg = &n, .key = one_key};
    pthread_t threads[CALLERS];
    maker makers[CALLERS];
    if (!opened(o, log, &port))
        exit(1);
    double t = seconds(CLOCK_MONOTONIC);
    for (int i = 0; i < CALLERS; i++) {
        makers[i] = (maker){&port, i * (KEYS / CALLERS), (i + 1) * (KEYS / CALLERS)};
        TP_MUST(pthread_create(&threads[i], NULL, make_keys, &makers[i]) == 0);
    }
    for (int i = 0; i < CALLERS; i++)
        pthread_join(threads[i], NULL);
    printf("changes: %d keys made by %d callers at a time, %.0f a second, each durable\n", KEYS,
           CALLERS, KEYS / (seconds(CLOCK_MONOTONIC) - t));
    port.close(port.self);
    t = seconds(CLOCK_MONOTONIC);
    if (!opened(o, log, &port))
        exit(1);
    double open = seconds(CLOCK_MONOTONIC) - t;
    t = seconds(CLOCK_MONOTONIC);
    TP_MUST(port.registry.load(port.registry.self, 0, &sink, NULL) == 0);
    printf("start: opened in %.0f ms, %u keys read in %.1f ms\n", open * 1e3, n.keys,
           (seconds(CLOCK_MONOTONIC) - t) * 1e3);
    port.close(port.self);
}

int main(void)
{
    char dir[] = "/tmp/turnpike-microbench-XXXXXX", path[64], lanes[64], command[64];
    logger log = {.fd = 2, .level = LOG_WARN};
    TP_MUST(mkdtemp(dir));
    snprintf(path, sizeof(path), "%s/store.db", dir);
    snprintf(lanes, sizeof(lanes), "%s/journal", dir);
    /* An hour: only what is asked for is drained. */
    store_options o = {.path = path,
                       .journal_dir = lanes,
                       .lanes = 1,
                       .lane_bytes = 64 << 20,
                       .flush_ms = 3600000};
    drain(&o, &log);
    start(&o, &log);
    snprintf(command, sizeof(command), "rm -rf '%s'", dir);
    return system(command) == 0 ? 0 : 1;
}
