#!/usr/bin/env bash
# A Prometheus for the tests, with its promtool: prints the folder that holds both. The one on the PATH, else Debian's, unpacked
# below build/ and not installed. Exit status 1, with the reason, where there is no apt-get or it cannot reach its packages.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

if installed=$(command -v prometheus) && command -v promtool >/dev/null; then
    dirname "$installed"
    exit
fi
folder=$PWD/build/prometheus
if [[ ! -x $folder/usr/bin/promtool ]]; then
    if ! command -v apt-get >/dev/null || ! command -v dpkg >/dev/null; then
        echo "no Prometheus here, and no apt-get to fetch one" >&2
        exit 1
    fi
    rm -rf "$folder"
    mkdir -p "$folder/packages"
    cd "$folder/packages" # apt checks the signature of what it loads here
    apt-get download --quiet prometheus >&2 || { apt-get update --quiet >&2 && apt-get download --quiet prometheus >&2; } || exit 1
    dpkg -x prometheus_*.deb "$folder"
fi
echo "$folder/usr/bin"
