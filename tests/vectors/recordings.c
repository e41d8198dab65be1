/* Replays recorded traffic of OpenAI-format upstreams through provider openai and endpoint chat:
 *   recordings CHAT.so OPENAI.so [NAME=PLUGIN.so] --recordings DIR
 * For every DIR/<provider>/<name>/ with meta.json, of API chat.completions:
 *   request   parses, and is sent as it stands but for the documented edits
 *   relay     what the client gets is the recording, event by event, but for the documented edits:
 *             byte for byte when usage is shown, as JSON values when usage is cut out; with the
 *             stream fed whole, event by event and byte by byte
 *   decode    as if the client spoke another format: text, reasoning, calls, finish reasons and
 *             usage are what the recording says, and again after chat has rendered them
 * DIR/NAME goes through PLUGIN.so, a provider for what is nearly of OpenAI's format:
 *   request   parameters keep their values, under their names or the plugin's
 *   relay     frames of the true form come byte for byte; the others are mended, so that all that
 *             comes is of the true form and says what the recording says
 * What is expected comes from cJSON, which shares no code with the plugins. */
#include <dirent.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include "exchange.h"
#include "said.h"

typedef struct recording {
    const char *dir;
    cJSON *meta;
    char *request, *reply;
    char *quiet; /* the request without stream_options */
    size_t reply_len;
    int streaming, status;
    int near; /* nearly of OpenAI's format: frames may be mended */
    int failed;
} recording;

static void bad(recording *r, const char *fmt, ...) TP_PRINTF(2, 3);
static void bad(recording *r, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    fprintf(stderr, "%s: ", r->dir);
    vfprintf(stderr, fmt, ap);
    fputc('\n', stderr);
    va_end(ap);
    r->failed = 1;
}

static void same(recording *r, const char *who, const char *what, const buf *a, const buf *b)
{
    if (!str_eq(buf_str(a), buf_str(b)))
        bad(r, "%s: %s is\n  %.*s\nexpected\n  %.*s", who, what, STR_ARG(buf_str(a)),
            STR_ARG(buf_str(b)));
}

static void compare(recording *r, const char *who, const said *got, const said *want)
{
    for (int i = 0; i < CHOICES; i++) {
        same(r, who, "text", &got->text[i], &want->text[i]);
        same(r, who, "reasoning", &got->reasoning[i], &want->reasoning[i]);
        same(r, who, "refusal", &got->refusal[i], &want->refusal[i]);
        if (!want->error && strcmp(got->finish[i], want->finish[i]) != 0)
            bad(r, "%s: finish is '%s', expected '%s'", who, got->finish[i], want->finish[i]);
        if (got->call_count[i] != want->call_count[i]) {
            bad(r, "%s: %d calls, expected %d", who, got->call_count[i], want->call_count[i]);
            continue;
        }
        for (int k = 0; k < got->call_count[i]; k++) {
            const said_call *a = &got->calls[i][k], *b = &want->calls[i][k];
            same(r, who, "arguments", &a->arguments, &b->arguments);
            if (strcmp(a->id, b->id) != 0 || strcmp(a->name, b->name) != 0)
                bad(r, "%s: call %s %s, expected %s %s", who, a->id, a->name, b->id, b->name);
        }
    }
    if (got->total != want->total)
        bad(r, "%s: %lld tokens, expected %lld", who, (long long)got->total,
            (long long)want->total);
    if (got->error != want->error)
        bad(r, "%s: error %d, expected %d", who, got->error, want->error);
}

/* ---- The request. */
static void check_request(recording *r, const exchange *x)
{
    cJSON *want = cJSON_ParseWithLength(x->request.ptr, x->request.len);
    cJSON *sent = cJSON_ParseWithLength(x->sent.body.ptr, x->sent.body.len);
    if (!sent) {
        bad(r, "what was sent is not JSON");
    } else {
        cJSON_ReplaceItemInObjectCaseSensitive(want, "model", cJSON_CreateString("upstream-model"));
        if (cJSON_IsNumber(get(want, "max_completion_tokens")))
            cJSON_DeleteItemFromObjectCaseSensitive(want, "max_tokens");
        if (r->streaming) {
            cJSON *options = get(want, "stream_options");
            if (!cJSON_IsObject(options)) {
                cJSON_DeleteItemFromObjectCaseSensitive(want, "stream_options");
                options = cJSON_AddObjectToObject(want, "stream_options");
            }
            cJSON_DeleteItemFromObjectCaseSensitive(options, "include_usage");
            cJSON_AddTrueToObject(options, "include_usage");
        }
        if (!cJSON_Compare(sent, want, 1))
            bad(r, "what was sent differs by more than the documented edits:\n  %.*s",
                STR_ARG(buf_str(&x->sent.body)));
    }
    cJSON_Delete(want);
    cJSON_Delete(sent);
}

