/* Strings byte by byte: the portable kernel's scan, which also names the fault that a vector
 * kernel has seen; escapes; decoding and comparing. */
#include "model/json_int.h"

/* lower: 2 " b r, 4 t, 5 u, 6 f, c \, e n, f /; upper: 2 " /, 5 \, 6 b f n, 7 r t u */
const uint8_t json_escape_lower[16] = {
    [0x2] = 1 | 4 | 8, [0x4] = 8, [0x5] = 8, [0x6] = 4, [0xc] = 2, [0xe] = 4, [0xf] = 1};
const uint8_t json_escape_upper[16] = {[0x2] = 1, [0x5] = 2, [0x6] = 4, [0x7] = 8};

/* 16 | value of a hexadecimal digit; 0: no such digit. */
#define H(c, v) [c] = 16 | (v)
static const uint8_t hex[256] = {
    H('0', 0),  H('1', 1),  H('2', 2),  H('3', 3),  H('4', 4),  H('5', 5),  H('6', 6),  H('7', 7),
    H('8', 8),  H('9', 9),  H('A', 10), H('B', 11), H('C', 12), H('D', 13), H('E', 14), H('F', 15),
    H('a', 10), H('b', 11), H('c', 12), H('d', 13), H('e', 14), H('f', 15),
};
#undef H

/* The four digits at p as a number, or -1. */
static int hex4(const uint8_t *p)
{
    int a = hex[p[0]], b = hex[p[1]], c = hex[p[2]], d = hex[p[3]];
    if (!(a & b & c & d & 16))
        return -1;
    return (a & 15) << 12 | (b & 15) << 8 | (c & 15) << 4 | (d & 15);
}

/* The value of the escape whose 'u' is at `at`, or -1 (no four digits). */
static int unit(const json_scanner *s, size_t at)
{
    return s->len - at > 4 ? hex4(s->text + at + 1) : -1;
}

static int is_low(int unit)
{
    return unit >= 0xdc00 && unit <= 0xdfff;
}

int json_unicode_ok(const json_scanner *s, size_t at, size_t *low_at)
{
    if (at == *low_at) /* checked with its high surrogate */
        return 1;
    int v = unit(s, at);
    if (v <= 0)
        return 0;
    if (v < 0xd800 || v > 0xdfff)
        return 1;
    if (v <= 0xdbff && s->len - at > 10 && s->text[at + 5] == '\\' && s->text[at + 6] == 'u' &&
        is_low(unit(s, at + 6))) {
        *low_at = at + 6;
        return 1;
    }
    return s->lone_surrogates != 0; /* what follows it is an escape of its own, or none */
}

/* Does the word hold a quote, a backslash, a control character or a byte above 0x7f? May say yes
 * for a word that has one of them in a lower byte only. */
static inline int odd_word(uint64_t w)
{
    const uint64_t ones = 0x0101010101010101ull, tops = 0x8080808080808080ull;
    uint64_t quote = w ^ (ones * '"'), slash = w ^ (ones * '\\');
    return (((quote - ones) | (slash - ones) | (w - ones * 0x20) | w) & tops) != 0;
}

/* Checks the escape whose backslash is at i; the index after it, or 0 with the fault set. */
static size_t escape_end(json_scanner *s, size_t i)
{
    if (i + 1 >= s->len) {
        json_fault(s, JSON_E_SYNTAX, s->len, "the text ends within a string");
        return 0;
    }
    uint8_t c = s->text[i + 1];
    if (!(json_escape_lower[c & 15] & json_escape_upper[c >> 4])) {
        json_fault(s, JSON_E_SYNTAX, i,
                   "an unknown escape; expected \\\" \\\\ \\/ \\b \\f \\n \\r \\t or \\u");
        return 0;
    }
    if (c != 'u')
        return i + 2;
    size_t low_at = 0;
    if (json_unicode_ok(s, i + 1, &low_at))
        return low_at ? i + 12 : i + 6;
    int v = unit(s, i + 1);
    if (v < 0)
        json_fault(s, JSON_E_SYNTAX, i, "expected four hexadecimal digits after \\u");
    else if (v == 0)
        json_fault(s, JSON_E_NUL, i, "the character NUL (\\u0000) is not allowed");
    else
        json_fault(s, JSON_E_SURROGATE, i,
                   "half of a surrogate pair; expected \\uD800 to \\uDBFF "
                   "and then \\uDC00 to \\uDFFF");
    return 0;
}

