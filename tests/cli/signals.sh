# INT and TERM: checkpoint and stop, the second time at once; USR1: checkpoint and go on. What was stopped goes on.
set -eu
cat > spec.json <<'END2'
{"retort": 1, "name": "signals", "seeds": [1, 2],
 "stages": {
  "start": {"do": "init", "task": "synth/agreement"},
  "trained": {"do": "finetune", "model": {"from": "start"}, "task": "synth/agreement", "epochs": 1000,
              "lr": 0.001, "max_len": 64}}}
END2
fail() { echo "$1"; cat log; exit 1; }
until_log() { n=0; while ! grep -q "$1" log; do n=$((n + 1)); test $n -lt 3000 || fail "never: $1"; sleep 0.02; done; }
start() { : > log; "$RETORT" run spec.json "$@" > log 2>&1 & pid=$!; until_log 'trained seed=[12]: \(starts\|goes on\)'; sleep 0.3; }
ended() { rc=0; wait $pid || rc=$?; test $rc -eq "$1" || fail "exit code $rc, not $1"; }

start --jobs 2
kill -USR1 $pid
until_log 'trained seed=.: saved at step'
kill -INT $pid
ended 130
grep -q '^stopping after a checkpoint; once more to stop at once$' log || fail "it does not say what it does"
grep -q ', 2 to do in' log || fail "two are to be gone on with"
"$RETORT" plan spec.json > log
test "$(grep -c ' resume ' log)" -eq 2 || fail "the plan does not resume both"
test -z "$(find runs -name lease)" || fail "a lease was left behind"

start --jobs 1
kill -TERM $pid
ended 143

# To the whole group, as a terminal sends it: workers do not take it as a second one.
: > log
setsid "$RETORT" run spec.json --jobs 2 > log 2>&1 &
pid=$!
until_log 'trained seed=[12]: goes on'
sleep 0.3
kill -INT -$pid
ended 130
grep -q 'saved at step' log || fail "nothing was saved"

start --jobs 2
pids=$(cat runs/??/*/lease | sed -n 's/^pid //p')
# shellcheck disable=SC2086 # one or two words
kill -STOP $pids # they do not answer
kill -INT $pid
sleep 0.5
kill -INT $pid
ended 130
for p in $pids; do if kill -0 "$p" 2> /dev/null; then fail "worker $p is left"; fi; done
