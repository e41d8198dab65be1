/* Provider echo: answers by itself, in the OpenAI format, with what the last user message said.
 * For a first start without any provider's key, and for tests: it can be told to be slow, to fail,
 * to break off and to call tools. The same request and seed give the same answer. */
#include <stdlib.h>
#include "../../common/openai_format.h"
#include "../../common/provider.h"

TP_MANIFEST({
    "id": "org.turnpike.echo",
    "name": "Echo",
    "version": "1.0.0",
    "license": "Apache-2.0",
    "sdk": "1.0",
    "kinds": ["provider"],
    "description": "Answers with the last user message, without any upstream; can be told to be slow, to fail, to break off and to call tools.",
    "options": {
        "type": "object",
        "additionalProperties": false,
        "properties": {
            "base_url": {"type": "string", "description": "Not used: echo calls nobody."},
            "text": {"type": "string", "description": "The answer, instead of the last user message."},
            "repeat": {"type": "integer", "minimum": 1, "maximum": 10000, "default": 1, "description": "How many times the answer is said, with a space between."},
            "delay_ms": {"type": "integer", "minimum": 0, "maximum": 3600000, "default": 0, "description": "Time to the first byte."},
            "gap_ms": {"type": "integer", "minimum": 0, "maximum": 3600000, "default": 0, "description": "Time between two chunks of a stream."},
            "fail_status": {"type": "integer", "minimum": 400, "maximum": 599, "description": "Answer every request with this status and an OpenAI error."},
            "cut": {"type": "integer", "minimum": 0, "description": "Break the stream off after so many chunks; a whole reply in its middle."},
            "tool_call": {
                "type": "object",
                "additionalProperties": false,
                "description": "Call this tool when a request has tools and its last message is not a tool's result; then answer with the result.",
                "properties": {
                    "name": {"type": "string", "description": "By default the request's first tool."},
                    "arguments": {"description": "An object, or a string that holds JSON; default {}."}
                }
            }
        }
    }
});

typedef struct settings { /* of the provider; a deployment's own options win */
    tp_str text;          /* between the quotes of a JSON string; ptr NULL: not set */
    int64_t repeat, delay_ms, gap_ms, fail_status;
    int64_t cut;          /* -1: not */
    int tool_call;
    tp_str tool_name;     /* decoded; empty: the first tool */
    tp_str tool_arguments; /* decoded text of the JSON */
} settings;

struct tp_instance { /* const after create */
    const tp_host *host;
    settings set;
    char *pool; /* the options' text, which the settings' spans lie in */
};

typedef struct job { /* one build */
    const tp_host *h;
    tp_call *c;
    const tp_operation *op;
    const tp_target *target;
    settings set;
    tp_str pieces[64]; /* of the answer, between quotes: text parts as they stand */
    uint32_t piece_count;
    uint32_t n;        /* choices */
    int call;          /* the answer is a tool call */
    int64_t prompt_words, answer_words;
    tp_status st;
} job;

static void put(job *j, tp_str bytes)
{
    if (j->st == TP_OK && bytes.len)
        j->st = j->h->write(j->c, bytes);
}
static void put_quoted(job *j, tp_str text)
{
    if (j->st == TP_OK)
        j->st = j->h->quote(j->c, text);
}
static void put_int(job *j, int64_t v)
{
    char digits[24];
    put(j, span_of_int(v, digits));
}

/* ---- Options. */
static void read_int(const tp_host *h, const tp_doc *d, tp_str name, int64_t *out)
{
    int64_t v;
    if (span_int(d, span_find(h, d, 0, name), &v) && v >= 0)
        *out = v;
}