/* What is renamed there, what says nothing there, and what is rewritten (other vectors see to
 * that). */
static void check_near_request(recording *r, const exchange *x)
{
    static const char *const names[][2] = {{"seed", "random_seed"},
                                           {"max_completion_tokens", "max_tokens"}};
    static const char *const rewritten[] = {"model",           "messages",       "tools",
                                            "tool_choice",     "stream_options", "prompt_mode",
                                            "reasoning_effort"};
    cJSON *want = cJSON_ParseWithLength(x->request.ptr, x->request.len), *m;
    cJSON *sent = cJSON_ParseWithLength(x->sent.body.ptr, x->sent.body.len);
    if (!sent || strcmp(string_of(sent, "model"), "upstream-model") != 0 ||
        cJSON_GetArraySize(get(sent, "messages")) == 0 || get(sent, "stream_options"))
        bad(r, "what was sent is no request: %.*s", STR_ARG(buf_str(&x->sent.body)));
    cJSON_ArrayForEach(m, want) {
        const char *name = m->string;
        int skip = cJSON_IsNull(m);
        for (size_t i = 0; i < TP_COUNT(rewritten); i++)
            skip |= strcmp(name, rewritten[i]) == 0;
        for (size_t i = 0; i < TP_COUNT(names); i++)
            if (strcmp(name, names[i][0]) == 0)
                name = names[i][1];
        if (!skip && !cJSON_Compare(m, get(sent, name), 1))
            bad(r, "%s was not sent as it is:\n  %.*s", m->string, STR_ARG(buf_str(&x->sent.body)));
    }
    if (cJSON_GetArraySize(get(sent, "tools")) != cJSON_GetArraySize(get(want, "tools")))
        bad(r, "tools were lost:\n  %.*s", STR_ARG(buf_str(&x->sent.body)));
    cJSON_Delete(want);
    cJSON_Delete(sent);
}

/* ---- Relaying. */
typedef struct event_list {
    cJSON *docs[4096];
    tp_str texts[4096];
    int count, done;
} event_list;
static void list_event(void *arg, tp_str data)
{
    event_list *l = arg;
    if (str_eq(data, STR("[DONE]"))) {
        l->done = 1;
        return;
    }
    TP_MUST(!l->done && l->count < 4096);
    l->texts[l->count] = data;
    l->docs[l->count++] = cJSON_ParseWithLength(data.ptr, data.len);
}
static event_list *list_of(tp_str body, int streaming)
{
    event_list *l = calloc(1, sizeof(*l));
    TP_MUST(l);
    if (streaming) {
        each_event(body, list_event, l);
    } else {
        list_event(l, body);
        l->done = 1;
    }
    return l;
}
static void list_free(event_list *l)
{
    for (int i = 0; i < l->count; i++)
        cJSON_Delete(l->docs[i]);
    free(l);
}

/* The bytes of a frame with the value of its top-level id replaced. */
static char *with_id(tp_str text, const cJSON *doc, const char *id)
{
    const cJSON *old = get(doc, "id");
    char find[300], *out = malloc(text.len + strlen(id) + 16);
    TP_MUST(out && cJSON_IsString(old));
    snprintf(find, sizeof(find), "\"%s\"", old->valuestring);
    for (const char *p = text.ptr; (p = memmem(p, text.len - (size_t)(p - text.ptr), find,
                                               strlen(find))) != NULL; p++) {
        const char *q = p; /* the value of a key "id" at the top: the one that cJSON finds first */
        while (q > text.ptr && (q[-1] == ' ' || q[-1] == ':' || q[-1] == '\n'))
            q--;
        if (q - 4 < text.ptr || memcmp(q - 4, "\"id\"", 4) != 0)
            continue;
        size_t head = (size_t)(p - text.ptr);
        memcpy(out, text.ptr, head);
        size_t n = head + (size_t)sprintf(out + head, "\"%s\"", id);
        size_t tail = text.len - head - strlen(find);
        memcpy(out + n, p + strlen(find), tail);
        out[n + tail] = 0;
        return out;
    }
    free(out);
    return NULL;
}

