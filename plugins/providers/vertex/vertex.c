/* Provider vertex: Gemini and Claude on Google's Vertex AI. Both bodies are made by the translators
 * of google and anthropic; what is Vertex's own is the path, and a token instead of a key, which the
 * host fetches for the service account. */
#include <stdlib.h>
#include "../../common/anthropic_format.h"
#include "../../common/google_format.h"
#include "../../common/plugin_entry.h"

TP_MANIFEST({
    "id": "org.turnpike.vertex",
    "name": "Google Vertex AI",
    "version": "1.0.0",
    "license": "Apache-2.0",
    "sdk": "1.0",
    "kinds": ["provider"],
    "description": "Gemini and Claude on Vertex AI, with the token of a service account.",
    "options": {
        "type": "object",
        "additionalProperties": false,
        "required": ["project"],
        "properties": {
            "base_url": {"type": "string", "description": "https://aiplatform.googleapis.com/v1 for the location global, https://LOCATION-aiplatform.googleapis.com/v1 for a region."},
            "project": {"type": "string", "description": "The Google Cloud project that is billed, by id or number."},
            "location": {"type": "string", "default": "global", "description": "global, or a region such as us-east5; base_url must be of the same place."},
            "publisher": {"type": "string", "enum": ["auto", "google", "anthropic"], "default": "auto", "description": "Whose format the models speak; auto: by the model's name, Claude's is anthropic. A deployment may say otherwise in its own options."},
            "scope": {"type": "string", "default": "https://www.googleapis.com/auth/cloud-platform", "description": "What the token is to be good for."}
        }
    }
});

enum { PUBLISHER_AUTO = 0, PUBLISHER_GOOGLE, PUBLISHER_ANTHROPIC };
enum { PATH_ROOM = 512 };

struct tp_instance { /* const after create */
    const tp_host *host;
    int32_t publisher;
    size_t place_len, params_len;
    char place[PATH_ROOM];  /* "/projects/P/locations/L/publishers/" */
    char params[PATH_ROOM]; /* of sign: {"scope":"..."} */
};

typedef struct reply_state {
    int32_t publisher;
    union {
        google_reply google;
        anthropic_reply anthropic;
    } as;
} reply_state;

static const tp_str formats[] = {SPAN_INIT("chat/openai")};

/* ---- Configuration. */
static int32_t publisher_of(tp_str word)
{
    return span_is(word, "google")      ? PUBLISHER_GOOGLE
           : span_is(word, "anthropic") ? PUBLISHER_ANTHROPIC
                                        : PUBLISHER_AUTO;
}

/* A segment of a path that needs no encoding. A project of a domain is "example.com:name". */
static int is_segment(tp_str s)
{
    if (!s.len || s.len > 128 || s.ptr[0] == '.')
        return 0;
    for (size_t i = 0; i < s.len; i++) {
        char c = s.ptr[i], l = span_lower(c);
        if (!(l >= 'a' && l <= 'z') && !(c >= '0' && c <= '9') && c != '-' && c != '_' && c != '.' &&
            c != ':')
            return 0;
    }
    return 1;
}

static int is_scope(tp_str s)
{
    if (!s.len || s.len > 256)
        return 0;
    for (size_t i = 0; i < s.len; i++)
        if (s.ptr[i] < ' ' || s.ptr[i] > '~' || s.ptr[i] == '"' || s.ptr[i] == '\\')
            return 0;
    return 1;
}

static size_t joined(char *to, const tp_str *parts, size_t count)
{
    size_t n = 0;
    for (size_t i = 0; i < count; i++) {
        memcpy(to + n, parts[i].ptr, parts[i].len);
        n += parts[i].len;
    }
    return n;
}

