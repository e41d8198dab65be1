/* The management API from bytes: the first line is "ACTOR METHOD TARGET" (actor: a digit), then
 * requests of the same kind parted by lines "----", each with its body behind its first line. One
 * book serves all requests of an input, so that what one makes the next one meets. Making a key
 * costs an Argon2 hash: two an input at most, later ones are asked with a name too many. */
#include <stdio.h>
#include <stdlib.h>

#include "../../unit/manage/fake_registry.h"
#include "manage/manage_int.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define NOW_MS INT64_C(1776249000000)
#define REQUESTS 16
#define HASHES 2

static conf_surface surface = {.name = {"airouter", 8},
                               .base_path = {"/v1", 3},
                               .enabled = 1,
                               .envelope = CONF_ENVELOPE_TYPED,
                               .words = CONF_WORDS_AIROUTER,
                               .manage = 15,
                               .key_prefix = {"air_live_", 9},
                               .key_limit = 60};
static conf_tier tiers[] = {{.name = {"free", 4}, .limits = {100, 0, 0}},
                            {.name = {"pro", 3}, .limits = {1000, 0, 0}}};
static conf_provider providers[] = {{.name = {"groq", 4}}, {.name = {"a/b", 3}}};
static conf_team teams[] = {{.id = {"conf", 4}, .active = 1, .billing = CONF_POSTPAID}};

static const struct {
    const char *prefix;
    int32_t kind;
} mounts[] = {
    {"/v1/keys", WORLD_KEYS},       {"/v1/key", WORLD_KEY_SELF},          {"/v1/auth", WORLD_AUTH},
    {"/v1/credits", WORLD_CREDITS}, {"/v1/generation", WORLD_GENERATION}, {"/admin", WORLD_ADMIN}};

/* As a world's routes find it: the path itself, or all below it. */
static int mount_of(tp_str path, tp_str *rest)
{
    for (size_t i = 0; i < TP_COUNT(mounts); i++) {
        tp_str prefix = str_of(mounts[i].prefix);
        if (!str_starts(path, prefix))
            continue;
        *rest = str_skip(path, prefix.len);
        if (rest->len == 0)
            return mounts[i].kind;
        if (rest->ptr[0] == '/') {
            *rest = str_skip(*rest, 1);
            return mounts[i].kind;
        }
    }
    return 0;
}

static tp_str word(tp_str *line)
{
    size_t n = str_find(*line, ' ');
    tp_str w = str_make(line->ptr, n);
    *line = str_skip(*line, n + 1);
    return w;
}

static int32_t method_of(tp_str name)
{
    static const char *const names[] = {
        [HTTP_GET] = "GET", [HTTP_HEAD] = "HEAD",   [HTTP_POST] = "POST",
        [HTTP_PUT] = "PUT", [HTTP_PATCH] = "PATCH", [HTTP_DELETE] = "DELETE"};
    for (int32_t i = HTTP_GET; i <= HTTP_DELETE; i++)
        if (str_eq(str_of(names[i]), name))
            return i;
    return HTTP_OTHER;
}

typedef struct run {
    api_ports ports;
    world world;
    fake_registry *store;
    char cookie[160];
    char csrf[64];
    int hashes;
} run;

/* What an answer must be, whatever was asked. */
static void check(run *f, const api_request *r, const api_reply *out)
{
    json_tape tape = {0};
    TP_MUST(out->status >= 200 && out->status < 600 && out->body.len > 0);
    TP_MUST(json_scan(buf_str(&out->body), &tape, NULL) == 0);
    tp_doc d = json_doc(buf_str(&out->body), &tape);
    TP_MUST((out->status >= 400) == (json_find(&d, 0, STR("error")) != 0));
    for (uint32_t i = 0; i < out->header_count; i++) {
        const tp_header *h = &out->headers[i];
        if (!str_has_control(h->value) && str_eq(h->name, STR("set-cookie")))
            snprintf(f->cookie, sizeof(f->cookie), "%.*s", STR_ARG(h->value));
    }
    tp_str csrf;
    if (json_plain(&d, json_find(&d, 0, STR("csrf_token")), &csrf))
        snprintf(f->csrf, sizeof(f->csrf), "%.*s", STR_ARG(csrf));
    if (out->status == 201 && r->route->kind != WORLD_CREDITS && json_find(&d, 0, STR("hint")))
        f->hashes++;
    json_tape_free(&tape);
    TP_MUST(pthread_mutex_trylock(f->ports.changes) == 0);
    pthread_mutex_unlock(f->ports.changes);
}

