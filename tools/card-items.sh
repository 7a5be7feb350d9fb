#!/bin/sh
# Which invariants of the method cards no test checks. Usage: card-items.sh FOLDER [CARD...]
#
# FOLDER holds the cards, CARD.md. Their items are the points of the section "What a test can check" (or
# "Invariants for tests", "What a correct implementation must show"): point 3 of section 7 of sixteen-heads.md is
# checked by a test whose name begins with sixteen_heads_7_3. Cards without any such test are counted in one line,
# unless they are named. Exit code 1 if a named card, or one that has tests, lacks some.
set -u
[ $# -ge 1 ] && [ -d "$1" ] || { echo "usage: card-items.sh FOLDER [CARD...]: FOLDER holds the cards, CARD.md" >&2; exit 2; }
folder=$1
shift
tests=$(cd "$(dirname "$0")/../tests" && pwd) || exit 4
items=$(mktemp)
trap 'rm -f "$items"' EXIT
cards=$*
[ -n "$cards" ] || cards=$(cd "$folder" && ls -- *.md 2> /dev/null | sed 's/\.md$//')
rc=0 silent=0

# "SECTION_ITEM<tab>text" of each item; bullets are numbered as they come.
items_of() {
    awk '
        function flush() { if (text != "") printf "%s_%s\t%s\n", section, number, text; text = "" }
        /^## / {
            flush()
            inside = /What a test can check|Invariants for tests|What a correct implementation must show/
            section = $2; sub(/\..*/, "", section); count = 0
            next
        }
        !inside { next }
        /^([0-9]+\.|[-*]) / {
            flush()
            count++
            number = $1 ~ /^[0-9]/ ? $1 + 0 : count
            text = $0; sub(/^[^ ]+ +/, "", text)
            next
        }
        /^[ \t]+[^ \t]/ && text != "" { line = $0; sub(/^[ \t]+/, " ", line); text = text line; next }
        { flush() }
        END { flush() }' "$1"
}

for card in $cards; do
    if [ ! -f "$folder/$card.md" ]; then
        echo "$folder has no card $card.md" >&2
        exit 3
    fi
    items_of "$folder/$card.md" > "$items"
    name=$(echo "$card" | tr '-' '_')
    total=0 missing=
    while IFS='	' read -r number text; do
        total=$((total + 1))
        grep -rqE "\\b${name}_${number}(_|\\b)" "$tests" && continue
        missing="$missing
    ${name}_$number  $(printf '%s' "$text" | cut -c 1-100)"
    done < "$items"
    lacking=$(printf '%s' "$missing" | grep -c .)
    if [ "$lacking" -eq "$total" ] && [ $# -eq 0 ]; then
        silent=$((silent + 1))
        continue
    fi
    printf '%s: %d of %d items have a test%s\n' "$card" $((total - lacking)) "$total" "$missing"
    [ "$lacking" -eq 0 ] || rc=1
done
[ $silent -eq 0 ] || echo "$silent cards have no test yet; name one to see its items"
exit $rc
