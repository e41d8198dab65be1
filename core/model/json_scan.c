/* The scanner's entry, and what its kernels share that is not worth a kernel of its own: faults,
 * numbers, single escapes, the tape's memory. */
#include <stdlib.h>

#include "model/json_int.h"

#ifdef __x86_64__
/* Reads what the C runtime found out at start: a load and a test. */
static int has_avx2(void)
{
    return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("bmi") &&
           __builtin_cpu_supports("bmi2") && __builtin_cpu_supports("popcnt");
}

static int has_avx512(void)
{
    return has_avx2() && __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl") &&
           __builtin_cpu_supports("avx512vbmi");
}
#endif

static int has_all(void)
{
    return 1;
}

const json_kernel *json_kernels(size_t *count)
{
    static const json_kernel kernels[] = {
        {"portable", json_scan_portable, json_utf8_portable, has_all},
#ifdef __x86_64__
        {"sse2", json_scan_sse2, json_utf8_portable, has_all},
        {"avx2", json_scan_avx2, json_utf8_avx2, has_avx2},
        {"avx512", json_scan_avx512, json_utf8_avx512, has_avx512},
#endif
    };
    *count = TP_COUNT(kernels);
    return kernels;
}

int json_scan(tp_str text, json_tape *tape, json_error *err)
{
#ifdef __x86_64__
    if (has_avx512())
        return json_scan_by(json_scan_avx512, text, tape, err);
    if (has_avx2())
        return json_scan_by(json_scan_avx2, text, tape, err);
    return json_scan_by(json_scan_sse2, text, tape, err);
#else
    return json_scan_by(json_scan_portable, text, tape, err);
#endif
}

int json_utf8_valid(tp_str s)
{
    const uint8_t *p = (const uint8_t *)s.ptr;
#ifdef __x86_64__
    if (has_avx512())
        return json_utf8_avx512(p, s.len);
    if (has_avx2())
        return json_utf8_avx2(p, s.len);
#endif
    return json_utf8_portable(p, s.len);
}

static TP_COLD int report(const json_scanner *s, tp_str text, json_error *err)
{
    if (err) {
        *err = (json_error){.code = s->code, .at = (uint32_t)s->at, .what = s->what};
        json_place(text, err->at, &err->line, &err->column);
    }
    return s->code;
}

int json_scan_by(json_scan_fn scan, tp_str text, json_tape *tape, json_error *err)
{
    json_scanner s;
    s.tape = tape;
    s.code = 0;
    s.max = tape->max ? tape->max : JSON_MAX_TOKENS;
    s.max_depth = tape->max_depth ? TP_MIN(tape->max_depth, JSON_DEPTH_CAP) : JSON_MAX_DEPTH;
    s.lone_surrogates = tape->lone_surrogates;
    s.len = text.len;
    tape->count = 0;
    if (TP_UNLIKELY(text.len >= UINT32_MAX)) {
        json_fault(&s, JSON_E_SIZE, 0, "a text of 4 GiB or more; expected less");
        return report(&s, (tp_str){NULL, 0}, err);
    }
    if (text.len <= JSON_SMALL) {
        if (text.len)
            memcpy(s.pad, text.ptr, text.len);
        memset(s.pad + text.len, 0, 2 * JSON_BLOCK);
        s.text = s.pad;
        s.lim = SIZE_MAX;
    } else {
        s.text = (const uint8_t *)text.ptr;
        s.lim = text.len - JSON_SLACK;
        memcpy(s.pad, s.text + s.lim, JSON_SLACK);
        memset(s.pad + JSON_SLACK, 0, 2 * JSON_BLOCK);
    }
    return TP_LIKELY(scan(&s) == 0) ? 0 : report(&s, text, err);
}

void json_tape_free(json_tape *tape)
{
    free(tape->tokens);
    tape->tokens = NULL;
    tape->count = tape->cap = 0;
}

void json_tape_trim(json_tape *tape, uint32_t keep)
{
    if (tape->cap > keep)
        json_tape_free(tape);
}

