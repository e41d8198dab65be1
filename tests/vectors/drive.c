/* Drives a provider plugin from another program: drive CHAT.so PLUGIN.so OPTIONS_JSON
 * One case a line on stdin, one result a line on stdout, both JSON:
 *   case    request: the client's body, a string as it stands or any other value
 *           format: "chat/openai" by default, taken through endpoint chat. Of another format the
 *             provider gets the body as it stands, and the client's output is its FRAMEs
 *           model, stream: of an operation of another format; else the body's own
 *           target: {model, max_output_tokens, context_length, options}
 *           relay: set TP_RELAY or not; by default as the gateway would
 *           strict, now_ms, show_usage (true by default), shown_model (the target's by default)
 *           reply, or replies (a list, one a step): null (build only), or {status, type,
 *             headers: [[name, value]], body | body_base64, broken, feed: whole | event | byte}
 *   result  status: a word (ok, input...), where: the call that failed, fail: {param, why}
 *           sent: {method, path, headers, secret_header, sign, body} of the last step; steps: of all
 *           reports: [{what, field, why}]
 *           events: [{kind, ...}], terminal
 *           client: {status, headers, body}
 * Bytes that are not UTF-8 are {"base64": ...}. A plugin that breaks the rules ends the program. */
#include <stdio.h>
#include <stdlib.h>
#include <cjson/cJSON.h>
#include "exchange.h"
#include "model/json.h"
#include "words.h"

typedef struct drive { /* one case under way */
    const vec_plugin *chat, *plugin;
    const cJSON *test;
    buf out;
    exchange x;
    vec_list owned; /* void * */
} drive;

static const cJSON *get(const cJSON *o, const char *key)
{
    return cJSON_GetObjectItemCaseSensitive(o, key);
}
static const char *string_or(const cJSON *o, const char *key, const char *other)
{
    const cJSON *v = get(o, key);
    return cJSON_IsString(v) ? v->valuestring : other;
}
static int64_t int_or(const cJSON *o, const char *key, int64_t other)
{
    const cJSON *v = get(o, key);
    return cJSON_IsNumber(v) ? (int64_t)v->valuedouble : other;
}
static int bool_or(const cJSON *o, const char *key, int other)
{
    const cJSON *v = get(o, key);
    return cJSON_IsBool(v) ? cJSON_IsTrue(v) : other;
}
static char *owned(drive *d, char *p)
{
    TP_MUST(p);
    *(void **)vec_push(&d->owned, sizeof(void *)) = p;
    return p;
}
/* A body: a string is the text itself, any other value its JSON. */
static tp_str text_of(drive *d, const cJSON *v)
{
    if (cJSON_IsString(v))
        return vec_str(v->valuestring);
    return v ? vec_str(owned(d, cJSON_PrintUnformatted(v))) : STR_NONE;
}

/* ---- Output. */
static void put(drive *d, const char *text)
{
    TP_MUST(buf_adds(&d->out, vec_str(text)) == 0);
}

static void put_base64(drive *d, tp_str s)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    const unsigned char *p = (const unsigned char *)s.ptr;
    put(d, "{\"base64\":\"");
    for (size_t i = 0; i < s.len; i += 3) {
        size_t n = TP_MIN(s.len - i, (size_t)3);
        uint32_t v = (uint32_t)p[i] << 16 | (n > 1 ? (uint32_t)p[i + 1] << 8 : 0) |
                     (n > 2 ? (uint32_t)p[i + 2] : 0);
        char four[4] = {digits[v >> 18], digits[v >> 12 & 63], n > 1 ? digits[v >> 6 & 63] : '=',
                        n > 2 ? digits[v & 63] : '='};
        TP_MUST(buf_add(&d->out, four, 4) == 0);
    }
    put(d, "\"}");
}

static void put_value(drive *d, tp_str s)
{
    if (json_utf8_valid(s))
        TP_MUST(json_quote(&d->out, s) == 0);
    else
        put_base64(d, s);
}

static void put_member(drive *d, const char *name, tp_str s)
{
    TP_MUST(buf_printf(&d->out, ",\"%s\":", name) == 0);
    put_value(d, s);
}

static void put_set(drive *d, const char *name, tp_str s)
{
    if (s.len)
        put_member(d, name, s);
}

