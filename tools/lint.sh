#!/bin/sh
# Checks that need no run of the program. Usage: lint.sh [PART...], PART of:
#
#   layout    clang-format finds nothing to change
#   warnings  gcc and clang build everything, tests too, without a warning
#   foreign   each foreign library is included by exactly one .c file
#   arrows    who calls whom: runner -> methods, evals -> engine; train -> model -> text, tensor, formats -> base
#   headers   each public header compiles alone, for a program outside of the tree
#   scripts   shellcheck
#   manual    the manual page has no errors
#   words     what has no place in the sources: unsafe calls, the locale, paths of one machine
#   cards     with RETORT_SHARED: items of the method cards that no test carries (a list, no verdict)
#
# A part whose tool is missing is told and counts as failed: a check that was not made did not pass.
set -u
cd "$(dirname "$0")/.." || exit 4
parts=${*:-layout foreign headers scripts words warnings arrows manual cards}
failed=
out=$(mktemp)
trap 'rm -f "$out"' EXIT

sources() { git ls-files -- '*.c' '*.h' | grep -v '^tests/parity/fixtures/'; }
have() { command -v "$1" > /dev/null 2>&1 || { echo "$1 is not installed; apt-get install $2" >> "$out"; false; }; }
jobs() { nproc 2> /dev/null || echo 2; }

layout() {
    have clang-format clang-format || return 1
    bad=0
    if ! sources | xargs clang-format --dry-run -Werror >> "$out" 2>&1; then
        echo "make format lays them out" >> "$out"
        bad=1
    fi
    # It leaves comments alone, since it cannot tell a table from a sentence.
    for f in $(sources); do
        awk -v f="$f" '/clang-format off/ { off = 1 } /clang-format on/ { off = 0 }
            !off && /^[ ]*\/?\*/ { print f ":" NR ":\t" $0 }' "$f"
    done | LC_ALL=C.UTF-8 grep -P '\t.{91}' > "$out.long" && bad=1
    sed 's/$/   <- a comment beyond column 90/' "$out.long" >> "$out"
    rm -f "$out.long"
    return $bad
}

warnings() {
    bad=0
    for cc in gcc clang; do
        have $cc $cc || { bad=1; continue; }
        if ! make -s -k -j"$(jobs)" BUILD=build-lint-$cc CC=$cc WERROR=1 all tests > "$out.log" 2>&1; then
            grep -E 'warning:|error:|undefined' "$out.log" >> "$out" || tail -n 20 "$out.log" >> "$out"
            bad=1
        fi
    done
    rm -f "$out.log"
    return $bad
}

# The headers of C, POSIX and Linux; all others are foreign, one library each by the first part of their path.
system_headers='assert|ctype|dirent|dlfcn|errno|fcntl|fenv|float|fnmatch|ftw|getopt|glob|inttypes|limits|locale|math|netdb|poll|pthread|sched|setjmp|signal|spawn|stdalign|stdarg|stdatomic|stdbool|stddef|stdint|stdio|stdlib|stdnoreturn|string|strings|syslog|termios|time|unistd|wchar|sys/[a-z]+|linux/[a-z]+|arpa/[a-z]+|netinet/[a-z]+|gnu/libc-version|immintrin|cpuid'
foreign() {
    grep -rhoE '^ *# *include *<[^>]+>' engine evals methods runner include | sed 's/.*<//; s/>.*//' | sort -u |
        grep -vE "^($system_headers)\\.h\$" | sed 's|/.*||; s|\.h$||' | sort -u > "$out.libs"
    bad=0
    while read -r lib; do
        users=$(grep -rlE "^ *# *include *<$lib(/[^>]*|\\.h)>" engine evals methods runner include)
        if [ "$(echo "$users" | wc -l)" -ne 1 ] || [ "${users%.c}" = "$users" ]; then
            echo "$lib is included by: $(echo "$users" | tr '\n' ' ')(exactly one .c file is right)" >> "$out"
            bad=1
        fi
    done < "$out.libs"
    rm -f "$out.libs"
    return $bad
}

# Who uses whose functions, from the object files: includes alone would not show a declaration made by hand.
allowed='
engine/formats>engine/base
engine/tensor>engine/base
engine/text>engine/base engine/text>engine/formats
engine/model>engine/base engine/model>engine/formats engine/model>engine/tensor engine/model>engine/text
engine/train>engine/base engine/train>engine/formats engine/train>engine/tensor engine/train>engine/text engine/train>engine/model
evals>engine/base evals>engine/text
methods>engine/base methods>engine/formats methods>engine/tensor methods>engine/text methods>engine/model methods>engine/train
runner>*'
arrows() {
    bad=0
    make -s -j"$(jobs)" BUILD=build-lint-gcc CC=gcc WERROR=1 all >> "$out" 2>&1 || return 1
    for o in $(cd build-lint-gcc/obj && find engine evals methods runner -name '*.o'); do
        [ "$(find "${o%.o}.c" "${o%.*.o}.level.c" 2> /dev/null | wc -l)" -gt 0 ] || continue # its source is gone
        nm -P "build-lint-gcc/obj/$o" | sed "s|^|$o |"
    done | awk -v allowed="$allowed" '
        function room(o, p) { split(o, p, "/"); return p[1] == "engine" ? p[1] "/" p[2] : p[1] }
        BEGIN { n = split(allowed, a); for (i = 1; i <= n; i++) ok[a[i]] }
        $3 ~ /^[TDBRVWC]$/ { def[$2] = $1 }
        $3 == "U" { used[++k] = $2; by[k] = $1 }
        END {
            for (i = 1; i <= k; i++) {
                if (!(used[i] in def)) continue
                from = room(by[i]); to = room(def[used[i]])
                if (from == to || (from ">*") in ok || (from ">" to) in ok) continue
                print by[i] " uses " used[i] " of " def[used[i]] ": the arrow " from " -> " to " is not allowed"
                bad = 1
            }
            exit bad
        }' >> "$out" || bad=1
    # Neither the methods nor the numeric engine know JSON; nothing below the runner knows its headers.
    if grep -rnE '^ *# *include "retort/json\.h"' methods engine/tensor engine/model engine/train >> "$out"; then bad=1; fi
    if grep -rnE '^ *# *include "retort/(launch|pins|report|spec|store)\.h"' engine evals methods >> "$out"; then bad=1; fi
    if grep -rnE '^ *# *include "retort/(stage|method|train|model)\.h"' engine/base engine/formats engine/tensor engine/text evals >> "$out"; then bad=1; fi
    return $bad
}

