/* The way of a call: row of the table -> who acts -> may they -> query and body -> the row's own
 * function, under the lock of changes when it is one. */
#include "manage/api.h"

#include <stdarg.h>
#include <stdio.h>

#include "manage/manage_int.h"

#define JSON_TYPE STR("application/json")
#define REPLY_MAX (64u << 20)
#define MEMORY_MAX (64u << 20)

/* ---- Errors, headers, log. */
int api_fail(api_call *c, int32_t status, const char *code, const char *param, const char *fmt, ...)
{
    char text[1600];
    va_list ap;
    va_start(ap, fmt);
    int n = vsnprintf(text, sizeof(text), fmt, ap);
    va_end(ap);
    tp_str message = str_make(text, n < 0 ? 0 : TP_MIN((size_t)n, sizeof(text) - 1));
    while (message.len && !json_utf8_valid(message)) /* cut within a character */
        message.len--;
    profile_error e = {
        .status = status, .message = message, .code = str_of(code), .param = str_of(param)};
    c->out->status = status;
    c->out->body.len = 0;
    return profile_write_error(c->surface, &e, &c->out->body) == 0 ? 1 : -1;
}

int api_header(api_call *c, const char *name, tp_str value)
{
    api_reply *out = c->out;
    if (!value.ptr)
        return -1;
    TP_MUST(out->header_count < API_HEADERS);
    out->headers[out->header_count++] = (tp_header){str_of(name), value};
    return 0;
}

int api_store_down(api_call *c, const tp_error *err)
{
    log_line(c->p->log, LOG_ERROR, "management API: the store did not take a call of %.*s: %s",
             STR_ARG(c->actor), err->text);
    if (api_header(c, "retry-after", STR("5")) < 0)
        return -1;
    return api_fail(c, 503, "store_unavailable", NULL,
                    "The store is not available: %s; try again later.",
                    err->text[0] ? err->text : "no reason is known");
}

int api_store_busy(api_call *c, const tp_error *err)
{
    if (api_header(c, "retry-after", STR("60")) < 0)
        return -1;
    return api_fail(c, 503, "busy", NULL, "%s.", err->text);
}

int api_nobody(api_call *c)
{
    tp_str words = profile_words(c->surface, PROFILE_NO_KEY);
    if (!words.len)
        words = STR("Invalid or missing API key.");
    if (api_header(c, "www-authenticate", STR("Bearer")) < 0)
        return -1;
    return api_fail(c, 401, "invalid_api_key", NULL, "%.*s", STR_ARG(words));
}

int api_not_found(api_call *c, const char *what, tp_str name)
{
    tp_str shown = profile_shown(name);
    return api_fail(c, 404, "not_found", NULL, "There is no %s '%.*s'.", what, STR_ARG(shown));
}

int api_bad_cursor(api_call *c)
{
    return api_fail(c, 400, "invalid_value", "cursor",
                    "'cursor' must be what 'next' of the page before said.");
}

void api_guess_offer(api_guess *g, tp_str name)
{
    unsigned d = str_distance(g->wanted, name);
    if (d * 2 <= g->wanted.len + 1 && d <= 3 && (!g->best.len || d < g->distance)) {
        g->best = name;
        g->distance = d;
    }
}

const char *api_guess_say(api_call *c, const api_guess *g)
{
    if (!g->best.len)
        return ".";
    return api_z(c, arena_printf(c->mem, "; did you mean '%.*s'?", STR_ARG(g->best)));
}

const char *api_z(api_call *c, tp_str s)
{
    char *z = arena_alloc(c->mem, s.len + 1);
    if (!z)
        return "";
    if (s.len)
        memcpy(z, s.ptr, s.len);
    z[s.len] = 0;
    return z;
}

void api_log(const api_call *c, const char *fmt, ...)
{
    char text[1200];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(text, sizeof(text), fmt, ap);
    va_end(ap);
    tp_str from = c->kind == API_SOCKET ? STR_NONE : c->r->address;
    log_line(c->p->log, LOG_INFO, "management: %.*s%s%.*s %s", STR_ARG(c->actor),
             from.len ? " from " : "", STR_ARG(from), text);
}

/* ---- Rows. */
static tp_str segment(tp_str *rest)
{
    size_t n = str_find(*rest, '/');
    tp_str s = str_make(rest->ptr, n);
    *rest = n < rest->len ? str_skip(*rest, n + 1) : STR_NONE;
    return s;
}

/* Does the path fit the pattern? 1 and what stands for its parameters, still encoded. */
static int pattern_fits(const char *pattern, tp_str path, tp_str *parameters)
{
    tp_str p = str_of(pattern);
    uint32_t n = 0;
    if (p.len == 0 || path.len == 0)
        return p.len == path.len;
    while (p.ptr && path.ptr) {
        tp_str want = segment(&p), have = segment(&path);
        if (want.len && want.ptr[0] == '{') {
            if (have.len == 0)
                return 0;
            TP_MUST(n < API_PARAMETERS);
            parameters[n++] = have;
        } else if (!str_eq(want, have)) {
            return 0;
        }
    }
    return !p.ptr && !path.ptr;
}

static int32_t method_of(const api_request *r)
{
    return r->method == HTTP_HEAD ? HTTP_GET : r->method;
}

static const char *method_name(int32_t method)
{
    switch (method) {
    case HTTP_GET:
        return "GET, HEAD";
    case HTTP_POST:
        return "POST";
    case HTTP_PUT:
        return "PUT";
    case HTTP_PATCH:
        return "PATCH";
    default:
        return "DELETE";
    }
}

