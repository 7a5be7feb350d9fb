#!/bin/sh
# Tables of 4 arms x 3 tasks x 6 seeds of stored runs: every interval, p-value and mark beside SciPy's and
# statsmodels' on the same runs, read by h5py (tables.py).
[ -n "${RETORT_PYTHON-}" ] || { echo "RETORT_PYTHON is not set"; exit 77; }
cat > spec.json <<'END'
{"retort": 1, "name": "tables", "seeds": [1, 2, 3, 4, 5, 6],
 "stages": {
   "a0": {"do": "init", "task": "synth/match", "layers": 1, "heads": 2},
   "a1": {"do": "finetune", "model": {"from": "a0"}, "task": "synth/match", "lr": 0.003, "batch": 32, "max_len": 32, "max_steps": 1},
   "b0": {"do": "init", "task": "synth/agreement", "layers": 1, "heads": 2},
   "b1": {"do": "finetune", "model": {"from": "b0"}, "task": "synth/agreement", "lr": 0.003, "batch": 32, "max_len": 32, "max_steps": 1},
   "match": {"do": "evaluate", "model": {"from": "a1"}, "task": "synth/match", "split": "dev", "max_len": 32},
   "part":  {"do": "evaluate", "model": {"from": "a1"}, "task": "synth/match", "split": "train[0:200]", "max_len": 32},
   "agree": {"do": "evaluate", "model": {"from": "b1"}, "task": "synth/agreement", "split": "dev", "max_len": 32}},
 "sweep": {"list": [
   {"label": "none", "a1.max_steps": 1, "b1.max_steps": 1},
   {"label": "few", "a1.max_steps": 8, "b1.max_steps": 4},
   {"label": "some", "a1.max_steps": 30, "b1.max_steps": 30},
   {"label": "more", "a1.max_steps": 100, "b1.max_steps": 80}]}}
END
for over in seeds examples both; do
    cat > $over.json <<END
{"table": 1, "spec": "spec.json", "scale": 100, "digits": 1,
 "rows": {"labels": ["none", "few", "some", "more"]},
 "columns": [{"name": "match", "stage": "match", "metric": "eval/synth/match/dev/accuracy"},
             {"name": "part", "stage": "part", "metric": "eval/synth/match/train[0:200]/loss"},
             {"name": "agree", "stage": "agree", "metric": "eval/synth/agreement/dev/accuracy"}],
 "show": ["std", "interval"], "compare": {"row": "none"}, "best": {"in": "columns"},
 "test": {"over": "$over", "resamples": 600}}
END
done
sed 's/"table": 1,/"table": 1, "seeds": [3],/' examples.json > one.json
"$RETORT" run spec.json -q --jobs 2 > log 2>&1 || { tail -n 20 log; exit 1; }
for over in seeds examples both one; do
    "$RETORT" table $over.json --format json > $over.out || { echo "retort table $over.json failed"; exit 1; }
    "$RETORT" table $over.json > $over.md || exit 1
done
"$RETORT_PYTHON" "$SOURCE/tests/parity/tables.py"