static void read_settings(const tp_host *h, tp_call *c, const tp_doc *d, settings *s)
{
    uint32_t text = span_find(h, d, 0, SPAN("text"));
    uint32_t tool = span_find(h, d, 0, SPAN("tool_call"));
    if (span_kind(d, text) == TP_STRING)
        s->text = span_inner(d, text);
    read_int(h, d, SPAN("repeat"), &s->repeat);
    read_int(h, d, SPAN("delay_ms"), &s->delay_ms);
    read_int(h, d, SPAN("gap_ms"), &s->gap_ms);
    read_int(h, d, SPAN("fail_status"), &s->fail_status);
    read_int(h, d, SPAN("cut"), &s->cut);
    if (span_kind(d, tool) != TP_OBJECT)
        return;
    uint32_t arguments = h->find(d, tool, SPAN("arguments"));
    s->tool_call = 1;
    s->tool_name = span_member(h, c, d, tool, SPAN("name"));
    if (span_given(d, arguments))
        s->tool_arguments = span_kind(d, arguments) == TP_STRING ? span_text(h, c, d, arguments)
                                                                 : span_raw(d, arguments);
}

/* A span that outlives the call: within the options' own text it moves to the copy of that text;
 * decoded strings are copied behind it. */
static tp_str moved(tp_instance *in, const tp_doc *options, tp_str s, size_t *used)
{
    if (!s.len)
        return s;
    if (s.ptr >= options->text.ptr && s.ptr < options->text.ptr + options->text.len) {
        s.ptr = in->pool + (s.ptr - options->text.ptr);
        return s;
    }
    char *to = in->pool + options->text.len + *used;
    memcpy(to, s.ptr, s.len);
    *used += s.len;
    return (tp_str){to, s.len};
}

static tp_status create(const tp_host *h, tp_call *c, tp_doc options, tp_instance **out)
{
    size_t used = 0;
    tp_instance *in = calloc(1, sizeof(*in));
    if (in)
        in->pool = malloc(options.text.len * 2 + 1); /* decoded is never longer than spelled */
    if (!in || !in->pool) {
        free(in);
        return h->fail(c, TP_E_NOMEM, SPAN_NONE, SPAN("out of memory while reading the options"));
    }
    in->host = h;
    in->set = (settings){.repeat = 1, .cut = -1, .tool_arguments = SPAN("{}")};
    if (options.count && options.tokens[0].kind == TP_OBJECT) {
        memcpy(in->pool, options.text.ptr, options.text.len);
        read_settings(h, c, &options, &in->set);
        if (in->set.text.ptr)
            in->set.text = moved(in, &options, in->set.text, &used);
        in->set.tool_name = moved(in, &options, in->set.tool_name, &used);
        if (in->set.tool_call)
            in->set.tool_arguments = moved(in, &options, in->set.tool_arguments, &used);
    }
    *out = in;
    return TP_OK;
}

static void destroy(tp_instance *in)
{
    free(in->pool);
    free(in);
}

/* ---- Words, on the spelling of a JSON string: cutting at spaces never splits an escape. */
static int64_t words_in(tp_str s)
{
    int64_t words = 0;
    int in_word = 0;
    for (size_t i = 0; i < s.len; i++) {
        int space = s.ptr[i] == ' ';
        if (s.ptr[i] == '\\' && i + 1 < s.len) {
            i++;
            space = s.ptr[i] == 'n' || s.ptr[i] == 't' || s.ptr[i] == 'r';
        }
        words += !space && !in_word;
        in_word = !space;
    }
    return words;
}

/* The end of the word at `from` and of the spaces behind it. */
static size_t word_end(tp_str s, size_t from)
{
    while (from < s.len && s.ptr[from] != ' ')
        from++;
    while (from < s.len && s.ptr[from] == ' ')
        from++;
    return from;
}

/* ---- The request. */
static void take_piece(job *j, const tp_doc *d, uint32_t string)
{
    tp_str s = span_inner(d, string);
    if (s.len && j->piece_count < sizeof(j->pieces) / sizeof(j->pieces[0]))
        j->pieces[j->piece_count++] = s;
}

static void take_content(job *j, const tp_doc *d, uint32_t content)
{
    j->piece_count = 0;
    if (span_kind(d, content) == TP_STRING) {
        take_piece(j, d, content);
    } else if (span_kind(d, content) == TP_ARRAY) {
        for (uint32_t t = content + 1; t < d->tokens[content].next; t = d->tokens[t].next) {
            uint32_t text = span_find(j->h, d, t, SPAN("text"));
            if (span_kind(d, text) == TP_STRING)
                take_piece(j, d, text);
        }
    }
}

