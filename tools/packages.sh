#!/bin/sh
# Installs the Debian packages that are missing; does nothing when all are there. Usage: packages.sh build|test
set -eu
need() { # package, why, a command that succeeds when it is there
    if ! sh -c "$3" >/dev/null 2>&1; then
        missing="$missing $1"
        printf '  %-18s %s\n' "$1" "$2" >> "$list"
    fi
}
missing=
list=$(mktemp)
trap 'rm -f "$list"' EXIT
has_header() { echo "echo '#include <$1>' | \${CC:-cc} -E -x c -"; }
need gcc "C compiler" 'command -v ${CC:-cc}'
need libc6-dev "C library headers" "$(has_header stdio.h)"
need pkg-config "finds the libraries" "command -v pkg-config"
need libhdf5-dev "results are HDF5 files" "pkg-config --exists hdf5"
need libgit2-dev "runs are pinned to git revisions" "pkg-config --exists libgit2"
need libcjson-dev "specs are JSON" "pkg-config --exists libcjson"
need libdnnl-dev "matrix products (oneDNN)" "$(has_header dnnl.h)"
need libutf8proc-dev "Unicode for the tokenizer" "pkg-config --exists libutf8proc"
need libssl-dev "SHA-256 (libcrypto)" "pkg-config --exists libcrypto"
need libcurl4-openssl-dev "models and data are fetched by HTTP" "$(has_header curl/curl.h)"
need libarchive-dev "archives of data are unpacked" "pkg-config --exists libarchive"
need gnuplot-nox "plots" "command -v gnuplot"
need fonts-dejavu-core "letters in the plots" "test -e /usr/share/fonts/truetype/dejavu/DejaVuSans.ttf"
if [ "${1-build}" = test ]; then
    need libcmocka-dev "unit tests" "pkg-config --exists cmocka"
    need hdf5-tools "tests read runs by h5dump" "command -v h5dump"
    need git "tests of pins" "command -v git"
fi
if [ -z "$missing" ]; then
    echo "All packages are installed."
    exit 0
fi
if ! command -v apt-get >/dev/null 2>&1; then
    echo "Retort needs what Debian calls:" >&2
    cat "$list" >&2
    echo "This system has no apt-get: install their counterparts, then run this again." >&2
    exit 4
fi
echo "Installing what is missing:"
cat "$list"
sudo=
if [ "$(id -u)" -ne 0 ]; then
    sudo=sudo
    command -v sudo >/dev/null 2>&1 || { echo "Not root, and sudo is not there. As root: apt-get install$missing" >&2; exit 4; }
fi
$sudo env DEBIAN_FRONTEND=noninteractive apt-get update -qq
# shellcheck disable=SC2086 # a list of names
$sudo env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $missing
