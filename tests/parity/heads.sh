# The sixteen heads beside PyTorch: importance in three forms, all 72 ablations, pruning curves, removal (heads.py).
#
# Some steps on SST-2's short sentences, where a model soon tells the classes apart, and a few examples;
# RETORT_PARITY=full takes three epochs on MRPC and all of its dev split.
set -eu
if [ -z "${RETORT_SHARED-}" ]; then echo "real data is not here (RETORT_SHARED)"; exit 77; fi
if [ -z "${RETORT_PYTHON-}" ]; then echo "PyTorch is not here (RETORT_PYTHON)"; exit 77; fi
task=sst2 folder=SST-2 split='dev[0:32]' length=40 training='"max_steps": 60, "lr": 1e-4' ratios='0.3, 0.6, 1'
if [ "${RETORT_PARITY-}" = full ]; then
    task=mrpc folder=MRPC split=dev length=128 training='"epochs": 3'
    ratios='0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1'
fi
on='"task": "glue/'$task'", "max_len": '$length
trained='"model": {"from": "trained"}, '$on
cat > spec.json <<END
{"retort": 1, "name": "heads", "seeds": [1],
 "stages": {
  "trained": {"do": "finetune", "model": "$RETORT_SHARED/models/minilm-l6-h384", $on, $training},
  "sample": {"do": "analyze/heads", $trained, "split": "$split"},
  "position": {"do": "analyze/heads", $trained, "split": "$split", "absolute": "position"},
  "batch": {"do": "analyze/heads", $trained, "split": "$split", "absolute": "batch"},
  "alone": {"do": "analyze/ablate", $trained, "split": "$split", "metric": "accuracy"},
  "pruned": {"do": "prune/heads", "model": {"from": "trained"}, "scores": {"from": "sample"}, "ratio": 0},
  "masked": {"do": "evaluate", "model": {"from": "pruned"}, $on, "split": "$split"},
  "sliced": {"do": "prune/slice", "model": {"from": "pruned"}},
  "small": {"do": "evaluate", "model": {"from": "sliced"}, $on, "split": "$split"}},
 "sweep": {"grid": {"pruned.ratio": [$ratios]}}}
END
RETORT_DATA=$RETORT_SHARED/data "$RETORT" run spec.json > log 2>&1 || { cat log; exit 1; }
"$RETORT" ls --json > runs.json
"$RETORT" export --hf "$("$RETORT" ls stage=trained --ids)" model
HF_HUB_OFFLINE=1 OMP_WAIT_POLICY=passive "$RETORT_PYTHON" "$SOURCE/tests/parity/heads.py" runs.json runs model $task "$RETORT_SHARED/data/glue/$folder/dev.tsv" $length