int json_tape_grow(json_scanner *s, uint32_t n, size_t at)
{
    json_tape *tape = s->tape;
    if (n >= s->max)
        return json_fault(s, JSON_E_COUNT, at, "the text has more values than are allowed");
    uint32_t cap = tape->cap ? tape->cap : 64;
    while (cap <= n)
        cap = cap > UINT32_MAX / 2 ? UINT32_MAX : cap * 2;
    if (cap == tape->cap)
        return 0;
    tp_token *tokens = realloc(tape->tokens, (size_t)cap * sizeof(*tokens));
    if (!tokens)
        return json_fault(s, JSON_E_NOMEM, at, "out of memory for the values of this text");
    tape->tokens = tokens;
    tape->cap = cap;
    return 0;
}

int json_scan_doc(tp_str text, json_tape *scratch, arena *a, tp_doc *out, json_error *err)
{
    int rc = json_scan(text, scratch, err);
    if (rc)
        return rc;
    tp_token *tokens = arena_dup(a, scratch->tokens, scratch->count * sizeof(*tokens));
    if (!tokens)
        return TP_E_NOMEM;
    *out = (tp_doc){.text = text, .tokens = tokens, .count = scratch->count};
    return 0;
}

void json_place(tp_str text, uint32_t at, uint32_t *line, uint32_t *column)
{
    size_t n = TP_MIN((size_t)at, text.len), start = 0;
    *line = 1;
    for (const char *nl; start < n && (nl = memchr(text.ptr + start, '\n', n - start));) {
        start = (size_t)(nl - text.ptr) + 1;
        ++*line;
    }
    *column = (uint32_t)(n - start) + 1;
}

/* ---- Faults. */
int json_fault(json_scanner *s, int32_t code, size_t at, const char *what)
{
    s->code = code;
    s->at = at;
    s->what = what;
    return code;
}

int json_fault_char(json_scanner *s, size_t i, const char *expected)
{
    size_t first = 0;
    while (first < s->len && memchr(" \t\r\n", s->text[first], 4))
        first++;
    if (first == s->len)
        return json_fault(s, JSON_E_EMPTY, 0, "the text is empty; expected a JSON value");
    if (i >= s->len)
        return json_fault(s, JSON_E_SYNTAX, s->len, "the text ends before its value is complete");
    if (i == 0 && s->len >= 3 && memcmp(s->text, "\xef\xbb\xbf", 3) == 0)
        return json_fault(s, JSON_E_SYNTAX, 0, "a byte order mark; expected a JSON value");
    return json_fault(s, JSON_E_SYNTAX, i, expected);
}

int json_string_fault(json_scanner *s, size_t i)
{
    uint32_t escaped;
    if (s->code == 0 && json_string_walk(s, i, &escaped) != 0)
        json_fault(s, JSON_E_SYNTAX, i, "a string that only the vector scanner refuses (a bug)");
    return s->code;
}

/* ---- Numbers. */
static int digit(uint8_t c)
{
    return (uint8_t)(c - '0') < 10;
}

size_t json_number_end(json_scanner *s, size_t i)
{
    const uint8_t *p = s->text;
    const size_t n = s->len;
    if (p[i] == '-')
        i++;
    if (i == n || !digit(p[i])) {
        json_fault(s, JSON_E_SYNTAX, i, "expected a digit");
        return 0;
    }
    if (p[i] == '0') {
        i++;
        if (i < n && digit(p[i])) {
            json_fault(s, JSON_E_SYNTAX, i, "a number with a leading zero; expected none");
            return 0;
        }
    }
    while (i < n && digit(p[i]))
        i++;
    if (i < n && p[i] == '.') {
        i++;
        if (i == n || !digit(p[i])) {
            json_fault(s, JSON_E_SYNTAX, i, "expected a digit after the decimal point");
            return 0;
        }
        while (i < n && digit(p[i]))
            i++;
    }
    if (i < n && (p[i] | 0x20) == 'e') {
        i++;
        if (i < n && (p[i] == '+' || p[i] == '-'))
            i++;
        if (i == n || !digit(p[i])) {
            json_fault(s, JSON_E_SYNTAX, i, "expected a digit in the exponent");
            return 0;
        }
        while (i < n && digit(p[i]))
            i++;
    }
    return i;
}
