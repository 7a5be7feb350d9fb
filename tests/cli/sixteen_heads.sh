# The specs of the sixteen heads are whole, and the MRPC one runs on a tiny model and a tiny file to its page of
# results; on two MNLI files alike, all correlations are 1.
set -eu
cat > start.json <<'END'
{"retort": 1, "name": "start", "seeds": [1],
 "stages": {"start": {"do": "init", "task": "synth/match", "range": 0.3, "dropout": 0}}}
END
fail() { echo "$1"; cat log; exit 1; }
"$RETORT" run start.json --store first > log 2>&1 || fail "no model to start from"
"$RETORT" export --hf "$("$RETORT" ls --store first | awk '$4 == "start" {print $1}')" model --store first > log 2>&1 || fail "export"

# Pairs of number words: the same number, or not.
rows() { # FIRST LAST FORMAT
    awk -v a="$1" -v b="$2" -v f="$3" 'BEGIN {
        split("one two three four five six seven eight", w, " ")
        for (i = a; i < b; i++) {
            x = w[i % 8 + 1]; y = w[(i + (i % 2) * (1 + i % 3)) % 8 + 1]
            printf f, 1 - i % 2, i, i, "now " x " then", "purse " y " often" } }'
}
mkdir -p data/MRPC data/MNLI data/CoLA data/RTE data/SST-2
for split in train dev; do
    [ $split = train ] && set -- 0 40 || set -- 40 64
    { printf 'Quality\t#1 ID\t#2 ID\t#1 String\t#2 String\n'; rows "$1" "$2" '%d\t%d\t%d\t%s\t%s\n'; } > data/MRPC/$split.tsv
    { printf 'index\tsentence1\tsentence2\tlabel\n'
      rows "$1" "$2" '%d\t%d\t%d\t%s\t%s\n' | awk -F'\t' -v OFS='\t' '{print $2, $4, $5, $1 ? "entailment" : "not_entailment"}'
    } > data/RTE/$split.tsv
    rows "$1" "$2" '%d\t%d\t%d\t%s\t%s\n' | awk -F'\t' -v OFS='\t' '{print "x", $1, "", $4}' > data/CoLA/$split.tsv
    { printf 'sentence\tlabel\n'; rows "$1" "$2" '%d\t%d\t%d\t%s\t%s\n' | awk -F'\t' -v OFS='\t' '{print $4, $1}'; } > data/SST-2/$split.tsv
done
for file in train dev_matched dev_mismatched; do
    rows 0 40 '%d\t%d\t%d\t%s\t%s\n' | awk -F'\t' \
        '{printf "{\"sentence1\": \"%s\", \"sentence2\": \"%s\", \"gold_label\": \"%s\"}\n", $4, $5, $1 ? "entailment" : "neutral"}' > data/MNLI/$file.jsonl
done
RETORT_DATA=$PWD/data
RETORT_STORE=$PWD/runs
export RETORT_DATA RETORT_STORE
dir=$SOURCE/experiments/sixteen-heads
for task in mrpc cola rte sst2 mnli; do
    "$RETORT" plan "$dir/$task.json" --set trained.model=model > log 2>&1 || fail "$task.json cannot be planned"
done

set -- --set trained.model=model --set 'seeds=[1]' --set trained.max_steps=8 --set trained.lr=0.01 --set sliced.tokens=8
"$RETORT" run "$dir/mrpc.json" "$@" > log 2>&1 || fail "mrpc.json fails"
sh "$SOURCE/tools/results.sh" "$dir/mrpc.json" page.md "$@" > log 2>&1 || fail "no page"
for word in 'heads pruned' 'paper: Are Sixteen Heads' 'points lost' 'Pearson r' 'layer / head' 'gain, %'; do
    grep -q "$word" page.md || { echo "the page lacks $word"; cat page.md; exit 1; }
done
if grep -q "=model" page.md; then echo "the page names a folder of this machine"; exit 1; fi
[ -s page/mrpc.curve.png ] && [ -s page/importance.png ] || { echo "no pictures"; ls page; exit 1; }
for table in cola.curve rte.curve sst2.curve mnli.curve; do
    "$RETORT" table "$dir/$table.json" "$@" > log 2> err && { echo "$table is whole without a run"; exit 1; }
    grep -q 'missing' log || { cat log err; exit 1; }
done

"$RETORT" run "$dir/mnli.json" "$@" --set pruned.ratio=0.5 > log 2>&1 || fail "mnli.json fails"
"$RETORT" table "$dir/correlation.json" --spec "$dir/mnli.json" "$@" --set pruned.ratio=0.5 --format csv > log || fail "no correlation"
awk -F, '$2 == "Pearson r" {r = $6} END {exit !(r == 1 || r == "")}' log || fail "matched against itself is not 1"
