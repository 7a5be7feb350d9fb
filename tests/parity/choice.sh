# Choices read by an encoder beside transformers' multiple-choice model: tokens, logits and losses (choice.py).
set -eu
if [ -z "${RETORT_SHARED-}" ]; then echo "real data is not here (RETORT_SHARED)"; exit 77; fi
if [ -z "${RETORT_PYTHON-}" ]; then echo "PyTorch is not here (RETORT_PYTHON)"; exit 77; fi
cat > spec.json <<END
{"retort": 1, "name": "choice", "seeds": [1],
 "stages": {
  "trained": {"do": "finetune", "model": "$RETORT_SHARED/models/minilm-l6-h384", "task": "choice/openbookqa",
              "split": "train[0:16]", "batch": 8, "max_steps": 2, "max_len": 40},
  "book": {"do": "evaluate", "model": {"from": "trained"}, "task": "choice/openbookqa", "split": "dev[0:16]", "max_len": 40},
  "race": {"do": "evaluate", "model": {"from": "trained"}, "task": "choice/race-middle", "split": "dev[0:2]", "max_len": 160}}}
END
RETORT_DATA=$RETORT_SHARED/data "$RETORT" run --threads 1 spec.json > log 2>&1 || { cat log; exit 1; }
"$RETORT" export --hf "$("$RETORT" ls stage=trained --ids)" model
for stage in book race; do
    HF_HUB_OFFLINE=1 "$RETORT_PYTHON" "$SOURCE/tests/parity/choice.py" \
        "$(ls runs/*/"$("$RETORT" ls stage=$stage --ids | cut -c 1-10)"*/run.h5)" model "$RETORT_SHARED/data/choice" $stage
done