static int is_usage_only(const cJSON *d)
{
    return cJSON_GetArraySize(get(d, "choices")) == 0 && cJSON_IsObject(get(d, "usage"));
}

static void check_relay(recording *r, const exchange *x, int show)
{
    tp_str all = {r->reply, r->reply_len};
    event_list *want = list_of(all, r->streaming);
    event_list *got = list_of(buf_str(&x->client.body), r->streaming);
    int k = 0, error = 0;
    for (int i = 0; i < want->count && !error; i++) {
        cJSON *w = want->docs[i];
        if (r->streaming && cJSON_IsObject(get(w, "error"))) {
            error = 1;
            continue;
        }
        if (r->streaming && !show && is_usage_only(w))
            continue;
        if (k >= got->count) {
            bad(r, "relay: the client got %d events, expected more", got->count);
            break;
        }
        if (show || !r->streaming) {
            char *bytes = with_id(want->texts[i], w, "chatcmpl-T");
            if (bytes && !str_eq(got->texts[k], vec_str(bytes)))
                bad(r, "relay: event %d is\n  %.*s\nexpected\n  %s", k, STR_ARG(got->texts[k]),
                    bytes);
            if (!bytes)
                bad(r, "relay: event %d has no id", k);
            free(bytes);
        } else {
            cJSON_ReplaceItemInObjectCaseSensitive(w, "id", cJSON_CreateString("chatcmpl-T"));
            if (cJSON_GetArraySize(get(w, "choices")) > 0)
                cJSON_DeleteItemFromObjectCaseSensitive(w, "usage");
            if (!cJSON_Compare(w, got->docs[k], 1))
                bad(r, "relay: event %d differs: %.*s", k, STR_ARG(got->texts[k]));
        }
        k++;
    }
    if (got->count != k + error)
        bad(r, "relay: %d events, expected %d", got->count, k + error);
    if (error && (got->done || !get(got->docs[got->count - 1], "error")))
        bad(r, "relay: an error in mid-stream must end the stream with an error and no [DONE]");
    if (!error && !got->done)
        bad(r, "relay: the stream lacks its [DONE]");
    list_free(want);
    list_free(got);
}

/* OpenAI's counts add up, and say within themselves what was cached. */
static int is_true_usage(const cJSON *u)
{
    const cJSON *in = get(u, "prompt_tokens"), *out = get(u, "completion_tokens"),
                *all = get(u, "total_tokens");
    const cJSON *own = get(u, "num_cached_tokens");
    return !cJSON_IsObject(u) ||
           (cJSON_IsNumber(in) && cJSON_IsNumber(out) && cJSON_IsNumber(all) &&
            all->valueint == in->valueint + out->valueint &&
            (!own || own->valueint == 0 || get(u, "prompt_tokens_details")));
}

/* Is this what OpenAI's reference says of a frame, or of a reply? What matters of it to a client.
 */
static int is_true(const cJSON *d, int streaming)
{
    static const char *const reasons[] = {"stop", "length", "tool_calls", "content_filter"};
    const cJSON *choice, *call;
    if (!cJSON_IsString(get(d, "id")) || !cJSON_IsArray(get(d, "choices")) ||
        !is_true_usage(get(d, "usage")))
        return 0;
    cJSON_ArrayForEach(choice, get(d, "choices")) {
        const cJSON *body = get(choice, streaming ? "delta" : "message"),
                    *list = get(body, "tool_calls");
        const cJSON *content = get(body, "content"), *finish = get(choice, "finish_reason");
        int known = !finish || cJSON_IsNull(finish);
        for (size_t i = 0; i < TP_COUNT(reasons); i++)
            known |= strcmp(string_of(choice, "finish_reason"), reasons[i]) == 0;
        if (!cJSON_IsObject(body) || !cJSON_IsNumber(get(choice, "index")) || !known ||
            (content && !cJSON_IsNull(content) && !cJSON_IsString(content)))
            return 0;
        cJSON_ArrayForEach(call, list) {
            if ((streaming && !cJSON_IsNumber(get(call, "index"))) ||
                strcmp(string_of(call, "type"), "function") != 0 ||
                !cJSON_IsString(get(get(call, "function"), "arguments")))
                return 0;
        }
    }
    return 1;
}

