# A selection is made, told and handed on; the same search under other names is not run again.
set -eu
fail() { echo "$1"; cat log; exit 1; }
cat > spec.json <<'END2'
{"retort": 1, "name": "search", "seeds": [1, 2],
 "stages": {
  "start": {"do": "init", "task": "synth/agreement", "layers": 1, "width": 32, "heads": 2, "ffn": 64},
  "tuned": {"do": "finetune", "model": {"from": "start"}, "task": "synth/agreement", "max_steps": 10, "max_len": 32, "schedule": "constant"},
  "score": {"do": "evaluate", "model": {"from": "tuned"}, "task": "synth/agreement", "split": "dev[0:200]", "max_len": 32},
  "best": {"do": "select", "scores": {"from": "tuned"}, "model": {"from": "tuned"}, "metric": "train/lr",
           "best": "largest", "over": ["tuned.lr"]},
  "more": {"do": "finetune", "model": {"from": "best"}, "task": "synth/agreement", "max_steps": 5, "max_len": 32,
           "lr": {"from": "best", "value": "tuned.lr"}},
  "same": {"do": "evaluate", "model": {"from": "best"}, "task": "synth/agreement", "split": "dev[0:200]", "max_len": 32}},
 "sweep": {"grid": {"tuned.lr": [1e-7, 3e-3, 1e-6], "more.batch": [4, 8]}}}
END2
"$RETORT" plan spec.json > log 2>&1 || fail "plan fails"
grep -q 'new; lr by best$' log || fail "the plan does not say that lr is chosen"
"$RETORT" run spec.json --jobs 2 > log 2>&1 || fail "run fails"
grep -q '^22 done' log || fail "22 jobs were wanted"

# The highest rate is chosen; the model handed on scores as the candidate's.
"$RETORT" show "$("$RETORT" ls | awk '/ best .*seed=1/ {print $1; exit}')" > log
grep -qE '^  run [0-9a-f]{10} .*  \*  .*tuned\.lr=0\.003 ' log || fail "0.003 is not chosen"
accuracy() { "$RETORT" show "$("$RETORT" ls | awk "/ $1 .*${2-}seed=1/ {print \$1; exit}")" | awk '/dev.*accuracy/ {print $NF}'; }
test -n "$(accuracy same)" && test "$(accuracy same)" = "$(accuracy score 'tuned.lr=0.003 ')" || fail "another model is handed on"
run=$("$RETORT" ls | awk '/ more .*more.batch=4 seed=1/ {print $1; exit}')
"$RETORT" show "$run" > log
grep -qE '^  lr +0\.003 \(chosen by run [0-9a-f]{10}\)$' log || fail "show does not tell the chosen value"
h5dump -d /chosen/lr runs/*/"$run"*/run.h5 > log
grep -q '"0.003"' log || fail "the run does not keep the chosen value"
"$RETORT" plan spec.json --set more.max_steps=6 > log
grep -q 'max_steps is 6, was 5 in [0-9a-f]*; lr 0.003 by best$' log || fail "the plan does not tell the chosen value"

# Other names of stages and of the spec, another order of keys: nothing to run. Another candidate: another selection.
sed 's/"tuned/"first/g; s/"best": {"do"/"winner": {"do"/; s/"from": "best"/"from": "winner"/g; s/"search"/"again"/' spec.json > other.json
"$RETORT" plan other.json > log
grep -q '^22 jobs: 22 cached' log || fail "names of stages are in the ids"
"$RETORT" plan spec.json --set 'tuned.lr=0.003' --set best.over=null > log
grep -q ' 8 run' log || fail "another list of candidates is the same selection"
