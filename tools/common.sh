# Sourced by tools/quickstart and tools/test: saying, failing, and packages of the distribution.
# The caller sets tool=NAME for messages.
# shellcheck shell=bash

say() { printf '%s\n' "$*"; }
die() {
    printf '%s: %s\n' "${tool:-turnpike}" "$*" >&2
    exit 1
}

# What a build and a run need; what the curl line of quickstart needs.
build_packages=(build-essential cmake ninja-build pkg-config libuv1-dev libcurl4-openssl-dev
    libcjson-dev libsqlite3-dev libssl-dev libargon2-dev node-llhttp ca-certificates curl)

# Installs those of the packages named that are not there; asks nothing when all are.
install_packages() {
    local missing=() as_root=() p log
    for p in "$@"; do
        dpkg-query -W -f='${db:Status-Status}\n' "$p" 2>/dev/null | grep -qx installed || missing+=("$p")
    done
    [ ${#missing[@]} -gt 0 ] || return 0
    command -v apt-get >/dev/null || die "these packages are needed, and there is no apt-get: ${missing[*]}"
    if [ "$(id -u)" != 0 ]; then
        command -v sudo >/dev/null || die "needs root or sudo to install: ${missing[*]}"
        as_root=(sudo)
    fi
    say "Installing ${missing[*]}"
    log=$(mktemp)
    if ! { "${as_root[@]}" apt-get update -q &&
        "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -q \
            --no-install-recommends "${missing[@]}"; } >"$log" 2>&1 </dev/null; then
        tail -20 "$log" >&2
        die "apt-get failed; all of its output is in $log"
    fi
    rm -f "$log"
}
