/* Private to the JSON scanner: what its kernels (one an instruction set) share. */
#ifndef TP_MODEL_JSON_INT_H
#define TP_MODEL_JSON_INT_H
#include <string.h>

#include "model/json.h"

#define JSON_BLOCK 64u      /* bytes that a kernel looks at together */
#define JSON_SLACK 192u     /* bytes behind a place that was looked at that can be read */
#define JSON_SMALL 512u     /* texts up to here are copied, so that no read needs a bound */
#define JSON_DEPTH_CAP 512u /* the deepest that max_depth can ask for */
#define JSON_FEW_KEYS 32u   /* beyond so many, a key that may be there is looked for at the close */
#define JSON_SHORT_KEY 56u  /* so are objects with longer keys */

/* An open container. `seen` is a filter with a bit a key: a key whose bit is clear is new. */
typedef struct json_level {
    uint64_t seen;
    uint32_t open;  /* its token */
    uint32_t table; /* 1: the keys are compared when the object closes, with a hash table */
} json_level;

/* Kernels read whole blocks. A block that begins at `i` is read from text + i if i <= lim, else
 * from pad + (i - lim), where the last JSON_SLACK bytes of the text lie with zeros behind them. A
 * zero is valid nowhere, so that it also marks the end. Small texts lie in pad as a whole. */
typedef struct json_scanner {
    const uint8_t *text;
    size_t len, lim;
    json_tape *tape;
    uint32_t max, max_depth;
    uint32_t lone_surrogates; /* are taken, as the tape says */
    int32_t code; /* of the fault */
    size_t at;
    const char *what;
    uint8_t pad[JSON_SMALL + 2 * JSON_BLOCK];
    json_level levels[JSON_DEPTH_CAP + 1];
} json_scanner;

typedef int (*json_scan_fn)(json_scanner *s); /* 0, or the code, with s->at and s->what set */
typedef int (*json_utf8_fn)(const uint8_t *p, size_t n); /* 1: valid */

typedef struct json_kernel {
    const char *name;
    json_scan_fn scan;
    json_utf8_fn utf8;
    int (*usable)(void); /* on this CPU */
} json_kernel;
/* All kernels of this build, the portable one first and the widest last; for tests. */
const json_kernel *json_kernels(size_t *count);
/* json_scan by a kernel of the caller's choice. */
int json_scan_by(json_scan_fn scan, tp_str text, json_tape *tape, json_error *err);

int json_scan_portable(json_scanner *s);
int json_scan_sse2(json_scanner *s);
int json_scan_avx2(json_scanner *s);
int json_scan_avx512(json_scanner *s);
int json_utf8_portable(const uint8_t *p, size_t n);
int json_utf8_avx2(const uint8_t *p, size_t n);
int json_utf8_avx512(const uint8_t *p, size_t n);

/* Records the fault; returns its code. */
int json_fault(json_scanner *s, int32_t code, size_t at, const char *what) TP_COLD;
/* The fault of a structural character that does not fit: c at i, expected says what would. */
int json_fault_char(json_scanner *s, size_t i, const char *expected) TP_COLD;
/* Byte by byte: the end (after the closing quote) of the string whose first byte after the opening
 * quote is at i, or 0 with the fault set. *escaped becomes 1 if it has escapes. */
size_t json_string_walk(json_scanner *s, size_t i, uint32_t *escaped);
/* The fault of a string that a kernel refused. */
int json_string_fault(json_scanner *s, size_t i) TP_COLD;
/* Length (1 to 4) of the UTF-8 character at p, of which n > 0 bytes are readable, or 0. */
static inline size_t json_utf8_step(const uint8_t *p, size_t n)
{
    uint8_t c = p[0];
    if (c < 0x80)
        return 1;
    if (n < 2 || (p[1] & 0xc0) != 0x80)
        return 0;
    if (c < 0xe0)
        return c >= 0xc2 ? 2 : 0;
    if (n < 3 || (p[2] & 0xc0) != 0x80)
        return 0;
    if (c < 0xf0)
        return (c == 0xe0 && p[1] < 0xa0) || (c == 0xed && p[1] > 0x9f) ? 0 : 3;
    if (n < 4 || (p[3] & 0xc0) != 0x80 || c > 0xf4)
        return 0;
    return (c == 0xf0 && p[1] < 0x90) || (c == 0xf4 && p[1] > 0x8f) ? 0 : 4;
}
/* Checks the escape \u whose 'u' is at `at`. *low_at: where the 'u' of a low surrogate is expected
 * because its high one was seen. 1: valid. */
int json_unicode_ok(const json_scanner *s, size_t at, size_t *low_at);
/* The end of the number at i, or 0 with the fault set. */
size_t json_number_end(json_scanner *s, size_t i);
/* More room in the tape: 0, or the code with the fault set. */
int json_tape_grow(json_scanner *s, uint32_t n, size_t at);
/* Is key token `key`, the newest of the open object, among those before it? All plain. Where there
 * are many, lv->table is set instead: then the answer comes when the object closes. */
int json_key_walk(const json_scanner *s, json_level *lv, uint32_t key);
/* All keys of an object that has closed: 0, or the code with the fault set. */
int json_key_table(json_scanner *s, uint32_t open);

/* A byte c may stand behind a backslash if the two tables, looked up by its lower and upper four
 * bits, have a bit in common. */
extern const uint8_t json_escape_lower[16], json_escape_upper[16];
/* UTF-8 by table look-up: each bit is a kind of fault, present where the upper and lower half of
 * one byte and the upper half of the next all allow it. What remains is the third and fourth byte
 * of long characters, which must coincide with the bit for two continuation bytes in a row. Keiser
 * and Lemire, "Validating UTF-8 In Less Than One Instruction Per Byte" (2021), section 6. */
extern const uint8_t json_utf8_first_upper[16], json_utf8_first_lower[16],
    json_utf8_second_upper[16];

/* Decodes the escape at p (behind the backslash; validated by the scanner) of a string whose inside
 * ends at `end` into out, at most four bytes; *used: bytes of it, without the backslash. Half a
 * surrogate pair becomes U+FFFD. Returns the bytes written, never more than were read. */
size_t json_unescape_one(const char *p, const char *end, char out[4], size_t *used);
/* Decodes the inside of a valid string into out, which has room for n bytes. */
size_t json_unescape(const char *p, size_t n, char *out);
/* Do the insides of two valid strings decode to the same? Either may have escapes. */
int json_same(tp_str a, tp_str b);
#endif
