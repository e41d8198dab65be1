#!/bin/sh
# header.sh SDK-INCLUDE WORK COMPILER...: the SDK header, its macros included, compiles without a
# warning as C11 and as C++17 with every compiler that is there.
set -eu
include=$1 work=$2
shift 2
rm -rf "$work" && mkdir -p "$work"
cat >"$work/header.c" <<'SOURCE'
#include <turnpike/plugin.h>
TP_MANIFEST({"id": "x", "kinds": ["provider"], "options": {"type": "object"}});
size_t use(const tp_event *e, tp_list headers);
size_t use(const tp_event *e, tp_list headers)
{
    tp_str s = TP_STR("literal");
    return s.len + TP_AT(tp_header, headers, 1)->name.len + (TP_HAS(tp_event, e, param) ? 1u : 0u);
}
SOURCE
cp "$work/header.c" "$work/header.cpp"
warnings="-Wall -Wextra -Wpedantic -Wshadow -Wconversion -Wsign-conversion -Werror"
compiled=0
for compiler in "$@"; do
    command -v "$compiler" >/dev/null || continue
    case $compiler in
    *++*) "$compiler" -std=c++17 $warnings -I "$include" -c "$work/header.cpp" -o "$work/header.o" ;;
    *) "$compiler" -std=c11 $warnings -Wstrict-prototypes -I "$include" -c "$work/header.c" -o "$work/header.o" ;;
    esac
    # The manifest must survive optimisation and a linker that collects garbage.
    "$compiler" -O2 -shared -fPIC -Wl,--gc-sections -o "$work/header.so" "$work/header.o"
    readelf -SW "$work/header.so" | grep -q '\.tp_manifest' || { echo "FAIL: $compiler lost the manifest"; exit 1; }
    compiled=$((compiled + 1))
    echo "ok: $compiler"
done
[ "$compiled" -gt 0 ] || { echo "FAIL: none of these compilers is there: $*"; exit 1; }
