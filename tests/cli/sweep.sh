# A whole sweep on a generated task: trained, scored, pruned, evaluated; a second run does nothing; one more
# ratio runs only what depends on it; other thread counts give the same results.
set -eu
cat > spec.json <<'END'
{"retort": 1, "name": "small", "seeds": [1],
 "stages": {
  "start": {"do": "init", "task": "synth/agreement"},
  "trained": {"do": "finetune", "model": {"from": "start"}, "task": "synth/agreement", "epochs": 1,
              "max_steps": 20, "lr": 0.001, "max_len": 64},
  "heads": {"do": "analyze/heads", "model": {"from": "trained"}, "task": "synth/agreement",
            "split": "train[0:100]", "max_len": 64},
  "pruned": {"do": "prune/heads", "model": {"from": "trained"}, "scores": {"from": "heads"}, "ratio": 0},
  "result": {"do": "evaluate", "model": {"from": "pruned"}, "task": "synth/agreement", "max_len": 64}},
 "sweep": {"grid": {"pruned.ratio": [0, 0.5, 1]}}}
END
fail() { echo "$1"; cat log; exit 1; }
"$RETORT" run spec.json > log 2>&1 || fail "the sweep fails"
grep -q '^9 done, 0 failed, 0 cached' log || fail "not nine jobs"
"$RETORT" run spec.json > log 2>&1 || fail "a second run fails"
grep -q '^0 done, 0 failed, 9 cached' log || fail "a second run ran something"
sed 's/0.5, 1/0.25, 0.5, 1/' spec.json > more.json
"$RETORT" run more.json > log 2>&1 || fail "one more ratio fails"
grep -q '^2 done, 0 failed, 9 cached' log || fail "one more ratio reran others"
results() { "$RETORT" ls --store "$1" | awk 'NR > 1 {print $1}' | while read -r id; do
    "$RETORT" show "$id" --store "$1" | sed -n 's/^run \|^result /&/p'; done | sort; }
results runs > one
for threads in 1 3; do
    "$RETORT" run more.json --threads $threads --store other$threads > log 2>&1 || fail "threads $threads"
    results other$threads > two
    cmp one two > log || fail "$threads threads give other results"
done
