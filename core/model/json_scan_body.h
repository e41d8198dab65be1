/* The scanner, written once and compiled by each kernel. A kernel defines before it:
 *   K(name)                  its own name of a function
 *   size_t K(string)(json_scanner *s, size_t i, const uint8_t *src, uint32_t *escaped)
 *                            the length, with the closing quote, of the inside of a string that
 *                            begins at i (readable at src), or 0
 * No include guard: that is the point. */

#define JSON_SRC(i) (TP_LIKELY((i) <= lim) ? text + (i) : tail + ((i)-lim))
/* The scan goes over text by the pointer p, up to `stop`; then it goes on in the copy of the end.
 * It is looked at as seldom as JSON_SLACK allows. */
#define JSON_AT() ((size_t)((uintptr_t)p - origin))
#define JSON_BOUND()                                                                               \
    do {                                                                                           \
        if (TP_UNLIKELY(p > stop)) {                                                               \
            p = tail + (p - stop);                                                                 \
            origin = (uintptr_t)tail - lim;                                                        \
            stop = s->pad + sizeof(s->pad);                                                        \
        }                                                                                          \
    } while (0)
/* c becomes the first byte from p on that is not white space. One space is the usual. */
#define JSON_NEXT()                                                                                \
    do {                                                                                           \
        c = *p;                                                                                    \
        if (c <= 0x20) {                                                                           \
            if (c == ' ' && p[1] > 0x20) {                                                         \
                p++;                                                                               \
            } else {                                                                               \
                size_t from_ = JSON_AT();                                                          \
                p += K(blank)(text, tail, lim, from_) - from_;                                     \
                JSON_BOUND();                                                                      \
            }                                                                                      \
            c = *p;                                                                                \
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

/* The digits at p, as far as they are in the first 8 bytes. */
static inline size_t K(digits)(const uint8_t *p)
{
    const uint64_t ones = 0x0101010101010101ull;
    uint64_t w;
    memcpy(&w, p, sizeof(w));
#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
    w = __builtin_bswap64(w);
#endif
    w ^= ones * '0'; /* digits become 0 to 9; no byte's sum reaches into the next */
    w = (((w & ones * 0x7f) + ones * 0x76) | w) & ones * 0x80;
    return w ? (size_t)__builtin_ctzll(w) / 8 : sizeof(w);
}

/* The length of the integer of few digits at p, or 0: json_number_end knows. */
static inline size_t K(integer)(const uint8_t *p)
{
    size_t n = K(digits)(p);
    if (n == 8) {
        size_t more = K(digits)(p + 8);
        n = more == 8 ? 0 : 8 + more;
    }
    uint8_t c = p[n];
    return c == '.' || (c | 0x20) == 'e' || (p[0] == '0' && n > 1) ? 0 : n;
}

int K(scan)(json_scanner *s)
{
    const uint8_t *const text = s->text, *const tail = s->pad;
    const size_t lim = s->lim;
    const uint8_t *p = text, *stop = lim < s->len ? text + lim : s->pad + sizeof(s->pad);
    uintptr_t origin = (uintptr_t)text;
    tp_token *tok = s->tape->tokens;
    uint32_t cap = TP_MIN(s->tape->cap, s->max), n = 0, depth = 0;
    json_level *lv = s->levels;
    uint32_t object = 0; /* the innermost open container is one */
    size_t len;
    uint8_t c;
    uint32_t escaped = 0;

/* Room for `more` further tokens. */
#define JSON_ROOM(more)                                                                            \
    do {                                                                                           \
        if (TP_UNLIKELY(cap - n < (more))) {                                                       \
            if (json_tape_grow(s, n + (more)-1, JSON_AT()))                                        \
                return s->code;                                                                    \
            tok = s->tape->tokens;                                                                 \
            cap = TP_MIN(s->tape->cap, s->max);                                                    \
        }                                                                                          \
    } while (0)
#define JSON_PUT(kind_, len_)                                                                      \
    do {                                                                                           \
        tp_token *put_ = tok + n++;                                                                \
        put_->kind = (kind_);                                                                      \
        put_->at = (uint32_t)JSON_AT();                                                            \
        put_->len = (uint32_t)(len_);                                                              \
        put_->next = n;                                                                            \
    } while (0)
#define JSON_WORD(word, kind_)                                                                     \
    do {                                                                                           \
        if (TP_UNLIKELY(memcmp(p, word, sizeof(word) - 1) != 0))                                   \
            return json_fault_char(s, JSON_AT(), "expected " word);                                \
        JSON_PUT(kind_, sizeof(word) - 1);                                                         \
        p += sizeof(word) - 1;                                                                     \
    } while (0)

    JSON_NEXT();
value_at:
    JSON_ROOM(1);
value: /* there is room */
    if (c == '"') {
        len = K(string)(s, JSON_AT() + 1, p + 1, &escaped);
        if (TP_UNLIKELY(len == 0))
            return json_string_fault(s, JSON_AT() + 1);
        JSON_PUT(TP_STRING, len + 1);
        p += len + 1;
        goto after;
    }
    switch (c) {
    case '{':
    case '[':
        if (TP_UNLIKELY(depth == s->max_depth))
            return json_fault(s, JSON_E_DEPTH, JSON_AT(),
                              "arrays and objects are nested too deeply");
        object = c == '{';
        lv = &s->levels[++depth];
        *lv = (json_level){.open = n};
        JSON_PUT(object ? TP_OBJECT : TP_ARRAY, 0);
        p++;
        JSON_BOUND();
        JSON_NEXT();
        if (c == (object ? '}' : ']'))
            goto close;
        if (object)
            goto key;
        goto value_at;
    case 't':
        JSON_WORD("true", TP_BOOL);
        goto after;
    case 'f':
        JSON_WORD("false", TP_BOOL);
        goto after;
    case 'n':
        JSON_WORD("null", TP_NULL);
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
        len = c == '-' ? 0 : K(integer)(p);
        if (len == 0) {
            size_t end = json_number_end(s, JSON_AT());
            if (TP_UNLIKELY(end == 0))
                return s->code;
            len = end - JSON_AT();
        }
        JSON_PUT(TP_NUMBER, len);
        p += len;
        goto after;
    default:
        return json_fault_char(s, JSON_AT(), "expected a value");
    }

key:
    if (TP_UNLIKELY(c != '"'))
        return json_fault_char(s, JSON_AT(), "expected a key in double quotes");
    JSON_ROOM(2u); /* its value, too */
    escaped = 0;
    len = K(string)(s, JSON_AT() + 1, p + 1, &escaped);
    if (TP_UNLIKELY(len == 0))
        return json_string_fault(s, JSON_AT() + 1);
    JSON_PUT(TP_STRING, len + 1);
    if (TP_UNLIKELY(len > JSON_SHORT_KEY + 1 || escaped))
        lv->table = 1;
    else if (K(seen)(lv, p + 1, len - 1) && !lv->table && json_key_walk(s, lv, n - 1))
        return json_fault(s, JSON_E_DUPLICATE, JSON_AT(), "this key is in the object twice");
    p += len + 1;
    if (TP_UNLIKELY(len > JSON_SHORT_KEY + 1))
        JSON_BOUND();
    JSON_NEXT();
    if (TP_UNLIKELY(c != ':'))
        return json_fault_char(s, JSON_AT(), "expected ':' after a key");
    p++;
    JSON_NEXT();
    goto value;

after:
    JSON_BOUND();
    JSON_NEXT();
    if (TP_UNLIKELY(depth == 0)) {
        if (JSON_AT() < s->len)
            return json_fault(s, JSON_E_TRAILING, JSON_AT(),
                              "something follows the value; expected the end of the text");
        s->tape->count = n;
        return 0;
    }
    if (c == ',') {
        p++;
        JSON_NEXT();
        if (object)
            goto key;
        goto value_at;
    }
    if (TP_UNLIKELY(c != (object ? '}' : ']')))
        return json_fault_char(s, JSON_AT(),
                               object ? "expected ',' or '}'" : "expected ',' or ']'");
close:
    p++;
    tok[lv->open].len = (uint32_t)JSON_AT() - tok[lv->open].at;
    tok[lv->open].next = n;
    if (TP_UNLIKELY(lv->table) && json_key_table(s, lv->open))
        return s->code;
    lv--;
    depth--;
    object = depth ? tok[lv->open].kind == TP_OBJECT : 0;
    goto after;
}
#undef JSON_SRC
#undef JSON_AT
#undef JSON_BOUND
#undef JSON_NEXT
#undef JSON_ROOM
#undef JSON_PUT
#undef JSON_WORD
