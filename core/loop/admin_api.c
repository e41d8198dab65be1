/* "api METHOD PATH[?QUERY] [JSON]" on the admin socket: the management API, for the commands. The
 * store may make it wait, so it runs on a thread of libuv's. The answer: the status, LF, the body. */
#include <openssl/crypto.h>
#include <stdlib.h>
#include <time.h>

#include "base/str.h"
#include "loop/admin.h"


typedef struct api_call {
    uv_work_t work;
    const api_ports *api;
    admin_client *client;
    world *w;      /* referenced */
    char *line;    /* what the request points into */
    api_request request;
    api_reply reply;
} api_call;

static void run_api(uv_work_t *work)
{
    api_call *c = work->data;
    api_handle(c->api, &c->request, &c->reply);
    OPENSSL_thread_stop(); /* as in jobs.c */
}

static void done_api(uv_work_t *work, int status)
{
    api_call *c = work->data;
    buf b;
    (void)status;
    buf_init(&b, 64u << 20);
    buf_printf(&b, "%d\n", c->reply.status);
    buf_adds(&b, buf_str(&c->reply.body));
    admin_reply(c->client, buf_str(&b));
    buf_free(&b);
    api_reply_free(&c->reply);
    world_unref(c->w);
    free(c->line);
    free(c);
}

static tp_str next_word(tp_str *line)
{
    size_t n = str_find(*line, ' ');
    tp_str word = str_make(line->ptr, n);
    *line = str_skip(*line, TP_MIN(n + 1, line->len));
    return word;
}

static int method_of(tp_str name)
{
    static const struct {
        tp_str name;
        int method;
    } known[] = {{{"GET", 3}, HTTP_GET},     {{"POST", 4}, HTTP_POST}, {{"PUT", 3}, HTTP_PUT},
                 {{"PATCH", 5}, HTTP_PATCH}, {{"DELETE", 6}, HTTP_DELETE}};
    for (size_t i = 0; i < TP_COUNT(known); i++)
        if (str_eq(known[i].name, name))
            return known[i].method;
    return HTTP_OTHER;
}

int admin_api(const api_ports *api, uv_loop_t *loop, world *w, admin_client *client, tp_str line,
              buf *out)
{
    struct timespec now;
    tp_str rest;
    char *copy = tp_xstrndup(line.ptr, line.len);
    tp_str left = str_make(copy, line.len);
    tp_str method = next_word(&left), target = next_word(&left);
    size_t path_len = str_find(target, '?');
    tp_str path = str_make(target.ptr, path_len);
    const world_route *route = world_route_find(w, path, &rest);
    if (!api || !route || route->kind != WORLD_ADMIN) {
        free(copy);
        buf_adds(out, STR("404\n{\"error\":{\"message\":\"The admin socket serves what lies under "
                          "/admin/.\",\"type\":\"not_found_error\",\"param\":null,"
                          "\"code\":\"unknown_path\"}}"));
        return 1;
    }
    api_call *c = tp_xcalloc(1, sizeof(*c));
    clock_gettime(CLOCK_REALTIME, &now);
    c->work.data = c;
    c->api = api;
    c->client = client;
    c->line = copy;
    c->w = w;
    world_ref(c->w);
    c->request = (api_request){
        .world = c->w,
        .route = route,
        .method = method_of(method),
        .method_text = method,
        .path = path,
        .rest = rest,
        .query = str_skip(target, TP_MIN(path_len + 1, target.len)),
        .body = left,
        .type = left.len ? STR("application/json") : STR_NONE,
        .address = STR("socket"),
        .actor = {.kind = API_SOCKET, .role = CONF_ROLE_ADMIN},
        .now = {.mono_us = (int64_t)(uv_hrtime() / 1000),
                .unix_ms = (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000}};
    TP_MUST(uv_queue_work(loop, &c->work, run_api, done_api) == 0);
    return 0;
}

