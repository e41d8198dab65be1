/* How to answer: parameters from flags, headers and the model name, and the look into a body. */
#include "mock.h"

#include <stdio.h>
#include <string.h>

struct param {
    const char *name;
    size_t offset;
    uint64_t max;
    const char *help;
};

#define P(field, max_, help_) { #field, offsetof(struct mock_behave, field), max_, help_ }
static const struct param params[] = {
    P(status, 599, "HTTP status of the reply, 200 to 599 (200)"),
    P(delay_ms, 3600000, "wait before the head (0)"),
    P(chunks, 1000000000, "content events of a stream (20)"),
    P(chunk_bytes, 65536, "bytes of a content event, about (220)"),
    P(pace_ms, 3600000, "time between two content events (0)"),
    P(size, MOCK_BODY_MAX, "bytes of a JSON reply, about (600)"),
    P(after, 1000000000, "content events before a failure in a stream (half)"),
    P(split, 65536, "most bytes in an HTTP chunk of a stream; 0: an event a chunk (0)"),
    P(retry_after, 86400, "Retry-After of an error reply in seconds (none)"),
    P(prompt_tokens, 1000000000, "usage of the reply (100)"),
    P(completion_tokens, 1000000000, "usage of the reply (50)"),
    P(usage, 2, "0: no usage, 1: as the request asks, 2: always (1)"),
    P(chunked, 1, "1: a JSON reply goes out in HTTP chunks (0)"),
    P(close, 1, "1: Connection: close after the reply (0)"),
};

static const char *const fail_words[] = { "none",   "close",  "reset", "cut",    "cutrst",
                                          "drop",   "nodone", "error", "stall",  "freeze",
                                          "garbage", "slow",  "huge" };

void mock_behave_init(struct mock_behave *b)
{
    *b = (struct mock_behave){ .status = 200,
                               .chunks = 20,
                               .chunk_bytes = 220,
                               .size = 600,
                               .after = UINT64_MAX,
                               .retry_after = UINT64_MAX,
                               .prompt_tokens = 100,
                               .completion_tokens = 50,
                               .usage = 1 };
}

void mock_behave_help(void)
{
    for (size_t i = 0; i < sizeof params / sizeof params[0]; i++)
        fprintf(stderr, "  %-18s %s\n", params[i].name, params[i].help);
    fprintf(stderr, "  %-18s", "fail");
    for (size_t i = 0; i < sizeof fail_words / sizeof fail_words[0]; i++)
        fprintf(stderr, " %s", fail_words[i]);
    fprintf(stderr, "\n");
}

static bool same_name(const char *name, const char *key, size_t len)
{
    if (strlen(name) != len)
        return false;
    for (size_t i = 0; i < len; i++) {
        char k = key[i];
        if (k >= 'A' && k <= 'Z')
            k = (char)(k + 32);
        if (k == '-')
            k = '_';
        if (k != name[i])
            return false;
    }
    return true;
}

int mock_behave_set(struct mock_behave *b, const char *key, size_t key_len, const char *val,
                    size_t val_len)
{
    if (same_name("fail", key, key_len)) {
        for (size_t i = 0; i < sizeof fail_words / sizeof fail_words[0]; i++) {
            if (same_name(fail_words[i], val, val_len)) {
                b->fail = i;
                return 0;
            }
        }
        return -2;
    }
    for (size_t i = 0; i < sizeof params / sizeof params[0]; i++) {
        if (!same_name(params[i].name, key, key_len))
            continue;
        uint64_t v = 0;
        if (val_len == 0 || val_len > 12)
            return -2;
        for (size_t k = 0; k < val_len; k++) {
            if (val[k] < '0' || val[k] > '9')
                return -2;
            v = v * 10 + (uint64_t)(val[k] - '0');
        }
        if (v > params[i].max || (params[i].offset == 0 && v < 200))
            return -2;
        memcpy((char *)b + params[i].offset, &v, sizeof v);
        return 0;
    }
    return -1;
}

void mock_behave_model(struct mock_behave *b, const char *model, size_t len)
{
    const char *end = model + len;
    const char *p = memchr(model, '?', len);
    if (!p)
        return;
    p++;
    while (p < end) {
        const char *amp = memchr(p, '&', (size_t)(end - p));
        const char *stop = amp ? amp : end;
        const char *eq = memchr(p, '=', (size_t)(stop - p));
        if (eq)
            (void)mock_behave_set(b, p, (size_t)(eq - p), eq + 1, (size_t)(stop - eq - 1));
        p = stop + 1;
    }
}