static void read_messages(job *j, const tp_doc *d)
{
    uint32_t list = span_find(j->h, d, 0, SPAN("messages")), user = 0, last = 0;
    uint32_t tools = span_find(j->h, d, 0, SPAN("tools"));
    if (span_kind(d, list) == TP_ARRAY) {
        for (uint32_t t = list + 1; t < d->tokens[list].next; t = d->tokens[t].next) {
            take_content(j, d, span_find(j->h, d, t, SPAN("content")));
            for (uint32_t i = 0; i < j->piece_count; i++)
                j->prompt_words += words_in(j->pieces[i]);
            last = t;
            if (span_is(span_member(j->h, j->c, d, t, SPAN("role")), "user"))
                user = t;
        }
    }
    int result = last && span_is(span_member(j->h, j->c, d, last, SPAN("role")), "tool");
    j->call = j->set.tool_call && !result && span_kind(d, tools) == TP_ARRAY &&
              span_filled(d, tools);
    if (j->set.tool_call && result)
        user = last;
    j->piece_count = 0;
    if (j->set.text.ptr) {
        j->pieces[j->piece_count++] = j->set.text;
    } else if (user) {
        take_content(j, d, span_find(j->h, d, user, SPAN("content")));
    }
    for (uint32_t i = 0; i < j->piece_count; i++)
        j->answer_words += words_in(j->pieces[i]);
    j->answer_words *= j->set.repeat;
    if (j->call && !j->set.tool_name.len) {
        uint32_t fn = span_find(j->h, d, tools + 1, SPAN("function"));
        j->set.tool_name = span_kind(d, fn) == TP_OBJECT
                               ? span_member(j->h, j->c, d, fn, SPAN("name")) : SPAN_NONE;
        if (!j->set.tool_name.len)
            j->set.tool_name = SPAN("echo");
    }
    if (j->call)
        j->answer_words = words_in(j->set.tool_arguments);
}

/* ---- The answer. */
static void put_id(job *j, tp_str prefix)
{
    static const char hex[] = "0123456789abcdef";
    char digits[16];
    for (int i = 0; i < 16; i++)
        digits[i] = hex[j->c->seed >> (60 - 4 * i) & 15];
    put(j, SPAN("\""));
    put(j, prefix);
    put(j, (tp_str){digits, sizeof(digits)});
    put(j, SPAN("\""));
}

static void put_head(job *j, tp_str object)
{
    put(j, SPAN("{\"id\":"));
    put_id(j, SPAN("chatcmpl-"));
    put(j, SPAN(",\"object\":\""));
    put(j, object);
    put(j, SPAN("\",\"created\":"));
    put_int(j, j->c->now_ms / 1000);
    put(j, SPAN(",\"model\":"));
    put_quoted(j, j->target->model);
}

static void put_usage(job *j)
{
    int64_t completion = j->answer_words * j->n;
    put(j, SPAN("\"usage\":{\"prompt_tokens\":"));
    put_int(j, j->prompt_words);
    put(j, SPAN(",\"completion_tokens\":"));
    put_int(j, completion);
    put(j, SPAN(",\"total_tokens\":"));
    put_int(j, j->prompt_words + completion);
    put(j, SPAN("}"));
}

static void put_call(job *j, int streamed)
{
    put(j, SPAN("\"tool_calls\":[{"));
    if (streamed)
        put(j, SPAN("\"index\":0,"));
    put(j, SPAN("\"id\":"));
    put_id(j, SPAN("call_"));
    put(j, SPAN(",\"type\":\"function\",\"function\":{\"name\":"));
    put_quoted(j, j->set.tool_name);
    put(j, SPAN(",\"arguments\":"));
    put_quoted(j, streamed ? SPAN("") : j->set.tool_arguments);
    put(j, SPAN("}}]"));
}

