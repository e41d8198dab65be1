/* sim [--lives N] [--seed N] [--seconds S] [--trace] [--one-byte] [--shipped PERCENT] [--seeds
 * FILE] */
#include "sim.h"

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static jmp_buf failed;

void sim_fail(const actor *a, const char *fmt, ...)
{
    va_list ap;
    fprintf(stderr, "sim: seed %llu, #%d: ", (unsigned long long)a->s->seed, a->id);
    va_start(ap, fmt);
    vfprintf(stderr, fmt, ap);
    va_end(ap);
    fprintf(stderr, "\n");
    longjmp(failed, 1);
}

/* A stop within the machine itself (TP_MUST, a sanitizer) names the seed too. */
static void on_abort(int sig)
{
    char line[64];
    int n = snprintf(line, sizeof(line), "sim: stopped in seed %llu\n",
                     (unsigned long long)(sim_current ? sim_current->seed : 0));
    if (write(2, line, (size_t)n) < 0)
        _exit(3);
    signal(sig, SIG_DFL);
    raise(sig);
}

static double seconds_now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void open_sim(sim *s)
{
    tp_error err = {0};
    s->log = (logger){.fd = 2, .level = LOG_ERROR};
    arena_pool_init(&s->pool, 256);
    plug_scratch_init(&s->scratch, &s->pool, 64u << 20, &s->log);
    s->live = route_table_new(256);
    s->env = (dispatch_env){.scratch = &s->scratch,
                            .live = s->live,
                            .pool = &s->pool,
                            .user_agent = "turnpike/sim",
                            .max_reply_bytes = 16u << 20};
    snprintf(s->run_dir, sizeof(s->run_dir), "/tmp/turnpike-sim-XXXXXX");
    if (!mkdtemp(s->run_dir)) {
        perror("sim: mkdtemp");
        exit(2);
    }
    s->loader = plug_loader_new(s->run_dir, &s->log, &err);
    TP_MUST(s->loader);
    s->own = sim_world_own(s);
    s->shipped = sim_world_shipped(s, &err);
    if (!s->shipped)
        fprintf(stderr, "sim: without the shipped plugins: %s\n", err.text);
}

static int close_sim(sim *s)
{
    char command[128];
    for (int i = 0; i < SIM_ACTORS; i++) {
        actor *a = &s->actors[i];
        buf_free(&a->out);
        buf_free(&a->q.body);
        buf_free(&a->q.wanted);
        for (int k = 0; k < SIM_ATTEMPTS; k++)
            for (int j = 0; j < SIM_STEPS; j++) {
                buf_free(&a->attempts[k].step[j].body);
                buf_free(&a->attempts[k].step[j].texts);
            }
    }
    world_unref(s->own);
    world_unref(s->shipped);
    plug_loader_free(s->loader);
    plug_scratch_free(&s->scratch);
    route_table_free(s->live);
    arena_pool_free(&s->pool);
    snprintf(command, sizeof(command), "rm -rf '%s'", s->run_dir);
    return system(command) != 0 || s->worlds != 0;
}

static void replay_seeds(sim *s, const char *path)
{
    char line[128];
    FILE *f = path ? fopen(path, "r") : NULL;
    while (f && fgets(line, sizeof(line), f))
        if (line[0] >= '0' && line[0] <= '9')
            sim_life(s, strtoull(line, NULL, 10));
    if (f)
        fclose(f);
    else if (path)
        fprintf(stderr, "sim: %s cannot be read\n", path);
}

static int say_usage(void)
{
    fprintf(stderr, "usage: sim [--lives N] [--seed N] [--seconds S] [--trace] [--one-byte]\n"
                    "           [--shipped PERCENT] [--seeds FILE]\n");
    return 2;
}

static int live(sim *s, const char *seeds)
{
    double began = seconds_now();
    replay_seeds(s, seeds);
    for (int64_t i = 0; i < s->o.lives; i++) {
        if (s->o.seconds > 0 && (i & 255) == 0 && seconds_now() - began > s->o.seconds)
            break;
        sim_life(s, s->o.seed + (uint64_t)i);
    }
    double took = seconds_now() - began;
    printf("%llu lives, %llu steps in %.2f s: %.0f lives a second\n", (unsigned long long)s->lives,
           (unsigned long long)s->runs, took, (double)s->lives / took);
    printf("left %llu, refused %llu; answered %llu, cut %llu, failed %llu\n",
           (unsigned long long)s->outcomes[0], (unsigned long long)s->outcomes[1],
           (unsigned long long)s->outcomes[3], (unsigned long long)s->outcomes[4],
           (unsigned long long)s->outcomes[5]);
    return 0;
}

int main(int argc, char **argv)
{
    static sim s;
    const char *volatile seeds = NULL; /* lives in main beside setjmp */
    s.o = (sim_options){.seed = 1, .lives = 20000, .shipped_percent = 10};
    for (int i = 1; i < argc; i++) {
        const char *v = i + 1 < argc ? argv[i + 1] : "";
        if (strcmp(argv[i], "--trace") == 0)
            s.o.trace = 1;
        else if (strcmp(argv[i], "--one-byte") == 0)
            s.o.one_byte = 1;
        else if (strcmp(argv[i], "--lives") == 0)
            s.o.lives = strtoll(v, NULL, 10), i++;
        else if (strcmp(argv[i], "--seed") == 0)
            s.o.seed = strtoull(v, NULL, 10), i++;
        else if (strcmp(argv[i], "--seconds") == 0)
            s.o.seconds = strtod(v, NULL), s.o.lives = INT64_MAX, i++;
        else if (strcmp(argv[i], "--shipped") == 0)
            s.o.shipped_percent = atoi(v), i++;
        else if (strcmp(argv[i], "--seeds") == 0)
            seeds = v, i++;
        else
            return say_usage();
    }
    sim_current = &s;
    signal(SIGABRT, on_abort);
    open_sim(&s);
    if (setjmp(failed) == 0)
        return live(&s, seeds) | close_sim(&s);
    if (!s.o.trace) { /* the same life again, told step by step, by a process that knows nothing yet
                       */
        char seed[32], percent[16];
        snprintf(seed, sizeof(seed), "%llu", (unsigned long long)s.seed);
        snprintf(percent, sizeof(percent), "%d", s.o.shipped_percent);
        fprintf(stderr, "sim: to see it again: sim --seed %s --lives 1 --trace%s --shipped %s\n",
                seed, s.o.one_byte ? " --one-byte" : "", percent);
        execl("/proc/self/exe", "sim", "--seed", seed, "--lives", "1", "--trace", "--shipped",
              percent, s.o.one_byte ? "--one-byte" : NULL, NULL);
    }
    _exit(1);
}