static tp_status read_options(tp_instance *in, tp_call *c, const tp_doc *d)
{
    const tp_host *h = in->host;
    tp_str project = SPAN_NONE, location = SPAN_NONE, scope = SPAN_NONE;
    if (d->count) {
        project = span_member(h, c, d, 0, SPAN("project"));
        location = span_member(h, c, d, 0, SPAN("location"));
        scope = span_member(h, c, d, 0, SPAN("scope"));
        in->publisher = publisher_of(span_member(h, c, d, 0, SPAN("publisher")));
    }
    if (!location.len)
        location = SPAN("global");
    if (!scope.len)
        scope = SPAN("https://www.googleapis.com/auth/cloud-platform");
    if (!is_segment(project))
        return h->fail(c, TP_E_INPUT, SPAN("project"),
                       SPAN("expected the id or number of a Google Cloud project, such as "
                            "\"my-project-1\""));
    if (!is_segment(location))
        return h->fail(c, TP_E_INPUT, SPAN("location"),
                       SPAN("expected \"global\" or a region such as \"us-east5\""));
    if (!is_scope(scope))
        return h->fail(c, TP_E_INPUT, SPAN("scope"), SPAN("expected scopes of Google's, by their URLs"));
    const tp_str place[] = {SPAN("/projects/"), project, SPAN("/locations/"), location,
                            SPAN("/publishers/")};
    const tp_str params[] = {SPAN("{\"scope\":\""), scope, SPAN("\"}")};
    in->place_len = joined(in->place, place, 5);
    in->params_len = joined(in->params, params, 3);
    return TP_OK;
}

static tp_status create(const tp_host *h, tp_call *c, tp_doc options, tp_instance **out)
{
    tp_instance *in = calloc(1, sizeof(*in));
    if (!in)
        return h->fail(c, TP_E_NOMEM, SPAN_NONE, SPAN("out of memory while reading the options"));
    in->host = h;
    tp_status st = read_options(in, c, &options);
    if (st != TP_OK)
        free(in);
    else
        *out = in;
    return st;
}

static void destroy(tp_instance *in)
{
    free(in);
}

/* ---- The request. */
static int32_t publisher_for(const tp_instance *in, tp_call *c, const tp_target *target)
{
    int32_t said = PUBLISHER_AUTO;
    if (target->options.count)
        said = publisher_of(span_member(in->host, c, &target->options, 0, SPAN("publisher")));
    if (said == PUBLISHER_AUTO)
        said = in->publisher;
    if (said != PUBLISHER_AUTO)
        return said;
    return fault_contains(target->model, SPAN("claude")) ? PUBLISHER_ANTHROPIC : PUBLISHER_GOOGLE;
}

/* The place, the publisher's collection, and room for the model. */
static tp_str prefix_of(const tp_instance *in, tp_call *c, tp_str collection)
{
    char *text = in->host->alloc(c, in->place_len + collection.len);
    if (!text)
        return SPAN_NONE;
    memcpy(text, in->place, in->place_len);
    memcpy(text + in->place_len, collection.ptr, collection.len);
    return (tp_str){text, in->place_len + collection.len};
}

static tp_str claude_path(const tp_instance *in, tp_call *c, tp_str model, int stream)
{
    tp_str prefix = prefix_of(in, c, SPAN("anthropic/models/"));
    tp_str method = stream ? SPAN(":streamRawPredict") : SPAN(":rawPredict");
    char *text = prefix.ptr ? in->host->alloc(c, prefix.len + 3 * model.len + method.len) : NULL;
    if (!text)
        return SPAN_NONE;
    memcpy(text, prefix.ptr, prefix.len);
    /* claude-sonnet-4@20250514: a version is part of the segment */
    char *end = span_percent(text + prefix.len, model, '@');
    memcpy(end, method.ptr, method.len);
    return (tp_str){text, (size_t)(end - text) + method.len};
}

static tp_str path_for(const tp_instance *in, tp_call *c, const tp_operation *op,
                       const tp_target *target, int32_t publisher)
{
    int stream = (op->flags & TP_STREAM) != 0;
    if (publisher == PUBLISHER_ANTHROPIC)
        return claude_path(in, c, target->model, stream);
    tp_str prefix = prefix_of(in, c, SPAN("google/models/"));
    return prefix.ptr ? google_path(in->host, c, prefix, target->model, stream) : SPAN_NONE;
}

