/* The scanner, written once and compiled by each kernel. A kernel defines before it:
 *   K(name)                  its own name of a function
 *   size_t K(string)(json_scanner *s, size_t i, const uint8_t *src, uint32_t *escaped)
 *                            the end of the string whose inside begins at i (readable at src), or 0
 * No include guard: that is the point. */

#define JSON_SRC(i) (TP_LIKELY((i) <= lim) ? text + (i) : tail + ((i)-lim))
/* c becomes the first byte from i on that is not white space. One space is the usual. */
#define JSON_NEXT()                                                                                \
    do {                                                                                           \
        const uint8_t *next_ = JSON_SRC(i);                                                        \
        c = next_[0];                                                                              \
        if (c <= 0x20) {                                                                           \
            if (c == ' ' && next_[1] > 0x20)                                                       \
                i++;                                                                               \
            else                                                                                   \
                i = K(blank)(text, tail, lim, i);                                                  \
            c = *JSON_SRC(i);                                                                      \
        }                                                                                          \
    } while (0)

/* Branches, not the count of trailing zeros: indentation is predictable, and what is predicted
 * does not wait for the load before. */
static size_t K(blank)(const uint8_t *text, const uint8_t *tail, size_t lim, size_t i)
{
    for (;;) {
        const uint8_t *p = JSON_SRC(i);
        uint64_t w;
        memcpy(&w, p, sizeof(w));
        if (w == 0x2020202020202020ull)
            i += sizeof(w);
        else if (*p == ' ' || *p == '\n' || *p == '\r' || *p == '\t')
            i++;
        else
            return i;
    }
}

/* Marks a short key of n plain bytes as seen; 1 if one with the same mark was there already. */
static inline int K(seen)(json_level *lv, const uint8_t *src, size_t n)
{
    uint64_t a, b;
    memcpy(&a, src, sizeof(a));
    if (n >= sizeof(a)) {
        memcpy(&b, src + n - sizeof(b), sizeof(b));
        a ^= b * 0x9e3779b97f4a7c15ull;
    } else {
#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
        a = __builtin_bswap64(a);
#endif
        a &= ((uint64_t)1 << (8 * n)) - 1;
    }
    uint64_t bit = (uint64_t)1 << (((a ^ n) * 0xff51afd7ed558ccdull) >> 58);
    int was = (lv->seen & bit) != 0;
    lv->seen |= bit;
    return was;
}

