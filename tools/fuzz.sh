#!/bin/sh
# Every fuzz target under libFuzzer with the address and undefined sanitizers: fuzz.sh BUILD [TARGET...].
#
# FUZZ_SECONDS each (3600), or FUZZ_RUNS inputs, whichever is reached first; FUZZ_JOBS targets at the same time. What is
# found lies in BUILD-fuzz/found; the corpora that grow are kept in BUILD-fuzz/corpus and used again. Ends with a table of
# inputs tried and edges reached by each; exit code 1 if anything was found.
set -eu
build=$1-fuzz
shift
seconds=${FUZZ_SECONDS:-3600} runs=${FUZZ_RUNS:-10000000} jobs=${FUZZ_JOBS:-1}
san='-fsanitize=address,undefined,fuzzer-no-link -fno-sanitize-recover=undefined -fno-omit-frame-pointer'
make -s CC=clang BUILD="$build" CFLAGS='-O1 -g' SAN="$san" "$build/libretort.a"
# shellcheck disable=SC2046 # a list of words
[ $# -gt 0 ] || set -- $(for f in tests/fuzz/fuzz_*.c; do basename "${f#*fuzz_}" .c; done)
mkdir -p "$build/found"
for t; do
    # shellcheck disable=SC2046,SC2086 # lists of words
    clang -std=c11 -D_GNU_SOURCE -DRETORT_FUZZ -Iinclude -Itests -O1 -g \
        -fsanitize=address,undefined,fuzzer -fno-sanitize-recover=undefined -o "$build/fuzz_$t" "tests/fuzz/fuzz_$t.c" \
        "$build/libretort.a" $(make -s libs) -lcmocka
done
one() { # TARGET
    mkdir -p "$build/corpus/$1"
    "$build/fuzz_$1" -max_total_time="$seconds" -runs="$runs" -timeout=20 -rss_limit_mb=2048 -max_len=4096 \
        -artifact_prefix="$build/found/$1-" "$build/corpus/$1" "tests/fuzz/corpus/$1" > "$build/$1.log" 2>&1 || true
}
n=0
for t; do
    one "$t" &
    n=$((n + 1))
    [ $((n % jobs)) -ne 0 ] || wait
done
wait
printf '%-18s %12s %8s %8s %6s\n' target inputs edges seconds found
bad=0
for t; do
    found=$(find "$build/found" -name "$t-*" | wc -l)
    [ "$found" -eq 0 ] || bad=1
    tried=$(sed -nE 's/^Done ([0-9]+) runs in ([0-9]+) second.*/\1 \2/p' "$build/$t.log")
    edges=$(sed -nE 's/.* cov: ([0-9]+) .*/\1/p' "$build/$t.log" | tail -n 1)
    printf '%-18s %12s %8s %8s %6s\n' "$t" "${tried% *}" "$edges" "${tried#* }" "$found"
done
exit $bad
