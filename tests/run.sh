#!/bin/sh
# Runs the tests and counts them: run.sh BUILD [KIND...], KIND of: unit parity fault fuzz cli golden browser.
#
# C tests are cmocka programs speaking TAP. Shell tests are tests/{cli,golden,parity,browser}/NAME.sh, run in an empty
# folder with RETORT and SOURCE set: exit 0 passes, 77 skips (the reason is the last line), else failed;
# where NAME.out, NAME.err or NAME.exit stands beside it, stdout, stderr or the exit code must be equal to it.
# The last line reads: N passed, N failed, N skipped.
set -u
build=$1
shift
kinds=${*:-unit parity fault fuzz cli golden browser}
case $build in /*) ;; *) build=$PWD/$build ;; esac
SOURCE=$PWD
RETORT=$build/retort
CMOCKA_MESSAGE_OUTPUT=TAP
LC_ALL=C.UTF-8
export SOURCE RETORT CMOCKA_MESSAGE_OUTPUT LC_ALL
unset RETORT_STORE RETORT_DATA RETORT_KERNELS NO_COLOR
# Real data and checkpoints, where they lie beside the project; tests that need them skip without.
if [ -z "${RETORT_SHARED-}" ] && [ -d ../shared ]; then RETORT_SHARED=$(cd ../shared && pwd); export RETORT_SHARED; fi
passed=0 failed=0 skipped=0
work=$(mktemp -d)
trap 'chmod -R u+w "$work" 2>/dev/null; rm -rf "$work"' EXIT
skips=$build/skips.txt
failures=$work/failures
: > "$skips"
: > "$failures"

c_test() { # a cmocka program
    log=$work/log
    (cd "$SOURCE" && timeout 900 "$1") > "$log" 2>&1
    rc=$?
    # cmocka says "not ok N # SKIP name" of a skipped test.
    p=$(grep '^ok ' "$log" | grep -vc '# SKIP')
    s=$(grep -cE '^(not )?ok .*# SKIP' "$log")
    f=$(grep '^not ok ' "$log" | grep -vc '# SKIP')
    if [ "$rc" -ne 0 ] && [ "$f" -eq 0 ]; then f=1; fi
    if [ $((p + s + f)) -eq 0 ]; then echo "no test ran" >> "$log"; f=1; fi
    grep -E '^(not )?ok .*# SKIP' "$log" | sed -E "s/^(not )?ok [0-9]+ (- )?//; s/ ?# SKIP ?//; s|^|$name: |" >> "$skips"
    passed=$((passed + p)) failed=$((failed + f)) skipped=$((skipped + s))
    printf '%-34s %4d passed %3d failed %3d skipped\n' "$name" "$p" "$f" "$s"
    if [ "$f" -gt 0 ]; then
        sed 's/^/    /' "$log" | tail -n 60
        { echo "$name: exit code $rc"; grep -v '^ok ' "$log" | tail -n 20 | sed 's/^/    /'; } >> "$failures"
    fi
}

sh_test() { # a script
    base=${1%.sh}
    dir=$work/in.$(basename "$base")
    mkdir -p "$dir"
    (cd "$dir" && timeout 600 sh "$1") > "$work/out" 2> "$work/err" < /dev/null
    rc=$?
    want=0
    if [ -f "$base.exit" ]; then want=$(cat "$base.exit"); fi
    verdict=ok
    if [ $rc -eq 77 ]; then
        verdict=skip
    elif [ "$rc" -ne "$want" ]; then
        verdict="exit code $rc, wanted $want"
    else
        for k in out err; do
            if [ -f "$base.$k" ] && ! diff -u "$base.$k" "$work/$k" > "$work/.diff"; then verdict="std$k differs"; break; fi
        done
    fi
    case $verdict in
    ok) passed=$((passed + 1)); printf '%-34s    1 passed\n' "$name" ;;
    skip) skipped=$((skipped + 1)); why=$(cat "$work/out" "$work/err" | tail -n 1)
        echo "$name: $why" >> "$skips"; printf '%-34s    1 skipped: %s\n' "$name" "$why" ;;
    *) failed=$((failed + 1)); printf '%-34s    1 FAILED: %s\n' "$name" "$verdict"
        echo "$name: $verdict" >> "$failures"
        for k in out err .diff; do
            if [ -s "$work/$k" ]; then
                { echo "  $k:"; tail -n 30 "$work/$k" | sed 's/^/    /'; } | tee -a "$failures"
            fi
        done ;;
    esac
    rm -f "$work/.diff"
    chmod -R u+w "$dir"; rm -rf "$dir"
}

for kind in $kinds; do
    case $kind in
    unit | parity | fault | fuzz)
        for src in tests/"$kind"/*.c; do
            [ -e "$src" ] || continue
            name=$kind/$(basename "$src" .c)
            c_test "$build/tests/$kind/$(basename "$src" .c)"
        done ;;
    esac
    case $kind in
    cli | golden | parity | browser)
        for src in "$SOURCE"/tests/"$kind"/*.sh; do
            [ -e "$src" ] || continue
            name=$kind/$(basename "$src" .sh)
            sh_test "$src"
        done ;;
    esac
done
if [ -s "$failures" ]; then echo; echo "Failed:"; sed 's/^/  /' "$failures"; fi
if [ -s "$skips" ]; then echo; echo "Skipped:"; sed 's/^/  /' "$skips"; fi
echo
echo "$passed passed, $failed failed, $skipped skipped"
[ "$failed" -eq 0 ]
