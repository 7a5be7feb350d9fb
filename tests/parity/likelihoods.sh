# Likelihoods of choices on whole sets beside transformers and lm-eval's definition (likelihoods.py): the first questions
# of each split, all of them by RETORT_PARITY=full (half an hour on two cores); "sets" names some: SETS="piqa/dev boolq/dev".
set -eu
if [ -z "${RETORT_SHARED-}" ]; then echo "real data is not here (RETORT_SHARED)"; exit 77; fi
if [ -z "${RETORT_PYTHON-}" ]; then echo "PyTorch is not here (RETORT_PYTHON)"; exit 77; fi
py() { HF_HUB_OFFLINE=1 OMP_WAIT_POLICY=passive "$RETORT_PYTHON" "$SOURCE/tests/parity/likelihoods.py" "$@"; }
n=12
[ "${RETORT_PARITY-}" != full ] || n=0
py make . "$RETORT_SHARED/data" $n
RETORT_DATA=$PWD/data "$RETORT" run spec.json > log 2>&1 || { cat log; exit 1; }
"$RETORT" export --hf "$("$RETORT" ls stage=model --ids)" model
"$RETORT" ls --json > runs.json
py check .