static tp_str finish_word(const job *j)
{
    return j->call ? SPAN("tool_calls") : SPAN("stop");
}

static void put_answer(job *j)
{
    put(j, SPAN("\""));
    for (int64_t k = 0; k < j->set.repeat; k++) {
        if (k)
            put(j, SPAN(" "));
        for (uint32_t i = 0; i < j->piece_count; i++)
            put(j, j->pieces[i]);
    }
    put(j, SPAN("\""));
}

static void write_whole(job *j)
{
    put_head(j, SPAN("chat.completion"));
    put(j, SPAN(",\"choices\":["));
    if (j->set.cut >= 0)
        return; /* breaks off here */
    for (uint32_t i = 0; i < j->n; i++) {
        put(j, i ? SPAN(",{\"index\":") : SPAN("{\"index\":"));
        put_int(j, i);
        put(j, SPAN(",\"message\":{\"role\":\"assistant\",\"content\":"));
        if (j->call) {
            put(j, SPAN("null,"));
            put_call(j, 0);
        } else {
            put_answer(j);
        }
        put(j, SPAN("},\"logprobs\":null,\"finish_reason\":"));
        put_quoted(j, finish_word(j));
        put(j, SPAN("}"));
    }
    put(j, SPAN("],"));
    put_usage(j);
    put(j, SPAN("}"));
}

/* ---- The stream. */
typedef struct flow {
    job *j;
    int64_t left; /* chunks until the cut */
    uint32_t choice, reserved;
} flow;

/* 0: the stream has been cut, nothing more is written. */
static int begin_chunk(flow *f)
{
    if (f->left-- <= 0 || f->j->st != TP_OK)
        return 0;
    put(f->j, SPAN("data: "));
    put_head(f->j, SPAN("chat.completion.chunk"));
    put(f->j, SPAN(",\"choices\":["));
    return 1;
}

static int begin_delta(flow *f)
{
    if (!begin_chunk(f))
        return 0;
    put(f->j, SPAN("{\"index\":"));
    put_int(f->j, f->choice);
    put(f->j, SPAN(",\"delta\":{"));
    return 1;
}

static void end_delta(flow *f)
{
    put(f->j, SPAN("},\"finish_reason\":null}]}\n\n"));
}

static void say(flow *f, tp_str spelled)
{
    if (!begin_delta(f))
        return;
    put(f->j, SPAN("\"content\":\""));
    put(f->j, spelled);
    put(f->j, SPAN("\""));
    end_delta(f);
}

/* A chunk a word, or several words a chunk where the answer is long. */
static void stream_words(flow *f)
{
    const int64_t most = 4096; /* chunks */
    int64_t group = f->j->answer_words / most + 1;
    for (int64_t k = 0; k < f->j->set.repeat && f->left > 0; k++) {
        if (k)
            say(f, SPAN(" "));
        for (uint32_t i = 0; i < f->j->piece_count; i++) {
            tp_str s = f->j->pieces[i];
            for (size_t at = 0; at < s.len && f->left > 0;) {
                size_t to = at;
                for (int64_t w = 0; w < group && to < s.len; w++)
                    to = word_end(s, to);
                say(f, (tp_str){s.ptr + at, to - at});
                at = to;
            }
        }
    }
}

static void stream_call(flow *f)
{
    if (begin_delta(f)) {
        put_call(f->j, 1);
        end_delta(f);
    }
    if (begin_delta(f)) {
        put(f->j, SPAN("\"tool_calls\":[{\"index\":0,\"function\":{\"arguments\":"));
        put_quoted(f->j, f->j->set.tool_arguments);
        put(f->j, SPAN("}}]"));
        end_delta(f);
    }
}

