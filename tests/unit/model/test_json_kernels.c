/* Every kernel against a validator written as plainly as can be, on texts made from fixed seeds:
 * the same verdict, the same tape, and among the kernels the same fault at the same place. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/hash.h"
#include "base/str.h"
#include "model/json_int.h"

/* ---- The plain validator. */
typedef struct plain {
    const uint8_t *p;
    size_t n, i;
    tp_token tok[4096];
    uint32_t count;
} plain;

static int peek(const plain *s)
{
    return s->i < s->n ? s->p[s->i] : -1;
}

static int accept(plain *s, int c)
{
    if (peek(s) != c)
        return 0;
    s->i++;
    return 1;
}

static void space(plain *s)
{
    while (peek(s) == ' ' || peek(s) == '\t' || peek(s) == '\n' || peek(s) == '\r')
        s->i++;
}

static int hex4(plain *s)
{
    int v = 0;
    for (int k = 0; k < 4; k++) {
        int c = peek(s);
        if (c >= '0' && c <= '9')
            v = v * 16 + c - '0';
        else if (c >= 'a' && c <= 'f')
            v = v * 16 + c - 'a' + 10;
        else if (c >= 'A' && c <= 'F')
            v = v * 16 + c - 'A' + 10;
        else
            return -1;
        s->i++;
    }
    return v;
}

static void utf8_put(char *out, size_t *n, uint32_t v)
{
    if (v < 0x80) {
        out[(*n)++] = (char)v;
        return;
    }
    int more = v < 0x800 ? 1 : v < 0x10000 ? 2 : 3;
    static const uint32_t lead[] = {0, 0xc0, 0xe0, 0xf0};
    out[(*n)++] = (char)(lead[more] | v >> (6 * more));
    while (more-- > 0)
        out[(*n)++] = (char)(0x80 | ((v >> (6 * more)) & 0x3f));
}

/* One character of UTF-8 by its code point: 1, or 0. */
static int utf8_get(plain *s, uint32_t *out)
{
    uint32_t c = s->p[s->i++];
    int more = c < 0x80 ? 0 : c < 0xc0 ? -1 : c < 0xe0 ? 1 : c < 0xf0 ? 2 : c < 0xf8 ? 3 : -1;
    static const uint32_t least[] = {0, 0x80, 0x800, 0x10000}, bits[] = {0x7f, 0x1f, 0x0f, 0x07};
    if (more < 0)
        return 0;
    uint32_t v = c & bits[more];
    for (int k = 0; k < more; k++) {
        int d = peek(s);
        if (d < 0x80 || d > 0xbf)
            return 0;
        v = v << 6 | (uint32_t)(d & 0x3f);
        s->i++;
    }
    *out = v;
    return v >= least[more] && v <= 0x10ffff && !(v >= 0xd800 && v <= 0xdfff);
}

/* The decoded string, in out (room for the whole text); its length, or -1. */
static long plain_string(plain *s, char *out)
{
    size_t n = 0;
    if (!accept(s, '"'))
        return -1;
    for (;;) {
        int c = peek(s);
        uint32_t v;
        if (c < 0x20)
            return -1;
        if (c == '"') {
            s->i++;
            return (long)n;
        }
        if (c != '\\') {
            if (!utf8_get(s, &v))
                return -1;
            utf8_put(out, &n, v);
            continue;
        }
        s->i++;
        c = peek(s);
        s->i++;
        static const char from[] = "\"\\/bfnrt", to[] = "\"\\/\b\f\n\r\t";
        const char *at = c > 0 ? strchr(from, c) : NULL;
        if (at) {
            out[n++] = to[at - from];
            continue;
        }
        int u = c == 'u' ? hex4(s) : -1;
        if (u <= 0 || (u >= 0xdc00 && u <= 0xdfff))
            return -1;
        v = (uint32_t)u;
        if (u >= 0xd800 && u <= 0xdbff) {
            int low = accept(s, '\\') && accept(s, 'u') ? hex4(s) : -1;
            if (low < 0xdc00 || low > 0xdfff)
                return -1;
            v = 0x10000u + (uint32_t)((u - 0xd800) * 1024 + (low - 0xdc00));
        }
        utf8_put(out, &n, v);
    }
}

