/* Requests on one connection. Options: 1: narrow limits. */
#include "differential.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const http_limits wide = {
        .head_bytes = 4096, .target_bytes = 512, .header_count = 30, .body_bytes = 4096};
    static const http_limits narrow = {
        .head_bytes = 64, .target_bytes = 16, .header_count = 3, .body_bytes = 5};
    if (size < 2)
        return 0;
    http_differential(HTTP_REQUEST, 0, data[0] & 1 ? &narrow : &wide, data[1],
                      str_make((const char *)data + 2, size - 2));
    return 0;
}
