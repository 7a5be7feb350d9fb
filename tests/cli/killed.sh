# A worker that is killed takes its job with it and no other; when the launcher is killed, its workers save and
# stop. Both times the same command goes on, to the bits of a run that nothing disturbed.
set -eu
cat > spec.json <<'END2'
{"retort": 1, "name": "killed", "seeds": [1, 2],
 "stages": {
  "start": {"do": "init", "task": "synth/agreement"},
  "trained": {"do": "finetune", "model": {"from": "start"}, "task": "synth/agreement", "epochs": 20,
              "max_steps": 500, "lr": 0.001, "max_len": 64},
  "result": {"do": "evaluate", "model": {"from": "trained"}, "task": "synth/agreement", "split": "dev[0:100]", "max_len": 64}}}
END2
fail() { echo "$1"; cat log; exit 1; }
results() { "$RETORT" ls --store "$1" | awk 'NR > 1 {print $1}' | while read -r id; do
    "$RETORT" show "$id" --store "$1" | grep '^run \|^result '; done | sort; }
until_log() { n=0; while ! grep -q "$1" log; do n=$((n + 1)); test $n -lt 3000 || fail "never: $1"; sleep 0.02; done; }
"$RETORT" run spec.json --store whole > log 2>&1 || fail "the undisturbed run fails"
results whole > one

: > log
"$RETORT" run spec.json --store worker --jobs 2 > log 2>&1 &
pid=$!
until_log 'trained seed=1: starts'
id=$(sed -n 's/.* \([0-9a-f]*\) trained seed=1: starts/\1/p' log)
n=0
until worker=$(sed -n 's/^pid //p' worker/??/"$id"*/lease 2> /dev/null) && test -n "$worker"; do
    n=$((n + 1)); test $n -lt 3000 || fail "never: a lease"; sleep 0.02
done
kill -KILL "$worker" || fail "no worker to kill"
rc=0
wait $pid || rc=$?
test $rc -eq 1 || fail "exit code $rc after a worker was killed"
grep -q 'trained seed=1: failed: worker [0-9]* was killed by signal 9' log || fail "the death is not told"
grep -q '^4 done, 1 failed, 0 cached, 1 left out' log || fail "others than its own were lost"
"$RETORT" show "$id" --store worker > shown 2>&1 || true
grep -q 'worker [0-9]* was killed by signal 9' shown || { cat shown; fail "show does not say what the run died of"; }
eval "$(sed -n 's/^Again, what failed: //p' log)" > log 2>&1 || fail "going on after a worker's death fails"
grep -q '^2 done, 0 failed, 4 cached' log || fail "more than what failed was run"
results worker > two
cmp one two || fail "after a worker's death the results differ"

# TERM to a worker ends its job alone too: one that it had not begun is another's.
: > log
"$RETORT" run spec.json --store term --jobs 1 > log 2>&1 &
pid=$!
until_log 'trained seed=1: starts'
sleep 0.1
kill -TERM "$(sed -n 's/^pid //p' term/??/*/lease)" || fail "no worker to tell"
rc=0
wait $pid || rc=$?
test $rc -eq 1 || fail "exit code $rc after a worker was told to stop"
grep -q 'trained seed=1: failed: its worker was told to stop by a signal' log || fail "it is not told why the job ended"
grep -q '^4 done, 1 failed, 0 cached, 1 left out' log || fail "another job was lost with it"
"$RETORT" run spec.json --store term > log 2>&1 || fail "going on after that fails"
results term > two
cmp one two || fail "after a worker was told to stop the results differ"

: > log
"$RETORT" run spec.json --store launcher --jobs 2 > log 2>&1 &
pid=$!
until_log 'trained seed=[12]: starts'
kill -KILL $pid
wait $pid 2> /dev/null && fail "it was done before it was killed"
"$RETORT" run spec.json --store launcher --jobs 2 > log 2>&1 || fail "going on after the launcher's death fails"
results launcher > two
cmp one two || fail "after the launcher's death the results differ"
