#!/bin/sh
# abi-diff.sh CC SDK-INCLUDE TESTS-ABI WORK [--write]: builds the witness library from the header and
# compares its types with the baseline; then proves that the comparison sees a changed header.
# With --write the baseline is written anew, which is right only when a release grows the SDK.
set -eu
cc=$1 include=$2 here=$3 work=$4
machine=$(uname -m)
baseline="$here/baseline/turnpike-sdk-1.0-$machine.abi.xml"
for tool in abidw abidiff; do
    command -v $tool >/dev/null || { echo "SKIP: $tool is not installed (package abigail-tools)"; exit 77; }
done
rm -rf "$work" && mkdir -p "$work/turnpike"

# Fixed flags, also in sanitized builds: only the types count.
witness() { # witness INCLUDE OUT
    (cd "$here" && "$cc" -std=c11 -g -O0 -gdwarf-4 -shared -fPIC -fvisibility=hidden -I "$1" -o "$2" witness.c)
}
witness "$include" "$work/witness.so"
abidw --no-corpus-path --no-comp-dir-path --no-show-locs --no-elf-needed --type-id-style hash \
    --out-file "$work/now.abi.xml" "$work/witness.so"
if [ "${5-}" = --write ]; then
    cp "$work/now.abi.xml" "$baseline"
    echo "wrote $baseline"
    exit 0
fi
[ -f "$baseline" ] || { echo "SKIP: no baseline for $machine"; exit 77; }
if ! abidiff --no-added-syms "$baseline" "$work/now.abi.xml"; then
    echo "FAIL: the header's ABI differs from the released one. If a struct only grew at its end," \
        "which plugins allow, append to layout_v1.c and run this with --write; else it is another major."
    exit 1
fi

# Each of these breaks plugins in the field; a comparison that misses one is worth nothing.
number=0
while IFS='|' read -r what edit; do
    number=$((number + 1))
    sed "$edit" "$include/turnpike/plugin.h" >"$work/turnpike/plugin.h"
    cmp -s "$include/turnpike/plugin.h" "$work/turnpike/plugin.h" && {
        echo "FAIL: the edit \"$what\" does not change the header; correct it here"; exit 1; }
    witness "$work" "$work/changed$number.so"
    if abidiff --no-added-syms "$baseline" "$work/changed$number.so" >"$work/diff$number.txt" 2>&1; then
        echo "FAIL: not detected: $what"
        exit 1
    fi
    echo "detected: $what"
done <<'EDITS'
a field in the middle|s/^    int32_t kind, code;/    int32_t kind, code, inserted;/
two functions of the host exchanged|s/(\*quote)/(*swap)/; s/(\*write)/(*quote)/; s/(\*swap)/(*write)/
another parameter type|s/tp_status (\*status)(tp_call \*, int32_t http_status)/tp_status (*status)(tp_call *, int64_t http_status)/
a field gone|s/^    tp_str name, filename, type;/    tp_str name, filename;/
a wider field|s/^    uint32_t choices, reserved;/    uint64_t choices, reserved;/
EDITS
echo "ABI of SDK 1.0 on $machine: unchanged"
