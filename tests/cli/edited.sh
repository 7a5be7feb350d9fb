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
  "trained": {"do": "finetune", "model": {"from": "start"}, "task": "synth/agreement", "epochs": 20,
              "max_steps": 400, "lr": 0.001, "max_len": 64},
  "mine": {"do": "evaluate", "model": {"from": "trained"}, "task": "mine", "max_len": 64}}}
END2
fail() { echo "$1"; cat log; exit 1; }
until_log() { n=0; while ! grep -q "$1" log; do n=$((n + 1)); test $n -lt 3000 || fail "never: $1"; sleep 0.02; done; }
leased() { cat "$1"/??/*/lease 2> /dev/null | sed -n 's/^pid //p' | head -n 1; }
# Holds the worker that trains, for what is changed meanwhile; then kills it, so that a new one must load the plan again.
begin() {
    : > log
    "$RETORT" run spec.json --store "$1" > log 2>&1 &
    pid=$!
    until_log 'trained seed=1: starts'
    n=0
    until worker=$(leased "$1") && test -n "$worker"; do n=$((n + 1)); test $n -lt 3000 || fail "never: a lease"; sleep 0.02; done
    kill -STOP "$worker"
}
end_worker() { kill -KILL "$worker"; rc=0; wait $pid || rc=$?; }

cp spec.json spec.orig
begin one
echo 'this is no spec' > spec.json
mv base.json base.json.kept
end_worker
mv base.json.kept base.json
mv spec.orig spec.json
test $rc -eq 1 || fail "exit code $rc"
grep -q '^4 done, 1 failed, 0 cached, 1 left out' log || fail "the edited spec got in its way"

begin two
printf 'more here\tyes\n' >> data/dev.tsv
end_worker
test $rc -eq 2 || fail "exit code $rc after the data changed"
grep -q 'data that spec.json names changed' log || fail "changed data are not told"
