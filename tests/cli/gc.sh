# gc shows what nothing leads to and removes it with --yes: labelled runs, what specs ask for and what those were
# made of stay; beside a sweep nothing is collected, and no sweep begins beside a collection.
set -eu
fail() { echo "$1"; cat log; exit 1; }
spec() { cat > "$1" <<END2
{"retort": 1, "name": "$2",
 "stages": {
  "start": {"do": "init", "task": "synth/agreement"},
  "heads": {"do": "prune/heads", "model": {"from": "start"}, "order": "random"},
  "result": {"do": "evaluate", "model": {"from": "heads"}, "task": "synth/agreement", "split": "dev[0:8]"}},
 "sweep": {"grid": {"heads.ratio": [$3]}}}
END2
}
spec one.json one "0, 0.5"
spec two.json two "0.25"
"$RETORT" run -q one.json
"$RETORT" run -q two.json
runs() { "$RETORT" ls | awk 'NR > 1' | wc -l; }
[ "$(runs)" -eq 7 ] || fail "seven runs were wanted"
"$RETORT" gc > log 2>&1 && fail "all would go, without a question"
grep -q "no run has a label or a note" log || fail "it does not say why"
"$RETORT" gc one.json > log 2>&1 || fail "gc fails"
grep -q "Nothing leads to 2 of 7 runs" log || fail "two runs are two.json's alone"
[ "$(runs)" -eq 7 ] || fail "without --yes something went"
id=$("$RETORT" ls | awk '$3 == "two" && $4 == "result" {print $1}')
"$RETORT" label "$id" keep > log 2>&1
"$RETORT" gc one.json > log 2>&1
grep -q "Nothing to collect" log || fail "a labelled run leads to what it was made of"
"$RETORT" gc --yes > log 2>&1 || fail "gc --yes fails"
[ "$(runs)" -eq 3 ] || fail "what the labelled run was made of is three runs"
"$RETORT" verify > log 2>&1 || fail "a reference leads nowhere now"
"$RETORT" run -q one.json || fail "what was collected cannot be made again"
# Beside a sweep.
cat > long.json <<'END2'
{"retort": 1, "name": "long",
 "stages": {
  "start": {"do": "init", "task": "synth/agreement"},
  "trained": {"do": "finetune", "model": {"from": "start"}, "task": "synth/agreement", "epochs": 1000}}}
END2
"$RETORT" run long.json > long 2>&1 &
pid=$!
n=0
until grep -q "trained.*starts" long; do n=$((n + 1)); [ $n -lt 500 ] || fail "it never starts"; sleep 0.02; done
rc=0
"$RETORT" gc --yes > log 2>&1 || rc=$?
[ $rc -eq 5 ] || fail "gc beside a sweep: exit code $rc, not 5"
grep -q "a sweep runs, by process" log || fail "it does not say who works"
kill -KILL $pid
wait $pid 2> /dev/null || true
n=0
until "$RETORT" gc --yes > log 2>&1 && [ "$(runs)" -eq 3 ]; do # its worker saves, and ends
    n=$((n + 1))
    [ $n -lt 500 ] || fail "a dead sweep is in the way"
    sleep 0.02
done
