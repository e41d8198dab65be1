/* sse-load: opens many concurrent SSE streams against one URL, checks that each is complete, and
 * measures the time to the first event and the largest gap between events. One thread, one
 * epoll. */
#include "mock_tls.h"
#include "sse_load.h"

#include <arpa/inet.h>
#include <errno.h>
#include <inttypes.h>
#include <netdb.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

struct options {
    const char *url, *auth, *body_file, *model;
    unsigned streams, ramp, timeout_s;
    bool hold;
};

struct load {
    struct options o;
    struct sockaddr_in addr;
    char *request;
    size_t request_len;
    int epoll, signals;
    struct sse_stream *s;
    unsigned started, finished, streaming, max_streaming;
    bool ready;
    uint64_t began, since, failures[SSE_RESULTS], statuses[600], bytes, events;
    char *rbuf;
    void *tls; /* SSL_CTX for https, else NULL */
};

#define RBUF ((size_t)262144)

static uint64_t clock_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

/* ---- set-up ---- */

static int parse_url(struct load *l, char *host, size_t host_cap, const char **path)
{
    const char *p = l->o.url;
    bool tls = strncmp(p, "https://", 8) == 0;
    if (!tls && strncmp(p, "http://", 7) != 0) {
        fprintf(stderr, "sse-load: '%s': expected http://HOST:PORT/PATH, or https\n", p);
        return -1;
    }
    if (tls)
        l->tls = mock_tls_client_context();
    p += tls ? 8 : 7;
    size_t n = strcspn(p, "/");
    *path = p[n] ? p + n : "/";
    if (n == 0 || n >= host_cap) {
        fprintf(stderr, "sse-load: '%s': no usable host\n", l->o.url);
        return -1;
    }
    memcpy(host, p, n);
    host[n] = '\0';
    char name[256];
    snprintf(name, sizeof name, "%s", host);
    char *colon = strrchr(name, ':');
    const char *port = tls ? "443" : "80";
    if (colon) {
        *colon = '\0';
        port = colon + 1;
    }
    struct addrinfo hints = { .ai_family = AF_INET, .ai_socktype = SOCK_STREAM }, *ai;
    int rc = getaddrinfo(name, port, &hints, &ai);
    if (rc != 0) {
        fprintf(stderr, "sse-load: cannot resolve '%s': %s\n", host, gai_strerror(rc));
        return -1;
    }
    memcpy(&l->addr, ai->ai_addr, sizeof l->addr);
    freeaddrinfo(ai);
    return 0;
}

static char *read_file(const char *path, size_t *len)
{
    FILE *f = fopen(path, "rb");
    if (!f) {
        fprintf(stderr, "sse-load: --body %s: %s\n", path, strerror(errno));
        return NULL;
    }
    size_t cap = 65536;
    size_t n = 0;
    char *p = malloc(cap);
    while (p) {
        n += fread(p + n, 1, cap - n, f);
        if (n < cap)
            break;
        cap *= 2;
        char *bigger = realloc(p, cap);
        if (!bigger)
            abort();
        p = bigger;
    }
    fclose(f);
    *len = n;
    return p;
}

static int make_request(struct load *l)
{
    char host[256];
    const char *path;
    if (parse_url(l, host, sizeof host, &path) < 0)
        return -1;
    char *body = NULL;
    size_t n = 0;
    if (l->o.body_file) {
        body = read_file(l->o.body_file, &n);
    } else {
        int len = asprintf(&body,
                           "{\"model\":\"%s\",\"stream\":true,\"messages\":"
                           "[{\"role\":\"user\",\"content\":\"Tell me a long story.\"}]}",
                           l->o.model);
        if (len < 0)
            abort();
        n = (size_t)len;
    }
    if (!body)
        return -1;
    int head = asprintf(&l->request,
                        "POST %s HTTP/1.1\r\nHost: %s\r\nContent-Type: application/json\r\n"
                        "Accept: text/event-stream\r\n%s%s%sContent-Length: %zu\r\n\r\n",
                        path, host, l->o.auth ? "Authorization: Bearer " : "",
                        l->o.auth ? l->o.auth : "", l->o.auth ? "\r\n" : "", n);
    if (head < 0)
        abort();
    char *whole = realloc(l->request, (size_t)head + n);
    if (!whole)
        abort();
    memcpy(whole + head, body, n);
    l->request = whole;
    l->request_len = (size_t)head + n;
    free(body);
    return 0;
}

