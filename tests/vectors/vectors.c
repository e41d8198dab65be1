/* Runs the vector files of a plugin: vectors CHAT.so PLUGIN.so FILE.json... See README.md for what
 * a vector says. Every case is run as it stands; streamed replies also event by event and in
 * one-byte pieces, with the same outcome expected. */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <cjson/cJSON.h>
#include "aws.h"
#include "exchange.h"
#include "words.h"

typedef struct run { /* one case under way */
    const char *file, *name;
    const cJSON *test, *want;
    int failed;
} run;

static void bad(run *r, const char *fmt, ...) TP_PRINTF(2, 3);
static void bad(run *r, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    fprintf(stderr, "%s: %s: ", r->file, r->name);
    vfprintf(stderr, fmt, ap);
    fputc('\n', stderr);
    va_end(ap);
    r->failed = 1;
}

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
/* A body: a string is the text itself, any other value its JSON. The caller frees. */
static char *body_text(const cJSON *v)
{
    if (!v)
        return NULL;
    if (cJSON_IsString(v)) {
        char *copy = strdup(v->valuestring);
        TP_MUST(copy);
        return copy;
    }
    return cJSON_PrintUnformatted(v);
}

static void same_text(run *r, const char *what, tp_str got, const char *want)
{
    if (want && !str_eq(got, vec_str(want)))
        bad(r, "%s is\n  %.*s\nexpected\n  %s", what, STR_ARG(got), want);
}
static void same_int(run *r, const char *what, int64_t got, int64_t want)
{
    if (got != want)
        bad(r, "%s is %lld, expected %lld", what, (long long)got, (long long)want);
}

/* ---- Events. */
static void check_event(run *r, uint32_t i, const tp_event *e, const cJSON *want)
{
    char what[64];
    const struct { const char *key; tp_str got; } strings[] = {
        {"id", e->id}, {"name", e->name}, {"text", e->text}, {"raw", e->raw}, {"param", e->param}};
    if (word_value(words_kind, string_or(want, "kind", "")) != e->kind) {
        bad(r, "event %u is of kind %s, expected %s", i, word_name(words_kind, e->kind),
            string_or(want, "kind", "?"));
        return;
    }
    for (size_t k = 0; k < TP_COUNT(strings); k++) {
        snprintf(what, sizeof(what), "%s of event %u (%s)", strings[k].key, i,
                 string_or(want, "kind", ""));
        same_text(r, what, strings[k].got, string_or(want, strings[k].key, NULL));
    }
    if (get(want, "number"))
        same_int(r, "number of an event", e->number, int_or(want, "number", 0));
    if (get(want, "choice"))
        same_int(r, "choice of an event", e->choice, int_or(want, "choice", 0));
    if (get(want, "item"))
        same_int(r, "item of an event", e->item, int_or(want, "item", 0));
    const char *code = string_or(want, "code", NULL);
    if (code)
        same_int(r, code, e->code,
                 word_value(e->kind == TP_EV_ERROR ? words_error : words_finish, code));
    const cJSON *preamble = get(want, "preamble");
    if (preamble)
        same_int(r, "preamble", (e->flags & TP_EV_PREAMBLE) != 0, cJSON_IsTrue(preamble));
}

static void check_events(run *r, const vec_out *o, const cJSON *want)
{
    const tp_event *e = o->events.items;
    if (!want)
        return;
    uint32_t n = (uint32_t)cJSON_GetArraySize(want);
    if (o->events.count != n)
        bad(r, "%u events, expected %u", o->events.count, n);
    for (uint32_t i = 0; i < n && i < o->events.count; i++)
        check_event(r, i, &e[i], cJSON_GetArrayItem(want, (int)i));
    for (uint32_t i = 0; r->failed && i < o->events.count; i++)
        fprintf(stderr, "  event %u: %s choice %u item %u id '%.*s' name '%.*s' text '%.*s' raw "
                "'%.*s' number %lld\n", i, word_name(words_kind, e[i].kind), e[i].choice, e[i].item,
                STR_ARG(e[i].id), STR_ARG(e[i].name), STR_ARG(e[i].text), STR_ARG(e[i].raw),
                (long long)e[i].number);
}