static void check_near_relay(recording *r, const exchange *x, int show, const said *summary)
{
    tp_str all = {r->reply, r->reply_len};
    event_list *want = list_of(all, r->streaming);
    event_list *got = list_of(buf_str(&x->client.body), r->streaming);
    int k = 0, usages = 0;
    for (int i = 0; i < got->count; i++) {
        const cJSON *usage = get(got->docs[i], "usage");
        if (!is_true(got->docs[i], r->streaming))
            bad(r, "relay: event %d is not of the true form: %.*s", i, STR_ARG(got->texts[i]));
        usages += cJSON_IsObject(usage);
        if (r->streaming && cJSON_IsObject(usage) &&
            cJSON_GetArraySize(get(got->docs[i], "choices")))
            bad(r, "relay: event %d has usage beside choices: %.*s", i, STR_ARG(got->texts[i]));
    }
    for (int i = 0; i < want->count; i++) {
        if (!is_true(want->docs[i], r->streaming) || (r->streaming && get(want->docs[i], "usage")))
            continue;
        char *bytes = with_id(want->texts[i], want->docs[i], "chatcmpl-T");
        while (k < got->count && !str_eq(got->texts[k], vec_str(bytes)))
            k++;
        if (k++ >= got->count)
            bad(r, "relay: event %d did not come as it is:\n  %.*s", i, STR_ARG(want->texts[i]));
        free(bytes);
    }
    if (usages != (show || !r->streaming) && summary->total >= 0)
        bad(r, "relay: usage came %d times", usages);
    said *client = sum_up(buf_str(&x->client.body), r->streaming);
    if (!show && r->streaming)
        client->total = summary->total;
    compare(r, "relayed", client, summary);
    if (!client->done)
        bad(r, "relay: the stream lacks its [DONE]");
    said_free(client);
    list_free(want);
    list_free(got);
}

/* ---- Decoded events. */
static said *sum_up_events(const exchange *x)
{
    static const struct { int32_t code; const char *word; } finishes[] = {
        {TP_FINISH_STOP, "stop"}, {TP_FINISH_LENGTH, "length"}, {TP_FINISH_TOOLS, "tool_calls"},
        {TP_FINISH_FILTER, "content_filter"}};
    const tp_event *e = x->events.events.items;
    said *s = said_new();
    tp_event units[16];
    uint32_t unit_count = 0;
    for (uint32_t i = 0; i < x->events.events.count; i++, e++) {
        uint32_t c = e->choice;
        TP_MUST(c < CHOICES);
        said_call *last = s->call_count[c] ? &s->calls[c][s->call_count[c] - 1] : NULL;
        switch (e->kind) {
        case TP_EV_TEXT: buf_adds(&s->text[c], e->text); break;
        case TP_EV_REASONING: buf_adds(&s->reasoning[c], e->text); break;
        case TP_EV_REFUSAL: buf_adds(&s->refusal[c], e->text); break;
        case TP_EV_CALL:
            last = &s->calls[c][s->call_count[c]++];
            last->index = (int)e->item;
            snprintf(last->id, sizeof(last->id), "%.*s", STR_ARG(e->id));
            snprintf(last->name, sizeof(last->name), "%.*s", STR_ARG(e->name));
            break;
        case TP_EV_ARGUMENTS:
            for (int k = 0; k < s->call_count[c]; k++)
                if (s->calls[c][k].index == (int)e->item)
                    buf_adds(&s->calls[c][k].arguments, e->text);
            break;
        case TP_EV_FINISH:
            for (size_t k = 0; k < TP_COUNT(finishes); k++)
                if (finishes[k].code == e->code)
                    snprintf(s->finish[c], sizeof(s->finish[c]), "%s", finishes[k].word);
            break;
        case TP_EV_USAGE: { /* a total so far: the last of each unit counts */
            uint32_t u = 0;
            while (u < unit_count && !str_eq(units[u].name, e->name))
                u++;
            TP_MUST(u < TP_COUNT(units));
            units[u] = *e;
            unit_count += u == unit_count;
            s->total = 0;
            for (u = 0; u < unit_count; u++)
                s->total += units[u].number;
            break;
        }
        case TP_EV_ERROR: s->error = 1; break;
        default: break;
        }
    }
    return s;
}

