# A run goes by the spec as it was when it began, whoever edits it meanwhile; data that change meanwhile stop it.
set -eu
mkdir data
for i in 1 2 3 4 5 6 7 8; do printf 'word%d here\tyes\nword%d there\tno\n' $i $i; done > data/train.tsv
cp data/train.tsv data/dev.tsv
cat > base.json <<'END2'
{"retort": 1,
 "tasks": {"mine": {"files": {"train": "data/train.tsv", "dev": "data/dev.tsv"},
           "header": false, "columns": {"a": 1, "label": 2}, "labels": ["no", "yes"]}}}
END2
cat > spec.json <<'END2'
{"retort": 1, "extends": "base.json", "name": "edited", "seeds": [1, 2],
 "stages": {
  "start": {"do": "init", "task": "synth/agreement"},
  "trained": {"do": "finetune", "model": {"from": "start"}, "task": "synth/agreement", "epochs": 3,
              "max_steps": 100, "lr": 0.001, "max_len": 64},
  "mine": {"do": "evaluate", "model": {"from": "trained"}, "task": "mine", "max_len": 64}}}
END2
fail() { echo "$1"; cat log; exit 1; }
until_log() { n=0; while ! grep -q "$1" log; do n=$((n + 1)); test $n -lt 3000 || fail "never: $1"; sleep 0.02; done; }
# Kills the worker that trains, so that a new one must load the plan again.
begin() { : > log; "$RETORT" run spec.json --store "$1" > log 2>&1 & pid=$!; until_log 'trained seed=1: starts'; }
leased() { cat "$1"/??/*/lease 2> /dev/null | sed -n 's/^pid //p' | head -n 1; }
end_worker() {
    n=0
    while test -z "$(leased "$1")"; do n=$((n + 1)); test $n -lt 3000 || fail "never: a lease"; sleep 0.02; done
    kill -KILL "$(leased "$1")"
    rc=0
    wait $pid || rc=$?
}

cp spec.json spec.orig
begin one
echo 'this is no spec' > spec.json
rm base.json.kept 2> /dev/null || true
mv base.json base.json.kept
sleep 0.2
end_worker one
mv base.json.kept base.json
mv spec.orig spec.json
test $rc -eq 1 || fail "exit code $rc"
grep -q '^4 done, 1 failed, 0 cached, 1 left out' log || fail "the edited spec got in its way"

begin two
printf 'more here\tyes\n' >> data/dev.tsv
sleep 0.2
end_worker two
test $rc -eq 2 || fail "exit code $rc after the data changed"
grep -q 'data that spec.json names changed' log || fail "changed data are not told"
