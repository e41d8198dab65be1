#include "said.h"
#include <stdio.h>
#include <stdlib.h>

said *said_new(void)
{
    said *s = calloc(1, sizeof(*s));
    TP_MUST(s);
    s->total = -1;
    for (int i = 0; i < CHOICES; i++) {
        buf_init(&s->text[i], 1u << 24);
        buf_init(&s->reasoning[i], 1u << 24);
        buf_init(&s->refusal[i], 1u << 24);
        for (int k = 0; k < CALLS; k++)
            buf_init(&s->calls[i][k].arguments, 1u << 24);
    }
    return s;
}
void said_free(said *s)
{
    for (int i = 0; i < CHOICES; i++) {
        buf_free(&s->text[i]);
        buf_free(&s->reasoning[i]);
        buf_free(&s->refusal[i]);
        for (int k = 0; k < CALLS; k++)
            buf_free(&s->calls[i][k].arguments);
    }
    free(s);
}

static void add_string(buf *b, const cJSON *v)
{
    if (cJSON_IsString(v))
        buf_adds(b, vec_str(v->valuestring));
}

static void add_content(said *s, int i, const cJSON *content, int thinking)
{
    const cJSON *p;
    if (cJSON_IsString(content))
        add_string(thinking ? &s->reasoning[i] : &s->text[i], content);
    cJSON_ArrayForEach(p, (cJSON_IsArray(content) ? content : NULL)) {
        if (strcmp(string_of(p, "type"), "thinking") == 0)
            add_content(s, i, get(p, "thinking"), 1);
        else
            add_string(thinking ? &s->reasoning[i] : &s->text[i], get(p, "text"));
    }
}

static said_call *call_for(said *s, int i, const cJSON *call, int place)
{
    const cJSON *index = get(call, "index");
    int at = cJSON_IsNumber(index) ? (int)index->valuedouble : place;
    for (int k = s->call_count[i] - 1; k >= 0; k--) {
        said_call *c = &s->calls[i][k];
        const char *id = string_of(call, "id");
        if (c->index == at && (!*id || strcmp(id, c->id) == 0))
            return c;
    }
    TP_MUST(s->call_count[i] < CALLS);
    said_call *c = &s->calls[i][s->call_count[i]++];
    c->index = at;
    snprintf(c->id, sizeof(c->id), "%s", string_of(call, "id"));
    return c;
}

/* Mistral's arguments may be an object, and none at all. */
static void add_arguments(buf *b, const cJSON *v)
{
    char *text = cJSON_IsObject(v) ? cJSON_PrintUnformatted(v) : NULL;
    if (text)
        buf_adds(b, vec_str(text));
    else
        add_string(b, v);
    free(text);
}

static void add_calls(said *s, int i, const cJSON *list)
{
    const cJSON *call;
    int place = 0;
    cJSON_ArrayForEach(call, (cJSON_IsArray(list) ? list : NULL)) {
        const cJSON *fn = get(call, "function");
        said_call *c = call_for(s, i, call, place++);
        if (*string_of(fn, "name"))
            snprintf(c->name, sizeof(c->name), "%s", string_of(fn, "name"));
        add_arguments(&c->arguments, get(fn, "arguments"));
    }
}

static const char *canonical_finish(const char *reason)
{
    if (strcmp(reason, "eos") == 0)
        return "stop";
    return strcmp(reason, "function_call") == 0 ? "tool_calls" : reason;
}

static void add_choice(said *s, const cJSON *choice)
{
    const cJSON *index = get(choice, "index"), *body = get(choice, "delta");
    int i = cJSON_IsNumber(index) ? (int)index->valuedouble : 0;
    TP_MUST(i < CHOICES);
    if (!body)
        body = get(choice, "message");
    add_content(s, i, get(body, "content"), 0);
    add_string(&s->reasoning[i], cJSON_IsString(get(body, "reasoning_content"))
                                     ? get(body, "reasoning_content") : get(body, "reasoning"));
    add_string(&s->refusal[i], get(body, "refusal"));
    add_calls(s, i, get(body, "tool_calls"));
    const cJSON *fn = get(body, "function_call");
    if (cJSON_IsObject(fn) && !get(body, "tool_calls")) {
        said_call *c = call_for(s, i, fn, 0);
        snprintf(c->name, sizeof(c->name), "%s", string_of(fn, "name"));
        add_string(&c->arguments, get(fn, "arguments"));
    }
    if (*string_of(choice, "finish_reason") && !*s->finish[i])
        snprintf(s->finish[i], sizeof(s->finish[i]), "%s",
                 canonical_finish(string_of(choice, "finish_reason")));
}

static void add_document(said *s, const cJSON *d)
{
    const cJSON *usage = get(d, "usage"), *choice;
    if (!cJSON_IsObject(usage))
        usage = get(get(d, "x_groq"), "usage");
    if (cJSON_IsObject(usage) && cJSON_IsNumber(get(usage, "total_tokens")))
        s->total = (int64_t)get(usage, "total_tokens")->valuedouble;
    if (cJSON_IsObject(get(d, "error"))) {
        s->error = 1;
        return;
    }
    cJSON_ArrayForEach(choice, get(d, "choices"))
        add_choice(s, choice);
}

void each_event(tp_str body, void (*fn)(void *, tp_str), void *arg)
{
    size_t at = 0;
    while (at < body.len) {
        const char *nl = memchr(body.ptr + at, '\n', body.len - at);
        size_t end = nl ? (size_t)(nl - body.ptr) : body.len;
        tp_str line = {body.ptr + at, end - at};
        if (line.len && line.ptr[line.len - 1] == '\r')
            line.len--;
        if (line.len > 5 && memcmp(line.ptr, "data:", 5) == 0)
            fn(arg, str_trim(str_skip(line, 5)));
        at = end + 1;
    }
}
static void add_event(void *arg, tp_str data)
{
    said *s = arg;
    if (str_eq(data, STR("[DONE]"))) {
        s->done = 1;
        return;
    }
    cJSON *d = cJSON_ParseWithLength(data.ptr, data.len);
    if (!s->error)
        add_document(s, d);
    cJSON_Delete(d);
}

said *sum_up(tp_str body, int streaming)
{
    said *s = said_new();
    if (streaming) {
        each_event(body, add_event, s);
    } else {
        cJSON *d = cJSON_ParseWithLength(body.ptr, body.len);
        add_document(s, d);
        s->done = 1;
        cJSON_Delete(d);
    }
    return s;
}
