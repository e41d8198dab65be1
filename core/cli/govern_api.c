#include "cli/govern_api.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "base/str.h"
#include "cli/answer.h"
#include "cli/cli.h"
#include "cli/governance.h"
#include "cli/owner.h"
#include "cli/table.h"
#include "loop/server.h"

#define ANSWER_MAX (256u << 20)
#define PAGE_ROWS 1000

struct cli_api {
    char socket[4096], store_path[4096];
    int32_t online;
    int32_t has_governance, has_reader;
    logger log, quiet; /* quiet: what the API logs of a call, its answer says too */
    governance g;
    plug_loader *loader;
    world *w;
    store_port reader; /* has_reader */
};

/* ---- Is there a gateway? */

/* 1: one answers; 0: none runs; below 0: it cannot be known. */
static int someone_answers(const char *path, tp_error *err)
{
    struct sockaddr_un sa = {.sun_family = AF_UNIX};
    if (strlen(path) >= sizeof(sa.sun_path))
        return tp_error_set(err, TP_ERROR_CONFIG,
                            "%s: too long for a socket's path (%zu bytes at most): set "
                            "server.admin_socket to a shorter one",
                            path, sizeof(sa.sun_path) - 1);
    memcpy(sa.sun_path, path, strlen(path) + 1);
    /* Not blocking: a gateway that is stopped may have all connections waiting that it can. It is
     * there all the same; who asks it learns that it does not answer. */
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    int rc = fd < 0 ? -1 : connect(fd, (struct sockaddr *)&sa, sizeof(sa));
    int why = errno;
    if (fd >= 0)
        close(fd);
    if (rc == 0 || (fd >= 0 && why == EAGAIN))
        return 1;
    if (fd >= 0 && (why == ENOENT || why == ECONNREFUSED || why == ENOTDIR))
        return 0;
    return tp_error_set(err, TP_ERROR_IO,
                        "%s: the gateway's admin socket cannot be used: %s; run this as the user "
                        "that the gateway runs as",
                        path, strerror(why));
}

/* Where a gateway listens whose configuration does not load (it may run on an older, good one): the
 * default place. */
static void default_socket(const char *dir, char path[4096])
{
    char conf_d[4096];
    struct stat st;
    snprintf(conf_d, sizeof(conf_d), "%s/conf.d", dir);
    snprintf(path, 4096, "%s/%s", dir,
             stat(conf_d, &st) == 0 ? "run/admin.sock" : "../run/admin.sock");
}

/* ---- Without a gateway. */

static int open_world(cli_api *a, conf *c_take, tp_error *err)
{
    char run_dir[4096];
    snprintf(run_dir, sizeof(run_dir), "%.*s", STR_ARG(c_take->server.run_dir));
    if (cli_act_as_owner(run_dir, err) < 0) {
        conf_free(c_take);
        return err->code;
    }
    if (mkdir(run_dir, 0700) != 0 && errno != EEXIST) {
        conf_free(c_take);
        return tp_error_set(err, TP_ERROR_IO, "server.run_dir %s cannot be made: %s", run_dir,
                            strerror(errno));
    }
    a->loader = plug_loader_new(run_dir, &a->log, err);
    if (!a->loader) {
        conf_free(c_take);
        return err->code;
    }
    a->w = world_new_take(c_take, a->loader, 1, &a->log, err);
    return a->w ? 0 : err->code;
}

static int open_offline(cli_api *a, conf *c_take, tp_error *err)
{
    int rc = open_world(a, c_take, err);
    if (rc == 0) {
        rc = governance_open(a->w->conf, 0, &a->log, &a->g, err);
        a->has_governance = 1; /* to be closed also after a failure */
        a->quiet = (logger){.fd = STDERR_FILENO};
        a->g.api.log = &a->quiet;
    }
    return rc;
}

static void close_offline(cli_api *a)
{
    if (a->has_governance)
        governance_close(&a->g);
    if (a->w)
        world_unref(a->w);
    if (a->loader)
        plug_loader_free(a->loader);
    a->has_governance = 0;
    a->w = NULL;
    a->loader = NULL;
}

cli_api *cli_api_open(const char *dir, tp_error *err)
{
    cli_place place;
    cli_api *a = tp_xcalloc(1, sizeof(*a));
    a->log = (logger){.fd = STDERR_FILENO, .level = LOG_WARN};
    if (!dir)
        dir = cli_default_config();
    cli_find_parts(&place);
    conf_env env = {.plugin_dir = place.plugin_dir};
    conf *c = conf_load(dir, &env, err);
    if (c) {
        snprintf(a->socket, sizeof(a->socket), "%.*s", STR_ARG(c->server.admin_socket));
        snprintf(a->store_path, sizeof(a->store_path), "%.*s", STR_ARG(c->store.path));
    } else {
        default_socket(dir, a->socket);
    }
    tp_error trouble = {0};
    int answers = someone_answers(a->socket, &trouble);
    if (answers > 0 || !c || answers < 0) {
        a->online = answers > 0;
        if (c && answers < 0)
            *err = trouble;
        conf_free(c);
        if (a->online)
            return a;
    } else if (open_offline(a, c, err) == 0) {
        return a;
    } else if (someone_answers(a->socket, &trouble) > 0) {
        /* A gateway was starting: it had the store already, and listens now. */
        close_offline(a);
        *err = (tp_error){0};
        a->online = 1;
        return a;
    }
    cli_api_close(a);
    return NULL;
}

