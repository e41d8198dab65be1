#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/hash.h"
#include "base/str.h"
#include "observe/access.h"

static settle_record record(void)
{
    settle_record r = {.generation = STR("chatcmpl-abc"),
                       .request_id = STR("req-1"),
                       .key = STR("team-a"),
                       .model_asked = STR("llama-3.3-70b"),
                       .model_served = STR("llama-3.3-70b-versatile"),
                       .provider = STR("groq"),
                       .client = STR("127.0.0.1:4711"),
                       .method = STR("POST"),
                       .path = STR("/v1/chat/completions"),
                       .unix_ms = 1772368496789, /* 2026-03-01T12:34:56.789Z */
                       .latency_us = 12345,
                       .first_token_us = 3007,
                       .bytes_in = 1500,
                       .bytes_out = 640,
                       .cost_nano = 985000,
                       .status = 200,
                       .outcome = SETTLE_COMPLETED,
                       .error = STR("openai: HTTP 503: \"busy\""),
                       .attempts = 2};
    usage_set(&r.used, STR("prompt"), 1000);
    usage_set(&r.used, STR("completion"), 500);
    return r;
}

static void lines(const settle_record *r, const char *want)
{
    char out[65536];
    size_t n = access_line(out, r);
    assert_true(n <= access_line_max(r));
    out[n] = 0;
    assert_string_equal(out, want);
}

static void a_line_has_every_field(void **state)
{
    settle_record r = record();
    (void)state;
    lines(&r,
          "{\"ts\":\"2026-03-01T12:34:56.789Z\",\"request_id\":\"req-1\",\"generation\":"
          "\"chatcmpl-abc\",\"key\":\"team-a\",\"client\":\"127.0.0.1:4711\",\"method\":\"POST\","
          "\"path\":\"/v1/chat/completions\",\"model\":\"llama-3.3-70b\",\"served\":"
          "\"llama-3.3-70b-versatile\",\"provider\":\"groq\",\"status\":200,\"outcome\":"
          "\"completed\",\"attempts\":2,\"error\":\"openai: HTTP 503: \\\"busy\\\"\",\"tokens\":"
          "{\"prompt\":1000,\"completion\":500},\"cost\":\"0.000985\",\"latency_ms\":12.345,"
          "\"first_token_ms\":3.007,\"bytes_in\":1500,"
          "\"bytes_out\":640}\n");
}

static void what_is_not_known_is_null(void **state)
{
    settle_record r = {.first_token_us = -1,
                       .status = 404,
                       .outcome = SETTLE_FAILED,
                       .method = STR("GET"),
                       .path = STR("/x")};
    (void)state;
    lines(&r,
          "{\"ts\":\"1970-01-01T00:00:00.000Z\",\"request_id\":null,\"generation\":null,\"key\":"
          "null,\"client\":null,\"method\":\"GET\",\"path\":\"/x\",\"model\":null,\"served\":null,"
          "\"provider\":null,\"status\":404,\"outcome\":\"failed\",\"attempts\":0,\"error\":null,"
          "\"tokens\":{},"
          "\"cost\":\"0\",\"latency_ms\":0.000,\"first_token_ms\":null,\"bytes_in\":0,"
          "\"bytes_out\":0}\n");
}

static void path_becomes(const char *path, size_t len, const char *want)
{
    settle_record r = {.path = str_make(path, len), .first_token_us = -1};
    char out[65536];
    size_t n = access_line(out, &r);
    assert_true(n <= access_line_max(&r));
    out[n] = 0;
    const char *at = strstr(out, "\"path\":");
    assert_non_null(at);
    if (strncmp(at + 7, want, strlen(want)) != 0)
        fail_msg("got %s, expected %s", at, want);
}
#define BECOMES(path, want) path_becomes(path, sizeof(path) - 1, want)

static void nothing_breaks_a_line(void **state)
{
    (void)state;
    BECOMES("/a\"b\\c", "\"/a\\\"b\\\\c\",");
    BECOMES("/12345678\n\r\t\x01\x7f", "\"/12345678\\u000a\\u000d\\u0009\\u0001\\u007f\",");
    BECOMES("\0", "\"\\u0000\",");
    BECOMES("/caf\xc3\xa9 \xe2\x82\xac \xf0\x9f\x98\x80",
            "\"/caf\xc3\xa9 \xe2\x82\xac \xf0\x9f\x98\x80\",");
    BECOMES("\xff", "\"\xef\xbf\xbd\",");
    BECOMES("12345678\xc3", "\"12345678\xef\xbf\xbd\",");
    BECOMES("\xed\xa0\x80", "\"\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\","); /* a surrogate */
    BECOMES("\xc0\xaf", "\"\xef\xbf\xbd\xef\xbf\xbd\",");                 /* overlong */
    BECOMES("\xf4\x90\x80\x80x", "\"\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbdx\",");
    BECOMES("        \x1f", "\"        \\u001f\",");
}

