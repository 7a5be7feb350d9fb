# Two runs and two sweeps told apart: text, JSON, exit codes.
set -u
spec() { # NAME LR RATIOS
    cat <<EOF
{"retort": 1, "name": "$1", "seeds": [1],
 "stages": {
  "start": {"do": "init", "task": "synth/match"},
  "trained": {"do": "finetune", "model": {"from": "start"}, "task": "synth/match", "epochs": 1, "max_steps": 4, "max_len": 32, "lr": $2},
  "pruned": {"do": "prune/magnitude", "model": {"from": "trained"}, "task": "synth/match", "ratio": 0.3},
  "result": {"do": "evaluate", "model": {"from": "pruned"}, "task": "synth/match", "max_len": 32}},
 "sweep": {"grid": {"pruned.ratio": [$3]}}}
EOF
}
fail() { echo "$1"; cat out err; exit 1; }
wants() { # CODE "text in stdout" "text in stderr" ARGS...
    code=$1 o=$2 e=$3
    shift 3
    "$RETORT" "$@" > out 2> err
    rc=$?
    test $rc -eq "$code" || fail "retort $*: exit code $rc, wanted $code"
    test -z "$o" || grep -q -e "$o" out || fail "retort $*: stdout lacks \"$o\""
    test -z "$e" || grep -q -e "$e" err || fail "retort $*: stderr lacks \"$e\""
}
spec one 0.001 "0.25, 0.5" > one.json
spec two 0.002 "0.5, 0.75" > two.json
wants 0 '' '6 done' run one.json
wants 0 '' '5 done' run two.json
a=$("$RETORT" ls spec=one stage=trained --ids)
b=$("$RETORT" ls spec=two stage=trained --ids)
wants 0 'metrics: equal' '' diff "$a" "$a" --tensors
wants 1 '  options.lr: 0.001 -> 0.002' '' diff "$a" "$b"
wants 1 '/tensors/.*\[0, 0\]: .* against .*; [0-9]* of [0-9]* differ, by at most' '' diff "$a" "$b" --tensors
wants 1 'of 4[0-9] differ; largest relative difference' '' diff "$a" "$b" --tensors
wants 1 '"max_relative": ' '' diff "$a" "$b" --tensors --json
wants 1 '^result  *pruned.ratio=0.5  *differs  *eval/synth/match/dev/accuracy' '' diff one two
wants 1 '^only in A: pruned pruned.ratio=0.25 seed=1' '' diff one two
wants 1 '^only in B: result pruned.ratio=0.75' '' diff one.json two
wants 1 '"why": "only in B"' '' diff one.json two.json --json
wants 0 'both: 6 equal to the bit, 0 differ$' '' diff one one.json
wants 1 'prune/ratio ' '' diff one two --metric ratio
# The same experiment in another store.
wants 0 '' '6 done' run one.json --store other
wants 0 'both: 6 equal to the bit' '' diff one one --other other
# A pilot of one seed beside the whole.
sed 's/\[1\]/[1, 2]/; s/"one"/"more"/' one.json > more.json
wants 0 '' '0 failed' run more.json
wants 1 'both: 6 equal to the bit, 0 differ; 6 only in B' '' diff one.json more.json
spec three 0.003 "0.5" > three.json
wants 1 '^not run in B: pruned' '' diff two three.json
wants 2 '' 'name two of a kind' diff "$a" two
wants 3 '' 'is neither a run' diff "$a" nothing
wants 2 '' 'looks into two runs' diff one two --tensors