/* ---- Runs. */
static void run_once(recording *r, const vec_plugin *chat, const vec_plugin *provider, int relay,
                     int show, int feed)
{
    /* Shown: the recorded request, and the profile shows usage always. Not shown: the same without
     * the stream options, so that nobody asks. */
    exchange x = {.endpoint = chat, .provider = provider, .no_relay = !relay,
                  .request = vec_str(show ? r->request : r->quiet)};
    exchange_ready(&x);
    x.start.flags = show ? TP_EV_SHOW_USAGE : 0;
    x.start.name = relay ? STR_NONE : STR("shown-model");
    upstream u = {.status = r->status, .type = vec_str(r->streaming ? "text/event-stream"
                                                                    : "application/json"),
                  .body = {r->reply, r->reply_len}, .headers = {NULL, 0, sizeof(tp_header)},
                  .feed = feed};
    tp_status st = exchange_run(&x, &u);
    if (!x.sent.has_request) {
        bad(r, "the request was refused: %.*s", STR_ARG(x.parsed.fail_why));
    } else if (r->status >= 400) {
        const tp_event *e = x.events.events.items;
        cJSON *d = cJSON_ParseWithLength(r->reply, r->reply_len);
        const cJSON *message = get(get(d, "error"), "message");
        for (int i = 0; r->near && i < 2 && !cJSON_IsString(message); i++)
            message = get(d, i ? "detail" : "message");
        if (x.events.events.count != 1 || e->kind != TP_EV_ERROR || st != TP_E_UNSUPPORTED)
            bad(r, "a refusal of the upstream must be one ERROR event");
        else if (cJSON_IsString(message) && !str_eq(e->text, vec_str(message->valuestring)))
            bad(r, "the upstream's message was lost: %.*s", STR_ARG(e->text));
        cJSON_Delete(d);
    } else if (st != TP_OK) {
        bad(r, "failed: %.*s", STR_ARG(x.client.fail_why));
    } else {
        said *want = sum_up((tp_str){r->reply, r->reply_len}, r->streaming);
        if (r->near)
            check_near_request(r, &x);
        else
            check_request(r, &x);
        if (relay && r->near) {
            check_near_relay(r, &x, show, want);
        } else if (relay) {
            check_relay(r, &x, show);
        } else {
            said *events = sum_up_events(&x);
            said *client = sum_up(buf_str(&x.client.body), r->streaming);
            compare(r, "decoded", events, want);
            if (want->error) /* the error takes the place of usage, and of what came after it */
                client->total = want->total;
            for (int i = 0; i < CHOICES; i++) /* a call of the old format has no id to begin with */
                for (int k = 0; k < want->call_count[i] && k < client->call_count[i]; k++)
                    client->calls[i][k].index = want->calls[i][k].index;
            compare(r, "rendered", client, want);
            said_free(events);
            said_free(client);
        }
        said_free(want);
    }
    exchange_free(&x);
}

static char *read_in(const char *dir, const char *name, size_t *len)
{
    char *path;
    TP_MUST(asprintf(&path, "%s/%s", dir, name) > 0);
    char *text = vec_read_file(path, len);
    free(path);
    return text;
}

static char *request_of(recording *r)
{
    char *text = read_in(r->dir, "request.json", NULL);
    cJSON *d = text ? cJSON_Parse(text) : NULL;
    int usable = get(d, "messages") && get(d, "model") &&
                 cJSON_IsTrue(get(d, "stream")) == r->streaming;
    cJSON_Delete(d);
    if (usable)
        return text;
    free(text); /* only the reply was published, or streaming was asked for in another way */
    return strdup(r->streaming ? "{\"model\":\"m\",\"stream\":true,\"messages\":"
                                 "[{\"role\":\"user\",\"content\":\"x\"}]}"
                               : "{\"model\":\"m\",\"messages\":"
                                 "[{\"role\":\"user\",\"content\":\"x\"}]}");
}