/* ---- Outcomes. */
static void check_fail(run *r, const vec_out *o, tp_status st)
{
    const cJSON *fail = get(r->want, "fail");
    if (!fail) {
        if (st != TP_OK)
            bad(r, "failed with %s: '%.*s' (%.*s)", word_name(words_status, st),
                STR_ARG(o->fail_why), STR_ARG(o->fail_param));
        return;
    }
    same_int(r, "status", st, word_value(words_status, string_or(fail, "status", "input")));
    same_text(r, "param", o->fail_param, string_or(fail, "param", NULL));
    same_text(r, "sentence", o->fail_why, string_or(fail, "why", NULL));
}

static void check_operation(run *r, const tp_operation *op)
{
    const cJSON *want = get(r->want, "operation");
    if (!want)
        return;
    same_text(r, "format", op->format, "chat/openai");
    same_text(r, "model", op->model, string_or(want, "model", NULL));
    same_text(r, "user", op->user, string_or(want, "user", ""));
    same_int(r, "max_output_tokens", op->max_output_tokens, int_or(want, "max_output_tokens", -1));
    same_int(r, "choices", op->choices, int_or(want, "choices", 1));
    same_int(r, "stream", (op->flags & TP_STREAM) != 0, cJSON_IsTrue(get(want, "stream")));
    uint64_t needs = 0;
    const cJSON *n;
    cJSON_ArrayForEach(n, get(want, "needs"))
        needs |= (uint64_t)word_value(words_need, n->valuestring);
    same_int(r, "needs", (int64_t)op->needs, (int64_t)needs);
}

static void check_sent(run *r, const vec_out *o)
{
    const cJSON *want = get(r->want, "sent"), *h;
    if (!want)
        return;
    char *body = body_text(get(want, "body"));
    same_text(r, "sent body", buf_str(&o->body), body);
    free(body);
    same_text(r, "path", o->path, string_or(want, "path", NULL));
    same_text(r, "secret header", o->secret_name, string_or(want, "secret_header", NULL));
    same_text(r, "secret prefix", o->secret_prefix, string_or(want, "secret_prefix", NULL));
    same_text(r, "signed by", o->sign_scheme, string_or(want, "sign", NULL));
    same_text(r, "signed for", o->sign_params, string_or(want, "sign_params", NULL));
    same_text(r, "local type", o->local_type, string_or(want, "local_type", NULL));
    if (get(want, "local_status"))
        same_int(r, "local status", o->local_status, int_or(want, "local_status", 0));
    if (get(want, "delay_ms"))
        same_int(r, "delay_ms", o->local.delay_ms, int_or(want, "delay_ms", 0));
    if (get(want, "gap_ms"))
        same_int(r, "gap_ms", o->local.gap_ms, int_or(want, "gap_ms", 0));
    cJSON_ArrayForEach(h, get(want, "headers")) {
        const tp_header *x = o->headers.items;
        int found = 0;
        for (uint32_t i = 0; i < o->headers.count; i++)
            found |= str_eq(x[i].name, vec_str(h->string)) &&
                     str_eq(x[i].value, vec_str(h->valuestring));
        if (!found)
            bad(r, "no request header %s: %s", h->string, h->valuestring);
    }
}

static void check_reports(run *r, const vec_out *o)
{
    const cJSON *want = get(r->want, "reports");
    const vec_report *x = o->reports.items;
    uint32_t n = (uint32_t)cJSON_GetArraySize(want);
    if (!get(r->want, "sent") && !want)
        return;
    if (n != o->reports.count) {
        bad(r, "%u reports, expected %u", o->reports.count, n);
        return;
    }
    for (uint32_t i = 0; i < n; i++) {
        const cJSON *w = cJSON_GetArrayItem(want, (int)i);
        same_int(r, "kind of report", x[i].what,
                 word_value(words_report, cJSON_GetArrayItem(w, 0)->valuestring));
        same_text(r, "reported field", x[i].field, cJSON_GetArrayItem(w, 1)->valuestring);
    }
}

static void check_client(run *r, const exchange *x)
{
    const cJSON *want = get(r->want, "client");
    const tp_header *h = x->client.headers.items;
    if (!want)
        return;
    char *body = body_text(get(want, "body"));
    same_text(r, "client's body", buf_str(&x->client.body), body);
    free(body);
    same_int(r, "client's status", x->client.status, int_or(want, "status", 200));
    const char *type = string_or(want, "type", NULL);
    if (type && (!x->client.headers.count || !str_eq(h[0].value, vec_str(type))))
        bad(r, "client's content type is not %s", type);
    if (get(want, "complete"))
        same_int(r, "complete", x->terminal, cJSON_IsTrue(get(want, "complete")));
}

