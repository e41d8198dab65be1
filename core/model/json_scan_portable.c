/* The scanner for any CPU: strings by machine words. */
#include "model/json_int.h"

#define K(name) json_##name##_portable

static inline size_t K(string)(json_scanner *s, size_t i, const uint8_t *src, uint32_t *escaped)
{
    (void)src;
    size_t end = json_string_walk(s, i, escaped);
    return end ? end - i : 0;
}

#include "model/json_scan_body.h"