static void put_pair(drive *d, tp_str a, tp_str b)
{
    put(d, "[");
    put_value(d, a);
    put(d, ",");
    put_value(d, b);
    put(d, "]");
}

static void put_headers(drive *d, const vec_list *l)
{
    const tp_header *h = l->items;
    put(d, ",\"headers\":[");
    for (uint32_t i = 0; i < l->count; i++) {
        put(d, i ? "," : "");
        put_pair(d, h[i].name, h[i].value);
    }
    put(d, "]");
}

static void put_sent(drive *d, const vec_out *o)
{
    if (o->has_local)
        TP_MUST(buf_printf(&d->out, "{\"local_status\":%d", o->local_status) == 0);
    else
        TP_MUST(buf_printf(&d->out, "{\"request\":%s", o->has_request ? "true" : "false") == 0);
    put_member(d, "method", o->method);
    put_member(d, "path", o->path);
    put_headers(d, &o->headers);
    put(d, ",\"secret_header\":");
    if (o->has_secret)
        put_pair(d, o->secret_name, o->secret_prefix);
    else
        put(d, "null");
    put(d, ",\"sign\":");
    if (o->has_sign)
        put_pair(d, o->sign_scheme, o->sign_params);
    else
        put(d, "null");
    put_member(d, "body", buf_str(&o->body));
    put(d, "}");
}

static void put_reports(drive *d, const vec_list *l)
{
    const vec_report *r = l->items;
    put(d, ",\"reports\":[");
    for (uint32_t i = 0; i < l->count; i++) {
        TP_MUST(buf_printf(&d->out, "%s{\"what\":\"%s\"", i ? "," : "",
                           word_name(words_report, r[i].what)) == 0);
        put_member(d, "field", r[i].field);
        put_member(d, "why", r[i].why);
        put(d, "}");
    }
    put(d, "]");
}

static void put_event(drive *d, const tp_event *e)
{
    const char *code = NULL;
    TP_MUST(buf_printf(&d->out, "{\"kind\":\"%s\"", word_name(words_kind, e->kind)) == 0);
    if (e->kind == TP_EV_FINISH)
        code = word_name(words_finish, e->code);
    else if (e->kind == TP_EV_ERROR)
        code = word_name(words_error, e->code);
    if (code)
        TP_MUST(buf_printf(&d->out, ",\"code\":\"%s\"", code) == 0);
    if (e->choice)
        TP_MUST(buf_printf(&d->out, ",\"choice\":%u", e->choice) == 0);
    if (e->item)
        TP_MUST(buf_printf(&d->out, ",\"item\":%u", e->item) == 0);
    if (e->number || e->kind == TP_EV_USAGE || e->kind == TP_EV_ERROR)
        TP_MUST(buf_printf(&d->out, ",\"number\":%lld", (long long)e->number) == 0);
    if (e->flags & TP_EV_PREAMBLE)
        put(d, ",\"preamble\":true");
    put_set(d, "id", e->id);
    put_set(d, "name", e->name);
    put_set(d, "text", e->text);
    put_set(d, "raw", e->raw);
    put_set(d, "param", e->param);
    put(d, "}");
}

static void put_events(drive *d)
{
    const tp_event *e = d->x.events.events.items;
    put(d, ",\"events\":[");
    for (uint32_t i = 0; i < d->x.events.events.count; i++) {
        put(d, i ? "," : "");
        put_event(d, &e[i]);
    }
    put(d, d->x.terminal ? "],\"terminal\":true" : "],\"terminal\":false");
}

/* Of a format that endpoint chat does not speak, the frames are what the client gets. */
static void put_client(drive *d)
{
    vec_out *o = &d->x.client;
    const tp_event *e = d->x.events.events.items;
    for (uint32_t i = 0; !d->x.endpoint && i < d->x.events.events.count; i++)
        if (e[i].kind == TP_EV_FRAME || e[i].kind == TP_EV_USAGE)
            TP_MUST(buf_adds(&o->body, e[i].raw) == 0);
    TP_MUST(buf_printf(&d->out, ",\"client\":{\"status\":%d", o->status) == 0);
    put_headers(d, &o->headers);
    put_member(d, "body", buf_str(&o->body));
    put(d, "}");
}

