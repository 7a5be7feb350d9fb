# Perplexities, likelihoods of choices and beams beside independent implementations (lm.py).
[ -n "${RETORT_PYTHON-}" ] || { echo "PyTorch is not here (RETORT_PYTHON)"; exit 77; }
[ -n "${RETORT_SHARED-}" ] || { echo "real data is not here (RETORT_SHARED)"; exit 77; }
set -e
py() { HF_HUB_OFFLINE=1 "$RETORT_PYTHON" "$SOURCE/tests/parity/lm.py" "$@"; }
py make "$PWD/in" "$RETORT_SHARED"
RETORT_DATA=$PWD/in/data "$RETORT" run in/lm.json --store store > log 2>&1 || { cat log; exit 1; }
py check "$PWD/in" "$RETORT_SHARED" "$PWD/store"
py beams "$PWD" "$RETORT"