size_t json_string_walk(json_scanner *s, size_t i, uint32_t *escaped)
{
    const uint8_t *p = s->text;
    const size_t n = s->len;
    for (;;) {
        uint64_t w;
        if (n - i >= sizeof(w)) {
            memcpy(&w, p + i, sizeof(w));
            if (!odd_word(w)) {
                i += sizeof(w);
                continue;
            }
        }
        /* At least up to the byte that was odd, before words are tried again. */
        for (size_t end = TP_MIN(n, i + sizeof(w)); i < end;) {
            uint8_t c = p[i];
            if (c == '"')
                return i + 1;
            if (c == '\\') {
                *escaped = 1;
                i = escape_end(s, i);
                if (i == 0)
                    return 0;
            } else if (c >= 0x80) {
                size_t len = json_utf8_step(p + i, n - i);
                if (len == 0) {
                    json_fault(s, JSON_E_UTF8, i, "a byte that is not valid UTF-8");
                    return 0;
                }
                i += len;
            } else if (c < 0x20) {
                json_fault(s, JSON_E_SYNTAX, i,
                           "a control character in a string; expected an escape such as \\n");
                return 0;
            } else {
                i++;
            }
        }
        if (i >= n) {
            json_fault(s, JSON_E_SYNTAX, n, "the text ends within a string");
            return 0;
        }
    }
}

int json_utf8_portable(const uint8_t *p, size_t n)
{
    for (size_t i = 0; i < n;) {
        uint64_t w;
        if (n - i >= sizeof(w)) {
            memcpy(&w, p + i, sizeof(w));
            if (!(w & 0x8080808080808080ull)) {
                i += sizeof(w);
                continue;
            }
        }
        size_t len = json_utf8_step(p + i, n - i);
        if (len == 0)
            return 0;
        i += len;
    }
    return 1;
}

/* Kinds of fault that two bytes in a row can show. */
enum {
    SHORT = 1 << 0,            /* a first byte, then no continuation byte */
    LONG = 1 << 1,             /* ASCII, then a continuation byte */
    OVER3 = 1 << 2,            /* e0 80..9f */
    LARGE = 1 << 3,            /* f4 90..bf, and f5..ff with 90..bf */
    SURROGATE = 1 << 4,        /* ed a0..bf */
    OVER2 = 1 << 5,            /* c0 or c1, then a continuation byte */
    OVER4 = 1 << 6,            /* f0 80..8f, and f5..ff with 80..8f */
    CONTS = 1 << 7,            /* two continuation bytes: right or wrong by what was before */
    ANY = SHORT | LONG | CONTS /* the first byte's lower half says nothing about these */
};
#define FOUR(x) x, x, x, x
const uint8_t json_utf8_first_upper[16] = {
    FOUR(LONG),
    FOUR(LONG),
    FOUR(CONTS),
    SHORT | OVER2,
    SHORT,
    SHORT | OVER3 | SURROGATE,
    SHORT | LARGE | OVER4,
};
const uint8_t json_utf8_first_lower[16] = {
    ANY | OVER2 | OVER3 | OVER4,
    ANY | OVER2,
    ANY,
    ANY,
    ANY | LARGE,
    FOUR(ANY | LARGE | OVER4),
    FOUR(ANY | LARGE | OVER4),
    ANY | LARGE | OVER4 | SURROGATE,
    ANY | LARGE | OVER4,
    ANY | LARGE | OVER4,
};
const uint8_t json_utf8_second_upper[16] = {
    FOUR(SHORT),
    FOUR(SHORT),
    LONG | OVER2 | CONTS | OVER3 | OVER4,
    LONG | OVER2 | CONTS | OVER3 | LARGE,
    LONG | OVER2 | CONTS | SURROGATE | LARGE,
    LONG | OVER2 | CONTS | SURROGATE | LARGE,
    FOUR(SHORT),
};
#undef FOUR