/* ---- Cases. */
typedef struct texts { /* freed after a case */
    char *request, *reply, *options, *model_options;
    size_t reply_len;
} texts;

static tp_list reply_headers(const cJSON *reply, tp_header *room, uint32_t max)
{
    uint32_t n = 0;
    const cJSON *h;
    cJSON_ArrayForEach(h, get(reply, "headers"))
        if (n < max)
            room[n++] = (tp_header){vec_str(h->string), vec_str(h->valuestring)};
    return (tp_list){room, n, sizeof(tp_header)};
}

/* A reply's bytes: "body", or "frames": strings are data, {"event", "data"} events; or "messages"
 * of an AWS event stream (aws.h). */
static char *reply_text(const cJSON *reply, size_t *len)
{
    const cJSON *frames = get(reply, "frames"), *f;
    buf b;
    buf_init(&b, 1u << 24);
    if (get(reply, "messages")) {
        aws_stream(&b, get(reply, "messages"));
        *len = b.len;
        return b.ptr;
    }
    if (!frames) {
        char *body = body_text(get(reply, "body"));
        *len = body ? strlen(body) : 0;
        return body;
    }
    cJSON_ArrayForEach(f, frames) {
        const cJSON *data = cJSON_IsString(f) ? f : get(f, "data") ? get(f, "data") : f;
        char *text = body_text(data);
        if (get(f, "event"))
            buf_printf(&b, "event: %s\n", get(f, "event")->valuestring);
        buf_printf(&b, "data: %s\n\n", text);
        free(text);
    }
    buf_add(&b, "", 1);
    char *out = strdup(b.ptr);
    buf_free(&b);
    TP_MUST(out);
    *len = strlen(out);
    return out;
}

static void run_exchange(run *r, const vec_plugin *chat, const vec_plugin *p, const texts *t,
                         int feed)
{
    const cJSON *reply = get(r->test, "reply"), *target = get(r->test, "target");
    const cJSON *start = get(r->test, "start");
    tp_header headers[16];
    const char *format = string_or(r->test, "format", NULL); /* none that endpoint chat speaks */
    exchange x = {.endpoint = format ? NULL : p->endpoint ? p : chat,
                  .provider = p->provider ? p : NULL};
    x.request = vec_str(t->request);
    x.no_relay = cJSON_IsFalse(get(r->test, "relay"));
    x.target_max = int_or(target, "max_output_tokens", -1);
    if (get(target, "model"))
        x.target_model = vec_str(string_or(target, "model", ""));
    if (t->model_options)
        x.target_options = vec_str(t->model_options);
    exchange_ready(&x);
    x.start.name = vec_str(string_or(start, "model", ""));
    x.start.flags = cJSON_IsTrue(get(start, "show_usage")) ? TP_EV_SHOW_USAGE : 0;
    tp_status st = TP_OK;
    if (format)
        exchange_operation(&x, vec_str(format), STR("m"), -1,
                           cJSON_IsTrue(get(get(r->test, "request"), "stream")));
    else
        st = exchange_parse(&x);
    const vec_out *last = &x.parsed;
    if (st == TP_OK && x.provider) {
        st = exchange_build(&x);
        last = &x.sent;
    }
    if (st == TP_OK && x.provider && (reply || x.sent.has_local)) {
        upstream u = {.status = x.sent.local_status, .type = x.sent.local_type,
                      .body = buf_str(&x.sent.body), .headers = {NULL, 0, sizeof(tp_header)},
                      .broken = (x.sent.local.flags & TP_LOCAL_CUT) != 0, .feed = feed};
        if (reply)
            u = (upstream){.status = (int32_t)int_or(reply, "status", 200),
                           .type = vec_str(string_or(reply, "type", get(reply, "frames")
                                                     ? "text/event-stream"
                                                     : get(reply, "messages")
                                                     ? "application/vnd.amazon.eventstream"
                                                     : "application/json")),
                           .body = {t->reply, t->reply_len},
                           .headers = reply_headers(reply, headers, TP_COUNT(headers)),
                           .broken = cJSON_IsTrue(get(reply, "broken")), .feed = feed};
        st = exchange_reply(&x, &u);
        last = &x.client;
    }
    check_fail(r, last, st);
    check_operation(r, &x.op);
    check_events(r, &x.parsed, get(r->want, "prompt"));
    check_sent(r, &x.sent);
    check_reports(r, &x.sent);
    check_events(r, &x.events, get(r->want, "events"));
    check_client(r, &x);
    exchange_free(&x);
}

