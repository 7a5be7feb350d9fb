#!/bin/sh
# The page of results of a sixteen-heads spec, from the store: results.sh SPEC PAGE [--set STAGE.OPTION=VALUE]...
#
# Fills the tables beside the spec with its runs (give the --set that they were made with) and draws the plots
# into a folder beside the page, PAGE without .md. Nothing is run. RETORT names the program (build/retort),
# RETORT_STORE the store (runs). Exit code 1 if a cell is missing.
set -eu
[ $# -ge 2 ] || { echo "usage: results.sh SPEC PAGE [--set STAGE.OPTION=VALUE]..." >&2; exit 2; }
spec=$1 page=$2
shift 2
retort=${RETORT:-build/retort}
dir=$(dirname "$spec")
task=$(basename "$spec" .json)
pictures=${page%.md}
mkdir -p "$pictures"
problems=$(mktemp)
trap 'rm -f "$problems"' EXIT

table() { # DECLARATION [OPTION...]
    decl=$1
    shift
    "$retort" table "$dir/$decl.json" --spec "$spec" "$@" || echo "$decl" >> "$problems"
    echo
}

picture() { # DECLARATION TEXT [OPTION...]
    decl=$1 text=$2
    shift 2
    "$retort" plot "$dir/$decl.json" --spec "$spec" --out "$pictures/$decl" "$@" > /dev/null || echo "$decl" >> "$problems"
    rm -f "$pictures/$decl.svg" "$pictures/$decl.pdf" "$pictures/$decl.gp" "$pictures/$decl.dat"
    printf '![%s](%s/%s.png)\n\n' "$text" "$(basename "$pictures")" "$decl"
}

settings=
for s in "$@"; do
    case $s in
    --set) ;;
    *.model=*) settings="$settings --set ${s%%=*}=FOLDER" ;;
    *) settings="$settings --set '$s'" ;;
    esac
done

{
cat <<END_OF_TEXT
# Are Sixteen Heads Really Better than One?

The experiments of Michel, Levy & Neubig 2019 (arXiv 1905.10650), by \`$spec\`. The paper's figures are of BERT-base
(12 layers of 12 heads); they stand beside ours for the shape of the curves, not for their height.

## How this was made

    retort run $spec$settings
    tools/results.sh $spec $page$settings

$(date -u +%Y-%m-%d), $("$retort" version | head -n 1), revision $(git rev-parse --short=10 HEAD 2> /dev/null || echo unknown),
on $(sed -n 's/^model name[^:]*: *//p' /proc/cpuinfo | head -n 1) with $(nproc) threads. The curves are scored on dev; orders are made from examples
of train alone.

## Pruning curves

All heads are ranked together and masked from the lowest on: by importance (gate gradients, per sample, l2 norm per
layer), by the score that is lost when a head is masked alone, by importance scored again after every tenth of the
heads, and by chance.

END_OF_TEXT
table "$task.curve" "$@"
picture "$task.curve" "score by the share of heads that is masked" "$@"
if [ -e "$dir/$task.accuracy.json" ]; then
    table "$task.accuracy" "$@"
    picture "$task.accuracy" "accuracy by the share of heads that is masked" "$@"
fi
cat <<END_OF_TEXT
## One head at a time

What is lost when one head is masked, in points; a minus is a gain. The test is McNemar's, head by head.

END_OF_TEXT
table ablation "$@"
picture ablation "points lost when one head is masked" "$@"
cat <<END_OF_TEXT
The same heads on other data: correlation of these scores with those on 300 examples of train.

END_OF_TEXT
table correlation "$@"
cat <<END_OF_TEXT
## All heads but one

Each layer keeps the head that does best alone on 300 examples of train; what that loses on dev.

END_OF_TEXT
table but-one "$@"
cat <<END_OF_TEXT
## Importance

END_OF_TEXT
table importance "$@"
picture importance "importance of the heads" "$@"
cat <<END_OF_TEXT
## Physical removal

Half of the heads, by importance. Speed is inference on sequences of 128 tokens; the paper's was measured on a GTX
1080Ti.

END_OF_TEXT
table size "$@"
table speed "$@"
} > "$page.new"
mv "$page.new" "$page"
echo "$page"
if [ -s "$problems" ]; then
    echo "not whole: $(sort -u "$problems" | tr '\n' ' ')" >&2
    exit 1
fi