static void put_outcome(drive *d)
{
    const exchange *x = &d->x;
    const vec_out *outs[] = {&x->parsed, &x->sent, &x->events, &x->client};
    TP_MUST(buf_printf(&d->out, "],\"status\":\"%s\",\"where\":",
                       x->status == TP_AGAIN ? "again" : word_name(words_status, x->status)) == 0);
    if (x->status == TP_OK) {
        put(d, "null,\"fail\":null");
        return;
    }
    put_value(d, vec_str(x->where));
    for (size_t i = 0; i < TP_COUNT(outs); i++) {
        if (!outs[i]->fail_status)
            continue;
        put(d, ",\"fail\":{\"at\":");
        put_value(d, vec_str(word_name(words_status, outs[i]->fail_status)));
        put_member(d, "param", outs[i]->fail_param);
        put_member(d, "why", outs[i]->fail_why);
        put(d, "}");
        return;
    }
    put(d, ",\"fail\":null");
}

/* ---- Input. */
static int base64_value(char c)
{
    if (c >= 'A' && c <= 'Z')
        return c - 'A';
    if (c >= 'a' && c <= 'z')
        return c - 'a' + 26;
    if (c >= '0' && c <= '9')
        return c - '0' + 52;
    return c == '+' ? 62 : c == '/' ? 63 : -1;
}

static tp_str from_base64(drive *d, const char *in)
{
    size_t n = 0, len = strlen(in);
    char *p = owned(d, malloc(len + 1));
    uint32_t bits = 0, have = 0;
    for (size_t i = 0; i < len && in[i] != '='; i++) {
        int v = base64_value(in[i]);
        TP_MUST(v >= 0);
        bits = (bits << 6 | (uint32_t)v) & 0xffffff;
        have += 6;
        if (have >= 8) {
            have -= 8;
            p[n++] = (char)(bits >> have & 0xff);
        }
    }
    return (tp_str){p, n};
}

static int feed_of(const cJSON *reply)
{
    const char *feed = string_or(reply, "feed", "whole");
    return strcmp(feed, "byte") == 0 ? FEED_BYTE : strcmp(feed, "event") == 0 ? FEED_EVENT
                                                                              : FEED_WHOLE;
}

static upstream reply_of(drive *d, const cJSON *reply)
{
    const cJSON *list = get(reply, "headers"), *h;
    uint32_t n = 0;
    tp_header *headers = (tp_header *)(void *)owned(
        d, calloc((size_t)cJSON_GetArraySize(list) + 1, sizeof(tp_header)));
    cJSON_ArrayForEach(h, list) {
        const cJSON *name = cJSON_GetArrayItem(h, 0), *value = cJSON_GetArrayItem(h, 1);
        TP_MUST(cJSON_IsString(name) && cJSON_IsString(value));
        headers[n++] = (tp_header){vec_str(name->valuestring), vec_str(value->valuestring)};
    }
    const char *base64 = string_or(reply, "body_base64", NULL);
    return (upstream){.status = (int32_t)int_or(reply, "status", 200),
                      .type = vec_str(string_or(reply, "type", "application/json")),
                      .body = base64 ? from_base64(d, base64) : text_of(d, get(reply, "body")),
                      .headers = {headers, n, sizeof(tp_header)},
                      .broken = bool_or(reply, "broken", 0), .feed = feed_of(reply)};
}

static int takes(const tp_provider *p, tp_str format)
{
    for (uint32_t i = 0; i < p->formats.count; i++)
        if (str_eq(*TP_AT(tp_str, p->formats, i), format))
            return 1;
    return 0;
}

/* The operation: of endpoint chat, or of the body as it stands. */
static void make_operation(drive *d, tp_str format)
{
    exchange *x = &d->x;
    if (x->endpoint) {
        exchange_parse(x);
        return;
    }
    cJSON *body = cJSON_ParseWithLength(x->request.ptr, x->request.len);
    int64_t max = int_or(body, "max_tokens", -1);
    int stream = bool_or(d->test, "stream", bool_or(body, "stream", 0));
    tp_str model = vec_str(string_or(d->test, "model", string_or(body, "model", "")));
    if (model.len)
        model = vec_str(owned(d, strdup(model.ptr)));
    cJSON_Delete(body);
    exchange_operation(x, format, model, max, stream);
    if (!takes(x->provider->provider, format))
        x->status = TP_E_UNSUPPORTED;
}