/* Events straight into render: "events" is a list of batches. */
static tp_event event_of(const cJSON *j)
{
    tp_event e = {.size = sizeof(e)};
    e.kind = (int32_t)word_value(words_kind, string_or(j, "kind", ""));
    e.id = vec_str(string_or(j, "id", ""));
    e.name = vec_str(string_or(j, "name", ""));
    e.text = vec_str(string_or(j, "text", ""));
    e.raw = vec_str(string_or(j, "raw", ""));
    e.param = vec_str(string_or(j, "param", ""));
    e.number = int_or(j, "number", 0);
    e.choice = (uint32_t)int_or(j, "choice", 0);
    e.item = (uint32_t)int_or(j, "item", 0);
    const char *code = string_or(j, "code", NULL);
    if (code)
        e.code = (int32_t)word_value(e.kind == TP_EV_ERROR ? words_error : words_finish, code);
    if (cJSON_IsTrue(get(j, "show_usage")))
        e.flags |= TP_EV_SHOW_USAGE;
    return e;
}

static void run_render(run *r, const vec_plugin *p, const texts *t)
{
    exchange x = {.endpoint = p, .request = vec_str(t->request)};
    const cJSON *batch;
    exchange_ready(&x);
    tp_status st = exchange_parse(&x);
    cJSON_ArrayForEach(batch, get(r->test, "events")) {
        uint32_t n = (uint32_t)cJSON_GetArraySize(batch);
        tp_event *events = calloc(n ? n : 1, sizeof(*events));
        TP_MUST(events);
        for (uint32_t i = 0; i < n; i++)
            events[i] = event_of(cJSON_GetArrayItem(batch, (int)i));
        vec_call c;
        vec_call_begin(&c, &x.client, x.state_endpoint, &x.kept_endpoint);
        c.of_reply = 1;
        if (st == TP_OK)
            st = p->endpoint->render(p->self, &c.pub, (tp_list){events, n, sizeof(*events)});
        vec_call_end(&c);
        free(events);
    }
    check_fail(r, &x.client, st);
    check_client(r, &x);
    exchange_free(&x);
}

static void run_rank(run *r, const vec_plugin *p)
{
    const cJSON *candidates = get(r->test, "candidates"), *want = get(r->want, "order"), *w;
    uint32_t n = (uint32_t)cJSON_GetArraySize(candidates), i = 0;
    uint32_t room = (uint32_t)int_or(r->test, "room", n);
    tp_candidate *k = calloc(n ? n : 1, sizeof(*k));
    tp_rank *order = calloc(room ? room : 1, sizeof(*order));
    TP_MUST(k && order);
    cJSON_ArrayForEach(w, candidates)
        k[i++] = (tp_candidate){.size = sizeof(*k), .weight = (int32_t)int_or(w, "weight", 1)};
    vec_out o = {0};
    vec_out_free(&o);
    vec_call c;
    vec_call_begin(&c, &o, NULL, NULL);
    c.pub.seed = (uint64_t)int_or(r->test, "seed", 0);
    tp_operation op = {.size = sizeof(op)};
    tp_status st = p->strategy->rank(p->self, &c.pub, &op, (tp_list){k, n, sizeof(*k)}, order,
                                     &room);
    check_fail(r, &o, st);
    same_int(r, "number ranked", room, cJSON_GetArraySize(want));
    i = 0;
    cJSON_ArrayForEach(w, want) {
        if (i < room)
            same_int(r, "candidate", order[i].candidate, (int64_t)w->valuedouble);
        i++;
    }
    i = 0;
    cJSON_ArrayForEach(w, get(r->want, "scores")) {
        if (i < room)
            same_int(r, "score", order[i].score, (int64_t)w->valuedouble);
        i++;
    }
    vec_call_end(&c);
    vec_out_free(&o);
    buf_free(&o.body);
    free(k);
    free(order);
}