/* 0 and c->row; 1: answered 404 or 405; -1. */
static int find_row(api_call *c)
{
    char allow[64] = "";
    size_t n = 0;
    uint32_t count;
    const api_row *rows = api_rows(&count);
    for (uint32_t i = 0; i < count; i++) {
        const api_row *row = &rows[i];
        tp_str parameters[API_PARAMETERS] = {{0}};
        if (row->mount != c->r->route->kind || !pattern_fits(row->pattern, c->r->rest, parameters))
            continue;
        if (row->method == method_of(c->r)) {
            c->row = row;
            memcpy(c->parameters, parameters, sizeof(parameters));
            return 0;
        }
        n += (size_t)snprintf(allow + n, sizeof(allow) - n, "%s%s", n ? ", " : "",
                              method_name(row->method));
    }
    tp_str shown = profile_shown(c->r->path);
    if (n == 0)
        return api_fail(c, 404, "not_found", NULL, "There is nothing at '%.*s'.", STR_ARG(shown));
    if (api_header(c, "allow", arena_str(c->mem, str_of(allow))) < 0)
        return -1;
    tp_str method = profile_shown(c->r->method_text);
    return api_fail(c, 405, "method_not_allowed", NULL, "%.*s is not allowed at '%.*s': use %s.",
                    STR_ARG(method), STR_ARG(shown), allow);
}

/* ---- Who acts, and may they. */
static int inactive(api_call *c)
{
    tp_str words = profile_words(c->surface, PROFILE_TEAM_INACTIVE);
    if (!words.len)
        words = STR("The team of the key that this login stands on is inactive.");
    return api_fail(c, 403, "team_inactive", NULL, "%.*s", STR_ARG(words));
}

static int find_actor(api_call *c)
{
    const api_actor *a = &c->r->actor;
    c->kind = a->kind;
    c->role = a->role;
    c->key_id = a->key_id;
    c->team = a->team;
    c->actor = a->key_id.len ? a->key_id : STR("a key");
    if (a->kind == API_SOCKET) {
        c->role = CONF_ROLE_ADMIN;
        c->actor = STR("socket");
    } else if (a->kind != API_KEY) {
        int change = method_of(c->r) != HTTP_GET;
        int rc = c->r->route->session ? api_session_find(c, change) : SESSION_NONE;
        if (rc < 0)
            return -1;
        if (rc == SESSION_NONE)
            return api_nobody(c);
        if (rc == SESSION_INACTIVE)
            return inactive(c);
        if (rc == SESSION_NO_CSRF)
            return api_fail(c, 403, "csrf", NULL,
                            "A session's changes need the header X-CSRF-Token with the token that "
                            "POST or GET /admin/session gave.");
    }
    c->own = c->team.len || c->role < CONF_ROLE_MANAGEMENT ? c->team : API_DEFAULT_TEAM;
    return 0;
}

static int role_fails(api_call *c, const char *needed)
{
    return api_fail(c, 403, "insufficient_role", NULL,
                    "This needs %s; the key that was presented has the role '%s'.", needed,
                    c->role == CONF_ROLE_MANAGEMENT ? "management" : "inference");
}

static int may(api_call *c)
{
    if (c->row->need == NEED_SOCKET && c->kind != API_SOCKET)
        return api_fail(c, 403, "socket_only", NULL,
                        "This is answered on the gateway's admin socket only: use the turnpike "
                        "command on its machine.");
    if (c->role == CONF_ROLE_ADMIN || c->row->need == NEED_KEY)
        return 0;
    if (c->row->need == NEED_ADMIN)
        return role_fails(c, "a key with the role 'admin'");
    if (c->role < CONF_ROLE_MANAGEMENT)
        return role_fails(c, "a session, or a key with the role 'management' or 'admin'");
    if (c->row->need == NEED_TEAM && !str_eq(c->parameters[0], c->own))
        return api_not_found(c, "team", c->parameters[0]); /* as if it were not there */
    return 0;
}

static int decode_parameters(api_call *c)
{
    for (uint32_t i = 0; i < API_PARAMETERS; i++) {
        if (!c->parameters[i].len)
            continue;
        c->parameters[i] = api_decode(c->mem, c->parameters[i], 0);
        if (!c->parameters[i].ptr)
            return api_fail(c, 404, "not_found", NULL,
                            "There is nothing at this path: it is not readable.");
    }
    return 0;
}

static int answer(api_call *c)
{
    static const api_schema nothing = {0};
    int rc = find_row(c);
    rc = rc ? rc : decode_parameters(c);
    rc = rc ? rc : find_actor(c);
    rc = rc ? rc : may(c);
    rc = rc ? rc : api_read_query(c, c->row->query ? c->row->query : &nothing);
    if (rc == 0 && c->row->body)
        rc = api_read_body(c, c->row->body);
    if (rc)
        return rc;
    c->out->status = c->row->status;
    if (c->row->change)
        pthread_mutex_lock(c->p->changes);
    rc = c->row->run(c);
    if (c->row->change)
        pthread_mutex_unlock(c->p->changes);
    return rc;
}

int api_handle(const api_ports *p, const api_request *r, api_reply *out)
{
    *out = (api_reply){.type = JSON_TYPE};
    buf_init(&out->body, REPLY_MAX);
    arena_init(&out->mem, NULL, MEMORY_MAX);
    api_call c = {.p = p,
                  .r = r,
                  .out = out,
                  .mem = &out->mem,
                  .surface = r->route->kind == WORLD_ADMIN ? NULL : r->route->surface,
                  .conf = r->world->conf};
    /* Secrets, tokens and figures: nothing that a cache on the way may keep. */
    if (answer(&c) >= 0 && api_header(&c, "cache-control", STR("no-store")) == 0)
        return 0;
    buf_free(&out->body);
    out->status = 503;
    out->header_count = 0;
    return -1;
}

void api_reply_free(api_reply *r)
{
    buf_free(&r->body);
    arena_reset(&r->mem);
}
