/* Strings by 64-byte blocks, compiled by each vector kernel. A kernel defines before it:
 *   k_block, k_utf8_state           types; the state is zeroed by k_utf8_begin
 *   k_load(p)                       64 bytes as a block
 *   k_clean(b)                      no quote, backslash, control character or byte above 0x7f in it
 *   k_quote(b) k_slash(b) k_ctrl(b) k_high(b)    a bit a byte
 *   k_escape_ok(b, which)           bytes that may stand behind a backslash, of those asked for
 *   k_eq_u(b)                       the letter u
 *   k_utf8(s, i, b, high, state)    a bit for each byte where a fault of UTF-8 becomes certain
 *   K_SHORT(src, q, x)              the first bytes: quotes; and what k_clean minds but quotes */

/* Which bytes are escaped by a backslash. Runs of backslashes are told apart by an addition that
 * carries through them: Langdale and Lemire, "Parsing Gigabytes of JSON per Second" (2019), 3.1.1.
 * *carry: the first byte of the next block is escaped. */
static inline uint64_t K(escaped_by)(uint64_t slash, uint64_t *carry)
{
    const uint64_t even = 0x5555555555555555ull;
    slash &= ~*carry;
    uint64_t follows = slash << 1 | *carry, sum;
    uint64_t odd_starts = slash & ~even & ~follows;
    *carry = __builtin_add_overflow(odd_starts, slash, &sum);
    return (even ^ (sum << 1)) & follows;
}

static __attribute__((noinline)) size_t K(string_long)(json_scanner *s, size_t i, uint32_t *escaped)
{
    const uint8_t *const text = s->text;
    const size_t lim = s->lim;
    uint64_t carry = 0, had_high = 0;
    size_t low_at = 0;
    k_utf8_state state = k_utf8_begin();

    for (;; i += JSON_BLOCK) {
        k_block b = k_load(i <= lim ? text + i : s->pad + (i - lim));
        if (!(carry | had_high) && k_clean(b))
            continue;
        uint64_t quote = k_quote(b), slash = k_slash(b), high = k_high(b), behind = 0;
        if (slash | carry) {
            behind = K(escaped_by)(slash, &carry);
            quote &= ~behind;
        }
        uint64_t inside = quote ? (quote - 1) & ~quote : ~(uint64_t)0;
        if (slash & inside) /* and not in what follows the string */
            *escaped = 1;
        uint64_t bad = k_ctrl(b) & inside;
        behind &= inside;
        if (behind) {
            bad |= behind & ~k_escape_ok(b, behind);
            for (uint64_t u = behind & k_eq_u(b); u; u &= u - 1) {
                if (!json_unicode_ok(s, i + (size_t)__builtin_ctzll(u), &low_at))
                    return 0;
            }
        }
        if (high | had_high) {
            /* A character that is too short shows at the byte behind it: at the quote, too. */
            bad |= k_utf8(s, i, b, high, &state) & (inside | (quote & -quote));
            had_high = high;
        }
        if (TP_UNLIKELY(bad))
            return 0;
        if (quote)
            return i + (size_t)__builtin_ctzll(quote) + 1;
    }
}

/* The string's inside and its closing quote: how many bytes, or 0. */
static inline size_t K(string)(json_scanner *s, size_t i, const uint8_t *src, uint32_t *escaped)
{
    uint64_t quote, other;
    K_SHORT(src, quote, other);
    if (TP_LIKELY(quote && !(other & (quote - 1) & ~quote)))
        return (size_t)__builtin_ctzll(quote) + 1;
    size_t end = K(string_long)(s, i, escaped);
    return end ? end - i : 0;
}