/* Each byte at each place of a word: what goes fast and what goes slowly say the same. */
static void every_byte_at_every_place(void **state)
{
    (void)state;
    for (int c = 1; c < 128; c++)
        for (size_t at = 0; at < 8; at++) {
            char path[9] = "abcdefgh", want[32];
            path[at] = (char)c;
            char one[8];
            if (c == '"' || c == '\\')
                snprintf(one, sizeof(one), "\\%c", c);
            else if (c < 32 || c == 127)
                snprintf(one, sizeof(one), "\\u%04x", (unsigned)c);
            else
                snprintf(one, sizeof(one), "%c", c);
            snprintf(want, sizeof(want), "\"%.*s%s%s\",", (int)at, "abcdefgh", one,
                     &"abcdefgh"[at + 1]);
            path_becomes(path, 8, want);
        }
}

#define SECRET "mUfH7fWxZ9qB0_yN-Tt4vKd2sLr8aPc6eGj1oQi3bXw" /* 43 characters */

static void keys_are_not_shown(void **state)
{
    char path[700], want[600];
    (void)state;
    BECOMES("/v1/keys/tp_live_" SECRET, "\"/v1/keys/tp_live_mUfH7fWx...\",");
    BECOMES("/v1/keys/cai_" SECRET "/x\"", "\"/v1/keys/cai_mUfH7fWxZ9qB.../x\\\"\",");
    BECOMES("/caf\xc3\xa9/tp_live_" SECRET "/air_live_" SECRET "\xff",
            "\"/caf\xc3\xa9/tp_live_mUfH7fWx.../air_live_mUfH7fW...\xef\xbf\xbd\",");
    /* Mistyped: a character lost, one too many. */
    path_becomes("/tp_live_" SECRET, 51, "\"/tp_live_mUfH7fWx...\",");
    BECOMES("/tp_live_" SECRET "x", "\"/tp_live_mUfH7fWx...\",");
    /* Cut within the key or before it: no more is shown. */
    for (size_t before = 400; before <= 512; before++) {
        memset(path, '/', before);
        memcpy(path + before, "tp_live_" SECRET, 51);
        size_t shown = TP_MIN(512 - before, 16u);
        snprintf(want, sizeof(want), "\"%.*s%.*s%s\",", (int)before, path, (int)shown,
                 path + before, shown ? "..." : "");
        path_becomes(path, before + 51, want);
    }
    /* What is none stays whole. */
    BECOMES("/v1/generations/gen-0Un3fK0Un3fK0Un3fK0Un3fK",
            "\"/v1/generations/gen-0Un3fK0Un3fK0Un3fK0Un3fK\",");
    BECOMES("/v1/models/meta-llama/Llama-3.3-70B-Instruct-Turbo-Free-For-All",
            "\"/v1/models/meta-llama/Llama-3.3-70B-Instruct-Turbo-Free-For-All\",");
    BECOMES("/v1/models/a_model_whose_name_is_really_quite_long_and_lower",
            "\"/v1/models/a_model_whose_name_is_really_quite_long_and_lower\",");
}

static void long_names_are_cut(void **state)
{
    char path[5000];
    settle_record r = {.path = str_make(path, sizeof(path)), .first_token_us = -1};
    char out[65536];
    (void)state;
    memset(path, 'p', sizeof(path));
    size_t n = access_line(out, &r);
    assert_true(n < 512 + 400);
    memset(path, 1, sizeof(path)); /* the worst: six bytes for each, in each field */
    r.request_id = r.generation = r.key = r.client = r.method = r.model_asked = r.model_served =
        r.provider = r.path;
    r.cost_nano = INT64_MIN;
    r.latency_us = r.bytes_in = r.bytes_out = INT64_MAX;
    for (int i = 0; i < USAGE_CLASSES; i++) {
        char name[24];
        memset(name, 1, sizeof(name));
        name[0] = (char)('a' + i);
        usage_set(&r.used, str_make(name, 23), INT64_MIN);
    }
    n = access_line(out, &r);
    assert_true(n <= access_line_max(&r));
    assert_true(access_line_max(&r) < ACCESS_BUFFER);
    assert_int_equal(out[n - 1], '\n');
}

/* ---- The file. */
typedef struct file {
    char dir[64], path[96], old[96];
    FILE *say;
    logger log;
} file;

