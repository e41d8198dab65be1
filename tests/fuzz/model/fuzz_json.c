/* The JSON scanner on any bytes: all kernels agree, on the text alone and behind a string that
 * makes it long; the tape of a valid text is well formed; reading it finds what is in it; and what
 * is decoded, quoted and scanned again is the same. */
#include <stdio.h>
#include <stdlib.h>

#include "base/str.h"
#include "model/json_int.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Copies of exactly len bytes, so that a sanitizer sees a read past the end. */
static tp_str exact(const char *before, tp_str text, const char *after)
{
    size_t a = strlen(before), b = strlen(after);
    char *p = malloc(a + text.len + b + 1);
    TP_MUST(p);
    p = realloc(p, a + text.len + b ? a + text.len + b : 1);
    memcpy(p, before, a);
    if (text.len)
        memcpy(p + a, text.ptr, text.len);
    memcpy(p + a + text.len, after, b);
    return (tp_str){p, a + text.len + b};
}

static int agree(tp_str text, json_tape *tape) /* as tape->lone_surrogates says */
{
    size_t count;
    const json_kernel *kernels = json_kernels(&count);
    json_error want = {0};
    int rc = json_scan_by(kernels[0].scan, text, tape, &want);
    TP_MUST(rc == want.code && rc <= 0 && want.at <= text.len && (rc == 0 || want.what));
    for (size_t k = 1; k < count; k++) {
        json_tape other = {.lone_surrogates = tape->lone_surrogates};
        json_error err = {0};
        if (!kernels[k].usable())
            continue;
        TP_MUST(json_scan_by(kernels[k].scan, text, &other, &err) == rc);
        TP_MUST(err.at == want.at && err.line == want.line && err.column == want.column);
        TP_MUST(rc == 0 || strcmp(err.what, want.what) == 0);
        TP_MUST(rc != 0 ||
                (other.count == tape->count &&
                 memcmp(other.tokens, tape->tokens, tape->count * sizeof(tp_token)) == 0));
        TP_MUST(kernels[k].utf8((const uint8_t *)text.ptr, text.len) ==
                kernels[0].utf8((const uint8_t *)text.ptr, text.len));
        json_tape_free(&other);
    }
    return rc;
}

/* Token t lies in text[from, to); returns the token after it. */
static uint32_t well_formed(const tp_doc *d, uint32_t t, size_t from, size_t to)
{
    TP_MUST(t < d->count);
    const tp_token *k = &d->tokens[t];
    TP_MUST(k->at >= from && k->len > 0 && (size_t)k->at + k->len <= to);
    TP_MUST(k->next > t && k->next <= d->count);
    const char *p = d->text.ptr + k->at;
    char first = p[0], last = p[k->len - 1];
    switch (k->kind) {
    case TP_NULL:
        TP_MUST(str_eq(json_raw(d, t), STR("null")));
        break;
    case TP_BOOL:
        TP_MUST(str_eq(json_raw(d, t), STR("true")) || str_eq(json_raw(d, t), STR("false")));
        break;
    case TP_NUMBER:
        TP_MUST((first == '-' || (first >= '0' && first <= '9')) && last >= '0' && last <= '9');
        break;
    case TP_STRING:
        TP_MUST(first == '"' && last == '"' && k->len >= 2);
        break;
    default:
        TP_MUST(k->kind == TP_ARRAY || k->kind == TP_OBJECT);
        TP_MUST(first == (k->kind == TP_ARRAY ? '[' : '{'));
        TP_MUST(last == (k->kind == TP_ARRAY ? ']' : '}'));
        size_t at = k->at + 1;
        uint32_t children = 0;
        for (uint32_t c = t + 1; c < k->next; children++) {
            uint32_t after = well_formed(d, c, at, (size_t)k->at + k->len - 1);
            TP_MUST(k->kind == TP_ARRAY || children % 2 || d->tokens[c].kind == TP_STRING);
            at = (size_t)d->tokens[c].at + d->tokens[c].len;
            c = after;
        }
        TP_MUST(k->kind == TP_ARRAY || children % 2 == 0);
        return k->next;
    }
    TP_MUST(k->next == t + 1);
    return k->next;
}

