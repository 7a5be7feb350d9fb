# The number of workers decides nothing but the time: --jobs 1, 2 and 4 give the same results.
set -eu
cat > spec.json <<'END2'
{"retort": 1, "name": "small", "seeds": [1, 2],
 "stages": {
  "start": {"do": "init", "task": "synth/agreement"},
  "trained": {"do": "finetune", "model": {"from": "start"}, "task": "synth/agreement", "epochs": 1,
              "max_steps": 20, "lr": 0.001, "max_len": 64},
  "heads": {"do": "analyze/heads", "model": {"from": "trained"}, "task": "synth/agreement",
            "split": "train[0:100]", "max_len": 64},
  "pruned": {"do": "prune/heads", "model": {"from": "trained"}, "scores": {"from": "heads"}, "ratio": 0},
  "result": {"do": "evaluate", "model": {"from": "pruned"}, "task": "synth/agreement", "split": "dev[0:200]", "max_len": 64}},
 "sweep": {"grid": {"pruned.ratio": [0, 0.5]}}}
END2
fail() { echo "$1"; cat log; exit 1; }
results() { "$RETORT" ls --store "$1" | awk 'NR > 1 {print $1}' | while read -r id; do
    "$RETORT" show "$id" --store "$1" | grep '^run \|^result '; done | sort; }
for jobs in 1 2 4; do
    "$RETORT" run spec.json --jobs $jobs --store $jobs > log 2>&1 || fail "--jobs $jobs fails"
    grep -q '^14 done, 0 failed, 0 cached' log || fail "--jobs $jobs: not fourteen jobs"
    results $jobs > $jobs.txt
    cmp 1.txt $jobs.txt || fail "--jobs $jobs gives other results"
done
test -s 1.txt || fail "no results"
"$RETORT" run spec.json --jobs 4 --store 4 > log 2>&1 || fail "again fails"
grep -q '^0 done, 0 failed, 14 cached' log || fail "again does something"