static void file_begin(file *f)
{
    snprintf(f->dir, sizeof(f->dir), "%s", "/tmp/turnpike-access-XXXXXX");
    assert_non_null(mkdtemp(f->dir));
    snprintf(f->path, sizeof(f->path), "%s/access.log", f->dir);
    snprintf(f->old, sizeof(f->old), "%s/access.log.1", f->dir);
    f->say = tmpfile();
    f->log = (logger){.fd = fileno(f->say), .level = LOG_DEBUG};
}

static void file_end(file *f)
{
    unlink(f->path);
    unlink(f->old);
    assert_int_equal(rmdir(f->dir), 0);
    fclose(f->say);
}

static uint64_t count_lines(const char *path)
{
    FILE *in = fopen(path, "r");
    uint64_t n = 0;
    if (!in)
        return 0;
    for (int c; (c = getc(in)) != EOF;)
        n += c == '\n';
    fclose(in);
    return n;
}

static int says(file *f, const char *part)
{
    char text[8192];
    int n = 0;
    ssize_t len = pread(f->log.fd, text, sizeof(text) - 1, 0);
    text[TP_MAX(len, 0)] = 0;
    for (const char *at = text; (at = strstr(at, part)); at++)
        n++;
    return n;
}

static void wait_written(const access_log *l, uint64_t lines_in)
{
    for (int i = 0; i < 5000 && access_log_written(l) < lines_in; i++)
        usleep(1000);
    assert_int_equal(access_log_written(l), lines_in);
}

static void lines_reach_the_file(void **state)
{
    file f;
    tp_error err;
    settle_record r = record();
    (void)state;
    file_begin(&f);
    access_log *l = access_log_open(f.path, &f.log, &err);
    assert_non_null(l);
    struct stat st;
    assert_int_equal(stat(f.path, &st), 0);
    assert_int_equal(st.st_mode & 07, 0);
    access_writer *w = access_writer_new(l);
    access_write(w, &r);
    usleep(20000);
    assert_int_equal(count_lines(f.path), 0); /* nobody asked for it yet */
    access_flush(w);
    wait_written(l, 1);
    assert_int_equal(count_lines(f.path), 1);
    for (int i = 0; i < 800; i++) /* over ACCESS_FLUSH_AT: goes by itself */
        access_write(w, &r);
    for (int i = 0; i < 5000 && access_log_written(l) < 50; i++)
        usleep(1000);
    assert_true(access_log_written(l) >= 50);
    access_writer_free(w); /* and the rest at the end */
    assert_int_equal(access_log_written(l), 801);
    assert_int_equal(access_log_dropped(l), 0);
    access_log_close(l);
    assert_int_equal(count_lines(f.path), 801);

    l = access_log_open(f.path, &f.log, &err); /* appended to */
    w = access_writer_new(l);
    access_write(w, &r);
    access_writer_free(w);
    access_log_close(l);
    assert_int_equal(count_lines(f.path), 802);
    file_end(&f);
}

static void a_rotated_file_is_left_alone(void **state)
{
    file f;
    tp_error err;
    settle_record r = record();
    (void)state;
    file_begin(&f);
    access_log *l = access_log_open(f.path, &f.log, &err);
    access_writer *w = access_writer_new(l);
    access_write(w, &r);
    access_flush(w);
    wait_written(l, 1);
    assert_int_equal(rename(f.path, f.old), 0);
    access_log_reopen(l);
    access_write(w, &r);
    access_write(w, &r);
    access_flush(w);
    wait_written(l, 3);
    assert_int_equal(count_lines(f.old), 1);
    assert_int_equal(count_lines(f.path), 2);
    /* A directory that is gone: the old file is written on, and it is said. */
    assert_int_equal(unlink(f.old), 0);
    assert_int_equal(rename(f.path, f.old), 0);
    assert_int_equal(mkdir(f.path, 0700), 0);
    access_log_reopen(l);
    access_write(w, &r);
    access_flush(w);
    wait_written(l, 4);
    assert_int_equal(count_lines(f.old), 3);
    assert_int_equal(says(&f, "cannot open"), 1);
    assert_int_equal(rmdir(f.path), 0);
    access_writer_free(w);
    access_log_close(l);
    file_end(&f);
}

typedef struct drain {
    int fd;
    uint64_t lines, said; /* said: by lines of access_log_dropped */
} drain;

static void *drain_run(void *arg)
{
    drain *d = arg;
    FILE *in = fdopen(d->fd, "r");
    char line[8192];
    while (fgets(line, sizeof(line), in)) {
        const char *at = strstr(line, "\"event\":\"access_log_dropped\",\"lines\":");
        if (at)
            d->said += strtoull(at + 37, NULL, 10);
        else
            d->lines++;
    }
    fclose(in);
    return NULL;
}