static int digits(plain *s)
{
    size_t from = s->i;
    while (peek(s) >= '0' && peek(s) <= '9')
        s->i++;
    return s->i > from;
}

static int plain_number(plain *s)
{
    accept(s, '-');
    if (!accept(s, '0') && !digits(s))
        return 0;
    if (accept(s, '.') && !digits(s))
        return 0;
    if (accept(s, 'e') || accept(s, 'E')) {
        if (!accept(s, '+'))
            accept(s, '-');
        return digits(s);
    }
    return 1;
}

static int word(plain *s, const char *w)
{
    size_t n = strlen(w);
    if (s->n - s->i < n || memcmp(s->p + s->i, w, n) != 0)
        return 0;
    s->i += n;
    return 1;
}

static int plain_value(plain *s, int depth);

static int plain_object(plain *s, int depth)
{
    char *keys[512];
    size_t lens[512], count = 0;
    int ok = 0;
    s->i++;
    space(s);
    if (accept(s, '}'))
        return 1;
    for (;;) {
        space(s);
        uint32_t t = s->count++;
        size_t at = s->i;
        if (count == TP_COUNT(keys))
            break;
        keys[count] = malloc(s->n + 1);
        long n = plain_string(s, keys[count++]);
        if (n < 0)
            break;
        lens[count - 1] = (size_t)n;
        for (size_t k = 0; k + 1 < count; k++) {
            if (lens[k] == (size_t)n && memcmp(keys[k], keys[count - 1], (size_t)n) == 0)
                goto out;
        }
        s->tok[t] = (tp_token){TP_STRING, (uint32_t)at, (uint32_t)(s->i - at), s->count};
        space(s);
        if (!accept(s, ':') || !plain_value(s, depth))
            break;
        space(s);
        if (accept(s, '}')) {
            ok = 1;
            break;
        }
        if (!accept(s, ','))
            break;
    }
out:
    while (count > 0)
        free(keys[--count]);
    return ok;
}

static int plain_array(plain *s, int depth)
{
    s->i++;
    space(s);
    if (accept(s, ']'))
        return 1;
    do {
        if (!plain_value(s, depth))
            return 0;
        space(s);
    } while (accept(s, ','));
    return accept(s, ']');
}

static int plain_value(plain *s, int depth)
{
    space(s);
    uint32_t t = s->count++, kind;
    size_t at = s->i;
    int c = peek(s), ok;
    assert_true(s->count < TP_COUNT(s->tok) - 2);
    if (c == '{' || c == '[') {
        kind = c == '{' ? TP_OBJECT : TP_ARRAY;
        ok = depth < (int)JSON_MAX_DEPTH &&
             (c == '{' ? plain_object(s, depth + 1) : plain_array(s, depth + 1));
    } else if (c == '"') {
        char *out = malloc(s->n + 1);
        kind = TP_STRING;
        ok = plain_string(s, out) >= 0;
        free(out);
    } else if (c == 't' || c == 'f') {
        kind = TP_BOOL;
        ok = word(s, "true") || word(s, "false");
    } else if (c == 'n') {
        kind = TP_NULL;
        ok = word(s, "null");
    } else {
        kind = TP_NUMBER;
        ok = plain_number(s);
    }
    s->tok[t] = (tp_token){kind, (uint32_t)at, (uint32_t)(s->i - at), s->count};
    return ok;
}

static int plain_scan(plain *s, tp_str text)
{
    s->p = (const uint8_t *)text.ptr;
    s->n = text.len;
    s->i = s->count = 0;
    if (!plain_value(s, 0))
        return 0;
    space(s);
    return s->i == s->n;
}

/* ---- Comparing. */
static plain reference; /* big; one thread */