/* ---- the look into a body ---- */

/* From just behind an opening quote to the closing one; NULL when there is none. Only quotes are
 * looked for, because source code has an escape every few bytes but few quotes; the backslashes
 * before a quote then say whether it is one. Each backslash is looked at once. */
static const char *string_end(const char *p, const char *end)
{
    const char *begin = p;
    while (p < end) {
        const char *quote = memchr(p, '"', (size_t)(end - p));
        if (!quote)
            return NULL;
        const char *slash = quote;
        while (slash > begin && slash[-1] == '\\')
            slash--;
        if (((quote - slash) & 1) == 0)
            return quote;
        p = quote + 1;
    }
    return NULL;
}

static const char *skip_space(const char *p, const char *end)
{
    while (p < end && (*p == ' ' || *p == '\t' || *p == '\n' || *p == '\r'))
        p++;
    return p;
}

/* Behind one value; NULL when the text ends before it does. */
static const char *skip_value(const char *p, const char *end)
{
    int64_t depth = 0;
    while (p < end) {
        char c = *p;
        if (c == '"') {
            p = string_end(p + 1, end);
            if (!p)
                return NULL;
        } else if (c == '{' || c == '[') {
            depth++;
        } else if (c == '}' || c == ']') {
            if (depth == 0)
                return p; /* the end of what holds a number or a word */
            depth--;
        } else if (c == ',' && depth == 0) {
            return p;
        } else {
            p++;
            continue;
        }
        p++;
        if (depth == 0)
            return p;
    }
    return NULL;
}

static unsigned hex4(const char *p)
{
    unsigned v = 0;
    for (int i = 0; i < 4; i++) {
        char c = p[i];
        v <<= 4;
        if (c >= '0' && c <= '9')
            v |= (unsigned)(c - '0');
        else if ((c | 32) >= 'a' && (c | 32) <= 'f')
            v |= (unsigned)((c | 32) - 'a' + 10);
        else
            return 0xFFFF;
    }
    return v;
}

/* The text of a JSON string as far as the mock needs it: ASCII escapes are resolved. */
static void copy_text(struct mock_peek *out, const char *p, const char *end)
{
    size_t n = 0;
    while (p < end) {
        char c = *p++;
        if (c == '\\' && p < end) {
            c = *p++;
            if (c == 'u' && end - p >= 4) {
                unsigned v = hex4(p);
                c = v < 0x80 && v >= 0x20 ? (char)v : '_';
                p += 4;
            }
        }
        if (n + 1 >= sizeof out->model) {
            n = 0;
            break;
        }
        out->model[n++] = c;
    }
    out->model[n] = '\0';
    out->model_len = n;
}

static bool key_is(const char *key, size_t len, const char *want)
{
    return strlen(want) == len && memcmp(key, want, len) == 0;
}

/* Walks one object; `inner` is the one of stream_options. */
static const char *walk(const char *p, const char *end, struct mock_peek *out, bool inner)
{
    for (;;) {
        p = skip_space(p, end);
        if (p < end && *p == ',') {
            p++;
            continue;
        }
        if (p >= end || *p != '"')
            return p;
        const char *key = ++p;
        const char *key_end = string_end(p, end);
        if (!key_end)
            return NULL;
        size_t key_len = (size_t)(key_end - key);
        p = skip_space(key_end + 1, end);
        if (p >= end || *p != ':')
            return NULL;
        p = skip_space(p + 1, end);
        const char *val = p;
        if (p >= end)
            return NULL;
        p = skip_value(p, end);
        if (!p)
            return NULL;
        bool yes = p - val >= 4 && memcmp(val, "true", 4) == 0;
        if (inner) {
            if (key_is(key, key_len, "include_usage"))
                out->include_usage = yes;
        } else if (key_is(key, key_len, "stream")) {
            out->stream = yes;
        } else if (key_is(key, key_len, "model") && *val == '"') {
            copy_text(out, val + 1, p - 1);
        } else if (key_is(key, key_len, "stream_options") && *val == '{') {
            (void)walk(val + 1, p, out, true);
        }
    }
}

void mock_peek_body(const char *body, size_t n, struct mock_peek *out)
{
    out->model[0] = '\0';
    out->model_len = 0;
    out->stream = out->include_usage = out->is_object = false;
    const char *end = body + n;
    const char *p = skip_space(body, end);
    if (p >= end || *p != '{')
        return;
    p = walk(p + 1, end, out, false);
    out->is_object = p && p < end && *p == '}';
}