headers() {
    bad=0
    for cc in gcc clang; do
        have $cc $cc || { bad=1; continue; }
        for h in include/retort/*.h; do
            echo "#include \"retort/${h##*/}\"" |
                $cc -std=c11 -pedantic -Wall -Wextra -Wshadow -Wconversion -Wmissing-prototypes -Wstrict-prototypes \
                    -Werror -Iinclude -fsyntax-only -x c - >> "$out" 2>&1 || { echo "$h does not compile alone ($cc)" >> "$out"; bad=1; }
        done
    done
    return $bad
}

scripts() {
    have shellcheck shellcheck || return 1
    # tests/cli are run with fail() and files of their own: what is only style is left to them.
    { git ls-files -- '*.sh'; grep -lE '^#!/bin/(ba)?sh' .ci/* 2> /dev/null; } | sort -u |
        xargs shellcheck --severity=warning --shell=sh >> "$out" 2>&1
}

manual() {
    program=build-lint-gcc/retort
    [ -x $program ] || make -s -j"$(jobs)" BUILD=build-lint-gcc CC=gcc WERROR=1 all >> "$out" 2>&1 || return 1
    $program manual > "$out.1" 2>> "$out" || { rm -f "$out.1"; echo "retort manual failed" >> "$out"; return 1; }
    bad=0
    if command -v mandoc > /dev/null 2>&1; then
        mandoc -T lint -W warning "$out.1" >> "$out" 2>&1 || bad=1
    elif have groff groff; then
        groff -man -Tutf8 -ww -z "$out.1" > "$out.log" 2>&1
        if [ -s "$out.log" ]; then cat "$out.log" >> "$out"; bad=1; fi
    else
        bad=1
    fi
    rm -f "$out.1" "$out.log"
    return $bad
}

no() { # why, pattern, files: lines that match are told
    why=$1 pattern=$2
    shift 2
    if git grep -nIE "$pattern" -- "$@" > "$out.log"; then
        sed "s|\$|   <- $why|" "$out.log" >> "$out"
        bad=1
    fi
    rm -f "$out.log"
}
words() {
    bad=0
    no "unbounded: use strbuf, snprintf" '^[^"]*\b(strcpy|strcat|sprintf|vsprintf|gets|strtok)\(' 'engine/*' 'evals/*' 'methods/*' 'runner/*'
    no "tells no error: use strtol, parse" '\b(atoi|atol|atof|atoll)\(' 'engine/*' 'evals/*' 'methods/*' 'runner/*'
    # What snprintf wrote under the same locale may be read by strtod again.
    no "follows the locale: use text_double" '\bstrtod\([^)]*[a-z]*\)' 'engine/*.c' 'evals/*.c' 'methods/*.c' \
        'runner/*.c' ':!engine/base/strbuf.c' ':!runner/report/table_axes.c'
    no "draws outside of the named streams: use rng_stream" '[^_a-z](rand|srand|random|drand48)\(' '*.c' '*.h'
    no "changes what a number looks like" '\bsetlocale\(' 'engine/*' 'evals/*' 'methods/*' 'runner/*'
    no "-ffast-math makes isnan false" '^[^#]*-O(fast)\b|^[^#]*-ffast-math' Makefile
    no "work that is left: do it, or say it in docs" '\b(TODO|FIXME|XXX|HACK)\b' '*.c' '*.h' '*.md' Makefile 'tools/*' ':!tools/lint.sh'
    no "a path of one machine" '(^|[^A-Za-z0-9_.])/(work|root|home)/' ':!tools/lint.sh'
    no "a tab, or a blank at the end of a line" '	|[ 	]$' '*.c' '*.h' ':!tests/parity/fixtures'
    no "a carriage return" "$(printf '\r')\$" '*.c' '*.h' '*.sh' '*.md' Makefile
    return $bad
}

cards() {
    [ -n "${RETORT_SHARED-}" ] || return 0
    sh tools/card-items.sh "$RETORT_SHARED/methods"
}

for part in $parts; do
    : > "$out"
    case $part in
    layout | warnings | foreign | arrows | headers | scripts | manual | words)
        if $part; then echo "$part: good"; else
            echo "$part: FAILED"
            sed 's/^/    /' "$out" | head -n 60
            failed="$failed $part"
        fi ;;
    cards) cards ;;
    *) echo "lint.sh: no part is named \"$part\"; the parts are: layout warnings foreign arrows headers scripts manual words cards" >&2
        exit 2 ;;
    esac
done
[ -z "$failed" ] || { echo "Not good:$failed"; exit 1; }