int K(scan)(json_scanner *s)
{
    const uint8_t *const text = s->text, *const tail = s->pad;
    const size_t lim = s->lim;
    tp_token *tok = s->tape->tokens;
    uint32_t cap = TP_MIN(s->tape->cap, s->max), n = 0, depth = 0;
    json_level *lv = s->levels;
    uint32_t object = 0; /* the innermost open container is one */
    size_t i = 0, e;
    uint8_t c;
    const uint8_t *p;
    uint32_t escaped = 0;

#define JSON_ROOM()                                                                                \
    do {                                                                                           \
        if (TP_UNLIKELY(n == cap)) {                                                               \
            if (json_tape_grow(s, n, i))                                                           \
                return s->code;                                                                    \
            tok = s->tape->tokens;                                                                 \
            cap = TP_MIN(s->tape->cap, s->max);                                                    \
        }                                                                                          \
    } while (0)
#define JSON_PUT(kind_, end_)                                                                      \
    do {                                                                                           \
        tok[n] = (tp_token){kind_, (uint32_t)i, (uint32_t)((end_)-i), n + 1};                      \
        n++;                                                                                       \
    } while (0)

value:
    JSON_NEXT();
value_at:
    JSON_ROOM();
    switch (c) {
    case '"':
        p = JSON_SRC(i + 1);
        e = K(string)(s, i + 1, p, &escaped);
        if (TP_UNLIKELY(e == 0))
            return json_string_fault(s, i + 1);
        JSON_PUT(TP_STRING, e);
        i = e;
        goto after;
    case '{':
    case '[':
        if (TP_UNLIKELY(depth == s->max_depth))
            return json_fault(s, JSON_E_DEPTH, i, "arrays and objects are nested too deeply");
        object = c == '{';
        lv = &s->levels[++depth];
        *lv = (json_level){.open = n};
        JSON_PUT(object ? TP_OBJECT : TP_ARRAY, i);
        i++;
        JSON_NEXT();
        if (c == (object ? '}' : ']'))
            goto close;
        if (object)
            goto key;
        goto value_at;
    case 't':
        p = JSON_SRC(i);
        if (TP_UNLIKELY(memcmp(p, "true", 4) != 0))
            return json_fault_char(s, i, "expected true");
        JSON_PUT(TP_BOOL, i + 4);
        i += 4;
        goto after;
    case 'f':
        p = JSON_SRC(i);
        if (TP_UNLIKELY(memcmp(p, "false", 5) != 0))
            return json_fault_char(s, i, "expected false");
        JSON_PUT(TP_BOOL, i + 5);
        i += 5;
        goto after;
    case 'n':
        p = JSON_SRC(i);
        if (TP_UNLIKELY(memcmp(p, "null", 4) != 0))
            return json_fault_char(s, i, "expected null");
        JSON_PUT(TP_NULL, i + 4);
        i += 4;
        goto after;
    case '0':
    case '1':
    case '2':
    case '3':
    case '4':
    case '5':
    case '6':
    case '7':
    case '8':
    case '9':
    case '-':
        /* An integer of few digits is counted here; json_number_end knows all others. */
        p = JSON_SRC(i);
        e = 0;
        if (c != '-') {
            do
                e++;
            while (e < 24 && (uint8_t)(p[e] - '0') < 10);
            if (e == 24 || p[e] == '.' || (p[e] | 0x20) == 'e' || (c == '0' && e > 1))
                e = 0;
        }
        e = e ? i + e : json_number_end(s, i);
        if (TP_UNLIKELY(e == 0))
            return s->code;
        JSON_PUT(TP_NUMBER, e);
        i = e;
        goto after;
    default:
        return json_fault_char(s, i, "expected a value");
    }

key:
    if (TP_UNLIKELY(c != '"'))
        return json_fault_char(s, i, "expected a key in double quotes");
    JSON_ROOM();
    p = JSON_SRC(i + 1);
    escaped = 0;
    e = K(string)(s, i + 1, p, &escaped);
    if (TP_UNLIKELY(e == 0))
        return json_string_fault(s, i + 1);
    JSON_PUT(TP_STRING, e);
    lv->keys++;
    if (TP_UNLIKELY(lv->keys > JSON_FEW_KEYS || escaped || e - i - 2 > JSON_SHORT_KEY))
        lv->table = 1;
    else if (K(seen)(lv, p, e - i - 2) && json_key_walk(s, lv->open, n - 1))
        return json_fault(s, JSON_E_DUPLICATE, i, "this key is in the object twice");
    i = e;
    JSON_NEXT();
    if (TP_UNLIKELY(c != ':'))
        return json_fault_char(s, i, "expected ':' after a key");
    i++;
    goto value;

after:
    if (TP_UNLIKELY(depth == 0)) {
        JSON_NEXT();
        if (i < s->len)
            return json_fault(s, JSON_E_TRAILING, i,
                              "something follows the value; expected the end of the text");
        s->tape->count = n;
        return 0;
    }
    JSON_NEXT();
    if (c == ',') {
        i++;
        JSON_NEXT();
        if (object)
            goto key;
        goto value_at;
    }
    if (TP_UNLIKELY(c != (object ? '}' : ']')))
        return json_fault_char(s, i, object ? "expected ',' or '}'" : "expected ',' or ']'");
close:
    i++;
    tok[lv->open].len = (uint32_t)i - tok[lv->open].at;
    tok[lv->open].next = n;
    if (TP_UNLIKELY(lv->table) && json_key_table(s, lv->open))
        return s->code;
    lv--;
    depth--;
    object = depth ? tok[lv->open].kind == TP_OBJECT : 0;
    goto after;
}
#undef JSON_SRC
#undef JSON_NEXT
#undef JSON_ROOM
#undef JSON_PUT