/* Draws with many seeds: the share of first places in permille, within 40 of what is wanted. */
static void run_shares(run *r, const vec_plugin *p)
{
    const cJSON *weights = get(r->test, "shares_of"), *w;
    uint32_t n = (uint32_t)cJSON_GetArraySize(weights), i = 0, hits[16] = {0};
    tp_candidate k[16] = {0};
    tp_rank order[16];
    TP_MUST(n <= 16);
    cJSON_ArrayForEach(w, weights)
        k[i++] = (tp_candidate){.size = sizeof(*k), .weight = (int32_t)w->valuedouble};
    tp_operation op = {.size = sizeof(op)};
    for (uint64_t seed = 0; seed < 4000; seed++) {
        tp_call c = {.size = sizeof(c), .seed = seed};
        uint32_t room = n;
        if (p->strategy->rank(p->self, &c, &op, (tp_list){k, n, sizeof(*k)}, order, &room) == TP_OK)
            hits[order[0].candidate]++;
    }
    i = 0;
    cJSON_ArrayForEach(w, get(r->want, "permille")) {
        int64_t got = hits[i++] / 4, want = (int64_t)w->valuedouble;
        if (got < want - 40 || got > want + 40)
            bad(r, "candidate %u came first %lld times in 1000, expected about %lld", i - 1,
                (long long)got, (long long)want);
    }
}

static int run_case(const char *file, const char *so, const vec_plugin *chat, const cJSON *test)
{
    run r = {.file = file, .name = string_or(test, "name", "?"), .test = test,
             .want = get(test, "expect")};
    texts t = {.request = body_text(get(test, "request")),
               .options = body_text(get(test, "options")),
               .model_options = body_text(get(get(test, "target"), "options"))};
    t.reply = reply_text(get(test, "reply"), &t.reply_len);
    const cJSON *refused = get(r.want, "refused");
    vec_plugin p;
    if (!t.request)
        t.request =
            strdup("{\"model\":\"m\",\"messages\":[{\"role\":\"user\",\"content\":\"x\"}]}");
    int rc = vec_open(&p, so, t.options ? t.options : "{}");
    if (!r.want) {
        bad(&r, "the case expects nothing");
    } else if (rc != 0 || refused) {
        if (rc == 0 || !refused)
            bad(&r, "create: %s", rc ? p.why : "the options were taken, a refusal was expected");
        else
            same_text(&r, "param", vec_str(p.param), string_or(refused, "param", NULL));
    } else if (get(test, "events")) {
        run_render(&r, &p, &t);
    } else if (get(test, "candidates")) {
        run_rank(&r, &p);
    } else if (get(test, "shares_of")) {
        run_shares(&r, &p);
    } else {
        for (int feed = FEED_WHOLE; feed <= FEED_BYTE && !r.failed; feed++)
            run_exchange(&r, chat, &p, &t, feed);
    }
    vec_close(&p);
    free(t.request);
    free(t.reply);
    free(t.options);
    free(t.model_options);
    return r.failed;
}

static int run_file(const char *path, const char *so, const vec_plugin *chat, int *cases)
{
    char *text = vec_read_file(path, NULL);
    cJSON *doc = text ? cJSON_Parse(text) : NULL;
    const cJSON *test;
    int failed = 0;
    if (!doc) {
        const char *at = cJSON_GetErrorPtr();
        fprintf(stderr, "%s: not JSON near: %.60s\n", path, text && at ? at : "(no file)");
        free(text);
        return 1;
    }
    cJSON_ArrayForEach(test, doc) {
        failed += run_case(path, so, chat, test);
        ++*cases;
    }
    cJSON_Delete(doc);
    free(text);
    return failed;
}

int main(int argc, char **argv)
{
    vec_plugin chat;
    int cases = 0, failed = 0;
    if (argc < 4) {
        fprintf(stderr, "usage: %s CHAT.so PLUGIN.so FILE.json...\n", argv[0]);
        return 2;
    }
    if (vec_open(&chat, argv[1], "{}") != 0) {
        fprintf(stderr, "%s: %s\n", argv[1], chat.why);
        return 2;
    }
    for (int i = 3; i < argc; i++)
        failed += run_file(argv[i], argv[2], &chat, &cases);
    vec_close(&chat);
    printf("%d cases, %d failed\n", cases, failed);
    return failed || !cases;
}
