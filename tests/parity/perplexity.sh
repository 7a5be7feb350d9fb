# Nats of a real text beside transformers in float64: of windows, overlapping or not, and of single tokens (perplexity.py).
# The model is a drawn one; with RETORT_MORE, a folder that holds smollm2-135m, that one too. RETORT_PARITY=full reads
# WikiText-2 raw's whole test split by the drawn one.
set -eu
if [ -z "${RETORT_SHARED-}" ]; then echo "real data is not here (RETORT_SHARED)"; exit 77; fi
if [ -z "${RETORT_PYTHON-}" ]; then echo "PyTorch is not here (RETORT_PYTHON)"; exit 77; fi
py() { HF_HUB_OFFLINE=1 OMP_WAIT_POLICY=passive "$RETORT_PYTHON" "$SOURCE/tests/parity/perplexity.py" "$@"; }
bytes=20000
[ "${RETORT_PARITY-}" != full ] || bytes=2000000
py make . "$RETORT_SHARED/data" $bytes "${RETORT_MORE-}"
"$RETORT" run spec.json > log 2>&1 || { cat log; exit 1; }
"$RETORT" export --hf "$("$RETORT" ls stage=drawn --ids)" drawn
"$RETORT" ls --json > runs.json
py check .
