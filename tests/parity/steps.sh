# Losses and gradients of training steps beside PyTorch in float64, from exported checkpoints and what the steps record:
# distillation in all its scalings, choices, and pretraining of each architecture (steps.py).
set -eu
if [ -z "${RETORT_PYTHON-}" ]; then echo "PyTorch is not here (RETORT_PYTHON)"; exit 77; fi
py() { HF_HUB_OFFLINE=1 OMP_WAIT_POLICY=passive "$RETORT_PYTHON" "$SOURCE/tests/parity/steps.py" "$@"; }
py make .
RETORT_DATA=$PWD/data "$RETORT" run --threads 1 spec.json > log 2>&1 || { cat log; exit 1; }
"$RETORT" ls --json > runs.json
for stage in teacher student book gpt2 gpt_neo llama bert; do
    "$RETORT" export --hf "$("$RETORT" ls stage=$stage --ids)" "$stage"
done
py check .