static void differ(tp_str text, const char *who, const char *how)
{
    fprintf(stderr, "%s: %s, for %zu bytes: ", who, how, text.len);
    for (size_t i = 0; i < text.len; i++)
        fprintf(stderr, text.ptr[i] >= 0x20 && text.ptr[i] < 0x7f ? "%c" : "\\x%02x",
                (unsigned char)text.ptr[i]);
    fprintf(stderr, "\n");
    fail();
}

/* text lies at the end of its allocation. Returns whether it is valid. */
static int check(tp_str text, json_tape *tape)
{
    size_t count;
    const json_kernel *k = json_kernels(&count);
    int valid = plain_scan(&reference, text), seen = 0;
    json_error first = {0};
    for (const json_kernel *end = k + count; k < end; k++) {
        if (!k->usable())
            continue;
        json_error err = {0};
        int rc = json_scan_by(k->scan, text, tape, &err);
        if ((rc == 0) != valid)
            differ(text, k->name, valid ? "refuses what is valid" : "accepts what is not");
        if (rc == 0 && (tape->count != reference.count ||
                        memcmp(tape->tokens, reference.tok, tape->count * sizeof(tp_token)) != 0))
            differ(text, k->name, "another tape");
        if (rc && !seen)
            first = err;
        seen = 1;
        if (rc &&
            (err.code != first.code || err.at != first.at || strcmp(err.what, first.what) != 0))
            differ(text, k->name, "another fault than the portable kernel's");
        if (rc && strstr(err.what, "bug"))
            differ(text, k->name, "refuses a string that is valid");
    }
    return valid;
}

#define SLASHES "\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\" /* 16 */
static const char *const seeds[] = {
    "{\"model\":\"llama\",\"messages\":[{\"role\":\"user\",\"content\":\"Hello \\\"you\\\"\\n\"}],"
    "\"temperature\":0.7,\"n\":1,\"stream\":true,\"stop\":null}",
    "[1,-0,0.5,1e9,1.25E-3,123456789012345678901234567890,true,false,null,\"\",[],{}]",
    "{\"a\":{\"b\":{\"c\":[[[1]]]}},\"\\u0062\":2,\"\xd0\xb4\":3,\"e\":{\"a\":1,\"b\":2}}",
    "\"\xd0\xa1\xd1\x8a\xd0\xb5\xd1\x88\xd1\x8c \xd0\xb6\xd0\xb5 \xd0\xb5\xd1\x89\xd1\x91 "
    "\xe6\x95\x8f\xe6\x8d\xb7\xe7\x9a\x84\xe6\xa3\x95\xe8\x89\xb2 \xf0\x9f\x98\x80\xf0\x9f\x98\x81"
    " \xe2\x82\xac plain again and on and on until the block is over, then \xc3\xa9\"",
    "[\"" SLASHES
    "\",\"\\\\\\\"\\\\\",\"\\ud83d\\ude00\\ud83d\\ude01\\u0041\\n\\t\\/\\b\\f\\r" SLASHES SLASHES
        SLASHES SLASHES "\\\"" SLASHES "\"]",
    "  {\n    \"pretty\" : [\n        1 ,\n        2\n    ] ,\r\n\t\"b\" : { }\n}\n",
    "{\"k0\":0,\"k1\":1,\"k2\":2,\"k3\":3,\"k4\":4,\"k5\":5,\"k6\":6,\"k7\":7,\"k8\":8,\"k9\":9,"
    "\"k10\":0,\"k11\":1,\"k12\":2,\"k13\":3,\"k14\":4,\"k15\":5,\"k16\":6,\"k17\":7,\"k18\":8,"
    "\"k19\":9,\"k20\":0,\"k21\":1,\"k22\":2,\"k23\":3,\"k24\":4,\"k25\":5,\"k26\":6,\"k27\":7,"
    "\"k28\":8,\"k29\":9,\"k30\":0,\"k31\":1,\"k32\":2,\"k33\":3,\"k34\":4,\"k35\":5}",
};