static void a_stuck_disk_costs_lines_and_no_waiting(void **state)
{
    file f;
    tp_error err;
    settle_record r = record();
    pthread_t reader;
    enum { N = 8000 };
    (void)state;
    file_begin(&f);
    assert_int_equal(mkfifo(f.path, 0600), 0);
    drain d = {.fd = open(f.path, O_RDONLY | O_NONBLOCK)};
    access_log *l = access_log_open(f.path, &f.log, &err);
    assert_non_null(l);
    assert_true(fcntl(d.fd, F_SETPIPE_SZ, 4096) >= 4096);
    access_writer *w = access_writer_new(l);
    for (int i = 0; i < N; i++) /* some 400 bytes each; nobody reads */
        access_write(w, &r);
    uint64_t dropped = access_log_dropped(l);
    assert_true(dropped > N / 2);
    assert_true(dropped < N - 800); /* what two buffers hold is kept */
    assert_int_equal(access_log_written(l), 0);
    fcntl(d.fd, F_SETFL, 0);
    assert_int_equal(pthread_create(&reader, NULL, drain_run, &d), 0);
    access_writer_free(w);
    access_log_close(l);
    pthread_join(reader, NULL);
    assert_int_equal(d.lines + dropped, N);
    assert_int_equal(d.said, dropped);
    file_end(&f);
}

static void a_full_disk_is_said_once(void **state)
{
    file f;
    tp_error err;
    settle_record r = record();
    (void)state;
    file_begin(&f);
    access_log *l = access_log_open("/dev/full", &f.log, &err);
    assert_non_null(l);
    access_writer *w = access_writer_new(l);
    for (int i = 0; i < 3; i++) {
        access_write(w, &r);
        access_flush(w);
        for (int k = 0; k < 5000 && access_log_dropped(l) <= (uint64_t)i; k++)
            usleep(1000);
    }
    access_writer_free(w);
    assert_int_equal(access_log_dropped(l), 3);
    assert_int_equal(access_log_written(l), 0);
    access_log_close(l);
    assert_int_equal(says(&f, "cannot write"), 1);
    file_end(&f);
}

static void a_path_that_cannot_be(void **state)
{
    tp_error err = {0};
    logger quiet = {.fd = -1};
    (void)state;
    assert_null(access_log_open("/nonexistent/dir/access.log", &quiet, &err));
    assert_int_equal(err.code, TP_ERROR_IO);
    assert_non_null(strstr(err.text, "/nonexistent/dir/access.log"));
    assert_non_null(strstr(err.text, "server.access_log"));
}

static void *many(void *arg)
{
    access_log *l = arg;
    access_writer *w = access_writer_new(l);
    settle_record r = record();
    for (int i = 0; i < 3000; i++) {
        access_write(w, &r);
        if (i % 100 == 0)
            access_flush(w);
    }
    access_writer_free(w);
    return NULL;
}

static void workers_do_not_mix(void **state)
{
    file f;
    tp_error err;
    pthread_t t[3];
    (void)state;
    file_begin(&f);
    access_log *l = access_log_open(f.path, &f.log, &err);
    for (int i = 0; i < 3; i++)
        assert_int_equal(pthread_create(&t[i], NULL, many, l), 0);
    for (int i = 0; i < 10; i++) {
        access_log_reopen(l);
        usleep(500);
    }
    for (int i = 0; i < 3; i++)
        pthread_join(t[i], NULL);
    /* "missing" lines are lines too: 9,000, less those dropped, more those that say so. */
    assert_true(access_log_written(l) + access_log_dropped(l) >= 9000);
    uint64_t written = access_log_written(l);
    access_log_close(l);
    assert_int_equal(count_lines(f.path), written);
    FILE *in = fopen(f.path, "r");
    char line[8192];
    while (fgets(line, sizeof(line), in)) {
        assert_memory_equal(line, "{\"ts\":\"2026-03-01T12:34:56.789Z\",", 33);
        assert_string_equal(line + strlen(line) - 2, "}\n");
    }
    fclose(in);
    file_end(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_line_has_every_field),
        cmocka_unit_test(what_is_not_known_is_null),
        cmocka_unit_test(nothing_breaks_a_line),
        cmocka_unit_test(every_byte_at_every_place),
        cmocka_unit_test(keys_are_not_shown),
        cmocka_unit_test(long_names_are_cut),
        cmocka_unit_test(lines_reach_the_file),
        cmocka_unit_test(a_rotated_file_is_left_alone),
        cmocka_unit_test(a_stuck_disk_costs_lines_and_no_waiting),
        cmocka_unit_test(a_full_disk_is_said_once),
        cmocka_unit_test(a_path_that_cannot_be),
        cmocka_unit_test(workers_do_not_mix),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