/* ---- Decoding. The strings have been validated. */
/* The low half whose escape stands at p, behind its high one, or -1. */
static int low_half(const char *p, const char *end)
{
    if (end - p < 6 || p[0] != '\\' || p[1] != 'u')
        return -1;
    int low = hex4((const uint8_t *)p + 2);
    return is_low(low) ? low : -1;
}

size_t json_unescape_one(const char *p, const char *end, char out[4], size_t *used)
{
    *used = 1;
    switch (*p) {
    case 'b':
        out[0] = '\b';
        return 1;
    case 'f':
        out[0] = '\f';
        return 1;
    case 'n':
        out[0] = '\n';
        return 1;
    case 'r':
        out[0] = '\r';
        return 1;
    case 't':
        out[0] = '\t';
        return 1;
    case 'u':
        break;
    default:
        out[0] = *p;
        return 1;
    }
    uint32_t v = (uint32_t)hex4((const uint8_t *)p + 1);
    *used = 5;
    if (v >= 0xd800 && v <= 0xdfff) {
        int low = v <= 0xdbff ? low_half(p + 5, end) : -1;
        if (low >= 0) {
            v = 0x10000 + ((v - 0xd800) << 10) + ((uint32_t)low - 0xdc00);
            *used = 11;
            out[0] = (char)(0xf0 | v >> 18);
            out[1] = (char)(0x80 | (v >> 12 & 0x3f));
            out[2] = (char)(0x80 | (v >> 6 & 0x3f));
            out[3] = (char)(0x80 | (v & 0x3f));
            return 4;
        }
        v = 0xfffd;
    }
    if (v < 0x80) {
        out[0] = (char)v;
        return 1;
    }
    if (v < 0x800) {
        out[0] = (char)(0xc0 | v >> 6);
        out[1] = (char)(0x80 | (v & 0x3f));
        return 2;
    }
    out[0] = (char)(0xe0 | v >> 12);
    out[1] = (char)(0x80 | (v >> 6 & 0x3f));
    out[2] = (char)(0x80 | (v & 0x3f));
    return 3;
}

size_t json_unescape(const char *p, size_t n, char *out)
{
    const char *end = p + n;
    char *o = out;
    while (p < end) {
        const char *slash = memchr(p, '\\', (size_t)(end - p));
        size_t run = (size_t)((slash ? slash : end) - p);
        memcpy(o, p, run);
        o += run;
        p += run;
        if (!slash)
            break;
        /* Escapes come in flocks: as long as the next is near, bytes are copied singly. */
        while (p < end && *p == '\\') {
            char c[4];
            size_t used, got = json_unescape_one(p + 1, end, c, &used);
            memcpy(o, c, got);
            o += got;
            p += used + 1;
            for (int k = 0; k < 16 && p < end && *p != '\\'; k++)
                *o++ = *p++;
        }
    }
    return (size_t)(o - out);
}

/* A string's decoded bytes, piece by piece. */
typedef struct pieces {
    const char *p, *end;
    char one[4];
    tp_str now;
} pieces;

static int next_piece(pieces *it)
{
    if (it->now.len)
        return 1;
    if (it->p == it->end)
        return 0;
    if (*it->p == '\\') {
        size_t used;
        it->now.len = json_unescape_one(it->p + 1, it->end, it->one, &used);
        it->now.ptr = it->one;
        it->p += used + 1;
    } else {
        const char *slash = memchr(it->p, '\\', (size_t)(it->end - it->p));
        it->now = (tp_str){it->p, (size_t)((slash ? slash : it->end) - it->p)};
        it->p += it->now.len;
    }
    return 1;
}

int json_same(tp_str a, tp_str b)
{
    pieces x = {.p = a.ptr, .end = a.ptr + a.len}, y = {.p = b.ptr, .end = b.ptr + b.len};
    for (;;) {
        int more = next_piece(&x);
        if (more != next_piece(&y))
            return 0;
        if (!more)
            return 1;
        size_t n = TP_MIN(x.now.len, y.now.len);
        if (memcmp(x.now.ptr, y.now.ptr, n) != 0)
            return 0;
        x.now = (tp_str){x.now.ptr + n, x.now.len - n};
        y.now = (tp_str){y.now.ptr + n, y.now.len - n};
    }
}