static size_t mutate(rng *r, char *p, size_t n, size_t room)
{
    static const char odd[] =
        "\"\"\\\\u{}[]:,0eE.-+ \n\t\x1f\x7f\x80\xbf\xc0\xc2\xe0\xed\xf0\xf4\xff"
        "dDa18/";
    size_t at = n ? rng_below(r, n) : 0, len = 1 + rng_below(r, 12);
    char c = odd[rng_below(r, sizeof(odd))]; /* its NUL included */
    switch (rng_below(r, 7)) {
    case 0:
    case 1:
        if (n)
            p[at] = c;
        return n;
    case 2:
        if (n)
            p[at] = (char)rng_next(r);
        return n;
    case 3: /* insert */
        if (n == room)
            return n;
        memmove(p + at + 1, p + at, n - at);
        p[at] = c;
        return n + 1;
    case 4: /* delete */
        len = TP_MIN(len, n - at);
        memmove(p + at, p + at + len, n - at - len);
        return n - len;
    case 5: /* repeat a piece elsewhere */
        len = TP_MIN(len, n - at);
        if (n + len > room)
            return n;
        memmove(p + at + len, p + at, n - at);
        return n + len;
    default:
        return rng_below(r, 8) ? n : at;
    }
}

static void mutations(void **state)
{
    (void)state;
    enum { ROOM = 2048, ROUNDS = 60000 };
    char *room = malloc(ROOM);
    json_tape tape = {0};
    rng r = {20240607};
    int valid = 0;
    for (int round = 0; round < ROUNDS; round++) {
        /* Two of three are long: behind a string that fills up to some length over 512. */
        size_t n = 0;
        char text[ROOM];
        const char *seed = seeds[rng_below(&r, TP_COUNT(seeds))];
        int wrapped = rng_below(&r, 3) != 0;
        if (wrapped) {
            size_t fill = rng_below(&r, 600);
            text[n++] = '[';
            text[n++] = '"';
            memset(text + n, 'x', fill);
            n += fill;
            text[n++] = '"';
            text[n++] = ',';
        }
        size_t from = n;
        memcpy(text + n, seed, strlen(seed));
        n += strlen(seed);
        for (uint64_t edits = rng_below(&r, 4); edits > 0; edits--)
            n = from + mutate(&r, text + from, n - from, ROOM - 8 - from);
        if (wrapped)
            text[n++] = ']';
        char *exact = room + ROOM - n;
        memcpy(exact, text, n);
        valid += check((tp_str){exact, n}, &tape);
    }
    assert_in_range(valid, ROUNDS / 5, ROUNDS * 4 / 5); /* both kinds are met often */
    json_tape_free(&tape);
    free(room);
}

/* Strings of every length and at every place of a block, whole and with one fault at each place. */
static void lengths(void **state)
{
    (void)state;
    static const char *const fillers[] = {"a",
                                          "\\n",
                                          "\\\\",
                                          "\xd0\x96",
                                          "\xe4\xb8\xad",
                                          "\xf0\x9f\x98\x80",
                                          "\\u00e9",
                                          "ab\\\"cdef\xc3\xa9"};
    static const char faults[] = {0x1f,       '\0',       '\\',       '"',        (char)0x80,
                                  (char)0xc3, (char)0xe4, (char)0xf0, (char)0xff, 'u'};
    json_tape tape = {0};
    char *room = malloc(1024);
    char *const end = room + 1024;
    rng r = {7};
    for (size_t len = 0; len <= 200; len++) {
        for (size_t f = 0; f < TP_COUNT(fillers); f++) {
            /* [<spaces> "<before>" , "<string>"] right up to the end of the memory */
            size_t piece = strlen(fillers[f]), n = len / piece * piece;
            size_t before = rng_below(&r, 2) ? rng_below(&r, 64) : 500 + rng_below(&r, 64);
            size_t total = 1 + 1 + before + 1 + 1 + 1 + n + 1 + 1;
            char *p = end - total, *o = p;
            *o++ = '[';
            *o++ = '"';
            memset(o, 'b', before);
            o += before;
            memcpy(o, "\",\"", 3);
            o += 3;
            char *body = o;
            for (size_t k = 0; k < n; k += piece)
                memcpy(o + k, fillers[f], piece);
            memcpy(o + n, "\"]", 2);
            assert_true(check((tp_str){p, total}, &tape));
            for (size_t k = 0; k < n; k++) {
                char was = body[k];
                body[k] = faults[(k + len) % sizeof(faults)];
                check((tp_str){p, total}, &tape);
                body[k] = was;
            }
            /* Cut short at each place. */
            for (size_t cut = 1; cut <= n + 2; cut += 1 + n / 8) {
                char *exact = malloc(total - cut);
                memcpy(exact, p, total - cut);
                assert_false(check((tp_str){exact, total - cut}, &tape));
                free(exact);
            }
        }
    }
    json_tape_free(&tape);
    free(room);
}

