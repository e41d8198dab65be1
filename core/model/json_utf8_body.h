/* json_utf8_valid by blocks, compiled by the kernels that have UTF-8 by table look-up. */
int K(utf8)(const uint8_t *p, size_t n)
{
    k_utf8_state state = k_utf8_begin();
    uint64_t had_high = 0;
    size_t i = 0;
    for (; n - i >= JSON_BLOCK; i += JSON_BLOCK) {
        k_block b = k_load(p + i);
        uint64_t high = k_high(b);
        if ((high | had_high) && k_utf8(NULL, 0, b, high, &state))
            return 0;
        had_high = high;
    }
    /* The rest, with at least one zero behind it, so that a character cut short shows. */
    uint8_t last[JSON_BLOCK] = {0};
    if (n - i)
        memcpy(last, p + i, n - i);
    k_block b = k_load(last);
    uint64_t high = k_high(b);
    return !((high | had_high) && k_utf8(NULL, 0, b, high, &state));
}
