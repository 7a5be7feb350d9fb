# The plan says for each job what is to be done, why, how long and how big, and adds it up.
set -eu
cat > spec.json <<'END2'
{"retort": 1, "name": "planned", "seeds": [1, 2],
 "stages": {
  "start": {"do": "init", "task": "synth/agreement"},
  "trained": {"do": "finetune", "model": {"from": "start"}, "task": "synth/agreement", "epochs": 1,
              "max_steps": 20, "lr": 0.001, "max_len": 64},
  "result": {"do": "evaluate", "model": {"from": "trained"}, "task": "synth/agreement", "split": "dev[0:50]", "max_len": 64}}}
END2
fail() { echo "$1"; cat log; exit 1; }
plan() { "$RETORT" plan "$@" > log 2>&1 || fail "plan $* fails"; }
line() { grep -qE "$1" log || fail "no line like $1"; }

plan spec.json
line '^[0-9a-f]{10}  trained  seed=1     run +\? +\?  new$'
line '^6 jobs: 6 run\. How long is not known'
"$RETORT" run spec.json --jobs 2 > log 2>&1 || fail "run fails"
plan spec.json
line '^[0-9a-f]{10}  trained  seed=1     cached +sealed 20'
line '^6 jobs: 6 cached\.$'
plan spec.json --set result.split='dev[0:60]' --jobs 2
line '^[0-9a-f]{10}  result   seed=1     run  +[0-9.]+ s +[0-9]+ kB  split is "dev\[0:60\]", was "dev\[0:50\]" in [0-9a-f]{10}$'
line '^6 jobs: 4 cached, 2 run\. About [0-9.]+ s by 2 workers of [0-9]+ threads?, [0-9.]+ kB\.$'

# Ten times the steps, ten times the time.
seconds() { "$RETORT" plan spec.json --json "$@" | awk '/"stage"/ {s = $2} /"seconds"/ && s ~ /trained/ {print $2 + 0; exit}'; }
echo "$(seconds --set trained.lr=0.002) $(seconds --set trained.max_steps=200)" > log
awk '$2 / $1 < 9.9 || $2 / $1 > 10.1 || $1 <= 0 {exit 1}' log || fail "the time does not go by the steps"
# Another spec of the same sizes expects the same.
sed 's/"planned"/"other"/' spec.json > other.json
plan other.json --set result.split='dev[0:50]' --set trained.max_steps=20 --json
sed 's/"seeds": \[1, 2\]/"seeds": [3]/' other.json > third.json
plan third.json --json
test "$(grep -c '"what": "run"' log)" -eq 3 || fail "seed 3 is not to be run"
if grep -q '"seconds": null' log; then fail "equal sizes are not recognised"; fi

"$RETORT" run spec.json --rerun-on code > log 2>&1 || fail "the same code gives other results"
line '^[06] done, 0 failed, [06] cached'
plan spec.json --rerun-on code
line '^6 jobs: 6 (cached|rerun)'
