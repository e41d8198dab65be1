/* The management API over the real book, a world of a snippet, and a registry in memory. */
#ifndef API_FIXTURE_H
#define API_FIXTURE_H
#include "../world/world_fixture.h"

#include "fake_registry.h"
#include "manage/manage_int.h"

#define NOW_MS INT64_C(1776249000000) /* 2026-04-15T10:30:00Z */

static const char *const af_snippet =
    "{\"providers\":{\"echo\":{},\"groq\":{\"plugin\":\"openai\",\"enabled\":false}},"
    "\"surfaces\":{"
    "\"airouter\":{\"base_path\":\"/api/v1\",\"envelope\":\"typed\",\"words\":\"airouter\","
    "\"manage\":[\"keys\",\"credits\",\"generation\"],\"key_prefix\":\"air_live_\","
    "\"key_limit\":60},"
    "\"kairosroute\":{\"base_path\":\"/api\",\"endpoints\":[],\"models\":false,"
    "\"words\":\"kairosroute\",\"manage\":[\"auth\"],\"key_prefix\":\"kr_live_\","
    "\"key_tier\":\"free\"}},"
    "\"teams\":{\"fixed-team\":{\"name\":\"Of the file\",\"billing\":\"postpaid\"}},"
    "\"admission\":{\"session_minutes\":30,\"static_keys\":["
    "{\"name\":\"root\",\"key\":\"sk-root-0123456789abcdef\",\"role\":\"admin\"}]}}";

typedef struct af { /* one a test */
    wf *w;
    world *world;
    fake_registry *store;
    book *book;
    secret_pepper pepper;
    secret_master master;
    logger log;
    FILE *log_file;
    pthread_mutex_t changes;
    api_ports ports;
    tp_now now;
    const char *cookie, *csrf;
    int secure;
    char type[64];
} af;

static inline af *af_new(wf *w)
{
    af *f = calloc(1, sizeof(*f));
    window_file *windows = NULL;
    tp_error err = {0};
    f->w = w;
    f->world = wf_world(w, af_snippet);
    f->store = fake_registry_new();
    memset(f->pepper.key, 7, sizeof(f->pepper.key));
    memset(f->pepper.id, 9, sizeof(f->pepper.id));
    f->pepper.known = 1;
    memset(f->master.key, 3, sizeof(f->master.key));
    assert_int_equal(window_file_open(NULL, 4096, &windows, &err), 0);
    f->book = book_new(&f->pepper, windows, 0);
    assert_non_null(f->book);
    f->log_file = tmpfile();
    f->log = (logger){.fd = fileno(f->log_file), .level = LOG_DEBUG};
    pthread_mutex_init(&f->changes, NULL);
    f->now = (tp_now){.mono_us = 1000000, .unix_ms = NOW_MS};
    f->ports = (api_ports){.book = f->book,
                           .registry = &f->store->port,
                           .sessions = session_table_new(4),
                           .master = &f->master,
                           .log = &f->log,
                           .changes = &f->changes};
    snprintf(f->type, sizeof(f->type), "application/json");
    assert_int_equal(book_configure(f->book, f->world->conf, NOW_MS), 0);
    assert_int_equal(api_load(&f->ports, NOW_MS, &err), 0);
    return f;
}

static inline void af_free(af *f)
{
    session_table_free(f->ports.sessions);
    book_free(f->book);
    fake_registry_free(f->store);
    world_unref(f->world);
    fclose(f->log_file);
    pthread_mutex_destroy(&f->changes);
    free(f);
}

/* ---- Who asks. */
static inline api_actor af_socket(void)
{
    return (api_actor){.kind = API_SOCKET, .role = CONF_ROLE_ADMIN};
}

static inline api_actor af_nobody(void)
{
    return (api_actor){0};
}

static inline api_actor af_key(int32_t role, const char *id, const char *team)
{
    return (api_actor){.kind = API_KEY, .role = role, .key_id = str_of(id), .team = str_of(team)};
}

/* ---- An answer, scanned. */
typedef struct answer {
    int32_t status;
    char *body;         /* terminated */
    char headers[1024]; /* "name: value\n" each */
    tp_doc d;
    arena mem;
} answer;

static inline void answer_free(answer *a)
{
    free(a->body);
    arena_reset(&a->mem);
}

static inline int32_t af_method(const char *name)
{
    static const char *const names[] = {
        [HTTP_GET] = "GET", [HTTP_HEAD] = "HEAD",   [HTTP_POST] = "POST",
        [HTTP_PUT] = "PUT", [HTTP_PATCH] = "PATCH", [HTTP_DELETE] = "DELETE"};
    for (int32_t i = HTTP_GET; i <= HTTP_DELETE; i++)
        if (strcmp(names[i], name) == 0)
            return i;
    return HTTP_OTHER;
}

