# A sweep is killed, refused and robbed of power at some of its calls; run again, it is whole each time. All calls:
# make torture.
set -eu
dir=$(dirname "$RETORT")/tests/torture
if "$RETORT" version -v | grep -q fsanitize; then
    echo "a sanitizer wants to be the first library that is loaded"
    exit 77
fi
timeout 120 "$dir/torture" "$RETORT" "$dir/seam.so" short || { echo "something was lost"; exit 1; }
