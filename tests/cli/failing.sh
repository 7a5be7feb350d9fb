# A job that fails fails alone: exit code 1, the reason, and a command that runs what failed and no more once the
# data are mended.
set -eu
mkdir data
for i in 1 2 3 4 5 6 7 8; do printf 'word%d here\tyes\nword%d there\tno\n' $i $i; done > data/train.tsv
cp data/train.tsv data/dev.tsv
printf 'no label here\n' >> data/train.tsv
cat > "my spec.json" <<'END2'
{"retort": 1, "name": "failing", "seeds": [1],
 "tasks": {"mine": {"files": {"train": "data/train.tsv", "dev": "data/dev.tsv"},
           "header": false, "columns": {"a": 1, "label": 2}, "labels": ["no", "yes"]}},
 "stages": {
  "start": {"do": "init", "task": "synth/agreement"},
  "good": {"do": "finetune", "model": {"from": "start"}, "task": "synth/agreement", "epochs": 1,
           "max_steps": 5, "max_len": 64},
  "bad": {"do": "finetune", "model": {"from": "start"}, "task": "mine", "epochs": 1, "max_steps": 5, "max_len": 64},
  "result": {"do": "evaluate", "model": {"from": "bad"}, "task": "mine", "max_len": 64}}}
END2
fail() { echo "$1"; cat log; exit 1; }
rc=0
"$RETORT" run "my spec.json" --store "a store" --set good.max_steps=6 --jobs 2 > log 2>&1 || rc=$?
test $rc -eq 1 || fail "exit code $rc"
grep -q 'train.tsv:17' log || fail "the line of the data is not named"
grep -q '^2 done, 1 failed, 0 cached, 1 left out' log || fail "the counts are wrong"
cp data/dev.tsv data/train.tsv
eval "$(sed -n 's/^Again, what failed: //p' log)" > log 2>&1 || fail "the command does not run what failed"
grep -q '^2 done, 0 failed, 2 cached' log || fail "it ran something else"
