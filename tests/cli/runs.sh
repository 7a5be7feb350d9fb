# What the store holds: ls and its tests, show, log, label, note, rm.
set -u
cat > spec.json <<'EOF'
{"retort": 1, "name": "small", "seeds": [1, 2],
 "stages": {
  "start": {"do": "init", "task": "synth/match"},
  "trained": {"do": "finetune", "model": {"from": "start"}, "task": "synth/match", "epochs": 1, "max_steps": 5, "max_len": 32},
  "pruned": {"do": "prune/magnitude", "model": {"from": "trained"}, "task": "synth/match", "ratio": 0.3}},
 "sweep": {"grid": {"pruned.ratio": [0.25, 0.5]}}}
EOF
fail() { echo "$1"; cat out err; exit 1; }
# wants CODE "text in stdout" "text in stderr" ARGS...
wants() {
    code=$1 o=$2 e=$3
    shift 3
    "$RETORT" "$@" > out 2> err
    rc=$?
    test $rc -eq "$code" || fail "retort $*: exit code $rc, wanted $code"
    test -z "$o" || grep -q -e "$o" out || fail "retort $*: stdout lacks \"$o\""
    test -z "$e" || grep -q -e "$e" err || fail "retort $*: stderr lacks \"$e\""
}
wants 3 '' 'there is no store here' ls
wants 0 '' '8 done' run spec.json
count() { "$RETORT" ls "$@" --ids | wc -l; }
test "$(count)" -eq 8 || fail "not 8 runs"
test "$(count stage=pruned)" -eq 4 || fail "not 4 pruned"
test "$(count stage=pruned 'pruned.ratio>0.3')" -eq 2 || fail "not 2 above 0.3"
test "$(count stage!=pruned)" -eq 4 || fail "not 4 others"
test "$(count 'stage=[st]*')" -eq 4 || fail "not 4 by pattern"
test "$(count seed=1)" -eq 4 || fail "not 4 of seed 1"
test "$(count 'ratio>=0.4')" -eq 2 || fail "not 2 with a metric prune/ratio of 0.4 or more"
test "$(count 'started>2020-01-01')" -eq 8 || fail "not all since 2020"
test "$(count -n 3)" -eq 3 || fail "not 3"
test "$("$RETORT" ls stage=pruned --sort ratio --reverse -n 1 | awk 'NR == 2 {print $5}')" = pruned.ratio=0.5 || fail "order"
wants 3 '' 'did you mean "pruned.ratio"' ls pruned.ration=1
wants 2 '' 'is no test' ls trained
wants 0 '"pruned.ratio": 0.5' '' ls stage=pruned --json
COLUMNS=60 "$RETORT" ls > out
awk 'length($0) > 60 {exit 1}' out || fail "wider than COLUMNS"
id=$("$RETORT" ls stage=trained seed=1 --ids)
short=$(echo "$id" | cut -c1-8)
wants 0 "^run  *$id" '' show "$short"
wants 0 '^stage  *pruned (prune/magnitude)' '' show latest
wants 0 '"max_steps": 5' '' show "$short" --text resolved
wants 0 '"retort": 1, "name": "small"' '' show "$short" --text spec
wants 3 '' 'no run is called "0000' show 00000000
wants 0 '^step 4 ' '' log "$short"
wants 0 '^train/loss,4,0\.[0-9]*' '' log "$short" --metric loss --csv --last 1
test "$("$RETORT" log "$short" --every 2 -m loss | wc -l)" -eq 3 || fail "--every 2"
wants 0 'train/loss' '' log "$short" --follow
wants 3 '' 'it has train/loss' log "$short" -m nothing
wants 0 '' '' label "$short" best
wants 0 "^label  *best" '' show best
wants 0 '' 'was called "best" until now' label latest best
wants 2 '' 'could be the start' label latest beef
wants 2 '' 'give a NAME' label latest
wants 0 '' '' note best 'two
lines'
wants 0 '^two lines$' '' note best
wants 0 '^note  *two lines' '' show best
wants 2 '' 'give --yes' rm best
wants 1 '' 'holds tensors of' rm --yes "$short"
test "$(count)" -eq 8 || fail "something was removed"
wants 0 '' '1 run removed' rm --yes best
test "$(count)" -eq 7 || fail "nothing was removed"
wants 3 '' '' show best
# shellcheck disable=SC2046 # words
wants 0 '' 'runs removed' rm --yes $("$RETORT" ls --ids)
test "$(count)" -eq 0 || fail "something is left"
