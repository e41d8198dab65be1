#!/bin/sh
# out-of-tree.sh CMAKE BUILD GUIDE PROBE WORK: installs the SDK into a prefix of its own, takes the
# files out of the plugin guide, builds them there with pkg-config and cc alone and with
# find_package, and loads each as the gateway does.
set -eu
cmake=$1 build=$2 guide=$3 probe=$4 work=$5
rm -rf "$work" && mkdir -p "$work/plugin"
"$cmake" --install "$build" --component sdk --prefix "$work/prefix" >"$work/install.log"

# A file of the guide: the fenced block after <!-- file: NAME -->.
awk -v dir="$work/plugin" '
    /^<!-- file: .* -->$/ { name = $3; next }
    /^```/ && name != "" && !inside { inside = 1; out = dir "/" name; next }
    /^```$/ && inside { inside = 0; name = ""; close(out); next }
    inside { print > out }' "$guide"
for file in acme.c build.sh CMakeLists.txt 20-provider-acme.json say.c cheapest.c; do
    [ -s "$work/plugin/$file" ] || { echo "FAIL: the guide has no file $file"; exit 1; }
done
options=$(tr -d '\n' <"$work/plugin/20-provider-acme.json" | sed 's/.*"options": *\({[^}]*}\).*/\1/')

export PKG_CONFIG_PATH="$work/prefix/share/pkgconfig"
unset CFLAGS LDFLAGS CPPFLAGS || true
cd "$work/plugin"
sh -eu build.sh 2>"$work/warnings.txt"
[ ! -s "$work/warnings.txt" ] || { cat "$work/warnings.txt"; echo "FAIL: the guide's example warns"; exit 1; }
"$probe" provider "$work/plugin/acme.so" "$options"
for kind in endpoint:say strategy:cheapest; do
    name=${kind#*:}
    cc -O2 -Wall -Wextra -Werror -shared -o $name.so $name.c $(pkg-config --cflags --libs turnpike-sdk)
    "$probe" "${kind%:*}" "$work/plugin/$name.so"
done

"$cmake" -S "$work/plugin" -B "$work/cmake" -DCMAKE_PREFIX_PATH="$work/prefix" >"$work/cmake.log"
"$cmake" --build "$work/cmake" >>"$work/cmake.log"
"$probe" provider "$work/cmake/acme.so" "$options"
for so in "$work/plugin/acme.so" "$work/cmake/acme.so"; do
    exported=$(nm -D --defined-only "$so" | awk '$2 == "T" {print $3}')
    [ "$exported" = tp_plugin_entry_v1 ] || { echo "FAIL: $so exports: $exported"; exit 1; }
done

# Another major than the installed one is refused when the plugin is configured.
sed -i 's/find_package(Turnpike 1.0/find_package(Turnpike 2.0/' CMakeLists.txt
if "$cmake" -S "$work/plugin" -B "$work/cmake2" -DCMAKE_PREFIX_PATH="$work/prefix" >"$work/cmake2.log" 2>&1; then
    echo "FAIL: find_package(Turnpike 2.0) accepted an SDK of major 1"
    exit 1
fi