static tp_status write_body(const tp_instance *in, tp_call *c, const tp_operation *op,
                            const tp_target *target, reply_state *s)
{
    if (s->publisher == PUBLISHER_ANTHROPIC) {
        anthropic_variant v = {.version = SPAN("vertex-2023-10-16"), .no_model = 1, .no_urls = 1};
        anthropic_read_options(in->host, &target->options, &v);
        return anthropic_write(in->host, c, &v, op, target, &s->as.anthropic);
    }
    google_flavor f = {.vertex = 1};
    google_read_options(in->host, c, &target->options, &f);
    tp_status st = google_write_body(in->host, c, &f, op, target);
    google_begin(&s->as.google, in->host, c, op);
    return st;
}

static tp_status build(const tp_instance *in, tp_call *c, const tp_operation *op,
                       const tp_target *target)
{
    const tp_host *h = in->host;
    reply_state *s = c->state;
    s->publisher = publisher_for(in, c, target);
    tp_str path = path_for(in, c, op, target, s->publisher);
    if (!path.ptr)
        return h->fail(c, TP_E_NOMEM, SPAN_NONE, SPAN("out of memory for the path"));
    tp_status st = h->request(c, SPAN("POST"), path);
    if (st == TP_OK)
        st = h->sign(c, SPAN("google-oauth"), (tp_str){in->params, in->params_len});
    if (st == TP_OK)
        st = h->header(c, SPAN("content-type"), SPAN("application/json"));
    return st == TP_OK ? write_body(in, c, op, target, s) : st;
}

/* ---- The reply. */
static tp_status head(const tp_instance *in, tp_call *c, const tp_reply *reply, int32_t *framing)
{
    reply_state *s = c->state;
    (void)in;
    return s->publisher == PUBLISHER_ANTHROPIC ? anthropic_head(&s->as.anthropic, reply, framing)
                                               : google_head(&s->as.google, reply, framing);
}

static tp_status data(const tp_instance *in, tp_call *c, tp_frame *frame)
{
    reply_state *s = c->state;
    return s->publisher == PUBLISHER_ANTHROPIC
               ? anthropic_data(in->host, c, &s->as.anthropic, frame)
               : google_data(in->host, c, &s->as.google, frame);
}

static tp_status end(const tp_instance *in, tp_call *c, int32_t broken)
{
    reply_state *s = c->state;
    return s->publisher == PUBLISHER_ANTHROPIC ? anthropic_end(in->host, c, &s->as.anthropic, broken)
                                               : google_end(in->host, c, &s->as.google, broken);
}

/* What Vertex itself refuses (a token, a quota, a path) comes in Google's words for Claude, too. */
static int in_googles_words(const tp_instance *in, tp_call *c, const tp_reply *reply)
{
    tp_doc d;
    tp_str body = span_trim(reply->body);
    if (!body.len || in->host->scan(c, body, &d) != TP_OK || !d.count)
        return 0;
    uint32_t object = d.tokens[0].kind == TP_ARRAY && span_filled(&d, 0) ? 1 : 0;
    uint32_t error = span_find(in->host, &d, object, SPAN("error"));
    return span_kind(&d, error) == TP_OBJECT && in->host->find(&d, error, SPAN("code")) != 0;
}

static tp_status failed(const tp_instance *in, tp_call *c, const tp_reply *reply)
{
    const reply_state *s = c->state;
    if (s->publisher == PUBLISHER_ANTHROPIC && !in_googles_words(in, c, reply))
        return anthropic_failed(in->host, c, reply);
    return google_failed(in->host, c, reply);
}

static const tp_provider provider = {
    .size = sizeof(tp_provider),
    .state_size = sizeof(reply_state),
    .formats = {formats, sizeof(formats) / sizeof(formats[0]), sizeof(tp_str)},
    .build = build,
    .head = head,
    .data = data,
    .end = end,
    .failed = failed,
};

PLUGIN_ENTRY("org.turnpike.vertex", "1.0.0", TP_PROVIDER, provider, create, destroy)