static inline answer af_ask(af *f, api_actor who, const char *method, const char *target,
                            const char *body)
{
    answer a = {0};
    api_reply reply;
    tp_str whole = str_of(target), rest;
    size_t mark = str_find(whole, '?');
    tp_str path = str_make(whole.ptr, mark);
    json_tape tape = {0};
    json_error fault = {0};
    const world_route *route = world_route_find(f->world, path, &rest);
    if (!route)
        fail_msg("no route for %s", target);
    api_request r = {.world = f->world,
                     .route = route,
                     .method = af_method(method),
                     .secure = f->secure,
                     .method_text = str_of(method),
                     .path = path,
                     .rest = rest,
                     .query = str_skip(whole, mark + 1),
                     .body = str_of(body),
                     .type = body ? str_of(f->type) : STR_NONE,
                     .cookie = str_of(f->cookie),
                     .csrf = str_of(f->csrf),
                     .address = STR("203.0.113.9"),
                     .actor = who,
                     .now = f->now};
    assert_int_equal(api_handle(&f->ports, &r, &reply), 0);
    a.status = reply.status;
    a.body = tp_xstrndup(reply.body.ptr, reply.body.len);
    size_t n = 0;
    for (uint32_t i = 0; i < reply.header_count; i++)
        n += (size_t)snprintf(a.headers + n, sizeof(a.headers) - n, "%.*s: %.*s\n",
                              STR_ARG(reply.headers[i].name), STR_ARG(reply.headers[i].value));
    api_reply_free(&reply);
    arena_init(&a.mem, NULL, 64u << 20);
    if (json_scan_doc(str_of(a.body), &tape, &a.mem, &a.d, &fault) < 0)
        fail_msg("%s %s answers no JSON (%s at %u): %s", method, target, fault.what, fault.at,
                 a.body);
    json_tape_free(&tape);
    /* Every lock is free again. */
    assert_int_equal(pthread_mutex_trylock(&f->changes), 0);
    pthread_mutex_unlock(&f->changes);
    return a;
}

/* The value of a dotted path in the answer ("data.0.id"), as text: strings decoded, others as they
 * stand; NULL: not there. */
static inline const char *at(answer *a, const char *path)
{
    uint32_t t = 0;
    tp_str rest = str_of(path);
    while (rest.len) {
        size_t n = str_find(rest, '.');
        tp_str name = str_make(rest.ptr, n);
        int64_t index;
        if (json_kind(&a->d, t) == TP_ARRAY && str_to_i64(name, &index) == 0) {
            uint32_t i = t + 1;
            for (; index > 0 && i < a->d.tokens[t].next; index--)
                i = a->d.tokens[i].next;
            t = i < a->d.tokens[t].next ? i : 0;
        } else {
            t = json_kind(&a->d, t) == TP_OBJECT ? json_find(&a->d, t, name) : 0;
        }
        if (!t)
            return NULL;
        rest = str_skip(rest, n + 1);
    }
    tp_str v =
        json_kind(&a->d, t) == TP_STRING ? json_string(&a->d, t, &a->mem) : json_raw(&a->d, t);
    char *z = arena_alloc(&a->mem, v.len + 1);
    memcpy(z, v.ptr, v.len);
    z[v.len] = 0;
    return z;
}

#define assert_at(a, path, want)                                                                   \
    do {                                                                                           \
        const char *got_ = at((a), (path));                                                        \
        if (!got_ || strcmp(got_, (want)) != 0)                                                    \
            fail_msg("%s is %s, expected %s, in %s", (path), got_ ? got_ : "(nothing)", (want),    \
                     (a)->body);                                                                   \
    } while (0)
#define assert_status(a, want)                                                                     \
    do {                                                                                           \
        if ((a)->status != (want))                                                                 \
            fail_msg("status %d, expected %d: %s", (a)->status, (want), (a)->body);                \
    } while (0)

/* Asks and expects a status; the answer is the caller's. */
#define ASK(a, f, who, method, target, body, want)                                                 \
    answer a = af_ask((f), (who), (method), (target), (body));                                     \
    assert_status(&a, (want))

/* Asks and expects an error of that status whose message has these words. param "": null. */
static inline void af_refuses(af *f, api_actor who, const char *method, const char *target,
                              const char *body, int status, const char *param, const char *words)
{
    answer a = af_ask(f, who, method, target, body);
    if (a.status != status)
        fail_msg("%s %s %s: status %d, expected %d: %s", method, target, body ? body : "", a.status,
                 status, a.body);
    const char *message = at(&a, "error.message");
    assert_non_null(message);
    assert_has(message, words);
    if (param && at(&a, "error.param"))
        assert_at(&a, "error.param", param[0] ? param : "null");
    answer_free(&a);
}

/* Makes a key in a team over the socket and answers its id (static memory of the fixture's world).
 */
static inline const char *af_make_key(af *f, const char *team, const char *role)
{
    char body[256];
    snprintf(body, sizeof(body), "{\"name\":\"n\",\"team\":\"%s\",\"role\":\"%s\"}", team, role);
    answer a = af_ask(f, af_socket(), "POST", "/admin/keys", body);
    assert_status(&a, 201);
    const char *id = at(&a, "id");
    char *copy = arena_alloc(&f->store->mem, strlen(id) + 1);
    memcpy(copy, id, strlen(id) + 1);
    answer_free(&a);
    return copy;
}

static inline void af_make_team(af *f, const char *id)
{
    char body[256];
    snprintf(body, sizeof(body), "{\"id\":\"%s\"}", id);
    answer a = af_ask(f, af_socket(), "POST", "/admin/teams", body);
    assert_status(&a, 201);
    answer_free(&a);
}

static inline char *af_log(af *f)
{
    long n = lseek(f->log.fd, 0, SEEK_END);
    char *text = calloc(1, (size_t)n + 1);
    assert_int_equal(pread(f->log.fd, text, (size_t)n, 0), n);
    return text;
}
#endif
