/* Any bytes as a record: what is read lies within the bytes that it says, and written again and
 * read again it is the same. */
#include <stdlib.h>

#include "base/str.h"
#include "settle/ledger.h"

static void within(tp_str s, const uint8_t *data, size_t used)
{
    if (s.len)
        TP_MUST((const uint8_t *)s.ptr >= data && (const uint8_t *)s.ptr + s.len <= data + used);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    settle_record r, again;
    ledger_entry entries[3];
    size_t used = ledger_decode(data, size, &r);
    TP_MUST(used <= size);
    if (!used)
        return 0;
    const tp_str strings[] = {r.generation, r.upstream_id, r.request_id, r.key, r.surface,
                              r.endpoint, r.model_asked, r.model_served, r.provider, r.client,
                              r.method, r.path, r.key_id, r.team, r.price_version, r.prompt};
    size_t total = 0;
    for (size_t i = 0; i < TP_COUNT(strings); i++) {
        within(strings[i], data, used);
        total += i < LEDGER_STRINGS ? strings[i].len : 0;
    }
    TP_MUST(r.used.count <= USAGE_CLASSES);
    for (uint32_t i = 0; i < r.used.count; i++)
        TP_MUST(strnlen(r.used.classes[i].unit, 24) < 24);
    /* Anybody's figures: only the sign of the least one has no opposite. */
    if (r.hold_nano != INT64_MIN && r.charged_nano != INT64_MIN)
        TP_MUST(ledger_entries_of(&r, entries) <= 3);

    size_t cap = ledger_record_max(r.prompt.len), small = LEDGER_RECORD_LEAST;
    unsigned char *out = malloc(cap);
    ledger_shape shape;
    size_t n = ledger_encode(&r, out, cap);
    TP_MUST(n && n <= cap && ledger_decode(out, n, &again) == n);
    TP_MUST(str_eq(again.prompt, r.prompt) && again.used.count == r.used.count);
    if (total <= LEDGER_RECORD_STRINGS)
        TP_MUST(str_eq(again.generation, r.generation) && str_eq(again.path, r.path));
    n = ledger_shape_of(&r, small, &shape);
    TP_MUST(n && n <= small);
    out = realloc(out, n); /* exactly, so that a sanitizer sees a byte too many */
    ledger_write(&r, &shape, out);
    TP_MUST(ledger_decode(out, n, &again) == n && again.cost_nano == r.cost_nano);
    free(out);
    return 0;
}