static void prepare(drive *d)
{
    exchange *x = &d->x;
    const cJSON *target = get(d->test, "target");
    tp_str format = vec_str(string_or(d->test, "format", "chat/openai"));
    int through_chat = str_eq(format, STR("chat/openai"));
    *x = (exchange){.endpoint = through_chat ? d->chat : NULL, .provider = d->plugin,
                    .request = text_of(d, get(d->test, "request")),
                    .target_model = vec_str(string_or(target, "model", "upstream-model")),
                    .target_options = get(target, "options") ? text_of(d, get(target, "options"))
                                                             : STR("{}"),
                    .target_max = int_or(target, "max_output_tokens", 0),
                    .target_context = int_or(target, "context_length", 0),
                    .now_ms = int_or(d->test, "now_ms", 0),
                    .strict = bool_or(d->test, "strict", 0)};
    x->no_relay = !bool_or(d->test, "relay", takes(d->plugin->provider, format));
    exchange_ready(x);
    x->start.name = vec_str(string_or(d->test, "shown_model", x->target_model.ptr));
    x->start.flags = bool_or(d->test, "show_usage", 1) ? TP_EV_SHOW_USAGE : 0;
    make_operation(d, format);
}

/* Build and reply, step by step, as long as the plugin wants another one. */
static void run_steps(drive *d)
{
    exchange *x = &d->x;
    const cJSON *replies = get(d->test, "replies"), *reply;
    int n = replies ? cJSON_GetArraySize(replies) : 1;
    for (int i = 0; i < n && (x->status == TP_OK || x->status == TP_AGAIN); i++) {
        if (i && x->status != TP_AGAIN)
            break;
        exchange_build(x);
        put(d, i ? "," : "");
        put_sent(d, &x->sent);
        reply = replies ? cJSON_GetArrayItem(replies, i) : get(d->test, "reply");
        if (x->status != TP_OK || !reply || cJSON_IsNull(reply))
            break;
        upstream u = reply_of(d, reply);
        exchange_reply(x, &u);
    }
}

static void run(drive *d)
{
    put(d, "{\"steps\":[");
    prepare(d);
    if (d->x.status == TP_OK)
        run_steps(d);
    put_outcome(d);
    put(d, ",\"sent\":");
    put_sent(d, &d->x.sent);
    put_reports(d, &d->x.sent.reports);
    put_events(d);
    put_client(d);
    put(d, "}\n");
    exchange_free(&d->x);
    vec_list_free(&d->owned);
}

static int open_plugins(vec_plugin *chat, vec_plugin *plugin, char **argv)
{
    if (vec_open(chat, argv[1], "{}") != 0) {
        fprintf(stderr, "%s: %s\n", argv[1], chat->why);
        return -1;
    }
    if (vec_open(plugin, argv[2], argv[3]) != 0) {
        fprintf(stderr, "%s: %s: %s\n", argv[2], plugin->param, plugin->why);
        return -1;
    }
    if (!chat->endpoint || !plugin->provider) {
        fprintf(stderr, "the first plugin must be an endpoint, the second a provider\n");
        return -1;
    }
    return 0;
}

int main(int argc, char **argv)
{
    vec_plugin chat, plugin;
    char *line = NULL;
    size_t cap = 0;
    ssize_t n;
    if (argc != 4) {
        fprintf(stderr, "usage: %s CHAT.so PLUGIN.so OPTIONS_JSON\n", argv[0]);
        return 2;
    }
    if (open_plugins(&chat, &plugin, argv) != 0)
        return 2;
    while ((n = getline(&line, &cap, stdin)) > 0) {
        drive d = {.chat = &chat, .plugin = &plugin};
        cJSON *test = cJSON_ParseWithLength(line, (size_t)n);
        if (!cJSON_IsObject(test)) {
            fprintf(stderr, "a case must be one JSON object on a line\n");
            return 2;
        }
        d.test = test;
        buf_init(&d.out, 512u << 20);
        run(&d);
        fwrite(d.out.ptr, 1, d.out.len, stdout);
        fflush(stdout);
        buf_free(&d.out);
        cJSON_Delete(test);
    }
    free(line);
    vec_close(&chat);
    vec_close(&plugin);
    return 0;
}