void cli_api_close(cli_api *a)
{
    if (!a)
        return;
    if (a->has_reader)
        a->reader.close(a->reader.self);
    close_offline(a);
    free(a);
}

int cli_api_online(const cli_api *a)
{
    return a->online;
}

/* ---- Asking. */

/* The connection's end is the answer's: of a gateway that died within it a part comes, without an
 * error. */
static int check_whole(const cli_api *a, const buf *reply, tp_error *err)
{
    cli_answer answer;
    int rc = cli_answer_read(&answer, buf_str(reply));
    cli_answer_free(&answer);
    return rc == 0 ? 0
                   : tp_error_set(err, TP_ERROR_IO,
                                  "%s: the gateway broke off its answer: see its log", a->socket);
}

static int ask_gateway(cli_api *a, const char *method, tp_str target, tp_str body, int *status,
                       buf *reply, tp_error *err)
{
    buf line;
    int64_t code;
    buf_init(&line, ANSWER_MAX);
    /* All its room at once: it may hold a provider key, and what grows leaves copies behind. */
    TP_MUST(buf_reserve(&line, target.len + body.len + 32) == 0);
    buf_printf(&line, "api %s %.*s%s", method, STR_ARG(target), body.len ? " " : "");
    buf_adds(&line, body);
    int rc = admin_ask(a->socket, buf_str(&line), reply, err);
    secret_wipe(line.ptr, line.len);
    buf_free(&line);
    if (rc != 0)
        return rc;
    if (!reply->len)
        return tp_error_set(err, TP_ERROR_IO, "%s: the gateway gave no answer: see its log",
                            a->socket);
    size_t end = str_find(buf_str(reply), '\n');
    if (end >= reply->len || str_to_i64(str_make(reply->ptr, end), &code) != 0 || code < 100 ||
        code > 599)
        return tp_error_set(err, TP_ERROR_IO,
                            "%s: the gateway's answer is not understood: is it of this version?",
                            a->socket);
    buf_shift(reply, end + 1);
    *status = (int)code;
    return check_whole(a, reply, err);
}

static int method_of(const char *name)
{
    static const struct {
        const char *name;
        int method;
    } known[] = {{"GET", HTTP_GET},
                 {"POST", HTTP_POST},
                 {"PUT", HTTP_PUT},
                 {"PATCH", HTTP_PATCH},
                 {"DELETE", HTTP_DELETE}};
    for (size_t i = 0; i < TP_COUNT(known); i++)
        if (strcmp(name, known[i].name) == 0)
            return known[i].method;
    return HTTP_OTHER;
}

static tp_now now(void)
{
    struct timespec wall, mono;
    clock_gettime(CLOCK_REALTIME, &wall);
    clock_gettime(CLOCK_MONOTONIC, &mono);
    return (tp_now){.unix_ms = (int64_t)wall.tv_sec * 1000 + wall.tv_nsec / 1000000,
                    .mono_us = (int64_t)mono.tv_sec * 1000000 + mono.tv_nsec / 1000};
}

static int ask_store(cli_api *a, const char *method, tp_str target, tp_str body, int *status,
                     buf *reply, tp_error *err)
{
    api_reply out;
    tp_str rest;
    size_t path_len = str_find(target, '?');
    tp_str path = str_make(target.ptr, path_len);
    const world_route *route = world_route_find(a->w, path, &rest);
    TP_MUST(route && route->kind == WORLD_ADMIN);
    api_request r = {.world = a->w,
                     .route = route,
                     .method = method_of(method),
                     .method_text = str_of(method),
                     .path = path,
                     .rest = rest,
                     .query = str_skip(target, TP_MIN(path_len + 1, target.len)),
                     .body = body,
                     .type = body.len ? STR("application/json") : STR_NONE,
                     .address = STR("command"),
                     .actor = {.kind = API_SOCKET, .role = CONF_ROLE_ADMIN},
                     .now = now()};
    int rc = api_handle(&a->g.api, &r, &out);
    *status = out.status;
    rc = rc == 0 ? buf_adds(reply, buf_str(&out.body)) : rc;
    api_reply_free(&out);
    return rc == 0 ? 0 : tp_error_set(err, TP_ERROR_IO, "out of memory");
}

int cli_api_ask(cli_api *a, const char *method, tp_str target, tp_str body, int *status, buf *reply,
                tp_error *err)
{
    buf_init(reply, ANSWER_MAX);
    return a->online ? ask_gateway(a, method, target, body, status, reply, err)
                     : ask_store(a, method, target, body, status, reply, err);
}

