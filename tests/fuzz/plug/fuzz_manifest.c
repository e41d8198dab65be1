/* The reader of plugin files: ELF header, sections, symbols, then the manifest's JSON. What it
 * accepts must be whole, and what it refuses must have a reason. */
#include <stdlib.h>
#include <string.h>
#include "plug/plug_int.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    arena a;
    plug_manifest m;
    tp_error err = {0};
    arena_init(&a, NULL, (size_t)32 << 20);
    int rc = plug_manifest_parse(str_make((const char *)data, size), &a, &m, &err);
    if (rc) {
        TP_MUST(err.code == rc && err.text[0]);
    } else {
        TP_MUST(m.id.len && m.version.len && m.license.len && m.name.len && m.kinds);
        TP_MUST(m.text.count && m.options_schema.count);
        TP_MUST(json_kind(&m.options_schema, 0) == TP_OBJECT);
        TP_MUST(m.sdk_major >= 0 && m.sdk_minor >= 0);
    }
    arena_reset(&a);
    return 0;
}