/* 1: run; 0: another API. */
static int run_recording(const char *dir, const vec_plugin *chat, const vec_plugin *provider,
                         int near, int *failed)
{
    recording r = {.status = 200, .dir = dir, .near = near};
    char *text = read_in(dir, "meta.json", NULL);
    r.meta = text ? cJSON_Parse(text) : NULL;
    free(text);
    if (!r.meta || strcmp(string_of(r.meta, "api"), "chat.completions") != 0) {
        cJSON_Delete(r.meta);
        return 0;
    }
    r.streaming = cJSON_IsTrue(get(r.meta, "streaming"));
    if (cJSON_IsNumber(get(r.meta, "status")))
        r.status = (int)get(r.meta, "status")->valuedouble;
    r.reply = read_in(dir, string_of(r.meta, "response_file"), &r.reply_len);
    r.request = request_of(&r);
    cJSON *quiet = cJSON_Parse(r.request);
    cJSON_DeleteItemFromObjectCaseSensitive(quiet, "stream_options");
    r.quiet = cJSON_PrintUnformatted(quiet);
    cJSON_Delete(quiet);
    if (!r.reply) {
        bad(&r, "the reply is missing");
    } else {
        for (int feed = FEED_WHOLE; feed <= FEED_BYTE && !r.failed; feed++) {
            run_once(&r, chat, provider, 1, 0, feed);
            run_once(&r, chat, provider, 1, 1, feed);
            run_once(&r, chat, provider, 0, 1, feed);
        }
    }
    *failed = r.failed;
    cJSON_Delete(r.meta);
    free(r.reply);
    free(r.request);
    free(r.quiet);
    return 1;
}

static void run_provider(const char *base, const char *name, const vec_plugin *chat,
                         const vec_plugin *provider, int near, int *runs, int *failures)
{
    char *dir, *sub;
    struct dirent **names;
    int run = 0, failed = 0, other = 0;
    TP_MUST(asprintf(&dir, "%s/%s", base, name) > 0);
    int n = scandir(dir, &names, NULL, alphasort);
    for (int i = 0; i < n; i++) {
        int f = 0;
        TP_MUST(asprintf(&sub, "%s/%s", dir, names[i]->d_name) > 0);
        if (names[i]->d_name[0] != '.') {
            int did = run_recording(sub, chat, provider, near, &f);
            run += did;
            failed += f;
            other += !did;
        }
        free(sub);
        free(names[i]);
    }
    if (n >= 0)
        free(names);
    free(dir);
    if (run)
        printf("%-12s %6d %6d %6d\n", name, run, run - failed, other);
    *runs += run;
    *failures += failed;
}

int main(int argc, char **argv)
{
    vec_plugin chat, openai, near;
    int runs = 0, failures = 0, two = argc == 6;
    const char *equals = two ? strchr(argv[3], '=') : NULL;
    if ((argc != 5 && !equals) || strcmp(argv[argc - 2], "--recordings") != 0) {
        fprintf(stderr, "usage: %s CHAT.so OPENAI.so [NAME=PLUGIN.so] --recordings DIR\n", argv[0]);
        return 2;
    }
    if (vec_open(&chat, argv[1], "{}") != 0 || vec_open(&openai, argv[2], "{}") != 0 ||
        (two && vec_open(&near, equals + 1, "{}") != 0)) {
        fprintf(stderr, "cannot open the plugins: %s %s %s\n", chat.why, openai.why,
                two ? near.why : "");
        return 2;
    }
    struct dirent **providers;
    tp_str name = two ? str_make(argv[3], (size_t)(equals - argv[3])) : STR_NONE;
    int n = scandir(argv[argc - 1], &providers, NULL, alphasort);
    printf("%-12s %6s %6s %6s\n", "provider", "run", "passed", "other");
    for (int i = 0; i < n; i++) {
        int is_near = two && str_eq(vec_str(providers[i]->d_name), name);
        if (providers[i]->d_name[0] != '.')
            run_provider(argv[argc - 1], providers[i]->d_name, &chat, is_near ? &near : &openai,
                         is_near, &runs, &failures);
        free(providers[i]);
    }
    if (n > 0)
        free(providers);
    vec_close(&chat);
    vec_close(&openai);
    if (two)
        vec_close(&near);
    printf("%d recordings, %d failed\n", runs, failures);
    return failures || !runs;
}