static void utf8(void **state)
{
    (void)state;
    size_t count;
    const json_kernel *kernels = json_kernels(&count);
    rng r = {99};
    int valid = 0;
    enum { ROUNDS = 60000 };
    for (int round = 0; round < ROUNDS; round++) {
        char text[256];
        size_t n = 0, want = rng_below(&r, 200);
        while (n < want) {
            static const uint32_t below[] = {0x80, 0x800, 0xd800, 0x110000};
            uint32_t v = (uint32_t)rng_below(&r, below[rng_below(&r, 4)]);
            if (v < 0xd800 || v > 0xdfff)
                utf8_put(text, &n, v);
        }
        if (n && rng_below(&r, 2))
            text[rng_below(&r, n)] = (char)rng_next(&r);
        if (n && rng_below(&r, 4) == 0)
            n = rng_below(&r, n);
        uint8_t *exact = malloc(n ? n : 1);
        memcpy(exact, text, n);
        plain s = {.p = exact, .n = n};
        int ok = 1;
        for (uint32_t v; ok && s.i < n;)
            ok = utf8_get(&s, &v);
        valid += ok;
        for (size_t k = 0; k < count; k++) {
            if (kernels[k].usable() && kernels[k].utf8(exact, n) != ok)
                differ((tp_str){(char *)exact, n}, kernels[k].name, "another verdict on UTF-8");
        }
        assert_int_equal(json_utf8_valid((tp_str){(char *)exact, n}), ok);
        free(exact);
    }
    assert_in_range(valid, ROUNDS / 4, ROUNDS * 3 / 4);
}

/* All pairs of a lead and a second byte, with what could follow, at places around a block's end. */
static void utf8_pairs(void **state)
{
    (void)state;
    size_t count;
    const json_kernel *kernels = json_kernels(&count);
    static plain s;
    for (unsigned a = 0x80; a < 0x100; a++) {
        for (unsigned b = 0; b < 0x100; b++) {
            for (unsigned tail = 0; tail < 4; tail++) {
                static const char *const tails[] = {"", "\x80", "\x80\x80", "\xbf\xbf\xbf"};
                uint8_t text[96];
                size_t at = 58 + (a + b + tail) % 8, n = at;
                memset(text, 'x', sizeof(text));
                text[n++] = (uint8_t)a;
                text[n++] = (uint8_t)b;
                memcpy(text + n, tails[tail], tail);
                n += tail;
                s = (plain){.p = text, .n = n};
                int ok = 1;
                for (uint32_t v; ok && s.i < n;)
                    ok = utf8_get(&s, &v);
                for (size_t k = 0; k < count; k++) {
                    if (kernels[k].usable() && kernels[k].utf8(text, n) != ok)
                        differ((tp_str){(char *)text, n}, kernels[k].name, "another verdict");
                }
            }
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(mutations),
        cmocka_unit_test(lengths),
        cmocka_unit_test(utf8),
        cmocka_unit_test(utf8_pairs),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
