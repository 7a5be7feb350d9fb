# Two runs of one spec at once in one store: both end well, no job is computed twice, and who waits says so.
set -eu
cat > spec.json <<'END2'
{"retort": 1, "name": "together", "seeds": [1, 2],
 "stages": {
  "start": {"do": "init", "task": "synth/agreement"},
  "trained": {"do": "finetune", "model": {"from": "start"}, "task": "synth/agreement", "epochs": 1,
              "max_steps": 50, "lr": 0.001, "max_len": 64},
  "result": {"do": "evaluate", "model": {"from": "trained"}, "task": "synth/agreement", "split": "dev[0:100]", "max_len": 64}}}
END2
fail() { echo "$1"; cat one two; exit 1; }
"$RETORT" run spec.json > one 2>&1 &
a=$!
"$RETORT" run spec.json > two 2>&1 || fail "the second fails"
wait $a || fail "the first fails"
count() { sed -n "s/^\([0-9]*\) done, 0 failed, \([0-9]*\) cached in.*/\\$2/p" "$1"; }
test $(($(count one 1) + $(count two 1))) -eq 6 || fail "six jobs were to be done once"
test $(($(count one 2) + $(count two 2))) -eq 6 || fail "and to be found done once"
grep -q ': waits for process' one two || fail "nobody says that it waits"
test -z "$(find runs -name 'journal.*' -o -name lease)" || fail "something was left behind"
