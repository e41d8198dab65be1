/* Any bytes as a row of the packed ledger, of generations, and as a list: what is read lies within
 * them, and what they say of themselves is not believed. */
#include <stdlib.h>

#include "base/str.h"
#include "store/sqlite_int.h"

static void within(tp_str s, const uint8_t *data, size_t size)
{
    if (s.len)
        TP_MUST((const uint8_t *)s.ptr >= data && (const uint8_t *)s.ptr + s.len <= data + size);
}

static int record(void *arg, uint32_t at, const settle_record *r)
{
    uint32_t *places = arg;
    TP_MUST(at == (*places)++);
    for (size_t i = 0; i < r->generation.len; i++) /* it can be read */
        TP_MUST(r->generation.ptr[i] == r->generation.ptr[i]);
    return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    tp_str all = {(const char *)data, size}, *list;
    sql_ledger_reader r;
    sql_item item;
    ledger_entry e[3];
    uint32_t count, places = 0;
    if (sql_ledger_open(&r, all) == 0) {
        uint32_t most = r.items;
        while (sql_ledger_next(&r, &item) > 0) {
            TP_MUST(most-- > 0);
            within(item.team, data, size);
            within(item.key, data, size);
            within(item.price, data, size);
            within(item.generation, data, size);
            TP_MUST(sql_item_entries(&item, e) <= 3);
        }
        sql_ledger_close(&r);
    }
    (void)sql_segment_each(all, record, &places);
    if (sql_unpack_list(all, &list, &count) == 0) {
        for (uint32_t i = 0; i < count; i++)
            within(list[i], data, size);
        free(list);
    }
    return 0;
}
