# On a Slurm of two nodes: a sweep as arrays that wait for each other gives the bits of the same sweep here; also when
# a task is told that its time is over and queued again, and when a node is killed in the middle. What is on its way
# is not submitted twice; a task of a spec that has changed since does nothing.
set -eu
. "$SOURCE/tests/slurm/cluster.sh"
why=$(cluster_missing)
if [ -n "$why" ]; then echo "$why"; exit 77; fi
cat > spec.json <<'END2'
{"retort": 1, "name": "cluster", "seeds": [1, 2],
 "cluster": {"cores": 1, "memory": "400M", "time": "10", "warn": 5, "stages": {"result": {"chunk": 2}}},
 "stages": {
  "start": {"do": "init", "task": "synth/agreement"},
  "trained": {"do": "finetune", "model": {"from": "start"}, "task": "synth/agreement", "epochs": 50,
              "max_steps": 2000, "lr": 0.001, "max_len": 64},
  "pruned": {"do": "prune/heads", "model": {"from": "trained"}, "order": "random", "ratio": 0},
  "result": {"do": "evaluate", "model": {"from": "pruned"}, "task": "synth/agreement", "split": "dev[0:100]", "max_len": 64}},
 "sweep": {"grid": {"pruned.ratio": [0, 0.5]}}}
END2
there=$PWD/slurm
fail() { echo "$1"; cat log; cat runs/slurm/*/*.log 2> /dev/null | tail -n 40; squeue; tail -n 20 "$there"/*.log; exit 1; }
results() { "$RETORT" ls --store "$1" | awk 'NR > 1 {print $1}' | while read -r id; do
    "$RETORT" show "$id" --store "$1" | grep '^run \|^result '; done | sort; }
until_true() { n=0; until eval "$2"; do n=$((n + 1)); test $n -lt 3000 || fail "never: $1"; sleep 0.1; done; }
: > log
"$RETORT" run spec.json --store here --threads 1 > log 2>&1 || fail "here it fails"
results here > one

trap 'cluster_stop "$there"' EXIT
if ! cluster_start "$there" > log 2>&1; then # some containers forbid what its daemons need
    cat log
    echo "Slurm does not start here"
    exit 77
fi
"$RETORT" run spec.json --launch slurm > log 2>&1 || fail "nothing was submitted"
grep -q '^Submitted 12 jobs as 10 tasks of 4 arrays: ' log || fail "not twelve jobs as ten tasks of four arrays"
"$RETORT" run spec.json --launch slurm > log 2>&1 || fail "submitting twice fails"
grep -q 'of an earlier submission .* still on the way' log || fail "it does not see what is on its way"
grep -q '^Submitted' log && fail "it was submitted twice"
test "$(scontrol show job "$(sed -n 's/ .* trained .*//p' runs/slurm/*/arrays)" | grep -c 'MinMemoryNode=400M')" -gt 0 ||
    fail "the memory asked for is not the spec's"

# Both trainings run; one is told that its time is over: it saves, is queued again, goes on.
trained=$(sed -n 's/ .* trained .*//p' runs/slurm/*/arrays)
until_true "both trainings run" 'test "$(squeue -h -t R -j $trained | wc -l)" = 2'
until_true "both have begun to train" '"$RETORT" watch spec.json --once | grep -c "step [1-9]" | grep -q 2'
"$RETORT" watch spec.json --once > log
grep -q '^trained  *2  *0  *2  *0  *0$' log || fail "watch does not count two that work"
# (A fast machine would end the other meanwhile: it is stopped, and its node dies with it.)
other=$("$RETORT" watch spec.json --once | sed -n 's/^\([0-9a-f]*\)  *trained  *seed=2 .*/\1/p')
kill -STOP "$(sed -n 's/^pid //p' runs/??/"$other"*/lease)" || fail "nobody works on $other"
scancel --batch --signal=USR1 "${trained}_0"
until_true "it is queued again" 'grep -qs "1 to do" runs/slurm/*/"${trained}_0".log'
until_true "it goes on" 'grep -qs "goes on at step" runs/slurm/*/"${trained}_0".log'
# The other's node dies.
node=$(squeue -h -t R -j "${trained}_1" -o %N)
cluster_kill "$there" "$node" || fail "node $node has no daemon"
until_true "all is over" 'test -z "$(squeue -h)"'
"$RETORT" watch spec.json > log
grep -q '^cluster: 12 of 12 jobs done$' log || fail "not all is done"
test "$(scontrol show job "${trained}_1" | sed -n 's/.*Restarts=\([0-9]*\).*/\1/p')" -ge 1 || fail "the killed node's task did not start again"
results runs > two
cmp one two || fail "the results differ from those of this machine"
"$RETORT" run spec.json --launch slurm > log 2>&1 || fail "all is there, and it fails"
grep -q '^All is there: nothing was submitted' log || fail "it does not say that all is there"

# A task whose spec has changed.
list=$(ls runs/slurm/*/0.part)
sed 's/2000/1900/' spec.json > other.json
rc=0
SLURM_ARRAY_TASK_ID=0 "$RETORT" run other.json --part "$list" --store other > log 2>&1 || rc=$?
test $rc -eq 0 || fail "a part whose jobs did not change fails ($rc)"
rc=0
SLURM_ARRAY_TASK_ID=0 "$RETORT" run other.json --part "${list%0.part}1.part" --store other > log 2>&1 || rc=$?
test $rc -eq 2 || fail "exit code $rc for a part of another spec"
grep -q 'other.json asks for other jobs than when it was submitted' log || fail "it does not say that the spec changed"