static void write_stream(job *j)
{
    flow f = {.j = j, .left = j->set.cut >= 0 ? j->set.cut : INT64_MAX};
    for (f.choice = 0; f.choice < j->n; f.choice++) {
        if (begin_delta(&f)) {
            put(j, j->call ? SPAN("\"role\":\"assistant\",\"content\":null")
                           : SPAN("\"role\":\"assistant\",\"content\":\"\""));
            end_delta(&f);
        }
        if (j->call)
            stream_call(&f);
        else
            stream_words(&f);
        if (begin_delta(&f)) {
            put(j, SPAN("},\"finish_reason\":"));
            put_quoted(j, finish_word(j));
            put(j, SPAN("}]}\n\n"));
        }
    }
    if (begin_chunk(&f)) {
        put(j, SPAN("],"));
        put_usage(j);
        put(j, SPAN("}\n\n"));
    }
    if (j->set.cut < 0)
        put(j, SPAN("data: [DONE]\n\n"));
}

static void write_failure(job *j)
{
    static const struct { int64_t status; tp_str type, code; } kinds[] = {
        {401, SPAN_INIT("authentication_error"), SPAN_INIT("invalid_api_key")},
        {402, SPAN_INIT("insufficient_quota"), SPAN_INIT("insufficient_quota")},
        {404, SPAN_INIT("invalid_request_error"), SPAN_INIT("model_not_found")},
        {429, SPAN_INIT("rate_limit_error"), SPAN_INIT("rate_limit_exceeded")},
    };
    tp_str type = j->set.fail_status < 500 ? SPAN("invalid_request_error") : SPAN("server_error");
    tp_str code = SPAN_NONE;
    for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
        if (kinds[i].status == j->set.fail_status) {
            type = kinds[i].type;
            code = kinds[i].code;
        }
    }
    put(j, SPAN("{\"error\":{\"message\":\"Echo was told to fail with status "));
    put_int(j, j->set.fail_status);
    put(j, SPAN(".\",\"type\":"));
    put_quoted(j, type);
    put(j, SPAN(",\"param\":null,\"code\":"));
    if (code.len)
        put_quoted(j, code);
    else
        put(j, SPAN("null"));
    put(j, SPAN("}}"));
}

static tp_status build(const tp_instance *in, tp_call *c, const tp_operation *op,
                       const tp_target *target)
{
    const tp_host *h = in->host;
    if (!span_is(op->format, "chat/openai") || !op->body.count ||
        op->body.tokens[0].kind != TP_OBJECT)
        return h->fail(c, TP_E_UNSUPPORTED, SPAN_NONE,
                       SPAN("provider echo takes a JSON object in the format chat/openai"));
    job j = {.h = h, .c = c, .op = op, .target = target, .set = in->set};
    if (target->options.count > 1 && target->options.tokens[0].kind == TP_OBJECT)
        read_settings(h, c, &target->options, &j.set);
    j.n = op->choices ? op->choices : 1;
    openai_begin(c->state, op);
    int stream = (op->flags & TP_STREAM) != 0, fail = j.set.fail_status >= 400;
    tp_local local = {.size = sizeof(local), .delay_ms = j.set.delay_ms};
    if (stream && !fail)
        local.gap_ms = j.set.gap_ms;
    if (j.set.cut >= 0 && !fail)
        local.flags = TP_LOCAL_CUT;
    j.st = h->local(c, fail ? (int32_t)j.set.fail_status : 200,
                    stream && !fail ? SPAN("text/event-stream") : SPAN("application/json"), &local);
    if (fail) {
        write_failure(&j);
        return j.st;
    }
    read_messages(&j, &op->body);
    if (stream)
        write_stream(&j);
    else
        write_whole(&j);
    return j.st;
}

PROVIDER_REPLY(openai, fault_failed)

static const tp_str formats[] = {SPAN_INIT("chat/openai")};

static const tp_provider provider = {
    .size = sizeof(tp_provider),
    .state_size = sizeof(openai_reply),
    .formats = {formats, 1, sizeof(tp_str)},
    .build = build,
    .head = head,
    .data = data,
    .end = end,
    .failed = failed,
};

PLUGIN_ENTRY("org.turnpike.echo", "1.0.0", TP_PROVIDER, provider, create, destroy)
