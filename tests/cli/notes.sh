# What a stage warns of is kept with its run, also when it is stopped and goes on later.
set -eu
cat > spec.json <<'END2'
{"retort": 1, "name": "notes", "seeds": [1],
 "stages": {
  "start": {"do": "init", "task": "synth/agreement"},
  "trained": {"do": "finetune", "model": {"from": "start"}, "task": "synth/agreement", "epochs": 20,
              "max_steps": 600, "lr": 100, "weight_decay": 100, "max_len": 64}}}
END2
fail() { echo "$1"; cat log; exit 1; }
: > log
"$RETORT" run spec.json > log 2>&1 &
pid=$!
n=0
while ! grep -q 'gradient is not finite' log && [ $n -lt 3000 ]; do n=$((n + 1)); sleep 0.02; done
sleep 0.1
kill -TERM $pid || fail "it was over too early"
rc=0
wait $pid || rc=$?
test $rc -eq 143 || fail "exit code $rc"
"$RETORT" show latest > shown
grep -q '^warning  *step [0-9]*: the gradient is not finite' shown || { cat shown; fail "not kept while it is stopped"; }
"$RETORT" run spec.json > log 2>&1 || fail "it does not go on"
grep -q 'goes on at step' log || fail "it began anew"
"$RETORT" show latest > shown
test "$(grep -c '^warning  *step [0-9]*: the gradient is not finite' shown)" -eq 1 || { cat shown; fail "not kept at the end"; }
"$RETORT" show latest --json | grep -q '"warnings": \[$' || fail "not in JSON"