/* ---- streams ---- */

static void finish(struct load *l, struct sse_stream *s, enum sse_result result)
{
    if (s->fd >= 0) {
        mock_tls_free(s->tls, true);
        s->tls = NULL;
        close(s->fd);
        s->fd = -1;
    }
    if (s->events)
        l->streaming--;
    sse_stream_free(s);
    s->result = result;
    l->failures[result]++;
    if (s->status > 0 && s->status < 600)
        l->statuses[s->status]++;
    l->finished++;
}

static void start_one(struct load *l, struct sse_stream *s, uint64_t now)
{
    sse_stream_init(s, now);
    l->started++;
    s->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    int one = 1;
    struct epoll_event ev = { .events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET, .data.ptr = s };
    if (s->fd >= 0)
        (void)setsockopt(s->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    if (s->fd < 0 ||
        (connect(s->fd, (struct sockaddr *)&l->addr, sizeof l->addr) < 0 && errno != EINPROGRESS) ||
        epoll_ctl(l->epoll, EPOLL_CTL_ADD, s->fd, &ev) < 0)
        finish(l, s, SSE_CONNECT);
    else if (l->tls)
        s->tls = mock_tls_new(l->tls, s->fd);
}

static bool send_request(struct load *l, struct sse_stream *s)
{
    while (s->sent < l->request_len) {
        const char *p = l->request + s->sent;
        size_t len = l->request_len - s->sent;
        int64_t n = s->tls ? mock_tls_write(s->tls, p, len) : send(s->fd, p, len, MSG_NOSIGNAL);
        if (n < 0 && (errno == EAGAIN || errno == ENOTCONN))
            return true;
        if (n < 0) {
            /* A server may refuse and close before it has read everything: its answer counts. */
            s->sent = l->request_len;
            return errno == EPIPE || errno == ECONNRESET;
        }
        s->sent += (size_t)n;
    }
    return true;
}

static void stream_event(struct load *l, struct sse_stream *s, uint32_t events)
{
    if (s->fd < 0)
        return;
    if ((events & EPOLLERR) && s->sent == 0) {
        finish(l, s, SSE_CONNECT);
        return;
    }
    if (s->tls && s->sent == 0) {
        int rc = mock_tls_handshake(s->tls);
        if (rc < 0)
            finish(l, s, SSE_CONNECT);
        if (rc <= 0)
            return;
    }
    if (!send_request(l, s)) {
        finish(l, s, SSE_CONNECT);
        return;
    }
    for (;;) {
        int64_t n = s->tls ? mock_tls_read(s->tls, l->rbuf, RBUF) : recv(s->fd, l->rbuf, RBUF, 0);
        if (n < 0 && errno == EAGAIN)
            return;
        if (n <= 0) {
            finish(l, s, n == 0 ? sse_stream_eof(s) : s->status ? SSE_CUT : SSE_CONNECT);
            return;
        }
        uint64_t before = s->events;
        l->bytes += (uint64_t)n;
        int rc = sse_stream_feed(s, l->rbuf, (size_t)n, clock_ns());
        l->events += s->events - before;
        if (!before && s->events && ++l->streaming > l->max_streaming)
            l->max_streaming = l->streaming;
        if (rc >= 0) {
            finish(l, s, (enum sse_result)rc);
            return;
        }
        if (!s->tls && (size_t)n < RBUF && !(events & (EPOLLRDHUP | EPOLLHUP)))
            return;
    }
}

/* ---- summary ---- */

static int cmp_u64(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a;
    uint64_t y = *(const uint64_t *)b;
    return x < y ? -1 : x > y;
}

static void print_quantiles(const char *name, uint64_t *v, size_t n)
{
    qsort(v, n, sizeof *v, cmp_u64);
    double p50 = n ? (double)v[n / 2] / 1e6 : 0;
    double p99 = n ? (double)v[(n - 1) * 99 / 100] / 1e6 : 0;
    double max = n ? (double)v[n - 1] / 1e6 : 0;
    printf(",\"%s\":{\"p50\":%.3f,\"p99\":%.3f,\"max\":%.3f}", name, p50, p99, max);
}

static int summary(struct load *l)
{
    uint64_t now = clock_ns();
    uint64_t *ttfb = calloc(l->started + 1u, sizeof *ttfb);
    uint64_t *gap = calloc(l->started + 1u, sizeof *gap);
    if (!ttfb || !gap)
        abort();
    size_t n = 0;
    size_t open = 0;
    for (unsigned i = 0; i < l->started; i++) {
        struct sse_stream *s = &l->s[i];
        if (s->fd >= 0)
            open++;
        if (!s->events)
            continue;
        if (s->fd >= 0 && now - s->last_event > s->max_gap)
            s->max_gap = now - s->last_event; /* silent since then */
        ttfb[n] = s->first_event - s->began;
        gap[n++] = s->max_gap;
    }
    uint64_t failed = l->finished - l->failures[SSE_OK];
    printf("{\"streams\":%u,\"started\":%u,\"complete\":%" PRIu64 ",\"open_at_end\":%zu,"
           "\"failed\":%" PRIu64 ",\"max_concurrent\":%u,\"events\":%" PRIu64 ",\"bytes\":%" PRIu64
           ",\"seconds\":%.3f,\"failures\":{",
           l->o.streams, l->started, l->failures[SSE_OK], open, failed, l->max_streaming, l->events,
           l->bytes, (double)(now - l->since) / 1e9);
    for (unsigned r = 1, first = 1; r < SSE_RESULTS; r++) {
        if (l->failures[r]) {
            printf("%s\"%s\":%" PRIu64, first ? "" : ",", sse_result_name((enum sse_result)r),
                   l->failures[r]);
            first = 0;
        }
    }
    printf("},\"statuses\":{");
    for (unsigned c = 0, first = 1; c < 600; c++) {
        if (l->statuses[c]) {
            printf("%s\"%u\":%" PRIu64, first ? "" : ",", c, l->statuses[c]);
            first = 0;
        }
    }
    printf("}");
    print_quantiles("first_event_ms", ttfb, n);
    print_quantiles("gap_ms", gap, n);
    printf("}\n");
    free(ttfb);
    free(gap);
    bool all = l->o.hold ? failed == 0 && l->started == l->o.streams
                         : l->failures[SSE_OK] == l->o.streams;
    return all ? 0 : 1;
}

/* ---- loop ---- */

/* SIGUSR1 begins the measurement of gaps and events anew; the others end the run. */
static bool take_signal(struct load *l)
{
    struct signalfd_siginfo si;
    if (read(l->signals, &si, sizeof si) != (ssize_t)sizeof si)
        return false;
    if (si.ssi_signo != SIGUSR1)
        return true;
    uint64_t now = clock_ns();
    l->since = now;
    l->events = l->bytes = 0;
    for (unsigned i = 0; i < l->started; i++) {
        l->s[i].max_gap = 0;
        if (l->s[i].last_event)
            l->s[i].last_event = now;
    }
    return false;
}

static void ramp_up(struct load *l, uint64_t now)
{
    uint64_t may = (now - l->began) * l->o.ramp / 1000000000u + 1;
    if (may > l->o.streams)
        may = l->o.streams;
    while (l->started < may)
        start_one(l, &l->s[l->started], now);
}

static void time_out(struct load *l)
{
    for (unsigned i = 0; i < l->started; i++) {
        if (l->s[i].fd >= 0)
            finish(l, &l->s[i], SSE_TIMEOUT);
    }
}

static void run(struct load *l)
{
    struct epoll_event ev[512];
    l->began = l->since = clock_ns();
    uint64_t limit = l->began + (uint64_t)l->o.timeout_s * 1000000000u;
    while (l->finished < l->o.streams) {
        uint64_t now = clock_ns();
        if (now >= limit) {
            time_out(l);
            return;
        }
        ramp_up(l, now);
        int n = epoll_wait(l->epoll, ev, 512, l->started < l->o.streams ? 1 : 100);
        for (int i = 0; i < n; i++) {
            if (ev[i].data.ptr != l)
                stream_event(l, ev[i].data.ptr, ev[i].events);
            else if (take_signal(l))
                return;
        }
        if (l->o.hold && !l->ready && l->started == l->o.streams &&
            l->streaming + l->finished >= l->o.streams) {
            l->ready = true;
            printf("ready\n");
            fflush(stdout);
        }
    }
}

static void usage(void)
{
    fprintf(stderr,
            "usage: sse-load [--streams N] [--ramp N] [--body FILE | --model NAME] [--auth KEY]\n"
            "                [--hold] [--timeout SECONDS] http[s]://HOST:PORT/PATH\n"
            "Opens N streams (1), at most --ramp new ones a second (1000), and waits until they\n"
            "end. --hold prints 'ready' when all are streaming; SIGTERM or SIGINT then end the run\n"
            "early. SIGUSR1 begins the counting of events and gaps anew. Prints a JSON summary;\n"
            "exits 0 when every stream was complete (with --hold: when none failed).\n");
}

static int parse_args(struct options *o, int argc, char **argv)
{
    for (int i = 1; i < argc; i++) {
        const char *a = argv[i];
        if (strcmp(a, "--hold") == 0) {
            o->hold = true;
            continue;
        }
        if (strncmp(a, "--", 2) != 0) {
            o->url = a;
            continue;
        }
        const char *v = i + 1 < argc ? argv[++i] : NULL;
        unsigned *num = strcmp(a, "--streams") == 0   ? &o->streams
                        : strcmp(a, "--ramp") == 0    ? &o->ramp
                        : strcmp(a, "--timeout") == 0 ? &o->timeout_s
                                                      : NULL;
        const char **str = strcmp(a, "--auth") == 0    ? &o->auth
                           : strcmp(a, "--body") == 0  ? &o->body_file
                           : strcmp(a, "--model") == 0 ? &o->model
                                                       : NULL;
        if (!v || (!num && !str)) {
            fprintf(stderr, "sse-load: '%s' is not a flag, or its value is missing\n", a);
            return -1;
        }
        if (str) {
            *str = v;
            continue;
        }
        char *end;
        unsigned long x = strtoul(v, &end, 10);
        if (*v < '0' || *v > '9' || *end || x == 0 || x > 10000000) {
            fprintf(stderr, "sse-load: %s: '%s' is not a number from 1 to 10000000\n", a, v);
            return -1;
        }
        *num = (unsigned)x;
    }
    return o->url ? 0 : -1;
}

int main(int argc, char **argv)
{
    struct load l = { .o = { .streams = 1, .ramp = 1000, .timeout_s = 600, .model = "bench" } };
    if (parse_args(&l.o, argc, argv) < 0) {
        usage();
        return 2;
    }
    struct rlimit rl;
    if (getrlimit(RLIMIT_NOFILE, &rl) == 0) {
        rl.rlim_cur = rl.rlim_max;
        (void)setrlimit(RLIMIT_NOFILE, &rl);
    }
    if (make_request(&l) < 0)
        return 2;
    signal(SIGPIPE, SIG_IGN); /* TLS writes by write() */
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGUSR1);
    sigprocmask(SIG_BLOCK, &set, NULL);
    l.signals = signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC);
    l.epoll = epoll_create1(EPOLL_CLOEXEC);
    l.s = calloc(l.o.streams, sizeof *l.s);
    l.rbuf = malloc(RBUF);
    struct epoll_event ev = { .events = EPOLLIN, .data.ptr = &l };
    if (l.signals < 0 || l.epoll < 0 || !l.s || !l.rbuf ||
        epoll_ctl(l.epoll, EPOLL_CTL_ADD, l.signals, &ev) < 0)
        abort();
    run(&l);
    int rc = summary(&l);
    for (unsigned i = 0; i < l.started; i++) {
        mock_tls_free(l.s[i].tls, true);
        sse_stream_free(&l.s[i]);
    }
    mock_tls_context_free(l.tls);
    free(l.s);
    free(l.rbuf);
    free(l.request);
    return rc;
}