static void one(run *f, tp_str text)
{
    static const char key_id[] = "key_00000000000000000000";
    size_t end = str_find(text, '\n');
    tp_str line = str_make(text.ptr, end), body = str_skip(text, end + 1), rest;
    tp_str who = word(&line), method = word(&line), target = line;
    size_t mark = str_find(target, '?');
    tp_str path = str_make(target.ptr, mark);
    world_route route = {.kind = mount_of(path, &rest), .session = 1, .surface = &surface};
    if (!route.kind)
        return;
    int actor = who.len ? who.ptr[0] & 7 : 0;
    f->store->down = who.len > 1 && who.ptr[1] == '!';
    api_request r = {.world = &f->world,
                     .route = &route,
                     .method = method_of(method),
                     .method_text = method,
                     .path = path,
                     .rest = rest,
                     .query = str_skip(target, mark + 1),
                     .body = body,
                     .type = STR("application/json"),
                     .cookie = str_of(f->cookie),
                     .csrf = str_of(f->csrf),
                     .address = STR("203.0.113.9"),
                     .now = {.mono_us = 1, .unix_ms = NOW_MS}};
    if (actor == 4)
        r.actor = (api_actor){.kind = API_SOCKET};
    else if (actor)
        r.actor = (api_actor){.kind = API_KEY,
                              .role = TP_MIN(actor, 3),
                              .key_id = str_of(key_id),
                              .team = actor == 5 ? STR_NONE : STR("acme")};
    int makes = r.method == HTTP_POST && (route.kind == WORLD_KEYS || route.kind == WORLD_AUTH ||
                                          (route.kind == WORLD_ADMIN && str_eq(rest, STR("keys"))));
    if (makes && f->hashes >= HASHES)
        return;
    api_reply out;
    TP_MUST(api_handle(&f->ports, &r, &out) == 0);
    check(f, &r, &out);
    api_reply_free(&out);
}

/* Rows that are there from the beginning, so that ids in the corpus name something. */
static void seed(run *f)
{
    registry_team t = {
        .id = STR("acme"), .name = STR("Acme"), .active = 1, .billing = CONF_PREPAID};
    registry_key k = {.id = STR("key_00000000000000000000"),
                      .name = STR("seed"),
                      .team = STR("acme"),
                      .lookup = STR("air_live_000000000000"),
                      .argon2 = STR("$argon2id$"),
                      .role = CONF_ROLE_ADMIN,
                      .spend_limit_nano = -1,
                      .limits = {-1, -1, -1},
                      .created_ms = NOW_MS};
    tp_error err;
    f->store->port.put_team(f->store, &t, &err);
    f->store->port.put_key(f->store, &k, &err);
    settle_record r = {.generation = STR("gen-1"),
                       .team = STR("acme"),
                       .model_asked = STR("m"),
                       .unix_ms = NOW_MS,
                       .outcome = SETTLE_COMPLETED,
                       .baseline_nano = -1};
    usage_set(&r.used, STR("prompt"), 3);
    f->store->records[f->store->record_count++] = r;
    TP_MUST(api_load(&f->ports, NOW_MS, &err) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    conf c = {.surfaces = &surface,
              .surface_count = 1,
              .tiers = tiers,
              .tier_count = TP_COUNT(tiers),
              .providers = providers,
              .provider_count = TP_COUNT(providers),
              .teams = teams,
              .team_count = 1};
    secret_pepper pepper = {.key = {1}, .id = {2}, .known = 1};
    secret_master master = {{3}};
    logger log = {.fd = -1, .level = 0};
    pthread_mutex_t changes = PTHREAD_MUTEX_INITIALIZER;
    window_file *windows = NULL;
    tp_error err;
    TP_MUST(window_file_open(NULL, 64, &windows, &err) == 0);
    run f = {.world = {.conf = &c}, .store = fake_registry_new()};
    f.ports = (api_ports){.book = book_new(&pepper, windows, 0),
                          .registry = &f.store->port,
                          .sessions = session_table_new(2),
                          .master = &master,
                          .log = &log,
                          .changes = &changes};
    TP_MUST(f.ports.book && book_configure(f.ports.book, &c, NOW_MS) == 0);
    seed(&f);
    tp_str rest = {(const char *)data, size};
    for (int i = 0; i < REQUESTS && rest.len; i++) {
        const char *cut = memmem(rest.ptr, rest.len, "\n----\n", 6);
        size_t n = cut ? (size_t)(cut - rest.ptr) : rest.len;
        one(&f, str_make(rest.ptr, n));
        rest = str_skip(rest, n + 6);
    }
    session_table_free(f.ports.sessions);
    book_free(f.ports.book);
    fake_registry_free(f.store);
    return 0;
}
