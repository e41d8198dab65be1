/* mock-upstream: flags, threads, signals. */
#include "mock.h"
#include "mock_tls.h"

#include <errno.h>
#include <malloc.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

static void usage(void)
{
    fprintf(stderr,
            "usage: mock-upstream [--port N] [--host IPV4] [--threads N] [--port-file FILE]\n"
            "                     [--tls CERT KEY] [--no-last] [--PARAMETER VALUE ...]\n"
            "An upstream for tests: POST .../chat/completions, GET .../models, GET /mock/stats,\n"
            "GET /mock/last (body of the last request), GET /mock/last-head, GET /mock/reset.\n"
            "Port 0 (the default) takes a free one; it is printed as 'listening on HOST:PORT'.\n"
            "Parameters, also as header 'x-mock-NAME: VALUE' and in the model as 'm?name=value&...'"
            ":\n");
    mock_behave_help();
}

static int number(const char *flag, const char *v, unsigned max, unsigned *out)
{
    char *end;
    unsigned long n = strtoul(v, &end, 10);
    if (*v < '0' || *v > '9' || *end || n > max) {
        fprintf(stderr, "mock-upstream: %s: '%s' is not a number from 0 to %u\n", flag, v, max);
        return -1;
    }
    *out = (unsigned)n;
    return 0;
}

struct options {
    struct mock_shared sh;
    const char *port_file, *cert, *key;
};

static int parse_flag(struct options *o, int argc, char **argv, int *i)
{
    const char *flag = argv[*i];
    unsigned n = 0;
    if (strcmp(flag, "--no-last") == 0) {
        o->sh.keep_last = false;
        return 0;
    }
    if (*i + 1 >= argc || strncmp(flag, "--", 2) != 0) {
        fprintf(stderr, "mock-upstream: '%s' is not a flag, or its value is missing\n", flag);
        return -1;
    }
    const char *v = argv[++*i];
    if (strcmp(flag, "--port") == 0) {
        if (number(flag, v, 65535, &n) < 0)
            return -1;
        o->sh.port = (uint16_t)n;
    } else if (strcmp(flag, "--threads") == 0) {
        if (number(flag, v, 256, &o->sh.threads) < 0)
            return -1;
    } else if (strcmp(flag, "--host") == 0) {
        o->sh.host = v;
    } else if (strcmp(flag, "--port-file") == 0) {
        o->port_file = v;
    } else if (strcmp(flag, "--tls") == 0) {
        if (*i + 1 >= argc) {
            fprintf(stderr, "mock-upstream: --tls needs two files: CERT KEY\n");
            return -1;
        }
        o->cert = v;
        o->key = argv[++*i];
    } else {
        int rc = mock_behave_set(&o->sh.defaults, flag + 2, strlen(flag + 2), v, strlen(v));
        if (rc < 0) {
            fprintf(stderr, "mock-upstream: %s %s: %s; see --help\n", flag, v,
                    rc == -1 ? "no such flag" : "value out of range");
            return -1;
        }
    }
    return 0;
}

/* Written beside and renamed, so that a reader never sees half of it. */
static int write_port_file(const char *path, unsigned port)
{
    char tmp[4096];
    if ((size_t)snprintf(tmp, sizeof tmp, "%s.new", path) >= sizeof tmp)
        return -1;
    FILE *f = fopen(tmp, "w");
    if (!f)
        return -1;
    int bad = fprintf(f, "%u\n", port) < 0;
    bad |= fclose(f) != 0;
    return bad || rename(tmp, path) != 0 ? -1 : 0;
}

static void *thread_main(void *arg)
{
    mock_worker_run(arg);
    return NULL;
}

static int serve(struct options *o)
{
    struct mock_shared *sh = &o->sh;
    unsigned made = 0;
    int rc = 1;
    pthread_t *threads = calloc(sh->threads, sizeof *threads);
    sh->workers = calloc(sh->threads, sizeof(struct mock_worker *));
    if (!threads || !sh->workers)
        abort();
    for (; made < sh->threads; made++) {
        sh->workers[made] = mock_worker_new(sh);
        if (!sh->workers[made])
            goto out;
    }
    if (o->port_file && write_port_file(o->port_file, sh->port) < 0) {
        fprintf(stderr, "mock-upstream: cannot write --port-file %s: %s\n", o->port_file,
                strerror(errno));
        goto out;
    }
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGINT);
    pthread_sigmask(SIG_BLOCK, &set, NULL);
    for (unsigned i = 0; i < sh->threads; i++) {
        if (pthread_create(&threads[i], NULL, thread_main, sh->workers[i]) != 0)
            abort();
    }
    printf("listening on %s:%u\n", sh->host, sh->port);
    fflush(stdout);
    int sig;
    sigwait(&set, &sig);
    for (unsigned i = 0; i < sh->threads; i++)
        mock_worker_stop(sh->workers[i]);
    for (unsigned i = 0; i < sh->threads; i++)
        pthread_join(threads[i], NULL);
    rc = 0;
out:
    for (unsigned i = 0; i < made; i++)
        mock_worker_free(sh->workers[i]);
    free(sh->workers);
    free(threads);
    return rc;
}

int main(int argc, char **argv)
{
    struct options o = { .sh = { .host = "127.0.0.1", .threads = 1, .keep_last = true } };
    mock_behave_init(&o.sh.defaults);
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0) {
            usage();
            return 0;
        }
        if (parse_flag(&o, argc, argv, &i) < 0)
            return 2;
    }
    if (o.sh.threads == 0)
        o.sh.threads = 1;
    struct rlimit rl;
    if (getrlimit(RLIMIT_NOFILE, &rl) == 0) {
        rl.rlim_cur = rl.rlim_max;
        (void)setrlimit(RLIMIT_NOFILE, &rl);
    }
    signal(SIGPIPE, SIG_IGN);
    /* Large bodies come and go with each request: keep their pages. */
    mallopt(M_MMAP_THRESHOLD, 16 << 20);
    mallopt(M_TRIM_THRESHOLD, 64 << 20);
    if (o.cert) {
        o.sh.tls = mock_tls_context(o.cert, o.key);
        if (!o.sh.tls)
            return 1;
    }
    int rc = serve(&o);
    mock_tls_context_free(o.sh.tls);
    return rc;
}