const registry_port *cli_api_registry(cli_api *a, tp_error *err)
{
    if (!a->online)
        return &a->g.store.registry;
    if (!a->has_reader) {
        store_options o = {.path = a->store_path};
        if (!a->store_path[0]) {
            tp_error_set(err, TP_ERROR_CONFIG,
                         "the configuration does not load, so where the store lies is not known: "
                         "see turnpike check");
            return NULL;
        }
        if (store_sqlite_open(&o, STORE_READ_ONLY, &a->log, &a->reader, err) != 0)
            return NULL;
        a->has_reader = 1;
    }
    return &a->reader.registry;
}

/* ---- For commands. */

/* The text may hold names that others gave: it cannot command the terminal. */
static int say(const cli_call *c, tp_str text, const char *more)
{
    buf b;
    buf_init(&b, SIZE_MAX);
    if (cli_clean(&b, text) == 0)
        text = buf_str(&b);
    fprintf(stderr, "turnpike %s: %.*s%s\n", c->group->name, STR_ARG(text), more);
    buf_free(&b);
    return 1;
}

static int say_refusal(const cli_call *c, const cli_reply *reply)
{
    cli_answer answer;
    tp_str text = buf_str(&reply->text);
    if (cli_answer_read(&answer, text) == 0)
        text = cli_answer_message(&answer);
    if (!text.len)
        text = STR("the gateway refused without a word: see its log");
    say(c, text, "");
    cli_answer_free(&answer);
    return 1;
}

int cli_api_request(cli_api *a, const cli_call *c, const char *method, tp_str target, tp_str body,
                    cli_reply *reply)
{
    tp_error err = {0};
    *reply = (cli_reply){0};
    if (cli_api_ask(a, method, target, body, &reply->status, &reply->text, &err) != 0)
        return say(c, str_of(err.text),
                   strcmp(method, "GET") == 0
                       ? ""
                       : "; whether the change was made is not known: look before you repeat it");
    return reply->status / 100 == 2 ? 0 : say_refusal(c, reply);
}

int cli_api_once(const cli_call *c, const char *method, tp_str target, tp_str body,
                 cli_reply *reply)
{
    tp_error err = {0};
    *reply = (cli_reply){0};
    cli_api *a = cli_api_open(c->dir, &err);
    if (!a)
        return say(c, str_of(err.text), "");
    int rc = cli_api_request(a, c, method, target, body, reply);
    cli_api_close(a);
    return rc;
}

/* Reads one page: 0, or -1: it is none. *rows: how many it has more; cursor: the next one's, for a
 * query; empty: there is none. */
static int read_page(cli_page *p, int64_t *rows, buf *cursor)
{
    int rc = cli_answer_read(p->answer, p->text);
    p->data = rc == 0 ? json_get(&p->answer->doc, 0, "data", NULL) : 0;
    uint32_t at = rc == 0 ? json_get(&p->answer->doc, 0, "next", NULL) : 0;
    cursor->len = 0;
    p->next = STR("null");
    if (rc != 0 || json_kind(&p->answer->doc, p->data) != TP_ARRAY)
        return -1;
    for (uint32_t i = cli_answer_first(p->answer, p->data); i;
         i = cli_answer_next(p->answer, p->data, i))
        *rows += 1;
    if (at) {
        p->next = json_raw(&p->answer->doc, at);
        rc = cli_encode(cursor, cli_answer_value(p->answer, at));
    }
    return rc;
}

int cli_api_pages(cli_api *a, const cli_call *c, tp_str target, int64_t most, cli_take_page take,
                  void *arg)
{
    buf cursor, where;
    int64_t rows = 0, before;
    int rc;
    cli_page page = {0};
    buf_init(&cursor, 4096);
    buf_init(&where, 64u << 10);
    do {
        cli_reply reply;
        cli_answer answer = {0};
        before = rows;
        where.len = 0;
        buf_adds(&where, target);
        buf_printf(&where, "%climit=%lld", str_has(target, '?') ? '&' : '?',
                   (long long)(most && most - rows < PAGE_ROWS ? most - rows : PAGE_ROWS));
        if (cursor.len)
            buf_printf(&where, "&cursor=%.*s", (int)cursor.len, cursor.ptr);
        rc = cli_api_request(a, c, "GET", buf_str(&where), STR_NONE, &reply);
        if (rc == 0) {
            page = (cli_page){.text = buf_str(&reply.text), .answer = &answer};
            rc = read_page(&page, &rows, &cursor) == 0
                     ? 0
                     : say(c, STR("the answer is no list: is the gateway of this version?"), "");
            page.last = !cursor.len || rows == before || (most && rows >= most);
            rc = rc ? rc : take(arg, &page);
            cli_answer_free(&answer);
        }
        buf_free(&reply.text);
    } while (rc == 0 && !page.last);
    buf_free(&cursor);
    buf_free(&where);
    return rc;
}
