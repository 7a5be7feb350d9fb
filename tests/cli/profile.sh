# --profile: a table and a trace for each job that ran; results are those of a run without.
set -eu
cat > spec.json <<'END'
{"retort": 1, "name": "profile", "seeds": [1],
 "stages": {
  "start": {"do": "init", "task": "synth/agreement"},
  "trained": {"do": "finetune", "model": {"from": "start"}, "task": "synth/agreement", "max_steps": 5, "max_len": 64}}}
END
fail() { echo "$1"; cat log; exit 1; }
results() { for id in $("$RETORT" ls --store "$1" --ids); do "$RETORT" show "$id" --store "$1" | grep '^result '; done; }
"$RETORT" run spec.json --store plain > log 2>&1 || fail "it does not run"
"$RETORT" run spec.json --store measured --profile "a folder/in it" > log 2>&1 || fail "it does not run with --profile"
grep -q '^Profiles: a folder/in it$' log || fail "it does not say where"
results plain > one
results measured > two
cmp one two || fail "measuring changes the results"
test "$(find 'a folder/in it' -name '*.txt' | wc -l)" -eq 2 || fail "not one table a job"
grep -q '^linear (back)  ' 'a folder/in it'/*-trained.txt || fail "no products"
grep -q '"traceEvents":' 'a folder/in it'/*-trained.trace.json || fail "no trace"
"$RETORT" run spec.json --store measured --profile again > log 2>&1 || fail "a second run fails"
grep -q '^No job was run' log || fail "it does not say that nothing was measured"
echo text > file
rc=0
"$RETORT" run spec.json --store third --profile file/below > log 2>&1 || rc=$?
test $rc -eq 4 || fail "exit code $rc where the folder cannot be made"
test ! -d third || test -z "$("$RETORT" ls --store third --ids)" || fail "it ran all the same"
