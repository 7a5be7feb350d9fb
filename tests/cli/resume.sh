# A job that is asked to stop saves its state and goes on later; one that is killed starts again from its
# last checkpoint: both end at the same bits as one that nothing disturbed.
set -eu
cat > spec.json <<'END'
{"retort": 1, "name": "stopped", "seeds": [1],
 "stages": {
  "start": {"do": "init", "task": "synth/agreement"},
  "trained": {"do": "finetune", "model": {"from": "start"}, "task": "synth/agreement", "epochs": 20,
              "max_steps": 600, "lr": 0.001, "max_len": 64, "eval_split": "dev", "eval_every": 100}}}
END
fail() { echo "$1"; cat log; exit 1; }
result() { "$RETORT" ls --store "$1" | awk '$4 == "trained" {print $1}' | while read -r id; do
    "$RETORT" show "$id" --store "$1" | grep '^run \|^result '; done; }
"$RETORT" run spec.json --store whole > log 2>&1 || fail "the undisturbed run fails"
for sig in TERM KILL; do
    "$RETORT" run spec.json --store $sig > log 2>&1 &
    pid=$!
    n=0
    # Until the second job works.
    while ! grep -q '^\[1/2\]' log && [ $n -lt 200 ]; do n=$((n + 1)); sleep 0.05; done
    sleep 0.4
    kill -$sig $pid 2> /dev/null || fail "it ended before SIG$sig came"
    wait $pid && fail "a run that was stopped says that all is done"
    if [ $sig = TERM ]; then
        "$RETORT" plan spec.json --store $sig > log 2>&1
        grep -q 'resume' log || fail "the plan does not resume"
    fi
    "$RETORT" run spec.json --store $sig > log 2>&1 || fail "going on after SIG$sig fails"
    result whole > one
    result $sig > two
    cmp one two || fail "after SIG$sig the result differs"
done