static void read_string(const tp_doc *d, uint32_t t, arena *a)
{
    tp_str s = json_string(d, t, a), plain;
    TP_MUST(s.ptr && json_string_is(d, t, s));
    TP_MUST(!json_plain(d, t, &plain) || str_eq(plain, s));
    TP_MUST(json_utf8_valid(s) && !(s.len && memchr(s.ptr, '\0', s.len)));
    buf quoted;
    json_tape tape = {0};
    buf_init(&quoted, 1 << 24);
    TP_MUST(json_quote(&quoted, s) == 0);
    TP_MUST(json_scan(buf_str(&quoted), &tape, NULL) == 0 && tape.count == 1);
    tp_doc again = json_doc(buf_str(&quoted), &tape);
    TP_MUST(json_string_is(&again, 0, s));
    json_tape_free(&tape);
    buf_free(&quoted);
}

static void read_number(const tp_doc *d, uint32_t t)
{
    int64_t i;
    double v;
    TP_MUST(json_double(d, t, &v) == 0);
    if (json_int(d, t, &i) == 0)
        TP_MUST(json_is_integer(d, t) && (double)i == v);
}

static void read_all(const tp_doc *d, arena *a)
{
    for (uint32_t t = 0; t < d->count; t++) {
        int yes;
        TP_MUST((json_bool(d, t, &yes) == 0) == (json_kind(d, t) == TP_BOOL));
        if (json_kind(d, t) == TP_STRING)
            read_string(d, t, a);
        else if (json_kind(d, t) == TP_NUMBER)
            read_number(d, t);
        if (json_kind(d, t) != TP_OBJECT || d->tokens[t].next - t > 200)
            continue;
        for (uint32_t k = t + 1; k < d->tokens[t].next; k = d->tokens[k + 1].next)
            TP_MUST(json_find(d, t, json_string(d, k, a)) == k + 1);
    }
}

/* As an upstream's text: all that is taken of a client is taken, and the same; of what is not, only
 * halves of surrogate pairs, or a fault behind one. */
static void as_reply(tp_str text, const json_tape *strict, int rc)
{
    json_tape tape = {.lone_surrogates = 1};
    int lone = agree(text, &tape);
    TP_MUST(rc == 0 || rc == JSON_E_SURROGATE ? rc != 0 || lone == 0 : lone == rc);
    TP_MUST(rc != 0 || (tape.count == strict->count &&
                        memcmp(tape.tokens, strict->tokens, tape.count * sizeof(tp_token)) == 0));
    if (rc != 0 && lone == 0) {
        tp_doc d = json_doc(text, &tape);
        TP_MUST(well_formed(&d, 0, 0, text.len) == d.count);
        arena a;
        arena_init(&a, NULL, 1 << 26);
        read_all(&d, &a);
        arena_reset(&a);
    }
    json_tape_free(&tape);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char before[640] = "[\"";
    memset(before + 2, 'x', 500 + size % 128);
    memcpy(before + 2 + 500 + size % 128, "\",", 3);
    tp_str text = exact("", (tp_str){(const char *)data, size}, "");
    tp_str longer = exact(before, (tp_str){(const char *)data, size}, "]");
    json_tape tape = {0}, other = {0};
    int rc = agree(text, &tape), within = agree(longer, &other);
    as_reply(text, &tape, rc);
    if (rc == 0) {
        TP_MUST(within == (tape.count + 2 > JSON_MAX_TOKENS ? JSON_E_COUNT : 0) ||
                within == JSON_E_DEPTH);
        TP_MUST(within != 0 || other.count == tape.count + 2);
        tp_doc d = json_doc(text, &tape);
        TP_MUST(well_formed(&d, 0, 0, text.len) == d.count);
        arena a;
        arena_init(&a, NULL, 1 << 26);
        read_all(&d, &a);
        arena_reset(&a);
    }
    json_tape_free(&tape);
    json_tape_free(&other);
    free((void *)(uintptr_t)text.ptr);
    free((void *)(uintptr_t)longer.ptr);
    return 0;
}
